"""Alerts with everything real: orders that are held, terminated and stuck, and a web hook that takes the messages."""

import http.client
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import QUICK, House, pairs_with_pace, running_house
from tests.e2e.temporal import history, temporal
from tests.support.histories import keep_history
from tests.support.http import HTTP
from tests.support.orders import PlacedOrder
from tests.support.processes import free_ports, running, wait_until
from tests.support.sizes import LARGE
from tests.support.web_hook import WebHook, web_hook

LAMP = ("LAMP-LED-01", 1, "49.99")
GROUP = 30.0
HELD = 100 if LARGE else 30
"""Seconds, as in production: a hundred orders are checked out and held within them on a busy machine, too."""
DAY = 8
"""Seconds between two looks at Sage of an order that waits."""


@pytest.fixture(scope="module")
def hook() -> Iterator[WebHook]:
    with web_hook() as one:
        yield one


@pytest.fixture(scope="module")
def alerting(tmp_path_factory: pytest.TempPathFactory, hook: WebHook) -> Iterator[House]:
    """A house with a target that works and one where nobody listens."""
    folder = tmp_path_factory.mktemp("alerting")
    pace = {**QUICK, "alert_group": GROUP, "watch_interval": 1, "daily_read": DAY}
    pairs = pairs_with_pace(folder / "pairs", **pace)
    broken = f"json://me:hunter2pass@127.0.0.1:{free_ports(1)[0]}/s3cr3t-t0ken"
    environment = {
        "PAIRS_DIR": str(pairs),
        "DEMO_ALERT_TARGETS_HIGH": hook.address,
        "DEMO_ALERT_TARGETS_WARNING": f"{broken} {hook.address}",
    }
    flags = ("--no-orders", "--ship-after", "0.5", "--post-after", "1")
    with running_house(folder, *flags, environment=environment) as one:
        yield one


def came(hook: WebHook, beginning: str) -> list[str]:
    """Titles of the messages that begin so."""
    return [title for title in hook.titles() if title.startswith(beginning)]


def body_of(hook: WebHook, title: str) -> str:
    return next(str(message["message"]) for message in hook.messages if message["title"] == title)


def alert_log(house: House) -> str:
    return (house.sandbox.var / "log" / "workers.log").read_text("utf-8")


def send_too_much(house: House) -> int:
    """Announce a body over 1 MB, unsigned; the status of the answer."""
    connection = http.client.HTTPConnection(house.api_url.removeprefix("http://"), timeout=20)
    try:
        connection.putrequest("POST", "/webhooks/clarity/demo")
        connection.putheader("Content-Length", "1048577")
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


def test_many_holds_are_one_message_although_another_target_is_broken(alerting: House, hook: WebHook) -> None:
    assert {send_too_much(alerting) for _ in range(50)} == {413}
    orders = [PlacedOrder(alerting.sandbox, alerting.api_url, ("NO-SUCH-SKU", 1, "10.00")) for _ in range(HELD)]
    with ThreadPoolExecutor(8) as buyers:
        list(buyers.map(PlacedOrder.check_out, orders))
    wait_until("the message came", lambda: came(hook, f"[demo] {HELD} orders"), 120)
    title = f"[demo] {HELD} orders are held: unknown_item"
    assert came(hook, f"[demo] {HELD} orders") == [title]
    body = body_of(hook, title)
    assert "HoldReason='unknown_item' AND ExecutionStatus='Running'" in body
    assert any(f"order-demo-{order.id}" in body for order in orders)
    assert f"… and {HELD - 5} more" in body
    assert "Gonzales" not in body
    assert "example.com" not in body
    # Fifty bodies over 1 MB, from whomever, are one alert of this hour.
    refused = "[demo] 1 kind of webhook is refused"
    wait_until("the refused webhooks are told", lambda: came(hook, refused), 60)
    assert came(hook, refused) == [refused]
    assert "1 refused: larger than 1 MB" in body_of(hook, refused)
    # The broken one is told once through the one that works, and no order waited for it.
    down = "[demo] 1 target of alerts does not work"
    wait_until("the broken target is told", lambda: came(hook, down), 60)
    good = PlacedOrder(alerting.sandbox, alerting.api_url, LAMP).check_out()
    good.until_state("complete")
    keep_history(alerting.temporal_address, f"order-demo-{good.id}", "plain_without_a_timer")
    assert came(hook, down) == [down]
    for secret in ("hunter2pass", "s3cr3t-t0ken"):
        assert secret not in alert_log(alerting) + body_of(hook, down)
        assert secret not in temporal(alerting, "workflow", "show", "-w", "alerts-demo", "-o", "json")


def test_a_terminated_order_is_told_once_and_its_restart_takes_up_its_sales_order(
    alerting: House, hook: WebHook
) -> None:
    """The alert says the command; the order stands in Sage already, and is never created twice."""
    order = PlacedOrder(alerting.sandbox, alerting.api_url, LAMP)
    alerting.sandbox.fault("clarity", "POST /api/v1/shipments", "refused", contains=f'"{order.id}"')
    order.check_out()
    number = order.until_state("held")["sales_order_no"]
    temporal(alerting, "workflow", "terminate", "-w", f"order-demo-{order.id}", "--reason", "by mistake")
    title = "[demo] 1 order ended without being completed"
    wait_until("the message came", lambda: came(hook, title), 60)
    body = body_of(hook, title)
    assert f"POST /orders/demo/{order.id}/restart" in body
    assert HTTP.post(f"{alerting.api_url}/orders/demo/{order.id}/restart", timeout=20).status_code == 200
    assert order.until_state("complete")["sales_order_no"] == number
    stored = alerting.sandbox.rows(
        "SELECT SalesOrderNo FROM SO_SalesOrderHistoryHeader WHERE UDF_WEB_ORDER_ID = ?", order.id
    )
    assert [row["SalesOrderNo"] for row in stored] == [number]
    assert len(order.shipments()) == 1
    # The watch has looked many times since: still one.
    assert alert_log(alerting).count(f"start it again: POST /orders/demo/{order.id}/restart") == 1
    assert came(hook, title) == [title]


def test_failing_workflow_tasks_are_told_within_a_minute(alerting: House, hook: WebHook) -> None:
    temporal(
        alerting,
        *("workflow", "start", "--type", "OrderFulfillmentWorkflow", "-w", "order-demo-stuck", "-t", "orders"),
        *("--input", json.dumps({"not": "an order"}), "--search-attribute", 'Pair="demo"'),
    )
    title = "[demo] 1 workflow stands still: its code fails"
    wait_until("the message came", lambda: came(hook, title), 60)
    assert came(hook, title) == [title]
    message = next(one for one in hook.messages if one["title"] == title)
    assert message["type"] == "failure"
    assert "order-demo-stuck" in message["message"]
    temporal(alerting, "workflow", "terminate", "-w", "order-demo-stuck", "--reason", "the test is over")


def test_an_order_of_which_no_signal_comes_is_asked_by_the_watch_and_looks_at_sage_itself(alerting: House) -> None:
    """The poller is paused: what it would tell is read by the order (design 6), which has no timer of its own."""
    poller = ("schedule", "toggle", "-s", "sage-poll-demo", "--reason", "a test")
    shift = "WorkflowType='SagePollWorkflow' AND ExecutionStatus='Running'"

    def shifts() -> int:
        return len(json.loads(temporal(alerting, "workflow", "list", "--query", shift, "-o", "json") or "[]"))

    wait_until("the shift is listed", lambda: shifts() == 1, 60)
    temporal(alerting, *poller, "--pause")
    try:
        temporal(alerting, "workflow", "cancel", "--query", shift, "--reason", "a test", "--yes")
        wait_until("nobody polls", lambda: shifts() == 0, 60)
        order = PlacedOrder(alerting.sandbox, alerting.api_url, LAMP).check_out()
        order.until_state("complete", deadline=120)
        order.audit()
    finally:
        temporal(alerting, *poller, "--unpause")
    events = history(alerting, f"order-demo-{order.id}")
    signals = [event["workflowExecutionSignaledEventAttributes"]["signalName"] for event in events if signalled(event)]
    assert set(signals) == {"look_at_sage"}
    assert not [event for event in events if event["eventType"] == "EVENT_TYPE_TIMER_STARTED"]
    keep_history(alerting.temporal_address, f"order-demo-{order.id}", "asked_by_the_watch")


def signalled(event: dict[str, Any]) -> bool:
    return bool(event["eventType"] == "EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED")


def test_a_paused_watch_stays_paused_when_schedules_are_updated(alerting: House, tmp_path: Path) -> None:
    temporal(alerting, "schedule", "toggle", "-s", "watch-demo", "--pause", "--reason", "maintenance")
    settings = {"TEMPORAL_ADDRESS": alerting.temporal_address, "PAIRS_DIR": str(alerting.pairs_dir)}
    with running(["workers", "schedules"], tmp_path / "schedules.log", settings) as update:
        assert update.wait(60) == 0
    shown = json.loads(temporal(alerting, "schedule", "describe", "-s", "watch-demo", "-o", "json"))
    assert shown["schedule"]["state"] == {"notes": "maintenance", "paused": True}
