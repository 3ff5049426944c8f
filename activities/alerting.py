"""How an alert comes to people: the log at once, and a signal to the pair's `AlertWorkflow`.

In: `Alert`. Out: a line of the logger `alerts` (every alert, ungrouped: the complete record), and signal-with-start of
`alerts-{pair}`, by name. Used by every activity that raises alerts.
"""

import logging
from datetime import timedelta
from typing import Final

from temporalio.client import Client
from temporalio.common import SearchAttributePair, TypedSearchAttributes

from contracts import ids, queues
from contracts import search_attributes as attributes
from contracts.alerts import AlertStart
from contracts.messages import Alert, AlertSeverity
from mappings.pair import Pace

alerts = logging.getLogger("alerts")

LEVELS: Final = {
    AlertSeverity.INFO: logging.INFO,
    AlertSeverity.WARNING: logging.WARNING,
    AlertSeverity.HIGH: logging.ERROR,
}


def log_alert(alert: Alert) -> None:
    """One line of the logger `alerts`, where every log shipper can pick it up."""
    alerts.log(
        LEVELS[alert.kind.severity],
        "%s | %s | %s",
        alert.title,
        alert.text,
        alert.workflow_id,
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
