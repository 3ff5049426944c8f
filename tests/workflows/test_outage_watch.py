"""The outage watch: one alert, reminders, one all-clear; nothing for a short one."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from temporalio import activity
from temporalio.client import WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from contracts.messages import Alert, AlertKind
from contracts.outages import OutageStart, OutsideSystem, WaitingOrders
from mappings.pair import Pace
from workflows.outage_watch import OutageWatchWorkflow, in_words

pytestmark = pytest.mark.asyncio(loop_scope="session")

PACE = Pace(outage_alert=600, outage_reminder=3600)


class Watch:
    """A queue of its own, what was told, and how many orders wait."""

    def __init__(self, env: WorkflowEnvironment) -> None:
        self.env = env
        self.queue = f"outages-{uuid4()}"
        self.alerts: list[Alert] = []
        self.waiting = 30

    @activity.defn
    async def raise_alert(self, alert: Alert) -> None:
        self.alerts.append(alert)

    @activity.defn
    async def count_waiting_orders(self, request: WaitingOrders) -> int:
        assert request.pair == "demo"
        if self.waiting < 0:
            raise ApplicationError("visibility is down")
        return self.waiting

    async def start(self, **more: Any) -> WorkflowHandle[Any, float]:
        start = OutageStart(pair="demo", system=OutsideSystem.SAGE, since=datetime.now(UTC), why="503 busy", pace=PACE)
        with self.env.with_time_skipping_disabled():
            return await self.env.client.start_workflow(
                OutageWatchWorkflow.run, start, id=f"outage-{self.queue}", task_queue=self.queue, **more
            )

    @property
    def kinds(self) -> list[AlertKind]:
        return [alert.kind for alert in self.alerts]

    async def until(self, condition: Callable[[], bool]) -> None:
        for _ in range(300):
            if condition():
                return
            await asyncio.sleep(0.05)
        raise AssertionError(self.kinds)


@pytest_asyncio.fixture(loop_scope="session")
async def watch(env: WorkflowEnvironment) -> AsyncIterator[Watch]:
    one = Watch(env)
    activities: list[Callable[..., Any]] = [one.raise_alert, one.count_waiting_orders]
    async with Worker(env.client, task_queue=one.queue, workflows=[OutageWatchWorkflow], activities=activities):
        yield one


async def test_a_short_outage_is_told_to_nobody(watch: Watch, env: WorkflowEnvironment) -> None:
    handle = await watch.start()
    await env.fast_forward(handle, timedelta(seconds=590))
    await handle.signal("recovered")
    assert await handle.result() >= 590
    assert watch.alerts == []


async def test_one_alert_reminders_and_one_all_clear_with_the_length(watch: Watch, env: WorkflowEnvironment) -> None:
    handle = await watch.start()
    await env.fast_forward(handle, timedelta(seconds=610))
    await watch.until(lambda: watch.kinds == [AlertKind.OUTAGE])
    first = watch.alerts[0]
    assert first.title == "HIGH: sage of pair demo does not answer"
    assert "30 order(s) wait" in first.text
    assert "503 busy" in first.text
    assert "no sales order or customer is created" in first.text
    # Every failed probe of every process starts it again: that changes nothing.
    again = await watch.start(id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING)
    assert again.result_run_id == handle.result_run_id
    watch.waiting = 1000
    await env.fast_forward(handle, timedelta(seconds=3700))
    await watch.until(lambda: watch.kinds == [AlertKind.OUTAGE, AlertKind.OUTAGE_REMINDER])
    assert "1000 order(s) wait" in watch.alerts[1].text
    for _ in range(3):
        await handle.signal("recovered")
    await handle.result()
    assert watch.kinds == [AlertKind.OUTAGE, AlertKind.OUTAGE_REMINDER, AlertKind.ALL_CLEAR]
    assert watch.alerts[-1].text.startswith("It was out for 1 h 1")


async def test_the_alerts_of_one_outage_are_no_repeats_of_those_of_another(
    watch: Watch, env: WorkflowEnvironment
) -> None:
    """Two outages may last equally long: the second all-clear is news."""
    for _ in range(2):
        handle = await watch.start()
        await env.fast_forward(handle, timedelta(seconds=610))
        await watch.until(lambda: watch.kinds[-1:] == [AlertKind.OUTAGE])
        await handle.signal("recovered")
        await handle.result()
    clear = [alert for alert in watch.alerts if alert.kind is AlertKind.ALL_CLEAR]
    assert len({alert.model_copy(update={"text": "It was out for 12 min 3 s."}).key for alert in clear}) == 2


async def test_an_outage_is_told_though_nobody_can_count_the_orders(watch: Watch, env: WorkflowEnvironment) -> None:
    watch.waiting = -1
    handle = await watch.start()
    await env.fast_forward(handle, timedelta(minutes=15))
    await watch.until(lambda: watch.kinds == [AlertKind.OUTAGE])
    assert "An unknown number of orders wait" in watch.alerts[0].text
    await handle.signal("recovered")
    await handle.result()


async def test_a_recovery_that_comes_before_the_watch_runs_counts(watch: Watch) -> None:
    handle = await watch.start(start_signal="recovered")
    assert await handle.result() < 600
    assert watch.alerts == []


async def test_a_maintenance_window_ends_the_watch(watch: Watch, env: WorkflowEnvironment) -> None:
    handle = await watch.start()
    await env.fast_forward(handle, timedelta(seconds=590))
    await handle.signal("window_began")
    await handle.result()
    assert watch.alerts == []
    handle = await watch.start()
    await env.fast_forward(handle, timedelta(seconds=610))
    await watch.until(lambda: watch.kinds == [AlertKind.OUTAGE])
    await handle.signal("window_began")
    await handle.signal("recovered")
    await handle.result()
    assert watch.kinds == [AlertKind.OUTAGE, AlertKind.ALL_CLEAR]
    assert watch.alerts[-1].title == "sage of pair demo is in its maintenance window"


async def test_two_ways_into_one_system_are_one_outage(watch: Watch, env: WorkflowEnvironment) -> None:
    handle = await watch.start(start_signal="out", start_signal_args=[OutsideSystem.SAGE])
    await handle.signal("out", OutsideSystem.ODBC)
    await handle.signal("out", "no such system")
    await env.fast_forward(handle, timedelta(seconds=610))
    await watch.until(lambda: watch.kinds == [AlertKind.OUTAGE])
    assert watch.alerts[0].title == "HIGH: sage and odbc of pair demo do not answer"
    await handle.signal("recovered", OutsideSystem.SAGE)
    await env.fast_forward(handle, timedelta(seconds=3700))
    await watch.until(lambda: watch.kinds == [AlertKind.OUTAGE, AlertKind.OUTAGE_REMINDER])
    await handle.signal("recovered", OutsideSystem.ODBC)
    await handle.result()
    assert watch.kinds == [AlertKind.OUTAGE, AlertKind.OUTAGE_REMINDER, AlertKind.ALL_CLEAR]
    assert watch.alerts[-1].title == "sage and odbc of pair demo answer again"


async def test_lengths_in_words() -> None:
    lengths = {40: "40 s", 125: "2 min 5 s", 7505: "2 h 5 min"}
    assert {seconds: in_words(timedelta(seconds=seconds)) for seconds in lengths} == lengths
