"""The poller against a stand-in Sage and Temporal: what is read, whom it tells, what survives trouble."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import pytest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.alerting import HANDED_AT_ONCE
from activities.sage_poll import SagePollActivities
from connectors.sage100.odbc import InvoiceHead, SageReader
from contracts.messages import Alert, AlertKind, PollCursor
from mappings.items import ItemFacts
from mappings.pair import Pace, Pair
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
    owners: dict[str, str | None] = field(default_factory=lambda: {OURS: "10042", THEIRS: ""})
    live: bool = True
    created: datetime | None = None
    broken: set[str] = field(default_factory=set)
    lines_read: list[str] = field(default_factory=list)
    days_read: list[date] = field(default_factory=list)

    async def unposted_invoices(self) -> list[InvoiceHead]:
        return [
            InvoiceHead(
                InvoiceNo=number,
                SalesOrderNo=one.SalesOrderNo,
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
        return [self.posted[number]] if number in self.posted else []

    async def posted_heads(self, number: str) -> list[InvoiceHead]:
        return [InvoiceHead(InvoiceNo=number, SalesOrderNo=self.posted[number].SalesOrderNo)]

    async def posted_on(self, day: date, *, and_later: bool = False) -> list[str]:
        if not and_later:
            self.days_read.append(day)
        return [number for number, at in self.dates.items() if at == day or (and_later and at > day)]

    async def posted_of(self, order: str) -> list[str]:
        return [number for number, one in self.posted.items() if one.SalesOrderNo == order]

    async def web_order_id(self, order: str) -> str | None:
        return self.owners.get(order)

    async def items(self, codes: Iterable[str]) -> dict[str, ItemFacts]:
        return {}

    async def standing(self, order: str) -> SalesOrderStanding:
        return SalesOrderStanding(SalesOrderNo=order, live=self.live, live_lines={"000001": Decimal(1)})

    async def is_as_created(self, order: str) -> bool:
        return self.live and not self.unposted and not self.posted


class Temporal:
    """Takes signals; `listed` maps SalesOrderNo → order id; `refuse` says how signals fail, `mute` how alerts do."""

    def __init__(self) -> None:
        self.alerts: list[Alert] = []
        self.mute: RPCStatusCode | None = None
        self.signals: list[tuple[str, Any]] = []
        self.listed: dict[str, str] = {}
        self.refuse: RPCStatusCode | None = None

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
            if self.temporal.refuse is not None:
                raise RPCError("no", self.temporal.refuse, b"")
            assert self.id == "order-demo-10042"
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
