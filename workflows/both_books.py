"""Reading both books of money, Clarity's payments and Sage's deposits, invoices and receipts: `BothBooks`.

In: `ReconciliationStart`, a range of days. Out: sheets, as JSON that the workflow carries and never opens; the activity
that works on them asks for one after the other by the query `sheet`, since an argument with all of them would be larger
than a payload may be. Shared by the flows that look at money: reconciliation, and the cash receipts.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from activities.money import ClarityMoneyActivities, SageMoneyActivities
from contracts import queues, retry
from contracts.reconciliation import (
    LONGEST_PAYOUT,
    FindBilledOrders,
    FindOpenDeposits,
    MoneyPage,
    OrdersFound,
    PaymentsRead,
    ReadReceipts,
    ReadSageMoney,
    ReadWebOrders,
    ReconciliationStart,
    Sheet,
    SheetKind,
    SoughtOrder,
    WebOrdersRead,
)
from mappings.ledger import Payout

MOST_ORDERS: Final = 100_000
"""In one run: its history stays below what the server allows."""
ROUNDS: Final = 3
"""Readings of a list that moves while it is read."""
ORDERS_AT_ONCE: Final = 200
IDS_AT_ONCE: Final = 100
DAYS_AT_ONCE: Final = 7
RECEIPT_DAYS_AT_ONCE: Final = 31
OLDEST_RECEIPT: Final = timedelta(days=400)
"""Before the range: receipts of older payments are not looked for."""
NO_WEB_ORDER: Final = "#"
"""Before a SalesOrderNo: no order id begins so."""
IDS_ON_A_SHEET: Final = 10_000
PAYOUTS_ON_A_SHEET: Final = 500
LONGEST_CALL: Final = timedelta(minutes=30)
"""Start-to-close of a call that reads some hundred orders, or compares; its heartbeats tell whether it lives."""

T = TypeVar("T")


class BothBooks:
    """One range of days; each task of the workflow handles one page: none takes long."""

    all_receipts = False
    """Whatever their payment type: a person may have entered one under another."""

    def __init__(self, start: ReconciliationStart) -> None:
        """Messages may come before `run`: everything that they touch is set here."""
        self.start = start
        self.zone = ZoneInfo(start.time_zone)
        self.step = "begins"
        self.keys: dict[str, list[str]] = {}
        """Orders of Clarity, looked at or not: id → external reference, purchase order numbers."""
        self.ignored: set[str] = set()
        """Orders from before the go-live, or of another pair."""
        self.sought: dict[str, list[str]] = {}
        """What is looked at: order id → SalesOrderNos that Sage named. A sales order without a web order has a key that
        no order id is like."""
        self.oldest: date | None = None
        """Day of the first payment that is looked at for its day."""
        self.first_days: dict[str, date] = {}
        """Order id → day of its first payment: what Sage names (a late invoice, an open deposit, a credit memo) was
        often paid long before the range."""
        self.payouts: list[Payout] | None = None
        self.unreadable = 0
        self.sheets: list[Sheet] = []
        self.receipts_since: date | None = None
        """The first day of the cash receipts that were read."""

    # ---- the range ------------------------------------------------------------------------------------------------

    @property
    def by_hand(self) -> bool:
        """A range was given."""
        return self.start.since is not None

    def today(self) -> date:
        """The company's day."""
        return workflow.now().astimezone(self.zone).date()

    def days(self) -> tuple[date, date]:
        """The range, both days included; a nightly run ends yesterday."""
        yesterday = self.today() - timedelta(days=1)
        if self.start.since is not None:
            return self.start.since, self.start.until or self.today()
        return yesterday - timedelta(days=self.start.days - 1), yesterday

    def beginning_of(self, day: date) -> datetime:
        """Its first instant in the company's time zone."""
        return datetime.combine(day, time(), self.zone).astimezone(UTC)

    # ---- Clarity --------------------------------------------------------------------------------------------------

    async def read_clarity(self, since: date, until: date) -> None:
        """Payouts; orders and payments that changed since the range began, or may be in a payout of it."""
        self.at("reads Clarity's payouts")
        first = MoneyPage(pair=self.start.pair, since=self.beginning_of(since), first=since, last=until)
        payouts = await self.clarity(ClarityMoneyActivities.list_payouts, first, "Payouts")
        self.unreadable += payouts.unreadable
        if payouts.payouts is not None:
            self.payouts = [one for one in payouts.payouts if since <= one.day <= until]
        page = MoneyPage(
            pair=self.start.pair,
            since=self.beginning_of(since - LONGEST_PAYOUT),
            first=since,
            last=until,
            payout_ids=[one.id for one in self.payouts or [] if one.id],
        )
        self.at("reads Clarity's orders")
        await self.read_list(ClarityMoneyActivities.list_web_orders, page, SheetKind.ORDERS)
        self.at("reads Clarity's payments")
        await self.read_list(ClarityMoneyActivities.list_gateway_payments, page, SheetKind.LISTED)
        await self.read_orders(list(self.sought))

    async def read_list(self, step: Any, page: MoneyPage, kind: SheetKind) -> None:
        """All pages of a list, and all of them again when it moved meanwhile."""
        unreadable = 0
        for _ in range(ROUNDS):
            entries, unreadable, number = 0, 0, 0
            self.sheets = [sheet for sheet in self.sheets if sheet.kind is not kind]
            while True:
                wanted = page.model_copy(update={"page": number})
                read: WebOrdersRead | PaymentsRead = await self.clarity(step, wanted, f"{kind.value}, page {number}")
                self.sheets.append(Sheet(kind=kind, content=read.content))
                if isinstance(read, WebOrdersRead):
                    self.take_keys(read)
                for order_id in read.paid:
                    self.seek(order_id)
                if read.oldest is not None:
                    self.oldest = min(read.oldest, self.oldest or read.oldest)
                entries, unreadable = entries + read.entries, unreadable + read.unreadable
                if read.next_page is None:
                    break
                number = read.next_page
            if entries == read.total:
                break
        self.unreadable += unreadable

    def take_keys(self, read: WebOrdersRead) -> None:
        """What Sage may know the orders by. Orders that are none of this pair's business are looked at no more."""
        for order_id in read.ignored:
            self.ignored.add(order_id)
            self.sought.pop(order_id, None)
        self.keys |= read.keys
        self.first_days |= read.first_days
        self.check_size(len(self.keys))

    async def read_orders(self, order_ids: Sequence[str]) -> None:
        """Orders that the list does not have."""
        wanted = [name for name in dict.fromkeys(order_ids) if name not in self.keys and name not in self.ignored]
        for some in chunks([name for name in wanted if not name.startswith(NO_WEB_ORDER)], IDS_AT_ONCE):
            request = ReadWebOrders(pair=self.start.pair, order_ids=some)
            read = await self.clarity(ClarityMoneyActivities.read_web_orders, request, f"{len(some)} orders")
            self.take_keys(read)
            self.unreadable += read.unreadable
            self.sheets.append(Sheet(kind=SheetKind.ORDERS, content=read.content))

    def seek(self, order_id: str, sales_order_no: str = "") -> None:
        """Look at an order, by the number that Sage named, if it did."""
        if order_id in self.ignored:
            return
        numbers = self.sought.setdefault(order_id or f"{NO_WEB_ORDER}{sales_order_no}", [])
        if sales_order_no and sales_order_no not in numbers:
            numbers.append(sales_order_no)
        self.check_size(len(self.sought))

    # ---- Sage -----------------------------------------------------------------------------------------------------

    async def find_in_sage(self, since: date, until: date, carried: Sequence[str]) -> None:
        """What Sage says has to be looked at: invoiced in the range, or with a deposit that is open now."""
        self.at("looks for invoices and open deposits in Sage")
        days = [since + timedelta(days=number) for number in range((until - since).days + 1)]
        for some in chunks(days, DAYS_AT_ONCE):
            request = FindBilledOrders(pair=self.start.pair, days=some)
            await self.take_found(
                await self.sage(SageMoneyActivities.find_billed_orders, request, f"Invoices from {some[0]}")
            )
        after = ""
        while True:
            wanted = FindOpenDeposits(pair=self.start.pair, after=after)
            read = await self.sage(SageMoneyActivities.find_open_deposits, wanted, "Open deposits")
            await self.take_found(read)
            after = read.last
            if not after:
                break
        await self.read_orders(carried)
        for order_id in carried:
            if order_id in self.keys:
                self.seek(order_id)

    async def take_found(self, found: OrdersFound) -> None:
        """Their web orders are asked for where Clarity's list did not have them."""
        await self.read_orders([one.web_order_id for one in found.orders if one.web_order_id])
        await self.leave_to_their_pairs(found)
        for one in found.orders:
            self.seek(one.web_order_id, one.SalesOrderNo)

    async def leave_to_their_pairs(self, found: OrdersFound) -> None:
        """Orders that this store does not have, and that the store of another pair of the same company names by this
        very SalesOrderNo, are that pair's."""
        strange = {
            one.web_order_id: one.SalesOrderNo
            for one in found.orders
            if one.web_order_id
            and not any(one.web_order_id in those for those in (self.keys, self.sought, self.ignored))
        }
        for other in self.start.same_company:
            for some in chunks([name for name in strange if name not in self.ignored], IDS_AT_ONCE):
                read: WebOrdersRead = await self.call(
                    queues.clarity(other),
                    ClarityMoneyActivities.read_web_orders,
                    ReadWebOrders(pair=other, order_ids=some),
                    f"{len(some)} orders that may be of {other}",
                )
                theirs = [name for name, (reference, *_) in read.keys.items() if reference == strange[name]]
                self.ignored.update(theirs)
                if theirs:
                    # Nobody looks at them; cash receipts of their transactions are no stranger's.
                    self.sheets.append(Sheet(kind=SheetKind.ORDERS, content=read.content))

    async def read_sage(self, since: date) -> None:
        """Deposits, invoices, receipts of everything that is looked at."""
        done = 0
        for some in chunks(list(self.sought), ORDERS_AT_ONCE):
            self.at(f"reads Sage's deposits and invoices, {done} of {len(self.sought)}")
            request = ReadSageMoney(pair=self.start.pair, orders=[self.sought_order(key) for key in some])
            read = await self.sage(SageMoneyActivities.read_sage_money, request, f"{len(some)} orders")
            self.sheets.append(Sheet(kind=SheetKind.SALES_ORDERS, content=read.content))
            done += len(some)
        await self.read_receipts(since)

    async def read_receipts(self, since: date) -> None:
        """Cash receipts since the first payment that is looked at, posted and not."""
        days = [self.first_days[name] for name in self.sought if name in self.first_days]
        await self.read_receipts_from(max(min([since, self.oldest or since, *days]), since - OLDEST_RECEIPT))

    async def read_receipts_from(self, first: date) -> None:
        """All cash receipts since this day, in place of those that were read before."""
        self.at("reads Sage's cash receipts")
        self.receipts_since = first
        self.sheets = [sheet for sheet in self.sheets if sheet.kind is not SheetKind.RECEIPTS]
        days = [first + timedelta(days=number) for number in range((self.today() - first).days + 1)]
        for some_days in chunks(days, RECEIPT_DAYS_AT_ONCE):
            wanted = ReadReceipts(
                pair=self.start.pair,
                days=some_days,
                unposted=some_days[-1] == days[-1],
                all_types=self.all_receipts,
            )
            receipts = await self.sage(SageMoneyActivities.read_cash_receipts, wanted, f"Receipts from {some_days[0]}")
            self.sheets.append(Sheet(kind=SheetKind.RECEIPTS, content=receipts.content))

    def sought_order(self, key: str) -> SoughtOrder:
        """By the numbers that either side knows it by."""
        numbers = self.sought[key]
        if key not in self.keys:
            return SoughtOrder(order_id="" if key.startswith(NO_WEB_ORDER) else key, numbers=numbers)
        reference, *purchase_orders = self.keys[key]
        own = [reference] if reference and reference not in numbers else []
        return SoughtOrder(order_id=key, numbers=own + numbers, purchase_orders=purchase_orders)

    def hand_over(self) -> None:
        """Put what is not on a sheet yet on one: the orders that are looked at, and the payouts."""
        for ids in chunks(list(self.sought), IDS_ON_A_SHEET):
            self.sheets.append(Sheet(kind=SheetKind.SOUGHT, content=json.dumps(ids)))
        for payouts in chunks(self.payouts or [], PAYOUTS_ON_A_SHEET):
            content = json.dumps([one.model_dump(mode="json") for one in payouts])
            self.sheets.append(Sheet(kind=SheetKind.PAYOUTS, content=content))

    @workflow.query(description="Some of what was read; the activity that compares asks for each")
    def sheet(self, number: int) -> Sheet:
        """One of `sheets`; an empty one beyond."""
        if 0 <= number < len(self.sheets):
            return self.sheets[number]
        return Sheet(kind=SheetKind.SOUGHT, content="[]")

    def at(self, step: str) -> None:
        """Where it is, for the details page (that costs no event)."""
        self.step = step
        self.show()

    def show(self) -> None:
        """The details page; each flow has its own."""

    # ---- calls ----------------------------------------------------------------------------------------------------

    async def clarity(self, step: Any, argument: Any, summary: str) -> Any:
        """A call of Clarity; outages and 429s are waited out."""
        return await self.call(queues.clarity(self.start.pair), step, argument, summary)

    async def sage(self, step: Any, argument: Any, summary: str) -> Any:
        """A reading of Sage."""
        return await self.call(queues.sage_read(self.start.pair), step, argument, summary)

    async def call(self, queue: str, step: Any, argument: Any, summary: str) -> Any:
        """One activity that heartbeats."""
        return await workflow.execute_activity_method(
            step,
            argument,
            task_queue=queue,
            start_to_close_timeout=LONGEST_CALL,
            heartbeat_timeout=timedelta(seconds=self.start.pace.poll_heartbeat_timeout),
            retry_policy=retry.outside_system(self.start.pace),
            summary=summary,
        )

    def check_size(self, orders: int) -> None:
        """A range that is too long ends the run at once, in words."""
        if orders > MOST_ORDERS:
            raise ApplicationError(
                f"More than {MOST_ORDERS:,} orders or payments: take a shorter range (--from and --to of "
                "python -m workers reconcile or receipts; reconciliation.days, cash_receipts.days of the pair file).",
                non_retryable=True,
            )


def chunks(things: Sequence[T], size: int) -> Iterator[list[T]]:
    """As many as fit, in their order."""
    for place in range(0, len(things), size):
        yield list(things[place : place + size])
