"""One shift of the watch: `WatchWorkflow`, run by the Schedule `watch-{pair}`.

In: the pair and its pace. Out: the cursor, which the next shift takes up as the last completion result. A shift is one
activity that looks every `pace.watch_interval` for workflows whose code fails and for orders that ended without being
completed, and raises one alert for each.
"""

from datetime import timedelta

from temporalio import workflow

from activities.watch import WatchActivities
from contracts import queues, retry
from contracts.alerts import WatchCursor, WatchShift
from mappings.frozen import Frozen
from mappings.pair import Pace


class WatchStart(Frozen):
    """Argument of the scheduled workflow."""

    pair: str
    pace: Pace


@workflow.defn(name="WatchWorkflow")
class WatchWorkflow:
    """A shift; see the module."""

    @workflow.run
    async def run(self, start: WatchStart) -> WatchCursor:
        """Look until the shift is over and hand over the cursor."""
        cursor = workflow.get_last_completion_result(WatchCursor)
        until = workflow.now() + timedelta(seconds=start.pace.shift_length)
        workflow.set_current_details(
            f"Looks every {start.pace.watch_interval:g} s until {until:%H:%M:%S} UTC for failing workflow tasks and "
            "for orders that ended without being completed; the activity's heartbeat holds the cursor."
        )
        return await workflow.execute_activity_method(
            WatchActivities.watch,
            WatchShift(pair=start.pair, cursor=cursor, until=until, pace=start.pace),
            activity_id="watch",
            task_queue=queues.ALERTS,
            start_to_close_timeout=timedelta(seconds=start.pace.shift_length) + retry.SEVERAL_CALLS,
            heartbeat_timeout=timedelta(seconds=start.pace.poll_heartbeat_timeout),
            retry_policy=retry.outside_system(start.pace),
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=f"Watch for failing tasks and ended orders until {until:%H:%M:%S} UTC",
        )
