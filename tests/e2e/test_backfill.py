"""Webhooks that never come: everything is caught up by backfill, once, and people are told of the gap."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from temporalio.client import Client

from tests.e2e.conftest import QUICK, House, pairs_with_pace, running_house
from tests.e2e.temporal import history, temporal
from tests.support.histories import keep_history
from tests.support.http import HTTP
from tests.support.orders import PlacedOrder
from tests.support.processes import ROOT, pid_of, wait_until

DESK = ("DESK-OAK-120", 1, "349.00")
LAMP = ("LAMP-LED-01", 2, "49.99")
UNKNOWN = ("NO-SUCH-SKU", 1, "1.00")
PACE = QUICK | {"backfill_interval": 2, "backfill_overlap": 6, "webhook_grace": 1, "poll_heartbeat_timeout": 3}
PACE |= {"shift_length": 20}
"""Shifts of poller and watch follow each other within the time of the tests."""
FLAGS = ("--no-orders", "--ship-after", "0.5", "--post-after", "1")


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house that looks at Clarity's list every two seconds, two orders a page."""
    folder = tmp_path_factory.mktemp("backfill")
    pairs = pairs_with_pace(folder / "pairs", **PACE)
    file = pairs / "demo.yaml"
    content = yaml.safe_load(file.read_text("utf-8"))
    content["clarity"]["paging"]["page_size"] = 2
    file.write_text(yaml.safe_dump(content, allow_unicode=True), "utf-8")
    with running_house(folder, *FLAGS, environment={"PAIRS_DIR": str(pairs)}) as one:
        yield one


@pytest.fixture(autouse=True)
def _webhooks_come_again(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "quick" in request.fixturenames:
        drop(request.getfixturevalue("quick"), 0)


def drop(house: House, share: float = 1) -> None:
    house.sandbox.control("clarity", "webhooks/drop", {"share": share})


def change(house: House, order: PlacedOrder, type_: str = "order.updated", **fields: Any) -> None:
    house.sandbox.control("clarity", "orders/change", {"orderId": order.id, "change": fields, "type": type_})


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def placed(house: House, *items: tuple[str, int, str], **fields: Any) -> PlacedOrder:
    stamps = {"createdDate": now(), "updatedDate": now(), **fields}
    return PlacedOrder(house.sandbox, house.api_url, *items, **stamps).check_out()


def in_sage(house: House, order: PlacedOrder) -> list[str]:
    """Sales orders with this web order id, live and in history, by Sage's own tables."""
    tables = ("SO_SalesOrderHeader", "SO_SalesOrderHistoryHeader")
    found = {
        row["SalesOrderNo"]
        for table in tables
        for row in house.sandbox.rows(f"SELECT SalesOrderNo FROM {table} WHERE UDF_WEB_ORDER_ID = ?", order.id)
    }
    return sorted(found)


def alerts(house: House) -> str:
    """What people were told of gaps."""
    files = (house.sandbox.var / "log").glob("workers*.log")
    lines = [line for file in files for line in file.read_text("utf-8").splitlines()]
    return "\n".join(line for line in lines if "whose webhook never came" in line)


def by_hand(house: House, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ, "TEMPORAL_ADDRESS": house.temporal_address, "PAIRS_DIR": str(house.pairs_dir), "COLUMNS": "200"
    }  # fmt: skip
    command = [sys.executable, "-m", "workers", "backfill", "--pair", "demo", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)


def letters(house: House, order_id: str, reason: str = "") -> list[str]:
    """Ids of the open dead letters about an order; with `reason` only those."""
    return asyncio.run(_letters(house.temporal_address, order_id, reason))


async def _letters(address: str, order_id: str, reason: str) -> list[str]:
    client = await Client.connect(address)
    found = []
    async for run in client.list_workflows("WorkflowType='DeadLetterWorkflow' AND ExecutionStatus='Running'"):
        event = await client.get_workflow_handle(run.id).query("event")
        if str(event["body"].get("data", {}).get("id")) == order_id and reason in ("", event["reason"]):
            found.append(run.id)
    return found


def test_orders_whose_webhooks_are_dropped_reach_sage_once_and_people_are_told(quick: House) -> None:
    drop(quick)
    orders = [placed(quick, DESK, LAMP) for _ in range(5)]
    for order in orders:
        order.until_state("complete")
        assert len(in_sage(quick, order)) == 1
        assert order.at_clarity()["status"] == "Shipped"
    wait_until("the gap is told", lambda: all(order.id in alerts(quick) for order in orders), 30)


def test_an_order_changed_before_any_webhook_came_is_created_as_it_is_now(quick: House) -> None:
    drop(quick)
    order = placed(quick, DESK)
    item = {**order.event["data"]["items"][0], "quantity": 2}
    totals = {"items": "698.00", "discount": 0, "shipping": 0, "tax": 0, "fees": 0, "grand": "698.00"}
    payments = [{**order.event["data"]["payments"][0], "amount": "698.00"}]
    change(quick, order, items=[item], totals=totals, payments=payments)
    order.until_state("complete")
    assert {name: int(quantity) for name, quantity in order.told().items()} == {"1": 2}


def test_a_missed_update_of_a_held_order_is_caught_up(quick: House) -> None:
    order = placed(quick, UNKNOWN)
    assert order.until_state("held")["hold"]["reason"] == "unknown_item"
    drop(quick)
    item = {**order.event["data"]["items"][0], "sku": "LAMP-LED-01", "unitPrice": "49.99"}
    totals = {"items": "49.99", "discount": 0, "shipping": 0, "tax": 0, "fees": 0, "grand": "49.99"}
    payments = [{**order.event["data"]["payments"][0], "amount": "49.99"}]
    change(quick, order, items=[item], totals=totals, payments=payments)
    order.until_state("complete")
    assert len(in_sage(quick, order)) == 1


def test_a_missed_cancellation_is_caught_up_and_one_of_an_unknown_order_starts_nothing(quick: House) -> None:
    held = placed(quick, UNKNOWN)
    held.until_state("held")
    drop(quick)
    unknown = placed(quick, DESK, status="Cancelled")
    change(quick, held, "order.cancelled", status="Cancelled")
    held.until_state("cancelled")
    assert unknown.view() == {}
    assert in_sage(quick, unknown) == []
    keep_history(quick.temporal_address, f"order-demo-{held.id}", "cancelled_at_clarity_before_creation")


def held_in_sage(house: House, *items: tuple[str, int, str]) -> PlacedOrder:
    """An order that stands in Sage and is held: Clarity has refused its shipment once."""
    order = PlacedOrder(house.sandbox, house.api_url, *items, createdDate=now(), updatedDate=now())
    house.sandbox.fault("clarity", "POST /api/v1/shipments", "refused", contains=f'"{order.id}"')
    order.check_out()
    assert order.until_state("held")["hold"]["reason"] == "rejected_by_clarity"
    return order


def test_a_missed_cancellation_of_an_order_that_has_shipped_ends_nothing_and_is_asked_about(quick: House) -> None:
    order = held_in_sage(quick, DESK)
    drop(quick)
    change(quick, order, "order.cancelled", status="Cancelled")

    def asked() -> bool:
        hold = order.view().get("hold") or {}
        return hold.get("reason") == "order_changed" and "is cancelled at Clarity" in hold["problems"][0]["message"]

    wait_until("people are asked", asked, 30)
    assert len(in_sage(quick, order)) == 1


def summary_of(event: dict[str, Any]) -> str:
    """What the timeline shows of an event."""
    data: str = event["userMetadata"]["summary"]["data"]
    return b64decode(data).decode()


def test_a_terminated_order_is_one_dead_letter_and_force_takes_its_sales_order_up(quick: House) -> None:
    """Nothing starts it again by itself: somebody ended it on purpose."""
    order = held_in_sage(quick, LAMP)
    [number] = in_sage(quick, order)
    temporal(quick, "workflow", "terminate", "-w", f"order-demo-{order.id}", "--reason", "a test")
    [letter] = wait_until("backfill shows it", lambda: letters(quick, order.id), 30)
    runs = schedule_runs(quick)
    wait_until("two more windows passed", lambda: schedule_runs(quick) >= runs + 2, 60)
    assert letters(quick, order.id) == [letter]
    assert order.at_clarity()["status"] == "Processing"
    shown = by_hand(quick, "--ids", order.id, "--force", "--reason", "Ann: it was ended by mistake")
    assert shown.returncode == 0, (shown.stdout, shown.stderr)
    view = order.until_state("complete")
    assert (view["sales_order_no"], in_sage(quick, order)) == (number, [number])
    assert any("Ann: it was ended by mistake" in entry["what"] for entry in view["trail"])
    assert len(order.shipments()) == 1
    keep_history(quick.temporal_address, f"order-demo-{order.id}", "started_again_after_termination")
    keep_history(quick.temporal_address, letter, "dead_letter_order_ended")


def test_a_missed_change_of_a_completed_order_is_one_dead_letter(quick: House) -> None:
    order = placed(quick, LAMP)
    order.until_state("complete")
    drop(quick)
    change(quick, order, notes="please call first")
    first = wait_until("it is a dead letter", lambda: letters(quick, order.id), 30)
    runs = schedule_runs(quick)
    wait_until("three more windows passed", lambda: schedule_runs(quick) >= runs + 3, 60)
    drop(quick, 0)
    quick.sandbox.control("clarity", "webhooks", {"orderId": order.id, "type": "order.updated"})
    wait_until("its webhook came late", lambda: delivered(quick, order.id), 30)
    assert letters(quick, order.id) == first
    assert len(first) == 1
    page = temporal(quick, "workflow", "metadata", "-w", first[0], "-o", "json")
    assert "sent another version of it" in page
    assert "--name replay" in page


def delivered(house: House, order_id: str) -> bool:
    """Whether the last delivery about an order was answered."""
    entries = HTTP.get(f"{house.sandbox.clarity_url}/_control/webhooks", timeout=20).json()["deliveries"]
    last = [entry for entry in entries if entry["orderId"] == order_id][-1]
    return bool(last["done"]) and not last["dropped"]


def schedule_runs(house: House) -> int:
    """Runs that the Schedule has started."""
    described = json.loads(temporal(house, "schedule", "describe", "-s", "backfill-demo", "-o", "json"))
    return int(described["info"]["actionCount"])


def test_overlapping_windows_add_nothing_to_the_history_of_a_running_order(quick: House) -> None:
    order = placed(quick, UNKNOWN)
    order.until_state("held")
    change(quick, order, notes="the second version")
    wait_until("it looked again", lambda: (order.view().get("hold") or {}).get("hold") == 2, 30)
    events = len(history(quick, f"order-demo-{order.id}"))
    runs = schedule_runs(quick)
    wait_until("three windows passed", lambda: schedule_runs(quick) >= runs + 3, 60)
    assert len(history(quick, f"order-demo-{order.id}")) == events


def test_orders_before_go_live_are_ignored_and_those_with_a_reference_need_force(quick: House) -> None:
    drop(quick)
    old = placed(quick, DESK, createdDate="2020-01-01T00:00:00Z")
    referenced = placed(quick, DESK, externalReference="0009999")
    shown = by_hand(quick, "--ids", old.id, referenced.id, "no-such-order")
    assert shown.returncode == 1, shown.stderr
    assert "1 ignored" in shown.stdout
    assert "1 need force" in shown.stdout
    assert "1 not at Clarity" in shown.stdout
    assert referenced.view() == {}
    url = f"{quick.api_url}/orders/demo/{referenced.id}/restart"
    assert HTTP.post(url, json={"force": True}, timeout=20).status_code == 422
    answer = HTTP.post(url, json={"force": True, "reason": "Ann: not in Sage, looked"}, timeout=20)
    assert answer.status_code == 200, answer.text
    view = referenced.until_state("open", "shipped", "complete")
    assert any("Ann: not in Sage, looked" in entry["what"] for entry in view["trail"])
    assert len(in_sage(quick, referenced)) == 1


def test_a_range_by_hand_takes_in_what_lies_in_it(quick: House) -> None:
    drop(quick)
    order = placed(quick, LAMP, createdDate="2026-09-01T12:00:00Z", updatedDate="2026-09-01T12:00:00Z")
    later = placed(quick, UNKNOWN, createdDate="2026-09-03T12:00:00Z", updatedDate="2026-09-03T12:00:00Z")
    shown = by_hand(quick, "--from", "2026-08-31", "--to", "2026-09-01")
    assert shown.returncode == 0, (shown.stdout, shown.stderr)
    assert "backfill-demo-2026-08-31 started" in shown.stdout
    assert "1 started" in shown.stdout
    order.until_state("complete")
    assert later.view() == {}
    keep_history(quick.temporal_address, "backfill-demo-2026-08-31", "backfill_by_hand")


def test_429s_on_the_list_are_waited_out_as_told(quick: House) -> None:
    drop(quick)
    quick.sandbox.fault("clarity", "GET /api/v1/orders", "429", times=2, retry_after=2)
    begun = time.monotonic()
    order = placed(quick, LAMP)
    order.until_state("complete")
    assert quick.sandbox.pending_faults("clarity") == 0
    assert time.monotonic() - begun >= 2


def test_a_worker_killed_in_mid_page_loses_and_doubles_nothing(quick: House) -> None:
    drop(quick)
    stamp = {"createdDate": "2026-10-01T12:00:00Z", "updatedDate": "2026-10-01T12:00:00Z"}
    orders = [placed(quick, LAMP, **stamp) for _ in range(7)]
    quick.sandbox.fault("clarity", "GET /api/v1/orders", "slow", times=3, seconds=3, contains="2026-09-30")
    shown = subprocess.Popen(
        [sys.executable, "-m", "workers", "backfill", "--pair", "demo", "--from", "2026-09-30", "--to", "2026-10-02"],
        cwd=ROOT,
        env={**os.environ, "TEMPORAL_ADDRESS": quick.temporal_address, "PAIRS_DIR": str(quick.pairs_dir)},
    )
    wait_until("the first orders are taken in", orders[0].view, 60)
    os.kill(pid_of(quick.temporal_address, "workers", "clarity"), signal.SIGKILL)
    assert shown.wait(120) == 0
    for order in orders:
        order.until_state("complete")
        assert len(in_sage(quick, order)) == 1


def test_a_dead_letter_is_replayed_after_correction(quick: House) -> None:
    order = PlacedOrder(quick.sandbox, quick.api_url, LAMP)
    right, order.event["data"]["id"] = order.id, "no order id"
    order.check_out()
    letter = wait_until("it is a dead letter", lambda: letters(quick, "no order id"), 30)[0]
    answer = subprocess.run(
        [str(Path(sys.executable).parent / "temporal"), "workflow", "update", "execute", "-w", letter, "--name",
         "replay", "--input", json.dumps({"by": "Ann", "correction": {"data": {"id": right}}}),
         "--address", quick.temporal_address],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    wait_until("Sage has the order", lambda: in_sage(quick, order), 60)
    wait_until("the letter is closed", lambda: not letters(quick, "no order id"), 30)
    keep_history(quick.temporal_address, letter, "dead_letter_replayed")


def test_a_webhook_of_an_order_that_was_here_before_waits_for_a_person(quick: House) -> None:
    order = placed(quick, LAMP, externalReference="0008888")
    letter = wait_until("it is a dead letter", lambda: letters(quick, order.id), 30)[0]
    assert order.view() == {}
    forced = json.dumps({"by": "Ann", "force": True, "note": "not in Sage, looked"})
    temporal(quick, "workflow", "update", "execute", "-w", letter, "--name", "replay", "--input", forced)
    view = order.until_state("open", "shipped", "complete")
    assert any("not in Sage, looked" in entry["what"] for entry in view["trail"])
    assert len(in_sage(quick, order)) == 1


def test_shifts_of_poller_and_watch_and_windows_of_backfill_take_up_where_the_last_one_ended(quick: House) -> None:
    for type_, name in (
        ("SagePollWorkflow", "poll_shift"),
        ("WatchWorkflow", "watch_shift"),
        ("OrderBackfillWorkflow", "backfill_window"),
    ):
        workflow_id, run_id = wait_until(f"a second {type_} ended", partial(second_run, quick, type_), 90)
        keep_history(quick.temporal_address, workflow_id, name, run_id)
    keep_history(quick.temporal_address, "alerts-demo", "alerts")


def second_run(house: House, type_: str) -> list[str]:
    """Workflow and run id of a complete scheduled run that took up what the one before handed over; empty without."""
    query = f"WorkflowType='{type_}' AND ExecutionStatus='Completed' AND TemporalScheduledById IS NOT NULL"
    for run in json.loads(temporal(house, "workflow", "list", "--query", query, "--limit", "20", "-o", "json") or "[]"):
        workflow_id, run_id = run["execution"]["workflowId"], run["execution"]["runId"]
        shown = temporal(house, "workflow", "show", "-w", workflow_id, "--run-id", run_id, "-o", "json")
        started = json.loads(shown)["events"][0]["workflowExecutionStartedEventAttributes"]
        if started.get("lastCompletionResult"):
            return [workflow_id, run_id]
    return []


def test_the_other_release_pages_by_other_names_and_is_caught_up_too(tmp_path: Path) -> None:
    pairs = pairs_with_pace(tmp_path / "pairs", **PACE)
    content = yaml.safe_load((pairs / "demo.yaml").read_text("utf-8"))
    content["clarity"] = yaml.safe_load((ROOT / "tests/connectors/profiles/module_entity.yaml").read_text("utf-8"))
    content["clarity"]["paging"]["page_size"] = 2
    (pairs / "demo.yaml").write_text(yaml.safe_dump(content, allow_unicode=True), "utf-8")
    environment = {"PAIRS_DIR": str(pairs), "SANDBOX_CLARITY_DIALECT": "module_entity"}
    with running_house(tmp_path, *FLAGS, environment=environment) as house:
        known = placed(house, UNKNOWN)
        known.until_state("held")
        drop(house)
        orders = [placed(house, LAMP) for _ in range(3)]
        change(house, known, "order.cancelled", status="Cancelled")
        for order in orders:
            order.until_state("complete")
            assert len(in_sage(house, order)) == 1
        known.until_state("cancelled")
