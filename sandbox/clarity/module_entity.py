"""Another release of the store: routes `/{module}/{entity}`, login → JWT, PascalCase names, filters by `…Contains`.

The same store beneath (its documents are in the contract's words); this layer has the other release's words for them.
docs/openapi/clarity-module-entity.yaml describes it. The names are this project's invention: they show that a profile
can carry such differences, not what any shop's release is called inside.
"""

import base64
import hashlib
import hmac
import json
import re
import secrets
import sys
import time
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse

from sandbox.clarity import money
from sandbox.clarity.side import Clarity, body_of, instant
from sandbox.clarity.store import Document, Rejection, invalid

ITEM = {
    "id": "ID",
    "sku": "ProductSku",
    "name": "ProductName",
    "discount": "DiscountAmount",
    "tax": "TaxAmount",
    "taxable": "IsTaxable",
}
CUSTOMER = {"id": "ID", "company": "CompanyName", "taxExemptNo": "TaxExemptionNo", "externalReference": "ErpKey"}
ADDRESS = {
    "name": "FullName",
    "company": "CompanyName",
    "line1": "Street1",
    "line2": "Street2",
    "line3": "Street3",
    "region": "RegionCode",
    "country": "CountryCode",
    "residential": "IsResidential",
}
SHIPPING = {"method": "Name", "amount": "Cost"}
FEE = {"taxable": "IsTaxable"}
TOTALS = {
    "items": "ItemsTotal",
    "discount": "DiscountTotal",
    "shipping": "ShippingTotal",
    "tax": "TaxTotal",
    "fees": "FeeTotal",
    "grand": "GrandTotal",
}
PAYMENT = {
    "gateway": "Provider",
    "transactionId": "TransactionNumber",
    "type": "PaymentType",
    "currency": "CurrencyKey",
    "last4": "LastFour",
    "date": "PaymentDate",
    "orderId": "SalesOrderID",
    "fee": "FeeAmount",
    "payoutId": "PayoutID",
}
PAYOUT = {
    "id": "ID",
    "gateway": "Provider",
    "date": "PayoutDate",
    "currency": "CurrencyKey",
    "gross": "GrossAmount",
    "fee": "FeeAmount",
    "net": "NetAmount",
}
INVOICE = {"invoiceNo": "Number", "invoiceDate": "Date"}
CANCELLED = {"orderItemId": "SalesItemID"}
SHIPMENT = {
    "id": "ID",
    "orderId": "SalesOrderID",
    "externalReference": "ErpKey",
    "status": "StatusName",
    "carrier": "CarrierName",
    "service": "ServiceName",
    "shippedDate": "ShipDate",
    "items": "ShippedItems",
}
SHIPPED_ITEM = {"orderItemId": "SalesItemID"}
CREDIT = {"creditMemoNo": "CreditNumber", "date": "CreatedOn", "amount": "Amount", "rmaNo": "ReturnNumber"}
ORDER = {
    "id": "ID",
    "status": "StatusName",
    "currency": "CurrencyKey",
    "customer": "Account",
    "billingAddress": "BillingContact",
    "shippingAddress": "ShippingContact",
    "items": "SalesItems",
    "shipping": "ShippingMethod",
    "notes": "BuyerNotes",
    "invoiceReferences": "Invoices",
    "cancelledItems": "CancelledLines",
    "refundsDue": "Credits",
}
INSIDE = {
    "customer": CUSTOMER,
    "billingAddress": ADDRESS,
    "shippingAddress": ADDRESS,
    "items": ITEM,
    "shipping": SHIPPING,
    "discounts": {},
    "fees": FEE,
    "payments": PAYMENT,
    "invoiceReferences": INVOICE,
    "cancelledItems": CANCELLED,
    "refundsDue": CREDIT,
}
PRODUCT = {
    "id": "ID",
    "sku": "ProductSku",
    "name": "ProductName",
    "description": "LongText",
    "price": "SalesPrice",
    "active": "IsActive",
    "weight": "WeightLbs",
    "taxCode": "TaxKey",
}
LEVEL = {"sku": "ProductSku", "warehouse": "WarehouseName", "quantityAvailable": "Available"}
REJECTION = {"sku": "ProductSku", "warehouse": "WarehouseName", "message": "Reason"}
CUSTOMER_RECORD = {
    **CUSTOMER,
    "billingAddress": "BillingContact",
    "shippingAddresses": "ShippingContacts",
    "attributes": "CustomFields",
    "updatedDate": "ModifiedDate",
}
REFERENCES = {"externalReference": "Erp", "purchaseOrderNumber": "PurchaseOrder"}
STATUSES = {
    "Pending": "Open",
    "Processing": "In Process",
    "Shipped": "Dispatched",
    "Completed": "Closed",
    "Cancelled": "Withdrawn",
}
SHIPMENT_STATUSES = {"Shipped": "Dispatched", "Void": "Recalled"}
PAYMENT_TYPES = {"authorize": "Authorization", "capture": "Sale", "refund": "Credit", "void": "Reversal"}
EVENTS = {
    "order.created": "Ordering.SalesOrder.Created",
    "order.updated": "Ordering.SalesOrder.Updated",
    "order.cancelled": "Ordering.SalesOrder.Withdrawn",
    "product.updated": "Catalog.Product.Updated",
    "customer.updated": "Contacts.Customer.Updated",
}


def theirs(document: Mapping[str, Any], names: Mapping[str, str]) -> Document:
    """A document with the release's names; a name that has no entry only gets its capital."""
    return {names.get(name, name[:1].upper() + name[1:]): value for name, value in document.items()}


def ours(document: Any, names: Mapping[str, str]) -> Any:
    """The way back."""
    if not isinstance(document, dict):
        return document
    back = {name: field for field, name in names.items()}
    return {back.get(name, name[:1].lower() + name[1:]): value for name, value in document.items()}


def word(value: object, words: Mapping[str, str]) -> object:
    """The release's word for a value of the contract, or the value."""
    return words.get(value, value) if isinstance(value, str) else value


def status_of(value: object, words: Mapping[str, str]) -> str:
    """The contract's status behind the release's name for it."""
    for status, name in words.items():
        if value == name:
            return status
    raise invalid("status", f"is not one of {', '.join(words.values())}")


def order_out(order: Document) -> Document:
    """An order as this release shows it: totals stand beside the other fields, references in an object."""
    fields = dict(order)
    totals, references = fields.pop("totals", None), {}
    for field, name in REFERENCES.items():
        if field in fields:
            references[name] = fields.pop(field)
    if "status" in fields:
        fields["status"] = word(fields["status"], STATUSES)
    for field, names in INSIDE.items():
        value = fields.get(field)
        if isinstance(value, list):
            fields[field] = [theirs(one, names) if isinstance(one, dict) else one for one in value]
        elif isinstance(value, dict):
            fields[field] = theirs(value, names)
    if isinstance(fields.get("payments"), list):
        fields["payments"] = [
            {**one, "PaymentType": word(one.get("PaymentType"), PAYMENT_TYPES)} if isinstance(one, dict) else one
            for one in fields["payments"]
        ]
    shown = theirs(fields, ORDER)
    if isinstance(totals, dict):
        shown |= theirs(totals, TOTALS)
    return {**shown, "References": references}


def customer_out(customer: Document) -> Document:
    """A customer's own record as this release shows it."""
    fields = dict(customer)
    if isinstance(fields.get("billingAddress"), dict):
        fields["billingAddress"] = theirs(fields["billingAddress"], ADDRESS)
    if isinstance(fields.get("shippingAddresses"), list):
        fields["shippingAddresses"] = [theirs(one, ADDRESS) for one in fields["shippingAddresses"]]
    return theirs(fields, CUSTOMER_RECORD)


def payment_out(payment: Document) -> Document:
    """A payment as this release shows it."""
    shown = theirs(payment, PAYMENT)
    return {**shown, "PaymentType": word(shown.get("PaymentType"), PAYMENT_TYPES)}


def order_change_in(body: Document) -> Document:
    """A change of an order in the contract's words."""
    change = ours({name: value for name, value in body.items() if name != "References"}, ORDER)
    if "References" in body:
        if not isinstance(body["References"], dict):
            raise invalid("References", "is not an object")
        change |= ours(body["References"], REFERENCES)
    if "status" in change:
        change["status"] = status_of(change["status"], STATUSES)
    for field, names in (("invoiceReferences", INVOICE), ("cancelledItems", CANCELLED), ("refundsDue", CREDIT)):
        if isinstance(change.get(field), list):
            change[field] = [ours(one, names) for one in change[field]]
    return dict(change)


def shipment_out(shipment: Document) -> Document:
    """A shipment as this release shows it."""
    items = [theirs(item, SHIPPED_ITEM) for item in shipment["items"]]
    return theirs({**shipment, "status": word(shipment["status"], SHIPMENT_STATUSES), "items": items}, SHIPMENT)


def shipment_in(body: Document) -> Document:
    """A new shipment, or a change of one, in the contract's words."""
    shipment = dict(ours(body, SHIPMENT))
    if "status" in shipment:
        shipment["status"] = status_of(shipment["status"], SHIPMENT_STATUSES)
    if isinstance(shipment.get("items"), list):
        shipment["items"] = [ours(item, SHIPPED_ITEM) for item in shipment["items"]]
    return shipment


def error(code: str, message: str, details: list[Document]) -> Document:
    """`{"Code", "Message", "Errors": [{"Field", "Text"}]}`."""
    return {
        "Code": code,
        "Message": message,
        "Errors": [{"Field": field_out(str(one["field"])), "Text": one["message"]} for one in details],
    }


def field_out(path: str) -> str:
    """`items[0].quantity` → `ShippedItems[0].Quantity`."""
    stock = {name: LEVEL[name] for name in ("warehouse", "quantityAvailable")}
    product = {name: PRODUCT[name] for name in ("name", "price", "active", "weight", "taxCode")}
    names = {**product, **ORDER, **SHIPMENT, **CANCELLED, **REFERENCES, **stock}
    return re.sub(r"[A-Za-z_]\w*", lambda match: next(iter(theirs({match[0]: 0}, names))), path)


def entity_out(kind: object, entity: object) -> object:
    """What an event is about, as this release shows it; what is none of its events stays as it is."""
    if not isinstance(entity, dict) or not isinstance(kind, str) or kind not in EVENTS:
        return entity
    if kind.startswith("product."):
        return theirs(entity, PRODUCT)
    return customer_out(entity) if kind == "customer.updated" else order_out(entity)


def write(event: Document, _: str, timestamp: int, keys: list[str]) -> tuple[bytes, dict[str, str]]:
    """A webhook of this release: hex HMAC-SHA256 of `{timestamp}.{body}` per secret, and no id."""
    entity = event.get("data")
    kind = event.get("type")
    shown = {
        "Event": word(kind, EVENTS),
        "Occurred": event.get("timestamp"),
        "Entity": entity_out(kind, entity),
    }
    body = json.dumps(shown, ensure_ascii=False).encode()
    signed = f"{timestamp}.".encode() + body
    signatures = [hmac.new(key.encode(), signed, hashlib.sha256).hexdigest() for key in keys]
    return body, {
        "X-Store-Timestamp": str(timestamp),
        "X-Store-Signature": ",".join(f"sha256={signature}" for signature in signatures),
    }


def jwt(claims: Document, key: bytes) -> str:
    """A JWT signed with HS256 (RFC 7519)."""

    def part(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

    head = f"{part(json.dumps({'alg': 'HS256', 'typ': 'JWT'}).encode())}.{part(json.dumps(claims).encode())}"
    return f"{head}.{part(hmac.new(key, head.encode(), hashlib.sha256).digest())}"


def page_of(documents: list[Document], page: int, size: int) -> JSONResponse:
    """The list envelope; pages count from 0."""
    return JSONResponse(
        {
            "Results": documents[page * size : (page + 1) * size],
            "Paging": {"Page": page, "Size": size, "Total": len(documents)},
        }
    )


def check_paging(page: int, size: int) -> None:
    """Refuse pages that there cannot be."""
    if page < 0 or not 1 <= size <= 100:
        raise invalid("size", "page starts at 0, size is 1 to 100")


def add_routes(app: FastAPI, clarity: Clarity) -> None:
    """The routes of docs/openapi/clarity-module-entity.yaml."""
    store = clarity.store
    key = secrets.token_bytes(32)

    def authorize(request: Request) -> None:
        if not clarity.by_token(request):
            raise Rejection(401, "unauthorized", "Log in first.")

    @app.post("/auth/login")
    async def log_in(request: Request) -> JSONResponse:
        body = await body_of(request)
        user, password = body.get("userName"), body.get("password")
        if not (isinstance(user, str) and isinstance(password, str) and clarity.knows(user, password)):
            raise Rejection(401, "unauthorized", "userName or password is wrong.")
        now = time.time()
        expires = now + clarity.settings.token_lifetime_seconds
        token = jwt({"sub": user, "iat": now, "exp": expires, "jti": secrets.token_hex(8)}, key)
        clarity.remember(token)
        return JSONResponse({"token": token})

    @app.get("/Ordering/SalesOrder")
    async def list_orders(request: Request, modifiedSince: str = "", page: int = 0, size: int = 50) -> JSONResponse:
        authorize(request)
        check_paging(page, size)
        since = instant("modifiedSince", modifiedSince)
        orders, _ = await run_in_threadpool(clarity.orders_updated, since, None, 0, sys.maxsize)
        return page_of([order_out(order) for order in orders], page, size)

    @app.get("/Ordering/SalesOrder/{id_}")
    async def get_order(request: Request, id_: str) -> JSONResponse:
        authorize(request)
        return JSONResponse(order_out(await run_in_threadpool(store.order, id_)))

    @app.put("/Ordering/SalesOrder/{id_}")
    async def put_order(request: Request, id_: str) -> JSONResponse:
        authorize(request)
        change = order_change_in(await body_of(request))
        return JSONResponse(order_out(await run_in_threadpool(store.patch_order, id_, change)))

    @app.post("/Shipping/Shipment")
    async def post_shipment(request: Request) -> JSONResponse:
        authorize(request)
        status, shipment = await run_in_threadpool(store.add_shipment, shipment_in(await body_of(request)))
        return JSONResponse(shipment_out(shipment), status)

    @app.get("/Shipping/Shipment")
    async def list_shipments(
        request: Request, salesOrderIdContains: str = "", erpKeyContains: str = "", page: int = 0, size: int = 50
    ) -> JSONResponse:
        authorize(request)
        check_paging(page, size)
        found = [
            shipment_out(shipment)
            for shipment in await run_in_threadpool(store.shipments)
            if salesOrderIdContains in shipment["orderId"] and erpKeyContains in shipment["externalReference"]
        ]
        return page_of(found, page, size)

    @app.put("/Shipping/Shipment/{id_}")
    async def put_shipment(request: Request, id_: str) -> JSONResponse:
        authorize(request)
        change = shipment_in(await body_of(request))
        return JSONResponse(shipment_out(await run_in_threadpool(store.patch_shipment, id_, change)))

    @app.get("/Catalog/Product")
    async def list_products(request: Request, modifiedSince: str = "", page: int = 0, size: int = 50) -> JSONResponse:
        authorize(request)
        check_paging(page, size)
        found = await run_in_threadpool(clarity.products.updated_since, instant("modifiedSince", modifiedSince))
        return page_of([theirs(product, PRODUCT) for product in found], page, size)

    @app.get("/Catalog/Product/{id_}")
    async def get_product(request: Request, id_: str) -> JSONResponse:
        authorize(request)
        return JSONResponse(theirs(await run_in_threadpool(clarity.products.product, id_), PRODUCT))

    @app.put("/Catalog/Product/{id_}")
    async def put_product(request: Request, id_: str) -> JSONResponse:
        authorize(request)
        change = ours(await body_of(request), PRODUCT)
        return JSONResponse(theirs(await run_in_threadpool(clarity.change_product, id_, change), PRODUCT))

    @app.put("/Inventory/StockLevel")
    async def put_stock(request: Request) -> JSONResponse:
        authorize(request)
        body = await body_of(request)
        if set(body) != {"Levels"} or not isinstance(body["Levels"], list):
            raise invalid("Levels", "is not a list")
        batch = {"items": [ours(level, LEVEL) for level in body["Levels"]]}
        answer = await run_in_threadpool(store.set_inventory, batch, clarity.settings.inventory_limit, "levels")
        return JSONResponse({"Refused": [theirs(one, REJECTION) for one in answer["rejected"]]})

    @app.get("/Inventory/StockLevel")
    async def list_stock(request: Request, page: int = 0, size: int = 50) -> JSONResponse:
        authorize(request)
        if not 0 <= page < 10**9 or not 1 <= size <= 1000:
            raise invalid("size", "page starts at 0, size is 1 to 1000")
        items, total = await run_in_threadpool(store.inventory, page, size)
        shown = [theirs(one, LEVEL) for one in items]
        return JSONResponse({"Results": shown, "Paging": {"Page": page, "Size": size, "Total": total}})

    @app.get("/Contacts/Customer/{id_}")
    async def get_customer(request: Request, id_: str) -> JSONResponse:
        authorize(request)
        return JSONResponse(customer_out(await run_in_threadpool(store.customer, id_)))

    @app.put("/Contacts/Customer/{id_}")
    async def put_customer(request: Request, id_: str) -> JSONResponse:
        authorize(request)
        change = ours(await body_of(request), CUSTOMER_RECORD)
        return JSONResponse(customer_out(await run_in_threadpool(store.patch_customer, id_, change)))

    @app.get("/Contacts/Customer")
    async def list_customers(
        request: Request, erpKeyContains: str = "", modifiedSince: str = "", page: int = 0, size: int = 50
    ) -> JSONResponse:
        authorize(request)
        check_paging(page, size)
        found = await run_in_threadpool(store.customers, erpKeyContains, True)
        changed = clarity.customers_updated(instant("modifiedSince", modifiedSince), found)
        return page_of([customer_out(one) for one in changed], page, size)

    @app.get("/Payments/Payment")
    async def list_payments(request: Request, modifiedSince: str = "", page: int = 0, size: int = 50) -> JSONResponse:
        authorize(request)
        check_paging(page, size)
        found = await run_in_threadpool(money.payments, store, instant("modifiedSince", modifiedSince))
        return page_of([payment_out(payment) for payment in found], page, size)

    @app.get("/Payments/Payout")
    async def list_payouts(request: Request, modifiedSince: str = "", page: int = 0, size: int = 50) -> JSONResponse:
        authorize(request)
        check_paging(page, size)
        found = await run_in_threadpool(money.payouts, store, instant("modifiedSince", modifiedSince))
        return page_of([theirs(payout, PAYOUT) for payout in found], page, size)
