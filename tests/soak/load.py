"""The load: orders at a rate, as long as asked, never more than so many under way. All of them can be completed.

While it warms up it knows no rate, so that what is as large as the most that is under way at once (pools, heaps,
caches of workflows) has that size before growth is measured, and not whenever the machine is slow for a while.

In: a running house, a seed. Out: how many were sent and how fast. The orders are those of `tests.chaos.orders`, in
another mixture: the same seed makes the same ones, so that the auditor makes them again instead of keeping them.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any

import httpx
from temporalio.client import Client
from temporalio.service import RPCError

from tests.chaos.auditor import Report, audit, open_sage, read_clarity, read_standings
from tests.chaos.orders import GOODS, Sent, one_order
from tests.e2e.conftest import House
from tests.soak.growth import WARM_UP_SHARE

KINDS = (("known", 30), ("dealer", 55), ("new", 10), ("shared", 5))
"""Kinds of buyers and how often each comes: most shop again. None is held."""
PLENTY = "90000000"
"""Of every item, and of every dealer's credit: an hour must not sell them out."""
LOOK_SECONDS = 1.0
TURN_SECONDS = 0.05
RUNNING = "WorkflowType='OrderFulfillmentWorkflow' AND ExecutionStatus='Running'"


def orders(seed: int, start: int = 1) -> Iterator[Sent]:
    """Orders without end."""
    chance = random.Random(f"soak {seed}")  # noqa: S311 - repeatable, nothing secret
    kinds, weights = [kind for kind, _ in KINDS], [weight for _, weight in KINDS]
    buyers: list[dict[str, Any]] = []
    for number in count(start):
        kind = chance.choices(kinds, weights)[0]
        yield one_order(chance, f"S{seed % 10_000:04d}-{number:05d}", number, kind, buyers)
        del buyers[:-3]


def known_again(seed: int, wanted: int) -> list[Sent]:
    """The first orders of a seed as the auditor needs them: without their webhooks."""
    found = []
    for order, _ in zip(orders(seed), range(wanted), strict=False):
        order.event = {}
        found.append(order)
    return found


def fill_the_shelves(house: House) -> None:
    """Goods and credit for as long as it takes."""
    for item in GOODS:
        house.sandbox.control("sage", "item", {"ItemCode": item, "OnHand": {"000": PLENTY}})
    for customer_no in ("ABF", "0001100"):
        columns = {"CreditLimit": PLENTY}
        house.sandbox.control("sage", "customer", {"ARDivisionNo": "01", "CustomerNo": customer_no, "Columns": columns})


@dataclass
class Load:
    """Sends orders and knows how many are under way."""

    house: House
    client: Client
    seed: int
    rate: float
    """Orders per second at most, after warm-up; 0: as fast as `at_once` allows."""
    at_once: int
    sent: int = 0
    running: int = 0
    """Orders that are sent and not complete, as last counted."""
    seconds: float = 0.0
    """From the first order to the end of sending."""

    async def send(self, seconds: float) -> None:
        """Orders for so long."""
        counting = asyncio.create_task(self._keep_counting())
        began = time.monotonic()
        paced_from, sent_before = began + WARM_UP_SHARE * seconds, 0
        try:
            async with httpx.AsyncClient(timeout=60) as http:
                for order in orders(self.seed):
                    due = began
                    if time.monotonic() < paced_from:
                        sent_before = self.sent
                    elif self.rate:
                        due = paced_from + (self.sent - sent_before) / self.rate
                    while time.monotonic() < due or self.running >= self.at_once:
                        await asyncio.sleep(TURN_SECONDS)
                        if time.monotonic() - began > seconds:
                            break
                    if time.monotonic() - began > seconds:
                        break
                    await self._check_out(http, order)
        finally:
            self.seconds = time.monotonic() - began
            counting.cancel()

    async def _check_out(self, http: httpx.AsyncClient, order: Sent) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        order.event["timestamp"] = now
        order.event["data"] |= {"createdDate": now, "updatedDate": now}
        answer = await http.post(f"{self.house.sandbox.clarity_url}/_control/orders", json=order.event)
        answer.raise_for_status()
        self.sent += 1
        self.running += 1

    async def _keep_counting(self) -> None:
        """The server's count; what was sent while it was asked is added."""
        async with httpx.AsyncClient(timeout=60) as http:
            while True:
                before = self.sent
                # One that fails is made good by the next.
                with contextlib.suppress(RPCError, httpx.HTTPError):
                    self.running = await self.under_way(http) + self.sent - before
                await asyncio.sleep(LOOK_SECONDS)

    async def under_way(self, http: httpx.AsyncClient) -> int:
        """Orders that are not complete: webhooks that are not delivered, and workflows that run."""
        state = (await http.get(f"{self.house.sandbox.clarity_url}/_control/state")).json()
        return int(state["undelivered"]) + (await self.client.count_workflows(RUNNING)).count

    async def drain(self, limit: float, say: Callable[[str], None]) -> bool:
        """Until nothing is under way; False at the limit (seconds)."""
        end = time.monotonic() + limit
        async with httpx.AsyncClient(timeout=60) as http:
            while True:
                self.running = await self.under_way(http)
                if not self.running:
                    return True
                if time.monotonic() > end:
                    return False
                say(f"{self.running} orders are still under way")
                await asyncio.sleep(5)


def judge(house: House, seed: int, count: int) -> Report:
    """The auditor's verdict on the first orders of a seed: both sides, and Temporal."""
    sent = known_again(seed, count)
    standings = asyncio.run(read_standings(house.temporal_address, [order.order_id for order in sent]))
    sage = open_sage(house.sandbox.database)
    try:
        return audit(sent, sage, read_clarity(house.sandbox.clarity_url), standings)
    finally:
        sage.close()
