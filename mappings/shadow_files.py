"""The files of a shadow comparison: CSV for people and spreadsheets, JSON for programs (docs/going-live.md).

In: compared orders and their totals. Out: the files' names and bytes, the same for the same input. As the files of a
reconciliation are written; `differences.csv` and `summary.json` hold addresses where they differ. Card numbers stand in
none of them, whoever put one there.
"""

import json
from collections.abc import Sequence
from typing import Any, Final

from mappings.card_numbers import mask_card_numbers
from mappings.reconciliation_files import Cell, masked, table
from mappings.shadow import ComparedOrder, ComparisonTotals

ORDERS: Final = "orders.csv"
DIFFERENCES: Final = "differences.csv"
SUMMARY: Final = "summary.json"
"""Written last: when it is there, the others are."""

ORDER_COLUMNS: Final = (
    "order_id", "order_number", "created", "outcome", "SalesOrderNo", "fields", "new_customer", "hold", "why",
    "suggestions",
)  # fmt: skip
DIFFERENCE_COLUMNS: Final = ("order_id", "order_number", "SalesOrderNo", "field", "ItemCode", "ours", "theirs")


def files(
    compared: Sequence[ComparedOrder], totals: ComparisonTotals, span: str, unfinished: int = 0
) -> dict[str, bytes]:
    """Name → content, in the order in which they are to be written."""
    content = {"days": span, "unfinished": unfinished, **totals.model_dump(mode="json")}
    content["orders_compared"] = [as_json(one) for one in compared]
    return {
        ORDERS: orders_table(compared),
        DIFFERENCES: table(DIFFERENCE_COLUMNS, [row for one in compared for row in difference_rows(one)]),
        SUMMARY: (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode(),
    }


def as_json(one: ComparedOrder) -> dict[str, Any]:
    """One order, as summary.json has it."""
    return {**mask_card_numbers(one.model_dump(mode="json"))[0], "order_id": one.order_id}


def orders_table(compared: Sequence[ComparedOrder]) -> bytes:
    """orders.csv."""
    return table(ORDER_COLUMNS, map(order_row, compared))


def order_row(one: ComparedOrder) -> list[Cell]:
    """A row of orders.csv."""
    hold = one.holds[0] if one.holds else None
    return [
        one.order_id,
        masked(one.order_number),
        one.created,
        one.outcome.value,
        one.SalesOrderNo,
        " ".join(dict.fromkeys(difference.field for difference in one.differences)),
        one.new_customer,
        hold.reason.value if hold else "",
        masked(hold.sentence) if hold else "",
        " ".join(one.suggestions),
    ]


def difference_rows(one: ComparedOrder) -> list[list[Cell]]:
    """Rows of differences.csv."""
    head: list[Cell] = [one.order_id, masked(one.order_number), one.SalesOrderNo]
    return [[*head, found.field, found.ItemCode, masked(found.ours), masked(found.theirs)] for found in one.differences]
