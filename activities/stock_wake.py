"""Waking orders that are held for stock, when stock is there: part of the poller, whether the store is told or not.

In: the running orders held out of stock, and IM_ItemWarehouse. Out: signals `stock_available`. Level-triggered: every
sweep looks at all of them again, oldest first, and wakes as many as the quantity allows. A wake-up is a hint: the order
checks again before it goes on, and the create looks once more inside the write lock.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from time import monotonic

from temporalio.client import Client, WorkflowExecution, WorkflowQueryFailedError
from temporalio.service import RPCError, RPCStatusCode

from connectors.sage100.odbc import SageReader
from contracts import search_attributes as attributes
from contracts.messages import OrderView
from contracts.search_attributes import MORE
from mappings.items import ItemFacts
from mappings.pair import Pair
from mappings.problems import HoldReason, Shortage

log = logging.getLogger(__name__)

HELD_LISTED = 2_000
"""Held orders looked at in one sweep, the oldest; those beyond come when these are through."""
CALL_LIMIT = timedelta(seconds=5)
ASKED_AT_ONCE = 20
SWEEP_LIMIT = timedelta(seconds=6)
"""For asking the held orders of one sweep what they need."""


@dataclass
class StockWake:
    """Sweeps of one pair."""

    pair: Pair
    reader: SageReader
    client: Client
    next_sweep: float = 0.0

    async def sweep(self, every: float) -> int:
        """One sweep, unless the last one is less than `every` seconds ago; returns how many orders were woken."""
        if monotonic() < self.next_sweep:
            return 0
        self.next_sweep = monotonic() + every
        held = await self._held()
        items = await self.reader.items(dict.fromkeys(code for run in held for code in held_items_of(run)))
        # Only an order of whose items there is some of each is asked what it needs.
        hopeful = [run for run in held if all(_some_of(items.get(code)) for code in held_items_of(run))]
        needed = await self._all_shortages(hopeful)
        woken = 0
        taken: dict[tuple[str, str], Decimal] = {}
        for run, shortages in zip(hopeful, needed, strict=True):
            missing = dict.fromkeys(one.ItemCode for one in shortages if one.ItemCode not in items)
            items |= await self.reader.items(missing)
            left = {
                place: available_at(items.get(place[0]), place[1]) - taken.get(place, Decimal(0))
                for place in ((one.ItemCode, one.WarehouseCode) for one in shortages)
            }
            if not shortages or any(left[one.ItemCode, one.WarehouseCode] < one.wanted for one in shortages):
                continue
            for one in shortages:
                place = (one.ItemCode, one.WarehouseCode)
                taken[place] = taken.get(place, Decimal(0)) + one.wanted
            woken += await self._wake(run)
        return woken

    async def _held(self) -> list[WorkflowExecution]:
        query = f"Pair='{self.pair.name}' AND HoldReason='out_of_stock' AND ExecutionStatus='Running'"
        runs = [run async for run in self.client.list_workflows(query, page_size=500, limit=HELD_LISTED)]
        return sorted(runs, key=lambda run: (run.start_time, run.id))

    async def _all_shortages(self, runs: Sequence[WorkflowExecution]) -> list[list[Shortage]]:
        """What each order needs, asked for at the same time and within one time limit: the poll that this is part of
        must heartbeat. Orders that did not answer in time are asked again by the next sweep."""
        at_once = asyncio.Semaphore(ASKED_AT_ONCE)

        async def ask(run: WorkflowExecution) -> list[Shortage]:
            async with at_once:
                return await self._shortages(run)

        asking = [asyncio.create_task(ask(run)) for run in runs]
        if not asking:
            return []
        _, late = await asyncio.wait(asking, timeout=SWEEP_LIMIT.total_seconds())
        for task in late:
            task.cancel()
        return [[] if task in late else task.result() for task in asking]

    async def _shortages(self, run: WorkflowExecution) -> list[Shortage]:
        handle = self.client.get_workflow_handle(run.id, run_id=run.run_id)
        try:
            view = await handle.query("state", result_type=OrderView, rpc_timeout=CALL_LIMIT)
        except (RPCError, WorkflowQueryFailedError):
            # No worker answers just now: the next sweep asks again.
            return []
        held = view.hold
        return held.shortages if held is not None and held.reason is HoldReason.OUT_OF_STOCK else []

    async def _wake(self, run: WorkflowExecution) -> int:
        try:
            await self.client.get_workflow_handle(run.id, run_id=run.run_id).signal(
                "stock_available", rpc_timeout=CALL_LIMIT
            )
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                log.warning("An order could not be told that its stock is there", extra={"workflow_id": run.id})
            return 0
        return 1


def held_items_of(run: WorkflowExecution) -> list[str]:
    """Search attribute `HeldItems`, without the mark for more."""
    return [code for code in run.typed_search_attributes.get(attributes.HELD_ITEMS) or () if code != MORE]


def available_at(item: ItemFacts | None, warehouse: str) -> Decimal:
    """Available to sell there, in the standard unit."""
    stock = item.warehouses.get(warehouse) if item is not None else None
    return stock.available if stock is not None else Decimal(0)


def _some_of(item: ItemFacts | None) -> bool:
    return item is not None and any(stock.available > 0 for stock in item.warehouses.values())
