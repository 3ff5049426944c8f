"""Masking card data before anything is stored (rules 5): nothing of a card may enter a workflow.

In: a payload as plain JSON. Out: the same with masked values, and how many were masked. Everything else is unchanged.
"""

import re
from typing import Any

MASK = "[masked]"
SEPARATORS = " \u00a0\u2007\u2009\u202f\u2010\u2011\u2013\u2212-"
"""Space and dash, and what word processors make of them."""
DIGITS = re.compile(r"[0-9]+", re.ASCII)
DIGIT_RUN = re.compile(rf"[0-9]+(?:[{SEPARATORS}][0-9]+)*", re.ASCII)
"""Groups of digits with one separator between them; a card number is one or more whole groups."""
LONGEST = 19
CARD_PREFIX = re.compile(r"^(4|5[1-5]|2[2-7]|3[47]|30[0-5]|36|38|39|6011|64[4-9]|65|62|35)")
CARD_FIELD = re.compile(
    r"(credit|debit|payment)?(card|cc)(number|num|no|pan|cvv2?|cvc2?|cvn|csc|securitycode|verification)(value|code)?"
    r"|(cvv2?|cvc2?|cvn|csc|securitycode|pan|primaryaccountnumber|track[123]?(data)?|magstripe|pinblock)(value|code)?"
)
"""The name in small letters, without underscores and dashes."""


def mask_card_numbers(value: Any) -> tuple[Any, int]:
    """The masked copy and the number of masked values."""
    if isinstance(value, dict):
        masked, count = {}, 0
        for key, entry in value.items():
            if _is_card_field(str(key)) and not isinstance(entry, dict) and entry not in (None, "", []):
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
    if isinstance(value, int) and not isinstance(value, bool) and is_card_number(str(abs(value))):
        return MASK, 1
    if isinstance(value, float) and value.is_integer() and is_card_number(str(abs(int(value)))):
        return MASK, 1
    return value, 0


def _is_card_field(name: str) -> bool:
    return CARD_FIELD.fullmatch("".join(character for character in name.lower() if character.isalnum())) is not None


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
    groups = list(DIGITS.finditer(run))
    parts: list[str] = []
    first = copied = count = 0
    while first < len(groups):
        after = _after_card(groups, first)
        if after:
            parts += [run[copied : groups[first].start()], MASK]
            copied = groups[after - 1].end()
            count += 1
        first = after or first + 1
    return "".join([*parts, run[copied:]]), count


def _after_card(groups: list[re.Match[str]], first: int) -> int:
    """The group after the card number that begins with group `first`; 0 when none does."""
    digits = ""
    for after, group in enumerate(groups[first : first + LONGEST], start=first + 1):
        digits += group.group()
        if digits[0] not in "23456":
            break
        if is_card_number(digits):
            return after
        if len(digits) >= LONGEST:
            break
    return 0


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
