"""The two books that a reconciliation compares: what Clarity's gateways did, and what of it stands in Sage.

In: nothing (models only). Out: `Ledger` and its parts: orders with their payments, sales orders with deposits and
invoices, cash receipts, the accounting list, payouts of the gateways. Amounts are positive unless a field says
otherwise; Sage's are in the company's currency. No personal data: ids, codes, days and amounts.
"""

from datetime import date
from decimal import Decimal
from enum import StrEnum

from mappings.canonical import Payment
from mappings.frozen import Frozen

# ---- Clarity --------------------------------------------------------------------------------------------------------


class GatewayPayment(Payment):
    """A payment of an order with what the gateway kept of it."""

    fee: Decimal = Decimal(0)
    """What the gateway kept, positive; 0 where the release does not say."""
    payout_id: str = ""
    """The payout that it was part of; empty: not yet paid out, or the release does not say."""
    kind: str = ""
    """What happened, in the contract's or the store's word, where that is no `PaymentType`: `chargeback`, or a word
    that nobody knows. `type` is `refund` then: money that a person has to look at, never a deposit or a receipt."""


class WebOrder(Frozen):
    """An order with everything that happened to its money."""

    order_id: str
    """Clarity's id; Sage's UDF_WEB_ORDER_ID."""
    known: bool = True
    """False: Clarity lists payments of it and has no such order."""
    cancelled: bool = False
    total: Decimal | None = None
    """What the buyer owes for it; None: not said."""
    shipping: Decimal = Decimal(0)
    """What the buyer was charged for it."""
    waits: str = ""
    """Why Sage does not have it yet, such as `held: credit`; empty when it should be there."""
    payments: list[GatewayPayment] = []


class Payout(Frozen):
    """What a gateway transferred to the bank."""

    id: str
    gateway: str
    day: date
    currency: str
    gross: Decimal
    """Captures less refunds."""
    fee: Decimal
    """What the gateway kept."""
    net: Decimal
    """What came to the bank."""


# ---- Sage -----------------------------------------------------------------------------------------------------------


class OrderInvoice(Frozen):
    """An invoice of one sales order, unposted (SO_InvoiceHeader) or posted (AR_InvoiceHistoryHeader)."""

    InvoiceNo: str
    InvoiceType: str = "IN"
    """IN invoice, CM credit memo, DM debit memo; an XD (deleted) is none."""
    posted: bool
    InvoiceDate: date | None = None
    total: Decimal
    """Of this order, tax and freight included; negative for a credit memo."""
    FreightAmt: Decimal = Decimal(0)
    DepositAmt: Decimal = Decimal(0)
    """Of this order: what of its deposit the invoice took."""
    tax_codes: int = 0
    """Tax codes of its schedule: each rounds on its own."""
    shared: Decimal | None = None
    """Of an invoice for several orders: its freight and tax less discount, which nobody can share out; `total` is this
    order's lines alone. None: the invoice is this order's alone."""
    Balance: Decimal | None = None
    """AR_OpenInvoice.Balance: what is still owed; None: not read, or unposted."""


class DepositedOrder(Frozen):
    """A sales order with its deposit and its invoices."""

    SalesOrderNo: str
    web_order_id: str = ""
    """UDF_WEB_ORDER_ID; empty: no web order."""
    ARDivisionNo: str = ""
    CustomerNo: str = ""
    OrderDate: date | None = None
    live: bool = True
    """It stands in SO_SalesOrderHeader; else only in history."""
    open: bool = True
    """Something of it is still to come."""
    DepositAmt: Decimal = Decimal(0)
    """Of the live header: what no posted invoice has taken."""
    PaymentType: str = ""
    reference: str = ""
    """CheckNoForDeposit or OtherPaymentTypeRefNo: the gateway's transaction, cut to the column's length."""
    invoices: list[OrderInvoice] = []


class OrderNamed(Frozen):
    """A sales order that has to be looked at, and the web order that it is of."""

    SalesOrderNo: str
    web_order_id: str = ""


class ReceiptOf(StrEnum):
    """What a line of a cash receipt pays."""

    INVOICE = "invoice"
    """A posted invoice."""
    PREPAYMENT = "prepayment"
    """An open invoice of type PP."""
    ACCOUNT = "account"
    """A general-ledger account: Customer Deposits."""


class Receipt(Frozen):
    """A line of a cash receipt: AR_CashReceiptsHistory, or unposted AR_CashReceiptsDetail."""

    posted: bool
    of: ReceiptOf
    BankCode: str = ""
    DepositDate: date | None = None
    DepositNo: str = ""
    ARDivisionNo: str = ""
    CustomerNo: str = ""
    CheckNo: str = ""
    """The gateway's transaction, cut to the column's length."""
    InvoiceNo: str = ""
    PaymentType: str = ""
    amount: Decimal
    """CashAmountApplied; negative when it was taken back."""


# ---- the accounting list --------------------------------------------------------------------------------------------


class ListEntry(Frozen):
    """What accounting books by hand: captures of the route `list`, and refunds after invoicing."""

    order_id: str
    gateway: str
    transaction_id: str
    amount: Decimal
    """Positive what came in, negative what went back."""
    currency: str
    day: date | None = None
    booked: bool = False
    """Accounting says that it is done."""
    reason: str = ""
    """Why a person books it, where the run of the cash receipts said so (`mappings.cash_receipts.Why`)."""
    beside_deposit: bool = False
    """The money itself stands as a deposit: only the cash receipt to Customer Deposits is left to a person."""


class Ledger(Frozen):
    """Both books, for a range of days of the company's time zone."""

    since: date
    until: date
    """The last day, included."""
    as_of: date
    """The day on which they were read: differences are as old as it is after their payment."""
    orders: list[WebOrder] = []
    sales_orders: list[DepositedOrder] = []
    receipts: list[Receipt] = []
    accounting_list: list[ListEntry] = []
    payouts: list[Payout] | None = None
    """None: this release of Clarity does not tell payouts."""
    elsewhere: list[str] = []
    """Transactions of orders that this range does not look at: money that names one is no stranger's."""
    left: list[ListEntry] = []
    """What the runs of the cash receipts left to accounting, for whatever reason: no receipt of it will come."""
    opening: Decimal | None = None
    """Customer deposits at the end of the day before `since`, as an earlier run closed with; None: unknown."""
