"""Items, stock and customers as people in the office maintain them: goods come in, an account goes on hold.

In: keys and columns. Out: the row as stored. Raises `Refusal`.
"""

from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel

from sandbox.sage100.company import DEFAULT_VALUES, Company, Refusal, Row, to_decimal
from sandbox.sage100.schema import TABLES


class ChangeItem(BaseModel):
    """`POST /_control/item`: change an item, or create one; `OnHand` by warehouse is what the count says now."""

    ItemCode: str
    Columns: dict[str, Any] = {}
    OnHand: dict[str, Decimal] = {}


class ChangeCustomer(BaseModel):
    """`POST /_control/customer`: change an account."""

    ARDivisionNo: str
    CustomerNo: str
    Columns: dict[str, Any] = {}
    BillTo: str | None = None
    """Division-number of the account that Sage bills for this one's orders; empty: itself."""


class ChangeMaster(BaseModel):
    """`POST /_control/master`: change a row of a small master file, or create it; `Columns` has the whole key."""

    Table: Literal[
        "AR_PaymentType",
        "AR_TermsCode",
        "SO_CancelReasonCode",
        "SO_ShippingRateHeader",
        "SY_SalesTaxCode",
        "SY_SalesTaxSchedule",
        "SY_SalesTaxScheduleDetail",
    ]
    Columns: dict[str, Any]


class Masters:
    """The master files of a company."""

    def __init__(self, company: Company) -> None:
        self.company = company

    def change_item(self, change: ChangeItem) -> Row:
        """The item with its stock, after the change."""
        company, key = self.company, {"ItemCode": change.ItemCode}
        known_columns("CI_Item", change.Columns)
        with company.transaction():
            if company.find("CI_Item", **key) is None:
                description = {"ItemCodeDesc": change.ItemCode}
                values = {**DEFAULT_VALUES["CI_Item"], **description, **change.Columns}
                company.insert("CI_Item", **{**values, **key, **company.created()})
            elif change.Columns:
                company.update("CI_Item", key, **change.Columns, **company.updated())
            for warehouse, quantity in change.OnHand.items():
                place = {**key, "WarehouseCode": warehouse}
                if company.find("IM_ItemWarehouse", **place) is None:
                    company.insert("IM_ItemWarehouse", **place, QuantityOnHand=quantity, **company.created())
                else:
                    company.update("IM_ItemWarehouse", place, QuantityOnHand=quantity, **company.updated())
            stock = company.select("IM_ItemWarehouse", **key)
            on_hand = {row["WarehouseCode"]: to_decimal(row["QuantityOnHand"]) for row in stock}
            company.update("CI_Item", key, TotalQuantityOnHand=sum(on_hand.values(), Decimal(0)))
        return {**key, "OnHand": {warehouse: f"{quantity:f}" for warehouse, quantity in on_hand.items()}}

    def change_customer(self, change: ChangeCustomer) -> Row:
        """The account after the change."""
        key = {"ARDivisionNo": change.ARDivisionNo, "CustomerNo": change.CustomerNo}
        known_columns("AR_Customer", change.Columns)
        with self.company.transaction():
            if self.company.find("AR_Customer", **key) is None:
                raise Refusal(404, "AR_NotFound", f"Customer {change.ARDivisionNo}-{change.CustomerNo} does not exist.")
            self.company.update("AR_Customer", key, **change.Columns, **self.company.updated())
            if change.BillTo is not None:
                self.company.set_state(f"bill_to_{change.ARDivisionNo}-{change.CustomerNo}", change.BillTo)
        return {**key, **change.Columns}

    def change_master(self, change: ChangeMaster) -> Row:
        """The row after the change."""
        known_columns(change.Table, change.Columns)
        names = TABLES[change.Table].primary_key
        missing = [name for name in names if not change.Columns.get(name)]
        if missing:
            raise Refusal(422, "SY_NoKey", f"{missing[0]} is part of the key of {change.Table}.", missing[0])
        key = {name: change.Columns[name] for name in names}
        with self.company.transaction():
            if self.company.find(change.Table, **key) is None:
                self.company.insert(change.Table, **change.Columns)
            elif set(change.Columns) > set(names):
                self.company.update(change.Table, key, **change.Columns)
        return dict(change.Columns)


def known_columns(table: str, columns: Row) -> None:
    """Refuse columns that the table has not."""
    unknown = [name for name in columns if name not in TABLES[table].columns]
    if unknown:
        raise Refusal(422, "SY_NoColumn", f"{table} has no column {unknown[0]}.", unknown[0])
