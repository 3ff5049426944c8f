"""When the gate of a pair and system closes and opens, and what maintenance windows cover."""

import asyncio
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from pydantic import ValidationError
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from activities.errors import translate
from connectors.errors import Ambiguous, NotFound, RecordInUse, Refused, RetryLater, SignedOut, TooManyRequests
from contracts.messages import Alert, AlertKind
from contracts.outages import OutsideSystem
from mappings.maintenance import MaintenanceWindow, in_maintenance
from mappings.pair import Pair
from workers.gate import Gate, GatedQueue, back_in_queue

DOWN = RetryLater("Sage gateway", "POST x", "503 busy")
LOST = Ambiguous("Sage gateway", "POST x", "no complete answer")


def after(*results: BaseException | None) -> Gate:
    gate = Gate(clock=lambda: 0.0)
    for one in results:
        gate.result(one)
    return gate


def test_three_unavailable_in_a_row_close_it() -> None:
    assert not after(DOWN, LOST).closed.is_set()
    gate = after(DOWN, LOST, DOWN)
    assert gate.closed.is_set()
    assert gate.why == str(DOWN)
    gate.result(DOWN)
    assert gate.transitions == {"outage": 1}


@pytest.mark.parametrize(
    "answer",
    [
        None,
        TooManyRequests("Clarity", "x", "429"),
        RecordInUse("Sage gateway", "x", "423"),
        SignedOut("Clarity", "x", "401"),
        NotFound("Clarity", "x", "no", status=404),
        Refused("Clarity", "x", "no", status=422),
    ],
)
def test_any_answer_shows_that_the_system_works(answer: BaseException | None) -> None:
    assert not after(DOWN, DOWN, answer, DOWN, DOWN).closed.is_set()


def test_exceptions_of_ours_say_nothing_of_the_system() -> None:
    assert after(DOWN, DOWN, KeyError("a bug"), DOWN).closed.is_set()
    assert not after(*[KeyError("a bug")] * 9).closed.is_set()


def test_translated_errors_count_as_what_they_were() -> None:
    told = []
    for _ in range(3):
        try:
            raise translate(DOWN, 1) from DOWN
        except ApplicationError as error:
            told.append(error)
    assert after(*told).closed.is_set()


def test_a_failure_that_nobody_repeats_is_looked_into() -> None:
    now = [0.0]
    gate = Gate(clock=lambda: now[0])
    assert not gate.is_doubtful(15)
    gate.result(DOWN)
    assert not gate.is_doubtful(15), "just now"
    now[0] = 15
    assert gate.is_doubtful(15)
    gate.result(DOWN)
    assert not gate.is_doubtful(15), "the probe failed just now"
    now[0] = 30
    assert gate.is_doubtful(15)
    gate.result(LOST)
    assert gate.closed.is_set()
    assert not gate.is_doubtful(15), "closed: it probes alone"
    assert gate.failing_for() == timedelta(seconds=30), "the outage counts from the first failure"
    gate.open()
    gate.result(DOWN)
    now[0] = 60
    assert gate.is_doubtful(15)
    gate.looked_into = True
    assert not gate.is_doubtful(15), "the probe got an answer"
    assert not gate.is_calm(15), "reading works, writing may not"
    gate.result(DOWN)
    gate.result(None)
    now[0] = 90
    assert not gate.is_doubtful(15)
    assert gate.failing_for() == timedelta(0)


def test_it_is_calm_after_an_answer_or_when_nothing_fails_for_a_while() -> None:
    now = [0.0]
    gate = Gate(clock=lambda: now[0])
    for _ in range(3):
        gate.result(DOWN)
    assert not gate.is_calm(15)
    gate.open()
    assert not gate.is_calm(15), "only the probe got an answer"
    gate.result(DOWN)
    now[0] = 31
    assert not gate.is_calm(15), "the last one failed"
    gate.result(None)
    assert gate.is_calm(15)
    gate.open()
    assert not gate.is_calm(15)
    now[0] = 62
    assert gate.is_calm(15), "nobody called: nothing failed"


async def test_refused_credentials_are_told_once_per_reminder_until_they_are_taken(pair: Pair) -> None:
    raised: list[Alert] = []
    down: list[bool] = []

    class Temporal:
        async def start_workflow(self, *_: Any, start_signal_args: list[Alert], **__: Any) -> None:
            if down:
                raise RPCError("no", RPCStatusCode.UNAVAILABLE, b"")
            raised.extend(start_signal_args)

    refused, now = SignedOut("Clarity", "sign in", "the credentials are refused (401)"), [0.0]
    answers: list[Exception | None] = [refused]

    async def probe() -> None:
        if answers[0] is not None:
            raise answers[0]

    def make(_: object) -> Any:
        raise AssertionError("nothing is polled here")

    queue = GatedQueue(cast(Client, Temporal()), pair, OutsideSystem.CLARITY, [], make, probe)
    queue.gate.clock = lambda: now[0]
    assert await queue._answers(), "a refusal is an answer"
    for _ in range(3):
        await queue._tell_signed_out()
        now[0] += 1
    assert [(alert.kind, alert.title) for alert in raised] == [(AlertKind.SIGNED_OUT, "clarity of pair demo")]
    assert "check" not in raised[0].text
    assert "the credentials are refused (401). Clarity is not told" in raised[0].text
    now[0] += pair.pace.outage_reminder
    down.append(True)
    await queue._tell_signed_out()
    down.clear()
    await queue._tell_signed_out()
    assert len(raised) == 1, "what Temporal did not take is not said again at once"
    now[0] += 60
    queue.gate.result(TooManyRequests("Clarity", "x", "429"))
    await queue._tell_signed_out()
    assert len(raised) == 2
    queue.gate.result(None)
    now[0] += 10 * pair.pace.outage_reminder
    await queue._tell_signed_out()
    assert len(raised) == 2
    answers[0] = None
    queue.gate.result(refused)
    assert await queue._answers()
    assert queue.gate.signed_out == ""


async def test_a_process_that_starts_in_a_window_probes_nothing_and_ends_the_count_of_an_outage(pair: Pair) -> None:
    signals: list[str] = []
    down = [True]

    class Temporal:
        def get_workflow_handle(self, _: str) -> "Temporal":
            return self

        async def signal(self, name: str, **_: Any) -> None:
            if down:
                down.clear()
                raise RPCError("no", RPCStatusCode.UNAVAILABLE, b"")
            signals.append(name)
            told.set()

    async def probe() -> None:
        raise AssertionError("nobody calls within a window")

    def make(_: object) -> Any:
        raise AssertionError("nothing is polled within a window")

    always = [MaintenanceWindow(start="00:00", end="12:00"), MaintenanceWindow(start="12:00", end="00:00")]
    told, stop = asyncio.Event(), asyncio.Event()
    queue = GatedQueue(cast(Client, Temporal()), pair, OutsideSystem.SAGE, always, make, probe)
    running = asyncio.create_task(queue.run(stop))
    # Told again when Temporal did not take it.
    await asyncio.wait({running, waiting := asyncio.create_task(told.wait())}, return_when=asyncio.FIRST_COMPLETED)
    assert waiting.done()
    stop.set()
    await running
    assert signals == ["window_began"]
    assert queue.gate.closed.is_set()


def test_windows_cover_hours_of_their_days_and_may_cross_midnight() -> None:
    night = MaintenanceWindow(days=["sat"], start="23:30", end="01:00")
    noon = MaintenanceWindow(start="12:00", end="12:30")
    covered = {
        "2026-11-28T23:29": False,
        "2026-11-28T23:30": True,
        "2026-11-29T00:59": True,
        "2026-11-29T01:00": False,
        "2026-11-28T00:30": False,
        "2026-11-27T23:45": False,
        "2026-11-25T12:15": True,
        "2026-11-25T12:30": False,
    }
    for moment, expected in covered.items():
        assert in_maintenance([night, noon], datetime.fromisoformat(moment)) is expected, moment
    for wrong in ({"start": "25:00", "end": "01:00"}, {"start": "01:00", "end": "01:00"}, {"start": "1", "end": "2"}):
        with pytest.raises(ValidationError):
            MaintenanceWindow.model_validate(wrong)


def test_what_fails_in_an_outage_is_back_in_the_queue_within_two_probe_intervals() -> None:
    """Whatever its own backoff has grown to, and whatever a 503 guessed; a 429's Retry-After is kept."""
    for cause in (DOWN, LOST, RetryLater("Sage gateway", "POST x", "503", timedelta(hours=1))):
        error = translate(cause, 9)
        assert isinstance(error, ApplicationError)
        error.__cause__ = cause
        again = back_in_queue(error, 15, in_outage=True)
        assert isinstance(again, ApplicationError)
        assert again.next_retry_delay is not None
        assert timedelta(seconds=10) <= again.next_retry_delay <= timedelta(seconds=30)
        assert (again.type, again.message, again.category) == (error.type, error.message, error.category)
    patient = TooManyRequests("Clarity", "x", "429", timedelta(hours=1))
    told = translate(patient, 1)
    assert isinstance(told, ApplicationError)
    told.__cause__ = patient
    assert back_in_queue(told, 15, in_outage=True) is told
    bug = KeyError("a bug")
    assert back_in_queue(bug, 15, in_outage=True) is bug


@pytest.mark.parametrize(("told", "is_kept"), [(None, True), (30, True), (31, False)])
def test_a_step_that_fails_alone_waits_as_it_would_but_not_for_a_long_guess(told: float | None, is_kept: bool) -> None:
    error = ApplicationError("503", next_retry_delay=None if told is None else timedelta(seconds=told))
    error.__cause__ = DOWN
    again = back_in_queue(error, 15, in_outage=False)
    assert (again is error) is is_kept


def test_a_failure_is_part_of_an_outage_until_something_is_answered() -> None:
    gate = after(DOWN, DOWN)
    seen = [gate.is_outage]  # A step that fails alone keeps its own growing backoff.
    gate.result(DOWN)
    seen.append(gate.is_outage)
    gate.open()
    seen.append(gate.is_outage)  # Only the probe got an answer.
    gate.result(None)
    seen.append(gate.is_outage)
    assert seen == [False, True, True, False]
