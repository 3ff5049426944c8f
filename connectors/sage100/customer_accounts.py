"""One account of Sage's with all that belongs to it, by Sage's keys: the view of a customer and the sync of customers.

In: a customer key, sizes of pages. Out: models of `mappings.customer_account`. Raises the tree of `connectors.errors`.
A reading is a few dozen statements that each find their rows by a key, whatever the size of the history.
"""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final, NamedTuple

from connectors.sage100 import queries
from connectors.sage100.odbc import Row, SageReader, customer_record, day, number, text
from mappings.customer_account import (
    Account,
    AccountContact,
    AccountInvoice,
    AccountOrder,
    AccountPackage,
    AccountPayment,
    AccountRecord,
    OpenInvoice,
)
from mappings.customer_match import CustomerRecord
from mappings.sales_order import CustomerKey, ShipToAddress

MOST_OPEN: Final = 100
"""Live orders, open invoices and receipts of one account that are read."""
MOST_PEOPLE: Final = 50
"""Contacts, and ship-to addresses."""
IN_PAST: Final = frozenset({"C", "X", "Z"})
"""OrderStatus of history: completed, deleted. A is still live, Q a quote."""
HIGHEST: Final = "~"
"""After every number: they are digits and capital letters."""
_NUMBERS: Final = """
CreditLimit CurrentBalance AgingCategory1 AgingCategory2 AgingCategory3 AgingCategory4 OpenOrderAmt UnpaidServiceChrg
CustomerDiscountRate ServiceChargeRate HighestStmntBalance LastPaymentAmt BalanceForward AvgDaysPaymentInvoice
AvgDaysOverDue NumberOfInvToUseInCalc RetentionCurrent RetentionAging1 RetentionAging2 RetentionAging3 RetentionAging4
SplitCommRate2 SplitCommRate3 SplitCommRate4 SplitCommRate5
"""
AMOUNTS: Final = frozenset(_NUMBERS.split())
"""Columns of AR_Customer that hold a number."""
_DATES: Final = frozenset({"DateLastPayment", "DateLastActivity", "DateEstablished"})


class OwnedColumns(NamedTuple):
    """One account that is a web customer's, with the columns that the pair shows at Clarity."""

    CustomerNo: str
    UDF_WEB_CUSTOMER_ID: str
    values: tuple[str, ...]


class SageAccounts(SageReader):
    """The same company, read customer by customer; a connection of its own, so that orders never wait for it."""

    async def account(
        self,
        key: CustomerKey,
        *,
        page: int = 20,
        orders_before: str = "",
        invoices_before: str = "",
        own: Sequence[str] = (),
    ) -> Account | None:
        """The account with a page of past orders and of invoices; None when it is not there."""

        def read() -> Account | None:
            record = self._record(key, own)
            if record is None:
                return None
            whose = key.ARDivisionNo, key.CustomerNo
            rows = self._rows(queries.ACCOUNTS_OPEN_ORDERS, *whose, limit=MOST_OPEN + 1)
            open_orders = [_live_order(row) for row in rows[:MOST_OPEN]]
            owed = self._rows(queries.ACCOUNTS_OPEN_INVOICES, *whose, limit=MOST_OPEN + 1)
            open_invoices = [one for one in map(_open_invoice, owed[:MOST_OPEN]) if one.Balance]
            past, past_before = self._past_orders(whose, orders_before, page, {one.SalesOrderNo for one in open_orders})
            posted, invoices, before = self._invoices(whose, invoices_before, page, open_invoices)
            payments = [one for row in posted for one in self._taken(row)]
            if not invoices_before:
                invoices = [*self._unposted_of(open_orders), *invoices]
                payments += [_receipt(row) for row in self._rows(queries.ACCOUNTS_RECEIPTS, *whose, limit=MOST_OPEN)]
            return Account(
                record=record,
                contacts=[_contact(row) for row in self._rows(queries.CONTACTS, *whose, limit=MOST_PEOPLE)],
                ship_tos=self._ship_tos(whose),
                open_orders=open_orders,
                open_orders_more=len(rows) > MOST_OPEN,
                past_orders=past,
                past_orders_before=past_before,
                invoices=invoices,
                invoices_before=before,
                open_invoices=open_invoices,
                open_invoices_more=len(owed) > MOST_OPEN,
                payments=payments,
            )

        return await self._run("account", read)

    async def record(self, key: CustomerKey, own: Sequence[str] = ()) -> AccountRecord | None:
        """AR_Customer alone, with the site's own columns that are asked for."""
        return await self._run("account_record", lambda: self._record(key, own))

    async def all_ship_tos(self, key: CustomerKey) -> list[ShipToAddress]:
        """Every row of SO_ShipToAddress of the account."""
        return await self._run(
            "account_ship_tos", lambda: self._ship_tos((key.ARDivisionNo, key.CustomerNo), limit=None)
        )

    async def owned_columns(self, division: str, after: str, limit: int, columns: Sequence[str]) -> list[OwnedColumns]:
        """A page of a division's accounts in key order, web customers or not, with these columns as text."""
        statement = queries.own_columns_page(columns)

        def read() -> list[OwnedColumns]:
            return [
                OwnedColumns(text(row[0]), text(row[1]), tuple(map(shown, columns, row[2:])))
                for row in self._rows(statement, division, after, limit=limit)
            ]

        return await self._run("owned_columns", read)

    async def account_of_order(self, sales_order_no: str) -> CustomerKey | None:
        """Whose sales order this is, live or past."""

        def read() -> CustomerKey | None:
            for statement in (queries.ORDERS_ACCOUNT, queries.PAST_ORDERS_ACCOUNT):
                for row in self._rows(statement, sales_order_no):
                    return CustomerKey(ARDivisionNo=text(row[0]), CustomerNo=text(row[1]))
            return None

        return await self._run("account_of_order", read)

    # ---- parts ------------------------------------------------------------------------------------------------------

    def _record(self, key: CustomerKey, own: Sequence[str]) -> AccountRecord | None:
        whose = key.ARDivisionNo, key.CustomerNo
        rows = self._rows(queries.ACCOUNT, *whose)
        known = self._rows(queries.CUSTOMER, *whose)
        if not rows or not known:
            return None
        columns = dict(zip(queries.ACCOUNT_COLUMNS.split(", "), rows[0], strict=True))
        more: dict[str, Any] = {
            name: day(value) if name in _DATES else number(value) if name in AMOUNTS else text(value)
            for name, value in columns.items()
            if name not in CustomerRecord.model_fields
        }
        names = list(dict.fromkeys(own))
        values = self._rows(queries.own_columns(names), *whose)[0] if names else ()
        terms = self._rows(queries.TERMS, text(columns["TermsCode"]))
        return AccountRecord(
            **customer_record(known[0], {}).model_dump(),
            **more,
            TermsCodeDesc=text(terms[0][0]) if terms else "",
            own={name: shown(name, value) for name, value in zip(names, values, strict=True)},
        )

    def _ship_tos(self, whose: tuple[str, str], limit: int | None = MOST_PEOPLE) -> list[ShipToAddress]:
        names = tuple(ShipToAddress.model_fields)
        return [
            ShipToAddress(**{name: text(value) for name, value in zip(names, row, strict=True)})
            for row in self._rows(queries.SHIP_TO_ROWS, *whose, limit=limit)
        ]

    def _past_orders(
        self, whose: tuple[str, str], before: str, page: int, live: set[str]
    ) -> tuple[list[AccountOrder], str]:
        """Orders that are history alone; those that are live too are among the open ones."""
        found: list[AccountOrder] = []
        rows: list[Row] = []
        last = before or HIGHEST
        # History also has the orders that are still live: a page of them is followed by the next one.
        for _ in range(3):
            rows = self._rows(queries.ACCOUNTS_PAST_ORDERS, *whose, last, limit=page)
            found += [_past_order(row) for row in rows if text(row[2]) in IN_PAST and text(row[0]) not in live]
            if len(rows) < page or len(found) >= page:
                break
            last = text(rows[-1][0])
        if len(found) > page:
            return found[:page], found[page - 1].SalesOrderNo
        return found, text(rows[-1][0]) if len(rows) == page else ""

    def _invoices(
        self, whose: tuple[str, str], before: str, page: int, owed: Sequence[OpenInvoice]
    ) -> tuple[list[Row], list[AccountInvoice], str]:
        balances = {(one.InvoiceNo, one.InvoiceType): one.Balance for one in owed}
        rows = self._rows(queries.ACCOUNTS_INVOICES, *whose, before or HIGHEST, limit=page)
        invoices = [
            AccountInvoice(
                InvoiceNo=text(row[0]),
                InvoiceType=text(row[2]),
                InvoiceDate=day(row[3]),
                SalesOrderNo=text(row[4]),
                ShipDate=day(row[5]),
                ShipVia=text(row[6]),
                Total=_total(row, 7),
                InvoiceDueDate=day(row[12]),
                Balance=balances.get((text(row[0]), text(row[2]))),
                packages=[_package(one) for one in self._rows(queries.POSTED_TRACKING, text(row[0]), text(row[1]))],
            )
            for row in rows
        ]
        return rows, invoices, text(rows[-1][0]) if len(rows) == page else ""

    def _unposted_of(self, orders: Sequence[AccountOrder]) -> list[AccountInvoice]:
        """The unposted invoices of live orders, by the order's CurrentInvoiceNo: SO_InvoiceHeader has no other key."""
        found = []
        for number_ in dict.fromkeys(order.InvoiceNo for order in orders if order.InvoiceNo):
            for row in self._rows(queries.UNPOSTED_INVOICE, number_):
                found.append(
                    AccountInvoice(
                        InvoiceNo=text(row[0]),
                        InvoiceType=text(row[1]),
                        posted=False,
                        SalesOrderNo=text(row[4]),
                        InvoiceDate=day(row[5]),
                        ShipDate=day(row[6]),
                        ShipVia=text(row[7]),
                        Total=_total(row, 8),
                        packages=[_package(one) for one in self._rows(queries.UNPOSTED_TRACKING, number_)],
                    )
                )
        return found

    def _taken(self, invoice: Row) -> list[AccountPayment]:
        return [
            AccountPayment(
                InvoiceNo=text(invoice[0]),
                PaymentType=text(row[0]),
                amount=number(row[1]),
                reference=text(row[2]) or text(row[3]),
                day=day(invoice[3]),
            )
            for row in self._rows(queries.INVOICE_PAYMENTS, text(invoice[0]), text(invoice[1]))
            if number(row[1])
        ]


def shown(column: str, value: object) -> str:
    """A column's value as text: amounts without trailing zeros, whatever the driver gives; dates as ISO 8601."""
    if value is None:
        return ""
    if column in AMOUNTS:
        return f"{number(value):f}"
    return value.isoformat()[:10] if isinstance(value, date) else text(value)


def _total(row: Row, first: int) -> Decimal:
    """Taxable, non-taxable, freight, tax, less discount: five columns from `first` on."""
    taxable, exempt, freight, tax, discount = (number(value) for value in row[first : first + 5])
    return taxable + exempt + freight + tax - discount


def _live_order(row: Row) -> AccountOrder:
    return AccountOrder(
        SalesOrderNo=text(row[0]),
        live=True,
        OrderDate=day(row[1]),
        OrderStatus=text(row[2]),
        CustomerPONo=text(row[3]),
        UDF_WEB_ORDER_ID=text(row[4]),
        Total=_total(row, 5),
        DepositAmt=number(row[10]),
        OrderType=text(row[11]),
        ShipVia=text(row[12]),
        InvoiceNo=text(row[13]),
    )


def _past_order(row: Row) -> AccountOrder:
    return AccountOrder(
        SalesOrderNo=text(row[0]),
        live=False,
        OrderDate=day(row[1]),
        OrderStatus=text(row[2]),
        CustomerPONo=text(row[3]),
        UDF_WEB_ORDER_ID=text(row[4]),
        Total=_total(row, 5),
        DepositAmt=number(row[10]),
        InvoiceNo=text(row[11]),
        ShipVia=text(row[12]),
        CancelReasonCode=text(row[13]),
    )


def _contact(row: Row) -> AccountContact:
    return AccountContact(
        ContactCode=text(row[0]),
        ContactName=text(row[1]),
        ContactTitle=text(row[2]),
        TelephoneNo=text(row[3]),
        EmailAddress=text(row[4]),
    )


def _open_invoice(row: Row) -> OpenInvoice:
    return OpenInvoice(
        InvoiceNo=text(row[0]),
        InvoiceType=text(row[1]),
        InvoiceDate=day(row[2]),
        InvoiceDueDate=day(row[3]),
        CustomerPONo=text(row[4]),
        Balance=number(row[5]),
    )


def _package(row: Row) -> AccountPackage:
    return AccountPackage(PackageNo=text(row[0]), TrackingID=text(row[1]), ShipVia=text(row[2]))


def _receipt(row: Row) -> AccountPayment:
    return AccountPayment(
        receipt=True,
        day=day(row[0]),
        reference=text(row[2]) or text(row[1]),
        InvoiceNo=text(row[3]),
        PaymentType=text(row[5]),
        amount=number(row[6]),
    )
