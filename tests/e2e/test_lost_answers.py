"""The answer of a create is lost, and the warehouse ships before anybody can read it back (rules 4)."""

from typing import Any

import pytest

from tests.e2e.conftest import House
from tests.support.orders import PlacedOrder
from tests.support.processes import wait_until


def stored_order(house: House, order: PlacedOrder) -> str:
    """SalesOrderNo in Sage's own table; empty while there is none."""
    rows = house.sandbox.rows(
        "SELECT SalesOrderNo FROM SO_SalesOrderHistoryHeader WHERE UDF_WEB_ORDER_ID = ?", order.id
    )
    return str(rows[0]["SalesOrderNo"]) if rows else ""


@pytest.mark.parametrize("quantities", [{"000001": 2}, {"000001": 5}], ids=["a part of a line", "a whole line"])
def test_shipped_and_posted_before_the_answer_is_read_back(warehouse: House, quantities: dict[str, int]) -> None:
    sandbox = warehouse.sandbox
    order = PlacedOrder(sandbox, warehouse.api_url, ("DESK-OAK-120", 5, "349.00"), ("LAMP-LED-01", 3, "49.99"))
    sandbox.fault("sage", "POST /SO/SalesOrder", "timeout_after_write")
    sandbox.fault("sage", "GET /SO/SalesOrder/*", "503", share=1.0)
    order.check_out()
    number = wait_until("the order stands in Sage", lambda: stored_order(warehouse, order), 60)
    body: dict[str, Any] = {"SalesOrderNo": number, "Quantities": quantities, "Packages": [{"TrackingID": "L1"}]}
    order.post(str(sandbox.control("sage", "ship", body)["InvoiceNo"]))
    sandbox.sage("DELETE", "/_control/faults")
    order.until_told(_1=quantities["000001"])
    order.post(order.ship(packages=[{"TrackingID": "L2"}]))
    order.until_state("complete")
    assert order.sales_order_no == number
    assert order.at_clarity()["status"] == "Shipped"
    assert sorted(order.packages().values()) == ["L1", "L2"]
    order.audit()
