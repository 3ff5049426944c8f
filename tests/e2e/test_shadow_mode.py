"""A pair in shadow mode writes nothing, sees how people's orders differ, and goes live with the orders under way."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from tests.e2e.conftest import QUICK, House, pairs_with_pace, running_house
from tests.e2e.temporal import temporal
from tests.support.histories import keep_history
from tests.support.http import HTTP
from tests.support.orders import PlacedOrder
from tests.support.processes import ROOT, answers, pid_of, wait_until

DESK = ("DESK-OAK-120", 1, "349.00")
LAMP = ("LAMP-LED-01", 2, "49.99")
UNKNOWN = ("NO-SUCH-SKU", 1, "1.00")
FLAGS = ("--no-orders", "--ship-after", "off", "--post-after", "off")
CHILDREN = (("workers", "orders"), ("workers", "sage"), ("api",))
WRITES_NOTHING = ("GET ", "POST /session", "POST /oauth/token", "POST /SO/SalesOrder/Preview")
OURS = ("UDF_WEB_ORDER_ID", "UDF_WEB_LINE_ID")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house whose pair is in shadow mode, and goes live today."""
    folder = tmp_path_factory.mktemp("shadow")
    pairs = pairs_with_pace(folder / "pairs", "inventory", "products", **QUICK)
    write(pairs, mode="shadow", go_live=datetime.now(ZoneInfo("America/Chicago")).date())
    with running_house(folder, *FLAGS, environment={"PAIRS_DIR": str(pairs)}) as one:
        yield one


def write(pairs: Path, **keys: Any) -> None:
    file = pairs / "demo.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text("utf-8")) | keys, allow_unicode=True), "utf-8")


def placed(house: House, *items: tuple[str, int, str]) -> PlacedOrder:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return PlacedOrder(house.sandbox, house.api_url, *items, createdDate=now, updatedDate=now).check_out()


def thought_of(house: House, order: PlacedOrder) -> dict[str, Any]:
    """What the integration would have done, once it knows."""
    workflow_id = f"shadow-order-demo-{order.id}"

    def ended() -> bool:
        listed = temporal(house, "workflow", "list", "-q", f"WorkflowId='{workflow_id}'", "-o", "json")
        return "WORKFLOW_EXECUTION_STATUS_COMPLETED" in listed

    wait_until(f"{workflow_id} has ended", ended, 60)
    shown = temporal(house, "workflow", "result", "-w", workflow_id, "-o", "json")
    result: dict[str, Any] = json.loads(shown)["result"]
    return result


def typed(house: House, thought: dict[str, Any], **instead: Any) -> str:
    """People type just what the integration would have created, but for `instead`; returns the SalesOrderNo."""
    order = {name: value for name, value in thought["sales_order"].items() if value and name not in (*OURS, "extra")}
    order["CustomerPONo"] = thought["order_number"]
    keep = ("ItemCode", "ItemType", "QuantityOrdered", "UnitPrice", "CommentText", "WarehouseCode")
    order["Lines"] = [
        {name: line[name] for name in keep if line[name] and not (name == "QuantityOrdered" and line["CommentText"])}
        for line in order["Lines"]
    ]
    for number, quantity in instead.get("quantities", {}).items():
        order["Lines"][number]["QuantityOrdered"] = quantity
    return str(house.sandbox.control("sage", "type_order", order)["SalesOrderNo"])


def by_hand(house: House, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ, "TEMPORAL_ADDRESS": house.temporal_address, "PAIRS_DIR": str(house.pairs_dir), "COLUMNS": "200"
    }  # fmt: skip
    command = [sys.executable, "-m", "workers", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)


def writes(house: House) -> list[str]:
    """Calls of either side that are no reads."""
    urls = (house.sandbox.sage_url, house.sandbox.clarity_url)
    calls = [call for url in urls for call in HTTP.get(f"{url}/_control/calls", timeout=10).json()["calls"]]
    assert calls
    return [call for call in calls if not call.startswith(WRITES_NOTHING)]


def ship(house: House, number: str, tracking: str) -> str:
    body = {"SalesOrderNo": number, "Packages": [{"TrackingID": tracking}]}
    return str(house.sandbox.control("sage", "ship", body)["InvoiceNo"])


def test_a_pair_goes_from_shadow_to_live_with_the_orders_under_way(shop: House, tmp_path: Path) -> None:
    right, wrong, held, untyped = (placed(shop, *items) for items in ((DESK,), (DESK, LAMP), (UNKNOWN,), (LAMP,)))
    thoughts = {order.id: thought_of(shop, order) for order in (right, wrong, held, untyped)}
    assert [hold["reason"] for hold in thoughts[held.id]["holds"]] == ["unknown_item"]
    assert not thoughts[right.id]["holds"]
    assert thoughts[right.id]["on_sage"]["SalesOrderNo"] == ""
    HTTP.post(f"{shop.sandbox.clarity_url}/_control/products/change", json={"sku": "LAMP-LED-01", "change": {}})
    numbers = {
        right.id: typed(shop, thoughts[right.id]),
        wrong.id: typed(shop, thoughts[wrong.id], quantities={1: "3"}),
    }

    # The comparison: one as typed, one that differs, one that would wait, one that nobody typed.
    shown = by_hand(shop, "shadow", "--pair", "demo", "--format", "json")
    assert shown.returncode == 1, (shown.stdout, shown.stderr)
    compared = {one["order_id"]: one for one in json.loads(shown.stdout)["orders"]}
    outcomes = {order.id: compared[order.id]["outcome"] for order in (right, wrong, held, untyped)}
    assert outcomes == {
        right.id: "same", wrong.id: "differs", held.id: "would_hold", untyped.id: "not_typed_yet"
    }, compared  # fmt: skip
    assert compared[wrong.id]["SalesOrderNo"] == numbers[wrong.id]
    differences = {
        one["field"]: (one["ItemCode"], one["ours"], one["theirs"]) for one in compared[wrong.id]["differences"]
    }
    assert differences == {"lines": ("LAMP-LED-01", "2", "3"), "total": ("", "448.98", "498.97")}
    folder = shop.sandbox.var / "reports" / json.loads(shown.stdout)["result"]["folder"]
    assert {file.name for file in folder.iterdir()} == {"orders.csv", "differences.csv", "summary.json"}
    assert wrong.id in (folder / "differences.csv").read_text("utf-8-sig")

    # Nothing was written by anything, and a run by hand that writes is refused.
    assert writes(shop) == []
    refused = by_hand(shop, "products", "--pair", "demo")
    assert refused.returncode == 2
    assert "shadow mode" in refused.stderr
    assert by_hand(shop, "golive", "--pair", "demo").returncode == 2
    assert shop.sandbox.rows("SELECT * FROM SO_SalesOrderHeader WHERE UDF_WEB_ORDER_ID <> ''") == []
    keep_history(shop.temporal_address, f"shadow-order-demo-{right.id}", "shadow_order")

    # One was shipped by people on both sides before the pair went live.
    by_people = ship(shop, numbers[right.id], "1Z 999")
    items = [{"orderItemId": right.items[0], "quantity": "1"}]
    entered = {"orderId": right.id, "externalReference": "desk", "trackingNumber": "1z999", "items": items}
    assert shop.sandbox.clarity("POST", "/api/v1/shipments", entered).status_code == 201

    write(shop.pairs_dir, mode="live")
    for words in CHILDREN:
        os.kill(pid_of(shop.temporal_address, *words), signal.SIGTERM)
    wait_until("the API is live", lambda: answers(f"{shop.api_url}/readyz"), 60)

    looked = by_hand(shop, "golive", "--pair", "demo", "--dry-run")
    assert "2 matched" in looked.stdout, (looked.stdout, looked.stderr)
    assert "2 unmatched" in looked.stdout
    file = tmp_path / "orders.csv"
    file.write_text(f"ClarityOrderID,SalesOrderNo\n{wrong.id},{int(numbers[wrong.id])}\n", "utf-8")
    done = by_hand(shop, "golive", "--pair", "demo", "--orders", str(file), "--yes")
    assert "2 orders are followed now" in done.stdout, (done.stdout, done.stderr)
    keep_history(shop.temporal_address, "golive-demo", "going_live")
    for order in (right, wrong):
        assert order.sales_order_no == numbers[order.id]
    (header,) = shop.sandbox.rows("SELECT * FROM SO_SalesOrderHeader WHERE UDF_WEB_ORDER_ID = ?", wrong.id)
    assert header["SalesOrderNo"] == numbers[wrong.id]

    assert "sage-poll-demo does not run" in done.stdout
    assert by_hand(shop, "schedules").returncode == 0
    paused = json.loads(temporal(shop, "schedule", "describe", "-s", "shadow-demo", "-o", "json"))["schedule"]["state"]
    assert (paused["paused"], paused["notes"]) == (True, "rests: the pair's mode is live")

    # What ships from now on flows, what the buyer was told already is not told again.
    invoice = ship(shop, numbers[wrong.id], "1Z777")
    wait_until("Clarity has the shipment", wrong.shipments, 60)
    (shipment,) = wrong.shipments()
    assert shipment["externalReference"].startswith(f"{numbers[wrong.id]}-{invoice}-")
    assert {item["orderItemId"] for item in shipment["items"]} == set(wrong.items)
    for number in (invoice, by_people):
        shop.sandbox.control("sage", "post", {"InvoiceNo": number})
    for order in (right, wrong):
        order.until_state("complete")
        assert order.at_clarity()["status"] == "Shipped"
    assert [one["externalReference"] for one in right.shipments()] == ["desk"]
    keep_history(shop.temporal_address, f"order-demo-{right.id}", "adopted")

    again = by_hand(shop, "golive", "--pair", "demo", "--yes")
    assert "nothing to take over" in again.stdout, again.stdout
    assert len(shop.sandbox.rows("SELECT * FROM SO_SalesOrderHeader WHERE CustomerPONo LIKE 'W-7%'")) <= 2
