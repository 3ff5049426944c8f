"""`python -m workers receipts`: bring the money of a range of days into Sage by its cash routes, and show the result.

In: `--pair`, `--from`, `--to`, `--dry-run`. Out: what was entered, and what is on the accounting list; exit status 1
when the run failed. The work is a `CashReceiptsWorkflow`: Ctrl-C ends the showing, not the work. What runs beside the
nightly run enters nothing twice.
"""

import argparse
from datetime import datetime, timedelta

from rich.console import Console
from temporalio.client import WorkflowFailureError

from contracts import ids
from contracts.cash_receipts import CashReceiptsResult, CashReceiptsStart
from mappings.pair import Pair
from workers.by_hand import days_of, pair_named, refuse_in_shadow, start_or_join, why
from workers.connect import connect
from workers.plugin import integration_plugin
from workers.settings import Settings
from workflows.cash_receipts import CashReceiptsWorkflow


def add_receipts_options(parser: argparse.ArgumentParser) -> None:
    """Flags of `python -m workers receipts`."""
    parser.add_argument("--pair", required=True, help="name of the integration pair")
    parser.add_argument("--from", dest="since", help="first day, in the company's time zone; default: as at night")
    parser.add_argument("--to", dest="until", help="last day, included; default: today")
    parser.add_argument("--dry-run", action="store_true", help="decide and write the files, enter nothing in Sage")


def start_of(options: argparse.Namespace, pair: Pair) -> CashReceiptsStart:
    """The start argument; raises SettingsError that names the flag and the remedy."""
    days = pair.cash_receipts.days
    since, until = days_of(
        "receipts", options, pair, first=datetime.now(pair.company.zone).date() - timedelta(days=days)
    )
    return CashReceiptsStart(
        pair=pair.name,
        pace=pair.pace,
        time_zone=pair.company.time_zone,
        days=days,
        since=since,
        until=until,
        dry_run=options.dry_run,
        same_company=pair.inventory.shares_stock_with,
    )


async def run_receipts(options: argparse.Namespace, settings: Settings) -> int:
    """Start it, or join the one that runs for this range; returns the exit status."""
    pair = pair_named("receipts", options.pair, settings)
    if not options.dry_run:
        refuse_in_shadow("receipts", pair, "Use --dry-run.")
    start = start_of(options, pair)
    client = await connect(settings, integration_plugin())
    console = Console(highlight=False)
    handle = await start_or_join(
        client,
        CashReceiptsWorkflow.run,
        start,
        pair=start.pair,
        workflow_id=ids.receipts_workflow_id(start.pair, str(start.since), str(start.until), dry_run=start.dry_run),
        summary=f"Cash receipts of pair {start.pair} by hand" + (", dry run" if start.dry_run else ""),
        console=console,
    )
    try:
        result = await handle.result()
    except WorkflowFailureError as error:
        console.print(f"It ended without a result: {why(error)}")
        return 1
    for line in in_words(result):
        console.print(line)
    return 0


def in_words(result: CashReceiptsResult) -> list[str]:
    """What the console shows."""
    counts = ", ".join(f"{number} {outcome.value}" for outcome, number in result.outcomes.items() if number)
    if result.dry_run:
        done = f"Would enter {result.due} receipts, {result.amount:,.2f}; nothing was entered"
    else:
        where = f" ({', '.join(result.deposits)}), to be posted" if result.deposits else ""
        done = f"{result.entered} receipts entered, {result.amount:,.2f}{where}"
    lines = [f"Payments: {counts or 'none'}", done]
    if result.unreadable:
        lines.append(f"{result.unreadable} payments at Clarity make no sense")
    lines += [
        f"list: {one.order_id} {one.day or ''} {one.amount:,.2f} {one.currency} {one.why.value if one.why else ''}"
        + (f": {one.remark}" if one.remark else "")
        for one in result.left
    ]
    if len(result.listed) > len(result.left):
        lines.append(f"… and {len(result.listed) - len(result.left)} more")
    return [*lines, f"Files: {result.folder}"]
