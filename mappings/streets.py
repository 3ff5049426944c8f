"""One line of an address in the US or Canada → the same line by its post's standard.

In: clean text. Out: text of the same information: a word is left as it was typed, or written as its standard form, and
only where its position is clear. Writing twice changes nothing. Paragraphs are those of USPS Publication 28.

- 234, C1: a suffix ends the street's name, before a directional or a unit. `12 St Johns Lane` becomes `12 St Johns
  Ln`; `Avenue of the Americas` stays.
- 233: a directional stands before a name of its own or after the suffix; North stays in `North Street`, and in the name
  of a state (`North Carolina Ave`). Two of them are one (`NE`), but never north with south or east with west.
- 213, 285, C2: a unit has its number and nothing after it that is none; `Suite 5 Salon` stays.
- 24, 25, 28, 29, 225: routes, boxes, Puerto Rico, military addresses.
- Canada: the same, with Canada Post's words. Other countries' lines stay as they were typed.
- Case: letters stay as typed. An abbreviation takes the case of the word it replaces (STREET → ST, street → st);
  directionals, PO, RR, HC, PSC and CMR are capitals.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from mappings.address_parts import MOST_LETTERS, clean
from mappings.postal_words import (
    CANADIAN_TYPES,
    CANADIAN_UNITS,
    COUNTED_UNITS,
    DIRECTIONALS,
    FRENCH_DIRECTIONS,
    FRENCH_TYPES,
    LONE_UNITS,
    NUMBER_WORDS,
    ORDINALS,
    PUERTO_RICO,
    STREET_SUFFIXES,
    THOROUGHFARES,
    UNITS,
    bare,
    in_case_of,
    short,
)


class _Words(NamedTuple):
    """The words of one country's streets."""

    suffixes: Mapping[str, str]
    units: Mapping[str, str]
    lone_units: Mapping[str, str]
    openers: Mapping[str, str] = {}
    """Words that begin a line before a name of their own."""
    is_canadian: bool = False


_US: Final = _Words(STREET_SUFFIXES, UNITS, LONE_UNITS)
_PUERTO_RICO: Final = _Words(
    STREET_SUFFIXES, {**UNITS, "apartamento": "Apt", "apto": "Apt"}, LONE_UNITS, openers=PUERTO_RICO
)
_CANADA: Final = _Words(CANADIAN_TYPES, CANADIAN_UNITS, {}, is_canadian=True)


def standard_line(line: str, country: str, *, puerto_rico: bool = False) -> str:
    """As the country's post writes it; as typed where a second look would read it otherwise."""
    if len(line) > MOST_LETTERS:
        return line
    written = _standard(line, country, puerto_rico)
    return written if written == line or _standard(written, country, puerto_rico) == written else line


def _standard(line: str, country: str, puerto_rico: bool) -> str:
    if country == "US":
        words = _PUERTO_RICO if puerto_rico else _US
        return _general_delivery(_american_route(_street_line(_american_box(_boxes(line)), words)))
    if country == "CA":
        return _route(_canadian_box(_street_line(_boxes(line), _CANADA)), _CANADIAN_ROUTES)
    return line


# ---- boxes ----------------------------------------------------------------------------------------------------------

_PO_BOX: Final = re.compile(
    r"(?i)(?<![\w.])(?:(?P<long>p\.?\s?o\.?\s?|post\s+office\s+)bo?x\b|p\.?o\.?b\b)[.:]?\s*"
    r"(?:#\s*|(?:no\b\.?|number\b)\s*(?=#?\d)#?\s*)?(?=[^\W_])"
)
_DRAWER: Final = re.compile(
    r"(?i)(?:p\.?\s?o\.?\s+(?:drawer|caller|bin|lock\s?box)|post\s+office\s+drawer|drawer|(?:firm\s+)?caller|bin"
    r"|lock\s?box)\s*(?:#|no\b\.?)?\s*(\d[\w-]*|(?<=drawer )[a-z])"
)
_STATION: Final = re.compile(r"(?i)^((?:po|cp) (?:box )?[\w-]+,? )station(?= \w+$)")


def _boxes(line: str) -> str:
    """281: `PO Box 4`, however it was spelt. Of `POB` only when a number follows."""

    def written(found: re.Match[str]) -> str:
        if not found["long"] and not re.match(r"\d", line[found.end() :]):
            return found[0]
        return "PO BOX " if found["long"] and found[0].isupper() else "PO Box "

    return _PO_BOX.sub(written, line)


def _american_box(line: str) -> str:
    """283: Drawer, Caller, Firm Caller, Bin and Lockbox are `PO Box`, where they are the whole line."""
    if drawer := _DRAWER.fullmatch(line):
        return f"{'PO BOX' if line.isupper() else 'PO Box'} {drawer[1]}"
    return line


def _canadian_box(line: str) -> str:
    """Canada Post: `PO Box 12 Stn A`; in French `CP 12`."""
    line = re.sub(r"(?i)^c\.\s?p\.\s*(?=\d)", "CP ", line)
    return _STATION.sub(lambda found: found[1] + ("STN" if found[0].isupper() else "Stn"), line)


# ---- routes ---------------------------------------------------------------------------------------------------------

_BOX: Final = r"[\s,]+(?:box|bx)\b[.:]?\s*(?:\#|no\b\.?|number\b)?\s*(?P<of>[^\W_][\w-]*)"
_BOX_OR_SIGN: Final = r"(?:[\s,]+(?:box|bx)\b[.:]?\s*(?:\#|no\b\.?|number\b)?|[\s,]*\#)\s*(?P<of>[^\W_][\w-]*)"
_NUMBER: Final = r"\s*(?:\#|no\b\.?)?\s*0*(?P<number>\d+[a-z]?)\b"
_RURAL: Final = r"rural\s+(?:route|rte|rt)\b\.?|(?:r\.?\s?f\.?\s?d\.?|r\.?\s?r\.?)(?:\s+(?:route|rte)\b\.?)?"
_CONTRACT: Final = r"highway\s+contract(?:\s+(?:route|rte))?\b\.?|h\.?\s?c\.?\s?r?\b\.?|star\s+(?:route|rte)\b\.?"


def _routes(*patterns: tuple[str, str]) -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((code, re.compile(rf"(?i)^(?:{pattern})(?P<rest>.*)$")) for code, pattern in patterns)


_AMERICAN_ROUTES: Final = _routes(
    ("RR", rf"(?:{_RURAL}){_NUMBER}(?:{_BOX_OR_SIGN})?"),
    ("RR", rf"(?:r\.?d\.?){_NUMBER}{_BOX_OR_SIGN}"),
    ("RR", rf"(?:route|rte|rt)\b\.?{_NUMBER}{_BOX}"),
    ("HC", rf"(?:{_CONTRACT}){_NUMBER}{_BOX_OR_SIGN}"),
    ("PSC", rf"p\.?s\.?c\b\.?{_NUMBER}{_BOX}"),
    ("CMR", rf"c\.?m\.?r\b\.?{_NUMBER}{_BOX}"),
    ("Unit", rf"unit\b{_NUMBER}{_BOX}"),
)
_CANADIAN_ROUTES: Final = _routes(("RR", rf"(?:{_RURAL}){_NUMBER}(?:{_BOX})?"))


def _american_route(line: str) -> str:
    return _route(line, _AMERICAN_ROUTES)


def _route(line: str, routes: Sequence[tuple[str, re.Pattern[str]]]) -> str:
    """241, 251, 225: `RR 2 Box 15`, `HC 68 Box 23A`, `PSC 802 Box 74`, `CMR 4 Box 3`, `Unit 20 Box 9`.

    242, 252: no leading zero. 244: RFD and RD are RR. 241, 251: a number sign stands for Box.
    """
    for code, pattern in routes:
        if route := pattern.match(line):
            written = f"{in_case_of(code, line.split(maxsplit=1)[0]) if code == 'Unit' else code} {route['number']}"
            if route["of"]:
                written += f" {'BOX' if 'BOX' in line[: route.start('of')] else 'Box'} {route['of']}"
            rest = route["rest"]
            return written + (rest if rest[:1] in ("", " ", ",") else f" {rest}")
    return line


def _general_delivery(line: str) -> str:
    """261: spelt out."""
    if re.fullmatch(r"(?i)gen(?:eral|\.)?\s+del(?:ivery|\.)?", line) and line.lower() != "general delivery":
        return in_case_of("General Delivery", line)
    return line


# ---- lines and segments ---------------------------------------------------------------------------------------------


def _street_line(line: str, words: _Words) -> str:
    """Segments between commas, each by itself; before a unit the comma goes (213)."""
    parts = re.split(r"\s*([,;])\s*", line)
    written, ends_clearly, separator = "", False, ""
    for place, part in enumerate(parts):
        if place % 2:
            separator = separator or part
            continue
        if not (segment := clean(part)):
            continue
        text, is_unit, is_clear = _segment(segment.split(" "), words)
        written += (" " if is_unit and ends_clearly else f"{separator} " if separator else "") if written else ""
        written += text
        ends_clearly, separator = is_clear, ""
    return written


def _segment(tokens: Sequence[str], words: _Words) -> tuple[str, bool, bool]:
    """As the standard writes it; whether it is a unit; whether it ends clearly, in a suffix or a unit."""
    units, end = _units(tokens, 0, words, _EVERY)
    if units and end == len(tokens):
        # 215: a box is an address of its own, no part of the street's.
        is_box = units[0].upper() == "PO"
        return " ".join(units), not is_box, not is_box
    if house := _house(tokens):
        street, is_clear = _street(tokens, house, words)
        return " ".join(street), False, is_clear
    written = list(tokens)
    for place in range(1, len(tokens)):
        if _is_plain_unit(tokens, place, words):
            units, end = _units(tokens, place, words, _NONE)
            if end == len(tokens):
                written[place:] = units
                break
    if len(written) > 1 and (opener := words.openers.get(bare(written[0]))):
        written[0] = in_case_of(opener, written[0])
    return " ".join(written), False, False


_HOUSE: Final = re.compile(
    r"\d+[A-Za-z]?|\d+-\d+[A-Za-z]?|\d+-[A-Za-z]|\d+[½¼¾]|[NSEW]\d+[NSEW]\d+|\d+[NSEW]\d+|\d+/\d+[A-Za-z]?"
)
_FRACTION: Final = re.compile(r"\d/\d|[½¼¾]")
_GRID_HALF: Final = re.compile(r"[NSEW]\d+")


def _house(tokens: Sequence[str]) -> int:
    """How many words are the house number (D1 to D4): `350`, `10 1/2`, `N6 W23001`, `Eleven`; 0: there is none."""
    if len(tokens) > 2 and _GRID_HALF.fullmatch(tokens[0]) and _GRID_HALF.fullmatch(tokens[1]):
        return 2
    if _HOUSE.fullmatch(tokens[0]):
        return 2 if len(tokens) > 1 and _FRACTION.fullmatch(tokens[1]) else 1
    return 1 if tokens[0].lower() in NUMBER_WORDS and len(tokens) > 2 else 0


def _street(tokens: Sequence[str], house: int, words: _Words) -> tuple[list[str], bool]:
    """House number, street and units; and whether it ends clearly, in a suffix or a unit."""
    end, units = len(tokens), []
    for place in range(house + 1, len(tokens)):
        name = tokens[house:place]
        found, after = _units(tokens, place, words, _lone_units_after(name, words))
        if found and (after == len(tokens) or _ends_in_suffix(name, words)):
            end, units = place, [*found, *tokens[after:]]
            break
    name = tokens[house:end]
    if not name:
        return list(tokens), False
    if tokens[0].lower() in NUMBER_WORDS and not _ends_in_suffix(name, words, THOROUGHFARES):
        # `One Stop Center` is a shop, `One Main Street` an address.
        return list(tokens), False
    street, is_clear = _street_name(name, words)
    return [*tokens[:house], *street, *units], is_clear or bool(units)


def _ends_in_suffix(
    name: Sequence[str], words: _Words, suffixes: frozenset[str] | Mapping[str, str] | None = None
) -> bool:
    """Whether a suffix ends a name of its own, with or without a directional."""
    known = words.suffixes if suffixes is None else suffixes
    last = len(name) - 1
    while last > 1 and bare(name[last]) in DIRECTIONALS:
        last -= 1
    return last > 0 and bare(name[last]) in known


# ---- units ----------------------------------------------------------------------------------------------------------

_NONE: Final[frozenset[str]] = frozenset()
_EVERY: Final = frozenset(LONE_UNITS)
_HARDLY_NAMES: Final = frozenset(("rear", "basement", "bsmt", "lobby", "lbby", "penthouse", "ph"))
"""Units without a number that are hardly the name of a street."""
_NUMBERED: Final = frozenset(("penthouse", "ph", "office", "ofc"))
"""Those of them that may have one."""
_PLAIN: Final = frozenset(("apartment", "apt", "suite", "ste", "unit", "room", "rm", "apartamento", "apto"))
"""Units that are clear even where the line is no street."""
_IDENTIFIER: Final = re.compile(r"#?(?:[A-Za-z]{0,2}-?\d[\w/-]*|[A-Za-z])\.?")
_GLUED: Final = re.compile(r"(?i)([a-z]+)(?:[.:]?#+|[.:]|-(?=\d)|(?=\d))([^\W_][\w/-]*)")
_NUMBER_SIGN: Final = re.compile(r"#((?=[\w/-]*\d)[^\W_][\w/-]*|[A-Za-z]{1,2})\.?")
_ORDINAL: Final = re.compile(r"(?i)\d+(?:st|nd|rd|th)")


def _lone_units_after(name: Sequence[str], words: _Words) -> frozenset[str]:
    """Which units need no number after this name of a street."""
    if _ends_in_suffix(name, words, THOROUGHFARES):
        return _EVERY
    return _HARDLY_NAMES if _ends_in_suffix(name, words) or bare(name[-1]) in DIRECTIONALS else _NONE


def _identifier(token: str) -> str:
    """The number or letter of a unit without its sign; empty where it is none."""
    if token.lower() in NUMBER_WORDS:
        return token
    return token.strip("#.") if _IDENTIFIER.fullmatch(token) else ""


def _is_plain_unit(tokens: Sequence[str], place: int, words: _Words) -> bool:
    """An apartment, suite, unit or room with a number."""
    found, end = _unit(tokens, place, words, _NONE) or ([], place)
    designator = re.match(r"[A-Za-z]*", tokens[place])
    return (
        designator is not None
        and designator[0].lower() in _PLAIN
        and any(char.isdigit() for token in tokens[place:end] for char in token)
        and bool(found)
    )


def _units(tokens: Sequence[str], place: int, words: _Words, lone: frozenset[str]) -> tuple[list[str], int]:
    """Units from here on, by their abbreviations, and the place after them; `lone`: those that need no number here."""
    written: list[str] = []
    punctuation = ("-", "–", "/")
    if tokens[place] in punctuation and 0 < place < len(tokens) - 1 and tokens[place + 1] not in punctuation:
        # 222: punctuation between the street and its unit.
        written, end = _units(tokens, place + 1, words, lone)
        return (written, end) if written else ([], place)
    if tokens[place].startswith("(") and tokens[-1].endswith(")"):
        inner = [*tokens[:place], *" ".join(tokens[place:])[1:-1].split(" ")]
        if inner[place] and not inner[place].startswith("("):
            written, end = _units(inner, place, words, lone)
            if written and end == len(inner):
                return written, len(tokens)
        return [], place
    while place < len(tokens) and (unit := _unit(tokens, place, words, lone)):
        found, place = unit
        written += found
        lone = _EVERY
    return written, place


def _unit(tokens: Sequence[str], place: int, words: _Words, lone: frozenset[str]) -> tuple[list[str], int] | None:
    """One unit at this place, and the place after it."""
    token = tokens[place]
    if sign := _NUMBER_SIGN.fullmatch(token):
        # 213.2: a blank after the number sign.
        return ["#", sign[1]], place + 1
    if (glued := _GLUED.fullmatch(token)) and glued[1].lower() in words.units and _identifier(glued[2]):
        return [short(words.units, glued[1]), glued[2]], place + 1
    word = bare(token.removesuffix(":"))
    following = tokens[place + 1] if place + 1 < len(tokens) else ""
    if token == "#":
        return (["#", following.rstrip(".")], place + 2) if _identifier(following) and following[0] != "#" else None
    if word in words.units:
        return _unit_with_number(tokens, place, words)
    if words.is_canadian:
        return None
    if word == "pmb":
        # 285: the private mailbox has PMB or a number sign, not both.
        at = place + 2 if following == "#" else place + 1
        number = _identifier(tokens[at]) if at < len(tokens) else ""
        return (["PMB", number], at + 1) if any(map(str.isdigit, number)) else None
    if word in COUNTED_UNITS and re.match(r"[\w#]*\d", following):
        return [token, following], place + 2
    if word == "po" and following.lower() == "box" and place + 2 < len(tokens):
        return [*tokens[place : place + 3]], place + 3
    return _lone_unit(tokens, place, words, lone)


def _unit_with_number(tokens: Sequence[str], place: int, words: _Words) -> tuple[list[str], int] | None:
    """213, C2: `Apt 4`; of `APT #4` and `Apt. # 4` the sign is needless."""
    designator = short(words.units, tokens[place].removesuffix(":"))
    at = place + 2 if place + 2 < len(tokens) and tokens[place + 1] == "#" else place + 1
    if at < len(tokens) and tokens[at] != "#" and (number := _identifier(tokens[at])):
        return [designator, number], at + 1
    if place + 2 < len(tokens) and bare(tokens[place + 1]) == "no" and (number := _identifier(tokens[place + 2])):
        return [designator, tokens[place + 1], number], place + 3
    return None


def _lone_unit(tokens: Sequence[str], place: int, words: _Words, lone: frozenset[str]) -> tuple[list[str], int] | None:
    """C2: a unit without a number, a floor by its order (as typed), a number without a unit (as typed)."""
    token, word, rest = tokens[place], bare(tokens[place]), tokens[place + 1 :]
    if word in lone and word in _NUMBERED and rest and any(map(str.isdigit, rest[0])) and _identifier(rest[0]):
        return [short(words.lone_units, token), _identifier(rest[0])], place + 2
    if word in lone and word in words.lone_units:
        ends_here = not rest or _unit(tokens, place + 1, words, _EVERY) is not None
        return ([short(words.lone_units, token)], place + 1) if ends_here else None
    if lone is not _EVERY or not rest:
        return None
    if (word in ORDINALS or _ORDINAL.fullmatch(token)) and bare(rest[0]) in ("floor", "flr", "fl"):
        return [token, rest[0]], place + 2
    if word in ("no", "number") and place and any(map(str.isdigit, rest[0])) and _identifier(rest[0]):
        return [token, rest[0]], place + 2
    return None


# ---- names of streets -----------------------------------------------------------------------------------------------

_ARTICLES: Final = frozenset(("the", "la", "el", "le", "los", "las", "les"))
_STATES: Final = frozenset(("west virginia", "north carolina", "south carolina", "north dakota", "south dakota"))
_WITHOUT_SUFFIX: Final = frozenset(("broadway", "main", "bowery"))
"""Names that need no suffix."""
_FRENCH_ORDINAL: Final = re.compile(r"(?i)\d+(?:re|er|e|ère|ième|ieme)")
_HIGHWAYS: Final = frozenset(("highway", "hwy", "route", "rte", "interstate", "loop", "fm", "cr", "sr"))
_ROADS: Final = frozenset(("county", "state", "ranch", "farm", "market", "township", "forest"))
"""Before Road and a number they make it a highway (appendix F)."""


def _street_name(name: Sequence[str], words: _Words) -> tuple[list[str], bool]:
    """Suffix and directionals abbreviated where their position is clear; and whether the name ends in either."""
    if words.is_canadian and (french := _french(name)) is not None:
        return french, False
    if (highway := _highway(name)) is not None:
        return highway, False
    street = list(name)
    last, after = _suffix_and_after(street, words)
    before = street[:last]
    if last < 1 or all(word.lower() in _ARTICLES for word in before):
        if len(street) == 2 and bare(street[0]) in DIRECTIONALS and bare(street[1]) in _WITHOUT_SUFFIX:
            return [_direction(street[:1]), street[1]], False
        return street, False
    return [*_directed(before, words), short(words.suffixes, street[last]), *after], True


def _suffix_and_after(street: Sequence[str], words: _Words) -> tuple[int, list[str]]:
    """The place of the suffix, and the directional after it (233.22, 233.23); place 0 where there is none."""
    for count in (2, 1, 0):
        last = len(street) - 1 - count
        if last < 1:
            continue
        after = street[last + 1 :]
        # Of the letters in `Avenue N W` one may be the street's name.
        if count == 2 and (not _is_pair(after) or any(len(bare(word)) == 1 for word in after)):
            continue
        if count == 1 and bare(after[0]) not in DIRECTIONALS:
            continue
        if bare(street[last]) in words.suffixes:
            return last, [_direction(after)] if after else []
    return 0, []


def _directed(before: list[str], words: _Words) -> list[str]:
    """The name before its suffix, a directional before it abbreviated (233.21, 233.23)."""
    if " ".join(before).lower() in _STATES:
        return before
    for count in (2, 1):
        first, rest = before[:count], before[count:]
        is_directed = _is_pair(first) if count == 2 else bare(first[0]) in DIRECTIONALS
        if is_directed and rest and bare(rest[0]) not in DIRECTIONALS and bare(rest[0]) not in words.suffixes:
            return [_direction(first), *rest]
    return before


def _is_pair(words: Sequence[str]) -> bool:
    """North or south, then east or west: one directional (233.23)."""
    codes = [DIRECTIONALS.get(bare(word), "") for word in words]
    return len(codes) == 2 and codes[0] in ("N", "S") and codes[1] in ("E", "W")


def _direction(words: Sequence[str]) -> str:
    return "".join(DIRECTIONALS[bare(word)] for word in words)


def _highway(name: Sequence[str]) -> list[str] | None:
    """Appendix F: a highway's number ends its name, a directional stands before or after it; None: no highway.

    D2: the names of a grid are numbers, with a directional on both sides (`842 E 1700 S`).
    """
    street = list(name)
    is_directed = [bare(word) in DIRECTIONALS for word in street]
    if len(street) == 3 and is_directed[0] and is_directed[2] and street[1].isdigit():
        return [_direction(street[:1]), street[1], _direction(street[2:])]
    for place in range(min(4, len(street) - 1)):
        word = bare(street[place])
        is_road = word in ("road", "rd") and place > 0 and bare(street[place - 1]) in _ROADS
        if (word in _HIGHWAYS or is_road) and re.fullmatch(r"\d+[A-Za-z]?", street[place + 1]):
            if place + 3 == len(street) and is_directed[-1]:
                street[-1] = _direction(street[-1:])
            elif place + 2 != len(street):
                return None
            if place and is_directed[0]:
                street[0] = _direction(street[:1])
            return street
    return None


def _french(name: Sequence[str]) -> list[str] | None:
    """Canada Post: French types stand first and stay, a direction ends the name; None where the name is English."""
    street = list(name)
    is_first = street[0].lower().rstrip(".") in FRENCH_TYPES and [*map(bare, street)] != ["avenue", "road"]
    is_counted = len(street) > 1 and _FRENCH_ORDINAL.fullmatch(street[0]) and bare(street[1]) in FRENCH_TYPES
    if not is_first and not is_counted:
        return None
    if len(street) > 2 and (direction := FRENCH_DIRECTIONS.get(street[-1].lower())):
        street[-1] = direction
    return street
