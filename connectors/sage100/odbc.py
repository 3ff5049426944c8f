"""Reading Sage 100 through ODBC: typed readings by Sage's keys, and nothing else.

In: keys. Out: models of `mappings`. Raises the tree of `connectors.errors`. One connection and one thread per source
(`connectors.sage100.session`); a reading that takes too long is cancelled. `import pyodbc` happens when the first
connection is made, so that processes without a driver can import this module. Values are normalised in one place: text
without trailing spaces, amounts as Decimal, empty instead of NULL.
"""

import contextlib
import logging
import math
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import SecretStr

from connectors.errors import RetryLater
from connectors.sage100 import queries
from connectors.sage100.driver import import_pyodbc, sqlite_driver
from connectors.sage100.queries import Statement
from connectors.sage100.session import SYSTEM, OdbcSource
from mappings.baskets import RecentBasket
from mappings.customer_match import CustomerRecord, EmailSource, split_emails
from mappings.frozen import Frozen
from mappings.inventory import KitComponent
from mappings.item_candidates import CatalogueItem
from mappings.items import AliasFacts, ItemFacts, WarehouseStock, spellings
from mappings.packages import share_packages
from mappings.pair import Sage
from mappings.progress import allocate, in_order_unit
from mappings.sales_order import CreatedLine, CustomerKey, SageItemType, SalesOrderOnSage, ShipToAddress
from mappings.shadow import TypedOrder
from mappings.shipments import (
    CreditMemo,
    InvoicedLine,
    Package,
    PackageItem,
    SalesOrderStanding,
    ShipmentInvoice,
    ShipsOn,
)

log = logging.getLogger(__name__)

LOGIN_SECONDS = 10
QUERY_SECONDS = 20.0
LOCK_WAIT_MILLISECONDS = 2_000
BILLED_ORDERS = 50
"""Live orders of an account that are looked at for whom Sage bills."""

SHIPMENT_MODULES = frozenset({"S/O", "SO"})
CREDIT_MEMO_TYPE = "CM"
"""InvoiceType of a credit memo, with or without a return (RMANo)."""
SHIPMENT_ORDER_TYPES = frozenset({"S", "B", ""})
"""Standard and back orders (rules 2): one-step (1), master, repeating, quotes and prospects are none of ours."""
DELETED_TYPE, DELETED_STATUS = "XD", "D"
"""InvoiceType and ShipStatus of an invoice that was deleted before it was posted."""
COMPONENT = "C"
"""ExplodedKitItem of a kit's component."""
GOODS_TYPES = frozenset({"1", "2", "5"})
"""ItemTypes that can count: regular, special, and miscellaneous when mapped from an item (rules, counting line)."""

ENTERED = (
    *("ShipToCode", "ShipToName", "ShipToAddress1", "ShipToAddress2", "ShipToAddress3", "ShipToCity", "ShipToState"),
    *("ShipToZipCode", "ShipToCountryCode", "ShipVia", "WarehouseCode", "TermsCode", "EmailAddress"),
)
"""Columns of `live_entered` and `history_entered` after OrderDate."""

HEADER_AMOUNTS = ("TaxableAmt", "NonTaxableAmt", "FreightAmt", "SalesTaxAmt", "DiscountAmt")
"""Columns of `live_order` and `history_order` from the sixth on."""

Row = Sequence[Any]
T = TypeVar("T")


class InvoiceHead(Frozen):
    """A header of SO_InvoiceHeader or AR_InvoiceHistoryHeader, enough to decide whether to read more."""

    InvoiceNo: str
    SalesOrderNo: str
    several_orders: bool = False
    """MultipleSalesOrdersApplied: the lines name the orders."""
    deleted: bool = False
    """InvoiceType XD or ShipStatus D: no invoice any more."""
    created: datetime | None = None
    """DateCreated and TimeCreated, on the company's clock (naive)."""
    credit: CreditMemo | None = None
    """It is a posted credit memo: nothing was shipped, money is due."""


class StockPage(NamedTuple):
    """A page of items with their stock."""

    items: list[ItemFacts]
    unreadable: list[str]
    """ItemCodes whose rows make no sense."""
    last: str
    """The ItemCode after which the next page begins."""


class ProductItem(NamedTuple):
    """An item with columns that the pair file names, as text."""

    item: ItemFacts
    columns: dict[str, str]


class OrderReading(Frozen):
    """Everything of one sales order that its shipments depend on, read at once."""

    standing: SalesOrderStanding
    invoices: list[ShipmentInvoice]
    """Posted and unposted; ready or not."""
    lines: list[CreatedLine]
    reasons: dict[str, str]
    """LineKey → CancelReasonCode."""


class SageReader:
    """Reads one company's tables. `connection_string` may hold a password and is never logged."""

    def __init__(
        self, connection_string: SecretStr, site: Sage | None = None, *, query_seconds: float = QUERY_SECONDS
    ) -> None:
        """`site` says how this company differs: drop shipments, quantities after posting. `query_seconds` is the limit
        of one reading, its wait for the thread included."""
        self._site = site or Sage()
        self._source = OdbcSource(
            partial(open_connection, connection_string, query_seconds), query_seconds=query_seconds
        )

    async def close(self) -> None:
        """Close the connection and its thread."""
        await self._source.close()

    # ---- items ----------------------------------------------------------------------------------------------------

    async def items(self, codes: Iterable[str]) -> dict[str, ItemFacts]:
        """CI_Item and its warehouses, by ItemCode; unknown codes are absent.

        A code that is no item as it is spelt is looked for in capitals and in small letters, too.
        """
        wanted = list(codes)

        def read() -> dict[str, ItemFacts]:
            found: dict[str, ItemFacts] = {}
            for code in wanted:
                for spelling in () if code in found else spellings(code):
                    if rows := self._rows(queries.ITEM, spelling):
                        # Premium finds it in any case; what counts is how Sage spells it.
                        item = self._item(rows[0])
                        found[item.ItemCode] = item
                        if spelling == code:
                            break
            return found

        return await self._run("items", read)

    def _item(self, row: Row) -> ItemFacts:
        return item_facts(row, self._rows(queries.ITEM_WAREHOUSES, text(row[0])))

    async def stock_page(self, after: str, limit: int) -> StockPage | None:
        """A page of CI_Item in key order, inactive items too, each with its warehouses; None at the end."""

        def read() -> StockPage | None:
            rows = self._rows(queries.STOCK_ITEMS_PAGE, after, limit=limit)
            if not rows:
                return None
            stocks: dict[str, list[Row]] = {}
            for stock in self._rows(queries.STOCK_PAGE, str(rows[0][0]), str(rows[-1][0])):
                stocks.setdefault(text(stock[5]), []).append(stock)
            items, unreadable = [], []
            for row in rows:
                try:
                    items.append(item_facts(row, stocks.get(text(row[0]), [])))
                except (ValueError, ArithmeticError):
                    unreadable.append(text(row[0]))
            return StockPage(items, unreadable, text(rows[-1][0]))

        return await self._run("stock_page", read)

    async def product_items(
        self, codes: Iterable[str], columns: Sequence[str]
    ) -> tuple[dict[str, ProductItem], set[str]]:
        """CI_Item with these columns, by ItemCode, without stock; unknown codes are absent. Spellings as in `items`.

        And the codes whose rows make no sense: they are items, too.
        """
        wanted = list(codes)
        statement = queries.product_item(columns)

        def read() -> tuple[dict[str, ProductItem], set[str]]:
            found: dict[str, ProductItem] = {}
            unreadable: set[str] = set()
            for code in wanted:
                for spelling in () if code in found else spellings(code):
                    if not (rows := self._rows(statement, spelling)):
                        continue
                    try:
                        one = product_item(rows[0], columns)
                    except (ValueError, ArithmeticError):
                        unreadable.add(text(rows[0][0]))
                    else:
                        found[one.item.ItemCode] = one
                    if spelling == code:
                        break
            return found, unreadable

        return await self._run("product_items", read)

    async def product_items_page(
        self, after: str, limit: int, columns: Sequence[str]
    ) -> tuple[list[ProductItem], list[str], str] | None:
        """A page of the same in key order, the codes of rows that make no sense, and its last code; None at the end."""
        statement = queries.product_items_page(columns)

        def read() -> tuple[list[ProductItem], list[str], str] | None:
            rows = self._rows(statement, after, limit=limit)
            if not rows:
                return None
            items, unreadable = [], []
            for row in rows:
                try:
                    items.append(product_item(row, columns))
                except (ValueError, ArithmeticError):
                    unreadable.append(text(row[0]))
            return items, unreadable, text(rows[-1][0])

        return await self._run("product_items_page", read)

    async def kit_components(self, kits: Iterable[str]) -> dict[str, list[KitComponent]]:
        """IM_SalesKitDetail of each of these items that is a sales kit with components; others are absent."""
        wanted = list(kits)

        def read() -> dict[str, list[KitComponent]]:
            found = {
                kit: [
                    KitComponent(ItemCode=text(row[0]), QuantityPerAssembly=number(row[1]))
                    for row in self._rows(queries.KIT_COMPONENTS, kit)
                    if text(row[0])
                ]
                for kit in wanted
            }
            return {kit: components for kit, components in found.items() if components}

        return await self._run("kit_components", read)

    async def items_page(self, after: str, limit: int) -> list[CatalogueItem]:
        """A page of CI_Item in key order, inactive items too."""

        def read() -> list[CatalogueItem]:
            return [
                CatalogueItem(
                    ItemCode=text(row[0]),
                    ItemCodeDesc=text(row[1]),
                    ItemType=text(row[2]) or "1",
                    InactiveItem=text(row[3]) == "Y",
                    ProductType=text(row[4]),
                )
                for row in self._rows(queries.ITEMS_PAGE, after, limit=limit)
            ]

        return await self._run("items_page", read)

    async def aliases(self, codes: Iterable[str]) -> list[AliasFacts]:
        """IM_AliasItem rows of every Type whose AliasItemNo is one of the codes, also in capitals or small letters."""
        wanted = list(dict.fromkeys(spelling for code in codes for spelling in spellings(code)))

        def read() -> list[AliasFacts]:
            found = [
                AliasFacts(
                    AliasItemNo=text(row[0]),
                    ItemCode=text(row[1]),
                    Type=text(row[2]),
                    ARDivisionNo=text(row[3]),
                    CustomerNo=text(row[4]),
                )
                for code in wanted
                for row in self._rows(queries.ALIASES, code)
            ]
            # Premium gives the same rows for every spelling.
            return list(dict.fromkeys(found))

        return await self._run("aliases", read)

    async def aliases_page(self, after: str, limit: int) -> list[AliasFacts]:
        """A page of IM_AliasItem in key order, without whose they are; the rows of one AliasItemNo stay together.

        Empty at the end. Of an AliasItemNo with more than `limit` rows, the first ones.
        """

        def read() -> list[AliasFacts]:
            rows = self._rows(queries.ALIASES_PAGE, after, limit=limit)
            names = [text(row[0]) for row in rows]
            if len(rows) == limit and names[0] != names[-1]:
                # The last one may go on: the next page has all of it.
                rows = rows[: names.index(names[-1])]
            return [AliasFacts(AliasItemNo=text(row[0]), ItemCode=text(row[1]), Type=text(row[2])) for row in rows]

        return await self._run("aliases_page", read)

    # ---- customers ------------------------------------------------------------------------------------------------

    async def customer(self, key: CustomerKey) -> CustomerRecord | None:
        """AR_Customer by primary key."""

        def read() -> CustomerRecord | None:
            rows = self._rows(queries.CUSTOMER, key.ARDivisionNo, key.CustomerNo)
            return customer_record(rows[0], {}) if rows else None

        return await self._run("customer", read)

    async def payment_method(self, payment_type: str) -> str | None:
        """AR_PaymentType.PaymentMethod (O other, C check, R credit card, D COD, …); None when it is not on file."""

        def read() -> str | None:
            rows = self._rows(queries.PAYMENT_TYPE, payment_type)
            return text(rows[0][0]) if rows else None

        return await self._run("payment_type", read)

    async def ship_to_addresses(self, key: CustomerKey) -> list[ShipToAddress]:
        """The account's SO_ShipToAddress rows."""

        def read() -> list[ShipToAddress]:
            return [
                ShipToAddress(
                    ShipToCode=text(row[0]),
                    ShipToName=text(row[1]),
                    ShipToAddress1=text(row[2]),
                    ShipToAddress2=text(row[3]),
                    ShipToAddress3=text(row[4]),
                    ShipToZipCode=text(row[5]),
                    ShipToCity=text(row[6]),
                    ShipToCountryCode=text(row[7]),
                )
                for row in self._rows(queries.SHIP_TO_ADDRESSES, key.ARDivisionNo, key.CustomerNo)
            ]

        return await self._run("ship_to_addresses", read)

    async def bill_to(self, key: CustomerKey) -> CustomerKey | None:
        """The account that Sage bills for this one's orders, where it is another one; None when no live order says so.

        Sage writes it on each order from the site's bill-to relation, whose table differs by release [probe].
        """

        def read() -> CustomerKey | None:
            for row in self._rows(queries.BILLED_TO, key.ARDivisionNo, key.CustomerNo, limit=BILLED_ORDERS):
                billed = CustomerKey(ARDivisionNo=text(row[0]) or key.ARDivisionNo, CustomerNo=text(row[1]))
                if billed.CustomerNo and billed != key:
                    return billed
            return None

        return await self._run("bill_to", read)

    async def recent_baskets(self, key: CustomerKey, since: datetime) -> list[RecentBasket]:
        """What an account's live orders hold that were created since (company time, naive as Sage's stamps)."""

        def read() -> list[RecentBasket]:
            found = []
            for row in self._rows(queries.CUSTOMERS_ORDERS, key.ARDivisionNo, key.CustomerNo):
                created = stamp(row[2], row[3])
                if created is None or created < since:
                    continue
                basket: dict[str, Decimal] = {}
                for line in self._rows(queries.BASKET, text(row[0])):
                    if text(line[1]) in ("1", "2") and text(line[3]) in ("", text(line[4])):
                        quantity = number(line[2]) * (number(line[5]) or Decimal(1))
                        basket[text(line[0])] = basket.get(text(line[0]), Decimal(0)) + quantity
                found.append(
                    RecentBasket(
                        SalesOrderNo=text(row[0]), UDF_WEB_ORDER_ID=text(row[1]), created=created, basket=basket
                    )
                )
            return found

        return await self._run("recent orders of a customer", read)

    async def customers_page(self, division: str, after: str, limit: int) -> list[CustomerRecord]:
        """A page of a division's customers in key order, with the e-mails of contacts and ship-to addresses."""

        def read() -> list[CustomerRecord]:
            rows = self._rows(queries.CUSTOMERS_PAGE, division, after, limit=limit)
            if not rows:
                return []
            first, last = text(rows[0][1]), text(rows[-1][1])
            emails: dict[str, dict[str, EmailSource]] = {}
            for source, statement in (
                (EmailSource.SHIP_TO, queries.SHIP_TO_EMAILS),
                (EmailSource.CONTACT, queries.CONTACT_EMAILS),
            ):
                for customer_no, addresses in self._rows(statement, division, first, last):
                    for address in split_emails(text(addresses)):
                        emails.setdefault(text(customer_no), {})[address] = source
            return [customer_record(row, emails.get(text(row[1]), {})) for row in rows]

        return await self._run("customers_page", read)

    # ---- sales orders ---------------------------------------------------------------------------------------------

    async def sales_orders_by_purchase_order(
        self, customer_po_no: str, also: str = ""
    ) -> tuple[list[SalesOrderOnSage], list[str]]:
        """Every order with this CustomerPONo, over all customers, live, in history and invoiced (rules 4); and the one
        of the number `also`, if there is or was one.

        The second part names orders of which Sage cannot tell whose they are: only invoices still know them, or a
        history to which the site does not map UDF_WEB_ORDER_ID.
        """

        def read() -> tuple[list[SalesOrderOnSage], list[str]]:
            numbers = dict.fromkeys(
                text(row[0])
                for statement in (
                    queries.LIVE_ORDERS_BY_PO,
                    queries.HISTORY_ORDERS_BY_PO,
                    queries.INVOICED_ORDERS_BY_PO,
                )
                for row in self._rows(statement, customer_po_no)
            )
            found = {number: self._sales_order(number) for number in numbers if number}
            if also and also not in found:
                order = self._sales_order(also)
                if order is not None or self._posted_of(also):
                    found[also] = order
            nameless = [number for number, order in found.items() if order is None or self._is_nameless(order)]
            return [order for order in found.values() if order is not None], nameless

        return await self._run("sales_orders_by_purchase_order", read)

    def _is_nameless(self, order: SalesOrderOnSage) -> bool:
        return not order.live and not order.UDF_WEB_ORDER_ID and not self._site.history_has_udf

    def _sales_order(self, number_: str) -> SalesOrderOnSage | None:
        """The order as it was created: history knows the original quantities, live ones shrink with each posting."""
        for live, statement in ((True, queries.LIVE_ORDER), (False, queries.HISTORY_ORDER)):
            for row in self._rows(statement, number_):
                return SalesOrderOnSage(
                    SalesOrderNo=text(row[0]),
                    live=live,
                    OrderStatus=text(row[1]),
                    ARDivisionNo=text(row[2]),
                    CustomerNo=text(row[3]),
                    CustomerPONo=text(row[4]),
                    TaxableAmt=number(row[5]),
                    NonTaxableAmt=number(row[6]),
                    FreightAmt=number(row[7]),
                    SalesTaxAmt=number(row[8]),
                    DiscountAmt=number(row[9]),
                    UDF_WEB_ORDER_ID=text(row[10]),
                    Lines=self._lines_as_created(number_),
                )
        return None

    async def sales_order(self, number_: str) -> SalesOrderOnSage | None:
        """One order as it was created, live or in history; None when Sage has none."""
        return await self._run("sales_order", partial(self._sales_order, number_))

    async def typed_orders(self, customer_po_no: str) -> list[TypedOrder]:
        """Every order with this CustomerPONo, over all customers, live and in history."""

        def read() -> list[TypedOrder]:
            statements = (queries.LIVE_ORDERS_BY_PO, queries.HISTORY_ORDERS_BY_PO)
            rows = (row for statement in statements for row in self._rows(statement, customer_po_no))
            found = (self._typed_order(number_) for number_ in dict.fromkeys(text(row[0]) for row in rows))
            return [order for order in found if order is not None]

        return await self._run("typed_orders", read)

    async def typed_order(self, number_: str) -> TypedOrder | None:
        """The order of this number, live or in history, as it was before any invoice was posted."""
        return await self._run("typed_order", partial(self._typed_order, number_))

    def _typed_order(self, number_: str) -> TypedOrder | None:
        order = self._sales_order(number_)
        if order is None:
            return None
        statement = queries.LIVE_ENTERED if order.live else queries.HISTORY_ENTERED
        for row in self._rows(statement, number_):
            amounts = self._amounts_before_invoices(number_) if order.live else {}
            since = self._rows(queries.CUSTOMER_SINCE, order.ARDivisionNo, order.CustomerNo)
            entered = dict(zip(ENTERED, map(text, row[1:]), strict=True))
            return TypedOrder(
                **order.model_dump(exclude={"Lines"}) | amounts,
                **entered,
                Lines=order.Lines,
                OrderDate=day(row[0]),
                customer_since=day(since[0][0]) if since else None,
            )
        return None

    async def open_orders_page(self, after: str, limit: int) -> list[TypedOrder]:
        """Heads of live orders in the order of their numbers, one page, without lines."""

        def read() -> list[TypedOrder]:
            return [
                TypedOrder(
                    SalesOrderNo=text(row[0]),
                    OrderDate=day(row[1]),
                    CustomerPONo=text(row[2]),
                    EmailAddress=text(row[3]),
                    TaxableAmt=number(row[4]),
                    NonTaxableAmt=number(row[5]),
                    FreightAmt=number(row[6]),
                    SalesTaxAmt=number(row[7]),
                    DiscountAmt=number(row[8]),
                    UDF_WEB_ORDER_ID=text(row[9]),
                )
                for row in self._rows(queries.OPEN_ORDERS_PAGE, after, limit=limit)
            ]

        return await self._run("open_orders_page", read)

    async def before_invoices(self, live: SalesOrderOnSage) -> SalesOrderOnSage | None:
        """A live order as it was before posted invoices took quantities, freight and deposit from it, by its history.

        None when none was posted, or the company keeps no order history.
        """

        def read() -> SalesOrderOnSage | None:
            amounts = self._amounts_before_invoices(live.SalesOrderNo)
            if not amounts:
                return None
            lines = self._lines_as_created(live.SalesOrderNo)
            return live.model_copy(update={**amounts, "DepositAmt": None, "Lines": lines})

        return await self._run("before_invoices", read)

    def _amounts_before_invoices(self, number_: str) -> dict[str, Decimal]:
        """Amounts of a live order's history; empty when nothing of it was posted, or no history is kept."""
        for row in self._rows(queries.HISTORY_ORDER, number_) if self._posted_of(number_) else ():
            return {name: number(row[place]) for place, name in enumerate(HEADER_AMOUNTS, start=5)}
        return {}

    def _lines_as_created(self, number_: str) -> list[CreatedLine]:
        lines = {}
        for row in self._rows(queries.HISTORY_LINES, number_):
            line = created_line(row)
            added = text(row[12]) == "N"
            lines[line.LineKey] = line.model_copy(update={"QuantityOrdered": Decimal(0)}) if added else line
        if lines:
            for row in self._rows(queries.LIVE_LINES, number_):
                line = created_line(row)
                lines.setdefault(line.LineKey, line.model_copy(update={"QuantityOrdered": Decimal(0)}))
            return list(lines.values())
        # No history is kept: what is left, and what the posted invoices have taken from it.
        live = {line.LineKey: line for line in map(created_line, self._rows(queries.LIVE_LINES, number_))}
        if not self._site.posting_reduces_quantity:
            return list(live.values())
        for invoice in self._invoices_of(number_):
            if invoice.posted:
                for billed in allocate(live.values(), invoice, []).Lines:
                    if billed.LineKey in live:
                        known = live[billed.LineKey]
                        total = known.QuantityOrdered + in_order_unit(billed, known)
                        live[billed.LineKey] = known.model_copy(update={"QuantityOrdered": total})
        return list(live.values())

    async def web_order_id(self, sales_order_no: str) -> str | None:
        """UDF_WEB_ORDER_ID of the live order, else of history: empty when it is not ours.

        None when Sage cannot tell: the order left, and history is not kept or has no UDF at this site.
        """

        def read() -> str | None:
            for row in self._rows(queries.LIVE_ORDER, sales_order_no):
                return text(row[10])
            for row in self._rows(queries.HISTORY_ORDER, sales_order_no):
                return text(row[10]) or ("" if self._site.history_has_udf else None)
            return None

        return await self._run("web_order_id", read)

    async def standing(self, sales_order_no: str) -> SalesOrderStanding:
        """Where the order stands: its live counting lines, or what history says."""
        return await self._run("standing", lambda: self._standing(sales_order_no))

    def _standing(self, sales_order_no: str) -> SalesOrderStanding:
        history = self._rows(queries.HISTORY_ORDER, sales_order_no)
        live = self._rows(queries.LIVE_ORDER, sales_order_no)
        rows = self._rows(queries.LIVE_LINES, sales_order_no) if live else []
        lines = [created_line(row) for row in rows]
        waiting = {text(row[0]) for row in rows if text(row[11]) == "Y"}
        return SalesOrderStanding(
            SalesOrderNo=sales_order_no,
            live=bool(live),
            OrderStatus=text(live[0][1]) if live else "",
            history_status=text(history[0][1]) if history else "",
            live_lines={line.LineKey: line.QuantityOrdered for line in lines if line.counts},
            live_components={
                line.LineKey: line.QuantityOrdered for line in lines if line.is_component and line.LineKey in waiting
            },
            quantities_stay=not self._site.posting_reduces_quantity,
        )

    async def is_as_created(self, sales_order_no: str) -> bool:
        """Whether nothing has happened to a live order yet: every line as history has it, no invoice. One that has no
        history counts as changed: nobody can tell."""

        def read() -> bool:
            live = self._rows(queries.LIVE_ORDER, sales_order_no)
            if not live or text(live[0][1]) not in ("N", "O") or self._rows(queries.POSTED_OF_ORDER, sales_order_no):
                return False
            lines = {text(row[0]): number(row[5]) for row in self._rows(queries.LIVE_LINES, sales_order_no)}
            return lines == {text(row[0]): number(row[5]) for row in self._rows(queries.HISTORY_LINES, sales_order_no)}

        return await self._run("is_as_created", read)

    async def order_reading(self, sales_order_no: str) -> OrderReading:
        """Everything of one order: invoices before the order itself, so that a shipment is never missed in between."""

        def read() -> OrderReading:
            invoices = self._invoices_of(sales_order_no)
            standing = self._standing(sales_order_no)
            lines = self._rows(queries.LIVE_LINES, sales_order_no)
            history = self._rows(queries.HISTORY_LINES, sales_order_no)
            created = {line.LineKey: line for line in map(created_line, [*history, *lines])}
            return OrderReading(
                standing=standing,
                invoices=invoices,
                lines=[line for line in created.values() if line.ItemType is not SageItemType.COMMENT],
                reasons={text(row[0]): text(row[13]) for row in history if text(row[13])},
            )

        return await self._run("order_reading", read)

    # ---- invoices -------------------------------------------------------------------------------------------------

    async def unposted_invoices(self) -> list[InvoiceHead]:
        """All of SO_InvoiceHeader that are or were shipments; the table holds only what is not posted."""
        return await self._run("unposted_invoices", self._unposted_heads)

    def _unposted_heads(self) -> list[InvoiceHead]:
        try:
            rows = self._rows(queries.UNPOSTED_INVOICES)
        except ValueError:
            # One impossible date (a typo may reach the year 99999) spoils the whole answer; text cannot be wrong.
            log.warning("A DateCreated in SO_InvoiceHeader is no date: ages count from when an invoice is first seen")
            rows = [(*row, None, "") for row in self._rows(queries.UNPOSTED_INVOICES_WITHOUT_STAMPS)]
        heads = []
        for row in rows:
            deleted = text(row[1]) == DELETED_TYPE or text(row[3]) == DELETED_STATUS
            if deleted or is_shipment(text(row[1]), text(row[2]), ship_status=text(row[3])):
                heads.append(
                    InvoiceHead(
                        InvoiceNo=text(row[0]),
                        SalesOrderNo=text(row[4]),
                        several_orders=text(row[5]) == "Y",
                        deleted=deleted,
                        created=stamp(row[6], row[7]),
                    )
                )
        return heads

    async def unposted_invoice(self, invoice_no: str) -> list[ShipmentInvoice]:
        """One unposted invoice, per sales order that it bills; empty when it is gone or no shipment."""
        return await self._run("unposted_invoice", lambda: self._unposted(invoice_no))

    async def posted_invoice(self, invoice_no: str) -> list[ShipmentInvoice]:
        """One posted invoice, per sales order that it bills; empty when it is not there or no shipment."""
        return await self._run("posted_invoice", lambda: self._posted(invoice_no))

    async def posted_on(self, invoice_date: date, after: str, limit: int) -> list[str]:
        """A page of the InvoiceNos in history with this InvoiceDate (that is a key; the stamps are not), in order."""

        def read() -> list[str]:
            rows = self._rows(queries.POSTED_ON, invoice_date.isoformat(), after, limit=limit)
            return list(dict.fromkeys(text(row[0]) for row in rows))

        return await self._run("posted_on", read)

    async def posted_after(self, invoice_date: date, limit: int) -> list[str]:
        """InvoiceNos in history with a later InvoiceDate; the first ones, should there be so many."""

        def read() -> list[str]:
            rows = self._rows(queries.POSTED_AFTER, invoice_date.isoformat(), limit=limit)
            return list(dict.fromkeys(text(row[0]) for row in rows))

        return await self._run("posted_after", read)

    async def posted_heads(self, invoice_no: str) -> list[InvoiceHead]:
        """The headers of a posted invoice that are shipments or credit memos; more than one when the number was used
        again."""

        def read() -> list[InvoiceHead]:
            heads = []
            for row in self._rows(queries.POSTED_INVOICE, invoice_no):
                if is_shipment(text(row[3]), text(row[4]), module=text(row[2])):
                    several = text(row[14]) == "Y"
                    heads.append(InvoiceHead(InvoiceNo=invoice_no, SalesOrderNo=text(row[5]), several_orders=several))
                elif text(row[3]) == CREDIT_MEMO_TYPE and text(row[2]) in SHIPMENT_MODULES:
                    number_ = text(row[5]) or self._order_of(text(row[15]))
                    memo = credit_memo(row)
                    heads.append(InvoiceHead(InvoiceNo=invoice_no, SalesOrderNo=number_, credit=memo))
            return heads

        return await self._run("posted_heads", read)

    def _order_of(self, invoice_no: str) -> str:
        """The sales order that a posted invoice bills; empty when there is none, or several."""
        rows = self._rows(queries.POSTED_INVOICE, invoice_no) if invoice_no else []
        return text(rows[0][5]) if len(rows) == 1 else ""

    async def invoices_of(self, sales_order_no: str) -> list[ShipmentInvoice]:
        """Every shipment invoice of one order: posted ones by key, unposted ones among the few there are."""
        return await self._run("invoices_of", lambda: self._invoices_of(sales_order_no))

    async def posted_of(self, sales_order_no: str) -> list[str]:
        """InvoiceNos in history that bill an order, alone or with others."""
        return await self._run("posted_of", lambda: self._posted_of(sales_order_no))

    def _posted_of(self, sales_order_no: str) -> list[str]:
        rows = [
            *self._rows(queries.POSTED_OF_ORDER, sales_order_no),
            *self._rows(queries.APPLIED_TO_ORDER, sales_order_no),
        ]
        return list(dict.fromkeys(text(row[0]) for row in rows))

    def _invoices_of(self, sales_order_no: str) -> list[ShipmentInvoice]:
        # Unposted first: an invoice that is posted meanwhile is read twice, never missed.
        unposted = [
            invoice
            for head in self._unposted_heads()
            if not head.deleted and self._bills(head, sales_order_no)
            for invoice in self._unposted(head.InvoiceNo)
        ]
        posted = [invoice for number_ in self._posted_of(sales_order_no) for invoice in self._posted(number_)]
        moved = {invoice.InvoiceNo for invoice in posted}
        invoices = [*posted, *(invoice for invoice in unposted if invoice.InvoiceNo not in moved)]
        return [invoice for invoice in invoices if invoice.SalesOrderNo == sales_order_no]

    def _bills(self, head: InvoiceHead, sales_order_no: str) -> bool:
        """Whether an unposted invoice bills an order. Of one for several orders only the lines' orders are looked at:
        what cannot be read in other people's invoices is no order's trouble."""
        if head.SalesOrderNo == sales_order_no:
            return True
        return head.several_orders and any(
            text(row[3]) == sales_order_no for row in self._rows(queries.UNPOSTED_LINES, head.InvoiceNo)
        )

    def _unposted(self, invoice_no: str) -> list[ShipmentInvoice]:
        rows = self._rows(queries.UNPOSTED_INVOICE, invoice_no)
        if not rows or not is_shipment(text(rows[0][1]), text(rows[0][2]), ship_status=text(rows[0][3])):
            return []
        head = rows[0]
        details: dict[str, list[Row]] = {text(head[4]): []}
        for row in self._rows(queries.UNPOSTED_LINES, invoice_no):
            if text(row[2]) in GOODS_TYPES:
                details.setdefault(text(row[3]) or text(head[4]), []).append(row)
        lines = {
            number_: [self._invoiced(row, text(row[0])) for row in own] for number_, own in details.items() if number_
        }
        packages = share_packages(
            self._packages(
                self._rows(queries.UNPOSTED_TRACKING, invoice_no),
                self._rows(queries.UNPOSTED_PACKAGE_ITEMS, invoice_no),
            ),
            lines,
        )
        total = number(head[8]) + number(head[9]) + number(head[10]) + number(head[11]) - number(head[12])
        return [
            ShipmentInvoice(
                InvoiceNo=invoice_no,
                SalesOrderNo=sales_order_no,
                posted=False,
                InvoiceDate=day(head[5]),
                ShipDate=day(head[6]),
                ShipVia=text(head[7]),
                ShipStatus=text(head[3]),
                Total=total if len(lines) == 1 else extension(details[sales_order_no]),
                SalesTaxAmt=number(head[11]) if len(lines) == 1 else None,
                FreightAmt=number(head[10]) if len(lines) == 1 else None,
                Lines=order_lines,
                Packages=packages[sales_order_no],
            )
            for sales_order_no, order_lines in lines.items()
        ]

    def _posted(self, invoice_no: str) -> list[ShipmentInvoice]:
        invoices = []
        for head in self._rows(queries.POSTED_INVOICE, invoice_no):
            if not is_shipment(text(head[3]), text(head[4]), module=text(head[2])):
                continue
            sequence = text(head[1])
            details: dict[str, list[Row]] = {text(head[5]): []}
            for row in self._rows(queries.POSTED_LINES, invoice_no, sequence):
                if text(row[2]) in GOODS_TYPES:
                    details.setdefault(text(row[3]) or text(head[5]), []).append(row)
            lines = {
                number_: self._order_lines(invoice_no, sequence, number_, own)
                for number_, own in details.items()
                if number_
            }
            packages = share_packages(
                self._packages(
                    self._rows(queries.POSTED_TRACKING, invoice_no, sequence),
                    self._rows(queries.POSTED_PACKAGE_ITEMS, invoice_no, sequence),
                ),
                lines,
            )
            total = number(head[9]) + number(head[10]) + number(head[11]) + number(head[12]) - number(head[13])
            invoices += [
                ShipmentInvoice(
                    InvoiceNo=invoice_no,
                    SalesOrderNo=sales_order_no,
                    posted=True,
                    InvoiceDate=day(head[6]),
                    ShipDate=day(head[7]),
                    ShipVia=text(head[8]),
                    Total=total if len(lines) == 1 else extension(details[sales_order_no]),
                    SalesTaxAmt=number(head[12]) if len(lines) == 1 else None,
                    FreightAmt=number(head[11]) if len(lines) == 1 else None,
                    Lines=order_lines,
                    Packages=packages[sales_order_no],
                )
                for sales_order_no, order_lines in lines.items()
            ]
        return invoices

    def _order_lines(
        self, invoice_no: str, sequence: str, sales_order_no: str, rows: Iterable[Row]
    ) -> list[InvoicedLine]:
        """Posted lines carry no OrderLineKey: SO_ARInvoiceHistoryLink → SO_SalesOrderHistoryDetail has it (rules 1).

        Without a link the LineKey stays empty; the order allocates by ItemCode, because it knows its lines.
        """
        linked = {
            text(row[3]): text(row[0])
            for row in self._rows(queries.HISTORY_LINKS, sales_order_no)
            if (text(row[1]), text(row[2])) == (invoice_no, sequence)
        }
        key_of_sequence = (
            {text(row[11]): text(row[0]) for row in self._rows(queries.HISTORY_LINES, sales_order_no)} if linked else {}
        )
        return [self._invoiced(row, key_of_sequence.get(linked.get(text(row[0]), ""), "")) for row in rows]

    def _invoiced(self, row: Row, line_key: str) -> InvoicedLine:
        """A row of unposted_lines or posted_lines."""
        return InvoicedLine(
            LineKey=line_key,
            ItemCode=text(row[1]),
            QuantityShipped=number(row[4]),
            UnitOfMeasureConvFactor=number(row[5]),
            ships_on=self._site.drop_ship if text(row[6]) == "Y" else ShipsOn.INVOICE,
            component=text(row[7]) == COMPONENT,
        )

    @staticmethod
    def _packages(tracking: Iterable[Row], contents: Iterable[Row]) -> list[Package]:
        items: dict[str, list[PackageItem]] = {}
        for row in contents:
            items.setdefault(text(row[0]), []).append(PackageItem(ItemCode=text(row[1]), Quantity=number(row[2])))
        return [
            Package(
                PackageNo=text(row[0]),
                TrackingID=text(row[1]),
                ShipVia=text(row[2]),
                Items=items.get(text(row[0]), []),
            )
            for row in tracking
        ]

    async def column_lengths(self, table: str) -> dict[str, int]:
        """Text lengths of a table's columns as this release has them (SQLColumns)."""

        def read() -> dict[str, int]:
            cursor = self._connect().cursor()
            try:
                return {str(row.column_name): int(row.column_size or 0) for row in cursor.columns(table=table)}
            finally:
                cursor.close()

        return await self._run("column_lengths", read)

    async def explain(self, statement: Statement, parameters: Sequence[object]) -> list[str]:
        """The query plan of a statement, as SQLite tells it; for tests against the sandbox."""

        def read() -> list[str]:
            plan = Statement("explain", f"EXPLAIN QUERY PLAN {statement.sql}")
            return [text(row[3]) for row in self._rows(plan, *parameters)]

        return await self._run("explain", read)

    # ---- the connection -------------------------------------------------------------------------------------------

    async def _run(self, name: str, read: Callable[[], T]) -> T:
        """Run a reading in this source's thread; cancel it when it takes too long or nobody waits any more."""
        return await self._source.run(name, read)

    def _rows(self, statement: Statement, *parameters: object, limit: int | None = None) -> list[Row]:
        """Within a reading: the rows of one statement, at most `limit`."""
        return self._source.rows(statement.sql, parameters, limit)

    def _connect(self) -> Any:
        """Within a reading: the connection of its thread."""
        return self._source.connection()


def open_connection(connection_string: SecretStr, query_seconds: float) -> Any:
    """A read-only connection; raises OdbcDriverMissing, pyodbc.Error, and RetryLater for a file that is not there."""
    pyodbc = import_pyodbc()
    # autocommit: otherwise the first SELECT pins a snapshot and later polls read stale rows (odbc.md).
    connection = pyodbc.connect(
        complete_connection_string(connection_string.get_secret_value()),
        autocommit=True,
        readonly=True,
        timeout=LOGIN_SECONDS,
    )
    # The driver's own limit of a statement, a little over ours, which cancels first. Not every driver knows it.
    with contextlib.suppress(pyodbc.Error):
        connection.timeout = math.ceil(query_seconds) + 5
    return connection


def item_facts(row: Row, stocks: Iterable[Row]) -> ItemFacts:
    """A row of `ITEM_COLUMNS`, with the item's rows of IM_ItemWarehouse."""
    return ItemFacts(
        ItemCode=text(row[0]),
        ItemCodeDesc=text(row[10]),
        ItemType=text(row[1]) or "1",
        ProductType=text(row[11]),
        ProductLine=text(row[15]),
        InactiveItem=text(row[2]) == "Y",
        AllowBackOrders=text(row[3]) != "N",
        StandardUnitOfMeasure=text(row[12]),
        SalesUnitOfMeasure=text(row[4]),
        SalesUMConvFctr=number(row[5]) or Decimal(1),
        PurchaseUnitOfMeasure=text(row[13]),
        PurchaseUMConvFctr=number(row[14]),
        TaxClass=text(row[6]),
        DefaultWarehouseCode=text(row[7]),
        DropShip=text(row[8]) == "Y",
        StandardUnitCost=number(row[9]),
        warehouses={
            text(stock[0]): WarehouseStock(
                QuantityOnHand=number(stock[1]),
                QuantityOnSalesOrder=number(stock[2]),
                QuantityOnBackOrder=number(stock[3]),
                QuantityRequiredForWO=number(stock[4]),
            )
            for stock in stocks
        },
    )


def product_item(row: Row, columns: Sequence[str]) -> ProductItem:
    """A row of `queries.product_item`."""
    further = row[len(row) - len(columns) :] if columns else ()
    return ProductItem(item_facts(row, ()), {name: text(one) for name, one in zip(columns, further, strict=True)})


def extension(rows: Iterable[Row]) -> Decimal:
    """The sum of ExtensionAmt of invoice lines."""
    return sum((number(row[8]) for row in rows), Decimal(0))


def stamp(date_: object, hours: object) -> datetime | None:
    """DateCreated and TimeCreated (decimal hours as text, "8.49238" = 08:29:32) on the company's clock; naive."""
    date_part = day(date_)
    try:
        seconds = number(hours) * 3600
        if date_part is None or not 0 <= seconds < 86_400:
            return None
    except ArithmeticError:
        # No number, or NaN, which is not even comparable.
        return None
    return datetime.combine(date_part, time()) + timedelta(seconds=float(seconds))


def credit_memo(row: Row) -> CreditMemo:
    """A row of `queries.POSTED_INVOICE` with InvoiceType CM: what it gives back, as a positive amount."""
    amounts = [number(row[place]) for place in (9, 10, 11, 12)]
    return CreditMemo(
        InvoiceNo=text(row[0]),
        InvoiceDate=day(row[6]),
        ApplyToInvoiceNo=text(row[15]),
        RMANo=text(row[16]),
        amount=abs(sum(amounts, Decimal(0)) - number(row[13])),
    )


def is_shipment(invoice_type: str, order_type: str, *, ship_status: str = "", module: str = "S/O") -> bool:
    """Rules 2: InvoiceType IN, module S/O, ShipStatus not D, no one-step, master, repeating or quote order."""
    return (
        invoice_type == "IN"
        and module in SHIPMENT_MODULES
        and ship_status != "D"
        and order_type in SHIPMENT_ORDER_TYPES
    )


def complete_connection_string(connection_string: str) -> str:
    """`Driver=SQLite3;Database=file.sqlite` → what SQLite's driver needs to be read-only for real (odbc.md).

    Any other connection string is passed as it is.
    """
    parts = dict(part.split("=", 1) for part in connection_string.split(";") if "=" in part)
    names = {name.strip().casefold(): name for name in parts}
    driver = parts.get(names.get("driver", ""), "").strip("{} ")
    if driver.casefold() not in ("sqlite3", "sqlite"):
        return connection_string
    database = Path(parts[names["database"]]).resolve()
    if not database.is_file():
        raise RetryLater(SYSTEM, "connect", f"{database.name} does not exist (yet)")
    return (
        f"Driver={sqlite_driver()};Database=file:{database.as_posix()}?mode=ro;"
        f"BigInt=1;NoCreat=1;StepAPI=1;Timeout={LOCK_WAIT_MILLISECONDS}"
    )


def customer_record(row: Row, other_emails: dict[str, EmailSource]) -> CustomerRecord:
    """A row of `CUSTOMER_COLUMNS`."""
    names = queries.CUSTOMER_COLUMNS.split(", ")
    values: dict[str, Any] = dict(zip(names, row, strict=True))
    amounts = {name for name in names if name.startswith("AgingCategory")} | {
        "CreditLimit",
        "CurrentBalance",
        "CustomerDiscountRate",
        "OpenOrderAmt",
    }
    fields: dict[str, Any] = {name: number(value) if name in amounts else text(value) for name, value in values.items()}
    fields["CreditHold"] = fields["CreditHold"] == "Y"
    fields["CustomerStatus"] = fields["CustomerStatus"] or "A"
    return CustomerRecord(**fields, other_emails=other_emails)


def created_line(row: Row) -> CreatedLine:
    """A row of live_lines or of history_lines."""
    return CreatedLine.model_validate(
        {
            "LineKey": text(row[0]),
            "ItemCode": text(row[1]),
            "ItemType": text(row[2]) or "1",
            "UnitOfMeasure": text(row[3]),
            "UnitOfMeasureConvFactor": number(row[4]) or Decimal(1),
            "QuantityOrdered": number(row[5]),
            "QuantityBackordered": number(row[6]),
            "UnitPrice": number(row[7]),
            "ExtensionAmt": number(row[8]),
            "SalesKitLineKey": text(row[9]),
            "UDF_WEB_LINE_ID": text(row[10]),
        }
    )


def text(value: object) -> str:
    """Text without trailing spaces; NULL is empty."""
    return "" if value is None else str(value).rstrip()


def number(value: object) -> Decimal:
    """Exact Decimal: drivers give str, float or Decimal; NULL and empty are 0. At most 6 decimals (N 15.6)."""
    if value in (None, "", "0", 0):
        # Most columns of most rows: a sweep of the stock reads half a million numbers.
        return Decimal(0)
    result = Decimal(str(value))
    exponent = result.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -6:
        result = result.quantize(Decimal("0.000001"))
    return result.normalize() + Decimal(0) if result else Decimal(0)


def day(value: object) -> date | None:
    """A date; blank dates are NULL, empty, or 1753-01-01 (Premium)."""
    if isinstance(value, datetime):
        value = value.date()
    if not isinstance(value, date):
        try:
            value = date.fromisoformat(text(value)[:10])
        except ValueError:
            return None
    return None if value.year <= 1753 else value
