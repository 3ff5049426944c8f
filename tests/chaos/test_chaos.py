"""The short form of `make chaos`, as a stranger runs it: 15 orders, everything breaks, the verdict is the last line."""

import subprocess
import sys

from tests.support.processes import ROOT

ORDERS, SEED = 15, 20261126


def test_nothing_is_lost_nothing_twice_nothing_silent() -> None:
    command = [sys.executable, "-m", "tests.chaos", "--orders", str(ORDERS), "--seed", str(SEED)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)
    verdict = f"AUDIT lost=0 doubled=0 wrong=0 silent=0 orders={ORDERS} seed={SEED}"
    assert result.stdout.splitlines()[-1:] == [verdict], result.stdout + result.stderr
    assert result.returncode == 0
    assert " kill " in result.stderr, "the storm killed something"
