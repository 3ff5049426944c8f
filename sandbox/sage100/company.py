"""Company ABC: its database, clock, number counters, and the one writer at a time.

In: a path. Out: transactions on Sage's tables. The integration reads the same file through ODBC from other processes;
only this process writes.
"""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from sandbox.sage100.schema import TABLES, create_tables

Row = dict[str, Any]


def to_decimal(value: object) -> Decimal:
    """An exact Decimal from what SQLite keeps."""
    return Decimal(str(value)) if value not in (None, "") else Decimal(0)


def cents(value: Decimal) -> Decimal:
    """Two decimals, halves away from zero."""
    return value.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)


class Refusal(Exception):
    """Sage says no: HTTP status, code, Sage's own wording, and the column."""

    def __init__(self, status: int, code: str, message: str, column: str = "", retry_after: int | None = None) -> None:
        self.status = status
        self.code = code
        self.message = message
        self.column = column
        self.retry_after = retry_after
        super().__init__(message)


class Company:
    """The company's books."""

    def __init__(self, database: Path) -> None:
        database.parent.mkdir(parents=True, exist_ok=True)
        seed = yaml.safe_load(files("sandbox.sage100").joinpath("company_abc.yaml").read_text(encoding="utf-8"))
        self.facts: dict[str, Any] = seed["company"]
        self.kits: dict[str, list[Row]] = seed["kits"]
        self.zone = ZoneInfo(self.facts["time_zone"])
        self.price_decimals = int(self.facts["price_decimals"])
        self.quantity_decimals = int(self.facts["quantity_decimals"])
        self._lock = threading.RLock()
        self._states: dict[str, str | None] = {}
        """What `state` has read: only this process writes."""
        # A reader's fault on demand may lock the file for a while: this side waits.
        self._connection = sqlite3.connect(
            database, check_same_thread=False, isolation_level=None, timeout=120, cached_statements=1024
        )
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        with self.transaction():
            create_tables(self._connection)
            if self.state("seeded") != "yes":
                self._seed(seed)
                self.set_state("seeded", "yes")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    # ---- transactions and rows ------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; writers in this process wait for each other."""
        with self._lock:
            if self._connection.in_transaction:
                yield
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                self._states.clear()
                raise
            self._connection.execute("COMMIT")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nothing else of this process touches the books meanwhile."""
        with self._lock:
            yield

    def rows(self, sql: str, *parameters: object) -> list[Row]:
        """Rows of a SELECT as dictionaries."""
        with self._lock:
            return [dict(row) for row in self._connection.execute(sql, parameters).fetchall()]

    def find(self, table: str, **key: object) -> Row | None:
        """The first row with these values."""
        found = self.select(table, **key)
        return found[0] if found else None

    def select(self, table: str, **key: object) -> list[Row]:
        """All rows with these values, in primary-key order."""
        where = " AND ".join(f'"{name}" = ?' for name in key)
        order = ", ".join(TABLES[table].primary_key)
        return self.rows(
            f'SELECT * FROM "{table}"' + (f" WHERE {where}" if where else "") + f" ORDER BY {order}",  # noqa: S608
            *key.values(),
        )

    def insert(self, table: str, **values: object) -> Row:
        """Insert a row; columns that are not given are empty or zero."""
        row = TABLES[table].row(**values)
        names = ", ".join(f'"{name}"' for name in row)
        marks = ", ".join("?" for _ in row)
        with self._lock:
            self._connection.execute(
                f'INSERT INTO "{table}" ({names}) VALUES ({marks})',  # noqa: S608
                [plain(value) for value in row.values()],
            )
        return row

    def update(self, table: str, key: Row, **values: object) -> None:
        """Change columns of the row with this key."""
        sets = ", ".join(f'"{name}" = ?' for name in values)
        where = " AND ".join(f'"{name}" = ?' for name in key)
        with self._lock:
            self._connection.execute(
                f'UPDATE "{table}" SET {sets} WHERE {where}',  # noqa: S608
                [*(plain(value) for value in values.values()), *key.values()],
            )

    def delete(self, table: str, **key: object) -> None:
        """Remove the rows with these values."""
        where = " AND ".join(f'"{name}" = ?' for name in key)
        with self._lock:
            self._connection.execute(f'DELETE FROM "{table}" WHERE {where}', list(key.values()))  # noqa: S608

    # ---- clock and numbers ----------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """Sage's clock, in the company's time zone; may be shifted from the real one."""
        shift = timedelta(seconds=float(self.state("clock_shift") or 0))
        return (datetime.now(UTC) + shift).astimezone(self.zone)

    def today(self) -> date:
        """The company's date."""
        return self.now().date()

    def shift_clock(self, seconds: float) -> None:
        """Set Sage's clock to the real one plus this."""
        self.set_state("clock_shift", repr(seconds))

    def created(self) -> Row:
        """Stamps of a new row: date, and the time as decimal hours in text ("8.49238" = 08:29:32)."""
        stamp = self.updated()
        return {"DateCreated": stamp["DateUpdated"], "TimeCreated": stamp["TimeUpdated"], **stamp}

    def updated(self) -> Row:
        """Stamps of a changed row."""
        now = self.now()
        hours = Decimal(now.hour * 3600 + now.minute * 60 + now.second) / 3600
        return {"DateUpdated": now.date().isoformat(), "TimeUpdated": f"{hours:.5f}"}

    def next_number(self, counter: str) -> int:
        """Hand out a number; never the same twice, whether used or not."""
        with self.transaction():
            value = int(self.state(counter) or self.facts[counter])
            self.set_state(counter, str(value + 1))
            return value

    def switch(self, name: str) -> str:
        """One of the company's options: as set by `/_control/company`, else as the company file has it."""
        return self.state(f"option_{name}") or str(self.facts[name])

    def state(self, name: str) -> str | None:
        """A value of the sandbox's own."""
        with self._lock:
            if name not in self._states:
                rows = self.rows("SELECT value FROM SANDBOX_STATE WHERE name = ?", name)
                self._states[name] = str(rows[0]["value"]) if rows else None
            return self._states[name]

    def set_state(self, name: str, value: str) -> None:
        """Keep a value of the sandbox's own."""
        with self._lock:
            self._connection.execute("REPLACE INTO SANDBOX_STATE (name, value) VALUES (?, ?)", (name, value))
            self._states[name] = value

    # ---- seed -----------------------------------------------------------------------------------------------------

    def _seed(self, seed: dict[str, Any]) -> None:
        stamps = self.created()
        for table in (name for name in seed if name in TABLES):
            for values in seed[table]:
                own = {name: value for name, value in stamps.items() if name in TABLES[table].columns}
                self.insert(table, **{**own, **DEFAULT_VALUES.get(table, {}), **values})
        for kit, components in self.kits.items():
            self.insert("IM_SalesKitHeader", SalesKitNo=kit, **stamps)
            for number, component in enumerate(components, start=1):
                self.insert(
                    "IM_SalesKitDetail",
                    SalesKitNo=kit,
                    LineKey=f"{number:06d}",
                    LineSeqNo=f"{number:014d}",
                    ItemType="1",
                    ComponentItemCode=component["ItemCode"],
                    QuantityPerAssembly=component["QuantityPerBill"],
                )
        for item in seed["CI_Item"]:
            if item.get("ItemType", "1") == "1" and item["ItemCode"] not in self.kits:
                quantities = seed["stock"].get(item["ItemCode"], seed["default_stock"])
                self._stock(item["ItemCode"], seed["warehouses"], quantities, stamps)

    def _stock(self, item_code: str, warehouses: Sequence[str], quantities: Sequence[int], stamps: Row) -> None:
        for warehouse, quantity in zip(warehouses, quantities, strict=True):
            self.insert(
                "IM_ItemWarehouse", ItemCode=item_code, WarehouseCode=warehouse, QuantityOnHand=quantity, **stamps
            )
        self.update("CI_Item", {"ItemCode": item_code}, TotalQuantityOnHand=sum(quantities))


DEFAULT_VALUES: dict[str, Row] = {
    "CI_Item": {
        "ItemType": "1",
        "TaxClass": "TX",
        "StandardUnitOfMeasure": "EACH",
        "SalesUnitOfMeasure": "EACH",
        "PurchaseUnitOfMeasure": "EACH",
        "SalesUMConvFctr": 1,
        "DefaultWarehouseCode": "000",
        "AllowBackOrders": "Y",
        "InactiveItem": "N",
        "UseInSO": "Y",
    },
    "AR_Customer": {
        "CountryCode": "USA",
        "CustomerStatus": "A",
        "TermsCode": "00",
        "CreditHold": "N",
        "TemporaryCustomer": "N",
        "CustomerType": "WEB",
    },
}


def plain(value: object) -> object:
    """What SQLite stores."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.isoformat() if isinstance(value, date) else value
