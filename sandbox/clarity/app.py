"""The store's HTTP API (docs/openapi/clarity.yaml) and the sandbox's controls. Nothing answers 500."""

import asyncio
import contextlib
import hmac
import json
import secrets
import time
from collections.abc import AsyncIterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from urllib.parse import parse_qs

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from sandbox.clarity.sender import Sender
from sandbox.clarity.store import Document, Rejection, Store, invalid
from sandbox.faults import Faults, add_fault_controls

RETRY_SCHEDULE = [5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0]
"""Seconds between attempts, as senders of Standard Webhooks do."""


class ClaritySettings(BaseModel):
    """How this store behaves."""

    database: Path
    client_id: str = "clarity-integration"
    client_secret: str = "clarity-sandbox-secret"
    api_key: str = "clarity-sandbox-key"
    token_lifetime_seconds: float = 600.0
    webhook_url: str = "http://127.0.0.1:8080/webhooks/clarity/demo"
    webhook_secrets: list[str] = Field(
        default_factory=lambda: ["whsec_c2FuZGJveC13ZWJob29rLXNpZ25pbmctc2VjcmV0LTAwMQ=="]
    )
    webhook_schedule: list[float] = Field(default_factory=lambda: list(RETRY_SCHEDULE))


class SendWebhooks(BaseModel):
    """`POST /_control/webhooks`: deliver an order's event again."""

    orderId: str
    type: str = "order.created"
    times: int = Field(default=1, ge=1, le=100)
    sameId: bool = False


class Clarity:
    """Tokens, store and sender."""

    def __init__(self, settings: ClaritySettings) -> None:
        self.settings = settings
        self.store = Store(settings.database)
        self.sender = Sender(self.store, settings.webhook_url, settings.webhook_secrets, settings.webhook_schedule)
        self.tokens: dict[str, float] = {}

    def token(self, form: dict[str, list[str]]) -> Document:
        """OAuth 2.0 client credentials."""
        fields = {name: values[0] for name, values in form.items()}
        if fields.get("grant_type") != "client_credentials":
            raise Rejection(400, "unsupported_grant_type", "grant_type must be client_credentials.")
        good = hmac.compare_digest(fields.get("client_id", "").encode(), self.settings.client_id.encode())
        good &= hmac.compare_digest(fields.get("client_secret", "").encode(), self.settings.client_secret.encode())
        if not good:
            raise Rejection(401, "invalid_client", "client_id or client_secret is wrong.")
        token = secrets.token_urlsafe(24)
        self.tokens[token] = time.monotonic() + self.settings.token_lifetime_seconds
        return {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": int(self.settings.token_lifetime_seconds),
        }

    def authorize(self, request: Request) -> None:
        """By key or token."""
        key = request.headers.get("x-api-key", "")
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        by_key = bool(key) and hmac.compare_digest(key.encode(), self.settings.api_key.encode())
        if not by_key and not (scheme.lower() == "bearer" and self.tokens.get(token, 0.0) > time.monotonic()):
            raise Rejection(401, "unauthorized", "Send a bearer token or X-API-Key.")


async def body_of(request: Request) -> Document:
    """The request's JSON object."""
    try:
        body = json.loads(await request.body())
    except (ValueError, RecursionError):
        raise Rejection(400, "bad_request", "The request is not JSON.") from None
    if not isinstance(body, dict):
        raise Rejection(400, "bad_request", "The request is not a JSON object.")
    return body


def error_body(status: int) -> Document:
    """The store's error answer for a fault on demand."""
    return {"error": {"code": f"sandbox_{status}", "message": f"Fault on demand: {status}", "details": []}}


def page_of(documents: list[Document], page_index: int, page_size: int) -> JSONResponse:
    """The list envelope; pages count from 0."""
    start = page_index * page_size
    return JSONResponse(
        {
            "items": documents[start : start + page_size],
            "pageIndex": page_index,
            "pageSize": page_size,
            "totalCount": len(documents),
        }
    )


def create_app(settings: ClaritySettings) -> Faults:
    """The Clarity side of the sandbox, behind its faults."""
    clarity = Clarity(settings)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        sender = asyncio.create_task(clarity.sender.run())
        yield
        sender.cancel()
        clarity.store.close()

    app = FastAPI(title="Clarity (sandbox)", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    faults = Faults(app, error_body, clarity.tokens.clear)
    add_error_answers(app)
    add_routes(app, clarity)
    add_controls(app, clarity)
    add_fault_controls(app, faults)
    return faults


def add_error_answers(app: FastAPI) -> None:
    """Every error as `{"error": {code, message, details}}`."""

    @app.exception_handler(Rejection)
    async def rejected(_: Request, error: Rejection) -> JSONResponse:
        body = {"code": error.code, "message": error.message, "details": error.details}
        return JSONResponse({"error": body}, error.status)

    @app.exception_handler(HTTPException)
    async def no_route(_: Request, error: HTTPException) -> JSONResponse:
        body = {"code": "no_route", "message": str(error.detail), "details": []}
        return JSONResponse({"error": body}, error.status_code)

    @app.exception_handler(RequestValidationError)
    async def not_valid(_: Request, error: RequestValidationError) -> JSONResponse:
        details = [
            {"field": ".".join(str(part) for part in entry["loc"]), "message": str(entry["msg"])}
            for entry in error.errors()
        ]
        body = {"code": "validation_failed", "message": "The request is not valid.", "details": details}
        return JSONResponse({"error": body}, 422)


def add_routes(app: FastAPI, clarity: Clarity) -> None:
    """The routes of docs/openapi/clarity.yaml."""
    store = clarity.store

    @app.post("/oauth/token")
    async def token(request: Request) -> JSONResponse:
        form = parse_qs((await request.body()).decode("utf-8", "replace"))
        return JSONResponse(clarity.token(form))

    @app.get("/api/v1/orders")
    async def list_orders(
        request: Request,
        updatedDateMin: str = "",
        updatedDateMax: str = "",
        pageIndex: int = 0,
        pageSize: int = 50,
    ) -> JSONResponse:
        clarity.authorize(request)
        if pageIndex < 0 or not 1 <= pageSize <= 200:
            raise invalid("pageSize", "pageIndex starts at 0, pageSize is 1 to 200")
        earliest, latest = instant("updatedDateMin", updatedDateMin), instant("updatedDateMax", updatedDateMax)
        orders = [
            order
            for order in await run_in_threadpool(store.all, "order")
            if (earliest is None or updated(order) >= earliest) and (latest is None or updated(order) <= latest)
        ]
        orders.sort(key=lambda order: (updated(order), str(order["id"])))
        return page_of(orders, pageIndex, pageSize)

    @app.get("/api/v1/orders/{id_}")
    async def get_order(request: Request, id_: str) -> JSONResponse:
        clarity.authorize(request)
        return JSONResponse(await run_in_threadpool(store.order, id_))

    @app.patch("/api/v1/orders/{id_}")
    async def patch_order(request: Request, id_: str) -> JSONResponse:
        clarity.authorize(request)
        body = await body_of(request)
        return JSONResponse(await run_in_threadpool(store.patch_order, id_, body))

    @app.post("/api/v1/shipments")
    async def post_shipment(request: Request) -> JSONResponse:
        clarity.authorize(request)
        body = await body_of(request)
        status, shipment = await run_in_threadpool(store.add_shipment, body)
        return JSONResponse(shipment, status)

    @app.get("/api/v1/shipments")
    async def list_shipments(
        request: Request, orderId: str = "", externalReference: str = "", pageIndex: int = 0, pageSize: int = 50
    ) -> JSONResponse:
        clarity.authorize(request)
        if pageIndex < 0 or not 1 <= pageSize <= 200:
            raise invalid("pageSize", "pageIndex starts at 0, pageSize is 1 to 200")
        return page_of(await run_in_threadpool(store.shipments, orderId, externalReference), pageIndex, pageSize)

    @app.patch("/api/v1/shipments/{id_}")
    async def patch_shipment(request: Request, id_: str) -> JSONResponse:
        clarity.authorize(request)
        body = await body_of(request)
        return JSONResponse(await run_in_threadpool(store.patch_shipment, id_, body))

    @app.get("/api/v1/customers/{id_}")
    async def get_customer(request: Request, id_: str) -> JSONResponse:
        clarity.authorize(request)
        return JSONResponse(await run_in_threadpool(store.customer, id_))

    @app.patch("/api/v1/customers/{id_}")
    async def patch_customer(request: Request, id_: str) -> JSONResponse:
        clarity.authorize(request)
        body = await body_of(request)
        return JSONResponse(await run_in_threadpool(store.patch_customer, id_, body))


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
    text = str(order.get("updatedDate") or order.get("createdDate"))
    return datetime.fromisoformat(text).astimezone()


def check_out_body(event: Document) -> Document:
    """The order of a checked-out event, refused when a store could not have made it."""
    order = event.get("data")
    if not isinstance(order, dict) or isinstance(order.get("id"), bool) or not isinstance(order.get("id"), str | int):
        raise invalid("data.id", "is missing")
    for name in ("createdDate", "updatedDate"):
        if name in order:
            instant(f"data.{name}", str(order[name]))
    if "createdDate" not in order:
        raise invalid("data.createdDate", "is missing")
    for item in order.get("items", []):
        if Decimal(str(item["quantity"])) <= 0:
            raise invalid("data.items", "quantities are greater than zero")
    return order


def add_controls(app: FastAPI, clarity: Clarity) -> None:
    """What only a sandbox has: buyers, repeated deliveries."""
    store, sender = clarity.store, clarity.sender

    @app.post("/_control/orders")
    async def check_out(request: Request) -> JSONResponse:
        event = await body_of(request)
        order = check_out_body(event)
        if not await run_in_threadpool(store.check_out, order):
            return JSONResponse({"result": "exists", "orderId": str(order["id"])})
        return JSONResponse({"result": "new", "webhookId": sender.queue(event), "orderId": str(order["id"])}, 201)

    @app.post("/_control/webhooks")
    async def send_again(wanted: SendWebhooks) -> JSONResponse:
        order = await run_in_threadpool(store.order, wanted.orderId)
        original = next((entry for entry in store.all("delivery") if entry["orderId"] == wanted.orderId), None)
        event = {"type": wanted.type, "timestamp": datetime.now().astimezone().isoformat(), "data": order}
        if wanted.sameId and original is not None:
            event = original["event"]
        known = original["id"] if wanted.sameId and original is not None else None
        return JSONResponse({"webhookIds": [sender.queue(event, known) for _ in range(wanted.times)]}, 201)

    @app.get("/_control/webhooks")
    async def deliveries() -> JSONResponse:
        entries = [{name: value for name, value in entry.items() if name != "event"} for entry in store.all("delivery")]
        return JSONResponse({"deliveries": entries})

    @app.get("/_control/state")
    async def state() -> JSONResponse:
        return JSONResponse(
            {
                "ready": True,
                "orders": len(store.all("order")),
                "shipments": len(store.all("shipment")),
                "undelivered": sum(not entry["done"] for entry in store.all("delivery")),
            }
        )
