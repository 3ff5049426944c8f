"""Reading money for a reconciliation: Clarity's lists on `clarity-{pair}`, Sage's tables on `sage-read-{pair}`.

In: pages, ids, days, keys. Out: models of `mappings.ledger`, small enough to travel: each call reads a few pages or a
few hundred orders, and is repeated whole when it fails. Nothing is written anywhere.
"""

from contextlib import AbstractAsyncContextManager
from datetime import date, datetime, time
from typing import Final

from pydantic import TypeAdapter
from temporalio import activity

from activities.shifts import heartbeats as beats
from connectors.clarity.client import ClarityClient
from connectors.errors import NotFound
from connectors.sage100.ledger import SageLedger
from contracts.reconciliation import (
    LONGEST_PAYOUT,
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
from mappings.ledger import DepositedOrder, GatewayPayment, OrderNamed, Payout, Receipt, WebOrder
from mappings.pair import Pair
from mappings.web_money import ListedPayment, WebOrderSeen, listed_payment, payout, web_order

PAGES_AT_ONCE: Final = 10
"""Pages of a list in one call; with fifty entries each they stay far below what a payload may hold."""
DEPOSITS_PAGE: Final = 500
BEAT_SECONDS: Final = 5.0

ORDERS: Final = TypeAdapter(list[WebOrder])
LISTED: Final = TypeAdapter(list[ListedPayment])
SALES_ORDERS: Final = TypeAdapter(list[DepositedOrder])
RECEIPTS: Final = TypeAdapter(list[Receipt])
"""What travels as JSON inside a text: the workflow carries thousands and opens none."""


def heartbeats() -> AbstractAsyncContextManager[None]:
    """Signs of life beside the work."""
    return beats(None, BEAT_SECONDS)


class ClarityMoneyActivities:
    """Reads one store's orders, payments and payouts."""

    def __init__(self, pair: Pair, clarity: ClarityClient) -> None:
        self._pair = pair
        self._clarity = clarity
        self._go_live = datetime.combine(pair.go_live, time(), pair.company.zone)

    @activity.defn
    async def list_web_orders(self, request: MoneyPage) -> WebOrdersRead:
        """Orders changed since, those with payments."""
        seen: list[WebOrderSeen] = []
        entries, total, number, ended = 0, 0, request.page, False
        async with heartbeats():
            for number in range(request.page, request.page + PAGES_AT_ONCE):
                page = await self._clarity.list_orders(request.since, number)
                read = [web_order(body, self._pair.clarity.statuses) for body in page.items]
                seen += [one for one in read if one is not None and (one.order.payments or one.unreadable)]
                entries, total = entries + len(page.items), page.totalCount
                ended = len(page.items) < self._clarity.page_size
                if ended:
                    break
        result = self._orders(seen, request)
        more = {"entries": entries, "total": total, "next_page": None if ended else number + 1}
        return result.model_copy(update=more)

    @activity.defn
    async def read_web_orders(self, request: ReadWebOrders) -> WebOrdersRead:
        """Single orders, with payments or not."""
        seen, missing = [], []
        async with heartbeats():
            for order_id in request.order_ids:
                try:
                    body = await self._clarity.get_order(order_id)
                except NotFound:
                    missing.append(order_id)
                    continue
                one = web_order(body, self._pair.clarity.statuses)
                if one is not None:
                    seen.append(one)
        return self._orders(seen, None).model_copy(update={"missing": missing})

    def _orders(self, seen: list[WebOrderSeen], page: MoneyPage | None) -> WebOrdersRead:
        ours = [one for one in seen if not self._is_ignored(one)]
        days: list[date] = []
        paid = []
        for one in ours if page is not None else []:
            found = [day for payment in one.order.payments for day in self._in_range(payment, page)]
            if found:
                paid.append(one.order.order_id)
                days += [day for day in found if day is not None]
        return WebOrdersRead(
            keys={one.order.order_id: [one.sales_order_no, *one.purchase_orders] for one in ours},
            content=ORDERS.dump_json([one.order for one in ours]).decode(),
            paid=paid,
            oldest=min(days, default=None),
            first_days={
                one.order.order_id: first
                for one in ours
                if (first := self._first_day(one.order)) is not None and (page is None or first < page.first)
            },
            unreadable=sum(one.unreadable for one in ours),
            ignored=sorted({one.order.order_id for one in seen} - {one.order.order_id for one in ours}),
        )

    def _is_ignored(self, seen: WebOrderSeen) -> bool:
        """From before the go-live, or of a currency that another pair's company keeps."""
        old = seen.created is not None and seen.created < self._go_live
        return old or seen.currency in self._pair.company.other_currencies

    def _first_day(self, order: WebOrder) -> date | None:
        """The company's day of its first payment; None without any that has a day."""
        days = [one.date.astimezone(self._pair.company.zone).date() for one in order.payments if one.date is not None]
        return min(days, default=None)

    def _in_range(self, payment: GatewayPayment, page: MoneyPage | None) -> list[date | None]:
        """The payment's day when its order is looked at for it; one without a day may be of the range."""
        day = payment.date.astimezone(self._pair.company.zone).date() if payment.date is not None else None
        if page is None:
            return []
        wanted = day is None or page.first <= day <= page.last or payment.payout_id in page.payout_ids
        return [day] if wanted else []

    @activity.defn
    async def list_gateway_payments(self, request: MoneyPage) -> PaymentsRead:
        """The list of payments changed since."""
        found: list[ListedPayment] = []
        entries, total, number, ended = 0, 0, request.page, False
        async with heartbeats():
            for number in range(request.page, request.page + PAGES_AT_ONCE):
                page = await self._clarity.list_payments(request.since, number)
                found += [one for one in map(listed_payment, page.items) if one is not None]
                entries, total = entries + len(page.items), page.totalCount
                ended = len(page.items) < self._clarity.page_size
                if ended:
                    break
        wanted = [(one.order_id, day) for one in found for day in self._in_range(one.payment, request)]
        return PaymentsRead(
            content=LISTED.dump_json(found).decode(),
            paid=list(dict.fromkeys(order_id for order_id, _ in wanted)),
            oldest=min((day for _, day in wanted if day is not None), default=None),
            unreadable=entries - len(found),
            entries=entries,
            total=total,
            next_page=None if ended else number + 1,
        )

    @activity.defn
    async def list_payouts(self, request: MoneyPage) -> PayoutsRead:
        """All payouts since in the company's currency; they are few.

        The first ones after the go-live are left out: they hold payments of orders that nobody here knows.
        """
        first = self._pair.go_live + LONGEST_PAYOUT
        found: list[Payout] = []
        unreadable, number = 0, 0
        async with heartbeats():
            while (page := await self._clarity.list_payouts(request.since, number)) is not None:
                read = [payout(body) for body in page.items]
                known = [one for one in read if one is not None]
                found += [one for one in known if one.day >= first and one.currency == self._pair.company.currency]
                unreadable += sum(one is None for one in read)
                number += 1
                if len(read) < self._clarity.page_size:
                    return PayoutsRead(payouts=found, unreadable=unreadable)
        return PayoutsRead()


class SageMoneyActivities:
    """Reads one company's deposits, invoices and receipts."""

    def __init__(self, pair: Pair, ledger: SageLedger) -> None:
        self._pair = pair
        self._ledger = ledger
        self._types = frozenset(rule.payment_type for rule in pair.payments if rule.payment_type)

    @activity.defn
    async def find_billed_orders(self, request: FindBilledOrders) -> OrdersFound:
        """Sales orders that were invoiced on these days."""
        found: list[OrderNamed] = []
        async with heartbeats():
            for invoice_date in request.days:
                found += await self._ledger.orders_billed_on(invoice_date, self._types)
        return OrdersFound(orders=found)

    @activity.defn
    async def find_open_deposits(self, request: FindOpenDeposits) -> OrdersFound:
        """Live orders with a deposit."""
        found: list[OrderNamed] = []
        after = request.after
        async with heartbeats():
            for _ in range(PAGES_AT_ONCE):
                page = await self._ledger.orders_with_deposit(after, DEPOSITS_PAGE, self._types)
                found += page.orders
                after = page.last
                if not after:
                    break
        return OrdersFound(orders=found, last=after)

    @activity.defn
    async def read_sage_money(self, request: ReadSageMoney) -> SageMoneyRead:
        """The orders' sales orders with everything that was deposited and invoiced."""
        found: list[DepositedOrder] = []
        async with heartbeats():
            unposted = await self._ledger.unposted_by_order()
            for sought in request.orders:
                numbers = sought.numbers
                if sought.order_id:
                    numbers = await self._ledger.orders_of(sought.order_id, numbers, sought.purchase_orders)
                for number in numbers:
                    bills = unposted.get(number, []) + unposted.get("", [])
                    order = await self._ledger.deposited_order(number, bills)
                    if order is not None:
                        found.append(order.model_copy(update={"web_order_id": sought.order_id}))
        return SageMoneyRead(content=SALES_ORDERS.dump_json(found).decode())

    @activity.defn
    async def read_cash_receipts(self, request: ReadReceipts) -> ReceiptsRead:
        """Receipts of the pair's bank; those of a payment type that is none of ours are somebody else's."""
        bank = self._pair.reconciliation.bank_code
        if not bank:
            return ReceiptsRead()
        found = []
        async with heartbeats():
            if request.unposted:
                found += await self._ledger.unposted_receipts(bank)
            for deposit_date in request.days:
                found += await self._ledger.receipts_on(bank, deposit_date)
        ours = [one for one in found if request.all_types or one.PaymentType in ("", *self._types)]
        return ReceiptsRead(content=RECEIPTS.dump_json(ours).decode())
