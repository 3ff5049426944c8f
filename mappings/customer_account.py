"""What Sage knows of one account, as read by its keys: profile, credit, orders, invoices, shipments, payments.

Names are Sage's columns. Lists are bounded pages, newest first; `…_more` says that older ones exist. Pure.
"""

from datetime import date
from decimal import Decimal

from mappings.customer_match import CustomerRecord
from mappings.frozen import Frozen
from mappings.sales_order import CustomerKey, ShipToAddress


class AccountContact(Frozen):
    """AR_CustomerContact."""

    ContactCode: str
    ContactName: str = ""
    ContactTitle: str = ""
    TelephoneNo: str = ""
    EmailAddress: str = ""


class AccountRecord(CustomerRecord):
    """AR_Customer, as far as people want to see it."""

    State: str = ""
    URLAddress: str = ""
    SalespersonDivisionNo: str = ""
    SalespersonNo: str = ""
    ShipMethod: str = ""
    DefaultPaymentType: str = ""
    PrimaryShipToCode: str = ""
    HighestStmntBalance: Decimal = Decimal(0)
    LastPaymentAmt: Decimal = Decimal(0)
    DateLastPayment: date | None = None
    DateLastActivity: date | None = None
    DateEstablished: date | None = None
    AvgDaysPaymentInvoice: Decimal = Decimal(0)
    AvgDaysOverDue: Decimal = Decimal(0)
    TermsCodeDesc: str = ""
    """AR_TermsCode."""
    own: dict[str, str] = {}
    """Columns of the site's own that the pair file names."""


class AccountOrder(Frozen):
    """SO_SalesOrderHeader, or SO_SalesOrderHistoryHeader where `live` is false."""

    SalesOrderNo: str
    live: bool
    OrderDate: date | None = None
    OrderType: str = ""
    OrderStatus: str = ""
    """Live: N new, O open, C closed, H hold. History: A active, C completed, X or Z deleted."""
    CustomerPONo: str = ""
    UDF_WEB_ORDER_ID: str = ""
    ShipVia: str = ""
    Total: Decimal = Decimal(0)
    """TaxableAmt + NonTaxableAmt + FreightAmt + SalesTaxAmt − DiscountAmt."""
    DepositAmt: Decimal = Decimal(0)
    InvoiceNo: str = ""
    """The current, unposted invoice of a live order; the last one of a past order."""
    CancelReasonCode: str = ""


class AccountPackage(Frozen):
    """A package of an invoice: AR_InvoiceHistoryTracking, or SO_InvoiceTracking before posting."""

    PackageNo: str
    TrackingID: str = ""
    ShipVia: str = ""


class AccountPayment(Frozen):
    """AR_InvoiceHistoryPayment (a deposit taken by an invoice) or AR_CashReceiptsHistory (a receipt)."""

    InvoiceNo: str
    PaymentType: str = ""
    reference: str = ""
    """Check number, or the gateway's transaction."""
    day: date | None = None
    """Of a receipt: its DepositDate."""
    amount: Decimal = Decimal(0)
    receipt: bool = False


class AccountInvoice(Frozen):
    """AR_InvoiceHistoryHeader, or SO_InvoiceHeader before posting."""

    InvoiceNo: str
    InvoiceType: str = ""
    posted: bool = True
    InvoiceDate: date | None = None
    InvoiceDueDate: date | None = None
    SalesOrderNo: str = ""
    ShipDate: date | None = None
    ShipVia: str = ""
    Total: Decimal = Decimal(0)
    Balance: Decimal | None = None
    """What is still owed, by AR_OpenInvoice; None: it is not there (any more)."""
    packages: list[AccountPackage] = []


class OpenInvoice(Frozen):
    """AR_OpenInvoice with a balance."""

    InvoiceNo: str
    InvoiceType: str = ""
    InvoiceDate: date | None = None
    InvoiceDueDate: date | None = None
    CustomerPONo: str = ""
    Balance: Decimal = Decimal(0)


class Account(Frozen):
    """Everything at once."""

    record: AccountRecord
    contacts: list[AccountContact] = []
    ship_tos: list[ShipToAddress] = []
    open_orders: list[AccountOrder] = []
    open_orders_more: bool = False
    past_orders: list[AccountOrder] = []
    past_orders_before: str = ""
    """SalesOrderNo with which the next page is asked for; empty at the end."""
    invoices: list[AccountInvoice] = []
    invoices_before: str = ""
    """InvoiceNo with which the next page is asked for; empty at the end."""
    open_invoices: list[OpenInvoice] = []
    open_invoices_more: bool = False
    payments: list[AccountPayment] = []

    @property
    def key(self) -> CustomerKey:
        """AR_Customer's primary key."""
        return self.record.key
