"""`make test-telemetry`: a real Prometheus scrapes the running demo and is asked every query of dashboard and rules.

Not part of `make test`, as a fresh machine has no Prometheus: it is looked for in PROMETHEUS, then in PATH.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.conftest import House
from tests.support.http import HTTP
from tests.support.panels import RULES, alert_rules, dashboard_queries
from tests.support.processes import answers, free_ports, wait_until


@pytest.fixture(scope="module")
def prometheus(settled: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address, once it has scraped API and SDK some times."""
    binary = os.environ.get("PROMETHEUS") or shutil.which("prometheus")
    assert binary, "prometheus is not installed: apt-get install prometheus, or set PROMETHEUS to its path"
    folder = tmp_path_factory.mktemp("prometheus")
    (port,) = free_ports(1)
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [
            {"job_name": name, "static_configs": [{"targets": [url.split("/")[2]]}]}
            for name, url in (("clarity-sage-api", settled.api_url), ("temporal-sdk", settled.temporal_metrics_url))
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), "utf-8")
    command = [binary, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    with Path(folder / "log").open("wb") as log:
        process = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until("Prometheus is ready", lambda: answers(f"{url}/-/ready"), 30)
            scraped = 'min(count_over_time(up{job=~".+"}[1m])) >= 5 and min(up) == 1'
            wait_until("it has scraped both", lambda: series(url, scraped), 60)
            yield url
        finally:
            process.terminate()
            process.wait(20)


def series(url: str, query: str) -> list[dict[str, Any]]:
    """The series that a query returns now."""
    answer = HTTP.get(f"{url}/api/v1/query", params={"query": query}).json()
    assert answer["status"] == "success", (query, answer)
    result: list[dict[str, Any]] = answer["data"]["result"]
    return result


@pytest.mark.parametrize("query", dashboard_queries())
def test_every_panel_shows_something(prometheus: str, query: str) -> None:
    rendered = query.replace("$__rate_interval", "1m").replace("$pair", ".*")
    assert "$" not in rendered
    assert wait_until(rendered, lambda: series(prometheus, rendered), 20)


def test_every_rule_is_evaluated_and_a_healthy_demo_raises_no_alarm(prometheus: str) -> None:
    def rules() -> list[dict[str, Any]]:
        groups = HTTP.get(f"{prometheus}/api/v1/rules").json()["data"]["groups"]
        found = [rule for group in groups for rule in group["rules"]]
        return found if all(rule["health"] != "unknown" for rule in found) else []

    found = wait_until("every rule was evaluated", rules, 30)
    assert {rule["name"] for rule in found} == set(alert_rules())
    assert [rule["name"] for rule in found if rule["health"] != "ok"] == []
    assert [rule["name"] for rule in found if rule["state"] == "firing"] == []
