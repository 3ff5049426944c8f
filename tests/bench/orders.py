"""What an order costs: throughput, latency at rest, history, use of Sage's seat, many waiting orders. With floors.

`python -m tests.bench.orders [--orders 250] [--waiting 1000]`. One running house (`make run` without sample orders, the
sandbox without pauses) and, beside it on the same server, the floor (`tests.bench.floor`). Floor and ours are measured
in turns, in one run, and compared as ratios. Prints `BENCH` lines.
"""

import argparse
import asyncio
import base64
import hashlib
import hmac
import json
import statistics
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client
from temporalio.common import Priority, SearchAttributePair, TypedSearchAttributes

from contracts import search_attributes as attributes
from contracts.search_attributes import OrderState
from tests.bench.figures import Figures
from tests.bench.floor import ORDERS as FLOOR_QUEUE
from tests.bench.floor import FloorWorkflow
from tests.e2e.conftest import House, pairs_with_pace, running_house
from tests.support.orders import PlacedOrder
from tests.support.processes import pid_of, running
from workers.plugin import integration_plugin

SECRET = b"sandbox-webhook-signing-secret-001"
AT_ONCE = 16
"""Deliveries under way."""
ROUNDS = 2
SEAT_SECONDS = 0.25
STEP_SECONDS = 60
GOODS = (("CHAIR-TASK-BLK", 1, "229.00"), ("LAMP-LED-01", 2, "49.99"), ("CAB-FILE-2", 1, "179.00"))
FLOOR_PAYLOAD = 1_900
"""Characters of each larger payload of the floor: its history is then as long as a plain order's."""
STARTED, DONE = EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
ENOUGH = 1_000_000
"""On hand, so that no order is held for stock."""
PACE = {"poll_interval": 5, "quiet_interval": 5, "watch_interval": 60, "backfill_interval": 3600}


@dataclass(frozen=True)
class Sizes:
    """Orders: of a round of throughput, one after the other, before Sage's seat, that wait, that ship."""

    orders: int = 250
    resting: int = 40
    seat: int = 200
    waiting: int = 1_000
    shipments: int = 7


@dataclass
class Bench:
    """The house, a client of its server, and what was found."""

    house: House
    client: Client
    http: httpx.AsyncClient
    figures: Figures

    # ---- ours and the floor: one order each ------------------------------------------------------------------------

    async def known_at_clarity(self, orders: Sequence[PlacedOrder]) -> None:
        """The store has the orders, and tells nobody."""
        url = f"{self.house.sandbox.clarity_url}/_control/orders?deliver=false"
        await in_turns(orders, lambda one: self.http.post(url, json=one.event))

    async def deliver(self, order: PlacedOrder) -> float:
        """The store's webhook; seconds until it was answered."""
        body = json.dumps(order.event).encode()
        id_, at = f"msg_{uuid.uuid4().hex}", str(int(time.time()))
        digest = hmac.new(SECRET, f"{id_}.{at}.".encode() + body, hashlib.sha256).digest()
        headers = {"webhook-id": id_, "webhook-timestamp": at}
        headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
        began = time.perf_counter()
        answer = await self.http.post(f"{self.house.api_url}/webhooks/clarity/demo", content=body, headers=headers)
        took = time.perf_counter() - began
        answer.raise_for_status()
        return took

    async def start_floor(self, payload: str) -> tuple[float, str]:
        """A bare start; seconds until it was answered, and its id."""
        began = time.perf_counter()
        handle = await self.client.start_workflow(
            FloorWorkflow.run,
            payload,
            id=f"floor-{uuid.uuid4().hex}",
            task_queue=FLOOR_QUEUE,
            search_attributes=TypedSearchAttributes(
                [
                    SearchAttributePair(attributes.ORDER_STATE, OrderState.RECEIVED.value),
                    SearchAttributePair(attributes.PAIR, "floor"),
                ]
            ),
            priority=Priority(priority_key=3, fairness_key="floor"),
        )
        return time.perf_counter() - began, handle.id

    async def count(self, pair: str, state: OrderState) -> int:
        """Orders in a state, as the server lists them."""
        query = f"Pair='{pair}' AND OrderState='{state.value}' AND ExecutionStatus='Running'"
        return (await self.client.count_workflows(query)).count

    async def opened(self, pair: str, wanted: int, limit: float) -> None:
        """Once so many orders stand in Sage (or, of the floor, are as far)."""
        end = time.monotonic() + limit
        while (seen := await self.count(pair, OrderState.OPEN)) < wanted:
            if time.monotonic() > end:
                raise RuntimeError(f"only {seen} of {wanted} orders of {pair} came through in {limit:g} s")
            await asyncio.sleep(0.1)

    # ---- figures ---------------------------------------------------------------------------------------------------

    async def throughput(self, count: int) -> None:
        """Orders a second from the first webhook to the last sales order, against the floor's."""
        rates: dict[str, list[float]] = {"demo": [], "floor": []}
        payload = json.dumps(an_order().event).ljust(FLOOR_PAYLOAD)
        for _ in range(ROUNDS):
            before = await self.count("floor", OrderState.OPEN)
            began = time.perf_counter()
            await in_turns(range(count), lambda _: self.start_floor(payload))
            await self.opened("floor", before + count, 300)
            rates["floor"].append(count / (time.perf_counter() - began))
            orders = [an_order(self.house) for _ in range(count)]
            await self.known_at_clarity(orders)
            before = await self.count("demo", OrderState.OPEN)
            began = time.perf_counter()
            await in_turns(orders, self.deliver)
            await self.opened("demo", before + count, 600)
            rates["demo"].append(count / (time.perf_counter() - began))
        ours, floor = (statistics.median(rates[name]) for name in ("demo", "floor"))
        self.figures.add("throughput_floor", floor, "bare workflows per second")
        self.figures.add("throughput_orders", ours, "orders per second, webhook to Sage order")
        self.figures.add("throughput_ratio", ours / floor, "orders per second against the floor's", 0.85)

    async def latency(self, count: int) -> None:
        """One order after the other: how long the webhook takes, and how long until Sage has the order."""
        payload = json.dumps(an_order().event).ljust(FLOOR_PAYLOAD)
        answered: dict[str, list[float]] = {"webhook": [], "start": []}
        created: dict[str, list[float]] = {"webhook": [], "start": []}
        for _ in range(count):
            at = time.time()
            took, id_ = await self.start_floor(payload)
            answered["start"].append(took)
            created["start"].append(await self.step_done(id_, 3) - at)
            order = an_order(self.house)
            await self.known_at_clarity([order])
            at = time.time()
            answered["webhook"].append(await self.deliver(order))
            created["webhook"].append(await self.step_done(f"order-demo-{order.id}", 3) - at)
        for place, name in ((50, "p50"), (99, "p99")):
            ours, floor = (percentile(answered[which], place) for which in ("webhook", "start"))
            self.figures.add(f"webhook_ack_ms_{name}", ours * 1000, f"webhook answered after, {name}, ms")
            self.figures.add(f"webhook_ack_ratio_{name}", ours / floor, f"webhook against a bare start, {name}")
        ours, floor = (percentile(created[which], 50) for which in ("webhook", "start"))
        self.figures.add("to_sage_ms_p50", ours * 1000, "webhook to Sage order at rest, p50, ms")
        self.figures.add("to_sage_ratio_p50", ours / floor, "webhook to Sage order against the floor's, p50")

    async def step_done(self, id_: str, number: int) -> float:
        """When the activity of this number was done, by the server's clock."""
        handle = self.client.get_workflow_handle(id_)
        end = time.monotonic() + STEP_SECONDS
        while True:
            if time.monotonic() > end:
                raise RuntimeError(f"{id_} did not come to its activity {number} in {STEP_SECONDS} s")
            done = [event async for event in handle.fetch_history_events() if event.event_type == DONE]
            if len(done) >= number:
                return done[number - 1].event_time.ToDatetime().timestamp() + utc_offset()
            await asyncio.sleep(0.02)

    async def cost(self, count: int) -> None:
        """Events, bytes and billable actions of a plain order with one shipment, in the quietest of some."""
        orders = [an_order(self.house) for _ in range(count)]
        await self.known_at_clarity(orders)
        seen = []
        for order in orders:
            await self.deliver(order)
            await asyncio.to_thread(order.until_state, "open")
        for order in orders:
            invoice = await asyncio.to_thread(order.ship)
            await asyncio.to_thread(order.until_state, "shipped")
            shipped = len(await self.events(order))
            await asyncio.to_thread(order.post, invoice)
            await asyncio.to_thread(order.until_state, "complete")
            handle = self.client.get_workflow_handle(f"order-demo-{order.id}")
            events = await self.events(order)
            info = (await handle.describe()).raw_description.workflow_execution_info
            seen.append((shipped, len(events), info.history_size_bytes / 1024, actions(events)))
        least = [min(column) for column in zip(*seen, strict=True)]
        self.figures.add("events_shipped", least[0], "events of a plain order when shipped", 42, at_most=True)
        self.figures.add("events_complete", least[1], "events of a plain order when complete", 52, at_most=True)
        self.figures.add("history_kib", least[2], "history of a plain order, KiB", 25, at_most=True)
        self.figures.add("actions", least[3], "billable actions of a plain order", 12, at_most=True)

    async def events(self, order: PlacedOrder) -> list[HistoryEvent]:
        """Its history."""
        handle = self.client.get_workflow_handle(f"order-demo-{order.id}")
        return [event async for event in handle.fetch_history_events()]

    async def seat(self, count: int) -> None:
        """A gateway of 250 ms a create and one writer: how busy the seat is while a backlog is worked off."""
        sandbox = self.house.sandbox
        orders = [an_order(self.house) for _ in range(count)]
        await self.known_at_clarity(orders)
        sandbox.fault("sage", "POST /SO/SalesOrder", "slow", seconds=SEAT_SECONDS, times=10 * count)
        before = await self.count("demo", OrderState.OPEN)
        await in_turns(orders, self.deliver)
        ids = [f"order-demo-{order.id}" for order in orders]
        await self.opened("demo", before + count, 1200)
        sandbox.end_faults("sage")
        ends = sorted([await self.step_done(id_, 3) for id_ in ids])
        rate = (len(ends) - 1) / (ends[-1] - ends[0])
        self.figures.add("seat_writes_per_second", rate, "creates per second at a gateway of 250 ms, one writer")
        self.figures.add("seat_use", rate * SEAT_SECONDS, "use of Sage's one seat by a backlog", 0.97)

    async def waiting(self, count: int, shipments: int) -> None:
        """Memory and time from shipment to Clarity while so many orders wait, against none waiting."""
        self.memory("few")
        first = await self.shipment_seconds(shipments)
        missing = count - await self.count("demo", OrderState.OPEN)
        if missing > 0:
            orders = [an_order(self.house) for _ in range(missing)]
            await self.known_at_clarity(orders)
            await in_turns(orders, self.deliver)
            await self.opened("demo", count, 3600)
        self.memory("many")
        then = await self.shipment_seconds(shipments)
        self.figures.add("waiting_orders", await self.count("demo", OrderState.OPEN), "orders that wait")
        self.figures.add("waiting_shipment_ratio", then / first, "shipment to Clarity, many waiting against few")

    def memory(self, when: str) -> None:
        """Resident memory of the order workers and the Sage workers."""
        for name, words in (("orders", ("workers", "orders")), ("sage", ("workers", "sage"))):
            status = Path(f"/proc/{pid_of(self.house.temporal_address, *words)}/status").read_text()
            kib = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
            self.figures.add(f"memory_{name}_{when}_mib", kib / 1024, f"memory of {name} workers, {when} waiting, MiB")

    async def shipment_seconds(self, count: int) -> float:
        """From the shipment in Sage until the store has the package, the median of so many."""
        found = []
        for _ in range(count):
            order = an_order(self.house)
            await self.known_at_clarity([order])
            await self.deliver(order)
            await asyncio.to_thread(order.until_state, "open")
            await asyncio.to_thread(order.ship)
            began = time.perf_counter()
            await asyncio.to_thread(order.until_state, "shipped")
            found.append(time.perf_counter() - began)
        return statistics.median(found)


def utc_offset() -> float:
    """`ToDatetime` gives UTC without a zone; `timestamp` takes that for local time."""
    return datetime.now().astimezone().utcoffset().total_seconds()  # type: ignore[union-attr]


def an_order(house: House | None = None) -> PlacedOrder:
    """Three lines of goods, now, for a buyer whom Sage knows."""
    now = datetime.now(UTC).isoformat()
    places: Any = (house.sandbox, house.api_url) if house else (None, "")
    return PlacedOrder(*places, *GOODS, createdDate=now, updatedDate=now)


def percentile(values: Sequence[float], place: int) -> float:
    """The value below which so many percent are."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * place // 100)]


def actions(events: Sequence[HistoryEvent]) -> int:
    """Billable actions of a run, as Temporal Cloud counts: its start, each activity attempt, timer, signal, update and
    upsert of search attributes, and each workflow task that recorded local activities once."""
    kinds = EventType
    each = {
        kinds.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED,
        kinds.EVENT_TYPE_ACTIVITY_TASK_STARTED,
        kinds.EVENT_TYPE_TIMER_STARTED,
        kinds.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
        kinds.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
        kinds.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
        kinds.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED,
    }
    local = {
        event.marker_recorded_event_attributes.workflow_task_completed_event_id
        for event in events
        if event.event_type == kinds.EVENT_TYPE_MARKER_RECORDED
    }
    return sum(event.event_type in each for event in events) + len(local)


async def in_turns(things: Any, work: Callable[[Any], Awaitable[Any]]) -> None:
    """`AT_ONCE` at a time."""
    waiting: Iterator[Any] = iter(things)

    async def one_after_the_other() -> None:
        for thing in waiting:
            await work(thing)

    await asyncio.gather(*(one_after_the_other() for _ in range(AT_ONCE)))


@contextmanager
def floor(house: House, folder: Path) -> Iterator[None]:
    """The floor's two worker processes on the house's server."""
    environment = {"TEMPORAL_ADDRESS": house.temporal_address, "PAIRS_DIR": str(house.pairs_dir)}
    with ExitStack() as stack:
        for role in ("orders", "sage"):
            stack.enter_context(running(["tests.bench.floor", role], folder / f"floor-{role}.log", environment))
        yield


async def measure(house: House, sizes: Sizes, figures: Figures) -> None:
    """All figures of orders."""
    client = await Client.connect(house.temporal_address, plugins=[integration_plugin()])
    async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=AT_ONCE)) as http:
        bench = Bench(house, client, http, figures)
        for code, _, _ in GOODS:
            house.sandbox.control("sage", "item", {"ItemCode": code, "OnHand": {"000": ENOUGH}})
        await bench.cost(sizes.shipments)
        await bench.latency(sizes.resting)
        await bench.throughput(sizes.orders)
        await bench.seat(sizes.seat)
        await bench.waiting(sizes.waiting, sizes.shipments)


def run(sizes: Sizes, figures: Figures) -> None:
    """A house of its own for the figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pairs = pairs_with_pace(folder / "pairs", **PACE)
        flags = ("--no-orders", "--ship-after", "off", "--post-after", "off")
        with running_house(folder, *flags, environment={"PAIRS_DIR": str(pairs)}) as house, floor(house, folder):
            asyncio.run(measure(house, sizes, figures))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for field in fields(Sizes):
        parser.add_argument(f"--{field.name}", type=int, default=field.default)
    run(Sizes(**vars(parser.parse_args())), Figures())
