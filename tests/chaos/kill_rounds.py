"""`kill -9` of any one process at a random moment while the sample orders run; every order ends as expected.

`CHAOS_ROUNDS` (20) and `CHAOS_SEED` say how often and which; the seed is printed.
"""

import os
import random
import signal
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import House, expectations, running_house
from tests.support.http import HTTP
from tests.support.processes import answers, pid_of, wait_until

ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "20"))
SEED = int(os.environ.get("CHAOS_SEED", "20261123"))
VICTIMS: dict[str, Callable[[House], int]] = {
    "server": lambda house: pid_of("", "start-dev", house.temporal_address.rpartition(":")[2]),
    "order and Clarity workers": lambda house: pid_of(house.temporal_address, "workers", "orders"),
    "Sage worker": lambda house: pid_of(house.temporal_address, "workers", "sage"),
    "API": lambda house: pid_of(house.temporal_address, "api"),
    "sandbox": lambda house: pid_of(house.temporal_address, "sandbox"),
}
LONGEST_WAIT = 16.0
"""Seconds after the services are up in which the sample orders travel."""


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_every_order_ends_as_expected(tmp_path: Path, round_: int) -> None:
    seed = SEED + round_
    chance = random.Random(seed)  # noqa: S311 - repeatable, nothing secret
    names = list(VICTIMS)
    victim = names[round_ % len(names)]
    moment = chance.uniform(0.0, LONGEST_WAIT)
    print(f"seed {seed}: kill -9 the {victim} {moment:.2f} s after the start")
    with running_house(tmp_path) as house:
        # The moment is the experiment: a wait of that length, not for a condition.
        wait_for(moment)
        os.kill(VICTIMS[victim](house), signal.SIGKILL)
        wait_until(
            f"seed {seed}, {victim} killed at {moment:.2f} s: every order ends as expected; {{}}",
            lambda: all_as_expected(house),
            150,
        )
        audit(house)


def wait_for(seconds: float) -> None:
    """Let the house run for so long."""
    signal.sigtimedwait([], seconds)


def all_as_expected(house: House) -> bool:
    try:
        if not answers(f"{house.api_url}/readyz"):
            return False
        orders = stored_orders(house)
        for entry in expectations().values():
            order = orders.get(entry["order_id"])
            if order is None:
                return False
            answer = HTTP.get(f"{house.api_url}/orders/demo/{entry['order_id']}", timeout=10).json()
            view = answer.get("order") or {}
            if entry["result"] == "complete":
                if view.get("state") != "complete" or answer.get("status") != "completed":
                    return False
            elif view.get("state") != "held" or view["hold"]["reason"] != entry["hold_reason"]:
                return False
    except (httpx.HTTPError, ValueError):
        return False
    return True


def stored_orders(house: House) -> dict[str, dict[str, Any]]:
    page = house.sandbox.clarity("GET", "/api/v1/orders?pageSize=200").json()
    return {str(order["id"]): order for order in page["items"]}


def audit(house: House) -> None:
    """None twice, on both sides: orders and accounts in Sage, shipments and quantities in Clarity."""
    orders = stored_orders(house)
    for entry in expectations().values():
        rows = house.sandbox.rows(
            "SELECT SalesOrderNo FROM SO_SalesOrderHistoryHeader WHERE UDF_WEB_ORDER_ID = ?", entry["order_id"]
        )
        assert len(rows) == (1 if entry["result"] == "complete" else 0), entry
        if entry["result"] != "complete":
            continue
        shipments = house.sandbox.clarity("GET", f"/api/v1/shipments?orderId={entry['order_id']}&pageSize=200").json()
        live = [shipment for shipment in shipments["items"] if shipment["status"] != "Void"]
        references = [shipment["externalReference"] for shipment in live]
        assert len(references) == len(set(references)) == len(shipments["items"]), references
        told: dict[str, Decimal] = {}
        for shipment in live:
            for item in shipment["items"]:
                quantity = told.get(item["orderItemId"], Decimal(0)) + Decimal(str(item["quantity"]))
                told[item["orderItemId"]] = quantity
        ordered = {str(item["id"]): Decimal(str(item["quantity"])) for item in orders[entry["order_id"]]["items"]}
        assert told == ordered, entry
    doubles = house.sandbox.rows(
        "SELECT UDF_WEB_CUSTOMER_ID FROM AR_Customer WHERE UDF_WEB_CUSTOMER_ID <> '' "
        "GROUP BY UDF_WEB_CUSTOMER_ID HAVING COUNT(*) > 1"
    )
    assert doubles == []
