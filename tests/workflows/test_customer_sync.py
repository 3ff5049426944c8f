"""`CustomerSyncWorkflow` and `CustomerSweepWorkflow`: the newest wins, doubt waits for a person, and what one run
of the Schedule hands to the next."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from temporalio import activity
from temporalio.client import WorkflowHandle, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.customer_intake import sync_customer
from activities.intake import Intake, IntakeResult
from contracts import ids, queues
from contracts.customers import (
    AccountChanges,
    AccountRow,
    CatchUpCustomers,
    CustomerAction,
    CustomerChanged,
    CustomersCaughtUp,
    CustomerSweepMemory,
    CustomerSweepStart,
    CustomerSweepTally,
    CustomerSyncResult,
    CustomerSyncStart,
    DecideCustomer,
    FindAccountChanges,
    PlanCustomerSync,
    ReadWebCustomers,
    SyncOutcome,
    TellAttributes,
    TellWebCustomer,
    WebCustomersRead,
    WriteCustomer,
)
from contracts.failures import FailureType
from contracts.inventory import BucketDigest
from contracts.messages import AlertKind
from mappings.customer_rules import CustomerSync, FieldOwner, SyncedField
from mappings.customer_sync import CustomerPlan
from mappings.inventory import UNKNOWN, Digests
from mappings.pair import Pace
from mappings.problems import Problem
from mappings.sales_order import CustomerKey
from tests.workflows.conftest import PAIR as DEMO
from tests.workflows.conftest import STARTED, World, refused
from workflows.customer_sweep import CustomerSweepWorkflow
from workflows.customer_sync import CustomerSyncWorkflow

pytestmark = pytest.mark.asyncio(loop_scope="session")

PAIR = "club"
"""Not the demo pair: its queues have workers of their own."""
PACE = Pace(retry_initial=0.05, retry_maximum=0.2, hold_reminder=3600, poll_heartbeat_timeout=5)
KEY = CustomerKey(ARDivisionNo="02", CustomerNo="W000001")
UPDATE = CustomerPlan(customer=KEY, by="the cross-reference", columns={"TelephoneNo": "512-555-0100"})
IN_STEP = CustomerPlan(customer=KEY, by="the cross-reference")
DOUBT = CustomerPlan(problems=[Problem(field="data.customer", message="Nothing is written: two accounts.")])


class Sides:
    """Sage and Clarity, as a test writes them."""

    def __init__(self) -> None:
        self.plans: list[CustomerPlan] = []
        """What the next looks find; after the last one, both sides are in step."""
        self.gone = False
        self.reads = 0
        self.reading = asyncio.Event()
        self.reading.set()
        self.asked: list[PlanCustomerSync] = []
        self.written: list[WriteCustomer] = []
        self.write_errors: list[Exception] = []
        self.meanwhile: list[Problem] = []
        self.told: list[TellWebCustomer] = []
        self.pages: list[AccountChanges] = []
        self.finds: list[FindAccountChanges] = []
        self.tells: list[TellAttributes] = []
        self.tell_errors: list[Exception] = []
        self.refused = 0
        self.caught_up: list[CatchUpCustomers] = []

    @activity.defn
    async def read_web_customers(self, request: ReadWebCustomers) -> WebCustomersRead:
        self.reads += 1
        await self.reading.wait()
        return WebCustomersRead(customers=[] if self.gone else [{"id": request.ids[0]}])

    @activity.defn
    async def plan_customer_sync(self, request: PlanCustomerSync) -> CustomerPlan:
        self.asked.append(request)
        return self.plans.pop(0) if self.plans else IN_STEP

    @activity.defn
    async def write_customer(self, request: WriteCustomer) -> list[Problem]:
        if self.write_errors:
            raise self.write_errors.pop(0)
        self.written.append(request)
        return self.meanwhile

    @activity.defn
    async def tell_web_customer(self, request: TellWebCustomer) -> bool:
        self.told.append(request)
        return True

    @activity.defn
    async def find_account_changes(self, request: FindAccountChanges) -> AccountChanges:
        self.finds.append(request)
        return self.pages.pop(0) if self.pages else AccountChanges()

    @activity.defn
    async def tell_attributes(self, request: TellAttributes) -> CustomerSweepTally:
        if self.tell_errors:
            raise self.tell_errors.pop(0)
        self.tells.append(request)
        rows, why = len(request.rows), "no such field"
        return CustomerSweepTally(looked_at=rows, customers=rows, told=rows, refused=self.refused, why_refused=why)

    @activity.defn
    async def catch_up_customers(self, request: CatchUpCustomers) -> CustomersCaughtUp:
        self.caught_up.append(request)
        return CustomersCaughtUp(listed=2, started=1, started_ids=["c1"], next_since=request.now)


@pytest_asyncio.fixture(loop_scope="session")
async def sides(env: WorkflowEnvironment, world: World) -> AsyncIterator[Sides]:
    """Both sides for one test, with workers on the queues of the pair."""
    sides = Sides()
    by_queue: dict[str, list[Callable[..., Any]]] = {
        queues.sage_read(PAIR): [sides.plan_customer_sync, sides.find_account_changes],
        queues.sage_write(PAIR): [sides.write_customer],
        queues.clarity(PAIR): [
            sides.read_web_customers,
            sides.tell_web_customer,
            sides.tell_attributes,
            sides.catch_up_customers,
        ],
    }
    workers = [
        Worker(env.client, task_queue=queue, activities=activities, activity_executor=ThreadPoolExecutor(1))
        for queue, activities in by_queue.items()
    ]
    running = [asyncio.create_task(worker.run()) for worker in workers]
    try:
        yield sides
    finally:
        sides.reading.set()
        await asyncio.gather(*(worker.shutdown() for worker in workers))
        await asyncio.gather(*running)


Run = WorkflowHandle[CustomerSyncWorkflow, CustomerSyncResult]


async def start(env: WorkflowEnvironment, *, review: bool = False, webhook_id: str = "msg_1") -> Run:
    """A run as the webhook edge starts it."""
    clarity_id = f"c{uuid.uuid4().hex[:10]}"
    with env.with_time_skipping_disabled():
        handle: Run = await env.client.start_workflow(
            CustomerSyncWorkflow.run,
            CustomerSyncStart(pair=PAIR, clarity_id=clarity_id, pace=PACE, review=review),
            id=ids.customer_sync_workflow_id(PAIR, clarity_id),
            task_queue=queues.ORDERS,
            start_signal="customer_changed",
            start_signal_args=[CustomerChanged(webhook_id=webhook_id)],
        )
    STARTED.append(handle)
    return handle


async def until(what: str, condition: Callable[[], object]) -> None:
    for _ in range(300):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"not: {what}")


async def ended(handle: Run) -> CustomerSyncResult:
    return await asyncio.wait_for(handle.result(), 30)


# ---- one customer ---------------------------------------------------------------------------------------------------


async def test_a_change_is_written_once_and_said_by_name_only(
    env: WorkflowEnvironment, world: World, sides: Sides
) -> None:
    sides.plans = [UPDATE.model_copy(update={"reference": str(KEY), "attributes": {"terms": "00"}})]
    result = await ended(await start(env))
    assert (result.outcome, result.customer, result.columns) == (SyncOutcome.UPDATED, str(KEY), ["TelephoneNo"])
    assert (result.attributes, result.linked, result.looks) == (["terms"], True, 1)
    assert "512-555" not in result.model_dump_json()
    assert [one.columns for one in sides.written] == [{"TelephoneNo": "512-555-0100"}]
    assert world.alerts == []


async def test_nothing_to_do_writes_nothing(env: WorkflowEnvironment, sides: Sides) -> None:
    assert (await ended(await start(env))).outcome is SyncOutcome.UNCHANGED
    sides.plans = [CustomerPlan(notes=["nothing links it to an account"])]
    assert (await ended(await start(env))).outcome is SyncOutcome.NOT_LINKED
    sides.gone = True
    assert (await ended(await start(env))).outcome is SyncOutcome.GONE
    assert (sides.written, sides.told) == ([], [])


async def test_deliveries_while_it_works_are_one_more_look_and_a_repeat_is_none(
    env: WorkflowEnvironment, sides: Sides
) -> None:
    """The newest wins because the last look reads what Clarity has then."""
    sides.reading.clear()
    handle = await start(env)
    await until("the first look is on its way", lambda: sides.reads == 1)
    for webhook_id in ("msg_1", "msg_2", "msg_2", "msg_3"):
        await handle.signal(CustomerSyncWorkflow.customer_changed, CustomerChanged(webhook_id=webhook_id))
    sides.reading.set()
    assert (await ended(handle)).looks == 2


async def test_what_sage_refuses_is_in_doubt_and_ends_where_the_pair_says_ignore(
    env: WorkflowEnvironment, world: World, sides: Sides
) -> None:
    sides.plans = [UPDATE]
    problem = Problem(field="TelephoneNo", message="The value is too long.").model_dump()
    sides.write_errors = [ApplicationError("refused", [problem], type=FailureType.REFUSED_BY_SAGE, non_retryable=True)]
    result = await ended(await start(env))
    assert (result.outcome, result.columns) == (SyncOutcome.IN_DOUBT, [])
    assert [one.field for one in result.problems] == ["TelephoneNo"]
    assert world.alerts == []


async def test_an_outage_is_waited_out(env: WorkflowEnvironment, sides: Sides) -> None:
    sides.plans = [UPDATE]
    sides.write_errors = [ApplicationError("down", type=FailureType.UNAVAILABLE) for _ in range(3)]
    assert (await ended(await start(env))).outcome is SyncOutcome.UPDATED


async def test_an_account_that_became_anothers_meanwhile_is_left_alone(env: WorkflowEnvironment, sides: Sides) -> None:
    sides.plans = [UPDATE]
    sides.meanwhile = [Problem(field="AR_Customer", message="carries another web customer's id now")]
    result = await ended(await start(env))
    assert (result.outcome, result.columns) == (SyncOutcome.IN_DOUBT, [])


async def test_what_was_refused_is_told_by_its_place(env: WorkflowEnvironment, world: World, sides: Sides) -> None:
    sides.plans = [UPDATE]
    sides.write_errors = [refused(FailureType.REFUSED_BY_SAGE, "AddressLine1", "12 Rose Street is too long")]
    handle = await start(env, review=True)
    await until("people are told", lambda: world.alerts)
    assert world.alerts[0].text == "RefusedBySage in AddressLine1"
    await handle.terminate("the test is over")


async def test_doubt_waits_for_a_person_reminds_and_takes_the_account_that_a_person_names(
    env: WorkflowEnvironment, world: World, sides: Sides
) -> None:
    sides.plans = [DOUBT, UPDATE]
    handle = await start(env, review=True)
    await until("people are told", lambda: world.alerts)
    await env.fast_forward(handle, timedelta(hours=1, minutes=1))
    await until("people are reminded", lambda: len(world.alerts) == 2)
    assert {alert.kind for alert in world.alerts} == {AlertKind.CUSTOMER_REVIEW}
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update("decide", {"action": "use_account", "by": "Rita", "customer_no": "nobody"})
    await handle.signal("decide", "nonsense")
    decision = DecideCustomer(action=CustomerAction.USE_ACCOUNT, by="Rita", customer_no="02-w000001")
    assert await handle.execute_update("decide", decision) == "recorded"
    result = await ended(handle)
    assert (result.outcome, result.columns) == (SyncOutcome.UPDATED, ["TelephoneNo"])
    assert [one.decided for one in sides.asked] == [None, KEY]


async def test_a_change_at_clarity_ends_the_wait_as_a_decision_does(
    env: WorkflowEnvironment, world: World, sides: Sides
) -> None:
    sides.plans = [DOUBT]
    handle = await start(env, review=True)
    await until("people are told", lambda: world.alerts)
    await handle.signal(CustomerSyncWorkflow.customer_changed, CustomerChanged(webhook_id="msg_2"))
    assert (await ended(handle)).outcome is SyncOutcome.UNCHANGED


async def test_a_decision_is_refused_where_nothing_waits_for_one(env: WorkflowEnvironment, sides: Sides) -> None:
    sides.reading.clear()
    handle = await start(env)
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update("decide", DecideCustomer(action=CustomerAction.IGNORE, by="Rita"))
    sides.reading.set()
    assert (await ended(handle)).outcome is SyncOutcome.UNCHANGED


# ---- the edge -------------------------------------------------------------------------------------------------------

SYNC = CustomerSync(fields={"TelephoneNo": SyncedField(owner=FieldOwner.CLARITY)})
CLUB = DEMO.model_copy(
    update={"name": PAIR, "pace": PACE, "customers": DEMO.customers.model_copy(update={"sync": SYNC})}
)


async def test_a_delivery_starts_one_run_and_the_same_delivery_again_none(
    env: WorkflowEnvironment, sides: Sides
) -> None:
    id_ = f"c{uuid.uuid4().hex[:10]}"
    event = {"type": "customer.updated", "data": {"id": id_, "email": "ann@example.com"}}
    intake = Intake(env.client, CLUB)
    result, workflow_id = await intake.take(event, "msg_a")
    assert (result, workflow_id) == (IntakeResult.STARTED, f"customersync-{PAIR}-{id_}")
    handle = env.client.get_workflow_handle(workflow_id, result_type=CustomerSyncResult)
    STARTED.append(handle)
    await asyncio.wait_for(handle.result(), 30)
    assert await intake.take(event, "msg_a") == (IntakeResult.DUPLICATE, workflow_id)
    assert sides.reads == 1
    assert (await sync_customer(env.client, CLUB, id_, ""))[0]
    await asyncio.wait_for(handle.result(), 30)
    assert sides.reads == 2
    assert "ann@example.com" not in str(await env.client.get_workflow_handle(workflow_id).fetch_history())


@pytest.mark.parametrize("id_", [None, "", "ann@example.com", True, 10**70, "a" * 65, {"a": 1}])
async def test_an_event_that_names_no_customer_is_a_dead_letter(
    env: WorkflowEnvironment, sides: Sides, id_: Any
) -> None:
    event = {"type": "customer.updated", "data": {"id": id_}}
    result, why = await Intake(env.client, CLUB).take(event, "msg_b", bury=False)
    assert result is IntakeResult.DEAD_LETTER
    assert "names no customer" in why
    assert sides.reads == 0


async def test_where_the_flow_is_off_the_event_stays_what_it_was(env: WorkflowEnvironment) -> None:
    event = {"type": "customer.updated", "data": {"id": "c1"}}
    result, why = await Intake(env.client, DEMO).take(event, "msg_c", bury=False)
    assert result is IntakeResult.DEAD_LETTER
    assert "type is not one" in why


# ---- what Sage owns -------------------------------------------------------------------------------------------------


def page(*customers: str, bucket: int = 3, more: bool = False) -> AccountChanges:
    return AccountChanges(
        rows=[AccountRow(one, "", ["00"]) for one in customers],
        buckets=[BucketDigest(bucket=bucket, digest="01" * 6)],
        next_bucket=bucket + 1 if more else None,
        accounts=9,
    )


async def attributes_run(env: WorkflowEnvironment, *, dry_run: bool = False) -> CustomerSweepMemory:
    handle: WorkflowHandle[Any, CustomerSweepMemory] = await env.client.start_workflow(
        CustomerSweepWorkflow.run,
        CustomerSweepStart(pair=PAIR, pace=PACE, dry_run=dry_run),
        id=f"customers-{PAIR}-{uuid.uuid4().hex}",
        task_queue=queues.ORDERS,
    )
    STARTED.append(handle)
    return await asyncio.wait_for(handle.result(), 30)


async def test_pages_follow_one_another_and_what_was_told_is_remembered(env: WorkflowEnvironment, sides: Sides) -> None:
    sides.pages = [page("02-W1", "02-W2", more=True), page("01-ABF", bucket=9)]
    memory = await attributes_run(env)
    assert (memory.tally.accounts, memory.tally.looked_at, memory.tally.told) == (9, 3, 3)
    assert [(one.from_bucket, one.fresh) for one in sides.finds] == [(0, True), (4, False)]
    digests = Digests(memory.digests)
    assert [bucket for bucket in range(12) if digests[bucket] != UNKNOWN] == [3, 9]


async def test_a_page_that_is_on_its_way_is_forgotten_until_it_is_there(env: WorkflowEnvironment, sides: Sides) -> None:
    sides.pages = [page("02-W1")]
    sides.tell_errors = [ApplicationError("down", type=FailureType.UNAVAILABLE)]
    assert (await attributes_run(env)).tally.told == 1
    assert len(sides.tells) == 1


async def test_refusals_are_told_once_a_run(env: WorkflowEnvironment, world: World, sides: Sides) -> None:
    sides.pages, sides.refused = [page("02-W1", more=True), page("02-W2", bucket=9)], 2
    assert (await attributes_run(env)).tally.refused == 4
    [alert] = world.alerts
    assert (alert.kind, "4 customers" in alert.text) == (AlertKind.CUSTOMER_REVIEW, True)


async def test_a_dry_run_remembers_nothing(env: WorkflowEnvironment, sides: Sides) -> None:
    sides.pages = [page("02-W1")]
    memory = await attributes_run(env, dry_run=True)
    assert (memory.digests, memory.tally.told) == ("", 1)
    assert [one.dry_run for one in sides.tells] == [True]
    assert sides.caught_up == []


async def test_what_no_webhook_told_is_started_and_the_next_window_begins_where_this_one_ended(
    env: WorkflowEnvironment, sides: Sides
) -> None:
    memory = await attributes_run(env)
    assert (memory.tally.listed, memory.tally.missed, memory.tally.missed_ids) == (2, 1, ["c1"])
    [window] = sides.caught_up
    assert window.now - window.since == timedelta(seconds=PACE.backfill_overlap)
    assert memory.listed_since == window.now


async def test_without_fields_of_sages_no_account_is_read(env: WorkflowEnvironment, sides: Sides) -> None:
    handle: WorkflowHandle[Any, CustomerSweepMemory] = await env.client.start_workflow(
        CustomerSweepWorkflow.run,
        CustomerSweepStart(pair=PAIR, pace=PACE, owned=False),
        id=f"customers-{PAIR}-{uuid.uuid4().hex}",
        task_queue=queues.ORDERS,
    )
    STARTED.append(handle)
    await asyncio.wait_for(handle.result(), 30)
    assert (len(sides.caught_up), sides.finds) == (1, [])
