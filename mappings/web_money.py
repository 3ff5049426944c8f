"""What Clarity says of money, read for a reconciliation: orders with their payments, the list of payments, payouts.

In: plain JSON in the contract's words. Out: models of `mappings.ledger`, without anything personal. Tolerant, unlike
the reading of an order for Sage: one payment that makes no sense is counted, never the end of a run.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

from pydantic import Field

from mappings.canonical import PaymentType
from mappings.clarity_order import to_decimal
from mappings.clarity_profile import ClarityOrderState, ClarityStatuses
from mappings.frozen import Frozen
from mappings.ledger import GatewayPayment, Payout, WebOrder


class WebOrderSeen(Frozen):
    """An order, and by what Sage knows it."""

    order: WebOrder
    sales_order_no: str = ""
    """Clarity's `externalReference`, written when the order was created in Sage."""
    purchase_orders: list[str] = Field(default=[], max_length=2)
    """What may stand in CustomerPONo: the buyer's number, the web order's number."""
    currency: str = ""
    created: datetime | None = None
    unreadable: int = 0
    """Payments that make no sense."""


class ListedPayment(Frozen):
    """An entry of the list of payments."""

    order_id: str
    payment: GatewayPayment


WAITS: Final = {
    ClarityOrderState.ON_HOLD: "on hold at Clarity",
    ClarityOrderState.PENDING_PAYMENT: "pending payment at Clarity",
}
"""States in which Sage does not get an order."""


def web_order(body: Mapping[str, Any], statuses: ClarityStatuses) -> WebOrderSeen | None:
    """An order; None when it names none."""
    order_id = _text(body.get("id"))
    if not order_id:
        return None
    entries = body.get("payments")
    read = [gateway_payment(one, _text(body.get("currency"))) for one in entries] if isinstance(entries, list) else []
    numbers = [_text(body.get(name)) for name in ("purchaseOrderNumber", "number")]
    shipping, totals = body.get("shipping"), body.get("totals")
    state = statuses.states.get(_text(body.get("status")).casefold())
    return WebOrderSeen(
        order=WebOrder(
            order_id=order_id,
            cancelled=state is ClarityOrderState.CANCELLED,
            waits=WAITS.get(state, "") if state is not None else "",
            total=to_decimal(totals.get("grand")) if isinstance(totals, Mapping) else None,
            shipping=(to_decimal(shipping.get("amount")) if isinstance(shipping, Mapping) else None) or Decimal(0),
            payments=[one for one in read if one is not None],
        ),
        sales_order_no=_text(body.get("externalReference")),
        purchase_orders=list(dict.fromkeys(number for number in numbers if number)),
        currency=_text(body.get("currency")).upper(),
        created=_instant(body.get("createdDate")),
        unreadable=sum(one is None for one in read),
    )


def gateway_payment(body: Any, currency: str = "") -> GatewayPayment | None:
    """A payment; None when its amount makes no sense or it has no type. `currency` is that of its order."""
    if not isinstance(body, Mapping):
        return None
    amount, kind = to_decimal(body.get("amount")), _text(body.get("type"))
    if amount is None or amount < 0 or not kind:
        return None
    known = kind in set(PaymentType)
    return GatewayPayment(
        gateway=_text(body.get("gateway")),
        method=_text(body.get("method")),
        transaction_id=_text(body.get("transactionId")),
        type=PaymentType(kind) if known else PaymentType.REFUND,
        kind="" if known else kind[:40],
        amount=amount,
        # Gateways write usd.
        currency=(_text(body.get("currency")) or currency).upper(),
        date=_instant(body.get("date")),
        fee=to_decimal(body.get("fee")) or Decimal(0),
        payout_id=_text(body.get("payoutId")),
    )


def listed_payment(body: Any) -> ListedPayment | None:
    """An entry of the list; None when it names no order or makes no sense."""
    payment = gateway_payment(body)
    order_id = _text(body.get("orderId")) if isinstance(body, Mapping) else ""
    return ListedPayment(order_id=order_id, payment=payment) if payment is not None and order_id else None


def payout(body: Any) -> Payout | None:
    """A payout; None when it makes no sense."""
    if not isinstance(body, Mapping):
        return None
    gross, fee, net = (to_decimal(body.get(name)) for name in ("gross", "fee", "net"))
    day = _day(body.get("date"))
    if gross is None or net is None or day is None:
        return None
    return Payout(
        id=_text(body.get("id")),
        gateway=_text(body.get("gateway")),
        day=day,
        currency=_text(body.get("currency")).upper(),
        gross=gross,
        fee=fee if fee is not None else gross - net,
        net=net,
    )


def merge_payments(own: Iterable[GatewayPayment], listed: Iterable[GatewayPayment]) -> list[GatewayPayment]:
    """An order's payments and those of the list that are of it, each movement once.

    Both say the same of the same movement, up to how an instant is written; the list knows fee and payout. What stands
    twice in one of them stands twice.
    """
    found: dict[tuple[str, ...], list[GatewayPayment]] = defaultdict(list)
    for one in own:
        found[_same(one)].append(one)
    places: dict[tuple[str, ...], int] = defaultdict(int)
    for one in listed:
        key = _same(one)
        place = places[key]
        places[key] += 1
        if place < len(found[key]):
            known = found[key][place]
            more = {"fee": one.fee or known.fee, "payout_id": one.payout_id or known.payout_id}
            found[key][place] = known.model_copy(update=more)
        else:
            found[key].append(one)
    return [one for each in found.values() for one in each]


def _same(one: GatewayPayment) -> tuple[str, ...]:
    """What tells two movements apart; without an id also the day."""
    named = one.transaction_id or (str(one.date.astimezone(UTC).date()) if one.date else "")
    return one.gateway.casefold(), one.kind or one.type.value, named, f"{one.amount.normalize():f}", one.currency


def _text(value: object) -> str:
    return "" if value is None or isinstance(value, bool | list | dict) else str(value).strip()[:200]


def _instant(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(_text(value))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _day(value: object) -> date | None:
    try:
        return date.fromisoformat(_text(value)[:10])
    except ValueError:
        return None
