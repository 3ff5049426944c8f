"""The store's HTTP API (docs/openapi/clarity.yaml) and the sandbox's controls. Nothing answers 500."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from decimal import Decimal
from urllib.parse import parse_qs

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from sandbox.clarity import module_entity, money
from sandbox.clarity.products import AddProduct, ChangeProduct, SendProduct
from sandbox.clarity.sender import write_standard
from sandbox.clarity.side import Clarity, ClaritySettings, Dialect, body_of, instant
from sandbox.clarity.store import Document, Rejection, invalid
from sandbox.faults import Faults, add_fault_controls

__all__ = ["ClaritySettings", "create_app"]


class SendWebhooks(BaseModel):
    """`POST /_control/webhooks`: deliver an order's event again."""

    orderId: str
    type: str = "order.created"
    times: int = Field(default=1, ge=1, le=100)
    sameId: bool = False


class DropWebhooks(BaseModel):
    """`POST /_control/webhooks/drop`: lose a share of the deliveries from now on; 0 ends it."""

    share: float = Field(default=1.0, ge=0, le=1)
    seed: int = 0


class DriftInventory(BaseModel):
    """`POST /_control/inventory/drift`: so many quantities become wrong, by 1 to 9."""

    rows: int = Field(default=10, ge=1)
    seed: int = 0


class NameSkus(BaseModel):
    """`POST /_control/inventory/unknown`: what this store does not sell from now on, all of it. `…/forget`: quantities
    that are lost."""

    skus: list[str]


class ChangeOrder(BaseModel):
    """`POST /_control/orders/change`: buyer or store change an order; its webhook follows (or is dropped)."""

    orderId: str
    change: Document = {}
    type: str = "order.updated"


class ChangeCustomer(BaseModel):
    """`POST /_control/customers/change`: a customer changes something (a new one signs up); `customer.updated` follows.

    `event` is sent instead of the customer as it is now: a delivery that comes late."""

    customerId: str
    change: Document = {}
    deliver: bool = True
    event: Document | None = None


def error_body(code: str, message: str, details: list[Document]) -> Document:
    """`{"error": {code, message, details}}`."""
    return {"error": {"code": code, "message": message, "details": details}}


def page_of(documents: list[Document], page_index: int, page_size: int) -> JSONResponse:
    """The list envelope; pages count from 0."""
    start = page_index * page_size
    return envelope(documents[start : start + page_size], page_index, page_size, len(documents))


def envelope(items: list[Document], page_index: int, page_size: int, total: int) -> JSONResponse:
    """One page of so many."""
    return JSONResponse({"items": items, "pageIndex": page_index, "pageSize": page_size, "totalCount": total})


def create_app(settings: ClaritySettings) -> Faults:
    """The Clarity side of the sandbox, behind its faults."""
    other = settings.dialect is Dialect.MODULE_ENTITY
    clarity = Clarity(settings, module_entity.write if other else write_standard)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        sender = asyncio.create_task(clarity.sender.run())
        yield
        sender.cancel()
        clarity.store.close()

    app = FastAPI(title="Clarity (sandbox)", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    error = module_entity.error if other else error_body
    faults = Faults(
        app, lambda status: error(f"sandbox_{status}", f"Fault on demand: {status}", []), clarity.tokens.clear
    )
    add_error_answers(app, error)
    if other:
        module_entity.add_routes(app, clarity)
    else:
        add_routes(app, clarity)
    add_controls(app, clarity)
    add_fault_controls(app, faults)
    return faults


def add_error_answers(app: FastAPI, error_of: Callable[[str, str, list[Document]], Document]) -> None:
    """Every error in the shape of the dialect."""

    @app.exception_handler(Rejection)
    async def rejected(_: Request, error: Rejection) -> JSONResponse:
        return JSONResponse(error_of(error.code, error.message, error.details), error.status)

    @app.exception_handler(HTTPException)
    async def no_route(_: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse(error_of("no_route", str(error.detail), []), error.status_code)

    @app.exception_handler(RequestValidationError)
    async def not_valid(_: Request, error: RequestValidationError) -> JSONResponse:
        details = [
            {"field": ".".join(str(part) for part in entry["loc"]), "message": str(entry["msg"])}
            for entry in error.errors()
        ]
        return JSONResponse(error_of("validation_failed", "The request is not valid.", details), 422)


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
        start = pageIndex * pageSize
        orders, total = await run_in_threadpool(clarity.orders_updated, earliest, latest, start, pageSize)
        return envelope(orders, pageIndex, pageSize, total)

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
        if not orderId and not externalReference:
            items, total = await run_in_threadpool(store.page, "shipment", pageIndex * pageSize, pageSize)
            return envelope(items, pageIndex, pageSize, total)
        return page_of(await run_in_threadpool(store.shipments, orderId, externalReference), pageIndex, pageSize)

    @app.patch("/api/v1/shipments/{id_}")
    async def patch_shipment(request: Request, id_: str) -> JSONResponse:
        clarity.authorize(request)
        body = await body_of(request)
        return JSONResponse(await run_in_threadpool(store.patch_shipment, id_, body))

    @app.get("/api/v1/products")
    async def list_products(
        request: Request, updatedDateMin: str = "", pageIndex: int = 0, pageSize: int = 50
    ) -> JSONResponse:
        clarity.authorize(request)
        if pageIndex < 0 or not 1 <= pageSize <= 200:
            raise invalid("pageSize", "pageIndex starts at 0, pageSize is 1 to 200")
        earliest = instant("updatedDateMin", updatedDateMin)
        return page_of(await run_in_threadpool(clarity.products.updated_since, earliest), pageIndex, pageSize)

    @app.get("/api/v1/products/{id_}")
    async def get_product(request: Request, id_: str) -> JSONResponse:
        clarity.authorize(request)
        return JSONResponse(await run_in_threadpool(clarity.products.product, id_))

    @app.patch("/api/v1/products/{id_}")
    async def patch_product(request: Request, id_: str) -> JSONResponse:
        clarity.authorize(request)
        body = await body_of(request)
        return JSONResponse(await run_in_threadpool(clarity.change_product, id_, body))

    @app.put("/api/v1/inventory")
    async def put_inventory(request: Request) -> JSONResponse:
        clarity.authorize(request)
        body = await body_of(request)
        return JSONResponse(await run_in_threadpool(store.set_inventory, body, clarity.settings.inventory_limit))

    @app.get("/api/v1/inventory")
    async def list_inventory(request: Request, pageIndex: int = 0, pageSize: int = 50) -> JSONResponse:
        clarity.authorize(request)
        if not 0 <= pageIndex < 10**9 or not 1 <= pageSize <= 1000:
            raise invalid("pageSize", "pageIndex starts at 0, pageSize is 1 to 1000")
        items, total = await run_in_threadpool(store.inventory, pageIndex, pageSize)
        return JSONResponse({"items": items, "pageIndex": pageIndex, "pageSize": pageSize, "totalCount": total})

    @app.get("/api/v1/customers")
    async def list_customers(
        request: Request,
        externalReference: str = "",
        updatedDateMin: str = "",
        pageIndex: int = 0,
        pageSize: int = 50,
    ) -> JSONResponse:
        clarity.authorize(request)
        if pageIndex < 0 or not 1 <= pageSize <= 200:
            raise invalid("pageSize", "pageIndex starts at 0, pageSize is 1 to 200")
        found = await run_in_threadpool(store.customers, externalReference)
        return page_of(clarity.customers_updated(instant("updatedDateMin", updatedDateMin), found), pageIndex, pageSize)

    @app.get("/api/v1/customers/{id_}")
    async def get_customer(request: Request, id_: str) -> JSONResponse:
        clarity.authorize(request)
        return JSONResponse(await run_in_threadpool(store.customer, id_))

    @app.patch("/api/v1/customers/{id_}")
    async def patch_customer(request: Request, id_: str) -> JSONResponse:
        clarity.authorize(request)
        body = await body_of(request)
        return JSONResponse(await run_in_threadpool(store.patch_customer, id_, body))

    @app.get("/api/v1/payments")
    async def list_payments(
        request: Request, updatedDateMin: str = "", pageIndex: int = 0, pageSize: int = 50
    ) -> JSONResponse:
        clarity.authorize(request)
        if pageIndex < 0 or not 1 <= pageSize <= 200:
            raise invalid("pageSize", "pageIndex starts at 0, pageSize is 1 to 200")
        found = await run_in_threadpool(money.payments, store, instant("updatedDateMin", updatedDateMin))
        return page_of(found, pageIndex, pageSize)

    @app.get("/api/v1/payouts")
    async def list_payouts(
        request: Request, updatedDateMin: str = "", pageIndex: int = 0, pageSize: int = 50
    ) -> JSONResponse:
        clarity.authorize(request)
        if pageIndex < 0 or not 1 <= pageSize <= 200:
            raise invalid("pageSize", "pageIndex starts at 0, pageSize is 1 to 200")
        found = await run_in_threadpool(money.payouts, store, instant("updatedDateMin", updatedDateMin))
        return page_of(found, pageIndex, pageSize)


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
    async def check_out(request: Request, deliver: bool = True, reserve: bool = False) -> JSONResponse:
        event = await body_of(request)
        order = check_out_body(event)
        if reserve:
            await run_in_threadpool(store.reserve, order)
        if not await run_in_threadpool(store.check_out, order):
            return JSONResponse({"result": "exists", "orderId": str(order["id"])})
        if not deliver:
            return JSONResponse({"result": "new", "orderId": str(order["id"])}, 201)
        return JSONResponse({"result": "new", "webhookId": sender.queue(event), "orderId": str(order["id"])}, 201)

    @app.post("/_control/orders/change")
    async def change_order(wanted: ChangeOrder) -> JSONResponse:
        order = await run_in_threadpool(store.change_order, wanted.orderId, wanted.change)
        event = {"type": wanted.type, "timestamp": datetime.now().astimezone().isoformat(), "data": order}
        return JSONResponse({"webhookId": sender.queue(event), "orderId": wanted.orderId}, 201)

    @app.post("/_control/products")
    async def add_product(wanted: AddProduct) -> JSONResponse:
        product = await run_in_threadpool(clarity.products.add, wanted.product)
        return JSONResponse({"webhookId": clarity.tell_product(product), **product}, 201)

    @app.post("/_control/products/change")
    async def change_product(wanted: ChangeProduct) -> JSONResponse:
        product = await run_in_threadpool(clarity.products.by_sku, wanted.sku)
        return JSONResponse(await run_in_threadpool(clarity.change_product, product["id"], wanted.change))

    @app.post("/_control/products/webhooks")
    async def send_product(wanted: SendProduct) -> JSONResponse:
        product = await run_in_threadpool(clarity.products.by_sku, wanted.sku)
        sent = [entry for entry in store.all("delivery") if entry["productId"] == product["id"]]
        known = sent[-1]["id"] if wanted.sameId and sent else None
        told = {**product, **(wanted.data or {})}
        return JSONResponse({"webhookIds": [clarity.tell_product(told, known) for _ in range(wanted.times)]}, 201)

    @app.post("/_control/customers/change")
    async def change_customer(wanted: ChangeCustomer) -> JSONResponse:
        customer = await run_in_threadpool(store.change_customer, wanted.customerId, wanted.change)
        if not wanted.deliver:
            return JSONResponse({"customerId": wanted.customerId}, 201)
        event = {
            "type": "customer.updated",
            "timestamp": datetime.now().astimezone().isoformat(),
            "data": wanted.event or customer,
        }
        return JSONResponse({"webhookId": sender.queue(event), "customerId": wanted.customerId}, 201)

    @app.post("/_control/inventory/drift")
    async def drift(wanted: DriftInventory) -> JSONResponse:
        return JSONResponse({"changed": await run_in_threadpool(store.drift, wanted.rows, wanted.seed)})

    @app.post("/_control/inventory/forget")
    async def forget_inventory(wanted: NameSkus) -> JSONResponse:
        return JSONResponse({"removed": await run_in_threadpool(store.forget_inventory, wanted.skus)})

    @app.post("/_control/inventory/unknown")
    async def unknown_skus(wanted: NameSkus) -> JSONResponse:
        store.unknown_skus = set(wanted.skus)
        return JSONResponse({"unknown": sorted(store.unknown_skus)})

    @app.post("/_control/webhooks/drop")
    async def drop_webhooks(wanted: DropWebhooks) -> JSONResponse:
        sender.drop(wanted.share, wanted.seed)
        return JSONResponse({"share": wanted.share, "seed": wanted.seed})

    @app.post("/_control/webhooks")
    async def send_again(wanted: SendWebhooks) -> JSONResponse:
        order = await run_in_threadpool(store.order, wanted.orderId)
        sent = await run_in_threadpool(store.where, "delivery", "$.orderId", wanted.orderId) if wanted.sameId else []
        event = {"type": wanted.type, "timestamp": datetime.now().astimezone().isoformat(), "data": order}
        known = None
        if sent:
            event, known = sent[0]["event"], sent[0]["id"]
        return JSONResponse({"webhookIds": [sender.queue(event, known) for _ in range(wanted.times)]}, 201)

    @app.post("/_control/payouts")
    async def pay_out(wanted: money.PayOut) -> JSONResponse:
        return JSONResponse(await run_in_threadpool(money.pay_out, store, wanted), 201)

    @app.post("/_control/payments")
    async def loose_payment(request: Request) -> JSONResponse:
        return JSONResponse(await run_in_threadpool(money.add_loose_payment, store, await body_of(request)), 201)

    @app.get("/_control/webhooks")
    async def deliveries() -> JSONResponse:
        entries = [{name: value for name, value in entry.items() if name != "event"} for entry in store.all("delivery")]
        return JSONResponse({"deliveries": entries})

    @app.get("/_control/state")
    async def state() -> JSONResponse:
        return JSONResponse(
            {
                "ready": True,
                "orders": store.count("order"),
                "shipments": store.count("shipment"),
                "quantities": store.inventory(0, 1)[1],
                "undelivered": len(sender.waiting),
            }
        )
