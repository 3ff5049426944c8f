"""Generated deliveries against the real API over HTTP (`make test-all`: 1,200): nothing unsigned starts anything.

`WEBHOOK_SEED` repeats a run; the seed is printed. What is signed here is signed from the standard's text.
"""

import asyncio
import base64
import contextlib
import gzip
import hashlib
import hmac
import json
import os
import random
import socket
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from temporalio.testing import WorkflowEnvironment

from api.edge import PairEdge
from tests.support.api_server import serving
from tests.support.processes import free_ports
from tests.support.sizes import LARGE
from tests.workflows.conftest import PAIR, payload_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

OLD, NEW, OTHERS = b"old-secret-of-the-pair-01", b"new-secret-of-the-pair-01", b"secret-of-another-pair-01"
EDGES = {
    "demo": PairEdge(PAIR, (NEW, OLD)),
    "other": PairEdge(PAIR.model_copy(update={"name": "other"}), (OTHERS,)),
    "quiet": PairEdge(PAIR.model_copy(update={"name": "quiet"}), (NEW, OLD)),
}
UNSIGNED, SIGNED = (900, 300) if LARGE else (250, 200)
Headers = list[tuple[bytes, bytes]]


def signed(body: bytes, key: bytes = NEW, *, id_: str | None = None, at: int | None = None) -> Headers:
    """Standard Webhooks 1.0."""
    id_, stamp = id_ or f"msg_{os.urandom(8).hex()}", str(int(time.time()) if at is None else at)
    digest = hmac.new(key, f"{id_}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return [
        (b"webhook-id", id_.encode()),
        (b"webhook-timestamp", stamp.encode()),
        (b"webhook-signature", b"v1," + base64.b64encode(digest)),
    ]


def nonsense(draw: random.Random, depth: int = 0) -> Any:
    """Any JSON, the ugly kinds often."""
    kind = draw.randrange(6 if depth < 4 else 4)
    if kind == 0:
        return draw.choice([None, True, 0, -1, 10**30, 1.5, 1e308, -0.0])
    if kind in (1, 2):
        return draw.choice(
            ["", "x" * draw.randrange(3000), "\x00\x07", "\ud800", "ü€😀", "4111111111111111", "1e9", "\u2066"]
        )
    if kind == 3:
        return draw.choice(["order.created", "order.updated", "order.cancelled", "Cancelled", "2026-13-45", "USD"])
    if kind == 4:
        return [nonsense(draw, depth + 1) for _ in range(draw.randrange(5))]
    return {str(nonsense(draw, 4))[:40]: nonsense(draw, depth + 1) for _ in range(draw.randrange(5))}


def a_body(draw: random.Random, order_id: str) -> bytes:
    """An order with damage, or nonsense, or no JSON at all."""
    event = payload_of("02-known-web-customer")
    event["data"]["id"] = order_id
    kind = draw.randrange(6)
    if kind <= 2:
        for _ in range(draw.randrange(1, 6)):
            place = draw.choice([event, event["data"], event["data"]["totals"], event["data"]["customer"]])
            if isinstance(place, dict) and place:
                place[draw.choice(list(place))] = nonsense(draw)
            if not isinstance(event.get("data"), dict) or not {"totals", "customer"} <= event["data"].keys():
                break
    elif kind == 3:
        event = {"type": draw.choice(["order.created", "order.exploded", 7, None]), "data": nonsense(draw)}
    body = json.dumps(event).encode()
    if kind == 4:
        body = body[: draw.randrange(len(body))] + draw.randbytes(draw.randrange(20))
    elif kind == 5:
        body = draw.choice(
            [b"", b"[" * 5000, b'{"a":' * 60 + b"1" + b"}" * 60, gzip.compress(body), draw.randbytes(300)]
        )
    return body


def forged(draw: random.Random, body: bytes) -> Headers:
    """Headers that prove nothing."""
    headers = signed(body, draw.randbytes(24))
    good = signed(body)
    kind = draw.randrange(12)
    if kind == 0:
        return []
    if kind == 1:
        del headers[draw.randrange(3)]
    elif kind == 2:
        headers = signed(body, at=int(time.time()) + draw.choice([-301, 310, -(10**6), 10**6]))
    elif kind == 3:
        headers = signed(body + b" ")
    elif kind == 4:
        headers = signed(body, OTHERS)
    elif kind == 5:
        headers[draw.randrange(3)] = (headers[0][0], bytes(draw.choices(range(128, 256), k=30)))
    elif kind == 6:
        headers[2] = (b"webhook-signature", b" ".join(b"v1," + base64.b64encode(draw.randbytes(32)) for _ in range(40)))
    elif kind == 7:
        headers[2] = (b"webhook-signature", b"v1," + b"A" * draw.choice([3000, 30_000]))
    elif kind == 8:
        # Each header is good, and one comes twice.
        headers = [*good, (good[draw.randrange(2)][0], b"1")]
    elif kind == 9:
        headers = [
            *good[:2],
            (b"webhook-signature", good[2][1].replace(b"v1,", draw.choice([b"v2,", b"V1,", b"v1 ", b""]))),
        ]
    elif kind == 10:
        headers = [(good[0][0], b"another"), *good[1:]]
    else:
        headers[1] = (b"webhook-timestamp", draw.choice([b"-1", b"1e9", b"9" * 400, b"0x1", b"\xb2\xb3", b"NaN", b""]))
    return headers


@pytest.fixture(scope="module")
def seed() -> int:
    """Of this run."""
    chosen = int(os.environ.get("WEBHOOK_SEED") or random.SystemRandom().randrange(10**9))
    print(f"WEBHOOK_SEED={chosen}")
    return chosen


@pytest.fixture(scope="module")
def api_url(env: WorkflowEnvironment) -> Iterator[str]:
    """The API before the real server; no worker runs."""
    with serving(EDGES, env.client.service_client.config.target_host) as address:
        yield address


async def workflows(env: WorkflowEnvironment, pair: str) -> int:
    return (await env.client.count_workflows(f"Pair='{pair}'")).count


async def is_known(env: WorkflowEnvironment, order_id: str) -> bool:
    try:
        await env.client.get_workflow_handle(f"order-quiet-{order_id}").describe()
    except Exception:
        return False
    return True


async def test_unsigned_and_wrongly_signed_deliveries_start_nothing(
    env: WorkflowEnvironment, api_url: str, seed: int
) -> None:
    draw, answers, ids = random.Random(seed), Counter[int](), []  # noqa: S311
    async with httpx.AsyncClient(base_url=api_url, timeout=30) as client:
        for number in range(UNSIGNED):
            ids.append(f"u{seed}-{number}")
            good = json.dumps({**payload_of("02-known-web-customer"), "n": number}).encode()
            body = a_body(draw, ids[-1]) if number % 2 else good.replace(b"10002", ids[-1].encode(), 1)
            answer = await client.post("/webhooks/clarity/quiet", content=body, headers=forged(draw, body))
            answers[answer.status_code] += 1
            assert answer.status_code == 401, (seed, number, answer.status_code, answer.text)
            assert answer.json()["error"]
    print(dict(answers))
    assert not any([await is_known(env, order_id) for order_id in ids])
    assert await workflows(env, "quiet") == 0


async def test_signed_nonsense_is_kept_or_refused_by_rule(env: WorkflowEnvironment, api_url: str, seed: int) -> None:
    draw, answers = random.Random(seed + 1), Counter[str]()  # noqa: S311
    async with httpx.AsyncClient(base_url=api_url, timeout=30) as client:
        for number in range(SIGNED):
            body = a_body(draw, f"s{seed}-{number}")
            if number % 100 == 99:
                body += b" " * 1024 * 1024
            headers = signed(body, draw.choice([OLD, NEW]))
            answer = await client.post("/webhooks/clarity/demo", content=body, headers=headers)
            answers[f"{answer.status_code} {answer.json().get('result', '')}"] += 1
            assert answer.status_code in (202, 400, 413), (seed, number, answer.status_code, answer.text)
    print(dict(answers))
    assert {"202 dead_letter", "202 started", "400 ", "413 "} <= set(answers)


async def test_secrets_are_a_pairs_own_and_both_count_while_rotating(env: WorkflowEnvironment, api_url: str) -> None:
    body = b'{"type": "order.exploded"}'
    async with httpx.AsyncClient(base_url=api_url, timeout=30) as client:
        for pair, key, status in (
            ("demo", NEW, 202),
            ("demo", OLD, 202),
            ("demo", OTHERS, 401),
            ("other", OTHERS, 202),
            ("other", NEW, 401),
        ):
            answer = await client.post(f"/webhooks/clarity/{pair}", content=body, headers=signed(body, key))
            assert answer.status_code == status, (pair, key)
        headers = signed(body)
        apart = [*headers[:2], (b"webhook-signature", b"v1,AAAA"), headers[2]]
        assert (await client.post("/webhooks/clarity/demo", content=body, headers=apart)).status_code == 202
        packed = gzip.compress(body)
        more = [*signed(packed), (b"content-encoding", b"gzip")]
        answer = await client.post("/webhooks/clarity/demo", content=packed, headers=more)
        assert answer.status_code == 400
        assert "uncompressed" in answer.json()["remedy"]


def exchange(address: str, request: bytes, hang_up: bool) -> bytes:
    """Raw bytes over one connection; `hang_up`: the sender says that no more will come."""
    place = urlsplit(address)
    with socket.create_connection((place.hostname or "", place.port or 0), timeout=10) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(request)
        if hang_up:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        # A server that has heard enough may cut the connection.
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(65536):
                answer += part
    return answer


async def test_lengths_that_lie_and_chunks_are_bounded(env: WorkflowEnvironment, api_url: str) -> None:
    body = b'{"type": "order.exploded"}'
    lines = b"\r\n".join(name + b": " + value for name, value in signed(body))
    head = b"POST /webhooks/clarity/demo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + lines + b"\r\n"

    async def status(rest: bytes, hang_up: bool = False) -> bytes:
        answer = await asyncio.to_thread(exchange, api_url, head + rest, hang_up)
        return answer.split(b"\r\n")[0].split(b" ")[1] if answer else b""

    chunked = b"Transfer-Encoding: chunked\r\n\r\n"
    assert await status(chunked + b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n") == b"202"
    # Announced as too large: answered without a byte of the body.
    assert await status(b"Content-Length: 1048577\r\n\r\n") == b"413"
    assert await status(b"Content-Length: 99999999999999999999\r\n\r\n") in (b"413", b"400")
    # Never announced, and too large.
    assert await status(chunked + (b"10000\r\n" + b" " * 0x10000 + b"\r\n") * 17 + b"0\r\n\r\n") == b"413"
    # Shorter than announced: the signature does not fit, or nobody is left to answer.
    assert await status(b"Content-Length: 500\r\n\r\n" + body, hang_up=True) in (b"", b"400", b"401")
    # Longer than announced: what was announced is all that counts.
    assert await status(b"Content-Length: 5\r\n\r\n" + body) == b"401"
    assert await status(b"Content-Length: -1\r\n\r\n" + body) == b"400"
    assert await status(b"Content-Length: %d\r\nX: %s\r\n\r\n" % (len(body), b"h" * 200_000) + body) in (
        b"",
        b"400",
        b"431",
    )


@pytest.mark.parametrize("how", ["stopped", "silent"])
async def test_without_temporal_the_sender_is_told_to_come_again(how: str) -> None:
    body = json.dumps(payload_of("02-known-web-customer")).encode()
    with socket.socket() as silent:
        # Stopped: nobody listens. Silent: connections are taken, and nothing is ever said.
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1] if how == "silent" else free_ports(1)[0]
        with serving(EDGES, f"127.0.0.1:{port}") as address:
            # The time limit is the deadline of the promise: 5 s for Temporal, and some for a busy machine.
            async with httpx.AsyncClient(base_url=address, timeout=12) as client:
                answer = await client.post("/webhooks/clarity/demo", content=body, headers=signed(body))
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
                assert answer.json()["remedy"]
