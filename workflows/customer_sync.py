"""One customer's changes at Clarity, in Sage: `CustomerSyncWorkflow`, id `customersync-{pair}-{clarityCustomerId}`.

In: an id, and a signal `customer_changed` for each delivery. Out: `CustomerSyncResult`. The process:

    read the customer at Clarity → plan by rules 6 (Sage, ODBC) → write Sage → tell Clarity the cross-reference
    … changed meanwhile: again … in doubt, and the pair wants a person: wait for `decide` or another change

**Reading is the truth**: a delivery only says that something changed. So late, repeated and overtaken deliveries all
end with what Clarity has now, and the newest wins.
"""

from datetime import timedelta
from typing import Any

from pydantic import ValidationError
from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from activities.customer_sync import CustomerSyncReads, CustomerSyncWrites, WebCustomerWrites
from activities.customer_view import WebCustomerReadActivities
from contracts import queues, retry
from contracts.customers import (
    CustomerAction,
    CustomerChanged,
    CustomerSyncResult,
    CustomerSyncStart,
    DecideCustomer,
    PlanCustomerSync,
    ReadWebCustomers,
    SyncOutcome,
    TellWebCustomer,
    WriteCustomer,
)
from contracts.failures import hold_for, in_short
from contracts.messages import Alert, AlertKind
from mappings.customer_sync import CustomerPlan
from mappings.problems import Problem
from mappings.sales_order import CustomerKey
from workflows.telling import raise_alert

USE = '{"action": "use_account", "by": "your name", "customer_no": "02-W000123"}'
KNOWN_DELIVERIES = 100
"""Webhook ids that are remembered: the same delivery again is no news."""


@workflow.defn(name="CustomerSyncWorkflow")
class CustomerSyncWorkflow:
    """One customer until both sides say the same; see the module."""

    @workflow.init
    def __init__(self, start: CustomerSyncStart) -> None:
        """Messages may come before `run`."""
        self.start = start
        self.changes = 0
        """Deliveries that told something new."""
        self.deliveries: list[str] = []
        self.decision: DecideCustomer | None = None
        self.waits = False
        self.decided: CustomerKey | None = None
        self.reminders = 0
        self.result = CustomerSyncResult()
        self.failed = ""
        """What failed at the last look, in short."""

    # ---- the process ------------------------------------------------------------------------------------------------

    @workflow.run
    async def run(self, start: CustomerSyncStart) -> CustomerSyncResult:
        """Until nothing new was told and nothing waits."""
        while True:
            seen = self.changes
            outcome = await self.sync()
            if self.changes == seen and self.result.problems and start.review:
                outcome = await self.wait_for_person(seen)
            await workflow.wait_condition(workflow.all_handlers_finished)
            # No await between the last look at `changes` and the return: nothing is told unseen.
            if self.changes == seen and outcome is not None:
                self.note(outcome=outcome)
                self.show(f"done: {outcome.value}")
                return self.result

    async def sync(self) -> SyncOutcome | None:
        """Read, plan, write. What a system refuses for good is a problem, as what the plan finds."""
        self.note(looks=self.result.looks + 1, problems=[], notes=[])
        self.failed = ""
        try:
            return await self.bring_in_step()
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            _, problems = hold_for(error)
            self.note(problems=problems)
            self.failed = in_short(error)
            return SyncOutcome.IN_DOUBT

    async def bring_in_step(self) -> SyncOutcome:
        """One look."""
        self.show("reads the customer at Clarity")
        read = await workflow.execute_activity_method(
            WebCustomerReadActivities.read_web_customers,
            ReadWebCustomers(pair=self.start.pair, ids=[self.start.clarity_id]),
            task_queue=queues.clarity(self.start.pair),
            start_to_close_timeout=retry.one_call(self.start.pace),
            retry_policy=retry.outside_system(self.start.pace),
            summary="The customer as Clarity has it now",
        )
        if not read.customers:
            return SyncOutcome.GONE
        self.show("looks for the account in Sage")
        plan = await workflow.execute_activity_method(
            CustomerSyncReads.plan_customer_sync,
            PlanCustomerSync(pair=self.start.pair, customer=read.customers[0], decided=self.decided),
            task_queue=queues.sage_read(self.start.pair),
            start_to_close_timeout=retry.several_calls(self.start.pace),
            retry_policy=retry.outside_system(self.start.pace),
            summary="Which account it is, by number or cross-reference alone, and what differs",
        )
        self.note(
            customer=str(plan.customer) if plan.customer else "", by=plan.by, problems=plan.problems, notes=plan.notes
        )
        if plan.customer is None:
            return SyncOutcome.IN_DOUBT if plan.problems else SyncOutcome.NOT_LINKED
        if plan.writes_to_sage and not await self.write_sage(plan, plan.customer):
            return SyncOutcome.IN_DOUBT
        if plan.writes_to_clarity and not await self.tell_clarity(plan):
            return SyncOutcome.GONE
        if plan.problems:
            return SyncOutcome.IN_DOUBT
        written = self.result.columns or self.result.ship_tos or self.result.attributes or self.result.linked
        return SyncOutcome.UPDATED if written else SyncOutcome.NOT_LINKED if plan.notes else SyncOutcome.UNCHANGED

    async def write_sage(self, plan: CustomerPlan, customer: CustomerKey) -> bool:
        """The account's columns and new ship-tos; False when it is another's meanwhile."""
        self.show(f"changes account {customer}")
        problems = await workflow.execute_activity_method(
            CustomerSyncWrites.write_customer,
            WriteCustomer(
                pair=self.start.pair,
                customer=customer,
                clarity_id=self.start.clarity_id,
                columns=plan.columns,
                ship_tos=plan.ship_tos,
            ),
            task_queue=queues.sage_write(self.start.pair),
            start_to_close_timeout=retry.several_calls(self.start.pace),
            retry_policy=retry.outside_system(self.start.pace),
            summary=f"Account {customer}: {', '.join([*plan.columns, *(one.ShipToCode for one in plan.ship_tos)])}"[
                :190
            ],
        )
        if problems:
            self.note(problems=[*self.result.problems, *problems])
            return False
        self.note(
            columns=sorted({*self.result.columns, *plan.columns}),
            ship_tos=sorted({*self.result.ship_tos, *(one.ShipToCode for one in plan.ship_tos)}),
        )
        return True

    async def tell_clarity(self, plan: CustomerPlan) -> bool:
        """The cross-reference, and what Sage owns; False when the customer is gone."""
        self.show("tells Clarity")
        there = await workflow.execute_activity_method(
            WebCustomerWrites.tell_web_customer,
            TellWebCustomer(
                pair=self.start.pair,
                clarity_id=self.start.clarity_id,
                reference=plan.reference,
                attributes=plan.attributes,
            ),
            task_queue=queues.clarity(self.start.pair),
            start_to_close_timeout=retry.one_call(self.start.pace),
            retry_policy=retry.outside_system(self.start.pace),
            summary=f"Clarity: {', '.join([*(['cross-reference'] if plan.reference else []), *plan.attributes])}"[:190],
        )
        if there:
            self.note(
                attributes=sorted({*self.result.attributes, *plan.attributes}),
                linked=self.result.linked or bool(plan.reference),
            )
        return there

    # ---- in doubt ---------------------------------------------------------------------------------------------------

    async def wait_for_person(self, seen: int) -> SyncOutcome | None:
        """Until somebody decides, or the customer changes again: then None, and everything is looked at anew."""
        self.decision, self.waits = None, True
        await self.tell()
        self.show("waits for a decision")
        while not self.is_answered(seen):
            try:
                await workflow.wait_condition(
                    lambda: self.is_answered(seen),
                    timeout=timedelta(seconds=self.start.pace.hold_reminder),
                    timeout_summary="Before people are reminded",
                )
            except TimeoutError:
                self.reminders += 1
                await self.tell()
        self.waits = False
        return self.carry_out(self.decision)

    def is_answered(self, seen: int) -> bool:
        """Somebody decided, or the customer changed."""
        return self.decision is not None or self.changes != seen

    def carry_out(self, decision: DecideCustomer | None) -> SyncOutcome | None:
        """The outcome, when a person leaves the customer alone; None when it is to be looked at again."""
        if decision is None:
            return None
        if decision.action is CustomerAction.IGNORE:
            self.note(notes=[*self.result.notes, f"left alone by {decision.by} (unverified)"])
            return SyncOutcome.IGNORED
        if decision.action is CustomerAction.USE_ACCOUNT:
            self.decided = key_of(decision.customer_no)
        self.changes += 1
        return None

    async def tell(self) -> None:
        """An alert for the wait, and one for each reminder."""
        info = workflow.info()
        first = self.result.problems[0]
        alert = Alert(
            pair=self.start.pair,
            kind=AlertKind.CUSTOMER_REVIEW,
            workflow_id=info.workflow_id,
            title=f"Customer {self.start.clarity_id}",
            text=self.failed or f"{first.field}: {first.message}"[:400],
            occurrence=f"{info.run_id}:{self.result.looks}:{self.reminders}",
        )
        await raise_alert(alert, "Tell people" if not self.reminders else "Remind people")

    @workflow.signal(description="From the webhook edge: the customer changed at Clarity")
    def customer_changed(self, change: CustomerChanged) -> None:
        """The same delivery again is no news."""
        if change.webhook_id and change.webhook_id in self.deliveries:
            return
        self.deliveries = [*self.deliveries, change.webhook_id][-KNOWN_DELIVERIES:]
        self.changes += 1

    @workflow.signal(description=f"Decide on a customer in doubt: {USE}")
    def decide(self, decision: Any = None) -> None:
        """Tolerant: what does not fit is ignored, and the customer waits on."""
        try:
            self.take(DecideCustomer.model_validate(decision))
        except (ValidationError, ApplicationError):
            workflow.logger.warning("A decision that does not fit was ignored")

    @workflow.update(name="decide", description=f"Decide on a customer in doubt: {USE}")
    def decide_update(self, decision: Any = None) -> str:
        """As the signal, with an answer."""
        try:
            self.take(DecideCustomer.model_validate(decision))
        except ValidationError:
            raise ApplicationError(f"decide: send {USE}", type="DecisionRefused", non_retryable=True) from None
        return "recorded"

    def take(self, decision: DecideCustomer) -> None:
        """The first decision counts; raises ApplicationError when nothing waits or it names no account."""
        if not self.waits or self.decision is not None:
            raise ApplicationError("This customer waits for no decision.", type="DecisionRefused", non_retryable=True)
        if decision.action is CustomerAction.USE_ACCOUNT and key_of(decision.customer_no) is None:
            raise ApplicationError(
                "use_account needs customer_no, division and number: 02-W000123.",
                type="DecisionRefused",
                non_retryable=True,
            )
        self.decision = decision

    # ---- showing ----------------------------------------------------------------------------------------------------

    @workflow.query(description="What was written, what is in doubt")
    def state(self) -> CustomerSyncResult:
        """For people and the API."""
        return self.result

    def note(self, **changes: object) -> None:
        """Keep what was done."""
        self.result = self.result.model_copy(update=changes)

    def show(self, doing: str) -> None:
        """The details page (that costs no event); ids, names of fields, codes."""
        workflow.set_current_details(page(self.start, self.result, doing, waits=self.waits))


def key_of(customer_no: str) -> CustomerKey | None:
    """`02-W000123`; None for what names no account."""
    division, dash, number = customer_no.strip().partition("-")
    if not dash or len(division) != 2 or not 0 < len(number) <= 20:
        return None
    return CustomerKey(ARDivisionNo=division.upper(), CustomerNo=number.upper())


def page(start: CustomerSyncStart, result: CustomerSyncResult, doing: str, *, waits: bool) -> str:
    """What the Web UI shows."""
    rows = [
        ("Doing", doing),
        ("Account in Sage", result.customer),
        ("Found by", result.by),
        ("Columns written", ", ".join(result.columns)),
        ("Ship-tos added", ", ".join(result.ship_tos)),
        ("Attributes written at Clarity", ", ".join(result.attributes)),
        ("Cross-reference written at Clarity", "yes" if result.linked else ""),
        ("Left alone", "; ".join(result.notes)),
    ]
    text = f"## Customer {start.clarity_id} of pair {start.pair}\n\n| | |\n|---|---|\n"
    text += "\n".join(f"| {name} | {value} |" for name, value in rows if value)
    text += "".join(_in_words(problem) for problem in result.problems[:20])
    if waits:
        text += f"\n\nDecide: update or signal `decide` with `{USE}`, or the action `retry` or `ignore`."
    return text[:15_000]


def _in_words(problem: Problem) -> str:
    return f"\n\n* **{problem.field}**: {problem.message} {problem.suggestion}"
