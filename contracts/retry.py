"""Retry policies and time-outs by purpose. Intervals come from the pair's `pace`: tests and the demo scale them.

The server adds jitter to a backoff on its own; a 429's Retry-After overrides the interval (`activities.errors`).
"""

from datetime import timedelta
from typing import Final

from temporalio.common import RetryPolicy

from mappings.pair import Pace


def outside_system(pace: Pace) -> RetryPolicy:
    """Calls to Sage and Clarity: an outage is waited out, however long; final answers are marked non-retryable."""
    return RetryPolicy(
        initial_interval=timedelta(seconds=pace.retry_initial),
        backoff_coefficient=2.0,
        maximum_interval=timedelta(seconds=pace.retry_maximum),
        maximum_attempts=0,
    )


TRANSFORM: Final = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_attempts=3)
"""The transform is pure: what failed three times is a bug of ours and holds the order as `internal_error`."""

ALERT: Final = RetryPolicy(
    initial_interval=timedelta(seconds=5), maximum_interval=timedelta(minutes=5), maximum_attempts=20
)
"""An alert channel that is down must not hold an order for ever."""

ONE_ATTEMPT: Final = RetryPolicy(maximum_attempts=1)
"""Delivery of alerts: `AlertWorkflow` counts the failures and decides when to try a target again."""

ALERT_DELIVERY: Final = timedelta(seconds=60)
"""Start-to-close of one delivery of a few messages; a service's own time-outs are some seconds each."""

ALERT_DELIVERY_WITH_WAIT: Final = timedelta(minutes=2)
"""Schedule-to-close of the same: without a worker on the queue `alerts`, the workflow goes on and tries again."""

INTERNAL_ERROR_ATTEMPTS: Final = 5
"""An exception that is not ours is tried this often before the order is held (design, failures)."""


def one_call(pace: Pace) -> timedelta:
    """Start-to-close of an activity that makes a few calls, each with the connectors' own limits (15 s)."""
    return timedelta(seconds=pace.call_limit)


TEMPORAL_CALL: Final = timedelta(seconds=30)
"""Start-to-close of an activity that only talks to Temporal or to an alert channel."""

SEVERAL_CALLS: Final = timedelta(minutes=5)
"""What a shift of the poller may be late; whether it lives is known from its heartbeats."""


def several_calls(pace: Pace) -> timedelta:
    """Start-to-close of an activity that makes a call per package or per page.

    Also what an order or a new buyer waits when a worker dies within such an activity: it goes with the pace.
    """
    return one_call(pace) * 2.5


TRANSFORM_LIMIT: Final = timedelta(seconds=10)
"""Start-to-close of the transform; a thousand lines take well under a second."""
