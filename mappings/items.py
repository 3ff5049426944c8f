"""SKU → ItemCode, and what an item's stock is.

In: what Sage answered for the codes of an order (CI_Item, IM_ItemWarehouse, IM_AliasItem). Out: a resolved item per
line, or why there is none. Order of the search (sage100.md 5): the item code itself, an alias of this customer, a
general alias, the pair's own table.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from mappings.decisions import Decisions
from mappings.frozen import Frozen
from mappings.pair import Pair
from mappings.sales_order import CustomerKey, Draft, LineOrigin


class WarehouseStock(Frozen):
    """IM_ItemWarehouse, in the item's standard unit."""

    QuantityOnHand: Decimal = Decimal(0)
    QuantityOnSalesOrder: Decimal = Decimal(0)
    QuantityOnBackOrder: Decimal = Decimal(0)
    QuantityRequiredForWO: Decimal = Decimal(0)

    @property
    def available(self) -> Decimal:
        """Available to sell (sage100.md 5)."""
        return self.QuantityOnHand - self.QuantityOnSalesOrder - self.QuantityOnBackOrder - self.QuantityRequiredForWO


class ItemFacts(Frozen):
    """CI_Item, as far as an order line needs it. `ItemType` 1 is a regular inventory item."""

    ItemCode: str
    ItemType: str = "1"
    InactiveItem: bool = False
    AllowBackOrders: bool = True
    DropShip: bool = False
    """The vendor ships: our stock says nothing (rules 2)."""
    SalesUnitOfMeasure: str = ""
    SalesUMConvFctr: Decimal = Decimal(1)
    """Standard units per sales unit."""
    StandardUnitCost: Decimal = Decimal(0)
    """Per standard unit; 0 where the company keeps none."""
    TaxClass: str = ""
    DefaultWarehouseCode: str = ""
    warehouses: dict[str, WarehouseStock] = {}

    @property
    def is_stocked(self) -> bool:
        """Whether quantities mean anything: only regular items that we ship ourselves are in inventory."""
        return self.ItemType == "1" and not self.DropShip


class AliasFacts(Frozen):
    """IM_AliasItem; without a customer the alias is general."""

    AliasItemNo: str
    ItemCode: str
    ARDivisionNo: str = ""
    CustomerNo: str = ""

    @property
    def customer(self) -> CustomerKey | None:
        """Whose alias it is."""
        if not self.CustomerNo:
            return None
        return CustomerKey(ARDivisionNo=self.ARDivisionNo, CustomerNo=self.CustomerNo)


def wanted_codes(draft: Draft, pair: Pair, decisions: Decisions) -> list[str]:
    """Every code to look up for an order, without repeats: SKUs, what stands for them, charge items."""
    codes: dict[str, None] = {one.ItemCode: None for one in decisions.items}
    for line in draft.sales_order.Lines:
        if line.origin is LineOrigin.ITEM:
            codes[line.sku] = None
            if line.sku in pair.items:
                codes[pair.items[line.sku]] = None
        elif line.origin is not LineOrigin.COMMENT:
            codes[line.ItemCode] = None
    return list(codes)


def resolve_item(
    sku: str,
    customer: CustomerKey | None,
    items: Mapping[str, ItemFacts],
    aliases: Iterable[AliasFacts],
    pair: Pair,
) -> ItemFacts | str:
    """The item to put on the line, or why there is none (a sentence for the hold)."""
    code = sku if sku in items else None
    if code is None:
        named = [alias for alias in aliases if alias.AliasItemNo == sku]
        own = [alias for alias in named if alias.customer is not None and alias.customer == customer]
        general = [alias for alias in named if alias.customer is None]
        targets = {alias.ItemCode for alias in (own or general)}
        if len(targets) > 1:
            return f"{sku} is an alias of several items: {', '.join(sorted(targets))}"
        code = next(iter(targets), None) or pair.items.get(sku)
    if code is None:
        return f"{sku} is no item and no alias in Sage"
    item = items.get(code)
    if item is None:
        return f"{sku} stands for {code}, which is no item in Sage"
    if item.InactiveItem:
        return f"{code} is inactive in Sage"
    return item
