"""Encryption on a real server: rotation, a key that is missing for a while, failures, schedules."""

import asyncio
import uuid
from collections.abc import Callable

import pytest
from google.protobuf.message import Message
from temporalio import workflow
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import DescribeScheduleRequest
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, Worker

from contracts import ids
from tests.workflows.conftest import PAIR
from workers import schedules
from workers.encryption import keys_in, usage_of
from workers.encryption_keys import new_key, parse_keys
from workers.plugin import integration_plugin

pytestmark = pytest.mark.asyncio(loop_scope="session")

OLD, NEW = new_key("old"), new_key("new")
STREET = "1515 Bellevue Avenue"


@workflow.defn(sandboxed=False)
class Echo:
    """Says back what a signal told it, or fails with it."""

    def __init__(self) -> None:
        self.told: list[str] = []

    @workflow.run
    async def run(self, street: str) -> str:
        workflow.set_current_details(street)
        await workflow.wait_condition(lambda: bool(self.told))
        if self.told[0] == "fail":
            raise ApplicationError(f"no such street: {street}", non_retryable=True)
        return street + self.told[0]

    @workflow.signal
    def tell(self, text: str) -> None:
        self.told.append(text)


async def client_with(env: WorkflowEnvironment, *entries: str) -> Client:
    """A client of the same server with these keys, as a process that was started with them."""
    plugin = integration_plugin(keys=parse_keys(",".join(entries)))
    return await Client.connect(env.client.service_client.config.target_host, plugins=[plugin])


async def started(client: Client, queue: str) -> WorkflowHandle[Echo, str]:
    return await client.start_workflow(
        Echo.run, STREET, id=f"echo-{uuid.uuid4().hex}", task_queue=queue, static_summary=f"to {STREET}"
    )


async def until_event(handle: WorkflowHandle[Echo, str], event_type: "EventType.ValueType") -> Message:
    async with asyncio.timeout(30):
        async for event in handle.fetch_history_events(wait_new_event=True):
            if event.event_type == event_type:
                return event
    raise AssertionError("the history ended without it")


async def test_what_was_begun_with_an_old_key_goes_on_with_a_new_one_and_both_are_read(
    env: WorkflowEnvironment,
) -> None:
    queue = uuid.uuid4().hex
    before, after = await client_with(env, OLD), await client_with(env, NEW, OLD)
    async with Worker(before, task_queue=queue, workflows=[Echo]):
        handle = await started(before, queue)
        await until_event(handle, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED)
    async with Worker(after, task_queue=queue, workflows=[Echo]):
        again = after.get_workflow_handle_for(Echo.run, handle.id)
        await again.signal(Echo.tell, "!")
        assert await asyncio.wait_for(again.result(), 30) == f"{STREET}!"
        described = await again.describe()
        assert await described.static_summary() == f"to {STREET}"
    history = await again.fetch_history()
    assert {key for event in history.events for key in keys_in(event)} == {"old", "new"}
    assert STREET.encode() not in b"".join(event.SerializeToString() for event in history.events)
    plugin = integration_plugin(keys=parse_keys(f"{NEW},{OLD}"))
    replayed = await Replayer(workflows=[Echo], plugins=[plugin]).replay_workflow(history)
    assert replayed.replay_failure is None
    found = await usage_of(after, f"WorkflowId='{handle.id}'")
    assert {key: usage.closed for key, usage in found.items()} == {"old": 1, "new": 1}


async def test_a_worker_without_the_key_loses_nothing_and_one_with_it_goes_on(
    env: WorkflowEnvironment, caplog: pytest.LogCaptureFixture
) -> None:
    queue = uuid.uuid4().hex
    with_key, without = await client_with(env, NEW), await client_with(env, OLD)
    handle = await started(with_key, queue)
    async with Worker(without, task_queue=queue, workflows=[Echo]):
        await until_event(handle, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)
    assert "encrypted with the key 'new', which is not here (here: old). Add it to ENCRYPTION_KEYS" in caplog.text
    async with Worker(with_key, task_queue=queue, workflows=[Echo]):
        await handle.signal(Echo.tell, "!")
        assert await asyncio.wait_for(handle.result(), 30) == f"{STREET}!"


async def test_a_failure_of_a_workflow_is_encrypted(env: WorkflowEnvironment) -> None:
    queue = uuid.uuid4().hex
    client = await client_with(env, NEW)
    async with Worker(client, task_queue=queue, workflows=[Echo]):
        handle = await started(client, queue)
        await handle.signal(Echo.tell, "fail")
        with pytest.raises(WorkflowFailureError) as caught:
            await asyncio.wait_for(handle.result(), 30)
    assert str(caught.value.cause) == f"no such street: {STREET}"
    event = await until_event(handle, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED)
    assert b"Encoded failure" in event.SerializeToString()
    assert STREET.encode() not in event.SerializeToString()


async def test_the_command_schedules_encrypts_their_arguments_with_the_new_key(
    env: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = ids.reconcile_schedule_id(PAIR.name)
    make: Callable[..., object] = schedules.reconcile_schedule
    monkeypatch.setattr(schedules, "schedules_of", lambda pair: {id_: make(pair)})
    client = await client_with(env, NEW, OLD)
    try:
        for by, keys in ((await client_with(env, OLD), {"old"}), (client, {"new"})):
            await schedules.ensure_schedules(by, [PAIR])
            request = DescribeScheduleRequest(namespace=client.namespace, schedule_id=id_)
            assert keys_in(await client.workflow_service.describe_schedule(request)) == keys
    finally:
        await client.get_schedule_handle(id_).delete()
