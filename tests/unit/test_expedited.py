"""Which orders a pair file lets go before the others, and that a rule never stops one."""

from pathlib import Path

import pytest

from activities.intake import LONGEST_SUMMARY, summary_of
from mappings.conditions import Condition, Document
from mappings.pair import Pair, PairFileError, load_pair
from mappings.transform import EXPEDITED_MARK, expedites, transform
from tests.unit.conftest import DEMO_FILE, sample


def with_rule(pair: Pair, rule: str | None) -> Pair:
    condition = None if rule is None else Condition(rule, Document.ORDER)
    return pair.model_copy(update={"order": pair.order.model_copy(update={"expedite": condition})})


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (None, False),
        ("delivery.method == 'Express'", True),
        ("delivery.method == 'Ground'", False),
        ("shipping.country == 'GB' and totals.grand > 10", True),
        ("'rush' in attributes", False),
        ("totals.grand / (line_count - line_count) > 1", False),
    ],
)
def test_the_rule_decides(pair: Pair, rule: str | None, expected: bool) -> None:
    """Countries are codes, as in every rule; what divides by zero goes at its turn."""
    order, ruled = sample("06-britain-known-by-email"), with_rule(pair, rule)
    assert expedites(order, ruled) is expected
    result = transform(order, ruled)
    assert result.problems == []
    assert result.expedited is expected
    assert result.title.endswith(EXPEDITED_MARK) is expected


@pytest.mark.parametrize("payload", [{}, {"data": None}, {"data": {"items": "none"}}])
def test_what_cannot_be_read_goes_at_its_turn(pair: Pair, payload: dict[str, object]) -> None:
    assert not expedites(payload, with_rule(pair, "line_count > 0"))


def test_a_wrong_rule_is_found_when_the_file_loads(tmp_path: Path) -> None:
    file = tmp_path / "demo.yaml"
    lines = DEMO_FILE.read_text("utf-8").splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("  expedite:"))
    lines[place] = "  expedite: \"delivery.methd == 'Express'\""
    file.write_text("\n".join(lines), "utf-8")
    with pytest.raises(PairFileError) as error:
        load_pair(file)
    assert f":{place + 1}: order.expedite: " in str(error.value)
    assert "method" in str(error.value)


def test_the_mark_fits_behind_the_longest_summary() -> None:
    payload = {"data": {"items": [{}], "totals": {"grand": "1.00"}, "currency": "USD"}}
    assert len((summary_of(payload, "ä" * 300) + EXPEDITED_MARK).encode()) <= 200
    assert LONGEST_SUMMARY > 150
