"""`python -m api`: serve the API. Settings come from the environment (see .env.example)."""

import asyncio
import socket
import sys

import uvicorn
from temporalio.client import Client

from api.app import PairEdge, create_app
from connectors.clarity.webhooks import decode_secret
from workers.plugin import integration_plugin
from workers.settings import (
    Settings,
    SettingsError,
    load_pair_files,
    load_pair_settings,
    load_settings,
)
from workers.telemetry import leave, set_up_logging, set_up_tracing

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def read_edges(settings: Settings) -> dict[str, PairEdge]:
    """Pairs with their webhook keys; raises SettingsError."""
    edges = {}
    for name, pair in load_pair_files(settings).items():
        variable = f"{name.upper()}_CLARITY_WEBHOOK_SECRETS"
        secrets = load_pair_settings(name).clarity_webhook_secrets
        if not secrets:
            raise SettingsError(f"{variable} is not set. Set it in the environment or in .env (see .env.example).")
        try:
            keys = tuple(decode_secret(secret.get_secret_value(), pair.clarity.webhook) for secret in secrets)
        except ValueError as error:
            raise SettingsError(f"{variable}: {error}.") from None
        edges[name] = PairEdge(pair=pair, webhook_keys=keys)
    return edges


def bind(settings: Settings) -> socket.socket:
    """The listening socket; raises SettingsError when the port is taken or the host is open to others."""
    if settings.api_host not in LOOPBACK:
        raise SettingsError(
            f"API_HOST is {settings.api_host}: without API keys the API listens on this machine only. "
            "Use 127.0.0.1 and put a proxy in front that passes /webhooks/ alone."
        )
    family = socket.AF_INET6 if ":" in settings.api_host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.api_host, settings.api_port))
    except OSError as error:
        raise SettingsError(f"API_PORT {settings.api_port} cannot be used: {error.strerror}. Choose another.") from None
    return listener


async def serve(settings: Settings) -> None:
    """Serve until stopped. The Temporal client connects with the first request: the API may start first."""
    edges = read_edges(settings)
    listener = bind(settings)
    tracing = set_up_tracing(settings, "clarity-sage100-api")
    client = await Client.connect(
        settings.temporal_address,
        namespace=settings.temporal_namespace,
        plugins=[integration_plugin(tracing=tracing)],
        lazy=True,
    )
    config = uvicorn.Config(
        create_app(edges, client),
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
        server_header=False,
    )
    await uvicorn.Server(config).serve(sockets=[listener])


def main() -> int:
    """Entry point; returns the exit status."""
    try:
        settings = load_settings()
        set_up_logging(settings)
        asyncio.run(serve(settings))
    except SettingsError as error:
        print(f"api: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    leave(main())
