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
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from sandbox.faults import FaultKind, Faults, add_fault_controls
from sandbox.sage100 import odbc_faults
from sandbox.sage100.cash import Cashier, CashReceipts, ChangeDeposit, PostReceipts
from sandbox.sage100.changes import ChangeOrder, Changes
from sandbox.sage100.company import Company, Refusal, Row
from sandbox.sage100.edits import Edits
from sandbox.sage100.items import Items
from sandbox.sage100.masters import ChangeCustomer, ChangeItem, ChangeMaster, Masters
from sandbox.sage100.orders import Orders
from sandbox.sage100.posting import Office
from sandbox.sage100.warehouse import Warehouse

Answer = TypeVar("Answer")

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
    """`POST /_control/ship`: one order, or several on one invoice."""

    SalesOrderNo: str = ""
    SalesOrderNos: list[str] = []
    Packages: list[dict[str, Any]] | None = None
    """{TrackingID?, StarshipShipVia?, Weight?, Items?}; left out: one package with a number; []: none."""
    ByItem: bool = False
    Quantities: dict[str, Decimal | dict[str, Decimal]] | None = None
    """By LineKey; for several orders by SalesOrderNo, then LineKey. Left out: everything."""
    Until: Literal["header", "lines", "tracking"] = "tracking"
    ShipStatus: Literal["N", "L", "S"] = "S"
    CloseShort: bool = False
    """The order is complete with what ships now."""
    InvoiceDate: date | None = None


class TrackInvoice(BaseModel):
    """`POST /_control/track`: key or replace the packages of an invoice, posted or not."""

    InvoiceNo: str
    Packages: list[dict[str, Any]]
    ByItem: bool = False
    ShipStatus: Literal["N", "L", "S"] | None = None


class ChangeInvoice(BaseModel):
    """`POST /_control/invoice`: correct the quantities of an unposted invoice, by OrderLineKey."""

    InvoiceNo: str
    Quantities: dict[str, Decimal]


class VoidInvoice(BaseModel):
    """`POST /_control/void`: delete an unposted invoice; `XD` leaves its header as deleted."""

    InvoiceNo: str
    XD: bool = False


class LooseInvoice(BaseModel):
    """`POST /_control/one_step_invoice`."""

    ARDivisionNo: str
    CustomerNo: str
    ItemCode: str
    Quantity: Decimal = Decimal(1)


class CreditMemo(BaseModel):
    """`POST /_control/credit_memo`: for a posted invoice."""

    InvoiceNo: str


class PostInvoice(BaseModel):
    """`POST /_control/post`; without a number all shipped invoices."""

    InvoiceNo: str | None = None
    HalfWay: bool = False
    """Stop with the rows in neither place; posting again finishes."""
    KeepOrder: bool = False
    """A fully invoiced order stays among the live ones with its comment and charge lines."""


class LeaveAlone(BaseModel):
    """`POST /_control/leave_alone`: orders that the automatic warehouse does not ship, by UDF_WEB_ORDER_ID."""

    UDF_WEB_ORDER_IDs: list[str]


class CompanyOptions(BaseModel):
    """`POST /_control/company`: the company's options; what is left out stays."""

    keep_order_history: Literal["Y", "N"] | None = None
    keep_deleted_history: Literal["Y", "N"] | None = None
    posting_reduces_quantity: Literal["Y", "N"] | None = None
    module_code: Literal["S/O", "SO"] | None = None
    careless_gateway: Literal["Y", "N"] | None = None
    """Y: a POST on a key that exists opens that record and writes over it, as SetKey alone does in BOI."""
    closed_through: str | None = None
    """A day: the periods up to it are closed, and take no receipts."""


class SetClock(BaseModel):
    """`POST /_control/clock`: an instant, or seconds from the real time."""

    now: datetime | None = None
    shift_seconds: float | None = None


class Gateway:
    """Sessions, the writer's seat, and the routes' work."""

    def __init__(self, settings: Sage100Settings) -> None:
        self.settings = settings
        odbc_faults.bring_back(settings.database)
        self.company = Company(settings.database)
        self.orders = Orders(self.company)
        self.warehouse = Warehouse(self.company, self.orders, settings.step_pause_seconds)
        self.office = Office(self.company)
        self.changes = Changes(self.company, self.orders)
        self.edits = Edits(self.company, self.orders, self.changes)
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

    def write(self, work: Callable[[], Answer]) -> Answer:
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
        if self.settings.ship_after_seconds is not None:
            await run_in_threadpool(self.warehouse.finish_interrupted)
        while True:
            await asyncio.sleep(AUTOMATIC_INTERVAL)
            with contextlib.suppress(Refusal):
                await run_in_threadpool(self._automatic_round)

    def _automatic_round(self) -> None:
        if self.settings.ship_after_seconds is not None:
            for number in self.warehouse.due_to_ship(self.settings.ship_after_seconds):
                quantities = self.warehouse.on_the_shelf(number)
                if quantities is None or any(quantities.values()):
                    self.warehouse.ship([number], quantities=quantities)
        if self.settings.post_after_seconds is not None:
            for number in self.warehouse.due_to_post(self.settings.post_after_seconds):
                self.office.post(number)


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


def create_app(settings: Sage100Settings) -> Faults:
    """The Sage side of the sandbox, behind its faults."""
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

    async def odbc(kind: FaultKind, seconds: float, ended: threading.Event) -> None:
        await run_in_threadpool(odbc_faults.play, gateway.company, settings.database, kind, seconds, ended)

    faults = Faults(app, error_body, gateway.tokens.clear, odbc)
    add_error_answers(app)
    add_routes(app, gateway)
    add_controls(app, gateway)
    add_fault_controls(app, faults)
    return faults


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
    orders, company, items = gateway.orders, gateway.company, Items(gateway.company)

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
        stored, status = await run_in_threadpool(gateway.write, lambda: orders.create(body))
        return JSONResponse(stored, status)

    @app.get("/SO/SalesOrder/{number}")
    async def get_sales_order(request: Request, number: str) -> JSONResponse:
        gateway.authorize(request)
        return JSONResponse(await run_in_threadpool(orders.get, number))

    @app.patch("/SO/SalesOrder/{number}")
    async def change_sales_order(request: Request, number: str) -> JSONResponse:
        gateway.authorize(request)
        body = await body_of(request)
        return JSONResponse(await run_in_threadpool(gateway.write, lambda: gateway.edits.patch(number, body)))

    @app.delete("/SO/SalesOrder/{number}")
    async def delete_sales_order(request: Request, number: str) -> JSONResponse:
        gateway.authorize(request)
        await run_in_threadpool(gateway.write, lambda: gateway.changes.remove(number))
        return JSONResponse({"SalesOrderNo": number})

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
        stored, status = await run_in_threadpool(gateway.write, lambda: orders.create_customer(body))
        return JSONResponse(stored, status)

    @app.get("/AR/Customer/{key}")
    async def get_customer(request: Request, key: str) -> JSONResponse:
        gateway.authorize(request)
        division, _, number = key.partition("-")
        return JSONResponse(await run_in_threadpool(orders.get_customer, division, number))

    @app.patch("/AR/Customer/{key}")
    async def change_customer(request: Request, key: str) -> JSONResponse:
        gateway.authorize(request)
        body = await body_of(request)
        division, _, number = key.partition("-")
        stored = await run_in_threadpool(gateway.write, lambda: orders.change_customer(division, number, body))
        return JSONResponse(stored)

    @app.post("/SO/ShipToAddress")
    async def create_ship_to(request: Request) -> JSONResponse:
        gateway.authorize(request)
        body = await body_of(request)
        stored = await run_in_threadpool(gateway.write, lambda: orders.create_ship_to(body))
        return JSONResponse({name: stored[name] for name in ("ARDivisionNo", "CustomerNo", "ShipToCode")}, 201)

    @app.post("/CI/Item")
    async def create_item(request: Request) -> JSONResponse:
        gateway.authorize(request)
        body = await body_of(request)
        stored, status = await run_in_threadpool(gateway.write, lambda: items.create(body))
        return JSONResponse(stored, status)

    @app.get("/CI/Item/{code:path}")
    async def get_item(request: Request, code: str) -> JSONResponse:
        gateway.authorize(request)
        return JSONResponse(await run_in_threadpool(items.get, code))

    @app.patch("/CI/Item/{code:path}")
    async def change_item(request: Request, code: str) -> JSONResponse:
        gateway.authorize(request)
        body = await body_of(request)
        return JSONResponse(await run_in_threadpool(gateway.write, lambda: items.patch(code, body)))

    @app.post("/IM/AliasItem")
    async def create_alias(request: Request) -> JSONResponse:
        gateway.authorize(request)
        body = await body_of(request)
        stored, status = await run_in_threadpool(gateway.write, lambda: orders.create_alias(body))
        return JSONResponse(stored, status)

    @app.post("/AR/CashReceipt")
    async def create_cash_receipt(request: Request) -> JSONResponse:
        gateway.authorize(request)
        body = await body_of(request)
        stored, status = await run_in_threadpool(gateway.write, lambda: Cashier(company).create(body))
        return JSONResponse(stored, status)


def add_controls(app: FastAPI, gateway: Gateway) -> None:
    """What only a sandbox has: people in the warehouse and the office, a clock."""
    warehouse, office, masters = gateway.warehouse, gateway.office, Masters(gateway.company)

    @app.post("/_control/ship")
    async def ship(order: ShipOrder) -> JSONResponse:
        def work() -> str:
            return warehouse.ship(
                order.SalesOrderNos or [order.SalesOrderNo],
                order.Packages,
                by_item=order.ByItem,
                quantities=order.Quantities,  # type: ignore[arg-type]
                until=order.Until,
                ship_status=order.ShipStatus,
                close_short=order.CloseShort,
                invoice_date=order.InvoiceDate,
            )

        return JSONResponse({"InvoiceNo": await run_in_threadpool(work)})

    @app.post("/_control/track")
    async def track(change: TrackInvoice) -> JSONResponse:
        def work() -> None:
            warehouse.track(change.InvoiceNo, change.Packages, by_item=change.ByItem, ship_status=change.ShipStatus)

        await run_in_threadpool(work)
        return JSONResponse({"InvoiceNo": change.InvoiceNo})

    @app.post("/_control/invoice")
    async def change_invoice(change: ChangeInvoice) -> JSONResponse:
        await run_in_threadpool(warehouse.change_quantities, change.InvoiceNo, change.Quantities)
        return JSONResponse({"InvoiceNo": change.InvoiceNo})

    @app.post("/_control/void")
    async def void(invoice: VoidInvoice) -> JSONResponse:
        await run_in_threadpool(lambda: warehouse.void(invoice.InvoiceNo, keep_as_deleted=invoice.XD))
        return JSONResponse({"InvoiceNo": invoice.InvoiceNo})

    @app.post("/_control/one_step_invoice")
    async def one_step_invoice(invoice: LooseInvoice) -> JSONResponse:
        number = await run_in_threadpool(
            warehouse.one_step_invoice,
            invoice.ARDivisionNo,
            invoice.CustomerNo,
            invoice.ItemCode,
            invoice.Quantity,
        )
        return JSONResponse({"InvoiceNo": number})

    @app.post("/_control/credit_memo")
    async def credit_memo(memo: CreditMemo) -> JSONResponse:
        return JSONResponse({"InvoiceNo": await run_in_threadpool(warehouse.credit_memo, memo.InvoiceNo)})

    @app.post("/_control/post")
    async def post(invoice: PostInvoice) -> JSONResponse:
        def work() -> list[str]:
            return office.post(invoice.InvoiceNo, half_way=invoice.HalfWay, keep_order=invoice.KeepOrder)

        return JSONResponse({"InvoiceNos": await run_in_threadpool(work)})

    @app.post("/_control/order")
    async def change_order(change: ChangeOrder) -> JSONResponse:
        return JSONResponse(await run_in_threadpool(gateway.changes.change, change))

    @app.post("/_control/type_order")
    async def type_order(request: Request) -> JSONResponse:
        """Somebody at the order desk types an order: the next number, and Sage's own defaults for what is left out."""
        body = await body_of(request)

        def work() -> Row:
            number = f"{gateway.company.next_number('next_sales_order_no'):07d}"
            return gateway.orders.create({"SalesOrderNo": number, **body})[0]

        return JSONResponse(await run_in_threadpool(work), 201)

    @app.post("/_control/cash_receipts")
    async def receive(wanted: CashReceipts) -> JSONResponse:
        return JSONResponse(await run_in_threadpool(Cashier(gateway.company).receive, wanted), 201)

    @app.post("/_control/post_receipts")
    async def post_receipts(wanted: PostReceipts) -> JSONResponse:
        numbers = await run_in_threadpool(Cashier(gateway.company).post_all, wanted)
        return JSONResponse({"DepositNos": numbers})

    @app.post("/_control/deposit")
    async def change_deposit(wanted: ChangeDeposit) -> JSONResponse:
        return JSONResponse(await run_in_threadpool(Cashier(gateway.company).change_deposit, wanted))

    @app.post("/_control/item")
    async def change_item(change: ChangeItem) -> JSONResponse:
        return JSONResponse(await run_in_threadpool(masters.change_item, change))

    @app.post("/_control/customer")
    async def change_customer(change: ChangeCustomer) -> JSONResponse:
        return JSONResponse(await run_in_threadpool(masters.change_customer, change))

    @app.post("/_control/master")
    async def change_master(change: ChangeMaster) -> JSONResponse:
        return JSONResponse(await run_in_threadpool(masters.change_master, change))

    @app.post("/_control/leave_alone")
    async def leave_alone(wanted: LeaveAlone) -> JSONResponse:
        kept = await run_in_threadpool(warehouse.leave_alone, wanted.UDF_WEB_ORDER_IDs)
        return JSONResponse({"UDF_WEB_ORDER_IDs": kept})

    @app.post("/_control/company")
    async def options(wanted: CompanyOptions) -> JSONResponse:
        for name, value in wanted.model_dump(exclude_none=True).items():
            await run_in_threadpool(gateway.company.set_state, f"option_{name}", value)
        names = list(CompanyOptions.model_fields)
        return JSONResponse({name: gateway.company.switch(name) for name in names})

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

    @app.get("/_control/state")
    async def state() -> JSONResponse:
        def count() -> Row:
            return {
                table: gateway.company.rows(f"SELECT COUNT(*) AS n FROM {table}")[0]["n"]  # noqa: S608
                for table in ("SO_SalesOrderHeader", "SO_SalesOrderHistoryHeader", "SO_InvoiceHeader", "AR_Customer")
            }

        return JSONResponse({"ready": True, "rows": await run_in_threadpool(count)})
