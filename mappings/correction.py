"""Corrections by support: a JSON merge patch (RFC 7396) on Clarity's payload, items merged one by one.

In: the payload, and the patch as a person wrote it. Out: the corrected payload with every change in words, or raises
`CorrectionRefused` with what to send instead. Paths are those of the problems, `data.shippingAddress.city`; a patch
without `data` is taken as one on the order itself. `items` is an object keyed by item id (or by position, `[0]`, for
an item that has none); null removes, as the RFC says.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from mappings.frozen import Frozen

POSITION = re.compile(r"\[([0-9]{1,4})\]")
SHOWN = 60
LONGEST_PATH = 120
LONGEST_CORRECTION = 64 * 1024
"""Characters of a correction as JSON: it stands in the order's history, and so does what it changed."""
MAXIMUM_DEPTH = 20


class CorrectionRefused(ValueError):
    """The correction makes no sense; nothing was changed."""


class Corrected(Frozen):
    """The payload with the correction in it, and what that changed (field: before → after)."""

    payload: dict[str, Any]
    changes: list[str]


def correct(payload: Mapping[str, Any], correction: object) -> Corrected:
    """Apply a correction; raises CorrectionRefused when it is no object, names no item, or changes nothing."""
    if not isinstance(correction, Mapping) or not correction:
        raise CorrectionRefused(
            'correction: needs a JSON object with the fields to change, such as {"shippingAddress": {"city": "Austin"}}'
        )
    if _depth(correction) > MAXIMUM_DEPTH:
        raise CorrectionRefused(f"correction: is nested deeper than {MAXIMUM_DEPTH} levels")
    try:
        length = len(json.dumps(correction, default=str, allow_nan=False))
    except ValueError:
        raise CorrectionRefused("correction: NaN and Infinity are no numbers in JSON; write the number out") from None
    if length > LONGEST_CORRECTION:
        raise CorrectionRefused(
            f"correction: is longer than {LONGEST_CORRECTION // 1024} KB; correct the order in Clarity instead"
        )
    patch = correction if "data" in correction else {"data": correction}
    body_patch = patch["data"]
    if set(patch) - {"data"} or not isinstance(body_patch, Mapping):
        raise CorrectionRefused("correction: only the order itself (`data`) can be corrected, field by field")
    before = payload.get("data")
    body: dict[str, Any] = dict(before) if isinstance(before, Mapping) else {}
    if "id" in body_patch and str(body_patch["id"]) != str(body.get("id")):
        raise CorrectionRefused("correction: data.id names the order and cannot be changed")
    rest = {name: value for name, value in body_patch.items() if name != "items"}
    after = merge_patch(body, rest)
    if "items" in body_patch:
        after["items"] = _items(body.get("items"), body_patch["items"])
    changes = list(_changes(body, after, "data"))
    if not changes:
        raise CorrectionRefused("correction: changes nothing; every field has that value already")
    return Corrected(payload={**payload, "data": after}, changes=changes)


def _items(items: object, patch: object) -> object:
    if isinstance(patch, list):
        return patch
    if not isinstance(patch, Mapping) or not isinstance(items, list):
        raise CorrectionRefused('correction: items is an object keyed by item id, such as {"2": {"sku": "DESK-OAK"}}')
    positions: dict[str, int] = {}
    for position, item in enumerate(items):
        item_id = item.get("id") if isinstance(item, Mapping) else None
        positions[f"[{position}]"] = position
        if item_id not in (None, ""):
            positions[str(item_id)] = position
    result: list[Any] = list(items)
    removed: set[int] = set()
    for key, change in patch.items():
        position_of = positions.get(str(key))
        if position_of is None:
            known = ", ".join(name for name in positions if not POSITION.fullmatch(name))[:200]
            raise CorrectionRefused(f"correction: the order has no item {str(key)[:64]!r}; its items: {known}")
        if change is None:
            removed.add(position_of)
        elif not isinstance(change, Mapping):
            raise CorrectionRefused(f"correction: items.{key} needs an object with the fields to change, or null")
        else:
            item = items[position_of]
            result[position_of] = merge_patch(dict(item) if isinstance(item, Mapping) else {}, change)
    return [item for position, item in enumerate(result) if position not in removed]


def merge_patch(target: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """RFC 7396, 2: objects are merged, null removes, anything else replaces."""
    result = dict(target)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, Mapping):
            inside = result.get(name)
            result[name] = merge_patch(inside if isinstance(inside, Mapping) else {}, value)
        else:
            result[name] = value
    return result


def _changes(before: object, after: object, path: str) -> Iterator[str]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in dict.fromkeys([*before, *after]):
            yield from _changes(before.get(name), after.get(name), f"{path}.{name}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for position, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _changes(one, other, f"{path}[{position}]")
    elif before != after or isinstance(before, bool) != isinstance(after, bool):
        shown = path if len(path) <= LONGEST_PATH else f"{path[:LONGEST_PATH]}…"
        yield f"{shown}: {_shown(before)} → {_shown(after)}"


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, list):
        return f"{len(value)} entries"
    if isinstance(value, Mapping):
        return "an object"
    text = str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _depth(value: object) -> int:
    deepest, level = 0, [value]
    while level and deepest <= MAXIMUM_DEPTH:
        deepest += 1
        level = [
            inner
            for entry in level
            if isinstance(entry, Mapping | list)
            for inner in (entry.values() if isinstance(entry, Mapping) else entry)
        ]
    return deepest
