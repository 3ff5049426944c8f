"""The columns that a pair file may set are Sage's, and nothing that this integration sets is among them."""

import pytest
from pydantic import BaseModel

from mappings.sage_columns import (
    INSTEAD,
    LENGTHS,
    SETTABLE,
    SageTable,
    cannot_be_set,
    does_not_fit,
    has_no_length,
)
from mappings.sales_order import NewCustomer, SalesOrder, SalesOrderLine
from sandbox.sage100.schema import TABLES

MODELS: dict[SageTable, type[BaseModel]] = {
    SageTable.HEADER: SalesOrder,
    SageTable.LINE: SalesOrderLine,
    SageTable.CUSTOMER: NewCustomer,
}
NOT_COLUMNS = {"Lines", "extra", "origin", "sku", "name", "discount_of"}
MAY_BE_OVERRULED = {
    "ShipExpireDate",
    "ConfirmTo",
    "Comment",
    "EmailAddress",
    "ResidentialAddress",
    "TermsCode",
    "CommentText",
}
"""What this integration sends of itself and a site may know better (rules 4: header defaults)."""


@pytest.mark.parametrize("table", SageTable)
def test_every_column_is_sages(table: SageTable) -> None:
    layout = TABLES[table.value].columns
    assert {column: layout.get(column) for column in SETTABLE[table]} == SETTABLE[table]
    assert set(INSTEAD[table]) <= set(layout)
    assert not set(SETTABLE[table]) & set(INSTEAD[table])
    for column, kind in layout.items():
        assert cannot_be_set(column, table) is None or column not in SETTABLE[table]
        if kind[0] == "C" and column in LENGTHS:
            assert LENGTHS[column] == int(kind[1:]), column
        complaint = cannot_be_set(column, table)
        if complaint is not None:
            assert "has no column" not in complaint.problem, column


@pytest.mark.parametrize("table", SageTable)
def test_what_this_integration_sets_a_pair_file_does_not(table: SageTable) -> None:
    for column in MODELS[table].model_fields:
        if column[:1].isupper() and column not in NOT_COLUMNS | MAY_BE_OVERRULED:
            complaint = cannot_be_set(column, table)
            assert complaint is not None, column
            assert complaint.remedy.endswith("."), column


def test_names_are_found_whatever_their_case_and_table() -> None:
    for column in ("salestaxamt", "SALESTAXAMT", "udf_web_order_id"):
        complaint = cannot_be_set(column, SageTable.HEADER)
        assert complaint is not None
        assert "must not set" in complaint.problem
    complaint = cannot_be_set("PromiseDate", SageTable.HEADER)
    assert complaint is not None
    assert complaint.remedy == "It is set by order.line_values."
    assert cannot_be_set("UDF_GIFT", SageTable.LINE) is None
    assert cannot_be_set("UDF_", SageTable.LINE) is not None
    assert cannot_be_set("UDF_A B", SageTable.LINE) is not None
    assert has_no_length("UDF_GIFT") is None
    assert has_no_length("DepositAmt") is not None


@pytest.mark.parametrize(
    ("column", "value", "fits"),
    [
        ("FOB", "x" * 15, True),
        ("FOB", "x" * 16, False),
        ("BillToName", "x" * 31, False),
        ("UDF_ANY", "x" * 999, True),
        ("UDF_SHORT", "xxx", False),
        ("PromiseDate", "2026-02-28", True),
        ("PromiseDate", "2026-02-30", False),
        ("PromiseDate", "20260228", False),
        ("CommissionRate", "12.345", True),
        ("CommissionRate", "12.3456", False),
        ("CommissionRate", "123456", False),
        ("CommissionRate", "NaN", False),
        ("CommissionRate", "", False),
        ("CommentText", "x" * 5000, True),
    ],
)
def test_fixed_values_are_measured(column: str, value: str, fits: bool) -> None:
    assert (does_not_fit(column, value, {"BillToName": 30, "UDF_SHORT": 2}) is None) is fits
