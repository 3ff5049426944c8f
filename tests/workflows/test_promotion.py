"""Promotions on a real server with Worker Versioning on: what is stopped, what ramps, what is rolled back.

Production is a namespace with orders in flight; its workers, and the candidate's, run here with stand-ins for Sage and
Clarity. The candidates are in `tests/support/candidates.py`.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf.duration_pb2 import Duration
from temporalio import activity
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client, WorkflowHandle
from temporalio.common import WorkerDeploymentVersion
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.promotion import PromotionActivities, routing
from contracts import ids, queues
from contracts import search_attributes as attributes
from contracts.deployments import PatchState
from contracts.messages import Alert, OrderOutcome, OrderStart, OrderView
from contracts.promotion import PromotionEnd, PromotionOutcome, SetCurrent, SetPatches
from contracts.search_attributes import OrderState
from mappings.pair import Pace
from tests.support.candidates import NEW_PATCH, NEW_TRACKING, CompatibleOrder, FailingOrder, IncompatibleOrder
from tests.support.histories import keep_history
from tests.support.sizes import LARGE
from tests.workflows.conftest import BIN, NUMBER, ROOT, World, payload_of, shipment
from workers import versions
from workers.plugin import integration_plugin
from workers.promote import Promotion, Status, add_promote_options
from workers.roles import WORKFLOWS
from workers.settings import Settings, load_pair_files

pytestmark = pytest.mark.asyncio(loop_scope="module")

DEPLOYMENT = "shop"
ORDERS_DEPLOYMENT = f"{DEPLOYMENT}-orders"
ON = (("--continue", Status.DONE, "6"),) if LARGE else ()
"""The way on is tried in `make test-all` only: it takes as long as all the rest."""


class Production:
    """The namespace `prod` with workers of versions, and the folder of environments."""

    def __init__(self, client: Client, folder: Path) -> None:
        self.client = client
        self.folder = folder
        self.world = World(client)
        self.world.numbers = itertools.repeat(NUMBER)  # type: ignore[assignment]
        self.said: list[str] = []
        """By the latest promotion."""
        self.switches: list[versions.Versioning] = []
        self.settings = Settings(environments_dir=folder, worker_deployment=DEPLOYMENT)

    def workers(self, build: str, order_workflow: type) -> list[Worker]:
        """All roles of one build, as `Fleet` makes them."""
        settings = self.settings.model_copy(update={"worker_build_id": build})
        pairs = load_pair_files(settings)
        world, found = self.world, []

        @activity.defn
        async def deliver_alerts(alert: Alert) -> None:
            world.alerts.append(alert)

        orders, sage, clarity = (
            versions.Versioning(self.client, settings, role, pairs) for role in ("orders", "sage", "clarity")
        )
        self.switches.append(orders)
        by_queue: dict[str, tuple[versions.Versioning, list[Callable[..., Any]]]] = {
            queues.ALERTS: (orders, [deliver_alerts]),
            queues.sage_read("demo"): (sage, [world.read_sage_facts, world.find_customer, world.read_shipments]),
            queues.sage_write("demo"): (sage, [world.reserve_sales_order_number, world.create_sales_order]),
            queues.clarity("demo"): (
                clarity,
                [world.acknowledge_to_clarity, world.post_shipment, world.record_invoices],
            ),
        }
        for queue, (version, activities) in by_queue.items():
            found.append(Worker(self.client, task_queue=queue, activities=activities, **version.options()))
        found.append(
            Worker(
                self.client,
                task_queue=queues.ORDERS,
                workflows=[order_workflow, *(one for one in WORKFLOWS if one.__name__ != "OrderFulfillmentWorkflow")],
                activities=[world.transform_order, world.request_customer, world.raise_alert],
                activity_executor=ThreadPoolExecutor(2),
                sticky_queue_schedule_to_start_timeout=timedelta(seconds=1),
                **orders.workflow_options(),
            )
        )
        return found

    @asynccontextmanager
    async def serving(self, build: str, order_workflow: type) -> AsyncIterator[None]:
        """While the workers of a build run."""
        workers = self.workers(build, order_workflow)
        reading = asyncio.create_task(self.switches[-1].run())
        running = [asyncio.create_task(worker.run()) for worker in workers]
        try:
            yield
        finally:
            reading.cancel()
            await asyncio.gather(*(worker.shutdown() for worker in workers))
            await asyncio.gather(*running)

    def promotion(self, build: str, order_workflow: type, *flags: str) -> Promotion:
        """The command, with this candidate's code."""
        parser = argparse.ArgumentParser()
        add_promote_options(parser)
        options = parser.parse_args(
            ["--from", "qa", "--to", "prod", "--by", "the test", "--yes", "--watch", "1", "--soak", "0.5", *flags]
        )
        options.settle, options.look_every = 0.6, 0.5
        settings = self.settings.model_copy(update={"worker_build_id": build})
        kinds = [order_workflow, *(one for one in WORKFLOWS if one.__name__ != "OrderFulfillmentWorkflow")]
        self.said = []
        return Promotion(options, settings, self.said.append, kinds)

    async def begin(self, order_id: str) -> WorkflowHandle[Any, OrderOutcome]:
        """A web order arrives."""
        payload = payload_of("02-known-web-customer")
        payload["data"]["id"] = order_id
        start = OrderStart(
            pair="demo",
            order_id=order_id,
            payload=payload,
            digest=order_id,
            received_at=datetime.now(UTC),
            pace=Pace(retry_initial=0.05, retry_maximum=0.2),
        )
        return await self.client.start_workflow(
            "OrderFulfillmentWorkflow",
            start,
            id=ids.order_workflow_id("demo", order_id),
            task_queue=queues.ORDERS,
            result_type=OrderOutcome,
        )

    async def open_orders(self, *order_ids: str) -> list[WorkflowHandle[Any, OrderOutcome]]:
        """Orders that are in Sage and wait for the warehouse."""
        handles = [await self.begin(order_id) for order_id in order_ids]
        for handle in handles:
            await eventually(f"{handle.id} is open", partial(is_open, handle))
        return handles

    async def recorded(self) -> PromotionOutcome:
        """What the history of the latest promotion says."""
        handle = self.client.get_workflow_handle(ids.PROMOTION, result_type=PromotionOutcome)
        return await asyncio.wait_for(handle.result(), 20)

    def keep(self, name: str) -> None:
        """Save the history of the latest promotion, if histories are wanted."""
        address = self.client.service_client.config.target_host
        keep_history(address, ids.PROMOTION, name, namespace=self.client.namespace)

    async def hold_patches_back(self, build: str) -> None:
        """As the version of a promotion that was ended before it switched them on."""
        steps = PromotionActivities(self.client)
        await steps.set_patches(SetPatches(deployment=ORDERS_DEPLOYMENT, build_id=build, state=PatchState()))

    async def serves(self, role: str, build: str) -> bool:
        """Make a build current by hand, once the server has seen its workers."""
        with contextlib.suppress(RPCError):
            request = SetCurrent(deployment=f"{DEPLOYMENT}-{role}", build_id=build)
            await PromotionActivities(self.client).set_current(request)
            return True
        return False

    async def current(self) -> tuple[str, str]:
        """Build ids of the current and the ramping version of the order workers."""
        now = await routing(self.client, ORDERS_DEPLOYMENT)
        assert now is not None
        return now.current_deployment_version.build_id, now.ramping_deployment_version.build_id


async def eventually(what: str, condition: Callable[[], Awaitable[object]], seconds: float = 40) -> None:
    """Until the condition holds."""
    end = asyncio.get_running_loop().time() + seconds
    while not await condition():
        if asyncio.get_running_loop().time() > end:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        await asyncio.sleep(0.1)


async def is_open(handle: WorkflowHandle[Any, Any]) -> bool:
    view: OrderView = await handle.query("state", result_type=OrderView)
    return view.state is OrderState.OPEN


async def ship(*handles: WorkflowHandle[Any, OrderOutcome], tracking: str = "1Z1") -> None:
    """The warehouse ships, and the office posts."""
    for handle in handles:
        await handle.signal("shipment", shipment(posted=True, live=False, tracking=tracking))


async def complete(*handles: WorkflowHandle[Any, OrderOutcome]) -> None:
    """No order is lost."""
    for handle in handles:
        assert (await asyncio.wait_for(handle.result(), 40)).state is OrderState.COMPLETE


async def patches_of(handle: WorkflowHandle[Any, Any]) -> list[str]:
    """Names of the patches that an order has passed."""
    found = []
    async for event in handle.fetch_history_events():
        if event.marker_recorded_event_attributes.marker_name == "core_patch":
            data = event.marker_recorded_event_attributes.details["patch-data"].payloads[0].data
            found.append(str(json.loads(data)["id"]))
    return found


async def builds_of(handle: WorkflowHandle[Any, Any]) -> set[str]:
    """Which versions have carried an order."""
    return {
        event.workflow_task_completed_event_attributes.deployment_version.build_id
        async for event in handle.fetch_history_events()
        if event.HasField("workflow_task_completed_event_attributes")
    }


@pytest.fixture(scope="module", autouse=True)
def quick_switches() -> Iterator[None]:
    """Workers read whether patches are on more often than every 10 s."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(versions, "READ_EVERY_SECONDS", 0.2)
        yield


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def production(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Production]:
    """Build 1 serves two namespaces' worth of settings: `prod` has workers and orders, `qa` has neither."""
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(BIN / "temporal"),
        dev_server_log_level="error",
        dev_server_extra_args=[
            "--dynamic-config-value",
            "system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute=1",
        ],
    )
    address = environment.client.service_client.config.target_host
    for name in ("qa", "prod"):
        await environment.client.workflow_service.register_namespace(
            RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=Duration(seconds=86_400))
        )
    wanted = {key.name: IndexedValueType.ValueType(int(key.indexed_value_type)) for key in attributes.ALL}

    async def has_attributes() -> bool:
        with contextlib.suppress(RPCError):
            await environment.client.operator_service.add_search_attributes(
                AddSearchAttributesRequest(namespace="prod", search_attributes=wanted)
            )
            return True
        return False

    await eventually("the namespace is there", has_attributes)
    folder = tmp_path_factory.mktemp("environments")
    write_environment(folder, "qa", address)
    write_environment(folder, "prod", address, WORKER_DEPLOYMENT=DEPLOYMENT)
    client = await Client.connect(address, namespace="prod", plugins=[integration_plugin()])
    here = Production(client, folder)
    try:
        async with here.serving("1", WORKFLOWS[0]):
            promotion = here.promotion("1", WORKFLOWS[0])
            assert await promotion.run() is Status.DONE, here.said
            yield here
    finally:
        await environment.shutdown()


def write_environment(folder: Path, name: str, address: str, **more: str) -> None:
    values: Mapping[str, str] = {
        "TEMPORAL_ADDRESS": address,
        "TEMPORAL_NAMESPACE": name,
        "PAIRS_DIR": str(ROOT / "mappings/pairs"),
        **more,
    }
    (folder / f"{name}.env").write_text("".join(f"{key}={value}\n" for key, value in values.items()), "utf-8")


async def test_an_incompatible_candidate_is_stopped_by_replay_with_the_event_named(production: Production) -> None:
    (order,) = await production.open_orders("7001")
    assert await production.promotion("2", IncompatibleOrder).run() is Status.STOPPED
    said = "\n".join(production.said)
    assert "order-demo-7001: event " in said
    assert "UpsertWorkflowSearchAttributes" in said
    assert await production.current() == ("1", "")
    outcome = await production.recorded()
    assert outcome.end is PromotionEnd.STOPPED
    assert "order-demo-7001" in outcome.why
    await ship(order)
    await complete(order)


async def test_a_mapping_mistake_is_stopped_by_the_preview(production: Production, tmp_path: Path) -> None:
    (order,) = await production.open_orders("7002")
    text = (ROOT / "mappings/pairs/demo.yaml").read_text("utf-8")
    assert text.count('  warehouse: "000"') == 1
    (tmp_path / "demo.yaml").write_text(text.replace('  warehouse: "000"', '  warehouse: "001"'), "utf-8")
    flags = ("--pairs", str(tmp_path))
    assert await production.promotion("3", WORKFLOWS[0], *flags).run() is Status.STOPPED
    said = "\n".join(production.said)
    assert "-order.warehouse: 000\n+order.warehouse: 001" in said
    assert "order-demo-7002\n" in said
    assert "Lines[0].WarehouseCode: 000 → 001" in said
    assert (await production.recorded()).end is PromotionEnd.STOPPED
    # As many as may differ: then only the workers of the candidate are missing.
    promotion = production.promotion("3", WORKFLOWS[0], *flags, "--allow-differences", "50", "--wait", "0")
    assert await promotion.run() is Status.STOPPED
    assert "no worker of build 3 polls orders, alerts, sage-read-demo, sage-write-demo, clarity-demo" in "\n".join(
        production.said
    )
    assert await production.current() == ("1", "")
    await ship(order)
    await complete(order)


async def test_a_version_that_fails_while_ramping_is_rolled_back_and_no_order_is_lost(production: Production) -> None:
    orders = await production.open_orders(*(f"71{number:02d}" for number in range(6)))
    async with production.serving("4", FailingOrder):
        promotion = production.promotion("4", FailingOrder, "--role", "orders", "--steps", "20,100", "--watch", "60")
        running = asyncio.create_task(promotion.run())
        await eventually("20 % of orders", lambda: says(production, "orders 20 %"))
        # Some of these go through the changed code from the start; then the goods leave, and it fails.
        late = await production.open_orders(*(f"72{number:02d}" for number in range(8)))
        passed = [order for order in late if "4" in await builds_of(order)]
        assert passed
        await ship(*orders, *late, tracking=NEW_TRACKING)
        assert await asyncio.wait_for(running, 60) is Status.ROLLED_BACK
        assert await production.current() == ("1", "")
        await complete(*orders, *late)
    outcome = await production.recorded()
    production.keep("promotion_rolled_back")
    assert outcome.end is PromotionEnd.ROLLED_BACK
    assert "its workflow tasks fail" in outcome.why
    # The workers of the version before are all there.
    assert "start the workers" not in outcome.why
    for order in passed:
        assert "1" in await builds_of(order)
        assert await patches_of(order) == []
    assert len(production.world.shipments) == len({one.order_id for one in production.world.shipments})


async def says(production: Production, text: str) -> bool:
    return any(text in line for line in production.said)


async def test_a_compatible_candidate_ramps_while_orders_are_in_flight(production: Production) -> None:
    before = await production.open_orders(*(f"73{number:02d}" for number in range(6)))
    async with production.serving("5", CompatibleOrder):
        switch = production.switches[-1]

        async def patches_on() -> bool:
            return switch.state.on

        # A promotion was ended when it had made one role's candidate current.
        await eventually("clarity's worker of build 5 is known", partial(production.serves, "clarity", "5"))
        running = asyncio.create_task(production.promotion("5", CompatibleOrder, "--steps", "50,100").run())
        await eventually("half of the orders", lambda: says(production, "orders 50 %"))
        assert await says(production, "sage 100 % on build 5")
        assert not await says(production, "clarity 50 %")
        assert await production.promotion("5", CompatibleOrder).run() is Status.BUSY
        assert "a promotion is under way: build 5 by the test" in production.said[-1]
        during = await production.open_orders("7401", "7402")
        await ship(*before[:3])
        assert await asyncio.wait_for(running, 60) is Status.DONE
        assert await production.current() == ("5", "")
        await eventually("patches are on", patches_on)
        after = await production.open_orders("7403")
        await ship(*before[3:], *during, *after)
        await complete(*before, *during, *after)
        # Nobody but the new order took the new path: the others could still have been rolled back.
        assert [await patches_of(order) for order in (*before, *during)] == [[]] * 8
        assert await patches_of(after[0]) == [NEW_PATCH]
        assert (await production.recorded()).end is PromotionEnd.PROMOTED
        production.keep("promoted")
        assert await production.promotion("5", CompatibleOrder).run() is Status.DONE
        assert production.said[-1] == "Nothing to do: prod runs this build already"
        await production.hold_patches_back("5")
        assert await production.promotion("5", CompatibleOrder).run() is Status.DONE
        assert await says(production, "New patches are on")
        state = await versions.read_patch_state(production.client, WorkerDeploymentVersion(ORDERS_DEPLOYMENT, "5"))
        assert state.on


async def a_running_promotion_is_taken_back_from_a_second_terminal(production: Production) -> None:
    before, _ = await production.current()
    flags = ("--role", "orders", "--steps", "20,100", "--watch", "60")
    async with production.serving("7", CompatibleOrder):
        running = asyncio.create_task(production.promotion("7", CompatibleOrder, *flags).run())
        await eventually("20 % of orders", lambda: says(production, "orders 20 %"))
        assert await production.promotion("7", CompatibleOrder, "--roll-back").run() is Status.ROLLED_BACK
        assert await asyncio.wait_for(running, 30) is Status.ROLLED_BACK
        assert await production.current() == (before, "")
        for flag in ("--roll-back", "--continue"):
            assert await production.promotion("7", CompatibleOrder, flag).run() is Status.STOPPED


async def test_an_interrupted_promotion_is_explained_and_goes_back_or_on(production: Production) -> None:
    before, _ = await production.current()
    async with production.serving("6", CompatibleOrder):
        for flag, status, serving in (("--roll-back", Status.ROLLED_BACK, before), *ON):
            promotion = production.promotion(
                "6", CompatibleOrder, "--role", "orders", "--steps", "20,100", "--watch", "3"
            )
            running = asyncio.create_task(promotion.run())
            await eventually("20 % of orders", lambda: says(production, "orders 20 %"))
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            assert await production.current() == (before, "6")
            assert await production.promotion("6", CompatibleOrder).run() is Status.BUSY
            assert "a promotion was interrupted" in production.said[-1]
            assert "20 % build 6" in production.said[-1]
            assert await production.promotion("6", CompatibleOrder, flag).run() is status
            assert await production.current() == (serving, "")
        await an_ended_promotion_is_explained_and_its_ramp_goes_back(production)


async def an_ended_promotion_is_explained_and_its_ramp_goes_back(production: Production) -> None:
    before, _ = await production.current()
    flags = ("--role", "orders", "--steps", "20,100", "--watch", "60")
    running = asyncio.create_task(production.promotion("6", CompatibleOrder, *flags).run())
    await eventually("20 % of orders", lambda: says(production, "orders 20 %"))
    await production.client.get_workflow_handle(ids.PROMOTION).terminate("somebody in the Web UI")
    assert await asyncio.wait_for(running, 30) is Status.BUSY
    assert "ended from outside" in production.said[-1]
    assert "20 % build 6" in production.said[-1]
    assert await production.promotion("6", CompatibleOrder, "--roll-back").run() is Status.ROLLED_BACK
    assert await production.current() == (before, "")


if ON:
    test_a_running_promotion_is_taken_back_from_a_second_terminal = (
        a_running_promotion_is_taken_back_from_a_second_terminal
    )
