"""Starting real processes for tests, on free ports, and waiting for conditions with a deadline."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TypeVar

import httpx

from tests.support.http import HTTP

ROOT = Path(__file__).parents[2]
T = TypeVar("T")


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses now, and that no other call of this run is given.

    Below those that the system takes for outgoing connections (Linux: from 32768): between here and the start of a
    process somebody's connection would else come to stand on one. Each process of pytest-xdist has its own.
    """
    found: list[int] = []
    while len(found) < count:
        port = next(PORTS)
        with socket.socket() as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
    return found


def _ports() -> Iterator[int]:
    """The range of this process, again and again from a place of its own."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
    first, size = 12_000 + 2_500 * worker, 2_500
    place = os.getpid() * 7 % size
    for step in count(place):
        yield first + step % size


PORTS = _ports()


def wait_until(what: str, condition: Callable[[], T | None], deadline: float = 60.0) -> T:
    """The first truthy answer of `condition`; fails with `what` at the deadline.

    Asked less and less often: what the whole house must answer ten times a second is what a long wait costs.
    """
    end = time.monotonic() + deadline
    pause = 0.1
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline:g} s: {what} (last answer: {answer!r})")
        time.sleep(pause)
        pause = min(pause * 1.2, 0.5)


@contextmanager
def running(
    arguments: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A Python module as a process of its own; stopped at the end, its output in `log`."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "COLUMNS": "140", **(environment or {})},
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(40)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(10)


def answers(url: str) -> bool:
    """Whether an address answers with success."""
    try:
        return HTTP.get(url, timeout=5).is_success
    except httpx.HTTPError:
        return False


def pid_of(temporal_address: str, *words: str) -> int:
    """The process whose command line holds all the words, of the house at this address (empty: of any).

    One that has just died is waited for: the supervisor starts it again after a pause.
    """
    return wait_until(f"a process {words}", lambda: next(iter(pids_of(temporal_address, *words)), None))


def pids_of(temporal_address: str, *words: str) -> list[int]:
    """All processes whose command lines hold all the words, of the house at this address (empty: of any)."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                command = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
                environment = (folder / "environ").read_bytes().decode(errors="replace")
            except OSError:
                continue
            ours = not temporal_address or f"TEMPORAL_ADDRESS={temporal_address}" in environment
            if ours and all(word in command for word in words):
                found.append(int(folder.name))
    return found
