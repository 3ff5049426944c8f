"""Which orders go before the others, from their start or from a later version on; the real server's priorities."""

import uuid
from typing import Any

import pytest
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer

from activities.intake import Intake, IntakeResult
from contracts.priorities import PriorityKey
from tests.workflows.conftest import PAIR, STARTED, World, payload_of, until, view_of
from workers.plugin import integration_plugin
from workers.roles import WORKFLOWS

pytestmark = pytest.mark.asyncio(loop_scope="session")

Handle = WorkflowHandle[Any, Any]


def event_of(order_id: str, type_: str = "order.created", method: str = "Priority") -> dict[str, Any]:
    event = payload_of("02-known-web-customer")
    event["type"] = type_
    event["data"] |= {"id": order_id, "shipping": {**event["data"]["shipping"], "method": method}}
    if method == "Next Day Air":
        event["data"]["shipping"]["carrier"] = "UPS"
    return event


async def priorities(handle: Handle) -> dict[str, int]:
    """Activity → the priority with which the order scheduled it."""
    scheduled = [
        event.activity_task_scheduled_event_attributes
        for event in (await handle.fetch_history()).events
        if event.HasField("activity_task_scheduled_event_attributes")
    ]
    return {one.activity_type.name: one.priority.priority_key for one in scheduled}


async def take(env: WorkflowEnvironment, event: dict[str, Any]) -> tuple[IntakeResult, Handle]:
    order_id = event["data"]["id"]
    with env.with_time_skipping_disabled():
        result, _ = await Intake(env.client, PAIR).take(event, uuid.uuid4().hex)
    handle: Handle = env.client.get_workflow_handle(f"order-demo-{order_id}")
    STARTED.append(handle)
    return result, handle


@pytest.mark.parametrize(("method", "key"), [("Priority", PriorityKey.NORMAL), ("Next Day Air", PriorityKey.EXPEDITED)])
async def test_every_step_carries_the_priority_of_the_start(
    env: WorkflowEnvironment, world: World, method: str, key: PriorityKey
) -> None:
    result, handle = await take(env, event_of(f"x{uuid.uuid4().hex[:10]}", method=method))
    assert result is IntakeResult.STARTED
    await world.until_called("acknowledge_to_clarity", 1)
    description = await handle.describe()
    priority = description.raw_description.workflow_execution_info.priority
    assert (priority.priority_key, priority.fairness_key) == (key, "demo")
    is_expedited = key is PriorityKey.EXPEDITED
    assert str(await description.static_summary()).endswith(" · expedited") is is_expedited
    assert (await view_of(handle)).title.endswith(" · expedited") is is_expedited
    scheduled = await priorities(handle)
    assert set(scheduled) >= {"read_sage_facts", "create_sales_order", "acknowledge_to_clarity"}
    # The server gives each the workflow's own; the event shows what the order says itself.
    assert set(scheduled.values()) <= {0, key}


async def test_a_later_version_expedites_the_order_and_the_step_that_waits(
    env: WorkflowEnvironment, world: World
) -> None:
    order_id = f"x{uuid.uuid4().hex[:10]}"
    world.facts_gate.clear()
    _, handle = await take(env, event_of(order_id))
    await world.until_called("read_sage_facts", 1)

    async def waiting() -> tuple[int, int]:
        """Of the order and of its step; 0 is the order's own."""
        raw = (await handle.describe()).raw_description
        return raw.workflow_execution_info.priority.priority_key, raw.pending_activities[0].priority.priority_key

    assert await waiting() == (PriorityKey.NORMAL, 0)
    result, _ = await take(env, event_of(order_id, "order.updated", "2nd Day Air"))
    assert result is IntakeResult.CHANGED
    assert await waiting() == (PriorityKey.NORMAL, 0)
    for _ in range(2):
        result, _ = await take(env, event_of(order_id, "order.updated", "Next Day Air"))
        assert result is IntakeResult.CHANGED
        assert await waiting() == (PriorityKey.EXPEDITED, PriorityKey.EXPEDITED)
    world.facts_gate.set()
    await world.until_called("acknowledge_to_clarity", 1)
    scheduled = await priorities(handle)
    assert scheduled["create_sales_order"] == scheduled["acknowledge_to_clarity"] == PriorityKey.EXPEDITED
    history = await handle.fetch_history()
    assert any(event.HasField("workflow_execution_options_updated_event_attributes") for event in history.events)
    replayed = await Replayer(workflows=WORKFLOWS, plugins=[integration_plugin()]).replay_workflow(history)
    assert replayed.replay_failure is None


async def test_a_correction_expedites_the_steps_that_follow(env: WorkflowEnvironment, world: World) -> None:
    event = event_of(f"x{uuid.uuid4().hex[:10]}", method="No Such Method")
    _, handle = await take(env, event)
    await until(handle, "held", hold=1)
    correction = {"shipping": {"carrier": "UPS", "method": "Next Day Air"}}
    await handle.execute_update("release_hold", {"action": "correct", "by": "Ann", "hold": 1, "correction": correction})
    await world.until_called("acknowledge_to_clarity", 1)
    assert (await priorities(handle))["create_sales_order"] == PriorityKey.EXPEDITED
