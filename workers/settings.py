"""Settings of the processes, from the environment, `.env` or files of SECRETS_DIR; secrets only from there.

In: environment variables (listed in `.env.example`). Out: `Settings`, and `PairSettings` per integration pair, whose
variables carry the pair's name in front (`DEMO_SAGE_GATEWAY_URL`). Raises `SettingsError` that names the variable.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from pydantic_settings import SettingsError as UnusableSource

from connectors.alerts import AlertTarget, read_targets
from mappings.pair import Pair, PairFileError, load_pairs
from mappings.pairs_folder import PairsFolder


class SettingsError(Exception):
    """A setting is missing or wrong; the message names the variable and the remedy."""


class SecretFolders(BaseSettings):
    """Where secrets lie as files, one each, named as their variable (`demo_sage_password`): the way of containers."""

    model_config = SettingsConfigDict(env_file=".env", env_file_encoding="utf-8", extra="ignore", env_ignore_empty=True)

    secrets_dir: str = ""
    """Folders, separated as in PATH. A variable that is set wins over its file; an empty one does not."""

    def folders(self) -> list[Path]:
        """Each folder; raises SettingsError for one that is not there."""
        folders = [Path(part) for part in self.secrets_dir.split(os.pathsep) if part]
        for folder in folders:
            if not folder.is_dir():
                raise SettingsError(f"SECRETS_DIR: {folder} is no folder. Make it, mount it, or leave it out.")
        return folders


class Settings(PairsFolder, SecretFolders):
    """What every process needs, whatever pairs it serves."""

    temporal_address: str = "127.0.0.1:7233"
    temporal_namespace: str = "default"
    temporal_api_key: SecretStr = SecretStr("")
    """Of Temporal Cloud; sent over TLS only. Read at start: restart the processes after a rotation."""
    temporal_tls: bool = False
    """On by itself when an API key or one of the next files is set."""
    temporal_tls_client_cert_path: Path | None = None
    """PEM, with its key: how this process proves itself (mTLS)."""
    temporal_tls_client_key_path: Path | None = None
    temporal_tls_server_ca_cert_path: Path | None = None
    """PEM, where the server's certificate is not from a public authority."""
    temporal_tls_server_name: str = ""
    """The name in the server's certificate where it is not that of TEMPORAL_ADDRESS."""
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

    @field_validator("api_keys_file", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, value: str) -> str:
        level = value.upper()
        if level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
            raise ValueError("use DEBUG, INFO, WARNING or ERROR")
        return level


class PairSettings(BaseSettings):
    """Where one pair's systems are, and the secrets to get in."""

    model_config = SettingsConfigDict(env_file=".env", env_file_encoding="utf-8", extra="ignore", env_ignore_empty=True)

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
    with _explained(""):
        return Settings(_secrets_dir=SecretFolders().folders())


def load_pair_settings(pair: str) -> PairSettings:
    """Read the settings of one pair (`{PAIR}_…`); raises SettingsError."""
    prefix = f"{pair.upper()}_"
    with _explained(prefix):
        return PairSettings(_env_prefix=prefix, _secrets_dir=SecretFolders().folders())


def require(pair: str, **values: str | SecretStr) -> None:
    """Raise SettingsError naming the first of the pair's settings that is empty."""
    for name, value in values.items():
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if not text:
            variable = f"{pair.upper()}_{name.upper()}"
            raise SettingsError(f"{variable} is not set. {how_to_set(variable)}")


def how_to_set(variable: str) -> str:
    """The remedy for a setting that is missing."""
    return (
        "Set it in the environment or in .env (see .env.example), or put it into a file "
        f"{variable.lower()} in a folder of SECRETS_DIR."
    )


def load_pair_files(settings: Settings) -> Mapping[str, Pair]:
    """All pairs of PAIRS_DIR by name; raises SettingsError with the pair file's own message."""
    try:
        return load_pairs(settings.pairs_dir)
    except PairFileError as error:
        raise SettingsError(str(error)) from None


@contextmanager
def _explained(prefix: str) -> Iterator[None]:
    """Turns what pydantic and the file system say into SettingsError, without any value."""
    try:
        yield
    except ValidationError as error:
        raise SettingsError(_explain(error, prefix)) from None
    except UnusableSource as error:
        cause = error.__cause__
        reason = cause.strerror if isinstance(cause, OSError) else "it is no UTF-8 text"
        raise SettingsError(f"SECRETS_DIR: {error} {reason}. Correct the file, or who may read it.") from None


def _explain(error: ValidationError, prefix: str) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    variable = prefix + str(first["loc"][0]).upper() if first["loc"] else "settings"
    return f"{variable}: {first['msg']}. Correct it in the environment, in .env or in SECRETS_DIR."
