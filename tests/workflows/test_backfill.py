"""`OrderBackfillWorkflow` and `DeadLetterWorkflow`: windows, one alert for a gap, replay and discard."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.client import (
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleSpec,
    WorkflowHandle,
    WorkflowUpdateFailedError,
)
from temporalio.testing import WorkflowEnvironment

from contracts import queues
from contracts.messages import (
    AlertKind,
    BackfillResult,
    BackfillStart,
    BackfillTally,
    DeadLetter,
    DeadLetterReason,
    Replayed,
)
from mappings.pair import Pace
from tests.workflows.conftest import STARTED, World
from workflows.dead_letter import DeadLetterWorkflow
from workflows.order_backfill import OrderBackfillWorkflow

pytestmark = pytest.mark.asyncio(loop_scope="session")

PACE = Pace(retry_initial=0.05, retry_maximum=0.2)
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


async def backfill(env: WorkflowEnvironment, **more: Any) -> WorkflowHandle[Any, BackfillResult]:
    handle: WorkflowHandle[Any, BackfillResult] = await env.client.start_workflow(
        OrderBackfillWorkflow.run,
        BackfillStart(pair="demo", pace=PACE, **more),
        id=f"backfill-demo-{uuid.uuid4().hex}",
        task_queue=queues.ORDERS,
    )
    STARTED.append(handle)
    return handle


async def test_orders_whose_webhook_never_came_are_one_alert_with_number_and_first_ids(
    env: WorkflowEnvironment, world: World
) -> None:
    tally = BackfillTally(seen=40, started=30, gaps=30, gap_ids=["1001", "1002"])
    world.backfilled = [BackfillResult(tally=tally, next_since=NOON)]
    handle = await backfill(env, since=NOON)
    assert (await handle.result()).tally == tally
    assert [alert.kind for alert in world.alerts] == [AlertKind.GAP]
    assert "30 orders" in world.alerts[0].text
    assert "1001, 1002 and 28 more" in world.alerts[0].text
    assert await handle.query(OrderBackfillWorkflow.progress) == tally


async def test_without_a_gap_nobody_is_told(env: WorkflowEnvironment, world: World) -> None:
    world.backfilled = [BackfillResult(tally=BackfillTally(seen=9, started=2, changed=1), next_since=NOON)]
    await (await backfill(env, since=NOON)).result()
    assert world.alerts == []


async def test_progress_comes_by_signal_and_what_does_not_fit_is_ignored(
    env: WorkflowEnvironment, world: World
) -> None:
    assert world.brain is not None
    await world.brain.stop()
    handle = await backfill(env, since=NOON)
    await handle.signal("progressed", {"page": "no number"})
    await handle.signal("progressed", BackfillTally(page=3, seen=150))
    world.brain.start()
    await handle.result()
    assert len(world.backfills) == 1


async def test_a_scheduled_run_goes_on_where_the_last_one_said(env: WorkflowEnvironment, world: World) -> None:
    world.backfilled = [BackfillResult(tally=BackfillTally(), next_since=NOON)]
    id_ = f"backfill-{uuid.uuid4().hex}"
    action = ScheduleActionStartWorkflow(
        OrderBackfillWorkflow.run, BackfillStart(pair="demo", pace=PACE), id=id_, task_queue=queues.ORDERS
    )
    schedule = await env.client.create_schedule(
        id_, Schedule(action=action, spec=ScheduleSpec()), trigger_immediately=True
    )
    try:
        await world.until_called("backfill_orders", 1)

        async def ended() -> bool:
            return len((await schedule.describe()).info.running_actions) == 0

        for _ in range(200):
            if await ended():
                break
            await asyncio.sleep(0.05)
        await schedule.trigger()
        await world.until_called("backfill_orders", 2)
    finally:
        await schedule.delete()
    assert [request.since for request in world.backfills] == [None, NOON]


# ---- dead letters ---------------------------------------------------------------------------------------------------


async def letter(
    env: WorkflowEnvironment, body: Any, reason: DeadLetterReason = DeadLetterReason.NO_ORDER_ID
) -> WorkflowHandle[Any, str]:
    one = DeadLetter(
        pair="demo",
        reason=reason,
        webhook_id="msg_1",
        received_at=datetime.now(UTC) - timedelta(hours=1),
        explanation="data.id names no order",
        body=body,
    )
    handle: WorkflowHandle[Any, str] = await env.client.start_workflow(
        DeadLetterWorkflow.run, one, id=f"deadletter-demo-{uuid.uuid4().hex}", task_queue=queues.ORDERS
    )
    STARTED.append(handle)
    return handle


async def test_a_corrected_event_is_taken_in_again_and_closes_the_letter(
    env: WorkflowEnvironment, world: World
) -> None:
    handle = await letter(env, {"type": "order.created", "data": {"id": {"a": 1}, "number": "W-1", "x": 1}})
    said = await handle.execute_update("replay", {"by": "Ann", "correction": {"data": {"id": "10032", "x": None}}})
    assert "started, order-demo-1" in said
    assert world.replays[0].body == {"type": "order.created", "data": {"id": "10032", "number": "W-1"}}
    assert (await handle.result()).startswith("replayed by Ann (unverified)")


async def test_what_is_refused_again_leaves_the_letter_open_and_says_why(
    env: WorkflowEnvironment, world: World
) -> None:
    world.replayed = [Replayed(accepted=False, result="dead_letter", detail="The order 7 is complete here")]
    handle = await letter(env, {"type": "order.updated", "data": {"id": "7"}}, DeadLetterReason.ORDER_CLOSED)
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update("replay", {"by": "Ann"})
    assert "complete here" in str(refused.value.cause)
    assert (await handle.describe()).status is not None
    assert await handle.execute_update("discard", {"by": "Ann", "why": "done by hand"}) == "discarded"
    assert await handle.result() == "discarded by Ann (unverified): done by hand"


async def test_two_replays_at_once_take_the_event_in_once(env: WorkflowEnvironment, world: World) -> None:
    assert world.brain is not None
    await world.brain.stop()
    handle = await letter(env, {"type": "order.created", "data": {"id": "8"}})
    await handle.signal("replay", {"by": "Ann"})
    await handle.signal("replay", {"by": "Bob"})
    await handle.signal("replay", "nonsense")
    world.brain.start()
    assert (await handle.result()).startswith("replayed by Ann")
    assert len(world.replays) == 1


@pytest.mark.parametrize("wrong", [{}, {"by": ""}, {"by": "A", "force": True}, {"by": "A", "correction": 5}, "x"])
async def test_a_replay_that_makes_no_sense_is_refused(env: WorkflowEnvironment, world: World, wrong: object) -> None:
    handle = await letter(env, {"type": "order.created", "data": {"id": "9"}})
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update("replay", wrong)
    assert world.replays == []


async def test_card_numbers_in_a_correction_are_masked_before_anything_starts(
    env: WorkflowEnvironment, world: World
) -> None:
    handle = await letter(env, {"type": "order.created", "data": {"notes": "[masked]"}})
    await handle.execute_update(
        "replay", {"by": "Ann", "correction": {"data": {"id": "1", "memo": "4111 1111 1111 1111"}}}
    )
    assert world.replays[0].body == {
        "type": "order.created", "data": {"notes": "[masked]", "id": "1", "memo": "[masked]"}
    }  # fmt: skip
