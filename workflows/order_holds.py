"""The steps of an order that may stop, and the holds in which people decide: `OrderHolds`.

In: a step's request, or what is wrong. Out: the step's result, or what was decided. Raises `OrderEnds` when the order
is cancelled before Sage has it.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import Priority
from temporalio.exceptions import ActivityError, ApplicationError, FailureError

from activities.orders import OrderActivities
from activities.sage_read import SageReadActivities
from contracts import queues, retry
from contracts import search_attributes as attributes
from contracts.failures import hold_for
from contracts.messages import (
    AlertKind,
    ClarityOrderChanged,
    EventType,
    FactsRequest,
    HoldView,
    Release,
    ReleaseAccepted,
    ReleaseAction,
    TransformRequest,
    actions_for,
)
from contracts.priorities import priority_of
from contracts.search_attributes import OrderState
from mappings.customer_match import buyer_of
from mappings.intake import reference_in
from mappings.payments import says_what_was_paid
from mappings.problems import Finding, HoldReason, Problem
from mappings.sales_order import (
    CustomerKey,
    Draft,
    SageFacts,
    SageItemType,
    SalesOrderOnSage,
    Transformed,
)
from mappings.shipments import (
    OrderProgress,
)
from workflows.order_record import OrderEnds, OrderRecord
from workflows.releases import Checked, ReleaseRefused, check_release, decided, parse_release

Request = TypeVar("Request")
Result = TypeVar("Result")

LOOK_ATTEMPTS = 4
"""Times the limit of a call that a look at stock may take; the next sweep makes another."""


class OrderHolds(OrderRecord):
    """Steps that insist on success, holds with reminders, looks at stock, and the releases."""

    async def transform(self, payload: dict[str, Any] | None = None) -> Transformed:
        """Payload (default: the one in force) → draft or problems, as a local activity: quick, pure, one event."""
        while True:
            self.step("its transformation")
            try:
                return await workflow.execute_local_activity_method(
                    OrderActivities.transform_order,
                    TransformRequest(pair=self.pair, payload=self.payload if payload is None else payload),
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

    async def look_up_again(self, draft: Draft) -> SageFacts:
        """The same for a later version of an order that Sage has: its own stock and credit are no findings."""
        self.step("Sage's facts for the newer version (ODBC)")
        own = {"own_attempt": self.sales_order_no, "reference": self.sales_order_no, "resolved": self.customer}
        return await self.insist(
            SageReadActivities.read_sage_facts,
            self.facts_request(draft).model_copy(update=own),
            queues.sage_read(self.pair),
            f"Items of the newer version, and sales order {self.sales_order_no}",
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
            adopts=self.adopts,
        )

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
                if self.stop_asked and self.sales_order_no and may_cancel:
                    # Most likely that is why: Clarity takes nothing more for an order that is cancelled there.
                    await self.cancel_in_sage(self.stop_asked, by_clarity=True)
                    continue
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
        quiet: bool = False,
    ) -> ReleaseAction:
        """Wait for a person. Returns what was decided; raises OrderEnds on `cancel` when Sage has no order.

        `quiet`: people were alerted of just this, and are only reminded.
        """
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
        if not quiet:
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

    def look_again(self, by: str) -> None:
        """A held order whose reason may be gone tries again by itself."""
        if self.held is None or self.decision is not None:
            return
        # Only a person, or Clarity's own cancellation, answers a cancel request.
        asks_people = self.held.reason is HoldReason.ORDER_CHANGED and not self.asks_about_change
        if not asks_people or by == EventType.ORDER_CANCELLED:
            self.accept(Checked(Release(action=ReleaseAction.RETRY, by=by), self.held))

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
            if self.adopts:
                text = f"ended before sales order {self.adopts}, which people typed, was linked: cancel it in Sage, too"
                await self.raise_alert(AlertKind.ORDER_CHANGED, text)
            raise OrderEnds(why)
        await self.cancel_in_sage(why)

    async def cancel_in_sage(self, why: str, *, by_clarity: bool = False) -> None:
        """Somebody wants an order cancelled that Sage has; see `OrderChanges`. Raises OrderEnds when that was done."""
        raise NotImplementedError

    def want_cancelled(self, change: ClarityOrderChanged) -> None:
        """Clarity cancelled the order: it is to end between steps, and what was paid is as this event says."""
        self.pending, self.latest, self.digest = None, change, change.digest
        self.stop_asked = "cancelled at Clarity" + ("" if self.sales_order_no else " before Sage knew the order")
        if says_what_was_paid(change.payload):
            self.payload = change.payload

    async def stop_if_asked(self) -> None:
        """Between steps: honour Clarity's cancellation, turn a cancel request from outside into a hold."""
        if self.stop_asked and not self.sales_order_no and not self.adopts:
            # One that people typed stands in Sage: it is linked first, and then cancelled there.
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
        if self.pending is not None and self.pending.event == EventType.ORDER_CANCELLED:
            # It came while the create was under way.
            self.want_cancelled(self.pending)

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
                invoices=[invoice.InvoiceNo for invoice in self.own_invoices()] if self.sales_order_no else [],
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
