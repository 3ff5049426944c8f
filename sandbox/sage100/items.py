"""Items through the gateway: read, created under their code, changed column by column. Raises `Refusal`."""

from decimal import Decimal

from sandbox.sage100.company import DEFAULT_VALUES, Company, Refusal, Row, to_decimal
from sandbox.sage100.orders import column_value, refuse, wire
from sandbox.sage100.schema import TABLES

BUS = "CI_ItemCode_Bus"
TABLE = "CI_Item"
FLAGS = ("InactiveItem", "AllowBackOrders", "AllowReturns", "AllowTradeDiscount", "DropShip", "EBMEnabled", "UseInSO")
PRICES = ("StandardUnitPrice", "SuggestedRetailPrice", "SalesPromotionPrice")
CALCULATED = (
    *("TotalQuantityOnHand", "TotalInventoryValue", "AverageUnitCost", "LastTotalUnitCost", "LastAllocatedUnitCost"),
    *("LastSoldDate", "LastReceiptDate", "LastPhysicalCountDate"),
    *("DateCreated", "TimeCreated", "UserCreatedKey", "DateUpdated", "TimeUpdated", "UserUpdatedKey"),
)
ONCE = ("ItemCode", "ItemType", "Valuation", "StandardUnitOfMeasure")
"""Fixed when the item is created."""


class Items:
    """The item master as the gateway opens it."""

    def __init__(self, company: Company) -> None:
        self.company = company

    def get(self, code: str) -> Row:
        """CI_Item by code; 404 when there is none."""
        item = self.company.find(TABLE, ItemCode=code)
        if item is None:
            raise Refusal(404, "CI_NotFound", f"Item {code[:30]} does not exist.")
        columns = TABLES[TABLE].columns
        return {name: wire(value, columns[name]) for name, value in item.items() if value is not None}

    def create(self, body: Row) -> tuple[Row, int]:
        """Create under the code (201); an existing one is never touched (409), but by a careless gateway (200)."""
        values = self._checked(body)
        code = str(values.get("ItemCode", ""))
        if not code or code != code.strip():
            raise refuse(BUS, "ItemCode", "The item code is required.")
        for name in ("ItemCodeDesc", "ProductLine", "StandardUnitOfMeasure"):
            if not values.get(name):
                raise refuse(BUS, name, "A value is required.")
        status = 201
        with self.company.transaction():
            if self.company.find(TABLE, ItemCode=code) is None:
                row = {**DEFAULT_VALUES[TABLE], **values, **self.company.created()}
                self.company.insert(TABLE, **row)
                if row["ItemType"] == "1":
                    place = {"ItemCode": code, "WarehouseCode": row["DefaultWarehouseCode"]}
                    self.company.insert("IM_ItemWarehouse", **place, **self.company.created())
            elif self.company.switch("careless_gateway") == "Y":
                self.company.update(TABLE, {"ItemCode": code}, **{**values, **self.company.updated()})
                status = 200
            else:
                raise Refusal(409, "CI_Exists", f"Item {code} already exists; nothing was changed.")
        return self.get(code), status

    def patch(self, code: str, body: Row) -> Row:
        """Columns of an item that is there."""
        for name in ONCE:
            if name in body:
                raise refuse(BUS, name, "The column cannot be changed.")
        values = self._checked(body)
        with self.company.transaction():
            self.get(code)
            if values:
                self.company.update(TABLE, {"ItemCode": code}, **values, **self.company.updated())
        return self.get(code)

    def _checked(self, body: Row) -> Row:
        """What the columns take, and what the master files know."""
        values: Row = {}
        for name, value in body.items():
            if name not in TABLES[TABLE].columns:
                raise refuse(BUS, name, "The column does not exist.")
            if name in CALCULATED:
                raise refuse(BUS, name, "The column is calculated.")
            values[name] = column_value(BUS, TABLE, name, value)
        if "ItemCodeDesc" in values and not values["ItemCodeDesc"].strip():
            raise refuse(BUS, "ItemCodeDesc", "The description is required.")
        for name in FLAGS:
            if values.get(name, "Y") not in ("Y", "N"):
                raise refuse(BUS, name, "The value is Y or N.")
        for name in PRICES:
            price = to_decimal(values.get(name, 0))
            if price < 0:
                raise refuse(BUS, name, "The price must not be negative.")
            if price != price.quantize(Decimal(1).scaleb(-self.company.price_decimals)):
                raise refuse(BUS, name, f"The company keeps {self.company.price_decimals} decimals; {price} has more.")
        if values.get("ItemType", "1") not in ("1", "3", "4", "5"):
            raise refuse(BUS, "ItemType", "The type is not valid.")
        for name, known in (("TaxClass", ("TX", "NT")), ("ProductLine", self.company.facts["product_lines"])):
            if values.get(name) and values[name] not in known:
                raise refuse(BUS, name, f"The code {values[name]} is not on file.")
        warehouse = values.get("DefaultWarehouseCode")
        if warehouse and not self.company.rows("SELECT 1 FROM IM_ItemWarehouse WHERE WarehouseCode = ?", warehouse):
            raise refuse(BUS, "DefaultWarehouseCode", f"The warehouse {warehouse} is not on file.")
        return values
