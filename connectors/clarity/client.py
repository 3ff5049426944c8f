"""Clarity's HTTP API (docs/openapi/clarity.yaml), by the routes and names of the pair's profile.

In: order ids, shipments. Out: plain JSON of orders, small receipts, in the contract's words whatever the release says.
Raises the tree of `connectors.errors`. Field names are this project's assumption of Clarity's contract.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from connectors.clarity.sign_in import SYSTEM, ClaritySettings, sign_in_of
from connectors.errors import RetryLater
from connectors.http import Json, JsonApi, Listener
from mappings.canonical import Shipment, ShippedLine
from mappings.clarity_profile import (
    ClarityProfile,
    ErrorAnswer,
    Kind,
    customer_to_contract,
    from_contract,
    to_contract,
    value_at,
)
from mappings.inventory import StockRow
from mappings.packages import KnownShipment
from mappings.shipments import CancelledItem, InvoiceReference, RefundDue

__all__ = ["ClarityClient", "ClaritySettings", "OrderPage", "RejectedLevel", "ShipmentReceipt"]


MOST_PAGES = 10
"""Of the customers that a filter finds; only one that finds too much has more than one."""


class ReceivedItem(BaseModel):
    """A quantity of one order item, as Clarity has it."""

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)

    orderItemId: str
    quantity: Decimal


class ShipmentReceipt(BaseModel):
    """A shipment as Clarity has it."""

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)

    id: str
    orderId: str = ""
    externalReference: str = ""
    status: str = ""
    carrier: str = ""
    service: str = ""
    trackingNumber: str = ""
    trackingUrl: str = ""
    items: list[ReceivedItem] = []


class OrderPage(BaseModel):
    """One page of orders, payments or payouts."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    items: list[dict[str, Any]]
    totalCount: int


class RejectedLevel(BaseModel):
    """A quantity that the store does not take."""

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)

    sku: str = ""
    warehouse: str = ""
    message: str = ""


class _Level(BaseModel):
    """A quantity as the store has it."""

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)

    sku: str
    warehouse: str = ""
    quantityAvailable: Decimal


class ClarityClient:
    """One store."""

    def __init__(
        self,
        profile: ClarityProfile,
        settings: ClaritySettings,
        *,
        shadow: bool = False,
        transport: httpx.AsyncBaseTransport | None = None,
        listener: Listener | None = None,
    ) -> None:
        """With `shadow` every call that writes is refused (`ShadowMode`)."""
        self._profile = profile
        self._api = JsonApi(
            SYSTEM,
            settings.url,
            sign_in_of(profile, settings),
            explain_errors(profile.errors),
            headers=profile.headers.fixed,
            transport=transport,
            listener=listener,
            only_reads=frozenset() if shadow else None,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()

    @property
    def page_size(self) -> int:
        """Entries of a page of a list, as the profile has it."""
        return self._profile.paging.page_size

    async def get_order(self, order_id: str) -> dict[str, Any]:
        """The order as plain JSON."""
        _, body = await self._api.call(
            "GET", _fill(self._profile.routes.order, order_id), route=self._profile.routes.order
        )
        order = to_contract(body, Kind.ORDER, self._profile)
        if not isinstance(order, dict):
            raise RetryLater(SYSTEM, "GET order", "an answer that is no order")
        return order

    async def list_orders(self, updated_date_min: datetime, page: int = 0) -> OrderPage:
        """Orders updated since, one page; `page` counts from 0 whatever the profile counts from."""
        since = {self._profile.filters.updatedDateMin: updated_date_min.isoformat()}
        entries, body = await self._page("GET orders", self._profile.routes.orders, since, page)
        try:
            return OrderPage(
                items=[to_contract(entry, Kind.ORDER, self._profile) for entry in entries],
                totalCount=value_at(body, self._profile.paging.total_field),
            )
        except (KeyError, ValidationError):
            raise RetryLater(SYSTEM, "GET orders", "an answer that is no list of orders") from None

    async def list_payments(self, updated_date_min: datetime, page: int = 0) -> OrderPage:
        """Payments of all orders changed since, one page, as plain JSON with their `orderId`."""
        return await self._money("GET payments", self._profile.routes.payments, Kind.PAYMENT, updated_date_min, page)

    async def list_payouts(self, updated_date_min: datetime, page: int = 0) -> OrderPage | None:
        """What the gateways transferred since, one page; None where the release has no such list."""
        route = self._profile.routes.payouts
        return None if route is None else await self._money("GET payouts", route, Kind.PAYOUT, updated_date_min, page)

    async def _money(self, call: str, route: str, kind: Kind, since: datetime, page: int) -> OrderPage:
        filters = {self._profile.filters.updatedDateMin: since.isoformat()}
        entries, body = await self._page(call, route, filters, page)
        try:
            return OrderPage(
                items=[to_contract(entry, kind, self._profile) for entry in entries],
                totalCount=value_at(body, self._profile.paging.total_field),
            )
        except (KeyError, ValidationError):
            raise RetryLater(SYSTEM, call, "an answer that is no list") from None

    async def _page(
        self, call: str, route: str, filters: Mapping[str, str], page: int, size: int | None = None
    ) -> tuple[list[Json], Json]:
        """The entries of one page of a list, and the whole answer."""
        paging = self._profile.paging
        query = {
            **filters,
            paging.page_parameter: str(page + paging.first_page),
            paging.size_parameter: str(size or paging.page_size),
        }
        _, body = await self._api.call("GET", route, query=query)
        try:
            entries = value_at(body, paging.items_field)
        except KeyError:
            raise RetryLater(SYSTEM, call, "an answer that is no list") from None
        if not isinstance(entries, list):
            raise RetryLater(SYSTEM, call, "an answer that is no list")
        return entries, body

    async def patch_order(
        self,
        order_id: str,
        *,
        status: str | None = None,
        external_reference: str | None = None,
        invoice_references: Sequence[InvoiceReference] | None = None,
        cancelled_items: Sequence[CancelledItem] | None = None,
        refunds_due: Sequence[RefundDue] | None = None,
    ) -> None:
        """Set what is given; setting the same again changes nothing."""
        body: dict[str, Any] = {}
        if status is not None:
            body["status"] = status
        if external_reference is not None:
            body["externalReference"] = external_reference
        if invoice_references is not None:
            body["invoiceReferences"] = [one.model_dump(mode="json", exclude_none=True) for one in invoice_references]
        if cancelled_items is not None:
            body["cancelledItems"] = [item.model_dump(mode="json") for item in cancelled_items]
        if refunds_due is not None:
            body["refundsDue"] = [refund.model_dump(mode="json") for refund in refunds_due]
        await self._api.call(
            self._profile.methods.order,
            _fill(self._profile.routes.order, order_id),
            body=from_contract(body, Kind.ORDER, self._profile),
            route=self._profile.routes.order,
        )

    async def post_shipment(self, shipment: Shipment) -> ShipmentReceipt:
        """201 new, 200 the same again; AlreadyExists (409) for the same reference with other content."""
        body = from_contract(shipment_body(shipment), Kind.SHIPMENT, self._profile)
        _, answer = await self._api.call("POST", self._profile.routes.shipments, body=body)
        return self._receipt(answer, "POST shipment")

    async def shipments_of(self, order_id: str) -> list[KnownShipment]:
        """Every shipment of an order, voided ones too."""
        known: list[KnownShipment] = []
        page = 0
        while True:
            wanted = {self._profile.filters.orderId: order_id}
            entries, _ = await self._page("GET shipments", self._profile.routes.shipments, wanted, page)
            receipts = [self._receipt(entry, "GET shipments") for entry in entries]
            # A filter by "contains" also finds the shipments of order 1001 for order 100.
            known += [self._known(receipt) for receipt in receipts if receipt.orderId in ("", order_id)]
            if len(entries) < self._profile.paging.page_size:
                return known
            page += 1

    def _known(self, receipt: ShipmentReceipt) -> KnownShipment:
        return KnownShipment(
            id=receipt.id,
            reference=receipt.externalReference,
            void=receipt.status == self._profile.statuses.shipment_void,
            carrier=receipt.carrier,
            service=receipt.service,
            tracking_number=receipt.trackingNumber,
            tracking_url=receipt.trackingUrl,
            lines=[ShippedLine(item_id=item.orderItemId, quantity=item.quantity) for item in receipt.items],
        )

    def _receipt(self, answer: Json, call: str) -> ShipmentReceipt:
        shipment = to_contract(answer, Kind.SHIPMENT, self._profile)
        if isinstance(shipment, dict):
            shipment = {name: value for name, value in shipment.items() if value is not None}
        try:
            return ShipmentReceipt.model_validate(shipment)
        except ValidationError:
            raise RetryLater(SYSTEM, call, "an answer that is no shipment") from None

    async def patch_shipment(self, shipment_id: str, shipment: Shipment) -> None:
        """Bring carrier, service and tracking up to date; contents stay."""
        body = {
            name: value
            for name, value in shipment_body(shipment).items()
            if name in ("carrier", "service", "trackingNumber", "trackingUrl")
        }
        await self._patch_shipment(shipment_id, body)

    async def void_shipment(self, shipment_id: str) -> None:
        """The goods did not leave: final."""
        await self._patch_shipment(shipment_id, {"status": self._profile.statuses.shipment_void})

    async def _patch_shipment(self, shipment_id: str, change: Mapping[str, Any]) -> None:
        await self._api.call(
            self._profile.methods.shipment,
            _fill(self._profile.routes.shipment, shipment_id),
            body=from_contract(change, Kind.SHIPMENT, self._profile),
            route=self._profile.routes.shipment,
        )

    async def get_product(self, product_id: str) -> dict[str, Any]:
        """The product as plain JSON."""
        _, body = await self._api.call(
            "GET", _fill(self._profile.routes.product, product_id), route=self._profile.routes.product
        )
        return self._product(body, "GET product")

    async def list_products(self, updated_date_min: datetime | None, page: int = 0) -> OrderPage:
        """Products changed since (None: all), one page; `page` counts from 0 whatever the profile counts from."""
        since = {self._profile.filters.updatedDateMin: updated_date_min.isoformat()} if updated_date_min else {}
        entries, body = await self._page("GET products", self._profile.routes.products, since, page)
        try:
            return OrderPage(
                items=[self._product(entry, "GET products") for entry in entries],
                totalCount=value_at(body, self._profile.paging.total_field),
            )
        except (KeyError, ValidationError):
            raise RetryLater(SYSTEM, "GET products", "an answer that is no list of products") from None

    async def patch_product(self, product_id: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Set these fields, in the contract's names; custom ones as `{"attributes": {…}}`, which leaves the others.

        Returns the product. Setting the same again changes nothing. The route is an assumption, as all of them are.
        """
        _, body = await self._api.call(
            self._profile.methods.product,
            _fill(self._profile.routes.product, product_id),
            body=from_contract(fields, Kind.PRODUCT, self._profile),
            route=self._profile.routes.product,
        )
        return self._product(body, "PATCH product")

    def _product(self, body: Json, call: str) -> dict[str, Any]:
        product = to_contract(body, Kind.PRODUCT, self._profile)
        if not isinstance(product, dict):
            raise RetryLater(SYSTEM, call, "an answer that is no product")
        return product

    async def put_inventory(self, rows: Sequence[StockRow]) -> list[RejectedLevel]:
        """Set the quantities of one batch (at most `inventory_batch` of the profile); returns those not taken."""
        body = {
            "items": [{"sku": row.sku, "warehouse": row.warehouse, "quantityAvailable": row.quantity} for row in rows]
        }
        _, answer = await self._api.call(
            self._profile.methods.inventory,
            self._profile.routes.inventory,
            body=from_contract(body, Kind.INVENTORY_BATCH, self._profile),
        )
        told = to_contract(answer, Kind.INVENTORY_BATCH, self._profile)
        try:
            return [RejectedLevel.model_validate(one) for one in (told or {}).get("rejected") or []]
        except (AttributeError, ValidationError):
            raise RetryLater(SYSTEM, "PUT inventory", "an answer that does not say what was taken") from None

    async def list_inventory(self, page: int = 0) -> list[StockRow]:
        """Quantities of all products, one page of `inventory_batch`; `page` counts from 0 whatever the profile does."""
        size = self._profile.inventory_batch
        entries, _ = await self._page("GET inventory", self._profile.routes.inventory, {}, page, size)
        try:
            levels = [
                _Level.model_validate(to_contract(entry, Kind.INVENTORY_LEVEL, self._profile)) for entry in entries
            ]
            return [StockRow(one.sku, one.warehouse, _pieces(one.quantityAvailable)) for one in levels]
        except ValidationError:
            raise RetryLater(SYSTEM, "GET inventory", "an answer that is no list of quantities") from None

    async def get_customer(self, customer_id: str) -> dict[str, Any]:
        """The customer's record as plain JSON; NotFound when there is none."""
        _, body = await self._api.call(
            "GET", _fill(self._profile.routes.customer, customer_id), route=self._profile.routes.customer
        )
        return self._customer(body, "GET customer")

    async def customers_of(self, external_reference: str, limit: int) -> list[dict[str, Any]]:
        """Customers with this cross-reference, `limit` at most; none where the release has no such list."""
        route = self._profile.routes.customers
        if route is None:
            return []
        wanted = {self._profile.filters.externalReference: external_reference}
        found: list[dict[str, Any]] = []
        for page in range(MOST_PAGES):
            entries, _ = await self._page("GET customers", route, wanted, page)
            customers = [self._customer(entry, "GET customers") for entry in entries]
            # A filter by "contains" also finds the buyers of 01-ABFX for 01-ABF.
            found += [one for one in customers if str(one.get("externalReference")) == external_reference]
            if len(found) >= limit or len(entries) < self._profile.paging.page_size:
                break
        return found[:limit]

    async def list_customers(self, updated_date_min: datetime, page: int = 0) -> list[dict[str, Any]] | None:
        """Customers changed since, one page, oldest change first; None where the release has no such list."""
        route = self._profile.routes.customers
        if route is None:
            return None
        since = {self._profile.filters.updatedDateMin: updated_date_min.isoformat()}
        entries, _ = await self._page("GET customers", route, since, page)
        return [self._customer(entry, "GET customers") for entry in entries]

    def _customer(self, body: Json, call: str) -> dict[str, Any]:
        customer = customer_to_contract(body, self._profile)
        if not isinstance(customer, dict) or customer.get("id") in (None, ""):
            raise RetryLater(SYSTEM, call, "an answer that is no customer")
        return customer

    async def patch_customer(
        self,
        customer_id: str,
        *,
        external_reference: str | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> None:
        """Set what is given: the cross-reference (division-number), custom attributes by name; the others stay."""
        body: dict[str, Any] = {}
        if external_reference is not None:
            body |= from_contract({"externalReference": external_reference}, Kind.CUSTOMER, self._profile)
        if attributes:
            body |= from_contract({"attributes": dict(attributes)}, Kind.CUSTOMER_RECORD, self._profile)
        await self._api.call(
            self._profile.methods.customer,
            _fill(self._profile.routes.customer, customer_id),
            body=body,
            route=self._profile.routes.customer,
        )


def _pieces(quantity: Decimal) -> int:
    """A whole number; −1 for anything else: no quantity that was pushed, so that the comparison puts it right."""
    return int(quantity) if quantity.is_finite() and quantity == int(quantity) else -1


def shipment_body(shipment: Shipment) -> dict[str, Any]:
    """A shipment in the contract's words (domain/clarity.md: an assumption); empty optional fields are left out."""
    fields = {
        "orderId": shipment.order_id,
        "externalReference": shipment.reference,
        "carrier": shipment.carrier,
        "service": shipment.service,
        "trackingNumber": shipment.tracking_number,
        "trackingUrl": shipment.tracking_url,
        "shippedDate": shipment.shipped_on.isoformat() if shipment.shipped_on else "",
    }
    items = [{"orderItemId": line.item_id, "quantity": str(line.quantity)} for line in shipment.lines]
    return {**{name: value for name, value in fields.items() if value}, "items": items}


def explain_errors(names: ErrorAnswer) -> Callable[[Json], tuple[str, str]]:
    """Reads an error answer, `{"error": {message, details: [{field, message}]}}`, into message and first field."""

    def explain(body: Json) -> tuple[str, str]:
        try:
            details = value_at(body, names.details) or []
        except KeyError:
            details = []
        told = [(str(value_at(detail, names.field)), value_at(detail, names.text)) for detail in details]
        text = "; ".join(f"{field}: {message}" for field, message in told)
        return f"{value_at(body, names.message)}{f' ({text})' if text else ''}", told[0][0] if told else ""

    return explain


def _fill(route: str, id_: str) -> str:
    return route.replace("{id}", quote(id_, safe=""))
