"""Who goes first where steps wait: the priority of an order, which all of its tasks inherit.

Priority orders what waits in a queue; the fairness key, the pair, shares a queue among stores. Neither orders attempts
that failed and wait for their next one: those wait outside of the queue.
"""

from enum import IntEnum

from temporalio.common import Priority


class PriorityKey(IntEnum):
    """Temporal's keys go from 1, first, to 5; what has none counts as 3."""

    EXPEDITED = 1
    NORMAL = 3
    BACKGROUND = 4
    """Customers and products in step: thousands at once when a pair begins, and no order waits for them."""


def priority_of(pair: str, *, expedited: bool) -> Priority:
    """Of an order of this pair."""
    return Priority(priority_key=PriorityKey.EXPEDITED if expedited else PriorityKey.NORMAL, fairness_key=pair)


def background(pair: str) -> Priority:
    """Of flows that let every order go before."""
    return Priority(priority_key=PriorityKey.BACKGROUND, fairness_key=pair)
