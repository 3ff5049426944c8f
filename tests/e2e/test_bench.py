"""`make bench` still runs, in its short form; what it measures there means nothing."""

import json
import re
import subprocess
import sys
from pathlib import Path

from tests.support.processes import ROOT

FIGURES = {
    "events_shipped",
    "actions",
    "webhook_ack_ratio_p50",
    "to_sage_ratio_p50",
    "throughput_ratio",
    "seat_use",
    "waiting_shipment_ratio",
    "poll_ratio",
    "stock_first_push_of_everything_seconds",
    "customer_view_ms_p95",
}


def test_the_short_form_says_every_figure(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.bench", "--short", "--out", str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-4000:]
    written = json.loads((tmp_path / "bench.json").read_text("utf-8"))
    names = [figure["name"] for figure in written["figures"]]
    assert set(names) >= FIGURES
    last = run.stdout.strip().splitlines()[-len(names) :]
    assert [line.split()[1] for line in last] == [f"name={name}" for name in names]
    assert all(re.fullmatch(r"BENCH name=\S+ value=\S+ goal=\S+ met=(yes|no|-)", line) for line in last)
    assert (tmp_path / "bench.md").read_text("utf-8").count("\n| ") == len(names)
