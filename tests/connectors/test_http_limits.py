"""HTTP on bad days: what answers mean by rule, limits, sign-ins shared, silence kept, secrets masked."""

import asyncio
import gzip
import heapq
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from temporalio.exceptions import ApplicationError

from activities.errors import translate
from connectors.errors import (
    AlreadyExists,
    Ambiguous,
    ConnectorError,
    NotFound,
    RecordInUse,
    Refused,
    RetryLater,
    SignedOut,
    TooManyRequests,
    quoted,
)
from connectors.http import ApiKey, BearerToken, CallLimits, JsonApi, SignIn, retry_after

KEY = "k3y-of-this-test"
QUICK = CallLimits(connect=1, read=0.5, total=1.0, answer_bytes=200_000)
Answer = Callable[[httpx.Request], httpx.Response]


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def explain(body: Any) -> tuple[str, str]:
    return str(body["message"]), str(body.get("field") or "")


def api_of(answer: Answer, sign_in: SignIn | None = None, clock: Clock | None = None) -> JsonApi:
    key = sign_in or ApiKey("X-API-Key", SecretStr(KEY))
    transport = httpx.MockTransport(answer)
    return JsonApi("Clarity", "http://store", key, explain, transport=transport, limits=QUICK, clock=clock or Clock())


def always(status: int, body: bytes | str = b"", **headers: str) -> Answer:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: httpx.Response(status, content=body, headers=names)


HTML = "<html><body>The server is busy.</body></html>"


@pytest.mark.parametrize(
    ("status", "body", "of_a_read", "of_a_write"),
    [
        (200, HTML, RetryLater, Ambiguous),
        (200, '{"id": "7", "items": [', RetryLater, Ambiguous),
        (200, '{"amount": NaN}', RetryLater, Ambiguous),
        (200, b"\xff\xfe\xfa", RetryLater, Ambiguous),
        (200, "[" * 100_000, RetryLater, Ambiguous),
        (200, b"1" * 300_000, RetryLater, Ambiguous),
        (302, "", RetryLater, Ambiguous),
        (408, "", RetryLater, RetryLater),
        (423, '{"message": "in use"}', RecordInUse, RecordInUse),
        (429, '{"message": "slower"}', TooManyRequests, TooManyRequests),
        (500, HTML, RetryLater, Ambiguous),
        (502, HTML, RetryLater, Ambiguous),
        (503, HTML, RetryLater, RetryLater),
        (404, '{"message": "no such order"}', NotFound, NotFound),
        (404, "", NotFound, NotFound),
        (404, HTML, RetryLater, RetryLater),
        (409, HTML, RetryLater, RetryLater),
        (409, '{"message": "exists"}', AlreadyExists, AlreadyExists),
        (422, '{"message": "no", "field": "ShipVia"}', Refused, Refused),
        (403, HTML, Refused, Refused),
        (400, "[" * 100_000, Refused, Refused),
    ],
)
async def test_what_an_answer_means(
    status: int, body: bytes | str, of_a_read: type[ConnectorError], of_a_write: type[ConnectorError]
) -> None:
    for method, kind in (("GET", of_a_read), ("POST", of_a_write)):
        api = api_of(always(status, body))
        with pytest.raises(kind) as caught:
            await api.call(method, "/x", body={} if method == "POST" else None)
        assert type(caught.value) is kind
        assert len(str(caught.value)) < 350
        await api.close()


async def test_answers_in_the_encoding_they_name() -> None:
    text = '{"name": "Grüße", "amount": 0.10}'
    for charset, body in (
        ("iso-8859-1", text.encode("latin-1")),
        ("utf-8", text.encode()),
        ("utf-8", text.encode("utf-8-sig")),
        ("utf-16", text.encode("utf-16")),
        ("no-such-charset", text.encode()),
    ):
        api = api_of(always(200, body, content_type=f"application/json; charset={charset}"))
        assert await api.call("GET", "/x") == (200, {"name": "Grüße", "amount": Decimal("0.10")})
        await api.close()


async def test_a_gzip_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(b'{"x": "' + b"0" * 50_000_000 + b'"}')
    api = api_of(always(200, bomb, content_encoding="gzip"))
    with pytest.raises(RetryLater, match="more than 200,000 bytes"):
        await api.call("GET", "/x")
    await api.close()
    small = api_of(always(200, gzip.compress(b'{"x": 1}'), content_encoding="gzip"))
    assert await small.call("GET", "/x") == (200, {"x": 1})
    await small.close()


@asynccontextmanager
async def server(pieces: Callable[[], AsyncIterator[bytes]]) -> AsyncIterator[str]:
    """A server that answers every request with these bytes, as they come."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            async for piece in pieces():
                writer.write(piece)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        listening.close()


async def drip() -> AsyncIterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n"
    while True:
        yield b"1"
        await asyncio.sleep(0.05)


async def flood() -> AsyncIterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n"
    while True:
        yield b"1" * 65_536


async def silence() -> AsyncIterator[bytes]:
    await asyncio.sleep(30)
    yield b""


@pytest.mark.parametrize(("pieces", "why"), [(drip, "TimeoutError"), (flood, "more than"), (silence, "ReadTimeout")])
async def test_every_call_ends_within_its_limits(pieces: Callable[[], AsyncIterator[bytes]], why: str) -> None:
    loop = asyncio.get_running_loop()
    async with server(pieces) as url:
        for method, kind in (("GET", RetryLater), ("POST", Ambiguous)):
            api = JsonApi("Clarity", url, ApiKey("X-API-Key", SecretStr(KEY)), explain, limits=QUICK)
            began = loop.time()
            with pytest.raises(kind, match=why):
                await api.call(method, "/x")
            assert loop.time() - began < QUICK.total + 2
            await api.close()


# ---- Retry-After --------------------------------------------------------------------------------------------------


def header(value: str, date: datetime | None = None) -> httpx.Response:
    dated = [(b"Date", format_datetime(date, usegmt=True).encode())] if date else []
    return httpx.Response(429, headers=[(b"Retry-After", value.encode("latin-1")), *dated])


def test_retry_after_in_seconds_as_a_date_and_as_nonsense() -> None:
    assert retry_after(header("120")) == timedelta(seconds=120)
    wrong_clock = datetime(2020, 1, 1, 12, 0, 0, tzinfo=UTC)
    later = format_datetime(wrong_clock + timedelta(seconds=90), usegmt=True)
    assert retry_after(header(later, wrong_clock)) == timedelta(seconds=90), "measured on the other side's clock"
    for huge in ("86401", "1795000000", "9" * 5_000, "Fri, 31 Dec 9999 23:59:59 GMT"):
        assert retry_after(header(huge)) == timedelta(days=1), huge
    past = format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True)
    for nothing in ("", "0", "-5", "1.5", "soon", "²", past, "Fri, 99 Foo 2026 99:99:99 GMT", "Wed, 21 Oct"):
        assert retry_after(header(nothing)) is None, nothing
    assert retry_after(httpx.Response(503)) is None


async def test_what_a_429_told_one_caller_counts_for_all() -> None:
    clock, calls = Clock(), []

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(clock.now)
        if len(calls) == 1:
            return httpx.Response(429, headers={"Retry-After": "60"})
        return httpx.Response(200, json={})

    api = api_of(answer, clock=clock)
    with pytest.raises(TooManyRequests):
        await api.call("GET", "/x")
    for passed in (0.0, 30.0, 29.9):
        clock.now += passed
        with pytest.raises(TooManyRequests) as early:
            await api.call("POST", "/y", body={})
        assert early.value.retry_after == timedelta(seconds=1060 - clock.now)
    clock.now = 1060.0
    await api.call("POST", "/y", body={})
    assert calls == [1000.0, 1060.0]
    await api.close()


async def test_through_two_hours_of_429s_no_call_is_made_before_the_moment_told() -> None:
    """Thirty orders repeat as Temporal repeats them; the store's clock is seven minutes behind."""
    draw, clock, orders = random.Random(429), Clock(), 30  # noqa: S311
    began, ends, wall = clock.now, clock.now + 7_200, datetime(2026, 11, 26, 23, 0, tzinfo=UTC)
    calls: list[tuple[float, float]] = []
    """When, and until when the store then wanted silence."""

    def answer(_: httpx.Request) -> httpx.Response:
        store_now = (wall + timedelta(seconds=clock.now - began)).replace(microsecond=0)
        if clock.now >= ends:
            calls.append((clock.now, 0.0))
            return httpx.Response(200, json={})
        seconds = draw.choice([1, 2, 30, 60, 900])
        calls.append((clock.now, clock.now + seconds))
        moment = format_datetime(store_now + timedelta(seconds=seconds), usegmt=True)
        told = str(seconds) if draw.random() < 0.5 else moment
        return httpx.Response(429, headers={"Retry-After": told, "Date": format_datetime(store_now, usegmt=True)})

    api = api_of(answer, clock=clock)
    due = [(began + number / 10, number) for number in range(orders)]
    heapq.heapify(due)
    repeats = Counter[int]()
    while due:
        clock.now, order = heapq.heappop(due)
        try:
            await api.call("POST", "/x", body={})
        except TooManyRequests as error:
            repeats[order] += 1
            repeat = translate(error, repeats[order])
            assert isinstance(repeat, ApplicationError)
            assert repeat.next_retry_delay is not None
            heapq.heappush(due, (clock.now + repeat.next_retry_delay.total_seconds(), order))
    await api.close()
    told = 0.0
    for moment, until in calls:
        assert moment >= told
        told = max(told, until)
    refused = [moment for moment, until in calls if until]
    assert len(refused) > 20
    assert refused[-1] > ends - 1_000
    assert len(calls) - len(refused) == orders, "each is done once, at the end"
    assert len(repeats) == orders


async def test_a_429_to_a_sign_in_counts_for_every_call() -> None:
    store = Store()
    store.broken = httpx.Response(429, headers={"Retry-After": "30"})
    assert {type(one) for one in await store.fifty()} == {TooManyRequests}
    store.clock.now += 29
    assert {type(one) for one in await store.fifty()} == {TooManyRequests}
    assert store.sign_ins == 1
    store.broken = None
    store.clock.now += 1
    assert await store.fifty() == [(200, {})] * 50


# ---- signing in -----------------------------------------------------------------------------------------------------


class Store:
    """A store with tokens; `broken` answers sign-ins instead of it."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.sign_ins = 0
        self.broken: httpx.Response | None = None
        token = BearerToken(
            "Clarity",
            lambda: httpx.Request("POST", "http://store/token", json={"secret": "sesame-street"}),
            lambda body: (str(body["token"]), float(body["lifetime"])),
            SecretStr("sesame-street"),
            clock=self.clock,
        )
        self.api = api_of(lambda _: httpx.Response(500), token, self.clock)
        self.api._client = httpx.AsyncClient(base_url="http://store", transport=httpx.MockTransport(self.answer))

    async def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/token":
            self.sign_ins += 1
            # Others come meanwhile.
            await asyncio.sleep(0)
            return self.broken or httpx.Response(200, json={"token": f"token-{self.sign_ins}", "lifetime": 100})
        if request.headers["Authorization"] != f"Bearer token-{self.sign_ins}":
            return httpx.Response(401)
        return httpx.Response(200, json={})

    async def fifty(self) -> list[Any]:
        return await asyncio.gather(*(self.api.call("GET", "/x") for _ in range(50)), return_exceptions=True)


async def test_fifty_calls_refresh_a_token_once_per_expiry() -> None:
    store = Store()
    for expected in (1, 2, 3):
        assert await store.fifty() == [(200, {})] * 50
        assert store.sign_ins == expected
        store.clock.now += 91
    store.clock.now -= 91
    # Forgotten on the other side before its time: renewed once, too.
    store.api._sign_in._token = "token-of-yesterday"  # type: ignore[attr-defined]
    assert await store.fifty() == [(200, {})] * 50
    assert store.sign_ins == 4


async def test_fifty_calls_share_a_sign_in_that_fails() -> None:
    store = Store()
    store.broken = httpx.Response(503, headers={"Retry-After": "30"}, text=HTML)
    results = await store.fifty()
    assert {type(one) for one in results} == {RetryLater}
    assert {one.retry_after for one in results} == {timedelta(seconds=30)}
    assert store.sign_ins == 1


async def test_refused_credentials_are_not_sent_again_and_again() -> None:
    store = Store()
    store.broken = httpx.Response(401)
    for _ in range(3):
        assert {type(one) for one in await store.fifty()} == {SignedOut}
    assert store.sign_ins == 1
    store.clock.now += 61
    store.broken = None
    assert await store.fifty() == [(200, {})] * 50


async def test_a_call_that_is_given_up_does_not_take_the_sign_in_of_others_with_it() -> None:
    store = Store()
    first = asyncio.create_task(store.api.call("GET", "/x"))
    other = asyncio.create_task(store.api.call("GET", "/x"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    first.cancel()
    assert await other == (200, {})
    assert store.sign_ins == 1


@pytest.mark.parametrize("body", [{}, {"token": "", "lifetime": 9}, {"token": "t", "lifetime": "inf"}, [], "x"])
async def test_an_answer_without_a_token_that_lives_is_tried_again(body: object) -> None:
    store = Store()
    store.broken = httpx.Response(200, json=body)
    assert {type(one) for one in await store.fifty()} == {RetryLater}


# ---- secrets --------------------------------------------------------------------------------------------------------


async def test_errors_show_no_secret_that_the_other_side_echoes() -> None:
    for body in (
        f"You sent X-API-Key {KEY} to us",
        json.dumps({"message": f"bad key {KEY}", "field": KEY}),
        json.dumps({"request": {"Password": "hunter2-hunter2", "access_token": "abcdefghijkl"}}),
        "Authorization: Bearer abcdefghijklmnop",
        "x" * 195 + KEY,
    ):
        for status in (200, 400, 422, 500, 503):
            if status == 200 and body.startswith("{"):
                continue
            api = api_of(always(status, body))
            with pytest.raises(ConnectorError) as caught:
                await api.call("GET", "/x")
            shown = str(caught.value) + getattr(caught.value, "field", "")
            for secret in (KEY[:5], "hunter2", "abcdefgh"):
                assert secret not in shown, (status, body)
            await api.close()


def test_what_looks_like_a_secret_is_masked_and_the_rest_stays() -> None:
    masked: Mapping[str, str] = {
        "Login failed; UID=sa;PWD=s3cret;Server=x": "Login failed; UID=sa;PWD=***;Server=x",
        '{"ClientSecret": "abc def", "ShipVia": "UPS"}': '{"ClientSecret": ***, "ShipVia": "UPS"}',
        "client_secret=abc&scope=x": "client_secret=***&scope=x",
        "ShipVia is not on file": "ShipVia is not on file",
    }
    for text, shown in masked.items():
        assert quoted(text) == shown
