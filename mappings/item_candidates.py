"""The items that an unknown SKU may mean: nearest by code and by description (sage100.md 5).

In: the SKU and the product's name as ordered, and Sage's items with their further names. Out: a few candidates for a
person, each with a score and why; none rather than silly ones. Nothing here is ever chosen by itself. Pure.
"""

import json
import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from rapidfuzz import fuzz, process
from rapidfuzz.distance import OSA

from mappings.frozen import Frozen
from mappings.similarity import folded

SUGGESTED_TYPES: Final = frozenset({"1", "2", "5"})
"""CI_Item.ItemType of what a web order can mean; charges and comments are lines of our own."""
DISCONTINUED: Final = "D"
"""CI_Item.ProductType of what is sold off: it can be ordered by its code, but is offered to nobody."""
DESCRIPTION_LENGTH: Final = 30
"""CI_Item.ItemCodeDesc."""
LOOK_ALIKES: Final = str.maketrans("OI", "01")

WORTH_SUGGESTING: Final = 70
SAME_PARTS: Final = 95
"""Codes of the same parts but for their order or leading zeros."""
SAME_DESCRIPTION: Final = 90
ALIKE_DESCRIPTION: Final = 85
"""Likeness of two descriptions from which a person would see the relation."""
CONTAINED_DESCRIPTION: Final = 80
"""Most that a description counts that is only part of a long web name."""
LONG_NAME: Final = 4
"""Words of a web name that says more than Sage's description can hold."""
NAME_LENGTH: Final = 200
SHORTEST_DESCRIPTION: Final = 6
COMMON: Final = 10
"""A description, or a part of a code, on more items than this tells nothing."""
LONGER_CODE: Final = 75
BEGINNING: Final = "one code is the beginning of the other"
SHORTEST_STEM: Final = 5
LONG_PART: Final = 4
"""Characters of a part of a code that names an article by itself, if there is a digit in it."""
TYPO: Final = 3
"""One in so many characters of a code's ending is a slip; more are another ending."""
BOTH: Final = 8
"""What code and description add to each other when both speak for an item."""


class CatalogueItem(NamedTuple):
    """CI_Item, as far as a suggestion needs it."""

    ItemCode: str
    ItemCodeDesc: str = ""
    ItemType: str = "1"
    InactiveItem: bool = False
    ProductType: str = ""

    @property
    def is_suggested(self) -> bool:
        """Whether a person may be told that this item is meant."""
        return (
            not self.InactiveItem
            and self.ProductType != DISCONTINUED
            and self.ItemType in SUGGESTED_TYPES
            and not self.ItemCode.startswith("/")
        )


class FurtherName(NamedTuple):
    """Another name of an item: a general alias (IM_AliasItem), or an entry of the pair's `items`."""

    name: str
    ItemCode: str


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
    """Letters and digits only, upper case, of one width; O and 0, I and 1 are one."""
    return "".join(character for character in plain_code(code) if character.isalnum()).translate(LOOK_ALIKES)


def plain_code(code: str) -> str:
    """The code in capitals, with full-width characters and ligatures as plain ones (NFKC)."""
    return unicodedata.normalize("NFKC", code).upper()


def parts_of(code: str) -> list[str]:
    """`00471-HP85A` → 471, HP, 85, A: runs of letters and of digits, these without leading zeros."""
    return [part.lstrip("0") or "0" for part in re.findall(r"\d+|[^\W\d_]+", plain_code(code))]


def description_key(text: str, length: int = DESCRIPTION_LENGTH) -> str:
    """The words of as much as Sage's column holds, without case, accents and punctuation."""
    return " ".join(re.findall(r"[^\W_]+", folded(text[:length])))


Near = dict[int, tuple[int, str]]
"""Place of an item → score and why."""


class Catalogue:
    """Sage's items, prepared for searching. Inactive ones only lend their description."""

    def __init__(self, items: Iterable[CatalogueItem], names: Iterable[FurtherName] = ()) -> None:
        self._items: list[CatalogueItem] = []
        self._inactive: dict[str, str] = {}
        for item in items:
            if item.InactiveItem:
                self._inactive[item.ItemCode] = item.ItemCodeDesc
            elif item.is_suggested:
                self._items.append(item)
        self._descriptions = [description_key(item.ItemCodeDesc) for item in self._items]
        # What follows is parallel: every code that stands for an item, and the place of the item.
        self._names = [item.ItemCode for item in self._items]
        self._places = list(range(len(self._items)))
        place_of = {item.ItemCode: place for place, item in enumerate(self._items)}
        for further in dict.fromkeys(names):
            if further.ItemCode in place_of and further.name != further.ItemCode:
                self._names.append(further.name)
                self._places.append(place_of[further.ItemCode])
        self._upper = [plain_code(name) for name in self._names]
        self._keys = [code_key(name) for name in self._names]
        self._parts = ["-".join(sorted(parts_of(name))) for name in self._names]
        self._sorted = sorted((name, entry) for entry, name in enumerate(self._upper))

    def item(self, place: int) -> CatalogueItem:
        """The item at a place."""
        return self._items[place]

    def inactive_description(self, sku: str) -> str | None:
        """The description of an inactive item with just this code; None when there is no such item."""
        return self._inactive.get(sku)

    def near_codes(self, sku: str) -> Near:
        """By code, and by further names of the items."""
        wanted = code_key(sku)
        if not wanted:
            return {}
        entries: Near = {}
        for entry, score, why in (
            *self._spelt_alike(sku, wanted),
            *self._of_same_parts(sku),
            *self._with_the_same_part(sku),
            *((entry, LONGER_CODE, BEGINNING) for entry in self._longer(sku)),
        ):
            if score > entries.get(entry, (0, ""))[0]:
                entries[entry] = (score, why)
        self._raise_stems(sku, entries)
        found: Near = {}
        for entry, (score, why) in entries.items():
            place = self._places[entry]
            # Between equals the item's own code tells more than an alias.
            if (score, entry == place) > (found.get(place, (0, ""))[0], False):
                found[place] = (score, why if entry == place else f"alias {self._names[entry]}: {why}")
        return found

    def _spelt_alike(self, sku: str, wanted: str) -> Iterator[tuple[int, int, str]]:
        # A digit more or less is another article where codes are nothing but digits.
        cost = 200 if wanted.isdigit() else 100
        furthest = (100 - WORTH_SUGGESTING) * len(wanted) // cost
        # process.extract leaves out what is further than the cutoff.
        for code, distance, entry in process.extract(
            wanted, self._keys, scorer=OSA.distance, score_cutoff=furthest, limit=50
        ):
            score = 100 - cost * int(distance) // max(len(wanted), len(code))
            if code and score >= WORTH_SUGGESTING:
                yield entry, score, self._code_difference(sku, wanted, code, entry, int(distance))

    def _code_difference(self, sku: str, wanted: str, code: str, entry: int, distance: int) -> str:
        if distance == 0:
            plain = [re.sub(r"[\W_]", "", one) for one in (plain_code(sku), self._upper[entry])]
            return "same code, spelt otherwise" if plain[0] == plain[1] else "same code but for O and 0, I and 1"
        if distance == 1:
            swapped = sorted(wanted) == sorted(code)
            return "two characters changed places" if swapped else "code differs by one character"
        return f"code differs by {distance} characters"

    def _of_same_parts(self, sku: str) -> Iterator[tuple[int, int, str]]:
        """`00471` and `000471`; `120-DESK-OAK` and `DESK-OAK-120`."""
        parts = parts_of(sku)
        wanted = "-".join(sorted(parts))
        for entry in [entry for entry, other in enumerate(self._parts) if other == wanted]:
            if parts_of(self._names[entry]) == parts:
                yield entry, SAME_PARTS, "same code but for leading zeros"
            elif len("".join(parts)) >= SHORTEST_STEM and not all(part.isdigit() for part in parts):
                yield entry, SAME_PARTS - 1, "the same parts of the code in another order"

    def _with_the_same_part(self, sku: str) -> Iterator[tuple[int, int, str]]:
        """`HON-H252` and `1001-HON-H252`: a part that names an article by itself, whole in both codes."""
        tokens = dict.fromkeys(re.findall(r"[^\W_]+", plain_code(sku)))
        for token in tokens:
            if len(token) < LONG_PART or not re.search(r"\d", token):
                continue
            whole = re.compile(rf"(?<![^\W_]){re.escape(token)}(?![^\W_])")
            entries = [entry for entry, name in enumerate(self._upper) if token in name and whole.search(name)]
            if len(entries) > COMMON:
                continue
            for entry in entries:
                others = set(re.findall(r"[^\W_]+", self._upper[entry]))
                shared = sum(len(one) for one in tokens if one in others)
                longer = max(len("".join(tokens)), len(self._keys[entry]))
                # Four digits may be a year, a size or a quantity as well.
                if shared * (2 if token.isdigit() else 3) >= longer:
                    yield entry, WORTH_SUGGESTING + 20 * shared // longer, f"both codes have {token}"

    def _longer(self, sku: str) -> list[int]:
        """Entries whose code goes on after the SKU, or that the SKU goes on after: `DESK-120`, `DESK-120-BLK`."""
        wanted = plain_code(sku)
        longer = [
            entry
            for entry in self._between(wanted, f"{wanted}\U0010ffff")
            if _is_most(wanted, self._upper[entry]) and _goes_on(self._upper[entry], wanted)
        ]
        return [*self._stems(wanted), *longer[:COMMON]]

    def _stems(self, wanted: str) -> list[int]:
        stems = [wanted[: match.start()] for match in re.finditer(r"[\W_]", wanted)]
        return [entry for stem in stems if _is_most(stem, wanted) for entry in self._between(stem, stem)]

    def _raise_stems(self, sku: str, entries: Near) -> None:
        """`DESK-OAK-120-XL` is rather `DESK-OAK-120` than `DESK-OAK-120-BLK`, unless the ending is a slip."""
        wanted = plain_code(sku)
        for stem_entry in self._stems(wanted):
            stem = self._upper[stem_entry]
            ending = wanted[len(stem) + 1 :]
            sisters = [
                score
                for entry, (score, _) in entries.items()
                if entry != stem_entry
                and self._upper[entry].startswith(stem)
                and _goes_on(self._upper[entry], stem)
                and _is_another(ending, self._upper[entry][len(stem) + 1 :])
            ]
            if sisters and entries[stem_entry][0] <= max(sisters):
                entries[stem_entry] = (min(max(sisters) + 1, 99), BEGINNING)

    def _between(self, first: str, last: str) -> list[int]:
        start = bisect_left(self._sorted, (first, -1))
        return [entry for _, entry in self._sorted[start : bisect_left(self._sorted, (last, len(self._sorted)))]]

    def near_descriptions(self, name: str) -> Near:
        """By description: alike as a whole, or all of it in a web name that says much more."""
        wanted = description_key(name)
        if len(wanted) < SHORTEST_DESCRIPTION:
            return {}
        hits = process.extract(
            wanted,
            self._descriptions,
            scorer=fuzz.token_sort_ratio,
            score_cutoff=ALIKE_DESCRIPTION,
            limit=COMMON + 1,
        )
        found = self._in_a_long_name(name)
        if len(hits) > COMMON and all(text == wanted for text, _, _ in hits):
            return {}
        for text, likeness, place in hits:
            found[place] = (
                (SAME_DESCRIPTION, "same description")
                if text == wanted
                else (int(SAME_DESCRIPTION * likeness / 100), "description alike")
            )
        return found

    def _in_a_long_name(self, name: str) -> Near:
        words = description_key(name, NAME_LENGTH).split()
        if len(words) < LONG_NAME:
            return {}
        hits = [
            (len(text.split()), likeness, place)
            for text, likeness, place in process.extract(
                " ".join(words),
                self._descriptions,
                scorer=fuzz.token_set_ratio,
                score_cutoff=SAME_DESCRIPTION,
                limit=50,
            )
            if 2 <= len(text.split()) < len(words) and len(text) >= SHORTEST_DESCRIPTION
        ]
        # What is longer says more of the name; where too many say as much, it tells nothing.
        most = max((length for length, _, _ in hits), default=0)
        best = [(length, likeness, place) for length, likeness, place in hits if length == most]
        if len(best) > COMMON:
            return {}
        return {
            place: (
                min(CONTAINED_DESCRIPTION, WORTH_SUGGESTING + 2 * length) - (likeness < 100),
                "the web name has the description in it",
            )
            for length, likeness, place in best
        }


def _goes_on(code: str, stem: str) -> bool:
    """Whether a code that begins with the stem goes on with another part."""
    return not code[len(stem) : len(stem) + 1].isalnum()


def _is_another(ending: str, other: str) -> bool:
    return OSA.distance(ending, other) * TYPO > max(len(ending), len(other))


def _is_most(stem: str, whole: str) -> bool:
    return len(stem) >= SHORTEST_STEM and len(stem) < len(whole) <= 2 * len(stem)


def nearest_items(sku: str, name: str, catalogue: Catalogue, limit: int = 3) -> list[ItemCandidate]:
    """The items that the SKU, called `name` in the store, may mean; the likeliest first, never an inactive one.

    An inactive item is told by what it is, not by its code: others with its description stand in for it.
    """
    own = catalogue.inactive_description(sku)
    found = {} if own is not None else catalogue.near_codes(sku)
    described: Near = {}
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
