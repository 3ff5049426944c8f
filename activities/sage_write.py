"""What is written to Sage, through its gateway: reserved numbers, sales orders, customers. Each exactly once.

In: messages of `contracts.messages`. Out: likewise. Runs on `sage-write-{pair}`; one instance per pair. Slots are one
more than the company's writers, and a lock of `writers` stands around the calls, so that a writer's seat never waits
for a poll of Temporal (design, processes).
"""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from temporalio import activity

from activities.sage_read import recent_since
from connectors.errors import AlreadyExists, Refused
from connectors.sage100.gateway import AliasWriter, CustomerWriter, SalesOrderWriter
from contracts.messages import (
    AliasRemembered,
    CreateCustomer,
    CreateSalesOrder,
    CustomerCreated,
    RememberAlias,
    ReserveRequest,
    SalesOrderCreated,
)
from mappings.baskets import RecentBasket
from mappings.checks import (
    back_ordered,
    balanced,
    below_sages_price,
    compare_totals,
    price_check,
    run_checks,
    same_order,
)
from mappings.customer_match import CustomerRecord
from mappings.items import ItemFacts
from mappings.pair import Pair, PriceSource
from mappings.problems import Finding, HoldReason, Problem
from mappings.sales_order import CustomerKey, SalesOrder, SalesOrderOnSage


class FactsReader(Protocol):
    """What is looked at once more, inside the write lock."""

    async def items(self, codes: Iterable[str]) -> dict[str, ItemFacts]:
        """Items with their stock, by ItemCode."""
        ...

    async def customer(self, key: CustomerKey) -> CustomerRecord | None:
        """The account."""
        ...

    async def recent_baskets(self, key: CustomerKey, since: datetime) -> list[RecentBasket]:
        """The account's live orders created since."""
        ...


class SageWriteActivities:
    """Writes of one company. The writers are the same gateway, or several side by side."""

    def __init__(
        self,
        pair: Pair,
        sales_orders: SalesOrderWriter,
        customers: CustomerWriter,
        aliases: AliasWriter,
        reader: FactsReader,
    ) -> None:
        self._pair = pair
        self._sales_orders = sales_orders
        self._customers = customers
        self._aliases = aliases
        self._reader = reader
        self._seats = asyncio.Semaphore(pair.sage.writers)
        self._look_and_create = asyncio.Lock()

    @activity.defn
    async def reserve_sales_order_number(self, request: ReserveRequest) -> str:
        """The next SalesOrderNo. A number that is never used leaves a harmless gap."""
        async with self._seats:
            return await self._sales_orders.next_sales_order_no()

    @activity.defn
    async def create_sales_order(self, request: CreateSalesOrder) -> SalesOrderCreated:
        """Preview, compare totals, look at stock and credit once more, create under the reserved number.

        The number makes it safe to repeat (rules 4): on every attempt but the first, and on 409, Sage is read first.
        What stands there is our order when the web order id says so and the content is equal.
        """
        number, wanted = request.SalesOrderNo, balanced(request.sales_order, self._pair, request.decisions)
        async with self._seats:
            if activity.info().attempt > 1:
                stored = await self._sales_orders.get_sales_order(number)
                if stored is not None:
                    return self._decide(wanted, stored)
            preview = await self._sales_orders.preview(wanted)
            mismatch = compare_totals(request.expected, preview, request.decisions)
            if mismatch is not None:
                return SalesOrderCreated(
                    hold=mismatch.reason,
                    problems=mismatch.problems,
                    difference=preview.total - request.expected.grand,
                )
            too_cheap = await self._below_sages_price(request, wanted)
            if too_cheap is not None:
                return SalesOrderCreated(hold=too_cheap.reason, problems=too_cheap.problems)
            async with self._look_and_create:
                return await self._create(request, wanted)

    async def _below_sages_price(self, request: CreateSalesOrder, wanted: SalesOrder) -> Finding | None:
        """Sage's own prices for the account are asked for by a preview without ours."""
        checks = self._pair.checks if request.checks is None else request.checks
        if price_check(checks, request.decisions) is None or self._pair.order.prices.source is PriceSource.SAGE:
            return None
        return below_sages_price(
            wanted, await self._sales_orders.preview(wanted.without_prices()), checks, request.decisions
        )

    async def _create(self, request: CreateSalesOrder, wanted: SalesOrder) -> SalesOrderCreated:
        """Look at stock and credit as they are now, then write: nobody else of this company writes in between."""
        number = request.SalesOrderNo
        customer = CustomerKey(ARDivisionNo=wanted.ARDivisionNo, CustomerNo=wanted.CustomerNo)
        items = await self._reader.items(dict.fromkeys(line.ItemCode for line in wanted.Lines))
        findings = run_checks(
            wanted,
            request.expected,
            await self._reader.customer(customer),
            items,
            self._pair,
            request.decisions,
            await self._reader.recent_baskets(customer, since) if (since := recent_since(self._pair, customer)) else (),
            request.checks,
        )
        stops = next((finding for finding in findings if not finding.in_sage), None)
        if stops is not None:
            return SalesOrderCreated(
                hold=stops.reason,
                problems=stops.problems,
                items=stops.items,
                shortages=stops.shortages,
                no_back_orders=stops.no_back_orders,
            )
        order = back_ordered(wanted, items, self._pair, request.decisions)
        held_in_sage = [problem for finding in findings for problem in finding.problems]
        if held_in_sage:
            order = order.model_copy(update={"OrderStatus": "H"})
        try:
            return SalesOrderCreated(
                created=await self._sales_orders.create_sales_order(number, order), held_in_sage=held_in_sage
            )
        except AlreadyExists:
            stored = await self._sales_orders.get_sales_order(number)
            return SalesOrderCreated(number_taken=True) if stored is None else self._decide(wanted, stored)

    @activity.defn
    async def remember_alias(self, request: RememberAlias) -> AliasRemembered:
        """A person's choice of item, kept in Sage (IM_AliasItem) for the next order."""
        async with self._seats:
            try:
                await self._aliases.create_alias(request.AliasItemNo, request.ItemCode)
            except AlreadyExists as error:
                return AliasRemembered(stored=False, why=str(error))
            except Refused as error:
                return AliasRemembered(stored=False, why=str(error))
        return AliasRemembered(stored=True)

    def _decide(self, wanted: SalesOrder, stored: SalesOrderOnSage) -> SalesOrderCreated:
        if stored.UDF_WEB_ORDER_ID != wanted.UDF_WEB_ORDER_ID:
            return SalesOrderCreated(number_taken=True)
        differences = same_order(wanted, stored)
        if not differences:
            return SalesOrderCreated(created=stored)
        return SalesOrderCreated(
            hold=HoldReason.REJECTED_BY_SAGE,
            problems=[
                Problem(
                    field=f"SO_SalesOrder.{stored.SalesOrderNo}",
                    message=f"Sage's order differs from what was sent: {difference}",
                    suggestion="Correct or delete the order in Sage, then release with retry.",
                )
                for difference in differences
            ],
        )

    @activity.defn
    async def reserve_customer_number(self, request: ReserveRequest) -> str:
        """The next CustomerNo."""
        async with self._seats:
            return await self._customers.next_customer_no()

    @activity.defn
    async def create_customer(self, request: CreateCustomer) -> CustomerCreated:
        """Create the web customer under the reserved number; an existing one is ours when it carries the same keys."""
        customer = request.search.new_customer
        key = CustomerKey(ARDivisionNo=customer.ARDivisionNo, CustomerNo=request.CustomerNo)
        async with self._seats:
            if activity.info().attempt > 1 and await self._customers.get_customer(key) is not None:
                return await self._decide_customer(request, key)
            try:
                return CustomerCreated(customer=await self._customers.create_customer(request.CustomerNo, customer))
            except AlreadyExists:
                return await self._decide_customer(request, key)

    async def _decide_customer(self, request: CreateCustomer, key: CustomerKey) -> CustomerCreated:
        stored = await self._customers.get_customer(key)
        wanted = request.search.new_customer
        ours = (
            stored is not None
            and stored.CustomerName == wanted.CustomerName
            and stored.EmailAddress == wanted.EmailAddress
            and stored.UDF_WEB_CUSTOMER_ID == wanted.UDF_WEB_CUSTOMER_ID
        )
        return CustomerCreated(customer=key) if ours else CustomerCreated(number_taken=True)
