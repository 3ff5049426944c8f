"""Raw body → plain JSON that every later step can carry: exact numbers, no infinities, valid Unicode.

In: bytes. Out: a dict. Raises `NotJson`. A number stays a JSON number when a float carries it exactly (by its shortest
text), and becomes text otherwise, so that no penny is lost on the way.
"""

import json
from typing import Any

from mappings.plain_json import exact_integer, exact_number, storable

DEPTH_LIMIT = 40


class NotJson(Exception):
    """The body is not a JSON object."""


def parse_payload(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`."""
    try:
        text = body.decode("utf-8")
        payload = json.loads(text, parse_float=exact_number, parse_int=exact_integer, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise NotJson("The body is not JSON in UTF-8.") from None
    if not isinstance(payload, dict):
        raise NotJson("The body is not a JSON object.")
    cleaned = _clean(payload, DEPTH_LIMIT)
    return cleaned if isinstance(cleaned, dict) else {}


def is_deeper_than(limit: int, value: Any) -> bool:
    """Whether objects and lists are nested deeper than `limit`; itself it recurses no further."""
    if not isinstance(value, dict | list):
        return False
    entries = value.values() if isinstance(value, dict) else value
    return limit == 0 or any(is_deeper_than(limit - 1, entry) for entry in entries)


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is no JSON")


def _clean(value: Any, depth: int) -> Any:
    """Half surrogate pairs become U+FFFD: they cannot be stored. Nesting has a limit."""
    if depth == 0:
        raise NotJson(f"The body is nested deeper than {DEPTH_LIMIT} levels.")
    if isinstance(value, dict):
        return {storable(key): _clean(entry, depth - 1) for key, entry in value.items()}
    if isinstance(value, list):
        return [_clean(entry, depth - 1) for entry in value]
    return storable(value) if isinstance(value, str) else value
