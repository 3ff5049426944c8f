"""With encryption on, nothing personal of the sample orders is in Temporal's database, in the logs or in the traces."""

import base64
import json
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.e2e.conftest import House
from tests.e2e.temporal import history, temporal
from tests.support.histories import TEMPORAL
from tests.support.http import HTTP
from tests.support.otlp import TraceReceiver
from tests.support.processes import ROOT, wait_until

PERSONAL = {"email", "phone", "line1", "line2", "firstName", "lastName", "company"}
"""Keys of Clarity's orders (docs/openapi/clarity.yaml) whose values tell who somebody is, or where."""
WORD = rb"(?<![A-Za-z])%s(?![a-z])"
TEST_WORKFLOW = "personal-data-search"


def personal_values() -> set[str]:
    """Every personal value of the sample orders, full names with them."""
    files = sorted((ROOT / "sandbox/orders").glob("*.json"))
    return {value for file in files for value in _values(json.loads(file.read_text("utf-8")))}


def _values(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key in PERSONAL and value:
                yield str(value)
            yield from _values(value)
        if "firstName" in node and "lastName" in node:
            yield f"{node['firstName']} {node['lastName']}"
    elif isinstance(node, list):
        for one in node:
            yield from _values(one)


def found_in(content: bytes) -> set[str]:
    """The personal values that stand in some bytes, as words of their own: as text, and as JSON escapes it.

    Random bytes hold any three letters sooner or later, so short first names are left to the full names.
    """
    found = set()
    for value in personal_values():
        for text in {value, json.dumps(value)[1:-1]}:
            sought = text.encode()
            # The quick look first: a database has megabytes.
            if len(value) > 4 and sought in content and re.search(WORD % re.escape(sought), content):
                found.add(value)
    return found


def database(house: House) -> bytes:
    """Temporal's file with its write-ahead log."""
    return b"".join(file.read_bytes() for file in files_of(house, "temporal.sqlite*"))


def files_of(house: House, *patterns: str) -> Iterable[Path]:
    """Files of the house's folder."""
    files = [file for pattern in patterns for file in house.sandbox.var.glob(pattern)]
    assert files
    return files


def test_nothing_personal_is_in_the_database_and_the_same_search_finds_what_is_stored_without_a_key(
    settled: House,
) -> None:
    assert found_in(database(settled)) == set()
    # The very bodies, stored by a client without a key, as every process would without one.
    orders = settled.sandbox.var / "orders.json"
    bodies = json.dumps([json.loads(file.read_text("utf-8")) for file in sorted(ROOT.glob("sandbox/orders/*.json"))])
    orders.write_text(bodies, "utf-8")
    assert len(found_in(bodies.encode())) > 80
    plain = [str(TEMPORAL), "workflow", "start", "--address", settled.temporal_address, "--type", "Nobody"]
    plain += ["--task-queue", "nobody", "-w", TEST_WORKFLOW, "--input-file", str(orders)]
    subprocess.run(plain, check=True, capture_output=True, timeout=30)
    orders.unlink()
    try:
        assert found_in(database(settled)) == found_in(bodies.encode())
    finally:
        temporal(settled, "workflow", "delete", "-w", TEST_WORKFLOW, "--yes")


def test_nothing_personal_is_in_the_logs(settled: House) -> None:
    logs = [settled.log, *files_of(settled, "log/*.log")]
    written = {log.name: log.read_bytes() for log in logs}
    assert b'"logger": "alerts"' in b"".join(written.values()), "holds are told in the logs"
    assert {name: found_in(text) for name, text in written.items() if found_in(text)} == {}


def test_nothing_personal_is_in_the_traces_and_metrics(settled: House, traces: TraceReceiver) -> None:
    wait_until("every order's activities are traced", lambda: b"create_sales_order" in b"".join(traces.raw))
    sent = b"".join(traces.raw)
    assert b"order-demo-10002" in sent
    assert found_in(sent + HTTP.get(f"{settled.api_url}/metrics").content) == set()


def test_with_the_key_the_cli_shows_plain_payloads_and_without_the_endpoint_none(settled: House) -> None:
    first = history(settled, "order-demo-10002")[0]["workflowExecutionStartedEventAttributes"]
    start = json.loads(base64.b64decode(first["input"]["payloads"][0]["data"]))
    assert start["payload"]["data"]["id"] == "10002"
    raw = [str(TEMPORAL), "workflow", "show", "-w", "order-demo-10002", "-o", "json"]
    raw += ["--address", settled.temporal_address]
    shown = subprocess.run(raw, check=True, capture_output=True, timeout=30).stdout
    assert b"encryption-key-id" in shown
    assert found_in(shown) == set()
