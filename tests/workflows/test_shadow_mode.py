"""Shadow orders on the real server, what the intake makes of events, and an order that people typed."""

import asyncio
import uuid
from datetime import date, datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import ValidationError
from rich.console import Console
from temporalio import activity
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.common import SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError
from temporalio.testing import ActivityEnvironment, WorkflowEnvironment
from temporalio.worker import Worker

from activities.errors import translate
from activities.golive import GoLiveActivities
from activities.intake import Intake, IntakeResult
from connectors.clarity.client import ClarityClient, OrderPage
from contracts import ids, queues
from contracts import search_attributes as attributes
from contracts.golive import AdoptOrders, GoLiveResult, GoLiveStart, MatchOpenOrders, OpenMatches, SalesOrderLinked
from contracts.messages import AlertKind, ClarityOrderChanged, ShipmentsRead
from contracts.retry import INTERNAL_ERROR_ATTEMPTS
from contracts.search_attributes import OrderState
from contracts.shadow import ShadowComparisonResult, ShadowComparisonStart, ShadowStart
from mappings.golive import match_open
from mappings.pair import Mode
from mappings.problems import Finding, HoldReason
from mappings.sales_order import CustomerDecision, CustomerMatch
from mappings.shadow import ComparedOrder, FieldDifference, ShadowOrder, ShadowOutcome
from mappings.shipments import SalesOrderStanding
from tests.workflows.conftest import (
    ACCOUNT,
    NUMBER,
    PAIR,
    STARTED,
    World,
    begin,
    outcome,
    payload_of,
    problem,
    shipment,
    start_of,
    until,
    view_of,
)
from workers.golive import TAKEN, go_live_too_early, take_over
from workers.settings import SettingsError
from workflows.go_live import GoLiveWorkflow

pytestmark = pytest.mark.asyncio(loop_scope="session")

SHADOW = PAIR.model_copy(update={"mode": Mode.SHADOW})
WRITES = {"reserve_sales_order_number", "create_sales_order", "request_customer", "acknowledge_to_clarity"}


async def think(env: WorkflowEnvironment, name: str = "02-known-web-customer", **more: Any) -> ShadowOrder:
    """What would have become of a sample order."""
    start = start_of(name)
    handle: WorkflowHandle[Any, ShadowOrder] = await env.client.start_workflow(
        "ShadowOrderWorkflow",
        ShadowStart(order=start, **more),
        id=ids.shadow_order_workflow_id("demo", start.order_id),
        task_queue=queues.ORDERS,
        result_type=ShadowOrder,
    )
    STARTED.append(handle)
    return await handle.result()


async def test_an_order_that_would_be_created_is_previewed_on_its_account(
    env: WorkflowEnvironment, world: World
) -> None:
    one = await think(env)
    assert (one.customer, one.customer_by, one.holds) == (ACCOUNT, "a test", [])
    assert one.on_sage is not None
    assert one.sales_order is not None
    assert one.sales_order.CustomerNo == ACCOUNT.CustomerNo
    assert [request.SalesOrderNo for request in world.previews] == [""]
    assert not WRITES & set(world.calls)
    assert world.alerts == []


async def test_everything_that_would_hold_it_is_in_the_result(env: WorkflowEnvironment, world: World) -> None:
    credit = Finding(reason=HoldReason.CREDIT, check="credit", problems=[problem("over the limit")])
    in_sage = Finding(reason=HoldReason.ANOMALY, check="same_basket", problems=[problem("waits there")], in_sage=True)
    world.findings = [[credit]]
    world.preview_findings = [
        Finding(reason=HoldReason.TOTAL_MISMATCH, problems=[problem("a cent")]), credit, in_sage
    ]  # fmt: skip
    one = await think(env)
    assert [hold.reason for hold in one.holds] == [HoldReason.CREDIT, HoldReason.TOTAL_MISMATCH]
    assert world.alerts == []


async def test_a_customer_that_would_be_created_is_told_and_nothing_is_previewed(
    env: WorkflowEnvironment, world: World
) -> None:
    world.match = CustomerMatch(decision=CustomerDecision.CREATE)
    one = await think(env)
    assert one.new_customer is not None
    assert (one.customer, one.holds, world.previews) == (None, [], [])
    assert world.calls.count("find_customer") == 1
    assert world.customers_created == 0


async def test_an_order_that_cannot_be_understood_would_be_held(env: WorkflowEnvironment, world: World) -> None:
    world.break_transform = True
    one = await think(env)
    assert [hold.reason for hold in one.holds] == [HoldReason.INTERNAL_ERROR]
    assert one.sales_order is None


async def test_what_only_the_typed_order_makes_suspicious_is_looked_past(
    env: WorkflowEnvironment, world: World
) -> None:
    twin = Finding(reason=HoldReason.ANOMALY, check="same_basket", problems=[problem("0000042 has the same")])
    world.findings = [[twin]]
    assert (await think(env)).holds == []
    assert world.approved == [[], ["same_basket:test"]]


# ---- the intake -----------------------------------------------------------------------------------------------------


def event_of(order_id: str, type_: str = "order.created", **changes: Any) -> dict[str, Any]:
    event = payload_of("02-known-web-customer")
    event["type"] = type_
    event["data"] |= {"id": order_id, **changes}
    return event


async def test_events_of_a_pair_in_shadow_start_shadow_orders_and_nothing_else(
    env: WorkflowEnvironment, world: World
) -> None:
    order_id = f"s{uuid.uuid4().hex[:10]}"
    intake = Intake(env.client, SHADOW)

    async def take(event: dict[str, Any]) -> IntakeResult:
        result, named = await intake.take(event, uuid.uuid4().hex)
        if result in (IntakeResult.STARTED, IntakeResult.CHANGED):
            assert named == f"shadow-order-demo-{order_id}"
            STARTED.append(env.client.get_workflow_handle(named))
            await env.client.get_workflow_handle(named).result()
        return result

    assert await take(event_of(order_id, "order.cancelled", status="Cancelled")) is IntakeResult.IGNORED
    # The day of the go-live does not count yet.
    created = event_of(order_id, createdDate="2020-01-01T00:00:00Z")
    assert await take(created) is IntakeResult.STARTED
    assert await take(created) is IntakeResult.DUPLICATE
    # People typed it, and set its status and number by hand.
    typed = event_of(order_id, "order.updated", createdDate="2020-01-01T00:00:00Z", status="Processing")
    assert await take(typed) is IntakeResult.DUPLICATE
    changed = event_of(order_id, "order.updated", createdDate="2020-01-01T00:00:00Z", notes="please ring")
    assert await take(changed) is IntakeResult.CHANGED
    gone = event_of(order_id, "order.cancelled", createdDate="2020-01-01T00:00:00Z", status="Cancelled")
    assert await take(gone) is IntakeResult.CHANGED
    shadow = await env.client.get_workflow_handle(f"shadow-order-demo-{order_id}", result_type=ShadowOrder).result()
    assert shadow.cancelled
    assert await take({"type": "product.updated", "data": {"id": "1", "sku": "A"}}) is IntakeResult.IGNORED
    assert await take({"type": "customer.updated", "data": {"id": "1"}}) is IntakeResult.IGNORED
    assert (await env.client.count_workflows(f"WorkflowId='order-demo-{order_id}'")).count == 0


async def test_a_live_pair_never_creates_what_came_in_shadow_without_a_person(
    env: WorkflowEnvironment, world: World
) -> None:
    order_id = f"s{uuid.uuid4().hex[:10]}"
    event = event_of(order_id)
    await Intake(env.client, SHADOW).take(event, "1")
    STARTED.append(env.client.get_workflow_handle(f"shadow-order-demo-{order_id}"))
    # go_live was forgotten, or is that of the first time: it says nothing of the orders that came in shadow mode.
    live = PAIR.model_copy(update={"go_live": date(2020, 1, 1)})
    for _ in range(300):
        # Temporal's list of workflows is a little behind.
        if said := await go_live_too_early(env.client, live):
            break
        await asyncio.sleep(0.05)
    assert "Set go_live in demo.yaml" in said
    today = live.model_copy(update={"go_live": datetime.now(live.company.zone).date()})
    assert await go_live_too_early(env.client, today) == ""
    result, why = await Intake(env.client, live).take(event, "2", backfill="run", bury=False)
    assert result is IntakeResult.NEEDS_FORCE
    assert "people may have typed it" in why
    assert "create_sales_order" not in world.calls
    result, named = await Intake(env.client, live).take(event, "3", bury=False, adopts=NUMBER)
    STARTED.append(env.client.get_workflow_handle(named))
    assert result is IntakeResult.STARTED
    await world.until_called("acknowledge_to_clarity", 1)
    assert "create_sales_order" not in world.calls


async def test_a_pair_back_in_shadow_mode_tells_its_running_orders_of_changes(
    env: WorkflowEnvironment, world: World
) -> None:
    start = start_of()
    handle = await begin(env, start)
    await until(handle, "open")
    intake = Intake(env.client, SHADOW)
    name = start.order_id
    assert await intake.take(event_of(name, "order.updated", notes="ring"), "1") == (IntakeResult.CHANGED, handle.id)
    gone = event_of(name, "order.updated", status="Cancelled")
    assert await intake.take(gone, "2", backfill="run") == (IntakeResult.CHANGED, handle.id)
    assert (await outcome(handle)).state is OrderState.CANCELLED
    # What is closed is thought about like any other.
    result, named = await intake.take(event_of(name, "order.updated", notes="late"), "3")
    assert (result, named) == (IntakeResult.STARTED, f"shadow-order-demo-{name}")
    await env.client.get_workflow_handle(named).result()


# ---- the typed order ------------------------------------------------------------------------------------------------


async def test_a_typed_order_is_linked_followed_and_never_created(env: WorkflowEnvironment, world: World) -> None:
    seen = shipment(posted=True, live=False)
    world.read = ShipmentsRead(invoices=[seen.invoice], standing=seen.standing)
    handle = await begin(env, start_of().model_copy(update={"adopts": NUMBER}))
    done = await outcome(handle)
    assert (done.sales_order_no, done.invoices) == (NUMBER, [seen.invoice.InvoiceNo])
    assert [request.SalesOrderNo for request in world.links] == [NUMBER]
    assert {request.adopts for request in world.facts} == {NUMBER}
    assert not {"reserve_sales_order_number", "create_sales_order"} & set(world.calls)
    assert [one.by_hand for one in world.shipments] == [True]
    assert any("was typed by people" in entry.what for entry in (await view_of(handle)).trail)
    assert any(entry.what == "as typed" for entry in (await view_of(handle)).trail)


async def test_a_typed_order_that_is_not_there_is_held_and_looked_at_again(
    env: WorkflowEnvironment, world: World
) -> None:
    world.linked = [SalesOrderLinked(problems=[problem("Sage has no sales order 0001042")])]
    # What would hold a create is none of its business: it stands in Sage.
    world.findings = [[Finding(reason=HoldReason.CREDIT, problems=[problem("over the limit")])]]
    world.read = ShipmentsRead(invoices=[], standing=SalesOrderStanding(SalesOrderNo=NUMBER, live=True))
    handle = await begin(env, start_of().model_copy(update={"adopts": NUMBER}))
    view = await until(handle, "held", hold=1)
    assert view.hold is not None
    assert view.hold.reason is HoldReason.REJECTED_BY_SAGE
    await handle.execute_update("release_hold", {"action": "retry", "by": "Ann", "hold": 1})
    await until(handle, "open")
    assert "create_sales_order" not in world.calls


async def test_a_cancellation_that_comes_before_the_link_is_honoured_in_sage(
    env: WorkflowEnvironment, world: World
) -> None:
    world.facts_gate.clear()
    world.stored = True
    start = start_of()
    handle = await begin(env, start.model_copy(update={"adopts": NUMBER}))
    await world.until_called("read_sage_facts", 1)
    change = ClarityOrderChanged(event="order.cancelled", payload=start.payload, digest="gone")
    await handle.signal("clarity_order_changed", change)
    world.facts_gate.set()
    assert (await outcome(handle)).state is OrderState.CANCELLED
    assert [name for name in world.calls if name in ("link_sales_order", "cancel_sales_order")] == [
        "link_sales_order", "cancel_sales_order"
    ]  # fmt: skip


async def test_an_order_that_is_cancelled_instead_of_linked_says_what_is_left_in_sage(
    env: WorkflowEnvironment, world: World
) -> None:
    world.linked = [SalesOrderLinked(problems=[problem("that is another web order's")])]
    handle = await begin(env, start_of().model_copy(update={"adopts": NUMBER}))
    await until(handle, "held", hold=1)
    await handle.execute_update("release_hold", {"action": "cancel", "by": "Ann", "hold": 1})
    assert (await outcome(handle)).state is OrderState.CANCELLED
    assert any(f"sales order {NUMBER}, which people typed" in alert.text for alert in world.alerts)


@pytest.mark.parametrize("force", [False, True])
async def test_a_typed_order_that_is_started_again_is_followed_and_never_created(
    env: WorkflowEnvironment, world: World, *, force: bool
) -> None:
    world.facts_gate.clear()
    # The pair went live after the order, which is none of its own but for the link.
    live = PAIR.model_copy(update={"go_live": date(2099, 1, 1)})
    start = start_of()
    start.payload["type"] = "order.updated"
    handle = await begin(env, start.model_copy(update={"adopts": NUMBER}))
    await world.until_called("read_sage_facts", 1)
    await handle.terminate("before it was linked")
    world.facts_gate.set()
    why: dict[str, Any] = {"forced": "Ann: by mistake"} if force else {"restart": True}
    result, named = await Intake(env.client, live).take(start.payload, "again", **why)
    assert (result, named) == (IntakeResult.STARTED, handle.id)
    again = env.client.get_workflow_handle(handle.id)
    STARTED.append(again)
    await until(again, "open")
    assert [request.SalesOrderNo for request in world.links] == [NUMBER]
    assert not {"reserve_sales_order_number", "create_sales_order"} & set(world.calls)


async def test_a_second_golive_takes_nothing_over_while_one_runs(env: WorkflowEnvironment) -> None:
    start = GoLiveStart(pair="twice", pace=start_of().pace, since=date(2026, 6, 1), adopt={"10001": NUMBER})
    handle = await env.client.start_workflow(
        "GoLiveWorkflow", start, id=ids.go_live_workflow_id("twice"), task_queue="nobody"
    )
    STARTED.append(handle)
    with pytest.raises(SettingsError, match="golive-twice runs already"):
        await take_over(env.client, start.model_copy(update={"adopt": {"10002": NUMBER}}), Console(file=StringIO()))


class MovingList:
    """Clarity's list, two orders a page: while it is read the first of it goes to its end, so many times."""

    page_size = 2

    def __init__(self, moves: int, hidden: int = 0) -> None:
        self.ids, self.moves, self.hidden = [f"m{number}{uuid.uuid4().hex[:8]}" for number in range(5)], moves, hidden

    async def list_orders(self, since: datetime, page: int = 0) -> OrderPage:
        if page and self.moves:
            self.moves -= 1
            self.ids.append(self.ids.pop(0))
        items = [event_of(one)["data"] for one in self.ids[page * 2 : page * 2 + 2]]
        return OrderPage(items=items, totalCount=len(self.ids) + self.hidden)


@activity.defn(name="match_open_orders")
async def nobody_typed_it(request: MatchOpenOrders) -> OpenMatches:
    found = [match_open(one, [], "", [], Decimal(0)) for one in request.orders]
    return OpenMatches(matches=found)


async def test_golive_misses_no_order_while_claritys_list_moves(env: WorkflowEnvironment, world: World) -> None:
    pair = SHADOW.model_copy(update={"name": "moving"})

    async def look(store: MovingList) -> GoLiveResult:
        lists = GoLiveActivities(pair, {}, cast(ClarityClient, store), env.client).list_open_orders
        async with (
            Worker(env.client, task_queue=queues.clarity("moving"), activities=[lists]),
            Worker(env.client, task_queue=queues.sage_read("moving"), activities=[nobody_typed_it]),
        ):
            return await env.client.execute_workflow(
                GoLiveWorkflow.run,
                GoLiveStart(pair="moving", pace=start_of().pace, since=date(2026, 6, 1)),
                id=f"golive-moving-{uuid.uuid4().hex}",
                task_queue=queues.ORDERS,
            )

    # The third has moved up to the first page, which was read already.
    store = MovingList(moves=1)
    found = await look(store)
    assert ({one.order_id for one in found.matches}, found.unseen) == (set(store.ids), 0)
    store = MovingList(moves=0, hidden=2)
    assert (await look(store)).unseen == 2


class Shop:
    """Clarity, which knows every order."""

    async def get_order(self, order_id: str) -> dict[str, Any]:
        data: dict[str, Any] = event_of(order_id)["data"]
        return data


async def test_a_sales_order_that_a_running_web_order_follows_is_given_to_no_second_one(
    env: WorkflowEnvironment, world: World
) -> None:
    start = start_of().model_copy(update={"adopts": NUMBER})
    of_pair = TypedSearchAttributes([SearchAttributePair(attributes.PAIR, "demo")])
    await until(await begin(env, start, search_attributes=of_pair), "open")
    second = f"s{uuid.uuid4().hex[:10]}"
    activities = GoLiveActivities(PAIR, {}, cast(ClarityClient, Shop()), env.client)
    for _ in range(300):
        # Temporal's list of workflows is a little behind.
        if await activities._followers([NUMBER]):
            break
        await asyncio.sleep(0.05)
    request = AdoptOrders(pair="demo", orders={start.order_id: NUMBER, second: NUMBER})
    first, other = (await ActivityEnvironment().run(activities.adopt_orders, request)).orders
    assert first.result in TAKEN
    assert (other.result, other.detail) == ("not_started", f"web order {start.order_id} has this sales order already")
    with pytest.raises(RPCError):
        await env.client.get_workflow_handle(f"order-demo-{second}").describe()


# ---- the comparison -------------------------------------------------------------------------------------------------


def compared(number: int, outcome_: ShadowOutcome) -> ComparedOrder:
    differs = [FieldDifference(field="ship_to", ours="Maria, 12 Rose Street", theirs="elsewhere")]
    return ComparedOrder(
        order_id=str(number),
        order_number=f"W-{number}",
        created=date(2026, 11, 25),
        outcome=outcome_,
        differences=differs if outcome_ is ShadowOutcome.DIFFERS else [],
    )


async def compare(env: WorkflowEnvironment) -> ShadowComparisonResult:
    handle: WorkflowHandle[Any, ShadowComparisonResult] = await env.client.start_workflow(
        "ShadowComparisonWorkflow",
        ShadowComparisonStart(pair="demo", pace=start_of().pace, time_zone="America/Chicago"),
        id=f"shadow-demo-{uuid.uuid4().hex}",
        task_queue=queues.ORDERS,
        result_type=ShadowComparisonResult,
    )
    STARTED.append(handle)
    return await handle.result()


async def test_a_comparison_of_many_orders_is_written_and_told_once(
    env: WorkflowEnvironment, world: World, tmp_path: Path
) -> None:
    world.compared = [compared(number, ShadowOutcome.SAME) for number in range(120)]
    quiet = await compare(env)
    assert (quiet.totals.orders, quiet.examples, world.alerts) == ({ShadowOutcome.SAME: 120}, [], [])
    assert world.calls.count("compare_typed_orders") == 2
    world.compared += [compared(number, ShadowOutcome.DIFFERS) for number in range(200, 230)]
    result = await compare(env)
    assert len(result.examples) == 20
    (alert,) = world.alerts
    assert alert.kind is AlertKind.SHADOW
    assert "30 orders differ from what people typed (ship_to 30)" in alert.text
    assert "Rose Street" not in alert.model_dump_json()
    lines = (tmp_path / result.folder / "orders.csv").read_text("utf-8-sig").splitlines()
    assert len(lines) == 151


async def test_a_comparison_that_fails_is_told_without_what_it_choked_on(
    env: WorkflowEnvironment, world: World
) -> None:
    async def chokes() -> None:
        try:
            ComparedOrder.model_validate({"order_id": ["Maria, 12 Rose Street"]})
        except ValidationError as error:
            raise translate(error, INTERNAL_ERROR_ATTEMPTS) from None

    world.compared, world.when["compare_typed_orders"] = [compared(1, ShadowOutcome.SAME)], chokes
    with pytest.raises(WorkflowFailureError):
        await compare(env)
    (alert,) = world.alerts
    assert alert.text.startswith("It could not be done: ValidationError in ")
    assert "Rose Street" not in alert.model_dump_json()
