"""What the outside systems allow, kept by two processes of each role: silence after a 429, and so many steps a second.

The sandbox's log says who called when; a process is known there by its token, as each signs in for itself.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from tests.e2e.conftest import QUICK, House, change_pair, environment_of, pairs_with_pace, running_house
from tests.support.http import HTTP
from tests.support.orders import PlacedOrder
from tests.support.processes import pid_of, running, wait_until
from tests.support.sandbox import API_KEYS

PEN = ("PEN-GEL-BLU", 1, "1.25")
PROCESSES = 2
WRITES_PER_SECOND = 2
BURST = 2
"""Temporal counts steps that it hands out with a bucket that holds a second's worth."""
SLOTS = 2
"""Steps that a process may have begun before they call: they wait for the one seat of the write lock."""
SIDES = {"sage": "/SO/", "clarity": "/api/"}
"""What the paths of calls hold, signing in excepted."""
TESTS_OWN = {hashlib.sha256(key.encode()).hexdigest()[:12] for key in API_KEYS.values()}
"""The test looks, too; its calls are not the application's."""
UNDER_WAY = 0.5
"""Seconds in which calls may still arrive that were sent before the process had its 429."""


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house with a second process for Sage and a second one for Clarity."""
    folder = tmp_path_factory.mktemp("limits")
    pairs = pairs_with_pace(folder / "pairs", **QUICK, outage_alert=600)
    change_pair(pairs, "sage", writes_per_second=WRITES_PER_SECOND)
    flags = ("--no-orders", "--ship-after", "off", "--post-after", "off")
    with running_house(folder, *flags, environment={"PAIRS_DIR": str(pairs)}) as house:
        environment = environment_of(pid_of(house.temporal_address, "workers", "sage"))
        with (
            running(["workers", "--role", "sage"], folder / "sage.log", environment),
            running(["workers", "--role", "clarity"], folder / "clarity.log", environment),
        ):
            logs = [folder / "sage.log", folder / "clarity.log"]
            wait_until("the second processes work", lambda: all("Working on" in log.read_text() for log in logs), 60)
            yield house


def calls_of(house: House, side: str) -> list[dict[str, Any]]:
    """Calls to a system, signing in and the test's own left out."""
    url = house.sandbox.sage_url if side == "sage" else house.sandbox.clarity_url
    log: list[dict[str, Any]] = HTTP.get(f"{url}/_control/log", timeout=20).json()["calls"]
    return [one for one in log if SIDES[side] in one["call"] and one["caller"] not in TESTS_OWN]


def told_of(calls: list[dict[str, Any]]) -> dict[str, Counter[str]]:
    """How often each caller was told to wait, in which form."""
    told: dict[str, Counter[str]] = defaultdict(Counter)
    for one in calls:
        if one["fault"] == "429":
            told[one["caller"]]["seconds" if one["retry_after"].isdigit() else "date"] += 1
    return told


def told_until(one: dict[str, Any]) -> float:
    """The moment before which nobody calls, in seconds since 1970."""
    if one["retry_after"].isdigit():
        return float(one["at"]) + int(one["retry_after"])
    return parsedate_to_datetime(one["retry_after"]).timestamp()


def test_in_a_long_time_of_429s_no_process_calls_earlier_than_it_was_told(busy: House) -> None:
    house = busy
    opened = [PlacedOrder(house.sandbox, house.api_url, PEN).check_out() for _ in range(4)]
    numbers = [order.sales_order_no for order in opened]
    seen = {side: len(calls_of(house, side)) for side in SIDES}
    for side, path in SIDES.items():
        more: dict[str, Any] = {"contains": path}
        house.sandbox.fault(side, "*", "429", share=0.5, seed=7, retry_after=2, **more)
        house.sandbox.fault(side, "*", "429", share=1.0, retry_after=3, as_date=True, **more)
    # Sage is asked to create orders, Clarity is told of packages.
    later = [PlacedOrder(house.sandbox, house.api_url, PEN).check_out() for _ in range(4)]
    for number in numbers:
        body = {"SalesOrderNo": number, "Packages": [{"TrackingID": f"T-{number}"}]}
        house.sandbox.control("sage", "ship", body)

    def all_told() -> bool:
        tolds = [told_of(calls_of(house, side)[seen[side] :]) for side in SIDES]
        return all(
            len(told) == PROCESSES and all(one.total() >= 5 and len(one) == 2 for one in told.values())
            for told in tolds
        )

    wait_until("both processes of both roles were told again and again, in both forms", all_told, 120)
    for url in (house.sandbox.sage_url, house.sandbox.clarity_url):
        HTTP.delete(f"{url}/_control/faults", timeout=20)
    for order in later:
        order.ship(packages=[{"TrackingID": f"T-{order.id}"}])
    house.sandbox.control("sage", "post", {})
    for order in [*opened, *later]:
        order.until_state("complete", deadline=120)
        order.audit()
    for side in SIDES:
        calls = calls_of(house, side)[seen[side] :]
        for one in calls:
            if one["fault"] == "429":
                early = [
                    other
                    for other in calls
                    if other["caller"] == one["caller"] and one["at"] + UNDER_WAY < other["at"] < told_until(one)
                ]
                assert early == [], one


def test_steps_that_write_begin_no_faster_than_configured_over_two_processes(busy: House) -> None:
    house = busy
    seen = len(calls_of(house, "sage"))
    orders = [PlacedOrder(house.sandbox, house.api_url, PEN).check_out() for _ in range(10)]
    for order in orders:
        order.until_state("open", deadline=120)
    # One call of each step that writes: reserving a number, creating under it. Two for each order, more with repeats.
    steps = [
        one
        for one in calls_of(house, "sage")[seen:]
        if one["call"] in ("POST /SO/SalesOrder/NextNumber", "POST /SO/SalesOrder")
    ]
    assert len(steps) >= 2 * len(orders)
    assert len({one["caller"] for one in steps}) == PROCESSES
    moments = sorted(one["at"] for one in steps)
    for first, begin in enumerate(moments):
        for last, end in enumerate(moments[first:], start=first):
            most = WRITES_PER_SECOND * (end - begin) + BURST + PROCESSES * SLOTS
            assert last - first + 1 <= most + 1e-6, [round(moment - moments[0], 2) for moment in moments]
