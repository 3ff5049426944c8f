"""Starting the run of a product: by its webhook (through the intake), or by the catch-up (`start_products`).

In: an event, or what a comparison found. Out: what became of it. A product has one run at a time, and a run reads both
sides itself: so deliveries may come twice, late and in any order. Raises `RPCError` when Temporal does not answer.
"""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any

from pydantic import ValidationError
from temporalio import activity
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from contracts import ids, queues
from contracts import search_attributes as attributes
from contracts.priorities import background
from contracts.products import (
    MEMO,
    BroughtBy,
    ComparedProduct,
    ProductMemory,
    ProductsStarted,
    ProductStart,
    StartProducts,
)
from mappings.pair import Pace, Pair
from mappings.products import Changed, WebProduct, agreed_now, read_product

RPC_LIMIT = timedelta(seconds=3)
TRIES = 3
"""A run that ends while it is told of a change: the next try starts another one."""
STARTS_AT_ONCE = 10


class ProductRuns:
    """Runs of one pair's products."""

    def __init__(self, client: Client, pair: str, pace: Pace) -> None:
        self._client = client
        self._pair = pair
        self._pace = pace

    async def describe(self, product_id: str) -> tuple[WorkflowExecutionDescription | None, ProductMemory]:
        """The latest run, and what it remembers; nothing where the server has forgotten it."""
        handle = self._client.get_workflow_handle(ids.product_workflow_id(self._pair, product_id))
        try:
            known = await handle.describe(rpc_timeout=RPC_LIMIT)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None, ProductMemory()
            raise
        try:
            return known, ProductMemory.model_validate(await known.memo_value(MEMO, default={}))
        except ValidationError:
            return known, ProductMemory()

    async def start(
        self,
        product: WebProduct,
        memory: ProductMemory,
        brought_by: BroughtBy,
        changed: Mapping[str, Changed] | None = None,
    ) -> bool:
        """Start a run; False when one is at work."""
        try:
            await self._client.start_workflow(
                "ProductSyncWorkflow",
                ProductStart(
                    pair=self._pair,
                    product_id=product.id,
                    pace=self._pace,
                    brought_by=brought_by,
                    memory=memory,
                    changed=dict(changed or {}),
                ),
                id=ids.product_workflow_id(self._pair, product.id),
                task_queue=queues.ORDERS,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                memo={MEMO: memory.model_dump(mode="json")},
                search_attributes=TypedSearchAttributes([SearchAttributePair(attributes.PAIR, self._pair)]),
                static_summary=attributes.scalar(f"Product {product.sku} ({product.id})")[:100],
                priority=background(self._pair),
                rpc_timeout=RPC_LIMIT,
            )
        except WorkflowAlreadyStartedError:
            return False
        return True

    async def tell(self, product_id: str) -> bool:
        """Tell the run at work that the product changed; False when none is."""
        handle = self._client.get_workflow_handle(ids.product_workflow_id(self._pair, product_id))
        try:
            await handle.signal("product_changed", rpc_timeout=RPC_LIMIT)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise
        return True


class Taken(StrEnum):
    """What became of an event, in the words of `activities.intake.IntakeResult`."""

    STARTED = "started"
    CHANGED = "changed"
    DUPLICATE = "duplicate"
    NAMELESS = "nameless"
    """It names no product."""


async def take_product(client: Client, pair: Pair, payload: Mapping[str, Any]) -> tuple[Taken, str]:
    """A `product.updated` event: what became of it, and the workflow's id."""
    body = payload.get("data")
    product = read_product(body, pair) if isinstance(body, Mapping) else None
    if product is None:
        return Taken.NAMELESS, ""
    runs, workflow_id = ProductRuns(client, pair.name, pair.pace), ids.product_workflow_id(pair.name, product.id)
    for _ in range(TRIES):
        known, memory = await runs.describe(product.id)
        if known is not None and known.status is WorkflowExecutionStatus.RUNNING:
            if await runs.tell(product.id):
                return Taken.CHANGED, workflow_id
            continue
        completed = known is not None and known.status is WorkflowExecutionStatus.COMPLETED
        if completed and memory.digest == product.digest:
            # Delivered again, or what we have written ourselves: the last run has seen just this.
            return Taken.DUPLICATE, workflow_id
        if await runs.start(product, memory, BroughtBy.WEBHOOK):
            return Taken.STARTED, workflow_id
    raise RPCError("the product's run ends again and again", RPCStatusCode.ABORTED, b"")


class ProductRunActivities:
    """`start_products`, on the queue `orders`: it only talks to Temporal."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @activity.defn
    async def start_products(self, request: StartProducts) -> ProductsStarted:
        """A run for each product; a repeated attempt finds those of the first at work, or done."""
        runs = ProductRuns(self._client, request.pair, request.pace)
        limit = asyncio.Semaphore(STARTS_AT_ONCE)
        started: dict[str, str] = {}
        at_work: list[str] = []
        settled: list[str] = []

        async def one(found: ComparedProduct) -> None:
            product = found.plan.product
            async with limit:
                known, memory = await runs.describe(product.id)
                if known is not None and known.status is WorkflowExecutionStatus.RUNNING:
                    at_work.append(product.id)
                elif is_settled(found, memory) and memory.rules == request.rules:
                    settled.append(product.id)
                elif await runs.start(product, memory, BroughtBy.CATCH_UP, found.changed):
                    started[product.id] = ids.product_workflow_id(request.pair, product.id)
                else:
                    at_work.append(product.id)
            activity.heartbeat()

        await asyncio.gather(*(one(found) for found in request.found))
        return ProductsStarted(started=started, at_work=sorted(at_work), settled=sorted(settled))


def is_settled(found: ComparedProduct, memory: ProductMemory) -> bool:
    """Whether the last run left nothing undone, and nothing has changed since: somebody decided so."""
    if not memory.settled or found.plan.problems:
        return False
    if found.plan.new_item is not None:
        return memory.digest == found.plan.product.digest
    return all(memory.base.get(one.column) == agreed_now(one.sage, one.clarity) for one in found.plan.differences)
