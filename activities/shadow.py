"""Shadow orders against the sales orders that people typed (docs/going-live.md).

In: messages of `contracts.shadow`. Out: likewise, and files. `TypedOrderActivities` runs on `sage-read-{pair}`,
`ShadowReportActivities` on `orders`, where REPORTS_DIR is. Nothing is written to Sage or Clarity.
"""

import asyncio
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Final

from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.service import RPCError, RPCStatusCode

from activities.money import heartbeats
from activities.reconciliation import failures_of_the_disk, folder_of, write_files
from connectors.sage100.odbc import SageReader
from contracts.retry import TEMPORAL_CALL
from contracts.shadow import (
    Compared,
    CompareTyped,
    ListShadowOrders,
    ShadowComparisonResult,
    ShadowRuns,
    WriteComparison,
)
from mappings.pair import Pair
from mappings.shadow import (
    ComparedOrder,
    ShadowOrder,
    ShadowOutcome,
    TypedOrder,
    compare_order,
    is_foreign,
    totals_of,
    typed_numbers,
)
from mappings.shadow_files import files

EXAMPLES_KEPT: Final = 20
MOST_RUNS: Final = 20_000
OPEN_ORDERS_AT_ONCE: Final = 1_000
MOST_OPEN_ORDERS: Final = 50_000
"""Of a company with more nothing is suggested beyond these."""
FOLDER: Final = "shadow"
WORTH_SHOWING: Final = (ShadowOutcome.DIFFERS, ShadowOutcome.NOT_FOUND, ShadowOutcome.WOULD_HOLD)


async def open_orders(reader: SageReader) -> list[TypedOrder]:
    """Heads of all live orders, for suggestions."""
    heads: list[TypedOrder] = []
    while len(heads) < MOST_OPEN_ORDERS:
        page = await reader.open_orders_page(heads[-1].SalesOrderNo if heads else "", OPEN_ORDERS_AT_ONCE)
        heads += page
        if len(page) < OPEN_ORDERS_AT_ONCE:
            break
    return heads


async def typed_as(reader: SageReader, numbers: list[str], order_id: str, created: date) -> list[TypedOrder]:
    """The orders of the first of these CustomerPONos that has one which may be the web order's; else whatever has."""
    foreign: list[TypedOrder] = []
    for number in numbers:
        found = await reader.typed_orders(number)
        if any(not is_foreign(one, order_id, created) for one in found):
            return found
        foreign += found
    return foreign


class TypedOrderActivities:
    """Reads one company, and the results of its shadow orders."""

    def __init__(self, pair: Pair, reader: SageReader, client: Client) -> None:
        self._pair = pair
        self._reader = reader
        self._client = client

    @activity.defn
    async def compare_typed_orders(self, request: CompareTyped) -> Compared:
        """Each shadow order of the range with the order that carries its number in Sage."""
        compared: list[ComparedOrder] = []
        heads: list[TypedOrder] | None = None
        async with heartbeats():
            for workflow_id in request.workflow_ids:
                shadow = await self._result(workflow_id)
                if shadow is None or not request.since <= self._day(shadow.created) <= request.until:
                    continue
                numbers = typed_numbers(shadow.order_number, shadow.order_id, shadow.purchase_order, self._pair)
                day = self._day(shadow.created)
                typed = await typed_as(self._reader, numbers, shadow.order_id, day)
                if heads is None and all(is_foreign(one, shadow.order_id, day) for one in typed):
                    heads = await open_orders(self._reader)
                compared.append(compare_order(shadow, typed, heads or (), self._pair, request.today))
        return Compared(orders=compared)

    def _day(self, instant: datetime) -> date:
        return instant.astimezone(self._pair.company.zone).date()

    async def _result(self, workflow_id: str) -> ShadowOrder | None:
        """None when there is none: terminated for a later version, or forgotten."""
        handle = self._client.get_workflow_handle(workflow_id, result_type=ShadowOrder)
        try:
            described = await handle.describe(rpc_timeout=TEMPORAL_CALL)
            if described.status is not WorkflowExecutionStatus.COMPLETED:
                return None
            shadow: ShadowOrder = await handle.result(rpc_timeout=TEMPORAL_CALL)
        except WorkflowFailureError:
            return None
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise
        return shadow


class ShadowReportActivities:
    """`reports` is REPORTS_DIR."""

    def __init__(self, pairs: Mapping[str, Pair], client: Client, reports: Path) -> None:
        self._pairs = pairs
        self._client = client
        self._reports = reports

    @activity.defn
    async def list_shadow_orders(self, request: ListShadowOrders) -> ShadowRuns:
        """Shadow orders that came since, by Temporal's own list: what it does not show yet, the next run sees."""
        since = f"StartTime >= '{request.since.isoformat()}'"
        query = f"WorkflowType='ShadowOrderWorkflow' AND Pair='{request.pair}' AND {since}"
        found: dict[str, datetime] = {}
        unfinished = 0
        async for run in self._client.list_workflows(query, limit=MOST_RUNS):
            if run.status is WorkflowExecutionStatus.COMPLETED:
                found[run.id] = min(run.start_time, found.get(run.id, run.start_time))
            elif run.status is WorkflowExecutionStatus.RUNNING:
                unfinished += 1
        return ShadowRuns(workflow_ids=sorted(found, key=lambda id_: (found[id_], id_)), unfinished=unfinished)

    @activity.defn
    async def write_comparison(self, request: WriteComparison) -> ShadowComparisonResult:
        """The files, and what travels back."""
        info = activity.info()
        workflow = self._client.get_workflow_handle(info.workflow_id or "", run_id=info.workflow_run_id)
        compared: list[ComparedOrder] = []
        async with heartbeats():
            for place in range(request.sheets):
                sheet = await workflow.query("compared", place, result_type=Compared, rpc_timeout=TEMPORAL_CALL)
                compared += sheet.orders
            return await asyncio.to_thread(self._write, request, compared)

    @failures_of_the_disk()
    def _write(self, request: WriteComparison, compared: list[ComparedOrder]) -> ShadowComparisonResult:
        home = self._reports / folder_of(request.pair) / FOLDER
        totals = totals_of(compared)
        span = f"{request.since}_{request.until}"
        name = write_files(home, span, files(compared, totals, span, request.unfinished))
        return ShadowComparisonResult(
            since=request.since,
            until=request.until,
            totals=totals,
            unfinished=request.unfinished,
            examples=[one for one in compared if one.outcome in WORTH_SHOWING][:EXAMPLES_KEPT],
            folder=f"{home.parent.name}/{FOLDER}/{name}",
        )
