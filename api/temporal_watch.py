"""The watch on Temporal itself: nobody else can tell of its outage, as alerts are workflows.

In: one cheap call to Temporal, the pairs' pace and targets of alerts. Out: when Temporal does not answer for longer
than the shortest `pace.outage_alert`, one alert of severity high straight to the targets of every pair, reminders, and
one all-clear with the length; all of it also as lines of the logger `alerts`. Each API process tells for itself.

A target has a list and a thread of its own: one that hangs or fails holds up neither the others nor the API, and gets
what it missed when it works again.
"""

import asyncio
import contextlib
import logging
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, TypeVar

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.alerting import log_alert
from connectors.alerts import AlertTarget, TargetsUnreadable, send
from contracts.messages import Alert, AlertKind
from mappings.pair import Pace, Pair
from workflows.outage_watch import in_words

T = TypeVar("T")
log = logging.getLogger(__name__)

CALL_LIMIT: Final = timedelta(seconds=3)
LOOK_LIMIT_SECONDS: Final = 6.0
"""For one look, a connection that has to be made included."""
DELIVERY_LIMIT_SECONDS: Final = 30.0
"""A service's own time-outs are some seconds; one that takes longer is logged, and waited for by its own list alone."""
TARGETS_LIMIT_SECONDS: Final = 10.0
SEVERITY: Final = AlertKind.OUTAGE.severity.value
"""Of everything that this watch tells."""
WAITING_KEPT: Final = 20
"""Messages for a target that does not work; the log has each."""
AFFECTED: Final = (
    "Webhooks are answered 503 with Retry-After and Clarity sends them again; orders stand still, and no other alert "
    "can be told. Nothing is lost, and everything goes on by itself"
)


class TemporalDown(Exception):
    """Temporal does not answer; says how."""


async def look_at_temporal(client: Client) -> None:
    """One cheap call that needs frontend, namespace and database; raises TemporalDown. A refusal is an answer."""
    request = DescribeNamespaceRequest(namespace=client.namespace)
    try:
        async with asyncio.timeout(LOOK_LIMIT_SECONDS):
            await client.workflow_service.describe_namespace(request, timeout=CALL_LIMIT)
    except RPCError as error:
        # Whoever may not describe the namespace may still start workflows in it.
        if error.status is not RPCStatusCode.PERMISSION_DENIED:
            raise TemporalDown(error.status.name) from None
    except (RuntimeError, TimeoutError) as error:
        raise TemporalDown("no connection" if isinstance(error, RuntimeError) else "no answer in time") from None


@dataclass(frozen=True)
class Word:
    """One message, as every target gets it."""

    kind: AlertKind
    title: str
    text: str


@dataclass
class Line:
    """One target, what it has not got yet, and the pairs whose target it is."""

    target: AlertTarget
    pairs: list[str] = field(default_factory=list)
    waiting: list[Word] = field(default_factory=list)
    delivering: asyncio.Task[None] | None = None


class TemporalWatch:
    """`look` raises TemporalDown; `targets_of` reads a pair's targets; `clock` counts seconds and never jumps."""

    def __init__(
        self,
        pairs: Mapping[str, Pair],
        look: Callable[[], Awaitable[None]],
        targets_of: Callable[[str], list[AlertTarget]],
        *,
        deliver: Callable[[AlertTarget, str, str, str], str] = send,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        paces: list[Pace] = [pair.pace for pair in pairs.values()] or [Pace()]
        self.interval = min(pace.probe_interval for pace in paces)
        self.threshold = min(pace.outage_alert for pace in paces)
        self.reminder = min(pace.outage_reminder for pace in paces)
        self.retry = (min(pace.retry_initial for pace in paces), min(pace.retry_maximum for pace in paces))
        self.pairs = sorted(pairs)
        self._look, self._targets_of, self._deliver, self._clock = look, targets_of, deliver, clock
        self._lines: dict[str, Line] = {}
        """By address."""
        self._out_since: float | None = None
        self._began = datetime.now(UTC)
        self._told_at: float | None = None
        """When people were last told of the outage that lasts."""

    async def run(self) -> None:
        """Look without end; whatever a look raises, the next one comes."""
        try:
            while True:
                try:
                    await self.look()
                except Exception:
                    log.exception("The watch on Temporal could not look; it looks again")
                await asyncio.sleep(self.interval)
        finally:
            for line in self._lines.values():
                if line.delivering is not None:
                    line.delivering.cancel()

    async def look(self) -> None:
        """One look, and what follows from it."""
        try:
            await self._look()
        except TemporalDown as error:
            await self._is_out(str(error))
        else:
            await self._answers()

    async def _is_out(self, why: str) -> None:
        now = self._clock()
        if self._out_since is None:
            self._out_since, self._began = now, datetime.now(UTC)
            log.warning("Temporal does not answer (%s)", why)
        length = now - self._out_since
        if self._told_at is None and length < self.threshold:
            return
        if self._told_at is not None and now - self._told_at < self.reminder:
            return
        kind = AlertKind.OUTAGE if self._told_at is None else AlertKind.OUTAGE_REMINDER
        self._told_at = now
        text = (
            f"Out since {self._began:%Y-%m-%d %H:%M:%S} UTC ({in_words(timedelta(seconds=length))}), as the API on "
            f"{socket.gethostname()} sees it. {AFFECTED}. Last error: {why}"
        )
        title = "does not answer" if kind is AlertKind.OUTAGE else "still does not answer"
        await self._tell(Word(kind, f"HIGH: Temporal {title}", text))

    async def _answers(self) -> None:
        since, told, self._out_since, self._told_at = self._out_since, self._told_at, None, None
        if since is None:
            return
        length = in_words(timedelta(seconds=self._clock() - since))
        log.info("Temporal answers again after %s", length)
        if told is not None:
            text = f"It was out for {length}, as the API on {socket.gethostname()} saw it."
            await self._tell(Word(AlertKind.ALL_CLEAR, "Temporal answers again", text))

    async def _tell(self, word: Word) -> None:
        """In the log at once; then on the list of every target, each of which delivers on its own."""
        names = ", ".join(self.pairs)
        log_alert(Alert(pair=names, kind=word.kind, workflow_id="", title=f"[{names}] {word.title}", text=word.text))
        for line in await self._high_targets():
            line.waiting = [*line.waiting, word][-WAITING_KEPT:]
            if line.delivering is None or line.delivering.done():
                line.delivering = asyncio.create_task(self._deliver_line(line))

    async def _high_targets(self) -> Iterable[Line]:
        """Those of all pairs, an address once; read anew, as their files may have changed."""
        found: dict[str, Line] = {}
        for pair in self.pairs:
            try:
                targets = await asyncio.wait_for(in_a_thread(partial(self._targets_of, pair)), TARGETS_LIMIT_SECONDS)
            except Exception as error:
                # Settings that cannot be read: whoever else is named is told.
                said = str(error) if isinstance(error, TargetsUnreadable) else type(error).__name__
                log.error("[%s] the outage of Temporal is only logged: %s", pair, said)
                continue
            for target in targets:
                if SEVERITY not in target.severities:
                    continue
                line = self._lines.setdefault(target.address, Line(target))
                line.pairs = [*line.pairs, pair] if target.address in found else [pair]
                found[target.address] = line
        return found.values()

    async def _deliver_line(self, line: Line) -> None:
        """Everything on one target's list, in order; a failure is tried again, further and further apart."""
        failures = 0
        while line.waiting:
            word = line.waiting[0]
            problem = await self._attempt(line, word)
            if not problem:
                failures = 0
                line.waiting = [one for one in line.waiting if one is not word]
                continue
            failures += 1
            log.error("Alert target %s did not take a message: %s", line.target.name, problem)
            first, longest = self.retry
            await asyncio.sleep(min(first * 2 ** min(failures - 1, 10), longest))

    async def _attempt(self, line: Line, word: Word) -> str:
        """Empty, or why it did not arrive."""
        title = f"[{', '.join(line.pairs)}] {word.title}"
        delivery = in_a_thread(partial(self._deliver, line.target, SEVERITY, title, word.text))
        done, _ = await asyncio.wait({delivery}, timeout=DELIVERY_LIMIT_SECONDS)
        if not done:
            # Never a second thread beside it: the message may still arrive.
            log.error("Alert target %s takes longer than %g s", line.target.name, DELIVERY_LIMIT_SECONDS)
        try:
            return await delivery
        except Exception as error:
            return type(error).__name__


def in_a_thread(work: Callable[[], T]) -> asyncio.Future[T]:
    """Run in a daemon thread of its own: one that hangs takes no place in a pool, and no process waits for its end."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def report(value: T | None, error: Exception | None) -> None:
        if result.done():
            return
        if error is not None:
            result.set_exception(error)
        else:
            result.set_result(value)  # type: ignore[arg-type]

    def run() -> None:
        value, failed = None, None
        try:
            value = work()
        except Exception as error:
            failed = error
        # The loop may be closed by now: then nobody waits for it.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(report, value, failed)

    threading.Thread(target=run, daemon=True, name="alert of the watch on Temporal").start()
    return result
