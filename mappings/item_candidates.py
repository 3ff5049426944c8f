"""The items that an unknown SKU may mean: nearest by code and by description (sage100.md 5).

In: the SKU and the product's name as ordered, and Sage's items. Out: a few candidates for a person, each with a score
and why; none rather than silly ones. Nothing here is ever chosen by itself. Pure.
"""

import json
import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from rapidfuzz import fuzz, process
from rapidfuzz.distance import OSA

from mappings.frozen import Frozen
from mappings.similarity import folded

SUGGESTED_TYPES: Final = frozenset({"1", "2", "5"})
"""CI_Item.ItemType of what a web order can mean; charges and comments are lines of our own."""
DESCRIPTION_LENGTH: Final = 30
"""CI_Item.ItemCodeDesc."""
LOOK_ALIKES: Final = str.maketrans("OI", "01")

WORTH_SUGGESTING: Final = 70
SAME_DESCRIPTION: Final = 90
ALIKE_DESCRIPTION: Final = 85
"""Likeness of two descriptions from which a person would see the relation."""
SHORTEST_DESCRIPTION: Final = 6
COMMON_DESCRIPTION: Final = 10
"""A description on more items than this tells nothing."""
LONGER_CODE: Final = 75
SHORTEST_STEM: Final = 5
BOTH: Final = 8
"""What code and description add to each other when both speak for an item."""


class CatalogueItem(NamedTuple):
    """CI_Item, as far as a suggestion needs it."""

    ItemCode: str
    ItemCodeDesc: str = ""
    ItemType: str = "1"
    InactiveItem: bool = False


class ItemCandidate(Frozen):
    """An item that may be meant."""

    ItemCode: str
    ItemCodeDesc: str
    score: int
    """0 to 100."""
    why: str

    def __str__(self) -> str:
        """`MON-ARM-1 "Monitor arm, single" (code differs by one character)`."""
        description = f' "{self.ItemCodeDesc}"' if self.ItemCodeDesc else ""
        return f"{self.ItemCode}{description} ({self.why})"


def code_key(code: str) -> str:
    """Letters and digits only, upper case; O and 0, I and 1 are one."""
    return "".join(character for character in code.upper() if character.isalnum()).translate(LOOK_ALIKES)


def description_key(text: str) -> str:
    """The words of as much as Sage's column holds, without case, accents and punctuation."""
    return " ".join(re.findall(r"[^\W_]+", folded(text[:DESCRIPTION_LENGTH])))


class Catalogue:
    """Sage's items, prepared for searching. Inactive ones only lend their description."""

    def __init__(self, items: Iterable[CatalogueItem]) -> None:
        self._items: list[CatalogueItem] = []
        self._inactive: dict[str, str] = {}
        for item in items:
            if item.InactiveItem:
                self._inactive[item.ItemCode] = item.ItemCodeDesc
            elif item.ItemType in SUGGESTED_TYPES and not item.ItemCode.startswith("/"):
                self._items.append(item)
        self._codes = [code_key(item.ItemCode) for item in self._items]
        self._descriptions = [description_key(item.ItemCodeDesc) for item in self._items]
        self._sorted = sorted((item.ItemCode.upper(), place) for place, item in enumerate(self._items))

    def item(self, place: int) -> CatalogueItem:
        """The item at a place."""
        return self._items[place]

    def inactive_description(self, sku: str) -> str | None:
        """The description of an inactive item with just this code; None when there is no such item."""
        return self._inactive.get(sku)

    def near_codes(self, sku: str) -> dict[int, tuple[int, str]]:
        """Place → score and why, by code."""
        wanted = code_key(sku)
        found: dict[int, tuple[int, str]] = {}
        if not wanted:
            return found
        # A digit more or less is another article where codes are nothing but digits.
        cost = 200 if wanted.isdigit() else 100
        furthest = (100 - WORTH_SUGGESTING) * len(wanted) // cost
        # process.extract leaves out what is further than the cutoff.
        for code, distance, place in process.extract(
            wanted, self._codes, scorer=OSA.distance, score_cutoff=furthest, limit=50
        ):
            score = 100 - cost * int(distance) // max(len(wanted), len(code))
            if code and score >= WORTH_SUGGESTING:
                found[place] = (score, self._code_difference(sku, wanted, code, place, int(distance)))
        for place in self._longer_or_shorter(sku.upper()):
            found.setdefault(place, (LONGER_CODE, "one code is the beginning of the other"))
        return found

    def _code_difference(self, sku: str, wanted: str, code: str, place: int, distance: int) -> str:
        if distance == 0:
            plain = [re.sub(r"[\W_]", "", one.upper()) for one in (sku, self._items[place].ItemCode)]
            return "same code, spelt otherwise" if plain[0] == plain[1] else "same code but for O and 0, I and 1"
        if distance == 1:
            swapped = sorted(wanted) == sorted(code)
            return "two characters changed places" if swapped else "code differs by one character"
        return f"code differs by {distance} characters"

    def _longer_or_shorter(self, sku: str) -> list[int]:
        """Items whose code goes on after the SKU, or that the SKU goes on after: `DESK-120`, `DESK-120-BLK`."""
        stems = [sku[: match.start()] for match in re.finditer(r"[\W_]", sku)]
        places = [place for stem in stems if _is_most(stem, sku) for place in self._between(stem, stem)]
        longer = [place for place in self._between(sku, f"{sku}\U0010ffff") if self._goes_on(place, sku)]
        return [*places, *longer[:COMMON_DESCRIPTION]]

    def _goes_on(self, place: int, sku: str) -> bool:
        code = self._items[place].ItemCode.upper()
        return not code[len(sku) : len(sku) + 1].isalnum() and _is_most(sku, code)

    def _between(self, first: str, last: str) -> list[int]:
        start = bisect_left(self._sorted, (first, -1))
        return [place for _, place in self._sorted[start : bisect_left(self._sorted, (last, len(self._sorted)))]]

    def near_descriptions(self, name: str) -> dict[int, tuple[int, str]]:
        """Place → score and why, by description."""
        wanted = description_key(name)
        if len(wanted) < SHORTEST_DESCRIPTION:
            return {}
        hits = process.extract(
            wanted,
            self._descriptions,
            scorer=fuzz.token_sort_ratio,
            score_cutoff=ALIKE_DESCRIPTION,
            limit=COMMON_DESCRIPTION + 1,
        )
        if len(hits) > COMMON_DESCRIPTION and all(text == wanted for text, _, _ in hits):
            return {}
        return {
            place: (SAME_DESCRIPTION, "same description")
            if text == wanted
            else (int(SAME_DESCRIPTION * likeness / 100), "description alike")
            for text, likeness, place in hits
        }


def _is_most(stem: str, whole: str) -> bool:
    return len(stem) >= SHORTEST_STEM and len(stem) < len(whole) <= 2 * len(stem)


def nearest_items(sku: str, name: str, catalogue: Catalogue, limit: int = 3) -> list[ItemCandidate]:
    """The items that the SKU, called `name` in the store, may mean; the likeliest first, never an inactive one.

    An inactive item is told by what it is, not by its code: others with its description stand in for it.
    """
    own = catalogue.inactive_description(sku)
    found = {} if own is not None else catalogue.near_codes(sku)
    described: dict[int, tuple[int, str]] = {}
    for text in dict.fromkeys((own or "", name)):
        for place, near in catalogue.near_descriptions(text).items():
            described[place] = max(near, described.get(place, near))
    for place, (score, why) in described.items():
        if place in found:
            code_score, code_why = found[place]
            found[place] = (min(100, max(score, code_score) + BOTH), f"{code_why}, {why}")
        else:
            found[place] = (score, why)
    ranked = sorted(
        (near for near in found.items() if near[1][0] >= WORTH_SUGGESTING),
        key=lambda near: (-near[1][0], catalogue.item(near[0]).ItemCode),
    )
    return [
        ItemCandidate(
            ItemCode=catalogue.item(place).ItemCode,
            ItemCodeDesc=catalogue.item(place).ItemCodeDesc,
            score=score,
            why=why,
        )
        for place, (score, why) in ranked[:limit]
    ]


def suggestion_for(item_id: str, candidates: Sequence[ItemCandidate]) -> str:
    """What to do about an unknown item; with candidates, the part of the release to copy."""
    if not candidates or not item_id:
        return "Create the item or an alias in Sage (or in the pair file), then release with retry."
    chosen = json.dumps({item_id: candidates[0].ItemCode}, ensure_ascii=False)
    return (
        f'Release with use_item, "items": {chosen} (with "remember": true it becomes an alias in Sage); or create the '
        "item or an alias in Sage (or in the pair file), then release with retry."
    )
