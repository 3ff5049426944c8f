"""Stock from Sage to the store, every process real: changes, orders under way, drift, and two stores on one stock."""

import asyncio
import dataclasses
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
import yaml
from temporalio.client import Client, ScheduleActionExecutionStartWorkflow

from contracts.inventory import InventoryAction, InventoryProgress
from mappings.pair import load_pair
from tests.e2e.conftest import QUICK, House, pairs_with_pace, running_house
from tests.support.histories import keep_history
from tests.support.http import HTTP
from tests.support.orders import PlacedOrder
from tests.support.processes import ROOT, answers, free_ports, running, wait_until
from tests.support.sandbox import Sandbox
from workers.plugin import integration_plugin
from workers.schedules import ensure_schedules, inventory_schedule

PACE = QUICK | {
    "inventory_sweep": 1.5,
    "inventory_look": 0.4,
    "inventory_compare": 3600,
    "stock_sweep": 600,
    "agree_time": 1,
    "poll_heartbeat_timeout": 2,
}
STORE_TWO = {
    "TWO_SAGE_USER": "integration",
    "TWO_SAGE_PASSWORD": "sandbox-only",
    "TWO_CLARITY_CLIENT_ID": "clarity-integration",
    "TWO_CLARITY_CLIENT_SECRET": "clarity-sandbox-secret",
    "TWO_CLARITY_WEBHOOK_SECRETS": "whsec_c2FuZGJveC13ZWJob29rLXNpZ25pbmctc2VjcmV0LTAwMQ==",
    "TWO_MATCH_KEY_SECRET": "another-match-key",
}


class Shops:
    """A house with a second store on the same Sage company."""

    def __init__(self, house: House, two: Sandbox) -> None:
        self.house = house
        self.stores = {"demo": house.sandbox, "two": two}

    def shown(self, store: str = "demo") -> dict[tuple[str, str], int]:
        """Every number of a store, as its API tells."""
        found: dict[tuple[str, str], int] = {}
        page = 0
        while True:
            answer = self.stores[store].clarity("GET", f"/api/v1/inventory?pageIndex={page}&pageSize=1000").json()
            found |= {(row["sku"], row["warehouse"]): row["quantityAvailable"] for row in answer["items"]}
            if len(answer["items"]) < 1000:
                return found
            page += 1

    def in_sage(self) -> dict[tuple[str, str], int]:
        """What the store should have when no order is under way: by Sage's own tables and this test's arithmetic."""
        sql = (
            "SELECT i.ItemCode, w.WarehouseCode, i.SalesUMConvFctr AS units, i.InactiveItem, w.QuantityOnHand "
            "- w.QuantityOnSalesOrder - w.QuantityOnBackOrder - w.QuantityRequiredForWO AS available "
            "FROM CI_Item i JOIN IM_ItemWarehouse w ON w.ItemCode = i.ItemCode WHERE i.DropShip <> 'Y'"
        )
        names = {"000": "MAIN", "001": "EAST"}
        return {
            (row["ItemCode"], names[row["WarehouseCode"]]): 0
            if row["InactiveItem"] == "Y"
            else max(int(Decimal(str(row["available"])) // Decimal(str(row["units"]))), 0)
            for row in self.house.sandbox.rows(sql)
        }

    def writes(self, store: str = "demo") -> int:
        """Batches of stock that the store got so far."""
        calls = HTTP.get(f"{self.stores[store].clarity_url}/_control/calls", timeout=20).json()["calls"]
        return int(calls.count("PUT /api/v1/inventory"))

    def until_right(self, store: str = "demo") -> None:
        """Once the store shows what Sage has."""
        wanted = self.in_sage()

        def differs() -> dict[tuple[str, str], tuple[int, int | None]]:
            shown = self.shown(store)
            return {place: (count, shown.get(place)) for place, count in wanted.items() if shown.get(place) != count}

        wait_until(f"store {store} shows what Sage has: {dict(list(differs().items())[:3])}", lambda: not differs(), 30)

    def by_hand(self, *flags: str) -> str:
        """`python -m workers inventory`, as the README shows it."""
        result = subprocess.run(
            [sys.executable, "-m", "workers", "inventory", "--pair", "demo", *flags],
            cwd=ROOT,
            env={
                **os.environ,
                "TEMPORAL_ADDRESS": self.house.temporal_address,
                "PAIRS_DIR": str(self.house.pairs_dir),
                "COLUMNS": "1000",
            },
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def run(self) -> str:
        """The workflow id of the shift that runs."""

        async def work(client: Client) -> str:
            (run,) = (await client.get_schedule_handle("inventory-demo").describe()).info.running_actions
            assert isinstance(run, ScheduleActionExecutionStartWorkflow)
            return run.workflow_id

        return str(self.temporal(work))

    def ask(self, action: InventoryAction) -> InventoryProgress:
        """The same without a process of its own."""
        workflow_id = self.run()

        async def work(client: Client) -> InventoryProgress:
            handle = client.get_workflow_handle(workflow_id)
            progress: InventoryProgress = await handle.execute_update("ask", action, result_type=InventoryProgress)
            return progress

        progress: InventoryProgress = self.temporal(work)
        return progress

    def count(self, item: str, **on_hand: int) -> None:
        """Somebody counts an item in Sage."""
        stock = {code.lstrip("_"): str(number) for code, number in on_hand.items()}
        self.house.sandbox.control("sage", "item", {"ItemCode": item, "OnHand": stock})

    def alerts(self) -> str:
        """What people were told."""
        return (self.house.sandbox.var / "log" / "workers.log").read_text("utf-8")

    def temporal(self, work: Callable[[Client], Any]) -> Any:
        """Something with a client of the house's server."""

        async def run() -> Any:
            return await work(await Client.connect(self.house.temporal_address, plugins=[integration_plugin()]))

        return asyncio.run(run())


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shops]:
    folder = tmp_path_factory.mktemp("inventory")
    pairs = pairs_with_pace(folder / "pairs", "inventory", **PACE)
    content = yaml.safe_load((pairs / "demo.yaml").read_text("utf-8"))
    for name, other in (("demo", "two"), ("two", "demo")):
        content["inventory"]["shares_stock_with"] = [other]
        (pairs / f"{name}.yaml").write_text(yaml.safe_dump(content, allow_unicode=True), "utf-8")
    second_sage, second_clarity, gateway_port = free_ports(3)
    environment = {
        **STORE_TWO,
        "PAIRS_DIR": str(pairs),
        "TWO_CLARITY_URL": f"http://127.0.0.1:{second_clarity}",
        "TWO_SAGE_GATEWAY_URL": f"http://127.0.0.1:{gateway_port}",
        "TWO_SAGE_ODBC": f"Driver=SQLite3;Database={folder / 'var' / 'sage100_ABC.sqlite'}",
    }
    flags = ("--no-orders", "--ship-after", "off", "--post-after", "off", "--sage-port", str(gateway_port))
    with running_house(folder, *flags, environment=environment) as started:
        gateway = Sandbox(f"http://127.0.0.1:{gateway_port}", started.sandbox.clarity_url, started.sandbox.var)
        house = dataclasses.replace(started, sandbox=gateway)
        two = Sandbox(f"http://127.0.0.1:{second_sage}", f"http://127.0.0.1:{second_clarity}", folder / "two")
        two.var.mkdir()
        ports = ("--sage-port", str(second_sage), "--clarity-port", str(second_clarity))
        hook = ("--webhook-url", f"{house.api_url}/webhooks/clarity/two", "--webhook-schedule", "1,2,4,8")
        with running(["sandbox", *ports, "--var", str(two.var), *hook], two.var / "sandbox.log"):
            wait_until("the second store answers", lambda: answers(f"{two.clarity_url}/_control/state"), 30)
            shops = Shops(house, two)
            shops.temporal(lambda client: ensure_schedules(client, [load_pair(pairs / "two.yaml")]))
            shops.until_right()
            yield shops


def buy(shops: Shops, item: str, quantity: int = 1, *, store: str = "demo", order_id: str = "") -> PlacedOrder | None:
    """A buyer takes what the store shows; None when the store says that it is sold out."""
    sandbox = shops.stores[store]
    order = PlacedOrder(
        sandbox, shops.house.api_url, (item, quantity, "1290.00"), order_id=order_id or f"{store}-{next(NUMBERS)}"
    )
    answer = sandbox.clarity("POST", "/_control/orders?reserve=true", order.event)
    assert answer.status_code in (201, 409), answer.text
    return order if answer.status_code == 201 else None


NUMBERS = iter(range(1, 10_000))


def state_of(shops: Shops, store: str, order: PlacedOrder) -> str:
    answer = HTTP.get(f"{shops.house.api_url}/orders/{store}/{order.id}", timeout=10).json()
    return str((answer.get("order") or {}).get("state", ""))


def released(shops: Shops, order: PlacedOrder, action: str) -> None:
    view = order.view()
    body = {"action": action, "by": "test", "hold": view["hold"]["hold"]}
    HTTP.post(f"{shops.house.api_url}/orders/demo/{order.id}/release", json=body, timeout=20).raise_for_status()


# ---- one store ------------------------------------------------------------------------------------------------------


def test_a_change_in_sage_is_in_the_store_within_one_sweep_and_no_change_is_no_write(shops: Shops) -> None:
    shown = shops.shown()
    assert shown["BENCH-OAK-DS", "MAIN"] == 99, "shipped by its maker: what the pair's rule says"
    assert shown["KIT-HOME-OFFICE", "MAIN"] == min(shown["SHELF-WALL-80", "MAIN"] // 2, shown["LAMP-LED-01", "MAIN"])
    assert shown["PAPER-A4-CS", "MAIN"] == 600, "cases of ten"
    assert not [sku for sku, _ in shown if sku.startswith("/")]
    first = shops.ask(InventoryAction.SWEEP)
    before = shops.writes()
    second = shops.ask(InventoryAction.SWEEP)
    assert second.swept_at != first.swept_at
    assert shops.writes() == before, "a sweep without changes makes no write"
    shops.count("CHAIR-EXEC", _000=9)
    assert "Done" in shops.by_hand()
    assert shops.shown()["CHAIR-EXEC", "MAIN"] == 9
    assert shops.writes() == before + 1
    shops.until_right()


def test_an_accepted_order_is_taken_off_before_sage_knows_it_and_comes_back_when_it_is_cancelled(
    shops: Shops,
) -> None:
    before = shops.shown()["DESK-OAK-160", "MAIN"]
    held = PlacedOrder(
        shops.house.sandbox,
        shops.house.api_url,
        ("DESK-OAK-160", 3, "429.00"),
        ("NO-SUCH-SKU", 1, "1.00"),
        order_id=f"held-{next(NUMBERS)}",
    ).check_out()
    held.until_state("held")

    def number() -> int:
        return shops.shown()["DESK-OAK-160", "MAIN"]

    wait_until("the held order's desks are not for sale", lambda: number() == before - 3, 30)
    assert shops.in_sage()["DESK-OAK-160", "MAIN"] == before, "Sage does not know of it"
    released(shops, held, "cancel")
    wait_until("they are for sale again", lambda: number() == before, 30)


def test_a_new_schedule_costs_one_full_push_and_no_number_is_wrong(shops: Shops) -> None:
    # A change and its way back, of which the lost memory knows nothing.
    shops.count("SOFA-LOUNGE", _000=4)
    shops.until_right()
    before = shops.writes()

    async def recreate(client: Client) -> None:
        handle = client.get_schedule_handle("inventory-demo")
        (run,) = (await handle.describe()).info.running_actions
        await handle.delete()
        assert isinstance(run, ScheduleActionExecutionStartWorkflow)
        await client.get_workflow_handle(run.workflow_id).terminate("a test loses the memory")
        shops.count("SOFA-LOUNGE", _000=1)
        pair = load_pair(shops.house.pairs_dir / "demo.yaml")
        await client.create_schedule("inventory-demo", inventory_schedule(pair), trigger_immediately=True)

    shops.temporal(recreate)
    shops.until_right()
    keep_history(shops.house.temporal_address, shops.run(), "inventory")
    shops.ask(InventoryAction.SWEEP)
    rows = len(shops.shown())
    assert shops.writes() - before in range(1, 3 + rows // 500), "one push of everything, in batches"


def test_random_drift_is_found_repaired_and_told_once(shops: Shops) -> None:
    changed = shops.house.sandbox.control("clarity", "inventory/drift", {"rows": 7, "seed": 5})["changed"]
    shops.house.sandbox.control("clarity", "inventory/forget", {"skus": ["STAPLER"]})
    assert shops.shown() != shops.in_sage()
    told = shops.by_hand("--compare").rpartition("Done")[2]
    shops.until_right()
    places = {(row["sku"], row["warehouse"]) for row in changed} | {("STAPLER", "MAIN"), ("STAPLER", "EAST")}
    assert f"{len(places)} had drifted" in told
    assert shops.alerts().count("stock numbers at Clarity were not those that it was told") == 1
    before = shops.writes()
    shops.ask(InventoryAction.COMPARE)
    assert shops.writes() == before
    assert shops.alerts().count("stock numbers at Clarity were not those that it was told") == 1


@pytest.mark.parametrize(
    ("fault", "more"), [("429", {"retry_after": 1}), ("500", {}), ("timeout_after_write", {}), ("token_expired", {})]
)
def test_numbers_arrive_whatever_goes_wrong_on_the_way(shops: Shops, fault: str, more: dict[str, Any]) -> None:
    shops.house.sandbox.fault("clarity", "PUT /api/v1/inventory", fault, **more)
    shops.count("CLOCK-WALL", _000=100 + next(NUMBERS))
    shops.until_right()
    assert shops.house.sandbox.pending_faults("clarity") == 0


# ---- two stores -----------------------------------------------------------------------------------------------------


def promised(shops: Shops, item: str) -> tuple[Decimal, Decimal]:
    """On hand, and what sales orders in Sage take of it."""
    sql = "SELECT * FROM IM_ItemWarehouse WHERE ItemCode = ? AND WarehouseCode = '000'"
    (stock,) = shops.house.sandbox.rows(sql, item)
    return Decimal(str(stock["QuantityOnHand"])), Decimal(str(stock["QuantityOnSalesOrder"]))


def settled(shops: Shops, orders: list[tuple[str, PlacedOrder]]) -> Counter[str]:
    """States of the orders, once each is in Sage or held."""

    def states() -> Counter[str]:
        found = Counter(state_of(shops, store, order) for store, order in orders)
        return found if set(found) <= {"open", "held"} else Counter()

    return wait_until("every order is in Sage or held", states, 60)


def test_two_stores_sell_the_last_pieces_one_after_the_other_and_none_twice(shops: Shops) -> None:
    item = "MON-ARM-2"
    shops.count(item, _000=4, _001=0)
    stores = ("demo", "two")

    def both_show(count: int) -> bool:
        return all(shops.shown(store)[item, "MAIN"] == count for store in stores)

    sold: list[tuple[str, PlacedOrder]] = []
    for left in range(4, 0, -1):
        wait_until(f"both stores show {left}", lambda left=left: both_show(left), 30)  # type: ignore[misc]
        store = stores[left % 2]
        order = buy(shops, item, store=store)
        assert order is not None
        sold.append((store, order))
    wait_until("both stores show none", lambda: both_show(0), 30)
    assert [buy(shops, item, store=store) for store in stores] == [None, None]
    assert settled(shops, sold) == {"open": 4}
    assert promised(shops, item) == (Decimal(4), Decimal(4))


def test_a_rush_on_two_stores_never_promises_more_than_there_is(shops: Shops) -> None:
    item = "CAB-FILE-2"
    shops.count(item, _000=6, _001=0)
    shops.until_right("demo")
    shops.until_right("two")
    buyers = [("demo", "two")[number % 2] for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        orders = list(pool.map(lambda store: (store, buy(shops, item, store=store)), buyers))
    sold = [(store, order) for store, order in orders if order is not None]
    # How many the stores sell is theirs: each shows six, and again what a number on its way did not count yet.
    assert len(sold) >= 6
    states = settled(shops, sold)
    on_hand, taken = promised(shops, item)
    assert taken == states["open"] <= on_hand == 6, "what is too much is held, never promised"
    assert states["open"] == 6

    def nothing_left() -> bool:
        return all(shops.shown(store)[item, "MAIN"] == 0 for store in ("demo", "two"))

    wait_until("both stores show none", nothing_left, 30)
    assert [buy(shops, item, store=store) for store in ("demo", "two")] == [None, None]
