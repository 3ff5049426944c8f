"""The gate of a pair and system: when a system does not answer, its queue is not polled, and one probe looks alone.

In: what became of each activity, the pair's maintenance windows. Out: a worker that runs, or not. Three results in a
row that say "unavailable", or a window, close the gate: the worker is shut down gracefully, so that the backlog stays
on the server in its order; what failed in an outage is back in that order within two probe intervals, however often it
failed before. Nothing is called within a window; otherwise a probe of one cheap call is made every
`pace.probe_interval` until the system answers. An outage starts `OutageWatchWorkflow`, and the system's return ends it.
Refused credentials are an answer, and an alert, repeated every `pace.outage_reminder` until they are taken.
"""

import asyncio
import logging
import math
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from temporalio.client import Client
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor, Worker

from activities.alerting import try_alert
from connectors.errors import ConnectorError, Refused, SignedOut, is_outage
from contracts import ids, queues
from contracts import search_attributes as attributes
from contracts.failures import FailureType
from contracts.messages import Alert, AlertKind
from contracts.metrics import GATE_CLOSED, start_at_zero
from contracts.outages import AFFECTED, OutageStart, OutsideSystem
from mappings.maintenance import MaintenanceWindow, in_maintenance
from mappings.pair import Pair

log = logging.getLogger(__name__)

UNAVAILABLE_IN_A_ROW: Final = 3
WINDOW_CHECK_SECONDS: Final = 1.0
UNTAKEN_PAUSE_SECONDS: Final = 60.0
CALM_PROBES: Final = 2
"""An outage is over when an activity gets an answer, or nothing fails for so many probe intervals."""
NOT_CALLED: Final = "not called, as it does not answer"
RPC_LIMIT: Final = timedelta(seconds=5)
BACK_IN_QUEUE: Final = (2 / 3, 2.0)
"""Probe intervals until a step that failed in an outage waits in the queue again: 10 to 30 s with 15. Its own backoff
would grow to minutes, and what is at the head of the queue, the expedited orders, fails first and most often."""


@dataclass
class Gate:
    """Whether to poll; knows nothing of Temporal. `clock` counts seconds and never jumps."""

    clock: Callable[[], float] = time.monotonic
    in_a_row: int = 0
    failing_since: float | None = None
    """When the first of the failures in a row came."""
    last_failure: float = 0.0
    looked_into: bool = False
    """Whether a probe got an answer since the last failure. It ends no row of failed steps: reading may work while
    writing does not."""
    answered_since_open: bool = False
    why: str = ""
    """The last error of an outage."""
    signed_out: str = ""
    """The last words of a system that refuses the credentials; empty once it takes them."""
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    opened_at: float = 0.0
    transitions: Counter[str] = field(default_factory=Counter)
    """How often it closed for an outage, for maintenance, and opened."""

    def result(self, error: BaseException | None) -> None:
        """What became of one activity: None for success. Answers of any kind, refusals too, are answers."""
        cause = error.__cause__ if isinstance(error, ApplicationError) else error
        if error is not None and not isinstance(cause, ConnectorError):
            # An exception of our own, a cancellation: it says nothing about the system.
            return
        if cause is None or not is_outage(cause):
            # A 429 or a record in use says nothing of the credentials; a success or a refusal needed them.
            if isinstance(cause, SignedOut):
                self.signed_out = str(cause)
            elif cause is None or isinstance(cause, Refused):
                self.signed_out = ""
            self.in_a_row = 0
            self.failing_since = None
            self.answered_since_open = True
            return
        self.in_a_row += 1
        self.last_failure = self.clock()
        self.looked_into = False
        if self.failing_since is None:
            self.failing_since = self.last_failure
        self.why = str(cause)
        if self.in_a_row >= UNAVAILABLE_IN_A_ROW and not self.closed.is_set():
            self.close("outage")

    @property
    def is_outage(self) -> bool:
        """Whether a failure now is part of an outage: it is closed, or nothing was answered since it opened again."""
        return self.closed.is_set() or (self.transitions["open"] > 0 and not self.answered_since_open)

    def close(self, cause: str) -> None:
        """Stop polling; `cause` is outage, maintenance or start."""
        self.transitions[cause] += 1
        self.closed.set()

    def open(self) -> None:
        """Poll again; whether the outage is over, the next results tell."""
        self.transitions["open"] += 1
        self.in_a_row = 0
        self.failing_since = None
        self.answered_since_open = False
        self.opened_at = self.clock()
        self.closed.clear()

    def is_doubtful(self, probe_interval: float) -> bool:
        """Whether something failed and nobody has called since: on a quiet night a single order, which was told to
        come again much later, would let an outage go unseen."""
        quiet = self.clock() - self.last_failure >= probe_interval
        return bool(self.in_a_row) and quiet and not (self.looked_into or self.closed.is_set())

    def failing_for(self) -> timedelta:
        """Since the first of the failures in a row."""
        return timedelta(seconds=0.0 if self.failing_since is None else self.clock() - self.failing_since)

    def is_calm(self, probe_interval: float) -> bool:
        """Whether the system really is back: an activity got an answer, or nothing failed for a while."""
        calm = self.in_a_row == 0 and self.clock() - self.opened_at >= CALM_PROBES * probe_interval
        return not self.closed.is_set() and (self.answered_since_open or calm)


class GateWatch(Interceptor):
    """Worker interceptor: tells the gate what became of each activity, and lets none begin once it is closed.

    What fails in an outage, or was already fetched when the gate closed, comes back soon.
    """

    def __init__(self, gate: Gate, probe_interval: float) -> None:
        self._gate = gate
        self._probe_interval = probe_interval

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        """See base class; the parameter's name is Temporal's."""
        return _Watching(super().intercept_activity(next), self._gate, self._probe_interval)


class _Watching(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, gate: Gate, probe_interval: float) -> None:  # noqa: A002
        super().__init__(next)
        self._gate = gate
        self._probe_interval = probe_interval

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        if self._gate.closed.is_set():
            # A freed slot takes the next step before the worker has stopped.
            raise ApplicationError(
                f"{NOT_CALLED}: {self._gate.why}",
                type=FailureType.UNAVAILABLE,
                next_retry_delay=wait_in_outage(self._probe_interval),
                category=ApplicationErrorCategory.BENIGN,
            )
        try:
            result = await self.next.execute_activity(input)
        except Exception as error:
            self._gate.result(error)
            raise back_in_queue(error, self._probe_interval, in_outage=self._gate.is_outage) from error.__cause__
        self._gate.result(None)
        return result


def back_in_queue(error: Exception, probe_interval: float, *, in_outage: bool) -> Exception:
    """The error with a short wait until the next attempt, when it says "unavailable".

    A 503's Retry-After is a guess at the end of an outage, and the probes know that end: a longer one is not waited
    for. A 429's is kept: it is no outage. What fails alone keeps its own growing backoff.
    """
    cause = error.__cause__
    if not isinstance(error, ApplicationError) or cause is None or not is_outage(cause):
        return error
    told = error.next_retry_delay
    if not in_outage and (told is None or told <= timedelta(seconds=probe_interval * BACK_IN_QUEUE[1])):
        return error
    return ApplicationError(
        error.message,
        *error.details,
        type=error.type,
        next_retry_delay=wait_in_outage(probe_interval),
        category=error.category,
    )


def wait_in_outage(probe_interval: float) -> timedelta:
    """Until a step is in the queue again."""
    return timedelta(seconds=probe_interval * random.uniform(*BACK_IN_QUEUE))  # noqa: S311 - nothing secret


class GatedQueue:
    """One queue of a pair, polled while its system answers.

    `make` makes its worker with the interceptors given; `probe` is one cheap call per system that its activities use.
    """

    def __init__(
        self,
        client: Client,
        pair: Pair,
        system: OutsideSystem,
        windows: Sequence[MaintenanceWindow],
        make: Callable[[Sequence[Interceptor]], Worker],
        probe: Callable[[], Awaitable[object]],
    ) -> None:
        self.client = client
        self.pair = pair
        self.system = system
        self.windows = windows
        self.make = make
        self.probe = probe
        self.gate = Gate()
        self._told = GATE_CLOSED.labels(pair.name, system.value)
        start_at_zero(pair.name, system)
        self.name = f"{system.value} of pair {pair.name}"
        self.out_since: datetime | None = None
        """Since when the system is out, as far as this process knows."""
        self.recovery_owed = True
        """A watch may run, also one of a process that was killed: it hears when the system is back."""
        self.quiet_until = -math.inf
        """People were told of refused credentials, and are told again only then."""
        self.outage_told = False
        """The watch knows that this system is out, even when it runs for another way into the same one."""

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`. Looks first whether the system answers: a restart in an outage must not hammer. Not in a
        window, in which nobody calls."""
        if not self._in_window() and not await self._answers():
            log.warning("The gate of %s stays closed: %s", self.name, self.gate.why)
            self.gate.close("start")
        while not stop.is_set():
            self._told.set(self.gate.closed.is_set() or self._in_window())
            if self._in_window():
                await self._wait_out_window(stop)
            elif self.gate.closed.is_set():
                await self._wait_out_outage(stop)
            else:
                await self._poll(stop)

    async def _poll(self, stop: asyncio.Event) -> None:
        """Run a worker until the gate closes; raises when the worker fails for good."""
        worker = self.make([GateWatch(self.gate, self.pair.pace.probe_interval)])
        running = asyncio.create_task(worker.run())
        try:
            while not (stop.is_set() or self.gate.closed.is_set() or self._in_window() or running.done()):
                await _first_of(running, stop.wait(), self.gate.closed.wait(), seconds=WINDOW_CHECK_SECONDS)
                if self.gate.is_doubtful(self.pair.pace.probe_interval):
                    await self._look_into()
                if self.recovery_owed and self.gate.is_calm(self.pair.pace.probe_interval):
                    await self._tell_recovered()
                await self._tell_signed_out()
        finally:
            if self.gate.closed.is_set():
                self.out_since = self.out_since or datetime.now(UTC) - self.gate.failing_for()
                log.warning("The gate of %s closes, the queue is not polled: %s", self.name, self.gate.why)
            # Activities in flight finish, or fail by themselves.
            if not running.done():
                await worker.shutdown()
            await running

    async def _wait_out_window(self, stop: asyncio.Event) -> None:
        log.info("The gate of %s closes: maintenance window", self.name)
        self.gate.close("maintenance")
        # An outage that began before is not counted on: nobody is alarmed within the window.
        owed = True
        while self._in_window() and not stop.is_set():
            if owed:
                owed = not await self._tell_watch("window_began")
            await _first_of(stop.wait(), seconds=WINDOW_CHECK_SECONDS)
        # What comes now is no maintenance any more: its length counts from here.
        self.out_since, self.outage_told = None, False
        if not stop.is_set() and await self._answers():
            self._open()

    async def _wait_out_outage(self, stop: asyncio.Event) -> None:
        """Probe alone; every failed probe makes sure that the outage is watched."""
        self.out_since = self.out_since or datetime.now(UTC)
        self.recovery_owed = True
        while not (stop.is_set() or self._in_window()):
            await self._watch_outage()
            await _first_of(stop.wait(), seconds=self.pair.pace.probe_interval)
            if not stop.is_set() and await self._answers():
                self._open()
                return

    def _open(self) -> None:
        self.gate.open()
        log.info("The gate of %s opens, its queue is polled again (%s)", self.name, dict(self.gate.transitions))

    def _in_window(self) -> bool:
        return in_maintenance(self.windows, datetime.now(self.pair.company.zone))

    async def _answers(self) -> bool:
        """One probe. A refusal is an answer; so is an exception of ours, which the activities will show."""
        return await self._failure_of_probe() is None

    async def _look_into(self) -> None:
        """One probe; its failure counts as that of a step."""
        failure = await self._failure_of_probe()
        if failure is None:
            self.gate.looked_into = True
        else:
            self.gate.result(failure)

    async def _failure_of_probe(self) -> Exception | None:
        try:
            await self.probe()
        except Exception as error:
            if is_outage(error):
                self.gate.why = str(error)
                return error
            self.gate.signed_out = str(error) if isinstance(error, SignedOut) else ""
            log.info("The probe of %s got an answer: %s", self.name, type(error).__name__)
        else:
            self.gate.signed_out = ""
        return None

    async def _watch_outage(self) -> None:
        """Start the watch, or leave the one that runs; it is told once that this system is out, too."""
        start = OutageStart(
            pair=self.pair.name,
            system=self.system,
            since=self.out_since or datetime.now(UTC),
            why=self.gate.why,
            pace=self.pair.pace,
        )
        tell: dict[str, Any] = {} if self.outage_told else {"start_signal": "out", "start_signal_args": [self.system]}
        try:
            await self.client.start_workflow(
                "OutageWatchWorkflow",
                start,
                id=ids.outage_workflow_id(self.pair.name, self.system.watched_as),
                task_queue=queues.ORDERS,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                search_attributes=TypedSearchAttributes([SearchAttributePair(attributes.PAIR, self.pair.name)]),
                static_summary=f"Outage of {self.system.watched_as.value} of pair {self.pair.name}",
                rpc_timeout=RPC_LIMIT,
                **tell,
            )
            self.outage_told = True
        except RPCError as error:
            self._cannot_be_told(error)

    async def _tell_recovered(self) -> None:
        """Tell the watch, if one runs; it ends with the last system that it watches."""
        if await self._tell_watch("recovered", self.system):
            self.recovery_owed, self.outage_told, self.out_since = False, False, None

    async def _tell_watch(self, signal: str, *argument: OutsideSystem) -> bool:
        """Whether the watch took it, or none runs."""
        handle = self.client.get_workflow_handle(ids.outage_workflow_id(self.pair.name, self.system.watched_as))
        try:
            await handle.signal(signal, args=argument, rpc_timeout=RPC_LIMIT)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                self._cannot_be_told(error)
                return False
        return True

    async def _tell_signed_out(self) -> None:
        """An alert while the credentials are refused; what Temporal does not take is said again a minute later."""
        if not self.gate.signed_out:
            self.quiet_until = -math.inf
            return
        now = self.gate.clock()
        if now < self.quiet_until:
            return
        alert = Alert(
            pair=self.pair.name,
            kind=AlertKind.SIGNED_OUT,
            workflow_id="",
            title=self.name,
            text=f"{self.gate.signed_out}. {AFFECTED[self.system]} until then; nothing is lost",
            occurrence=f"{datetime.now(UTC):%Y-%m-%dT%H:%M}",
        )
        taken = await try_alert(self.client, alert, self.pair.pace)
        self.quiet_until = now + (self.pair.pace.outage_reminder if taken else UNTAKEN_PAUSE_SECONDS)

    def _cannot_be_told(self, error: RPCError) -> None:
        """What Temporal did not take is said again at the next turn."""
        log.warning("The outage watch of %s cannot be told (%s); trying again", self.name, error.status.name)


async def _first_of(*waits: Awaitable[Any], seconds: float) -> None:
    """Until one of these is done, or the time is over; a worker that is among them is left running."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task, wait in zip(tasks, waits, strict=True):
            if task is not wait:
                task.cancel()
