"""Prices, charges and tax: what the pair's rules make of an order's money (rules 5); payments: test_payments.py.

Sage's arithmetic is written down here once more, so that the mapping is not compared with itself.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
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


def to_the_cent(amount: Fraction) -> Decimal:
    """Halves go up; exact, as no quotient is written as a decimal before."""
    return Decimal(int(amount * 100 + Fraction(1, 2))) / 100


def money(maximum: int) -> st.SearchStrategy[Decimal]:
    return st.integers(0, maximum).map(lambda number: Decimal(number) / 100)


def parts_of(draw: st.DrawFn, amount: Decimal) -> list[Decimal]:
    """Up to five coupons that come to `amount`."""
    cuts = sorted(draw(st.lists(st.integers(0, int(amount * 100)), max_size=4)))
    edges = [0, *cuts, int(amount * 100)]
    return [Decimal(after - before) / 100 for before, after in pairwise(edges)] if amount else []


@st.composite
def orders(draw: st.DrawFn) -> dict[str, Any]:
    """A web order in Texas whose totals Clarity added up itself: cents per line, tax on what is taxable and freight."""
    payload = sample("01-consumer-new")
    body = payload["data"]
    items: list[dict[str, Any]] = []
    base, exempt = Decimal(0), Decimal(0)
    for number in range(draw(st.integers(1, 12))):
        quantity = Decimal(draw(st.integers(1, 5_000))) / draw(st.sampled_from([1, 1, 1, 100]))
        # At two decimals 0.005 is still a price; what is less is refused (below).
        price = Decimal(draw(st.integers(50, 9_999_999))) / draw(st.sampled_from([100, 1_000, 10_000]))
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
    fees: list[dict[str, Any]] = [
        {"code": "gift_wrap", "amount": str(draw(money(5_000))), "taxable": draw(st.booleans())}
        for _ in range(draw(st.integers(0, 2)))
    ]
    base += sum((Decimal(fee["amount"]) for fee in fees if fee["taxable"]), Decimal(0))
    exempt += sum((Decimal(fee["amount"]) for fee in fees if not fee["taxable"]), Decimal(0))
    coupon = cents((base + exempt) * Decimal(draw(st.integers(0, 100))) / 100)
    coupons = parts_of(draw, coupon)
    share = to_the_cent(Fraction(coupon) * Fraction(base) / Fraction(base + exempt)) if base + exempt else Decimal(0)
    shipping = draw(st.just(Decimal(0)) | st.integers(100, 20_000).map(lambda number: Decimal(number) / 100))
    taxed = base - share + shipping
    tax = cents(taxed * RATE)
    discounts = coupon + sum((Decimal(item["discount"]) for item in items), Decimal(0))
    fee_total = sum((Decimal(fee["amount"]) for fee in fees), Decimal(0))
    gross = sum((cents(Decimal(item["quantity"]) * Decimal(item["unitPrice"])) for item in items), Decimal(0))
    body |= {
        "items": items,
        "discounts": [{"code": f"SAVE{number}", "amount": str(part)} for number, part in enumerate(coupons)],
        "fees": fees,
        "shipping": {**body["shipping"], "amount": str(shipping), "tax": str(cents(shipping * RATE))},
        "payments": [],
        "totals": {
            "items": str(gross), "discount": str(discounts), "shipping": str(shipping), "fees": str(fee_total),
            "tax": str(tax), "grand": str(gross - discounts + shipping + fee_total + tax),
        },
    }  # fmt: skip
    return payload


NO_LIMIT = {"rounding_limit": 1_000}
"""The orders below have 5,000 pieces at prices of four decimals."""
VARIANTS: dict[str, dict[str, Any]] = {
    "as the demo has it": {"charges": NO_LIMIT},
    "net prices": {"charges": {**NO_LIMIT, "line_discount_as": "net_price"}},
    "freight on a line": {"charges": {**NO_LIMIT, "freight": {"to": "charge_line", "item": "/FREIGHT"}}},
    "tax on a line": {
        "charges": NO_LIMIT,
        "tax": {"policy": "line", "item": "/WEBTAX", "controller_consent": True, "schedules": []},
    },
    "two decimals": {"charges": NO_LIMIT, "company": {"price_decimals": 2}},
}


with TemporaryDirectory() as folder:
    TWO_CLASSES = pair_with(Path(folder), charges={**NO_LIMIT, "order_discount": "/COUPON"})
    """A pair whose coupons have an item of their own."""


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
def test_shares_of_discounts_add_up_and_leave_claritys_taxable_base(payload: dict[str, Any]) -> None:
    draft = transform(payload, TWO_CLASSES).draft
    assert draft is not None
    body = payload["data"]
    sums = {
        True: sum((cents(Decimal(item["quantity"]) * Decimal(item["unitPrice"])) - Decimal(item["discount"])
                   for item in body["items"] if item["taxable"]), Decimal(0)),
        False: sum((cents(Decimal(item["quantity"]) * Decimal(item["unitPrice"])) - Decimal(item["discount"])
                    for item in body["items"] if not item["taxable"]), Decimal(0)),
    }  # fmt: skip
    for fee in body["fees"]:
        sums[fee["taxable"]] += Decimal(fee["amount"])
    coupon = sum((Decimal(discount["amount"]) for discount in body["discounts"]), Decimal(0))
    whole = sums[True] + sums[False]
    share = to_the_cent(Fraction(coupon) * Fraction(sums[True]) / Fraction(whole)) if whole else Decimal(0)
    own = [line for line in draft.sales_order.Lines if line.ItemCode == "/COUPON"]
    by_class = {name: -sum((line.UnitPrice or Decimal(0) for line in own if line.TaxClass == name), Decimal(0))
                for name in ("TX", "NT")}  # fmt: skip
    assert by_class == {"TX": share, "NT": coupon - share}
    assert all((line.UnitPrice or 0) < 0 for line in own)
    bases = {
        name: sum((cents(line.QuantityOrdered * (line.UnitPrice or Decimal(0))) for line in draft.sales_order.Lines
                   if line.origin is not LineOrigin.COMMENT and (line.TaxClass or "TX") == name), Decimal(0))
        for name in ("TX", "NT")
    }  # fmt: skip
    assert bases == {"TX": sums[True] - share, "NT": sums[False] - (coupon - share)}
    assert min(bases.values()) >= 0, "Sage refuses a negative taxable amount"


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
    assert draft.expected.tax == Decimal("39.47") - Decimal("2.02")


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
        (
            {
                "charges": {"freight": {"amount": "actual"}},
                "tax": {"policy": "line", "item": "/T", "controller_consent": True, "schedules": []},
            },
            "tax.policy",
            "policy: line does not go with charges.freight.amount: actual",
        ),
        ({"company": {"price_decimals": 0}}, "company.price_decimals", "greater than or equal to 2"),
        ({"charges": {"rounding_limit": "-0.01"}}, "charges.rounding_limit", "greater than or equal to 0"),
        ({"charges": {"discounts": {"FREESHIP": {"tax_class": "NT"}}}}, "charges.discounts.FREESHIP.item", "missing"),
        ({"payments": [{"gateway": "g", "payment_type": "A", "reference": "cheque"}]}, "reference", "check_no"),
        ({"tax": {"exempt_regions": ["Texas"]}}, "tax.exempt_regions[0]", "pattern"),
    ],
)
def test_a_contradiction_in_the_pair_file_is_explained(
    sections: dict[str, Any], key: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(PairFileError) as caught:
        pair_with(tmp_path, **sections)
    assert key in str(caught.value)
    assert words in str(caught.value)


# ---- rounding -------------------------------------------------------------------------------------------------------


def sold(quantity: str, price: str, discount: str = "0") -> dict[str, Any]:
    """Order 01 with one item, whose totals Clarity added up itself."""
    payload = sample("01-consumer-new")
    total = cents(Decimal(quantity) * Decimal(price)) - Decimal(discount)
    payload["data"] |= {
        "items": [{"id": "1", "sku": "LAMP-LED-01", "quantity": quantity, "unitPrice": price, "discount": discount}],
        "fees": [], "discounts": [], "payments": [], "shipping": {},
        "totals": {"items": str(total), "grand": str(total)},
    }  # fmt: skip
    return payload


@pytest.mark.parametrize(
    ("decimals", "quantity", "price", "says"),
    [
        (2, "10000", "0.0149", "10000 × 0.0149 is 149.00; at the company's 2 decimals 10000 × 0.01 is 100.00, "
         "and +49.00 would stand on the line /ROUND (limit 0.05)"),
        (2, "10000", "0.0049", "0.0049 is 0.00 at the company's 2 decimals: the item would be free"),
        (3, "1", "0.0004", "0.0004 is 0.000 at the company's 3 decimals: the item would be free"),
        (3, "101", "0.8335", "101 × 0.8335 is 84.18; at the company's 3 decimals 101 × 0.834 is 84.23, and -0.05 "
         "would stand on the line /ROUND (limit 0.04)"),
    ],
)  # fmt: skip
def test_more_than_rounding_on_the_rounding_line_is_held(
    decimals: int, quantity: str, price: str, says: str, tmp_path: Path
) -> None:
    limit = {"rounding_limit": "0.04"} if "limit 0.04" in says else {}
    pair = pair_with(tmp_path, company={"price_decimals": decimals}, charges=limit)
    (problem,) = transform(sold(quantity, price), pair).problems
    assert (problem.field, problem.message) == ("data.items[0].unitPrice", says)
    assert "larger unit" in problem.suggestion
    assert "charges.rounding_limit in site.yaml" in problem.suggestion


@pytest.mark.parametrize(
    ("quantity", "price", "rest"), [("100", "0.8335", "-0.05"), ("3", "0.0005", "0.00"), ("5", "0", "0")]
)
def test_what_rounding_loses_stands_on_its_line(quantity: str, price: str, rest: str) -> None:
    draft = transform(sold(quantity, price), DEMO).draft
    assert draft is not None
    assert sum((line.UnitPrice or Decimal(0) for line in draft.sales_order.Lines
                if line.origin is LineOrigin.ROUNDING), Decimal(0)) == Decimal(rest)  # fmt: skip


def test_a_net_price_may_be_nothing_and_may_not_become_nothing(tmp_path: Path) -> None:
    pair = pair_with(tmp_path, charges={"line_discount_as": "net_price"})
    assert transform(sold("10", "5.00", "50.00"), pair).problems == []
    (problem,) = transform(sold("100", "0.001", "0.07"), pair).problems
    assert problem.message == "0.0003 is 0.000 at the company's 3 decimals: the item would be free"


def test_sages_own_prices_are_not_rounded_here(tmp_path: Path) -> None:
    pair = pair_with(tmp_path, order={"prices": {"source": "sage"}})
    assert transform(sold("10000", "0.0001"), pair).problems == []


# ---- discounts on the order -----------------------------------------------------------------------------------------


def discounted(
    items: list[tuple[str, bool]], coupons: list[tuple[str, str]], fees: Sequence[tuple[str, bool]] = ()
) -> Any:
    """Order 01 of single items at these prices, with coupons and fees: amount or code first, taxability or amount."""
    payload = sample("01-consumer-new")
    goods = sum((Decimal(price) for price, _ in items), Decimal(0))
    extra = sum((Decimal(amount) for amount, _ in fees), Decimal(0))
    less = sum((Decimal(amount) for _, amount in coupons), Decimal(0))
    payload["data"] |= {
        "items": [
            {"id": str(number), "sku": "LAMP-LED-01", "quantity": 1, "unitPrice": price, "taxable": taxable}
            for number, (price, taxable) in enumerate(items)
        ],
        "discounts": [{"code": code, "amount": amount} for code, amount in coupons],
        "fees": [{"code": "gift_wrap", "amount": amount, "taxable": taxable} for amount, taxable in fees],
        "payments": [],
        "totals": {"items": str(goods), "discount": str(less), "fees": str(extra), "grand": str(goods + extra - less)},
    }
    return payload


def discount_lines(payload: Any, pair: Pair) -> list[tuple[str, Decimal | None, str]]:
    result = transform(payload, pair)
    assert result.draft is not None, result.problems
    lines = result.draft.sales_order.Lines
    return [(line.ItemCode, line.UnitPrice, line.TaxClass) for line in lines if line.origin is LineOrigin.DISCOUNT]


def test_several_coupons_are_shared_as_their_sum() -> None:
    coupons = [("A", "0.53"), ("B", "1.63"), ("C", "0.16"), ("D", "0.12")]
    lines = discount_lines(discounted([("92.27", True), ("79.96", False)], coupons), DEMO)
    taxable = -sum((price or Decimal(0) for _, price, tax_class in lines if tax_class == "TX"), Decimal(0))
    assert taxable == to_the_cent(Fraction("2.44") * Fraction("92.27") / Fraction("172.23")) == Decimal("1.31")
    assert -sum((price or Decimal(0) for _, price, _ in lines), Decimal(0)) == Decimal("2.44")


@pytest.mark.parametrize(
    ("items", "fees", "classes"),
    [
        ([("50.00", False)], [], {"NT": "10.00"}),
        ([("50.00", True)], [], {"TX": "10.00"}),
        ([("50.00", False)], [("50.00", True)], {"TX": "5.00", "NT": "5.00"}),
        ([("50.00", True)], [("50.00", False)], {"TX": "5.00", "NT": "5.00"}),
        ([("0.00", False)], [("20.00", False)], {"NT": "10.00"}),
        ([("0.00", False)], [], {"NT": "10.00"}),
        ([("0.00", True)], [], {"TX": "10.00"}),
    ],
)
def test_a_coupon_goes_where_the_goods_and_fees_are_taxed(
    items: list[tuple[str, bool]], fees: list[tuple[str, bool]], classes: dict[str, str]
) -> None:
    payload = discounted(items, [("SAVE", "10.00")], fees)
    payload["data"]["totals"]["grand"] = "1"
    assert {tax_class: -(price or 0) for _, price, tax_class in discount_lines(payload, DEMO)} == {
        name: Decimal(amount) for name, amount in classes.items()
    }


def test_a_discount_code_has_an_item_and_a_tax_class_of_its_own(tmp_path: Path) -> None:
    codes = {"FREESHIP": {"item": "/WEBFRT", "tax_class": "NT"}, "VIP": {"item": "/VIP"}}
    pair = pair_with(tmp_path, charges={"discounts": codes})
    coupons = [("freeship", "24.50"), ("VIP", "10.00"), ("OTHER", "1.00")]
    goods = [("50.00", True), ("50.00", False)]
    assert discount_lines(discounted(goods, coupons), pair) == [
        ("/WEBFRT", Decimal("-24.50"), "NT"),
        ("/VIP", Decimal("-5.00"), "TX"),
        ("/VIP", Decimal("-5.00"), "NT"),
        ("/WEBDISC", Decimal("-0.50"), "TX"),
        ("/WEBDISC", Decimal("-0.50"), "NT"),
    ]
    assert discount_lines(discounted([("50.00", True)], coupons[:1]), DEMO) == [
        ("/WEBDISC", Decimal("-24.50"), "TX")
    ], "without the table, as any discount"
