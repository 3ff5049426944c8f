"""Counts what becomes of the steps at outside systems, and how busy Sage's seats are.

In: every activity's queue, attempt and error. Out: `contracts.metrics`. Applied to every activity by `Metering`, which
the plugin installs outside of `ErrorTranslation`: it sees the error that Temporal sees, and its cause.
"""

import asyncio
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal

from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from connectors.errors import TooManyRequests
from contracts import queues
from contracts.failures import FailureType
from contracts.metrics import FAILURES, RETRIES, SEAT_SECONDS, SEATS, THROTTLED
from contracts.outages import OutsideSystem

_QUEUES = {
    queues.sage_write("").rstrip("-"): OutsideSystem.SAGE,
    queues.sage_read("").rstrip("-"): OutsideSystem.ODBC,
    queues.clarity("").rstrip("-"): OutsideSystem.CLARITY,
}


@lru_cache(maxsize=256)
def place_of(task_queue: str) -> tuple[str, str] | None:
    """Pair and system whose queue this is; None for the queues that only talk to Temporal."""
    name, _, pair = task_queue.rpartition("-")
    system = _QUEUES.get(name)
    return None if system is None else (pair, system.value)


class Metering(Interceptor):
    """Worker interceptor: counts retries, failures and 429s by pair and system."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        """See base class; the parameter's name is Temporal's."""
        return _Metering(super().intercept_activity(next))


class _Metering(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        info = activity.info()
        place = place_of(info.task_queue)
        if place is None:
            return await self.next.execute_activity(input)
        if info.attempt > 1:
            RETRIES.labels(*place).inc()
        try:
            return await self.next.execute_activity(input)
        except ApplicationError as error:
            # A shift that moves to another worker is no failure.
            if error.type != FailureType.HANDOVER:
                FAILURES.labels(*place, _known(error.type)).inc()
            if isinstance(error.__cause__, TooManyRequests):
                THROTTLED.labels(*place).inc()
            raise


def _known(type_: str | None) -> str:
    """One of `FailureType`: a label has few values, whatever somebody raises."""
    return type_ if type_ in set(FailureType) else "other"


class Seats(asyncio.Semaphore):
    """The writers of one company: a semaphore that counts the seconds in which its seats are taken.

    `clock` counts seconds and never jumps.
    """

    def __init__(self, writers: int, company: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(writers)
        self._clock = clock
        self._busy = 0
        self._since = clock()
        self._seconds = SEAT_SECONDS.labels(company)
        SEATS.labels(company).set(writers)

    async def acquire(self) -> Literal[True]:
        """See base class."""
        taken = await super().acquire()
        self._count(1)
        return taken

    def release(self) -> None:
        """See base class."""
        self._count(-1)
        super().release()

    def _count(self, change: int) -> None:
        now = self._clock()
        self._seconds.inc(self._busy * (now - self._since))
        self._busy, self._since = self._busy + change, now
