"""A customer's facts as files for the people who work with them: sales, service, marketing.

In: `CustomerView`. Out: rows of text, as JSON or CSV. Each audience gets what it needs and no more: marketing gets only
people who consented, and of them only what a letter needs. Every row says whether its customer consented. Pure.
"""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Final

from mappings.customer_account import AccountInvoice
from mappings.customer_match import comparable_email, split_emails
from mappings.customer_view import CustomerOrder, CustomerView
from mappings.frozen import Frozen


class Audience(StrEnum):
    """Who reads the file."""

    SALES = "sales"
    """One row for each order: what was bought, by whom, and on what terms."""
    SERVICE = "service"
    """One row for each order's invoice and package: where it is, and how to reach the buyer."""
    MARKETING = "marketing"
    """One row for each person who consented."""


class ExportFormat(StrEnum):
    """How it is written."""

    CSV = "csv"
    JSON = "json"


class Export(Frozen):
    """A file's content."""

    pair: str
    customer: str
    audience: Audience
    columns: list[str]
    rows: list[dict[str, str]]


SALES_COLUMNS: Final = (
    "customer", "name", "city", "state", "country", "salesperson", "price_level", "terms", "standing", "sales_order",
    "web_order", "date", "total", "sage", "state_of_order", "purchase_order", "marketing_consent",
)  # fmt: skip
SERVICE_COLUMNS: Final = (
    "customer", "name", "email", "phone", "sales_order", "web_order", "state_of_order", "hold", "waits_for", "invoice",
    "invoice_date", "shipped", "ship_via", "package", "tracking", "balance", "marketing_consent",
)  # fmt: skip
MARKETING_COLUMNS: Final = ("email", "first_name", "last_name", "company", "country", "consent_told_by")


def export_of(view: CustomerView, audience: Audience) -> Export:
    """The audience's rows."""
    columns, rows = _WAYS[audience]
    return Export(
        pair=view.pair,
        customer=view.customer,
        audience=audience,
        columns=list(columns),
        rows=[{column: row.get(column, "") for column in columns} for row in rows(view)],
    )


def _sales(view: CustomerView) -> Iterator[dict[str, str]]:
    record, credit = view.profile.sage, view.credit
    common = {
        "customer": view.customer,
        "name": record.CustomerName if record else "",
        "city": record.City if record else "",
        "state": record.State if record else "",
        "country": record.CountryCode if record else "",
        "salesperson": record.SalespersonNo if record else "",
        "price_level": record.PriceLevel if record else "",
        "terms": record.TermsCode if record else "",
        "standing": credit.standing.value if credit else "",
        "marketing_consent": _consent(view),
    }
    for order in (*view.open_orders, *view.past_orders):
        yield (
            common
            | _order(order)
            | {
                "date": order.OrderDate.isoformat() if order.OrderDate else "",
                "total": _money(order.Total),
                "sage": f"{order.where} {order.OrderStatus}".strip(),
                "purchase_order": order.CustomerPONo,
            }
        )


def _order(order: CustomerOrder) -> dict[str, str]:
    return {
        "sales_order": order.SalesOrderNo,
        "web_order": order.order_number or order.web_order_id,
        "state_of_order": order.web.state if order.web else "",
    }


def _service(view: CustomerView) -> Iterator[dict[str, str]]:
    record = view.profile.sage
    first = next(iter(view.profile.clarity), None)
    common = {
        "customer": view.customer,
        "name": record.CustomerName if record else "",
        "email": record.EmailAddress if record else (first.email if first else ""),
        "phone": record.TelephoneNo if record else (first.phone if first else ""),
        "marketing_consent": _consent(view),
    }
    billed: set[str] = set()
    for order in (*view.open_orders, *view.past_orders):
        web = order.web
        about = common | _order(order)
        if web is not None:
            about |= {"hold": web.hold_reason, "waits_for": web.waits_for}
        invoices = [one for one in view.invoices if order.SalesOrderNo and one.SalesOrderNo == order.SalesOrderNo]
        billed |= {one.InvoiceNo for one in invoices}
        yield from (_invoices(about, invoices) if invoices else [about])
    yield from _invoices(common, [one for one in view.invoices if one.InvoiceNo not in billed])


def _invoices(about: dict[str, str], invoices: Sequence[AccountInvoice]) -> Iterator[dict[str, str]]:
    for invoice in invoices:
        row = about | {
            "sales_order": about.get("sales_order") or invoice.SalesOrderNo,
            "invoice": invoice.InvoiceNo,
            "invoice_date": invoice.InvoiceDate.isoformat() if invoice.InvoiceDate else "",
            "shipped": invoice.ShipDate.isoformat() if invoice.ShipDate else "",
            "ship_via": invoice.ShipVia,
            "balance": _money(invoice.Balance),
        }
        if not invoice.packages:
            yield row
        for package in invoice.packages:
            yield row | {"package": package.PackageNo, "tracking": package.TrackingID}


def _marketing(view: CustomerView) -> Iterator[dict[str, str]]:
    """People who consented: web customers by their own flag, the account by its own; each e-mail once.

    An address that any other source says no for is left out, whoever said yes.
    """
    profile, told = view.profile, dict[str, dict[str, str]]()
    refused: set[str] = set()
    for customer in profile.clarity:
        email = comparable_email(customer.email)
        flag = profile.web_consent[customer.clarity_id]
        if not flag.granted:
            refused |= {email} if flag.told_by else set()
        elif email:
            told[email] = {
                "email": customer.email.strip(),
                "first_name": customer.first_name,
                "last_name": customer.last_name,
                "company": customer.company,
                "country": customer.billing.country,
                "consent_told_by": " ".join(flag.told_by),
            }
    record = profile.sage
    if record is not None:
        own = split_emails(record.EmailAddress)
        if not profile.consent.granted:
            refused |= set(own) if profile.consent.told_by else set()
        elif len(own) == 1 and own[0] not in told:
            # Of several addresses in one column nobody knows whose consent it is.
            told[own[0]] = {
                "email": own[0],
                "company": record.CustomerName,
                "country": record.CountryCode,
                "consent_told_by": " ".join(profile.consent.told_by),
            }
    yield from (row for email, row in told.items() if email not in refused)


_WAYS: Final[dict[Audience, tuple[Sequence[str], Callable[[CustomerView], Iterator[dict[str, str]]]]]] = {
    Audience.SALES: (SALES_COLUMNS, _sales),
    Audience.SERVICE: (SERVICE_COLUMNS, _service),
    Audience.MARKETING: (MARKETING_COLUMNS, _marketing),
}


def _consent(view: CustomerView) -> str:
    """Of the customer as a whole: yes only when everybody who was asked said so."""
    flags = [view.profile.consent, *view.profile.web_consent.values()]
    told = [flag.granted for flag in flags if flag.told_by]
    return "yes" if told and all(told) else "no"


def _money(amount: Decimal | None) -> str:
    return "" if amount is None else f"{amount:.2f}"


# ---- CSV ------------------------------------------------------------------------------------------------------------

STARTS_A_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""First characters that make spreadsheets calculate, or run, what a buyer typed as a name (OWASP, CSV injection)."""


def safe_cell(text: str) -> str:
    """The text as a spreadsheet shows it and never runs it: with an apostrophe before it where it would be a formula.

    A plain negative amount stays a number.
    """
    if not text.lstrip(" \u00a0").startswith(STARTS_A_FORMULA) or _is_amount(text):
        return text
    return f"'{text}"


def _is_amount(text: str) -> bool:
    return text.startswith("-") and text[1:].replace(".", "", 1).isascii() and text[1:].replace(".", "", 1).isdigit()


def to_csv(export: Export) -> str:
    """RFC 4180 with CRLF and a first line of names; every cell is safe to open in a spreadsheet."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, export.columns, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows({name: safe_cell(value) for name, value in row.items()} for row in export.rows)
    return out.getvalue()
