"""Postal addresses: as typed → as the post wants them → as Sage's columns take them.

In: the canonical address. Out: `NormalisedAddress`, then `FittedAddress`, each with what a person must look at. Pure;
never raises, loses no word, and normalising twice changes nothing.

- US and its territories (USPS Publication 28): suffixes, directionals and unit designators are abbreviated where their
  position is clear; PO boxes, rural routes, highway contracts and military addresses get their standard form.
- Canada: the same for English lines; a line that begins like a French one is left as it was typed.
- Elsewhere the lines are left as they were typed; postal codes get their country's form.

A word keeps its case: an abbreviation is in capitals where the word was, else it begins with a capital. `Attn` and
`c/o` are lines before the street.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from mappings.canonical import Address
from mappings.frozen import Frozen
from mappings.places import (
    REGION_COUNTRIES,
    country_code,
    needs,
    postal_code_fits,
    postal_code_of_region,
    region_code,
    sage_country,
    territory,
)
from mappings.postal_words import BUSINESS_WORDS, CITY_WORDS, DIRECTIONALS, FRENCH_STREETS, SUFFIXES, UNITS
from mappings.problems import Problem

MILITARY_CITIES: Final = {"APO", "FPO", "DPO"}
MILITARY_REGIONS: Final = {"340": "AA", "09": "AE", "96": "AP"}
"""Publication 28, 225: by the beginning of the ZIP code."""
MOST_LINES: Final = 3

_CARE: Final = re.compile(r"(c/o|℅|care of|attn|attention|att)(?:\b|(?<=℅))[.:]*\s*(.+)", re.IGNORECASE)
_PO_BOX: Final = re.compile(
    r"(?:p\.?\s*o\.?\s*|post\s+office\s+|postal\s+)?box\.?\s*#?\s*([a-z]?\d[\w-]*)", re.IGNORECASE
)
_RURAL: Final = re.compile(
    r"(?:r\.?\s*r\.?|r\.?\s*f\.?\s*d\.?|rural\s+(?:route|delivery|rt\.?))\s*(?:no\.?)?\s*#?\s*(\d+\w?)"
    r"(?:\s*,?\s*box\s*#?\s*(\w+))?",
    re.IGNORECASE,
)
_HIGHWAY: Final = re.compile(
    r"(?:h\.?c\.?r?\.?|highway\s+contract(?:\s+route)?|star\s+route)\s*#?\s*(\d+)\s*,?\s*box\s*#?\s*(\w+)",
    re.IGNORECASE,
)
_MILITARY: Final = re.compile(r"(psc|cmr|unit|optc|umr)\s*#?\s*(\d+)\s*,?\s*box\s*#?\s*(\w+)", re.IGNORECASE)


class NormalisedAddress(Frozen):
    """An address in its country's form; `notes` say in words what was changed."""

    name: str = ""
    company: str = ""
    attention: str = ""
    """`Attn: …` or `c/o …`, as its line stands before the street."""
    lines: list[str] = []
    city: str = ""
    region: str = ""
    """The code where the country has codes (ISO 3166-2), else as typed."""
    postal_code: str = ""
    country: str = ""
    """ISO 3166-1 alpha-2; empty when unknown."""
    problems: list[Problem] = []
    notes: list[str] = []


class FittedAddress(Frozen):
    """An address in Sage's columns: Name, Address1 to 3, City, State, ZipCode, CountryCode."""

    Name: str = ""
    Address1: str = ""
    Address2: str = ""
    Address3: str = ""
    City: str = ""
    State: str = ""
    ZipCode: str = ""
    CountryCode: str = ""
    problems: list[Problem] = []

    @property
    def columns(self) -> dict[str, str]:
        """By Sage's column, without its prefix (BillTo, ShipTo)."""
        return self.model_dump(exclude={"problems"})


# ---- normalising ----------------------------------------------------------------------------------------------------


def normalise_address(address: Address, field: str) -> NormalisedAddress:
    """The address in its country's form; `field` is the path of its problems, such as `data.shippingAddress`."""
    problems: list[Problem] = []

    def wrong(part: str, message: str, suggestion: str = "Correct the address in Clarity.") -> None:
        problems.append(Problem(field=f"{field}.{part}", message=message, suggestion=suggestion))

    typed = {name: _tidy(getattr(address, name)) for name in ("name", "company", "city", "region", "postal_code")}
    country = country_code(_tidy(address.country)) or ""
    region = typed["region"]
    if (inside := territory(country)) is not None:
        country, region = inside[0], region if region_code(*inside) == region_code(inside[0], region) else inside[1]
    lines, attention = _recipients([_tidy(line) for line in (address.line1, address.line2, address.line3)])
    lines = [_street(line, country, region) for line in lines]
    city = _city(typed["city"], country)
    postal_code = format_postal_code(typed["postal_code"], country)
    region = _region(region, country, city, postal_code)
    if not (typed["name"] or typed["company"]):
        wrong("name", "is missing")
    if all(_is_unit_alone(line) for line in lines):
        wrong("line1", "is missing")
    if not city and needs(country, "city"):
        wrong("city", "is missing")
    if not country:
        wrong("country", "is missing" if not address.country.strip() else "is no country this project knows")
    if country in REGION_COUNTRIES and region_code(country, region) is None:
        wrong("region", "is missing" if not region else "is no state or province of that country")
    if not postal_code:
        if needs(country, "postal_code"):
            wrong("postalCode", "is missing")
    elif not postal_code_fits(country, postal_code):
        zero = country == "US" and re.fullmatch(r"\d{4}", postal_code)
        wrong(
            "postalCode",
            "is no postal code of that country",
            f"A leading zero may be missing: 0{postal_code}?" if zero else "Correct the address in Clarity.",
        )
    elif not postal_code_of_region(country, region, postal_code):
        wrong("postalCode", f"does not belong to {region}", "Correct the postal code, or the state or province.")
    changes = (
        *zip(("line1", "line2", "line3"), (address.line1, address.line2, address.line3), strict=True),
        ("city", address.city),
        ("region", address.region),
        ("postalCode", address.postal_code),
    )
    after = {*lines, attention, city, region, postal_code}
    return NormalisedAddress(
        name=typed["name"],
        company=typed["company"],
        attention=attention,
        lines=lines,
        city=city,
        region=region,
        postal_code=postal_code,
        country=country,
        problems=problems,
        notes=[f"{name}: {was!r} was brought into standard form" for name, was in changes if was and was not in after],
    )


def _tidy(text: str) -> str:
    """Composed characters, one space between words, no comma at the end."""
    return " ".join(unicodedata.normalize("NFC", text).split()).strip(" ,")


def _recipients(lines: Sequence[str]) -> tuple[list[str], str]:
    """The lines of the street, and the one line for whom they are; a second such line stays a line."""
    streets, attention = [], ""
    for line in lines:
        match = _CARE.fullmatch(line)
        if match is None:
            if line:
                streets.append(line)
            continue
        word = "c/o" if match[1].casefold() in ("c/o", "℅", "care of") else "Attn:"
        if attention:
            streets.append(f"{word} {match[2]}")
        else:
            attention = f"{word} {match[2]}"
    return streets, attention


def _region(region: str, country: str, city: str, postal_code: str) -> str:
    code = region_code(country, region)
    if code is not None:
        return code
    if country == "US" and not region and city in MILITARY_CITIES:
        return next((code for start, code in MILITARY_REGIONS.items() if postal_code.startswith(start)), "")
    return region


def _city(city: str, country: str) -> str:
    bare = city.replace(".", "").replace(" ", "").upper()
    return bare if country == "US" and bare in MILITARY_CITIES else city


def format_postal_code(text: str, country: str) -> str:
    """The country's own form; what does not look like one of its codes stays as typed."""
    code = _tidy(unicodedata.normalize("NFKC", text).upper())
    bare = re.sub(r"[\s\-–.]", "", code)
    if country in ("DE", "FR", "IT", "ES", "AT", "CH", "BE") and re.fullmatch(rf"(?:{country}|[DFIA])\d{{4,5}}", bare):
        bare = re.sub(r"^[A-Z]+", "", bare)
    for countries, pattern, form in _POSTAL_FORMS:
        if country in countries and (match := re.fullmatch(pattern, bare)):
            return match.expand(form)
    return code


_POSTAL_FORMS: Final = (
    (("US",), r"(\d{5})(\d{4})", r"\1-\2"),
    (("US", "DE", "FR", "IT", "ES", "MX", "FI"), r"(\d{5})", r"\1"),
    (("CA",), r"([A-Z]\d[A-Z])(\d[A-Z]\d)", r"\1 \2"),
    (("GB",), r"([A-Z]{1,2}\d[A-Z\d]?)(\d[A-Z]{2})", r"\1 \2"),
    (("IE",), r"([A-Z]\d[\dW])([A-Z\d]{4})", r"\1 \2"),
    (("JP",), r"(\d{3})(\d{4})", r"\1-\2"),
    (("NL",), r"(\d{4})([A-Z]{2})", r"\1 \2"),
    (("SE", "GR", "CZ", "SK"), r"(\d{3})(\d{2})", r"\1 \2"),
    (("PL",), r"(\d{2})(\d{3})", r"\1-\2"),
    (("PT",), r"(\d{4})(\d{3})", r"\1-\2"),
    (("BR",), r"(\d{5})(\d{3})", r"\1-\2"),
    (("AU", "AT", "CH", "BE", "DK", "NO", "NZ"), r"(\d{4})", r"\1"),
    (("IN", "SG", "CN"), r"(\d{6})", r"\1"),
)
"""Countries, the code without blanks and dashes, its form."""


# ---- streets --------------------------------------------------------------------------------------------------------


def _street(line: str, country: str, region: str) -> str:
    if country not in ("US", "CA"):
        return line
    if match := _PO_BOX.fullmatch(line):
        return f"PO Box {match[1]}"
    if country == "US":
        if match := _MILITARY.fullmatch(line):
            return f"{match[1].upper()} {match[2]} Box {match[3]}"
        if match := _HIGHWAY.fullmatch(line):
            return f"HC {match[1]} Box {match[2]}"
    if match := _RURAL.fullmatch(line):
        return f"RR {match[1]}" + (f" Box {match[2]}" if match[2] else "")
    words = line.split(" ")
    street, unit = _split_unit(words)
    if region_code("US", region) != "PR" and not (country == "CA" and _is_french(street)):
        street = _thoroughfare(street)
    return " ".join([*street, *unit])


def _plain(word: str) -> str:
    """Upper case, without accents and punctuation around."""
    bare = unicodedata.normalize("NFKD", word).strip(".,;").replace(".", "")
    return "".join(character for character in bare if not unicodedata.combining(character)).upper()


def _is_french(words: Sequence[str]) -> bool:
    """Whether the street's type stands before its name: `640 Rue Saint-Paul`."""
    names = [word for word in words if not word[:1].isdigit()]
    return bool(names) and _plain(names[0]) in FRENCH_STREETS and len(names) > 1


def _split_unit(words: list[str]) -> tuple[list[str], list[str]]:
    """The street, and the unit with its designator abbreviated; a line may be a unit alone."""
    for place, (word, following) in enumerate(pairwise(words)):
        unit = UNITS.get(_plain(word))
        if unit is None or (not re.search(r"\d", following) and len(following.strip(".,#")) > 2):
            continue
        if place and not (place >= 2 and words[0][:1].isdigit()):
            continue
        return words[:place], [_as_typed(unit, word), *words[place + 1 :]]
    return words, []


def _is_unit_alone(line: str) -> bool:
    """`Apt 4B`: where in the building, but not which."""
    words = line.split(" ")
    return len(words) <= 2 and _plain(words[0]) in UNITS


def _thoroughfare(words: list[str]) -> list[str]:
    """`2131 North 14th Street West` → `2131 N 14th St W`; only where number, name and suffix are clear."""
    if len(words) < 3 or not re.fullmatch(r"#?\d[\w/-]*,?", words[0]):
        return words
    found = list(words)
    last = len(found) - 1
    if _plain(found[last]) in DIRECTIONALS and last >= 3 and _plain(found[last - 1]) in SUFFIXES:
        found[last] = _same_comma(DIRECTIONALS[_plain(found[last])], found[last])
        last -= 1
    suffix = SUFFIXES.get(_plain(found[last]))
    if suffix is None or [_plain(word) for word in found[1:last]] in ([], ["THE"]):
        return found
    found[last] = _same_comma(_as_typed(suffix, found[last]), found[last])
    if last >= 3 and _plain(found[1]) in DIRECTIONALS:
        found[1] = DIRECTIONALS[_plain(found[1])]
    return found


def _as_typed(abbreviation: str, word: str) -> str:
    return abbreviation if word.isupper() and len(word.strip(".,")) > 1 else abbreviation.capitalize()


def _same_comma(abbreviation: str, word: str) -> str:
    return abbreviation + ("," if word.endswith(",") else "")


# ---- fitting into Sage's columns ------------------------------------------------------------------------------------


def fit_address(address: NormalisedAddress, limits: Mapping[str, int], prefix: str, field: str) -> FittedAddress:
    """The address in the columns `{prefix}Name` … of these lengths: words move to the next line, names are abbreviated
    by rule, and what still does not fit is a problem. A column without a length takes any.
    """
    problems: list[Problem] = []

    def limit(column: str) -> int:
        return limits.get(f"{prefix}{column}", 10_000)

    def too_long(column: str, value: str) -> None:
        problems.append(
            Problem(
                field=field,
                message=f"{prefix}{column} has {len(value)} characters, Sage takes {limit(column)}",
                suggestion="Shorten it in Clarity.",
            )
        )

    name, rest_of_name = _fit_name(address.company or address.name, limit("Name"))
    attention = address.attention
    before = [rest_of_name] if rest_of_name else []
    if address.company and address.name:
        before.append(f"Attn: {address.name}")
    width = min(limit(f"Address{number}") for number in range(1, MOST_LINES + 1))
    lines = _fit_lines([*before, *([attention] if attention else []), *address.lines], width)
    state, city = address.region, address.city
    if address.country not in REGION_COUNTRIES and address.region:
        # SO_SalesOrderHeader.ShipToState has two characters: other countries' regions stand with the city.
        city, state = (f"{city} {state}" if address.country == "AU" else f"{city}, {state}").strip(", "), ""
    if len(city) > limit("City"):
        city = " ".join(CITY_WORDS.get(_plain(word), word) for word in city.split(" "))
    for column, value in (("Name", name), ("City", city), ("ZipCode", address.postal_code), ("State", state)):
        if len(value) > limit(column):
            too_long(column, value)
    for line in lines:
        if len(line) > width:
            too_long("Address1", line)
    if len(lines) > MOST_LINES:
        problems.append(
            Problem(
                field=field,
                message=f"needs {len(lines)} lines of {width} characters, Sage has {MOST_LINES}",
                suggestion="Shorten it in Clarity.",
            )
        )
    first, second, third = (*lines, "", "", "")[:MOST_LINES]
    return FittedAddress(
        Name=name,
        Address1=first,
        Address2=second,
        Address3=third,
        City=city,
        State=state,
        ZipCode=address.postal_code,
        CountryCode=sage_country(address.country),
        problems=problems,
    )


def _fit_name(name: str, limit: int) -> tuple[str, str]:
    """The name, business words abbreviated if need be; and the words for which there is no room."""
    if len(name) > limit:
        name = " ".join(BUSINESS_WORDS.get(_plain(word), word) for word in name.split(" "))
    if len(name) <= limit:
        return name, ""
    head, *more = _wrap(name, limit)
    return head, " ".join(more)


def _fit_lines(lines: Sequence[str], width: int) -> list[str]:
    """Long lines go on in the next; then short neighbours share a line while there are too many."""
    found = [part for line in lines for part in _wrap(line, width)]
    while len(found) > MOST_LINES:
        joined = min(
            ((len(one) + len(other), place) for place, (one, other) in enumerate(pairwise(found))), default=(width, 0)
        )
        if joined[0] + 2 > width:
            break
        place = joined[1]
        found[place : place + 2] = [f"{found[place]}, {found[place + 1]}"]
    return found


def _wrap(text: str, width: int) -> list[str]:
    """Lines of at most `width`, broken between words; a longer word stands alone."""
    lines: list[str] = []
    for word in text.split(" "):
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
