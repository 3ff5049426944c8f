"""Sage's columns of orders, their lines and customers: which of them a pair file may set, and how long they are.

In: a column's name, and a fixed value. Out: problem and remedy, or nothing. Names and types are the published layout of
SO_SalesOrderHeader, SO_SalesOrderDetail and AR_Customer: Cn text of n characters, D a date, Np.s a number of p digits,
s of them decimals, TEXT a memo. Lengths differ by release: the pair file's `columns` go before these. A site's own
columns (`UDF_…`) are known to Sage alone.

What this integration sets itself is not the pair file's to overwrite: the account, exactly-once creation, the link
between the lines, the deposit and Sage's own tax (rules 4 to 6) depend on it. The key that says it instead is named.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Final, NamedTuple

from mappings.pair_file import nearest, wrong


class SageTable(StrEnum):
    """The tables whose columns a pair file names."""

    HEADER = "SO_SalesOrderHeader"
    LINE = "SO_SalesOrderDetail"
    CUSTOMER = "AR_Customer"


_SETTABLE: Final[dict[SageTable, str]] = {
    SageTable.HEADER: """
    ShipExpireDate:D ShipZone:C5 ShipZoneActual:C5 ShipWeight:C5 FOB:C15 ConfirmTo:C50 Comment:C30 TermsCode:C2
    PrintSalesOrders:C1 PrintPickingSheets:C1 CycleCode:C2 FaxNo:C20 BatchFax:C1 BatchEmail:C1 EmailAddress:C250
    FreightCalculationMethod:C1 SalespersonDivisionNo:C2 SalespersonNo:C4 SplitCommissions:C1
    SalespersonDivisionNo2:C2 SalespersonNo2:C4 SalespersonDivisionNo3:C2 SalespersonNo3:C4 SalespersonDivisionNo4:C2
    SalespersonNo4:C4 SalespersonDivisionNo5:C2 SalespersonNo5:C4 JobNo:C7 ResidentialAddress:C1 CommissionRate:N8.3
    SplitCommRate2:N8.3 SplitCommRate3:N8.3 SplitCommRate4:N8.3 SplitCommRate5:N8.3 NumberOfShippingLabels:N3.0
    """,
    SageTable.LINE: """
    ItemCodeDesc:C30 Discount:C1 Commissionable:C1 PriceLevel:C1 PrintDropShipment:C1 CostOfGoodsSoldAcctKey:C9
    SalesAcctKey:C9 Revision:C3 BillOption1:C2 BillOption2:C2 BillOption3:C2 BillOption4:C2 BillOption5:C2
    BillOption6:C2 BillOption7:C2 BillOption8:C2 BillOption9:C2 BackorderKitCompLine:C1 SkipPrintCompLine:C1
    PromiseDate:D AliasItemNo:C30 WarrantyCode:C10 CostCode:C9 CostType:C1 CommentText:TEXT APDivisionNo:C2
    VendorNo:C7 PurchaseOrderNo:C7 PurchaseOrderRequiredDate:D CommodityCode:C12 AlternateTaxIdentifier:C15
    """,
    SageTable.CUSTOMER: """
    TelephoneExt:C6 FaxNo:C20 URLAddress:C50 BatchFax:C1 ContactCode:C10 ShipMethod:C15 SalespersonDivisionNo:C2
    SalespersonNo:C4 Comment:C30 SortField:C10 TemporaryCustomer:C1 OpenItemCustomer:C1 ResidentialAddress:C1
    StatementCycle:C1 PrintDunningMessage:C1 PriceLevel:C1 DefaultItemCode:C30 EmailStatements:C1
    SalespersonDivisionNo2:C2 SalespersonNo2:C4 SalespersonDivisionNo3:C2 SalespersonNo3:C4 SalespersonDivisionNo4:C2
    SalespersonNo4:C4 SalespersonDivisionNo5:C2 SalespersonNo5:C4 DefaultCostCode:C9 DefaultCostType:C1
    SplitCommRate2:N8.3 SplitCommRate3:N8.3 SplitCommRate4:N8.3 SplitCommRate5:N8.3 TelephoneType:C1
    """,
}
"""What a pair file may set."""

_MATCHED: Final = "The account is found or made by the section customers (customers.house_account for guests)."
_ADDRESS: Final = "Addresses are the order's; their lengths stand in columns."
_PAID: Final = "Payments are translated by payments (payment_type, route, reference)."
_TAXED: Final = "Use tax.schedules, tax.default and tax.exempt."
_TAX_BY_SAGE: Final = "Leave it out: Sage computes the tax from tax.schedules and the tax classes, and overwrites it."
_DISCOUNTS: Final = "Use charges.order_discount and charges.line_discount: discounts are lines, exact to the penny."
_PRICES: Final = "Use order.prices and charges.line_discount_as."
_QUANTITY: Final = "Quantities are the order's; stock.policy says what happens with those that are not there."
_NO_CREDIT: Final = "Leave it out: accounts made for the web have no credit until a person gives them some in Sage."

_OWNED: Final[dict[SageTable, tuple[tuple[str, str], ...]]] = {
    SageTable.HEADER: (
        ("SalesOrderNo:C7", "Leave it out: Sage numbers its orders."),
        ("OrderDate:D", "Leave it out: it is the day of the checkout, in company.time_zone."),
        ("OrderType:C1 MasterRepeatingOrderNo:C7", "Leave it out: web orders are standard orders."),
        ("OrderStatus:C1", "Use order.order_status."),
        ("ARDivisionNo:C2 CustomerNo:C20 BillToDivisionNo:C2 BillToCustomerNo:C20", _MATCHED),
        (
            """BillToName:C50 BillToAddress1:C40 BillToAddress2:C40 BillToAddress3:C40 BillToCity:C30 BillToState:C2
            BillToZipCode:C10 BillToCountryCode:C3 ShipToName:C50 ShipToAddress1:C40 ShipToAddress2:C40
            ShipToAddress3:C40 ShipToCity:C30 ShipToState:C2 ShipToZipCode:C10 ShipToCountryCode:C3""",
            _ADDRESS,
        ),
        ("ShipToCode:C4", "Use customers.ship_to."),
        ("ShipVia:C15", "Use order.ship_via."),
        ("CustomerPONo:C30", "Leave it out: it is the buyer's purchase order number, else the web order's number."),
        ("WarehouseCode:C3", "Use order.warehouse and order.warehouses."),
        ("TaxSchedule:C9 TaxExemptNo:C15", _TAXED),
        ("FreightAmt:N11.2", "Use charges.freight."),
        (
            """PaymentType:C5 PaymentTypeCategory:C1 OtherPaymentTypeRefNo:C24 CheckNoForDeposit:C10 DepositAmt:N12.2
            PayBalance:C1""",
            _PAID,
        ),
        ("SalesTaxAmt:N11.2 TaxableAmt:N12.2 NonTaxableAmt:N12.2 InvalidTaxCalc:C1", _TAX_BY_SAGE),
        (
            """DiscountAmt:N11.2 DiscountRate:N7.3 TaxableSubjectToDiscount:N12.2 NonTaxableSubjectToDiscount:N12.2
            TaxSubjToDiscPrcntOfTotSubjTo:N6.2""",
            _DISCOUNTS,
        ),
        ("CancelReasonCode:C5", "Leave it out: it is set when an order is cancelled."),
    ),
    SageTable.LINE: (
        ("SalesOrderNo:C7 LineKey:C6 LineSeqNo:C14", "Leave it out: Sage numbers orders and lines."),
        ("ItemCode:C30", "Use items, the table SKU: ItemCode."),
        ("ItemType:C1", "Leave it out: it is the item's own in Sage."),
        ("WarehouseCode:C3", "Use order.warehouse and order.warehouses."),
        ("UnitOfMeasure:C4 UnitOfMeasureConvFactor:N11.4", "Leave it out: lines are in the item's sales unit."),
        ("DropShip:C1", "Leave it out: drop shipping is the item's own choice in Sage."),
        ("QuantityOrdered:N15.6 QuantityShipped:N15.6 QuantityBackordered:N15.6", _QUANTITY),
        ("UnitPrice:N15.6 PriceOverridden:C1 ExtensionAmt:N11.2 LineDiscountPercent:N8.3", _PRICES),
        ("TaxClass:C2 SubjectToExemption:C1", "Use charges.tax_class and charges.non_taxable_class."),
        ("TaxAmt:N11.2 TaxRate:N10.6 TaxTypeApplied:C4 NetGrossIndicator:C1 DebitCreditIndicator:C1", _TAX_BY_SAGE),
    ),
    SageTable.CUSTOMER: (
        ("ARDivisionNo:C2", "Use customers.new_division."),
        ("CustomerNo:C20", "Leave it out: Sage numbers its customers."),
        ("CustomerName:C50 AddressLine1:C40 AddressLine2:C40 AddressLine3:C40 City:C30 State:C2 ZipCode:C10", _ADDRESS),
        ("CountryCode:C3", _ADDRESS),
        ("TelephoneNo:C20 EmailAddress:C250", "Leave it out: it is the buyer's; the length stands in columns."),
        ("TermsCode:C2", "Use customers.terms_code."),
        ("CustomerType:C4", "Use customers.customer_type."),
        ("TaxSchedule:C9 TaxExemptNo:C15", _TAXED),
        ("CreditLimit:N13.2 CreditHold:C1", _NO_CREDIT),
        ("DefaultPaymentType:C5 DefaultCreditCardPmtType:C5 CreditCardGUID:C32 EInvoicePayments:C1", _PAID),
        ("CustomerDiscountRate:N12.3", _DISCOUNTS),
        ("CustomerStatus:C1 InactiveReasonCode:C5", "Leave it out: a new account is active."),
    ),
}
"""What this integration sets itself, or must not be set, and what to do instead."""

_LINKS: Final = ("UDF_WEB_ORDER_ID", "UDF_WEB_LINE_ID", "UDF_WEB_CUSTOMER_ID")
"""The links between Clarity's records and Sage's; orders are created exactly once by the first."""

_KEYS: Final = {
    SageTable.HEADER: "order.header, header_rules or header_values",
    SageTable.LINE: "order.line_values",
    SageTable.CUSTOMER: "customers.header",
}
"""Where the columns of each table are set."""

_KEPT_BY_SAGE: Final[dict[SageTable, str]] = {
    SageTable.HEADER: """
    LastInvoiceOrderDate LastInvoiceOrderNo CurrentInvoiceNo LotSerialLinesExist EBMUserType EBMSubmissionType
    EBMUserIDSubmittingThisOrder RMANo Weight LastNoOfShippingLabels DateCreated TimeCreated UserCreatedKey DateUpdated
    TimeUpdated UserUpdatedKey CRMUserID CRMPersonID CRMOpportunityID CRMCompanyID CRMProspectID SalesOrderPrinted
    PickingSheetPrinted PromotedDate
    """,
    SageTable.LINE: """
    ExtendedDescriptionKey MasterOrderLineKey SalesKitLineKey ExplodedKitItem StandardKitBill SOHistoryDetlSeqNo
    CustomerAction ItemAction ExpirationDate ExpirationOverridden CostOverridden MasterOriginalQty MasterQtyBalance
    MasterQtyOrderedToDate RepeatingQtyShippedToDate UnitCost QuantityPerBill LineWeight Valuation
    LotSerialFullyDistributed
    """,
    SageTable.CUSTOMER: """
    EBMEnabled EBMConsumerUserID DateLastActivity DateLastPayment DateLastStatement DateLastFinanceChrg DateLastAging
    PrimaryShipToCode DateEstablished NumberOfInvToUseInCalc AvgDaysPaymentInvoice AvgDaysOverDue ServiceChargeRate
    LastPaymentAmt HighestStmntBalance UnpaidServiceChrg BalanceForward CurrentBalance AgingCategory1 AgingCategory2
    AgingCategory3 AgingCategory4 OpenOrderAmt RetentionCurrent RetentionAging1 RetentionAging2 RetentionAging3
    RetentionAging4 DateCreated TimeCreated UserCreatedKey DateUpdated TimeUpdated UserUpdatedKey
    UseSageCloudForInvPrinting EInvoiceContactId PIIEncryptedDate EncryptedVals
    """,
}
"""What Sage fills: stamps, balances, keys of its own."""


def _kinds(text: str) -> dict[str, str]:
    return dict(one.split(":") for one in text.split())


SETTABLE: Final[dict[SageTable, dict[str, str]]] = {table: _kinds(text) for table, text in _SETTABLE.items()}
"""Column → type, of what a pair file may set."""

INSTEAD: Final[dict[SageTable, dict[str, str]]] = {
    table: {column: remedy for columns, remedy in groups for column in _kinds(columns)}
    for table, groups in _OWNED.items()
}
"""Column → remedy, of what it may not set."""

_ALL: Final[dict[str, str]] = {
    column: kind
    for table in SageTable
    for kinds in (*(_kinds(columns) for columns, _ in _OWNED[table]), SETTABLE[table])
    for column, kind in kinds.items()
}

LENGTHS: Final[dict[str, int]] = {column: int(kind[1:]) for column, kind in _ALL.items() if kind[0] == "C"}
"""Text column → characters in the published layout; columns of the same name are equally long in all three tables."""


class Complaint(NamedTuple):
    """What is wrong with a column or its value, and the remedy."""

    problem: str
    remedy: str


def is_own_column(column: str) -> bool:
    """Whether the column is one that a site adds (`UDF_GIFT`)."""
    return re.fullmatch(r"UDF_[A-Za-z0-9_]+", column) is not None


def cannot_be_set(column: str, table: SageTable) -> Complaint | None:
    """Why a pair file may not set this column; None when it may."""
    if column in SETTABLE[table]:
        return None
    small = column.casefold()
    instead = next((remedy for name, remedy in INSTEAD[table].items() if name.casefold() == small), None)
    if instead is not None:
        return Complaint(f"a pair file must not set {column}", instead)
    if column.upper() in _LINKS:
        return Complaint(f"a pair file must not set {column}", "Leave it out: it links Clarity's order with Sage's.")
    if is_own_column(column):
        return None
    if small in _KEPT_BY_SAGE[table].casefold().split():
        return Complaint(f"{column} is filled by Sage", "Leave it out.")
    remedy = _perhaps(column, (*SETTABLE[table], *INSTEAD[table]))
    if elsewhere := _elsewhere(column, table):
        remedy = f"It is set by {elsewhere}."
    return Complaint(f"{table.value} has no column {column}", remedy)


def account_column(column: str) -> Complaint | None:
    """Why AR_Customer has no column of this name that a pair file may show at Clarity; None when it has."""
    table = SageTable.CUSTOMER
    known = (*SETTABLE[table], *INSTEAD[table], *_KEPT_BY_SAGE[table].split())
    if column in known or is_own_column(column):
        return None
    return Complaint(f"{table.value} has no column {column}", _perhaps(column, known))


def settable_column(column: str, table: SageTable) -> str:
    """The column, for pydantic; raises when a pair file may not set it."""
    complaint = cannot_be_set(column, table)
    if complaint is not None:
        wrong(*complaint)
    return column


def text_column(column: str) -> str:
    """The column, for pydantic; raises when it is no text column of Sage's or a site's."""
    complaint = has_no_length(column)
    if complaint is not None:
        wrong(*complaint)
    return column


def has_no_length(column: str) -> Complaint | None:
    """Why the pair file's `columns` cannot name this column; None when it can."""
    if column in LENGTHS or is_own_column(column):
        return None
    return Complaint(f"Sage has no text column {column}", _perhaps(column, LENGTHS))


def _elsewhere(column: str, table: SageTable) -> str:
    """The key under which another table's column may be set; empty when none has it."""
    return next((key for other, key in _KEYS.items() if other is not table and column in SETTABLE[other]), "")


def _perhaps(column: str, known: Iterable[str]) -> str:
    close = nearest(column, known)
    return f"Did you mean {close!r}?" if close else "Use a column of Sage's file layout, or one of your own (UDF_…)."


def length_of(column: str, lengths: Mapping[str, int]) -> int | None:
    """Characters that a text column takes, by the pair file's `columns` or else the layout; None when unknown."""
    return lengths.get(column, LENGTHS.get(column))


def does_not_fit(column: str, value: str, lengths: Mapping[str, int]) -> Complaint | None:
    """Why a fixed value cannot stand in a column; None when it can."""
    limit, kind = length_of(column, lengths), _ALL.get(column, "")
    if limit is not None and len(value) > limit:
        where = "columns" if column in lengths else "the layout"
        return Complaint(f"has {len(value)} characters, {column} takes {limit} ({where})", f"Shorten it to {limit}.")
    if kind == "D" and not _is_date(value):
        return Complaint(f"{value!r} is no valid date", "Write year, month and day: 2026-01-31.")
    if kind.startswith("N") and not _is_number(value, kind):
        digits, _, decimals = kind[1:].partition(".")
        return Complaint(f"{value!r} is no number of {digits} digits", f"Write one with at most {decimals} decimals.")
    return None


def _is_date(value: str) -> bool:
    try:
        return date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def _is_number(value: str, kind: str) -> bool:
    digits, _, decimals = kind[1:].partition(".")
    try:
        number = Decimal(value)
    except InvalidOperation:
        return False
    if not number.is_finite():
        return False
    return number == round(number, int(decimals)) and abs(number) < Decimal(10) ** (int(digits) - int(decimals))
