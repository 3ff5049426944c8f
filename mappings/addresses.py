"""Address normalisation: as the buyer typed it → as its country's post writes it → as Sage's columns take it.

In: `Address`. Out: `NormalisedAddress` (problems, and notes of what changed), then `FittedAddress` for one set of
columns. Pure; never raises; normalising twice changes nothing; no word is lost: a word is left as it was typed, moved,
or written as its standard abbreviation. The address as typed stays with the order.

US lines follow USPS Publication 28 and Canadian ones Canada Post (`mappings.streets`); other countries' lines stay as
they were typed. Required parts, regions and postal codes are those of the country's own post (`mappings.places`).
"""

import re
from collections.abc import Sequence
from typing import Final

from mappings.address_columns import STATE_LENGTH, FittedAddress, fit_address
from mappings.address_parts import CORRECT, Findings, NormalisedAddress, clean, three
from mappings.canonical import Address
from mappings.places import (
    CLOSED_REGIONS,
    CODED_REGIONS,
    OPTIONAL_REGIONS,
    SOVEREIGNS,
    US_TERRITORIES,
    PostalRules,
    country_code,
    postal_rules,
    spelling,
)
from mappings.postal_codes import is_exclave, is_postal_code, lies_in, postal_code
from mappings.postal_words import BUILDINGS, DIRECTIONALS, FRENCH_TYPES, NUMBER_WORDS, THOROUGHFARES, bare, word_set
from mappings.recipients import holds_street, split_recipient
from mappings.streets import standard_line

__all__ = [
    "CORRECT",
    "STATE_LENGTH",
    "FittedAddress",
    "NormalisedAddress",
    "fit_address",
    "normalise_address",
    "split_recipient",
]


def normalise_address(address: Address, field: str) -> NormalisedAddress:
    """`field` is the address's path in the payload (`data.shippingAddress`); problems name their part of it."""
    found = Findings(field)
    name, company = clean(address.name), clean(address.company)
    found.note("name", address.name, name)
    found.note("company", address.company, company)
    if not name and not company:
        found.problem("name", "is missing")
    country, region_text, city, code_text = _place(address, found)
    rules = postal_rules(country)
    us_region = postal_rules("US").region(region_text) if country == "US" else None
    is_puerto_rico = us_region is not None and us_region.code == "PR"
    attention, lines = _lines((address.line1, address.line2, address.line3), country, is_puerto_rico, found)
    if not _MILITARY_CITY.fullmatch(city) or not any(map(_has_word, lines)):
        _check_street(attention, lines, country, name if name != company else "", found)
    if not city and ("C" in rules.required or not country):
        found.problem("city", "is missing")
    code = postal_code(code_text, country, region_text, rules, found)
    region = _region(region_text, city, code, country, rules, found)
    return NormalisedAddress(
        name=name,
        company=company,
        attention=attention,
        lines=lines,
        city=city,
        region=region,
        postal_code=code,
        country=country,
        problems=found.problems,
        notes=found.notes,
        remarks=found.remarks,
    )


# ---- country, city, region ------------------------------------------------------------------------------------------

_MILITARY_CITY: Final = re.compile(
    r"(?i)(A\.?P\.?O|F\.?P\.?O|D\.?P\.?O)\b\.?(?:[\s,]+(AA|AE|AP)\b)?(?:[\s,]+(\d{5}(?:-?\d{4})?))?"
)
_MILITARY_REGIONS: Final = frozenset({"AA", "AE", "AP"})
_CEDEX: Final = re.compile(r"(?i)(\d{2}\s?\d{3})[\s,]*(cedex(?:\s*\d{1,2})?)")


def _place(address: Address, found: Findings) -> tuple[str, str, str, str]:
    """Country, region as typed or as the country or the city already says it, city, and the postal code as typed."""
    text, region, city = clean(address.country), clean(address.region), clean(address.city)
    code = address.postal_code
    found.note("city", address.city, city)
    country = country_code(text) or ""
    if (military := _MILITARY_CITY.fullmatch(city)) and (not military[3] or clean(code) in ("", military[3])):
        us_region = postal_rules("US").region(region or military[2] or "")
        if us_region is None and (not region or spelling(region) == "armedforces"):
            by_code = postal_rules("US").regions_of(clean(code) or military[3] or "")
            us_region = by_code[0] if len(by_code) == 1 else None
        if us_region is not None and us_region.code in _MILITARY_REGIONS:
            # Publication 28, 225: mail to the forces abroad is domestic, and names no foreign country.
            found.note("region", region, us_region.code)
            country, region = "US" if text else country, us_region.code
            post_office = military[1].upper().replace(".", "")
            found.note("city", city, post_office)
            city = post_office
            if military[3] and not clean(code):
                found.note("postalCode", code, military[3])
                code = military[3]
    if (country == "FR" or SOVEREIGNS.get(country) == "FR") and (cedex := _CEDEX.fullmatch(clean(code))):
        # La Poste, AFNOR XP Z10-011: Cedex stands after the city.
        found.note("postalCode", code, cedex[1])
        code = cedex[1]
        if "cedex" not in city.casefold():
            found.note("city", city, f"{city} {cedex[2].upper()}".strip())
            city = f"{city} {cedex[2].upper()}".strip()
    if country in US_TERRITORIES:
        found.note("region", region, country)
        country, region = "US", country
    if not country:
        found.problem("country", "is no country this project knows" if text else "is missing")
    elif text != country:
        found.note("country", text, country)
    return country, region, city, code


def _region(text: str, city: str, code: str, country: str, rules: PostalRules, found: Findings) -> str:
    region = rules.region(text)
    by_code = rules.regions_of(code) if code and is_postal_code(code, rules) else []
    there = " or ".join(f"{one.name} ({one.code})" for one in by_code)
    if region is not None:
        if region.postal_code and is_postal_code(code, rules) and not lies_in(region.code, by_code):
            if is_exclave(code, region.code, country):
                found.remark("postalCode", f"{code} serves a part of {region.name} beside {there}")
            else:
                found.problem(
                    "postalCode",
                    f"{code} is no postal code of {region.name} ({region.code})",
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
    if len(by_code) == 1 and country != "US":
        # Where people write codes, Sage and carriers expect one; elsewhere the postal code says it well enough. A
        # state of the US is asked for: it decides the tax, and nothing else would tell of a mistyped ZIP code.
        if country not in CODED_REGIONS:
            return ""
        found.note("region", text, f"{by_code[0].code}, by the postal code {code}")
        return by_code[0].code
    if country not in ("US", "CA") and len(city) > 3 and any(name.startswith(spelling(city)) for name in rules.regions):
        return ""
    if rules.regions:
        by_code_it_is = f"Correct the address in Clarity; by its postal code it is {there}."
        found.problem("region", "is missing", by_code_it_is if there else CORRECT)
    return ""


# ---- lines ----------------------------------------------------------------------------------------------------------

_URBANIZATION: Final = re.compile(
    r"(?i)(urb(?:anizaci[oó]n)?\b\.?\s[^,;]+)[,;]\s*(?=\d|calle\b|c/|ave\b|avenida\b)(.+)"
)


def _lines(typed: Sequence[str], country: str, is_puerto_rico: bool, found: Findings) -> tuple[str, list[str]]:
    """Recipients on one line, and the other lines; as typed where a second look would read them otherwise."""
    cleaned = [clean(line) for line in typed]
    attention, standard = _standard_lines(cleaned, country, is_puerto_rico)
    lines = [line for group in standard for line in group[1]]
    again, standard_again = _standard_lines(three([*filter(None, [attention]), *lines]), country, is_puerto_rico)
    if again != attention or [line for group in standard_again for line in group[1]] != lines:
        attention, standard = "", [("", [line] if line else []) for line in cleaned]
        lines = [line for line in cleaned if line]
    in_place = [" | ".join(filter(None, [recipient, *written])) for recipient, written in standard]
    for number, (before, after) in enumerate(zip(typed, in_place, strict=True), start=1):
        found.note(f"line{number}", before, after)
    while in_place and not in_place[-1]:
        in_place.pop()
    found.note("lines", " | ".join(in_place), " | ".join(filter(None, [attention, *lines])))
    return attention, lines


def _standard_lines(
    cleaned: Sequence[str], country: str, is_puerto_rico: bool
) -> tuple[str, list[tuple[str, list[str]]]]:
    """Recipients, and of every line its recipient and its other lines; split where three lines suffice."""
    halves = [split_recipient(line) for line in cleaned]
    if _count(halves) > 3:
        halves = [("", [line] if line else []) for line in cleaned]
    if is_puerto_rico:
        # Publication 28, 292: the urbanization has a line of its own, above the street.
        split = [
            (recipient, [part for line in rest for part in _with_urbanization(line)]) for recipient, rest in halves
        ]
        halves = split if _count(split) <= 3 else halves
    written = [
        (recipient, [standard_line(line, country, puerto_rico=is_puerto_rico) for line in rest])
        for recipient, rest in halves
    ]
    return ", ".join(recipient for recipient, _ in halves if recipient), written


def _count(halves: Sequence[tuple[str, list[str]]]) -> int:
    return sum(len(rest) for _, rest in halves) + any(recipient for recipient, _ in halves)


def _with_urbanization(line: str) -> list[str]:
    urbanization = _URBANIZATION.fullmatch(line)
    return [clean(urbanization[1]), clean(urbanization[2])] if urbanization else [line]


# ---- is there a street? ---------------------------------------------------------------------------------------------

_UNIT_ALONE: Final = re.compile(
    r"(?i)(?:(?:(?:apt|apartment|ste|suite|unit|rm|room|fl|floor|dept|department|ofc|office|pmb)\b\.?:?\s*#?\s*"
    r"|(?:apt|ste|suite|unit|rm|fl)(?=\d)|#\s*)(?:[\w-]*\d[\w-]*|[a-z]{1,2}\b)[\s,]*)+|\w+\s+(?:floor|fl)\b\.?"
)
"""A door, but no street. Not so Pier 39 or Hangar 3, which mail finds."""
_NO_PLACE: Final = re.compile(
    r"(?i)(?:c\s*/\s*o|attn|attention|care\s+of|p\.?\s?o\.?\s?box|post\s+office\s+box|box|postfach|boîte\s+postale)[\s.:#]*"
)
_BOX_WITH_LETTER: Final = re.compile(r"(?i)po\s+box\s+[a-z]\b.*")
_FILLERS: Final = word_set(
    "na none nil null same sameasabove sameasbilling sameasshipping unknown tbd noaddress xx xxx"
)
_LEGAL_FORMS: Final = word_set("inc llc ltd corp gmbh ug sarl bv plc pty srl spa oy")
_OPENERS: Final = FRENCH_TYPES | word_set(
    """avenue avenida barrio bo calle callejon camino carr carretera com comunidad cond condominio corner edif edificio
    hacienda parc parcelas paseo quinta quintas res residencial rue sector urb urbanización urbanizacion via villa
    villas"""
)
"""Words that begin the name of a street, a quarter or a house, in Spanish and French."""


def _check_street(attention: str, lines: Sequence[str], country: str, person: str, found: Findings) -> None:
    """Some line must say where: in the US and Canada by a number, a suffix, a box, or the name of a building."""
    for line in lines:
        if _has_word(line) and (_says_where_in_america(line) if country in ("US", "CA") else _says_where(line, person)):
            return
    if attention and holds_street(attention, country):
        found.remark("line1", f"the street seems to stand on the recipient's line: {attention}")
        return
    found.problem("line1", "says no street, box or building" if lines else "is missing")


def _has_word(line: str) -> bool:
    """Whether there is more than punctuation, a door, or a word in place of an address."""
    return (
        any(map(str.isalnum, line))
        and spelling(line) not in _FILLERS
        and _UNIT_ALONE.fullmatch(line) is None
        and _NO_PLACE.fullmatch(line) is None
    )


def _says_where_in_america(line: str) -> bool:
    if any(map(str.isdigit, line)) or _BOX_WITH_LETTER.fullmatch(line):
        return True
    if re.match(r"(?i)general\s+delivery\b|gd\b|poste\s+restante\b", line):
        return True
    for segment in re.split(r"[,;&(]|\band\b", line.lower()):
        words = [bare(word.strip("()")) for word in segment.split()]
        while len(words) > 2 and words[-1] in DIRECTIONALS:
            words.pop()
        if not words or words[0] in ("attn", "attention"):
            continue
        if any(word in BUILDINGS for word in words):
            return True
        if len(words) > 1 and (words[-1] in THOROUGHFARES or words[0] in _OPENERS or words[0] in NUMBER_WORDS):
            return True
    return False


def _says_where(line: str, person: str) -> bool:
    """Elsewhere houses and hamlets have names: anything but a firm's name with its legal form, or the recipient's."""
    if any(map(str.isdigit, line)):
        return True
    return bare(line.rsplit(" ", maxsplit=1)[-1]) not in _LEGAL_FORMS and spelling(line) != spelling(person)
