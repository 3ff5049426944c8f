"""What an order knows about itself, and what people see of it: `OrderRecord`.

In: `OrderStart`. Out: the answers of its queries, its search attributes, its details page, its audit trail.
"""

import asyncio
from collections.abc import Awaitable
from datetime import datetime
from decimal import Decimal
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeUpdate

from contracts import search_attributes as attributes
from contracts.messages import (
    Alert,
    AlertKind,
    ClarityOrderChanged,
    CustomerResolved,
    Ending,
    HoldView,
    OrderStart,
    OrderView,
    ShipmentsRead,
    StockNeeds,
    TrailEntry,
)
from contracts.search_attributes import OrderState
from mappings.decisions import Decisions
from mappings.inventory import needs_of
from mappings.problems import Problem
from mappings.progress import (
    allocate,
    line_progress,
    order_progress,
)
from mappings.sales_order import (
    CreatedLine,
    CustomerKey,
    SalesOrder,
    Transformed,
)
from mappings.shipments import (
    CancelledItem,
    LineProgress,
    OrderProgress,
    SalesOrderStanding,
    ShipmentInvoice,
)
from workflows import details
from workflows.releases import Checked
from workflows.telling import raise_alert

TRAIL_LIMIT = 500
"""Entries kept in the audit trail; the history itself keeps everything."""


class OrderEnds(Exception):
    """The order ends here, on purpose; it completes the workflow with state `cancelled`."""


class OrderRecord:
    """Everything that signals, updates and the process share; no step of the process."""

    def __init__(self, start: OrderStart) -> None:
        """Signals and updates may arrive before `run`: everything they touch is set here."""
        self.pair = start.pair
        self.order_id = start.order_id
        self.pace = start.pace
        self.adopts = start.adopts
        """The SalesOrderNo that people typed for this order before the pair went live."""
        self.by_hand: dict[str, list[str]] = {}
        """InvoiceNo → Clarity's shipments of it that people entered there, of an order that people typed."""
        self.payload = start.payload
        self.first_digest = self.digest = start.digest
        """Of the first version, and of the version in force."""
        self.state = OrderState.RECEIVED
        self.listed_state = OrderState.RECEIVED
        """What lists show (search attribute OrderState): an order shipped in one go stays `open` there for a while."""
        self.is_asked_daily = start.is_asked_daily
        self.alerts_raised = 0
        self.waits_for = "its transformation"
        self.transformed: Transformed | None = None
        self.customer: CustomerKey | None = None
        self.customer_answer: CustomerResolved | None = None
        self.reserved_number = ""
        self.create_tried = False
        self.deleted: list[str] = []
        """Sales orders that were created on hold and deleted again, on a site without preview."""
        self.sales_order_no = ""
        self.read_first = False
        """The sales order was shipped before it was known: its shipments are read at once."""
        self.lines: list[CreatedLine] = []
        self.invoices: dict[str, ShipmentInvoice] = {}
        self.standing: SalesOrderStanding | None = None
        self.news = 0
        """Counts what signals and reads brought, so that the wait notices each."""
        self.told: dict[str, str] = {}
        """What Clarity was told: InvoiceNo → its content; repeats of a signal change nothing."""
        self.references: dict[str, list[str]] = {}
        """InvoiceNo → the external references of its shipments at Clarity."""
        self.reading: ShipmentsRead | None = None
        """The last look of the order's own at Sage."""
        self.read_at = -1
        """`news` at that look: it says nothing about what came after it."""
        self.believed: dict[str, Decimal] = {}
        """Item (or line) → quantity that two reads agreed will not come."""
        self.gone_confirmed = False
        """Two reads agreed that the order left Sage, though no history says it is completed."""
        self.examined = ""
        """The doubt that was examined without a result; it is examined again when news come."""
        self.cancelled: list[CancelledItem] = []
        """What Clarity was told will not come."""
        self.decisions = Decisions()
        """What people decided when they released holds."""
        self.look_wanted = ""
        """Why a held order should look at stock once more after the look that runs (a hint, or the second look)."""
        self.looking = False
        """A look at stock is under way for the hold that is open."""
        self.pending: ClarityOrderChanged | None = None
        """The later version that Clarity sent after the create began; honoured as soon as Sage is known to have the
        order, or not to have it."""
        self.latest: ClarityOrderChanged | None = None
        """The version that replaced the one before while Sage had no order."""
        self.sent: SalesOrder | None = None
        """The sales order as this run sent it: what later versions are held against."""
        self.left_aside: ClarityOrderChanged | None = None
        """The cancellation that a person left aside: its repeats are no news, a later one is."""
        self.asks_about_change = False
        """The hold that is open asks about a change or a cancellation from Clarity; news answer it."""
        self.question: list[Problem] = []
        """What such a hold asked that news from Sage answered: asked again as it was, nobody is alerted again."""
        self.awaits_deletion = False
        """The hold that is open waits until a person deletes the sales order in Sage, or releases it there."""
        self.left_behind: ClarityOrderChanged | None = None
        """The version that a cancellation overtook; it counts again when the cancellation is left aside."""
        self.cancelling_in_sage = False
        """A cancellation in Sage is under way, or asks a person."""
        self.on_hold_in_sage = False
        """OrderStatus H: nothing of it is shipped before somebody releases it in Sage."""
        self.customer_by = ""
        """What named the account, in the words of the matching."""
        self.answered_customer: CustomerKey | None = None
        """The account that the buyer's resolution answered, found or created."""
        self.resolved: CustomerKey | None = None
        """The account that the buyer's resolution found or created: every later look at Sage takes it."""
        self.resolved_for = ""
        """The buyer (`buyer_of`) for whom it did: a correction of the buyer is looked at anew."""
        self.asked = ""
        """The buyer about whom the resolution was asked: an answer about another one is not taken."""
        self.shipped_at: datetime | None = None
        self.shipped_told = False
        """Clarity was told that the whole order is shipped."""
        self.holds = 0
        self.held: HoldView | None = None
        self.decision: Checked | None = None
        self.changed = False
        """Clarity sent a newer version than the one being worked on."""
        self.stop_asked = ""
        self.cancelled_at_clarity = False
        """Clarity said so, in time or too late."""
        self.cancelling = False
        """Why somebody wants the order cancelled (Clarity's order.cancelled); honoured between steps."""
        self.cancel_requested = False
        """Somebody requested cancellation of the workflow (Web UI, CLI); it becomes a hold."""
        self.read_due = False
        self.trail: list[TrailEntry] = []
        self.background: set[asyncio.Task[None]] = set()

    def unused_number(self) -> str:
        """The number that was reserved for an order that ended without one, or was found under another."""
        known = bool(self.sales_order_no) or self.state is OrderState.CANCELLED or self.cancelling
        return self.reserved_number if known and self.reserved_number != self.sales_order_no else ""

    def unused_numbers(self) -> list[SearchAttributeUpdate[Any]]:
        """The same as a search attribute: reserved numbers that were never used are listed (rules 4)."""
        number = self.unused_number()
        if not number:
            return []
        self.note(f"The reserved number {number} stays unused: a gap in Sage's sales order numbers")
        return [attributes.UNUSED_NUMBER.value_set(attributes.scalar(number))]

    def ending(self) -> Ending:
        """How it ended: in full, short, or not at all."""
        if self.state is OrderState.CANCELLED:
            return Ending.CANCELLED
        return Ending.CLOSED_SHORT if self.cancelled else Ending.SHIPPED_IN_FULL

    def own_invoices(self) -> list[ShipmentInvoice]:
        """The invoices of this sales order, each line with the order line it ships (rules 1)."""
        own = [
            invoice
            for invoice in self.invoices.values()
            if not self.sales_order_no or invoice.SalesOrderNo == self.sales_order_no
        ]
        return [allocate(self.lines, invoice, own) for invoice in own]

    def item_progress(self) -> list[LineProgress]:
        """How far each item is."""
        return line_progress(self.lines, self.own_invoices(), self.standing)

    def progress(self) -> OrderProgress:
        """What the shipments and Sage's own order add up to."""
        return order_progress(
            self.lines, self.own_invoices(), self.standing, self.believed, gone_confirmed=self.gone_confirmed
        )

    def packages(self) -> list[str]:
        """External references that Clarity knows."""
        return [reference for references in self.references.values() for reference in references]

    def captured(self) -> Decimal:
        """What the buyer has paid, gift cards included, less refunds; as of the version that was worked on."""
        draft = self.transformed.draft if self.transformed else None
        if draft is None:
            return Decimal(0)
        return draft.sales_order.DepositAmt if draft.expected.captured is None else draft.expected.captured

    @workflow.query(name="stock_needs", description="What the order will take that Sage does not know yet")
    def stock_needs(self) -> StockNeeds:
        """For the inventory sweep: Sage's own numbers count what Sage has."""
        if self.sales_order_no or self.state in (OrderState.CANCELLED, OrderState.COMPLETE):
            return StockNeeds()
        draft = self.transformed.draft if self.transformed else None
        if draft is None:
            return StockNeeds(known=False)
        return StockNeeds(customer=self.customer, lines=needs_of(draft, self.decisions))

    @workflow.query(name="state", description="The order as support sees it")
    def view(self) -> OrderView:
        """State, what it waits for, the hold with its actions, the trail."""
        return OrderView(
            pair=self.pair,
            order_id=self.order_id,
            order_number=self.transformed.order_number if self.transformed else "",
            title=self.transformed.title if self.transformed else "",
            state=self.state,
            waits_for=self.waits_for,
            hold=self.held,
            sales_order_no=self.sales_order_no,
            customer_no=str(self.customer or ""),
            mapping_version=self.transformed.mapping_version if self.transformed else "",
            packages=self.packages(),
            invoices=[invoice.InvoiceNo for invoice in self.own_invoices()],
            cancelled=self.cancelled,
            ending=self.ending() if self.state in (OrderState.COMPLETE, OrderState.CANCELLED) else None,
            digest=self.pending.digest if self.pending is not None else self.digest,
            cancelled_at_clarity=self.cancelled_at_clarity or self.cancelling,
            unused_number=self.unused_number(),
            trail=self.trail,
        )

    def become(self, state: OrderState, *updates: SearchAttributeUpdate[Any]) -> None:
        """A real transition: state and its companions in one upsert, and the details page."""
        self.state = self.listed_state = state
        if state is OrderState.OPEN and self.customer is not None:
            updates = (*updates, attributes.CUSTOMER_NO.value_set(attributes.scalar(str(self.customer))))
        workflow.upsert_search_attributes([attributes.ORDER_STATE.value_set(state.value), *updates])
        self.show_waiting()

    def step(self, waits_for: str) -> None:
        """A step begins: the details page says what it waits for (that costs no event)."""
        self.waits_for = waits_for
        workflow.set_current_details(details.page(workflow.info().workflow_id, self.view()))

    def show_waiting(self) -> None:
        """The details page between steps: where the order is, what it waits for, what can be done."""
        self.step(details.waits_for(self.state, self.held, self.sales_order_no, on_hold_in_sage=self.on_hold_in_sage))

    def note(self, what: str, *, decision: bool = False) -> None:
        """A line in the audit trail. What repeats is counted; when it is full, the oldest but decisions goes."""
        last = self.trail[-1] if self.trail else None
        if last is not None and last.what == what and not decision:
            self.trail[-1] = last.model_copy(update={"times": last.times + 1, "at": workflow.now()})
            return
        if len(self.trail) >= TRAIL_LIMIT:
            oldest = next((place for place, entry in enumerate(self.trail) if not entry.decision), 0)
            del self.trail[oldest]
        self.trail.append(TrailEntry(at=workflow.now(), what=what, decision=decision))

    def remark(self, what: str) -> None:
        """Something to know that stops nothing; said once."""
        if not any(entry.what == what for entry in self.trail):
            self.note(what)

    def alert(self, kind: AlertKind, text: str) -> None:
        """Tell people, beside the order's own way: a channel that is down never blocks an order."""
        self.keep(self.raise_alert(kind, text))

    async def raise_alert(self, kind: AlertKind, text: str) -> None:
        self.alerts_raised += 1
        info = workflow.info()
        alert = Alert(
            pair=self.pair,
            kind=kind,
            workflow_id=info.workflow_id,
            title=f"Order {self.transformed.order_number or self.order_id}" if self.transformed else self.order_id,
            text=text,
            reason=self.held.reason if self.held and kind in {AlertKind.HOLD, AlertKind.REMINDER} else None,
            occurrence=f"{info.first_execution_run_id}:{self.alerts_raised}",
        )
        await raise_alert(alert, f"Alert: {text}")

    def keep(self, work: Awaitable[None]) -> None:
        """Hold a reference to work that runs beside the process, until it ends."""
        task = asyncio.ensure_future(work)
        self.background.add(task)
        task.add_done_callback(self.background.discard)
