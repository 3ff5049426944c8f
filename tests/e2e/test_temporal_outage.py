"""Temporal itself away: the API's process tells people, once, and takes webhooks again by itself."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.e2e.conftest import pairs_with_pace
from tests.support.http import HTTP
from tests.support.processes import answers, free_ports, running, wait_until
from tests.support.web_hook import WebHook, web_hook

TEMPORAL = Path(sys.executable).parent / "temporal"
DOWN, STILL, BACK = (
    "[demo] HIGH: Temporal does not answer",
    "[demo] HIGH: Temporal still does not answer",
    "[demo] Temporal answers again",
)


@pytest.fixture
def hook() -> Iterator[WebHook]:
    with web_hook() as one:
        yield one


@contextmanager
def temporal_server(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [str(TEMPORAL), "server", "start-dev", "--ip", "127.0.0.1", "--port", str(port), "--headless"]
    command += ["--db-filename", str(folder / "temporal.sqlite"), "--log-level", "error"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    look = [str(TEMPORAL), "operator", "namespace", "describe", "default", "--address", f"127.0.0.1:{port}"]
    try:
        wait_until("Temporal answers", lambda: subprocess.run(look, capture_output=True, check=False).returncode == 0)
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(20)


def test_an_outage_of_temporal_is_told_by_the_api_once_with_reminders_and_an_all_clear(
    tmp_path: Path, hook: WebHook
) -> None:
    temporal_port, api_port, nobody = free_ports(3)
    pace = {"probe_interval": 0.3, "outage_alert": 2, "outage_reminder": 4, "retry_initial": 0.5, "retry_maximum": 1}
    environment = {
        "PAIRS_DIR": str(pairs_with_pace(tmp_path / "pairs", **pace)),
        "TEMPORAL_ADDRESS": f"127.0.0.1:{temporal_port}",
        "API_PORT": str(api_port),
        "DEMO_CLARITY_WEBHOOK_SECRETS": "whsec_c2FuZGJveC13ZWJob29rLXNpZ25pbmctc2VjcmV0",
        # The first target is broken; the second one is the same in two severities.
        "DEMO_ALERT_TARGETS_HIGH": f"json://someone:hunter2pass@127.0.0.1:{nobody}/s3cr3t-t0ken {hook.address}",
        "DEMO_ALERT_TARGETS_WARNING": hook.address,
    }
    log, url = tmp_path / "api.log", f"http://127.0.0.1:{api_port}"
    with ExitStack() as house:
        with temporal_server(tmp_path, temporal_port):
            api = house.enter_context(running(["api"], log, environment))
            wait_until("the API is ready", lambda: answers(f"{url}/readyz"), 60)
        wait_until("people are told", lambda: DOWN in hook.titles(), 60)
        wait_until("people are reminded", lambda: STILL in hook.titles(), 60)
        assert HTTP.get(f"{url}/readyz", timeout=20).status_code == 503
        assert HTTP.get(f"{url}/healthz", timeout=20).status_code == 200
        with temporal_server(tmp_path, temporal_port):
            wait_until("people are told that it is over", lambda: BACK in hook.titles(), 60)
            wait_until("the API is ready again", lambda: answers(f"{url}/readyz"), 60)
        assert api.poll() is None
    titles = hook.titles()
    assert titles[0] == DOWN
    assert set(titles[1:-1]) == {STILL}
    assert titles[-1] == BACK
    first, last = hook.messages[0], hook.messages[-1]
    assert first["type"] == "failure"
    assert "503 with Retry-After" in first["message"]
    assert re.search(r"It was out for .*\d s", last["message"])
    text = log.read_text()
    lines = [line for line in text.splitlines() if " alerts: " in line]
    assert sum(DOWN in line for line in lines) == sum(BACK in line for line in lines) == 1
    assert "did not take a message" in text
    for secret in ("hunter2pass", "s3cr3t-t0ken"):
        assert secret not in text


def test_a_worker_that_waits_for_temporal_says_so_and_stops_when_it_is_told_to(tmp_path: Path) -> None:
    (nobody,) = free_ports(1)
    environment = {"TEMPORAL_ADDRESS": f"127.0.0.1:{nobody}", "DEMO_MATCH_KEY_SECRET": "of-this-test-alone"}
    log = tmp_path / "worker.log"
    with running(["workers", "--role", "orders"], log, environment) as process:
        wait_until("it says that it waits", lambda: "is not reachable yet" in log.read_text(), 30)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert "Traceback" not in log.read_text()
