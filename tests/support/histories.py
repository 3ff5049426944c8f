"""Histories of real runs, kept for `tests/workflows/test_replay.py`.

With `SAVE_HISTORIES=FOLDER` in the environment, tests that play a path save its history there; without it they only
play. What names a machine is left out: places of files, hosts, users, process ids.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support.processes import ROOT

TEMPORAL = Path(sys.executable).parent / "temporal"
HOST = re.compile(r'"(?:\d+|temporal-cli:[\w.-]+)@[\w.-]+?((?:-[0-9a-f]{32})?)"')
"""Who did it (`identity`), and sticky queues, which are named after it."""
LIBRARY = re.compile(r'/[^\s"\\]*/lib/python')


def clean(text: str) -> str:
    """A history without a word about the machine it was made on; the same again changes nothing."""
    text = LIBRARY.sub("lib/python", text.replace(f"{ROOT}/", ""))
    return HOST.sub(lambda found: f'"worker@host{found[1]}"', text)


def keep_history(
    temporal_address: str, workflow_id: str, name: str, run_id: str = "", namespace: str = "default"
) -> None:
    """Save the history of a workflow's run (default: the latest) under a name, if histories are wanted."""
    folder = os.environ.get("SAVE_HISTORIES")
    if not folder:
        return
    command = [str(TEMPORAL), "workflow", "show", "-w", workflow_id, "-o", "json", "--address", temporal_address]
    command += ["--namespace", namespace, *(["--run-id", run_id] if run_id else [])]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    Path(folder, f"{name}.json").write_text(clean(json.dumps(json.loads(shown))), "utf-8")
