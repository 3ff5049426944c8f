"""The auditor itself: it is content with a run that went well, and says so of everything that did not.

The run is made here, in Sage's own tables (`sandbox/sage100/tables.txt`): what a faultless house would leave behind.
"""

import copy
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pytest

from sandbox.sage100.schema import TABLES, create_tables
from tests.chaos.auditor import ClaritySide, Harm, Report, Standing, audit
from tests.chaos.orders import Sent, generate


@dataclass
class Run:
    """What one run left behind."""

    sent: list[Sent]
    sage: sqlite3.Connection
    orders: dict[str, dict[str, Any]]
    shipments: list[dict[str, Any]]
    standings: dict[str, Standing]

    def sql(self, statement: str, *parameters: object) -> None:
        """Change what stands in Sage; it must hit something."""
        assert self.sage.execute(statement, parameters).rowcount > 0

    def insert(self, table: str, **values: object) -> None:
        """A row of Sage's."""
        row = TABLES[table].row(**values)
        marks = ", ".join("?" for _ in row)
        values_ = [str(value) if isinstance(value, Decimal) else value for value in row.values()]
        self.sage.execute(f"INSERT INTO {table} VALUES ({marks})", values_)

    def copy_rows(self, table: str, where: str, **changes: object) -> None:
        """The rows again, under another key."""
        for row in self.sage.execute(f"SELECT * FROM {table} WHERE {where}").fetchall():
            self.insert(table, **{**dict(row), **changes})

    def report(self) -> Report:
        """The auditor's verdict."""
        return audit(self.sent, self.sage, ClaritySide(self.orders, self.shipments), self.standings)


def a_good_run(count: int = 24) -> Run:
    """Every order where it belongs; the second half of an order's lines on a second invoice where it has parts."""
    sage = sqlite3.connect(":memory:")
    sage.row_factory = sqlite3.Row
    create_tables(sage)
    run = Run(list(generate(7, count)), sage, {}, [], {})
    accounts: dict[str, str] = {}
    for place, order in enumerate(run.sent, start=1):
        run.orders[order.order_id] = {"id": order.order_id, "status": "Pending"}
        if order.hold:
            text = f'{{"kind":"hold","text":"held: {order.hold}"}}'
            run.standings[order.order_id] = Standing("running", "held", order.hold, frozenset({text}))
            continue
        account = order.account or accounts.get(order.buyer, "")
        if not account:
            account = accounts[order.buyer] = f"02-W{place:06d}"
            run.insert(
                "AR_Customer",
                ARDivisionNo="02",
                CustomerNo=account[3:],
                CustomerName=order.buyer_name,
                EmailAddress=order.email,
                UDF_WEB_CUSTOMER_ID=order.buyer,
            )
        write_order(run, order, f"{1000 + place:07d}", account)
        run.standings[order.order_id] = Standing("completed", "complete")
    return run


def write_order(run: Run, order: Sent, number: str, account: str) -> None:
    division, _, customer_no = account.partition("-")
    run.insert(
        "SO_SalesOrderHistoryHeader",
        SalesOrderNo=number,
        OrderStatus="C",
        ARDivisionNo=division,
        CustomerNo=customer_no,
        UDF_WEB_ORDER_ID=order.order_id,
        CustomerPONo=order.customer_po_no,
        ShipVia=order.ship_via,
        TermsCode=order.terms,
        TaxSchedule=order.schedule,
        PaymentType=order.payment_type,
        TaxableAmt=order.total - order.tax - order.freight,
        SalesTaxAmt=order.tax,
        FreightAmt=order.freight,
        DepositAmt=order.deposit,
    )
    rows = [(line.item_code, "1", line.quantity, line.price, line.item_id) for line in order.lines]
    rows += [(code, "5", Decimal(1), amount, "") for code, amount in order.charges.items()]
    for place, (code, kind, quantity, price, item_id) in enumerate(rows, start=1):
        run.insert(
            "SO_SalesOrderHistoryDetail",
            SalesOrderNo=number,
            SequenceNo=f"{place:014d}",
            ItemCode=code,
            ItemType=kind,
            QuantityOrderedOriginal=quantity,
            OriginalUnitPrice=price,
            UDF_WEB_LINE_ID=item_id,
        )
    invoices = []
    parts = [order.lines[::2], order.lines[1::2]] if len(order.lines) > 1 else [order.lines]
    for place, lines in enumerate(parts, start=1):
        invoice = f"{number[2:]}{place:02d}"
        invoices.append({"invoiceNo": invoice})
        key = {"InvoiceNo": invoice, "HeaderSeqNo": "000001"}
        run.insert("AR_InvoiceHistoryHeader", **key, SalesOrderNo=number, InvoiceType="IN")
        run.insert("AR_InvoiceHistoryTracking", **key, PackageNo="0001", TrackingID=f"1Z{invoice}")
        for sequence, line in enumerate(lines, start=1):
            run.insert(
                "AR_InvoiceHistoryDetail",
                **key,
                DetailSeqNo=f"{sequence:06d}",
                ItemCode=line.item_code,
                ItemType="1",
                QuantityShipped=line.quantity,
            )
        run.shipments.append(
            {
                "orderId": order.order_id,
                "externalReference": f"{number}-{invoice}-0001",
                "status": "Shipped",
                "items": [{"orderItemId": line.item_id, "quantity": int(line.quantity)} for line in lines],
            }
        )
    run.orders[order.order_id] |= {"status": "Shipped", "externalReference": number, "invoiceReferences": invoices}


def complete(run: Run) -> Sent:
    """An order of a new buyer that went through."""
    return next(order for order in run.sent if not order.hold and order.buyer)


def held(run: Run) -> Sent:
    return next(order for order in run.sent if order.hold)


def number_of(run: Run, order: Sent) -> str:
    return str(run.orders[order.order_id]["externalReference"])


def harms(run: Run, subject: str) -> set[Harm]:
    """What the auditor says of one order or buyer, and that it says nothing of any other."""
    report = run.report()
    assert {finding.subject for finding in report.findings} == {subject}, report.findings
    return {finding.harm for finding in report.findings}


def test_a_good_run_is_clean_and_the_line_says_so() -> None:
    run = a_good_run()
    report = run.report()
    assert report.findings == []
    assert report.line(42) == f"AUDIT lost=0 doubled=0 wrong=0 silent=0 orders={len(run.sent)} seed=42"
    assert any(order.hold for order in run.sent)
    assert any(order.account for order in run.sent)


def test_the_line_counts_orders_not_findings() -> None:
    run = a_good_run()
    order = complete(run)
    run.sql("UPDATE SO_SalesOrderHistoryHeader SET FreightAmt = '999', DepositAmt = '1' WHERE UDF_WEB_ORDER_ID = ?",
            order.order_id)  # fmt: skip
    assert len(run.report().findings) > 1
    assert run.report().line(1) == f"AUDIT lost=0 doubled=0 wrong=1 silent=0 orders={len(run.sent)} seed=1"


def test_an_order_that_no_one_knows_is_lost() -> None:
    run = a_good_run()
    order = held(run)
    del run.standings[order.order_id]
    assert harms(run, order.order_id) == {Harm.LOST}


@pytest.mark.parametrize("status", ["none", "completed"])
def test_an_order_without_a_sales_order_is_lost(status: str) -> None:
    run = a_good_run()
    order = complete(run)
    run.sql("DELETE FROM SO_SalesOrderHistoryHeader WHERE UDF_WEB_ORDER_ID = ?", order.order_id)
    run.standings[order.order_id] = Standing(status)
    assert harms(run, order.order_id) == {Harm.LOST}


def test_a_second_sales_order_is_a_double() -> None:
    run = a_good_run()
    order = complete(run)
    number = number_of(run, order)
    run.copy_rows("SO_SalesOrderHistoryHeader", f"SalesOrderNo = '{number}'", SalesOrderNo="0009999")
    run.copy_rows("SO_SalesOrderHistoryDetail", f"SalesOrderNo = '{number}'", SalesOrderNo="0009999")
    assert harms(run, order.order_id) == {Harm.DOUBLED}


def test_a_second_sales_order_that_is_still_live_is_a_double() -> None:
    run = a_good_run()
    order = complete(run)
    run.insert("SO_SalesOrderHeader", SalesOrderNo="0009999", UDF_WEB_ORDER_ID=order.order_id)
    assert Harm.DOUBLED in harms(run, order.order_id)


HEADER = "UPDATE SO_SalesOrderHistoryHeader SET {} WHERE SalesOrderNo = ?"
DETAIL = "UPDATE SO_SalesOrderHistoryDetail SET {} WHERE SalesOrderNo = ? AND SequenceNo = '00000000000001'"


@pytest.mark.parametrize(
    "statement",
    [
        HEADER.format("CustomerNo = 'W999999'"),
        HEADER.format("ARDivisionNo = '01'"),
        HEADER.format("FreightAmt = FreightAmt + 0.01"),
        HEADER.format("SalesTaxAmt = SalesTaxAmt + 0.01"),
        HEADER.format("DepositAmt = DepositAmt - 0.01"),
        HEADER.format("TaxableAmt = TaxableAmt + 0.01"),
        HEADER.format("PaymentType = 'VISA'"),
        HEADER.format("TermsCode = '01'"),
        HEADER.format("TaxSchedule = 'XX'"),
        HEADER.format("ShipVia = 'WILL CALL'"),
        HEADER.format("CustomerPONo = 'another'"),
        HEADER.format("OrderStatus = 'A'"),
        DETAIL.format("QuantityOrderedOriginal = QuantityOrderedOriginal + 1"),
        DETAIL.format("OriginalUnitPrice = OriginalUnitPrice + 0.01"),
        DETAIL.format("ItemCode = 'SOFA-LOUNGE'"),
        DETAIL.format("UDF_WEB_LINE_ID = 'another'"),
        "DELETE FROM SO_SalesOrderHistoryDetail WHERE SalesOrderNo = ? AND SequenceNo = '00000000000001'",
    ],
)
def test_an_altered_sales_order_is_wrong(statement: str) -> None:
    run = a_good_run()
    order = complete(run)
    run.sql(statement, number_of(run, order))
    assert harms(run, order.order_id) == {Harm.WRONG}


def test_a_dealers_order_on_another_account_is_wrong() -> None:
    run = a_good_run()
    order = next(one for one in run.sent if one.account and not one.hold)
    run.sql(HEADER.format("CustomerNo = 'W000002'"), number_of(run, order))
    assert harms(run, order.order_id) == {Harm.WRONG}


@pytest.mark.parametrize("amount", ["-0.01", "4.95"])
def test_a_charge_that_nobody_ordered_is_wrong(amount: str) -> None:
    run = a_good_run()
    order = complete(run)
    run.insert(
        "SO_SalesOrderHistoryDetail",
        SalesOrderNo=number_of(run, order),
        SequenceNo="00000000000099",
        ItemCode="/HANDLE",
        ItemType="5",
        QuantityOrderedOriginal="1",
        OriginalUnitPrice=amount,
    )
    assert harms(run, order.order_id) == {Harm.WRONG}


def test_an_order_that_nobody_sent_is_wrong() -> None:
    run = a_good_run()
    run.insert("SO_SalesOrderHistoryHeader", SalesOrderNo="0009999", UDF_WEB_ORDER_ID="X-1")
    assert harms(run, "X-1") == {Harm.WRONG}


def test_a_package_told_twice_is_a_double() -> None:
    run = a_good_run()
    order = complete(run)
    first = next(one for one in run.shipments if one["orderId"] == order.order_id)
    run.shipments.append(copy.deepcopy(first))
    assert harms(run, order.order_id) == {Harm.DOUBLED}


def test_a_shipment_of_no_package_is_a_double() -> None:
    run = a_good_run()
    order = complete(run)
    first = next(one for one in run.shipments if one["orderId"] == order.order_id)
    run.shipments.append({**copy.deepcopy(first), "externalReference": "0001001-0100001-0009"})
    assert harms(run, order.order_id) == {Harm.DOUBLED}


@pytest.mark.parametrize("voided", [False, True])
def test_a_package_that_was_never_told_is_lost(voided: bool) -> None:
    run = a_good_run()
    order = complete(run)
    first = next(one for one in run.shipments if one["orderId"] == order.order_id)
    if voided:
        first["status"] = "Void"
    else:
        run.shipments.remove(first)
    assert harms(run, order.order_id) == {Harm.LOST}


def test_a_shipment_with_another_quantity_is_wrong() -> None:
    run = a_good_run()
    order = complete(run)
    first = next(one for one in run.shipments if one["orderId"] == order.order_id)
    first["items"][0]["quantity"] += 1
    assert harms(run, order.order_id) == {Harm.WRONG}


def test_less_shipped_in_sage_than_ordered_is_wrong() -> None:
    run = a_good_run()
    order = complete(run)
    invoice = run.orders[order.order_id]["invoiceReferences"][0]["invoiceNo"]
    run.sql("UPDATE AR_InvoiceHistoryDetail SET QuantityShipped = QuantityShipped - 1 WHERE InvoiceNo = ?", invoice)
    assert harms(run, order.order_id) == {Harm.WRONG}


@pytest.mark.parametrize(
    ("change", "harm"),
    [
        ({"status": "Processing"}, Harm.WRONG),
        ({"externalReference": "0000001"}, Harm.WRONG),
        ({"invoiceReferences": []}, Harm.LOST),
    ],
)
def test_clarity_not_told_is_found(change: dict[str, Any], harm: Harm) -> None:
    run = a_good_run()
    order = complete(run)
    run.orders[order.order_id] |= change
    assert harms(run, order.order_id) == {harm}


def test_an_invoice_told_twice_is_a_double() -> None:
    run = a_good_run()
    order = complete(run)
    run.orders[order.order_id]["invoiceReferences"] *= 2
    assert harms(run, order.order_id) == {Harm.DOUBLED}


@pytest.mark.parametrize("by", ["UDF_WEB_CUSTOMER_ID", "EmailAddress"])
def test_a_customer_twice_is_a_double(by: str) -> None:
    run = a_good_run()
    order = complete(run)
    other = {"EmailAddress": "", "UDF_WEB_CUSTOMER_ID": ""} | {by: order.buyer if by.startswith("UDF") else order.email}
    run.insert("AR_Customer", ARDivisionNo="02", CustomerNo="W999999", CustomerName=order.buyer_name, **other)
    assert Harm.DOUBLED in harms(run, f"buyer {order.buyer}")


def test_an_account_with_another_name_is_wrong() -> None:
    run = a_good_run()
    order = complete(run)
    run.sql("UPDATE AR_Customer SET CustomerName = 'Somebody' WHERE UDF_WEB_CUSTOMER_ID = ?", order.buyer)
    assert harms(run, f"buyer {order.buyer}") == {Harm.WRONG}


def breaks(change: Callable[[Standing], Standing], of: Callable[[Run], Sent] = held) -> set[Harm]:
    run = a_good_run()
    order = of(run)
    run.standings[order.order_id] = change(run.standings[order.order_id])
    return harms(run, order.order_id)


def test_an_order_that_waits_without_a_word_is_silent() -> None:
    assert breaks(lambda _: Standing("running", "open"), complete) == {Harm.SILENT}
    assert breaks(lambda _: Standing("failed", "open"), complete) == {Harm.SILENT}
    assert breaks(lambda _: Standing("terminated", "received")) == {Harm.SILENT}
    assert breaks(lambda one: replace(one, state="received")) == {Harm.SILENT}


def test_a_hold_without_reason_or_alert_is_silent() -> None:
    assert breaks(lambda one: replace(one, hold="")) == {Harm.SILENT}
    assert breaks(lambda one: replace(one, alerts=frozenset())) == {Harm.SILENT}
    assert breaks(lambda one: replace(one, alerts=frozenset({"held: another_reason"}))) == {Harm.SILENT}


def test_a_hold_for_another_reason_is_wrong() -> None:
    other = Standing("running", "held", "internal_error", frozenset({"held: internal_error"}))
    assert breaks(lambda _: other) == {Harm.WRONG}
    assert breaks(lambda _: other, complete) == {Harm.WRONG}


def test_an_order_that_must_be_held_and_stands_in_sage_is_wrong() -> None:
    run = a_good_run()
    order = held(run)
    run.insert("SO_SalesOrderHeader", SalesOrderNo="0009999", UDF_WEB_ORDER_ID=order.order_id)
    assert harms(run, order.order_id) == {Harm.WRONG}
