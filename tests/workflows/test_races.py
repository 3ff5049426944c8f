"""Messages that cross each other or make no sense: nothing is lost, nothing overwritten, and no order stands still."""

import asyncio
import copy
import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.common import RawValue
from temporalio.testing import WorkflowEnvironment

from api.app import create_app
from api.edge import PairEdge
from contracts.failures import FailureType
from contracts.messages import (
    AlertKind,
    ClarityOrderChanged,
    CustomerResolved,
    OrderOutcome,
    OrderStart,
    SalesOrderCreated,
    ShipmentsRead,
)
from contracts.search_attributes import OrderState
from mappings.problems import Finding, HoldReason
from mappings.sales_order import CustomerDecision, CustomerKey, CustomerMatch
from tests.workflows.conftest import (
    ACCOUNT,
    PAIR,
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

CREDIT = Finding(reason=HoldReason.CREDIT, check="credit", problems=[problem("on credit hold")])
INVALID = Finding(reason=HoldReason.INVALID_DATA, problems=[problem("wrong")])
SHORT = Finding(reason=HoldReason.OUT_OF_STOCK, check="stock", problems=[problem("gone")], items=["X"])
Handle = WorkflowHandle[Any, OrderOutcome]


async def release(handle: Handle, action: str, **more: Any) -> Any:
    return await handle.execute_update("release_hold", {"action": action, "by": "Ann", **more})


def version(
    start: OrderStart,
    digest: str,
    change: Callable[[dict[str, Any]], object] = lambda _: None,
    event: str = "order.updated",
    updated: str = "2026-12-30T00:00:00Z",
) -> ClarityOrderChanged:
    """A later version of the order."""
    payload = copy.deepcopy(start.payload)
    payload["data"]["updatedDate"] = updated
    change(payload["data"])
    return ClarityOrderChanged(event=event, payload=payload, digest=digest)


def quantity(number: int) -> Callable[[dict[str, Any]], object]:
    def change(order: dict[str, Any]) -> None:
        order["items"][0]["quantity"] = number

    return change


async def failed_tasks(handle: Handle) -> list[str]:
    """Messages of the workflow tasks that failed."""
    return [
        event.workflow_task_failed_event_attributes.failure.message
        async for event in handle.fetch_history_events()
        if event.HasField("workflow_task_failed_event_attributes")
    ]


async def said(handle: Handle, text: str) -> None:
    """Once the trail says so."""
    for _ in range(200):
        if any(text in entry.what for entry in (await view_of(handle)).trail):
            return
        await asyncio.sleep(0.05)
    raise AssertionError([entry.what for entry in (await view_of(handle)).trail])


# ---- Clarity's changes against the create ---------------------------------------------------------------------------


async def test_cancelled_at_clarity_while_sage_creates_and_nothing_was_created(
    env: WorkflowEnvironment, world: World
) -> None:
    world.creates = [SalesOrderCreated(hold=HoldReason.OUT_OF_STOCK, problems=[problem("gone")], items=["X"])]
    world.create_gate.clear()
    start = start_of()
    handle = await begin(env, start)
    await world.until_called("create_sales_order", 1)
    await handle.signal("clarity_order_changed", version(start, "cancel", event="order.cancelled"))
    await said(handle, "while Sage was creating the order")
    world.create_gate.set()
    assert (await outcome(handle)).state is OrderState.CANCELLED
    assert len(world.requests) == 1


async def test_cancelled_at_clarity_while_sage_creates_and_it_was_created(
    env: WorkflowEnvironment, world: World
) -> None:
    world.create_gate.clear()
    start = start_of()
    handle = await begin(env, start)
    await world.until_called("create_sales_order", 1)
    await handle.signal("clarity_order_changed", version(start, "cancel", event="order.cancelled"))
    await said(handle, "while Sage was creating the order")
    world.create_gate.set()
    assert (await outcome(handle)).state is OrderState.CANCELLED
    assert "acknowledge_to_clarity" not in world.calls
    assert not world.stored


async def test_cancelled_at_clarity_after_a_create_of_unknown_outcome_is_looked_up_first(
    env: WorkflowEnvironment, world: World
) -> None:
    world.creates = [refused(FailureType.INTERNAL_ERROR, "x", "KeyError: boom")]
    start = start_of()
    handle = await begin(env, start)
    hold = (await until(handle, "held")).hold
    assert hold is not None
    assert hold.reason is HoldReason.INTERNAL_ERROR
    await handle.signal("clarity_order_changed", version(start, "cancel", event="order.cancelled"))
    await release(handle, "retry", hold=hold.hold)
    assert (await outcome(handle)).state is OrderState.CANCELLED
    assert len(world.requests) == 1


async def test_a_newer_version_that_came_while_sage_refused_is_the_one_created(
    env: WorkflowEnvironment, world: World
) -> None:
    world.creates = [SalesOrderCreated(hold=HoldReason.TOTAL_MISMATCH, problems=[problem("a penny")])]
    world.create_gate.clear()
    start = start_of()
    handle = await begin(env, start)
    await world.until_called("create_sales_order", 1)
    await handle.signal("clarity_order_changed", version(start, "new", quantity(7)))
    await said(handle, "while Sage was creating the order")
    world.create_gate.set()
    await until(handle, "open")
    assert [request.sales_order.Lines[0].QuantityOrdered for request in world.requests] == [2, 7]
    assert [alert.kind for alert in world.alerts] == []


async def test_retry_never_adopts_an_order_of_ours_that_differs(env: WorkflowEnvironment, world: World) -> None:
    differs = SalesOrderCreated(hold=HoldReason.REJECTED_BY_SAGE, problems=[problem("quantity 200, sent 2")])
    world.creates = [differs, differs]
    handle = await begin(env)
    await until(handle, "held", hold=1)
    world.existing = created_order(quantity="200")
    await release(handle, "retry", hold=1)
    await until(handle, "held", hold=2)
    assert [request.look_first for request in world.requests] == [False, True]
    await release(handle, "retry", hold=2)
    view = await until(handle, "open")
    assert view.sales_order_no == "0001042"
    assert [request.SalesOrderNo for request in world.requests] == ["0001042"] * 3


# ---- releases against versions --------------------------------------------------------------------------------------


async def test_a_correction_of_an_old_version_never_replaces_a_newer_one(
    env: WorkflowEnvironment, world: World
) -> None:
    world.findings = [[INVALID]]
    start = start_of()
    handle = await begin(env, start)
    await until(handle, "held")
    assert world.brain is not None
    await world.brain.stop()
    correction = {"shippingAddress": {"line1": "1 Corrected St"}}
    await handle.signal(
        "release_hold", {"action": "correct", "by": "Ann", "reason": "invalid_data", "correction": correction}
    )
    await handle.signal("clarity_order_changed", version(start, "new", quantity(7)))
    world.brain.start()
    await until(handle, "open")
    assert world.requests[-1].sales_order.Lines[0].QuantityOrdered == 7


async def test_an_approval_is_for_the_version_that_was_seen(env: WorkflowEnvironment, world: World) -> None:
    world.findings = [[CREDIT]]
    start = start_of()
    handle = await begin(env, start)
    await until(handle, "held")
    assert world.brain is not None
    await world.brain.stop()
    await handle.signal("release_hold", {"action": "approve", "by": "Ann", "reason": "credit"})
    await handle.signal("clarity_order_changed", version(start, "new", quantity(5000)))
    world.brain.start()
    await until(handle, "open")
    assert world.approved[-1] == []


async def test_a_change_that_is_taken_back_is_taken_back(env: WorkflowEnvironment, world: World) -> None:
    world.findings = [[CREDIT], [CREDIT], [CREDIT]]
    start = start_of()
    handle = await begin(env, start)
    await until(handle, "held", hold=1)
    await handle.signal("clarity_order_changed", version(start, "B", quantity(7)))
    await until(handle, "held", hold=2)
    await handle.signal("clarity_order_changed", version(start, start.digest, updated="2026-12-31T00:00:00Z"))
    await until(handle, "held", hold=3)
    await release(handle, "retry", hold=3)
    await until(handle, "open")
    assert world.requests[-1].sales_order.Lines[0].QuantityOrdered == 2


async def test_the_first_delivery_again_changes_nothing(env: WorkflowEnvironment, world: World) -> None:
    world.findings = [[CREDIT], [CREDIT]]
    start = start_of()
    handle = await begin(env, start)
    await until(handle, "held", hold=1)
    await handle.signal("clarity_order_changed", version(start, "B", quantity(7)))
    await until(handle, "held", hold=2)
    again = ClarityOrderChanged(event="order.created", payload=start.payload, digest=start.digest)
    await handle.signal("clarity_order_changed", again)
    await release(handle, "approve", hold=2)
    await until(handle, "open")
    assert world.requests[-1].sales_order.Lines[0].QuantityOrdered == 7


async def test_the_answer_about_a_superseded_buyer_is_not_used(env: WorkflowEnvironment, world: World) -> None:
    world.match = CustomerMatch(decision=CustomerDecision.CREATE)
    world.find_gate.clear()
    start = start_of()
    handle = await begin(env, start)
    await world.until_waiting(handle)
    world.match = CustomerMatch(decision=CustomerDecision.MATCHED, customer=ACCOUNT, by="the new account number")
    await handle.signal("clarity_order_changed", version(start, "new", quantity(3)))
    view = await until(handle, "open")
    assert view.customer_no == str(ACCOUNT)
    assert world.customers_created == 0
    world.find_gate.set()


async def test_an_account_is_created_once_however_often_the_order_is_tried(
    env: WorkflowEnvironment, world: World
) -> None:
    world.match = CustomerMatch(decision=CustomerDecision.CREATE)
    world.findings = [[Finding(reason=HoldReason.CUSTOMER_REVIEW, problems=[problem("who?")])]]
    world.creates = [SalesOrderCreated(hold=HoldReason.TOTAL_MISMATCH, problems=[problem("a penny")])]
    handle = await begin(env)
    await until(handle, "held", hold=1)
    await release(handle, "create_customer", hold=1)
    await until(handle, "held", hold=2)
    world.match = CustomerMatch(decision=CustomerDecision.MATCHED, customer=ACCOUNT, by="a person's choice")
    await release(handle, "retry", hold=2)
    await until(handle, "open")
    assert world.customers_created == 1
    assert world.requests[-1].decisions.customer is not None
    assert not world.requests[-1].decisions.create_customer


async def test_an_account_that_the_resolution_found_is_looked_at_before_it_is_used(
    env: WorkflowEnvironment, world: World
) -> None:
    """Its terms, aliases and ship-tos are not those of a new one."""
    world.match = CustomerMatch(decision=CustomerDecision.CREATE)
    handle = await begin(env)
    world.match = CustomerMatch(decision=CustomerDecision.MATCHED, customer=ACCOUNT, by="just created")
    await until(handle, "open")
    assert world.customers_created == 0


async def test_an_answer_about_another_buyer_is_not_taken(env: WorkflowEnvironment, world: World) -> None:
    world.match = CustomerMatch(decision=CustomerDecision.CREATE)
    world.find_gate.clear()
    handle = await begin(env)
    await world.until_waiting(handle)
    other = CustomerKey(ARDivisionNo="02", CustomerNo="OTHER")
    await handle.signal("customer_resolved", CustomerResolved(customer=other, created=True, asked="another buyer"))
    world.find_gate.set()
    view = await until(handle, "open")
    assert view.customer_no != str(other)


async def test_the_account_that_was_created_is_the_one_of_every_later_look(
    env: WorkflowEnvironment, world: World
) -> None:
    world.match = CustomerMatch(decision=CustomerDecision.CREATE)
    world.creates = [SalesOrderCreated(hold=HoldReason.TOTAL_MISMATCH, problems=[problem("a penny")])]
    handle = await begin(env)
    view = await until(handle, "held", hold=1)
    await release(handle, "retry", hold=1)
    await until(handle, "open")
    assert [request.resolved for request in world.facts[:1]] == [None]
    assert str(world.facts[-1].resolved) == view.customer_no


@pytest.mark.parametrize("event", ["order.cancelled", "order.updated"])
async def test_what_crosses_the_look_that_finds_the_order_is_done(
    env: WorkflowEnvironment, world: World, event: str
) -> None:
    world.existing, world.stored = created_order(), True
    world.read = ShipmentsRead(invoices=[], standing=shipment().standing)
    world.facts_gate.clear()
    start = start_of()
    handle = await begin(env, start)
    await world.until_called("read_sage_facts", 1)
    await handle.signal("clarity_order_changed", version(start, "new", quantity(3), event=event))
    await asyncio.sleep(0)
    world.facts_gate.set()
    if event == "order.cancelled":
        assert (await outcome(handle)).state is OrderState.CANCELLED
        assert not world.stored
    else:
        await said(handle, "Changed in Sage")
        assert world.change_requests[0].after.Lines[0].QuantityOrdered == 3
        assert world.change_requests[0].before is None


async def test_a_newer_version_forgets_no_cancel_request(env: WorkflowEnvironment, world: World) -> None:
    world.findings = [[CREDIT]]
    start = start_of()
    handle = await begin(env, start)
    await until(handle, "held", hold=1)
    await handle.cancel()
    await release(handle, "retry", hold=1)
    view = await until(handle, "held", hold=2)
    assert view.hold is not None
    assert view.hold.reason is HoldReason.ORDER_CHANGED
    await handle.signal("clarity_order_changed", version(start, "new", quantity(3)))
    await said(handle, "newer version")
    assert (await view_of(handle)).hold is not None
    await release(handle, "approve", hold=2)
    await until(handle, "open")
    assert world.requests[-1].sales_order.Lines[0].QuantityOrdered == 3


async def test_a_paid_order_that_ends_without_goods_tells_accounting_before_it_ends(
    env: WorkflowEnvironment, world: World
) -> None:
    world.findings = [[CREDIT]]
    handle = await begin(env)
    await until(handle, "held")
    await release(handle, "cancel", hold=1)
    await outcome(handle)
    assert [alert.kind for alert in world.alerts] == [AlertKind.HOLD, AlertKind.REFUND_DUE]
    assert world.alerts[-1].text == "refund due, already paid: 431.70 USD"


async def test_what_clarity_has_refunded_is_not_due(env: WorkflowEnvironment, world: World) -> None:
    world.findings = [[CREDIT]]
    start = start_of()
    handle = await begin(env, start)
    await until(handle, "held")

    def refund(order: dict[str, Any]) -> None:
        order["payments"].append({**order["payments"][0], "type": "refund", "transactionId": "back"})

    await handle.signal("clarity_order_changed", version(start, "cancel", refund, event="order.cancelled"))
    assert (await outcome(handle)).state is OrderState.CANCELLED
    assert AlertKind.REFUND_DUE not in [alert.kind for alert in world.alerts]


# ---- holds ----------------------------------------------------------------------------------------------------------


async def test_a_decision_never_waits_for_a_look_at_stock(env: WorkflowEnvironment, world: World) -> None:
    world.findings = [[SHORT]]
    handle = await begin(env)
    await until(handle, "held")
    world.facts_gate.clear()
    await handle.signal("stock_available")
    await world.until_called("read_sage_facts", 2)
    await release(handle, "cancel", hold=1)
    assert (await outcome(handle)).state is OrderState.CANCELLED
    world.facts_gate.set()


async def test_what_comes_during_a_look_is_looked_at_once_more(env: WorkflowEnvironment, world: World) -> None:
    world.findings = [[SHORT], [SHORT]]
    handle = await begin(env)
    await until(handle, "held")
    world.facts_gate.clear()
    await handle.signal("stock_available")
    await world.until_called("read_sage_facts", 2)
    for _ in range(3):
        await handle.signal("stock_available")
    world.facts_gate.set()
    await until(handle, "open")
    assert world.calls.count("read_sage_facts") == 4
    assert [alert.kind for alert in world.alerts] == [AlertKind.HOLD]


async def test_a_cancel_request_for_a_held_order_shows_at_once(env: WorkflowEnvironment, world: World) -> None:
    world.findings = [[CREDIT]]
    handle = await begin(env)
    await until(handle, "held")
    await handle.cancel()
    await said(handle, "Cancellation of the workflow was requested")
    assert (await view_of(handle)).state is OrderState.HELD
    for _ in range(100):
        if [alert.kind for alert in world.alerts] == [AlertKind.HOLD, AlertKind.ORDER_CHANGED]:
            break
        await asyncio.sleep(0.05)
    assert [alert.kind for alert in world.alerts] == [AlertKind.HOLD, AlertKind.ORDER_CHANGED]


async def test_the_trail_counts_what_repeats_and_keeps_every_decision(env: WorkflowEnvironment, world: World) -> None:
    world.findings = [[CREDIT]]
    handle = await begin(env)
    await until(handle, "held")
    wrong = {"action": "approve", "by": "bulk", "reason": "out_of_stock"}
    for _ in range(20):
        await asyncio.gather(*(handle.signal("release_hold", wrong) for _ in range(30)))
    await release(handle, "approve", hold=1, note="the director said yes")
    view = await until(handle, "open")
    assert any("the director said yes" in entry.what for entry in view.trail)
    assert max(entry.times for entry in view.trail) == 600
    assert len(view.trail) < 20


async def test_item_codes_in_any_script_terminate_nothing(env: WorkflowEnvironment, world: World) -> None:
    codes = [f"椅子-家具部門の品番-{number:03d}😀" for number in range(60)]
    world.findings = [[Finding(reason=HoldReason.UNKNOWN_ITEM, problems=[problem("x")], items=codes)]]
    handle = await begin(env)
    await until(handle, "held")
    assert (await handle.describe()).status is WorkflowExecutionStatus.RUNNING


# ---- messages of the wrong shape ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("shipment", []),
        ("shipment", [{}, {}]),
        ("sales_order_changed", []),
        ("customer_resolved", []),
        ("clarity_order_changed", []),
        ("clarity_order_changed", [{}, {}]),
        ("stock_available", [{}]),
        ("release_hold", []),
        ("release_hold", [{}, {}]),
    ],
)
async def test_a_signal_with_too_few_or_too_many_arguments_stops_no_order(
    env: WorkflowEnvironment, world: World, name: str, arguments: list[Any]
) -> None:
    world.findings = [[CREDIT]]
    handle = await begin(env)
    await until(handle, "held")
    await handle.signal(name, args=arguments)
    await release(handle, "approve", hold=1)
    await until(handle, "open")
    assert await failed_tasks(handle) == []


async def test_attach_without_arguments_stops_no_resolution(env: WorkflowEnvironment, world: World) -> None:
    world.match = CustomerMatch(decision=CustomerDecision.CREATE)
    world.find_gate.clear()
    handle = await begin(env)
    await world.until_waiting(handle)
    await world.until_called("find_customer", 1)
    resolution = env.client.get_workflow_handle(f"customer-test-{world.searches[0].match_key}")
    await resolution.signal("attach")
    world.find_gate.set()
    await until(handle, "open")


RAW = [
    b"null",
    b"[]",
    b'"x"',
    b"[" * 3000 + b"]" * 3000,
    b'{"action":"correct","by":"t","reason":"invalid_data","correction":{"number":1' + b"0" * 6000 + b"}}",
    b'{"action":"correct","by":"t","reason":"invalid_data","correction":{"number":NaN}}',
    b"\xff\xfe",
    b"",
    b'{"action":"retry","by":"\\ud800","reason":"credit"}',
    b'{"action":"correct","by":"t","reason":"invalid_data","correction":{"id":null}}',
    b'{"action":"correct","by":"t","reason":"invalid_data","correction":{"items":{"[0]":{"quantity":[[]]}}}}',
]


@pytest.mark.parametrize("data", RAW, ids=range(len(RAW)))
async def test_a_hostile_release_by_signal_stops_no_order(env: WorkflowEnvironment, world: World, data: bytes) -> None:
    world.findings = [[INVALID], [INVALID]]
    handle = await begin(env)
    await until(handle, "held")
    await handle.signal("release_hold", RawValue(Payload(metadata={"encoding": b"json/plain"}, data=data)))
    await handle.signal("release_hold", {"action": "retry", "by": "Ann", "reason": "invalid_data"})
    await said(handle, "released with ")
    assert await failed_tasks(handle) == []


async def test_a_huge_correction_is_refused(env: WorkflowEnvironment, world: World) -> None:
    world.findings = [[INVALID], [INVALID]]
    handle = await begin(env)
    await until(handle, "held")
    huge = {"A" * 200_000: {f"k{number}": number for number in range(200)}}
    with pytest.raises(WorkflowUpdateFailedError) as error:
        await release(handle, "correct", hold=1, correction=huge)
    assert "longer than 64 KB" in str(error.value.cause)
    keys = {"B" * 5_000: {f"k{number}": number for number in range(200)}}
    answer = await release(handle, "correct", hold=1, correction=keys)
    assert len(json.dumps(answer)) < 100_000
    assert await failed_tasks(handle) == []


# ---- over HTTP ------------------------------------------------------------------------------------------------------


def api(env: WorkflowEnvironment) -> httpx.AsyncClient:
    app = create_app({"demo": PairEdge(PAIR, (b"k",))}, env.client)
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://test", timeout=30
    )


async def test_a_release_that_no_worker_answers_says_so_and_may_be_sent_again(
    env: WorkflowEnvironment, world: World
) -> None:
    world.findings = [[CREDIT]]
    start = start_of()
    handle = await begin(env, start)
    await until(handle, "held")
    assert world.brain is not None
    decision = {"action": "approve", "by": "Ann", "hold": 1}
    async with api(env) as client:
        await world.brain.stop()
        answer = await client.post(f"/orders/demo/{start.order_id}/release", json=decision)
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert "may still be recorded" in answer.json()["error"]
        world.brain.start()
        await until(handle, "open")
        again = await client.post(f"/orders/demo/{start.order_id}/release", json=decision)
        assert (again.status_code, again.json()["action"]) == (200, "approve")
        half = json.dumps({"action": "retry", "by": "t\ud800", "hold": 1})
        answer = await client.post(
            f"/orders/demo/{start.order_id}/release", content=half, headers={"content-type": "application/json"}
        )
        assert answer.status_code == 422


async def test_restart_takes_the_newest_version(env: WorkflowEnvironment, world: World) -> None:
    world.findings = [[CREDIT], [CREDIT]]
    start = start_of()
    start.payload["data"]["createdDate"] = "2026-11-20T00:00:00Z"
    handle = await begin(env, start)
    await until(handle, "held", hold=1)
    await handle.signal("clarity_order_changed", version(start, "B", quantity(9)))
    await until(handle, "held", hold=2)
    await handle.terminate("by mistake")
    async with api(env) as client:
        answer = await client.post(f"/orders/demo/{start.order_id}/restart")
        assert answer.status_code == 200, answer.text
    await until(env.client.get_workflow_handle(handle.id), "open")
    assert world.requests[-1].sales_order.Lines[0].QuantityOrdered == Decimal(9)


async def test_the_daily_read_goes_on_after_a_cancel_request_was_refused(
    env: WorkflowEnvironment, world: World
) -> None:
    handle = await begin(env)
    await until(handle, "open")
    await handle.cancel()
    view = await until(handle, "held")
    assert view.hold is not None
    await release(handle, "approve", hold=view.hold.hold)
    await until(handle, "open")
    before = world.calls.count("read_shipments")
    await env.fast_forward(handle, timedelta(days=1, minutes=1))
    await world.until_called("read_shipments", before + 1)
