"""Many orders wait: who goes first, that nobody hammers, and that one store's crowd does not stop another's.

Every process is real. `make test` sends some dozens of orders, `make test-all` a thousand, on a clock scaled by `pace`.
"""

import asyncio
import base64
import os
import signal
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from temporalio.client import Client, WorkflowExecutionStatus

from tests.e2e.conftest import QUICK, House, pairs_with_pace, running_house
from tests.e2e.test_outages import alerts_of, calls_of
from tests.support.histories import keep_history
from tests.support.http import HTTP
from tests.support.orders import PlacedOrder
from tests.support.processes import free_ports, pid_of, wait_until
from tests.support.sandbox import Sandbox, running_sandbox
from tests.support.sizes import LARGE
from workers.gate import NOT_CALLED

PEN = ("PEN-GEL-BLU", 1, "1.25")
NEXT_DAY: dict[str, Any] = {"shipping": {"method": "Next Day Air", "carrier": "UPS", "amount": 0, "tax": 0}}

ORDERS = 1_000 if LARGE else 40
AT_THE_GATEWAY = ORDERS // 10
"""So many have looked Sage up when ODBC goes away, too; the others wait for their look."""
EXPEDITED = ORDERS // 20
"""The last ones to come."""
SCALE = 12 if LARGE else 60
"""One second of the test is so many of production's `pace`."""
OUTAGE = 30 * 60 / SCALE
PROBE = 15 / SCALE
PACE = {
    **QUICK,
    "poll_interval": 1,
    "quiet_interval": 1,
    "rotation": 30,
    "daily_read": 7_200,
    "backfill_interval": 7_200,
    "probe_interval": PROBE,
    "outage_alert": 600 / SCALE,
    "outage_reminder": 3_600 / SCALE,
    "retry_initial": 5 / SCALE,
    "retry_maximum": 300 / SCALE,
}
TO_CLOSE = 3
WRITE_SLOTS, READ_SLOTS = 2, 20


def most_calls(seconds: float) -> float:
    """Of the gateway, by one worker process, in an outage of this length, however many orders wait.

    A gate closes at the third failure in a row; by then each other slot of the queue may have begun a step, too. A step
    fails at its first call, be it the sign-in. No step begins at a closed gate; a probe per interval makes one call.
    """
    return TO_CLOSE + WRITE_SLOTS - 1 + seconds / PROBE + 1


MOST_LOOKS = TO_CLOSE + READ_SLOTS - 1
"""Likewise for ODBC: steps that fail; its probes stand in no log."""
WITHIN = 120 + 2 * ORDERS
"""Seconds for all of them on a busy machine; nothing is promised about speed."""


async def _running(address: str, pair: str) -> int:
    client = await Client.connect(address)
    kind = f"WorkflowType='OrderFulfillmentWorkflow' AND Pair='{pair}'"
    return (await client.count_workflows(f"{kind} AND ExecutionStatus='Running'")).count


def running_orders(house: House, pair: str = "demo") -> int:
    return asyncio.run(_running(house.temporal_address, pair))


async def _completed(address: str, pair: str) -> list[tuple[float, str]]:
    client, ended = await Client.connect(address), []
    query = f"WorkflowType='OrderFulfillmentWorkflow' AND Pair='{pair}' AND ExecutionStatus='Completed'"
    async for one in client.list_workflows(query):
        assert one.status is WorkflowExecutionStatus.COMPLETED
        assert one.close_time is not None
        ended.append((one.close_time.timestamp(), one.id.removeprefix(f"order-{pair}-")))
    return sorted(ended)


def completed_orders(house: House, pair: str = "demo") -> list[str]:
    """Ids of the completed orders, the first to be completed first."""
    return [order_id for _, order_id in asyncio.run(_completed(house.temporal_address, pair))]


async def _failed_looks(address: str, order_ids: Iterable[str]) -> int:
    """Attempts at `read_sage_facts` that called and failed, as the orders' histories say.

    What was handed to a worker that just stopped polling never began: it ends by its time limit.
    """
    client, failed = await Client.connect(address), 0
    for order_id in order_ids:
        history = await client.get_workflow_handle(f"order-demo-{order_id}").fetch_history()
        looks = {
            event.event_id
            for event in history.events
            if event.activity_task_scheduled_event_attributes.activity_type.name == "read_sage_facts"
        }
        for event in history.events:
            begun = event.activity_task_started_event_attributes
            if begun.scheduled_event_id in looks:
                last = begun.last_failure
                not_called = last.message.startswith(NOT_CALLED) or last.HasField("timeout_failure_info")
                failed += begun.attempt - 1 - not_called
    return failed


def by_acknowledgement(calls: Iterable[dict[str, Any]], order_ids: set[str]) -> list[str]:
    """Order ids as Clarity heard that their sales orders stand in Sage."""
    told = (one["call"].removeprefix("PATCH /api/v1/orders/") for one in calls if not one["fault"])
    return [order_id for order_id in dict.fromkeys(told) if order_id in order_ids]


def check_out(orders: Iterable[PlacedOrder]) -> None:
    with ThreadPoolExecutor(4) as buyers:
        list(buyers.map(PlacedOrder.check_out, orders))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    pairs = pairs_with_pace(tmp_path / "pairs", **PACE)
    flags = ("--no-orders", "--ship-after", "1", "--post-after", "2")
    with running_house(tmp_path, *flags, environment={"PAIRS_DIR": str(pairs)}) as one:
        yield one


def gate_log(house: House, words: str) -> int:
    return (house.sandbox.var / "log" / "workers-sage.log").read_text().count(words)


def test_orders_wait_out_half_an_hour_without_sage_and_expedited_ones_go_first(house: House) -> None:
    """Sage's server is away: its gateway, and soon its ODBC. Orders wait at both; the expedited ones come last.

    Calls stay below `most_calls` and `MOST_LOOKS`, however many orders wait; people get one alert and one all-clear;
    every order is completed; the expedited ones are among the first fifth to stand in Sage, and to be completed (of few
    orders: the first half).
    """
    PlacedOrder(house.sandbox, house.api_url, PEN).check_out()
    wait_until("an order of a good day is completed", lambda: completed_orders(house), 120)
    new = [PlacedOrder(house.sandbox, house.api_url, PEN) for _ in range(ORDERS - EXPEDITED)]
    expedited = [PlacedOrder(house.sandbox, house.api_url, PEN, **NEXT_DAY) for _ in range(EXPEDITED)]
    began = time.monotonic()
    house.sandbox.fault("sage", "*", "maintenance", seconds=600)
    check_out(new[:AT_THE_GATEWAY])
    wait_until("the gateway's gate is closed", lambda: gate_log(house, "gate of sage of pair demo closes"), 60)
    house.sandbox.fault("sage", "ODBC", "file_missing", seconds=600)
    check_out([*new[AT_THE_GATEWAY:], *expedited])
    wait_until("the gate of ODBC is closed", lambda: gate_log(house, "gate of odbc of pair demo closes"), 60)
    wait_until("every order waits", lambda: running_orders(house) == ORDERS, 300)
    wait_until("half an hour has passed", lambda: time.monotonic() - began >= OUTAGE, OUTAGE + 1)
    wait_until("people are told", lambda: alerts_of(house, "HIGH: "), 60)
    assert len(completed_orders(house)) == 1
    house.sandbox.end_faults("sage")
    lasted = time.monotonic() - began
    wait_until("every order is completed", lambda: len(completed_orders(house)) == 1 + ORDERS, WITHIN)
    took = time.monotonic() - began - lasted

    order_ids, first = {order.id for order in [*new, *expedited]}, {order.id for order in expedited}
    during = [one for one in calls_of(house, "sage") if one["fault"] == "maintenance"]
    looks = asyncio.run(_failed_looks(house.temporal_address, order_ids))
    open_in_order = by_acknowledgement(calls_of(house, "clarity"), order_ids)
    in_order = completed_orders(house)[1:]
    last_open = max(open_in_order.index(order_id) for order_id in first) + 1
    last_completed = max(in_order.index(order_id) for order_id in first) + 1
    print(
        f"{ORDERS} orders, {EXPEDITED} expedited, out for {lasted:.0f} s: {len(during)} calls (at most "
        f"{most_calls(lasted):.0f}), {looks} looks by ODBC (at most {MOST_LOOKS}); all completed after {took:.0f} s; "
        f"the last expedited one was number {last_open} in Sage, number {last_completed} to be completed"
    )
    assert len(during) <= most_calls(lasted), [one["call"] for one in during]
    assert looks <= MOST_LOOKS
    (told,) = alerts_of(house, "HIGH: ")
    assert " order(s) wait" in told
    assert len(alerts_of(house, "answers? again")) == 1, alerts_of(house, "answers? again")
    assert sorted(open_in_order) == sorted(in_order) == sorted(order_ids)
    assert last_open <= ORDERS / 5
    # Of some dozens, the poller tells many in one poll: they end side by side. Without priority these were the last.
    assert last_completed <= (ORDERS / 5 if LARGE else ORDERS / 2)
    keep_history(house.temporal_address, f"order-demo-{new[0].id}", "outage_waited_out")
    keep_history(house.temporal_address, "outage-demo-sage", "outage_watch")


OF_A, OF_B = (100 if LARGE else 40), 10
WEBHOOK_SECRET = f"whsec_{base64.b64encode(b'sandbox-webhook-signing-secret-001').decode()}"


@dataclass(frozen=True)
class TwoStores:
    """A house with the pairs `demo` and `beta`, each with a store and a Sage company of its own."""

    house: House
    beta: Sandbox


@pytest.fixture
def two_stores(tmp_path: Path) -> Iterator[TwoStores]:
    pairs = pairs_with_pace(tmp_path / "pairs", **PACE)
    beta = yaml.safe_load((pairs / "demo.yaml").read_text("utf-8"))
    (pairs / "beta.yaml").write_text(yaml.safe_dump(beta, allow_unicode=True), "utf-8")
    (api_port,) = free_ports(1)
    hook = f"http://127.0.0.1:{api_port}/webhooks/clarity/beta"
    paces = ("--ship-after", "1", "--post-after", "2", "--webhook-schedule", "1,2,4,8,15,30")
    with running_sandbox(tmp_path / "beta", "--webhook-url", hook, *paces) as beta_sandbox:
        environment = {
            "PAIRS_DIR": str(pairs),
            "BETA_SAGE_GATEWAY_URL": beta_sandbox.sage_url,
            "BETA_SAGE_ODBC": beta_sandbox.odbc,
            "BETA_SAGE_USER": "integration",
            "BETA_SAGE_PASSWORD": "sandbox-only",
            "BETA_CLARITY_URL": beta_sandbox.clarity_url,
            "BETA_CLARITY_CLIENT_ID": "clarity-integration",
            "BETA_CLARITY_CLIENT_SECRET": "clarity-sandbox-secret",
            "BETA_CLARITY_WEBHOOK_SECRETS": WEBHOOK_SECRET,
            "BETA_MATCH_KEY_SECRET": "beta-match-key",
        }
        flags = ("--no-orders", "--ship-after", "1", "--post-after", "2")
        with running_house(tmp_path, *flags, environment=environment, api_port=api_port) as house:
            yield TwoStores(house, beta_sandbox)


def test_a_store_with_many_waiting_orders_does_not_stop_another(two_stores: TwoStores) -> None:
    """The worker of orders stands still while many orders of one store come, and then ten of another.

    All of them wait in the one queue that the stores share. When the worker goes on, at least five of the ten stand in
    Sage before twenty of the many do.
    """
    house, beta = two_stores.house, two_stores.beta
    worker = pid_of(house.temporal_address, "workers", "orders")
    os.kill(worker, signal.SIGSTOP)
    try:
        of_a = [PlacedOrder(house.sandbox, house.api_url, PEN) for _ in range(OF_A)]
        check_out(of_a)
        wait_until("the orders of A wait", lambda: running_orders(house) == OF_A, 120)
        of_b = [PlacedOrder(beta, house.api_url, PEN) for _ in range(OF_B)]
        check_out(of_b)
        wait_until("the orders of B wait", lambda: running_orders(house, "beta") == OF_B, 120)
    finally:
        os.kill(worker, signal.SIGCONT)
    ids_a, ids_b = ({order.id for order in orders} for orders in (of_a, of_b))

    def acknowledged() -> list[tuple[float, str]]:
        """Of both stores, in the order of time."""
        found = []
        for url, ids in ((house.sandbox.clarity_url, ids_a), (beta.clarity_url, ids_b)):
            seen: set[str] = set()
            for one in HTTP.get(f"{url}/_control/log", timeout=20).json()["calls"]:
                order_id = one["call"].removeprefix("PATCH /api/v1/orders/")
                if order_id in ids - seen:
                    seen.add(order_id)
                    found.append((one["at"], order_id))
        return sorted(found)

    wait_until("every order stands in Sage", lambda: len(acknowledged()) == OF_A + OF_B, WITHIN)
    order = [order_id for _, order_id in acknowledged()]
    twentieth = [place for place, order_id in enumerate(order) if order_id in ids_a][19]
    before = sum(1 for order_id in order[:twentieth] if order_id in ids_b)
    print(f"{before} of B's {OF_B} stood in Sage before 20 of A's {OF_A}")
    assert before >= OF_B / 2
