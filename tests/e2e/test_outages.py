"""Sage out with orders waiting, and a store that asks for patience: every process real."""

import hashlib
import os
import re
import signal
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from tests.e2e.conftest import QUICK, House, change_pair, pairs_with_pace, running_house
from tests.support.http import HTTP
from tests.support.orders import PlacedOrder
from tests.support.processes import pid_of, wait_until
from tests.support.sandbox import API_KEYS

TESTS_OWN = {hashlib.sha256(key.encode()).hexdigest()[:12] for key in API_KEYS.values()}
"""Callers in the sandbox's log that are the test itself."""
PEN = ("PEN-GEL-BLU", 1, "1.25")
PROBE_SECONDS = 1.0


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
    calls: list[dict[str, Any]] = HTTP.get(f"{url}/_control/log", timeout=20).json()["calls"]
    return calls


def alerts_of(house: House, words: str) -> list[str]:
    text = (house.sandbox.var / "log" / "workers.log").read_text()
    return [line for line in text.splitlines() if " alerts: " in line and re.search(words, line)]


def test_no_call_is_made_earlier_than_a_429_told(warehouse_with_alarms: House) -> None:
    """Whatever order calls: what the store told one of them counts for all of that process."""
    house = warehouse_with_alarms
    seen = len(calls_of(house, "clarity"))
    for as_date in (False, True):
        route = "PATCH /api/v1/orders/*"
        house.sandbox.fault("clarity", route, "429", times=3, retry_after=2, as_date=as_date)
    orders = [PlacedOrder(house.sandbox, house.api_url, PEN).check_out() for _ in range(8)]
    for order in orders:
        order.until_state("open", deadline=120)
    calls = [one for one in calls_of(house, "clarity")[seen:] if one["call"].startswith("PATCH /api/v1/orders/")]
    told = [one for one in calls if one["fault"] == "429"]
    assert len(told) == 6
    for one in told:
        # A date has whole seconds: it may lie up to one second sooner. Calls under way do not know yet.
        quiet = (one["at"] + 0.3, one["at"] + (2 if one["retry_after"].isdigit() else 1))
        assert [other for other in calls if quiet[0] < other["at"] < quiet[1]] == [], one
        own = [other for other in calls if other["call"] == one["call"] and other["at"] > one["at"]]
        assert own[0]["at"] >= quiet[1]


def log_of(house: House, name: str) -> str:
    return (house.sandbox.var / "log" / f"{name}.log").read_text()


def kill(house: House, role: str) -> None:
    """A worker process, which the supervisor starts again."""
    os.kill(pid_of(house.temporal_address, "workers", role), signal.SIGKILL)


def finish(house: House, orders: list[PlacedOrder]) -> None:
    for order in orders:
        order.ship(packages=[{"TrackingID": f"T-{order.id}"}])
    house.sandbox.control("sage", "post", {})
    for order in orders:
        order.until_state("complete", deadline=120)


def test_an_outage_is_told_once_although_the_worker_is_killed_in_it_twice(warehouse_with_alarms: House) -> None:
    house = warehouse_with_alarms
    first = PlacedOrder(house.sandbox, house.api_url, PEN).check_out()
    first.until_state("open")
    told, cleared = len(alerts_of(house, "HIGH: sage")), len(alerts_of(house, "sage of pair demo answers again"))
    closed = log_of(house, "workers-sage").count("The gate of sage of pair demo closes")
    house.sandbox.fault("sage", "*", "503", share=1.0)
    orders = [PlacedOrder(house.sandbox, house.api_url, PEN).check_out() for _ in range(4)]
    wait_until(
        "the gate closes", lambda: log_of(house, "workers-sage").count("The gate of sage of pair demo closes") > closed
    )
    kill(house, "sage")
    wait_until("people are told", lambda: len(alerts_of(house, "HIGH: sage")) > told)
    stayed = log_of(house, "workers-sage").count("stays closed")
    kill(house, "sage")
    wait_until("another process waits, too", lambda: log_of(house, "workers-sage").count("stays closed") > stayed)
    HTTP.delete(f"{house.sandbox.sage_url}/_control/faults", timeout=20)
    for order in orders:
        assert order.sales_order_no
    wait_until(
        "people are told that it is over",
        lambda: len(alerts_of(house, "sage of pair demo answers again")) > cleared,
    )
    finish(house, [first, *orders])
    assert len(alerts_of(house, "HIGH: sage")) == told + 1
    assert len(alerts_of(house, "sage of pair demo answers again")) == cleared + 1


def test_in_a_maintenance_window_nobody_calls_and_nobody_is_told(warehouse_with_alarms: House) -> None:
    house = warehouse_with_alarms
    zone = ZoneInfo(yaml.safe_load((house.pairs_dir / "demo.yaml").read_text("utf-8"))["company"]["time_zone"])
    # Windows have whole minutes: this one ends with the next minute that is far enough away.
    end = (datetime.now(zone) + timedelta(seconds=80)).replace(second=0, microsecond=0)
    window = {"start": f"{end - timedelta(minutes=10):%H:%M}", "end": f"{end:%H:%M}"}
    for section in ("sage", "clarity"):
        change_pair(house.pairs_dir, section, maintenance=[window])
    alerts = len(alerts_of(house, ""))
    kill(house, "sage")
    kill(house, "orders")
    began = time.time()
    orders = [PlacedOrder(house.sandbox, house.api_url, PEN).check_out() for _ in range(4)]

    def gates(words: str) -> set[str]:
        lines = [line for name in ("workers", "workers-sage") for line in log_of(house, name).splitlines()]
        return {gate for gate in ("sage", "odbc", "clarity") if any(f"{gate} of pair demo {words}" in x for x in lines)}

    wait_until("every gate is closed", lambda: len(gates("closes: maintenance window")) == 3)
    for order in orders:
        wait_until("the order is there and waits", lambda order=order: order.view().get("state") == "received")  # type: ignore[misc]
    for order in orders:
        order.until_state("open", deadline=180)
    finish(house, orders)
    for side in ("sage", "clarity"):
        # The sandbox's own log, from the kill to the end of the window.
        calls = [one for one in calls_of(house, side) if began < one["at"] < end.timestamp()]
        assert [one["call"] for one in calls if one["caller"] not in TESTS_OWN] == []
    assert len(alerts_of(house, "")) == alerts
