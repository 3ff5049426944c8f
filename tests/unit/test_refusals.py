"""Refused webhooks: counted, told once an hour, and never waited for."""

import asyncio
from typing import Any, cast

import pytest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from api.refusals import AGAIN_AFTER_SECONDS, TOLD_EVERY_SECONDS, Refusal, Refusals
from contracts.messages import Alert, AlertKind
from mappings.pair import Pair


class Temporal:
    """Takes alerts, unless it is `down`; waits for `slow` before."""

    def __init__(self) -> None:
        self.alerts: list[Alert] = []
        self.down = False
        self.asked = 0
        self.slow = asyncio.Event()
        self.slow.set()

    async def start_workflow(self, *_: Any, start_signal_args: list[Alert], **__: Any) -> None:
        self.asked += 1
        await self.slow.wait()
        if self.down:
            raise RPCError("no", RPCStatusCode.UNAVAILABLE, b"")
        self.alerts += start_signal_args


class Door:
    """Refusals on a clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.temporal = Temporal()
        self.refusals = Refusals(cast(Client, self.temporal), clock=lambda: self.now)

    async def refuse(self, pair: Pair, times: int = 1, what: Refusal = Refusal.TOO_LARGE) -> None:
        for _ in range(times):
            self.refusals.count(pair, what)
            for _ in range(5):
                await asyncio.sleep(0)

    def texts(self) -> list[str]:
        return [alert.text.partition(" refused")[0] for alert in self.temporal.alerts]


async def test_a_flood_is_one_alert_an_hour_that_says_how_many(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    door = Door()
    await door.refuse(pair, 1_000)
    assert door.texts() == ["1"]
    door.now += TOLD_EVERY_SECONDS
    await door.refuse(pair, 1_000)
    assert door.texts() == ["1", "1000"]
    assert {alert.kind for alert in door.temporal.alerts} == {AlertKind.WEBHOOK_REFUSED}
    assert len({alert.key for alert in door.temporal.alerts}) == 2
    assert len([record for record in caplog.records if record.name == "alerts"]) == 2


async def test_pairs_and_kinds_have_an_hour_of_their_own(pair: Pair) -> None:
    door = Door()
    other = pair.model_copy(update={"name": "other"})
    for what in Refusal:
        for one in (pair, other):
            await door.refuse(one, 3, what)
    assert sorted(alert.pair for alert in door.temporal.alerts) == ["demo", "demo", "other", "other"]


async def test_what_temporal_does_not_take_is_told_later_with_all_of_it(pair: Pair) -> None:
    door = Door()
    door.temporal.down = True
    await door.refuse(pair, 500)
    assert door.temporal.asked == 1
    door.temporal.down = False
    door.now += AGAIN_AFTER_SECONDS
    await door.refuse(pair)
    assert door.texts() == ["501"]


async def test_a_slow_temporal_has_one_call_under_way_however_many_are_refused(pair: Pair) -> None:
    door = Door()
    door.temporal.slow.clear()
    await door.refuse(pair, 500)
    door.now += 2 * TOLD_EVERY_SECONDS
    await door.refuse(pair, 500)
    assert door.temporal.asked == 1
    door.temporal.slow.set()
    await door.refuse(pair)
    assert door.texts() == ["1"]
