"""Every fault of the sandbox, one by one, at every call of an order's life: each hits an order of its own.

`make test` takes every seventh pair of fault and call, so that each fault and each call come; `make
test-all` takes all pairs.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from tests.e2e.conftest import House
from tests.support.orders import PlacedOrder
from tests.support.processes import wait_until
from tests.support.sizes import LARGE
from workers.gate import NOT_CALLED

DESK = ("DESK-OAK-120", 1, "349.00")
PEN = ("PEN-GEL-BLU", 4, "1.25")
FAULTS: dict[str, dict[str, Any]] = {
    "429": {"retry_after": 1},
    "429 until a date": {"fault": "429", "retry_after": 2, "as_date": True},
    "500": {},
    "503": {"retry_after": 1},
    "maintenance": {"seconds": 2},
    "423": {},
    "token_expired": {},
    "timeout_before_write": {},
    "timeout_after_write": {},
    "slow": {"seconds": 1},
    "dropped": {},
    "html": {},
    "truncated": {},
}
UNSEEN = ("slow", "token_expired", "423 at Clarity")
"""Faults that the connectors settle within a call: no attempt fails."""
SIGN_IN = {"sage": "POST /session", "clarity": "POST /oauth/token"}
LOST_AT_A_GATE = "activity StartToClose timeout"
"""A worker that stops polling at a closed gate loses a step now and then, which waits out its time limit
(docs/outages.md, the server's settings): beside the fault, never instead of it."""


@dataclass
class Case:
    """One fault at one call of one order."""

    side: str
    call: str
    """What the call is for."""
    fault: str
    order: PlacedOrder
    route: str
    contains: str = ""
    extra: list[dict[str, Any]] = field(default_factory=list)
    """Faults that bring the order to this call."""

    def __str__(self) -> str:
        return f"{self.fault} at {self.call} (order {self.order.id})"


def new_order(house: House) -> PlacedOrder:
    """An order of a buyer who is new to Sage."""
    order = PlacedOrder(house.sandbox, house.api_url, DESK, PEN)
    buyer = {"id": f"c{order.id}", "email": f"buyer{order.id}@example.com", "firstName": "Bea", "lastName": "Buyer"}
    order.event["data"]["customer"] = buyer
    # Another place for each: the same name at the same address would be asked about.
    order.event["data"]["billingAddress"] = {
        **order.event["data"]["billingAddress"],
        "name": "Bea Buyer",
        "postalCode": f"97{int(order.id) % 1000:03d}",
    }
    return order


def cases(house: House) -> list[Case]:
    found = []
    every = LARGE
    for row, fault in enumerate(FAULTS):
        for column, (side, call, route, contains) in enumerate(
            (
                ("sage", "next sales order number", "POST /SO/SalesOrder/NextNumber", ""),
                ("sage", "preview", "POST /SO/SalesOrder/Preview", '"{id}"'),
                ("sage", "create", "POST /SO/SalesOrder", '"{id}"'),
                ("sage", "read back", "GET /SO/SalesOrder/*", ""),
                ("sage", "next customer number", "POST /AR/Customer/NextNumber", ""),
                ("sage", "create customer", "POST /AR/Customer", '"c{id}"'),
                ("sage", "read customer back", "GET /AR/Customer/*", ""),
                ("clarity", "acknowledge", "PATCH /api/v1/orders/{id}", '"Processing"'),
                ("clarity", "cross-reference", "PATCH /api/v1/customers/c{id}", ""),
                ("clarity", "known shipments", "GET /api/v1/shipments", "orderId={id}"),
                ("clarity", "shipment", "POST /api/v1/shipments", '"{id}"'),
                ("clarity", "late tracking", "PATCH /api/v1/shipments/*", "LATE-{id}"),
                ("clarity", "void", "PATCH /api/v1/shipments/*", '"Void"'),
                ("clarity", "cancelled items", "PATCH /api/v1/orders/{id}", "cancelledItems"),
                ("clarity", "shipped", "PATCH /api/v1/orders/{id}", '"Shipped"'),
                ("clarity", "invoices", "PATCH /api/v1/orders/{id}", "invoiceReferences"),
            )
        ):
            if not every and (row + column) % 7:
                continue
            order = new_order(house)
            case = Case(side, call, fault, order, route.format(id=order.id), contains.format(id=order.id))
            lost = {"fault": "timeout_after_write", "times": 1}
            if call == "read back":
                case.extra = [{**lost, "route": "POST /SO/SalesOrder", "contains": f'"{order.id}"'}]
            if call == "read customer back":
                case.extra = [{**lost, "route": "POST /AR/Customer", "contains": f'"c{order.id}"'}]
            found.append(case)
    return found


def arm(house: House, case: Case) -> None:
    for fault in case.extra:
        house.sandbox.control(case.side, "faults", fault)
    wanted = {"fault": case.fault, "times": 1, **FAULTS[case.fault]}
    house.sandbox.control(case.side, "faults", {"route": case.route, "contains": case.contains, **wanted})


def test_every_fault_at_every_call(warehouse: House) -> None:
    matrix = cases(warehouse)
    for case in matrix:
        arm(warehouse, case)
    for side, route in SIGN_IN.items():
        for fault, details in FAULTS.items():
            if fault != "token_expired":
                body = {"route": route, "fault": fault, "times": 1, **details}
                warehouse.sandbox.control(side, "faults", body)
        any_call = {"route": "*" if side == "clarity" else "POST /SO*", "fault": "token_expired", "times": 1}
        warehouse.sandbox.control(side, "faults", any_call)
    for case in matrix:
        case.order.check_out()
    for case in matrix:
        order = case.order
        assert order.sales_order_no, case
        if case.call == "cancelled items":
            order.change("cancel_line", 2, CancelReasonCode="STOCK")
        if case.call == "late tracking":
            order.ship(packages=[], ShipStatus="L")
        else:
            order.ship(packages=[{"TrackingID": f"T-{order.id}"}])
    finish(warehouse, matrix)
    for side in ("sage", "clarity"):
        wait_until(f"every fault of {side} has hit", all_hit(warehouse, side), 60)
    for case in matrix:
        check_both_sides(warehouse, case)
    asyncio.run(check_histories(warehouse, matrix))


def finish(house: House, matrix: list[Case]) -> None:
    """Late tracking, voids, posting; until every order is complete."""
    for case in matrix:
        order = case.order
        if case.call == "void":
            wait_until(f"{case}: told", order.shipments, 120)
            invoice = order.view()["invoices"][0]
            house.sandbox.control("sage", "void", {"InvoiceNo": invoice, "XD": True})
    for case in matrix:
        order = case.order
        if case.call == "late tracking":
            wait_until(f"{case}: told without tracking", order.shipments, 120)
            invoice = order.view()["invoices"][0]
            packages = [{"TrackingID": f"LATE-{order.id}"}]
            house.sandbox.control("sage", "track", {"InvoiceNo": invoice, "Packages": packages})
            wait_until(f"{case}: told", has_tracking(order, f"LATE-{order.id}"), 120)
        if case.call == "void":
            wait_until(f"{case}: voided", order.voided, 120)
            order.ship(packages=[{"TrackingID": f"T2-{order.id}"}])
    house.sandbox.control("sage", "post", {})
    for case in matrix:
        if case.call == "late tracking":
            house.sandbox.control("sage", "post", {"InvoiceNo": case.order.view()["invoices"][0]})
    for case in matrix:
        case.order.until_state("complete", deadline=180)


def all_hit(house: House, side: str) -> Callable[[], bool]:
    return lambda: not house.sandbox.pending_faults(side)


def has_tracking(order: PlacedOrder, tracking: str) -> Callable[[], bool]:
    return lambda: set(order.packages().values()) == {tracking}


def check_both_sides(house: House, case: Case) -> None:
    order = case.order
    numbers = house.sandbox.rows(
        "SELECT SalesOrderNo FROM SO_SalesOrderHistoryHeader WHERE UDF_WEB_ORDER_ID = ?", order.id
    )
    accounts = house.sandbox.rows("SELECT CustomerNo FROM AR_Customer WHERE UDF_WEB_CUSTOMER_ID = ?", f"c{order.id}")
    assert (len(numbers), len(accounts), len(order.shipments())) == (1, 1, 1), case
    assert len(order.voided()) == (1 if case.call == "void" else 0), case
    assert order.at_clarity()["status"] == "Shipped", case
    assert len(order.at_clarity()["invoiceReferences"]) == 1, case
    assert bool(order.cancelled()) == (case.call == "cancelled items"), case
    order.audit()


async def check_histories(house: House, matrix: list[Case]) -> None:
    """What failed stands in the history: an attempt after the first, with the failure before it."""
    client = await Client.connect(house.temporal_address)
    for case in matrix:
        if case.fault in UNSEEN or not case.contains or case.call in ("create customer", "void"):
            continue
        failures = []
        async for event in client.get_workflow_handle(f"order-demo-{case.order.id}").fetch_history_events():
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
                started = event.activity_task_started_event_attributes
                if started.attempt > 1:
                    failures.append(started.last_failure.message)
        assert failures, f"{case}: nothing in the history"
        # Three in a row close the gate; a step that comes just then repeats what the gate was told.
        told = [message.removeprefix(f"{NOT_CALLED}: ") for message in failures if message != LOST_AT_A_GATE]
        assert told, f"{case}: {failures}"
        assert all(message.startswith(("Sage gateway: ", "Clarity: ", "Sage ODBC: ")) for message in told), failures


def test_locked_or_missing_database_is_waited_for(warehouse: House) -> None:
    """ODBC readers are locked out, then find no file: orders and the poller go on afterwards by themselves."""
    order = PlacedOrder(warehouse.sandbox, warehouse.api_url, DESK).check_out()
    invoice = order.ship(packages=[{"TrackingID": "L1"}])
    order.until_state("shipped")
    warehouse.sandbox.control("sage", "faults", {"route": "ODBC", "fault": "file_missing", "seconds": 14})
    during = PlacedOrder(warehouse.sandbox, warehouse.api_url, DESK).check_out()
    wait_until("the fault is over", lambda: not warehouse.sandbox.pending_faults("sage"), 60)
    warehouse.sandbox.control("sage", "faults", {"route": "ODBC", "fault": "odbc_locked", "seconds": 3})
    order.post(invoice)
    during.post(during.ship(packages=[{"TrackingID": "L2"}]))
    for one in (order, during):
        one.until_state("complete")
        one.audit()
