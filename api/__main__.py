"""`python -m api [--host H] [--port P]` serves the API; `python -m api keys add | list | revoke` makes its keys.

Settings come from the environment (see .env.example); the flags win over API_HOST and API_PORT.
"""

import argparse
import asyncio
import contextlib
import socket
import sys
from collections.abc import Sequence
from functools import partial

import uvicorn
from temporalio.client import Client

from api.app import create_app
from api.edge import PairEdge
from api.keys import KeyRing, KeysFileError, now
from api.keys_command import add_keys_parser, run_keys
from api.temporal_watch import TemporalWatch, look_at_temporal
from connectors.clarity.webhooks import decode_secret
from workers.connect import connection
from workers.plugin import integration_plugin
from workers.production import is_this_machine, refuse_unsafe
from workers.settings import (
    DeploymentEnvironment,
    Settings,
    SettingsError,
    how_to_set,
    load_pair_files,
    load_pair_settings,
    load_settings,
)
from workers.telemetry import leave, set_up_logging, set_up_tracing, temporal_runtime


def read_edges(settings: Settings) -> dict[str, PairEdge]:
    """Pairs with their webhook keys; raises SettingsError."""
    edges = {}
    for name, pair in load_pair_files(settings).items():
        variable = f"{name.upper()}_CLARITY_WEBHOOK_SECRETS"
        secrets = load_pair_settings(name).clarity_webhook_secrets
        if not secrets:
            raise SettingsError(f"{variable} is not set. {how_to_set(variable)}")
        try:
            keys = tuple(decode_secret(secret.get_secret_value(), pair.clarity.webhook) for secret in secrets)
        except ValueError as error:
            raise SettingsError(f"{variable}: {error}.") from None
        edges[name] = PairEdge(pair=pair, webhook_keys=keys)
    return edges


def check_keys(settings: Settings, keys: KeyRing) -> None:
    """Raises SettingsError when the API needs a valid key and has none, or its keys cannot be read.

    It needs one where others could reach it, and in production everywhere: a proxy on this machine passes strangers on.
    """
    production = settings.deployment_environment is DeploymentEnvironment.PRODUCTION
    try:
        if keys.is_usable(now()) or (is_this_machine(settings.api_host) and not production):
            return
    except KeysFileError as error:
        raise SettingsError(str(error)) from None
    if production:
        raise SettingsError(
            "DEPLOYMENT_ENVIRONMENT is production: without a valid API key the API does not start. Make one: "
            "python -m api keys add NAME --scope read --scope operate (with API_KEYS_FILE set)."
        )
    raise SettingsError(
        f"API_HOST is {settings.api_host}: without a valid API key the API listens on this machine only. Set "
        "API_KEYS_FILE and make one: python -m api keys add NAME --scope read --scope operate. Or use 127.0.0.1."
    )


def bind(settings: Settings) -> socket.socket:
    """The listening socket; raises SettingsError when host or port cannot be used."""
    family = socket.AF_INET6 if ":" in settings.api_host else socket.AF_INET
    # With the protocol named, asyncio sets TCP_NODELAY on what it accepts: else answers wait 40 ms for the client.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.api_host, settings.api_port))
    except OSError as error:
        raise SettingsError(
            f"API_PORT {settings.api_port} on API_HOST {settings.api_host} cannot be used: {error.strerror}. "
            "Choose another."
        ) from None
    return listener


async def serve(settings: Settings) -> None:
    """Serve until stopped. The Temporal client connects with the first request: the API may start first."""
    edges = read_edges(settings)
    refuse_unsafe(settings, edges, serves_api=True)
    keys = KeyRing(settings.api_keys_file)
    check_keys(settings, keys)
    listener = bind(settings)
    tracing = set_up_tracing(settings, "clarity-sage100-api")
    client = await Client.connect(
        **connection(settings),
        plugins=[integration_plugin(tracing=tracing)],
        lazy=True,
        runtime=temporal_runtime(settings),
    )
    config = uvicorn.Config(
        create_app(edges, client, keys, settings.temporal_ui_origins),
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
        server_header=False,
    )
    watch = TemporalWatch(
        {name: edge.pair for name, edge in edges.items()},
        partial(look_at_temporal, client),
        lambda pair: load_pair_settings(pair).alert_targets(),
    )
    watching = asyncio.create_task(watch.run())
    try:
        await uvicorn.Server(config).serve(sockets=[listener])
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching


def build_parser() -> argparse.ArgumentParser:
    """Flags of serving, and the command `keys`."""
    parser = argparse.ArgumentParser(prog="python -m api", description=__doc__)
    parser.add_argument("--host", help="instead of API_HOST; other than this machine only with API keys")
    parser.add_argument("--port", type=int, help="instead of API_PORT")
    add_keys_parser(parser.add_subparsers(dest="command"))
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    options = build_parser().parse_args(arguments)
    try:
        settings = load_settings()
        if options.command == "keys":
            run_keys(options, settings)
            return 0
        given = {"api_host": options.host, "api_port": options.port}
        settings = settings.model_copy(update={name: value for name, value in given.items() if value is not None})
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
