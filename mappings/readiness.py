"""When an invoice in Sage is a shipment that Clarity may hear of (rules 2).

An invoice is keyed slowly: header first, then lines, tracking often later or never.
"""

from datetime import timedelta

from mappings.pair import Pace
from mappings.shipments import ShipmentInvoice

SHIPPED = "S"
"""SO_InvoiceHeader.ShipStatus."""


def without_waiting(invoice: ShipmentInvoice) -> bool:
    """Ready by what it says itself: posted; or it ships something and has tracking or ShipStatus S."""
    if invoice.posted:
        return True
    return bool(invoice.shipped_lines) and (invoice.has_tracking or invoice.ShipStatus == SHIPPED)


def ready(invoice: ShipmentInvoice, unchanged_for: timedelta, seen_for: timedelta, pace: Pace) -> bool:
    """Ready by itself, or unchanged for the settle time and waited for tracking through the grace time."""
    if without_waiting(invoice):
        return True
    return (
        bool(invoice.shipped_lines)
        and unchanged_for >= timedelta(seconds=pace.settle_time)
        and seen_for >= timedelta(seconds=pace.grace_time)
    )
