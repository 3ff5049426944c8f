"""Child processes that are restarted when they die, and stopped in order.

In: commands. Out: running processes with their output in log files.
"""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from workers.settings import SettingsError

RESTART_PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0)
STABLE_SECONDS = 30.0
STOP_SECONDS = 12.0


@dataclass
class Child:
    """One process of the demo."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    restarts: int = 0
    quick_deaths: int = 0

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None


class Supervisor:
    """Starts children in order, restarts the dead, stops all in reverse order."""

    def __init__(self, log_folder: Path) -> None:
        self.log_folder = log_folder
        self.children: list[Child] = []
        self.stopping = False
        log_folder.mkdir(parents=True, exist_ok=True)

    def start(self, child: Child) -> None:
        """Start a child; it is watched from now on."""
        self.children.append(child)
        self._spawn(child)

    def log_of(self, child: Child) -> Path:
        """Where its output goes."""
        return self.log_folder / f"{child.name}.log"

    def _spawn(self, child: Child) -> None:
        with self.log_of(child).open("ab") as log:
            child.process = subprocess.Popen(  # noqa: S603 - our own commands
                child.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **child.environment},
                # Ctrl-C is for the supervisor, which stops the children in order.
                start_new_session=True,
            )
        child.started = time.monotonic()

    async def watch(self) -> None:
        """Restart what dies, with growing pauses for what dies at once."""
        while True:
            await asyncio.sleep(0.2)
            for child in self.children:
                if child.alive or self.stopping:
                    continue
                lived = time.monotonic() - child.started
                child.quick_deaths = 0 if lived > STABLE_SECONDS else child.quick_deaths + 1
                await asyncio.sleep(RESTART_PAUSES[min(child.quick_deaths, len(RESTART_PAUSES)) - 1])
                if not self.stopping:
                    child.restarts += 1
                    self._spawn(child)

    async def stop(self) -> None:
        """Stop everything, the last started first; what does not listen is killed."""
        self.stopping = True
        for child in reversed(self.children):
            process = child.process
            if process is None or not child.alive:
                continue
            process.terminate()
            try:
                await asyncio.to_thread(process.wait, STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    await asyncio.to_thread(process.wait, STOP_SECONDS)


def python(*arguments: str) -> list[str]:
    """A command with this interpreter."""
    return [sys.executable, "-m", *arguments]


def check_ports(ports: Mapping[str, int]) -> None:
    """Raise SettingsError that names the first port that something else uses."""
    for name, port in ports.items():
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                flag = f"--{name.replace('_', '-')}"
                raise SettingsError(
                    f"port {port} is taken (another run, or another program). "
                    f'Stop it, or choose another port: make run ARGS="{flag} {port + 1000}"'
                ) from None
