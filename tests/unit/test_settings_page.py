"""docs/settings.md: current, complete, and every variable that the code reads is on it."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.processes import ROOT
from workers.settings import PairSettings, Settings
from workers.settings_page import main, page

PAGE = (ROOT / "docs/settings.md").read_text("utf-8")
CODE = ("mappings", "contracts", "connectors", "activities", "workflows", "workers", "api", "sandbox")
PASSED_ON = {
    ("workers/environments.py", 1),
    ("workers/supervise.py", 1),
    ("workers/demo.py", 1),
    ("workers/check.py", 1),
    ("sandbox/__main__.py", 1),
}
"""Files that use the environment under no fixed name, and how often: whole, for children, or as `SANDBOX_…`."""


def test_the_committed_page_is_what_the_models_say(tmp_path: Path) -> None:
    assert page() == PAGE, "write it anew: .venv/bin/python -m workers.settings_page"
    assert main([str(tmp_path / "settings.md")]) == 0
    assert (tmp_path / "settings.md").read_bytes() == PAGE.encode()


def test_only_the_environment_changes_what_production_refuses() -> None:
    (line,) = (line for line in PAGE.splitlines() if "What it changes" in line)
    assert line.startswith("| `DEPLOYMENT_ENVIRONMENT` ")


def test_every_setting_has_a_meaning_and_a_reader() -> None:
    rows = {cells[1].strip("` "): cells for line in PAGE.splitlines() if len(cells := line.split("|")) == 8}
    for model, prefix in ((Settings, ""), (PairSettings, "DEMO_")):
        for name in model.model_fields:
            _, _, kind, default, meaning, readers, secret, _ = rows[prefix + name.upper()]
            assert all(cell.strip() for cell in (kind, default, meaning, readers)), name
            is_secret = "SecretStr" in str(model.model_fields[name].annotation)
            assert (secret.strip() == "yes") is is_secret, name


@cache
def code() -> dict[str, ast.Module]:
    """Every file of ours, parsed."""
    files = [file for package in CODE for file in sorted((ROOT / package).rglob("*.py"))]
    texts = {file.relative_to(ROOT).as_posix(): file.read_text("utf-8") for file in files}
    # Only what could matter is parsed: the whole takes seconds.
    return {
        name: ast.parse(text)
        for name, text in texts.items()
        if re.search("environ|getenv|BaseSettings|PairsFolder", text)
    }


def uses_of_the_environment() -> Iterator[tuple[str, str]]:
    """File, and the variable's name; empty where it is no literal."""
    for where, tree in code().items():
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Attribute(attr="getenv"), args=[ast.Constant(value=str(name)), *_]):
                    yield where, name
                case ast.Call(
                    func=ast.Attribute(value=ast.Attribute(attr="environ"), attr="get" | "pop" | "setdefault"),
                    args=[ast.Constant(value=str(name)), *_],
                ):
                    yield where, name
                case ast.Subscript(value=ast.Attribute(attr="environ"), slice=ast.Constant(value=str(name))):
                    yield where, name
                case ast.Compare(left=ast.Constant(value=str(name)), comparators=[ast.Attribute(attr="environ")]):
                    yield where, name
                case ast.Attribute(attr="environ" | "environb"):
                    yield where, ""


def test_nothing_reads_a_variable_that_is_not_on_the_page() -> None:
    known = set(re.findall(r"^\| `([A-Z_]+)` ", PAGE, re.MULTILINE))
    anywhere: dict[str, int] = {}
    for file, name in uses_of_the_environment():
        if name:
            assert name in known, f"{file} reads {name}: make it a setting, or name it on the page"
        # A use with a name is seen as the bare attribute, too.
        anywhere[file] = anywhere.get(file, 0) + (-1 if name else 1)
    assert {(file, count) for file, count in anywhere.items() if count} == PASSED_ON


def test_settings_are_read_by_the_settings_classes_alone() -> None:
    """Another class of settings would be missing on the page."""
    bases = {"BaseSettings", "PairsFolder"}
    classes = {
        node.name
        for tree in code().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and bases & {base.id for base in node.bases if isinstance(base, ast.Name)}
    }
    shown = {one.__name__ for model in (Settings, PairSettings) for one in model.__mro__}
    assert classes <= shown


@pytest.mark.parametrize("arguments", [["--help"], ["a", "b"]])
def test_a_wrong_call_says_how_it_is_called(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "usage: python -m workers.settings_page" in capsys.readouterr().err
