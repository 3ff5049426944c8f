"""What is held against a candidate before it gets any order: production's own histories, and its last orders.

In: a client of the target environment, this code, the pair files of both. Out: histories that this code cannot go on
with, by workflow id and event; orders that would become another Sage order, column by column. Reads only.
"""

import dataclasses
import re
import traceback
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from temporalio import workflow
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowHistory
from temporalio.converter import DataConverter, DefaultFailureConverter
from temporalio.exceptions import TemporalError
from temporalio.plugin import SimplePlugin
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Replayer

from contracts import queues
from contracts.messages import OrderStart
from mappings.mapping_change import ABSENT, Difference, of_order
from mappings.pair import Pair
from mappings.preview import preview_of
from mappings.sales_order import Transformed
from workers.redaction import TELLING
from workers.versions import ROOT

OPEN: Final = f"TaskQueue='{queues.ORDERS}' AND ExecutionStatus='Running'"
ORDERS: Final = "WorkflowType='OrderFulfillmentWorkflow'"
SAMPLE_OF_EACH: Final = 10
"""Closed runs of each kind of flow but orders."""
QUOTED: Final = r'"((?:\\.|[^"\\])*)"'
FAILURE: Final = re.compile(rf'message: {QUOTED}, source: "[^"]*"(?:, stack_trace: {QUOTED})?', re.DOTALL)
"""Message and stack trace of a failure; the outermost comes first."""
SAID_BY_SDK: Final = re.compile(r"\[TMPRL|Workflow class \S+ is not registered on this worker")
TELLING_NAMES: Final = frozenset(kind.__name__ for kind in TELLING)
FRAME: Final = re.compile(r'File "([^"]+)", line (\d+), in (\S+)')
UNREADABLE: Final = (TemporalError, ValueError, TypeError, RuntimeError)
"""What a converter raises for a payload that is not of the type asked for; a missing key is none of these."""


class Divergence(NamedTuple):
    """A history that this code cannot go on with."""

    workflow_id: str
    run_id: str
    event: str
    """Such as `event 31 ActivityTaskScheduled acknowledge_to_clarity`; empty where the failure names none."""
    why: str
    """Without values of the order."""

    def __str__(self) -> str:
        """For people."""
        return f"{self.workflow_id}: {self.event + ': ' if self.event else ''}{self.why}"


class Replayed(NamedTuple):
    """How the replay went."""

    open_: int
    closed: int
    diverging: list[Divergence]


class OrderDifference(NamedTuple):
    """An order that the candidate would make another Sage order of."""

    workflow_id: str
    differences: list[Difference]


class Previewed(NamedTuple):
    """How the preview went."""

    orders: int
    differing: list[OrderDifference]


def with_plain_failures(converter: DataConverter | None) -> DataConverter:
    """The same, with failures that can be read: encryption leaves of them only "Encoded failure"."""
    return dataclasses.replace(converter or DataConverter.default, failure_converter_class=DefaultFailureConverter)


def replayer(workflows: Sequence[type], plugin: SimplePlugin) -> Replayer:
    """Of this code. What it says is for `divergence`: the messages of its failures may quote values of an order."""
    plain = SimplePlugin("plain failures", data_converter=with_plain_failures)
    return Replayer(workflows=workflows, plugins=[plugin, plain])


async def replay(client: Client, workflows: Sequence[type], plugin: SimplePlugin, closed_orders: int) -> Replayed:
    """Every open run on the queue of the workflows; the newest closed orders, and some closed runs of each flow."""
    counts = {"open": 0, "closed": 0}
    fetched: dict[str, str] = {}

    async def histories() -> AsyncIterator[WorkflowHistory]:
        samples = [(OPEN, 0), (f"{ORDERS} AND ExecutionStatus!='Running'", closed_orders)]
        for kind in workflows:
            name = workflow._Definition.must_from_class(kind).name
            if name != "OrderFulfillmentWorkflow":
                samples.append((f"WorkflowType='{name}' AND ExecutionStatus!='Running'", SAMPLE_OF_EACH))
        for query, limit in samples:
            if limit == 0 and query != OPEN:
                continue
            async for run in client.list_workflows(query, limit=limit or None):
                try:
                    history = await client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()
                except RPCError as error:
                    if error.status is RPCStatusCode.NOT_FOUND:
                        # Its retention ended between the listing and this.
                        continue
                    raise
                counts["open" if query == OPEN else "closed"] += 1
                fetched[history.run_id] = run.id
                yield history

    diverging: list[Divergence] = []
    async with replayer(workflows, plugin).workflow_replay_iterator(histories()) as results:
        async for result in results:
            if result.replay_failure is not None:
                diverging.append(divergence(result.history, result.replay_failure))
    return Replayed(counts["open"], counts["closed"], diverging)


def divergence(history: WorkflowHistory, failure: Exception) -> Divergence:
    """Where and why, out of the SDK's failure, which is the core's own structure as text.

    An exception of a workflow is told by type and place: its message may quote an order. What the SDK itself says, and
    exceptions that are `TELLING`, hold no values.
    """
    text = str(failure)
    found = FAILURE.search(text)
    # Causes stand before the failure's own type.
    kind = (re.findall(r'r#type: "(\w*)"', text) or [""])[-1]
    if found is None:
        why = kind or text.splitlines()[0]
    elif not kind or kind in TELLING_NAMES or SAID_BY_SDK.match(found[1]):
        why = re.sub(r", available workflows: .*", "", _unescaped(found[1]), flags=re.DOTALL)
        why = why if kind in why else f"{kind}: {why}"
    else:
        why = f"{kind}{_place(_unescaped(found[2] or ''))}"
    return Divergence(history.workflow_id, history.run_id, _event_in(why, history.events), why[:500])


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: {"n": "\n", "t": "\t"}.get(found[1], found[1]), text, flags=re.DOTALL)


def _place(stack: str) -> str:
    """` in workflows/order_record.py:57 (record_invoices)`: the innermost line of this code, else of a library."""
    frames = [(Path(file), line, name) for file, line, name in FRAME.findall(stack)]
    own = [frame for frame in frames if frame[0].is_relative_to(ROOT) and "site-packages" not in frame[0].parts]
    if not frames:
        return ""
    file, line, name = (own or frames)[-1]
    return f" in {file.relative_to(ROOT).as_posix() if own else file.name}:{line} ({name})"


def _event_in(why: str, events: Sequence[HistoryEvent]) -> str:
    numbered = re.search(r"HistoryEvent\(id: (\d+)", why)
    if numbered:
        return next((_named(event) for event in events if event.event_id == int(numbered[1])), "")
    of_history = re.search(r"scheduled event '([^']*)'", why) or re.search(r"event[^']*'([^']*)'", why)
    if of_history:
        return next((_named(event) for event in events if of_history[1] in _names_of(event)), "")
    return ""


def _named(event: HistoryEvent) -> str:
    words = EventType.Name(event.event_type)
    kind = "".join(word.title() for word in words.removeprefix("EVENT_TYPE_").split("_"))
    return " ".join(part for part in (f"event {event.event_id}", kind, *_names_of(event)) if part)


def _names_of(event: HistoryEvent) -> list[str]:
    """Name of the activity, timer or signal that an event is about."""
    if event.HasField("activity_task_scheduled_event_attributes"):
        activity = event.activity_task_scheduled_event_attributes
        return [activity.activity_type.name, activity.activity_id]
    if event.HasField("timer_started_event_attributes"):
        return [event.timer_started_event_attributes.timer_id]
    if event.HasField("signal_external_workflow_execution_initiated_event_attributes"):
        return [event.signal_external_workflow_execution_initiated_event_attributes.signal_name]
    if event.HasField("marker_recorded_event_attributes"):
        return [event.marker_recorded_event_attributes.marker_name]
    return []


async def preview(client: Client, before: Mapping[str, Pair], now: Mapping[str, Pair], orders: int) -> Previewed:
    """The newest orders, as they arrived, through both mappings.

    An order whose pair is gone differs, too, and so does one whose start argument this code cannot read.
    """
    seen, differing = 0, []
    async for run in client.list_workflows(ORDERS, limit=orders or None):
        if orders == 0:
            break
        try:
            start, recorded = await _arrived(client, run.id, run.run_id)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                continue
            raise
        except UNREADABLE as error:
            seen += 1
            unread = Difference(path="start", before="(as it arrived)", now=f"cannot be read: {type(error).__name__}")
            differing.append(OrderDifference(run.id, [unread]))
            continue
        old, new = before.get(start.pair), now.get(start.pair)
        seen += 1
        if old is None:
            continue
        if new is None:
            gone = Difference(path="pair", before=start.pair, now="(none)")
            differing.append(OrderDifference(run.id, [gone]))
            continue
        if recorded is not None and recorded.mapping_version != old.version:
            recorded = None
        if differences := _differences(start.payload, old, new, recorded):
            differing.append(OrderDifference(run.id, differences))
    return Previewed(seen, differing)


def _differences(payload: Mapping[str, Any], old: Pair, new: Pair, recorded: Transformed | None) -> list[Difference]:
    """Of one order; where this code raises, only that. Where it raises for both, nothing is known to differ."""
    try:
        return of_order(payload, old, new, recorded)
    except Exception:
        # With a recorded result the running code did not raise, whatever this code does with the old pair file.
        before = ABSENT if recorded is not None else _raised(payload, old)
        now = _raised(payload, new)
    if (before == ABSENT) == (now == ABSENT):
        return []
    return [Difference(path="exception", before=before, now=now)]


def _raised(payload: Mapping[str, Any], pair: Pair) -> str:
    """Type and place of an exception, without its message, which may quote the order; `(none)` without one."""
    try:
        preview_of(payload, pair)
    except Exception as error:
        return f"{type(error).__name__}{_place(''.join(traceback.format_tb(error.__traceback__)))}"
    return ABSENT


async def _arrived(client: Client, workflow_id: str, run_id: str) -> tuple[OrderStart, Transformed | None]:
    """The start argument, and what the transform of it was then.

    Only a first transform before any message is surely one of the payload in the start argument.
    """
    recorded: Transformed | None = None
    start: OrderStart | None = None
    convert = client.data_converter
    async for event in client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history_events():
        if event.HasField("workflow_execution_started_event_attributes"):
            payloads = event.workflow_execution_started_event_attributes.input.payloads
            (start,) = await convert.decode(payloads, [OrderStart])
        elif event.HasField("marker_recorded_event_attributes"):
            details = event.marker_recorded_event_attributes.details
            data = details["data"].payloads[0].data if "data" in details else b""
            if b'"transform_order"' in data and "result" in details:
                try:
                    (recorded,) = await convert.decode(details["result"].payloads, [Transformed])
                except UNREADABLE:
                    recorded = None
            break
        elif not event.HasField("workflow_task_scheduled_event_attributes") and not (
            event.HasField("workflow_task_started_event_attributes")
            or event.HasField("workflow_task_completed_event_attributes")
        ):
            break
    if start is None:
        raise RuntimeError("a history begins with the start of its workflow")
    return start, recorded
