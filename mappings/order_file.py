"""A file that holds an order, in each form in which one comes by one's own orders.

In: JSON with the body of a webhook; an order alone, as Clarity's API answers; or what Temporal keeps: an order
workflow's input (copied from the Web UI) or history (`temporal workflow show -o json`). Out: the webhook's body in the
contract's words. Raises `ValueError`, one line that says what is wrong. Reads the file and nothing else.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

from mappings.clarity_profile import ClarityProfile, Kind, to_contract

LONGEST_INTEGER: Final = 1_000
"""Digits; Python's own limit is 4,300."""
EXPECTED: Final = "it should hold the body of one webhook"


def read_order(file: Path, profile: ClarityProfile) -> dict[str, Any]:
    """The body of the webhook that the file holds, as the transform takes it."""
    try:
        content = _json(_text(file))
    except json.JSONDecodeError as error:
        raise ValueError(f"{file}:{error.lineno}:{error.colno}: is not JSON: {error.msg}") from None
    except RecursionError:
        raise ValueError(f"{file}: is nested too deeply for the body of a webhook") from None
    try:
        start = _workflow_input(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file}: is a history whose input cannot be read: {error}") from None
    if start is not None:
        # The webhook's edge has translated it already.
        return start
    if not isinstance(content, dict):
        raise ValueError(f"{file}: holds no JSON object; {EXPECTED}")
    names = profile.fields
    envelope = (names.event.data or "data").partition(".")[0]
    if envelope not in content and names.order.items in content and names.order.id in content:
        return {"type": "order.created", "data": to_contract(content, Kind.ORDER, profile)}
    body: dict[str, Any] = to_contract(content, Kind.EVENT, profile)
    return body


def _text(file: Path) -> str:
    if file.is_dir():
        raise ValueError(f"{file}: is a directory; name the file of one order")
    try:
        # Editors on Windows begin a file with a byte order mark.
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ValueError(f"{file}: no such file") from None
    except UnicodeDecodeError:
        raise ValueError(f"{file}: is not text in UTF-8; save it as UTF-8") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{file}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not text.strip():
        raise ValueError(f"{file}: is empty; {EXPECTED}")
    return text


def _json(text: str) -> Any:
    return json.loads(text, parse_float=_number, parse_int=_integer)


def _number(text: str) -> Decimal | float:
    """Exact, but for exponents that no Decimal has: those are infinite, which the transform refuses by its path."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return float(text)


def _integer(text: str) -> int | Decimal:
    """Python refuses to read very long integers; no order has one, and the transform refuses it by its path."""
    return int(text) if len(text) <= LONGEST_INTEGER else Decimal(text)


# ---- what Temporal keeps --------------------------------------------------------------------------------------------


def _workflow_input(content: Any) -> dict[str, Any] | None:
    """The payload of an order workflow's start argument; None when the content is no such thing."""
    if isinstance(content, list) and len(content) == 1:
        (content,) = content
    if not isinstance(content, dict):
        return None
    payload = content.get("payload")
    if isinstance(payload, dict) and "order_id" in content:
        return payload
    events = content.get("events")
    first = events[0] if isinstance(events, list) and events else None
    started = first.get("workflowExecutionStartedEventAttributes") if isinstance(first, dict) else None
    if not isinstance(started, dict):
        return None
    found = _workflow_input(_argument(started.get("input")))
    if found is None:
        raise ValueError("it does not start with an order")
    return found


def _argument(argument: Any) -> Any:
    """The first argument, which `show` prints as it is or as base64."""
    if isinstance(argument, dict):
        argument = argument.get("payloads")
    if not isinstance(argument, list) or not argument:
        return None
    first = argument[0]
    if not isinstance(first, Mapping) or "data" not in first or "metadata" not in first:
        return first
    try:
        encoding = base64.b64decode(first["metadata"]["encoding"]).decode()
        data = base64.b64decode(first["data"]).decode() if encoding == "json/plain" else ""
    except (binascii.Error, KeyError, TypeError, UnicodeDecodeError):
        raise ValueError("its payload is not base64") from None
    if encoding != "json/plain":
        raise ValueError(f"it is packed ({encoding}), as large orders are; take the order from Clarity's API")
    return _json(data)
