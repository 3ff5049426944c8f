"""The canonical models: what an order, a shipment, an item, an inventory level and an invoice are to this project,
whichever release of Clarity and of Sage they come from or go to.

In: nothing (models only). Out: `Order`, `Shipment`, `Item`, `InventoryLevel`, `Invoice` and their parts, with amounts
as `Decimal` in the document's currency, quantities in the web shop's unit unless a field says otherwise, instants
timezone-aware. The names are plain English; Clarity's and Sage's field names end at the edges, and stand in the fields'
descriptions. docs/schema/ has the same as JSON Schema (`mappings.schemas`).
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from pydantic import AwareDatetime, Field

from mappings.frozen import Frozen

# ---- the order ------------------------------------------------------------------------------------------------------


class Address(Frozen):
    """A postal address as the buyer typed it. Rules see `country` as ISO 3166-1 alpha-2, and `region` as a code where
    the country's people write codes (`mappings.transform.order_for_rules`)."""

    name: str = ""
    company: str = ""
    line1: str = ""
    line2: str = ""
    line3: str = ""
    city: str = ""
    region: str = ""
    postal_code: str = ""
    country: str = ""
    phone: str = ""
    residential: bool | None = None


class Party(Frozen):
    """A person or a company, and how to reach them."""

    email: str = ""
    first_name: str = ""
    last_name: str = ""
    company: str = ""
    phone: str = ""


class Buyer(Party):
    """Who ordered. `account_no` and `customer_reference` are the only keys that may name an account with terms."""

    clarity_id: str = ""
    account_no: str = ""
    """Sage account (`01-ABF`) of a signed-in buyer; Clarity's `accountNumber`."""
    customer_reference: str = ""
    """The cross-reference this integration stored at Clarity earlier; Clarity's `externalReference`."""
    tax_exempt_no: str = ""
    """As typed; it counts only for a buyer who `is_authenticated`."""

    @property
    def is_authenticated(self) -> bool:
        """Whether a signed-in buyer came with an account number or our cross-reference (rules 6).

        A guest, who has no `clarity_id`, may type anything.
        """
        return bool(self.clarity_id and (self.account_no or self.customer_reference))


class OrderLine(Frozen):
    """One ordered item: `quantity` × `unit_price` − `discount` is what the buyer saw for the line, before tax."""

    item_id: str
    """Clarity's id of this line (`items[].id`), unique within the order; Sage's UDF_WEB_LINE_ID."""
    sku: str
    name: str = ""
    quantity: Decimal
    """In the web shop's unit."""
    unit_price: Decimal
    """Per web unit, before discount and tax; more decimals than the currency's are possible."""
    discount: Decimal = Decimal(0)
    """Of the whole line; positive, reduces it."""
    tax: Decimal = Decimal(0)
    """Of the whole line, as the buyer saw it."""
    taxable: bool = True
    attributes: dict[str, str] = {}


class Discount(Frozen):
    """A discount on the whole order; `amount` is positive and reduces the total."""

    code: str = ""
    amount: Decimal


class Fee(Frozen):
    """A charge beside the items, such as gift wrap."""

    code: str
    name: str = ""
    amount: Decimal
    taxable: bool = True


class Delivery(Frozen):
    """How the buyer wants it sent, and what was charged for it."""

    method: str = ""
    carrier: str = ""
    amount: Decimal = Decimal(0)
    tax: Decimal = Decimal(0)


class Totals(Frozen):
    """The sums the buyer saw; `grand` is what Sage's order total must equal, to the penny."""

    items: Decimal
    """Quantity × unit price over all lines, before discounts, to the cent."""
    discount: Decimal = Decimal(0)
    """Of lines and order; positive, reduces the total."""
    shipping: Decimal = Decimal(0)
    tax: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)
    grand: Decimal
    """items − discount + shipping + tax + fees."""


class PaymentType(StrEnum):
    """What happened to the money. Only `capture` (less `refund`) is money; an authorisation is a reference.

    A `void` takes back the capture or the authorisation whose gateway and transaction id it has.
    """

    AUTHORIZE = "authorize"
    CAPTURE = "capture"
    REFUND = "refund"
    VOID = "void"


class Payment(Frozen):
    """One movement at a payment gateway; never card data."""

    gateway: str
    method: str = ""
    transaction_id: str = ""
    authorization_code: str = ""
    type: PaymentType
    amount: Decimal
    """Positive, whatever the type."""
    currency: str
    date: datetime | None = None
    """The instant of the movement."""


Movement = tuple[str, PaymentType, str, Decimal, datetime | None]
"""What tells one movement from another: gateway without case, type, transaction id, amount, date."""


def movement(payment: Payment) -> Movement:
    """The movement that a payment tells of: two entries of the same one are one payment."""
    return payment.gateway.casefold(), payment.type, payment.transaction_id, payment.amount, payment.date


def transaction(payment: Payment) -> tuple[str, str]:
    """Gateway, without case, and transaction id: what a void names its payment by."""
    return payment.gateway.casefold(), payment.transaction_id


def counted_payments(payments: Sequence[Payment]) -> Iterator[tuple[int, Payment]]:
    """The payments that happened, with their places: each movement once, and neither voids nor what they name.

    Entries without a transaction id are never taken for the same movement, and no void can name them.
    """
    voided = {transaction(one) for one in payments if one.type is PaymentType.VOID and one.transaction_id}
    seen: set[Movement] = set()
    for place, payment in enumerate(payments):
        if payment.type is PaymentType.VOID or (
            payment.type is not PaymentType.REFUND and transaction(payment) in voided
        ):
            continue
        if payment.transaction_id:
            if movement(payment) in seen:
                continue
            seen.add(movement(payment))
        yield place, payment


class Order(Frozen):
    """A web order. `created` is the instant of checkout; amounts are in `currency` (ISO 4217)."""

    order_id: str
    """Clarity's id; Sage's UDF_WEB_ORDER_ID."""
    number: str
    """What the buyer knows the order by."""
    status: str = ""
    """In the store's own words."""
    created: datetime
    updated: datetime | None = None
    ordered_on: date | None = None
    """The day of the checkout in the company's time zone; None but where a pair's rules read the order."""
    currency: str
    buyer: Buyer
    billing: Address
    shipping: Address
    lines: list[OrderLine]
    delivery: Delivery
    discounts: list[Discount] = []
    fees: list[Fee] = []
    totals: Totals
    payments: list[Payment] = []
    purchase_order_number: str = ""
    requested_ship_date: date | None = None
    notes: str = ""
    attributes: dict[str, str] = {}

    @property
    def captured(self) -> Decimal:
        """Money taken: captures less refunds, in the order's currency (rules 5: only captured amounts are money).

        Without voided captures, and each movement once, however often it is listed.
        """
        signs = {PaymentType.CAPTURE: 1, PaymentType.REFUND: -1}
        counted = counted_payments(self.payments)
        return sum((signs.get(payment.type, 0) * payment.amount for _, payment in counted), Decimal("0.00"))


# ---- what was shipped -----------------------------------------------------------------------------------------------


class ShippedLine(Frozen):
    """A quantity of one order line inside a package."""

    item_id: str
    """`OrderLine.item_id`; Clarity's `items[].orderItemId`."""
    quantity: Decimal
    """In the web shop's unit; above zero."""


class Shipment(Frozen):
    """One package of one order, as the buyer is told about it (rules 2); an invoice without packages is one shipment.

    The quantities of an invoice's shipments sum to what the invoice shipped of the order.
    """

    order_id: str
    reference: str
    """`{SalesOrderNo}-{InvoiceNo}-{PackageNo}`, PackageNo `0000` without a package; Clarity's `externalReference`."""
    carrier: str = ""
    service: str = ""
    """The carrier's service, in the web shop's words; empty when the pair's `order.ship_via` does not say."""
    tracking_number: str = ""
    """SO_InvoiceTracking.TrackingID, after posting AR_InvoiceHistoryTracking.TrackingID."""
    tracking_url: str = ""
    shipped_on: date | None = None
    """SO_InvoiceHeader.ShipDate, else SO_InvoiceHeader.InvoiceDate; a date of the company's time zone."""
    lines: list[ShippedLine]
    """Empty for goods that the buyer did not order as such, such as a substitute or the late part of a kit."""


# ---- what is sold ---------------------------------------------------------------------------------------------------


class ItemKind(StrEnum):
    """CI_Item.ItemType, 1 to 5: only regular items have a stock."""

    REGULAR = "regular"
    SPECIAL = "special"
    CHARGE = "charge"
    COMMENT = "comment"
    MISCELLANEOUS = "miscellaneous"


class Item(Frozen):
    """A product as both systems know it: Clarity's product, Sage's CI_Item."""

    item_code: str
    """CI_Item.ItemCode."""
    sku: str
    """Clarity's; the item code itself, an alias (IM_AliasItem.AliasItemNo), or an entry of the pair's `items`."""
    clarity_id: str = ""
    name: str = ""
    """CI_Item.ItemCodeDesc, 30 characters there."""
    description: str = ""
    """The long text."""
    kind: ItemKind = ItemKind.REGULAR
    active: bool = True
    """CI_Item.InactiveItem is not Y."""
    standard_unit: str = ""
    """CI_Item.StandardUnitOfMeasure: what Sage counts stock in."""
    sales_unit: str = ""
    """CI_Item.SalesUnitOfMeasure: what the web shop sells."""
    standard_units_per_sales_unit: Decimal = Field(default=Decimal(1), gt=0)
    """CI_Item.SalesUMConvFctr."""
    currency: str = ""
    """ISO 4217, of the prices; the company's."""
    standard_price: Decimal | None = None
    """CI_Item.StandardUnitPrice, before price levels, promotions and customer prices; None: not read."""
    suggested_retail_price: Decimal | None = None
    """CI_Item.SuggestedRetailPrice; None: not read."""
    tax_class: str = ""
    """CI_Item.TaxClass."""
    product_line: str = ""
    """CI_Item.ProductLine."""
    product_type: str = ""
    """CI_Item.ProductType: F finished good, K sales kit, R raw material, D discontinued."""
    default_warehouse: str = ""
    """CI_Item.DefaultWarehouseCode."""
    allows_back_orders: bool = True
    """CI_Item.AllowBackOrders; where it is N, Sage silently drops what it cannot ship."""
    drop_shipped: bool = False
    """CI_Item.DropShip: the vendor ships, our stock says nothing."""
    attributes: dict[str, str] = {}
    """Clarity's custom attributes, and Sage's UDFs by column."""
    updated: AwareDatetime | None = None
    """The later of Clarity's `updatedDate` and CI_Item.DateUpdated with CI_Item.TimeUpdated."""


class InventoryLevel(Frozen):
    """The stock of one item in one warehouse, and what of it the web shop may sell (rules 7)."""

    item_code: str
    """IM_ItemWarehouse.ItemCode."""
    sku: str
    warehouse: str
    """IM_ItemWarehouse.WarehouseCode."""
    on_hand: Decimal
    """IM_ItemWarehouse.QuantityOnHand, in the item's standard unit; falls only when an invoice is posted."""
    available: Decimal
    """QuantityOnHand − QuantityOnSalesOrder − QuantityOnBackOrder − QuantityRequiredForWO, in the standard unit; below
    zero when more is promised than there is."""
    available_to_sell: int = Field(ge=0)
    """In the web shop's unit: (available − safety stock − what this pair's accepted orders not yet in Sage will take) ÷
    the web unit's conversion, rounded down, never below zero. Clarity's `quantityAvailable`."""
    as_of: AwareDatetime
    """When Sage was read."""


# ---- what was billed ------------------------------------------------------------------------------------------------


class InvoiceKind(StrEnum):
    """InvoiceType of SO_InvoiceHeader and AR_InvoiceHistoryHeader; Sage's other types bill no web order."""

    INVOICE = "invoice"
    CREDIT_MEMO = "credit_memo"
    DEBIT_MEMO = "debit_memo"
    DELETED = "deleted"
    """XD: its number is used up, nothing is owed."""


class InvoiceLine(Frozen):
    """One billed line: `quantity` × `unit_price` is `amount`, before order discount and tax."""

    item_id: str = ""
    """`OrderLine.item_id`; empty for charges, comments and lines that a person added in Sage."""
    sales_order_no: str = ""
    """AR_InvoiceHistoryDetail.AppliedSalesOrderNo: one invoice may serve several orders."""
    item_code: str
    """AR_InvoiceHistoryDetail.ItemCode."""
    kind: ItemKind = ItemKind.REGULAR
    description: str = ""
    """AR_InvoiceHistoryDetail.ItemCodeDesc."""
    quantity: Decimal
    """AR_InvoiceHistoryDetail.QuantityShipped, in `unit`."""
    unit: str = ""
    """AR_InvoiceHistoryDetail.UnitOfMeasure."""
    unit_price: Decimal
    """AR_InvoiceHistoryDetail.UnitPrice, per `unit`."""
    amount: Decimal
    """AR_InvoiceHistoryDetail.ExtensionAmt."""
    tax_class: str = ""
    """AR_InvoiceHistoryDetail.TaxClass."""


class AppliedPayment(Frozen):
    """Money that pays an invoice: the order's deposit, or a cash receipt."""

    deposit: bool = False
    """Came with the order (AR_InvoiceHistoryHeader.DepositAmt); else a cash receipt applied it."""
    payment_type: str = ""
    """AR_InvoiceHistoryPayment.PaymentType."""
    reference: str = ""
    """The gateway's transaction where Sage has it (AR_InvoiceHistoryPayment.OtherPaymentTypeRefNo), else the check."""
    amount: Decimal
    """AR_InvoiceHistoryPayment.TransactionAmt; negative when taken back."""
    applied_on: date | None = None
    """A date of the company's time zone."""


class Invoice(Frozen):
    """An invoice of Sage, unposted (SO_InvoiceHeader) or posted (AR_InvoiceHistoryHeader), whole.

    Amounts are in `currency`; those of a credit memo are negative.
    """

    invoice_no: str
    """AR_InvoiceHistoryHeader.InvoiceNo, the same before and after posting."""
    header_sequence: str = ""
    """AR_InvoiceHistoryHeader.HeaderSeqNo, with `invoice_no` the key of history; empty while unposted."""
    kind: InvoiceKind = InvoiceKind.INVOICE
    posted: bool
    order_id: str = ""
    """Clarity's order, where the invoice bills one."""
    sales_order_no: str = ""
    """AR_InvoiceHistoryHeader.SalesOrderNo; an invoice for several orders names them on its lines."""
    customer_no: str
    """Division and number, `01-ABF`."""
    purchase_order_number: str = ""
    """AR_InvoiceHistoryHeader.CustomerPONo."""
    invoice_date: date | None = None
    """AR_InvoiceHistoryHeader.InvoiceDate."""
    due_date: date | None = None
    """AR_InvoiceHistoryHeader.InvoiceDueDate."""
    currency: str
    """ISO 4217; the company's."""
    lines: list[InvoiceLine]
    totals: Totals
    """`items` the lines of goods, `fees` those of charges, `shipping` FreightAmt, `tax` SalesTaxAmt, `discount`
    DiscountAmt; Σ over an order's invoices compares with the order's own totals."""
    payments: list[AppliedPayment] = []
    balance: Decimal | None = None
    """AR_OpenInvoice.Balance: what is still owed; None while unposted."""
