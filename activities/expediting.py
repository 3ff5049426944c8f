"""An order that runs goes before the others from now on: its workflow, and the steps that wait already.

In: a client and a workflow. A step in a queue is put there again with the new priority (measured: it is taken next).
"""

import logging
from datetime import timedelta

from google.protobuf.field_mask_pb2 import FieldMask
from temporalio.api.activity.v1 import ActivityOptions
from temporalio.api.common.v1 import Priority, WorkflowExecution
from temporalio.api.workflow.v1 import WorkflowExecutionOptions
from temporalio.api.workflowservice.v1 import UpdateActivityOptionsRequest, UpdateWorkflowExecutionOptionsRequest
from temporalio.client import Client
from temporalio.service import RPCError

from contracts.priorities import PriorityKey

log = logging.getLogger(__name__)

RPC_LIMIT = timedelta(seconds=3)


async def expedite(client: Client, pair: str, workflow_id: str) -> None:
    """Give a running workflow and its waiting steps the first priority; repeats change nothing.

    Never raises: an order that goes at its turn is better than an event that is not taken.
    """
    priority = Priority(priority_key=PriorityKey.EXPEDITED, fairness_key=pair)
    execution, mask = WorkflowExecution(workflow_id=workflow_id), FieldMask(paths=["priority"])
    service = client.workflow_service
    try:
        described = await client.get_workflow_handle(workflow_id).describe(rpc_timeout=RPC_LIMIT)
        if described.raw_description.workflow_execution_info.priority.priority_key != PriorityKey.EXPEDITED:
            await service.update_workflow_execution_options(
                UpdateWorkflowExecutionOptionsRequest(
                    namespace=client.namespace,
                    workflow_execution=execution,
                    workflow_execution_options=WorkflowExecutionOptions(priority=priority),
                    update_mask=mask,
                ),
                timeout=RPC_LIMIT,
            )
        waiting = described.raw_description.pending_activities
        for step in waiting:
            if step.priority.priority_key != PriorityKey.EXPEDITED:
                await service.update_activity_options(
                    UpdateActivityOptionsRequest(
                        namespace=client.namespace,
                        execution=execution,
                        id=step.activity_id,
                        activity_options=ActivityOptions(priority=priority),
                        update_mask=mask,
                    ),
                    timeout=RPC_LIMIT,
                )
    except RPCError as error:
        log.warning("%s stays at its turn: %s", workflow_id, error.status.name, extra={"workflow_id": workflow_id})
