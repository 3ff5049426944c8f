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
from contracts.search_attributes import FAILED_FLOWS, WAITING_FOR_SAGE
from mappings.pair import Pace
from workflows.alert_texts import add_to, query_of


class Temporal:
    """Answers the two listings, describes the latest run by id, takes the signals."""

    def __init__(self) -> None:
        self.ended: list[Any] = []
        self.failing: list[Any] = []
        self.flows: list[Any] = []
        self.waiting: list[Any] = []
        self.asked: list[str] = []
        self.unanswered: dict[str, RPCStatusCode] = {}
        self.latest: dict[str, Any] = {}
        self.raised: list[Any] = []
        self.queries: list[str] = []

    def list_workflows(self, query: str) -> AsyncIterator[Any]:
        self.queries.append(query)
        found = self.failing if "TemporalReportedProblems" in query else self.ended
        if "WorkflowType != 'Order" in query:
            found = self.flows
        if WAITING_FOR_SAGE in query:
            found = self.waiting

        async def answer() -> AsyncIterator[Any]:
            for run in found:
                yield run

        return answer()

    def get_workflow_handle(self, workflow_id: str, *, run_id: str = "") -> Any:
        async def describe(**_: Any) -> Any:
            if workflow_id not in self.latest:
                raise RPCError("gone", RPCStatusCode.NOT_FOUND, b"")
            return self.latest[workflow_id]

        async def signal(name: str, **_: Any) -> None:
            assert (name, run_id) == ("look_at_sage", f"run of {workflow_id}")
            if workflow_id in self.unanswered:
                raise RPCError("no", self.unanswered[workflow_id], b"")
            self.asked.append(workflow_id.removeprefix("order-demo-"))

        return SimpleNamespace(describe=describe, signal=signal)

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


async def look(temporal: Temporal, cursor: WatchCursor | None = None, at: datetime = NOON) -> WatchCursor:
    watch = WatchActivities(cast(Client, temporal))
    return await ActivityEnvironment().run(watch.look, "demo", cursor or WatchCursor(), Pace(), at)


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


# ---- waiting orders look at Sage once a day -------------------------------------------------------------------------


def waiting(order: str, started: datetime) -> Any:
    return SimpleNamespace(id=f"order-demo-{order}", run_id=f"run of order-demo-{order}", start_time=started)


HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


async def test_each_waiting_order_is_asked_once_a_day_at_its_time_of_day(temporal: Temporal) -> None:
    temporal.waiting = [
        waiting("younger than a day", NOON - DAY + timedelta(minutes=1)),
        waiting("a day", NOON - DAY - timedelta(minutes=5)),
        waiting("a month", NOON - 30 * DAY - timedelta(minutes=50)),
        waiting("later today", NOON - 3 * DAY + 2 * HOUR),
        waiting("earlier today", NOON - 3 * DAY - 2 * HOUR),
    ]
    cursor = await look(temporal, WatchCursor(asked_until=NOON - HOUR))
    assert temporal.asked == ["a month", "a day"]
    assert cursor.asked_until == NOON
    for hour in range(1, 25):
        cursor = await look(temporal, cursor, NOON + hour * HOUR)
    rest = ["younger than a day", "later today", "earlier today", "a day", "a month"]
    assert sorted(temporal.asked[2:]) == sorted(rest)


async def test_between_two_slots_nobody_is_listed_or_asked(temporal: Temporal) -> None:
    temporal.waiting = [waiting("a day", NOON - DAY - timedelta(minutes=5))]
    since = NOON - timedelta(minutes=59)
    cursor = await look(temporal, WatchCursor(asked_until=since))
    assert (cursor.asked_until, temporal.asked) == (since, [])
    assert not [query for query in temporal.queries if WAITING_FOR_SAGE in query]


async def test_a_first_watch_asks_from_now_on_and_a_late_one_makes_up_for_what_was_missed(temporal: Temporal) -> None:
    temporal.waiting = [waiting(f"{hour}", NOON - 5 * DAY - hour * HOUR) for hour in range(24)]
    assert (await look(temporal)).asked_until == NOON
    assert temporal.asked == []
    await look(temporal, WatchCursor(asked_until=NOON - 5 * HOUR))
    assert temporal.asked == ["4", "3", "2", "1", "0"]
    temporal.asked.clear()
    await look(temporal, WatchCursor(asked_until=NOON - 9 * DAY))
    assert len(temporal.asked) == 24


async def test_an_order_that_takes_no_signal_stops_no_other(temporal: Temporal) -> None:
    temporal.waiting = [waiting(f"{hour}", NOON - DAY - timedelta(minutes=hour)) for hour in range(1, 5)]
    temporal.unanswered = {
        "order-demo-2": RPCStatusCode.NOT_FOUND,
        "order-demo-3": RPCStatusCode.INVALID_ARGUMENT,
    }
    cursor = await look(temporal, WatchCursor(asked_until=NOON - HOUR))
    assert (temporal.asked, cursor.asked_until) == (["4", "1"], NOON)


@pytest.mark.parametrize("status", [RPCStatusCode.UNAVAILABLE, RPCStatusCode.RESOURCE_EXHAUSTED])
async def test_where_temporal_goes_away_the_next_look_goes_on_with_those_that_were_not_asked(
    temporal: Temporal, status: RPCStatusCode
) -> None:
    temporal.waiting = [waiting(f"{hour}", NOON - DAY - timedelta(minutes=hour)) for hour in range(1, 5)]
    temporal.unanswered = {"order-demo-2": status}
    cursor = await look(temporal, WatchCursor(asked_until=NOON - HOUR))
    assert (temporal.asked, cursor.asked_until) == (["4", "3"], NOON - timedelta(minutes=3))
    assert cursor.closed_since == NOON
    temporal.unanswered.clear()
    assert (await look(temporal, cursor)).asked_until == NOON - timedelta(minutes=3), "the slot is not over"
    later = NOON + HOUR
    assert (await look(temporal, cursor, later)).asked_until == later
    assert temporal.asked == ["4", "3", "2", "1"]
