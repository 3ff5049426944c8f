"""What production refuses to start with: each by name with its remedy, all at once, and elsewhere nothing."""

import asyncio
import base64
from pathlib import Path

import pytest
from pydantic import SecretStr

from api.__main__ import serve
from connectors.sage100.driver import parts_of
from connectors.sage100.inspection import secrets_of
from tests.support.processes import ROOT
from workers import production
from workers.__main__ import make_schedules, run_workers
from workers.production import is_local, is_published, may_write, refuse_unsafe, unsafe
from workers.roles import Role
from workers.settings import DeploymentEnvironment, PairSettings, Settings, SettingsError

SAFE = {
    "SAGE_GATEWAY_URL": "https://sage.example.com",
    "SAGE_USER": "integration",
    "SAGE_PASSWORD": "kJ8-vTq2xLw0",
    "SAGE_ODBC": "Driver={MAS 90 4.0 ODBC Driver};UID=reader;PWD=pQ7_aaz91;Company=ABC",
    "CLARITY_URL": "https://shop.example.com",
    "CLARITY_CLIENT_ID": "integration",
    "CLARITY_CLIENT_SECRET": "0f7a52c4b1d9",
    "CLARITY_WEBHOOK_SECRETS": "whsec_" + base64.b64encode(bytes(range(100, 132))).decode(),
    "MATCH_KEY_SECRET": "M2Vb-64mh_wQpz71rX0c",
}


@pytest.fixture(autouse=True)
def settings_of_a_site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEPLOYMENT_ENVIRONMENT", "production")
    for name in Settings.model_fields:
        if name != "deployment_environment":
            monkeypatch.delenv(name.upper(), raising=False)
    for name in PairSettings.model_fields:
        monkeypatch.delenv(f"ACME_{name.upper()}", raising=False)
    for name, value in SAFE.items():
        monkeypatch.setenv(f"ACME_{name}", value)
    monkeypatch.setattr(production, "ENCRYPTION_SETTINGS", ("pairs_dir",))  # something that is set


def refused(pair: str = "acme") -> str:
    with pytest.raises(SettingsError) as error:
        refuse_unsafe(Settings(), [pair])
    return str(error.value)


def test_a_safe_site_starts_and_so_does_a_machine_with_settings_of_nobody() -> None:
    refuse_unsafe(Settings(), ["acme"])
    refuse_unsafe(Settings(), ["other"])


@pytest.mark.parametrize(
    ("variable", "value", "problem", "remedy"),
    [
        ("ACME_SAGE_PASSWORD", "sandbox-only", "everybody knows", "Set one that only"),
        ("ACME_SAGE_PASSWORD", "Password", "everybody knows", "Set one that only"),
        ("ACME_SAGE_API_KEY", "sage-sandbox-key", "everybody knows", "Set one that only"),
        ("ACME_CLARITY_CLIENT_SECRET", "clarity-sandbox-secret", "everybody knows", "Set one that only"),
        ("ACME_MATCH_KEY_SECRET", "sandbox-match-key", "everybody knows", "Set one that only"),
        ("ACME_MATCH_KEY_SECRET", "short", "5 characters", "token_urlsafe"),
        ("ACME_SAGE_GATEWAY_URL", "http://sage.example.com", "plain http", "https"),
        ("ACME_CLARITY_URL", "HTTP://8.8.4.4:8080", "plain http", "https"),
        ("ACME_SAGE_ODBC", "Driver={ODBC Driver 18};UID=sa;PWD=kkk12kk", "signs in as sa", "only read"),
        ("ACME_SAGE_ODBC", "Driver={PostgreSQL};UID=r;ReadOnly=0", "ReadOnly is off", "only read"),
        ("TEMPORAL_ADDRESS", "temporal.example.com:7233", "no TLS", "TEMPORAL_TLS"),
    ],
)
def test_each_unsafe_setting_is_named_with_its_remedy(
    variable: str, value: str, problem: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    (line,) = refused().splitlines()[1:]
    assert line.startswith(f"  - {variable} ")
    assert problem in line
    assert remedy in line
    assert "kkk12kk" not in line


def test_the_sandboxs_webhook_secret_is_found_below_its_base64(monkeypatch: pytest.MonkeyPatch) -> None:
    known = base64.b64encode(b"sandbox-webhook-signing-secret-001").decode()
    monkeypatch.setenv("ACME_CLARITY_WEBHOOK_SECRETS", f"{SAFE['CLARITY_WEBHOOK_SECRETS']},whsec_{known}")
    assert "ACME_CLARITY_WEBHOOK_SECRETS" in refused()
    assert not is_published(SecretStr(SAFE["CLARITY_WEBHOOK_SECRETS"]))


def test_without_an_encryption_key_nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(production, "ENCRYPTION_SETTINGS", ("no_such_setting", "api_keys_file"))
    assert "ENCRYPTION_KEYS is not set" in refused()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])  # noqa: S104
def test_the_api_needs_keys_wherever_it_listens_and_no_other_process_is_asked_for_them(
    host: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.json"
    monkeypatch.setenv("API_HOST", host)
    for file in ("", str(keys)):
        monkeypatch.setenv("API_KEYS_FILE", file)
        refuse_unsafe(Settings(), ["acme"])
        with pytest.raises(SettingsError, match=r"API_KEYS_FILE names no file.*keys add"):
            refuse_unsafe(Settings(), ["acme"], serves_api=True)
    keys.write_text('{"keys": []}')
    refuse_unsafe(Settings(), ["acme"], serves_api=True)


def test_tls_or_a_key_of_the_cloud_makes_a_far_server_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "ns.tmprl.cloud:7233")
    monkeypatch.setattr(production, "TEMPORAL_TLS_SETTINGS", ("temporal_namespace",))  # something that is set
    refuse_unsafe(Settings(), ["acme"])


def test_everything_is_said_at_once_and_elsewhere_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_SAGE_PASSWORD", "sandbox-only")
    monkeypatch.setenv("ACME_CLARITY_URL", "http://shop.example.com")
    monkeypatch.setenv("TEMPORAL_ADDRESS", "8.8.4.4:7233")
    assert len(refused().splitlines()) == 4
    for environment in (DeploymentEnvironment.DEVELOPMENT, DeploymentEnvironment.QA):
        monkeypatch.setenv("DEPLOYMENT_ENVIRONMENT", environment)
        refuse_unsafe(Settings(), ["acme"])


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("10.1.2.3", True),
        ("temporal", True),
        ("sage.office.local", True),
        ("temporal.infra.svc.cluster.local", True),
        ("8.8.4.4", False),
        ("8.8.8.8", False),
        ("temporal.example.com", False),
        ("local.example.com", False),
        ("", False),
    ],
)
def test_what_is_local(host: str, local: bool) -> None:
    assert is_local(host) is local


def test_what_says_nothing_of_writing_is_not_refused() -> None:
    assert may_write("DSN=SOTAMAS90;UID=reader;PWD=x;ReadOnly=1") is None
    assert may_write("") is None


def test_a_password_in_braces_is_taken_whole_so_that_it_can_be_masked() -> None:
    parts = parts_of("Driver={MAS 90 4.0 ODBC Driver}; UID=a ;PWD={p;w=x}}y};Company=ABC")
    assert parts == {"driver": "MAS 90 4.0 ODBC Driver", "uid": "a", "pwd": "p;w=x}y", "company": "ABC"}
    assert secrets_of("DSN=x;Pwd={p;w}") == ["p;w"]


def test_no_process_starts_in_production_with_what_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAIRS_DIR", str(ROOT / "mappings/pairs"))
    for name, value in {**SAFE, "SAGE_PASSWORD": "sandbox-only"}.items():
        monkeypatch.setenv(f"DEMO_{name}", value)
    settings = Settings()
    for start in (run_workers(settings, [Role.SAGE]), make_schedules(settings), serve(settings)):
        with pytest.raises(SettingsError, match="DEMO_SAGE_PASSWORD is a secret that everybody knows"):
            asyncio.run(start)


async def test_the_api_does_not_start_in_production_without_keys_even_for_this_machine_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PAIRS_DIR", str(ROOT / "mappings/pairs"))
    for name, value in SAFE.items():
        monkeypatch.setenv(f"DEMO_{name}", value)
    monkeypatch.setattr("api.__main__.bind", lambda _: pytest.fail("it would listen"))
    with pytest.raises(SettingsError, match="API_KEYS_FILE names no file"):
        await serve(Settings(api_host="127.0.0.1"))


def test_names_are_given_whatever_the_environment_for_the_check_to_warn() -> None:
    own = PairSettings(_env_prefix="ACME_").model_copy(update={"sage_password": SecretStr("sandbox-only")})
    assert [one.setting for one in unsafe(Settings(), {"acme": own})] == ["ACME_SAGE_PASSWORD"]
