"""Temporal: the server, the namespace with its search attributes, who works on the queues, the Schedules.

In: settings and pairs. Out: results. Reads only. The server tells its time nowhere; moments that it stamped (polls of
workers) and that it announces (next runs of Schedules) bound it from both sides.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType, TaskQueueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    DescribeNamespaceResponse,
    DescribeTaskQueueRequest,
    GetSystemInfoRequest,
)
from temporalio.client import Client, ScheduleDescription
from temporalio.service import RPCError, RPCStatusCode

from connectors.errors import quoted
from contracts import queues
from contracts import search_attributes as attributes
from mappings.pair import Pair
from workers.checks.results import Group, Trouble, clock_result
from workers.connect import connect_once
from workers.plugin import integration_plugin
from workers.production import host_of, is_this_machine
from workers.schedules import schedules_of
from workers.settings import Settings, SettingsError

CHECKS: Final = (
    "reachable",
    "namespace",
    "retention",
    "standalone_activities",
    "search_attributes",
    "fairness",
    "queues",
    "schedules",
    "clock",
)
CALL_LIMIT: Final = timedelta(seconds=6)
FAIRNESS_SINCE: Final = (1, 29)
"""Server release that brought fairness keys."""
ENOUGH_RETENTION: Final = timedelta(days=30)
"""As long is a closed order remembered as a duplicate."""
CLOCK_SECONDS: Final = 300.0
LATE_SECONDS: Final = 60.0
"""A run of a Schedule may begin so late without the clocks being wrong."""


class Queue(NamedTuple):
    """A task queue, the kind of its tasks, and the role that works on it."""

    name: str
    kind: TaskQueueType.ValueType
    role: str


async def check_temporal(group: Group, settings: Settings, pairs: Mapping[str, Pair]) -> None:
    """Everything that the processes need of the server."""
    client = await _connected(group, settings)
    namespace = await _namespace(group, client, settings)
    _retention(group, namespace, settings)
    _capabilities(group, namespace)
    try:
        await _search_attributes(group, client, settings)
        await _fairness(group, client)
        newest_poll = await _queues(group, client, settings, pairs)
        next_run = await check_schedules(group, client, pairs)
    except RPCError as error:
        raise Trouble(
            f"the server does not say: {error.status.name}: {quoted(error.message)}",
            "Check what the credentials for Temporal may do. A new namespace is known everywhere after a minute.",
        ) from None
    _clock(group, newest_poll, next_run)


async def _connected(group: Group, settings: Settings) -> Client:
    try:
        async with asyncio.timeout(CALL_LIMIT.total_seconds()):
            client = await connect_once(settings, integration_plugin())
    except SettingsError as error:
        raise Trouble(str(error), "See docs/settings.md.") from None
    except (RuntimeError, RPCError, TimeoutError, ValueError) as error:
        words = _no_connection(error)
        remedy = "Check host and port, that the server runs, and whether it wants TLS, a key or a certificate."
        if is_this_machine(host_of(settings.temporal_address)):
            remedy = "Start the server (make run has one), or correct the port."
        raise Trouble(f"TEMPORAL_ADDRESS {settings.temporal_address}: {words}", remedy) from None
    return client


def _no_connection(error: BaseException) -> str:
    """The SDK's nested Rust errors in few words."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    said = str(error)
    known = {"ConnectionRefused": "connection refused", "dns error": "no such host", "certificate": "the certificate"}
    return next((f"{words} ({said[:60]}…)" for mark, words in known.items() if mark in said), quoted(said))


async def _namespace(group: Group, client: Client, settings: Settings) -> DescribeNamespaceResponse:
    name = settings.temporal_namespace
    try:
        system = await client.workflow_service.get_system_info(GetSystemInfoRequest(), timeout=CALL_LIMIT)
        group.ok("reachable", f"server {system.server_version or 'of unknown version'}")
        return await client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=name), timeout=CALL_LIMIT
        )
    except RPCError as error:
        if not group.has("reachable"):
            group.ok("reachable", "it answers")
        if error.status is RPCStatusCode.NOT_FOUND:
            raise Trouble(
                f"TEMPORAL_NAMESPACE: there is no namespace {name}",
                f"Make it: temporal operator namespace create -n {name} --retention 2160h. Or correct the setting.",
            ) from None
        raise Trouble(
            f"TEMPORAL_NAMESPACE {name}: {error.status.name}: {quoted(error.message)}",
            "Check the credentials for Temporal, and that they may use this namespace.",
        ) from None


def _retention(group: Group, namespace: DescribeNamespaceResponse, settings: Settings) -> None:
    name = settings.temporal_namespace
    group.ok("namespace", name)
    kept = _span(namespace.config.workflow_execution_retention_ttl)
    if kept < ENOUGH_RETENTION:
        group.warning(
            "retention",
            f"closed orders are forgotten after {kept.total_seconds() / 3600:.0f} h, then one sent again is new",
            f"temporal operator namespace update -n {name} --retention 2160h (docs/backfill.md).",
        )
    else:
        group.ok("retention", f"closed orders are kept {kept.days} days")


def _span(duration: Duration) -> timedelta:
    return timedelta(seconds=duration.seconds)


async def _search_attributes(group: Group, client: Client, settings: Settings) -> None:
    request = ListSearchAttributesRequest(namespace=settings.temporal_namespace)
    try:
        answer = await client.operator_service.list_search_attributes(request, timeout=CALL_LIMIT)
    except RPCError as error:
        group.skipped(
            "search_attributes",
            f"because the server does not list them to us ({error.status.name})",
            "Compare them by hand with contracts/search_attributes.py.",
        )
        return
    missing, wrong = [], []
    for key in attributes.ALL:
        wanted = key.indexed_value_type.name.title().replace("_", "")
        if key.name not in answer.custom_attributes:
            missing.append((key.name, wanted))
            continue
        found = _kind(answer.custom_attributes[key.name])
        if found != wanted:
            wrong.append(f"{key.name} is {found}, not {wanted}")
    flags = f"-n {settings.temporal_namespace}"
    create = " && ".join(
        f"temporal operator search-attribute create {flags} --name {name} --type {kind}" for name, kind in missing
    )
    absent = f"missing: {', '.join(name for name, _ in missing)}"
    again = "Remove those of the wrong type (temporal operator search-attribute remove), and create them anew."
    if missing or wrong:
        group.failed(
            "search_attributes",
            "; ".join([*wrong, *([absent] if missing else [])]),
            " ".join([*([again] if wrong else []), *([create] if missing else [])]),
        )
    else:
        group.ok("search_attributes", f"all {len(attributes.ALL)} are there, with their types")


def _kind(number: IndexedValueType.ValueType) -> str:
    name = IndexedValueType.Name(number).removeprefix("INDEXED_VALUE_TYPE_")
    return name.title().replace("_", "")


def _capabilities(group: Group, namespace: DescribeNamespaceResponse) -> None:
    if namespace.namespace_info.capabilities.standalone_activities:
        group.ok("standalone_activities", "available")
    else:
        group.failed(
            "standalone_activities",
            "not available: the API cannot read customers through Sage's queue",
            "Update the server (1.32 has them), or switch them on for this namespace.",
        )


async def _fairness(group: Group, client: Client) -> None:
    system = await client.workflow_service.get_system_info(GetSystemInfoRequest(), timeout=CALL_LIMIT)
    parts = system.server_version.split(".")
    if (
        len(parts) >= 2
        and all(part.isdigit() for part in parts[:2])
        and (int(parts[0]), int(parts[1])) < FAIRNESS_SINCE
    ):
        group.failed(
            "fairness",
            f"server {system.server_version} has none: one pair's backlog delays the others",
            "Update the server to 1.29 or newer, and set matching.enableFairness=true.",
        )
    else:
        group.skipped(
            "fairness",
            "because no server tells whether it is switched on; this one has it",
            "Set matching.enableFairness=true in its dynamic configuration (docs/outages.md); on Temporal Cloud "
            "Fairness in the namespace's settings.",
        )


def _queues_of(pairs: Mapping[str, Pair]) -> list[Queue]:
    activity, workflow = TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY, TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW
    found = [Queue(queues.ORDERS, workflow, "orders"), Queue(queues.ALERTS, activity, "orders")]
    for name in pairs:
        found += [
            Queue(queues.sage_read(name), activity, "sage"),
            Queue(queues.sage_write(name), activity, "sage"),
            Queue(queues.clarity(name), activity, "clarity"),
        ]
    return found


async def _queues(group: Group, client: Client, settings: Settings, pairs: Mapping[str, Pair]) -> datetime | None:
    """Who polls; returns the newest moment that the server stamped a poll with."""

    async def last_poll(queue: Queue) -> datetime | None:
        request = DescribeTaskQueueRequest(
            namespace=settings.temporal_namespace, task_queue=TaskQueue(name=queue.name), task_queue_type=queue.kind
        )
        answer = await client.workflow_service.describe_task_queue(request, timeout=CALL_LIMIT)
        return max((one.last_access_time.ToDatetime(UTC) for one in answer.pollers), default=None)

    wanted = _queues_of(pairs)
    polls = await asyncio.gather(*(last_poll(queue) for queue in wanted))
    idle = [queue for queue, poll in zip(wanted, polls, strict=True) if poll is None]
    names = ", ".join(queue.name for queue in idle)
    roles = " ".join(f"--role {role}" for role in dict.fromkeys(queue.role for queue in idle))
    if len(idle) == len(wanted):
        group.warning("queues", "no worker has polled in the last minutes", f"Start them: python -m workers {roles}")
    elif idle:
        group.failed(
            "queues",
            f"nobody works on {names}",
            f"Start python -m workers {roles}. While a system does not answer its worker waits (docs/outages.md).",
        )
    else:
        group.ok("queues", f"all {len(wanted)} have workers")
    return max((poll for poll in polls if poll is not None), default=None)


async def check_schedules(group: Group, client: Client, pairs: Mapping[str, Pair]) -> datetime | None:
    """Which exist and run; returns the next moment that the server announces."""

    async def described(id_: str) -> ScheduleDescription | None:
        try:
            return await client.get_schedule_handle(id_).describe(rpc_timeout=CALL_LIMIT)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise

    wanted = [id_ for pair in pairs.values() for id_ in schedules_of(pair)]
    found = dict(zip(wanted, await asyncio.gather(*(described(id_) for id_ in wanted)), strict=True))
    there = {id_: one for id_, one in found.items() if one is not None}
    missing = [id_ for id_ in wanted if id_ not in there]
    paused = {id_: one.schedule.state.note or "" for id_, one in there.items() if one.schedule.state.paused}
    if wanted and not there:
        group.warning("schedules", "there are none: nothing polls Sage", "Create them: python -m workers schedules")
    elif missing:
        group.failed("schedules", f"missing: {', '.join(missing)}", "Create them: python -m workers schedules")
    elif paused:
        group.warning(
            "schedules",
            "paused: " + ", ".join(f"{id_} ({note[:60]})" if note else id_ for id_, note in paused.items()),
            "When it is time, each: temporal schedule toggle --unpause --schedule-id ID --reason WHY",
        )
    else:
        group.ok("schedules", f"all {len(wanted)} are there and run")
    running = [one for id_, one in there.items() if id_ not in paused and one.info.next_action_times]
    return min((one.info.next_action_times[0] for one in running), default=None)


def _clock(group: Group, newest_poll: datetime | None, next_run: datetime | None) -> None:
    ahead, behind = clock_bounds(datetime.now(UTC), newest_poll, next_run)
    if newest_poll is None and next_run is None:
        group.skipped("clock", "because nothing runs there yet whose times could be compared")
    elif ahead > 0 or behind > LATE_SECONDS:
        clock_result(group, ahead if ahead > 0 else -behind, most=CLOCK_SECONDS)
    else:
        group.ok("clock", "its stamps and this machine's time do not contradict each other")


def clock_bounds(now: datetime, newest_poll: datetime | None, next_run: datetime | None) -> tuple[float, float]:
    """Seconds by which the server's clock is at least ahead of, and behind, `now`; 0 when it need not be.

    `newest_poll` lies in the server's past, `next_run` in its future.
    """
    ahead = (newest_poll - now).total_seconds() if newest_poll else 0.0
    behind = (now - next_run).total_seconds() if next_run else 0.0
    return max(ahead, 0.0), max(behind, 0.0)
