"""Sage's stock as the store should have it: read whole at intervals, and at once where accepted orders touched it.

In: `StockWatch`, with digests of what the store was told. Out: `StockFound`, the rows that differ. Runs on
`sage-read-{pair}`; one instance per pair. **Orders are asked before Sage is read**: an order that reaches Sage in
between counts twice for a moment, never not at all.

What this process read last is kept in memory, so that only rows that changed are pushed, pages follow one another
without another reading, and items between two sweeps are put into their buckets. The digests decide: losing the memory
costs whole buckets instead of rows.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from time import monotonic

from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.service import RPCError

from activities.accepted_orders import Accepted, AcceptedOrders
from activities.shifts import heartbeats
from connectors.errors import RetryLater
from connectors.sage100.odbc import SageReader
from contracts.failures import FailureType
from contracts.inventory import (
    PAGE_ROWS,
    BucketDigest,
    CompareStock,
    DriftedRow,
    StockCompared,
    StockFound,
    StockReading,
    StockWatch,
)
from mappings.inventory import (
    BUCKETS,
    Catalogue,
    Digests,
    KitComponent,
    StockRow,
    bucket_of,
    by_bucket,
    codes_of,
    digest_of,
    pending,
)
from mappings.items import KIT, AliasFacts
from mappings.pair import Pair

alerts = logging.getLogger("alerts")

PAGE = 1_000
"""Items of one statement; a quarter of a second through ODBC, so that the reading can be cancelled."""
FRESH_SECONDS = 60.0
"""The pages of a large push come from one reading for so long; then Sage is read again."""
ALIASES_LIMIT = 200_000

Taken = Mapping[tuple[str, str], Decimal]


@dataclass
class Memory:
    """What this process knows of a pair's stock; losing it costs another reading."""

    buckets: dict[int, list[StockRow]] = field(default_factory=dict)
    """All stock as it is now, as far as is known."""
    told: dict[int, list[StockRow]] = field(default_factory=dict)
    """Buckets as they were handed out for the push; whether that arrived, the digests say."""
    read: float = 0.0
    """When all of it was read (monotonic seconds)."""
    figures: StockReading = field(default_factory=StockReading)
    orders: dict[str, Accepted] = field(default_factory=dict)
    """Accepted orders by run at the last look."""
    taken: dict[str, Taken] = field(default_factory=dict)
    """What each of them takes."""
    kits: dict[str, list[KitComponent]] = field(default_factory=dict)
    kits_with: dict[str, set[str]] = field(default_factory=dict)
    """ItemCode → the kits that it is a component of."""
    aliases: list[AliasFacts] = field(default_factory=list)
    owners: dict[str, str] = field(default_factory=dict)
    """SKU → the item whose stock it shows."""


class StockSweepActivities:
    """The stock of one pair. `pairs` are all pairs of the deployment: some may share the company's stock."""

    def __init__(
        self,
        pair: Pair,
        pairs: Mapping[str, Pair],
        reader: SageReader,
        client: Client,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._pair = pair
        self._pairs = {name: pairs[name] for name in (pair.name, *pair.inventory.shares_stock_with) if name in pairs}
        self._reader = reader
        self._client = client
        self._now = now
        self._orders = AcceptedOrders(self._pairs, client)
        self._memory: Memory | None = None
        self._told_unreadable: set[str] = set()
        self._one_at_a_time = asyncio.Lock()
        """An attempt that was given up may still be reading."""

    # ---- looking ----------------------------------------------------------------------------------------------------

    @activity.defn
    async def watch_stock(self, watch: StockWatch) -> StockFound:
        """Look until the store is to be told something, or until `until`."""
        async with heartbeats(None, watch.pace.poll_heartbeat_timeout / 3), self._one_at_a_time:
            forgotten = watch.ended_since is not None and await self._ended_abnormally(watch.ended_since)
            digests = Digests("" if forgotten else watch.digests)
            continues, sweep_at = watch.continues, watch.sweep_at
            swept_at: datetime | None = None
            while True:
                memory = self._memory
                stale = memory is None or (continues and monotonic() - memory.read >= FRESH_SECONDS)
                if memory is None or stale or self._now() >= sweep_at:
                    memory = await self._sweep()
                    swept_at = memory.figures.at
                    sweep_at = self._now() + timedelta(seconds=watch.pace.inventory_sweep)
                else:
                    await self._look(memory)
                continues = False
                found = self._changes(memory, digests, watch.next_bucket)
                time_is_up = self._now() >= watch.until
                if found.rows or found.buckets or forgotten or time_is_up:
                    seen = {"swept_at": swept_at, "forgotten": forgotten, "reading": memory.figures}
                    return found.model_copy(update={**seen, "time_is_up": time_is_up})
                await self._rest(min(watch.pace.inventory_look, (watch.until - self._now()).total_seconds()))

    async def _rest(self, seconds: float) -> None:
        """Wait for the next look; a stopping worker hands the watch over."""
        shutdown = asyncio.create_task(activity.wait_for_worker_shutdown())
        try:
            done, _ = await asyncio.wait({shutdown}, timeout=max(seconds, 0.05))
        finally:
            shutdown.cancel()
        if done:
            raise ApplicationError(
                "This worker is stopping; the watch of the stock goes on on another one",
                type=FailureType.HANDOVER,
                category=ApplicationErrorCategory.BENIGN,
                next_retry_delay=timedelta(seconds=1),
            )

    async def _ended_abnormally(self, since: datetime) -> bool:
        """Whether a run of this pair was terminated or failed since: what it pushed is in no memory."""
        query = (
            f"WorkflowType='InventorySyncWorkflow' AND Pair='{self._pair.name}' "
            "AND ExecutionStatus IN ('Terminated', 'Failed', 'TimedOut', 'Canceled') "
            f"AND CloseTime > '{since.astimezone(UTC).isoformat()}'"
        )
        try:
            return (await self._client.count_workflows(query)).count > 0
        except RPCError as error:
            raise RetryLater("Temporal", "count runs", str(error.status)) from error

    # ---- all of it --------------------------------------------------------------------------------------------------

    async def _sweep(self) -> Memory:
        """Everything, in key order."""
        began = monotonic()
        before = self._memory
        memory = Memory(told=before.told if before is not None else {}, read=began)
        memory.orders = await self._orders.look()
        if self._pair.inventory.warehouses:
            memory.aliases = await self._aliases()
            kits: list[str] = []
            items, unreadable = 0, 0
            taken = await self._taken(memory, memory.orders)
            catalogue = Catalogue(self._pair, added(taken.values()), memory.kits, memory.aliases)
            after = ""
            while page := await self._reader.stock_page(after, PAGE):
                for item in page.items:
                    catalogue.add(item)
                kits += [item.ItemCode for item in page.items if item.ProductType == KIT]
                items, unreadable, after = items + len(page.items), unreadable + len(page.unreadable), page.last
                self._tell_unreadable(page.unreadable)
            self._know_kits(memory, await self._reader.kit_components(kits))
            memory.taken = taken
            rows = await asyncio.to_thread(catalogue.rows)
            memory.buckets = await asyncio.to_thread(by_bucket, rows)
            memory.owners = catalogue.owners
            memory.figures = StockReading(
                at=self._now(),
                items=items,
                rows=len(rows),
                orders=len(memory.orders),
                unanswered=self._orders.unanswered,
                unreadable=unreadable,
                seconds=round(monotonic() - began, 3),
            )
        else:
            memory.figures = StockReading(at=self._now())
        self._memory = memory
        return memory

    def _tell_unreadable(self, codes: Iterable[str]) -> None:
        """Each once: the store keeps its last number of it, and the sweep goes on."""
        for code in codes:
            if code not in self._told_unreadable:
                self._told_unreadable.add(code)
                alerts.warning("[%s] unreadable: item %s in Sage; look at its rows in Sage", self._pair.name, code)

    async def _aliases(self) -> list[AliasFacts]:
        """General aliases, where the store sells under them."""
        found: list[AliasFacts] = []
        if self._pair.inventory.aliases:
            after = ""
            while len(found) < ALIASES_LIMIT and (page := await self._reader.aliases_page(after, PAGE)):
                found += [alias for alias in page if alias.is_general]
                after = page[-1].AliasItemNo
        return found

    @staticmethod
    def _know_kits(memory: Memory, kits: Mapping[str, list[KitComponent]]) -> None:
        """In place: the catalogue and what orders take look at the same components."""
        memory.kits.update(kits)
        for kit, components in kits.items():
            for component in components:
                memory.kits_with.setdefault(component.ItemCode, set()).add(kit)

    async def _taken(self, memory: Memory, orders: Mapping[str, Accepted]) -> dict[str, Taken]:
        """What each of these orders takes, in Sage's words."""
        by_pair: dict[str, dict[str, Accepted]] = defaultdict(dict)
        for run_id, order in orders.items():
            by_pair[order.pair][run_id] = order
        found: dict[str, Taken] = {}
        for name, those in by_pair.items():
            pair = self._pairs[name]
            codes = codes_of((order.needs for order in those.values()), pair)
            aliases = await self._reader.aliases(codes)
            items = await self._reader.items(list(dict.fromkeys([*codes, *(alias.ItemCode for alias in aliases)])))
            unknown = [code for code, item in items.items() if item.ProductType == KIT and code not in memory.kits]
            self._know_kits(memory, await self._reader.kit_components(unknown))
            for run_id, order in those.items():
                found[run_id] = pending([order.needs], items, aliases, memory.kits, pair)
        return found

    # ---- what accepted orders touched -------------------------------------------------------------------------------

    async def _look(self, memory: Memory) -> None:
        """Count the items of orders that were accepted, changed, or went to Sage since the last look."""
        orders = await self._orders.look()
        changed = {run_id: order for run_id, order in orders.items() if memory.orders.get(run_id) != order}
        gone = [run_id for run_id in memory.orders if run_id not in orders]
        if (not changed and not gone) or not self._pair.inventory.warehouses:
            return
        taken = await self._taken(memory, changed)
        touched = {
            item_code: None
            for run_id in [*changed, *gone]
            for entry in (memory.taken.get(run_id, {}), taken.get(run_id, {}))
            for item_code, _ in entry
        }
        now = {**{run_id: entry for run_id, entry in memory.taken.items() if run_id in orders}, **taken}
        await self._count(memory, list(touched), added(now.values()))
        memory.orders, memory.taken = orders, now
        memory.figures = memory.figures.model_copy(
            update={"orders": len(orders), "unanswered": self._orders.unanswered}
        )

    async def _count(self, memory: Memory, codes: list[str], accepted: Taken) -> None:
        """Read these items anew, with the kits that they are part of, and put their rows into the buckets."""
        kits = sorted({kit for code in codes for kit in memory.kits_with.get(code, ())})
        components = [one.ItemCode for kit in kits for one in memory.kits.get(kit, ())]
        catalogue = Catalogue(self._pair, accepted, memory.kits, memory.aliases)
        items = await self._reader.items(dict.fromkeys([*codes, *kits, *components]))
        for item in items.values():
            catalogue.add(item)
        fresh: dict[str, dict[str, StockRow]] = defaultdict(dict)
        for row in catalogue.rows([*codes, *kits]):
            if memory.owners.get(row.sku) == catalogue.owners[row.sku]:
                fresh[row.sku][row.warehouse] = row
        for bucket in {bucket_of(sku) for sku in fresh}:
            # Only rows that the last sweep had; what is new is the next one's to find.
            memory.buckets[bucket] = [
                fresh[row.sku].get(row.warehouse, row) if row.sku in fresh else row
                for row in memory.buckets.get(bucket, [])
            ]

    # ---- what differs -----------------------------------------------------------------------------------------------

    def _changes(self, memory: Memory, digests: Digests, begin: int) -> StockFound:
        """Rows of the buckets whose digest is not that of what was told, one page at most, every bucket in turn."""
        rows: list[StockRow] = []
        buckets: list[BucketDigest] = []
        for step in range(BUCKETS):
            bucket = (begin + step) % BUCKETS
            now = memory.buckets.get(bucket)
            if not now:
                continue
            digest = digest_of(now)
            if digest == digests[bucket]:
                memory.told[bucket] = now
                continue
            if len(rows) >= PAGE_ROWS:
                return StockFound(rows=rows, buckets=buckets, more=True, next_bucket=bucket)
            told = memory.told.get(bucket)
            if told is not None and digest_of(told) == digests[bucket]:
                same = set(told)
                rows += [row for row in now if row not in same]
            else:
                rows += now
            memory.told[bucket] = now
            buckets.append(BucketDigest(bucket=bucket, digest=digest.hex()))
        return StockFound(rows=rows, buckets=buckets, next_bucket=begin)

    # ---- comparing --------------------------------------------------------------------------------------------------

    @activity.defn
    async def compare_stock(self, request: CompareStock) -> StockCompared:
        """The store's rows against what it should have. Rows of SKUs that this pair does not send are nobody's drift.

        Buckets with changes that are not pushed yet are left to the push, which comes next.
        """
        async with heartbeats(None, request.pace.poll_heartbeat_timeout / 3), self._one_at_a_time:
            memory = self._memory
            if memory is None:
                memory = await self._sweep()
            else:
                await self._look(memory)
        digests = Digests(request.digests)
        store: dict[int, dict[tuple[str, str], int]] = defaultdict(dict)
        for row in request.rows:
            store[bucket_of(row.sku)][row.sku, row.warehouse] = row.quantity
        drifted: list[DriftedRow] = []
        for bucket in request.buckets:
            ours = memory.buckets.get(bucket, [])
            if not ours or digest_of(ours) != digests[bucket]:
                continue
            for row in ours:
                there = store[bucket].get((row.sku, row.warehouse))
                if there != row.quantity:
                    drifted.append(DriftedRow(sku=row.sku, warehouse=row.warehouse, store=there, ours=row.quantity))
        return StockCompared(rows=drifted[:PAGE_ROWS])


def added(taken: Iterable[Taken]) -> dict[tuple[str, str], Decimal]:
    """What several orders take together."""
    total: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for entry in taken:
        for place, quantity in entry.items():
            total[place] += quantity
    return dict(total)
