"""The HTTP gateway in front of Sage (docs/openapi/sage-gateway.yaml), and the sandbox's own controls.

One writer at a time, as with one BOI session: a second write is answered 503 at once. Nothing answers 500.
"""

import asyncio
import contextlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from sandbox.faults import Fault, Faults
from sandbox.sage100.company import Company, Refusal, Row
from sandbox.sage100.orders import Orders
from sandbox.sage100.warehouse import Warehouse

BODY_LIMIT = 4 * 1024 * 1024
AUTOMATIC_INTERVAL = 0.2


class Sage100Settings(BaseModel):
    """How this Sage behaves."""

    database: Path
    user: str = "integration"
    password: str = "sandbox-only"
    api_key: str = "sage-sandbox-key"
    company: str = "ABC"
    token_lifetime_seconds: float = 600.0
    ship_after_seconds: float | None = None
    """The warehouse ships an order so long after its creation; None: only when told."""
    post_after_seconds: float | None = None
    """The office posts an invoice so long after it was shipped; None: only when told."""
    step_pause_seconds: float = 0.0
    """Between header, lines and tracking of an invoice."""
    write_duration_seconds: float = 0.0


class ShipOrder(BaseModel):
    """`POST /_control/ship`."""

    SalesOrderNo: str
    Packages: list[dict[str, Any]] | None = None
    ByItem: bool = False
    Quantities: dict[str, Decimal] | None = None


class PostInvoice(BaseModel):
    """`POST /_control/post`; without a number all shipped invoices."""

    InvoiceNo: str | None = None


class SetClock(BaseModel):
    """`POST /_control/clock`: an instant, or seconds from the real time."""

    now: datetime | None = None
    shift_seconds: float | None = None


class Gateway:
    """Sessions, the writer's seat, and the routes' work."""

    def __init__(self, settings: Sage100Settings) -> None:
        self.settings = settings
        self.company = Company(settings.database)
        self.orders = Orders(self.company)
        self.warehouse = Warehouse(self.company, self.orders, settings.step_pause_seconds)
        self.tokens: dict[str, float] = {}
        self.seat = threading.Lock()
        self.automatic: asyncio.Task[None] | None = None

    def sign_in(self, body: Row) -> Row:
        """UserLogon and Password → a token that expires."""
        user, password = str(body.get("UserLogon", "")), str(body.get("Password", ""))
        good = hmac.compare_digest(user.encode(), self.settings.user.encode())
        good &= hmac.compare_digest(password.encode(), self.settings.password.encode())
        if not good:
            raise Refusal(401, "SY_LogonFailed", "The user logon or password is not valid.")
        token = secrets.token_urlsafe(24)
        self.tokens[token] = time.monotonic() + self.settings.token_lifetime_seconds
        return {"Token": token, "ExpiresIn": int(self.settings.token_lifetime_seconds)}

    def authorize(self, request: Request) -> None:
        """By key or token, and for the one company there is."""
        key = request.headers.get("x-api-key", "")
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        by_key = bool(key) and hmac.compare_digest(key.encode(), self.settings.api_key.encode())
        by_token = scheme.lower() == "bearer" and self.tokens.get(token, 0.0) > time.monotonic()
        if not by_key and not by_token:
            raise Refusal(401, "SY_NotSignedIn", "Sign in with POST /session, or send X-API-Key.")
        if request.headers.get("x-company") != self.settings.company:
            raise Refusal(422, "SY_Company", "The header X-Company names no company on file.", "X-Company")

    def write(self, work: Callable[[], Row]) -> Row:
        """Run a write in the one seat there is; busy means 503, not a queue."""
        if not self.seat.acquire(blocking=False):
            raise Refusal(503, "SY_Busy", "Another session is writing; try again.", retry_after=1)
        try:
            if self.settings.write_duration_seconds:
                time.sleep(self.settings.write_duration_seconds)
            return work()
        finally:
            self.seat.release()

    async def run_automatically(self) -> None:
        """Ship and post with the configured pace, as long as the process lives."""
        while True:
            await asyncio.sleep(AUTOMATIC_INTERVAL)
            with contextlib.suppress(Refusal):
                await run_in_threadpool(self._automatic_round)

    def _automatic_round(self) -> None:
        if self.settings.ship_after_seconds is not None:
            for number in self.warehouse.due_to_ship(self.settings.ship_after_seconds):
                self.warehouse.ship(number)
        if self.settings.post_after_seconds is not None:
            for number in self.warehouse.due_to_post(self.settings.post_after_seconds):
                self.warehouse.post(number)


async def body_of(request: Request) -> Row:
    """The request's JSON object; 422 for anything else."""
    raw = await request.body()
    if len(raw) > BODY_LIMIT:
        raise Refusal(422, "SY_TooLarge", "The request is larger than 4 MB.")
    try:
        body = json.loads(raw or b"{}", parse_float=Decimal)
    except (ValueError, RecursionError):
        raise Refusal(422, "SY_NotJson", "The request is not JSON.") from None
    if not isinstance(body, dict):
        raise Refusal(422, "SY_NotJson", "The request is not a JSON object.")
    return body


def error_body(status: int) -> Row:
    """The gateway's error answer for a fault on demand."""
    return {"ErrorCode": f"SANDBOX_{status}", "ErrorMessage": f"Fault on demand: {status}"}


def create_app(settings: Sage100Settings) -> FastAPI:
    """The Sage side of the sandbox."""
    gateway = Gateway(settings)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if settings.ship_after_seconds is not None or settings.post_after_seconds is not None:
            gateway.automatic = asyncio.create_task(gateway.run_automatically())
        yield
        if gateway.automatic is not None:
            gateway.automatic.cancel()
        gateway.company.close()

    app = FastAPI(
        title="Sage 100 gateway (sandbox)", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None
    )
    faults: list[Faults] = []

    def with_faults(inner: Any) -> Faults:
        faults.append(Faults(inner, error_body))
        return faults[-1]

    app.add_middleware(with_faults)
    add_error_answers(app)
    add_routes(app, gateway)
    add_controls(app, gateway, faults)
    return app


def add_error_answers(app: FastAPI) -> None:
    """Every error as `{ErrorCode, ErrorMessage, Column?}`."""

    @app.exception_handler(Refusal)
    async def refused(_: Request, refusal: Refusal) -> JSONResponse:
        body = {"ErrorCode": refusal.code, "ErrorMessage": refusal.message}
        if refusal.column:
            body["Column"] = refusal.column
        headers = {} if refusal.retry_after is None else {"Retry-After": str(refusal.retry_after)}
        return JSONResponse(body, refusal.status, headers)

    @app.exception_handler(HTTPException)
    async def no_route(_: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"ErrorCode": "SY_NoRoute", "ErrorMessage": str(error.detail)}, error.status_code)

    @app.exception_handler(RequestValidationError)
    @app.exception_handler(ValidationError)
    async def invalid(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"ErrorCode": "SY_Invalid", "ErrorMessage": str(error)[:300]}, 422)


def add_routes(app: FastAPI, gateway: Gateway) -> None:
    """The routes of docs/openapi/sage-gateway.yaml."""
    orders, company = gateway.orders, gateway.company

    @app.post("/session")
    async def session(request: Request) -> JSONResponse:
        return JSONResponse(gateway.sign_in(await body_of(request)))

    @app.post("/SO/SalesOrder/NextNumber")
    async def next_sales_order_no(request: Request) -> JSONResponse:
        gateway.authorize(request)
        number = await run_in_threadpool(company.next_number, "next_sales_order_no")
        return JSONResponse({"SalesOrderNo": f"{number:07d}"})

    @app.post("/SO/SalesOrder/Preview")
    async def preview(request: Request) -> JSONResponse:
        gateway.authorize(request)
        body = await body_of(request)
        return JSONResponse(await run_in_threadpool(orders.preview, body))

    @app.post("/SO/SalesOrder")
    async def create_sales_order(request: Request) -> JSONResponse:
        gateway.authorize(request)
        body = await body_of(request)
        return JSONResponse(await run_in_threadpool(gateway.write, lambda: orders.create(body)), 201)

    @app.get("/SO/SalesOrder/{number}")
    async def get_sales_order(request: Request, number: str) -> JSONResponse:
        gateway.authorize(request)
        return JSONResponse(await run_in_threadpool(orders.get, number))

    @app.get("/SO/SalesOrder")
    async def find_sales_orders(request: Request, CustomerPONo: str = "", UDF_WEB_ORDER_ID: str = "") -> JSONResponse:
        gateway.authorize(request)
        if not CustomerPONo and not UDF_WEB_ORDER_ID:
            raise Refusal(422, "SO_NoKey", "Ask by CustomerPONo or UDF_WEB_ORDER_ID.", "CustomerPONo")
        found = await run_in_threadpool(orders.find, CustomerPONo, UDF_WEB_ORDER_ID)
        return JSONResponse({"Items": found, "TotalCount": len(found)})

    @app.post("/AR/Customer/NextNumber")
    async def next_customer_no(request: Request) -> JSONResponse:
        gateway.authorize(request)
        number = await run_in_threadpool(company.next_number, "next_customer_no")
        return JSONResponse({"CustomerNo": f"W{number:06d}"})

    @app.post("/AR/Customer")
    async def create_customer(request: Request) -> JSONResponse:
        gateway.authorize(request)
        body = await body_of(request)
        return JSONResponse(await run_in_threadpool(gateway.write, lambda: orders.create_customer(body)), 201)

    @app.get("/AR/Customer/{key}")
    async def get_customer(request: Request, key: str) -> JSONResponse:
        gateway.authorize(request)
        division, _, number = key.partition("-")
        return JSONResponse(await run_in_threadpool(orders.get_customer, division, number))


def add_controls(app: FastAPI, gateway: Gateway, faults: list[Faults]) -> None:
    """What only a sandbox has: people in the warehouse, a clock, faults."""

    @app.post("/_control/ship")
    async def ship(order: ShipOrder) -> JSONResponse:
        invoice_no = await run_in_threadpool(
            gateway.warehouse.ship,
            order.SalesOrderNo,
            order.Packages,
            by_item=order.ByItem,
            quantities=order.Quantities,
        )
        return JSONResponse({"InvoiceNo": invoice_no})

    @app.post("/_control/post")
    async def post(invoice: PostInvoice) -> JSONResponse:
        return JSONResponse({"InvoiceNos": await run_in_threadpool(gateway.warehouse.post, invoice.InvoiceNo)})

    @app.get("/_control/clock")
    async def clock() -> JSONResponse:
        return JSONResponse({"now": gateway.company.now().isoformat()})

    @app.post("/_control/clock")
    async def set_clock(clock: SetClock) -> JSONResponse:
        shift = clock.shift_seconds or 0.0
        if clock.now is not None:
            wanted = clock.now if clock.now.tzinfo else clock.now.replace(tzinfo=gateway.company.zone)
            shift = (wanted - datetime.now(UTC)).total_seconds()
        gateway.company.shift_clock(shift)
        return JSONResponse({"now": gateway.company.now().isoformat()})

    @app.post("/_control/faults")
    async def add_fault(fault: Fault) -> JSONResponse:
        faults[-1].pending.append(fault)
        return JSONResponse({"pending": len(faults[-1].pending)})

    @app.delete("/_control/faults")
    async def no_faults() -> JSONResponse:
        faults[-1].pending.clear()
        return JSONResponse({"pending": 0})

    @app.get("/_control/faults")
    async def count_faults() -> JSONResponse:
        return JSONResponse({"pending": len(faults[-1].pending)})

    @app.get("/_control/calls")
    async def calls() -> JSONResponse:
        return JSONResponse({"calls": list(faults[-1].calls)})

    @app.get("/_control/state")
    async def state() -> JSONResponse:
        def count() -> Row:
            return {
                table: gateway.company.rows(f"SELECT COUNT(*) AS n FROM {table}")[0]["n"]  # noqa: S608
                for table in ("SO_SalesOrderHeader", "SO_SalesOrderHistoryHeader", "SO_InvoiceHeader", "AR_Customer")
            }

        return JSONResponse({"ready": True, "rows": await run_in_threadpool(count)})
