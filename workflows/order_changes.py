"""What the buyer or the store change after the order came: `OrderChanges`.

In: signals `clarity_order_changed`. Out: a newer version that is worked on, a cancellation, or an alert.
"""

from temporalio import workflow

from contracts.messages import (
    ClarityOrderChanged,
    EventType,
)
from mappings.decisions import Decisions
from mappings.intake import is_older
from mappings.payments import says_what_was_paid
from workflows.order_holds import OrderHolds


class OrderChanges(OrderHolds):
    """Later versions and cancellations from Clarity, before and after the sales order exists."""

    def outcome_known(self) -> None:
        """Sage has no order: what Clarity sent meanwhile counts now."""
        self.create_tried = False
        change, self.pending = self.pending, None
        if change is not None:
            self.take_change(change)

    @workflow.signal(description="From Clarity's webhooks: a later version of the order, or its cancellation")
    def clarity_order_changed(self, change: ClarityOrderChanged | None = None) -> None:
        """Before the sales order exists the new version is what gets created; afterwards people are told.

        While it is unknown whether Sage has the order (a create is under way), the change waits for that.
        """
        if change is None or not self.is_news_from_clarity(change):
            return
        self.cancelled_at_clarity |= change.event == EventType.ORDER_CANCELLED
        if self.sales_order_no:
            self.digest = change.digest
            self.tell_too_late(change.event)
        elif self.create_tried:
            self.pending = change
            self.note(f"Clarity sent {change.event} while Sage was creating the order; it counts once that is known")
        else:
            self.take_change(change)

    def is_news_from_clarity(self, change: ClarityOrderChanged) -> bool:
        """Not the version in force, not the first one delivered again, not one that a newer one has overtaken."""
        if change.event == EventType.ORDER_CANCELLED:
            return not self.cancelling and not self.stop_asked
        if change.digest == (self.pending.digest if self.pending is not None else self.digest):
            return False
        if change.event == EventType.ORDER_CREATED and change.digest == self.first_digest:
            return False
        if is_older(change.payload, self.pending.payload if self.pending is not None else self.payload):
            self.note("Clarity sent an older version of the order; the newer one stays")
            return False
        return self.pending is None or self.pending.event != EventType.ORDER_CANCELLED

    def take_change(self, change: ClarityOrderChanged) -> None:
        """Sage has no order: cancelled is cancelled, and a newer version replaces the one before."""
        self.digest = change.digest
        if change.event == EventType.ORDER_CANCELLED:
            self.stop_asked = "cancelled at Clarity before Sage knew the order"
            if says_what_was_paid(change.payload):
                self.payload = change.payload
            self.note("Clarity cancelled the order")
        else:
            self.payload, self.changed = change.payload, True
            self.decisions, self.resolved, self.answered_customer = Decisions(), None, None
            self.note("Clarity sent a newer version of the order; it replaces the one before")
        self.look_again(change.event)
