"""The buyer changes or cancels an order that Sage has: both sides agree afterwards, by their own tables."""

import json
from decimal import Decimal
from typing import Any

from tests.e2e.conftest import House
from tests.e2e.temporal import history
from tests.support.histories import keep_history
from tests.support.http import HTTP
from tests.support.orders import PlacedOrder
from tests.support.processes import wait_until

LAMP, DESK, CHAIR = ("LAMP-LED-01", 3, "49.99"), ("DESK-OAK-120", 1, "499.00"), ("CHAIR-TASK-BLK", 1, "199.00")


def buyer(house: House, order: PlacedOrder, type_: str = "order.updated", **fields: Any) -> None:
    """The buyer or the store changes the order; its webhook follows."""
    house.sandbox.control("clarity", "orders/change", {"orderId": order.id, "change": fields, "type": type_})


def placed(house: House, *items: tuple[str, int, str], **fields: Any) -> PlacedOrder:
    order = PlacedOrder(house.sandbox, house.api_url, *items, **fields).check_out()
    assert order.sales_order_no
    order.until_state("open")
    return order


def with_quantities(order: PlacedOrder, *quantities: int, **more: Any) -> dict[str, Any]:
    """The fields of a version with other quantities (0: the item is off), paid as before."""
    items = [
        {**item, "quantity": quantity}
        for item, quantity in zip(order.event["data"]["items"], quantities, strict=False)
        if quantity
    ] + more.pop("added", [])
    total = sum((Decimal(item["unitPrice"]) * item["quantity"] for item in items), Decimal(0))
    paid = order.event["data"]["payments"][0]
    payments = [paid]
    if total < Decimal(paid["amount"]):
        back = str(Decimal(paid["amount"]) - total)
        payments.append({**paid, "type": "refund", "amount": back, "transactionId": f"BACK-{order.id}"})
    elif total > Decimal(paid["amount"]):
        rest = str(total - Decimal(paid["amount"]))
        payments.append({**paid, "amount": rest, "transactionId": f"MORE-{order.id}"})
    totals = {**order.event["data"]["totals"], "items": str(total), "grand": str(total)}
    return {"items": items, "totals": totals, "payments": payments, **more}


def lines(house: House, number: str) -> dict[str, Decimal]:
    """ItemCode → QuantityOrdered of the live order, by Sage's table."""
    sql = "SELECT ItemCode, QuantityOrdered FROM SO_SalesOrderDetail WHERE SalesOrderNo = ? AND ItemType = '1'"
    return {row["ItemCode"]: Decimal(str(row["QuantityOrdered"])) for row in house.sandbox.rows(sql, number)}


def header(house: House, number: str) -> dict[str, Any]:
    """The live header; empty when the order is gone."""
    rows = house.sandbox.rows("SELECT * FROM SO_SalesOrderHeader WHERE SalesOrderNo = ?", number)
    return rows[0] if rows else {}


def release(order: PlacedOrder, action: str) -> None:
    hold = order.view()["hold"]
    body = {"action": action, "by": "Ann", "hold": hold["hold"]}
    answer = HTTP.post(f"{order.api_url}/orders/demo/{order.id}/release", json=body, timeout=20)
    assert answer.status_code == 200, answer.text


def held_for_change(order: PlacedOrder) -> str:
    """What the hold says, once the order is held."""
    hold = order.until_state("held")["hold"]
    assert hold["reason"] == "order_changed", hold
    return json.dumps(hold["problems"])


def test_the_buyer_changes_quantities_items_and_address_and_gets_what_he_wants(warehouse: House) -> None:
    order = placed(warehouse, LAMP, DESK)
    number = order.sales_order_no
    added = {
        "id": f"{order.id}-3",
        "sku": CHAIR[0],
        "name": "Chair",
        "quantity": 2,
        "unitPrice": CHAIR[2],
        "taxable": True,
    }
    address = {
        **order.event["data"]["shippingAddress"],
        "line1": "77 Elm Street",
        "city": "Salem",
        "postalCode": "97301",
    }
    warehouse.sandbox.fault("sage", f"PATCH /SO/SalesOrder/{number}", "truncated")
    buyer(warehouse, order, **with_quantities(order, 2, 0, added=[added], shippingAddress=address))
    wait_until("Sage has the new lines", lambda: lines(warehouse, number) == {LAMP[0]: 2, CHAIR[0]: 2}, 30)
    row = header(warehouse, number)
    assert (row["ShipToAddress1"], row["ShipToCity"], row["ShipToZipCode"]) == ("77 Elm St", "Salem", "97301")
    assert Decimal(str(row["DepositAmt"])) == 2 * Decimal(LAMP[2]) + 2 * Decimal(CHAIR[2])
    wait_until("the order knows", lambda: "Changed in Sage" in json.dumps(order.view().get("trail", [])), 20)
    order.post(order.ship())
    order.until_state("complete")
    assert order.told() == {"1": 2, "3": 2}
    assert order.cancelled() == {}
    order.audit()
    keep_history(warehouse.temporal_address, f"order-demo-{order.id}", "changed_by_the_buyer")


def test_cancelled_before_anything_ships_ends_on_both_sides(warehouse: House) -> None:
    order = placed(warehouse, LAMP)
    number = order.sales_order_no
    buyer(warehouse, order, "order.cancelled", status="Cancelled")
    order.until_state("cancelled")
    assert header(warehouse, number) == {}
    (kept,) = warehouse.sandbox.rows("SELECT * FROM SO_SalesOrderHistoryHeader WHERE SalesOrderNo = ?", number)
    assert (kept["OrderStatus"], kept["CancelReasonCode"]) == ("X", "CUST")
    assert order.at_clarity()["status"] == "Cancelled"
    stock = warehouse.sandbox.rows("SELECT QuantityOnSalesOrder FROM IM_ItemWarehouse WHERE ItemCode = ?", LAMP[0])
    assert all(Decimal(str(row["QuantityOnSalesOrder"])) >= 0 for row in stock)
    keep_history(warehouse.temporal_address, f"order-demo-{order.id}", "cancelled_at_clarity_after_creation")


def test_cancelled_while_it_ships_is_asked_about_and_ends_by_itself_when_the_parcel_was_stopped(
    warehouse: House,
) -> None:
    order = placed(warehouse, LAMP)
    number = order.sales_order_no
    invoice = order.ship(Until="lines", ShipStatus="N")
    buyer(warehouse, order, "order.cancelled", status="Cancelled")
    assert f"invoice {invoice} bills it" in held_for_change(order)
    assert header(warehouse, number)
    warehouse.sandbox.control("sage", "void", {"InvoiceNo": invoice})
    release(order, "retry")
    order.until_state("cancelled")
    assert header(warehouse, number) == {}
    assert order.told() == {}


def test_cancelled_after_a_part_has_shipped_goes_on_when_a_person_says_so(warehouse: House) -> None:
    order = placed(warehouse, LAMP)
    order.post(order.ship({"1": 1}))
    order.until_told(_1=1)
    buyer(warehouse, order, "order.cancelled")
    assert "something was or is being shipped" in held_for_change(order)
    release(order, "approve")
    order.until_state("partially_shipped")
    order.post(order.ship())
    order.until_state("complete")
    assert order.told() == {"1": 3}
    order.audit()


def test_a_change_that_crosses_a_shipment_is_made_when_the_invoice_is_gone(warehouse: House) -> None:
    order = placed(warehouse, LAMP)
    number = order.sales_order_no
    invoice = order.ship({"1": 2}, Until="lines", ShipStatus="N")
    buyer(warehouse, order, **with_quantities(order, 1))
    assert f"Invoice {invoice} of this order is being shipped" in held_for_change(order)
    assert lines(warehouse, number) == {LAMP[0]: 3}
    warehouse.sandbox.control("sage", "void", {"InvoiceNo": invoice})
    release(order, "retry")
    wait_until("Sage has what the buyer wants", lambda: lines(warehouse, number) == {LAMP[0]: 1}, 30)
    order.post(order.ship())
    order.until_state("complete")
    assert order.told() == {"1": 1}
    assert order.cancelled() == {}


def test_what_buyer_and_order_desk_both_changed_is_shown_side_by_side(warehouse: House) -> None:
    order = placed(warehouse, LAMP, DESK)
    order.change("cut", 1, Quantity=2)
    buyer(warehouse, order, **with_quantities(order, 5, 1))
    shown = held_for_change(order)
    assert "3 \\u2192 5" in shown
    assert "in Sage stand 2" in shown
    # Sage's news ask the same question again, and nobody is told twice.
    order.change("hold")
    wait_until("it was asked again", lambda: (order.view()["hold"] or {}).get("hold", 0) >= 2, 30)
    assert held_for_change(order) == shown
    order.change("release")
    wait_until("and again", lambda: (order.view()["hold"] or {}).get("hold", 0) >= 3, 30)
    release(order, "approve")
    order.post(order.ship())
    order.until_state("complete")
    assert order.told() == {"1": 2, "2": 1}
    keep_history(warehouse.temporal_address, f"order-demo-{order.id}", "change_left_aside")


def test_more_than_there_is_in_stock_is_asked_about(warehouse: House) -> None:
    order = placed(warehouse, LAMP)
    buyer(warehouse, order, **with_quantities(order, 5000))
    assert LAMP[0] in held_for_change(order)
    assert lines(warehouse, order.sales_order_no) == {LAMP[0]: 3}
    buyer(warehouse, order, "order.cancelled", status="Cancelled")
    order.until_state("cancelled")


def test_an_order_on_hold_in_sage_says_so_until_it_is_released_there(warehouse: House) -> None:
    order = placed(warehouse, LAMP)
    order.change("hold")
    waits = "somebody to release sales order"
    wait_until("the order says why nothing ships", lambda: waits in order.view().get("waits_for", ""), 30)
    assert order.view()["state"] == "open"
    order.change("release")
    wait_until("it waits for its shipment again", lambda: waits not in order.view().get("waits_for", waits), 30)
    trail = json.dumps(order.view()["trail"])
    assert "put on hold in Sage" in trail
    assert "is not on hold in Sage any more" in trail
    order.post(order.ship())
    order.until_state("complete")


def test_a_credit_memo_of_a_complete_order_reaches_the_store_as_a_refund_due_once(warehouse: House) -> None:
    order = placed(warehouse, LAMP)
    invoice = order.ship()
    order.post(invoice)
    order.until_state("complete")
    memo = str(warehouse.sandbox.control("sage", "credit_memo", {"InvoiceNo": invoice})["InvoiceNo"])
    warehouse.sandbox.control("sage", "post", {"InvoiceNo": memo})

    def due() -> list[dict[str, Any]]:
        return list(order.at_clarity().get("refundsDue") or [])

    (entry,) = wait_until("the store knows", due, 30)
    assert entry["creditMemoNo"] == memo
    assert Decimal(str(entry["amount"])) == 3 * Decimal(LAMP[2])
    assert order.told() == {"1": 3}, "nothing that was shipped is taken back"
    workflow_id = f"creditmemo-demo-{memo}"
    wait_until("accounting is told", lambda: "raise_alert" in json.dumps(history(warehouse, workflow_id)), 20)
    wait_until("it ends", lambda: "EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED" in str(history(warehouse, workflow_id)), 20)
    keep_history(warehouse.temporal_address, workflow_id, "credit_memo")


def test_a_cancellation_at_any_moment_leaves_both_sides_agreed(warehouse: House) -> None:
    """As the history has grown to so many events: before, during and after each step of the plain process."""
    orders = []
    for events in range(1, 30, 4):
        order = PlacedOrder(warehouse.sandbox, warehouse.api_url, LAMP).check_out()
        workflow_id = f"order-demo-{order.id}"
        wait_until(f"{events} events", lambda: seen(warehouse, workflow_id) >= events, 30)  # noqa: B023
        buyer(warehouse, order, "order.cancelled", status="Cancelled")
        orders.append(order)
    for order in orders:
        order.until_state("cancelled")
        assert order.at_clarity()["status"] == "Cancelled"
        live = "SELECT SalesOrderNo FROM SO_SalesOrderHeader WHERE UDF_WEB_ORDER_ID = ?"
        assert warehouse.sandbox.rows(live, order.id) == []


def seen(house: House, workflow_id: str) -> int:
    """Events in the history so far; 0 before the workflow has begun."""
    try:
        return len(history(house, workflow_id))
    except AssertionError:
        return 0
