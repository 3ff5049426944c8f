"""Catching up what no webhook told: `OrderBackfillWorkflow`, on the Schedule `backfill-{pair}` or by hand.

In: `BackfillStart`. Out: `BackfillResult`, of which the next scheduled run takes up where to go on. A run is one
activity that reads Clarity's list and passes each order through the intake, and one alert when orders had to be started
whose webhook never came.
"""

from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError
from temporalio import workflow

from activities.backfill import BackfillActivities
from contracts import queues, retry
from contracts.messages import Alert, AlertKind, BackfillRequest, BackfillResult, BackfillStart, BackfillTally
from workflows.telling import raise_alert

LONGEST_RUN = timedelta(days=7)
"""Start-to-close of a backfill: a range of years takes hours, and an outage of Clarity is waited out by retries."""


@workflow.defn(name="OrderBackfillWorkflow")
class OrderBackfillWorkflow:
    """One window, range or list of ids; see the module."""

    @workflow.init
    def __init__(self, start: BackfillStart) -> None:
        """Messages may come before `run`."""
        self.start = start
        self.tally = BackfillTally(since=start.since)
        self.done = False

    @workflow.run
    async def run(self, start: BackfillStart) -> BackfillResult:
        """Take everything in, tell people of a gap, hand over where the next window begins."""
        self.show()
        result = await self.take_in(self.next_since())
        self.tally, self.done = result.tally, True
        self.show()
        if result.tally.gaps:
            await self.tell_gap(result.tally)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return result

    @property
    def by_hand(self) -> bool:
        """A range or order ids were given."""
        return bool(self.start.order_ids) or self.start.since is not None

    def next_since(self) -> datetime | None:
        """Where the last scheduled run said to go on; nothing at a cold start, and by hand."""
        last = None if self.by_hand else workflow.get_last_completion_result(BackfillResult)
        return last.next_since if last is not None else None

    async def take_in(self, since: datetime | None) -> BackfillResult:
        """The activity; outages and 429s are waited out."""
        return await workflow.execute_activity_method(
            BackfillActivities.backfill_orders,
            BackfillRequest(start=self.start, since=since, now=workflow.now()),
            activity_id="backfill",
            task_queue=queues.clarity(self.start.pair),
            start_to_close_timeout=LONGEST_RUN,
            heartbeat_timeout=timedelta(seconds=self.start.pace.poll_heartbeat_timeout),
            retry_policy=retry.outside_system(self.start.pace),
            summary="Clarity's orders → intake",
        )

    async def tell_gap(self, tally: BackfillTally) -> None:
        """One alert for all orders of this run whose webhook never came."""
        more = f" and {tally.gaps - len(tally.gap_ids)} more" if tally.gaps > len(tally.gap_ids) else ""
        orders = "1 order" if tally.gaps == 1 else f"{tally.gaps} orders"
        alert = Alert(
            pair=self.start.pair,
            kind=AlertKind.GAP,
            workflow_id=workflow.info().workflow_id,
            title=f"Webhooks of pair {self.start.pair}",
            text=f"Backfill started {orders} whose webhook never came: {', '.join(tally.gap_ids)}{more}. "
            "Look at Clarity's webhook settings and at what stands between Clarity and the API.",
        )
        await raise_alert(alert, f"Alert: {orders} whose webhook never came")

    @workflow.signal(description="From the activity: how far it is")
    def progressed(self, tally: Any = None) -> None:
        """Tolerant: what does not fit is ignored."""
        try:
            tally = BackfillTally.model_validate(tally)
        except ValidationError:
            return
        if not self.done:
            self.tally = tally
            self.show()

    @workflow.query(description="What was read and done so far")
    def progress(self) -> BackfillTally:
        """For people, the API and the console."""
        return self.tally

    def show(self) -> None:
        """The details page (that costs no event)."""
        workflow.set_current_details(page(self.start, self.tally, done=self.done))


def page(start: BackfillStart, tally: BackfillTally, *, done: bool) -> str:
    """What the Web UI shows."""
    if start.order_ids:
        what = f"{len(start.order_ids)} order ids by hand"
    elif start.since is not None:
        to = f"{start.until:%Y-%m-%d %H:%M}" if start.until is not None else "now"
        what = f"by hand, created or changed from {start.since:%Y-%m-%d %H:%M} to {to}"
    else:
        what = "what changed since the last look" + (f" ({tally.since:%Y-%m-%d %H:%M} UTC)" if tally.since else "")
    rows = [
        ("taken in", tally.seen, []),
        ("started", tally.started, tally.started_ids),
        ("… whose webhook never came", tally.gaps, tally.gap_ids),
        ("told of a change or cancellation they had missed", tally.changed, tally.changed_ids),
        ("nothing new", tally.known, []),
        ("ignored (before go-live, finished, on hold at Clarity)", tally.ignored, []),
        ("left to their webhook, which may only be late", tally.young, []),
        ("not started: may have been here before (needs force)", tally.needs_force, tally.needs_force_ids),
        ("dead letters", tally.dead_letters, []),
        ("outside the range", tally.outside, []),
        ("not at Clarity", tally.not_found, []),
        ("refused: enter by hand", tally.refused, tally.refused_ids),
    ]
    lines = [
        f"| {name} | {number} | {', '.join(ids)} |"
        for name, number, ids in rows
        if number or name in ("taken in", "started")
    ]
    head = f"## Backfill: {'done' if done else 'running'}\n\n{what}; {tally.listed} orders in Clarity's list"
    where = "" if done else f", page {tally.page}"
    return f"{head}{where}\n\n| orders | number | ids |\n|---|---|---|\n" + "\n".join(lines)
