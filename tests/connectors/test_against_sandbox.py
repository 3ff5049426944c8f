"""The connectors against the sandbox's real HTTP and real ODBC; every exchange is held to the contracts."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from zoneinfo import ZoneInfo

import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr

from connectors.clarity.client import ClarityClient, ClaritySettings
from connectors.errors import AlreadyExists, Ambiguous, NotFound, Refused, RetryLater, SignedOut
from connectors.sage100.gateway import SageGateway, SageGatewaySettings
from connectors.sage100.item_catalogue import ItemCatalogue
from connectors.sage100.match_index import MatchIndex
from connectors.sage100.odbc import HEADER_AMOUNTS, SageReader
from connectors.sage100.queries import Statement
from mappings.canonical import Shipment, ShippedLine
from mappings.item_candidates import nearest_items
from mappings.pair import ClarityProfile, Sage
from mappings.sales_order import (
    CustomerKey,
    CustomerSearch,
    LineOrigin,
    NewCustomer,
    SageItemType,
    SalesOrder,
    SalesOrderLine,
)
from mappings.shipments import CancelledItem
from tests.support.contracts import Recorder
from tests.support.http import HTTP
from tests.support.sandbox import Sandbox, running_sandbox

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path_factory.mktemp("sandbox")) as one:
        yield one


def gateway_of(
    sandbox: Sandbox, transport: httpx.AsyncBaseTransport | None, password: str = "sandbox-only"
) -> SageGateway:
    settings = SageGatewaySettings(
        url=sandbox.sage_url, company="ABC", user="integration", password=SecretStr(password)
    )
    return SageGateway(settings, transport=transport)


@pytest_asyncio.fixture(loop_scope="module")
async def recorder() -> Recorder:
    return Recorder("sage-gateway")


@pytest_asyncio.fixture(loop_scope="module")
async def gateway(sandbox: Sandbox, recorder: Recorder) -> AsyncIterator[SageGateway]:
    one = gateway_of(sandbox, recorder)
    yield one
    await one.close()


@pytest_asyncio.fixture(loop_scope="module")
async def reader(sandbox: Sandbox) -> AsyncIterator[SageReader]:
    one = SageReader(SecretStr(sandbox.odbc))
    yield one
    await one.close()


@pytest_asyncio.fixture(loop_scope="module")
async def clarity(sandbox: Sandbox) -> AsyncIterator[ClarityClient]:
    settings = ClaritySettings(
        url=sandbox.clarity_url, client_id="clarity-integration", client_secret=SecretStr("clarity-sandbox-secret")
    )
    one = ClarityClient(ClarityProfile(scope="integration"), settings, transport=Recorder("clarity"))
    yield one
    await one.close()


def an_order(web_id: str, **changes: object) -> SalesOrder:
    order = SalesOrder(
        UDF_WEB_ORDER_ID=web_id,
        OrderDate=date(2026, 11, 23),
        ARDivisionNo="02",
        CustomerNo="W000001",
        CustomerPONo=f"PO-{web_id}",
        TaxSchedule="TX",
        FreightAmt=Decimal("10.00"),
        Lines=[
            SalesOrderLine(
                origin=LineOrigin.ITEM,
                ItemCode="STAPLES-1000",
                ItemType=SageItemType.REGULAR,
                QuantityOrdered=Decimal("7"),
                UnitPrice=Decimal("2.345"),
                UDF_WEB_LINE_ID="a",
            ),
            SalesOrderLine(
                origin=LineOrigin.COMMENT, ItemCode="/C", ItemType=SageItemType.COMMENT, CommentText="Grüße"
            ),
        ],
    )
    return order.model_copy(update=changes)


async def test_items_are_created_once_read_and_changed_and_sage_names_what_it_refuses(
    gateway: SageGateway, reader: SageReader, sandbox: Sandbox
) -> None:
    columns = {"ItemCodeDesc": "Stool", "ProductLine": "WEB", "StandardUnitOfMeasure": "EACH", "TaxClass": "TX"}
    await gateway.create_item("STOOL/1", columns)
    with pytest.raises(AlreadyExists):
        await gateway.create_item("STOOL/1", {**columns, "ItemCodeDesc": "Another"})
    await gateway.change_item("STOOL/1", {"StandardUnitPrice": "12.5", "InactiveItem": "Y"})
    item = await gateway.get_item("STOOL/1")
    assert item is not None
    assert (item["ItemCodeDesc"], item["StandardUnitPrice"], item["InactiveItem"]) == ("Stool", "12.500000", "Y")
    assert await gateway.get_item("NO/SUCH") is None
    names = ("ItemCodeDesc", "StandardUnitPrice", "InactiveItem")
    rows, unreadable = await reader.product_items(["stool/1", "NO/SUCH"], names)
    found = rows["STOOL/1"]
    assert (len(rows), unreadable) == (1, set())
    assert (found.item.ProductLine, found.columns["ItemCodeDesc"]) == ("WEB", "Stool")
    assert Decimal(found.columns["StandardUnitPrice"]) == Decimal("12.5")
    page = await reader.product_items_page("STOOL/", 1, names)
    assert page is not None
    assert ([one.item.ItemCode for one in page[0]], page[1], page[2]) == (["STOOL/1"], [], "STOOL/1")
    assert await reader.product_items_page("ZZZ", 1, names) is None
    assert (await reader.column_lengths("CI_Item"))["ItemCodeDesc"] == 30
    careless = gateway_of(sandbox, None)
    for bad, column in (
        ({"ItemCodeDesc": "x" * 31}, "ItemCodeDesc"),
        ({"StandardUnitPrice": "1.2345"}, "StandardUnitPrice"),
        ({"TaxClass": "ZZ"}, "TaxClass"),
        ({"TotalQuantityOnHand": "5"}, "TotalQuantityOnHand"),
        ({"StandardUnitOfMeasure": "CASE"}, "StandardUnitOfMeasure"),
        ({"NoSuch": "1"}, "NoSuch"),
    ):
        with pytest.raises(Refused) as refusal:
            await careless.change_item("STOOL/1", bad)
        assert (refusal.value.status, refusal.value.field) == (422, column)
    with pytest.raises(Refused) as refusal:
        await careless.create_item("STOOL/2", {**columns, "ProductLine": "NONE"})
    assert refusal.value.field == "ProductLine"
    with pytest.raises(NotFound):
        await careless.change_item("NO/SUCH", {"ItemCodeDesc": "x"})
    await careless.close()


async def test_order_is_previewed_created_and_read_back_the_same(
    gateway: SageGateway, reader: SageReader, recorder: Recorder
) -> None:
    order = an_order("c1")
    preview = await gateway.preview(order)
    number = await gateway.next_sales_order_no()
    created = await gateway.create_sales_order(number, order)
    assert (created.total, created.SalesTaxAmt) == (preview.total, preview.SalesTaxAmt)
    assert await gateway.get_sales_order(number) == created
    read, invoiced = await reader.sales_orders_by_purchase_order("PO-c1")
    assert (len(read), invoiced) == (1, [])
    assert read[0].total == created.total
    assert [(line.LineKey, line.QuantityOrdered, line.UnitPrice, line.UDF_WEB_LINE_ID) for line in read[0].Lines] == [
        ("000001", Decimal(7), Decimal("2.345"), "a"),
        ("000002", Decimal(0), Decimal(0), ""),
    ]
    with pytest.raises(AlreadyExists):
        await gateway.create_sales_order(number, order)
    assert await gateway.get_sales_order("9999999") is None
    assert recorder.exchanges[0].startswith("POST /session")


async def test_orders_of_which_sage_cannot_tell_whose_they_are(sandbox: Sandbox, gateway: SageGateway) -> None:
    """Posted in full, at a site whose history has no UDF_WEB_ORDER_ID, and in a company without order history."""
    for history, web_id in (("Y", "n1"), ("N", "n2")):
        sandbox.control("sage", "company", {"keep_order_history": history})
        number = await gateway.next_sales_order_no()
        await gateway.create_sales_order(number, an_order(web_id, UDF_WEB_ORDER_ID="" if web_id == "n1" else web_id))
        sandbox.control("sage", "ship", {"SalesOrderNo": number})
        sandbox.control("sage", "post", {})
        for has_udf in (True, False):
            reader = SageReader(SecretStr(sandbox.odbc), Sage(history_has_udf=has_udf))
            for purchase_order, also in ((f"PO-{web_id}", ""), ("PO-changed", number)):
                found, nameless = await reader.sales_orders_by_purchase_order(purchase_order, also)
                assert [order.SalesOrderNo for order in found] == ([number] if history == "Y" else [])
                assert nameless == ([] if history == "Y" and has_udf else [number])
            assert await reader.sales_orders_by_purchase_order("PO-changed", "9999999") == ([], [])
            await reader.close()
    sandbox.control("sage", "company", {"keep_order_history": "Y"})


async def test_a_typed_order_is_read_as_it_was_before_its_invoices(sandbox: Sandbox) -> None:
    lines = [{"ItemCode": "DESK-OAK-120", "ItemType": "1", "QuantityOrdered": "3", "UnitPrice": "349"}]
    typed = {"ARDivisionNo": "02", "CustomerNo": "W000001", "CustomerPONo": "W-part", "FreightAmt": "12.50"}
    number = str(sandbox.control("sage", "type_order", {**typed, "Lines": lines})["SalesOrderNo"])
    reader = SageReader(SecretStr(sandbox.odbc))
    before = await reader.typed_order(number)
    assert before is not None
    assert before.FreightAmt == Decimal("12.5")
    sandbox.control("sage", "ship", {"SalesOrderNo": number, "Quantities": {"000001": "1"}})
    sandbox.control("sage", "post", {})
    (live,) = sandbox.rows("SELECT FreightAmt FROM SO_SalesOrderHeader WHERE SalesOrderNo = ?", number)
    assert Decimal(live["FreightAmt"]) == 0
    (after,) = await reader.typed_orders("W-part")
    for amount in HEADER_AMOUNTS:
        assert getattr(after, amount) == getattr(before, amount), amount
    assert after.Lines == before.Lines
    await reader.close()


async def test_refusal_names_the_column(gateway: SageGateway) -> None:
    with pytest.raises(Refused) as refusal:
        await gateway.preview(an_order("c2", ShipVia="PIGEON"))
    assert (refusal.value.field, refusal.value.status) == ("ShipVia", 422)


async def test_lost_answer_after_the_write_is_ambiguous_and_the_order_is_there(
    sandbox: Sandbox, gateway: SageGateway
) -> None:
    plain = gateway_of(sandbox, None)
    number = await plain.next_sales_order_no()
    for fault in ("timeout_after_write", "truncated", "500", "html"):
        order, number = an_order(f"lost-{fault}"), await plain.next_sales_order_no()
        sandbox.fault("sage", "POST /SO/SalesOrder", fault)
        with pytest.raises(Ambiguous):
            await plain.create_sales_order(number, order)
        stored = await plain.get_sales_order(number)
        assert (stored is not None) == (fault in ("timeout_after_write", "truncated"))
    sandbox.fault("sage", "POST /SO/SalesOrder/NextNumber", "timeout_before_write")
    with pytest.raises(Ambiguous):
        await plain.next_sales_order_no()
    await plain.close()


async def test_reads_that_get_no_proper_answer_are_retried_later(sandbox: Sandbox) -> None:
    plain = gateway_of(sandbox, None)
    await plain.next_sales_order_no()
    for fault in ("500", "html", "truncated", "timeout_before_write"):
        sandbox.fault("sage", "GET /SO/SalesOrder/*", fault)
        with pytest.raises(RetryLater):
            await plain.get_sales_order("0001001")
    nowhere = SageGateway(SageGatewaySettings(url="http://127.0.0.1:9", company="ABC", api_key=SecretStr("k")))
    with pytest.raises(RetryLater):
        await nowhere.create_sales_order("0000001", an_order("x"))
    await plain.close()
    await nowhere.close()


async def test_retry_after_is_understood_in_seconds_and_as_a_date(sandbox: Sandbox) -> None:
    plain = gateway_of(sandbox, None)
    await plain.next_sales_order_no()
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    for header, low, high in ((7, 7, 7), (later, 80, 91)):
        for fault in ("429", "503"):
            sandbox.fault("sage", "POST /SO/SalesOrder/Preview", fault, retry_after=header)
            with pytest.raises(RetryLater) as busy:
                await plain.preview(an_order("c3"))
            assert busy.value.retry_after is not None
            assert low <= busy.value.retry_after.total_seconds() <= high
            # Whoever asks sooner than a 429 said is not let through.
            plain._api._quiet_until = 0.0
    await plain.close()


async def test_expired_token_is_refreshed_once_for_fifty_waiting_calls(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with running_sandbox(tmp_path_factory.mktemp("tokens"), "--token-lifetime", "3") as sandbox:
        plain = gateway_of(sandbox, None)
        await plain.next_sales_order_no()
        first = await asyncio.to_thread(tokens_fetched, sandbox)
        while await asyncio.to_thread(still_signed_in, sandbox, plain):
            pass
        await asyncio.gather(*(plain.get_sales_order("0000001") for _ in range(50)))
        assert await asyncio.to_thread(tokens_fetched, sandbox) == first + 1
        await plain.close()


def tokens_fetched(sandbox: Sandbox) -> int:
    calls = HTTP.get(f"{sandbox.sage_url}/_control/calls").json()["calls"]
    return int(calls.count("POST /session"))


def still_signed_in(sandbox: Sandbox, gateway: SageGateway) -> bool:
    sign_in = gateway._api._sign_in
    token = getattr(sign_in, "_token", "")
    headers = {"X-API-Key": "", "Authorization": f"Bearer {token}"}
    return sandbox.sage("GET", "/SO/SalesOrder/0000001", **headers).status_code != 401


async def test_refused_credentials_are_told_apart(sandbox: Sandbox) -> None:
    wrong = gateway_of(sandbox, None, password="wrong")
    with pytest.raises(SignedOut) as refusal:
        await wrong.next_sales_order_no()
    assert "wrong" not in str(refusal.value)
    await wrong.close()


async def test_customer_is_created_once_and_found_by_the_match_index(gateway: SageGateway, reader: SageReader) -> None:
    index = MatchIndex(reader, ["01", "02"])
    search = CustomerSearch(
        email="new.person@example.com",
        clarity_id="c-77",
        match_key="email:new.person@example.com",
        new_customer=NewCustomer(
            ARDivisionNo="02",
            CustomerName="Zoë New",
            EmailAddress="new.person@example.com",
            UDF_WEB_CUSTOMER_ID="c-77",
            TermsCode="00",
        ),
    )
    await index.refresh(force=False)
    assert await index.candidates(search) == []
    number = await gateway.next_customer_no()
    key = await gateway.create_customer(number, search.new_customer)
    with pytest.raises(AlreadyExists):
        await gateway.create_customer(number, search.new_customer)
    stored = await gateway.get_customer(key)
    assert stored is not None
    assert stored.CustomerName == "Zoë New"
    await index.refresh(force=True)
    assert [record.key for record in await index.candidates(search)] == [key]
    by_email = search.model_copy(update={"clarity_id": "", "email": "p.novak@work.example.com"})
    assert [record.CustomerNo for record in await index.candidates(by_email)] == ["W000002"]
    consignee = search.model_copy(update={"clarity_id": "", "email": "consignee@elsewhere.example.com"})
    found = await index.candidates(consignee)
    assert [(record.CustomerNo, dict(record.other_emails)[consignee.email].value) for record in found] == [
        ("ABF", "ship_to")
    ]


async def test_odbc_reads_items_aliases_and_lengths_exactly(reader: SageReader) -> None:
    items = await reader.items(["PEN-GEL-BLU", "PAPER-A4-CS", "LAMP-OLD", "/WEBDISC", "GHOST", "' OR 1=1"])
    assert set(items) == {"PEN-GEL-BLU", "PAPER-A4-CS", "LAMP-OLD", "/WEBDISC"}
    assert items["PAPER-A4-CS"].SalesUMConvFctr == 10
    assert items["LAMP-OLD"].InactiveItem
    assert not items["/WEBDISC"].is_stocked
    assert items["PEN-GEL-BLU"].warehouses["000"].QuantityOnHand == 20_000
    aliases = await reader.aliases(["PART-7", "OAK-DESK", "nothing"])
    assert {(alias.Type, alias.ItemCode, str(alias.customer or "")) for alias in aliases} == {
        ("G", "STAPLER", ""),
        ("C", "MON-ARM-1", "01-ABF"),
        ("V", "TAPE-CLEAR", ""),
        ("G", "DESK-OAK-120", ""),
    }
    lengths = await reader.column_lengths("SO_SalesOrderHeader")
    assert (lengths["CustomerPONo"], lengths["BillToName"]) == (30, 50)
    customer = await reader.customer(CustomerKey(ARDivisionNo="01", CustomerNo="ABF"))
    assert customer is not None
    assert (customer.CreditLimit, customer.CurrentBalance) == (Decimal(50_000), Decimal("1200.5"))


async def test_unknown_item_meets_the_nearest_of_sages_own(reader: SageReader) -> None:
    catalogue = ItemCatalogue(reader)
    items = await catalogue.catalogue()
    assert items is not None
    nearest = nearest_items("MON-ARM-9", "", items)
    assert [str(one) for one in nearest] == [
        'MON-ARM-1 "Monitor arm single" (code differs by one character)',
        'MON-ARM-2 "Monitor arm double" (code differs by one character)',
    ]
    assert nearest_items("NO-SUCH-SKU", "Garden gnome", items) == []
    assert "LAMP-OLD" not in {one.ItemCode for one in nearest_items("LAMP-OLD-2", "Old lamp", items)}
    # Fresh: no other sweep.
    assert await catalogue.catalogue() is items
    pages, after = [], ""
    while page := await reader.items_page(after, 5):
        pages += page
        after = page[-1].ItemCode
    assert pages == await reader.items_page("", 1_000)
    await catalogue.close()


async def test_shipment_is_read_the_same_before_and_after_posting(
    sandbox: Sandbox, gateway: SageGateway, reader: SageReader
) -> None:
    number = await gateway.next_sales_order_no()
    created = await gateway.create_sales_order(number, an_order("c9"))
    assert await reader.web_order_id(number) == "c9"
    assert (await reader.standing(number)).live_lines == {"000001": Decimal(7)}
    body = {"SalesOrderNo": number, "Packages": [{"TrackingID": "T-1"}, {"TrackingID": "T-2"}], "ByItem": True}
    invoice_no = sandbox.control("sage", "ship", body)["InvoiceNo"]
    assert invoice_no in [head.InvoiceNo for head in await reader.unposted_invoices()]
    before = (await reader.unposted_invoice(invoice_no))[0]
    assert await reader.posted_invoice(invoice_no) == []
    sandbox.control("sage", "post", {"InvoiceNo": invoice_no})
    assert await reader.unposted_invoice(invoice_no) == []
    after = (await reader.posted_invoice(invoice_no))[0]
    assert (before.posted, after.posted) == (False, True)
    assert after.Lines == before.Lines
    assert (after.Lines[0].LineKey, after.Lines[0].QuantityShipped) == ("000001", Decimal(7))
    assert after.Packages == before.Packages
    assert [package.TrackingID for package in after.Packages] == ["T-1", "T-2"]
    assert after.Total == created.total
    assert await reader.invoices_of(number) == [after]
    today = datetime.now(ZoneInfo("America/Chicago")).date()
    assert invoice_no in await reader.posted_on(today, "", 1_000)
    assert invoice_no not in await reader.posted_on(today, invoice_no, 1_000)
    assert invoice_no in await reader.posted_after(today - timedelta(days=2), 1_000)
    assert [(head.InvoiceNo, head.SalesOrderNo) for head in await reader.posted_heads(invoice_no)] == [
        (invoice_no, number)
    ]
    standing = await reader.standing(number)
    assert (standing.live, standing.history_status) == (False, "C")


async def test_missing_database_is_waited_for(tmp_path: object) -> None:
    reader = SageReader(SecretStr(f"Driver=SQLite3;Database={tmp_path}/none.sqlite"))
    with pytest.raises(RetryLater):
        await reader.items(["X"])
    await reader.close()


async def test_odbc_cannot_write(reader: SageReader) -> None:
    with pytest.raises(RetryLater, match="readonly"):
        await reader._run("write", lambda: reader._rows(Statement("write", "DELETE FROM AR_Customer"), limit=1))
    assert await reader.customers_page("02", "", 5)


async def test_clarity_is_told_and_asked_by_its_contract(sandbox: Sandbox, clarity: ClarityClient) -> None:
    order = {
        "id": "900",
        "number": "W-900",
        "status": "Pending",
        "createdDate": "2026-11-20T10:00:00-06:00",
        "currency": "USD",
        "customer": {"id": "c1"},
        "shippingAddress": {},
        "items": [{"id": "1", "sku": "A", "quantity": 2.5, "unitPrice": 19.995}],
        "totals": {"items": 1, "grand": 1},
    }
    sandbox.control("clarity", "orders", {"type": "order.created", "data": order})
    assert (await clarity.get_order("900"))["items"][0]["unitPrice"] == Decimal("19.995")
    await clarity.patch_order("900", status="Processing", external_reference="0001042")
    shipment = Shipment(
        order_id="900",
        reference="0001042-1-1",
        shipped_on=date(2026, 11, 23),
        lines=[ShippedLine(item_id="1", quantity=Decimal("2.5"))],
    )
    first = await clarity.post_shipment(shipment)
    assert await clarity.post_shipment(shipment) == first
    changed = shipment.model_copy(update={"tracking_number": "1Z"})
    with pytest.raises(AlreadyExists):
        await clarity.post_shipment(changed)
    await clarity.patch_shipment(first.id, changed)
    (known,) = await clarity.shipments_of("900")
    assert (known.id, known.tracking_number, known.void, known.lines) == (first.id, "1Z", False, shipment.lines)
    await clarity.void_shipment(first.id)
    assert [one.void for one in await clarity.shipments_of("900")] == [True]
    gone = CancelledItem(orderItemId="1", quantity=Decimal("0.5"), reason="STOCK", refundRequested=True)
    await clarity.patch_order("900", cancelled_items=[gone])
    assert (await clarity.get_order("900"))["cancelledItems"] == [gone.model_dump(mode="json")]
    await clarity.patch_customer("c1", external_reference="02-W000001")
    with pytest.raises(NotFound):
        await clarity.patch_customer("nobody", external_reference="02-W000001")
    with pytest.raises(NotFound):
        await clarity.get_order("../orders")
    page = await clarity.list_orders(datetime(2026, 1, 1, tzinfo=UTC))
    assert page.totalCount == 1


async def test_payment_types_and_ship_tos_are_read(reader: SageReader) -> None:
    assert [await reader.payment_method(name) for name in ("STRIP", "CHECK", "VISA", "NOPE")] == ["O", "C", "R", None]
    [dock] = await reader.ship_to_addresses(CustomerKey(ARDivisionNo="01", CustomerNo="ABF"))
    assert (dock.ShipToCode, dock.ShipToAddress1, dock.ShipToZipCode) == ("1", "400 Dock Road", "53403")
    assert await reader.ship_to_addresses(CustomerKey(ARDivisionNo="02", CustomerNo="W000001")) == []


async def test_without_a_price_sage_takes_its_own(gateway: SageGateway) -> None:
    order = an_order("c-price")
    cheap = order.Lines[0].model_copy(update={"UnitPrice": Decimal("1.00")})
    order = order.model_copy(update={"Lines": [cheap]})
    previews = [await gateway.preview(order), await gateway.preview(order.without_prices())]
    assert [preview.Lines[0].UnitPrice for preview in previews] == [Decimal("1.00"), Decimal("2.345")]
