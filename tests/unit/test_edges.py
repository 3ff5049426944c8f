"""What comes in and goes out at the edges: card numbers, ids, digests, signatures, JSON, payloads, pages."""

import asyncio
import base64
import contextlib
import errno
import hashlib
import hmac
import json
import os
import re
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload
from temporalio.client import Client
from temporalio.exceptions import ApplicationError, CancelledError, FailureError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import ActivityEnvironment

from activities.errors import translate
from activities.reconciliation import failures_of_the_disk
from api.app import create_app
from api.payload import NotJson, parse_payload
from connectors.clarity.webhooks import BadSignature, decode_secret, sign, verify
from connectors.errors import AlreadyExists, Ambiguous, Refused, RetryLater, SignedOut, quoted
from contracts import ids
from contracts import search_attributes as attributes
from contracts.failures import FailureType, in_short
from mappings.card_numbers import MASK, is_card_number, mask_card_numbers
from mappings.intake import order_id_of, payload_digest, reason_to_ignore
from mappings.pair import Pair
from tests.unit.conftest import sample
from workers.codec import DeflateCodec

CARDS = ["4111111111111111", "5500-0000-0000-0004", "3400 0000 0000 009", "6011000000000004"]


@pytest.mark.parametrize("card", CARDS)
def test_card_numbers_are_masked_wherever_they_stand(card: str) -> None:
    payload = sample("01-consumer-new")
    places = 0

    def plant(node: Any) -> Any:
        nonlocal places
        if isinstance(node, dict):
            return {key: plant(value) for key, value in node.items()}
        if isinstance(node, list):
            return [plant(value) for value in node]
        if isinstance(node, str):
            places += 1
            return f"{node} {card}."
        return node

    masked, count = mask_card_numbers(plant(payload))
    assert count == places > 20
    assert card not in json.dumps(masked)


def test_nothing_else_in_a_payload_changes() -> None:
    payload = sample("08-hundred-and-twenty-lines")
    payload["data"]["notes"] = "order 1234567890123456, phone 713-555-0134, EAN 4006381333931"
    assert mask_card_numbers(payload) == (payload, 0)


def test_fields_named_like_card_data_are_masked() -> None:
    masked, count = mask_card_numbers({"cvv": "123", "CardNumber": "x", "a": [{"track2": ";1="}], "cvc": "", "pan": 1})
    assert (masked, count) == ({"cvv": MASK, "CardNumber": MASK, "a": [{"track2": MASK}], "cvc": "", "pan": MASK}, 4)
    assert mask_card_numbers({"n": 4111111111111111})[0] == {"n": MASK}
    assert not is_card_number("4111111111111112")


@pytest.mark.parametrize(("value", "expected"), [("10432", "10432"), (10432, "10432"), ("A.b_c-1", "A.b_c-1")])
def test_ids_that_name_an_order(value: object, expected: str) -> None:
    assert order_id_of({"data": {"id": value}}) == expected


@pytest.mark.parametrize(
    "value", [None, "", " 1", "1\n", "x" * 65, "é", "a/b", True, 1.0, {}, [], "1\x00", 10**70, "order 1"]
)
def test_ids_that_name_no_order(value: object) -> None:
    assert order_id_of({"data": {"id": value}}) is None
    others: list[object] = [None, [], {"data": []}, {"data": "x"}, {}]
    for payload in others:
        assert order_id_of(payload) is None


def test_digest_sees_what_buyers_change_and_not_what_we_write() -> None:
    payload = sample("01-consumer-new")
    before = payload_digest(payload)
    payload["data"] |= {
        "status": "Processing",
        "externalReference": "0001042",
        "updatedDate": "later",
        "invoiceReferences": [],
    }
    payload["timestamp"] = "later"
    assert payload_digest(payload) == before
    payload["data"] = dict(reversed(payload["data"].items()))
    assert payload_digest(payload) == before
    payload["data"]["items"][0]["quantity"] = 2
    assert payload_digest(payload) != before


def test_orders_that_start_nothing_have_a_reason(pair: Pair) -> None:
    payload = sample("01-consumer-new")
    assert reason_to_ignore(payload, pair) == ""
    for status in ("shipped", "Completed", " Cancelled "):
        payload["data"]["status"] = status
        assert "already" in reason_to_ignore(payload, pair)
    payload["data"] |= {"status": "Pending", "createdDate": "2025-12-31T23:00:00-06:00"}
    assert "go-live" in reason_to_ignore(payload, pair)
    # The last evening before, and the first morning, in the company's zone.
    for instant, ignored in (("2026-01-01T05:59:00Z", True), ("2026-01-01T06:00:00Z", False)):
        payload["data"]["createdDate"] = instant
        assert ("go-live" in reason_to_ignore(payload, pair)) is ignored
    for junk in (
        {"createdDate": "0001-01-01T00:00:00+14:00"},
        {"createdDate": 5},
        {"createdDate": "x"},
        {"status": ["Shipped"]},
    ):
        assert reason_to_ignore({"data": junk}, pair) == ""


KEY, OLD_KEY = b"k" * 24, b"o" * 24
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
TOLERANCE = timedelta(minutes=5)


def signed(body: bytes = b"{}", key: bytes = KEY, at: datetime = NOW) -> dict[str, str]:
    stamp = str(int(at.timestamp()))
    digest = hmac.new(key, b"msg_1." + stamp.encode() + b"." + body, hashlib.sha256).digest()
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": stamp,
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }


def test_a_good_signature_is_accepted_under_either_secret_and_among_several() -> None:
    for key in (KEY, OLD_KEY):
        assert verify(signed(key=key), b"{}", [KEY, OLD_KEY], NOW, TOLERANCE) == "msg_1"
    several = signed()
    several["webhook-signature"] = f"v1,AAAA v2,BBBB {several['webhook-signature']}"
    assert verify(several, b"{}", [KEY], NOW, TOLERANCE) == "msg_1"
    assert sign(KEY, "msg_1", str(int(NOW.timestamp())), b"{}") == signed()["webhook-signature"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {**signed(), "webhook-id": ""},
        {**signed(), "webhook-id": "other"},
        {**signed(), "webhook-id": "x" * 300},
        {**signed(), "webhook-timestamp": "１２３"},
        {**signed(), "webhook-timestamp": "1e9"},
        {**signed(), "webhook-timestamp": "-5"},
        {**signed(), "webhook-timestamp": "9" * 13},
        {**signed(), "webhook-signature": "v1,"},
        {**signed(), "webhook-signature": "ü"},
        {**signed(), "webhook-signature": "v1 " * 5000},
        signed(key=b"wrong" * 5),
        signed(body=b"[]"),
        signed(at=NOW - timedelta(minutes=6)),
        signed(at=NOW + timedelta(minutes=6)),
    ],
)
def test_a_bad_signature_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(BadSignature):
        verify(headers, b"{}", [KEY], NOW, TOLERANCE)


@pytest.mark.parametrize("secret", ["", "abc", "whsec_", "whsec_!!", "whsec_c2hvcnQ="])
def test_a_malformed_secret_is_told(secret: str) -> None:
    with pytest.raises(ValueError, match="webhook secret"):
        decode_secret(secret)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 19.995}', 19.995),
        ('{"a": 1284.50}', 1284.5),
        ('{"a": 0.1234567890123456789}', "0.1234567890123456789"),
        ('{"a": 1e400}', "1e400"),
        ('{"a": 12345678901234567890}', "12345678901234567890"),
        ('{"a": 7}', 7),
        ('{"a": "\\ud800x"}', "\ufffd\ufffd\ufffdx"),
    ],
)
def test_numbers_stay_exact_and_text_storable(text: str, expected: object) -> None:
    value = parse_payload(text.encode())["a"]
    assert value == expected or (isinstance(value, str) and value.strip("\ufffd") == "x")
    json.dumps(parse_payload(text.encode()), ensure_ascii=False).encode()


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b'"x"', b"{", b"\xff", b'{"a": NaN}', b"[" * 100_000, b'{"a":' * 50 + b"1" + b"}" * 50],
)
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(NotJson):
        parse_payload(body)


@given(st.binary(max_size=200))
def test_parsing_never_raises_anything_else(body: bytes) -> None:
    with contextlib.suppress(NotJson):
        assert isinstance(parse_payload(body), dict)


def test_large_payloads_are_deflated_small_ones_pass_and_bombs_are_refused() -> None:
    codec = DeflateCodec()
    small, large = Payload(data=b"x" * 100), Payload(metadata={"encoding": b"json/plain"}, data=b"line " * 50_000)
    encoded = asyncio.run(codec.encode([small, large]))
    assert encoded[0] == small
    assert len(encoded[1].data) < len(large.data) / 20
    assert asyncio.run(codec.decode(encoded)) == [small, large]
    noise = Payload(data=os.urandom(100_000))
    assert asyncio.run(codec.decode(asyncio.run(codec.encode([noise])))) == [noise]


def test_search_attributes_are_bounded() -> None:
    assert attributes.scalar("a\nb" + "x" * 500) == "a b" + "x" * 197
    items = attributes.held_items([f"{number:030d}" for number in range(120)])
    assert items[-1] == "+more"
    assert sum(len(item) for item in items) <= 1_500
    assert attributes.held_items(["A", "B", "A"]) == ["A", "B"]


def test_ids_hold_nothing_personal() -> None:
    assert ids.order_workflow_id("demo", "10432") == "order-demo-10432"
    for pair, order in (("Demo", "1"), ("demo", "a b"), ("demo", ""), ("d", "1")):
        with pytest.raises(ValueError, match="names no"):
            ids.order_workflow_id(pair, order)
    first = ids.customer_workflow_id("demo", "email:ann@example.com", b"secret")
    assert "ann" not in first
    assert first != ids.customer_workflow_id("demo", "email:ann@example.com", b"other")
    letter = ids.dead_letter_workflow_id("demo", "msg_1")
    assert letter == f"deadletter-demo-{hashlib.sha256(b'msg_1').hexdigest()[:32]}"


def test_every_error_of_the_outside_systems_becomes_one_that_temporal_understands() -> None:
    later = translate(RetryLater("Clarity", "GET x", "429", timedelta(seconds=7)), 1)
    assert isinstance(later, ApplicationError)
    assert (later.type, later.non_retryable) == (FailureType.UNAVAILABLE, False)
    assert later.next_retry_delay is not None
    # Never sooner; up to a tenth later, so that not all come back at the same moment.
    assert timedelta(seconds=7) <= later.next_retry_delay <= timedelta(seconds=7.7)
    for system, type_ in (("Sage gateway", FailureType.REFUSED_BY_SAGE), ("Clarity", FailureType.REFUSED_BY_CLARITY)):
        for kind in (Refused, AlreadyExists):
            final = translate(kind(system, "POST x", "no", status=422, field="ShipVia"), 1)
            assert isinstance(final, ApplicationError)
            assert (final.type, final.non_retryable) == (type_, True)
            assert final.details[0][0]["field"] == "ShipVia"
    lost = translate(Ambiguous("Sage gateway", "POST x", "lost"), 9)
    assert isinstance(lost, ApplicationError)
    assert not lost.non_retryable
    slow = translate(SignedOut("Clarity", "sign in", "refused"), 3)
    assert isinstance(slow, ApplicationError)
    assert slow.next_retry_delay is not None
    assert slow.next_retry_delay >= timedelta(seconds=60)
    away = translate(RPCError("connection refused", RPCStatusCode.UNAVAILABLE, b""), 50)
    assert isinstance(away, ApplicationError)
    assert (away.type, away.non_retryable) == (FailureType.UNAVAILABLE, False)
    ours = translate(RPCError("bad query", RPCStatusCode.INVALID_ARGUMENT, b""), 5)
    assert isinstance(ours, ApplicationError)
    assert (ours.type, ours.non_retryable) == (FailureType.INTERNAL_ERROR, True)
    attempts = [translate(KeyError("x"), attempt) for attempt in (1, 4, 5)]
    assert [isinstance(one, ApplicationError) and one.non_retryable for one in attempts] == [False, False, True]


def test_an_alert_tells_a_failure_by_type_and_place() -> None:
    def of(error: Exception, attempt: int = 5) -> str:
        translated = translate(error, attempt)
        assert isinstance(translated, FailureError)
        return in_short(translated)

    try:
        raise ValueError("12 Rose Street")
    except ValueError as error:
        assert re.fullmatch(r"ValueError in test_edges.py:\d+ \(test_\w+\)", of(error))
    refusal = Refused("Sage gateway", "POST x", "12 Rose Street: too long", status=422, field="AddressLine1")
    assert of(refusal) == "RefusedBySage in AddressLine1"
    assert of(RetryLater("Clarity", "GET x", "12 Rose Street")) == "Unavailable"
    assert in_short(CancelledError("12 Rose Street")) == "CancelledError"

    @failures_of_the_disk()
    def write() -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/12 Rose Street")

    with pytest.raises(ApplicationError) as full:
        ActivityEnvironment().run(write)
    assert in_short(full.value) == "OSError in REPORTS_DIR (No space left on device)"


async def test_an_error_that_nobody_foresaw_has_the_shape_of_every_error() -> None:
    app = create_app({}, cast(Client, None))

    @app.get("/bug")
    async def bug() -> None:
        raise KeyError("maria.gonzales@example.com")

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as caller:
        answer = await caller.get("/bug")
    assert answer.status_code == 500
    assert set(answer.json()) == {"error", "remedy"}
    assert "maria" not in answer.text


def test_bodies_are_quoted_in_one_short_line() -> None:
    assert quoted("<html>\n  busy\n" + "x" * 500) == "<html> busy " + "x" * 188 + "…"
