"""Reading money in Sage 100 through ODBC, by Sage's keys: deposits, invoices, cash receipts.

In: order numbers, days, a bank code. Out: models of `mappings.ledger`. Raises the tree of `connectors.errors`. One
order, or one day, is one reading, so that none takes long. What has no key (an order's web id, a receipt's transaction)
selects nothing: orders are found by number and by CustomerPONo, receipts by bank and day, invoices by day.

AR_CashReceiptsHistory's primary key is taken to begin with BankCode and DepositDate, as the journal is kept [probe];
AR_CashReceiptsDetail holds only batches that are not posted.
"""

from collections.abc import Collection, Iterable
from datetime import date
from decimal import Decimal

from connectors.sage100 import queries
from connectors.sage100.odbc import (
    DELETED_STATUS,
    DELETED_TYPE,
    Row,
    SageReader,
    created_line,
    day,
    extension,
    number,
    text,
)
from mappings.frozen import Frozen
from mappings.ledger import DepositedOrder, OrderInvoice, OrderNamed, Receipt, ReceiptOf

BILL_TYPES = frozenset({"IN", "CM", "DM"})
"""InvoiceTypes that an order is billed or credited by."""


SAME_PURCHASE_ORDER = 50
"""Orders with one CustomerPONo that are looked at; buyers write VERBAL again and again."""


class DepositsPage(Frozen):
    """Live orders with a deposit, of one page of SO_SalesOrderHeader."""

    orders: list[OrderNamed]
    last: str
    """SalesOrderNo of the page's last order, deposit or not; empty at the end."""


class SageLedger(SageReader):
    """The same company, read for its money; a connection of its own, so that orders never wait for it."""

    async def orders_with_deposit(self, after: str, limit: int, payment_types: Collection[str]) -> DepositsPage:
        """A page of live orders in number order: those of web orders, and those paid by one of our payment types."""

        def read() -> DepositsPage:
            rows = self._rows(queries.OPEN_DEPOSITS_PAGE, after, limit=limit)
            found = [
                OrderNamed(SalesOrderNo=text(row[0]), web_order_id=text(row[1]))
                for row in rows
                if number(row[2]) and (text(row[1]) or text(row[3]) in payment_types)
            ]
            return DepositsPage(orders=found, last=text(rows[-1][0]) if len(rows) == limit else "")

        return await self._run("orders_with_deposit", read)

    async def orders_billed_on(self, invoice_date: date, payment_types: Collection[str]) -> list[OrderNamed]:
        """Sales orders on the posted invoices of a day: those of web orders, and those paid by our payment types."""

        def read() -> list[OrderNamed]:
            found: dict[str, bool] = {}
            for row in self._rows(queries.BILLED_ON, invoice_date.isoformat()):
                ours = bool(number(row[4])) and text(row[5]) in payment_types
                numbers = [text(row[2])]
                if text(row[3]) == "Y":
                    lines = self._rows(queries.POSTED_LINES, text(row[0]), text(row[1]))
                    numbers += [text(line[3]) for line in lines]
                found |= {name: found.get(name, False) or ours for name in numbers if name}
            named = [(name, self._web_order_id(name), ours) for name, ours in found.items()]
            return [OrderNamed(SalesOrderNo=name, web_order_id=web) for name, web, ours in named if web or ours]

        return await self._run("orders_billed_on", read)

    def _web_order_id(self, sales_order_no: str) -> str:
        for statement in (queries.DEPOSITED_ORDER, queries.DEPOSITED_HISTORY):
            for row in self._rows(statement, sales_order_no):
                return text(row[1])
        return ""

    async def orders_of(self, web_order_id: str, numbers: Iterable[str], purchase_orders: Iterable[str]) -> list[str]:
        """Sales orders of a web order: of these numbers, and of those with these CustomerPONo, the ones that say so.

        Where the company's history has no UDF, a number that Clarity has from us counts without it.
        """
        named = [name for name in numbers if name]
        bought = [name for name in purchase_orders if name]

        def read() -> list[str]:
            found = dict.fromkeys(named, True)
            for purchase_order in bought:
                for statement in (queries.LIVE_ORDERS_BY_PO, queries.HISTORY_ORDERS_BY_PO):
                    found |= {
                        name: False
                        for row in self._rows(statement, purchase_order, limit=SAME_PURCHASE_ORDER)
                        if (name := text(row[0])) not in found
                    }
            return [name for name, told in found.items() if self._is_of(web_order_id, name, told=told)]

        return await self._run("orders_of", read)

    def _is_of(self, web_order_id: str, sales_order_no: str, *, told: bool) -> bool:
        for statement in (queries.DEPOSITED_ORDER, queries.DEPOSITED_HISTORY):
            for row in self._rows(statement, sales_order_no):
                own = text(row[1])
                return own == web_order_id or (told and not own and not self._site.history_has_udf)
        return False

    async def deposited_order(self, sales_order_no: str, unposted: Collection[str]) -> DepositedOrder | None:
        """A sales order with its deposit and invoices; `unposted` are the invoices that may be of it."""

        def read() -> DepositedOrder | None:
            live = self._rows(queries.DEPOSITED_ORDER, sales_order_no)
            rows = live or self._rows(queries.DEPOSITED_HISTORY, sales_order_no)
            if not rows:
                return None
            row = rows[0]
            # Unposted first: an invoice that is posted meanwhile is read twice, never missed.
            bills = [
                bill for name in unposted for bill in self._order_invoices(name, sales_order_no, row, posted=False)
            ]
            posted = [
                bill
                for name in self._posted_of(sales_order_no)
                for bill in self._order_invoices(name, sales_order_no, row, posted=True)
            ]
            moved = {bill.InvoiceNo for bill in posted}
            invoices = [*posted, *(bill for bill in bills if bill.InvoiceNo not in moved)]
            return DepositedOrder(
                SalesOrderNo=sales_order_no,
                web_order_id=text(row[1]),
                ARDivisionNo=text(row[2]),
                CustomerNo=text(row[3]),
                OrderDate=day(row[4]),
                live=bool(live),
                open=bool(live) and self._is_open(sales_order_no, text(row[5]), invoiced=bool(posted)),
                DepositAmt=number(row[6]) if live else Decimal(0),
                PaymentType=text(row[7]),
                reference=text(row[8]) or text(row[9]),
                invoices=invoices,
            )

        return await self._run("deposited_order", read)

    def _is_open(self, sales_order_no: str, status: str, *, invoiced: bool) -> bool:
        """Whether goods are still to come."""
        if status == "C":
            return False
        lines = [created_line(row) for row in self._rows(queries.LIVE_LINES, sales_order_no)]
        goods = [line for line in lines if line.counts]
        if self._site.posting_reduces_quantity or not invoiced:
            return any(line.QuantityOrdered > 0 for line in goods)
        return any(line.QuantityBackordered > 0 for line in goods)

    def _order_invoices(self, invoice_no: str, sales_order_no: str, order: Row, *, posted: bool) -> list[OrderInvoice]:
        """The part of an invoice that is this order's; none when it is another's, deleted, or of another type."""
        found = []
        for row in self._rows(queries.POSTED_BILL if posted else queries.UNPOSTED_BILL, invoice_no):
            kind, sequence, several = text(row[1]), text(row[2]), text(row[12]) == "Y"
            if kind == DELETED_TYPE or (not posted and sequence == DELETED_STATUS) or kind not in BILL_TYPES:
                continue
            total = number(row[5]) + number(row[6]) + number(row[7]) + number(row[8]) - number(row[9])
            deposit, shared = number(row[10]), None
            if several:
                lines = (
                    self._rows(queries.POSTED_LINES, invoice_no, sequence)
                    if posted
                    else self._rows(queries.UNPOSTED_LINES, invoice_no)
                )
                own = [line for line in lines if (text(line[3]) or text(row[3])) == sales_order_no]
                if not own:
                    continue
                shared = number(row[7]) + number(row[8]) - number(row[9])
                total = extension(own)
                deposit = self._deposit_taken(invoice_no, sequence, sales_order_no) if posted else Decimal(0)
            elif text(row[3]) != sales_order_no:
                continue
            balance = None
            if posted:
                key = text(order[2]), text(order[3]), invoice_no, kind
                balance = next((number(one[0]) for one in self._rows(queries.OPEN_INVOICE, *key)), None)
            found.append(
                OrderInvoice(
                    InvoiceNo=invoice_no,
                    InvoiceType=kind,
                    posted=posted,
                    InvoiceDate=day(row[4]),
                    # The sign of a credit memo in history differs by release [probe].
                    total=-abs(total) if kind == "CM" else total,
                    FreightAmt=number(row[7]),
                    DepositAmt=deposit,
                    shared=shared,
                    tax_codes=len(self._rows(queries.TAX_CODES, text(row[11]))) if text(row[11]) else 0,
                    Balance=balance,
                )
            )
        return found

    def _deposit_taken(self, invoice_no: str, sequence: str, sales_order_no: str) -> Decimal:
        rows = self._rows(queries.POSTED_DEPOSITS, invoice_no, sequence)
        return sum((number(row[1]) for row in rows if text(row[0]) == sales_order_no), Decimal(0))

    async def unposted_by_order(self) -> dict[str, list[str]]:
        """Unposted invoices by the sales order that they bill; those for several orders under an empty number."""

        def read() -> dict[str, list[str]]:
            found: dict[str, list[str]] = {}
            for row in self._rows(queries.UNPOSTED_INVOICES):
                several = text(row[5]) == "Y"
                found.setdefault("" if several else text(row[4]), []).append(text(row[0]))
            return found

        return await self._run("unposted_by_order", read)

    async def receipts_on(self, bank_code: str, deposit_date: date) -> list[Receipt]:
        """Posted receipts of a bank and a day."""
        return await self._run(
            "receipts_on",
            lambda: [
                receipt(row, posted=True)
                for row in self._rows(queries.RECEIPTS_ON, bank_code, deposit_date.isoformat())
            ],
        )

    async def unposted_receipts(self, bank_code: str) -> list[Receipt]:
        """Receipts in batches that are not posted."""
        return await self._run(
            "unposted_receipts",
            lambda: [receipt(row, posted=False) for row in self._rows(queries.UNPOSTED_RECEIPTS, bank_code)],
        )


def receipt(row: Row, *, posted: bool) -> Receipt:
    """A row of `RECEIPT_COLUMNS`."""
    kind = text(row[7])
    of = ReceiptOf.PREPAYMENT if kind == "PP" else ReceiptOf.INVOICE if text(row[6]) else ReceiptOf.ACCOUNT
    return Receipt(
        posted=posted,
        of=of,
        BankCode=text(row[0]),
        DepositDate=day(row[1]),
        DepositNo=text(row[2]),
        ARDivisionNo=text(row[3]),
        CustomerNo=text(row[4]),
        CheckNo=text(row[5]),
        InvoiceNo="" if kind == "PP" else text(row[6]),
        PaymentType=text(row[9]),
        amount=number(row[10]),
    )
