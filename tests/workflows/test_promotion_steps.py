"""What `PromotionWorkflow` does when somebody asks at an awkward moment; Temporal's routing is a stand-in."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from temporalio import activity
from temporalio.client import WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.promotion import changed_elsewhere
from contracts.deployments import PatchState
from contracts.promotion import (
    Checked,
    Failing,
    FindUnpolled,
    PromotionEnd,
    PromotionOutcome,
    PromotionStart,
    SetCurrent,
    SetPatches,
    SetRamp,
    WatchRamp,
)
from workflows.promotion import PromotionWorkflow

pytestmark = pytest.mark.asyncio(loop_scope="session")

OLD, NEW = "1", "2"


class Routing:
    """What was set, in order; a step that is held waits for `go_on`."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.held = ""
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()
        self.refused: dict[str, list[ApplicationError]] = {}
        """What a step raises, at its first, second, … time."""
        self.currents: list[str | None] = []
        """The versions that the steps were told to expect."""
        self.fails: list[Failing] = []
        self.missing: list[Failing] = []
        self.asked: list[FindUnpolled] = []

    async def step(self, name: str) -> None:
        if name == self.held:
            self.reached.set()
            await self.go_on.wait()
        if errors := self.refused.get(name):
            raise errors.pop(0)
        self.steps.append(name)

    def activities(self) -> list[Callable[..., Any]]:
        """By the names of the real ones."""

        @activity.defn
        async def set_patches(request: SetPatches) -> None:
            self.currents.append(request.current)
            await self.step(f"patches {'on' if request.state.on else 'off'}")

        @activity.defn
        async def set_ramp(request: SetRamp) -> None:
            self.currents.append(request.current)
            await self.step(f"{request.deployment} {request.percentage} %")

        @activity.defn
        async def set_current(request: SetCurrent) -> None:
            self.currents.append(request.instead_of)
            await self.step(f"{request.deployment} is {request.build_id}")

        @activity.defn
        async def find_failures(_: WatchRamp) -> list[Failing]:
            return []

        @activity.defn
        async def watch_ramp(request: WatchRamp) -> list[Failing]:
            await self.step(f"watched {request.percentages}")
            return self.fails

        @activity.defn
        async def find_unpolled(request: FindUnpolled) -> list[Failing]:
            self.asked.append(request)
            return self.missing

        return [set_patches, set_ramp, set_current, find_failures, watch_ramp, find_unpolled]


@asynccontextmanager
async def promotion(
    env: WorkflowEnvironment, routing: Routing, **fields: Any
) -> AsyncIterator[WorkflowHandle[PromotionWorkflow, PromotionOutcome]]:
    """A promotion of Sage's and the orders' workers, without waits."""
    queue = f"promotion-{uuid.uuid4().hex}"
    start = PromotionStart(
        **{
            "by": "the test",
            "source": "qa",
            "target": "prod",
            "deployment": "shop",
            "build_id": NEW,
            "groups": [["sage"], ["orders"]],
            "queues": {},
            "queues_before": {"orders": ["orders"]},
            "steps": [100],
            "watch_seconds": 0,
            "soak_seconds": 0,
            "settle_seconds": 0,
            "look_every_seconds": 1,
            "patches": PatchState(),
            "checked": Checked(current={"orders": OLD, "sage": OLD}),
            **fields,
        }
    )
    async with Worker(env.client, task_queue=queue, workflows=[PromotionWorkflow], activities=routing.activities()):
        yield await env.client.start_workflow(PromotionWorkflow.run, start, id=queue, task_queue=queue)


async def ended(handle: WorkflowHandle[PromotionWorkflow, PromotionOutcome]) -> PromotionOutcome:
    return await asyncio.wait_for(handle.result(), 30)


async def reached(routing: Routing) -> None:
    await asyncio.wait_for(routing.reached.wait(), 30)


async def cancelled(handle: WorkflowHandle[PromotionWorkflow, PromotionOutcome]) -> None:
    """The request has been taken by the workflow."""
    await handle.cancel()
    await handle.query(PromotionWorkflow.state)


async def test_a_cancel_request_does_not_leave_patches_off_for_good(env: WorkflowEnvironment) -> None:
    routing = Routing()
    routing.held = "patches on"
    async with promotion(env, routing) as handle:
        await reached(routing)
        await cancelled(handle)
        routing.go_on.set()
        assert (await ended(handle)).end is PromotionEnd.PROMOTED
    assert routing.steps[-3:] == ["shop-sage is 2", "shop-orders is 2", "patches on"]


async def test_a_cancel_request_does_not_leave_a_rollback_half_done(env: WorkflowEnvironment) -> None:
    routing = Routing()
    routing.fails = [Failing(what="something fails")]
    routing.held = "shop-sage 0 %"
    async with promotion(env, routing, groups=[["sage", "orders"]]) as handle:
        await reached(routing)
        await cancelled(handle)
        routing.go_on.set()
        outcome = await ended(handle)
    assert outcome.end is PromotionEnd.ROLLED_BACK
    assert "something fails" in outcome.why
    assert routing.steps[-2:] == ["shop-orders 0 %", "shop-sage 0 %"]


@pytest.mark.parametrize("held", ["shop-sage is 2", "shop-orders is 2"])
async def test_a_rollback_asked_for_after_the_soak_is_done(env: WorkflowEnvironment, held: str) -> None:
    routing = Routing()
    routing.held = held
    async with promotion(env, routing) as handle:
        await reached(routing)
        await handle.signal(PromotionWorkflow.ask_to_roll_back, {"by": "Ann"})
        routing.go_on.set()
        outcome = await ended(handle)
    assert (outcome.end, outcome.why) == (PromotionEnd.ROLLED_BACK, "Ann asked for it")
    assert "patches on" not in routing.steps
    assert routing.steps[-2:] == ["shop-sage is 1", "shop-sage 0 %"]


async def test_a_rollback_to_a_version_without_workers_says_so(env: WorkflowEnvironment) -> None:
    routing = Routing()
    routing.fails = [Failing(what="something fails")]
    routing.missing = [Failing(what="no worker of build 1 polls the queue sage-read-demo")]
    async with promotion(env, routing) as handle:
        outcome = await ended(handle)
    assert routing.asked == [FindUnpolled(builds={"orders": OLD, "sage": OLD}, queues={"orders": ["orders"]})]
    assert outcome.end is PromotionEnd.ROLLED_BACK
    assert outcome.why.endswith(
        "no worker of build 1 polls the queue sage-read-demo: start the workers of the version before again"
    )
    assert outcome.failures == [*routing.fails, *routing.missing]


async def test_a_role_that_runs_the_candidate_already_is_left_alone(env: WorkflowEnvironment) -> None:
    routing = Routing()
    checked = Checked(current={"orders": NEW, "sage": OLD})
    async with promotion(env, routing, groups=[["sage"]], already=["orders"], checked=checked) as handle:
        assert (await ended(handle)).end is PromotionEnd.PROMOTED
    watched = "watched {'sage': 100}"
    assert routing.steps == ["shop-sage 100 %", watched, watched, "shop-sage is 2", "patches on"]


async def test_patches_of_a_promotion_that_was_ended_before_them_are_switched_on(env: WorkflowEnvironment) -> None:
    routing = Routing()
    async with promotion(env, routing, groups=[], already=["orders", "sage"]) as handle:
        assert (await ended(handle)).end is PromotionEnd.PROMOTED
    assert routing.steps == ["patches on"]


def unexpected() -> ApplicationError:
    """As an answer of Temporal that `activities.errors` lets nobody try again."""
    return ApplicationError("RPCError: the server is confused", type="internal_error", non_retryable=True)


async def test_a_rollback_goes_on_after_an_answer_that_ends_a_steps_attempts(env: WorkflowEnvironment) -> None:
    routing = Routing()
    routing.fails = [Failing(what="something fails")]
    routing.refused = {"shop-orders 0 %": [unexpected(), unexpected()], "shop-sage 0 %": [unexpected()]}
    async with promotion(env, routing, groups=[["sage", "orders"]]) as handle:
        outcome = await ended(handle)
    assert outcome.end is PromotionEnd.ROLLED_BACK
    assert routing.steps[-2:] == ["shop-orders 0 %", "shop-sage 0 %"]
    told = [line for line in outcome.log if "is tried until it is done: internal_error: RPCError" in line]
    assert len(told) == 2, outcome.log


async def test_patches_are_switched_on_after_such_an_answer_too(env: WorkflowEnvironment) -> None:
    routing = Routing()
    routing.refused = {"patches on": [unexpected()]}
    async with promotion(env, routing) as handle:
        assert (await ended(handle)).end is PromotionEnd.PROMOTED
    assert routing.steps[-1] == "patches on"


async def test_every_step_expects_the_version_that_was_checked(env: WorkflowEnvironment) -> None:
    routing = Routing()
    async with promotion(env, routing) as handle:
        assert (await ended(handle)).end is PromotionEnd.PROMOTED
    # Patches off, both ramps, both made current; then nothing can be expected any more.
    assert routing.currents == [OLD, OLD, OLD, OLD, OLD, None]


async def test_a_version_that_somebody_else_made_current_is_not_rolled_back(env: WorkflowEnvironment) -> None:
    routing = Routing()
    routing.refused = {
        name: [changed_elsewhere("shop-orders: somebody made 3 current meanwhile, instead of 1")]
        for name in ("shop-orders is 2", "shop-orders is 1")
    }
    async with promotion(env, routing) as handle:
        outcome = await ended(handle)
    assert outcome.end is PromotionEnd.ROLLED_BACK
    assert "somebody made 3 current" in outcome.why
    assert routing.steps[-4:] == ["shop-sage is 2", "shop-orders 0 %", "shop-sage is 1", "shop-sage 0 %"]
    assert outcome.log[-1].endswith("serves everything again; orders as somebody else has set it meanwhile")
    assert routing.asked == [FindUnpolled(builds={"sage": OLD}, queues={"orders": ["orders"]})]
