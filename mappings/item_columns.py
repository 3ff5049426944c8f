"""Columns of CI_Item that a pair file may keep in step with the store, or give to new items.

In: a column's name, a value. Out: problem and remedy, or nothing. Types are those of the published layout (Cn text of n
characters, Np.s a number of p digits, s of them decimals); lengths differ by release, so those that the site's own
driver tells (SQLColumns) go before these. A site's own columns (`UDF_…`) are known to Sage alone.
"""

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from functools import partial
from typing import Annotated, Final

from pydantic import AfterValidator

from mappings.pair_file import nearest, wrong
from mappings.sage_columns import Complaint, is_own_column


def _kinds(text: str) -> dict[str, str]:
    return dict(one.split(":") for one in text.split())


SYNCED: Final = _kinds(
    """
    ItemCodeDesc:C30 StandardUnitPrice:N15.6 SuggestedRetailPrice:N15.6 SalesPromotionPrice:N15.6 ShipWeight:C10
    Volume:N10.4 TaxClass:C2 ProductLine:C4 Category1:C10 Category2:C10 Category3:C10 Category4:C10 InactiveItem:C1
    AllowBackOrders:C1 AllowReturns:C1 AllowTradeDiscount:C1 DropShip:C1 EBMEnabled:C1 CommodityCode:C12
    VendorItemCode:C30 WarrantyCode:C10 PriceCode:C4 ImageFile:C30
    """
)
"""Column → type, of what `products.fields` may name."""

NEW: Final = SYNCED | _kinds(
    """
    ItemType:C1 ProductType:C1 StandardUnitOfMeasure:C4 SalesUnitOfMeasure:C4 PurchaseUnitOfMeasure:C4
    SalesUMConvFctr:N11.4 PurchaseUMConvFctr:N11.4 StandardUnitCost:N15.6 DefaultWarehouseCode:C3 Valuation:C1
    ProcurementType:C1 UseInAR:C1 UseInSO:C1 UseInPO:C1 UseInBM:C1 CalculateCommission:C1 PostToGLByDivision:C1
    SalesAcctKey:C9 CostOfGoodsSoldAcctKey:C9 InventoryAcctKey:C9 PurchaseAcctKey:C9 ManufacturingCostAcctKey:C9
    PurchasesTaxClass:C2 PrimaryAPDivisionNo:C2 PrimaryVendorNo:C7 InventoryCycle:C1 PlannerCode:C3 BuyerCode:C3
    """
)
"""Column → type, of what `products.template` may name."""

PRICES: Final = ("StandardUnitPrice", "SuggestedRetailPrice", "SalesPromotionPrice")
"""Amounts of money: kept to the company's decimals, not those of the column's storage."""

ITEM_CODE_LENGTH: Final = 30

_STOCK: Final = "Leave it out: stock goes to the store by the section inventory."
_INSTEAD: Final = {
    "ItemCode": "Leave it out: an item's code is the product's SKU, or what the section items says.",
    "TotalQuantityOnHand": _STOCK,
    "TotalInventoryValue": _STOCK,
}


def kind_of(column: str) -> str:
    """`C30`, `N15.6`; empty for a site's own column."""
    return NEW.get(column, "")


def is_number(column: str) -> bool:
    """Whether it holds a number."""
    return kind_of(column).startswith("N")


def _column(column: str, known: Mapping[str, str]) -> str:
    if column in known or is_own_column(column):
        return column
    remedy = _INSTEAD.get(column)
    if remedy is None and column in NEW:
        remedy = "It may stand in products.template: an item that is there keeps its own."
    if remedy is None:
        close = nearest(column, known)
        remedy = f"Did you mean {close!r}?" if close else "Use a column of CI_Item, or one of your own (UDF_…)."
    problem = f"{column} is not kept in step" if column in _INSTEAD or column in NEW else f"CI_Item has no {column}"
    wrong(problem, remedy)


SyncedColumn = Annotated[str, AfterValidator(partial(_column, known=SYNCED))]
"""A column that both systems have."""
NewItemColumn = Annotated[str, AfterValidator(partial(_column, known=NEW))]
"""A column that a new item is given."""


def length_of(column: str, lengths: Mapping[str, int]) -> int | None:
    """Characters that a text column takes, by the site's `lengths` or else the layout; None when unknown."""
    if column in lengths:
        return lengths[column]
    return int(kind_of(column)[1:]) if kind_of(column).startswith("C") else None


def decimals_of(column: str, price_decimals: int) -> int:
    """Decimals that a number may have: of prices, the company's own."""
    stored = int(kind_of(column).partition(".")[2] or 0)
    return min(price_decimals, stored) if column in PRICES else stored


def rounded(column: str, number: Decimal, price_decimals: int) -> Decimal:
    """A number of Sage's as the store is told it, halves away from zero."""
    return number.quantize(Decimal(1).scaleb(-decimals_of(column, price_decimals)), rounding=ROUND_HALF_UP)


def does_not_fit(
    column: str, value: str, lengths: Mapping[str, int], price_decimals: int, *, longest: int | None = None
) -> Complaint | None:
    """Why a value, as it is written to Sage, cannot stand in a column; None when it can. Nothing is ever cut.

    `longest` is what the pair file's `columns` allows, where that is less than the column takes.
    """
    if is_number(column):
        number = Decimal(value)
        decimals = decimals_of(column, price_decimals)
        digits = int(kind_of(column)[1:].partition(".")[0]) - int(kind_of(column).partition(".")[2] or 0)
        if abs(number) >= Decimal(10) ** digits:
            return Complaint(f"{value[:40]} has more than {digits} digits", "Correct it there.")
        if number != round(number, decimals):
            return Complaint(f"{value[:40]} has more than {decimals} decimals", f"Round it to {decimals} there.")
        return None
    known = [one for one in (length_of(column, lengths), longest) if one is not None]
    limit = min(known) if known else None
    if limit is not None and len(value) > limit:
        return Complaint(f"has {len(value)} characters, {column} takes {limit}", f"Shorten it to {limit} there.")
    return None
