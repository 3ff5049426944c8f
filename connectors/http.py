"""HTTP with JSON, as both outside systems speak it: limits, sign-in, errors. The only place that makes an HTTP client.

In: method, path, JSON. Out: parsed JSON with numbers as Decimal. Raises the tree of `connectors.errors`. Every call
has limits for connecting, for each read, and in total.
"""

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
from pydantic import SecretStr

from connectors.errors import AlreadyExists, Ambiguous, NotFound, Refused, RetryLater, SignedOut, quoted

CONNECT_SECONDS = 5.0
READ_SECONDS = 12.0
TOTAL_SECONDS = 15.0
READS = frozenset({"GET", "HEAD"})

Json = Any


class SignIn(ABC):
    """Adds credentials to requests."""

    @abstractmethod
    async def headers(self, client: httpx.AsyncClient) -> Mapping[str, str]:
        """Headers for the next request; may sign in first."""

    @abstractmethod
    def refused(self, headers: Mapping[str, str]) -> bool:
        """A request with these headers got 401: forget them. True when signing in again may help."""


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


class BearerToken(SignIn):
    """A token that expires: fetched once per expiry, however many calls wait for it."""

    MARGIN = timedelta(seconds=10)

    def __init__(
        self, system: str, request: Callable[[], httpx.Request], read: Callable[[Json], tuple[str, float]]
    ) -> None:
        """`request` makes the token request; `read` takes token and lifetime in seconds from its answer."""
        self._system = system
        self._request = request
        self._read = read
        self._token = ""
        self._expires = datetime.min.replace(tzinfo=UTC)
        self._lock = asyncio.Lock()

    async def headers(self, client: httpx.AsyncClient) -> Mapping[str, str]:
        """`Authorization: Bearer …`; signs in when there is no live token."""
        async with self._lock:
            if not self._token or datetime.now(UTC) >= self._expires:
                await self._sign_in(client)
            return {"Authorization": f"Bearer {self._token}"}

    def refused(self, headers: Mapping[str, str]) -> bool:
        """Forget the token, unless another call has already fetched a newer one."""
        if headers.get("Authorization") == f"Bearer {self._token}":
            self._token = ""
        return True

    async def _sign_in(self, client: httpx.AsyncClient) -> None:
        call = "sign in"
        response = await send(self._system, call, client, self._request(), is_read=True)
        if response.status_code in (400, 401, 403):
            raise SignedOut(
                self._system, call, f"the credentials are refused ({response.status_code}): check user and secret"
            )
        body = read_json(self._system, call, response, is_read=True)
        try:
            self._token, lifetime = self._read(body)
        except (KeyError, TypeError, ValueError):
            raise RetryLater(self._system, call, f"an answer without a token: {quoted(response.text)}") from None
        margin = min(self.MARGIN.total_seconds(), lifetime / 2)
        self._expires = datetime.now(UTC) + timedelta(seconds=lifetime - margin)


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
    ) -> None:
        self.system = system
        self._sign_in = sign_in
        self._explain = explain
        self._client = make_client(base_url, headers=headers, transport=transport)

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
    ) -> tuple[int, Json]:
        """One call: status and parsed body. Raises the tree of `connectors.errors`."""
        name, is_read = f"{method} {path}", method in READS
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
            response = await send(self.system, name, self._client, request, is_read=is_read)
            if response.status_code != 401:
                return self._answer(name, response, is_read=is_read)
            if not self._sign_in.refused(headers) or attempt == 3:
                break
        raise SignedOut(self.system, name, "the credentials are refused (401): check key, user and secret")

    def _answer(self, name: str, response: httpx.Response, *, is_read: bool) -> tuple[int, Json]:
        status = response.status_code
        if status < 300:
            return status, read_json(self.system, name, response, is_read=is_read)
        message, field = self._explained(response)
        if status in (423, 429, 503):
            raise RetryLater(self.system, name, f"{status} {message}", retry_after(response))
        if status >= 500 or status < 400:
            if is_read:
                raise RetryLater(self.system, name, f"{status} {message}", retry_after(response))
            raise Ambiguous(self.system, name, f"{status} {message}")
        kind = {404: NotFound, 409: AlreadyExists}.get(status, Refused)
        raise kind(self.system, name, message, status=status, field=field)

    def _explained(self, response: httpx.Response) -> tuple[str, str]:
        try:
            return self._explain(response.json())
        except (ValueError, KeyError, TypeError, AttributeError):
            return quoted(response.text) or f"HTTP {response.status_code}", ""


def make_client(
    base_url: str,
    *,
    headers: Mapping[str, str] | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> httpx.AsyncClient:
    """A client with limits; TLS certificates are verified, redirects are not followed."""
    return httpx.AsyncClient(
        base_url=base_url,
        headers={"Accept": "application/json", **(headers or {})},
        timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
        limits=httpx.Limits(max_connections=20, max_keepalive_connections=10),
        transport=transport,
    )


async def send(
    system: str, call: str, client: httpx.AsyncClient, request: httpx.Request, *, is_read: bool
) -> httpx.Response:
    """Send one request; what happens on the wire becomes RetryLater or, for writes that may have arrived, Ambiguous."""
    try:
        async with asyncio.timeout(TOTAL_SECONDS):
            return await client.send(request)
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        raise RetryLater(system, call, f"cannot connect ({_name(error)})") from None
    except (httpx.TransportError, httpx.DecodingError, TimeoutError) as error:
        message = f"no complete answer ({_name(error)})"
        if is_read:
            raise RetryLater(system, call, message) from None
        raise Ambiguous(system, call, f"{message}; it may have been done") from None


def read_json(system: str, call: str, response: httpx.Response, *, is_read: bool) -> Json:
    """The body as JSON with exact numbers; anything else (an HTML page, half an answer) is no answer."""
    if response.status_code == 204 or not response.content:
        return None
    try:
        return json.loads(response.content, parse_float=Decimal)
    except ValueError:
        message = f"an answer that is not JSON: {quoted(response.text)}"
        if is_read:
            raise RetryLater(system, call, message) from None
        raise Ambiguous(system, call, message) from None


def retry_after(response: httpx.Response) -> timedelta | None:
    """Retry-After in both forms (RFC 9110, 10.2.3): seconds, or an HTTP date."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return timedelta(seconds=min(int(text), 86_400))
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(moment - datetime.now(UTC), timedelta(0))


def _name(error: BaseException) -> str:
    return type(error).__name__


def _exact(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{value:f}"
    raise TypeError(f"{type(value).__name__} does not belong into a request")
