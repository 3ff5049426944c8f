"""Reading money for a reconciliation: Clarity's lists on `clarity-{pair}`, Sage's tables on `sage-read-{pair}`.

In: pages, ids, days, keys. Out: models of `mappings.ledger`, small enough to travel: each call reads a few pages or a
few hundred orders, and is repeated whole when it fails. Nothing is written anywhere.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, time
from typing import Final

from temporalio import activity

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
from mappings.ledger import DepositedOrder, OrderNamed, Payout
from mappings.pair import Pair
from mappings.web_money import WebOrderSeen, listed_payment, payout, web_order

PAGES_AT_ONCE: Final = 10
"""Pages of a list in one call; with fifty entries each they stay far below what a payload may hold."""
DEPOSITS_PAGE: Final = 500
BEAT_SECONDS: Final = 5.0


@asynccontextmanager
async def heartbeats() -> AsyncIterator[None]:
    """Heartbeat beside the work: one call may take longer than the heartbeat's time-out."""

    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(BEAT_SECONDS)

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)


class ClarityMoneyActivities:
    """Reads one store's orders, payments and payouts."""

    def __init__(self, pair: Pair, clarity: ClarityClient) -> None:
        self._pair = pair
        self._clarity = clarity
        self._go_live = datetime.combine(pair.go_live, time(), pair.company.zone)

    @activity.defn
    async def list_web_orders(self, request: MoneyPage) -> WebOrdersRead:
        """Orders changed since, those with payments."""
        result, number = WebOrdersRead(), request.page
        async with heartbeats():
            for number in range(request.page, request.page + PAGES_AT_ONCE):
                page = await self._clarity.list_orders(request.since, number)
                seen = [web_order(body, self._pair.clarity.statuses) for body in page.items]
                result = self._add(result, [one for one in seen if one is not None and self._has_payments(one)])
                result = result.model_copy(
                    update={"entries": result.entries + len(page.items), "total": page.totalCount}
                )
                if len(page.items) < self._clarity.page_size:
                    return result
        return result.model_copy(update={"next_page": number + 1})

    @activity.defn
    async def read_web_orders(self, request: ReadWebOrders) -> WebOrdersRead:
        """Single orders, with payments or not."""
        result = WebOrdersRead()
        async with heartbeats():
            for order_id in request.order_ids:
                try:
                    body = await self._clarity.get_order(order_id)
                except NotFound:
                    result = result.model_copy(update={"missing": [*result.missing, order_id]})
                    continue
                seen = web_order(body, self._pair.clarity.statuses)
                result = self._add(result, [] if seen is None else [seen])
        return result

    def _has_payments(self, seen: WebOrderSeen) -> bool:
        return bool(seen.order.payments or seen.unreadable)

    def _add(self, result: WebOrdersRead, seen: list[WebOrderSeen]) -> WebOrdersRead:
        old = {one.order.order_id for one in seen if self._is_ignored(one)}
        new = [one for one in seen if one.order.order_id not in old]
        return result.model_copy(update={"orders": [*result.orders, *new], "ignored": [*result.ignored, *sorted(old)]})

    def _is_ignored(self, seen: WebOrderSeen) -> bool:
        """From before the go-live, or of a currency that another pair's company keeps."""
        old = seen.created is not None and seen.created < self._go_live
        return old or seen.currency in self._pair.company.other_currencies

    @activity.defn
    async def list_gateway_payments(self, request: MoneyPage) -> PaymentsRead:
        """The list of payments changed since."""
        result, number = PaymentsRead(), request.page
        async with heartbeats():
            for number in range(request.page, request.page + PAGES_AT_ONCE):
                page = await self._clarity.list_payments(request.since, number)
                read = [listed_payment(body) for body in page.items]
                result = PaymentsRead(
                    payments=[*result.payments, *(one for one in read if one is not None)],
                    unreadable=result.unreadable + sum(one is None for one in read),
                    entries=result.entries + len(read),
                    total=page.totalCount,
                )
                if len(read) < self._clarity.page_size:
                    return result
        return result.model_copy(update={"next_page": number + 1})

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
        return SageMoneyRead(orders=found)

    @activity.defn
    async def read_cash_receipts(self, request: ReadReceipts) -> ReceiptsRead:
        """Receipts of the pair's bank; those of a payment type that is none of ours are somebody else's."""
        bank = self._pair.reconciliation.bank_code
        if not bank:
            return ReceiptsRead()
        found = []
        async with heartbeats():
            for deposit_date in request.days:
                found += await self._ledger.receipts_on(bank, deposit_date)
            if request.unposted:
                found += await self._ledger.unposted_receipts(bank)
        return ReceiptsRead(receipts=[one for one in found if one.PaymentType in ("", *self._types)])
