"""`python -m workers encryption new-key [ID] | usage [--query Q]`: keys of the payloads, and which are still needed.

In: the command's arguments and the settings of Temporal. Out: lines on standard output. `usage` reads what Temporal
keeps as it is, so it needs none of the keys.
"""

import argparse
import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from google.protobuf.message import Message
from rich.console import Console
from rich.table import Table
from temporalio.api.common.v1 import Header, Payload, SearchAttributes
from temporalio.api.common.v1 import WorkflowExecution as Run
from temporalio.api.history.v1 import MarkerRecordedEventAttributes
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    DescribeScheduleRequest,
    DescribeWorkflowExecutionRequest,
    GetWorkflowExecutionHistoryRequest,
)
from temporalio.client import Client, WorkflowExecution
from temporalio.service import RPCError, RPCStatusCode

from workers.codec import ENCRYPTED, KEY_ID
from workers.connect import connect
from workers.encryption_keys import EncryptionKeys, new_key
from workers.plugin import integration_plugin
from workers.settings import Settings, SettingsError

PLAIN: Final = ""
"""In place of a key's id: what was stored without encryption."""
RESULT: Final = "result"


def add_encryption_commands(parser: argparse.ArgumentParser) -> None:
    """`new-key` and `usage`."""
    actions = parser.add_subparsers(dest="action", required=True)
    make = actions.add_parser("new-key", help="print a fresh entry for ENCRYPTION_KEYS; it is stored nowhere")
    make.add_argument("id", nargs="?", default="", help="its name, such as 2026-11 (default: today)")
    usage = actions.add_parser("usage", help="which keys the workflows and schedules in Temporal still need")
    usage.add_argument(
        "--query", default="", help="look at these workflows alone, such as \"CloseTime > '2026-11-01'\""
    )


def run_encryption(options: argparse.Namespace, settings: Settings) -> int:
    """Do what the command says; raises SettingsError."""
    if options.action == "new-key":
        try:
            print(new_key(options.id or f"{datetime.now(UTC):%Y-%m-%d}"))
        except ValueError as error:
            raise SettingsError(f"encryption new-key: {error}.") from None
        return 0
    return asyncio.run(_show_usage(options.query, settings))


@dataclass
class Usage:
    """Where a key's payloads are."""

    running: int = 0
    closed: int = 0
    last_closed: datetime | None = None
    schedules: list[str] = field(default_factory=list)
    example: str = ""
    """A running workflow, else a closed one."""

    @property
    def is_needed(self) -> bool:
        """Whether anything that Temporal keeps cannot be read without the key."""
        return bool(self.running or self.closed or self.schedules)

    def add(self, execution: WorkflowExecution) -> None:
        """One more workflow that holds such payloads."""
        if execution.close_time is None:
            self.running, self.example = self.running + 1, execution.id
            return
        self.closed += 1
        self.last_closed = max(self.last_closed or execution.close_time, execution.close_time)
        self.example = self.example or execution.id


async def _show_usage(query: str, settings: Settings) -> int:
    client = await connect(settings, integration_plugin())
    try:
        found, retention = await usage_of(client, query), await retention_of(client)
    except RPCError as error:
        if error.status is not RPCStatusCode.INVALID_ARGUMENT:
            raise SettingsError(
                f"encryption usage: Temporal did not answer ({error.status.name}); try again."
            ) from None
        raise SettingsError(f"encryption usage: --query is no query of Temporal: {error.message[:200]}") from None
    console = Console()
    console.print(_table(found, settings.payload_keys()))
    for line in verdicts(found, settings.payload_keys(), retention, narrowed=bool(query)):
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    return 0


async def usage_of(client: Client, query: str = "") -> dict[str, Usage]:
    """By key id: the workflows (open, and closed within retention) and schedules that hold payloads of the key.

    Read are whole histories, pending activities (heartbeats) and schedules; search attributes and headers are never
    encrypted and hold nothing personal, and are left out. Raises RPCError.
    """
    found: dict[str, Usage] = {}
    async for execution in client.list_workflows(query or None):
        try:
            keys = await _keys_of_workflow(client, execution)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            # Retention took it meanwhile.
            continue
        for key in keys:
            found.setdefault(key, Usage()).add(execution)
    if not query:
        async for schedule in await client.list_schedules():
            request = DescribeScheduleRequest(namespace=client.namespace, schedule_id=schedule.id)
            for key in keys_in(await client.workflow_service.describe_schedule(request)):
                found.setdefault(key, Usage()).schedules.append(schedule.id)
    return found


async def _keys_of_workflow(client: Client, execution: WorkflowExecution) -> set[str]:
    run = Run(workflow_id=execution.id, run_id=execution.run_id)
    request = GetWorkflowExecutionHistoryRequest(namespace=client.namespace, execution=run)
    keys: set[str] = set()
    while True:
        page = await client.workflow_service.get_workflow_execution_history(request)
        keys.update(keys_in(page.history))
        if not page.next_page_token:
            break
        request.next_page_token = page.next_page_token
    if execution.close_time is None:
        described = DescribeWorkflowExecutionRequest(namespace=client.namespace, execution=run)
        keys.update(keys_in(await client.workflow_service.describe_workflow_execution(described)))
    return keys


async def retention_of(client: Client) -> timedelta:
    """How long the namespace keeps a closed workflow."""
    described = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
    return described.config.workflow_execution_retention_ttl.ToTimedelta()


def keys_in(message: Message) -> set[str]:
    """Ids of the keys that encrypted the payloads somewhere in a message; `PLAIN` for those without."""
    return {
        payload.metadata[KEY_ID].decode("utf-8", "replace") if payload.metadata.get("encoding") == ENCRYPTED else PLAIN
        for payload in payloads_in(message)
        if payload.data
    }


def payloads_in(message: Message) -> Iterator[Payload]:
    """Every payload in a message, except in search attributes and headers."""
    if isinstance(message, Payload):
        yield message
        return
    if isinstance(message, SearchAttributes | Header):
        return
    if isinstance(message, MarkerRecordedEventAttributes):
        # What the SDK notes beside a result (which local activity, which patch) is plain and nobody's.
        yield from message.details[RESULT].payloads if RESULT in message.details else ()
        yield from payloads_in(message.failure)
        return
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None:
            continue
        if descriptor.message_type.GetOptions().map_entry:
            parts: list[Any] = [one for one in value.values() if isinstance(one, Message)]
        else:
            parts = [value] if isinstance(value, Message) else list(value)
        for part in parts:
            yield from payloads_in(part)


def _table(found: dict[str, Usage], keys: EncryptionKeys) -> Table:
    table = Table(title="Payloads in Temporal by key")
    for heading in ("Key", "Here", "Running", "Closed", "Last closed", "Schedules", "For example"):
        table.add_column(heading, overflow="fold")
    for key in sorted({*found, *keys.by_id}):
        usage = found.get(key, Usage())
        here = "active" if key == keys.active else "yes" if key in keys.by_id else "MISSING"
        table.add_row(
            key or "(plain)",
            "" if key == PLAIN else here,
            str(usage.running),
            str(usage.closed),
            f"{usage.last_closed:%Y-%m-%d %H:%M}" if usage.last_closed else "",
            str(len(usage.schedules)),
            usage.example,
        )
    return table


def verdicts(found: dict[str, Usage], keys: EncryptionKeys, retention: timedelta, *, narrowed: bool) -> Iterator[str]:
    """What an operator may do with each key but the active one."""
    for key in sorted({*found, *keys.by_id} - {PLAIN, keys.active}):
        usage = found.get(key, Usage())
        if not usage.is_needed:
            if not narrowed:
                yield f"Key {key} is needed by nothing here: remove it from ENCRYPTION_KEYS of every process."
            continue
        reasons = []
        if usage.schedules:
            reasons.append("python -m workers schedules encrypts the schedules anew")
        if usage.running:
            reasons.append("workflows that run (each holds its whole history until it ends)")
        if usage.last_closed is not None:
            gone = usage.last_closed + retention
            reasons.append(f"closed workflows, which retention takes until {gone:%Y-%m-%d %H:%M} UTC")
        absent = "" if key in keys.by_id else " AND IS NOT HERE: add it to ENCRYPTION_KEYS"
        yield f"Key {key} is needed{absent}: {'; '.join(reasons)}."
    if keys.is_on and found.get(PLAIN, Usage()).is_needed:
        yield (
            "(plain): from before there was a key, or typed into the CLI or the Web UI without the codec endpoint; "
            "it stays so until its workflow is closed and retention has passed."
        )
