"""The files of a reconciliation: CSV for people and spreadsheets, JSON for programs.

In: the report, the results and the accounting list. Out: the files' names and bytes, the same for the same input.
Amounts are decimals with a point and always two places; days are ISO; text that a spreadsheet would take for a formula
has an apostrophe before it. CSV is UTF-8 with a byte-order mark and CRLF, as spreadsheets expect. No personal data.
docs/reconciliation.md describes every column.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import Final

from mappings.card_numbers import mask_card_numbers
from mappings.differences import OrderResult
from mappings.ledger import ListEntry
from mappings.reconciliation_report import Report

ORDERS: Final = "orders.csv"
DIFFERENCES: Final = "differences.csv"
TOTALS: Final = "totals.csv"
PAYOUTS: Final = "payouts.csv"
ACCOUNTING_LIST: Final = "accounting_list.csv"
SUMMARY: Final = "summary.json"
"""Written last: when it is there, the others are."""

BOOKED: Final = "booked.csv"
"""Beside the folders of the runs, kept by accounting: entries of the accounting list that were booked."""

LEFT: Final = "receipts/accounting_list.json"
"""Likewise, kept by the runs of the cash receipts: what they left to a person, whatever their range."""

ORDER_COLUMNS: Final = (
    "order_id", "sales_orders", "status", "gateway", "day", "authorised", "captured", "refunded", "voided", "deposits",
    "receipts", "listed", "lines", "difference", "customer_deposits", "invoiced", "invoiced_unposted", "balance",
    "reasons",
)  # fmt: skip
DIFFERENCE_COLUMNS: Final = (
    "order_id", "SalesOrderNo", "status", "place", "reason", "amount", "effect", "currency", "gateway",
    "transaction_id", "InvoiceNo", "day", "age", "other",
)  # fmt: skip
TOTAL_COLUMNS: Final = (
    "gateway", "day", "currency", "complete", "orders", "captured", "refunded", "deposits", "receipts", "listed",
    "lines", "explained", "unexplained",
)  # fmt: skip
PAYOUT_COLUMNS: Final = (
    "gateway", "payout", "day", "currency", "gross", "fee", "net", "payments", "payment_fees", "in_sage", "matched",
)  # fmt: skip
LIST_COLUMNS: Final = ("order_id", "gateway", "transaction_id", "day", "amount", "currency", "booked")

FORMULA: Final = re.compile(r"^[=+\-@\t\r]")
"""How a cell begins that a spreadsheet would work out."""

Cell = str | int | bool | Decimal | date | None


def files(report: Report, results: Sequence[OrderResult], accounting_list: Iterable[ListEntry]) -> dict[str, bytes]:
    """Name → content, in the order in which they are to be written."""
    found: dict[str, bytes] = {
        ORDERS: table(ORDER_COLUMNS, (order_row(one) for one in results)),
        DIFFERENCES: table(DIFFERENCE_COLUMNS, difference_rows(results, report.as_of)),
        TOTALS: table(TOTAL_COLUMNS, ([getattr(one, name) for name in TOTAL_COLUMNS] for one in report.totals)),
        ACCOUNTING_LIST: table(
            LIST_COLUMNS,
            sorted(
                ([masked(getattr(one, name)) for name in LIST_COLUMNS] for one in accounting_list),
                key=lambda row: [str(cell) for cell in row],
            ),
        ),
    }
    if report.payouts is not None:
        found[PAYOUTS] = table(PAYOUT_COLUMNS, payout_rows(report))
    found[SUMMARY] = summary(report)
    return found


def order_row(one: OrderResult) -> list[Cell]:
    """A row of orders.csv."""
    special: dict[str, Cell] = {
        "sales_orders": " ".join(one.sales_orders),
        "status": one.status.value,
        "reasons": " ".join(dict.fromkeys(found.reason.value for found in one.differences)),
    }
    return [special[name] if name in special else getattr(one, name) for name in ORDER_COLUMNS]


def difference_rows(results: Iterable[OrderResult], as_of: date) -> list[list[Cell]]:
    """Rows of differences.csv, what is unexplained first."""
    rows: list[tuple[bool, list[Cell]]] = []
    for result in results:
        for one in result.differences:
            special: dict[str, Cell] = {
                "status": "explained" if one.reason.explained else "unexplained",
                "place": one.place.value,
                "reason": one.reason.value,
                "age": (as_of - one.day).days if one.day is not None else None,
            }
            cells = [special[name] if name in special else getattr(one, name) for name in DIFFERENCE_COLUMNS]
            rows.append((one.reason.explained, cells))
    return [cells for _, cells in sorted(rows, key=lambda row: row[0])]


def payout_rows(report: Report) -> list[list[Cell]]:
    """Rows of payouts.csv."""
    return [
        [
            one.payout.gateway,
            masked(one.payout.id),
            one.payout.day,
            one.payout.currency,
            one.payout.gross,
            one.payout.fee,
            one.payout.net,
            one.payments,
            one.fees,
            one.in_sage,
            one.matched,
        ]
        for one in report.payouts or []
    ]


def table(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    """A CSV file."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([cell(value) for value in row] for row in rows)
    return b"\xef\xbb\xbf" + text.getvalue().encode()


def cell(value: Cell) -> str:
    """A value as it stands in a CSV file."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return money(value)
    if isinstance(value, date):
        return value.isoformat()
    text = str(value)
    return f"'{text}" if FORMULA.match(text) else text


def money(amount: Decimal) -> str:
    """At least two places, never an exponent."""
    places = -int(amount.normalize().as_tuple().exponent) if amount else 0
    return f"{amount:.{max(places, 2)}f}"


def masked(value: Cell) -> Cell:
    """Without a card number, whoever put one there."""
    return str(mask_card_numbers(value)[0]) if isinstance(value, str) else value


def summary(report: Report) -> bytes:
    """summary.json: the report, with what adds up said."""
    content = report.model_dump(mode="json")
    content["controls"]["adds_up"] = report.controls.adds_up
    content["customer_deposits"]["adds_up"] = report.customer_deposits.adds_up
    return (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode()


def read_booked(content: bytes) -> list[ListEntry]:
    """booked.csv, kept by accounting with the columns of accounting_list.csv: what of the list is done.

    Raises ValueError that names the line.
    """
    entries = []
    reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig")))
    for number, row in enumerate(reader, start=2):
        try:
            entries.append(
                ListEntry(
                    order_id=str(row["order_id"]).strip(),
                    gateway=str(row["gateway"]).strip(),
                    transaction_id=str(row["transaction_id"]).strip().removeprefix("'"),
                    amount=Decimal(str(row["amount"]).strip()),
                    currency=str(row["currency"]).strip(),
                    day=date.fromisoformat(day) if (day := str(row.get("day") or "").strip()) else None,
                    booked=True,
                )
            )
        except (KeyError, ArithmeticError, ValueError) as error:
            raise ValueError(f"line {number}: {type(error).__name__} {error}") from None
    return entries


def whole_list(due: Iterable[ListEntry], booked: Iterable[ListEntry]) -> list[ListEntry]:
    """The accounting list: what is due, with what accounting booked of it in its place, and what it booked besides."""
    rest = list(booked)
    entries = []
    for one in due:
        same = [each for each in rest if (each.order_id, each.transaction_id) == (one.order_id, one.transaction_id)]
        same = [each for each in same if (each.amount > 0) == (one.amount > 0)]
        if not same:
            entries.append(one)
        for each in same:
            rest.remove(each)
            entries.append(each.model_copy(update={"day": each.day or one.day}))
    return entries + rest
