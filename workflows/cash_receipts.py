"""Money by cash route: `CashReceiptsWorkflow`, each night on the Schedule `receipts-{pair}` or by hand.

In: `CashReceiptsStart`. Out: `CashReceiptsResult`, which the next nightly run remembers. A run reads both books
(`workflows.both_books`), decides about every payment, enters the receipts that are due batch by batch, reads the
receipts again, and decides anew, until nothing is due: what it says at the end is what it has read back. One alert when
the accounting list has new entries.
"""

from datetime import date, timedelta
from decimal import Decimal

from temporalio import workflow

from activities.cash_receipts import CashReceiptActivities, ReceiptPlanActivities
from contracts import queues, retry
from contracts.cash_receipts import (
    CashReceiptsResult,
    CashReceiptsStart,
    PlanReceipts,
    ReceiptPlan,
    ReceiptsWritten,
    WriteReceipts,
    short,
)
from contracts.messages import Alert, AlertKind
from mappings.cash_receipts import Outcome, ReceiptBatch
from workflows.both_books import LONGEST_CALL, BothBooks
from workflows.telling import raise_alert

SHOWN = 15
"""Entries of the list on the details page."""


@workflow.defn(name="CashReceiptsWorkflow")
class CashReceiptsWorkflow(BothBooks):
    """One range of days; see the module."""

    all_receipts = True

    @workflow.init
    def __init__(self, start: CashReceiptsStart) -> None:
        """Messages may come before `run`."""
        super().__init__(start)
        self.dry_run = start.dry_run
        self.entered: dict[str, None] = {}
        """`short` keys of receipts that this run entered, or found to stand when it came to enter them."""
        self.number, self.amount = 0, Decimal(0)
        """Of the receipts that it entered."""
        self.deposits: list[str] = []
        self.refused: dict[str, str] = {}
        self.card_types: list[str] = []
        self.outcome: CashReceiptsResult | None = None

    @workflow.run
    async def run(self, start: CashReceiptsStart) -> CashReceiptsResult:
        """Read both books, decide, enter what is due, tell."""
        last = None if self.by_hand else workflow.get_last_completion_result(CashReceiptsResult)
        since, until = self.days()
        await self.read_clarity(since, until)
        await self.find_in_sage(since, until, last.waiting if last is not None else [])
        await self.read_sage(since)
        self.hand_over()
        plan = await self.plan(since, until)
        while plan.batches and not start.dry_run:
            for batch in plan.batches:
                await self.enter(batch)
            await self.read_receipts_from(self.receipts_since or since)
            plan = await self.plan(since, until)
        self.outcome = result = self.result_of(plan, last, since, until)
        self.at("done")
        if result.new and not start.dry_run:
            await self.tell(result)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return result

    async def plan(self, since: date, until: date) -> ReceiptPlan:
        """What is due now; receipts are read as far back as the oldest payment that is."""
        plan = await self.decide(since, until)
        if plan.read_since is not None:
            await self.read_receipts_from(plan.read_since)
            plan = await self.decide(since, until)
        return plan

    async def decide(self, since: date, until: date) -> ReceiptPlan:
        """One activity asks for the sheets and decides about every payment."""
        self.at("decides")
        return await workflow.execute_activity_method(
            ReceiptPlanActivities.plan_receipts,
            PlanReceipts(
                pair=self.start.pair,
                since=since,
                until=until,
                as_of=self.today(),
                sheets=len(self.sheets),
                receipts_since=self.receipts_since or since,
                entered=list(self.entered),
                refused=self.refused,
                card_types=self.card_types,
            ),
            task_queue=queues.ORDERS,
            start_to_close_timeout=LONGEST_CALL,
            heartbeat_timeout=timedelta(seconds=self.start.pace.poll_heartbeat_timeout),
            retry_policy=retry.outside_system(self.start.pace),
            summary=f"{len(self.sought)} orders",
        )

    async def enter(self, batch: ReceiptBatch) -> None:
        """A batch of one gateway and day, exactly once; what Sage refuses goes to the list."""
        what = f"{len(batch.due)} receipts of {batch.gateway}, {batch.DepositDate}"
        self.at(f"enters {what}")
        written: ReceiptsWritten = await self.call(
            queues.sage_write(self.start.pair),
            CashReceiptActivities.write_cash_receipts,
            WriteReceipts(pair=self.start.pair, batch=batch),
            what,
        )
        if written.card_type:
            self.card_types.append(batch.due[0].line.PaymentType)
            return
        amounts = {one.key: one.line.CashAmountApplied for one in batch.due}
        self.number += len(written.entered)
        self.amount += sum((amounts[key] for key in written.entered), Decimal(0))
        self.deposits += [f"{batch.DepositDate} {number}" for number in written.deposits]
        self.entered |= dict.fromkeys(short(key) for key in (*written.entered, *written.stood))
        self.refused |= written.refused

    def result_of(
        self, plan: ReceiptPlan, last: CashReceiptsResult | None, since: date, until: date
    ) -> CashReceiptsResult:
        """What it came to; only a nightly run knows what the list had before."""
        known = set(last.listed) if last is not None else set()
        due = [one for batch in plan.batches for one in batch.due]
        return CashReceiptsResult(
            since=since,
            until=until,
            dry_run=self.dry_run,
            due=len(due),
            entered=self.number,
            amount=sum((one.line.CashAmountApplied for one in due), Decimal(0)) if self.dry_run else self.amount,
            deposits=self.deposits,
            outcomes=plan.outcomes,
            why=plan.why,
            listed=plan.listed,
            listed_amount=plan.listed_amount,
            new=sum(one not in known for one in plan.listed),
            left=plan.left,
            unreadable=self.unreadable,
            waiting=plan.waiting,
            folder=plan.folder,
        )

    @workflow.query(description="What was entered and what is on the list; nothing until it is done")
    def result(self) -> CashReceiptsResult | None:
        """For people, the API and the console."""
        return self.outcome

    # ---- telling --------------------------------------------------------------------------------------------------

    async def tell(self, result: CashReceiptsResult) -> None:
        """One alert: how many new entries, for what reasons, where to read on."""
        reasons = ", ".join(f"{number} {why.value}" for why, number in result.why.items())
        alert = Alert(
            pair=self.start.pair,
            kind=AlertKind.ACCOUNTING_LIST,
            workflow_id=workflow.info().workflow_id,
            title=f"Payments of {result.since} to {result.until}",
            text=f"{result.new} new entries of {len(result.listed)} ({reasons}). Files: {result.folder}",
            occurrence=workflow.info().run_id,
        )
        await raise_alert(alert, f"Alert: {result.new} new entries on the accounting list")

    def show(self) -> None:
        """The details page."""
        workflow.set_current_details(page(self.step, self.days(), self.by_hand, self.number, self.outcome))


def page(
    step: str,
    days: tuple[date, date],
    by_hand: bool,
    entered: int,
    result: CashReceiptsResult | None,
) -> str:
    """What the Web UI shows."""
    lines = [f"## Cash receipts: {step}", "", f"{days[0]} to {days[1]}, {'by hand' if by_hand else 'nightly'}"]
    if result is None:
        return "\n".join([*lines, "", f"{entered} receipts entered so far"])
    done = f"{result.due} receipts are due" if result.dry_run else f"{result.entered} receipts entered"
    lines += ["", f"{done}, {result.amount:,.2f}" + (f": {', '.join(result.deposits)}" if result.deposits else "")]
    lines += ["", "| payments | |", "|---|---:|"]
    lines += [f"| {outcome.value} | {number} |" for outcome, number in result.outcomes.items() if number]
    if result.why:
        lines += ["", "| why they wait or are on the list | |", "|---|---:|"]
        lines += [f"| {why.value} | {number} |" for why, number in result.why.items()]
    if result.left:
        lines += ["", f"On the accounting list: {result.outcomes.get(Outcome.LIST, 0)}, {result.new} of them new.", ""]
        lines += ["| order | Sage | day | amount | why |", "|---|---|---|---:|---|"]
        lines += [
            f"| {one.order_id} | {one.SalesOrderNo} | {one.day or ''} | {one.amount:,.2f} {one.currency} "
            f"| {one.why.value if one.why else ''} {one.remark[:80]} |"
            for one in result.left[:SHOWN]
        ]
    lines += ["", f"Files: `{result.folder}` in REPORTS_DIR. Batches wait in Sage to be posted."]
    return "\n".join(lines)[:15_000]
