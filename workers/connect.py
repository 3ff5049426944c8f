"""Connecting to Temporal: wait for the server with clear messages, never give up with a traceback."""

import asyncio
import logging

from temporalio.client import Client
from temporalio.plugin import SimplePlugin
from temporalio.service import RPCError

from workers.settings import Settings

log = logging.getLogger(__name__)

FIRST_WAIT_SECONDS = 0.25
LONGEST_WAIT_SECONDS = 5.0


async def connect(settings: Settings, plugin: SimplePlugin) -> Client:
    """A connected client; waits as long as the server or the namespace is not there."""
    wait = FIRST_WAIT_SECONDS
    while True:
        try:
            return await Client.connect(
                settings.temporal_address, namespace=settings.temporal_namespace, plugins=[plugin]
            )
        except (RuntimeError, RPCError) as error:
            reason = str(error).splitlines()[0][:200]
            log.warning("Temporal at %s is not reachable yet (%s); trying again", settings.temporal_address, reason)
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT_SECONDS)
