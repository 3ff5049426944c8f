"""One ODBC connection with a thread of its own: limits, cancelling, connecting again.

In: readings, functions that call `rows` and `connection`. Out: what they return. Raises RetryLater, and UnreadableRow
where the trouble is in a row and not in the server. A reading that
takes too long is cancelled (SQLCancel); one that does not listen, because the driver hangs, is left behind with its
thread and connection, and the next reading gets new ones.
"""

import asyncio
import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from connectors.errors import RetryLater, quoted
from connectors.sage100.driver import OdbcDriverMissing

SYSTEM = "Sage ODBC"
LISTEN_SECONDS = 2.0
"""A cancelled reading that does not end within this hangs."""
DATA_EXCEPTION = "22"
"""Class of the SQLSTATEs that blame a value (ISO 9075): out of range, no date, no number."""
MOST_LEFT_BEHIND = 4
"""With so many threads that hang, readings fail at once, until one comes back or some time has passed."""
HUNG_PAUSE_SECONDS = 60.0
"""Times the threads that hang: so long after the last one a reading is let through all the same. Some never come back
(a server that was switched off says no goodbye), and a few over the weeks must not stop a process for good."""

Row = Sequence[Any]
T = TypeVar("T")
log = logging.getLogger(__name__)


class UnreadableRow(ValueError):
    """A row holds what its column cannot, such as a date without a day; the server is well."""


class Cancelled(Exception):
    """The reading was cancelled between two statements."""


class Reading:
    """One reading on its way: what cancelling must find."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.cancelled = False
        self.cursor: Any = None

    def cancel(self) -> None:
        """Stop the statement that runs, and let no other begin. Called from another thread."""
        self.cancelled = True
        cursor = self.cursor
        if cursor is not None:
            # It may have been closed this moment.
            with contextlib.suppress(Exception):
                cursor.cancel()


class Session:
    """A thread and the connection that only it uses."""

    def __init__(self) -> None:
        self.executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sage-odbc")
        self.connection: Any = None
        self.reading: Reading | None = None

    def disconnect(self) -> None:
        """Close the connection, whatever state it is in."""
        connection, self.connection = self.connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()


class OdbcSource:
    """Runs readings one after the other. `open_` makes a connection."""

    def __init__(
        self,
        open_: Callable[[], Any],
        *,
        query_seconds: float,
        listen_seconds: float = LISTEN_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open = open_
        self._query_seconds = query_seconds
        self._listen_seconds = listen_seconds
        self._session = Session()
        self._here = threading.local()
        """In a reading's thread: its session."""
        self._clock = clock
        self._left_behind: set[Session] = set()
        self._left_at = -math.inf
        """When the last one was left behind."""
        self._stopping: set[asyncio.Task[None]] = set()
        """Readings whose callers were cancelled, on their way out."""

    async def close(self) -> None:
        """Close the connection and its thread; one that hangs is left behind."""
        session = self._session
        future = session.executor.submit(session.disconnect)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.wrap_future(future), self._listen_seconds)
        session.executor.shutdown(wait=False, cancel_futures=True)

    async def run(self, name: str, read: Callable[[], T]) -> T:
        """The result of a reading, its wait for the thread included within the limit."""
        hung = len(self._left_behind)
        if hung >= MOST_LEFT_BEHIND and self._clock() - self._left_at < HUNG_PAUSE_SECONDS * hung:
            raise RetryLater(SYSTEM, name, f"{hung} earlier readings hang in the driver; is the server up?")
        session, reading = self._session, Reading(name)
        future = session.executor.submit(self._guarded, session, reading, read)
        try:
            return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(future)), self._query_seconds)
        except TimeoutError:
            await self._stop(session, reading, future)
            raise RetryLater(SYSTEM, name, f"no answer within {self._query_seconds:g} s; it was cancelled") from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if future.cancelled() and not (task and task.cancelling()):
                raise RetryLater(
                    SYSTEM, name, "an earlier reading hangs in the driver; a new connection is made"
                ) from None
            # Nobody waits for it any more: were it to hang, everybody behind it would wait in vain.
            stopping = asyncio.create_task(self._stop(session, reading, future))
            self._stopping.add(stopping)
            stopping.add_done_callback(self._stopping.discard)
            raise

    async def _stop(self, session: Session, reading: Reading, future: "Future[T]") -> None:
        """Cancel a reading: it waits still, or it ends now, or its thread hangs and is left behind."""
        if future.cancel():
            # It never began: whatever runs in the thread is another's reading, with a limit of its own.
            return
        asyncio.get_running_loop().run_in_executor(None, reading.cancel)
        await asyncio.wait([asyncio.wrap_future(future)], timeout=self._listen_seconds)
        if future.done() or session is not self._session:
            return
        log.warning("The ODBC reading %s does not end; its connection is left behind, a new one is made", reading.name)
        self._left_behind.add(session)
        self._left_at = self._clock()
        future.add_done_callback(lambda _: self._left_behind.discard(session))
        self._session = Session()
        # Those that wait behind it are told to come again; it ends by itself when the driver comes back.
        session.executor.shutdown(wait=False, cancel_futures=True)

    def _guarded(self, session: Session, reading: Reading, read: Callable[[], T]) -> T:
        self._here.session = session
        session.reading = reading
        try:
            return read()
        except OdbcDriverMissing as error:
            raise RetryLater(SYSTEM, reading.name, str(error)) from None
        except Cancelled:
            raise RetryLater(SYSTEM, reading.name, "it was cancelled") from None
        except Exception as error:
            if type(error).__module__ != "pyodbc":
                raise
            if str(error.args[0] if error.args else "").startswith(DATA_EXCEPTION):
                raise UnreadableRow(quoted(str(error))) from None
            # A lost server, a lock, a cancelled statement: the next reading connects afresh.
            session.disconnect()
            raise RetryLater(SYSTEM, reading.name, quoted(str(error))) from None
        finally:
            session.reading = None
            if session is not self._session:
                session.disconnect()

    def connection(self) -> Any:
        """Within a reading: the connection of its thread, made when there is none."""
        session: Session = self._here.session
        if session.connection is None:
            session.connection = self._open()
        return session.connection

    def rows(self, sql: str, parameters: Sequence[object], limit: int | None) -> list[Row]:
        """Within a reading: the rows of one statement, at most `limit`."""
        connection = self.connection()
        reading: Reading = self._here.session.reading
        if reading.cancelled:
            raise Cancelled
        cursor = connection.cursor()
        reading.cursor = cursor
        try:
            cursor.execute(sql, *parameters)
            found: list[Row] = cursor.fetchall() if limit is None else cursor.fetchmany(limit)
            return found
        finally:
            reading.cursor = None
            cursor.close()
