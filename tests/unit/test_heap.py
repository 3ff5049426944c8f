"""Large buffers are given back: seen in a process of its own, for what glibc is told holds for the whole process."""

import json
import platform
import subprocess
import sys

import pytest

from tests.support.processes import ROOT
from workers.heap import give_back_large_buffers

PROGRAM = """
import ctypes, json, sys
from workers.heap import LARGE, give_back_large_buffers

class Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ord sm mapped_count mapped usm fsm used free keep".split()]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Mallinfo
told = give_back_large_buffers() if sys.argv[1] == "told" else None
large = bytearray(16 * 2**20)
del large  # glibc's own threshold is 16 MiB from here on
before = libc.mallinfo2().mapped_count
kept = [bytearray(2 * LARGE) for _ in range(8)]
mapped = libc.mallinfo2().mapped_count - before
del kept
print(json.dumps({"told": told, "mapped": mapped, "left": libc.mallinfo2().mapped_count - before}))
"""


def seen(how: str) -> dict[str, object]:
    """What the program says, told or not."""
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, how], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    answer: dict[str, object] = json.loads(ran.stdout)
    return answer


def test_large_buffers_are_mapped_by_themselves_whatever_was_freed_before() -> None:
    assert seen("told") == {"told": True, "mapped": 8, "left": 0}


def test_glibc_by_itself_would_put_them_into_its_heap() -> None:
    assert seen("untold") == {"told": None, "mapped": 0, "left": 0}


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert give_back_large_buffers() is False
