"""Faults on demand: each kind does what it says, to the calls it is meant for."""

import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

import httpx
import pytest

from tests.support.http import HTTP
from tests.support.processes import wait_until
from tests.support.sandbox import Sandbox, running_sandbox

NUMBER = "/SO/SalesOrder/NextNumber"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path_factory.mktemp("sandbox")) as one:
        yield one


def next_number(sandbox: Sandbox) -> int:
    """The number, or minus the status; 0 when the answer is none."""
    try:
        answer = sandbox.sage("POST", NUMBER)
        return int(answer.json()["SalesOrderNo"]) if answer.status_code == 200 else -answer.status_code
    except (httpx.HTTPError, ValueError):
        return 0


@pytest.mark.parametrize(("fault", "answer"), [
    ("429", -429), ("500", -500), ("503", -503), ("423", -423), ("token_expired", -401),
    ("dropped", 0), ("html", 0), ("truncated", 0), ("timeout_before_write", 0), ("timeout_after_write", 0),
])  # fmt: skip
def test_a_fault_hits_one_call_and_the_write_happens_or_not(sandbox: Sandbox, fault: str, answer: int) -> None:
    before = next_number(sandbox)
    sandbox.fault("sage", f"POST {NUMBER}", fault)
    assert next_number(sandbox) == answer
    used = 1 if fault in ("timeout_after_write", "truncated") else 0
    assert next_number(sandbox) == before + 1 + used
    assert sandbox.pending_faults("sage") == 0


def test_retry_after_in_both_forms_and_maintenance(sandbox: Sandbox) -> None:
    sandbox.fault("sage", f"POST {NUMBER}", "429", retry_after=3)
    assert sandbox.sage("POST", NUMBER).headers["retry-after"] == "3"
    sandbox.fault("sage", f"POST {NUMBER}", "429", retry_after=60, as_date=True)
    moment = parsedate_to_datetime(sandbox.sage("POST", NUMBER).headers["retry-after"])
    assert 50 < moment.timestamp() - time.time() <= 61
    sandbox.fault("sage", "POST *", "maintenance", seconds=1)
    closed = sandbox.sage("POST", NUMBER)
    assert (closed.status_code, closed.headers["retry-after"]) == (503, "1")
    assert next_number(sandbox) == -503
    wait_until("the maintenance is over", lambda: next_number(sandbox) > 0, 10)


def test_slow_answers_come_late(sandbox: Sandbox) -> None:
    sandbox.fault("sage", f"POST {NUMBER}", "slow", seconds=0.5)
    began = time.monotonic()
    assert next_number(sandbox) > 0
    assert time.monotonic() - began >= 0.5


def test_a_share_of_the_calls_is_the_same_for_a_seed(sandbox: Sandbox) -> None:
    rounds = []
    for _ in range(2):
        sandbox.fault("sage", f"POST {NUMBER}", "503", share=0.4, seed=7)
        rounds.append([next_number(sandbox) < 0 for _ in range(25)])
        HTTP.delete(f"{sandbox.sage_url}/_control/faults")
    assert rounds[0] == rounds[1]
    assert 3 <= sum(rounds[0]) <= 17


def test_contains_narrows_to_calls_with_a_text(sandbox: Sandbox) -> None:
    sandbox.fault("clarity", "GET /api/v1/shipments", "500", contains="orderId=77")
    assert sandbox.clarity("GET", "/api/v1/shipments?orderId=76").status_code == 200
    assert sandbox.clarity("GET", "/api/v1/shipments?orderId=77").status_code == 500
    sandbox.fault("sage", "POST /SO/SalesOrder/Preview", "423", contains="W-77")
    assert sandbox.sage("POST", "/SO/SalesOrder/Preview", {"CustomerPONo": "W-76"}).status_code == 422
    assert sandbox.sage("POST", "/SO/SalesOrder/Preview", {"CustomerPONo": "W-77"}).status_code == 423


def test_faults_of_the_database_are_faults_of_its_route(sandbox: Sandbox) -> None:
    for side, body in (
        ("sage", {"route": "POST *", "fault": "odbc_locked"}),
        ("sage", {"route": "ODBC", "fault": "503"}),
        ("clarity", {"route": "ODBC", "fault": "odbc_locked"}),
    ):
        url = sandbox.sage_url if side == "sage" else sandbox.clarity_url
        assert HTTP.post(f"{url}/_control/faults", json=body).status_code == 422
    sandbox.control("sage", "faults", {"route": "ODBC", "fault": "file_missing", "seconds": 1})
    wait_until("the file is away", lambda: not sandbox.database.exists(), 5)
    wait_until("the file is back", sandbox.database.exists, 15)
    assert next_number(sandbox) > 0
    sandbox.control("sage", "faults", {"route": "ODBC", "fault": "file_missing", "seconds": 500})
    wait_until("the file is away again", lambda: not sandbox.database.exists(), 5)
    sandbox.end_faults("sage")
    wait_until("the file is back early", sandbox.database.exists, 15)
    assert next_number(sandbox) > 0
