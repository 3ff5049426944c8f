"""Bad days: answers lost on the way, systems that refuse, processes that die, Temporal down, ports taken."""

import base64
import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import House
from tests.support.http import HTTP
from tests.support.processes import ROOT, answers, free_ports, pid_of, running, wait_until

SECRET = b"sandbox-webhook-signing-secret-001"


def check_out(house: House, order_id: str) -> dict[str, Any]:
    """A new buyer's order, as Clarity would send it."""
    event: dict[str, Any] = json.loads((ROOT / "sandbox/orders/12-new-buyer-first-order.json").read_text("utf-8"))
    event["data"] |= {"id": order_id, "number": f"W-{order_id}"}
    event["data"]["customer"] = {"id": f"c{order_id}", "email": f"b{order_id}@example.com", "firstName": "Bea"}
    house.sandbox.control("clarity", "orders", event)
    return event


def sage_orders(house: House, order_id: str) -> list[dict[str, Any]]:
    return house.sandbox.rows("SELECT * FROM SO_SalesOrderHistoryHeader WHERE UDF_WEB_ORDER_ID = ?", order_id)


def completed(house: House, order_id: str) -> bool:
    return bool(house.sandbox.clarity("GET", f"/api/v1/orders/{order_id}").json().get("invoiceReferences"))


FAULTS = [
    ("sage", "POST /SO/SalesOrder", "timeout_after_write"),
    ("sage", "POST /SO/SalesOrder", "timeout_before_write"),
    ("sage", "POST /SO/SalesOrder", "truncated"),
    ("sage", "POST /SO/SalesOrder", "500"),
    ("sage", "POST /SO/SalesOrder", "503"),
    ("sage", "POST /SO/SalesOrder", "423"),
    ("sage", "POST /SO/SalesOrder/NextNumber", "timeout_after_write"),
    ("sage", "POST /SO/SalesOrder/Preview", "html"),
    ("sage", "POST /AR/Customer", "timeout_after_write"),
    ("sage", "POST /AR/Customer", "429"),
    ("clarity", "POST /api/v1/shipments", "timeout_after_write"),
    ("clarity", "POST /api/v1/shipments", "503"),
    ("clarity", "PATCH /api/v1/orders/*", "timeout_after_write"),
    ("clarity", "PATCH /api/v1/orders/*", "429"),
]


def test_bad_answers_double_and_lose_nothing(settled: House) -> None:
    """As many orders as faults, all in flight together: each fault hits one of them."""
    orders = [f"600{number:02d}" for number in range(len(FAULTS))]
    for side, route, fault in FAULTS:
        settled.sandbox.fault(side, route, fault, retry_after=1)
    for order_id in orders:
        check_out(settled, order_id)
    wait_until("every order is complete", lambda: all(completed(settled, order_id) for order_id in orders), 120)
    for side in ("sage", "clarity"):
        assert settled.sandbox.pending_faults(side) == 0
    for order_id in orders:
        assert len(sage_orders(settled, order_id)) == 1
        accounts = settled.sandbox.rows("SELECT 1 FROM AR_Customer WHERE UDF_WEB_CUSTOMER_ID = ?", f"c{order_id}")
        assert len(accounts) == 1
        shipments = settled.sandbox.clarity("GET", f"/api/v1/shipments?orderId={order_id}").json()["items"]
        assert len(shipments) == 1


def test_killed_workers_and_sandbox_are_restarted_and_the_order_completes(settled: House) -> None:
    check_out(settled, "61001")
    for words in (("workers", "sage"), ("workers", "orders"), ("sandbox",)):
        os.kill(pid_of(settled.temporal_address, *words), signal.SIGKILL)
    wait_until("the order is complete", lambda: answers_and_complete(settled, "61001"), 90)
    assert len(sage_orders(settled, "61001")) == 1


def answers_and_complete(house: House, order_id: str) -> bool:
    return answers(f"{house.sandbox.clarity_url}/_control/state") and completed(house, order_id)


@contextmanager
def trace_receiver() -> Iterator[tuple[str, list[bytes]]]:
    """An OTLP endpoint that keeps what it gets."""
    received: list[bytes] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", received
    finally:
        server.shutdown()


def test_without_temporal_the_webhook_answers_503_and_traces_go_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, nowhere = free_ports(2)
    with trace_receiver() as (endpoint, received):
        for name, value in {
            "TEMPORAL_ADDRESS": f"127.0.0.1:{nowhere}",
            "API_PORT": str(api),
            "DEMO_CLARITY_WEBHOOK_SECRETS": "whsec_" + base64.b64encode(SECRET).decode(),
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
        }.items():
            monkeypatch.setenv(name, value)
        with running(["api"], tmp_path / "api.log"):
            url = f"http://127.0.0.1:{api}"
            wait_until("the API answers", lambda: answers(f"{url}/healthz"), 30)
            order = json.loads((ROOT / "sandbox/orders/01-consumer-new.json").read_text("utf-8"))
            # Of a fresh order nothing is looked up before its start.
            order["data"]["createdDate"] = datetime.now(UTC).isoformat()
            body = json.dumps(order).encode()
            id_, at = f"msg_{uuid.uuid4().hex}", str(int(time.time()))
            digest = hmac.new(SECRET, f"{id_}.{at}.".encode() + body, hashlib.sha256).digest()
            headers = {
                "webhook-id": id_,
                "webhook-timestamp": at,
                "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
            }
            answer = HTTP.post(f"{url}/webhooks/clarity/demo", content=body, headers=headers, timeout=30)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
            assert HTTP.get(f"{url}/readyz", timeout=30).status_code == 503
            assert HTTP.get(f"{url}/orders/demo/10001", timeout=30).status_code == 503
            wait_until(
                "the trace of the start goes out",
                lambda: any(b"StartWorkflow:OrderFulfillmentWorkflow" in trace for trace in received),
                30,
            )


def test_a_taken_port_is_one_clear_sentence(settled: House) -> None:
    port = settled.api_url.rpartition(":")[2]
    for module, flags in (
        ("workers", ["demo", "--api-port", port]),
        ("sandbox", ["--sage-port", port]),
    ):
        result = subprocess.run(
            [sys.executable, "-m", module, *flags], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        assert result.returncode != 0
        assert f"port {port}" in result.stderr
        assert "Traceback" not in result.stderr + result.stdout
