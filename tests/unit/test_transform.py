"""The transform against sandbox/expected.yaml, and its refusal to raise."""

import json
from decimal import Decimal
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mappings.clarity_order import to_decimal
from mappings.pair import Pair, load_pair
from mappings.transform import transform
from tests.support.processes import ROOT
from tests.unit.conftest import DEMO_FILE, SAMPLES, sample

EXPECTED = yaml.safe_load((ROOT / "sandbox/expected.yaml").read_text("utf-8"))["orders"]
COMPLETE = [name for name, entry in EXPECTED.items() if entry["result"] == "complete"]
DEMO = load_pair(DEMO_FILE)


@pytest.mark.parametrize("name", COMPLETE)
def test_sample_becomes_the_expected_sage_order(name: str, pair: Pair) -> None:
    expected, result = EXPECTED[name], transform(sample(name), pair)
    assert result.problems == []
    assert result.draft is not None
    order = result.draft.sales_order
    for column in ("CustomerPONo", "ShipVia", "TaxSchedule"):
        assert getattr(order, column) == expected[column]
    assert order.FreightAmt == Decimal(expected["FreightAmt"])
    assert order.DepositAmt == Decimal(expected.get("DepositAmt", 0))
    assert order.PaymentType == expected.get("PaymentType", "")
    assert result.draft.expected.grand == Decimal(expected["Total"])
    assert len(order.Lines) == len(expected["lines"])
    for line, wanted in zip(order.Lines, expected["lines"], strict=True):
        assert line.CommentText == wanted.get("CommentText", "")
        if "UnitPrice" in wanted:
            assert line.UnitPrice == Decimal(wanted["UnitPrice"])
            assert line.QuantityOrdered == Decimal(wanted["QuantityOrdered"])


def test_every_sample_is_expected_and_every_expectation_has_its_sample() -> None:
    assert set(EXPECTED) == set(SAMPLES)
    assert len(SAMPLES) >= 16
    assert len(COMPLETE) >= 12
    for name, entry in EXPECTED.items():
        assert str(SAMPLES[name]["data"]["id"]) == entry["order_id"]


def test_title_names_the_order_without_personal_things(pair: Pair) -> None:
    assert transform(sample("08-hundred-and-twenty-lines"), pair).title == "#W-10008 · 120 lines · 2,315.86 USD"


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("items", 0, "quantity"), -1, "data.items[0].quantity"),
        (("items", 0, "quantity"), 0, "data.items[0].quantity"),
        (("items", 0, "quantity"), "many", "data.items[0].quantity"),
        (("items", 0, "quantity"), "1.005", "data.items[0].quantity"),
        (("items", 0, "quantity"), 10**30, "data.items[0].quantity"),
        (("items", 0, "unitPrice"), None, "data.items[0].unitPrice"),
        (("items", 0, "unitPrice"), "1e30", "data.items[0].unitPrice"),
        (("items", 0, "unitPrice"), True, "data.items[0].unitPrice"),
        (("items", 0, "sku"), "", "data.items[0].sku"),
        (("items", 1, "id"), "10001-1", "data.items[1].id"),
        (("items",), [], "data.items"),
        (("items",), "text", "data.items"),
        (("items",), [{}] * 1001, "data.items"),
        (("currency",), "EUR", "data.currency"),
        (("createdDate",), "yesterday", "data.createdDate"),
        (("totals", "grand"), None, "data.totals.grand"),
        (("shippingAddress",), None, "data.shippingAddress"),
        (("shippingAddress", "line1"), "", "data.shippingAddress.line1"),
        (("shippingAddress", "region"), "Atlantis", "data.shippingAddress.region"),
        (("shippingAddress", "country"), "Narnia", "data.shippingAddress.country"),
        (("shippingAddress", "postalCode"), "", "data.shippingAddress.postalCode"),
        (("shippingAddress", "city"), "x" * 31, "data.shippingAddress.city"),
        (("shipping", "method"), "Pigeon", "data.shipping.method"),
        (("fees", 0, "code"), "mystery", "data.fees[0].code"),
        (("payments", 0, "gateway"), "bitcoin", "data.payments[0].gateway"),
        (("payments", 0, "type"), "promise", "data.payments[0].type"),
        (("customer", "email"), "not an address", "data.customer.email"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_wrong_is_named_by_its_path(pair: Pair, path: tuple[Any, ...], value: Any, field: str) -> None:
    payload = sample("01-consumer-new")
    target = payload["data"]
    for part in path[:-1]:
        target = target[part]
    target[path[-1]] = value
    result = transform(payload, pair)
    assert result.draft is None
    assert field in [problem.field for problem in result.problems]
    assert all(problem.message for problem in result.problems)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_transform_never_raises_on_junk(value: Any) -> None:
    for payload in (value, {"data": value}):
        result = transform(payload, DEMO)
        assert (result.draft is None) == bool(result.problems)


@given(st.sampled_from(sorted(SAMPLES)), st.data())
def test_transform_never_raises_on_a_spoilt_order(name: str, choice: st.DataObject) -> None:
    payload = json.loads(json.dumps(SAMPLES[name]))
    places: list[tuple[Any, Any]] = []

    def collect(node: Any) -> None:
        for key in node if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                collect(node[key])

    collect(payload["data"])
    node, key = choice.draw(st.sampled_from(places))
    node[key] = choice.draw(JSON)
    result = transform(payload, DEMO)
    assert (result.draft is None) == bool(result.problems)


@given(
    st.lists(
        st.tuples(
            st.integers(1, 5000).map(lambda n: Decimal(n) / 100),
            st.integers(5, 9_999_999).map(lambda n: Decimal(n) / 10_000),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_lines_add_up_to_claritys_line_totals_to_the_penny(lines: list[tuple[Decimal, Decimal]]) -> None:
    def cents(value: Decimal) -> Decimal:
        return Decimal(int(value * 100 + Decimal("0.5"))) / 100

    payload = sample("01-consumer-new")
    payload["data"] |= {"fees": [], "discounts": []}
    payload["data"]["items"] = [
        {"id": str(number), "sku": "A", "quantity": str(quantity), "unitPrice": str(price)}
        for number, (quantity, price) in enumerate(lines)
    ]
    draft = transform(payload, DEMO).draft
    assert draft is not None
    sage = Decimal(0)
    for line in draft.sales_order.Lines:
        extension = line.QuantityOrdered * (line.UnitPrice or Decimal(0))
        sage += -cents(-extension) if extension < 0 else cents(extension)
    assert sage == sum((cents(quantity * price) for quantity, price in lines), Decimal(0))


@pytest.mark.parametrize(
    ("value", "expected"),
    [(19.995, "19.995"), ("1284.50", "1284.50"), (7, "7"), ("1e2", "1E+2"), (0.1, "0.1")],
)
def test_numbers_are_read_exactly(value: object, expected: str) -> None:
    assert to_decimal(value) == Decimal(expected)


@pytest.mark.parametrize(
    "value", [None, True, "", "1,000", "0x10", "NaN", "Infinity", float("nan"), float("inf"), [], "１"]
)
def test_what_is_no_number_is_none(value: object) -> None:
    assert to_decimal(value) is None
