"""Shadow orders against typed ones: what is the same, what differs and how, what is found and what only suggested."""

import csv
import io
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from temporalio.client import ScheduleOverlapPolicy

from mappings.intake import may_have_come_in_shadow
from mappings.pair import Mode, Pair, ShadowRules
from mappings.problems import Finding, HoldReason, Problem
from mappings.sales_order import (
    CreatedLine,
    CustomerDecision,
    CustomerKey,
    CustomerMatch,
    ExpectedTotals,
    LineOrigin,
    NewCustomer,
    SageFacts,
    SageItemType,
    SalesOrder,
    SalesOrderLine,
    SalesOrderOnSage,
)
from mappings.shadow import (
    ComparedOrder,
    ShadowOrder,
    ShadowOutcome,
    TypedOrder,
    compare_order,
    totals_of,
    typed_numbers,
    undisturbed,
)
from mappings.shadow_files import DIFFERENCES, ORDERS, SUMMARY, files
from workers.by_hand import refuse_in_shadow
from workers.schedules import not_in_this_mode, schedules_of
from workers.settings import SettingsError

TODAY = date(2026, 11, 26)
CREATED = datetime(2026, 11, 25, 16, tzinfo=UTC)
ACCOUNT = CustomerKey(ARDivisionNo="02", CustomerNo="W000001")
HOME = {
    "ShipToName": "Maria Gonzales", "ShipToAddress1": "12 Rose Street", "ShipToCity": "Portland", "ShipToState": "OR",
    "ShipToZipCode": "97201", "ShipToCountryCode": "USA",
}  # fmt: skip
WORDS = {"ShipVia": "UPS GROUND", "WarehouseCode": "000", "TermsCode": "00"}


def line(code: str = "DESK", quantity: str = "2", price: str = "5.00", **more: Any) -> CreatedLine:
    return CreatedLine(
        **{"LineKey": "000001", "ItemCode": code, "QuantityOrdered": Decimal(quantity), "UnitPrice": Decimal(price)}
        | {"WarehouseCode": "000"}
        | more
    )


def shadow(**changes: Any) -> ShadowOrder:
    wanted = SalesOrderLine(
        origin=LineOrigin.ITEM, sku="DESK", ItemCode="DESK", ItemType=SageItemType.REGULAR, QuantityOrdered=Decimal(2)
    )
    order = ShadowOrder(
        order_id="10001",
        order_number="W-10001",
        created=CREATED,
        customer=ACCOUNT,
        sales_order=SalesOrder(
            UDF_WEB_ORDER_ID="10001",
            OrderDate=date(2026, 11, 25),
            CustomerPONo="W-10001",
            EmailAddress="maria@example.com",
            Lines=[wanted],
            **HOME,
            **WORDS,
        ),
        on_sage=SalesOrderOnSage(TaxableAmt=Decimal(10), SalesTaxAmt=Decimal("0.83"), Lines=[line()]),
        expected=ExpectedTotals(
            currency="USD", tax=Decimal("0.83"), freight=Decimal(0), grand=Decimal("10.83"), tolerance=Decimal(0)
        ),
    )
    return order.model_copy(update=changes)


def typed(**changes: Any) -> TypedOrder:
    order = TypedOrder(
        SalesOrderNo="0000042",
        OrderStatus="N",
        ARDivisionNo="02",
        CustomerNo="W000001",
        CustomerPONo="W-10001",
        TaxableAmt=Decimal(10),
        SalesTaxAmt=Decimal("0.83"),
        OrderDate=date(2026, 11, 25),
        EmailAddress="Maria@Example.com",
        Lines=[line()],
        **HOME,
        **WORDS,
    )
    return order.model_copy(update=changes)


def compared(
    pair: Pair, ours: ShadowOrder | None = None, *theirs: TypedOrder, heads: Sequence[TypedOrder] = ()
) -> ComparedOrder:
    return compare_order(ours or shadow(), theirs, heads, pair, TODAY)


def found(one: ComparedOrder) -> dict[str, tuple[str, str]]:
    return {difference.field: (difference.ours, difference.theirs) for difference in one.differences}


def test_an_order_typed_as_it_would_have_been_created_is_the_same(pair: Pair) -> None:
    one = compared(pair, None, typed())
    assert (one.outcome, one.SalesOrderNo, one.differences) == (ShadowOutcome.SAME, "0000042", [])


@pytest.mark.parametrize(
    ("theirs", "differences"),
    [
        ({"CustomerNo": "W000002"}, {"customer": ("02-W000001", "02-W000002")}),
        ({"ShipVia": "UPS RED"}, {"ship_via": ("UPS GROUND", "UPS RED")}),
        ({"TermsCode": "01", "WarehouseCode": "002"}, {"terms": ("00", "01"), "warehouse": ("000", "002")}),
        ({"FreightAmt": Decimal("7.50")}, {"freight": ("0.00", "7.50"), "total": ("10.83", "18.33")}),
        ({"DiscountAmt": Decimal(1)}, {"discount": ("0.00", "1.00"), "total": ("10.83", "9.83")}),
        ({"SalesTaxAmt": Decimal("0.80")}, {"tax": ("0.83", "0.80"), "total": ("10.83", "10.80")}),
        ({"Lines": [line(quantity="3")]}, {"lines": ("2", "3")}),
        ({"Lines": [line(price="4.50")]}, {"lines": ("price 5", "price 4.5")}),
        ({"Lines": [line("LAMP")]}, {"lines": ("none", "2 at 5")}),
        ({"Lines": [line(WarehouseCode="002")]}, {"warehouse": ("000", "002")}),
        (
            {"ShipToAddress1": "14 Rose Street"},
            {
                "ship_to": (
                    "Maria Gonzales, 12 Rose Street, Portland, OR, 97201, USA",
                    "Maria Gonzales, 14 Rose Street, Portland, OR, 97201, USA",
                )
            },
        ),
    ],
)
def test_each_difference_is_named_with_both_values(
    pair: Pair, theirs: dict[str, Any], differences: dict[str, tuple[str, str]]
) -> None:
    one = compared(pair, None, typed(**theirs))
    assert (one.outcome, found(one)) == (ShadowOutcome.DIFFERS, differences)


@pytest.mark.parametrize(
    "theirs",
    [
        {"SalesTaxAmt": Decimal("0.84")},
        {"ShipToAddress1": "12 Rose St.", "ShipToCountryCode": ""},
        {"Lines": [line(quantity="1"), line(quantity="1", LineKey="000002")]},
        {"Lines": [line(quantity="1", price="10.00", UnitOfMeasureConvFactor=Decimal(2))]},
        {"Lines": [line(), line("/C", ItemType=SageItemType.COMMENT, LineKey="000002")]},
        {"Lines": [line(), line("LEG", SalesKitLineKey="000001", LineKey="000002")]},
    ],
)
def test_what_only_looks_different_is_the_same(pair: Pair, theirs: dict[str, Any]) -> None:
    assert compared(pair, None, typed(**theirs)).outcome is ShadowOutcome.SAME


def test_a_customer_that_people_created_too_is_no_difference(pair: Pair) -> None:
    new = shadow(
        customer=None, new_customer=NewCustomer(ARDivisionNo="02", CustomerName="Maria Gonzales"), on_sage=None
    )
    created = compared(pair, new, typed(customer_since=date(2026, 11, 25), Lines=[line(price="0")]))
    assert "customer" not in found(created)
    assert created.new_customer
    older = compared(pair, new, typed(customer_since=date(2020, 1, 1)))
    assert found(older)["customer"] == ("(a new customer)", "02-W000001")


def test_sages_own_price_that_no_preview_told_is_not_compared(pair: Pair) -> None:
    order = shadow().sales_order
    assert order is not None
    unpriced = [order.Lines[0].model_copy(update={"UnitPrice": None})]
    ours = shadow(sales_order=order.model_copy(update={"Lines": unpriced}), on_sage=None)
    assert compared(pair, ours, typed()).outcome is ShadowOutcome.SAME
    assert found(compared(pair, ours, typed(Lines=[line(quantity="3")]))) == {"lines": ("2", "3")}


def test_an_order_that_nobody_typed_is_late_only_after_its_days(pair: Pair) -> None:
    assert compared(pair).outcome is ShadowOutcome.NOT_TYPED_YET
    old = shadow(created=datetime(2026, 11, 20, tzinfo=UTC))
    assert compared(pair, old).outcome is ShadowOutcome.NOT_FOUND
    patient = pair.model_copy(update={"shadow": ShadowRules(typed_within_days=10)})
    assert compared(patient, old).outcome is ShadowOutcome.NOT_TYPED_YET


def test_an_order_with_the_same_mail_and_total_is_suggested_and_not_taken(pair: Pair) -> None:
    other = typed(SalesOrderNo="0000050", CustomerPONo="PHONE")
    near = typed(SalesOrderNo="0000051", OrderDate=date(2026, 11, 24))
    heads = (
        near,
        other,
        typed(SalesOrderNo="0000052", EmailAddress="x@example.com"),
        typed(SalesOrderNo="0000053", TaxableAmt=Decimal(11)),
        typed(SalesOrderNo="0000054", OrderDate=date(2026, 10, 1)),
    )
    one = compared(pair, None, heads=heads)
    assert (one.outcome, one.SalesOrderNo, one.suggestions) == (
        ShadowOutcome.NOT_TYPED_YET, "", ["0000050", "0000051"]
    )  # fmt: skip


def test_a_held_order_says_why_and_which_order_people_typed(pair: Pair) -> None:
    problem = Problem(field="data.items[0].sku", message="no item DESKK")
    one = compared(pair, shadow(holds=[Finding(reason=HoldReason.UNKNOWN_ITEM, problems=[problem])]), typed())
    assert (one.outcome, one.SalesOrderNo) == (ShadowOutcome.WOULD_HOLD, "0000042")
    assert [(hold.reason, hold.sentence) for hold in one.holds] == [
        (HoldReason.UNKNOWN_ITEM, "data.items[0].sku: no item DESKK")
    ]


def test_an_order_that_was_entered_before_the_checkout_is_another_one(pair: Pair) -> None:
    old = typed(SalesOrderNo="0000001", OrderDate=date(2026, 2, 10))
    assert compared(pair, None, old).outcome is ShadowOutcome.NOT_TYPED_YET
    one = compared(pair, None, old, typed())
    assert (one.outcome, one.SalesOrderNo) == (ShadowOutcome.SAME, "0000042")


def test_of_orders_typed_twice_the_closest_is_compared_and_both_are_named(pair: Pair) -> None:
    one = compared(pair, None, typed(SalesOrderNo="0000041", ShipVia="UPS RED"), typed())
    assert one.SalesOrderNo == "0000042"
    assert found(one) == {"typed_twice": ("one order", "0000041, 0000042")}


def test_another_web_orders_and_deleted_orders_are_not_taken(pair: Pair) -> None:
    others = (typed(UDF_WEB_ORDER_ID="10002"), typed(live=False, OrderStatus="X"))
    assert compared(pair, None, *others).outcome is ShadowOutcome.NOT_TYPED_YET


def test_an_order_cancelled_at_clarity_is_a_difference_only_when_it_stands_in_sage(pair: Pair) -> None:
    assert compared(pair, shadow(cancelled=True)).outcome is ShadowOutcome.CANCELLED
    assert found(compared(pair, shadow(cancelled=True), typed())) == {"cancelled": ("cancelled at Clarity", "in Sage")}


def test_what_people_type_is_looked_for_as_the_pair_says_and_as_it_was_cut(pair: Pair) -> None:
    assert typed_numbers("W-10001", "10001", "", pair) == ["W-10001"]
    rules = ShadowRules(typed_as=["WEB {number}", "{purchase_order}", "{id}"])
    several = pair.model_copy(update={"shadow": rules, "columns": {"CustomerPONo": 12}})
    assert typed_numbers("W-1000123", "9", "PO 77", several) == ["WEB W-1000123", "WEB W-100012", "PO 77", "9"]
    assert typed_numbers("W-1", "9", "", several) == ["WEB W-1", "9"]


def test_what_only_the_typed_order_makes_suspicious_stops_nothing() -> None:
    problem = Problem(field="SO_SalesOrder.0000042", message="the same basket")
    facts = SageFacts(
        sales_order=shadow().sales_order or pytest.fail("it has one"),
        match=CustomerMatch(decision=CustomerDecision.MATCHED, customer=ACCOUNT),
        findings=[
            Finding(reason=HoldReason.ANOMALY, check="same_basket", problems=[problem]),
            Finding(reason=HoldReason.CREDIT, check="credit", problems=[problem]),
        ],
    )
    assert undisturbed(facts).approved == ["same_basket:SO_SalesOrder.0000042"]


def test_the_files_hold_every_order_once_and_add_up(pair: Pair) -> None:
    orders = [
        compared(pair, None, typed()),
        compared(pair, None, typed(ShipVia="UPS RED", TermsCode="01")),
        compared(pair, shadow(order_number="=W")),
    ]
    totals = totals_of(orders)
    assert totals.orders == {ShadowOutcome.SAME: 1, ShadowOutcome.DIFFERS: 1, ShadowOutcome.NOT_TYPED_YET: 1}
    assert totals.fields == {"terms": 1, "ship_via": 1}
    written = files(orders, totals, "2026-11-25_2026-11-26")
    assert list(written)[-1] == SUMMARY
    rows = list(csv.DictReader(io.StringIO(written[ORDERS].decode("utf-8-sig"))))
    assert [row["outcome"] for row in rows] == ["same", "differs", "not_typed_yet"]
    assert rows[2]["order_number"] == "'=W"
    differences = list(csv.DictReader(io.StringIO(written[DIFFERENCES].decode("utf-8-sig"))))
    assert [(row["field"], row["ours"], row["theirs"]) for row in differences] == [
        ("terms", "00", "01"), ("ship_via", "UPS GROUND", "UPS RED")
    ]  # fmt: skip
    assert len(json.loads(written[SUMMARY])["orders_compared"]) == 3


def test_a_card_number_that_somebody_typed_stands_in_no_file(pair: Pair) -> None:
    card = "4111 1111 1111 1111"
    one = compared(pair, None, typed(ShipToAddress2=f"card {card}"))
    written = files([one], totals_of([one]), "2026-11-25_2026-11-26")
    assert card not in b"".join(written.values()).decode()
    (kept,) = json.loads(written[SUMMARY])["orders_compared"]
    assert "card [masked]" in kept["differences"][0]["theirs"]
    assert kept["order_id"] == one.order_id


# ---- the pair's mode ------------------------------------------------------------------------------------------------


def test_a_pair_in_shadow_has_only_schedules_that_write_nothing(pair: Pair) -> None:
    quiet = pair.model_copy(update={"mode": Mode.SHADOW})
    assert set(schedules_of(quiet)) == {"backfill-demo", "watch-demo", "shadow-demo"}
    assert not_in_this_mode(pair) == ["shadow-demo"]
    assert set(not_in_this_mode(quiet)) == set(schedules_of(pair)) - {"backfill-demo", "watch-demo"}
    assert schedules_of(quiet)["shadow-demo"].policy.overlap is ScheduleOverlapPolicy.SKIP


def test_a_run_by_hand_that_writes_is_refused_in_shadow(pair: Pair) -> None:
    refuse_in_shadow("products", pair)
    with pytest.raises(SettingsError, match=r"products: the pair demo is in shadow mode.*--dry-run"):
        refuse_in_shadow("products", pair.model_copy(update={"mode": Mode.SHADOW}), "Use --dry-run.")


@pytest.mark.parametrize(
    ("created", "may"),
    [
        ("2026-01-01T00:00:00Z", True),
        ("2026-11-25T14:59:00Z", True),
        ("2026-11-25T15:01:00Z", False),
        ("2026-11-25T09:59:00-06:00", False),
        ("", True),
    ],
)
def test_only_a_fresh_order_surely_did_not_come_in_shadow_mode(created: str, *, may: bool) -> None:
    body = {"createdDate": created} if created else {}
    assert may_have_come_in_shadow({"data": body}, CREATED, CREATED - timedelta(days=90)) is may
    # However fresh: from before this process knew that the pair is live.
    assert may_have_come_in_shadow({"data": body}, CREATED, CREATED)
