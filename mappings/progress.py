"""When an order is shipped, and when it is done (rules 3), from its lines, its invoices and Sage's live order.

In: the counting lines as created, every shipment invoice (the last reading of each), and where the order stands.
Out: progress per line and of the order. Quantities are in the order line's unit. Pure and total.
"""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal

from mappings.sales_order import CreatedLine
from mappings.shipments import LineProgress, OrderProgress, SalesOrderStanding, ShipmentInvoice

CLOSED = "C"
"""Live OrderStatus "closed", and history OrderStatus "completed"."""


def line_progress(
    lines: Iterable[CreatedLine], invoices: Iterable[ShipmentInvoice], standing: SalesOrderStanding | None
) -> list[LineProgress]:
    """Per counting line what was created, shipped and remains.

    `remaining` is 0 when the line or the header left the live tables or the order is closed; else the live
    QuantityOrdered less what unposted invoices ship (posting reduces QuantityOrdered itself).
    """
    shipped: dict[str, Decimal] = defaultdict(Decimal)
    unposted: dict[str, Decimal] = defaultdict(Decimal)
    for invoice in invoices:
        for line in invoice.Lines:
            shipped[line.LineKey] += line.QuantityShipped
            if not invoice.posted:
                unposted[line.LineKey] += line.QuantityShipped
    return [
        LineProgress(
            LineKey=line.LineKey,
            ItemCode=line.ItemCode,
            created=line.QuantityOrdered,
            shipped=shipped[line.LineKey],
            remaining=_remaining(line, shipped[line.LineKey], unposted[line.LineKey], standing),
        )
        for line in lines
        if line.counts
    ]


def _remaining(line: CreatedLine, shipped: Decimal, unposted: Decimal, standing: SalesOrderStanding | None) -> Decimal:
    if standing is None:
        return max(line.QuantityOrdered - shipped, Decimal(0))
    if not standing.live or standing.OrderStatus == CLOSED:
        return Decimal(0)
    return max(standing.live_lines.get(line.LineKey, Decimal(0)) - unposted, Decimal(0))


def order_progress(
    lines: Iterable[CreatedLine], invoices: Iterable[ShipmentInvoice], standing: SalesOrderStanding | None
) -> OrderProgress:
    """The order's progress.

    Shipped needs every counting line shipped in full: a quantity that vanished without a shipment keeps the order
    open until it is known to be cancelled. An order without counting lines (services, gift cards) is shipped when its
    invoice is posted.
    """
    readings = list(invoices)
    progress = line_progress(lines, readings, standing)
    posted = [invoice.posted for invoice in readings]
    if not progress:
        shipped = bool(posted) and all(posted)
    else:
        shipped = all(line.remaining == 0 and line.cancelled <= 0 for line in progress)
        shipped = shipped and any(line.shipped > 0 for line in progress)
    if not shipped:
        some = any(line.shipped > 0 for line in progress)
        return OrderProgress.PARTIALLY_SHIPPED if some else OrderProgress.OPEN
    if all(posted) and standing is not None and _left(standing):
        return OrderProgress.COMPLETE
    return OrderProgress.SHIPPED


def _left(standing: SalesOrderStanding) -> bool:
    """Sage is done with the order: gone with history status C, closed, or live with only non-counting lines."""
    if not standing.live:
        return standing.history_status == CLOSED
    return standing.OrderStatus == CLOSED or not standing.live_lines
