"""Another site: the same house under a pair file that decides otherwise than the demo's wherever it may."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import yaml

from tests.e2e.conftest import QUICK, House, pairs_with_pace, running_house
from tests.e2e.test_holds import account, alerts, held, in_sage, item, update
from tests.support.orders import PlacedOrder
from tests.support.processes import wait_until

DESK = ("DESK-OAK-120", 1, "349.00")
RULES: dict[str, dict[str, Any]] = {
    "charges": {"line_discount_as": "net_price", "freight": {"to": "charge_line", "item": "/FREIGHT"}},
    "tax": {"policy": "line", "item": "/WEBTAX", "controller_consent": True, "schedules": []},
    "customers": {"house_account": "02-W000002", "ship_to": "known"},
}
PAYMENTS = [
    {"gateway": "paypal", "payment_type": "PAYPL"},
    {"gateway": "stripe", "payment_type": "STRIP"},
    {"gateway": "terminal", "payment_type": "VISA"},
    {"gateway": "giftcard", "charge_item": "/GIFTCARD"},
]
CHECKS = [
    {"name": "credit", "on_fail": "credit", "keep": "in_sage"},
    {"name": "stock", "on_fail": "out_of_stock"},
    {"name": "price", "on_fail": "anomaly", "tolerance_percent": 10},
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The house of that site; its company has the charge items that the pair file names."""
    folder = tmp_path_factory.mktemp("site")
    pairs = pairs_with_pace(folder / "pairs", **QUICK)
    file = pairs / "demo.yaml"
    content = yaml.safe_load(file.read_text("utf-8"))
    for section, keys in RULES.items():
        content[section] |= keys
    content |= {"payments": PAYMENTS, "checks": CHECKS, "mixed_payment_type": "CHECK"}
    file.write_text(yaml.safe_dump(content, allow_unicode=True), "utf-8")
    with running_house(
        folder, "--no-orders", "--ship-after", "off", "--post-after", "off", environment={"PAIRS_DIR": str(pairs)}
    ) as one:
        for code in ("/FREIGHT", "/WEBTAX", "/GIFTCARD"):
            item(one, code, ItemType="5", StandardUnitOfMeasure="", SalesUnitOfMeasure="", TaxClass="NT")
        yield one


def ordered(house: House, *items: tuple[str, int, str], **fields: Any) -> PlacedOrder:
    return PlacedOrder(house.sandbox, house.api_url, *items, **fields).check_out()


def created(order: PlacedOrder) -> dict[str, Any]:
    return order.until_state("open")


def lines_in_sage(house: House, order: PlacedOrder) -> list[tuple[str, Decimal, Decimal]]:
    """ItemCode, quantity, price of every line but comments."""
    rows = house.sandbox.rows(
        "SELECT * FROM SO_SalesOrderDetail WHERE SalesOrderNo = ?", in_sage(house, order)["SalesOrderNo"]
    )
    return [
        (row["ItemCode"], Decimal(str(row["QuantityOrdered"])), Decimal(str(row["UnitPrice"])))
        for row in sorted(rows, key=lambda row: row["LineKey"])
        if row["ItemType"] != "4"
    ]


def payment(gateway: str, amount: str) -> dict[str, str]:
    return {"gateway": gateway, "transactionId": f"{gateway}-1", "type": "capture", "amount": amount, "currency": "USD"}


def test_net_prices_freight_tax_and_a_gift_card_as_lines_to_the_penny(site: House) -> None:
    order = PlacedOrder(site.sandbox, site.api_url, ("LAMP-LED-01", 3, "49.99"))
    data = order.event["data"]
    data["items"][0]["discount"] = "10.00"
    data["shipping"] |= {"amount": "12.50"}
    data["totals"] |= {"discount": "10.00", "shipping": "12.50", "tax": "8.77", "grand": "161.24"}
    data["payments"] = [payment("giftcard", "50.00"), payment("stripe", "100.00"), payment("paypal", "11.24")]
    order.check_out()
    created(order)
    assert lines_in_sage(site, order) == [
        ("LAMP-LED-01", Decimal(3), Decimal("46.657")),
        ("/FREIGHT", Decimal(1), Decimal("12.50")),
        ("/WEBTAX", Decimal(1), Decimal("8.77")),
        ("/GIFTCARD", Decimal(1), Decimal("-50.00")),
    ]
    header = in_sage(site, order)
    assert (header["PaymentType"], Decimal(str(header["DepositAmt"]))) == ("CHECK", Decimal("111.24"))
    assert header["TaxSchedule"] == "NONTAX"
    total = sum(Decimal(str(header[name])) for name in ("TaxableAmt", "NonTaxableAmt", "FreightAmt", "SalesTaxAmt"))
    assert total == Decimal("111.24")


def test_a_price_below_sages_is_looked_at_and_approved(site: House) -> None:
    order = ordered(site, ("CHAIR-EXEC", 1, "399.00"))
    hold = held(order, "anomaly")
    assert hold["problems"][0]["message"] == (
        "CHAIR-EXEC was sold for 399 after discounts, Sage's price for the account is 459."
    )
    update(site, order, action="approve")
    created(order)
    assert lines_in_sage(site, order)[0][2] == Decimal("399.00")


def test_a_small_promotion_passes(site: House) -> None:
    created(ordered(site, ("CHAIR-EXEC", 1, "449.00")))


def test_what_is_sold_below_cost_is_looked_at(site: House) -> None:
    item(site, "PROMO-CHEAP", 50, StandardUnitPrice="5.00", StandardUnitCost="9.00", TaxClass="TX")
    hold = held(ordered(site, ("PROMO-CHEAP", 1, "5.00")), "anomaly")
    assert "the item's cost is 9" in hold["problems"][0]["message"]


def test_a_credit_hold_is_kept_in_sage(site: House) -> None:
    account(site, "02", "W000001", CreditHold="Y")
    order = ordered(site, DESK)
    view = created(order)
    account(site, "02", "W000001", CreditHold="N")
    [live] = site.sandbox.rows("SELECT OrderStatus FROM SO_SalesOrderHeader WHERE UDF_WEB_ORDER_ID = ?", order.id)
    assert live["OrderStatus"] == "H"
    assert any("On hold in Sage" in entry["what"] and "credit hold" in entry["what"] for entry in view["trail"]), view
    wait_until("one alert", lambda: len(alerts(site, order)) == 1)
    order.change("release")
    order.ship()
    order.until_state("shipped", "complete")


def test_a_payment_type_that_charges_cards_is_refused(site: House) -> None:
    order = ordered(site, DESK, payments=[payment("terminal", "349.00")])
    problem = held(order, "invalid_data")["problems"][0]
    assert problem["field"] == "AR_PaymentType.VISA"
    assert "PaymentMethod R" in problem["message"]
    assert in_sage(site, order) == {}


def test_a_guest_goes_to_the_house_account_and_a_dealers_ship_to_is_known(site: House) -> None:
    guest = {"id": "", "email": "somebody.new@example.com", "firstName": "Nora", "lastName": "Guest"}
    address = {"name": "Nora Guest", "line1": "5 Pine Road", "city": "Salem", "region": "OR", "postalCode": "97301"}
    order = ordered(site, DESK, customer=guest, billingAddress={**address, "country": "US"},
                    shippingAddress={**address, "country": "US"})  # fmt: skip
    dock = {"name": "ABF Warehouse", "line1": "400 Dock Rd.", "city": "Racine", "region": "WI", "postalCode": "53403"}
    dealer = ordered(site, DESK, customer={"id": "77", "email": "buyer@abf.example.com", "accountNumber": "01-ABF"},
                     payments=[], shippingAddress={**dock, "country": "US"})  # fmt: skip
    created(order)
    created(dealer)
    header = in_sage(site, order)
    assert (header["ARDivisionNo"], header["CustomerNo"], header["BillToName"]) == ("02", "W000002", "Nora Guest")
    assert in_sage(site, dealer)["ShipToCode"] == "1"


def test_a_guest_who_has_not_paid_is_for_a_person(site: House) -> None:
    order = ordered(site, DESK, customer={"id": "", "email": "somebody.else@example.com"}, payments=[])
    assert "paid in full" in held(order, "customer_review")["problems"][0]["message"]
