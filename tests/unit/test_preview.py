"""`python -m mappings preview`, as a developer uses it."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from mappings.__main__ import main
from tests.support.processes import ROOT
from tests.unit.conftest import DEMO_FILE, SAMPLES

EXPECTED = yaml.safe_load((ROOT / "sandbox/expected.yaml").read_text("utf-8"))["orders"]


def preview(capsys: pytest.CaptureFixture[str], name: str, *flags: str, pairs: Path = DEMO_FILE.parent) -> str:
    order = ROOT / "sandbox/orders" / f"{name}.json"
    assert main(["--pairs-dir", str(pairs), "preview", str(order), "--pair", "demo", *flags]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_every_sample_shows_its_draft_with_sources_or_its_problems(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text, parsed = preview(capsys, name), json.loads(preview(capsys, name, "--json"))
    assert text.startswith(f"#{SAMPLES[name]['data']['number']} · ")
    if parsed["draft"] is None:
        assert parsed["problems"]
        for problem in parsed["problems"]:
            assert f"problem  {problem['field']}: {problem['message']}" in text
            assert problem["suggestion"] in text
        return
    order, sources = parsed["draft"]["sales_order"], parsed["sources"]
    empty: tuple[object, ...] = ("", None, {}, [])
    named = {
        column
        for column, value in order.items()
        if column != "Lines" and value not in empty and (column != "FreightAmt" or Decimal(value))
        and (column != "DepositAmt" or Decimal(value))
    }  # fmt: skip
    assert named == set(sources["header"])
    assert len(sources["lines"]) == len(order["Lines"])
    assert all(sources["lines"])
    assert f"{Decimal(EXPECTED[name]['Total']):,.2f}" in text if "Total" in EXPECTED[name] else "must be" in text


def test_rules_that_fired_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content: dict[str, Any] = yaml.safe_load(DEMO_FILE.read_text("utf-8"))
    content["order"] |= {
        "header": {"CycleCode": "01"},
        "header_rules": [
            {"when": "totals.grand > 100000", "header": {"SalespersonNo": "0900"}},
            {"when": "shipping.region == 'TX'", "header": {"SalespersonNo": "0100"}},
        ],
        "header_values": {"Comment": "buyer.first_name"},
    }
    (tmp_path / "demo.yaml").write_text(yaml.safe_dump(content), "utf-8")
    header = json.loads(preview(capsys, "01-consumer-new", "--json", pairs=tmp_path))["sources"]["header"]
    assert header["CycleCode"] == "order.header"
    assert header["SalespersonNo"] == "order.header_rules[1]: shipping.region == 'TX'"
    assert header["Comment"] == "order.header_values: buyer.first_name"
    assert header["TaxSchedule"] == "tax.schedules[0]: data.shippingAddress"
    assert header["ShipVia"] == "order.ship_via[0]: data.shipping.carrier, method"


def test_check_names_the_file_line_key_and_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = DEMO_FILE.read_text("utf-8")
    for broken, words in (
        (text.replace("  warehouse:", "  warehose:"), "order.warehose"),
        (text.replace("on_fail: anomaly, minutes: 10}", "on_fail: anomaly, when: 'totals.grnd > 5'}"), "grnd"),
        (text.replace("on_fail: anomaly, minutes: 10}", "on_fail: anomaly, when: 'totals.grand >'}"), "when"),
    ):
        assert broken != text
        (tmp_path / "demo.yaml").write_text(broken, "utf-8")
        assert main(["--pairs-dir", str(tmp_path), "check"]) == 1
        error = capsys.readouterr().err
        assert words in error
        assert "demo.yaml:" in error
        assert "Traceback" not in error
