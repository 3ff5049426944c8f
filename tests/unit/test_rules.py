"""What a pair file can say with conditions and expressions, from file to Sage's columns."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from mappings.canonical import Order
from mappings.clarity_order import parse_order
from mappings.pair import Pair, PairFileError, load_pair
from mappings.problems import HoldReason
from mappings.sales_order import LineOrigin
from mappings.transform import order_for_rules, transform
from tests.unit.conftest import DEMO_FILE, sample

DEMO = load_pair(DEMO_FILE)
DEMO_SCHEDULES: list[dict[str, Any]] = yaml.safe_load(DEMO_FILE.read_text("utf-8"))["tax"]["schedules"]


def pair_with(folder: Path, **sections: object) -> Pair:
    """The demo pair with keys added to its sections, through a file."""
    content = yaml.safe_load(DEMO_FILE.read_text("utf-8"))
    for name, value in sections.items():
        if isinstance(content.get(name), dict):
            content[name] |= value
        else:
            content[name] = value
    file = folder / "site.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
    return load_pair(file)


def test_header_columns_by_rule_and_from_the_order(tmp_path: Path) -> None:
    pair = pair_with(
        tmp_path,
        order={
            "header": {"CycleCode": "01"},
            "header_rules": [
                {"when": "shipping.region == 'TX'", "header": {"SalespersonNo": "0100", "CycleCode": "02"}},
                {"when": "totals.grand > 100000", "header": {"SalespersonNo": "0900"}},
            ],
            "header_values": {"Comment": "buyer.first_name", "UDF_GIFT": 'attributes&["gift"]'},
        },
    )
    payload = sample("01-consumer-new")
    payload["data"]["attributes"] = {"gift": "With love"}
    draft = transform(payload, pair).draft
    assert draft is not None
    assert draft.sales_order.extra == {
        "CycleCode": "02",
        "SalespersonNo": "0100",
        "Comment": "Emma",
        "UDF_GIFT": "With love",
    }


def test_lines_by_rule_and_from_the_line(tmp_path: Path) -> None:
    pair = pair_with(
        tmp_path,
        order={
            "warehouses": [{"when": "line.quantity >= 2 and order.shipping.country == 'US'", "warehouse": "001"}],
            "line_values": {"UDF_ENGRAVING": 'line.attributes&["engraving"]'},
        },
    )
    payload = sample("01-consumer-new")
    payload["data"]["items"][0]["attributes"] = {"engraving": "E. C."}
    draft = transform(payload, pair).draft
    assert draft is not None
    desk, lamp = draft.sales_order.Lines[:2]
    assert (desk.WarehouseCode, lamp.WarehouseCode) == ("000", "001")
    assert (desk.extra, lamp.extra) == ({"UDF_ENGRAVING": "E. C."}, {})


def test_checks_concern_the_orders_that_their_condition_names(tmp_path: Path) -> None:
    checks = [
        {"name": "credit", "on_fail": "credit", "when": "totals.grand > 1000"},
        {"name": "stock", "on_fail": "out_of_stock"},
    ]
    pair = pair_with(tmp_path, checks=checks)
    draft = transform(sample("01-consumer-new"), pair).draft
    assert draft is not None
    assert draft.checks is not None
    assert [check.on_fail for check in draft.checks] == [HoldReason.OUT_OF_STOCK]
    # It travels as JSON and comes back as it was.
    assert type(draft).model_validate_json(draft.model_dump_json()) == draft


def test_a_rule_without_an_answer_is_a_problem_and_a_value_that_does_not_fit_too(tmp_path: Path) -> None:
    pair = pair_with(
        tmp_path,
        order={
            "header_values": {"Comment": "1 / totals.discount", "ConfirmTo": "notes"},
            "notes": False,
        },
    )
    payload = sample("01-consumer-new")
    payload["data"]["notes"] = "x" * 51
    result = transform(payload, pair)
    assert {problem.field for problem in result.problems} == {
        "pair.order.header_values.Comment",
        "pair.order.header_values.ConfirmTo",
    }


@pytest.mark.parametrize(
    ("order", "key", "says"),
    [
        ({"header_values": {"Comment": "buyer.frist_name"}}, "order.header_values.Comment", "first_name"),
        ({"warehouses": [{"when": "line.quantity > 'a'", "warehouse": "1"}]}, "order.warehouses[0].when", "number"),
        ({"header_rules": [{"when": "totals.grand", "header": {"FOB": "x"}}]}, "order.header_rules[0].when", ""),
        ({"header_rules": [{"when": "number =~ 'x'", "header": {"FOB": "x"}}]}, "order.header_rules[0].when", ""),
    ],
)
def test_a_bad_rule_names_file_line_key_and_remedy(tmp_path: Path, order: object, key: str, says: str) -> None:
    with pytest.raises(PairFileError) as error:
        pair_with(tmp_path, order=order)
    text = str(error.value)
    assert "site.yaml:" in text
    assert key in text
    assert says in text


# ---- how rules see an order -----------------------------------------------------------------------------------------

SPELLINGS = [("US", "TX"), ("US", "Texas"), ("USA", "TX"), ("United States", "tx"), ("us", " texas ")]


def to_place(country: str, region: str) -> dict[str, Any]:
    payload = sample("01-consumer-new")
    for side in ("shippingAddress", "billingAddress"):
        payload["data"][side] |= {"country": country, "region": region}
    return payload


@pytest.mark.parametrize(("country", "region"), SPELLINGS)
def test_conditions_see_codes_however_a_place_is_spelt(country: str, region: str, tmp_path: Path) -> None:
    pair = pair_with(
        tmp_path,
        order={
            "header_rules": [
                {"when": "shipping.region == 'TX' and billing.region == 'TX'", "header": {"SalespersonNo": "0100"}}
            ],
            "header_values": {"Comment": "shipping.country + ' ' + shipping.region"},
            "warehouses": [{"when": "order.shipping.country == 'US'", "warehouse": "001"}],
            "line_values": {"UDF_STATE": "order.shipping.region"},
        },
        checks=[{"name": "stock", "on_fail": "out_of_stock", "when": "shipping.region == 'TX'"}],
        tax={"schedules": [{"when": "shipping.region == 'TX'", "schedule": "TX"}]},
    )
    draft = transform(to_place(country, region), pair).draft
    assert draft is not None
    assert draft.sales_order.extra == {"SalespersonNo": "0100", "Comment": "US TX"}
    assert {(line.WarehouseCode, line.extra["UDF_STATE"]) for line in draft.sales_order.Lines
            if line.origin is LineOrigin.ITEM} == {("001", "TX")}  # fmt: skip
    assert [check.name for check in draft.checks or []] == ["stock"]
    assert draft.sales_order.TaxSchedule == "TX"


def test_the_order_keeps_what_was_typed_and_rules_see_the_same_twice() -> None:
    order = parse_order(to_place("USA", "Texas"), 100)
    assert isinstance(order, Order)
    seen = order_for_rules(order, DEMO)
    assert (order.shipping.country, order.shipping.region, order.ordered_on) == ("USA", "Texas", None)
    assert (seen.shipping.country, seen.shipping.region) == ("US", "TX")
    assert order_for_rules(seen, DEMO) == seen


def test_a_region_of_a_country_without_codes_stays_as_typed() -> None:
    order = parse_order(to_place("Deutschland", "Bayern"), 100)
    assert isinstance(order, Order)
    seen = order_for_rules(order, DEMO)
    assert (seen.shipping.country, seen.shipping.region) == ("DE", "Bayern")


def test_an_unknown_country_is_seen_as_typed() -> None:
    order = parse_order(to_place("Narnia", "North"), 100)
    assert isinstance(order, Order)
    assert order_for_rules(order, DEMO).shipping == order.shipping


@pytest.mark.parametrize(
    ("created", "day", "weekday"),
    [
        ("2026-11-21T03:30:00Z", "2026-11-20", "Friday"),
        ("2026-11-20T23:30:00-06:00", "2026-11-20", "Friday"),
        ("2026-11-21T06:30:00Z", "2026-11-21", "Saturday"),
    ],
)
def test_the_companys_day_is_a_date_for_rules(created: str, day: str, weekday: str, tmp_path: Path) -> None:
    pair = pair_with(
        tmp_path,
        order={
            "header_values": {"UDF_DAY": "ordered_on", "Comment": "order.ordered_on.weekday"},
            "header_rules": [{"when": f"ordered_on == d'{day}'", "header": {"CycleCode": "07"}}],
        },
    )
    payload = sample("01-consumer-new")
    payload["data"]["createdDate"] = created
    draft = transform(payload, pair).draft
    assert draft is not None
    assert draft.sales_order.extra == {"CycleCode": "07", "UDF_DAY": day, "Comment": weekday}
    assert draft.sales_order.OrderDate.isoformat() == day


@pytest.mark.parametrize("created", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1899-12-31T23:59:59Z"])
def test_a_date_that_no_time_zone_or_sage_can_hold_is_a_problem(created: str) -> None:
    payload = sample("01-consumer-new")
    payload["data"]["createdDate"] = created
    assert [problem.field for problem in transform(payload, DEMO).problems] == ["data.createdDate"]


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("totals.grand", "517.90"),
        ("totals.items", "449.00"),
        ("totals.discount", "0.00"),
        ("delivery.tax", "0.00"),
        ("captured", "517.90"),
        ("lines&[0].unit_price", "1234.567"),
        ("lines&[1].unit_price", "50.00"),
        ("payments&[0].amount", "517.90"),
        ("lines&[0].quantity", "1"),
        ("totals.grand.to_str", "517.90"),
    ],
)
def test_money_is_written_with_its_cents(expression: str, text: str, tmp_path: Path) -> None:
    pair = pair_with(tmp_path, order={"header_values": {"UDF_AMOUNT": expression}})
    payload = sample("01-consumer-new")
    payload["data"]["totals"] |= {"grand": 517.9, "items": 449}
    payload["data"]["items"][0] |= {"unitPrice": "1234.567", "quantity": 1}
    payload["data"]["items"][1]["unitPrice"] = "5e1"
    payload["data"]["payments"][0]["amount"] = "517.9"
    del payload["data"]["totals"]["discount"]
    payload["data"]["shipping"].pop("tax", None)
    draft = transform(payload, pair).draft
    assert draft is not None
    assert draft.sales_order.extra == {"UDF_AMOUNT": text}


# ---- exemptions -----------------------------------------------------------------------------------------------------


def exempt(**customer: str) -> dict[str, Any]:
    """Order 01 to Texas with an exemption number."""
    payload = sample("01-consumer-new")
    payload["data"]["customer"] |= {"taxExemptNo": "TX-123", **customer}
    return payload


def test_what_a_guest_typed_exempts_nothing_and_is_seen() -> None:
    payload = exempt()
    result = transform(payload, DEMO)
    assert result.problems == []
    assert result.draft is not None
    order, new = result.draft.sales_order, result.draft.customer.new_customer
    assert (order.TaxSchedule, order.TaxExemptNo, new.TaxSchedule, new.TaxExemptNo) == ("TX", "", "TX", "")
    assert "Tax exemption number TX-123 came without an account; it was not applied" in [
        line.CommentText for line in order.Lines
    ]
    (warning,) = (one for one in result.warnings if "taxExemptNo" in one)
    assert "TX-123" not in warning
    assert result.draft.expected.tax == Decimal("39.47"), "without Clarity's tax the totals differ, and hold"


@pytest.mark.parametrize("key", [{"accountNumber": "01-ABF"}, {"externalReference": "02-W000003"}])
def test_an_authenticated_buyer_keeps_the_exemption(key: dict[str, str]) -> None:
    result = transform(exempt(**key), DEMO)
    assert result.draft is not None
    order = result.draft.sales_order
    assert (order.TaxSchedule, order.TaxExemptNo) == ("NONTAX", "TX-123")
    assert not [line for line in order.Lines if "exemption" in line.CommentText]
    assert not [one for one in result.warnings if "taxExemptNo" in one]


def test_rules_do_not_see_what_a_guest_typed(tmp_path: Path) -> None:
    rules = [{"when": "buyer.tax_exempt_no != ''", "schedule": "NONTAX"}, *DEMO_SCHEDULES]
    pair = pair_with(tmp_path, tax={"schedules": rules})
    draft = transform(exempt(), pair).draft
    assert draft is not None
    assert draft.sales_order.TaxSchedule == "TX"


@pytest.mark.parametrize(
    ("regions", "schedule"),
    [
        ([], "NONTAX"),
        (["TX"], "NONTAX"),
        (["US-TX"], "NONTAX"),
        (["IL", "US-WA"], "TX"),
        (["CA-TX"], "TX"),
    ],
)
def test_an_exemption_may_count_in_some_regions_only(regions: list[str], schedule: str, tmp_path: Path) -> None:
    pair = pair_with(tmp_path, tax={"exempt_regions": regions})
    for region in ("TX", "Texas"):
        payload = exempt(accountNumber="01-ABF")
        payload["data"]["shippingAddress"]["region"] = region
        draft = transform(payload, pair).draft
        assert draft is not None
        assert draft.sales_order.TaxSchedule == schedule


def test_a_region_may_have_a_schedule_of_its_own_for_the_exempt(tmp_path: Path) -> None:
    own = {"country": "US", "region": "TX", "when": "buyer.tax_exempt_no != ''", "schedule": "TXEX"}
    pair = pair_with(tmp_path, tax={"exempt_regions": ["IL"], "schedules": [own, *DEMO_SCHEDULES]})
    found = [transform(payload, pair).draft for payload in (exempt(accountNumber="01-ABF"), sample("01-consumer-new"))]
    assert [draft.sales_order.TaxSchedule for draft in found if draft is not None] == ["TXEX", "TX"]
