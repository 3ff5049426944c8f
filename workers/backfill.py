"""`python -m workers backfill`: take in a range of days or single orders by hand, and show how it goes.

In: `--pair`, and `--from` (with `--to`) or `--ids`. Out: the tally as it grows, then exit status 0; 1 when something
needs a person. The work is an `OrderBackfillWorkflow`: Ctrl-C ends the showing, not the work.
"""

import argparse
import asyncio
import re
from datetime import UTC, date, datetime, time, timedelta

from rich.console import Console
from temporalio.client import WorkflowFailureError, WorkflowHandle, WorkflowQueryFailedError
from temporalio.service import RPCError

from contracts import ids
from contracts.messages import BackfillResult, BackfillStart, BackfillTally
from mappings.pair import Pair
from workers.by_hand import pair_named, start_or_join, why
from workers.connect import connect
from workers.plugin import integration_plugin
from workers.settings import Settings, SettingsError
from workflows.order_backfill import OrderBackfillWorkflow

QUERY_LIMIT = timedelta(seconds=5)
LOOK_SECONDS = 1.0
ORDERS_AT_ONCE = 1_000


def add_backfill_options(parser: argparse.ArgumentParser) -> None:
    """Flags of `python -m workers backfill`."""
    parser.add_argument("--pair", required=True, help="name of the integration pair")
    parser.add_argument("--from", dest="since", help="first day (or ISO instant) of creation or change")
    parser.add_argument("--to", dest="until", help="last day, included (or ISO instant, excluded); default: now")
    parser.add_argument("--ids", nargs="+", default=[], help="Clarity order ids instead of a range")
    parser.add_argument("--force", action="store_true", help="with --ids: start what may have been here before")
    parser.add_argument("--reason", default="", help="with --force: who wants it and why; kept with the order")


def start_of(options: argparse.Namespace, pair: Pair) -> BackfillStart:
    """The start argument; raises SettingsError that names the flag and the remedy."""
    if bool(options.ids) == bool(options.since):
        raise SettingsError("backfill: give either --from (and --to) or --ids.")
    if options.until and not options.since:
        raise SettingsError("backfill: --to goes with --from.")
    for order_id in options.ids:
        if not ids.is_order_id(order_id):
            raise SettingsError(f"backfill: --ids {order_id[:80]!r} names no order; write ids as Clarity has them.")
    if len(options.ids) > ORDERS_AT_ONCE:
        raise SettingsError(f"backfill: --ids takes {ORDERS_AT_ONCE} orders at once; use --from for more.")
    if options.force and not (options.ids and options.reason.strip()):
        raise SettingsError('backfill: --force needs --ids and --reason "who and why", which the order keeps.')
    since = instant("--from", options.since, pair) if options.since else None
    until = instant("--to", options.until, pair, end=True) if options.until else None
    if since is not None and until is not None and until <= since:
        raise SettingsError("backfill: --to lies before --from; swap them.")
    return BackfillStart(
        pair=pair.name,
        pace=pair.pace,
        since=since,
        until=until,
        order_ids=list(dict.fromkeys(options.ids)),
        forced=options.reason.strip()[:1_000] if options.force else "",
    )


def instant(flag: str, text: str, pair: Pair, *, end: bool = False) -> datetime:
    """An ISO instant, or a day in the company's time zone: its beginning, or with `end` the beginning of the next."""
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            day = date.fromisoformat(text) + timedelta(days=int(end))
            return datetime.combine(day, time(), pair.company.zone).astimezone(UTC)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise SettingsError(f"backfill: {flag} {text[:40]!r} is no date; write 2026-11-20 or an ISO instant.") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=pair.company.zone)).astimezone(UTC)


def id_of(start: BackfillStart, options: argparse.Namespace) -> str:
    """`backfill-{pair}-{from}`."""
    if start.order_ids:
        return ids.backfill_of_orders_id(start.pair, start.order_ids)
    return ids.backfill_workflow_id(start.pair, options.since)


async def run_backfill(options: argparse.Namespace, settings: Settings) -> int:
    """Start it, or join the one that runs under this id; returns the exit status."""
    pair = pair_named("backfill", options.pair, settings)
    start = start_of(options, pair)
    client = await connect(settings, integration_plugin())
    console = Console(highlight=False)
    handle = await start_or_join(
        client,
        OrderBackfillWorkflow.run,
        start,
        pair=start.pair,
        workflow_id=id_of(start, options),
        summary=f"Backfill of pair {start.pair} by hand",
        console=console,
    )
    return await follow(handle, console)


async def follow(handle: WorkflowHandle[OrderBackfillWorkflow, BackfillResult], console: Console) -> int:
    """Show the tally until the end."""
    ending = asyncio.ensure_future(handle.result())
    shown = ""
    while not ending.done():
        await asyncio.wait({ending}, timeout=LOOK_SECONDS)
        try:
            tally = await handle.query(OrderBackfillWorkflow.progress, rpc_timeout=QUERY_LIMIT)
        except (RPCError, WorkflowQueryFailedError):
            continue
        if (line := in_words(tally)) != shown and not ending.done():
            shown = line
            console.print(line)
    try:
        result = ending.result()
    except WorkflowFailureError as error:
        console.print(f"It ended without a result: {why(error)}")
        return 1
    console.print(f"Done: {in_words(result.tally)}")
    for what, found in (
        ("may have been here before; look in Sage, then --ids … --force --reason …", result.tally.needs_force_ids),
        ("must be entered by hand", result.tally.refused_ids),
    ):
        if found:
            console.print(f"{', '.join(found)}: {what}")
    if not result.complete:
        console.print("Clarity's list moved all the while it was read: run it again.")
    needs_a_person = result.tally.needs_force or result.tally.refused or result.tally.not_found
    return int(bool(needs_a_person) or not result.complete)


def in_words(tally: BackfillTally) -> str:
    """One line."""
    parts = [
        f"{number} {name}"
        for name, number in (
            ("listed", tally.listed),
            ("taken in", tally.seen),
            ("started", tally.started),
            ("told a change", tally.changed),
            ("nothing new", tally.known),
            ("ignored", tally.ignored),
            ("outside the range", tally.outside),
            ("need force", tally.needs_force),
            ("dead letters", tally.dead_letters),
            ("not at Clarity", tally.not_found),
            ("refused", tally.refused),
        )
        if number or name in ("listed", "taken in", "started")
    ]
    return ", ".join(parts)
