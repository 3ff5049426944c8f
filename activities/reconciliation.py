"""Comparing the books, and writing the files (docs/reconciliation.md). Runs on `orders`.

In: `CompareBooks`. The books themselves come from the workflow, sheet by sheet, as answers to a query: an argument with
all of them would be larger than a payload may be, and what the workflow has is the same on every machine and attempt.
Out: `ReconciliationResult`. Files are replaced whole: written under another name first, then renamed.
"""

import asyncio
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Final, TypeVar

from pydantic import TypeAdapter
from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError

from activities.money import LISTED, ORDERS, RECEIPTS, SALES_ORDERS, heartbeats
from contracts import search_attributes as attributes
from contracts.failures import FailureType
from contracts.ids import order_id_of
from contracts.reconciliation import CompareBooks, ReconciliationResult, Sheet, SheetKind
from contracts.retry import INTERNAL_ERROR_ATTEMPTS, TEMPORAL_CALL
from contracts.search_attributes import OrderState
from mappings.differences import OrderResult
from mappings.ledger import GatewayPayment, Ledger, ListEntry, Payout, WebOrder
from mappings.pair import Pair
from mappings.problems import Problem
from mappings.reconciliation import list_due, reconcile
from mappings.reconciliation_files import BOOKED, LEFT, files, read_booked, whole_list
from mappings.reconciliation_report import Report, report
from mappings.web_money import merge_payments

PAYOUTS: Final = TypeAdapter(list[Payout])
IDS: Final = TypeAdapter(list[str])
ENTRIES: Final = TypeAdapter(list[ListEntry])
T = TypeVar("T")

FINDINGS_KEPT: Final = 20
CARRIED: Final = 2_000
"""Unexplained orders that the next nightly run looks at whatever their day."""
FOLDERS_TRIED: Final = 9

RESERVED_ON_WINDOWS: Final = {"con", "prn", "aux", "nul"} | {f"{name}{n}" for name in ("com", "lpt") for n in range(10)}
"""No folder can be called so there, and a pair may be."""


@contextmanager
def failures_of_the_disk() -> Iterator[None]:
    """The disk is full, or the folder is not the worker's: a few attempts, then the run fails, and people are told.

    Raises ApplicationError that names what the system refused and the setting, for any OSError inside.
    """
    try:
        yield
    except OSError as error:
        raise ApplicationError(
            f"The files of this run cannot be read or written: {error.strerror or error} ({error.filename}). "
            "Make room there, or let REPORTS_DIR name a folder in which the worker with the role `orders` may write; "
            "then start the run again.",
            [Problem(field=f"REPORTS_DIR ({error.strerror})", message=type(error).__name__).model_dump()],
            type=FailureType.INTERNAL_ERROR,
            non_retryable=activity.info().attempt >= INTERNAL_ERROR_ATTEMPTS,
        ) from None


class ReconciliationActivities:
    """`reports` is REPORTS_DIR."""

    def __init__(self, pairs: Mapping[str, Pair], client: Client, reports: Path) -> None:
        self._pairs = pairs
        self._client = client
        self._reports = reports

    @activity.defn
    async def compare_books(self, request: CompareBooks) -> ReconciliationResult:
        """Compare, write, add up."""
        async with heartbeats():
            sheets = await sheets_of_caller(self._client, request.sheets)
            waiting = await orders_on_their_way(self._client, request.pair)
            return await asyncio.to_thread(self._compare, request, sheets, waiting)

    @failures_of_the_disk()
    def _compare(self, request: CompareBooks, sheets: list[Sheet], waiting: Mapping[str, str]) -> ReconciliationResult:
        pair = self._pairs[request.pair]
        ledger = ledger_of(request.since, request.until, request.as_of, sheets, waiting)
        home = self._reports / folder_of(pair.name)
        ledger = ledger.model_copy(
            update={
                "payouts": ledger.payouts if request.tells_payouts else None,
                "opening": request.opening,
                "left": left_to_accounting(home, pair.company.currency),
            }
        )
        # What was booked for orders outside the range is another run's business.
        ours = {one.order_id for one in ledger.orders}
        booked = [
            one
            for one in booked_in(home / BOOKED)
            if one.order_id in ours or (one.day is not None and ledger.since <= one.day <= ledger.until)
        ]
        listed = whole_list(list_due(ledger, pair), booked)
        ledger = ledger.model_copy(update={"accounting_list": listed})
        results = reconcile(ledger, pair)
        whole = report(ledger, results, pair.name, pair.company.currency)
        name = write_files(home, f"{request.since}_{request.until}", files(whole, results, listed))
        return result_of(request, whole, results, f"{home.name}/{name}")


async def sheets_of_caller(client: Client, number: int) -> list[Sheet]:
    """The sheets of the workflow that called this activity."""
    info = activity.info()
    workflow = client.get_workflow_handle(info.workflow_id or "", run_id=info.workflow_run_id)
    return [
        await workflow.query("sheet", place, result_type=Sheet, rpc_timeout=TEMPORAL_CALL) for place in range(number)
    ]


async def orders_on_their_way(client: Client, pair: str) -> dict[str, str]:
    """Orders that Sage does not have yet, with the reason: `held: credit`."""
    states = ", ".join(f"'{state.value}'" for state in (OrderState.RECEIVED, OrderState.HELD))
    query = (
        f"WorkflowType='OrderFulfillmentWorkflow' AND Pair='{pair}' AND ExecutionStatus='Running' "
        f"AND OrderState IN ({states})"
    )
    found = {}
    async for run in client.list_workflows(query):
        order_id = order_id_of(pair, run.id)
        if order_id is not None:
            state = run.typed_search_attributes.get(attributes.ORDER_STATE) or OrderState.RECEIVED.value
            reason = run.typed_search_attributes.get(attributes.HOLD_REASON)
            found[order_id] = f"{state}: {reason}" if reason else state
    return found


def left_to_accounting(home: Path, currency: str) -> list[ListEntry]:
    """What the runs of the cash receipts left to a person, by their file; nothing without one."""
    try:
        entries = ENTRIES.validate_json((home / LEFT).read_bytes())
    except FileNotFoundError:
        return []
    return [one for one in entries if one.currency == currency]


def ledger_of(since: date, until: date, as_of: date, sheets: list[Sheet], waiting: Mapping[str, str]) -> Ledger:
    """Both books: the orders that are looked at, with what the list of payments knows more of them."""

    def on(kind: SheetKind, adapter: TypeAdapter[list[T]]) -> list[T]:
        return [one for sheet in sheets if sheet.kind is kind for one in adapter.validate_json(sheet.content)]

    sought = set(on(SheetKind.SOUGHT, IDS))
    listed: dict[str, list[GatewayPayment]] = {}
    for entry in on(SheetKind.LISTED, LISTED):
        listed.setdefault(entry.order_id, []).append(entry.payment)
    latest = {order.order_id: order for order in on(SheetKind.ORDERS, ORDERS)}
    orders, elsewhere = [], []
    for order in latest.values():
        payments = merge_payments(order.payments, listed.pop(order.order_id, []))
        if order.order_id in sought:
            waits = order.waits or waiting.get(order.order_id, "")
            orders.append(order.model_copy(update={"payments": payments, "waits": waits}))
        else:
            elsewhere += [one.transaction_id for one in payments if one.transaction_id]
    for order_id, entries in listed.items():
        if order_id in sought:
            orders.append(WebOrder(order_id=order_id, known=False, payments=merge_payments([], entries)))
        else:
            elsewhere += [one.transaction_id for one in entries if one.transaction_id]
    return Ledger(
        since=since,
        until=until,
        as_of=as_of,
        orders=orders,
        sales_orders=on(SheetKind.SALES_ORDERS, SALES_ORDERS),
        receipts=on(SheetKind.RECEIPTS, RECEIPTS),
        payouts=on(SheetKind.PAYOUTS, PAYOUTS),
        elsewhere=elsewhere,
    )


def result_of(request: CompareBooks, whole: Report, results: list[OrderResult], folder: str) -> ReconciliationResult:
    """What travels back: sums, and the largest of what is unexplained."""
    unexplained = [one for result in results for one in result.differences if not one.reason.explained]
    unexplained.sort(key=lambda one: (-abs(one.amount), one.order_id, one.SalesOrderNo))
    return ReconciliationResult(
        since=whole.since,
        until=whole.until,
        as_of=whole.as_of,
        currency=whole.currency,
        orders=whole.orders,
        reasons=whole.reasons,
        controls=whole.controls,
        customer_deposits=whole.customer_deposits,
        ageing=whole.ageing,
        unexplained=len(unexplained),
        findings=unexplained[:FINDINGS_KEPT],
        payouts=None if whole.payouts is None else len(whole.payouts),
        payouts_differ=whole.payouts_differ,
        unreadable=request.unreadable,
        folder=folder,
        carried=list(dict.fromkeys(one.order_id for one in unexplained if one.order_id))[:CARRIED],
    )


def folder_of(pair: str) -> str:
    """The pair's folder of reports: its name, where every system can have a folder of that name."""
    return f"{pair}_" if pair in RESERVED_ON_WINDOWS else pair


def booked_in(file: Path) -> list[ListEntry]:
    """What accounting booked of its list; nothing without the file. Raises ApplicationError that names the line."""
    try:
        return read_booked(file.read_bytes())
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise ApplicationError(
            f"{file.name} of the accounting list cannot be read: {error}. Correct it; the run goes on by itself.",
            type=FailureType.UNAVAILABLE,
        ) from None


def write_files(home: Path, name: str, contents: Mapping[str, bytes]) -> str:
    """Write each file whole, in the given order; returns the folder's name.

    A file that a spreadsheet keeps open on Windows cannot be replaced: then all go into another folder.
    """
    for number in range(1, FOLDERS_TRIED + 1):
        folder = home / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for file, content in contents.items():
                replace(folder / file, content)
        except PermissionError:
            if number == FOLDERS_TRIED:
                raise
            continue
        return folder.name
    raise AssertionError("unreachable")


def replace(file: Path, content: bytes) -> None:
    """All or nothing: a reader sees the old file or the new one."""
    temporary = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
    try:
        temporary.write_bytes(content)
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
