"""`python -m workers customers`: what Sage owns of customers, to Clarity, by hand; or one customer, both ways.

In: `--pair`, and `--dry-run` (compare, write nothing) or `--customer ID` (one customer of Clarity's, as if it had just
changed). Out: what was done, then exit status 0; 1 when something was refused or is in doubt. Without either, the
Schedule `customers-{pair}` is triggered, so that one run at a time writes. Ctrl-C ends the showing, not the work.
"""

import argparse
import asyncio

from rich.console import Console
from temporalio.client import Client, ScheduleActionExecutionStartWorkflow, WorkflowFailureError
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.service import RPCError, RPCStatusCode

from activities.customer_intake import sync_customer
from contracts import ids, queues
from contracts import search_attributes as attributes
from contracts.customers import (
    CustomerSweepMemory,
    CustomerSweepStart,
    CustomerSweepTally,
    CustomerSyncResult,
    SyncOutcome,
)
from mappings.pair import Pair
from workers.by_hand import pair_named, refuse_in_shadow, why
from workers.connect import connect
from workers.plugin import integration_plugin
from workers.settings import Settings, SettingsError
from workflows.customer_sweep import CustomerSweepWorkflow

LOOK_SECONDS = 0.5
START_SECONDS = 20
"""How long a run that was asked for may take to begin."""


def add_customers_options(parser: argparse.ArgumentParser) -> None:
    """Flags of `python -m workers customers`."""
    parser.add_argument("--pair", required=True, help="name of the integration pair")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--dry-run", action="store_true", help="compare every account with Clarity, and write nothing")
    what.add_argument("--customer", metavar="ID", help="one customer of Clarity's, as if it had just changed")


async def run_customers(options: argparse.Namespace, settings: Settings) -> int:
    """Returns the exit status."""
    pair = pair_named("customers", options.pair, settings)
    if not options.dry_run:
        refuse_in_shadow("customers", pair, "Use --dry-run.")
    console = Console(highlight=False)
    if not pair.customers.sync.is_on:
        raise SettingsError(f"customers: {options.pair}.yaml has no customers.sync, so customers are not kept in step.")
    client = await connect(settings, integration_plugin())
    if options.customer is not None:
        return await one_customer(client, pair, options.customer, console)
    if options.dry_run and not pair.customers.sync.of_sage:
        raise SettingsError(f"customers: no field of {options.pair}.yaml is Sage's, so there is nothing to compare.")
    tally = await (dry_run(client, pair) if options.dry_run else sweep(client, pair, console))
    console.print(f"{'Would be done' if options.dry_run else 'Done'}: {in_words(tally)}")
    return int(bool(tally.refused))


async def one_customer(client: Client, pair: Pair, clarity_id: str, console: Console) -> int:
    """Start or tell its workflow, and wait for it; one in doubt that waits for a person is not waited for."""
    if not ids.is_order_id(clarity_id):
        raise SettingsError(f"customers: {clarity_id[:80]!r} is no id of a customer at Clarity.")
    _, workflow_id = await sync_customer(client, pair, clarity_id, "")
    handle = client.get_workflow_handle(workflow_id, result_type=CustomerSyncResult)
    waiting = asyncio.ensure_future(handle.result())
    result = CustomerSyncResult()
    while not waiting.done():
        await asyncio.wait({waiting}, timeout=LOOK_SECONDS)
        if waiting.done():
            result = waiting.result()
            break
        try:
            result = await handle.query("state", result_type=CustomerSyncResult)
        except RPCError:
            continue
        if result.problems and pair.customers.sync.in_doubt == "review":
            waiting.cancel()
            console.print(f"{workflow_id} waits for a decision:")
            break
    told = result.outcome.value if result.outcome is not None else "in doubt"
    written = [*result.columns, *result.ship_tos, *result.attributes, *(["cross-reference"] if result.linked else [])]
    console.print(f"{told}; account {result.customer or 'none'}; written: {', '.join(written) or 'nothing'}")
    for line in (*result.notes, *(f"{one.field}: {one.message} {one.suggestion}" for one in result.problems)):
        console.print(f"  {line}")
    return int(result.outcome not in (SyncOutcome.UPDATED, SyncOutcome.UNCHANGED))


async def dry_run(client: Client, pair: Pair) -> CustomerSweepTally:
    """A run of its own that writes nothing and remembers nothing."""
    memory: CustomerSweepMemory = await client.execute_workflow(
        CustomerSweepWorkflow.run,
        CustomerSweepStart(pair=pair.name, pace=pair.pace, dry_run=True),
        id=ids.customers_dry_run_id(pair.name),
        task_queue=queues.ORDERS,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        search_attributes=TypedSearchAttributes([SearchAttributePair(attributes.PAIR, pair.name)]),
        static_summary=f"Customers of pair {pair.name}: dry run",
    )
    return memory.tally


async def sweep(client: Client, pair: Pair, console: Console) -> CustomerSweepTally:
    """A run of the Schedule: the one that is under way, or one that begins now."""
    id_ = ids.customers_schedule_id(pair.name)
    schedule = client.get_schedule_handle(id_)
    try:
        before = {run.first_execution_run_id for run in await _started(client, id_)}
        await schedule.trigger()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        raise SettingsError(
            f"customers: there is no Schedule {id_}; create it with: python -m workers schedules"
        ) from None
    for _ in range(int(START_SECONDS / LOOK_SECONDS)):
        runs = await _started(client, id_)
        run = next((one for one in runs if one.first_execution_run_id not in before), None)
        if run is None and (await schedule.describe()).info.running_actions:
            # One was under way: the trigger was skipped, and it does the work.
            run = runs[-1] if runs else None
        if run is not None:
            console.print(f"Follows {run.workflow_id}")
            handle = client.get_workflow_handle_for(CustomerSweepWorkflow.run, run.workflow_id)
            try:
                return (await handle.result()).tally
            except WorkflowFailureError as error:
                raise SettingsError(f"customers: {run.workflow_id} failed: {why(error)}") from None
        await asyncio.sleep(LOOK_SECONDS)
    raise SettingsError(f"customers: no run of {id_} began within {START_SECONDS} s; does the server run?")


async def _started(client: Client, schedule_id: str) -> list[ScheduleActionExecutionStartWorkflow]:
    info = (await client.get_schedule_handle(schedule_id).describe()).info
    actions = [one.action for one in info.recent_actions]
    return [one for one in actions if isinstance(one, ScheduleActionExecutionStartWorkflow)]


def in_words(tally: CustomerSweepTally) -> str:
    """One line."""
    parts = [
        f"{tally.listed} changed at Clarity",
        f"{tally.missed} whose webhook never came",
        f"{tally.accounts} accounts in Sage",
        f"{tally.looked_at} looked at",
        f"{tally.customers} web customers",
        f"{tally.told} told",
    ]
    if tally.told_ids:
        parts.append(f"the first: {', '.join(tally.told_ids)}")
    if tally.missing:
        parts.append(f"{tally.missing} ids that Clarity does not know")
    if tally.refused:
        parts.append(f"{tally.refused} REFUSED: {tally.why_refused}")
    return "; ".join(parts)
