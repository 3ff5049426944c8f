"""Masking card data before anything is stored (rules 5): nothing of a card may enter a workflow.

In: a payload as plain JSON. Out: the same with masked values, and how many were masked. Everything else is unchanged.
"""

import re
from typing import Any

MASK = "[masked]"
DIGIT_RUN = re.compile(r"[0-9]+(?:[ -][0-9]+)*", re.ASCII)
"""Groups of digits with single spaces or dashes between them; a card number is one or more whole groups."""
CARD_PREFIX = re.compile(r"^(4|5[1-5]|2[2-7]|3[47]|30[0-5]|36|38|39|6011|64[4-9]|65|62|35)")
CARD_FIELD = re.compile(
    r"^(cvv2?|cvc2?|cvn|csc|card_?security_?code|security_?code|card_?number|cc_?number|pan|primary_?account_?number"
    r"|track[12]?(_?data)?|magstripe|card_?verification(_?value)?|pin_?block)$",
    re.IGNORECASE,
)


def mask_card_numbers(value: Any) -> tuple[Any, int]:
    """The masked copy and the number of masked values."""
    if isinstance(value, dict):
        masked, count = {}, 0
        for key, entry in value.items():
            if CARD_FIELD.match(str(key)) and not isinstance(entry, dict | list) and entry not in (None, ""):
                masked[key], found = MASK, 1
            else:
                masked[key], found = mask_card_numbers(entry)
            clean_key, in_key = _mask_text(str(key))
            if in_key:
                masked[clean_key] = masked.pop(key)
            count += found + in_key
        return masked, count
    if isinstance(value, list):
        pairs = [mask_card_numbers(entry) for entry in value]
        return [entry for entry, _ in pairs], sum(count for _, count in pairs)
    if isinstance(value, str):
        return _mask_text(value)
    if isinstance(value, int) and not isinstance(value, bool) and is_card_number(str(value)):
        return MASK, 1
    if isinstance(value, float) and value.is_integer() and is_card_number(str(int(value))):
        return MASK, 1
    return value, 0


def _mask_text(text: str) -> tuple[str, int]:
    count = 0

    def replace(match: re.Match[str]) -> str:
        nonlocal count
        masked, found = _mask_run(match.group())
        count += found
        return masked

    return DIGIT_RUN.sub(replace, text), count


def _mask_run(run: str) -> tuple[str, int]:
    """Mask every card number in a run of digit groups, also when other numbers stand beside it."""
    groups = list(re.finditer(r"[0-9]+", run))
    for first, opening in enumerate(groups):
        digits = ""
        for group in groups[first:]:
            digits += group.group()
            if is_card_number(digits):
                rest, found = _mask_run(run[group.end() :])
                return run[: opening.start()] + MASK + rest, found + 1
    return run, 0


def is_card_number(digits: str) -> bool:
    """13–19 ASCII digits with a card prefix that pass the Luhn check (ISO/IEC 7812-1, annex B)."""
    if not (13 <= len(digits) <= 19 and digits.isascii() and digits.isdigit() and CARD_PREFIX.match(digits)):
        return False
    total = 0
    for position, character in enumerate(reversed(digits)):
        digit = int(character)
        if position % 2:
            digit = digit * 2 - 9 if digit > 4 else digit * 2
        total += digit
    return total % 10 == 0
