"""What people change on a sales order in Sage after it was created: cancel, cut, split, substitute, hold, delete.

In: a SalesOrderNo, a line, what to do. Out: changed rows, live and (where the company keeps it) in history.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from pydantic import BaseModel

from sandbox.sage100.company import Company, Refusal, Row, cents, to_decimal
from sandbox.sage100.orders import TOTALS, Orders
from sandbox.sage100.schema import TABLES


class ChangeOrder(BaseModel):
    """`POST /_control/order`."""

    SalesOrderNo: str
    Action: str
    """cancel_line, cut, split, substitute, replace, add_line, drop_ship, hold, release, close, delete."""
    LineKey: str = ""
    Quantity: Decimal | None = None
    ItemCode: str = ""
    WarehouseCode: str = ""
    CancelReasonCode: str = ""


class Changes:
    """People at the order desk."""

    def __init__(self, company: Company, orders: Orders) -> None:
        self.company = company
        self.orders = orders

    def change(self, wanted: ChangeOrder) -> Row:
        """Do it; returns the order as it stands then, `{}` when it is gone."""
        actions: dict[str, Callable[[ChangeOrder, Row], None]] = {
            "cancel_line": self._cancel_line,
            "cut": self._cut,
            "split": self._split,
            "substitute": self._substitute,
            "replace": self._replace,
            "add_line": self._add_line,
            "drop_ship": self._drop_ship,
            "hold": lambda one, _: self._set_status(one, "H"),
            "release": lambda one, _: self._set_status(one, "O"),
            "renew": lambda one, _: self._set_status(one, "N"),
            "close": lambda one, _: self._set_status(one, "C"),
            "delete": self._delete,
        }
        action = actions.get(wanted.Action)
        if action is None:
            raise Refusal(
                422, "SO_Action", f"There is no action {wanted.Action}; choose {', '.join(actions)}.", "Action"
            )
        with self.company.transaction():
            header = self.company.find("SO_SalesOrderHeader", SalesOrderNo=wanted.SalesOrderNo)
            if header is None:
                raise Refusal(404, "SO_NotFound", f"Sales order {wanted.SalesOrderNo} is not open.")
            action(wanted, header)
            if self.company.find("SO_SalesOrderHeader", SalesOrderNo=wanted.SalesOrderNo) is None:
                return {}
            self.add_up(wanted.SalesOrderNo)
        return self.orders.get(wanted.SalesOrderNo)

    def remove(self, number: str) -> None:
        """`DELETE /SO/SalesOrder/{no}`: a live order of which nothing was shipped."""
        header = self.company.find("SO_SalesOrderHeader", SalesOrderNo=number)
        if header is not None and header["LastInvoiceOrderNo"]:
            raise Refusal(422, "SO_Invoiced", f"Sales order {number} was invoiced; close it instead.")
        self.change(ChangeOrder(SalesOrderNo=number, Action="delete"))

    # ---- lines ----------------------------------------------------------------------------------------------------

    def _line(self, wanted: ChangeOrder) -> Row:
        line = self.company.find("SO_SalesOrderDetail", SalesOrderNo=wanted.SalesOrderNo, LineKey=wanted.LineKey)
        if line is None:
            raise Refusal(404, "SO_NoLine", f"Line {wanted.LineKey} is not on the order.", "LineKey")
        return line

    def _cancel_line(self, wanted: ChangeOrder, header: Row) -> None:
        self.remove_line(self._line(wanted), wanted.CancelReasonCode)

    def remove_line(self, line: Row, reason: str = "") -> None:
        """A line leaves the live order."""
        self.company.delete("SO_SalesOrderDetail", SalesOrderNo=line["SalesOrderNo"], LineKey=line["LineKey"])
        self.orders.commit_stock(line, -to_decimal(line["QuantityOrdered"]))
        self._forget_or_mark(line, reason)

    def _forget_or_mark(self, line: Row, reason: str) -> None:
        """History of deleted lines is an option of its own; what was shipped of a line is always kept."""
        key = {"SalesOrderNo": line["SalesOrderNo"], "SequenceNo": line["SOHistoryDetlSeqNo"]}
        history = self.company.find("SO_SalesOrderHistoryDetail", **key)
        if history is None:
            return
        if self.company.switch("keep_deleted_history") == "Y" or to_decimal(history["QuantityShipped"]):
            self.company.update(
                "SO_SalesOrderHistoryDetail",
                key,
                CancelledLine="Y",
                CancelReasonCode=reason,
                QuantityOrderedRevised=history["QuantityShipped"],
            )
        else:
            self.company.delete("SO_SalesOrderHistoryDetail", **key)

    def _cut(self, wanted: ChangeOrder, header: Row) -> None:
        line = self._line(wanted)
        if wanted.Quantity is None or wanted.Quantity < 0:
            raise Refusal(422, "SO_Quantity", "Name the new quantity.", "Quantity")
        self.set_quantity(line, wanted.Quantity, wanted.CancelReasonCode)

    def set_quantity(self, line: Row, quantity: Decimal, reason: str = "") -> None:
        """Another quantity of a line, its stock and its row in history."""
        self.orders.commit_stock(line, quantity - to_decimal(line["QuantityOrdered"]))
        self.company.update(
            "SO_SalesOrderDetail",
            {"SalesOrderNo": line["SalesOrderNo"], "LineKey": line["LineKey"]},
            QuantityOrdered=quantity,
            ExtensionAmt=cents(quantity * to_decimal(line["UnitPrice"])),
        )
        key = {"SalesOrderNo": line["SalesOrderNo"], "SequenceNo": line["SOHistoryDetlSeqNo"]}
        if self.company.find("SO_SalesOrderHistoryDetail", **key) is not None:
            self.company.update(
                "SO_SalesOrderHistoryDetail", key, QuantityOrderedRevised=quantity, CancelReasonCode=reason
            )

    def _split(self, wanted: ChangeOrder, header: Row) -> None:
        """Part of a line from another warehouse: a second line, with the first one's UDF as Sage copies it."""
        line, moved = self._line(wanted), wanted.Quantity or Decimal(1)
        self.set_quantity(line, to_decimal(line["QuantityOrdered"]) - moved)
        self.insert_line({**line, "WarehouseCode": wanted.WarehouseCode or "001", "QuantityOrdered": moved})

    def _substitute(self, wanted: ChangeOrder, header: Row) -> None:
        """Another item on the same line: it keeps its LineKey, price and UDF."""
        line, item = self._line(wanted), self._item(wanted.ItemCode)
        self.orders.commit_stock(line, -to_decimal(line["QuantityOrdered"]))
        changed = {"ItemCode": item["ItemCode"], "ItemCodeDesc": item["ItemCodeDesc"]}
        self.company.update(
            "SO_SalesOrderDetail", {"SalesOrderNo": line["SalesOrderNo"], "LineKey": line["LineKey"]}, **changed
        )
        key = {"SalesOrderNo": line["SalesOrderNo"], "SequenceNo": line["SOHistoryDetlSeqNo"]}
        if self.company.find("SO_SalesOrderHistoryDetail", **key) is not None:
            self.company.update("SO_SalesOrderHistoryDetail", key, **changed)
        self.orders.commit_stock({**line, **changed}, to_decimal(line["QuantityOrdered"]))

    def _replace(self, wanted: ChangeOrder, header: Row) -> None:
        """Another item as cancel plus new line."""
        line = self._line(wanted)
        self._cancel_line(wanted, header)
        item = self._item(wanted.ItemCode)
        self.insert_line(
            {**line, "ItemCode": item["ItemCode"], "ItemCodeDesc": item["ItemCodeDesc"], "UDF_WEB_LINE_ID": ""}
        )

    def _add_line(self, wanted: ChangeOrder, header: Row) -> None:
        item = self._item(wanted.ItemCode)
        self.insert_line(
            {
                "SalesOrderNo": wanted.SalesOrderNo,
                "ItemCode": item["ItemCode"],
                "ItemType": item["ItemType"],
                "ItemCodeDesc": item["ItemCodeDesc"],
                "UnitOfMeasure": item["SalesUnitOfMeasure"],
                "UnitOfMeasureConvFactor": item["SalesUMConvFctr"] or 1,
                "WarehouseCode": header["WarehouseCode"],
                "TaxClass": item["TaxClass"],
                "QuantityOrdered": wanted.Quantity or Decimal(1),
                "UnitPrice": to_decimal(item["StandardUnitPrice"]),
            }
        )

    def _drop_ship(self, wanted: ChangeOrder, header: Row) -> None:
        line = self._line(wanted)
        self.company.update(
            "SO_SalesOrderDetail", {"SalesOrderNo": line["SalesOrderNo"], "LineKey": line["LineKey"]}, DropShip="Y"
        )
        self.orders.commit_stock(line, -to_decimal(line["QuantityOrdered"]))

    def _item(self, item_code: str) -> Row:
        item = self.company.find("CI_Item", ItemCode=item_code)
        if item is None:
            raise Refusal(422, "SO_NoItem", f"The item {item_code} is not on file.", "ItemCode")
        return item

    def insert_line(self, line: dict[str, Any]) -> None:
        """A new line at the end, with its row in history."""
        number = line["SalesOrderNo"]
        last = max(
            (
                int(row["LineKey"])
                for table in ("SO_SalesOrderDetail", "SO_SalesOrderHistoryDetail")
                for row in self.company.select(table, SalesOrderNo=number)
            ),
            default=0,
        )
        quantity = to_decimal(line["QuantityOrdered"])
        new = {
            **line,
            "LineKey": f"{last + 1:06d}",
            "LineSeqNo": f"{last + 1:014d}",
            "SOHistoryDetlSeqNo": f"{last + 1:014d}",
            "ExtensionAmt": cents(quantity * to_decimal(line["UnitPrice"])),
        }
        stored = self.company.insert("SO_SalesOrderDetail", **new)
        self.orders.commit_stock(stored, quantity)
        if self.company.find("SO_SalesOrderHistoryHeader", SalesOrderNo=number) is not None:
            self.orders.store_line_in_history(stored, original=False)

    # ---- the order ------------------------------------------------------------------------------------------------

    def _set_status(self, wanted: ChangeOrder, status: str) -> None:
        self.company.update("SO_SalesOrderHeader", {"SalesOrderNo": wanted.SalesOrderNo}, OrderStatus=status)

    def _delete(self, wanted: ChangeOrder, header: Row) -> None:
        """Delete the order; what history keeps of it depends on the company's options."""
        company, number = self.company, wanted.SalesOrderNo
        reason = wanted.CancelReasonCode or header["CancelReasonCode"]
        if header["CurrentInvoiceNo"]:
            raise Refusal(422, "SO_Invoiced", f"Invoice {header['CurrentInvoiceNo']} is not posted yet.")
        for line in company.select("SO_SalesOrderDetail", SalesOrderNo=number):
            self.orders.commit_stock(line, -to_decimal(line["QuantityOrdered"]))
            self._forget_or_mark(line, reason)
        company.delete("SO_SalesOrderDetail", SalesOrderNo=number)
        company.delete("SO_SalesOrderHeader", SalesOrderNo=number)
        if company.find("SO_SalesOrderHistoryHeader", SalesOrderNo=number) is None:
            return
        if company.switch("keep_deleted_history") == "Y" or header["LastInvoiceOrderNo"]:
            company.update(
                "SO_SalesOrderHistoryHeader",
                {"SalesOrderNo": number},
                OrderStatus="C" if header["LastInvoiceOrderNo"] else "X",
                CancelReasonCode=reason,
                **company.updated(),
            )
        else:
            company.delete("SO_SalesOrderHistoryHeader", SalesOrderNo=number)

    def add_up(self, number: str) -> None:
        """The header's totals anew, after lines changed."""
        header = self.company.find("SO_SalesOrderHeader", SalesOrderNo=number) or {}
        totals = {name: header[name] for name in TABLES["SO_SalesOrderHeader"].columns if name in header}
        self.orders.add_totals(totals, self.company.select("SO_SalesOrderDetail", SalesOrderNo=number))
        self.company.update(
            "SO_SalesOrderHeader",
            {"SalesOrderNo": number},
            **{name: totals[name] for name in TOTALS},
            **self.company.updated(),
        )
