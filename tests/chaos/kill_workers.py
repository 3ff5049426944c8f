"""`make chaos-workers MINUTES=3 SEED=1`: two workers of each role, one killed every few seconds under load.

Orders as fast as they go, with a bounded number under way; `kill -9` of a worker process drawn by the seed, whether the
other one of its role is up or not; the supervisor starts it again. Then what is under way ends, and the auditor judges.
The last line on standard output is its verdict, the one before says how fast it went. Exit status 1 when anything is
lost, doubled, wrong or silent. `--calm` kills nobody: what the pair does on a good day.
"""

import argparse
import asyncio
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from temporalio.client import Client

from tests.chaos.__main__ import PACE, say
from tests.chaos.auditor import Report
from tests.e2e.conftest import House, pairs_with_pace, running_house
from tests.soak.load import Load, fill_the_shelves, judge
from tests.support.processes import pids_of

ROLES = ("orders", "sage")
"""`orders` also has the role clarity."""
BETWEEN = (3.0, 8.0)
"""Seconds between two kills. A worker needs some to be up again: one of a role is often alone, and at times both are
down."""
DRAIN_SECONDS = 300.0


@dataclass(eq=False)
class Killer(threading.Thread):
    """Kills workers until it is told to stop."""

    house: House
    seed: int
    ended: threading.Event = field(default_factory=threading.Event)
    killed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(daemon=True, name="killer")

    def run(self) -> None:
        """One after the other."""
        chance = random.Random(f"workers {self.seed}")  # noqa: S311 - repeatable, nothing secret
        began = time.monotonic()
        while not self.ended.wait(chance.uniform(*BETWEEN)):
            role, place = chance.choice(ROLES), chance.randrange(2)
            up = sorted(pids_of(self.house.temporal_address, "workers", "--role", role))
            if not up:
                say(f"{time.monotonic() - began:6.1f} s no {role} worker is up")
                continue
            os.kill(up[place % len(up)], signal.SIGKILL)
            self.killed.append(role)
            say(f"{time.monotonic() - began:6.1f} s killed a worker of {role}; {len(up) - 1} left")

    def stop(self) -> None:
        """No more."""
        self.ended.set()
        self.join(30)


@dataclass
class Outcome:
    """What a run came to."""

    sent: int
    done: int
    """Orders that were complete when the last one was sent."""
    seconds: float
    killed: int
    drained: bool
    report: Report

    @property
    def good(self) -> bool:
        """Whether everything arrived, once and right."""
        return self.drained and self.report.clean

    def line(self) -> str:
        """How fast it went."""
        rate = self.done / max(self.seconds, 1.0)
        return (
            f"THROUGHPUT orders_per_second={rate:.3g} complete={self.done} sent={self.sent} seconds={self.seconds:.0f} "
            f"killed={self.killed}"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.kill_workers", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--at-once", type=int, default=60, help="orders under way at most")
    parser.add_argument("--seed", type=int, default=None, help="the same seed, the same orders and victims")
    parser.add_argument("--calm", action="store_true", help="kill nobody")
    options = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    folder = Path(tempfile.mkdtemp(prefix=f"chaos-workers-{seed}-"))
    say(f"seed {seed}, {options.minutes:g} minutes, state and logs in {folder}")
    outcome = run(folder, seed, options.minutes * 60, options.at_once, calm=options.calm)
    for finding in outcome.report.findings:
        print(finding)
    if outcome.good:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"state and logs are kept in {folder}")
    print(outcome.line())
    print(outcome.report.line(seed), flush=True)
    return 0 if outcome.good else 1


def run(folder: Path, seed: int, seconds: float, at_once: int, *, calm: bool) -> Outcome:
    """One run in a house of its own."""
    pairs = pairs_with_pace(folder / "pairs", **PACE)
    flags = ("--no-orders", "--ship-after", "1", "--post-after", "1")
    environment = {"PAIRS_DIR": str(pairs)}
    with running_house(folder, *flags, environment=environment, module="tests.chaos.paired_house") as house:
        fill_the_shelves(house)
        killer = Killer(house, seed)
        if not calm:
            killer.start()

        async def under_load() -> tuple[Load, int, bool]:
            load = Load(house, await Client.connect(house.temporal_address), seed, 0, at_once)
            await load.send(seconds)
            done = load.sent - load.running
            if not calm:
                await asyncio.to_thread(killer.stop)
            return load, done, await load.drain(DRAIN_SECONDS, say)

        load, done, drained = asyncio.run(under_load())
        return Outcome(load.sent, done, load.seconds, len(killer.killed), drained, judge(house, seed, load.sent))


if __name__ == "__main__":
    sys.exit(main())
