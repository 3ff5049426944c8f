"""What is gone from Sage is believed only when two reads agree (rules 3): quantities, orders, unposted invoices."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from contracts.messages import AlertKind, Ending, OrderOutcome, ShipmentsRead
from contracts.search_attributes import OrderState
from mappings.problems import Finding, HoldReason
from mappings.sales_order import CreatedLine
from mappings.shipments import InvoicedLine, SalesOrderStanding, ShipmentInvoice
from tests.workflows.conftest import NUMBER, World, begin, outcome, problem, shipment, start_of, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

Handle = WorkflowHandle[Any, OrderOutcome]


def gone(history: str = "C") -> SalesOrderStanding:
    return SalesOrderStanding(SalesOrderNo=NUMBER, live=False, history_status=history)


def live(quantity: str = "2", **more: Any) -> SalesOrderStanding:
    return SalesOrderStanding(
        SalesOrderNo=NUMBER, live=True, OrderStatus="N", history_status="A", live_lines={"000001": Decimal(quantity)}
    ).model_copy(update=more)


def read(
    standing: SalesOrderStanding, *invoices: ShipmentInvoice, reason: str = "", outstanding: tuple[str, ...] = ()
) -> ShipmentsRead:
    reasons = {"000001": reason} if reason else {}
    return ShipmentsRead(invoices=list(invoices), standing=standing, outstanding=list(outstanding), reasons=reasons)


async def opened(env: WorkflowEnvironment) -> Handle:
    handle = await begin(env, start_of(agree_time=0.2))
    await until(handle, "open")
    return handle


async def test_closed_short_is_told_before_shipped(env: WorkflowEnvironment, world: World) -> None:
    handle = await opened(env)
    posted = shipment(quantity="1", posted=True, live=False)
    world.read = read(gone(), posted.invoice)
    await handle.signal("shipment", posted)
    result = await outcome(handle)
    assert (result.state, result.ending) == (OrderState.COMPLETE, Ending.CLOSED_SHORT)
    item = result.cancelled[0]
    assert (item.orderItemId, item.quantity, item.reason) == ("10002-1", Decimal(1), "closed short on invoice 0100001")
    assert item.refundRequested
    assert world.calls.count("read_shipments") == 2
    assert world.calls.index("record_cancelled_items") < world.calls.index("post_shipment")
    assert [alert.kind for alert in world.alerts] == [AlertKind.REFUND_DUE]


async def test_rows_that_come_back_between_two_reads_are_not_believed_gone(
    env: WorkflowEnvironment, world: World
) -> None:
    """A Sales Journal update is running: the order has left, its invoice is not in history yet."""
    handle = await opened(env)
    posted = shipment(posted=True, live=False)
    world.reads = [read(gone("A")), read(gone(), posted.invoice)]
    await handle.signal("sales_order_changed", gone("A"))
    result = await outcome(handle)
    assert (result.state, result.ending) == (OrderState.COMPLETE, Ending.SHIPPED_IN_FULL)
    assert world.cancelled == []


async def test_nothing_is_believed_while_an_invoice_is_outstanding(env: WorkflowEnvironment, world: World) -> None:
    handle = await opened(env)
    world.read = read(live("1"), outstanding=("0100009",))
    await handle.signal("sales_order_changed", live("1"))
    await world.until_called("read_shipments", 2)
    await env.fast_forward(handle, timedelta(minutes=10))
    assert world.calls.count("read_shipments") == 2
    assert (await until(handle, "open")).cancelled == []
    last = shipment(quantity="1", posted=True, live=False, invoice="0100009")
    world.read = read(gone(), last.invoice)
    await handle.signal("shipment", last)
    assert (await outcome(handle)).ending is Ending.CLOSED_SHORT


async def test_an_order_deleted_without_a_reason_is_held_and_retry_looks_again(
    env: WorkflowEnvironment, world: World
) -> None:
    handle = await opened(env)
    world.read = read(gone(""))
    await handle.signal("sales_order_changed", gone(""))
    view = await until(handle, "held", hold=1)
    assert view.hold is not None
    assert view.hold.reason is HoldReason.DELETED_IN_SAGE
    # Entered again under the same number: the order goes on.
    world.read = read(live())
    await handle.execute_update("release_hold", {"action": "retry", "by": "Ann", "hold": 1})
    await until(handle, "open")
    world.read = read(gone(""))
    await handle.signal("sales_order_changed", gone(""))
    await until(handle, "held", hold=2)
    await handle.execute_update("release_hold", {"action": "approve", "by": "Ann", "hold": 2})
    result = await outcome(handle)
    assert (result.state, result.ending) == (OrderState.CANCELLED, Ending.CANCELLED)
    assert [item.reason for item in result.cancelled] == ["deleted"]
    assert world.calls[-2:] == ["record_cancelled_items", "cancel_at_clarity"]


async def test_a_deletion_that_is_told_while_sage_is_read_is_not_lost_to_the_older_reading(
    env: WorkflowEnvironment, world: World
) -> None:
    """The poller saw it after the order's own read began."""
    handle = await opened(env)
    world.read = read(gone(""))
    world.reads = [read(live("1")), read(live("1"))]

    async def deleted() -> None:
        await handle.signal("sales_order_changed", gone(""))

    world.when["read_shipments"] = deleted
    await handle.signal("sales_order_changed", live("1"))
    view = await until(handle, "held")
    assert view.hold is not None
    assert view.hold.reason is HoldReason.DELETED_IN_SAGE


async def test_a_second_deletion_that_is_told_while_a_retry_reads_sage_is_not_taken_for_the_first(
    env: WorkflowEnvironment, world: World
) -> None:
    """Entered again, released, and deleted again after the read began: the poller tells what the order knew before."""
    handle = await opened(env)
    world.read = read(gone(""))
    await handle.signal("sales_order_changed", gone(""))
    await until(handle, "held", hold=1)
    world.reads = [read(live())]

    async def deleted() -> None:
        await handle.signal("sales_order_changed", gone(""))

    world.when["read_shipments"] = deleted
    await handle.execute_update("release_hold", {"action": "retry", "by": "Ann", "hold": 1})
    await until(handle, "held", hold=2)


async def test_an_order_cancelled_with_a_reason_ends_by_itself(env: WorkflowEnvironment, world: World) -> None:
    handle = await opened(env)
    world.read = read(live(live_lines={}), reason="CUST")
    await handle.signal("sales_order_changed", live(live_lines={}))
    result = await outcome(handle)
    assert (result.state, result.cancelled[0].reason) == (OrderState.CANCELLED, "CUST")


async def test_a_missing_invoice_is_voided_when_two_reads_miss_it(env: WorkflowEnvironment, world: World) -> None:
    handle = await opened(env)
    await handle.signal("shipment", shipment())
    await until(handle, "shipped")
    world.read = read(live())
    await handle.signal("sales_order_changed", live(missing_invoices=["0100001"]))
    view = await until(handle, "open")
    assert (view.packages, view.invoices) == ([], [])
    assert [(void.InvoiceNo, void.reopen) for void in world.voids] == [("0100001", True)]
    await handle.signal("shipment", shipment(invoice="0100002", posted=True, live=False))
    assert (await outcome(handle)).invoices == ["0100002"]
    assert [request.order_shipped for request in world.shipments] == [True, True]


async def test_a_missing_invoice_that_is_posted_meanwhile_is_no_void(env: WorkflowEnvironment, world: World) -> None:
    handle = await opened(env)
    await handle.signal("shipment", shipment())
    await until(handle, "shipped")
    posted = shipment(posted=True, live=False)
    world.reads = [read(live()), read(gone(), posted.invoice)]
    await handle.signal("sales_order_changed", live(missing_invoices=["0100001"]))
    assert (await outcome(handle)).state is OrderState.COMPLETE
    assert world.voids == []


async def test_lines_that_people_add_are_learned_and_waited_for(env: WorkflowEnvironment, world: World) -> None:
    handle = await opened(env)
    added = CreatedLine(LineKey="000002", ItemCode="STAPLER", QuantityOrdered=Decimal(1))
    both = live(live_lines={"000001": Decimal(2), "000002": Decimal(1)})
    first = shipment().model_copy(update={"standing": both})
    world.read = read(both, first.invoice).model_copy(update={"added_lines": [added]})
    await handle.signal("shipment", first)
    view = await until(handle, "partially_shipped")
    assert "STAPLER" in " ".join(entry.what for entry in view.trail)
    extra = InvoicedLine(LineKey="000002", ItemCode="STAPLER", QuantityShipped=Decimal(1))
    last = shipment(invoice="0100002", posted=True, live=False)
    posted = shipment(posted=True, live=False)
    for seen in (posted, last.model_copy(update={"invoice": last.invoice.model_copy(update={"Lines": [extra]})})):
        await handle.signal("shipment", seen)
    result = await outcome(handle)
    assert (result.ending, result.invoices) == (Ending.SHIPPED_IN_FULL, ["0100001", "0100002"])


async def test_signals_of_another_sales_order_and_late_old_readings_change_nothing(
    env: WorkflowEnvironment, world: World
) -> None:
    handle = await opened(env)
    other = shipment()
    stray = other.invoice.model_copy(update={"SalesOrderNo": "0009999"})
    await handle.signal("shipment", other.model_copy(update={"invoice": stray}))
    await handle.signal("sales_order_changed", gone("").model_copy(update={"SalesOrderNo": "0009999"}))
    posted = shipment(quantity="1", posted=True)
    live_rest = live("1")
    await handle.signal("shipment", posted.model_copy(update={"standing": live_rest}))
    await handle.signal("shipment", shipment(quantity="1").model_copy(update={"standing": live_rest}))
    view = await until(handle, "partially_shipped")
    assert (view.invoices, len(world.shipments)) == (["0100001"], 1)
    await handle.signal("shipment", shipment(quantity="1", invoice="0100002", posted=True, live=False))
    assert (await outcome(handle)).invoices == ["0100001", "0100002"]


async def test_an_invoice_that_may_be_ours_holds_and_approve_creates(env: WorkflowEnvironment, world: World) -> None:
    before = Finding(reason=HoldReason.ANOMALY, check="invoiced_before", problems=[problem("invoiced before")])
    world.findings = [[before], []]
    handle = await begin(env)
    await until(handle, "held", hold=1)
    await handle.execute_update("release_hold", {"action": "approve", "by": "Ann", "hold": 1})
    await until(handle, "open")
    assert world.approved == [[], ["invoiced_before:test"]]
