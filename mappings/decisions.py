"""What people decided on a held order, as far as the next look at it must know.

In: releases of holds. Out: `Decisions`, which `facts_from` and the create honour. A newer version of the order from
Clarity drops them all: nobody decided on that one.
"""

from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum

from mappings.frozen import Frozen
from mappings.sales_order import CustomerKey


class StockDecision(StrEnum):
    """What to do with an order that Sage cannot ship in full."""

    BACKORDER = "backorder"
    """The short lines wait, whole, until stock is there (QuantityBackordered = QuantityOrdered)."""
    SHIP_AVAILABLE = "ship_available"
    """What is there ships now; only the rest is back-ordered."""


class Side(StrEnum):
    """Which side's total wins when both differ."""

    SAGE = "sage"
    """Create at Sage's total; the difference is for accounting to settle with the buyer."""
    CLARITY = "clarity"
    """A rounding line makes Sage's total equal to what the buyer saw."""


class ItemDecision(Frozen):
    """The item that a person chose for one ordered item; holds as long as the item's SKU stays the same."""

    item_id: str
    sku: str
    ItemCode: str
    remember: bool = False
    """Keep it in Sage as a general alias (IM_AliasItem)."""


class Decisions(Frozen):
    """Everything decided so far."""

    approved: list[str] = []
    """Findings that a person has approved (`Finding.approvals`): they are not found again, and no others are passed."""
    items: list[ItemDecision] = []
    customer: CustomerKey | None = None
    remember_customer: bool = False
    """With `customer`: the buyer's later orders go to this account by themselves (our cross-reference at Clarity)."""
    create_customer: bool = False
    stock: StockDecision | None = None
    winner: Side | None = None
    difference: Decimal = Decimal(0)
    """Sage's total less Clarity's, of which `winner` was said; another difference is asked about again."""

    def item_for(self, item_id: str, sku: str) -> str:
        """The ItemCode chosen for an ordered item; empty without."""
        return next((one.ItemCode for one in self.items if (one.item_id, one.sku) == (item_id, sku)), "")

    def approve(self, findings: Iterable[str]) -> "Decisions":
        """The same, and these findings are approved."""
        return self.model_copy(update={"approved": list(dict.fromkeys([*self.approved, *findings]))})

    def choose_items(self, chosen: list[ItemDecision]) -> "Decisions":
        """The same, and the chosen items replace earlier choices for the same ordered items."""
        ids = {one.item_id for one in chosen}
        return self.model_copy(update={"items": [*(one for one in self.items if one.item_id not in ids), *chosen]})

    def with_customer(self, customer: CustomerKey, *, remember: bool = False) -> "Decisions":
        """The same, and this is the buyer's account; `remember` for later orders, too."""
        chosen = {"customer": customer, "remember_customer": remember, "create_customer": False}
        return self.model_copy(update=chosen)

    def after_correction(self) -> "Decisions":
        """What stays valid when support corrects the order: who and what, not how much."""
        return Decisions(
            items=self.items,
            customer=self.customer,
            remember_customer=self.remember_customer,
            create_customer=self.create_customer,
        )


UNDECIDED = Decisions()
"""Nobody decided anything yet."""
