"""The metrics of the business, as Prometheus reads them; what each means stands in docs/telemetry.md.

In: what workers and API count. Out: families of `prometheus_client`. Labels have few values each (pair, state, reason,
system), and are never an order, a customer or an address. What is counted from Temporal's listings is in `api.metrics`.
Where PROMETHEUS_MULTIPROC_DIR is set, the processes of one machine count into one folder: the demo's `/metrics`.
"""

from enum import StrEnum
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from contracts.failures import FailureType
from contracts.outages import OutsideSystem


class WebhookResult(StrEnum):
    """What became of a delivery, beside the results of the intake (`activities.intake.IntakeResult`)."""

    REFUSED = "refused"
    """Not signed, not JSON, too large: the answer was 4xx."""
    UNAVAILABLE = "unavailable"
    """Temporal did not answer: 503, and Clarity sends it again."""


class DeliveryResult(StrEnum):
    """What became of an alert's message to one target."""

    DELIVERED = "delivered"
    FAILED = "failed"


WEBHOOKS: Final = Counter(
    "clarity_sage_webhooks", "Signed events from Clarity, by what became of them", ("pair", "result")
)

TIME_TO_SAGE: Final = Histogram(
    "clarity_sage_time_to_sage_seconds",
    "From the accepted webhook to the sales order in Sage; what a person held counts with its wait",
    ("pair",),
    buckets=(0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3_600, 14_400, 86_400, 604_800),
)

FAILURES: Final = Counter(
    "clarity_sage_step_failures",
    "Attempts of steps at an outside system that failed, by type of failure (contracts.failures)",
    ("pair", "system", "type"),
)
RETRIES: Final = Counter(
    "clarity_sage_step_retries", "Attempts of steps at an outside system beyond the first", ("pair", "system")
)
THROTTLED: Final = Counter(
    "clarity_sage_step_throttled",
    "Attempts that ended with 429, or were not made because the system had asked for silence",
    ("pair", "system"),
)
GATE_CLOSED: Final = Gauge(
    "clarity_sage_gate_closed",
    "1 while the queue of a system is not polled, as it does not answer or has its maintenance window",
    ("pair", "system"),
    multiprocess_mode="mostrecent",
)

SEATS: Final = Gauge("clarity_sage_seats", "Writers that a company has", ("company",), multiprocess_mode="mostrecent")
SEAT_SECONDS: Final = Counter(
    "clarity_sage_seat_busy_seconds",
    "Seconds in which writers of a company were at work, summed over its seats",
    ("company",),
)

LAST_POLL: Final = Gauge(
    "clarity_sage_last_poll_timestamp_seconds",
    "When the last poll of Sage that succeeded ended, and before the first one when the worker started (Unix time)",
    ("pair",),
    multiprocess_mode="mostrecent",
)
SHIPMENT_SIGNALS: Final = Counter(
    "clarity_sage_shipment_signals", "Signals to orders of what the poller saw in Sage", ("pair",)
)

ALERT_DELIVERIES: Final = Counter(
    "clarity_sage_alert_deliveries", "Messages of alerts to targets", ("pair", "severity", "result")
)


def start_at_zero(pair: str, system: OutsideSystem) -> None:
    """Show what was never counted as 0: of a counter that appears with its first event, Prometheus sees no increase."""
    RETRIES.labels(pair, system.value)
    THROTTLED.labels(pair, system.value)
    for failure in FailureType:
        if failure is not FailureType.HANDOVER:
            FAILURES.labels(pair, system.value, failure.value)
