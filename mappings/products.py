"""Products and items held against each other, field by field: what to write where, and what is in conflict.

In: a product as the store has it, its item as Sage has it, the pair's section `products`, and what is known of each
side's last state. Out: a `ProductPlan` with every difference and what becomes of it. Pure.

Every value is compared as text: blanks do not count, numbers are exact and without trailing zeros, codes are Sage's.
`None` is a value that the store has not; a field that it does not tell at all is not compared.

Whose change a difference is, is known from digests of both values at the last look: the owner's change is written to
the other side; a change by the other side, or on both, is a conflict; without a memory nobody knows, and the owner's
value counts, told with the one that it replaces.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, NamedTuple

from mappings.clarity_order import to_decimal
from mappings.conditions import item_context
from mappings.frozen import Frozen
from mappings.inventory import canonical_item
from mappings.item_columns import ITEM_CODE_LENGTH, does_not_fit, is_number, rounded
from mappings.items import ItemFacts, ItemLookup, Unresolved, unit_name
from mappings.pair import (
    ConflictPolicy,
    FieldOwner,
    NewProducts,
    OtherNames,
    Pair,
    PricePer,
    ProductField,
)
from mappings.problems import Problem

NO, YES = "N", "Y"
"""Sage's flags; an empty one means N."""
LONGEST_SHOWN: Final = 80
SKU_LIMIT: Final = 64
FIRST_NAMED: Final = 500


# ---- the two sides --------------------------------------------------------------------------------------------------


class WebProduct(Frozen):
    """A product of the store, as far as the pair's fields go."""

    id: str
    sku: str
    values: dict[str, str | None] = {}
    """By Sage's column."""
    unreadable: dict[str, str] = {}
    """Column → why the store's value makes no sense there."""

    @property
    def digest(self) -> str:
        """Equal products have equal digests, whatever else of them changed."""
        return digest_of(repr((self.sku, sorted(self.values.items()), sorted(self.unreadable))))


class ItemValues(Frozen):
    """An item of Sage's, as far as the pair's fields go."""

    ItemCode: str
    values: dict[str, str] = {}
    """By column, as the store would have them."""
    unreadable: dict[str, str] = {}
    """Column → why Sage's value cannot be told to the store."""
    factor: Decimal = Decimal(1)
    """Standard units in one that the store sells, for fields `per: sales`."""


def digest_of(text: str) -> str:
    """Twelve hex digits: two of a product's values have the same once in 2^48."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def plain_text(value: str) -> str:
    """One line without superfluous blanks: Sage's columns hold no more."""
    return " ".join(value.split())


def number_text(number: Decimal) -> str:
    """`12.50` and `12.5` are one number."""
    text = f"{number.normalize():f}"
    return "0" if text in ("-0", "") else text


def read_product(body: Mapping[str, Any], pair: Pair) -> WebProduct | None:
    """A product in the contract's words; None for one without id or SKU."""
    id_, sku = _name(body.get("id")), _name(body.get("sku"))
    if not id_ or not sku:
        return None
    values: dict[str, str | None] = {}
    unreadable: dict[str, str] = {}
    for field in pair.products.fields:
        given, value = _given(body, field.clarity)
        if not given:
            continue
        read = _from_store(field, value)
        if isinstance(read, _Strange):
            unreadable[field.sage] = read.why
        else:
            values[field.sage] = read
    return WebProduct(id=id_, sku=sku, values=values, unreadable=unreadable)


def _name(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    if isinstance(value, int) and abs(value) >= 10**SKU_LIMIT:
        return ""
    text = str(value).strip()
    return text if text.isprintable() and len(text) <= SKU_LIMIT else ""


def _given(body: Mapping[str, Any], path: str) -> tuple[bool, Any]:
    inner: Any = body
    for name in path.split(".", 1):
        if not isinstance(inner, Mapping) or name not in inner:
            return False, None
        inner = inner[name]
    return True, inner


class _Strange(NamedTuple):
    why: str


def _from_store(field: ProductField, value: Any) -> str | _Strange | None:
    shown = f"{field.clarity} is {str(value)[:40]!r}"
    if field.values:
        wanted = plain_text(value) if isinstance(value, str) else value
        for code, theirs in field.values.items():
            same = isinstance(theirs, str) and isinstance(wanted, str) and theirs.casefold() == wanted.casefold()
            if same or (isinstance(theirs, bool) and wanted is theirs):
                return code
        return None if value in (None, "") else _Strange(f"{shown}, which is none of products.fields[].values")
    if value is None:
        return None if is_number(field.sage) else ""
    if is_number(field.sage):
        number = to_decimal(value)
        return _Strange(f"{shown}, which is no number") if number is None else number_text(number)
    if isinstance(value, bool):
        return YES if value else NO
    if isinstance(value, str | int | float | Decimal):
        return plain_text(str(value))
    return _Strange(f"{shown}, which is no text")


def in_stores_words(field: ProductField, value: str | None) -> Any:
    """A value as the store is told it: JSON."""
    if value is None:
        return None
    return field.values.get(value, value) if field.values else value


def item_values(
    item: ItemFacts, columns: Mapping[str, str], sku: str, pair: Pair, *, of_column: Iterable[str] | None = None
) -> ItemValues:
    """An item under the name that the store sells it by; `columns` as Sage has them."""
    factor = conversion(item, sku, pair)
    values: dict[str, str] = {}
    unreadable: dict[str, str] = {}
    wanted = None if of_column is None else set(of_column)
    for field in pair.products.fields:
        if field.sage not in columns or (wanted is not None and field.sage not in wanted):
            continue
        read = _from_sage(field, columns[field.sage], factor, pair)
        if isinstance(read, _Strange):
            unreadable[field.sage] = read.why
        else:
            values[field.sage] = read
    return ItemValues(ItemCode=item.ItemCode, values=values, unreadable=unreadable, factor=factor)


def conversion(item: ItemFacts, sku: str, pair: Pair) -> Decimal:
    """Standard units in one of what the store sells under this SKU."""
    entry = next((one for name, one in pair.items.items() if name.casefold() == sku.casefold()), None)
    if entry is not None and entry.unit:
        known = {name.casefold(): factor for name, factor in item.units.items()}
        return known.get(unit_name(entry.unit, pair).casefold(), item.SalesUMConvFctr)
    return item.SalesUMConvFctr


def _from_sage(field: ProductField, raw: str, factor: Decimal, pair: Pair) -> str | _Strange:
    if is_number(field.sage):
        number = to_decimal(raw or "0")
        if number is None:
            return _Strange(f"{field.sage} is {raw[:40]!r}, which is no number")
        if field.per is PricePer.SALES:
            number *= factor
        return number_text(rounded(field.sage, number, pair.company.price_decimals))
    text = plain_text(raw)
    if not field.values:
        return text
    code = NO if not text and NO in field.values else text
    return code if code in field.values else _Strange(f"{field.sage} is {text!r}, which products.fields[].values lacks")


def in_sages_words(field: ProductField, value: str, factor: Decimal) -> str:
    """A value as it stands in Sage's column."""
    if is_number(field.sage) and field.per is PricePer.SALES and factor > 0:
        return number_text(Decimal(value) / factor)
    return value


def rules_of(pair: Pair) -> str:
    """Digest of what values depend on besides the two sides: what was remembered under other rules is worth nothing."""
    items = sorted((name, str(entry)) for name, entry in pair.items.items())
    return digest_of(f"{pair.products.model_dump_json()} {items} {pair.company.price_decimals}")


# ---- what is known of the last look ---------------------------------------------------------------------------------


class Agreed(NamedTuple):
    """Digests of a field's values at the last look, Sage's and the store's; the same where they were equal."""

    sage: str
    clarity: str


class Changed(NamedTuple):
    """Which side changed since the last look; None where nobody knows."""

    sage: bool | None = None
    clarity: bool | None = None

    @property
    def is_known(self) -> bool:
        """Both sides are."""
        return self.sage is not None and self.clarity is not None


UNKNOWN_CHANGE: Final = Changed()


def agreed_now(sage: str | None, clarity: str | None) -> Agreed:
    """What is remembered of a field."""
    return Agreed(digest_of(repr(sage)), digest_of(repr(clarity)))


def changes_of(
    product: WebProduct,
    item: ItemValues,
    base: Mapping[str, Agreed],
    told: Mapping[str, Changed],
    before: Mapping[str, str | None],
) -> dict[str, Changed]:
    """By column, from what the catch-up saw (`told`), else from what the product's last run remembered (`base`).

    Else from what the store had at the last catch-up (`before`), at which both sides agreed, or a run was started. It
    tells something only where the store has changed since: a catch-up at work may have read the new value already.
    """
    found: dict[str, Changed] = {}
    for column in item.values:
        if column in told and told[column].is_known:
            found[column] = told[column]
        elif column in base:
            now = agreed_now(item.values[column], product.values.get(column))
            found[column] = Changed(now.sage != base[column].sage, now.clarity != base[column].clarity)
        elif column in before and before[column] != product.values.get(column):
            found[column] = Changed(sage=before[column] != item.values[column], clarity=True)
    return found


# ---- differences ----------------------------------------------------------------------------------------------------


class Action(StrEnum):
    """What becomes of a difference."""

    TO_SAGE = "to_sage"
    TO_CLARITY = "to_clarity"
    ASK = "ask"
    """A person decides."""
    LEFT = "left"
    """A person left it, and neither side has changed since."""
    LATER = "later"
    """The next catch-up knows which side changed."""
    REFUSED = "refused"
    """It cannot be written."""


class Difference(Frozen):
    """One field that the two sides have otherwise."""

    column: str
    field: str
    """The store's name of it."""
    owner: FieldOwner
    sage: str | None
    clarity: str | None
    action: Action
    conflict: bool = False
    """The side that does not own it changed it, or both did."""
    unsure: bool = False
    """Nobody knows which side changed."""
    why: str = ""

    @property
    def told(self) -> bool:
        """Whether people hear of it when it is written: it replaces what somebody may have meant."""
        return self.conflict or self.unsure

    @property
    def in_words(self) -> str:
        """`StandardUnitPrice/price: Sage 349, store 300`."""
        return f"{self.column}/{self.field}: Sage {shown(self.sage)}, store {shown(self.clarity)}"


class NewItem(Frozen):
    """An item to create."""

    ItemCode: str
    columns: dict[str, str] = {}


class Reason(StrEnum):
    """Why a product is left alone."""

    SKIPPED = "skipped"
    """Its SKU is under `products.skip`."""
    OTHER_ITEMS = "other_items"
    """`products.when` does not hold for its item."""
    NO_ITEM = "no_item"
    """Its SKU is no item, and `new_products` says ignore."""
    NO_GOODS = "no_goods"
    """Its item is a charge or a comment."""


class ProductPlan(Frozen):
    """What is to be done about one product."""

    product: WebProduct
    ItemCode: str = ""
    differences: list[Difference] = []
    problems: list[Problem] = []
    """What cannot be done, and why; the rest is."""
    left_alone: Reason | None = None
    new_item: NewItem | None = None
    base: dict[str, Agreed] = {}
    """What is to be remembered of the fields as they stand now; those that are to be written come later."""

    @property
    def is_in_step(self) -> bool:
        """Nothing to do, and nothing to say."""
        return not (self.differences or self.problems or self.new_item)

    def to(self, *actions: Action) -> list[Difference]:
        """The differences of which this becomes."""
        return [one for one in self.differences if one.action in actions]


def shown(value: str | None) -> str:
    """A value for people, bounded."""
    if value is None or not value:
        return "nothing"
    return repr(value if len(value) <= LONGEST_SHOWN else value[:LONGEST_SHOWN] + "…")


def find_item(sku: str, lookup: ItemLookup, pair: Pair) -> ItemFacts | Problem | None:
    """The item that a SKU stands for, inactive or not; None when it stands for nothing."""
    found = lookup.meant(sku)
    if isinstance(found, Unresolved):
        remedy = f"Make the SKU stand for one item: in Sage, or under items in {pair.name}.yaml."
        return Problem(field="sku", message=f"{found.why}.", suggestion=remedy)
    return found


def plan_product(
    product: WebProduct,
    item: ItemFacts | Problem | None,
    columns: Mapping[str, str],
    pair: Pair,
    *,
    lengths: Mapping[str, int],
    base: Mapping[str, Agreed],
    told: Mapping[str, Changed],
    before: Mapping[str, str | None] | None = None,
    patient: bool = False,
) -> ProductPlan:
    """Every difference and what becomes of it; `columns` are the item's, `lengths` CI_Item's as the site has them.

    `before` are the store's values at the last catch-up, where somebody remembers them. `patient`: what Sage owns and
    nobody knows the history of is left to the next catch-up, which sees both sides.
    """
    rules = pair.products
    if product.sku.casefold() in {one.casefold() for one in rules.skip}:
        return ProductPlan(product=product, left_alone=Reason.SKIPPED)
    if item is None:
        return _plan_new(product, pair, lengths)
    if isinstance(item, Problem):
        return ProductPlan(product=product, problems=[item])
    if item.ItemType in ("3", "4"):
        return ProductPlan(product=product, ItemCode=item.ItemCode, left_alone=Reason.NO_GOODS)
    if rules.when is not None and not rules.when.holds(item_context(canonical_item(item))):
        return ProductPlan(product=product, ItemCode=item.ItemCode, left_alone=Reason.OTHER_ITEMS)
    there = item_values(item, columns, product.sku, pair)
    known = before or {}
    changes = changes_of(product, there, base, told, known)
    gives = rules.other_names is OtherNames.BOTH or product.sku.casefold() == item.ItemCode.casefold()
    differences: list[Difference] = []
    problems: list[Problem] = []
    remembered: dict[str, Agreed] = {}
    for field in rules.fields:
        column = field.sage
        for side in (product.unreadable, there.unreadable):
            if column in side:
                problems.append(_strange(field, side[column], pair))
        if column not in there.values or (column not in product.values and field.owner is FieldOwner.CLARITY):
            continue
        if column in product.unreadable and field.owner is FieldOwner.CLARITY:
            continue
        if field.owner is FieldOwner.CLARITY and not gives:
            continue
        sage, clarity = there.values[column], product.values.get(column)
        if sage == clarity:
            remembered[column] = agreed_now(sage, clarity)
            continue
        if clarity is None and field.owner is FieldOwner.CLARITY:
            # A number or a code that the store has not: it owns it, and says nothing.
            continue
        moved = column not in known or known[column] != clarity
        found = _decide(
            field, sage, clarity, changes.get(column, UNKNOWN_CHANGE), pair, patient=patient, by_event=moved
        )
        if found.action is Action.TO_SAGE or (found.action is Action.ASK and field.owner is FieldOwner.CLARITY):
            problem = _cannot_stand(field, clarity or "", there.factor, lengths, pair)
            if problem is not None:
                problems.append(problem)
                found = found.model_copy(update={"action": Action.REFUSED, "why": problem.message})
        if found.action is Action.LEFT:
            remembered[column] = agreed_now(sage, clarity)
        differences.append(found)
    return ProductPlan(
        product=product, ItemCode=item.ItemCode, differences=differences, problems=problems, base=remembered
    )


def _decide(
    field: ProductField,
    sage: str,
    clarity: str | None,
    changed: Changed,
    pair: Pair,
    *,
    patient: bool,
    by_event: bool,
) -> Difference:
    """Whose change it is, and what becomes of it. `by_event`: as far as is known it may be what an event is about."""
    by_clarity = field.owner is FieldOwner.CLARITY
    write = Action.TO_SAGE if by_clarity else Action.TO_CLARITY
    owner, other = ("the store", "Sage") if by_clarity else ("Sage", "the store")
    found = Difference(
        column=field.sage, field=field.clarity, owner=field.owner, sage=sage, clarity=clarity, action=write
    )
    if not changed.is_known:
        if patient:
            later = "nobody knows which side changed; the next catch-up does"
            # The event says that the store changed something: what it owns may as well be that.
            if by_clarity and by_event:
                return found
            return found.model_copy(update={"action": Action.LATER, "why": later})
        why = f"nobody knows which side changed; {owner} owns it"
        return found.model_copy(update={"unsure": True, "why": why})
    by_owner, by_other = (changed.clarity, changed.sage) if by_clarity else (changed.sage, changed.clarity)
    if not by_other:
        if by_owner:
            return found.model_copy(update={"why": f"{owner} changed it"})
        return found.model_copy(update={"action": Action.LEFT, "why": "a person left it"})
    why = f"changed on both sides; {owner} owns it" if by_owner else f"changed in {other}; {owner} owns it"
    ask = pair.products.conflicts is ConflictPolicy.ASK
    return found.model_copy(update={"conflict": True, "why": why, "action": Action.ASK if ask else write})


def _cannot_stand(
    field: ProductField, value: str, factor: Decimal, lengths: Mapping[str, int], pair: Pair
) -> Problem | None:
    """Why the store's value cannot be written to Sage."""
    written = in_sages_words(field, value, factor)
    complaint = does_not_fit(
        field.sage, written, lengths, pair.company.price_decimals, longest=pair.columns.get(field.sage)
    )
    if complaint is None and not written.isprintable():
        remedy = "Remove characters that cannot be printed there."
        return Problem(field=f"CI_Item.{field.sage}", message=f"{field.clarity} cannot be printed", suggestion=remedy)
    if complaint is None:
        return None
    return Problem(
        field=f"CI_Item.{field.sage}",
        message=f"{field.clarity} {shown(value)} does not fit: {complaint.problem}",
        suggestion=complaint.remedy.replace(" there.", " in the store."),
    )


def _strange(field: ProductField, why: str, pair: Pair) -> Problem:
    remedy = f"Correct it there, or add it to products.fields[].values in {pair.name}.yaml."
    return Problem(field=f"CI_Item.{field.sage}", message=why, suggestion=remedy)


def _plan_new(product: WebProduct, pair: Pair, lengths: Mapping[str, int]) -> ProductPlan:
    """The item that the product is to become, or what stands in its way."""
    rules = pair.products
    if rules.new_products is NewProducts.IGNORE:
        return ProductPlan(product=product, left_alone=Reason.NO_ITEM)
    problems: list[Problem] = [
        _strange(field, product.unreadable[field.sage], pair)
        for field in rules.fields
        if field.sage in product.unreadable
    ]
    longest = lengths.get("ItemCode", ITEM_CODE_LENGTH)
    if len(product.sku) > longest:
        problems.append(
            Problem(
                field="CI_Item.ItemCode",
                message=f"The SKU {product.sku} has {len(product.sku)} characters, ItemCode takes {longest}",
                suggestion=f"Shorten it in the store, or name an item for it under items in {pair.name}.yaml.",
            )
        )
    columns = dict(rules.template)
    factor = to_decimal(columns.get("SalesUMConvFctr", "1")) or Decimal(1)
    for field in rules.fields:
        value = product.values.get(field.sage)
        if value is None:
            continue
        if (problem := _cannot_stand(field, value, factor, lengths, pair)) is not None:
            problems.append(problem)
        else:
            columns[field.sage] = in_sages_words(field, value, factor)
    if problems:
        return ProductPlan(product=product, problems=problems)
    new = NewItem(ItemCode=product.sku, columns={name: value for name, value in columns.items() if value})
    return ProductPlan(product=product, new_item=new)


# ---- the memory of the catch-up -------------------------------------------------------------------------------------

BUCKETS: Final = 1024
"""Parts into which the fields of all products fall: of 5,000 products with four fields twenty each."""
WORD: Final = 3
"""Bytes of a bucket's digest: it is the sum of its cells' hashes, so their order does not matter."""


def bucket_of(name: str, column: str) -> int:
    """The bucket of a field of a product; the same for ever, as memories outlive releases."""
    return int.from_bytes(hashlib.sha256(f"{name.casefold()}\t{column}".encode()).digest()[:2]) % BUCKETS


def _hash(name: str, column: str, value: str | None) -> int:
    text = f"{name.casefold()}\t{column}\t{value!r}"
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=WORD).digest())


class SideDigests:
    """One side's fields by bucket: 3 KB, 4 as text; 0 is a bucket of which nobody knows."""

    def __init__(self, text: str = "") -> None:
        try:
            content = base64.b64decode(text, validate=True)
        except ValueError:
            content = b""
        if len(content) != BUCKETS * WORD:
            content = bytes(BUCKETS * WORD)
        self._sums = [int.from_bytes(content[at : at + WORD]) for at in range(0, len(content), WORD)]

    def add(self, name: str, column: str, value: str | None) -> None:
        """A field's value."""
        bucket = bucket_of(name, column)
        self._sums[bucket] = (self._sums[bucket] + _hash(name, column, value)) % 256**WORD

    def known(self) -> "SideDigests":
        """After all is added: no bucket is unknown any more."""
        self._sums = [one or 1 for one in self._sums]
        return self

    def __getitem__(self, bucket: int) -> int:
        return self._sums[bucket]

    def forget(self, bucket: int) -> None:
        """Nobody knows any more."""
        self._sums[bucket] = 0

    @property
    def text(self) -> str:
        """For the memory."""
        return base64.b64encode(b"".join(one.to_bytes(WORD) for one in self._sums)).decode()


class SideChange(NamedTuple):
    """One side's buckets since the last look, as bits."""

    unknown: str = ""
    changed: str = ""

    @classmethod
    def between(cls, before: SideDigests, now: SideDigests) -> "SideChange":
        """What differs."""
        unknown = [before[bucket] == 0 for bucket in range(BUCKETS)]
        changed = [before[bucket] != now[bucket] for bucket in range(BUCKETS)]
        return cls(_bits(unknown), _bits(changed))


def _bits(flags: Sequence[bool]) -> str:
    number = sum(1 << place for place, flag in enumerate(flags) if flag)
    return base64.b64encode(number.to_bytes(BUCKETS // 8)).decode()


class Looked:
    """What a catch-up saw of one side: which buckets changed."""

    def __init__(self, change: SideChange) -> None:
        self._unknown = int.from_bytes(base64.b64decode(change.unknown))
        self._changed = int.from_bytes(base64.b64decode(change.changed))

    def differs(self, name: str, column: str) -> bool:
        """Whether the field's bucket is not as it was."""
        return bool(self._changed >> bucket_of(name, column) & 1)

    def changed(self, name: str, column: str) -> bool | None:
        """The same; None when nobody knows how it was."""
        bucket = bucket_of(name, column)
        return None if self._unknown >> bucket & 1 else bool(self._changed >> bucket & 1)


def sage_names(item_code: str, further: Mapping[str, Sequence[str]]) -> list[str]:
    """Every SKU under which the store may sell an item; `further` by ItemCode in small letters."""
    return [item_code, *further.get(item_code.casefold(), ())]
