"""Sales orders and customers as Sage keeps them: what it demands, what it fills in, what it computes.

In: columns and lines as they came over HTTP. Out: rows, and the order as stored. Raises `Refusal` in Sage's wording.
"""

from collections import defaultdict
from datetime import date
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from sandbox.sage100.company import Company, Refusal, Row, cents, to_decimal
from sandbox.sage100.schema import DEFAULTS, TABLES, WEB_ORDER_TABLES

COMPUTED = frozenset({"TaxableAmt", "NonTaxableAmt", "SalesTaxAmt", "DiscountAmt", "TaxableSubjectToDiscount"})
LINE_DEFAULT_TYPE = "1"
COMMENT, REGULAR, SPECIAL = "4", "1", "2"
TOTALS = ("TaxableAmt", "NonTaxableAmt", "FreightAmt", "SalesTaxAmt", "DiscountAmt")


def refuse(bus: str, column: str, message: str) -> Refusal:
    """A refusal as BOI words it."""
    return Refusal(422, "CI_InvalidValue", f"Could not set {bus} column {column}$: {message}", column)


class Orders:
    """The sales-order side of a company."""

    def __init__(self, company: Company) -> None:
        self.company = company

    # ---- reading --------------------------------------------------------------------------------------------------

    def get(self, number: str) -> Row:
        """The order, live or in history; 404 when there is none."""
        header = self.company.find("SO_SalesOrderHeader", SalesOrderNo=number)
        if header is not None:
            return self._answer(header, self.company.select("SO_SalesOrderDetail", SalesOrderNo=number), live=True)
        header = self.company.find("SO_SalesOrderHistoryHeader", SalesOrderNo=number)
        if header is None:
            raise Refusal(404, "SO_NotFound", f"Sales order {number} does not exist.")
        lines = [
            {
                **line,
                "QuantityOrdered": line["QuantityOrderedOriginal"],
                "UnitPrice": line["OriginalUnitPrice"],
                "ExtensionAmt": line["LastExtensionAmt"],
                "LineSeqNo": line["SequenceNo"],
            }
            for line in self.company.select("SO_SalesOrderHistoryDetail", SalesOrderNo=number)
        ]
        return self._answer(header, lines, live=False)

    def find(self, customer_po_no: str, web_order_id: str) -> list[Row]:
        """Orders by CustomerPONo and UDF_WEB_ORDER_ID, live and history."""
        numbers: dict[str, None] = {}
        keys = [{"CustomerPONo": customer_po_no}]
        if web_order_id:
            known = "SELECT SalesOrderNo FROM SANDBOX_WEB_ORDER WHERE UDF_WEB_ORDER_ID = ? ORDER BY SalesOrderNo"
            keys = [{"SalesOrderNo": row["SalesOrderNo"]} for row in self.company.rows(known, web_order_id)]
        for table in WEB_ORDER_TABLES:
            for key in keys:
                for row in self.company.select(table, **key):
                    is_of_web_order = not web_order_id or row["UDF_WEB_ORDER_ID"] == web_order_id
                    if is_of_web_order and (not customer_po_no or row["CustomerPONo"] == customer_po_no):
                        numbers[row["SalesOrderNo"]] = None
        return [self.get(number) for number in numbers]

    def _answer(self, header: Row, lines: list[Row], *, live: bool) -> Row:
        table = TABLES["SO_SalesOrderHeader" if live else "SO_SalesOrderHistoryHeader"]
        answer = {
            name: wire(header[name], kind) for name, kind in table.columns.items() if header[name] not in ("", None)
        }
        total = sum((to_decimal(header[name]) for name in TOTALS[:4]), Decimal(0)) - to_decimal(header["DiscountAmt"])
        return {
            **answer,
            **{name: money(header[name]) for name in TOTALS},
            "UDF_WEB_ORDER_ID": header["UDF_WEB_ORDER_ID"],
            "live": live,
            "Total": money(total),
            "Lines": [self._line_answer(line) for line in lines],
        }

    @staticmethod
    def _line_answer(line: Row) -> Row:
        return {
            "LineKey": line["LineKey"],
            "LineSeqNo": line["LineSeqNo"],
            "ItemCode": line["ItemCode"],
            "ItemType": line["ItemType"],
            "ItemCodeDesc": line["ItemCodeDesc"],
            "UnitOfMeasure": line["UnitOfMeasure"],
            "UnitOfMeasureConvFactor": wire(line["UnitOfMeasureConvFactor"], "N11.4"),
            "WarehouseCode": line["WarehouseCode"],
            "TaxClass": line["TaxClass"],
            "DropShip": line["DropShip"],
            "SalesKitLineKey": line["SalesKitLineKey"],
            "BackorderKitCompLine": line["BackorderKitCompLine"],
            "QuantityOrdered": wire(line["QuantityOrdered"], "N15.6"),
            "QuantityShipped": wire(line["QuantityShipped"], "N15.6"),
            "QuantityBackordered": wire(line["QuantityBackordered"], "N15.6"),
            "UnitPrice": wire(line["UnitPrice"], "N15.6"),
            "ExtensionAmt": money(line["ExtensionAmt"]),
            "CommentText": line["CommentText"],
            "UDF_WEB_LINE_ID": line["UDF_WEB_LINE_ID"],
        }

    # ---- writing --------------------------------------------------------------------------------------------------

    def preview(self, body: Row) -> Row:
        """What the order would be: totals and tax; nothing is written."""
        header, lines, tax = self._work_out({**body, "SalesOrderNo": "0000000"})
        header["SalesOrderNo"] = ""
        return {**self._answer(header, lines, live=True), "SalesOrderNo": "", "TaxDetail": tax}

    def create(self, body: Row) -> tuple[Row, int]:
        """Create the order under its number (201); an existing one, live or in history, is never touched (409).

        A careless gateway opens a live one instead, sets the columns, adds the lines and saves (200).
        """
        number = str(body.get("SalesOrderNo") or "")
        if not (len(number) == 7 and number.isascii() and number.isalnum()):
            raise refuse("SO_SalesOrder_Bus", "SalesOrderNo", "The number must be 7 characters, such as 0001042.")
        status = 201
        with self.company.transaction():
            live = self.company.find("SO_SalesOrderHeader", SalesOrderNo=number)
            careless = live is not None and self.company.switch("careless_gateway") == "Y"
            for table in ("SO_SalesOrderHeader", "SO_SalesOrderHistoryHeader"):
                if not careless and self.company.find(table, SalesOrderNo=number) is not None:
                    raise Refusal(409, "SO_Exists", f"Sales order {number} already exists; nothing was changed.")
            header, lines, _ = self._work_out(body)
            if live is None:
                self._store(header, lines)
            else:
                self._write_over(live, header, lines)
                status = 200
        return self.get(number), status

    def _write_over(self, live: Row, header: Row, lines: list[Row]) -> None:
        """What SetKey, SetValue, AddLine and Write do to an order that is there."""
        company, number = self.company, live["SalesOrderNo"]
        last = max(
            (int(row["LineKey"]) for row in company.select("SO_SalesOrderDetail", SalesOrderNo=number)), default=0
        )
        for place, line in enumerate(lines, start=last + 1):
            keys = {"LineKey": f"{place:06d}", "LineSeqNo": f"{place:014d}", "SOHistoryDetlSeqNo": f"{place:014d}"}
            stored = company.insert("SO_SalesOrderDetail", **{**line, **keys})
            self.commit_stock(stored, to_decimal(line["QuantityOrdered"]))
        changed = {name: value for name, value in header.items() if name not in ("SalesOrderNo", "DateCreated")}
        totals = {**live, **changed}
        self.add_totals(totals, company.select("SO_SalesOrderDetail", SalesOrderNo=number))
        changed |= {name: totals[name] for name in TOTALS}
        company.update("SO_SalesOrderHeader", {"SalesOrderNo": number}, **{**changed, **company.updated()})

    def _store(self, header: Row, lines: list[Row]) -> None:
        company = self.company
        company.insert("SO_SalesOrderHeader", **header)
        for line in lines:
            company.insert("SO_SalesOrderDetail", **line)
            self.commit_stock(line, to_decimal(line["QuantityOrdered"]))
        if company.switch("keep_order_history") == "Y":
            columns = TABLES["SO_SalesOrderHistoryHeader"].columns
            kept = {name: value for name, value in header.items() if name in columns}
            company.insert("SO_SalesOrderHistoryHeader", **{**kept, "OrderStatus": "A"})
            for line in lines:
                self.store_line_in_history(line)
        self._move_open_amount(header, +1)

    def store_line_in_history(self, line: Row, *, original: bool = True) -> None:
        """A line's row in history; one that was added later is no original line."""
        columns = TABLES["SO_SalesOrderHistoryDetail"].columns
        kept = {name: value for name, value in line.items() if name in columns}
        self.company.insert(
            "SO_SalesOrderHistoryDetail",
            **{
                **kept,
                "SequenceNo": line["SOHistoryDetlSeqNo"],
                "OriginalLine": "Y" if original else "N",
                "CancelledLine": "N",
                "QuantityShipped": 0,
                "QuantityOrderedOriginal": line["QuantityOrdered"] if original else 0,
                "QuantityOrderedRevised": line["QuantityOrdered"],
                "OriginalUnitPrice": line["UnitPrice"],
                "LastUnitPrice": line["UnitPrice"],
                "LastExtensionAmt": line["ExtensionAmt"],
            },
        )

    def commit_stock(self, line: Row, quantity: Decimal) -> None:
        """QuantityOnSalesOrder rises with an order and falls when it is invoiced, in the standard unit."""
        if line["ItemType"] != REGULAR or line["DropShip"] == "Y":
            return
        key = {"ItemCode": line["ItemCode"], "WarehouseCode": line["WarehouseCode"]}
        stock = self.company.find("IM_ItemWarehouse", **key)
        if stock is not None:
            moved = to_decimal(stock["QuantityOnSalesOrder"]) + quantity * to_decimal(line["UnitOfMeasureConvFactor"])
            self.company.update("IM_ItemWarehouse", key, QuantityOnSalesOrder=moved, **self.company.updated())

    def _move_open_amount(self, header: Row, sign: int) -> None:
        key = {"ARDivisionNo": header["ARDivisionNo"], "CustomerNo": header["CustomerNo"]}
        customer = self.company.find("AR_Customer", **key)
        if customer is not None:
            total = sum((to_decimal(header[name]) for name in TOTALS[:4]), Decimal(0))
            self.company.update(
                "AR_Customer", key, OpenOrderAmt=max(to_decimal(customer["OpenOrderAmt"]) + sign * total, Decimal(0))
            )

    def _work_out(self, body: Row) -> tuple[Row, list[Row], list[Row]]:
        """Validate everything, fill in defaults, compute totals and tax. Writes nothing."""
        given = body.get("Lines")
        if not isinstance(given, list) or not given:
            raise refuse("SO_SalesOrder_Bus", "Lines", "The order must have at least one line.")
        header = self._header(body)
        lines: list[Row] = []
        for line in given:
            lines += self._explode(self.line(header, len(lines) + 1, line), header)
        tax = self.add_totals(header, lines)
        for name, kind in TABLES["SO_SalesOrderHeader"].columns.items():
            header.setdefault(name, DEFAULTS[kind[0]])
        for line in lines:
            for name, kind in TABLES["SO_SalesOrderDetail"].columns.items():
                line.setdefault(name, DEFAULTS[kind[0]])
        return header, lines, tax

    def _explode(self, line: Row, header: Row) -> list[Row]:
        """A kit with its components, priced at the kit; any other line alone."""
        bill = self.company.kits.get(line["ItemCode"])
        if bill is None:
            return [line]
        exploded = [{**line, "ExplodedKitItem": "Y", "SalesKitLineKey": line["LineKey"]}]
        for component in bill:
            given = {
                "ItemCode": component["ItemCode"],
                "QuantityOrdered": to_decimal(component["QuantityPerBill"]) * to_decimal(line["QuantityOrdered"]),
                "UnitPrice": 0,
            }
            exploded.append(
                {
                    **self.line(header, int(line["LineKey"]) + len(exploded), given),
                    "ExplodedKitItem": "C",
                    "SalesKitLineKey": line["LineKey"],
                    "QuantityPerBill": to_decimal(component["QuantityPerBill"]),
                    "BackorderKitCompLine": component["BackorderKitCompLine"],
                }
            )
        return exploded

    def _header(self, body: Row) -> Row:
        bus, table = "SO_SalesOrder_Bus", TABLES["SO_SalesOrderHeader"]
        columns = {name: value for name, value in body.items() if name not in ("Lines", "Payments")}
        header: Row = {}
        for name, value in columns.items():
            if name not in table.columns:
                raise refuse(bus, name, "The column does not exist.")
            if name in COMPUTED:
                raise refuse(bus, name, "The column is calculated and cannot be set.")
            header[name] = column_value(bus, "SO_SalesOrderHeader", name, value)
        company = self.company
        customer = self._active_customer(bus, str(header.get("ARDivisionNo", "")), str(header.get("CustomerNo", "")))
        header.setdefault("OrderType", "S")
        if header["OrderType"] != "S":
            raise refuse(bus, "OrderType", "Only standard orders are accepted here.")
        header.setdefault("OrderStatus", "N")
        if header["OrderStatus"] not in ("N", "O", "H"):
            raise refuse(bus, "OrderStatus", "The status is not valid.")
        header.setdefault("OrderDate", company.today().isoformat())
        for name, source in (
            ("BillToName", "CustomerName"),
            ("BillToAddress1", "AddressLine1"),
            ("BillToCity", "City"),
            ("BillToState", "State"),
            ("BillToZipCode", "ZipCode"),
            ("BillToCountryCode", "CountryCode"),
            ("TermsCode", "TermsCode"),
            ("TaxSchedule", "TaxSchedule"),
        ):
            header.setdefault(name, customer[source])
        for name, master, key, missing in (
            ("TermsCode", "AR_TermsCode", "TermsCode", "The terms code is not on file."),
            ("TaxSchedule", "SY_SalesTaxSchedule", "TaxSchedule", "The tax schedule is not on file."),
            ("ShipVia", "SO_ShippingRateHeader", "ShippingCode", "The shipping code is not on file."),
            ("PaymentType", "AR_PaymentType", "PaymentType", "The payment type is not on file."),
        ):
            if header.get(name) and company.find(master, **{key: header[name]}) is None:
                raise refuse(bus, name, missing)
        header.setdefault("WarehouseCode", "000")
        self._known_warehouse(bus, header["WarehouseCode"])
        deposit = to_decimal(header.get("DepositAmt"))
        if deposit < 0:
            raise refuse(bus, "DepositAmt", "The deposit must not be negative.")
        if deposit and not header.get("PaymentType"):
            raise refuse(bus, "DepositAmt", "A deposit needs a payment type.")
        if to_decimal(header.get("FreightAmt")) < 0:
            raise refuse(bus, "FreightAmt", "The freight amount must not be negative.")
        own = f"{header['ARDivisionNo']}-{header['CustomerNo']}"
        division, _, number = (company.state(f"bill_to_{own}") or own).partition("-")
        return {**header, **company.created(), "BillToDivisionNo": division, "BillToCustomerNo": number}

    def _active_customer(self, bus: str, division: str, number: str) -> Row:
        customer = self.company.find("AR_Customer", ARDivisionNo=division, CustomerNo=number)
        if customer is None:
            raise refuse(bus, "CustomerNo", f"The customer {division}-{number} is not on file.")
        if customer["CustomerStatus"] == "I":
            raise refuse(bus, "CustomerNo", f"The customer {division}-{number} is inactive.")
        return customer

    def _known_warehouse(self, bus: str, warehouse: str) -> None:
        if not self.company.rows("SELECT 1 FROM IM_ItemWarehouse WHERE WarehouseCode = ? LIMIT 1", warehouse):
            raise refuse(bus, "WarehouseCode", f"The warehouse {warehouse} is not on file.")

    def line(self, header: Row, number: int, given: object) -> Row:
        """A line as Sage enters it: checked, defaults filled in, extended. Writes nothing."""
        bus = "SO_SalesOrderDetail_Bus"
        if not isinstance(given, dict):
            raise refuse(bus, "ItemCode", "The line is not an object.")
        line: Row = {}
        for name, value in given.items():
            if name not in TABLES["SO_SalesOrderDetail"].columns:
                raise refuse(bus, name, "The column does not exist.")
            line[name] = column_value(bus, "SO_SalesOrderDetail", name, value)
        item = self.company.find("CI_Item", ItemCode=line.get("ItemCode", ""))
        if item is None:
            raise refuse(bus, "ItemCode", f"The item {line.get('ItemCode', '')} is not on file.")
        if item["InactiveItem"] == "Y":
            raise refuse(bus, "ItemCode", f"The item {line['ItemCode']} is inactive.")
        if line.setdefault("ItemType", item["ItemType"]) != item["ItemType"]:
            raise refuse(bus, "ItemType", f"The item {line['ItemCode']} is of type {item['ItemType']}.")
        line.setdefault("ItemCodeDesc", item["ItemCodeDesc"])
        line.setdefault("DropShip", item["DropShip"] or "N")
        line.setdefault("UnitOfMeasure", item["SalesUnitOfMeasure"])
        units = units_of(item)
        if line["UnitOfMeasure"] not in units:
            raise refuse(bus, "UnitOfMeasure", f"The unit {line['UnitOfMeasure']} is not valid for the item.")
        factor = units[line["UnitOfMeasure"]]
        if to_decimal(line.setdefault("UnitOfMeasureConvFactor", factor)) != factor:
            raise refuse(bus, "UnitOfMeasureConvFactor", f"The factor of {line['UnitOfMeasure']} is {factor:f}.")
        line["UnitOfMeasureConvFactor"] = factor
        line.setdefault("TaxClass", item["TaxClass"])
        if line["TaxClass"] not in ("TX", "NT"):
            raise refuse(bus, "TaxClass", f"The tax class {line['TaxClass']} is not on file.")
        line.setdefault("WarehouseCode", header["WarehouseCode"])
        quantity = to_decimal(line.setdefault("QuantityOrdered", 0 if line["ItemType"] == COMMENT else 1))
        standard_price = to_decimal(item["StandardUnitPrice"]) * line["UnitOfMeasureConvFactor"]
        price = to_decimal(line.get("UnitPrice", standard_price))
        line["PriceOverridden"] = "Y" if "UnitPrice" in line else "N"
        line["UnitPrice"] = price
        if line["ItemType"] in (REGULAR, SPECIAL):
            self._known_warehouse(bus, line["WarehouseCode"])
            if quantity <= 0:
                raise refuse(bus, "QuantityOrdered", "The quantity must be greater than zero.")
            if price < 0:
                raise refuse(bus, "UnitPrice", "The price must not be negative.")
        for column, value, decimals in (
            ("QuantityOrdered", quantity, self.company.quantity_decimals),
            ("UnitPrice", price, self.company.price_decimals),
        ):
            if value != value.quantize(Decimal(1).scaleb(-decimals)):
                raise refuse(bus, column, f"The company keeps {decimals} decimals; {value} has more.")
        return {
            **line,
            "SalesOrderNo": header["SalesOrderNo"],
            "LineKey": f"{number:06d}",
            "LineSeqNo": f"{number:014d}",
            "SOHistoryDetlSeqNo": f"{number:014d}",
            "ExtensionAmt": Decimal(0) if line["ItemType"] == COMMENT else cents(quantity * price),
        }

    def add_totals(self, header: Row, lines: list[Row]) -> list[Row]:
        """Taxable and non-taxable amounts, and tax by the schedule's codes, each rounded on its own."""
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for line in lines:
            sums[line["TaxClass"]] += to_decimal(line["ExtensionAmt"]) if line["ItemType"] != COMMENT else Decimal(0)
        freight = cents(to_decimal(header.get("FreightAmt")))
        exempt = not header.get("TaxSchedule")
        codes = [] if exempt else self.company.select("SY_SalesTaxScheduleDetail", TaxSchedule=header["TaxSchedule"])
        detail = []
        for entry in codes:
            code = self.company.find("SY_SalesTaxCode", TaxCode=entry["TaxCode"])
            if code is None:
                continue
            base = sums["TX"] + (freight if code["TaxOnFreight"] == "Y" else Decimal(0))
            amount = (base * to_decimal(code["TaxRate"]) / 100).quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)
            detail.append({"TaxCode": code["TaxCode"], "TaxableAmt": money(base), "TaxAmt": money(amount)})
        taxed = bool(detail)
        header["TaxableAmt"] = sums["TX"] if taxed else Decimal(0)
        header["NonTaxableAmt"] = sums["NT"] if taxed else sums["NT"] + sums["TX"]
        header["SalesTaxAmt"] = sum((Decimal(entry["TaxAmt"]) for entry in detail), Decimal(0))
        header["FreightAmt"] = freight
        header["DiscountAmt"] = Decimal(0)
        total = header["TaxableAmt"] + header["NonTaxableAmt"] + freight + header["SalesTaxAmt"]
        if total < 0:
            raise refuse("SO_SalesOrder_Bus", "TaxableAmt", "The order total must not be negative.")
        return detail

    # ---- customers ------------------------------------------------------------------------------------------------

    def get_customer(self, division: str, number: str) -> Row:
        """AR_Customer by key; 404 when there is none."""
        customer = self.company.find("AR_Customer", ARDivisionNo=division, CustomerNo=number)
        if customer is None:
            raise Refusal(404, "AR_NotFound", f"Customer {division}-{number} does not exist.")
        columns = TABLES["AR_Customer"].columns
        return {
            name: wire(value, columns[name])
            for name, value in customer.items()
            if value not in ("", None) or name in ("CustomerName", "EmailAddress", "UDF_WEB_CUSTOMER_ID")
        }

    def create_customer(self, body: Row) -> tuple[Row, int]:
        """Create under the given key (201); an existing one is never touched (409), but by a careless gateway (200)."""
        bus = "AR_Customer_Bus"
        values: Row = {}
        for name, value in body.items():
            if name not in TABLES["AR_Customer"].columns:
                raise refuse(bus, name, "The column does not exist.")
            values[name] = column_value(bus, "AR_Customer", name, value)
        division, number = str(values.get("ARDivisionNo", "")), str(values.get("CustomerNo", ""))
        if division not in ("01", "02"):
            raise refuse(bus, "ARDivisionNo", f"The division {division} is not on file.")
        if not number:
            raise refuse(bus, "CustomerNo", "The customer number is required.")
        if not values.get("CustomerName"):
            raise refuse(bus, "CustomerName", "The name is required.")
        for name, master in (("TermsCode", "AR_TermsCode"), ("TaxSchedule", "SY_SalesTaxSchedule")):
            if values.get(name) and self.company.find(master, **{name: values[name]}) is None:
                raise refuse(bus, name, "The code is not on file.")
        key = {"ARDivisionNo": division, "CustomerNo": number}
        status = 201
        with self.company.transaction():
            if self.company.find("AR_Customer", **key) is None:
                self.company.insert("AR_Customer", **{"CustomerStatus": "A", **values, **self.company.created()})
            elif self.company.switch("careless_gateway") == "Y":
                self.company.update("AR_Customer", key, **{**values, **self.company.updated()})
                status = 200
            else:
                raise Refusal(409, "AR_Exists", f"Customer {division}-{number} already exists; nothing was changed.")
        return self.get_customer(division, number), status

    def change_customer(self, division: str, number: str, body: Row) -> Row:
        """Change columns of an account; the same again changes nothing. Keys, balances and stamps are Sage's."""
        bus, table = "AR_Customer_Bus", "AR_Customer"
        key = {"ARDivisionNo": division, "CustomerNo": number}
        stored = self.company.find(table, **key)
        if stored is None:
            raise Refusal(404, "AR_NotFound", f"Customer {division}-{number} does not exist.")
        values: Row = {}
        for name, value in body.items():
            if name not in TABLES[table].columns:
                raise refuse(bus, name, "The column does not exist.")
            if name in key or name in KEPT_BY_SAGE:
                raise refuse(bus, name, "The column cannot be changed.")
            values[name] = column_value(bus, table, name, value)
        if not values.get("CustomerName", "x"):
            raise refuse(bus, "CustomerName", "The name is required.")
        for name, master in (("TermsCode", "AR_TermsCode"), ("TaxSchedule", "SY_SalesTaxSchedule")):
            if values.get(name) and self.company.find(master, **{name: values[name]}) is None:
                raise refuse(bus, name, "The code is not on file.")
        with self.company.transaction():
            if any(stored[name] != value for name, value in values.items()):
                self.company.update(table, key, **values, **self.company.updated())
        return self.get_customer(division, number)

    def create_ship_to(self, body: Row) -> Row:
        """Create under the given code; an existing one is never touched."""
        bus, table = "SO_ShipToAddress_Bus", "SO_ShipToAddress"
        values: Row = {}
        for name, value in body.items():
            if name not in TABLES[table].columns:
                raise refuse(bus, name, "The column does not exist.")
            values[name] = column_value(bus, table, name, value)
        key = {name: str(values.get(name, "")) for name in ("ARDivisionNo", "CustomerNo", "ShipToCode")}
        if not key["ShipToCode"]:
            raise refuse(bus, "ShipToCode", "The code is required.")
        self._active_customer(bus, key["ARDivisionNo"], key["CustomerNo"])
        with self.company.transaction():
            if self.company.find(table, **key) is not None:
                raise Refusal(409, "SO_Exists", f"Ship-to {key['ShipToCode']} already exists; nothing was changed.")
            return self.company.insert(table, **values)

    # ---- items ----------------------------------------------------------------------------------------------------

    def create_alias(self, body: Row) -> tuple[Row, int]:
        """An alias of an item for everybody (Type G) or one customer (C): created (201), there already (200), or taken
        by another item (409)."""
        bus = "IM_AliasItem_Bus"
        row: Row = {"Type": "G"}
        for name, value in body.items():
            if name not in TABLES["IM_AliasItem"].columns:
                raise refuse(bus, name, "The column does not exist.")
            row[name] = column_value(bus, "IM_AliasItem", name, value)
        if not row.get("AliasItemNo"):
            raise refuse(bus, "AliasItemNo", "The alias is required.")
        if self.company.find("CI_Item", ItemCode=row.setdefault("ItemCode", "")) is None:
            raise refuse(bus, "ItemCode", f"The item {row['ItemCode']} is not on file.")
        if row["Type"] not in ("G", "C"):
            raise refuse(bus, "Type", "The type is not valid here.")
        if row["Type"] == "C":
            self._active_customer(bus, str(row.get("ARDivisionNo", "")), str(row.get("CustomerNo", "")))
        elif row.get("ARDivisionNo") or row.get("CustomerNo"):
            raise refuse(bus, "CustomerNo", "A general alias has no customer.")
        key = {name: row.get(name, "") for name in ("AliasItemNo", "Type", "ARDivisionNo", "CustomerNo")}
        with self.company.transaction():
            taken = {entry["ItemCode"] for entry in self.company.select("IM_AliasItem", **key)}
            if row["ItemCode"] in taken:
                return row, 200
            if taken:
                raise Refusal(
                    409, "IM_Exists", f"{row['AliasItemNo']} is an alias of {', '.join(sorted(taken))} already."
                )
            self.company.insert("IM_AliasItem", **row)
        return row, 201


def units_of(item: Row) -> dict[str, Decimal]:
    """The item's sales, standard and purchase unit, with the standard units in one of each."""
    units = {item["SalesUnitOfMeasure"]: to_decimal(item["SalesUMConvFctr"]) or Decimal(1)}
    units.setdefault(item["StandardUnitOfMeasure"], Decimal(1))
    if to_decimal(item["PurchaseUMConvFctr"]) > 0:
        units.setdefault(item["PurchaseUnitOfMeasure"], to_decimal(item["PurchaseUMConvFctr"]))
    return units


KEPT_BY_SAGE = frozenset(
    ("CurrentBalance", "AgingCategory1", "AgingCategory2", "AgingCategory3", "AgingCategory4", "OpenOrderAmt")
) | {"DateCreated", "TimeCreated", "UserCreatedKey", "DateUpdated", "TimeUpdated", "UserUpdatedKey"}
"""Columns of AR_Customer that nobody keys."""


def column_value(bus: str, table: str, name: str, value: object) -> Any:
    """A value as the column stores it; refuses what does not fit, as Sage does."""
    kind = TABLES[table].columns[name]
    if kind[0] == "N":
        try:
            number = Decimal(str(value)) if not isinstance(value, bool) else None
        except InvalidOperation:
            number = None
        digits, _, decimals = kind[1:].partition(".")
        if number is None or not number.is_finite():
            raise refuse(bus, name, "The value is not a number.")
        scale = Decimal(1).scaleb(-int(decimals or 0))
        if abs(number) >= Decimal(10) ** (int(digits) - int(decimals or 0)):
            raise refuse(bus, name, "The number is too large.")
        if number != number.quantize(scale):
            raise refuse(bus, name, f"The column has {decimals or 0} decimals.")
        return number
    if not isinstance(value, str):
        raise refuse(bus, name, "The value is not text.")
    if kind == "D":
        try:
            return date.fromisoformat(value).isoformat()
        except ValueError:
            raise refuse(bus, name, "The date is not valid.") from None
    length = TABLES[table].length(name) if kind[0] == "C" else None
    if length is not None and len(value) > length:
        raise refuse(bus, name, f"The value has {len(value)} characters; the maximum is {length}.")
    if not value.isprintable() and kind != "TEXT":
        raise refuse(bus, name, "The value contains characters that are not valid.")
    return value


def money(value: object) -> str:
    """An amount with two decimals, as text."""
    return f"{cents(to_decimal(value)):f}"


def wire(value: object, kind: str) -> object:
    """A stored value as it goes over HTTP: numbers as exact text."""
    if kind[0] != "N":
        return value
    decimals = int(kind.partition(".")[2] or 0)
    return f"{to_decimal(value).quantize(Decimal(1).scaleb(-decimals)):f}"
