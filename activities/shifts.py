"""What the activities that run for a whole shift share: the server's clock, and heartbeats beside the work.

In: the running activity. Out: the time of the server, which set the end of the shift, whatever this machine's clock
says; and a sign of life while one step takes longer than the heartbeat's time-out.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from time import monotonic

from temporalio import activity


def server_clock() -> Callable[[], datetime]:
    """A clock of the running attempt: the server's time when it handed it out, and the seconds since."""
    started, began = activity.info().started_time, monotonic()
    return lambda: started + timedelta(seconds=monotonic() - began)


@asynccontextmanager
async def heartbeats(details: object, every: float) -> AsyncIterator[None]:
    """Heartbeat these details now, and every so many seconds while the block runs: one call may take longer than the
    heartbeat's time-out. What changes meanwhile comes as a function; None is a sign of life and nothing else."""

    def tell() -> None:
        now = details() if callable(details) else details
        activity.heartbeat(*(() if now is None else (now,)))

    async def beat() -> None:
        while True:
            await asyncio.sleep(every)
            tell()

    tell()
    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await beating
