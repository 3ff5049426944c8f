"""One web order, from Clarity's webhook to Sage 100 and back as shipments: `OrderFulfillmentWorkflow`.

In: `OrderStart`, Clarity's payload as delivered. Out: `OrderOutcome`. The process, top to bottom, is `fulfil`:

    transform → look up in Sage → customer → create the sales order exactly once → acknowledge to Clarity
    → wait for shipments (days, weeks) → tell Clarity each package → posted → complete

Nothing here fails for a business reason. What cannot go on is *held*: a wait that a person ends with `release_hold`.
Signals are the fast path and reading is the truth: the order reads its own shipments once a day, and at once when it
found its sales order already in Sage.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import Priority, SearchAttributeUpdate
from temporalio.exceptions import ActivityError, ApplicationError, FailureError

from activities.clarity import ClarityActivities
from activities.orders import OrderActivities
from activities.sage_read import SageReadActivities
from activities.sage_write import SageWriteActivities
from contracts import queues, retry
from contracts import search_attributes as attributes
from contracts.failures import hold_for
from contracts.messages import (
    PROGRESS_STATE,
    Acknowledge,
    Alert,
    AlertKind,
    CancelAtClarity,
    ClarityOrderChanged,
    CreateSalesOrder,
    CustomerRequest,
    CustomerResolved,
    CustomerStart,
    Ending,
    EventType,
    FactsRequest,
    HoldView,
    OrderOutcome,
    OrderStart,
    OrderView,
    PostShipment,
    ReadShipments,
    RecordCancelled,
    RecordInvoices,
    Release,
    ReleaseAccepted,
    ReleaseAction,
    RememberAlias,
    ReserveRequest,
    ShipmentsRead,
    StockNeeds,
    TrailEntry,
    TransformRequest,
    VoidShipment,
    actions_for,
)
from contracts.priorities import priority_of
from contracts.search_attributes import OrderState
from mappings.customer_match import BY_CROSS_REFERENCE_IN_SAGE, buyer_of, may_be_remembered
from mappings.decisions import Decisions
from mappings.intake import is_older, reference_in
from mappings.inventory import needs_of
from mappings.payments import captured_in, currency_in, says_what_was_paid
from mappings.problems import Finding, HoldReason, Problem
from mappings.progress import (
    CLOSED,
    adopt_lines,
    allocate,
    cancel_reason,
    line_progress,
    order_progress,
    unknown_lines,
    vanished,
)
from mappings.sales_order import (
    CreatedLine,
    CustomerDecision,
    CustomerKey,
    Draft,
    SageFacts,
    SageItemType,
    SalesOrderOnSage,
    Transformed,
)
from mappings.shipments import (
    CancelledItem,
    LineProgress,
    OrderProgress,
    SalesOrderStanding,
    ShipmentInvoice,
    ShipmentSeen,
)
from workflows import details
from workflows.releases import Checked, ReleaseRefused, check_release, decided, parse_release
from workflows.telling import raise_alert

Request = TypeVar("Request")
Result = TypeVar("Result")

TRAIL_LIMIT = 500
"""Entries kept in the audit trail; the history itself keeps everything."""


LOOK_ATTEMPTS = 4
"""Times the limit of a call that a look at stock may take; the next sweep makes another."""

READS_UNTIL_AGREED = 5
"""Pairs of reads before a doubt waits for the next signal or the daily read."""


class OrderEnds(Exception):
    """The order ends here, on purpose; it completes the workflow with state `cancelled`."""


@workflow.defn(name="OrderFulfillmentWorkflow")
class OrderFulfillmentWorkflow:
    """The life of one order; see the module."""

    @workflow.init
    def __init__(self, start: OrderStart) -> None:
        """Signals and updates may arrive before `run`: everything they touch is set here."""
        self.pair = start.pair
        self.order_id = start.order_id
        self.pace = start.pace
        self.payload = start.payload
        self.first_digest = self.digest = start.digest
        """Of the first version, and of the version in force."""
        self.state = OrderState.RECEIVED
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
        """What Clarity sent while it was unknown whether Sage has the order; honoured as soon as that is known."""
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

    # ---- the process ----------------------------------------------------------------------------------------------

    @workflow.run
    async def run(self, start: OrderStart) -> OrderOutcome:
        """Carry the order through its life; a cancel request from outside becomes a hold, never a lost order."""
        if start.forced:
            self.note(f"Started though it may have been here before, by {start.forced}", decision=True)
        life = asyncio.create_task(self.live())
        while True:
            try:
                return await asyncio.shield(life)
            except asyncio.CancelledError:
                self.cancel_requested = True
                self.note("Cancellation of the workflow was requested from outside; a person must confirm it")
                self.alert(AlertKind.ORDER_CHANGED, "cancellation of the workflow was requested; nothing ended yet")
                self.show_waiting()

    async def live(self) -> OrderOutcome:
        """The whole life: fulfilled to the end, or ended on purpose before Sage knew the order."""
        note = ""
        try:
            await self.fulfil()
            self.become(OrderState.COMPLETE)
        except OrderEnds as end:
            note = str(end)
            await self.cancel()
            await self.refund_if_paid(note)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return OrderOutcome(
            state=self.state,
            sales_order_no=self.sales_order_no,
            customer_no=str(self.customer or ""),
            ending=self.ending(),
            cancelled=self.cancelled,
            packages=self.packages(),
            invoices=[invoice.InvoiceNo for invoice in self.own_invoices()],
            unused_number=self.unused_number(),
            note=note,
        )

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

    async def fulfil(self) -> None:
        """The happy path, and nothing else; each step holds by itself when it cannot go on."""
        found = await self.bring_to_sage()
        await self.acknowledge()
        number = attributes.SALES_ORDER_NO.value_set(attributes.scalar(self.sales_order_no))
        self.become(OrderState.OPEN, number, *self.unused_numbers())
        await self.follow_shipments(read_first=found)
        await self.record_invoices()

    async def bring_to_sage(self) -> bool:
        """Until the sales order stands in Sage: understand, look up, create. True when it was already there.

        Whatever stops it, a release with `retry` starts here again: the payload, the pair file, an item or a customer
        in Sage may have changed meanwhile.
        """
        while True:
            await self.stop_if_asked()
            self.changed = False
            self.transformed = await self.transform()
            draft = self.transformed.draft
            if draft is None:
                if not self.changed:
                    await self.hold(HoldReason.INVALID_DATA, self.transformed.problems)
                continue
            facts = await self.look_up(draft)
            if facts.existing is not None and not self.is_own_attempt(facts.existing):
                self.adopt(facts.existing)
                self.customer_by = facts.match.by if facts.match.customer == self.customer else ""
                self.note(f"Sales order {self.sales_order_no} with this web order id was already in Sage")
                for difference in facts.differences:
                    self.note(f"Sage's order differs from Clarity's: {difference}")
                if facts.differences:
                    self.alert(AlertKind.ORDER_CHANGED, "the sales order found in Sage differs from Clarity's order")
                if self.stop_asked or self.changed:
                    # It crossed the look that found the order.
                    what = EventType.ORDER_CANCELLED if self.stop_asked else EventType.ORDER_UPDATED
                    self.stop_asked, self.changed = "", False
                    self.tell_too_late(what)
                return True
            if facts.existing is None and not facts.own_invoiced:
                # Whatever an earlier create did: it is not in Sage.
                self.outcome_known()
            for remark in [*self.transformed.warnings, *facts.remarks][:20]:
                self.remark(remark)
            await self.stop_if_asked()
            if self.changed:
                continue
            if facts.findings:
                await self.hold_found(facts.findings[0])
                continue
            if not await self.settle_customer(draft, facts):
                continue
            if await self.create(draft, facts):
                return self.read_first

    async def transform(self) -> Transformed:
        """Payload → draft or problems, as a local activity: quick, pure, one event."""
        while True:
            self.step("its transformation")
            try:
                return await workflow.execute_local_activity_method(
                    OrderActivities.transform_order,
                    TransformRequest(pair=self.pair, payload=self.payload),
                    start_to_close_timeout=retry.TRANSFORM_LIMIT,
                    schedule_to_close_timeout=retry.TRANSFORM_LIMIT * 6,
                    retry_policy=retry.TRANSFORM,
                    summary="Clarity's order → Sage's draft",
                )
            except FailureError as error:
                await self.hold(HoldReason.INTERNAL_ERROR, hold_for(error)[1])

    async def look_up(self, draft: Draft) -> SageFacts:
        """One look at Sage: is the order there already, items, customer, credit, stock."""
        self.step("Sage's facts (ODBC)")
        return await self.insist(
            SageReadActivities.read_sage_facts,
            self.facts_request(draft),
            queues.sage_read(self.pair),
            f"Items, customer, credit, stock, existing order for {draft.sales_order.CustomerPONo}",
        )

    def facts_request(self, draft: Draft) -> FactsRequest:
        """What a look at Sage needs to know of this order."""
        return FactsRequest(
            pair=self.pair,
            draft=draft,
            decisions=self.decisions,
            resolved=self.resolved if self.resolved_for == buyer_of(draft.customer) else None,
            deleted=self.deleted,
            own_attempt=self.reserved_number if self.create_tried else "",
            reference=reference_in(self.payload),
        )

    def is_own_attempt(self, existing: SalesOrderOnSage) -> bool:
        """Whether this run itself created what stands there, and has not seen yet that it is what was sent.

        Then the create decides, by comparing; an order of another run was compared when it was created.
        """
        return self.create_tried and existing.SalesOrderNo == self.reserved_number

    def outcome_known(self) -> None:
        """Sage has no order: what Clarity sent meanwhile counts now."""
        self.create_tried = False
        change, self.pending = self.pending, None
        if change is not None:
            self.take_change(change)

    async def settle_customer(self, draft: Draft, facts: SageFacts) -> bool:
        """The account to use: the one that matched, or one that the resolution answers. False: start over."""
        if (facts.existing is not None or facts.own_invoiced) and self.customer is not None:
            # Our own attempt stands in Sage: the create compares it, account included.
            return True
        if facts.match.decision is CustomerDecision.MATCHED:
            self.customer, self.customer_by = facts.match.customer, facts.match.by
            self.note(f"Customer {self.customer} by {facts.match.by}")
            return True
        self.customer_answer, self.asked = None, buyer_of(draft.customer)
        search = draft.customer.model_copy(update={"decided_new": self.decisions.create_customer})
        request = CustomerRequest(
            start=CustomerStart(pair=self.pair, search=search, pace=self.pace),
            order_workflow_id=workflow.info().workflow_id,
        )
        while (answer := self.answered()) is None:
            self.step("its customer (CustomerResolutionWorkflow)")
            await self.insist(
                OrderActivities.request_customer,
                request,
                queues.ORDERS,
                "No account in Sage: ask for one customer for all orders of this buyer",
            )
            try:
                await workflow.wait_condition(
                    lambda: (
                        self.customer_answer is not None
                        or self.cancel_requested
                        or bool(self.stop_asked)
                        or self.changed
                    ),
                    timeout=timedelta(seconds=self.pace.customer_deadline),
                    timeout_summary="Waits for its customer; asks again at the deadline",
                )
            except TimeoutError:
                continue
            await self.stop_if_asked()
            if self.changed:
                return False
        if answer.customer is None:
            await self.hold(answer.hold or HoldReason.CUSTOMER_REVIEW, answer.problems)
            return False
        self.note(f"Customer {answer.customer} {'created' if answer.created else 'found'} for this buyer")
        if self.decisions.create_customer:
            # Created once: whatever comes next, this is the buyer's account.
            self.decisions = self.decisions.with_customer(answer.customer)
        known = self.resolved == answer.customer
        self.customer = self.answered_customer = self.resolved = answer.customer
        self.resolved_for = buyer_of(draft.customer)
        # Found, not created: its terms, aliases and ship-tos are not those that the first look assumed.
        return answer.created or known

    def answered(self) -> CustomerResolved | None:
        """What the resolution answered, if it has."""
        return self.customer_answer

    async def create(self, draft: Draft, facts: SageFacts) -> bool:
        """Create the sales order under a reserved number, exactly once (rules 4). False: start over."""
        customer = self.customer
        if customer is None:
            raise RuntimeError("the customer is settled before the order is created")
        sales_order = facts.sales_order.for_customer(customer)
        while True:
            await self.stop_if_asked()
            if self.changed:
                return False
            if not self.reserved_number:
                self.step("a sales order number from Sage")
                self.reserved_number = await self.insist(
                    SageWriteActivities.reserve_sales_order_number,
                    ReserveRequest(pair=self.pair),
                    queues.sage_write(self.pair),
                    "Reserve a SalesOrderNo, so that the create can be repeated safely",
                )
            self.step(f"Sage to create sales order {self.reserved_number}")
            tried_before, self.create_tried = self.create_tried, True
            try:
                result = await self.attempt(
                    SageWriteActivities.create_sales_order,
                    CreateSalesOrder(
                        pair=self.pair,
                        SalesOrderNo=self.reserved_number,
                        sales_order=sales_order,
                        expected=draft.expected,
                        decisions=self.decisions,
                        checks=draft.checks,
                        look_first=tried_before,
                        ship_to_to_add=facts.ship_to_to_add,
                        authenticated=self.is_authenticated(draft),
                        deleted=self.deleted,
                    ),
                    queues.sage_write(self.pair),
                    f"Preview, compare, create {self.reserved_number} for {customer}",
                )
            except ActivityError as error:
                reason, problems = hold_for(error)
                if reason is HoldReason.REJECTED_BY_SAGE:
                    # A refusal is final: nothing was written. Anything else leaves open whether it was.
                    self.outcome_known()
                if not self.changed and not self.stop_asked:
                    await self.hold(reason, problems)
                return False
            if result.number_used:
                self.deleted.append(self.reserved_number)
            if result.number_taken or result.number_used:
                self.note(f"Number {self.reserved_number} cannot be used for this order any more; taking a new one")
                self.reserved_number = ""
            if result.number_taken:
                self.outcome_known()
                continue
            if result.elsewhere:
                self.note(f"Sales order {result.elsewhere} with this web order id has come to stand in Sage meanwhile")
                self.outcome_known()
                return False
            if result.created is None:
                if result.hold is not HoldReason.REJECTED_BY_SAGE and not result.unread:
                    # Found before the create: nothing was written.
                    self.outcome_known()
                if not self.changed and not self.stop_asked:
                    await self.hold_found(result.finding, difference=result.difference)
                return False
            self.adopt(result.created)
            self.note(
                f"Sales order {self.sales_order_no} was invoiced before it could be read back; it is followed as sent"
                if result.unread
                else f"Sales order {self.sales_order_no} created for {customer}"
            )
            self.read_first = result.unread
            self.note_back_orders(result.created)
            if result.created.OrderStatus == "H":
                why = "; ".join(problem.message for problem in result.held_in_sage) or "by a rule of the pair"
                self.note(f"On hold in Sage (OrderStatus H): {why} Release it there: OrderStatus N or O")
                self.alert(AlertKind.HELD_IN_SAGE, f"sales order {self.sales_order_no} is on hold in Sage")
            if result.short_after:
                for problem in result.short_after[:10]:
                    self.note(f"Sold short: {problem.message}")
                self.alert(AlertKind.SHORT, f"sales order {self.sales_order_no} took more stock than there is")
            await self.remember_items()
            return True

    def is_authenticated(self, draft: Draft) -> bool:
        """Whether the buyer surely is this account (rules 6): signed in with its number or our cross-reference, or a
        person said so."""
        return (
            draft.customer.is_authenticated
            or self.decisions.customer is not None
            or self.customer_by == BY_CROSS_REFERENCE_IN_SAGE
        )

    def note_back_orders(self, order: SalesOrderOnSage) -> None:
        """What waits for stock from the start."""
        waiting = [line for line in order.Lines if line.QuantityBackordered > 0]
        if waiting:
            what = ", ".join(f"{line.QuantityBackordered.normalize():f} of {line.ItemCode}" for line in waiting[:10])
            self.note(f"Back-ordered from the start: {what}")

    async def remember_items(self) -> None:
        """Choices of items that a person wants kept: a general alias each, in Sage."""
        for choice in self.decisions.items:
            if not choice.remember:
                continue
            self.step(f"Sage to remember {choice.sku} as {choice.ItemCode}")
            result = await self.insist(
                SageWriteActivities.remember_alias,
                RememberAlias(pair=self.pair, AliasItemNo=choice.sku, ItemCode=choice.ItemCode, customer=self.customer),
                queues.sage_write(self.pair),
                f"Sage: {choice.sku} is an alias of {choice.ItemCode} from now on"[:190],
            )
            self.note(
                f"{choice.sku} is an alias of {choice.ItemCode} in Sage from now on"
                + (f", for customer {self.customer}" if result.of_customer else "")
                if result.stored
                else f"The alias {choice.sku} was not stored in Sage: {result.why[:200]}"
            )

    def adopt(self, order: SalesOrderOnSage) -> None:
        """This is our sales order: its number, account, and the map from Clarity's items to Sage's lines."""
        self.sales_order_no = order.SalesOrderNo
        self.customer = CustomerKey(ARDivisionNo=order.ARDivisionNo, CustomerNo=order.CustomerNo)
        self.lines = [line for line in order.Lines if line.ItemType is not SageItemType.COMMENT]
        self.invoices = {
            number: invoice for number, invoice in self.invoices.items() if invoice.SalesOrderNo == order.SalesOrderNo
        }
        if self.standing is not None and self.standing.SalesOrderNo != order.SalesOrderNo:
            self.standing = None
        change, self.pending = self.pending, None
        if change is not None:
            self.tell_too_late(change.event)

    async def acknowledge(self) -> None:
        """Clarity: status Processing, external reference, the buyer's cross-reference."""
        self.step("Clarity to take the sales order number")
        await self.insist(
            ClarityActivities.acknowledge_to_clarity,
            self.acknowledgement(),
            queues.clarity(self.pair),
            f"Clarity: Processing, external reference {self.sales_order_no}",
            again=self.acknowledgement,
        )

    def acknowledgement(self) -> Acknowledge:
        """What Clarity is told about the sales order, from the order as it is now."""
        customer, draft = self.customer, self.transformed.draft if self.transformed else None
        if customer is None or draft is None:
            raise RuntimeError("an order is acknowledged after its sales order is known")
        return Acknowledge(
            pair=self.pair,
            order_id=self.order_id,
            SalesOrderNo=self.sales_order_no,
            customer=customer,
            clarity_customer_id=draft.customer.clarity_id if self.may_be_remembered() else "",
        )

    def may_be_remembered(self) -> bool:
        """Whether the buyer's later orders may go to this account by themselves (rules 6): not by one decision of a
        person about one order, unless it was said so."""
        if self.customer is not None and self.customer == self.answered_customer:
            return True
        return may_be_remembered(self.customer_by, said=self.decisions.remember_customer)

    async def follow_shipments(self, *, read_first: bool) -> None:
        """Wait for shipments and tell Clarity each package, until everything is shipped and posted.

        The wait has no deadline of its own; one daily timer, outside of it, makes the order read Sage itself.
        """
        self.keep(self.read_daily())
        self.read_due = read_first
        while True:
            seen = self.news
            if self.read_due:
                await self.read_daily_shipments()
            await self.understand()
            await self.tell_clarity()
            await self.end_if_cancelled()
            if self.is_complete() and self.news == seen:
                return
            self.show_waiting()
            await workflow.wait_condition(
                lambda seen=seen: self.news > seen or self.read_due or self.cancel_requested  # type: ignore[misc]
            )
            self.examined = ""
            await self.stop_if_asked()

    def is_complete(self) -> bool:
        """Complete by Sage's word (rules 3), or shipped and waited for the posting as long as the pair allows."""
        if self.progress() is OrderProgress.COMPLETE:
            return True
        if self.shipped_at is None:
            return False
        if workflow.now() - self.shipped_at < timedelta(days=self.pace.settle_days):
            return False
        self.note(f"Shipped {self.pace.settle_days:g} days ago and not posted in Sage: ended without the invoices")
        return True

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

    # ---- what Sage says, believed only when it says so twice ------------------------------------------------------

    async def understand(self) -> None:
        """Learn of lines that people added; examine what is gone: quantities, the order, an unposted invoice.

        During a Sales Journal update rows are briefly in neither place. So what is gone is believed only when two
        reads agree, with no unposted invoice outstanding that may still explain it (rules 3).
        """
        if unknown_lines(self.lines, self.own_invoices(), self.standing):
            await self.read_shipments()
        wait = timedelta(seconds=self.pace.agree_time)
        for _ in range(READS_UNTIL_AGREED):
            doubt = self.doubt()
            if not doubt or doubt == self.examined:
                return
            first = await self.read_shipments()
            if not self.doubt():
                return
            await workflow.sleep(wait, summary=f"Gone from Sage: {doubt[:120]}; look again before believing it")
            second = await self.read_shipments()
            agreed = first.model_copy(update={"added_lines": []}) == second.model_copy(update={"added_lines": []})
            if agreed and not second.outstanding:
                await self.believe()
            elif agreed:
                # An invoice is still to be posted: whatever becomes of it, the poller tells.
                self.examined = self.doubt()
            wait *= 2
        self.examined = self.doubt()

    def doubt(self) -> str:
        """What is gone and not yet believed, in words; empty when nothing is."""
        gone = [
            f"{quantity.normalize():f} of {key}"
            for key, quantity in vanished(self.item_progress()).items()
            if quantity > self.believed.get(key, 0)
        ]
        gone += [f"invoice {number}" for number in self.missing_invoices()]
        standing = self.standing
        if standing is not None and not standing.live and standing.history_status != CLOSED and not self.gone_confirmed:
            gone.append(f"sales order {standing.SalesOrderNo}")
        return ", ".join(gone)

    def missing_invoices(self) -> list[str]:
        """Unposted invoices that Sage does not show any more, by the poller's word or by the order's own read."""
        missing = set(self.standing.missing_invoices) if self.standing is not None else set()
        unposted = [invoice.InvoiceNo for invoice in self.own_invoices() if not invoice.posted]
        if self.reading is not None and self.read_at == self.news:
            found = {invoice.InvoiceNo for invoice in self.reading.invoices}
            missing |= set(unposted) - found - set(self.reading.outstanding)
        return [number for number in unposted if number in missing]

    async def believe(self) -> None:
        """Two reads agree: invoices that are gone are void, quantities that are gone are cancelled."""
        for number in self.missing_invoices():
            await self.void(number)
        self.gone_confirmed = self.standing is not None and not self.standing.live
        self.believed = vanished(self.item_progress())
        for line in self.item_progress():
            if line.key in self.believed:
                self.note(f"{line.cancelled.normalize():f} of {line.ItemCode} will not come: {self.reason_of(line)}")

    def reason_of(self, line: LineProgress) -> str:
        """Why a quantity will not come."""
        reasons = self.reading.reasons if self.reading is not None else {}
        return cancel_reason(line, reasons, self.standing, self.own_invoices())

    async def void(self, invoice_no: str) -> None:
        """An invoice was deleted before it was posted: it shipped nothing; Clarity takes its packages back."""
        del self.invoices[invoice_no]
        self.note(f"Invoice {invoice_no} was deleted in Sage before it was posted: its shipment is void")
        if self.told.pop(invoice_no, None) is None:
            return
        reopen = self.shipped_told and self.progress() in (OrderProgress.OPEN, OrderProgress.PARTIALLY_SHIPPED)
        self.step(f"Clarity to void the shipment of invoice {invoice_no}")
        await self.insist(
            ClarityActivities.void_shipment,
            VoidShipment(
                pair=self.pair,
                order_id=self.order_id,
                SalesOrderNo=self.sales_order_no,
                InvoiceNo=invoice_no,
                reopen=reopen,
            ),
            queues.clarity(self.pair),
            f"Clarity: void the shipment of invoice {invoice_no}" + (", status Processing" if reopen else ""),
            limit=retry.several_calls(self.pace),
        )
        self.references.pop(invoice_no, None)
        if reopen:
            self.shipped_told, self.shipped_at = False, None

    async def end_if_cancelled(self) -> None:
        """Nothing shipped and nothing will: with a reason from Sage the order ends; an order that simply disappeared
        is held, because somebody may have deleted it by mistake."""
        if self.progress() is not OrderProgress.CANCELLED:
            return
        lines = self.item_progress()
        reasons = self.reading.reasons if self.reading is not None else {}
        gone = self.standing is not None and not self.standing.live
        if gone and not all(any(reasons.get(key) for key in line.LineKeys) for line in lines):
            problem = Problem(
                field=f"SO_SalesOrder.{self.sales_order_no}",
                message="The sales order was deleted in Sage without a cancel reason, and nothing of it was shipped.",
                suggestion="On purpose: release with approve, and Clarity is told Cancelled. By mistake: enter it "
                "again in Sage under this number, then release with retry.",
            )
            if await self.hold(HoldReason.DELETED_IN_SAGE, [problem]) is ReleaseAction.RETRY:
                self.believed, self.gone_confirmed, self.read_due = {}, False, True
                return
        await self.tell_cancelled()
        raise OrderEnds("cancelled in Sage: " + "; ".join(dict.fromkeys(self.reason_of(line) for line in lines))[:300])

    async def read_daily(self) -> None:
        """Once a day the order reads its own shipments: a lost signal costs a day, never a shipment."""
        while True:
            await workflow.sleep(
                timedelta(seconds=self.pace.daily_read), summary="Daily: the order reads its own shipments in Sage"
            )
            self.read_due = True

    async def read_daily_shipments(self) -> None:
        """The daily look of the order's own; says so when the invoices are not posted for too long."""
        self.read_due = False
        await self.read_shipments()
        if self.shipped_at is not None and self.progress() is not OrderProgress.COMPLETE:
            overdue = workflow.now() - self.shipped_at
            if overdue >= timedelta(days=self.pace.not_posted_alert_days):
                self.alert(AlertKind.NOT_POSTED, f"shipped {overdue.days} days ago and not posted in Sage")

    async def read_shipments(self) -> ShipmentsRead:
        """Read this order's invoices, lines and standing from Sage; they join what the signals brought."""
        self.step("Sage's shipments of this order (ODBC)")
        before = self.news
        read = await self.insist(
            SageReadActivities.read_shipments,
            ReadShipments(
                pair=self.pair,
                SalesOrderNo=self.sales_order_no,
                known_lines=[line.LineKey for line in self.lines],
            ),
            queues.sage_read(self.pair),
            f"Read the shipments of {self.sales_order_no} in Sage",
        )
        self.reading, self.standing, self.read_at = read, read.standing, before
        self.gone_confirmed = self.gone_confirmed and not read.standing.live
        self.lines = adopt_lines(self.lines, read.added_lines)
        for line in [line for line in read.added_lines if line.counts]:
            self.note(f"Line {line.LineKey} ({line.ItemCode}) was added to the order in Sage")
        for invoice in read.invoices:
            self.take(invoice)
        return read

    def take(self, invoice: ShipmentInvoice) -> bool:
        """Keep the latest reading of an invoice; False when it brings nothing new. What is posted stays posted."""
        known = self.invoices.get(invoice.InvoiceNo)
        if known is not None and ((known.posted and not invoice.posted) or known == invoice):
            return False
        if known is not None and not all(line.LineKey for line in invoice.Lines):
            # Posted lines lose their order line where no history is kept; it was known before.
            keys = [(line.ItemCode, line.QuantityShipped) for line in known.Lines]
            if keys == [(line.ItemCode, line.QuantityShipped) for line in invoice.Lines]:
                invoice = invoice.model_copy(update={"Lines": known.Lines})
        self.invoices[invoice.InvoiceNo] = invoice
        return True

    # ---- what Clarity is told -------------------------------------------------------------------------------------

    def packages(self) -> list[str]:
        """External references that Clarity knows."""
        return [reference for references in self.references.values() for reference in references]

    async def tell_clarity(self) -> None:
        """What will not come; each package that Clarity does not know yet; with the very last one, the status."""
        shipped = self.progress() in (OrderProgress.SHIPPED, OrderProgress.COMPLETE)
        if shipped or self.cancelled:
            await self.tell_cancelled()
        news = [invoice for invoice in self.own_invoices() if self.is_news(invoice)]
        if shipped and not news and not self.shipped_told:
            # Sage's order moved on without a new package: the last one carries the status.
            news = self.own_invoices()[-1:]
        for invoice in news:
            is_last = shipped and invoice is news[-1]
            await self.post_shipment(
                PostShipment(
                    pair=self.pair, order_id=self.order_id, lines=self.lines, invoice=invoice, order_shipped=is_last
                )
            )
            self.shipped_told = self.shipped_told or is_last
        if any(self.is_news(invoice) for invoice in self.own_invoices()):
            # A signal brought more meanwhile: the order is shipped once Clarity knows that, too.
            return
        progress = self.progress()
        state = PROGRESS_STATE[progress]
        if state is OrderState.SHIPPED and self.shipped_at is None:
            self.shipped_at = workflow.now()
        if state is not self.state and progress is not OrderProgress.CANCELLED:
            self.become(state)

    def is_news(self, invoice: ShipmentInvoice) -> bool:
        """Whether Clarity does not know one of its packages, or knows it otherwise."""
        content = details.content_of(invoice)
        return bool(content) and self.told.get(invoice.InvoiceNo) != content

    async def post_shipment(self, request: PostShipment) -> None:
        """Tell Clarity the packages of one invoice."""
        number = request.invoice.InvoiceNo
        self.step(f"Clarity to take the shipment of invoice {number}")
        posted = await self.insist(
            ClarityActivities.post_shipment,
            request,
            queues.clarity(self.pair),
            details.shipment_summary(request),
            limit=retry.several_calls(self.pace),
        )
        self.told[number] = details.content_of(request.invoice)
        self.references[number] = posted.references
        if posted.references:
            self.note(f"Clarity was told the shipment of invoice {number} ({len(posted.references)} package(s))")

    async def tell_cancelled(self) -> None:
        """The quantities that will not come, per item, before the order is shipped; accounting owes the refund."""
        paid = self.captured() > 0
        items = [
            CancelledItem(
                orderItemId=line.item_id,
                quantity=min(line.cancelled, self.believed[line.key]),
                reason=self.reason_of(line),
                refundRequested=paid,
            )
            for line in self.item_progress()
            if line.item_id and line.cancelled > 0 and line.key in self.believed
        ]
        quantities = [(item.orderItemId, item.quantity) for item in items]
        if quantities == [(item.orderItemId, item.quantity) for item in self.cancelled]:
            return
        summary = ", ".join(f"{item.quantity.normalize():f} of item {item.orderItemId}" for item in items)
        self.step("Clarity to take the cancelled quantities")
        await self.insist(
            ClarityActivities.record_cancelled_items,
            RecordCancelled(pair=self.pair, order_id=self.order_id, items=items),
            queues.clarity(self.pair),
            f"Clarity: will not come: {summary or 'nothing any more'}"[:190],
        )
        self.cancelled = items
        self.note(f"Clarity was told that this will not come: {summary or 'nothing any more'}")
        if paid and items:
            self.alert(AlertKind.REFUND_DUE, f"refund due, already paid: {summary}")

    def captured(self) -> Decimal:
        """What the buyer has paid, gift cards included, less refunds; as of the version that was worked on."""
        draft = self.transformed.draft if self.transformed else None
        if draft is None:
            return Decimal(0)
        return draft.sales_order.DepositAmt if draft.expected.captured is None else draft.expected.captured

    async def refund_if_paid(self, why: str) -> None:
        """An order that ends without goods, and is paid by its latest version: accounting owes the buyer the money.

        Waited for: an alert that is under way when the workflow ends is never delivered.
        """
        owed = captured_in(self.payload)
        if owed > 0 and not self.cancelled:
            what = f"refund due, already paid: {owed:,.2f} {currency_in(self.payload)}".rstrip()
            self.note(f"Accounting: {what} ({why})")
            await self.raise_alert(AlertKind.REFUND_DUE, what)

    async def record_invoices(self) -> None:
        """The posted invoices on Clarity's order."""
        self.step("Clarity to take the invoice references")
        posted = [invoice for invoice in self.own_invoices() if invoice.posted]
        if not posted:
            return
        await self.insist(
            ClarityActivities.record_invoices,
            RecordInvoices(pair=self.pair, order_id=self.order_id, invoices=posted),
            queues.clarity(self.pair),
            "Clarity: invoice " + ", ".join(invoice.InvoiceNo for invoice in posted)[:150],
        )

    async def cancel(self) -> None:
        """A business cancellation completes the workflow; Clarity is told."""
        self.cancelling = True
        self.step("Clarity to take the cancellation")
        await self.insist(
            ClarityActivities.cancel_at_clarity,
            CancelAtClarity(pair=self.pair, order_id=self.order_id),
            queues.clarity(self.pair),
            "Clarity: Cancelled",
            may_cancel=False,
        )
        self.become(OrderState.CANCELLED, *self.unused_numbers())

    # ---- holds ----------------------------------------------------------------------------------------------------

    async def attempt(
        self,
        step: Callable[[Any, Request], Awaitable[Result]],
        request: Request,
        queue: str,
        summary: str,
        limit: timedelta | None = None,
    ) -> Result:
        """One step on an outside system's queue: outages are waited out, a final answer raises ActivityError.

        An order that a correction or a newer version expedites goes before the others from its next step on.
        A step with several calls heartbeats between them, so that a killed worker costs one call's time, not all.
        """
        return await workflow.execute_activity_method(
            step,
            request,
            task_queue=queue,
            start_to_close_timeout=limit or retry.one_call(self.pace),
            heartbeat_timeout=retry.one_call(self.pace) if limit is not None else None,
            retry_policy=retry.outside_system(self.pace),
            summary=summary,
            priority=self.priority(),
        )

    def priority(self) -> Priority:
        """Of the order's steps: its workflow's own, unless it was expedited later."""
        expedited = self.transformed is not None and self.transformed.expedited
        return priority_of(self.pair, expedited=True) if expedited else Priority.default

    async def insist(
        self,
        step: Callable[[Any, Request], Awaitable[Result]],
        request: Request,
        queue: str,
        summary: str,
        *,
        limit: timedelta | None = None,
        may_cancel: bool = True,
        again: Callable[[], Request] | None = None,
    ) -> Result:
        """A step that must succeed: what the outside system refuses is held, and repeated when released.

        `again` makes the request anew from the order as a correction left it.
        """
        while True:
            try:
                return await self.attempt(step, request, queue, summary, limit)
            except ActivityError as error:
                reason, problems = hold_for(error)
                try:
                    action = await self.hold(reason, problems)
                except OrderEnds:
                    if may_cancel:
                        raise
                    continue
                if action is ReleaseAction.CORRECT and again is not None:
                    await self.retransform()
                    request = again()

    async def retransform(self) -> None:
        """After a correction of an order that Sage has already: only what is told to Clarity follows it."""
        corrected = await self.transform()
        if corrected.draft is None:
            self.note(f"The corrected order cannot be transformed: {corrected.problems[0].message}; it stays as it was")
        else:
            self.transformed = corrected

    async def hold_found(self, finding: Finding, *, difference: Decimal = Decimal(0)) -> ReleaseAction:
        """The hold that a finding asks for."""
        return await self.hold(finding.reason, finding.problems, finding.items, finding=finding, difference=difference)

    async def hold(
        self,
        reason: HoldReason,
        problems: list[Problem],
        items: list[str] | None = None,
        *,
        finding: Finding | None = None,
        difference: Decimal = Decimal(0),
    ) -> ReleaseAction:
        """Wait for a person. Returns what was decided; raises OrderEnds on `cancel` when Sage has no order."""
        before = self.state
        self.holds += 1
        self.held = HoldView(
            hold=self.holds,
            reason=reason,
            since=workflow.now(),
            problems=problems[:50],
            items=(items or [])[:200],
            shortages=finding.shortages if finding else [],
            no_back_orders=finding.no_back_orders[:200] if finding else [],
            choices=dict(list(finding.choices.items())[:20]) if finding else {},
            check=finding.check if finding else "",
            difference=difference,
            actions=actions_for(reason),
        )
        self.decision = None
        self.note(f"Held ({reason}): {'; '.join(problem.message for problem in problems)[:300]}")
        self.become(
            OrderState.HELD,
            attributes.HOLD_REASON.value_set(reason.value),
            attributes.HELD_ITEMS.value_set(attributes.held_items(items or [])),
        )
        self.alert(AlertKind.HOLD, f"held: {reason.value}")
        release = (await self.wait_for_release(self.held)).release
        self.become(before, attributes.HOLD_REASON.value_unset(), attributes.HELD_ITEMS.value_unset())
        if release.action is ReleaseAction.CANCEL:
            await self.end_unless_in_sage(f"cancelled by {release.by} (unverified) while held for {reason.value}")
        return release.action

    async def wait_for_release(self, hold: HoldView) -> Checked:
        """The wait itself: a reminder at every deadline until somebody decides.

        An order out of stock looks again by itself when stock is said to have come, and once soon after its hold
        began: the sweep that tells lists held orders, and listings lag. The looks run beside the wait: a decision never
        waits for Sage.
        """
        if hold.reason is HoldReason.OUT_OF_STOCK:
            self.keep(self.second_look(hold.hold))
        while self.decision is None:
            try:
                await workflow.wait_condition(
                    lambda: self.decision is not None,
                    timeout=timedelta(seconds=self.pace.hold_reminder),
                    timeout_summary=f"Held ({hold.reason.value}): reminder when nobody has decided",
                )
            except TimeoutError:
                if self.held is not None:
                    hold = self.held = self.held.model_copy(update={"reminders": self.held.reminders + 1})
                    self.alert(AlertKind.REMINDER, f"still held: {hold.reason.value} (reminder {hold.reminders})")
                    self.show_waiting()
        decision, self.decision = self.decision, None
        return decision

    async def second_look(self, number: int) -> None:
        """Soon after a hold for stock began: the sweep may have listed the held orders just before."""
        await workflow.sleep(
            timedelta(seconds=self.pace.stock_second_look), summary="Held for stock: look once more soon"
        )
        if self.held is not None and self.held.hold == number:
            self.want_look("the second look")

    def want_look(self, by: str) -> None:
        """Look at stock now, or once more after the look that runs: it may have missed what just came."""
        if self.looking:
            self.look_wanted = by
        else:
            self.looking = True
            self.keep(self.look_at_stock(by))

    async def look_at_stock(self, by: str) -> None:
        """While held for stock: go on if Sage can ship now; else stay held, without another alert."""
        try:
            while by and self.held is not None and self.held.reason is HoldReason.OUT_OF_STOCK:
                await self.look_once(self.held.hold, by)
                by, self.look_wanted = self.look_wanted, ""
        finally:
            self.looking = False

    async def look_once(self, number: int, by: str) -> None:
        """One look, bounded: when Sage does not answer, the next sweep or a person comes."""
        draft = self.transformed.draft if self.transformed else None
        if draft is None:
            return
        try:
            facts = await workflow.execute_activity_method(
                SageReadActivities.read_sage_facts,
                self.facts_request(draft),
                task_queue=queues.sage_read(self.pair),
                start_to_close_timeout=retry.one_call(self.pace),
                schedule_to_close_timeout=retry.one_call(self.pace) * LOOK_ATTEMPTS,
                retry_policy=retry.outside_system(self.pace),
                summary=f"Stock, once more ({by})",
            )
        except ActivityError:
            return
        if self.held is None or self.held.hold != number or self.decision is not None:
            return
        still = next((finding for finding in facts.findings if finding.reason is HoldReason.OUT_OF_STOCK), None)
        if still is None:
            self.look_again(by)
            return
        self.held = self.held.model_copy(update={"problems": still.problems[:50], "shortages": still.shortages})
        self.show_waiting()

    async def end_unless_in_sage(self, why: str) -> None:
        """Cancelling ends the order only when Sage has none: never an order in Sage that nobody follows."""
        if self.standing is not None and self.progress() is OrderProgress.CANCELLED:
            return
        if self.create_tried and not self.sales_order_no:
            draft = self.transformed.draft if self.transformed else None
            facts = await self.look_up(draft) if draft is not None else None
            if facts is not None and facts.own_invoiced:
                self.note(f"Not cancelled: Sage has invoiced sales order {self.reserved_number}")
                return
            if facts is not None and facts.existing is not None:
                self.adopt(facts.existing)
            else:
                self.create_tried = False
        if not self.sales_order_no:
            raise OrderEnds(why)
        self.note(f"Not cancelled: sales order {self.sales_order_no} stands in Sage; cancel it there")

    async def stop_if_asked(self) -> None:
        """Between steps: honour Clarity's cancellation, turn a cancel request from outside into a hold."""
        if self.stop_asked and not self.sales_order_no:
            await self.end_unless_in_sage(self.stop_asked)
        if self.cancel_requested:
            self.cancel_requested = False
            await self.hold(
                HoldReason.ORDER_CHANGED,
                [
                    Problem(
                        field="workflow",
                        message="Cancellation of this workflow was requested (Web UI or CLI).",
                        suggestion="Release with retry or approve to go on as if nobody had asked, or with cancel to "
                        "end an order that Sage has not.",
                    )
                ],
            )

    # ---- messages -------------------------------------------------------------------------------------------------

    @workflow.update(name="release_hold", description="Decide on a held order: retry or cancel; needs `by`")
    def release_hold(self, release: Any = None) -> ReleaseAccepted:
        """Support's decision, from API, console or CLI: validated, and answered as soon as it is recorded."""
        return self.accept(self.check_release(release))

    @release_hold.validator
    def validate_release_hold(self, release: Any = None) -> None:
        """Refuse what makes no sense, with the reason; nothing is written to history then."""
        self.check_release(release)

    @workflow.signal(
        name="release_hold", description="As the update of the same name; for bulk release. Needs `reason`"
    )
    def release_hold_signal(self, release: Any = None) -> None:
        """Support's decision from the Web UI or in bulk: what does not fit is kept in the trail as ignored."""
        try:
            checked = self.check_release(release)
            if checked.release.reason is None:
                raise ApplicationError("the signal needs `reason`, the HoldReason meant")
        except ApplicationError as error:
            self.note(f"A release by signal was ignored: {error.message[:300]}")
            return
        self.accept(checked)

    def check_release(self, release: Any) -> Checked:
        """The release and what it decides; raises ApplicationError that says what to send instead."""
        draft = self.transformed.draft if self.transformed else None
        lines = draft.sales_order.Lines if draft is not None else []
        try:
            return check_release(
                parse_release(release),
                self.held if self.decision is None else None,
                sales_order_no=self.sales_order_no,
                payload=self.payload,
                skus={line.UDF_WEB_LINE_ID: line.sku for line in lines if line.UDF_WEB_LINE_ID},
            )
        except ReleaseRefused as refusal:
            raise ApplicationError(str(refusal), type="ReleaseRefused", non_retryable=True) from None

    def accept(self, checked: Checked) -> ReleaseAccepted:
        """Record the decision and clear the hold at once, so that a second operator is refused.

        What was decided counts from here on: a newer version from Clarity that comes before the order goes on
        replaces it, and is never replaced by a correction of the older one.
        """
        release, hold = checked.release, checked.hold
        self.decision = checked
        self.held = None
        self.decisions = decided(self.decisions, checked)
        if checked.corrected is not None:
            self.payload = checked.corrected.payload
        self.note(
            f"Hold {hold.hold} ({hold.reason.value}) released with {release.action.value} "
            f"by {release.by} (unverified)" + (f": {release.note}" if release.note else ""),
            decision=True,
        )
        changes = checked.corrected.changes if checked.corrected is not None else []
        for change in changes[:20]:
            self.note(f"Corrected {change}", decision=True)
        return ReleaseAccepted(
            order_id=self.order_id, hold=hold.hold, reason=hold.reason, action=release.action, changes=changes[:200]
        )

    @workflow.signal(description="From the Sage poller: one shipment invoice and where the order stands")
    def shipment(self, seen: ShipmentSeen | None = None) -> None:
        """Repeats change nothing; may come before the order knows its own number."""
        if seen is None or self.sales_order_no not in ("", seen.invoice.SalesOrderNo):
            return
        news = self.take(seen.invoice)
        if news or self.standing != seen.standing:
            self.standing = seen.standing
            self.news += 1

    @workflow.signal(description="From the Sage poller: where the sales order stands, without a shipment")
    def sales_order_changed(self, standing: SalesOrderStanding | None = None) -> None:
        """The order changed or left Sage's live orders; or an unposted invoice of it is gone."""
        if standing is not None and self.sales_order_no in ("", standing.SalesOrderNo) and self.standing != standing:
            self.standing = standing
            self.news += 1

    @workflow.signal(description="From CustomerResolutionWorkflow: the account, or why there is none")
    def customer_resolved(self, answer: CustomerResolved | None = None) -> None:
        """An answer that comes after the order went on is not needed any more."""
        if answer is not None and self.customer_answer is None and answer.asked in ("", self.asked):
            self.customer_answer = answer

    @workflow.signal(description="From the inventory sweep: look again, stock came. A hint, not a promise")
    def stock_available(self) -> None:
        """Wakes an order held out of stock; the order checks again."""
        if self.held is not None and self.held.reason is HoldReason.OUT_OF_STOCK:
            self.want_look("stock_available")

    @workflow.signal(description="From Clarity's webhooks: a later version of the order, or its cancellation")
    def clarity_order_changed(self, change: ClarityOrderChanged | None = None) -> None:
        """Before the sales order exists the new version is what gets created; afterwards people are told.

        While it is unknown whether Sage has the order (a create is under way), the change waits for that.
        """
        if change is None or not self.is_news_from_clarity(change):
            return
        self.cancelled_at_clarity |= change.event == EventType.ORDER_CANCELLED
        if self.sales_order_no:
            self.digest = change.digest
            self.tell_too_late(change.event)
        elif self.create_tried:
            self.pending = change
            self.note(f"Clarity sent {change.event} while Sage was creating the order; it counts once that is known")
        else:
            self.take_change(change)

    def is_news_from_clarity(self, change: ClarityOrderChanged) -> bool:
        """Not the version in force, not the first one delivered again, not one that a newer one has overtaken."""
        if change.event == EventType.ORDER_CANCELLED:
            return not self.cancelling and not self.stop_asked
        if change.digest == (self.pending.digest if self.pending is not None else self.digest):
            return False
        if change.event == EventType.ORDER_CREATED and change.digest == self.first_digest:
            return False
        if is_older(change.payload, self.pending.payload if self.pending is not None else self.payload):
            self.note("Clarity sent an older version of the order; the newer one stays")
            return False
        return self.pending is None or self.pending.event != EventType.ORDER_CANCELLED

    def take_change(self, change: ClarityOrderChanged) -> None:
        """Sage has no order: cancelled is cancelled, and a newer version replaces the one before."""
        self.digest = change.digest
        if change.event == EventType.ORDER_CANCELLED:
            self.stop_asked = "cancelled at Clarity before Sage knew the order"
            if says_what_was_paid(change.payload):
                self.payload = change.payload
            self.note("Clarity cancelled the order")
        else:
            self.payload, self.changed = change.payload, True
            self.decisions, self.resolved, self.answered_customer = Decisions(), None, None
            self.note("Clarity sent a newer version of the order; it replaces the one before")
        self.look_again(change.event)

    def tell_too_late(self, event: str) -> None:
        """Sage has the order: people are told."""
        self.note(f"Clarity sent {event} after the sales order was created: change it in Sage by hand")
        self.alert(AlertKind.ORDER_CHANGED, f"{event} came after the sales order was created")

    def look_again(self, by: str) -> None:
        """A held order whose reason may be gone tries again by itself."""
        if self.held is None or self.decision is not None:
            return
        # Only a person, or Clarity's own cancellation, answers a cancel request.
        if self.held.reason is not HoldReason.ORDER_CHANGED or by == EventType.ORDER_CANCELLED:
            self.accept(Checked(Release(action=ReleaseAction.RETRY, by=by), self.held))

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

    # ---- what people see ------------------------------------------------------------------------------------------

    def become(self, state: OrderState, *updates: SearchAttributeUpdate[Any]) -> None:
        """A real transition: state and its companions in one upsert, and the details page."""
        self.state = state
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
        self.step(details.waits_for(self.state, self.held, self.sales_order_no))

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
