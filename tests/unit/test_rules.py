"""What a pair file can say with conditions and expressions, from file to Sage's columns."""

from pathlib import Path

import pytest
import yaml

from mappings.pair import Pair, PairFileError, load_pair
from mappings.problems import HoldReason
from mappings.transform import transform
from tests.unit.conftest import DEMO_FILE, sample


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
