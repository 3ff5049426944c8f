"""docs/schema: current, valid, and saying the same as the models."""

import copy
import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from pydantic import BaseModel, ValidationError

from mappings.canonical import (
    AppliedPayment,
    InventoryLevel,
    Invoice,
    InvoiceLine,
    Item,
    ItemKind,
    Order,
    Totals,
)
from mappings.clarity_order import parse_order
from mappings.items import WarehouseStock
from mappings.packages import plan_shipments
from mappings.pair import Pair, PairFileError, load_pair
from mappings.sales_order import CreatedLine
from mappings.schemas import DECIMAL, files, main, schema_text, schemas, write_files
from mappings.shipments import InvoicedLine, Package, ShipmentInvoice
from mappings.transform import transform
from tests.support.processes import ROOT
from tests.unit.conftest import DEMO_FILE, SAMPLES

DOCS = ROOT / "docs/schema"
SCHEMAS = schemas()
COMPANY = yaml.safe_load((ROOT / "sandbox/sage100/company_abc.yaml").read_text("utf-8"))
OTHER_CLARITY = ROOT / "tests/connectors/profiles/module_entity.yaml"


def problems(schema: str, value: object, definition: str = "") -> list[str]:
    """What a schema (or one of its definitions) finds wrong with a JSON value."""
    whole = SCHEMAS[f"{schema}.schema.json"]
    if definition:
        whole = {"$schema": whole["$schema"], "$ref": f"#/$defs/{definition}", "$defs": whole["$defs"]}
    checker = Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)
    return [f"{'.'.join(map(str, error.path))}: {error.message}" for error in checker.iter_errors(value)]


def as_json(model: BaseModel) -> Any:
    """A model's own JSON."""
    return json.loads(model.model_dump_json())


def as_edited(file: Path) -> Any:
    """A YAML file as an editor reads it: numbers are numbers, dates are texts."""
    return json.loads(json.dumps(yaml.safe_load(file.read_text("utf-8")), default=date.isoformat))


def orders() -> Iterator[Order]:
    for payload in SAMPLES.values():
        order = parse_order(payload, 1000)
        if isinstance(order, Order):
            yield order


# ---- the files ------------------------------------------------------------------------------------------------------


def test_the_committed_files_are_what_the_models_say() -> None:
    remedy = "write them anew: .venv/bin/python -m mappings.schemas"
    assert {file.name for file in DOCS.glob("*.json")} == set(SCHEMAS), remedy
    stale = [name for name, text in files().items() if (ROOT / "docs" / name).read_text("utf-8") != text]
    assert not stale, f"{', '.join(stale)}: {remedy}"


def test_writing_twice_gives_the_same_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = write_files(tmp_path / "new")
    before = {file: file.read_bytes() for file in written}
    assert main([str(tmp_path / "new")]) == 0
    assert {file: file.read_bytes() for file in written} == before
    assert capsys.readouterr().out.split() == [str(file) for file in written]
    assert all(content.endswith(b"\n") and b"\r" not in content for content in before.values())
    assert main(["--help"]) == 2


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_schema_is_valid_and_says_what_it_is(name: str) -> None:
    schema = SCHEMAS[name]
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == name
    assert list(schema)[:4] == ["$schema", "$id", "title", "description"]
    assert f"[{schema['title']}]({name})" in (DOCS / "README.md").read_text("utf-8")


def columns_of_sage() -> dict[str, set[str]]:
    text = (ROOT / "sandbox/sage100/tables.txt").read_text("utf-8")
    tables = {}
    for block in re.split(r"^TABLE ", text, flags=re.MULTILINE)[1:]:
        columns = re.findall(r"^COLUMNS (.*)$", block, re.MULTILINE)
        tables[block.split(None, 1)[0]] = {name for line in columns for name in re.findall(r"(\w+):", line)}
    return tables


def test_every_sage_column_that_a_schema_names_exists() -> None:
    tables = columns_of_sage()
    named = {
        match
        for text in map(schema_text, SCHEMAS.values())
        for match in re.findall(r"\b([A-Z]{2}_\w+)\.([A-Z]\w+)", text)
    }
    assert len(named) > 30
    assert {f"{table}.{column}" for table, column in named if column not in tables.get(table, set())} == set()


# ---- pair files -----------------------------------------------------------------------------------------------------


def test_the_demo_pair_file_validates() -> None:
    assert problems("pair", as_edited(DEMO_FILE)) == []


def test_another_release_of_clarity_validates() -> None:
    assert problems("pair", as_edited(OTHER_CLARITY), "ClarityProfile") == []


def test_every_key_of_a_pair_file_is_described_where_an_editor_shows_it() -> None:
    schema = SCHEMAS["pair.schema.json"]
    sections = {"": schema, **schema["$defs"]}
    without = [
        f"{section}.{key}"
        for section, described in sections.items()
        for key, value in described.get("properties", {}).items()
        if not value.get("description", "").strip()
    ]
    assert without == []


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        (("chargez",), {}, "chargez"),
        (("name",), "demo", "name"),
        (("version",), "1", "version"),
        (("tax", "polcy"), "sage", "polcy"),
        (("tax", "policy"), "sagee", "sagee"),
        (("tax", "tolerance"), -1, "-1"),
        (("tax", "tolerance"), "a penny", "a penny"),
        (("company", "currency"), "usd", "usd"),
        (("company", "other_currencies"), {"euro": "other"}, "euro"),
        (("company", "price_decimals"), 7, "7"),
        (("order", "ship_via", 0, "carier"), "UPS", "carier"),
        (("order", "header_rules"), [{"when": 5, "header": {"CycleCode": "01"}}], "5"),
        (("order", "header"), {"CycleCode": 1}, "1"),
        (("clarity", "fields"), {"order": {"numbr": "n"}}, "numbr"),
        (("checks", 0, "name"), "creditt", "creditt"),
        (("columns", "BillToName"), "long", "long"),
    ],
)
def test_what_a_pair_file_must_not_say_fails_here_and_when_loaded(
    path: tuple[str | int, ...], value: Any, complaint: str, tmp_path: Path
) -> None:
    content = as_edited(DEMO_FILE)
    *outer, last = path
    section = content
    for part in outer:
        section = section[part]
    section[last] = value
    assert complaint in "\n".join(problems("pair", content))
    file = tmp_path / "broken.yaml"
    file.write_text(yaml.safe_dump(content), "utf-8")
    with pytest.raises(PairFileError):
        load_pair(file)


@pytest.mark.parametrize("key", SCHEMAS["pair.schema.json"]["required"])
def test_a_missing_section_fails_here_and_when_loaded(key: str, tmp_path: Path) -> None:
    content = as_edited(DEMO_FILE)
    del content[key]
    assert problems("pair", content) == [f": '{key}' is a required property"]
    file = tmp_path / "broken.yaml"
    file.write_text(yaml.safe_dump(content), "utf-8")
    with pytest.raises(PairFileError, match=key):
        load_pair(file)


# ---- documents ------------------------------------------------------------------------------------------------------


def test_sample_orders_validate() -> None:
    found = list(orders())
    assert len(found) > 15
    for order in found:
        assert problems("order", as_json(order)) == [], order.number
        assert problems("buyer", as_json(order.buyer)) == problems("party", as_json(order.buyer)) == []
        assert problems("address", as_json(order.shipping)) == []
        assert [problems("order_line", as_json(line)) for line in order.lines] == [[]] * len(order.lines)
        assert [problems("payment", as_json(payment)) for payment in order.payments] == [[]] * len(order.payments)
        assert Order.model_validate(as_json(order)) == order


def test_drafts_of_the_sample_orders_validate(pair: Pair) -> None:
    drafts = [done.draft for done in (transform(payload, pair) for payload in SAMPLES.values()) if done.draft]
    assert len(drafts) > 15
    for draft in drafts:
        assert problems("sales_order", as_json(draft.sales_order)) == []


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        (("totals", "grand"), 12.5, "totals.grand: 12.5 is not of type 'string'"),
        (("lines", 0, "quantity"), "two", "lines.0.quantity: 'two' does not match"),
        (("payments", 0, "type"), "sale", "payments.0.type: 'sale' is not one of"),
        (("buyer",), None, "buyer: None is not of type 'object'"),
    ],
)
def test_an_order_of_another_shape_does_not_validate(path: tuple[str | int, ...], value: Any, complaint: str) -> None:
    content = copy.deepcopy(as_json(next(order for order in orders() if order.payments)))
    *outer, last = path
    section = content
    for part in outer:
        section = section[part]
    section[last] = value
    (problem,) = problems("order", content)
    assert problem.startswith(complaint)


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_every_finite_decimal_has_the_form_that_the_schemas_ask_for(value: Decimal) -> None:
    assert re.search(DECIMAL, str(value))


def test_a_planned_shipment_validates(pair: Pair) -> None:
    invoice = ShipmentInvoice(
        InvoiceNo="0100001",
        SalesOrderNo="0001001",
        posted=False,
        ShipDate=date(2026, 11, 23),
        ShipVia="UPS GROUND",
        Lines=[InvoicedLine(LineKey="000001", ItemCode="PAPER-A4", QuantityShipped=Decimal("2.50"))],
        Packages=[Package(PackageNo="0001", TrackingID="1Z9")],
    )
    line = CreatedLine(LineKey="000001", ItemCode="PAPER-A4", QuantityOrdered=Decimal(5), UDF_WEB_LINE_ID="7")
    (shipment,) = plan_shipments("10001", [line], invoice, pair)
    sent = as_json(shipment)
    assert problems("shipment", sent) == []
    assert (sent["reference"], sent["shipped_on"]) == ("0001001-0100001-0001", "2026-11-23")
    assert sent["lines"] == [{"item_id": "7", "quantity": "2.50"}]


def items_of_company_abc() -> list[Item]:
    """The sandbox's items, column by column as the fields' descriptions say."""
    found = []
    for given_columns in COMPANY["CI_Item"]:
        row = {"ItemType": "1", "SalesUnitOfMeasure": "EACH", "StandardUnitOfMeasure": "EACH", **given_columns}
        found.append(
            Item(
                item_code=row["ItemCode"],
                sku=row["ItemCode"],
                name=row["ItemCodeDesc"],
                kind=list(ItemKind)[int(row["ItemType"]) - 1],
                active=row.get("InactiveItem") != "Y",
                standard_unit=row["StandardUnitOfMeasure"],
                sales_unit=row["SalesUnitOfMeasure"],
                standard_units_per_sales_unit=Decimal(row.get("SalesUMConvFctr", "1")),
                currency="USD",
                standard_price=Decimal(row.get("StandardUnitPrice", "0")),
                tax_class=row.get("TaxClass", "TX"),
                allows_back_orders=row.get("AllowBackOrders") != "N",
                drop_shipped=row.get("DropShip") == "Y",
                updated=datetime(2026, 11, 23, 8, 29, 32, tzinfo=UTC),
            )
        )
    return found


def test_the_items_of_company_abc_are_canonical_items() -> None:
    items = items_of_company_abc()
    for item in items:
        assert problems("item", as_json(item)) == [], item.item_code
        assert Item.model_validate(as_json(item)) == item
    by_code = {item.item_code: item for item in items}
    paper = by_code["PAPER-A4-CS"]
    assert (paper.sales_unit, paper.standard_units_per_sales_unit) == ("CASE", Decimal(10))
    kinds = [by_code[code].kind for code in ("PAPER-A4-CS", "/C", "/GIFT")]
    assert kinds == [ItemKind.REGULAR, ItemKind.COMMENT, ItemKind.MISCELLANEOUS]
    assert not all(item.active for item in items)


def test_the_stock_of_company_abc_is_canonical_inventory() -> None:
    for code, quantities in COMPANY["stock"].items():
        for warehouse, on_hand in zip(COMPANY["warehouses"], quantities, strict=True):
            stock = WarehouseStock(QuantityOnHand=Decimal(on_hand), QuantityOnSalesOrder=Decimal(3))
            level = InventoryLevel(
                item_code=code,
                sku=code,
                warehouse=warehouse,
                on_hand=stock.QuantityOnHand,
                available=stock.available,
                available_to_sell=max(0, int(stock.available)),
                as_of=datetime(2026, 11, 23, 12, 0, tzinfo=UTC),
            )
            assert problems("inventory_level", as_json(level)) == []
            assert InventoryLevel.model_validate(as_json(level)) == level


def test_stock_is_never_offered_below_zero_and_always_dated_with_its_offset() -> None:
    level: dict[str, Any] = {
        "item_code": "A",
        "sku": "A",
        "warehouse": "000",
        "on_hand": "1",
        "available": "-2",
        "available_to_sell": 0,
        "as_of": "2026-11-23T12:00:00Z",
    }
    assert InventoryLevel.model_validate(level).available == Decimal(-2)
    for wrong in ({"available_to_sell": -2}, {"as_of": "2026-11-23T12:00:00"}):
        with pytest.raises(ValidationError):
            InventoryLevel.model_validate(level | wrong)
    assert problems("inventory_level", level | {"available_to_sell": -2}) != []


def test_a_posted_invoice_with_deposit_and_receipt_is_canonical() -> None:
    """Two cases of paper and a gift wrap to Texas, 8.25 %; the deposit covers part, a receipt the rest."""
    lines = [
        InvoiceLine(item_id="7", sales_order_no="0001001", item_code="PAPER-A4-CS", quantity=Decimal(2), unit="CASE",
                    unit_price=Decimal("54.900"), amount=Decimal("109.80"), tax_class="TX"),
        InvoiceLine(sales_order_no="0001001", item_code="/GIFT", kind=ItemKind.MISCELLANEOUS, quantity=Decimal(1),
                    unit_price=Decimal("4.95"), amount=Decimal("4.95"), tax_class="TX"),
    ]  # fmt: skip
    invoice = Invoice(
        invoice_no="0100001",
        header_sequence="000001",
        posted=True,
        order_id="10001",
        sales_order_no="0001001",
        customer_no="02-W000101",
        invoice_date=date(2026, 11, 23),
        currency="USD",
        lines=lines,
        totals=Totals(items=Decimal("109.80"), fees=Decimal("4.95"), tax=Decimal("9.47"), grand=Decimal("124.22")),
        payments=[
            AppliedPayment(deposit=True, payment_type="STRIP", reference="ch_1", amount=Decimal(100)),
            AppliedPayment(reference="ch_2", amount=Decimal("24.22"), applied_on=date(2026, 11, 24)),
        ],
        balance=Decimal(0),
    )
    assert problems("invoice", as_json(invoice)) == []
    assert Invoice.model_validate(as_json(invoice)) == invoice
