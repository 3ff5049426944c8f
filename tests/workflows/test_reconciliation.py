"""`PaymentReconciliationWorkflow`: both books in pages, files, one alert, what the next night remembers."""

import asyncio
import csv
import json
import uuid
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from temporalio import activity
from temporalio.client import (
    Schedule,
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionStartWorkflow,
    ScheduleSpec,
    WorkflowFailureError,
    WorkflowHandle,
)
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.testing import ActivityEnvironment, WorkflowEnvironment
from temporalio.worker import Worker

from activities.money import LISTED, ORDERS, RECEIPTS, SALES_ORDERS
from activities.reconciliation import (
    ReconciliationActivities,
    failures_of_the_disk,
    folder_of,
    left_to_accounting,
    write_files,
)
from contracts import queues
from contracts.messages import Alert, AlertKind
from contracts.reconciliation import (
    FindBilledOrders,
    FindOpenDeposits,
    MoneyPage,
    OrdersFound,
    PaymentsRead,
    PayoutsRead,
    ReadReceipts,
    ReadSageMoney,
    ReadWebOrders,
    ReceiptsRead,
    ReconciliationResult,
    ReconciliationStart,
    SageMoneyRead,
    WebOrdersRead,
)
from mappings.differences import Reason, Status
from mappings.ledger import DepositedOrder, OrderNamed, Receipt, WebOrder
from mappings.pair import Pace, Pair, PaymentRoute, PaymentRule
from mappings.web_money import ListedPayment
from tests.support.books import FIRST, GATEWAYS, LAST, TYPES, Books
from tests.workflows.conftest import PAIR, STARTED, end_what_still_runs
from workers.by_hand import why
from workers.roles import WORKFLOWS
from workflows.payment_reconciliation import PaymentReconciliationWorkflow

pytestmark = pytest.mark.asyncio(loop_scope="session")

PACE = Pace(retry_initial=0.05, retry_maximum=0.2)
NUMBER = 120
PAGE = 300
"""Orders in one call of the stand-in."""


def pair_of_books() -> Pair:
    rules = [
        PaymentRule(gateway=gateway, payment_type=TYPES[gateway], route=PaymentRoute(route))
        for gateway, route in GATEWAYS.items()
    ]
    return PAIR.model_copy(update={"name": "books", "payments": rules})


class Desks:
    """Both systems, as the activities would read them."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.alerts: list[Alert] = []
        self.calls: list[str] = []
        self.ids: list[str] = []
        self.since: list[datetime] = []
        self.moved = 0
        """Readings of the list of orders during which it moved."""
        self.refuse = False
        self.hidden: set[str] = set()
        """Orders that the list leaves out and that can be asked for."""
        ledger = books.ledger()
        self.orders: dict[str, WebOrder] = {one.order_id: one for one in ledger.orders}
        self.sold: list[DepositedOrder] = ledger.sales_orders
        self.receipts: list[Receipt] = ledger.receipts
        self.payouts = ledger.payouts

    @cached_property
    def listed(self) -> list[ListedPayment]:
        """Made once: what a stand-in works out, the workflow beside it waits for."""
        return [
            ListedPayment(order_id=name, payment=payment)
            for name in sorted(self.orders)
            for payment in self.orders[name].payments
        ]

    def read(self, names: list[str], page: MoneyPage | None = None, **more: Any) -> WebOrdersRead:
        """Orders without what only the list of payments knows."""
        plain = [
            order.model_copy(
                update={"payments": [p.model_copy(update={"fee": Decimal(0), "payout_id": ""}) for p in order.payments]}
            )
            for order in (self.orders[name] for name in names)
        ]
        paid = [
            order.order_id
            for order in plain
            if page and any(p.date and page.first <= p.date.date() <= page.last for p in order.payments)
        ]
        days = {one.order_id: [p.date.date() for p in one.payments if p.date is not None] for one in plain}
        return WebOrdersRead(
            keys={name: ["", f"W-{name}"] for name in names},
            first_days={name: min(found) for name, found in days.items() if found and min(found) < FIRST},
            content=ORDERS.dump_json(plain).decode(),
            paid=paid,
            **more,
        )

    @activity.defn
    async def list_web_orders(self, request: MoneyPage) -> WebOrdersRead:
        self.calls.append("list_web_orders")
        self.since.append(request.since)
        if self.refuse:
            raise ApplicationError("no such list", type="RefusedByClarity", non_retryable=True)
        names = sorted(name for name in self.orders if name not in self.hidden)
        some = names[request.page * PAGE : (request.page + 1) * PAGE]
        total = len(names)
        last = (request.page + 1) * PAGE >= total
        if last and self.moved:
            self.moved -= 1
            total += 1
        next_page = None if last else request.page + 1
        return self.read(some, request, entries=len(some), total=total, next_page=next_page)

    @activity.defn
    async def read_web_orders(self, request: ReadWebOrders) -> WebOrdersRead:
        self.ids += request.order_ids
        found = [name for name in request.order_ids if name in self.orders]
        return self.read(found, missing=[name for name in request.order_ids if name not in found])

    @activity.defn
    async def list_gateway_payments(self, request: MoneyPage) -> PaymentsRead:
        listed = self.listed
        some = listed[request.page * PAGE : (request.page + 1) * PAGE]
        last = (request.page + 1) * PAGE >= len(listed)
        paid = [
            one.order_id
            for one in some
            if one.payment.date is not None and request.first <= one.payment.date.date() <= request.last
        ]
        return PaymentsRead(
            content=LISTED.dump_json(some).decode(), paid=list(dict.fromkeys(paid)),
            entries=len(some), total=len(listed), next_page=None if last else request.page + 1,
        )  # fmt: skip

    @activity.defn
    async def list_payouts(self, request: MoneyPage) -> PayoutsRead:
        return PayoutsRead(payouts=self.payouts)

    @activity.defn
    async def find_billed_orders(self, request: FindBilledOrders) -> OrdersFound:
        found = [
            OrderNamed(SalesOrderNo=one.SalesOrderNo, web_order_id=one.web_order_id)
            for one in self.sold
            if any(bill.posted and bill.InvoiceDate in request.days for bill in one.invoices)
        ]
        return OrdersFound(orders=found)

    @activity.defn
    async def find_open_deposits(self, request: FindOpenDeposits) -> OrdersFound:
        found = [
            OrderNamed(SalesOrderNo=one.SalesOrderNo, web_order_id=one.web_order_id)
            for one in self.sold
            if one.DepositAmt
        ]
        return OrdersFound(orders=found)

    @activity.defn
    async def read_sage_money(self, request: ReadSageMoney) -> SageMoneyRead:
        self.calls.append("read_sage_money")
        wanted = {one.order_id for one in request.orders}
        by_web = {one.web_order_id: one for one in self.sold if one.web_order_id in wanted}
        by_number = {one.SalesOrderNo: one for one in self.sold if not one.web_order_id}
        found = [by_web.get(one.order_id) if one.order_id else by_number[one.numbers[0]] for one in request.orders]
        return SageMoneyRead(content=SALES_ORDERS.dump_json([one for one in found if one is not None]).decode())

    @activity.defn
    async def read_cash_receipts(self, request: ReadReceipts) -> ReceiptsRead:
        wanted = [one for one in self.receipts if one.posted and one.DepositDate in request.days]
        wanted += [one for one in self.receipts if not one.posted and request.unposted]
        return ReceiptsRead(content=RECEIPTS.dump_json(wanted).decode())

    @activity.defn
    async def raise_alert(self, alert: Alert) -> None:
        self.alerts.append(alert)


@pytest_asyncio.fixture(loop_scope="session")
async def desks(env: WorkflowEnvironment, tmp_path: Path) -> AsyncIterator[Desks]:
    """Workers for a pair of its own; its files are in `tmp_path`."""
    await end_what_still_runs(env.client)
    one = Desks(Books(7, NUMBER))
    compare = ReconciliationActivities({"books": pair_of_books()}, env.client, tmp_path)
    sets: list[tuple[str, list[Any], list[Any]]] = [
        (queues.ORDERS, list(WORKFLOWS), [compare.compare_books, one.raise_alert]),
        (
            queues.clarity("books"),
            [],
            [one.list_web_orders, one.read_web_orders, one.list_gateway_payments, one.list_payouts],
        ),
        (
            queues.sage_read("books"),
            [],
            [one.find_billed_orders, one.find_open_deposits, one.read_sage_money, one.read_cash_receipts],
        ),
    ]
    workers = [
        Worker(
            env.client, task_queue=queue, workflows=workflows, activities=activities,
            activity_executor=ThreadPoolExecutor(2),
        )
        for queue, workflows, activities in sets
    ]  # fmt: skip
    running = [asyncio.create_task(worker.run()) for worker in workers]
    try:
        yield one
    finally:
        await end_what_still_runs(env.client)
        await asyncio.gather(*(worker.shutdown() for worker in workers))
        await asyncio.gather(*running)


def start_of(**more: Any) -> ReconciliationStart:
    days = {"since": FIRST, "until": LAST} | more
    return ReconciliationStart(pair="books", pace=PACE, time_zone="America/Chicago", **days)


async def begin(
    env: WorkflowEnvironment, start: ReconciliationStart
) -> WorkflowHandle[PaymentReconciliationWorkflow, ReconciliationResult]:
    handle = await env.client.start_workflow(
        PaymentReconciliationWorkflow.run, start, id=f"reconcile-books-{uuid.uuid4().hex}", task_queue=queues.ORDERS
    )
    STARTED.append(handle)
    return handle


async def test_books_that_agree_raise_no_alert_and_leave_their_files(
    env: WorkflowEnvironment, desks: Desks, tmp_path: Path
) -> None:
    handle = await begin(env, start_of())
    result = await asyncio.wait_for(handle.result(), 60)
    assert (result.unexplained, result.payouts_differ, result.controls.adds_up) == (0, 0, True)
    assert sum(result.orders.values()) == NUMBER
    assert desks.alerts == []
    assert desks.since[0] == datetime(2026, 9, 17, 5, tzinfo=UTC)
    folder = tmp_path / result.folder
    assert result.folder == "books/2026-10-01_2026-10-31"
    assert sorted(file.name for file in folder.iterdir()) == [
        "accounting_list.csv", "differences.csv", "orders.csv", "payouts.csv", "summary.json", "totals.csv",
    ]  # fmt: skip
    assert json.loads((folder / "summary.json").read_text("utf-8"))["controls"]["adds_up"] is True
    assert await handle.query(PaymentReconciliationWorkflow.result) == result
    assert (await handle.query(PaymentReconciliationWorkflow.sheet, 99)).content == "[]"


async def test_a_wrong_deposit_is_one_alert_with_counts_and_the_place_of_the_files(
    env: WorkflowEnvironment, desks: Desks, tmp_path: Path
) -> None:
    place = next(n for n, one in enumerate(desks.sold) if one.DepositAmt and not one.invoices)
    wrong = desks.sold[place]
    desks.sold[place] = wrong.model_copy(update={"DepositAmt": wrong.DepositAmt + Decimal("0.01")})
    result = await (await begin(env, start_of())).result()
    assert [(one.order_id, one.reason, one.amount) for one in result.findings] == [
        (wrong.web_order_id, Reason.OFF_BY, Decimal("0.01"))
    ]
    assert result.carried == [wrong.web_order_id]
    assert [alert.kind for alert in desks.alerts] == [AlertKind.RECONCILIATION]
    text = desks.alerts[0].text
    assert "1 orders with unexplained money (1 off_by)" in text
    assert "books/2026-10-01_2026-10-31" in text
    with (tmp_path / result.folder / "differences.csv").open(encoding="utf-8-sig", newline="") as file:
        first = next(csv.DictReader(file))
    assert (first["order_id"], first["status"], first["amount"]) == (wrong.web_order_id, "unexplained", "0.01")


async def test_a_list_that_moves_is_read_again(env: WorkflowEnvironment, desks: Desks) -> None:
    desks.moved = 1
    result = await (await begin(env, start_of())).result()
    assert desks.calls.count("list_web_orders") == 2
    assert result.orders[Status.UNEXPLAINED] == 0


async def test_orders_that_only_the_payments_or_sage_name_are_asked_for(env: WorkflowEnvironment, desks: Desks) -> None:
    desks.hidden = set(sorted(desks.orders)[:3])
    result = await (await begin(env, start_of())).result()
    assert set(desks.ids) == desks.hidden
    assert sum(result.orders.values()) == NUMBER
    assert result.unexplained == 0


@pytest.mark.parametrize("hidden", [False, True])
async def test_what_was_paid_long_before_its_invoice_is_not_missing(
    env: WorkflowEnvironment, desks: Desks, hidden: bool
) -> None:
    """A pre-order, an open deposit, a credit memo: Sage names the order, its receipt is older than the range."""
    before = timedelta(days=150)
    billed = {one.web_order_id for one in desks.sold if any(bill.posted for bill in one.invoices)}
    place, order = next(
        (place, order)
        for place, one in enumerate(desks.receipts)
        for order in desks.orders.values()
        if one.posted and one.DepositDate and order.order_id in billed
        and [p.transaction_id.endswith(one.CheckNo) or p.transaction_id.startswith(one.CheckNo)
             for p in order.payments] == [True]
    )  # fmt: skip
    (payment,) = order.payments
    assert payment.date is not None
    older = [payment.model_copy(update={"date": payment.date - before})]
    desks.orders[order.order_id] = order.model_copy(update={"payments": older})
    receipt = desks.receipts[place]
    assert receipt.DepositDate is not None
    desks.receipts[place] = receipt.model_copy(update={"DepositDate": receipt.DepositDate - before})
    desks.hidden = {order.order_id} if hidden else set()
    result = await (await begin(env, start_of())).result()
    assert [(one.order_id, one.reason) for one in result.findings] == []


@pytest.mark.parametrize("number", ["0007777", "0008888"])
async def test_orders_of_another_store_on_the_same_company_are_no_strangers(
    env: WorkflowEnvironment, desks: Desks, number: str
) -> None:
    theirs = next(one for one in desks.sold if one.DepositAmt and not one.invoices)
    named = {"SalesOrderNo": "0007777", "web_order_id": "sister-1", "reference": ""}
    desks.sold.append(theirs.model_copy(update=named))

    @activity.defn
    async def read_web_orders(request: ReadWebOrders) -> WebOrdersRead:
        assert (request.pair, request.order_ids) == ("sister", ["sister-1"])
        return WebOrdersRead(keys={"sister-1": [number, ""]})

    async with Worker(env.client, task_queue=queues.clarity("sister"), activities=[read_web_orders]):
        result = await (await begin(env, start_of(same_company=["sister"]))).result()
    unknown = [] if number == "0007777" else [("sister-1", Reason.NO_ORDER_IN_CLARITY)]
    assert [(one.order_id, one.reason) for one in result.findings] == unknown


async def test_a_refusal_is_told_and_fails_the_run(env: WorkflowEnvironment, desks: Desks) -> None:
    desks.refuse = True
    handle = await begin(env, start_of())
    with pytest.raises(WorkflowFailureError):
        await handle.result()
    assert [alert.kind for alert in desks.alerts] == [AlertKind.RECONCILIATION]
    assert "could not be done (reads Clarity's orders): RefusedByClarity. " in desks.alerts[0].text


async def test_a_nightly_run_ends_yesterday_and_looks_again_at_what_the_last_one_left(
    env: WorkflowEnvironment, desks: Desks
) -> None:
    lost = next(one for one in desks.sold if one.DepositAmt and not one.invoices)
    desks.sold.remove(lost)
    id_ = f"reconcile-{uuid.uuid4().hex}"
    days = (datetime.now(UTC).date() - FIRST).days + 2
    argument = ReconciliationStart(pair="books", pace=PACE, time_zone="America/Chicago", days=days)
    action = ScheduleActionStartWorkflow(PaymentReconciliationWorkflow.run, argument, id=id_, task_queue=queues.ORDERS)
    schedule = await env.client.create_schedule(
        id_, Schedule(action=action, spec=ScheduleSpec()), trigger_immediately=True
    )

    async def results(number: int) -> list[ReconciliationResult]:
        for _ in range(600):
            described = await schedule.describe()
            if described.info.num_actions >= number and not described.info.running_actions:
                break
            await asyncio.sleep(0.05)
        runs = [one.action for one in described.info.recent_actions]
        ids = [run.workflow_id for run in runs if isinstance(run, ScheduleActionExecutionStartWorkflow)]
        handles = [env.client.get_workflow_handle(name, result_type=ReconciliationResult) for name in ids]
        return [await handle.result() for handle in handles]

    try:
        (first,) = await results(1)
        assert first.carried == [lost.web_order_id]
        assert first.until == (datetime.now(pair_of_books().company.zone) - timedelta(days=1)).date()
        order = desks.orders[lost.web_order_id]
        old = [one.model_copy(update={"date": datetime(2020, 1, 5, tzinfo=UTC)}) for one in order.payments]
        desks.orders[lost.web_order_id] = order.model_copy(update={"payments": old})
        desks.hidden = {lost.web_order_id}
        await schedule.trigger()
        second = (await results(2))[-1]
        assert [one.reason for one in second.findings] == [Reason.MISSING_IN_SAGE]
        assert second.ageing[-1].unexplained == 1
    finally:
        await schedule.delete()


async def test_thousands_of_orders_stay_below_what_a_history_may_be(env: WorkflowEnvironment, desks: Desks) -> None:
    many = Desks(Books(11, 1_200))
    desks.orders, desks.sold, desks.receipts, desks.payouts = many.orders, many.sold, many.receipts, many.payouts
    handle = await begin(env, start_of())
    result = await asyncio.wait_for(handle.result(), 120)
    assert (sum(result.orders.values()), result.unexplained) == (1_200, 0)
    history = await handle.fetch_history()
    sizes = [event.ByteSize() for event in history.events]
    print(f"{len(sizes)} events, {sum(sizes) / 1e6:.2f} MB, the largest {max(sizes) / 1e3:.0f} kB")
    assert len(sizes) < 250
    assert max(sizes) < 256 * 1024


# ---- files ----------------------------------------------------------------------------------------------------------


async def test_files_are_replaced_whole_and_another_folder_is_taken_when_one_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert write_files(tmp_path, "range", {"a.csv": b"1"}) == "range"
    assert write_files(tmp_path, "range", {"a.csv": b"2"}) == "range"
    assert (tmp_path / "range/a.csv").read_bytes() == b"2"
    replace = Path.replace

    def open_in_a_spreadsheet(file: Path, target: Path) -> Path:
        if target.parent.name == "range":
            raise PermissionError("in use")
        return replace(file, target)

    monkeypatch.setattr(Path, "replace", open_in_a_spreadsheet)
    assert write_files(tmp_path, "range", {"a.csv": b"3"}) == "range-2"
    assert [file.name for file in (tmp_path / "range").iterdir()] == ["a.csv"]
    assert (folder_of("demo"), folder_of("con")) == ("demo", "con_")


async def test_a_folder_that_cannot_be_written_is_named_with_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    under_a_file = tmp_path / "file" / "demo"

    def as_an_activity(step: Callable[[], object]) -> None:
        with failures_of_the_disk():
            step()

    environment = ActivityEnvironment()
    for step in (lambda: left_to_accounting(under_a_file, "USD"), lambda: write_files(under_a_file, "range", {})):
        with pytest.raises(ApplicationError) as refusal:
            environment.run(as_an_activity, step)
        assert "Not a directory" in refusal.value.message
        assert "REPORTS_DIR" in refusal.value.message
        assert not refusal.value.non_retryable
    failed = ActivityError(
        "Activity task failed",
        scheduled_event_id=1,
        started_event_id=2,
        identity="",
        activity_type="compare_books",
        activity_id="1",
        retry_state=None,
    )
    failed.__cause__ = refusal.value
    assert why(WorkflowFailureError(cause=failed)) == refusal.value.message
