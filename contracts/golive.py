"""What travels when a pair goes live: `GoLiveWorkflow`, its activities, and the link of a typed order.

Additive, as all messages. Lists are bounded by those who fill them.
"""

from datetime import date, datetime

from pydantic import Field

from mappings.frozen import Frozen
from mappings.golive import OpenMatch, OpenWebOrder
from mappings.pair import Pace
from mappings.problems import Problem
from mappings.sales_order import SalesOrder, SalesOrderOnSage


class LinkSalesOrder(Frozen):
    """`link_sales_order`: make the sales order that people typed the web order's own."""

    pair: str
    SalesOrderNo: str
    sales_order: SalesOrder
    """As it would have been created: whose lines stand for which items of Clarity."""


class SalesOrderLinked(Frozen):
    """The order with the web order's ids, or why it cannot be the web order's."""

    order: SalesOrderOnSage | None = None
    remarks: list[str] = []
    problems: list[Problem] = []


class OpenOrdersPage(Frozen):
    """`list_open_orders`: some pages of Clarity's orders changed since, from this one on."""

    pair: str
    since: datetime
    page: int = 0


class OpenOrders(Frozen):
    """Open web orders that nobody follows yet or that are followed already; `next_page` is None at the end."""

    orders: list[OpenWebOrder] = []
    next_page: int | None = None
    seen: list[str] = []
    """Ids of all that stood on these pages, open or not."""
    listed: int = 0
    """Orders that Clarity's list has in all, by the last of these pages."""


class MatchOpenOrders(Frozen):
    """`match_open_orders`: these with their sales orders."""

    pair: str
    orders: list[OpenWebOrder] = Field(max_length=500)
    named: dict[str, str] = {}
    """By the file: web order id (or number) → SalesOrderNo."""


class OpenMatches(Frozen):
    """Each with what was found."""

    matches: list[OpenMatch] = []


class AdoptOrders(Frozen):
    """`adopt_orders`: web order id → the SalesOrderNo that it is to follow."""

    pair: str
    orders: dict[str, str] = Field(max_length=500)


class Adopted(Frozen):
    """What became of one."""

    order_id: str
    SalesOrderNo: str
    result: str
    detail: str = ""


class AdoptedOrders(Frozen):
    """Each of those asked for."""

    orders: list[Adopted] = []


class GoLiveStart(Frozen):
    """Start argument of `GoLiveWorkflow`: with `adopt` it follows these orders, without it only looks."""

    pair: str
    pace: Pace
    since: date
    """Web orders that Clarity changed on this day or later."""
    named: dict[str, str] = Field(default={}, max_length=10_000)
    adopt: dict[str, str] = Field(default={}, max_length=10_000)


class GoLiveResult(Frozen):
    """What was found, or what became of the orders that were asked for."""

    matches: list[OpenMatch] = []
    not_open: list[str] = []
    """Web orders that the file names, and that are not open at Clarity or not of before the go-live."""
    unseen: int = 0
    """Orders of Clarity's list that were not seen, because it moved through all readings."""
    adopted: list[Adopted] = []
