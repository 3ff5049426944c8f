"""Sage out with orders waiting, and a store that asks for patience: every process real."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import QUICK, House, pairs_with_pace, running_house
from tests.support.histories import keep_history
from tests.support.orders import PlacedOrder
from tests.support.processes import wait_until

PEN = ("PEN-GEL-BLU", 1, "1.25")
ORDERS = 30
OUT_SECONDS = 15
PROBE_SECONDS = 1.0
TO_CLOSE = 3
WRITE_SLOTS = 2
SIGN_IN = 1
"""A call may need a token first."""
MOST_CALLS = (TO_CLOSE + WRITE_SLOTS) * (1 + SIGN_IN) + OUT_SECONDS / PROBE_SECONDS * (1 + SIGN_IN) + 1
"""Three failed steps close the gate, and each other slot may hold one more; then one probe per interval. Without the
gate each of the waiting orders would call again and again."""


@pytest.fixture(scope="module")
def warehouse_with_alarms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("outages")
    pace = {**QUICK, "probe_interval": PROBE_SECONDS, "outage_alert": 5, "outage_reminder": 600}
    pairs = pairs_with_pace(folder / "pairs", **pace)
    flags = ("--no-orders", "--ship-after", "off", "--post-after", "off")
    with running_house(folder, *flags, environment={"PAIRS_DIR": str(pairs)}) as one:
        yield one


def calls_of(house: House, side: str) -> list[dict[str, Any]]:
    url = house.sandbox.sage_url if side == "sage" else house.sandbox.clarity_url
    calls: list[dict[str, Any]] = httpx.get(f"{url}/_control/log", timeout=20).json()["calls"]
    return calls


def alerts_of(house: House, words: str) -> list[str]:
    text = (house.sandbox.var / "log" / "workers.log").read_text()
    return [line for line in text.splitlines() if " alerts: " in line and re.search(words, line)]


def test_thirty_orders_wait_out_an_outage_of_sage(warehouse_with_alarms: House) -> None:
    house = warehouse_with_alarms
    house.sandbox.fault("sage", "*", "maintenance", seconds=OUT_SECONDS)
    orders = [PlacedOrder(house.sandbox, house.api_url, PEN).check_out() for _ in range(ORDERS)]
    wait_until("people are told", lambda: alerts_of(house, "HIGH: sage of pair demo"), 60)
    assert " order(s) wait" in alerts_of(house, "HIGH: sage of pair demo")[0]
    for order in orders:
        assert order.sales_order_no
    wait_until("people are told that it is over", lambda: alerts_of(house, "sage of pair demo answers again"), 60)
    during = [one for one in calls_of(house, "sage") if one["fault"] == "maintenance"]
    assert len(during) <= MOST_CALLS, [one["call"] for one in during]
    assert len(alerts_of(house, "HIGH: ")) == 1
    assert len(alerts_of(house, "answers again")) == 1
    numbers = house.sandbox.rows("SELECT UDF_WEB_ORDER_ID FROM SO_SalesOrderHeader")
    ours = [row["UDF_WEB_ORDER_ID"] for row in numbers if row["UDF_WEB_ORDER_ID"] in {order.id for order in orders}]
    assert sorted(ours) == sorted(order.id for order in orders)
    for order in orders:
        order.ship(packages=[{"TrackingID": f"T-{order.id}"}])
    house.sandbox.control("sage", "post", {})
    for order in orders:
        order.until_state("complete", deadline=120)
    keep_history(house.temporal_address, f"order-demo-{orders[0].id}", "outage_waited_out")
    keep_history(house.temporal_address, "outage-demo-sage", "outage_watch")


@pytest.mark.parametrize("as_date", [False, True])
def test_no_call_is_made_earlier_than_a_429_told(warehouse_with_alarms: House, as_date: bool) -> None:
    """Whatever order calls: what the store told one of them counts for all of that process."""
    house = warehouse_with_alarms
    seen = len(calls_of(house, "clarity"))
    house.sandbox.fault("clarity", "PATCH /api/v1/orders/*", "429", times=6, retry_after=2, as_date=as_date)
    orders = [PlacedOrder(house.sandbox, house.api_url, PEN).check_out() for _ in range(8)]
    for order in orders:
        order.until_state("open", deadline=120)
    calls = [one for one in calls_of(house, "clarity")[seen:] if one["call"].startswith("PATCH /api/v1/orders/")]
    told = [one for one in calls if one["fault"] == "429"]
    assert len(told) == 6
    for one in told:
        # A date has whole seconds: it may lie up to one second sooner. Calls under way do not know yet.
        quiet = (one["at"] + 0.3, one["at"] + (1 if as_date else 2))
        assert [other for other in calls if quiet[0] < other["at"] < quiet[1]] == [], one
        own = [other for other in calls if other["call"] == one["call"] and other["at"] > one["at"]]
        assert own[0]["at"] >= quiet[1]
