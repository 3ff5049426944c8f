"""The same seed makes the same orders and the same storm; another seed makes others."""

from collections import Counter
from decimal import Decimal

from tests.chaos.orders import HELD, generate
from tests.chaos.storm import VICTIMS, plan


def test_the_same_seed_is_the_same_run() -> None:
    assert list(generate(3, 60)) == list(generate(3, 60))
    assert plan(3, 90.0) == plan(3, 90.0)


def test_a_shorter_run_is_the_beginning_of_a_longer_one() -> None:
    assert list(generate(3, 60))[:20] == list(generate(3, 20))


def test_another_seed_is_another_run() -> None:
    assert [order.total for order in generate(3, 60)] != [order.total for order in generate(4, 60)]
    assert plan(3, 90.0) != plan(4, 90.0)


def test_a_run_has_orders_of_every_kind_and_kills_every_process() -> None:
    orders = list(generate(3, 500))
    assert {order.hold for order in orders} == {"", *HELD}
    assert any(order.account.startswith("01-") for order in orders)
    assert max(Counter(order.buyer for order in orders if order.buyer).values()) > 1
    assert {order.parts for order in orders} == {order.packages for order in orders} == {1, 2}
    assert {blow.how["victim"] for blow in plan(3, 200.0).blows if blow.what == "kill"} == set(VICTIMS)


def test_every_order_but_the_spoilt_ones_adds_up() -> None:
    for order in generate(3, 200):
        totals = order.event["data"]["totals"]
        parts = sum((Decimal(totals[name]) for name in ("items", "shipping", "tax", "fees")), Decimal(0))
        difference = Decimal(totals["grand"]) - (parts - Decimal(totals["discount"]))
        assert difference == (Decimal("0.01") if order.hold == "total_mismatch" else 0), order.order_id
