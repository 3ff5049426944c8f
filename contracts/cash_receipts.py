"""What travels between `CashReceiptsWorkflow`, the activity that decides, and the one that writes.

Additive, as all messages. No personal data: ids, codes, days and amounts. Lists are bounded by those who fill them.
"""

import hashlib
from datetime import date
from decimal import Decimal

from contracts.reconciliation import ReconciliationStart
from mappings.cash_receipts import Decision, Outcome, ReceiptBatch, Why
from mappings.frozen import Frozen


class CashReceiptsStart(ReconciliationStart):
    """Start argument of `CashReceiptsWorkflow`. Without a range it is a nightly run, up to yesterday."""

    dry_run: bool = False
    """Decide and write the files; nothing is entered in Sage."""


class PlanReceipts(Frozen):
    """`plan_receipts`: ask the workflow for its sheets, decide about every payment, write the files."""

    pair: str
    since: date
    until: date
    as_of: date
    sheets: int
    receipts_since: date
    """Receipts of earlier days were not read: payments of earlier days cannot be entered."""
    entered: list[str] = []
    """`short` of the receipts that this run has entered, whether Sage shows them yet or not."""
    refused: dict[str, str] = {}
    """`DueReceipt.payment` → Sage's words."""
    card_types: list[str] = []


class ReceiptPlan(Frozen):
    """What is to be entered now, and how all payments fare."""

    batches: list[ReceiptBatch] = []
    """At most some thousand receipts; what is more comes with the next plan."""
    read_since: date | None = None
    """Receipts since this day must be read first, then decide again: nothing is to be entered yet."""
    outcomes: dict[Outcome, int] = {}
    why: dict[Why, int] = {}
    """Of what waits and what is on the list."""
    listed: list[str] = []
    """`short` of each entry of the accounting list."""
    left: list[Decision] = []
    """The first entries of the list, the largest first."""
    listed_amount: Decimal = Decimal(0)
    """Σ of what the list has in the company's currency."""
    waiting: list[str] = []
    """Orders that Sage does not have or has not invoiced yet: the next nightly run looks at them whatever their day."""
    folder: str = ""
    """Where the files are: below REPORTS_DIR of the process that wrote them."""


class WriteReceipts(Frozen):
    """`write_cash_receipts`: enter a batch, exactly once."""

    pair: str
    batch: ReceiptBatch


class ReceiptsWritten(Frozen):
    """What became of a batch: every receipt of it is entered, stood there before, or was refused."""

    deposits: list[str] = []
    """DepositNos that were entered; several where Sage refused a part, none where everything stood there."""
    entered: list[str] = []
    """`DueReceipt.key`s."""
    stood: list[str] = []
    """Likewise: entered by an earlier attempt, an earlier run or a person."""
    refused: dict[str, str] = {}
    """`DueReceipt.payment` → Sage's words."""
    card_type: bool = False
    """Nothing was entered: the payment type would charge a card or a bank account."""


class CashReceiptsResult(Frozen):
    """Result of the workflow and answer of the query `result`; the nightly run's is the memory of the next one."""

    since: date
    until: date
    currency: str = ""
    dry_run: bool = False
    due: int = 0
    """Receipts that a dry run would enter."""
    entered: int = 0
    """Receipts that this run entered."""
    amount: Decimal = Decimal(0)
    """Σ of them, or of what a dry run would enter."""
    deposits: list[str] = []
    """`{DepositDate} {DepositNo}` of each."""
    outcomes: dict[Outcome, int] = {}
    why: dict[Why, int] = {}
    listed: list[str] = []
    """What stands on the accounting list, so that the next run knows what is new."""
    listed_amount: Decimal = Decimal(0)
    new: int = 0
    """Entries that the last nightly run had not; by hand all of them."""
    left: list[Decision] = []
    unreadable: int = 0
    """Payments at Clarity that make no sense."""
    waiting: list[str] = []
    folder: str = ""


def short(key: str) -> str:
    """A key as it is remembered: runs carry thousands."""
    return hashlib.sha256(key.encode()).hexdigest()[:12]
