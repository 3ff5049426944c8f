"""Webhooks that are refused and may have been Clarity's: counted, and told at most once an hour.

In: a refusal of a known pair. Out: at most one alert per pair, kind and hour of this process, with how many there were,
through the pair's `AlertWorkflow`. The answer to the sender never waits for it. A body over 1 MB is not read, so nobody
knows who sent it: strangers can cause that one alert an hour and nothing else. What was Clarity's is not lost by it:
backfill takes the order in, or names it in an alert of its own.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from temporalio.client import Client

from activities.alerting import try_alert
from contracts.messages import Alert, AlertKind
from mappings.pair import Pair

TOLD_EVERY_SECONDS: Final = 3_600.0
AGAIN_AFTER_SECONDS: Final = 60.0
"""When Temporal did not take the alert: with the first refusal after that."""


class Refusal(StrEnum):
    """Why."""

    TOO_LARGE = "too_large"
    """413; unsigned, as far as anybody knows."""
    NOT_JSON = "not_json"
    """400; the signature is right."""


WORDS: Final = {
    Refusal.TOO_LARGE: "larger than 1 MB (413). Who sent them is not known, as a signature is over the whole body; if "
    "it was Clarity, backfill takes the order in, or names it",
    Refusal.NOT_JSON: "signed, and no JSON object (400): look at what stands between Clarity and the API. Backfill "
    "takes the orders in",
}


class Refusals:
    """Of one process. `clock` counts seconds and never jumps."""

    def __init__(self, client: Client, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._client, self._clock = client, clock
        self.counts: Counter[tuple[str, Refusal]] = Counter()
        """Since they were last told."""
        self._quiet_until: dict[tuple[str, Refusal], float] = {}
        self._telling: set[asyncio.Task[None]] = set()

    def count(self, pair: Pair, refusal: Refusal) -> None:
        """One more; when it is time, people are told beside the answer."""
        key = (pair.name, refusal)
        self.counts[key] += 1
        if self._clock() < self._quiet_until.get(key, -math.inf):
            return
        # Until Temporal has answered, no second one is on its way.
        self._quiet_until[key] = math.inf
        task = asyncio.get_running_loop().create_task(self._tell(pair, refusal))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell(self, pair: Pair, refusal: Refusal) -> None:
        key = (pair.name, refusal)
        number, taken = self.counts[key], False
        alert = Alert(
            pair=pair.name,
            kind=AlertKind.WEBHOOK_REFUSED,
            workflow_id="",
            title=f"Webhooks of pair {pair.name}",
            text=f"{number} refused: {WORDS[refusal]}",
            occurrence=f"{refusal.value}:{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}",
        )
        try:
            taken = await try_alert(self._client, alert, pair.pace)
        finally:
            self._quiet_until[key] = self._clock() + (TOLD_EVERY_SECONDS if taken else AGAIN_AFTER_SECONDS)
            if taken:
                self.counts[key] -= number
