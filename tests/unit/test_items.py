"""What a SKU stands for in Sage and in which unit it is ordered: aliases, case, units, kits, what is no goods."""

from collections.abc import Sequence
from decimal import Decimal

import pytest
from pydantic import TypeAdapter

from mappings.checks import back_ordered, run_checks, shortages
from mappings.decisions import UNDECIDED, Decisions, ItemDecision, StockDecision
from mappings.facts import facts_from
from mappings.item_candidates import ItemCandidate
from mappings.items import (
    AliasFacts,
    ItemFacts,
    ItemLookup,
    ResolvedItem,
    Unresolved,
    WarehouseStock,
    spellings,
    wanted_codes,
)
from mappings.pair import Check, CheckName, ItemEntry, Pair, PairFileError, ShortItemEntry, load_pair
from mappings.problems import HoldReason
from mappings.sales_order import CustomerKey, Draft, LineOrigin, SageItemType, SalesOrder, SalesOrderLine
from mappings.transform import transform
from tests.unit.conftest import DEMO_FILE, sample

DEALER = CustomerKey(ARDivisionNo="01", CustomerNo="ABF")
OTHER = CustomerKey(ARDivisionNo="02", CustomerNo="ABF")


def items(*codes: str, **columns: object) -> dict[str, ItemFacts]:
    """Items with these codes and columns."""
    return {code: ItemFacts.model_validate({"ItemCode": code, **columns}) for code in codes}


def alias(name: str, code: str, type_: str = "G", customer: CustomerKey | None = None) -> AliasFacts:
    """A row of IM_AliasItem."""
    whose = customer.model_dump() if customer is not None else {}
    return AliasFacts(AliasItemNo=name, ItemCode=code, Type=type_, **whose)


def with_items(pair: Pair, entries: dict[str, object]) -> Pair:
    """The pair with another table of items, read as from its file."""
    return pair.model_copy(update={"items": TypeAdapter(dict[str, ShortItemEntry]).validate_python(entries)})


def meaning(found: ItemFacts | Unresolved) -> str:
    """The ItemCode, or why there is none."""
    return found.why if isinstance(found, Unresolved) else found.ItemCode


# ---- aliases --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "customer", "found"),
    [
        ([alias("X100", "A", "V")], None, "X100 is no item and no alias in Sage"),
        ([alias("X100", "A", "V"), alias("X100", "B")], None, "B"),
        ([alias("X100", "A", "V", DEALER), alias("X100", "B")], DEALER, "B"),
        ([alias("X100", "A", "C", DEALER), alias("X100", "B")], DEALER, "A"),
        ([alias("X100", "A", "C", DEALER), alias("X100", "B")], OTHER, "B"),
        ([alias("X100", "A", "C", DEALER)], None, "X100 is no item and no alias in Sage"),
        ([alias("X100", "A", "G", DEALER)], OTHER, "A"),
        ([alias("X100", "A", "")], None, "X100 is no item and no alias in Sage"),
        ([alias("X100", "A"), alias("X100", "B")], None, "X100 is an alias of several items: A, B"),
        ([alias("X100", "A"), alias("X100", "A", "C", DEALER)], DEALER, "A"),
    ],
)
def test_only_general_aliases_and_the_customers_own_count(
    pair: Pair, rows: list[AliasFacts], customer: CustomerKey | None, found: str
) -> None:
    assert meaning(ItemLookup(customer, items("A", "B"), rows, pair).item("X100")) == found


@pytest.mark.parametrize(
    ("sku", "found"),
    [
        ("desk-oak-120", "DESK-OAK-120"),
        ("Desk-Oak-120", "DESK-OAK-120"),
        ("part-7", "STAPLER"),
        ("legacy-1001", "DESK-OAK-120"),
        ("two", "TWO"),
        ("Two", "Two is several items but for capitals and small letters: TWO, two"),
        ("mix", "mix is an alias of several items: STAPLER, TWO"),
        ("MIX", "STAPLER"),
        ("stapler", "STAPLER"),
    ],
)
def test_one_that_differs_in_case_only_is_the_same_and_several_are_held(pair: Pair, sku: str, found: str) -> None:
    known = items("DESK-OAK-120", "STAPLER", "TWO")
    if sku != "two":
        known |= items("two")
    rows = [alias("PART-7", "STAPLER"), alias("MIX", "STAPLER"), alias("Mix", "TWO")]
    assert meaning(ItemLookup(None, known, rows, pair).item(sku)) == found


def test_what_is_looked_up_covers_every_spelling(pair: Pair) -> None:
    assert spellings("Part-7") == ["Part-7", "PART-7", "part-7"]
    assert spellings("471") == ["471"]
    draft = draft_of(SalesOrderLine(origin=LineOrigin.ITEM, sku="legacy-1001", ItemType=SageItemType.REGULAR), pair)
    assert wanted_codes(draft, pair, UNDECIDED) == ["legacy-1001", "DESK-OAK-120"]


@pytest.mark.parametrize(
    ("known", "rows", "customer", "why", "instead"),
    [
        (
            items("OLD", InactiveItem=True) | items("NEW"),
            [alias("OLD", "NEW")],
            None,
            "OLD is inactive in Sage",
            ["NEW"],
        ),
        (
            items("C", InactiveItem=True) | items("A"),
            [alias("OLD", "C", "C", DEALER), alias("OLD", "A")],
            DEALER,
            "C is inactive in Sage",
            ["A"],
        ),
        (items("A"), [alias("OLD", "GONE", "C", DEALER), alias("OLD", "A")], DEALER, "no item in Sage", ["A"]),
        (items("OLD", "NEW", InactiveItem=True), [alias("OLD", "NEW")], None, "OLD is inactive", []),
        (
            items("OLD", InactiveItem=True) | items("D", ProductType="D"),
            [alias("OLD", "D")],
            None,
            "OLD is inactive",
            [],
        ),
        (items("OLD", InactiveItem=True) | items("S"), [alias("OLD", "S", "V")], None, "OLD is inactive", []),
        (items("A", "B"), [alias("OLD", "A"), alias("OLD", "B")], None, "several items: A, B", ["A", "B"]),
    ],
)
def test_an_item_of_no_use_names_what_else_the_code_stands_for(
    pair: Pair,
    known: dict[str, ItemFacts],
    rows: list[AliasFacts],
    customer: CustomerKey | None,
    why: str,
    instead: list[str],
) -> None:
    found = ItemLookup(customer, known, rows, pair).item("OLD")
    assert isinstance(found, Unresolved)
    assert why in found.why
    assert [one.ItemCode for one in found.instead] == instead


def test_what_else_a_code_stands_for_comes_before_what_is_near(pair: Pair) -> None:
    known = items("OLD", InactiveItem=True) | items("NEW", ItemCodeDesc="The new one")
    draft = draft_of(a_line("OLD"), pair)
    near = {"OLD": [ItemCandidate(ItemCode=code, ItemCodeDesc="", score=90, why="near") for code in ("NEW", "OLE")]}
    finding = facts_from(draft, None, known, [alias("OLD", "NEW")], [], pair, nearest=near).findings[0]
    assert finding.choices == {"1": "NEW"}
    assert finding.problems[0].message == (
        'OLD is inactive in Sage; nearest: NEW "The new one" (the code stands for it, too), OLE (near)'
    )


# ---- what is no goods -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_", "entries", "chosen", "found"),
    [
        ("4", {}, False, "/C is a comment in Sage, no goods"),
        ("3", {}, False, "/C is a charge in Sage, no goods"),
        ("3", {"/C": "/C"}, False, "/C is a charge in Sage, no goods"),
        ("4", {}, True, "/C is a comment in Sage, no goods"),
        ("5", {}, False, "/C is a miscellaneous item in Sage, which an order means only where the pair file says so"),
        ("5", {"/C": "/C"}, False, "/C"),
        ("5", {"/c": "/c"}, False, "/C"),
        ("5", {"SETUP": "/C"}, False, "/C is a miscellaneous item in Sage, which an order means only where the pair "
         "file says so"),
        ("5", {}, True, "/C"),
        ("2", {}, False, "/C"),
    ],
)  # fmt: skip
def test_what_was_ordered_never_becomes_a_charge_or_a_comment(
    pair: Pair, type_: str, entries: dict[str, object], chosen: bool, found: str
) -> None:
    lookup = ItemLookup(None, items("/C", ItemType=type_), [], with_items(pair, entries))
    assert meaning(lookup.item("/C", chosen=chosen)) == found


def test_the_pairs_own_charges_are_charges(pair: Pair) -> None:
    charge = SalesOrderLine(origin=LineOrigin.FEE, ItemCode="/GIFT", ItemType=SageItemType.MISCELLANEOUS)
    for type_ in ("3", "5"):
        found = ItemLookup(None, items("/GIFT", ItemType=type_), [], pair).line(charge)
        assert isinstance(found, ResolvedItem)
        assert (found.UnitOfMeasure, found.UnitOfMeasureConvFactor) == ("", None)
    found = ItemLookup(None, items("/GIFT", ItemType="5", InactiveItem=True), [], pair).line(charge)
    assert isinstance(found, Unresolved)


def test_a_person_may_say_that_a_miscellaneous_item_is_meant(pair: Pair) -> None:
    draft = draft_of(a_line("ASSEMBLY"), pair)
    known = items("ASSEMBLY", ItemType="5")
    finding = facts_from(draft, None, known, [], [], pair).findings[0]
    assert "add ASSEMBLY: ASSEMBLY to items in demo.yaml" in finding.problems[0].suggestion
    decided = Decisions(items=[ItemDecision(item_id="1", sku="ASSEMBLY", ItemCode="ASSEMBLY")])
    facts = facts_from(draft, None, known, [], [], pair, decisions=decided)
    assert facts.sales_order.Lines[0].ItemType is SageItemType.MISCELLANEOUS


# ---- units ----------------------------------------------------------------------------------------------------------

PAPER: dict[str, object] = {
    "StandardUnitOfMeasure": "EACH",
    "SalesUnitOfMeasure": "CASE",
    "SalesUMConvFctr": 10,
    "PurchaseUnitOfMeasure": "PALL",
    "PurchaseUMConvFctr": 400,
}


def a_line(sku: str, quantity: str = "1", unit: str = "", **columns: object) -> SalesOrderLine:
    """An ordered line of a draft; `unit` is the shop's own word."""
    return SalesOrderLine.model_validate(
        {"origin": "item", "sku": sku, "ItemType": "1", "QuantityOrdered": quantity, "UnitOfMeasure": unit,
         "UDF_WEB_LINE_ID": "1", **columns}
    )  # fmt: skip


def draft_of(line: SalesOrderLine, pair: Pair) -> Draft:
    """A sample order with this line alone."""
    draft = transform(sample("01-consumer-new"), pair).draft
    assert draft is not None
    return draft.model_copy(update={"sales_order": draft.sales_order.model_copy(update={"Lines": [line]})})


def order_of(pair: Pair, *lines: SalesOrderLine) -> SalesOrder:
    """An order with these lines."""
    return draft_of(lines[0], pair).sales_order.model_copy(update={"Lines": list(lines)})


@pytest.mark.parametrize(
    ("entry", "unit", "expected"),
    [
        ("PAPER", "", ("CASE", 10)),
        ({"item": "PAPER"}, "", ("CASE", 10)),
        ({"item": "PAPER", "unit": "EACH"}, "", ("EACH", 1)),
        ({"item": "PAPER", "unit": "pall"}, "", ("PALL", 400)),
        ("PAPER", "EACH", ("EACH", 1)),
        ("PAPER", " case ", ("CASE", 10)),
        ("PAPER", "CASE", ("CASE", 10)),
        ("PAPER", "cs", ("CASE", 10)),
        ({"item": "PAPER", "unit": "CASE"}, "CS", ("CASE", 10)),
    ],
)
def test_the_unit_is_the_orders_or_the_pairs_else_the_sales_unit(
    pair: Pair, entry: object, unit: str, expected: tuple[str, int]
) -> None:
    site = with_items(pair, {"WEB-PAPER": entry})
    site = site.model_copy(update={"order": site.order.model_copy(update={"units": {"Cs": "CASE"}})})
    facts = facts_from(
        draft_of(a_line("WEB-PAPER", unit=unit), site), None, items("PAPER", **PAPER), [], [], site, decisions=UNDECIDED
    )
    line = facts.sales_order.Lines[0]
    assert line.ItemCode == "PAPER"
    assert (line.UnitOfMeasure, line.UnitOfMeasureConvFactor) == (expected[0], Decimal(expected[1]))


@pytest.mark.parametrize(
    ("entry", "unit", "why"),
    [
        ("PAPER", "BOX", "BOX (the order) is no unit of PAPER in Sage: CASE (10 EACH, sales), EACH (standard), "
         "PALL (400 EACH, purchase)"),
        ({"item": "PAPER", "unit": "BOX"}, "", "BOX (the pair file) is no unit of PAPER in Sage: "),
        ({"item": "PAPER", "unit": "CASE"}, "EACH",
         "WEB-PAPER is in two units: EACH (the order), CASE (the pair file)"),
    ],
)  # fmt: skip
def test_a_unit_that_the_item_has_not_is_held(pair: Pair, entry: object, unit: str, why: str) -> None:
    site = with_items(pair, {"WEB-PAPER": entry})
    near = {"WEB-PAPER": [ItemCandidate(ItemCode="PAPER", ItemCodeDesc="", score=99, why="near")]}
    draft = draft_of(a_line("WEB-PAPER", unit=unit), site)
    finding = facts_from(draft, None, items("PAPER", **PAPER), [], [], site, nearest=near).findings[0]
    assert finding.reason is HoldReason.UNKNOWN_ITEM
    assert finding.problems[0].message.startswith(why)
    assert "nearest" not in finding.problems[0].message
    assert "Correct the unit of the order" in finding.problems[0].suggestion


def test_the_pairs_unit_holds_for_the_item_that_it_names_only(pair: Pair) -> None:
    site = with_items(pair, {"PAPER": {"item": "PAPER", "unit": "EACH"}, "INK": {"item": "PAPER", "unit": "EACH"}})
    known = items("PAPER", **PAPER) | items("INK", SalesUnitOfMeasure="BOX", StandardUnitOfMeasure="EACH")
    lookup = ItemLookup(None, known, [], site)
    units = {}
    for sku in ("PAPER", "INK"):
        found = lookup.line(a_line(sku))
        assert isinstance(found, ResolvedItem)
        units[found.item.ItemCode] = found.UnitOfMeasure
    assert units == {"PAPER": "EACH", "INK": "BOX"}


def test_units_of_an_item_are_its_three_and_a_factor_of_nothing_is_none() -> None:
    paper = items("PAPER", **PAPER)["PAPER"]
    assert paper.units == {"CASE": 10, "EACH": 1, "PALL": 400}
    assert items("A", **{**PAPER, "PurchaseUMConvFctr": 0})["A"].units == {"CASE": 10, "EACH": 1}
    assert items("A", StandardUnitOfMeasure="EACH", SalesUnitOfMeasure="EACH")["A"].units == {"EACH": 1}
    assert items("A")["A"].units == {}


def test_what_has_no_unit_in_sage_takes_none(pair: Pair) -> None:
    site = with_items(pair, {"ASSEMBLY": "ASSEMBLY"})
    found = ItemLookup(None, items("ASSEMBLY", ItemType="5"), [], site).line(a_line("ASSEMBLY", unit="EACH"))
    assert isinstance(found, ResolvedItem)
    assert found.UnitOfMeasure == ""


def in_unit(code: str, quantity: str, unit: str, factor: str) -> SalesOrderLine:
    """A resolved line."""
    return a_line(code, quantity, unit, ItemCode=code, UnitOfMeasureConvFactor=factor)


def stocked(available: str, **columns: object) -> dict[str, ItemFacts]:
    """The paper with so many available, in warehouse 000."""
    stock = {"000": WarehouseStock(QuantityOnHand=Decimal(available))}
    return items("PAPER", **{**PAPER, "warehouses": stock, "DefaultWarehouseCode": "000", **columns})


def test_the_same_item_in_two_units_counts_together(pair: Pair) -> None:
    order = order_of(pair, in_unit("PAPER", "2", "CASE", "10"), in_unit("PAPER", "3", "EACH", "1"))
    assert shortages(order, stocked("23"), pair) == []
    short = shortages(order, stocked("22"), pair)
    assert [(one.wanted, one.available) for one in short] == [(Decimal(23), Decimal(22))]
    lines = back_ordered(order, stocked("22"), pair, Decisions(stock=StockDecision.SHIP_AVAILABLE)).Lines
    assert [line.QuantityBackordered for line in lines] == [0, 1]
    lines = back_ordered(order, stocked("15"), pair, Decisions(stock=StockDecision.SHIP_AVAILABLE)).Lines
    assert [line.QuantityBackordered for line in lines] == [Decimal("0.5"), 3]


@pytest.mark.parametrize("factor", ["1", "10", "12", "0.25", "0.0833", "1000", "7.3333"])
@pytest.mark.parametrize("quantity", ["1", "0.5", "2.75", "0.01", "999999.99", "12345.67"])
def test_a_quantity_comes_back_exactly_from_the_standard_unit(pair: Pair, factor: str, quantity: str) -> None:
    line = in_unit("PAPER", quantity, "CASE", factor)
    wanted = Decimal(quantity) * Decimal(factor)
    assert wanted / Decimal(factor) == Decimal(quantity)
    order = order_of(pair, line)
    assert shortages(order, stocked(str(wanted)), pair) == []
    assert back_ordered(order, stocked(str(wanted)), pair, UNDECIDED) == order
    less = wanted - Decimal("0.000001")
    assert [one.wanted for one in shortages(order, stocked(str(less)), pair)] == [wanted]
    rest = back_ordered(order, stocked(str(less)), pair, Decisions(stock=StockDecision.SHIP_AVAILABLE)).Lines[0]
    assert rest.QuantityBackordered == Decimal("0.01")


def test_cost_is_of_the_lines_own_unit(pair: Pair) -> None:
    check = Check(name=CheckName.PRICE, on_fail=HoldReason.ANOMALY)
    expected = draft_of(a_line("PAPER"), pair).expected
    known = stocked("100", StandardUnitCost=Decimal(4))
    for unit, factor, price, held in (("EACH", "1", "5", False), ("EACH", "1", "3", True), ("CASE", "10", "39", True)):
        order = order_of(pair, in_unit("PAPER", "1", unit, factor).model_copy(update={"UnitPrice": Decimal(price)}))
        assert bool(run_checks(order, expected, None, known, pair, checks=[check])) is held


def test_an_entry_of_the_table_is_a_code_or_item_and_unit(tmp_path, pair: Pair) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "site.yaml"
    demo = DEMO_FILE.read_text("utf-8")

    def table(*entries: str) -> Pair:
        text = demo.replace("  LEGACY-1001: DESK-OAK-120\n", "".join(f"  {entry}\n" for entry in entries))
        file.write_text(text, "utf-8")
        return load_pair(file)

    assert pair.items == {"LEGACY-1001": ItemEntry(item="DESK-OAK-120")}
    both = table("A: X", "B: {item: X, unit: CASE}").items
    assert both == {"A": ItemEntry(item="X"), "B": ItemEntry(item="X", unit="CASE")}
    assert [str(entry) for entry in both.values()] == ["X", "X in CASE"]
    for wrong in (
        "A: {unit: CASE}",
        "A: {item: X, units: CASE}",
        "A: {item: X, unit: CASES}",
        "A: 7",
        "A: [X]",
        'A: ""',
    ):
        with pytest.raises(PairFileError) as error:
            table(wrong)
        assert error.value.key.startswith("items.A"), wrong


# ---- kits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("product_type", "not_checked", "short"),
    [("K", [], []), ("F", [], ["KIT"]), ("R", [], ["KIT"]), ("D", [], ["KIT"]), ("", ["KIT"], [])],
)
def test_a_kit_is_left_to_sage(pair: Pair, product_type: str, not_checked: Sequence[str], short: list[str]) -> None:
    site = pair.model_copy(update={"stock": pair.stock.model_copy(update={"not_checked": list(not_checked)})})
    order = order_of(site, in_unit("KIT", "2", "EACH", "1"))
    known = items("KIT", ProductType=product_type, SalesUnitOfMeasure="EACH")
    assert [one.ItemCode for one in shortages(order, known, site)] == short
    assert (back_ordered(order, known, site, UNDECIDED) == order) is (not short)
