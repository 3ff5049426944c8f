"""Order statuses of both systems: Clarity's words, by the pair's `clarity.statuses`, and Sage's codes (sage100.md 1).

In: a status as it came. Out: a state, the other side's word for it, or a problem that names the value. Pure.
"""

from enum import StrEnum
from typing import Final

from mappings.clarity_profile import ClarityOrderState, ClarityProfile, ClarityStatuses
from mappings.problems import Problem


class SageOrderState(StrEnum):
    """What Sage's OrderStatus means, live and in history alike."""

    OPEN = "open"
    ON_HOLD = "on_hold"
    COMPLETE = "complete"
    CANCELLED = "cancelled"


LIVE: Final = {
    "N": SageOrderState.OPEN,
    "O": SageOrderState.OPEN,
    "C": SageOrderState.COMPLETE,
    "H": SageOrderState.ON_HOLD,
}
"""SO_SalesOrderHeader.OrderStatus."""
HISTORY: Final = {"A": SageOrderState.OPEN, "C": SageOrderState.COMPLETE, "X": SageOrderState.CANCELLED}
"""SO_SalesOrderHistoryHeader.OrderStatus; its quotes (Q, Z) are never ours."""

IN_SAGE: Final = {
    ClarityOrderState.PROCESSING: SageOrderState.OPEN,
    ClarityOrderState.ON_HOLD: SageOrderState.ON_HOLD,
    ClarityOrderState.SHIPPED: SageOrderState.COMPLETE,
    ClarityOrderState.COMPLETED: SageOrderState.COMPLETE,
    ClarityOrderState.CANCELLED: SageOrderState.CANCELLED,
}
"""Clarity's state → Sage's; an order whose payment is pending does not belong in Sage yet."""


def clarity_state(status: str, statuses: ClarityStatuses) -> ClarityOrderState | None:
    """What Clarity's status means at this site; case and outer spaces aside. Without a status: processing.

    None for a word that the pair does not know.
    """
    word = status.strip().casefold()
    return statuses.states.get(word) if word else ClarityOrderState.PROCESSING


def reason_not_to_start(status: str, statuses: ClarityStatuses) -> str:
    """Why an order that arrives in this status is only recorded; empty when it starts.

    An unknown status starts: the order is then held with `status_problem`, where a person sees it.
    """
    shown = status.strip()[:30]
    match clarity_state(status, statuses):
        case ClarityOrderState.SHIPPED | ClarityOrderState.COMPLETED | ClarityOrderState.CANCELLED:
            return f"it is already {shown} at Clarity"
        case ClarityOrderState.PENDING_PAYMENT | ClarityOrderState.ON_HOLD:
            return f"it is {shown} at Clarity, and starts when it comes in another status"
    return ""


def status_problem(status: str, profile: ClarityProfile) -> Problem | None:
    """The problem (hold `invalid_data`) of an order in a status that the pair does not know, or that says to wait.

    Such an order comes here when its status changes while it is on its way.
    """
    state = clarity_state(status, profile.statuses)
    if state in (ClarityOrderState.ON_HOLD, ClarityOrderState.PENDING_PAYMENT, ClarityOrderState.CANCELLED):
        return Problem(
            field="data.status",
            message=f"is {status.strip()[:64]}: the order must not go to Sage now.",
            suggestion="It goes on by itself when Clarity sends it in another status. Or cancel it here.",
        )
    if state is not None:
        return None
    return Problem(
        field="data.status",
        message=f"{status.strip()[:64]!r} is no order status that this pair knows.",
        suggestion="Add it under clarity.statuses.also in the pair file, to the state that it means (orders in a "
        "processing status go to Sage), or release with correct.",
    )


def sage_state(order_status: str, *, live: bool) -> SageOrderState | Problem:
    """What OrderStatus means: the live header's, or history's, which is another set of codes."""
    state = (LIVE if live else HISTORY).get(order_status.strip())
    if state is not None:
        return state
    table = "SO_SalesOrderHeader" if live else "SO_SalesOrderHistoryHeader"
    known = ", ".join(LIVE if live else HISTORY)
    return Problem(
        field=f"{table}.OrderStatus",
        message=f"{order_status.strip()[:20]!r} is no status of a web order in {table} (known: {known}).",
        suggestion="Look at the order in Sage: it may be a quote, or changed by a program of the site's.",
    )


def sage_state_of(state: ClarityOrderState) -> SageOrderState | None:
    """Sage's state for Clarity's; None where the order does not belong in Sage yet."""
    return IN_SAGE.get(state)


def clarity_status_of(state: SageOrderState, statuses: ClarityStatuses) -> str:
    """The status name by which this site's Clarity calls what Sage says."""
    match state:
        case SageOrderState.OPEN:
            return statuses.processing
        case SageOrderState.ON_HOLD:
            return statuses.on_hold
        case SageOrderState.COMPLETE:
            return statuses.shipped
        case SageOrderState.CANCELLED:
            return statuses.cancelled
