"""The store's webhooks: signed as Standard Webhooks says, repeated until accepted, kept over a restart."""

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.support.http import HTTP
from tests.support.processes import wait_until
from tests.support.sandbox import Sandbox, running_sandbox

KEY = b"sandbox-webhook-signing-secret-001"
EVENT = {"type": "order.created", "data": {"id": "1", "createdDate": "2026-11-20T10:00:00Z", "items": [], "né": "ü"}}


@contextmanager
def receiver(statuses: list[int]) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Answers with the statuses in turn, then 202; keeps what came."""
    received: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            entry = {name.lower(): value for name, value in self.headers.items()}
            signed = f"{entry['webhook-id']}.{entry['webhook-timestamp']}.".encode() + body
            digest = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
            entry["genuine"] = str(f"v1,{digest}" in entry["webhook-signature"].split(" "))
            received.append(entry)
            self.send_response(statuses.pop(0) if statuses else 202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", received
    finally:
        server.shutdown()


def undelivered(sandbox: Sandbox) -> int:
    return int(HTTP.get(f"{sandbox.clarity_url}/_control/state", timeout=10).json()["undelivered"])


def test_delivery_is_repeated_with_the_same_id_until_it_is_accepted(tmp_path: Path) -> None:
    with (
        receiver([500, 503, 302]) as (url, received),
        running_sandbox(tmp_path, "--webhook-url", url, "--webhook-schedule", "0.1,0.1,0.1,0.1") as sandbox,
    ):
        sandbox.control("clarity", "orders", EVENT)
        wait_until("the delivery is accepted", lambda: len(received) == 4 and undelivered(sandbox) == 0, 20)
        assert {entry["genuine"] for entry in received} == {"True"}
        assert len({entry["webhook-id"] for entry in received}) == 1
        again = sandbox.control("clarity", "webhooks", {"orderId": "1", "times": 2})["webhookIds"]
        wait_until("two more deliveries", lambda: len(received) == 6, 20)
        assert {entry["webhook-id"] for entry in received[4:]} == set(again)
        same = sandbox.control("clarity", "webhooks", {"orderId": "1", "sameId": True})["webhookIds"]
        assert same == [received[0]["webhook-id"]]


def test_undelivered_webhooks_survive_a_restart_of_the_store(tmp_path: Path) -> None:
    flags = ("--webhook-schedule", "0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1")
    with running_sandbox(
        tmp_path, "--webhook-url", "http://127.0.0.1:9/hook", "--webhook-schedule", "1,1,1"
    ) as sandbox:
        sandbox.control("clarity", "orders", EVENT)
        assert undelivered(sandbox) == 1
    with receiver([]) as (url, received), running_sandbox(tmp_path, "--webhook-url", url, *flags) as sandbox:
        wait_until("it is delivered after the restart", lambda: len(received) == 1 and undelivered(sandbox) == 0, 20)
        assert received[0]["genuine"] == "True"


def test_the_other_dialect_signs_in_hex_and_gives_no_id(tmp_path: Path) -> None:
    received: list[tuple[dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(202)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    flags = ("--webhook-url", f"http://127.0.0.1:{server.server_port}/", "--clarity-dialect", "module_entity")
    try:
        with running_sandbox(tmp_path, *flags) as sandbox:
            sandbox.control("clarity", "orders", EVENT)
            wait_until("the delivery arrives", lambda: bool(received), 20)
    finally:
        server.shutdown()
        server.server_close()
    headers, body = received[0]
    assert json.loads(body)["Event"] == "Ordering.SalesOrder.Created"
    assert (json.loads(body)["Entity"]["ID"], "né" in json.loads(body)["Entity"]) == ("1", False)
    secret = "whsec_" + base64.b64encode(KEY).decode()
    signed = headers["X-Store-Timestamp"].encode() + b"." + body
    assert headers["X-Store-Signature"] == "sha256=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    assert not [name for name in headers if name.lower().startswith("webhook")]
