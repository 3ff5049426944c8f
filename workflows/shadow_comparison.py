"""What the integration would have created against what people typed: `ShadowComparisonWorkflow`, each day or by hand.

In: `ShadowComparisonStart`. Out: `ShadowComparisonResult`. Lists the pair's shadow orders, compares them some at a time
with Sage, has the files written, and tells people once when something differs.
"""

from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.shadow import ShadowReportActivities, TypedOrderActivities
from contracts import queues, retry
from contracts.failures import in_short
from contracts.messages import Alert, AlertKind
from contracts.shadow import (
    Compared,
    CompareTyped,
    ListShadowOrders,
    ShadowComparisonResult,
    ShadowComparisonStart,
    WriteComparison,
)
from mappings.shadow import ShadowOutcome
from workflows.telling import raise_alert

ORDERS_AT_ONCE: Final = 100
LONGEST_CALL: Final = timedelta(minutes=30)
"""Start-to-close of a call that compares some orders; its heartbeats tell whether it lives."""


@workflow.defn(name="ShadowComparisonWorkflow")
class ShadowComparisonWorkflow:
    """One range of days; see the module."""

    @workflow.init
    def __init__(self, start: ShadowComparisonStart) -> None:
        """Messages may come before `run`."""
        self.start = start
        self.zone = ZoneInfo(start.time_zone)
        self.sheets: list[Compared] = []
        self.outcome: ShadowComparisonResult | None = None

    @workflow.run
    async def run(self, start: ShadowComparisonStart) -> ShadowComparisonResult:
        """List, compare, write, tell."""
        since, until = self.days()
        try:
            result = await self.compare(since, until)
        except ActivityError as error:
            await self.alert(f"It could not be done: {in_short(error)}. The run's failure says more")
            raise
        self.outcome = result
        workflow.set_current_details(page(result))
        if result.needs_a_person:
            orders = result.totals.orders
            fields = ", ".join(f"{field} {number}" for field, number in result.totals.fields.items())
            await self.alert(
                f"{orders.get(ShadowOutcome.DIFFERS, 0)} orders differ from what people typed ({fields or 'none'}), "
                f"{orders.get(ShadowOutcome.NOT_FOUND, 0)} were not found in Sage, "
                f"{orders.get(ShadowOutcome.SAME, 0)} are the same. Files: {result.folder}"
            )
        await workflow.wait_condition(workflow.all_handlers_finished)
        return result

    def days(self) -> tuple[date, date]:
        """The range, both days included, by the checkout."""
        today = workflow.now().astimezone(self.zone).date()
        if self.start.since is not None:
            return self.start.since, self.start.until or today
        return today - timedelta(days=self.start.days - 1), today

    async def compare(self, since: date, until: date) -> ShadowComparisonResult:
        """Some orders at a time."""
        pair, pace = self.start.pair, self.start.pace
        # An order never comes before its checkout, by the clocks of both sides.
        began = datetime.combine(since - timedelta(days=1), time(), self.zone).astimezone(UTC)
        runs = await workflow.execute_activity_method(
            ShadowReportActivities.list_shadow_orders,
            ListShadowOrders(pair=pair, since=began),
            start_to_close_timeout=retry.SEVERAL_CALLS,
            retry_policy=retry.outside_system(pace),
            summary="Shadow orders of the range",
        )
        today = workflow.now().astimezone(self.zone).date()
        for first in range(0, len(runs.workflow_ids), ORDERS_AT_ONCE):
            some = runs.workflow_ids[first : first + ORDERS_AT_ONCE]
            compared = await workflow.execute_activity_method(
                TypedOrderActivities.compare_typed_orders,
                CompareTyped(pair=pair, workflow_ids=some, since=since, until=until, today=today),
                task_queue=queues.sage_read(pair),
                start_to_close_timeout=LONGEST_CALL,
                heartbeat_timeout=timedelta(seconds=pace.poll_heartbeat_timeout),
                retry_policy=retry.outside_system(pace),
                summary=f"Orders {first + 1} to {first + len(some)} of {len(runs.workflow_ids)} against Sage",
            )
            self.sheets.append(compared)
        return await workflow.execute_activity_method(
            ShadowReportActivities.write_comparison,
            WriteComparison(pair=pair, since=since, until=until, sheets=len(self.sheets), unfinished=runs.unfinished),
            start_to_close_timeout=LONGEST_CALL,
            heartbeat_timeout=timedelta(seconds=pace.poll_heartbeat_timeout),
            retry_policy=retry.outside_system(pace),
            summary="Files and totals",
        )

    async def alert(self, text: str) -> None:
        """Once a run; without personal data."""
        since, until = self.days()
        await raise_alert(
            Alert(
                pair=self.start.pair,
                kind=AlertKind.SHADOW,
                workflow_id=workflow.info().workflow_id,
                title=f"Shadow mode, {since} to {until}",
                text=text,
                occurrence=workflow.info().run_id,
            ),
            "Alert: shadow comparison",
        )

    @workflow.query(description="What was found; nothing until everything is compared")
    def result(self) -> ShadowComparisonResult | None:
        """For people and the command."""
        return self.outcome

    @workflow.query(description="How many sheets of compared orders there are")
    def sheet_count(self) -> int:
        """For the command."""
        return len(self.sheets)

    @workflow.query(description="Compared orders, some at a time, from 0")
    def compared(self, place: int = 0) -> Compared:
        """For the files and the command; empty behind the last."""
        return self.sheets[place] if 0 <= place < len(self.sheets) else Compared()


def page(result: ShadowComparisonResult) -> str:
    """The details page."""
    lines = [f"## Shadow mode: {result.since} to {result.until}", "", "| orders | |", "|---|---:|"]
    lines += [f"| {outcome.value} | {number} |" for outcome, number in result.totals.orders.items()]
    lines += ["", "| differ in | |", "|---|---:|"]
    lines += [f"| {field} | {number} |" for field, number in result.totals.fields.items()]
    lines += ["", f"Files: `{result.folder}` in REPORTS_DIR"]
    return "\n".join(lines)[:15_000]
