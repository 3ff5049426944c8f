"""Of a pair in shadow mode no call that writes leaves the connectors; every method is told apart, new ones too."""

import inspect
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from temporalio.exceptions import ApplicationError

from activities.errors import translate
from connectors.clarity.client import ClarityClient, ClaritySettings
from connectors.errors import ConnectorError, ShadowMode
from connectors.sage100.gateway import SageGateway, SageGatewaySettings
from contracts.failures import FailureType
from mappings.canonical import Shipment
from mappings.pair import Pair
from mappings.sales_order import CustomerKey, NewCustomer, SalesOrder, ShipToAddress

KEY = CustomerKey(ARDivisionNo="02", CustomerNo="W000001")
ORDER = SalesOrder(UDF_WEB_ORDER_ID="1", OrderDate=date(2026, 11, 26), Lines=[])
NOW = datetime(2026, 11, 26, tzinfo=UTC)
PARCEL = Shipment(order_id="1", reference="r", lines=[])

SAGE_WRITES: dict[str, Callable[[SageGateway], Awaitable[Any]]] = {
    "next_sales_order_no": lambda sage: sage.next_sales_order_no(),
    "create_sales_order": lambda sage: sage.create_sales_order("0000042", ORDER),
    "change_sales_order": lambda sage: sage.change_sales_order("0000042", {"OrderStatus": "H"}),
    "edit_sales_order": lambda sage: sage.edit_sales_order("0000042", {}),
    "delete_sales_order": lambda sage: sage.delete_sales_order("0000042"),
    "next_customer_no": lambda sage: sage.next_customer_no(),
    "create_customer": lambda sage: sage.create_customer("W1", NewCustomer(ARDivisionNo="02", CustomerName="x")),
    "change_customer": lambda sage: sage.change_customer(KEY, {"CustomerName": "x"}),
    "create_ship_to": lambda sage: sage.create_ship_to(KEY, ShipToAddress(ShipToCode="1")),
    "create_alias": lambda sage: sage.create_alias("A", "B"),
    "create_item": lambda sage: sage.create_item("B", {}),
    "change_item": lambda sage: sage.change_item("B", {}),
    "create_cash_receipts": lambda sage: sage.create_cash_receipts("A", date(2026, 11, 26), "1", []),
}
SAGE_READS: dict[str, Callable[[SageGateway], Awaitable[Any]]] = {
    "preview": lambda sage: sage.preview(ORDER),
    "can_preview": lambda sage: sage.can_preview(),
    "get_sales_order": lambda sage: sage.get_sales_order("0000042"),
    "read_sales_order": lambda sage: sage.read_sales_order("0000042"),
    "get_customer": lambda sage: sage.get_customer(KEY),
    "get_item": lambda sage: sage.get_item("B"),
}
CLARITY_WRITES: dict[str, Callable[[ClarityClient], Awaitable[Any]]] = {
    "patch_order": lambda store: store.patch_order("1", status="Shipped"),
    "post_shipment": lambda store: store.post_shipment(PARCEL),
    "patch_shipment": lambda store: store.patch_shipment("1", PARCEL),
    "void_shipment": lambda store: store.void_shipment("1"),
    "patch_product": lambda store: store.patch_product("1", {"name": "x"}),
    "put_inventory": lambda store: store.put_inventory([]),
    "patch_customer": lambda store: store.patch_customer("1", external_reference="02-W000001"),
}
CLARITY_READS: dict[str, Callable[[ClarityClient], Awaitable[Any]]] = {
    "get_order": lambda store: store.get_order("1"),
    "list_orders": lambda store: store.list_orders(NOW),
    "list_payments": lambda store: store.list_payments(NOW),
    "list_payouts": lambda store: store.list_payouts(NOW),
    "shipments_of": lambda store: store.shipments_of("1"),
    "get_product": lambda store: store.get_product("1"),
    "list_products": lambda store: store.list_products(None),
    "list_inventory": lambda store: store.list_inventory(),
    "get_customer": lambda store: store.get_customer("1"),
    "customers_of": lambda store: store.customers_of("02-W000001", 2),
    "list_customers": lambda store: store.list_customers(NOW),
}


class Wire:
    """Hears every request, and answers none usefully."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.transport = httpx.MockTransport(self.answer)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.heard.append(f"{request.method} {request.url.path}")
        if "token" in request.url.path:
            return httpx.Response(200, json={"access_token": "t", "expires_in": 60})
        return httpx.Response(503)


def sage(wire: Wire) -> SageGateway:
    settings = SageGatewaySettings(url="http://sage", company="ABC", api_key=SecretStr("k"))
    return SageGateway(settings, shadow=True, transport=wire.transport)


def clarity(wire: Wire, pair: Pair) -> ClarityClient:
    settings = ClaritySettings(url="http://store", client_id="c", client_secret=SecretStr("s"))
    return ClarityClient(pair.clarity, settings, shadow=True, transport=wire.transport)


def methods(class_: type) -> set[str]:
    found = inspect.getmembers(class_, inspect.iscoroutinefunction)
    return {name for name, _ in found if not name.startswith("_")} - {"close"}


def test_every_method_of_the_connectors_is_a_read_or_a_write_here() -> None:
    assert methods(SageGateway) == {*SAGE_WRITES, *SAGE_READS}
    assert methods(ClarityClient) == {*CLARITY_WRITES, *CLARITY_READS}


@pytest.mark.parametrize("name", SAGE_WRITES)
async def test_no_write_to_sage_is_sent(name: str) -> None:
    wire = Wire()
    with pytest.raises(ShadowMode, match="the pair is in shadow mode"):
        await SAGE_WRITES[name](sage(wire))
    assert wire.heard == []


@pytest.mark.parametrize("name", CLARITY_WRITES)
async def test_no_write_to_clarity_is_sent(name: str, pair: Pair) -> None:
    wire = Wire()
    with pytest.raises(ShadowMode, match="the pair is in shadow mode"):
        await CLARITY_WRITES[name](clarity(wire, pair))
    assert wire.heard == []


@pytest.mark.parametrize("name", SAGE_READS)
async def test_sage_is_read(name: str) -> None:
    wire = Wire()
    with pytest.raises(ConnectorError, match="503"):
        await SAGE_READS[name](sage(wire))
    assert len(wire.heard) == 1


@pytest.mark.parametrize("name", CLARITY_READS)
async def test_clarity_is_read(name: str, pair: Pair) -> None:
    wire = Wire()
    with pytest.raises(ConnectorError, match="503"):
        await CLARITY_READS[name](clarity(wire, pair))
    assert wire.heard[-1].startswith("GET ")


def test_the_refusal_is_final_and_says_what_to_do() -> None:
    error = translate(ShadowMode("Sage gateway", "POST /SO/SalesOrder"), 1)
    assert isinstance(error, ApplicationError)
    assert (error.type, error.non_retryable) == (FailureType.REFUSED_BY_SAGE, True)
    assert "mode: live" in error.details[0][0]["message"]
