"""Address normalisation: the cases of address_cases.yaml, and what holds for any text at all."""

import re
import time
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from mappings.addresses import fit_address, normalise_address
from mappings.canonical import Address
from mappings.places import country_code, region_code, sage_country
from mappings.problems import Problem

CASES: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("address_cases.yaml").read_text("utf-8"))
FIELD = "data.shippingAddress"


def typed(case: dict[str, Any]) -> Address:
    return Address(**{"name": "Ann Lee", **CASES["places"][case["at"]], **case["input"]})


def parts_of(problems: Iterable[Problem]) -> list[str]:
    return [problem.field.removeprefix(f"{FIELD}.") for problem in problems]


def title(case: dict[str, Any]) -> str:
    return f"{case['rule']}: {case['case']}"


# ---- the cases ------------------------------------------------------------------------------------------------------


def test_the_cases_are_many_and_have_names_of_their_own() -> None:
    names = [case["case"] for case in CASES["cases"]]
    assert [name for name, times in Counter(names).items() if times > 1] == []
    assert len(names) >= 290


@pytest.mark.parametrize("case", CASES["cases"], ids=title)
def test_an_address_becomes_what_its_countrys_post_writes(case: dict[str, Any]) -> None:
    address = typed(case)
    result = normalise_address(address, FIELD)
    as_typed = {
        "name": address.name,
        "company": address.company,
        "attention": "",
        "lines": [line for line in (address.line1, address.line2, address.line3) if line],
        "city": address.city,
        "region": address.region,
        "postal_code": address.postal_code,
        "country": address.country,
    }
    assert result.model_dump(exclude={"problems", "notes", "remarks"}) == as_typed | case.get("expect", {})
    assert parts_of(result.problems) == case.get("problems", [])
    assert [remark.partition(":")[0] for remark in result.remarks] == case.get("remarks", [])
    assert all(problem.message and problem.suggestion for problem in result.problems)


@pytest.mark.parametrize("case", CASES["cases"], ids=title)
def test_what_changed_is_noted_and_nothing_else_is(case: dict[str, Any]) -> None:
    address = typed(case)
    result = normalise_address(address, FIELD)
    unchanged = result.as_address() == address
    assert unchanged == (not result.notes) or parts_of(result.problems) == ["country"]


@pytest.mark.parametrize("case", CASES["fitted"], ids=title)
def test_an_address_is_fitted_into_sages_columns(case: dict[str, Any]) -> None:
    limits = {f"ShipTo{part}": limit for part, limit in case.get("limits", {}).items()}
    fitted = fit_address(normalise_address(typed(case), FIELD), limits, "ShipTo", FIELD)
    shown = {
        "name": fitted.Name,
        "lines": [fitted.Address1, fitted.Address2, fitted.Address3],
        "city": fitted.City,
        "state": fitted.State,
        "country3": fitted.CountryCode,
    }
    assert {part: shown[part] for part in case["expect"]} == case["expect"]
    assert parts_of(fitted.problems) == case.get("problems", [])


def test_a_problem_of_length_names_column_length_limit_and_remedy() -> None:
    address = normalise_address(
        Address(name="Ann Lee", line1="1 A St", city="Constantinople", region="TX", postal_code="75201", country="US"),
        FIELD,
    )
    (problem,) = fit_address(address, {"BillToCity": 10}, "BillTo", FIELD).problems
    assert problem.field == "data.shippingAddress.city"
    assert problem.message == "BillToCity has 14 characters, Sage takes 10"
    assert "10 characters" in problem.suggestion


@pytest.mark.parametrize(
    ("postal_code", "region", "suggested"),
    [("2139", "MA", "02139"), ("21391234", "MA", "02139-1234"), ("926", "PR", "00926"), ("7521", "TX", "")],
)
def test_a_lost_zero_is_suggested_where_it_makes_a_code_of_the_state(
    postal_code: str, region: str, suggested: str
) -> None:
    address = Address(name="A", line1="1 A St", city="B", region=region, postal_code=postal_code, country="US")
    (problem,) = normalise_address(address, FIELD).problems
    assert ("zero" in problem.suggestion) == bool(suggested)
    assert suggested in problem.suggestion


# ---- countries and regions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "alpha_2", "sage"),
    [
        ("us", "US", "USA"),
        ("USA", "US", "USA"),
        ("840", "US", "USA"),
        ("U.S.", "US", "USA"),
        ("United States", "US", "USA"),
        ("America", "US", "USA"),
        ("Great Britain", "GB", "GBR"),
        ("Scotland", "GB", "GBR"),
        ("The Netherlands", "NL", "NLD"),
        ("Holland", "NL", "NLD"),
        ("ESPAÑA", "ES", "ESP"),
        ("Österreich", "AT", "AUT"),
        ("Czech Republic", "CZ", "CZE"),
        ("South Korea", "KR", "KOR"),
        ("Turkey", "TR", "TUR"),
        ("Côte d'Ivoire", "CI", "CIV"),
        ("Ivory Coast", "CI", "CIV"),
        ("St. Lucia", "LC", "LCA"),
        ("Trinidad & Tobago", "TT", "TTO"),
        ("日本", "JP", "JPN"),
        ("Kosovo", "XK", "XKX"),
        ("Puerto Rico", "PR", "PRI"),
        ("USA - United States", "US", "USA"),
        ("United States of America (USA)", "US", "USA"),
        ("美国", "US", "USA"),
        ("England, UK", "GB", "GBR"),
        ("Great Britain (UK)", "GB", "GBR"),
        ("ENG", "GB", "GBR"),
        ("GER", "DE", "DEU"),
        ("Korea (South)", "KR", "KOR"),
        ("Hong Kong SAR China", "HK", "HKG"),
        ("Hong Kong, China", "HK", "HKG"),
        ("Macao SAR China", "MO", "MAC"),
        ("Myanmar (Burma)", "MM", "MMR"),
        ("Congo - Kinshasa", "CD", "COD"),
        ("Democratic Republic of the Congo", "CD", "COD"),
        ("Holy See", "VA", "VAT"),
        ("Palestinian Territories", "PS", "PSE"),
        ("St. Martin", "MF", "MAF"),
        ("St. Martin (French part)", "MF", "MAF"),
        ("Saint Martin (Dutch part)", "SX", "SXM"),
        ("Sint Maarten", "SX", "SXM"),
        ("Caribbean Netherlands", "BQ", "BES"),
        ("Canary Islands", "ES", "ESP"),
        ("U.S. Outlying Islands", "UM", "UMI"),
        ("Guam, USA", "GU", "GUM"),
        ("Réunion (France)", "RE", "REU"),
        ("Guinea-Bissau", "GW", "GNB"),
        ("Georgia, USA", None, ""),
        ("Paris, France", None, ""),
        ("US/CA", None, ""),
        ("Narnia", None, ""),
        ("", None, ""),
        ("🙂", None, ""),
    ],
)
def test_a_country_is_known_by_any_spelling(text: str, alpha_2: str | None, sage: str) -> None:
    assert country_code(text) == alpha_2
    assert sage_country(alpha_2 or "") == sage


@pytest.mark.parametrize(
    ("country", "text", "code"),
    [
        ("US", "tx", "TX"),
        ("US", "Penna.", "PA"),
        ("US", "N Mexico", "NM"),
        ("US", "So. Dakota", "SD"),
        ("US", "Washington", "WA"),
        ("US", "Washington, D.C.", "DC"),
        ("US", "Armed Forces Europe", "AE"),
        ("US", "Texas (TX)", "TX"),
        ("US", "North Carolina, South Carolina", None),
        ("US", "ON", None),
        ("US", "TX, USA", "TX"),
        ("US", "Georgia, USA", "GA"),
        ("US", "USA", None),
        ("US", "State of Texas", "TX"),
        ("US", "Commonwealth of Virginia", "VA"),
        ("US", "New York State", "NY"),
        ("US", "West Va.", "WV"),
        ("US", "Hawaiʻi", "HI"),
        ("US", "Hawai'i", "HI"),
        ("US", "Dist. of Columbia", "DC"),
        ("US", "Federated States of Micronesia", "FM"),
        ("US", "UM", "UM"),
        ("US", "San Diego, CA", None),
        ("CA", "BC, Canada", "BC"),
        ("CA", "Province of Québec", "QC"),
        ("CA", "C.-B.", "BC"),
        ("CA", "Nouvelle-Écosse", "NS"),
        ("CA", "Terre-Neuve-et-Labrador", "NL"),
        ("CA", "PEI", "PE"),
        ("CA", "Yukon Territory", "YT"),
        ("AU", "n.s.w.", "NSW"),
        ("IN", "Tamilnadu", "TN"),
        ("IN", "कर्नाटक", "KA"),
        ("US", "", None),
        ("ZZ", "Texas", None),
    ],
)
def test_a_region_is_known_by_any_spelling(country: str, text: str, code: str | None) -> None:
    assert region_code(country, text) == code


# ---- whatever is typed ----------------------------------------------------------------------------------------------

ABBREVIATIONS = {
    "street": "st",
    "avenue": "ave",
    "boulevard": "blvd",
    "court": "ct",
    "crt": "ct",
    "circle": "cir",
    "highway": "hwy",
    "center": "ctr",
    "centre": "ctr",
    "road": "rd",
    "plaza": "plz",
    "view": "vw",
    "lane": "ln",
    "north": "n",
    "south": "s",
    "east": "e",
    "west": "w",
    "ouest": "o",
    "northwest": "nw",
    "apartment": "apt",
    "apartamento": "apt",
    "suite": "ste",
    "building": "bldg",
    "department": "dept",
    "floor": "fl",
    "room": "rm",
    "office": "ofc",
    "basement": "bsmt",
    "penthouse": "ph",
    "front": "frnt",
    "lower": "lowr",
    "attention": "attn",
    "urbanización": "urb",
    "condominio": "cond",
    "incorporated": "inc",
    "corporation": "corp",
    "international": "intl",
    "and": "",
    "saint": "st",
    "springs": "spgs",
    "station": "sta",
    "stn": "sta",
    "gen": "general",
}
"""Of the words below, so that the tests need no table of the code they test."""
TYPED = """
12 350 12B 10-5 1/2 100½ 5th One Main Oak O'Neill Saint St. The Broadway Calle Sol Rue Queen's Quay & - , . ; / # #7 4B
E A 🏠 מִכְתָּב 東京都 Müller Rear PO P.O. Box POB RR R.R. HC PSC CMR PMB Unit Apt4 Ste-9 (Apt 5) Attn Attn: c/o C/O ℅ %
Acme Lot Way Urbanización Condominio Springs and Inc Street STREET St Ave Ave. Blvd. N S.W. NW Route Drawer No. 007
"""
WORDS = [word for known in ABBREVIATIONS for word in (known, known.title(), known.upper())] + TYPED.split() + ["x" * 45]
LINES = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)

NOTHING = st.just("")
DIRECTIONS = NOTHING | st.sampled_from(["N", "North", "South", "E", "East", "W", "West", "NW", "Northwest", "S.W."])
FRAGMENTS = st.tuples(
    NOTHING
    | st.sampled_from(["c/o Bob,", "ATTN: RECEIVING,", "% Ann", "In care of Acme, Inc.,", "Attention Receiving,"]),
    st.sampled_from(["12", "350B", "10-5", "100½", "One", "N6 W23001", "#12", "Suite 5", "Urbanización Sol, 12"]),
    DIRECTIONS,
    DIRECTIONS,
    st.sampled_from(
        ["Main", "Oak Park", "Carolina", "Court", "St. James", "Highway 66", "County Road 12", "1re", "1700"]
    ),
    NOTHING | st.sampled_from(["Street", "STREET", "Ave.", "Road", "Court", "Plaza", "Center", "View"]),
    DIRECTIONS,
    DIRECTIONS,
    NOTHING
    | st.sampled_from(
        ["Apt 4", ", Apartment #4", "Suite Five", "# 7", "#7B", "Ste100", "(Apt 5)", "- Apt 5", "; Unit B"]
    )
    | st.sampled_from(
        ["3rd Floor", "PH 2B", "Rear", "Lower", "PMB #12", "No. 4", ", Building C, Suite 5", "Lot 12 Lane"]
    )
    | st.sampled_from(["PO Box 7", "Apartamento #7", "Suites 2-4", "Upper Level", "Office 4"]),
    NOTHING | st.sampled_from(["c/o Bob", "(c/o Bob)", ", Attn: JANE", "care of Ann"]),
).map(lambda parts: " ".join(filter(None, parts)))
"""Streets of parts that stand where they belong."""
OTHER_LINES = st.sampled_from(
    """
    RR 2 # 15|RFD Route 4 #87A|RD 3 Box 45|Rt 4 Box 87A|RR03 Box 98D|Drawer 12|Firm Caller 12|P.O. Box No. 5
    HC 068 #3|PSC 3 Box 12|Unit 9, Box 1|Suite 5 Salon|Gen. Delivery|C.P. 12|P.O. Box 12 Station A|Acme Inc
    c/o Müller Hauptstr. 5|Attn: RECEIVING|Building 8|c/o|PO Box|Apartamento #7|Condominio Sol Apartamento 5
    100 Avenue Road
    """.strip()
    .replace("\n", "|")
    .split("|")
).map(str.strip)
TEXTS = (
    st.text(max_size=40)
    | LINES
    | st.sampled_from(["\u200f\u202eשלום", "a\x00b\x1b[0m\u2028c", "é" * 2000, "ab " * 667])
)
COUNTRIES = ("US", "CA", "GB", "DE", "FR", "AU", "JP", "IN", "BR", "PR", "HK", "XK")
PLACES = {
    "US": ("Dallas", "TX", "75201"),
    "PR": ("San Juan", "PR", "00926"),
    "CA": ("Toronto", "ON", "M5J 0B8"),
    "GB": ("London", "", "NW8 9AY"),
}


@st.composite
def real_places(draw: st.DrawFn, texts: st.SearchStrategy[str] = LINES | FRAGMENTS | OTHER_LINES) -> Address:
    """Any recipient and lines at a place that exists."""
    country = draw(st.sampled_from([*PLACES]))
    city, region, postal_code = PLACES[country]
    return Address(
        name=draw(texts),
        company=draw(texts),
        line1=draw(texts),
        line2=draw(texts),
        line3=draw(texts),
        city=city,
        region=region,
        postal_code=postal_code,
        country=country,
    )


ANYTHING = st.builds(
    Address,
    name=TEXTS,
    company=TEXTS,
    line1=TEXTS,
    line2=TEXTS,
    line3=TEXTS,
    city=TEXTS | st.sampled_from(["APO", "apo ae", "Tokyo"]),
    region=TEXTS | st.sampled_from(["TX", "Texas", "AE", "ON", "Tokyo"]),
    postal_code=TEXTS | st.from_regex(r"[A-Z]{0,2}[-–]?[0-9 ]{1,9}", fullmatch=True),
    country=st.sampled_from(COUNTRIES) | TEXTS,
)
LIMITS = st.fixed_dictionaries(
    {},
    optional={
        f"ShipTo{part}": st.integers(1, 60)
        for part in ("Name", "Address1", "Address2", "Address3", "City", "ZipCode", "State")
    },
)


LABELS = frozenset(
    [
        *["box", "pob", "drawer", "caller", "firm", "rr", "rural", "route", "rte", "rfd", "hc", "no"],
        *["co", "c", "o", "in", "care", "of"],
    ]
)
"""Words for a route, a box or a recipient; the cases say which becomes which."""


def words(texts: Iterable[str]) -> Counter[str]:
    """What a reader finds on the label, whether spelt out or abbreviated, glued or apart."""
    found: Counter[str] = Counter()
    for line in texts:
        text = line.casefold().replace(".", "").replace("℅", "c/o").replace("%", " c/o ").replace("&", "and")
        text = "".join(char for char in text if unicodedata.category(char) != "Cf")
        text = re.sub(r"\bc\s*/\s*o\b|\bin care of\b|\bcare of\b", "co", text)
        text = re.sub(r"\bpost office box\b|\bp\s?o\s?box\b|\bpob\b(?=\W*\d)", "box", text)
        text = re.sub(r"^r\s?r\b|^(?:rd|rte|rt)(?=\s*\d+\w?\s+box)|\br\s?r\b", "rr", text)
        for word in re.findall(r"\d+|[^\W\d_]+|½", text):
            known = ABBREVIATIONS.get(word, word)
            parts = known if known in ("ne", "nw", "se", "sw") else [known.lstrip("0") if known.isdecimal() else known]
            found.update(part for part in parts if part and part not in LABELS)
    return found


@pytest.mark.parametrize(
    "part",
    ["- ", "( ", "(", "PH ", "Rear ", "N ", "5 c/o a, ", "c/o ", "# ", "#", "12 ", ", ", "Apt ", "1 St ", "Box 1 "],
)
def test_a_line_without_end_neither_raises_nor_takes_long(part: str) -> None:
    for length in (390, 4_000, 40_000):
        line = ("12 Main St " + part * length)[:length] + ")"
        address = Address(name="A", line1=line, line2=line, line3=line, city="Dallas", region="TX", country="US")
        before = time.process_time()
        once = normalise_address(address, FIELD)
        assert normalise_address(once.as_address(), FIELD) == once.model_copy(update={"notes": []})
        assert time.process_time() - before < 2


@given(ANYTHING, LIMITS)
def test_nothing_that_is_typed_raises(address: Address, limits: dict[str, int]) -> None:
    fit_address(normalise_address(address, FIELD), limits, "ShipTo", FIELD)


@example(Address(postal_code=".", country="US"))
@given(ANYTHING)
def test_normalising_twice_changes_nothing(address: Address) -> None:
    once = normalise_address(address, FIELD)
    again = normalise_address(once.as_address(), FIELD)
    if country_code(address.country) is None:
        # What was no country is empty now: a problem either way.
        assert [problem.field for problem in again.problems] == [problem.field for problem in once.problems]
        assert again.as_address() == once.as_address()
    else:
        assert again == once.model_copy(update={"notes": []})


@given(real_places())
def test_normalising_street_words_twice_changes_nothing(address: Address) -> None:
    once = normalise_address(address, FIELD)
    assert normalise_address(once.as_address(), FIELD) == once.model_copy(update={"notes": []})


@given(real_places() | real_places(TEXTS))
def test_no_word_is_lost_by_normalising(address: Address) -> None:
    result = normalise_address(address, FIELD)
    before = words((address.name, address.company, address.line1, address.line2, address.line3))
    assert words((result.name, result.company, result.attention, *result.lines)) == before


@given(real_places(), LIMITS)
def test_fitting_loses_no_word_and_what_is_too_long_is_a_problem(address: Address, limits: dict[str, int]) -> None:
    normalised = normalise_address(address, FIELD)
    fitted = fit_address(normalised, limits, "ShipTo", FIELD)
    shown = words(fitted.columns.values())
    assert words((normalised.attention, *normalised.lines, normalised.city, normalised.region)) <= shown
    assert words([normalised.company or normalised.name]) <= shown
    assert words([normalised.name]) <= shown
    too_long = [
        f"ShipTo{part} has {len(value)} characters, Sage takes {limits[f'ShipTo{part}']}"
        for part, value in fitted.columns.items()
        if len(value) > limits.get(f"ShipTo{part}", len(value))
    ]
    assert [problem.message for problem in fitted.problems] == too_long
