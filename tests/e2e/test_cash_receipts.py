"""Money by cash route in a running house: what stands in Sage's tables, on the list, and in reconciliation."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from tests.e2e.conftest import QUICK, House, pairs_with_pace, running_house
from tests.support.histories import keep_history
from tests.support.orders import PlacedOrder
from tests.support.processes import ROOT, wait_until

LAMPS = ("LAMP-LED-01", 3, "49.99")
PAID, TOTAL = "2026-11-20", "149.97"
ACCOUNT = "000000215"
PAYMENTS = [
    {"gateway": "stripe", "payment_type": "STRIP", "route": "clearing"},
    {"gateway": "paypal", "payment_type": "PAYPL", "route": "on_invoice"},
    {"gateway": "amazon", "payment_type": "AMZN", "route": "prepayment"},
    {"gateway": "wire", "payment_type": "CHECK", "route": "deposit_liability"},
    {"gateway": "voucher", "payment_type": "STRIP", "route": "list"},
]


@pytest.fixture(scope="module")
def till(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house whose gateways go all five routes."""
    folder = tmp_path_factory.mktemp("till")
    pairs = pairs_with_pace(folder / "pairs", **QUICK)
    file = pairs / "demo.yaml"
    content = yaml.safe_load(file.read_text("utf-8"))
    content |= {
        "payments": PAYMENTS,
        "reconciliation": {"bank_code": "W"},
        "cash_receipts": {"write": True, "customer_deposits": ACCOUNT},
        "checks": [{"name": "payment", "on_fail": "credit", "accept": "authorised"}],
    }
    file.write_text(yaml.safe_dump(content, allow_unicode=True), "utf-8")
    flags = ("--no-orders", "--ship-after", "off", "--post-after", "off")
    with running_house(folder, *flags, environment={"PAIRS_DIR": str(pairs)}) as one:
        yield one


def worker(house: House, command: str, *flags: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ, "TEMPORAL_ADDRESS": house.temporal_address, "PAIRS_DIR": str(house.pairs_dir), "COLUMNS": "200"
    }  # fmt: skip
    line = [sys.executable, "-m", "workers", command, "--pair", "demo", "--from", PAID, *flags]
    return subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)


def receipts(house: House, *flags: str) -> str:
    """Run the cash receipts by hand; what the console shows."""
    done = worker(house, "receipts", *flags)
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done.stdout


def payment(gateway: str, kind: str, amount: str, name: str, day: str = PAID) -> dict[str, Any]:
    return {
        "gateway": gateway, "transactionId": name, "type": kind, "amount": amount, "currency": "USD",
        "date": f"{day}T15:04:05Z" if len(day) == len(PAID) else day,
    }  # fmt: skip


def placed(house: House, gateway: str, kind: str = "capture") -> PlacedOrder:
    order = PlacedOrder(house.sandbox, house.api_url, LAMPS)
    order.event["data"]["payments"] = [payment(gateway, kind, TOTAL, f"{gateway}_{order.id}_0000")]
    return order.check_out()


def then(house: House, order: PlacedOrder, *more: dict[str, Any]) -> None:
    """Something happens to the order's money at its gateway; the webhook of it is lost."""
    known = order.at_clarity()["payments"]
    house.sandbox.control("clarity", "webhooks/drop", {"share": 1})
    change = {"orderId": order.id, "change": {"payments": [*known, *more]}}
    house.sandbox.control("clarity", "orders/change", change)
    house.sandbox.control("clarity", "webhooks/drop", {"share": 0})


def entered(house: House) -> list[tuple[str, str, str, Decimal]]:
    """CheckNo, type, what it pays, amount of every receipt, posted or not, by Sage's own tables."""
    rows = [
        row
        for table in ("AR_CashReceiptsDetail", "AR_CashReceiptsHistory")
        for row in house.sandbox.rows(f"SELECT * FROM {table}")
    ]
    return sorted(
        (
            row["CheckNo"],
            row["InvoiceType"],
            row["InvoiceNo"] or row["AccountKey"],
            Decimal(str(row["CashAmountApplied"])),
        )
        for row in rows
    )


def listed(folder: Path) -> dict[str, tuple[str, str]]:
    """Transaction → amount and reason."""
    with (folder / "accounting_list.csv").open(encoding="utf-8-sig", newline="") as file:
        return {row["transaction_id"]: (row["amount"], row["reason"]) for row in csv.DictReader(file)}


def test_money_goes_its_route(till: House) -> None:
    sage, today = till.sandbox, datetime.now(ZoneInfo("America/Chicago")).date().isoformat()
    now = datetime.now(UTC).isoformat()
    clearing, prepaid, liable, by_hand = (placed(till, name) for name in ("stripe", "amazon", "wire", "voucher"))
    billed = placed(till, "paypal", "authorize")
    numbers = {order.id: order.sales_order_no for order in (clearing, prepaid, liable, by_hand, billed)}
    deposits = {
        row["SalesOrderNo"]: Decimal(str(row["DepositAmt"])) for row in sage.rows("SELECT * FROM SO_SalesOrderHeader")
    }
    assert [deposits[numbers[order.id]] for order in (clearing, prepaid, liable, by_hand, billed)] == [
        Decimal(TOTAL), 0, Decimal(TOTAL), 0, 0
    ]  # fmt: skip

    # Looked at first, then done, then done again.
    assert "Would enter 2 receipts, 299.94; nothing was entered" in receipts(till, "--dry-run")
    assert entered(till) == []
    assert "2 receipts entered, 299.94" in receipts(till)
    first = [
        (f"n_{prepaid.id}_0000"[-10:], "PP", numbers[prepaid.id], Decimal(TOTAL)),
        (f"e_{liable.id}_0000"[-10:], "", ACCOUNT, Decimal(TOTAL)),
    ]
    assert entered(till) == sorted(first)
    assert "0 receipts entered" in receipts(till)

    # Captured at shipment, part by part; given back before and after invoicing; the answer of Sage is lost.
    one = billed.ship({"1": 2})
    last = liable.ship()
    for order, invoice in ((billed, one), (liable, last)):
        order.post(invoice)
    then(till, billed, payment("paypal", "capture", "99.98", "pp_capture_part_01", now))
    then(till, prepaid, payment("amazon", "refund", "20.00", "az_refund_early_01", PAID))
    then(till, liable, payment("wire", "refund", "10.00", "wi_refund_late_001", now))
    wait_until("the first invoice is told", lambda: billed.at_clarity().get("invoiceReferences"), 30)
    sage.fault("sage", "POST /AR/CashReceipt", "timeout_after_write", seconds=1)
    assert "receipts entered" in receipts(till)
    assert sage.pending_faults("sage") == 0
    second = [("re_part_01", "IN", one, Decimal("99.98")), ("d_early_01", "PP", numbers[prepaid.id], Decimal(-20))]
    assert entered(till) == sorted([*first, *second])
    folder = sage.var / "reports/demo/receipts" / f"{PAID}_{today}"
    wanted = {
        f"voucher_{by_hand.id}_0000": (TOTAL, "route_list"),
        "wi_refund_late_001": ("-10.00", "refund_after_invoicing"),
    }
    assert listed(folder) == wanted

    # The rest follows its own invoice.
    two = billed.ship({"1": 1})
    billed.post(two)
    then(till, billed, payment("paypal", "capture", "49.99", "pp_capture_part_02", now))
    assert "1 receipts entered, 49.99" in receipts(till)
    assert entered(till) == sorted([*first, *second, ("re_part_02", "IN", two, Decimal("49.99"))])
    billed.until_state("complete")
    references = {one["invoiceNo"]: Decimal(str(one["amount"])) for one in billed.at_clarity()["invoiceReferences"]}
    assert references == {one: Decimal("99.98"), two: Decimal("49.99")}

    # Accounting posts, and both books agree but for the list.
    sage.control("sage", "post_receipts", {})
    owed = sage.rows("SELECT InvoiceNo, Balance FROM AR_OpenInvoice WHERE InvoiceType = 'IN'")
    assert {row["InvoiceNo"]: Decimal(str(row["Balance"])) for row in owed} == {one: 0, two: 0, last: 0}
    compared = worker(till, "reconcile")
    assert compared.returncode == 0, (compared.stdout, compared.stderr)
    with (sage.var / "reports/demo" / f"{PAID}_{today}" / "orders.csv").open(encoding="utf-8-sig") as file:
        told = {row["order_id"]: (row["status"], row["reasons"], row["difference"]) for row in csv.DictReader(file)}
    assert told == {
        clearing.id: ("explained", "not_yet_invoiced", "0.00"),
        prepaid.id: ("explained", "not_yet_invoiced", "0.00"),
        liable.id: ("explained", "refund_after_invoicing", "0.00"),
        by_hand.id: ("explained", "on_list not_yet_invoiced", "0.00"),
        billed.id: ("matched", "", "0.00"),
    }
    kept = json.loads((folder / "accounting_list.json").read_text("utf-8"))
    assert {entry["transaction_id"] for entry in kept} == set(wanted)
    keep_history(till.temporal_address, f"receipts-demo-{PAID}_{today}", "cash_receipts")
    keep_history(till.temporal_address, f"order-demo-{billed.id}", "invoices_when_posted")
