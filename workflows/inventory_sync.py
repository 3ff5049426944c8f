"""Stock from Sage to the store: `InventorySyncWorkflow`, shifts on the Schedule `inventory-{pair}`.

In: the pair and its pace. Out: `InventoryMemory`, which the next shift takes up as the last completion result. A shift:

    watch Sage (all stock at intervals, at once what accepted orders touched) → push what changed → watch …
    … and once a day: the store's own numbers → what differs twice is drift → push it again, one alert

One run at a time writes a store's numbers, and only this one: an older number never overtakes a newer one. A bucket's
digest is forgotten before its rows are sent and set when they are there, so that whatever ends a run, the memory never
says that the store has what it has not.
"""

import asyncio
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from activities.stock_sweep import StockSweepActivities
from activities.store_stock import StoreStockActivities
from contracts import queues, retry
from contracts.failures import hold_for, in_short
from contracts.inventory import (
    FIRST_SKUS,
    PAGE_ROWS,
    CompareStock,
    DriftedRow,
    InventoryAction,
    InventoryMemory,
    InventoryProgress,
    InventoryStart,
    ListStoreStock,
    PushStock,
    StockFound,
    StockWatch,
)
from contracts.messages import Alert, AlertKind
from mappings.inventory import BUCKETS, UNKNOWN, Digests, StockRow, bucket_of
from mappings.problems import HoldReason
from workflows.telling import raise_alert

LONGEST_STEP = timedelta(days=1)
"""Start-to-close of a step: a large push against a store that asks for slowness; whether it lives, heartbeats tell."""
ENDED = "This shift is about to end; ask again in a moment"


@workflow.defn(name="InventorySyncWorkflow")
class InventorySyncWorkflow:
    """A shift; see the module."""

    @workflow.init
    def __init__(self, start: InventoryStart) -> None:
        """Messages may come before `run`."""
        self.start = start
        self.pace = start.pace
        self.memory = workflow.get_last_completion_result(InventoryMemory) or InventoryMemory()
        if self.memory.compared_at is None:
            # A new memory begins with a push of everything: there is nothing to compare for a while.
            self.memory = self.memory.model_copy(update={"compared_at": workflow.now()})
        self.digests = Digests(self.memory.digests)
        self.until = workflow.now() + timedelta(seconds=start.pace.shift_length)
        self.clock = workflow.now()
        """The latest moment that a worker's clock has told."""
        self.ended_since = self.memory.as_of
        """Runs that ended abnormally after the last one that told what it pushed; asked once."""
        self.asked: list[InventoryAction] = []
        self.requests = self.taken_up = self.answered = 0
        """Requests by hand: all that came, those of which this round takes care, those that are done."""
        self.comparisons = 0
        self.over = False
        self.stumbled = False
        """A step of this round failed for good."""
        self.progress_ = InventoryProgress(
            doing="begins",
            known_buckets=self.digests.known,
            swept_at=self.memory.swept_at,
            compared_at=self.memory.compared_at,
        )

    # ---- the process ------------------------------------------------------------------------------------------------

    @workflow.run
    async def run(self, start: InventoryStart) -> InventoryMemory:
        """Watch, push, compare, until the shift is over. A cancel request ends it with what is known."""
        try:
            await self.work()
        except asyncio.CancelledError:
            self.show("ended, as somebody requested")
        self.over = True
        await workflow.wait_condition(workflow.all_handlers_finished)
        self.memory = self.memory.model_copy(update={"digests": self.digests.text, "as_of": workflow.now()})
        return self.memory

    async def work(self) -> None:
        """The shift."""
        continues = False
        while True:
            self.stumbled = False
            self.begin_what_was_asked()
            found = await self.watch(continues=continues)
            continues = found.more
            await self.push(found)
            if not found.more:
                if self.compare_due() <= self.now():
                    await self.compare()
                self.finish_what_was_asked()
            if not self.stumbled:
                self.remember_problem("")
            if self.is_over(continues=continues):
                return

    def is_over(self, *, continues: bool) -> bool:
        """The time is up, or the history is long enough; what people asked for is finished first."""
        if workflow.info().is_continue_as_new_suggested():
            return True
        return self.now() >= self.until and not continues and not self.asked

    def now(self) -> datetime:
        """The workflow's clock, or a worker's that is ahead: otherwise a watch would end and begin again at once."""
        return max(workflow.now(), self.clock)

    def sweep_due(self) -> datetime:
        """When all stock is read again."""
        swept_at = self.memory.swept_at
        return swept_at + timedelta(seconds=self.pace.inventory_sweep) if swept_at else workflow.now()

    def compare_due(self) -> datetime:
        """When the store's numbers are compared again."""
        compared_at = self.memory.compared_at or workflow.now()
        return compared_at + timedelta(seconds=self.pace.inventory_compare)

    # ---- watching ---------------------------------------------------------------------------------------------------

    async def watch(self, *, continues: bool) -> StockFound:
        """Until the store is to be told something, the shift ends, a comparison is due, or somebody asks."""
        until = workflow.now() if self.asked else min(self.until, self.compare_due())
        self.show("reads the next page of changes" if continues else "watches Sage")
        watching = workflow.start_activity_method(
            StockSweepActivities.watch_stock,
            StockWatch(
                pair=self.start.pair,
                pace=self.pace,
                digests=self.digests.text,
                next_bucket=self.memory.next_bucket,
                sweep_at=self.sweep_due(),
                continues=continues,
                until=until,
                ended_since=self.ended_since,
            ),
            task_queue=queues.sage_read(self.start.pair),
            start_to_close_timeout=LONGEST_STEP,
            heartbeat_timeout=timedelta(seconds=self.pace.poll_heartbeat_timeout),
            retry_policy=retry.outside_system(self.pace),
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary="The next page of changes" if continues else f"Watch Sage's stock, at most until {until:%H:%M:%S}",
        )
        wanted = self.requests
        await workflow.wait_condition(lambda: watching.done() or self.requests > wanted)
        if not watching.done():
            # Somebody asks: what is watched for can wait.
            watching.cancel()
        try:
            found = await watching
        except ActivityError as error:
            if self.requests == wanted or not is_cancelled_exception(error):
                await self.stuck(error)
            return StockFound(next_bucket=self.memory.next_bucket)
        self.ended_since = None
        if found.time_is_up:
            self.clock = max(self.clock, until)
        if found.forgotten:
            self.digests = Digests()
        self.memory = self.memory.model_copy(
            update={"next_bucket": found.next_bucket, "swept_at": found.swept_at or self.memory.swept_at}
        )
        self.note(reading=found.reading, swept_at=self.memory.swept_at)
        return found

    # ---- pushing ----------------------------------------------------------------------------------------------------

    async def push(self, found: StockFound) -> None:
        """Rows to the store; then, and only then, their buckets are known."""
        for one in found.buckets:
            self.digests[one.bucket] = UNKNOWN
        if found.rows and await self.send(found.rows) is None:
            return
        for one in found.buckets:
            self.digests[one.bucket] = bytes.fromhex(one.digest)

    async def send(self, rows: list[StockRow]) -> int | None:
        """Returns how many the store did not take; None when they did not arrive."""
        self.show(f"tells the store {len(rows)} numbers")
        try:
            pushed = await workflow.execute_activity_method(
                StoreStockActivities.push_stock,
                PushStock(pair=self.start.pair, rows=rows),
                task_queue=queues.clarity(self.start.pair),
                start_to_close_timeout=LONGEST_STEP,
                heartbeat_timeout=self.call_heartbeat(),
                retry_policy=retry.outside_system(self.pace),
                summary=f"{len(rows)} stock numbers → Clarity ({rows[0].sku} …)"[:190],
            )
        except ActivityError as error:
            await self.stuck(error)
            return None
        self.note(
            pushed=self.progress_.pushed + pushed.sent,
            pages=self.progress_.pages + 1,
            rejected=self.progress_.rejected + pushed.rejected,
            rejected_skus=[*self.progress_.rejected_skus, *pushed.rejected_skus][:FIRST_SKUS],
        )
        return pushed.rejected

    def call_heartbeat(self) -> timedelta:
        """The store's side heartbeats after each call, which has limits of its own."""
        return max(timedelta(seconds=self.pace.poll_heartbeat_timeout), retry.one_call(self.pace))

    async def stuck(self, error: ActivityError) -> None:
        """A step failed for good (outages are waited out): one alert for a problem however many shifts it lasts.

        It waits a retry's longest interval, so that a failing step does not spin.
        """
        if is_cancelled_exception(error):
            raise asyncio.CancelledError from error
        cause = error.cause
        why = cause.message if isinstance(cause, ApplicationError) else str(cause or error)
        self.stumbled = True
        known = self.memory.problem
        self.remember_problem(why[:300])
        if known != self.memory.problem:
            words = in_short(error) if hold_for(error)[0] is HoldReason.INTERNAL_ERROR else why[:300]
            alert = Alert(
                pair=self.start.pair,
                kind=AlertKind.STOCK_STUCK,
                workflow_id=workflow.info().workflow_id,
                title=f"Stock of pair {self.start.pair}",
                text=f"Stock numbers do not reach Clarity: {words}",
                occurrence=workflow.info().run_id,
            )
            await raise_alert(alert, "Alert: stock does not reach Clarity")
        self.show("waits before the next attempt")
        await workflow.sleep(
            timedelta(seconds=self.pace.retry_maximum), summary="Before the next attempt: the last one failed for good"
        )

    def remember_problem(self, why: str) -> None:
        """Why stock does not reach the store, for this shift and the next one; empty when it does."""
        self.memory = self.memory.model_copy(update={"problem": why})
        self.note(problem=why)

    # ---- comparing --------------------------------------------------------------------------------------------------

    async def compare(self) -> None:
        """The store's own numbers: what differs in two readings is drift, and is pushed again.

        A store takes a sold piece off its number before we hear of the order: such a difference is gone, or another
        one, at the second reading.
        """
        self.show("compares with the store's own numbers")
        try:
            suspects = await self.differences("first", None)
            drifted: list[DriftedRow] = []
            if suspects:
                await workflow.sleep(
                    timedelta(seconds=self.pace.agree_time),
                    summary=f"{len(suspects)} numbers differ at Clarity; look again before believing it",
                )
                buckets = list(dict.fromkeys(bucket_of(row.sku) for row in suspects))
                again = {(row.sku, row.warehouse): row for row in await self.differences("second", buckets)}
                drifted = [row for row in suspects if again.get((row.sku, row.warehouse)) == row]
        except ActivityError as error:
            await self.stuck(error)
            return
        finally:
            self.memory = self.memory.model_copy(update={"compared_at": self.now()})
            self.note(compared_at=self.memory.compared_at)
        if drifted:
            await self.repair(drifted)

    async def differences(self, which: str, only: list[int] | None) -> list[DriftedRow]:
        """One reading of the store's list, page by page, against what it should have."""
        found: list[DriftedRow] = []
        self.comparisons += 1
        reading = f"{workflow.info().run_id}-{self.comparisons}"
        bucket: int | None = 0
        while bucket is not None:
            page = await workflow.execute_activity_method(
                StoreStockActivities.list_store_stock,
                ListStoreStock(
                    pair=self.start.pair, digests=self.digests.text, from_bucket=bucket, only=only, reading=reading
                ),
                task_queue=queues.clarity(self.start.pair),
                start_to_close_timeout=LONGEST_STEP,
                heartbeat_timeout=self.call_heartbeat(),
                retry_policy=retry.outside_system(self.pace),
                summary=f"Clarity's own stock numbers ({which} reading)",
            )
            bucket = page.next_bucket
            self.note(compared=page.listed)
            if not page.buckets:
                continue
            compared = await workflow.execute_activity_method(
                StockSweepActivities.compare_stock,
                CompareStock(
                    pair=self.start.pair,
                    pace=self.pace,
                    digests=self.digests.text,
                    buckets=page.buckets,
                    rows=page.rows,
                ),
                task_queue=queues.sage_read(self.start.pair),
                start_to_close_timeout=LONGEST_STEP,
                heartbeat_timeout=timedelta(seconds=self.pace.poll_heartbeat_timeout),
                retry_policy=retry.outside_system(self.pace),
                summary=f"{len(page.rows)} of Clarity's numbers against Sage's",
            )
            found += compared.rows
        return found

    async def repair(self, drifted: list[DriftedRow]) -> None:
        """Tell the store those numbers again, and people once: how many, and which first."""
        before = {bucket: self.digests[bucket] for bucket in (bucket_of(row.sku) for row in drifted)}
        for bucket in before:
            self.digests[bucket] = UNKNOWN
        rejected = 0
        for begin in range(0, len(drifted), PAGE_ROWS):
            rows = [StockRow(row.sku, row.warehouse, row.ours) for row in drifted[begin : begin + PAGE_ROWS]]
            sent = await self.send(rows)
            if sent is None:
                # Their buckets stay unknown: the next page of changes has them.
                return
            rejected += sent
        for bucket, digest in before.items():
            self.digests[bucket] = digest
        missing = sum(row.store is None for row in drifted)
        # A SKU that the store does not sell is missing for ever, and nobody's drift.
        unknown = min(missing, rejected)
        count = len(drifted) - unknown
        self.note(
            drifted=self.progress_.drifted + count,
            missing=self.progress_.missing + missing - unknown,
            first_drifted=[in_words(row) for row in drifted][:FIRST_SKUS],
        )
        if count:
            first = "; ".join(in_words(row) for row in drifted[:5])
            alert = Alert(
                pair=self.start.pair,
                kind=AlertKind.DRIFT,
                workflow_id=workflow.info().workflow_id,
                title=f"Stock of pair {self.start.pair}",
                text=f"{count} stock numbers at Clarity were not those that it was told, and were put right: {first}"
                f"{'; …' if len(drifted) > 5 else ''}. Somebody or something else writes them.",
                occurrence=workflow.info().run_id,
            )
            await raise_alert(alert, f"Alert: {count} stock numbers had drifted at Clarity")

    # ---- by hand ----------------------------------------------------------------------------------------------------

    @workflow.update(description="By hand: sweep, full (push everything again) or compare; answers when it is done")
    async def ask(self, action: InventoryAction) -> InventoryProgress:
        """`python -m workers inventory`. Several may ask at once."""
        self.requests += 1
        mine = self.requests
        self.asked.append(action)
        await workflow.wait_condition(lambda: self.answered >= mine or self.over)
        if self.answered < mine:
            raise ApplicationError(ENDED)
        return self.progress()

    @ask.validator
    def check_ask(self, action: InventoryAction) -> None:
        """Refused at the end of a shift: the next one takes it."""
        if self.over or workflow.info().is_continue_as_new_suggested():
            raise ApplicationError(ENDED)

    def begin_what_was_asked(self) -> None:
        """What people asked for is due now, once."""
        for action in self.asked[self.taken_up - self.requests :] if self.requests > self.taken_up else []:
            update: dict[str, datetime | None] = {"swept_at": None}
            if action is InventoryAction.FULL:
                self.digests = Digests()
            if action is InventoryAction.COMPARE:
                update["compared_at"] = workflow.now() - timedelta(seconds=self.pace.inventory_compare)
            self.memory = self.memory.model_copy(update=update)
        self.taken_up = self.requests

    def finish_what_was_asked(self) -> None:
        """Requests that were there when this round began are done."""
        del self.asked[: self.taken_up - self.answered]
        self.answered = self.taken_up

    # ---- showing ----------------------------------------------------------------------------------------------------

    @workflow.query(description="What this shift has done so far, and what comes next")
    def progress(self) -> InventoryProgress:
        """For people, the command line and the console."""
        compared_at = self.memory.compared_at
        return self.progress_.model_copy(
            update={
                "known_buckets": self.digests.known,
                "next_sweep": self.sweep_due(),
                "next_compare": compared_at + timedelta(seconds=self.pace.inventory_compare) if compared_at else None,
            }
        )

    def note(self, **changes: object) -> None:
        """Keep what was done."""
        self.progress_ = self.progress_.model_copy(update=changes)

    def show(self, doing: str) -> None:
        """The details page (that costs no event)."""
        self.note(doing=doing)
        workflow.set_current_details(page(self.start.pair, self.progress(), self.until))


def in_words(row: DriftedRow) -> str:
    """`DESK-OAK-120 (MAIN): 7 instead of 5`."""
    there = "missing" if row.store is None else str(row.store)
    return f"{row.sku} ({row.warehouse}): {there} instead of {row.ours}"


def page(pair: str, progress: InventoryProgress, until: datetime) -> str:
    """What the Web UI shows."""
    reading = progress.reading
    rows = [
        ("Doing", progress.doing),
        ("Problem", progress.problem),
        ("Last sweep", moment(progress.swept_at)),
        ("Next sweep", moment(progress.next_sweep)),
        ("Items in Sage", f"{reading.items:,}" if reading.at else ""),
        ("Numbers for the store", f"{reading.rows:,}, read in {reading.seconds:g} s" if reading.at else ""),
        ("Accepted orders not yet in Sage", f"{reading.orders}" if reading.at else ""),
        ("… that did not answer, and count as they came", f"{reading.unanswered or ''}"),
        ("Items in Sage that cannot be read", f"{reading.unreadable or ''}"),
        ("Numbers told to the store in this shift", f"{progress.pushed:,}, pages: {progress.pages}"),
        ("… not taken by the store", f"{progress.rejected or ''}"),
        ("Buckets whose content is known", f"{progress.known_buckets:,} of {BUCKETS:,}"),
        ("Last comparison", moment(progress.compared_at)),
        ("Next comparison", moment(progress.next_compare)),
        ("Drifted numbers, put right", f"{progress.drifted or ''}"),
    ]
    lines = [f"| {name} | {value} |" for name, value in rows if value]
    head = f"## Stock of pair {pair} → Clarity\n\nThis shift ends at {until:%H:%M:%S} UTC, and the next one goes on."
    text = f"{head} Pause the Schedule to stop.\n\n| | |\n|---|---|\n" + "\n".join(lines)
    for title, named in (("Not taken", progress.rejected_skus), ("Drifted", progress.first_drifted)):
        if named:
            text += f"\n\n**{title}**, the first of them:\n\n" + "\n".join(f"* {one}" for one in named)
    return text[:15_000]


def moment(at: datetime | None) -> str:
    """UTC, to the second."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at is not None else ""
