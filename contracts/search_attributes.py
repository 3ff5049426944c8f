"""Search attributes: what operators filter by. Values are bounded here, because the server terminates a workflow
whose attribute exceeds 2,048 bytes (temporal.md, limits met by trying). No personal data."""

import json
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final

from temporalio.common import SearchAttributeKey

SCALAR_LIMIT: Final = 200
SCALAR_LIMIT_BYTES: Final = 1_500
LIST_LIMIT_BYTES: Final = 1_500
"""As they travel: JSON with everything beyond ASCII escaped, up to twelve bytes a character."""
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
UNUSED_NUMBER: Final = SearchAttributeKey.for_keyword("UnusedNumber")
"""A SalesOrderNo that an order reserved and never used (rules 4)."""

ALL: Final[tuple[SearchAttributeKey[Any], ...]] = (
    ORDER_STATE,
    HOLD_REASON,
    PAIR,
    ORDER_NUMBER,
    SALES_ORDER_NO,
    CUSTOMER_NO,
    HELD_ITEMS,
    UNUSED_NUMBER,
)

FAILED_FLOWS: Final = "WorkflowType != 'OrderFulfillmentWorkflow' AND ExecutionStatus IN ('Failed', 'TimedOut')"
"""Visibility query: runs of every flow but orders that ended without doing their work."""
WAITING_FOR_SAGE: Final = "SalesOrderNo IS NOT NULL"
"""Visibility query, of running orders: those that stand in Sage and wait for what happens there, held ones, too."""


def scalar(text: str) -> str:
    """`text` as a search-attribute value: one line of printable characters, at most 200, and 1,500 bytes as JSON."""
    value = "".join(character if character.isprintable() else " " for character in text)[:SCALAR_LIMIT]
    while encoded_length(value) > SCALAR_LIMIT_BYTES:
        value = value[: len(value) * 3 // 4]
    return value


def encoded_length(value: str) -> int:
    """Bytes of a value as the SDK sends it."""
    return len(json.dumps(value))


def held_items(items: Iterable[str]) -> list[str]:
    """Item codes as a KeywordList of at most 1,500 bytes: the first ones, then `+more`."""
    kept: list[str] = []
    used = 0
    for item in dict.fromkeys(items):
        value = scalar(item)
        used += encoded_length(value) + 2
        if used > LIST_LIMIT_BYTES:
            return [*kept, MORE]
        kept.append(value)
    return kept
