"""`python -m sandbox`: what a developer types to play buyer, warehouse, office and clock."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.processes import ROOT
from tests.support.sandbox import Sandbox, running_sandbox


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path_factory.mktemp("sandbox"), "--webhook-url", "http://127.0.0.1:9/") as one:
        yield one


def command(sandbox: Sandbox, *words: str) -> subprocess.CompletedProcess[str]:
    ports = [
        "--sage-port",
        sandbox.sage_url.rpartition(":")[2],
        "--clarity-port",
        sandbox.clarity_url.rpartition(":")[2],
    ]
    return subprocess.run(
        [sys.executable, "-m", "sandbox", *ports, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_orders_are_checked_out_once_and_their_webhooks_repeated(sandbox: Sandbox) -> None:
    file = "sandbox/orders/01-consumer-new.json"
    results = [json.loads(command(sandbox, "orders", "send", file).stdout)["result"] for _ in range(2)]
    assert results == ["new", "exists"]
    assert len(command(sandbox, "orders", "send", "--all").stdout.splitlines()) == 23
    again = json.loads(command(sandbox, "webhook", "10001", "--times", "3", "--same-id").stdout)["webhookIds"]
    assert len(again) == 3
    assert len(set(again)) == 1


def test_the_warehouse_ships_and_the_office_posts_by_command(sandbox: Sandbox) -> None:
    number = sandbox.sage("POST", "/SO/SalesOrder/NextNumber").json()["SalesOrderNo"]
    body = {
        "SalesOrderNo": number,
        "ARDivisionNo": "02",
        "CustomerNo": "W000001",
        "Lines": [{"ItemCode": "STAPLER", "QuantityOrdered": "2"}],
    }
    assert sandbox.sage("POST", "/SO/SalesOrder", body).status_code == 201
    shipped = json.loads(command(sandbox, "ship", number, "--packages", "2", "--by-item").stdout)
    assert len(sandbox.rows("SELECT 1 FROM SO_InvoiceTracking WHERE InvoiceNo = ?", shipped["InvoiceNo"])) == 2
    assert json.loads(command(sandbox, "post").stdout)["InvoiceNos"] == [shipped["InvoiceNo"]]
    late = json.dumps({"InvoiceNo": shipped["InvoiceNo"], "Packages": [{"TrackingID": "LATE"}]})
    assert command(sandbox, "act", "sage", "track", late).returncode == 0
    tracked = sandbox.rows("SELECT TrackingID FROM AR_InvoiceHistoryTracking WHERE InvoiceNo = ?", shipped["InvoiceNo"])
    assert [row["TrackingID"] for row in tracked] == ["LATE"]
    refused = command(sandbox, "ship", number)
    assert refused.returncode == 1
    assert "is not open" in refused.stdout


def test_the_clock_is_shown_and_set(sandbox: Sandbox) -> None:
    set_to = json.loads(command(sandbox, "clock", "--now", "2026-12-24T22:00").stdout)["now"]
    assert set_to.startswith("2026-12-24T22:00")
    assert json.loads(command(sandbox, "clock").stdout)["now"].startswith("2026-12-24T22:0")


def test_what_is_expected_is_shown_and_mistakes_are_told(sandbox: Sandbox) -> None:
    table = command(sandbox, "expected").stdout
    assert "23-more-than-in-stock" in table
    assert "out_of_stock" in table
    for words in (["orders", "send"], ["orders", "send", "no-such-file.json"], ["explode"]):
        mistake = command(sandbox, *words)
        assert mistake.returncode == 2
        assert "Traceback" not in mistake.stderr
    nobody = subprocess.run(
        [sys.executable, "-m", "sandbox", "--sage-port", "9", "post"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert nobody.returncode == 1
    assert "Is it running?" in nobody.stderr
