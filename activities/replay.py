"""Taking a dead letter's event in again, corrected or not: `replay_event`, on the queue `orders`.

In: `ReplayEvent`. Out: `Replayed`. The same intake as the webhook's, except that what is refused again makes no second
dead letter. Repeating it is safe: the intake tells what was taken in already.
"""

from collections.abc import Mapping

from temporalio import activity
from temporalio.client import Client

from activities.intake import Intake, IntakeResult
from contracts.messages import Replayed, ReplayEvent
from mappings.intake import pair_of_currency
from mappings.pair import Pair

ACCEPTED = frozenset({IntakeResult.STARTED, IntakeResult.CHANGED, IntakeResult.DUPLICATE})
"""The event is where it belongs; an ignored one is not."""


class ReplayActivities:
    """`pairs` by name."""

    def __init__(self, pairs: Mapping[str, Pair], client: Client) -> None:
        self._pairs = pairs
        self._client = client

    @activity.defn
    async def replay_event(self, event: ReplayEvent) -> Replayed:
        """What became of the event."""
        if not isinstance(event.body, dict):
            return Replayed(accepted=False, result="refused", detail="the event is no JSON object")
        pair = pair_of_currency(event.body, self._pairs[event.pair], self._pairs)
        result, detail = await Intake(self._client, pair).take(
            event.body, event.webhook_id, forced=event.forced, bury=False
        )
        return Replayed(accepted=result in ACCEPTED, result=result.value, detail=detail)
