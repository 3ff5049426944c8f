"""What the processes of a house hold: memory, threads, file handles, connections, processor seconds. Reads /proc.

In: the house's Temporal address. Out: `Sample` by name of the process. Linux only, as /proc is.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICK = os.sysconf("SC_CLK_TCK")
LISTEN = "0A"

OURS: Mapping[str, Sequence[str]] = {
    "api": ("api",),
    "orders": ("workers", "--role", "orders"),
    "sage": ("workers", "--role", "sage"),
}
"""Our processes by a name for figures, and words of their command lines. `orders` also has the role clarity."""
OTHERS: Mapping[str, Sequence[str]] = {
    "temporal": ("server", "start-dev"),
    "sandbox": ("sandbox",),
    "supervisor": ("demo",),
}
"""Not ours to judge: for information."""

RUNTIME_THREAD = "tokio-rt-worker"
"""Name of every thread of the Temporal SDK's runtime, of its pool for blocking calls, too (Tokio's default)."""


@dataclass(frozen=True)
class Sample:
    """One process at one moment."""

    pid: int
    memory: float
    """Resident, MiB."""
    threads: int
    """Without those of the SDK's runtime."""
    handles: int
    """Open file descriptors, connections included."""
    connections: int
    """TCP sockets that do not listen."""
    cpu: float
    """Seconds of processor time since the process began."""
    runtime_threads: int = 0
    """Of the SDK's runtime. Each answer to Python takes one until Python has time for it; they end after 10 s without
    work, and as the pool gives each its turn, none is without work under load (pyo3-async-runtimes, tokio.rs; Tokio,
    runtime/blocking/pool.rs)."""


def pids(temporal_address: str) -> dict[str, int]:
    """The house's processes by name; one that is just down is missing. Raises OSError where there is no /proc."""
    port = temporal_address.rpartition(":")[2]
    marks = {"temporal": port, "supervisor": port}
    found: dict[str, int] = {}
    for folder in PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            command = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            inside = f"TEMPORAL_ADDRESS={temporal_address}\0".encode() in (folder / "environ").read_bytes()
        except OSError:
            continue
        for name, words in {**OURS, **OTHERS}.items():
            if all(word in command for word in words) and (marks[name] in command if name in marks else inside):
                found[name] = int(folder.name)
    return found


def look(pid: int) -> Sample | None:
    """One process; None when it has just ended."""
    folder = PROC / str(pid)
    try:
        status = dict(
            line.split(":", 1) for line in (folder / "status").read_text(encoding="utf-8").splitlines() if ":" in line
        )
        fields = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        threads = list(_thread_names(folder / "task"))
        handles = list(_targets(folder / "fd"))
        open_sockets = _connected(folder / "net")
    except (OSError, ValueError):
        return None
    return Sample(
        pid=pid,
        memory=int(status["VmRSS"].split()[0]) / 1024,
        threads=len(threads) - threads.count(RUNTIME_THREAD),
        handles=len(handles),
        connections=sum(handle in open_sockets for handle in handles),
        cpu=(int(fields[11]) + int(fields[12])) / TICK,
        runtime_threads=threads.count(RUNTIME_THREAD),
    )


def take(temporal_address: str) -> dict[str, Sample]:
    """Every process of the house, and this one as `harness`."""
    processes = {**pids(temporal_address), "harness": os.getpid()}
    return {name: sample for name, pid in processes.items() if (sample := look(pid)) is not None}


def _thread_names(folder: Path) -> Iterator[str]:
    for thread in folder.iterdir():
        with contextlib.suppress(OSError):  # it has just ended
            yield (thread / "comm").read_text(encoding="utf-8", errors="replace").strip()


def _targets(folder: Path) -> list[str]:
    found = []
    for handle in folder.iterdir():
        with contextlib.suppress(OSError):
            found.append(str(handle.readlink()))
    return found


def _connected(folder: Path) -> set[str]:
    """Links of all TCP sockets of the machine that do not listen."""
    links = set()
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(FileNotFoundError):
            for line in (folder / name).read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                if fields[3] != LISTEN:
                    links.add(f"socket:[{fields[9]}]")
    return links
