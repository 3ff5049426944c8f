"""The Sage side of an order: what we ask Sage to create, and what Sage says it created.

Field names are Sage's columns (SO_SalesOrderHeader, SO_SalesOrderDetail, AR_Customer); amounts are in the company's
currency, quantities in the line's UnitOfMeasure.
"""

from datetime import date
from decimal import Decimal
from enum import StrEnum

from mappings.frozen import Frozen, Sparse
from mappings.pair import Check
from mappings.problems import Finding, Problem


class SageItemType(StrEnum):
    """SO_SalesOrderDetail.ItemType."""

    REGULAR = "1"
    SPECIAL = "2"
    CHARGE = "3"
    COMMENT = "4"
    MISCELLANEOUS = "5"


class LineOrigin(StrEnum):
    """Why a line stands on the Sage order; only `item` lines count for completion (rules 1)."""

    ITEM = "item"
    DISCOUNT = "discount"
    FEE = "fee"
    FREIGHT = "freight"
    TAX = "tax"
    GIFT_CARD = "gift_card"
    ROUNDING = "rounding"
    COMMENT = "comment"


class CustomerKey(Frozen):
    """AR_Customer's primary key; CustomerNo alone names nobody."""

    ARDivisionNo: str
    CustomerNo: str

    def __str__(self) -> str:
        return f"{self.ARDivisionNo}-{self.CustomerNo}"


class SalesOrderLine(Sparse):
    """One line to create. `sku` is Clarity's; `ItemCode` is empty until Sage's items have been looked up."""

    origin: LineOrigin
    sku: str = ""
    ItemCode: str = ""
    ItemType: SageItemType
    name: str = ""
    """Clarity's product name, to find what an unknown SKU may stand for; Sage has its own description."""
    QuantityOrdered: Decimal = Decimal(0)
    QuantityBackordered: Decimal = Decimal(0)
    """Of that, what waits for stock from the start."""
    UnitPrice: Decimal | None = Decimal(0)
    """None: Sage's own price."""
    UnitOfMeasure: str = ""
    """In a draft the shop's own word, if it says one; then Sage's name of one of the item's units."""
    UnitOfMeasureConvFactor: Decimal | None = None
    """Standard units per unit of the line; None until the item has been looked up."""
    WarehouseCode: str = ""
    else_from: list[str] = []
    """Warehouses to look at when that one cannot ship the whole line, in their order. Not sent."""
    TaxClass: str = ""
    CommentText: str = ""
    UDF_WEB_LINE_ID: str = ""
    discount_of: str = ""
    """Of a line's discount: the ordered item (`UDF_WEB_LINE_ID`) that it belongs to. Not sent."""
    extra: dict[str, str] = {}
    """Further columns of the pair's `line_values`, by Sage column."""


class SalesOrder(Sparse):
    """One order to create: header columns of SO_SalesOrderHeader and its lines.

    SalesTaxAmt is absent on purpose: Sage computes it from TaxSchedule and TaxClass (rules 5).
    """

    UDF_WEB_ORDER_ID: str
    OrderDate: date
    OrderStatus: str = "N"
    ShipExpireDate: date | None = None
    ARDivisionNo: str = ""
    CustomerNo: str = ""
    BillToName: str = ""
    BillToAddress1: str = ""
    BillToAddress2: str = ""
    BillToAddress3: str = ""
    BillToCity: str = ""
    BillToState: str = ""
    BillToZipCode: str = ""
    BillToCountryCode: str = ""
    ShipToCode: str = ""
    ShipToName: str = ""
    ShipToAddress1: str = ""
    ShipToAddress2: str = ""
    ShipToAddress3: str = ""
    ShipToCity: str = ""
    ShipToState: str = ""
    ShipToZipCode: str = ""
    ShipToCountryCode: str = ""
    ShipVia: str = ""
    CustomerPONo: str = ""
    WarehouseCode: str = ""
    ConfirmTo: str = ""
    Comment: str = ""
    EmailAddress: str = ""
    ResidentialAddress: str = ""
    TermsCode: str = ""
    TaxSchedule: str = ""
    TaxExemptNo: str = ""
    FreightAmt: Decimal = Decimal(0)
    PaymentType: str = ""
    PaymentTypeCategory: str = ""
    DepositAmt: Decimal = Decimal(0)
    CheckNoForDeposit: str = ""
    """The deposit's reference where its payment type is of PaymentMethod C, else in OtherPaymentTypeRefNo."""
    OtherPaymentTypeRefNo: str = ""
    extra: dict[str, str] = {}
    """Header defaults of the pair (CycleCode, SalespersonNo, FOB, …), by Sage column."""
    Lines: list[SalesOrderLine]

    def for_customer(self, customer: CustomerKey) -> "SalesOrder":
        """The same order on `customer`'s account."""
        return self.model_copy(update=customer.model_dump())

    def without_prices(self) -> "SalesOrder":
        """The same order with Sage's own prices of its items."""
        return self.model_copy(
            update={
                "Lines": [
                    line.model_copy(update={"UnitPrice": None}) if line.origin is LineOrigin.ITEM else line
                    for line in self.Lines
                ]
            }
        )


class ExpectedTotals(Frozen):
    """Clarity's side of the comparison with Sage's preview; `tolerance` is per order, in the currency.

    `grand` is what Sage's order must come to: the buyer's total, less what by the pair's choice is not on the order.
    """

    currency: str
    tax: Decimal
    freight: Decimal
    grand: Decimal
    paid: Decimal = Decimal(0)
    """Of that, captured."""
    authorised: Decimal = Decimal(0)
    """Beside it, authorised and neither captured nor void: a promise, no money."""
    captured: Decimal | None = None
    """Everything the buyer has paid, gift cards included, less refunds: what is owed back when nothing comes. None in
    drafts made before it was kept."""
    tolerance: Decimal = Decimal(0)


class NewCustomer(Sparse):
    """What AR_Customer needs for a web-created customer (rules 6: configured division, terms, schedule, no credit)."""

    ARDivisionNo: str
    CustomerName: str
    AddressLine1: str = ""
    AddressLine2: str = ""
    AddressLine3: str = ""
    City: str = ""
    State: str = ""
    ZipCode: str = ""
    CountryCode: str = ""
    TelephoneNo: str = ""
    EmailAddress: str = ""
    TermsCode: str = ""
    TaxSchedule: str = ""
    TaxExemptNo: str = ""
    CustomerType: str = ""
    UDF_WEB_CUSTOMER_ID: str = ""
    extra: dict[str, str] = {}


class CustomerSearch(Sparse):
    """What customer matching may look at: the keys of the buyer, whether the money is here, and whom to create."""

    account_no: str = ""
    customer_reference: str = ""
    clarity_id: str = ""
    email: str = ""
    """Normalised: lower case, trimmed; empty when the order has none or it is not an address."""
    bill_to_name: str = ""
    bill_to_line1: str = ""
    bill_to_line2: str = ""
    bill_to_line3: str = ""
    bill_to_city: str = ""
    bill_to_postal_code: str = ""
    bill_to_country: str = ""
    """ISO 3166-1 alpha-2; a phone number without a country code is read as one of this country."""
    phone: str = ""
    fully_captured: bool = False
    decided_new: bool = False
    """A person decided that this buyer is new: nothing is matched."""

    @property
    def is_authenticated(self) -> bool:
        """The buyer is signed in at Clarity, and came with an account number or our cross-reference (rules 6)."""
        return bool(self.clarity_id and (self.account_no or self.customer_reference))

    match_key: str
    """What simultaneous first orders of one person share (`mappings.customer_match.match_key`)."""
    new_customer: NewCustomer


class Draft(Frozen):
    """A transformed order before Sage was asked anything."""

    sales_order: SalesOrder
    customer: CustomerSearch
    expected: ExpectedTotals
    checks: list[Check] | None = None
    """The pair's checks that this order has to pass, in their order: the list of its mapping version."""


class Transformed(Frozen):
    """Result of the transform: a draft, or the problems that prevent one; never both, never an exception.

    `title` is the plain summary for people ("#10432 · 3 lines · 1,284.50 USD"), free of personal data; `expedited` says
    that the pair's rules let the order go before the others.
    """

    order_number: str = ""
    title: str = ""
    expedited: bool = False
    mapping_version: str
    draft: Draft | None = None
    problems: list[Problem] = []
    warnings: list[str] = []


class CreatedLine(Sparse):
    """A line as Sage stored it: the link between Clarity's item and Sage's LineKey (rules 1)."""

    LineKey: str
    ItemCode: str
    ItemType: SageItemType = SageItemType.REGULAR
    UnitOfMeasure: str = ""
    UnitOfMeasureConvFactor: Decimal = Decimal(1)
    WarehouseCode: str = ""
    QuantityOrdered: Decimal
    QuantityBackordered: Decimal = Decimal(0)
    UnitPrice: Decimal = Decimal(0)
    ExtensionAmt: Decimal = Decimal(0)
    TaxClass: str = ""
    """Empty where the answer does not say."""
    SalesKitLineKey: str = ""
    """The LineKey of the exploded kit that the line belongs to; the kit's own line names itself."""
    UDF_WEB_LINE_ID: str = ""

    @property
    def is_component(self) -> bool:
        """Whether the line is a component of an exploded kit."""
        return self.SalesKitLineKey not in ("", self.LineKey)

    @property
    def counts(self) -> bool:
        """Whether the line counts for shipped and complete (rules, first paragraph)."""
        if self.is_component:
            return False
        if self.ItemType in (SageItemType.REGULAR, SageItemType.SPECIAL):
            return True
        return self.ItemType is SageItemType.MISCELLANEOUS and bool(self.UDF_WEB_LINE_ID)


class SalesOrderOnSage(Sparse):
    """An order as Sage has it, live or in history, or as its preview computed it (SalesOrderNo then empty)."""

    SalesOrderNo: str = ""
    live: bool = True
    OrderStatus: str = ""
    UDF_WEB_ORDER_ID: str = ""
    ARDivisionNo: str = ""
    CustomerNo: str = ""
    CustomerPONo: str = ""
    TaxableAmt: Decimal = Decimal(0)
    NonTaxableAmt: Decimal = Decimal(0)
    FreightAmt: Decimal = Decimal(0)
    SalesTaxAmt: Decimal = Decimal(0)
    DiscountAmt: Decimal = Decimal(0)
    DepositAmt: Decimal | None = None
    """None where the answer does not say."""
    BillToDivisionNo: str = ""
    BillToCustomerNo: str = ""
    """The account that Sage bills, where it is another one."""
    Lines: list[CreatedLine] = []

    @property
    def is_deleted(self) -> bool:
        """Whether only the history of a deleted order is left (history's OrderStatus X, Z)."""
        return not self.live and self.OrderStatus in ("X", "Z")

    @property
    def bill_to(self) -> CustomerKey | None:
        """The account that Sage bills, when it is not the one that orders (rules 7)."""
        key = CustomerKey(ARDivisionNo=self.BillToDivisionNo or self.ARDivisionNo, CustomerNo=self.BillToCustomerNo)
        own = CustomerKey(ARDivisionNo=self.ARDivisionNo, CustomerNo=self.CustomerNo)
        return key if self.BillToCustomerNo and key != own else None

    @property
    def total(self) -> Decimal:
        """Order total (sage100.md 5: TaxableAmt + NonTaxableAmt + FreightAmt + SalesTaxAmt − DiscountAmt)."""
        return self.TaxableAmt + self.NonTaxableAmt + self.FreightAmt + self.SalesTaxAmt - self.DiscountAmt


class CustomerCandidate(Frozen):
    """An account that might be the buyer's, and what speaks for and against it. No personal data beyond the key."""

    customer: CustomerKey
    reasons: list[str]
    score: int = 0
    """How much speaks for it, 0 to 100: what the list is sorted by. It decides nothing."""


class CustomerDecision(StrEnum):
    """What matching decided (rules 6)."""

    MATCHED = "matched"
    CREATE = "create"
    REVIEW = "review"


class CustomerMatch(Frozen):
    """The decision, the account when matched, and why."""

    decision: CustomerDecision
    customer: CustomerKey | None = None
    by: str = ""
    candidates: list[CustomerCandidate] = []


class ShipToAddress(Frozen):
    """SO_ShipToAddress, as far as comparing needs it."""

    ShipToCode: str
    ShipToName: str = ""
    ShipToAddress1: str = ""
    ShipToAddress2: str = ""
    ShipToAddress3: str = ""
    ShipToCity: str = ""
    ShipToState: str = ""
    ShipToZipCode: str = ""
    ShipToCountryCode: str = ""


class SageFacts(Sparse):
    """What one look at Sage told about an order (`read_sage_facts`).

    `existing` is an order with this web order id: nothing must be created. `sales_order` has its ItemCodes (and the
    customer, when matched). `findings` are the failed checks, in the order of the pair's `checks`.
    """

    existing: SalesOrderOnSage | None = None
    differences: list[str] = []
    """Where the existing order is not what would be created now: people may have changed it since."""
    own_invoiced: bool = False
    """Only invoices know the number of this order's own attempt: the create asks a person."""
    sales_order: SalesOrder
    match: CustomerMatch
    findings: list[Finding] = []
    remarks: list[str] = []
    """What a person may want to know, and stops nothing."""
    ship_to_to_add: ShipToAddress | None = None
    """By the pair's opt-in, the ship-to that the account gets with this order (rules 6)."""
