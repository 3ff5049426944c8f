"""The one function that starts an order: the durable accept of an event, whether a webhook or a backfill brought it.

In: a parsed, verified event. Out: what became of it. The start of the workflow is the accept; conflict policy FAIL
tells new, running and closed orders apart (design, intake). Raises `RPCError` when Temporal does not answer.
"""

import logging
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowQueryFailedError,
)
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities.customer_intake import customer_id_of, sync_customer
from activities.expediting import expedite
from activities.product_runs import Taken, take_product
from contracts import ids, queues
from contracts import search_attributes as attributes
from contracts.customers import CUSTOMER_UPDATED
from contracts.messages import (
    ClarityOrderChanged,
    DeadLetter,
    DeadLetterReason,
    EventType,
    OrderStart,
    OrderView,
)
from contracts.priorities import priority_of
from contracts.search_attributes import OrderState
from contracts.shadow import ShadowStart
from mappings.card_numbers import mask_card_numbers
from mappings.clarity_order import to_decimal
from mappings.clarity_profile import OF_PRODUCTS
from mappings.intake import (
    RETENTION_MARGIN,
    created_at,
    is_cancelled,
    may_have_come_in_shadow,
    order_id_of,
    payload_digest,
    reason_by_status,
    reason_not_to_start_anew,
    reason_to_ignore,
)
from mappings.pair import Pair
from mappings.transform import EXPEDITED_MARK, expedites

log = logging.getLogger(__name__)

RPC_LIMIT = timedelta(seconds=3)
SHADOW = "the pair is in shadow mode: nothing is written"
BEGAN = datetime.now(UTC)
"""When this process came to know the pairs and their modes, or a little before."""
DIGEST_MEMO = "clarity_digest"
BACKFILL_MEMO = "backfill_run"
"""Run id of the backfill that started the order."""


class IntakeResult(StrEnum):
    """What became of an event."""

    STARTED = "started"
    DUPLICATE = "duplicate"
    CHANGED = "changed"
    IGNORED = "ignored"
    DEAD_LETTER = "dead_letter"
    NEEDS_FORCE = "needs_force"
    """Of backfill only: the order may have been here before, and a person must say so (rules 4)."""


class Intake:
    """Takes events of one pair in."""

    def __init__(self, client: Client, pair: Pair) -> None:
        self._client = client
        self._pair = pair

    async def take(
        self,
        payload: dict[str, Any],
        webhook_id: str,
        *,
        restart: bool = False,
        backfill: str = "",
        forced: str = "",
        bury: bool = True,
        adopts: str = "",
    ) -> tuple[IntakeResult, str]:
        """The result and a sentence or workflow id that explains it.

        `restart` starts an order again whose workflow was terminated, cancelled or failed; never a completed one.
        `backfill`: the order is as Clarity lists it, and may be listed again and again: a running order is told only
        what it does not know. It is the backfill's run id: what that run started is `started`, however often it asks.
        `forced` (by whom and why) starts an order that may have been here before. Without
        `bury` what is not taken in becomes no dead letter: it is one already. `adopts` is the SalesOrderNo that people
        typed for the order (going live): it is followed, and nothing is created. An order that is started again, by
        `restart` or by force, keeps that of its last run.

        Of a pair in shadow mode an order starts its `ShadowOrderWorkflow`, and nothing else starts anything. One that
        runs since the pair was live is told of its changes (its writes are refused, and held).
        """
        if self._pair.is_shadow and payload.get("type") in (*OF_PRODUCTS, CUSTOMER_UPDATED):
            return IntakeResult.IGNORED, SHADOW
        if payload.get("type") in OF_PRODUCTS and self._pair.products.is_on:
            return await self._take_product(payload, webhook_id, bury=bury)
        masked, masked_fields = mask_card_numbers(payload)
        if masked_fields:
            log.warning("Masked %d value(s) that look like card data in event %s", masked_fields, webhook_id[:64])
        event = masked.get("type")
        if event == CUSTOMER_UPDATED and self._pair.customers.sync.is_on:
            return await self._take_customer(masked, webhook_id, bury=bury)
        if not isinstance(event, str) or event not in set(EventType):
            return await self._bury(
                masked,
                webhook_id,
                DeadLetterReason.UNKNOWN_TYPE,
                "The event's type is not one that this pair handles.",
                bury=bury,
            )
        order_id = order_id_of(masked)
        if order_id is None:
            return await self._bury(
                masked,
                webhook_id,
                DeadLetterReason.NO_ORDER_ID,
                "data.id names no order: an order id has 1 to 64 letters, digits, dots, dashes or underscores.",
                bury=bury,
            )
        if is_cancelled(masked, self._pair):
            # Some releases say it with the status alone, on whatever event.
            event = EventType.ORDER_CANCELLED
        start = OrderStart(
            pair=self._pair.name,
            order_id=order_id,
            payload=masked,
            digest=payload_digest(masked),
            received_at=datetime.now(UTC),
            webhook_id=webhook_id,
            pace=self._pair.pace,
            masked_fields=masked_fields,
            forced=forced,
            adopts=adopts,
            is_asked_daily=True,
        )
        workflow_id = ids.order_workflow_id(self._pair.name, order_id)
        if self._pair.is_shadow:
            known = await self._describe(workflow_id)
            if known is not None and known.status is WorkflowExecutionStatus.RUNNING:
                return await self._meet(known, start, event, backfill=backfill, bury=bury)
            return await self._shadow(start, cancelled=event == EventType.ORDER_CANCELLED)
        if (restart or forced) and not adopts:
            adopts = await self._adopted(workflow_id)
            start = start.model_copy(update={"adopts": adopts})
        ignored = reason_by_status(masked, self._pair) if adopts else reason_to_ignore(masked, self._pair)
        if event == EventType.ORDER_CANCELLED or (ignored and not restart):
            # A cancellation starts nothing; it matters only to an order that is known.
            known = await self._describe(workflow_id)
            if known is None:
                reason = ignored or "it is cancelled, and was never started"
                log.info("Order %s starts nothing: %s", workflow_id, reason, extra={"workflow_id": workflow_id})
                return IntakeResult.IGNORED, reason
            return await self._meet(known, start, event, backfill=backfill, bury=bury)
        doubt = "" if restart or forced or adopts else await self._doubt(masked, order_id)
        if doubt:
            known = await self._describe(workflow_id)
            if known is not None:
                return await self._meet(known, start, event, backfill=backfill, bury=bury)
            log.warning("Order %s starts only with force: %s", workflow_id, doubt, extra={"workflow_id": workflow_id})
            if backfill:
                return IntakeResult.NEEDS_FORCE, doubt
            return await self._bury(
                masked,
                f"{workflow_id}:{start.digest}",
                DeadLetterReason.NEEDS_FORCE,
                f"No workflow knows the order {order_id}, but {doubt}. Look in Sage for it. To start it all the same: "
                f'POST /orders/{self._pair.name}/{order_id}/restart with {{"force": true, "reason": "…"}}',
                bury=bury,
            )
        try:
            await self._start(workflow_id, start, restart=restart or bool(forced), backfill=backfill)
        except WorkflowAlreadyStartedError:
            known = await self._describe(workflow_id)
            if known is None:
                raise
            return await self._meet(known, start, event, backfill=backfill, bury=bury)
        return IntakeResult.STARTED, workflow_id

    async def _take_product(self, payload: dict[str, Any], webhook_id: str, *, bury: bool) -> tuple[IntakeResult, str]:
        """A product's run reads both sides itself: of the event only the product's id counts, and what is news."""
        taken, workflow_id = await take_product(self._client, self._pair, payload)
        if taken is Taken.NAMELESS:
            masked, _ = mask_card_numbers(payload)
            why = "data.id and data.sku name no product: each is text of 1 to 64 characters."
            return await self._bury(masked, webhook_id, DeadLetterReason.NO_PRODUCT_ID, why, bury=bury)
        return IntakeResult(taken.value), workflow_id

    async def _take_customer(self, payload: dict[str, Any], webhook_id: str, *, bury: bool) -> tuple[IntakeResult, str]:
        customer_id = customer_id_of(payload)
        if customer_id is None:
            return await self._bury(
                payload,
                webhook_id,
                DeadLetterReason.NO_CUSTOMER_ID,
                "data.id names no customer: an id has 1 to 64 letters, digits, dots, dashes or underscores.",
                bury=bury,
            )
        news, workflow_id = await sync_customer(self._client, self._pair, customer_id, webhook_id)
        return IntakeResult.STARTED if news else IntakeResult.DUPLICATE, workflow_id

    async def _shadow(self, start: OrderStart, *, cancelled: bool) -> tuple[IntakeResult, str]:
        """Think about the order, and write nothing. A later version replaces the one that was thought about."""
        workflow_id = ids.shadow_order_workflow_id(self._pair.name, start.order_id)
        known = await self._describe(workflow_id)
        if known is None and (cancelled or (ignored := reason_by_status(start.payload, self._pair))):
            return IntakeResult.IGNORED, "it is cancelled, and was never started" if cancelled else ignored
        digest = f"{start.digest}:cancelled" if cancelled else start.digest
        if known is not None and await known.memo_value(DIGEST_MEMO, default="") == digest:
            return IntakeResult.DUPLICATE, known.id
        number = _text(start.payload, "number") or start.order_id
        await self._client.start_workflow(
            "ShadowOrderWorkflow",
            ShadowStart(order=start, cancelled=cancelled),
            id=workflow_id,
            task_queue=queues.ORDERS,
            # It only reads: nothing is lost with the version that was overtaken.
            id_conflict_policy=WorkflowIDConflictPolicy.TERMINATE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            memo={DIGEST_MEMO: digest},
            search_attributes=TypedSearchAttributes(
                [
                    SearchAttributePair(attributes.PAIR, self._pair.name),
                    SearchAttributePair(attributes.ORDER_NUMBER, attributes.scalar(number)),
                ]
            ),
            static_summary=summary_of(start.payload, number),
            static_details=f"Shadow of Clarity order {start.order_id}: nothing is written",
            priority=priority_of(self._pair.name, expedited=False),
            rpc_timeout=RPC_LIMIT,
        )
        return IntakeResult.CHANGED if known is not None else IntakeResult.STARTED, workflow_id

    async def _doubt(self, payload: dict[str, Any], order_id: str) -> str:
        """Why the order may have been here before; empty when it is certainly new. Asks the server only when old."""
        now = datetime.now(UTC)
        if reason := reason_not_to_start_anew(payload, now, None):
            return reason
        if may_have_come_in_shadow(payload, now, BEGAN) and await self._describe(
            ids.shadow_order_workflow_id(self._pair.name, order_id)
        ):
            return (
                "it came while the pair was in shadow mode, and people may have typed it (`python -m workers golive`)"
            )
        created = created_at(payload)
        if created is None or now - created <= RETENTION_MARGIN:
            return ""
        return reason_not_to_start_anew(payload, now, await retention_of(self._client))

    async def _start(self, workflow_id: str, start: OrderStart, *, restart: bool, backfill: str) -> None:
        number = _text(start.payload, "number") or start.order_id
        expedited = self._expedites(start)
        await self._client.start_workflow(
            "OrderFulfillmentWorkflow",
            start,
            id=workflow_id,
            task_queue=queues.ORDERS,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY
            if restart
            else WorkflowIDReusePolicy.REJECT_DUPLICATE,
            memo={DIGEST_MEMO: start.digest, **({BACKFILL_MEMO: backfill} if backfill else {})},
            search_attributes=TypedSearchAttributes(
                [
                    SearchAttributePair(attributes.PAIR, self._pair.name),
                    SearchAttributePair(attributes.ORDER_STATE, OrderState.RECEIVED.value),
                    SearchAttributePair(attributes.ORDER_NUMBER, attributes.scalar(number)),
                ]
            ),
            static_summary=summary_of(start.payload, number) + (EXPEDITED_MARK if expedited else ""),
            static_details=f"Clarity order {start.order_id}, received {start.received_at:%Y-%m-%d %H:%M:%S} UTC",
            priority=priority_of(self._pair.name, expedited=expedited),
            rpc_timeout=RPC_LIMIT,
        )

    def _expedites(self, start: OrderStart) -> bool:
        """Whether the order goes before the others; what cannot be told says no, and is taken in all the same."""
        try:
            return expedites(start.payload, self._pair)
        except Exception:
            log.exception(
                "Whether order %s is expedited cannot be told",
                start.order_id,
                extra={"workflow_id": ids.order_workflow_id(self._pair.name, start.order_id)},
            )
            return False

    async def _describe(self, workflow_id: str) -> WorkflowExecutionDescription | None:
        try:
            return await self._client.get_workflow_handle(workflow_id).describe(rpc_timeout=RPC_LIMIT)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise

    async def _adopted(self, workflow_id: str) -> str:
        """The SalesOrderNo that the order's last run was started to follow; empty without.

        Its start argument tells: a run that ended before it linked the sales order has left no trace of it in Sage.
        """
        try:
            async for event in self._client.get_workflow_handle(workflow_id).fetch_history_events(
                page_size=1, rpc_timeout=RPC_LIMIT
            ):
                payloads = event.workflow_execution_started_event_attributes.input.payloads
                values = await self._client.data_converter.decode(list(payloads))
                return str(values[0].get("adopts") or "") if values and isinstance(values[0], dict) else ""
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
        return ""

    async def _meet(
        self,
        known: WorkflowExecutionDescription,
        start: OrderStart,
        event: str,
        *,
        backfill: str = "",
        bury: bool = True,
    ) -> tuple[IntakeResult, str]:
        """The event is about an order that has a workflow already."""
        same = await known.memo_value(DIGEST_MEMO, default="") == start.digest
        cancelled = event == EventType.ORDER_CANCELLED
        if known.status is WorkflowExecutionStatus.RUNNING:
            if same and event == EventType.ORDER_CREATED:
                # The first delivery again. Any other event may mean that a change was taken back: the order knows
                # which version it is working on.
                return IntakeResult.DUPLICATE, known.id
            if backfill and await self._is_known(known, start, cancelled=cancelled, same=same):
                by_this_run = await known.memo_value(BACKFILL_MEMO, default="") == backfill
                return IntakeResult.STARTED if by_this_run else IntakeResult.DUPLICATE, known.id
            change = ClarityOrderChanged(
                event=event, payload=start.payload, digest=start.digest, webhook_id=start.webhook_id
            )
            await self._client.get_workflow_handle(known.id).signal(
                "clarity_order_changed", change, rpc_timeout=RPC_LIMIT
            )
            if not cancelled and self._expedites(start):
                await expedite(self._client, self._pair.name, known.id)
            return IntakeResult.CHANGED, known.id
        if known.status is WorkflowExecutionStatus.COMPLETED:
            ended = known.typed_search_attributes.get(attributes.ORDER_STATE)
            too_late = cancelled and ended != OrderState.CANCELLED
            if not too_late and (same or await self._is_known(known, start, cancelled=cancelled, same=same)):
                return IntakeResult.DUPLICATE, known.id
            return await self._bury(
                start.payload,
                # A version is kept once, whatever brought it: webhook or backfill, created or updated.
                f"{known.id}:{start.digest}:{'cancelled' if cancelled else 'changed'}",
                DeadLetterReason.ORDER_CLOSED,
                f"The order {start.order_id} is complete here, and Clarity "
                + ("cancelled it." if too_late else "sent another version of it."),
                bury=bury,
            )
        # Terminated, cancelled, failed: told once per run; somebody decides.
        state = known.status.name.lower() if known.status else "unknown"
        return await self._bury(
            start.payload,
            f"{known.id}:{known.run_id}",
            DeadLetterReason.ORDER_ENDED,
            f"The workflow {known.id} is {state}. "
            f"Start it again: POST /orders/{self._pair.name}/{start.order_id}/restart",
            bury=bury,
        )

    async def _is_known(
        self, known: WorkflowExecutionDescription, start: OrderStart, *, cancelled: bool, same: bool
    ) -> bool:
        """Whether the order works on this version and knows of its cancellation. A query leaves nothing in its history.

        Where no worker answers, the memo tells: it has the first version.
        """
        handle = self._client.get_workflow_handle(known.id, run_id=known.run_id)
        try:
            view = await handle.query("state", result_type=OrderView, rpc_timeout=RPC_LIMIT)
        except (RPCError, WorkflowQueryFailedError):
            return same and not cancelled
        if cancelled:
            return view.cancelled_at_clarity or known.status is not WorkflowExecutionStatus.RUNNING
        return view.digest == start.digest if view.digest else same

    async def _bury(
        self, payload: object, webhook_id: str, reason: DeadLetterReason, explanation: str, *, bury: bool = True
    ) -> tuple[IntakeResult, str]:
        """Keep the event as a `DeadLetterWorkflow`; the same delivery is kept once. Without `bury`: only say why."""
        if not bury:
            return IntakeResult.DEAD_LETTER, explanation
        workflow_id = ids.dead_letter_workflow_id(self._pair.name, webhook_id)
        letter = DeadLetter(
            pair=self._pair.name,
            reason=reason,
            webhook_id=attributes.scalar(webhook_id),
            received_at=datetime.now(UTC),
            explanation=explanation,
            body=payload,
        )
        try:
            await self._client.start_workflow(
                "DeadLetterWorkflow",
                letter,
                id=workflow_id,
                task_queue=queues.ORDERS,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                search_attributes=TypedSearchAttributes([SearchAttributePair(attributes.PAIR, self._pair.name)]),
                static_summary=f"Dead letter: {reason.value}",
                static_details=explanation,
                rpc_timeout=RPC_LIMIT,
            )
            log.warning("Dead letter %s (%s)", workflow_id, reason.value, extra={"workflow_id": workflow_id})
        except WorkflowAlreadyStartedError:
            pass
        return IntakeResult.DEAD_LETTER, workflow_id


_retentions: WeakKeyDictionary[Client, tuple[float, timedelta]] = WeakKeyDictionary()
RETENTION_KNOWN_SECONDS = 600.0


async def retention_of(client: Client) -> timedelta:
    """How long the namespace remembers closed workflows; asked anew every ten minutes."""
    known = _retentions.get(client)
    if known is not None and monotonic() < known[0]:
        return known[1]
    request = DescribeNamespaceRequest(namespace=client.namespace)
    answer = await client.workflow_service.describe_namespace(request, timeout=RPC_LIMIT)
    retention: timedelta = answer.config.workflow_execution_retention_ttl.ToTimedelta()
    _retentions[client] = (monotonic() + RETENTION_KNOWN_SECONDS, retention)
    return retention


LONGEST_SUMMARY = 200 - len(EXPEDITED_MARK.encode())
"""Bytes; the server takes 200."""


def summary_of(payload: dict[str, Any], number: str) -> str:
    """`#W-10432 · 3 lines · 1,284.50 USD`, from the raw payload; no personal data."""
    body = payload.get("data")
    body = body if isinstance(body, dict) else {}
    items, totals = body.get("items"), body.get("totals")
    parts = [f"#{attributes.scalar(number)[:80]}"]
    if isinstance(items, list):
        parts.append("1 line" if len(items) == 1 else f"{len(items)} lines")
    grand = to_decimal(totals.get("grand")) if isinstance(totals, dict) else None
    if grand is not None:
        currency = body.get("currency")
        parts.append(f"{grand:,.2f} {currency[:3] if isinstance(currency, str) else ''}".strip())
    return attributes.scalar(" · ".join(parts)).encode()[:LONGEST_SUMMARY].decode(errors="ignore")


def _text(payload: dict[str, Any], name: str) -> str:
    body = payload.get("data")
    value = body.get(name) if isinstance(body, dict) else None
    return str(value).strip()[:64] if isinstance(value, str | int) and not isinstance(value, bool) else ""
