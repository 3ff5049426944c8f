"""What the buyer or the store change after the order came: `OrderChanges`.

In: signals `clarity_order_changed`. Out: before Sage has the order, the newer version is what is created, and cancelled
is cancelled. Afterwards the sales order is changed as far as Sage, the warehouse and people's own changes allow, or
cancelled when nothing of it is shipped; the rest is held `order_changed`, with the versions side by side.

Between steps only: never inside a create or a change whose outcome is unknown.
"""

from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.sage_change import SageChangeActivities
from contracts import queues, retry
from contracts.failures import hold_for
from contracts.messages import (
    AlertKind,
    CancelOutcome,
    CancelSalesOrder,
    ChangeSalesOrder,
    ClarityOrderChanged,
    EventType,
    ReleaseAction,
    SalesOrderCancelled,
    SalesOrderChanged,
)
from mappings.decisions import Decisions
from mappings.intake import is_older
from mappings.problems import HoldReason, Problem
from mappings.sales_order import SalesOrder, Transformed
from workflows.order_holds import OrderHolds
from workflows.order_record import OrderEnds

BY_SAGE = "news from Sage"
LEFT_ASIDE_IS_NEWEST = "left-aside-is-newest"
"""Patch: orders from before it compared later versions with the one before that which was left aside."""
DELETION_IS_WAITED_FOR = "deletion-is-waited-for"
"""Patch: orders from before it set the sales order on hold again with each of Sage's news, also its release there."""
OVERTAKEN_COUNTS_AGAIN = "overtaken-counts-again"
"""Patch: orders from before it forgot the version that a cancellation overtook which was left aside."""
SAME_QUESTION_ONCE = "same-question-once"
"""Patch: orders from before it alerted people with each of Sage's news while they were asked."""


class OrderChanges(OrderHolds):
    """Later versions and cancellations from Clarity, before and after the sales order exists."""

    # ---- what comes -----------------------------------------------------------------------------------------------

    @workflow.signal(description="From Clarity's webhooks: a later version of the order, or its cancellation")
    def clarity_order_changed(self, change: ClarityOrderChanged | None = None) -> None:
        """Before the sales order exists the new version is what gets created; afterwards Sage's order is changed.

        While it is unknown whether Sage has the order (a create is under way), the change waits for that.
        """
        if change is None or not self.is_news_from_clarity(change):
            return
        self.cancelled_at_clarity |= change.event == EventType.ORDER_CANCELLED
        if not self.sales_order_no and not self.create_tried:
            self.take_change(change)
            return
        if change.event == EventType.ORDER_CANCELLED:
            self.left_behind = self.pending
        self.pending = change
        if not self.sales_order_no:
            self.note(f"Clarity sent {change.event} while Sage was creating the order; it counts once that is known")
            return
        self.note(f"Clarity sent {change.event}")
        if change.event == EventType.ORDER_CANCELLED:
            self.want_cancelled(change)
        self.look_again(change.event)

    def is_news_from_clarity(self, change: ClarityOrderChanged) -> bool:
        """Not the version in force, not one that was left aside, not one that a newer one has overtaken."""
        if change.event == EventType.ORDER_CANCELLED:
            return not self.cancelling and not self.stop_asked and not self.was_left_aside(change)
        if self.stop_asked:
            return False
        if change.digest == (self.pending.digest if self.pending is not None else self.digest):
            return False
        if change.event == EventType.ORDER_CREATED and change.digest == self.first_digest:
            return False
        if is_older(change.payload, self.pending.payload if self.pending is not None else self.payload):
            self.note("Clarity sent an older version of the order; the newer one stays")
            return False
        return self.pending is None or self.pending.event != EventType.ORDER_CANCELLED

    def was_left_aside(self, change: ClarityOrderChanged) -> bool:
        """This very cancellation, or one from before it. The digest alone does not tell: it leaves the status out, so
        that an order that is cancelled again looks like it."""
        left = self.left_aside
        if left is None or is_older(left.payload, change.payload):
            return False
        return change.digest == left.digest or is_older(change.payload, left.payload)

    def take_change(self, change: ClarityOrderChanged) -> None:
        """Sage has no order: cancelled is cancelled, and a newer version replaces the one before."""
        self.digest, self.latest = change.digest, change
        if change.event == EventType.ORDER_CANCELLED:
            self.want_cancelled(change)
            self.note("Clarity cancelled the order")
        else:
            self.payload, self.changed = change.payload, True
            self.decisions, self.resolved, self.answered_customer = Decisions(), None, None
            self.note("Clarity sent a newer version of the order; it replaces the one before")
        self.look_again(change.event)

    def outcome_known(self) -> None:
        """Sage has no order: what Clarity sent meanwhile counts now."""
        self.create_tried = False
        change, self.pending = self.pending, None
        if change is not None:
            self.take_change(change)

    @property
    def has_change(self) -> bool:
        """Clarity sent something that has not been honoured, and Sage has the order."""
        return self.pending is not None or bool(self.stop_asked)

    def look_at_change(self) -> None:
        """News from Sage: Clarity is told of them first, then the change is looked at once more."""
        if self.asks_about_change and self.held is not None and self.decision is None:
            if self.is_waiting_for_deletion() and workflow.patched(DELETION_IS_WAITED_FOR):
                return
            self.question = self.held.problems
            self.look_again(BY_SAGE)

    def is_waiting_for_deletion(self) -> bool:
        """Still there and of no invoice: setting it on hold once more would undo what people just released in Sage."""
        standing = self.standing
        return self.awaits_deletion and standing is not None and standing.live and not self.own_invoices()

    # ---- what becomes of it ---------------------------------------------------------------------------------------

    async def heed_change(self) -> None:
        """Do what Clarity's latest event asks for, once; what a person must decide stays for the next turn."""
        if self.stop_asked:
            await self.cancel_in_sage(self.stop_asked, by_clarity=True)
        elif self.pending is not None:
            await self.change_in_sage(self.pending)

    async def came_too_late(self) -> None:
        """The order is complete: nothing can be changed or cancelled any more.

        Waited for: an alert that is under way when the workflow ends is never delivered.
        """
        while self.has_change:
            # More may come while people are told.
            what = "the cancellation" if self.stop_asked else "the change"
            self.note(f"Too late: the order is complete; {what} that Clarity sent is for accounting and support")
            self.pending, self.stop_asked = None, ""
            await self.raise_alert(AlertKind.ORDER_CHANGED, f"{what} came after everything was shipped and posted")

    async def change_in_sage(self, change: ClarityOrderChanged) -> None:
        """Bring Sage's order to the newer version, all of it or nothing."""
        transformed = await self.transform(change.payload)
        draft = transformed.draft
        if draft is None:
            problems = [problem for problem in transformed.problems if problem.field]
            await self.ask_about(change, problems, "The buyer's newer version cannot be understood")
            return
        facts = await self.look_up_again(draft)
        if facts.existing is None or not facts.existing.live:
            self.too_late_for(change, "the sales order left Sage")
            return
        if facts.findings:
            remedy = "Mend it in Sage (an alias, an active item) and release with retry; or with approve: it stays."
            problems = [problem.model_copy(update={"suggestion": remedy}) for problem in facts.findings[0].problems]
            await self.ask_about(change, problems, "Sage does not know an item of the buyer's newer version")
            return
        customer = self.customer
        after = facts.sales_order if customer is None else facts.sales_order.for_customer(customer)
        result = await self.in_sage(change, after, transformed)
        if result is None:
            # Refused by a rule of Sage's: the next turn looks again.
            return
        if result.too_late:
            self.too_late_for(change, "the sales order left Sage")
        elif result.problems:
            if await self.ask_about(change, result.problems, "The buyer changed the order"):
                # What was left aside stays so: the next version is held against this one, not against what was sent.
                self.transformed, self.sent = transformed, after
        else:
            # Sage has it, also when a newer version has come meanwhile: that one is held against this.
            self.take_version(change, transformed, after, result)

    async def in_sage(
        self, change: ClarityOrderChanged, after: SalesOrder, transformed: Transformed
    ) -> SalesOrderChanged | None:
        """The change itself; None when Sage refused it and a person has looked."""
        draft, known = transformed.draft, self.transformed.draft if self.transformed else None
        if draft is None:
            raise RuntimeError("a version without a draft is held before")
        self.step(f"Sage to change sales order {self.sales_order_no}")
        try:
            return await self.attempt(
                SageChangeActivities.change_sales_order,
                ChangeSalesOrder(
                    pair=self.pair,
                    SalesOrderNo=self.sales_order_no,
                    before=self.sent,
                    after=after,
                    expected=draft.expected,
                    expected_before=known.expected if known is not None and self.sent is not None else None,
                    decisions=self.decisions,
                    checks=draft.checks,
                    lines=self.lines,
                ),
                queues.sage_write(self.pair),
                f"Change {self.sales_order_no} in Sage as the buyer did at Clarity",
                retry.several_calls(self.pace),
            )
        except ActivityError as error:
            reason, problems = hold_for(error)
            if self.pending is change:
                await self.hold(reason, problems)
            return None

    def take_version(
        self, change: ClarityOrderChanged, transformed: Transformed, after: SalesOrder, result: SalesOrderChanged
    ) -> None:
        """This version is in force from here on."""
        if self.pending is change:
            self.pending = None
        if not self.stop_asked:
            self.digest, self.payload = change.digest, change.payload
        self.transformed = transformed
        if self.sent is not None or result.changed:
            self.sent = after
        self.lines = result.lines
        self.standing = result.standing or self.standing
        for remark in result.remarks:
            self.remark(remark)
        if not result.changed:
            self.note("Nothing of that version concerns the sales order: Sage has it as it is")
            return
        for what in result.said[:20]:
            self.note(f"Changed in Sage: {what}")
        said = "; ".join(result.said)[:200]
        self.alert(AlertKind.ORDER_CHANGED, f"{self.sales_order_no} was changed in Sage as the buyer wished: {said}")

    def too_late_for(self, change: ClarityOrderChanged, why: str) -> None:
        """Nothing is left that could be changed: people are told, and the order is followed to its end."""
        if self.pending is not change:
            return
        self.set_aside(change)
        self.note(f"Clarity's newer version comes too late: {why}")
        self.alert(AlertKind.ORDER_CHANGED, f"the buyer's change came too late: {why}")

    def set_aside(self, change: ClarityOrderChanged) -> None:
        """This version is not done, and is the newest all the same: an older one on its way is no news."""
        self.pending, self.digest = None, change.digest
        if workflow.patched(LEFT_ASIDE_IS_NEWEST):
            self.payload = change.payload

    async def ask_about(self, change: ClarityOrderChanged, problems: list[Problem], what: str) -> bool:
        """Hold `order_changed`: both versions, and what Sage has. True when a person left the change aside."""
        if self.pending is not change:
            return False
        if await self.ask(problems) is not ReleaseAction.APPROVE or self.pending is not change:
            return False
        self.set_aside(change)
        self.note(f"{what}; a person left that aside, the sales order stays as Sage has it", decision=True)
        return True

    async def ask(self, problems: list[Problem]) -> ReleaseAction:
        """A hold that news from Sage or from Clarity may answer."""
        asked, self.question = self.question == problems[:50], []
        self.asks_about_change = True
        try:
            quiet = asked and workflow.patched(SAME_QUESTION_ONCE)
            return await self.hold(HoldReason.ORDER_CHANGED, problems, quiet=quiet)
        finally:
            self.asks_about_change = False

    async def cancel_in_sage(self, why: str, *, by_clarity: bool = False) -> None:
        """Cancel the sales order, when nothing of it is shipped (rules 7); raises OrderEnds when that was done.

        What stands in the way is asked about when Clarity cancelled; a person who cancelled a hold reads it in the
        trail, and the order goes on.
        """
        if self.cancelling_in_sage:
            # A person answers the hold of this very cancellation with cancel: it is tried again.
            return
        self.cancelling_in_sage = True
        try:
            self.step(f"Sage to cancel sales order {self.sales_order_no}")
            result = await self.insist(
                SageChangeActivities.cancel_sales_order,
                CancelSalesOrder(pair=self.pair, SalesOrderNo=self.sales_order_no),
                queues.sage_write(self.pair),
                f"Cancel {self.sales_order_no} in Sage, when nothing of it is shipped",
                limit=retry.several_calls(self.pace),
                may_cancel=False,
            )
            if result.outcome is CancelOutcome.CANCELLED:
                self.note(f"Sales order {self.sales_order_no} was cancelled in Sage")
                raise OrderEnds(why)
            problems = self.in_the_way(result)
            # That is this hold's own doing, and no news.
            self.on_hold_in_sage |= result.outcome is CancelOutcome.ON_HOLD
            if not by_clarity and result.outcome is not CancelOutcome.ON_HOLD:
                self.note(f"Not cancelled: {problems[0].message[:300]}")
                return
            self.stop_asked = self.stop_asked or why
            self.awaits_deletion = result.outcome is CancelOutcome.ON_HOLD
            if await self.ask(problems) is ReleaseAction.APPROVE:
                self.stop_asked = ""
                self.left_aside = self.latest
                self.note("A person left the cancellation aside: the order goes on", decision=True)
                change, self.left_behind = self.left_behind, None
                if change is not None and self.pending is None and workflow.patched(OVERTAKEN_COUNTS_AGAIN):
                    self.note("The change that came before the cancellation counts again")
                    self.pending = change
        finally:
            self.cancelling_in_sage = self.awaits_deletion = False

    def in_the_way(self, result: SalesOrderCancelled) -> list[Problem]:
        """Why the sales order is not cancelled, and what to do."""
        number = self.sales_order_no
        match result.outcome:
            case CancelOutcome.ON_HOLD:
                return [
                    Problem(
                        field=f"SO_SalesOrder.{number}",
                        message=f"The order is cancelled at Clarity; in Sage {number} is on hold, to be deleted.",
                        suggestion="Delete it in Sage (the order then ends by itself, or release with retry); or "
                        "release it there from its hold, and here with approve: the order goes on.",
                    )
                ]
            case CancelOutcome.INVOICED:
                what = f"invoice {', '.join(result.invoices)} bills it" if result.invoices else "it is completed"
                return [
                    Problem(
                        field=f"SO_SalesOrder.{number}",
                        message=f"The order is cancelled at Clarity, and in Sage {what}: something was or is being "
                        "shipped.",
                        suggestion="Stop the parcel, delete the invoice or cancel what is left in Sage, then release "
                        "with retry; or release with approve: the order goes on and is shipped.",
                    )
                ]
            case _:
                return result.problems
