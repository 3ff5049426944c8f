"""What the commands that run a flow by hand share: the pair, the days, and starting or joining its workflow.

In: the flags of `python -m workers …`. Out: a pair, two days, a workflow's handle. Raises SettingsError that names
command, flag and remedy. The work is the workflow's: Ctrl-C ends the showing, not the work.
"""

import argparse
from datetime import date, datetime
from typing import Any

from rich.console import Console
from temporalio.client import Client, WorkflowHandle
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.types import MethodAsyncSingleParam, ParamType, ReturnType, SelfType

from contracts import queues
from contracts import search_attributes as attributes
from mappings.pair import Pair
from workers.settings import Settings, SettingsError, load_pair_files


def pair_named(command: str, name: str, settings: Settings) -> Pair:
    """The pair of `--pair`."""
    pairs = load_pair_files(settings)
    if name not in pairs:
        raise SettingsError(f"{command}: there is no pair {name[:20]!r}; known: {', '.join(sorted(pairs))}.")
    return pairs[name]


def refuse_in_shadow(command: str, pair: Pair, instead: str = "") -> None:
    """Raise SettingsError for a run by hand that writes, when the pair may not."""
    if pair.is_shadow:
        remedy = instead or "It runs once the pair is live (docs/going-live.md)."
        raise SettingsError(f"{command}: the pair {pair.name} is in shadow mode, in which nothing is written. {remedy}")


def days_of(command: str, options: argparse.Namespace, pair: Pair, *, first: date | None = None) -> tuple[date, date]:
    """`--from` (default: `first`) and `--to` (default: today), both included, in the company's time zone."""
    today = datetime.now(pair.company.zone).date()
    since = first if first is not None and not options.since else _day(command, "--from", options.since)
    until = _day(command, "--to", options.until) if options.until else today
    if until < since:
        raise SettingsError(f"{command}: --to lies before --from; swap them.")
    if until > today:
        raise SettingsError(f"{command}: --to lies in the future; today is {today} there.")
    return since, until


def _day(command: str, flag: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"{command}: {flag} {text[:40]!r} is no day; write 2026-11-20.") from None


def why(error: BaseException) -> str:
    """Why a workflow failed, in the words of what failed first: the failures around it say only which step it was."""
    while error.__cause__ is not None:
        error = error.__cause__
    return getattr(error, "message", "") or str(error)


async def start_or_join(
    client: Client,
    run: MethodAsyncSingleParam[SelfType, ParamType, ReturnType],
    start: ParamType,
    *,
    pair: str,
    workflow_id: str,
    summary: str,
    console: Console,
    joins: bool = True,
) -> WorkflowHandle[SelfType, ReturnType]:
    """The workflow under this id: the one that runs, or a new one.

    Where the id does not say all of what was asked for, it must not join (`joins`): SettingsError says to wait.
    """
    policies: dict[str, Any] = {
        "id_conflict_policy": WorkflowIDConflictPolicy.FAIL,
        "id_reuse_policy": WorkflowIDReusePolicy.ALLOW_DUPLICATE,
    }
    try:
        handle = await client.start_workflow(
            run,
            start,
            id=workflow_id,
            task_queue=queues.ORDERS,
            search_attributes=TypedSearchAttributes([SearchAttributePair(attributes.PAIR, pair)]),
            static_summary=summary,
            **policies,
        )
    except WorkflowAlreadyStartedError:
        if not joins:
            raise SettingsError(
                f"{workflow_id} runs already, started by somebody else: nothing was started. When it has ended, run "
                "this again."
            ) from None
        console.print(f"{workflow_id} runs already; this shows how it goes.")
        return client.get_workflow_handle_for(run, workflow_id)
    console.print(f"{workflow_id} started; it goes on when this ends.")
    return handle
