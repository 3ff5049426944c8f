"""Shadow mode: what the integration would have done with a web order, held against the sales order that people typed.

In: `ShadowOrder`s, what a pair in shadow mode made of web orders without writing, and `TypedOrder`s of Sage. Out:
`ComparedOrder`s. Pure. Both sides' values stand in a difference, addresses among them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Any, Final, NamedTuple

from mappings.customer_match import is_same_place
from mappings.decisions import Decisions
from mappings.frozen import Frozen
from mappings.pair import Pair
from mappings.problems import Finding, HoldReason
from mappings.sales_order import (
    CreatedLine,
    CustomerKey,
    Draft,
    ExpectedTotals,
    NewCustomer,
    SageFacts,
    SageItemType,
    SalesOrder,
    SalesOrderLine,
    SalesOrderOnSage,
)
from mappings.similarity import is_same_name, street_of

NEAR: Final = timedelta(days=7)
"""An order with the same e-mail and total is suggested when it was entered within so many days of the web order."""
EARLIEST: Final = timedelta(days=1)
"""OrderDate is the day of the company, or of whoever opened Sage the evening before."""
SUGGESTIONS: Final = 3
SHOWN: Final = 200
"""Characters of a value in a difference."""
NEW_CUSTOMER: Final = "(a new customer)"
ADDRESS: Final = ("Address1", "Address2", "Address3", "City", "State", "ZipCode", "CountryCode")


class ShadowOrder(Frozen):
    """Result of `ShadowOrderWorkflow`: the Sage order that would have been created, or why none would have been."""

    order_id: str
    order_number: str = ""
    purchase_order: str = ""
    """The buyer's own, as Clarity has it."""
    created: datetime
    """The checkout; where Clarity does not say, when the order came."""
    mapping_version: str = ""
    cancelled: bool = False
    """Cancelled at Clarity: nothing would have been created."""
    customer: CustomerKey | None = None
    customer_by: str = ""
    """What named the account."""
    new_customer: NewCustomer | None = None
    """The account that would have been created."""
    sales_order: SalesOrder | None = None
    """As the gateway would have got it; without ItemCodes where the items were not found."""
    on_sage: SalesOrderOnSage | None = None
    """Sage's preview of it; None where there is no account yet, no preview, or a hold came before."""
    expected: ExpectedTotals | None = None
    holds: list[Finding] = []
    """Everything that would have held it, the first hold first."""
    remarks: list[str] = []


class TypedOrder(SalesOrderOnSage):
    """A sales order as people typed it: quantities as entered, header columns of SO_SalesOrderHeader or its history."""

    OrderDate: date | None = None
    ShipToCode: str = ""
    ShipToName: str = ""
    ShipToAddress1: str = ""
    ShipToAddress2: str = ""
    ShipToAddress3: str = ""
    ShipToCity: str = ""
    ShipToState: str = ""
    ShipToZipCode: str = ""
    ShipToCountryCode: str = ""
    ShipVia: str = ""
    WarehouseCode: str = ""
    TermsCode: str = ""
    EmailAddress: str = ""
    customer_since: date | None = None
    """AR_Customer.DateCreated of its account."""


class ShadowOutcome(StrEnum):
    """What the comparison found of one web order."""

    SAME = "same"
    DIFFERS = "differs"
    NOT_TYPED_YET = "not_typed_yet"
    WOULD_HOLD = "would_hold"
    NOT_FOUND = "not_found"
    CANCELLED = "cancelled"
    """Cancelled at Clarity, and not in Sage."""


class FieldDifference(Frozen):
    """One thing in which both orders differ."""

    field: str
    """`customer`, `ship_to`, `lines`, `freight`, `discount`, `tax`, `total`, `terms`, `ship_via`, `warehouse`,
    `typed_twice`, `cancelled`."""
    ItemCode: str = ""
    """With `lines` and `warehouse`: of which item."""
    ours: str
    """What the integration would have written."""
    theirs: str
    """What stands in Sage."""


class HoldShown(Frozen):
    """A hold that a person would have met."""

    reason: HoldReason
    sentence: str


class ComparedOrder(Frozen):
    """One web order, compared."""

    order_id: str
    order_number: str
    created: date
    outcome: ShadowOutcome
    SalesOrderNo: str = ""
    differences: list[FieldDifference] = []
    holds: list[HoldShown] = []
    new_customer: bool = False
    """The integration would have created one."""
    suggestions: list[str] = []
    """SalesOrderNos with the same e-mail and total: likely, and never taken for granted."""


# ---- what would have been done --------------------------------------------------------------------------------------


def undisturbed(facts: SageFacts) -> Decisions:
    """What a shadow order does not stop at: what people have typed meanwhile looks as if the order had been here."""
    late = ("invoiced_before", "same_basket")
    return Decisions().approve(
        name for finding in facts.findings if finding.check in late for name in finding.approvals
    )


def purchase_order_of(payload: Mapping[str, Any]) -> str:
    """The buyer's purchase order number in a webhook's body; empty without."""
    body = payload.get("data")
    value = body.get("purchaseOrderNumber") if isinstance(body, Mapping) else None
    return str(value).strip()[:64] if isinstance(value, str | int) and not isinstance(value, bool) else ""


def would_be(draft: Draft, facts: SageFacts) -> SalesOrder:
    """The order as far as the look at Sage resolved it, on its account when there is one."""
    customer = facts.match.customer
    return facts.sales_order if customer is None else facts.sales_order.for_customer(customer)


# ---- finding the typed order ----------------------------------------------------------------------------------------


def typed_numbers(number: str, order_id: str, purchase_order: str, pair: Pair) -> list[str]:
    """What may stand in CustomerPONo of the typed order, the likeliest first (`shadow.typed_as`)."""
    limit = pair.columns.get("CustomerPONo", 15)
    given = {"number": number, "id": order_id, "purchase_order": purchase_order}
    texts = []
    for form in pair.shadow.typed_as:
        name = form[form.index("{") + 1 : form.index("}")]
        if given[name]:
            text = form.replace(f"{{{name}}}", given[name])
            texts += [text, text[:limit].rstrip()]
    return list(dict.fromkeys(texts))


def is_foreign(typed: TypedOrder, order_id: str, created: date | None) -> bool:
    """Whether it is surely another order's, or a deleted one: of another web order, or entered before the checkout
    (`created`; None: the day does not count, because a person named it)."""
    if typed.is_deleted or typed.UDF_WEB_ORDER_ID:
        return typed.is_deleted or order_id != typed.UDF_WEB_ORDER_ID
    return created is not None and typed.OrderDate is not None and typed.OrderDate < created - EARLIEST


def suggestions_for(email: str, total: Decimal, day: date, heads: Iterable[TypedOrder]) -> list[str]:
    """SalesOrderNos with this e-mail and total, entered near the day; the nearest first."""
    if not email:
        return []
    found = [
        (abs(head.OrderDate - day), head.SalesOrderNo)
        for head in heads
        if head.OrderDate is not None
        and abs(head.OrderDate - day) <= NEAR
        and head.total == total
        and head.EmailAddress.strip().casefold() == email.casefold()
    ]
    return [number for _, number in sorted(found)][:SUGGESTIONS]


# ---- comparing ------------------------------------------------------------------------------------------------------


def compare_order(
    shadow: ShadowOrder, typed: Sequence[TypedOrder], heads: Iterable[TypedOrder], pair: Pair, today: date
) -> ComparedOrder:
    """`typed`: the orders that carry its number; `heads`: open orders of Sage, to suggest one when none of these may be
    it."""
    created = shadow.created.astimezone(pair.company.zone).date()
    ours = [one for one in typed if not is_foreign(one, shadow.order_id, created)]
    found = [(differences_of(shadow, one, pair), one) for one in ours]
    found.sort(key=lambda pair_: (len(pair_[0]), not pair_[1].live, pair_[1].SalesOrderNo))
    differences, best = found[0] if found else ([], None)
    if len(ours) > 1:
        numbers = ", ".join(sorted(one.SalesOrderNo for one in ours))
        differences = [*differences, FieldDifference(field="typed_twice", ours="one order", theirs=numbers)]
    suggestions: list[str] = []
    if best is None and shadow.expected is not None and shadow.sales_order is not None:
        email = shadow.sales_order.EmailAddress
        suggestions = suggestions_for(email, _total(shadow), created, heads)
    if shadow.cancelled and best is None:
        outcome = ShadowOutcome.CANCELLED
    elif shadow.holds:
        outcome, differences = ShadowOutcome.WOULD_HOLD, []
    elif best is not None:
        outcome = ShadowOutcome.DIFFERS if differences else ShadowOutcome.SAME
    elif today - created <= timedelta(days=pair.shadow.typed_within_days):
        outcome = ShadowOutcome.NOT_TYPED_YET
    else:
        outcome = ShadowOutcome.NOT_FOUND
    return ComparedOrder(
        order_id=shadow.order_id,
        order_number=shadow.order_number or shadow.order_id,
        created=created,
        outcome=outcome,
        SalesOrderNo=best.SalesOrderNo if best is not None else "",
        differences=differences,
        holds=[HoldShown(reason=one.reason, sentence=_sentence(one)) for one in shadow.holds],
        new_customer=shadow.new_customer is not None,
        suggestions=suggestions,
    )


def differences_of(shadow: ShadowOrder, typed: TypedOrder, pair: Pair) -> list[FieldDifference]:
    """In what the order that would have been created is not the typed one; nothing where it was not worked out."""
    order = shadow.sales_order
    if shadow.cancelled:
        return [FieldDifference(field="cancelled", ours="cancelled at Clarity", theirs="in Sage")]
    if order is None:
        return []
    created = shadow.created.astimezone(pair.company.zone).date()
    return [
        *_customer(shadow, typed, created),
        *_ship_to(order, typed),
        *_lines(shadow.on_sage.Lines if shadow.on_sage else order.Lines, typed.Lines, pair),
        *_amounts(shadow, typed, pair),
        *_words(order, typed),
    ]


def _customer(shadow: ShadowOrder, typed: TypedOrder, created: date) -> Iterator[FieldDifference]:
    theirs = CustomerKey(ARDivisionNo=typed.ARDivisionNo, CustomerNo=typed.CustomerNo)
    if shadow.customer == theirs:
        return
    if shadow.customer is None and typed.customer_since is not None and typed.customer_since >= created:
        # People created one, too.
        return
    yield FieldDifference(field="customer", ours=str(shadow.customer or NEW_CUSTOMER), theirs=str(theirs))


def _ship_to(order: SalesOrder, typed: TypedOrder) -> Iterator[FieldDifference]:
    if order.ShipToCode and order.ShipToCode == typed.ShipToCode:
        return
    here, there = (street_of(one.ShipToAddress1, one.ShipToAddress2, one.ShipToAddress3) for one in (order, typed))
    places = [(one.ShipToZipCode, one.ShipToCity, one.ShipToCountryCode) for one in (order, typed)]
    if here == there and is_same_place(*places) and is_same_name(order.ShipToName, typed.ShipToName):
        return
    yield FieldDifference(field="ship_to", ours=_address(order), theirs=_address(typed))


def _address(order: SalesOrder | TypedOrder) -> str:
    parts = [order.ShipToName, *(str(getattr(order, f"ShipTo{name}")) for name in ADDRESS)]
    return ", ".join(part for part in parts if part)[:SHOWN]


class _Ordered(NamedTuple):
    """What is ordered of one item, in its standard unit."""

    quantity: Decimal
    amount: Decimal
    warehouses: frozenset[str]
    priced: bool = True
    """False: at Sage's own price, which no preview told."""

    @property
    def price(self) -> Decimal:
        return (self.amount / self.quantity if self.quantity else self.amount).quantize(
            Decimal("0.0001"), rounding=ROUND_HALF_UP
        )


def _by_item(lines: Iterable[SalesOrderLine | CreatedLine]) -> dict[str, _Ordered]:
    found: dict[str, _Ordered] = {}
    for line in lines:
        if line.ItemType is SageItemType.COMMENT or (isinstance(line, CreatedLine) and line.is_component):
            continue
        before = found.get(line.ItemCode, _Ordered(Decimal(0), Decimal(0), frozenset()))
        found[line.ItemCode] = _Ordered(
            before.quantity + line.QuantityOrdered * (line.UnitOfMeasureConvFactor or Decimal(1)),
            before.amount + line.QuantityOrdered * (line.UnitPrice or Decimal(0)),
            before.warehouses | ({line.WarehouseCode} if line.WarehouseCode else frozenset()),
            before.priced and line.UnitPrice is not None,
        )
    return found


def _lines(
    wanted: Iterable[SalesOrderLine | CreatedLine], typed: Iterable[CreatedLine], pair: Pair
) -> Iterator[FieldDifference]:
    """By ItemCode in standard units: two boxes are twelve pieces, and two lines of one item are one."""
    ours, theirs = _by_item(wanted), _by_item(typed)
    for code in dict.fromkeys([*ours, *theirs]):
        here, there = ours.get(code), theirs.get(code)
        if here is None or there is None:
            shown = [
                "none" if one is None else f"{_plain(one.quantity)} at {_plain(one.price)}" for one in (here, there)
            ]
            yield FieldDifference(field="lines", ItemCode=code, ours=shown[0], theirs=shown[1])
            continue
        if here.quantity != there.quantity:
            yield FieldDifference(
                field="lines", ItemCode=code, ours=_plain(here.quantity), theirs=_plain(there.quantity)
            )
        other_amount = here.priced and abs(here.amount - there.amount) > pair.shadow.tolerance
        if other_amount and here.price != there.price:
            ours_, theirs_ = f"price {_plain(here.price)}", f"price {_plain(there.price)}"
            yield FieldDifference(field="lines", ItemCode=code, ours=ours_, theirs=theirs_)
        if here.warehouses and there.warehouses and here.warehouses != there.warehouses:
            names = (", ".join(sorted(one.warehouses)) for one in (here, there))
            yield FieldDifference(field="warehouse", ItemCode=code, ours=next(names), theirs=next(names))


def _total(shadow: ShadowOrder) -> Decimal:
    if shadow.on_sage is not None:
        return shadow.on_sage.total
    return shadow.expected.grand if shadow.expected is not None else Decimal(0)


def _amounts(shadow: ShadowOrder, typed: TypedOrder, pair: Pair) -> Iterator[FieldDifference]:
    sage, expected = shadow.on_sage, shadow.expected
    ours: dict[str, Decimal | None] = {
        "freight": sage.FreightAmt if sage else expected.freight if expected else None,
        "discount": sage.DiscountAmt if sage else None,
        "tax": sage.SalesTaxAmt if sage else expected.tax if expected else None,
        "total": _total(shadow) if sage or expected else None,
    }
    theirs = {
        "freight": typed.FreightAmt,
        "discount": typed.DiscountAmt,
        "tax": typed.SalesTaxAmt,
        "total": typed.total,
    }
    for field, amount in ours.items():
        if amount is not None and abs(amount - theirs[field]) > pair.shadow.tolerance:
            yield FieldDifference(field=field, ours=f"{amount:.2f}", theirs=f"{theirs[field]:.2f}")


def _words(order: SalesOrder, typed: TypedOrder) -> Iterator[FieldDifference]:
    for field, ours, theirs in (
        ("terms", order.TermsCode, typed.TermsCode),
        ("ship_via", order.ShipVia, typed.ShipVia),
        ("warehouse", order.WarehouseCode, typed.WarehouseCode),
    ):
        if ours and ours != theirs:
            yield FieldDifference(field=field, ours=ours, theirs=theirs or "(empty)")


def _sentence(finding: Finding) -> str:
    return "; ".join(f"{one.field}: {one.message}" for one in finding.problems[:3])[: SHOWN * 2]


def _plain(value: Decimal) -> str:
    return f"{value.normalize():f}"


# ---- adding up ------------------------------------------------------------------------------------------------------


class ComparisonTotals(Frozen):
    """How many orders, and in what they differ."""

    orders: dict[ShadowOutcome, int] = {}
    fields: dict[str, int] = {}
    """Field → orders that differ in it."""
    holds: dict[HoldReason, int] = {}
    """Reason → orders that would be held with it first."""
    new_customers: int = 0


def totals_of(compared: Iterable[ComparedOrder]) -> ComparisonTotals:
    """Everything counted once per order."""
    orders: dict[ShadowOutcome, int] = {}
    fields: dict[str, int] = {}
    holds: dict[HoldReason, int] = {}
    new_customers = 0
    for one in compared:
        orders[one.outcome] = orders.get(one.outcome, 0) + 1
        for field in dict.fromkeys(difference.field for difference in one.differences):
            fields[field] = fields.get(field, 0) + 1
        for hold in one.holds[:1]:
            holds[hold.reason] = holds.get(hold.reason, 0) + 1
        new_customers += one.new_customer
    return ComparisonTotals(orders=orders, fields=fields, holds=holds, new_customers=new_customers)
