"""A product's run and the catch-up: what waits for a person, what is remembered, what never goes twice."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from temporalio import activity
from temporalio.client import WorkflowHandle, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.intake import Intake, IntakeResult
from activities.product_runs import ProductRunActivities
from contracts import ids, queues
from contracts.failures import FailureType
from contracts.messages import AlertKind
from contracts.products import (
    CatchUpMemory,
    ComparedProduct,
    CompareProducts,
    CreateItem,
    ItemCreated,
    ItemsScanned,
    ListProducts,
    PlanProduct,
    ProductCatchUpResult,
    ProductCatchUpStart,
    ProductHold,
    ProductPlanned,
    ProductRead,
    ProductsCompared,
    ProductsListed,
    ProductState,
    ProductView,
    ReadProduct,
    ScanItems,
    WriteItem,
    WriteProduct,
    Written,
)
from mappings.items import ItemFacts
from mappings.pair import NewProducts, Pace, Products
from mappings.problems import Problem
from mappings.products import Changed, SideChange, SideDigests, bucket_of, plan_product, read_product, rules_of
from tests.workflows.conftest import PAIR as DEMO
from tests.workflows.conftest import STARTED, World, refused
from workflows.product_sync import ROUNDS

pytestmark = pytest.mark.asyncio(loop_scope="session")

PAIR = DEMO.model_copy(update={"name": "goods"})
"""Not the demo pair: its queues have workers of their own."""
NAME, PRICE = "ItemCodeDesc", "StandardUnitPrice"
PACE = Pace(retry_initial=0.05, retry_maximum=0.2, hold_reminder=86_400)


class Goods:
    """One product in the store and its item in Sage, as a test has them."""

    def __init__(self) -> None:
        self.pair = PAIR.model_copy(update={"pace": PACE})
        id_ = uuid.uuid4().hex[:12]
        self.product: dict[str, Any] | None = {"id": id_, "sku": "DESK", "name": "Desk", "price": "9", "active": True}
        self.item: dict[str, str] | None = {NAME: "Desk", PRICE: "9", "InactiveItem": "N"}
        self.told = [dict(self.product)]
        self.reads = 0
        self.writes: list[str] = []
        self.moves = 0
        """So many writes find that somebody was quicker."""
        self.refuses = ""
        """What Sage refuses."""
        self.breaks = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.listed: list[ListProducts] = []
        self.found: list[ComparedProduct] = []
        self.scans = 0

    def rules(self, **changes: Any) -> None:
        rules = Products.model_validate({**self.pair.products.model_dump(exclude_defaults=True), **changes})
        self.pair = self.pair.model_copy(update={"products": rules})

    @property
    def id(self) -> str:
        return str(self.told[0]["id"])

    def event(self, **changes: Any) -> dict[str, Any]:
        return {"type": "product.updated", "data": {**(self.product or self.told[0]), **changes}}

    @activity.defn
    async def read_product(self, request: ReadProduct) -> ProductRead:
        self.reads += 1
        await self.gate.wait()
        return ProductRead(product=None if self.product is None else read_product(self.product, self.pair))

    @activity.defn
    async def plan_product(self, request: PlanProduct) -> ProductPlanned:
        if self.breaks:
            raise ApplicationError("a bug of ours", type=FailureType.INTERNAL_ERROR, non_retryable=True)
        item = None if self.item is None else ItemFacts(ItemCode=request.product.sku)
        plan = plan_product(
            request.product,
            item,
            self.item or {},
            self.pair,
            lengths={},
            base=request.base if request.rules == rules_of(self.pair) else {},
            told=request.changed,
            patient=request.patient,
        )
        create_at_once = self.pair.products.new_products is NewProducts.CREATE
        return ProductPlanned(plan=plan, create_at_once=create_at_once, rules=rules_of(self.pair))

    @activity.defn
    async def write_item(self, request: WriteItem) -> Written:
        if self.moves:
            self.moves -= 1
            return Written(moved=True)
        assert self.item is not None
        problems: dict[str, Problem] = {}
        for one in request.differences:
            if one.column == self.refuses:
                problems[one.column] = Problem(field=f"CI_Item.{one.column}", message="Sage refuses it")
            else:
                self.item[one.column] = one.clarity or ""
                self.writes.append(f"{one.column} → Sage")
        return Written(refused=problems)

    @activity.defn
    async def write_product(self, request: WriteProduct) -> Written:
        assert self.product is not None
        for one in request.differences:
            self.product[one.field] = one.sage
            self.writes.append(f"{one.column} → store")
        return Written(product=read_product(self.product, self.pair))

    @activity.defn
    async def create_item(self, request: CreateItem) -> ItemCreated:
        if self.refuses and request.new_item.columns.get("ProductLine") == "WEB":
            raise refused(FailureType.REFUSED_BY_SAGE, "ProductLine", self.refuses)
        self.item = dict(request.new_item.columns)
        self.writes.append(f"created in {self.item['ProductLine']}")
        return ItemCreated(created=True)

    @activity.defn
    async def scan_items(self, request: ScanItems) -> ItemsScanned:
        self.scans += 1
        return ItemsScanned(digests=SideDigests().known().text, items=1)

    @activity.defn
    async def list_products(self, request: ListProducts) -> ProductsListed:
        self.listed.append(request)
        products = [one.plan.product for one in self.found]
        now = SideDigests().known()
        change = SideChange.between(SideDigests(request.memory.sage), now)
        return ProductsListed(
            products=products, after=None, listed=1, clarity=now.text, sage_change=change, clarity_change=change
        )

    @activity.defn
    async def compare_products(self, request: CompareProducts) -> ProductsCompared:
        return ProductsCompared(found=self.found, rules=rules_of(self.pair))

    def differs(self, **changed: Changed) -> ComparedProduct:
        """What a comparison finds of it now."""
        assert self.product is not None
        product = read_product(self.product, self.pair)
        assert product is not None
        item = None if self.item is None else ItemFacts(ItemCode=product.sku)
        plan = plan_product(product, item, self.item or {}, self.pair, lengths={}, base={}, told=changed)
        return ComparedProduct(plan=plan, changed=changed)


@pytest_asyncio.fixture(loop_scope="session")
async def goods(env: WorkflowEnvironment, world: World) -> AsyncIterator[Goods]:
    """Both sides for one test, with workers on the queues of the pair."""
    goods = Goods()
    by_queue: dict[str, list[Callable[..., Any]]] = {
        queues.sage_read("goods"): [goods.plan_product, goods.scan_items, goods.compare_products],
        queues.sage_write("goods"): [goods.write_item, goods.create_item],
        queues.clarity("goods"): [goods.read_product, goods.write_product, goods.list_products],
    }
    workers = [
        Worker(env.client, task_queue=queue, activities=activities, activity_executor=ThreadPoolExecutor(1))
        for queue, activities in by_queue.items()
    ]
    assert world.brain is not None
    await world.brain.stop()
    world.brain._activities.append(ProductRunActivities(env.client).start_products)
    world.brain.start()
    running = [asyncio.create_task(worker.run()) for worker in workers]
    try:
        yield goods
    finally:
        goods.gate.set()
        await asyncio.gather(*(worker.shutdown() for worker in workers))
        await asyncio.gather(*running)


Run = WorkflowHandle[Any, ProductView]


async def take(env: WorkflowEnvironment, goods: Goods, **changes: Any) -> IntakeResult:
    """A webhook."""
    with env.with_time_skipping_disabled():
        result, _ = await Intake(env.client, goods.pair).take(goods.event(**changes), uuid.uuid4().hex)
    return result


def run_of(env: WorkflowEnvironment, goods: Goods) -> Run:
    handle: Run = env.client.get_workflow_handle(ids.product_workflow_id("goods", goods.id), result_type=ProductView)
    STARTED.append(handle)
    return handle


async def ended(env: WorkflowEnvironment, goods: Goods) -> ProductView:
    return await asyncio.wait_for(run_of(env, goods).result(), 30)


async def waiting(env: WorkflowEnvironment, goods: Goods, hold: ProductHold) -> Run:
    handle = run_of(env, goods)
    for _ in range(300):
        view = await handle.query("state", result_type=ProductView)
        if view.hold is hold:
            return handle
        await asyncio.sleep(0.05)
    raise AssertionError(f"it does not wait for {hold}: {view}")


async def told(world: World, times: int) -> None:
    for _ in range(300):
        if len(world.alerts) >= times:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{len(world.alerts)} alerts, not {times}")


def kinds(world: World) -> list[AlertKind]:
    return [alert.kind for alert in world.alerts]


# ---- webhooks -------------------------------------------------------------------------------------------------------


async def test_a_change_is_written_once_and_the_same_event_again_starts_nothing(
    env: WorkflowEnvironment, world: World, goods: Goods
) -> None:
    assert goods.product is not None
    goods.product["name"] = "Desk, oak"
    assert await take(env, goods) is IntakeResult.STARTED
    view = await ended(env, goods)
    assert (view.state, view.done) == (ProductState.WRITTEN, ["ItemCodeDesc/name: 'Desk' → 'Desk, oak' in Sage"])
    assert await take(env, goods) is IntakeResult.DUPLICATE
    # What the store says of it otherwise is nobody's business here.
    assert await take(env, goods, updatedDate="2027-01-01T00:00:00Z", stock=7) is IntakeResult.DUPLICATE
    assert goods.writes == ["ItemCodeDesc → Sage"]
    assert world.alerts == []


async def test_the_last_run_knows_who_changed_what_and_our_own_write_is_no_news(
    env: WorkflowEnvironment, world: World, goods: Goods
) -> None:
    assert goods.product is not None
    assert await take(env, goods) is IntakeResult.STARTED
    assert (await ended(env, goods)).state is ProductState.IN_STEP
    goods.product["price"] = "1"
    assert await take(env, goods) is IntakeResult.STARTED
    view = await ended(env, goods)
    assert view.done == ["StandardUnitPrice/price: '1' → '9' in the store (changed in the store; Sage owns it)"]
    assert [(alert.kind, "'1' → '9'" in alert.text) for alert in world.alerts] == [(AlertKind.PRODUCT_CONFLICT, True)]
    assert await take(env, goods) is IntakeResult.DUPLICATE, "the store tells what we have written"


async def test_what_sage_owns_and_nobody_knows_about_is_left_to_the_catch_up(
    env: WorkflowEnvironment, world: World, goods: Goods
) -> None:
    assert goods.product is not None
    goods.product["price"] = "1"
    assert await take(env, goods) is IntakeResult.STARTED
    assert (await ended(env, goods)).state is ProductState.LATER
    assert goods.writes == []
    goods.found = [goods.differs(StandardUnitPrice=Changed(False, True))]
    result = await catch_up(env, goods)
    assert result.tally.started == 1
    view = await ended(env, goods)
    assert view.done == ["StandardUnitPrice/price: '1' → '9' in the store (changed in the store; Sage owns it)"]
    assert kinds(world) == [AlertKind.PRODUCT_CONFLICT]


async def test_a_change_during_a_run_makes_it_look_again_and_a_quicker_hand_too(
    env: WorkflowEnvironment, goods: Goods
) -> None:
    assert goods.product is not None
    goods.product["name"] = "Desk, oak"
    goods.gate.clear()
    goods.moves = 1
    assert await take(env, goods) is IntakeResult.STARTED
    for _ in range(3):
        assert await take(env, goods, name="whatever it says") is IntakeResult.CHANGED
    goods.product["name"] = "Desk, ash"
    goods.gate.set()
    assert (await ended(env, goods)).state is ProductState.WRITTEN
    assert goods.item is not None
    assert goods.item[NAME] == "Desk, ash"
    assert goods.writes == ["ItemCodeDesc → Sage"]


async def test_where_the_flow_is_off_or_nobody_is_named_the_event_is_a_dead_letter(
    env: WorkflowEnvironment, goods: Goods
) -> None:
    assert await take(env, goods, sku="") is IntakeResult.DEAD_LETTER
    goods.pair = goods.pair.model_copy(update={"products": Products()})
    assert await take(env, goods) is IntakeResult.DEAD_LETTER
    assert goods.reads == 0


async def test_a_product_that_is_gone_and_one_that_is_not_meant_end_quietly(
    env: WorkflowEnvironment, world: World, goods: Goods
) -> None:
    goods.rules(skip=["DESK"])
    assert await take(env, goods, name="x") is IntakeResult.STARTED
    assert (await ended(env, goods)).state is ProductState.IGNORED
    goods.product = None
    assert await take(env, goods, name="y") is IntakeResult.STARTED
    assert (await ended(env, goods)).state is ProductState.GONE
    assert world.alerts == []


# ---- what cannot be done --------------------------------------------------------------------------------------------


async def test_what_sage_refuses_is_told_once_and_tried_again_by_each_catch_up(
    env: WorkflowEnvironment, world: World, goods: Goods
) -> None:
    assert goods.product is not None
    goods.product["name"], goods.refuses = "Desk, oak", NAME
    assert await take(env, goods) is IntakeResult.STARTED
    assert (await ended(env, goods)).state is ProductState.REFUSED
    goods.found = [goods.differs(ItemCodeDesc=Changed(None, None))]
    for _ in range(2):
        assert (await catch_up(env, goods)).tally.started == 1
        assert (await ended(env, goods)).state is ProductState.REFUSED
    assert kinds(world) == [AlertKind.PRODUCT_REFUSED]
    goods.refuses = ""
    await catch_up(env, goods)
    assert (await ended(env, goods)).state is ProductState.WRITTEN


async def test_a_bug_of_ours_is_told_and_the_product_waits_for_the_next_catch_up(
    env: WorkflowEnvironment, world: World, goods: Goods
) -> None:
    goods.breaks = True
    assert await take(env, goods) is IntakeResult.STARTED
    assert (await ended(env, goods)).state is ProductState.REFUSED
    assert "a bug of ours" in world.alerts[0].text


async def test_a_value_that_is_never_as_it_was_seen_is_told_and_ends_the_run(
    env: WorkflowEnvironment, world: World, goods: Goods
) -> None:
    assert goods.product is not None
    goods.product["name"], goods.moves = "Desk, oak", 1_000
    assert await take(env, goods) is IntakeResult.STARTED
    assert (await ended(env, goods)).state is ProductState.REFUSED
    assert goods.moves == 1_000 - ROUNDS
    assert "never as it was seen" in world.alerts[0].text


# ---- people ---------------------------------------------------------------------------------------------------------


def decision(action: str, reason: str = "new_product", **more: Any) -> dict[str, Any]:
    return {"action": action, "by": "test", "reason": reason, **more}


async def test_a_new_product_waits_is_told_again_and_what_sage_refuses_is_asked_again(
    env: WorkflowEnvironment, world: World, goods: Goods
) -> None:
    goods.item, goods.refuses = None, "The code WEB is not on file."
    assert await take(env, goods) is IntakeResult.STARTED
    handle = await waiting(env, goods, ProductHold.NEW_PRODUCT)
    await told(world, 1)
    assert kinds(world) == [AlertKind.NEW_PRODUCT]
    await env.fast_forward(handle, timedelta(days=1, minutes=1))
    await told(world, 2)
    assert "still waits" in world.alerts[1].text
    other, unknown = decision("approve", "product_conflict"), decision("approve", columns={"Nonsense": "1"})
    for bad in (other, unknown, decision("maybe"), 7):
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update("release_product", bad)
    await handle.signal("release_product", {"nonsense": True})
    await handle.execute_update("release_product", decision("approve"))
    for _ in range(300):
        view = await handle.query("state", result_type=ProductView)
        if any("not on file" in line for line in view.asked):
            break
        await asyncio.sleep(0.05)
    assert view.hold is ProductHold.NEW_PRODUCT
    await handle.execute_update("release_product", decision("approve", columns={"ProductLine": "FURN"}))
    view = await ended(env, goods)
    assert (view.state, view.done) == (ProductState.CREATED, ["created CI_Item DESK"])
    assert goods.writes == ["created in FURN"]
    assert sum("ignored" in line for line in view.decisions) == 1


async def test_a_discarded_product_stays_so_until_it_changes(
    env: WorkflowEnvironment, world: World, goods: Goods
) -> None:
    assert goods.product is not None
    goods.item = None
    assert await take(env, goods) is IntakeResult.STARTED
    handle = await waiting(env, goods, ProductHold.NEW_PRODUCT)
    await handle.signal("release_product", decision("discard", note="a sample"))
    assert (await ended(env, goods)).state is ProductState.DISCARDED
    assert await take(env, goods) is IntakeResult.DUPLICATE
    goods.found = [goods.differs()]
    tally = (await catch_up(env, goods)).tally
    assert (tally.started, tally.settled) == (0, 1)
    goods.product["name"] = "Desk for sale"
    assert await take(env, goods) is IntakeResult.STARTED
    await waiting(env, goods, ProductHold.NEW_PRODUCT)


async def test_what_was_remembered_under_other_rules_is_worth_nothing(
    env: WorkflowEnvironment, world: World, goods: Goods
) -> None:
    assert goods.product is not None
    assert goods.item is not None
    assert await take(env, goods) is IntakeResult.STARTED
    await ended(env, goods)
    goods.rules(skip=["GIFT-CARD"])
    goods.product["name"], goods.item[NAME] = "Desk, oak", "Desk in Sage"
    assert await take(env, goods) is IntakeResult.STARTED
    view = await ended(env, goods)
    assert view.done == ["ItemCodeDesc/name: 'Desk in Sage' → 'Desk, oak' in Sage"]
    assert world.alerts == [], "nobody knows that both sides changed"


async def test_created_at_once_where_the_pair_says_so(env: WorkflowEnvironment, world: World, goods: Goods) -> None:
    goods.rules(new_products="create")
    goods.item = None
    assert await take(env, goods) is IntakeResult.STARTED
    assert (await ended(env, goods)).state is ProductState.CREATED
    assert world.alerts == []


@pytest.mark.parametrize("action", ["approve", "discard"])
async def test_where_the_pair_asks_a_conflict_waits_and_nothing_is_written_before(
    env: WorkflowEnvironment, world: World, goods: Goods, action: str
) -> None:
    assert goods.product is not None
    goods.rules(conflicts="ask")
    assert await take(env, goods) is IntakeResult.STARTED
    await ended(env, goods)
    goods.product["price"] = "1"
    assert await take(env, goods) is IntakeResult.STARTED
    handle = await waiting(env, goods, ProductHold.PRODUCT_CONFLICT)
    assert goods.writes == []
    await told(world, 1)
    assert "Sage '9', store '1'" in world.alerts[0].text
    goods.found = [goods.differs(StandardUnitPrice=Changed(None, None))]
    assert (await catch_up(env, goods)).tally.at_work == 1
    await handle.execute_update("release_product", decision(action, "product_conflict"))
    view = await ended(env, goods)
    assert kinds(world) == [AlertKind.PRODUCT_CONFLICT], "a person has decided: nobody is told again"
    if action == "approve":
        assert goods.writes == ["StandardUnitPrice → store"]
        return
    assert (view.state, goods.writes) == (ProductState.IN_STEP, [])
    tally = (await catch_up(env, goods)).tally
    assert (tally.started, tally.settled) == (0, 1), "left as it is, until one side changes"
    goods.product["price"] = "2"
    assert await take(env, goods) is IntakeResult.STARTED
    await waiting(env, goods, ProductHold.PRODUCT_CONFLICT)


# ---- the catch-up ---------------------------------------------------------------------------------------------------


async def catch_up(env: WorkflowEnvironment, goods: Goods, **more: Any) -> ProductCatchUpResult:
    with env.with_time_skipping_disabled():
        result: ProductCatchUpResult = await env.client.execute_workflow(
            "ProductCatchUpWorkflow",
            ProductCatchUpStart(pair="goods", pace=PACE, **more),
            id=f"products-goods-{uuid.uuid4().hex}",
            task_queue=queues.ORDERS,
            result_type=ProductCatchUpResult,
        )
    return result


async def test_what_is_not_in_step_is_unknown_to_the_next_catch_up_and_all_else_known(
    env: WorkflowEnvironment, goods: Goods
) -> None:
    assert goods.product is not None
    goods.product["name"] = "Desk, oak"
    goods.found = [goods.differs(ItemCodeDesc=Changed(False, True))]
    result = await catch_up(env, goods)
    await ended(env, goods)
    sage, clarity = SideDigests(result.memory.sage), SideDigests(result.memory.clarity)
    there = bucket_of("DESK", NAME)
    assert (sage[there], clarity[there]) == (0, 0)
    assert sage[bucket_of("DESK", PRICE)] != 0
    assert len(result.model_dump_json()) < 9 * 1024
    assert goods.listed[0].memory == CatchUpMemory()


async def test_a_dry_run_lists_and_starts_nothing_and_leaves_no_memory(env: WorkflowEnvironment, goods: Goods) -> None:
    assert goods.product is not None
    goods.product["name"] = "Desk, oak"
    goods.found = [goods.differs(ItemCodeDesc=Changed(False, True))]
    given = CatchUpMemory(sage=SideDigests().known().text)
    result = await catch_up(env, goods, by_hand=True, dry_run=True, skus=["DESK"], memory=given)
    (row,) = result.tally.rows
    assert (row.sku, row.field, row.sage, row.clarity) == ("DESK", "ItemCodeDesc/name", "'Desk'", "'Desk, oak'")
    assert (row.becomes, row.why) == ("to_sage", "the store changed it")
    assert result.memory == CatchUpMemory()
    assert (goods.listed[0].memory, goods.listed[0].everything, goods.listed[0].skus) == (given, True, ["DESK"])
    assert (goods.reads, goods.writes, result.tally.started) == (0, [], 0)
