"""docs/mapping.md: its examples load, its commands run, and what it shows of their output is true."""

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

from mappings.__main__ import main
from mappings.pair import load_pair
from mappings.pair_examples import SMALLEST
from mappings.schemas import schemas
from tests.support.pair_files import merged, read
from tests.support.processes import ROOT
from tests.unit.conftest import DEMO_FILE, sample

GUIDE = (ROOT / "docs/mapping.md").read_text("utf-8")
BLOCKS = re.findall(r"^ *```(\w*)\n(.*?)^ *```$", GUIDE, re.DOTALL | re.MULTILINE)
EXAMPLES = [text for kind, text in BLOCKS if kind == "yaml"]
COMMANDS = [line.strip() for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]
OUTPUTS = [text for kind, text in BLOCKS if not kind]


def without_spaces(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("whole", [SMALLEST, DEMO_FILE.read_text("utf-8")], ids=["smallest", "demo"])
@pytest.mark.parametrize("example", EXAMPLES, ids=[without_spaces(one)[:40] for one in EXAMPLES])
def test_every_example_loads(example: str, whole: str, tmp_path: Path) -> None:
    file = tmp_path / "demo.yaml"
    file.write_text(yaml.safe_dump(merged(read(whole), read(example))), "utf-8")
    load_pair(file)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_runs(command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    python, dash, module, *arguments = shlex.split(command)
    assert (python, dash, module) == (".venv/bin/python", "-m", "mappings")
    assert main(arguments) == 0
    assert capsys.readouterr().out


def test_the_output_that_it_shows_is_true(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    of_a_sample, of_custom_fields = OUTPUTS
    assert main(["preview", str(ROOT / "sandbox/orders/05-ontario-coupon.json"), "--pair", "demo"]) == 0
    shown = without_spaces(capsys.readouterr().out)
    assert all(without_spaces(line) in shown for line in of_a_sample.splitlines())

    example = next(one for one in EXAMPLES if "UDF_ENGRAVING" in one)
    content = merged(read(DEMO_FILE.read_text("utf-8")), read(example))
    (tmp_path / "demo.yaml").write_text(yaml.safe_dump(content), "utf-8")
    order = sample("01-consumer-new")
    order["data"]["attributes"] = {"gift_message": "Enjoy"}
    order["data"]["items"][0]["attributes"] = {"engraving": "Ada"}
    (tmp_path / "order.json").write_text(json.dumps(order), "utf-8")
    assert main(["--pairs-dir", str(tmp_path), "preview", str(tmp_path / "order.json"), "--pair", "demo"]) == 0
    shown = without_spaces(capsys.readouterr().out)
    assert all(without_spaces(line) in shown for line in of_custom_fields.splitlines())


def test_every_section_is_named_with_its_purpose() -> None:
    table = GUIDE.partition("| Section |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`(\w+)`", "".join(row.split("|")[1] for row in table.splitlines() if "|" in row)))
    assert named == set(schemas()["pair.schema.json"]["properties"])


def test_the_files_that_it_names_exist() -> None:
    links = re.findall(r"\]\(([\w./-]+)\)", GUIDE)
    paths = re.findall(r"`((?:mappings|tests|docs|sandbox)/[\w./-]+)`", GUIDE)
    assert len(links) + len(paths) > 8
    for link in links:
        assert (ROOT / "docs" / link).is_file(), link
    for path in paths:
        assert (ROOT / path).exists(), path
