"""The dangers of creating a sales order (domain rules 4), with every process real: each could make two orders of one,
or harm somebody else's.

A number that is taken, a gateway that opens what it should refuse, an answer that is lost until the order was invoiced,
a purchase order number that is not ours alone, an order that Temporal has forgotten, a workflow that is set back.

Elsewhere: what one create decides (`tests/unit/test_create_sales_order.py`), an order that only an invoice remembers
(`tests/e2e/test_restarts.py`), orders with a reference that were never here (`tests/e2e/test_backfill.py`).
"""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.e2e.conftest import House
from tests.e2e.temporal import history, temporal
from tests.e2e.test_backfill import by_hand, letters
from tests.e2e.test_holds import held, refused, update
from tests.support.histories import keep_history
from tests.support.orders import PlacedOrder
from tests.support.processes import wait_until

DESK = ("DESK-OAK-120", 5, "349.00")
LAMP = ("LAMP-LED-01", 3, "49.99")
PEN = ("PEN-GEL-BLU", 4, "1.25")
HEADERS = ("SO_SalesOrderHeader", "SO_SalesOrderHistoryHeader")
OPTIONS = {"keep_order_history": "Y", "careless_gateway": "N"}


@pytest.fixture(autouse=True)
def _as_it_was(warehouse: House) -> Iterator[None]:
    yield
    warehouse.sandbox.sage("DELETE", "/_control/faults")
    warehouse.sandbox.control("sage", "company", OPTIONS)


def new_order(house: House, *items: tuple[str, int, str], **fields: Any) -> PlacedOrder:
    return PlacedOrder(house.sandbox, house.api_url, *items, **fields)


@pytest.fixture(scope="module", autouse=True)
def forgotten(warehouse: House) -> PlacedOrder:
    """An order that stands in Sage; its workflow was terminated, and deleted as after retention.

    The server takes half a minute for it.
    """
    order = new_order(warehouse, DESK).check_out()
    order.until_state("open")
    temporal(warehouse, "workflow", "terminate", "-w", f"order-demo-{order.id}", "--reason", "a test")
    temporal(warehouse, "workflow", "delete", "-w", f"order-demo-{order.id}", "--yes")
    return order


def numbers_of(house: House, order: PlacedOrder) -> set[str]:
    """Sales orders with this web order id, live and in history, by Sage's own tables."""
    sql = "SELECT SalesOrderNo FROM {} WHERE UDF_WEB_ORDER_ID = ?"
    return {row["SalesOrderNo"] for table in HEADERS for row in house.sandbox.rows(sql.format(table), order.id)}


def next_number(house: House, of: str = "SO/SalesOrder") -> str:
    """The number that Sage will give next."""
    [number] = house.sandbox.sage("POST", f"/{of}/NextNumber").json().values()
    letters, digits = number.rstrip("0123456789"), len(number.lstrip("W"))
    return f"{letters}{int(number[len(letters) :]) + 1:0{digits}d}"


def type_in(house: House, number: str, **columns: Any) -> dict[str, list[dict[str, Any]]]:
    """Somebody at the order desk enters an order of another account; returns all that Sage has of it."""
    body = {
        "SalesOrderNo": number,
        "ARDivisionNo": "01",
        "CustomerNo": "ABF",
        "TaxSchedule": "NONTAX",
        "Lines": [{"ItemCode": "PEN-GEL-BLU", "QuantityOrdered": "7", "UnitPrice": "1.10"}],
        **columns,
    }
    answer = house.sandbox.sage("POST", "/SO/SalesOrder", body)
    assert answer.status_code == 201, answer.text
    return everything(house, number)


def everything(house: House, number: str) -> dict[str, list[dict[str, Any]]]:
    """Every row of a sales order."""
    tables = (*HEADERS, "SO_SalesOrderDetail", "SO_SalesOrderHistoryDetail")
    return {table: house.sandbox.rows(f"SELECT * FROM {table} WHERE SalesOrderNo = ?", number) for table in tables}


def finish(order: PlacedOrder) -> None:
    order.post(order.ship())
    order.until_state("complete")
    order.audit()


# ---- the key exists -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("careless", ["N", "Y"], ids=["the gateway refuses", "the gateway opens what is there"])
def test_a_number_that_somebody_took_is_left_alone(warehouse: House, careless: str) -> None:
    """Typed in under the number that we reserve, with our purchase order number even: another one is taken."""
    warehouse.sandbox.control("sage", "company", {"careless_gateway": careless})
    order = new_order(warehouse, DESK)
    number = next_number(warehouse)
    theirs = type_in(warehouse, number, CustomerPONo=order.event["data"]["number"])
    order.check_out()
    assert order.sales_order_no != number
    assert numbers_of(warehouse, order) == {order.sales_order_no}
    assert everything(warehouse, number) == theirs
    assert any(number in entry["what"] for entry in order.view()["trail"])
    finish(order)
    assert everything(warehouse, number) == theirs
    keep_history(warehouse.temporal_address, f"order-demo-{order.id}", "number_taken")


def test_a_careless_gateway_writes_over_no_account(warehouse: House) -> None:
    warehouse.sandbox.control("sage", "company", {"careless_gateway": "Y"})
    number = next_number(warehouse, "AR/Customer")
    columns = {"ARDivisionNo": "02", "CustomerNo": number, "CustomerName": "Typed In", "TermsCode": "00"}
    assert warehouse.sandbox.sage("POST", "/AR/Customer", columns).status_code == 201
    theirs = warehouse.sandbox.rows("SELECT * FROM AR_Customer WHERE CustomerNo = ?", number)
    order = new_order(warehouse, PEN)
    address = {**order.event["data"]["billingAddress"], "name": "Nora Newman", "line1": f"{order.id} Elm Street"}
    order.event["data"] |= {
        "customer": {"id": f"n{order.id}", "email": f"nora{order.id}@example.com", "firstName": "Nora"},
        "billingAddress": {**address, "postalCode": "97331", "city": "Corvallis"},
    }
    order.check_out()
    order.until_state("open")
    assert order.view()["customer_no"] != f"02-{number}"
    assert warehouse.sandbox.rows("SELECT * FROM AR_Customer WHERE CustomerNo = ?", number) == theirs
    query = "WorkflowType='CustomerResolutionWorkflow'"
    latest = json.loads(temporal(warehouse, "workflow", "list", "--query", query, "--limit", "1", "-o", "json"))
    keep_history(warehouse.temporal_address, latest[0]["execution"]["workflowId"], "customer_number_taken")


# ---- the answer is lost, and the order invoiced before it can be read back ------------------------------------------


def lose_answer(house: House, *items: tuple[str, int, str]) -> tuple[PlacedOrder, str]:
    """An order that stands in Sage, of which nobody here knows yet, with its number; `read_back` ends that."""
    order = new_order(house, *items)
    house.sandbox.fault("sage", "POST /SO/SalesOrder", "timeout_after_write", contains=f'"{order.id}"', hang_seconds=5)
    order.check_out()

    def stored() -> str:
        rows = house.sandbox.rows("SELECT SalesOrderNo FROM SO_SalesOrderHeader WHERE UDF_WEB_ORDER_ID = ?", order.id)
        return str(rows[0]["SalesOrderNo"]) if rows else ""

    number = wait_until("the order stands in Sage", stored, 60)
    # 423, which is no outage: the order itself asks again and again.
    house.sandbox.fault("sage", "GET /SO/SalesOrder/*", "423", share=1.0, contains=number)
    return order, number


def read_back(house: House) -> None:
    house.sandbox.sage("DELETE", "/_control/faults")


def ship_and_post(house: House, order: PlacedOrder, number: str, quantities: dict[str, int] | None) -> None:
    body = {"SalesOrderNo": number, "Packages": [{"TrackingID": "L1"}], "Quantities": quantities}
    order.post(str(house.sandbox.control("sage", "ship", body)["InvoiceNo"]))


@pytest.mark.parametrize("quantities", [{"000001": 2}, {"000001": 5}], ids=["a part of a line", "a whole line"])
def test_invoiced_in_part_before_the_answer_is_read_back(warehouse: House, quantities: dict[str, int]) -> None:
    order, number = lose_answer(warehouse, DESK, LAMP)
    ship_and_post(warehouse, order, number, quantities)
    read_back(warehouse)
    order.until_told(_1=quantities["000001"])
    order.post(order.ship(packages=[{"TrackingID": "L2"}]))
    order.until_state("complete")
    assert numbers_of(warehouse, order) == {number} == {order.sales_order_no}
    assert order.at_clarity()["status"] == "Shipped"
    assert sorted(order.packages().values()) == ["L1", "L2"]
    order.audit()
    if quantities["000001"] == 2:
        keep_history(warehouse.temporal_address, f"order-demo-{order.id}", "lost_answer_part")


def test_invoiced_in_full_before_the_answer_is_read_back(warehouse: House) -> None:
    """The order has left SO_SalesOrderHeader: history says that it is ours, and as sent."""
    order, number = lose_answer(warehouse, DESK, LAMP)
    ship_and_post(warehouse, order, number, None)
    assert everything(warehouse, number)["SO_SalesOrderHeader"] == []
    read_back(warehouse)
    order.until_state("complete")
    assert numbers_of(warehouse, order) == {number} == {order.sales_order_no}
    assert list(order.packages().values()) == ["L1"]
    order.audit()
    keep_history(warehouse.temporal_address, f"order-demo-{order.id}", "lost_answer_full")


@pytest.mark.parametrize("quantities", [{"000001": 2}, {"000001": 5}], ids=["a part of a line", "a whole line"])
def test_without_order_history_an_order_invoiced_in_part_is_shown_to_a_person(
    warehouse: House, quantities: dict[str, int]
) -> None:
    """The way out: cancelling ends nothing that stands in Sage; a person says that it is the order, and it goes on."""
    warehouse.sandbox.control("sage", "company", {"keep_order_history": "N"})
    order, number = lose_answer(warehouse, DESK, LAMP)
    ship_and_post(warehouse, order, number, quantities)
    read_back(warehouse)
    hold = held(order, "anomaly")
    assert hold["check"] == "partly_invoiced"
    assert number in hold["problems"][0]["message"]
    update(warehouse, order, action="cancel")
    wait_until("it is asked again", lambda: (order.view().get("hold") or {}).get("hold") == 2, 30)
    assert "bills sales order" in refused(warehouse, order, action="cancel")
    update(warehouse, order, action="approve")
    order.until_told(_1=quantities["000001"])
    order.post(order.ship(packages=[{"TrackingID": "L2"}]))
    order.until_state("complete")
    assert order.sales_order_no == number
    assert order.told() == {"1": Decimal(5), "2": Decimal(3)}
    assert sorted(order.packages().values()) == ["L1", "L2"]
    assert order.cancelled() == {}
    assert invoices_of(warehouse, order) == [number, number]
    if quantities["000001"] == 2:
        keep_history(warehouse.temporal_address, f"order-demo-{order.id}", "unread_part")


def test_without_order_history_an_order_invoiced_in_full_is_never_created_again(warehouse: House) -> None:
    """Nothing but the invoice is left, and Sage would take the number again."""
    warehouse.sandbox.control("sage", "company", {"keep_order_history": "N"})
    order, number = lose_answer(warehouse, DESK, LAMP)
    ship_and_post(warehouse, order, number, None)
    read_back(warehouse)
    hold = held(order, "anomaly")
    assert hold["check"] == "invoiced_before_read_back"
    update(warehouse, order, action="retry")
    wait_until("it is asked again", lambda: (order.view().get("hold") or {}).get("hold") == 2, 30)
    update(warehouse, order, action="cancel")
    wait_until("it is not cancelled", lambda: (order.view().get("hold") or {}).get("hold") == 3, 30)
    update(warehouse, order, action="approve")
    view = order.until_state("complete")
    assert (order.sales_order_no, view["unused_number"]) == (number, "")
    assert order.at_clarity()["status"] == "Shipped"
    assert order.told() == {"1": Decimal(5), "2": Decimal(3)}
    assert numbers_of(warehouse, order) == set()
    assert invoices_of(warehouse, order) == [number]
    keep_history(warehouse.temporal_address, f"order-demo-{order.id}", "unread_full")


def invoices_of(house: House, order: PlacedOrder) -> list[str]:
    """SalesOrderNo of each posted invoice under the order's purchase order number."""
    sql = "SELECT SalesOrderNo FROM AR_InvoiceHistoryHeader WHERE CustomerPONo = ?"
    return [row["SalesOrderNo"] for row in house.sandbox.rows(sql, order.event["data"]["number"])]


# ---- a purchase order number proves nothing -------------------------------------------------------------------------


def test_a_reused_purchase_order_number_is_not_ours(warehouse: House) -> None:
    """Other orders carry it: live of another account, typed in for the same one, and invoiced."""
    reused = new_order(warehouse, DESK, purchaseOrderNumber="VERBAL-7")
    theirs = {}
    for account in (("01", "ABF"), ("02", "W000001")):
        number = next_number(warehouse)
        columns = {"CustomerPONo": "VERBAL-7", "ARDivisionNo": account[0], "CustomerNo": account[1]}
        theirs[number] = type_in(warehouse, number, **columns)
    earlier = new_order(warehouse, DESK, purchaseOrderNumber="VERBAL-7").check_out()
    finish(earlier)
    theirs[earlier.sales_order_no] = everything(warehouse, earlier.sales_order_no)
    reused.check_out()
    assert reused.sales_order_no not in theirs
    assert numbers_of(warehouse, reused) == {reused.sales_order_no}
    assert {number: everything(warehouse, number) for number in theirs} == theirs
    finish(reused)


def test_a_truncated_purchase_order_number_is_not_ours(warehouse: House) -> None:
    """Sage keeps 30 characters: somebody typed in the beginning of the buyer's 36."""
    order = new_order(warehouse, DESK)
    long = f"PO-2026-NORTHWEST-REGIONAL-{order.id}-A"
    assert len(long) > 30
    order.event["data"]["purchaseOrderNumber"] = long
    number = next_number(warehouse)
    theirs = type_in(warehouse, number, CustomerPONo=long[:30], ARDivisionNo="02", CustomerNo="W000001")
    order.check_out()
    assert order.sales_order_no != number
    stored = everything(warehouse, order.sales_order_no)
    assert stored["SO_SalesOrderHeader"][0]["CustomerPONo"] == order.event["data"]["number"]
    assert any(long in line["CommentText"] for line in stored["SO_SalesOrderDetail"])
    assert everything(warehouse, number) == theirs
    finish(order)


# ---- an order that was here before ----------------------------------------------------------------------------------


def test_after_retention_an_order_starts_only_with_force_and_finds_itself_in_sage(
    warehouse: House, forgotten: PlacedOrder
) -> None:
    order = forgotten
    number = order.sales_order_no
    wait_until("Temporal has forgotten it", lambda: order.view() == {}, 120)
    warehouse.sandbox.control("clarity", "webhooks", {"orderId": order.id, "type": "order.created"})
    # While the server was deleting it, a look at Clarity's list may have found it terminated: that is another letter.
    [letter] = wait_until("it waits for a person", lambda: letters(warehouse, order.id, "needs_force"), 30)
    shown = by_hand(warehouse, "--ids", order.id)
    assert (shown.returncode, "1 need force" in shown.stdout) == (1, True), shown
    assert order.view() == {}
    shown = by_hand(warehouse, "--ids", order.id, "--force", "--reason", "Ann: look whether it is whole")
    assert shown.returncode == 0, shown
    view = order.until_state("open")
    assert view["sales_order_no"] == number
    assert any("Ann: look whether it is whole" in entry["what"] for entry in view["trail"])
    finish(order)
    assert numbers_of(warehouse, order) == {number}
    keep_history(warehouse.temporal_address, letter, "dead_letter_waiting")
    keep_history(warehouse.temporal_address, f"order-demo-{order.id}", "forced_after_retention")
    discard = json.dumps({"by": "Ann", "why": "started by backfill"})
    temporal(warehouse, "workflow", "update", "execute", "-w", letter, "--name", "discard", "--input", discard)
    wait_until("the letter is closed", lambda: not letters(warehouse, order.id, "needs_force"), 30)
    keep_history(warehouse.temporal_address, letter, "dead_letter_discarded")


def test_a_forgotten_order_is_found_though_its_purchase_order_number_was_changed(warehouse: House) -> None:
    """Clarity's reference names the sales order; whose it is, its web order id says."""
    order = new_order(warehouse, DESK, purchaseOrderNumber="FIRST-8").check_out()
    order.until_state("open")
    number = order.sales_order_no
    temporal(warehouse, "workflow", "terminate", "-w", f"order-demo-{order.id}", "--reason", "a test")
    changed = {"orderId": order.id, "change": {"purchaseOrderNumber": "SECOND-8"}, "type": "order.updated"}
    warehouse.sandbox.control("clarity", "orders/change", changed)
    shown = by_hand(warehouse, "--ids", order.id, "--force", "--reason", "Ann: go on with it")
    assert shown.returncode == 0, shown
    assert order.until_state("open")["sales_order_no"] == number
    finish(order)
    assert numbers_of(warehouse, order) == {number}


def test_a_workflow_that_is_set_back_makes_no_second_order_and_its_unused_number_is_listed(warehouse: House) -> None:
    """`temporal workflow reset` to after the look at Sage: the history says that there is no order yet."""
    order = new_order(warehouse, DESK).check_out()
    order.until_state("open")
    number = order.sales_order_no
    tasks = [event for event in history(warehouse, f"order-demo-{order.id}") if scheduled(event)]
    [reserving] = [event for event in tasks if scheduled(event) == "reserve_sales_order_number"]
    decided = reserving["activityTaskScheduledEventAttributes"]["workflowTaskCompletedEventId"]
    command = ("workflow", "reset", "-w", f"order-demo-{order.id}", "--event-id", decided, "--reason", "a test")
    temporal(warehouse, *command)
    unused = wait_until("it has taken its order up again", lambda: order.view().get("unused_number"), 60)
    assert order.until_state("open")["sales_order_no"] == number != unused
    assert numbers_of(warehouse, order) == {number}
    listed = temporal(warehouse, "workflow", "list", "--query", f"UnusedNumber='{unused}'")
    assert f"order-demo-{order.id} " in listed
    finish(order)
    assert numbers_of(warehouse, order) == {number}
    keep_history(warehouse.temporal_address, f"order-demo-{order.id}", "reset_after_the_look")


def scheduled(event: dict[str, Any]) -> str:
    """The activity that an event schedules; empty for any other."""
    return str(event.get("activityTaskScheduledEventAttributes", {}).get("activityType", {}).get("name", ""))


def test_a_number_reserved_for_an_order_that_is_cancelled_is_listed(warehouse: House) -> None:
    totals = {"items": "1745.00", "discount": 0, "shipping": 0, "tax": 0, "fees": 0, "grand": "1745.01"}
    order = new_order(warehouse, DESK, totals=totals)
    order.event["data"]["payments"][0]["amount"] = "1745.01"
    order.check_out()
    held(order, "total_mismatch")
    update(warehouse, order, action="cancel")
    number = order.until_state("cancelled")["unused_number"]
    assert everything(warehouse, number)["SO_SalesOrderHeader"] == []
    query = "UnusedNumber IS NOT NULL AND Pair='demo'"
    wait_until("it is listed", lambda: order.id in temporal(warehouse, "workflow", "list", "--query", query), 30)
