"""The same basket again within minutes: a buyer who pressed twice, or a store that sent an order twice under two ids.

In: what is to be created, and the account's latest orders in Sage. Out: the orders that hold the very same items.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from mappings.frozen import Frozen
from mappings.sales_order import LineOrigin, SageItemType, SalesOrder


class RecentBasket(Frozen):
    """A live order of the account: goods by ItemCode (standard unit), and when it was created (company time, naive)."""

    SalesOrderNo: str
    UDF_WEB_ORDER_ID: str = ""
    created: datetime
    basket: dict[str, Decimal]


def basket_of(order: SalesOrder) -> dict[str, Decimal]:
    """ItemCode → quantity of the goods in the standard unit; charges and comments do not count."""
    basket: dict[str, Decimal] = defaultdict(Decimal)
    for line in order.Lines:
        if line.origin is LineOrigin.ITEM and line.ItemType in (SageItemType.REGULAR, SageItemType.SPECIAL):
            basket[line.ItemCode] += line.QuantityOrdered * (line.UnitOfMeasureConvFactor or Decimal(1))
    return dict(basket)


def same_basket(order: SalesOrder, recent: Iterable[RecentBasket]) -> list[RecentBasket]:
    """Other web orders of the account with exactly these goods. An order that a person keyed in Sage counts too."""
    wanted = basket_of(order)
    return [one for one in recent if one.UDF_WEB_ORDER_ID != order.UDF_WEB_ORDER_ID and one.basket == wanted]
