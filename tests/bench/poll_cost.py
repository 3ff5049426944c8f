"""What one poll without changes costs on an empty company and on a full one, through the real ODBC driver.

`python -m tests.bench.poll_cost [--orders 100000] [--ours 50] [--history 1000000] [--unposted 20] [--changes 1000]`.
The companies have the same unposted invoices and the same open orders of ours; the full one has other people's orders
and years of history beside them, the one between a tenth of that. Prints medians, their ratio, and the rows and
statements of one poll; then what ten shipments in one poll cost, and a thousand (of a company of its own).
Exit status 1 when a statement of a poll reads a table from end to end that it should not.
"""

import argparse
import asyncio
import sqlite3
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

from pydantic import SecretStr
from temporalio.client import Client

from activities.sage_poll import SagePollActivities
from connectors.sage100.odbc import Row, SageReader
from connectors.sage100.queries import Statement
from contracts.messages import PollCursor
from mappings.pair import Pace, load_pair
from tests.bench.figures import Figures
from tests.support.processes import ROOT
from tests.support.sandbox import running_sandbox

BATCH = 20_000
WARM_UP = 60
MEASURED = 120
YEARS = 5
MAY_SCAN = {"unposted_invoices"}
FEW_POLLS = 9


class CountingReader(SageReader):
    """The real reader, which also counts statements and rows, and keeps each statement for its query plan."""

    statements: Counter[str]
    rows_read: Counter[str]
    used: dict[str, tuple[Statement, tuple[object, ...]]]

    def start_counting(self) -> None:
        """From zero."""
        self.statements, self.rows_read, self.used = Counter(), Counter(), {}

    def _rows(self, statement: Statement, *parameters: object, limit: int | None = None) -> list[Row]:
        rows = super()._rows(statement, *parameters, limit=limit)
        if statement.name != "explain":
            self.statements[statement.name] += 1
            self.rows_read[statement.name] += len(rows)
            self.used.setdefault(statement.name, (statement, parameters))
        return rows


class Listed:
    """One entry of a listing."""

    def __init__(self, order_id: str, number: str) -> None:
        self.id = f"order-demo-{order_id}"
        self.typed_search_attributes = self
        self.number = number

    def get(self, _: object) -> str:
        """The SalesOrderNo."""
        return self.number


class StandInClient:
    """Stands in for Temporal: lists our orders and takes signals. The measurement is about Sage."""

    def __init__(self, ours: Sequence[tuple[str, str]]) -> None:
        self.ours = ours
        self.signals = 0

    async def list_workflows(self, query: str, page_size: int = 0, limit: int = 0) -> AsyncIterator[Listed]:
        """Our open orders; none is held for stock."""
        for order_id, number in [] if "HoldReason" in query else self.ours:
            yield Listed(order_id, number)

    def get_workflow_handle(self, _: str) -> "StandInClient":
        """Any order."""
        return self

    async def signal(self, *_: object, **__: object) -> None:
        """Counted."""
        self.signals += 1


def fill(database: Path, *, orders: int, ours: int, history: int, unposted: int) -> list[tuple[str, str]]:
    """Put a company's rows into the sandbox's file; returns (web order id, SalesOrderNo) of ours."""
    today = datetime.now(ZoneInfo("America/Chicago")).date()
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA synchronous=OFF")
    mine = [(f"b{number}", f"A{number:06d}") for number in range(ours)]
    for order_id, sales_order_no in mine:
        add_order(connection, sales_order_no, order_id, today)
    add_many(connection, "SO_SalesOrderHeader", (other_order(number, today) for number in range(orders)))
    add_many(connection, "SO_SalesOrderDetail", (other_line(number) for number in range(orders)))
    add_many(connection, "AR_InvoiceHistoryHeader", (old_invoice(number, today) for number in range(history)))
    add_many(connection, "AR_InvoiceHistoryDetail", (old_line(number) for number in range(history)))
    for number in range(unposted):
        # Half of them are ours, none is ready: people have only keyed the header and the lines.
        sales_order_no = mine[number % ours][1] if number % 2 else f"B{number:06d}"
        if not number % 2:
            add_order(connection, sales_order_no, "", today)
        header = {"InvoiceNo": f"C{number:06d}", "InvoiceType": "IN", "OrderType": "S", "ShipStatus": "N"}
        insert(connection, "SO_InvoiceHeader", {**header, "SalesOrderNo": sales_order_no, "InvoiceDate": str(today)})
        line = {"InvoiceNo": f"C{number:06d}", "LineKey": "000001", "OrderLineKey": "000001", "ItemType": "1"}
        insert(connection, "SO_InvoiceDetail", {**line, "AppliedSalesOrderNo": sales_order_no, "ItemCode": "STAPLER"})
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return mine


def add_order(connection: sqlite3.Connection, number: str, order_id: str, today: date) -> None:
    """A live order with one line, in history too."""
    header = {"SalesOrderNo": number, "OrderDate": str(today), "OrderStatus": "N", "UDF_WEB_ORDER_ID": order_id}
    insert(connection, "SO_SalesOrderHeader", {**header, "OrderType": "S"})
    insert(connection, "SO_SalesOrderHistoryHeader", {**header, "OrderStatus": "A"})
    line = {"SalesOrderNo": number, "LineKey": "000001", "ItemCode": "STAPLER", "ItemType": "1"}
    insert(connection, "SO_SalesOrderDetail", {**line, "QuantityOrdered": 1, "UnitOfMeasureConvFactor": 1})
    past = {"SequenceNo": "00000000000001", "QuantityOrderedOriginal": 1, "UnitOfMeasureConvFactor": 1}
    insert(connection, "SO_SalesOrderHistoryDetail", {**line, **past})


def other_order(number: int, today: date) -> dict[str, object]:
    return {
        "SalesOrderNo": f"{number:07d}",
        "OrderDate": str(today),
        "OrderStatus": "O",
        "OrderType": "S",
        "CustomerPONo": f"PHONE-{number}",
        "ARDivisionNo": "01",
        "CustomerNo": "ABF",
    }


def other_line(number: int) -> dict[str, object]:
    return {
        "SalesOrderNo": f"{number:07d}",
        "LineKey": "000001",
        "ItemCode": "STAPLER",
        "ItemType": "1",
        "QuantityOrdered": 3,
    }


def old_invoice(number: int, today: date) -> dict[str, object]:
    """Spread evenly over the years, until today."""
    return {
        "InvoiceNo": f"{number:07d}",
        "HeaderSeqNo": "000001",
        "ModuleCode": "S/O",
        "InvoiceType": "IN",
        "OrderType": "S",
        "SalesOrderNo": f"{number % 9_999_999:07d}",
        "InvoiceDate": str(today - timedelta(days=number % (365 * YEARS))),
    }


def old_line(number: int) -> dict[str, object]:
    return {
        "InvoiceNo": f"{number:07d}",
        "HeaderSeqNo": "000001",
        "DetailSeqNo": "000001",
        "ItemCode": "STAPLER",
        "ItemType": "1",
        "AppliedSalesOrderNo": f"{number % 9_999_999:07d}",
        "QuantityShipped": 1,
    }


def insert(connection: sqlite3.Connection, table: str, row: dict[str, object]) -> None:
    add_many(connection, table, iter([row]))


def add_many(connection: sqlite3.Connection, table: str, rows: Any) -> None:
    """Insert rows of equal shape; columns that are not given are empty."""
    batch: list[dict[str, object]] = []
    columns = [str(row[1]) for row in connection.execute(f"PRAGMA table_info({table})")]
    kinds = {str(row[1]): str(row[2]) for row in connection.execute(f"PRAGMA table_info({table})")}
    empty = {name: None if kind == "DATE" else 0 if kind.startswith("DEC") else "" for name, kind in kinds.items()}

    def write() -> None:
        if batch:
            marks = ", ".join("?" for _ in columns)
            sql = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"
            connection.executemany(sql, [[row.get(name, empty[name]) for name in columns] for row in batch])
            batch.clear()

    for row in rows:
        batch.append(row)
        if len(batch) >= BATCH:
            write()
    write()


def ship(database: Path, numbers: Sequence[str], prefix: str) -> None:
    """The warehouse ships what these orders have, an invoice for each."""
    today = str(datetime.now(ZoneInfo("America/Chicago")).date())
    connection = sqlite3.connect(database, timeout=60)
    for place, sales_order_no in enumerate(numbers):
        number = f"{prefix}{place:06d}"
        header = {"InvoiceNo": number, "InvoiceType": "IN", "OrderType": "S", "ShipStatus": "S", "InvoiceDate": today}
        insert(connection, "SO_InvoiceHeader", {**header, "SalesOrderNo": sales_order_no})
        line = {"InvoiceNo": number, "LineKey": "000001", "OrderLineKey": "000001", "ItemType": "1"}
        shipped = {"AppliedSalesOrderNo": sales_order_no, "ItemCode": "STAPLER", "QuantityShipped": 1}
        insert(connection, "SO_InvoiceDetail", {**line, **shipped, "UnitOfMeasureConvFactor": 1})
    connection.commit()
    connection.close()


async def measure_changes(database: Path, ours: Sequence[tuple[str, str]], few: int) -> tuple[float, float]:
    """Milliseconds that a shipment adds to its poll, of `few` in one poll (median of some polls), and of all others."""
    pair = load_pair(ROOT / "mappings/pairs/demo.yaml")
    reader = SageReader(SecretStr(f"Driver=SQLite3;Database={database}"), pair.sage)
    client = StandInClient(ours)
    polls = SagePollActivities(pair, reader, cast(Client, client), lambda: datetime.now(pair.company.zone))
    pace, cursor = Pace(), PollCursor(polled_on=datetime.now(UTC).date().isoformat())
    for _ in range(WARM_UP):
        cursor = await polls.poll_once(cursor, pace)
    numbers = [number for _, number in ours]

    async def poll(shipped: Sequence[str], prefix: str) -> float:
        """What the poll that sees these shipments costs more than the one before it."""
        nonlocal cursor
        before, times = client.signals, []
        for wanted in ((), shipped):
            ship(database, wanted, prefix)
            began = time.perf_counter()
            cursor = await polls.poll_once(cursor, pace)
            times.append((time.perf_counter() - began) * 1000)
        assert client.signals - before == len(shipped), "each shipment is told once, in its first poll"
        return times[1] - times[0]

    costs = [await poll(numbers[place * few : (place + 1) * few], f"D{place}") for place in range(FEW_POLLS)]
    rest = numbers[FEW_POLLS * few :]
    many = await poll(rest, "E")
    await reader.close()
    return statistics.median(costs) / few, many / len(rest)


async def measure(database: Path, ours: Sequence[tuple[str, str]]) -> tuple[list[float], CountingReader, list[str]]:
    """Milliseconds of polls without changes, the reader with its counts per poll, and the bad query plans."""
    pair = load_pair(ROOT / "mappings/pairs/demo.yaml")
    reader = CountingReader(SecretStr(f"Driver=SQLite3;Database={database}"), pair.sage)
    reader.start_counting()
    client = StandInClient(ours)
    polls = SagePollActivities(pair, reader, cast(Client, client), lambda: datetime.now(pair.company.zone))
    pace, cursor = Pace(), PollCursor(polled_on=datetime.now(UTC).date().isoformat())
    for _ in range(WARM_UP):
        cursor = await polls.poll_once(cursor, pace)
    reader.start_counting()
    sent, times = client.signals, []
    for _ in range(MEASURED):
        polls._memory.rotation_began = min(polls._memory.rotation_began, time.monotonic() - pace.rotation)
        began = time.perf_counter()
        cursor = await polls.poll_once(cursor, pace)
        times.append((time.perf_counter() - began) * 1000)
    assert client.signals == sent, "a poll without changes sends nothing"
    scans = []
    for name, (statement, parameters) in reader.used.items():
        plan = await reader.explain(statement, parameters)
        if name not in MAY_SCAN and any(not step.startswith("SEARCH") for step in plan):
            scans.append(f"{name}: {plan}")
    await reader.close()
    return times, reader, scans


@dataclass(frozen=True)
class Sizes:
    """Of the full company: other people's open orders, rows of history. Of both: our open orders, unposted invoices."""

    orders: int = 100_000
    history: int = 1_000_000
    ours: int = 50
    unposted: int = 20
    changes: int = 1_000
    """Shipments in one poll; ten in others."""
    rounds: int = 5
    """Times that is measured, each in a company of its own; of the ratios the median counts."""


async def measure_companies(sizes: Sizes, figures: Figures) -> int:
    """The companies, and the figures; exit status 1 when a poll reads a table from end to end."""
    medians, status = {}, 0
    tenth = ("tenth", sizes.orders // 10, sizes.history // 10)
    for name, orders, history in (("empty", 0, 0), tenth, ("full", sizes.orders, sizes.history)):
        with tempfile.TemporaryDirectory() as folder:
            with running_sandbox(Path(folder)) as sandbox:
                database = sandbox.database
            ours = fill(database, orders=orders, ours=sizes.ours, history=history, unposted=sizes.unposted)
            times, reader, scans = await measure(database, ours)
        medians[name] = statistics.median(times)
        statements = sum(reader.statements.values()) / MEASURED
        rows = sum(reader.rows_read.values()) / MEASURED
        print(
            f"{name:5}: {orders} other open orders, {history} history rows: median {medians[name]:.2f} ms a poll, "
            f"{statements:.1f} statements, {rows:.1f} rows"
        )
        for scan in scans:
            print(f"  reads a table from end to end: {scan}")
            status = 1
    ratio = medians["full"] / medians["empty"]
    for name, history in (("empty", 0), ("tenth", sizes.history // 10), ("full", sizes.history)):
        figures.add(f"poll_{name}_ms", medians[name], f"a poll without changes, {history:,} rows of history, ms")
    figures.add("poll_ratio", ratio, "a poll of a full company against one of an empty company", 1.25, at_most=True)
    few = min(sizes.changes, 10)
    rounds = []
    for _ in range(sizes.rounds):
        with tempfile.TemporaryDirectory() as folder:
            with running_sandbox(Path(folder)) as sandbox:
                database = sandbox.database
            ours = fill(database, orders=0, ours=sizes.changes + FEW_POLLS * few, history=0, unposted=0)
            rounds.append(await measure_changes(database, ours, few))
    each = [statistics.median(costs) for costs in zip(*rounds, strict=True)]
    figures.add("poll_few_ms_each", each[0], f"{few} shipments in one poll, ms for each")
    figures.add("poll_many_ms_each", each[1], f"{sizes.changes:,} shipments in one poll, ms for each")
    ratio = statistics.median(many / one for one, many in rounds)
    figures.add("poll_linear", ratio, "a shipment among many in a poll against one among few", 1.25, at_most=True)
    return status


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for field in fields(Sizes):
        parser.add_argument(f"--{field.name}", type=int, default=field.default)
    sys.exit(asyncio.run(measure_companies(Sizes(**vars(parser.parse_args())), Figures())))
