"""Task queues: one for workflows, and per pair one for each outside system, so that pace and outages stay apart."""

from collections.abc import Iterable
from typing import Final

ORDERS: Final = "orders"
"""Workflows, the local transform, and activities that only talk to Temporal."""


ALERTS: Final = "alerts"
"""Delivery of alerts: a channel that hangs takes no slot of an order."""


PROMOTION: Final = "promotion"
"""Steps of a promotion, in the process of `python -m workers promote`: never on workers that are being promoted."""


def sage_write(pair: str) -> str:
    """Writes to Sage's gateway: as many at once as the company has writer seats."""
    return f"sage-write-{pair}"


def sage_read(pair: str) -> str:
    """ODBC reads, the poller's shift among them."""
    return f"sage-read-{pair}"


def clarity(pair: str) -> str:
    """Calls to Clarity's API."""
    return f"clarity-{pair}"


def pair_of(queue: str) -> str:
    """The pair whose queue it is; for those of one pair only."""
    return queue.rpartition("-")[2]


def of_role(role: str, pairs: Iterable[str]) -> list[str]:
    """All queues of a role of `python -m workers`; raises KeyError for another word."""
    if role == "orders":
        return [ORDERS, ALERTS]
    of_pair = {"sage": [sage_read, sage_write], "clarity": [clarity]}[role]
    return [queue(pair) for pair in sorted(pairs) for queue in of_pair]
