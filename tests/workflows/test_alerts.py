"""`AlertWorkflow` on the real server with a virtual clock; the targets are stand-ins."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from temporalio import activity
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.alerting import signal_alert
from contracts import queues, retry
from contracts.alerts import AlertStart, Deliver, Delivered, Message, Target, Targets, TargetsWanted
from contracts.failures import FailureType
from contracts.messages import Alert, AlertKind, AlertSeverity
from mappings.pair import Pace
from mappings.problems import HoldReason
from tests.workflows.conftest import end_what_still_runs
from workers.roles import WORKFLOWS

pytestmark = pytest.mark.asyncio(loop_scope="session")

PACE = Pace(retry_initial=1, retry_maximum=30)
ALL = list(AlertSeverity)


class Post:
    """The targets: what arrived at each, and which are broken."""

    def __init__(self) -> None:
        self.targets = [Target(key="chat", name="warning 1 (slack)", severities=ALL)]
        self.arrived: dict[str, list[Message]] = {}
        self.broken: set[str] = set()
        self.attempts: list[str] = []
        self.unreadable = False

    @activity.defn
    async def alert_targets(self, wanted: TargetsWanted) -> Targets:
        if self.unreadable:
            raise ApplicationError("the file of targets cannot be read", type=FailureType.UNAVAILABLE)
        return Targets(targets=self.targets)

    @activity.defn
    async def deliver_alerts(self, request: Deliver) -> Delivered:
        self.attempts.append(request.key)
        if request.key in self.broken:
            return Delivered(count=0, problem="the service is closed")
        self.arrived.setdefault(request.key, []).extend(request.messages)
        return Delivered(count=len(request.messages))

    def titles(self, key: str = "chat") -> list[str]:
        return [message.title for message in self.arrived.get(key, [])]


@pytest_asyncio.fixture(loop_scope="session")
async def post(env: WorkflowEnvironment) -> AsyncIterator[Post]:
    post = Post()
    workers = [
        Worker(env.client, task_queue=queues.ORDERS, workflows=WORKFLOWS),
        Worker(env.client, task_queue=queues.ALERTS, activities=[post.alert_targets, post.deliver_alerts]),
    ]
    running = [asyncio.create_task(worker.run()) for worker in workers]
    try:
        yield post
    finally:
        await end_what_still_runs(env.client)
        await asyncio.gather(*(worker.shutdown() for worker in workers))
        await asyncio.gather(*running)


def hold(number: int, occurrence: str = "run:1", reason: HoldReason = HoldReason.OUT_OF_STOCK) -> Alert:
    return Alert(
        pair="demo",
        kind=AlertKind.HOLD,
        workflow_id=f"order-demo-{number}",
        title=f"Order {number}",
        text=f"held: {reason.value}",
        reason=reason,
        occurrence=occurrence,
    )


def ended(number: int) -> Alert:
    return hold(number).model_copy(update={"kind": AlertKind.ORDER_ENDED, "reason": None, "text": "terminated"})


async def raise_all(env: WorkflowEnvironment, *alerts: Alert) -> WorkflowHandle[Any, Any]:
    """Signal them as the activity does; the clock stands still meanwhile."""
    with env.with_time_skipping_disabled():
        for alert in alerts:
            await signal_alert(env.client, alert, PACE)
    return env.client.get_workflow_handle("alerts-demo")


async def state_of(handle: WorkflowHandle[Any, Any]) -> AlertStart:
    state: AlertStart = await handle.query("state", result_type=AlertStart)
    return state


async def until(what: str, condition: Callable[[], bool]) -> None:
    for _ in range(300):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(what)


async def test_a_hundred_holds_of_one_reason_in_a_minute_are_one_message(env: WorkflowEnvironment, post: Post) -> None:
    handle = await raise_all(env, *(hold(number) for number in range(100)))
    assert (await state_of(handle)).alerts == 100
    assert post.titles() == []
    await env.fast_forward(handle, timedelta(seconds=61))
    await until("the message came", lambda: bool(post.titles()))
    assert post.titles() == ["[demo] 100 orders are held: out_of_stock"]
    assert (await handle.describe()).status is WorkflowExecutionStatus.RUNNING


async def test_the_same_alert_again_is_told_once_and_the_next_hold_anew(env: WorkflowEnvironment, post: Post) -> None:
    handle = await raise_all(env, hold(1), hold(1), hold(1))
    await env.fast_forward(handle, timedelta(seconds=61))
    await until("the message came", lambda: bool(post.titles()))
    await raise_all(env, hold(1), hold(1, "run:2"))
    await env.fast_forward(handle, timedelta(seconds=61))
    await until("the second message came", lambda: len(post.titles()) == 2)
    assert post.titles() == ["[demo] 1 order is held: out_of_stock"] * 2


async def test_an_urgent_alert_does_not_wait_the_whole_minute_even_behind_others(
    env: WorkflowEnvironment, post: Post
) -> None:
    handle = await raise_all(env, hold(1), ended(2))
    await env.fast_forward(handle, timedelta(seconds=11))
    await until("both came", lambda: len(post.titles()) == 2)
    assert post.titles()[1] == "[demo] 1 order ended without being completed"


async def test_what_is_no_alert_changes_nothing(env: WorkflowEnvironment, post: Post) -> None:
    handle = await raise_all(env, hold(1))
    with env.with_time_skipping_disabled():
        arguments: list[Any] = [None, "text", 7, [], {"kind": "nothing"}, {"pair": "demo"}]
        for argument in arguments:
            await handle.signal("alert", argument)
        await handle.signal("alert")
        await handle.signal("alert", args=[{}, {}])
    await env.fast_forward(handle, timedelta(seconds=61))
    await until("the message came", lambda: bool(post.titles()))
    assert (await state_of(handle)).alerts == 1


async def test_a_broken_target_is_reported_once_through_the_others_and_gets_everything_later(
    env: WorkflowEnvironment, post: Post
) -> None:
    post.targets.append(Target(key="pager", name="high 1 (pagerduty)", severities=ALL))
    post.broken.add("pager")
    handle = await raise_all(env, hold(1))
    await env.fast_forward(handle, timedelta(seconds=61))
    await until("the working target has its message", lambda: bool(post.titles()))
    await env.fast_forward(handle, timedelta(seconds=300))
    await until("the outage is told", lambda: len(post.titles()) > 1)
    await env.fast_forward(handle, timedelta(seconds=300))
    assert post.titles() == ["[demo] 1 order is held: out_of_stock", "[demo] 1 target of alerts does not work"]
    assert "high 1 (pagerduty): the service is closed" in post.arrived["chat"][1].body
    post.broken.clear()
    await env.fast_forward(handle, timedelta(seconds=60))
    await until("the broken one has it too", lambda: bool(post.titles("pager")))
    assert post.titles("pager") == ["[demo] 1 order is held: out_of_stock"]
    # A second outage is news.
    post.broken.add("pager")
    await raise_all(env, hold(2))
    await env.fast_forward(handle, timedelta(seconds=400))
    await until("the second outage is told", lambda: len(post.titles()) == 4)


async def test_nothing_is_lost_or_told_twice_over_many_runs(
    env: WorkflowEnvironment, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflows.alerts.ROUNDS_PER_RUN", 1)
    quick = PACE.model_copy(update={"alert_group": 0.2})
    first = ""
    with env.with_time_skipping_disabled():
        for number in range(60):
            for _ in range(2):
                await signal_alert(env.client, hold(number), quick)
            if not number:
                first = (await env.client.get_workflow_handle("alerts-demo").describe()).run_id
            if number == 29:
                await until("half are told", lambda: sum(count_of(title) for title in post.titles()) >= 30)
        await until("all are told", lambda: sum(count_of(title) for title in post.titles()) >= 60)
    assert sum(count_of(title) for title in post.titles()) == 60
    assert (await env.client.get_workflow_handle("alerts-demo").describe()).run_id != first
    assert (await state_of(env.client.get_workflow_handle("alerts-demo"))).alerts == 60


def count_of(title: str) -> int:
    """`[demo] 17 orders are held …`"""
    return int(title.split()[1])


async def test_while_targets_cannot_be_read_alerts_are_kept_and_runs_stay_short(
    env: WorkflowEnvironment, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server takes a limited number of signals in a run: waiting for a file must not use them up."""
    monkeypatch.setattr("workflows.alerts.SIGNALS_PER_RUN", 10)
    monkeypatch.setattr(retry, "ALERT_DELIVERY_WITH_WAIT", timedelta(seconds=2))
    post.unreadable = True
    handle = await raise_all(env, *(hold(number) for number in range(12)))
    first = (await handle.describe()).run_id
    await env.fast_forward(handle, timedelta(seconds=45))
    latest = env.client.get_workflow_handle("alerts-demo")
    runs: set[str] = set()

    async def next_run() -> bool:
        runs.add((await latest.describe()).run_id)
        return len(runs | {first}) > 1

    for _ in range(100):
        if await next_run():
            break
        await asyncio.sleep(0.05)
    assert await next_run(), "still the first run"
    assert post.titles() == []
    assert (await state_of(latest)).alerts == 12
    post.unreadable = False
    await raise_all(env, hold(99))
    await env.fast_forward(latest, timedelta(minutes=2))
    await until("all are told", lambda: sum(count_of(title) for title in post.titles()) >= 13)
    assert sum(count_of(title) for title in post.titles()) == 13


async def test_messages_go_to_the_targets_of_their_severity(env: WorkflowEnvironment, post: Post) -> None:
    post.targets = [
        Target(key="pager", name="high 1 (pagerduty)", severities=[AlertSeverity.HIGH]),
        Target(key="chat", name="warning 1 (slack)", severities=[AlertSeverity.WARNING, AlertSeverity.INFO]),
    ]
    handle = await raise_all(env, hold(1), ended(2))
    await env.fast_forward(handle, timedelta(seconds=61))
    await until("both came", lambda: bool(post.titles("pager") and post.titles("chat")))
    assert post.titles("pager") == ["[demo] 1 order ended without being completed"]
    assert post.titles("chat") == ["[demo] 1 order is held: out_of_stock"]
