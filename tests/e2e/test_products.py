"""Products and items in step, every process real: each field goes where its owner says, and nothing goes silently."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from temporalio.client import Client

from contracts import ids
from tests.e2e.conftest import QUICK, House, pairs_with_pace, running_house
from tests.support.histories import keep_history
from tests.support.http import HTTP
from tests.support.processes import ROOT, wait_until
from workers.plugin import integration_plugin

PACE = QUICK | {"products_interval": 1, "hold_reminder": 3600, "alert_group": 1}


class Catalogue:
    """The house with its products."""

    def __init__(self, house: House) -> None:
        self.house = house

    def product(self, sku: str) -> dict[str, Any]:
        """As the store's API tells it."""
        page = self.house.sandbox.clarity("GET", "/api/v1/products?pageSize=200").json()
        (found,) = (one for one in page["items"] if one["sku"] == sku)
        result: dict[str, Any] = found
        return result

    def item(self, code: str) -> dict[str, Any]:
        """As Sage's table has it; nothing when it has not."""
        rows = self.house.sandbox.rows("SELECT * FROM CI_Item WHERE ItemCode = ?", code)
        return rows[0] if rows else {}

    def change(self, sku: str, **change: Any) -> None:
        """Somebody changes it in the store."""
        self.house.sandbox.control("clarity", "products/change", {"sku": sku, "change": change})

    def change_in_sage(self, code: str, **columns: str) -> None:
        self.house.sandbox.control("sage", "item", {"ItemCode": code, "Columns": columns})

    def writes(self) -> int:
        """Changes of products and items that the two systems were asked for."""
        sides = (self.house.sandbox.sage_url, self.house.sandbox.clarity_url)
        calls = [call for url in sides for call in HTTP.get(f"{url}/_control/calls", timeout=20).json()["calls"]]
        return sum(call.startswith(("PATCH /CI/", "POST /CI/", "PATCH /api/v1/products")) for call in calls)

    def delivered(self) -> bool:
        """Every webhook has arrived."""
        state = HTTP.get(f"{self.house.sandbox.clarity_url}/_control/state", timeout=20).json()
        return bool(state["undelivered"] == 0)

    def alerts(self) -> str:
        """What people were told."""
        return (self.house.sandbox.var / "log" / "workers.log").read_text("utf-8")

    def by_hand(self, *flags: str) -> str:
        """`python -m workers products`, as the README shows it."""
        result = subprocess.run(
            [sys.executable, "-m", "workers", "products", "--pair", "demo", *flags],
            cwd=ROOT,
            env={
                **os.environ,
                "TEMPORAL_ADDRESS": self.house.temporal_address,
                "PAIRS_DIR": str(self.house.pairs_dir),
                "COLUMNS": "400",
            },
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def temporal(self, work: Callable[[Client], Any]) -> Any:
        """Something with a client of the house's server."""

        async def run() -> Any:
            return await work(await Client.connect(self.house.temporal_address, plugins=[integration_plugin()]))

        return asyncio.run(run())

    def runs(self, sku: str) -> list[str]:
        """States of the product's runs."""
        id_ = ids.product_workflow_id("demo", self.product(sku)["id"])

        async def work(client: Client) -> list[str]:
            query = f"WorkflowId = '{id_}'"
            return [run.status.name async for run in client.list_workflows(query) if run.status is not None]

        found: list[str] = self.temporal(work)
        return found

    def keep(self, sku: str, name: str) -> None:
        keep_history(self.house.temporal_address, ids.product_workflow_id("demo", self.product(sku)["id"]), name)

    def catch_ups(self) -> list[str]:
        """Ids of the scheduled comparisons that are done, the latest first."""

        async def work(client: Client) -> list[str]:
            query = "WorkflowType='ProductCatchUpWorkflow' AND ExecutionStatus='Completed'"
            return [run.id async for run in client.list_workflows(query)]

        found: list[str] = self.temporal(work)
        return found

    def after_two_catch_ups(self) -> None:
        """Once two more have looked at everything."""
        before = set(self.catch_ups())
        wait_until("two comparisons are done", lambda: len(set(self.catch_ups()) - before) >= 2, 30)

    def paused(self, *, pause: bool) -> None:
        async def work(client: Client) -> None:
            handle = client.get_schedule_handle("products-demo")
            await (handle.pause() if pause else handle.unpause())

        async def at_work(client: Client) -> int:
            return len((await client.get_schedule_handle("products-demo").describe()).info.running_actions)

        self.temporal(work)
        wait_until("no comparison is at work", lambda: not pause or self.temporal(at_work) == 0, 30)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogue]:
    folder = tmp_path_factory.mktemp("products")
    pairs = pairs_with_pace(folder / "pairs", "products", **PACE)
    flags = ("--no-orders", "--ship-after", "off", "--post-after", "off")
    with running_house(folder, *flags, environment={"PAIRS_DIR": str(pairs)}) as house:
        one = Catalogue(house)
        wait_until("the first comparison is done", lambda: bool(one.catch_ups()), 30)
        yield one


def test_a_product_that_changes_in_the_store_reaches_its_item_once(catalogue: Catalogue) -> None:
    before = catalogue.writes()
    assert before == 0, "a new sandbox is in step"
    catalogue.change("CHAIR-GUEST", name="Guest chair, stackable")
    wait_until("Sage has it", lambda: catalogue.item("CHAIR-GUEST")["ItemCodeDesc"] == "Guest chair, stackable", 30)
    # Delivered again, and an older version after it: both sides are read, so the event's content does not matter.
    older = {"sku": "CHAIR-GUEST", "times": 2, "data": {"name": "Guest chair", "updatedDate": "2026-01-01T00:00:00Z"}}
    catalogue.house.sandbox.control("clarity", "products/webhooks", {"sku": "CHAIR-GUEST", "times": 3, "sameId": True})
    catalogue.house.sandbox.control("clarity", "products/webhooks", older)
    wait_until("all webhooks are there", catalogue.delivered, 30)
    wait_until("no run is at work", lambda: "RUNNING" not in catalogue.runs("CHAIR-GUEST"), 30)
    assert catalogue.item("CHAIR-GUEST")["ItemCodeDesc"] == "Guest chair, stackable"
    assert catalogue.writes() == 1
    assert "product_conflict" not in catalogue.alerts()
    catalogue.keep("CHAIR-GUEST", "product_written")


def test_a_price_and_an_end_in_sage_reach_the_store_and_their_webhook_starts_nothing(catalogue: Catalogue) -> None:
    catalogue.after_two_catch_ups()
    before = catalogue.writes()
    catalogue.change_in_sage("LAMP-LED-01", StandardUnitPrice="51.5", InactiveItem="Y")
    catalogue.change_in_sage("PAPER-A4-CS", StandardUnitPrice="5.55")
    wait_until("the store has the price", lambda: catalogue.product("LAMP-LED-01")["price"] == "51.5", 30)
    wait_until("a case is ten reams", lambda: catalogue.product("PAPER-A4-CS")["price"] == "55.5", 30)
    assert catalogue.product("LAMP-LED-01")["active"] is False
    wait_until("all webhooks are there", catalogue.delivered, 30)
    catalogue.after_two_catch_ups()
    assert catalogue.writes() == before + 2, "both fields in one request, and nothing comes back"
    assert catalogue.runs("LAMP-LED-01") == ["COMPLETED"]
    assert "overwritten" not in catalogue.alerts(), "Sage owns both, and nobody else has touched them"
    keep_history(catalogue.house.temporal_address, catalogue.catch_ups()[0], "product_catch_up")


def test_a_new_product_waits_for_a_person_and_becomes_an_item_by_the_template(catalogue: Catalogue) -> None:
    stool = {"sku": "STOOL-ASH", "name": "Ash stool", "price": "79.00"}
    catalogue.house.sandbox.control("clarity", "products", {"product": stool})
    id_ = ids.product_workflow_id("demo", catalogue.product("STOOL-ASH")["id"])
    listed = "HoldReason='new_product' AND ExecutionStatus='Running'"

    async def waiting(client: Client) -> list[str]:
        return [run.id async for run in client.list_workflows(listed)]

    wait_until("it waits, and is listed", lambda: id_ in catalogue.temporal(waiting), 30)
    assert catalogue.item("STOOL-ASH") == {}
    wait_until("people are told", lambda: "create item STOOL-ASH" in catalogue.alerts(), 30)

    async def release(client: Client) -> str:
        decision = {"action": "approve", "by": "test", "reason": "new_product", "columns": {"ProductLine": "FURN"}}
        answer: str = await client.get_workflow_handle(id_).execute_update("release_product", decision)
        return answer

    assert catalogue.temporal(release) == "recorded"
    wait_until("Sage has the item", lambda: bool(catalogue.item("STOOL-ASH")), 30)
    item = catalogue.item("STOOL-ASH")
    assert (item["ItemCodeDesc"], float(item["StandardUnitPrice"]), item["InactiveItem"]) == ("Ash stool", 79, "N")
    assert (item["ProductLine"], item["TaxClass"], item["StandardUnitOfMeasure"]) == ("FURN", "TX", "EACH")
    wait_until("its run is done", lambda: catalogue.runs("STOOL-ASH") == ["COMPLETED"], 30)
    catalogue.keep("STOOL-ASH", "product_created")


def test_what_the_wrong_side_changes_is_put_back_and_told_with_the_value_it_had(catalogue: Catalogue) -> None:
    catalogue.after_two_catch_ups()
    catalogue.change("DESK-OAK-120", price="300.00")
    catalogue.change_in_sage("STAPLER", ItemCodeDesc="Stapler, renamed in Sage")
    wait_until("Sage's price is back", lambda: catalogue.product("DESK-OAK-120")["price"] == "349", 30)
    wait_until("the store's name is back", lambda: catalogue.item("STAPLER")["ItemCodeDesc"] == "Stapler", 30)
    for words in (
        "StandardUnitPrice/price: '300' → '349' in the store (changed in the store; Sage owns it)",
        "ItemCodeDesc/name: 'Stapler, renamed in Sage' → 'Stapler' in Sage (changed in Sage; the store owns it)",
    ):
        wait_until(f"people are told: {words}", lambda words=words: words in catalogue.alerts(), 30)  # type: ignore[misc]
        assert catalogue.alerts().count(words) == 1


def test_a_lost_webhook_is_caught_up_and_what_does_not_fit_is_told_and_stops_nothing(catalogue: Catalogue) -> None:
    catalogue.house.sandbox.control("clarity", "webhooks/drop", {"share": 1})
    catalogue.change("MAT-FLOOR", name="A floor mat of a length that no column of Sage's can take")
    catalogue.change("BINDER-RED", name="Binder, red")
    wait_until("the other one is caught up", lambda: catalogue.item("BINDER-RED")["ItemCodeDesc"] == "Binder, red", 30)
    catalogue.house.sandbox.control("clarity", "webhooks/drop", {"share": 0})
    words = "ItemCodeDesc takes 30"
    wait_until("people are told", lambda: words in catalogue.alerts(), 30)
    catalogue.after_two_catch_ups()
    assert catalogue.item("MAT-FLOOR")["ItemCodeDesc"] == "Floor mat", "nothing is cut"
    assert catalogue.alerts().count(words) == 1, "once, though each comparison tries again"
    catalogue.change("MAT-FLOOR", name="Floor mat, long")
    wait_until("it fits now", lambda: catalogue.item("MAT-FLOOR")["ItemCodeDesc"] == "Floor mat, long", 30)


def test_a_dry_run_shows_the_differences_and_writes_nothing(catalogue: Catalogue) -> None:
    catalogue.after_two_catch_ups()
    catalogue.paused(pause=True)
    try:
        before = catalogue.writes()
        catalogue.change_in_sage("CLOCK-WALL", StandardUnitPrice="36")
        shown = catalogue.by_hand("--dry-run")
        (row,) = (line for line in shown.splitlines() if line.startswith("CLOCK-WALL"))
        for part in ("StandardUnitPrice/price", "'36'", "'34.5'", "to clarity", "Sage changed it"):
            assert part in row
        assert "Dry run: nothing was written." in shown
        assert catalogue.writes() == before
        assert catalogue.product("CLOCK-WALL")["price"] == "34.50"
        done = catalogue.by_hand("--sku", "CLOCK-WALL")
        assert "CLOCK-WALL: written; StandardUnitPrice/price: '34.5' → '36' in the store (Sage changed it)" in done
        assert catalogue.product("CLOCK-WALL")["price"] == "36"
    finally:
        catalogue.paused(pause=False)
