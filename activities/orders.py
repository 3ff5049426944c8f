"""Steps of an order that touch no outside system: the transform, asking for the customer, raising an alert.

In: messages of `contracts.messages`. Out: likewise. Runs on the queue `orders`.
"""

from collections.abc import Mapping
from datetime import timedelta

from temporalio import activity
from temporalio.client import Client
from temporalio.common import SearchAttributePair, TypedSearchAttributes

from activities.alerting import log_alert, signal_alert
from activities.expediting import expedite
from contracts import ids, queues
from contracts import search_attributes as attributes
from contracts.messages import Alert, CustomerRequest, TransformRequest
from contracts.priorities import PriorityKey
from mappings.pair import Pace, Pair
from mappings.sales_order import Transformed
from mappings.transform import transform


class OrderActivities:
    """`pairs` by name; `match_key_secrets` by pair, the keys of the hashes in customer workflow ids."""

    def __init__(self, pairs: Mapping[str, Pair], match_key_secrets: Mapping[str, bytes], client: Client) -> None:
        self._pairs = pairs
        self._match_key_secrets = match_key_secrets
        self._client = client

    @activity.defn
    def transform_order(self, request: TransformRequest) -> Transformed:
        """Clarity's payload → Sage draft or problems. Pure: no call, no clock."""
        return transform(request.payload, self._pairs[request.pair])

    @activity.defn
    async def request_customer(self, request: CustomerRequest) -> None:
        """Attach the order to its buyer's `CustomerResolutionWorkflow`, starting it when none runs.

        Signal-with-start, because several orders of one new buyer may come in the same second and must make one
        account; each is answered by signal `customer_resolved`. The search goes as the order goes: one that runs
        already is expedited with the first expedited order that attaches.
        """
        pair, search, priority = request.start.pair, request.start.search, activity.info().priority
        resolution = await self._client.start_workflow(
            "CustomerResolutionWorkflow",
            request.start,
            id=ids.customer_workflow_id(pair, search.match_key, self._match_key_secrets[pair]),
            task_queue=queues.ORDERS,
            start_signal="attach",
            start_signal_args=[request.order_workflow_id, search],
            search_attributes=TypedSearchAttributes([SearchAttributePair(attributes.PAIR, pair)]),
            static_summary="One new buyer: look again, create once, answer every waiting order",
            priority=priority,
            rpc_timeout=timedelta(seconds=10),
        )
        if priority.priority_key == PriorityKey.EXPEDITED:
            await expedite(self._client, pair, resolution.id)

    @activity.defn
    async def raise_alert(self, alert: Alert) -> None:
        """Tell people: in the log at once, and through `AlertWorkflow`, which groups and delivers."""
        if activity.info().attempt == 1:
            log_alert(alert)
        pair = self._pairs.get(alert.pair)
        await signal_alert(self._client, alert, pair.pace if pair else Pace())
