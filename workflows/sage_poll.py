"""One shift of the Sage poller: `SagePollWorkflow`, run by the Schedule `sage-poll-{pair}`.

In: the pair and its pace. Out: the cursor, which the next shift takes up as the last completion result. A shift is
one activity that polls until the shift ends and heartbeats its cursor after each poll.
"""

from datetime import timedelta

from temporalio import workflow

from activities.sage_poll import SagePollActivities
from contracts import queues, retry
from contracts.messages import PollCursor, PollShift
from mappings.frozen import Frozen
from mappings.pair import Pace


class PollStart(Frozen):
    """Argument of the scheduled workflow."""

    pair: str
    pace: Pace


@workflow.defn(name="SagePollWorkflow")
class SagePollWorkflow:
    """A shift; see the module."""

    @workflow.run
    async def run(self, start: PollStart) -> PollCursor:
        """Poll until the shift is over and hand over the cursor."""
        cursor = workflow.get_last_completion_result(PollCursor)
        until = workflow.now() + timedelta(seconds=start.pace.shift_length)
        workflow.set_current_details(
            f"Polls Sage every {start.pace.poll_interval:g} s until {until:%H:%M:%S} UTC; the activity's heartbeat "
            "holds the cursor. Pause the Schedule to stop polling."
        )
        return await workflow.execute_activity_method(
            SagePollActivities.poll,
            PollShift(pair=start.pair, cursor=cursor, until=until, pace=start.pace),
            activity_id="poll",
            task_queue=queues.sage_read(start.pair),
            start_to_close_timeout=timedelta(seconds=start.pace.shift_length) + retry.SEVERAL_CALLS,
            heartbeat_timeout=timedelta(seconds=start.pace.poll_heartbeat_timeout),
            retry_policy=retry.outside_system(start.pace),
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=f"Poll Sage for shipments until {until:%H:%M:%S} UTC",
        )
