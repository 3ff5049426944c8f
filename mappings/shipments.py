"""Shipments as Sage has them (invoices, posted or not), and what they add up to; `canonical.Shipment` is what is told.

A shipment is an invoice of type IN that bills at least one counting line of ours (rules 2); its identity at Clarity is
SalesOrderNo + InvoiceNo + PackageNo. Quantities are in the order line's unit.
"""

from datetime import date
from decimal import Decimal
from enum import StrEnum

from mappings.frozen import Frozen

NO_PACKAGE = "0000"
"""PackageNo of a shipment without tracking (rules 2)."""


class ShipsOn(StrEnum):
    """What proves that a line was shipped (rules 2): the invoice itself, or, of drop-ship lines, more than that."""

    INVOICE = "invoice"
    TRACKING = "tracking"
    """Tracking, else posting."""
    POSTING = "posting"


class InvoicedLine(Frozen):
    """What an invoice says was shipped of one order line. `LineKey` is the *order's* line, empty when unknown."""

    LineKey: str
    ItemCode: str
    QuantityShipped: Decimal
    """In the invoice line's unit; `UnitOfMeasureConvFactor` standard units each (0: as the order line's)."""
    UnitOfMeasureConvFactor: Decimal = Decimal(0)
    ships_on: ShipsOn = ShipsOn.INVOICE
    component: bool = False
    """A component of an exploded kit: goods in a package, but the buyer ordered the kit."""
    allocated: bool = False
    """The order line was found by ItemCode, because Sage kept no link (rules 1)."""


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
    """Amount invoiced: taxable + non-taxable + freight + tax − discount; of an invoice for several orders the sum of
    this order's line extensions."""
    SalesTaxAmt: Decimal | None = None
    """Of it, tax; None of an invoice for several orders, whose tax and freight nobody can share out."""
    FreightAmt: Decimal | None = None
    """Of it, freight; likewise."""
    Lines: list[InvoicedLine]
    Packages: list[Package] = []

    @property
    def has_tracking(self) -> bool:
        """Whether any package has a tracking number."""
        return any(package.TrackingID for package in self.Packages)

    @property
    def shipped_lines(self) -> list[InvoicedLine]:
        """The lines of which something has been shipped: a drop-ship line's invoice alone is billing (rules 2)."""
        proven = {ShipsOn.INVOICE}
        if self.posted:
            proven |= {ShipsOn.TRACKING, ShipsOn.POSTING}
        elif self.has_tracking:
            proven.add(ShipsOn.TRACKING)
        return [line for line in self.Lines if line.QuantityShipped > 0 and line.ships_on in proven]


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
    live_components: dict[str, Decimal] = {}
    """Kit components that may be back-ordered (BackorderKitCompLine = Y): the order waits for them too."""
    quantities_stay: bool = False
    """Posting leaves QuantityOrdered as it was, instead of reducing it to the rest ([probe] of rules 3)."""
    missing_invoices: list[str] = []
    """Unposted invoices that are in neither place any more: deleted, or on their way into history."""


class ShipmentSeen(Frozen):
    """Argument of the order's signal `shipment`: one invoice and where its order stood at the same reading.

    Repeats are harmless: handlers compare InvoiceNo + PackageNo + content.
    """

    invoice: ShipmentInvoice
    standing: SalesOrderStanding


class LineProgress(Frozen):
    """How far one of Clarity's items is, over all its lines; a line without one stands for itself (rules 1, 3).

    In the order line's unit. `key` is the Clarity item id, else the LineKey; `item_id` is empty in the second case.
    """

    key: str
    item_id: str = ""
    LineKeys: list[str]
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
    CANCELLED = "cancelled"
    """Nothing shipped, nothing remaining."""


class CancelledItem(Frozen):
    """A quantity of one Clarity item that will not come: `PATCH /api/v1/orders/{id}` {cancelledItems: […]}."""

    orderItemId: str
    quantity: Decimal
    reason: str
    refundRequested: bool = False
    """The buyer has paid: accounting owes a refund."""


class CreditMemo(Frozen):
    """A posted credit memo (InvoiceType CM): what the seller owes the buyer, or has taken back (RMANo)."""

    InvoiceNo: str
    InvoiceDate: date | None = None
    ApplyToInvoiceNo: str = ""
    RMANo: str = ""
    amount: Decimal
    """Taxable + non-taxable + freight + tax − discount, as a positive amount in the company's currency."""


class RefundDue(Frozen):
    """What Clarity's order is told about a credit memo, for information: nobody pays because of it."""

    creditMemoNo: str
    date: str
    amount: Decimal
    rmaNo: str = ""


class InvoiceReference(Frozen):
    """What Clarity's order is told about a posted invoice."""

    invoiceNo: str
    invoiceDate: str
    amount: Decimal
    """All of it, tax and shipping included."""
    tax: Decimal | None = None
    shipping: Decimal | None = None
    """None: one invoice for several orders, `amount` is this order's lines alone."""
