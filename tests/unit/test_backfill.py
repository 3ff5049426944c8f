"""Backfill's own rules: a list that moves while it is read, ranges, exact numbers, and who starts only with force."""

import argparse
import asyncio
import copy
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import ActivityEnvironment

import activities.backfill as module
from activities.backfill import BackfillActivities
from activities.intake import IntakeResult
from api.payload import parse_payload
from connectors.clarity.client import OrderPage
from connectors.errors import RetryLater
from contracts.messages import Alert, AlertKind, BackfillRequest, BackfillResult, BackfillStart
from mappings.intake import payload_digest, reason_not_to_start_anew
from mappings.pair import Pace, load_pair
from mappings.plain_json import plain
from tests.support.processes import ROOT
from workers.backfill import instant, start_of
from workers.settings import SettingsError

PAIR = load_pair(ROOT / "mappings/pairs/demo.yaml")
NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's own moment: collecting a large suite may be minutes ago."""
    monkeypatch.setattr(sys.modules[__name__], "NOW", datetime.now(UTC))


PACE = Pace(backfill_overlap=900, webhook_grace=300)


def order(id_: str, minutes_ago: float = 60, **fields: Any) -> dict[str, Any]:
    stamp = (NOW - timedelta(minutes=minutes_ago)).isoformat()
    return {"id": id_, "status": "Pending", "createdDate": stamp, "updatedDate": stamp, **fields}


class Store:
    """A store's list, two entries a page; `between` happens before each page but the first."""

    page_size = 2

    def __init__(self, *orders: dict[str, Any], between: Callable[["Store"], None] = lambda _: None) -> None:
        self.orders = list(orders)
        self.between = between
        self.asked: list[tuple[datetime, int]] = []
        self.fail_at: set[int] = set()
        self.hidden = 0
        """Orders that are counted and never shown."""

    async def list_orders(self, since: datetime, page: int = 0) -> OrderPage:
        if self.asked:
            self.between(self)
        self.asked.append((since, page))
        if len(self.asked) in self.fail_at:
            raise RetryLater("Clarity", "GET orders", "429")
        entries = self.orders[page * 2 : page * 2 + 2]
        return OrderPage(items=copy.deepcopy(entries), totalCount=len(self.orders) + self.hidden)


class Temporal:
    """Takes signals of progress, and alerts unless it is `mute`."""

    def __init__(self) -> None:
        self.alerts: list[Alert] = []
        self.mute = False

    async def start_workflow(self, name: str, *_: Any, start_signal_args: list[Alert], **__: Any) -> None:
        assert name == "AlertWorkflow"
        if self.mute:
            raise RPCError("no", RPCStatusCode.RESOURCE_EXHAUSTED, b"")
        self.alerts += start_signal_args

    def get_workflow_handle(self, *_: Any, **__: Any) -> "Temporal":
        return self

    async def signal(self, name: str, *_: Any, **__: Any) -> None:
        assert name == "progressed"


class Intake:
    """Stands in for the intake: every order is new once."""

    taken: list[str] = []

    def __init__(self, *_: Any) -> None: ...

    async def take(self, payload: dict[str, Any], _: str, **__: Any) -> tuple[IntakeResult, str]:
        id_ = payload["data"]["id"]
        self.taken.append(id_)
        return (IntakeResult.DUPLICATE if self.taken.count(id_) > 1 else IntakeResult.STARTED), ""


@pytest.fixture(autouse=True)
def _intake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Intake", Intake)
    Intake.taken = []


async def run(store: Store, home: BackfillActivities | None = None, **start: Any) -> BackfillResult:
    home = home or BackfillActivities(PAIR, {}, store, Temporal())  # type: ignore[arg-type]
    request = BackfillRequest(
        start=BackfillStart(pair="demo", pace=PACE, **start), since=NOW - timedelta(hours=2), now=NOW
    )
    result: BackfillResult = await environment_at(NOW).run(home.backfill_orders, request)
    return result


def environment_at(moment: datetime) -> ActivityEnvironment:
    """The server hands the activity out at this moment."""
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, started_time=moment)
    return environment


def move_first_to_the_end(store: Store) -> None:
    if store.orders[0].get("status") == "Pending":
        store.orders.append({**store.orders.pop(0), "status": "Processing"})


async def test_an_order_that_moved_up_a_page_while_the_list_was_read_is_not_missed() -> None:
    store = Store(*(order(str(number)) for number in range(1, 8)), between=move_first_to_the_end)
    result = await run(store, since=NOW - timedelta(hours=2))
    assert set(Intake.taken) == {str(number) for number in range(1, 8)}
    assert result.complete
    assert result.tally.started == result.tally.gaps == 7
    assert result.tally.rounds > 1


async def test_when_not_all_that_is_listed_was_seen_the_next_window_begins_as_early() -> None:
    store = Store(order("1"), order("2"), order("3"))
    store.hidden = 1
    result = await run(store)
    assert not result.complete
    assert result.next_since == NOW - timedelta(hours=2)
    assert Intake.taken == ["1", "2", "3"]


async def test_the_next_window_begins_before_this_one_ended() -> None:
    result = await run(Store(order("1")))
    assert result.next_since == NOW - timedelta(seconds=1200)


@pytest.mark.parametrize("wrong", [timedelta(hours=-3), timedelta(hours=3)])
async def test_a_wrong_clock_of_this_machine_makes_no_change_too_young_or_too_old(
    monkeypatch: pytest.MonkeyPatch, wrong: timedelta
) -> None:
    class WrongClock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + wrong

    monkeypatch.setattr(module, "datetime", WrongClock)
    result = await run(Store(order("old", minutes_ago=10), order("young", minutes_ago=1)))
    assert Intake.taken == ["old"]
    assert (result.tally.gaps, result.tally.young) == (1, 1)


async def test_a_run_of_a_week_tells_its_progress_some_hundred_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server takes 10,000 signals in a run, and each is some events of its history."""
    clock = [0.0]
    monkeypatch.setattr(module, "monotonic", lambda: clock[0])
    told = 0

    class Counting(Temporal):
        async def signal(self, name: str, *_: Any, **__: Any) -> None:
            nonlocal told
            told += 1

    class Slow(Store):
        """A page takes a minute."""

        async def list_orders(self, since: datetime, page: int = 0) -> OrderPage:
            clock[0] += 60
            return OrderPage(items=[{}, {}] if page < 7 * 24 * 60 else [], totalCount=0)

    home = BackfillActivities(PAIR, {}, Slow(), Counting())  # type: ignore[arg-type]
    monkeypatch.setattr(module._Run, "take", lambda *_: asyncio.sleep(0))
    await run(Slow(), home)
    assert 100 < told < 1_000


async def test_runs_that_went_on_elsewhere_are_forgotten() -> None:
    home = BackfillActivities(PAIR, {}, Store(), Temporal())  # type: ignore[arg-type]
    for number in range(100):
        home.seen_by(f"run-{number}")["1"] = "version"
    assert len(home._seen) <= module.RUNS_KEPT
    assert home.seen_by("run-99") == {"1": "version"}


async def test_without_a_memory_it_looks_back_some_days() -> None:
    store = Store()
    home = BackfillActivities(PAIR, {}, store, Temporal())  # type: ignore[arg-type]
    request = BackfillRequest(start=BackfillStart(pair="demo", pace=PACE), since=None, now=NOW)
    await environment_at(NOW).run(home.backfill_orders, request)
    assert store.asked[0][0] == NOW - timedelta(days=7)


async def test_a_change_whose_webhook_may_only_be_late_is_left_to_it_and_is_in_the_next_window() -> None:
    late = order("late", minutes_ago=1)
    result = await run(Store(order("1"), late))
    assert Intake.taken == ["1"]
    assert result.tally.young == 1
    assert result.next_since < datetime.fromisoformat(late["updatedDate"])


async def test_by_hand_a_young_order_is_taken_in_and_is_no_gap() -> None:
    result = await run(Store(order("late", minutes_ago=1)), since=NOW - timedelta(hours=1))
    assert (result.tally.started, result.tally.gaps) == (1, 0)


async def test_an_attempt_that_was_told_to_wait_goes_on_without_taking_anything_in_twice() -> None:
    store = Store(*(order(str(number)) for number in range(1, 6)))
    store.fail_at = {2}
    home = BackfillActivities(PAIR, {}, store, Temporal())  # type: ignore[arg-type]
    with pytest.raises(RetryLater):
        await run(store, home)
    result = await run(store, home)
    assert Intake.taken == ["1", "2", "3", "4", "5"]
    assert result.complete


async def test_of_a_range_only_what_was_created_or_changed_in_it_is_taken_in() -> None:
    changed_since = order("b", minutes_ago=1, createdDate=(NOW - timedelta(minutes=90)).isoformat())
    store = Store(order("a", minutes_ago=90), changed_since, order("c", minutes_ago=10))
    result = await run(store, since=NOW - timedelta(hours=2), until=NOW - timedelta(hours=1))
    assert Intake.taken == ["a", "b"]
    assert result.tally.outside == 1


@pytest.mark.parametrize("mute", [False, True])
async def test_an_order_that_cannot_be_taken_in_is_told_and_stops_nothing(
    mute: bool, caplog: pytest.LogCaptureFixture
) -> None:
    store, temporal = Store(order("big", notes="x" * 1024 * 1024), order("2")), Temporal()
    temporal.mute = mute
    for _ in range(2):
        result = await run(store, BackfillActivities(PAIR, {}, store, temporal))  # type: ignore[arg-type]
        assert (result.tally.refused, result.tally.refused_ids) == (1, ["big"])
    assert set(Intake.taken) == {"2"}
    assert "Order big | it is larger than 1 MB; enter it by hand" in caplog.text
    # Windows overlap and say it again; `AlertWorkflow` knows it by its key.
    assert len({alert.key for alert in temporal.alerts}) == (0 if mute else 1)
    assert {alert.kind for alert in temporal.alerts} <= {AlertKind.ORDER_REFUSED}


# ---- numbers, versions ----------------------------------------------------------------------------------------------


def test_a_list_and_a_webhook_with_the_same_numbers_have_the_same_digest() -> None:
    text = '{"data": {"id": 7, "a": 10.50, "b": 0.1, "c": 3, "d": 123456789012345678901.5, "e": 12345678901234567890}}'
    webhook = parse_payload(text.encode())
    listed = {
        "data": plain(
            {"id": 7, "a": Decimal("10.50"), "b": Decimal("0.1"), "c": 3,
             "d": Decimal("123456789012345678901.5"), "e": 12345678901234567890}
        )
    }  # fmt: skip
    assert listed == webhook
    assert payload_digest(listed) == payload_digest(webhook)


def test_the_cross_reference_that_we_write_makes_no_new_version() -> None:
    before = {"data": {"id": "1", "customer": {"id": "5", "email": "a@example.com"}}}
    after = copy.deepcopy(before)
    after["data"]["customer"]["externalReference"] = "02-W000101"  # type: ignore[index]
    assert payload_digest(before) == payload_digest(after)


# ---- retention (rules 4) --------------------------------------------------------------------------------------------

DAYS_90 = timedelta(days=90)


@pytest.mark.parametrize(
    ("fields", "age", "retention", "may_start"),
    [
        ({}, 1, DAYS_90, True),
        ({}, 82, DAYS_90, True),
        ({}, 84, DAYS_90, False),
        ({"externalReference": "0001001"}, 1, DAYS_90, False),
        ({"externalReference": ""}, 1, DAYS_90, True),
        ({}, 84, None, True),
        ({}, 84, timedelta(days=1), True),
        ({"createdDate": "never"}, 1, DAYS_90, True),
    ],
)
def test_an_order_that_may_have_been_forgotten_needs_force(
    fields: dict[str, Any], age: int, retention: timedelta | None, may_start: bool
) -> None:
    payload = {"data": order("1", minutes_ago=age * 1440, **fields)}
    assert (reason_not_to_start_anew(payload, NOW, retention) == "") is may_start


# ---- the command ----------------------------------------------------------------------------------------------------


def options(**given: Any) -> argparse.Namespace:
    return argparse.Namespace(**{"since": None, "until": None, "ids": [], "force": False, "reason": "", **given})


def test_days_are_the_company_s_and_the_last_one_is_included() -> None:
    start = start_of(options(since="2026-11-20", until="2026-11-20"), PAIR)
    assert start.since == datetime(2026, 11, 20, 6, tzinfo=UTC)
    assert start.until == datetime(2026, 11, 21, 6, tzinfo=UTC)
    assert instant("--from", "2026-11-20T10:00:00Z", PAIR) == datetime(2026, 11, 20, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({}, "--from"),
        ({"since": "2026-11-20", "ids": ["1"]}, "--from"),
        ({"until": "2026-11-20", "ids": ["1"]}, "--to"),
        ({"since": "yesterday"}, "--from"),
        ({"since": "2026-11-20", "until": "2026-11-01"}, "--to"),
        ({"ids": ["no id"]}, "--ids"),
        ({"ids": ["1"], "force": True}, "--reason"),
        ({"since": "2026-11-20", "force": True, "reason": "x"}, "--force"),
    ],
)
def test_what_makes_no_sense_is_told_by_its_flag(given: dict[str, Any], names: str) -> None:
    with pytest.raises(SettingsError, match=names):
        start_of(options(**given), PAIR)
