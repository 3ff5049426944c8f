"""Items, their units and aliases, read and written through the sandbox's real HTTP and real ODBC."""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from datetime import date
from decimal import Decimal

import pytest
import pytest_asyncio
from pydantic import SecretStr, TypeAdapter

from connectors.errors import AlreadyExists, Refused
from connectors.sage100.gateway import SageGateway, SageGatewaySettings
from connectors.sage100.item_catalogue import ItemCatalogue
from connectors.sage100.odbc import SageReader
from mappings.item_candidates import nearest_items
from mappings.items import ItemFacts, ItemLookup, ResolvedItem
from mappings.pair import Pair, ShortItemEntry, load_pair
from mappings.sales_order import CustomerKey, LineOrigin, SageItemType, SalesOrder, SalesOrderLine
from tests.support.contracts import Recorder
from tests.support.processes import ROOT
from tests.support.sandbox import Sandbox, running_sandbox

pytestmark = pytest.mark.asyncio(loop_scope="module")
ABF = CustomerKey(ARDivisionNo="01", CustomerNo="ABF")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path_factory.mktemp("sandbox")) as one:
        yield one


@pytest.fixture(scope="module")
def pair() -> Pair:
    return load_pair(ROOT / "mappings/pairs/demo.yaml")


@pytest_asyncio.fixture(loop_scope="module")
async def gateway(sandbox: Sandbox) -> AsyncIterator[SageGateway]:
    settings = SageGatewaySettings(url=sandbox.sage_url, company="ABC", api_key=SecretStr("sage-sandbox-key"))
    one = SageGateway(settings, transport=Recorder("sage-gateway"))
    yield one
    await one.close()


@pytest_asyncio.fixture(loop_scope="module")
async def reader(sandbox: Sandbox) -> AsyncIterator[SageReader]:
    one = SageReader(SecretStr(sandbox.odbc))
    yield one
    await one.close()


async def test_pages_of_the_stock_tell_of_each_item_what_reading_it_tells(reader: SageReader, sandbox: Sandbox) -> None:
    paged: list[ItemFacts] = []
    after = ""
    while page := await reader.stock_page(after, 7):
        assert page.unreadable == []
        paged += page.items
        after = page.last
    codes = [item.ItemCode for item in paged]
    assert codes == [row["ItemCode"] for row in sandbox.rows("SELECT ItemCode FROM CI_Item ORDER BY ItemCode")]
    assert {item.ItemCode: item for item in paged} == await reader.items(codes)
    assert next(item for item in paged if item.ItemCode == "CHAIR-EXEC").warehouses["000"].available == 2


async def test_the_components_of_kits(reader: SageReader) -> None:
    kits = await reader.kit_components(["KIT-HOME-OFFICE", "STAPLER", "ghost"])
    assert {one.ItemCode: one.QuantityPerAssembly for one in kits.pop("KIT-HOME-OFFICE")} == {
        "SHELF-WALL-80": 2,
        "LAMP-LED-01": 1,
        "CABLE-USBC-1": 1,
    }
    assert kits == {}


async def test_items_are_read_with_their_units_and_kinds_in_any_case(reader: SageReader) -> None:
    found = await reader.items(["paper-a4-cs", "Kit-Home-Office", "LAMP-HALOGEN", "ghost"])
    assert set(found) == {"PAPER-A4-CS", "KIT-HOME-OFFICE", "LAMP-HALOGEN"}
    assert found["PAPER-A4-CS"].units == {"CASE": Decimal(10), "EACH": Decimal(1), "PALL": Decimal(400)}
    assert found["PAPER-A4-CS"].ItemCodeDesc == "Copy paper case of 10"
    assert (found["KIT-HOME-OFFICE"].ProductType, found["KIT-HOME-OFFICE"].is_stocked) == ("K", False)
    assert found["LAMP-HALOGEN"].ProductType == "D"


async def test_a_vendors_alias_is_none_of_a_shops(reader: SageReader, pair: Pair) -> None:
    rows = await reader.aliases(["part-7", "VENDOR-9"])
    assert {(row.AliasItemNo, row.Type, row.ItemCode) for row in rows} == {
        ("PART-7", "G", "STAPLER"),
        ("PART-7", "V", "TAPE-CLEAR"),
        ("PART-7", "C", "MON-ARM-1"),
        ("VENDOR-9", "V", "TAPE-CLEAR"),
    }
    items = await reader.items(row.ItemCode for row in rows)
    for customer, code in ((None, "STAPLER"), (ABF, "MON-ARM-1")):
        found = ItemLookup(customer, items, rows, pair).item("part-7")
        assert isinstance(found, ItemFacts)
        assert found.ItemCode == code
    assert not isinstance(ItemLookup(None, items, rows, pair).item("VENDOR-9"), ItemFacts)


async def test_pages_of_aliases_keep_what_belongs_together(sandbox: Sandbox, reader: SageReader) -> None:
    whole = await reader.aliases_page("", 1_000)
    for size in (1, 2, 3, 4):
        pages, after = [], ""
        while page := await reader.aliases_page(after, size):
            pages += page
            after = page[-1].AliasItemNo
        names = [one.AliasItemNo for one in pages]
        assert sorted(set(names)) == sorted({one.AliasItemNo for one in whole}), size
        if size >= 3:
            assert pages == whole


async def test_aliases_and_the_pairs_names_are_near(reader: SageReader) -> None:
    names = TypeAdapter(dict[str, ShortItemEntry]).validate_python({"LEGACY-1001": "DESK-OAK-120"})
    catalogue = ItemCatalogue(reader, names)
    items = await catalogue.catalogue()
    assert items is not None
    why = {sku: [str(one) for one in nearest_items(sku, "", items)] for sku in ("BLUEPEN-X", "LEGACY-1002", "VENDOR-8")}
    assert why == {
        "BLUEPEN-X": ['PEN-GEL-BLU "Gel pen blue" (alias BLUE-PEN: code differs by one character)'],
        "LEGACY-1002": ['DESK-OAK-120 "Oak desk 120 cm" (alias LEGACY-1001: code differs by one character)'],
        "VENDOR-8": [],
    }
    assert nearest_items("LAMP-HALOGEN-2", "Halogen lamp", items) == []
    await catalogue.close()


async def test_an_alias_is_for_everybody_or_for_one_customer(gateway: SageGateway, reader: SageReader) -> None:
    await gateway.create_alias("PART-9", "STAPLER", ABF)
    await gateway.create_alias("PART-9", "STAPLER", ABF)
    with pytest.raises(AlreadyExists):
        await gateway.create_alias("PART-9", "MAT-FLOOR", ABF)
    await gateway.create_alias("PART-9", "MAT-FLOOR")
    with pytest.raises(AlreadyExists):
        await gateway.create_alias("PART-9", "STAPLER")
    with pytest.raises(Refused):
        await gateway.create_alias("PART-9", "STAPLER", CustomerKey(ARDivisionNo="01", CustomerNo="NOBODY"))
    rows = {(row.Type, str(row.customer or ""), row.ItemCode) for row in await reader.aliases(["PART-9"])}
    assert rows == {("C", "01-ABF", "STAPLER"), ("G", "", "MAT-FLOOR")}


async def test_a_line_in_each_of_the_items_units(
    sandbox: Sandbox, gateway: SageGateway, reader: SageReader, pair: Pair
) -> None:
    def reserved() -> Decimal:
        with sqlite3.connect(sandbox.database) as connection:
            row = connection.execute(
                "SELECT QuantityOnSalesOrder FROM IM_ItemWarehouse "
                "WHERE ItemCode = 'PAPER-A4-CS' AND WarehouseCode = '000'"
            ).fetchone()
        return Decimal(str(row[0]))

    items = await reader.items(["PAPER-A4-CS"])
    lookup = ItemLookup(None, items, [], pair)
    lines = []
    for unit, quantity in (("", "1.5"), ("each", "7"), ("Pall", "0.25")):
        line = SalesOrderLine(
            origin=LineOrigin.ITEM,
            sku="PAPER-A4-CS",
            ItemType=SageItemType.REGULAR,
            QuantityOrdered=Decimal(quantity),
            UnitOfMeasure=unit,
            UnitPrice=None,
        )
        found = lookup.line(line)
        assert isinstance(found, ResolvedItem)
        update = {"ItemCode": found.item.ItemCode, **found.model_dump(exclude={"item"})}
        lines.append(line.model_copy(update=update))
    order = SalesOrder(
        UDF_WEB_ORDER_ID="units-1",
        OrderDate=date(2026, 11, 23),
        ARDivisionNo="02",
        CustomerNo="W000001",
        Lines=lines,
    )
    before = reserved()
    stored = await gateway.create_sales_order(await gateway.next_sales_order_no(), order)
    told = [(line.UnitOfMeasure, line.UnitOfMeasureConvFactor, line.QuantityOrdered) for line in stored.Lines]
    assert told == [
        ("CASE", Decimal(10), Decimal("1.5")),
        ("EACH", Decimal(1), Decimal(7)),
        ("PALL", Decimal(400), Decimal("0.25")),
    ]
    assert [line.UnitPrice for line in stored.Lines] == [Decimal("54.90"), Decimal("5.49"), Decimal("2196.00")]
    assert reserved() - before == 15 + 7 + 100

    async def preview(**columns: object) -> None:
        await gateway.preview(order.model_copy(update={"Lines": [lines[0].model_copy(update=columns)]}))

    with pytest.raises(Refused, match="BOX"):
        await preview(UnitOfMeasure="BOX", UnitOfMeasureConvFactor=Decimal(1))
    # What we reckoned with must be what Sage reckons with.
    with pytest.raises(Refused, match="factor of CASE is 10"):
        await preview(UnitOfMeasureConvFactor=Decimal(12))
