"""`python -m workers reconcile`: hold Clarity's payments against Sage's books for a range of days, and show the result.

In: `--pair`, `--from`, `--to`. Out: totals and the largest unexplained differences; exit status 1 when somebody has to
look. The work is a `PaymentReconciliationWorkflow`: Ctrl-C ends the showing, not the work.
"""

import argparse

from rich.console import Console
from temporalio.client import WorkflowFailureError

from contracts import ids
from contracts.reconciliation import ReconciliationResult, ReconciliationStart
from mappings.pair import Pair
from workers.by_hand import days_of, pair_named, start_or_join, why
from workers.connect import connect
from workers.plugin import integration_plugin
from workers.settings import Settings
from workflows.payment_reconciliation import PaymentReconciliationWorkflow


def add_reconcile_options(parser: argparse.ArgumentParser) -> None:
    """Flags of `python -m workers reconcile`."""
    parser.add_argument("--pair", required=True, help="name of the integration pair")
    parser.add_argument("--from", dest="since", required=True, help="first day, in the company's time zone")
    parser.add_argument("--to", dest="until", help="last day, included; default: today")


def start_of(options: argparse.Namespace, pair: Pair) -> ReconciliationStart:
    """The start argument; raises SettingsError that names the flag and the remedy."""
    since, until = days_of("reconcile", options, pair)
    return ReconciliationStart(
        pair=pair.name,
        pace=pair.pace,
        time_zone=pair.company.time_zone,
        since=since,
        until=until,
        same_company=pair.inventory.shares_stock_with,
    )


async def run_reconcile(options: argparse.Namespace, settings: Settings) -> int:
    """Start it, or join the one that runs for this range; returns the exit status."""
    pair = pair_named("reconcile", options.pair, settings)
    start = start_of(options, pair)
    client = await connect(settings, integration_plugin())
    console = Console(highlight=False)
    handle = await start_or_join(
        client,
        PaymentReconciliationWorkflow.run,
        start,
        pair=start.pair,
        workflow_id=ids.reconcile_workflow_id(start.pair, str(start.since), str(start.until)),
        summary=f"Reconciliation of pair {start.pair} by hand",
        console=console,
    )
    try:
        result = await handle.result()
    except WorkflowFailureError as error:
        console.print(f"It ended without a result: {why(error)}")
        return 1
    for line in in_words(result):
        console.print(line)
    return int(result.needs_a_person)


def in_words(result: ReconciliationResult) -> list[str]:
    """What the console shows."""
    sums = result.controls
    net = f"captured {sums.captured - sums.refunded:,.2f} {result.currency} net"
    lines = [
        ", ".join(f"{number} {status.value}" for status, number in result.orders.items()) + " orders",
        f"{net} = deposits {sums.deposits:,.2f} + receipts {sums.receipts:,.2f} + list {sums.listed:,.2f} "
        f"+ gift-card lines {sums.lines:,.2f} − ({sums.difference:,.2f}); "
        f"of the difference {sums.explained:,.2f} explained, {sums.unexplained:,.2f} unexplained",
    ]
    if not sums.adds_up:
        lines.append("The sums do not add up.")
    if result.payouts_differ:
        lines.append(f"{result.payouts_differ} of {result.payouts} payouts are not the sum of their payments")
    if result.unreadable:
        lines.append(f"{result.unreadable} payments at Clarity make no sense")
    lines += [
        f"{one.order_id or one.SalesOrderNo}: {one.reason.value} {one.amount:,.2f} {one.currency} ({one.place.value})"
        + (f", see {one.other}" if one.other else "")
        for one in result.findings
    ]
    if result.unexplained > len(result.findings):
        lines.append(f"… and {result.unexplained - len(result.findings)} more")
    return [*lines, f"Files: {result.folder}"]
