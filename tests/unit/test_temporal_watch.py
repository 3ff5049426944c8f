"""The API's watch on Temporal with a clock that the tests move: when people are told, and what a bad target does."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from api.temporal_watch import WAITING_KEPT, TemporalDown, TemporalWatch, look_at_temporal
from connectors.alerts import AlertTarget, TargetsUnreadable
from mappings.pair import PaceInFile, Pair
from tests.support.processes import wait_until

PAGER = AlertTarget("high 1 (pager)", "k1", ("high",), "pager://p4ger-token")
CHAT = AlertTarget("high 2 (chat)", "k2", ("high", "warning"), "chat://ch4t-token")
MAIL = AlertTarget("warning 1 (mail)", "k3", ("warning",), "mail://m4il-token")


class House:
    """A Temporal that a test takes away, targets that it breaks, and the watch between them."""

    def __init__(self, pair: Pair) -> None:
        quick = pair.pace.model_dump() | {"outage_alert": 60, "outage_reminder": 600, "retry_initial": 0.01}
        slow = quick | {"outage_alert": 900, "outage_reminder": 3600}
        self.pairs = {
            "demo": pair.model_copy(update={"pace": PaceInFile(**quick)}),
            "other": pair.model_copy(update={"name": "other", "pace": PaceInFile(**slow)}),
        }
        self.targets: dict[str, list[AlertTarget]] = {"demo": [PAGER, MAIL], "other": [CHAT, PAGER]}
        self.now = 1000.0
        self.down = False
        self.sent: list[tuple[str, str, str]] = []
        """Target, title, text."""
        self.broken: set[str] = set()
        self.refusals = 0
        self.hangs: dict[str, threading.Event] = {}
        self.watch = TemporalWatch(
            self.pairs, self.answer, self.targets_of, deliver=self.deliver, clock=lambda: self.now
        )

    async def answer(self) -> None:
        if self.down:
            raise TemporalDown("UNAVAILABLE")

    def targets_of(self, pair: str) -> list[AlertTarget]:
        if not self.targets[pair]:
            raise TargetsUnreadable("the file of alert targets cannot be read")
        return self.targets[pair]

    def deliver(self, target: AlertTarget, severity: str, title: str, text: str) -> str:
        assert severity == "high"
        if target.name in self.hangs:
            self.hangs[target.name].wait(60)
        if target.name in self.broken:
            self.refusals += 1
            return "no route to host"
        self.sent.append((target.name, title, text))
        return ""

    async def out_for(self, seconds: int) -> None:
        """Temporal is away, and the watch looks every ten seconds."""
        self.down = True
        await self.looks(seconds)

    async def looks(self, seconds: int) -> None:
        for _ in range(seconds // 10):
            await self.watch.look()
            self.now += 10

    async def back(self) -> None:
        self.down = False
        await self.watch.look()

    def titles(self, target: AlertTarget) -> list[str]:
        return [title for name, title, _ in self.sent if name == target.name]


async def until(condition: Callable[[], bool]) -> None:
    await asyncio.to_thread(wait_until, "people are told", condition, 20)


@pytest.fixture
async def house(pair: Pair) -> AsyncIterator[House]:
    one = House(pair)
    yield one
    for event in one.hangs.values():
        event.set()


async def test_one_alert_at_the_shortest_threshold_and_one_all_clear(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    await house.out_for(60)
    assert house.sent == []
    await house.out_for(300)
    await until(lambda: len(house.sent) == 2)
    await house.back()
    await house.looks(100)
    await until(lambda: len(house.sent) == 4)
    # An address that two pairs name is told once, and for both.
    assert house.titles(PAGER) == [
        "[demo, other] HIGH: Temporal does not answer",
        "[demo, other] Temporal answers again",
    ]
    assert house.titles(CHAT) == ["[other] HIGH: Temporal does not answer", "[other] Temporal answers again"]
    assert house.titles(MAIL) == []
    texts = [text for name, _, text in house.sent if name == PAGER.name]
    assert "503 with Retry-After" in texts[0]
    assert "1 min 0 s" in texts[0]
    assert "UNAVAILABLE" in texts[0]
    assert "It was out for 6 min 0 s" in texts[1]
    logged = [record.getMessage() for record in caplog.records if record.name == "alerts"]
    assert [line.partition(" | ")[0] for line in logged] == [
        "[demo, other] HIGH: Temporal does not answer",
        "[demo, other] Temporal answers again",
    ]
    assert "token" not in caplog.text


async def test_a_short_outage_is_told_to_nobody(house: House) -> None:
    for _ in range(5):
        await house.out_for(50)
        await house.back()
        house.now += 10
    assert house.sent == []


async def test_reminders_come_at_the_shortest_pace_while_it_lasts(house: House) -> None:
    await house.out_for(60 + 2 * 600 + 10)
    await until(lambda: len(house.titles(CHAT)) == 3)
    assert house.titles(CHAT) == [
        "[other] HIGH: Temporal does not answer",
        "[other] HIGH: Temporal still does not answer",
        "[other] HIGH: Temporal still does not answer",
    ]
    await house.back()
    await until(lambda: len(house.titles(CHAT)) == 4)
    await house.out_for(70)
    await until(lambda: len(house.titles(CHAT)) == 5)
    assert house.titles(CHAT)[-1] == "[other] HIGH: Temporal does not answer"


async def test_a_broken_target_gets_everything_later_and_holds_up_nobody(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.broken = {PAGER.name}
    await house.out_for(70)
    await house.back()
    await until(lambda: len(house.titles(CHAT)) == 2)
    await until(lambda: house.refusals >= 3)
    assert house.titles(PAGER) == []
    house.broken = set()
    await until(lambda: len(house.titles(PAGER)) == 2)
    assert "answers again" in house.titles(PAGER)[1]
    assert "p4ger" not in caplog.text


async def test_a_target_that_hangs_has_one_thread_and_a_short_list(house: House) -> None:
    house.hangs[PAGER.name] = threading.Event()
    for _ in range(WAITING_KEPT):
        await house.out_for(70)
        await house.back()
        house.now += 10
    await until(lambda: len(house.titles(CHAT)) == 2 * WAITING_KEPT)
    named = [thread for thread in threading.enumerate() if thread.name == "alert of the watch on Temporal"]
    assert len(named) == 1
    house.hangs.pop(PAGER.name).set()
    await until(lambda: len(house.titles(PAGER)) >= WAITING_KEPT)


async def test_targets_that_cannot_be_read_keep_nobody_else_from_being_told(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.targets["demo"] = []
    await house.out_for(70)
    await until(lambda: len(house.sent) == 2)
    assert "[demo] the outage of Temporal is only logged: the file of alert targets cannot be read" in caplog.text
    assert house.titles(PAGER) == ["[other] HIGH: Temporal does not answer"]


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (RPCError("x", RPCStatusCode.UNAVAILABLE, b""), "UNAVAILABLE"),
        (RPCError("x", RPCStatusCode.NOT_FOUND, b""), "NOT_FOUND"),
        (RuntimeError("Failed client connect"), "no connection"),
        (TimeoutError(), "no answer in time"),
        (RPCError("x", RPCStatusCode.PERMISSION_DENIED, b""), ""),
        (None, ""),
    ],
)
async def test_what_counts_as_no_answer(raised: Exception | None, said: str) -> None:
    class Service:
        async def describe_namespace(self, *_: Any, **__: Any) -> None:
            if raised is not None:
                raise raised

    class Temporal:
        namespace = "default"
        workflow_service = Service()

    client = cast(Client, Temporal())
    if said:
        with pytest.raises(TemporalDown, match=said):
            await look_at_temporal(client)
    else:
        await look_at_temporal(client)
