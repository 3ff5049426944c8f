"""Clarity's HTTP API (docs/openapi/clarity.yaml), by the routes and names of the pair's profile.

In: order ids, shipments. Out: plain JSON of orders, small receipts. Raises the tree of `connectors.errors`. Field names
are this project's assumption of Clarity's contract.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from connectors.errors import RetryLater
from connectors.http import ApiKey, BearerToken, Json, JsonApi, SignIn
from mappings.packages import KnownShipment
from mappings.pair import AuthScheme, ClarityProfile
from mappings.shipments import CancelledItem, ClarityShipment, InvoiceReference, ShipmentItem

SYSTEM = "Clarity"


class ClaritySettings(BaseModel):
    """Where the store is and how to get in."""

    model_config = ConfigDict(frozen=True)

    url: str
    client_id: str = ""
    client_secret: SecretStr = SecretStr("")
    api_key: SecretStr = SecretStr("")


class ShipmentReceipt(BaseModel):
    """A shipment as Clarity has it."""

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)

    id: str
    externalReference: str = ""
    status: str = ""
    carrier: str = ""
    service: str = ""
    trackingNumber: str = ""
    trackingUrl: str = ""
    items: list[ShipmentItem] = []


class OrderPage(BaseModel):
    """One page of orders."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    items: list[dict[str, Any]]
    totalCount: int


class ClarityClient:
    """One store."""

    def __init__(
        self,
        profile: ClarityProfile,
        settings: ClaritySettings,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._profile = profile
        self._api = JsonApi(SYSTEM, settings.url, sign_in_of(profile, settings), explain_error, transport=transport)

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()

    async def get_order(self, order_id: str) -> dict[str, Any]:
        """The order as plain JSON."""
        _, body = await self._api.call("GET", _fill(self._profile.routes.order, order_id))
        if not isinstance(body, dict):
            raise RetryLater(SYSTEM, "GET order", "an answer that is no order")
        return body

    async def list_orders(self, updated_date_min: datetime, page: int = 0) -> OrderPage:
        """Orders updated since, one page; `page` counts from 0 whatever the profile counts from."""
        query = {
            "updatedDateMin": updated_date_min.isoformat(),
            "pageIndex": str(page + self._profile.paging.first_page),
            "pageSize": str(self._profile.paging.page_size),
        }
        _, body = await self._api.call("GET", self._profile.routes.orders, query=query)
        try:
            return OrderPage.model_validate(body)
        except ValidationError:
            raise RetryLater(SYSTEM, "GET orders", "an answer that is no list of orders") from None

    async def patch_order(
        self,
        order_id: str,
        *,
        status: str | None = None,
        external_reference: str | None = None,
        invoice_references: Sequence[InvoiceReference] | None = None,
        cancelled_items: Sequence[CancelledItem] | None = None,
    ) -> None:
        """Set what is given; setting the same again changes nothing."""
        body: dict[str, Any] = {}
        if status is not None:
            body["status"] = status
        if external_reference is not None:
            body["externalReference"] = external_reference
        if invoice_references is not None:
            body["invoiceReferences"] = [reference.model_dump(mode="json") for reference in invoice_references]
        if cancelled_items is not None:
            body["cancelledItems"] = [item.model_dump(mode="json") for item in cancelled_items]
        await self._api.call("PATCH", _fill(self._profile.routes.order, order_id), body=body)

    async def post_shipment(self, shipment: ClarityShipment) -> ShipmentReceipt:
        """201 new, 200 the same again; AlreadyExists (409) for the same reference with other content."""
        _, body = await self._api.call("POST", self._profile.routes.shipments, body=shipment_body(shipment))
        return _receipt(body, "POST shipment")

    async def shipments_of(self, order_id: str) -> list[KnownShipment]:
        """Every shipment of an order, voided ones too."""
        known: list[KnownShipment] = []
        page = 0
        while True:
            query = {
                "orderId": order_id,
                "pageIndex": str(page + self._profile.paging.first_page),
                "pageSize": str(self._profile.paging.page_size),
            }
            _, body = await self._api.call("GET", self._profile.routes.shipments, query=query)
            entries = body.get("items") if isinstance(body, dict) else None
            if not isinstance(entries, list):
                raise RetryLater(SYSTEM, "GET shipments", "an answer that is no list of shipments")
            known += [self._known(_receipt(entry, "GET shipments")) for entry in entries]
            if len(entries) < self._profile.paging.page_size:
                return known
            page += 1

    def _known(self, receipt: ShipmentReceipt) -> KnownShipment:
        void = receipt.status == self._profile.statuses.shipment_void
        return KnownShipment(void=void, **receipt.model_dump(exclude={"status"}))

    async def patch_shipment(self, shipment_id: str, shipment: ClarityShipment) -> None:
        """Bring carrier, service and tracking up to date; contents stay."""
        body = {
            name: value
            for name, value in shipment_body(shipment).items()
            if name in ("carrier", "service", "trackingNumber", "trackingUrl")
        }
        await self._api.call("PATCH", _fill(self._profile.routes.shipment, shipment_id), body=body)

    async def void_shipment(self, shipment_id: str) -> None:
        """The goods did not leave: final."""
        body = {"status": self._profile.statuses.shipment_void}
        await self._api.call("PATCH", _fill(self._profile.routes.shipment, shipment_id), body=body)

    async def patch_customer(self, customer_id: str, *, external_reference: str) -> None:
        """Store the cross-reference (division-number)."""
        await self._api.call(
            "PATCH", _fill(self._profile.routes.customer, customer_id), body={"externalReference": external_reference}
        )


def shipment_body(shipment: ClarityShipment) -> dict[str, Any]:
    """JSON of a shipment; empty optional fields are left out."""
    body = {name: value for name, value in shipment.model_dump(exclude={"items"}).items() if value}
    body["items"] = [item.model_dump(mode="json") for item in shipment.items]
    return body


def sign_in_of(profile: ClarityProfile, settings: ClaritySettings) -> SignIn:
    """OAuth 2.0 client credentials (RFC 6749, 4.4), or a key."""
    if profile.auth is AuthScheme.API_KEY:
        return ApiKey("X-API-Key", settings.api_key)

    def request() -> httpx.Request:
        return httpx.Request(
            "POST",
            settings.url.rstrip("/") + profile.routes.token,
            data={
                "grant_type": "client_credentials",
                "client_id": settings.client_id,
                "client_secret": settings.client_secret.get_secret_value(),
                **({"scope": profile.scope} if profile.scope else {}),
            },
            headers={"Accept": "application/json"},
        )

    return BearerToken(SYSTEM, request, lambda body: (str(body["access_token"]), float(body["expires_in"])))


def explain_error(body: Json) -> tuple[str, str]:
    """`{"error": {code, message, details: [{field, message}]}}` → message and the first field."""
    error = body["error"]
    details = error.get("details") or []
    text = "; ".join(f"{detail['field']}: {detail['message']}" for detail in details)
    return f"{error['message']}{f' ({text})' if text else ''}", str(details[0]["field"]) if details else ""


def _fill(route: str, id_: str) -> str:
    return route.replace("{id}", quote(id_, safe=""))


def _receipt(body: Json, call: str) -> ShipmentReceipt:
    try:
        return ShipmentReceipt.model_validate(body)
    except ValidationError:
        raise RetryLater(SYSTEM, call, "an answer that is no shipment") from None
