"""A pair in shadow mode writes nothing, sees how people's orders differ, and goes live with the orders under way."""

import asyncio
import io
import json
import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError, RPCStatusCode

from mappings.problems import HoldReason
from mappings.shadow import ShadowOrder
from tests.e2e.conftest import QUICK, House, pairs_with_pace, running_house
from tests.e2e.temporal import temporal
from tests.support.histories import keep_history
from tests.support.http import HTTP
from tests.support.orders import PlacedOrder
from tests.support.processes import pid_of, wait_until
from workers.__main__ import build_parser, make_schedules
from workers.golive import run_golive
from workers.settings import load_settings
from workers.shadow import run_shadow

DESK = ("DESK-OAK-120", 1, "349.00")
LAMP = ("LAMP-LED-01", 2, "49.99")
UNKNOWN = ("NO-SUCH-SKU", 1, "1.00")
FLAGS = ("--no-orders", "--ship-after", "off", "--post-after", "off")
WORKERS = (("workers", "orders"), ("workers", "sage"))
WRITES_NOTHING = ("GET ", "POST /session", "POST /oauth/token", "POST /SO/SalesOrder/Preview")
OURS = ("UDF_WEB_ORDER_ID", "CustomerPONo")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house whose pair is in shadow mode, and goes live today."""
    folder = tmp_path_factory.mktemp("shadow")
    pairs = pairs_with_pace(folder / "pairs", **QUICK)
    write(pairs, mode="shadow", go_live=datetime.now(ZoneInfo("America/Chicago")).date())
    with running_house(folder, *FLAGS, environment={"PAIRS_DIR": str(pairs)}) as one:
        yield one


def write(pairs: Path, **keys: Any) -> None:
    file = pairs / "demo.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text("utf-8")) | keys, allow_unicode=True), "utf-8")


def placed(house: House, *items: tuple[str, int, str]) -> PlacedOrder:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return PlacedOrder(house.sandbox, house.api_url, *items, createdDate=now, updatedDate=now).check_out()


async def thoughts_of(house: House, orders: Iterable[PlacedOrder]) -> dict[str, ShadowOrder]:
    """What the integration would have done with each, once it knows."""
    client = await Client.connect(house.temporal_address, data_converter=pydantic_data_converter)
    thoughts = {}
    for order in orders:
        handle = client.get_workflow_handle(f"shadow-order-demo-{order.id}", result_type=ShadowOrder)
        async with asyncio.timeout(60):
            while True:
                try:
                    thoughts[order.id] = await handle.result()
                    break
                except RPCError as error:
                    # Its webhook is on the way.
                    assert error.status is RPCStatusCode.NOT_FOUND, error
                    await asyncio.sleep(0.2)
    return thoughts


def typed(house: House, thought: ShadowOrder, **quantities: str) -> str:
    """People type just what the integration would have created, but for quantities (by ItemCode); the SalesOrderNo."""
    assert thought.sales_order is not None
    order = {
        name: value
        for name, value in thought.sales_order.model_dump(mode="json").items()
        if value and name not in (*OURS, "extra", "Lines")
    }
    keep = {"ItemCode", "ItemType", "QuantityOrdered", "UnitPrice", "CommentText", "WarehouseCode"}
    lines = [line.model_dump(mode="json", include=keep) for line in thought.sales_order.Lines]
    for line in lines:
        line["QuantityOrdered"] = quantities.get(line["ItemCode"].replace("-", "_"), line["QuantityOrdered"])
    body = {**order, "CustomerPONo": thought.order_number, "Lines": lines}
    return str(house.sandbox.control("sage", "type_order", body)["SalesOrderNo"])


def by_hand(house: House, *arguments: str) -> tuple[int, str]:
    """Exit status and output of `python -m workers …`, in this process: each of its own costs seconds."""
    options = build_parser().parse_args(arguments)
    runs = {"shadow": run_shadow, "golive": run_golive}
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as output:
        patch.setenv("TEMPORAL_ADDRESS", house.temporal_address)
        patch.setenv("PAIRS_DIR", str(house.pairs_dir))
        patch.setenv("COLUMNS", "200")
        if options.command == "schedules":
            asyncio.run(make_schedules(load_settings()))
            return 0, output.getvalue()
        return asyncio.run(runs[options.command](options, load_settings())), output.getvalue()


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
    thoughts = asyncio.run(thoughts_of(shop, (right, wrong, held, untyped)))
    assert [hold.reason for hold in thoughts[held.id].holds] == [HoldReason.UNKNOWN_ITEM]
    assert not thoughts[right.id].holds
    assert thoughts[right.id].on_sage is not None
    numbers = {right.id: typed(shop, thoughts[right.id]), wrong.id: typed(shop, thoughts[wrong.id], LAMP_LED_01="3")}

    # The comparison: one as typed, one that differs, one that would wait, one that nobody typed.
    status, shown = by_hand(shop, "shadow", "--pair", "demo", "--format", "json")
    assert status == 1, shown
    compared = {one["order_id"]: one for one in json.loads(shown)["orders"]}
    outcomes = [compared[order.id]["outcome"] for order in (right, wrong, held, untyped)]
    assert outcomes == ["same", "differs", "would_hold", "not_typed_yet"], compared
    assert compared[wrong.id]["SalesOrderNo"] == numbers[wrong.id]
    differences = {
        one["field"]: (one["ItemCode"], one["ours"], one["theirs"]) for one in compared[wrong.id]["differences"]
    }
    assert differences == {"lines": ("LAMP-LED-01", "2", "3"), "total": ("", "448.98", "498.97")}
    folder = shop.sandbox.var / "reports" / json.loads(shown)["result"]["folder"]
    assert {file.name for file in folder.iterdir()} == {"orders.csv", "differences.csv", "summary.json"}
    assert wrong.id in (folder / "differences.csv").read_text("utf-8-sig")

    # Nothing was written by anything.
    assert writes(shop) == []
    assert shop.sandbox.rows("SELECT * FROM SO_SalesOrderHeader WHERE UDF_WEB_ORDER_ID <> ''") == []
    keep_history(shop.temporal_address, f"shadow-order-demo-{right.id}", "shadow_order")
    days = folder.name
    keep_history(shop.temporal_address, f"shadow-demo-{days}", "shadow_comparison")

    # One was shipped by people on both sides before the pair went live.
    by_people = ship(shop, numbers[right.id], "1Z 999")
    items = [{"orderItemId": right.items[0], "quantity": "1"}]
    entered = {"orderId": right.id, "externalReference": "desk", "trackingNumber": "1z999", "items": items}
    assert shop.sandbox.clarity("POST", "/api/v1/shipments", entered).status_code == 201

    write(shop.pairs_dir, mode="live")
    for words in WORKERS:
        os.kill(pid_of(shop.temporal_address, *words), signal.SIGTERM)
    file = tmp_path / "orders.csv"
    file.write_text(f"ClarityOrderID,SalesOrderNo\n{wrong.id},{int(numbers[wrong.id])}\n", "utf-8")
    _, done = by_hand(shop, "golive", "--pair", "demo", "--orders", str(file), "--yes")
    assert "2 matched, 2 unmatched" in done, done
    assert "Followed now: 2" in done, done
    assert "sage-poll-demo does not run" in done
    by_hand(shop, "schedules")
    resting = json.loads(temporal(shop, "schedule", "describe", "-s", "shadow-demo", "-o", "json"))["schedule"]["state"]
    assert (resting["paused"], resting["notes"]) == (True, "rests: the pair's mode is live")
    for order in (right, wrong):
        assert order.sales_order_no == numbers[order.id]
    (header,) = shop.sandbox.rows("SELECT * FROM SO_SalesOrderHeader WHERE UDF_WEB_ORDER_ID = ?", wrong.id)
    assert header["SalesOrderNo"] == numbers[wrong.id]

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
    keep_history(shop.temporal_address, "golive-demo", "going_live")

    _, again = by_hand(shop, "golive", "--pair", "demo", "--yes")
    assert "nothing to take over" in again, again
    assert "2 unmatched" in again, again

    # And back: the Schedules change places again, and keep what they remember.
    write(shop.pairs_dir, mode="shadow")
    by_hand(shop, "schedules")
    listed = json.loads(temporal(shop, "schedule", "list", "-o", "json"))
    resting_now = {one["scheduleId"] for one in listed if one["info"].get("paused")}
    assert resting_now == {"sage-poll-demo", "reconcile-demo", "receipts-demo"}
