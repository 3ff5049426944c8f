"""Another release of Clarity, with other routes, names, sign-in and signature: the whole way, by its profile alone."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.e2e.conftest import QUICK, House, pairs_with_pace, running_house
from tests.support.http import HTTP
from tests.support.orders import PlacedOrder
from tests.support.processes import ROOT, wait_until

PROFILE = ROOT / "tests/connectors/profiles/module_entity.yaml"
LAMP = ("LAMP-LED-01", 2, "49.99")
DESK = ("DESK-OAK-120", 1, "349.00")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house whose store speaks the dialect, and whose pair file knows it."""
    folder = tmp_path_factory.mktemp("other")
    pairs = pairs_with_pace(folder / "pairs", **QUICK)
    file = pairs / "demo.yaml"
    content = yaml.safe_load(file.read_text("utf-8"))
    content["clarity"] = yaml.safe_load(PROFILE.read_text("utf-8"))
    file.write_text(yaml.safe_dump(content, allow_unicode=True), "utf-8")
    environment = {"PAIRS_DIR": str(pairs), "SANDBOX_CLARITY_DIALECT": "module_entity"}
    flags = ("--no-orders", "--ship-after", "0.5", "--post-after", "1")
    with running_house(folder, *flags, environment=environment) as one:
        yield one


def at_store(house: House, path: str) -> dict[str, Any]:
    """What the store shows, in its own words."""
    login = {"userName": "clarity-integration", "password": "clarity-sandbox-secret"}
    token = HTTP.post(f"{house.sandbox.clarity_url}/auth/login", json=login, timeout=20).json()["token"]
    answer = HTTP.get(
        house.sandbox.clarity_url + path, headers={"Authorization": f"Bearer {token}"}, timeout=20
    ).raise_for_status()
    shown: dict[str, Any] = answer.json()
    return shown


def told(hold: dict[str, Any]) -> list[tuple[str, str]]:
    """Field and message of each problem."""
    return [(problem["field"], problem["message"]) for problem in hold["problems"]]


def test_an_order_is_shipped_and_the_store_is_told_in_its_own_words(other: House) -> None:
    order = PlacedOrder(other.sandbox, other.api_url, DESK, LAMP).check_out()
    order.until_state("complete")
    shown = at_store(other, f"/Ordering/SalesOrder/{order.id}")
    assert shown["StatusName"] == "Dispatched"
    assert shown["References"]["Erp"] == order.view()["sales_order_no"]
    assert [invoice["Number"] for invoice in shown["Invoices"]] == order.view()["invoices"]
    shipments = at_store(other, f"/Shipping/Shipment?salesOrderIdContains={order.id}")["Results"]
    shipped = {entry["SalesItemID"]: float(entry["Quantity"]) for one in shipments for entry in one["ShippedItems"]}
    assert shipped == {order.items[0]: 1, order.items[1]: 2}
    assert all(one["TrackingNumber"] and one["ErpKey"] for one in shipments)


def test_a_hold_names_the_fields_as_this_release_does(other: House) -> None:
    order = PlacedOrder(other.sandbox, other.api_url, LAMP)
    order.event["data"]["shippingAddress"] = {**order.event["data"]["shippingAddress"], "city": ""}
    order.event["data"]["items"][0]["sku"] = ""
    order.check_out()
    hold = order.until_state("held")["hold"]
    assert hold["reason"] == "invalid_data"
    assert told(hold) == [("data.items[0].sku", "is missing (in the store: Entity.SalesItems[0].ProductSku)")]
    release = {"action": "correct", "by": "support", "hold": hold["hold"],
               "correction": {"items": {order.items[0]: {"sku": "LAMP-LED-01"}}}}  # fmt: skip
    url = f"{other.api_url}/orders/demo/{order.id}/release"
    assert HTTP.post(url, json=release, timeout=20).status_code == 200

    def next_hold() -> dict[str, Any]:
        found: dict[str, Any] = order.view().get("hold") or {}
        return found if found.get("hold") == 2 else {}

    hold = wait_until("the city is looked at too", next_hold, 30)
    assert told(hold) == [("data.shippingAddress.city", "is missing (in the store: Entity.ShippingContact.City)")]
    release |= {"hold": 2, "correction": {"shippingAddress": {"city": "Portland"}}}
    assert HTTP.post(url, json=release, timeout=20).status_code == 200
    order.until_state("complete")
    assert at_store(other, f"/Ordering/SalesOrder/{order.id}")["StatusName"] == "Dispatched"


def test_a_cancelled_order_is_withdrawn(other: House) -> None:
    order = PlacedOrder(other.sandbox, other.api_url, ("NO-SUCH-SKU", 1, "1.00")).check_out()
    hold = order.until_state("held")["hold"]
    assert hold["reason"] == "unknown_item"
    release = {"action": "cancel", "by": "support", "hold": hold["hold"]}
    url = f"{other.api_url}/orders/demo/{order.id}/release"
    assert HTTP.post(url, json=release, timeout=20).status_code == 200
    order.until_state("cancelled")
    assert at_store(other, f"/Ordering/SalesOrder/{order.id}")["StatusName"] == "Withdrawn"
