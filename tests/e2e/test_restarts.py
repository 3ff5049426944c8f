"""Orders that are followed anew, and a poller whose Schedule people touch: every package is told, and told once."""

import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import QUICK, House, pairs_with_pace, running_house
from tests.e2e.temporal import SCHEDULE, cursor, polls_made, running_shifts, temporal
from tests.support.http import HTTP
from tests.support.orders import PlacedOrder
from tests.support.processes import ROOT, pid_of, wait_until

DESK = ("DESK-OAK-120", 5, "349.00")
LAMP = ("LAMP-LED-01", 3, "49.99")


def placed(house: House, *items: tuple[str, int, str]) -> PlacedOrder:
    order = PlacedOrder(house.sandbox, house.api_url, *items).check_out()
    assert order.sales_order_no
    return order


def complete(order: PlacedOrder, shipments: int) -> None:
    order.until_state("complete")
    assert order.at_clarity()["status"] == "Shipped"
    assert len(order.shipments()) == shipments
    assert order.voided() == []
    order.audit()


def terminate(order: PlacedOrder, house: House) -> None:
    temporal(house, "workflow", "terminate", "-w", f"order-demo-{order.id}", "--reason", "a test")


def restart(order: PlacedOrder) -> None:
    answer = HTTP.post(f"{order.api_url}/orders/demo/{order.id}/restart", timeout=20)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("stage", ["created", "shipped", "posted", "all"])
def test_a_terminated_order_is_restarted_at_any_stage(warehouse: House, stage: str) -> None:
    order = placed(warehouse, DESK, LAMP)
    if stage == "created":
        terminate(order, warehouse)
    first = order.ship({"1": 5}, [{"TrackingID": "R1"}])
    if stage == "shipped":
        order.until_told(_1=5)
        terminate(order, warehouse)
    order.post(first)
    if stage == "posted":
        order.until_told(_1=5)
        terminate(order, warehouse)
    if stage == "all":
        order.until_told(_1=5)
        terminate(order, warehouse)
        order.post(order.ship({"2": 3}, [{"TrackingID": "R2"}]))
        restart(order)
    else:
        restart(order)
        order.post(order.ship({"2": 3}, [{"TrackingID": "R2"}]))
    complete(order, 2)
    orders = warehouse.sandbox.rows(
        "SELECT SalesOrderNo FROM SO_SalesOrderHistoryHeader WHERE UDF_WEB_ORDER_ID = ?", order.id
    )
    assert len(orders) == 1


def create_in_sage(house: House, order: PlacedOrder) -> str:
    """What a former life of the integration left in Sage."""
    number = str(house.sandbox.sage("POST", "/SO/SalesOrder/NextNumber").json()["SalesOrderNo"])
    lines = [
        {"ItemCode": item["sku"], "QuantityOrdered": str(item["quantity"]), "UnitPrice": item["unitPrice"],
         "UDF_WEB_LINE_ID": item["id"]}
        for item in order.event["data"]["items"]
    ]  # fmt: skip
    body = {
        "SalesOrderNo": number,
        "ARDivisionNo": "02",
        "CustomerNo": "W000001",
        "TaxSchedule": "NONTAX",
        "ShipVia": "UPS GROUND",
        "CustomerPONo": order.event["data"]["number"],
        "UDF_WEB_ORDER_ID": order.id,
        "Lines": lines,
    }
    assert house.sandbox.sage("POST", "/SO/SalesOrder", body).status_code == 201
    return number


def test_an_order_started_long_after_it_was_shipped_and_posted(warehouse: House) -> None:
    order = PlacedOrder(warehouse.sandbox, warehouse.api_url, DESK, LAMP)
    number = create_in_sage(warehouse, order)
    for quantities, tracking in (({"000001": 2}, "P1"), ({"000001": 3, "000002": 3}, "P2")):
        body = {"SalesOrderNo": number, "Quantities": quantities, "Packages": [{"TrackingID": tracking}]}
        invoice = warehouse.sandbox.control("sage", "ship", body)["InvoiceNo"]
        warehouse.sandbox.control("sage", "post", {"InvoiceNo": invoice})
    order.check_out()
    complete(order, 2)
    assert order.sales_order_no == number
    assert sorted(order.packages().values()) == ["P1", "P2"]


def test_a_purged_order_is_not_created_again_without_a_person(warehouse: House) -> None:
    """Without order history only the invoice still knows the purchase order number."""
    warehouse.sandbox.control("sage", "company", {"keep_order_history": "N"})
    try:
        order = placed(warehouse, DESK)
        order.post(order.ship())
        order.until_state("complete")
        again = PlacedOrder(warehouse.sandbox, warehouse.api_url, DESK, number=order.event["data"]["number"])
        again.check_out()
        view = again.until_state("held")
        assert view["hold"]["reason"] == "anomaly"
        assert order.sales_order_no in view["hold"]["problems"][0]["message"]
        decision = {"action": "approve", "by": "Ann", "hold": 1}
        assert HTTP.post(f"{again.api_url}/orders/demo/{again.id}/release", json=decision, timeout=10).is_success
        assert again.sales_order_no != order.sales_order_no
    finally:
        warehouse.sandbox.control("sage", "company", {"keep_order_history": "Y"})


# ---- the poller's Schedule ------------------------------------------------------------------------------------------


def schedule(house: House, *arguments: str) -> None:
    temporal(house, "schedule", *arguments[:1], "-s", SCHEDULE, *arguments[1:])


def make_schedules(house: House) -> None:
    environment = {**os.environ, "TEMPORAL_ADDRESS": house.temporal_address, "PAIRS_DIR": str(house.pairs_dir)}
    subprocess.run([sys.executable, "-m", "workers", "schedules"], cwd=ROOT, env=environment, check=True, timeout=60)


def pause_and_unpause(house: House, meanwhile: Callable[[], None]) -> None:
    """Pausing the Schedule stops the next shift; pausing the activity stops this one."""
    schedule(house, "toggle", "--pause", "--reason", "a test")
    run = running_shifts(house)[0]["workflowId"]
    temporal(house, "activity", "pause", "-w", run, "-a", "poll")
    meanwhile()
    temporal(house, "activity", "unpause", "-w", run, "-a", "poll")
    schedule(house, "toggle", "--unpause", "--reason", "a test")


def trigger(house: House, meanwhile: Callable[[], None]) -> None:
    """A shift beside the running one, without a cursor: it looks back some days and repeats signals."""
    schedule(house, "trigger", "--overlap-policy", "AllowAll")
    meanwhile()


def edit(house: House, meanwhile: Callable[[], None]) -> None:
    """Brought up to date while it runs."""
    make_schedules(house)
    meanwhile()
    make_schedules(house)


def recreate(house: House, meanwhile: Callable[[], None]) -> None:
    """Deleted with its running shift, and made anew: no cursor, so it looks back seven days."""
    run = running_shifts(house)[0]["workflowId"]
    schedule(house, "delete")
    temporal(house, "workflow", "terminate", "-w", run, "--reason", "a test")
    meanwhile()
    make_schedules(house)


def kill_worker(house: House, meanwhile: Callable[[], None]) -> None:
    os.kill(pid_of(house.temporal_address, "workers", "sage"), signal.SIGKILL)
    meanwhile()


def kill_server(house: House, meanwhile: Callable[[], None]) -> None:
    os.kill(pid_of("", "start-dev", house.temporal_address.rpartition(":")[2]), signal.SIGKILL)
    meanwhile()


@pytest.mark.parametrize("disturb", [pause_and_unpause, trigger, edit, recreate, kill_worker, kill_server])
def test_no_shipment_is_lost_or_told_twice(
    warehouse: House, disturb: Callable[[House, Callable[[], None]], None]
) -> None:
    before, within, open_ = placed(warehouse, DESK), placed(warehouse, DESK, LAMP), placed(warehouse, LAMP)
    wait_until("the poller polls", lambda: polls_made(warehouse) > 0, 30)
    first = before.ship(packages=[{"TrackingID": "B1"}])
    before.until_state("shipped")

    def meanwhile() -> None:
        before.post(first)
        within.post(within.ship({"1": 5}, [{"TrackingID": "W1"}]))
        within.post(within.ship({"2": 3}, [{"TrackingID": "W2"}]))
        open_.ship(packages=[{"TrackingID": "O1"}])

    disturb(warehouse, meanwhile)
    complete(before, 1)
    complete(within, 2)
    open_.until_state("shipped")
    open_.post(open_.view()["invoices"][0])
    complete(open_, 1)
    wait_until("the shift goes on", lambda: cursor(warehouse).get("polls", 0) > 0, 60)


# ---- lost var/ ------------------------------------------------------------------------------------------------------


@pytest.fixture
def lost(tmp_path: Path) -> Iterator[Path]:
    """A folder for a house that loses Temporal's state."""
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)


def test_lost_temporal_state_doubles_nothing(lost: Path) -> None:
    pairs = pairs_with_pace(lost / "pairs", **QUICK)
    flags = ("--no-orders", "--ship-after", "off", "--post-after", "off")
    environment = {"PAIRS_DIR": str(pairs)}
    mark = uuid.uuid4().hex[:6]
    with running_house(lost, *flags, environment=environment) as house:
        done = PlacedOrder(house.sandbox, house.api_url, DESK, order_id=f"{mark}-1").check_out()
        half = PlacedOrder(house.sandbox, house.api_url, DESK, LAMP, order_id=f"{mark}-2").check_out()
        done.post(done.ship(packages=[{"TrackingID": "D1"}]))
        half.post(half.ship({"1": 5}, [{"TrackingID": "H1"}]))
        done.until_state("complete")
        half.until_told(_1=5)
    for file in (lost / "var").glob("temporal.sqlite*"):
        file.unlink()
    with running_house(lost, *flags, environment=environment) as house:
        for order in (done, half):
            order.sandbox, order.api_url = house.sandbox, house.api_url
            house.sandbox.control("clarity", "webhooks", {"orderId": order.id, "sameId": True})
        complete(done, 1)
        half.until_state("partially_shipped")
        half.post(half.ship({"2": 3}, [{"TrackingID": "H2"}]))
        complete(half, 2)
        for order in (done, half):
            numbers = house.sandbox.rows(
                "SELECT SalesOrderNo FROM SO_SalesOrderHistoryHeader WHERE UDF_WEB_ORDER_ID = ?", order.id
            )
            assert len(numbers) == 1
