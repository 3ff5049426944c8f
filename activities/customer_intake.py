"""Taking in that a customer changed: the durable accept of `customer.updated`, part of `activities.intake`.

In: a verified event in the contract's words. Out: what became of it. The signal-with-start of `CustomerSyncWorkflow`
is the accept. Of the event only the customer's id counts: the workflow reads what the customer is now, so that late,
repeated and overtaken deliveries do no harm. Raises `RPCError` when Temporal does not answer.
"""

from collections.abc import Mapping
from datetime import timedelta

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.service import RPCError, RPCStatusCode

from contracts import ids, queues
from contracts import search_attributes as attributes
from contracts.customers import CustomerChanged, CustomerSyncStart
from contracts.priorities import background
from mappings.pair import Pair

RPC_LIMIT = timedelta(seconds=3)
WEBHOOK_MEMO = "webhook_id"
"""The delivery that started a run: the same one again starts no other."""


async def sync_customer(client: Client, pair: Pair, clarity_id: str, webhook_id: str) -> tuple[bool, str]:
    """Start, or tell the running one; whether it was news, and the workflow's id."""
    workflow_id = ids.customer_sync_workflow_id(pair.name, clarity_id)
    if webhook_id and await _is_done(client, workflow_id, webhook_id):
        return False, workflow_id
    await client.start_workflow(
        "CustomerSyncWorkflow",
        CustomerSyncStart(
            pair=pair.name,
            clarity_id=clarity_id,
            pace=pair.pace,
            review=pair.customers.sync.in_doubt == "review",
        ),
        id=workflow_id,
        task_queue=queues.ORDERS,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        start_signal="customer_changed",
        start_signal_args=[CustomerChanged(webhook_id=webhook_id)],
        memo={WEBHOOK_MEMO: webhook_id},
        search_attributes=TypedSearchAttributes([SearchAttributePair(attributes.PAIR, pair.name)]),
        static_summary=f"Customer {clarity_id} of pair {pair.name} changed",
        priority=background(pair.name),
        rpc_timeout=RPC_LIMIT,
    )
    return True, workflow_id


async def _is_done(client: Client, workflow_id: str, webhook_id: str) -> bool:
    """Whether the latest run was started by this very delivery, and has ended well."""
    try:
        known = await client.get_workflow_handle(workflow_id).describe(rpc_timeout=RPC_LIMIT)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise
    told = await known.memo_value(WEBHOOK_MEMO, default="")
    return known.status is WorkflowExecutionStatus.COMPLETED and told == webhook_id


def customer_id_of(payload: Mapping[str, object]) -> str | None:
    """The customer's id as text; None when the event names none that can stand in a workflow's id."""
    body = payload.get("data")
    value = body.get("id") if isinstance(body, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, str | int) or (isinstance(value, int) and abs(value) >= 10**64):
        return None
    return str(value) if ids.is_order_id(str(value)) else None
