"""What an unknown SKU may mean: near codes, near descriptions, and nothing rather than something silly."""

import pytest

from contracts.messages import Release
from mappings.decisions import UNDECIDED
from mappings.facts import facts_from, unknown_codes
from mappings.item_candidates import Catalogue, CatalogueItem, nearest_items, suggestion_for
from mappings.items import ItemFacts
from mappings.pair import Pair
from mappings.transform import transform
from tests.unit.conftest import sample

CATALOGUE = Catalogue(
    [
        CatalogueItem("MON-ARM-1", "Monitor arm single"),
        CatalogueItem("MON-ARM-3", "Monitor arm triple", InactiveItem=True),
        CatalogueItem("DESK-OAK-120", "Oak desk 120 cm"),
        CatalogueItem("DESK-OAK-120-BLK", "Oak desk, stained"),
        CatalogueItem("CAB-FILE-10", "File cabinet 10 drawers"),
        CatalogueItem("LAMP-OLD", "LED desk lamp", InactiveItem=True),
        CatalogueItem("LAMP-LED-01", "LED desk lamp"),
        CatalogueItem("4711", "Cologne"),
        CatalogueItem("PEN", "Pen"),
        CatalogueItem("/SHIPPING", "Freight for web orders", ItemType="5"),
        CatalogueItem("GIFTWRAPS", "Gift wrap", ItemType="3"),
        *(CatalogueItem(f"{number:03d}-BOLT-{number * 7919}", "Hexagon bolt") for number in range(20)),
    ]
)


@pytest.mark.parametrize(
    ("sku", "name", "code", "why"),
    [
        ("MON-ARM-9", "", "MON-ARM-1", "code differs by one character"),
        ("mon arm 1", "", "MON-ARM-1", "same code, spelt otherwise"),
        ("CAB-FILE-IO", "", "CAB-FILE-10", "same code but for O and 0, I and 1"),
        ("MON-AMR-1", "", "MON-ARM-1", "two characters changed places"),
        ("DESK-OKA-210", "", "DESK-OAK-120", "code differs by 2 characters"),
        ("MON-ARM-1-WHITE", "", "MON-ARM-1", "one code is the beginning of the other"),
        ("X-1", "Led Desk-Lamp", "LAMP-LED-01", "same description"),
        ("X-1", "Desk lamp LEDs", "LAMP-LED-01", "description alike"),
        ("LAMP-LED-02", "LED desk lamp", "LAMP-LED-01", "code differs by one character, same description"),
        ("LAMP-OLD", "", "LAMP-LED-01", "same description"),
    ],
)
def test_the_nearest_item_comes_first_and_says_why(sku: str, name: str, code: str, why: str) -> None:
    best = nearest_items(sku, name, CATALOGUE)[0]
    assert (best.ItemCode, best.why) == (code, why)
    assert 70 <= best.score <= 100


@pytest.mark.parametrize(
    ("sku", "name"),
    [("NO-SUCH-SKU", "Garden gnome"), ("4712", ""), ("PAN", "Pan"), ("", ""), ("???", "🙂"), ("GIFTWRAP", ""),
     ("SHIPPING", "Freight for web orders"), ("X-1", "Hexagon bolt"), ("X" * 5_000, "Y" * 5_000)],
)  # fmt: skip
def test_nothing_rather_than_something_silly(sku: str, name: str) -> None:
    assert nearest_items(sku, name, CATALOGUE) == []


def test_inactive_items_are_never_suggested_and_a_limit_is_kept() -> None:
    assert [one.ItemCode for one in nearest_items("MON-ARM-3X", "Monitor arm triple", CATALOGUE)] == ["MON-ARM-1"]
    assert len(nearest_items("DESK-OAK-120X", "Oak desk", CATALOGUE, limit=1)) == 1


def test_the_hold_names_the_nearest_and_the_release_to_copy(pair: Pair) -> None:
    draft = transform(sample("18-unknown-sku"), pair).draft
    assert draft is not None
    known = {line.ItemCode: ItemFacts(ItemCode=line.ItemCode) for line in draft.sales_order.Lines if line.ItemCode}
    plain = facts_from(draft, None, known, [], [], pair)
    sku = draft.sales_order.Lines[0].sku
    item_id = draft.sales_order.Lines[0].UDF_WEB_LINE_ID
    codes = unknown_codes(draft, plain, UNDECIDED)
    assert sku in codes
    near = {sku: nearest_items("MON-ARM-9", "", CATALOGUE)}
    problem = facts_from(draft, None, known, [], [], pair, nearest=near).findings[0].problems[0]
    assert problem.message == (
        f'{sku} is no item and no alias in Sage; nearest: MON-ARM-1 "Monitor arm single" '
        "(code differs by one character)"
    )
    piece = problem.suggestion.split("use_item, ", 1)[1].split(" (with", 1)[0]
    release = Release.model_validate_json(f'{{"action": "use_item", "by": "support", {piece}}}')
    assert release.items == {item_id: "MON-ARM-1"}


def test_a_line_without_an_id_gets_no_release_that_would_be_refused() -> None:
    near = nearest_items("MON-ARM-9", "", CATALOGUE)
    assert "use_item" not in suggestion_for("", near)
