"""A worker that dies at one boundary: `python -m tests.chaos.crash_worker --role orders …`, with `CRASH_FOLDER`.

In: `plan` in that folder, `{order id} {point}`. The boundaries of that order (and of the resolution of its buyer) are
counted over all processes, in `log-{order id}`: before an activity runs, after it ran and before its result is
reported, and after a workflow task was worked out and before it is reported. At the point the process ends as by
`kill -9`, once.
"""

import argparse
import asyncio
import fcntl
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from temporalio import activity
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.client import Client
from temporalio.plugin import SimplePlugin
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
    WorkflowInstance,
    WorkflowInstanceDetails,
    WorkflowRunner,
)

from workers.plugin import integration_plugin
from workers.roles import Fleet, Role
from workers.settings import load_pair_files, load_settings
from workers.signals import stop_on_signals
from workers.telemetry import set_up_logging

DIED = 86
"""Exit status of a process that died on demand: it is started again at once."""


class Crash:
    """Counts the boundaries of the order in the plan, and dies at its point."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def boundary(self, workflow_id: str, what: str) -> None:
        """One boundary of one workflow."""
        words = (self.folder / "plan").read_text("utf-8").split()
        if not words or not (workflow_id.endswith(f"-{words[0]}") or workflow_id.startswith("customer-")):
            return
        order_id, point = words[0], int(words[1])
        with (self.folder / f"log-{order_id}").open("a+", encoding="utf-8") as log:
            fcntl.flock(log, fcntl.LOCK_EX)
            log.seek(0)
            number = len(log.readlines()) + 1
            log.write(f"{number} {what}{' DIED' if number == point else ''}\n")
            log.flush()
            if number == point:
                os._exit(DIED)


class CrashInActivities(Interceptor):
    """Before and after every activity."""

    def __init__(self, crash: Crash) -> None:
        self.crash = crash

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        """Around each."""
        return _AroundActivity(next, self.crash)


class _AroundActivity(ActivityInboundInterceptor):
    def __init__(self, inner: ActivityInboundInterceptor, crash: Crash) -> None:
        super().__init__(inner)
        self.crash = crash

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        one = activity.info()
        workflow_id = one.workflow_id or ""
        self.crash.boundary(workflow_id, f"before {one.activity_type}")
        result = await super().execute_activity(input)
        self.crash.boundary(workflow_id, f"after {one.activity_type}")
        return result


class CrashInWorkflows(WorkflowRunner):
    """After every workflow task, before the server hears of it."""

    def __init__(self, inner: WorkflowRunner, crash: Crash) -> None:
        self.inner = inner
        self.crash = crash

    def prepare_workflow(self, defn: Any) -> None:
        """As the runner inside."""
        self.inner.prepare_workflow(defn)

    def set_worker_level_failure_exception_types(self, types: Sequence[type[BaseException]]) -> None:
        """As the runner inside."""
        self.inner.set_worker_level_failure_exception_types(types)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """An instance whose tasks are counted."""
        return _CountedInstance(self.inner.create_instance(det), det.info.workflow_id, self.crash)


class _CountedInstance(WorkflowInstance):
    def __init__(self, inner: WorkflowInstance, workflow_id: str, crash: Crash) -> None:
        self.inner = inner
        self.workflow_id = workflow_id
        self.crash = crash

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        completion = self.inner.activate(act)
        if not act.is_replaying:
            self.crash.boundary(self.workflow_id, "workflow task")
        return completion

    def get_serialization_context(self, command_info: Any) -> Any:
        return self.inner.get_serialization_context(command_info)

    def get_external_store_context(self, command_info: Any) -> Any:
        return self.inner.get_external_store_context(command_info)

    def get_info(self) -> Any:
        return self.inner.get_info()

    def get_thread_id(self) -> int | None:
        return self.inner.get_thread_id()


async def run(roles: Sequence[str], folder: Path) -> None:
    """As `python -m workers`, with what counts and dies around it."""
    crash = Crash(folder)
    settings = load_settings()
    set_up_logging(settings)
    crashing = SimplePlugin(
        "crash",
        interceptors=[CrashInActivities(crash)],
        workflow_runner=lambda inner: CrashInWorkflows(inner, crash) if inner is not None else None,  # type: ignore[arg-type, return-value]
    )
    stop = asyncio.Event()
    stop_on_signals(stop)
    client: Client | None = None
    while client is None:
        try:
            client = await Client.connect(settings.temporal_address, plugins=[integration_plugin(), crashing])
        except RuntimeError:
            await asyncio.sleep(0.2)
    fleet = Fleet(client, settings, load_pair_files(settings))
    for role in roles:
        fleet.add(Role(role))
    await fleet.run(stop)


def main() -> int:
    """Run in a child, and in another one when it died on demand: quicker than a new interpreter."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--role", action="append", required=True)
    roles = parser.parse_args().role
    folder = Path(os.environ["CRASH_FOLDER"])
    while True:
        child = os.fork()
        if child == 0:
            asyncio.run(run(roles, folder))
            return 0
        signal.signal(signal.SIGTERM, lambda number, _, child=child: os.kill(child, number))  # type: ignore[misc]
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        if code != DIED:
            return abs(code)


if __name__ == "__main__":
    sys.exit(main())
