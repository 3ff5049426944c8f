"""Looking at an ODBC source before anything works with it: the driver, the tables, the columns and their lengths.

In: a connection string. Out: what is there; nothing is written, no row is read. Raises `DriverUnusable` with the
remedy, and RetryLater as every reading does.
"""

import contextlib
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from connectors.errors import quoted
from connectors.sage100 import queries
from connectors.sage100.driver import OdbcDriverMissing, import_pyodbc, parts_of, sqlite_driver
from connectors.sage100.odbc import open_connection
from connectors.sage100.queries import TableUse
from connectors.sage100.session import OdbcSource

LOOK_SECONDS: Final = 12.0
PYTHON_BITS: Final = struct.calcsize("P") * 8
WRONG_BITNESS: Final = ("im014", "elf class", "architecture", "not a valid win32")
"""What driver managers say of a driver of the other bitness; IM014 is Windows'."""
LOST: Final = "08"
"""Class of the SQLSTATEs of a lost connection."""
PE_HEADER_AT: Final = 0x3C
PE_BITS: Final = {0x014C: 32, 0x8664: 64, 0xAA64: 64}
"""IMAGE_FILE_HEADER.Machine."""
ELF_BITS: Final = {1: 32, 2: 64}
"""e_ident[EI_CLASS]."""


class DriverUnusable(Exception):
    """The driver cannot be used; `str()` says why, `remedy` what to do."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.remedy = remedy


@dataclass
class TableSeen:
    """One table as the driver describes it."""

    lengths: dict[str, int] = field(default_factory=dict)
    """Column → size: characters, of text."""
    problem: str = ""
    """Why it could not be read, in the driver's words."""


@dataclass
class SourceSeen:
    """One ODBC source."""

    driver: str
    server: str
    read_only: bool | None
    """Whether writing is refused; None when the driver does not say so."""
    tables: dict[str, TableSeen]


def secrets_of(connection_string: str) -> list[str]:
    """What must not stand in a message: passwords."""
    parts = parts_of(connection_string)
    return [parts[name] for name in ("pwd", "password") if parts.get(name)]


def look_for_driver(connection_string: SecretStr) -> str:
    """What the connection string names, in words: a driver that can be used from this Python, or a data source.

    Raises DriverUnusable.
    """
    parts = parts_of(connection_string.get_secret_value())
    try:
        pyodbc = import_pyodbc()
    except OdbcDriverMissing as error:
        raise DriverUnusable("there is no ODBC driver manager", str(error)) from None
    python = f"Python of {PYTHON_BITS} bits"
    if source := parts.get("dsn"):
        known = pyodbc.dataSources()
        if source.casefold() not in {name.casefold() for name in known}:
            raise DriverUnusable(
                f"there is no data source {source!r} for a {python}; there are: {_list(known)}",
                f"Make it as a system data source of {PYTHON_BITS} bits, or name the driver (Driver={{…}};…).",
            )
        return f"data source {source} ({known.get(source, 'driver unknown')}), {python}"
    driver = parts.get("driver", "")
    if not driver:
        raise DriverUnusable("it names neither a driver nor a data source", "Begin it with Driver={…}; or DSN=…;.")
    if driver.casefold() in ("sqlite3", "sqlite"):
        try:
            return _file(sqlite_driver())
        except OdbcDriverMissing as error:
            raise DriverUnusable("the SQLite driver of the sandbox is not here", str(error)) from None
    if "/" in driver or driver.casefold().endswith(".dll"):
        return _file(Path(driver))
    installed = pyodbc.drivers()
    if driver.casefold() not in {name.casefold() for name in installed}:
        raise DriverUnusable(
            f"the driver {driver!r} is not installed for a {python}; installed: {_list(installed)}",
            "Install it, spelt as it is in the list. Drivers of 32 and of 64 bits are lists of their own: Python must "
            "have the bits of the driver.",
        )
    return f"{driver}, {python}"


def _list(names: Any) -> str:
    return ", ".join(sorted(names)) or "none"


def _file(file: Path) -> str:
    try:
        bits = bits_of(file)
    except OSError as error:
        raise DriverUnusable(
            f"the driver {file} cannot be read ({error.strerror})", "Correct Driver=, or install the driver there."
        ) from None
    if bits is not None and bits != PYTHON_BITS:
        raise DriverUnusable(
            f"the driver {file.name} has {bits} bits, and this Python {PYTHON_BITS}",
            f"Install the driver of {PYTHON_BITS} bits, or run the Sage worker with a Python of {bits} bits.",
        )
    return f"{file.name}, Python of {PYTHON_BITS} bits"


def bits_of(file: Path) -> int | None:
    """32 or 64 by the head of a library (ELF, PE); None for other kinds. Raises OSError."""
    with file.open("rb") as opened:
        head = opened.read(PE_HEADER_AT + 4)
        if head.startswith(b"\x7fELF") and len(head) > 4:
            return ELF_BITS.get(head[4])
        if head.startswith(b"MZ") and len(head) == PE_HEADER_AT + 4:
            opened.seek(int.from_bytes(head[PE_HEADER_AT:], "little"))
            found = opened.read(6)
            return PE_BITS.get(int.from_bytes(found[4:6], "little")) if found.startswith(b"PE\0\0") else None
    return None


def is_wrong_bitness(message: str) -> bool:
    """Whether a driver manager's message says that driver and program differ in bitness."""
    return any(words in message.casefold() for words in WRONG_BITNESS)


class Inspection:
    """One source; `close` it after use. `connect` makes the connection, `look` describes the source by it."""

    def __init__(self, connection_string: SecretStr, *, seconds: float = LOOK_SECONDS) -> None:
        self._text = connection_string.get_secret_value()
        self._source = OdbcSource(
            partial(open_connection, connection_string, math.ceil(seconds)), query_seconds=seconds
        )

    async def close(self) -> None:
        """Close the connection and its thread."""
        await self._source.close()

    async def connect(self) -> None:
        """Make the connection; raises RetryLater with the driver's words."""
        await self._source.run("connect", self._source.connection)

    async def look(self, tables: Mapping[str, TableUse]) -> SourceSeen:
        """Driver, server, and every table; one that cannot be read is a finding, a lost connection raises."""

        def read() -> SourceSeen:
            pyodbc, connection = import_pyodbc(), self._source.connection()

            def told(name: str) -> str:
                with contextlib.suppress(Exception):
                    return str(connection.getinfo(getattr(pyodbc, name))).strip()
                return ""

            return SourceSeen(
                driver=f"{told('SQL_DRIVER_NAME')} {told('SQL_DRIVER_VER')}".strip(),
                server=f"{told('SQL_DBMS_NAME')} {told('SQL_DBMS_VER')}".strip(),
                # The sandbox's file is opened so that SQLite refuses every write, whatever its driver tells.
                read_only=True if self._is_sqlite else told("SQL_DATA_SOURCE_READ_ONLY") in ("True", "Y") or None,
                tables={table: self._table(connection, table, use.key) for table, use in tables.items()},
            )

        return await self._source.run("look", read)

    @property
    def _is_sqlite(self) -> bool:
        return parts_of(self._text).get("driver", "").casefold() in ("sqlite3", "sqlite")

    def _table(self, connection: Any, table: str, key: str) -> TableSeen:
        cursor = connection.cursor()
        try:
            cursor.execute(queries.look_at(table, key))
            return TableSeen({str(column[0]): int(column[3] or 0) for column in cursor.description})
        except Exception as error:
            if type(error).__module__ != "pyodbc" or str(error.args[0] if error.args else "").startswith(LOST):
                raise
            return TableSeen(problem=quoted(str(error), secrets_of(self._text)))
        finally:
            cursor.close()
