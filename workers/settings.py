"""Settings of the processes, from the environment or `.env`; secrets only from there.

In: environment variables (listed in `.env.example`). Out: `Settings`, and `PairSettings` per integration pair, whose
variables carry the pair's name in front (`DEMO_SAGE_GATEWAY_URL`). Raises `SettingsError` that names the variable.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from connectors.alerts import AlertTarget, read_targets
from mappings.pair import Pair, PairFileError, load_pairs
from mappings.pairs_folder import PairsFolder


class SettingsError(Exception):
    """A setting is missing or wrong; the message names the variable and the remedy."""


class Settings(PairsFolder):
    """What every process needs, whatever pairs it serves."""

    temporal_address: str = "127.0.0.1:7233"
    temporal_namespace: str = "default"
    log_level: str = "INFO"
    api_host: str = "127.0.0.1"
    """Without keys the API refuses to listen anywhere but on this machine."""
    api_port: int = Field(default=8080, ge=1, le=65535)
    api_keys_file: Path | None = None
    """Hashes of the API's keys (`python -m api keys`); without, the API serves this machine only."""
    otel_exporter_otlp_endpoint: str = ""
    """Traces are sent there (OTLP over HTTP) when set."""
    graceful_shutdown_seconds: float = 30.0
    reports_dir: Path = Path("var/reports")
    """Where reconciliations write their files; one shared folder when several processes have the role `orders`."""
    environments_dir: Path = Path("environments")
    """Where `python -m workers promote` finds a file of settings for each environment (docs/promotion.md)."""
    worker_deployment: str = ""
    """Begins the names of the worker deployments; empty: workers have no version, and the newest takes everything."""
    worker_build_id: str = ""
    """This code's and these pair files' version; empty: a hash of both."""

    @field_validator("api_keys_file", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("worker_deployment", "worker_build_id")
    @classmethod
    def _names_a_version(cls, value: str) -> str:
        if value and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", value):
            raise ValueError("use letters, digits, - and _, at most 100")
        return value

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, value: str) -> str:
        level = value.upper()
        if level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
            raise ValueError("use DEBUG, INFO, WARNING or ERROR")
        return level


class PairSettings(BaseSettings):
    """Where one pair's systems are, and the secrets to get in."""

    model_config = SettingsConfigDict(env_file=".env", env_file_encoding="utf-8", extra="ignore")

    sage_gateway_url: str = ""
    sage_user: str = ""
    sage_password: SecretStr = SecretStr("")
    sage_api_key: SecretStr = SecretStr("")
    sage_odbc: SecretStr = SecretStr("")
    """ODBC connection string; may hold a password."""
    clarity_url: str = ""
    clarity_client_id: str = ""
    clarity_client_secret: SecretStr = SecretStr("")
    clarity_api_key: SecretStr = SecretStr("")
    clarity_webhook_secrets: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    """Comma-separated `whsec_…`; several while one is being rotated."""
    match_key_secret: SecretStr = SecretStr("")
    """Key of the hashes in customer workflow ids; never change it while customers are being resolved."""

    alert_targets_high: SecretStr = SecretStr("")
    """Whitespace-separated addresses of apprise; so are the next two."""
    alert_targets_warning: SecretStr = SecretStr("")
    alert_targets_info: SecretStr = SecretStr("")
    alert_targets_file: str = ""
    """Or a file with `severity: address` on each line; read again at each delivery."""

    def alert_targets(self) -> list[AlertTarget]:
        """Every target once; raises TargetsUnreadable. Their keys are hashed with `match_key_secret`."""
        addresses = {
            "high": self.alert_targets_high.get_secret_value(),
            "warning": self.alert_targets_warning.get_secret_value(),
            "info": self.alert_targets_info.get_secret_value(),
        }
        return read_targets(addresses, self.alert_targets_file, self.match_key_secret.get_secret_value().encode())

    @field_validator("clarity_webhook_secrets", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value


def load_settings() -> Settings:
    """Read `Settings`; raises SettingsError."""
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError(_explain(error, "")) from None


def load_pair_settings(pair: str) -> PairSettings:
    """Read the settings of one pair (`{PAIR}_…`); raises SettingsError."""
    prefix = f"{pair.upper()}_"
    try:
        return PairSettings(_env_prefix=prefix)
    except ValidationError as error:
        raise SettingsError(_explain(error, prefix)) from None


def require(pair: str, **values: str | SecretStr) -> None:
    """Raise SettingsError naming the first of the pair's settings that is empty."""
    for name, value in values.items():
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if not text:
            variable = f"{pair.upper()}_{name.upper()}"
            raise SettingsError(f"{variable} is not set. Set it in the environment or in .env (see .env.example).")


def load_pair_files(settings: Settings) -> Mapping[str, Pair]:
    """All pairs of PAIRS_DIR by name; raises SettingsError with the pair file's own message."""
    try:
        return load_pairs(settings.pairs_dir)
    except PairFileError as error:
        raise SettingsError(str(error)) from None


def _explain(error: ValidationError, prefix: str) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    variable = prefix + str(first["loc"][0]).upper() if first["loc"] else "settings"
    return f"{variable}: {first['msg']}. Correct it in the environment or in .env."
