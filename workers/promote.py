"""`python -m workers promote --from qa --to prod`: this code and its pair files into an environment, step by step.

In: two environments (docs/promotion.md), this code. Out: the target's orders on this code's workers, or everything as
it was; what was found and done, on standard output and in the history of the workflow `promotion` there. Before
anything moves: pair files, differences, replay of the target's own histories, preview of its last orders, a question.
Ctrl-C leaves the promotion where it is: the next call says so, and goes on (`--continue`) or back (`--roll-back`).

Exit status: 0 promoted (or nothing to do; with --check: nothing against it) · 1 rolled back · 2 a setting, a flag or a
pair file is wrong · 3 stopped by a check or declined, nothing was ramped; too late to take back · 4 another promotion
is under way, or was interrupted or ended from outside, or somebody ramps or has just promoted · 130 interrupted.
"""

import argparse
import asyncio
import getpass
import io
import json
import logging
import re
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from difflib import unified_diff
from enum import IntEnum
from pathlib import Path
from time import monotonic
from typing import Any, Final

from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.common import WorkerDeploymentVersion, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.plugin import SimplePlugin
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker

from activities.promotion import PromotionActivities, current_of, polled_by, routing
from contracts import ids, queues
from contracts.deployments import ROLES, PatchState, deployment_name
from contracts.promotion import (
    Checked,
    PromotionEnd,
    PromotionOutcome,
    PromotionStart,
    PromotionState,
    RollBack,
    SetRamp,
)
from mappings.mapping_change import HIDDEN, Difference, of_pairs
from workers.connect import connect
from workers.environments import load_environment
from workers.plugin import integration_plugin
from workers.promotion_checks import Previewed, Replayed, preview, replay
from workers.roles import STICKY_TIMEOUT, WORKFLOWS
from workers.settings import Settings, SettingsError, load_pair_files
from workers.versions import (
    READ_EVERY_SECONDS,
    build_id,
    code_version,
    mapping_version,
    patches_in_code,
    read_patch_state,
)
from workers.versions import ROOT as CODE
from workflows.promotion import PromotionWorkflow

CONNECT_SECONDS: Final = 20.0
ALIVE_SECONDS: Final = 3.0
"""In which the process of another promotion answers."""
SHOWN: Final = 10
"""Orders and histories that are shown in full."""
SHOWN_COLUMNS: Final = 20
NAMED_MAPPING: Final = re.compile(r"[0-9a-f]{8}-([0-9a-f]{8})")
"""In a build id that nobody gave; see `workers.versions.build_id`."""


class Status(IntEnum):
    """Exit status; see the module."""

    DONE = 0
    ROLLED_BACK = 1
    WRONG = 2
    """Raised as SettingsError; so are wrong flags."""
    STOPPED = 3
    BUSY = 4
    INTERRUPTED = 130


def add_promote_options(parser: argparse.ArgumentParser) -> None:
    """Flags of `python -m workers promote`."""
    parser.add_argument("--from", dest="source", required=True, help="environment where this code was tried: qa")
    parser.add_argument("--to", dest="target", required=True, help="environment that gets it: prod")
    parser.add_argument("--pairs", type=Path, help="pair files that the candidate runs with; default: the source's")
    parser.add_argument("--role", action="append", choices=ROLES, help="only workers of this role; default: all")
    parser.add_argument("--steps", default="5,20,50,100", help="percentages, rising, the last 100; default 5,20,50,100")
    parser.add_argument("--watch", type=float, default=300, help="seconds of watching at each step; default 300")
    parser.add_argument("--soak", type=float, default=3600, help="seconds at 100%% before new patches; default 3600")
    parser.add_argument("--orders", type=int, default=50, help="last real orders that are previewed; default 50")
    parser.add_argument("--closed", type=int, default=200, help="closed orders that are replayed; default 200")
    parser.add_argument(
        "--allow-differences", type=int, metavar="N", help="with --yes: orders that may differ; default 0"
    )
    parser.add_argument(
        "--show-values", action="store_true", help="values of personal columns, too, such as names and addresses"
    )
    parser.add_argument("--allow-untried", action="store_true", help="though the source does not run this version")
    parser.add_argument("--wait", type=float, default=300, help="seconds to wait for the candidate's workers")
    parser.add_argument("--by", default="", help="your name, for the record; default: the user of this machine")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--check", action="store_true", help="only check, change nothing")
    parser.add_argument("--json", action="store_true", help="the report as JSON on standard output")
    going = parser.add_mutually_exclusive_group()
    going.add_argument("--continue", dest="go_on", action="store_true", help="go on with an interrupted promotion")
    going.add_argument("--roll-back", action="store_true", help="take an interrupted or running promotion back")
    parser.set_defaults(settle=2 * READ_EVERY_SECONDS, look_every=5.0)


class Stop(Exception):
    """The promotion does not go on; nothing was ramped."""

    def __init__(self, status: Status, why: str, end: PromotionEnd | None = None) -> None:
        super().__init__(why)
        self.status = status
        self.end = end
        """How it is recorded; None: not at all."""


def plugin_of(name: str, settings: Settings) -> SimplePlugin:
    """The plugin with an environment's own keys; raises SettingsError when they cannot be used."""
    try:
        return integration_plugin(keys=settings.payload_keys())
    except ValueError as error:
        raise SettingsError(
            f"environment {name}: {error}. Correct its ENCRYPTION_KEYS or ENCRYPTION_KEYS_FILE."
        ) from None


class Promotion:
    """One call of the command."""

    def __init__(
        self,
        options: argparse.Namespace,
        settings: Settings,
        say: Callable[[str], None],
        workflows: Sequence[type] = WORKFLOWS,
    ) -> None:
        self.options = options
        self.workflows = workflows
        self.say = say
        self.steps = steps_of(options.steps)
        self.roles: list[str] = [role for role in ROLES if not options.role or role in options.role]
        folder = settings.environments_dir
        self.source = load_environment(folder, options.source)
        self.target = load_environment(folder, options.target)
        if not (options.yes or options.check or options.go_on or options.roll_back or sys.stdin.isatty()):
            raise SettingsError(
                "promote: nobody is there to ask; say --yes, with --allow-differences N where orders may differ."
            )
        if options.source == options.target:
            raise SettingsError("promote: --from and --to are the same environment.")
        if not self.target.worker_deployment:
            file = folder / f"{options.target}.env"
            raise SettingsError(
                f"{file}: WORKER_DEPLOYMENT is not set: its workers have no versions to promote. Set it."
            )
        self.before = load_pair_files(self.target)
        self.pairs = load_pair_files(
            self.source.model_copy(update={"pairs_dir": options.pairs}) if options.pairs else self.source
        )
        self.build_id = build_id(settings, self.pairs)
        self.own_build_ids = bool(settings.worker_build_id)
        self.by = options.by or getpass.getuser()
        self.checked = Checked(code=code_version(CODE), mapping=mapping_version(self.pairs))
        self.content: dict[str, Any] = {"from": options.source, "to": options.target, "build_id": self.build_id}

    # ---- what is there ------------------------------------------------------------------------------------------

    async def run(self) -> Status:
        """The whole command; raises SettingsError."""
        self.plugin = plugin_of(self.options.target, self.target)
        self.client = await self.connected(self.options.target, self.target)
        try:
            if self.options.go_on or self.options.roll_back:
                return await self.take_up()
            await self.nobody_else()
            await self.check()
            if self.options.check:
                self.say("Nothing speaks against it. Nothing was changed (--check).")
                return Status.DONE
            self.ask()
            await self.wait_for_workers()
            await self.unless_promoted_meanwhile()
        except Stop as stop:
            self.say(f"Nothing to do: {stop}" if stop.status is Status.DONE else f"Stopped: {stop}")
            self.content |= {"result": (stop.end or PromotionEnd.STOPPED).value, "why": str(stop)}
            if stop.end is not None and not self.options.check:
                await self.record(stop.end, str(stop))
            return stop.status
        return await self.promote(await self.start_argument())

    async def connected(self, name: str, settings: Settings) -> Client:
        """A client of an environment."""
        try:
            return await asyncio.wait_for(connect(settings, plugin_of(name, settings)), CONNECT_SECONDS)
        except TimeoutError:
            raise SettingsError(
                f"environment {name}: Temporal at {settings.temporal_address} (namespace "
                f"{settings.temporal_namespace}) does not answer. Is it running? Correct TEMPORAL_ADDRESS there."
            ) from None

    async def under_way(self) -> PromotionState | None:
        """What the process of a running promotion answers; None when none answers. Raises LookupError if none runs."""
        handle = self.client.get_workflow_handle(ids.PROMOTION)
        try:
            if (await handle.describe()).status is not WorkflowExecutionStatus.RUNNING:
                raise LookupError
            state: PromotionState = await handle.query(
                "state", result_type=PromotionState, rpc_timeout=timedelta(seconds=ALIVE_SECONDS)
            )
            return state
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise LookupError from None
            return None

    async def nobody_else(self) -> None:
        """Raises Stop while a promotion runs in the target, or somebody ramps by hand."""
        flags = f"--from {self.options.source} --to {self.options.target}"
        try:
            state = await self.under_way()
        except LookupError:
            state = None
        else:
            if state is not None:
                raise Stop(Status.BUSY, f"a promotion is under way: {in_words(state)}")
            raise Stop(
                Status.BUSY,
                f"a promotion was interrupted, and stands where it was: {await self.standing()}. Go on with it: "
                f"python -m workers promote {flags} --continue; take it back: … {flags} --roll-back",
            )
        for role in self.roles:
            now = await routing(self.client, deployment_name(self.target.worker_deployment, role))
            ramping = now.ramping_deployment_version.build_id if now else ""
            if ramping and ramping != self.build_id:
                raise Stop(
                    Status.BUSY,
                    f"{role}: build {ramping} gets {now.ramping_version_percentage if now else 0:g} % without a "
                    f"promotion that runs. Take it back: python -m workers promote {flags} --roll-back",
                )

    async def standing(self) -> str:
        """How the target's deployments are routed now, in words."""
        return "; ".join([await self.serves(self.client, self.target.worker_deployment, role) for role in self.roles])

    async def serves(self, client: Client, deployment: str, role: str) -> str:
        """`orders: build a, 20 % build b`."""
        now = await routing(client, deployment_name(deployment, role)) if deployment else None
        if now is None:
            return f"{role}: no versions"
        current = now.current_deployment_version.build_id or "without a version"
        ramping = now.ramping_deployment_version.build_id
        return f"{role}: build {current}" + (
            f", {now.ramping_version_percentage:g} % build {ramping}" if ramping else ""
        )

    # ---- checks -------------------------------------------------------------------------------------------------

    async def check(self) -> None:
        """Show what differs; raises Stop at what must not go on."""
        self.say(f"Candidate: build {self.build_id} (code {self.checked.code}, mapping {self.checked.mapping})")
        await self.compare_versions()
        if set(self.checked.current.values()) == {self.build_id}:
            if await self.patches_are_on():
                raise Stop(Status.DONE, f"{self.options.target} runs this build already")
            self.say(f"{self.options.target} runs this build already, but its new patches are held back")
            return
        self.compare_with_what_runs()
        self.compare_pairs()
        replayed = await replay(self.client, self.workflows, self.plugin, self.options.closed)
        self.show_replay(replayed)
        previewed = await preview(self.client, self.before, self.pairs, self.options.orders)
        self.show_preview(previewed)
        self.content["checked"] = self.checked.model_dump(mode="json")
        if replayed.diverging:
            raise Stop(
                Status.STOPPED,
                f"replay: {len(replayed.diverging)} histories would stand still under this code, the first is "
                f"{replayed.diverging[0]}. Guard the change with workflow.patched (docs/changing-workflows.md)",
                PromotionEnd.STOPPED,
            )
        allowed = self.options.allow_differences or 0
        differ = len(previewed.differing)
        if differ > allowed and (self.options.yes or self.options.check or self.options.allow_differences is not None):
            raise Stop(
                Status.STOPPED,
                f"preview: {differ} of {previewed.orders} orders would be another Sage order, {allowed} may "
                "(--allow-differences)",
                PromotionEnd.STOPPED,
            )

    async def patches_are_on(self) -> bool:
        """Whether the candidate's promotion was finished; a version that was made current by hand has them off."""
        if "orders" not in self.roles:
            return True
        orders = deployment_name(self.target.worker_deployment, "orders")
        return (await read_patch_state(self.client, WorkerDeploymentVersion(orders, self.build_id))).on

    async def compare_versions(self) -> None:
        """Which versions serve both environments; raises Stop when the source runs another one than this."""
        source = await self.connected(self.options.source, self.source)
        current: dict[str, str] = {}
        in_source: dict[str, str] = {}
        for role in self.roles:
            for found, client, settings in (
                (current, self.client, self.target),
                (in_source, source, self.source),
            ):
                deployment = settings.worker_deployment
                now = await routing(client, deployment_name(deployment, role)) if deployment else None
                found[role] = now.current_deployment_version.build_id if now else ""
        self.checked = self.checked.model_copy(update={"current": current, "in_source": in_source})
        for name, found in ((self.options.source, in_source), (self.options.target, current)):
            self.say(
                f"{name} runs " + ", ".join(f"{role} {build or 'without a version'}" for role, build in found.items())
            )
        untried = [role for role in self.roles if in_source[role] != self.build_id]
        if not untried or self.options.allow_untried:
            return
        if not self.source.worker_deployment:
            self.say(
                f"note: {self.options.source} has no versions (WORKER_DEPLOYMENT): nothing says that it ran this code"
            )
            return
        raise Stop(
            Status.STOPPED,
            f"{self.options.source} does not run this build ({', '.join(untried)}): promote what was tried there, or "
            "say --allow-untried",
            PromotionEnd.STOPPED,
        )

    def compare_with_what_runs(self) -> None:
        """The target's pair files here stand for what it runs; raises Stop when its build id names another mapping."""
        running = (self.checked.current.get(role, "") for role in self.roles)
        build = next((build for build in running if build not in ("", self.build_id)), "")
        named, here, folder = NAMED_MAPPING.fullmatch(build), mapping_version(self.before), self.target.pairs_dir
        if self.own_build_ids or not named:
            if build:
                self.say(f"note: build {build} names no mapping: whether it runs with {folder} is not checked")
        elif named[1] != here:
            raise Stop(
                Status.STOPPED,
                f"{self.options.target} runs mapping {named[1]} (build {build}), but the pair files that its "
                f"environment names here, PAIRS_DIR {folder}, are mapping {here}: the preview would compare with what "
                "nobody runs. Bring the pair files of the running version there (docs/promotion.md), and call again",
                PromotionEnd.STOPPED,
            )

    def compare_pairs(self) -> None:
        """Pair files key by key, as a unified diff."""
        changed: list[str] = []
        for name in sorted({*self.before, *self.pairs}):
            differences = of_pairs(self.before.get(name), self.pairs.get(name))
            if differences:
                self.say("\n".join(as_unified_diff(name, self.options.target, "candidate", differences)))
                changed += [f"{name}: {one.path}" for one in differences]
        if not changed:
            self.say("The pair files say the same")
        self.checked = self.checked.model_copy(update={"changed_keys": changed[:200]})

    def show_replay(self, replayed: Replayed) -> None:
        """How many, and what diverges."""
        self.say(
            f"Replayed {replayed.open_} open and {replayed.closed} closed histories of {self.options.target}: "
            f"{len(replayed.diverging)} diverge"
        )
        for one in replayed.diverging[:SHOWN]:
            self.say(f"  {one}")
        self.checked = self.checked.model_copy(
            update={
                "replayed_open": replayed.open_,
                "replayed_closed": replayed.closed,
                "diverging": [str(one) for one in replayed.diverging[:100]],
            }
        )

    def show_preview(self, previewed: Previewed) -> None:
        """How many, and which columns of which orders."""
        self.say(
            f"Previewed the last {previewed.orders} orders: {len(previewed.differing)} would be another Sage order"
        )
        for order in previewed.differing[:SHOWN]:
            self.say(f"  {order.workflow_id}")
            for one in order.differences[:SHOWN_COLUMNS]:
                self.say(f"    {one if self.options.show_values else one.without_personal_values()}")
            if len(order.differences) > SHOWN_COLUMNS:
                self.say(f"    … and {len(order.differences) - SHOWN_COLUMNS} more")
        if len(previewed.differing) > SHOWN:
            self.say(f"  … and {len(previewed.differing) - SHOWN} more orders")
        if previewed.differing and not self.options.show_values:
            self.say(f"  {HIDDEN}: what may be personal is shown with --show-values")
        self.checked = self.checked.model_copy(
            update={
                "previewed": previewed.orders,
                "differing": [
                    f"{order.workflow_id}: {', '.join(one.path for one in order.differences[:SHOWN_COLUMNS])}"
                    for order in previewed.differing[:100]
                ],
            }
        )

    # ---- the ramp -----------------------------------------------------------------------------------------------

    def ask(self) -> None:
        """Raises Stop when a person says no."""
        if self.options.yes:
            return
        steps = ", ".join(f"{step} %" for step in self.steps)
        ramped = [role for role in self.roles if self.checked.current.get(role) != self.build_id]
        if ramped:
            self.say(f"Ramp {' and '.join(ramped)} of {self.options.target} in steps of {steps}? [y/N]")
        else:
            self.say(f"Switch the new patches on in {self.options.target}? [y/N]")
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise Stop(Status.STOPPED, f"{self.by} said no", PromotionEnd.DECLINED)

    async def wait_for_workers(self) -> None:
        """Until the candidate's workers poll every queue of their roles; raises Stop at the deadline."""
        end, told = monotonic() + self.options.wait, False
        while missing := await self.unpolled():
            where = f"no worker of build {self.build_id} polls {', '.join(missing)} in {self.options.target}"
            if monotonic() > end:
                raise Stop(
                    Status.STOPPED, f"{where}. Start them with this code and its pair files", PromotionEnd.STOPPED
                )
            if not told:
                self.say(f"Waiting: {where}")
                told = True
            await asyncio.sleep(1)

    async def unless_promoted_meanwhile(self) -> None:
        """Raises Stop when, during the question or the wait, another version became current than was checked."""
        for role in self.roles:
            now = await routing(self.client, deployment_name(self.target.worker_deployment, role))
            if current_of(now) != self.checked.current.get(role):
                raise Stop(
                    Status.BUSY,
                    f"{role}: build {current_of(now) or 'without a version'} became the current version after the "
                    "checks, which then no longer hold. Call again",
                    PromotionEnd.STOPPED,
                )

    async def unpolled(self) -> list[str]:
        """Queues of the roles that no worker of the candidate polls."""
        wanted = [queue for role in self.roles for queue in queues.of_role(role, self.pairs)]
        return [queue for queue in wanted if self.build_id not in await polled_by(self.client, queue)]

    async def start_argument(self, ended: PromotionEnd | None = None, why: str = "") -> PromotionStart:
        """What the workflow is told."""
        already = [role for role in self.roles if self.checked.current.get(role) == self.build_id]
        ramped = [role for role in self.roles if role not in already]
        groups = [
            [role for role in ROLES[1:] if role in ramped],
            [role for role in ROLES[:1] if role in ramped],
        ]
        current = await routing(self.client, deployment_name(self.target.worker_deployment, ROLES[0]))
        version = current.current_deployment_version if current else None
        known = PatchState()
        if version is not None and version.build_id:
            known = await read_patch_state(
                self.client, WorkerDeploymentVersion(version.deployment_name, version.build_id)
            )
        in_code = patches_in_code()
        versioned = version is not None and version.build_id != ""
        first = not versioned and "" not in await polled_by(self.client, queues.ORDERS)
        if first and ended is None:
            self.say(f"The first version in {self.options.target}: there is none to ramp from")
        elif not known.in_code and ended is None:
            self.say("note: nothing says which patches the current workers have: all are held back while ramping")
        return PromotionStart(
            by=self.by,
            source=self.options.source,
            target=self.options.target,
            deployment=self.target.worker_deployment,
            build_id=self.build_id,
            groups=[group for group in groups if group],
            # A company has one writing process: two would take its seats twice, and look at stock beside each other.
            at_once=["sage"],
            already=already,
            queues={role: queues.of_role(role, self.pairs) for role in self.roles},
            queues_before={role: queues.of_role(role, self.before) for role in self.roles},
            steps=[100] if first else self.steps,
            watch_seconds=self.options.watch,
            soak_seconds=self.options.soak,
            settle_seconds=self.options.settle,
            look_every_seconds=self.options.look_every,
            patches=PatchState(active=in_code if first else sorted({*in_code} & {*known.in_code}), in_code=in_code),
            checked=self.checked,
            ended=ended,
            why=why[:1000],
        )

    async def record(self, end: PromotionEnd, why: str) -> None:
        """A promotion that ended before it began, as a workflow all the same."""
        try:
            await self.carry(await self.start_argument(end, why))
        except Stop as stop:
            self.say(f"It was not recorded: {stop}")

    async def promote(self, start: PromotionStart) -> Status:
        """Ramp, and tell how it goes."""
        self.say(
            f"Recorded as workflow {ids.PROMOTION} in namespace {self.client.namespace}; Ctrl-C leaves it where it is"
        )
        try:
            outcome = await self.carry(start)
        except Stop as stop:
            self.say(f"Stopped: {stop}")
            return stop.status
        return self.told(outcome)

    async def carry(self, start: PromotionStart) -> PromotionOutcome:
        """Start the workflow, and be its worker; raises Stop when another command was quicker, or it was ended."""
        try:
            handle = await self.client.start_workflow(
                PromotionWorkflow.run,
                start,
                id=ids.PROMOTION,
                task_queue=queues.PROMOTION,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                static_summary=f"{start.source} → {start.target}: build {start.build_id}, by {start.by}"[:190],
            )
        except WorkflowAlreadyStartedError:
            raise Stop(Status.BUSY, "another promotion has just begun") from None
        return await self.work_on(handle)

    async def work_on(self, handle: WorkflowHandle[PromotionWorkflow, PromotionOutcome]) -> PromotionOutcome:
        """Be the worker of a promotion until its end, and show its log as it grows; raises Stop when it was ended."""
        steps = PromotionActivities(self.client, self.pairs, self.say)
        worker = Worker(
            self.client,
            task_queue=queues.PROMOTION,
            workflows=[PromotionWorkflow],
            activities=[
                steps.set_patches,
                steps.set_ramp,
                steps.set_current,
                steps.find_failures,
                steps.find_unpolled,
                steps.watch_ramp,
            ],
            sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
        )
        async with worker:
            telling = asyncio.create_task(self.tell(handle))
            try:
                return await self.result_of(handle)
            finally:
                telling.cancel()

    async def result_of(self, handle: WorkflowHandle[PromotionWorkflow, PromotionOutcome]) -> PromotionOutcome:
        """How it ended; raises Stop when somebody else ended it."""
        try:
            return await handle.result()
        except WorkflowFailureError as error:
            raise Stop(
                Status.BUSY,
                f"the promotion was ended from outside ({error.cause}). What it had set stands: "
                f"{await self.standing()}. Take a ramp back: python -m workers promote --from {self.options.source} "
                f"--to {self.options.target} --roll-back; or promote again",
            ) from None

    async def tell(self, handle: WorkflowHandle[PromotionWorkflow, PromotionOutcome]) -> None:
        """Lines of its log, once each."""
        shown = 0
        while True:
            try:
                state = await handle.query(PromotionWorkflow.state, rpc_timeout=timedelta(seconds=10))
            except RPCError:
                state = None
            for line in state.log[shown:] if state else []:
                self.say(f"  {line}")
                shown += 1
            self.shown = shown
            await asyncio.sleep(1)

    shown = 0
    """Lines of the log that were shown."""

    def told(self, outcome: PromotionOutcome) -> Status:
        """The end, in words and for machines."""
        for line in outcome.log[self.shown :]:
            self.say(f"  {line}")
        self.content |= {"result": outcome.end.value, **outcome.model_dump(mode="json", exclude={"end"})}
        if outcome.end is PromotionEnd.PROMOTED:
            self.say(f"Promoted: {self.options.target} runs build {self.build_id}.")
            return Status.DONE
        self.say(f"Rolled back: {outcome.why}")
        for failure in outcome.failures:
            self.say(f"  {failure}")
        return Status.ROLLED_BACK

    async def take_up(self) -> Status:
        """Go on with a promotion that was interrupted, or take one back."""
        handle = self.client.get_workflow_handle_for(PromotionWorkflow.run, ids.PROMOTION)
        try:
            state = await self.under_way()
        except LookupError:
            return await self.take_ramps_back()
        self.say(f"Stands at: {await self.standing()}")
        if state is not None and self.options.go_on:
            raise Stop(Status.BUSY, f"the promotion is under way already: {in_words(state)}")
        if self.options.roll_back:
            await handle.signal(PromotionWorkflow.ask_to_roll_back, RollBack(by=self.by).model_dump(mode="json"))
        outcome = await self.result_of(handle) if state is not None else await self.work_on(handle)
        self.build_id = (await self.started_with(handle)).build_id
        status = self.told(outcome)
        if self.options.roll_back and outcome.end is PromotionEnd.PROMOTED:
            self.say("It was too late to take it back: a promoted version goes forward only.")
            return Status.STOPPED
        return status

    async def started_with(self, handle: WorkflowHandle[PromotionWorkflow, PromotionOutcome]) -> PromotionStart:
        """Its start argument."""
        async for event in handle.fetch_history_events():
            payloads = event.workflow_execution_started_event_attributes.input.payloads
            start: PromotionStart = (await self.client.data_converter.decode(payloads, [PromotionStart]))[0]
            return start
        raise RuntimeError("a history begins with the start of its workflow")

    async def take_ramps_back(self) -> Status:
        """No promotion runs: a ramp that stands there all the same, as after a terminated one, is taken back."""
        if self.options.go_on:
            raise Stop(Status.STOPPED, "no promotion was interrupted; start one without --continue")
        steps, found = PromotionActivities(self.client), False
        for role in self.roles:
            deployment = deployment_name(self.target.worker_deployment, role)
            now = await routing(self.client, deployment)
            if now and now.ramping_deployment_version.build_id:
                found = True
                build = now.ramping_deployment_version.build_id
                await steps.set_ramp(SetRamp(deployment=deployment, build_id=build, percentage=0))
                self.say(f"{role}: build {build} gets nothing any more")
        self.say(f"Stands at: {await self.standing()}")
        if not found:
            raise Stop(Status.STOPPED, "no promotion runs and nothing is ramped; a promoted version goes forward only")
        return Status.ROLLED_BACK


def steps_of(text: str) -> list[int]:
    """`5,20,50,100` as numbers; raises SettingsError."""
    try:
        steps = [int(part) for part in text.split(",")]
    except ValueError:
        steps = []
    if not steps or steps[-1] != 100 or sorted(set(steps)) != steps or steps[0] < 1:
        raise SettingsError(f"promote: --steps {text[:40]!r} are no rising percentages up to 100; write 5,20,50,100.")
    return steps


def in_words(state: PromotionState) -> str:
    """Who promotes what, and how far it is."""
    at = ", ".join(f"{role} {percentage} %" for role, percentage in state.percentages.items()) or "nothing ramped yet"
    return f"build {state.build_id} by {state.by}, since {state.began:%Y-%m-%d %H:%M} UTC, {state.phase.value}, {at}"


def as_unified_diff(name: str, before: str, now: str, differences: Sequence[Difference]) -> list[str]:
    """Keys of one pair file as `-` and `+` lines."""
    old = [f"{one.path}: {one.before}" for one in differences if one.before != "(none)"]
    new = [f"{one.path}: {one.now}" for one in differences if one.now != "(none)"]
    return list(unified_diff(old, new, f"{before}/{name}.yaml", f"{now}/{name}.yaml", lineterm="", n=0))


async def run_promote(options: argparse.Namespace, settings: Settings) -> int:
    """Returns the exit status; raises SettingsError."""
    # What a replay finds is told in our words; the SDK logs it as tracebacks, its core on standard output.
    logging.getLogger("temporalio").setLevel(logging.CRITICAL)
    filter_ = TelemetryFilter(core_level="ERROR", other_level="ERROR")
    Runtime.set_default(
        Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(filter=filter_))), error_if_already_set=False
    )

    def say(text: str) -> None:
        print(text, file=sys.stderr if options.json else sys.stdout, flush=True)

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Arrows and ellipses, where the output's encoding has none (cp1252).
            stream.reconfigure(errors="backslashreplace")
    promotion = Promotion(options, settings, say)
    try:
        status = await promotion.run()
    except RPCError as error:
        raise SettingsError(
            f"promote: Temporal answered {error.status.name}: {error.message}. A ramp stays where it is; call again."
        ) from None
    except asyncio.CancelledError:
        flags = f"--from {options.source} --to {options.target}"
        say(f"Interrupted; a ramp stays where it is. Go on: … promote {flags} --continue; back: … {flags} --roll-back")
        raise
    if options.json:
        print(json.dumps({**promotion.content, "status": int(status)}, indent=2, ensure_ascii=False))
    return int(status)
