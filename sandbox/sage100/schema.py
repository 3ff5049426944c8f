"""Sage's tables in SQLite, from `tables.txt`: names, lengths and keys as Sage has them.

Out: `TABLES`, and a database with indexes exactly where Sage has keys. Amounts are declared DECIMAL, so that ODBC gives
them as text; dates DATE; text VARCHAR(n), so that SQLColumns tells the lengths.
"""

import sqlite3
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

WEB_ORDER_TABLES = ("SO_SalesOrderHeader", "SO_SalesOrderHistoryHeader")
DEFAULTS: dict[str, Any] = {"C": "", "N": 0, "D": None, "T": ""}


@dataclass
class Table:
    """One table: columns in order with their type letter, length or scale."""

    name: str
    primary_key: tuple[str, ...] = ()
    keys: list[tuple[str, ...]] = field(default_factory=list)
    columns: dict[str, str] = field(default_factory=dict)

    def length(self, column: str) -> int | None:
        """Characters of a text column; None for others."""
        kind = self.columns[column]
        return int(kind[1:]) if kind[0] == "C" else None

    def decimals(self, column: str) -> int | None:
        """Decimals of an amount; None for others."""
        kind = self.columns[column]
        return int(kind.partition(".")[2] or 0) if kind[0] == "N" else None

    def row(self, **values: Any) -> dict[str, Any]:
        """A whole row: Sage has empty text and zeros, not NULL (dates excepted)."""
        unknown = set(values) - set(self.columns)
        if unknown:
            raise KeyError(f"{self.name} has no column {sorted(unknown)}")
        return {name: values.get(name, DEFAULTS[kind[0]]) for name, kind in self.columns.items()}


def read_tables() -> dict[str, Table]:
    """All tables by name."""
    tables: dict[str, Table] = {}
    current = Table("")
    for line in files("sandbox.sage100").joinpath("tables.txt").read_text(encoding="utf-8").splitlines():
        word, _, rest = line.partition(" ")
        if word == "TABLE":
            current = tables.setdefault(rest, Table(rest))
        elif word == "PK":
            current.primary_key = tuple(rest.split("+"))
        elif word == "KEY":
            current.keys.append(tuple(rest.split("+")))
        elif word == "COLUMNS":
            for column in rest.rstrip(",").split(", "):
                name, _, kind = column.partition(":")
                current.columns[name] = kind
    return tables


TABLES = read_tables()


def sql_type(kind: str) -> str:
    """`C30` → VARCHAR(30), `N12.2` → DECIMAL(12,2), `D` → DATE."""
    if kind == "TEXT":
        return "TEXT NOT NULL"
    if kind == "D":
        return "DATE"
    if kind[0] == "C":
        return f"VARCHAR({kind[1:]}) NOT NULL"
    return f"DECIMAL({kind[1:].replace('.', ',')}) NOT NULL"


def create_tables(connection: sqlite3.Connection) -> None:
    """Create what is missing."""
    for table in TABLES.values():
        columns = ", ".join(f'"{name}" {sql_type(kind)}' for name, kind in table.columns.items())
        key = ", ".join(table.primary_key)
        connection.execute(f'CREATE TABLE IF NOT EXISTS "{table.name}" ({columns}, PRIMARY KEY ({key}))')
        # A file from before the table got a column: what it has stays.
        known = {row[1] for row in connection.execute(f'PRAGMA table_info("{table.name}")')}
        for name, kind in table.columns.items():
            if name not in known:
                default = "" if kind == "D" else " DEFAULT 0" if kind[0] == "N" else " DEFAULT ''"
                connection.execute(f'ALTER TABLE "{table.name}" ADD COLUMN "{name}" {sql_type(kind)}{default}')
        for number, key_columns in enumerate(table.keys, start=1):
            connection.execute(
                f'CREATE INDEX IF NOT EXISTS "{table.name}_KEY{number}" ON "{table.name}" ({", ".join(key_columns)})'
            )
    connection.execute("CREATE TABLE IF NOT EXISTS SANDBOX_STATE (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS SANDBOX_WEB_ORDER (UDF_WEB_ORDER_ID TEXT, SalesOrderNo TEXT, "
        "PRIMARY KEY (UDF_WEB_ORDER_ID, SalesOrderNo)) WITHOUT ROWID"
    )
    # The gateway finds orders by web order id as quickly as a real one; Sage's own tables have no key for it, so that
    # ODBC readers search them all.
    for name in WEB_ORDER_TABLES:
        connection.execute(
            f"INSERT OR IGNORE INTO SANDBOX_WEB_ORDER SELECT UDF_WEB_ORDER_ID, SalesOrderNo FROM {name} "  # noqa: S608
            "WHERE UDF_WEB_ORDER_ID <> ''"
        )
        for event in ("INSERT", "UPDATE OF UDF_WEB_ORDER_ID"):
            connection.execute(
                f"CREATE TRIGGER IF NOT EXISTS SANDBOX_{name}_{event[:6]} AFTER {event} ON {name} "  # noqa: S608
                "WHEN new.UDF_WEB_ORDER_ID <> '' BEGIN INSERT OR IGNORE INTO SANDBOX_WEB_ORDER "
                "VALUES (new.UDF_WEB_ORDER_ID, new.SalesOrderNo); END"
            )
