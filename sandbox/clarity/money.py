"""What the store's gateways did: payments of all orders in one list, and payouts to the bank.

A payment stands in its order, apart from those that a test puts in for an order that there is not. `pay_out` is what a
gateway does every few days: it takes a fee of each capture and transfers the rest; the order does not show that.
"""

import uuid
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal

from pydantic import BaseModel

from sandbox.clarity.store import Document, Store, decimal_of, invalid

SIGNS = {"capture": 1, "refund": -1}


class PayOut(BaseModel):
    """`POST /_control/payouts`: a gateway transfers what it took and has not paid out yet."""

    gateway: str
    date: str = ""
    """The day; today when empty."""
    feeRate: Decimal = Decimal("0.029")
    feeFixed: Decimal = Decimal("0.30")


def payments(store: Store, earliest: datetime | None) -> list[Document]:
    """Every payment with its order's id, oldest change first. One that was paid out changed then."""
    paid_out = {one["of"]: one for one in store.all("paid_out")}
    found = []
    for order in store.all("order"):
        for place, payment in enumerate(order.get("payments") or []):
            if isinstance(payment, dict):
                of = f"{order['id']} {place}"
                more = {name: value for name, value in paid_out.get(of, {}).items() if name != "of"}
                found.append({**payment, **more, "orderId": str(order["id"])})
    found += store.all("loose_payment")
    wanted = [one for one in found if earliest is None or changed(one) >= earliest]
    wanted.sort(key=lambda one: (changed(one), str(one["orderId"]), str(one.get("transactionId"))))
    return [{name: value for name, value in one.items() if name != "updatedDate"} for one in wanted]


def changed(payment: Document) -> datetime:
    """When a payment changed last."""
    text = str(payment.get("updatedDate") or payment.get("date") or "")
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


def payouts(store: Store, earliest: datetime | None) -> list[Document]:
    """Payouts, oldest first; one counts as changed on its day."""
    found = [one for one in store.all("payout") if earliest is None or one["date"] >= earliest.date().isoformat()]
    return sorted(found, key=lambda one: (one["date"], one["id"]))


def add_loose_payment(store: Store, payment: Document) -> Document:
    """A payment whose order the store has not."""
    for name in ("orderId", "gateway", "type", "amount", "currency", "date"):
        if name not in payment:
            raise invalid(name, "is missing")
    store.put("loose_payment", uuid.uuid4().hex, payment)
    return payment


def pay_out(store: Store, wanted: PayOut) -> Document:
    """Take fees, name the payout on each payment, keep it."""
    now = datetime.now(UTC)
    payout_id = f"po_{uuid.uuid4().hex[:12]}"
    gross, fees, currency = Decimal(0), Decimal(0), ""
    known = {one["of"] for one in store.all("paid_out")}
    for order in store.all("order"):
        for place, payment in enumerate(order.get("payments") or []):
            of = f"{order['id']} {place}"
            if not isinstance(payment, dict) or payment.get("gateway") != wanted.gateway or of in known:
                continue
            sign, amount = SIGNS.get(str(payment.get("type")), 0), decimal_of(payment.get("amount"))
            if not sign:
                continue
            fee = wanted.feeFixed + amount * wanted.feeRate if sign > 0 else Decimal(0)
            fee = fee.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)
            currency = str(payment.get("currency") or order.get("currency") or "")
            gross, fees = gross + sign * amount, fees + fee
            paid = {"of": of, "fee": str(fee), "payoutId": payout_id, "updatedDate": now.isoformat()}
            store.put("paid_out", of, paid)
    payout = {
        "id": payout_id,
        "gateway": wanted.gateway,
        "date": wanted.date or now.date().isoformat(),
        "currency": currency,
        "gross": str(gross),
        "fee": str(fees),
        "net": str(gross - fees),
    }
    store.put("payout", payout_id, payout)
    return payout
