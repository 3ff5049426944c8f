"""How an alert comes to people: the log at once, and a signal to the pair's `AlertWorkflow`.

In: `Alert`. Out: a line of the logger `alerts` (every alert, ungrouped: the complete record), and signal-with-start of
`alerts-{pair}`, by name. Used by everything that raises alerts.
"""

import logging
from collections import deque
from datetime import timedelta
from typing import Final

from temporalio.client import Client
from temporalio.common import SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError

from contracts import ids, queues
from contracts import search_attributes as attributes
from contracts.alerts import AlertStart
from contracts.messages import Alert, AlertSeverity
from mappings.pair import Pace

log = logging.getLogger(__name__)
alerts = logging.getLogger("alerts")

OWED_KEPT: Final = 1_000
"""Alerts that Temporal has not taken yet; beyond, the oldest are in the log only."""
KNOWN_KEPT: Final = 5_000
HANDED_AT_ONCE: Final = 50
"""Alerts of one turn: whoever hands them over has other work to do."""

LEVELS: Final = {
    AlertSeverity.INFO: logging.INFO,
    AlertSeverity.WARNING: logging.WARNING,
    AlertSeverity.HIGH: logging.ERROR,
}


def log_alert(alert: Alert) -> None:
    """One line of the logger `alerts`, where every log shipper can pick it up."""
    alerts.log(
        LEVELS[alert.kind.severity],
        "%s",
        " | ".join(part for part in (alert.title, alert.text, alert.workflow_id) if part),
        extra={"pair": alert.pair, "kind": alert.kind.value, "workflow_id": alert.workflow_id},
    )


async def signal_alert(client: Client, alert: Alert, pace: Pace) -> None:
    """Hand the alert to the pair's `AlertWorkflow`, starting it when none runs; raises RPCError."""
    await client.start_workflow(
        "AlertWorkflow",
        AlertStart(pair=alert.pair, pace=pace),
        id=ids.alert_workflow_id(alert.pair),
        task_queue=queues.ORDERS,
        start_signal="alert",
        start_signal_args=[alert],
        search_attributes=TypedSearchAttributes([SearchAttributePair(attributes.PAIR, alert.pair)]),
        static_summary=f"Alerts of pair {alert.pair}: groups and delivers them",
        rpc_timeout=timedelta(seconds=10),
    )


async def try_alert(client: Client, alert: Alert, pace: Pace) -> bool:
    """Log and hand over once; whether Temporal took it. For callers with work that no alert may stop."""
    log_alert(alert)
    return await _taken(client, alert, pace)


class OwedAlerts:
    """Alerts of one that works without end: each is logged once, and offered until Temporal has taken it."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._owed: deque[Alert] = deque(maxlen=OWED_KEPT)
        self._known: dict[str, None] = {}

    def add(self, alert: Alert) -> bool:
        """Owe it, unless this process has raised it before; whether it is new."""
        if alert.key in self._known:
            return False
        self._known[alert.key] = None
        if len(self._known) > KNOWN_KEPT:
            del self._known[next(iter(self._known))]
        log_alert(alert)
        self._owed.append(alert)
        return True

    async def hand_over(self, pace: Pace) -> None:
        """Some of what is owed; what Temporal does not take is offered again at the next turn."""
        for _ in range(min(len(self._owed), HANDED_AT_ONCE)):
            if not await _taken(self._client, self._owed[0], pace):
                return
            self._owed.popleft()


async def _taken(client: Client, alert: Alert, pace: Pace) -> bool:
    try:
        await signal_alert(client, alert, pace)
    except (RPCError, RuntimeError) as error:
        said = error.status.name if isinstance(error, RPCError) else type(error).__name__
        log.warning("An alert (%s) could not be handed over: %s", alert.kind.value, said)
        return False
    return True
