"""What every dialect of the store shares: settings, credentials, store and sender, and the reading of requests."""

import hmac
import json
import secrets
import time
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

from fastapi import Request
from pydantic import BaseModel, Field

from sandbox.clarity.products import EVENT, Catalogue
from sandbox.clarity.sender import Sender, Writer
from sandbox.clarity.store import Document, Rejection, Store, invalid


class Dialect(StrEnum):
    """Which release the store plays."""

    CONTRACT = "contract"
    """docs/openapi/clarity.yaml."""
    MODULE_ENTITY = "module_entity"
    """docs/openapi/clarity-module-entity.yaml: other routes, names, sign-in, paging and signature."""


RETRY_SCHEDULE = [5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0]
"""Seconds between attempts, as senders of Standard Webhooks do."""


WEBHOOK_SECRET = "whsec_c2FuZGJveC13ZWJob29rLXNpZ25pbmctc2VjcmV0LTAwMQ=="


class ClaritySettings(BaseModel):
    """How this store behaves."""

    database: Path
    dialect: Dialect = Dialect.CONTRACT
    client_id: str = "clarity-integration"
    client_secret: str = "clarity-sandbox-secret"
    api_key: str = "clarity-sandbox-key"
    token_lifetime_seconds: float = 600.0
    webhook_url: str = "http://127.0.0.1:8080/webhooks/clarity/demo"
    webhook_secrets: list[str] = Field(default_factory=lambda: [WEBHOOK_SECRET])
    inventory_limit: int = 500
    """Quantities in one batch."""
    webhook_schedule: list[float] = Field(default_factory=lambda: list(RETRY_SCHEDULE))


class Clarity:
    """Tokens, store and sender; `write` makes the requests that deliver webhooks."""

    def __init__(self, settings: ClaritySettings, write: Writer) -> None:
        self.settings = settings
        self.store = Store(settings.database)
        self.products = Catalogue(self.store)
        self.sender = Sender(
            self.store, settings.webhook_url, settings.webhook_secrets, settings.webhook_schedule, write
        )
        self.tokens: dict[str, float] = {}

    def change_product(self, id_: str, change: Document) -> Document:
        """Whoever changes a product, its webhook follows: a store does not tell its users apart."""
        product, changed = self.products.patch(id_, change)
        if changed:
            self.tell_product(product)
        return product

    def tell_product(self, product: Document, webhook_id: str | None = None) -> str:
        """Queue a product's webhook."""
        event = {"type": EVENT, "timestamp": datetime.now().astimezone().isoformat(), "data": product}
        return self.sender.queue(event, webhook_id)

    def token(self, form: dict[str, list[str]]) -> Document:
        """OAuth 2.0 client credentials."""
        fields = {name: values[0] for name, values in form.items()}
        if fields.get("grant_type") != "client_credentials":
            raise Rejection(400, "unsupported_grant_type", "grant_type must be client_credentials.")
        if not self.knows(fields.get("client_id", ""), fields.get("client_secret", "")):
            raise Rejection(401, "invalid_client", "client_id or client_secret is wrong.")
        token = secrets.token_urlsafe(24)
        self.remember(token)
        return {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": int(self.settings.token_lifetime_seconds),
        }

    def knows(self, user: str, password: str) -> bool:
        """Whether these are the credentials."""
        good = hmac.compare_digest(user.encode(), self.settings.client_id.encode())
        return hmac.compare_digest(password.encode(), self.settings.client_secret.encode()) and good

    def remember(self, token: str) -> None:
        """A token that is good from now on, for its lifetime."""
        self.tokens[token] = time.monotonic() + self.settings.token_lifetime_seconds

    def by_token(self, request: Request) -> bool:
        """Whether a request carries a live token."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self.tokens.get(token, 0.0) > time.monotonic()

    def authorize(self, request: Request) -> None:
        """By key or token."""
        key = request.headers.get("x-api-key", "")
        by_key = bool(key) and hmac.compare_digest(key.encode(), self.settings.api_key.encode())
        if not by_key and not self.by_token(request):
            raise Rejection(401, "unauthorized", "Send a bearer token or X-API-Key.")

    def customers_updated(self, earliest: datetime | None, found: list[Document]) -> list[Document]:
        """Of these customers, those that changed; oldest change first. One without a stamp is older than all."""
        stamped = [({"createdDate": "1970-01-01T00:00:00+00:00", **one}, one) for one in found]
        changed = [pair for pair in stamped if earliest is None or updated(pair[0]) >= earliest]
        return [one for _, one in sorted(changed, key=lambda pair: (updated(pair[0]), str(pair[1]["id"])))]

    def orders_updated(
        self, earliest: datetime | None, latest: datetime | None, start: int, size: int
    ) -> tuple[list[Document], int]:
        """Of the orders by their last change, oldest first: so many from `start`; and how many there are."""
        with self.store.lock:
            stamps = [(instant_of(text), id_) for id_, text in self.store.order_stamps.items()]
        found = sorted(
            (at, id_) for at, id_ in stamps if (earliest is None or at >= earliest) and (latest is None or at <= latest)
        )
        return [self.store.order(id_) for _, id_ in found[start : start + size]], len(found)


async def body_of(request: Request) -> Document:
    """The request's JSON object."""
    try:
        body = json.loads(await request.body())
    except (ValueError, RecursionError):
        raise Rejection(400, "bad_request", "The request is not JSON.") from None
    if not isinstance(body, dict):
        raise Rejection(400, "bad_request", "The request is not a JSON object.")
    return body


def instant(name: str, text: str) -> datetime | None:
    """An ISO 8601 instant with offset; empty is None."""
    if not text:
        return None
    try:
        value = datetime.fromisoformat(text)
        return value.astimezone() if value.tzinfo is None else value
    except (ValueError, OverflowError):
        raise invalid(name, "is not an ISO 8601 date and time") from None


def updated(order: Document) -> datetime:
    """When an order changed last."""
    return instant_of(str(order.get("updatedDate") or order.get("createdDate")))


@lru_cache(maxsize=100_000)
def instant_of(text: str) -> datetime:
    """An ISO 8601 stamp; without offset it is of this machine's zone."""
    return datetime.fromisoformat(text).astimezone()
