"""What is written to Sage, through its gateway: reserved numbers, sales orders, customers. Each exactly once.

In: messages of `contracts.messages`. Out: likewise. Runs on `sage-write-{pair}`; one instance per pair. Slots are one
more than the company's writers, and a lock of `writers` stands around the calls, so that a writer's seat never waits
for a poll of Temporal (design, processes).
"""

import asyncio

from temporalio import activity

from connectors.errors import AlreadyExists
from connectors.sage100.gateway import CustomerWriter, SalesOrderWriter
from contracts.messages import (
    CreateCustomer,
    CreateSalesOrder,
    CustomerCreated,
    ReserveRequest,
    SalesOrderCreated,
)
from mappings.checks import compare_totals, same_order
from mappings.pair import Pair
from mappings.problems import HoldReason, Problem
from mappings.sales_order import CustomerKey, SalesOrder, SalesOrderOnSage


class SageWriteActivities:
    """Writes of one company. `sales_orders` and `customers` are the same gateway, or two writers side by side."""

    def __init__(self, pair: Pair, sales_orders: SalesOrderWriter, customers: CustomerWriter) -> None:
        self._pair = pair
        self._sales_orders = sales_orders
        self._customers = customers
        self._seats = asyncio.Semaphore(pair.sage.writers)

    @activity.defn
    async def reserve_sales_order_number(self, request: ReserveRequest) -> str:
        """The next SalesOrderNo. A number that is never used leaves a harmless gap."""
        async with self._seats:
            return await self._sales_orders.next_sales_order_no()

    @activity.defn
    async def create_sales_order(self, request: CreateSalesOrder) -> SalesOrderCreated:
        """Preview, compare totals, create under the reserved number.

        The number makes it safe to repeat (rules 4): on every attempt but the first, and on 409, Sage is read first.
        What stands there is our order when the web order id says so and the content is equal.
        """
        number, wanted = request.SalesOrderNo, request.sales_order
        async with self._seats:
            if activity.info().attempt > 1:
                stored = await self._sales_orders.get_sales_order(number)
                if stored is not None:
                    return self._decide(wanted, stored)
            preview = await self._sales_orders.preview(wanted)
            difference = compare_totals(request.expected, preview)
            if difference is not None:
                return SalesOrderCreated(hold=difference.reason, problems=difference.problems)
            try:
                return SalesOrderCreated(created=await self._sales_orders.create_sales_order(number, wanted))
            except AlreadyExists:
                stored = await self._sales_orders.get_sales_order(number)
                return SalesOrderCreated(number_taken=True) if stored is None else self._decide(wanted, stored)

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
