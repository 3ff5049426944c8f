"""What the watch makes of a listing: each ended order once, none that was started again, each failing workflow once."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import ActivityEnvironment

from activities import watch as module
from activities.watch import WatchActivities
from contracts.alerts import WatchCursor, WatchShift
from contracts.messages import AlertKind
from contracts.search_attributes import FAILED_FLOWS
from mappings.pair import Pace
from workflows.alert_texts import add_to, query_of


class Temporal:
    """Answers the two listings, describes the latest run by id, takes the signals."""

    def __init__(self) -> None:
        self.ended: list[Any] = []
        self.failing: list[Any] = []
        self.flows: list[Any] = []
        self.latest: dict[str, Any] = {}
        self.raised: list[Any] = []
        self.queries: list[str] = []

    def list_workflows(self, query: str) -> AsyncIterator[Any]:
        self.queries.append(query)
        found = self.failing if "TemporalReportedProblems" in query else self.ended
        if "WorkflowType != 'Order" in query:
            found = self.flows

        async def answer() -> AsyncIterator[Any]:
            for run in found:
                yield run

        return answer()

    def get_workflow_handle(self, workflow_id: str) -> Any:
        async def describe(**_: Any) -> Any:
            if workflow_id not in self.latest:
                raise RPCError("gone", RPCStatusCode.NOT_FOUND, b"")
            return self.latest[workflow_id]

        return SimpleNamespace(describe=describe)

    async def start_workflow(self, *_: Any, **options: Any) -> None:
        self.raised += options["start_signal_args"]


def run(order: str, run_id: str, status: WorkflowExecutionStatus) -> Any:
    return SimpleNamespace(
        id=f"order-demo-{order}", run_id=run_id, status=status, workflow_type="OrderFulfillmentWorkflow"
    )


TERMINATED = WorkflowExecutionStatus.TERMINATED
RUNNING = WorkflowExecutionStatus.RUNNING


@pytest.fixture
def temporal() -> Temporal:
    return Temporal()


NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


async def look(temporal: Temporal, cursor: WatchCursor | None = None) -> WatchCursor:
    watch = WatchActivities(cast(Client, temporal))
    return await ActivityEnvironment().run(watch.look, "demo", cursor or WatchCursor(), Pace(), NOON)


async def test_a_terminated_order_is_told_once_with_its_restart(temporal: Temporal) -> None:
    temporal.ended = [run("1", "run-one-0001", TERMINATED)]
    temporal.latest = {"order-demo-1": temporal.ended[0]}
    cursor = await look(temporal)
    cursor = await look(temporal, cursor)
    (alert,) = temporal.raised
    assert (alert.kind, alert.workflow_id) == (AlertKind.ORDER_ENDED, "order-demo-1")
    assert "POST /orders/demo/1/restart" in alert.text
    assert cursor.raised == 1
    # Once it is out of the listing's window, it is forgotten.
    temporal.ended = []
    assert (await look(temporal, cursor)).ended == []


async def test_an_order_that_was_started_again_or_reset_raises_nothing(temporal: Temporal) -> None:
    temporal.ended = [run("1", "run-one-0001", TERMINATED)]
    temporal.latest = {"order-demo-1": run("1", "run-two-0002", RUNNING)}
    await look(temporal)
    assert temporal.raised == []


async def test_an_order_whose_retention_passes_meanwhile_is_told(temporal: Temporal) -> None:
    temporal.ended = [run("1", "run-one-0001", TERMINATED)]
    await look(temporal)
    assert len(temporal.raised) == 1


async def test_a_failing_workflow_is_told_once_as_long_as_it_fails(temporal: Temporal) -> None:
    temporal.failing = [run("2", "run-bad-0001", RUNNING)]
    cursor = await look(temporal)
    cursor = await look(temporal, cursor)
    assert [alert.kind for alert in temporal.raised] == [AlertKind.TASKS_FAILING]
    temporal.failing = []
    assert (await look(temporal, cursor)).failing == []


async def test_without_a_cursor_it_looks_a_week_back_and_then_two_minutes(temporal: Temporal) -> None:
    cursor = await look(temporal)
    assert cursor.closed_since is not None
    await look(temporal, cursor)
    week, minutes = (query.split("CloseTime > ")[1] for query in temporal.queries if "WorkflowType='Order" in query)
    assert week < minutes


async def test_a_poller_that_fails_shift_after_shift_is_told_once_a_day(temporal: Temporal) -> None:
    cursor = None
    for number in range(3):
        shift = run("x", f"run-{number:08d}", WorkflowExecutionStatus.FAILED)
        shift.id, shift.workflow_type = f"sage-poll-demo-{number}", "SagePollWorkflow"
        temporal.flows = [shift]
        cursor = await look(temporal, cursor)
        cursor = await look(temporal, cursor)
    assert len(temporal.raised) == 3
    assert len({alert.key for alert in temporal.raised}) == 1, "AlertWorkflow tells the same alert once"
    assert temporal.raised[0].kind is AlertKind.FLOW_FAILED
    assert FAILED_FLOWS in query_of("demo", add_to([], temporal.raised[0])[0])


async def test_a_watch_looks_by_the_servers_clock_and_ends_by_it(temporal: Temporal) -> None:
    """The server says that it is noon; whatever year this machine is in."""
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, started_time=NOON)
    watch = WatchActivities(cast(Client, temporal))
    shift = WatchShift(pair="demo", cursor=None, until=NOON, pace=Pace())
    cursor = await environment.run(watch.watch, shift)
    assert cursor.closed_since is not None
    assert NOON <= cursor.closed_since < NOON + timedelta(minutes=5)
    assert "CloseTime > '2026-11-16T11:58" in temporal.queries[0]


async def test_after_a_bad_deployment_no_workflow_is_told_again_with_each_look(
    temporal: Temporal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TOLD_KEPT", 5)
    temporal.failing = [run(str(number), f"run-{number:08d}", RUNNING) for number in range(12)]
    cursor = await look(temporal)
    for _ in range(3):
        temporal.failing.reverse()
        cursor = await look(temporal, cursor)
    assert len(temporal.raised) == len({alert.key for alert in temporal.raised}) == 5
    # When those are mended, the others are told.
    told = {alert.workflow_id for alert in temporal.raised}
    temporal.failing = [one for one in temporal.failing if one.id not in told]
    await look(temporal, cursor)
    assert len({alert.workflow_id for alert in temporal.raised}) == 10
