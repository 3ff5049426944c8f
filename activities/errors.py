"""The one place where the connectors' errors become Temporal's.

In: whatever an activity raised. Out: an `ApplicationError` whose `type` is a `FailureType`, whose message a person can
act on, and whose `next_retry_delay` keeps a 429's Retry-After. Applied to every activity by `ErrorTranslation`, which
the plugin installs, so no activity can forget it.
"""

import random
import traceback
from datetime import timedelta
from pathlib import PurePath
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory, CancelledError, FailureError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from connectors.errors import Ambiguous, ConnectorError, Refused, RetryLater, SignedOut
from contracts.failures import FailureType
from contracts.retry import INTERNAL_ERROR_ATTEMPTS
from mappings.problems import Problem

SIGNED_OUT_RETRY = timedelta(minutes=5)
"""Refused credentials are tried slowly: a person must change something, and accounts lock."""


TEMPORAL_AWAY = frozenset(
    {
        RPCStatusCode.UNAVAILABLE,
        RPCStatusCode.DEADLINE_EXCEEDED,
        RPCStatusCode.CANCELLED,
        RPCStatusCode.RESOURCE_EXHAUSTED,
        RPCStatusCode.ABORTED,
    }
)
"""Temporal itself did not answer an activity's call, or wants fewer of them."""

SPREAD_SHARE, SPREAD_LIMIT = 0.1, timedelta(seconds=30)
"""Calls that were told the same moment come up to a tenth of the wait later, each at its own moment; never sooner."""


def translate(error: Exception, attempt: int) -> BaseException:
    """The error Temporal should see for `error`, raised in the activity's `attempt`-th attempt (from 1)."""
    if isinstance(error, FailureError | CancelledError):
        return error
    if isinstance(error, Refused):
        type_ = FailureType.REFUSED_BY_SAGE if error.system.startswith("Sage") else FailureType.REFUSED_BY_CLARITY
        return ApplicationError(str(error), problems_of(error), type=type_, non_retryable=True)
    if isinstance(error, SignedOut):
        return ApplicationError(
            str(error), type=FailureType.SIGNED_OUT, next_retry_delay=min(SIGNED_OUT_RETRY, _slow(attempt))
        )
    if isinstance(error, RetryLater):
        return ApplicationError(
            str(error),
            type=FailureType.UNAVAILABLE,
            next_retry_delay=_told(error.retry_after),
            category=ApplicationErrorCategory.BENIGN,
        )
    if isinstance(error, Ambiguous | ConnectorError):
        # An activity that writes reads back on its next attempt and decides (rules 4).
        return ApplicationError(str(error), type=FailureType.UNAVAILABLE)
    if isinstance(error, RPCError) and error.status in TEMPORAL_AWAY:
        # No exception of ours: however many attempts other outages have used up, this one passes, too.
        return ApplicationError(
            f"Temporal did not answer a call of this activity: {error.status.name}",
            type=FailureType.UNAVAILABLE,
            category=ApplicationErrorCategory.BENIGN,
        )
    return ApplicationError(
        f"{type(error).__name__} in {_place(error)}: {error}",
        [Problem(field=_place(error), message=f"{type(error).__name__}: {error}"[:500]).model_dump()],
        type=FailureType.INTERNAL_ERROR,
        non_retryable=attempt >= INTERNAL_ERROR_ATTEMPTS,
    )


def problems_of(error: Refused) -> list[dict[str, Any]]:
    """A refusal as problems for the hold: column or field, and the system's own words."""
    field = error.field or error.system
    return [Problem(field=field, message=error.message).model_dump()]


def _told(wait: timedelta | None) -> timedelta | None:
    """The wait that the other side asked for, and a little; None leaves it to the retry policy."""
    if wait is None:
        return None
    return wait + min(wait * SPREAD_SHARE, SPREAD_LIMIT) * random.random()  # noqa: S311 - nothing secret


def _slow(attempt: int) -> timedelta:
    return timedelta(seconds=10 * 2 ** min(attempt, 6))


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return "unknown place"
    last = frames[-1]
    return f"{PurePath(last.filename).name}:{last.lineno} ({last.name})"


class ErrorTranslation(Interceptor):
    """Worker interceptor: every activity's exceptions pass `translate`."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        """See base class; the parameter's name is Temporal's."""
        return _Translating(super().intercept_activity(next))


class _Translating(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        try:
            return await self.next.execute_activity(input)
        except Exception as error:
            translated = translate(error, activity.info().attempt)
            if translated is error:
                raise
            raise translated from error
