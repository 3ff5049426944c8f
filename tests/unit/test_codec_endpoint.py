"""The codec endpoint: who may decode, from which pages, how much, and what is told when a key is missing."""

import asyncio
import base64
import json
import threading
import zlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import Client
from temporalio.converter import DataConverter, PayloadCodec

from api.app import create_app
from api.keys import KeyRing, Scope, add_key, revoke_key
from tests.support.processes import free_ports
from workers.encryption_keys import new_key, parse_keys
from workers.plugin import data_converter, integration_plugin

KEY, OLDER = new_key("2026-11"), new_key("2026-05")
UI = "https://temporal.example.com"
STREET = "1515 Bellevue Avenue"
Make = Callable[..., str]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """API_KEYS_FILE, not there yet."""
    return tmp_path / "keys.json"


@pytest.fixture
def make(file: Path) -> Make:
    """Makes an API key."""

    def made(*scopes: Scope) -> str:
        name = f"key-{len(list(scopes))}-{'-'.join(sorted(scopes))}"
        return add_key(file, name, frozenset(scopes), None, datetime.now(UTC))[1]

    return made


async def an_api(
    keys: Path | None, base_url: str = "http://127.0.0.1:8080", payload_keys: str = KEY
) -> httpx.AsyncClient:
    """The API without a Temporal; the endpoint needs none."""
    plugin = integration_plugin(keys=parse_keys(payload_keys))
    client = await Client.connect(f"127.0.0.1:{free_ports(1)[0]}", lazy=True, plugins=[plugin])
    app = create_app({}, client, KeyRing(keys), [UI])
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=base_url)


async def encoded(key: str = KEY, text: str = STREET) -> dict[str, object]:
    """A payload as it is stored, in the JSON that Temporal sends."""
    (payload,) = await data_converter(parse_keys(key)).encode([text])
    return as_json(payload)


def as_json(payload: Payload) -> dict[str, object]:
    metadata = {name: base64.b64encode(value).decode() for name, value in payload.metadata.items()}
    return {"metadata": metadata, "data": base64.b64encode(payload.data).decode()}


def contents(answer: httpx.Response) -> list[object]:
    assert answer.status_code == 200, answer.text
    return [json.loads(base64.b64decode(payload["data"])) for payload in answer.json()["payloads"]]


async def test_it_decodes_what_workers_encode_and_encodes_what_they_decode(file: Path, make: Make) -> None:
    headers = {"authorization": f"Bearer {make(Scope.DECODE)}"}
    plain = {"metadata": {"encoding": "anNvbi9wbGFpbg=="}, "data": base64.b64encode(b'"plain"').decode()}
    async with await an_api(file) as api:
        large = await encoded(text="lines " * 30_000)
        body = {"payloads": [await encoded(), plain, large]}
        answer = await api.post("/codec/decode", json=body, headers=headers)
        assert contents(answer) == [STREET, "plain", "lines " * 30_000]
        assert answer.headers["cache-control"] == "no-store"
        sealed = await api.post("/codec/encode", json={"payloads": [plain]}, headers=headers)
        assert sealed.json()["payloads"][0]["metadata"]["encryption-key-id"] == base64.b64encode(b"2026-11").decode()
        back = await api.post("/codec/decode", content=sealed.content, headers=headers)
        assert contents(back) == ["plain"]


async def test_without_encryption_deflated_payloads_are_decoded(file: Path, make: Make) -> None:
    async with await an_api(file, payload_keys="") as api:
        payload = await encoded("", "lines " * 30_000)
        assert payload["metadata"] == {"encoding": base64.b64encode(b"binary/zlib").decode()}
        key = make(Scope.DECODE)
        answer = await api.post("/codec/decode", json={"payloads": [payload]}, headers={"x-api-key": key})
        assert contents(answer) == ["lines " * 30_000]


async def test_a_key_of_its_own_scope_is_needed_and_opens_nothing_else(file: Path, make: Make) -> None:
    decoding, others = make(Scope.DECODE), make(Scope.READ, Scope.OPERATE)
    async with await an_api(file) as api:
        for path in ("/codec/decode", "/codec/encode"):
            assert (await api.post(path, json={})).status_code == 401
            refused = await api.post(path, json={}, headers={"x-api-key": others})
            assert refused.status_code == 403
            assert "--scope decode" in refused.json()["remedy"]
            assert (await api.post(path, json={}, headers={"x-api-key": decoding})).status_code == 200
        assert (await api.get("/openapi.json", headers={"x-api-key": decoding})).status_code == 403
        assert (await api.post("/orders/demo/1/restart", headers={"x-api-key": decoding})).status_code == 403


async def test_a_missing_key_is_named(file: Path, make: Make) -> None:
    async with await an_api(file) as api:
        body = {"payloads": [await encoded(OLDER)]}
        answer = await api.post("/codec/decode", json=body, headers={"x-api-key": make(Scope.DECODE)})
        assert answer.status_code == 422
        assert "'2026-05'" in answer.json()["error"]
        assert "ENCRYPTION_KEYS" in answer.json()["error"]


@pytest.mark.parametrize(
    "body", [b"", b"[1]", b"{", b'{"payloads": 1}', b'{"payloads": [{"data": 1}]}', b'[{"payloads": []}]', b"\xff"]
)
async def test_what_is_no_list_of_payloads_is_refused(body: bytes, file: Path, make: Make) -> None:
    async with await an_api(file) as api:
        answer = await api.post("/codec/decode", content=body, headers={"x-api-key": make(Scope.DECODE)})
        assert answer.status_code == 422
        assert answer.json()["remedy"]


async def test_a_body_has_a_limit_and_what_inflates_has_one(
    file: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = {"x-api-key": make(Scope.DECODE)}
    async with await an_api(file) as api:
        beyond = b" " * (8 * 1024 * 1024 + 1)
        assert (await api.post("/codec/decode", content=beyond, headers=headers)).status_code == 413
        assert (await api.post("/codec/decode", content=b"{}".ljust(4_000_000), headers=headers)).status_code == 200
        monkeypatch.setattr("api.codec.LIMIT_BYTES", 1_000_000)
        inner = Payload(data=b"0" * 400_000).SerializeToString()
        bomb = as_json(Payload(metadata={"encoding": b"binary/zlib"}, data=zlib.compress(inner)))
        for count, status in ((2, 200), (3, 422)):
            answer = await api.post("/codec/decode", json={"payloads": [bomb] * count}, headers=headers)
            assert answer.status_code == status
        # A single one is not inflated beyond the limit before it is looked at.
        inner = Payload(data=b"0" * 2_000_000).SerializeToString()
        bomb = as_json(Payload(metadata={"encoding": b"binary/zlib"}, data=zlib.compress(inner)))
        answer = await api.post("/codec/decode", json={"payloads": [bomb]}, headers=headers)
        assert answer.status_code == 422
        assert "a payload inflates to more than 1000000 bytes" in answer.json()["error"]
        broken = as_json(Payload(metadata={"encoding": b"binary/zlib"}, data=b"no zlib"))
        answer = await api.post("/codec/decode", json={"payloads": [broken]}, headers=headers)
        assert answer.status_code == 422


class Slow(PayloadCodec):
    """Takes its time; notes in which thread, and how many were at work at once."""

    def __init__(self) -> None:
        self.threads: list[int] = []
        self.at_work = self.most_at_work = 0
        self.go_on = threading.Event()

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return await self.decode(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        self.threads.append(threading.get_ident())
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        assert self.go_on.wait(5)
        self.at_work -= 1
        return list(payloads)


async def test_payloads_are_decoded_one_request_at_a_time_while_the_api_goes_on() -> None:
    slow = Slow()
    client = await Client.connect("127.0.0.1:1", lazy=True, data_converter=DataConverter(payload_codec=slow))
    app = create_app({}, client, None)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8080") as api:
        body = {"payloads": [as_json(Payload(data=b"x"))]}
        asked = [asyncio.create_task(api.post(f"/codec/{what}", json=body)) for what in ("decode", "encode", "decode")]
        assert (await api.get("/healthz")).status_code == 200
        slow.go_on.set()
        assert [answer.status_code for answer in await asyncio.gather(*asked)] == [200] * 3
    assert len(slow.threads) == 3
    assert threading.get_ident() not in slow.threads
    assert slow.most_at_work == 1


# ---- browsers -------------------------------------------------------------------------------------------------------


def preflight(origin: str) -> dict[str, str]:
    asked = "authorization,content-type,x-namespace"
    return {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": asked,
        "sec-fetch-site": "cross-site",
    }


async def test_pages_of_the_web_ui_may_ask_and_no_others(file: Path, make: Make) -> None:
    key = make(Scope.DECODE)
    async with await an_api(file) as api:
        allowed = await api.options("/codec/decode", headers=preflight(UI))
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == UI
        assert allowed.headers["access-control-allow-credentials"] == "true"
        # The page must be able to read why it is refused.
        assert (await api.post("/codec/decode", json={}, headers={"origin": UI})).headers["access-control-allow-origin"]
        for origin in ("https://shop.example", "null", UI + ".example", UI.replace("https", "http")):
            refused = await api.options("/codec/decode", headers=preflight(origin))
            assert refused.status_code == 400
            assert "access-control-allow-origin" not in refused.headers
            answer = await api.post("/codec/decode", json={}, headers={"origin": origin, "x-api-key": key})
            assert "access-control-allow-origin" not in answer.headers
        elsewhere = await api.options("/orders/demo/1", headers=preflight(UI))
        assert "access-control-allow-origin" not in elsewhere.headers


async def test_a_browser_signs_in_once_with_a_key(file: Path, make: Make) -> None:
    decoding, reading = make(Scope.DECODE), make(Scope.READ)
    async with await an_api(file, "https://api.example.com") as api:
        page = await api.get("/codec/sign-in")
        assert page.status_code == 200
        assert "default-src 'none'" in page.headers["content-security-policy"]
        for wrong in ("", "csk_no", reading, "é" * 300):
            refused = await api.post("/codec/sign-in", data={"key": wrong})
            assert refused.status_code == 403
            assert "set-cookie" not in refused.headers
        signed_in = await api.post("/codec/sign-in", data={"key": decoding})
        assert signed_in.status_code == 200
        assert decoding not in signed_in.text
        cookie = signed_in.headers["set-cookie"]
        for part in ("HttpOnly", "Path=/codec/", "SameSite=strict", "Secure", "Max-Age=28800"):
            assert part in cookie
        body = {"payloads": [await encoded()]}
        assert contents(await api.post("/codec/decode", json=body, headers={"origin": UI})) == [STREET]
        # The cookie opens nothing else, and goes with its key.
        presented = {"cookie": f"codec_key={decoding}"}
        assert (await api.get("/openapi.json", headers=presented)).status_code == 401
        revoke_key(file, "key-1-decode")
        assert (await api.post("/codec/decode", json=body)).status_code == 401


@pytest.mark.parametrize(
    ("headers", "secure"),
    [
        ({}, False),
        ({"host": "localhost:8080", "origin": "http://localhost:8080", "sec-fetch-site": "same-origin"}, False),
        ({"host": "api.example.com"}, True),
        ({"host": "api.example.com", "x-forwarded-proto": "https", "x-forwarded-for": "203.0.113.9"}, True),
        # A proxy that says nothing of itself (nginx: proxy_pass http://127.0.0.1:8080, as it comes).
        ({"origin": "https://api.example.com", "sec-fetch-site": "same-origin"}, True),
    ],
)
async def test_behind_a_proxy_with_tls_the_cookie_travels_over_tls_alone(
    headers: dict[str, str], secure: bool, file: Path, make: Make
) -> None:
    async with await an_api(file) as api:
        signed_in = await api.post("/codec/sign-in", data={"key": make(Scope.DECODE)}, headers=headers)
    assert signed_in.status_code == 200
    assert ("; Secure" in signed_in.headers["set-cookie"]) is secure


async def test_without_keys_this_machine_and_its_web_ui_are_served(file: Path) -> None:
    async with await an_api(file) as api:
        body = {"payloads": [await encoded()]}
        assert contents(await api.post("/codec/decode", json=body)) == [STREET]
        from_ui = {"origin": UI, "sec-fetch-site": "cross-site"}
        assert contents(await api.post("/codec/decode", json=body, headers=from_ui)) == [STREET]
        for more in (
            {"origin": "https://shop.example"},
            {"sec-fetch-site": "cross-site"},
            {**from_ui, "host": "shop.example"},
            {**from_ui, "x-forwarded-for": "203.0.113.9"},
        ):
            assert (await api.post("/codec/decode", json=body, headers=more)).status_code == 401, more
        # What the Web UI may ask is /codec, nothing else.
        assert (await api.get("/openapi.json", headers=from_ui)).status_code == 401
        assert (await api.post("/codec/sign-in", data={"key": "x"})).status_code == 403


async def test_any_route_that_meets_a_missing_key_says_so(file: Path, make: Make) -> None:
    app = create_app({}, await Client.connect("127.0.0.1:1", lazy=True), KeyRing(file), [UI])

    @app.get("/meets-it")
    async def meets_it() -> None:
        await data_converter(parse_keys(KEY)).decode(await data_converter(parse_keys(OLDER)).encode([STREET]))

    key = make(Scope.READ)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8080") as api:
        answer = await api.get("/meets-it", headers={"x-api-key": key})
    assert answer.status_code == 503
    assert "'2026-05'" in answer.json()["error"]
    assert STREET not in answer.text
