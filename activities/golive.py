"""Going live: open web orders of Clarity, their sales orders in Sage, and the start of their workflows.

In: messages of `contracts.golive`. Out: likewise. `GoLiveActivities` runs on `clarity-{pair}`, `OpenOrderActivities` on
`sage-read-{pair}`. Neither writes to Sage or Clarity; `adopt_orders` starts workflows, which then do.
"""

import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from temporalio import activity
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.backfill import BODY_LIMIT
from activities.intake import RPC_LIMIT, Intake
from activities.money import heartbeats
from activities.shadow import open_orders, typed_as
from connectors.clarity.client import ClarityClient
from connectors.errors import NotFound, Refused, ShadowMode
from connectors.sage100.odbc import SageReader
from contracts import ids
from contracts import search_attributes as attributes
from contracts.golive import (
    Adopted,
    AdoptedOrders,
    AdoptOrders,
    MatchOpenOrders,
    OpenMatches,
    OpenOrders,
    OpenOrdersPage,
)
from contracts.messages import EventType
from mappings.clarity_order import to_decimal
from mappings.clarity_profile import ClarityOrderState
from mappings.golive import OpenWebOrder, match_open
from mappings.intake import created_at, order_id_of, pair_of_currency, payload_digest
from mappings.pair import Pair
from mappings.plain_json import plain
from mappings.shadow import TypedOrder, is_foreign, purchase_order_of, suggestions_for, typed_numbers
from mappings.statuses import clarity_state
from mappings.transform import normalised_email

PAGES_AT_ONCE: Final = 20
DONE: Final = (ClarityOrderState.SHIPPED, ClarityOrderState.COMPLETED, ClarityOrderState.CANCELLED)
NOT_STARTED: Final = "not_started"
WAITING: Final = (ClarityOrderState.ON_HOLD, ClarityOrderState.PENDING_PAYMENT)


class GoLiveActivities:
    """Reads one store, and starts workflows."""

    def __init__(self, pair: Pair, pairs: Mapping[str, Pair], clarity: ClarityClient, client: Client) -> None:
        self._pair = pair
        self._pairs = pairs
        self._clarity = clarity
        self._client = client

    @activity.defn
    async def list_open_orders(self, request: OpenOrdersPage) -> OpenOrders:
        """Orders that are neither shipped nor cancelled, from before the go-live or from shadow mode."""
        found: list[OpenWebOrder] = []
        seen: list[str] = []
        async with heartbeats():
            for number in range(request.page, request.page + PAGES_AT_ONCE):
                page = await self._clarity.list_orders(request.since, number)
                for entry in page.items:
                    payload = {"type": EventType.ORDER_UPDATED.value, "data": plain(entry)}
                    seen.append(order_id_of(payload) or payload_digest(payload))
                    order = await self._open(payload)
                    if order is not None:
                        found.append(order)
                if len(page.items) < self._clarity.page_size:
                    return OpenOrders(orders=found, seen=seen, listed=page.totalCount)
        return OpenOrders(orders=found, next_page=request.page + PAGES_AT_ONCE, seen=seen, listed=page.totalCount)

    async def _open(self, payload: dict[str, Any]) -> OpenWebOrder | None:
        body, order_id = payload["data"], order_id_of(payload)
        status = str(body.get("status") or "")
        state = clarity_state(status, self._pair.clarity.statuses)
        if order_id is None or state in DONE:
            return None
        if pair_of_currency(payload, self._pair, self._pairs).name != self._pair.name:
            return None
        created = created_at(payload) or datetime.now(UTC)
        day = created.astimezone(self._pair.company.zone).date()
        followed = await self._has_run(ids.order_workflow_id(self._pair.name, order_id))
        before = day < self._pair.go_live or self._pair.is_shadow
        if not before and (
            followed or not await self._has_run(ids.shadow_order_workflow_id(self._pair.name, order_id))
        ):
            return None
        totals, customer = (one if isinstance(one := body.get(name), dict) else {} for name in ("totals", "customer"))
        return OpenWebOrder(
            order_id=order_id,
            number=str(body.get("number") or order_id)[:64],
            purchase_order=purchase_order_of(payload),
            created=day,
            status=status[:30],
            total=to_decimal(totals.get("grand")),
            currency=str(body.get("currency") or "")[:3],
            email=normalised_email(str(customer.get("email") or "")),
            followed=followed,
            waiting=state in WAITING,
        )

    async def _has_run(self, workflow_id: str) -> bool:
        try:
            await self._client.get_workflow_handle(workflow_id).describe(rpc_timeout=RPC_LIMIT)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise
        return True

    @activity.defn
    async def adopt_orders(self, request: AdoptOrders) -> AdoptedOrders:
        """Start each order's workflow, which links the sales order and follows it; one that runs is left alone."""
        if self._pair.is_shadow:
            why = "this worker runs with mode: shadow still; restart it, and run golive again"
            return AdoptedOrders(
                orders=[
                    Adopted(order_id=order_id, SalesOrderNo=number, result=NOT_STARTED, detail=why)
                    for order_id, number in request.orders.items()
                ]
            )
        adopted: list[Adopted] = []
        async with heartbeats():
            followers = await self._followers(request.orders.values())
            for order_id, number in request.orders.items():
                others = [one for one in followers.get(number, ()) if one != order_id]
                if others:
                    result, detail = NOT_STARTED, f"web order {others[0]} has this sales order already"
                else:
                    result, detail = await self._adopt(order_id, number)
                adopted.append(Adopted(order_id=order_id, SalesOrderNo=number, result=result, detail=detail))
        return AdoptedOrders(orders=adopted)

    async def _adopt(self, order_id: str, number: str) -> tuple[str, str]:
        """The result and why: what is refused for this order alone keeps none behind it from being taken over."""
        try:
            order = await self._clarity.get_order(order_id)
            payload: dict[str, Any] = {"type": EventType.ORDER_UPDATED.value, "data": plain(order)}
            if len(json.dumps(payload, default=str)) > BODY_LIMIT:
                return NOT_STARTED, "it is larger than 1 MB: people carry it on by hand"
            taken, detail = await Intake(self._client, self._pair).take(
                payload, f"golive:{order_id}:{number}", bury=False, adopts=number
            )
        except NotFound:
            return "not_found", "Clarity has no such order"
        except ShadowMode:
            raise
        except Refused as error:
            return NOT_STARTED, f"{error.system} refuses to give it (status {error.status})"
        except RPCError as error:
            if error.status is not RPCStatusCode.INVALID_ARGUMENT:
                raise
            return NOT_STARTED, "Temporal does not take it: people carry it on by hand"
        return taken.value, detail

    async def _followers(self, numbers: Collection[str]) -> dict[str, list[str]]:
        """SalesOrderNo → the web orders that follow it and run, by Temporal's own list."""
        listed = ", ".join(f"'{number}'" for number in numbers)
        query = (
            f"WorkflowType='OrderFulfillmentWorkflow' AND Pair='{self._pair.name}' AND ExecutionStatus='Running' "
            f"AND SalesOrderNo IN ({listed})"
        )
        found: dict[str, list[str]] = {}
        async for run in self._client.list_workflows(query):
            number = run.typed_search_attributes.get(attributes.SALES_ORDER_NO)
            order_id = ids.order_id_of(self._pair.name, run.id)
            if number is not None and order_id is not None:
                found.setdefault(number, []).append(order_id)
        return found


class OpenOrderActivities:
    """Reads one company."""

    def __init__(self, pair: Pair, reader: SageReader) -> None:
        self._pair = pair
        self._reader = reader

    @activity.defn
    async def match_open_orders(self, request: MatchOpenOrders) -> OpenMatches:
        """By the file, else by what people type as CustomerPONo (`shadow.typed_as`)."""
        heads: list[TypedOrder] | None = None
        matches = []
        async with heartbeats():
            for order in request.orders:
                named = request.named.get(order.order_id) or request.named.get(order.number) or ""
                found: list[TypedOrder] = []
                suggestions: list[str] = []
                if named:
                    one = await self._reader.typed_order(named)
                    found = [] if one is None else [one]
                elif not order.followed and not order.waiting:
                    numbers = typed_numbers(order.number, order.order_id, order.purchase_order, self._pair)
                    found = await typed_as(self._reader, numbers, order.order_id, order.created)
                    foreign = all(is_foreign(one, order.order_id, order.created) for one in found)
                    if foreign and order.total is not None:
                        heads = await open_orders(self._reader) if heads is None else heads
                        suggestions = suggestions_for(order.email, order.total, order.created, heads)
                matches.append(match_open(order, found, named, suggestions, self._pair.shadow.tolerance))
        return OpenMatches(matches=matches)
