"""When an order is shipped, and when it is done (rules 3), from its lines, its invoices and Sage's live order.

In: the counting lines as created, every shipment invoice (the last reading of each), where the order stands, and the
quantities that are believed to be cancelled. Out: progress per item and of the order. Pure and total.

A quantity that vanished (neither shipped nor remaining) is only *believed* cancelled after two agreeing reads, because
during a Sales Journal update rows are briefly in neither place; who reads twice is the order's workflow.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from mappings.sales_order import CreatedLine
from mappings.shipments import InvoicedLine, LineProgress, OrderProgress, SalesOrderStanding, ShipmentInvoice

CLOSED = "C"
"""Live OrderStatus "closed", and history OrderStatus "completed"."""


def in_order_unit(invoiced: InvoicedLine, line: CreatedLine) -> Decimal:
    """What an invoice line shipped, in the unit of its order line (rules 1)."""
    if invoiced.UnitOfMeasureConvFactor in (0, line.UnitOfMeasureConvFactor):
        return invoiced.QuantityShipped
    return invoiced.QuantityShipped * invoiced.UnitOfMeasureConvFactor / line.UnitOfMeasureConvFactor


def counting_lines(lines: Iterable[CreatedLine]) -> list[CreatedLine]:
    """The lines that count (rules, first paragraph)."""
    return [line for line in lines if line.counts]


def line_progress(
    lines: Iterable[CreatedLine], invoices: Iterable[ShipmentInvoice], standing: SalesOrderStanding | None
) -> list[LineProgress]:
    """Per Clarity item what was created, shipped and remains; several lines of one item (split) add up."""
    known = {line.LineKey: line for line in counting_lines(lines)}
    shipped: dict[str, Decimal] = defaultdict(Decimal)
    unposted: dict[str, Decimal] = defaultdict(Decimal)
    for invoice in invoices:
        for invoiced in invoice.shipped_lines:
            if invoiced.LineKey in known:
                quantity = in_order_unit(invoiced, known[invoiced.LineKey])
                shipped[invoiced.LineKey] += quantity
                if not invoice.posted:
                    unposted[invoiced.LineKey] += quantity
    groups: dict[str, list[CreatedLine]] = defaultdict(list)
    for line in known.values():
        groups[line.UDF_WEB_LINE_ID or line.LineKey].append(line)
    return [
        LineProgress(
            key=key,
            item_id=group[0].UDF_WEB_LINE_ID,
            LineKeys=[line.LineKey for line in group],
            ItemCode=group[0].ItemCode,
            created=sum((line.QuantityOrdered for line in group), Decimal(0)),
            shipped=sum((shipped[line.LineKey] for line in group), Decimal(0)),
            remaining=sum(
                (_remaining(line, shipped[line.LineKey], unposted[line.LineKey], standing) for line in group),
                Decimal(0),
            ),
        )
        for key, group in groups.items()
    ]


def _remaining(line: CreatedLine, shipped: Decimal, unposted: Decimal, standing: SalesOrderStanding | None) -> Decimal:
    """0 when the line or the header left the live tables or the order is closed; else the live QuantityOrdered less
    what is not in it any more: posting reduces it, so that only unposted invoices count (or all, where it stays)."""
    if standing is None:
        return max(line.QuantityOrdered - shipped, Decimal(0))
    if not standing.live or standing.OrderStatus == CLOSED:
        return Decimal(0)
    taken = shipped if standing.quantities_stay else unposted
    return max(standing.live_lines.get(line.LineKey, Decimal(0)) - taken, Decimal(0))


def components_waiting(invoices: Iterable[ShipmentInvoice], standing: SalesOrderStanding | None) -> bool:
    """Whether an exploded kit still waits for a component that may be back-ordered."""
    if standing is None or not standing.live or standing.OrderStatus == CLOSED:
        return False
    taken: dict[str, Decimal] = defaultdict(Decimal)
    for invoice in invoices:
        for line in invoice.Lines:
            if not invoice.posted or standing.quantities_stay:
                taken[line.LineKey] += line.QuantityShipped
    return any(quantity > taken[key] for key, quantity in standing.live_components.items())


def vanished(progress: Iterable[LineProgress]) -> dict[str, Decimal]:
    """Item (or line) → quantity that is neither shipped nor remaining."""
    return {line.key: line.cancelled for line in progress if line.cancelled > 0}


def unknown_lines(
    lines: Iterable[CreatedLine], invoices: Iterable[ShipmentInvoice], standing: SalesOrderStanding | None
) -> set[str]:
    """LineKeys that people added in Sage since the lines were read."""
    known = {line.LineKey for line in lines}
    seen = set(standing.live_lines) if standing is not None else set()
    for invoice in invoices:
        seen |= {line.LineKey for line in invoice.Lines if line.LineKey and not line.component}
    return seen - known


def adopt_lines(known: Sequence[CreatedLine], found: Iterable[CreatedLine]) -> list[CreatedLine]:
    """The known lines and those that people added in Sage, each with the Clarity item it belongs to.

    An added line belongs to the item that its UDF names (a line split over warehouses carries it), else to the only
    item with the same ItemCode; any other (a substitute, an extra) stands for itself. We created nothing of it.
    """
    lines = list(known)
    items: dict[str, set[str]] = defaultdict(set)
    for line in known:
        if line.UDF_WEB_LINE_ID:
            items[line.ItemCode].add(line.UDF_WEB_LINE_ID)
    for line in found:
        if any(line.LineKey == one.LineKey for one in lines):
            continue
        candidates = items.get(line.ItemCode, set())
        item_id = line.UDF_WEB_LINE_ID or (next(iter(candidates)) if len(candidates) == 1 else "")
        lines.append(line.model_copy(update={"UDF_WEB_LINE_ID": item_id, "QuantityOrdered": Decimal(0)}))
    return lines


def allocate(
    lines: Iterable[CreatedLine], invoice: ShipmentInvoice, others: Iterable[ShipmentInvoice]
) -> ShipmentInvoice:
    """Invoice lines without an order line get one by ItemCode, in line order, up to what is left of it (rules 1)."""
    if all(line.LineKey for line in invoice.Lines):
        return invoice
    known = counting_lines(lines)
    left = {line.LineKey: line.QuantityOrdered for line in known}
    for other in others:
        for line in other.Lines:
            if line.LineKey in left and other.InvoiceNo != invoice.InvoiceNo:
                left[line.LineKey] -= line.QuantityShipped
    allocated = []
    for line in invoice.Lines:
        fits = [one for one in known if one.ItemCode == line.ItemCode]
        best = next((one for one in fits if left[one.LineKey] > 0), fits[-1] if fits else None)
        if line.LineKey or line.component or best is None:
            allocated.append(line)
            continue
        left[best.LineKey] -= line.QuantityShipped
        allocated.append(line.model_copy(update={"LineKey": best.LineKey, "allocated": True}))
    return invoice.model_copy(update={"Lines": allocated})


def order_progress(
    lines: Iterable[CreatedLine],
    invoices: Iterable[ShipmentInvoice],
    standing: SalesOrderStanding | None,
    believed: Mapping[str, Decimal] | None = None,
    *,
    gone_confirmed: bool = False,
) -> OrderProgress:
    """The order's progress; `believed` maps item → cancelled quantity that two reads agreed on.

    Shipped needs every counting line shipped or believed cancelled: a quantity that vanished otherwise keeps the order
    open. An order without counting lines (services, gift cards) is shipped when its invoice is posted.
    `gone_confirmed`: two reads agreed that the order left Sage, where no history says that it is completed.
    """
    readings = list(invoices)
    progress = line_progress(lines, readings, standing)
    posted = [invoice.posted for invoice in readings]
    accepted = believed or {}
    some = any(line.shipped > 0 for line in progress)
    if not progress:
        if not (posted and all(posted)):
            return OrderProgress.OPEN
    else:
        settled = all(line.remaining == 0 and line.cancelled <= accepted.get(line.key, 0) for line in progress)
        if not settled or components_waiting(readings, standing):
            return OrderProgress.PARTIALLY_SHIPPED if some else OrderProgress.OPEN
        if not some:
            return OrderProgress.CANCELLED
    if all(posted) and standing is not None and _left(standing, gone_confirmed=gone_confirmed):
        return OrderProgress.COMPLETE
    return OrderProgress.SHIPPED


def _left(standing: SalesOrderStanding, *, gone_confirmed: bool) -> bool:
    """Sage is done with the order: gone with history status C (or confirmed), closed, or only non-counting lines."""
    if not standing.live:
        return standing.history_status == CLOSED or gone_confirmed
    return standing.OrderStatus == CLOSED or not standing.live_lines


def cancel_reason(
    line: LineProgress,
    reasons: Mapping[str, str],
    standing: SalesOrderStanding | None,
    invoices: Sequence[ShipmentInvoice],
) -> str:
    """Why a quantity will not come: Sage's CancelReasonCode, "closed short on invoice N", or "deleted" (rules 3)."""
    for key in line.LineKeys:
        if reasons.get(key):
            return reasons[key]
    billed = [invoice.InvoiceNo for invoice in invoices if {one.LineKey for one in invoice.Lines} & set(line.LineKeys)]
    gone = standing is not None and not standing.live
    completed = standing is not None and standing.history_status == CLOSED
    if billed and (not gone or completed):
        return f"closed short on invoice {billed[-1]}"
    if not gone:
        return "cancelled in Sage"
    return "deleted"
