"""What a promotion's watch takes for a failure: queues, outages, orders that end; Temporal's answers are given."""

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import pytest
from temporalio.api.deployment.v1 import RoutingConfig, WorkerDeploymentVersion
from temporalio.api.history.v1 import HistoryEvent, WorkflowExecutionTerminatedEventAttributes
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import ActivityEnvironment

from activities import promotion
from activities.promotion import PromotionActivities
from contracts import queues
from contracts.deployments import PatchState
from contracts.promotion import Failing, FindUnpolled, SetCurrent, SetPatches, SetRamp, WatchRamp
from mappings.maintenance import MaintenanceWindow
from mappings.pair import Pair, load_pairs
from tests.support.processes import ROOT

pytestmark = pytest.mark.asyncio(loop_scope="session")

DEMO = load_pairs(ROOT / "mappings" / "pairs")["demo"]
OLD, NEW, THIRD = "1", "2", "3"
SAGE = queues.of_role("sage", ["demo"])
ALWAYS = [MaintenanceWindow(start="00:00", end="12:00"), MaintenanceWindow(start="12:00", end="00:00")]


class Closed(NamedTuple):
    """A run that ended."""

    kind: str
    status: str
    by: str = ""
    why: str = ""


class Temporal:
    """Who polls what, and which outages are watched."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.polling: dict[str, set[str]] = {}
        self.outages: set[str] = set()
        self.began = datetime.now(UTC)
        """All outages."""
        self.seconds = 0.0
        """On the clock: every look at a queue takes two and a half."""
        self.current = OLD
        self.percentage = 100.0
        self.set: list[tuple[str, str]] = []
        """Kind of request and build id, as they came."""
        self.looks: Counter[str] = Counter()
        self.closed: list[Closed] = []
        self.after_looks: dict[int, Any] = {}
        """Called at the so-manieth look at a queue."""
        monkeypatch.setattr(promotion, "polled_by", self.polled_by)
        monkeypatch.setattr(promotion, "routing", self.routing)
        monkeypatch.setattr(promotion, "monotonic", lambda: self.seconds)

    async def polled_by(self, _: object, queue: str) -> set[str]:
        self.looks[queue] += 1
        self.seconds += 2.5
        if change := self.after_looks.pop(self.looks[queue], None):
            change()
        return self.polling.get(queue, set())

    async def routing(self, *_: object) -> RoutingConfig:
        ramping = WorkerDeploymentVersion(build_id=NEW if self.percentage else "")
        return RoutingConfig(
            current_deployment_version=WorkerDeploymentVersion(build_id=self.current),
            ramping_deployment_version=ramping,
            ramping_version_percentage=self.percentage,
        )

    namespace, identity = "prod", "the test"

    @property
    def workflow_service(self) -> Any:
        return SimpleNamespace(
            **{
                name: self.setting(name)
                for name in (
                    "set_worker_deployment_current_version",
                    "set_worker_deployment_ramping_version",
                    "update_worker_deployment_version_metadata",
                )
            }
        )

    def setting(self, name: str) -> Any:

        async def call(request: Any, **_: object) -> None:
            self.set.append((name, getattr(request, "build_id", "")))

        return call

    def get_workflow_handle(self, workflow_id: str, run_id: str = "") -> Any:
        async def describe() -> Any:
            if workflow_id not in self.outages:
                raise RPCError("no such workflow", RPCStatusCode.NOT_FOUND, b"")
            return SimpleNamespace(status=WorkflowExecutionStatus.RUNNING, start_time=self.began)

        async def fetch_history_events(**_: object) -> Any:
            ended = self.closed[int(run_id)]
            terminated = WorkflowExecutionTerminatedEventAttributes(reason=ended.why, identity=ended.by)
            yield HistoryEvent(workflow_execution_terminated_event_attributes=terminated)

        return SimpleNamespace(describe=describe, fetch_history_events=fetch_history_events)

    async def list_workflows(self, query: str) -> Any:
        """As the server would by type and status; closed after the beginning of the ramp, all of them."""
        wanted = re.search(r"WorkflowType ?(!?=) ?'(\w+)'", query)
        for number, one in enumerate(self.closed):
            of_type = wanted is not None and (one.kind == wanted[2]) == (wanted[1] == "=")
            if of_type and f"'{one.status}'" in query and "CloseTime >= " in query:
                yield SimpleNamespace(id=f"run-{number}", run_id=str(number))


def polled_by_all(build: str) -> dict[str, set[str]]:
    return {queue: {build} for queue in SAGE}


@pytest.fixture
def temporal(monkeypatch: pytest.MonkeyPatch) -> Temporal:
    return Temporal(monkeypatch)


async def watched(
    temporal: Temporal, pair: Pair = DEMO, said: list[str] | None = None, since: datetime | None = None
) -> list[str]:
    """What a short watch of Sage's workers finds."""
    steps = PromotionActivities(cast(Client, temporal), {"demo": pair}, (said if said is not None else []).append)
    request = WatchRamp(
        deployment="shop",
        build_id=NEW,
        percentages={"sage": 100},
        current={"sage": OLD},
        queues={"sage": SAGE},
        since=datetime.now(UTC) if since is None else since,
        seconds=10,
        look_every_seconds=0.001,
    )
    found: list[Failing] = await ActivityEnvironment().run(steps.watch_ramp, request)
    return [one.what for one in found]


async def test_workers_that_are_there_pass(temporal: Temporal) -> None:
    temporal.polling = polled_by_all(NEW)
    assert await watched(temporal) == []


@pytest.mark.parametrize("others", [set(), {OLD}], ids=["old workers stopped", "old workers poll"])
async def test_a_candidate_that_died_fails_whoever_else_polls(temporal: Temporal, others: set[str]) -> None:
    temporal.polling = {SAGE[0]: {NEW}, SAGE[1]: others}
    assert await watched(temporal) == ["no worker of the candidate polls the queue sage-write-demo"]


async def test_an_outage_is_no_fault_of_the_candidate_and_is_waited_out(temporal: Temporal) -> None:
    """The old workers have no tasks, do not notice the outage, and poll on."""
    temporal.polling, temporal.outages = polled_by_all(OLD), {"outage-demo-sage"}

    def over() -> None:
        temporal.outages.clear()

    def polled_again() -> None:
        temporal.polling = polled_by_all(NEW)

    # In between no outage is watched any more, and the candidate's next probe is still to come.
    temporal.after_looks = {10: over, 20: polled_again}
    said: list[str] = []
    assert await watched(temporal, said=said) == []
    assert temporal.looks[SAGE[0]] >= 20
    assert sorted(said) == [
        "  sage of pair demo is out (outage-demo-sage): the watch goes on until that is over for a minute",
        *(
            f"  {queue} is not polled, as sage does not answer (outage-demo-sage): the watch goes on until it is polled"
            for queue in SAGE
        ),
    ]


async def test_no_step_ends_in_an_outage_though_the_candidate_polls(temporal: Temporal) -> None:
    """Where only some calls fail, gates open and close, and each time another outage is watched."""
    temporal.polling, temporal.outages = polled_by_all(NEW), {"outage-demo-sage"}

    def again() -> None:
        temporal.outages.add("outage-demo-sage")

    temporal.after_looks = {10: temporal.outages.clear, 15: again, 30: temporal.outages.clear}
    assert await watched(temporal) == []
    # Five seconds from one look to the next.
    assert temporal.looks[SAGE[0]] >= 29 + promotion.GATE_OPENS.total_seconds() / 5


async def test_an_outage_that_began_while_ramping_and_lasts_is_a_failure(temporal: Temporal) -> None:
    temporal.polling, temporal.outages = polled_by_all(NEW), {"outage-demo-sage"}
    now = datetime.now(UTC)
    temporal.began = now - promotion.OUTAGE_LIMIT - timedelta(minutes=1)
    found = await watched(temporal, since=temporal.began - timedelta(seconds=1))
    assert found == ["sage of pair demo is out for more than 60 min, since the ramp began"]
    # One that was there before is none of the candidate's.
    temporal.after_looks = {temporal.looks[SAGE[0]] + 40: temporal.outages.clear}
    assert await watched(temporal, since=temporal.began + timedelta(seconds=1)) == []


async def test_an_outage_of_another_system_excuses_nobody(temporal: Temporal) -> None:
    temporal.outages = {"outage-demo-clarity"}
    assert len(await watched(temporal)) == len(SAGE)


async def test_a_worker_that_does_not_come_back_after_an_outage_fails(
    temporal: Temporal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promotion, "GATE_OPENS", promotion.GATE_OPENS * 0)
    temporal.outages = {"outage-demo-sage"}
    temporal.after_looks = {3: temporal.outages.clear}
    assert len(await watched(temporal)) == len(SAGE)


async def test_nobody_polls_in_a_maintenance_window(temporal: Temporal) -> None:
    pair = DEMO.model_copy(update={"sage": DEMO.sage.model_copy(update={"maintenance": ALWAYS})})

    def polled_again() -> None:
        temporal.polling = polled_by_all(NEW)

    temporal.after_looks = {5: polled_again}
    assert await watched(temporal, pair) == []


async def test_a_version_that_serves_again_and_has_no_workers_is_named(temporal: Temporal) -> None:
    temporal.polling = {queues.ORDERS: {OLD, NEW}, queues.ALERTS: {OLD}, SAGE[0]: {NEW}, SAGE[1]: {""}}
    request = FindUnpolled(
        builds={"orders": OLD, "sage": OLD, "clarity": ""},
        queues={"orders": [queues.ORDERS, queues.ALERTS], "sage": SAGE, "clarity": [queues.clarity("demo")]},
    )
    found = await ActivityEnvironment().run(PromotionActivities(cast(Client, temporal)).find_unpolled, request)
    assert [one.what for one in found] == [
        "no worker of build 1 polls the queue sage-read-demo",
        "no worker of build 1 polls the queue sage-write-demo",
        "no worker of the version before, which has no build id, polls the queue clarity-demo",
    ]


@pytest.mark.parametrize(
    ("ended", "what"),
    [
        (Closed("OrderFulfillmentWorkflow", "Failed"), "the order's workflow failed"),
        (Closed("OrderFulfillmentWorkflow", "TimedOut"), "the order's workflow failed"),
        (
            Closed("OrderFulfillmentWorkflow", "Terminated", "history-service", "BadSearchAttributes: too large"),
            "Temporal terminated it: BadSearchAttributes: too large",
        ),
        (Closed("InventorySyncWorkflow", "Failed"), "failed under the candidate"),
    ],
)
async def test_an_order_that_ends_without_its_work_is_a_failure(temporal: Temporal, ended: Closed, what: str) -> None:
    temporal.polling, temporal.closed = polled_by_all(NEW), [ended]
    assert await watched(temporal) == [what]


@pytest.mark.parametrize(
    "ended",
    [
        Closed("OrderFulfillmentWorkflow", "Terminated", "ann@office", "entered twice"),
        Closed("OrderFulfillmentWorkflow", "Terminated", "history-resetter", "reset by Ann"),
        Closed("OrderFulfillmentWorkflow", "Completed"),
        Closed("OrderFulfillmentWorkflow", "Canceled"),
    ],
)
async def test_an_order_that_a_person_ended_is_no_failure(temporal: Temporal, ended: Closed) -> None:
    temporal.polling, temporal.closed = polled_by_all(NEW), [ended]
    assert await watched(temporal) == []


# ---- somebody else routes -------------------------------------------------------------------------------------------


async def test_another_current_version_fails_a_watch(temporal: Temporal) -> None:
    temporal.polling, temporal.current = polled_by_all(NEW), THIRD
    assert await watched(temporal) == ["the routing of shop-sage was changed from elsewhere"]


@pytest.mark.parametrize(
    ("step", "request_"),
    [
        ("set_patches", SetPatches(deployment="shop-orders", build_id=NEW, state=PatchState(), current=OLD)),
        ("set_ramp", SetRamp(deployment="shop-orders", build_id=NEW, percentage=5, current=OLD)),
        ("set_current", SetCurrent(deployment="shop-orders", build_id=NEW, instead_of=OLD)),
        ("set_current", SetCurrent(deployment="shop-orders", build_id=OLD, instead_of=NEW)),
    ],
)
async def test_a_step_sets_nothing_over_what_somebody_else_made_current(
    temporal: Temporal, step: str, request_: Any
) -> None:
    activity_ = getattr(PromotionActivities(cast(Client, temporal)), step)
    temporal.current = THIRD
    with pytest.raises(ApplicationError, match="shop-orders: somebody made 3 current meanwhile") as raised:
        await ActivityEnvironment().run(activity_, request_)
    assert (raised.value.type, raised.value.non_retryable, temporal.set) == (promotion.ELSEWHERE, True, [])
    temporal.current = OLD
    await ActivityEnvironment().run(activity_, request_)
    assert len(temporal.set) == 1


async def test_a_ramp_ends_whoever_became_current_and_that_is_told(temporal: Temporal) -> None:
    temporal.current = THIRD
    step = PromotionActivities(cast(Client, temporal)).set_ramp
    request = SetRamp(deployment="shop-orders", build_id=NEW, percentage=0, current=OLD)
    with pytest.raises(ApplicationError, match="instead of 1"):
        await ActivityEnvironment().run(step, request)
    assert temporal.set == [("set_worker_deployment_ramping_version", "")]
