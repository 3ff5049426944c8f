"""Every SQL statement this project sends to Sage, by name.

Rules (sage100.md 6, rules 8): the columns needed and no more, predicates that a key of Sage's serves, no OR, no UNION,
no subqueries, no OFFSET. `sweep` marks the few that read a table by design; they page by primary key, or read a table
that is small by nature (SO_InvoiceHeader holds only unposted invoices). A test looks at every query plan.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from mappings.item_columns import SYNCED


@dataclass(frozen=True)
class Statement:
    """One statement; `?` stands for each parameter."""

    name: str
    sql: str
    sweep: bool = False


STATEMENTS: Final[dict[str, Statement]] = {}


def _statement(name: str, sql: str, *, sweep: bool = False) -> Statement:
    statement = Statement(name, " ".join(sql.split()), sweep)
    STATEMENTS[name] = statement
    return statement


ITEM_COLUMNS: Final = (
    "ItemCode, ItemType, InactiveItem, AllowBackOrders, SalesUnitOfMeasure, SalesUMConvFctr, TaxClass, "
    "DefaultWarehouseCode, DropShip, StandardUnitCost, ItemCodeDesc, ProductType, StandardUnitOfMeasure, "
    "PurchaseUnitOfMeasure, PurchaseUMConvFctr, ProductLine"
)
ITEM = _statement("item", f"SELECT {ITEM_COLUMNS} FROM CI_Item WHERE ItemCode = ?")  # noqa: S608 - constants
STOCK_ITEMS_PAGE = _statement(
    "stock_items_page",
    f"SELECT {ITEM_COLUMNS} FROM CI_Item WHERE ItemCode > ? ORDER BY ItemCode",  # noqa: S608 - constants
    sweep=True,
)
STOCK_PAGE = _statement(
    "stock_page",
    """SELECT WarehouseCode, QuantityOnHand, QuantityOnSalesOrder, QuantityOnBackOrder, QuantityRequiredForWO, ItemCode
       FROM IM_ItemWarehouse WHERE ItemCode >= ? AND ItemCode <= ?""",
    sweep=True,
)
_A_COLUMN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def _with(columns: Iterable[str]) -> str:
    """`ITEM_COLUMNS` and further ones of CI_Item; a site's own among them."""
    further = list(columns)
    if wrong := [one for one in further if not _A_COLUMN.fullmatch(one)]:
        raise ValueError(f"{wrong[0]!r} is no column")
    return ", ".join((ITEM_COLUMNS, *further))


def product_item(columns: Iterable[str]) -> Statement:
    """An item by its key, with columns that the pair file names behind `ITEM_COLUMNS`."""
    return Statement("product_item", f"SELECT {_with(columns)} FROM CI_Item WHERE ItemCode = ?")  # noqa: S608


def product_items_page(columns: Iterable[str]) -> Statement:
    """The same for a page in key order."""
    sql = f"SELECT {_with(columns)} FROM CI_Item WHERE ItemCode > ? ORDER BY ItemCode"  # noqa: S608 - checked names
    return Statement("product_items_page", sql, sweep=True)


STATEMENTS.update({one.name: one for one in (product_item(SYNCED), product_items_page(SYNCED))})

KIT_COMPONENTS = _statement(
    "kit_components", "SELECT ComponentItemCode, QuantityPerAssembly FROM IM_SalesKitDetail WHERE SalesKitNo = ?"
)
ITEMS_PAGE = _statement(
    "items_page",
    """SELECT ItemCode, ItemCodeDesc, ItemType, InactiveItem, ProductType FROM CI_Item WHERE ItemCode > ?
       ORDER BY ItemCode""",
    sweep=True,
)
ITEM_WAREHOUSES = _statement(
    "item_warehouses",
    """SELECT WarehouseCode, QuantityOnHand, QuantityOnSalesOrder, QuantityOnBackOrder, QuantityRequiredForWO
       FROM IM_ItemWarehouse WHERE ItemCode = ?""",
)
ALIASES = _statement(
    "aliases",
    "SELECT AliasItemNo, ItemCode, Type, ARDivisionNo, CustomerNo FROM IM_AliasItem WHERE AliasItemNo = ?",
)
ALIASES_PAGE = _statement(
    "aliases_page",
    "SELECT AliasItemNo, ItemCode, Type FROM IM_AliasItem WHERE AliasItemNo > ? ORDER BY AliasItemNo",
    sweep=True,
)

PAYMENT_TYPE = _statement("payment_type", "SELECT PaymentMethod FROM AR_PaymentType WHERE PaymentType = ?")
SHIP_TO_ADDRESSES = _statement(
    "ship_to_addresses",
    """SELECT ShipToCode, ShipToName, ShipToAddress1, ShipToAddress2, ShipToAddress3, ShipToZipCode, ShipToCity,
       ShipToCountryCode FROM SO_ShipToAddress WHERE ARDivisionNo = ? AND CustomerNo = ?""",
)

CUSTOMER_COLUMNS: Final = (
    "ARDivisionNo, CustomerNo, CustomerName, AddressLine1, AddressLine2, AddressLine3, City, ZipCode, CountryCode, "
    "TelephoneNo, EmailAddress, CustomerStatus, InactiveReasonCode, TermsCode, PriceLevel, TaxSchedule, TaxExemptNo, "
    "CustomerDiscountRate, CustomerType, CreditHold, CreditLimit, CurrentBalance, AgingCategory1, AgingCategory2, "
    "AgingCategory3, AgingCategory4, OpenOrderAmt, UDF_WEB_CUSTOMER_ID"
)
CUSTOMER = _statement(
    "customer",
    f"SELECT {CUSTOMER_COLUMNS} FROM AR_Customer WHERE ARDivisionNo = ? AND CustomerNo = ?",  # noqa: S608 - constants
)
CUSTOMERS_PAGE = _statement(
    "customers_page",
    f"""SELECT {CUSTOMER_COLUMNS} FROM AR_Customer WHERE ARDivisionNo = ? AND CustomerNo > ?
        ORDER BY ARDivisionNo, CustomerNo""",  # noqa: S608 - constants
    sweep=True,
)
CONTACT_EMAILS = _statement(
    "contact_emails",
    """SELECT CustomerNo, EmailAddress FROM AR_CustomerContact
       WHERE ARDivisionNo = ? AND CustomerNo >= ? AND CustomerNo <= ?""",
    sweep=True,
)
SHIP_TO_EMAILS = _statement(
    "ship_to_emails",
    """SELECT CustomerNo, EmailAddress FROM SO_ShipToAddress
       WHERE ARDivisionNo = ? AND CustomerNo >= ? AND CustomerNo <= ?""",
    sweep=True,
)

BILLED_TO = _statement(
    "billed_to",
    "SELECT BillToDivisionNo, BillToCustomerNo FROM SO_SalesOrderHeader WHERE ARDivisionNo = ? AND CustomerNo = ?",
)
CUSTOMERS_ORDERS = _statement(
    "customers_orders",
    """SELECT SalesOrderNo, UDF_WEB_ORDER_ID, DateCreated, TimeCreated FROM SO_SalesOrderHeader
       WHERE ARDivisionNo = ? AND CustomerNo = ?""",
)
BASKET = _statement(
    "basket",
    """SELECT ItemCode, ItemType, QuantityOrdered, SalesKitLineKey, LineKey, UnitOfMeasureConvFactor
       FROM SO_SalesOrderDetail WHERE SalesOrderNo = ?""",
)

LIVE_ORDER = _statement(
    "live_order",
    """SELECT SalesOrderNo, OrderStatus, ARDivisionNo, CustomerNo, CustomerPONo, TaxableAmt, NonTaxableAmt, FreightAmt,
       SalesTaxAmt, DiscountAmt, UDF_WEB_ORDER_ID FROM SO_SalesOrderHeader WHERE SalesOrderNo = ?""",
)
LIVE_ORDERS_BY_PO = _statement(
    "live_orders_by_purchase_order", "SELECT SalesOrderNo FROM SO_SalesOrderHeader WHERE CustomerPONo = ?"
)
LIVE_LINES = _statement(
    "live_lines",
    """SELECT LineKey, ItemCode, ItemType, UnitOfMeasure, UnitOfMeasureConvFactor, QuantityOrdered, QuantityBackordered,
       UnitPrice, ExtensionAmt, SalesKitLineKey, UDF_WEB_LINE_ID, BackorderKitCompLine FROM SO_SalesOrderDetail
       WHERE SalesOrderNo = ? ORDER BY SalesOrderNo, LineKey""",
)
HISTORY_ORDER = _statement(
    "history_order",
    """SELECT SalesOrderNo, OrderStatus, ARDivisionNo, CustomerNo, CustomerPONo, TaxableAmt, NonTaxableAmt, FreightAmt,
       SalesTaxAmt, DiscountAmt, UDF_WEB_ORDER_ID FROM SO_SalesOrderHistoryHeader WHERE SalesOrderNo = ?""",
)
HISTORY_ORDERS_BY_PO = _statement(
    "history_orders_by_purchase_order", "SELECT SalesOrderNo FROM SO_SalesOrderHistoryHeader WHERE CustomerPONo = ?"
)
HISTORY_LINES = _statement(
    "history_lines",
    """SELECT LineKey, ItemCode, ItemType, UnitOfMeasure, UnitOfMeasureConvFactor, QuantityOrderedOriginal,
       QuantityBackordered, OriginalUnitPrice, LastExtensionAmt, SalesKitLineKey, UDF_WEB_LINE_ID, SequenceNo,
       OriginalLine, CancelReasonCode FROM SO_SalesOrderHistoryDetail
       WHERE SalesOrderNo = ? ORDER BY SalesOrderNo, SequenceNo""",
)
LIVE_ENTERED = _statement(
    "live_entered",
    """SELECT OrderDate, ShipToCode, ShipToName, ShipToAddress1, ShipToAddress2, ShipToAddress3, ShipToCity,
       ShipToState, ShipToZipCode, ShipToCountryCode, ShipVia, WarehouseCode, TermsCode, EmailAddress
       FROM SO_SalesOrderHeader WHERE SalesOrderNo = ?""",
)
HISTORY_ENTERED = _statement(
    "history_entered",
    """SELECT OrderDate, ShipToCode, ShipToName, ShipToAddress1, ShipToAddress2, ShipToAddress3, ShipToCity,
       ShipToState, ShipToZipCode, ShipToCountryCode, ShipVia, WarehouseCode, TermsCode, EmailAddress
       FROM SO_SalesOrderHistoryHeader WHERE SalesOrderNo = ?""",
)
OPEN_ORDERS_PAGE = _statement(
    "open_orders_page",
    """SELECT SalesOrderNo, OrderDate, CustomerPONo, EmailAddress, TaxableAmt, NonTaxableAmt, FreightAmt, SalesTaxAmt,
       DiscountAmt, UDF_WEB_ORDER_ID FROM SO_SalesOrderHeader WHERE SalesOrderNo > ? ORDER BY SalesOrderNo""",
    sweep=True,
)
CUSTOMER_SINCE = _statement(
    "customer_since", "SELECT DateCreated FROM AR_Customer WHERE ARDivisionNo = ? AND CustomerNo = ?"
)
INVOICED_ORDERS_BY_PO = _statement(
    "invoiced_orders_by_purchase_order", "SELECT SalesOrderNo FROM AR_InvoiceHistoryHeader WHERE CustomerPONo = ?"
)

UNPOSTED_INVOICES = _statement(
    "unposted_invoices",
    """SELECT InvoiceNo, InvoiceType, OrderType, ShipStatus, SalesOrderNo, MultipleSalesOrdersApplied, DateCreated,
       TimeCreated FROM SO_InvoiceHeader""",
    sweep=True,
)
UNPOSTED_INVOICES_WITHOUT_STAMPS = _statement(
    "unposted_invoices_without_stamps",
    """SELECT InvoiceNo, InvoiceType, OrderType, ShipStatus, SalesOrderNo, MultipleSalesOrdersApplied
       FROM SO_InvoiceHeader""",
    sweep=True,
)
UNPOSTED_INVOICE = _statement(
    "unposted_invoice",
    """SELECT InvoiceNo, InvoiceType, OrderType, ShipStatus, SalesOrderNo, InvoiceDate, ShipDate, ShipVia, TaxableAmt,
       NonTaxableAmt, FreightAmt, SalesTaxAmt, DiscountAmt FROM SO_InvoiceHeader WHERE InvoiceNo = ?""",
)
UNPOSTED_LINES = _statement(
    "unposted_lines",
    """SELECT OrderLineKey, ItemCode, ItemType, AppliedSalesOrderNo, QuantityShipped, UnitOfMeasureConvFactor, DropShip,
       ExplodedKitItem, ExtensionAmt FROM SO_InvoiceDetail WHERE InvoiceNo = ? ORDER BY InvoiceNo, LineKey""",
)
UNPOSTED_TRACKING = _statement(
    "unposted_tracking",
    """SELECT PackageNo, TrackingID, StarshipShipVia FROM SO_InvoiceTracking WHERE InvoiceNo = ?
       ORDER BY InvoiceNo, PackageNo""",
)
UNPOSTED_PACKAGE_ITEMS = _statement(
    "unposted_package_items",
    "SELECT PackageNo, ItemCode, Quantity FROM SO_PackageTrackingByItem WHERE InvoiceNo = ?",
)
POSTED_AFTER = _statement("posted_after", "SELECT InvoiceNo FROM AR_InvoiceHistoryHeader WHERE InvoiceDate > ?")
POSTED_ON = _statement(
    "posted_on",
    """SELECT InvoiceNo FROM AR_InvoiceHistoryHeader WHERE InvoiceDate = ? AND InvoiceNo > ?
       ORDER BY InvoiceDate, InvoiceNo""",
)
APPLIED_TO_ORDER = _statement(
    "applied_to_order", "SELECT InvoiceNo FROM AR_InvoiceHistoryDetail WHERE AppliedSalesOrderNo = ?"
)
POSTED_OF_ORDER = _statement("posted_of_order", "SELECT InvoiceNo FROM AR_InvoiceHistoryHeader WHERE SalesOrderNo = ?")
POSTED_INVOICE = _statement(
    "posted_invoice",
    """SELECT InvoiceNo, HeaderSeqNo, ModuleCode, InvoiceType, OrderType, SalesOrderNo, InvoiceDate, ShipDate, ShipVia,
       TaxableSalesAmt, NonTaxableSalesAmt, FreightAmt, SalesTaxAmt, DiscountAmt, MultipleSalesOrdersApplied,
       ApplyToInvoiceNo, RMANo FROM AR_InvoiceHistoryHeader WHERE InvoiceNo = ?""",
)
POSTED_LINES = _statement(
    "posted_lines",
    """SELECT DetailSeqNo, ItemCode, ItemType, AppliedSalesOrderNo, QuantityShipped, UnitOfMeasureConvFactor, DropShip,
       ExplodedKitItem, ExtensionAmt FROM AR_InvoiceHistoryDetail
       WHERE InvoiceNo = ? AND HeaderSeqNo = ? ORDER BY InvoiceNo, HeaderSeqNo, DetailSeqNo""",
)
POSTED_TRACKING = _statement(
    "posted_tracking",
    """SELECT PackageNo, TrackingID, StarshipShipVia FROM AR_InvoiceHistoryTracking
       WHERE InvoiceNo = ? AND HeaderSeqNo = ? ORDER BY InvoiceNo, HeaderSeqNo, PackageNo""",
)
POSTED_PACKAGE_ITEMS = _statement(
    "posted_package_items",
    "SELECT PackageNo, ItemCode, Quantity FROM AR_TrackingByItemHistory WHERE InvoiceNo = ? AND HeaderSeqNo = ?",
)
HISTORY_LINKS = _statement(
    "history_links",
    """SELECT SequenceNo, InvoiceNo, InvoiceHistoryHeaderSeqNo, InvoiceHistoryDetailSeqNo FROM SO_ARInvoiceHistoryLink
       WHERE SalesOrderNo = ?""",
)

# ---- money (connectors/sage100/ledger.py) ---------------------------------------------------------------------------

DEPOSITED_ORDER = _statement(
    "deposited_order",
    """SELECT SalesOrderNo, UDF_WEB_ORDER_ID, ARDivisionNo, CustomerNo, OrderDate, OrderStatus, DepositAmt, PaymentType,
       CheckNoForDeposit, OtherPaymentTypeRefNo FROM SO_SalesOrderHeader WHERE SalesOrderNo = ?""",
)
DEPOSITED_HISTORY = _statement(
    "deposited_history",
    """SELECT SalesOrderNo, UDF_WEB_ORDER_ID, ARDivisionNo, CustomerNo, OrderDate, OrderStatus, DepositAmt, PaymentType,
       CheckNoForDeposit, OtherPaymentTypeRefNo FROM SO_SalesOrderHistoryHeader WHERE SalesOrderNo = ?""",
)
OPEN_DEPOSITS_PAGE = _statement(
    "open_deposits_page",
    """SELECT SalesOrderNo, UDF_WEB_ORDER_ID, DepositAmt, PaymentType FROM SO_SalesOrderHeader WHERE SalesOrderNo > ?
       ORDER BY SalesOrderNo""",
    sweep=True,
)
BILLED_ON = _statement(
    "billed_on",
    """SELECT InvoiceNo, HeaderSeqNo, SalesOrderNo, MultipleSalesOrdersApplied, DepositAmt, PaymentType
       FROM AR_InvoiceHistoryHeader WHERE InvoiceDate = ?""",
)
UNPOSTED_BILL = _statement(
    "unposted_bill",
    """SELECT InvoiceNo, InvoiceType, ShipStatus, SalesOrderNo, InvoiceDate, TaxableAmt, NonTaxableAmt, FreightAmt,
       SalesTaxAmt, DiscountAmt, DepositAmt, TaxSchedule, MultipleSalesOrdersApplied FROM SO_InvoiceHeader
       WHERE InvoiceNo = ?""",
)
POSTED_BILL = _statement(
    "posted_bill",
    """SELECT InvoiceNo, InvoiceType, HeaderSeqNo, SalesOrderNo, InvoiceDate, TaxableSalesAmt, NonTaxableSalesAmt,
       FreightAmt, SalesTaxAmt, DiscountAmt, DepositAmt, TaxSchedule, MultipleSalesOrdersApplied
       FROM AR_InvoiceHistoryHeader WHERE InvoiceNo = ?""",
)
POSTED_DEPOSITS = _statement(
    "posted_deposits",
    "SELECT SalesOrderNo, TransactionAmt FROM AR_InvoiceHistoryPayment WHERE InvoiceNo = ? AND HeaderSeqNo = ?",
)
OPEN_INVOICE = _statement(
    "open_invoice",
    """SELECT Balance FROM AR_OpenInvoice
       WHERE ARDivisionNo = ? AND CustomerNo = ? AND InvoiceNo = ? AND InvoiceType = ?""",
)
TAX_CODES = _statement("tax_codes", "SELECT TaxCode FROM SY_SalesTaxScheduleDetail WHERE TaxSchedule = ?")
RECEIPT_COLUMNS: Final = (
    "BankCode, DepositDate, DepositNo, ARDivisionNo, CustomerNo, CheckNo, InvoiceNo, InvoiceType, AccountKey, "
    "PaymentType, CashAmountApplied"
)
RECEIPTS_ON = _statement(
    "receipts_on",
    f"SELECT {RECEIPT_COLUMNS} FROM AR_CashReceiptsHistory WHERE BankCode = ? AND DepositDate = ?",  # noqa: S608
)
UNPOSTED_RECEIPTS = _statement(
    "unposted_receipts",
    f"SELECT {RECEIPT_COLUMNS} FROM AR_CashReceiptsDetail WHERE BankCode = ?",  # noqa: S608 - constants
)

# ---- one customer (connectors/sage100/customer_accounts.py) ---------------------------------------------------------

ACCOUNT_COLUMNS: Final = (
    "CustomerName, AddressLine1, AddressLine2, AddressLine3, City, State, ZipCode, CountryCode, TelephoneNo, "
    "EmailAddress, URLAddress, CustomerStatus, InactiveReasonCode, CustomerType, SalespersonDivisionNo, SalespersonNo, "
    "PriceLevel, CustomerDiscountRate, TermsCode, TaxSchedule, TaxExemptNo, ShipMethod, DefaultPaymentType, "
    "PrimaryShipToCode, CreditHold, CreditLimit, CurrentBalance, AgingCategory1, AgingCategory2, AgingCategory3, "
    "AgingCategory4, OpenOrderAmt, HighestStmntBalance, LastPaymentAmt, DateLastPayment, DateLastActivity, "
    "DateEstablished, AvgDaysPaymentInvoice, AvgDaysOverDue, UDF_WEB_CUSTOMER_ID"
)
ACCOUNT = _statement(
    "account",
    f"SELECT {ACCOUNT_COLUMNS} FROM AR_Customer WHERE ARDivisionNo = ? AND CustomerNo = ?",  # noqa: S608 - constants
)
TERMS = _statement("terms", "SELECT TermsCodeDesc FROM AR_TermsCode WHERE TermsCode = ?")
CONTACTS = _statement(
    "contacts",
    """SELECT ContactCode, ContactName, ContactTitle, TelephoneNo1, EmailAddress FROM AR_CustomerContact
       WHERE ARDivisionNo = ? AND CustomerNo = ?""",
)
SHIP_TO_ROWS = _statement(
    "ship_to_rows",
    """SELECT ShipToCode, ShipToName, ShipToAddress1, ShipToAddress2, ShipToAddress3, ShipToCity, ShipToState,
       ShipToZipCode, ShipToCountryCode FROM SO_ShipToAddress WHERE ARDivisionNo = ? AND CustomerNo = ?""",
)
ACCOUNTS_OPEN_ORDERS = _statement(
    "accounts_open_orders",
    """SELECT SalesOrderNo, OrderDate, OrderStatus, CustomerPONo, UDF_WEB_ORDER_ID, TaxableAmt, NonTaxableAmt,
       FreightAmt, SalesTaxAmt, DiscountAmt, DepositAmt, OrderType, ShipVia, CurrentInvoiceNo FROM SO_SalesOrderHeader
       WHERE ARDivisionNo = ? AND CustomerNo = ? ORDER BY ARDivisionNo DESC, CustomerNo DESC, SalesOrderNo DESC""",
)
ACCOUNTS_PAST_ORDERS = _statement(
    "accounts_past_orders",
    """SELECT SalesOrderNo, OrderDate, OrderStatus, CustomerPONo, UDF_WEB_ORDER_ID, TaxableAmt, NonTaxableAmt,
       FreightAmt, SalesTaxAmt, DiscountAmt, DepositAmt, LastInvoiceNo, ShipVia, CancelReasonCode
       FROM SO_SalesOrderHistoryHeader WHERE ARDivisionNo = ? AND CustomerNo = ? AND SalesOrderNo < ?
       ORDER BY ARDivisionNo DESC, CustomerNo DESC, SalesOrderNo DESC""",
)
ACCOUNTS_INVOICES = _statement(
    "accounts_invoices",
    """SELECT InvoiceNo, HeaderSeqNo, InvoiceType, InvoiceDate, SalesOrderNo, ShipDate, ShipVia, TaxableSalesAmt,
       NonTaxableSalesAmt, FreightAmt, SalesTaxAmt, DiscountAmt, InvoiceDueDate FROM AR_InvoiceHistoryHeader
       WHERE ARDivisionNo = ? AND CustomerNo = ? AND InvoiceNo < ?
       ORDER BY ARDivisionNo DESC, CustomerNo DESC, InvoiceNo DESC, HeaderSeqNo DESC""",
)
ACCOUNTS_OPEN_INVOICES = _statement(
    "accounts_open_invoices",
    """SELECT InvoiceNo, InvoiceType, InvoiceDate, InvoiceDueDate, CustomerPONo, Balance FROM AR_OpenInvoice
       WHERE ARDivisionNo = ? AND CustomerNo = ? ORDER BY ARDivisionNo DESC, CustomerNo DESC, InvoiceNo DESC""",
)
ACCOUNTS_RECEIPTS = _statement(
    "accounts_receipts",
    """SELECT DepositDate, DepositNo, CheckNo, InvoiceNo, InvoiceType, PaymentType, CashAmountApplied
       FROM AR_CashReceiptsHistory WHERE ARDivisionNo = ? AND CustomerNo = ?
       ORDER BY ARDivisionNo DESC, CustomerNo DESC, InvoiceNo DESC""",
)
INVOICE_PAYMENTS = _statement(
    "invoice_payments",
    """SELECT PaymentType, TransactionAmt, CheckNoForDeposit, OtherPaymentTypeRefNo, SalesOrderNo
       FROM AR_InvoiceHistoryPayment WHERE InvoiceNo = ? AND HeaderSeqNo = ?""",
)
ORDERS_ACCOUNT = _statement(
    "orders_account", "SELECT ARDivisionNo, CustomerNo FROM SO_SalesOrderHeader WHERE SalesOrderNo = ?"
)
PAST_ORDERS_ACCOUNT = _statement(
    "past_orders_account", "SELECT ARDivisionNo, CustomerNo FROM SO_SalesOrderHistoryHeader WHERE SalesOrderNo = ?"
)


def own_columns(columns: Sequence[str]) -> Statement:
    """Columns that a pair file names, of one account, by its primary key."""
    names = ", ".join(_plain(column) for column in columns)
    return Statement("own_columns", f"SELECT {names} FROM AR_Customer WHERE ARDivisionNo = ? AND CustomerNo = ?")  # noqa: S608


def own_columns_page(columns: Sequence[str]) -> Statement:
    """The same of a division's accounts in key order, with the web customer's id."""
    names = ", ".join(("CustomerNo", "UDF_WEB_CUSTOMER_ID", *(_plain(column) for column in columns)))
    return Statement(
        "own_columns_page",
        f"SELECT {names} FROM AR_Customer WHERE ARDivisionNo = ? AND CustomerNo > ? ORDER BY ARDivisionNo, CustomerNo",  # noqa: S608
        sweep=True,
    )


_PARTS: Final = re.compile(
    r"SELECT (?P<select>.+) FROM (?P<table>\w+)(?: WHERE (?P<where>.+?))?(?: ORDER BY (?P<order>.+))?"
)
_WORDS: Final = frozenset({"AND", "DESC"})


class TableUse(NamedTuple):
    """What the statements ask of one table."""

    key: str
    """A text column that begins one of its keys, so that a look by it is quick."""
    columns: frozenset[str]


def tables_used() -> dict[str, TableUse]:
    """Every table that a statement reads, with the columns that they name."""
    columns: dict[str, set[str]] = {}
    keys: dict[str, str] = {}
    for statement in STATEMENTS.values():
        parts = _PARTS.fullmatch(statement.sql)
        if parts is None:
            raise ValueError(f"the statement {statement.name} has a form of its own")
        found = columns.setdefault(parts["table"], set())
        for part in ("select", "where", "order"):
            found.update(set(re.findall(r"[A-Za-z]\w*", parts[part] or "")) - _WORDS)
        first = re.match(r"\w+", parts["where"] or "")
        if first is not None and "Date" not in first[0]:
            keys.setdefault(parts["table"], first[0])
    return {table: TableUse(keys[table], frozenset(found)) for table, found in columns.items()}


def look_at(table: str, key: str) -> str:
    """No row of a table, all of its columns: they are described, and read permission is proved."""
    return f"SELECT * FROM {_plain(table)} WHERE {_plain(key)} = ''"  # noqa: S608 - checked names


def _plain(column: str) -> str:
    """A column's name; it was checked when the pair file was loaded, and is checked here once more."""
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,63}", column) is None:
        raise ValueError(f"{column[:80]!r} is no column's name")
    return column
