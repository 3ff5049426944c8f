"""The Sales Journal update: unposted invoices move to AR_InvoiceHistory*, orders and stock are relieved.

In: an InvoiceNo, or all that are shipped. Out: rows in history. The move can be stopped half-way: then the invoice is
in neither place, as it is for moments during a real update.
"""

import json
from collections.abc import Sequence
from decimal import Decimal

from sandbox.sage100.company import Company, Refusal, Row, plain, to_decimal
from sandbox.sage100.orders import REGULAR
from sandbox.sage100.schema import TABLES
from sandbox.sage100.warehouse import GOODS, is_component

HEADER_SEQUENCE = "000001"
UNPOSTED_TABLES = ("SO_InvoiceDetail", "SO_InvoiceTracking", "SO_PackageTrackingByItem")
HALF_POSTED = "half_posted_"


class Office:
    """People who post."""

    def __init__(self, company: Company) -> None:
        self.company = company

    def post(self, invoice_no: str | None = None, *, half_way: bool = False, keep_order: bool = False) -> list[str]:
        """Post one invoice, or all that are shipped; returns the InvoiceNos.

        `half_way` stops with the rows in neither place; posting again finishes. `keep_order` leaves a fully invoiced
        order among the live ones with its comment and charge lines.
        """
        company = self.company
        if invoice_no is not None:
            waiting = company.state(HALF_POSTED + invoice_no)
            if waiting:
                with company.transaction():
                    self._into_history(json.loads(waiting), keep_order=keep_order)
                    company.set_state(HALF_POSTED + invoice_no, "")
                return [invoice_no]
            if company.find("SO_InvoiceHeader", InvoiceNo=invoice_no) is None:
                raise Refusal(404, "SO_NotFound", f"Invoice {invoice_no} is not there to be posted.")
        wanted = {"ShipStatus": "S"} if invoice_no is None else {"InvoiceNo": invoice_no}
        invoices = [
            invoice for invoice in company.select("SO_InvoiceHeader", **wanted) if invoice["InvoiceType"] != "XD"
        ]
        for invoice in invoices:
            with company.transaction():
                taken = self._take(invoice)
                if half_way:
                    company.set_state(HALF_POSTED + invoice["InvoiceNo"], json.dumps(taken, default=plain))
                else:
                    self._into_history(taken, keep_order=keep_order)
        return [invoice["InvoiceNo"] for invoice in invoices]

    def _take(self, invoice: Row) -> dict[str, list[Row]]:
        """The invoice's rows, taken out of the unposted tables."""
        company, key = self.company, {"InvoiceNo": invoice["InvoiceNo"]}
        taken = {"SO_InvoiceHeader": [invoice]}
        for table in UNPOSTED_TABLES:
            taken[table] = company.select(table, **key)
        for table in taken:
            company.delete(table, **key)
        return taken

    def _into_history(self, taken: dict[str, list[Row]], *, keep_order: bool) -> None:
        company = self.company
        invoice, lines = taken["SO_InvoiceHeader"][0], taken["SO_InvoiceDetail"]
        key = {"InvoiceNo": invoice["InvoiceNo"], "HeaderSeqNo": HEADER_SEQUENCE}
        shared = {name: invoice[name] for name in TABLES["AR_InvoiceHistoryHeader"].columns if name in invoice}
        company.insert(
            "AR_InvoiceHistoryHeader",
            **{
                **shared,
                **key,
                "ModuleCode": company.switch("module_code"),
                "SourceJournal": "SO",
                "TransactionDate": invoice["InvoiceDate"],
                "TaxableSalesAmt": invoice["TaxableAmt"],
                "NonTaxableSalesAmt": invoice["NonTaxableAmt"],
                "NumberOfPackages": invoice["NumberofPackages"],
                **company.updated(),
            },
        )
        for number, line in enumerate(lines, start=1):
            detail = {**key, "DetailSeqNo": f"{number:06d}"}
            shared = {name: line[name] for name in TABLES["AR_InvoiceHistoryDetail"].columns if name in line}
            company.insert("AR_InvoiceHistoryDetail", **{**shared, **detail})
            if invoice["InvoiceType"] == "IN":
                self._link_and_relieve(invoice, line, detail["DetailSeqNo"])
            self._move_stock(line)
        for row in taken["SO_InvoiceTracking"]:
            company.insert("AR_InvoiceHistoryTracking", **{**row, "HeaderSeqNo": HEADER_SEQUENCE})
        for row in taken["SO_PackageTrackingByItem"]:
            company.insert("AR_TrackingByItemHistory", **{**row, "HeaderSeqNo": HEADER_SEQUENCE})
        self._book_receivable(invoice)
        if invoice["InvoiceType"] == "IN":
            numbers = dict.fromkeys(line["AppliedSalesOrderNo"] for line in lines)
            for number in numbers:
                if number:
                    self._finish_order(invoice, number, keep_order=keep_order)

    def _link_and_relieve(self, invoice: Row, line: Row, detail_sequence: str) -> None:
        """The link to history, what history knows of the line, and the rest of the live line."""
        company, shipped = self.company, to_decimal(line["QuantityShipped"])
        order_no, sequence = line["AppliedSalesOrderNo"], line["SOHistoryDetlSeqNo"]
        if shipped and order_no and company.switch("keep_order_history") == "Y":
            company.insert(
                "SO_ARInvoiceHistoryLink",
                SalesOrderNo=order_no,
                SequenceNo=sequence,
                InvoiceNo=invoice["InvoiceNo"],
                InvoiceHistoryHeaderSeqNo=HEADER_SEQUENCE,
                InvoiceHistoryDetailSeqNo=detail_sequence,
                InvoiceDate=invoice["InvoiceDate"],
                UnitOfMeasure=line["UnitOfMeasure"],
                QuantityShipped=shipped,
                UnitPrice=line["UnitPrice"],
            )
            history_key = {"SalesOrderNo": order_no, "SequenceNo": sequence}
            history = company.find("SO_SalesOrderHistoryDetail", **history_key)
            if history is not None:
                total = to_decimal(history["QuantityShipped"]) + shipped
                company.update("SO_SalesOrderHistoryDetail", history_key, QuantityShipped=total)
        key = {"SalesOrderNo": order_no, "LineKey": line["OrderLineKey"]}
        live = company.find("SO_SalesOrderDetail", **key)
        if live is None:
            return
        rest = to_decimal(line["QuantityBackordered"]) if line["ItemType"] in GOODS else Decimal(0)
        if line["ItemType"] in GOODS and rest == 0:
            # Shipped in full, or no back order allowed: nothing of the line is left.
            gone = max(to_decimal(live["QuantityOrdered"]) - shipped, Decimal(0))
            if gone and not is_component(live):
                self._give_back_stock(live, gone)
            company.update("SO_SalesOrderDetail", key, QuantityOrdered=0, QuantityBackordered=0)
        elif line["ItemType"] in GOODS:
            kept = company.switch("posting_reduces_quantity") == "N"
            company.update(
                "SO_SalesOrderDetail",
                key,
                QuantityOrdered=to_decimal(live["QuantityOrdered"]) if kept else rest,
                QuantityBackordered=rest,
                QuantityShipped=to_decimal(live["QuantityShipped"]) + shipped if kept else 0,
            )

    def _give_back_stock(self, line: Row, quantity: Decimal) -> None:
        key = {"ItemCode": line["ItemCode"], "WarehouseCode": line["WarehouseCode"]}
        stock = self.company.find("IM_ItemWarehouse", **key)
        if stock is not None and line["ItemType"] == REGULAR:
            moved = quantity * to_decimal(line["UnitOfMeasureConvFactor"])
            self.company.update(
                "IM_ItemWarehouse", key, QuantityOnSalesOrder=to_decimal(stock["QuantityOnSalesOrder"]) - moved
            )

    def _move_stock(self, line: Row) -> None:
        if line["ItemType"] != REGULAR or line["DropShip"] == "Y":
            return
        company = self.company
        moved = to_decimal(line["QuantityShipped"]) * (to_decimal(line["UnitOfMeasureConvFactor"]) or Decimal(1))
        stock_key = {"ItemCode": line["ItemCode"], "WarehouseCode": line["WarehouseCode"]}
        stock = company.find("IM_ItemWarehouse", **stock_key)
        if stock is not None:
            company.update(
                "IM_ItemWarehouse",
                stock_key,
                QuantityOnHand=to_decimal(stock["QuantityOnHand"]) - moved,
                QuantityOnSalesOrder=to_decimal(stock["QuantityOnSalesOrder"]) - max(moved, Decimal(0)),
                **company.updated(),
            )
        item = company.find("CI_Item", ItemCode=line["ItemCode"])
        if item is not None:
            company.update(
                "CI_Item",
                {"ItemCode": line["ItemCode"]},
                TotalQuantityOnHand=to_decimal(item["TotalQuantityOnHand"]) - moved,
                **company.updated(),
            )

    def _book_receivable(self, invoice: Row) -> None:
        company = self.company
        total = sum(
            (to_decimal(invoice[name]) for name in ("TaxableAmt", "NonTaxableAmt", "FreightAmt", "SalesTaxAmt")),
            Decimal(0),
        )
        deposit = to_decimal(invoice["DepositAmt"])
        deposits = {invoice["SalesOrderNo"]: deposit}
        if invoice["MultipleSalesOrdersApplied"] == "Y":
            details = company.select("AR_InvoiceHistoryDetail", InvoiceNo=invoice["InvoiceNo"])
            applied = dict.fromkeys(line["AppliedSalesOrderNo"] for line in details if line["AppliedSalesOrderNo"])
            orders = {number: company.find("SO_SalesOrderHeader", SalesOrderNo=number) or {} for number in applied}
            deposits = {number: to_decimal(order.get("DepositAmt")) for number, order in orders.items()}
        for sequence, (number, amount) in enumerate(deposits.items(), start=1):
            if amount:
                company.insert(
                    "AR_InvoiceHistoryPayment",
                    InvoiceNo=invoice["InvoiceNo"],
                    HeaderSeqNo=HEADER_SEQUENCE,
                    PaymentSeqNo=f"{sequence:06d}",
                    PaymentType=invoice["PaymentType"],
                    PaymentTypeCategory=invoice["PaymentTypeCategory"],
                    TransactionAmt=amount,
                    SalesOrderNo=number,
                    OtherPaymentTypeRefNo=invoice["OtherPaymentTypeRefNo"],
                    **company.updated(),
                )
        company.insert(
            "AR_OpenInvoice",
            ARDivisionNo=invoice["ARDivisionNo"],
            CustomerNo=invoice["CustomerNo"],
            InvoiceNo=invoice["InvoiceNo"],
            InvoiceType=invoice["InvoiceType"],
            InvoiceDate=invoice["InvoiceDate"],
            InvoiceHistoryHeaderSeqNo=HEADER_SEQUENCE,
            CustomerPONo=invoice["CustomerPONo"],
            TaxableAmt=invoice["TaxableAmt"],
            NonTaxableAmt=invoice["NonTaxableAmt"],
            FreightAmt=invoice["FreightAmt"],
            SalesTaxAmt=invoice["SalesTaxAmt"],
            Balance=total - deposit,
            **company.created(),
        )
        key = {"ARDivisionNo": invoice["ARDivisionNo"], "CustomerNo": invoice["CustomerNo"]}
        customer = company.find("AR_Customer", **key)
        if customer is not None:
            company.update(
                "AR_Customer",
                key,
                OpenOrderAmt=max(to_decimal(customer["OpenOrderAmt"]) - total, Decimal(0)),
                CurrentBalance=to_decimal(customer["CurrentBalance"]) + total - deposit,
                **company.updated(),
            )

    def _finish_order(self, invoice: Row, number: str, *, keep_order: bool) -> None:
        """A fully invoiced order leaves the live tables and stays in history as completed; a partial turns to B."""
        company = self.company
        header = company.find("SO_SalesOrderHeader", SalesOrderNo=number)
        if header is None:
            return
        lines = company.select("SO_SalesOrderDetail", SalesOrderNo=number)
        rest = [line for line in lines if self._is_left(line)]
        last = {"LastInvoiceNo": invoice["InvoiceNo"], "LastInvoiceDate": invoice["InvoiceDate"]}
        history = company.find("SO_SalesOrderHistoryHeader", SalesOrderNo=number)
        if history is not None:
            invoiced = sum(
                (to_decimal(invoice[name]) for name in ("TaxableAmt", "NonTaxableAmt", "FreightAmt", "SalesTaxAmt")),
                to_decimal(history["InvoicedAmt"]),
            )
            company.update(
                "SO_SalesOrderHistoryHeader",
                {"SalesOrderNo": number},
                OrderStatus="A" if rest or keep_order else "C",
                InvoicedAmt=invoiced,
                **last,
                **company.updated(),
            )
        if rest or keep_order:
            self._drop_lines(number, [line for line in lines if line["ItemType"] in GOODS and line not in rest])
            company.update(
                "SO_SalesOrderHeader",
                {"SalesOrderNo": number},
                OrderType="B",
                CurrentInvoiceNo="",
                LastInvoiceOrderNo=invoice["InvoiceNo"],
                LastInvoiceOrderDate=invoice["InvoiceDate"],
                FreightAmt=0,
                DepositAmt=0,
                **company.updated(),
            )
        else:
            company.delete("SO_SalesOrderDetail", SalesOrderNo=number)
            company.delete("SO_SalesOrderHeader", SalesOrderNo=number)

    def _is_left(self, line: Row) -> bool:
        if line["ItemType"] not in GOODS or to_decimal(line["QuantityOrdered"]) <= 0:
            return False
        if self.company.switch("posting_reduces_quantity") == "N" and to_decimal(line["QuantityShipped"]) > 0:
            return to_decimal(line["QuantityBackordered"]) > 0
        return True

    def _drop_lines(self, number: str, lines: Sequence[Row]) -> None:
        """Lines of which nothing is left leave a live order."""
        for line in lines:
            self.company.delete("SO_SalesOrderDetail", SalesOrderNo=number, LineKey=line["LineKey"])
