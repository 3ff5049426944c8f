"""Who may call one company's gateway at the same moment, and who may decide on its stock and credit.

In: a company's writers (concurrent-user licences, `sage.writers`). Each call to the gateway takes a seat and gives it
back with the answer; what is read through ODBC meanwhile needs none, so that the seat goes on with the next order's
call. `alone` is held from the last look at stock and credit to the write that takes them. Whoever needs both takes
`alone` first: two that wait for each other would wait for ever.
"""

import asyncio
from collections.abc import Iterable, Mapping

from activities.metering import Seats
from connectors.sage100.gateway import SalesOrderEditor, SalesOrderWriter
from mappings.order_change import EnteredOrder, LineChange
from mappings.sales_order import SalesOrder, SalesOrderOnSage


class CompanyWrites:
    """Shared by every pair of this process that has the company.

    Two stores that sell one company's stock would else look at the same last piece, and both take it.
    """

    def __init__(self, writers: int, company: str = "") -> None:
        """`company` is its code, which the metrics name."""
        self.seats: asyncio.Semaphore = Seats(writers, company)
        """Held around every call; whoever holds one never waits for `alone`."""
        self.alone = asyncio.Lock()
        """Held between a last look at stock and credit, and the write that takes them."""


class SeatedWriter:
    """A `SalesOrderWriter` of which each call takes a seat."""

    def __init__(self, orders: SalesOrderWriter, seats: asyncio.Semaphore) -> None:
        self._orders = orders
        self._seats = seats

    async def next_sales_order_no(self) -> str:
        """See `SalesOrderWriter`."""
        async with self._seats:
            return await self._orders.next_sales_order_no()

    async def preview(self, order: SalesOrder) -> SalesOrderOnSage:
        """See `SalesOrderWriter`."""
        async with self._seats:
            return await self._orders.preview(order)

    async def create_sales_order(self, number: str, order: SalesOrder) -> SalesOrderOnSage:
        """See `SalesOrderWriter`."""
        async with self._seats:
            return await self._orders.create_sales_order(number, order)

    async def get_sales_order(self, number: str) -> SalesOrderOnSage | None:
        """See `SalesOrderWriter`."""
        async with self._seats:
            return await self._orders.get_sales_order(number)

    async def change_sales_order(self, number: str, columns: Mapping[str, str]) -> SalesOrderOnSage:
        """See `SalesOrderWriter`."""
        async with self._seats:
            return await self._orders.change_sales_order(number, columns)

    async def delete_sales_order(self, number: str) -> None:
        """See `SalesOrderWriter`."""
        async with self._seats:
            await self._orders.delete_sales_order(number)


class SeatedEditor:
    """A `SalesOrderEditor` of which each call takes a seat."""

    def __init__(self, orders: SalesOrderEditor, seats: asyncio.Semaphore) -> None:
        self._orders = orders
        self._seats = seats

    async def preview(self, order: SalesOrder) -> SalesOrderOnSage:
        """See `SalesOrderEditor`."""
        async with self._seats:
            return await self._orders.preview(order)

    async def read_sales_order(self, number: str) -> EnteredOrder | None:
        """See `SalesOrderEditor`."""
        async with self._seats:
            return await self._orders.read_sales_order(number)

    async def edit_sales_order(
        self, number: str, columns: Mapping[str, str], lines: Iterable[LineChange] = ()
    ) -> EnteredOrder:
        """See `SalesOrderEditor`."""
        async with self._seats:
            return await self._orders.edit_sales_order(number, columns, lines)

    async def delete_sales_order(self, number: str) -> None:
        """See `SalesOrderEditor`."""
        async with self._seats:
            await self._orders.delete_sales_order(number)
