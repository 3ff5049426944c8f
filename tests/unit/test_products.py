"""Products against items: owner × changed side × what fits, what the catch-up remembers, and the writes."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, cast

import pytest
from temporalio.testing import ActivityEnvironment

from activities.products import SageProductActivities, StoreProductActivities
from connectors.clarity.client import ClarityClient, OrderPage
from connectors.errors import AlreadyExists, NotFound, Refused, RetryLater
from connectors.sage100.odbc import ProductItem, SageReader
from contracts.products import (
    CatchUpMemory,
    CompareProducts,
    CreateItem,
    ListProducts,
    ProductsCompared,
    ProductsListed,
    ReadProduct,
    WriteItem,
    WriteProduct,
    Written,
)
from mappings.items import AliasFacts, ItemFacts, ItemLookup
from mappings.pair import Pace, Pair, Products
from mappings.problems import Problem
from mappings.products import (
    BUCKETS,
    UNKNOWN_CHANGE,
    Action,
    Agreed,
    Changed,
    Difference,
    Looked,
    NewItem,
    ProductPlan,
    Reason,
    SideChange,
    SideDigests,
    WebProduct,
    agreed_now,
    bucket_of,
    find_item,
    plan_product,
    read_product,
)

NAME, PRICE, ACTIVE = "ItemCodeDesc", "StandardUnitPrice", "InactiveItem"
LENGTHS = {"ItemCode": 30, NAME: 30}
FIELDS: list[dict[str, Any]] = [
    {"sage": NAME, "clarity": "name", "owner": "clarity"},
    {"sage": PRICE, "clarity": "price", "owner": "sage", "per": "sales"},
    {"sage": ACTIVE, "clarity": "active", "owner": "sage", "values": {"N": True, "Y": False}},
    {"sage": "Category1", "clarity": "attributes.colour", "owner": "clarity"},
]
CREATES = {"new_products": "approve", "template": {"ProductLine": "WEB", "SalesUMConvFctr": "10"}}


@pytest.fixture(scope="module")
def shop(pair: Pair) -> Pair:
    return with_rules(pair)


def with_rules(pair: Pair, **rules: Any) -> Pair:
    return pair.model_copy(update={"products": Products.model_validate({"fields": FIELDS, **rules})})


def body(**fields: Any) -> dict[str, Any]:
    usual = {"id": 7, "sku": "DESK", "name": "Desk", "price": "349.00", "active": True, "attributes": {"colour": ""}}
    return {name: value for name, value in {**usual, **fields}.items() if value is not ...}


def columns(**changes: str) -> dict[str, str]:
    return {NAME: "Desk", PRICE: "349.000000", ACTIVE: "N", "Category1": "", **changes}


def an_item(**changes: Any) -> ItemFacts:
    return ItemFacts(ItemCode="DESK", ItemCodeDesc="Desk", ProductLine="WEB").model_copy(update=changes)


DESK = an_item()


def plan(
    pair: Pair,
    product: Mapping[str, Any],
    stored: Mapping[str, str] | None = None,
    *,
    item: ItemFacts | Problem | None = DESK,
    base: Mapping[str, Agreed] | None = None,
    told: Mapping[str, Changed] | None = None,
    lengths: Mapping[str, int] = LENGTHS,
    before: Mapping[str, str | None] | None = None,
    patient: bool = False,
) -> ProductPlan:
    read = read_product(product, pair)
    assert read is not None
    there = columns() if stored is None else stored
    return plan_product(
        read, item, there, pair, lengths=lengths, base=base or {}, told=told or {}, before=before, patient=patient
    )


def one(found: ProductPlan) -> Difference:
    (difference,) = found.differences
    return difference


# ---- whose change it is ---------------------------------------------------------------------------------------------

SAGE_ONLY, CLARITY_ONLY, BOTH, NEITHER = (
    Changed(True, False),
    Changed(False, True),
    Changed(True, True),
    Changed(False, False),
)


@pytest.mark.parametrize(
    ("column", "changed", "conflicts", "action", "conflict"),
    [
        # The store owns the name.
        (NAME, CLARITY_ONLY, "owner", Action.TO_SAGE, False),
        (NAME, SAGE_ONLY, "owner", Action.TO_SAGE, True),
        (NAME, BOTH, "owner", Action.TO_SAGE, True),
        (NAME, NEITHER, "owner", Action.LEFT, False),
        (NAME, CLARITY_ONLY, "ask", Action.TO_SAGE, False),
        (NAME, SAGE_ONLY, "ask", Action.ASK, True),
        (NAME, BOTH, "ask", Action.ASK, True),
        # Sage owns the price.
        (PRICE, SAGE_ONLY, "owner", Action.TO_CLARITY, False),
        (PRICE, CLARITY_ONLY, "owner", Action.TO_CLARITY, True),
        (PRICE, BOTH, "owner", Action.TO_CLARITY, True),
        (PRICE, NEITHER, "owner", Action.LEFT, False),
        (PRICE, SAGE_ONLY, "ask", Action.TO_CLARITY, False),
        (PRICE, CLARITY_ONLY, "ask", Action.ASK, True),
    ],
)
def test_the_owners_change_is_written_and_any_other_is_a_conflict(
    pair: Pair, column: str, changed: Changed, conflicts: str, action: Action, conflict: bool
) -> None:
    rules = with_rules(pair, conflicts=conflicts)
    product = body(name="Desk, oak") if column == NAME else body(price=300)
    found = one(plan(rules, product, told={column: changed}))
    assert (found.column, found.action, found.conflict) == (column, action, conflict)
    assert found.told is conflict
    assert bool(found.why), "people read why"


@pytest.mark.parametrize("patient", [True, False])
def test_where_nobody_knows_who_changed_it_the_owner_counts_and_what_is_replaced_is_told(
    shop: Pair, patient: bool
) -> None:
    name = one(plan(shop, body(name="Desk, oak"), patient=patient))
    price = one(plan(shop, body(price=300), patient=patient))
    if patient:
        # A webhook: the store changed something. What it owns is written; the rest is left to who sees both sides.
        assert (name.action, name.told, price.action) == (Action.TO_SAGE, False, Action.LATER)
    else:
        assert (name.action, name.unsure, name.told) == (Action.TO_SAGE, True, True)
        assert (price.action, price.unsure, price.told) == (Action.TO_CLARITY, True, True)


def test_the_last_run_knows_which_side_changed_and_the_catch_up_knows_better(shop: Pair) -> None:
    agreed = {PRICE: agreed_now("349", "349")}
    assert one(plan(shop, body(price=300), base=agreed)).why == "changed in the store; Sage owns it"
    assert one(plan(shop, body(), columns(**{PRICE: "360"}), base=agreed)).why == "Sage changed it"
    both = one(plan(shop, body(price=300), columns(**{PRICE: "360"}), base=agreed))
    assert both.why == "changed on both sides; Sage owns it"
    left = {PRICE: agreed_now("349", "300")}
    assert one(plan(shop, body(price=300), base=left)).action is Action.LEFT
    told = {PRICE: SAGE_ONLY}
    assert one(plan(shop, body(price=300), columns(**{PRICE: "360"}), base=agreed, told=told)).conflict is False
    assert one(plan(shop, body(price=300), base=agreed, told={PRICE: UNKNOWN_CHANGE})).conflict is True


@pytest.mark.parametrize(
    ("before", "stored", "action", "conflict"),
    [
        ({NAME: "Desk"}, {}, Action.TO_SAGE, False),
        ({NAME: "Desk"}, {NAME: "Renamed in Sage"}, Action.TO_SAGE, True),
        ({NAME: "Desk, oak"}, {NAME: "Renamed in Sage"}, Action.LATER, False),
        ({}, {NAME: "Renamed in Sage"}, Action.TO_SAGE, False),
    ],
    ids=["only the store", "both since the last look", "the store has not changed", "nobody remembers"],
)
def test_a_webhook_knows_by_what_the_store_had_at_the_last_look(
    shop: Pair, before: dict[str, str | None], stored: dict[str, str], action: Action, conflict: bool
) -> None:
    found = one(plan(shop, body(name="Desk, oak"), columns(**stored), before=before, patient=True))
    assert (found.action, found.conflict) == (action, conflict)
    price = one(plan(shop, body(price=300), before={PRICE: "349"}, patient=True))
    assert (price.action, price.why) == (Action.TO_CLARITY, "changed in the store; Sage owns it")


# ---- values ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("product", "stored"),
    [
        (body(), columns()),
        (body(price=349), columns(**{PRICE: "349"})),
        (body(), columns(**{PRICE: "349.0004"})),
        (body(name="  Desk "), columns()),
        (body(active=False), columns(**{ACTIVE: "Y"})),
        (body(active=True), columns(**{ACTIVE: ""})),
        (body(attributes={"colour": "red"}), columns(Category1="red")),
        (body(attributes={}), columns(Category1="red")),
        (body(name=...), columns()),
    ],
    ids=[
        "same",
        "number",
        "company decimals",
        "blanks",
        "flag",
        "empty flag",
        "custom",
        "custom untold",
        "name untold",
    ],
)
def test_what_means_the_same_is_no_difference(shop: Pair, product: dict[str, Any], stored: dict[str, str]) -> None:
    found = [
        one for one in plan(shop, product, stored).differences if one.column != PRICE or product["price"] != "349.0004"
    ]
    assert found == []


def test_a_price_of_a_case_is_that_of_its_pieces(shop: Pair) -> None:
    case = an_item(SalesUnitOfMeasure="CASE", SalesUMConvFctr=Decimal(10), StandardUnitOfMeasure="EACH")
    assert plan(shop, body(price="54.90"), columns(**{PRICE: "5.49"}), item=case).is_in_step
    found = one(plan(shop, body(price="5.49"), columns(**{PRICE: "5.49"}), item=case))
    assert (found.sage, found.clarity) == ("54.9", "5.49")


@pytest.mark.parametrize(
    ("changes", "lengths", "words"),
    [
        ({"name": "x" * 31}, LENGTHS, "has 31 characters, ItemCodeDesc takes 30"),
        ({"name": "x" * 26}, {NAME: 25}, "has 26 characters, ItemCodeDesc takes 25"),
        ({"name": "x" * 31}, {}, "has 31 characters, ItemCodeDesc takes 30"),
        ({"attributes": {"colour": "x" * 11}}, LENGTHS, "has 11 characters, Category1 takes 10"),
        ({"name": "tab\x07bell"}, LENGTHS, "cannot be printed"),
    ],
)
def test_what_does_not_fit_is_told_and_never_cut(
    shop: Pair, changes: dict[str, Any], lengths: dict[str, int], words: str
) -> None:
    found = plan(shop, body(price=300, **changes), told={PRICE: SAGE_ONLY}, lengths=lengths)
    assert [(one.action, one.column) for one in found.differences if one.column != PRICE] == [
        (Action.REFUSED, NAME if "name" in changes else "Category1")
    ]
    assert words in found.problems[0].message
    assert found.problems[0].suggestion.endswith(".")
    assert [one.column for one in found.to(Action.TO_CLARITY)] == [PRICE], "the other fields go on"


def test_a_number_that_the_store_owns_keeps_the_companys_decimals(pair: Pair) -> None:
    owned = with_rules(pair, fields=[{"sage": PRICE, "clarity": "price", "owner": "clarity"}])
    assert "more than 3 decimals" in plan(owned, body(price="1.2345"), columns(**{PRICE: "1"})).problems[0].message
    by_case = with_rules(pair, fields=[{"sage": PRICE, "clarity": "price", "owner": "clarity", "per": "sales"}])
    six = an_item(SalesUMConvFctr=Decimal(6))
    assert plan(by_case, body(price="1"), columns(**{PRICE: "1"}), item=six).problems, "a sixth cannot be written"
    assert not plan(by_case, body(price="12"), columns(**{PRICE: "1"}), item=six).problems


@pytest.mark.parametrize(
    ("changes", "stored", "words"),
    [
        ({"active": "maybe"}, {}, "active is 'maybe'"),
        ({"price": "dear"}, {}, "which is no number"),
        ({}, {ACTIVE: "X"}, "InactiveItem is 'X'"),
        ({}, {PRICE: "dear"}, "StandardUnitPrice is 'dear'"),
        ({"name": ["Desk"]}, {}, "which is no text"),
    ],
)
def test_values_that_make_no_sense_are_told(
    shop: Pair, changes: dict[str, Any], stored: dict[str, str], words: str
) -> None:
    found = plan(shop, body(**changes), columns(**stored))
    assert any(words in one.message for one in found.problems)
    assert not found.to(Action.TO_SAGE), "nonsense is written nowhere"


@pytest.mark.parametrize(
    "bad", [{"id": None}, {"sku": ""}, {"sku": "x" * 65}, {"id": True}, {"sku": "a\nb"}, {"id": 10**70}]
)
def test_what_has_no_id_or_sku_is_no_product(shop: Pair, bad: dict[str, Any]) -> None:
    assert read_product(body(**bad), shop) is None


# ---- which products -------------------------------------------------------------------------------------------------


def test_products_that_are_not_meant_are_left_alone_with_a_reason(pair: Pair, shop: Pair) -> None:
    assert plan(with_rules(pair, skip=["desk"]), body(name="x")).left_alone is Reason.SKIPPED
    toys = with_rules(pair, when="item.product_line == 'TOYS'")
    assert plan(toys, body(name="x")).left_alone is Reason.OTHER_ITEMS
    assert plan(shop, body(name="x"), item=an_item(ItemType="4")).left_alone is Reason.NO_GOODS
    assert plan(shop, body(name="x"), item=None).left_alone is Reason.NO_ITEM
    problem = Problem(field="sku", message="DESK is an alias of several items: A, B.")
    assert plan(shop, body(name="x"), item=problem).problems == [problem]


def test_a_product_under_another_name_takes_what_sage_owns_and_gives_nothing(pair: Pair, shop: Pair) -> None:
    product = body(sku="OAK-DESK", name="Desk under another name", price=1)
    assert [one.column for one in plan(shop, product).differences] == [PRICE]
    both = with_rules(pair, other_names="both")
    assert [one.column for one in plan(both, product).differences] == [NAME, PRICE]


def test_a_sku_is_an_item_an_alias_or_an_entry_of_the_pair_file_inactive_or_not(pair: Pair) -> None:
    item = an_item(ItemCode="DESK-OAK-120", InactiveItem=True)
    alias = AliasFacts(AliasItemNo="OAK", ItemCode="DESK-OAK-120")
    lookup = ItemLookup(None, {item.ItemCode: item}, [alias], pair)
    for sku in ("DESK-OAK-120", "desk-oak-120", "OAK", "LEGACY-1001"):
        assert find_item(sku, lookup, pair) == item
    assert find_item("STOOL", lookup, pair) is None
    broken = ItemLookup(None, {}, [alias], pair)
    assert isinstance(find_item("OAK", broken, pair), Problem)


# ---- new products ---------------------------------------------------------------------------------------------------


def test_a_new_product_becomes_an_item_by_the_template_and_its_fields(pair: Pair) -> None:
    rules = with_rules(pair, **CREATES)
    found = plan(rules, body(sku="STOOL", name="Stool", price="79", attributes={"colour": "red"}), item=None)
    assert found.new_item == NewItem(
        ItemCode="STOOL",
        columns={
            "ProductLine": "WEB",
            "SalesUMConvFctr": "10",
            NAME: "Stool",
            PRICE: "7.9",
            ACTIVE: "N",
            "Category1": "red",
        },
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sku": "S" * 31}, "ItemCode takes 30"),
        ({"name": "x" * 31}, "ItemCodeDesc takes 30"),
        ({"active": 7}, "active is '7'"),
        ({"price": "0.0001"}, "decimals"),
    ],
)
def test_a_new_product_that_does_not_fit_makes_no_item(pair: Pair, changes: dict[str, Any], words: str) -> None:
    found = plan(with_rules(pair, **CREATES), body(**changes), item=None)
    assert found.new_item is None
    assert any(words in one.message for one in found.problems)


# ---- what the catch-up remembers ------------------------------------------------------------------------------------


def side(**values: str) -> SideDigests:
    digests = SideDigests()
    for name, value in values.items():
        digests.add(name, PRICE, value)
    return digests.known()


def test_a_change_is_seen_at_its_field_and_survives_its_text() -> None:
    before, now = side(DESK="1", LAMP="2", CHAIR="3"), side(CHAIR="3", LAMP="2", DESK="9")
    look = Looked(SideChange.between(SideDigests(before.text), SideDigests(now.text)))
    assert (look.changed("desk", PRICE), look.changed("LAMP", PRICE), look.changed("CHAIR", NAME)) == (
        True,
        False,
        False,
    )
    assert look.differs("DESK", PRICE)
    assert len(before.text) < 4200


def test_of_a_forgotten_bucket_nobody_knows_and_it_is_looked_at() -> None:
    known = side(DESK="1")
    known.forget(bucket_of("DESK", PRICE))
    look = Looked(SideChange.between(SideDigests(known.text), side(DESK="1")))
    assert look.changed("DESK", PRICE) is None
    assert look.differs("DESK", PRICE)
    nothing = Looked(SideChange.between(SideDigests(), side(DESK="1")))
    assert nothing.changed("LAMP", NAME) is None
    assert 0 <= bucket_of("DESK", PRICE) < BUCKETS
    assert SideDigests("no base64").text == SideDigests().text


# ---- writing --------------------------------------------------------------------------------------------------------


class Gateway:
    """An item master that refuses a description."""

    def __init__(self, **items: dict[str, str]) -> None:
        self.items: dict[str, dict[str, Any]] = {}
        for code, columns in items.items():
            self.items[code] = {"ItemCode": code, **columns}
        self.calls: list[str] = []
        self.lose_answer = False

    async def get_item(self, code: str) -> dict[str, str] | None:
        self.calls.append("get")
        return dict(self.items[code]) if code in self.items else None

    async def create_item(self, code: str, columns: Mapping[str, str]) -> None:
        self.calls.append("create")
        if code in self.items:
            raise AlreadyExists("Sage gateway", "POST", "exists", status=409)
        self.items[code] = {"ItemCode": code, **columns}

    async def change_item(self, code: str, columns: Mapping[str, str]) -> None:
        self.calls.append("change")
        if columns.get(NAME) == "refused":
            raise Refused("Sage gateway", "PATCH", "no", status=422, field=NAME)
        self.items[code] |= columns


class Store(Gateway):
    """A store that refuses a price."""

    async def get_product(self, product_id: str) -> dict[str, Any]:
        self.calls.append("get")
        if product_id not in self.items:
            raise NotFound("Clarity", "GET", "gone", status=404)
        return dict(self.items[product_id])

    async def patch_product(self, product_id: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        self.calls.append("change")
        if fields.get("price") == "13":
            raise Refused("Clarity", "PATCH", "no", status=422, field="price")
        self.items[product_id] |= fields
        return dict(self.items[product_id])


def differs(column: str, field: str, sage: str | None, clarity: str | None, **more: Any) -> Difference:
    usual = {"owner": "clarity", "action": "to_sage"}
    return Difference(column=column, field=field, sage=sage, clarity=clarity, **{**usual, **more})


async def write(shop: Pair, gateway: Gateway, *differences: Difference) -> Written:
    sage = SageProductActivities(shop, cast(SageReader, None), gateway, asyncio.Semaphore(1))
    request = WriteItem(pair="demo", ItemCode="DESK", sku="DESK", differences=list(differences))
    written: Written = await ActivityEnvironment().run(sage.write_item, request)
    return written


async def test_sage_is_written_only_upon_what_was_seen_and_the_same_again_changes_nothing(shop: Pair) -> None:
    gateway = Gateway(DESK={NAME: "Desk", "Category1": "red"})
    wanted = (differs(NAME, "name", "Desk", "Desk, oak"), differs("Category1", "attributes.colour", "red", "blue"))
    assert await write(shop, gateway, *wanted) == Written()
    assert (gateway.items["DESK"][NAME], gateway.items["DESK"]["Category1"]) == ("Desk, oak", "blue")
    assert await write(shop, gateway, *wanted) == Written()
    assert gateway.calls == ["get", "change", "get"]
    gateway.items["DESK"][NAME] = "Somebody's"
    assert (await write(shop, gateway, *wanted)).moved
    assert gateway.items["DESK"][NAME] == "Somebody's"
    assert (await write(shop, Gateway(), *wanted)).moved, "the item is gone"


async def test_a_column_that_sage_refuses_keeps_no_other_back(shop: Pair) -> None:
    gateway = Gateway(DESK={NAME: "Desk", "Category1": "red"})
    name = differs(NAME, "name", "Desk", "refused")
    written = await write(shop, gateway, name, differs("Category1", "attributes.colour", "red", "blue"))
    assert list(written.refused) == [NAME]
    assert (gateway.items["DESK"][NAME], gateway.items["DESK"]["Category1"]) == ("Desk", "blue")


async def test_the_store_is_written_likewise(shop: Pair) -> None:
    store = Store()
    store.items["7"] = body()
    clarity = StoreProductActivities(shop, cast(ClarityClient, store))
    prices = differs(PRICE, "price", "360", "349", owner="sage"), differs(ACTIVE, "active", "Y", "N", owner="sage")

    async def told(*differences: Difference) -> Written:
        request = WriteProduct(pair="demo", product_id="7", differences=list(differences))
        written: Written = await ActivityEnvironment().run(clarity.write_product, request)
        return written

    written = await told(*prices)
    assert (store.items["7"]["price"], store.items["7"]["active"]) == ("360", False)
    assert written.product is not None
    assert written.product.values[PRICE] == "360"
    assert not (await told(*prices)).moved
    assert store.calls.count("change") == 1
    assert (await told(differs(PRICE, "price", "370", "349", owner="sage"))).moved
    refused = await told(
        differs(PRICE, "price", "13", "360", owner="sage"), differs(ACTIVE, "active", "N", "Y", owner="sage")
    )
    assert list(refused.refused) == [PRICE]
    assert (store.items["7"]["price"], store.items["7"]["active"]) == ("360", True)
    read = await ActivityEnvironment().run(clarity.read_product, ReadProduct(pair="demo", product_id="8"))
    assert read.product is None


async def test_an_item_is_created_once_and_another_ones_is_not_ours(shop: Pair) -> None:
    gateway = Gateway()
    sage = SageProductActivities(shop, cast(SageReader, None), gateway, asyncio.Semaphore(1))
    request = CreateItem(pair="demo", new_item=NewItem(ItemCode="STOOL", columns={NAME: "Stool", PRICE: "7.90"}))
    assert (await ActivityEnvironment().run(sage.create_item, request)).created
    gateway.items["STOOL"][PRICE] = "7.900000"
    assert (await ActivityEnvironment().run(sage.create_item, request)).created, "its answer was lost"
    gateway.items["STOOL"][NAME] = "Somebody's stool"
    assert not (await ActivityEnvironment().run(sage.create_item, request)).created
    assert gateway.calls.count("create") == 1
    assert gateway.items["STOOL"][NAME] == "Somebody's stool"


# ---- reading all ----------------------------------------------------------------------------------------------------


class Listing:
    """A store's list, two a page, oldest change first; `fails` calls do not answer."""

    page_size = 2

    def __init__(self, *products: dict[str, Any]) -> None:
        self.products = list(products)
        self.asked: list[tuple[datetime | None, int]] = []
        self.fails = 0

    async def list_products(self, since: datetime | None, page: int) -> OrderPage:
        self.asked.append((since, page))
        if self.fails:
            self.fails -= 1
            raise RetryLater("Clarity", "GET", "not now")
        found = [one for one in self.products if since is None or one["updatedDate"] >= since.isoformat()]
        found.sort(key=lambda one: str(one["updatedDate"]))
        return OrderPage(items=found[page * 2 : page * 2 + 2], totalCount=len(found))


def stamped(sku: str, minute: int, **more: Any) -> dict[str, Any]:
    return {**body(id=sku, sku=sku, **more), "updatedDate": f"2026-11-20T10:{minute:02}:00+00:00"}


async def listed(store: StoreProductActivities, **more: Any) -> ProductsListed:
    usual: dict[str, Any] = {"pair": "demo", "pace": Pace(), "reading": "first", "memory": CatchUpMemory(), "sage": ""}
    answer: ProductsListed = await ActivityEnvironment().run(store.list_products, ListProducts(**{**usual, **more}))
    return answer


async def test_the_stores_list_is_read_whole_once_and_then_what_changed(
    shop: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.products.PAGE_PRODUCTS", 2)
    listing = Listing(*(stamped(sku, minute) for minute, sku in enumerate("ABCDE")), {"id": "no sku"} | stamped("", 7))
    store = StoreProductActivities(shop, cast(ClarityClient, listing))
    first = await listed(store)
    assert ([one.sku for one in first.products], first.after, first.listed) == (["A", "B"], ["B", "B"], 5)
    assert first.unreadable == 1
    rest = await listed(store, after=["B", "B"])
    last = await listed(store, after=rest.after)
    assert ([one.sku for one in (*rest.products, *last.products)], last.after) == (["C", "D", "E"], None)
    assert {since for since, _ in listing.asked} == {None}
    memory = CatchUpMemory(clarity=first.clarity, sage=SideDigests().known().text, rules=first.rules)
    listing.products[2] = stamped("C", 30, name="Changed")
    changed = await listed(store, reading="second", memory=memory, sage=memory.sage)
    assert [one.sku for one in changed.products] == ["C"]
    assert Looked(changed.clarity_change).changed("C", NAME) is True
    assert listing.asked[-1][0] is not None, "only what changed"
    same = await listed(store, reading="third", memory=memory.model_copy(update={"clarity": changed.clarity}), sage="")
    assert len(same.products) == 2, "Sage's side is unknown: everything is looked at"
    other_rules = memory.model_copy(update={"rules": "other"})
    assert (await listed(store, reading="fourth", memory=other_rules, sage=memory.sage)).after is not None
    one = await listed(store, reading="fifth", memory=memory, sage=memory.sage, everything=True, skus=["b"])
    assert [product.sku for product in one.products] == ["B"]


async def test_what_was_not_read_before_a_failure_is_read_the_next_time(shop: Pair) -> None:
    listing = Listing(*(stamped(sku, minute) for minute, sku in enumerate("ABC")))
    store = StoreProductActivities(shop, cast(ClarityClient, listing))
    await listed(store)
    listing.products += [stamped("D", 40), stamped("E", 50)]
    listing.fails = 1
    with pytest.raises(RetryLater):
        await listed(store, reading="second")
    assert {one.sku for one in (await listed(store, reading="second")).products} == set("ABCDE")


class Reader:
    """Sage's items; one of them cannot be read."""

    async def aliases(self, codes: list[str]) -> list[AliasFacts]:
        return [AliasFacts(AliasItemNo="OAK", ItemCode="DESK")] if "OAK" in codes else []

    async def product_items(self, codes: Iterable[str], _: object) -> tuple[dict[str, ProductItem], set[str]]:
        wanted = set(codes)
        found: dict[str, ProductItem] = {}
        for code in wanted & {"DESK", "LAMP"}:
            found[code] = ProductItem(an_item(ItemCode=code), columns())
        return found, {"BROKEN"} & wanted

    async def column_lengths(self, _: str) -> dict[str, int]:
        return LENGTHS


async def test_one_product_that_cannot_be_compared_keeps_no_other_back(
    shop: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    sage = SageProductActivities(shop, cast(SageReader, Reader()), Gateway(), asyncio.Semaphore(1))
    names = ("DESK", "OAK", "LAMP", "BROKEN", "NONE")
    products = [read_product(body(id=sku, sku=sku, name=f"New {sku}"), shop) for sku in names]
    nothing = SideChange.between(SideDigests(), SideDigests())
    request = CompareProducts(pair="demo", pace=Pace(), products=products, sage_change=nothing, clarity_change=nothing)

    def bug(product: WebProduct, *more: Any, **further: Any) -> ProductPlan:
        if product.sku == "LAMP":
            raise ZeroDivisionError("a bug")
        return plan_product(product, *more, **further)

    monkeypatch.setattr("activities.products.plan_product", bug)
    compared: ProductsCompared = await ActivityEnvironment().run(sage.compare_products, request)
    found = {one.plan.product.sku: one.plan for one in compared.found}
    assert [one.column for one in found["DESK"].differences] == [NAME]
    assert "ZeroDivisionError" in found["LAMP"].problems[0].message
    assert "cannot be read" in found["BROKEN"].problems[0].message
    assert (compared.in_step, compared.left_alone) == (1, {"no_item": 1}), "the alias gives nothing"
