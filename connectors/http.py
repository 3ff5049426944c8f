"""HTTP with JSON, as both outside systems speak it: limits, sign-in, errors. The only place that makes an HTTP client.

In: method, path, JSON. Out: parsed JSON with numbers as Decimal. Raises the tree of `connectors.errors`. Every call
has limits for connecting, for each read, in total, and for the size of its answer.

What an answer means, by rule:

| answer | meaning |
|---|---|
| 2xx, JSON | the answer |
| 2xx, anything else (an HTML page, half an answer, over 16 MiB) | a read: RetryLater; a write: Ambiguous |
| 401 | the token is renewed once; then SignedOut |
| 408, 425, 503 | RetryLater: nothing was done |
| 423 | RecordInUse: nothing was done |
| 429 | TooManyRequests: nothing was done, and no call is made before Retry-After |
| 3xx, other 5xx | a read: RetryLater; a write: Ambiguous |
| 404, 409 | NotFound, AlreadyExists; as an HTML page or other text (a proxy's): RetryLater, as too much hangs on them |
| other 4xx | Refused |

A client that may only read refuses writes before anything is sent: ShadowMode.
"""

import asyncio
import codecs
import contextlib
import json
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, Never

import httpx
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from pydantic import SecretStr

from connectors.errors import (
    AlreadyExists,
    Ambiguous,
    ConnectorError,
    NotFound,
    RecordInUse,
    Refused,
    RetryLater,
    ShadowMode,
    SignedOut,
    TooManyRequests,
    quoted,
)

_tracer = trace.get_tracer(__name__)

MOST_RETRY_AFTER = timedelta(days=1)
"""A longer Retry-After is a mistake (milliseconds, a moment instead of a span) and counts as this long."""
READS = frozenset({"GET", "HEAD"})

Json = Any


@dataclass(frozen=True)
class CallLimits:
    """Of one request; seconds and bytes."""

    connect: float = 5.0
    read: float = 12.0
    """Between two pieces of the answer."""
    total: float = 15.0
    """From the request to the last byte: a server that sends a byte a second ends here."""
    answer_bytes: int = 16 * 1024 * 1024
    """After decompression."""


DEFAULT_LIMITS = CallLimits()


class SignIn(ABC):
    """Adds credentials to requests."""

    @abstractmethod
    async def headers(self, client: httpx.AsyncClient) -> Mapping[str, str]:
        """Headers for the next request; may sign in first."""

    @abstractmethod
    def refused(self, headers: Mapping[str, str]) -> bool:
        """A request with these headers got 401: forget them. True when signing in again may help."""

    @abstractmethod
    def secrets(self) -> Sequence[str]:
        """What must not stand in an error, whatever the other side echoes."""


class ApiKey(SignIn):
    """A fixed key in a header."""

    def __init__(self, header: str, key: SecretStr) -> None:
        self._header = header
        self._key = key

    async def headers(self, client: httpx.AsyncClient) -> Mapping[str, str]:
        """The key."""
        return {self._header: self._key.get_secret_value()}

    def refused(self, headers: Mapping[str, str]) -> bool:
        """A key does not get better."""
        return False

    def secrets(self) -> Sequence[str]:
        """The key."""
        return [self._key.get_secret_value()]


class BearerToken(SignIn):
    """A token that expires: fetched once per expiry, however many calls wait for it.

    Calls that wait share what became of the sign-in, its failure too: otherwise each would try for itself, one after
    the other, and refused passwords lock accounts.
    """

    MARGIN_SECONDS = 10.0
    LONGEST_SECONDS = 86_400.0
    REFUSED_PAUSE_SECONDS = 60.0
    """Refused credentials are not sent again for so long, whatever calls come."""

    def __init__(
        self,
        system: str,
        request: Callable[[], httpx.Request],
        read: Callable[[Json], tuple[str, float]],
        secret: SecretStr | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`request` makes the token request; `read` takes token and lifetime in seconds from its answer.

        `secret` is the one in the request, so that no error shows it; `clock` counts seconds and never jumps.
        """
        self._system = system
        self._request = request
        self._read = read
        self._secret = secret or SecretStr("")
        self._clock = clock
        self._token = ""
        self._expires = 0.0
        self._refused_until = -math.inf
        self._signing_in: asyncio.Task[None] | None = None

    async def headers(self, client: httpx.AsyncClient) -> Mapping[str, str]:
        """`Authorization: Bearer …`; signs in when there is no live token."""
        if not self._token or self._clock() >= self._expires:
            if self._signing_in is None or self._signing_in.done():
                self._signing_in = asyncio.create_task(self._sign_in(client))
            # Shielded: a call that is given up must not take the sign-in of the others with it.
            await asyncio.shield(self._signing_in)
        return {"Authorization": f"Bearer {self._token}"}

    def refused(self, headers: Mapping[str, str]) -> bool:
        """Forget the token, unless another call has already fetched a newer one."""
        if headers.get("Authorization") == f"Bearer {self._token}":
            self._token = ""
        return True

    def secrets(self) -> Sequence[str]:
        """The token, and what it is asked for with."""
        return [self._token, self._secret.get_secret_value()]

    async def _sign_in(self, client: httpx.AsyncClient) -> None:
        call = "sign in"
        if self._clock() < self._refused_until:
            raise SignedOut(self._system, call, "the credentials were refused just now: check user and secret")
        response = await send(self._system, call, client, self._request(), is_read=True)
        status = response.status_code
        if status in (400, 401, 403):
            self._refused_until = self._clock() + self.REFUSED_PAUSE_SECONDS
            raise SignedOut(self._system, call, f"the credentials are refused ({status}): check user and secret")
        if status >= 300:
            kind = TooManyRequests if status == 429 else RetryLater
            raise kind(self._system, call, f"{status} {quoted(response.text, self.secrets())}", retry_after(response))
        body = read_json(self._system, call, response, is_read=True, secrets=self.secrets())
        try:
            token, lifetime = self._read(body)
            if not token or not math.isfinite(lifetime):
                raise ValueError("no token that lives")
        except (KeyError, TypeError, ValueError, OverflowError):
            # The answer is not quoted: it may hold the token under a name that we do not know.
            raise RetryLater(self._system, call, f"{status}, an answer without a token") from None
        lifetime = min(max(lifetime, 0.0), self.LONGEST_SECONDS)
        self._token = token
        self._expires = self._clock() + lifetime - min(self.MARGIN_SECONDS, lifetime / 2)


class Listener:
    """Hears the answers of a client, and remembers what no call returns: that there was one, the other side's clock."""

    SMALL_BYTES = 64 * 1024

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._asked = now()
        self.last_status: int | None = None
        """None as long as nothing answered."""
        self.ahead: timedelta | None = None
        """How far the other side's clock (header Date, in whole seconds) is ahead of ours; None when it tells none."""
        self.headers: Mapping[str, str] = {}
        """Of the last answer."""
        self.granted_scope = ""
        """What an answer with an access token says of its scope (RFC 6749, 5.1)."""

    async def asked(self, _: httpx.Request) -> None:
        """A request goes out."""
        self._asked = self._now()

    async def answered(self, response: httpx.Response) -> None:
        """Its answer begins to come in."""
        halfway = self._asked + (self._now() - self._asked) / 2
        self.last_status, self.headers = response.status_code, response.headers
        if (date := _http_date(response.headers.get("Date", ""))) is not None:
            # The header is cut to a second: half a second is what it lacks on average.
            self.ahead = date + timedelta(seconds=0.5) - halfway
        size = response.headers.get("Content-Length", "")
        if response.request.method == "POST" and size.isdigit() and int(size) <= self.SMALL_BYTES:
            await response.aread()
            with contextlib.suppress(ValueError):
                body = response.json()
                if isinstance(body, dict) and "access_token" in body:
                    self.granted_scope = str(body.get("scope") or "")


class JsonApi:
    """One outside system's API. `explain` reads its error bodies into (message, column or field)."""

    def __init__(
        self,
        system: str,
        base_url: str,
        sign_in: SignIn,
        explain: Callable[[Json], tuple[str, str]],
        *,
        headers: Mapping[str, str] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        listener: Listener | None = None,
        limits: CallLimits = DEFAULT_LIMITS,
        clock: Callable[[], float] = time.monotonic,
        only_reads: frozenset[str] | None = None,
    ) -> None:
        """`clock` counts seconds and never jumps; `listener` hears every answer.

        `only_reads` refuses every call that may write (`ShadowMode`), but for these (`POST /path`); None: no call.
        """
        self.system = system
        self._only_reads = only_reads
        self._sign_in = sign_in
        self._explain = explain
        self._limits = limits
        self._clock = clock
        self._quiet_until = -math.inf
        """The other side asked for silence until then (429)."""
        self._client = make_client(base_url, headers=headers, transport=transport, limits=limits)
        if listener is not None:
            self._client.event_hooks = {"request": [listener.asked], "response": [listener.answered]}

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: Json = None,
        query: Mapping[str, str] | None = None,
        route: str = "",
    ) -> tuple[int, Json]:
        """One call: status and parsed body. Raises the tree of `connectors.errors`.

        While the other side wants silence no request is made: what it told one caller counts for all. `route` is the
        path without what differs from call to call, as traces name it; they show no path and no query.
        """
        name = f"{method} {path}"
        route = route or path
        if self._only_reads is not None and method not in READS and name not in self._only_reads:
            raise ShadowMode(self.system, f"{method} {route}")
        with _tracer.start_as_current_span(
            f"{method} {route}",
            kind=SpanKind.CLIENT,
            attributes={"http.request.method": method, "url.template": route, "peer.service": self.system},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                status, answer = await self._quiet_or_call(name, method, path, body, query)
            except Exception as error:
                # Its words may quote what the other side said: they stay out of traces.
                span.set_status(StatusCode.ERROR)
                span.set_attribute("error.type", type(error).__name__)
                raise
            span.set_attribute("http.response.status_code", status)
            return status, answer

    async def _quiet_or_call(
        self, name: str, method: str, path: str, body: Json, query: Mapping[str, str] | None
    ) -> tuple[int, Json]:
        left = self._quiet_until - self._clock()
        if left > 0:
            raise TooManyRequests(
                self.system, name, "waits, as the system asked for fewer calls (429)", timedelta(seconds=left)
            )
        try:
            return await self._call(name, method, path, body, query)
        except TooManyRequests as error:
            if error.retry_after is not None:
                until = self._clock() + error.retry_after.total_seconds()
                self._quiet_until = max(self._quiet_until, until)
            raise

    async def _call(
        self, name: str, method: str, path: str, body: Json, query: Mapping[str, str] | None
    ) -> tuple[int, Json]:
        is_read = method in READS
        # A token may be forgotten on the other side (a restart, somebody else's sign-out) while it is being renewed.
        for attempt in (1, 2, 3):
            headers = await self._sign_in.headers(self._client)
            request = self._client.build_request(
                method,
                path,
                params=query,
                content=None if body is None else json.dumps(body, default=_exact).encode(),
                headers={**headers, **({} if body is None else {"Content-Type": "application/json"})},
            )
            response = await send(self.system, name, self._client, request, is_read=is_read, limits=self._limits)
            if response.status_code != 401:
                return self._answer(name, response, is_read=is_read)
            if not self._sign_in.refused(headers) or attempt == 3:
                break
        raise SignedOut(self.system, name, "the credentials are refused (401): check key, user and secret")

    def _answer(self, name: str, response: httpx.Response, *, is_read: bool) -> tuple[int, Json]:
        status, secrets = response.status_code, self._sign_in.secrets()
        if 200 <= status < 300:
            return status, read_json(self.system, name, response, is_read=is_read, secrets=secrets)
        message, field, promised = self._explained(response)
        message = quoted(message, secrets)
        if status == 429:
            raise TooManyRequests(self.system, name, f"{status} {message}", retry_after(response))
        if status == 423:
            raise RecordInUse(self.system, name, f"{status} {message}", retry_after(response))
        if status in (408, 425, 503):
            raise RetryLater(self.system, name, f"{status} {message}", retry_after(response))
        if status >= 500 or status < 400:
            if is_read:
                raise RetryLater(self.system, name, f"{status} {message}", retry_after(response))
            raise Ambiguous(self.system, name, f"{status} {message}")
        if status in (404, 409) and not promised:
            raise RetryLater(self.system, name, f"{status} from something in between, as it is not JSON: {message}")
        kind = {404: NotFound, 409: AlreadyExists}.get(status, Refused)
        raise kind(self.system, name, message, status=status, field=quoted(field, secrets))

    def _explained(self, response: httpx.Response) -> tuple[str, str, bool]:
        """Message, column or field, and whether the body is JSON or empty."""
        nothing = f"HTTP {response.status_code}"
        try:
            body = parse_json(response) if response.content else None
        except ValueError:
            return response.text or nothing, "", False
        try:
            message, field = self._explain(body)
        except (ValueError, KeyError, TypeError, AttributeError):
            return response.text or nothing, "", True
        return message, field, True


def make_client(
    base_url: str,
    *,
    headers: Mapping[str, str] | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    limits: CallLimits = DEFAULT_LIMITS,
) -> httpx.AsyncClient:
    """A client with limits; TLS certificates are verified, redirects are not followed."""
    return httpx.AsyncClient(
        base_url=base_url,
        headers={"Accept": "application/json", **(headers or {})},
        timeout=httpx.Timeout(limits.read, connect=limits.connect),
        limits=httpx.Limits(max_connections=20, max_keepalive_connections=10),
        transport=transport,
    )


async def send(
    system: str,
    call: str,
    client: httpx.AsyncClient,
    request: httpx.Request,
    *,
    is_read: bool,
    limits: CallLimits = DEFAULT_LIMITS,
) -> httpx.Response:
    """Send one request; what happens on the wire becomes RetryLater or, for writes that may have arrived, Ambiguous."""
    try:
        async with asyncio.timeout(limits.total):
            response = await client.send(request, stream=True)
            try:
                body = await _body(response, limits.answer_bytes)
            finally:
                await response.aclose()
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        raise RetryLater(system, call, f"cannot connect ({_name(error)})") from None
    except (httpx.TransportError, httpx.DecodingError, TimeoutError) as error:
        _no_answer(system, call, f"no complete answer ({_name(error)})", is_read=is_read)
    if body is None:
        _no_answer(system, call, f"an answer of more than {limits.answer_bytes:,} bytes", is_read=is_read)
    plain = [(name, value) for name, value in response.headers.multi_items() if name not in _WIRE_HEADERS]
    return httpx.Response(response.status_code, headers=plain, content=body, request=request)


_WIRE_HEADERS = frozenset({"content-encoding", "content-length", "transfer-encoding"})


async def _body(response: httpx.Response, most: int) -> bytes | None:
    """The body, decompressed piece by piece; None when it is larger than `most`."""
    pieces, size = [], 0
    async for piece in response.aiter_bytes():
        size += len(piece)
        if size > most:
            return None
        pieces.append(piece)
    return b"".join(pieces)


def _no_answer(system: str, call: str, message: str, *, is_read: bool) -> Never:
    """A read is simply repeated; a write may have been done."""
    error: ConnectorError = RetryLater(system, call, message)
    if not is_read:
        error = Ambiguous(system, call, f"{message}; it may have been done")
    raise error from None


def read_json(system: str, call: str, response: httpx.Response, *, is_read: bool, secrets: Sequence[str] = ()) -> Json:
    """The body as JSON with exact numbers; anything else (an HTML page, half an answer) is no answer."""
    if response.status_code == 204 or not response.content:
        return None
    try:
        return parse_json(response)
    except ValueError:
        text = quoted(response.text, secrets)
    _no_answer(system, call, f"an answer that is not JSON: {text}", is_read=is_read)


def parse_json(response: httpx.Response) -> Json:
    """A body as JSON in its own encoding: the charset it names, else UTF-8, -16 or -32. Raises ValueError.

    NaN and Infinity are no JSON (RFC 8259, 6): no amount may be one.
    """
    content: str | bytes = response.content
    charset = response.charset_encoding
    if charset:
        # Of an encoding that nobody knows JSON's own are tried.
        with contextlib.suppress(LookupError, TypeError):
            content = codecs.decode(response.content, charset).removeprefix("\ufeff")
    try:
        return json.loads(content, parse_float=Decimal, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _no_number(name: str) -> Never:
    raise ValueError(f"{name} is no number")


def retry_after(response: httpx.Response) -> timedelta | None:
    """Retry-After in both forms (RFC 9110, 10.2.3): seconds, or an HTTP date; at most `MOST_RETRY_AFTER`.

    A date is measured against the other side's own clock (its header Date), so that clocks need not agree. None when
    it says nothing: no or an unreadable value, zero, a moment that has passed. Then the ordinary backoff counts.
    """
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        # Python refuses to read thousands of digits.
        seconds = int(text) if len(text) < 10 else MOST_RETRY_AFTER.total_seconds()
        wait = timedelta(seconds=min(seconds, MOST_RETRY_AFTER.total_seconds()))
    else:
        until = _http_date(text)
        if until is None:
            return None
        wait = min(until - (_http_date(response.headers.get("Date", "")) or datetime.now(UTC)), MOST_RETRY_AFTER)
    return wait if wait > timedelta(0) else None


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _name(error: BaseException) -> str:
    return type(error).__name__


def _exact(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{value:f}"
    raise TypeError(f"{type(value).__name__} does not belong into a request")
