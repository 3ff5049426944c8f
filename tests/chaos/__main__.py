"""`make chaos N=500 SEED=1`: N generated orders through a house in which everything breaks, and then the audit.

Starts Temporal, the sandbox, the API and the workers; checks orders out; spoils calls, kills processes, locks Sage's
file, jumps its clock, sends webhooks twice and in the wrong order; waits until everything rests; lets the auditor
judge. The last line on standard output is the verdict; all else is above it or on standard error. Exit status 1 when
anything is lost, doubled, wrong or silent.
"""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from temporalio.client import Client
from temporalio.service import RPCError

from mappings.pair import Pace
from tests.chaos.auditor import Report, audit, open_sage, read_clarity, read_standings
from tests.chaos.orders import Sent, generate
from tests.chaos.storm import Storm, plan, until_answered
from tests.chaos.warehouse import Warehouse
from tests.e2e.conftest import House, pairs_with_pace, running_house
from tests.support.http import HTTP
from workers.roles import WORKFLOWS

PACE = {
    "poll_interval": 1,
    "quiet_interval": 1,
    "rotation": 6,
    "agree_time": 4,
    "settle_time": 1,
    "grace_time": 3,
    "daily_read": 120,
    "poll_heartbeat_timeout": 6,
    "customer_deadline": 15,
    "call_limit": 8,
    "retry_initial": 0.5,
    "retry_maximum": 4,
}
CATCH_UP = {"backfill_interval": 5, "backfill_overlap": 120}
"""Where there is a backfill."""
ORDERS_PER_SECOND = 2.5
AFTER_THE_LAST = 6.0
"""Seconds the storm goes on after the last order was sent."""
AT_REST = 40.0
"""Seconds without any change after which an order that is not done will not be."""


def say(what: str) -> None:
    """To standard error: standard output is for the findings and the verdict."""
    print(what, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--orders", type=int, default=100)
    parser.add_argument("--seed", type=int, default=None, help="the same seed, the same orders and faults")
    parser.add_argument("--calm", action="store_true", help="no faults at all: what the house does on a good day")
    options = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    folder = Path(tempfile.mkdtemp(prefix=f"chaos-{seed}-"))
    say(f"seed {seed}, {options.orders} orders, state and logs in {folder}")
    report = run(folder, options.orders, seed, calm=options.calm)
    for finding in report.findings:
        print(finding)
    if report.clean:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"state and logs are kept in {folder}")
    print(report.line(seed), flush=True)
    return 0 if report.clean else 1


def run(folder: Path, count: int, seed: int, *, calm: bool = False) -> Report:
    """One run; returns what the auditor found."""
    sent = list(generate(seed, count))
    made = plan(seed, count / ORDERS_PER_SECOND + AFTER_THE_LAST - 2)
    catch_up = {name: seconds for name, seconds in CATCH_UP.items() if name in Pace.model_fields}
    pairs = pairs_with_pace(folder / "pairs", "inventory", "products", **PACE, **catch_up)
    flags = ("--no-orders", "--ship-after", "off", "--post-after", "off")
    with running_house(folder, *flags, environment={"PAIRS_DIR": str(pairs)}) as house:
        give_the_dealers_credit(house)
        warehouse, storm = Warehouse(house, sent), Storm(house, made)
        warehouse.start()
        if not calm:
            storm.start()
        check_out_all(house, sent, seed, calm=calm)
        if not calm:
            storm.ended.wait(AFTER_THE_LAST)
            storm.calm()
        say("the storm is over; everything must arrive now")
        wait_for_rest(house, sent)
        warehouse.stop()
        standings = asyncio.run(read_standings(house.temporal_address, [order.order_id for order in sent]))
        sage = open_sage(house.sandbox.database)
        try:
            return audit(sent, sage, read_clarity(house.sandbox.clarity_url), standings)
        finally:
            sage.close()


def give_the_dealers_credit(house: House) -> None:
    """Their limit is not what this is about."""
    for customer_no in ("ABF", "0001100"):
        columns = {"CreditLimit": "9000000"}
        house.sandbox.control("sage", "customer", {"ARDivisionNo": "01", "CustomerNo": customer_no, "Columns": columns})


def check_out_all(house: House, sent: Sequence[Sent], seed: int, *, calm: bool) -> None:
    """The buyers check out, one after the other; the store's webhooks come twice, in the wrong order, or never.

    Never only where `OrderBackfillWorkflow` is there to catch up.
    """
    chance = random.Random(f"webhooks {seed}")  # noqa: S311 - repeatable, nothing secret
    drop_webhooks = any(workflow.__name__ == "OrderBackfillWorkflow" for workflow in WORKFLOWS)
    began = time.monotonic()
    pause = threading.Event()
    for number, order in enumerate(sent):
        pause.wait(max(0.0, began + number / ORDERS_PER_SECOND - time.monotonic()))
        lot = chance.random()
        now = datetime.now(UTC).isoformat(timespec="seconds")
        order.event["timestamp"] = now
        order.event["data"] |= {"createdDate": now, "updatedDate": now}
        post(house, "orders?deliver=false", order.event)
        deliveries: list[dict[str, Any]] = [{"type": "order.created"}]
        if not calm:
            if lot < 0.15:
                deliveries = [{"type": "order.created", "times": 3}]
            elif lot < 0.25:
                deliveries = [{"type": "order.updated"}, {"type": "order.created"}]
            elif lot < 0.35:
                deliveries = [{"type": "order.created"}, {"type": "order.created", "sameId": True, "times": 2}]
            elif lot < 0.40 and drop_webhooks:
                deliveries = []
        for delivery in deliveries:
            post(house, "webhooks", {"orderId": order.order_id, **delivery})


def post(house: House, name: str, body: object) -> None:
    """One of the store's controls, until it answered."""
    url = f"{house.sandbox.clarity_url}/_control/{name}"
    answer = until_answered(lambda: HTTP.post(url, json=body, timeout=10))
    assert answer.is_success, answer.text


def wait_for_rest(house: House, sent: Sequence[Sent]) -> None:
    """Until every order is complete or held as it should be; or until nothing has changed for `AT_REST` seconds."""
    deadline = time.monotonic() + 120 + len(sent)
    due = {f"order-demo-{order.order_id}": order.hold or "complete" for order in sent}
    before: dict[str, str] = {}
    changed = told = time.monotonic()
    while time.monotonic() < deadline:
        now = asyncio.run(states(house.temporal_address))
        done = sum(now.get(id_) == wanted for id_, wanted in due.items())
        if done == len(due):
            say(f"all {done} orders are where they should be")
            return
        if now != before:
            before, changed = now, time.monotonic()
        if time.monotonic() - told > 10:
            told = time.monotonic()
            say(f"{done} of {len(due)} orders are where they should be")
        if time.monotonic() - changed > AT_REST:
            break
        threading.Event().wait(1)
    missing = {id_: before.get(id_, "unknown") for id_, wanted in due.items() if before.get(id_) != wanted}
    say(f"{len(missing)} orders did not arrive: {dict(list(missing.items())[:20])}")


async def states(address: str) -> dict[str, str]:
    """Workflow id → its state, or the reason it is held for. Only to know when to stop; the auditor asks by id."""
    try:
        client = await Client.connect(address)
        found: dict[str, str] = {}
        async for one in client.list_workflows("WorkflowType='OrderFulfillmentWorkflow'"):
            words = {pair.key.name: str(pair.value) for pair in one.typed_search_attributes.search_attributes}
            found[one.id] = words.get("HoldReason") or words.get("OrderState", "")
            if found[one.id] == "complete" and one.close_time is None:
                found[one.id] = "completing"
    except (RPCError, RuntimeError):
        return {}
    return found


if __name__ == "__main__":
    sys.exit(main())
