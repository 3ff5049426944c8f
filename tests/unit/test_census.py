"""The count of orders behind `/metrics`: what it asks of Temporal, and how seldom."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from api.metrics import ASK_AGAIN_SECONDS, ASKED_AT_ONCE, LISTED, LOOK_SECONDS, Census, CensusCollector
from contracts.search_attributes import OrderState
from mappings.problems import HoldReason

NOW = datetime.now(UTC)


@dataclass
class Order:
    """A running order."""

    id: str
    state: OrderState
    start_time: datetime = NOW
    hold: HoldReason | None = None
    held_since: datetime = NOW
    answers: bool = True

    @property
    def run_id(self) -> str:
        return f"run-{self.id}"

    @property
    def typed_search_attributes(self) -> dict[Any, str]:
        return _Any(self.hold.value if self.hold else "")


class _Any(dict[Any, str]):
    def __init__(self, value: str) -> None:
        super().__init__()
        self._value = value

    def get(self, key: Any, default: Any = None) -> Any:
        return self._value or default


@dataclass
class Listings:
    """Temporal's client, as far as the census uses it; newest orders first, as the server lists them."""

    orders: list[Order] = field(default_factory=list)
    down: bool = False
    hangs: bool = False
    """Whether an order that does not answer lets the caller wait, or no worker is there at all."""
    asked: list[str] = field(default_factory=list)

    def _found(self, query: str) -> list[Order]:
        self.asked.append(query)
        if self.down:
            raise RPCError("down", RPCStatusCode.UNAVAILABLE, b"")
        state = re.search(r"OrderState='(\w+)'", query)
        before = re.search(r"StartTime < '([^']+)'", query)
        reason = re.search(r"HoldReason='(\w+)'", query)
        limit = datetime.fromisoformat(before[1]) if before else datetime.max.replace(tzinfo=UTC)
        found = [one for one in self.orders if state and one.state.value == state[1] and one.start_time < limit]
        found = [one for one in found if reason is None or one.hold == reason[1]]
        return sorted(found, key=lambda one: one.start_time, reverse=True)

    async def count_workflows(self, query: str, rpc_timeout: timedelta) -> SimpleNamespace:
        return SimpleNamespace(count=len(self._found(query)))

    async def list_workflows(
        self, query: str, *, limit: int, page_size: int, rpc_timeout: timedelta
    ) -> AsyncIterator[Order]:
        for one in self._found(query)[:limit]:
            yield one

    def get_workflow_handle(self, id_: str, run_id: str) -> Any:
        order = next(one for one in self.orders if one.id == id_)

        async def query(name: str, result_type: object, rpc_timeout: timedelta) -> SimpleNamespace:
            self.asked.append(f"{name} of {id_}")
            if not order.answers:
                if self.hangs:
                    await asyncio.Event().wait()
                raise RPCError("no worker", RPCStatusCode.DEADLINE_EXCEEDED, b"")
            return SimpleNamespace(hold=SimpleNamespace(reason=order.hold, since=order.held_since))

        return SimpleNamespace(query=query)


def oldest_hold(registry: CollectorRegistry, reason: str = "credit", pair: str = "demo") -> float:
    """In hours."""
    value = registry.get_sample_value("clarity_sage_oldest_hold_seconds", {"pair": pair, "reason": reason})
    assert value is not None
    return value // 3600


def census_of(listings: Listings, clock: list[float]) -> tuple[Census, CollectorRegistry]:
    census = Census(cast(Client, listings), ["demo"], lambda: clock[0])
    registry = CollectorRegistry()
    registry.register(CensusCollector(census))
    return census, registry


async def test_however_many_scrape_temporal_is_asked_once() -> None:
    listings, clock = Listings(), [100.0]
    census, _ = census_of(listings, clock)
    await asyncio.gather(*(census.look() for _ in range(10)))
    assert len(listings.asked) == 5
    clock[0] += LOOK_SECONDS - 0.1
    await census.look()
    assert len(listings.asked) == 5
    clock[0] += 0.1
    await census.look()
    assert len(listings.asked) == 10


async def test_numbers_are_missing_rather_than_old_when_temporal_does_not_answer() -> None:
    listings, clock = Listings([Order("a", OrderState.OPEN)]), [0.0]
    census, registry = census_of(listings, clock)
    await census.look()
    assert registry.get_sample_value("clarity_sage_orders", {"pair": "demo", "state": "open"}) == 1
    listings.down, clock[0] = True, 20.0
    await census.look()
    assert registry.get_sample_value("clarity_sage_temporal_up") == 0
    assert registry.get_sample_value("clarity_sage_orders", {"pair": "demo", "state": "open"}) is None
    listings.down, clock[0] = False, 40.0
    await census.look()
    assert registry.get_sample_value("clarity_sage_temporal_up") == 1


async def test_the_oldest_of_very_many_waiting_orders_is_found() -> None:
    new = [
        Order(f"n{number}", OrderState.RECEIVED, NOW - timedelta(seconds=number % 50)) for number in range(LISTED + 5)
    ]
    old = Order("old", OrderState.RECEIVED, NOW - timedelta(hours=5))
    census, registry = census_of(Listings([*new, old]), [0.0])
    await census.look()
    assert registry.get_sample_value("clarity_sage_orders", {"pair": "demo", "state": "received"}) == LISTED + 6
    age = registry.get_sample_value("clarity_sage_oldest_waiting_seconds", {"pair": "demo"})
    assert age is not None and age >= 5 * 3600


async def test_an_order_is_asked_since_when_it_is_held_once_in_a_while() -> None:
    held = [
        Order("a", OrderState.HELD, hold=HoldReason.CREDIT, held_since=NOW - timedelta(hours=1)),
        Order("b", OrderState.HELD, hold=HoldReason.CREDIT, held_since=NOW - timedelta(hours=3)),
    ]
    listings, clock = Listings(held), [0.0]
    census, registry = census_of(listings, clock)

    async def look_at(moment: float) -> tuple[int, float]:
        clock[0] = moment
        listings.asked.clear()
        await census.look()
        return sum(" of " in asked for asked in listings.asked), oldest_hold(registry)

    assert await look_at(0) == (2, 3)
    assert await look_at(20) == (0, 3)
    held[1].held_since = NOW
    assert await look_at(ASK_AGAIN_SECONDS + 20) == (2, 1)
    held.pop(0)
    listings.orders = held[:0]
    assert await look_at(ASK_AGAIN_SECONDS + 60) == (0, 0)


def held(count: int, hours: int = 1, **more: Any) -> list[Order]:
    """Held orders that came one minute after the other, and are held since so many hours."""
    since = {"hold": HoldReason.CREDIT, "held_since": NOW - timedelta(hours=hours), **more}
    return [
        Order(f"{hours}-{n}", OrderState.HELD, NOW - timedelta(hours=hours, minutes=n), **since) for n in range(count)
    ]


async def test_orders_that_do_not_answer_cost_neither_the_counts_nor_the_answers_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("api.metrics.ASK_LIMIT_SECONDS", 0.05)
    waiting = Order("w", OrderState.RECEIVED, NOW - timedelta(hours=2))
    listings = Listings([waiting, *held(3, 4, answers=False), *held(1, 3)], hangs=True)
    census, registry = census_of(listings, [0.0])
    await census.look()
    assert registry.get_sample_value("clarity_sage_temporal_up") == 1
    assert (registry.get_sample_value("clarity_sage_oldest_waiting_seconds", {"pair": "demo"}) or 0) >= 2 * 3600
    assert oldest_hold(registry) == 3


async def test_pairs_are_counted_at_the_same_time() -> None:
    listings = Listings()
    counted, all_asked = list[str](), asyncio.Event()

    async def count_workflows(query: str, rpc_timeout: timedelta) -> SimpleNamespace:
        counted.append(query)
        if len(counted) == 6:
            all_asked.set()
        await all_asked.wait()
        return SimpleNamespace(count=0)

    listings.count_workflows = count_workflows  # type: ignore[method-assign]
    census = Census(cast(Client, listings), ["demo", "outlet"], lambda: 0.0)
    await asyncio.wait_for(census.look(), 20)
    assert set(census.found or {}) == {"demo", "outlet"}


async def test_the_oldest_of_very_many_held_orders_is_asked_first_and_all_are_counted() -> None:
    many = held(LISTED + 50)
    listings = Listings([*many, *held(1, 30, hold=HoldReason.OUT_OF_STOCK), *held(1, 50)])
    census, registry = census_of(listings, [0.0])
    await census.look()
    assert oldest_hold(registry) == 50
    assert oldest_hold(registry, "out_of_stock") == 30
    for reason, number in (("credit", LISTED + 51), ("out_of_stock", 1), ("anomaly", 0)):
        labels = {"pair": "demo", "reason": reason}
        assert registry.get_sample_value("clarity_sage_held_orders", labels) == number


async def test_those_that_never_answer_do_not_keep_the_others_from_being_asked() -> None:
    """However many there are, each is asked before any is asked again."""
    orders = [*held(ASKED_AT_ONCE + 5, 9, answers=False), *held(894, 3), *held(1, 5)]
    listings, clock = Listings(orders), [0.0]
    census, registry = census_of(listings, clock)
    looks, rest = divmod(len(orders), ASKED_AT_ONCE)
    assert rest == 0
    for _ in range(looks):
        await census.look()
        clock[0] += LOOK_SECONDS + 1
    asked = [one for one in listings.asked if " of " in one]
    assert looks * (LOOK_SECONDS + 1) > ASK_AGAIN_SECONDS
    assert len(set(asked)) == len(asked) == len(orders)
    assert oldest_hold(registry) == 5
