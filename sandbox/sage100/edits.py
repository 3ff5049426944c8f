"""What the gateway lets a program change on a live sales order: `PATCH /SO/SalesOrder/{no}`.

In: header columns, and lines by LineKey (columns, or `Delete`), or without one (added). Out: the order as stored.
Everything or nothing. Raises `Refusal` in Sage's wording.
"""

from decimal import Decimal

from sandbox.sage100.changes import Changes
from sandbox.sage100.company import Company, Refusal, Row, cents, to_decimal
from sandbox.sage100.orders import COMMENT, COMPUTED, REGULAR, SPECIAL, Orders, column_value, refuse
from sandbox.sage100.schema import DEFAULTS, TABLES

BUS, LINE_BUS = "SO_SalesOrder_Bus", "SO_SalesOrderDetail_Bus"
FIXED = frozenset({"SalesOrderNo", "OrderType", "OrderDate", "ARDivisionNo", "CustomerNo"})
FIXED_OF_LINES = frozenset({"ItemCode", "ItemType", "UnitOfMeasure", "UnitOfMeasureConvFactor"})
MASTERS = (
    ("TermsCode", "AR_TermsCode", "TermsCode", "The terms code is not on file."),
    ("TaxSchedule", "SY_SalesTaxSchedule", "TaxSchedule", "The tax schedule is not on file."),
    ("ShipVia", "SO_ShippingRateHeader", "ShippingCode", "The shipping code is not on file."),
    ("PaymentType", "AR_PaymentType", "PaymentType", "The payment type is not on file."),
    ("CancelReasonCode", "SO_CancelReasonCode", "CancelReasonCode", "The cancel reason is not on file."),
)


class Edits:
    """A program at the order desk: stricter than a person, as nothing asks it back."""

    def __init__(self, company: Company, orders: Orders, changes: Changes) -> None:
        self.company = company
        self.orders = orders
        self.changes = changes

    def patch(self, number: str, body: Row) -> Row:
        """Change a live order of which no invoice is being entered; the same again changes nothing."""
        columns = {name: value for name, value in body.items() if name != "Lines"}
        lines = body.get("Lines", [])
        if not isinstance(lines, list) or not all(isinstance(line, dict) for line in lines):
            raise refuse(BUS, "Lines", "The lines are not a list of objects.")
        with self.company.transaction():
            header = self.company.find("SO_SalesOrderHeader", SalesOrderNo=number)
            if header is None:
                raise Refusal(404, "SO_NotFound", f"Sales order {number} is not open.")
            if header["CurrentInvoiceNo"] and set(body) - {"OrderStatus"}:
                raise Refusal(422, "SO_Invoiced", f"Invoice {header['CurrentInvoiceNo']} is not posted yet.")
            if header["UDF_WEB_ORDER_ID"] not in ("", columns.get("UDF_WEB_ORDER_ID", header["UDF_WEB_ORDER_ID"])):
                # Once it says whose order it is, that stays.
                raise refuse(BUS, "UDF_WEB_ORDER_ID", "The column cannot be changed.")
            self._header(number, columns)
            for line in lines:
                self._edit_line({**header, **columns}, line)
            if not self.company.select("SO_SalesOrderDetail", SalesOrderNo=number):
                raise refuse(BUS, "Lines", "The order must have at least one line.")
            self.changes.add_up(number)
        return self.orders.get(number)

    def _header(self, number: str, columns: Row) -> None:
        known = TABLES["SO_SalesOrderHeader"].columns
        changed: Row = {}
        for name, value in columns.items():
            if name not in known:
                raise refuse(BUS, name, "The column does not exist.")
            if name in COMPUTED:
                raise refuse(BUS, name, "The column is calculated and cannot be set.")
            if name in FIXED:
                raise refuse(BUS, name, "The column cannot be changed.")
            changed[name] = column_value(BUS, "SO_SalesOrderHeader", name, value)
        if changed.get("OrderStatus", "N") not in ("N", "O", "H"):
            raise refuse(BUS, "OrderStatus", "The status is N, O or H.")
        for name, master, key, missing in MASTERS:
            if changed.get(name) and self.company.find(master, **{key: changed[name]}) is None:
                raise refuse(BUS, name, missing)
        for name in ("DepositAmt", "FreightAmt"):
            if to_decimal(changed.get(name)) < 0:
                raise refuse(BUS, name, "The amount must not be negative.")
        if changed:
            self.company.update("SO_SalesOrderHeader", {"SalesOrderNo": number}, **changed)
        if changed.get("UDF_WEB_ORDER_ID") and self.company.find("SO_SalesOrderHistoryHeader", SalesOrderNo=number):
            udf = {"UDF_WEB_ORDER_ID": changed["UDF_WEB_ORDER_ID"]}
            self.company.update("SO_SalesOrderHistoryHeader", {"SalesOrderNo": number}, **udf)

    def _edit_line(self, header: Row, given: Row) -> None:
        if not given.get("LineKey"):
            self._add(header, given)
            return
        key = {"SalesOrderNo": header["SalesOrderNo"], "LineKey": given["LineKey"]}
        line = self.company.find("SO_SalesOrderDetail", **key)
        if line is None:
            raise refuse(LINE_BUS, "LineKey", f"Line {given['LineKey']} is not on the order.")
        if given.get("Delete") is True:
            self._delete(line)
            return
        changed: Row = {}
        for name, value in given.items():
            if name == "LineKey":
                continue
            if name not in TABLES["SO_SalesOrderDetail"].columns:
                raise refuse(LINE_BUS, name, "The column does not exist.")
            if name in FIXED_OF_LINES or name == "ExtensionAmt":
                raise refuse(LINE_BUS, name, "The column of an entered line cannot be changed.")
            changed[name] = column_value(LINE_BUS, "SO_SalesOrderDetail", name, value)
        quantity = to_decimal(changed.get("QuantityOrdered", line["QuantityOrdered"]))
        price = to_decimal(changed.get("UnitPrice", line["UnitPrice"]))
        if line["ItemType"] in (REGULAR, SPECIAL) and quantity <= 0:
            raise refuse(LINE_BUS, "QuantityOrdered", "The quantity must be greater than zero.")
        if line["SalesKitLineKey"] and quantity != to_decimal(line["QuantityOrdered"]):
            raise refuse(LINE_BUS, "QuantityOrdered", "The quantity of an exploded kit cannot be changed here.")
        if quantity < to_decimal(line["QuantityShipped"]):
            raise refuse(LINE_BUS, "QuantityOrdered", "More than that has been shipped.")
        self.changes.set_quantity(line, quantity)
        rest = {name: value for name, value in changed.items() if name != "QuantityOrdered"}
        extension = Decimal(0) if line["ItemType"] == COMMENT else cents(quantity * price)
        self.company.update("SO_SalesOrderDetail", key, **{**rest, "ExtensionAmt": extension})
        history = {"SalesOrderNo": line["SalesOrderNo"], "SequenceNo": line["SOHistoryDetlSeqNo"]}
        if "UDF_WEB_LINE_ID" in rest and self.company.find("SO_SalesOrderHistoryDetail", **history) is not None:
            self.company.update("SO_SalesOrderHistoryDetail", history, UDF_WEB_LINE_ID=rest["UDF_WEB_LINE_ID"])

    def _delete(self, line: Row) -> None:
        number, key = line["SalesOrderNo"], line["LineKey"]
        for component in self.company.select("SO_SalesOrderDetail", SalesOrderNo=number):
            if component["LineKey"] == key or (line["SalesKitLineKey"] == key == component["SalesKitLineKey"]):
                self.changes.remove_line(component)

    def _add(self, header: Row, given: Row) -> None:
        """A new line, entered as on a new order; kits are not exploded here."""
        if given.get("ItemCode") in self.company.kits:
            raise refuse(LINE_BUS, "ItemCode", "A kit cannot be added to an entered order here.")
        line = self.orders.line(header, 1, given)
        for name, kind in TABLES["SO_SalesOrderDetail"].columns.items():
            line.setdefault(name, DEFAULTS[kind[0]])
        self.changes.insert_line(line)
