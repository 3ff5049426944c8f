"""What a release of a hold must be to mean something, and what it changes. Pure.

In: a release as it came (update or signal), and the hold. Out: `Checked`, or `ReleaseRefused` with a sentence that says
what to send instead. Nothing is changed here.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from contracts.messages import HoldView, Release, ReleaseAction
from mappings.correction import Corrected, CorrectionRefused, correct
from mappings.decisions import Decisions, ItemDecision, Side, StockDecision
from mappings.problems import HoldReason, approvals
from mappings.sales_order import CustomerKey

CUSTOMER_NO = re.compile(r"(?P<division>[0-9A-Za-z]{2})-(?P<number>\S.{0,19})")
ITEM_CODE_LENGTH = 30
"""CI_Item.ItemCode."""


class ReleaseRefused(ValueError):
    """The release makes no sense for this hold; the message says why and what to send."""


@dataclass(frozen=True)
class Checked:
    """A release that means something, with what it decides."""

    release: Release
    hold: HoldView
    corrected: Corrected | None = None
    items: tuple[ItemDecision, ...] = ()
    customer: CustomerKey | None = None


def parse_release(release: object) -> Release:
    """The release as a model; raises ReleaseRefused that names the field."""
    try:
        return Release.model_validate(release)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "argument"
        raise ReleaseRefused(
            f'release_hold: {where}: {first["msg"]}. Send {{"action": "retry", "by": "your name", '
            '"reason": "<HoldReason>"}; actions: ' + ", ".join(ReleaseAction)
        ) from None


def check_release(
    release: Release,
    hold: HoldView | None,
    *,
    sales_order_no: str,
    invoices: Sequence[str] = (),
    payload: Mapping[str, Any],
    skus: Mapping[str, str],
) -> Checked:
    """The release against the hold it is for; `skus` by Clarity item id. Raises ReleaseRefused."""
    if hold is None:
        raise ReleaseRefused("the order is not held now: nothing to release; its details page says where it is")
    if release.reason is not None and release.reason is not hold.reason:
        raise ReleaseRefused(f"the order is held for {hold.reason.value}, not for {release.reason.value}")
    if release.hold is not None and release.hold != hold.hold:
        raise ReleaseRefused(f"hold {release.hold} is over; the order is in hold {hold.hold}")
    if release.action not in hold.actions:
        raise ReleaseRefused(
            f"{release.action.value} is no action of this hold ({hold.reason.value}); actions: "
            + ", ".join(hold.actions)
        )
    match release.action:
        case ReleaseAction.CANCEL if invoices and hold.reason is not HoldReason.DELETED_IN_SAGE:
            raise ReleaseRefused(
                f"invoice {', '.join(invoices[:5])} bills sales order {sales_order_no}, so something was or is being "
                "shipped: cancel in Sage what is left, then release with retry"
            )
        case ReleaseAction.CORRECT:
            try:
                return Checked(release, hold, corrected=correct(payload, release.correction))
            except CorrectionRefused as refusal:
                raise ReleaseRefused(str(refusal)) from None
        case ReleaseAction.USE_ITEM:
            return Checked(release, hold, items=tuple(_items(release, skus)))
        case ReleaseAction.USE_CUSTOMER:
            return Checked(release, hold, customer=_customer(release))
        case ReleaseAction.APPROVE if hold.reason is HoldReason.TOTAL_MISMATCH and release.winner is None:
            raise ReleaseRefused(
                'winner: says whose total is right: "sage" (create it at Sage\'s total) or "clarity" (a rounding line '
                "makes Sage's total equal)"
            )
        case ReleaseAction.BACKORDER if hold.no_back_orders:
            raise ReleaseRefused(
                f"{', '.join(hold.no_back_orders[:10])}: no back orders for this item in Sage, which would drop the "
                "quantity; release with ship_available (the rest is cancelled) or cancel"
            )
    return Checked(release, hold)


def _items(release: Release, skus: Mapping[str, str]) -> list[ItemDecision]:
    if not release.items:
        raise ReleaseRefused('items: says which item to use: {"<item id of the order>": "<ItemCode>"}')
    decisions = []
    for item_id, item_code in release.items.items():
        if item_id not in skus:
            known = ", ".join(skus)[:200]
            raise ReleaseRefused(f"items: the order has no item {item_id[:64]!r}; its items: {known}")
        if not item_code.strip() or len(item_code) > ITEM_CODE_LENGTH:
            raise ReleaseRefused(f"items.{item_id}: an ItemCode has 1 to {ITEM_CODE_LENGTH} characters")
        decisions.append(
            ItemDecision(item_id=item_id, sku=skus[item_id], ItemCode=item_code.strip(), remember=release.remember)
        )
    return decisions


def _customer(release: Release) -> CustomerKey:
    match = CUSTOMER_NO.fullmatch(release.customer_no.strip())
    if match is None:
        raise ReleaseRefused('customer_no: names the account as division-number, such as "00-ABC001"')
    return CustomerKey(ARDivisionNo=match["division"], CustomerNo=match["number"])


def decided(decisions: Decisions, checked: Checked) -> Decisions:
    """The decisions on the order after a release."""
    release, hold = checked.release, checked.hold
    match release.action:
        case ReleaseAction.CORRECT:
            return decisions.after_correction()
        case ReleaseAction.USE_ITEM:
            return decisions.choose_items(list(checked.items))
        case ReleaseAction.USE_CUSTOMER:
            if checked.customer is None:
                return decisions
            return decisions.with_customer(checked.customer, remember=release.remember)
        case ReleaseAction.CREATE_CUSTOMER:
            return decisions.model_copy(update={"customer": None, "create_customer": True})
        case ReleaseAction.BACKORDER:
            return decisions.model_copy(update={"stock": StockDecision.BACKORDER})
        case ReleaseAction.SHIP_AVAILABLE:
            return decisions.model_copy(update={"stock": StockDecision.SHIP_AVAILABLE})
        case ReleaseAction.APPROVE if hold.reason is HoldReason.TOTAL_MISMATCH:
            return _winner(decisions, release.winner, hold)
        case ReleaseAction.APPROVE:
            return decisions.approve(approvals(hold.check, hold.problems))
    return decisions


def _winner(decisions: Decisions, winner: Side | None, hold: HoldView) -> Decisions:
    """A balancing line that is there already counts: the difference is then what is left beside it."""
    balanced = decisions.difference if decisions.winner is Side.CLARITY and winner is Side.CLARITY else 0
    return decisions.model_copy(update={"winner": winner, "difference": hold.difference + balanced})
