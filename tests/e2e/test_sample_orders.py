"""Every sample order, checked on Sage's and Clarity's side against sandbox/expected.yaml."""

from decimal import Decimal
from typing import Any

import pytest

from tests.e2e.conftest import House, all_orders, expectations
from tests.support.http import HTTP

EXPECTED = expectations()
COMPLETE = [name for name, entry in EXPECTED.items() if entry["result"] == "complete"]
HELD = [name for name, entry in EXPECTED.items() if entry["result"] == "held"]


def number(value: object) -> Decimal:
    return Decimal(str(value)).normalize()


def sage_order(house: House, order_id: str) -> dict[str, Any]:
    rows = house.sandbox.rows("SELECT * FROM SO_SalesOrderHistoryHeader WHERE UDF_WEB_ORDER_ID = ?", order_id)
    live = house.sandbox.rows("SELECT * FROM SO_SalesOrderHeader WHERE UDF_WEB_ORDER_ID = ?", order_id)
    assert len(rows) == 1, "exactly one sales order"
    assert not live, "completed orders have left the live tables"
    return rows[0]


@pytest.mark.parametrize("name", COMPLETE)
def test_order_stands_in_sage_exactly_as_expected(settled: House, name: str) -> None:
    expected = EXPECTED[name]
    order = sage_order(settled, expected["order_id"])
    for column in ("CustomerPONo", "ShipVia", "TaxSchedule"):
        assert order[column] == expected[column]
    assert number(order["FreightAmt"]) == number(expected["FreightAmt"])
    assert number(order["SalesTaxAmt"]) == number(expected["SalesTaxAmt"])
    total = sum(number(order[name]) for name in ("TaxableAmt", "NonTaxableAmt", "FreightAmt", "SalesTaxAmt"))
    assert total == number(expected["Total"]) == number(order["InvoicedAmt"])
    assert number(order["DepositAmt"]) == number(expected.get("DepositAmt", 0))
    assert order["PaymentType"] == expected.get("PaymentType", "")
    assert order["TermsCode"] == expected["TermsCode"]
    lines = settled.sandbox.rows(
        "SELECT * FROM SO_SalesOrderHistoryDetail WHERE SalesOrderNo = ? ORDER BY SequenceNo", order["SalesOrderNo"]
    )
    assert [line["ItemCode"] for line in lines] == [line["ItemCode"] for line in expected["lines"]]
    for line, wanted in zip(lines, expected["lines"], strict=True):
        if "CommentText" in wanted:
            assert line["CommentText"] == wanted["CommentText"]
        else:
            assert number(line["QuantityOrderedOriginal"]) == number(wanted["QuantityOrdered"])
            assert number(line["OriginalUnitPrice"]) == number(wanted["UnitPrice"])


@pytest.mark.parametrize("name", COMPLETE)
def test_order_is_on_the_right_account(settled: House, name: str) -> None:
    expected = EXPECTED[name]["customer"]
    order = sage_order(settled, EXPECTED[name]["order_id"])
    accounts = settled.sandbox.rows(
        "SELECT * FROM AR_Customer WHERE ARDivisionNo = ? AND CustomerNo = ?",
        order["ARDivisionNo"],
        order["CustomerNo"],
    )
    assert len(accounts) == 1
    if expected.get("new"):
        same = settled.sandbox.rows("SELECT * FROM AR_Customer WHERE EmailAddress = ?", expected["EmailAddress"])
        assert [row["CustomerNo"] for row in same] == [order["CustomerNo"]], "one account for one new buyer"
        for column in ("ARDivisionNo", "CustomerName", "EmailAddress"):
            assert accounts[0][column] == expected[column]
        assert (accounts[0]["TermsCode"], number(accounts[0]["CreditLimit"])) == ("00", Decimal(0))
    else:
        assert {name: order[name] for name in expected} == expected


@pytest.mark.parametrize("name", COMPLETE)
def test_clarity_knows_every_package_once_and_the_order_as_shipped(settled: House, name: str) -> None:
    expected = EXPECTED[name]
    sales_order_no = sage_order(settled, expected["order_id"])["SalesOrderNo"]
    order = settled.sandbox.clarity("GET", f"/api/v1/orders/{expected['order_id']}").json()
    assert (order["status"], order["externalReference"]) == ("Shipped", sales_order_no)
    packages = settled.sandbox.rows(
        "SELECT t.* FROM AR_InvoiceHistoryTracking t JOIN AR_InvoiceHistoryHeader h "
        "ON h.InvoiceNo = t.InvoiceNo AND h.HeaderSeqNo = t.HeaderSeqNo WHERE h.SalesOrderNo = ?",
        sales_order_no,
    )
    shipments = settled.sandbox.clarity("GET", f"/api/v1/shipments?orderId={expected['order_id']}").json()["items"]
    assert len(packages) == len(shipments) == expected["packages"]
    assert {shipment["externalReference"]: shipment["trackingNumber"] for shipment in shipments} == {
        f"{sales_order_no}-{package['InvoiceNo']}-{package['PackageNo']}": package["TrackingID"] for package in packages
    }
    told: dict[str, Decimal] = {}
    for shipment in shipments:
        for item in shipment["items"]:
            told[item["orderItemId"]] = told.get(item["orderItemId"], Decimal(0)) + Decimal(str(item["quantity"]))
    assert {key: number(value) for key, value in told.items()} == {
        str(item["id"]): number(item["quantity"]) for item in order["items"]
    }
    (reference,) = order["invoiceReferences"]
    told_amounts = [number(reference[name]) for name in ("amount", "tax", "shipping")]
    assert told_amounts == [number(expected[name]) for name in ("Total", "SalesTaxAmt", "FreightAmt")]


@pytest.mark.parametrize("name", HELD)
def test_held_order_says_why_and_leaves_nothing_in_sage(settled: House, name: str) -> None:
    expected = EXPECTED[name]
    view = HTTP.get(f"{settled.api_url}/orders/demo/{expected['order_id']}", timeout=10).json()
    assert view["status"] == "running"
    assert view["order"]["hold"]["reason"] == expected["hold_reason"]
    assert view["order"]["hold"]["problems"]
    for table in ("SO_SalesOrderHeader", "SO_SalesOrderHistoryHeader"):
        assert not settled.sandbox.rows(f"SELECT 1 FROM {table} WHERE UDF_WEB_ORDER_ID = ?", expected["order_id"])


def test_sage_holds_no_order_that_nobody_expects(settled: House) -> None:
    ours = {EXPECTED[name]["order_id"] for name in COMPLETE}
    rows = settled.sandbox.rows("SELECT UDF_WEB_ORDER_ID FROM SO_SalesOrderHistoryHeader")
    found = [row["UDF_WEB_ORDER_ID"] for row in rows if row["UDF_WEB_ORDER_ID"].startswith("10")]
    assert sorted(found) == sorted(ours)
    assert len(all_orders(settled)) >= len(EXPECTED)


def test_stock_fell_by_what_was_shipped_and_nothing_stays_reserved(settled: House) -> None:
    reserved = settled.sandbox.rows("SELECT SUM(QuantityOnSalesOrder) AS n FROM IM_ItemWarehouse")[0]["n"]
    open_lines = settled.sandbox.rows("SELECT COUNT(*) AS n FROM SO_SalesOrderDetail WHERE ItemType = '1'")[0]["n"]
    assert (number(reserved) == 0) == (open_lines == 0)
    lamp = settled.sandbox.rows("SELECT QuantityOnHand FROM IM_ItemWarehouse WHERE ItemCode = 'LAMP-LED-01'")
    assert sum(number(row["QuantityOnHand"]) for row in lamp) == 500 + 120 - 2
