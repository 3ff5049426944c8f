"""A third site: its gateway has no preview, stock lies in two warehouses, units are ordered by name, dealers' new
ship-tos are kept."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import yaml

from tests.e2e.conftest import QUICK, House, pairs_with_pace, running_house
from tests.e2e.test_holds import account, held, in_sage, item, paid, update
from tests.support.orders import PlacedOrder

RULES: dict[str, dict[str, Any]] = {
    "sage": {"preview": False},
    "order": {"else_from": ["001"], "unit_attribute": "unitOfMeasure", "units": {"ea": "EACH", "cs": "CASE"}},
    "customers": {"new_ship_to": "add", "ship_to": "known"},
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("careful")
    pairs = pairs_with_pace(folder / "pairs", **QUICK)
    file = pairs / "demo.yaml"
    content = yaml.safe_load(file.read_text("utf-8"))
    for section, keys in RULES.items():
        content[section] |= keys
    file.write_text(yaml.safe_dump(content, allow_unicode=True), "utf-8")
    flags = ("--no-orders", "--ship-after", "off", "--post-after", "off")
    with running_house(folder, *flags, environment={"PAIRS_DIR": str(pairs)}) as one:
        yield one


def ordered(house: House, *items: tuple[str, int, str], **fields: Any) -> PlacedOrder:
    return PlacedOrder(house.sandbox, house.api_url, *items, **fields).check_out()


def lines(house: House, order: PlacedOrder) -> list[dict[str, Any]]:
    number = in_sage(house, order)["SalesOrderNo"]
    return house.sandbox.rows("SELECT * FROM SO_SalesOrderDetail WHERE SalesOrderNo = ? ORDER BY LineKey", number)


def live(house: House, order: PlacedOrder) -> list[dict[str, Any]]:
    return house.sandbox.rows("SELECT * FROM SO_SalesOrderHeader WHERE UDF_WEB_ORDER_ID = ?", order.id)


def test_an_order_is_created_on_hold_and_released(site: House) -> None:
    order = ordered(site, ("DESK-OAK-120", 1, "349.00"))
    order.until_state("open")
    assert [row["OrderStatus"] for row in live(site, order)] == ["N"]
    order.post(order.ship())
    order.until_state("complete")
    order.audit()


def test_an_order_at_another_total_is_deleted_again_and_created_anew_when_corrected(site: House) -> None:
    totals = {"items": "349.00", "discount": 0, "shipping": 0, "tax": 0, "fees": 0, "grand": "349.01"}
    order = ordered(site, ("DESK-OAK-120", 1, "349.00"), totals=totals, **paid("349.01"))
    hold = held(order, "total_mismatch")
    assert "Clarity 349.01, Sage 349.00" in hold["problems"][0]["message"]
    assert live(site, order) == []
    update(site, order, action="correct", correction={"totals": {"grand": "349.00"}, **paid("349.00")})
    order.until_state("open")
    assert [Decimal(str(row["NonTaxableAmt"])) + Decimal(str(row["TaxableAmt"])) for row in live(site, order)] == [349]


def test_a_line_ships_from_the_warehouse_that_has_it(site: House) -> None:
    site.sandbox.control(
        "sage",
        "item",
        {"ItemCode": "TWO-PLACES", "Columns": {"StandardUnitPrice": "5"}, "OnHand": {"000": 2, "001": 9}},
    )
    one, other = ordered(site, ("TWO-PLACES", 2, "5.00")), ordered(site, ("TWO-PLACES", 9, "5.00"))
    for order, warehouse in ((one, "000"), (other, "001")):
        order.until_state("open")
        assert [line["WarehouseCode"] for line in lines(site, order)] == [warehouse]
    assert held(ordered(site, ("TWO-PLACES", 5, "5.00")), "out_of_stock")["items"] == ["TWO-PLACES"]


def test_a_case_is_a_case_and_a_piece_a_piece(site: House) -> None:
    columns = {"StandardUnitPrice": "5.00", "StandardUnitOfMeasure": "EACH", "SalesUnitOfMeasure": "CASE"}
    item(site, "PAPER-X", 100, SalesUMConvFctr="10", **columns)

    def order_in(unit: str, quantity: int) -> PlacedOrder:
        order = PlacedOrder(site.sandbox, site.api_url, ("PAPER-X", quantity, "5.00"))
        order.event["data"]["items"][0]["attributes"] = {"unitOfMeasure": unit}
        return order.check_out()

    cases, pieces = order_in("CS", 2), order_in("ea", 3)
    for order, unit, factor in ((cases, "CASE", Decimal(10)), (pieces, "EACH", Decimal(1))):
        order.until_state("open")
        [line] = lines(site, order)
        assert (line["UnitOfMeasure"], Decimal(str(line["UnitOfMeasureConvFactor"]))) == (unit, factor)
    stock = site.sandbox.rows("SELECT QuantityOnSalesOrder FROM IM_ItemWarehouse WHERE ItemCode = 'PAPER-X'")
    assert Decimal(str(stock[0]["QuantityOnSalesOrder"])) == 23
    hold = held(order_in("PALLET", 1), "unknown_item")
    assert "PALLET" in hold["problems"][0]["message"]
    cases.ship()
    cases.until_told(_1=2)


def test_a_dealers_new_ship_to_is_kept_once(site: House) -> None:
    door = {"name": "ABF Site 9", "line1": "77 Harbor View", "city": "Racine", "region": "WI", "postalCode": "53403"}
    dealer = {"id": "77", "email": "buyer@abf.example.com", "accountNumber": "01-ABF"}
    fields: dict[str, Any] = {"customer": dealer, "payments": [], "shippingAddress": {**door, "country": "US"}}
    first = ordered(site, ("LAMP-LED-01", 1, "49.99"), **fields)
    first.until_state("open")
    second = ordered(site, ("LAMP-LED-01", 2, "49.99"), **fields)
    second.until_state("open")
    kept = site.sandbox.rows("SELECT * FROM SO_ShipToAddress WHERE ShipToName = 'ABF Site 9'")
    assert [(row["CustomerNo"], row["ShipToCity"]) for row in kept] == [("ABF", "Racine")]
    for order in (first, second):
        assert in_sage(site, order)["ShipToCode"] == kept[0]["ShipToCode"]


def test_sages_own_bill_to_stands_on_an_account_with_terms(site: House) -> None:
    elsewhere = {"name": "Mallory", "line1": "666 Mule Drop Road", "city": "Portland", "region": "OR"}
    order = ordered(
        site,
        ("LAMP-LED-01", 3, "49.99"),
        customer={"id": "77", "email": "buyer@abf.example.com", "accountNumber": "01-ABF"},
        payments=[],
        billingAddress={**elsewhere, "postalCode": "97201", "country": "US"},
    )
    view = order.until_state("open")
    assert in_sage(site, order)["BillToName"] == "American Business Furniture"
    assert any("Sage's own stand" in entry["what"] for entry in view["trail"])


def test_credit_is_looked_at_on_the_account_that_sage_bills(site: House) -> None:
    site.sandbox.sage(
        "POST",
        "/AR/Customer",
        {"ARDivisionNo": "01", "CustomerNo": "BRANCH", "CustomerName": "Branch", "TermsCode": "01",
         "TaxSchedule": "NONTAX", "AddressLine1": "12 Rose Street", "City": "Portland", "State": "OR",
         "ZipCode": "97201", "CountryCode": "USA"},
    )  # fmt: skip
    body = {"ARDivisionNo": "01", "CustomerNo": "BRANCH", "BillTo": "01-0001200"}
    site.sandbox.control("sage", "customer", body)
    buyer = {"id": "78", "accountNumber": "01-BRANCH", "lastName": "Branch"}
    order = ordered(site, ("LAMP-LED-01", 1, "49.99"), customer=buyer, payments=[])
    hold = held(order, "credit")
    assert hold["problems"][0]["field"].startswith("AR_Customer.01-0001200.")
    assert live(site, order) == []
    account(site, "01", "0001200", CreditHold="N", CreditLimit="99999")
    update(site, order, action="retry")
    order.until_state("open")
