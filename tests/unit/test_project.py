"""The project's own rules: what is in it, and what never is."""

import re
import subprocess
from fnmatch import fnmatch

import pytest

from tests.support.processes import ROOT
from workers.settings import PairSettings, Settings

PACKAGES = ("mappings", "contracts", "connectors", "activities", "workflows", "workers", "api", "sandbox", "tests")


def tracked() -> list[str]:
    """What git keeps; where there is no git or no checkout (an unpacked archive), all that .gitignore does not name."""
    try:
        listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        ignored = [".git", *(line.rstrip("/") for line in (ROOT / ".gitignore").read_text("utf-8").split())]
        names = (file.relative_to(ROOT) for file in ROOT.rglob("*") if file.is_file())
        return [
            name.as_posix() for name in names if not any(fnmatch(part, one) for part in name.parts for one in ignored)
        ]
    return listing.splitlines()


def test_without_git_the_same_files_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    with_git = set(tracked())
    monkeypatch.setenv("PATH", "")
    assert with_git <= set(tracked())


def test_no_registry_address_and_no_machine_path_is_in_the_tree() -> None:
    never = re.compile("--(extra-)?index" + "-url|" + r"(^|[ \"(=:`])/wo" + "rk/|find" + "-links")
    for name in tracked():
        if name.endswith((".png", ".json")):
            continue
        for number, line in enumerate((ROOT / name).read_text("utf-8").splitlines(), start=1):
            assert not never.search(line), f"{name}:{number}"


def test_every_requirement_is_locked_by_hash() -> None:
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    pins = re.findall(r"^[a-z0-9][^\s=]*==[^\s]+.*$", lock, re.MULTILINE)
    assert len(pins) > 50
    assert all(pin.endswith("\\") for pin in pins)
    assert lock.count("--hash=sha256:") > len(pins)


def test_every_make_target_has_a_line_of_help() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    listed = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[0].split()
    with_help = re.findall(r"^([a-z][a-z-]*):.*## \S", makefile, re.MULTILINE)
    rules = re.findall(r"^([a-z][a-z-]*):(?!=)", makefile, re.MULTILINE)
    assert sorted(listed) == sorted(with_help) == sorted(rules)


def test_the_licence_is_apache_2() -> None:
    text = (ROOT / "LICENSE").read_text("utf-8")
    assert re.search(r"Apache License\s+Version 2\.0, January 2004", text)
    assert "END OF TERMS AND CONDITIONS" in text
    assert 'license = "Apache-2.0"' in (ROOT / "pyproject.toml").read_text("utf-8")


def test_the_example_of_settings_lists_every_setting_and_no_other() -> None:
    example = (ROOT / ".env.example").read_text("utf-8")
    ours, _ = example.split("# ---- docker compose only")
    listed = re.findall(r"^#?([A-Z][A-Z0-9_]*)=", ours, re.MULTILINE)
    known = {name.upper() for name in Settings.model_fields}
    known |= {f"DEMO_{name.upper()}" for name in PairSettings.model_fields}
    assert sorted(listed) == sorted(known)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_says_what_lives_there(package: str) -> None:
    text = (ROOT / package / "__init__.py").read_text("utf-8")
    assert text.startswith('"""')
    if package != "tests":
        assert "Must not live here" in text


def test_every_module_opens_with_its_docstring() -> None:
    for name in tracked():
        if name.endswith(".py") and (ROOT / name).read_text("utf-8").strip():
            assert (ROOT / name).read_text("utf-8").startswith('"""'), name


def test_a_command_of_the_docs_that_deletes_names_its_pair_and_every_run() -> None:
    """Two companies number their customers alike, and `-w` deletes the last run of an order alone."""
    lines = (ROOT / "docs/personal-data.md").read_text("utf-8").splitlines()
    commands = [line for line in lines if " workflow delete " in line]
    assert len(commands) >= 4
    assert [
        one for one in commands if not re.search(r"""--query "[^"]*\b(Pair|WorkflowId)='[^"]*" --yes$""", one)
    ] == []
