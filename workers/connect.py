"""Connecting to Temporal: wait for the server with clear messages, never give up with a traceback.

In: the settings TEMPORAL_…, named as Temporal's own tools name them. Out: a connected client, in the clear, over TLS,
with a certificate of our own (mTLS) or with an API key (Temporal Cloud).
"""

import asyncio
import logging
import time
from pathlib import Path
from typing import TypedDict

from temporalio.client import Client
from temporalio.plugin import SimplePlugin
from temporalio.runtime import Runtime
from temporalio.service import RPCError, RPCStatusCode, TLSConfig

from workers.settings import Settings, SettingsError

log = logging.getLogger(__name__)

QUIET_SECONDS = 2.0
"""Processes start in any order: the first moments are not worth a word."""
FIRST_WAIT_SECONDS = 0.25
LONGEST_WAIT_SECONDS = 5.0
REFUSED = frozenset({RPCStatusCode.UNAUTHENTICATED, RPCStatusCode.PERMISSION_DENIED})


class Connection(TypedDict):
    """Arguments of `Client.connect` that say which server, and how to get in."""

    target_host: str
    namespace: str
    api_key: str | None
    tls: bool | TLSConfig


def connection(settings: Settings) -> Connection:
    """Where Temporal is and how to get in; raises SettingsError when a file is missing or half of a pair is."""
    certificate = settings.temporal_tls_client_cert_path
    key = settings.temporal_tls_client_key_path
    authority = settings.temporal_tls_server_ca_cert_path
    if (certificate is None) is not (key is None):
        missing = "TEMPORAL_TLS_CLIENT_CERT_PATH" if certificate is None else "TEMPORAL_TLS_CLIENT_KEY_PATH"
        raise SettingsError(f"{missing} is not set: a client certificate and its key belong together. Set both.")
    api_key = settings.temporal_api_key.get_secret_value() or None
    wanted = settings.temporal_tls or api_key or certificate or authority or settings.temporal_tls_server_name
    return Connection(
        target_host=settings.temporal_address,
        namespace=settings.temporal_namespace,
        api_key=api_key,
        tls=TLSConfig(
            server_root_ca_cert=_pem(authority, "TEMPORAL_TLS_SERVER_CA_CERT_PATH"),
            domain=settings.temporal_tls_server_name or None,
            client_cert=_pem(certificate, "TEMPORAL_TLS_CLIENT_CERT_PATH"),
            client_private_key=_pem(key, "TEMPORAL_TLS_CLIENT_KEY_PATH"),
        )
        if wanted
        else False,
    )


def _pem(file: Path | None, variable: str) -> bytes | None:
    if file is None:
        return None
    try:
        content = file.read_bytes()
    except OSError as error:
        raise SettingsError(f"{variable}: {file} cannot be read: {error.strerror}.") from None
    if b"-----BEGIN " not in content:
        raise SettingsError(f"{variable}: {file} holds no PEM (-----BEGIN …).")
    return content


async def connect(settings: Settings, plugin: SimplePlugin, runtime: Runtime | None = None) -> Client:
    """A connected client; waits as long as the server or the namespace is not there. Raises SettingsError."""
    target = connection(settings)
    wait, silent_until = FIRST_WAIT_SECONDS, time.monotonic() + QUIET_SECONDS
    while True:
        try:
            return await Client.connect(**target, plugins=[plugin], runtime=runtime)
        except (RuntimeError, RPCError) as error:
            if isinstance(error, RPCError) and error.status in REFUSED:
                log.warning(
                    "Temporal at %s refuses to let us in (%s); trying again. Correct TEMPORAL_API_KEY or the client "
                    "certificate, and their rights on the namespace %s, then restart.",
                    settings.temporal_address,
                    error.status.name,
                    settings.temporal_namespace,
                )
            elif time.monotonic() > silent_until:
                log.warning(
                    "Temporal at %s (namespace %s) is not reachable yet; trying again. Is the server running%s? (%s)",
                    settings.temporal_address,
                    settings.temporal_namespace,
                    ", and do both sides speak TLS" if target["tls"] else "",
                    type(error).__name__,
                )
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT_SECONDS)


async def connect_once(settings: Settings, plugin: SimplePlugin) -> Client:
    """A connected client; raises RuntimeError or RPCError without a server, and SettingsError. The namespace may be
    missing."""
    return await Client.connect(**connection(settings), plugins=[plugin])
