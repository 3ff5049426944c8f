"""`python -m workers inventory`: sweep, push everything again, or compare, by hand, and show how it goes.

In: `--pair`, and `--full` or `--compare` (without either: one sweep now). Out: what was done, then exit status 0; 1
when stock does not reach the store. The work is done by the shift that runs on the Schedule `inventory-{pair}`, so that
only one run writes the store's numbers; where none runs (the Schedule is paused, say) one is started. Ctrl-C ends the
showing, not the work.
"""

import argparse
import asyncio
from datetime import timedelta

from rich.console import Console
from temporalio.client import (
    Client,
    ScheduleActionExecutionStartWorkflow,
    ScheduleHandle,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
)
from temporalio.service import RPCError, RPCStatusCode

from contracts import ids
from contracts.inventory import InventoryAction, InventoryProgress
from workers.by_hand import pair_named, refuse_in_shadow, why
from workers.connect import connect
from workers.plugin import integration_plugin
from workers.settings import Settings, SettingsError
from workflows.inventory_sync import ENDED, InventorySyncWorkflow

LOOK_SECONDS = 1.0
QUERY_LIMIT = timedelta(seconds=5)
START_SECONDS = 20
"""How long a shift that was asked for may take to begin."""
ASKS = 5
"""A shift that ends while it is asked answers so; the next one is asked instead."""


def add_inventory_options(parser: argparse.ArgumentParser) -> None:
    """Flags of `python -m workers inventory`."""
    parser.add_argument("--pair", required=True, help="name of the integration pair")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--full", action="store_true", help="push every number again, also those that did not change")
    what.add_argument(
        "--compare", action="store_true", help="compare with the store's own numbers, repair what differs"
    )


def action_of(options: argparse.Namespace) -> InventoryAction:
    """What the flags ask for."""
    if options.full:
        return InventoryAction.FULL
    return InventoryAction.COMPARE if options.compare else InventoryAction.SWEEP


async def run_inventory(options: argparse.Namespace, settings: Settings) -> int:
    """Ask the running shift; returns the exit status."""
    pair = pair_named("inventory", options.pair, settings)
    refuse_in_shadow("inventory", pair)
    if not pair.inventory.warehouses:
        raise SettingsError(f"inventory: {options.pair}.yaml names no inventory.warehouses, so no stock is sent.")
    client = await connect(settings, integration_plugin())
    console = Console(highlight=False)
    action = action_of(options)
    for _ in range(ASKS):
        handle = await running_shift(client, options.pair, console)
        try:
            progress = await follow(handle, action, console)
        except WorkflowUpdateFailedError as error:
            if str(error.cause) != ENDED:
                console.print(f"It failed: {why(error)}")
                return 1
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
        else:
            console.print(f"Done: {in_words(progress.model_copy(update={'doing': ''}))}")
            return int(bool(progress.problem))
    console.print("No shift took it: look at the Schedule and the workers.")
    return 1


async def running_shift(client: Client, pair: str, console: Console) -> WorkflowHandle[InventorySyncWorkflow, object]:
    """The run of the Schedule that is under way; one is started where none is."""
    id_ = ids.inventory_schedule_id(pair)
    schedule = client.get_schedule_handle(id_)
    try:
        run = await _running(schedule)
        if run is None:
            console.print(f"No shift of {id_} runs: starting one.")
            await schedule.trigger()
            for _ in range(int(START_SECONDS / LOOK_SECONDS)):
                await asyncio.sleep(LOOK_SECONDS)
                if (run := await _running(schedule)) is not None:
                    break
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        raise SettingsError(
            f"inventory: there is no Schedule {id_}; create it with: python -m workers schedules"
        ) from None
    if run is None:
        raise SettingsError(f"inventory: no shift of {id_} began within {START_SECONDS} s; does the server run?")
    return client.get_workflow_handle_for(
        InventorySyncWorkflow.run, run.workflow_id, first_execution_run_id=run.first_execution_run_id
    )


async def _running(schedule: ScheduleHandle) -> ScheduleActionExecutionStartWorkflow | None:
    actions = (await schedule.describe()).info.running_actions
    return next((one for one in actions if isinstance(one, ScheduleActionExecutionStartWorkflow)), None)


async def follow(
    handle: WorkflowHandle[InventorySyncWorkflow, object], action: InventoryAction, console: Console
) -> InventoryProgress:
    """Ask, and show what the shift does until it answers."""
    asking = asyncio.ensure_future(handle.execute_update("ask", action, result_type=InventoryProgress))
    shown = ""
    while not asking.done():
        await asyncio.wait({asking}, timeout=LOOK_SECONDS)
        if asking.done():
            break
        try:
            progress = await handle.query(InventorySyncWorkflow.progress, rpc_timeout=QUERY_LIMIT)
        except (RPCError, WorkflowQueryFailedError):
            continue
        if (line := in_words(progress)) != shown:
            shown = line
            console.print(line)
    result: InventoryProgress = asking.result()
    return result


def in_words(progress: InventoryProgress) -> str:
    """One line."""
    parts = [progress.doing]
    if progress.reading.at is not None:
        parts.append(f"{progress.reading.items} items read in {progress.reading.seconds:g} s")
        parts.append(f"{progress.reading.rows} numbers for the store")
    parts.append(f"{progress.pushed} told in this shift")
    for name, number in (("not taken", progress.rejected), ("compared", progress.compared)):
        if number:
            parts.append(f"{number} {name}")
    if progress.compared or progress.drifted:
        parts.append(f"{progress.drifted} had drifted")
    if progress.first_drifted:
        parts.append("; ".join(progress.first_drifted[:5]))
    if progress.problem:
        parts.append(f"PROBLEM: {progress.problem}")
    return ", ".join(part for part in parts if part)
