"""Faults on demand: what goes wrong on the wire, for one call or for a share of calls.

`POST /_control/faults` {"route": "POST /SO/SalesOrder", "fault": "timeout_after_write", "times": 1}. A route may end in
`*`; `contains` narrows it to calls whose path, query or body holds a text; `share` with `seed` hits that share of the
calls; `seconds` limits or lengthens it. The outermost ASGI application of either side of the sandbox.
"""

import asyncio
import hashlib
import json
import random
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from enum import StrEnum
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, Field, PrivateAttr, model_validator
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CALLS_KEPT = 20_000


class FaultKind(StrEnum):
    """What goes wrong."""

    TOO_MANY_REQUESTS = "429"
    """With Retry-After: `retry_after` seconds, or the HTTP date of that moment with `as_date`."""
    SERVER_ERROR = "500"
    UNAVAILABLE = "503"
    MAINTENANCE = "maintenance"
    """503 to every call of the route for `seconds` from the first one on, with Retry-After to the end."""
    IN_USE = "423"
    REFUSED = "refused"
    """422, a final answer: nothing is done."""
    TOKEN_EXPIRED = "token_expired"
    """401: the token is forgotten."""
    TIMEOUT_BEFORE_WRITE = "timeout_before_write"
    TIMEOUT_AFTER_WRITE = "timeout_after_write"
    SLOW = "slow"
    """The call is done; its answer comes `seconds` later."""
    DROPPED = "dropped"
    """The connection ends without a word; nothing is done."""
    HTML = "html"
    TRUNCATED = "truncated"
    """The call is done; half of the answer arrives."""
    ODBC_LOCKED = "odbc_locked"
    """Sage only, route `ODBC`: readers of the database are locked out for `seconds`."""
    FILE_MISSING = "file_missing"
    """Sage only, route `ODBC`: the database file is away for `seconds`."""


ODBC_FAULTS = (FaultKind.ODBC_LOCKED, FaultKind.FILE_MISSING)
STATUS = {
    FaultKind.TOO_MANY_REQUESTS: 429,
    FaultKind.SERVER_ERROR: 500,
    FaultKind.UNAVAILABLE: 503,
    FaultKind.MAINTENANCE: 503,
    FaultKind.IN_USE: 423,
    FaultKind.REFUSED: 422,
    FaultKind.TOKEN_EXPIRED: 401,
}


class Fault(BaseModel):
    """One order for trouble."""

    route: str
    fault: FaultKind
    contains: str = ""
    times: int = Field(default=1, ge=1)
    share: float | None = Field(default=None, gt=0, le=1)
    """Of the matching calls, until `times` are hit (default: without end)."""
    seed: int = 0
    retry_after: str | int | None = None
    as_date: bool = False
    hang_seconds: float = Field(default=0.0, ge=0)
    """How long a time-out keeps the connection before it is dropped."""
    seconds: float = Field(default=2.0, ge=0, le=600)
    """Length of a maintenance, of a slow answer, of an ODBC fault."""
    hits: int = 0
    _random: random.Random = PrivateAttr(default_factory=random.Random)
    _since: float | None = PrivateAttr(default=None)
    _endless: bool = PrivateAttr(default=False)

    @model_validator(mode="after")
    def _prepare(self) -> "Fault":
        if (self.fault in ODBC_FAULTS) != (self.route == "ODBC"):
            raise ValueError("the faults odbc_locked and file_missing have route ODBC, and only they")
        self._random = random.Random(self.seed)  # noqa: S311 - a repeatable share, nothing secret
        self._endless = self.share is not None and "times" not in self.model_fields_set
        return self

    @property
    def over(self) -> bool:
        """Whether it has done its work."""
        if self.fault is FaultKind.MAINTENANCE:
            return self.left <= 0
        return not self._endless and self.hits >= self.times

    @property
    def left(self) -> float:
        """Seconds until a maintenance ends."""
        return self.seconds if self._since is None else self._since + self.seconds - time.monotonic()

    def hit(self, call: str, text: str) -> bool:
        """Whether this call is one to spoil; counts it."""
        if self.over or not (self.route == call or (self.route.endswith("*") and call.startswith(self.route[:-1]))):
            return False
        if self.contains and self.contains not in text:
            return False
        if self.share is not None and self._random.random() >= self.share:
            return False
        self.hits += 1
        if self._since is None:
            self._since = time.monotonic()
        return True

    def retry_after_header(self) -> str | None:
        """Seconds or an HTTP date; None without."""
        if self.fault is FaultKind.MAINTENANCE:
            return str(max(1, round(self.left)))
        if self.retry_after is None or not self.as_date:
            return None if self.retry_after is None else str(self.retry_after)
        return format_datetime(datetime.now(UTC) + timedelta(seconds=float(self.retry_after)), usegmt=True)


class Faults:
    """The outermost application; `error_body` makes the side's own error answer.

    `odbc` plays the faults of the database; `forget_tokens` signs everybody out.
    """

    def __init__(
        self,
        app: ASGIApp,
        error_body: Callable[[int], dict[str, Any]],
        forget_tokens: Callable[[], None],
        odbc: Callable[[FaultKind, float, threading.Event], Awaitable[None]] | None = None,
    ) -> None:
        self.app = app
        self.error_body = error_body
        self.forget_tokens = forget_tokens
        self.odbc = odbc
        self.pending: list[Fault] = []
        self.calls: deque[str] = deque(maxlen=CALLS_KEPT)
        self.log: deque[dict[str, Any]] = deque(maxlen=CALLS_KEPT)
        """Each call with its moment, who called, and the fault and Retry-After that it met."""
        self.tasks: set[asyncio.Task[None]] = set()
        self.ended = threading.Event()
        """Ends the faults of the database that play now."""

    def add(self, fault: Fault) -> None:
        """Order trouble; a fault of the database starts at once."""
        if fault.fault not in ODBC_FAULTS:
            self.pending.append(fault)
            return
        if self.odbc is None:
            raise ValueError("this side has no database that others read")
        task = asyncio.ensure_future(self._database(fault))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _database(self, fault: Fault) -> None:
        if self.odbc is not None:
            await self.odbc(fault.fault, fault.seconds, self.ended)

    def end(self) -> None:
        """No fault any more, those of the database included."""
        self.pending.clear()
        self.ended.set()
        self.ended = threading.Event()

    def waiting(self) -> int:
        """Faults that have work left: those of a share count as done once they hit."""
        self.pending = [fault for fault in self.pending if not fault.over]
        return sum(1 for fault in self.pending if fault.share is None or not fault.hits) + len(self.tasks)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a call pass, or spoil it."""
        if scope["type"] != "http" or scope["path"].startswith("/_control"):
            await self.app(scope, receive, send)
            return
        call = f"{scope['method']} {scope['path']}"
        self.calls.append(call)
        entry: dict[str, Any] = {"call": call, "at": time.time(), "fault": None, "retry_after": None}
        entry["caller"] = _caller(scope)
        self.log.append(entry)
        if any(fault.contains for fault in self.pending):
            body = await _read(receive)
            receive = _Again(body, receive)
        else:
            body = b""
        text = f"{scope['path']}?{scope['query_string'].decode('latin-1')} {body.decode('utf-8', 'replace')}"
        fault = next((one for one in self.pending if one.hit(call, text)), None)
        self.pending = [one for one in self.pending if not one.over or one.fault is FaultKind.MAINTENANCE]
        if fault is None:
            await self.app(scope, receive, send)
        else:
            entry["fault"] = fault.fault.value
            await self._spoil(fault, scope, receive, send, entry)

    async def _spoil(self, fault: Fault, scope: Scope, receive: Receive, send: Send, entry: dict[str, Any]) -> None:
        match fault.fault:
            case FaultKind.TIMEOUT_AFTER_WRITE:
                await self.app(scope, receive, _swallow)
                await _end_half_way(send, fault.hang_seconds)
            case FaultKind.TIMEOUT_BEFORE_WRITE:
                await _end_half_way(send, fault.hang_seconds)
            case FaultKind.SLOW:
                await self.app(scope, receive, _Later(send, fault.seconds))
            case FaultKind.DROPPED:
                await _drop(send)
            case FaultKind.TRUNCATED:
                await self.app(scope, receive, _Half(send))
            case FaultKind.HTML:
                page = b"<html><body>The server is busy. Please try later.</body></html>"
                await _answer(send, 200, page, "text/html")
            case _:
                if fault.fault is FaultKind.TOKEN_EXPIRED:
                    self.forget_tokens()
                status = STATUS[fault.fault]
                after = entry["retry_after"] = fault.retry_after_header()
                headers = [] if after is None else [(b"retry-after", after.encode())]
                body = json.dumps(self.error_body(status)).encode()
                await _answer(send, status, body, "application/json", headers)


def add_fault_controls(app: FastAPI, faults: Faults) -> None:
    """`/_control/faults` and `/_control/calls` of either side."""

    @app.post("/_control/faults")
    async def add_fault(fault: Fault) -> JSONResponse:
        try:
            faults.add(fault)
        except ValueError as error:
            return JSONResponse({"error": str(error)}, 422)
        return JSONResponse({"pending": faults.waiting()})

    @app.delete("/_control/faults")
    async def no_faults() -> JSONResponse:
        faults.end()
        return JSONResponse({"pending": faults.waiting()})

    @app.get("/_control/faults")
    async def count_faults() -> JSONResponse:
        return JSONResponse({"pending": faults.waiting(), "faults": [one.model_dump() for one in faults.pending]})

    @app.get("/_control/calls")
    async def calls() -> JSONResponse:
        return JSONResponse({"calls": list(faults.calls)})

    @app.get("/_control/log")
    async def log() -> JSONResponse:
        """Calls with their moment (seconds since 1970), caller, fault and Retry-After.

        The caller is a hash of the token or key: every process signs in for itself.
        """
        return JSONResponse({"calls": list(faults.log)})


class _Again:
    """Gives a body that was read already."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self.body: bytes | None = body
        self.receive = receive

    async def __call__(self) -> Message:
        if self.body is None:
            return await self.receive()
        body, self.body = self.body, None
        return {"type": "http.request", "body": body, "more_body": False}


class _Half:
    """Passes the first half of a body and then ends the connection."""

    def __init__(self, send: Send) -> None:
        self.send = send

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.body":
            body = message.get("body", b"")
            message = {**message, "body": body[: len(body) // 2], "more_body": False}
        await self.send(message)


class _Later:
    """Passes everything on, after a while."""

    def __init__(self, send: Send, seconds: float) -> None:
        self.send = send
        self.seconds = seconds

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await asyncio.sleep(self.seconds)
        await self.send(message)


async def _read(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False) and message["type"] == "http.request"
    return body


def _caller(scope: Scope) -> str:
    """The same for the same credentials, and nothing that could be used; empty without any."""
    found = [value for name, value in scope["headers"] if name in (b"authorization", b"x-api-key")]
    return hashlib.sha256(b" ".join(found)).hexdigest()[:12] if found else ""


async def _swallow(message: Message) -> None:
    """The answer is lost."""


async def _drop(send: Send) -> None:
    """End the connection at once; where the server does not show it, end it within the answer."""
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        await _end_half_way(send, 0)
    else:
        transport.abort()


async def _end_half_way(send: Send, hang_seconds: float) -> None:
    """Nothing for a while, then a connection that ends in the middle of its answer."""
    await asyncio.sleep(hang_seconds)
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-length", b"1000"), (b"connection", b"close")],
        }
    )
    await send({"type": "http.response.body", "body": b"{", "more_body": False})


async def _answer(
    send: Send, status: int, body: bytes, content_type: str, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    length = str(len(body)).encode()
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-type", content_type.encode()), (b"content-length", length), *(headers or [])],
        }
    )
    await send({"type": "http.response.body", "body": body, "more_body": False})
