"""Reconciliation in a running house: a deposit that somebody changed is found, by both systems' own books."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import QUICK, House, pairs_with_pace, running_house
from tests.e2e.temporal import temporal
from tests.support.histories import keep_history
from tests.support.orders import PlacedOrder
from tests.support.processes import ROOT

LAMP = ("LAMP-LED-01", 3, "49.99")
PAID = "2026-11-20"
"""The day of the payment of placed orders."""
WORKFLOW = f"reconcile-demo-{PAID}_{PAID}"


@pytest.fixture
def office(tmp_path: Path) -> Iterator[House]:
    """A house of its own: the screen shows the first twenty unexplained orders, and other tests leave more."""
    pairs = pairs_with_pace(tmp_path / "pairs", **QUICK)
    flags = ("--no-orders", "--ship-after", "off", "--post-after", "off")
    with running_house(tmp_path, *flags, environment={"PAIRS_DIR": str(pairs)}) as one:
        yield one


def reconciled(house: House) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ, "TEMPORAL_ADDRESS": house.temporal_address, "PAIRS_DIR": str(house.pairs_dir), "COLUMNS": "200"
    }  # fmt: skip
    command = [sys.executable, "-m", "workers", "reconcile", "--pair", "demo", "--from", PAID, "--to", PAID]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / name).open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_a_changed_deposit_is_found_and_everything_else_is_explained(office: House) -> None:
    waits, wrong, done = (PlacedOrder(office.sandbox, office.api_url, LAMP).check_out() for _ in range(3))
    held = PlacedOrder(office.sandbox, office.api_url, ("NO-SUCH-SKU", 1, "12.00")).check_out()
    numbers = {order.id: order.sales_order_no for order in (waits, wrong, done)}
    invoice = done.ship()
    done.post(invoice)
    held.until_state("held")
    body = {"SalesOrderNo": numbers[wrong.id], "DepositAmt": "149.96"}
    office.sandbox.control("sage", "deposit", body)
    office.sandbox.control("clarity", "payouts", {"gateway": "paypal", "date": PAID})

    shown = reconciled(office)
    assert shown.returncode == 1, (shown.stdout, shown.stderr)
    assert f"{wrong.id}: off_by -0.01 USD (deposit)" in shown.stdout
    folder = office.sandbox.var / "reports" / f"demo/{PAID}_{PAID}"
    found = {row["order_id"]: (row["status"], row["reasons"], row["difference"]) for row in rows(folder, "orders.csv")}
    assert found[waits.id] == ("explained", "not_yet_invoiced", "0.00")
    assert found[wrong.id] == ("unexplained", "off_by not_yet_invoiced", "-0.01")
    assert found[done.id] == ("matched", "", "0.00")
    assert found[held.id] == ("explained", "not_in_sage_yet", "-12.00")
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text("utf-8"))
    assert summary["controls"]["adds_up"] is True
    assert summary["customer_deposits"]["adds_up"] is True
    (payout,) = (row for row in rows(folder, "payouts.csv") if row["gateway"] == "paypal")
    assert Decimal(payout["gross"]) >= 3 * Decimal("149.97") + 12
    assert Decimal(payout["gross"]) - Decimal(payout["fee"]) == Decimal(payout["net"])

    answer = temporal(office, "workflow", "query", "-w", WORKFLOW, "--type", "result", "-o", "json")
    (result,) = json.loads(answer)["queryResult"]
    assert wrong.id in result["carried"]
    keep_history(office.temporal_address, WORKFLOW, "reconciliation")

    office.sandbox.control("sage", "deposit", {**body, "DepositAmt": "149.97"})
    reconciled(office)
    again = {row["order_id"]: row["status"] for row in rows(folder, "orders.csv")}
    assert again[wrong.id] == "explained"
