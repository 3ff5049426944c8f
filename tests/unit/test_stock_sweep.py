"""The sweep against a stand-in Sage and Temporal: what is found, in pages and by row; what accepted orders touch."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import ActivityEnvironment

import activities.stock_sweep as module
from activities.stock_sweep import StockSweepActivities
from connectors.sage100.odbc import SageReader, StockPage
from contracts import search_attributes as attributes
from contracts.inventory import CompareStock, StockCompared, StockFound, StockWatch
from contracts.messages import OrderStart, StockNeeds
from mappings.inventory import Digests, KitComponent, NeededStock, StockRow, bucket_of
from mappings.items import AliasFacts, ItemFacts, WarehouseStock
from mappings.pair import Inventory, Pace, Pair
from tests.unit.conftest import SAMPLES

D = Decimal
PACE = Pace(inventory_sweep=1000, inventory_look=0.05, poll_heartbeat_timeout=1)


def item(code: str, available: str, **fields: Any) -> ItemFacts:
    stock = {"000": WarehouseStock(QuantityOnHand=D(available))}
    return ItemFacts(ItemCode=code, DefaultWarehouseCode="000", warehouses=stock, **fields)


@dataclass
class Sage:
    """A Sage that a test writes; `readings` counts pages of whole readings."""

    stock: dict[str, ItemFacts] = field(default_factory=dict)
    kits: dict[str, list[KitComponent]] = field(default_factory=dict)
    readings: int = 0
    looked_at: list[str] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)

    async def stock_page(self, after: str, limit: int) -> StockPage | None:
        self.readings += not after
        codes = [code for code in sorted(self.stock) if code > after][:limit]
        if not codes:
            return None
        readable = [self.stock[code] for code in codes if code not in self.broken]
        return StockPage(readable, [code for code in codes if code in self.broken], codes[-1])

    async def items(self, codes: Iterable[str]) -> dict[str, ItemFacts]:
        wanted = list(codes)
        self.looked_at += wanted
        return {code: self.stock[code] for code in wanted if code in self.stock}

    async def aliases(self, codes: Iterable[str]) -> list[AliasFacts]:
        return []

    async def aliases_page(self, after: str, limit: int) -> list[AliasFacts]:
        return [AliasFacts(AliasItemNo="ALSO-A", ItemCode="A")] if not after else []

    async def kit_components(self, kits: Iterable[str]) -> dict[str, list[KitComponent]]:
        return {kit: self.kits[kit] for kit in kits if kit in self.kits}


@dataclass
class Orders:
    """A Temporal that a test writes: accepted orders by id, with what they answer."""

    needs: dict[str, StockNeeds | None] = field(default_factory=dict)
    """None: it does not answer."""
    starts: dict[str, OrderStart] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)
    ended_abnormally: int = 0
    down: bool = False
    held: set[str] = field(default_factory=set)
    pairs: dict[str, str] = field(default_factory=dict)
    in_sage: set[str] = field(default_factory=set)

    async def list_workflows(self, query: str, page_size: int = 0) -> AsyncIterator[Any]:
        self.queries.append(query)
        if self.down:
            raise RPCError("no", RPCStatusCode.UNAVAILABLE, b"")
        for id_ in list(self.needs):
            found = {
                attributes.ORDER_STATE: "held" if id_ in self.held else "received",
                attributes.PAIR: self.pairs.get(id_, "demo"),
                **({attributes.SALES_ORDER_NO: "0001042"} if id_ in self.in_sage else {}),
            }
            yield SimpleNamespace(id=id_, run_id=id_, typed_search_attributes=found)

    async def count_workflows(self, query: str) -> Any:
        self.queries.append(query)
        return SimpleNamespace(count=self.ended_abnormally)

    def get_workflow_handle(self, id_: str, *, run_id: str) -> Any:
        async def query(name: str, **_: Any) -> StockNeeds:
            assert name == "stock_needs"
            self.asked.append(id_)
            answer = self.needs[id_]
            if answer is None:
                raise RPCError("no worker", RPCStatusCode.DEADLINE_EXCEEDED, b"")
            return answer

        async def history(**_: Any) -> AsyncIterator[Any]:
            payloads = SimpleNamespace(payloads=[id_])
            started = SimpleNamespace(input=payloads)
            yield SimpleNamespace(workflow_execution_started_event_attributes=started)

        return SimpleNamespace(query=query, fetch_history_events=history)

    @property
    def data_converter(self) -> Any:
        async def decode(payloads: list[str], types: list[type]) -> list[OrderStart]:
            return [self.starts[payloads[0]]]

        return SimpleNamespace(decode=decode)


def needs(sku: str, quantity: str) -> StockNeeds:
    return StockNeeds(lines=[NeededStock(sku=sku, quantity=D(quantity), warehouse="000")])


class Watching:
    """One pair's activities, and the memory of the workflow that calls them."""

    def __init__(self, pair: Pair, *others: Pair) -> None:
        self.sage, self.orders = Sage(), Orders()
        self.pair = pair
        self.pairs = {one.name: one for one in (pair, *others)}
        self.digests = Digests()
        self.begin = 0
        self.restart()

    def restart(self) -> None:
        """Another process, which remembers nothing."""
        self.sweep = StockSweepActivities(self.pair, self.pairs, cast(SageReader, self.sage), cast(Client, self.orders))

    async def found(self, *, sweep: bool = True, **more: Any) -> StockFound:
        """One watch that does not wait, believed to be pushed."""
        now = datetime.now(UTC)
        watch = StockWatch(
            pair="demo",
            pace=PACE,
            digests=self.digests.text,
            next_bucket=self.begin,
            **{"sweep_at": now if sweep else now + timedelta(hours=1), "until": now, **more},
        )
        result: StockFound = await ActivityEnvironment().run(self.sweep.watch_stock, watch)
        for one in result.buckets:
            self.digests[one.bucket] = bytes.fromhex(one.digest)
        self.begin = result.next_bucket
        return result

    async def told(self, **more: Any) -> dict[str, int]:
        """SKU → number, of everything that one watch found."""
        return {row.sku: row.quantity for row in (await self.found(**more)).rows}

    async def compared(self, *rows: StockRow) -> StockCompared:
        request = CompareStock(
            pair="demo",
            pace=PACE,
            digests=self.digests.text,
            buckets=sorted({bucket_of(sku) for sku in self.sage.stock}),
            rows=list(rows),
        )
        result: StockCompared = await ActivityEnvironment().run(self.sweep.compare_stock, request)
        return result


def shop(pair: Pair, **section: Any) -> Pair:
    inventory = Inventory.model_validate({"warehouses": {"000": "MAIN"}, **section})
    return pair.model_copy(update={"inventory": inventory, "items": {}})


@pytest.fixture
def watching(pair: Pair) -> Watching:
    one = Watching(shop(pair))
    one.sage.stock = {code: item(code, "10") for code in ("A", "B", "C")}
    return one


# ---- sweeps ---------------------------------------------------------------------------------------------------------


async def test_everything_is_told_once_and_then_only_what_changed(watching: Watching) -> None:
    first = await watching.found()
    assert {row.sku: row.quantity for row in first.rows} == {"A": 10, "B": 10, "C": 10}
    assert (first.reading.items, first.reading.rows, first.time_is_up) == (3, 3, True)
    assert first.swept_at is not None
    assert await watching.told() == {}
    watching.sage.stock["B"] = item("B", "7")
    assert await watching.told() == {"B": 7}
    assert await watching.told() == {}


async def test_another_process_finds_nothing_new_and_tells_whole_buckets_of_what_changed(watching: Watching) -> None:
    watching.sage.stock |= {code: item(code, "1") for code in (f"X{number}" for number in range(3000))}
    await watching.found()
    watching.restart()
    assert await watching.told() == {}
    watching.restart()
    watching.sage.stock["A"] = item("A", "9")
    told = await watching.told()
    assert told["A"] == 9
    assert {bucket_of(sku) for sku in told} == {bucket_of("A")}
    assert len(told) > 1, "it does not know any more which row of the bucket changed"


async def test_a_lost_memory_costs_one_push_of_everything(watching: Watching) -> None:
    await watching.found()
    watching.digests = Digests()
    assert await watching.told() == {"A": 10, "B": 10, "C": 10}
    assert await watching.told() == {}


async def test_after_a_run_that_ended_abnormally_nothing_is_believed(watching: Watching) -> None:
    await watching.found()
    watching.orders.ended_abnormally = 1
    since = datetime(2026, 11, 26, tzinfo=UTC)
    found = await watching.found(ended_since=since)
    assert found.forgotten
    assert len(found.rows) == 3
    assert "CloseTime > '2026-11-26T00:00:00+00:00'" in watching.orders.queries[-2]
    assert "'Terminated'" in watching.orders.queries[-2]


async def test_a_large_push_comes_in_pages_from_one_reading(
    watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE_ROWS", 400)
    watching.sage.stock = {code: item(code, "1") for code in (f"X{number}" for number in range(2500))}
    pages = [await watching.found()]
    while pages[-1].more:
        pages.append(await watching.found(sweep=False, continues=True))
    told = [row.sku for one in pages for row in one.rows]
    assert sorted(told) == sorted(watching.sage.stock)
    assert len(pages) == 7
    assert watching.sage.readings == 1
    assert await watching.told() == {}


async def test_every_bucket_gets_its_turn_while_some_change_all_the_time(
    watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE_ROWS", 1)
    names = sorted("ABC", key=bucket_of)
    told: list[str] = []
    for number in range(3):
        watching.sage.stock[names[0]] = item(names[0], str(20 + number))
        told += await watching.told()
    assert set(told) == {"A", "B", "C"}


async def test_a_reading_that_is_too_old_is_not_continued(watching: Watching, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FRESH_SECONDS", -1)
    await watching.found()
    await watching.found(sweep=False, continues=True)
    assert watching.sage.readings == 2


async def test_an_item_that_cannot_be_read_is_told_once_and_stops_nothing(
    watching: Watching, caplog: pytest.LogCaptureFixture
) -> None:
    await watching.found()
    watching.sage.broken = {"B", "C"}
    watching.sage.stock["A"] = item("A", "1")
    found = await watching.found()
    assert [row.sku for row in found.rows] == ["A"]
    assert found.reading.unreadable == 2
    await watching.found()
    assert [record.message for record in caplog.records if record.name == "alerts"] == [
        f"[demo] unreadable: item {code} in Sage; look at its rows in Sage" for code in "BC"
    ]


async def test_without_warehouses_nothing_is_read(pair: Pair) -> None:
    one = Watching(shop(pair, warehouses={}))
    one.sage.stock = {"A": item("A", "1")}
    assert await one.told() == {}
    assert one.sage.readings == 0


async def test_a_watch_waits_until_its_time_is_up(watching: Watching) -> None:
    await watching.found()
    until = datetime.now(UTC) + timedelta(seconds=0.4)
    found = await watching.found(sweep=False, until=until)
    assert found.time_is_up
    assert datetime.now(UTC) >= until
    assert len(watching.orders.queries) > 3, "it looks at the orders all the while"


# ---- accepted orders ------------------------------------------------------------------------------------------------


async def test_accepted_orders_are_taken_off_until_sage_knows_them(watching: Watching) -> None:
    watching.orders.needs = {"1": needs("A", "4")}
    assert (await watching.told())["A"] == 6
    # Created in Sage: its own numbers have it now, and the order is no longer listed.
    watching.orders.needs = {}
    watching.sage.stock["A"] = item("A", "6")
    assert await watching.told() == {}
    # Created, and still listed as received: asked again, it needs nothing.
    watching.orders.needs = {"2": StockNeeds()}
    assert await watching.told() == {}


async def test_between_two_sweeps_an_order_changes_its_items_and_no_others(watching: Watching) -> None:
    await watching.found()
    watching.sage.looked_at.clear()
    watching.sage.stock["B"] = item("B", "1")
    watching.orders.needs = {"1": needs("A", "3")}
    assert await watching.told(sweep=False) == {"A": 7}
    assert set(watching.sage.looked_at) == {"A"}
    watching.orders.needs = {}
    assert await watching.told(sweep=False) == {"A": 10}
    assert watching.sage.readings == 1
    assert await watching.told() == {"B": 1}


async def test_one_order_goes_to_sage_while_another_of_the_same_item_comes(watching: Watching) -> None:
    watching.orders.needs = {"1": needs("A", "2")}
    assert (await watching.told())["A"] == 8
    watching.orders.needs = {"2": needs("A", "2")}
    watching.sage.stock["A"] = item("A", "8")
    assert await watching.told(sweep=False) == {"A": 6}


async def test_an_order_changes_the_kits_that_its_items_are_part_of(watching: Watching) -> None:
    watching.sage.stock["KIT"] = ItemFacts(ItemCode="KIT", ProductType="K", DefaultWarehouseCode="000")
    watching.sage.kits["KIT"] = [
        KitComponent(ItemCode="A", QuantityPerAssembly=D(2)),
        KitComponent(ItemCode="B", QuantityPerAssembly=D(1)),
    ]
    assert (await watching.told())["KIT"] == 5
    watching.orders.needs = {"1": needs("A", "3")}
    assert await watching.told(sweep=False) == {"A": 7, "KIT": 3}
    watching.orders.needs["2"] = needs("KIT", "2")
    assert await watching.told(sweep=False) == {"A": 3, "B": 8, "KIT": 1}


async def test_an_order_that_does_not_answer_counts_as_it_came(watching: Watching, pair: Pair) -> None:
    payload = SAMPLES["02-known-web-customer"]
    start = OrderStart(pair="demo", order_id="1", payload=payload, digest="x", received_at=datetime.now(UTC), pace=PACE)
    broken = {"type": "order.created", "data": {"items": [{"sku": "B", "quantity": "4"}, {"sku": 7}, None]}}
    watching.orders.starts = {"1": start, "2": start.model_copy(update={"payload": broken})}
    watching.orders.needs = {"1": None, "2": None}
    sku, quantity = payload["data"]["items"][0]["sku"], payload["data"]["items"][0]["quantity"]
    watching.sage.stock[sku] = item(sku, "10")
    found = await watching.found()
    told = {row.sku: row.quantity for row in found.rows}
    assert (told[sku], told["B"]) == (10 - quantity, 6)
    assert (found.reading.orders, found.reading.unanswered) == (2, 2)


async def test_an_order_that_sage_has_is_not_counted_again_when_its_change_is_held_and_it_does_not_answer(
    watching: Watching,
) -> None:
    """Held order_changed: its listing has a SalesOrderNo, and Sage's own available is less by it already."""
    broken = {"type": "order.created", "data": {"items": [{"sku": "B", "quantity": "4"}]}}
    watching.orders.starts = {
        "1": OrderStart(pair="demo", order_id="1", payload=broken, digest="x", received_at=datetime.now(UTC), pace=PACE)
    }
    watching.orders.needs, watching.orders.held, watching.orders.in_sage = {"1": None}, {"1"}, {"1"}
    found = await watching.found()
    assert {row.sku: row.quantity for row in found.rows}["B"] == 10


async def test_an_order_is_not_asked_at_every_look_but_when_its_state_changes(watching: Watching) -> None:
    watching.orders.needs = {"1": needs("A", "1"), "2": needs("A", "2")}
    for _ in range(3):
        await watching.found(sweep=False)
    assert sorted(watching.orders.asked) == ["1", "2"]
    watching.orders.held = {"1"}
    watching.orders.needs["1"] = needs("A", "5")
    assert await watching.told(sweep=False) == {"A": 3}
    assert sorted(watching.orders.asked) == ["1", "1", "2"]


async def test_orders_of_a_store_that_shares_the_stock_count_too(pair: Pair) -> None:
    other = shop(pair).model_copy(update={"name": "storetwo"})
    one = Watching(shop(pair, shares_stock_with=["storetwo"]), other)
    one.sage.stock = {"A": item("A", "10")}
    one.orders.needs = {"1": needs("A", "1"), "2": needs("A", "2")}
    one.orders.pairs = {"2": "storetwo"}
    assert await one.told() == {"A": 7}
    assert "Pair IN ('demo', 'storetwo')" in one.orders.queries[0]


async def test_without_temporal_nothing_is_counted(watching: Watching) -> None:
    watching.orders.down = True
    with pytest.raises(Exception, match="list orders"):
        await watching.found()


# ---- comparing ------------------------------------------------------------------------------------------------------


async def test_what_the_store_should_have_and_has_not(watching: Watching) -> None:
    await watching.found()
    theirs = [StockRow("A", "MAIN", 10), StockRow("B", "MAIN", 3), StockRow("FOREIGN", "MAIN", 9)]
    compared = await watching.compared(*theirs)
    assert [(row.sku, row.store, row.ours) for row in sorted(compared.rows, key=lambda row: row.sku)] == [
        ("B", 3, 10),
        ("C", None, 10),
    ]


async def test_what_is_still_to_be_pushed_is_no_drift(watching: Watching) -> None:
    await watching.found()
    watching.orders.needs = {"1": needs("A", "1")}
    compared = await watching.compared(*(StockRow(sku, "MAIN", 10) for sku in "ABC"))
    assert compared.rows == []
    assert await watching.told(sweep=False) == {"A": 9}


# ---- two readings at once -------------------------------------------------------------------------------------------


@asynccontextmanager
async def _slow(sage: Sage) -> AsyncIterator[asyncio.Event]:
    gate = asyncio.Event()
    quick = sage.stock_page

    async def slow(after: str, limit: int) -> StockPage | None:
        await gate.wait()
        return await quick(after, limit)

    sage.stock_page = slow  # type: ignore[method-assign]
    yield gate
    gate.set()


async def test_an_attempt_waits_for_the_one_before(watching: Watching) -> None:
    async with _slow(watching.sage) as gate:
        first = asyncio.create_task(watching.found())
        second = asyncio.create_task(watching.found(sweep=False))
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(first, second)
    assert watching.sage.readings == 1
