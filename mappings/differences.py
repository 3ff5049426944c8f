"""What a reconciliation says of an order: matched, explained or unexplained, with each difference by itself.

In: nothing (models only). Out: `OrderResult` and `Difference`. Amounts of differences are signed as Sage less Clarity:
negative what Sage lacks. No personal data: ids, codes, days and amounts.
"""

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Final

from mappings.frozen import Frozen

NOTHING: Final = Decimal("0.00")


class Place(StrEnum):
    """Where a difference is."""

    DEPOSIT = "deposit"
    """DepositAmt of the sales order and of its invoices."""
    RECEIPT = "receipt"
    """Cash receipts that are the money itself: prepayments, payments of invoices."""
    LIST = "list"
    """The accounting list."""
    LINE = "line"
    """A gift card's line of the order."""
    CUSTOMER_DEPOSITS = "customer_deposits"
    """The cash receipt to Customer Deposits beside a deposit."""
    INVOICE = "invoice"
    """The order's invoices."""


MONEY: Final = (Place.DEPOSIT, Place.RECEIPT, Place.LIST, Place.LINE)
"""Places of the first comparison."""


class Reason(StrEnum):
    """Why two amounts differ."""

    # explained
    TOLERANCE = "tolerance"
    """Within the pair's `reconciliation.tolerance`."""
    NOT_IN_SAGE_YET = "not_in_sage_yet"
    """The order is held or on its way."""
    NOT_YET_INVOICED = "not_yet_invoiced"
    PARTIAL_SHIPMENT = "partial_shipment"
    """Part of the order is still to be shipped and invoiced."""
    FEE = "fee"
    """Sage has the captured amount less the gateway's fee."""
    UNPOSTED_INVOICE = "unposted_invoice"
    UNPOSTED_RECEIPT_BATCH = "unposted_receipt_batch"
    PARTIAL_INVOICE_TAX = "partial_invoice_tax"
    """Tax of partial invoices: at most 0.01 × invoices × tax codes."""
    ACTUAL_FREIGHT = "actual_freight"
    """The pair leaves freight to Sage's shipping."""
    ON_ACCOUNT = "on_account"
    """Invoiced, and neither paid nor promised at a gateway: the buyer owes it on the account."""
    SHARED_INVOICE = "shared_invoice"
    """An invoice for several orders: within its freight and tax."""
    NOT_YET_CAPTURED = "not_yet_captured"
    """Invoiced, and only authorised so far."""
    ON_LIST = "on_list"
    """On the accounting list, not booked yet."""
    REFUND_AFTER_INVOICING = "refund_after_invoicing"
    """Likewise, a refund that came after the invoice."""

    # unexplained
    MISSING_IN_SAGE = "missing_in_sage"
    DOUBLE = "double"
    OFF_BY = "off_by"
    WRONG_CURRENCY = "wrong_currency"
    WRONG_ORDER = "wrong_order"
    REFUND_MISSING = "refund_missing"
    """Clarity gave money back, or the order is cancelled, and Sage still has it; or the other way round."""
    NO_ORDER_IN_CLARITY = "no_order_in_clarity"

    @property
    def explained(self) -> bool:
        """Whether nobody has to look."""
        return self not in UNEXPLAINED


UNEXPLAINED: Final = frozenset(
    {
        Reason.MISSING_IN_SAGE,
        Reason.DOUBLE,
        Reason.OFF_BY,
        Reason.WRONG_CURRENCY,
        Reason.WRONG_ORDER,
        Reason.REFUND_MISSING,
        Reason.NO_ORDER_IN_CLARITY,
    }
)


class Status(StrEnum):
    """What is to be said of an order."""

    MATCHED = "matched"
    EXPLAINED = "explained"
    UNEXPLAINED = "unexplained"


class Difference(Frozen):
    """One difference of one order, with one reason."""

    order_id: str = ""
    SalesOrderNo: str = ""
    place: Place
    reason: Reason
    amount: Decimal
    """What it is about; negative what Sage lacks."""
    effect: Decimal
    """What it explains of its comparison, in the company's currency; 0 for what is only told."""
    currency: str
    gateway: str = ""
    transaction_id: str = ""
    InvoiceNo: str = ""
    day: date | None = None
    """Of the payment, else of the sales order: how old it is."""
    other: str = ""
    """With `wrong_order` and some `double`: the other order, or its SalesOrderNo."""


class Moved(Frozen):
    """A capture or a refund of an order, and where it should stand."""

    gateway: str
    transaction_id: str
    day: date | None
    place: Place
    amount: Decimal
    """Negative what went back."""
    currency: str
    fee: Decimal
    payout_id: str


class OrderResult(Frozen):
    """One order in both books; amounts in the company's currency."""

    order_id: str
    """Empty when Sage alone has it."""
    sales_orders: list[str]
    status: Status
    gateway: str = ""
    """Of its first captured payment, else the one whose payment type Sage has."""
    day: date | None = None
    """Of the same."""
    authorised: Decimal = NOTHING
    captured: Decimal = NOTHING
    refunded: Decimal = NOTHING
    voided: Decimal = NOTHING
    """Of captures."""
    deposits: Decimal = NOTHING
    receipts: Decimal = NOTHING
    """Posted ones that are the money itself."""
    listed: Decimal = NOTHING
    lines: Decimal = NOTHING
    """Gift cards."""
    customer_deposits: Decimal = NOTHING
    """Posted receipts beside deposits."""
    invoiced: Decimal = NOTHING
    """Posted."""
    invoiced_unposted: Decimal = NOTHING
    balance: Decimal = NOTHING
    """Still owed on its posted invoices."""
    applied: Decimal = NOTHING
    """Of the deposits: what posted invoices took."""
    refunded_deposits: Decimal = NOTHING
    """Refunds that lowered the deposit."""
    movements: list[Moved] = []
    """In other currencies, too."""
    differences: list[Difference] = []

    @property
    def has_money(self) -> bool:
        """Whether a gateway, Sage or the list knows any: an order on account is none of a reconciliation's business."""
        amounts = (self.authorised, self.captured, self.voided, self.deposits, self.receipts, self.listed)
        return bool(self.movements or self.differences or any(amounts) or self.customer_deposits)

    @property
    def difference(self) -> Decimal:
        """Sage's money less Clarity's."""
        return self.deposits + self.receipts + self.listed + self.lines - (self.captured - self.refunded)
