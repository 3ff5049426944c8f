"""The gate of a pair and system: when a system does not answer, its queue is not polled, and one probe looks alone.

In: what became of each activity, the pair's maintenance windows. Out: a worker that runs, or not. Three results in a
row that say "unavailable", or a window, close the gate: the worker is shut down gracefully, so that the backlog stays
on the server in its order. Nothing is called within a window; otherwise a probe of one cheap call is made every
`pace.probe_interval` until the system answers. An outage starts `OutageWatchWorkflow`, and the system's return ends it.
"""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from temporalio.client import Client
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor, Worker

from connectors.errors import ConnectorError, is_outage
from contracts import ids, queues
from contracts import search_attributes as attributes
from contracts.outages import OutageStart, OutsideSystem
from mappings.maintenance import MaintenanceWindow, in_maintenance
from mappings.pair import Pair

log = logging.getLogger(__name__)

UNAVAILABLE_IN_A_ROW: Final = 3
WINDOW_CHECK_SECONDS: Final = 1.0
CALM_PROBES: Final = 2
"""An outage is over when an activity gets an answer, or nothing fails for so many probe intervals."""
RPC_LIMIT: Final = timedelta(seconds=5)


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
    """Worker interceptor: tells the gate what became of each activity."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        """See base class; the parameter's name is Temporal's."""
        return _Watching(super().intercept_activity(next), self._gate)


class _Watching(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, gate: Gate) -> None:  # noqa: A002
        super().__init__(next)
        self._gate = gate

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        try:
            result = await self.next.execute_activity(input)
        except Exception as error:
            self._gate.result(error)
            raise
        self._gate.result(None)
        return result


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
        self.name = f"{system.value} of pair {pair.name}"
        self.out_since: datetime | None = None
        """Since when the system is out, as far as this process knows."""
        self.recovery_owed = True
        """A watch may run, also one of a process that was killed: it hears when the system is back."""

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`. Looks first whether the system answers: a restart in an outage must not hammer."""
        if not await self._answers():
            log.warning("The gate of %s stays closed: %s", self.name, self.gate.why)
            self.gate.close("start")
        while not stop.is_set():
            if self._in_window():
                await self._wait_out_window(stop)
            elif self.gate.closed.is_set():
                await self._wait_out_outage(stop)
            else:
                await self._poll(stop)

    async def _poll(self, stop: asyncio.Event) -> None:
        """Run a worker until the gate closes; raises when the worker fails for good."""
        worker = self.make([GateWatch(self.gate)])
        running = asyncio.create_task(worker.run())
        try:
            while not (stop.is_set() or self.gate.closed.is_set() or self._in_window() or running.done()):
                await _first_of(running, stop.wait(), self.gate.closed.wait(), seconds=WINDOW_CHECK_SECONDS)
                if self.gate.is_doubtful(self.pair.pace.probe_interval):
                    await self._look_into()
                if self.recovery_owed and self.gate.is_calm(self.pair.pace.probe_interval):
                    await self._tell_recovered()
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
        while self._in_window() and not stop.is_set():
            await _first_of(stop.wait(), seconds=WINDOW_CHECK_SECONDS)
        # What comes now is no maintenance any more: its length counts from here.
        self.out_since = None
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
            log.info("The probe of %s got an answer: %s", self.name, type(error).__name__)
        return None

    async def _watch_outage(self) -> None:
        """Start the watch, or leave the one that runs."""
        start = OutageStart(
            pair=self.pair.name,
            system=self.system,
            since=self.out_since or datetime.now(UTC),
            why=self.gate.why,
            pace=self.pair.pace,
        )
        with self._temporal_may_be_down():
            await self.client.start_workflow(
                "OutageWatchWorkflow",
                start,
                id=ids.outage_workflow_id(self.pair.name, self.system),
                task_queue=queues.ORDERS,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                search_attributes=TypedSearchAttributes([SearchAttributePair(attributes.PAIR, self.pair.name)]),
                static_summary=f"Outage of {self.name}",
                rpc_timeout=RPC_LIMIT,
            )

    async def _tell_recovered(self) -> None:
        """End the watch, if one runs."""
        with self._temporal_may_be_down():
            try:
                handle = self.client.get_workflow_handle(ids.outage_workflow_id(self.pair.name, self.system))
                await handle.signal("recovered", rpc_timeout=RPC_LIMIT)
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
            self.recovery_owed, self.out_since = False, None

    @contextlib.contextmanager
    def _temporal_may_be_down(self) -> Any:
        """What it did not take is said again at the next turn."""
        try:
            yield
        except RPCError as error:
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
