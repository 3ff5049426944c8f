"""Clarity's payments against Sage's books: `PaymentReconciliationWorkflow`, each night or by hand.

In: `ReconciliationStart`. Out: `ReconciliationResult`, which the next nightly run remembers. A run reads both sides
(`workflows.both_books`), and lets one activity compare. One alert when somebody has to look.
"""

from datetime import date, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.reconciliation import ReconciliationActivities
from contracts import queues, retry
from contracts.failures import in_short
from contracts.messages import Alert, AlertKind
from contracts.reconciliation import CompareBooks, ReconciliationResult, ReconciliationStart
from mappings.differences import Status
from workflows.both_books import LONGEST_CALL, BothBooks
from workflows.telling import raise_alert


@workflow.defn(name="PaymentReconciliationWorkflow")
class PaymentReconciliationWorkflow(BothBooks):
    """One range of days; see the module."""

    @workflow.init
    def __init__(self, start: ReconciliationStart) -> None:
        """Messages may come before `run`."""
        super().__init__(start)
        self.outcome: ReconciliationResult | None = None

    @workflow.run
    async def run(self, start: ReconciliationStart) -> ReconciliationResult:
        """Read Clarity, read Sage, compare, tell."""
        last = None if self.by_hand else workflow.get_last_completion_result(ReconciliationResult)
        since, until = self.days()
        try:
            await self.read_clarity(since, until)
            await self.find_in_sage(since, until, last.carried if last is not None else [])
            await self.read_sage(since)
            result = await self.compare(since, until, last)
        except ActivityError as error:
            await self.tell_failure(error)
            raise
        self.outcome, self.step = result, "done"
        self.show()
        if result.needs_a_person:
            await self.tell(result)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return result

    # ---- comparing ------------------------------------------------------------------------------------------------

    async def compare(self, since: date, until: date, last: ReconciliationResult | None) -> ReconciliationResult:
        """Hand everything over, sheet by sheet."""
        self.at("compares")
        self.hand_over()
        consecutive = last is not None and last.until == since - timedelta(days=1)
        return await workflow.execute_activity_method(
            ReconciliationActivities.compare_books,
            CompareBooks(
                pair=self.start.pair,
                since=since,
                until=until,
                as_of=self.today(),
                sheets=len(self.sheets),
                tells_payouts=self.payouts is not None,
                opening=last.customer_deposits.closing if last is not None and consecutive else None,
                unreadable=self.unreadable,
            ),
            task_queue=queues.ORDERS,
            start_to_close_timeout=LONGEST_CALL,
            heartbeat_timeout=timedelta(seconds=self.start.pace.poll_heartbeat_timeout),
            retry_policy=retry.outside_system(self.start.pace),
            summary=f"{len(self.sought)} orders",
        )

    @workflow.query(description="What was found; nothing until it is compared")
    def result(self) -> ReconciliationResult | None:
        """For people, the API and the console."""
        return self.outcome

    # ---- telling --------------------------------------------------------------------------------------------------

    async def tell(self, result: ReconciliationResult) -> None:
        """One alert: how many, of what kind, where to read on."""
        unexplained = [f"{number} {reason.value}" for reason, number in result.reasons.items() if not reason.explained]
        parts = [
            f"{result.orders.get(Status.UNEXPLAINED, 0)} orders with unexplained money ({', '.join(unexplained)})"
            if result.unexplained
            else "",
            f"{result.payouts_differ} payouts that are not the sum of their payments" if result.payouts_differ else "",
            f"{result.unreadable} payments at Clarity that make no sense" if result.unreadable else "",
            "" if result.controls.adds_up else "sums that do not add up",
        ]
        alert = Alert(
            pair=self.start.pair,
            kind=AlertKind.RECONCILIATION,
            workflow_id=workflow.info().workflow_id,
            title=f"Reconciliation of {result.since} to {result.until}",
            text=f"{'; '.join(part for part in parts if part)}. Files: {result.folder}",
            occurrence=workflow.info().run_id,
        )
        await raise_alert(alert, f"Alert: {result.unexplained} unexplained differences")

    async def tell_failure(self, error: ActivityError) -> None:
        """Nobody knows whether the books agree."""
        alert = Alert(
            pair=self.start.pair,
            kind=AlertKind.RECONCILIATION,
            workflow_id=workflow.info().workflow_id,
            title=f"Reconciliation of pair {self.start.pair}",
            text=f"It could not be done ({self.step}): {in_short(error)}. The run's failure says more",
            occurrence=workflow.info().run_id,
        )
        await raise_alert(alert, "Alert: the reconciliation failed")

    def show(self) -> None:
        """The details page."""
        workflow.set_current_details(page(self.start, self.days(), self.step, self.outcome))


def page(start: ReconciliationStart, days: tuple[date, date], step: str, result: ReconciliationResult | None) -> str:
    """What the Web UI shows."""
    how = "by hand" if start.since is not None else "nightly"
    head = f"## Reconciliation: {step}\n\n{days[0]} to {days[1]}, {how}"
    if result is None:
        return head
    sums, moved, money = result.controls, result.customer_deposits, result.currency
    rows = [
        ("captured", sums.captured),
        ("refunded", -sums.refunded),
        ("deposits", sums.deposits),
        ("receipts", sums.receipts),
        ("on the list", sums.listed),
        ("gift-card lines", sums.lines),
        ("**difference**", sums.difference),
        ("… explained", sums.explained),
        ("… **unexplained**", sums.unexplained),
        ("invoiced, posted", sums.invoiced),
        ("invoiced, unposted", sums.invoiced_unposted),
    ]
    lines = [head, "", f"| {money} | |", "|---|---:|", *(f"| {name} | {amount:,.2f} |" for name, amount in rows), ""]
    lines += [f"The sums {'add up' if sums.adds_up else '**do not add up**'}.", ""]
    lines += [
        "| orders | |",
        "|---|---:|",
        *(f"| {status.value} | {number} |" for status, number in result.orders.items()),
    ]
    lines += ["", "| why | |", "|---|---:|"]
    lines += [f"| {reason.value} | {number} |" for reason, number in result.reasons.items()]
    lines += [
        "",
        f"Customer deposits: {moved.opening:,.2f} + {moved.deposited:,.2f} − {moved.applied:,.2f} applied "
        f"− {moved.refunded:,.2f} refunded = {moved.closing:,.2f} {money}",
    ]
    if result.findings:
        lines += ["", "| order | Sage | why | amount | at |", "|---|---|---|---:|---|"]
        lines += [
            f"| {one.order_id} | {one.SalesOrderNo} | {one.reason.value} {one.other} "
            f"| {one.amount:,.2f} {one.currency} | {one.place.value} |"
            for one in result.findings
        ]
    lines += ["", f"Files: `{result.folder}` in REPORTS_DIR"]
    return "\n".join(lines)[:15_000]
