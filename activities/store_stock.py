"""The store's stock numbers: written in batches, and read back whole for the comparison.

In: rows that `stock_sweep` found. Out: counts of what the store took, and its own rows of buckets that differ from what
it was told. Runs on `clarity-{pair}`; one instance per pair. A PUT sets absolute numbers: repeats change nothing.
"""

import asyncio
from dataclasses import dataclass
from time import monotonic

from temporalio import activity

from connectors.clarity.client import ClarityClient, RejectedLevel
from connectors.errors import Refused
from contracts.inventory import FIRST_SKUS, PAGE_ROWS, ListStoreStock, PushStock, StockPushed, StoreStock
from mappings.inventory import BUCKETS, UNKNOWN, Digests, StockRow, by_bucket, digest_of
from mappings.pair import Pair

KEPT_SECONDS = 600.0
"""The pages of one reading are asked for one after the other; longer than this, the list is read again."""
ROW_REFUSED = (400, 422)
"""Statuses of a batch that may be refused for one of its rows."""
MOST_REFUSALS = 40
"""Of one batch: two or three bad rows among 500 are found with fewer."""


@dataclass
class _Reading:
    name: str
    at: float
    buckets: dict[int, list[StockRow]]
    listed: int


class StoreStockActivities:
    """Calls to one store about its stock."""

    def __init__(self, pair: Pair, clarity: ClarityClient) -> None:
        self._pair = pair
        self._clarity = clarity
        self._reading: _Reading | None = None
        steps = pair.clarity.steps_per_second
        self._pause = 1 / steps if steps else 0.0
        """Between two calls: one step makes many of them."""

    @activity.defn
    async def push_stock(self, request: PushStock) -> StockPushed:
        """Every row, in batches within the store's limit; goes on from the heartbeat after a failed attempt."""
        details = activity.info().heartbeat_details
        done = int(details[0]) if details else 0
        pushed = StockPushed.model_validate(details[1]) if len(details) > 1 else StockPushed()
        size = self._pair.clarity.inventory_batch
        while done < len(request.rows):
            batch = request.rows[done : done + size]
            rejected = await self._put(batch)
            done += len(batch)
            named = [f"{one.sku} ({one.warehouse}): {one.message}"[:200] for one in rejected]
            pushed = StockPushed(
                sent=done,
                rejected=pushed.rejected + len(rejected),
                rejected_skus=[*pushed.rejected_skus, *named][:FIRST_SKUS],
            )
            activity.heartbeat(done, pushed)
            await asyncio.sleep(self._pause)
        return pushed

    async def _put(self, batch: list[StockRow]) -> list[RejectedLevel]:
        """One batch; where the store refuses all of it for one row, that row is looked for and left out.

        Raises Refused when it refuses more than a few: then it is not about rows.
        """
        rejected: list[RejectedLevel] = []
        parts = [batch]
        refusals = 0
        while parts:
            part = parts.pop()
            try:
                rejected += await self._clarity.put_inventory(part)
            except Refused as error:
                refusals += 1
                if error.status not in ROW_REFUSED or refusals > MOST_REFUSALS:
                    raise
                if len(part) == 1:
                    rejected.append(
                        RejectedLevel(sku=part[0].sku, warehouse=part[0].warehouse, message=error.message[:150])
                    )
                else:
                    parts += [part[: len(part) // 2], part[len(part) // 2 :]]
            activity.heartbeat()
        return rejected

    @activity.defn
    async def list_store_stock(self, request: ListStoreStock) -> StoreStock:
        """The next page of the store's rows in buckets that are not as they were pushed."""
        reading = await self._read(request.reading)
        digests = Digests(request.digests)
        wanted = range(BUCKETS) if request.only is None else sorted(request.only)
        buckets: list[int] = []
        rows: list[StockRow] = []
        for bucket in wanted:
            content = reading.buckets.get(bucket, [])
            differs = digests[bucket] not in (UNKNOWN, digest_of(content))
            if bucket < request.from_bucket or (request.only is None and not differs):
                continue
            if len(rows) >= PAGE_ROWS:
                return StoreStock(buckets=buckets, rows=rows, next_bucket=bucket, listed=reading.listed)
            buckets.append(bucket)
            rows += content
        return StoreStock(buckets=buckets, rows=rows, next_bucket=None, listed=reading.listed)

    async def _read(self, name: str) -> _Reading:
        """The whole list, in warehouses that this pair tells; read once for all pages of a comparison."""
        kept = self._reading
        if kept is not None and kept.name == name and monotonic() - kept.at < KEPT_SECONDS:
            return kept
        names = self._pair.inventory.store_warehouses
        only = names[0] if len(names) == 1 else ""
        began, found, page, listed = monotonic(), dict[tuple[str, str], StockRow](), 0, 0
        while True:
            answer = await self._clarity.list_inventory(page)
            activity.heartbeat()
            listed += len(answer)
            for row in answer:
                # A store with one stock names no warehouse.
                told = row if row.warehouse or not only else row._replace(warehouse=only)
                if told.warehouse in names:
                    found[told.sku, told.warehouse] = told
            if len(answer) < self._pair.clarity.inventory_batch:
                break
            page += 1
            await asyncio.sleep(self._pause)
        self._reading = _Reading(name, began, by_bucket(found.values()), listed)
        return self._reading
