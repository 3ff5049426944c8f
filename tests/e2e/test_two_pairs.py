"""Two stores with a company each in one deployment: nothing of one is seen, done or paced by the other."""

import base64
import dataclasses
import json
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.clarity.webhooks import sign
from tests.e2e.conftest import QUICK, House, pairs_with_pace, running_house
from tests.e2e.temporal import temporal
from tests.support.http import HTTP
from tests.support.orders import PlacedOrder
from tests.support.processes import free_ports, wait_until
from tests.support.sandbox import Sandbox, read_rows

DESK = ("DESK-OAK-120", 1, "499.00")
PAIRS = ("demo", "outlet")


class Company(Sandbox):
    """The second pair's: its tables are in a file of its own."""

    @property
    def database(self) -> Path:
        return self.var / "sage100_XYZ.sqlite"


class Order(PlacedOrder):
    """An order of one of the two stores."""

    pair = "demo"

    def view(self) -> dict[str, object]:
        answer = HTTP.get(f"{self.api_url}/orders/{self.pair}/{self.id}", timeout=10).json()
        return dict(answer.get("order") or {})


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, dict[str, Sandbox]]]:
    folder = tmp_path_factory.mktemp("two")
    pairs = pairs_with_pace(folder / "pairs", "inventory", "products", **QUICK)
    sage, clarity = free_ports(2)
    second = ("--pairs", "2", "--second-sage-port", str(sage), "--second-clarity-port", str(clarity))
    flags = ("--no-orders", "--ship-after", "off", "--post-after", "off", *second)
    with running_house(folder, *flags, environment={"PAIRS_DIR": str(pairs)}) as started:
        house = dataclasses.replace(started, pairs_dir=folder / "var" / "pairs")
        outlet = Company(f"http://127.0.0.1:{sage}", f"http://127.0.0.1:{clarity}", folder / "var" / "outlet")
        yield house, {"demo": house.sandbox, "outlet": outlet}


def check_out(house: House, store: Sandbox, pair: str, order_id: str, quantity: int = 1) -> Order:
    item, _, price = DESK
    order = Order(store, house.api_url, (item, quantity, price), order_id=order_id)
    order.pair = pair
    order.check_out()
    return order


def test_the_same_ids_and_the_same_numbers_in_both_are_two_orders(stores: tuple[House, dict[str, Sandbox]]) -> None:
    house, shops = stores
    orders = {pair: check_out(house, shops[pair], pair, "77001", n) for n, pair in enumerate(PAIRS, start=1)}
    numbers = {pair: order.sales_order_no for pair, order in orders.items()}
    assert numbers["demo"] == numbers["outlet"], "each company numbers its own orders"
    for n, pair in enumerate(PAIRS, start=1):
        (row,) = read_rows(shops[pair].database, "SELECT * FROM SO_SalesOrderHeader")
        assert row["UDF_WEB_ORDER_ID"] == "77001"
        assert Decimal(str(row["DepositAmt"])) == n * Decimal(DESK[2])
    # The outlet ships: its own buyer hears of it, and nobody else.
    orders["outlet"].post(orders["outlet"].ship())
    orders["outlet"].until_state("complete")
    assert orders["outlet"].told() == {"1": 2}
    assert orders["demo"].shipments() == []
    assert orders["demo"].view()["state"] == "open"
    orders["demo"].post(orders["demo"].ship())
    orders["demo"].until_state("complete")
    assert orders["demo"].told() == {"1": 1}


def test_secrets_of_one_pair_open_nothing_of_the_other(stores: tuple[House, dict[str, Sandbox]]) -> None:
    house, shops = stores
    order = Order(shops["demo"], house.api_url, DESK, order_id="77002")
    body = json.dumps(order.event).encode()
    stamp = str(int(time.time()))
    key = base64.b64decode("c2FuZGJveC13ZWJob29rLXNpZ25pbmctc2VjcmV0LTAwMQ==")
    headers = {
        "webhook-id": "msg_two",
        "webhook-timestamp": stamp,
        "webhook-signature": sign(key, "msg_two", stamp, body),
    }

    def sent_to(pair: str) -> int:
        url = f"{house.api_url}/webhooks/clarity/{pair}"
        return HTTP.post(url, content=body, headers=headers, timeout=10).status_code

    assert sent_to("outlet") == 401
    assert order.view() == {}
    assert sent_to("demo") == 202
    login = {"UserLogon": "integration", "Password": "sandbox-only"}
    foreign = HTTP.post(f"{shops['outlet'].sage_url}/session", json=login, headers={"X-Company": "XYZ"}, timeout=10)
    assert foreign.status_code == 401
    abc = HTTP.get(f"{shops['outlet'].sage_url}/SO/SalesOrder/0001001", headers={"X-Company": "ABC"}, timeout=10)
    assert abc.status_code >= 400


def test_an_outage_of_one_company_does_not_slow_the_other(stores: tuple[House, dict[str, Sandbox]]) -> None:
    house, shops = stores
    shops["demo"].fault("sage", "*", "503", share=1.0)
    try:
        waits = [check_out(house, shops["demo"], "demo", f"770{n}") for n in range(10, 15)]
        goes = check_out(house, shops["outlet"], "outlet", "77010")
        goes.post(goes.ship())
        goes.until_state("complete")
        assert all(order.view().get("state") in (None, "received") for order in waits)
        query = "WorkflowType='OutageWatchWorkflow' AND ExecutionStatus='Running'"
        listed = wait_until("the outage is watched", lambda: temporal(house, "workflow", "list", "--query", query), 30)
        assert "outage-demo-sage" in listed
        assert "outage-outlet" not in listed
    finally:
        shops["demo"].end_faults("sage")
    for order in waits:
        order.until_state("open")


def test_each_pair_has_its_own_schedules_queues_and_alerts(stores: tuple[House, dict[str, Sandbox]]) -> None:
    house, _ = stores
    listed = temporal(house, "schedule", "list", "-o", "json")
    for flow in ("sage-poll", "backfill", "watch", "inventory", "reconcile"):
        assert {f"{flow}-{pair}" for pair in PAIRS} <= {one["scheduleId"] for one in json.loads(listed)}
    for pair in PAIRS:
        shown = temporal(house, "task-queue", "describe", "--task-queue", f"sage-write-{pair}")
        assert "activity" in shown
