"""The codec endpoint: payloads as people read them, for Temporal's Web UI and CLI (`--codec-endpoint …/codec`).

In: `Payloads` as Temporal's remote codecs speak them (protobuf's JSON), behind a key of scope `decode`. Out: the same,
decoded or encoded by the very chain that the workers use. A browser cannot send a header from the Web UI without
single sign-on; it signs in here once with a key and keeps it in a cookie that no script can read and that only pages of
the same site send (`SameSite=Strict`).
"""

import asyncio
import html
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from urllib.parse import parse_qs

from fastapi import FastAPI, Request
from google.protobuf import json_format
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Connection
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.client import Client
from temporalio.converter import PayloadCodec

from api.access import CODEC, CODEC_SIGN_IN, KEY_COOKIE, reason_not_local
from api.edge import EdgeError, errors
from api.keys import KeyRing, KeysFileError, Scope, now
from api.problem import Problem
from workers.codec import CodecChain, UndecodablePayload

log = logging.getLogger(__name__)

LIMIT_BYTES: Final = 16 * 1024 * 1024
"""What one request may decode to; an answer costs several times that for a moment. An order comes in at most 1 MB."""
SIGNED_IN_SECONDS: Final = 8 * 3600
"""A working day; then the cookie is gone."""
SENT_HEADERS: Final = ("Authorization", "Authorization-Extras", "Content-Type", "X-API-Key", "X-Namespace")
"""What the Web UI may send along."""
Convert = Callable[[Sequence[Payload]], Awaitable[list[Payload]]]
PAYLOADS: Final = {
    "type": "object",
    "properties": {
        "payloads": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "metadata": {"type": "object", "additionalProperties": {"type": "string", "format": "byte"}},
                    "data": {"type": "string", "format": "byte"},
                },
            },
        }
    },
}


class CodecCors:
    """Answers browsers for /codec alone, and only pages of the Web UI's origins."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._shared = CORSMiddleware(
            app,
            allow_origins=tuple(origins),
            allow_credentials=True,
            allow_methods=("POST",),
            allow_headers=SENT_HEADERS,
            max_age=3600,
        )

    async def __call__(self, connection: Connection, receive: Receive, send: Send) -> None:
        """ASGI."""
        is_codec = connection["type"] == "http" and connection["path"].startswith(CODEC)
        await (self._shared if is_codec else self._app)(connection, receive, send)


def add_codec(app: FastAPI, client: Client, keys: KeyRing | None) -> None:
    """The routes below /codec; the codec is the client's, as the plugin made it."""
    described = {
        "requestBody": {"required": True, "content": {"application/json": {"schema": PAYLOADS}}},
        "responses": {"200": {"content": {"application/json": {"schema": PAYLOADS}}}},
    }

    turn = asyncio.Lock()
    """One request after the other; megabytes are decoded in a thread, while webhooks go on."""

    async def answered(request: Request, convert: Convert) -> Response:
        body = await request.body()
        async with turn:
            return await asyncio.to_thread(lambda: asyncio.run(answer(body, convert)))

    @app.exception_handler(UndecodablePayload)
    async def undecodable(_: Request, error: UndecodablePayload) -> JSONResponse:
        log.error("A payload cannot be decoded: %s", error)
        body = Problem(error=str(error), remedy="Nothing is lost: try again once this process has the key.")
        return JSONResponse(body.model_dump(), 503)

    @app.post(
        f"{CODEC}decode",
        summary="Payloads of Temporal, decoded",
        responses=errors(422),
        openapi_extra=described,
    )
    async def decode(request: Request) -> Response:
        try:
            return await answered(request, lambda payloads: decode_within_limit(codec_of(client), payloads))
        except UndecodablePayload as error:
            log.warning("A payload cannot be decoded: %s", error)
            raise EdgeError(422, str(error), "Nothing is lost: with the key the payload can be read.") from None

    @app.post(
        f"{CODEC}encode",
        summary="Payloads for Temporal, encoded as the workers encode them",
        responses=errors(422),
        openapi_extra=described,
    )
    async def encode(request: Request) -> Response:
        return await answered(request, codec_of(client).encode)

    @app.get(CODEC_SIGN_IN, summary="Sign a browser in, so that Temporal's Web UI may decode", include_in_schema=False)
    async def sign_in_page() -> HTMLResponse:
        return page("")

    @app.post(CODEC_SIGN_IN, include_in_schema=False)
    async def sign_in(request: Request) -> HTMLResponse:
        presented = parse_qs((await request.body()).decode("utf-8", "replace")).get("key", [""])[-1].strip()
        return signed_in(request, presented, refusal_of(keys, presented))


def codec_of(client: Client) -> PayloadCodec:
    """The chain of the client; one without a plugin has none, and nothing is changed then."""
    return client.data_converter.payload_codec or CodecChain()


def read_payloads(body: bytes) -> list[Payload]:
    """The payloads of a body; raises EdgeError."""
    try:
        return list(json_format.ParseDict(dict(json.loads(body)), Payloads()).payloads)
    except (json_format.ParseError, ValueError, AttributeError, TypeError, RecursionError):
        raise EdgeError(
            422, 'The body is not {"payloads": […]} as Temporal sends it.', "Use it as --codec-endpoint."
        ) from None


async def decode_within_limit(codec: PayloadCodec, payloads: Sequence[Payload]) -> list[Payload]:
    """One after the other, so that what inflates cannot fill the memory; raises EdgeError, UndecodablePayload."""
    if isinstance(codec, CodecChain):
        codec = codec.bounded(LIMIT_BYTES)
    decoded: list[Payload] = []
    size = 0
    for payload in payloads:
        try:
            decoded += await codec.decode([payload])
        except ValueError as error:
            raise EdgeError(422, f"It cannot be decoded: {error}.") from None
        size += decoded[-1].ByteSize()
        if size > LIMIT_BYTES:
            raise EdgeError(422, f"The payloads decode to more than {LIMIT_BYTES} bytes.", "Send fewer at once.")
    return decoded


async def answer(body: bytes, convert: Convert) -> Response:
    """200 with the payloads of a body, converted; nothing between here and the reader keeps it. Raises EdgeError."""
    payloads = await convert(read_payloads(body))
    written = json_format.MessageToJson(Payloads(payloads=payloads), indent=None)
    return Response(written, media_type="application/json", headers={"Cache-Control": "no-store"})


def refusal_of(keys: KeyRing | None, presented: str) -> str:
    """Why a key does not sign in; empty when it does."""
    try:
        if keys is None or not keys.has_keys():
            return "This API has no keys: the Web UI of this machine needs no sign-in."
        key = keys.find(presented)
    except KeysFileError:
        return "API keys cannot be checked now; the log of the API names the remedy."
    if key is None:
        return "The key is not known."
    if key.is_expired(now()):
        return "The key has expired."
    if Scope.DECODE not in key.scopes:
        return "The key has no scope decode. Make one: python -m api keys add NAME --scope decode"
    return ""


def signed_in(request: Request, presented: str, refusal: str) -> HTMLResponse:
    """The page that follows, with the cookie if the key is right."""
    if refusal:
        return page(refusal, 403)
    response = page("Signed in: Temporal's Web UI shows plain payloads now (Include cross-origin credentials: on).")
    response.set_cookie(
        KEY_COOKIE,
        presented,
        max_age=SIGNED_IN_SECONDS,
        path=CODEC,
        secure=needs_tls(request),
        httponly=True,
        samesite="strict",
    )
    return response


def needs_tls(request: Request) -> bool:
    """Whether the browser may send the cookie over TLS alone: always, but for a browser on this machine without TLS.

    Behind a proxy with TLS the request itself is plain, and its Host may be this machine's: Origin tells the page.
    """
    return request.url.scheme == "https" or bool(reason_not_local(request.headers))


def page(message: str, status: int = 200) -> HTMLResponse:
    """A form for the key; it needs no script, and runs none."""
    body = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Read payloads in Temporal</title>'
        f'<h1>Read payloads in Temporal</h1><p>{html.escape(message)}</p><form method="post">'
        '<label>API key of scope decode <input type="password" name="key" autocomplete="off" required></label> '
        "<button>Sign in</button></form></html>"
    )
    policy = "default-src 'none'; form-action 'self'; frame-ancestors 'none'"
    return HTMLResponse(body, status, {"Content-Security-Policy": policy, "Cache-Control": "no-store"})
