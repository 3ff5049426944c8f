"""Where settings come from: the environment, `.env`, and secrets as files."""

import os
from pathlib import Path

import pytest

from workers.connect import connection
from workers.settings import Settings, SettingsError, load_pair_settings, load_settings


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of secrets that the settings name; no `.env` is near."""
    for name in os.environ:
        if name.startswith(("DEMO_", "TEMPORAL_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    monkeypatch.setenv("SECRETS_DIR", str(secrets))
    return secrets


def test_a_secret_is_read_from_its_file_without_the_line_break_at_its_end(folder: Path) -> None:
    (folder / "demo_sage_password").write_text("from the file\n", "utf-8")
    assert load_pair_settings("demo").sage_password.get_secret_value() == "from the file"


def test_several_folders_are_searched_and_each_pair_has_its_own_files(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.setenv("SECRETS_DIR", f"{folder}{os.pathsep}{other}")
    (folder / "demo_match_key_secret").write_text("one", "utf-8")
    (other / "outlet_match_key_secret").write_text("two", "utf-8")
    (other / "temporal_api_key").write_text("three", "utf-8")
    assert load_pair_settings("demo").match_key_secret.get_secret_value() == "one"
    assert load_pair_settings("outlet").match_key_secret.get_secret_value() == "two"
    assert load_settings().temporal_api_key.get_secret_value() == "three"


def test_several_webhook_secrets_in_one_file_while_one_is_rotated(folder: Path) -> None:
    (folder / "demo_clarity_webhook_secrets").write_text("whsec_b25l, whsec_dHdv\n", "utf-8")
    secrets = load_pair_settings("demo").clarity_webhook_secrets
    assert [secret.get_secret_value() for secret in secrets] == ["whsec_b25l", "whsec_dHdv"]


def test_the_environment_wins_over_a_file_unless_it_is_empty(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "demo_sage_password").write_text("file", "utf-8")
    monkeypatch.setenv("DEMO_SAGE_PASSWORD", "")
    assert load_pair_settings("demo").sage_password.get_secret_value() == "file"
    monkeypatch.setenv("DEMO_SAGE_PASSWORD", "environment")
    assert load_pair_settings("demo").sage_password.get_secret_value() == "environment"


def test_a_folder_that_is_not_there_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRETS_DIR", f"{folder}{os.pathsep}{folder}/nowhere")
    for load in (load_settings, lambda: load_pair_settings("demo")):
        with pytest.raises(SettingsError, match=r"SECRETS_DIR: .*/nowhere is no folder"):
            load()


def test_a_file_that_is_no_text_is_told_without_its_content(folder: Path) -> None:
    (folder / "demo_sage_password").write_bytes(b"secret\xff")
    with pytest.raises(SettingsError, match=r"SECRETS_DIR: .*sage_password.*UTF-8") as told:
        load_pair_settings("demo")
    assert "secret\\xff" not in str(told.value)


# ---- how Temporal is reached ----------------------------------------------------------------------------------------


def test_a_server_of_our_own_is_spoken_to_in_the_clear_unless_told_otherwise() -> None:
    assert connection(Settings())["tls"] is False
    assert connection(Settings(temporal_tls=True))["tls"]


def test_an_api_key_never_travels_in_the_clear(folder: Path) -> None:
    (folder / "temporal_api_key").write_text("key", "utf-8")
    how = connection(load_settings())
    assert how["api_key"] == "key"
    assert how["tls"]


def test_half_of_a_client_certificate_is_refused(tmp_path: Path) -> None:
    pem = tmp_path / "client.pem"
    with pytest.raises(SettingsError, match=r"^TEMPORAL_TLS_CLIENT_KEY_PATH is not set"):
        connection(Settings(temporal_tls_client_cert_path=pem))
    with pytest.raises(SettingsError, match=r"^TEMPORAL_TLS_CLIENT_CERT_PATH is not set"):
        connection(Settings(temporal_tls_client_key_path=pem))


def test_a_certificate_that_cannot_be_read_or_is_none_is_named(tmp_path: Path) -> None:
    settings = Settings(temporal_tls_server_ca_cert_path=tmp_path / "ca.pem")
    with pytest.raises(SettingsError, match=r"^TEMPORAL_TLS_SERVER_CA_CERT_PATH: .*ca\.pem cannot be read"):
        connection(settings)
    (tmp_path / "ca.pem").write_text("hello", "utf-8")
    with pytest.raises(SettingsError, match=r"^TEMPORAL_TLS_SERVER_CA_CERT_PATH: .*ca\.pem holds no PEM"):
        connection(settings)
