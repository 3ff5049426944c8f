"""docker-compose.yml: what the schema of the compose specification says, and what it cannot say."""

import base64
import json
import os
import re
import stat
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import validators  # type: ignore[import-untyped]

from api.__main__ import serve
from api.keys import Scope, add_key
from connectors.clarity.webhooks import decode_secret
from tests.support.processes import ROOT
from workers.__main__ import build_parser, make_schedules, run_workers
from workers.demo import Demo
from workers.roles import Role, check_settings
from workers.settings import (
    DeploymentEnvironment,
    PairSettings,
    Settings,
    load_pair_files,
    load_pair_settings,
    load_settings,
)

TEXT = (ROOT / "docker-compose.yml").read_text("utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
JOBS = {name for name, one in SERVICES.items() if str(one.get("restart", "")).startswith("on-failure")}
WITHOUT_HEALTH = JOBS | {"temporal-cli", "otel-collector"}
"""Jobs end; the CLI runs when asked; the collector's image has nothing that could ask."""
SECRET_WORDS = re.compile(r"password|passwd|pwd|secret|api_?key|token|credential", re.IGNORECASE)


def variables() -> dict[str, str]:
    """Every ${VARIABLE} with the default that stands beside it."""
    found = re.findall(r"(?<!\$)\$\{([A-Z0-9_]+)(?::-([^}]*))?\}", TEXT)
    assert len(found) == len(re.findall(r"(?<!\$)\$[{A-Za-z]", TEXT)), "a variable is written in another way"
    return dict(found)


def listed(name: str) -> dict[str, str]:
    """The variables of an example of .env."""
    lines = (ROOT / name).read_text("utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if re.match("[A-Z0-9_]+=", line))


def binds() -> Iterator[tuple[str, str]]:
    """Service and folder or file of this machine that it sees, with the defaults of variables."""
    with_defaults = yaml.safe_load(re.sub(r"(?<!\$)\$\{[A-Z0-9_]+:-([^}]*)\}", r"\1", TEXT))
    for name, service in with_defaults["services"].items():
        for volume in service.get("volumes", []):
            source = volume["source"] if isinstance(volume, dict) else volume.split(":")[0]
            if source.startswith("."):
                yield name, source


def make_secrets(folder: Path, *sandbox: str) -> None:
    """The folder of secrets."""
    subprocess.run(["sh", "deploy/secrets.sh", *sandbox, str(folder)], cwd=ROOT, check=True)


def test_the_file_is_valid_by_the_schema_of_the_compose_specification() -> None:
    folder = files("check_jsonschema") / "builtin_schemas" / "vendor"
    schema = json.loads((folder / "compose-spec.json").read_text("utf-8"))
    validator = validators.validator_for(schema)(schema)
    assert [f"{list(error.path)}: {error.message}" for error in validator.iter_errors(COMPOSE)] == []
    assert list(validator.iter_errors({"services": {"api": {"imag": "x"}}})), "the schema refuses what is wrong"


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_is_pinned_to_a_version(name: str) -> None:
    image = re.sub(r"\$\{[A-Z0-9_]+:-([^}]*)\}", r"\1", SERVICES[name]["image"])
    assert re.fullmatch(r"[a-z0-9./-]+:v?\d+\.\d+(\.\d+)?[a-z0-9.-]*", image), image


def test_the_images_of_temporal_are_of_one_version() -> None:
    assert len({SERVICES[name]["image"].split(":")[1] for name in ("temporal", "temporal-schema", "temporal-cli")}) == 1


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_limits_and_a_health_check_where_it_stays(name: str) -> None:
    limits = SERVICES[name]["deploy"]["resources"]["limits"]
    assert set(limits) == {"cpus", "memory"}
    assert ("healthcheck" in SERVICES[name]) is (name not in WITHOUT_HEALTH)


def test_what_others_wait_for_can_be_waited_for() -> None:
    for service in SERVICES.values():
        for other, how in service.get("depends_on", {}).items():
            ends = how["condition"] == "service_completed_successfully"
            assert ends is (other in JOBS)
            assert ends or (how["condition"] == "service_healthy" and "healthcheck" in SERVICES[other])
            # Compose refuses a file in which something always there waits for something of a profile.
            if SERVICES[other].get("profiles") and not service.get("profiles"):
                assert how["required"] is False


def test_every_variable_is_explained_with_its_default_and_none_is_left_over() -> None:
    example, found = listed(".env.example"), variables()
    for name, default in found.items():
        assert example[name] == default, name
    settings = {field.upper() for field in Settings.model_fields}
    settings |= {f"DEMO_{field.upper()}" for field in PairSettings.model_fields}
    assert {name for name in example if name not in settings} == (found.keys() - settings) | {"COMPOSE_PROFILES"}


@pytest.mark.parametrize(("service", "source"), sorted(set(binds())))
def test_every_file_that_a_service_mounts_is_there(service: str, source: str) -> None:
    assert source.startswith("./secrets/") or (ROOT / source).exists()


def test_every_file_that_the_image_copies_is_there_and_not_ignored() -> None:
    allowed = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text("utf-8"), re.MULTILINE))
    copied = re.findall(r"^COPY (?!--from)(\S+) ", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert set(copied) == allowed
    assert all((ROOT / name).exists() for name in copied)
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages - {"tests"} == set(copied) - {"requirements-runtime.lock"}


def test_the_image_runs_as_nobody_in_particular_on_a_pinned_base() -> None:
    text = (ROOT / "Dockerfile").read_text("utf-8")
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)
    base = re.search(r"^ARG BASE_IMAGE=(\S+)$", text, re.MULTILINE)
    assert base and base[1] == listed(".env.example")["BASE_IMAGE"]
    assert "--require-hashes" in text


def test_the_image_installs_the_locked_versions_and_no_tool_of_the_developers() -> None:
    pattern = re.compile(r"^([a-z0-9._-]+)==(\S+)", re.MULTILINE)
    everything = dict(pattern.findall((ROOT / "requirements.lock").read_text("utf-8")))
    runtime = dict(pattern.findall((ROOT / "requirements-runtime.lock").read_text("utf-8")))
    assert runtime.items() <= everything.items()
    assert {"temporalio", "fastapi", "pyodbc"} <= runtime.keys()
    assert not {"pytest", "mypy", "ruff", "uv", "hypothesis"} & runtime.keys()
    assert "--hash=sha256:" in (ROOT / "requirements-runtime.lock").read_text("utf-8")


def test_no_secret_stands_in_the_file() -> None:
    for name, service in SERVICES.items():
        environment = service.get("environment", {})
        for variable, value in environment.items():
            if SECRET_WORDS.search(variable):
                secret_elsewhere = str(value).startswith(("/run/secrets/", "/app/var/")) or value == "true"
                assert secret_elsewhere, f"{name}: {variable}"
    assert not re.search(r"(password|secret|token|key)\s*[:=]\s*['\"]?[A-Za-z0-9+/]{6,}", TEXT, re.IGNORECASE)
    assert all(list(secret) == ["file"] for secret in COMPOSE["secrets"].values())


def test_each_process_sees_its_own_secrets_only() -> None:
    for name in ("api", "sage", "clarity"):
        holders = [one for one, source in binds() if source == f"./secrets/{name}"]
        assert holders == [name]
        assert SERVICES[name]["environment"]["SECRETS_DIR"] == f"/run/secrets/shared:/run/secrets/{name}"


def test_ports_are_published_on_this_machine_only() -> None:
    for service in SERVICES.values():
        for port in service.get("ports", []):
            assert re.fullmatch(r"\$\{[A-Z]+_PUBLISH:-127\.0\.0\.1:\d+\}:\d+", port)


def test_the_commands_of_our_image_are_ours() -> None:
    roles = set()
    for service in SERVICES.values():
        command = service.get("command", [])
        if command[:3] == ["python", "-m", "workers"]:
            arguments = [part if "$" not in part else "90" for part in command[3:]]
            roles |= set(build_parser().parse_args(arguments).role or [])
            assert service["environment"]["SECRETS_DIR"].startswith("/run/secrets/shared")
    assert roles == set(Role)
    assert SERVICES["sage"]["deploy"]["replicas"] == 1


def test_the_server_gets_what_the_demo_gives_its_own() -> None:
    text = (ROOT / "deploy/temporal/dynamicconfig.yaml").read_text("utf-8")
    ours = {name: entries[0]["value"] for name, entries in yaml.safe_load(text).items()}
    options = build_parser().parse_args(["demo"])
    command = Demo(options, Settings()).temporal_command()
    given = [command[place + 1] for place, part in enumerate(command) if part == "--dynamic-config-value"]
    demo = {name: yaml.safe_load(value) for name, value in (one.split("=", 1) for one in given)}
    del demo["history.transferProcessorMaxPollRPS"]  # for a server with one shard
    assert ours == demo


# ---- production -----------------------------------------------------------------------------------------------------


class Started(Exception):
    """The process has accepted its settings, and goes on to Temporal or to its port."""


def starts() -> None:
    raise Started


SECRETS_OF_A_SITE = {
    "shared": {"demo_match_key_secret": "M2Vb-64mh_wQpz71rX0c"},
    "api": {"demo_clarity_webhook_secrets": "whsec_" + base64.b64encode(bytes(range(100, 132))).decode()},
    "sage": {
        "demo_sage_password": "kJ8-vTq2xLw0",
        "demo_sage_odbc": "Driver=/opt/sage-odbc/x.so;UID=reader;PWD=pQ7_aaz91",
    },
    "clarity": {"demo_clarity_client_secret": "0f7a52c4b1d9"},
}
ADDRESSES_OF_A_SITE = {
    "DEPLOYMENT_ENVIRONMENT": "production",
    "DEMO_SAGE_GATEWAY_URL": "https://sage.example.com",
    "DEMO_SAGE_USER": "integration",
    "DEMO_CLARITY_URL": "https://shop.example.com",
    "DEMO_CLARITY_CLIENT_ID": "integration",
}


def seen_by(service: str, folder: Path) -> dict[str, str]:
    """A service's environment, with the places of this machine for those that it mounts, and nowhere for the others."""
    with_defaults = yaml.safe_load(re.sub(r"(?<!\$)\$\{[A-Z0-9_]+:-([^}]*)\}", r"\1", TEXT))
    places = {}
    for volume in with_defaults["services"][service]["volumes"]:
        source, target = (volume["source"], volume["target"]) if isinstance(volume, dict) else volume.split(":")
        places[target] = ROOT / source if source.startswith("./mappings") else folder / Path(source).name
    environment = {**listed(".env.example"), **ADDRESSES_OF_A_SITE, **with_defaults["services"][service]["environment"]}
    # No address is taken: this machine may use them for something else.
    environment |= dict.fromkeys(("METRICS_ADDRESS", "TEMPORAL_METRICS_ADDRESS", "OTEL_EXPORTER_OTLP_ENDPOINT"), "")
    for name in ("SECRETS_DIR", "PAIRS_DIR", "API_KEYS_FILE"):
        parts = [Path(part) for part in environment.get(name, "").split(":") if part]
        environment[name] = os.pathsep.join(
            str(
                next(
                    (here / part.relative_to(there) for there, here in places.items() if part.is_relative_to(there)),
                    part,
                )
            )
            for part in parts
        )
    return environment


@pytest.mark.parametrize("service", ["api", "orders", "sage", "clarity", "schedules"])
async def test_every_process_starts_in_production_with_what_it_sees(
    service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_secrets(tmp_path)
    for folder, secrets in SECRETS_OF_A_SITE.items():
        for name, value in secrets.items():
            (tmp_path / folder / name).write_text(value, "utf-8")
    add_key(tmp_path / "keys" / "api-keys.json", "console", frozenset(Scope), None, datetime.now(UTC))
    monkeypatch.chdir(tmp_path)  # no .env
    for name, value in seen_by(service, tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("workers.__main__.connect", lambda *_: starts())
    monkeypatch.setattr("workers.__main__.stop_on_signals", lambda _: None)
    monkeypatch.setattr("api.__main__.bind", lambda _: starts())
    command, settings = SERVICES[service]["command"][2:], load_settings()
    assert settings.deployment_environment is DeploymentEnvironment.PRODUCTION
    with pytest.raises(Started):
        if command[0] == "api":
            await serve(settings)
        elif command[1] == "schedules":
            await make_schedules(settings)
        else:
            await run_workers(settings, [Role(command[2])])


# ---- the folder of secrets ------------------------------------------------------------------------------------------


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """The folder as `sh deploy/secrets.sh sandbox` makes it."""
    folder = tmp_path / "secrets"
    make_secrets(folder, "sandbox")
    return folder


def test_the_secrets_of_the_trial_are_enough_for_every_process(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("DEMO_", "TEMPORAL_")):
            monkeypatch.delenv(name)
    for name, value in listed("deploy/sandbox.env").items():
        monkeypatch.setenv(name, value)
    pair = load_pair_files(load_settings())["demo"]
    for role in Role:
        folders = [secrets / "shared", secrets / role.value] if role is not Role.ORDERS else [secrets / "shared"]
        monkeypatch.setenv("SECRETS_DIR", os.pathsep.join(map(str, folders)))
        check_settings(role, pair)
    monkeypatch.setenv("SECRETS_DIR", str(secrets / "api"))
    (signing,) = load_pair_settings("demo").clarity_webhook_secrets
    assert decode_secret(signing.get_secret_value(), pair.clarity.webhook) == b"sandbox-webhook-signing-secret-001"


def test_the_trials_key_and_origin_show_its_orders_in_the_web_ui() -> None:
    command = SERVICES["sandbox-key"]["command"][-1]
    assert set(re.findall(r"--scope (\w+)", command)) == set(Scope)
    assert listed("deploy/sandbox.env")["TEMPORAL_UI_ORIGINS"] == f"http://{variables()['UI_PUBLISH']}"
    assert SERVICES["sandbox-key"]["environment"]["API_KEYS_FILE"] == SERVICES["api"]["environment"]["API_KEYS_FILE"]


def test_every_worker_is_scraped_and_the_docs_say_what_to_change_for_one_elsewhere() -> None:
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text("utf-8"))
    targets = {one for job in config["scrape_configs"] for place in job["static_configs"] for one in place["targets"]}
    assert targets == {"api:8080"} | {f"{role}:{port}" for role in Role for port in (9464, 9465)}
    page = (ROOT / "docs/deploy.md").read_text("utf-8")
    assert "replace `sage:9464` and `sage:9465`" in page


def test_a_second_run_changes_no_secret_and_each_folder_has_its_own(secrets: Path, tmp_path: Path) -> None:
    before = {file: file.read_text("utf-8") for file in secrets.rglob("*") if file.is_file()}
    make_secrets(secrets, "sandbox")
    assert before == {file: file.read_text("utf-8") for file in secrets.rglob("*") if file.is_file()}
    make_secrets(tmp_path / "other", "sandbox")
    for name in ("postgres_password", "grafana_admin_password"):
        assert len(before[secrets / name]) == 49
        assert before[secrets / name] != (tmp_path / "other" / name).read_text("utf-8")


def test_nobody_else_on_the_machine_comes_to_the_secrets(secrets: Path) -> None:
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
