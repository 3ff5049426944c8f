"""`GET /metrics`: the metrics of the business for Prometheus; docs/telemetry.md has the table.

In: Temporal's listings of running orders, and what this process counted (with PROMETHEUS_MULTIPROC_DIR: what all
processes of this machine counted). Out: Prometheus' text format. Nothing is asked unless somebody scrapes, and then
once in `LOOK_SECONDS`, however many scrape. When Temporal does not answer, the numbers of orders are left out.
"""

import asyncio
import logging
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from fastapi import FastAPI, Request
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from starlette.responses import Response
from temporalio.client import Client, WorkflowExecution
from temporalio.service import RPCError

from contracts.messages import OrderView
from contracts.search_attributes import HOLD_REASON, ORDER_STATE, PAIR, OrderState
from mappings.problems import HoldReason

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 14.0
"""A scrape every 15 s finds numbers of its own."""
COUNT_LIMIT_SECONDS: Final = 6.0
"""For the counts of one look, all pairs together: without them Temporal counts as down."""
ASK_LIMIT_SECONDS: Final = 2.0
"""For the orders that are asked after that; workers answer them. Prometheus gives up a scrape after 10 s."""
LISTED: Final = 1_000
"""Orders that are read one by one; of more, the rest is counted."""
ASKED_AT_ONCE: Final = 20
"""Orders, of all pairs together, that are asked in one look since when they are held."""
ASK_AGAIN_SECONDS: Final = 600.0
"""An order may have been released, and be held for the same reason again."""
RPC_LIMIT: Final = timedelta(seconds=4)
COUNTED: Final = (OrderState.OPEN, OrderState.PARTIALLY_SHIPPED, OrderState.SHIPPED)
"""Only counted, each by a query: Temporal groups by no attribute of ours. Of `received` and `held` the age matters."""
AGES: Final = tuple(timedelta(minutes=minutes) for minutes in (43_200, 10_080, 1_440, 240, 60, 15, 5, 1))


@dataclass(frozen=True)
class Held:
    """A held order, as the listing shows it."""

    pair: str
    workflow_id: str
    run_id: str
    reason: str
    started: datetime


@dataclass(frozen=True)
class PairCensus:
    """The running orders of one pair at one moment."""

    by_state: Mapping[OrderState, int]
    by_reason: Mapping[str, int]
    waiting_since: datetime | None
    """When the oldest order came that is not in Sage yet and not held."""
    held_since: Mapping[str, datetime] = field(default_factory=dict)
    """Reason → when the oldest hold began, as far as orders have said."""


@dataclass
class Census:
    """Looks at Temporal when asked, at most once in `LOOK_SECONDS`. `clock` counts seconds and never jumps."""

    client: Client
    pairs: Collection[str]
    clock: Callable[[], float] = time.monotonic
    found: Mapping[str, PairCensus] | None = None
    """None before the first look, and while Temporal does not answer."""
    seconds: float = 0.0
    """How long the last look took."""
    _looked_at: float | None = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _since: dict[Held, datetime] = field(default_factory=dict)
    """When each hold began, as the order said."""
    _asked: dict[Held, float] = field(default_factory=dict)
    """When each order was asked last, whether or not it answered."""

    async def look(self) -> None:
        """Look again, when the last look is old enough."""
        async with self._turn:
            now = self.clock()
            if self._looked_at is not None and now - self._looked_at < LOOK_SECONDS:
                return
            try:
                async with asyncio.timeout(COUNT_LIMIT_SECONDS):
                    counted = await asyncio.gather(*map(self._count, self.pairs))
            except (RPCError, RuntimeError, TimeoutError) as error:
                log.warning("Orders cannot be counted for /metrics: %s", type(error).__name__)
                self.found = None
            else:
                await self._ask([one for _, held in counted for one in held])
                self.found = {
                    pair: replace(census, held_since=self._oldest_holds(held))
                    for pair, (census, held) in zip(self.pairs, counted, strict=True)
                }
            self._looked_at, self.seconds = now, self.clock() - now

    async def _count(self, pair: str) -> tuple[PairCensus, list[Held]]:
        """The numbers, and the held orders that may be asked."""
        (waiting, held), counts = await asyncio.gather(
            asyncio.gather(self._list(pair, OrderState.RECEIVED), self._list(pair, OrderState.HELD)),
            asyncio.gather(*(self._number(pair, state) for state in COUNTED)),
        )
        by_state = dict(zip(COUNTED, counts, strict=True))
        by_state[OrderState.RECEIVED] = await self._total(pair, OrderState.RECEIVED, waiting)
        by_state[OrderState.HELD] = await self._total(pair, OrderState.HELD, held)
        oldest_held, oldest_waiting = await asyncio.gather(
            self._old_end(pair, OrderState.HELD, held), self._old_end(pair, OrderState.RECEIVED, waiting)
        )
        census = PairCensus(
            by_state=by_state,
            by_reason=await self._by_reason(pair, held),
            waiting_since=min((run.start_time for run in oldest_waiting), default=None),
        )
        return census, [
            Held(pair, run.id, run.run_id, reason, run.start_time) for run in oldest_held if (reason := _reason(run))
        ]

    async def _by_reason(self, pair: str, held: list[WorkflowExecution]) -> Mapping[str, int]:
        if len(held) < LISTED:
            return Counter(reason for run in held if (reason := _reason(run)))
        counts = await asyncio.gather(
            *(self._number(pair, OrderState.HELD, f" AND {HOLD_REASON.name}='{one.value}'") for one in HoldReason)
        )
        return {reason.value: count for reason, count in zip(HoldReason, counts, strict=True)}

    async def _number(self, pair: str, state: OrderState, more: str = "") -> int:
        return (await self.client.count_workflows(_query(pair, state) + more, rpc_timeout=RPC_LIMIT)).count

    async def _list(self, pair: str, state: OrderState, more: str = "") -> list[WorkflowExecution]:
        runs = self.client.list_workflows(
            _query(pair, state) + more, limit=LISTED, page_size=LISTED, rpc_timeout=RPC_LIMIT
        )
        return [run async for run in runs]

    async def _total(self, pair: str, state: OrderState, listed: list[WorkflowExecution]) -> int:
        return len(listed) if len(listed) < LISTED else await self._number(pair, state)

    async def _old_end(self, pair: str, state: OrderState, listed: list[WorkflowExecution]) -> list[WorkflowExecution]:
        """Listings begin with the newest: of many, only the old ones are listed again."""
        if len(listed) == LISTED:
            for age in AGES:
                before = datetime.now(UTC) - age
                older = await self._list(pair, state, f" AND StartTime < '{before:%Y-%m-%dT%H:%M:%SZ}'")
                if older:
                    return older
        return listed

    def _oldest_holds(self, held: Iterable[Held]) -> Mapping[str, datetime]:
        oldest: dict[str, datetime] = {}
        for one in held:
            if (since := self._since.get(one)) is not None:
                oldest[one.reason] = min(since, oldest.get(one.reason, since))
        return oldest

    async def _ask(self, held: list[Held]) -> None:
        """Ask a few orders since when they are held, the others in the next looks; what they do not answer is left.

        First those that were never asked, the oldest first; then again those that were asked longest ago.
        """
        now, there = self.clock(), set(held)
        self._since = {one: since for one, since in self._since.items() if one in there}
        self._asked = {one: at for one, at in self._asked.items() if one in there}
        due = [one for one in held if one not in self._asked or now - self._asked[one] > ASK_AGAIN_SECONDS]
        due.sort(key=lambda one: (self._asked.get(one, -math.inf), one.started))
        asking = {asyncio.create_task(self._began(one)): one for one in due[:ASKED_AT_ONCE]}
        if not asking:
            return
        self._asked |= dict.fromkeys(asking.values(), now)
        try:
            done, _ = await asyncio.wait(asking, timeout=ASK_LIMIT_SECONDS)
        finally:
            for task in asking:
                task.cancel()
        for task in done:
            if task.exception() is None and (since := task.result()) is not None:
                self._since[asking[task]] = since
        if silent := len(asking) - sum(task.exception() is None for task in done):
            log.warning(
                "%d of %d held orders did not say since when: is a worker of orders there?", silent, len(asking)
            )

    async def _began(self, held: Held) -> datetime | None:
        """None when the order has gone on; whatever the query raises when nobody answers it."""
        handle = self.client.get_workflow_handle(held.workflow_id, run_id=held.run_id)
        view = await handle.query("state", result_type=OrderView, rpc_timeout=RPC_LIMIT)
        return view.hold.since if view.hold is not None and view.hold.reason.value == held.reason else None


class CensusCollector(Collector):
    """The census as metric families."""

    def __init__(self, census: Census) -> None:
        self._census = census

    def collect(self) -> Iterator[Metric]:
        """See base class."""
        found, now = self._census.found, datetime.now(UTC)
        up = GaugeMetricFamily("clarity_sage_temporal_up", "1 when Temporal answered the last count of orders")
        up.add_metric([], 0 if found is None else 1)
        took = GaugeMetricFamily("clarity_sage_census_seconds", "How long the last count of orders took")
        took.add_metric([], self._census.seconds)
        orders = GaugeMetricFamily("clarity_sage_orders", "Running orders by state", labels=("pair", "state"))
        held = GaugeMetricFamily("clarity_sage_held_orders", "Held orders by reason", labels=("pair", "reason"))
        oldest_hold = GaugeMetricFamily(
            "clarity_sage_oldest_hold_seconds", "Age of the oldest hold, by reason", labels=("pair", "reason")
        )
        waiting = GaugeMetricFamily(
            "clarity_sage_oldest_waiting_seconds",
            "Age of the oldest order that is not in Sage yet and not held; 0 when none waits",
            labels=("pair",),
        )
        for pair, census in (found or {}).items():
            for state, number in census.by_state.items():
                orders.add_metric([pair, state.value], number)
            # Each reason always: a series that comes and goes breaks graphs and alert rules.
            for reason in HoldReason:
                held.add_metric([pair, reason.value], census.by_reason.get(reason.value, 0))
                since = census.held_since.get(reason.value)
                oldest_hold.add_metric([pair, reason.value], _seconds(since, now))
            waiting.add_metric([pair], _seconds(census.waiting_since, now))
        yield from (up, took, orders, held, oldest_hold, waiting)


def add_metrics(app: FastAPI, client: Client, pairs: Iterable[str]) -> None:
    """The route. With API keys it needs one of scope `read`, which Prometheus sends as a bearer token."""
    census = Census(client, list(pairs))
    own = CollectorRegistry()
    own.register(CensusCollector(census))
    counted = REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        counted = CollectorRegistry()
        MultiProcessCollector(counted)  # type: ignore[no-untyped-call]

    @app.get("/metrics", include_in_schema=False)
    async def metrics(request: Request) -> Response:
        await census.look()
        encoder, content_type = choose_encoder(request.headers.get("accept", ""))
        body = await asyncio.to_thread(encoder, _Both(counted, own))
        return Response(body, media_type=None, headers={"Content-Type": content_type})


class _Both(CollectorRegistry):
    """Two registries in one answer."""

    def __init__(self, *registries: CollectorRegistry) -> None:
        super().__init__()
        self._registries = registries

    def collect(self) -> Iterator[Metric]:
        """See base class."""
        for registry in self._registries:
            yield from registry.collect()


def _query(pair: str, state: OrderState) -> str:
    return (
        f"WorkflowType='OrderFulfillmentWorkflow' AND {PAIR.name}='{pair}' AND {ORDER_STATE.name}='{state.value}' "
        "AND ExecutionStatus='Running'"
    )


def _reason(run: WorkflowExecution) -> str:
    return run.typed_search_attributes.get(HOLD_REASON) or ""


def _seconds(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max((now - since).total_seconds(), 0.0)
