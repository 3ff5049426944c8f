"""What an incoming event is, before any workflow: which order it names, whether it is news, whether it is for us.

In: a webhook body as plain JSON. Out: small answers. Pure.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from mappings.clarity_profile import ClarityOrderState
from mappings.pair import Pair
from mappings.statuses import clarity_state, reason_not_to_start

ORDER_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

OUR_FIELDS = frozenset(
    {
        "status",
        "externalReference",
        "externalReferences",
        "invoiceReferences",
        "refundsDue",
        "cancelledItems",
        "shipments",
        "updatedDate",
    }
)
"""Fields of the order that this integration writes (or that change with every write): no news when they differ."""


def order_id_of(payload: object) -> str | None:
    """The order's id as text; None when the event names no order (objects, empty, control characters, too long)."""
    body = payload.get("data") if isinstance(payload, Mapping) else None
    value = body.get("id") if isinstance(body, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    if isinstance(value, int) and abs(value) >= 10**64:
        return None
    text = str(value)
    return text if ORDER_ID.fullmatch(text) else None


def pair_of_currency(payload: Mapping[str, Any], pair: Pair, pairs: Mapping[str, Pair]) -> Pair:
    """The pair that takes the order: the store's, or the one it names for the order's currency (rules 5)."""
    body = payload.get("data")
    currency = body.get("currency") if isinstance(body, Mapping) else None
    if not isinstance(currency, str):
        return pair
    return pairs.get(pair.company.other_currencies.get(currency.strip().upper(), ""), pair)


def payload_digest(payload: Mapping[str, Any]) -> str:
    """SHA-256 of the order without `OUR_FIELDS`: equal orders have equal digests, whatever the order of keys.

    The cross-reference on the buyer, which this integration writes too, is left out likewise.
    """
    body = payload.get("data")
    content = (
        {key: value for key, value in body.items() if key not in OUR_FIELDS} if isinstance(body, Mapping) else body
    )
    customer = content.get("customer") if isinstance(content, Mapping) else None
    if isinstance(content, dict) and isinstance(customer, Mapping) and "externalReference" in customer:
        content["customer"] = {key: value for key, value in customer.items() if key != "externalReference"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def is_older(payload: Mapping[str, Any], than: Mapping[str, Any]) -> bool:
    """Whether a version of an order was overtaken on its way; False where either does not say when it is from."""
    this, other = _updated(payload), _updated(than)
    return this is not None and other is not None and this < other


def _updated(payload: Mapping[str, Any]) -> datetime | None:
    return _instant(payload, "updatedDate")


def _instant(payload: Mapping[str, Any], field: str) -> datetime | None:
    body = payload.get("data")
    value = body.get(field) if isinstance(body, Mapping) else None
    if not isinstance(value, str):
        return None
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def is_cancelled(payload: Mapping[str, Any], pair: Pair) -> bool:
    """Whether the order's status says that it is cancelled."""
    body = payload.get("data")
    status = body.get("status") if isinstance(body, Mapping) else None
    return isinstance(status, str) and (clarity_state(status, pair.clarity.statuses) is ClarityOrderState.CANCELLED)


def reason_by_status(payload: Mapping[str, Any], pair: Pair) -> str:
    """Why nothing starts for an order in this status (finished, unpaid, on hold at Clarity); empty when it may."""
    body = payload.get("data")
    status = body.get("status") if isinstance(body, Mapping) else None
    return reason_not_to_start(status, pair.clarity.statuses) if isinstance(status, str) else ""


def reason_to_ignore(payload: Mapping[str, Any], pair: Pair) -> str:
    """Why nothing starts for this order (before go-live; finished, unpaid or on hold at Clarity); empty when it may."""
    body = payload.get("data")
    if not isinstance(body, Mapping):
        return ""
    if reason := reason_by_status(payload, pair):
        return reason
    created = body.get("createdDate")
    if isinstance(created, str):
        try:
            moment = datetime.fromisoformat(created)
            # The company's day: shops send UTC, where an evening is the next day already.
            day = (moment.astimezone(pair.company.zone) if moment.tzinfo else moment).date()
        except (ValueError, OverflowError):
            return ""
        if day < pair.go_live:
            return f"it was created before the pair's go-live ({pair.go_live.isoformat()})"
    return ""


def last_change(payload: Mapping[str, Any]) -> datetime | None:
    """When Clarity changed the order last (else: when it was created); None where it does not say."""
    return _instant(payload, "updatedDate") or _instant(payload, "createdDate")


def created_at(payload: Mapping[str, Any]) -> datetime | None:
    """The instant of checkout; None where Clarity does not say."""
    return _instant(payload, "createdDate")


def may_have_come_in_shadow(payload: Mapping[str, Any], now: datetime, live_since: datetime) -> bool:
    """Whether the order may have come while its pair was in shadow mode: all but those of the last hour, and of these
    those from before `live_since`, when this process read the mode. No day in the pair file is relied on: a pair may go
    back to shadow mode and forth."""
    created = created_at(payload)
    return created is None or created < live_since or now - created > FRESH


FRESH = timedelta(hours=1)
"""A younger order that came since this process began is taken in without asking the server."""
RETENTION_MARGIN = timedelta(days=7)
SHORTEST_RETENTION = 2 * RETENTION_MARGIN
"""Under it (a development server) every order would be too old: then only the external reference tells."""


def reference_in(payload: Mapping[str, Any]) -> str:
    """What Clarity holds as our reference of the order, a SalesOrderNo if it is ours; empty without."""
    body = payload.get("data")
    reference = body.get("externalReference") if isinstance(body, Mapping) else None
    return str(reference).strip()[:40] if isinstance(reference, str | int) else ""


def reason_not_to_start_anew(payload: Mapping[str, Any], now: datetime, retention: timedelta | None) -> str:
    """Why an order that no workflow knows may have been here before (rules 4); empty when it is certainly new.

    Ids of closed workflows are forgotten after the namespace's `retention` (None: not known): an order that Clarity
    holds our reference for, or that is older than retention less 7 days, may stand in Sage already.
    """
    if reference := reference_in(payload):
        return f"Clarity has the external reference {reference!r} for it, so it was in Sage before"
    created = created_at(payload)
    if created is None or retention is None or retention < SHORTEST_RETENTION:
        return ""
    if now - created > retention - RETENTION_MARGIN:
        days = (retention - RETENTION_MARGIN).days
        return f"it was created on {created.date().isoformat()}, more than {days} days ago, and may be forgotten here"
    return ""
