"""What travels between `InventorySyncWorkflow` and the activities that read Sage's stock and write the store's.

Rows travel as short arrays (SKU, warehouse, quantity), at most `PAGE_ROWS` in one message: with their codec under
100 KB. What the store has is remembered as one digest per bucket of SKUs, 8 KB for any size of catalogue.
"""

from datetime import datetime
from enum import StrEnum
from typing import Final

from mappings.frozen import Frozen
from mappings.inventory import StockRow
from mappings.pair import Pace

PAGE_ROWS: Final = 10_000
"""Rows in one message between workflow and activity, one bucket more at most: 280 KB of JSON, deflated 80 KB."""
FIRST_SKUS: Final = 20
"""SKUs that an alert and the details page name."""


class InventoryAction(StrEnum):
    """What can be asked for by hand (update `ask`)."""

    SWEEP = "sweep"
    """Read all stock in Sage now, and push what changed."""
    FULL = "full"
    """Forget what was pushed: push every number again."""
    COMPARE = "compare"
    """Compare with the store's own numbers now, and repair what differs."""


class InventoryStart(Frozen):
    """Start argument of `InventorySyncWorkflow`."""

    pair: str
    pace: Pace


class InventoryMemory(Frozen):
    """What one shift hands to the next, at most 9 KB. Losing it costs one push of everything, and no wrong number."""

    digests: str = ""
    """`mappings.inventory.Digests`: what the store was told, bucket by bucket."""
    next_bucket: int = 0
    """Where the next page of changes begins: every bucket gets its turn."""
    swept_at: datetime | None = None
    compared_at: datetime | None = None
    problem: str = ""
    """What keeps stock from the store, and was told."""
    as_of: datetime | None = None
    """When the shift ended. A later run that ended in another way may have pushed what this does not know."""


class StockReading(Frozen):
    """Figures of one reading of Sage."""

    at: datetime | None = None
    items: int = 0
    """Rows of CI_Item."""
    rows: int = 0
    """SKUs times warehouses that the store is told."""
    orders: int = 0
    """Accepted orders that Sage does not know yet."""
    unanswered: int = 0
    """Of those, orders that did not answer: they count as they came."""
    unreadable: int = 0
    """Items whose rows in Sage make no sense: the store keeps its last number of them."""
    seconds: float = 0


class StockWatch(Frozen):
    """`watch_stock`: look until something is to be pushed, or until `until`."""

    pair: str
    pace: Pace
    digests: str = ""
    next_bucket: int = 0
    sweep_at: datetime
    """When all stock is to be read; in between only what accepted orders touch."""
    continues: bool = False
    """The page after the last one is wanted: one reading of Sage serves several."""
    until: datetime
    ended_since: datetime | None = None
    """Look first whether a run ended abnormally after this: then nobody knows what it pushed."""


class BucketDigest(Frozen):
    """What a bucket's content is once the rows of the message are at the store."""

    bucket: int
    digest: str
    """Hexadecimal."""


class StockFound(Frozen):
    """What is to be pushed."""

    rows: list[StockRow] = []
    buckets: list[BucketDigest] = []
    more: bool = False
    """There are further changes: ask again at once."""
    next_bucket: int = 0
    time_is_up: bool = False
    """`until` has come, by the worker's clock: the workflow's may be a little behind."""
    swept_at: datetime | None = None
    """When all stock was read the last time, if during this watch."""
    forgotten: bool = False
    """A run ended abnormally: the memory is worth nothing, everything is pushed again."""
    reading: StockReading = StockReading()


class PushStock(Frozen):
    """`push_stock`: rows for the store, sent in batches of the profile's size."""

    pair: str
    rows: list[StockRow]


class StockPushed(Frozen):
    """What the store took."""

    sent: int = 0
    rejected: int = 0
    """Rows that the store does not take: SKUs or warehouses that it does not know."""
    rejected_skus: list[str] = []
    """The first of them, with the store's words."""


class ListStoreStock(Frozen):
    """`list_store_stock`: the store's own numbers in buckets that are not as they were pushed."""

    pair: str
    digests: str
    from_bucket: int = 0
    only: list[int] | None = None
    """These buckets, whatever their digests say; None: all that differ."""
    reading: str
    """Names one reading of the store's whole list; its pages are asked for one after the other."""


class StoreStock(Frozen):
    """One page of it."""

    buckets: list[int]
    rows: list[StockRow]
    next_bucket: int | None
    """None: that was the last one."""
    listed: int = 0
    """Rows in the store's list."""


class CompareStock(Frozen):
    """`compare_stock`: the store's rows of these buckets against what it should have."""

    pair: str
    pace: Pace
    digests: str
    buckets: list[int]
    rows: list[StockRow]


class DriftedRow(Frozen):
    """A number of the store's that is not what it was told."""

    sku: str
    warehouse: str
    store: int | None
    """None: the store has no such row."""
    ours: int


class StockCompared(Frozen):
    """What differs. Buckets with changes that are still to be pushed are left to the push."""

    rows: list[DriftedRow] = []
    """At most `PAGE_ROWS`."""


class InventoryProgress(Frozen):
    """Answer of the query `progress`, and of the update `ask`."""

    doing: str = ""
    """In words."""
    reading: StockReading = StockReading()
    """The last reading of Sage in this shift."""
    pushed: int = 0
    """Rows sent in this shift."""
    pages: int = 0
    """Messages that held them."""
    rejected: int = 0
    rejected_skus: list[str] = []
    known_buckets: int = 0
    """Buckets whose content at the store is known, of 1,024."""
    swept_at: datetime | None = None
    next_sweep: datetime | None = None
    compared_at: datetime | None = None
    next_compare: datetime | None = None
    compared: int = 0
    """Rows in the store's list at the last comparison of this shift."""
    drifted: int = 0
    """Numbers that were not as pushed, two readings in agreement."""
    missing: int = 0
    """Of those, rows that the store did not have."""
    first_drifted: list[str] = []
    problem: str = ""
    """Why stock does not reach the store, where it does not."""
