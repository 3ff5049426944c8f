"""Customers whose webhook never came: Clarity's list of what changed, through the same intake as the webhook.

In: since when. Out: how many were started. Runs on `clarity-{pair}`; one instance per pair. A run of
`CustomerSyncWorkflow` that began after a change has read it: such a change is known, whatever brought it.
"""

from datetime import datetime, timedelta

from temporalio import activity
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.customer_intake import RPC_LIMIT, sync_customer
from connectors.clarity.client import ClarityClient
from contracts import ids
from contracts.customers import FIRST_CUSTOMERS, CatchUpCustomers, CustomersCaughtUp
from mappings.customer_match import web_customer_id
from mappings.pair import Pair
from mappings.web_customer import WebCustomer, read_customer

MOST_PAGES = 200
"""Of one run; the next one begins where this one ended."""


class CustomerCatchUp:
    """One store's changed customers."""

    def __init__(self, pair: Pair, clarity: ClarityClient, client: Client) -> None:
        self._pair = pair
        self._clarity = clarity
        self._client = client

    @activity.defn
    async def catch_up_customers(self, request: CatchUpCustomers) -> CustomersCaughtUp:
        """Everything that changed since; what is younger than the webhook's grace is left to its webhook."""
        young = request.now - timedelta(seconds=self._pair.pace.webhook_grace)
        listed = started = 0
        first: list[str] = []
        for page in range(MOST_PAGES):
            bodies = await self._clarity.list_customers(request.since, page)
            if bodies is None:
                break
            for body in bodies:
                customer = read_customer(body)[0]
                listed += 1
                if customer.updated is None or customer.updated > young or await self._is_known(customer):
                    continue
                await sync_customer(self._client, self._pair, customer.clarity_id, "")
                started, first = started + 1, [*first, customer.clarity_id][:FIRST_CUSTOMERS]
            activity.heartbeat()
            if len(bodies) < self._clarity.page_size:
                break
        # The list moves while it is read: each window overlaps the last one, and what is known costs one look.
        overlap = timedelta(seconds=self._pair.pace.backfill_overlap)
        return CustomersCaughtUp(
            listed=listed, started=started, started_ids=first, next_since=max(request.since, young - overlap)
        )

    async def _is_known(self, customer: WebCustomer) -> bool:
        """Whether a run has begun since the change; guests, and ids that name nobody, are nobody's change."""
        if not web_customer_id(customer.clarity_id, self._pair) or not ids.is_order_id(customer.clarity_id):
            return True
        workflow_id = ids.customer_sync_workflow_id(self._pair.name, customer.clarity_id)
        try:
            known = await self._client.get_workflow_handle(workflow_id).describe(rpc_timeout=RPC_LIMIT)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise
        return _is_after(known.start_time, customer.updated)


def _is_after(began: datetime, changed: datetime | None) -> bool:
    return changed is not None and began >= changed
