"""`python -m workers golive`: take over the open web orders whose sales orders people typed, when a pair goes live.

In: `--pair`, `--orders` (a CSV file), `--since`, `--dry-run`, `--yes`. Out: a table of the open web orders and their
sales orders; after a yes, a workflow for each that is matched. Run again it finds those followed, and changes nothing.
Exit status 1 when an order is left that a person must look at.
"""

import argparse
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table
from temporalio.client import Client, WorkflowFailureError
from temporalio.service import RPCError, RPCStatusCode

from contracts import ids
from contracts.golive import Adopted, GoLiveResult, GoLiveStart
from mappings.golive import MatchState, OpenMatch, read_named
from mappings.pair import Pair
from workers.by_hand import pair_named, start_or_join, why
from workers.connect import connect
from workers.plugin import integration_plugin
from workers.settings import Settings, SettingsError
from workflows.go_live import GoLiveWorkflow

LOOKS_BACK: Final = timedelta(days=180)
TAKEN: Final = ("started", "duplicate", "changed")
LEFT: Final = (MatchState.AMBIGUOUS, MatchState.UNMATCHED, MatchState.ALREADY_SHIPPED)


def add_golive_options(parser: argparse.ArgumentParser) -> None:
    """Flags of `python -m workers golive`."""
    parser.add_argument("--pair", required=True, help="name of the integration pair")
    parser.add_argument("--orders", type=Path, help="CSV file with ClarityOrderID,SalesOrderNo; goes before the search")
    parser.add_argument("--since", help="orders that Clarity changed since this day; default: 180 days before go_live")
    parser.add_argument("--dry-run", action="store_true", help="show the table; start nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask")


async def run_golive(options: argparse.Namespace, settings: Settings) -> int:
    """Look, show, ask, adopt; returns the exit status."""
    pair = pair_named("golive", options.pair, settings)
    if pair.is_shadow and not options.dry_run:
        raise SettingsError(
            f"golive: the pair {pair.name} is in shadow mode. Write mode: live and go_live into {pair.name}.yaml, "
            "restart workers and API, and run it again; until then only --dry-run."
        )
    start = GoLiveStart(pair=pair.name, pace=pair.pace, since=since_of(options, pair), named=named_in(options.orders))
    client = await connect(settings, integration_plugin())
    console = Console(highlight=False)
    try:
        look_id = ids.go_live_look_id(pair.name, start.since, start.named)
        look = await start_or_join(
            client,
            GoLiveWorkflow.run,
            start,
            pair=pair.name,
            workflow_id=look_id,
            summary=f"Going live of pair {pair.name}: which orders",
            console=console,
        )
        found = await look.result()
        show(found, console)
        if early := await go_live_too_early(client, pair):
            console.print(early)
        matched = {one.order_id: one.SalesOrderNo for one in found.matches if one.state is MatchState.MATCHED}
        left = any(one.state in LEFT for one in found.matches) or bool(found.not_open) or found.unseen > 0
        if options.dry_run or not matched:
            console.print("Dry run: nothing was started." if options.dry_run else "There is nothing to take over.")
            return int(left)
        if not options.yes and not asked(len(matched), console):
            console.print("Nothing was started.")
            return 1
        adopt = start.model_copy(update={"adopt": matched, "named": {}})
        done = await take_over(client, adopt, console)
    except WorkflowFailureError as error:
        console.print(f"It ended without a result: {why(error)}")
        return 1
    for line in [*in_words(done.adopted), *await still_to_do(client, pair)]:
        console.print(line)
    return int(left or any(one.result not in TAKEN for one in done.adopted))


async def go_live_too_early(client: Client, pair: Pair) -> str:
    """What to say when web orders came in shadow mode on a later day than `go_live`; empty when none did.

    It was forgotten when the mode was changed, or the pair was in shadow mode once more.
    """
    if pair.is_shadow or pair.go_live >= datetime.now(pair.company.zone).date():
        return ""
    next_day = datetime.combine(pair.go_live + timedelta(days=1), time(), pair.company.zone).astimezone(UTC)
    later = f"WorkflowType='ShadowOrderWorkflow' AND Pair='{pair.name}' AND StartTime >= '{next_day.isoformat()}'"
    if not (await client.count_workflows(later)).count:
        return ""
    return (
        f"go_live of pair {pair.name} is {pair.go_live}, and web orders came in shadow mode after that day: people may "
        f"have typed them. Set go_live in {pair.name}.yaml to the first day whose orders nobody types, and restart "
        "workers and API; until then each of those orders starts by golive, or by a person with force."
    )


async def still_to_do(client: Client, pair: Pair) -> list[str]:
    """Without the poller shipments come once a day only."""
    schedule = ids.poll_schedule_id(pair.name)
    try:
        runs = not (await client.get_schedule_handle(schedule).describe()).schedule.state.paused
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        runs = False
    return [] if runs else [f"The Schedule {schedule} does not run: python -m workers schedules"]


async def take_over(client: Client, start: GoLiveStart, console: Console) -> GoLiveResult:
    """Follow the orders of `adopt`; raises SettingsError while somebody else's are taken over, which may be others."""
    handle = await start_or_join(
        client,
        GoLiveWorkflow.run,
        start,
        pair=start.pair,
        workflow_id=ids.go_live_workflow_id(start.pair),
        summary=f"Going live of pair {start.pair}: {len(start.adopt)} orders",
        console=console,
        joins=False,
    )
    return await handle.result()


def since_of(options: argparse.Namespace, pair: Pair) -> date:
    """`--since`; raises SettingsError when it is no day."""
    if not options.since:
        return pair.go_live - LOOKS_BACK
    try:
        return date.fromisoformat(options.since)
    except ValueError:
        raise SettingsError(f"golive: --since {options.since[:40]!r} is no day; write 2026-11-20.") from None


def named_in(file: Path | None) -> dict[str, str]:
    """The file's pairs; raises SettingsError that names file, line and problem."""
    if file is None:
        return {}
    try:
        return read_named(file.read_bytes(), str(file))
    except OSError as error:
        raise SettingsError(f"golive: --orders {file}: {error.strerror or error}.") from None
    except ValueError as error:
        raise SettingsError(f"golive: --orders {error}.") from None


def asked(number: int, console: Console) -> bool:
    """Whether the person says yes; no terminal says no."""
    try:
        answer = console.input(
            f"Take over the matched orders ({number})? Each is linked in Sage, and Clarity gets its sales order number "
            "and shipments. (y/N) "
        )
    except EOFError:
        return False
    return answer.strip().casefold() in ("y", "yes")


def show(found: GoLiveResult, console: Console) -> None:
    """The table, and how many of each."""
    if found.matches:
        table = Table(box=None, pad_edge=False)
        for heading in ("order", "id", "checkout", "state", "Sage"):
            table.add_column(heading, no_wrap=True)
        table.add_column("why", overflow="fold")
        for one in found.matches:
            table.add_row(one.number, one.order_id, str(one.created), one.state.value, one.SalesOrderNo, reason(one))
        console.print(table)
    counts = {state: sum(one.state is state for one in found.matches) for state in MatchState}
    console.print(
        ", ".join(f"{number} {state.value}" for state, number in counts.items() if number) or "No open orders"
    )
    for name in found.not_open[:20]:
        console.print(f"{name[:64]}: named in the file, and no open web order from before the go-live")
    if found.unseen:
        console.print(
            f"Clarity's list of orders moved while it was read, again and again: {found.unseen} of them were not seen. "
            "Run golive once more."
        )


def reason(one: OpenMatch) -> str:
    """Why, and what may be it."""
    return "; ".join([one.why, *([f"perhaps {', '.join(one.suggestions)}"] if one.suggestions else [])])


def in_words(adopted: list[Adopted]) -> list[str]:
    """What became of those that were asked for."""
    taken = [one for one in adopted if one.result in TAKEN]
    lines = [f"Followed now: {len(taken)}"] if taken else []
    return lines + [
        f"{one.order_id} with {one.SalesOrderNo}: {one.result}, {one.detail}"
        for one in adopted
        if one.result not in TAKEN
    ]
