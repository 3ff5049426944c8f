"""What the buyer changes or cancels after Sage has the order: done as far as possible, held side by side otherwise."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from contracts import queues
from contracts.failures import FailureType
from contracts.messages import (
    AlertKind,
    CancelOutcome,
    CreditMemoStart,
    OrderOutcome,
    OrderStart,
    SalesOrderCancelled,
    SalesOrderChanged,
)
from contracts.search_attributes import OrderState
from mappings.problems import HoldReason, Problem
from mappings.shipments import CreditMemo, SalesOrderStanding
from tests.workflows.conftest import (
    NUMBER,
    World,
    begin,
    created_order,
    outcome,
    refused,
    shipment,
    start_of,
    until,
    view_of,
)
from tests.workflows.test_races import failed_tasks, quantity, release, said, version

pytestmark = pytest.mark.asyncio(loop_scope="session")

Handle = WorkflowHandle[Any, OrderOutcome]
LIVE = {line.LineKey: line.QuantityOrdered for line in created_order().Lines}
GONE = SalesOrderStanding(SalesOrderNo=NUMBER, live=False, history_status="X")


def kinds(world: World) -> list[AlertKind]:
    return [alert.kind for alert in world.alerts]


async def held_for_change(handle: Handle, hold: int = 1) -> list[Problem]:
    """The problems of the hold, once there is one."""
    view = await until(handle, "held", hold=hold)
    assert view.hold is not None
    assert view.hold.reason is HoldReason.ORDER_CHANGED
    return view.hold.problems


async def told(world: World, kind: AlertKind) -> None:
    for _ in range(200):
        if kind in kinds(world):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(kinds(world))


# ---- changes --------------------------------------------------------------------------------------------------------


async def test_a_newer_version_changes_the_sales_order_and_is_in_force(env: WorkflowEnvironment, world: World) -> None:
    start = start_of()
    handle = await begin(env, start)
    await until(handle, "open")
    await handle.signal("clarity_order_changed", version(start, "new", quantity(3)))
    await said(handle, "Changed in Sage: as asked")
    request = world.change_requests[0]
    assert request.before is not None
    assert request.before.Lines[0].QuantityOrdered != 3
    assert request.after.Lines[0].QuantityOrdered == 3
    assert (await view_of(handle)).digest == "new"
    await told(world, AlertKind.ORDER_CHANGED)
    # The same once more, and the version before it, are no news.
    await handle.signal("clarity_order_changed", version(start, "new", quantity(3)))
    await handle.signal("clarity_order_changed", version(start, "old", quantity(9), updated="2026-11-20T00:00:00Z"))
    await said(handle, "an older version")
    # The next version is held against this one.
    await handle.signal("clarity_order_changed", version(start, "newest", quantity(4), updated="2026-12-31T00:00:00Z"))
    await world.until_called("change_sales_order", 2)
    before = world.change_requests[1].before
    assert before is not None
    assert before.Lines[0].QuantityOrdered == 3


async def test_a_version_that_concerns_nothing_in_sage_is_silent(env: WorkflowEnvironment, world: World) -> None:
    world.changes = [SalesOrderChanged(said=[], lines=[])]
    start = start_of()
    handle = await begin(env, start)
    await until(handle, "open")
    await handle.signal("clarity_order_changed", version(start, "new"))
    await said(handle, "Nothing of that version concerns the sales order")
    assert kinds(world) == []


async def test_what_sage_does_not_allow_is_held_with_both_versions(env: WorkflowEnvironment, world: World) -> None:
    problem = Problem(field="SO_SalesOrder.X", message="Clarity has 3, sent with 2, in Sage stand 5")
    world.changes = [SalesOrderChanged(problems=[problem], said=["quantity"])]
    start = start_of()
    handle = await begin(env, start)
    await until(handle, "open")
    await handle.signal("clarity_order_changed", version(start, "new", quantity(3)))
    assert await held_for_change(handle) == [problem]
    # A person mended it in Sage: it is looked at again, and nothing is left to do.
    world.changes = [SalesOrderChanged(said=[], lines=world.change_requests[0].lines)]
    await release(handle, "retry", hold=1)
    await until(handle, "open")
    assert (await view_of(handle)).digest == "new"


async def test_a_person_leaves_a_change_aside_and_its_repeats_are_no_news(
    env: WorkflowEnvironment, world: World
) -> None:
    world.changes = [SalesOrderChanged(problems=[Problem(field="x", message="no")])]
    start = start_of()
    handle = await begin(env, start)
    await until(handle, "open")
    change = version(start, "new", quantity(3))
    await handle.signal("clarity_order_changed", change)
    await held_for_change(handle)
    await release(handle, "approve", hold=1)
    await until(handle, "open")
    await handle.signal("clarity_order_changed", change)
    view = await view_of(handle)
    assert view.digest == "new"
    assert view.state is OrderState.OPEN
    assert len(world.change_requests) == 1


async def test_what_a_person_left_aside_is_not_done_with_the_next_version(
    env: WorkflowEnvironment, world: World
) -> None:
    """The quantity was left aside; the next version changes something else, and still has that quantity."""
    world.changes = [SalesOrderChanged(problems=[Problem(field="x", message="no")])]
    start = start_of()
    handle = await begin(env, start)
    await until(handle, "open")
    await handle.signal("clarity_order_changed", version(start, "new", quantity(3)))
    await held_for_change(handle)
    await release(handle, "approve", hold=1)
    await until(handle, "open")
    # An older one on its way is older than what was left aside, too.
    await handle.signal("clarity_order_changed", version(start, "old", quantity(9), updated="2026-12-29T00:00:00Z"))
    await said(handle, "an older version")
    await handle.signal("clarity_order_changed", version(start, "next", quantity(3), updated="2026-12-31T00:00:00Z"))
    await world.until_called("change_sales_order", 2)
    before = world.change_requests[1].before
    assert before is not None
    assert before.Lines[0].QuantityOrdered == 3


async def test_a_newer_version_answers_the_hold_of_the_one_before(env: WorkflowEnvironment, world: World) -> None:
    world.changes = [SalesOrderChanged(problems=[Problem(field="x", message="no")])]
    start = start_of()
    handle = await begin(env, start)
    await until(handle, "open")
    await handle.signal("clarity_order_changed", version(start, "new", quantity(3)))
    await held_for_change(handle)
    await handle.signal("clarity_order_changed", version(start, "newer", quantity(4), updated="2026-12-31T00:00:00Z"))
    await said(handle, "Changed in Sage: as asked")
    assert [request.after.Lines[0].QuantityOrdered for request in world.change_requests] == [3, 4]


async def test_a_shipment_during_the_hold_reaches_clarity_before_the_change_is_asked_about_again(
    env: WorkflowEnvironment, world: World
) -> None:
    no = SalesOrderChanged(problems=[Problem(field="x", message="being shipped")])
    world.changes = [no, no]
    start = start_of()
    handle = await begin(env, start)
    await until(handle, "open")
    await handle.signal("clarity_order_changed", version(start, "new", quantity(3)))
    await held_for_change(handle)
    await handle.signal("shipment", shipment(posted=False))
    await held_for_change(handle, hold=2)
    assert len(world.shipments) == 1
    await handle.signal("shipment", shipment(posted=True, live=False))
    assert (await outcome(handle)).state is OrderState.COMPLETE
    await told(world, AlertKind.ORDER_CHANGED)
    assert world.alerts[-1].text == "the change came after everything was shipped and posted"


async def test_an_order_that_left_sage_is_too_late_for_a_change(env: WorkflowEnvironment, world: World) -> None:
    start = start_of()
    handle = await begin(env, start)
    await until(handle, "open")
    world.stored = False
    await handle.signal("clarity_order_changed", version(start, "new", quantity(3)))
    await said(handle, "comes too late")
    await told(world, AlertKind.ORDER_CHANGED)
    assert world.change_requests == []


async def test_what_sage_refuses_is_a_hold_that_is_tried_again(env: WorkflowEnvironment, world: World) -> None:
    world.changes = [refused(FailureType.REFUSED_BY_SAGE, "ShipVia", "is not on file")]
    start = start_of()
    handle = await begin(env, start)
    await until(handle, "open")
    await handle.signal("clarity_order_changed", version(start, "new", quantity(3)))
    view = await until(handle, "held", hold=1)
    assert view.hold is not None
    assert view.hold.reason is HoldReason.REJECTED_BY_SAGE
    await release(handle, "retry", hold=1)
    await said(handle, "Changed in Sage: as asked")


# ---- cancellations --------------------------------------------------------------------------------------------------


async def test_cancelled_before_anything_is_shipped_is_cancelled_on_both_sides(
    env: WorkflowEnvironment, world: World
) -> None:
    start = start_of()
    handle = await begin(env, start)
    await until(handle, "open")
    await handle.signal("clarity_order_changed", version(start, "cancel", event="order.cancelled"))
    result = await outcome(handle)
    assert result.state is OrderState.CANCELLED
    assert result.note == "cancelled at Clarity"
    assert not world.stored
    assert world.calls[-2:] == ["cancel_sales_order", "cancel_at_clarity"]
    assert kinds(world) == [AlertKind.REFUND_DUE]


async def test_cancelled_after_a_shipment_is_held_and_approve_ships_the_rest(
    env: WorkflowEnvironment, world: World
) -> None:
    start = start_of()
    handle = await begin(env, start)
    await until(handle, "open")
    world.invoiced = ["0100001"]
    cancel = version(start, "cancel", event="order.cancelled")
    await handle.signal("clarity_order_changed", cancel)
    (problem,) = await held_for_change(handle)
    assert "invoice 0100001 bills it" in problem.message
    await release(handle, "approve", hold=1)
    await until(handle, "open")
    await handle.signal("clarity_order_changed", cancel)
    assert (await until(handle, "open")).hold is None
    await handle.signal("shipment", shipment(posted=True, live=False))
    assert (await outcome(handle)).state is OrderState.COMPLETE


async def test_an_order_that_is_cancelled_again_after_that_was_left_aside_is_asked_about_again(
    env: WorkflowEnvironment, world: World
) -> None:
    start = start_of()
    handle = await begin(env, start)
    await until(handle, "open")
    world.invoiced = ["0100001"]
    cancel = version(start, "cancel", event="order.cancelled")
    await handle.signal("clarity_order_changed", cancel)
    await held_for_change(handle)
    await release(handle, "approve", hold=1)
    await until(handle, "open")
    # The same event again, and one that was overtaken.
    await handle.signal("clarity_order_changed", cancel)
    earlier = version(start, "earlier", event="order.cancelled", updated="2026-12-29T00:00:00Z")
    await handle.signal("clarity_order_changed", earlier)
    assert (await view_of(handle)).hold is None
    # The same content, for the digest leaves the status out; later.
    later = version(start, "cancel", event="order.cancelled", updated="2026-12-31T00:00:00Z")
    await handle.signal("clarity_order_changed", later)
    await held_for_change(handle, hold=2)


async def test_where_a_person_deletes_it_the_order_ends_by_itself_when_that_was_done(
    env: WorkflowEnvironment, world: World
) -> None:
    world.cancels = [SalesOrderCancelled(outcome=CancelOutcome.ON_HOLD)]
    world.read = world.read.model_copy(update={"standing": GONE})
    start = start_of(agree_time=0.2)
    handle = await begin(env, start)
    await until(handle, "open")
    await handle.signal("clarity_order_changed", version(start, "cancel", event="order.cancelled"))
    (problem,) = await held_for_change(handle)
    assert "on hold, to be deleted" in problem.message
    world.stored = False
    await handle.signal("sales_order_changed", GONE)
    assert (await outcome(handle)).state is OrderState.CANCELLED


async def test_the_same_question_alerts_once_whatever_sage_tells_meanwhile(
    env: WorkflowEnvironment, world: World
) -> None:
    """That the order is on hold in Sage is this cancellation's own doing, and comes back as news."""
    world.cancels = [SalesOrderCancelled(outcome=CancelOutcome.ON_HOLD)] * 3
    start = start_of()
    handle = await begin(env, start)
    await until(handle, "open")
    await handle.signal("clarity_order_changed", version(start, "cancel", event="order.cancelled"))
    await held_for_change(handle)
    standing = SalesOrderStanding(SalesOrderNo=NUMBER, live=True, OrderStatus="H", live_lines=LIVE)
    await handle.signal("sales_order_changed", standing)
    # People release it there, as the hold says they may: it is not set on hold behind their backs.
    await handle.signal("sales_order_changed", standing.model_copy(update={"OrderStatus": "N"}))
    await held_for_change(handle)
    assert kinds(world) == [AlertKind.HOLD]
    assert world.calls.count("cancel_sales_order") == 1
    # Another question is another alert.
    world.cancels = []
    world.invoiced = ["0100001"]
    await handle.signal("shipment", shipment(posted=False))
    await held_for_change(handle, hold=2)
    await release(handle, "approve", hold=2)
    await until(handle, "shipped")
    assert kinds(world) == [AlertKind.HOLD] * 2


async def test_the_version_that_a_cancellation_overtook_counts_when_that_is_left_aside(
    env: WorkflowEnvironment, world: World
) -> None:
    world.changes = [SalesOrderChanged(problems=[Problem(field="x", message="no")])]
    world.invoiced = ["0100001"]
    start = start_of()
    handle = await begin(env, start)
    await until(handle, "open")
    await handle.signal("clarity_order_changed", version(start, "new", quantity(3)))
    await held_for_change(handle)
    cancel = version(start, "cancel", quantity(3), event="order.cancelled", updated="2026-12-31T00:00:00Z")
    await handle.signal("clarity_order_changed", cancel)
    await held_for_change(handle, hold=2)
    await release(handle, "approve", hold=2)
    await said(handle, "Changed in Sage: as asked")
    assert [request.after.Lines[0].QuantityOrdered for request in world.change_requests] == [3, 3]


async def test_cancelling_a_held_order_that_sage_has_cancels_it_there(env: WorkflowEnvironment, world: World) -> None:
    world.refuse_clarity = 5
    handle = await begin(env)
    await until(handle, "held", hold=1)
    await release(handle, "cancel", hold=1)
    assert (await outcome(handle)).state is OrderState.CANCELLED
    assert not world.stored


async def test_clarity_refuses_an_order_that_was_cancelled_there(env: WorkflowEnvironment, world: World) -> None:
    """The acknowledgement is refused, and the cancellation that explains it is on its way."""
    world.refuse_clarity = 5
    start = start_of()
    handle = await begin(env, start)
    await until(handle, "held", hold=1)
    await handle.signal("clarity_order_changed", version(start, "cancel", event="order.cancelled"))
    assert (await outcome(handle)).state is OrderState.CANCELLED
    assert not world.stored


async def test_a_change_that_comes_while_people_are_told_that_another_was_too_late_is_told_too(
    env: WorkflowEnvironment, world: World
) -> None:
    start = start_of()
    handle = await begin(env, start)
    await until(handle, "open")

    async def second() -> None:
        newest = version(start, "newest", quantity(4), updated="2026-12-31T00:00:00Z")
        await handle.signal("clarity_order_changed", newest)

    async def first() -> None:
        await handle.signal("clarity_order_changed", version(start, "new", quantity(3)))
        world.when["raise_alert"] = second

    world.when["record_invoices"] = first
    await handle.signal("shipment", shipment(posted=True, live=False))
    assert (await outcome(handle)).state is OrderState.COMPLETE
    assert [alert.text for alert in world.alerts] == ["the change came after everything was shipped and posted"] * 2


# ---- races ----------------------------------------------------------------------------------------------------------

STEPS = [
    "transform_order",
    "read_sage_facts",
    "reserve_sales_order_number",
    "create_sales_order",
    "acknowledge_to_clarity",
    "post_shipment",
    "read_shipments",
    "record_invoices",
]


async def life(env: WorkflowEnvironment, world: World, step: str, event: str) -> tuple[Handle, OrderStart]:
    """An order whose goods go out as soon as it is open, with Clarity's event as `step` begins."""
    start = start_of()
    change = version(start, "crossing", quantity(3) if event == "order.updated" else lambda _: None, event=event)
    world.facts_gate.clear()
    more = {"start_signal": "clarity_order_changed", "start_signal_args": [change]} if step == STEPS[0] else {}
    handle = await begin(env, start, **more)

    async def send() -> None:
        await handle.signal("clarity_order_changed", change)

    if step != STEPS[0]:
        world.when[step] = send

    async def ship() -> None:
        # Somebody in Sage, as soon as there is an order: an invoice cannot be begun for one that is cancelled.
        if world.stored:
            world.invoiced = ["0100001"]
            await handle.signal("shipment", shipment(posted=False))

    if step in STEPS[5:]:
        acknowledged = asyncio.Event()

        async def acknowledge() -> None:
            acknowledged.set()
            await ship()

        world.when["acknowledge_to_clarity"] = acknowledge
    world.facts_gate.set()
    return handle, start


@pytest.mark.parametrize("step", STEPS)
async def test_a_cancellation_that_crosses_a_step_ends_in_a_consistent_state(
    env: WorkflowEnvironment, world: World, step: str
) -> None:
    handle, _ = await life(env, world, step, "order.cancelled")
    if step in STEPS[5:]:
        if step != "post_shipment":
            for _ in range(200):
                if world.shipments:
                    break
                await asyncio.sleep(0.05)
            await handle.signal("shipment", shipment(posted=True, live=False))
        else:
            await held_for_change(handle)
            await handle.signal("shipment", shipment(posted=True, live=False))
        result = await outcome(handle)
        # Shipped is shipped: nothing was cancelled behind the parcel's back.
        assert result.state is OrderState.COMPLETE
        assert world.stored
        assert "cancel_at_clarity" not in world.calls
    else:
        result = await outcome(handle)
        assert result.state is OrderState.CANCELLED
        assert not world.stored
        assert world.calls.count("cancel_at_clarity") == 1
        assert world.calls.count("create_sales_order") <= 1
    assert await failed_tasks(handle) == []


@pytest.mark.parametrize("step", STEPS[:5])
async def test_an_update_that_crosses_a_step_is_what_stands_in_sage(
    env: WorkflowEnvironment, world: World, step: str
) -> None:
    handle, _ = await life(env, world, step, "order.updated")
    assert (await until(handle, "open")).digest == "crossing"
    if step in ("create_sales_order", "acknowledge_to_clarity"):
        await said(handle, "Changed in Sage")
        assert world.change_requests[-1].after.Lines[0].QuantityOrdered == 3
        assert len(world.change_requests) == 1
    else:
        assert world.requests[-1].sales_order.Lines[0].QuantityOrdered == 3
    assert world.calls.count("create_sales_order") == 1
    assert await failed_tasks(handle) == []


async def test_update_and_cancellation_that_cross_a_create_end_cancelled(
    env: WorkflowEnvironment, world: World
) -> None:
    start = start_of()
    world.create_gate.clear()
    handle = await begin(env, start)
    await world.until_called("create_sales_order", 1)
    await handle.signal("clarity_order_changed", version(start, "new", quantity(3)))
    await handle.signal("clarity_order_changed", version(start, "cancel", quantity(3), event="order.cancelled"))
    await handle.signal("clarity_order_changed", version(start, "late", quantity(4)))
    world.create_gate.set()
    assert (await outcome(handle)).state is OrderState.CANCELLED
    assert world.change_requests == []


async def test_a_version_that_crosses_a_change_is_held_against_what_sage_has_then(
    env: WorkflowEnvironment, world: World
) -> None:
    start = start_of()
    handle = await begin(env, start)
    await until(handle, "open")
    newest = version(start, "newest", quantity(4), updated="2026-12-31T00:00:00Z")

    async def again() -> None:
        await handle.signal("clarity_order_changed", newest)

    world.when["change_sales_order"] = again
    await handle.signal("clarity_order_changed", version(start, "new", quantity(3)))
    await world.until_called("change_sales_order", 2)
    before, after = world.change_requests[1].before, world.change_requests[1].after
    assert before is not None
    assert [order.Lines[0].QuantityOrdered for order in (before, after)] == [3, 4]
    for _ in range(100):
        if (await view_of(handle)).digest == "newest":
            break
        await asyncio.sleep(0.05)
    assert sum(entry.times for entry in (await view_of(handle)).trail if "Changed in Sage" in entry.what) == 2


async def test_a_cancellation_that_crosses_a_change_wins(env: WorkflowEnvironment, world: World) -> None:
    start = start_of()
    handle = await begin(env, start)
    await until(handle, "open")

    async def cancel() -> None:
        await handle.signal("clarity_order_changed", version(start, "cancel", event="order.cancelled"))

    world.when["change_sales_order"] = cancel
    await handle.signal("clarity_order_changed", version(start, "new", quantity(3)))
    assert (await outcome(handle)).state is OrderState.CANCELLED
    assert not world.stored


# ---- credit memos ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("refusals", "words"), [(0, "Clarity's order says so"), (1, "there is no such order")])
async def test_a_credit_memo_is_told_to_accounting_whatever_clarity_says(
    env: WorkflowEnvironment, world: World, refusals: int, words: str
) -> None:
    world.refuse_clarity = refusals
    memo = CreditMemo(InvoiceNo="0100009", RMANo="R000001", amount=Decimal("49.99"))
    start = CreditMemoStart(pair="demo", order_id="c-9", SalesOrderNo=NUMBER, memo=memo)
    id_ = f"creditmemo-demo-{refusals}"
    await env.client.execute_workflow("CreditMemoWorkflow", start, id=id_, task_queue=queues.ORDERS)
    (alert,) = world.alerts
    assert alert.kind is AlertKind.REFUND_DUE
    assert "credit memo 0100009 (return R000001) of sales order 0001042: 49.99" in alert.text
    assert words in alert.text
