"""The steps of a promotion on Temporal itself: routing between versions, their patches, and what fails meanwhile.

In: messages of `contracts.promotion`. Out: the routing is as asked; failures as a list. Setting what is set already
changes nothing. Runs in the process of `python -m workers promote`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from math import inf
from time import monotonic
from types import MappingProxyType
from typing import Final, NamedTuple

from temporalio import activity
from temporalio.api.common.v1 import Payload
from temporalio.api.deployment.v1 import RoutingConfig, WorkerDeploymentVersion
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeTaskQueueRequest,
    DescribeWorkerDeploymentRequest,
    SetWorkerDeploymentCurrentVersionRequest,
    SetWorkerDeploymentRampingVersionRequest,
    UpdateWorkerDeploymentVersionMetadataRequest,
)
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus, WorkflowHistoryEventFilterType
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from contracts import ids, queues
from contracts.deployments import PATCHES, deployment_name
from contracts.outages import OutsideSystem
from contracts.promotion import Failing, FindUnpolled, SetCurrent, SetPatches, SetRamp, WatchRamp
from contracts.search_attributes import FAILED_FLOWS, HOLD_REASON
from mappings.maintenance import in_maintenance
from mappings.pair import Pair
from mappings.problems import HoldReason

ALIVE: Final = timedelta(seconds=150)
"""A worker's poll takes a minute when nothing comes: one that did not ask for longer is gone."""
GATE_OPENS: Final = timedelta(seconds=60)
"""In which a worker polls again after an outage or a maintenance window: it probes every `pace.probe_interval`. An
outage in which only some calls fail begins again within it: what failed is back in its queue by then."""
OUTAGE_LIMIT: Final = timedelta(hours=1)
"""An outage that began while ramping and lasts longer may be the candidate's own doing."""
SHOWN: Final = 20
"""Failures that are named."""
BY_THE_SERVER: Final = "history-service"
"""Identity with which Temporal itself terminates what exceeds its limits; a person has another, and so has a reset."""
ELSEWHERE: Final = "RoutingChangedElsewhere"
"""Failure type: somebody else routes the same deployment."""


async def routing(client: Client, deployment: str) -> RoutingConfig | None:
    """Which versions serve a deployment; None when no worker of it was ever seen.

    Temporal answers some questions a second about one deployment, and then refuses: hence the retries here.
    """
    request = DescribeWorkerDeploymentRequest(namespace=client.namespace, deployment_name=deployment)
    try:
        answer = await client.workflow_service.describe_worker_deployment(request, retry=True)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise
    return answer.worker_deployment_info.routing_config


def current_of(now: RoutingConfig | None) -> str:
    """Build id of the version that serves a deployment; empty for workers without one."""
    return now.current_deployment_version.build_id if now else ""


def unless_changed(deployment: str, now: RoutingConfig | None, checked: str | None, build_id: str = "") -> None:
    """Raises ApplicationError of type `RoutingChangedElsewhere` when neither of these builds serves a deployment.

    `checked` is the one that was found before anything was ramped; None: whichever.
    """
    if checked is not None and current_of(now) not in (checked, build_id or checked):
        found, wanted = (build or "workers without a version" for build in (current_of(now), checked))
        raise changed_elsewhere(f"{deployment}: somebody made {found} current meanwhile, instead of {wanted}")


def changed_elsewhere(message: str) -> ApplicationError:
    """Nothing that another attempt could mend."""
    return ApplicationError(message, type=ELSEWHERE, non_retryable=True)


async def polled_by(client: Client, queue: str) -> set[str]:
    """Build ids of the workers that poll a queue now; empty text for workers without a version."""
    found: set[str] = set()
    kinds = [TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY]
    if queue == queues.ORDERS:
        kinds = [TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW]
    for kind in kinds:
        request = DescribeTaskQueueRequest(
            namespace=client.namespace, task_queue=TaskQueue(name=queue), task_queue_type=kind, report_pollers=True
        )
        answer = await client.workflow_service.describe_task_queue(request, retry=True)
        for poller in answer.pollers:
            if datetime.now(UTC) - poller.last_access_time.ToDatetime(UTC) < ALIVE:
                found.add(poller.deployment_options.build_id)
    return found


class Unpolled(NamedTuple):
    """Queues that no worker of the build asked for polls."""

    missing: list[str]
    waiting: dict[str, str]
    """Why no worker polls such a queue: its system is out, or has its maintenance window."""


class Outage(NamedTuple):
    """One that a watch met."""

    of: str
    """`sage of pair demo`."""
    began: datetime
    seen: float
    """When it was last running, on the clock that never jumps."""
    runs: bool


class PromotionActivities:
    """Asks and tells Temporal. `pairs` know their maintenance windows; `say` is told what a watch waits for."""

    def __init__(
        self,
        client: Client,
        pairs: Mapping[str, Pair] = MappingProxyType({}),
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._client = client
        self._pairs = pairs
        self._say = say
        self._closed_at: dict[str, float] = {}
        """When a queue was last seen with a system that is out, on the clock that never jumps."""
        self._outages: dict[str, Outage] = {}
        """By id of their workflow, until it has not run for `GATE_OPENS`."""
        self._told: set[str] = set()
        self._by_hand: set[str] = set()
        """Runs of orders that somebody terminated."""

    @activity.defn
    async def set_patches(self, request: SetPatches) -> None:
        """Into the version's metadata, where its workers read it.

        Raises ApplicationError of type `RoutingChangedElsewhere`, as do the next two.
        """
        if request.current is not None:
            unless_changed(request.deployment, await routing(self._client, request.deployment), request.current)
        await self._client.workflow_service.update_worker_deployment_version_metadata(
            UpdateWorkerDeploymentVersionMetadataRequest(
                namespace=self._client.namespace,
                deployment_version=WorkerDeploymentVersion(
                    deployment_name=request.deployment, build_id=request.build_id
                ),
                upsert_entries={
                    PATCHES: Payload(
                        metadata={"encoding": b"json/plain"}, data=request.state.model_dump_json().encode()
                    )
                },
                identity=self._client.identity,
            ),
            retry=True,
        )

    @activity.defn
    async def set_ramp(self, request: SetRamp) -> None:
        """Not over another ramp, nor beside another version than was checked. A ramp of its own ends in any case."""
        now = await routing(self._client, request.deployment)
        ramping = now.ramping_deployment_version.build_id if now else ""
        if not request.percentage:
            if ramping == request.build_id:
                await self._set_ramp(request)
            unless_changed(request.deployment, now, request.current)
            return
        if ramping not in ("", request.build_id):
            raise changed_elsewhere(f"{request.deployment} ramps build {ramping}, which this promotion did not begin")
        unless_changed(request.deployment, now, request.current)
        await self._set_ramp(request)

    async def _set_ramp(self, request: SetRamp) -> None:
        await self._client.workflow_service.set_worker_deployment_ramping_version(
            SetWorkerDeploymentRampingVersionRequest(
                namespace=self._client.namespace,
                deployment_name=request.deployment,
                build_id=request.build_id if request.percentage else "",
                percentage=request.percentage,
                identity=self._client.identity,
                # A new queue of the candidate, and one that it dropped, are no mistakes: pollers are watched.
                ignore_missing_task_queues=True,
            ),
            retry=True,
        )

    @activity.defn
    async def set_current(self, request: SetCurrent) -> None:
        """The version that serves a deployment; ends its ramp. Only in place of the one that it was checked against."""
        if request.instead_of is not None:
            now = await routing(self._client, request.deployment)
            unless_changed(request.deployment, now, request.instead_of, request.build_id)
        await self._client.workflow_service.set_worker_deployment_current_version(
            SetWorkerDeploymentCurrentVersionRequest(
                namespace=self._client.namespace,
                deployment_name=request.deployment,
                build_id=request.build_id,
                identity=self._client.identity,
                ignore_missing_task_queues=True,
            ),
            retry=True,
        )

    @activity.defn
    async def find_failures(self, request: WatchRamp) -> list[Failing]:
        """What fails now and is not known."""
        known = set(request.known)
        return [one async for one in self._failing(request) if one.workflow_id not in known]

    @activity.defn
    async def find_unpolled(self, request: FindUnpolled) -> list[Failing]:
        """Queues that no worker of the version that serves them polls, though their system answers."""
        return [
            Failing(what=f"no worker of {_version(request.builds[role])} polls the queue {queue}")
            for role in request.builds
            for queue in (await self._unpolled(request.builds[role], role, request.queues.get(role, []))).missing
        ]

    @activity.defn
    async def watch_ramp(self, request: WatchRamp) -> list[Failing]:
        """Look again and again; what fails, as soon as something does, and nothing when the time is over.

        While a system is out, its workers prove nothing: then it lasts until they poll again, and the system is back.
        """
        end = monotonic() + request.seconds
        while True:
            activity.heartbeat()
            looked = [
                await self._unpolled(request.build_id, role, request.queues.get(role, []))
                for role, percentage in request.percentages.items()
                if percentage
            ]
            found = [
                *await self.find_failures(request),
                *(
                    Failing(what=f"no worker of the candidate polls the queue {queue}")
                    for one in looked
                    for queue in one.missing
                ),
                *await self._routing_as_set(request),
            ]
            waiting = {
                queue: f"{queue} is not polled, as {why}: the watch goes on until it is polled"
                for one in looked
                for queue, why in one.waiting.items()
            }
            for outage, met in (await self._outages_met(request)).items():
                waiting[outage] = f"{met.of} is out ({outage}): the watch goes on until that is over for a minute"
                if met.runs and met.began > request.since and datetime.now(UTC) - met.began > OUTAGE_LIMIT:
                    lasts = (
                        f"{met.of} is out for more than {OUTAGE_LIMIT.total_seconds() / 60:g} min, since the ramp began"
                    )
                    found.append(Failing(workflow_id=outage, what=lasts))
            if found:
                return found[:SHOWN]
            self._tell(waiting)
            left = end - monotonic()
            if left <= 0 and not waiting:
                return []
            await asyncio.sleep(min(request.look_every_seconds, left) if left > 0 else request.look_every_seconds)

    async def _failing(self, request: WatchRamp) -> AsyncIterator[Failing]:
        """By visibility: it lags by less than a second, and the next look comes.

        Which version failed a workflow's tasks is not told, as its version is the one that last completed a task. So
        everything new counts; before a promotion's end nothing else should change in the house. An order's end, too:
        it is never failed by itself, and one that is terminated in its first task has no version at all.
        """
        since = f"CloseTime >= '{request.since.astimezone(UTC).isoformat()}'"
        held = f"{HOLD_REASON.name}='{HoldReason.INTERNAL_ERROR.value}' AND ExecutionStatus='Running'"
        failed = (
            f"{FAILED_FLOWS} AND {since} AND "
            f"TemporalWorkerDeploymentVersion='{deployment_name(request.deployment, 'orders')}:{request.build_id}'"
        )
        order = "WorkflowType='OrderFulfillmentWorkflow'"
        for query, what in (
            ("TemporalReportedProblems IS NOT NULL AND ExecutionStatus='Running'", "its workflow tasks fail"),
            (held, "is held with internal_error"),
            (failed, "failed under the candidate"),
            (f"{order} AND ExecutionStatus IN ('Failed', 'TimedOut') AND {since}", "the order's workflow failed"),
        ):
            async for run in self._client.list_workflows(query):
                if run.id != activity.info().workflow_id:
                    yield Failing(workflow_id=run.id, what=what)
        async for run in self._client.list_workflows(f"{order} AND ExecutionStatus='Terminated' AND {since}"):
            if run.run_id not in self._by_hand and (why := await self._terminated_by_the_server(run)):
                yield Failing(workflow_id=run.id, what=f"Temporal terminated it: {why}")

    async def _terminated_by_the_server(self, run: WorkflowExecution) -> str:
        """Temporal's words; empty when a person terminated it, or its history is gone."""
        handle = self._client.get_workflow_handle(run.id, run_id=run.run_id)
        try:
            async for event in handle.fetch_history_events(
                event_filter_type=WorkflowHistoryEventFilterType.CLOSE_EVENT
            ):
                ended = event.workflow_execution_terminated_event_attributes
                if ended.identity == BY_THE_SERVER:
                    return ended.reason[:200] or "without a reason"
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
        self._by_hand.add(run.run_id)
        return ""

    async def _unpolled(self, build_id: str, role: str, of_role: list[str]) -> Unpolled:
        """Who else polls a queue says nothing: a version without tasks does not notice that its system is out."""
        found = Unpolled([], {})
        for queue in of_role:
            if build_id in await polled_by(self._client, queue):
                self._closed_at.pop(queue, None)
            elif why := await self._why_closed(role, queue):
                self._closed_at[queue] = monotonic()
                found.waiting[queue] = why
            elif monotonic() - self._closed_at.get(queue, -inf) < GATE_OPENS.total_seconds():
                found.waiting[queue] = f"{role} has just come back"
            else:
                found.missing.append(queue)
        return found

    def _tell(self, waiting: Mapping[str, str]) -> None:
        """What a watch waits for, once each time."""
        for what in waiting.keys() - self._told:
            self._say(f"  {waiting[what]}")
        self._told = set(waiting)

    async def _why_closed(self, role: str, queue: str) -> str:
        """Why no worker polls a queue now; empty when one must."""
        if role not in tuple(OutsideSystem):
            return ""
        pair = self._pairs.get(queues.pair_of(queue))
        if pair is not None:
            windows = pair.sage.maintenance if role == OutsideSystem.SAGE else pair.clarity.maintenance
            if in_maintenance(windows, datetime.now(pair.company.zone)):
                return f"{role} has its maintenance window"
        outage = ids.outage_workflow_id(queues.pair_of(queue), role)
        return f"{role} does not answer ({outage})" if await self._began(outage) else ""

    async def _began(self, outage: str) -> datetime | None:
        """When the outage began that is watched now; None without one."""
        try:
            run = await self._client.get_workflow_handle(outage).describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise
        return run.start_time if run.status is WorkflowExecutionStatus.RUNNING else None

    async def _outages_met(self, request: WatchRamp) -> dict[str, Outage]:
        """By id of their workflow, outages of what is ramped that run, or have just run.

        Whether the queue is polled says nothing: a poll counts for `ALIVE`, and a gate opens and closes where only some
        calls fail. Several runs with less than `GATE_OPENS` in between are one outage.
        """
        for role, percentage in request.percentages.items():
            if not percentage or role not in tuple(OutsideSystem):
                continue
            for pair in {queues.pair_of(queue) for queue in request.queues.get(role, [])}:
                outage = ids.outage_workflow_id(pair, role)
                known = self._outages.pop(outage, None)
                if known and monotonic() - known.seen >= GATE_OPENS.total_seconds():
                    known = None
                if began := await self._began(outage):
                    since = known.began if known else began
                    self._outages[outage] = Outage(f"{role} of pair {pair}", since, monotonic(), runs=True)
                elif known:
                    self._outages[outage] = known._replace(runs=False)
        return self._outages

    async def _routing_as_set(self, request: WatchRamp) -> list[Failing]:
        changed: list[Failing] = []
        for role, percentage in request.percentages.items():
            deployment = deployment_name(request.deployment, role)
            now = await routing(self._client, deployment)
            ramping = now.ramping_deployment_version.build_id if now else ""
            if (
                now is None
                or ramping != request.build_id
                or round(now.ramping_version_percentage) != percentage
                or current_of(now) != request.current.get(role, current_of(now))
            ):
                changed.append(Failing(what=f"the routing of {deployment} was changed from elsewhere"))
        return changed


def _version(build_id: str) -> str:
    return f"build {build_id}" if build_id else "the version before, which has no build id,"
