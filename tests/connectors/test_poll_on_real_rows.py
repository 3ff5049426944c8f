"""The poller over real ODBC: rows that no program should have written, and what a poll costs in a company of any size.

The sandbox makes the file with Sage's tables and keys; rows are written past it.
"""

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio
from pydantic import SecretStr
from temporalio.client import Client

from activities.sage_poll import SagePollActivities
from connectors.errors import RetryLater
from connectors.sage100.odbc import stamp
from connectors.sage100.session import OdbcSource, UnreadableRow
from contracts.messages import Alert, PollCursor
from mappings.pair import Pace, Pair, load_pair
from tests.bench.poll_cost import (
    CountingReader,
    Listed,
    add_many,
    add_order,
    insert,
    old_invoice,
    old_line,
    other_order,
)
from tests.support.processes import ROOT
from tests.support.sandbox import running_sandbox

PACE = Pace(settle_time=0, grace_time=0)
TABLES = (
    "SO_SalesOrderHeader",
    "SO_SalesOrderDetail",
    "SO_SalesOrderHistoryHeader",
    "SO_SalesOrderHistoryDetail",
    "SO_InvoiceHeader",
    "SO_InvoiceDetail",
    "AR_InvoiceHistoryHeader",
    "AR_InvoiceHistoryDetail",
)


class Orders:
    """Stands in for Temporal: our open orders, and who was told what."""

    def __init__(self) -> None:
        self.open: list[tuple[str, str]] = []
        self.told: list[tuple[str, str, Any]] = []
        self.alerts: list[Alert] = []

    async def list_workflows(self, query: str, **_: object) -> AsyncIterator[Listed]:
        if "out_of_stock" not in query:
            for order_id, number in self.open:
                if "IS NOT NULL" in query or f"'{number}'" in query:
                    yield Listed(order_id, number)

    async def start_workflow(self, name: str, *_: Any, start_signal_args: list[Alert], **__: Any) -> None:
        assert name == "AlertWorkflow"
        self.alerts += start_signal_args

    def get_workflow_handle(self, workflow_id: str) -> "Handle":
        return Handle(self, workflow_id)


class Handle:
    def __init__(self, orders: Orders, workflow_id: str) -> None:
        self.orders, self.id = orders, workflow_id

    async def signal(self, name: str, argument: object, **_: object) -> None:
        self.orders.told.append((self.id, name, argument))


class Company:
    """One company's file, its reader, and a poller over it."""

    def __init__(self, database: Path, pair: Pair) -> None:
        self.rows = sqlite3.connect(database)
        for table in TABLES:
            self.rows.execute(f"DELETE FROM {table}")
        self.rows.commit()
        self.today = datetime.now(pair.company.zone).date()
        self.orders = Orders()
        self.reader = CountingReader(SecretStr(f"Driver=SQLite3;Database={database}"), pair.sage)
        self.reader.start_counting()
        self.cursor = PollCursor()
        self.polls = SagePollActivities(
            pair, self.reader, cast(Client, self.orders), lambda: datetime.now(pair.company.zone)
        )

    def order(self, number: str, order_id: str) -> None:
        add_order(self.rows, number, order_id, self.today)
        self.orders.open.append((order_id, number))

    def unposted(self, invoice_no: str, order: str, **columns: object) -> None:
        head = {"InvoiceNo": invoice_no, "SalesOrderNo": order, "InvoiceType": "IN", "OrderType": "S"}
        insert(self.rows, "SO_InvoiceHeader", {**head, "ShipStatus": "S", "InvoiceDate": str(self.today), **columns})
        line = {"InvoiceNo": invoice_no, "LineKey": "000001", "OrderLineKey": "000001", "ItemCode": "STAPLER"}
        insert(self.rows, "SO_InvoiceDetail", {**line, "ItemType": "1", "QuantityShipped": 1})

    def posted(self, invoice_no: str, order: str, **columns: object) -> None:
        head = {**old_invoice(0, self.today), "InvoiceNo": invoice_no, "SalesOrderNo": order, **columns}
        insert(self.rows, "AR_InvoiceHistoryHeader", head)
        insert(
            self.rows,
            "AR_InvoiceHistoryDetail",
            {**old_line(0), "InvoiceNo": invoice_no, "AppliedSalesOrderNo": order},
        )

    async def poll(self, times: int = 1) -> list[str]:
        """Who was told of which invoice."""
        self.rows.commit()
        before = len(self.orders.told)
        for _ in range(times):
            self.cursor = await self.polls.poll_once(self.cursor, PACE)
        return [
            f"{id_} {argument.invoice.InvoiceNo}" for id_, name, argument in self.orders.told[before:] if "ship" in name
        ]


@pytest.fixture(scope="module")
def pair() -> Pair:
    return load_pair(ROOT / "mappings/pairs/demo.yaml")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with running_sandbox(tmp_path_factory.mktemp("sandbox")) as sandbox:
        file = sandbox.database
    yield file


@pytest_asyncio.fixture
async def company(database: Path, pair: Pair) -> AsyncIterator[Company]:
    one = Company(database, pair)
    one.order("A000001", "1")
    one.order("A000002", "2")
    yield one
    await one.reader.close()
    one.rows.close()


ILL = "order-demo-1"
WELL = "order-demo-2"


def year_99999(company: Company) -> None:
    company.unposted("C1", "A000001", DateCreated="99999-01-01")


def time_that_is_no_number(company: Company) -> None:
    company.unposted("C1", "A000001", DateCreated=str(company.today), TimeCreated="NaN")


def ship_date_in_year_99999(company: Company) -> None:
    company.unposted("C1", "A000001", ShipDate="99999-01-01")


def amount_that_is_no_number(company: Company) -> None:
    company.unposted("C1", "A000001", FreightAmt="twelve")


def posted_with_an_impossible_date(company: Company) -> None:
    company.posted("C1", "A000001", ShipDate="99999-01-01")


def line_of_an_unknown_type(company: Company) -> None:
    company.posted("C1", "A000001")
    company.rows.execute("UPDATE SO_SalesOrderDetail SET ItemType = '7' WHERE SalesOrderNo = 'A000001'")


def quantity_that_is_no_number(company: Company) -> None:
    company.posted("C1", "A000001")
    company.rows.execute("UPDATE SO_SalesOrderDetail SET QuantityOrdered = 'abc' WHERE SalesOrderNo = 'A000001'")


@pytest.mark.parametrize(
    ("poison", "readable"),
    [
        (year_99999, True),
        (time_that_is_no_number, True),
        (ship_date_in_year_99999, False),
        (amount_that_is_no_number, False),
        (posted_with_an_impossible_date, False),
        (line_of_an_unknown_type, False),
        (quantity_that_is_no_number, False),
    ],
)
async def test_a_poisoned_row_costs_no_other_order_its_shipment(
    company: Company, poison: Callable[[Company], None], readable: bool, caplog: pytest.LogCaptureFixture
) -> None:
    poison(company)
    company.unposted("C2", "A000002")
    company.posted("C3", "A000002")
    told = await company.poll(3)
    assert {line for line in told if line.startswith(WELL)} == {f"{WELL} C2", f"{WELL} C3"}
    assert [line for line in told if line.startswith(ILL)] == ([f"{ILL} C1"] if readable else [])
    assert bool(company.cursor.unreadable) is not readable
    assert any(record.name == "alerts" for record in caplog.records) is not readable
    assert bool(company.orders.alerts) is not readable


async def test_a_poisoned_invoice_of_other_people_spoils_no_order_s_own_reading(company: Company) -> None:
    company.unposted("C1", "B000001", MultipleSalesOrdersApplied="Y", FreightAmt="twelve")
    company.unposted("C2", "B000001", MultipleSalesOrdersApplied="Y")
    company.rows.execute("UPDATE SO_InvoiceDetail SET AppliedSalesOrderNo = 'A000001' WHERE InvoiceNo = 'C2'")
    company.unposted("C3", "A000001")
    company.rows.commit()
    reading = await company.reader.order_reading("A000001")
    assert [invoice.InvoiceNo for invoice in reading.invoices] == ["C2", "C3"]


@pytest.mark.parametrize(
    ("hours", "time"),
    [
        ("8.49238", "08:29:32.568000"),
        ("08.50000", "08:30:00"),
        ("12", "12:00:00"),
        ("0", "00:00:00"),
        ("", "00:00:00"),
        (None, "00:00:00"),
        ("9.5     ", "09:30:00"),
        ("10.00000", "10:00:00"),
        (8.25, "08:15:00"),
        ("23.99999", "23:59:59.964000"),
        ("24.0", None),
        ("-1", None),
        ("8:30", None),
        ("8,5", None),
        ("NaN", None),
        ("Infinity", None),
    ],
)
def test_times_in_decimal_hours(hours: object, time: str | None) -> None:
    found = stamp("2026-11-01", hours)
    assert (found.time().isoformat() if found else None) == time


def test_dates_that_are_blank_are_no_stamps() -> None:
    assert [stamp(date, "8") for date in (None, "", "1753-01-01", "0000-00-00", "11/01/2026")] == [None] * 5


async def test_a_stamp_is_the_companys_time_wherever_the_worker_runs(company: Company, pair: Pair) -> None:
    """DateCreated and TimeCreated are of an hour ago in Chicago; the machine may be anywhere."""
    before = datetime.now(pair.company.zone) - timedelta(hours=1)
    hours = (before.hour * 3600 + before.minute * 60) / 3600
    company.unposted("C1", "A000001", DateCreated=str(before.date()), TimeCreated=f"{hours:.5f}")
    company.rows.commit()
    (head,) = await company.reader.unposted_invoices()
    assert 3500 <= company.polls._age(head) <= 3700


async def test_rows_at_the_edges_of_a_day_belong_to_it(company: Company) -> None:
    for number, days in (("C1", 0), ("C2", -1), ("C3", 1), ("C4", 7), ("C5", 400)):
        company.posted(number, "A000002", InvoiceDate=str(company.today - timedelta(days=days)))
    company.rows.commit()
    assert await company.reader.posted_on(company.today, "", 10) == ["C1"]
    assert await company.reader.posted_after(company.today, 10) == ["C2"]
    assert await company.reader.posted_on(company.today - timedelta(days=7), "", 10) == ["C4"]


async def test_a_day_is_read_page_by_page_and_a_number_used_twice_once(company: Company) -> None:
    for number in range(10):
        company.posted(f"C{number:06d}", "A000002")
    twice = {**old_invoice(0, company.today), "InvoiceNo": "C000003", "HeaderSeqNo": "000002"}
    insert(company.rows, "AR_InvoiceHistoryHeader", twice)
    company.rows.commit()
    found: list[str] = []
    while page := await company.reader.posted_on(company.today, found[-1] if found else "", 4):
        assert len(page) <= 4
        found += page
    assert found == [f"C{number:06d}" for number in range(10)]


async def test_a_poll_reads_as_much_in_a_full_company_as_in_an_empty_one(company: Company) -> None:
    """Counted, not timed: `make bench` measures the milliseconds at 1,000,000 rows."""
    company.unposted("C1", "A000001")
    await company.poll(12)

    async def cost() -> tuple[dict[str, int], dict[str, int]]:
        company.reader.start_counting()
        company.polls._memory.rotation_began = company.polls._memory.next_day = 0
        company.polls._memory.rotation.clear()
        await company.poll(8)
        return dict(company.reader.statements), dict(company.reader.rows_read)

    empty = await cost()
    old = company.today - timedelta(days=30)
    add_many(company.rows, "SO_SalesOrderHeader", (other_order(number, old) for number in range(3_000)))
    add_many(company.rows, "AR_InvoiceHistoryHeader", (old_invoice(number, old) for number in range(20_000)))
    add_many(company.rows, "AR_InvoiceHistoryDetail", (old_line(number) for number in range(20_000)))
    assert await cost() == empty


class DataError(Exception):
    """As the driver says it."""


DataError.__module__ = "pyodbc"


class Cursor:
    def execute(self, sql: str) -> None:
        raise DataError(sql, f"[{sql}] [Driver] the driver's words; PWD=hunter2")

    def cursor(self) -> "Cursor":
        return self

    def close(self) -> None:
        """Nothing."""


@pytest.mark.parametrize(
    ("state", "kind"),
    [("22007", UnreadableRow), ("22018", UnreadableRow), ("08S01", RetryLater), ("HYT00", RetryLater)],
)
async def test_a_driver_that_blames_a_value_is_no_outage(state: str, kind: type[Exception]) -> None:
    source = OdbcSource(Cursor, query_seconds=5)
    with pytest.raises(kind, match="driver's words") as raised:
        await source.run("x", lambda: source.rows(state, (), None))
    assert "hunter2" not in str(raised.value)
    await source.close()
