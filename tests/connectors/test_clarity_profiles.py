"""Two releases of Clarity, one connector: the profile is data, and both keep the same contract tests.

Each exchange is held to the release's own OpenAPI file; what the application sees is in the contract's words.
"""

import base64
import copy
import hashlib
import hmac
import json
import textwrap
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st
from openapi_core.contrib.requests import RequestsOpenAPIRequest, RequestsOpenAPIResponse
from pydantic import SecretStr
from requests import PreparedRequest, Response
from temporalio.testing import ActivityEnvironment

from activities.store_stock import StoreStockActivities
from api.payload import parse_payload
from connectors.clarity.client import ClarityClient, ClaritySettings
from connectors.clarity.sign_in import LIFETIME_WHEN_UNTOLD, lifetime_of
from connectors.clarity.webhooks import BadSignature, decode_secret, verify
from connectors.errors import AlreadyExists, Ambiguous, NotFound, Refused, RetryLater, SignedOut
from contracts.inventory import ListStoreStock, PushStock, StoreStock
from mappings.canonical import Order, Shipment, ShippedLine
from mappings.clarity_order import parse_order
from mappings.clarity_profile import CONTRACT, ClarityProfile, Kind, from_contract, release_path, to_contract
from mappings.intake import order_id_of, payload_digest, reason_to_ignore
from mappings.inventory import Digests, StockRow, bucket_of, by_bucket, digest_of
from mappings.pair import Inventory, Pair, PairFileError, load_pair
from mappings.shipments import CancelledItem, InvoiceReference
from mappings.transform import transform
from tests.support.contracts import contract
from tests.support.http import HTTP
from tests.support.processes import ROOT, wait_until
from tests.support.sandbox import Sandbox, read_rows, running_sandbox

DEMO = ROOT / "mappings/pairs/demo.yaml"
PROFILE = Path(__file__).parent / "profiles/module_entity.yaml"
SAMPLES = {file.stem: json.loads(file.read_text("utf-8")) for file in sorted((ROOT / "sandbox/orders").glob("*.json"))}
SECRET = "whsec_c2FuZGJveC13ZWJob29rLXNpZ25pbmctc2VjcmV0LTAwMQ=="


# ---- the two releases -----------------------------------------------------------------------------------------------


def pair_file(folder: Path, profile: str) -> Path:
    """The demo pair with another section `clarity`."""
    before, _, rest = DEMO.read_text("utf-8").partition("\nclarity:")
    after = rest[rest.index("\nsage:") :]
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "demo.yaml"
    file.write_text(f"{before}\nclarity:\n{textwrap.indent(profile, '  ')}{after}", encoding="utf-8")
    return file


class ReleaseTransport(httpx.AsyncBaseTransport):
    """A real transport that holds every exchange to the release's OpenAPI file."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.inner = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self.inner.handle_async_request(request)
        body = await answer.aread()
        asked = PreparedRequest()
        asked.prepare(
            method=request.method,
            url="http://127.0.0.1:8091" + request.url.raw_path.decode(),
            headers=dict(request.headers),
            data=request.content,
        )
        told = Response()
        told.status_code = answer.status_code
        told.headers.update(answer.headers)
        told._content = body
        openapi = contract(self.name)
        openapi.validate_request(RequestsOpenAPIRequest(asked))
        openapi.validate_response(RequestsOpenAPIRequest(asked), RequestsOpenAPIResponse(told))
        return httpx.Response(answer.status_code, headers=answer.headers, content=body, request=request)

    async def aclose(self) -> None:
        await self.inner.aclose()


@dataclass(frozen=True)
class Delivery:
    """One webhook as it arrived."""

    headers: dict[str, str]
    body: bytes


@contextmanager
def mailbox() -> Iterator[tuple[str, list[Delivery]]]:
    """Where webhooks arrive; everything is accepted."""
    arrived: list[Delivery] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            arrived.append(Delivery({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", arrived
    finally:
        server.shutdown()
        server.server_close()


@dataclass(frozen=True)
class Release:
    """A running store that speaks one dialect, and the pair that knows it."""

    dialect: str
    pair: Pair
    sandbox: Sandbox
    arrived: list[Delivery]

    @property
    def profile(self) -> ClarityProfile:
        return self.pair.clarity

    def settings(self, secret: str = "clarity-sandbox-secret") -> ClaritySettings:
        return ClaritySettings(
            url=self.sandbox.clarity_url, client_id="clarity-integration", client_secret=SecretStr(secret)
        )

    def client(self, *, secret: str = "clarity-sandbox-secret", **changes: object) -> ClarityClient:
        settings = self.settings(secret)
        name = {"contract": "clarity", "module_entity": "clarity-module-entity"}[self.dialect]
        return ClarityClient(self.profile.model_copy(update=changes), settings, transport=ReleaseTransport(name))

    def order(self, order_id: str) -> str:
        """A buyer's order of two items."""
        order = {
            "id": order_id,
            "number": f"W-{order_id}",
            "status": "Pending",
            "createdDate": "2026-11-20T10:00:00-06:00",
            "currency": "USD",
            "customer": {"id": f"c{order_id}"},
            "shippingAddress": {},
            "items": [{"id": "1", "sku": "A", "quantity": 2.5, "unitPrice": 19.995}],
            "totals": {"items": 1, "grand": 1},
        }
        self.sandbox.control("clarity", "orders", {"type": "order.created", "data": order})
        return order_id

    def fault(self, method: str, route: str, fault: str, **more: object) -> None:
        self.sandbox.fault("clarity", f"{method} {route}", fault, **more)

    def sign_ins(self) -> int:
        calls = HTTP.get(f"{self.sandbox.clarity_url}/_control/calls", timeout=20).json()["calls"]
        return int(calls.count(f"POST {self.profile.routes.token}"))


@pytest.fixture(scope="module", params=["contract", "module_entity"])
def release(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    folder = tmp_path_factory.mktemp(request.param)
    file = DEMO if request.param == "contract" else pair_file(folder / "pairs", PROFILE.read_text("utf-8"))
    with (
        mailbox() as (url, arrived),
        running_sandbox(folder / "var", "--clarity-dialect", request.param, "--webhook-url", url) as sandbox,
    ):
        yield Release(request.param, load_pair(file), sandbox, arrived)


@pytest_asyncio.fixture(loop_scope="module")
async def clarity(release: Release) -> AsyncIterator[ClarityClient]:
    one = release.client()
    yield one
    await one.close()


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> ClarityProfile:
    """The second profile."""
    return load_pair(pair_file(tmp_path_factory.mktemp("other"), PROFILE.read_text("utf-8"))).clarity


def a_shipment(order_id: str, package: int = 1, **changes: object) -> Shipment:
    return Shipment(
        order_id=order_id,
        reference=f"000{order_id}-1-{package}",
        shipped_on=date(2026, 11, 23),
        lines=[ShippedLine(item_id="1", quantity=Decimal("0.5"))],
    ).model_copy(update=changes)


# ---- calls ----------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio(loop_scope="module")
async def test_orders_are_read_changed_and_listed(release: Release, clarity: ClarityClient) -> None:
    release.order("900")
    before = await clarity.get_order("900")
    assert (before["id"], before["items"][0]["sku"], before["totals"]["grand"]) == ("900", "A", 1)
    assert before["items"][0]["unitPrice"] == Decimal("19.995")
    statuses = release.profile.statuses
    await clarity.patch_order("900", status=statuses.processing, external_reference="0001042")
    invoice = InvoiceReference(
        invoiceNo="0100007", invoiceDate="2026-11-23", amount=Decimal("12.50"), tax=Decimal("0.50")
    )
    gone = CancelledItem(orderItemId="1", quantity=Decimal("0.5"), reason="STOCK", refundRequested=True)
    await clarity.patch_order("900", invoice_references=[invoice], cancelled_items=[gone])
    after = await clarity.get_order("900")
    assert (after["status"], after["externalReference"]) == (statuses.processing, "0001042")
    assert after["invoiceReferences"] == [invoice.model_dump(mode="json", exclude_none=True)]
    assert after["cancelledItems"] == [gone.model_dump(mode="json")]
    page = await clarity.list_orders(datetime(2026, 1, 1, tzinfo=UTC))
    assert page.totalCount >= 1
    assert after in page.items
    assert (await clarity.list_orders(datetime(2126, 1, 1, tzinfo=UTC))).items == []


@pytest.mark.asyncio(loop_scope="module")
async def test_what_we_write_is_no_news_in_either_release(release: Release, clarity: ClarityClient) -> None:
    release.order("901")
    before = await clarity.get_order("901")
    await clarity.patch_order("901", status=release.profile.statuses.processing, external_reference="1")
    after = await clarity.get_order("901")
    assert after != before
    assert payload_digest({"data": after}) == payload_digest({"data": before})


@pytest.mark.asyncio(loop_scope="module")
async def test_refusals_say_what_and_where(release: Release, clarity: ClarityClient) -> None:
    release.order("902")
    with pytest.raises(NotFound):
        await clarity.get_order("nothing")
    with pytest.raises(NotFound):
        await clarity.get_order("../orders")
    with pytest.raises(Refused) as refusal:
        await clarity.patch_order("902", status="Nonsense")
    assert "is not one of" in str(refusal.value)
    assert refusal.value.field == {"contract": "status", "module_entity": "StatusName"}[release.dialect]
    with pytest.raises(Refused) as strange:
        lines = [ShippedLine(item_id="9", quantity=Decimal(1))]
        await clarity.post_shipment(a_shipment("902", lines=lines))
    assert "is no item of this order" in str(strange.value)
    statuses = release.profile.statuses
    await clarity.patch_order("902", status=statuses.cancelled)
    with pytest.raises(AlreadyExists):
        await clarity.patch_order("902", status=statuses.processing)


@pytest.mark.asyncio(loop_scope="module")
async def test_shipments_are_told_once_changed_and_voided(release: Release, clarity: ClarityClient) -> None:
    release.order("903")
    shipment = a_shipment("903")
    first = await clarity.post_shipment(shipment)
    assert first.externalReference == shipment.reference
    assert await clarity.post_shipment(shipment) == first
    changed = shipment.model_copy(update={"tracking_number": "1Z", "carrier": "UPS", "service": "Ground"})
    with pytest.raises(AlreadyExists):
        await clarity.post_shipment(changed)
    await clarity.patch_shipment(first.id, changed)
    (known,) = await clarity.shipments_of("903")
    assert (known.id, known.tracking_number, known.carrier, known.void) == (first.id, "1Z", "UPS", False)
    assert known.lines == shipment.lines
    await clarity.void_shipment(first.id)
    assert [one.void for one in await clarity.shipments_of("903")] == [True]


@pytest.mark.asyncio(loop_scope="module")
async def test_all_pages_of_an_order_and_none_of_another_whose_id_contains_it(release: Release) -> None:
    paging = release.profile.paging.model_copy(update={"page_size": 2})
    small = release.client(paging=paging)
    for order_id, packages in (("904", 5), ("9041", 1)):
        release.order(order_id)
        for package in range(packages):
            await small.post_shipment(a_shipment(order_id, package))
    assert len({one.id for one in await small.shipments_of("904")}) == 5
    assert len(await small.shipments_of("9041")) == 1
    since = datetime(2026, 1, 1, tzinfo=UTC)
    pages = [await small.list_orders(since, page) for page in range(2)]
    assert [len(page.items) for page in pages] == [2, 2]
    assert pages[0].items[0]["id"] != pages[1].items[0]["id"]
    await small.close()


@pytest.mark.asyncio(loop_scope="module")
async def test_customers_carry_the_cross_reference(release: Release, clarity: ClarityClient) -> None:
    release.order("905")
    await clarity.patch_customer("c905", external_reference="02-W000001")
    database = release.sandbox.var / "clarity.sqlite"
    assert '"externalReference": "02-W000001"' in document(database, "customer", "c905")
    with pytest.raises(NotFound):
        await clarity.patch_customer("nobody", external_reference="02-W000001")


@pytest.mark.asyncio(loop_scope="module")
async def test_a_customers_record_is_read_listed_and_changed_by_name(release: Release, clarity: ClarityClient) -> None:
    """Addresses and attributes stand in the record alone, in each release's own words."""
    place = {"name": "Ann Smith", "line1": "12 Oak St", "postalCode": "78701", "country": "US"}
    change = {
        "email": "ann@example.com",
        "externalReference": "01-ABF",
        "billingAddress": place,
        "shippingAddresses": [place],
        "attributes": {"newsletter": "true"},
    }
    release.order("906")
    for id_, reference in (("r1", "01-ABF"), ("r2", "01-ABFX")):
        wanted = {"customerId": id_, "change": {**change, "externalReference": reference}, "deliver": False}
        release.sandbox.control("clarity", "customers/change", wanted)
    await clarity.patch_customer("r1", attributes={"terms": "01"})
    read = await clarity.get_customer("r1")
    assert read == {**change, "id": "r1", "attributes": {"newsletter": "true", "terms": "01"}} | {
        "updatedDate": read["updatedDate"]
    }
    assert [one["id"] for one in await clarity.customers_of("01-ABF", 20)] == ["r1"]
    without = release.client(routes=release.profile.routes.model_copy(update={"customers": None}))
    assert await without.customers_of("01-ABF", 20) == []
    assert await without.list_customers(datetime(2026, 1, 1, tzinfo=UTC)) is None
    changed = await clarity.list_customers(datetime.fromisoformat(read["updatedDate"]))
    assert [one["id"] for one in changed or []] == ["r1"]
    await without.close()
    with pytest.raises(NotFound):
        await clarity.get_customer("nobody")


@pytest.mark.asyncio(loop_scope="module")
async def test_a_changed_customers_webhook_is_in_the_contracts_words(release: Release) -> None:
    release.arrived.clear()
    change = {"phone": "1", "billingAddress": {"line1": "12 Oak St"}, "attributes": {"terms": "01"}}
    release.sandbox.control("clarity", "customers/change", {"customerId": "r9", "change": change})

    def told() -> list[dict[str, Any]]:
        """Other tests' deliveries may still arrive."""
        events = [to_contract(parse_payload(one.body), Kind.EVENT, release.profile) for one in release.arrived]
        return [event["data"] for event in events if event["type"] == "customer.updated"]

    [customer] = wait_until("the webhook arrives", told, 20)
    assert {name: customer[name] for name in ("id", *change)} == {"id": "r9", **change}


def document(database: Path, kind: str, id_: str) -> str:
    return str(read_rows(database, "SELECT body FROM document WHERE kind = ? AND id = ?", kind, id_)[0]["body"])


@pytest.mark.asyncio(loop_scope="module")
async def test_products_are_listed_changed_and_told(release: Release, clarity: ClarityClient) -> None:
    added = release.sandbox.control(
        "clarity", "products", {"product": {"sku": f"P-{release.dialect}", "name": "Stool"}}
    )
    id_ = added["id"]
    product = await clarity.get_product(id_)
    assert (product["sku"], product["name"], product["active"]) == (f"P-{release.dialect}", "Stool", True)
    before = datetime.fromisoformat(product["updatedDate"])
    change = {"price": "12.50", "active": False, "attributes": {"colour": "red"}}
    after = await clarity.patch_product(id_, change)
    assert after == await clarity.get_product(id_)
    assert {name: after[name] for name in change} == change
    assert (await clarity.patch_product(id_, {"attributes": {"size": "L"}}))["attributes"] == {
        "colour": "red",
        "size": "L",
    }
    listed = await clarity.list_products(before)
    assert id_ in {one["id"] for one in listed.items}
    assert (await clarity.list_products(None)).totalCount >= 48
    assert (await clarity.list_products(datetime(2126, 1, 1, tzinfo=UTC))).items == []
    with pytest.raises(NotFound):
        await clarity.get_product("nothing")
    # Past the contract: what the store says of it.
    careless = ClarityClient(release.profile, release.settings())
    with pytest.raises(Refused) as refusal:
        await careless.patch_product(id_, {"price": "-1"})
    assert refusal.value.field == {"contract": "price", "module_entity": "SalesPrice"}[release.dialect]
    await careless.close()

    def told() -> list[dict[str, Any]]:
        events = [to_contract(parse_payload(one.body), Kind.EVENT, release.profile) for one in release.arrived]
        return [one["data"] for one in events if one["type"] == "product.updated" and one["data"]["id"] == id_]

    wait_until("each change is told", lambda: len(told()) == 3, 20)
    # Deliveries may overtake each other.
    assert {"colour": "red", "size": "L"} in [one.get("attributes") for one in told()]
    assert told()[-1]["sku"] == f"P-{release.dialect}"


@pytest.mark.asyncio(loop_scope="module")
async def test_stock_is_written_in_batches_refused_by_row_and_read_back(
    release: Release, clarity: ClarityClient
) -> None:
    release.sandbox.control("clarity", "inventory/unknown", {"skus": ["GHOST"]})
    rows = [StockRow(f"S{number:03d}", "MAIN", number) for number in range(7)]
    rejected = await clarity.put_inventory([*rows, StockRow("GHOST", "MAIN", 1)])
    assert [(one.sku, one.warehouse) for one in rejected] == [("GHOST", "MAIN")]
    assert "no such product" in rejected[0].message
    assert await clarity.put_inventory(rows) == []
    assert [row for row in await clarity.list_inventory() if row.sku.startswith("S0")] == rows
    # Past the contract: what the store says of it.
    careless = ClarityClient(release.profile, release.settings())
    with pytest.raises(Refused, match="Available"):
        await careless.put_inventory([StockRow("S000", "MAIN", -1)])
    with pytest.raises(Refused, match="the limit is 500"):
        await careless.put_inventory([StockRow(str(number), "MAIN", 1) for number in range(501)])
    await careless.close()


@pytest.mark.asyncio(loop_scope="module")
async def test_what_differs_at_the_store_is_listed_by_bucket(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("activities.store_stock.PAGE_ROWS", 2)
    profile = release.profile.model_copy(update={"inventory_batch": 3})
    update = {"clarity": profile, "inventory": Inventory(warehouses={"000": "DOCK"})}
    pair = release.pair.model_copy(update=update)
    client = ClarityClient(profile, release.settings())
    rows = [StockRow(f"B{number:03d}", "DOCK", number) for number in range(8)]
    digests = Digests()
    for bucket, content in by_bucket(rows).items():
        digests[bucket] = digest_of(content)
    stock, calls = StoreStockActivities(pair, client), ActivityEnvironment()
    pushed = await calls.run(stock.push_stock, PushStock(pair="demo", rows=rows))
    assert (pushed.sent, pushed.rejected) == (8, 0)
    bad = [*rows[:3], StockRow("X" * 70, "DOCK", 1), *rows[3:]]
    pushed = await calls.run(stock.push_stock, PushStock(pair="demo", rows=bad))
    assert (pushed.sent, pushed.rejected) == (9, 1), "one row that the store refuses costs nothing but itself"
    assert pushed.rejected_skus[0].startswith("XXXX")
    await client.put_inventory([StockRow("B001", "DOCK", 99), StockRow("B002", "ELSEWHERE", 5)])
    await client.put_inventory([StockRow("B005", "DOCK", 98), StockRow("B006", "DOCK", 97)])

    async def page(**more: Any) -> StoreStock:
        request = ListStoreStock(pair="demo", digests=digests.text, reading=more.pop("reading", "first"), **more)
        listed: StoreStock = await calls.run(stock.list_store_stock, request)
        return listed

    first = await page()
    assert first.next_bucket is not None
    second = await page(from_bucket=first.next_bucket)
    assert second.next_bucket is None
    assert {row.sku: row.quantity for row in [*first.rows, *second.rows]} == {"B001": 99, "B005": 98, "B006": 97}
    await client.put_inventory(rows)
    assert (await page(reading="second")).buckets == []
    assert [row.sku for row in (await page(reading="second", only=[bucket_of("B003")])).rows] == ["B003"]
    await client.close()


@pytest.mark.asyncio(loop_scope="module")
async def test_an_expired_token_is_renewed_within_the_call(release: Release, clarity: ClarityClient) -> None:
    release.order("906")
    await clarity.get_order("906")
    before = release.sign_ins()
    release.fault("GET", release.profile.routes.order.replace("{id}", "906"), "token_expired")
    assert (await clarity.get_order("906"))["id"] == "906"
    assert release.sign_ins() == before + 1


@pytest.mark.asyncio(loop_scope="module")
async def test_refused_credentials_are_told_apart(release: Release) -> None:
    wrong = release.client(secret="wrong-secret")
    with pytest.raises(SignedOut) as refusal:
        await wrong.get_order("1")
    assert "wrong-secret" not in str(refusal.value)
    await wrong.close()


@pytest.mark.asyncio(loop_scope="module")
async def test_too_many_requests_and_outages_are_retried_and_lost_writes_are_ambiguous(
    release: Release, clarity: ClarityClient
) -> None:
    release.order("907")
    route = release.profile.routes.order.replace("{id}", "907")
    change = release.profile.methods.order
    await clarity.get_order("907")
    for method, status in (("GET", "429"), ("GET", "503"), (change, "429"), (change, "503")):
        release.fault(method, route, status, retry_after=7)
        with pytest.raises(RetryLater) as busy:
            await (clarity.get_order("907") if method == "GET" else clarity.patch_order("907", external_reference="1"))
        assert busy.value.retry_after == timedelta(seconds=7)
        # Whoever asks sooner than a 429 said is not let through.
        clarity._api._quiet_until = 0.0
        assert "Fault on demand" in str(busy.value)
    release.fault("GET", route, "500")
    with pytest.raises(RetryLater):
        await clarity.get_order("907")
    release.fault(change, route, "500")
    with pytest.raises(Ambiguous):
        await clarity.patch_order("907", external_reference="1")
    release.fault("POST", release.profile.routes.shipments, "timeout_after_write")
    with pytest.raises(Ambiguous):
        await clarity.post_shipment(a_shipment("907"))
    assert len(await clarity.shipments_of("907")) == 1


# ---- webhooks and payloads ------------------------------------------------------------------------------------------


def deliver(release: Release, event: dict[str, Any]) -> Delivery:
    """Check an order out and wait for its webhook; those of other tests' orders may still arrive before it."""
    before, id_ = len(release.arrived), event["data"]["id"]

    def is_its_own(delivery: Delivery) -> bool:
        content = to_contract(parse_payload(delivery.body), Kind.EVENT, release.profile)
        return bool(content["data"].get("id") == id_)

    def its_own() -> list[Delivery]:
        return [delivery for delivery in release.arrived[before:] if is_its_own(delivery)]

    release.sandbox.control("clarity", "orders", event)
    return wait_until("the webhook arrives", its_own, 20)[0]


def test_a_webhook_is_genuine_under_either_secret_and_only_unchanged(release: Release) -> None:
    event = copy.deepcopy(SAMPLES["01-consumer-new"])
    event["data"]["id"] = "signed-1"
    delivery = deliver(release, event)
    webhook, now, tolerance = release.profile.webhook, datetime.now(UTC), timedelta(minutes=5)
    key, other_key = decode_secret(SECRET, webhook), b"another secret altogether"

    def check(delivery: Delivery, *keys: bytes, at: datetime = now) -> str:
        headers = httpx.Headers(delivery.headers)
        return verify(headers, delivery.body, keys, at, tolerance, webhook)

    webhook_id = check(delivery, key)
    assert webhook_id
    assert check(delivery, other_key, key) == webhook_id
    longer, bare = Delivery(delivery.headers, delivery.body + b" "), Delivery({}, delivery.body)
    for wrong, its_key, at in (
        (delivery, other_key, now),
        (longer, key, now),
        (bare, key, now),
        (delivery, key, now + timedelta(minutes=6)),
        (delivery, key, now - timedelta(minutes=6)),
    ):
        with pytest.raises(BadSignature):
            check(wrong, its_key, at=at)
    before = len(release.arrived)
    release.sandbox.control("clarity", "webhooks", {"orderId": "signed-1", "sameId": True})
    wait_until("it arrives again", lambda: webhook_id in [check(one, key) for one in release.arrived[before:]], 20)


@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample_order_is_the_same_order_in_either_release(release: Release, name: str) -> None:
    event = SAMPLES[name]
    delivery = deliver(release, event)
    payload = to_contract(parse_payload(delivery.body), Kind.EVENT, release.profile)
    theirs = {"Pending": "Open"} if release.dialect == "module_entity" else {}
    status = theirs.get(event["data"]["status"], event["data"]["status"])
    assert payload == {**event, "data": {**event["data"], "status": status}}
    assert order_id_of(payload) == str(event["data"]["id"])
    assert payload_digest(payload) == payload_digest(event)
    plain, order = parse_order(event, 1_000), parse_order(payload, 1_000, release.profile)
    if isinstance(plain, Order) and isinstance(order, Order):
        assert order.model_copy(update={"status": plain.status}) == plain
    else:
        assert isinstance(plain, list)
        assert isinstance(order, list)
        assert [problem.field for problem in order] == [problem.field for problem in plain]
    assert transform(payload, release.pair).draft == transform(event, load_pair(DEMO)).draft


def test_finished_orders_start_nothing_by_the_releases_own_words(release: Release) -> None:
    event = copy.deepcopy(SAMPLES["02-known-web-customer"])
    event["data"] |= {"id": "finished-1", "status": "Shipped"}
    delivery = deliver(release, event)
    payload = to_contract(parse_payload(delivery.body), Kind.EVENT, release.profile)
    assert release.profile.statuses.shipped in reason_to_ignore(payload, release.pair)


# ---- the translation itself -----------------------------------------------------------------------------------------


def test_the_contract_itself_is_not_translated() -> None:
    event = SAMPLES["01-consumer-new"]
    assert to_contract(event, Kind.EVENT, CONTRACT) is event
    assert load_pair(DEMO).clarity.speaks_the_contract


def test_fields_nobody_named_stay_and_never_pass_for_others(other: ClarityProfile) -> None:
    sent = {"ID": "7", "Colour": "red", "number": "not the number", "References": {"Erp": "1"}}
    assert to_contract(sent, Kind.ORDER, other) == {"id": "7", "Colour": "red", "externalReference": "1"}
    unknown = {"Event": "Catalog.Category.Updated", "Entity": {"ID": "p"}}
    assert to_contract(unknown, Kind.EVENT, other) == {"type": "Catalog.Category.Updated", "data": {"ID": "p"}}


def test_a_field_that_the_release_has_not_is_neither_sent_nor_read() -> None:
    profile = ClarityProfile.model_validate({"fields": {"shipment": {"trackingUrl": None, "carrier": "Carrier.Name"}}})
    body = {"trackingUrl": "http://x", "carrier": "UPS", "tracking_number": "1Z"}
    assert from_contract(body, Kind.SHIPMENT, profile) == {"Carrier": {"Name": "UPS"}, "tracking_number": "1Z"}
    assert to_contract({"trackingUrl": "http://x"}, Kind.SHIPMENT, profile) == {}


def test_problems_also_say_what_the_store_calls_the_field(other: ClarityProfile) -> None:
    entity = {
        "ID": "7",
        "CreatedDate": "2026-11-20T10:00:00-06:00",
        "CurrencyKey": "USD",
        "ShippingContact": {},
        "SalesItems": [{"ID": "1", "ProductSku": "A", "Quantity": "many", "UnitPrice": 1}],
    }
    payload = to_contract({"Event": "Ordering.SalesOrder.Created", "Entity": entity}, Kind.EVENT, other)
    problems = parse_order(payload, 10, other)
    assert isinstance(problems, list)
    told = {problem.field: problem.message for problem in problems}
    assert told["data.items[0].quantity"].endswith("(in the store: Entity.SalesItems[0].Quantity)")
    # Totals stand beside the other fields here, so a missing grand total is a missing object.
    assert release_path("data.totals.grand", other) == "Entity.GrandTotal"
    assert release_path("data.purchaseOrderNumber", other) == "Entity.References.PurchaseOrder"
    assert release_path("SO_SalesOrder.CustomerNo", other) == ""
    plain = parse_order(payload, 10)
    assert isinstance(plain, list)
    assert [problem.field for problem in plain] == [problem.field for problem in problems]
    assert not any("in the store" in problem.message for problem in plain)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["Event", "Entity", "ID", "SalesItems", "References", "Erp", "Payments", "PaymentType", "data"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_translation_never_raises_for_what_a_payload_holds(other: ClarityProfile, entity: Any) -> None:
    event = {"Event": "Ordering.SalesOrder.Created", "Entity": entity}
    for kind in Kind:
        to_contract(entity, kind, other)
    parse_order(to_contract(event, Kind.EVENT, other), 10, other)


# ---- the profile as data --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "key", "words"),
    [
        ("  customer:\n    id: ID", "  custmer:\n    id: ID", "clarity.fields.custmer", "Did you mean 'customer'"),
        ("unitPrice:", "unitPrise:", "clarity.fields.item.unitPrise", "Did you mean 'unitPrice'"),
        ("size_parameter", "size_paramter", "clarity.paging.size_paramter", "Did you mean 'size_parameter'"),
        ("routes: ", "rutes: ", "clarity.rutes", "Did you mean 'routes'"),
        ("auth: login ", "auth: magic ", "clarity.auth", "'login'"),
        ("hmac-sha256-hex", "md5", "clarity.webhook.scheme", "'hmac-sha256-hex'"),
        (", by: gateway", "", "clarity.captures.by", "missing"),
        ("by: gateway", "by: nobody", "clarity.captures.by", "'by_hand'"),
        ("order: PUT", "order: GET", "clarity.methods.order", "'PATCH'"),
        ("total_field: Paging.Total", "total_field: Paging..Total", "clarity.paging.total_field", "match pattern"),
        ("sku: ProductSku", "sku: ProductName", "clarity.fields.item", "sku and name are both called 'ProductName'"),
        ("grand: GrandTotal", "grand: Number", "clarity.fields", "in one order are called 'Number'"),
        ("scheme: hmac-sha256-hex\n  timestamp_header: X-Store-Timestamp", "timestamp_header: null", "clarity.webhook",
         "timestamp_header names"),
    ],
    ids=lambda value: str(value)[:24],
)  # fmt: skip
def test_a_mistake_in_a_profile_names_its_line_key_and_remedy(
    tmp_path: Path, old: str, new: str, key: str, words: str
) -> None:
    text = PROFILE.read_text("utf-8")
    assert old in text
    file = pair_file(tmp_path, text.replace(old, new, 1))
    with pytest.raises(PairFileError) as raised:
        load_pair(file)
    assert raised.value.key == key
    assert words in str(raised.value)


def test_when_money_is_captured_is_asked_and_never_assumed(other: ClarityProfile) -> None:
    assert CONTRACT.captures is None
    assert other.captures is not None
    assert (other.captures.status, other.captures.by.value) == (other.statuses.shipped, "gateway")


# ---- signatures and sign-in of other kinds --------------------------------------------------------------------------

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def hex_webhook(**changes: object) -> Any:
    section = {"scheme": "hmac-sha256-hex", "timestamp_header": "X-At", "signature_header": "X-Sign", **changes}
    return ClarityProfile.model_validate({"webhook": section}).webhook


def test_hex_signatures_of_the_body_alone_and_several_at_once() -> None:
    alone, stamped = hex_webhook(timestamp_header=None), hex_webhook()
    key, old = decode_secret("a secret in plain words", alone), b"the secret before it"
    good = hmac.new(key, b"{}", hashlib.sha256).hexdigest()
    at = str(int(NOW.timestamp()))
    good_at = hmac.new(key, at.encode() + b".{}", hashlib.sha256).hexdigest()
    limit = timedelta(minutes=5)
    id_ = verify({"X-Sign": good.upper()}, b"{}", [old, key], NOW, limit, alone)
    assert id_ == verify({"X-At": at, "X-Sign": f"{'0' * 64}, {good_at}"}, b"{}", [key], NOW, limit, stamped)
    assert id_ == "sha256-" + hashlib.sha256(b"{}").hexdigest()
    prefixed = hex_webhook(signature_prefix="sha256=")
    assert verify({"X-At": at, "X-Sign": f"sha256={good_at}"}, b"{}", [key], NOW, limit, prefixed) == id_
    refused: list[tuple[dict[str, str], Any]] = [
        ({"X-At": at, "X-Sign": good}, stamped),
        ({"X-At": at, "X-Sign": good_at}, prefixed),
        ({"X-Sign": good_at}, stamped),
        ({"X-At": "soon", "X-Sign": good_at}, stamped),
        ({"X-Sign": good_at}, alone),
        ({"X-Sign": "," * 30 + good[:-1]}, alone),
    ]
    for headers, webhook in refused:
        with pytest.raises(BadSignature):
            verify(headers, b"{}", [key, old], NOW, limit, webhook)
    with pytest.raises(ValueError, match="16 bytes"):
        decode_secret("short", alone)


@pytest.mark.parametrize(
    ("claims", "lifetime"),
    [
        ({"iat": 100, "exp": 700}, 600.0),
        ({"iat": 100.5, "exp": 101}, 0.5),
        ({"exp": 700}, LIFETIME_WHEN_UNTOLD),
        ({"iat": 700, "exp": 100}, LIFETIME_WHEN_UNTOLD),
        ({"iat": None, "exp": []}, LIFETIME_WHEN_UNTOLD),
        ([], LIFETIME_WHEN_UNTOLD),
    ],
)
def test_a_jwt_tells_how_long_it_lives(claims: object, lifetime: float) -> None:
    part = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    assert lifetime_of(f"e30.{part}.x") == lifetime
    assert lifetime_of("opaque") == lifetime_of("a.!.c") == LIFETIME_WHEN_UNTOLD


async def test_headers_and_login_fields_have_the_releases_names() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if request.url.path == "/login":
            return httpx.Response(200, json={"Session": {"Key": f"k{len(seen)}", "Seconds": 600}})
        return httpx.Response(401 if request.headers["X-Session"] == "Token k1" else 200, json={"id": "7"})

    profile = ClarityProfile.model_validate(
        {
            "auth": "login",
            "login": {"user": "Login.Name", "password": "Login.Secret", "token": "Session.Key",
                      "lifetime": "Session.Seconds"},
            "headers": {"token": "X-Session", "token_prefix": "Token ", "fixed": {"X-Brand": "main"}},
            "routes": {"token": "/login", "order": "/o/{id}"},
        }
    )  # fmt: skip
    settings = ClaritySettings(url="http://store", client_id="u", client_secret=SecretStr("p"))
    client = ClarityClient(profile, settings, transport=httpx.MockTransport(answer))
    assert await client.get_order("7") == {"id": "7"}
    assert [request.url.path for request in seen] == ["/login", "/o/7", "/login", "/o/7"]
    assert json.loads(seen[0].content) == {"Login": {"Name": "u", "Secret": "p"}}
    assert {request.headers["X-Brand"] for request in seen} == {"main"}
    assert "Authorization" not in seen[3].headers
    await client.close()


async def test_an_answer_in_other_words_than_the_profiles_is_no_answer(other: ClarityProfile) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(200, json={"token": "x"})
        if "down" in request.url.path:
            return httpx.Response(400, json={"error": {"message": "in the contract's words"}})
        return httpx.Response(200, json={"items": [], "totalCount": 0})

    settings = ClaritySettings(url="http://store", client_id="u", client_secret=SecretStr("p"))
    client = ClarityClient(other, settings, transport=httpx.MockTransport(answer))
    with pytest.raises(RetryLater, match="no list"):
        await client.list_orders(NOW)
    with pytest.raises(RetryLater, match="no list"):
        await client.shipments_of("7")
    with pytest.raises(Refused, match="contract's words"):
        await client.get_order("down")
    await client.close()
