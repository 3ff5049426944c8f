"""Search attributes: what operators filter by. Values are bounded here, because the server terminates a workflow
whose attribute exceeds 2,048 bytes (temporal.md, limits met by trying). No personal data."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final

from temporalio.common import SearchAttributeKey

SCALAR_LIMIT: Final = 200
LIST_LIMIT_BYTES: Final = 1_500
MORE: Final = "+more"
"""Last of `HeldItems` when there are more than fit."""


class OrderState(StrEnum):
    """Where an order is in its life (search attribute `OrderState`)."""

    RECEIVED = "received"
    HELD = "held"
    OPEN = "open"
    PARTIALLY_SHIPPED = "partially_shipped"
    SHIPPED = "shipped"
    COMPLETE = "complete"
    CANCELLED = "cancelled"


ORDER_STATE: Final = SearchAttributeKey.for_keyword("OrderState")
HOLD_REASON: Final = SearchAttributeKey.for_keyword("HoldReason")
PAIR: Final = SearchAttributeKey.for_keyword("Pair")
ORDER_NUMBER: Final = SearchAttributeKey.for_keyword("OrderNumber")
SALES_ORDER_NO: Final = SearchAttributeKey.for_keyword("SalesOrderNo")
CUSTOMER_NO: Final = SearchAttributeKey.for_keyword("CustomerNo")
HELD_ITEMS: Final = SearchAttributeKey.for_keyword_list("HeldItems")

ALL: Final[tuple[SearchAttributeKey[Any], ...]] = (
    ORDER_STATE,
    HOLD_REASON,
    PAIR,
    ORDER_NUMBER,
    SALES_ORDER_NO,
    CUSTOMER_NO,
    HELD_ITEMS,
)


def scalar(text: str) -> str:
    """`text` as a search-attribute value: one line of printable characters, at most 200."""
    return "".join(character if character.isprintable() else " " for character in text)[:SCALAR_LIMIT]


def held_items(items: Iterable[str]) -> list[str]:
    """Item codes as a KeywordList of at most 1,500 bytes: the first ones, then `+more`."""
    kept: list[str] = []
    used = 0
    for item in dict.fromkeys(items):
        value = scalar(item)
        used += len(value.encode()) + 4
        if used > LIST_LIMIT_BYTES:
            return [*kept, MORE]
        kept.append(value)
    return kept
