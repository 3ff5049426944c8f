"""The floor that orders are held against: a bare workflow with the plain order's steps, none of which does anything.

`python -m tests.bench.floor {orders|sage}` runs a worker process with the settings of ours: the same queues' sizes,
plugin and priorities, on queues of its own. `FloorWorkflow` has as many activities as a plain order (one of them
local), its attribute upserts and one signal, and payloads of the same size; between them there is no code.
"""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

from contracts import search_attributes as attributes
from contracts.search_attributes import OrderState

with workflow.unsafe.imports_passed_through():
    from workers.connect import connect
    from workers.plugin import integration_plugin
    from workers.roles import CLARITY_CALLS_AT_ONCE, READS_AT_ONCE, STICKY_TIMEOUT, TRANSFORMS_AT_ONCE
    from workers.settings import load_settings

ORDERS, SAGE_READ, SAGE_WRITE, CLARITY = "floor-orders", "floor-sage-read", "floor-sage-write", "floor-clarity"
WRITES_AT_ONCE = 2
LIMIT = timedelta(seconds=60)


@activity.defn
async def nothing(payload: str) -> str:
    """A step."""
    return payload


@workflow.defn
class FloorWorkflow:
    """The plain order's steps."""

    def __init__(self) -> None:
        self.shipped = ""

    @workflow.run
    async def run(self, payload: str) -> str:
        """Transform, look up, reserve, create, acknowledge; a shipment; told, invoiced."""
        transformed = await workflow.execute_local_activity(
            nothing, payload, start_to_close_timeout=LIMIT, summary="Transform"
        )
        for queue, text, summary in (
            (SAGE_READ, transformed, "Look up"),
            (SAGE_WRITE, "", "Reserve"),
            (SAGE_WRITE, payload, "Create"),
            (CLARITY, "", "Acknowledge"),
        ):
            await workflow.execute_activity(
                nothing, text, task_queue=queue, start_to_close_timeout=LIMIT, summary=summary
            )
        self.become(OrderState.OPEN)
        await workflow.wait_condition(lambda: bool(self.shipped))
        await workflow.execute_activity(
            nothing, self.shipped, task_queue=CLARITY, start_to_close_timeout=LIMIT, summary="Shipment"
        )
        await workflow.execute_activity(
            nothing, "", task_queue=CLARITY, start_to_close_timeout=LIMIT, summary="Invoices"
        )
        self.become(OrderState.COMPLETE)
        return ""

    def become(self, state: OrderState) -> None:
        """As an order shows its state."""
        workflow.upsert_search_attributes([attributes.ORDER_STATE.value_set(state.value)])

    @workflow.signal
    def shipment(self, text: str) -> None:
        """The one signal."""
        self.shipped = text


def workers(client: Client, role: str) -> list[Worker]:
    """The queues of a role, as `workers.roles` sets them up."""
    if role == "sage":
        return [
            Worker(client, task_queue=SAGE_READ, activities=[nothing], max_concurrent_activities=READS_AT_ONCE),
            Worker(client, task_queue=SAGE_WRITE, activities=[nothing], max_concurrent_activities=WRITES_AT_ONCE),
        ]
    return [
        Worker(
            client,
            task_queue=ORDERS,
            workflows=[FloorWorkflow],
            activities=[nothing],
            activity_executor=ThreadPoolExecutor(TRANSFORMS_AT_ONCE),
            max_concurrent_activities=TRANSFORMS_AT_ONCE,
            max_concurrent_local_activities=TRANSFORMS_AT_ONCE,
            disable_eager_activity_execution=True,
            sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
        ),
        Worker(client, task_queue=CLARITY, activities=[nothing], max_concurrent_activities=CLARITY_CALLS_AT_ONCE),
    ]


async def main(role: str) -> None:
    """Until the process is ended."""
    client = await connect(load_settings(), integration_plugin())
    await asyncio.gather(*(worker.run() for worker in workers(client, role)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
