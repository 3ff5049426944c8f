"""How a workflow tells people: the activity `raise_alert`, which never makes the workflow fail."""

from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.orders import OrderActivities
from contracts import retry
from contracts.messages import Alert


async def raise_alert(alert: Alert, summary: str) -> None:
    """Log the alert and hand it to the pair's `AlertWorkflow`; `summary` is what the history shows.

    When `AlertWorkflow` does not take it for longer than `retry.ALERT` repeats, it stands in the log alone (the first
    attempt wrote it there) and the workflow goes on. It runs where the workflow runs, on the queue `orders`.
    """
    try:
        await workflow.execute_activity_method(
            OrderActivities.raise_alert,
            alert,
            start_to_close_timeout=retry.TEMPORAL_CALL,
            retry_policy=retry.ALERT,
            summary=summary[:190],
        )
    except ActivityError:
        workflow.logger.exception("The alert channel stayed down")
