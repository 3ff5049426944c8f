"""Clarity's payload → canonical `Order`, or the list of everything that is wrong with it. Never raises.

In: the webhook body as plain JSON, in the contract's words: this project's assumption (domain notes: "Order payload
(assumed)"), to which `clarity_profile` translates other releases. Numbers may be JSON numbers or strings; a float is
read by its shortest decimal text, so 19.995 is 19.995. Out: `Order`, or `Problem`s with field paths such as
`data.items[2].quantity`.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from mappings.canonical import (
    Address,
    Buyer,
    Delivery,
    Discount,
    Fee,
    Order,
    OrderLine,
    Payment,
    PaymentType,
    Totals,
)
from mappings.clarity_profile import CONTRACT, ClarityProfile, with_release_names
from mappings.problems import Problem

MONEY_LIMIT = Decimal(10) ** 10
"""SO_SalesOrderHeader's amounts are N 12.2."""
QUANTITY_LIMIT = Decimal(10) ** 9
MONEY_DECIMALS = 6
TEXT_LIMIT = 2_000
YEARS = range(1900, 9999)
"""Whatever the time zone, such an instant has a date that Sage can store."""
NUMBER = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?")


class Reader:
    """Reads one JSON object of the payload, collecting problems instead of raising."""

    def __init__(self, value: object, path: str, problems: list[Problem]) -> None:
        self.path = path
        self.problems = problems
        if isinstance(value, Mapping):
            self.fields: Mapping[str, Any] = value
        else:
            self.fields = {}
            self.problem("", f"is {kind(value)}, not an object", "Send the object that the contract shows.")

    def problem(self, name: str, message: str, suggestion: str = "") -> None:
        """Record what is wrong with field `name` (or with the object itself)."""
        field = f"{self.path}.{name}" if name else self.path
        self.problems.append(Problem(field=field, message=message, suggestion=suggestion))

    def text(self, name: str, *, required: bool = False, limit: int = TEXT_LIMIT) -> str:
        """A string (a JSON number is taken as its text), trimmed."""
        value = self.fields.get(name)
        if value is None:
            value = ""
        if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
            self.problem(name, f"is {kind(value)}, not text")
            return ""
        text = "".join(one for one in str(value) if one.isprintable() or one in "\n\t").strip()
        if required and not text:
            self.problem(name, "is missing", "Correct the order in Clarity, or release with a correction.")
        if len(text) > limit:
            self.problem(name, f"has {len(text)} characters; {limit} is the limit")
            return ""
        return text

    def number(self, name: str, limit: Decimal, *, default: Decimal | None = None, negative: bool = False) -> Decimal:
        """A finite decimal within ±limit; missing is a problem unless a default is given."""
        value = self.fields.get(name)
        if value is None or value == "":
            if default is None:
                self.problem(name, "is missing", "A number is needed here.")
            return default if default is not None else Decimal(0)
        number = to_decimal(value)
        if number is None:
            self.problem(name, f"is {kind(value)}, not a number")
            return Decimal(0)
        if abs(number) > limit:
            self.problem(name, f"is beyond {limit:,f}", "Check the number in Clarity.")
            return Decimal(0)
        if number < 0 and not negative:
            self.problem(name, "is negative", "Only amounts and quantities from zero up are understood here.")
            return Decimal(0)
        exponent = number.as_tuple().exponent
        if isinstance(exponent, int) and -exponent > MONEY_DECIMALS:
            self.problem(name, f"has {-exponent} decimals; {MONEY_DECIMALS} is the limit")
            return Decimal(0)
        return number

    def money(self, name: str, *, default: Decimal | None = None, negative: bool = False) -> Decimal:
        """An amount in the order's currency, with two decimals at least: `517.9` is 517.90 wherever it is written."""
        amount = self.number(name, MONEY_LIMIT, default=default, negative=negative)
        exponent = amount.as_tuple().exponent
        return amount.quantize(Decimal("0.01")) if isinstance(exponent, int) and exponent > -2 else amount

    def flag(self, name: str, *, default: bool) -> bool:
        """A JSON boolean."""
        value = self.fields.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.problem(name, f"is {kind(value)}, not true or false")
            return default
        return value

    def instant(self, name: str, *, required: bool = False) -> datetime | None:
        """ISO 8601 with offset; without one it is taken as UTC."""
        text = self.text(name, required=required, limit=64)
        if not text:
            return None
        try:
            instant = datetime.fromisoformat(text)
            aware = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
            if aware.astimezone(UTC).year not in YEARS:
                raise ValueError
        except (ValueError, OverflowError):
            self.problem(name, "is not a date and time", "Use ISO 8601 with offset, such as 2026-11-23T14:05:00Z.")
            return None
        return aware

    def day(self, name: str) -> date | None:
        """An ISO 8601 date, or the date of an instant."""
        text = self.text(name, limit=64)
        if not text:
            return None
        try:
            return date.fromisoformat(text[:10])
        except ValueError:
            self.problem(name, "is not a date", "Use ISO 8601, such as 2026-12-01.")
            return None

    def inside(self, name: str, *, required: bool = True) -> "Reader":
        """The object below `name`."""
        value = self.fields.get(name)
        if value is None and not required:
            value = {}
        return Reader(value, f"{self.path}.{name}", self.problems)

    def each(self, name: str, *, limit: int = 1_000) -> "list[Reader]":
        """The objects of a list below `name`; a missing list is empty."""
        value = self.fields.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            self.problem(name, f"is {kind(value)}, not a list")
            return []
        if len(value) > limit:
            self.problem(name, f"has {len(value):,} entries; {limit:,} is the limit", "Split the order.")
            return []
        return [Reader(entry, f"{self.path}.{name}[{index}]", self.problems) for index, entry in enumerate(value)]

    def attributes(self, name: str) -> dict[str, str]:
        """Custom attributes: scalars as text, everything else left out."""
        value = self.fields.get(name)
        if not isinstance(value, Mapping):
            return {}
        return {
            str(key)[:200]: str(entry)[:TEXT_LIMIT]
            for key, entry in list(value.items())[:200]
            if isinstance(entry, str | int | float | bool | Decimal)
        }


def kind(value: object) -> str:
    """What a JSON value is, in words; never the value itself (it may be personal)."""
    if value is None:
        return "missing"
    if isinstance(value, bool):
        return "true or false"
    names: list[tuple[type | tuple[type, ...], str]] = [
        ((int, float, Decimal), "a number"),
        (str, "text that does not fit"),
        (Mapping, "an object"),
        (list, "a list"),
    ]
    return next((name for types, name in names if isinstance(value, types)), "something else")


def to_decimal(value: object) -> Decimal | None:
    """An exact Decimal from a JSON number or numeric text; None for anything else, infinities and NaN included."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return None
    try:
        text = repr(value) if isinstance(value, float) else str(value).strip()
        if not NUMBER.fullmatch(text):
            return None
        return Decimal(text)
    except (InvalidOperation, ValueError):
        return None


def parse_order(payload: object, max_lines: int, profile: ClarityProfile = CONTRACT) -> Order | list[Problem]:
    """The canonical order, or all problems found (at most 100).

    `payload` is in the contract's words already (`clarity_profile.to_contract`); `profile` lets problems say what the
    store calls a field.
    """
    problems: list[Problem] = []
    envelope = Reader(payload, "payload", problems)
    value = envelope.fields.get("data")
    body = Reader(value, "data", problems)
    if problems:
        return problems
    order = _order(body, max_lines)
    return with_release_names(problems[:100], profile) if problems or order is None else order


def _order(body: Reader, max_lines: int) -> Order | None:
    lines = _lines(body, max_lines)
    totals = body.inside("totals")
    delivery = body.inside("shipping", required=False)
    created = body.instant("createdDate", required=True)
    return (
        None
        if created is None
        else Order(
            created=created,
            order_id=body.text("id", required=True, limit=64),
            number=body.text("number", limit=64) or body.text("id", limit=64),
            status=body.text("status", limit=64),
            updated=body.instant("updatedDate"),
            currency=body.text("currency", required=True, limit=3).upper(),
            buyer=read_buyer(body.inside("customer", required=False)),
            billing=read_address(body.inside("billingAddress", required=False)),
            shipping=read_address(body.inside("shippingAddress")),
            lines=lines,
            delivery=Delivery(
                method=delivery.text("method", limit=100),
                carrier=delivery.text("carrier", limit=100),
                amount=delivery.money("amount", default=Decimal(0)),
                tax=delivery.money("tax", default=Decimal(0)),
            ),
            discounts=[
                Discount(code=entry.text("code", limit=100), amount=entry.money("amount"))
                for entry in body.each("discounts")
            ],
            fees=[
                Fee(
                    code=entry.text("code", required=True, limit=100),
                    name=entry.text("name", limit=200),
                    amount=entry.money("amount"),
                    taxable=entry.flag("taxable", default=True),
                )
                for entry in body.each("fees")
            ],
            totals=Totals(
                items=totals.money("items", default=Decimal(0)),
                discount=totals.money("discount", default=Decimal(0)),
                shipping=totals.money("shipping", default=Decimal(0)),
                tax=totals.money("tax", default=Decimal(0)),
                fees=totals.money("fees", default=Decimal(0)),
                grand=totals.money("grand"),
            ),
            payments=[payment for entry in body.each("payments") if (payment := _payment(entry)) is not None],
            purchase_order_number=body.text("purchaseOrderNumber", limit=200),
            requested_ship_date=body.day("requestedShipDate"),
            notes=body.text("notes"),
            attributes=body.attributes("attributes"),
        )
    )


def _lines(body: Reader, max_lines: int) -> list[OrderLine]:
    entries = body.each("items", limit=max_lines)
    if not entries and not any(problem.field == "data.items" for problem in body.problems):
        body.problem("items", "is empty", "An order needs at least one item.")
    lines: list[OrderLine] = []
    seen: set[str] = set()
    for entry in entries:
        item_id = entry.text("id", required=True, limit=64)
        if item_id and item_id in seen:
            entry.problem("id", "stands on another item of this order too", "Item ids are unique within an order.")
        seen.add(item_id)
        quantity = entry.number("quantity", QUANTITY_LIMIT)
        if quantity == 0 and to_decimal(entry.fields.get("quantity")) == 0:
            entry.problem("quantity", "is zero", "Remove the item or order at least some of it.")
        lines.append(
            OrderLine(
                item_id=item_id,
                sku=entry.text("sku", required=True, limit=100),
                name=entry.text("name"),
                quantity=quantity,
                unit_price=entry.money("unitPrice"),
                discount=entry.money("discount", default=Decimal(0)),
                tax=entry.money("tax", default=Decimal(0)),
                taxable=entry.flag("taxable", default=True),
                attributes=entry.attributes("attributes"),
            )
        )
    return lines


def read_buyer(customer: Reader) -> Buyer:
    return Buyer(
        clarity_id=customer.text("id", limit=64),
        email=customer.text("email", limit=250),
        first_name=customer.text("firstName", limit=200),
        last_name=customer.text("lastName", limit=200),
        company=customer.text("company", limit=200),
        phone=customer.text("phone", limit=50),
        account_no=customer.text("accountNumber", limit=30),
        customer_reference=customer.text("externalReference", limit=30),
        tax_exempt_no=customer.text("taxExemptNo", limit=30),
    )


def read_address(address: Reader) -> Address:
    residential = address.fields.get("residential")
    return Address(
        name=address.text("name", limit=200),
        company=address.text("company", limit=200),
        line1=address.text("line1", limit=200),
        line2=address.text("line2", limit=200),
        line3=address.text("line3", limit=200),
        city=address.text("city", limit=200),
        region=address.text("region", limit=100),
        postal_code=address.text("postalCode", limit=20),
        country=address.text("country", limit=100),
        phone=address.text("phone", limit=50),
        residential=residential if isinstance(residential, bool) else None,
    )


def _payment(entry: Reader) -> Payment | None:
    type_ = entry.text("type", required=True, limit=30).lower()

    if type_ not in set(PaymentType):
        if type_:
            entry.problem("type", "is no payment type", f"Known: {', '.join(PaymentType)}.")
        return None
    return Payment(
        gateway=entry.text("gateway", required=True, limit=50),
        method=entry.text("method", limit=50),
        transaction_id=entry.text("transactionId", limit=200),
        authorization_code=entry.text("authorizationCode", limit=100),
        type=PaymentType(type_),
        amount=entry.money("amount"),
        currency=entry.text("currency", limit=3).upper(),
        date=entry.instant("date"),
    )


def order_title(order: Order) -> str:
    """`#W-10432 · 3 lines · 1,284.50 USD`: names the order without personal data."""
    count = len(order.lines)
    lines = "1 line" if count == 1 else f"{count} lines"
    return f"#{order.number} · {lines} · {order.totals.grand:,.2f} {order.currency}"
