"""What goes wrong, and when: a fault plan made from a seed, and the hands that carry it out on a running house.

In: a seed and a length in seconds. Out: the same plan for the same seed: shares of spoilt calls on both sides, and
moments at which a process is killed, Sage's file is locked or away, Sage's clock jumps.
"""

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.e2e.conftest import House
from tests.support.http import HTTP
from tests.support.processes import pid_of

SHARE = 0.012
"""Of all calls, for each kind of fault: together some 15 % of Sage's calls and of Clarity's."""
WIRE: tuple[dict[str, Any], ...] = (
    {"fault": "429", "retry_after": 1},
    {"fault": "429", "retry_after": 1, "as_date": True},
    {"fault": "500"},
    {"fault": "503", "retry_after": 1},
    {"fault": "423"},
    {"fault": "timeout_before_write", "hang_seconds": 0.2},
    {"fault": "timeout_after_write", "hang_seconds": 0.2},
    {"fault": "slow", "seconds": 0.7},
    {"fault": "dropped"},
    {"fault": "html"},
    {"fault": "truncated"},
    {"fault": "token_expired"},
)
VICTIMS: dict[str, Callable[[House], int]] = {
    "Temporal": lambda house: pid_of("", "start-dev", house.temporal_address.rpartition(":")[2]),
    "order and Clarity workers": lambda house: pid_of(house.temporal_address, "workers", "orders"),
    "Sage worker": lambda house: pid_of(house.temporal_address, "workers", "sage"),
    "API": lambda house: pid_of(house.temporal_address, "api"),
    "sandbox": lambda house: pid_of(house.temporal_address, "sandbox"),
}
KILL_EVERY = 7.0
DATABASE_EVERY = 11.0
CLOCK_EVERY = 17.0


@dataclass(frozen=True)
class Blow:
    """One moment: seconds after the start, what (kill, database, clock), and how."""

    at: float
    what: str
    how: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.at:6.1f} s {self.what} {self.how}"


@dataclass
class Plan:
    """Everything that goes wrong in one run."""

    wire: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    blows: list[Blow] = field(default_factory=list)


def plan(seed: int, seconds: float) -> Plan:
    """The plan of a seed for a storm of this length."""
    chance = random.Random(f"storm {seed}")  # noqa: S311 - repeatable, nothing secret
    made = Plan()
    for side in ("sage", "clarity"):
        made.wire[side] = [
            {"route": "*", "share": SHARE, "seed": chance.randrange(2**31), **kind} for kind in WIRE
        ]  # fmt: skip
    names = list(VICTIMS)
    chance.shuffle(names)
    for number, moment in enumerate(_moments(chance, seconds, KILL_EVERY)):
        made.blows.append(Blow(moment, "kill", {"victim": names[number % len(names)]}))
    for moment in _moments(chance, seconds, DATABASE_EVERY):
        fault = chance.choice(("odbc_locked", "file_missing"))
        how = {"route": "ODBC", "fault": fault, "seconds": round(chance.uniform(0.5, 2.5), 1)}
        made.blows.append(Blow(moment, "database", how))
    for moment in _moments(chance, seconds, CLOCK_EVERY):
        made.blows.append(Blow(moment, "clock", {"shift_seconds": chance.choice((-7200, -90, 0, 300, 18000, 86400))}))
    made.blows.sort(key=lambda blow: blow.at)
    return made


def _moments(chance: random.Random, seconds: float, every: float) -> list[float]:
    count = max(1, round(seconds / every))
    return sorted(round(chance.uniform(1.0, max(seconds, 2.0)), 1) for _ in range(count))


class Storm(threading.Thread):
    """Carries out a plan; the wire's faults are put back after the sandbox was killed."""

    def __init__(self, house: House, made: Plan) -> None:
        super().__init__(daemon=True, name="storm")
        self.house = house
        self.plan = made
        self.ended = threading.Event()
        self.done: list[str] = []

    def run(self) -> None:
        """Until the plan is carried out and `ended` is set."""
        began = time.monotonic()
        waiting = list(self.plan.blows)
        while not self.ended.is_set():
            self._keep_the_wire_bad()
            while waiting and time.monotonic() - began >= waiting[0].at:
                self._strike(waiting.pop(0))
            self.ended.wait(0.3)
        for blow in waiting:
            self._say(f"not carried out: {blow}")

    def _keep_the_wire_bad(self) -> None:
        for side, faults in self.plan.wire.items():
            url = self.house.sandbox.sage_url if side == "sage" else self.house.sandbox.clarity_url
            try:
                there = HTTP.get(f"{url}/_control/faults", timeout=5).json()["faults"]
                for fault in faults[len(there) :]:
                    HTTP.post(f"{url}/_control/faults", json=fault, timeout=5).raise_for_status()
            except (httpx.HTTPError, ValueError, KeyError):
                continue

    def _strike(self, blow: Blow) -> None:
        try:
            if blow.what == "kill":
                os.kill(VICTIMS[blow.how["victim"]](self.house), signal.SIGKILL)
            else:
                name = "faults" if blow.what == "database" else "clock"
                HTTP.post(f"{self.house.sandbox.sage_url}/_control/{name}", json=blow.how, timeout=5)
            self._say(str(blow))
        except (AssertionError, OSError, httpx.HTTPError) as error:
            self._say(f"{blow}: it was down ({type(error).__name__})")

    def _say(self, what: str) -> None:
        self.done.append(what)
        print(what, file=sys.stderr, flush=True)

    def calm(self) -> None:
        """End everything; afterwards calls pass, and Sage's clock is right."""
        self.ended.set()
        self.join(30)
        for url in (self.house.sandbox.sage_url, self.house.sandbox.clarity_url):
            there = until_answered(lambda url=url: HTTP.get(f"{url}/_control/faults", timeout=5))  # type: ignore[misc]
            hits = sum(fault["hits"] for fault in there.json()["faults"])
            self._say(f"{url}: {hits} calls spoilt since its process started")
            until_answered(lambda url=url: HTTP.delete(f"{url}/_control/faults", timeout=5))  # type: ignore[misc]
        body = {"shift_seconds": 0}
        until_answered(lambda: HTTP.post(f"{self.house.sandbox.sage_url}/_control/clock", json=body, timeout=5))


def until_answered(call: Callable[[], httpx.Response], deadline: float = 90.0) -> httpx.Response:
    """The answer of a call that must arrive however often a process is killed; an error answer is final."""
    end = time.monotonic() + deadline
    while True:
        try:
            answer = call()
            if answer.status_code < 500:
                return answer
        except httpx.HTTPError:
            if time.monotonic() > end:
                raise
        if time.monotonic() > end:
            raise AssertionError(f"no answer within {deadline:g} s")
        threading.Event().wait(0.3)
