"""Going live: open web orders and the sales orders that people typed for them.

In: open web orders of Clarity, orders of Sage, a file in which people name pairs of both. Out: which belongs to which,
and of one pair, which line to which item. Pure.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Final

from mappings.frozen import Frozen
from mappings.sales_order import CreatedLine, LineOrigin, SageItemType, SalesOrder, SalesOrderLine
from mappings.shadow import TypedOrder, is_foreign

COLUMNS: Final = ("ClarityOrderID", "SalesOrderNo")
CLOSED: Final = "C"
"""SO_SalesOrderHeader.OrderStatus of an order with nothing left to ship."""


class MatchState(StrEnum):
    """What was found for an open web order."""

    MATCHED = "matched"
    AMBIGUOUS = "ambiguous"
    UNMATCHED = "unmatched"
    ALREADY_SHIPPED = "already_shipped"
    """Sage has nothing left to ship of it, and Clarity does not know: a person tells Clarity."""
    FOLLOWED = "followed"
    """It has a workflow already."""
    WAITING = "waiting"
    """Clarity holds it: look again when it is released."""


class OpenWebOrder(Frozen):
    """An order that is open at Clarity, and was created before the pair went live or came while it was in shadow."""

    order_id: str
    number: str = ""
    purchase_order: str = ""
    created: date
    status: str = ""
    total: Decimal | None = None
    currency: str = ""
    email: str = ""
    followed: bool = False
    waiting: bool = False


class OpenMatch(Frozen):
    """One open web order, and its sales order."""

    order_id: str
    number: str
    created: date
    state: MatchState
    SalesOrderNo: str = ""
    why: str = ""
    suggestions: list[str] = []


def read_named(content: bytes, name: str) -> dict[str, str]:
    """`ClarityOrderID,SalesOrderNo` with a heading, as a spreadsheet saves it → web order id → SalesOrderNo.

    Numbers that a spreadsheet has robbed of their leading zeros get them back. Raises ValueError that names file and
    line.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{name}: is no text in UTF-8; save it as CSV UTF-8") from None
    first, _, _ = text.partition("\n")
    rows = csv.DictReader(io.StringIO(text), delimiter=";" if ";" in first and "," not in first else ",")
    missing = [column for column in COLUMNS if column not in (rows.fieldnames or ())]
    if missing:
        raise ValueError(f"{name}:1: has no column {missing[0]}; the heading must be {','.join(COLUMNS)}")
    named: dict[str, str] = {}
    for row in rows:
        order_id, number = (str(row[column] or "").strip() for column in COLUMNS)
        place = f"{name}:{rows.line_num}"
        if not order_id and not number:
            continue
        if not order_id or not re.fullmatch(r"[A-Z0-9]{1,7}", number):
            raise ValueError(f"{place}: {order_id[:64]!r}, {number[:20]!r} is no web order with a SalesOrderNo")
        number = number.zfill(7) if number.isdigit() else number
        if named.setdefault(order_id, number) != number:
            raise ValueError(f"{place}: web order {order_id[:64]} is named twice, with {named[order_id]} and {number}")
    return named


# ---- which order ----------------------------------------------------------------------------------------------------


def match_open(
    order: OpenWebOrder, found: Sequence[TypedOrder], named: str, suggestions: Sequence[str], tolerance: Decimal
) -> OpenMatch:
    """`found` are the orders of Sage that the file names (`named`) or that carry the web order's number.

    The number alone proves nothing (rules 4): unless a person named it, or it has the web order's id, an order that was
    entered before the checkout, or whose total differs by more than `tolerance`, is not taken for it.
    """
    match = OpenMatch(
        order_id=order.order_id,
        number=order.number,
        created=order.created,
        state=MatchState.UNMATCHED,
        suggestions=list(suggestions),
    )
    if order.followed:
        return match.model_copy(update={"state": MatchState.FOLLOWED, "why": "has a workflow already"})
    if order.waiting:
        return match.model_copy(update={"state": MatchState.WAITING, "why": f"is {order.status} at Clarity"})
    ours = [one for one in found if not is_foreign(one, order.order_id, None if named else order.created)]
    if not ours:
        if named and not found:
            why = f"Sage has no sales order {named}, which the file names"
        elif found:
            theirs = ", ".join(f"{one.SalesOrderNo} ({_whose(one)})" for one in found[:3])
            why = f"found only {theirs}"
        else:
            why = "no sales order carries its number: name it in the file, or see docs/going-live.md"
        state = MatchState.AMBIGUOUS if found else MatchState.UNMATCHED
        return match.model_copy(update={"state": state, "why": why})
    live = [one for one in ours if one.live and one.OrderStatus != CLOSED]
    if len(ours) > 1:
        why = f"{', '.join(one.SalesOrderNo for one in ours[:5])} carry its number: name the right one in the file"
        return match.model_copy(update={"state": MatchState.AMBIGUOUS, "why": why})
    one = ours[0]
    why = "named in the file" if named else f"CustomerPONo {one.CustomerPONo}"
    if order.total is not None and one.total != order.total:
        why += f"; {one.total:,.2f} in Sage, {order.total:,.2f} {order.currency} at Clarity".rstrip()
        if not named and not one.UDF_WEB_ORDER_ID and abs(one.total - order.total) > tolerance:
            why = f"{one.SalesOrderNo}: {why}; name it in the file if it is the one"
            return match.model_copy(update={"state": MatchState.AMBIGUOUS, "why": why})
    state = MatchState.MATCHED if live else MatchState.ALREADY_SHIPPED
    return match.model_copy(update={"state": state, "SalesOrderNo": one.SalesOrderNo, "why": why})


def _whose(order: TypedOrder) -> str:
    if order.is_deleted:
        return "deleted"
    if order.UDF_WEB_ORDER_ID:
        return f"of web order {order.UDF_WEB_ORDER_ID}"
    return f"entered on {order.OrderDate}, before the checkout"


def once_each(matches: Iterable[OpenMatch]) -> list[OpenMatch]:
    """A sales order is one web order's: those that share one are ambiguous."""
    matches = list(matches)
    users: dict[str, list[str]] = {}
    for one in matches:
        if one.state is MatchState.MATCHED:
            users.setdefault(one.SalesOrderNo, []).append(one.order_id)
    return [
        one.model_copy(
            update={
                "state": MatchState.AMBIGUOUS,
                "why": f"sales order {one.SalesOrderNo} would be that of {' and '.join(users[one.SalesOrderNo])}",
                "SalesOrderNo": "",
            }
        )
        if len(users.get(one.SalesOrderNo, ())) > 1
        else one
        for one in matches
    ]


# ---- which line -----------------------------------------------------------------------------------------------------


def link_lines(wanted: SalesOrder, typed: Sequence[CreatedLine]) -> tuple[dict[str, str], list[str]]:
    """LineKey → UDF_WEB_LINE_ID of the item that it stands for, and what could not be placed, in words.

    By ItemCode: lines with the item's very quantity first, then the others in their order until the quantity is used
    up (people split lines over warehouses). Where several items of one ItemCode are left, lines must add up to each:
    those of which one would stand for several items stand for none, and are told by their tracking alone, because
    Clarity would be told wrong quantities. A line that says whose it is stays so.
    """
    links = {line.LineKey: line.UDF_WEB_LINE_ID for line in typed if line.UDF_WEB_LINE_ID}
    placed = set(links.values())
    items = [
        line
        for line in wanted.Lines
        if line.origin is LineOrigin.ITEM and line.UDF_WEB_LINE_ID and line.UDF_WEB_LINE_ID not in placed
    ]
    free = [line for line in typed if _may_stand_for_an_item(line) and line.LineKey not in links]
    for item in list(items):
        same = (one for one in free if one.ItemCode == item.ItemCode and _pieces(one) == _pieces(item))
        if (line := next(same, None)) is not None:
            links[line.LineKey] = item.UDF_WEB_LINE_ID
            free.remove(line)
            items.remove(item)
    for code in dict.fromkeys(one.ItemCode for one in items):
        wanting = [one for one in items if one.ItemCode == code]
        found = _filled(wanting, [line for line in free if line.ItemCode == code])
        links |= found
        free = [line for line in free if line.LineKey not in found]
        items = [one for one in items if one.UDF_WEB_LINE_ID not in found.values()]
    remarks = [f"item {one.UDF_WEB_LINE_ID} ({one.sku}) has no line of its own in Sage" for one in items]
    remarks += [f"line {one.LineKey} ({one.ItemCode}) is none of the web order's items" for one in free if one.counts]
    return links, remarks[:20]


def _filled(items: Sequence[SalesOrderLine], lines: Sequence[CreatedLine]) -> dict[str, str]:
    """LineKey → item: lines in their order until each item's quantity is used up; of several items, all or none."""
    found: dict[str, str] = {}
    for item in items:
        left = _pieces(item)
        for line in lines:
            if line.LineKey in found or left <= 0:
                continue
            found[line.LineKey] = item.UDF_WEB_LINE_ID
            left -= _pieces(line)
        if left and len(items) > 1:
            return {}
    return found


def _may_stand_for_an_item(line: CreatedLine) -> bool:
    return not line.is_component and line.ItemType in (
        SageItemType.REGULAR,
        SageItemType.SPECIAL,
        SageItemType.MISCELLANEOUS,
    )


def _pieces(line: SalesOrderLine | CreatedLine) -> Decimal:
    return line.QuantityOrdered * (line.UnitOfMeasureConvFactor or Decimal(1))


def linked(lines: Iterable[CreatedLine], links: Mapping[str, str]) -> list[CreatedLine]:
    """The lines, each with the item that it stands for."""
    return [
        line.model_copy(update={"UDF_WEB_LINE_ID": links[line.LineKey]}) if line.LineKey in links else line
        for line in lines
    ]
