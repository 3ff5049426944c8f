"""Faults on demand: what goes wrong on the wire, for the next calls of a route.

`POST /_control/faults` {"route": "POST /SO/SalesOrder", "fault": …, "times": 1, "retry_after": 2}. A route may end in
`*`. An ASGI middleware, in front of either side of the sandbox.
"""

import asyncio
import json
from collections import deque
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, Field
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CALLS_KEPT = 20_000


class FaultKind(StrEnum):
    """What goes wrong."""

    TOO_MANY_REQUESTS = "429"
    SERVER_ERROR = "500"
    UNAVAILABLE = "503"
    IN_USE = "423"
    TIMEOUT_BEFORE_WRITE = "timeout_before_write"
    TIMEOUT_AFTER_WRITE = "timeout_after_write"
    HTML = "html"
    TRUNCATED = "truncated"
    """The call is done; half of the answer arrives."""


class Fault(BaseModel):
    """One order for trouble."""

    route: str
    fault: FaultKind
    times: int = Field(default=1, ge=1)
    retry_after: str | int | None = None
    hang_seconds: float = Field(default=0.0, ge=0)
    """How long a time-out keeps the connection before it is dropped."""


class Faults:
    """The middleware; `error_body` makes the side's own error answer."""

    def __init__(self, app: ASGIApp, error_body: Any) -> None:
        self.app = app
        self.error_body = error_body
        self.pending: list[Fault] = []
        self.calls: deque[str] = deque(maxlen=CALLS_KEPT)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a call pass, or spoil it."""
        if scope["type"] != "http" or scope["path"].startswith("/_control"):
            await self.app(scope, receive, send)
            return
        call = f"{scope['method']} {scope['path']}"
        self.calls.append(call)
        fault = self._take(call)
        if fault is None:
            await self.app(scope, receive, send)
            return
        match fault.fault:
            case FaultKind.TIMEOUT_AFTER_WRITE:
                await self.app(scope, receive, _swallow)
                await _drop(send, fault)
            case FaultKind.TIMEOUT_BEFORE_WRITE:
                await _drop(send, fault)
            case FaultKind.TRUNCATED:
                await self.app(scope, receive, _Half(send))
            case FaultKind.HTML:
                await _answer(
                    send, 200, b"<html><body>The server is busy. Please try later.</body></html>", "text/html"
                )
            case _:
                status = int(fault.fault)
                body = json.dumps(self.error_body(status)).encode()
                headers = [] if fault.retry_after is None else [(b"retry-after", str(fault.retry_after).encode())]
                await _answer(send, status, body, "application/json", headers)

    def _take(self, call: str) -> Fault | None:
        for fault in self.pending:
            if fault.route == call or (fault.route.endswith("*") and call.startswith(fault.route[:-1])):
                fault.times -= 1
                if fault.times <= 0:
                    self.pending.remove(fault)
                return fault
        return None


class _Half:
    """Passes the first half of a body and then ends the connection."""

    def __init__(self, send: Send) -> None:
        self.send = send

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.body":
            body = message.get("body", b"")
            message = {**message, "body": body[: len(body) // 2], "more_body": False}
        await self.send(message)


async def _swallow(message: Message) -> None:
    """The answer is lost."""


async def _drop(send: Send, fault: Fault) -> None:
    """Nothing for a while, then a connection that ends in the middle of its answer."""
    await asyncio.sleep(fault.hang_seconds)
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
