"""Corrections and releases: what support may decide, and what a decision changes."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.messages import OWN_ACTIONS, HoldView, Release, ReleaseAction, actions_for
from mappings.checks import back_ordered, balanced, compare_totals, run_checks
from mappings.correction import CorrectionRefused, correct
from mappings.decisions import UNDECIDED, Decisions, ItemDecision, Side, StockDecision
from mappings.items import ItemFacts, WarehouseStock
from mappings.pair import Pair
from mappings.problems import HoldReason, Problem
from mappings.sales_order import CreatedLine, CustomerKey, Draft, ExpectedTotals, SalesOrderOnSage
from mappings.transform import transform
from tests.unit.conftest import sample
from workflows.releases import ReleaseRefused, check_release, decided, parse_release

PAYLOAD: dict[str, Any] = {
    "type": "order.created",
    "data": {
        "id": "7",
        "shippingAddress": {"city": "", "region": "TX"},
        "items": [{"id": "a", "sku": "X", "quantity": 1}, {"sku": "Y"}],
        "notes": "call",
    },
}


def held(reason: HoldReason, **more: Any) -> HoldView:
    return HoldView(
        hold=3,
        reason=reason,
        since=datetime(2026, 11, 24, tzinfo=UTC),
        actions=actions_for(reason),
        **{"problems": [], **more},
    )


def checked(hold: HoldView, **release: Any) -> Any:
    return check_release(
        parse_release({"by": "ann", **release}), hold, sales_order_no="", payload=PAYLOAD, skus={"a": "X"}
    )


def test_a_correction_merges_removes_and_says_what_it_changed() -> None:
    result = correct(
        PAYLOAD,
        {"shippingAddress": {"city": "Austin"}, "notes": None, "items": {"a": {"quantity": 2}, "[1]": {"id": "b"}}},
    )
    assert result.changes == [
        "data.shippingAddress.city:  → Austin",
        "data.items[0].quantity: 1 → 2",
        "data.items[1].id: nothing → b",
        "data.notes: call → nothing",
    ]
    assert result.payload["data"]["shippingAddress"] == {"city": "Austin", "region": "TX"}
    assert "notes" not in result.payload["data"]
    assert PAYLOAD["data"]["notes"] == "call"
    same = correct(PAYLOAD, {"data": {"items": {"a": None}}})
    assert same.payload["data"]["items"] == [{"sku": "Y"}]


@pytest.mark.parametrize(
    ("correction", "says"),
    [
        (None, "needs a JSON object"),
        ({}, "needs a JSON object"),
        ({"id": "8"}, "cannot be changed"),
        ({"notes": "call"}, "changes nothing"),
        ({"items": {"z": {}}}, "no item 'z'; its items: a"),
        ({"items": {"a": 5}}, "items.a needs an object"),
        ({"items": "all"}, "keyed by item id"),
        ({"data": 5}, "field by field"),
        ({"data": {}, "type": "x"}, "field by field"),
    ],
)
def test_a_correction_that_makes_no_sense_is_refused(correction: object, says: str) -> None:
    with pytest.raises(CorrectionRefused, match=says):
        correct(PAYLOAD, correction)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(payload=st.dictionaries(st.sampled_from(["data", "type"]), json_values), correction=json_values)
def test_no_correction_of_any_payload_raises_anything_else(payload: dict[str, Any], correction: object) -> None:
    try:
        result = correct(payload, correction)
    except CorrectionRefused:
        return
    assert result.changes
    # Correcting again with the same patch changes nothing more, unless it removed items.
    if isinstance(correction, dict) and "items" not in (correction.get("data") or correction):
        with pytest.raises(CorrectionRefused):
            correct(result.payload, correction)


def test_every_reason_has_its_actions_and_no_other() -> None:
    for reason in HoldReason:
        own = OWN_ACTIONS.get(reason, [])
        for action in ReleaseAction:
            release = {
                "action": action.value,
                "correction": {"notes": "x"},
                "items": {"a": "LAMP"},
                "customer_no": "01-ABF",
                "winner": "sage",
            }
            if action in (ReleaseAction.RETRY, ReleaseAction.CANCEL, *own):
                assert checked(held(reason), **release).release.action is action
            else:
                with pytest.raises(ReleaseRefused, match="is no action of"):
                    checked(held(reason), **release)


@given(release=json_values)
def test_any_release_is_understood_or_refused(release: object) -> None:
    try:
        check_release(
            parse_release(release), held(HoldReason.UNKNOWN_ITEM), sales_order_no="", payload=PAYLOAD, skus={"a": "X"}
        )
    except ReleaseRefused as refusal:
        assert str(refusal)


def test_what_a_release_decides() -> None:
    chosen = checked(held(HoldReason.UNKNOWN_ITEM), action="use_item", items={"a": "LAMP"}, remember=True)
    decisions = decided(UNDECIDED, chosen)
    assert decisions.items == [ItemDecision(item_id="a", sku="X", ItemCode="LAMP", remember=True)]
    assert decisions.item_for("a", "X") == "LAMP"
    assert decisions.item_for("a", "another sku now") == ""
    over = Problem(field="AR_Customer.01-ABF.CreditLimit", message="over the limit")
    on_credit = held(HoldReason.CREDIT, check="credit", problems=[over])
    decisions = decided(decisions, checked(on_credit, action="approve"))
    decisions = decided(
        decisions, checked(held(HoldReason.CUSTOMER_REVIEW), action="use_customer", customer_no="01-ABF")
    )
    assert decisions.customer == CustomerKey(ARDivisionNo="01", CustomerNo="ABF")
    assert decisions.approved == ["credit:AR_Customer.01-ABF.CreditLimit"]
    corrected = decided(
        decisions, checked(held(HoldReason.INVALID_DATA), action="correct", correction={"notes": "new"})
    )
    assert corrected.approved == []
    assert corrected.items == decisions.items


def test_the_winner_is_right_about_one_difference_only(pair: Pair) -> None:
    expected = ExpectedTotals(currency="USD", tax=Decimal(0), freight=Decimal(0), grand=Decimal(100))
    cent = SalesOrderOnSage(TaxableAmt=Decimal("100.01"))
    assert compare_totals(expected, cent) is not None
    hold = held(HoldReason.TOTAL_MISMATCH, difference=Decimal("0.01"))
    sage = decided(UNDECIDED, checked(hold, action="approve", winner="sage"))
    assert compare_totals(expected, cent, sage) is None
    assert compare_totals(expected, SalesOrderOnSage(TaxableAmt=Decimal("150")), sage) is not None
    clarity = decided(UNDECIDED, checked(hold, action="approve", winner="clarity"))
    draft = drafted(pair)
    assert [line.UnitPrice for line in balanced(draft.sales_order, pair, clarity).Lines][-1] == Decimal("-0.01")
    assert clarity.winner is Side.CLARITY
    assert balanced(draft.sales_order, pair, sage) == draft.sales_order


def drafted(pair: Pair) -> Draft:
    draft = transform(sample("01-consumer-new"), pair).draft
    assert draft is not None
    lines = [line.model_copy(update={"ItemCode": line.ItemCode or line.sku}) for line in draft.sales_order.Lines]
    return draft.model_copy(update={"sales_order": draft.sales_order.model_copy(update={"Lines": lines})})


def stocked(code: str, on_hand: int, *, back_orders: bool = True, factor: int = 1) -> ItemFacts:
    return ItemFacts(
        ItemCode=code,
        AllowBackOrders=back_orders,
        SalesUMConvFctr=Decimal(factor),
        DefaultWarehouseCode="000",
        warehouses={"000": WarehouseStock(QuantityOnHand=Decimal(on_hand))},
    )


@pytest.mark.parametrize(
    ("decision", "on_hand", "back_ordered_lamps"),
    [
        (StockDecision.BACKORDER, 1, 2),
        (StockDecision.SHIP_AVAILABLE, 1, 1),
        (StockDecision.BACKORDER, 2, 0),
        (StockDecision.SHIP_AVAILABLE, 0, 2),
    ],
)
def test_no_line_takes_more_than_there_is(
    pair: Pair, decision: StockDecision, on_hand: int, back_ordered_lamps: int
) -> None:
    draft = drafted(pair)
    items = {"DESK-OAK-120": stocked("DESK-OAK-120", 5), "LAMP-LED-01": stocked("LAMP-LED-01", on_hand)}
    decisions = Decisions(stock=decision)
    assert run_checks(draft.sales_order, draft.expected, None, items, pair, decisions) == []
    order = back_ordered(draft.sales_order, items, pair, decisions)
    assert [line.QuantityBackordered for line in order.Lines[:2]] == [0, back_ordered_lamps]
    assert sum(line.QuantityOrdered for line in order.Lines) == sum(
        line.QuantityOrdered for line in draft.sales_order.Lines
    )


def test_items_without_back_orders_are_never_back_ordered_whole(pair: Pair) -> None:
    draft = drafted(pair)
    items = {
        "DESK-OAK-120": stocked("DESK-OAK-120", 5),
        "LAMP-LED-01": stocked("LAMP-LED-01", 1, back_orders=False),
    }
    findings = run_checks(draft.sales_order, draft.expected, None, items, pair)
    assert findings[0].no_back_orders == ["LAMP-LED-01"]
    hold = held(HoldReason.OUT_OF_STOCK, no_back_orders=findings[0].no_back_orders)
    with pytest.raises(ReleaseRefused, match="no back orders"):
        checked(hold, action="backorder")
    again = run_checks(draft.sales_order, draft.expected, None, items, pair, Decisions(stock=StockDecision.BACKORDER))
    assert [finding.reason for finding in again] == [HoldReason.OUT_OF_STOCK]
    assert (
        run_checks(draft.sales_order, draft.expected, None, items, pair, Decisions(stock=StockDecision.SHIP_AVAILABLE))
        == []
    )


def test_release_carries_what_its_action_needs() -> None:
    release = Release.model_validate({"action": "use_item", "by": "x", "items": {"1": "A"}})
    assert (release.items, release.remember, release.reason) == ({"1": "A"}, False, None)
    assert CreatedLine(LineKey="1", ItemCode="A", QuantityOrdered=Decimal(1)).QuantityBackordered == 0
