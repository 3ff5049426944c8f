"""One order, and its worker dies at every single boundary in turn: each time the same comes out.

`make test` dies at every eighth boundary, `make test-all` at each. How the points are counted: `crash_worker`.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.chaos.auditor import audit, open_sage, read_clarity, read_standings
from tests.chaos.orders import Sent, generate
from tests.e2e.conftest import QUICK, House, pairs_with_pace, running_house
from tests.support.processes import wait_until
from tests.support.sizes import LARGE

EVERY = 1 if LARGE else 14
MOST = 80
"""No plain order has as many boundaries."""


@dataclass
class CrashHouse:
    """A house whose workers die on demand, and the orders that went through it."""

    house: House
    folder: Path
    sent: list[Sent]

    def run(self, point: int) -> list[str]:
        """One order of a new buyer, with the worker dying at this point (0: never); the boundaries it passed."""
        order = a_plain_order(len(self.sent))
        self.sent.append(order)
        plan = self.folder / "plan.new"
        plan.write_text(f"{order.order_id} {point}", "utf-8")
        plan.replace(self.folder / "plan")
        self.house.sandbox.control("clarity", "orders", order.event)

        def complete() -> bool:
            standing = asyncio.run(read_standings(self.house.temporal_address, [order.order_id]))[order.order_id]
            return standing.status == "completed"

        wait_until(f"order {order.order_id} is complete although the worker died at boundary {point}", complete, 150)
        return (self.folder / f"log-{order.order_id}").read_text("utf-8").splitlines()


def a_plain_order(number: int) -> Sent:
    """Always the same two lines, each time by another new buyer."""
    wanted = (one for one in generate(5, 400) if not one.hold and one.buyer and not one.charges)
    buyers: Counter[str] = Counter()
    for one in wanted:
        buyers[one.buyer] += 1
        if buyers[one.buyer] == 1:
            if number == 0:
                now = "2026-11-21T11:15:00-06:00"
                one.event["data"] |= {"createdDate": now, "updatedDate": now}
                return replace(one, event={**one.event, "timestamp": now})
            number -= 1
    raise AssertionError("more orders than buyers")


@pytest.fixture(scope="module")
def crash_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CrashHouse]:
    folder = tmp_path_factory.mktemp("crash")
    crashes = folder / "crashes"
    crashes.mkdir()
    (crashes / "plan").write_text("", "utf-8")
    pairs = pairs_with_pace(
        folder / "pairs", **{**QUICK, "call_limit": 3, "retry_maximum": 1, "poll_heartbeat_timeout": 3}
    )
    flags = ("--no-orders", "--ship-after", "0.5", "--post-after", "0.5")
    environment = {"PAIRS_DIR": str(pairs), "CRASH_FOLDER": str(crashes)}
    with running_house(folder, *flags, environment=environment, module="tests.chaos.crash_house") as house:
        yield CrashHouse(house, crashes, [])


def test_the_worker_dies_at_every_boundary_and_the_same_comes_out(crash_house: CrashHouse) -> None:
    boundaries = crash_house.run(0)
    assert len(boundaries) >= 30, boundaries
    assert {"after create_sales_order", "after post_shipment", "workflow task"} <= {
        line.partition(" ")[2] for line in boundaries
    }
    point, died = 1, 0
    while point <= MOST:
        passed = crash_house.run(point)
        died += any(line.endswith("DIED") for line in passed)
        if point > len(passed):
            break
        point += EVERY
    assert died >= len(boundaries) // EVERY - 2
    sage = open_sage(crash_house.house.sandbox.database)
    standings = asyncio.run(
        read_standings(crash_house.house.temporal_address, [order.order_id for order in crash_house.sent])
    )
    try:
        report = audit(crash_house.sent, sage, read_clarity(crash_house.house.sandbox.clarity_url), standings)
    finally:
        sage.close()
    assert report.findings == []
