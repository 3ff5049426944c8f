"""`InventorySyncWorkflow`: what one shift hands to the next, whatever ends it; drift; requests by hand."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import pytest
import pytest_asyncio
from temporalio import activity
from temporalio.client import Schedule, ScheduleActionStartWorkflow, ScheduleSpec, WorkflowHandle
from temporalio.common import SearchAttributePair, TypedSearchAttributes
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.stock_sweep import StockSweepActivities
from connectors.sage100.odbc import SageReader
from contracts import queues
from contracts import search_attributes as attributes
from contracts.failures import FailureType
from contracts.inventory import (
    BucketDigest,
    CompareStock,
    DriftedRow,
    InventoryAction,
    InventoryMemory,
    InventoryProgress,
    InventoryStart,
    ListStoreStock,
    PushStock,
    StockCompared,
    StockFound,
    StockPushed,
    StockReading,
    StockWatch,
    StoreStock,
)
from contracts.messages import AlertKind, StockNeeds
from mappings.inventory import UNKNOWN, Digests, StockRow, bucket_of
from mappings.pair import Pace
from tests.workflows.conftest import ACCOUNT, STARTED, World, begin, start_of
from tests.workflows.conftest import PAIR as PAIR_FILE
from tests.workflows.conftest import until as until_state
from workflows.inventory_sync import InventorySyncWorkflow

pytestmark = pytest.mark.asyncio(loop_scope="session")

PAIR = "shop"
"""Not the demo pair: its queues have workers of their own."""
PACE = Pace(retry_initial=0.05, retry_maximum=0.2, shift_length=3600, agree_time=5, poll_heartbeat_timeout=2)
SKUS = ("DESK", "LAMP", "CHAIR")


def found(*rows: StockRow, **more: Any) -> StockFound:
    """A page: each row in its bucket, whose digest is told as `01…`."""
    buckets = sorted({bucket_of(row.sku) for row in rows})
    reading = StockReading(at=datetime.now(UTC), items=3, rows=len(rows))
    return StockFound(
        rows=list(rows),
        buckets=[BucketDigest(bucket=bucket, digest="01" * 6) for bucket in buckets],
        **{"reading": reading, **more},
    )


def row(sku: str, quantity: int = 5) -> StockRow:
    return StockRow(sku, "MAIN", quantity)


class Stock:
    """Sage's stock and the store's, as a test writes them."""

    def __init__(self) -> None:
        self.pages: list[StockFound | Exception] = []
        """What the next watches find; after the last one, a watch waits until its time is up."""
        self.watches: list[StockWatch] = []
        self.pushes: list[list[StockRow]] = []
        self.push_errors: list[Exception] = []
        self.rejected: list[str] = []
        self.push_gate = asyncio.Event()
        self.push_gate.set()
        self.gate_closes_after = 0
        """So many pushes."""
        self.over = asyncio.Event()
        """Set: a watch without changes ends as if its time was up."""
        self.store: list[StoreStock] = []
        self.listed: list[ListStoreStock] = []
        self.compared: list[StockCompared] = []
        self.compares: list[CompareStock] = []

    @activity.defn
    async def watch_stock(self, watch: StockWatch) -> StockFound:
        self.watches.append(watch)
        if self.pages:
            page = self.pages.pop(0)
            if isinstance(page, Exception):
                raise page
            return page
        # As the real one: one look where no time is left, else until its time is up.
        while not self.over.is_set() and watch.until > watch.sweep_at:
            activity.heartbeat()
            await asyncio.sleep(0.05)
        return StockFound(next_bucket=watch.next_bucket, swept_at=watch.sweep_at, time_is_up=True)

    @activity.defn
    async def push_stock(self, request: PushStock) -> StockPushed:
        await self.push_gate.wait()
        if self.push_errors:
            raise self.push_errors.pop(0)
        self.pushes.append(request.rows)
        if len(self.pushes) == self.gate_closes_after:
            self.push_gate.clear()
        unknown = [one.sku for one in request.rows if one.sku in self.rejected]
        return StockPushed(sent=len(request.rows), rejected=len(unknown), rejected_skus=unknown)

    @activity.defn
    async def list_store_stock(self, request: ListStoreStock) -> StoreStock:
        self.listed.append(request)
        return self.store.pop(0) if self.store else StoreStock(buckets=[], rows=[], next_bucket=None)

    @activity.defn
    async def compare_stock(self, request: CompareStock) -> StockCompared:
        self.compares.append(request)
        return self.compared.pop(0) if self.compared else StockCompared()


@pytest_asyncio.fixture(loop_scope="session")
async def stock(env: WorkflowEnvironment, world: World) -> AsyncIterator[Stock]:
    """Both sides for one test, with workers on the queues of the pair."""
    stock = Stock()
    by_queue: dict[str, list[Callable[..., Any]]] = {
        queues.sage_read(PAIR): [stock.watch_stock, stock.compare_stock],
        queues.clarity(PAIR): [stock.push_stock, stock.list_store_stock],
    }
    workers = [
        Worker(env.client, task_queue=queue, activities=activities, activity_executor=ThreadPoolExecutor(1))
        for queue, activities in by_queue.items()
    ]
    running = [asyncio.create_task(worker.run()) for worker in workers]
    try:
        yield stock
    finally:
        stock.over.set()
        stock.push_gate.set()
        await asyncio.gather(*(worker.shutdown() for worker in workers))
        await asyncio.gather(*running)


Shift = WorkflowHandle[Any, InventoryMemory]


async def shift(env: WorkflowEnvironment, **pace: float) -> Shift:
    """A shift whose clock stands still until everything it waits for is there."""
    with env.with_time_skipping_disabled():
        handle: Shift = await env.client.start_workflow(
            InventorySyncWorkflow.run,
            InventoryStart(pair=PAIR, pace=PACE.model_copy(update=pace)),
            id=f"inventory-{PAIR}-{uuid.uuid4().hex}",
            task_queue=queues.ORDERS,
        )
    STARTED.append(handle)
    return handle


async def until(stock: Stock, what: str, condition: Any) -> None:
    for _ in range(300):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"not: {what} ({len(stock.watches)} watches, {len(stock.pushes)} pushes)")


async def ended(env: WorkflowEnvironment, stock: Stock, handle: Shift) -> InventoryMemory:
    """The memory of a shift whose time is up."""
    stock.over.set()
    return await asyncio.wait_for(handle.result(), 30)


def digests_of(memory: InventoryMemory) -> dict[str, bytes]:
    digests = Digests(memory.digests)
    return {sku: digests[bucket_of(sku)] for sku in SKUS if digests[bucket_of(sku)] != UNKNOWN}


PUSHED = bytes([1] * 6)


async def test_what_was_pushed_is_handed_to_the_next_shift_and_nothing_else(
    env: WorkflowEnvironment, world: World, stock: Stock
) -> None:
    stock.pages = [found(row("DESK"), more=True, next_bucket=7), found(row("LAMP"), row("DESK", 4))]
    handle = await shift(env)
    await until(stock, "both pages are pushed, and Sage is watched again", lambda: len(stock.watches) == 3)
    progress = await handle.query(InventorySyncWorkflow.progress)
    assert (progress.pushed, progress.pages, progress.known_buckets) == (3, 2, 2)
    assert [watch.continues for watch in stock.watches] == [False, True, False]
    assert stock.watches[1].next_bucket == 7
    memory = await ended(env, stock, handle)
    assert stock.pushes == [[row("DESK")], [row("LAMP"), row("DESK", 4)]]
    assert digests_of(memory) == {"DESK": PUSHED, "LAMP": PUSHED}
    assert memory.as_of is not None
    assert len(memory.model_dump_json()) < 9 * 1024
    assert world.alerts == []


async def test_a_shift_without_changes_writes_nothing(env: WorkflowEnvironment, world: World, stock: Stock) -> None:
    handle = await shift(env)
    await until(stock, "Sage is watched", lambda: len(stock.watches) == 1)
    memory = await ended(env, stock, handle)
    assert stock.pushes == []
    assert digests_of(memory) == {}
    events = [event async for event in handle.fetch_history_events()]
    assert len(events) < 20


async def test_numbers_that_vanished_need_no_call(env: WorkflowEnvironment, world: World, stock: Stock) -> None:
    stock.pages = [StockFound(buckets=[BucketDigest(bucket=bucket_of("DESK"), digest="02" * 6)])]
    handle = await shift(env)
    await until(stock, "Sage is watched again", lambda: len(stock.watches) == 2)
    assert digests_of(await ended(env, stock, handle)) == {"DESK": bytes([2] * 6)}
    assert stock.pushes == []


async def test_a_refused_push_is_told_once_and_its_numbers_are_pushed_again(
    env: WorkflowEnvironment, world: World, stock: Stock
) -> None:
    refused = ApplicationError("items[0] is no quantity", type=FailureType.REFUSED_BY_CLARITY, non_retryable=True)
    stock.push_errors = [refused, refused]
    stock.pages = [found(row("DESK")), found(row("DESK")), found(row("DESK"))]
    handle = await shift(env)
    await until(stock, "the third attempt arrives", lambda: len(stock.watches) == 4)
    assert Digests(stock.watches[1].digests)[bucket_of("DESK")] == UNKNOWN
    memory = await ended(env, stock, handle)
    assert (digests_of(memory), memory.problem) == ({"DESK": PUSHED}, "")
    assert stock.pushes == [[row("DESK")]]
    assert [alert.kind for alert in world.alerts] == [AlertKind.STOCK_STUCK]
    assert "items[0] is no quantity" in world.alerts[0].text


async def test_a_run_that_is_cancelled_while_it_pushes_does_not_claim_that_it_pushed(
    env: WorkflowEnvironment, world: World, stock: Stock
) -> None:
    stock.pages = [found(row("DESK")), found(row("LAMP"))]
    stock.gate_closes_after = 1
    handle = await shift(env)
    await until(stock, "the first page is pushed, the second one found", lambda: len(stock.watches) == 2)
    await handle.cancel()
    stock.push_gate.set()
    memory = await asyncio.wait_for(handle.result(), 30)
    assert digests_of(memory) in ({"DESK": PUSHED}, {"DESK": PUSHED, "LAMP": PUSHED})
    assert ("LAMP" in digests_of(memory)) <= ([row("LAMP")] in stock.pushes)


async def test_the_schedule_gives_each_run_the_memory_of_the_last_and_a_new_one_none(
    env: WorkflowEnvironment, world: World, stock: Stock
) -> None:
    stock.over.set()
    for number, pages in enumerate(([found(row("DESK"))], [])):
        stock.pages = list(pages)
        id_ = f"inventory-{uuid.uuid4().hex}"
        start = InventoryStart(pair=PAIR, pace=PACE.model_copy(update={"shift_length": 0.5}))
        action = ScheduleActionStartWorkflow(InventorySyncWorkflow.run, start, id=id_, task_queue=queues.ORDERS)
        schedule = await env.client.create_schedule(
            id_, Schedule(action=action, spec=ScheduleSpec()), trigger_immediately=True
        )
        try:
            for _ in range(2):
                for _ in range(200):
                    described = await schedule.describe()
                    if described.info.num_actions and not described.info.running_actions:
                        break
                    await asyncio.sleep(0.05)
                seen = len(stock.watches)
                await schedule.trigger()
                await until(stock, "the next run watches", lambda seen=seen: len(stock.watches) > seen)
        finally:
            await schedule.delete()
        known = [Digests(watch.digests)[bucket_of("DESK")] == PUSHED for watch in stock.watches]
        if number == 0:
            assert not known[0]
            assert known[-1]
            assert stock.watches[-1].ended_since is not None, "it asks whether a run ended abnormally since"
            stock.watches.clear()
        else:
            assert not any(known), "a new Schedule knows nothing: everything is pushed once"


async def test_a_memory_that_is_worth_nothing_is_thrown_away(
    env: WorkflowEnvironment, world: World, stock: Stock
) -> None:
    stock.pages = [found(row("DESK")), found(row("LAMP"), forgotten=True)]
    handle = await shift(env)
    await until(stock, "Sage is watched again", lambda: len(stock.watches) == 3)
    assert digests_of(await ended(env, stock, handle)) == {"LAMP": PUSHED}


async def test_a_run_that_was_terminated_is_noticed_by_the_next_one(
    env: WorkflowEnvironment, world: World, stock: Stock
) -> None:
    before = datetime.now(UTC) - timedelta(minutes=1)
    sweep = StockSweepActivities(PAIR_FILE.model_copy(update={"name": "shopx"}), {}, cast(SageReader, None), env.client)
    assert not await sweep._ended_abnormally(before)
    handle = await env.client.start_workflow(
        InventorySyncWorkflow.run,
        InventoryStart(pair="shopx", pace=PACE),
        id=f"inventory-shopx-{uuid.uuid4().hex}",
        task_queue="nobody",
        search_attributes=TypedSearchAttributes([SearchAttributePair(attributes.PAIR, "shopx")]),
    )
    assert not await sweep._ended_abnormally(before)
    await handle.terminate("somebody did it")
    for _ in range(200):
        if await sweep._ended_abnormally(before):
            break
        await asyncio.sleep(0.05)
    assert await sweep._ended_abnormally(before)
    assert not await sweep._ended_abnormally(datetime.now(UTC) + timedelta(minutes=1))


# ---- drift ----------------------------------------------------------------------------------------------------------


def drifted(sku: str, store: int | None) -> DriftedRow:
    return DriftedRow(sku=sku, warehouse="MAIN", store=store, ours=5)


def listed(*skus: str) -> StoreStock:
    buckets = sorted({bucket_of(sku) for sku in skus})
    return StoreStock(buckets=buckets, rows=[row(sku, 1) for sku in skus], next_bucket=None, listed=99)


async def ask(handle: Shift, action: InventoryAction) -> InventoryProgress:
    return await asyncio.wait_for(handle.execute_update("ask", action, result_type=InventoryProgress), 30)


async def compared(handle: Shift) -> InventoryProgress:
    return await ask(handle, InventoryAction.COMPARE)


async def test_what_differs_twice_is_put_right_and_told_once(
    env: WorkflowEnvironment, world: World, stock: Stock
) -> None:
    stock.pages = [found(*(row(sku) for sku in SKUS))]
    handle = await shift(env)
    await until(stock, "everything is pushed", lambda: len(stock.watches) == 2)
    stock.store = [listed(*SKUS), listed(*SKUS)]
    stock.compared = [
        StockCompared(rows=[drifted("DESK", 9), drifted("LAMP", None), drifted("CHAIR", 4)]),
        # A buyer took a chair in between: the order is on its way.
        StockCompared(rows=[drifted("DESK", 9), drifted("LAMP", None), drifted("CHAIR", 3)]),
    ]
    progress = await compared(handle)
    assert (progress.drifted, progress.missing, progress.compared) == (2, 1, 99)
    assert progress.first_drifted == ["DESK (MAIN): 9 instead of 5", "LAMP (MAIN): missing instead of 5"]
    assert stock.pushes[1:] == [[row("DESK"), row("LAMP")]], "what drifted, and nothing else"
    await until(stock, "Sage is watched again", lambda: len(stock.watches) == 4)
    digests = Digests(stock.watches[3].digests)
    assert [digests[bucket_of(sku)] for sku in SKUS] == [PUSHED] * 3
    assert stock.listed[1].only == [bucket_of(sku) for sku in SKUS]
    assert stock.listed[0].reading != stock.listed[1].reading
    assert [alert.kind for alert in world.alerts] == [AlertKind.DRIFT]
    assert world.alerts[0].text.startswith("2 stock numbers at Clarity were not those")


async def test_a_repair_that_does_not_arrive_is_left_to_the_next_push(
    env: WorkflowEnvironment, world: World, stock: Stock
) -> None:
    stock.pages = [found(row("DESK"))]
    handle = await shift(env)
    await until(stock, "everything is pushed", lambda: len(stock.watches) == 2)
    stock.push_errors = [ApplicationError("no", type=FailureType.REFUSED_BY_CLARITY, non_retryable=True)]
    stock.store = [listed("DESK"), listed("DESK")]
    stock.compared = [StockCompared(rows=[drifted("DESK", 9)])] * 2
    assert (await compared(handle)).problem == "no"
    await until(stock, "Sage is watched again", lambda: len(stock.watches) == 4)
    assert Digests(stock.watches[3].digests)[bucket_of("DESK")] == UNKNOWN


async def test_a_product_that_the_store_does_not_sell_is_no_drift(
    env: WorkflowEnvironment, world: World, stock: Stock
) -> None:
    stock.rejected = ["LAMP"]
    stock.pages = [found(row("LAMP"))]
    handle = await shift(env)
    await until(stock, "everything is pushed", lambda: len(stock.watches) == 2)
    stock.store = [listed("LAMP"), listed("LAMP")]
    stock.compared = [StockCompared(rows=[drifted("LAMP", None)])] * 2
    progress = await compared(handle)
    assert (progress.drifted, progress.rejected, world.alerts) == (0, 2, [])


async def test_without_drift_nothing_is_written_and_nobody_is_told(
    env: WorkflowEnvironment, world: World, stock: Stock
) -> None:
    handle = await shift(env)
    await until(stock, "Sage is watched", lambda: len(stock.watches) == 1)
    stock.store = [StoreStock(buckets=[1], rows=[], next_bucket=2, listed=4)]
    progress = await compared(handle)
    assert [one.from_bucket for one in stock.listed] == [0, 2], "page by page"
    assert (progress.drifted, stock.pushes, world.alerts) == (0, [], [])
    assert progress.compared_at is not None


# ---- by hand --------------------------------------------------------------------------------------------------------


async def test_asking_interrupts_the_watch_and_answers_when_it_is_done(
    env: WorkflowEnvironment, world: World, stock: Stock
) -> None:
    stock.pages = [found(row("DESK"))]
    handle = await shift(env)
    await until(stock, "everything is pushed", lambda: len(stock.watches) == 2)
    progress = await ask(handle, InventoryAction.SWEEP)
    assert progress.pushed == 1
    asked = stock.watches[2]
    assert asked.until <= asked.sweep_at, "one look"
    assert Digests(asked.digests)[bucket_of("DESK")] == PUSHED
    await until(stock, "Sage is watched again", lambda: len(stock.watches) == 4)
    stock.pages = [found(row("DESK"))]
    progress = await ask(handle, InventoryAction.FULL)
    assert progress.pushed == 2
    assert stock.watches[4].digests == ""
    assert digests_of(await ended(env, stock, handle)) == {"DESK": PUSHED}


# ---- what orders say ------------------------------------------------------------------------------------------------


async def test_an_order_says_what_it_will_take_until_sage_has_it(env: WorkflowEnvironment, world: World) -> None:
    world.create_gate.clear()
    handle = await begin(env)
    await world.until_called("create_sales_order", 1)

    async def needs() -> StockNeeds:
        answer: StockNeeds = await handle.query("stock_needs", result_type=StockNeeds)
        return answer

    before = await needs()
    assert [(line.sku, line.quantity, line.warehouse) for line in before.lines] == [
        ("CHAIR-TASK-BLK", Decimal(2), "000")
    ]
    assert (before.known, before.customer) == (True, ACCOUNT)
    world.create_gate.set()
    await until_state(handle, "open")
    assert (await needs()).lines == []


async def test_an_order_that_was_not_understood_says_that_it_does_not_know(
    env: WorkflowEnvironment, world: World
) -> None:
    start = start_of()
    del start.payload["data"]["shippingAddress"]
    handle = await begin(env, start)
    await until_state(handle, "held")
    answer = await handle.query("stock_needs", result_type=StockNeeds)
    assert (answer.known, answer.lines) == (False, [])
