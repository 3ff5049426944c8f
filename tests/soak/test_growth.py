"""What the soak calls growth, and what its look at a process sees."""

import os
import socket
import threading
from collections.abc import Callable

import pytest
from temporalio.runtime import Runtime, TelemetryConfig

from tests.soak import census
from tests.soak.__main__ import Soak
from tests.soak.census import Sample
from tests.soak.growth import Quantity, at_rest, growth, slope
from tests.soak.load import known_again
from tests.support.processes import wait_until

MINUTES = 60


def over(memory: Callable[[int], float], threads: Callable[[int], int] = lambda _: 20) -> dict[Quantity, str]:
    """Verdicts on a process that was looked at every minute of an hour."""
    samples = [
        (minute * 60.0, {"api": Sample(1, memory(minute), threads(minute), 30, 10, 0.0)}) for minute in range(MINUTES)
    ]
    return {one.quantity: one.met for one in growth(samples, ["api"], judged=True)}


def test_a_level_process_does_not_grow() -> None:
    verdicts = over(lambda _: 150.0)
    assert verdicts.pop(Quantity.RUNTIME_THREADS) == "-"
    assert set(verdicts.values()) == {"yes"}


def test_what_is_filled_while_it_warms_up_is_no_growth() -> None:
    assert over(lambda minute: 100.0 + 100.0 * min(1.0, minute / 10))[Quantity.MEMORY] == "yes"


def test_a_leak_of_a_mebibyte_a_minute_is_found() -> None:
    assert over(lambda minute: 150.0 + minute)[Quantity.MEMORY] == "no"


def test_small_growth_of_a_large_process_is_none() -> None:
    assert over(lambda minute: 1000.0 + minute)[Quantity.MEMORY] == "yes"


def test_a_peak_is_no_growth() -> None:
    assert over(lambda minute: 400.0 if minute in (16, 57) else 150.0)[Quantity.MEMORY] == "yes"


def test_a_thread_every_ten_minutes_is_found() -> None:
    assert over(lambda _: 150.0, lambda minute: 20 + minute // 10)[Quantity.THREADS] == "no"


def test_threads_of_the_runtime_that_do_not_end_are_found() -> None:
    def house(runtime_threads: int) -> dict[str, Sample]:
        return {"api": Sample(1, 150.0, 20, 30, 10, 0.0, runtime_threads)}

    assert [one.met for one in at_rest(house(3), house(2), ["api"])] == ["yes"]
    assert [one.met for one in at_rest(house(3), house(7), ["api"])] == ["no"]


def test_the_slope_does_not_follow_outliers() -> None:
    times = [float(second) for second in range(100)]
    values = [2.0 * second if second % 10 else 10_000.0 for second in range(100)]
    assert slope(times, values) == pytest.approx(2.0, abs=0.2)


@pytest.mark.skipif(not census.PROC.is_dir(), reason="needs /proc")
def test_a_look_sees_a_connection_a_handle_and_a_thread_more() -> None:
    before = census.look(os.getpid())
    ended = threading.Event()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with socket.create_connection(listener.getsockname()), listener.accept()[0]:
            thread = threading.Thread(target=ended.wait)
            thread.start()
            after = census.look(os.getpid())
            ended.set()
            thread.join()
    assert before is not None
    assert after is not None
    assert after.threads - before.threads == 1
    assert after.connections - before.connections == 2
    assert after.handles - before.handles == 3


@pytest.mark.skipif(not census.PROC.is_dir(), reason="needs /proc")
def test_a_look_tells_threads_of_the_runtime_from_others() -> None:
    """A thread gets its name a moment after it began."""
    before = census.look(os.getpid())
    assert before is not None
    runtime = Runtime(telemetry=TelemetryConfig())

    def told_apart() -> bool:
        after = census.look(os.getpid())
        return after is not None and after.threads <= before.threads and after.runtime_threads > before.runtime_threads

    wait_until("the runtime's threads by name", told_apart, deadline=10)
    del runtime


def test_the_auditor_knows_the_orders_that_were_sent() -> None:
    again = known_again(7, 300)
    assert again == known_again(7, 300)
    assert len({order.order_id for order in again}) == 300
    assert not [order for order in again if order.hold]


def soak_of(*pids: int | None) -> Soak:
    """A run whose Sage worker had these process ids before the load, under it, and when nothing was under way."""
    before, load, after = ({} if pid is None else {"sage": Sample(pid, 150.0, 9, 27, 2, 0.0)} for pid in pids)
    return Soak(0, samples=[(0.0, load)], before=before, after=after)


@pytest.mark.parametrize(
    ("pids", "restarts"),
    [((7, 7, 7), []), ((7, None, 7), []), ((7, 8, 8), ["sage"]), ((7, 7, 8), ["sage"]), ((7, 7, None), ["sage"])],
)
def test_a_process_that_died_is_found_whenever_it_did(pids: tuple[int | None, ...], restarts: list[str]) -> None:
    assert soak_of(*pids).restarts == restarts
