"""Cash receipts of the web's money: deciding about every payment (on `orders`), and entering a batch (on
`sage-write-{pair}`), each exactly once.

In: messages of `contracts.cash_receipts`. Out: likewise. A deposit's key in Sage is BankCode, DepositDate, DepositNo.
Before each attempt the receipts of the bank are read; what stands there is left out, and the next free number of the
day is taken. So two writers that see the same meet at the same number, and one of them is answered 409 and reads again:
a lost answer, a killed worker, a second run at the same time enter nothing twice.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError

from activities.money import heartbeats
from activities.reconciliation import (
    ENTRIES,
    booked_in,
    failures_of_the_disk,
    folder_of,
    ledger_of,
    orders_on_their_way,
    replace,
    sheets_of_caller,
    write_files,
)
from connectors.errors import AlreadyExists, Refused
from connectors.sage100.gateway import CashReceiptWriter
from connectors.sage100.ledger import SageLedger
from contracts.cash_receipts import PlanReceipts, ReceiptPlan, ReceiptsWritten, WriteReceipts, short
from contracts.failures import FailureType
from contracts.reconciliation import Sheet
from mappings.cash_receipt_files import files, left_file
from mappings.cash_receipts import (
    Decision,
    DueReceipt,
    Outcome,
    ReceiptBatch,
    Settled,
    Why,
    batches,
    decide,
    next_deposit_no,
    payment_key,
)
from mappings.facts import CLEARING_METHODS
from mappings.ledger import Receipt
from mappings.pair import Pair
from mappings.reconciliation import masked
from mappings.reconciliation_files import BOOKED, LEFT

BATCHES_PLANNED: Final = 15
"""In one plan: a few thousand receipts are far below what a payload may hold."""
MARGIN_DAYS: Final = 7
"""A person may have entered a receipt under an earlier day than its payment's."""
LEFT_SHOWN: Final = 20
REMEMBERED: Final = 5_000
WAITING: Final = 2_000
NUMBERS_TRIED: Final = 20
HEADER: Final = frozenset({"BankCode", "DepositDate", "DepositNo"})
"""Columns of a deposit: what Sage refuses of them it refuses of every receipt in it."""


class ReceiptPlanActivities:
    """`reports` is REPORTS_DIR."""

    def __init__(self, pairs: Mapping[str, Pair], client: Client, reports: Path) -> None:
        self._pairs = pairs
        self._client = client
        self._reports = reports

    @activity.defn
    async def plan_receipts(self, request: PlanReceipts) -> ReceiptPlan:
        """Decide, and write the files; the workflow enters what is due and asks again."""
        async with heartbeats():
            sheets = await sheets_of_caller(self._client, request.sheets)
            waiting = await orders_on_their_way(self._client, request.pair)
            return await asyncio.to_thread(self._plan, request, sheets, waiting)

    @failures_of_the_disk()
    def _plan(self, request: PlanReceipts, sheets: list[Sheet], waiting: Mapping[str, str]) -> ReceiptPlan:
        pair = self._pairs[request.pair]
        home = self._reports / folder_of(pair.name)
        ledger = ledger_of(request.since, request.until, request.as_of, sheets, waiting)
        settled = Settled(booked=booked_in(home / BOOKED), refused=request.refused, card_types=request.card_types)
        decisions = decide(ledger, pair, settled)
        oldest = min((one.day for one in decisions if one.outcome is Outcome.WRITE and one.day), default=None)
        if oldest is not None and (needed := _before(oldest)) < request.receipts_since:
            return ReceiptPlan(read_since=needed)
        entered = set(request.entered)
        decisions = [_as_entered(one, entered) for one in decisions]
        folder = write_files(home / "receipts", f"{request.since}_{request.until}", files(decisions))
        kept = ENTRIES.validate_json((home / LEFT).read_bytes()) if (home / LEFT).exists() else []
        replace(home / LEFT, left_file(kept, decisions, (one.order_id for one in ledger.orders)))
        listed = [one for one in decisions if one.outcome is Outcome.LIST]
        listed.sort(key=lambda one: (-abs(one.amount), one.order_id, one.transaction_id))
        return ReceiptPlan(
            batches=batches(decisions)[:BATCHES_PLANNED],
            outcomes={outcome: sum(one.outcome is outcome for one in decisions) for outcome in Outcome},
            why=_counted(decisions),
            listed=[short(f"{payment_key(one.order_id, one.transaction_id, one.amount)} {one.why}") for one in listed][
                :REMEMBERED
            ],
            listed_amount=sum((one.amount for one in listed if one.currency == pair.company.currency), Decimal(0)),
            left=[one.model_copy(update={"transaction_id": masked(one.transaction_id)}) for one in listed[:LEFT_SHOWN]],
            waiting=waiting_orders(decisions, request.since),
            folder=f"{home.name}/receipts/{folder}",
        )


def waiting_orders(decisions: Sequence[Decision], since: date) -> list[str]:
    """What the next nightly run looks at whatever its day: orders that Sage has not, and payments about to leave the
    range whose invoice is not posted, or whose receipt Sage refused: posted later, their InvoiceDate has left it."""
    last = date.fromordinal(since.toordinal() + MARGIN_DAYS)
    leaving = (Why.NOT_INVOICED_YET, Why.REFUSED_BY_SAGE)
    found = [one.order_id for one in decisions if one.why is Why.NOT_IN_SAGE_YET]
    found += [one.order_id for one in decisions if one.why in leaving and one.day is not None and one.day <= last]
    return list(dict.fromkeys(found))[:WAITING]


def _before(day: date) -> date:
    return date.fromordinal(day.toordinal() - MARGIN_DAYS)


def _as_entered(decision: Decision, entered: set[str]) -> Decision:
    """Without the receipts that this run has entered: Sage's ODBC side may show them a moment later."""
    rest = [one for one in decision.due if short(one.key) not in entered]
    if len(rest) == len(decision.due):
        return decision
    return decision.model_copy(update={"due": rest, "outcome": Outcome.WRITE if rest else Outcome.RECEIPT})


def _counted(decisions: Iterable[Decision]) -> dict[Why, int]:
    counts: dict[Why, int] = {}
    for one in decisions:
        if one.why is not None and one.outcome is not Outcome.BOOKED:
            counts[one.why] = counts.get(one.why, 0) + 1
    return counts


class CashReceiptActivities:
    """Enters deposits of one company; `seats` are its writers."""

    def __init__(self, pair: Pair, writer: CashReceiptWriter, ledger: SageLedger, seats: asyncio.Semaphore) -> None:
        self._pair = pair
        self._writer = writer
        self._ledger = ledger
        self._seats = seats

    @activity.defn
    async def write_cash_receipts(self, request: WriteReceipts) -> ReceiptsWritten:
        """Enter the batch: look, enter what is not there, in parts where Sage refuses one of its receipts."""
        batch = request.batch
        entry = _Entry()
        async with heartbeats():
            method = await self._ledger.payment_method(batch.due[0].line.PaymentType)
            if method not in CLEARING_METHODS:
                return ReceiptsWritten(card_type=True)
            await self._enter(batch, batch.due, entry)
        return ReceiptsWritten(deposits=entry.deposits, entered=entry.entered, stood=entry.stood, refused=entry.refused)

    async def _enter(self, batch: ReceiptBatch, due: Sequence[DueReceipt], entry: "_Entry") -> None:
        for _ in range(NUMBERS_TRIED):
            async with self._seats:
                standing = await self._standing(batch.DepositDate)
                missing = not_standing(due, standing)
                entry.stood += [one.key for one in due if one not in missing]
                due = missing
                if not due:
                    return
                number = self._next_number(batch, standing)
                bank = self._pair.reconciliation.bank_code
                lines = [one.line for one in due]
                try:
                    await self._writer.create_cash_receipts(bank, batch.DepositDate, number, lines)
                except AlreadyExists:
                    # Somebody took the number since it was looked for: what stands now decides.
                    continue
                except Refused as error:
                    refused = error
                    break
            entry.deposits.append(number)
            entry.entered += [one.key for one in due]
            return
        else:
            raise ApplicationError(
                f"A deposit {batch.prefix}… of {batch.DepositDate} exists in Sage, and its receipts cannot be read: "
                "finish or delete that deposit in Cash Receipts Entry. Tried again by itself.",
                type=FailureType.UNAVAILABLE,
            )
        if len(due) == 1 or refused.field in HEADER:
            entry.refused |= {one.payment: refused.message for one in due}
            return
        # One of them is at fault: the others are entered without it.
        half = len(due) // 2
        await self._enter(batch, due[:half], entry)
        await self._enter(batch, due[half:], entry)

    async def _standing(self, day: date) -> list[Receipt]:
        """Receipts of the bank: all that are not posted, then those of the day and of today."""
        bank = self._pair.reconciliation.bank_code
        # In this order a batch that is posted meanwhile is seen twice, never missed.
        found = await self._ledger.unposted_receipts(bank)
        for each in dict.fromkeys((day, datetime.now(self._pair.company.zone).date())):
            found += await self._ledger.receipts_on(bank, each)
        return found

    def _next_number(self, batch: ReceiptBatch, standing: Iterable[Receipt]) -> str:
        taken = {one.DepositNo for one in standing if one.DepositDate == batch.DepositDate}
        try:
            return next_deposit_no(batch.prefix, taken)
        except ValueError as error:
            raise ApplicationError(
                f"{error}: enter the rest by hand, or post it under another day.", type=FailureType.UNAVAILABLE
            ) from None


class _Entry:
    """How far a batch is."""

    def __init__(self) -> None:
        self.deposits: list[str] = []
        self.entered: list[str] = []
        self.stood: list[str] = []
        self.refused: dict[str, str] = {}


def not_standing(due: Sequence[DueReceipt], standing: Iterable[Receipt]) -> list[DueReceipt]:
    """What is not in Sage yet; a receipt there stands for one of ours, that of the same amount first."""
    rest = list(standing)
    missing = []
    for one in due:
        beside = {_place(each) for each in one.beside}
        same = [each for each in rest if one.line.stands_as(each) and _place(each) not in beside]
        same.sort(key=lambda each: each.amount != one.line.CashAmountApplied)
        if same:
            rest.remove(same[0])
        else:
            missing.append(one)
    return missing


def _place(receipt: Receipt) -> tuple[object, ...]:
    """Where a receipt stands, posted or not yet."""
    return receipt.DepositDate, receipt.DepositNo, receipt.InvoiceNo, receipt.amount
