"""What a production deployment must not start with: settings that are convenient on one's own machine and unsafe there.

In: the settings of a process and of its pairs. Out: every refusal at once, each with the setting and the remedy; in
other environments none. Only what is set is looked at: a machine has the settings of its own processes alone. What only
the API reads is held against the API alone.
"""

import base64
import binascii
import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from pydantic import SecretStr

from connectors.sage100.driver import parts_of
from workers.settings import DeploymentEnvironment, PairSettings, Settings, SettingsError, load_pair_settings

ENCRYPTION_SETTINGS: Final = ("encryption_keys", "encryption_keys_file")
"""Settings of which one must be set, so that what Temporal stores is encrypted. A process of a version that does not
have them cannot run in production."""

TEMPORAL_TLS_SETTINGS: Final = (
    "temporal_tls",
    "temporal_api_key",
    "temporal_tls_client_cert_path",
    "temporal_tls_server_ca_cert_path",
    "temporal_tls_server_name",
)
"""Settings of which any makes the connection to Temporal one over TLS."""

PUBLISHED: Final = ("sandbox", "changeme", "change-me")
"""What stands in secrets that everybody knows: the demo's own, and those of examples."""
GUESSED: Final = frozenset({"password", "secret", "example", "demo", "test", "admin", "integration", "sage", "clarity"})
"""Whole secrets that are tried first."""

SHORTEST_MATCH_KEY: Final = 16
"""Characters; a shorter key of the hashes can be guessed from a few hashes."""

NO_SINGLE_SECRET: Final = frozenset({"sage_odbc", "alert_targets_high", "alert_targets_warning", "alert_targets_info"})
"""Secrets that hold other text, too: a host called sandbox is no published secret."""

LOCAL_SUFFIXES: Final = (".local", ".internal", ".localhost", ".svc", ".cluster.local")
OFF: Final = frozenset({"0", "n", "no", "false", "off"})
ADMINISTRATORS: Final = frozenset({"sa", "postgres", "root", "administrator"})
"""Users of SQL servers that may write everything."""

RULES: Final = (
    "there is no encryption key: names and addresses would lie open in Temporal's database "
    "(`ENCRYPTION_KEYS` or `ENCRYPTION_KEYS_FILE`);",
    "a secret is one of the sandbox's or of an example, or `…_MATCH_KEY_SECRET` is shorter than 16 characters;",
    "`API_KEYS_FILE` is not there (the API alone), whatever `API_HOST` is: what a proxy passes on may look like this "
    "machine's own;",
    "`…_SAGE_GATEWAY_URL` or `…_CLARITY_URL` is plain `http` to a host that is not local;",
    "`…_SAGE_ODBC` says that it may write, or signs in as an administrator;",
    "`TEMPORAL_ADDRESS` is not local and the connection has no TLS.",
)
"""The rules in words, for docs/settings.md."""


class Refusal(NamedTuple):
    """A setting that production does not start with."""

    setting: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.setting} {self.problem}. {self.remedy}"


NO_KEYS: Final = Refusal(
    "API_KEYS_FILE",
    "names no file with keys: whoever reaches the API, also through a proxy, could read and decide everything",
    "Set it, and make a key: python -m api keys add NAME --scope read --scope operate.",
)


def refuse_unsafe(settings: Settings, pairs: Iterable[str], *, serves_api: bool = False) -> None:
    """In production, raise SettingsError with every refusal; elsewhere nothing. `serves_api`: this is the API."""
    if settings.deployment_environment is not DeploymentEnvironment.PRODUCTION:
        return
    found = list(unsafe(settings, {pair: load_pair_settings(pair) for pair in pairs}))
    if serves_api and not has_keys_file(settings):
        found.append(NO_KEYS)
    if found:
        lines = "".join(f"\n  - {one}" for one in found)
        raise SettingsError(f"DEPLOYMENT_ENVIRONMENT is production, and these settings are unsafe there:{lines}")


def has_keys_file(settings: Settings) -> bool:
    """Whether the API has a file of keys; what is in it the API itself looks at."""
    return settings.api_keys_file is not None and settings.api_keys_file.is_file()


def unsafe(settings: Settings, pairs: Mapping[str, PairSettings]) -> Iterator[Refusal]:
    """Every refusal, whatever the environment is, but for the API's keys."""
    yield from _of_the_process(settings)
    for pair, own in pairs.items():
        yield from _of_a_pair(f"{pair.upper()}_", own)


def _of_the_process(settings: Settings) -> Iterator[Refusal]:
    if not any(_is_set(settings, name) for name in ENCRYPTION_SETTINGS):
        yield Refusal(
            "ENCRYPTION_KEYS",
            "is not set: names and addresses would lie open in Temporal's database",
            "Set it, or ENCRYPTION_KEYS_FILE (docs/settings.md).",
        )
    host = host_of(settings.temporal_address)
    if not is_local(host) and not any(_is_set(settings, name) for name in TEMPORAL_TLS_SETTINGS):
        yield Refusal(
            "TEMPORAL_ADDRESS",
            f"is {settings.temporal_address}, which is not local, and the connection has no TLS",
            "Set TEMPORAL_TLS=true or TEMPORAL_API_KEY (docs/settings.md), or go through a local proxy with TLS.",
        )


def _of_a_pair(prefix: str, own: PairSettings) -> Iterator[Refusal]:
    for name in PairSettings.model_fields:
        value = getattr(own, name)
        secrets = value if isinstance(value, tuple) else (value,)
        if name not in NO_SINGLE_SECRET and any(isinstance(one, SecretStr) and is_published(one) for one in secrets):
            yield Refusal(
                prefix + name.upper(),
                "is a secret that everybody knows (the sandbox's, or an example's)",
                "Set one that only this deployment has.",
            )
    key = own.match_key_secret.get_secret_value()
    if 0 < len(key) < SHORTEST_MATCH_KEY:
        yield Refusal(
            f"{prefix}MATCH_KEY_SECRET",
            f"has {len(key)} characters, and needs {SHORTEST_MATCH_KEY}",
            'Make one: python -c "import secrets; print(secrets.token_urlsafe(32))".',
        )
    for name in ("sage_gateway_url", "clarity_url"):
        url: str = getattr(own, name)
        if url.casefold().startswith("http:") and not is_local(host_of(url)):
            yield Refusal(
                prefix + name.upper(),
                f"is plain http to {host_of(url)}: credentials and orders would travel in the clear",
                "Use https.",
            )
    if (problem := may_write(own.sage_odbc.get_secret_value())) is not None:
        yield Refusal(f"{prefix}SAGE_ODBC", problem, "Give it a user who may only read, and ReadOnly=1 where known.")


def _is_set(settings: Settings, name: str) -> bool:
    value = getattr(settings, name, None)
    if isinstance(value, SecretStr):
        return bool(value.get_secret_value().strip())
    return bool(value)


def is_published(secret: SecretStr) -> bool:
    """Whether everybody knows a secret: a word of `PUBLISHED` is in it, as it stands or below `whsec_` and base64."""
    text = secret.get_secret_value()
    if text.casefold() in GUESSED:
        return True
    texts = [text.casefold()]
    try:
        plain = base64.b64decode(text.removeprefix("whsec_"), validate=True)
        texts.append(plain.decode("ascii").casefold())
    except (binascii.Error, ValueError):
        pass
    return any(word in one for one in texts for word in PUBLISHED)


def host_of(address: str) -> str:
    """The host of `host:port` or a URL; empty when there is none."""
    try:
        return urlsplit(address if "://" in address else f"//{address}").hostname or ""
    except ValueError:
        return ""


def is_this_machine(host: str) -> bool:
    """Whether a host is loopback, by name or address."""
    if host.casefold() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_local(host: str) -> bool:
    """Whether a host is this machine or in its own network: see `docs/settings.md`."""
    if is_this_machine(host):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_private
    except ValueError:
        name = host.casefold().rstrip(".")
        return bool(name) and ("." not in name or name.endswith(LOCAL_SUFFIXES))


def may_write(connection_string: str) -> str | None:
    """How a connection string says that its user may write; None when it does not say so."""
    parts = parts_of(connection_string)
    user = parts.get("uid") or parts.get("user id") or parts.get("user") or ""
    if user.casefold() in ADMINISTRATORS:
        return f"signs in as {user}, who may write everything"
    if any(parts.get(name, "").casefold() in OFF for name in ("readonly", "read only")):
        return "says ReadOnly is off"
    return None
