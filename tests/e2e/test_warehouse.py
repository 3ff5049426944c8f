"""Shipments as warehouses really make them: everything real, checked on Sage's and on Clarity's side.

The house runs at a quick pace, and nothing ships or posts by itself.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.e2e.conftest import House
from tests.e2e.temporal import timers
from tests.support.histories import keep_history
from tests.support.http import HTTP
from tests.support.orders import PlacedOrder
from tests.support.processes import wait_until

DESK = ("DESK-OAK-120", 5, "349.00")
LAMP = ("LAMP-LED-01", 3, "49.99")
CHAIR = ("CHAIR-TASK-BLK", 4, "189.90")
HEADSET = ("HEADSET-PRO", 4, "159.00")
"""AllowBackOrders = N."""


@pytest.fixture(autouse=True)
def options(warehouse: House) -> Iterator[None]:
    """Company options and clock as they were, after each test."""
    yield
    switches = {"keep_order_history": "Y", "keep_deleted_history": "Y", "posting_reduces_quantity": "Y"}
    warehouse.sandbox.control("sage", "company", {**switches, "module_code": "S/O"})
    warehouse.sandbox.control("sage", "clock", {"shift_seconds": 0})


def placed(warehouse: House, *items: tuple[str, int, str], **fields: Any) -> PlacedOrder:
    order = PlacedOrder(warehouse.sandbox, warehouse.api_url, *items, **fields).check_out()
    assert order.sales_order_no
    return order


def complete(order: PlacedOrder, *, ending: str = "shipped_in_full", status: str = "Shipped") -> dict[str, Any]:
    view = order.until_state("complete")
    assert view["ending"] == ending
    stored = order.at_clarity()
    assert stored["status"] == status
    assert {entry["invoiceNo"] for entry in stored["invoiceReferences"]} == set(view["invoices"])
    assert sorted(view["packages"]) == sorted(shipment["externalReference"] for shipment in order.shipments())
    return view


def test_three_invoices_with_five_packages(warehouse: House) -> None:
    order = placed(warehouse, DESK, LAMP)
    first = order.ship({"1": 2}, [{"TrackingID": "A1"}, {"TrackingID": "A2"}])
    order.until_told(_1=2)
    assert order.at_clarity()["status"] == "Processing"
    assert order.until_state("partially_shipped")
    order.post(first)
    second = order.ship(
        {"1": 1, "2": 3},
        [{"TrackingID": "B1", "Items": {"DESK-OAK-120": "1"}}, {"TrackingID": "B2", "Items": {"LAMP-LED-01": "3"}}],
    )
    order.until_told(_1=3, _2=3)
    order.post(second)
    third = order.ship({"1": 2}, [{"TrackingID": "C1"}])
    order.until_state("shipped")
    order.post(third)
    complete(order)
    assert order.packages() == {
        f"{first}-0001": "A1",
        f"{first}-0002": "A2",
        f"{second}-0001": "B1",
        f"{second}-0002": "B2",
        f"{third}-0001": "C1",
    }
    contents = {one["externalReference"][-12:]: one["items"] for one in order.shipments()}
    assert contents[f"{first}-0002"] == []
    assert [item["orderItemId"] for item in contents[f"{second}-0002"]] == [order.items[1]]
    order.audit()
    keep_history(warehouse.temporal_address, f"order-demo-{order.id}", "partial_shipments")


def test_tracking_comes_late(warehouse: House) -> None:
    order = placed(warehouse, DESK)
    invoice = order.ship(packages=[], ShipStatus="L")
    order.until_told(_1=5)
    assert order.packages() == {f"{invoice}-0000": ""}
    assert order.until_state("shipped")
    warehouse.sandbox.control(
        "sage", "track", {"InvoiceNo": invoice, "Packages": [{"TrackingID": "L1"}, {"TrackingID": "L2"}]}
    )
    wait_until("the late tracking is at Clarity", lambda: "L1" in order.packages().values(), 30)
    wait_until("so is the second box", lambda: "L2" in order.packages().values(), 30)
    assert order.packages() == {f"{invoice}-0000": "L1", f"{invoice}-0002": "L2"}
    order.post(invoice)
    complete(order)
    order.audit()


def test_tracking_changes(warehouse: House) -> None:
    order = placed(warehouse, DESK)
    invoice = order.ship(packages=[{"TrackingID": "WRONG"}])
    wait_until("the first number is at Clarity", lambda: order.packages() == {f"{invoice}-0001": "WRONG"}, 30)
    warehouse.sandbox.control("sage", "track", {"InvoiceNo": invoice, "Packages": [{"TrackingID": "RIGHT"}]})
    wait_until("the right number is at Clarity", lambda: order.packages() == {f"{invoice}-0001": "RIGHT"}, 30)
    order.post(invoice)
    complete(order)
    assert order.voided() == []
    order.audit()


def test_tracking_never_comes(warehouse: House) -> None:
    order = placed(warehouse, DESK)
    invoice = order.ship(packages=[], ShipStatus="L")
    order.post(invoice)
    complete(order)
    assert order.packages() == {f"{invoice}-0000": ""}
    order.audit()


def test_posted_between_two_polls(warehouse: House) -> None:
    order = placed(warehouse, DESK, LAMP)
    order.post(order.ship({"1": 5}))
    order.until_told(_1=5)
    order.post(order.ship({"2": 3}, InvoiceDate=(datetime.now(UTC).date() - timedelta(days=3)).isoformat()))
    complete(order)
    order.audit()


def test_rows_in_neither_place_during_an_update(warehouse: House) -> None:
    order = placed(warehouse, DESK)
    invoice = order.ship()
    order.until_state("shipped")
    order.post(invoice, HalfWay=True)
    gone = f"Gone from Sage: invoice {invoice}"
    wait_until(
        "a poll saw neither", lambda: any(gone in one for one in timers(warehouse, f"order-demo-{order.id}")), 20
    )
    order.post(invoice)
    complete(order)
    assert order.voided() == []
    order.audit()


def test_an_update_that_hangs_is_made_good(warehouse: House) -> None:
    """Rows in neither place for so long that the shipment counts as deleted, and then they are posted after all."""
    order = placed(warehouse, DESK)
    invoice = order.ship(packages=[{"TrackingID": "H1"}])
    order.until_state("shipped")
    order.post(invoice, HalfWay=True)
    wait_until("the shipment is void", lambda: order.voided() == [f"{order.sales_order_no}-{invoice}-0001"], 30)
    order.post(invoice)
    complete(order)
    assert order.packages() == {f"{invoice}-0001-R2": "H1"}
    order.audit()


def test_only_comment_or_charge_lines_are_left(warehouse: House) -> None:
    order = placed(warehouse, DESK, notes="Please ring twice")
    order.post(order.ship(), KeepOrder=True)
    live = warehouse.sandbox.rows(
        "SELECT ItemType FROM SO_SalesOrderDetail WHERE SalesOrderNo = ?", order.at_clarity()["externalReference"]
    )
    assert {row["ItemType"] for row in live} <= {"3", "4", "5"}
    complete(order)
    order.audit()


def test_line_cancelled(warehouse: House) -> None:
    order = placed(warehouse, DESK, LAMP)
    order.change("cancel_line", 2, CancelReasonCode="STOCK")
    order.post(order.ship())
    complete(order, ending="closed_short")
    assert order.told() == {"1": Decimal(5)}
    assert order.cancelled() == {"2": (Decimal(3), "STOCK")}
    assert order.at_clarity()["cancelledItems"][0]["refundRequested"] is True
    order.audit()


def test_all_lines_cancelled_with_a_reason(warehouse: House) -> None:
    order = placed(warehouse, LAMP)
    order.change("cancel_line", 1, CancelReasonCode="CUST")
    view = order.until_state("cancelled")
    assert view["ending"] == "cancelled"
    assert order.at_clarity()["status"] == "Cancelled"
    assert order.cancelled() == {"1": (Decimal(3), "CUST")}


def test_quantity_cut(warehouse: House) -> None:
    order = placed(warehouse, DESK)
    order.change("cut", 1, Quantity="3")
    order.post(order.ship())
    complete(order, ending="closed_short")
    assert (order.told(), order.cancelled()["1"][0]) == ({"1": Decimal(3)}, Decimal(2))
    order.audit()


def test_line_split_by_warehouse(warehouse: House) -> None:
    order = placed(warehouse, DESK)
    order.change("split", 1, Quantity="2", WarehouseCode="001")
    lines = warehouse.sandbox.rows(
        "SELECT LineKey, UDF_WEB_LINE_ID FROM SO_SalesOrderDetail WHERE SalesOrderNo = ? AND ItemCode = ?",
        order.sales_order_no,
        "DESK-OAK-120",
    )
    assert len(lines) == 2
    first, second = (str(int(line["LineKey"])) for line in lines)
    order.post(order.ship({first: 3}))
    order.until_told(_1=3)
    order.post(order.ship({second: 2}))
    complete(order)
    order.audit()


def test_drop_shipped_line_ships_on_tracking_or_posting(warehouse: House) -> None:
    bench = ("BENCH-OAK-DS", 1, "540.00")
    order = placed(warehouse, LAMP, bench)
    invoice = order.ship(packages=[], ShipStatus="S")
    order.until_told(_1=3)
    order.until_state("partially_shipped")
    order.post(invoice)
    complete(order)
    assert order.told() == {"1": Decimal(3), "2": Decimal(1)}
    assert set(order.packages()) == {f"{invoice}-0000", f"{invoice}-DROP"}
    order.audit()
    tracked = placed(warehouse, bench)
    invoice = tracked.ship(packages=[], ShipStatus="S")
    warehouse.sandbox.control("sage", "track", {"InvoiceNo": invoice, "Packages": [{"TrackingID": "D1"}]})
    tracked.until_state("shipped")
    tracked.post(invoice)
    complete(tracked)
    tracked.audit()


def test_closed_short(warehouse: House) -> None:
    order = placed(warehouse, DESK, LAMP)
    invoice = order.ship({"1": 4, "2": 3}, CloseShort=True)
    order.until_told(_1=4, _2=3)
    order.post(invoice)
    complete(order, ending="closed_short")
    assert order.cancelled() == {"1": (Decimal(1), f"closed short on invoice {invoice}")}
    order.audit()


def test_order_closed_by_status(warehouse: House) -> None:
    order = placed(warehouse, DESK)
    order.post(order.ship({"1": 2}))
    order.until_told(_1=2)
    order.change("close")
    complete(order, ending="closed_short")
    assert order.cancelled()["1"][0] == Decimal(3)
    order.audit()


def test_item_without_back_orders(warehouse: House) -> None:
    order = placed(warehouse, HEADSET)
    invoice = order.ship({"1": 1})
    order.until_told(_1=1)
    order.post(invoice)
    complete(order, ending="closed_short")
    assert order.cancelled() == {"1": (Decimal(3), f"closed short on invoice {invoice}")}
    order.audit()


def test_substitute_on_the_same_line(warehouse: House) -> None:
    order = placed(warehouse, CHAIR)
    order.change("substitute", 1, ItemCode="CHAIR-TASK-GRY")
    order.post(order.ship())
    complete(order)
    assert order.told() == {"1": Decimal(4)}
    order.audit()


def test_substitute_as_cancel_plus_new_line(warehouse: House) -> None:
    order = placed(warehouse, CHAIR)
    order.change("replace", 1, ItemCode="CHAIR-TASK-GRY", CancelReasonCode="STOCK")
    invoice = order.ship(packages=[{"TrackingID": "S1"}])
    # What is gone is not believed while an unposted invoice may still explain it.
    order.until_state("partially_shipped")
    order.post(invoice)
    complete(order, ending="closed_short")
    assert order.cancelled() == {"1": (Decimal(4), "STOCK")}
    assert order.packages() == {f"{invoice}-0001": "S1"}
    assert order.told() == {}


def test_back_ordered_component_of_a_kit(warehouse: House) -> None:
    order = placed(warehouse, ("KIT-HOME-OFFICE", 2, "119.00"))
    lines = {
        row["ItemCode"]: row["LineKey"]
        for row in warehouse.sandbox.rows(
            "SELECT ItemCode, LineKey FROM SO_SalesOrderDetail WHERE SalesOrderNo = ?", order.sales_order_no
        )
    }
    lamp = str(int(lines["LAMP-LED-01"]))
    first = order.ship({"1": 2, lamp: 0}, [{"TrackingID": "K1"}])
    order.until_told(_1=2)
    order.post(first)
    assert order.until_state("partially_shipped")
    assert order.at_clarity()["status"] == "Processing"
    second = order.ship({lamp: 2}, [{"TrackingID": "K2"}])
    order.until_state("shipped")
    order.post(second)
    complete(order)
    assert order.packages() == {f"{first}-0001": "K1", f"{second}-0001": "K2"}
    assert order.told() == {"1": Decimal(2)}
    order.audit()


@pytest.mark.parametrize("history", ["Y", "N"])
def test_order_deleted(warehouse: House, history: str) -> None:
    warehouse.sandbox.control("sage", "company", {"keep_deleted_history": history})
    order = placed(warehouse, DESK)
    order.change("delete")
    view = order.until_state("held")
    assert view["hold"]["reason"] == "deleted_in_sage"
    assert order.at_clarity()["status"] == "Processing"
    release = {"action": "approve", "by": "Ann", "hold": view["hold"]["hold"]}
    assert HTTP.post(f"{warehouse.api_url}/orders/demo/{order.id}/release", json=release, timeout=10).status_code == 200
    assert order.until_state("cancelled")["ending"] == "cancelled"
    assert order.at_clarity()["status"] == "Cancelled"
    assert order.cancelled() == {"1": (Decimal(5), "deleted")}


def test_order_deleted_with_a_reason_is_cancelled(warehouse: House) -> None:
    order = placed(warehouse, DESK)
    order.change("delete", CancelReasonCode="CUST")
    order.until_state("cancelled")
    assert order.cancelled() == {"1": (Decimal(5), "CUST")}
    keep_history(warehouse.temporal_address, f"order-demo-{order.id}", "cancelled_in_sage")


@pytest.mark.parametrize("history", ["Y", "N"])
def test_rest_deleted_after_a_partial_shipment(warehouse: House, history: str) -> None:
    warehouse.sandbox.control("sage", "company", {"keep_order_history": history, "keep_deleted_history": history})
    order = placed(warehouse, DESK, LAMP)
    order.post(order.ship({"1": 5}))
    order.until_told(_1=5)
    order.change("delete")
    complete(order, ending="closed_short")
    assert order.told() == {"1": Decimal(5)}
    assert order.cancelled()["2"][0] == Decimal(3)


def test_order_without_history(warehouse: House) -> None:
    warehouse.sandbox.control("sage", "company", {"keep_order_history": "N", "module_code": "SO"})
    order = placed(warehouse, DESK, LAMP)
    order.post(order.ship({"1": 2}))
    order.until_told(_1=2)
    order.post(order.ship({"1": 3, "2": 3}))
    complete(order)
    assert order.told() == {"1": Decimal(5), "2": Decimal(3)}


def test_over_shipment(warehouse: House) -> None:
    order = placed(warehouse, DESK)
    order.post(order.ship({"1": 6}))
    complete(order)
    assert order.told() == {"1": Decimal(6)}
    order.audit()


@pytest.mark.parametrize("kept", [False, True])
def test_invoice_voided_before_posting(warehouse: House, kept: bool) -> None:
    order = placed(warehouse, DESK)
    first = order.ship(packages=[{"TrackingID": "V1"}])
    order.until_state("shipped")
    warehouse.sandbox.control("sage", "void", {"InvoiceNo": first, "XD": kept})
    wait_until("the shipment is void", lambda: len(order.voided()) == 1, 30)
    assert order.shipments() == []
    order.until_state("open")
    assert order.at_clarity()["status"] == "Processing"
    second = order.ship(packages=[{"TrackingID": "V2"}])
    order.until_state("shipped")
    order.post(second)
    complete(order)
    assert order.packages() == {f"{second}-0001": "V2"}
    order.audit()


def test_quantity_corrected_before_posting(warehouse: House) -> None:
    order = placed(warehouse, DESK)
    invoice = order.ship({"1": 5}, [{"TrackingID": "Q1"}])
    order.until_told(_1=5)
    warehouse.sandbox.control("sage", "invoice", {"InvoiceNo": invoice, "Quantities": {"000001": "3"}})
    order.until_told(_1=3)
    order.post(invoice)
    order.post(order.ship({"1": 2}))
    complete(order)
    assert f"{invoice}-0001-R2" in order.packages()
    order.audit()


def test_two_orders_on_one_invoice(warehouse: House) -> None:
    one, two = placed(warehouse, DESK), placed(warehouse, LAMP, DESK)
    body = {
        "SalesOrderNos": [one.sales_order_no, two.sales_order_no],
        "Packages": [
            {"TrackingID": "T1", "Items": {"DESK-OAK-120": "10"}},
            {"TrackingID": "T2", "Items": {"LAMP-LED-01": "3"}},
        ],
    }
    invoice = warehouse.sandbox.control("sage", "ship", body)["InvoiceNo"]
    one.until_state("shipped")
    two.until_state("shipped")
    warehouse.sandbox.control("sage", "post", {"InvoiceNo": invoice})
    complete(one)
    complete(two)
    assert one.packages() == {f"{invoice}-0001": "T1"}
    assert two.packages() == {f"{invoice}-0001": "T1", f"{invoice}-0002": "T2"}
    for order in (one, two):
        order.audit()


def test_one_step_invoice_and_credit_memo_are_ignored(warehouse: House) -> None:
    order = placed(warehouse, DESK, LAMP)
    first = order.ship({"1": 5})
    order.until_told(_1=5)
    order.post(first)
    step = {"ARDivisionNo": "02", "CustomerNo": "W000001", "ItemCode": "LAMP-LED-01", "Quantity": "3"}
    loose = warehouse.sandbox.control("sage", "one_step_invoice", step)["InvoiceNo"]
    memo = warehouse.sandbox.control("sage", "credit_memo", {"InvoiceNo": first})["InvoiceNo"]
    for invoice in (loose, memo):
        warehouse.sandbox.control("sage", "post", {"InvoiceNo": invoice})
    order.post(order.ship({"2": 3}))
    complete(order)
    assert order.told() == {"1": Decimal(5), "2": Decimal(3)}
    assert {reference.partition("-")[0] for reference in order.packages()}.isdisjoint({loose, memo})
    order.audit()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("2027-03-14T01:59:50", "2027-03-14T03:00:10"),
        ("2026-11-01T01:59:50-05:00", "2026-11-01T01:00:10-06:00"),
    ],
    ids=["spring", "autumn"],
)
def test_clock_change(warehouse: House, before: str, after: str) -> None:
    warehouse.sandbox.control("sage", "clock", {"now": before})
    order = placed(warehouse, DESK, LAMP)
    first = order.ship({"1": 5}, [{"TrackingID": "C1"}])
    order.until_told(_1=5)
    warehouse.sandbox.control("sage", "clock", {"now": after})
    order.post(first)
    second = order.ship({"2": 3}, [{"TrackingID": "C2"}])
    order.until_state("shipped")
    order.post(second)
    complete(order)
    assert order.packages() == {f"{first}-0001": "C1", f"{second}-0001": "C2"}
    order.audit()


def test_order_on_hold_in_sage_goes_on_when_released(warehouse: House) -> None:
    order = placed(warehouse, DESK)
    order.change("hold")
    order.change("release")
    order.post(order.ship())
    complete(order)
    order.audit()
