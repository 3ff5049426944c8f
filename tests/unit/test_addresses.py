"""Addresses: every case of address_cases.yaml, and what holds for any text."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mappings.addresses import NormalisedAddress, fit_address, normalise_address
from mappings.canonical import Address
from mappings.places import country_code, sage_country
from mappings.postal_words import BUSINESS_WORDS, CITY_WORDS, DIRECTIONALS, SUFFIXES, UNITS

CASES: dict[str, list[Any]] = yaml.safe_load((Path(__file__).parent / "address_cases.yaml").read_text("utf-8"))
GOOD: dict[str, dict[str, str]] = {
    "US": {"city": "Houston", "region": "TX", "postal_code": "77056"},
    "PR": {"city": "San Juan", "region": "PR", "postal_code": "00926", "country": "US"},
    "CA": {"city": "Toronto", "region": "ON", "postal_code": "M5J 0B8"},
    "GB": {"city": "London", "postal_code": "NW8 9AY"},
    "DE": {"city": "Berlin", "postal_code": "10115"},
    "FR": {"city": "Paris", "postal_code": "75001"},
    "AU": {"city": "Sydney", "region": "NSW", "postal_code": "2000"},
    "JP": {"city": "Chiyoda-ku", "region": "Tokyo", "postal_code": "100-0005"},
    "IN": {"city": "Mumbai", "region": "Maharashtra", "postal_code": "400001"},
    "NL": {"city": "Amsterdam", "postal_code": "1012 AB"},
    "PL": {"city": "Warszawa", "postal_code": "00-950"},
}
COLUMNS = {"ShipToName": 50, "ShipToAddress1": 40, "ShipToAddress2": 40, "ShipToAddress3": 40, "ShipToCity": 30,
           "ShipToState": 2, "ShipToZipCode": 10}  # fmt: skip


def normalised(country: str, **parts: str) -> NormalisedAddress:
    """A good address of the country but for these parts."""
    return normalise_address(
        Address(**{"name": "Ann Lee", "line1": "Test 1", "country": country, **GOOD.get(country, {}), **parts}), "f"
    )


def test_there_are_enough_cases_and_every_country_has_some() -> None:
    assert sum(map(len, CASES.values())) >= 150
    assert {case[0] for case in CASES["streets"]} >= {"US", "PR", "CA", "GB", "DE", "FR", "AU", "JP", "IN"}


@pytest.mark.parametrize(("country", "typed", "expected", "rule"), CASES["streets"], ids=lambda value: str(value)[:40])
def test_streets(country: str, typed: str, expected: str, rule: str) -> None:
    address = normalised(country, line1=typed)
    assert address.lines == [expected], rule
    assert address.problems == [], rule
    assert bool(address.notes) == (typed != expected)


@pytest.mark.parametrize(("country", "typed", "code", "postal_code", "rule"), CASES["regions"])
def test_regions(country: str, typed: str, code: str, postal_code: str, rule: str) -> None:
    address = normalised(country, region=typed, postal_code=postal_code)
    assert (address.region, address.problems) == (code, []), rule


@pytest.mark.parametrize(("typed", "code", "sage", "rule"), CASES["countries"])
def test_countries(typed: str, code: str, sage: str, rule: str) -> None:
    assert country_code(typed) == code, rule
    assert sage_country(code) == sage


@pytest.mark.parametrize(("country", "region", "typed", "expected", "rule"), CASES["postal_codes"])
def test_postal_codes(country: str, region: str, typed: str, expected: str, rule: str) -> None:
    address = normalised(country, region=region, postal_code=typed)
    if expected == "problem":
        assert [problem.field for problem in address.problems] == ["f.postalCode"], rule
    else:
        assert (address.postal_code, address.problems) == (expected, []), rule


@pytest.mark.parametrize("case", CASES["fitted"], ids=lambda case: case["rule"])
def test_fitted(case: dict[str, Any]) -> None:
    address = normalise_address(Address(**case["typed"]), "f")
    assert address.problems == []
    fitted = fit_address(address, COLUMNS, "ShipTo", "f")
    if "problem" in case:
        assert case["problem"] in fitted.problems[0].message
    else:
        assert {name: value for name, value in fitted.columns.items() if value} == case["fits"]
        assert fitted.problems == []


def test_a_lost_zero_is_suggested_and_missing_parts_are_named() -> None:
    assert "02108" in normalised("US", region="MA", postal_code="2108").problems[0].suggestion
    empty = normalise_address(Address(), "f")
    assert [problem.field for problem in empty.problems] == ["f.name", "f.line1", "f.city", "f.country"]
    nowhere = normalise_address(Address(name="A", line1="1 B St", city="C", country="US"), "f")
    assert [problem.field for problem in nowhere.problems] == ["f.region", "f.postalCode"]


WORDS = st.sampled_from(
    """12 221B Main Street St. STREET north S.W. Avenue Apt Apartment 4B Suite #5 P.O. Box RR 2 HC c/o Attn: Bob Rue de
    Saint-Paul Calle Ost Hauptstraße 丸の内 🏠 Floor 12, Unit Lake Park Plaza psc apo The Route Rural Star""".split()  # noqa: SIM905
)
LINES = st.lists(WORDS, max_size=9).map(" ".join) | st.text(max_size=60)
ADDRESSES = st.builds(
    Address,
    name=st.text(max_size=80),
    company=st.just("") | LINES,
    line1=LINES,
    line2=LINES,
    line3=st.just("") | LINES,
    city=st.sampled_from(["Houston", "apo", "", "San Juan", "Saint Louis"]) | st.text(max_size=50),
    region=st.sampled_from(["TX", "texas", "", "Québec", "NSW", "Tokyo"]) | st.text(max_size=20),
    postal_code=st.sampled_from(["77056", "770561234", "m5j0b8", "", "nw89ay", "D-10115"]) | st.text(max_size=20),
    country=st.sampled_from(["US", "CA", "GB", "DE", "FR", "AU", "JP", "IN", "PR", "Puerto Rico", "", "Narnia"])
    | st.text(max_size=20),
)
STANDARD = {
    **{word: short for table in (DIRECTIONALS, SUFFIXES, UNITS) for word, short in table.items()},
}
SHORT = {word: short.upper() for table in (BUSINESS_WORDS, CITY_WORDS) for word, short in table.items()}
ROUTES = {"RURAL": "RR", "RFD": "RR", "ROUTE": "RR", "POST": "PO", "OFFICE": "PO", "BOX": "BOX"}


def key(word: str) -> str:
    """What must survive of a word: its letters and digits, abbreviated as the standard does."""
    bare = "".join(character for character in word.upper() if character.isalnum())
    return {"ATTENTION": "ATTN", "ATT": "ATTN"}.get(bare) or STANDARD.get(bare, bare)


def again(address: NormalisedAddress) -> Address:
    """A normalised address as if it had been typed so."""
    lines = [*([address.attention] if address.attention else []), *address.lines]
    one, two, three = (*lines, "", "", "")[:3]
    return Address(
        name=address.name, company=address.company, line1=one, line2=two, line3=three, city=address.city,
        region=address.region, postal_code=address.postal_code, country=address.country,
    )  # fmt: skip


@given(ADDRESSES)
def test_normalising_twice_changes_nothing(typed: Address) -> None:
    once = normalise_address(typed, "f")
    twice = normalise_address(again(once), "f")
    assert twice.model_dump(exclude={"problems", "notes"}) == once.model_dump(exclude={"problems", "notes"})


@given(ADDRESSES)
def test_no_word_is_lost(typed: Address) -> None:
    after = normalise_address(typed, "f")
    fitted = fit_address(after, COLUMNS, "ShipTo", "f")
    found = {key(word) for text in (after.name, after.company, after.attention, *after.lines) for word in text.split()}
    for text in (typed.name, typed.company, typed.line1, typed.line2, typed.line3):
        for word in text.split():
            assert key(word) in found | {""} or key(word) in ("POBOX", "NO") or word.startswith("#"), word
    if not fitted.problems:
        kept = " ".join([fitted.Name, fitted.Address1, fitted.Address2, fitted.Address3, fitted.City, fitted.State])
        shown = {key(word) for word in kept.replace(",", " ").split()}
        for text in (after.company or after.name, after.attention, *after.lines, after.city):
            for word in text.replace(",", " ").split():
                assert key(word) in shown or SHORT.get(key(word)) in shown or key(word) == "", word


@given(ADDRESSES)
def test_what_is_stored_fits_or_is_a_problem(typed: Address) -> None:
    fitted = fit_address(normalise_address(typed, "f"), COLUMNS, "ShipTo", "f")
    too_long = [name for name, value in fitted.columns.items() if len(value) > COLUMNS.get(f"ShipTo{name}", 3)]
    assert not too_long or fitted.problems
