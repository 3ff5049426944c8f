"""The run of the cash receipts: what it enters it reads back, what it cannot enter a person hears of once."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
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
)
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.cash_receipts import ReceiptPlanActivities
from activities.money import LISTED, ORDERS, RECEIPTS, SALES_ORDERS
from contracts import queues
from contracts.cash_receipts import CashReceiptsResult, CashReceiptsStart, ReceiptsWritten, WriteReceipts
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
    SageMoneyRead,
    WebOrdersRead,
)
from mappings.canonical import PaymentType
from mappings.cash_receipts import Outcome, Why
from mappings.ledger import DepositedOrder, GatewayPayment, OrderInvoice, OrderNamed, Receipt, ReceiptOf, WebOrder
from mappings.pair import CashReceiptRules, Pace, PaymentRoute, PaymentRule, ReconciliationRules
from tests.workflows.conftest import PAIR, STARTED, end_what_still_runs
from workers.roles import WORKFLOWS
from workflows.cash_receipts import CashReceiptsWorkflow

pytestmark = pytest.mark.asyncio(loop_scope="session")
PACE = Pace(retry_initial=0.05, retry_maximum=0.2)
SINCE, UNTIL, BILLED = date(2026, 10, 1), date(2026, 10, 31), date(2026, 10, 20)
OWN = PAIR.model_copy(
    update={
        "name": "till",
        "payments": [
            PaymentRule(gateway="shop", payment_type="SHOP", route=PaymentRoute.ON_INVOICE),
            PaymentRule(gateway="card", payment_type="VISA", route=PaymentRoute.PREPAYMENT),
            PaymentRule(gateway="voucher", payment_type="VOUCH", route=PaymentRoute.LIST),
        ],
        "reconciliation": ReconciliationRules(bank_code="W"),
        "cash_receipts": CashReceiptRules(write=True, customer_deposits="000000215"),
    }
)


class Till:
    """Both systems, as the activities would read and write them."""

    def __init__(self) -> None:
        self.orders: dict[str, WebOrder] = {}
        self.sold: dict[str, DepositedOrder] = {}
        self.receipts: list[Receipt] = []
        self.invisible = 0
        """Readings of the receipts that do not show what was entered just now."""
        self.days: list[date] = []
        """Of which receipts were read."""
        self.writes: list[WriteReceipts] = []
        self.refused: set[str] = set()
        """Transactions that Sage refuses."""
        self.alerts: list[Alert] = []

    def order(self, gateway: str, amount: int = 100, *, paid: date = BILLED, order_id: str = "") -> WebOrder:
        """A web order, paid and invoiced."""
        number = len(self.orders) + 1
        payment = GatewayPayment(
            gateway=gateway, transaction_id=f"tr_{number:010d}", type=PaymentType.CAPTURE, amount=Decimal(amount),
            currency="USD", date=datetime(paid.year, paid.month, paid.day, 18, tzinfo=UTC),
        )  # fmt: skip
        order = WebOrder(order_id=order_id or f"{number}", payments=[payment])
        bill = OrderInvoice(
            InvoiceNo=f"{100_000 + number:07d}", posted=True, InvoiceDate=BILLED, total=Decimal(amount),
            Balance=Decimal(amount),
        )  # fmt: skip
        self.orders[order.order_id] = order
        self.sold[order.order_id] = DepositedOrder(
            SalesOrderNo=f"{number:07d}", web_order_id=order.order_id, ARDivisionNo="02", CustomerNo=f"W{number:06d}",
            live=False, open=False, invoices=[bill],
        )  # fmt: skip
        return order

    @activity.defn
    async def list_payouts(self, request: MoneyPage) -> PayoutsRead:
        return PayoutsRead()

    @activity.defn
    async def list_web_orders(self, request: MoneyPage) -> WebOrdersRead:
        return WebOrdersRead()

    @activity.defn
    async def list_gateway_payments(self, request: MoneyPage) -> PaymentsRead:
        return PaymentsRead(content=LISTED.dump_json([]).decode())

    @activity.defn
    async def read_web_orders(self, request: ReadWebOrders) -> WebOrdersRead:
        found = [self.orders[name] for name in request.order_ids]
        keys = {one.order_id: ["", f"W-{one.order_id}"] for one in found}
        return WebOrdersRead(keys=keys, content=ORDERS.dump_json(found).decode())

    @activity.defn
    async def find_billed_orders(self, request: FindBilledOrders) -> OrdersFound:
        if BILLED not in request.days:
            return OrdersFound()
        found = [OrderNamed(SalesOrderNo=one.SalesOrderNo, web_order_id=name) for name, one in self.sold.items()]
        return OrdersFound(orders=found)

    @activity.defn
    async def find_open_deposits(self, request: FindOpenDeposits) -> OrdersFound:
        return OrdersFound()

    @activity.defn
    async def read_sage_money(self, request: ReadSageMoney) -> SageMoneyRead:
        found = [self.sold[one.order_id] for one in request.orders if one.order_id in self.sold]
        return SageMoneyRead(content=SALES_ORDERS.dump_json(found).decode())

    @activity.defn
    async def read_cash_receipts(self, request: ReadReceipts) -> ReceiptsRead:
        assert request.all_types
        self.days += request.days
        if request.unposted and self.invisible:
            self.invisible -= 1
            return ReceiptsRead()
        found = [one for one in self.receipts if one.posted and one.DepositDate in request.days]
        found += [one for one in self.receipts if not one.posted and request.unposted]
        return ReceiptsRead(content=RECEIPTS.dump_json(found).decode())

    @activity.defn
    async def write_cash_receipts(self, request: WriteReceipts) -> ReceiptsWritten:
        self.writes.append(request)
        batch = request.batch
        if batch.due[0].line.PaymentType == "VISA":
            return ReceiptsWritten(card_type=True)
        good = [one for one in batch.due if one.transaction_id not in self.refused]
        for one in good:
            line = one.line
            self.receipts.append(
                Receipt(
                    posted=False, of=ReceiptOf.INVOICE, BankCode="W", DepositDate=batch.DepositDate,
                    DepositNo=f"{batch.prefix}01", ARDivisionNo=line.ARDivisionNo, CustomerNo=line.CustomerNo,
                    CheckNo=line.CheckNo, InvoiceNo=line.InvoiceNo, PaymentType=line.PaymentType,
                    amount=line.CashAmountApplied,
                )
            )  # fmt: skip
        refused = {one.payment: "The period is closed." for one in batch.due if one not in good}
        deposits = [f"{batch.prefix}01"] if good else []
        return ReceiptsWritten(deposits=deposits, entered=[one.key for one in good], refused=refused)

    @activity.defn
    async def raise_alert(self, alert: Alert) -> None:
        self.alerts.append(alert)


@pytest_asyncio.fixture(loop_scope="session")
async def till(env: WorkflowEnvironment, tmp_path: Path) -> AsyncIterator[Till]:
    """Workers for a pair of its own; its files are in `tmp_path`."""
    await end_what_still_runs(env.client)
    one = Till()
    plan = ReceiptPlanActivities({"till": OWN}, env.client, tmp_path)
    reads = [one.find_billed_orders, one.find_open_deposits, one.read_sage_money, one.read_cash_receipts]
    lists = [one.list_payouts, one.list_web_orders, one.list_gateway_payments, one.read_web_orders]
    sets: list[tuple[str, list[Any], list[Any]]] = [
        (queues.ORDERS, list(WORKFLOWS), [plan.plan_receipts, one.raise_alert]),
        (queues.clarity("till"), [], lists),
        (queues.sage_read("till"), [], reads),
        (queues.sage_write("till"), [], [one.write_cash_receipts]),
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


async def run(env: WorkflowEnvironment, **more: Any) -> CashReceiptsResult:
    start = CashReceiptsStart(
        pair="till", pace=PACE, time_zone="America/Chicago", **({"since": SINCE, "until": UNTIL} | more)
    )
    handle = await env.client.start_workflow(
        CashReceiptsWorkflow.run, start, id=f"receipts-till-{uuid.uuid4().hex}", task_queue=queues.ORDERS
    )
    STARTED.append(handle)
    return await asyncio.wait_for(handle.result(), 60)


async def test_what_is_due_is_entered_read_back_and_not_entered_again(
    env: WorkflowEnvironment, till: Till, tmp_path: Path
) -> None:
    for amount in (100, 60):
        till.order("shop", amount)
    looked_at = await run(env, dry_run=True)
    assert (looked_at.due, looked_at.amount, till.receipts) == (2, Decimal(160), [])
    result = await run(env)
    assert (result.entered, result.amount, result.deposits) == (2, Decimal(160), ["2026-10-20 SHO01"])
    assert (result.outcomes[Outcome.RECEIPT], result.outcomes[Outcome.WRITE], result.new) == (2, 0, 0)
    assert [request.batch.DepositDate for request in till.writes] == [BILLED]
    again = await run(env)
    assert (again.entered, len(till.writes), till.alerts) == (0, 1, [])
    assert (tmp_path / again.folder / "payments.csv").read_text("utf-8-sig").count(",receipt,") == 2


async def test_a_receipt_that_sage_shows_later_is_not_entered_twice(env: WorkflowEnvironment, till: Till) -> None:
    till.order("shop")
    till.invisible = 5
    result = await run(env)
    assert (result.entered, len(till.writes), result.outcomes[Outcome.RECEIPT]) == (1, 1, 1)


async def test_receipts_are_read_as_far_back_as_the_oldest_payment_that_is_due(
    env: WorkflowEnvironment, till: Till
) -> None:
    paid = date(2026, 3, 2)
    order = till.order("shop", paid=paid)
    till.receipts.append(
        Receipt(
            posted=True, of=ReceiptOf.INVOICE, BankCode="W", DepositDate=paid + timedelta(days=1), DepositNo="00007",
            ARDivisionNo="02", CustomerNo="W000001", CheckNo=order.payments[0].transaction_id[-10:],
            InvoiceNo="0100001", PaymentType="CHECK", amount=Decimal(100),
        )
    )  # fmt: skip
    result = await run(env)
    assert (result.entered, till.writes) == (0, [])
    assert min(till.days) == paid - timedelta(days=7)


async def test_what_sage_refuses_is_on_the_list_and_told(env: WorkflowEnvironment, till: Till) -> None:
    refused, _, _ = till.order("shop"), till.order("shop", 60), till.order("card", 30)
    till.refused = {refused.payments[0].transaction_id}
    result = await run(env)
    assert (result.entered, result.new) == (1, 2)
    assert [(one.amount, one.why, one.remark) for one in result.left] == [
        (Decimal(100), Why.REFUSED_BY_SAGE, "The period is closed."),
        (Decimal(30), Why.CARD_PAYMENT_TYPE, ""),
    ]
    (alert,) = till.alerts
    assert alert.kind is AlertKind.ACCOUNTING_LIST
    assert "2 new entries of 2 (" in alert.text
    assert result.folder in alert.text


async def test_a_nightly_run_tells_an_entry_once(env: WorkflowEnvironment, till: Till) -> None:
    till.order("voucher")
    id_ = f"receipts-{uuid.uuid4().hex}"
    days = (datetime.now(UTC).date() - SINCE).days + 2
    argument = CashReceiptsStart(pair="till", pace=PACE, time_zone="America/Chicago", days=days)
    action = ScheduleActionStartWorkflow(CashReceiptsWorkflow.run, argument, id=id_, task_queue=queues.ORDERS)
    schedule = await env.client.create_schedule(
        id_, Schedule(action=action, spec=ScheduleSpec()), trigger_immediately=True
    )

    async def results(number: int) -> list[CashReceiptsResult]:
        for _ in range(600):
            described = await schedule.describe()
            if described.info.num_actions >= number and not described.info.running_actions:
                break
            await asyncio.sleep(0.05)
        runs = [one.action for one in described.info.recent_actions]
        ids = [run.workflow_id for run in runs if isinstance(run, ScheduleActionExecutionStartWorkflow)]
        handles = [env.client.get_workflow_handle(name, result_type=CashReceiptsResult) for name in ids]
        return [await handle.result() for handle in handles]

    try:
        (first,) = await results(1)
        assert (first.new, len(first.listed), len(till.alerts)) == (1, 1, 1)
        await schedule.trigger()
        second = (await results(2))[-1]
        assert (second.new, len(second.listed), len(till.alerts)) == (0, 1, 1)
        till.order("voucher", 7)
        await schedule.trigger()
        third = (await results(3))[-1]
        assert (third.new, len(third.listed), len(till.alerts)) == (1, 2, 2)
    finally:
        await schedule.delete()
