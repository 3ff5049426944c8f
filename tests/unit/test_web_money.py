"""Clarity's money as it is read for a reconciliation: tolerant, once, and only what is this pair's business."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.money import ORDERS, ClarityMoneyActivities
from activities.reconciliation import booked_in
from connectors.clarity.client import OrderPage
from connectors.errors import NotFound
from contracts.reconciliation import MoneyPage, ReadWebOrders
from mappings.ledger import GatewayPayment
from mappings.pair import Pair
from mappings.web_money import gateway_payment, merge_payments, payout, web_order

CAPTURE = {
    "gateway": "stripe", "transactionId": "ch_1", "type": "capture", "amount": "10.00", "currency": "USD",
    "date": "2026-11-20T10:00:00Z",
}  # fmt: skip


def an_order(order_id: str, **changes: Any) -> dict[str, Any]:
    return {"id": order_id, "number": f"W-{order_id}", "currency": "USD", "status": "Pending",
            "createdDate": "2026-11-20T10:00:00Z", "payments": [CAPTURE], **changes}  # fmt: skip


def read(body: dict[str, Any]) -> GatewayPayment:
    payment = gateway_payment(body)
    assert payment is not None
    return payment


@pytest.mark.parametrize(
    "wrong", [None, 5, {}, {**CAPTURE, "amount": "ten"}, {**CAPTURE, "amount": "-1"}, {**CAPTURE, "type": ""}]
)
def test_a_payment_that_makes_no_sense_is_counted(pair: Pair, wrong: Any) -> None:
    seen = web_order(an_order("1", payments=[CAPTURE, wrong]), pair.clarity.statuses)
    assert seen is not None
    assert (len(seen.order.payments), seen.unreadable) == (1, 1)


def test_what_is_no_payment_type_is_kept_for_a_person_under_its_own_word(pair: Pair) -> None:
    seen = web_order(an_order("1", payments=[CAPTURE, {**CAPTURE, "type": "chargeback"}]), pair.clarity.statuses)
    assert seen is not None
    assert [one.kind for one in seen.order.payments] == ["", "chargeback"]
    assert len(merge_payments(seen.order.payments, seen.order.payments)) == 2


def test_what_both_lists_tell_is_one_payment_whatever_its_instant_looks_like() -> None:
    own = [read(CAPTURE), read({**CAPTURE, "type": "refund", "amount": "3"})]
    listed = [read({**CAPTURE, "date": "2026-11-20T04:00:00-06:00", "amount": 10, "fee": "0.59", "payoutId": "po_1"})]
    merged = merge_payments(own, listed)
    assert [(one.type.value, one.fee, one.payout_id) for one in merged] == [
        ("capture", Decimal("0.59"), "po_1"), ("refund", Decimal(0), "")
    ]  # fmt: skip
    assert len(merge_payments(own, [*listed, *listed])) == 3


def test_a_currency_in_small_letters_is_no_foreign_one(pair: Pair) -> None:
    seen = web_order(an_order("1", currency="usd", payments=[{**CAPTURE, "currency": "usd"}]), pair.clarity.statuses)
    assert seen is not None
    assert (seen.currency, [one.currency for one in seen.order.payments]) == ("USD", ["USD"])
    paid_out = payout({"id": "po", "gateway": "g", "date": "2026-11-20", "gross": "1", "net": "1", "currency": "usd"})
    assert paid_out is not None
    assert paid_out.currency == "USD"


def page_of(first: date, last: date) -> MoneyPage:
    return MoneyPage(pair="demo", since=datetime(2026, 1, 1, tzinfo=UTC), first=first, last=last)


async def test_days_are_the_companys(pair: Pair) -> None:
    late = {**CAPTURE, "date": "2026-11-21T05:30:00Z"}
    activities = ClarityMoneyActivities(pair, Store(an_order("1", payments=[late])))  # type: ignore[arg-type]
    for day, paid in ((date(2026, 11, 20), ["1"]), (date(2026, 11, 21), [])):
        read = await ActivityEnvironment().run(activities.list_web_orders, page_of(day, day))
        assert (list(read.keys), read.paid, read.oldest) == (["1"], paid, day if paid else None)
        assert read.first_days == ({} if paid else {"1": date(2026, 11, 20)})


def test_an_order_that_clarity_keeps_back_waits(pair: Pair) -> None:
    seen = web_order(an_order("1", status=pair.clarity.statuses.on_hold), pair.clarity.statuses)
    assert seen is not None
    assert seen.order.waits == "on hold at Clarity"
    assert payout({"id": "po", "gateway": "stripe", "date": "never", "gross": "1", "net": "1"}) is None


class Store:
    """A store with lists of one page."""

    page_size = 50

    def __init__(self, *orders: dict[str, Any], payouts: list[dict[str, Any]] | None = None) -> None:
        self.orders = {order["id"]: order for order in orders}
        self.payouts = payouts

    async def list_orders(self, since: datetime, page: int = 0) -> OrderPage:
        return OrderPage(items=list(self.orders.values()), totalCount=len(self.orders))

    async def get_order(self, order_id: str) -> dict[str, Any]:
        if order_id not in self.orders:
            raise NotFound("Clarity", "GET order", "no such order", status=404)
        return self.orders[order_id]

    async def list_payouts(self, since: datetime, page: int = 0) -> OrderPage | None:
        return None if self.payouts is None else OrderPage(items=self.payouts, totalCount=len(self.payouts))


async def test_orders_from_before_the_go_live_or_of_another_pairs_currency_are_ignored(pair: Pair) -> None:
    company = pair.company.model_copy(update={"other_currencies": {"CAD": "canada"}})
    store = Store(
        an_order("1"), an_order("2", createdDate="2020-01-01T00:00:00Z"), an_order("3", currency="CAD"),
        an_order("4", payments=[]),
    )  # fmt: skip
    activities = ClarityMoneyActivities(pair.model_copy(update={"company": company}), store)  # type: ignore[arg-type]
    page = page_of(date(2026, 11, 1), date(2026, 11, 30))
    listed = await ActivityEnvironment().run(activities.list_web_orders, page)
    assert (listed.keys, listed.paid) == ({"1": ["", "W-1"]}, ["1"])
    assert [one.order_id for one in ORDERS.validate_json(listed.content)] == ["1"]
    assert (listed.ignored, listed.entries, listed.total, listed.next_page) == (["2", "3"], 4, 4, None)
    wanted = ReadWebOrders(pair="demo", order_ids=["1", "2", "4", "9"])
    asked = await ActivityEnvironment().run(activities.read_web_orders, wanted)
    assert (list(asked.keys), asked.ignored, asked.missing) == (["1", "4"], ["2"], ["9"])


async def test_payouts_of_the_first_days_and_of_other_currencies_are_left_out(pair: Pair) -> None:
    def one(id_: str, day: str, currency: str = "USD") -> dict[str, Any]:
        return {"id": id_, "gateway": "stripe", "date": day, "currency": currency, "gross": "1", "fee": "0", "net": "1"}

    store = Store(
        payouts=[one("early", "2026-01-05"), one("euro", "2026-11-20", "EUR"), one("right", "2026-11-20"), {}]
    )
    page = page_of(date(2026, 1, 1), date(2026, 11, 30))
    activities = ClarityMoneyActivities(pair, store)  # type: ignore[arg-type]
    found = await ActivityEnvironment().run(activities.list_payouts, page)
    assert ([payout.id for payout in found.payouts or []], found.unreadable) == (["right"], 1)
    silent = ClarityMoneyActivities(pair, Store())  # type: ignore[arg-type]
    assert (await ActivityEnvironment().run(silent.list_payouts, page)).payouts is None


def test_without_a_list_of_what_was_booked_nothing_was(tmp_path: Any) -> None:
    assert booked_in(tmp_path / "booked.csv") == []
