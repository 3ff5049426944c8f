"""The worker processes: which role serves which queues, with which connections.

In: settings and pair files. Out: running workers until told to stop. Roles split where the machines are: `sage` beside
the ERP (also on Windows), `clarity` and `orders` anywhere.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from temporalio.client import Client
from temporalio.worker import Interceptor, Worker

from activities.adoption import AdoptionActivities
from activities.alert_delivery import AlertDelivery
from activities.backfill import BackfillActivities
from activities.cash_receipts import CashReceiptActivities, ReceiptPlanActivities
from activities.clarity import ClarityActivities
from activities.customer_catch_up import CustomerCatchUp
from activities.customer_sync import CustomerSyncReads, CustomerSyncWrites, WebCustomerWrites
from activities.customer_view import CustomerReadActivities, WebCustomerReadActivities
from activities.golive import GoLiveActivities, OpenOrderActivities
from activities.money import ClarityMoneyActivities, SageMoneyActivities
from activities.orders import OrderActivities
from activities.outages import OutageActivities
from activities.product_runs import ProductRunActivities
from activities.products import SageProductActivities, StoreProductActivities
from activities.reconciliation import ReconciliationActivities
from activities.replay import ReplayActivities
from activities.sage_change import SageChangeActivities
from activities.sage_poll import SagePollActivities
from activities.sage_read import SageReadActivities
from activities.sage_seats import CompanyWrites
from activities.sage_write import SageWriteActivities
from activities.shadow import ShadowReportActivities, TypedOrderActivities
from activities.stock_sweep import StockSweepActivities
from activities.store_stock import StoreStockActivities
from activities.watch import WatchActivities
from connectors.clarity.client import ClarityClient, ClaritySettings
from connectors.sage100.customer_accounts import SageAccounts
from connectors.sage100.gateway import SageGateway, SageGatewaySettings
from connectors.sage100.item_catalogue import ItemCatalogue
from connectors.sage100.ledger import SageLedger
from connectors.sage100.match_index import MatchIndex
from connectors.sage100.odbc import SageReader
from contracts import queues
from contracts.metrics import TIME_TO_SAGE
from contracts.outages import OutsideSystem
from mappings.pair import AuthScheme, GatewayAuth, Pair
from workers.gate import GatedQueue
from workers.settings import Settings, load_pair_settings, require
from workers.versions import Versioning
from workflows.alerts import AlertWorkflow
from workflows.cash_receipts import CashReceiptsWorkflow
from workflows.credit_memo import CreditMemoWorkflow
from workflows.customer_resolution import CustomerResolutionWorkflow
from workflows.customer_sweep import CustomerSweepWorkflow
from workflows.customer_sync import CustomerSyncWorkflow
from workflows.dead_letter import DeadLetterWorkflow
from workflows.go_live import GoLiveWorkflow
from workflows.inventory_sync import InventorySyncWorkflow
from workflows.order_backfill import OrderBackfillWorkflow
from workflows.order_fulfillment import OrderFulfillmentWorkflow
from workflows.outage_watch import OutageWatchWorkflow
from workflows.payment_reconciliation import PaymentReconciliationWorkflow
from workflows.product_catch_up import ProductCatchUpWorkflow
from workflows.product_sync import ProductSyncWorkflow
from workflows.sage_poll import SagePollWorkflow
from workflows.shadow_comparison import ShadowComparisonWorkflow
from workflows.shadow_order import ShadowOrderWorkflow
from workflows.watch import WatchWorkflow

log = logging.getLogger(__name__)

WORKFLOWS = (
    OrderFulfillmentWorkflow,
    CustomerResolutionWorkflow,
    SagePollWorkflow,
    DeadLetterWorkflow,
    OrderBackfillWorkflow,
    AlertWorkflow,
    WatchWorkflow,
    OutageWatchWorkflow,
    InventorySyncWorkflow,
    PaymentReconciliationWorkflow,
    CreditMemoWorkflow,
    ProductSyncWorkflow,
    ProductCatchUpWorkflow,
    CustomerSyncWorkflow,
    CustomerSweepWorkflow,
    CashReceiptsWorkflow,
    ShadowOrderWorkflow,
    ShadowComparisonWorkflow,
    GoLiveWorkflow,
)
STICKY_TIMEOUT = timedelta(seconds=2)
"""After a worker is killed, its sticky workflows stall this long (the SDK's default of 10 s was measured to hurt)."""
TRANSFORMS_AT_ONCE = 8
READS_AT_ONCE = 20
CLARITY_CALLS_AT_ONCE = 20
DELIVERIES_AT_ONCE = 8
HEARTBEAT_AT_MOST = timedelta(seconds=5)
PROBED_ORDER, PROBED_ITEM = "0000000", "/PROBE"
"""Keys that a probe reads; whether they exist does not matter."""

Close = Callable[[], Awaitable[None]]


class Role(StrEnum):
    """What a process does."""

    ORDERS = "orders"
    SAGE = "sage"
    CLARITY = "clarity"


def check_settings(role: Role, pair: Pair) -> None:
    """Raise SettingsError naming the first setting that a role needs for a pair and that is not there."""
    own = load_pair_settings(pair.name)
    if role is Role.ORDERS:
        require(pair.name, match_key_secret=own.match_key_secret)
    elif role is Role.SAGE:
        require(pair.name, sage_gateway_url=own.sage_gateway_url, sage_odbc=own.sage_odbc)
        if pair.sage.auth is GatewayAuth.API_KEY:
            require(pair.name, sage_api_key=own.sage_api_key)
        else:
            require(pair.name, sage_user=own.sage_user, sage_password=own.sage_password)
    else:
        require(pair.name, clarity_url=own.clarity_url)
        if pair.clarity.auth is AuthScheme.API_KEY:
            require(pair.name, clarity_api_key=own.clarity_api_key)
        else:
            require(pair.name, clarity_client_id=own.clarity_client_id, clarity_client_secret=own.clarity_client_secret)


class Fleet:
    """The workers of one process, and what must be closed after them."""

    def __init__(self, client: Client, settings: Settings, pairs: Mapping[str, Pair]) -> None:
        self.client = client
        self.settings = settings
        self.pairs = pairs
        self.workers: list[Worker] = []
        self.gated: list[GatedQueue] = []
        """Queues whose workers stop while their system does not answer."""
        self.closers: list[Close] = []
        self.companies: dict[tuple[str, str], CompanyWrites] = {}
        """By gateway and company code."""
        self.versions: dict[Role, Versioning] = {}
        """Of the roles that were added, where workers have versions."""
        self.graceful = timedelta(seconds=settings.graceful_shutdown_seconds)

    def add(self, role: Role) -> None:
        """The workers of a role; its settings have been checked."""
        if self.settings.worker_deployment:
            self.versions[role] = Versioning(self.client, self.settings, role.value, self.pairs)
        if role is Role.ORDERS:
            self._add_orders()
            return
        for pair in self.pairs.values():
            if role is Role.SAGE:
                self._add_sage(pair)
            else:
                self._add_clarity(pair)

    def _version(self, role: Role) -> dict[str, Any]:
        """Options of a worker of activities: its version, if there are versions."""
        return self.versions[role].options() if role in self.versions else {}

    def _add_orders(self) -> None:
        secrets = {name: load_pair_settings(name).match_key_secret.get_secret_value().encode() for name in self.pairs}
        orders = OrderActivities(self.pairs, secrets, self.client)
        shadow = ShadowReportActivities(self.pairs, self.client, self.settings.reports_dir)
        replays = ReplayActivities(self.pairs, self.client)
        watches = WatchActivities(self.client)
        delivery = AlertDelivery(
            lambda pair: load_pair_settings(pair).alert_targets(),
            {name: pair.pace for name, pair in self.pairs.items()},
        )
        for name in self.pairs:
            TIME_TO_SAGE.labels(name)
        self.workers.append(
            Worker(
                self.client,
                task_queue=queues.ALERTS,
                activities=[delivery.alert_targets, delivery.deliver_alerts, watches.watch],
                # One more slot for each pair's watch, which runs for a whole shift.
                activity_executor=ThreadPoolExecutor(max_workers=DELIVERIES_AT_ONCE + len(self.pairs)),
                max_concurrent_activities=DELIVERIES_AT_ONCE + len(self.pairs),
                graceful_shutdown_timeout=self.graceful,
                **self._version(Role.ORDERS),
            )
        )
        self.workers.append(
            Worker(
                self.client,
                task_queue=queues.ORDERS,
                workflows=WORKFLOWS,
                activities=[
                    orders.transform_order,
                    orders.request_customer,
                    orders.raise_alert,
                    replays.replay_event,
                    OutageActivities(self.client).count_waiting_orders,
                    ProductRunActivities(self.client).start_products,
                    ReconciliationActivities(self.pairs, self.client, self.settings.reports_dir).compare_books,
                    ReceiptPlanActivities(self.pairs, self.client, self.settings.reports_dir).plan_receipts,
                    shadow.list_shadow_orders,
                    shadow.write_comparison,
                ],
                activity_executor=ThreadPoolExecutor(max_workers=TRANSFORMS_AT_ONCE),
                max_concurrent_activities=TRANSFORMS_AT_ONCE,
                max_concurrent_local_activities=TRANSFORMS_AT_ONCE,
                # Eager execution would bypass the queues of the outside systems (temporal.md, activities).
                disable_eager_activity_execution=True,
                sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
                graceful_shutdown_timeout=self.graceful,
                **(self.versions[Role.ORDERS].workflow_options() if Role.ORDERS in self.versions else {}),
            )
        )

    def _add_sage(self, pair: Pair) -> None:
        own = load_pair_settings(pair.name)
        by_key = pair.sage.auth is GatewayAuth.API_KEY
        gateway = SageGateway(
            SageGatewaySettings(
                url=own.sage_gateway_url,
                company=pair.company.code,
                **({"api_key": own.sage_api_key} if by_key else {"user": own.sage_user, "password": own.sage_password}),
            ),
            shadow=pair.is_shadow,
        )
        # One connection and thread per source: a long poll never waits for an order's look-up.
        reader, poll_reader, stock_reader, item_reader = (SageReader(own.sage_odbc, pair.sage) for _ in range(4))
        catalogue = ItemCatalogue(reader, pair.items)
        self.closers += [gateway.close, catalogue.close]
        self.closers += [one.close for one in (reader, poll_reader, stock_reader, item_reader)]
        ledger = SageLedger(own.sage_odbc, pair.sage)
        money = SageMoneyActivities(pair, ledger)
        self.closers.append(ledger.close)
        index = MatchIndex(reader, pair.customers.divisions)
        reads = SageReadActivities(pair, reader, index, catalogue)
        accounts = SageAccounts(own.sage_odbc, pair.sage)
        self.closers.append(accounts.close)
        customers = CustomerReadActivities(pair, accounts, index)
        customer_changes = CustomerSyncReads(pair, accounts, index)
        polls = SagePollActivities(pair, poll_reader, self.client, lambda: datetime.now(pair.company.zone))
        stock = StockSweepActivities(pair, self.pairs, stock_reader, self.client)
        code = pair.company.code
        company = self.companies.setdefault((own.sage_gateway_url, code), CompanyWrites(pair.sage.writers, code))
        writes = SageWriteActivities(pair, gateway, gateway, gateway, reader, company)
        changes = SageChangeActivities(pair, gateway, reader, company)
        products = SageProductActivities(pair, item_reader, gateway, company.seats)
        customer_writes = CustomerSyncWrites(pair, gateway, company.seats)
        typed = TypedOrderActivities(pair, reader, self.client)
        open_orders = OpenOrderActivities(pair, reader)
        adoption = AdoptionActivities(pair, gateway, reader, company.seats)
        receipts = CashReceiptActivities(pair, gateway, ledger, company.seats)

        def read_worker(interceptors: Sequence[Interceptor]) -> Worker:
            return Worker(
                self.client,
                task_queue=queues.sage_read(pair.name),
                activities=[
                    reads.read_sage_facts,
                    reads.find_customer,
                    reads.read_shipments,
                    polls.poll,
                    stock.watch_stock,
                    stock.compare_stock,
                    products.scan_items,
                    products.compare_products,
                    products.plan_product,
                    money.find_billed_orders,
                    money.find_open_deposits,
                    money.read_sage_money,
                    money.read_cash_receipts,
                    customers.read_account,
                    customers.find_accounts,
                    customer_changes.plan_customer_sync,
                    customer_changes.find_account_changes,
                    typed.compare_typed_orders,
                    open_orders.match_open_orders,
                ],
                interceptors=interceptors,
                max_concurrent_activities=READS_AT_ONCE,
                # Otherwise a watch hears of a request by hand only after most of its heartbeat's time-out.
                max_heartbeat_throttle_interval=HEARTBEAT_AT_MOST,
                max_task_queue_activities_per_second=pair.sage.reads_per_second,
                graceful_shutdown_timeout=self.graceful,
                **self._version(Role.SAGE),
            )

        def write_worker(interceptors: Sequence[Interceptor]) -> Worker:
            return Worker(
                self.client,
                task_queue=queues.sage_write(pair.name),
                activities=[
                    writes.reserve_sales_order_number,
                    writes.create_sales_order,
                    writes.preview_sales_order,
                    adoption.link_sales_order,
                    changes.change_sales_order,
                    changes.cancel_sales_order,
                    writes.reserve_customer_number,
                    writes.create_customer,
                    writes.remember_alias,
                    products.write_item,
                    products.create_item,
                    customer_writes.write_customer,
                    receipts.write_cash_receipts,
                ],
                interceptors=interceptors,
                # One more than the seats: the next write is here before the last one is done.
                max_concurrent_activities=pair.sage.writers + 1,
                max_task_queue_activities_per_second=pair.sage.writes_per_second,
                graceful_shutdown_timeout=self.graceful,
                **self._version(Role.SAGE),
            )

        async def odbc_answers() -> None:
            await reader.items([PROBED_ITEM])

        async def sage_answers() -> None:
            # Creating an order reads through ODBC, too.
            await gateway.get_sales_order(PROBED_ORDER)
            await odbc_answers()

        for system, worker, probe in (
            (OutsideSystem.ODBC, read_worker, odbc_answers),
            (OutsideSystem.SAGE, write_worker, sage_answers),
        ):
            self.gated.append(GatedQueue(self.client, pair, system, pair.sage.maintenance, worker, probe))

    def _add_clarity(self, pair: Pair) -> None:
        own = load_pair_settings(pair.name)
        client = ClarityClient(
            pair.clarity,
            ClaritySettings(
                url=own.clarity_url,
                client_id=own.clarity_client_id,
                client_secret=own.clarity_client_secret,
                api_key=own.clarity_api_key,
            ),
            shadow=pair.is_shadow,
        )
        self.closers.append(client.close)
        clarity = ClarityActivities(pair, client)
        money = ClarityMoneyActivities(pair, client)
        backfill = BackfillActivities(pair, self.pairs, client, self.client)
        going_live = GoLiveActivities(pair, self.pairs, client, self.client)
        stock = StoreStockActivities(pair, client)
        products = StoreProductActivities(pair, client)
        customers = WebCustomerReadActivities(pair, client)
        customer_writes = WebCustomerWrites(pair, client)

        def worker(interceptors: Sequence[Interceptor]) -> Worker:
            return Worker(
                self.client,
                task_queue=queues.clarity(pair.name),
                activities=[
                    clarity.acknowledge_to_clarity,
                    clarity.post_shipment,
                    clarity.void_shipment,
                    clarity.record_cancelled_items,
                    clarity.record_invoices,
                    clarity.tell_refund_due,
                    clarity.cancel_at_clarity,
                    backfill.backfill_orders,
                    stock.push_stock,
                    stock.list_store_stock,
                    products.read_product,
                    products.write_product,
                    products.list_products,
                    money.list_web_orders,
                    money.read_web_orders,
                    money.list_gateway_payments,
                    money.list_payouts,
                    customers.read_web_customers,
                    customer_writes.tell_web_customer,
                    customer_writes.tell_attributes,
                    going_live.list_open_orders,
                    going_live.adopt_orders,
                    CustomerCatchUp(pair, client, self.client).catch_up_customers,
                ],
                interceptors=interceptors,
                max_concurrent_activities=CLARITY_CALLS_AT_ONCE,
                max_task_queue_activities_per_second=pair.clarity.steps_per_second,
                graceful_shutdown_timeout=self.graceful,
                **self._version(Role.CLARITY),
            )

        async def answers() -> None:
            await client.list_orders(datetime.now(UTC))

        windows = pair.clarity.maintenance
        self.gated.append(GatedQueue(self.client, pair, OutsideSystem.CLARITY, windows, worker, answers))

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop`, or until a worker fails for good; then shut down gracefully."""
        for version in self.versions.values():
            log.info("Worker deployment %s", version.name)
        reading: list[asyncio.Task[None]] = []
        if Role.ORDERS in self.versions:
            # Before the first order comes: it would take the old path though the patches are on.
            await self.versions[Role.ORDERS].read()
            reading.append(asyncio.create_task(self.versions[Role.ORDERS].run()))
        running = [asyncio.create_task(worker.run()) for worker in self.workers]
        ending = asyncio.Event()
        running += [asyncio.create_task(queue.run(ending)) for queue in self.gated]
        stopping = asyncio.create_task(stop.wait())
        names = [*(worker.task_queue for worker in self.workers), *(queue.name for queue in self.gated)]
        log.info("Working on %s", ", ".join(names))
        try:
            await asyncio.wait({*running, stopping}, return_when=asyncio.FIRST_COMPLETED)
            ending.set()
            await asyncio.gather(*(worker.shutdown() for worker in self.workers))
            await asyncio.gather(*running)
        finally:
            stopping.cancel()
            for task in reading:
                task.cancel()
            for close in self.closers:
                await close()
