"""Faults of the database that ODBC readers open: locked, or away for a while.

A process of its own holds SQLite's read locks (the last five bytes of the lock range in the `-shm` file, "WAL-Index
Format" of SQLite's documentation), so that readers of other processes wait and then fail. Linux and macOS only.
"""

import subprocess
import sys
import threading
import time
from pathlib import Path

from sandbox.faults import FaultKind
from sandbox.sage100.company import Company

AWAY = ".away"
LOCK_READERS = """
import fcntl, sys, time
with open(sys.argv[1], "r+b") as shm:
    deadline = time.monotonic() + 5
    while True:
        try:
            fcntl.lockf(shm, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 123)
            break
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
    print("locked", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def bring_back(database: Path) -> None:
    """A file that was away when the sandbox was killed comes back."""
    away = database.with_name(database.name + AWAY)
    if away.exists() and not database.exists():
        away.rename(database)


def play(company: Company, database: Path, kind: FaultKind, seconds: float, ended: threading.Event) -> None:
    """Lock the readers out until the time is over or `ended`; `file_missing` takes the file away, too: nobody can
    connect."""
    shm = database.with_name(database.name + "-shm")
    away = database.with_name(database.name + AWAY)
    with company.alone():
        child = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-c", LOCK_READERS, str(shm), str(seconds)], stdout=subprocess.PIPE
        )
        try:
            if child.stdout is not None:
                child.stdout.readline()
            if kind is FaultKind.FILE_MISSING:
                database.rename(away)
            end = time.monotonic() + seconds
            while child.poll() is None and time.monotonic() < end + 10 and not ended.wait(0.05):
                pass
        finally:
            bring_back(database)
            child.kill()
            child.wait()
