"""Environments: a file of settings each, without secrets, that wins over the process's own environment."""

from pathlib import Path

import pytest

from tests.support.processes import ROOT
from workers.environments import load_environment
from workers.settings import SettingsError

PROD = """\
TEMPORAL_ADDRESS=temporal.example:7233
TEMPORAL_NAMESPACE=prod
PAIRS_DIR=pairs/prod
WORKER_DEPLOYMENT=shop
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "prod.env").write_text(PROD, "utf-8")
    return tmp_path


def test_the_file_wins_over_the_environment_of_the_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_NAMESPACE", "default")
    monkeypatch.setenv("PAIRS_DIR", "elsewhere")
    settings = load_environment(folder, "prod")
    assert (settings.temporal_namespace, settings.pairs_dir) == ("prod", Path("pairs/prod"))


def test_a_variable_with_the_environments_name_in_front_wins_over_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROD_TEMPORAL_ADDRESS", "127.0.0.1:7999")
    assert load_environment(folder, "prod").temporal_address == "127.0.0.1:7999"


def test_versions_of_this_process_are_not_those_of_an_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKER_DEPLOYMENT", "mine")
    (folder / "qa.env").write_text(PROD.replace("WORKER_DEPLOYMENT=shop\n", ""), "utf-8")
    assert load_environment(folder, "qa").worker_deployment == ""
    assert load_environment(folder, "prod").worker_deployment == "shop"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("DEMO_SAGE_PASSWORD=x", "DEMO_SAGE_PASSWORD is a secret"),
        ("DEMO_CLARITY_API_KEY=x", "set PROD_DEMO_CLARITY_API_KEY in the environment"),
        ("DEMO_SAGE_ODBC=Driver=x;Pwd=y", "DEMO_SAGE_ODBC is a secret"),
        ("TEMPORAL_NAMESPACE=", "TEMPORAL_NAMESPACE is not set. Add it."),
        ("WORKER_DEPLOYMENT=a.b", "WORKER_DEPLOYMENT: Value error, use letters, digits, - and _"),
        ("API_PORT=none", "API_PORT: Input should be a valid integer"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_setting(folder: Path, line: str, said: str) -> None:
    with (folder / "prod.env").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    with pytest.raises(SettingsError) as wrong:
        load_environment(folder, "prod")
    assert said in str(wrong.value)
    assert str(folder / "prod.env") in str(wrong.value)


def test_an_unknown_environment_names_those_that_are_there(folder: Path) -> None:
    with pytest.raises(SettingsError, match="known environments: prod"):
        load_environment(folder, "production")
    with pytest.raises(SettingsError, match="names no environment"):
        load_environment(folder, "../prod")


def test_the_example_can_be_loaded() -> None:
    assert load_environment(ROOT / "environments", "example").worker_deployment == "clarity-sage100"
