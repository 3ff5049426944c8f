"""The store's side of products, and Sage's: reading one, reading all, writing what the other side owns.

In: requests of `contracts.products`. Out: values that the mapping compares. One instance per pair and side. Writes set
absolute values, after a look whether they still stand upon what was seen: repeats change nothing, and what somebody
changed meanwhile is never overwritten unseen.
"""

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from time import monotonic
from typing import Any, Final, NamedTuple

from temporalio import activity

from activities.shifts import heartbeats
from connectors.clarity.client import ClarityClient
from connectors.errors import AlreadyExists, NotFound, Refused
from connectors.sage100.gateway import ItemWriter
from connectors.sage100.odbc import ProductItem, SageReader
from contracts.products import (
    PAGE_PRODUCTS,
    CatchUpMemory,
    ComparedProduct,
    CompareProducts,
    CreateItem,
    ItemCreated,
    ItemsScanned,
    ListProducts,
    PlanProduct,
    ProductPlanned,
    ProductRead,
    ProductsCompared,
    ProductsListed,
    ReadProduct,
    ScanItems,
    WriteItem,
    WriteProduct,
    Written,
)
from mappings.clarity_order import to_decimal
from mappings.intake import last_change
from mappings.items import ItemFacts, ItemLookup
from mappings.pair import NewProducts, Pair, ProductField
from mappings.problems import Problem
from mappings.products import (
    Changed,
    Difference,
    Looked,
    ProductPlan,
    SideChange,
    SideDigests,
    WebProduct,
    find_item,
    in_sages_words,
    in_stores_words,
    item_values,
    plan_product,
    read_product,
    rules_of,
    sage_names,
)

log = logging.getLogger(__name__)

PAGE: Final = 1_000
"""Items of one statement."""
ALIASES_LIMIT: Final = 200_000
ROUNDS: Final = 3
"""Readings of a list that moves while it is read."""
WHOLE_LIST_SECONDS: Final = 86_400.0
"""After so long the store's whole list is read again: products that are gone leave no change."""
OVERLAP: Final = timedelta(minutes=5)
"""The list of changes is read from so much before the last change that is known: stamps come late."""
ONE_BY_ONE: Final = (400, 409, 422)
"""Statuses of a write that may be refused for one of its fields."""
FIRST_UNREADABLE: Final = 20


# ---- Sage -----------------------------------------------------------------------------------------------------------


class SageProductActivities:
    """Items of one company: read through ODBC (queue `sage-read`), written through the gateway (`sage-write`)."""

    def __init__(self, pair: Pair, reader: SageReader, gateway: ItemWriter, seats: asyncio.Semaphore) -> None:
        self._pair = pair
        self._reader = reader
        self._gateway = gateway
        self._seats = seats
        self._columns = [field.sage for field in pair.products.fields]
        self._rules = rules_of(pair)
        self._lengths: dict[str, int] | None = None

    @activity.defn
    async def plan_product(self, request: PlanProduct) -> ProductPlanned:
        """One product against its item, as Sage has it now."""
        item, columns = await self._item_of(request.product.sku)
        plan = plan_product(
            request.product,
            item,
            columns,
            self._pair,
            lengths=await self._text_lengths(),
            base=request.base if request.rules == self._rules else {},
            told=request.changed,
            before=request.before,
            patient=request.patient,
        )
        create_at_once = self._pair.products.new_products is NewProducts.CREATE
        return ProductPlanned(plan=plan, create_at_once=create_at_once, rules=self._rules)

    async def _item_of(self, sku: str) -> tuple[ItemFacts | Problem | None, Mapping[str, str]]:
        entries = [one.item for name, one in self._pair.items.items() if name.casefold() == sku.casefold()]
        aliases = [one for one in await self._reader.aliases([sku]) if one.is_general]
        codes = [sku, *entries, *(alias.ItemCode for alias in aliases)]
        found, unreadable = await self._reader.product_items(dict.fromkeys(codes), self._columns)
        if unreadable:
            return cannot_be_read(sorted(unreadable)[0]), {}
        items = {code: one.item for code, one in found.items()}
        item = find_item(sku, ItemLookup(None, items, aliases, self._pair), self._pair)
        if isinstance(item, ItemFacts):
            return item, found[item.ItemCode].columns
        return item, {}

    async def _text_lengths(self) -> dict[str, int]:
        """CI_Item's, as this release has them."""
        if self._lengths is None:
            self._lengths = await self._reader.column_lengths("CI_Item")
        return self._lengths

    @activity.defn
    async def scan_items(self, request: ScanItems) -> ItemsScanned:
        """All of CI_Item by pages of its key, under every name that the store may sell an item by."""
        async with heartbeats(None, request.pace.poll_heartbeat_timeout / 3):
            further = await self._further_names()
            digests = SideDigests()
            unreadable: list[str] = []
            items, after = 0, ""
            while (page := await self._reader.product_items_page(after, PAGE, self._columns)) is not None:
                found, bad, after = page
                items += len(found)
                unreadable += bad
                for one in found:
                    self._add(digests, one, further)
            return ItemsScanned(digests=digests.known().text, items=items, unreadable=unreadable[:FIRST_UNREADABLE])

    def _add(self, digests: SideDigests, one: ProductItem, further: Mapping[str, list[str]]) -> None:
        for name in sage_names(one.item.ItemCode, further):
            there = item_values(one.item, one.columns, name, self._pair)
            for column, value in there.values.items():
                digests.add(name, column, value)
            for column, why in there.unreadable.items():
                digests.add(name, column, why)

    async def _further_names(self) -> dict[str, list[str]]:
        """ItemCode in small letters → general aliases and the pair's own names."""
        names: dict[str, list[str]] = defaultdict(list)
        for name, entry in self._pair.items.items():
            names[entry.item.casefold()].append(name)
        read, after = 0, ""
        while read < ALIASES_LIMIT and (page := await self._reader.aliases_page(after, PAGE)):
            for alias in page:
                if alias.is_general:
                    names[alias.ItemCode.casefold()].append(alias.AliasItemNo)
            read, after = read + len(page), page[-1].AliasItemNo
        return names

    @activity.defn
    async def compare_products(self, request: CompareProducts) -> ProductsCompared:
        """A page of products, each against its item by key."""
        async with heartbeats(None, request.pace.poll_heartbeat_timeout / 3):
            return await self._compare(request)

    async def _compare(self, request: CompareProducts) -> ProductsCompared:
        skus = [product.sku for product in request.products]
        entries = {name.casefold(): one.item for name, one in self._pair.items.items()}
        aliases = [one for one in await self._reader.aliases(skus) if one.is_general]
        codes = dict.fromkeys(
            [
                *skus,
                *(entries[sku.casefold()] for sku in skus if sku.casefold() in entries),
                *(alias.ItemCode for alias in aliases),
            ]
        )
        rows, unreadable = await self._reader.product_items(codes, self._columns)
        bad = {code.casefold() for code in unreadable}
        items = {code: one.item for code, one in rows.items()}
        lengths = await self._text_lengths()
        sage, clarity = Looked(request.sage_change), Looked(request.clarity_change)
        lookup = ItemLookup(None, items, aliases, self._pair)
        found: list[ComparedProduct] = []
        in_step, left_alone = 0, Counter[str]()
        for product in request.products:
            name = product.sku
            item = cannot_be_read(name) if name.casefold() in bad else find_item(name, lookup, self._pair)
            changed = {
                column: Changed(sage.changed(name, column), clarity.changed(name, column)) for column in self._columns
            }
            try:
                there = rows[item.ItemCode].columns if isinstance(item, ItemFacts) else {}
                plan = plan_product(product, item, there, self._pair, lengths=lengths, base={}, told=changed)
            except Exception as error:
                # A bug of ours, or a rule that this item breaks: it keeps no other product back.
                log.exception("Product %s cannot be compared", product.sku)
                problem = Problem(field="product", message=f"cannot be compared: {type(error).__name__}: {error}"[:300])
                plan = ProductPlan(product=product, problems=[problem])
            if plan.left_alone is not None:
                left_alone[plan.left_alone.value] += 1
            elif plan.is_in_step:
                in_step += 1
            else:
                known = {column: one for column, one in changed.items() if one.is_known}
                found.append(ComparedProduct(plan=plan, changed=known))
        return ProductsCompared(found=found, in_step=in_step, left_alone=dict(left_alone), rules=self._rules)

    @activity.defn
    async def write_item(self, request: WriteItem) -> Written:
        """The store's values into CI_Item."""
        async with self._seats:
            stored = await self._gateway.get_item(request.ItemCode)
            if stored is None:
                return Written(moved=True)
            item = item_of(stored)
            names = [one.column for one in request.differences]
            columns = {name: stored.get(name, "") for name in names}
            there = item_values(item, columns, request.sku, self._pair)
            todo: dict[str, str] = {}
            for one in request.differences:
                now = there.values.get(one.column)
                if now == one.clarity:
                    continue
                if now != one.sage or one.clarity is None:
                    return Written(moved=True)
                todo[one.column] = in_sages_words(self._field(one), one.clarity, there.factor)
            return Written(refused=await self._change(request.ItemCode, todo))

    async def _change(self, code: str, todo: Mapping[str, str]) -> dict[str, Problem]:
        """All columns at once; where Sage refuses, one by one, so that one that it refuses keeps no other back."""
        if not todo:
            return {}
        try:
            await self._gateway.change_item(code, todo)
        except Refused as error:
            if error.status not in ONE_BY_ONE:
                raise
            if len(todo) == 1:
                column = next(iter(todo))
                return {column: Problem(field=f"CI_Item.{error.field or column}", message=error.message[:300])}
            return {
                name: problem
                for column, value in todo.items()
                for name, problem in (await self._change(code, {column: value})).items()
            }
        return {}

    @activity.defn
    async def create_item(self, request: CreateItem) -> ItemCreated:
        """Create it; what an earlier attempt made, whose answer was lost, is ours when it has every column as sent."""
        new = request.new_item
        async with self._seats:
            # Before every attempt: a careless gateway would write over an item that is there.
            stored = await self._gateway.get_item(new.ItemCode)
            if stored is None:
                try:
                    await self._gateway.create_item(new.ItemCode, new.columns)
                except AlreadyExists:
                    stored = await self._gateway.get_item(new.ItemCode)
                else:
                    return ItemCreated(created=True)
        ours = stored is not None and all(_same(stored.get(name, ""), value) for name, value in new.columns.items())
        return ItemCreated(created=ours)

    def _field(self, difference: Difference) -> ProductField:
        return field_of(self._pair, difference)


def cannot_be_read(code: str) -> Problem:
    """Its row makes no sense: it is an item all the same, and none is created."""
    remedy = "Look at its row in Sage."
    return Problem(field="CI_Item.ItemCode", message=f"{code} cannot be read", suggestion=remedy)


def _same(one: str, other: str) -> bool:
    numbers = to_decimal(one), to_decimal(other)
    return one.strip() == other.strip() or (None not in numbers and numbers[0] == numbers[1])


def item_of(columns: Mapping[str, str]) -> ItemFacts:
    """An item as the gateway tells it, as far as units go."""
    return ItemFacts(
        ItemCode=columns.get("ItemCode", ""),
        StandardUnitOfMeasure=columns.get("StandardUnitOfMeasure", ""),
        SalesUnitOfMeasure=columns.get("SalesUnitOfMeasure", ""),
        SalesUMConvFctr=to_decimal(columns.get("SalesUMConvFctr", "")) or Decimal(1),
        PurchaseUnitOfMeasure=columns.get("PurchaseUnitOfMeasure", ""),
        PurchaseUMConvFctr=to_decimal(columns.get("PurchaseUMConvFctr", "")) or Decimal(0),
    )


def field_of(pair: Pair, difference: Difference) -> ProductField:
    """The pair file's rule of a difference; raises KeyError when the file has it no more."""
    for field in pair.products.fields:
        if field.sage == difference.column:
            return field
    raise KeyError(f"products.fields has no {difference.column} any more")


# ---- the store ------------------------------------------------------------------------------------------------------


class _Index:
    """The store's products in memory: read whole once a day, else what changed. Losing it costs one reading."""

    def __init__(self) -> None:
        self.products: dict[str, WebProduct] = {}
        self.read = -WHOLE_LIST_SECONDS
        self.newest: datetime | None = None
        """The last change that is known, by the store's own clock."""
        self.unreadable = 0


class _Reading(NamedTuple):
    name: str
    products: list[WebProduct]
    answer: ProductsListed


class StoreProductActivities:
    """Products of one store, on `clarity-{pair}`."""

    def __init__(self, pair: Pair, clarity: ClarityClient) -> None:
        self._pair = pair
        self._clarity = clarity
        self._index = _Index()
        self._reading: _Reading | None = None
        self._one_at_a_time = asyncio.Lock()
        steps = pair.clarity.steps_per_second
        self._pause = 1 / steps if steps else 0.0

    @activity.defn
    async def read_product(self, request: ReadProduct) -> ProductRead:
        """One product, as it is now."""
        known = self._index.products.get(request.product_id)
        before = known.values if known is not None else {}
        try:
            product = read_product(await self._clarity.get_product(request.product_id), self._pair)
            return ProductRead(product=product, before=before)
        except NotFound:
            self._index.products.pop(request.product_id, None)
            return ProductRead()

    @activity.defn
    async def write_product(self, request: WriteProduct) -> Written:
        """Sage's values into the product."""
        try:
            product = read_product(await self._clarity.get_product(request.product_id), self._pair)
        except NotFound:
            product = None
        if product is None:
            return Written(moved=True)
        todo: dict[str, Difference] = {}
        for one in request.differences:
            now = product.values.get(one.column)
            if now == one.sage:
                continue
            if now != one.clarity:
                return Written(moved=True, product=product)
            todo[one.column] = one
        refused, product = await self._patch(product, todo)
        return Written(refused=refused, product=product)

    async def _patch(
        self, product: WebProduct, todo: Mapping[str, Difference]
    ) -> tuple[dict[str, Problem], WebProduct]:
        """All fields at once; where the store refuses, one by one."""
        if not todo:
            return {}, product
        body: dict[str, Any] = {}
        for one in todo.values():
            field = field_of(self._pair, one)
            name, _, custom = field.clarity.partition(".")
            value = in_stores_words(field, one.sage)
            if custom:
                body.setdefault(name, {})[custom] = value
            else:
                body[name] = value
        try:
            answer = read_product(await self._clarity.patch_product(product.id, body), self._pair)
        except Refused as error:
            if error.status not in ONE_BY_ONE:
                raise
            if len(todo) == 1:
                (one,) = todo.values()
                problem = Problem(field=error.field or one.field, message=error.message[:300])
                return {one.column: problem}, product
            refused: dict[str, Problem] = {}
            for column, one in todo.items():
                bad, product = await self._patch(product, {column: one})
                refused |= bad
            return refused, product
        return {}, answer or product

    @activity.defn
    async def list_products(self, request: ListProducts) -> ProductsListed:
        """Products of which a field's bucket is not as remembered, on either side (or all of them); one page."""
        async with heartbeats(None, request.pace.poll_heartbeat_timeout / 3), self._one_at_a_time:
            kept = self._reading
            if kept is None or kept.name != request.reading:
                kept = await self._read(request)
                self._reading = kept
            # By key: another worker's list, or one that was read again, may have other products before this place.
            left = [one for one in kept.products if [one.sku, one.id] > request.after]
            page = left[:PAGE_PRODUCTS]
            after = [page[-1].sku, page[-1].id] if len(left) > len(page) else None
            return kept.answer.model_copy(update={"products": page, "after": after})

    async def _read(self, request: ListProducts) -> _Reading:
        await self._refresh()
        index = self._index
        now = SideDigests()
        for product in index.products.values():
            for column, value in product.values.items():
                now.add(product.sku, column, value)
            for column, why in product.unreadable.items():
                now.add(product.sku, column, why)
        now.known()
        rules = rules_of(self._pair)
        memory = request.memory if request.memory.rules == rules else CatchUpMemory()
        sage = SideChange.between(SideDigests(memory.sage), SideDigests(request.sage))
        clarity = SideChange.between(SideDigests(memory.clarity), now)
        looks = Looked(sage), Looked(clarity)
        columns = [field.sage for field in self._pair.products.fields] or [""]
        wanted = {sku.casefold() for sku in request.skus}
        products = [
            product
            for product in index.products.values()
            if (not wanted or product.sku.casefold() in wanted)
            and (request.everything or any(look.differs(product.sku, column) for look in looks for column in columns))
        ]
        answer = ProductsListed(
            products=[],
            after=None,
            listed=len(index.products),
            clarity=now.text,
            rules=rules,
            sage_change=sage,
            clarity_change=clarity,
            unreadable=index.unreadable,
        )
        return _Reading(request.reading, sorted(products, key=lambda one: (one.sku, one.id)), answer)

    async def _refresh(self) -> None:
        """The whole list, or what changed since the last change that is known."""
        index = self._index
        whole = index.newest is None or monotonic() - index.read >= WHOLE_LIST_SECONDS
        if whole:
            index = _Index()
            index.read = monotonic()
        since = None if whole or index.newest is None else index.newest - OVERLAP
        newest = index.newest
        for _ in range(ROUNDS):
            seen: set[str] = set()
            page, total, unreadable = 0, 0, 0
            while True:
                answer = await self._clarity.list_products(since, page)
                total = answer.totalCount
                for body in answer.items:
                    product = read_product(body, self._pair)
                    stamp = last_change({"data": body})
                    if stamp is not None and (newest is None or stamp > newest):
                        newest = stamp
                    if product is None:
                        unreadable += 1
                        continue
                    seen.add(product.id)
                    index.products[product.id] = product
                activity.heartbeat()
                if len(answer.items) < self._clarity.page_size:
                    break
                page += 1
                await asyncio.sleep(self._pause)
            # The list moves while it is read: a changed product goes to its end, and those behind it move up a page.
            if len(seen) + unreadable >= total:
                break
        # Only now: what was not read before something failed is read the next time.
        index.newest = newest
        if whole:
            index.unreadable = unreadable
        self._index = index
