"""The warehouse: turns sales orders into unposted invoices (SO_Invoice*), as people key them.

In: sales orders, quantities by LineKey, packages. Out: rows in SO_Invoice*. Shipping is keyed slowly: header first,
then lines, then tracking, which may come late, change, or never come. Works by line and quantity.
"""

import json
import time
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sandbox.sage100.company import Company, Refusal, Row, cents, to_decimal
from sandbox.sage100.orders import COMMENT, REGULAR, Orders
from sandbox.sage100.schema import TABLES

CARRIER_PREFIX = {"UPS": "1Z999AA1", "FED": "7712", "USP": "94001", "DHL": "JD0146"}
GOODS = (REGULAR, "2")
Quantities = Mapping[str, Decimal]
"""LineKey → quantity to ship; a line that is not named ships nothing, kit components follow their kit."""


def is_component(line: Row) -> bool:
    """Whether a line is a component of an exploded kit."""
    return bool(line["SalesKitLineKey"]) and line["ExplodedKitItem"] == "C"


class Warehouse:
    """People in the warehouse."""

    def __init__(self, company: Company, orders: Orders, step_pause_seconds: float) -> None:
        self.company = company
        self.orders = orders
        self.step_pause_seconds = step_pause_seconds

    # ---- shipping -------------------------------------------------------------------------------------------------

    def ship(
        self,
        sales_order_nos: Sequence[str],
        packages: Sequence[Mapping[str, Any]] | None = None,
        *,
        by_item: bool = False,
        quantities: Quantities | Mapping[str, Quantities] | None = None,
        until: str = "tracking",
        ship_status: str = "S",
        close_short: bool = False,
        invoice_date: date | None = None,
    ) -> str:
        """Ship one order, or several on one invoice; returns the InvoiceNo.

        `quantities` by LineKey (of several orders: by SalesOrderNo, then LineKey); without, everything ships. `until`
        stops after header or lines; `close_short` completes the orders with what ships now.
        """
        invoice_no = self._key_header(sales_order_nos, invoice_date)
        if until == "header":
            return invoice_no
        self._pause()
        with self.company.transaction():
            for number in sales_order_nos:
                by_line: Any = quantities
                if quantities is not None and len(sales_order_nos) > 1:
                    by_line = quantities.get(number, {})
                self._key_lines(invoice_no, number, by_line, close_short=close_short)
            self._add_up(invoice_no)
        if until == "lines":
            return invoice_no
        self._pause()
        self.track(invoice_no, packages, by_item=by_item, ship_status=ship_status)
        return invoice_no

    def finish_interrupted(self) -> None:
        """Whoever keys automatically takes up what was half keyed when the process was killed."""
        for invoice in self.company.select("SO_InvoiceHeader"):
            if invoice["InvoiceType"] != "IN" or invoice["ShipStatus"] not in ("N", "L"):
                continue
            number = invoice["InvoiceNo"]
            if not self.company.select("SO_InvoiceDetail", InvoiceNo=number):
                with self.company.transaction():
                    self._key_lines(number, invoice["SalesOrderNo"], None, close_short=False)
                    self._add_up(number)
            self.track(number, ship_status="S")

    def _pause(self) -> None:
        if self.step_pause_seconds:
            time.sleep(self.step_pause_seconds)

    def _key_header(self, sales_order_nos: Sequence[str], invoice_date: date | None) -> str:
        company = self.company
        with company.transaction():
            orders = []
            for number in sales_order_nos:
                order = company.find("SO_SalesOrderHeader", SalesOrderNo=number)
                if order is None:
                    raise Refusal(404, "SO_NotFound", f"Sales order {number} is not open.")
                if order["OrderStatus"] in ("H", "C"):
                    what = "on hold" if order["OrderStatus"] == "H" else "closed"
                    raise Refusal(422, "SO_OnHold", f"Sales order {number} is {what}.", "OrderStatus")
                if order["CurrentInvoiceNo"]:
                    raise Refusal(422, "SO_Invoiced", f"Invoice {order['CurrentInvoiceNo']} is not posted yet.")
                orders.append(order)
            invoice_no = f"{company.next_number('next_invoice_no'):07d}"
            order = orders[0]
            shared = {name: order[name] for name in TABLES["SO_InvoiceHeader"].columns if name in order}
            for name in ("TaxableAmt", "NonTaxableAmt", "SalesTaxAmt", "FreightAmt"):
                shared[name] = Decimal(0)
            company.insert(
                "SO_InvoiceHeader",
                **{
                    **shared,
                    "InvoiceNo": invoice_no,
                    "InvoiceType": "IN",
                    "InvoiceDate": invoice_date or company.today(),
                    "ShipDate": company.today(),
                    "ShipStatus": "N",
                    "DepositAmt": sum((to_decimal(one["DepositAmt"]) for one in orders), Decimal(0)),
                    "MultipleSalesOrdersApplied": "Y" if len(orders) > 1 else "N",
                    **company.created(),
                },
            )
            for one in orders:
                company.update(
                    "SO_SalesOrderHeader",
                    {"SalesOrderNo": one["SalesOrderNo"]},
                    CurrentInvoiceNo=invoice_no,
                    **company.updated(),
                )
        return invoice_no

    def _key_lines(
        self, invoice_no: str, sales_order_no: str, quantities: Quantities | None, *, close_short: bool
    ) -> None:
        company = self.company
        order = company.find("SO_SalesOrderHeader", SalesOrderNo=sales_order_no) or {}
        first = not order.get("LastInvoiceOrderNo")
        shipped: dict[str, Decimal] = {}
        number = len(company.select("SO_InvoiceDetail", InvoiceNo=invoice_no))
        for line in company.select("SO_SalesOrderDetail", SalesOrderNo=sales_order_no):
            goods = line["ItemType"] in GOODS
            ordered = to_decimal(line["QuantityOrdered"])
            quantity = ordered
            if goods and quantities is not None:
                if is_component(line) and line["LineKey"] not in quantities:
                    quantity = min(ordered, shipped.get(line["SalesKitLineKey"], Decimal(0)) * _per_kit(line))
                else:
                    quantity = quantities.get(line["LineKey"], Decimal(0))
            elif not goods and not first:
                # Charges cannot be back-ordered: they were billed on the first invoice.
                quantity = Decimal(0)
            shipped[line["LineKey"]] = quantity
            number += 1
            shared = {name: line[name] for name in TABLES["SO_InvoiceDetail"].columns if name in line}
            company.insert(
                "SO_InvoiceDetail",
                **{
                    **shared,
                    "InvoiceNo": invoice_no,
                    "LineKey": f"{number:06d}",
                    "LineSeqNo": f"{number:014d}",
                    "OrderLineKey": line["LineKey"],
                    "AppliedSalesOrderNo": sales_order_no,
                    "AppliedCustomerPONo": order.get("CustomerPONo", ""),
                    "QuantityShipped": quantity,
                    "QuantityBackordered": self._back_ordered(line, ordered - quantity, close_short=close_short),
                    "ExtensionAmt": Decimal(0)
                    if line["ItemType"] == COMMENT
                    else cents(quantity * to_decimal(line["UnitPrice"])),
                },
            )

    def _back_ordered(self, line: Row, rest: Decimal, *, close_short: bool) -> Decimal:
        """What stays on the order: nothing of an item that allows no back orders, of a line that is closed short."""
        if line["ItemType"] not in GOODS or close_short or rest <= 0:
            return Decimal(0)
        if is_component(line) and line["BackorderKitCompLine"] != "Y":
            return Decimal(0)
        item = self.company.find("CI_Item", ItemCode=line["ItemCode"])
        return Decimal(0) if item is not None and item["AllowBackOrders"] == "N" else rest

    def _add_up(self, invoice_no: str) -> None:
        company = self.company
        lines = company.select("SO_InvoiceDetail", InvoiceNo=invoice_no)
        freight = Decimal(0)
        for number in dict.fromkeys(line["AppliedSalesOrderNo"] for line in lines):
            order = company.find("SO_SalesOrderHeader", SalesOrderNo=number) or {}
            if not order.get("LastInvoiceOrderNo"):
                freight += to_decimal(order.get("FreightAmt"))
        invoice = company.find("SO_InvoiceHeader", InvoiceNo=invoice_no) or {}
        totals: Row = {"TaxSchedule": invoice["TaxSchedule"], "FreightAmt": freight}
        self.orders.add_totals(totals, lines)
        company.update(
            "SO_InvoiceHeader",
            {"InvoiceNo": invoice_no},
            **{name: totals[name] for name in ("TaxableAmt", "NonTaxableAmt", "SalesTaxAmt", "FreightAmt")},
            ShipStatus="L",
            **company.updated(),
        )

    # ---- after the lines ------------------------------------------------------------------------------------------

    def change_quantities(self, invoice_no: str, quantities: Quantities) -> None:
        """Correct what an unposted invoice ships, by OrderLineKey."""
        company = self.company
        with company.transaction():
            self._unposted(invoice_no)
            for line in company.select("SO_InvoiceDetail", InvoiceNo=invoice_no):
                if line["OrderLineKey"] in quantities:
                    quantity = quantities[line["OrderLineKey"]]
                    rest = to_decimal(line["QuantityOrdered"]) - quantity
                    company.update(
                        "SO_InvoiceDetail",
                        {"InvoiceNo": invoice_no, "LineKey": line["LineKey"]},
                        QuantityShipped=quantity,
                        QuantityBackordered=self._back_ordered(line, rest, close_short=False),
                        ExtensionAmt=cents(quantity * to_decimal(line["UnitPrice"])),
                    )
            self._add_up(invoice_no)

    def track(
        self,
        invoice_no: str,
        packages: Sequence[Mapping[str, Any]] | None = None,
        *,
        by_item: bool = False,
        ship_status: str | None = None,
    ) -> None:
        """Key or replace the packages of an invoice, posted or not; `packages` None is one with a number of its own.

        A package is {TrackingID?, StarshipShipVia?, Weight?, Items?: {ItemCode: quantity}}; without TrackingID it gets
        one, with an empty one it has none.
        """
        company = self.company
        with company.transaction():
            invoice = company.find("SO_InvoiceHeader", InvoiceNo=invoice_no)
            posted = company.find("AR_InvoiceHistoryHeader", InvoiceNo=invoice_no) if invoice is None else None
            found = invoice or posted
            if found is None:
                raise Refusal(404, "SO_NotFound", f"Invoice {invoice_no} is not there any more.")
            tracking, contents, lines = (
                ("SO_InvoiceTracking", "SO_PackageTrackingByItem", "SO_InvoiceDetail")
                if posted is None
                else ("AR_InvoiceHistoryTracking", "AR_TrackingByItemHistory", "AR_InvoiceHistoryDetail")
            )
            key = {"InvoiceNo": invoice_no} if posted is None else {
                "InvoiceNo": invoice_no, "HeaderSeqNo": posted["HeaderSeqNo"]}  # fmt: skip
            company.delete(tracking, **key)
            company.delete(contents, **key)
            prefix = CARRIER_PREFIX.get(found["ShipVia"][:3], "PKG")
            wanted = [dict(package) for package in packages] if packages is not None else [{}]
            if by_item and wanted:
                self._spread(wanted, company.select(lines, **key))
            for number, package in enumerate(wanted, start=1):
                package_no = f"{number:04d}"
                tracking_id = package.get("TrackingID")
                company.insert(
                    tracking,
                    **key,
                    PackageNo=package_no,
                    TrackingID=f"{prefix}{invoice_no}{number:04d}" if tracking_id is None else str(tracking_id),
                    StarshipShipVia=str(package.get("StarshipShipVia") or found["ShipVia"]),
                    Weight=to_decimal(package.get("Weight")),
                )
                for item_code, quantity in (package.get("Items") or {}).items():
                    company.insert(
                        contents, **key, PackageNo=package_no, ItemCode=item_code, Quantity=to_decimal(quantity)
                    )
            if invoice is not None:
                company.update(
                    "SO_InvoiceHeader",
                    key,
                    NumberofPackages=len(wanted),
                    **({} if ship_status is None else {"ShipStatus": ship_status}),
                    **company.updated(),
                )

    @staticmethod
    def _spread(packages: list[dict[str, Any]], lines: Sequence[Row]) -> None:
        """Contents per package, the items one after the other over the packages."""
        contents: dict[str, Decimal] = {}
        for line in lines:
            shipped = to_decimal(line["QuantityShipped"])
            if line["ItemType"] == REGULAR and shipped:
                contents[line["ItemCode"]] = contents.get(line["ItemCode"], Decimal(0)) + shipped
        for position, (item_code, quantity) in enumerate(contents.items()):
            packages[position % len(packages)].setdefault("Items", {})[item_code] = quantity

    def void(self, invoice_no: str, *, keep_as_deleted: bool = False) -> None:
        """Delete an invoice before it is posted: the row goes, or stays with InvoiceType XD."""
        company = self.company
        with company.transaction():
            invoice = self._unposted(invoice_no)
            lines = company.select("SO_InvoiceDetail", InvoiceNo=invoice_no)
            numbers = {invoice["SalesOrderNo"], *(line["AppliedSalesOrderNo"] for line in lines)}
            if keep_as_deleted:
                company.update(
                    "SO_InvoiceHeader",
                    {"InvoiceNo": invoice_no},
                    InvoiceType="XD",
                    ShipStatus="D",
                    **company.updated(),
                )
            else:
                company.delete("SO_InvoiceHeader", InvoiceNo=invoice_no)
            for table in ("SO_InvoiceDetail", "SO_InvoiceTracking", "SO_PackageTrackingByItem"):
                company.delete(table, InvoiceNo=invoice_no)
            for number in numbers - {""}:
                company.update("SO_SalesOrderHeader", {"SalesOrderNo": number}, CurrentInvoiceNo="")

    def _unposted(self, invoice_no: str) -> Row:
        invoice = self.company.find("SO_InvoiceHeader", InvoiceNo=invoice_no)
        if invoice is None:
            raise Refusal(404, "SO_NotFound", f"Invoice {invoice_no} is not among the unposted ones.")
        return invoice

    # ---- what is no shipment --------------------------------------------------------------------------------------

    def one_step_invoice(self, division: str, customer_no: str, item_code: str, quantity: Decimal) -> str:
        """An invoice without a sales order (OrderType 1), keyed straight at the counter."""
        return self._loose_invoice(
            {"ARDivisionNo": division, "CustomerNo": customer_no, "InvoiceType": "IN", "OrderType": "1"},
            [{"ItemCode": item_code, "ItemType": REGULAR, "QuantityShipped": quantity}],
        )

    def credit_memo(self, invoice_no: str) -> str:
        """A credit memo for a posted invoice: the same order and lines, quantities negative."""
        posted = self.company.find("AR_InvoiceHistoryHeader", InvoiceNo=invoice_no)
        if posted is None:
            raise Refusal(404, "SO_NotFound", f"Invoice {invoice_no} is not posted.")
        lines = [
            {
                "ItemCode": line["ItemCode"],
                "ItemType": line["ItemType"],
                "AppliedSalesOrderNo": line["AppliedSalesOrderNo"],
                "QuantityShipped": -to_decimal(line["QuantityShipped"]),
                "ExtensionAmt": -to_decimal(line["ExtensionAmt"]),
            }
            for line in self.company.select("AR_InvoiceHistoryDetail", InvoiceNo=invoice_no)
        ]
        names = ("ARDivisionNo", "CustomerNo", "SalesOrderNo", "CustomerPONo", "OrderType", "TaxSchedule")
        header = {name: posted[name] for name in names}
        for name, in_history in (
            ("TaxableAmt", "TaxableSalesAmt"),
            ("NonTaxableAmt", "NonTaxableSalesAmt"),
            *((name, name) for name in ("FreightAmt", "SalesTaxAmt", "DiscountAmt")),
        ):
            header[name] = -to_decimal(posted[in_history])
        return self._loose_invoice({**header, "InvoiceType": "CM", "ApplyToInvoiceNo": invoice_no}, lines)

    def _loose_invoice(self, header: Row, lines: Sequence[Row]) -> str:
        company = self.company
        with company.transaction():
            invoice_no = f"{company.next_number('next_invoice_no'):07d}"
            company.insert(
                "SO_InvoiceHeader",
                **{
                    **header,
                    "InvoiceNo": invoice_no,
                    "InvoiceDate": company.today(),
                    "ShipDate": company.today(),
                    "ShipStatus": "S",
                    **company.created(),
                },
            )
            for number, line in enumerate(lines, start=1):
                company.insert(
                    "SO_InvoiceDetail",
                    **{**line, "InvoiceNo": invoice_no, "LineKey": f"{number:06d}", "UnitOfMeasureConvFactor": 1},
                )
        return invoice_no

    # ---- the automatic warehouse ----------------------------------------------------------------------------------

    def due_to_ship(self, after_seconds: float) -> list[str]:
        """Open orders created so long ago that they ship now; those that it was told to leave alone never do."""
        left_alone = set(json.loads(self.company.state("left_alone") or "[]"))
        return [
            row["SalesOrderNo"]
            for row in self.company.rows(
                "SELECT SalesOrderNo, DateCreated, TimeCreated, UDF_WEB_ORDER_ID FROM SO_SalesOrderHeader "
                "WHERE OrderStatus IN ('N', 'O') AND CurrentInvoiceNo = '' ORDER BY SalesOrderNo"
            )
            if row["UDF_WEB_ORDER_ID"] not in left_alone
            and self._age(row["DateCreated"], row["TimeCreated"]) >= timedelta(seconds=after_seconds)
        ]

    def leave_alone(self, web_order_ids: Sequence[str]) -> list[str]:
        """The automatic warehouse ships these orders only when told; returns all of them."""
        known = json.loads(self.company.state("left_alone") or "[]")
        every = sorted({*known, *web_order_ids})
        self.company.set_state("left_alone", json.dumps(every))
        return every

    def on_the_shelf(self, number: str) -> dict[str, Decimal] | None:
        """What of an order the warehouse can really ship now, by LineKey; None when that is everything.

        A back-ordered line is filled when all of it is there; kits and what has no stock always ship.
        """
        company = self.company
        lines = company.select("SO_SalesOrderDetail", SalesOrderNo=number)
        quantities: dict[str, Decimal] = {}
        left: dict[tuple[str, str], Decimal] = {}
        everything = True
        for line in lines:
            if line["ItemType"] not in GOODS or is_component(line):
                continue
            ordered = to_decimal(line["QuantityOrdered"])
            quantity = ordered
            if line["ItemType"] == "1" and line["DropShip"] != "Y" and not line["SalesKitLineKey"]:
                place = (line["ItemCode"], line["WarehouseCode"])
                factor = to_decimal(line["UnitOfMeasureConvFactor"]) or Decimal(1)
                free = left.setdefault(place, self._free(*place)) // factor
                waits_whole = to_decimal(line["QuantityBackordered"]) >= ordered
                quantity = Decimal(0) if waits_whole and free < ordered else max(min(ordered, free), Decimal(0))
                left[place] -= quantity * factor
            everything = everything and quantity == ordered
            quantities[line["LineKey"]] = quantity
        return None if everything else quantities

    def _free(self, item_code: str, warehouse: str) -> Decimal:
        """On hand, less what is packed on invoices that are not posted yet."""
        stock = self.company.find("IM_ItemWarehouse", ItemCode=item_code, WarehouseCode=warehouse)
        packed = sum(
            (
                to_decimal(line["QuantityShipped"]) * (to_decimal(line["UnitOfMeasureConvFactor"]) or Decimal(1))
                for line in self.company.select("SO_InvoiceDetail", ItemCode=item_code, WarehouseCode=warehouse)
            ),
            Decimal(0),
        )
        return (to_decimal(stock["QuantityOnHand"]) if stock is not None else Decimal(0)) - packed

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


def _per_kit(line: Row) -> Decimal:
    return to_decimal(line["QuantityPerBill"]) or Decimal(1)
