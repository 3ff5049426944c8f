"""What the store may sell: rules 7 as arithmetic, per SKU and warehouse of the store.

In: items with their stock, kits with their components, what accepted orders will take, the pair's section `inventory`.
Out: `StockRow`s, and digests of them by bucket. Pure.

    count = floor((available − safety stock − accepted orders that Sage does not know) ÷ web unit), not below 0

`available` is `WarehouseStock.available`, which the stock check of orders and the wake-up of held ones use, too.
Several warehouses of Sage may be one of the store: their stock is added, also what is below zero. A kit is as many as
its components make. A warehouse in which an item has no row counts 0, so that a row that leaves Sage leaves the store.
"""

import base64
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import ROUND_FLOOR, Decimal
from typing import Final, NamedTuple

from mappings.canonical import Item, ItemKind
from mappings.conditions import item_context
from mappings.decisions import Decisions
from mappings.frozen import Frozen
from mappings.items import KIT, REGULAR, AliasFacts, ItemFacts, ItemLookup, Unresolved, unit_name
from mappings.pair import CountAs, InventoryRule, Pair
from mappings.sales_order import CustomerKey, Draft, LineOrigin, SageItemType, SalesOrderLine

BUCKETS: Final = 1024
"""Parts of the catalogue whose last pushed content is remembered: of 50,000 SKUs 49 each."""
DIGEST_BYTES: Final = 6
"""Of one bucket: two contents have the same digest once in 2^48 changes."""
UNKNOWN: Final = bytes(DIGEST_BYTES)
"""Digest of a bucket of which nobody knows what the store has: it is pushed whole."""


MOST: Final = 999_999_999
"""What the store is told of even more: an absurd count in Sage must not make it refuse a whole batch."""


class StockRow(NamedTuple):
    """What the store is told: how many of a SKU may be sold from one of its warehouses."""

    sku: str
    warehouse: str
    quantity: int


class KitComponent(Frozen):
    """IM_SalesKitDetail."""

    ItemCode: str
    QuantityPerAssembly: Decimal
    """In the component's standard unit."""


# ---- what accepted orders will take ---------------------------------------------------------------------------------


class NeededStock(Frozen):
    """A line of an accepted order that Sage does not know yet, in the shop's words."""

    sku: str
    chosen: str = ""
    """The ItemCode that a person chose for it."""
    quantity: Decimal
    unit: str = ""
    warehouse: str = ""
    """WarehouseCode by the pair's rules; empty: the item's own."""


class OrderNeeds(NamedTuple):
    """What one order will take, with the buyer's account where it is known: it may have aliases of its own."""

    customer: CustomerKey | None
    lines: Sequence[NeededStock]


Pending = Mapping[tuple[str, str], Decimal]
"""(ItemCode, WarehouseCode) → standard units that accepted orders will take."""


def needs_of(draft: Draft, decisions: Decisions) -> list[NeededStock]:
    """The lines of goods of a draft."""
    return [
        NeededStock(
            sku=line.sku,
            chosen=decisions.item_for(line.UDF_WEB_LINE_ID, line.sku),
            quantity=line.QuantityOrdered,
            unit=line.UnitOfMeasure,
            warehouse=line.WarehouseCode,
        )
        for line in draft.sales_order.Lines
        if line.origin is LineOrigin.ITEM and line.QuantityOrdered > 0
    ]


def codes_of(needs: Iterable[OrderNeeds], pair: Pair) -> list[str]:
    """Every code to look up in Sage for these orders, without repeats."""
    codes: dict[str, None] = {}
    entries = {name.casefold(): entry.item for name, entry in pair.items.items()}
    for order in needs:
        for line in order.lines:
            codes |= dict.fromkeys(code for code in (line.sku, line.chosen) if code)
            if (entry := entries.get(line.sku.casefold())) is not None:
                codes[entry] = None
    return list(codes)


def pending(
    needs: Iterable[OrderNeeds],
    items: Mapping[str, ItemFacts],
    aliases: Sequence[AliasFacts],
    kits: Mapping[str, Sequence[KitComponent]],
    pair: Pair,
) -> dict[tuple[str, str], Decimal]:
    """What these orders will take, by item and warehouse of Sage; a kit takes its components.

    A code that is no item, or a unit that the item has not, takes nothing: such an order is held, and whatever a person
    decides is seen at the next look.
    """
    taken: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    lookups: dict[CustomerKey | None, ItemLookup] = {}
    for order in needs:
        lookup = lookups.get(order.customer)
        if lookup is None:
            lookup = lookups[order.customer] = ItemLookup(order.customer, items, aliases, pair)
        for line in order.lines:
            found = lookup.line(
                SalesOrderLine(
                    origin=LineOrigin.ITEM, sku=line.sku, UnitOfMeasure=line.unit, ItemType=SageItemType.REGULAR
                ),
                line.chosen,
            )
            if isinstance(found, Unresolved):
                continue
            item = found.item
            factor = found.UnitOfMeasureConvFactor or Decimal(1)
            warehouse = line.warehouse or item.DefaultWarehouseCode
            if item.ProductType == KIT:
                for component in kits.get(item.ItemCode, ()):
                    quantity = line.quantity * factor * component.QuantityPerAssembly
                    taken[component.ItemCode, warehouse] += quantity
            elif item.ItemType == REGULAR:
                taken[item.ItemCode, warehouse] += line.quantity * factor
    return dict(taken)


# ---- counting -------------------------------------------------------------------------------------------------------


def sellable(available: Decimal, safety_stock: Decimal, accepted: Decimal, units: Decimal) -> int:
    """Rules 7, for one item in one warehouse; `units` are the standard units in one web unit."""
    return _whole(available - safety_stock - accepted, units)


def _whole(left: Decimal, units: Decimal) -> int:
    if left <= 0 or units <= 0:
        return 0
    return min(int((left / units).to_integral_value(rounding=ROUND_FLOOR)), MOST)


class _Counted(NamedTuple):
    """One item as far as counting goes."""

    names: list[tuple[str, Decimal]]
    """SKU → standard units in one of what it sells; empty: nothing is said of it."""
    fixed: int | None
    """The number that a rule fixes, or 0 of an inactive item."""
    left: tuple[Decimal, ...] | None
    """Standard units in each of the store's warehouses, less safety stock and accepted orders; None: without limit."""
    is_kit: bool


class Catalogue:
    """Items as they are added, page by page; then `rows`. Kits may come before or after their components."""

    def __init__(
        self,
        pair: Pair,
        accepted: Pending,
        kits: Mapping[str, Sequence[KitComponent]],
        aliases: Iterable[AliasFacts] = (),
    ) -> None:
        self._pair = pair
        self._warehouses = pair.inventory.store_warehouses
        self._place = {code: self._warehouses.index(name) for code, name in pair.inventory.warehouses.items()}
        self._kits = kits
        self.owners: dict[str, str] = {}
        """SKU → the item whose stock it shows; filled by `rows`."""
        self._items: dict[str, _Counted] = {}
        self._accepted: dict[str, list[Decimal]] = {}
        for (item_code, warehouse), quantity in accepted.items():
            place = self._place.get(warehouse)
            if place is not None:
                self._accepted.setdefault(item_code, [Decimal(0)] * len(self._warehouses))[place] += quantity
        self._names: dict[str, list[tuple[str, str]]] = defaultdict(list)
        """ItemCode in small letters → further SKUs of it, with their units: aliases before the pair's own."""
        for alias in unambiguous(aliases) if pair.inventory.aliases else ():
            self._names[alias.ItemCode.casefold()].append((alias.AliasItemNo, ""))
        for sku, entry in pair.items.items():
            self._names[entry.item.casefold()].append((sku, entry.unit))

    def add(self, item: ItemFacts) -> None:
        """One item of Sage's."""
        rule = self._rule(item)
        count = rule.count if rule is not None else usual_count(item)
        is_kit = item.ProductType == KIT
        left = None if is_kit or item.ItemType != REGULAR else self._left(item, rule)
        names: list[tuple[str, Decimal]] = []
        if count is not CountAs.NONE and not (count is CountAs.STOCK and item.ItemType != REGULAR):
            names = list(self._skus(item))
        fixed = rule.quantity if rule is not None and count is CountAs.FIXED else None
        self._items[item.ItemCode] = _Counted(
            names, fixed=0 if item.InactiveItem else fixed, left=self._limit(item, left), is_kit=is_kit
        )

    def _limit(self, item: ItemFacts, left: tuple[Decimal, ...] | None) -> tuple[Decimal, ...] | None:
        """What an item as a component leaves a kit: an inactive one nothing."""
        return (Decimal(0),) * len(self._warehouses) if item.InactiveItem else left

    def _rule(self, item: ItemFacts) -> InventoryRule | None:
        rules = self._pair.inventory.rules
        if not rules:
            return None
        context = item_context(canonical_item(item))
        return next((rule for rule in rules if rule.when.holds(context)), None)

    def _left(self, item: ItemFacts, rule: InventoryRule | None) -> tuple[Decimal, ...]:
        safety = self._pair.inventory.safety_stock
        if rule is not None and rule.safety_stock is not None:
            safety = rule.safety_stock
        left = [-safety] * len(self._warehouses)
        for code, stock in item.warehouses.items():
            place = self._place.get(code)
            if place is not None:
                left[place] += stock.available
        accepted = self._accepted.get(item.ItemCode)
        return tuple(left if accepted is None else (one - other for one, other in zip(left, accepted, strict=True)))

    def _skus(self, item: ItemFacts) -> Iterator[tuple[str, Decimal]]:
        """The item's own code, in its sales unit, then its further names, each in its unit."""
        yield item.ItemCode, item.SalesUMConvFctr
        if not self._names:
            return
        for sku, unit in self._names.get(item.ItemCode.casefold(), ()):
            units = item.SalesUMConvFctr
            if unit:
                known = {name.casefold(): factor for name, factor in item.units.items()}
                # A unit that the item has not would hold its orders: nothing can be sold under this name.
                units = known.get(unit_name(unit, self._pair).casefold(), Decimal(0))
            yield sku, units

    def rows(self, only: Iterable[str] | None = None) -> list[StockRow]:
        """Each SKU in each of the store's warehouses, once; an item's own code counts before other items' names.

        `only`: of these ItemCodes.
        """
        found: dict[str, tuple[int, ...]] = {}
        codes = list(self._items if only is None else (code for code in dict.fromkeys(only) if code in self._items))
        for first in (True, False):
            for code in codes:
                for sku, units in self._items[code].names[:1] if first else self._items[code].names[1:]:
                    if first or (sku not in found and sku not in self._items):
                        found[sku], self.owners[sku] = self._counts(code, units), code
        return [
            StockRow(sku, warehouse, count)
            for sku, counts in found.items()
            for warehouse, count in zip(self._warehouses, counts, strict=True)
        ]

    def _counts(self, code: str, units: Decimal) -> tuple[int, ...]:
        item = self._items[code]
        if item.fixed is not None:
            return (item.fixed,) * len(self._warehouses)
        left = self._of_kit(code) if item.is_kit else item.left
        return tuple(_whole(one, units) for one in left or ())

    def _of_kit(self, code: str) -> tuple[Decimal, ...]:
        """Kits that the components make, in each warehouse; none without components, or with one that is unknown."""
        made: list[tuple[Decimal, ...]] = []
        nothing = (Decimal(0),) * len(self._warehouses)
        # IM_SalesKitDetail may name a component on several lines: one kit takes all of them.
        needed: dict[str, Decimal] = defaultdict(Decimal)
        for component in self._kits.get(code, ()):
            needed[component.ItemCode] += component.QuantityPerAssembly
        for item_code, quantity in needed.items():
            item = self._items.get(item_code)
            if item is None or item.is_kit:
                return nothing
            if item.left is not None and quantity > 0:
                made.append(tuple(Decimal(_whole(one, quantity)) for one in item.left))
        return tuple(min(counts) for counts in zip(*made, strict=True)) if made else nothing


def usual_count(item: ItemFacts) -> CountAs:
    """Without a rule: regular items and kits are counted; of what a vendor ships our stock says nothing."""
    return CountAs.STOCK if item.ItemType == REGULAR and not item.DropShip else CountAs.NONE


def unambiguous(aliases: Iterable[AliasFacts]) -> list[AliasFacts]:
    """General aliases that stand for one item."""
    meanings: dict[str, list[AliasFacts]] = defaultdict(list)
    for alias in aliases:
        if alias.is_general:
            meanings[alias.AliasItemNo].append(alias)
    return [found[0] for found in meanings.values() if len({one.ItemCode for one in found}) == 1]


def canonical_item(item: ItemFacts) -> Item:
    """What the pair's rules look at."""
    kinds = list(ItemKind)
    number = int(item.ItemType) if item.ItemType in ("1", "2", "3", "4", "5") else 1
    return Item(
        item_code=item.ItemCode,
        sku=item.ItemCode,
        name=item.ItemCodeDesc,
        kind=kinds[number - 1],
        active=not item.InactiveItem,
        standard_unit=item.StandardUnitOfMeasure,
        sales_unit=item.SalesUnitOfMeasure,
        standard_units_per_sales_unit=item.SalesUMConvFctr if item.SalesUMConvFctr > 0 else Decimal(1),
        tax_class=item.TaxClass,
        product_line=item.ProductLine,
        product_type=item.ProductType,
        default_warehouse=item.DefaultWarehouseCode,
        allows_back_orders=item.AllowBackOrders,
        drop_shipped=item.DropShip,
    )


# ---- what was pushed, remembered as digests -------------------------------------------------------------------------


def bucket_of(sku: str) -> int:
    """The same for a SKU for ever: memories outlive releases."""
    return int.from_bytes(hashlib.sha256(sku.encode()).digest()[:2]) % BUCKETS


def by_bucket(rows: Iterable[StockRow]) -> dict[int, list[StockRow]]:
    """Rows by bucket, each bucket sorted."""
    found: dict[int, list[StockRow]] = defaultdict(list)
    known: dict[str, int] = {}
    for row in rows:
        bucket = known.get(row.sku)
        if bucket is None:
            bucket = known[row.sku] = bucket_of(row.sku)
        found[bucket].append(row)
    return {bucket: sorted(content) for bucket, content in sorted(found.items())}


def digest_of(rows: Sequence[StockRow]) -> bytes:
    """Of one bucket's rows, sorted; never `UNKNOWN`."""
    text = "\n".join(f"{row.sku}\t{row.warehouse}\t{row.quantity}" for row in rows)
    digest = hashlib.sha256(text.encode()).digest()[:DIGEST_BYTES]
    return digest if digest != UNKNOWN else bytes([1] * DIGEST_BYTES)


class Digests:
    """One digest per bucket; as text 8 KB, or nothing when none is known."""

    def __init__(self, text: str = "") -> None:
        try:
            content = base64.b64decode(text, validate=True)
        except ValueError:
            content = b""
        # Of another length: made with other buckets, worth nothing here.
        self._content = bytearray(content if len(content) == BUCKETS * DIGEST_BYTES else bytes(BUCKETS * DIGEST_BYTES))

    def __getitem__(self, bucket: int) -> bytes:
        return bytes(self._content[bucket * DIGEST_BYTES : (bucket + 1) * DIGEST_BYTES])

    def __setitem__(self, bucket: int, digest: bytes) -> None:
        self._content[bucket * DIGEST_BYTES : (bucket + 1) * DIGEST_BYTES] = digest

    @property
    def known(self) -> int:
        """Buckets whose content at the store is known."""
        return sum(self[bucket] != UNKNOWN for bucket in range(BUCKETS))

    @property
    def text(self) -> str:
        """For the memory."""
        return base64.b64encode(bytes(self._content)).decode() if any(self._content) else ""
