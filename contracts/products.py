"""What travels between the workflows of products, the activities behind them, and people.

A product's run remembers digests of both sides' values in its memo (`MEMO`), so that the next run knows which side
changed; the catch-up remembers a digest for each of 1,024 buckets of fields and side. No store of our own is needed.
"""

from datetime import datetime
from enum import StrEnum
from typing import Final

from pydantic import Field, field_validator

from mappings.frozen import Frozen
from mappings.item_columns import NEW
from mappings.pair import Pace
from mappings.problems import Problem
from mappings.products import (
    Agreed,
    Changed,
    Difference,
    NewItem,
    ProductPlan,
    SideChange,
    WebProduct,
)
from mappings.sage_columns import is_own_column

MEMO: Final = "product"
"""Memo key of a run's `ProductMemory`."""
PAGE_PRODUCTS: Final = 500
"""Products in one message between workflow and activity: some 150 KB of JSON, deflated 30 KB."""
MOST_STARTS: Final = 2_000
"""Runs that one catch-up starts; what is left is seen again by the next."""
MOST_ROWS: Final = 500
"""Differences that a catch-up by hand lists."""


# ---- ProductSyncWorkflow: one product -------------------------------------------------------------------------------


class BroughtBy(StrEnum):
    """What started a product's run."""

    WEBHOOK = "webhook"
    CATCH_UP = "catch_up"


class ProductMemory(Frozen):
    """What one run of a product hands to the next: digests only."""

    digest: str = ""
    """Of the store's version that the run worked on."""
    base: dict[str, Agreed] = {}
    """By column, both sides' values at the last look."""
    settled: bool = False
    """Nothing was left undone: without a change there is nothing to do."""
    told: str = ""
    """Digest of the problems that people were told."""
    rules: str = ""
    """Digest of the pair's rules under which all this was remembered."""


class ProductStart(Frozen):
    """Start argument of `ProductSyncWorkflow`. Both sides are read by the run itself: events are only hints."""

    pair: str
    product_id: str
    pace: Pace
    brought_by: BroughtBy
    memory: ProductMemory = ProductMemory()
    changed: dict[str, Changed] = {}
    """By column, which side changed, as the catch-up saw."""


class ProductHold(StrEnum):
    """Why a product waits for a person (values of the search attribute `HoldReason`)."""

    NEW_PRODUCT = "new_product"
    """Its SKU is no item in Sage: create one?"""
    PRODUCT_CONFLICT = "product_conflict"
    """A field was changed by the side that does not own it, or on both."""


class ProductAction(StrEnum):
    """What can be decided on it."""

    APPROVE = "approve"
    """Create the item; or let the owner's value count."""
    DISCARD = "discard"
    """Create none; or leave both sides as they are, until one changes again."""


class ProductRelease(Frozen):
    """Argument of `release_product`, update and signal alike. `by` is a claim, marked unverified."""

    action: ProductAction
    by: str = Field(min_length=1, max_length=100)
    reason: ProductHold
    """The hold that is meant: a decision on another one changes nothing."""
    note: str = Field(default="", max_length=1000)
    columns: dict[str, str] = Field(default={}, max_length=40)
    """With `approve` of a new product: columns of CI_Item beside or instead of the template's."""

    @field_validator("columns")
    @classmethod
    def _known(cls, value: dict[str, str]) -> dict[str, str]:
        unknown = [column for column in value if column not in NEW and not is_own_column(column)]
        if unknown:
            raise ValueError(f"CI_Item takes no {unknown[0][:40]} from here")
        return value


class ReadProduct(Frozen):
    """`read_product`: the product as the store has it now."""

    pair: str
    product_id: str


class ProductRead(Frozen):
    """None: the store has it no more."""

    product: WebProduct | None = None
    before: dict[str, str | None] = {}
    """Its values at the last catch-up, where this worker remembers."""


class PlanProduct(Frozen):
    """`plan_product`: the product against its item as Sage has it now."""

    pair: str
    product: WebProduct
    base: dict[str, Agreed] = {}
    changed: dict[str, Changed] = {}
    before: dict[str, str | None] = {}
    """The store's values at the last catch-up."""
    patient: bool = False
    """What Sage owns and nobody knows the history of is left to the catch-up."""
    rules: str = ""
    """Those under which `base` was remembered."""


class ProductPlanned(Frozen):
    """The plan, and whether a new item may be created without asking."""

    plan: ProductPlan
    create_at_once: bool = False
    rules: str = ""
    """Digest of the rules by which it was made."""


class WriteItem(Frozen):
    """`write_item`: the store's values of these differences into the item, if Sage's are still what was seen."""

    pair: str
    ItemCode: str
    sku: str
    differences: list[Difference]


class WriteProduct(Frozen):
    """`write_product`: Sage's values of these differences into the product, if the store's are still what was seen."""

    pair: str
    product_id: str
    differences: list[Difference]


class Written(Frozen):
    """What became of them."""

    moved: bool = False
    """A value was not what was seen: nothing was written, look again."""
    refused: dict[str, Problem] = {}
    """By column; the others were written."""
    product: WebProduct | None = None
    """Of the store: as it is now."""


class CreateItem(Frozen):
    """`create_item` under the product's code."""

    pair: str
    new_item: NewItem


class ItemCreated(Frozen):
    """False: an item of this code is there that we did not make."""

    created: bool


class ProductState(StrEnum):
    """Where a product is."""

    AT_WORK = "at_work"
    WAITS = "waits"
    IN_STEP = "in_step"
    """Nothing differs, or nothing that is to be changed."""
    WRITTEN = "written"
    CREATED = "created"
    LATER = "later"
    """What differs is left to the next catch-up."""
    REFUSED = "refused"
    """Something cannot be done; the next catch-up tries again."""
    DISCARDED = "discarded"
    IGNORED = "ignored"
    GONE = "gone"
    """The store has it no more."""


class ProductView(Frozen):
    """Answer of the query `state`, and the result."""

    pair: str
    product_id: str
    sku: str = ""
    ItemCode: str = ""
    state: ProductState = ProductState.AT_WORK
    hold: ProductHold | None = None
    asked: list[str] = []
    """What a person is asked about."""
    done: list[str] = []
    """What was written, with the values before."""
    problems: list[Problem] = []
    decisions: list[str] = []
    reminders: int = 0


# ---- ProductCatchUpWorkflow: all of them ----------------------------------------------------------------------------


class CatchUpMemory(Frozen):
    """What one catch-up hands to the next, 8 KB. Losing it costs a comparison of everything."""

    sage: str = ""
    """`mappings.products.SideDigests` of Sage's side."""
    clarity: str = ""
    rules: str = ""
    """Digest of the pair's rules: under others all is unknown."""
    unreadable: list[str] = []
    """ItemCodes that people were told of."""


class ProductCatchUpStart(Frozen):
    """Start argument of `ProductCatchUpWorkflow`. By hand it has a memory to look with, and leaves none."""

    pair: str
    pace: Pace
    by_hand: bool = False
    dry_run: bool = False
    """Nothing is started, and so nothing written."""
    skus: list[str] = Field(default=[], max_length=1_000)
    """Only these; empty: all."""
    memory: CatchUpMemory = CatchUpMemory()


class ScanItems(Frozen):
    """`scan_items`: Sage's side of every field, as digests."""

    pair: str
    pace: Pace


class ItemsScanned(Frozen):
    """What the whole of CI_Item comes to."""

    digests: str
    items: int
    unreadable: list[str] = []
    """The first ItemCodes whose rows make no sense."""


class ListProducts(Frozen):
    """`list_products`: the store's products of which anything differs from the memory, one page."""

    pair: str
    pace: Pace
    reading: str
    """Names one reading of the list; its pages are asked for one after the other."""
    after: list[str] = []
    """SKU and id of the last product of the page before."""
    memory: CatchUpMemory
    sage: str
    """Digests of Sage's side now."""
    everything: bool = False
    """Also what is as remembered."""
    skus: list[str] = []


class ProductsListed(Frozen):
    """One page of them."""

    products: list[WebProduct]
    after: list[str] | None
    """None: that was the last one."""
    listed: int
    """Products in the store's list."""
    clarity: str
    """Digests of the store's side now."""
    rules: str = ""
    sage_change: SideChange
    clarity_change: SideChange
    unreadable: int = 0
    """Entries without id or SKU."""


class CompareProducts(Frozen):
    """`compare_products`: these products against their items as Sage has them now."""

    pair: str
    pace: Pace
    products: list[WebProduct]
    sage_change: SideChange
    clarity_change: SideChange


class ComparedProduct(Frozen):
    """A product that is not in step."""

    plan: ProductPlan
    changed: dict[str, Changed] = {}


class ProductsCompared(Frozen):
    """What differs."""

    found: list[ComparedProduct] = []
    in_step: int = 0
    left_alone: dict[str, int] = {}
    """By `mappings.products.Reason`."""
    rules: str = ""


class StartProducts(Frozen):
    """`start_products`: a run for each of these, unless one is at work or nothing is left to do."""

    pair: str
    pace: Pace
    found: list[ComparedProduct]
    rules: str = ""


class ProductsStarted(Frozen):
    """What became of them, by product id."""

    started: dict[str, str] = {}
    """Product id → workflow id."""
    at_work: list[str] = []
    settled: list[str] = []
    """A person has decided, and nothing has changed since."""


class DifferenceRow(Frozen):
    """A line of the table."""

    sku: str
    ItemCode: str = ""
    field: str
    sage: str
    clarity: str
    becomes: str
    why: str = ""


class CatchUpTally(Frozen):
    """Answer of the query `progress`."""

    began: datetime | None = None
    items: int = 0
    """Rows of CI_Item."""
    listed: int = 0
    """Products in the store."""
    looked_at: int = 0
    """Products of which something changed since the last time, or nobody knows."""
    in_step: int = 0
    left_alone: dict[str, int] = {}
    differences: int = 0
    """Fields that differ."""
    new: int = 0
    """Products whose SKU is no item."""
    problems: int = 0
    started: int = 0
    at_work: int = 0
    settled: int = 0
    put_off: int = 0
    """Beyond `MOST_STARTS`: left to the next one."""
    unreadable: int = 0
    rows: list[DifferenceRow] = []
    """By hand: the first of them."""
    workflows: list[str] = []
    """By hand: the first runs that were started."""
    done: bool = False


class ProductCatchUpResult(Frozen):
    """Result of the workflow; a scheduled run's is the memory of the next one."""

    tally: CatchUpTally
    memory: CatchUpMemory = CatchUpMemory()
