"""Every statement uses a key of Sage's, apart from the named sweeps; looked at through the real ODBC driver."""

import re
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from pydantic import SecretStr

from connectors.sage100.odbc import SageReader
from connectors.sage100.queries import STATEMENTS, Statement, own_columns, own_columns_page
from tests.support.sandbox import Sandbox, running_sandbox

KEYED = re.compile(r"^SEARCH \w+ USING (COVERING )?INDEX \w+ \(\w+[=><]")
UNPOSTED = {"unposted_invoices", "unposted_invoices_without_stamps"}
SWEEPS = {
    *("customers_page", "items_page", "aliases_page", "stock_items_page", "stock_page"),
    *("contact_emails", "ship_to_emails", "open_deposits_page", "open_orders_page", "product_items_page"),
    *UNPOSTED,
}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path_factory.mktemp("sandbox")) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="module")
async def reader(sandbox: Sandbox) -> AsyncIterator[SageReader]:
    one = SageReader(SecretStr(sandbox.odbc))
    yield one
    await one.close()


def uses_a_key(plan: list[str]) -> bool:
    return bool(plan) and all(KEYED.match(step) for step in plan)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", sorted(STATEMENTS))
async def test_statement_uses_a_key(reader: SageReader, name: str) -> None:
    statement = STATEMENTS[name]
    plan = await reader.explain(statement, ["0"] * statement.sql.count("?"))
    assert statement.sweep == (name in SWEEPS)
    if name in UNPOSTED:
        # SO_InvoiceHeader holds only what is not posted: reading all of it is the poll itself (rules 8).
        assert plan == ["SCAN SO_InvoiceHeader"]
        return
    assert uses_a_key(plan), plan


@pytest.mark.asyncio(loop_scope="module")
async def test_columns_that_a_pair_file_names_are_read_by_key(reader: SageReader) -> None:
    columns = ["TermsCode", "UDF_MARKETING_OK"]
    assert uses_a_key(await reader.explain(own_columns(columns), ["01", "ABF"]))
    assert uses_a_key(await reader.explain(own_columns_page(columns), ["01", ""]))
    with pytest.raises(ValueError, match="no column's name"):
        own_columns(["TermsCode FROM AR_Customer --"])


@pytest.mark.asyncio(loop_scope="module")
async def test_the_check_sees_a_scan(reader: SageReader) -> None:
    for sql in (
        "SELECT InvoiceNo FROM AR_InvoiceHistoryHeader WHERE DateUpdated >= ?",
        "SELECT CustomerNo FROM AR_Customer WHERE EmailAddress = ?",
        "SELECT SalesOrderNo FROM SO_SalesOrderHeader WHERE UDF_WEB_ORDER_ID = ?",
        "SELECT InvoiceNo FROM SO_InvoiceHeader WHERE SalesOrderNo = ?",
    ):
        assert not uses_a_key(await reader.explain(Statement("bad", sql), ["0"])), sql


def test_statements_are_plain() -> None:
    for statement in STATEMENTS.values():
        assert not re.search(r"\b(OR|UNION|OFFSET)\b|\*|\(\s*SELECT", statement.sql), statement.name
        assert statement.sql.startswith("SELECT ")
