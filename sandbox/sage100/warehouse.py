"""The warehouse and the office: ships orders, posts invoices (the Sales Journal update).

In: a SalesOrderNo, an InvoiceNo. Out: rows in SO_Invoice*, later moved to AR_InvoiceHistory*. Shipping is keyed slowly,
as people do: header first, then lines, then tracking. Works by line and quantity.
"""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sandbox.sage100.company import Company, Refusal, Row, cents, to_decimal
from sandbox.sage100.orders import COMMENT, REGULAR, Orders
from sandbox.sage100.schema import TABLES

CARRIER_PREFIX = {"UPS": "1Z999AA1", "FED": "7712", "USP": "94001", "DHL": "JD0146"}
HEADER_SEQUENCE = "000001"


class Warehouse:
    """People in the warehouse and in the office."""

    def __init__(self, company: Company, orders: Orders, step_pause_seconds: float) -> None:
        self.company = company
        self.orders = orders
        self.step_pause_seconds = step_pause_seconds

    # ---- shipping -------------------------------------------------------------------------------------------------

    def ship(
        self,
        sales_order_no: str,
        packages: Sequence[Mapping[str, Any]] | None = None,
        *,
        by_item: bool = False,
        quantities: Mapping[str, Decimal] | None = None,
    ) -> str:
        """Ship an order (all of it, or `quantities` by LineKey); returns the InvoiceNo."""
        invoice_no = self._key_header(sales_order_no)
        self._pause()
        self._key_lines(invoice_no, sales_order_no, quantities)
        self._pause()
        self._key_tracking(invoice_no, packages, by_item=by_item)
        return invoice_no

    def _pause(self) -> None:
        if self.step_pause_seconds:
            time.sleep(self.step_pause_seconds)

    def _key_header(self, sales_order_no: str) -> str:
        company = self.company
        with company.transaction():
            order = company.find("SO_SalesOrderHeader", SalesOrderNo=sales_order_no)
            if order is None:
                raise Refusal(404, "SO_NotFound", f"Sales order {sales_order_no} is not open.")
            if order["OrderStatus"] == "H":
                raise Refusal(422, "SO_OnHold", f"Sales order {sales_order_no} is on hold.", "OrderStatus")
            if order["CurrentInvoiceNo"]:
                raise Refusal(422, "SO_Invoiced", f"Invoice {order['CurrentInvoiceNo']} is not posted yet.")
            invoice_no = f"{company.next_number('next_invoice_no'):07d}"
            shared = {name: order[name] for name in TABLES["SO_InvoiceHeader"].columns if name in order}
            for name in ("TaxableAmt", "NonTaxableAmt", "SalesTaxAmt", "FreightAmt"):
                shared[name] = Decimal(0)
            company.insert(
                "SO_InvoiceHeader",
                **{
                    **shared,
                    "InvoiceNo": invoice_no,
                    "InvoiceType": "IN",
                    "InvoiceDate": company.today(),
                    "ShipDate": company.today(),
                    "ShipStatus": "N",
                    **company.created(),
                },
            )
            company.update(
                "SO_SalesOrderHeader",
                {"SalesOrderNo": sales_order_no},
                CurrentInvoiceNo=invoice_no,
                **company.updated(),
            )
        return invoice_no

    def _key_lines(self, invoice_no: str, sales_order_no: str, quantities: Mapping[str, Decimal] | None) -> None:
        company = self.company
        with company.transaction():
            order = company.find("SO_SalesOrderHeader", SalesOrderNo=sales_order_no) or {}
            first = not order.get("LastInvoiceOrderNo")
            lines: list[Row] = []
            for line in company.select("SO_SalesOrderDetail", SalesOrderNo=sales_order_no):
                goods = line["ItemType"] in (REGULAR, "2")
                quantity = to_decimal(line["QuantityOrdered"])
                if goods and quantities is not None:
                    quantity = min(quantity, quantities.get(line["LineKey"], Decimal(0)))
                elif not goods and not first:
                    # Charges cannot be back-ordered: they were billed on the first invoice.
                    quantity = Decimal(0)
                shared = {name: line[name] for name in TABLES["SO_InvoiceDetail"].columns if name in line}
                lines.append(
                    {
                        **shared,
                        "InvoiceNo": invoice_no,
                        "OrderLineKey": line["LineKey"],
                        "AppliedSalesOrderNo": sales_order_no,
                        "QuantityShipped": quantity,
                        "QuantityBackordered": to_decimal(line["QuantityOrdered"]) - quantity if goods else 0,
                        "ExtensionAmt": Decimal(0)
                        if line["ItemType"] == COMMENT
                        else cents(quantity * to_decimal(line["UnitPrice"])),
                    }
                )
            for line in lines:
                company.insert("SO_InvoiceDetail", **line)
            totals: Row = {
                "TaxSchedule": order["TaxSchedule"],
                "FreightAmt": to_decimal(order["FreightAmt"]) if first else Decimal(0),
            }
            self.orders.add_totals(totals, lines)
            company.update(
                "SO_InvoiceHeader",
                {"InvoiceNo": invoice_no},
                **{name: totals[name] for name in ("TaxableAmt", "NonTaxableAmt", "SalesTaxAmt", "FreightAmt")},
                ShipStatus="L",
                **company.updated(),
            )

    def _key_tracking(self, invoice_no: str, packages: Sequence[Mapping[str, Any]] | None, *, by_item: bool) -> None:
        company = self.company
        with company.transaction():
            invoice = company.find("SO_InvoiceHeader", InvoiceNo=invoice_no)
            if invoice is None:
                raise Refusal(404, "SO_NotFound", f"Invoice {invoice_no} is not there any more.")
            prefix = CARRIER_PREFIX.get(invoice["ShipVia"][:3], "PKG")
            wanted = list(packages) if packages is not None else [{}]
            for number, package in enumerate(wanted, start=1):
                company.insert(
                    "SO_InvoiceTracking",
                    InvoiceNo=invoice_no,
                    PackageNo=f"{number:04d}",
                    TrackingID=str(package.get("TrackingID") or f"{prefix}{invoice_no}{number:04d}"),
                    StarshipShipVia=str(package.get("StarshipShipVia") or invoice["ShipVia"]),
                    Weight=to_decimal(package.get("Weight")),
                )
            if by_item and wanted:
                contents: dict[str, Decimal] = {}
                for line in company.select("SO_InvoiceDetail", InvoiceNo=invoice_no):
                    if line["ItemType"] == REGULAR:
                        quantity = contents.get(line["ItemCode"], Decimal(0)) + to_decimal(line["QuantityShipped"])
                        contents[line["ItemCode"]] = quantity
                for position, (item_code, quantity) in enumerate(contents.items()):
                    company.insert(
                        "SO_PackageTrackingByItem",
                        InvoiceNo=invoice_no,
                        PackageNo=f"{position % len(wanted) + 1:04d}",
                        ItemCode=item_code,
                        Quantity=quantity,
                    )
            company.update(
                "SO_InvoiceHeader",
                {"InvoiceNo": invoice_no},
                ShipStatus="S",
                NumberofPackages=len(wanted),
                **company.updated(),
            )

    # ---- posting --------------------------------------------------------------------------------------------------

    def post(self, invoice_no: str | None = None) -> list[str]:
        """Sales Journal update of one invoice, or of all that are shipped; returns the InvoiceNos posted."""
        company = self.company
        if invoice_no is not None and company.find("SO_InvoiceHeader", InvoiceNo=invoice_no) is None:
            raise Refusal(404, "SO_NotFound", f"Invoice {invoice_no} is not there to be posted.")
        invoices = [
            invoice
            for invoice in company.select("SO_InvoiceHeader")
            if invoice["InvoiceNo"] == invoice_no or (invoice_no is None and invoice["ShipStatus"] == "S")
        ]
        for invoice in invoices:
            with company.transaction():
                self._post(invoice)
        return [invoice["InvoiceNo"] for invoice in invoices]

    def _post(self, invoice: Row) -> None:
        company, invoice_no = self.company, invoice["InvoiceNo"]
        lines = company.select("SO_InvoiceDetail", InvoiceNo=invoice_no)
        key = {"InvoiceNo": invoice_no, "HeaderSeqNo": HEADER_SEQUENCE}
        shared = {name: invoice[name] for name in TABLES["AR_InvoiceHistoryHeader"].columns if name in invoice}
        company.insert(
            "AR_InvoiceHistoryHeader",
            **{
                **shared,
                **key,
                "ModuleCode": "S/O",
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
            self._link_and_relieve(invoice, line, detail["DetailSeqNo"])
        for row in company.select("SO_InvoiceTracking", InvoiceNo=invoice_no):
            company.insert("AR_InvoiceHistoryTracking", **{**row, "HeaderSeqNo": HEADER_SEQUENCE})
        for row in company.select("SO_PackageTrackingByItem", InvoiceNo=invoice_no):
            company.insert("AR_TrackingByItemHistory", **{**row, "HeaderSeqNo": HEADER_SEQUENCE})
        for table in ("SO_InvoiceHeader", "SO_InvoiceDetail", "SO_InvoiceTracking", "SO_PackageTrackingByItem"):
            company.delete(table, InvoiceNo=invoice_no)
        self._book_receivable(invoice)
        self._finish_order(invoice)

    def _link_and_relieve(self, invoice: Row, line: Row, detail_sequence: str) -> None:
        """The link to history, what history knows of the line, the rest of the live line, and the stock."""
        company, shipped = self.company, to_decimal(line["QuantityShipped"])
        order_no, sequence = line["AppliedSalesOrderNo"], line["SOHistoryDetlSeqNo"]
        if shipped and company.facts["keep_order_history"]:
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
            history = company.find("SO_SalesOrderHistoryDetail", SalesOrderNo=order_no, SequenceNo=sequence)
            if history is not None:
                company.update(
                    "SO_SalesOrderHistoryDetail",
                    {"SalesOrderNo": order_no, "SequenceNo": sequence},
                    QuantityShipped=to_decimal(history["QuantityShipped"]) + shipped,
                )
        key = {"SalesOrderNo": order_no, "LineKey": line["OrderLineKey"]}
        live = company.find("SO_SalesOrderDetail", **key)
        if live is not None:
            company.update("SO_SalesOrderDetail", key, QuantityOrdered=to_decimal(live["QuantityOrdered"]) - shipped)
        if line["ItemType"] != REGULAR:
            return
        moved = shipped * to_decimal(line["UnitOfMeasureConvFactor"])
        stock_key = {"ItemCode": line["ItemCode"], "WarehouseCode": line["WarehouseCode"]}
        stock = company.find("IM_ItemWarehouse", **stock_key)
        if stock is not None:
            company.update(
                "IM_ItemWarehouse",
                stock_key,
                QuantityOnHand=to_decimal(stock["QuantityOnHand"]) - moved,
                QuantityOnSalesOrder=to_decimal(stock["QuantityOnSalesOrder"]) - moved,
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
        if deposit:
            company.insert(
                "AR_InvoiceHistoryPayment",
                InvoiceNo=invoice["InvoiceNo"],
                HeaderSeqNo=HEADER_SEQUENCE,
                PaymentSeqNo="000001",
                PaymentType=invoice["PaymentType"],
                PaymentTypeCategory=invoice["PaymentTypeCategory"],
                TransactionAmt=deposit,
                SalesOrderNo=invoice["SalesOrderNo"],
                OtherPaymentTypeRefNo=invoice["OtherPaymentTypeRefNo"],
                **company.updated(),
            )
        company.insert(
            "AR_OpenInvoice",
            ARDivisionNo=invoice["ARDivisionNo"],
            CustomerNo=invoice["CustomerNo"],
            InvoiceNo=invoice["InvoiceNo"],
            InvoiceType="IN",
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

    def _finish_order(self, invoice: Row) -> None:
        """A fully invoiced order leaves the live tables and stays in history as completed; a partial turns to B."""
        company, number = self.company, invoice["SalesOrderNo"]
        header = company.find("SO_SalesOrderHeader", SalesOrderNo=number)
        if header is None:
            return
        rest = [
            line
            for line in company.select("SO_SalesOrderDetail", SalesOrderNo=number)
            if line["ItemType"] in (REGULAR, "2") and to_decimal(line["QuantityOrdered"]) > 0
        ]
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
                OrderStatus="A" if rest else "C",
                InvoicedAmt=invoiced,
                **last,
                **company.updated(),
            )
        if rest:
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

    # ---- the automatic warehouse ----------------------------------------------------------------------------------

    def due_to_ship(self, after_seconds: float) -> list[str]:
        """Open orders created so long ago that they ship now."""
        return [
            row["SalesOrderNo"]
            for row in self.company.rows(
                "SELECT SalesOrderNo, DateCreated, TimeCreated FROM SO_SalesOrderHeader "
                "WHERE OrderStatus IN ('N', 'O') AND CurrentInvoiceNo = '' ORDER BY SalesOrderNo"
            )
            if self._age(row["DateCreated"], row["TimeCreated"]) >= timedelta(seconds=after_seconds)
        ]

    def due_to_post(self, after_seconds: float) -> list[str]:
        """Shipped invoices unchanged so long that the office posts them."""
        return [
            row["InvoiceNo"]
            for row in self.company.rows(
                "SELECT InvoiceNo, DateUpdated, TimeUpdated FROM SO_InvoiceHeader "
                "WHERE ShipStatus = 'S' ORDER BY InvoiceNo"
            )
            if self._age(row["DateUpdated"], row["TimeUpdated"]) >= timedelta(seconds=after_seconds)
        ]

    def _age(self, day: str, hours: str) -> timedelta:
        now = self.company.now().replace(tzinfo=None)
        return now - (datetime.fromisoformat(day) + timedelta(hours=float(hours)))
