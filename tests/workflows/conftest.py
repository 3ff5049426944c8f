"""Workflows on the real server with a virtual clock, and stand-ins for the activities."""

import asyncio
import contextlib
import json
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest_asyncio
from temporalio import activity
from temporalio.client import Client, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.shadow import ShadowReportActivities
from contracts import queues
from contracts import search_attributes as attributes
from contracts.failures import FailureType
from contracts.golive import LinkSalesOrder, SalesOrderLinked
from contracts.messages import (
    Acknowledge,
    Alert,
    BackfillRequest,
    BackfillResult,
    BackfillTally,
    CancelAtClarity,
    CancelOutcome,
    CancelSalesOrder,
    ChangeSalesOrder,
    CreateCustomer,
    CreateSalesOrder,
    CreditMemoStart,
    CustomerCreated,
    CustomerFound,
    CustomerRequest,
    FactsRequest,
    FindCustomer,
    OrderOutcome,
    OrderStart,
    OrderView,
    PollCursor,
    PollShift,
    PostShipment,
    ReadShipments,
    RecordCancelled,
    RecordInvoices,
    Replayed,
    ReplayEvent,
    ReserveRequest,
    SalesOrderCancelled,
    SalesOrderChanged,
    SalesOrderCreated,
    ShipmentPosted,
    ShipmentsRead,
    TransformRequest,
    VoidShipment,
)
from contracts.shadow import Compared, CompareTyped, ListShadowOrders, SalesOrderPreviewed, ShadowRuns
from mappings.packages import plan_shipments
from mappings.pair import Pace, load_pair
from mappings.problems import Finding, Problem
from mappings.sales_order import (
    CreatedLine,
    CustomerDecision,
    CustomerKey,
    CustomerMatch,
    CustomerSearch,
    SageFacts,
    SalesOrderOnSage,
    Transformed,
)
from mappings.shadow import ComparedOrder
from mappings.shipments import (
    CancelledItem,
    InvoicedLine,
    Package,
    SalesOrderStanding,
    ShipmentInvoice,
    ShipmentSeen,
)
from mappings.transform import transform
from workers.plugin import integration_plugin
from workers.roles import WORKFLOWS

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PAIR = load_pair(ROOT / "mappings/pairs/demo.yaml")
NUMBER = "0001042"
ACCOUNT = CustomerKey(ARDivisionNo="02", CustomerNo="W000001")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def env() -> AsyncIterator[WorkflowEnvironment]:
    """The dev server with a virtual clock per workflow."""
    environment = await WorkflowEnvironment.start_time_skipping_v2(
        plugins=[integration_plugin()],
        dev_server_existing_path=str(BIN / "temporal"),
        dev_server_log_level="error",
        search_attributes=attributes.ALL,
        dev_server_extra_args=["--dynamic-config-value", "frontend.WorkflowTimeSkippingEnabled=true"],
    )
    try:
        yield environment
    finally:
        await environment.shutdown()


def payload_of(name: str) -> dict[str, Any]:
    """A sample order's webhook body."""
    payload: dict[str, Any] = json.loads((ROOT / f"sandbox/orders/{name}.json").read_text("utf-8"))
    return payload


def start_of(name: str = "02-known-web-customer", **pace: float) -> OrderStart:
    """A start argument with an order id of its own."""
    payload = payload_of(name)
    order_id = f"t{uuid.uuid4().hex[:12]}"
    payload["data"]["id"] = order_id
    return OrderStart(
        pair="demo",
        order_id=order_id,
        payload=payload,
        digest=uuid.uuid4().hex,
        received_at=datetime.now(UTC),
        pace=Pace(retry_initial=0.05, retry_maximum=0.2, **pace),
    )


def created_order(number: str = NUMBER, quantity: str = "2") -> SalesOrderOnSage:
    """What Sage answers for sample order 02."""
    line = CreatedLine(
        LineKey="000001",
        ItemCode="CHAIR-TASK-BLK",
        QuantityOrdered=Decimal(quantity),
        UDF_WEB_LINE_ID="10002-1",
    )
    return SalesOrderOnSage(
        SalesOrderNo=number,
        ARDivisionNo=ACCOUNT.ARDivisionNo,
        CustomerNo=ACCOUNT.CustomerNo,
        Lines=[line],
    )


def shipment(
    quantity: str = "2", *, posted: bool = False, live: bool = True, invoice: str = "0100001", tracking: str = "1Z1"
) -> ShipmentSeen:
    """A shipment of that order, as the poller sends it."""
    return ShipmentSeen(
        invoice=ShipmentInvoice(
            InvoiceNo=invoice,
            SalesOrderNo=NUMBER,
            posted=posted,
            InvoiceDate=date(2026, 11, 23),
            Total=Decimal("431.70"),
            Lines=[InvoicedLine(LineKey="000001", ItemCode="CHAIR-TASK-BLK", QuantityShipped=Decimal(quantity))],
            Packages=[Package(PackageNo="0001", TrackingID=tracking)],
        ),
        standing=SalesOrderStanding(
            SalesOrderNo=NUMBER,
            live=live,
            OrderStatus="N" if live else "",
            history_status="A" if live else "C",
            live_lines={"000001": Decimal(2)} if live else {},
        ),
    )


class Brain:
    """The worker that runs the workflows."""

    def __init__(self, client: Client, activities: list[Callable[..., Any]]) -> None:
        self._client, self._activities = client, activities
        self._worker: Worker | None = None
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._worker = Worker(
            self._client,
            task_queue=queues.ORDERS,
            workflows=WORKFLOWS,
            activities=self._activities,
            activity_executor=ThreadPoolExecutor(2),
        )
        self._running = asyncio.create_task(self._worker.run())

    async def stop(self) -> None:
        """Messages pile up on the server from here on."""
        if self._worker is not None and self._running is not None:
            await self._worker.shutdown()
            await self._running
        self._worker = self._running = None


class World:
    """The outside systems as the workflow sees them; tests change the attributes."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.calls: list[str] = []
        self.alerts: list[Alert] = []
        self.shipments: list[PostShipment] = []
        self.invoices: list[RecordInvoices] = []
        self.voids: list[VoidShipment] = []
        self.cancelled: list[list[CancelledItem]] = []
        self.findings: list[list[Finding]] = []
        """Findings of the next looks at Sage, one list each; none once used up."""
        self.existing: SalesOrderOnSage | None = None
        self.match = CustomerMatch(decision=CustomerDecision.MATCHED, customer=ACCOUNT, by="a test")
        self.creates: list[SalesOrderCreated | Exception] = []
        self.created_under: list[str] = []
        self.numbers = iter(f"{number:07d}" for number in range(1042, 2000))
        self.read = ShipmentsRead(invoices=[], standing=SalesOrderStanding(SalesOrderNo=NUMBER, live=True))
        self.reads: list[ShipmentsRead] = []
        """Answers of the next reads of Sage's shipments; `read` once used up."""
        self.approved: list[list[str]] = []
        self.requests: list[CreateSalesOrder] = []
        self.facts: list[FactsRequest] = []
        self.searches: list[CustomerSearch] = []
        self.create_gate = asyncio.Event()
        self.create_gate.set()
        self.brain: Brain | None = None
        """The worker of the workflows, which a test may stop and start."""
        self.refuse_clarity = 0
        self.break_transform = False
        self.customers_created = 0
        self.find_gate = asyncio.Event()
        self.find_gate.set()
        self.facts_gate = asyncio.Event()
        self.facts_gate.set()

        self.when: dict[str, Callable[[], Awaitable[None]]] = {}
        """What happens as an activity begins, once each."""
        self.stored = False
        """Sage has the order that was created, live."""
        self.invoiced: list[str] = []
        """Its invoices: then it cannot be cancelled."""
        self.changes: list[SalesOrderChanged | Exception] = []
        """Answers of the next changes; done as asked once used up."""
        self.change_requests: list[ChangeSalesOrder] = []
        self.cancels: list[SalesOrderCancelled | Exception] = []
        """Answers of the next cancellations; by `stored` and `invoiced` once used up."""

        self.previews: list[CreateSalesOrder] = []
        self.preview_findings: list[Finding] = []
        self.links: list[LinkSalesOrder] = []
        self.linked: list[SalesOrderLinked] = []
        """Answers of the next links; the order that people typed once used up."""
        self.compared: list[ComparedOrder] = []
        """What the comparison of shadow orders finds."""

        self.backfills: list[BackfillRequest] = []
        self.backfilled: list[BackfillResult] = []
        """Results of the next backfills; an empty one once used up."""
        self.replays: list[ReplayEvent] = []
        self.replayed: list[Replayed] = []
        """Answers of the next replays; accepted once used up."""

    async def begins(self, name: str) -> None:
        """An activity begins."""
        self.calls.append(name)
        if (what := self.when.pop(name, None)) is not None:
            await what()

    async def until_called(self, name: str, times: int) -> None:
        """Once an activity was called so often."""
        for _ in range(300):
            if self.calls.count(name) >= times:
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"{name} was called {self.calls.count(name)} times, not {times}")

    async def until_waiting(self, handle: WorkflowHandle[Any, Any]) -> None:
        """Once the order waits for its customer."""
        for _ in range(300):
            if "its customer" in (await view_of(handle)).waits_for:
                return
            await asyncio.sleep(0.05)
        raise AssertionError("the order does not wait for its customer")

    @activity.defn
    def transform_order(self, request: TransformRequest) -> Transformed:
        self.calls.append("transform_order")
        if self.break_transform:
            raise ZeroDivisionError("a bug in a rule")
        return transform(request.payload, PAIR)

    @activity.defn
    async def read_sage_facts(self, request: FactsRequest) -> SageFacts:
        await self.begins("read_sage_facts")
        self.facts.append(request)
        self.approved.append(request.decisions.approved)
        await self.facts_gate.wait()
        findings = self.findings.pop(0) if self.findings else []
        existing = self.existing
        if request.reference == request.own_attempt != "" and self.stored:
            existing = created_order(request.own_attempt)
        return SageFacts(existing=existing, sales_order=request.draft.sales_order, match=self.match, findings=findings)

    @activity.defn
    async def request_customer(self, request: CustomerRequest) -> None:
        self.calls.append("request_customer")
        self.searches.append(request.start.search)
        await self.client.start_workflow(
            "CustomerResolutionWorkflow",
            request.start,
            id=f"customer-test-{request.start.search.match_key}",
            task_queue=queues.ORDERS,
            start_signal="attach",
            start_signal_args=[request.order_workflow_id],
        )

    @activity.defn
    async def raise_alert(self, alert: Alert) -> None:
        self.alerts.append(alert)
        if (what := self.when.pop("raise_alert", None)) is not None:
            await what()

    @activity.defn
    async def find_customer(self, request: FindCustomer) -> CustomerFound:
        self.calls.append("find_customer")
        await self.find_gate.wait()
        return CustomerFound(match=CustomerMatch(decision=CustomerDecision.CREATE))

    @activity.defn
    async def reserve_customer_number(self, request: ReserveRequest) -> str:
        return "W000101"

    @activity.defn
    async def create_customer(self, request: CreateCustomer) -> CustomerCreated:
        self.customers_created += 1
        return CustomerCreated(customer=CustomerKey(ARDivisionNo="02", CustomerNo=request.CustomerNo))

    @activity.defn
    async def reserve_sales_order_number(self, request: ReserveRequest) -> str:
        await self.begins("reserve_sales_order_number")
        return next(self.numbers)

    @activity.defn
    async def create_sales_order(self, request: CreateSalesOrder) -> SalesOrderCreated:
        await self.begins("create_sales_order")
        self.created_under.append(request.SalesOrderNo)
        self.requests.append(request)
        await self.create_gate.wait()
        answer = self.creates.pop(0) if self.creates else SalesOrderCreated(created=created_order(request.SalesOrderNo))
        if isinstance(answer, Exception):
            raise answer
        self.stored = self.stored or answer.created is not None
        return answer

    @activity.defn
    async def preview_sales_order(self, request: CreateSalesOrder) -> SalesOrderPreviewed:
        await self.begins("preview_sales_order")
        self.previews.append(request)
        return SalesOrderPreviewed(
            sales_order=request.sales_order, on_sage=created_order(""), findings=self.preview_findings
        )

    @activity.defn
    async def link_sales_order(self, request: LinkSalesOrder) -> SalesOrderLinked:
        await self.begins("link_sales_order")
        self.links.append(request)
        return self.linked.pop(0) if self.linked else SalesOrderLinked(order=created_order(), remarks=["as typed"])

    @activity.defn
    async def list_shadow_orders(self, request: ListShadowOrders) -> ShadowRuns:
        return ShadowRuns(workflow_ids=[f"shadow-order-demo-{one.order_id}" for one in self.compared])

    @activity.defn
    async def compare_typed_orders(self, request: CompareTyped) -> Compared:
        await self.begins("compare_typed_orders")
        ids_ = set(request.workflow_ids)
        return Compared(orders=[one for one in self.compared if f"shadow-order-demo-{one.order_id}" in ids_])

    @activity.defn
    async def change_sales_order(self, request: ChangeSalesOrder) -> SalesOrderChanged:
        await self.begins("change_sales_order")
        self.change_requests.append(request)
        answer = self.changes.pop(0) if self.changes else None
        if isinstance(answer, Exception):
            raise answer
        if not self.stored:
            return SalesOrderChanged(too_late=True)
        return answer or SalesOrderChanged(changed=True, said=["as asked"], lines=request.lines)

    @activity.defn
    async def cancel_sales_order(self, request: CancelSalesOrder) -> SalesOrderCancelled:
        await self.begins("cancel_sales_order")
        answer = self.cancels.pop(0) if self.cancels else None
        if isinstance(answer, Exception):
            raise answer
        if answer is not None:
            return answer
        if self.invoiced:
            return SalesOrderCancelled(outcome=CancelOutcome.INVOICED, invoices=self.invoiced)
        self.stored = False
        return SalesOrderCancelled(outcome=CancelOutcome.CANCELLED)

    @activity.defn
    async def acknowledge_to_clarity(self, request: Acknowledge) -> None:
        await self.begins("acknowledge_to_clarity")
        if self.refuse_clarity:
            self.refuse_clarity -= 1
            raise refused(FailureType.REFUSED_BY_CLARITY, "status", "is not one of Pending")

    @activity.defn
    async def post_shipment(self, request: PostShipment) -> ShipmentPosted:
        await self.begins("post_shipment")
        self.shipments.append(request)
        plan = plan_shipments(request.order_id, request.lines, request.invoice, PAIR)
        return ShipmentPosted(references=[shipment.reference for shipment in plan])

    @activity.defn
    async def void_shipment(self, request: VoidShipment) -> None:
        self.calls.append("void_shipment")
        self.voids.append(request)

    @activity.defn
    async def record_cancelled_items(self, request: RecordCancelled) -> None:
        self.calls.append("record_cancelled_items")
        self.cancelled.append(request.items)

    @activity.defn
    async def record_invoices(self, request: RecordInvoices) -> None:
        await self.begins("record_invoices")
        self.invoices.append(request)

    @activity.defn
    async def tell_refund_due(self, request: CreditMemoStart) -> None:
        await self.begins("tell_refund_due")
        if self.refuse_clarity:
            raise refused(FailureType.REFUSED_BY_CLARITY, "id", "there is no such order")

    @activity.defn
    async def cancel_at_clarity(self, request: CancelAtClarity) -> None:
        self.calls.append("cancel_at_clarity")

    @activity.defn
    async def read_shipments(self, request: ReadShipments) -> ShipmentsRead:
        await self.begins("read_shipments")
        return self.reads.pop(0) if self.reads else self.read

    @activity.defn
    async def backfill_orders(self, request: BackfillRequest) -> BackfillResult:
        self.calls.append("backfill_orders")
        self.backfills.append(request)
        if self.backfilled:
            return self.backfilled.pop(0)
        return BackfillResult(tally=BackfillTally(since=request.since), next_since=request.now)

    @activity.defn
    async def replay_event(self, event: ReplayEvent) -> Replayed:
        self.calls.append("replay_event")
        self.replays.append(event)
        if self.replayed:
            return self.replayed.pop(0)
        return Replayed(accepted=True, result="started", detail="order-demo-1")

    @activity.defn
    async def poll(self, shift: PollShift) -> PollCursor:
        self.calls.append("poll")
        return PollCursor(polled_on="2026-11-23", polls=(shift.cursor or PollCursor()).polls + 1)


def refused(type_: FailureType, field: str, message: str) -> ApplicationError:
    """A final refusal as activities raise it."""
    return ApplicationError(message, [{"field": field, "message": message}], type=type_, non_retryable=True)


@pytest_asyncio.fixture(loop_scope="session")
async def world(env: WorkflowEnvironment, tmp_path: Path) -> AsyncIterator[World]:
    """A world of its own for each test, with workers on every queue."""
    # Other tests start orders through the API and have no worker for them: this one's would take them on.
    await end_what_still_runs(env.client)
    world = World(env.client)
    by_queue: dict[str, list[Callable[..., Any]]] = {
        queues.sage_read("demo"): [
            world.read_sage_facts,
            world.find_customer,
            world.read_shipments,
            world.poll,
            world.compare_typed_orders,
        ],
        queues.sage_write("demo"): [
            world.reserve_sales_order_number,
            world.create_sales_order,
            world.preview_sales_order,
            world.link_sales_order,
            world.change_sales_order,
            world.cancel_sales_order,
            world.reserve_customer_number,
            world.create_customer,
        ],
        queues.clarity("demo"): [
            world.acknowledge_to_clarity,
            world.post_shipment,
            world.void_shipment,
            world.record_cancelled_items,
            world.record_invoices,
            world.tell_refund_due,
            world.cancel_at_clarity,
            world.backfill_orders,
        ],
    }
    workers = [
        Worker(
            env.client,
            task_queue=queue,
            activities=activities,
            activity_executor=ThreadPoolExecutor(2),
        )
        for queue, activities in by_queue.items()
    ]
    running = [asyncio.create_task(worker.run()) for worker in workers]
    world.brain = Brain(
        env.client,
        [
            *(world.transform_order, world.request_customer, world.raise_alert, world.replay_event),
            *(world.list_shadow_orders, ShadowReportActivities({}, env.client, tmp_path).write_comparison),
        ],
    )
    world.brain.start()
    try:
        yield world
    finally:
        world.create_gate.set()
        await end_what_still_runs(env.client)
        await world.brain.stop()
        await asyncio.gather(*(worker.shutdown() for worker in workers))
        await asyncio.gather(*running)


STARTED: list[WorkflowHandle[Any, Any]] = []
"""What `begin` started for the test that runs."""


async def end_what_still_runs(client: Client) -> None:
    """A test's orders end with it: the next test's workers would go on with them, and count their calls."""
    while STARTED:
        with contextlib.suppress(RPCError):
            await STARTED.pop().terminate("the test is over")
    async for run in client.list_workflows("ExecutionStatus='Running'"):
        with contextlib.suppress(RPCError):
            await client.get_workflow_handle(run.id, run_id=run.run_id).terminate("the test is over")


async def view_of(handle: WorkflowHandle[Any, Any]) -> OrderView:
    """The query `state`."""
    view: OrderView = await handle.query("state", result_type=OrderView)
    return view


async def until(handle: WorkflowHandle[Any, Any], what: str, *, hold: int | None = None) -> OrderView:
    """The view once the order is in this state (and in this hold)."""
    for _ in range(300):
        view = await view_of(handle)
        if view.state.value == what and (hold is None or (view.hold is not None and view.hold.hold == hold)):
            return view
        await asyncio.sleep(0.05)
    raise AssertionError(f"the order is {view.state}, not {what}: {view}")


def problem(message: str) -> Problem:
    """A problem for findings."""
    return Problem(field="test", message=message)


async def begin(
    env: WorkflowEnvironment, start: OrderStart | None = None, **more: Any
) -> WorkflowHandle[Any, OrderOutcome]:
    """Start an order; its clock stands still until the test moves it."""
    argument = start or start_of()
    with env.with_time_skipping_disabled():
        handle: WorkflowHandle[Any, OrderOutcome] = await env.client.start_workflow(
            "OrderFulfillmentWorkflow",
            argument,
            id=f"order-demo-{argument.order_id}",
            task_queue=queues.ORDERS,
            result_type=OrderOutcome,
            **more,
        )
        STARTED.append(handle)
        return handle


async def outcome(handle: WorkflowHandle[Any, OrderOutcome]) -> OrderOutcome:
    return await asyncio.wait_for(handle.result(), 30)
