"""The link between a web order and the sales order that people typed for it before the pair went live.

In: messages of `contracts.golive`. Out: likewise. Runs on `sage-write-{pair}`; one instance per pair. What is linked
already is left alone, so that it can be repeated.
"""

import asyncio
from typing import Protocol

from temporalio import activity

from connectors.errors import Refused, ShadowMode
from connectors.sage100.gateway import SalesOrderEditor
from contracts.golive import LinkSalesOrder, SalesOrderLinked
from mappings.golive import link_lines, linked
from mappings.order_change import LineChange
from mappings.pair import Pair
from mappings.problems import Problem
from mappings.sales_order import SalesOrderOnSage


class OrderByNumber(Protocol):
    """What ODBC tells of one order."""

    async def sales_order(self, number_: str) -> SalesOrderOnSage | None:
        """As it was entered, live or in history."""
        ...


class AdoptionActivities:
    """One company; `seats` as around every write."""

    def __init__(self, pair: Pair, orders: SalesOrderEditor, reader: OrderByNumber, seats: asyncio.Semaphore) -> None:
        self._pair = pair
        self._orders = orders
        self._reader = reader
        self._seats = seats

    @activity.defn
    async def link_sales_order(self, request: LinkSalesOrder) -> SalesOrderLinked:
        """Web order id on the header, item ids on the lines: the same that a created order has.

        Nothing else of the order changes. Where Sage does not take them (an invoice is being entered, the UDF is
        locked), the order is followed by its number all the same.
        """
        web_id = request.sales_order.UDF_WEB_ORDER_ID
        order = await self._reader.sales_order(request.SalesOrderNo)
        if order is None or (why := self._is_not_ours(order, web_id)):
            why = f"Sage has no sales order {request.SalesOrderNo}" if order is None else why
            return SalesOrderLinked(problems=[_not_ours(request.SalesOrderNo, why)])
        links, remarks = link_lines(request.sales_order, order.Lines)
        header = {} if web_id == order.UDF_WEB_ORDER_ID else {"UDF_WEB_ORDER_ID": web_id}
        changes = [
            LineChange(LineKey=line.LineKey, columns={"UDF_WEB_LINE_ID": links[line.LineKey]})
            for line in order.Lines
            if line.LineKey in links and links[line.LineKey] != line.UDF_WEB_LINE_ID
        ]
        if order.live and (header or changes):
            try:
                async with self._seats:
                    await self._orders.edit_sales_order(request.SalesOrderNo, header, changes)
            except ShadowMode:
                raise
            except Refused as error:
                remarks.append(
                    f"Sage did not take the web order's ids onto {request.SalesOrderNo} ({error.message}): it is "
                    "followed by its number"
                )
        ours = order.model_copy(update={"UDF_WEB_ORDER_ID": web_id, "Lines": linked(order.Lines, links)})
        return SalesOrderLinked(order=ours, remarks=remarks)

    @staticmethod
    def _is_not_ours(order: SalesOrderOnSage, web_id: str) -> str:
        """Why it cannot be the web order's; empty when it can."""
        if order.is_deleted:
            return f"Sales order {order.SalesOrderNo} was deleted in Sage"
        if order.UDF_WEB_ORDER_ID not in ("", web_id):
            return f"Sales order {order.SalesOrderNo} is that of another web order ({order.UDF_WEB_ORDER_ID})"
        return ""


def _not_ours(number: str, why: str) -> Problem:
    return Problem(
        field=f"SO_SalesOrder.{number}",
        message=f"{why}; it was named for this web order when the pair went live.",
        suggestion="Put it right in Sage, then release with retry. With cancel the web order is cancelled at Clarity, "
        "too; nothing is ever created for it here.",
    )
