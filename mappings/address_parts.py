"""What the modules of addresses share: an address before and after, the clean text, and what is said of it."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

from mappings.canonical import Address
from mappings.frozen import Frozen
from mappings.problems import Problem

CORRECT: Final = "Correct the address in Clarity."
MOST_LETTERS: Final = 400
"""A longer line is no line of an address: it stays as typed, and costs no time."""


class NormalisedAddress(Frozen):
    """An address as its country's post writes it. With problems it must not ship; its parts are then what was clear."""

    name: str
    company: str
    attention: str
    """`c/o …` and `Attn: …` that stood among the lines; several are joined by `, `."""
    lines: list[str]
    """At most three with `attention`."""
    city: str
    region: str
    """The code where the country's people write codes (US, CA, AU, BR, IN, IT), else as typed."""
    postal_code: str
    country: str
    """ISO 3166-1 alpha-2; empty when unknown. US for its territories."""
    problems: list[Problem] = []
    notes: list[str] = []
    """What was changed, for people: `line1: "5 Oak Street" → "5 Oak St"`."""
    remarks: list[str] = []
    """What is unusual and no problem, for people; said again whenever the address is read."""

    def as_address(self) -> Address:
        """The same as a canonical address, without phone."""
        line1, line2, line3 = three([*filter(None, [self.attention]), *self.lines])
        return Address(
            name=self.name,
            company=self.company,
            line1=line1,
            line2=line2,
            line3=line3,
            city=self.city,
            region=self.region,
            postal_code=self.postal_code,
            country=self.country,
        )


class Findings:
    """What normalising says beside its result."""

    def __init__(self, field: str) -> None:
        self.field = field
        self.problems: list[Problem] = []
        self.notes: list[str] = []
        self.remarks: list[str] = []

    def problem(self, part: str, message: str, suggestion: str = CORRECT) -> None:
        """Of one part of the address: it must not ship."""
        self.problems.append(Problem(field=f"{self.field}.{part}", message=message, suggestion=suggestion))

    def note(self, part: str, before: str, after: str) -> None:
        """Of a change, where there is one."""
        if before != after:
            self.notes.append(f'{part}: "{before}" → "{after}"')

    def remark(self, part: str, text: str) -> None:
        """Of what is unusual and right."""
        self.remarks.append(f"{part}: {text}")


_INVISIBLE: Final = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
"""Soft hyphens, zero-width blanks, marks of writing direction: not seen, but they make equal words unequal. Joiners,
which emoji and Indian scripts need, are not among them."""


def clean(text: str) -> str:
    """One line, single blanks, nothing invisible, no comma at either end."""
    visible = _INVISIBLE.sub("", text)
    plain = "".join(" " if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") else char for char in visible)
    return " ".join(plain.strip(" ,;").split()).strip(" ,;")


def three(lines: Sequence[str]) -> tuple[str, str, str]:
    """In three lines; the third takes what is over."""
    first, second = (*lines[:2], "", "")[:2]
    return first, second, ", ".join(lines[2:])
