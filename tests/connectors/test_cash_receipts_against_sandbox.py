"""Entering cash receipts through the real gateway and the real ODBC driver: each exactly once, whatever happens."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr
from temporalio.testing import ActivityEnvironment

from activities.cash_receipts import CashReceiptActivities
from connectors.errors import Ambiguous, RetryLater
from connectors.sage100.gateway import SageGateway, SageGatewaySettings
from connectors.sage100.ledger import SageLedger
from contracts.cash_receipts import ReceiptsWritten, WriteReceipts
from mappings.cash_receipts import DueReceipt, InvoiceType, ReceiptBatch, ReceiptLine
from mappings.pair import CashReceiptRules, Pair, ReconciliationRules, load_pair
from tests.support.contracts import Recorder
from tests.support.processes import ROOT
from tests.support.sandbox import Sandbox, running_sandbox

pytestmark = pytest.mark.asyncio(loop_scope="module")
DAY = date(2026, 11, 20)
ACCOUNT = "000000215"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path_factory.mktemp("receipts"), "--ship-after", "off", "--post-after", "off") as one:
        yield one


@pytest.fixture(scope="module")
def own() -> Pair:
    rules = {
        "reconciliation": ReconciliationRules(bank_code="W"),
        "cash_receipts": CashReceiptRules(write=True, customer_deposits=ACCOUNT),
    }
    return load_pair(ROOT / "mappings/pairs/demo.yaml").model_copy(update=rules)


class Desk:
    """One worker that enters receipts, with connections of its own."""

    def __init__(self, sandbox: Sandbox, pair: Pair) -> None:
        settings = SageGatewaySettings(
            url=sandbox.sage_url, company="ABC", user="integration", password=SecretStr("sandbox-only")
        )
        self.gateway = SageGateway(settings, transport=Recorder("sage-gateway"))
        self.ledger = SageLedger(SecretStr(sandbox.odbc))
        self.activities = CashReceiptActivities(pair, self.gateway, self.ledger, asyncio.Semaphore(1))

    async def enter(self, *due: DueReceipt, day: date = DAY) -> ReceiptsWritten:
        batch = ReceiptBatch(gateway="shop", DepositDate=day, prefix="SHO", due=list(due))
        request = WriteReceipts(pair="demo", batch=batch)
        written: ReceiptsWritten = await ActivityEnvironment().run(self.activities.write_cash_receipts, request)
        return written

    async def enter_at_last(self, *due: DueReceipt) -> ReceiptsWritten:
        """As Temporal does: again after an outage or a lost answer."""
        for _ in range(50):
            try:
                return await self.enter(*due)
            except (RetryLater, Ambiguous):
                await asyncio.sleep(0)
        raise AssertionError("it never succeeds")

    async def close(self) -> None:
        await self.gateway.close()
        await self.ledger.close()


@pytest_asyncio.fixture(loop_scope="module")
async def desk(sandbox: Sandbox, own: Pair) -> AsyncIterator[Desk]:
    one = Desk(sandbox, own)
    yield one
    await one.close()


def due(name: str, amount: str = "10.00", **line: Any) -> DueReceipt:
    columns = {
        "ARDivisionNo": "02", "CustomerNo": "W000001", "CheckNo": name[-10:], "PaymentType": "STRIP",
        "InvoiceType": InvoiceType.ACCOUNT, "AccountKey": ACCOUNT, "CashAmountApplied": Decimal(amount), **line,
    }  # fmt: skip
    return DueReceipt(
        order_id=name, gateway="shop", transaction_id=name, day=DAY, line=ReceiptLine.model_validate(columns)
    )


def in_sage(sandbox: Sandbox, *names: str) -> dict[str, list[tuple[str, Decimal]]]:
    """CheckNo → deposit and amount of every receipt, posted or not, by Sage's own tables."""
    found: dict[str, list[tuple[str, Decimal]]] = {name: [] for name in names}
    for table in ("AR_CashReceiptsDetail", "AR_CashReceiptsHistory"):
        for row in sandbox.rows(f"SELECT * FROM {table} ORDER BY DepositNo, SequenceNo"):
            if row["CheckNo"] in found:
                found[row["CheckNo"]].append((row["DepositNo"], Decimal(str(row["CashAmountApplied"]))))
    return found


async def test_a_batch_is_entered_once_and_what_comes_later_gets_the_next_number(sandbox: Sandbox, desk: Desk) -> None:
    one, two, three = due("once_00001"), due("once_00002", "-3.50"), due("once_00003")
    first = await desk.enter(one, two)
    assert (len(first.deposits), first.entered, first.stood) == (1, [one.key, two.key], [])
    again = await desk.enter(one, two)
    assert (again.deposits, again.entered, again.stood) == ([], [], [one.key, two.key])
    sandbox.control("sage", "post_receipts", {})
    assert (await desk.enter(one, two)).entered == []
    later = await desk.enter(one, two, three)
    assert (later.entered, later.stood) == ([three.key], [one.key, two.key])
    assert later.deposits[0] > first.deposits[0]
    assert in_sage(sandbox, "once_00001", "once_00002", "once_00003") == {
        "once_00001": [(first.deposits[0], Decimal(10))],
        "once_00002": [(first.deposits[0], Decimal("-3.5"))],
        "once_00003": [(later.deposits[0], Decimal(10))],
    }


@pytest.mark.parametrize("fault", ["timeout_after_write", "timeout_before_write", "dropped", "503", "truncated"])
async def test_a_lost_answer_enters_nothing_twice(sandbox: Sandbox, desk: Desk, fault: str) -> None:
    name = f"lost_{fault[-5:]}"
    sandbox.fault("sage", "POST /AR/CashReceipt", fault, times=1, seconds=0.2)
    await desk.enter_at_last(due(name), due(f"2{name[1:]}"))
    found = in_sage(sandbox, name, f"2{name[1:]}")
    assert [len(rows) for rows in found.values()] == [1, 1]
    sandbox.end_faults("sage")


async def test_two_writers_at_once_enter_each_receipt_once(sandbox: Sandbox, own: Pair) -> None:
    desks = [Desk(sandbox, own) for _ in range(3)]
    receipts = [due(f"race_{number:05d}") for number in range(6)]
    shares = (receipts[:4], receipts[2:], receipts)
    await asyncio.gather(*(each.enter_at_last(*share) for each, share in zip(desks, shares, strict=True)))
    assert [len(rows) for rows in in_sage(sandbox, *(one.line.CheckNo for one in receipts)).values()] == [1] * 6
    await asyncio.gather(*(each.close() for each in desks))


async def test_what_sage_refuses_is_left_out_and_the_rest_is_entered(sandbox: Sandbox, desk: Desk) -> None:
    good = [due(f"good_{number:05d}") for number in range(5)]
    bad = due("bad_000001", CustomerNo="NOBODY")
    written = await desk.enter(*good[:2], bad, *good[2:])
    assert sorted(written.entered) == sorted(one.key for one in good)
    assert list(written.refused) == [bad.payment]
    assert "not on file" in written.refused[bad.payment]
    assert [len(rows) for rows in in_sage(sandbox, *(one.line.CheckNo for one in good)).values()] == [1] * 5


async def test_a_closed_period_refuses_the_whole_batch(sandbox: Sandbox, desk: Desk) -> None:
    written = await desk.enter(due("late_00001"), due("late_00002"), day=date(2025, 12, 30))
    assert (written.entered, len(written.refused)) == ([], 2)
    assert all("closed" in words for words in written.refused.values())
    assert in_sage(sandbox, "late_00001") == {"late_00001": []}


async def test_a_card_payment_type_enters_nothing(sandbox: Sandbox, desk: Desk) -> None:
    for kind in ("VISA", "NONE"):
        written = await desk.enter(due("card_00001", PaymentType=kind))
        assert (written.card_type, written.entered) == (True, [])
    assert in_sage(sandbox, "card_00001") == {"card_00001": []}
