"""Errors of a pair file name file, line, key, problem and remedy."""

from decimal import Decimal
from pathlib import Path

import pytest

from mappings.pair import Pair, PairFileError, load_pair, load_pairs
from tests.unit.conftest import DEMO_FILE


def changed(tmp_path: Path, old: str, new: str, name: str = "demo.yaml") -> Path:
    text = DEMO_FILE.read_text("utf-8")
    assert old in text
    file = tmp_path / name
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("old", "new", "key", "words"),
    [
        ("go_live:", "go_life:", "go_life", "Did you mean 'go_live'"),
        ("  warehouse:", "  warehose:", "order.warehose", "Did you mean 'warehouse'"),
        ("code: ABC", "code: abcd", "company.code", "match pattern"),
        ("America/Chicago", "Mars/Base", "company.time_zone", "IANA"),
        ("go_live: 2026-01-01", "go_live: soon", "go_live", "valid date"),
        ("policy: sage", "policy: guess", "tax.policy", "'sage'"),
        ("on_fail: credit", "on_fail: panic", "checks[0].on_fail", "'credit'"),
        ("ship_via: UPS GROUND", "ship_via: UPS GROUND AND MORE", "order.ship_via[0].ship_via", "15 characters"),
        ('new_division: "02"', 'new_division: "09"', "customers.new_division", "not among divisions"),
        ("  auth: user", "  auth: user\n  auth: user", "sage.auth", "twice"),
        ("credit: {limit_zero: unlimited}", "credit: {}", "credit.limit_zero", "missing"),
        ("company:", "name: other\ncompany:", "name", "taken from the file"),
        ("tolerance: 0.00", "tolerance: -1", "tax.tolerance", "greater than or equal"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_error_names_file_line_key_and_remedy(tmp_path: Path, old: str, new: str, key: str, words: str) -> None:
    file = changed(tmp_path, old, new)
    with pytest.raises(PairFileError) as raised:
        load_pair(file)
    error = raised.value
    assert error.key == key
    assert words in str(error)
    assert str(error).startswith(f"{file}:{error.line}: {key}: ")
    wrong_line = file.read_text("utf-8").splitlines()[error.line - 1]
    assert key.rpartition(".")[2].partition("[")[0] in wrong_line or key == "credit.limit_zero"


def test_yaml_that_cannot_be_parsed_names_the_line(tmp_path: Path) -> None:
    file = tmp_path / "demo.yaml"
    file.write_text("company:\n  code: [ABC\n", encoding="utf-8")
    with pytest.raises(PairFileError, match=r"demo\.yaml:\d+: YAML: "):
        load_pair(file)
    for text in ("", "just text", "- a\n- b\n"):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(PairFileError, match="holds no keys"):
            load_pair(file)


@pytest.mark.parametrize("name", ["Demo.yaml", "d.yaml", "1demo.yaml", "a-b.yaml", f"a{'b' * 16}.yaml"])
def test_a_pairs_name_is_its_files_and_has_a_rule(tmp_path: Path, name: str) -> None:
    with pytest.raises(PairFileError, match="name"):
        load_pair(changed(tmp_path, "code: ABC", "code: ABC", name))


def test_missing_folder_and_file_are_clear(tmp_path: Path) -> None:
    with pytest.raises(PairFileError, match="PAIRS_DIR"):
        load_pairs(tmp_path / "nowhere")
    with pytest.raises(PairFileError, match="cannot be read"):
        load_pair(tmp_path / "none.yaml")


def test_version_is_the_content(tmp_path: Path, pair: Pair) -> None:
    same = load_pair(changed(tmp_path, "code: ABC", "code: ABC"))
    other = load_pair(changed(tmp_path, "code: ABC", "code: XYZ"))
    assert same.version == pair.version
    assert other.version != pair.version
    assert pair.tax.tolerance == Decimal(0)
