"""Asking the three systems about a customer, all at once and within seconds; nothing is kept.

In: a customer key, or what a search knows. Out: what each system told, and for each whether it did. Sage and Clarity
are asked through their queues by standalone activities, which are deleted from Temporal when they have answered: their
results hold a customer's facts. Temporal is asked by search attributes, and its newest open orders by query.
"""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, Final, TypeVar

from temporalio.api.workflowservice.v1 import DeleteActivityExecutionRequest
from temporalio.client import (
    ActivityFailureError,
    Client,
    WorkflowExecution,
    WorkflowExecutionStatus,
    WorkflowQueryFailedError,
)
from temporalio.exceptions import ApplicationError
from temporalio.exceptions import TimeoutError as ActivityTimeoutError
from temporalio.service import RPCError, RPCStatusCode

from activities.customer_view import CustomerReadActivities, WebCustomerReadActivities
from contracts import ids, queues, retry
from contracts import search_attributes as attributes
from contracts.customers import (
    PAGE,
    AccountRead,
    AccountsFound,
    FindAccounts,
    ReadAccount,
    ReadWebCustomers,
    WebCustomersRead,
)
from contracts.messages import OrderView
from mappings.customer_view import Source, Sources, SourceState, Told, WebOrder
from mappings.pair import Pair
from mappings.sales_order import CustomerKey
from mappings.web_customer import WebCustomer, read_customer

log = logging.getLogger(__name__)

ANSWER: Final = timedelta(seconds=2)
"""For one system to answer."""
MOST_ORDERS: Final = 50
"""Web orders of one customer that are listed, running ones first."""
MOST_QUERIES: Final = 10
"""Running orders that are asked for their details."""
TOLD: Final = Source(state=SourceState.TOLD)
TEMPORAL_SILENT: Final = Source(
    state=SourceState.UNAVAILABLE, detail=f"Temporal does not answer within {ANSWER.total_seconds():g} s"
)
TEMPORAL_AWAY: Final = (RPCError, RuntimeError, TimeoutError)
"""A lazy client that cannot connect raises RuntimeError."""
NOT_ASKED: Final = Source(state=SourceState.NOT_ASKED)

A = TypeVar("A")
R = TypeVar("R")


class CustomerSources:
    """One pair's systems."""

    def __init__(self, client: Client, pair: Pair) -> None:
        self._client = client
        self._pair = pair
        self._forgetting: set[asyncio.Task[None]] = set()

    async def ask_all(
        self, key: CustomerKey, *, page: int = PAGE, orders_before: str = "", invoices_before: str = ""
    ) -> tuple[Told, Sources]:
        """All three at once; a web customer whom only Sage names is asked for after that.

        Without Temporal nobody can be asked: then all three are unavailable.
        """
        request = ReadAccount(
            pair=self._pair.name,
            customer=key,
            page=page,
            orders_before=orders_before,
            invoices_before=invoices_before,
        )
        (read, sage), (bought, clarity), (orders, temporal, more) = await asyncio.gather(
            self.read_account(request), self._web_customers(str(key), []), self._orders_of(key)
        )
        account = read.account if read is not None else None
        customers = bought or []
        web_id = account.record.UDF_WEB_CUSTOMER_ID if account is not None else ""
        if web_id and web_id not in {one.clarity_id for one in customers} and clarity.state is SourceState.TOLD:
            named, clarity = await self._web_customers("", [web_id])
            customers = [*customers, *(named or [])]
        told = Told(account=account, web_customers=customers, web_orders=orders, web_orders_more=more)
        return told, Sources(sage=sage, clarity=clarity, temporal=temporal)

    # ---- Sage and Clarity -------------------------------------------------------------------------------------------

    async def read_account(self, request: ReadAccount) -> tuple[AccountRead | None, Source]:
        """One account of Sage's."""
        return await self._ask(CustomerReadActivities.read_account, request, queues.sage_read(self._pair.name))

    async def find_accounts(self, request: FindAccounts) -> tuple[AccountsFound | None, Source]:
        """Accounts by e-mail, name or sales order."""
        return await self._ask(CustomerReadActivities.find_accounts, request, queues.sage_read(self._pair.name))

    async def _web_customers(self, reference: str, ids_: Sequence[str]) -> tuple[list[WebCustomer] | None, Source]:
        request = ReadWebCustomers(pair=self._pair.name, reference=reference, ids=list(ids_))
        read: WebCustomersRead | None
        read, source = await self._ask(
            WebCustomerReadActivities.read_web_customers, request, queues.clarity(self._pair.name)
        )
        return None if read is None else [read_customer(body)[0] for body in read.customers], source

    async def _ask(self, activity: Callable[[Any, A], Awaitable[R]], request: A, queue: str) -> tuple[R | None, Source]:
        """One activity, one attempt, two seconds; then it is deleted, whatever became of it."""
        id_ = f"view-{self._pair.name}-{uuid.uuid4().hex}"
        try:
            result: R = await self._client.execute_activity_method(
                activity,
                request,
                id=id_,
                task_queue=queue,
                schedule_to_close_timeout=ANSWER,
                retry_policy=retry.ONE_ATTEMPT,
                rpc_timeout=ANSWER * 2,
            )
        except ActivityFailureError as error:
            return None, Source(state=SourceState.UNAVAILABLE, detail=why(error, queue))
        except TEMPORAL_AWAY:
            return None, TEMPORAL_SILENT
        finally:
            forgetting = asyncio.create_task(self._forget(id_))
            self._forgetting.add(forgetting)
            forgetting.add_done_callback(self._forgetting.discard)
        return result, TOLD

    async def _forget(self, id_: str) -> None:
        """Delete an activity with what it was asked and what it told."""
        request = DeleteActivityExecutionRequest(namespace=self._client.namespace, activity_id=id_)
        try:
            await self._client.workflow_service.delete_activity_execution(request, timeout=ANSWER)
        except TEMPORAL_AWAY as error:
            if not isinstance(error, RPCError) or error.status is not RPCStatusCode.NOT_FOUND:
                log.warning("Temporal keeps the activity %s until its retention ends: %s", id_, type(error).__name__)

    # ---- Temporal ---------------------------------------------------------------------------------------------------

    async def _orders_of(self, key: CustomerKey) -> tuple[list[WebOrder], Source, bool]:
        return await self.orders_where(f"CustomerNo='{attributes.scalar(str(key))}'")

    async def orders_where(self, condition: str) -> tuple[list[WebOrder], Source, bool]:
        """Web orders for which a visibility condition holds, running ones first; whether there are more of them."""
        query = f"WorkflowType='OrderFulfillmentWorkflow' AND Pair='{self._pair.name}' AND {condition}"
        found: list[WorkflowExecution] = []
        try:
            async with asyncio.timeout(ANSWER.total_seconds()):
                async for one in self._client.list_workflows(
                    query, limit=MOST_ORDERS + 1, page_size=MOST_ORDERS + 1, rpc_timeout=ANSWER
                ):
                    found.append(one)
        except TEMPORAL_AWAY:
            return [], TEMPORAL_SILENT, False
        more = len(found) > MOST_ORDERS
        listed = sorted(found[:MOST_ORDERS], key=lambda one: one.status is not WorkflowExecutionStatus.RUNNING)
        running = [one for one in listed if one.status is WorkflowExecutionStatus.RUNNING][:MOST_QUERIES]
        views = dict(
            zip(
                (one.id for one in running),
                await asyncio.gather(*(self._state_of(one.id) for one in running)),
                strict=True,
            )
        )
        return [web_order(self._pair.name, one, views.get(one.id)) for one in listed], TOLD, more

    async def _state_of(self, workflow_id: str) -> OrderView | None:
        """The order's own word; None when no worker answers in time: then the listing's attributes tell."""
        handle = self._client.get_workflow_handle(workflow_id)
        with contextlib.suppress(RPCError, WorkflowQueryFailedError):
            view: OrderView = await handle.query("state", result_type=OrderView, rpc_timeout=ANSWER)
            return view
        return None


def why(error: ActivityFailureError, queue: str) -> str:
    """What to tell a person."""
    cause = error.cause
    if isinstance(cause, ActivityTimeoutError):
        return f"nobody answered on the queue {queue} within {ANSWER.total_seconds():g} s: is its worker running?"
    return cause.message[:300] if isinstance(cause, ApplicationError) else str(cause or error)[:300]


def web_order(pair: str, listed: WorkflowExecution, view: OrderView | None) -> WebOrder:
    """An order as listed, with its own word where it gave one."""
    known = listed.typed_search_attributes
    order = WebOrder(
        order_id=ids.order_id_of(pair, listed.id) or listed.id,
        order_number=known.get(attributes.ORDER_NUMBER) or "",
        workflow_id=listed.id,
        status=listed.status.name.lower() if listed.status else "unknown",
        state=known.get(attributes.ORDER_STATE) or "",
        hold_reason=known.get(attributes.HOLD_REASON) or "",
        SalesOrderNo=known.get(attributes.SALES_ORDER_NO) or "",
        customer=known.get(attributes.CUSTOMER_NO) or "",
        started=listed.start_time,
    )
    if view is None:
        return order
    hold = view.hold
    return order.model_copy(
        update={
            "order_number": view.order_number or order.order_number,
            "state": view.state.value,
            "hold_reason": hold.reason.value if hold is not None else "",
            "hold": hold.hold if hold is not None else None,
            "held_since": hold.since if hold is not None else None,
            "actions": [action.value for action in hold.actions] if hold is not None else [],
            "waits_for": view.waits_for,
            "SalesOrderNo": view.sales_order_no or order.SalesOrderNo,
            "customer": view.customer_no or order.customer,
            "packages": view.packages,
            "invoices": view.invoices,
            "answered": True,
        }
    )
