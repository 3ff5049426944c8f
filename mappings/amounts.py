"""Amounts as Sage keeps them."""

from decimal import ROUND_HALF_UP, Decimal


def cents(amount: Decimal) -> Decimal:
    """Two decimals (N 12.2); halves round away from zero."""
    return amount.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)
