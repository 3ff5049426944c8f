"""Prices, charges and tax: what the pair's rules make of an order's money (rules 5); payments: test_payments.py.

Sage's arithmetic is written down here once more, so that the mapping is not compared with itself.
"""

from collections import Counter, defaultdict
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.pair import Pair, PairFileError, load_pair
from mappings.sales_order import Draft, LineOrigin
from mappings.transform import transform
from tests.unit.conftest import DEMO_FILE, sample
from tests.unit.test_rules import pair_with

DEMO = load_pair(DEMO_FILE)
RATE = Decimal("0.0825")
"""Texas, freight included, as the sandbox's company has it."""


def cents(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)


def sage_total(draft: Draft) -> Decimal:
    """What Sage makes of a draft: extensions per tax class, tax by schedule, freight."""
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for line in draft.sales_order.Lines:
        if line.origin is not LineOrigin.COMMENT:
            sums[line.TaxClass or "TX"] += cents(line.QuantityOrdered * (line.UnitPrice or Decimal(0)))
    freight = draft.sales_order.FreightAmt
    tax = cents((sums["TX"] + freight) * RATE) if draft.sales_order.TaxSchedule == "TX" else Decimal(0)
    return sums["TX"] + sums["NT"] + freight + tax


def money(maximum: int) -> st.SearchStrategy[Decimal]:
    return st.integers(0, maximum).map(lambda number: Decimal(number) / 100)


@st.composite
def orders(draw: st.DrawFn) -> dict[str, Any]:
    """A web order in Texas whose totals Clarity added up itself: cents per line, tax on what is taxable and freight."""
    payload = sample("01-consumer-new")
    body = payload["data"]
    items: list[dict[str, Any]] = []
    base, exempt = Decimal(0), Decimal(0)
    for number in range(draw(st.integers(1, 12))):
        quantity = Decimal(draw(st.integers(1, 5_000))) / draw(st.sampled_from([1, 1, 1, 100]))
        price = Decimal(draw(st.integers(0, 9_999_999))) / draw(st.sampled_from([100, 1_000, 10_000]))
        total, taxable = cents(quantity * price), draw(st.booleans())
        discount = draw(st.sampled_from([Decimal(0), cents(total / 10), total]))
        items.append(
            {"id": f"L{number}", "sku": draw(st.sampled_from(["DESK-OAK-120", "LAMP-LED-01"])),
             "quantity": str(quantity), "unitPrice": str(price), "discount": str(discount), "taxable": taxable}
        )  # fmt: skip
        if taxable:
            base += total - discount
        else:
            exempt += total - discount
    sum_of_items = base + exempt
    coupon = cents(sum_of_items * Decimal(draw(st.integers(0, 100))) / 100)
    share = cents(coupon * base / sum_of_items) if exempt and sum_of_items else coupon
    fees: list[dict[str, Any]] = [
        {"code": "gift_wrap", "amount": str(draw(money(5_000))), "taxable": draw(st.booleans())}
        for _ in range(draw(st.integers(0, 2)))
    ]
    shipping = draw(st.just(Decimal(0)) | st.integers(100, 20_000).map(lambda number: Decimal(number) / 100))
    taxed = base - share + sum((Decimal(fee["amount"]) for fee in fees if fee["taxable"]), shipping)
    tax = cents(taxed * RATE)
    discounts = coupon + sum((Decimal(item["discount"]) for item in items), Decimal(0))
    fee_total = sum((Decimal(fee["amount"]) for fee in fees), Decimal(0))
    gross = sum((cents(Decimal(item["quantity"]) * Decimal(item["unitPrice"])) for item in items), Decimal(0))
    body |= {
        "items": items,
        "discounts": [{"code": "SAVE", "amount": str(coupon)}] if coupon else [],
        "fees": fees,
        "shipping": {**body["shipping"], "amount": str(shipping), "tax": str(cents(shipping * RATE))},
        "payments": [],
        "totals": {
            "items": str(gross), "discount": str(discounts), "shipping": str(shipping), "fees": str(fee_total),
            "tax": str(tax), "grand": str(gross - discounts + shipping + fee_total + tax),
        },
    }  # fmt: skip
    return payload


VARIANTS: dict[str, dict[str, Any]] = {
    "as the demo has it": {},
    "net prices": {"charges": {"line_discount_as": "net_price"}},
    "freight on a line": {"charges": {"freight": {"to": "charge_line", "item": "/FREIGHT"}}},
    "tax on a line": {
        "tax": {"policy": "line", "item": "/WEBTAX", "controller_consent": True, "schedules": []},
    },
    "two decimals": {"company": {"price_decimals": 2}},
}


@pytest.fixture(scope="module", params=sorted(VARIANTS))
def variant(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """The demo pair with other rules for money."""
    return pair_with(tmp_path_factory.mktemp("pairs"), **VARIANTS[request.param])


@given(payload=orders())
def test_sages_total_is_claritys_grand_total_to_the_penny(variant: Pair, payload: dict[str, Any]) -> None:
    result = transform(payload, variant)
    assert result.problems == []
    assert result.draft is not None
    assert result.draft.expected.grand == Decimal(payload["data"]["totals"]["grand"])
    assert sage_total(result.draft) == result.draft.expected.grand


@given(payload=orders())
def test_every_item_is_one_line_with_its_quantity(variant: Pair, payload: dict[str, Any]) -> None:
    draft = transform(payload, variant).draft
    assert draft is not None
    lines = [line for line in draft.sales_order.Lines if line.origin is LineOrigin.ITEM]
    assert [(line.UDF_WEB_LINE_ID, line.sku, line.QuantityOrdered) for line in lines] == [
        (item["id"], item["sku"], Decimal(item["quantity"])) for item in payload["data"]["items"]
    ]
    charges = Counter(line.origin for line in draft.sales_order.Lines if line.origin is not LineOrigin.ITEM)
    assert charges[LineOrigin.FEE] == sum(1 for fee in payload["data"]["fees"] if Decimal(fee["amount"]))


def test_with_sages_prices_no_price_is_sent_and_the_tolerance_grows(tmp_path: Path) -> None:
    pair = pair_with(tmp_path, order={"prices": {"source": "sage", "tolerance": "0.50"}})
    draft = transform(sample("01-consumer-new"), pair).draft
    assert draft is not None
    assert [line.UnitPrice for line in draft.sales_order.Lines if line.origin is LineOrigin.ITEM] == [None, None]
    assert draft.expected.tolerance == Decimal("0.50")
    assert not [line for line in draft.sales_order.Lines if line.origin is LineOrigin.ROUNDING]


def test_actual_freight_is_left_to_sage_and_out_of_the_comparison(tmp_path: Path) -> None:
    pair = pair_with(tmp_path, charges={"freight": {"amount": "actual"}})
    payload = sample("01-consumer-new")
    payload["data"]["shipping"]["tax"] = "2.02"
    draft = transform(payload, pair).draft
    assert draft is not None
    assert draft.sales_order.FreightAmt == 0
    assert draft.expected.grand == Decimal("517.90") - Decimal("24.50") - Decimal("2.02")


def test_tax_on_a_line_takes_the_exempt_schedule(tmp_path: Path) -> None:
    draft = transform(sample("01-consumer-new"), pair_with(tmp_path, **VARIANTS["tax on a line"])).draft
    assert draft is not None
    assert draft.sales_order.TaxSchedule == "NONTAX"
    assert [(line.ItemCode, line.UnitPrice, line.TaxClass) for line in draft.sales_order.Lines
            if line.origin is LineOrigin.TAX] == [("/WEBTAX", Decimal("39.47"), "NT")]  # fmt: skip


def test_tax_schedule_by_condition_comes_in_the_files_order(tmp_path: Path) -> None:
    rules = [{"when": "totals.grand > 1000", "schedule": "BIG"}, {"country": "US", "region": "TX", "schedule": "TX"}]
    pair = pair_with(tmp_path, tax={"schedules": rules})
    payload = sample("01-consumer-new")
    draft = transform(payload, pair).draft
    assert draft is not None
    assert draft.sales_order.TaxSchedule == "TX"
    payload["data"]["totals"]["grand"] = "1000.01"
    payload["data"]["payments"] = []
    draft = transform(payload, pair).draft
    assert draft is not None
    assert draft.sales_order.TaxSchedule == "BIG"


@pytest.mark.parametrize(
    ("sections", "key", "words"),
    [
        ({"tax": {"policy": "line", "item": "/T"}}, "tax", "controller_consent"),
        ({"tax": {"policy": "line", "controller_consent": True}}, "tax", "tax-liability"),
        ({"tax": {"policy": "engine"}}, "tax", "commits"),
        ({"tax": {"policy": "engine", "commits": "both", "schedules": []}}, "tax.commits", "clarity"),
        ({"tax": {"commits": "sage"}}, "tax", "commits"),
        ({"tax": {"schedules": [{"schedule": "TX"}]}}, "tax.schedules[0]", "country or when"),
        ({"charges": {"freight": {"to": "charge_line"}}}, "charges.freight", "needs item"),
        ({"charges": {"freight": {"item": "/F"}}}, "charges.freight", "charge_line only"),
        (
            {"charges": {"freight": {"to": "charge_line", "item": "/F", "amount": "actual"}}},
            "charges.freight",
            "actual",
        ),
        ({"payments": [{"gateway": "stripe"}]}, "payments[0]", "needs payment_type"),
        ({"payments": [{"gateway": "g", "payment_type": "A", "charge_item": "/G"}]}, "payments[0]", "stands alone"),
        ({"payments": [{"gateway": "g", "payment_type": "A", "route": "cash"}]}, "payments[0].route", "prepayment"),
        ({"order": {"prices": {"source": "both"}}}, "order.prices.source", "sage"),
    ],
)
def test_a_contradiction_in_the_pair_file_is_explained(
    sections: dict[str, Any], key: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(PairFileError) as caught:
        pair_with(tmp_path, **sections)
    assert key in str(caught.value)
    assert words in str(caught.value)
