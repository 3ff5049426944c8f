"""The ODBC connection on bad days: limits, cancelling, hanging drivers, lost servers."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

from connectors.errors import RetryLater
from connectors.sage100 import session
from connectors.sage100.odbc import SageReader
from connectors.sage100.queries import Statement
from connectors.sage100.session import OdbcSource
from tests.support.sandbox import running_sandbox

ENDLESS = Statement("endless", "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n")
LIMIT = 0.3
DEADLINE = 15.0


class Lost(Exception):
    """As the driver says it."""


Lost.__module__ = "pyodbc"


class Driver:
    """Connections whose statements do what a test says: `hang`, `sleep` (until cancelled), `lost`, anything else."""

    def __init__(self) -> None:
        self.connections = 0
        self.threads: set[int] = set()
        self.came_back = threading.Event()
        self.cancelled: list[str] = []
        self.executed: list[str] = []

    def open(self) -> "Connection":
        self.connections += 1
        return Connection(self)


class Connection:
    def __init__(self, driver: Driver) -> None:
        self.driver = driver

    def cursor(self) -> "Cursor":
        return Cursor(self.driver)

    def close(self) -> None:
        """Nothing."""


class Cursor:
    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.sql = ""
        self.stopped = threading.Event()

    def execute(self, sql: str, *_: object) -> None:
        self.sql = sql
        self.driver.executed.append(sql)
        self.driver.threads.add(threading.get_ident())
        if sql == "hang":
            self.driver.came_back.wait(DEADLINE)
        if sql == "sleep":
            assert self.stopped.wait(DEADLINE)
            raise Lost("HY008: Operation canceled; PWD=hunter2")
        if sql == "lost":
            raise Lost("08S01: Communication link failure")

    def fetchall(self) -> list[Any]:
        return [(self.sql,)]

    def cancel(self) -> None:
        self.driver.cancelled.append(self.sql)
        self.stopped.set()

    def close(self) -> None:
        """Nothing."""


def source_of(driver: Driver, limit: float = LIMIT, clock: Callable[[], float] = time.monotonic) -> OdbcSource:
    return OdbcSource(driver.open, query_seconds=limit, listen_seconds=0.2, clock=clock)


def reading(source: OdbcSource, *statements: str) -> Callable[[], list[Any]]:
    return lambda: [source.rows(sql, (), None) for sql in statements]


async def until(condition: Callable[[], bool]) -> None:
    """Once it holds; the threads are not ours to wait for."""
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_one_thread_and_one_connection_for_all_readings() -> None:
    driver = Driver()
    source = source_of(driver)
    await asyncio.gather(*(source.run("x", reading(source, "a", "b")) for _ in range(20)))
    assert (driver.connections, len(driver.threads)) == (1, 1)
    await source.close()


async def test_a_slow_statement_is_cancelled_and_the_next_reading_connects_afresh() -> None:
    driver = Driver()
    source = source_of(driver)
    with pytest.raises(RetryLater, match=r"no answer within 0\.3 s"):
        await source.run("slow", reading(source, "sleep", "never"))
    assert await source.run("next", reading(source, "a")) == [[("a",)]]
    assert (driver.cancelled, driver.connections, len(driver.threads)) == (["sleep"], 2, 1)
    assert "never" not in driver.executed
    await source.close()


async def test_a_hung_reading_does_not_block_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "MOST_LEFT_BEHIND", 2)
    driver = Driver()
    source = source_of(driver)
    for expected in (2, 3):
        with pytest.raises(RetryLater):
            await source.run("hung", reading(source, "hang"))
        if expected == 2:
            assert await source.run("next", reading(source, "a")) == [[("a",)]]
            assert driver.connections == expected
    # Threads are not piled up without end.
    with pytest.raises(RetryLater, match="hang in the driver"):
        await source.run("next", reading(source, "a"))
    driver.came_back.set()
    await until(lambda: not source._left_behind)
    assert await source.run("next", reading(source, "a")) == [[("a",)]]
    await source.close()


async def test_threads_that_never_come_back_do_not_stop_a_process_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "MOST_LEFT_BEHIND", 1)
    driver, now = Driver(), [0.0]
    source = source_of(driver, clock=lambda: now[0])
    for hung in (1, 2):
        with pytest.raises(RetryLater, match="no answer"):
            await source.run("hung", reading(source, "hang"))
        with pytest.raises(RetryLater, match=f"{hung} earlier readings hang"):
            await source.run("next", reading(source, "a"))
        now[0] += session.HUNG_PAUSE_SECONDS * hung
    assert await source.run("next", reading(source, "a")) == [[("a",)]]
    driver.came_back.set()
    await until(lambda: not source._left_behind)
    await source.close()


async def test_who_only_waits_for_the_thread_cancels_nobody_else() -> None:
    driver = Driver()
    source = source_of(driver, limit=DEADLINE)
    running = asyncio.create_task(source.run("running", reading(source, "sleep")))
    await until(lambda: bool(driver.executed))
    waiting = asyncio.create_task(source.run("waiting", reading(source, "never")))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert driver.cancelled == []
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await source.run("next", reading(source, "a")) == [[("a",)]]
    assert driver.cancelled == ["sleep"]
    assert "never" not in driver.executed
    await source.close()


async def test_a_reading_that_hangs_after_its_caller_was_cancelled_does_not_block_the_next() -> None:
    """Nobody waits for it any more, so nobody's limit would ever end it."""
    driver = Driver()
    source = source_of(driver)
    given_up = asyncio.create_task(source.run("given up", reading(source, "hang")))
    await until(lambda: bool(driver.executed))
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    async with asyncio.timeout(DEADLINE / 2):
        while True:
            with contextlib.suppress(RetryLater):
                assert await source.run("next", reading(source, "a")) == [[("a",)]]
                break
    assert driver.connections == 2
    driver.came_back.set()
    await until(lambda: not source._left_behind)
    await source.close()


async def test_who_waits_behind_a_reading_that_hangs_is_told_to_come_again() -> None:
    driver = Driver()
    source = source_of(driver, limit=DEADLINE)
    hung = asyncio.create_task(source.run("hung", reading(source, "hang")))
    await until(lambda: bool(driver.executed))
    behind = asyncio.create_task(source.run("behind", reading(source, "a")))
    await asyncio.sleep(0)
    hung.cancel()
    with pytest.raises(RetryLater, match="an earlier reading hangs"):
        await behind
    assert await source.run("next", reading(source, "a")) == [[("a",)]]
    driver.came_back.set()
    await until(lambda: not source._left_behind)
    await source.close()


async def test_a_lost_server_is_connected_to_again() -> None:
    driver = Driver()
    source = source_of(driver)
    with pytest.raises(RetryLater, match="Communication link failure"):
        await source.run("x", reading(source, "lost"))
    assert await source.run("x", reading(source, "a")) == [[("a",)]]
    assert driver.connections == 2
    await source.close()


async def test_a_real_statement_of_a_real_driver_is_cancelled(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running_sandbox(tmp_path_factory.mktemp("sandbox")) as sandbox:
        reader = SageReader(SecretStr(sandbox.odbc), query_seconds=0.5)
        thread = reader._source._session
        with pytest.raises(RetryLater, match="it was cancelled"):
            await reader._run("endless", lambda: reader._rows(ENDLESS))
        assert reader._source._session is thread, "it listened: nothing was left behind"
        assert await reader.items(["DESK-OAK-120"])
        await reader.close()
