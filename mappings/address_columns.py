"""A normalised address in the columns of Sage, by their lengths.

In: `NormalisedAddress`, the lengths. Out: `FittedAddress`. What is too long moves to the next line, then is abbreviated
(Publication 28, C1, C2 and G; what is abbreviated is in the notes), then is a problem: nothing is cut, no word is lost.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from mappings.address_parts import Findings, NormalisedAddress, three
from mappings.frozen import Frozen
from mappings.places import sage_country, spelling
from mappings.postal_words import BUSINESS_WORDS, CITY_WORDS, SUFFIX_WORDS, UNIT_WORDS, UNITS, bare, in_case_of
from mappings.problems import Problem
from mappings.recipients import is_marked, without_marker


class FittedAddress(Frozen):
    """An address in Sage's columns, uncut; `problems` are those of the lengths alone."""

    Name: str
    Address1: str
    Address2: str
    Address3: str
    City: str
    State: str
    """C2: the region where Sage has room for it; a longer one stands after the city, or on a line of its own."""
    ZipCode: str
    CountryCode: str
    """ISO 3166-1 alpha-3, as Sage stores it."""
    problems: list[Problem] = []
    notes: list[str] = []

    @property
    def columns(self) -> dict[str, str]:
        """By Sage's column, without its prefix (BillTo, ShipTo)."""
        return self.model_dump(exclude={"problems", "notes"})


STATE_LENGTH: Final = 2
"""Of ShipToState, BillToState and AR_Customer.State, in every release."""
_NO_LIMIT: Final = 1_000_000
_MOST_WORDS: Final = 200
"""More are no address, and would take seconds to lay out where a column has no limit."""
_ENGLISH_STREETS: Final = frozenset({"US", "CA", "GB", "IE", "AU", "NZ"})
_JOIN, _AT_COMMA, _IN_LINE, _WITHIN_UNIT = 3, 1, 5, 100
"""What a reader pays for two lines on one, and for a break after a comma or before a unit, elsewhere, inside a unit."""


def fit_address(address: NormalisedAddress, limits: Mapping[str, int], prefix: str, field: str) -> FittedAddress:
    """The address in the columns `{prefix}Name`, `{prefix}Address1`…; a column without a limit takes any length.

    The name is the company's, and the person's then an `Attn:` line. What is too long moves to the next line, then is
    abbreviated, then is a problem: nothing is cut. Only a name is abbreviated first, for it names the account too.
    """
    found = Findings(field)

    def limit_of(part: str) -> int:
        return limits.get(f"{prefix}{part}", _NO_LIMIT)

    lines = [*filter(None, [address.attention]), *address.lines]
    fields = [f"line{number}" for number in range(1, len(lines) + 1)]
    if address.company and address.name and not _says(address.attention, address.name, address.company):
        person = address.name if is_marked(address.name) else f"Attn: {address.name}"
        lines, fields = [person, *lines], ["name", *fields]
    name = _shortened(address.company or address.name, (BUSINESS_WORDS,), limit_of("Name"))
    state, city, region_line = _state_and_city(address, limit_of)
    if region_line:
        lines, fields = [*lines, region_line], [*fields, "region"]
    overflow = ""
    column_limits = [limit_of(f"Address{number}") for number in (1, 2, 3)]
    if len(name) > limit_of("Name"):
        name, overflow = _broken(name, limit_of("Name"))
    rows = _rows([*([overflow] if overflow else []), *lines], column_limits, address.country)
    if rows is None and overflow:
        name, overflow = f"{name} {overflow}", ""
        rows = _rows(lines, column_limits, address.country)
    if rows is None:
        rows = three(lines)
    found.note(f"{prefix}Name", address.company or address.name, name)
    found.note(f"{prefix}Address1..3", " | ".join(lines), " | ".join(filter(None, rows)))
    found.note(f"{prefix}City", address.city, city)
    fields += ["line1", "line2", "line3"][len(fields) :]
    company_or_name = "company" if address.company else "name"
    for part, clarity, value in (
        ("Name", company_or_name, name),
        *((f"Address{number}", fields[number - 1], rows[number - 1]) for number in (1, 2, 3)),
        ("City", "city", city),
        ("ZipCode", "postalCode", address.postal_code),
    ):
        if len(value) > limit_of(part):
            lines_remedy = ", or spread it over the address's three lines" if part.startswith("Address") else ""
            found.problem(
                clarity,
                f"{prefix}{part} has {len(value)} characters, Sage takes {limit_of(part)}",
                f"Shorten it in Clarity to {limit_of(part)} characters{lines_remedy}.",
            )
    return FittedAddress(
        Name=name,
        Address1=rows[0],
        Address2=rows[1],
        Address3=rows[2],
        City=city,
        State=state,
        ZipCode=address.postal_code,
        CountryCode=sage_country(address.country),
        problems=found.problems,
        notes=found.notes,
    )


def _says(attention: str, name: str, company: str) -> bool:
    """Whether the person is on the label already."""
    wanted = spelling(name)
    return wanted in (spelling(without_marker(attention)), spelling(company))


def _state_and_city(address: NormalisedAddress, limit_of: Callable[[str], int]) -> tuple[str, str, str]:
    """State, city, and a line for the region where neither has room for it."""
    region, limit = address.region, limit_of("City")
    city = _shortened(address.city, (CITY_WORDS,), limit)
    if len(region) <= min(limit_of("State"), STATE_LENGTH):
        return region, city, ""
    if spelling(region) == spelling(city):
        return "", city, ""
    both = f"{address.city}, {region}" if address.city else region
    return ("", both, "") if len(both) <= limit else ("", city, region)


def _shortened(text: str, tables: Sequence[Mapping[str, str]], limit: int) -> str:
    """Words abbreviated from the end on, as many as it takes."""
    words = text.split(" ")
    for place in range(len(words) - 1, -1, -1):
        if len(" ".join(words)) <= limit:
            break
        for table in tables:
            word = words[place].strip(".,").lower()
            if word in table and len(table[word]) < len(word):
                comma = "," if words[place].endswith(",") else ""
                words[place] = in_case_of(table[word], words[place].strip(".,")) + comma
                break
    return " ".join(words)


def _broken(text: str, limit: int) -> tuple[str, str]:
    """The words that fit, and the rest."""
    at = text.rfind(" ", 0, limit + 1)
    return (text[:at].rstrip(","), text[at + 1 :]) if at > 0 else (text, "")


def _rows(lines: Sequence[str], limits: Sequence[int], country: str) -> tuple[str, str, str] | None:
    """Every word in three rows, in order: as they are, else moved on, else joined, else abbreviated; None: no room."""
    if len(lines) <= 3 and all(len(line) <= limit for line, limit in zip(lines, limits, strict=False)):
        return three(lines)
    tables: list[Mapping[str, str]] = [BUSINESS_WORDS]
    if country in _ENGLISH_STREETS:
        tables = [UNIT_WORDS, {word: short for word, short in SUFFIX_WORDS.items() if len(word) > 5}, *tables]
    short = [_shortened(line, tables, 0) for line in lines]
    # Abbreviated lines of their own read better than parts of two lines on one.
    for texts, whole_lines, joined in (
        (lines, False, False),
        (lines, True, True),
        (short, False, False),
        (short, True, True),
        (lines, False, True),
        (short, False, True),
    ):
        if (rows := _laid_out(texts, limits, whole_lines=whole_lines, joined=joined)) is not None:
            return rows
    return None


class _Word(NamedTuple):
    text: str
    separator: str
    """Between the word before and this one, on one row."""
    break_cost: int
    """Of a new row before this word."""


def _laid_out(
    lines: Sequence[str], limits: Sequence[int], *, whole_lines: bool, joined: bool
) -> tuple[str, str, str] | None:
    """The rows of least cost; None when three do not hold the words. `joined`: a row may hold parts of two lines."""
    if sum(map(len, lines)) > sum(limits):
        return None
    words = [word for line in lines for word in ([_Word(line, ", ", 0)] if whole_lines else _words_of(line))]
    if len(words) > _MOST_WORDS:
        return None
    # Words placed so far → (cost, rows); row after row.
    best: dict[int, tuple[int, tuple[str, ...]]] = {0: (0, ())}
    for limit in limits:
        reached = {place: done for place, done in best.items() if place == len(words)}
        for start, (cost, rows) in best.items():
            row, joins = "", 0
            for place, word in enumerate(words[start:], start=start):
                if row and word.separator == ", ":
                    joins += _JOIN
                row += (word.separator if row else "") + word.text
                if len(row.rstrip(",")) > limit or (joins and not joined):
                    break
                after = words[place + 1] if place + 1 < len(words) else None
                total = cost + joins + (after.break_cost if after else 0)
                if place + 1 not in reached or total < reached[place + 1][0]:
                    reached[place + 1] = (total, (*rows, row.rstrip(",")))
        best = reached
    if len(words) not in best:
        return None
    first, second, third = (*best[len(words)][1], "", "", "")[:3]
    return first, second, third


def _words_of(line: str) -> list[_Word]:
    tokens = line.split(" ")
    words = [_Word(tokens[0], ", ", 0)]
    for place, (before, token) in enumerate(pairwise(tokens)):
        cost = _IN_LINE
        if place == 0 or before == "#" or bare(before) in UNITS or before.lower() in ("box", "po", "attn:", "c/o"):
            cost = _WITHIN_UNIT
        elif before.endswith(",") or token == "#" or bare(token) in UNITS:
            cost = _AT_COMMA
        words.append(_Word(token, " ", cost))
    return words
