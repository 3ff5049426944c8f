"""Clarity's deliveries as they really come: repeated, malformed, forged, hostile."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from temporalio.client import Client

from tests.e2e.conftest import House
from tests.support.http import HTTP
from tests.support.processes import ROOT, wait_until

SECRET = b"sandbox-webhook-signing-secret-001"


def deliver(house: House, body: bytes, *, delivery: str | None = None, **changes: str) -> httpx.Response:
    """A signed delivery, written here from the standard's text; `changes` replace headers (empty removes)."""
    id_, at = delivery or f"msg_{uuid.uuid4().hex}", str(int(time.time()))
    at = changes.pop("at", at)
    digest = hmac.new(SECRET, f"{id_}.{at}.".encode() + body, hashlib.sha256).digest()
    headers = {
        "webhook-id": id_,
        "webhook-timestamp": at,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
        **{name.replace("_", "-"): value for name, value in changes.items()},
    }
    sent = {name: value for name, value in headers.items() if value}
    return HTTP.post(f"{house.api_url}/webhooks/clarity/demo", content=body, headers=sent, timeout=20)


def an_order(order_id: Any, number: str = "W-TEST") -> dict[str, Any]:
    """An order of a buyer whom nobody knows: a name of letters drawn at random, at a house of its own."""
    event: dict[str, Any] = json.loads((ROOT / "sandbox/orders/12-new-buyer-first-order.json").read_text("utf-8"))
    event["data"] |= {"id": order_id, "number": number}
    drawn = uuid.uuid4().hex
    letters = "".join(chr(ord("a") + int(digit, 16)) for digit in drawn)
    own = {"name": f"{letters[:8]} {letters[8:20]}".title(), "line1": f"{int(drawn[:4], 16)} {letters[20:30]} Street"}
    event["data"]["customer"] = {"id": None, "email": f"{drawn[:10]}@example.com"}
    for address in ("billingAddress", "shippingAddress"):
        event["data"][address] |= own
    return event


def restart(house: House, order_id: str) -> httpx.Response:
    return HTTP.post(f"{house.api_url}/orders/demo/{order_id}/restart", timeout=20)


def at_once(count: int, house: House, body: bytes, delivery: str | None = None) -> list[httpx.Response]:
    """The same delivery from several senders in the same moment."""
    with ThreadPoolExecutor(count) as senders:
        return list(senders.map(lambda _: deliver(house, body, delivery=delivery), range(count)))


def encode(event: object) -> bytes:
    return json.dumps(event, ensure_ascii=False).encode()


def test_the_same_webhook_five_times_at_once_and_later_makes_one_order(settled: House) -> None:
    event = an_order("70001", "W-70001")
    HTTP.post(f"{settled.sandbox.clarity_url}/_control/orders", json=event)
    wait_until(
        "the order stands in Sage",
        lambda: settled.sandbox.rows("SELECT 1 FROM SO_SalesOrderHistoryHeader WHERE UDF_WEB_ORDER_ID = '70001'"),
    )
    body = encode(event)
    answers = at_once(5, settled, body, delivery="msg_again")
    answers += [deliver(settled, body), deliver(settled, body, delivery="msg_again")]
    assert {answer.status_code for answer in answers} == {202}
    assert {answer.json()["result"] for answer in answers} == {"duplicate"}
    wait_until(
        "Clarity knows it as shipped",
        lambda: settled.sandbox.clarity("GET", "/api/v1/orders/70001").json()["status"] == "Shipped",
    )
    assert len(settled.sandbox.rows("SELECT 1 FROM SO_SalesOrderHistoryHeader WHERE UDF_WEB_ORDER_ID = '70001'")) == 1
    assert deliver(settled, body).json()["result"] == "duplicate"


def test_five_first_deliveries_at_once_start_one_workflow(settled: House) -> None:
    body = encode(an_order("70002", "W-70002"))
    answers = at_once(5, settled, body)
    results = sorted(answer.json()["result"] for answer in answers)
    assert results == ["duplicate"] * 4 + ["started"]


@pytest.mark.parametrize(
    "order_id",
    [{"a": 1}, [1], "", "x" * 2000, "10\x00\x07\n1", None, True, 1.5, "id with spaces", "ü"],
    ids=["object", "list", "empty", "long", "control", "null", "boolean", "fraction", "spaces", "non-ascii"],
)
async def test_an_id_that_names_no_order_becomes_a_dead_letter(settled: House, order_id: object) -> None:
    webhook_id = f"msg_{uuid.uuid4().hex}"
    answer = deliver(settled, encode(an_order(order_id)), delivery=webhook_id)
    assert (answer.status_code, answer.json()["result"]) == (202, "dead_letter")
    letter = f"deadletter-demo-{hashlib.sha256(webhook_id.encode()).hexdigest()[:32]}"
    assert answer.json()["detail"] == letter
    client = await Client.connect(settled.temporal_address)
    description = await client.get_workflow_handle(letter).describe()
    assert description.workflow_type == "DeadLetterWorkflow"


def test_an_unknown_type_becomes_a_dead_letter_and_other_shapes_too(settled: House) -> None:
    for event in ({"type": "order.exploded", "data": {"id": "1"}}, {"data": {"id": "1"}}, {}, {"type": 7, "data": []}):
        answer = deliver(settled, encode(event))
        assert (answer.status_code, answer.json()["result"]) == (202, "dead_letter")


@pytest.mark.parametrize(
    "changes",
    [
        {"webhook_signature": ""},
        {"webhook_id": ""},
        {"webhook_timestamp": ""},
        {"webhook_signature": "v1,AAAA"},
        {"webhook_signature": "nonsense"},
        {"webhook_signature": "v1," + "A" * 5000},
        {"webhook_timestamp": "yesterday"},
        {"webhook_timestamp": "1e9"},
        {"webhook_timestamp": "-1"},
        {"webhook_timestamp": "9" * 400},
        {"at": "1600000000"},
        {"at": "4000000000"},
    ],
    ids=lambda changes: "-".join(f"{key}={value[:12]}" for key, value in changes.items()),
)
async def test_a_bad_signature_gets_401_and_starts_nothing(settled: House, changes: dict[str, str]) -> None:
    order_id = f"9{uuid.uuid4().int % 10**8}"
    answer = deliver(settled, encode(an_order(order_id)), **changes)
    assert answer.status_code == 401
    assert answer.json()["error"]
    client = await Client.connect(settled.temporal_address)
    with pytest.raises(Exception, match=r"not found|NotFound"):
        await client.get_workflow_handle(f"order-demo-{order_id}").describe()


def test_a_changed_body_under_a_good_signature_gets_401(settled: House) -> None:
    body = encode(an_order("70003"))
    id_, at = "msg_forged", str(int(time.time()))
    digest = hmac.new(SECRET, f"{id_}.{at}.".encode() + body, hashlib.sha256).digest()
    headers = {
        "webhook-id": id_,
        "webhook-timestamp": at,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
    forged = body.replace(b"70003", b"70004")
    answer = HTTP.post(f"{settled.api_url}/webhooks/clarity/demo", content=forged, headers=headers)
    assert answer.status_code == 401


def test_no_body_gets_a_500(settled: House) -> None:
    hostile = [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b"\xff\xfe",
        b'{"data": NaN}',
        b'{"type": "order.created", "data": {"id": 1e400}}',
        b"[" * 100_000,
        b'{"a":' * 60 + b"1" + b"}" * 60,
        b'{"type": "order.created", "data": {"id": "80001", "number": "\\ud800", "notes": "\\udfff"}}',
        b'{"type": "order.created", "data": {"id": "80002", "totals": "x", "items": 7, "shippingAddress": []}}',
        b'{"type": "order.created", "data": {"id": "80003", "totals": {"grand": 123456789012345678901234567890}}}',
        encode({"type": "order.created", "data": {"id": "80004", "items": [{}] * 3000}}),
        encode({"type": "order.created", "data": {"id": "80005", "number": {"a": 1}, "createdDate": "0001-01-01"}}),
        encode({"type": "order.updated", "data": {"id": "80006", "status": ["Shipped"], "currency": "\x00"}}),
    ]
    for body in hostile:
        answer = deliver(settled, body)
        assert answer.status_code in (202, 400), (body[:60], answer.status_code, answer.text)


def test_a_body_over_a_megabyte_gets_413(settled: House) -> None:
    assert deliver(settled, b" " * (1024 * 1024 + 1)).status_code == 413


def test_an_unknown_pair_gets_404_and_a_malformed_one_422(settled: House) -> None:
    for pair, status in (("other", 404), ("UPPER", 422), ("x" * 40, 422)):
        answer = HTTP.post(f"{settled.api_url}/webhooks/clarity/{pair}", content=b"{}")
        assert answer.status_code == status


def test_orders_before_go_live_or_already_shipped_start_nothing(settled: House) -> None:
    old, shipped = an_order("70005"), an_order("70006")
    old["data"]["createdDate"] = "2020-01-01T00:00:00Z"
    shipped["data"]["status"] = "Shipped"
    for event in (old, shipped):
        answer = deliver(settled, encode(event))
        assert (answer.status_code, answer.json()["result"]) == (202, "ignored")
        assert HTTP.get(f"{settled.api_url}/orders/demo/{event['data']['id']}").status_code == 404


def test_a_changed_completed_order_becomes_a_dead_letter(settled: House) -> None:
    event = json.loads((ROOT / "sandbox/orders/12-new-buyer-first-order.json").read_text("utf-8"))
    event["data"]["notes"] = "Changed after the fact"
    answer = deliver(settled, encode(event))
    assert (answer.status_code, answer.json()["result"]) == (202, "dead_letter")


async def test_a_terminated_order_is_told_once_and_can_be_restarted(settled: House) -> None:
    event = an_order("70007", "W-70007")
    event["data"]["items"][0]["sku"] = "NO-SUCH-ITEM"
    assert deliver(settled, encode(event)).json()["result"] == "started"
    client = await Client.connect(settled.temporal_address)
    handle = client.get_workflow_handle("order-demo-70007")
    await handle.terminate("by a test")
    first, second = (deliver(settled, encode(event)).json() for _ in range(2))
    assert first["result"] == second["result"] == "dead_letter"
    assert first["detail"] == second["detail"]
    answers = [await asyncio.to_thread(restart, settled, "70007") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 409]


@pytest.mark.parametrize(
    ("order_id", "kind", "status"), [("70008", "order.cancelled", "Pending"), ("70018", "order.updated", "Cancelled")]
)
def test_cancelling_at_clarity_before_sage_knew_the_order_ends_it(
    settled: House, order_id: str, kind: str, status: str
) -> None:
    event = an_order(order_id, f"W-{order_id}")
    event["data"]["items"][0]["sku"] = "NO-SUCH-ITEM"
    HTTP.post(f"{settled.sandbox.clarity_url}/_control/orders", json=event)

    def state() -> str:
        answer = HTTP.get(f"{settled.api_url}/orders/demo/{order_id}", timeout=10).json()
        return str((answer.get("order") or {}).get("state"))

    wait_until("the order is held", lambda: state() == "held")
    event["type"], event["data"]["status"] = kind, status
    assert deliver(settled, encode(event)).json()["result"] == "changed"
    wait_until("the order is cancelled", lambda: state() == "cancelled")
    assert settled.sandbox.clarity("GET", f"/api/v1/orders/{order_id}").json()["status"] == "Cancelled"
