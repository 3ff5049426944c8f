"""Ids of workflows, and the two patterns that say what names a pair and an order.

Ids are never encrypted: they hold no personal data. What is personal (a customer's match key) enters only as a
keyed hash.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Final

PAIR_PATTERN: Final = re.compile(r"[a-z][a-z0-9]{1,15}")
"""A pair's name, whole string."""

ORDER_ID_PATTERN: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""A Clarity order id as text, whole string; anything else names no order."""


def is_pair_name(text: str) -> bool:
    """Whether `text` may name an integration pair."""
    return PAIR_PATTERN.fullmatch(text) is not None


def is_order_id(text: str) -> bool:
    """Whether `text` may name a Clarity order."""
    return ORDER_ID_PATTERN.fullmatch(text) is not None


def order_workflow_id(pair: str, order_id: str) -> str:
    """Id of the order's `OrderFulfillmentWorkflow`; raises ValueError when either part names nothing."""
    if not is_pair_name(pair):
        raise ValueError(f"{pair!r} names no pair: a pair's name matches ^[a-z][a-z0-9]{{1,15}}$")
    if not is_order_id(order_id):
        raise ValueError(f"{order_id[:80]!r} names no order: an order id matches ^[A-Za-z0-9._-]{{1,64}}$")
    return f"order-{pair}-{order_id}"


def order_id_of(pair: str, workflow_id: str) -> str | None:
    """The Clarity order id in an order's workflow id; None for any other id."""
    prefix = f"order-{pair}-"
    order_id = workflow_id.removeprefix(prefix)
    return order_id if workflow_id.startswith(prefix) and is_order_id(order_id) else None


def shadow_order_workflow_id(pair: str, order_id: str) -> str:
    """Id of the order's `ShadowOrderWorkflow`: the order's own id stays free for going live."""
    return f"shadow-{order_workflow_id(pair, order_id)}"


def shadow_schedule_id(pair: str) -> str:
    """Id of the Schedule that compares shadow orders with typed ones, and the beginning of its runs' ids."""
    return f"shadow-{pair}"


def shadow_comparison_id(pair: str, since: str, until: str) -> str:
    """Id of a comparison by hand: both days of its range."""
    return f"shadow-{pair}-{since}_{until}"


def go_live_workflow_id(pair: str) -> str:
    """Id of the `GoLiveWorkflow` of a pair that takes orders over: one at a time."""
    return f"golive-{pair}"


def go_live_look_id(pair: str, since: date, named: Mapping[str, str]) -> str:
    """Id of a look at the open orders: the same for the same question (`--since` and the file's pairs)."""
    asked = json.dumps([since.isoformat(), sorted(named.items())])
    return f"{go_live_workflow_id(pair)}-look-{hashlib.sha256(asked.encode()).hexdigest()[:16]}"


def customer_workflow_id(pair: str, match_key: str, secret: bytes) -> str:
    """Id of the `CustomerResolutionWorkflow` that all orders with this match key share.

    `match_key` (`mappings.customer_match`: initials and postal code) is personal: the id holds
    HMAC-SHA256(secret, key), 32 hex digits. Strangers may share a key: they share the run that looks at them one after
    the other, never an account.
    """
    digest = hmac.new(secret, match_key.encode(), hashlib.sha256).hexdigest()[:32]
    return f"customer-{pair}-{digest}"


def customer_sync_workflow_id(pair: str, clarity_id: str) -> str:
    """Id of the `CustomerSyncWorkflow` of one customer of the store; raises ValueError when the id names none.

    Clarity's id is no personal data; one that holds an e-mail does not match the pattern.
    """
    if not is_pair_name(pair) or not is_order_id(clarity_id):
        raise ValueError("a customer's id at Clarity matches ^[A-Za-z0-9._-]{1,64}$")
    return f"customersync-{pair}-{clarity_id}"


def customers_schedule_id(pair: str) -> str:
    """Id of the Schedule that tells Clarity what Sage owns of customers, and the beginning of its runs' ids."""
    return f"customers-{pair}"


def customers_dry_run_id(pair: str) -> str:
    """Id of a look by hand at what Clarity would be told."""
    return f"customers-{pair}-dry-run"


def dead_letter_workflow_id(pair: str, webhook_id: str) -> str:
    """Id of the `DeadLetterWorkflow` of one delivery: the same delivery is kept once."""
    return f"deadletter-{pair}-{hashlib.sha256(webhook_id.encode()).hexdigest()[:32]}"


def alert_workflow_id(pair: str) -> str:
    """Id of the `AlertWorkflow` that groups and delivers a pair's alerts."""
    return f"alerts-{pair}"


def watch_schedule_id(pair: str) -> str:
    """Id of the Schedule that runs the watch for failing workflow tasks and ended orders."""
    return f"watch-{pair}"


def outage_workflow_id(pair: str, system: str) -> str:
    """Id of the `OutageWatchWorkflow` of one system of a pair; `system` is `OutsideSystem.watched_as`."""
    return f"outage-{pair}-{system}"


def poll_schedule_id(pair: str) -> str:
    """Id of the Schedule that runs the Sage poller's shifts."""
    return f"sage-poll-{pair}"


def backfill_schedule_id(pair: str) -> str:
    """Id of the Schedule that catches up missed webhooks, and the beginning of its runs' ids."""
    return f"backfill-{pair}"


def credit_memo_workflow_id(pair: str, invoice_no: str) -> str:
    """Id of the `CreditMemoWorkflow` of one posted credit memo: told once."""
    return f"creditmemo-{pair}-{invoice_no}"


def inventory_schedule_id(pair: str) -> str:
    """Id of the Schedule that keeps the store's stock numbers, and the beginning of its runs' ids."""
    return f"inventory-{pair}"


def product_workflow_id(pair: str, product_id: str) -> str:
    """Id of the `ProductSyncWorkflow` of a product: the store's id of it, or a hash of one that is no plain name."""
    plain = product_id if ORDER_ID_PATTERN.fullmatch(product_id) else hashlib.sha256(product_id.encode()).hexdigest()
    return f"product-{pair}-{plain[:64]}"


def products_schedule_id(pair: str) -> str:
    """Id of the Schedule that compares products and items, and the beginning of its runs' ids."""
    return f"products-{pair}"


def products_by_hand_id(pair: str, what: str) -> str:
    """Id of a comparison by hand; `what` tells two apart."""
    return f"products-{pair}-by-hand-{what}"


def backfill_workflow_id(pair: str, what: str) -> str:
    """Id of a backfill by hand: `what` is the first day or instant of its range, or names its orders."""
    return f"backfill-{pair}-{what}"


def backfill_of_orders_id(pair: str, order_ids: Iterable[str]) -> str:
    """Id of a backfill of single orders: the order's own id, or a hash of several."""
    ids = sorted(set(order_ids))
    named = ids[0] if len(ids) == 1 else hashlib.sha256(" ".join(ids).encode()).hexdigest()[:16]
    return backfill_workflow_id(pair, f"ids-{named}")


def reconcile_schedule_id(pair: str) -> str:
    """Id of the Schedule that reconciles payments each night, and the beginning of its runs' ids."""
    return f"reconcile-{pair}"


def receipts_schedule_id(pair: str) -> str:
    """Id of the Schedule that brings money into Sage each night, and the beginning of its runs' ids."""
    return f"receipts-{pair}"


def receipts_workflow_id(pair: str, since: str, until: str, *, dry_run: bool = False) -> str:
    """Id of a run of the cash receipts by hand: both days of its range."""
    return f"receipts-{pair}-{since}_{until}" + ("-dry-run" if dry_run else "")


def reconcile_workflow_id(pair: str, since: str, until: str) -> str:
    """Id of a reconciliation by hand: both days of its range."""
    return f"reconcile-{pair}-{since}_{until}"


PROMOTION: Final = "promotion"
"""Id of the `PromotionWorkflow`: one at a time in a namespace."""
