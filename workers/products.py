"""`python -m workers products`: compare products and items by hand, as a table, and bring them in step.

In: `--pair`, `--sku` (may be repeated), `--dry-run`. Out: a line for each field that differs, and, without `--dry-run`,
what was done about it; exit status 1 when something cannot be done. The work is a `ProductCatchUpWorkflow` and the runs
of the products: Ctrl-C ends the showing, not the work.
"""

import argparse
import asyncio
from datetime import timedelta
from uuid import uuid4

from rich.console import Console
from rich.table import Table
from temporalio.client import (
    Client,
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionResult,
    WorkflowExecutionStatus,
    WorkflowFailureError,
)
from temporalio.common import SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError, RPCStatusCode

from contracts import ids, queues
from contracts import search_attributes as attributes
from contracts.products import (
    CatchUpMemory,
    CatchUpTally,
    ProductCatchUpResult,
    ProductCatchUpStart,
    ProductState,
    ProductView,
)
from workers.by_hand import pair_named, refuse_in_shadow, why
from workers.connect import connect
from workers.plugin import integration_plugin
from workers.settings import Settings, SettingsError
from workflows.product_catch_up import ProductCatchUpWorkflow

FOLLOWED = 500
"""Runs of products whose outcome is shown."""
LOOK_SECONDS = 0.5
QUIET_SECONDS = 120.0
"""Runs that do not end are left alone after this: a system may be away for hours."""
RPC_LIMIT = timedelta(seconds=5)


def add_products_options(parser: argparse.ArgumentParser) -> None:
    """Flags of `python -m workers products`."""
    parser.add_argument("--pair", required=True, help="name of the integration pair")
    parser.add_argument("--sku", action="append", default=[], help="only this product (may be repeated); default: all")
    parser.add_argument("--dry-run", action="store_true", help="show what differs and what would become of it")


async def run_products(options: argparse.Namespace, settings: Settings) -> int:
    """Compare, show, and follow the runs; returns the exit status."""
    pair = pair_named("products", options.pair, settings)
    if not options.dry_run:
        refuse_in_shadow("products", pair, "Use --dry-run.")
    if not pair.products.is_on:
        raise SettingsError(f"products: {options.pair}.yaml names no products.fields, so nothing is kept in step.")
    client = await connect(settings, integration_plugin())
    console = Console(highlight=False)
    start = ProductCatchUpStart(
        pair=pair.name,
        pace=pair.pace,
        by_hand=True,
        dry_run=options.dry_run,
        skus=options.sku,
        memory=await last_memory(client, pair.name),
    )
    workflow_id = ids.products_by_hand_id(pair.name, uuid4().hex[:8])
    handle = await client.start_workflow(
        ProductCatchUpWorkflow.run,
        start,
        id=workflow_id,
        task_queue=queues.ORDERS,
        search_attributes=TypedSearchAttributes([SearchAttributePair(attributes.PAIR, pair.name)]),
        static_summary=f"Products of pair {pair.name} by hand" + (", dry run" if options.dry_run else ""),
    )
    try:
        result = await handle.result()
    except WorkflowFailureError as error:
        console.print(f"{workflow_id} ended without a result: {why(error)}")
        return 1
    show_differences(result.tally, console)
    console.print(in_words(result.tally))
    if options.dry_run:
        console.print("Dry run: nothing was written.")
        return 0
    views = await follow(client, result.tally.workflows[:FOLLOWED], console)
    return int(any(view.state is ProductState.REFUSED for view in views))


async def last_memory(client: Client, pair: str) -> CatchUpMemory:
    """What the last scheduled comparison remembered, so that whose change a difference is is known by hand, too."""
    try:
        description = await client.get_schedule_handle(ids.products_schedule_id(pair)).describe(rpc_timeout=RPC_LIMIT)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return CatchUpMemory()
    for action in reversed(description.info.recent_actions):
        if (memory := await _memory_of(client, action)) is not None:
            return memory
    return CatchUpMemory()


async def _memory_of(client: Client, result: ScheduleActionResult) -> CatchUpMemory | None:
    action = result.action
    if not isinstance(action, ScheduleActionExecutionStartWorkflow):
        return None
    handle = client.get_workflow_handle_for(
        ProductCatchUpWorkflow.run, action.workflow_id, run_id=action.first_execution_run_id
    )
    try:
        described = await handle.describe(rpc_timeout=RPC_LIMIT)
        if described.status is not WorkflowExecutionStatus.COMPLETED:
            return None
        found: ProductCatchUpResult = await handle.result()
    except RPCError:
        return None
    return found.memory


def show_differences(tally: CatchUpTally, console: Console) -> None:
    """The table."""
    if not tally.rows:
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("SKU", "field"):
        table.add_column(heading, no_wrap=True)
    for heading in ("Sage", "store", "becomes", "why"):
        table.add_column(heading, overflow="fold")
    for row in tally.rows:
        named = row.sku if row.ItemCode in ("", row.sku) else f"{row.sku} ({row.ItemCode})"
        table.add_row(named, row.field, row.sage, row.clarity, row.becomes.replace("_", " "), row.why)
    console.print(table)


def in_words(tally: CatchUpTally) -> str:
    """One line."""
    parts = [
        f"{tally.items} items in Sage, {tally.listed} products in the store, {tally.looked_at} looked at",
        f"{tally.in_step} in step",
        f"{tally.differences} fields differ",
    ]
    for name, number in (
        ("new products", tally.new),
        ("problems", tally.problems),
        ("at work already", tally.at_work),
        ("left as a person decided", tally.settled),
        ("put off", tally.put_off),
        ("unreadable", tally.unreadable),
        *((reason.replace("_", " "), number) for reason, number in tally.left_alone.items()),
    ):
        if number:
            parts.append(f"{number} {name}")
    return ", ".join(parts)


async def follow(client: Client, workflow_ids: list[str], console: Console) -> list[ProductView]:
    """Each run, as it ends or begins to wait for a person."""
    views: list[ProductView] = []
    waiting = list(workflow_ids)
    quiet = 0.0
    while waiting and quiet < QUIET_SECONDS:
        left = []
        for workflow_id in waiting:
            view = await _view_of(client, workflow_id)
            if view is None or view.state is ProductState.AT_WORK:
                left.append(workflow_id)
                continue
            views.append(view)
            console.print(f"{view.sku or view.product_id}: {told(view)}")
        quiet = 0.0 if len(left) < len(waiting) else quiet + LOOK_SECONDS
        waiting = left
        if waiting:
            await asyncio.sleep(LOOK_SECONDS)
    for workflow_id in waiting:
        console.print(f"{workflow_id} is still at work")
    return views


async def _view_of(client: Client, workflow_id: str) -> ProductView | None:
    handle = client.get_workflow_handle(workflow_id, result_type=ProductView)
    try:
        view: ProductView = await handle.query("state", result_type=ProductView, rpc_timeout=RPC_LIMIT)
    except RPCError:
        return None
    return view


def told(view: ProductView) -> str:
    """What became of a product."""
    parts = [view.state.value.replace("_", " ") if view.hold is None else f"waits for a person ({view.hold.value})"]
    parts += view.done
    parts += [f"{one.field}: {one.message}" for one in view.problems]
    return "; ".join(parts)
