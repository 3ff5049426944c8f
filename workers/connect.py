"""Connecting to Temporal: wait for the server with clear messages, never give up with a traceback."""

import asyncio
import logging
import time

from temporalio.client import Client
from temporalio.plugin import SimplePlugin
from temporalio.runtime import Runtime
from temporalio.service import RPCError

from workers.settings import Settings

log = logging.getLogger(__name__)

QUIET_SECONDS = 2.0
"""Processes start in any order: the first moments are not worth a word."""
FIRST_WAIT_SECONDS = 0.25
LONGEST_WAIT_SECONDS = 5.0


async def connect(settings: Settings, plugin: SimplePlugin, runtime: Runtime | None = None) -> Client:
    """A connected client; waits as long as the server or the namespace is not there."""
    wait, silent_until = FIRST_WAIT_SECONDS, time.monotonic() + QUIET_SECONDS
    while True:
        try:
            return await connect_once(settings, plugin, runtime)
        except (RuntimeError, RPCError) as error:
            if time.monotonic() > silent_until:
                log.warning(
                    "Temporal at %s (namespace %s) is not reachable yet; trying again. Is the server running? (%s)",
                    settings.temporal_address,
                    settings.temporal_namespace,
                    type(error).__name__,
                )
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT_SECONDS)


async def connect_once(settings: Settings, plugin: SimplePlugin, runtime: Runtime | None = None) -> Client:
    """A connected client; raises RuntimeError or RPCError without a server. The namespace may be missing."""
    return await Client.connect(
        settings.temporal_address, namespace=settings.temporal_namespace, plugins=[plugin], runtime=runtime
    )
