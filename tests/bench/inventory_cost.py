"""What a store's stock costs: 50,000 items in three warehouses, through the real ODBC driver, HTTP and Temporal.

`python -m tests.bench.inventory_cost [--items 50000]`. One shift of `InventorySyncWorkflow` against a company and a
store of the sandbox: the first push of everything, a sweep without changes, one with 1 % of the rows changed, and
comparisons without and with drift. Prints seconds by the clock, seconds of CPU of this process (reading, counting,
pushing), rows, calls, events and bytes of history of each. Exit status 1 when a number is wrong or a bound is exceeded.
"""

import argparse
import asyncio
import random
import re
import resource
import sqlite3
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr
from temporalio import activity
from temporalio.client import Client, WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.stock_sweep import StockSweepActivities
from activities.store_stock import StoreStockActivities
from connectors.clarity.client import ClarityClient, ClaritySettings
from connectors.sage100.odbc import SageReader
from contracts import queues
from contracts import search_attributes as attributes
from contracts.inventory import InventoryAction, InventoryMemory, InventoryProgress, InventoryStart
from contracts.messages import Alert
from mappings.pair import Inventory, Pace, Pair, load_pair
from tests.bench.figures import Figures
from tests.bench.poll_cost import add_many
from tests.support.processes import ROOT
from tests.support.sandbox import Sandbox, running_sandbox
from workers.plugin import integration_plugin
from workflows.inventory_sync import InventorySyncWorkflow

WAREHOUSES = {"000": "MAIN", "001": "EAST", "002": "WEST"}
MOST_EVENTS = 2_000
"""Of the whole shift; the server warns at 10,240."""
MOST_BYTES = 20 * 1024 * 1024
"""Of its history; the server ends it at 50 MB."""


def fill(database: Path, items: int) -> None:
    """So many items with stock in each warehouse, beside the sandbox's own."""
    connection = sqlite3.connect(database, timeout=60)
    common = {"ItemType": "1", "StandardUnitOfMeasure": "EACH", "SalesUnitOfMeasure": "EACH", "SalesUMConvFctr": 1}
    add_many(
        connection,
        "CI_Item",
        ({"ItemCode": f"BENCH-{number:06d}", "DefaultWarehouseCode": "000", **common} for number in range(items)),
    )
    add_many(
        connection,
        "IM_ItemWarehouse",
        (
            {"ItemCode": f"BENCH-{number:06d}", "WarehouseCode": code, "QuantityOnHand": (number * 7 + place) % 1000}
            for number in range(items)
            for place, code in enumerate(WAREHOUSES)
        ),
    )
    connection.commit()
    connection.close()


def change(database: Path, share: float) -> int:
    """Count a share of the rows anew; returns how many."""
    connection = sqlite3.connect(database, timeout=60)
    keys = connection.execute("SELECT ItemCode, WarehouseCode FROM IM_ItemWarehouse").fetchall()
    chosen = random.Random(7).sample(keys, int(len(keys) * share))  # noqa: S311 - repeatable, nothing secret
    connection.executemany(
        "UPDATE IM_ItemWarehouse SET QuantityOnHand = QuantityOnHand + 1 WHERE ItemCode = ? AND WarehouseCode = ?",
        chosen,
    )
    connection.commit()
    connection.close()
    return len(chosen)


class Bench:
    """One shift and its figures."""

    def __init__(self, sandbox: Sandbox, handle: WorkflowHandle[Any, InventoryMemory], measured: Figures) -> None:
        self.sandbox, self.handle, self.measured = sandbox, handle, measured
        self.status = 0
        self.before = (0, 0, 0, 0)
        self.cpu = time.process_time()

    async def figures(self) -> tuple[int, int, int, int]:
        """Events, bytes of history, batches written, pages of the store's list read."""
        described = await self.handle.describe()
        info = described.raw_description.workflow_execution_info
        async with httpx.AsyncClient(timeout=60) as http:
            calls = (await http.get(f"{self.sandbox.clarity_url}/_control/calls")).json()["calls"]
        writes, reads = (calls.count(f"{method} /api/v1/inventory") for method in ("PUT", "GET"))
        return info.history_length, info.history_size_bytes, writes, reads

    async def show(self, name: str, seconds: float, rows: int) -> None:
        """One line, and the figures."""
        cpu, self.cpu = time.process_time() - self.cpu, time.process_time()
        now = await self.figures()
        events, size, writes, reads = (new - old for new, old in zip(now, self.before, strict=True))
        self.before = now
        print(
            f"{name:34} {seconds:7.2f} s  {cpu:6.2f} s CPU  {rows:8,} rows  {writes:4} PUT  {reads:4} GET  "
            f"{events:5} events  {size / 1024:9,.1f} KB of history",
            flush=True,
        )
        key = re.sub(r"[^a-z]+", "_", name.lower()).strip("_")
        self.measured.add(f"stock_{key}_seconds", seconds, f"stock, {name}, seconds")
        self.measured.add(f"stock_{key}_history_kib", size / 1024, f"stock, {name}, history, KiB")

    async def ask(self, name: str, action: InventoryAction) -> InventoryProgress:
        """Ask for something, and show what it cost."""
        pushed = (await self.handle.query(InventorySyncWorkflow.progress)).pushed
        began = time.perf_counter()
        progress: InventoryProgress = await self.handle.execute_update("ask", action, result_type=InventoryProgress)
        await self.show(name, time.perf_counter() - began, progress.pushed - pushed)
        return progress

    def expect(self, what: str, fact: bool) -> None:
        """A bound that a change of the code must keep."""
        if not fact:
            print(f"  out of bounds: {what}")
            self.status = 1


@activity.defn
async def raise_alert(alert: Alert) -> None:
    """Stands in for the pair's alerts."""
    print(f"  alert: {alert.text[:110]} …")


@asynccontextmanager
async def workers(client: Client, pair: Pair, sandbox: Sandbox) -> Any:
    """The three queues that a shift needs."""
    reader = SageReader(SecretStr(sandbox.odbc), pair.sage)
    settings = ClaritySettings(
        url=sandbox.clarity_url,
        client_id="clarity-integration",
        client_secret=SecretStr("clarity-sandbox-secret"),
    )
    clarity = ClarityClient(pair.clarity, settings)
    sweep, store = StockSweepActivities(pair, {pair.name: pair}, reader, client), StoreStockActivities(pair, clarity)
    running = [
        Worker(client, task_queue=queues.ORDERS, workflows=[InventorySyncWorkflow], activities=[raise_alert]),
        Worker(
            client,
            task_queue=queues.sage_read(pair.name),
            activities=[sweep.watch_stock, sweep.compare_stock],
            activity_executor=ThreadPoolExecutor(1),
        ),
        Worker(
            client,
            task_queue=queues.clarity(pair.name),
            activities=[store.push_stock, store.list_store_stock],
            activity_executor=ThreadPoolExecutor(1),
        ),
    ]
    tasks = [asyncio.create_task(worker.run()) for worker in running]
    try:
        yield
    finally:
        await asyncio.gather(*(worker.shutdown() for worker in running))
        await asyncio.gather(*tasks)
        await clarity.close()
        await reader.close()


async def measure(client: Client, pair: Pair, sandbox: Sandbox, measured: Figures) -> int:
    """The steps of one shift; returns the exit status."""
    pace = Pace(shift_length=86_400, inventory_sweep=86_400, inventory_look=1, agree_time=1, poll_heartbeat_timeout=5)
    async with workers(client, pair, sandbox):
        began = time.perf_counter()
        handle = await client.start_workflow(
            InventorySyncWorkflow.run,
            InventoryStart(pair=pair.name, pace=pace),
            id="inventory-demo-bench",
            task_queue=queues.ORDERS,
        )
        bench = Bench(sandbox, handle, measured)
        progress = InventoryProgress()
        while not progress.pushed or progress.doing != "watches Sage":
            await asyncio.sleep(0.2)
            progress = await handle.query(InventorySyncWorkflow.progress)
        await bench.show("first push of everything", time.perf_counter() - began, progress.pushed)
        print(f"  Sage was read in {progress.reading.seconds:g} s: {progress.reading.items:,} items")
        bench.expect("everything is pushed once", progress.pushed == progress.reading.rows)
        quiet = await bench.ask("sweep without changes", InventoryAction.SWEEP)
        bench.expect("a sweep without changes writes nothing", quiet.pushed == progress.pushed)
        changed = await asyncio.to_thread(change, sandbox.database, 0.01)
        some = await bench.ask(f"sweep, {changed:,} rows changed", InventoryAction.SWEEP)
        bench.expect("only what changed is pushed", some.pushed - quiet.pushed == changed)
        right = await bench.ask("comparison without drift", InventoryAction.COMPARE)
        bench.expect("no drift is invented", right.drifted == 0)
        drift = await asyncio.to_thread(sandbox.control, "clarity", "inventory/drift", {"rows": 200, "seed": 3})
        put_right = await bench.ask("comparison, 200 rows drifted", InventoryAction.COMPARE)
        bench.expect("all drift is found", put_right.drifted == len(drift["changed"]))
        events, size, _, _ = await bench.figures()
        print(f"the whole shift: {events} events, {size / 1024 / 1024:.2f} MB of history")
        bench.expect("events", events < MOST_EVENTS)
        bench.expect("bytes", size < MOST_BYTES)
        await handle.cancel()
        memory = await handle.result()
        print(f"the memory that the next shift gets: {len(memory.model_dump_json()):,} bytes")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"peak memory of workers and client in one process: {peak:.0f} MB")
    return bench.status


async def measure_store(items: int, measured: Figures) -> int:
    """A company, a store, a server, and one shift."""
    pair = load_pair(ROOT / "mappings/pairs/demo.yaml")
    pair = pair.model_copy(update={"inventory": Inventory(warehouses=dict(WAREHOUSES)), "items": {}})
    with tempfile.TemporaryDirectory() as folder, running_sandbox(Path(folder)) as sandbox:
        fill(sandbox.database, items)
        print(f"{items:,} items in {len(WAREHOUSES)} warehouses, {pair.clarity.inventory_batch} rows a batch")
        environment = await WorkflowEnvironment.start_local(
            plugins=[integration_plugin()],
            dev_server_existing_path=str(Path(sys.executable).parent / "temporal"),
            dev_server_log_level="error",
            search_attributes=attributes.ALL,
        )
        try:
            return await measure(environment.client, pair, sandbox, measured)
        finally:
            await environment.shutdown()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=50_000)
    sys.exit(asyncio.run(measure_store(parser.parse_args().items, Figures())))
