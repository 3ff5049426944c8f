"""Shipments as Sage has them (invoices, posted or not) and as Clarity is told about them.

A shipment is an invoice of type IN that bills at least one counting line of ours (rules 2); its identity at Clarity is
SalesOrderNo + InvoiceNo + PackageNo. Quantities are in the order line's unit.
"""

from datetime import date
from decimal import Decimal
from enum import StrEnum

from mappings.frozen import Frozen

NO_PACKAGE = "0000"
"""PackageNo of a shipment without tracking (rules 2)."""


class InvoicedLine(Frozen):
    """What an invoice says was shipped of one order line. `LineKey` is the *order's* line, empty when unknown."""

    LineKey: str
    ItemCode: str
    QuantityShipped: Decimal


class PackageItem(Frozen):
    """SO_PackageTrackingByItem / AR_TrackingByItemHistory."""

    ItemCode: str
    Quantity: Decimal


class Package(Frozen):
    """SO_InvoiceTracking / AR_InvoiceHistoryTracking, with its contents where Sage knows them."""

    PackageNo: str
    TrackingID: str = ""
    ShipVia: str = ""
    Items: list[PackageItem] = []


class ShipmentInvoice(Frozen):
    """One shipment invoice of one sales order, read whole."""

    InvoiceNo: str
    SalesOrderNo: str
    posted: bool
    InvoiceDate: date | None = None
    ShipDate: date | None = None
    ShipVia: str = ""
    ShipStatus: str = ""
    Total: Decimal = Decimal(0)
    """Amount invoiced: taxable + non-taxable + freight + tax − discount."""
    Lines: list[InvoicedLine]
    Packages: list[Package] = []


class SalesOrderStanding(Frozen):
    """Where a sales order stands in Sage at one reading: its live lines, or what history says.

    `live_lines` maps LineKey → QuantityOrdered for counting lines of the live order; `history_status` is the history
    set (A active, C completed, X deleted), empty where no history is kept.
    """

    SalesOrderNo: str
    live: bool
    OrderStatus: str = ""
    history_status: str = ""
    live_lines: dict[str, Decimal] = {}


class ShipmentSeen(Frozen):
    """Argument of the order's signal `shipment`: one invoice and where its order stood at the same reading.

    Repeats are harmless: handlers compare InvoiceNo + PackageNo + content.
    """

    invoice: ShipmentInvoice
    standing: SalesOrderStanding


class LineProgress(Frozen):
    """How far one counting line is, in the order line's unit (rules 3)."""

    LineKey: str
    ItemCode: str
    created: Decimal
    shipped: Decimal = Decimal(0)
    remaining: Decimal

    @property
    def cancelled(self) -> Decimal:
        """created − shipped − remaining; negative means over-shipped or increased in Sage."""
        return self.created - self.shipped - self.remaining


class OrderProgress(StrEnum):
    """The state that the shipments and Sage's own order add up to."""

    OPEN = "open"
    PARTIALLY_SHIPPED = "partially_shipped"
    SHIPPED = "shipped"
    COMPLETE = "complete"


class ShipmentItem(Frozen):
    """A quantity of one Clarity order item inside a package."""

    orderItemId: str
    quantity: Decimal


class ClarityShipment(Frozen):
    """`POST /api/v1/shipments`, field names as in domain/clarity.md (this project's assumption)."""

    orderId: str
    externalReference: str
    carrier: str = ""
    service: str = ""
    trackingNumber: str = ""
    trackingUrl: str = ""
    shippedDate: str
    items: list[ShipmentItem]


class InvoiceReference(Frozen):
    """What Clarity's order is told about a posted invoice."""

    invoiceNo: str
    invoiceDate: str
    amount: Decimal
