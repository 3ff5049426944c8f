"""Settings of the processes, from the environment, `.env` or files of SECRETS_DIR; secrets only from there.

In: environment variables (all of them: docs/settings.md, made by `workers/settings_page.py`). Out: `Settings`, and
`PairSettings` per integration pair, whose variables carry the pair's name in front (`DEMO_SAGE_GATEWAY_URL`). Raises
`SettingsError` that names the variable.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from pydantic_settings import SettingsError as UnusableSource

from connectors.alerts import AlertTarget, read_targets
from mappings.pair import Pair, PairFileError, load_pairs
from mappings.pairs_folder import PairsFolder
from workers.encryption_keys import EncryptionSettings

ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?")
"""As a browser sends it: lower case, no path, no slash at the end."""


class SettingsError(Exception):
    """A setting is missing or wrong; the message names the variable and the remedy."""


class DeploymentEnvironment(StrEnum):
    """What this deployment is for."""

    DEVELOPMENT = "development"
    """A machine of one's own; nothing is refused."""
    QA = "qa"
    """A copy to try changes on; nothing is refused, `python -m workers check` warns."""
    PRODUCTION = "production"
    """Processes refuse to start with settings that are unsafe (docs/settings.md)."""


class Reader(StrEnum):
    """A process that reads a setting."""

    API = "`python -m api`"
    ORDERS = "workers, role `orders`"
    SAGE = "workers, role `sage`"
    CLARITY = "workers, role `clarity`"
    WORKERS = "workers, every role"


class ReadBy:
    """On a field of settings: which processes read it; without, every process does."""

    def __init__(self, *readers: Reader) -> None:
        self.readers = readers


class LogFormat(StrEnum):
    """How a process writes its log lines."""

    TEXT = "text"
    JSON = "json"


class SecretFolders(BaseSettings):
    """Where secrets lie as files, one each, named as their variable (`demo_sage_password`): the way of containers."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        env_ignore_empty=True,
        use_attribute_docstrings=True,
    )

    secrets_dir: str = ""
    """Folders, separated as in PATH. A variable that is set wins over its file; an empty one does not."""

    def folders(self) -> list[Path]:
        """Each folder; raises SettingsError for one that is not there."""
        folders = [Path(part) for part in self.secrets_dir.split(os.pathsep) if part]
        for folder in folders:
            if not folder.is_dir():
                raise SettingsError(f"SECRETS_DIR: {folder} is no folder. Make it, mount it, or leave it out.")
        return folders


class Settings(PairsFolder, SecretFolders, EncryptionSettings):
    """What every process needs, whatever pairs it serves."""

    deployment_environment: DeploymentEnvironment = DeploymentEnvironment.DEVELOPMENT
    """What this deployment is for."""
    temporal_address: str = "127.0.0.1:7233"
    """Host and port of the Temporal server."""
    temporal_namespace: str = "default"
    """Namespace in it; one for each environment."""
    temporal_api_key: SecretStr = SecretStr("")
    """Of Temporal Cloud; sent over TLS only. Read at start: restart the processes after a rotation."""
    temporal_tls: bool = False
    """On by itself when an API key or one of the next files is set."""
    temporal_tls_client_cert_path: Path | None = None
    """PEM, with its key: how this process proves itself (mTLS)."""
    temporal_tls_client_key_path: Path | None = None
    """PEM; the key of that certificate."""
    temporal_tls_server_ca_cert_path: Path | None = None
    """PEM, where the server's certificate is not from a public authority."""
    temporal_tls_server_name: str = ""
    """The name in the server's certificate where it is not that of TEMPORAL_ADDRESS."""
    log_level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""
    api_host: Annotated[str, ReadBy(Reader.API)] = "127.0.0.1"
    """Address on which the API listens. Without keys it refuses any that is not this machine's own, and in production
    every one."""
    api_port: Annotated[int, ReadBy(Reader.API)] = Field(default=8080, ge=1, le=65535)
    """Port on which the API listens."""
    api_keys_file: Annotated[Path | None, ReadBy(Reader.API)] = None
    """Hashes of the API's keys (`python -m api keys`); without, the API serves this machine only. Behind a proxy always
    set it: what the proxy passes on comes from this machine."""
    temporal_ui_origins: Annotated[tuple[str, ...], NoDecode, ReadBy(Reader.API)] = ()
    """Origins of Temporal's Web UI, comma-separated (`https://temporal.example.com`): its pages may ask /codec."""
    otel_exporter_otlp_endpoint: str = ""
    """Traces are sent there (OTLP over HTTP) when set."""
    log_format: LogFormat = LogFormat.TEXT
    """`json`: one object a line."""
    metrics_address: Annotated[str, ReadBy(Reader.WORKERS)] = ""
    """`host:port` at which a worker process shows its metrics; the API shows its own at `/metrics`."""
    temporal_metrics_address: str = ""
    """`host:port` at which a process shows the metrics of Temporal's SDK."""
    graceful_shutdown_seconds: Annotated[float, ReadBy(Reader.WORKERS)] = 30.0
    """Seconds that a stopping worker gives its running activities."""
    reports_dir: Annotated[Path, ReadBy(Reader.ORDERS)] = Path("var/reports")
    """Where reconciliations write their files; one shared folder when several processes have the role `orders`."""
    environments_dir: Path = Path("environments")
    """Where `python -m workers promote` finds a file of settings for each environment (docs/promotion.md)."""
    worker_deployment: Annotated[str, ReadBy(Reader.WORKERS)] = ""
    """Begins the names of the worker deployments; empty: workers have no version, and the newest takes everything."""
    worker_build_id: Annotated[str, ReadBy(Reader.WORKERS)] = ""
    """This code's and these pair files' version; empty: a hash of both."""

    @field_validator("api_keys_file", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("temporal_ui_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        origins = tuple(part.strip() for part in value.split(",") if part.strip())
        for origin in origins:
            if not ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin[:80]!r} is no origin; write scheme, host and port: https://temporal.example")
        return origins

    @field_validator("metrics_address", "temporal_metrics_address")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        if value:
            host_and_port(value)
        return value

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

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        env_ignore_empty=True,
        use_attribute_docstrings=True,
    )

    sage_gateway_url: Annotated[str, ReadBy(Reader.SAGE)] = ""
    """Address of the HTTP gateway in front of Sage's business objects."""
    sage_user: Annotated[str, ReadBy(Reader.SAGE)] = ""
    """User of the gateway, where the pair file says `sage.auth: user`."""
    sage_password: Annotated[SecretStr, ReadBy(Reader.SAGE)] = SecretStr("")
    """Its password."""
    sage_api_key: Annotated[SecretStr, ReadBy(Reader.SAGE)] = SecretStr("")
    """Key of the gateway, where the pair file says `sage.auth: api_key`."""
    sage_odbc: Annotated[SecretStr, ReadBy(Reader.SAGE)] = SecretStr("")
    """ODBC connection string, such as `Driver={MAS 90 4.0 ODBC Driver};…`; may hold a password."""
    clarity_url: Annotated[str, ReadBy(Reader.CLARITY)] = ""
    """Address of the store's API."""
    clarity_client_id: Annotated[str, ReadBy(Reader.CLARITY)] = ""
    """OAuth client, or the user where the pair file says `clarity.auth: login`."""
    clarity_client_secret: Annotated[SecretStr, ReadBy(Reader.CLARITY)] = SecretStr("")
    """Its secret or password."""
    clarity_api_key: Annotated[SecretStr, ReadBy(Reader.CLARITY)] = SecretStr("")
    """Key of the store, where the pair file says `clarity.auth: api_key`."""
    clarity_webhook_secrets: Annotated[tuple[SecretStr, ...], NoDecode, ReadBy(Reader.API)] = ()
    """Secrets that sign Clarity's webhooks (`whsec_…`); several while one is being rotated."""
    match_key_secret: Annotated[SecretStr, ReadBy(Reader.ORDERS, Reader.API)] = SecretStr("")
    """Key of the hashes in customer workflow ids: any long random text. Never change it while customers are being
    resolved."""

    alert_targets_high: Annotated[SecretStr, ReadBy(Reader.ORDERS, Reader.API)] = SecretStr("")
    """Addresses of apprise for alerts of this severity, separated by blanks; none: those of `warning`."""
    alert_targets_warning: Annotated[SecretStr, ReadBy(Reader.ORDERS, Reader.API)] = SecretStr("")
    """The same for warnings; none: those of `info`."""
    alert_targets_info: Annotated[SecretStr, ReadBy(Reader.ORDERS, Reader.API)] = SecretStr("")
    """The same for notices; none: only the log."""
    alert_targets_file: Annotated[str, ReadBy(Reader.ORDERS, Reader.API)] = ""
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


def host_and_port(address: str) -> tuple[str, int]:
    """`127.0.0.1:9464` or `[::1]:9464` in its parts; raises ValueError."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ValueError("use host:port, such as 127.0.0.1:9464")
    return host.strip("[]"), int(port)


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
