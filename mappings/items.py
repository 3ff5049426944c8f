"""SKU → ItemCode and unit, and what an item's stock is.

In: what Sage answered for the codes of an order (CI_Item, IM_ItemWarehouse, IM_AliasItem). Out: an item with the unit
of its line, or why there is none. Order of the search (sage100.md 5): the item code itself, an alias of this customer,
a general alias, the pair's own table. As it is spelt counts before the same but for case.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final

from mappings.decisions import Decisions
from mappings.frozen import Frozen
from mappings.item_candidates import CatalogueItem, ItemCandidate
from mappings.pair import ItemEntry, Pair
from mappings.sales_order import CustomerKey, Draft, LineOrigin, SalesOrderLine

REGULAR: Final = "1"
KIT: Final = "K"
"""CI_Item.ProductType of a sales kit; F is a finished good, R a raw material, D discontinued."""
CHARGE, COMMENT, MISCELLANEOUS = "3", "4", "5"
TYPE_NAMES: Final = {CHARGE: "a charge", COMMENT: "a comment", MISCELLANEOUS: "a miscellaneous item"}
"""CI_Item.ItemType of what is no goods."""
GENERAL: Final = "G"
CUSTOMERS: Final = "C"
"""IM_AliasItem.Type: general, a customer's; V, a vendor's part number, is for purchase orders only."""
SAGES_OWN: Final = 100
"""Score of a further meaning that Sage itself, or the pair's table, gives a code."""


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
    ItemCodeDesc: str = ""
    ItemType: str = REGULAR
    ProductType: str = ""
    InactiveItem: bool = False
    AllowBackOrders: bool = True
    DropShip: bool = False
    """The vendor ships: our stock says nothing (rules 2)."""
    StandardUnitOfMeasure: str = ""
    """What stock and cost are counted in."""
    SalesUnitOfMeasure: str = ""
    """What an order line is in when nothing else is said."""
    SalesUMConvFctr: Decimal = Decimal(1)
    """Standard units per sales unit."""
    PurchaseUnitOfMeasure: str = ""
    PurchaseUMConvFctr: Decimal = Decimal(0)
    """Standard units per purchase unit; 0 where the company keeps none."""
    StandardUnitCost: Decimal = Decimal(0)
    """Per standard unit; 0 where the company keeps none."""
    TaxClass: str = ""
    ProductLine: str = ""
    DefaultWarehouseCode: str = ""
    warehouses: dict[str, WarehouseStock] = {}

    @property
    def is_stocked(self) -> bool:
        """Whether quantities mean anything: only regular items that we ship ourselves are in inventory.

        A kit (ProductType K) has no IM_ItemWarehouse row: Sage explodes it and back-orders its components itself.
        """
        return self.ItemType == REGULAR and not self.DropShip and self.ProductType != KIT

    @property
    def units(self) -> dict[str, Decimal]:
        """Unit → standard units in one of it: the sales unit first, then the standard and the purchase unit."""
        units = {self.SalesUnitOfMeasure: self.SalesUMConvFctr} if self.SalesUnitOfMeasure else {}
        if self.StandardUnitOfMeasure:
            units.setdefault(self.StandardUnitOfMeasure, Decimal(1))
        if self.PurchaseUnitOfMeasure and self.PurchaseUMConvFctr > 0:
            units.setdefault(self.PurchaseUnitOfMeasure, self.PurchaseUMConvFctr)
        return units

    def conversion(self, line: SalesOrderLine) -> Decimal:
        """Standard units per unit of the line: as it was found for the line, else as its unit says."""
        if line.UnitOfMeasureConvFactor is not None:
            return line.UnitOfMeasureConvFactor
        return self.units.get(line.UnitOfMeasure, self.SalesUMConvFctr)


class AliasFacts(Frozen):
    """IM_AliasItem."""

    AliasItemNo: str
    ItemCode: str
    Type: str = GENERAL
    ARDivisionNo: str = ""
    CustomerNo: str = ""

    @property
    def is_general(self) -> bool:
        """Whether it holds for everybody."""
        return self.Type == GENERAL

    @property
    def customer(self) -> CustomerKey | None:
        """Whose alias it is; None for one that is no customer's."""
        if self.Type != CUSTOMERS or not self.CustomerNo:
            return None
        return CustomerKey(ARDivisionNo=self.ARDivisionNo, CustomerNo=self.CustomerNo)


class ResolvedItem(Frozen):
    """The item of a line, in the unit that the line is in."""

    item: ItemFacts
    UnitOfMeasure: str = ""
    """Empty for what has no unit in Sage, and then without a factor."""
    UnitOfMeasureConvFactor: Decimal | None = None
    """Standard units in one of it."""


class Unresolved(Frozen):
    """Why a line has no item: a sentence for the hold, and what would help."""

    why: str
    remedy: str = ""
    """Empty where choosing another item, or creating one, is the remedy."""
    instead: list[ItemCandidate] = []
    """What the code stands for besides, in Sage or in the pair's table."""

    def with_nearest(self, nearest: Sequence[ItemCandidate]) -> list[ItemCandidate]:
        """What a person may choose: what else the code stands for, then what is near; nothing where that is no help."""
        if self.remedy:
            return []
        known = {one.ItemCode for one in self.instead}
        return [*self.instead, *(one for one in nearest if one.ItemCode not in known)]


def spellings(code: str) -> list[str]:
    """The code as it is spelt, then in capitals and in small letters: Sage's keys tell them apart, people do not."""
    return list(dict.fromkeys((code, code.upper(), code.lower())))


def wanted_codes(draft: Draft, pair: Pair, decisions: Decisions) -> list[str]:
    """Every code to look up for an order, without repeats: SKUs, what stands for them, charge items."""
    codes: dict[str, None] = {one.ItemCode: None for one in decisions.items}
    of_the_pair = _folded((name, entry.item) for name, entry in pair.items.items())
    for line in draft.sales_order.Lines:
        if line.origin is LineOrigin.ITEM:
            codes[line.sku] = None
            codes |= dict.fromkeys(of_the_pair.get(line.sku.casefold(), ()))
        elif line.origin is not LineOrigin.COMMENT:
            codes[line.ItemCode] = None
    return list(codes)


class ItemLookup:
    """What the codes of one order stand for, for one customer (None: one without aliases of its own)."""

    def __init__(
        self,
        customer: CustomerKey | None,
        items: Mapping[str, ItemFacts],
        aliases: Iterable[AliasFacts],
        pair: Pair,
    ) -> None:
        rows = list(aliases)
        self._pair = pair
        self._items = {item.ItemCode: item for item in items.values()}
        names: tuple[tuple[str, list[tuple[str, str]]], ...] = (
            ("", [(code, code) for code in self._items]),
            (
                "an alias",
                [
                    (one.AliasItemNo, one.ItemCode)
                    for one in rows
                    if one.customer is not None and one.customer == customer
                ],
            ),
            ("an alias", [(one.AliasItemNo, one.ItemCode) for one in rows if one.is_general]),
            ("an alias in the pair file", [(name, entry.item) for name, entry in pair.items.items()]),
        )
        self._spelt = [(how, _grouped(pairs)) for how, pairs in names]
        self._folded = [(how, _folded(pairs)) for how, pairs in names]
        self._entries: dict[str, list[tuple[str, ItemEntry]]] = defaultdict(list)
        for name, entry in pair.items.items():
            self._entries[name.casefold()].append((name, entry))

    def line(self, line: SalesOrderLine, chosen: str = "") -> ResolvedItem | Unresolved:
        """The item and unit of a line that is no comment; `chosen` is the ItemCode that a person gave it."""
        if line.origin is not LineOrigin.ITEM:
            item = self._active(line.ItemCode)
            return item if isinstance(item, Unresolved) else _in_unit(item, "")
        item = self.item(chosen or line.sku, chosen=bool(chosen))
        return item if isinstance(item, Unresolved) else self._in_lines_unit(line, item)

    def item(self, sku: str, *, chosen: bool = False) -> ItemFacts | Unresolved:
        """The item that an ordered code stands for, or why there is none.

        Never a charge or a comment (CI_Item.ItemType 3, 4): a price on it would be lost or booked elsewhere. A
        miscellaneous item (5) only where the pair's table or a person (`chosen`) says that it is sold.
        """
        item = self._active(sku)
        if isinstance(item, Unresolved) or item.ItemType not in TYPE_NAMES:
            return item
        what = f"{item.ItemCode} is {TYPE_NAMES[item.ItemType]} in Sage"
        if item.ItemType != MISCELLANEOUS:
            return Unresolved(why=f"{what}, no goods", instead=self._besides(sku, item.ItemCode))
        sold = {entry.item.casefold() for _, entry in self._entries.get(sku.casefold(), ())}
        if chosen or item.ItemCode.casefold() in sold:
            return item
        return Unresolved(
            why=f"{what}, which an order means only where the pair file says so",
            remedy=f"If the shop sells it, add {sku}: {item.ItemCode} to items in {self._pair.name}.yaml, then release "
            "with retry; or release with use_item.",
        )

    def meant(self, code: str) -> ItemFacts | Unresolved | None:
        """The item that a code stands for, inactive or not; None when it stands for nothing, in Sage or in the pair."""
        how, codes = next(self._meanings(code), ("", ()))
        if not codes:
            return None
        if len(codes) > 1:
            several = f"{how} of several items" if how else "several items but for capitals and small letters"
            return Unresolved(why=f"{code} is {several}: {', '.join(codes)}", instead=self._suggested(codes))
        item = self._by_code(codes[0])
        if item is None:
            return Unresolved(
                why=f"{code} stands for {codes[0]}, which is no item in Sage", instead=self._besides(code, codes[0])
            )
        return item

    def _active(self, code: str) -> ItemFacts | Unresolved:
        item = self.meant(code)
        if item is None:
            return Unresolved(why=f"{code} is no item and no alias in Sage")
        if isinstance(item, Unresolved):
            return item
        if item.InactiveItem:
            return Unresolved(why=f"{item.ItemCode} is inactive in Sage", instead=self._besides(code, item.ItemCode))
        return item

    def _meanings(self, code: str) -> Iterator[tuple[str, Sequence[str]]]:
        """What a code stands for, the most particular first: how, and the ItemCodes; of several, nobody can tell.

        All of it as spelt, then all of it without case: what differs in case only is the same to people.
        """
        for how, names in self._spelt:
            if code in names:
                yield how, names[code]
        for how, names in self._folded:
            if code.casefold() in names:
                yield how, names[code.casefold()]

    def _by_code(self, code: str) -> ItemFacts | None:
        """The item with this code; a pair file's spelling of it may differ in case."""
        same = self._folded[0][1].get(code.casefold(), ())
        return self._items.get(code) or (self._items[same[0]] if len(same) == 1 else None)

    def _besides(self, code: str, not_this: str) -> list[ItemCandidate]:
        """What a code stands for besides an item that is of no use."""
        codes = dict.fromkeys(one for _, several in self._meanings(code) for one in several)
        return self._suggested(one for one in codes if one != not_this)

    def _suggested(self, codes: Iterable[str]) -> list[ItemCandidate]:
        found = [item for code in codes if (item := self._by_code(code)) is not None and _catalogued(item).is_suggested]
        why = "the code stands for it, too"
        return [
            ItemCandidate(ItemCode=item.ItemCode, ItemCodeDesc=item.ItemCodeDesc, score=SAGES_OWN, why=why)
            for item in found
        ]

    def _in_lines_unit(self, line: SalesOrderLine, item: ItemFacts) -> ResolvedItem | Unresolved:
        """The order's own unit and the pair's for this SKU, which must not differ; without either the sales unit."""
        of_the_pair = self._unit_of_the_pair(line.sku, item)
        said = [
            (unit_name(text, self._pair), where)
            for text, where in ((line.UnitOfMeasure, "the order"), (of_the_pair, "the pair file"))
            if text.strip()
        ]
        if not said or not item.units:
            # Services and charges have no unit in Sage, and take none.
            return _in_unit(item, "")
        known = {unit.casefold(): unit for unit in item.units}
        for unit, where in said:
            if unit.casefold() not in known:
                return Unresolved(
                    why=f"{unit} ({where}) is no unit of {item.ItemCode} in Sage: {_units_in_words(item)}",
                    remedy=f"Correct the unit of the order, translate it under order.units in {self._pair.name}.yaml, "
                    "or make it the item's sales, standard or purchase unit in Sage; then release with retry.",
                )
        units = {known[unit.casefold()] for unit, _ in said}
        if len(units) > 1:
            return Unresolved(
                why=f"{line.sku} is in two units: {', '.join(f'{unit} ({where})' for unit, where in said)}",
                remedy=f"Correct the unit of the order, or that of {line.sku} under items in {self._pair.name}.yaml; "
                "then release with retry.",
            )
        return _in_unit(item, units.pop())

    def _unit_of_the_pair(self, sku: str, item: ItemFacts) -> str:
        """The unit in which the pair's table says that a SKU sells this item; of another item it says nothing."""
        of_item = [
            (name, entry.unit)
            for name, entry in self._entries.get(sku.casefold(), ())
            if entry.item.casefold() == item.ItemCode.casefold()
        ]
        return dict(of_item).get(sku) or next((unit for _, unit in of_item if unit), "")


def _grouped(names: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Name → what it stands for, sorted, without repeats."""
    found: dict[str, set[str]] = defaultdict(set)
    for name, code in names:
        found[name].add(code)
    return {name: sorted(codes) for name, codes in found.items()}


def _folded(names: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    return _grouped((name.casefold(), code) for name, code in names)


def _catalogued(item: ItemFacts) -> CatalogueItem:
    return CatalogueItem(item.ItemCode, item.ItemCodeDesc, item.ItemType, item.InactiveItem, item.ProductType)


def _in_unit(item: ItemFacts, unit: str) -> ResolvedItem:
    unit = unit or item.SalesUnitOfMeasure
    return ResolvedItem(item=item, UnitOfMeasure=unit, UnitOfMeasureConvFactor=item.units.get(unit))


def unit_name(text: str, pair: Pair) -> str:
    """Sage's name of a unit that the shop calls so: by the pair's `order.units`, else the text itself."""
    text = unicodedata.normalize("NFKC", text).strip()
    wanted = text.casefold()
    return next((unit for name, unit in pair.order.units.items() if name.casefold() == wanted), text)


def _units_in_words(item: ItemFacts) -> str:
    """`CASE (10 EACH, sales), EACH (standard)`."""
    uses = (
        ("sales", item.SalesUnitOfMeasure),
        ("standard", item.StandardUnitOfMeasure),
        ("purchase", item.PurchaseUnitOfMeasure),
    )
    parts = []
    for unit, factor in item.units.items():
        notes = [use for use, name in uses if name == unit]
        if factor != 1:
            notes.insert(0, f"{factor.normalize():f} {item.StandardUnitOfMeasure}".rstrip())
        parts.append(f"{unit} ({', '.join(notes)})")
    return ", ".join(parts)
