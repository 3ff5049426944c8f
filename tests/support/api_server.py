"""The API in a thread, served by uvicorn on a free port: real HTTP, real headers, and no process to start."""

import asyncio
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import uvicorn
from temporalio.client import Client

from api.app import create_app
from api.edge import PairEdge
from api.keys import KeyRing
from tests.support.processes import answers, wait_until
from workers.plugin import integration_plugin


@contextmanager
def serving(edges: Mapping[str, PairEdge], temporal_address: str, keys: KeyRing | None = None) -> Iterator[str]:
    """The address of an API that speaks to Temporal at `temporal_address` (which need not answer)."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    servers: list[uvicorn.Server] = []

    async def serve() -> None:
        client = await Client.connect(temporal_address, plugins=[integration_plugin()], lazy=True)
        config = uvicorn.Config(
            create_app(edges, client, keys),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        servers.append(uvicorn.Server(config))
        await servers[0].serve(sockets=[listener])

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        wait_until("the API answers", lambda: answers(f"{address}/healthz"), 30)
        yield address
    finally:
        for server in servers:
            server.should_exit = True
        thread.join(20)
        listener.close()
