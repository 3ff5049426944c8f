"""What the store may sell: rules 7 as arithmetic, the pair's rules, kits, orders under way, and digests."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.inventory import InventoryAction, InventoryProgress, StockReading
from mappings.decisions import UNDECIDED
from mappings.inventory import (
    BUCKETS,
    DIGEST_BYTES,
    UNKNOWN,
    Catalogue,
    Digests,
    KitComponent,
    NeededStock,
    OrderNeeds,
    StockRow,
    bucket_of,
    by_bucket,
    canonical_item,
    codes_of,
    digest_of,
    needs_of,
    pending,
    sellable,
)
from mappings.items import AliasFacts, ItemFacts, WarehouseStock
from mappings.pair import Inventory, ItemEntry, Pair, read_folder
from mappings.pair_examples import SMALLEST
from mappings.sales_order import CustomerKey
from mappings.transform import transform
from tests.support.pair_files import merged, read
from tests.unit.conftest import SAMPLES
from workers.__main__ import build_parser
from workers.inventory import action_of, in_words, run_inventory
from workers.settings import Settings, SettingsError

D = Decimal


def with_inventory(pair: Pair, items: Mapping[str, ItemEntry] | None = None, **section: Any) -> Pair:
    """The demo pair with this section `inventory` (two of Sage's warehouses into MAIN, one is EAST)."""
    section = {"warehouses": {"000": "MAIN", "001": "MAIN", "002": "EAST"}, **section}
    update: dict[str, Any] = {"inventory": Inventory.model_validate(section), "items": dict(items or {})}
    return pair.model_copy(update=update)


def item(code: str = "A", *stock: str | WarehouseStock, **fields: Any) -> ItemFacts:
    """An item with these quantities on hand in 000, 001, 002."""
    facts: dict[str, Any] = {
        "ItemCode": code,
        "StandardUnitOfMeasure": "EACH",
        "SalesUnitOfMeasure": "EACH",
        "DefaultWarehouseCode": "000",
        "warehouses": {
            f"00{place}": one if isinstance(one, WarehouseStock) else WarehouseStock(QuantityOnHand=D(one))
            for place, one in enumerate(stock)
        },
        **fields,
    }
    return ItemFacts(**facts)


def told(pair: Pair, *items: ItemFacts, **more: Any) -> dict[tuple[str, str], int]:
    """What the store is told of these items."""
    catalogue = Catalogue(pair, more.get("accepted", {}), more.get("kits", {}), more.get("aliases", ()))
    for one in items:
        catalogue.add(one)
    rows = catalogue.rows()
    assert len({row[:2] for row in rows}) == len(rows)
    return {(row.sku, row.warehouse): row.quantity for row in rows}


# ---- one number -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("available", "safety", "accepted", "units", "expected"),
    [
        ("10", "0", "0", "1", 10),
        ("10", "3", "2", "1", 5),
        ("10", "3", "8", "1", 0),
        ("-4", "0", "0", "1", 0),
        ("25", "0", "0", "10", 2),
        ("25", "4", "2", "10", 1),
        ("0.999999", "0", "0", "1", 0),
        ("7.5", "0", "0", "2.5", 3),
        ("7.5", "0", "0", "0", 0),
    ],
)
def test_the_sentence_of_rule_7(available: str, safety: str, accepted: str, units: str, expected: int) -> None:
    assert sellable(D(available), D(safety), D(accepted), D(units)) == expected


QUANTITIES = st.decimals(min_value=-1000, max_value=100_000, places=2)
POSITIVE = st.decimals(min_value=0, max_value=1000, places=2)


@given(QUANTITIES, POSITIVE, POSITIVE, st.decimals(min_value="0.01", max_value=500, places=2))
def test_never_below_zero_and_never_more_than_there_is(
    available: Decimal, safety: Decimal, accepted: Decimal, units: Decimal
) -> None:
    count = sellable(available, safety, accepted, units)
    assert count >= 0
    assert count == 0 or count * units + safety + accepted <= available
    assert (count + 1) * units + safety + accepted > available, "one more would be too many"


def test_what_sage_promises_elsewhere_is_not_sold_twice(pair: Pair) -> None:
    stock = WarehouseStock(
        QuantityOnHand=D(20), QuantityOnSalesOrder=D(5), QuantityOnBackOrder=D(2), QuantityRequiredForWO=D(1)
    )
    assert told(with_inventory(pair), item("A", stock)) == {("A", "MAIN"): 12, ("A", "EAST"): 0}


# ---- warehouses, units, names ---------------------------------------------------------------------------------------


def test_several_warehouses_of_sage_are_one_of_the_store_and_others_are_not_counted(pair: Pair) -> None:
    stocked = item("A", "3", "4", "5", "100")
    assert told(with_inventory(pair), stocked) == {("A", "MAIN"): 7, ("A", "EAST"): 5}


def test_what_one_warehouse_has_promised_too_much_the_other_one_pays(pair: Pair) -> None:
    short = WarehouseStock(QuantityOnHand=D(1), QuantityOnSalesOrder=D(4))
    assert told(with_inventory(pair), item("A", short, "5"))["A", "MAIN"] == 2


def test_an_item_without_a_row_in_a_warehouse_counts_zero_there(pair: Pair) -> None:
    assert told(with_inventory(pair), item("A")) == {("A", "MAIN"): 0, ("A", "EAST"): 0}


def test_the_store_counts_in_what_it_sells(pair: Pair) -> None:
    paper = item("PAPER-CS", "64", SalesUnitOfMeasure="CASE", SalesUMConvFctr=D(10))
    names = {
        "PAPER-REAM": ItemEntry(item="PAPER-CS", unit="EACH"),
        "PAPER-SACK": ItemEntry(item="PAPER-CS", unit="BAG"),
    }
    found = told(with_inventory(pair, names), paper)
    assert (found["PAPER-CS", "MAIN"], found["PAPER-REAM", "MAIN"]) == (6, 64)
    assert found["PAPER-SACK", "MAIN"] == 0, "a unit that the item has not would hold every order of it"


def test_an_items_own_code_counts_before_other_items_names(pair: Pair) -> None:
    names = {"B": ItemEntry(item="A"), "C": ItemEntry(item="A")}
    found = told(with_inventory(pair, names), item("A", "1"), item("B", "2"))
    assert [found[sku, "MAIN"] for sku in "ABC"] == [1, 2, 1]


def test_general_aliases_count_where_the_pair_says_so_and_only_if_they_mean_one_item(pair: Pair) -> None:
    aliases = [
        AliasFacts(AliasItemNo="ALSO-A", ItemCode="A"),
        AliasFacts(AliasItemNo="TWO", ItemCode="A"),
        AliasFacts(AliasItemNo="TWO", ItemCode="B"),
        AliasFacts(AliasItemNo="VENDOR", ItemCode="A", Type="V"),
    ]
    goods = [item("A", "1"), item("B", "2")]
    assert {sku for sku, _ in told(with_inventory(pair), *goods, aliases=aliases)} == {"A", "B"}
    assert {sku for sku, _ in told(with_inventory(pair, aliases=True), *goods, aliases=aliases)} == {"A", "B", "ALSO-A"}


# ---- which items ----------------------------------------------------------------------------------------------------


def test_without_rules_regular_items_count_inactive_ones_are_zero_and_the_rest_is_left_alone(pair: Pair) -> None:
    found = told(
        with_inventory(pair),
        item("GOODS", "3"),
        item("OLD", "3", InactiveItem=True),
        item("VENDOR", "3", DropShip=True),
        item("/SERVICE", ItemType="5"),
        item("/CHARGE", ItemType="3"),
        item("/C", ItemType="4"),
        item("SPECIAL", ItemType="2"),
    )
    assert {sku: count for (sku, warehouse), count in found.items() if warehouse == "MAIN"} == {"GOODS": 3, "OLD": 0}


def test_the_first_rule_that_holds_says_what_the_store_is_told(pair: Pair) -> None:
    rules = [
        {"when": "item.product_line == 'TOYS'", "safety_stock": "4"},
        {"when": "item.item_code.starts_with('MTO-')", "count": "none"},
        {"when": "item.drop_shipped or item.kind == 'miscellaneous'", "count": "fixed", "quantity": 99},
        {"when": "item.product_line == 'TOYS' and item.drop_shipped", "count": "none"},
    ]
    shop = with_inventory(pair, rules=rules, safety_stock="1")
    found = told(
        shop,
        item("TOY", "10", ProductLine="TOYS"),
        item("CHAIR", "10", ProductLine="CHAIRS"),
        item("MTO-1", "10"),
        item("VENDOR", "0", DropShip=True),
        item("VENDOR-OLD", "0", DropShip=True, InactiveItem=True),
        item("/SERVICE", ItemType="5"),
    )
    main = {sku: count for (sku, warehouse), count in found.items() if warehouse == "MAIN"}
    assert main == {"TOY": 6, "CHAIR": 9, "VENDOR": 99, "VENDOR-OLD": 0, "/SERVICE": 99}


def test_rules_see_what_sage_says_of_the_item() -> None:
    facts = item("A", "1", ProductLine="L", ProductType="F", TaxClass="TX", ItemType="5", AllowBackOrders=False)
    seen = canonical_item(facts)
    assert (seen.product_line, seen.product_type, seen.tax_class, seen.kind) == ("L", "F", "TX", "miscellaneous")
    assert not seen.allows_back_orders


# ---- kits -----------------------------------------------------------------------------------------------------------

KIT = {
    "KIT": [
        KitComponent(ItemCode="SHELF", QuantityPerAssembly=D(2)),
        KitComponent(ItemCode="LAMP", QuantityPerAssembly=D(1)),
        KitComponent(ItemCode="/HINT", QuantityPerAssembly=D(1)),
    ]
}
HINT = item("/HINT", ItemType="4")


def of_kit(pair: Pair, *items: ItemFacts, **more: Any) -> tuple[int, int]:
    found = told(pair, item("KIT", ProductType="K"), *items, kits=KIT, **more)
    return found["KIT", "MAIN"], found["KIT", "EAST"]


def test_a_kit_is_as_many_as_its_scarcest_component_makes(pair: Pair) -> None:
    shop = with_inventory(pair)
    assert of_kit(shop, item("SHELF", "9"), item("LAMP", "3", "0", "8"), HINT) == (3, 0)
    assert of_kit(shop, item("SHELF", "5", "0", "5"), item("LAMP", "8", "0", "1"), HINT) == (2, 1)


def test_a_component_on_two_lines_of_a_kit_is_taken_twice(pair: Pair) -> None:
    kit = [KitComponent(ItemCode="BOLT", QuantityPerAssembly=D(quantity)) for quantity in (2, 3)]
    found = told(with_inventory(pair), item("KIT", ProductType="K"), item("BOLT", "10"), kits={"KIT": kit})
    assert found["KIT", "MAIN"] == 2


def test_safety_stock_and_accepted_orders_of_a_component_count_for_the_kit(pair: Pair) -> None:
    shop = with_inventory(pair, safety_stock="1")
    assert of_kit(shop, item("SHELF", "9"), item("LAMP", "9"), HINT, accepted={("SHELF", "000"): D(3)}) == (2, 0)


def test_a_kit_with_an_unknown_or_inactive_component_is_none(pair: Pair) -> None:
    shop = with_inventory(pair)
    assert of_kit(shop, item("SHELF", "9"), HINT) == (0, 0)
    assert of_kit(shop, item("SHELF", "9"), item("LAMP", "9", InactiveItem=True), HINT) == (0, 0)
    assert told(shop, item("KIT", ProductType="K"))["KIT", "MAIN"] == 0


# ---- orders under way -----------------------------------------------------------------------------------------------


def order(*lines: NeededStock, customer: CustomerKey | None = None) -> OrderNeeds:
    return OrderNeeds(customer, lines)


def line(sku: str, quantity: str, **fields: str) -> NeededStock:
    return NeededStock(sku=sku, quantity=D(quantity), **fields)


def known(*items: ItemFacts) -> dict[str, ItemFacts]:
    return {one.ItemCode: one for one in items}


def test_accepted_orders_take_in_standard_units_from_the_warehouse_they_ship_from(pair: Pair) -> None:
    paper = item("PAPER", SalesUnitOfMeasure="CASE", SalesUMConvFctr=D(10), DefaultWarehouseCode="001")
    needs = [
        order(line("PAPER", "2"), line("PAPER", "3", unit="EACH")),
        order(line("PAPER", "1", warehouse="002"), line("GHOST", "7"), line("PAPER", "9", unit="TON")),
    ]
    taken = pending(needs, known(paper), [], {}, with_inventory(pair))
    assert taken == {("PAPER", "001"): D(23), ("PAPER", "002"): D(10)}


def test_an_ordered_kit_takes_its_components(pair: Pair) -> None:
    taken = pending([order(line("KIT", "3"))], known(item("KIT", ProductType="K")), [], KIT, with_inventory(pair))
    assert taken == {("SHELF", "000"): D(6), ("LAMP", "000"): D(3), ("/HINT", "000"): D(3)}


def test_names_are_understood_as_for_the_order_itself(pair: Pair) -> None:
    shop = with_inventory(pair, {"LEGACY": ItemEntry(item="A")})
    account = CustomerKey(ARDivisionNo="01", CustomerNo="ABF")
    aliases = [
        AliasFacts(AliasItemNo="P7", ItemCode="A"),
        AliasFacts(AliasItemNo="P7", ItemCode="B", Type="C", ARDivisionNo="01", CustomerNo="ABF"),
    ]
    needs = [order(line("P7", "1")), order(line("P7", "2"), customer=account), order(line("LEGACY", "4"))]
    needs.append(order(line("GHOST", "8", chosen="B")))
    assert set(codes_of(needs, shop)) == {"P7", "LEGACY", "A", "GHOST", "B"}
    taken = pending(needs, known(item("A"), item("B")), aliases, {}, shop)
    assert taken == {("A", "000"): D(5), ("B", "000"): D(10)}


def test_a_draft_needs_its_goods_and_nothing_else(pair: Pair) -> None:
    draft = transform(SAMPLES["04-alias-and-line-discount"], pair).draft
    assert draft is not None
    needs = needs_of(draft, UNDECIDED)
    assert len(needs) < len(draft.sales_order.Lines), "discounts and comments take no stock"
    assert all(one.sku and one.quantity > 0 for one in needs)
    assert {one.warehouse for one in needs} == {"000"}


# ---- what was pushed ------------------------------------------------------------------------------------------------

ROWS = st.lists(
    st.builds(
        StockRow,
        sku=st.text(min_size=1, max_size=30),
        warehouse=st.sampled_from(["MAIN", "EAST"]),
        quantity=st.integers(0, 2**31 - 1),
    ),
    unique_by=lambda row: row[:2],
)


@given(ROWS, st.randoms())
def test_a_digest_does_not_depend_on_the_order_of_rows(rows: list[StockRow], chance: Any) -> None:
    mixed = list(rows)
    chance.shuffle(mixed)
    assert by_bucket(rows) == by_bucket(mixed)
    assert sorted(row for content in by_bucket(rows).values() for row in content) == sorted(rows)


@given(ROWS.filter(bool), st.integers(1, 99))
def test_a_changed_number_changes_the_digest_of_its_bucket_and_of_no_other(rows: list[StockRow], more: int) -> None:
    changed = [rows[0]._replace(quantity=rows[0].quantity + more), *rows[1:]]
    before, after = by_bucket(rows), by_bucket(changed)
    assert {bucket for bucket in before if digest_of(before[bucket]) != digest_of(after[bucket])} == {
        bucket_of(rows[0].sku)
    }


def test_the_memory_is_eight_kilobytes_and_comes_back_as_it_was() -> None:
    digests = Digests()
    assert (digests.text, digests.known) == ("", 0)
    for bucket in range(BUCKETS):
        digests[bucket] = digest_of([StockRow(str(bucket), "MAIN", 1)])
    assert len(digests.text) == BUCKETS * DIGEST_BYTES * 4 / 3 == 8192
    again = Digests(digests.text)
    assert all(again[bucket] == digests[bucket] for bucket in range(BUCKETS))
    again[7] = UNKNOWN
    assert again.known == BUCKETS - 1


@pytest.mark.parametrize("text", ["", "nonsense", "AAAA", "=" * 8192, "A" * 8192])
def test_a_memory_that_is_none_makes_everything_unknown(text: str) -> None:
    assert Digests(text).known == 0


def test_skus_spread_over_the_buckets_and_stay_where_they_are() -> None:
    sizes: dict[int, int] = {}
    for number in range(50_000):
        bucket = bucket_of(f"ITEM-{number:06d}")
        sizes[bucket] = sizes.get(bucket, 0) + 1
    assert len(sizes) == BUCKETS
    assert max(sizes.values()) < 100
    # Another bucket of a SKU would make the memory of every running pair worthless.
    assert [bucket_of(sku) for sku in ("DESK-OAK-120", "PEN-GEL-BLU", "Ünïcode")] == [975, 744, 178]


# ---- the pair file --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"when": "true", "count": "fixed"}, "count: fixed needs quantity"),
        ({"when": "true", "quantity": 5}, "quantity belongs to count: fixed"),
        ({"when": "true", "count": "none", "safety_stock": 1}, "safety_stock belongs to count: stock"),
        ({"when": "item.colour == 'red'"}, "colour"),
        ({"when": "order.totals.grand > 5"}, "order"),
    ],
)
def test_a_rule_that_makes_no_sense_says_why(rule: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Inventory.model_validate({"rules": [rule]})


def test_a_rule_that_is_never_reached_is_an_error() -> None:
    rules = [{"when": "item.drop_shipped", "count": "none"}, {"when": "item.drop_shipped", "count": "stock"}]
    with pytest.raises(ValidationError, match="never reached"):
        Inventory.model_validate({"rules": rules})


def test_stores_that_share_stock_sell_from_one_company(tmp_path: Path) -> None:
    def write(name: str, company: str, *others: str) -> None:
        piece = {"company": {"code": company}, "inventory": {"shares_stock_with": list(others)}}
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(merged(read(SMALLEST), piece)), "utf-8")

    write("one", "ABC", "two")
    write("two", "ABC", "one")
    assert read_folder(tmp_path).errors == []
    write("two", "XYZ", "two", "three")
    told = " ".join(str(error) for error in read_folder(tmp_path).errors)
    assert "two is another Sage company" in told
    assert "that is this pair itself" in told
    assert "there is no pair 'three' here" in told


# ---- by hand --------------------------------------------------------------------------------------------------------


def test_the_flags_say_what_is_asked_for_and_the_answer_is_one_line() -> None:
    def action(*flags: str) -> InventoryAction:
        return action_of(build_parser().parse_args(["inventory", "--pair", "demo", *flags]))

    assert [action(), action("--full"), action("--compare")] == ["sweep", "full", "compare"]
    with pytest.raises(SystemExit):
        action("--full", "--compare")
    reading = StockReading(at=datetime.now(UTC), items=3, rows=6, seconds=0.5)
    progress = InventoryProgress(reading=reading, pushed=6, compared=9, drifted=1, first_drifted=["A (MAIN): 1"])
    assert in_words(progress) == (
        "3 items read in 0.5 s, 6 numbers for the store, 6 told in this shift, 9 compared, 1 had drifted, A (MAIN): 1"
    )


@pytest.mark.parametrize(("pair_name", "words"), [("nobody", "no pair 'nobody'"), ("small", "names no inventory")])
async def test_a_pair_that_sends_no_stock_is_told(pair_name: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALLEST, "utf-8")
    options = build_parser().parse_args(["inventory", "--pair", pair_name])
    with pytest.raises(SettingsError, match=words):
        await run_inventory(options, Settings(pairs_dir=tmp_path))
