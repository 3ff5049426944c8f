"""`python -m workers shadow`: what the integration would have created against what people typed, for a range of days.

In: `--pair`, `--from`, `--to`, `--format`. Out: a table, CSV or JSON; exit status 1 when something differs or was not
found. The work is a `ShadowComparisonWorkflow`, which writes nothing to Sage or Clarity.
"""

import argparse
import json
import sys
from datetime import datetime, timedelta

from rich.console import Console
from rich.table import Table
from temporalio.client import WorkflowFailureError, WorkflowHandle

from contracts import ids
from contracts.retry import TEMPORAL_CALL
from contracts.shadow import Compared, ShadowComparisonResult, ShadowComparisonStart
from mappings.shadow import ComparedOrder
from mappings.shadow_files import as_json, orders_table
from workers.by_hand import days_of, pair_named, start_or_join, why
from workers.connect import connect
from workers.plugin import integration_plugin
from workers.settings import Settings
from workflows.shadow_comparison import ShadowComparisonWorkflow


def add_shadow_options(parser: argparse.ArgumentParser) -> None:
    """Flags of `python -m workers shadow`."""
    parser.add_argument("--pair", required=True, help="name of the integration pair")
    parser.add_argument("--from", dest="since", help="first day, by the checkout; default: shadow.days back")
    parser.add_argument("--to", dest="until", help="last day, included; default: today")
    parser.add_argument("--format", choices=("table", "csv", "json"), default="table")


async def run_shadow(options: argparse.Namespace, settings: Settings) -> int:
    """Start it, or join the one that runs for this range; returns the exit status."""
    pair = pair_named("shadow", options.pair, settings)
    first = datetime.now(pair.company.zone).date() - timedelta(days=pair.shadow.days - 1)
    since, until = days_of("shadow", options, pair, first=first)
    client = await connect(settings, integration_plugin())
    console = Console(highlight=False, stderr=options.format != "table")
    handle = await start_or_join(
        client,
        ShadowComparisonWorkflow.run,
        ShadowComparisonStart(
            pair=pair.name,
            pace=pair.pace,
            time_zone=pair.company.time_zone,
            days=pair.shadow.days,
            since=since,
            until=until,
        ),
        pair=pair.name,
        workflow_id=ids.shadow_comparison_id(pair.name, str(since), str(until)),
        summary=f"Shadow comparison of pair {pair.name} by hand",
        console=console,
    )
    try:
        result = await handle.result()
    except WorkflowFailureError as error:
        console.print(f"It ended without a result: {why(error)}")
        return 1
    orders = await compared_by(handle)
    if options.format == "csv":
        sys.stdout.write(orders_table(orders).decode("utf-8-sig").replace("\r\n", "\n"))
    elif options.format == "json":
        examples = {"examples": [as_json(one) for one in result.examples]}
        content = {"result": result.model_dump(mode="json") | examples, "orders": [as_json(one) for one in orders]}
        sys.stdout.write(json.dumps(content, ensure_ascii=False, indent=1) + "\n")
    else:
        show(orders, console)
        for line in in_words(result):
            console.print(line)
    return int(result.needs_a_person)


async def compared_by(handle: WorkflowHandle[ShadowComparisonWorkflow, ShadowComparisonResult]) -> list[ComparedOrder]:
    """All orders, sheet by sheet."""
    orders: list[ComparedOrder] = []
    for place in range(await handle.query(ShadowComparisonWorkflow.sheet_count, rpc_timeout=TEMPORAL_CALL)):
        sheet: Compared = await handle.query(ShadowComparisonWorkflow.compared, place, rpc_timeout=TEMPORAL_CALL)
        orders += sheet.orders
    return orders


def show(orders: list[ComparedOrder], console: Console) -> None:
    """The table; values of addresses stand in the files alone."""
    if not orders:
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("order", "checkout", "outcome", "Sage"):
        table.add_column(heading, no_wrap=True)
    table.add_column("what", overflow="fold")
    for one in orders:
        table.add_row(one.order_number, str(one.created), one.outcome.value, one.SalesOrderNo, what(one))
    console.print(table)


def what(one: ComparedOrder) -> str:
    """Of one order: why held, in what it differs, what may be it."""
    parts = [f"{hold.reason.value}: {hold.sentence}" for hold in one.holds[:1]]
    parts += [
        difference.field
        + (f" {difference.ItemCode}" if difference.ItemCode else "")
        + ("" if difference.field == "ship_to" else f" {difference.ours} / {difference.theirs}")
        for difference in one.differences
    ]
    parts += [f"perhaps {', '.join(one.suggestions)}"] if one.suggestions else []
    parts += ["a customer would be created"] if one.new_customer else []
    return "; ".join(parts)


def in_words(result: ShadowComparisonResult) -> list[str]:
    """What stands below the table."""
    totals = result.totals
    lines = [", ".join(f"{number} {outcome.value}" for outcome, number in totals.orders.items()) or "No orders"]
    if totals.fields:
        fields = ", ".join(f"{field} {number}" for field, number in totals.fields.items())
        lines.append(f"They differ in (ours / typed): {fields}")
    if totals.holds:
        lines.append(f"Holds: {', '.join(f'{reason.value} {number}' for reason, number in totals.holds.items())}")
    if totals.new_customers:
        lines.append(f"Customers that would be created: {totals.new_customers}")
    if result.unfinished:
        lines.append(f"{result.unfinished} orders wait for Sage still; the next comparison has them")
    return [*lines, f"Files: {result.folder}"]
