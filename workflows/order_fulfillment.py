"""One web order, from Clarity's webhook to Sage 100 and back as shipments: `OrderFulfillmentWorkflow`.

In: `OrderStart`, Clarity's payload as delivered. Out: `OrderOutcome`. The process, top to bottom, is `fulfil`:

    transform → look up in Sage → customer → create the sales order exactly once → acknowledge to Clarity
    → wait for shipments (days, weeks) → tell Clarity each package → posted → complete

Nothing here fails for a business reason. What cannot go on is *held*: a wait that a person ends with `release_hold`.
Signals are the fast path and reading is the truth: the order reads its own shipments once a day, and at once when it
found its sales order already in Sage. Beneath stand `order_shipments` (after the sales order exists), `order_changes`
(what Clarity changes), `order_holds` (steps and holds) and `order_record` (what is known and shown).
"""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.adoption import AdoptionActivities
from activities.clarity import ClarityActivities
from activities.orders import OrderActivities
from activities.sage_write import SageWriteActivities
from contracts import queues
from contracts import search_attributes as attributes
from contracts.failures import hold_for
from contracts.golive import LinkSalesOrder
from contracts.messages import (
    Acknowledge,
    AlertKind,
    CancelAtClarity,
    CreateSalesOrder,
    CustomerRequest,
    CustomerResolved,
    CustomerStart,
    OrderOutcome,
    OrderStart,
    RememberAlias,
    ReserveRequest,
)
from contracts.search_attributes import OrderState
from mappings.customer_match import BY_CROSS_REFERENCE_IN_SAGE, buyer_of, may_be_remembered
from mappings.payments import captured_in, currency_in
from mappings.problems import HoldReason
from mappings.sales_order import (
    CustomerDecision,
    Draft,
    SageFacts,
    SalesOrderOnSage,
)
from workflows.order_record import OrderEnds
from workflows.order_shipments import OrderShipments


@workflow.defn(name="OrderFulfillmentWorkflow")
class OrderFulfillmentWorkflow(OrderShipments):
    """The life of one order; see the module."""

    @workflow.init
    def __init__(self, start: OrderStart) -> None:
        """Signals and updates may arrive before `run`: everything they touch is set in `OrderRecord`."""
        super().__init__(start)

    @workflow.run
    async def run(self, start: OrderStart) -> OrderOutcome:
        """Carry the order through its life; a cancel request from outside becomes a hold, never a lost order."""
        if start.forced:
            self.note(f"Started though it may have been here before, by {start.forced}", decision=True)
        if start.adopts:
            self.note(f"Taken over when the pair went live, with sales order {start.adopts} that people typed")
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

    async def fulfil(self) -> None:
        """The happy path, and nothing else; each step holds by itself when it cannot go on."""
        found = await self.bring_to_sage()
        if self.stop_asked:
            await self.heed_change()
        await self.acknowledge()
        number = attributes.SALES_ORDER_NO.value_set(attributes.scalar(self.sales_order_no))
        self.become(OrderState.OPEN, number, *self.unused_numbers())
        await self.follow_shipments(read_first=found)
        await self.record_invoices()
        await self.came_too_late()

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
                if self.changed:
                    # It crossed the look that found the order.
                    self.pending, self.changed = self.latest, False
                return True
            if self.adopts and facts.existing is None:
                if await self.link(facts):
                    return True
                continue
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

    async def link(self, facts: SageFacts) -> bool:
        """Going live: the sales order that people typed becomes this order's own; nothing is created. False: start
        over."""
        self.step(f"Sage to link sales order {self.adopts}")
        answer = await self.insist(
            AdoptionActivities.link_sales_order,
            LinkSalesOrder(pair=self.pair, SalesOrderNo=self.adopts, sales_order=facts.sales_order),
            queues.sage_write(self.pair),
            f"Sage: the typed order {self.adopts} is this web order's",
        )
        if answer.order is None:
            if self.stop_asked:
                await self.end_unless_in_sage(self.stop_asked)
            elif not self.changed:
                await self.hold(HoldReason.REJECTED_BY_SAGE, answer.problems)
            return False
        self.adopt(answer.order)
        self.customer_by = facts.match.by if facts.match.customer == self.customer else ""
        self.note(f"Sales order {self.sales_order_no} was typed by people before the pair went live; it is followed")
        for remark in answer.remarks:
            self.remark(remark)
        if self.changed:
            # It crossed the link.
            self.pending, self.changed = self.latest, False
        return True

    def is_own_attempt(self, existing: SalesOrderOnSage) -> bool:
        """Whether this run itself created what stands there, and has not seen yet that it is what was sent.

        Then the create decides, by comparing; an order of another run was compared when it was created.
        """
        return self.create_tried and existing.SalesOrderNo == self.reserved_number

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
                # What came meanwhile counts before anything is created.
                continue
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
            self.sent = sales_order
            self.note(
                f"Sales order {self.sales_order_no} was invoiced before it could be read back; it is followed as sent"
                if result.unread
                else f"Sales order {self.sales_order_no} created for {customer}"
            )
            self.read_first = result.unread
            self.note_back_orders(result.created)
            if result.created.OrderStatus == "H":
                self.on_hold_in_sage = True
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

    async def refund_if_paid(self, why: str) -> None:
        """An order that ends without goods, and is paid by its latest version: accounting owes the buyer the money.

        Waited for: an alert that is under way when the workflow ends is never delivered.
        """
        owed = captured_in(self.payload)
        if owed > 0 and not self.cancelled:
            what = f"refund due, already paid: {owed:,.2f} {currency_in(self.payload)}".rstrip()
            self.note(f"Accounting: {what} ({why})")
            await self.raise_alert(AlertKind.REFUND_DUE, what)

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
