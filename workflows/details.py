"""What people read in the Temporal Web UI: the details page of an order, and the words for its waits.

In: the order's view. Out: Markdown (at most 20 KB) and short texts. Pure; no personal data.
"""

import hashlib
import json
import re

from contracts.messages import HoldView, OrderView, PostShipment, ReleaseAction, TrailEntry
from contracts.search_attributes import OrderState
from mappings.problems import HoldReason
from mappings.shipments import ShipmentInvoice

SHOWN_PROBLEMS = 10
LONGEST_PROBLEM = 400
SHOWN_TRAIL = 12
LONGEST = 19_000
"""Bytes; the server takes 20 KB."""

HEADINGS = {
    OrderState.RECEIVED: "Received",
    OrderState.HELD: "Held: a person must decide",
    OrderState.OPEN: "Open in Sage",
    OrderState.PARTIALLY_SHIPPED: "Partly shipped",
    OrderState.SHIPPED: "Shipped",
    OrderState.COMPLETE: "Complete",
    OrderState.CANCELLED: "Cancelled",
}


def content_of(invoice: ShipmentInvoice) -> str:
    """What an invoice ships, in which packages, with which tracking: tells a repeated signal from news.

    Empty when it ships nothing (yet). Posting alone changes nothing.
    """
    lines = ",".join(f"{line.LineKey}:{line.QuantityShipped.normalize():f}" for line in invoice.shipped_lines)
    if not lines:
        return ""
    packages = [
        "|".join(
            [
                package.PackageNo,
                package.TrackingID,
                package.ShipVia,
                ",".join(f"{item.ItemCode}:{item.Quantity.normalize():f}" for item in package.Items),
            ]
        )
        for package in invoice.Packages
    ]
    return hashlib.sha256("\n".join([lines, *packages]).encode()).hexdigest()[:16]


def shipment_summary(request: PostShipment) -> str:
    """Summary of `post_shipment`: invoice, packages, and whether it is the last."""
    count = max(1, len(request.invoice.Packages))
    packages = f"{count} package" + ("s" if count > 1 else "")
    return f"Clarity: shipment of invoice {request.invoice.InvoiceNo}, {packages}" + (
        " and status Shipped" if request.order_shipped else ""
    )


def waits_for(state: OrderState, hold: HoldView | None, sales_order_no: str, *, on_hold_in_sage: bool = False) -> str:
    """What an order waits for between its steps, in words."""
    if hold is not None:
        return f"a person (held: {hold.reason.value})"
    if on_hold_in_sage and state in (OrderState.OPEN, OrderState.PARTIALLY_SHIPPED):
        return f"somebody to release sales order {sales_order_no} in Sage (OrderStatus H), and then its shipment"
    return {
        OrderState.RECEIVED: "its next step",
        OrderState.HELD: "its next step",
        OrderState.OPEN: f"a shipment of sales order {sales_order_no} (signal from the Sage poller)",
        OrderState.PARTIALLY_SHIPPED: f"the rest of sales order {sales_order_no} to ship",
        OrderState.SHIPPED: "the invoice to be posted in Sage (Sales Journal update)",
        OrderState.COMPLETE: "nothing: everything is done",
        OrderState.CANCELLED: "nothing: the order was cancelled",
    }[state]


def page(workflow_id: str, order: OrderView) -> str:
    """The details page: state, next step, hold with the exact commands, and the latest of the trail.

    At most `LONGEST` bytes, as the server takes no more: the trail gives way first, then the list of problems.
    """
    parts = [f"## {HEADINGS[order.state]}" + (f" – {order.title}" if order.title else "")]
    parts.append(f"**Waits for** {order.waits_for}")
    facts = [
        ("Sales order", order.sales_order_no),
        ("Customer", order.customer_no),
        ("Told to Clarity", ", ".join(order.packages[-10:])),
        ("Invoices", ", ".join(order.invoices[-10:])),
        (
            "Will not come",
            ", ".join(
                f"{item.quantity.normalize():f} of item {item.orderItemId} ({item.reason})"
                for item in order.cancelled[:10]
            ),
        ),
        ("Mapping version", order.mapping_version),
    ]
    rows = [f"- {name}: **{value}**" for name, value in facts if value]
    if rows:
        parts.append("\n".join(rows))
    if order.hold is not None:
        parts.append(_hold(workflow_id, order.hold))
    if order.trail:
        entries = [f"- {entry.at:%Y-%m-%d %H:%M:%S} UTC: {_shown(entry)}" for entry in order.trail[-SHOWN_TRAIL:]]
        parts.append("\n".join(["**Trail**", "", *entries]))
    return "\n\n".join(parts).encode()[:LONGEST].decode(errors="ignore")


def _shown(entry: TrailEntry) -> str:
    """A line of the trail, without the values of a correction: they may be a person's address."""
    what = entry.what.partition(": ")[0] if entry.what.startswith("Corrected ") else entry.what
    return what + (f" ({entry.times} times)" if entry.times > 1 else "")


def _hold(workflow_id: str, hold: HoldView) -> str:
    problems = [
        f"- `{problem.field[:200]}`: {problem.message[:LONGEST_PROBLEM]}"
        + (f" *{problem.suggestion[:LONGEST_PROBLEM]}*" if problem.suggestion else "")
        for problem in hold.problems[:SHOWN_PROBLEMS]
    ]
    more = len(hold.problems) - SHOWN_PROBLEMS
    if more > 0:
        problems.append(f"- … and {more} more")
    offered = [action for action in hold.actions if action is not ReleaseAction.BACKORDER or not hold.no_back_orders]
    # What mends this hold comes first, what ends the order last.
    offered.sort(key=lambda action: (action is ReleaseAction.CANCEL, action is ReleaseAction.RETRY))
    choices = [
        line
        for action in offered
        for line in (
            f"`{action.value}`: {MEANING[action]}",
            "",
            "```",
            release_command(workflow_id, hold, action),
            "```",
            "",
        )
    ]
    return "\n".join(
        [
            f"### Hold {hold.hold}: {hold.reason.value}, since {hold.since:%Y-%m-%d %H:%M} UTC",
            "",
            *problems,
            "",
            "**What can be done**: one of these commands, with your name in it. The Web UI's *Send a Signal*, "
            "`release_hold`, takes the same input.",
            "",
            *choices,
        ]
    )


MEANING = {
    ReleaseAction.RETRY: "try again, after the cause was removed",
    ReleaseAction.CANCEL: "end the order, in Sage too unless something is shipped; Clarity is told",
    ReleaseAction.CORRECT: "correct Clarity's order here (a JSON merge patch, items by their id) and try again",
    ReleaseAction.USE_ITEM: "say which Sage item is meant; with remember it becomes an alias in Sage",
    ReleaseAction.USE_CUSTOMER: "say which account the order is for; with remember also the buyer's later orders",
    ReleaseAction.CREATE_CUSTOMER: "the buyer is new: create an account",
    ReleaseAction.APPROVE: "it is all right as it is: go on",
    ReleaseAction.BACKORDER: "create it in Sage; short lines wait until all of them is there",
    ReleaseAction.SHIP_AVAILABLE: "create it in Sage; what is there ships now, the rest later",
}
"""What each action does, in a support person's words."""

CUSTOMER_FIELD = re.compile(r"AR_Customer\.([0-9A-Za-z]{2}-[^.]{1,20})")
ORDER_FIELD = re.compile(r"data(\.[A-Za-z_]\w*|\[[0-9]{1,4}\])+")


def needed(action: ReleaseAction, hold: HoldView) -> dict[str, object]:
    """What an action needs in its input besides action, by, reason and hold: from the hold itself where it can."""
    match action:
        case ReleaseAction.CORRECT:
            fields = [problem.field for problem in hold.problems if ORDER_FIELD.fullmatch(problem.field)]
            return {"correction": _correction(fields[0] if fields else "data.shippingAddress.city")}
        case ReleaseAction.USE_ITEM:
            chosen = {item_id: code or "<ItemCode>" for item_id, code in hold.choices.items()}
            return {"items": chosen or {"<item id>": "<ItemCode>"}, "remember": False}
        case ReleaseAction.USE_CUSTOMER:
            named = [match[1] for problem in hold.problems if (match := CUSTOMER_FIELD.fullmatch(problem.field))]
            return {"customer_no": named[0] if named else "<division-number>", "remember": False}
        case ReleaseAction.APPROVE if hold.reason is HoldReason.TOTAL_MISMATCH:
            return {"winner": "sage"}
    return {}


def _correction(field: str) -> dict[str, object]:
    """The merge patch for one field: `data.items[1].sku` → {"items": {"[1]": {"sku": "…"}}}."""
    names = re.findall(r"[A-Za-z_]\w*|\[[0-9]+\]", field)[1:]
    patch: object = "…"
    place = next((index for index, name in enumerate(names) if name[0] == "["), None)
    if place is not None and names[:place] != ["items"]:
        # Only items are merged one by one; any other list is replaced as a whole.
        names, patch = names[:place], ["…"]
    for name in reversed(names):
        patch = {name: patch}
    return patch if isinstance(patch, dict) else {}


def release_command(workflow_id: str, hold: HoldView, action: ReleaseAction) -> str:
    """The CLI's command for an action, to be copied; what is meant as an example in it stands in <> or as …."""
    start = (
        f'{{"action": "{action.value}", "by": "your name",\n    "reason": "{hold.reason.value}", "hold": {hold.hold}'
    )
    more = json.dumps(needed(action, hold), ensure_ascii=False)[1:-1].replace("'", "\\u0027")
    return (
        "temporal workflow update execute \\\n"
        f"  -w {workflow_id} \\\n"
        "  --name release_hold --input \\\n"
        f"  '{start}" + (f",\n    {more}" if more else "") + "}'"
    )
