"""Numbers and text as every later step can carry them, whichever way a document came in: by webhook or from a list.

In: JSON as a parser made it. Out: plain JSON values. A number stays a number when a float carries it exactly (by its
shortest text), and becomes text otherwise, so that no penny is lost; the same document has the same content, and so
the same digest, on either way. Pure.
"""

from decimal import Decimal, InvalidOperation
from typing import Any

EXACT_DIGITS = 18
"""Integers up to this many characters stay integers."""


def exact_number(text: str) -> float | str:
    """A JSON fraction: a float where that is exact, else its text."""
    value = float(text)
    try:
        exact = Decimal(repr(value)) == Decimal(text)
    except InvalidOperation:
        exact = False
    return value if exact else text


def exact_integer(text: str) -> int | str:
    """A JSON integer; a very long one stays text."""
    return int(text) if len(text) <= EXACT_DIGITS else text


def storable(text: str) -> str:
    """Half surrogate pairs become U+FFFD: they cannot be stored."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def plain(value: Any) -> Any:
    """A document whose fractions were parsed as Decimal (`connectors.http`), in the form that a webhook's has."""
    if isinstance(value, dict):
        return {storable(str(key)): plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [plain(entry) for entry in value]
    if isinstance(value, Decimal):
        return exact_number(str(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return value if abs(value) < 10**EXACT_DIGITS and len(str(value)) <= EXACT_DIGITS else str(value)
    return storable(value) if isinstance(value, str) else value
