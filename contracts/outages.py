"""What the gates and the outage watch agree on: messages of `OutageWatchWorkflow`. Additive only."""

from datetime import datetime
from enum import StrEnum

from mappings.frozen import Frozen
from mappings.pair import Pace


class OutsideSystem(StrEnum):
    """What can be out, each with a queue of its own."""

    SAGE = "sage"
    """The gateway, on `sage-write-{pair}`."""
    ODBC = "odbc"
    """Sage's ODBC, on `sage-read-{pair}`."""
    CLARITY = "clarity"

    @property
    def watched_as(self) -> "OutsideSystem":
        """Whose watch it is: the gateway and ODBC are two ways into one Sage, and its outage is told once."""
        return OutsideSystem.SAGE if self is OutsideSystem.ODBC else self


AFFECTED: dict[OutsideSystem, str] = {
    OutsideSystem.SAGE: "no sales order or customer is created in Sage",
    OutsideSystem.ODBC: "Sage is not read: no new order goes on, and shipments are not seen",
    OutsideSystem.CLARITY: "Clarity is not told of orders, shipments and invoices",
}
"""What an outage means, in words for the alert."""


class OutageStart(Frozen):
    """Start argument of `OutageWatchWorkflow`."""

    pair: str
    system: OutsideSystem
    since: datetime
    """When the gate closed."""
    why: str = ""
    """The last error, without secrets."""
    pace: Pace


class WaitingOrders(Frozen):
    """`count_waiting_orders`."""

    pair: str
