"""Schedules: created when missing, updated when different, never deleted and recreated (that would lose the cursor).

Their pause state and note are left as they are found. `python -m workers schedules`.
"""

import logging
import re
from collections.abc import Iterable
from datetime import timedelta
from typing import TypedDict

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleCalendarSpec,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.common import SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError, RPCStatusCode

from contracts import ids, queues
from contracts import search_attributes as attributes
from contracts.cash_receipts import CashReceiptsStart
from contracts.customers import CustomerSweepStart
from contracts.inventory import InventoryStart
from contracts.messages import BackfillStart
from contracts.products import ProductCatchUpStart
from contracts.reconciliation import ReconciliationStart
from contracts.shadow import ShadowComparisonStart
from mappings.pair import Mode, Pair
from workflows.cash_receipts import CashReceiptsWorkflow
from workflows.customer_sweep import CustomerSweepWorkflow
from workflows.inventory_sync import InventorySyncWorkflow
from workflows.order_backfill import OrderBackfillWorkflow
from workflows.payment_reconciliation import PaymentReconciliationWorkflow
from workflows.product_catch_up import ProductCatchUpWorkflow
from workflows.sage_poll import PollStart, SagePollWorkflow
from workflows.shadow_comparison import ShadowComparisonWorkflow
from workflows.watch import WatchStart, WatchWorkflow

log = logging.getLogger(__name__)

CATCH_UP = timedelta(minutes=1)
FLOWS = "sage-poll|backfill|watch|inventory|reconcile|products|customers|receipts|shadow"
OURS = re.compile(rf"({FLOWS})-[a-z][a-z0-9]{{1,15}}")
"""Ids of Schedules that this project makes, whatever the pair."""
CATCH_UP_A_NIGHT = timedelta(hours=12)
"""A night that the server slept through is made up for in the morning."""


def poll_schedule(pair: Pair) -> Schedule:
    """Back-to-back shifts. BUFFER_ONE, because SKIP would lose every other one (temporal.md, schedules)."""
    action = ScheduleActionStartWorkflow(
        SagePollWorkflow.run,
        PollStart(pair=pair.name, pace=pair.pace),
        **_of(pair, ids.poll_schedule_id(pair.name), "Sage poller", "one shift"),
    )
    return _every(pair.pace.shift_length, ScheduleOverlapPolicy.BUFFER_ONE, action)


def backfill_schedule(pair: Pair) -> Schedule:
    """Overlapping windows. SKIP loses nothing here: each run goes on where the last one that succeeded ended."""
    action = ScheduleActionStartWorkflow(
        OrderBackfillWorkflow.run,
        BackfillStart(pair=pair.name, pace=pair.pace),
        **_of(pair, ids.backfill_schedule_id(pair.name), "Backfill", "what no webhook told"),
    )
    return _every(pair.pace.backfill_interval, ScheduleOverlapPolicy.SKIP, action)


def watch_schedule(pair: Pair) -> Schedule:
    """Shifts of the watch, back to back as the poller's."""
    action = ScheduleActionStartWorkflow(
        WatchWorkflow.run,
        WatchStart(pair=pair.name, pace=pair.pace),
        **_of(pair, ids.watch_schedule_id(pair.name), "Watch", "failing workflow tasks, ended orders"),
    )
    return _every(pair.pace.shift_length, ScheduleOverlapPolicy.BUFFER_ONE, action)


def inventory_schedule(pair: Pair) -> Schedule:
    """Shifts of the stock, back to back as the poller's: one run at a time writes a store's numbers."""
    action = ScheduleActionStartWorkflow(
        InventorySyncWorkflow.run,
        InventoryStart(pair=pair.name, pace=pair.pace),
        **_of(pair, ids.inventory_schedule_id(pair.name), "Stock", "what Sage has available, to the store"),
    )
    return _every(pair.pace.shift_length, ScheduleOverlapPolicy.BUFFER_ONE, action)


def products_schedule(pair: Pair) -> Schedule:
    """Comparisons of products and items. SKIP loses nothing: each goes on from what the last good one remembered."""
    action = ScheduleActionStartWorkflow(
        ProductCatchUpWorkflow.run,
        ProductCatchUpStart(pair=pair.name, pace=pair.pace),
        **_of(pair, ids.products_schedule_id(pair.name), "Products", "in step with Sage's items"),
    )
    return _every(pair.pace.products_interval, ScheduleOverlapPolicy.SKIP, action)


def customers_schedule(pair: Pair) -> Schedule:
    """What webhooks missed, and what Sage owns of customers.

    SKIP loses nothing: each run goes on where the last one that succeeded ended.
    """
    action = ScheduleActionStartWorkflow(
        CustomerSweepWorkflow.run,
        CustomerSweepStart(pair=pair.name, pace=pair.pace, owned=bool(pair.customers.sync.of_sage)),
        **_of(pair, ids.customers_schedule_id(pair.name), "Customers", "what no webhook told; what Sage owns"),
    )
    return _every(pair.pace.customer_sweep, ScheduleOverlapPolicy.SKIP, action)


def reconcile_schedule(pair: Pair) -> Schedule:
    """Each night at the pair's hour. It never begins at once: a day that is not over does not add up."""
    rules = pair.reconciliation
    action = ScheduleActionStartWorkflow(
        PaymentReconciliationWorkflow.run,
        ReconciliationStart(
            pair=pair.name,
            pace=pair.pace,
            time_zone=pair.company.time_zone,
            days=rules.days,
            same_company=pair.inventory.shares_stock_with,
        ),
        **_of(pair, ids.reconcile_schedule_id(pair.name), "Reconciliation", "Clarity's payments against Sage's books"),
    )
    return _each_night(pair, rules.at, action)


def receipts_schedule(pair: Pair) -> Schedule:
    """Each night at the pair's hour, best before reconciliation. It never begins at once: a new site looks first, by
    `python -m workers receipts --dry-run`."""
    rules = pair.cash_receipts
    action = ScheduleActionStartWorkflow(
        CashReceiptsWorkflow.run,
        CashReceiptsStart(
            pair=pair.name,
            pace=pair.pace,
            time_zone=pair.company.time_zone,
            days=rules.days,
            same_company=pair.inventory.shares_stock_with,
        ),
        **_of(pair, ids.receipts_schedule_id(pair.name), "Cash receipts", "payments into Sage by their cash routes"),
    )
    return _each_night(pair, rules.at, action)


def shadow_schedule(pair: Pair) -> Schedule:
    """Each day at the pair's hour, of a pair in shadow mode."""
    rules = pair.shadow
    action = ScheduleActionStartWorkflow(
        ShadowComparisonWorkflow.run,
        ShadowComparisonStart(pair=pair.name, pace=pair.pace, time_zone=pair.company.time_zone, days=rules.days),
        **_of(pair, ids.shadow_schedule_id(pair.name), "Shadow mode", "web orders against what people typed"),
    )
    return _each_night(pair, rules.at, action)


class _Start(TypedDict):
    id: str
    task_queue: str
    typed_search_attributes: TypedSearchAttributes
    static_summary: str


def _of(pair: Pair, id_: str, what: str, does: str) -> _Start:
    """What the Web UI shows of a run that a Schedule starts, and where it runs."""
    return _Start(
        id=id_,
        task_queue=queues.ORDERS,
        typed_search_attributes=TypedSearchAttributes([SearchAttributePair(attributes.PAIR, pair.name)]),
        static_summary=f"{what} of pair {pair.name}: {does}",
    )


def _each_night(pair: Pair, at: str, action: ScheduleActionStartWorkflow) -> Schedule:
    hour, minute = (int(part) for part in at.split(":"))
    nightly = ScheduleCalendarSpec(hour=[ScheduleRange(hour)], minute=[ScheduleRange(minute)])
    return Schedule(
        action=action,
        spec=ScheduleSpec(calendars=[nightly], time_zone_name=pair.company.time_zone),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=CATCH_UP_A_NIGHT),
    )


def _every(seconds: float, overlap: ScheduleOverlapPolicy, action: ScheduleActionStartWorkflow) -> Schedule:
    return Schedule(
        action=action,
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(seconds=seconds))]),
        policy=SchedulePolicy(overlap=overlap, catchup_window=CATCH_UP),
    )


def schedules_of(pair: Pair) -> dict[str, Schedule]:
    """Every Schedule of a pair by its id; of stock, products and customers only where the pair asks for it.

    Of a pair in shadow mode only those that write nothing.
    """
    if pair.is_shadow:
        return {
            ids.backfill_schedule_id(pair.name): backfill_schedule(pair),
            ids.watch_schedule_id(pair.name): watch_schedule(pair),
            ids.shadow_schedule_id(pair.name): shadow_schedule(pair),
        }
    schedules = {
        ids.poll_schedule_id(pair.name): poll_schedule(pair),
        ids.backfill_schedule_id(pair.name): backfill_schedule(pair),
        ids.watch_schedule_id(pair.name): watch_schedule(pair),
        ids.reconcile_schedule_id(pair.name): reconcile_schedule(pair),
        ids.receipts_schedule_id(pair.name): receipts_schedule(pair),
    }
    if pair.inventory.warehouses:
        schedules[ids.inventory_schedule_id(pair.name)] = inventory_schedule(pair)
    if pair.products.is_on:
        schedules[ids.products_schedule_id(pair.name)] = products_schedule(pair)
    if pair.customers.sync.is_on:
        schedules[ids.customers_schedule_id(pair.name)] = customers_schedule(pair)
    return schedules


async def left_over(client: Client, pairs: Iterable[Pair]) -> list[str]:
    """Schedules of pairs that have no file here (any more): they go on, and nobody works on their queues.

    They may be another deployment's, so nothing is done about them.
    """
    known = {id_ for pair in pairs for id_ in (*schedules_of(pair), *not_in_this_mode(pair))}
    found = [one.id async for one in await client.list_schedules() if OURS.fullmatch(one.id)]
    return sorted(set(found) - known)


async def ensure_schedules(client: Client, pairs: Iterable[Pair]) -> None:
    """Create or update every pair's schedules; a new one with an interval starts its first run at once."""
    for pair in pairs:
        for id_, wanted in schedules_of(pair).items():
            await _ensure(client, id_, wanted)
        for id_ in not_in_this_mode(pair):
            await _rest(client, id_, pair)


def not_in_this_mode(pair: Pair) -> list[str]:
    """Ids of Schedules that the pair has in its other mode, live or shadow, and not in this one."""
    other = pair.model_copy(update={"mode": Mode.LIVE if pair.is_shadow else Mode.SHADOW})
    return [id_ for id_ in schedules_of(other) if id_ not in schedules_of(pair)]


RESTS = "rests: the pair's mode is "
"""How the note of a Schedule begins that a change of mode paused; the next change lets it go on."""


async def _rest(client: Client, id_: str, pair: Pair) -> None:
    """Pause a Schedule of the other mode, if there is one; its cursor stays."""
    handle = client.get_schedule_handle(id_)
    try:
        if not (await handle.describe()).schedule.state.paused:
            await handle.pause(note=f"{RESTS}{pair.mode.value}")
            log.info("Schedule %s rests: the pair's mode is %s", id_, pair.mode.value)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise


async def _ensure(client: Client, id_: str, wanted: Schedule) -> None:
    try:
        await client.create_schedule(id_, wanted, trigger_immediately=bool(wanted.spec.intervals))
        log.info("Schedule %s created", id_)
    except ScheduleAlreadyRunningError:
        handle = client.get_schedule_handle(id_)
        await handle.update(lambda found: keep_pause(found, wanted))
        state = (await handle.describe()).schedule.state
        if state.paused and (state.note or "").startswith(RESTS):
            await handle.unpause(note="the pair's mode was changed")
        # After an outage of the server the shift that was running may be over, and the next one minutes away.
        # One that somebody paused stays still.
        if wanted.spec.intervals and not (await handle.describe()).schedule.state.paused:
            await handle.trigger(overlap=wanted.policy.overlap)
        log.info("Schedule %s is up to date", id_)


def keep_pause(found: ScheduleUpdateInput, wanted: Schedule) -> ScheduleUpdate:
    """The wanted schedule with the pause state and note that are there."""
    wanted.state = found.description.schedule.state
    return ScheduleUpdate(schedule=wanted)
