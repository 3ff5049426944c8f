"""`python -m workers check`: whether everything outside can be reached, lets us in and has what is needed.

In: settings and pair files. Out: a table, or JSON with `--json`, of results with remedies; exit status 1 when one
failed. Nothing is written anywhere, no message is sent, no secret is shown. Groups of checks run side by side, each
within its time limit; one that raises is a result.
"""

import argparse
import asyncio
import json
import logging
import os
import sys
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from typing import Final, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mappings.pair import Pair, PairFileError, read_folder
from workers.checks.clarity import CHECKS as CLARITY_CHECKS
from workers.checks.clarity import check_clarity
from workers.checks.here import (
    DEPLOYMENT_CHECKS,
    ORDERS_CHECKS,
    PAIR_CHECKS,
    check_api_keys,
    check_deployment,
    check_orders,
    check_pair,
    check_reports,
    check_webhooks,
)
from workers.checks.results import Group, Look, Outcome, Result, run_group
from workers.checks.sage import GATEWAY_CHECKS, ODBC_CHECKS, check_gateway, check_odbc
from workers.checks.temporal import CHECKS as TEMPORAL_CHECKS
from workers.checks.temporal import check_temporal
from workers.demo import settings_of_the_sandbox
from workers.roles import Role
from workers.settings import PairSettings, Settings, SettingsError, load_pair_settings, load_settings

COLOURS: Final = {Outcome.OK: "green", Outcome.WARNING: "yellow", Outcome.FAILED: "bold red", Outcome.SKIPPED: "dim"}
PLAIN_WIDTH: Final = 160
"""Columns of the table where no terminal says how many it has."""


class Part(NamedTuple):
    """A group and what fills it."""

    group: Group
    look: Look


def add_check_options(parser: argparse.ArgumentParser) -> None:
    """Flags of `python -m workers check`."""
    parser.add_argument("--pair", action="append", help="only this pair (may be repeated); default: all")
    parser.add_argument(
        "--sandbox", action="store_true", help="with the settings of make run, where the environment has no others"
    )
    parser.add_argument("--json", action="store_true", help="JSON for machines")


def run_check(options: argparse.Namespace) -> int:
    """Check, print, and return the exit status. Raises SettingsError when --pair names no pair."""
    if options.sandbox:
        for name, value in settings_of_the_sandbox().items():
            os.environ.setdefault(name, value)
    # What the libraries log of a failing call stands in the results.
    logging.disable(logging.CRITICAL)
    results = asyncio.run(check(options.pair or [], {Role(name) for name in options.role or list(Role)}))
    try:
        if options.json:
            print(as_json(results), flush=True)
        else:
            show(results)
    except BrokenPipeError:
        # Whoever reads (head) has enough; what is left in the buffer must not raise again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1 if any(result.outcome is Outcome.FAILED for result in results) else 0


async def check(names: Collection[str], roles: Collection[Role]) -> list[Result]:
    """Every result, in a fixed order: of the deployment first, then pair by pair."""
    try:
        settings = load_settings()
    except SettingsError as error:
        return [
            Result(check="settings.values", outcome=Outcome.FAILED, seen=str(error), remedy="See docs/settings.md.")
        ]
    pairs = _pairs(settings)
    if unknown := [name for name in names if name not in pairs]:
        known = ", ".join(sorted(pairs)) or "none that can be read"
        raise SettingsError(f"check: there is no pair {unknown[0][:20]!r} in {settings.pairs_dir}; there are: {known}.")
    chosen = {name: pair for name, pair in pairs.items() if not names or name in names}
    parts = [*_of_the_deployment(settings, pairs, chosen, roles)]
    results: list[Result] = []
    for name, pair in chosen.items():
        try:
            parts += _of_a_pair(pair, load_pair_settings(name), roles)
        except SettingsError as error:
            results.append(
                Result(
                    check="settings.values",
                    pair=name,
                    outcome=Outcome.FAILED,
                    seen=str(error),
                    remedy="See docs/settings.md.",
                )
            )
    for found in await asyncio.gather(*(run_group(part.group, part.look) for part in parts)):
        results += found
    return results


def _pairs(settings: Settings) -> Mapping[str, Pair]:
    """Those that can be read; the group of the deployment says what is wrong with the others."""
    try:
        return read_folder(settings.pairs_dir).pairs
    except PairFileError:
        return {}


def _of_the_deployment(
    settings: Settings, pairs: Mapping[str, Pair], chosen: Mapping[str, Pair], roles: Collection[Role]
) -> Iterator[Part]:
    yield Part(Group("settings", DEPLOYMENT_CHECKS), partial(check_deployment, settings=settings, pairs=pairs))
    yield Part(Group("temporal", TEMPORAL_CHECKS), partial(check_temporal, settings=settings, pairs=chosen))
    if Role.ORDERS in roles:
        yield Part(Group("reports", ("folder",)), partial(check_reports, settings=settings))
        yield Part(Group("api_keys", ("file",)), partial(check_api_keys, settings=settings))


def _of_a_pair(pair: Pair, own: PairSettings, roles: Collection[Role]) -> Iterator[Part]:
    name = pair.name
    yield Part(Group("pair", PAIR_CHECKS, name), partial(check_pair, pair=pair))
    if Role.ORDERS in roles:
        yield Part(Group("orders", ORDERS_CHECKS, name), partial(check_orders, pair=pair, own=own))
        yield Part(Group("webhooks", ("secrets",), name), partial(check_webhooks, pair=pair, own=own))
    if Role.SAGE in roles:
        yield Part(Group("odbc", ODBC_CHECKS, name), partial(check_odbc, pair=pair, own=own))
        yield Part(Group("gateway", GATEWAY_CHECKS, name), partial(check_gateway, pair=pair, own=own))
    if Role.CLARITY in roles:
        yield Part(Group("clarity", CLARITY_CHECKS, name), partial(check_clarity, pair=pair, own=own))


def as_json(results: list[Result]) -> str:
    """`{"ok", "results": [{check, pair, outcome, seen, remedy}]}`."""
    failed = any(result.outcome is Outcome.FAILED for result in results)
    return json.dumps({"ok": not failed, "results": [result.model_dump(mode="json") for result in results]}, indent=2)


def show(results: list[Result]) -> None:
    """The table, and a line that counts."""
    console = Console()
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    table = Table(box=None, pad_edge=False)
    several = len({result.pair for result in results if result.pair}) > 1
    for title in ("check", *(["pair"] if several else []), "result"):
        table.add_column(title, no_wrap=True)
    table.add_column("seen, and what to do", overflow="fold")
    for result in results:
        words = Text(result.seen)
        if result.remedy:
            words.append(f"\n→ {result.remedy}", style="cyan")
        outcome = Text(result.outcome, style=COLOURS[result.outcome])
        table.add_row(result.check, *([result.pair] if several else []), outcome, words)
    console.print(table)
    counts = {outcome: sum(result.outcome is outcome for result in results) for outcome in Outcome}
    console.print(Text(", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)))
