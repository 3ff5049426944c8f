"""Temporal as developers and support use it: the CLI of the virtual environment, and the poller's cursor."""

import asyncio
import json
import os
import subprocess
from typing import Any

from temporalio.client import Client

from tests.e2e.conftest import House
from tests.support.histories import TEMPORAL
from tests.support.processes import wait_until

SCHEDULE = "sage-poll-demo"
BUSY = "Workflow is busy"
"""What the server says to a query when the workflow's lock stayed taken: a person would ask again."""


def temporal(house: House, *arguments: str) -> str:
    """The CLI, as the README shows it."""
    command = [str(TEMPORAL), *arguments, "--address", house.temporal_address]

    def answered() -> subprocess.CompletedProcess[str] | None:
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False, env=cli_environment(house)
        )
        return None if result.returncode and BUSY in result.stderr else result

    result = wait_until(f"the CLI is answered: {arguments}", answered)
    assert result.returncode == 0, result.stderr
    return result.stdout


def cli_environment(house: House) -> dict[str, str]:
    """Where payloads are encrypted, the CLI needs the codec endpoint (docs/personal-data.md)."""
    endpoint = {"TEMPORAL_CODEC_ENDPOINT": f"{house.api_url}/codec"} if house.encryption_keys else {}
    return {**os.environ, **endpoint}


def history(house: House, workflow_id: str) -> list[dict[str, Any]]:
    """The events of the latest run."""
    events: list[dict[str, Any]] = json.loads(temporal(house, "workflow", "show", "-w", workflow_id, "-o", "json"))[
        "events"
    ]
    return events


def running_shifts(house: House) -> list[dict[str, str]]:
    """Workflow and run ids of the poller's shifts that run."""
    query = "WorkflowType='SagePollWorkflow' AND ExecutionStatus='Running'"
    runs = json.loads(temporal(house, "workflow", "list", "--query", query, "-o", "json") or "[]")
    return [run["execution"] for run in runs]


def cursor(house: House) -> dict[str, Any]:
    """The cursor in the heartbeat of the shift that is running; empty between two shifts."""
    return asyncio.run(_cursor(house.temporal_address))


async def _cursor(address: str) -> dict[str, Any]:
    client = await Client.connect(address)
    async for run in client.list_workflows("WorkflowType='SagePollWorkflow' AND ExecutionStatus='Running'"):
        shift = await client.get_workflow_handle(run.id, run_id=run.run_id).describe()
        for activity in shift.raw_description.pending_activities:
            for payload in activity.heartbeat_details.payloads:
                details: dict[str, Any] = json.loads(payload.data)
                return details
    return {}


def timers(house: House, workflow_id: str) -> list[str]:
    """Summaries of the timers that the workflow has started."""
    return asyncio.run(_timers(house.temporal_address, workflow_id))


async def _timers(address: str, workflow_id: str) -> list[str]:
    client = await Client.connect(address)
    events = (await client.get_workflow_handle(workflow_id).fetch_history()).events
    started = [event for event in events if event.HasField("timer_started_event_attributes")]
    return [event.user_metadata.summary.data.decode() for event in started]


def polls_made(house: House) -> int:
    """Polls that the running shift and those before it have made; 0 between two shifts."""
    return int(cursor(house).get("polls", 0))
