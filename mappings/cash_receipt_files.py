"""The files of a run of the cash receipts: every payment with what became of it, and what a person books.

In: decisions. Out: the files' names and bytes, the same for the same input, in the form of
`mappings.reconciliation_files`. docs/flows.md describes every column. No personal data.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Final

from mappings.cash_receipts import Decision, Outcome
from mappings.ledger import ListEntry
from mappings.reconciliation_files import Cell, masked, table

PAYMENTS: Final = "payments.csv"
ACCOUNTING_LIST: Final = "accounting_list.csv"
ACCOUNTING_LIST_JSON: Final = "accounting_list.json"

PAYMENT_COLUMNS: Final = (
    "order_id", "SalesOrderNo", "gateway", "transaction_id", "type", "day", "amount", "currency", "route", "outcome",
    "why", "receipts", "remark",
)  # fmt: skip
LIST_COLUMNS: Final = (
    "order_id", "gateway", "transaction_id", "day", "amount", "currency", "booked", "reason", "SalesOrderNo", "remark",
)  # fmt: skip
"""The first seven are those of `booked.csv`: accounting copies rows."""
OPEN: Final = (Outcome.LIST, Outcome.BOOKED)


def files(decisions: Sequence[Decision]) -> dict[str, bytes]:
    """Name → content, in the order in which they are to be written."""
    rows = sorted(decisions, key=lambda one: (one.order_id, str(one.day), one.type, one.transaction_id, one.amount))
    listed = [one for one in rows if one.outcome in OPEN]
    return {
        PAYMENTS: table(PAYMENT_COLUMNS, (payment_row(one) for one in rows)),
        ACCOUNTING_LIST: table(LIST_COLUMNS, (list_row(one) for one in listed)),
        ACCOUNTING_LIST_JSON: as_json(listed),
    }


def payment_row(one: Decision) -> list[Cell]:
    """A row of payments.csv; `receipts` names what is to be entered: day, invoice or account, amount."""
    special: dict[str, Cell] = {
        "transaction_id": masked(one.transaction_id),
        "route": one.route.value if one.route is not None else "",
        "outcome": one.outcome.value,
        "why": one.why.value if one.why is not None else "",
        "receipts": "; ".join(
            f"{due.day} {due.line.InvoiceType.value} {due.line.InvoiceNo or due.line.AccountKey} "
            f"{due.line.CashAmountApplied}"
            for due in one.due
        ),
    }
    return [special[name] if name in special else getattr(one, name) for name in PAYMENT_COLUMNS]


def list_row(one: Decision) -> list[Cell]:
    """A row of accounting_list.csv."""
    special: dict[str, Cell] = {
        "transaction_id": masked(one.transaction_id),
        "booked": one.outcome is Outcome.BOOKED,
        "reason": one.why.value if one.why is not None else "",
    }
    return [special[name] if name in special else getattr(one, name) for name in LIST_COLUMNS]


def as_json(listed: Iterable[Decision]) -> bytes:
    """accounting_list.json: the same for programs."""
    content = [
        {**one.model_dump(mode="json", exclude={"due", "beside_deposit"}), "transaction_id": masked(one.transaction_id)}
        for one in listed
    ]
    return (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode()


def left_file(kept: Iterable[ListEntry], decisions: Iterable[Decision], looked_at: Iterable[str]) -> bytes:
    """The list over all runs: what other runs left, with the orders that this one looked at decided anew."""
    ours = set(looked_at)
    entries = [one for one in kept if one.order_id not in ours]
    entries += [one.entry() for one in decisions if one.outcome in OPEN]
    content = [one.model_dump(mode="json") for one in entries]
    return (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode()
