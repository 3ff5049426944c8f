"""Payloads that no shop should send: a draft or problems with paths, never an exception."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from api.payload import NotJson, parse_payload
from mappings.card_numbers import mask_card_numbers
from mappings.intake import order_id_of, payload_digest, reason_to_ignore
from mappings.pair import Pair
from mappings.transform import transform
from tests.unit.conftest import SAMPLES, sample

NASTY: dict[str, Any] = {
    "null": None,
    "empty": "",
    "zero": 0,
    "minus one": -1,
    "true": True,
    "list": [],
    "object": {},
    "long text": "x" * 5_000,
    "huge number": 10**30,
    "huge text number": "1e400",
    "tiny": "0.0000001",
    "float": 1e308,
    "html": "<script>alert(1)</script>",
    "emoji": "🦄" * 40,
    "right to left": "\u202eabc\u202c",
    "nul": "a\x00b",
    "surrogate": "\ud800",
    "deep": json.loads("[" * 50 + "]" * 50),
}


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every field of a payload, and every list entry."""
    for key in node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
        yield (*path, key)
        yield from places(node[key], (*path, key))


def changed(path: tuple[Any, ...], value: Any = None, *, remove: bool = False) -> dict[str, Any]:
    payload = copy.deepcopy(SAMPLES["02-known-web-customer"])
    node: Any = payload
    for key in path[:-1]:
        node = node[key]
    if remove:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return payload


def assert_sound(payload: Any, pair: Pair) -> None:
    result = transform(payload, pair)
    assert (result.draft is None) == bool(result.problems)
    for problem in result.problems:
        assert problem.field.split(".")[0] in ("data", "payload"), problem
        assert problem.message
    result.model_dump_json()


PLACES = list(places(SAMPLES["02-known-web-customer"]))


@pytest.mark.parametrize("path", PLACES, ids=lambda path: ".".join(map(str, path)))
def test_a_spoilt_field_is_a_draft_or_problems_with_paths(path: tuple[Any, ...], pair: Pair) -> None:
    for value in NASTY.values():
        payload = changed(path, value)
        assert_sound(payload, pair)
        masked, _ = mask_card_numbers(payload)
        order_id_of(masked)
        payload_digest(masked)
        reason_to_ignore(masked, pair)
    assert_sound(changed(path, remove=True), pair)


@pytest.mark.parametrize("name", sorted(NASTY))
def test_unknown_fields_change_nothing(name: str, pair: Pair) -> None:
    payload = sample("02-known-web-customer")
    for node in (payload, payload["data"], payload["data"]["items"][0], payload["data"]["customer"]):
        node["somethingNew"] = NASTY[name]
    assert transform(payload, pair).draft == transform(sample("02-known-web-customer"), pair).draft


@pytest.mark.parametrize("quantity", [-1, "-0.5", 0, "", "many", None, [], 10**12, "NaN", "1e-9", True])
def test_a_quantity_that_cannot_be_is_named(quantity: Any, pair: Pair) -> None:
    result = transform(changed(("data", "items", 0, "quantity"), quantity), pair)
    assert [problem.field for problem in result.problems] == ["data.items[0].quantity"]


def test_five_thousand_lines_are_one_problem(pair: Pair) -> None:
    payload = sample("02-known-web-customer")
    payload["data"]["items"] = [{**payload["data"]["items"][0], "id": str(number)} for number in range(5_000)]
    [problem] = transform(payload, pair).problems
    assert (problem.field, "5,000" in problem.message) == ("data.items", True)


def test_a_thousand_wrong_lines_are_at_most_a_hundred_problems(pair: Pair) -> None:
    payload = sample("02-known-web-customer")
    payload["data"]["items"] = [{"id": str(number), "quantity": -1} for number in range(1_000)]
    assert len(transform(payload, pair).problems) == 100


def with_quantity(token: str) -> bytes:
    body = json.dumps(sample("02-known-web-customer")).replace('"quantity": 2', f'"quantity": {token}').encode()
    assert token.encode() in body
    return body


@pytest.mark.parametrize("token", ["1e999", "-0", "1" * 400, "1e-400", "2.0000000000000000000001"])
def test_numbers_beyond_all_bounds_are_read_and_held(token: str, pair: Pair) -> None:
    result = transform(parse_payload(with_quantity(token)), pair)
    assert [problem.field for problem in result.problems] == ["data.items[0].quantity"]


@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_json_number_is_refused_at_the_door(token: str) -> None:
    with pytest.raises(NotJson):
        parse_payload(with_quantity(token))
