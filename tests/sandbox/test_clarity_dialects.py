"""The store's second dialect, called without any of the application: it knows its own words and no others."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.http import HTTP
from tests.support.processes import ROOT
from tests.support.sandbox import API_KEYS, Sandbox, running_sandbox

EVENT: dict[str, Any] = {
    "type": "order.created",
    "data": {
        "id": "1",
        "status": "Pending",
        "createdDate": "2026-11-20T10:00:00Z",
        "customer": {"id": "c1"},
        "items": [{"id": "1-1", "sku": "A", "quantity": 2, "unitPrice": 3}],
        "totals": {"grand": 6},
        "purchaseOrderNumber": "PO-1",
    },
}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    flags = ("--clarity-dialect", "module_entity", "--webhook-url", "http://127.0.0.1:9/")
    with running_sandbox(tmp_path_factory.mktemp("dialect"), *flags) as one:
        one.control("clarity", "orders", EVENT)
        yield one


def log_in(sandbox: Sandbox, password: str = "clarity-sandbox-secret") -> httpx.Response:
    body = {"userName": "clarity-integration", "password": password}
    return HTTP.post(f"{sandbox.clarity_url}/auth/login", json=body, timeout=20)


def call(sandbox: Sandbox, method: str, path: str, body: object = None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {log_in(sandbox).json()['token']}"}
    return HTTP.request(method, sandbox.clarity_url + path, json=body, headers=headers, timeout=20)


def test_only_a_login_opens_the_door(sandbox: Sandbox) -> None:
    url = f"{sandbox.clarity_url}/Ordering/SalesOrder/1"
    refused = [
        HTTP.get(url, timeout=20),
        HTTP.get(url, headers={"X-API-Key": API_KEYS["clarity"]}, timeout=20),
        HTTP.get(url, headers={"Authorization": "Bearer no.such.token"}, timeout=20),
        log_in(sandbox, "wrong"),
        HTTP.post(f"{sandbox.clarity_url}/auth/login", json={"userName": 1, "password": []}, timeout=20),
    ]
    assert [answer.status_code for answer in refused] == [401] * 5
    assert {*refused[0].json()} == {"Code", "Message", "Errors"}
    assert log_in(sandbox).json()["token"].count(".") == 2


def test_the_contracts_routes_are_not_there(sandbox: Sandbox) -> None:
    for method, path in (("GET", "/api/v1/orders/1"), ("GET", "/api/v1/shipments"), ("POST", "/oauth/token")):
        assert call(sandbox, method, path).status_code == 404
    assert call(sandbox, "PATCH", "/Ordering/SalesOrder/1", {}).status_code == 405


def test_an_order_is_shown_in_the_dialects_words(sandbox: Sandbox) -> None:
    order = call(sandbox, "GET", "/Ordering/SalesOrder/1").json()
    assert (order["ID"], order["GrandTotal"], order["References"]) == ("1", 6, {"PurchaseOrder": "PO-1"})
    assert order["SalesItems"] == [{"ID": "1-1", "ProductSku": "A", "Quantity": 2, "UnitPrice": 3}]
    assert not {"id", "totals", "status"} & {*order}


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/Ordering/SalesOrder/1", {"StatusName": "Shipped"}, "StatusName"),
        ("/Ordering/SalesOrder/1", {"StatusName": []}, "StatusName"),
        ("/Ordering/SalesOrder/1", {"References": "0001"}, "References"),
        ("/Ordering/SalesOrder/1", {"References": {"Erp": 7}}, "Erp"),
        ("/Ordering/SalesOrder/1", {"CancelledLines": [7]}, "CancelledLines[0].SalesItemID"),
        ("/Ordering/SalesOrder/1", {"GrandTotal": 1}, "GrandTotal"),
        ("/Contacts/Customer/c1", {"Email": "x"}, "Email"),
    ],
)
def test_what_cannot_be_changed_is_refused_by_its_name_here(
    sandbox: Sandbox, path: str, body: object, field: str
) -> None:
    answer = call(sandbox, "PUT", path, body)
    assert (answer.status_code, answer.json()["Errors"][0]["Field"]) == (422, field)


def test_lists_count_from_nought_and_filter_by_what_a_key_contains(sandbox: Sandbox) -> None:
    for order_id in ("2", "12"):
        sandbox.control("clarity", "orders", {**EVENT, "data": {**EVENT["data"], "id": order_id}})
        shipment = {
            "SalesOrderID": order_id,
            "ErpKey": f"key-{order_id}",
            "ShippedItems": [{"SalesItemID": "1-1", "Quantity": "1"}],
        }
        assert call(sandbox, "POST", "/Shipping/Shipment", shipment).status_code == 201
        assert call(sandbox, "POST", "/Shipping/Shipment", shipment).status_code == 200
        assert call(sandbox, "POST", "/Shipping/Shipment", {**shipment, "CarrierName": "X"}).status_code == 409
    found = call(sandbox, "GET", "/Shipping/Shipment?salesOrderIdContains=2&page=0&size=1").json()
    assert (found["Paging"], len(found["Results"])) == ({"Page": 0, "Size": 1, "Total": 2}, 1)
    assert call(sandbox, "GET", "/Shipping/Shipment?erpKeyContains=key-1").json()["Paging"]["Total"] == 1
    assert call(sandbox, "GET", "/Shipping/Shipment?page=-1").status_code == 422
    since = call(sandbox, "GET", "/Ordering/SalesOrder?modifiedSince=2126-01-01T00:00:00Z").json()
    assert since["Results"] == []


def test_a_dialect_that_nobody_speaks_is_told() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "sandbox", "--clarity-dialect", "klingon"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert told.returncode == 2
    assert "'module_entity'" in told.stderr
