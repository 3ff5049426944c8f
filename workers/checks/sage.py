"""Sage, as the workers of the role `sage` will meet it: the ODBC source and the gateway.

In: a pair and its settings. Out: results. Reads only: no row is fetched, no number is reserved; a preview of an empty
order writes nothing by contract.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from connectors.errors import ConnectorError, Refused, RetryLater, SignedOut, quoted
from connectors.http import Listener
from connectors.sage100.gateway import VERSION_HEADER, SageGateway, SageGatewaySettings
from connectors.sage100.inspection import (
    PYTHON_BITS,
    DriverUnusable,
    Inspection,
    TableSeen,
    is_wrong_bitness,
    look_for_driver,
    secrets_of,
)
from connectors.sage100.queries import TableUse, tables_used
from mappings.pair import GatewayAuth, Pair
from mappings.sage_columns import LENGTHS, SageTable, is_own_column
from mappings.sales_order import CustomerKey
from workers.checks.results import Group, Trouble, clock_result
from workers.production import may_write
from workers.settings import PairSettings

ODBC_CHECKS: Final = ("driver", "connection", "tables", "columns", "links", "lengths", "read_only")
GATEWAY_CHECKS: Final = ("reachable", "signs_in", "company", "routes", "preview", "version", "clock")
LINK_CHARACTERS: Final = 64
"""Of an order's id at the longest (contracts.ids)."""
MOST_NAMED: Final = 6
CLOCK_SECONDS: Final = 300.0
NOBODY, NOTHING, NO_ORDER = CustomerKey(ARDivisionNo="00", CustomerNo="PROBE"), "/PROBE", "0000000"
"""Keys that are asked for; whether they exist does not matter."""


def some(names: Iterable[str]) -> str:
    """The first few, and how many more."""
    found = sorted(names)
    more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    return ", ".join(found[:MOST_NAMED]) + more


async def check_odbc(group: Group, pair: Pair, own: PairSettings) -> None:
    """Driver, connection, tables, columns, their lengths, and whether writing is refused."""
    variable = f"{pair.name.upper()}_SAGE_ODBC"
    text = own.sage_odbc.get_secret_value()
    if not text:
        raise Trouble(f"{variable} is not set", "Set it where the role sage runs, beside Sage (docs/settings.md).")
    try:
        group.ok("driver", look_for_driver(own.sage_odbc))
    except DriverUnusable as error:
        raise Trouble(f"{variable}: {error}", error.remedy) from None
    inspection = Inspection(own.sage_odbc)
    try:
        try:
            await inspection.connect()
        except RetryLater as error:
            raise _no_connection(variable, quoted(error.message, secrets_of(text))) from None
        used = _used_by(pair)
        source = await inspection.look(used)
    finally:
        await inspection.close()
    group.ok("connection", ", ".join(part for part in (source.server, f"driver {source.driver}") if part))
    _tables(group, source.tables)
    _columns(group, source.tables, used)
    _links(group, source.tables, used)
    _lengths(group, pair, source.tables)
    if problem := may_write(text):
        group.failed(
            "read_only", f"{variable} {problem}", "Give it a user of Sage or of the database who may only read."
        )
    elif source.read_only:
        group.ok("read_only", "the source refuses writes")
    else:
        group.warning(
            "read_only",
            "the driver does not say whether it refuses writes (none was tried)",
            "Make sure that its user may only read; this application never writes through ODBC.",
        )


def _no_connection(variable: str, words: str) -> Trouble:
    if is_wrong_bitness(words):
        return Trouble(
            f"{variable}: driver and Python differ in bitness: {words}",
            f"Install the driver of {PYTHON_BITS} bits, or run the Sage worker with a Python of the driver's.",
        )
    return Trouble(
        f"{variable}: no connection: {words}",
        "Check path, server, company, user and password in it; the account of the worker needs access to Sage's files.",
    )


def _used_by(pair: Pair) -> Mapping[str, TableUse]:
    """What the statements read, with the columns of AR_Customer that the pair file names."""
    used = dict(tables_used())
    account = used[SageTable.CUSTOMER]
    used[SageTable.CUSTOMER] = TableUse(account.key, account.columns | set(pair.customers.sync.of_sage))
    return used


def _tables(group: Group, tables: Mapping[str, TableSeen]) -> None:
    unread = {table: seen.problem for table, seen in tables.items() if seen.problem}
    if unread:
        first = sorted(unread)[0]
        group.failed(
            "tables",
            f"{len(unread)} of {len(tables)} tables cannot be read: {some(unread)} ({unread[first]})",
            "Check the company in the connection string, and give its user read permission on them (Sage: role, ODBC).",
        )
    else:
        group.ok("tables", f"{len(tables)} tables can be read")


def _columns(group: Group, tables: Mapping[str, TableSeen], used: Mapping[str, TableUse]) -> None:
    missing = [
        f"{table}.{column}"
        for table, seen in tables.items()
        for column in used[table].columns
        if not seen.problem and not is_own_column(column) and not _has(seen, column)
    ]
    if missing:
        group.failed(
            "columns",
            f"{len(missing)} columns are missing: {some(missing)}",
            "This release of Sage, or its dictionary for ODBC, lacks them: update it.",
        )
    else:
        count = sum(len(use.columns) for table, use in used.items() if not tables[table].problem)
        group.ok("columns", f"all {count} columns that are read are there")


def _links(group: Group, tables: Mapping[str, TableSeen], used: Mapping[str, TableUse]) -> None:
    """The site's own columns: those that link Clarity's records with Sage's, in history too."""
    wanted = [
        (table, column)
        for table, use in used.items()
        for column in use.columns
        if is_own_column(column) and not tables[table].problem
    ]
    missing = [f"{table}.{column}" for table, column in wanted if not _has(tables[table], column)]
    short = [
        f"{table}.{column} ({tables[table].lengths[column]})"
        for table, column in wanted
        if column.startswith("UDF_WEB_") and 0 < tables[table].lengths.get(column, 0) < LINK_CHARACTERS
    ]
    if missing:
        in_history = (
            " In history a UDF must be mapped from the live table." if any("History" in m for m in missing) else ""
        )
        group.failed(
            "links",
            f"missing: {some(missing)}",
            f"Add them in Sage (Custom Office, User-Defined Fields), text of {LINK_CHARACTERS}.{in_history}",
        )
    elif short:
        group.warning(
            "links",
            f"shorter than {LINK_CHARACTERS} characters: {some(short)}",
            "Longer ids of the store do not fit: lengthen them in Sage, or make sure that the store's ids are short.",
        )
    else:
        group.ok("links", f"all {len(wanted)} user-defined columns are there, in history too")


def _lengths(group: Group, pair: Pair, tables: Mapping[str, TableSeen]) -> None:
    shorter: dict[str, int] = {}
    for table in SageTable:
        for column, length in tables[table].lengths.items():
            expected = pair.columns.get(column, LENGTHS.get(column))
            if expected is not None and 0 < length < expected:
                shorter[column] = min(length, shorter.get(column, length))
    if shorter:
        keys = some(f"{column}: {length}" for column, length in shorter.items())
        group.failed(
            "lengths",
            f"{len(shorter)} text columns are shorter here than this application thinks",
            f"Write under columns in the pair file: {keys}. Otherwise Sage refuses what is longer.",
        )
    else:
        group.ok("lengths", "text columns take what the layout and the pair file say")


def _has(seen: TableSeen, column: str) -> bool:
    return column.casefold() in {name.casefold() for name in seen.lengths}


# ---- gateway --------------------------------------------------------------------------------------------------------


async def check_gateway(group: Group, pair: Pair, own: PairSettings) -> None:
    """Reachable, signs in, knows the company, answers the routes that read."""
    prefix = pair.name.upper()
    if not own.sage_gateway_url:
        raise Trouble(f"{prefix}_SAGE_GATEWAY_URL is not set", "Set it where the role sage runs (docs/settings.md).")
    by_key = pair.sage.auth is GatewayAuth.API_KEY
    needed = ("sage_api_key",) if by_key else ("sage_user", "sage_password")
    listener = Listener()
    settings = SageGatewaySettings(
        url=own.sage_gateway_url,
        company=pair.company.code,
        **({"api_key": own.sage_api_key} if by_key else {"user": own.sage_user, "password": own.sage_password}),
    )
    gateway = SageGateway(settings, listener=listener)
    try:
        await _gateway_answers(group, pair, gateway, listener, [f"{prefix}_{name.upper()}" for name in needed])
        await _routes(group, gateway)
        await _preview(group, pair, gateway)
    finally:
        await gateway.close()
    if version := listener.headers.get(VERSION_HEADER):
        group.ok("version", f"the gateway says {version[:60]}")
    else:
        group.skipped("version", "because the gateway does not tell its version (header X-Gateway-Version, optional)")
    clock_result(group, listener.ahead.total_seconds() if listener.ahead else None, most=CLOCK_SECONDS)


async def _gateway_answers(
    group: Group, pair: Pair, gateway: SageGateway, listener: Listener, credentials: list[str]
) -> None:
    prefix = pair.name.upper()
    try:
        await gateway.get_sales_order(NO_ORDER)
    except SignedOut:
        group.ok("reachable", "it answers")
        raise Trouble(
            "the gateway refuses the credentials", f"Check {' and '.join(credentials)}, and sage.auth in the pair file."
        ) from None
    except Refused as error:
        group.ok("reachable", "it answers")
        if error.field.casefold() == "x-company" or "company" in error.message.casefold():
            group.ok("signs_in", "the credentials are taken")
            raise Trouble(
                f"the gateway does not serve the company {pair.company.code}: {error.message}",
                "Correct company.code in the pair file, or let this user into that company in Sage.",
            ) from None
        raise Trouble(
            f"the gateway refuses to read an order: {error.message} ({error.status})",
            "Give its user the rights that docs/openapi/sage-gateway.yaml needs.",
        ) from None
    except ConnectorError as error:
        if listener.last_status is None:
            raise Trouble(
                f"{prefix}_SAGE_GATEWAY_URL: {error.message}",
                "Check address and port, that the gateway runs, and that its certificate is trusted here.",
            ) from None
        group.ok("reachable", "it answers")
        raise Trouble(
            f"{prefix}_SAGE_GATEWAY_URL: the answer is none of a gateway's: {error.message}",
            "Check that the address is the gateway's, with its path; it must keep docs/openapi/sage-gateway.yaml.",
        ) from None
    group.ok("reachable", "it answers")
    group.ok("signs_in", "the credentials are taken")
    group.ok("company", f"{pair.company.code} is served")


async def _routes(group: Group, gateway: SageGateway) -> None:
    wrong: list[str] = []
    for route, call in (
        ("/AR/Customer/{key}", gateway.get_customer(NOBODY)),
        ("/CI/Item/{code}", gateway.get_item(NOTHING)),
    ):
        try:
            await call
        except ConnectorError as error:
            wrong.append(f"GET {route}: {error.message}")
    if wrong:
        group.failed("routes", "; ".join(wrong), "The gateway must keep docs/openapi/sage-gateway.yaml; see its log.")
    else:
        group.ok("routes", "orders, customers and items can be read; routes that write are not tried")


async def _preview(group: Group, pair: Pair, gateway: SageGateway) -> None:
    if not pair.sage.preview:
        group.skipped("preview", "because the pair file says sage.preview: false")
    elif await gateway.can_preview():
        group.ok("preview", "orders can be previewed")
    else:
        group.failed(
            "preview", "the gateway has no POST /SO/SalesOrder/Preview", "Add it, or write sage.preview: false."
        )
