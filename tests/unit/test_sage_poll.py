"""The poller against a stand-in Sage and Temporal: what is read, whom it tells, what survives trouble."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import pytest
from prometheus_client import REGISTRY
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import ActivityEnvironment

from activities import sage_poll
from activities.alerting import HANDED_AT_ONCE
from activities.sage_poll import SagePollActivities
from connectors.sage100.odbc import InvoiceHead, SageReader
from contracts.messages import Alert, AlertKind, PollCursor, PollShift
from mappings.items import ItemFacts
from mappings.pair import Mode, Pace, Pair
from mappings.shipments import InvoicedLine, SalesOrderStanding, ShipmentInvoice, ShipmentSeen

OURS, THEIRS = "0001042", "0002000"
PACE = Pace(poll_interval=0.1, quiet_interval=0.1, rotation=1000, settle_time=600, grace_time=14_400)


def invoice(number: str, order: str = OURS, *, posted: bool = False, status: str = "S") -> ShipmentInvoice:
    lines = [InvoicedLine(LineKey="000001", ItemCode="A", QuantityShipped=Decimal(1))]
    return ShipmentInvoice(InvoiceNo=number, SalesOrderNo=order, posted=posted, ShipStatus=status, Lines=lines)


@dataclass
class Sage:
    """A Sage that a test writes; `owners` maps SalesOrderNo → UDF_WEB_ORDER_ID (None: Sage cannot tell)."""

    unposted: dict[str, ShipmentInvoice] = field(default_factory=dict)
    posted: dict[str, ShipmentInvoice] = field(default_factory=dict)
    dates: dict[str, date] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    several: set[str] = field(default_factory=set)
    """Invoices that bill several orders."""
    owners: dict[str, str | None] = field(default_factory=lambda: {OURS: "10042", THEIRS: ""})
    live: bool = True
    created: datetime | None = None
    broken: set[str] = field(default_factory=set)
    lines_read: list[str] = field(default_factory=list)
    days_read: list[date] = field(default_factory=list)
    pause: asyncio.Event | None = None
    """Readings of days wait for it."""

    async def unposted_invoices(self) -> list[InvoiceHead]:
        return [
            InvoiceHead(
                InvoiceNo=number,
                SalesOrderNo=one.SalesOrderNo,
                several_orders=number in self.several,
                deleted=number in self.deleted,
                created=self.created,
            )
            for number, one in self.unposted.items()
        ]

    async def unposted_invoice(self, number: str) -> list[ShipmentInvoice]:
        self.lines_read.append(number)
        if number in self.broken:
            raise ValueError("a quantity that is no number")
        return [self.unposted[number]]

    async def posted_invoice(self, number: str) -> list[ShipmentInvoice]:
        self.lines_read.append(number)
        if number in self.broken:
            raise ValueError("a quantity that is no number")
        return [self.posted[number]] if number in self.posted else []

    async def posted_heads(self, number: str) -> list[InvoiceHead]:
        if f"head {number}" in self.broken:
            raise ValueError("a date that is none")
        several = number in self.several
        return [InvoiceHead(InvoiceNo=number, SalesOrderNo=self.posted[number].SalesOrderNo, several_orders=several)]

    async def posted_on(self, day: date, after: str, limit: int) -> list[str]:
        self.days_read.append(day)
        if self.pause is not None:
            await self.pause.wait()
        return sorted(number for number, at in self.dates.items() if at == day and number > after)[:limit]

    async def posted_after(self, day: date, limit: int) -> list[str]:
        return [number for number, at in self.dates.items() if at > day][:limit]

    async def posted_of(self, order: str) -> list[str]:
        return [number for number, one in self.posted.items() if one.SalesOrderNo == order]

    async def web_order_id(self, order: str) -> str | None:
        if f"header {order}" in self.broken:
            raise ValueError("a date that is none")
        return self.owners.get(order)

    async def items(self, codes: Iterable[str]) -> dict[str, ItemFacts]:
        if "items" in self.broken:
            raise ArithmeticError("a quantity that is no number")
        return {}

    async def standing(self, order: str) -> SalesOrderStanding:
        if order in self.broken:
            raise ValueError("an ItemType that nobody knows")
        return SalesOrderStanding(SalesOrderNo=order, live=self.live, live_lines={"000001": Decimal(1)})

    async def is_as_created(self, order: str) -> bool:
        if f"lines {order}" in self.broken:
            raise ArithmeticError("a quantity that is no number")
        return self.live and not self.unposted and not self.posted


class Temporal:
    """Takes signals; `listed` maps SalesOrderNo → order id; `refuse` says how signals fail, `mute` how alerts do."""

    def __init__(self) -> None:
        self.alerts: list[Alert] = []
        self.mute: RPCStatusCode | None = None
        self.signals: list[tuple[str, Any]] = []
        self.listed: dict[str, str] = {}
        self.refuse: RPCStatusCode | None = None
        self.pause: asyncio.Event | None = None
        """Other signals wait for it."""
        self.refused: set[str] = set()
        """Orders whose signals fail so; empty: all."""

    async def list_workflows(
        self, query: str, page_size: int = 0, limit: int | None = None
    ) -> AsyncIterator["Temporal.Listed"]:
        if "out_of_stock" in query:
            return
        for number, order_id in self.listed.items():
            if "IS NOT NULL" in query or f"'{number}'" in query:
                yield Temporal.Listed(number, order_id)

    class Listed:
        def __init__(self, number: str, order_id: str) -> None:
            self.id, self.number, self.typed_search_attributes = f"order-demo-{order_id}", number, self

        def get(self, _: object) -> str:
            return self.number

    async def start_workflow(self, name: str, *_: Any, start_signal_args: list[Alert], **__: Any) -> None:
        assert name == "AlertWorkflow"
        if self.mute is not None:
            raise RPCError("no", self.mute, b"")
        self.alerts += start_signal_args

    def get_workflow_handle(self, id_: str) -> "Temporal.Handle":
        return Temporal.Handle(self, id_)

    class Handle:
        def __init__(self, temporal: "Temporal", id_: str) -> None:
            self.temporal, self.id = temporal, id_

        async def signal(self, name: str, argument: object, **_: object) -> None:
            if self.temporal.refuse is not None and (not self.temporal.refused or self.id in self.temporal.refused):
                raise RPCError("no", self.temporal.refuse, b"")
            if self.temporal.pause is not None:
                await self.temporal.pause.wait()
            assert self.id.startswith("order-demo-1004")
            self.temporal.signals.append((name, argument))


class Poller:
    """The activities with the stand-ins, and a clock."""

    def __init__(self, pair: Pair) -> None:
        self.sage, self.temporal, self.pair = Sage(), Temporal(), pair
        self.now = datetime(2026, 11, 23, 12, tzinfo=pair.company.zone)
        self.cursor = PollCursor()
        self.forget()

    def forget(self) -> None:
        """Another process: its memory is empty."""
        self.polls = SagePollActivities(
            self.pair, cast(SageReader, self.sage), cast(Client, self.temporal), lambda: self.now
        )

    async def poll(self, times: int = 1) -> list[tuple[str, Any]]:
        """Signals of so many polls."""
        before = len(self.temporal.signals)
        for _ in range(times):
            self.cursor = await self.polls.poll_once(self.cursor, PACE)
        return self.temporal.signals[before:]


@pytest.fixture
def poller(pair: Pair) -> Poller:
    return Poller(pair)


async def test_an_unposted_invoice_is_told_once_and_again_when_it_is_posted(poller: Poller) -> None:
    poller.sage.unposted["1"] = invoice("1")
    ((name, seen),) = await poller.poll(3)
    assert (name, seen.invoice.posted) == ("shipment", False)
    assert poller.cursor.unposted == [f"1/{OURS}"]
    poller.sage.posted["1"] = invoice("1", posted=True)
    del poller.sage.unposted["1"]
    ((name, seen),) = await poller.poll(3)
    assert (name, seen.invoice.posted, poller.cursor.unposted) == ("shipment", True, [])


async def test_lines_of_other_peoples_invoices_are_not_read(poller: Poller) -> None:
    poller.sage.unposted = {"1": invoice("1", THEIRS), "2": invoice("2")}
    await poller.poll(3)
    assert set(poller.sage.lines_read) == {"2"}


async def test_a_lost_memory_repeats_and_loses_nothing(poller: Poller) -> None:
    poller.sage.unposted["1"] = invoice("1")
    await poller.poll()
    poller.forget()
    poller.sage.posted["1"] = invoice("1", posted=True)
    del poller.sage.unposted["1"]
    assert [seen.invoice.posted for _, seen in await poller.poll(2)] == [True]
    poller.forget()
    poller.sage.dates["1"] = poller.now.date()
    assert [seen.invoice.InvoiceNo for _, seen in await poller.poll(2)] == ["1"]


async def test_rows_in_neither_place_are_waited_for_then_told_as_missing(poller: Poller) -> None:
    poller.sage.unposted["1"] = invoice("1")
    await poller.poll()
    del poller.sage.unposted["1"]
    assert await poller.poll() == []
    ((name, standing),) = await poller.poll(2)
    assert (name, standing.missing_invoices) == ("sales_order_changed", ["1"])
    poller.sage.posted["1"] = invoice("1", posted=True)
    ((name, seen),) = await poller.poll()
    assert (name, seen.standing.missing_invoices, poller.cursor.unposted) == ("shipment", [], [])


async def test_a_row_kept_as_deleted_is_told_at_once(poller: Poller) -> None:
    poller.sage.unposted["1"] = invoice("1")
    await poller.poll()
    poller.sage.deleted.add("1")
    ((name, standing),) = await poller.poll()
    assert (name, standing.missing_invoices) == ("sales_order_changed", ["1"])


async def test_grace_time_outlasts_a_restart_and_settle_time_does_not(poller: Poller, pair: Pair) -> None:
    poller.sage.unposted["1"] = invoice("1", status="L")
    poller.sage.created = poller.now.replace(tzinfo=None) - timedelta(hours=5)
    assert await poller.poll() == []
    quick = PACE.model_copy(update={"settle_time": 0.0})
    poller.cursor = await poller.polls.poll_once(poller.cursor, quick)
    assert len(poller.temporal.signals) == 1
    poller.sage.unposted["2"] = invoice("2", status="L")
    poller.sage.created = poller.now.replace(tzinfo=None)
    poller.cursor = await poller.polls.poll_once(poller.cursor, quick)
    assert len(poller.temporal.signals) == 1


async def test_posted_between_polls_is_found_by_its_date_within_the_days(poller: Poller) -> None:
    today = poller.now.date()
    for days, number in ((0, "1"), (3, "2"), (30, "3"), (-2, "4")):
        poller.sage.posted[number] = invoice(number, posted=True)
        poller.sage.dates[number] = today - timedelta(days=days)
    told = {seen.invoice.InvoiceNo for _, seen in await poller.poll(8)}
    assert told == {"1", "2", "4"}
    assert poller.cursor.polled_on == today.isoformat()


@pytest.mark.parametrize(("polled_on", "days"), [("", 7), ("2026-11-22", 7), ("2026-11-10", 14)])
async def test_how_far_back_a_process_looks(poller: Poller, polled_on: str, days: int) -> None:
    poller.cursor = PollCursor(polled_on=polled_on)
    await poller.poll(20)
    assert min(poller.sage.days_read) == poller.now.date() - timedelta(days=days)


async def test_an_interrupted_round_starts_where_the_last_complete_one_began(poller: Poller) -> None:
    poller.cursor = PollCursor(polled_on="2026-11-01")
    await poller.poll(3)
    assert poller.cursor.polled_on == "2026-11-01"
    poller.forget()
    await poller.poll(30)
    assert poller.cursor.polled_on == "2026-11-23"


async def test_an_invoice_of_no_known_order_is_tried_again_for_a_day(poller: Poller) -> None:
    poller.sage.owners[OURS] = None
    poller.sage.posted["1"], poller.sage.dates["1"] = invoice("1", posted=True), poller.now.date()
    assert await poller.poll() == []
    assert poller.cursor.unresolved[0].startswith(f"1/{OURS}@")
    poller.temporal.listed[OURS] = "10042"
    poller.forget()
    assert [seen.invoice.InvoiceNo for _, seen in await poller.poll()] == ["1"]
    assert poller.cursor.unresolved == []
    old = int(datetime.now(UTC).timestamp()) - 90_000
    poller.cursor = PollCursor(unresolved=[f"9/0009999@{old}"])
    poller.forget()
    await poller.poll()
    assert (poller.cursor.unresolved, poller.cursor.not_ours) == ([], 1)


async def test_an_unreadable_row_is_counted_alerted_and_stops_nothing(
    poller: Poller, caplog: pytest.LogCaptureFixture
) -> None:
    poller.sage.unposted = {"1": invoice("1"), "2": invoice("2")}
    poller.sage.broken = {"1"}
    assert [seen.invoice.InvoiceNo for _, seen in await poller.poll(3)] == ["2"]
    assert poller.cursor.unreadable == 3
    assert sum(record.name == "alerts" for record in caplog.records) == 1
    ((kind, title),) = [(alert.kind, alert.title) for alert in poller.temporal.alerts]
    assert (kind, title) == (AlertKind.UNREADABLE, "Invoice 1")
    # Another process says the same words: `AlertWorkflow` knows them again.
    poller.forget()
    await poller.poll()
    assert len({alert.key for alert in poller.temporal.alerts}) == 1


async def test_alerts_that_temporal_does_not_take_wait_and_stop_no_poll(poller: Poller) -> None:
    poller.sage.unposted = {str(number): invoice(str(number)) for number in range(1, 71)}
    poller.sage.broken = set(poller.sage.unposted) - {"70"}
    poller.temporal.mute = RPCStatusCode.RESOURCE_EXHAUSTED
    assert [seen.invoice.InvoiceNo for _, seen in await poller.poll(2)] == ["70"]
    assert poller.temporal.alerts == []
    poller.temporal.mute = None
    # So many in one poll, which has other work to do; the rest with the next.
    await poller.poll()
    assert len(poller.temporal.alerts) == HANDED_AT_ONCE
    await poller.poll(3)
    assert len({alert.title for alert in poller.temporal.alerts}) == len(poller.temporal.alerts) == 69


@pytest.mark.parametrize(
    ("status", "again"), [(RPCStatusCode.NOT_FOUND, False), (RPCStatusCode.RESOURCE_EXHAUSTED, True)]
)
async def test_an_order_that_takes_no_signal_stops_nothing(poller: Poller, status: RPCStatusCode, again: bool) -> None:
    poller.sage.unposted["1"] = invoice("1")
    poller.temporal.refuse = status
    await poller.poll()
    assert poller.cursor.not_found == 1
    told = [(alert.title, alert.workflow_id) for alert in poller.temporal.alerts]
    assert told == ([("Order 10042", "order-demo-10042")] if again else [])
    poller.temporal.refuse = None
    assert bool(await poller.poll()) is again


async def test_without_temporal_the_poll_fails_and_nothing_counts_as_told(poller: Poller) -> None:
    poller.sage.unposted["1"] = invoice("1")
    poller.temporal.refuse = RPCStatusCode.UNAVAILABLE
    with pytest.raises(RPCError):
        await poller.poll()
    poller.temporal.refuse = None
    assert len(await poller.poll()) == 1


async def test_the_rotation_tells_what_changed_and_not_what_is_as_created(poller: Poller) -> None:
    poller.temporal.listed[OURS] = "10042"
    assert await poller.poll(2) == []
    poller.sage.live = False
    poller.polls._memory.rotation_began = -10_000.0
    ((name, standing),) = await poller.poll(2)
    assert (name, standing.live) == ("sales_order_changed", False)
    poller.forget()
    poller.sage.posted["7"] = invoice("7", posted=True)
    ((name, seen),) = await poller.poll(2)
    assert (name, seen.invoice.InvoiceNo) == ("shipment", "7")


async def test_orders_that_ended_leave_no_memory_and_open_ones_are_told_once(poller: Poller) -> None:
    """Of twenty posted and ended orders nothing is kept two rotations later; the open one hears nothing again."""
    memory = poller.polls._memory
    poller.temporal.listed[OURS] = "10042"
    poller.sage.posted["1"] = invoice("1", posted=True)
    for number in range(20):
        sales_order_no, invoice_no = f"{2000 + number:07d}", f"{500 + number}"
        poller.sage.owners[sales_order_no] = f"10042-{number}"
        poller.sage.posted[invoice_no] = invoice(invoice_no, sales_order_no, posted=True)
        poller.sage.dates[invoice_no] = poller.now.date()
    assert len(await poller.poll(3)) == 21
    assert (len(memory.sent), len(memory.owners)) == (21, 21)
    for _ in range(2):
        memory.rotation_began = -10_000.0
        assert await poller.poll(3) == []
    assert (len(memory.sent), len(memory.standings), len(memory.owners)) == (1, 1, 1)


async def test_the_cursor_stays_small(poller: Poller) -> None:
    poller.sage.unposted = {f"{number:07d}": invoice(f"{number:07d}") for number in range(1000)}
    await poller.poll()
    poller.cursor = poller.cursor.model_copy(update={"unresolved": [f"{n:07d}/0009999@1795475000" for n in range(99)]})
    poller.sage.owners["0009999"] = None
    await poller.poll()
    assert len(poller.cursor.model_dump_json()) <= 4096
    del poller.sage.unposted["0000999"]
    assert [argument.missing_invoices for _, argument in await poller.poll(2)] == [["0000999"]]


async def test_quick_while_something_is_unposted_in_business_hours(poller: Poller, pair: Pair) -> None:
    pace = Pace()
    assert poller.polls.interval(PollCursor(), pace) == pace.quiet_interval
    assert poller.polls.interval(PollCursor(unposted=["1/2"]), pace) == pace.poll_interval


def test_a_signal_carries_the_invoice_and_where_the_order_stands() -> None:
    assert set(ShipmentSeen.model_fields) == {"invoice", "standing"}


# ---- rows that nobody can read --------------------------------------------------------------------------------------

OTHER = "0001043"
"""Another order of ours."""


@pytest.fixture
def two_orders(poller: Poller) -> Poller:
    """Both of ours have a posted invoice of today."""
    poller.sage.owners[OTHER] = "10043"
    for number, order in (("1", OURS), ("2", OTHER)):
        poller.sage.posted[number], poller.sage.dates[number] = invoice(number, order, posted=True), poller.now.date()
    return poller


def told_by(signals: list[tuple[str, Any]]) -> set[str]:
    return {seen.invoice.InvoiceNo for name, seen in signals if name == "shipment"}


@pytest.mark.parametrize("broken", [OURS, f"lines {OURS}", f"header {OURS}", "1", "head 1"])
async def test_one_unreadable_row_anywhere_stops_no_other_order(two_orders: Poller, broken: str) -> None:
    two_orders.sage.broken = {broken}
    if broken in (OURS, f"lines {OURS}"):
        # In the rotation, too.
        two_orders.temporal.listed = {OURS: "10042", OTHER: "10043"}
    readable = {"1"} if broken.startswith("lines") else set()
    assert told_by(await two_orders.poll(3)) == {"2"} | readable
    assert two_orders.cursor.unreadable >= 1


async def test_an_order_that_was_mended_is_told(two_orders: Poller, caplog: pytest.LogCaptureFixture) -> None:
    two_orders.sage.broken = {OURS}
    assert told_by(await two_orders.poll(3)) == {"2"}
    assert sum(record.name == "alerts" for record in caplog.records) == 1
    two_orders.sage.broken = set()
    assert told_by(await two_orders.poll()) == {"1"}


@pytest.mark.parametrize("posted", [False, True])
async def test_what_cannot_be_read_is_not_gone(poller: Poller, posted: bool) -> None:
    poller.sage.unposted["1"] = invoice("1")
    await poller.poll()
    if posted:
        poller.sage.posted["1"] = invoice("1", posted=True)
        del poller.sage.unposted["1"]
    poller.sage.broken = {"1"}
    assert await poller.poll(5) == []
    assert poller.cursor.unposted == [f"1/{OURS}"]
    poller.sage.broken = set()
    assert len(await poller.poll()) == posted


async def test_unreadable_stock_of_held_orders_does_not_stop_the_poll(poller: Poller) -> None:
    poller.sage.broken = {"items"}
    poller.sage.unposted["1"] = invoice("1")
    assert told_by(await poller.poll()) == {"1"}
    assert poller.cursor.polls == 1


# ---- failing in the middle ------------------------------------------------------------------------------------------


async def test_a_day_counts_as_read_when_its_orders_were_told(two_orders: Poller) -> None:
    for number in ("1", "2"):
        two_orders.sage.dates[number] = two_orders.now.date() - timedelta(days=30)
    two_orders.cursor = PollCursor(polled_on=two_orders.sage.dates["1"].isoformat())
    before = two_orders.cursor
    two_orders.temporal.refuse = RPCStatusCode.UNAVAILABLE
    two_orders.temporal.refused = {"order-demo-10043"}
    for _ in range(3):
        with pytest.raises(RPCError):
            await two_orders.poll(5)
    assert two_orders.cursor.polled_on == before.polled_on
    two_orders.temporal.refuse = None
    await two_orders.poll(2)
    assert told_by(two_orders.temporal.signals) == {"1", "2"}


async def test_a_poll_that_failed_tells_nobody_afterwards(two_orders: Poller) -> None:
    two_orders.temporal.pause = asyncio.Event()
    two_orders.temporal.refuse = RPCStatusCode.UNAVAILABLE
    two_orders.temporal.refused = {"order-demo-10043"}
    with pytest.raises(RPCError):
        await two_orders.poll()
    two_orders.temporal.pause.set()
    for _ in range(5):
        await asyncio.sleep(0)
    assert two_orders.temporal.signals == []


async def test_an_invoice_without_order_is_not_forgotten_when_the_poll_fails(two_orders: Poller) -> None:
    two_orders.sage.owners[OURS] = None
    two_orders.temporal.refuse = RPCStatusCode.UNAVAILABLE
    with pytest.raises(RPCError):
        await two_orders.poll()
    assert two_orders.cursor.unresolved == []
    two_orders.temporal.refuse = None
    await two_orders.poll()
    assert [entry.partition("@")[0] for entry in two_orders.cursor.unresolved] == [f"1/{OURS}"]


async def test_the_rotation_waits_for_a_poll_that_succeeds(poller: Poller) -> None:
    poller.temporal.listed[OURS] = "10042"
    poller.sage.posted["7"] = invoice("7", posted=True)
    poller.temporal.refuse = RPCStatusCode.UNAVAILABLE
    with pytest.raises(RPCError):
        await poller.poll()
    poller.temporal.refuse = None
    assert told_by(await poller.poll()) == {"7"}


async def test_one_invoice_of_two_orders_is_done_when_both_were_told(two_orders: Poller) -> None:
    one, other = invoice("5", OURS, posted=True), invoice("5", OTHER, posted=True)
    sage = two_orders.sage
    sage.posted, sage.dates, sage.several = {"5": one}, {"5": two_orders.now.date()}, {"5"}

    async def both(number: str) -> list[ShipmentInvoice]:
        assert number == "5"
        return [one, other]

    sage.posted_invoice = both  # type: ignore[method-assign]
    two_orders.temporal.refuse = RPCStatusCode.RESOURCE_EXHAUSTED
    two_orders.temporal.refused = {"order-demo-10043"}
    assert [seen.invoice.SalesOrderNo for _, seen in await two_orders.poll(2)] == [OURS]
    two_orders.temporal.refuse = None
    assert [seen.invoice.SalesOrderNo for _, seen in await two_orders.poll(2)] == [OTHER]


def shift_of(poller: Poller, **changes: Any) -> tuple[ActivityEnvironment, PollShift]:
    """An attempt that the server handed out at twelve, for ten minutes; one poll lasts as long as the shift."""
    environment = ActivityEnvironment()
    began = datetime(2026, 11, 23, 18, tzinfo=UTC)
    environment.info = replace(environment.info, started_time=began, **changes)
    pace = PACE.model_copy(update={"poll_interval": 0.01, "quiet_interval": 0.01})
    return environment, PollShift(pair="demo", cursor=None, until=began + timedelta(minutes=10), pace=pace)


async def test_with_temporal_down_the_shift_goes_on_from_the_same_cursor(poller: Poller) -> None:
    environment, shift = shift_of(poller)
    poller.sage.unposted["1"] = invoice("1")
    poller.temporal.refuse = RPCStatusCode.UNAVAILABLE
    beats: list[PollCursor] = []

    def on_heartbeat(cursor: PollCursor) -> None:
        beats.append(cursor)
        if len(beats) > 8:
            poller.temporal.refuse = None
        if poller.temporal.signals:
            environment.cancel()

    environment.on_heartbeat = on_heartbeat
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(environment.run(poller.polls.poll, shift), 20)
    assert {beat.polls for beat in beats[:8]} == {0}
    assert beats[-1].unposted == [f"1/{OURS}"]
    assert len(poller.temporal.signals) == 1


async def test_a_poll_that_takes_longer_than_the_heartbeats_time_out_gives_signs_of_life(poller: Poller) -> None:
    environment, shift = shift_of(poller)
    shift = shift.model_copy(update={"pace": shift.pace.model_copy(update={"poll_heartbeat_timeout": 0.06})})
    poller.sage.pause = asyncio.Event()
    beats: list[PollCursor] = []

    def on_heartbeat(cursor: PollCursor) -> None:
        beats.append(cursor)
        if len(beats) > 5:
            environment.cancel()

    environment.on_heartbeat = on_heartbeat
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(environment.run(poller.polls.poll, shift), 20)
    assert [beat.polls for beat in beats] == [0] * len(beats)


@pytest.mark.parametrize("wrong", [timedelta(days=-400), timedelta(days=400)])
async def test_a_shift_ends_by_the_servers_clock(
    poller: Poller, monkeypatch: pytest.MonkeyPatch, wrong: timedelta
) -> None:
    """This machine's clock is more than a year off; the shift has ten minutes left, then none."""

    class WrongClock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + wrong

    monkeypatch.setattr(sage_poll, "datetime", WrongClock)
    environment, shift = shift_of(poller)

    def on_heartbeat(cursor: PollCursor) -> None:
        if cursor.polls >= 3:
            environment.cancel()

    environment.on_heartbeat = on_heartbeat
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(environment.run(poller.polls.poll, shift), 20)
    environment, _ = shift_of(poller)
    over = shift.model_copy(update={"until": environment.info.started_time})
    cursor = await asyncio.wait_for(environment.run(poller.polls.poll, over), 20)
    assert cursor.polls == 1


async def test_lost_heartbeat_details_cost_a_look_back_and_no_shipment(poller: Poller) -> None:
    before = poller.cursor = (await poller.polls.poll_once(poller.cursor, PACE)).model_copy(update={"unposted": []})
    poller.sage.unposted["1"] = invoice("1", status="N")
    await poller.poll()
    poller.forget()
    poller.cursor = before
    poller.sage.posted["1"], poller.sage.dates["1"] = invoice("1", posted=True), poller.now.date() - timedelta(days=2)
    del poller.sage.unposted["1"]
    assert told_by(await poller.poll(10)) == {"1"}


async def test_two_polls_at_once_in_one_process_take_turns(poller: Poller) -> None:
    """The server gave up an attempt whose heartbeats it missed, and its worker has both."""
    old = poller.now.date() - timedelta(days=3)
    poller.sage.posted["1"], poller.sage.dates["1"] = invoice("1", posted=True), old
    poller.sage.pause = asyncio.Event()
    polls = [asyncio.create_task(poller.polls.poll_once(PollCursor(), PACE)) for _ in range(6)]
    await asyncio.sleep(0)
    poller.sage.pause.set()
    await asyncio.gather(*polls)
    assert told_by(poller.temporal.signals) == {"1"}
    assert len(poller.temporal.signals) == 1
    read = [day for day in poller.sage.days_read if day != poller.now.date()]
    assert sorted(set(read)) == [poller.now.date() - timedelta(days=days) for days in (7, 6, 5, 4, 3, 2)]


async def test_two_processes_at_once_repeat_and_lose_nothing(poller: Poller, pair: Pair) -> None:
    poller.sage.unposted["1"] = invoice("1")
    other = SagePollActivities(pair, cast(SageReader, poller.sage), cast(Client, poller.temporal), lambda: poller.now)
    both = await asyncio.gather(other.poll_once(PollCursor(), PACE), poller.polls.poll_once(PollCursor(), PACE))
    assert [cursor.unposted for cursor in both] == [[f"1/{OURS}"]] * 2
    assert told_by(poller.temporal.signals) == {"1"}


# ---- the lag that Prometheus sees -----------------------------------------------------------------------------------


def last_poll(pair: Pair) -> float:
    return REGISTRY.get_sample_value("clarity_sage_last_poll_timestamp_seconds", {"pair": pair.name}) or 0.0


async def test_the_lag_counts_from_the_start_of_the_worker_until_there_is_a_poll(pair: Pair) -> None:
    started = Poller(pair.model_copy(update={"name": "started"}))
    began = last_poll(started.pair)
    assert began > 0
    await started.poll()
    assert last_poll(started.pair) >= began


def test_a_pair_in_shadow_mode_is_not_polled_and_has_no_lag(pair: Pair) -> None:
    shadow = pair.model_copy(update={"name": "shadow", "mode": Mode.SHADOW})
    Poller(shadow)
    assert last_poll(shadow) == 0


# ---- clocks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("created", "now", "minutes"),
    [
        ("2026-03-08T01:30:00", "2026-03-08T03:30:00-05:00", 60),
        ("2026-11-01T00:30:00", "2026-11-01T01:30:00-06:00", 120),
        # Sage does not say which of the two it was: the younger.
        ("2026-11-01T01:30:00", "2026-11-01T01:40:00-06:00", 10),
        ("2026-11-01T01:30:00", "2026-11-01T01:40:00-05:00", 0),
        ("2026-03-08T02:30:00", "2026-03-08T03:30:00-05:00", 60),
    ],
    ids=["spring", "autumn", "the hour that comes twice", "its first time", "the hour that there is not"],
)
async def test_an_age_across_a_clock_change_is_the_time_that_passed(
    poller: Poller, created: str, now: str, minutes: int
) -> None:
    poller.now = datetime.fromisoformat(now).astimezone(poller.pair.company.zone)
    head = InvoiceHead(InvoiceNo="1", SalesOrderNo=OURS, created=datetime.fromisoformat(created))
    assert poller.polls._age(head) == pytest.approx(minutes * 60)


@pytest.mark.parametrize("hours", [-6, 6], ids=["behind", "ahead"])
async def test_sages_clock_does_not_shorten_the_wait_for_tracking(poller: Poller, hours: int) -> None:
    quick = PACE.model_copy(update={"settle_time": 0.0})
    poller.cursor = await poller.polls.poll_once(poller.cursor, quick)
    poller.sage.unposted["1"] = invoice("1", status="L")
    poller.sage.created = (poller.now + timedelta(hours=hours)).replace(tzinfo=None)
    for _ in range(2):
        poller.cursor = await poller.polls.poll_once(poller.cursor, quick)
    assert poller.temporal.signals == []


async def test_a_cursor_from_the_future_counts_as_none(pair: Pair) -> None:
    polling = pair.polling.model_copy(update={"cold_start_days": 20})
    poller = Poller(pair.model_copy(update={"polling": polling}))
    poller.cursor = PollCursor(polled_on="2031-05-01")
    await poller.poll(30)
    assert min(poller.sage.days_read) == poller.now.date() - timedelta(days=20)
    assert poller.cursor.polled_on == poller.now.date().isoformat()


@pytest.mark.parametrize("days", [-900, 900])
async def test_after_a_clock_jump_and_back_everything_is_found_as_soon(poller: Poller, days: int) -> None:
    async def polls(times: int) -> set[str]:
        told: set[str] = set()
        for _ in range(times):
            poller.polls._memory.next_day = 0
            told |= told_by(await poller.poll())
        return told

    await polls(12)
    right = poller.now
    poller.now = right + timedelta(days=days)
    await polls(12)
    poller.now = right
    poller.sage.posted["1"], poller.sage.dates["1"] = invoice("1", posted=True), right.date()
    assert await polls(1) == {"1"}
    assert poller.cursor.polled_on <= right.date().isoformat()
    # Backwards, it reads the days in between once more: safe, and one poll each.
    await polls(10 if days > 0 else 920)
    earlier = right.date() - timedelta(days=3)
    poller.sage.posted["2"], poller.sage.dates["2"] = invoice("2", posted=True), earlier
    assert await polls(20) == {"2"}
    assert poller.cursor.polled_on == right.date().isoformat()


async def test_a_date_is_the_companys_whatever_zone_the_machine_is_in(poller: Poller) -> None:
    """It is Tuesday in Chicago and Wednesday in UTC: what is dated Tuesday is of today."""
    poller.now = datetime(2026, 11, 25, 4, 30, tzinfo=UTC).astimezone(poller.pair.company.zone)
    poller.sage.posted["1"], poller.sage.dates["1"] = invoice("1", posted=True), date(2026, 11, 24)
    assert told_by(await poller.poll()) == {"1"}


# ---- late, many, not ours -------------------------------------------------------------------------------------------


async def test_a_row_that_becomes_visible_late_is_found_by_the_next_round(poller: Poller) -> None:
    await poller.poll(9)
    assert poller.cursor.polled_on == poller.now.date().isoformat()
    poller.sage.posted["1"], poller.sage.dates["1"] = invoice("1", posted=True), poller.now.date() - timedelta(days=6)
    told: set[str] = set()
    for _ in range(8):
        poller.polls._memory.next_day = 0
        told |= told_by(await poller.poll())
    assert told == {"1"}


async def test_a_burst_is_looked_into_bit_by_bit_and_completely(
    poller: Poller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sage_poll, "NEW_PER_POLL", 20)
    monkeypatch.setattr(sage_poll, "NUMBERS_AT_ONCE", 7)
    monkeypatch.setattr(sage_poll, "OWNERS_KEPT", 30)
    day = poller.now.date() - timedelta(days=4)
    for number in range(100):
        name = f"{number:07d}"
        poller.sage.posted[name] = invoice(name, OURS if number % 10 == 0 else THEIRS, posted=True)
        poller.sage.dates[name] = day
    for _ in range(15):
        before = len(set(poller.sage.lines_read))
        await poller.poll()
        assert len(set(poller.sage.lines_read)) - before <= 20
    assert told_by(poller.temporal.signals) == {f"{number:07d}" for number in range(0, 100, 10)}
    assert poller.cursor.polled_on == poller.now.date().isoformat()


async def test_other_peoples_consolidated_invoices_do_not_starve_ours(
    poller: Poller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sage_poll, "NEW_PER_POLL", 5)
    for number in range(12):
        name = f"{number:07d}"
        poller.sage.posted[name] = invoice(name, OURS if number == 11 else THEIRS, posted=True)
        poller.sage.dates[name] = poller.now.date()
    poller.sage.several = set(poller.sage.posted) - {"0000011"}
    assert told_by(await poller.poll(4)) == {"0000011"}
    assert poller.cursor.not_ours == 11


async def test_shipments_that_are_not_ours_are_ignored_and_counted_once(poller: Poller) -> None:
    for number in range(3):
        poller.sage.posted[str(number)] = invoice(str(number), THEIRS, posted=True)
        poller.sage.dates[str(number)] = poller.now.date()
    assert await poller.poll(5) == []
    assert poller.cursor.not_ours == 3


async def test_weeks_of_downtime_are_caught_up_day_by_day(poller: Poller) -> None:
    began = poller.now.date() - timedelta(days=60)
    poller.cursor = PollCursor(polled_on=began.isoformat())
    for days in range(0, 60, 5):
        number = f"{days:07d}"
        poller.sage.posted[number], poller.sage.dates[number] = invoice(number, posted=True), began + timedelta(days)
    for _ in range(60):
        before = len(poller.sage.days_read)
        await poller.poll()
        # Today, and one earlier day: once, and once more where there was something.
        assert len(poller.sage.days_read) - before <= 3
    await poller.poll(2)
    assert told_by(poller.temporal.signals) == set(poller.sage.posted)
    assert poller.cursor.polled_on == poller.now.date().isoformat()


async def test_a_closed_workflow_is_recorded_and_asked_once(poller: Poller) -> None:
    poller.sage.posted["1"], poller.sage.dates["1"] = invoice("1", posted=True), poller.now.date()
    poller.temporal.refuse = RPCStatusCode.NOT_FOUND
    await poller.poll(4)
    assert poller.cursor.not_found == 1
    poller.temporal.refuse = None
    assert await poller.poll(2) == []
