"""A promotion of a candidate into an environment: `PromotionWorkflow`, id `promotion`, in that environment's namespace.

In: `PromotionStart`, with what was checked. Out: `PromotionOutcome`. Its history is the record: who, what, when, how.

    patches held back → for each group of roles, for each percentage: ramp, watch → soak → make current → patches on

Anything that fails on the way, a signal `roll_back`, and a cancel request roll back: the version before serves
everything again, orders that the candidate had served included. Once patches are switched on it goes forward only. No
cancel request leaves that, or the rollback, half done. It runs in the process of `python -m workers promote`; without
one it waits where it is.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from activities.promotion import ELSEWHERE, PromotionActivities
from contracts import retry
from contracts.deployments import deployment_name
from contracts.promotion import (
    Failing,
    FindUnpolled,
    Phase,
    PromotionEnd,
    PromotionOutcome,
    PromotionStart,
    PromotionState,
    RollBack,
    SetCurrent,
    SetPatches,
    SetRamp,
    WatchRamp,
)

STEP = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=10), maximum_attempts=20)
WAY_BACK = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=10))
"""Rolling back, and forward once there is no way back, is tried until it is done: see `until_done`."""
LONGEST_PAUSE = timedelta(minutes=5)
Found = TypeVar("Found")
HEARTBEAT = timedelta(seconds=60)
"""A command that was killed is noticed by the next one after this."""


class RampFails(Exception):
    """Why the candidate must not go on."""

    def __init__(self, why: str, failures: list[Failing] | None = None) -> None:
        super().__init__(why)
        self.failures = failures or []


@workflow.defn(name="PromotionWorkflow")
class PromotionWorkflow:
    """The promotion; see the module."""

    @workflow.init
    def __init__(self, start: PromotionStart) -> None:
        """The signal may come before `run`."""
        self.start = start
        self.asked: RollBack | None = None
        self.phase = Phase.CHECKED
        self.percentages: dict[str, int] = {}
        self.current: list[str] = []
        """Roles whose current version is the candidate."""
        self.elsewhere: list[str] = []
        """Roles that somebody else routes: a rollback leaves them so."""
        self.failures: list[Failing] = []
        self.log: list[str] = []
        self.known: list[str] = []
        self.began = workflow.now()

    @workflow.run
    async def run(self, start: PromotionStart) -> PromotionOutcome:
        """Ramp, or only record what a check or a person has stopped."""
        if start.ended is not None:
            self.note(f"{start.ended.value}: {start.why}")
            return self.outcome(start.ended, start.why)
        try:
            await self.ramp()
        except RampFails as failure:
            why, self.failures = str(failure), failure.failures
        except ActivityError as error:
            why = str(error.cause or error)
            if is_cancelled_exception(error):
                why = "the promotion was cancelled"
        except asyncio.CancelledError:
            why = "the promotion was cancelled"
        else:
            await to_the_end(self.finish())
            return self.outcome(PromotionEnd.PROMOTED)
        await to_the_end(self.roll_everything_back(why))
        missing = await to_the_end(self.find_unpolled())
        if missing:
            self.failures = [*self.failures, *missing]
            self.note(f"{missing[0]}: start the workers of the version before again")
            why = f"{why}. {missing[0]}: start the workers of the version before again"
        self.phase = Phase.ENDED
        self.note("Rolled back: the version before serves everything again" + self.but_already() + self.but_elsewhere())
        return self.outcome(PromotionEnd.ROLLED_BACK, why)

    async def ramp(self) -> None:
        """To 100 % of every role, and the soak."""
        start = self.start
        self.phase = Phase.RAMPING
        if "orders" in self.roles():
            await self.set_patches(on=False)
            self.note("New patches are held back")
            await workflow.sleep(timedelta(seconds=start.settle_seconds), summary="Until all workers have read it")
        if self.roles():
            await self.ramp_and_soak()
        for role in self.roles():
            self.unless_asked()
            self.current.append(role)
            await self.set_current(role, start.build_id, start.checked.current.get(role), STEP)
        # Nothing is awaited between the last look at what was asked and the end of the way back.
        self.unless_asked()
        self.phase = Phase.FORWARD_ONLY

    async def ramp_and_soak(self) -> None:
        """Each step is watched."""
        start = self.start
        found = await workflow.execute_activity_method(
            PromotionActivities.find_failures,
            self.watch_of(0),
            start_to_close_timeout=retry.TEMPORAL_CALL,
            retry_policy=STEP,
            summary="What fails already",
        )
        self.known = sorted({one.workflow_id for one in found})
        if self.known:
            self.note(f"{len(self.known)} workflow(s) fail already, and do not count")
        for group in start.groups:
            for percentage in start.steps:
                for role in group:
                    share = 100 if role in start.at_once else percentage
                    if self.percentages.get(role) != share:
                        await self.set_ramp(role, share, STEP)
                    self.percentages[role] = share
                shares = ", ".join(f"{role} {self.percentages[role]} %" for role in group)
                self.note(f"{shares} on build {start.build_id}")
                await self.watch(start.watch_seconds, shares)
        self.phase = Phase.SOAKING
        self.note("Everything is on the candidate, patches held back: soaking")
        await self.watch(start.soak_seconds, "Soak at 100 %")

    async def finish(self) -> None:
        """Switch the patches on: from here on orders take paths that the version before does not know."""
        roles = " and ".join([*self.start.already, *self.roles()])
        self.note(f"The candidate is the current version of {roles}")
        if "orders" in (*self.start.already, *self.roles()):
            await self.until_done("orders", partial(self.set_patches, on=True))
            self.note("New patches are on: from here on it goes forward only")
        self.phase = Phase.ENDED
        self.show()

    async def watch(self, seconds: float, what: str) -> None:
        """Raises RampFails as soon as something fails, or somebody asks for it."""
        watching = workflow.start_activity_method(
            PromotionActivities.watch_ramp,
            self.watch_of(seconds),
            start_to_close_timeout=timedelta(seconds=seconds) + timedelta(minutes=10),
            heartbeat_timeout=HEARTBEAT,
            retry_policy=WAY_BACK,
            summary=f"Watching: {what}",
        )
        try:
            await workflow.wait_condition(lambda: self.asked is not None or watching.done())
            self.unless_asked()
            failures = await watching
        finally:
            watching.cancel()
        if failures:
            raise RampFails(f"at {what}: {failures[0]}", failures)

    def unless_asked(self) -> None:
        """Raises RampFails when somebody has asked for the way back."""
        if self.asked is not None:
            raise RampFails(f"{self.asked.by} asked for it{f': {self.asked.why}' if self.asked.why else ''}")

    async def roll_everything_back(self, why: str) -> None:
        """Orders first: what they ask of the other roles, the version before of those has, too."""
        self.phase = Phase.ROLLING_BACK
        self.note(f"Rolling back: {why}")
        for role in reversed(self.roles()):
            if role in self.current:
                before, candidate = self.start.checked.current.get(role, ""), self.start.build_id
                await self.until_done(role, partial(self.set_current, role, before, candidate, WAY_BACK))
            await self.until_done(role, partial(self.set_ramp, role, 0, WAY_BACK))
            self.percentages.pop(role, None)

    async def until_done(self, role: str, step: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """An activity's own attempts may end, as with answers of Temporal that nobody expects; this does not.

        Only what somebody else has set meanwhile is left as it is.
        """
        pause, told = timedelta(seconds=self.start.look_every_seconds), ""
        while True:
            try:
                return await step()
            except ActivityError as error:
                why = str(error.cause or error)
                if isinstance(error.cause, ApplicationError) and error.cause.type == ELSEWHERE:
                    if role not in self.elsewhere:
                        self.elsewhere.append(role)
                        self.note(f"{why}. That stays")
                    return None
            if why != told:
                told = why
                self.note(f"A step of {role} fails, and is tried until it is done: {why}")
            await workflow.sleep(pause, summary="Until the next attempt")
            pause = min(2 * pause, LONGEST_PAUSE)

    async def find_unpolled(self) -> list[Failing]:
        """Where the version before serves again and none of its workers is there."""
        try:
            return await workflow.execute_activity_method(
                PromotionActivities.find_unpolled,
                FindUnpolled(
                    builds={
                        role: self.start.checked.current.get(role, "")
                        for role in self.roles()
                        if role not in self.elsewhere
                    },
                    queues=self.start.queues_before,
                ),
                start_to_close_timeout=retry.TEMPORAL_CALL,
                retry_policy=STEP,
                summary="Whether the version before works",
            )
        except ActivityError as error:
            self.note(f"Whether the version before works could not be found: {error.cause or error}")
            return []

    def but_already(self) -> str:
        """What a rollback leaves as it was."""
        if not self.start.already:
            return ""
        return f"; {' and '.join(self.start.already)} stay(s) on build {self.start.build_id}, as before this promotion"

    def but_elsewhere(self) -> str:
        """What somebody else has set."""
        if not self.elsewhere:
            return ""
        return f"; {' and '.join(self.elsewhere)} as somebody else has set it meanwhile"

    @workflow.signal(name="roll_back", description='{"by": "your name", "why": "…"}: the version before serves again')
    def ask_to_roll_back(self, request: Any = None) -> None:
        """From the command or the Web UI; too late once patches are on."""
        if self.phase in (Phase.FORWARD_ONLY, Phase.ENDED):
            return
        said = request if isinstance(request, dict) else {}
        self.asked = RollBack(by=str(said.get("by", "somebody"))[:100], why=str(said.get("why", ""))[:500])

    @workflow.query(description="Where the promotion is")
    def state(self) -> PromotionState:
        """For the command."""
        return PromotionState(
            by=self.start.by,
            source=self.start.source,
            target=self.start.target,
            build_id=self.start.build_id,
            phase=self.phase,
            percentages=self.percentages,
            began=self.began,
            failures=self.failures,
            log=self.log,
        )

    # ---- steps --------------------------------------------------------------------------------------------------

    async def set_patches(self, *, on: bool) -> None:
        """Of the order workers' version, the only ones that run workflows."""
        await workflow.execute_activity_method(
            PromotionActivities.set_patches,
            SetPatches(
                deployment=deployment_name(self.start.deployment, "orders"),
                build_id=self.start.build_id,
                state=self.start.patches.model_copy(update={"on": on}),
                current=None if on else self.start.checked.current.get("orders"),
            ),
            start_to_close_timeout=retry.TEMPORAL_CALL,
            retry_policy=WAY_BACK if on else STEP,
            summary=f"New patches {'on' if on else 'held back'}",
        )

    async def set_ramp(self, role: str, percentage: int, policy: RetryPolicy) -> None:
        deployment = deployment_name(self.start.deployment, role)
        await workflow.execute_activity_method(
            PromotionActivities.set_ramp,
            SetRamp(
                deployment=deployment,
                build_id=self.start.build_id,
                percentage=percentage,
                current=None if role in self.current else self.start.checked.current.get(role),
            ),
            start_to_close_timeout=retry.TEMPORAL_CALL,
            retry_policy=policy,
            summary=f"{deployment}: {percentage} % on {self.start.build_id}"[:190],
        )

    async def set_current(self, role: str, build_id: str, instead_of: str | None, policy: RetryPolicy) -> None:
        deployment = deployment_name(self.start.deployment, role)
        await workflow.execute_activity_method(
            PromotionActivities.set_current,
            SetCurrent(deployment=deployment, build_id=build_id, instead_of=instead_of),
            start_to_close_timeout=retry.TEMPORAL_CALL,
            retry_policy=policy,
            summary=f"{deployment}: current is {build_id or 'unversioned'}"[:190],
        )

    def watch_of(self, seconds: float) -> WatchRamp:
        return WatchRamp(
            deployment=self.start.deployment,
            build_id=self.start.build_id,
            percentages=self.percentages,
            current={role: build for role, build in self.start.checked.current.items() if role in self.roles()},
            queues=self.start.queues,
            since=self.began,
            known=self.known,
            seconds=seconds,
            look_every_seconds=self.start.look_every_seconds,
        )

    def roles(self) -> list[str]:
        """In the order in which they are ramped."""
        return [role for group in self.start.groups for role in group]

    # ---- what people see ----------------------------------------------------------------------------------------

    def outcome(self, end: PromotionEnd, why: str = "") -> PromotionOutcome:
        return PromotionOutcome(end=end, why=why, failures=self.failures, log=self.log)

    def note(self, text: str) -> None:
        """Into the log, with the time."""
        self.log.append(f"{workflow.now():%Y-%m-%d %H:%M:%S} UTC  {text}")
        self.show()

    def show(self) -> None:
        """In the Web UI's details."""
        start, checked = self.start, self.start.checked
        lines = [
            f"## {start.source} → {start.target}: build {start.build_id}, by {start.by}",
            "",
            f"**{self.phase.value.replace('_', ' ')}** "
            + ", ".join(f"{role} {percentage} %" for role, percentage in self.percentages.items()),
            "",
            f"Replayed {checked.replayed_open} open and {checked.replayed_closed} closed histories, "
            f"{len(checked.diverging)} diverge; previewed {checked.previewed} orders, {len(checked.differing)} differ; "
            f"{len(checked.changed_keys)} keys of the mapping changed.",
            "",
            *(f"- {entry}" for entry in self.log[-30:]),
            *(f"- fails: {one}" for one in self.failures[:10]),
        ]
        if self.phase in (Phase.RAMPING, Phase.SOAKING):
            lines += ["", 'Roll back: signal `roll_back` `{"by": "your name"}`, or `promote --roll-back`.']
        workflow.set_current_details("\n".join(lines))


async def to_the_end(steps: Coroutine[Any, Any, Found]) -> Found:
    """Run steps that no cancel request may leave half done."""
    task = asyncio.ensure_future(steps)
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.shield(task)
    return task.result()
