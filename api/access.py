"""Who may call the API: every route but health and the signed webhooks needs a key. Closed unless said otherwise.

In: a request's method, path and headers, before any of its body. Out: the request goes on, or 401, 403, 413 or 503 in
the shape of every error. Without a file of keys the API listens on this machine only (`api.__main__`), and its routes
are open to it: not to web pages that a browser here shows, and not to what a proxy here says it passes on. A proxy may
say nothing (nginx, as it comes): in production the API has keys, or does not start.
"""

import logging
import re
from collections.abc import Collection, Iterable
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI, HTTPException
from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Connection

from api.keys import KeyRing, KeysFileError, Scope, now
from api.problem import BODY_LIMIT, CODEC_BODY_LIMIT, CODEC_TOO_LARGE, RETRY_AFTER_SECONDS, TOO_LARGE, Problem
from workers.production import is_this_machine

log = logging.getLogger(__name__)

CODEC = "/codec/"
CODEC_SIGN_IN = "/codec/sign-in"
KEY_COOKIE = "codec_key"
"""Where a browser keeps the key that it signed in with; read below /codec alone."""
OPEN_PATHS = frozenset({"/healthz", "/readyz", CODEC_SIGN_IN})
SIGNED = "/webhooks/"
"""Below it every route proves itself by a signature over the raw body."""
LOOKING = frozenset({"GET", "HEAD", "OPTIONS"})
SEARCH = re.compile(r"/customers/[^/]+/search")
"""A search is a POST so that what is searched for stands in no address; it looks, as a GET does."""
KEY_HEADER = "X-API-Key"
MAKE_A_KEY = "Send a key as X-API-Key or Authorization: Bearer. `python -m api keys add NAME --scope read` makes one."
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


class Denied(Exception):
    """The request goes no further."""

    def __init__(self, status: int, error: str, remedy: str) -> None:
        self.status, self.body = status, Problem(error=error, remedy=remedy)
        super().__init__(error)


class AccessMiddleware:
    """Looks at every request before any route does."""

    def __init__(self, app: ASGIApp, keys: KeyRing, ui_origins: Collection[str] = ()) -> None:
        self._app, self._keys, self._ui_origins = app, keys, ui_origins

    async def __call__(self, connection: Connection, receive: Receive, send: Send) -> None:
        """ASGI."""
        if connection["type"] == "lifespan" or (connection["type"] == "http" and is_open(connection["path"])):
            # A signed webhook is bounded where it is read.
            sign_in = connection.get("path") == CODEC_SIGN_IN
            await self._app(connection, bounded(receive, BODY_LIMIT, TOO_LARGE) if sign_in else receive, send)
            return
        if connection["type"] != "http":
            # There is no route of another kind; if there were one, nobody would have asked it for a key.
            await send({"type": "websocket.close", "code": 1008})
            return
        try:
            self._admit(connection)
        except Denied as denied:
            headers = {
                401: {"WWW-Authenticate": 'Bearer realm="api"'},
                503: {"Retry-After": str(RETRY_AFTER_SECONDS)},
            }.get(denied.status)
            await JSONResponse(denied.body.model_dump(), denied.status, headers)(connection, receive, send)
            return
        await self._app(connection, bounded(receive, *limit_of(connection["path"])), send)

    def _admit(self, connection: Connection) -> None:
        """Raises Denied."""
        method, headers = connection["method"], Headers(scope=connection)
        try:
            needed = self._keys.has_keys()
        except KeysFileError:
            # Logged once where it was found; a stranger is not told where the file is.
            raise Denied(503, "API keys cannot be checked now.", "The log of the API names the remedy.") from None
        if not needed:
            reason = reason_not_local(headers)
            from_ui = connection["path"].startswith(CODEC) and headers.get("origin") in self._ui_origins
            if reason and not (from_ui and not reason_not_local(without_page(headers))):
                log.warning("%s without a key was refused: %s", method, reason)
                raise Denied(401, f"Without API keys only this machine is served, and {reason}.", MAKE_A_KEY)
        else:
            name = self._admit_key(method, connection["path"], headers)
            connection.setdefault("state", {})["api_key"] = name
        length = headers.get("content-length", "")
        limit, too_large = limit_of(connection["path"])
        if length.isdigit() and int(length[:12]) > limit:
            raise Denied(413, *too_large)

    def _admit_key(self, method: str, path: str, headers: Headers) -> str:
        presented = presented_keys(headers) or presented_cookie(path, headers)
        if len(presented) != 1:
            what = "The request brings several API keys" if presented else "An API key is needed"
            raise Denied(401, f"{what}.", MAKE_A_KEY)
        key = self._keys.find(presented.pop())
        if key is None:
            log.warning("%s with an unknown API key was refused", method)
            raise Denied(401, "The API key is not known.", "It may have been revoked. " + MAKE_A_KEY)
        if key.is_expired(now()):
            log.warning("%s with the expired API key %s was refused", method, key.name)
            raise Denied(401, f"The API key {key.name} has expired.", "Revoke it and make a new one.")
        scope = scope_of(method, path)
        if scope not in key.scopes:
            log.warning("%s with API key %s was refused: it has no scope %s", method, key.name, scope.value)
            raise Denied(
                403,
                f"The API key {key.name} has no scope {scope.value}.",
                f"Use one made with --scope {scope.value}.",
            )
        if scope is Scope.OPERATE:
            log.info("%s with API key %s", method, key.name)
        return key.name


def is_open(path: str) -> bool:
    """Whether a path needs no key."""
    return path in OPEN_PATHS or path.startswith(SIGNED)


def scope_of(method: str, path: str) -> Scope:
    """What a key must be made for: `read` for what only looks, `decode` for what shows any payload."""
    if path.startswith(CODEC):
        return Scope.DECODE
    return Scope.READ if method in LOOKING or SEARCH.fullmatch(path) else Scope.OPERATE


def presented_keys(headers: Headers) -> set[str]:
    """What the request presents as its key, in either header; the same twice is one."""
    keys = {value.strip() for value in headers.getlist(KEY_HEADER)}
    for value in headers.getlist("authorization"):
        scheme, _, credentials = value.partition(" ")
        if scheme.lower() == "bearer":
            keys.add(credentials.strip())
    return keys - {""}


def presented_cookie(path: str, headers: Headers) -> set[str]:
    """The key that a browser signed in with, for /codec alone; a header wins over it."""
    if not path.startswith(CODEC):
        return set()
    return {key for key in [cookie_parser(headers.get("cookie", "")).get(KEY_COOKIE, "")] if key}


def limit_of(path: str) -> tuple[int, tuple[str, str]]:
    """Bytes of a body, and what is said beyond them."""
    return (CODEC_BODY_LIMIT, CODEC_TOO_LARGE) if path.startswith(CODEC) else (BODY_LIMIT, TOO_LARGE)


def without_page(headers: Headers) -> Headers:
    """The headers without what a browser says of the page that asks."""
    return Headers({name: value for name, value in headers.items() if name not in ("origin", "sec-fetch-site")})


def reason_not_local(headers: Headers) -> str:
    """Why a request that arrived on loopback is still not from here; empty when it is.

    A page in a browser on this machine can send requests to it (the browser says so), also under a name of its own
    that it lets point here (Host says so).
    """
    if any(name in headers for name in FORWARDED):
        return "a proxy passed this request on"
    if not is_this_machine(_host_of(f"//{headers.get('host', '')}")):
        return "it is asked for under another name"
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return "a web page of another site asks"
    origin = headers.get("origin")
    if origin is not None and not is_this_machine(_host_of(origin)):
        return "a web page of another site asks"
    return ""


def _host_of(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def bounded(receive: Receive, limit: int, too_large: tuple[str, str]) -> Receive:
    """The same body, up to the limit: a length in the headers may be missing or a lie."""
    size = 0

    async def receive_up_to_the_limit() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > limit:
            raise HTTPException(413, too_large[0])
        return message

    return receive_up_to_the_limit


# ---- in the description ---------------------------------------------------------------------------------------------


def describe_access(app: FastAPI) -> None:
    """Let the OpenAPI description say for each route, the later ones too, which keys it takes and how it refuses."""
    describe = app.openapi

    def with_access() -> dict[str, Any]:
        fresh = app.openapi_schema is None
        description = describe()
        if fresh:
            _add_access(description)
        return description

    app.openapi = with_access  # type: ignore[method-assign]


def _add_access(description: dict[str, Any]) -> None:
    description.setdefault("components", {})["securitySchemes"] = {
        "ApiKey": {
            "type": "apiKey",
            "in": "header",
            "name": KEY_HEADER,
            "description": f"{MAKE_A_KEY} Without a file of keys this machine needs none, and others are not served.",
        },
        "Bearer": {"type": "http", "scheme": "bearer", "description": "The same key"},
    }
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            if is_open(path):
                operation["security"] = []
                continue
            scope = scope_of(method.upper(), path).value
            operation["security"] = [{"ApiKey": [scope]}, {"Bearer": [scope]}]
            refusals = [(401, "API key missing, unknown or expired"), (403, f"The API key has no scope {scope}")]
            refusals.append((503, "Temporal does not answer, or keys cannot be checked; try again after Retry-After"))
            if "requestBody" in operation:
                refusals.append((413, limit_of(path)[1][0]))
            operation["responses"] |= dict(_problems(refusals))


def _problems(refusals: Iterable[tuple[int, str]]) -> Iterable[tuple[str, dict[str, Any]]]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for status, text in refusals:
        yield str(status), {"description": text, "content": content}
