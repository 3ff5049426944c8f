"""Task queues: one for workflows, and per pair one for each outside system, so that pace and outages stay apart."""

from typing import Final

ORDERS: Final = "orders"
"""Workflows, the local transform, and activities that only talk to Temporal."""


ALERTS: Final = "alerts"
"""Delivery of alerts: a channel that hangs takes no slot of an order."""


def sage_write(pair: str) -> str:
    """Writes to Sage's gateway: as many at once as the company has writer seats."""
    return f"sage-write-{pair}"


def sage_read(pair: str) -> str:
    """ODBC reads, the poller's shift among them."""
    return f"sage-read-{pair}"


def clarity(pair: str) -> str:
    """Calls to Clarity's API."""
    return f"clarity-{pair}"
