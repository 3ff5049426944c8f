"""What accepted orders will take from stock that Sage does not know yet: asked of the orders themselves.

In: the running orders in the states received and held (a listing, which lags by a moment: the next look sees what this
one missed), and each order's query `stock_needs`. Out: `OrderNeeds` by run. An order is asked when it comes, when its
state or hold changes, and once a minute. One that does not answer (no worker, failing code) counts as it came: its
start argument is read and transformed here.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from time import monotonic

from temporalio.client import Client, WorkflowExecution, WorkflowQueryFailedError
from temporalio.service import RPCError, RPCStatusCode

from connectors.errors import RetryLater
from contracts import search_attributes as attributes
from contracts.messages import OrderStart, StockNeeds
from contracts.search_attributes import OrderState
from mappings.clarity_order import to_decimal
from mappings.clarity_profile import Kind, to_contract
from mappings.decisions import UNDECIDED
from mappings.inventory import NeededStock, OrderNeeds, needs_of
from mappings.pair import Pair
from mappings.transform import transform

log = logging.getLogger(__name__)

ASK_LIMIT = timedelta(seconds=5)
ASKED_AT_ONCE = 20
ASKED_AGAIN_SECONDS = 60.0
"""What an order needs seldom changes, and its state or hold then changes, too. Asked late, it counts twice for a while
when Sage has it already, and never not at all."""
NO_ANSWER_SECONDS = 15.0
"""An order that did not answer is asked again."""
ASKING_LIMIT_SECONDS = 30.0
"""For asking all orders of one look; those that are late count as they were last known, or as they came."""


@dataclass(frozen=True)
class Accepted:
    """One order that Sage does not know yet."""

    pair: str
    needs: OrderNeeds


@dataclass
class _Known:
    signature: str
    asked: float
    accepted: Accepted
    answered: bool


@dataclass
class AcceptedOrders:
    """The orders of one company's pairs. `pairs` are those whose stores sell its stock, by name."""

    pairs: Mapping[str, Pair]
    client: Client
    unanswered: int = 0
    """Orders that did not answer at the last look."""
    _known: dict[str, _Known] = field(default_factory=dict)
    _payloads: dict[str, list[NeededStock]] = field(default_factory=dict)

    async def look(self) -> dict[str, Accepted]:
        """By run id. Raises RetryLater when Temporal does not list."""
        names = ", ".join(f"'{name}'" for name in self.pairs)
        states = f"'{OrderState.RECEIVED.value}', '{OrderState.HELD.value}'"
        query = (
            f"WorkflowType='OrderFulfillmentWorkflow' AND ExecutionStatus='Running' AND Pair IN ({names}) "
            f"AND OrderState IN ({states})"
        )
        try:
            runs = {run.run_id: run async for run in self.client.list_workflows(query, page_size=500)}
        except RPCError as error:
            raise RetryLater("Temporal", "list orders", str(error.status)) from error
        self._known = {run_id: known for run_id, known in self._known.items() if run_id in runs}
        self._payloads = {run_id: lines for run_id, lines in self._payloads.items() if run_id in runs}
        at_once = asyncio.Semaphore(ASKED_AT_ONCE)

        async def ask(run: WorkflowExecution) -> None:
            async with at_once:
                await self._ask(run)

        due = [run for run in runs.values() if self._is_due(run)]
        asking = {asyncio.create_task(ask(run)): run for run in due}
        if asking:
            done, late = await asyncio.wait(asking, timeout=ASKING_LIMIT_SECONDS)
            for task in late:
                task.cancel()
                await self._late(asking[task])
            for task in done:
                task.result()
        self.unanswered = sum(not known.answered for known in self._known.values())
        return {run_id: known.accepted for run_id, known in sorted(self._known.items())}

    def _is_due(self, run: WorkflowExecution) -> bool:
        known = self._known.get(run.run_id)
        if known is None or known.signature != signature_of(run):
            return True
        return monotonic() - known.asked >= (ASKED_AGAIN_SECONDS if known.answered else NO_ANSWER_SECONDS)

    async def _ask(self, run: WorkflowExecution) -> None:
        handle = self.client.get_workflow_handle(run.id, run_id=run.run_id)
        try:
            answer = await handle.query("stock_needs", result_type=StockNeeds, rpc_timeout=ASK_LIMIT)
        except (RPCError, WorkflowQueryFailedError) as error:
            if isinstance(error, RPCError) and error.status is RPCStatusCode.NOT_FOUND:
                self._known.pop(run.run_id, None)
                return
            await self._as_it_came(run)
            return
        if answer.known:
            self._keep(run, OrderNeeds(answer.customer, answer.lines), answered=True)
        else:
            await self._as_it_came(run, answered=True)

    async def _late(self, run: WorkflowExecution) -> None:
        """No answer in time: as it was last known, or as it came."""
        known = self._known.get(run.run_id)
        if known is None:
            await self._as_it_came(run)
        else:
            self._keep(run, known.accepted.needs, answered=False)

    async def _as_it_came(self, run: WorkflowExecution, *, answered: bool = False) -> None:
        """The payload with which it started: a correction since then is not in it. What Sage has takes nothing more."""
        if run.typed_search_attributes.get(attributes.SALES_ORDER_NO):
            # Held for a change of an order that stands in Sage.
            self._keep(run, OrderNeeds(None, []), answered=answered)
            return
        lines = self._payloads.get(run.run_id)
        if lines is None:
            lines = self._payloads[run.run_id] = await self._lines_of_payload(run)
        self._keep(run, OrderNeeds(None, lines), answered=answered)

    async def _lines_of_payload(self, run: WorkflowExecution) -> list[NeededStock]:
        handle = self.client.get_workflow_handle(run.id, run_id=run.run_id)
        try:
            async for event in handle.fetch_history_events(page_size=1, rpc_timeout=ASK_LIMIT):
                payloads = event.workflow_execution_started_event_attributes.input.payloads
                (start,) = await self.client.data_converter.decode(payloads, [OrderStart])
                return payload_needs(start, self.pairs[start.pair])
        except (RPCError, ValueError, KeyError) as error:
            log.warning("What order %s takes from stock is not known: %s", run.id, error, extra={"workflow_id": run.id})
        return []

    def _keep(self, run: WorkflowExecution, needs: OrderNeeds, *, answered: bool) -> None:
        pair = run.typed_search_attributes.get(attributes.PAIR) or ""
        if pair in self.pairs:
            self._known[run.run_id] = _Known(signature_of(run), monotonic(), Accepted(pair, needs), answered)


def signature_of(run: WorkflowExecution) -> str:
    """What of a listing changes when a person decided on the order."""
    found = run.typed_search_attributes
    held = found.get(attributes.HELD_ITEMS) or []
    return "|".join([str(found.get(attributes.ORDER_STATE)), str(found.get(attributes.HOLD_REASON)), *held])


def payload_needs(start: OrderStart, pair: Pair) -> list[NeededStock]:
    """The lines of goods of an order as it came; of one that cannot be transformed, what its items say."""
    draft = transform(start.payload, pair).draft
    if draft is not None:
        return needs_of(draft, UNDECIDED)
    event = to_contract(start.payload, Kind.EVENT, pair.clarity)
    order = event.get("data") if isinstance(event, dict) else None
    items = order.get("items") if isinstance(order, dict) else None
    found = []
    for item in items if isinstance(items, list) else []:
        quantity = to_decimal(item.get("quantity")) if isinstance(item, dict) else None
        if quantity is not None and quantity > Decimal(0) and isinstance(item.get("sku"), str):
            found.append(NeededStock(sku=item["sku"].strip(), quantity=quantity, warehouse=pair.order.warehouse))
    return found
