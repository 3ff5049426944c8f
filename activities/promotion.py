"""The steps of a promotion on Temporal itself: routing between versions, their patches, and what fails meanwhile.

In: messages of `contracts.promotion`. Out: the routing is as asked; failures as a list. Setting what is set already
changes nothing. Runs in the process of `python -m workers promote`.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Final

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
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from contracts import queues
from contracts.deployments import PATCHES, deployment_name
from contracts.promotion import Failing, SetCurrent, SetPatches, SetRamp, WatchRamp
from contracts.search_attributes import FAILED_FLOWS, HOLD_REASON
from mappings.problems import HoldReason

ALIVE: Final = timedelta(seconds=150)
"""A worker's poll takes a minute when nothing comes: one that did not ask for longer is gone."""
SHOWN: Final = 20
"""Failures that are named."""
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


class PromotionActivities:
    """Asks and tells Temporal."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @activity.defn
    async def set_patches(self, request: SetPatches) -> None:
        """Into the version's metadata, where its workers read it."""
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
        """Raises ApplicationError of type `RoutingChangedElsewhere` when another version is being ramped."""
        now = await routing(self._client, request.deployment)
        ramping = now.ramping_deployment_version.build_id if now else ""
        if request.percentage and ramping not in ("", request.build_id):
            raise ApplicationError(
                f"{request.deployment} ramps build {ramping}, which this promotion did not begin",
                type=ELSEWHERE,
                non_retryable=True,
            )
        if not request.percentage and ramping != request.build_id:
            return
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
        """The version that serves a deployment; ends its ramp."""
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
        return await self._look(request)

    @activity.defn
    async def watch_ramp(self, request: WatchRamp) -> list[Failing]:
        """Look again and again; what fails, as soon as something does, and nothing when the time is over."""
        end = monotonic() + request.seconds
        while True:
            activity.heartbeat()
            if found := [*await self._look(request), *await self._routing_as_set(request)]:
                return found[:SHOWN]
            if monotonic() >= end:
                return []
            await asyncio.sleep(min(request.look_every_seconds, max(end - monotonic(), 0)))

    async def _look(self, request: WatchRamp) -> list[Failing]:
        known = set(request.known)
        found = [one async for one in self._failing(request) if one.workflow_id not in known]
        return found if not request.seconds else [*found, *await self._unpolled(request)]

    async def _failing(self, request: WatchRamp) -> AsyncIterator[Failing]:
        """By visibility: it lags by less than a second, and the next look comes.

        Which version failed a workflow's tasks is not told, as its version is the one that last completed a task. So
        everything new counts; before a promotion's end nothing else should change in the house.
        """
        held = f"{HOLD_REASON.name}='{HoldReason.INTERNAL_ERROR.value}' AND ExecutionStatus='Running'"
        failed = (
            f"{FAILED_FLOWS} AND CloseTime >= '{request.since.astimezone(UTC).isoformat()}' AND "
            f"TemporalWorkerDeploymentVersion='{deployment_name(request.deployment, 'orders')}:{request.build_id}'"
        )
        for query, what in (
            ("TemporalReportedProblems IS NOT NULL AND ExecutionStatus='Running'", "its workflow tasks fail"),
            (held, "is held with internal_error"),
            (failed, "failed under the candidate"),
        ):
            async for run in self._client.list_workflows(query):
                if run.id != activity.info().workflow_id:
                    yield Failing(workflow_id=run.id, what=what)

    async def _unpolled(self, request: WatchRamp) -> list[Failing]:
        """Queues whose candidate's workers are gone. One that nobody polls has a closed gate."""
        gone: list[Failing] = []
        for role, percentage in request.percentages.items():
            for queue in request.queues.get(role, []) if percentage else []:
                polling = await polled_by(self._client, queue)
                if request.build_id not in polling and (polling or role == "orders"):
                    gone.append(Failing(what=f"no worker of the candidate polls the queue {queue}"))
        return gone

    async def _routing_as_set(self, request: WatchRamp) -> list[Failing]:
        changed: list[Failing] = []
        for role, percentage in request.percentages.items():
            deployment = deployment_name(request.deployment, role)
            now = await routing(self._client, deployment)
            ramping = now.ramping_deployment_version.build_id if now else ""
            if now is None or ramping != request.build_id or round(now.ramping_version_percentage) != percentage:
                changed.append(Failing(what=f"the routing of {deployment} was changed from elsewhere"))
        return changed
