"""The order's life, step by step, with stand-ins for the outside systems."""

import asyncio
import uuid
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.testing import WorkflowEnvironment

from contracts import queues
from contracts import search_attributes as attributes
from contracts.failures import FailureType
from contracts.messages import (
    AlertKind,
    ClarityOrderChanged,
    SalesOrderCreated,
    ShipmentsRead,
)
from contracts.search_attributes import OrderState
from mappings.problems import Finding, HoldReason
from mappings.sales_order import CustomerDecision, CustomerMatch
from tests.workflows.conftest import (
    NUMBER,
    World,
    begin,
    created_order,
    outcome,
    problem,
    refused,
    shipment,
    start_of,
    until,
    view_of,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")

Handle = WorkflowHandle[Any, Any]
CREDIT = Finding(reason=HoldReason.CREDIT, problems=[problem("on credit hold")])


async def release(handle: Handle, action: str = "retry", **more: object) -> Any:
    return await handle.execute_update("release_hold", {"action": action, "by": "tester", **more})


async def test_order_ships_is_posted_and_completes(env: WorkflowEnvironment, world: World) -> None:
    handle = await begin(env)
    assert (await until(handle, "open")).sales_order_no == NUMBER
    await handle.signal("shipment", shipment())
    assert (await until(handle, "shipped")).waits_for.startswith("the invoice to be posted")
    await handle.signal("shipment", shipment(posted=True, live=False))
    result = await outcome(handle)
    assert (result.state, result.packages) == (OrderState.COMPLETE, [f"{NUMBER}-0100001-0001"])
    assert world.calls == [
        "transform_order",
        "read_sage_facts",
        "reserve_sales_order_number",
        "create_sales_order",
        "acknowledge_to_clarity",
        "post_shipment",
        "record_invoices",
    ]
    assert world.shipments[0].order_shipped


async def test_shipment_signal_before_the_order_knows_its_number_is_kept(
    env: WorkflowEnvironment, world: World
) -> None:
    handle = await begin(env, start_signal="shipment", start_signal_args=[shipment(posted=True, live=False)])
    assert (await outcome(handle)).state is OrderState.COMPLETE
    assert len(world.shipments) == 1


async def test_repeated_shipment_signals_tell_clarity_once_and_a_changed_one_again(
    env: WorkflowEnvironment, world: World
) -> None:
    handle = await begin(env)
    await until(handle, "open")
    for _ in range(3):
        await handle.signal("shipment", shipment(quantity="1"))
    await until(handle, "partially_shipped")
    await handle.signal("shipment", shipment(quantity="1", tracking="1Z-CORRECTED"))
    await handle.signal("shipment", shipment(quantity="1", invoice="0100002"))
    await until(handle, "shipped")
    assert [request.invoice.InvoiceNo for request in world.shipments] == ["0100001", "0100001", "0100002"]
    assert [request.order_shipped for request in world.shipments] == [False, False, True]


async def test_each_invoice_is_told_when_it_is_posted_and_a_plain_orders_at_its_end(
    env: WorkflowEnvironment, world: World
) -> None:
    handle = await begin(env)
    await until(handle, "open")
    await handle.signal("shipment", shipment(quantity="1", posted=True))
    await world.until_called("record_invoices", 1)
    await handle.signal("shipment", shipment(quantity="1", posted=True, tracking="1Z-CORRECTED"))
    await handle.signal("shipment", shipment(quantity="1", posted=True, live=False, invoice="0100002"))
    assert (await outcome(handle)).state is OrderState.COMPLETE
    told = [[invoice.InvoiceNo for invoice in request.invoices] for request in world.invoices]
    assert told == [["0100001"], ["0100001", "0100002"]]


async def test_order_found_in_sage_reads_its_own_shipments_and_creates_nothing(
    env: WorkflowEnvironment, world: World
) -> None:
    seen = shipment(posted=True, live=False)
    world.existing = created_order()
    world.read = ShipmentsRead(invoices=[seen.invoice], standing=seen.standing)
    handle = await begin(env)
    assert (await outcome(handle)).state is OrderState.COMPLETE
    assert "create_sales_order" not in world.calls
    assert "read_shipments" in world.calls


async def test_order_reads_sage_once_a_day_so_a_lost_signal_costs_a_day(env: WorkflowEnvironment, world: World) -> None:
    handle = await begin(env)
    await until(handle, "open")
    seen = shipment(posted=True, live=False)
    world.read = ShipmentsRead(invoices=[seen.invoice], standing=seen.standing)
    await env.fast_forward(handle, timedelta(days=1, minutes=1))
    assert (await outcome(handle)).state is OrderState.COMPLETE


async def test_an_order_that_the_watch_asks_has_no_timer_and_looks_when_asked(
    env: WorkflowEnvironment, world: World
) -> None:
    """The plain order: upserts when open and when complete, no timer in the wait (design, budget)."""
    handle = await begin(env, start_of().model_copy(update={"is_asked_daily": True}))
    await until(handle, "open")
    await handle.signal("shipment", shipment())
    assert (await until(handle, "shipped")).waits_for.startswith("the invoice to be posted")
    assert (await listed_state(handle), await kinds(handle)) == ("open", {UPSERTED: 1})
    seen = shipment(posted=True, live=False)
    world.read = ShipmentsRead(invoices=[seen.invoice], standing=seen.standing)
    await env.fast_forward(handle, timedelta(days=2))
    assert "read_shipments" not in world.calls
    await handle.signal("look_at_sage")
    assert (await outcome(handle)).state is OrderState.COMPLETE
    assert world.calls.count("read_shipments") == 1


async def test_lists_show_shipped_with_the_first_look_that_finds_the_order_waiting(
    env: WorkflowEnvironment, world: World
) -> None:
    handle = await begin(env, start_of().model_copy(update={"is_asked_daily": True}))
    await until(handle, "open")
    await handle.signal("shipment", shipment())
    await until(handle, "shipped")
    world.read = ShipmentsRead(invoices=[shipment().invoice], standing=shipment().standing)
    for look in (1, 2):
        await handle.signal("look_at_sage")
        await world.until_called("read_shipments", look)
        await until(handle, "shipped")
    assert (await listed_state(handle), await kinds(handle)) == ("shipped", {UPSERTED: 2})
    await handle.signal("shipment", shipment(posted=True, live=False))
    assert (await outcome(handle)).state is OrderState.COMPLETE
    assert await kinds(handle) == {UPSERTED: 3}


UPSERTED = "UPSERT_WORKFLOW_SEARCH_ATTRIBUTES"


async def listed_state(handle: Handle) -> str | None:
    """OrderState as lists show it."""
    return (await handle.describe()).typed_search_attributes.get(attributes.ORDER_STATE)


async def kinds(handle: Handle) -> Counter[str]:
    """How often the order started a timer or changed its search attributes."""
    history = await handle.fetch_history()
    names = Counter(EventType.Name(event.event_type).removeprefix("EVENT_TYPE_") for event in history.events)
    return Counter({name: names[name] for name in (UPSERTED, "TIMER_STARTED") if names[name]})


async def test_shipped_and_never_posted_alerts_after_a_week_and_ends_after_settle_days(
    env: WorkflowEnvironment, world: World
) -> None:
    handle = await begin(env, start_of(daily_read=4 * 86_400))
    await until(handle, "open")
    await handle.signal("shipment", shipment())
    await until(handle, "shipped")
    seen = shipment()
    world.read = ShipmentsRead(invoices=[seen.invoice], standing=seen.standing)
    await env.fast_forward(handle, timedelta(days=33))
    result = await outcome(handle)
    assert (result.state, result.invoices) == (OrderState.COMPLETE, ["0100001"])
    assert AlertKind.NOT_POSTED in {alert.kind for alert in world.alerts}
    assert not world.invoices


async def test_failed_check_holds_reminds_and_goes_on_when_released(env: WorkflowEnvironment, world: World) -> None:
    world.findings = [[CREDIT], []]
    handle = await begin(env)
    view = await until(handle, "held", hold=1)
    assert view.hold is not None
    assert (view.hold.reason, view.waits_for) == (HoldReason.CREDIT, "a person (held: credit)")
    await env.fast_forward(handle, timedelta(days=2, minutes=1))
    reminded = await until(handle, "held")
    assert reminded.hold is not None
    assert reminded.hold.reminders == 2
    accepted = await release(handle, reason="credit", hold=1)
    assert accepted == {
        "order_id": view.order_id,
        "hold": 1,
        "reason": "credit",
        "action": "retry",
        "changes": [],
    }
    await until(handle, "open")
    kinds = [alert.kind for alert in world.alerts]
    assert kinds == [AlertKind.HOLD, AlertKind.REMINDER, AlertKind.REMINDER]


async def test_second_operator_is_refused_and_nonsense_changes_nothing(env: WorkflowEnvironment, world: World) -> None:
    world.findings = [[CREDIT], [CREDIT]]
    handle = await begin(env)
    before = await until(handle, "held", hold=1)
    for nonsense in (
        None,
        {},
        "retry",
        {"action": "explode", "by": "x"},
        {"action": "retry"},
        {"action": "retry", "by": ""},
    ):
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update("release_hold", nonsense)
        await handle.signal("release_hold", nonsense)
    for wrong in ({"reason": "out_of_stock"}, {"hold": 2}):
        with pytest.raises(WorkflowUpdateFailedError):
            await release(handle, **wrong)
    await handle.signal("release_hold", {"action": "retry", "by": "tester"})  # without the reason meant
    assert (await view_of(handle)).hold == before.hold
    results = await asyncio.gather(release(handle, hold=1), release(handle, hold=1), return_exceptions=True)
    assert sum(isinstance(result, WorkflowUpdateFailedError) for result in results) == 1
    await until(handle, "held", hold=2)


async def test_cancel_while_held_ends_the_order_and_tells_clarity(env: WorkflowEnvironment, world: World) -> None:
    world.findings = [[CREDIT]]
    handle = await begin(env)
    await until(handle, "held")
    await handle.signal("release_hold", {"action": "cancel", "by": "tester", "reason": "credit"})
    result = await outcome(handle)
    assert (result.state, result.sales_order_no) == (OrderState.CANCELLED, "")
    assert world.calls[-1] == "cancel_at_clarity"


async def test_bad_payload_is_held_and_a_newer_version_from_clarity_mends_it(
    env: WorkflowEnvironment, world: World
) -> None:
    handle = await begin(env, start_of("22-address-without-city"))
    view = await until(handle, "held")
    assert view.hold is not None
    assert view.hold.reason is HoldReason.INVALID_DATA
    assert "data.shippingAddress.city" in {entry.field for entry in view.hold.problems}
    good = start_of()
    change = ClarityOrderChanged(event="order.updated", payload=good.payload, digest="newer")
    await handle.signal("clarity_order_changed", change)
    await until(handle, "open")


@pytest.mark.parametrize("payload", [{}, {"data": 7}, {"data": {"items": "x"}}, {"data": {"totals": {"grand": "NaN"}}}])
async def test_any_payload_is_held_never_stuck(env: WorkflowEnvironment, world: World, payload: dict[str, Any]) -> None:
    handle = await begin(env, start_of().model_copy(update={"payload": payload}))
    view = await until(handle, "held")
    assert view.hold is not None
    assert view.hold.reason is HoldReason.INVALID_DATA


async def test_bug_in_the_transform_holds_as_internal_error(env: WorkflowEnvironment, world: World) -> None:
    world.break_transform = True
    handle = await begin(env)
    view = await until(handle, "held")
    assert view.hold is not None
    assert view.hold.reason is HoldReason.INTERNAL_ERROR
    assert "ZeroDivisionError" in view.hold.problems[0].message
    world.break_transform = False
    await release(handle)
    await until(handle, "open")


async def test_taken_number_is_left_alone_and_a_new_one_reserved(env: WorkflowEnvironment, world: World) -> None:
    world.creates = [SalesOrderCreated(number_taken=True)]
    handle = await begin(env)
    assert (await until(handle, "open")).sales_order_no == "0001043"
    assert world.created_under == ["0001042", "0001043"]


async def test_refusal_by_sage_is_held_with_column_and_retried_under_the_same_number(
    env: WorkflowEnvironment, world: World
) -> None:
    world.creates = [refused(FailureType.REFUSED_BY_SAGE, "ShipVia", "The shipping code is not on file.")]
    handle = await begin(env)
    view = await until(handle, "held")
    assert view.hold is not None
    assert view.hold.reason is HoldReason.REJECTED_BY_SAGE
    assert view.hold.problems[0].field == "ShipVia"
    await release(handle)
    await until(handle, "open")
    assert world.created_under == ["0001042", "0001042"]


async def test_refusal_by_clarity_holds_and_cancel_is_refused_once_an_invoice_bills_the_order(
    env: WorkflowEnvironment, world: World
) -> None:
    world.refuse_clarity = 1
    handle = await begin(env)
    view = await until(handle, "held")
    assert view.hold is not None
    assert view.hold.reason is HoldReason.REJECTED_BY_CLARITY
    await handle.signal("shipment", shipment(posted=False))
    with pytest.raises(WorkflowUpdateFailedError) as refusal:
        await release(handle, "cancel")
    assert "bills sales order 0001042" in str(refusal.value.cause)
    await release(handle)
    await until(handle, "shipped")


async def test_unknown_outcome_of_create_is_looked_up_before_an_order_is_cancelled(
    env: WorkflowEnvironment, world: World
) -> None:
    world.creates = [refused(FailureType.INTERNAL_ERROR, "bug", "boom")]
    handle = await begin(env)
    await until(handle, "held")
    world.existing, world.invoiced = created_order(), ["0100001"]
    await release(handle, "cancel")
    view = await until(handle, "open")
    assert view.sales_order_no == NUMBER
    assert any("Not cancelled" in entry.what for entry in view.trail)


async def test_cancel_request_from_the_web_ui_becomes_a_hold(env: WorkflowEnvironment, world: World) -> None:
    handle = await begin(env)
    await until(handle, "open")
    await handle.cancel()
    view = await until(handle, "held")
    assert view.hold is not None
    assert view.hold.reason is HoldReason.ORDER_CHANGED
    await release(handle)
    await until(handle, "open")
    await handle.signal("shipment", shipment(posted=True, live=False))
    assert (await outcome(handle)).state is OrderState.COMPLETE


async def test_changes_that_come_while_sage_is_read_are_not_lost(env: WorkflowEnvironment, world: World) -> None:
    """A newer version and then a cancellation arrive during the look-up, before the order is held."""
    world.findings = [[CREDIT], [CREDIT]]
    world.facts_gate.clear()
    start = start_of()
    handle = await begin(env, start)
    await world.until_called("read_sage_facts", 1)
    newer = {"data": {**start.payload["data"], "number": "W-NEWER"}}
    await handle.signal("clarity_order_changed", ClarityOrderChanged(event="order.updated", payload=newer, digest="n"))
    world.facts_gate.set()
    assert (await until(handle, "held", hold=1)).order_number == "W-NEWER"
    world.facts_gate.clear()
    world.findings = [[CREDIT]]
    await release(handle)
    await world.until_called("read_sage_facts", 3)
    await handle.signal(
        "clarity_order_changed", ClarityOrderChanged(event="order.cancelled", payload=newer, digest="n")
    )
    world.facts_gate.set()
    assert (await outcome(handle)).state is OrderState.CANCELLED


async def test_older_version_that_comes_late_changes_nothing(env: WorkflowEnvironment, world: World) -> None:
    world.findings = [[CREDIT]]
    start = start_of()
    start.payload["data"]["updatedDate"] = "2026-11-22T12:00:00Z"
    handle = await begin(env, start)
    await until(handle, "held", hold=1)
    late = {"data": {**start.payload["data"], "updatedDate": "2026-11-22T05:59:00-06:00", "notes": "before"}}
    await handle.signal(
        "clarity_order_changed", ClarityOrderChanged(event="order.created", payload=late, digest="older")
    )
    view = await until(handle, "held", hold=1)
    assert view.trail[-1].what == "Clarity sent an older version of the order; the newer one stays"


async def test_cancellation_by_clarity_before_creation_ends_the_order(env: WorkflowEnvironment, world: World) -> None:
    world.findings = [[CREDIT]]
    start = start_of()
    handle = await begin(env, start)
    await until(handle, "held")
    change = ClarityOrderChanged(event="order.cancelled", payload=start.payload, digest=start.digest)
    await handle.signal("clarity_order_changed", change)
    assert (await outcome(handle)).state is OrderState.CANCELLED
    assert "create_sales_order" not in world.calls


async def test_a_version_that_cannot_be_understood_is_asked_about_and_changes_nothing(
    env: WorkflowEnvironment, world: World
) -> None:
    handle = await begin(env)
    await until(handle, "open")
    change = ClarityOrderChanged(event="order.updated", payload={"data": {}}, digest="other")
    for _ in range(2):
        await handle.signal("clarity_order_changed", change)
    view = await until(handle, "held")
    assert view.hold is not None
    assert view.hold.reason is HoldReason.ORDER_CHANGED
    await release(handle, "approve")
    await until(handle, "open")
    await handle.signal("shipment", shipment(posted=True, live=False))
    assert (await outcome(handle)).state is OrderState.COMPLETE
    assert [alert.kind for alert in world.alerts] == [AlertKind.HOLD]
    assert "change_sales_order" not in world.calls


async def test_five_orders_of_one_new_buyer_share_one_account(env: WorkflowEnvironment, world: World) -> None:
    world.match = CustomerMatch(decision=CustomerDecision.CREATE)
    world.find_gate.clear()
    email = f"{uuid.uuid4().hex[:8]}@example.com"
    handles = []
    for _ in range(5):
        start = start_of("12-new-buyer-first-order")
        start.payload["data"]["customer"]["email"] = email
        handles.append(await begin(env, start))
    for handle in handles:
        await world.until_waiting(handle)
    world.find_gate.set()
    for handle in handles:
        await until(handle, "open")
    assert world.customers_created == 1
    assert world.calls.count("find_customer") == 1


async def test_malformed_signals_are_dropped_and_the_order_lives(env: WorkflowEnvironment, world: World) -> None:
    handle = await begin(env)
    await until(handle, "open")
    for name in ("shipment", "sales_order_changed", "customer_resolved", "clarity_order_changed"):
        await handle.signal(name, {"nonsense": True})
        await handle.signal(name, "text")
    await handle.signal("shipment", shipment(posted=True, live=False))
    assert (await outcome(handle)).state is OrderState.COMPLETE


async def test_dead_letter_waits_until_somebody_discards_it(env: WorkflowEnvironment, world: World) -> None:
    letter = {
        "pair": "demo",
        "reason": "unknown_type",
        "webhook_id": "msg_1",
        "received_at": "2026-11-23T10:00:00Z",
        "explanation": "a test",
        "body": {"type": "x"},
    }
    client: Client = env.client
    with env.with_time_skipping_disabled():
        handle: Handle = await client.start_workflow(
            "DeadLetterWorkflow", letter, id=f"deadletter-{uuid.uuid4().hex}", task_queue=queues.ORDERS
        )
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update("discard", {"by": "tester"})
    assert await handle.execute_update("discard", {"by": "tester", "why": "a test"}) == "discarded"
    assert "discarded by tester" in await asyncio.wait_for(handle.result(), 20)
    (alert,) = [one for one in world.alerts if one.workflow_id == handle.id]
    assert (alert.kind, alert.title) == (AlertKind.DEAD_LETTER, "Dead letter: unknown_type")
    assert alert.text.startswith("a test")


async def test_poll_shift_hands_its_cursor_over(env: WorkflowEnvironment, world: World) -> None:
    start = {"pair": "demo", "pace": {}}
    with env.with_time_skipping_disabled():
        handle: Handle = await env.client.start_workflow(
            "SagePollWorkflow", start, id=f"sage-poll-{uuid.uuid4().hex}", task_queue=queues.ORDERS
        )
    cursor = await asyncio.wait_for(handle.result(), 20)
    assert cursor["polls"] == 1
