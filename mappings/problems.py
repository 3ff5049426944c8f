"""Why an order cannot go on: the hold reasons, and the problems that explain one to a person."""

from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum

from mappings.frozen import Frozen


class HoldReason(StrEnum):
    """Why an order waits for a person (values are the search attribute `HoldReason`)."""

    INVALID_DATA = "invalid_data"
    UNKNOWN_ITEM = "unknown_item"
    CUSTOMER_REVIEW = "customer_review"
    CREDIT = "credit"
    OUT_OF_STOCK = "out_of_stock"
    TOTAL_MISMATCH = "total_mismatch"
    REJECTED_BY_SAGE = "rejected_by_sage"
    REJECTED_BY_CLARITY = "rejected_by_clarity"
    ANOMALY = "anomaly"
    ORDER_CHANGED = "order_changed"
    DELETED_IN_SAGE = "deleted_in_sage"
    INTERNAL_ERROR = "internal_error"


class Problem(Frozen):
    """One thing that is wrong: where, what, and what would help.

    `field` is a path into Clarity's payload (`data.items[2].sku`) or a Sage column (`SO_SalesOrder.CustomerNo`).
    """

    field: str
    message: str
    suggestion: str = ""


class Shortage(Frozen):
    """One item in one warehouse of which an order wants more than there is, in the item's standard unit."""

    ItemCode: str
    WarehouseCode: str
    wanted: Decimal
    available: Decimal


class Finding(Frozen):
    """A check that did not pass: the hold it asks for, and why. `items` names the Sage items concerned."""

    reason: HoldReason
    problems: list[Problem]
    items: list[str] = []
    shortages: list[Shortage] = []
    no_back_orders: list[str] = []
    """Items among them of which Sage drops what it cannot ship (CI_Item.AllowBackOrders N)."""
    choices: dict[str, str] = {}
    """With unknown items: Clarity's item id → the likeliest ItemCode, empty when nothing is near."""
    check: str = ""
    """The check that found it, where one of the pair's list did."""
    in_sage: bool = False
    """By the pair's choice the order is created with OrderStatus H, and waits there."""

    @property
    def approvals(self) -> list[str]:
        """What a person approves with this finding: the check, and each thing it was about.

        Another account, another order with the same basket, a credit hold set later is found again.
        """
        return approvals(self.check, self.problems)


def approvals(check: str, problems: Iterable[Problem]) -> list[str]:
    """The names under which a check's problems are approved."""
    return [f"{check}:{problem.field}" for problem in problems]
