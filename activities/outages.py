"""What the outage watch needs to know: how many orders wait.

In: a pair. Out: a number, by visibility. Runs on the queue `orders`.
"""

from datetime import timedelta

from temporalio import activity
from temporalio.client import Client

from contracts.outages import WaitingOrders
from contracts.search_attributes import ORDER_STATE, PAIR, OrderState


class OutageActivities:
    """Asks Temporal."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @activity.defn
    async def count_waiting_orders(self, request: WaitingOrders) -> int:
        """Orders of the pair that have been received and are not yet in Sage and acknowledged."""
        query = (
            f"{PAIR.name}='{request.pair}' AND {ORDER_STATE.name}='{OrderState.RECEIVED.value}' "
            "AND ExecutionStatus='Running'"
        )
        return (await self._client.count_workflows(query, rpc_timeout=timedelta(seconds=10))).count
