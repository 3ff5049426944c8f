"""The watch: workflows whose code fails, orders that ended without being completed, and shifts of the poller or
backfills that failed. Once a day it asks each waiting order to look at Sage itself.

In: `WatchShift`. Out: one alert for each, and the cursor. Listings lag, so closed orders are looked at again for
`OVERLAP`; what was told is kept in the cursor. A listing only finds: whether an order really ended is asked by its id.
"""

import asyncio
import logging
from datetime import datetime, timedelta
from time import monotonic
from typing import Final

from temporalio import activity
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.service import RPCError, RPCStatusCode

from activities.alerting import log_alert, signal_alert
from activities.errors import TEMPORAL_AWAY
from activities.shifts import server_clock
from contracts import ids
from contracts.alerts import WatchCursor, WatchShift
from contracts.failures import FailureType
from contracts.messages import Alert, AlertKind
from contracts.search_attributes import FAILED_FLOWS, WAITING_FOR_SAGE
from mappings.pair import Pace

OVERLAP: Final = timedelta(minutes=2)
"""A closed workflow is in the listing by then."""
COLD_START: Final = timedelta(days=7)
"""How far back a watch looks that has no cursor."""
ASKED_IN_SLOTS: Final = 24
"""Each waiting order is asked in the slot of the day (`pace.daily_read`) in which it started."""
TOLD_KEPT: Final = 2_000
"""Runs in the cursor, 12 characters each: those listed within the overlap, few but after a bulk termination."""

LOOK_AT_SAGE: Final = "look_at_sage"
"""Signal of `OrderFulfillmentWorkflow`."""

log = logging.getLogger(__name__)


class WatchActivities:
    """Watches all pairs, each in a shift of its own."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @activity.defn
    async def watch(self, shift: WatchShift) -> WatchCursor:
        """Look until the shift ends; on the way out of this worker, hand over to the next one by heartbeat."""
        details = activity.info().heartbeat_details
        cursor = WatchCursor.model_validate(details[0]) if details else (shift.cursor or WatchCursor())
        # Closing times are the server's: by a clock of this machine that is fast, orders would end unseen.
        now = server_clock()
        while True:
            activity.heartbeat(cursor)
            try:
                cursor = await self.look(shift.pair, cursor, shift.pace, now())
            except RPCError as error:
                # Nothing is forgotten: the cursor stays, and what was raised already is known again by its key.
                log.warning("The watch of pair %s could not look (%s); it looks again", shift.pair, error.status)
            activity.heartbeat(cursor)
            if now() >= shift.until:
                return cursor
            await self._rest(cursor, shift.pace)

    async def _rest(self, cursor: WatchCursor, pace: Pace) -> None:
        """Wait for the next look, heartbeating; a stopping worker ends the wait."""
        end = monotonic() + pace.watch_interval
        shutdown = asyncio.create_task(activity.wait_for_worker_shutdown())
        try:
            while (left := end - monotonic()) > 0:
                done, _ = await asyncio.wait({shutdown}, timeout=min(left, pace.poll_heartbeat_timeout / 3))
                if done:
                    raise ApplicationError(
                        "This worker is stopping; the shift goes on from its heartbeat on another one",
                        type=FailureType.HANDOVER,
                        category=ApplicationErrorCategory.BENIGN,
                        next_retry_delay=timedelta(seconds=1),
                    )
                activity.heartbeat(cursor)
        finally:
            shutdown.cancel()

    async def look(self, pair: str, cursor: WatchCursor, pace: Pace, now: datetime) -> WatchCursor:
        """One look, at this moment of the server; returns the cursor after it."""
        since = (cursor.closed_since or now - COLD_START) - OVERLAP
        told = set(cursor.ended)
        ended: list[str] = []
        raised = cursor.raised
        query = (
            f"Pair='{pair}' AND WorkflowType='OrderFulfillmentWorkflow' "
            "AND ExecutionStatus IN ('Terminated', 'Failed', 'TimedOut', 'Canceled') "
            f"AND CloseTime > '{since:%Y-%m-%dT%H:%M:%SZ}'"
        )
        async for run in self._client.list_workflows(query):
            activity.heartbeat(cursor)
            ended.append(short(run.run_id))
            if short(run.run_id) not in told and await self._is_the_last_run(run):
                await self._raise(ended_alert(pair, run), pace)
                raised += 1
        query = f"Pair='{pair}' AND {FAILED_FLOWS} AND CloseTime > '{since:%Y-%m-%dT%H:%M:%SZ}'"
        async for run in self._client.list_workflows(query):
            activity.heartbeat(cursor)
            ended.append(short(run.run_id))
            if short(run.run_id) not in told:
                await self._raise(flow_alert(pair, run, now), pace)
                raised += 1
        failing: list[str] = []
        news: list[WorkflowExecution] = []
        known = set(cursor.failing)
        query = f"Pair='{pair}' AND TemporalReportedProblems IS NOT NULL AND ExecutionStatus='Running'"
        async for run in self._client.list_workflows(query):
            activity.heartbeat(cursor)
            if short(run.run_id) in known:
                failing.append(short(run.run_id))
            elif len(news) < TOLD_KEPT:
                news.append(run)
        # Only what the cursor can keep is told: those beyond would be told anew with every look. The message of the
        # first ones lists them all.
        for run in news[: TOLD_KEPT - len(failing)]:
            activity.heartbeat(cursor)
            await self._raise(failing_alert(pair, run, now), pace)
            failing.append(short(run.run_id))
            raised += 1
        asked_until = await self._ask_waiting(pair, cursor, pace, now)
        return WatchCursor(
            closed_since=now, ended=ended[:TOLD_KEPT], failing=failing, raised=raised, asked_until=asked_until
        )

    async def _ask_waiting(self, pair: str, cursor: WatchCursor, pace: Pace, now: datetime) -> datetime:
        """Signal `look_at_sage` to the waiting orders whose time of day has come; until when they were asked.

        A slot that was missed is made up for with the next look. Where Temporal goes away in the middle, the next slot
        begins with those that were not asked; an order that takes no signal is left behind, and stops no other.
        """
        since, day = cursor.asked_until or now, timedelta(seconds=pace.daily_read)
        if now - since < day / ASKED_IN_SLOTS:
            return since
        # Whole seconds: one more is listed than is due.
        before = now - day + timedelta(seconds=1)
        query = (
            f"Pair='{pair}' AND WorkflowType='OrderFulfillmentWorkflow' AND ExecutionStatus='Running' "
            f"AND {WAITING_FOR_SAGE} AND StartTime < '{before:%Y-%m-%dT%H:%M:%SZ}'"
        )
        due: list[tuple[datetime, str, str]] = []
        try:
            async for run in self._client.list_workflows(query):
                activity.heartbeat(cursor)
                at = run.start_time + (now - run.start_time) // day * day
                if at > since:
                    due.append((at, run.id, run.run_id))
            for at, id_, run_id in sorted(due):
                activity.heartbeat(cursor)
                await self._ask(id_, run_id)
                since = at
        except RPCError as error:
            log.warning("The watch of pair %s could not ask its waiting orders (%s); it goes on", pair, error.status)
            return since
        return now

    async def _ask(self, id_: str, run_id: str) -> None:
        try:
            await self._client.get_workflow_handle(id_, run_id=run_id).signal(
                LOOK_AT_SAGE, rpc_timeout=timedelta(seconds=10)
            )
        except RPCError as error:
            if error.status in TEMPORAL_AWAY:
                raise
            # Not found: it ended while it was listed. Of others people are told when the poller has news for them.
            if error.status is not RPCStatusCode.NOT_FOUND:
                log.warning("Order cannot be asked (%s)", error.status.name, extra={"workflow_id": id_})

    async def _is_the_last_run(self, run: WorkflowExecution) -> bool:
        """Not when the order was started again, or reset: then somebody follows it."""
        try:
            latest = await self._client.get_workflow_handle(run.id).describe(rpc_timeout=timedelta(seconds=10))
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                # Its retention passed while it was listed.
                return True
            raise
        return latest.run_id == run.run_id and latest.status is not WorkflowExecutionStatus.RUNNING

    async def _raise(self, alert: Alert, pace: Pace) -> None:
        log_alert(alert)
        await signal_alert(self._client, alert, pace)


def ended_alert(pair: str, run: WorkflowExecution) -> Alert:
    """Somebody terminated an order, or it failed: how to start it again."""
    order_id = ids.order_id_of(pair, run.id) or run.id
    status = run.status.name.lower().replace("_", " ") if run.status else "closed"
    return Alert(
        pair=pair,
        kind=AlertKind.ORDER_ENDED,
        workflow_id=run.id,
        title=f"Order {order_id}",
        text=f"{status}, not completed; start it again: POST /orders/{pair}/{order_id}/restart",
        occurrence=run.run_id,
    )


def flow_alert(pair: str, run: WorkflowExecution, now: datetime) -> Alert:
    """Once per flow and day: the next shifts probably fail, too."""
    return Alert(
        pair=pair,
        kind=AlertKind.FLOW_FAILED,
        workflow_id=run.workflow_type,
        title=run.workflow_type,
        text=f"a run of pair {pair} failed; its failure says why: look at it in the Web UI. The next run of its "
        "Schedule goes on where the last one that succeeded ended",
        occurrence=f"{now:%Y-%m-%d}",
    )


def failing_alert(pair: str, run: WorkflowExecution, now: datetime) -> Alert:
    """Once per run and day: a run that fails again much later is news."""
    return Alert(
        pair=pair,
        kind=AlertKind.TASKS_FAILING,
        workflow_id=run.id,
        title=run.workflow_type,
        text="its workflow tasks fail and it stands still; see its history, mend the code and restart the workers: "
        "it goes on by itself",
        occurrence=f"{run.run_id}:{now:%Y-%m-%d}",
    )


def short(run_id: str) -> str:
    """Enough of a run id (a random UUID) to know it again among some hundred."""
    return run_id[-12:]
