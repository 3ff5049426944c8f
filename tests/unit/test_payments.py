"""Payments: what Sage is told of captures, refunds, voids, authorisations and gift cards (rules 5)."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.canonical import Order
from mappings.card_numbers import MASK
from mappings.clarity_order import parse_order
from mappings.pair import PaymentRoute, load_pair
from mappings.sales_order import Draft, LineOrigin
from mappings.transform import transform
from tests.unit.conftest import DEMO_FILE, sample
from tests.unit.test_rules import pair_with

DEMO = load_pair(DEMO_FILE)


def paid(*payments: tuple[str, str, str, str]) -> dict[str, Any]:
    """Order 01 (517.90 USD) paid so: gateway, type, amount, reference."""
    payload = sample("01-consumer-new")
    payload["data"]["payments"] = [
        {
            "gateway": gateway,
            "method": "",
            "transactionId": reference,
            "type": kind,
            "amount": amount,
            "currency": "USD",
        }
        for gateway, kind, amount, reference in payments
    ]
    return payload


def comments(draft: Draft) -> list[str]:
    return [line.CommentText for line in draft.sales_order.Lines if line.CommentText]


def test_an_authorisation_is_no_money() -> None:
    draft = transform(paid(("stripe", "authorize", "517.90", "au_1"), ("unheard", "authorize", "1", "x")), DEMO).draft
    assert draft is not None
    assert (draft.sales_order.DepositAmt, draft.sales_order.PaymentType, draft.expected.paid) == (
        Decimal(0),
        "",
        Decimal(0),
    )


def test_several_captures_of_one_type_add_up_and_are_all_named() -> None:
    draft = transform(
        paid(("stripe", "capture", "500.00", "ch_1"), ("stripe", "capture", "20.00", "ch_2"),
             ("stripe", "refund", "2.10", "re_1")), DEMO
    ).draft  # fmt: skip
    assert draft is not None
    order = draft.sales_order
    assert (order.PaymentType, order.DepositAmt, order.OtherPaymentTypeRefNo) == ("STRIP", Decimal("517.90"), "ch_1")
    assert comments(draft) == [
        "Payment 500.00 by stripe reference ch_1",
        "Payment 20.00 by stripe reference ch_2",
        "Refund 2.10 by stripe reference re_1",
    ]


def test_several_types_are_held_unless_the_pair_names_one_for_them(tmp_path: Path) -> None:
    payload = paid(("stripe", "capture", "500.00", "ch_1"), ("paypal", "capture", "17.90", "pp_1"))
    assert [problem.field for problem in transform(payload, DEMO).problems] == ["data.payments"]
    draft = transform(payload, pair_with(tmp_path, mixed_payment_type="WEBMX")).draft
    assert draft is not None
    assert (draft.sales_order.PaymentType, draft.sales_order.DepositAmt) == ("WEBMX", Decimal("517.90"))
    assert comments(draft) == ["Payment 500.00 by stripe reference ch_1", "Payment 17.90 by paypal reference pp_1"]


RULES: list[dict[str, str]] = [
    {"gateway": "stripe", "payment_type": "STRIP"},
    {"gateway": "wire", "payment_type": "CHECK", "route": "list"},
    {"gateway": "giftcard", "charge_item": "/GIFTCARD"},
]


def test_two_routes_on_one_order_are_held(tmp_path: Path) -> None:
    pair = pair_with(tmp_path, payments=RULES, mixed_payment_type="WEBMX")
    result = transform(paid(("stripe", "capture", "500", "a"), ("wire", "capture", "17.90", "b")), pair)
    assert [problem.message for problem in result.problems] == [
        "the money went 2 routes (clearing, list); an order takes one"
    ]


@pytest.mark.parametrize("route", list(PaymentRoute))
def test_only_clearing_and_deposit_write_a_deposit(route: PaymentRoute, tmp_path: Path) -> None:
    pair = pair_with(tmp_path, payments=[{"gateway": "stripe", "payment_type": "STRIP", "route": route.value}])
    draft = transform(paid(("stripe", "capture", "517.90", "ch_1")), pair).draft
    assert draft is not None
    deposited = route in (PaymentRoute.CLEARING, PaymentRoute.DEPOSIT_LIABILITY)
    assert (draft.sales_order.PaymentType, draft.sales_order.PaymentTypeCategory) == (
        ("STRIP", "D") if deposited else ("", "")
    )
    assert draft.sales_order.DepositAmt == (Decimal("517.90") if deposited else 0)
    assert draft.expected.paid == Decimal("517.90")
    assert comments(draft) == ([] if deposited else [f"Paid 517.90 by stripe, route {route}, reference ch_1"])


def test_a_gift_card_is_a_line_and_the_rest_a_deposit(tmp_path: Path) -> None:
    pair = pair_with(tmp_path, payments=RULES)
    draft = transform(paid(("giftcard", "capture", "100", "GC"), ("stripe", "capture", "417.90", "ch")), pair).draft
    assert draft is not None
    assert draft.expected.grand == draft.sales_order.DepositAmt == draft.expected.paid == Decimal("417.90")
    assert [(line.ItemCode, line.UnitPrice) for line in draft.sales_order.Lines
            if line.origin is LineOrigin.GIFT_CARD] == [("/GIFTCARD", Decimal("-100.00"))]  # fmt: skip
    assert draft.customer.fully_captured


def test_more_captured_than_ordered_is_held() -> None:
    result = transform(paid(("stripe", "capture", "517.91", "ch_1")), DEMO)
    assert [(problem.field, problem.message) for problem in result.problems] == [
        ("data.payments", "517.91 was captured, the order costs 517.90")
    ]


# ---- voids, and what is listed twice --------------------------------------------------------------------------------

Movement = tuple[str, str, str, str]
CAPTURE: Movement = ("stripe", "capture", "517.90", "ch_1")


def draft_of(*payments: Movement) -> Draft:
    result = transform(paid(*payments), DEMO)
    assert result.problems == []
    assert result.draft is not None
    return result.draft


def captured(*payments: Movement) -> Decimal:
    order = parse_order(paid(*payments), 10)
    assert isinstance(order, Order)
    return order.captured


@pytest.mark.parametrize("gateway", ["stripe", "Stripe"])
@pytest.mark.parametrize("amount", ["517.90", "0"])
def test_a_void_takes_back_the_capture_that_it_names(gateway: str, amount: str) -> None:
    payments = [CAPTURE, (gateway, "void", amount, "ch_1")]
    draft = draft_of(*payments)
    assert (draft.sales_order.DepositAmt, draft.sales_order.PaymentType, draft.expected.paid) == (
        Decimal(0),
        "",
        Decimal(0),
    )
    assert not draft.customer.fully_captured
    assert captured(*payments) == 0
    assert transform(paid(*payments), DEMO).warnings == [
        "data.payments[0]: the capture of 517.90 by stripe, ref ch_1 was voided and is no money"
    ]


def test_money_that_is_captured_again_after_a_void_counts() -> None:
    again = ("stripe", "capture", "517.90", "ch_2")
    draft = draft_of(CAPTURE, ("stripe", "void", "517.90", "ch_1"), again)
    assert (draft.sales_order.DepositAmt, draft.sales_order.OtherPaymentTypeRefNo) == (Decimal("517.90"), "ch_2")
    assert draft.customer.fully_captured


def test_a_void_takes_back_the_authorisation_that_it_names_and_leaves_the_capture() -> None:
    draft = draft_of(("stripe", "authorize", "600", "au_1"), ("stripe", "void", "600", "au_1"), CAPTURE)
    assert draft.sales_order.DepositAmt == Decimal("517.90")
    assert comments(draft) == []


@pytest.mark.parametrize(
    ("void", "field", "words"),
    [
        (("stripe", "void", "517.90", "vd_1"), "transactionId", "names no capture and no authorisation"),
        (("stripe", "void", "517.90", ""), "transactionId", "names no capture and no authorisation"),
        (("paypal", "void", "517.90", "ch_1"), "transactionId", "names no capture and no authorisation"),
        (("stripe", "void", "100.00", "ch_1"), "amount", "names a capture of 517.90"),
    ],
)
def test_a_void_in_doubt_holds_an_order_that_has_captures(void: Movement, field: str, words: str) -> None:
    (problem,) = transform(paid(CAPTURE, void), DEMO).problems
    assert problem.field == f"data.payments[1].{field}"
    assert words in problem.message
    assert problem.suggestion


def test_without_captures_a_void_of_nothing_is_only_said() -> None:
    payments = [("stripe", "authorize", "517.90", "au_1"), ("stripe", "void", "517.90", "vd_1")]
    assert comments(draft_of(*payments)) == [
        "Authorised 517.90 by stripe, ref au_1; not captured",
        "Voided 517.90 by stripe, ref vd_1; it is not said of which payment",
    ]
    (warning,) = transform(paid(*payments), DEMO).warnings
    assert "names no capture and no authorisation" in warning


def test_a_movement_that_is_listed_twice_counts_once() -> None:
    half = ("stripe", "capture", "258.95", "ch_1")
    payments = [half, ("STRIPE", "capture", "258.950", "ch_1")]
    draft = draft_of(*payments)
    assert draft.sales_order.DepositAmt == draft.expected.paid == captured(*payments) == Decimal("258.95")
    assert not draft.customer.fully_captured
    assert comments(draft) == []
    assert transform(paid(*payments), DEMO).warnings == [
        "data.payments[1] lists the capture of 258.95 by STRIPE, ref ch_1 once more; it counts once"
    ]


def test_captures_without_an_id_are_not_taken_for_the_same() -> None:
    assert draft_of(*[("stripe", "capture", "258.95", "")] * 2).sales_order.DepositAmt == Decimal("517.90")


def test_partial_captures_with_ids_of_their_own_all_count() -> None:
    parts = [("stripe", "capture", "172.63", f"ch_{number}") for number in range(3)]
    assert draft_of(*parts).sales_order.DepositAmt == Decimal("517.89")


@pytest.mark.parametrize("kind", ["capture", "authorize"])
def test_one_id_with_two_amounts_is_held(kind: str) -> None:
    payload = paid(("stripe", kind, "200.00", "ch_1"), ("stripe", kind, "100.00", "ch_1"))
    (problem,) = transform(payload, DEMO).problems
    assert problem.field == "data.payments[1].transactionId"
    assert "another amount (100.00, before 200.00)" in problem.message


def test_one_id_with_two_dates_is_held_and_the_same_instant_in_another_zone_is_not() -> None:
    payload = paid(*[("stripe", "capture", "258.95", "ch_1")] * 2)
    payload["data"]["payments"][0]["date"] = "2026-11-20T14:05:00Z"
    payload["data"]["payments"][1]["date"] = "2026-11-21T14:05:00Z"
    (problem,) = transform(payload, DEMO).problems
    assert "another date" in problem.message
    payload["data"]["payments"][1]["date"] = "2026-11-20T08:05:00-06:00"
    assert transform(payload, DEMO).problems == []


def test_refunds_may_share_the_id_of_their_capture() -> None:
    refunds = [("stripe", "refund", amount, "ch_1") for amount in ("10.00", "20.00", "20.00")]
    payload = paid(CAPTURE, *refunds)
    result = transform(payload, DEMO)
    assert result.draft is not None
    assert result.draft.sales_order.DepositAmt == Decimal("487.90"), "the third is the second, listed twice"
    assert len(result.warnings) == 1
    payload["data"]["payments"][3]["date"] = "2026-11-22T10:00:00Z"
    result = transform(payload, DEMO)
    assert result.draft is not None
    assert result.draft.sales_order.DepositAmt == Decimal("467.90"), "on another day it is another refund"
    assert result.warnings == []


@given(st.lists(st.tuples(st.sampled_from(["capture", "refund"]), st.integers(0, 9_999)), max_size=6), st.data())
def test_entries_in_any_order_and_repeated_make_the_same_money(kinds: list[tuple[str, int]], choice: Any) -> None:
    once = [("stripe", kind, f"{cents / 100:.2f}", f"{kind}_{number}") for number, (kind, cents) in enumerate(kinds)]
    more = choice.draw(st.lists(st.sampled_from(once), max_size=4)) if once else []
    shuffled = choice.draw(st.permutations([*once, *more]))
    expected = sum(
        (Decimal(amount) if kind == "capture" else -Decimal(amount) for _, kind, amount, _ in once), Decimal(0)
    )
    assert captured(*shuffled) == expected


# ---- what accounting reads ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", [PaymentRoute.LIST, PaymentRoute.PREPAYMENT, PaymentRoute.ON_INVOICE])
def test_other_routes_name_refunds_and_the_net(route: PaymentRoute, tmp_path: Path) -> None:
    pair = pair_with(tmp_path, payments=[{"gateway": "stripe", "payment_type": "STRIP", "route": route.value}])
    draft = transform(paid(CAPTURE, ("stripe", "refund", "100", "re_1")), pair).draft
    assert draft is not None
    assert comments(draft) == [
        "Payment 517.90 by stripe reference ch_1",
        "Refund 100.00 by stripe reference re_1",
        f"Paid 417.90 net, route {route}",
    ]
    assert draft.expected.paid == Decimal("417.90")


def test_money_that_went_back_whole_is_named_and_no_deposit() -> None:
    draft = draft_of(CAPTURE, ("stripe", "refund", "517.90", "re_1"))
    assert (draft.sales_order.PaymentType, draft.sales_order.DepositAmt, draft.expected.paid) == (
        "",
        Decimal(0),
        Decimal(0),
    )
    assert comments(draft) == [
        "Payment 517.90 by stripe reference ch_1",
        "Refund 517.90 by stripe reference re_1",
        "Paid 0.00 net, route clearing",
    ]


@pytest.mark.parametrize(
    ("payments", "said"),
    [
        ([("stripe", "authorize", "517.90", "au_1")], ["Authorised 517.90 by stripe, ref au_1; not captured"]),
        ([("unheard", "authorize", "517.9", "")], ["Authorised 517.90 by unheard; not captured"]),
        ([("stripe", "authorize", "517.90", "au_1"), CAPTURE], []),
        ([("stripe", "authorize", "517.90", "ch_1"), CAPTURE], []),
        (
            [("stripe", "authorize", "517.90", "au_1"), ("stripe", "capture", "300.00", "ch_1")],
            ["Authorised 517.90 by stripe, ref au_1; 300.00 of it captured"],
        ),
        (
            [("paypal", "authorize", "517.90", "au_1"), CAPTURE],
            ["Authorised 517.90 by paypal, ref au_1; not captured"],
        ),
        (
            [("stripe", "authorize", "500", "au_1"), ("stripe", "authorize", "517.90", "ch_1"), CAPTURE],
            ["Authorised 500.00 by stripe, ref au_1; not captured"],
        ),
        ([("stripe", "authorize", "0", "au_1")], []),
        (
            [("stripe", "authorize", "1", "4111 1111 1111 1111")],
            ["Authorised 1.00 by stripe, ref [masked]; not captured"],
        ),
    ],
)
def test_an_authorisation_that_nobody_captured_stands_in_a_comment(payments: list[Movement], said: list[str]) -> None:
    assert [text.replace(MASK, "[masked]") for text in comments(draft_of(*payments))] == said


def test_an_authorisation_is_known_by_its_code_too() -> None:
    payload = paid(("stripe", "authorize", "517.90", "au_1"), ("stripe", "authorize", "517.90", "au_2"), CAPTURE)
    for place, code in enumerate(["A1", "A2", "A2"]):
        payload["data"]["payments"][place]["authorizationCode"] = code
    draft = transform(payload, DEMO).draft
    assert draft is not None
    assert comments(draft) == ["Authorised 517.90 by stripe, ref au_1; not captured"]
    del payload["data"]["payments"][0]["transactionId"]
    draft = transform(payload, DEMO).draft
    assert draft is not None
    assert comments(draft) == ["Authorised 517.90 by stripe, ref A1; not captured"]


# ---- gift cards, several gateways, references -----------------------------------------------------------------------


def test_a_refund_to_a_gift_card_lowers_its_line(tmp_path: Path) -> None:
    pair = pair_with(tmp_path, payments=RULES)
    draft = transform(
        paid(("giftcard", "capture", "100", "GC"), ("stripe", "capture", "417.90", "ch"),
             ("giftcard", "refund", "40", "GC")), pair
    ).draft  # fmt: skip
    assert draft is not None
    assert [(line.ItemCode, line.UnitPrice) for line in draft.sales_order.Lines
            if line.origin is LineOrigin.GIFT_CARD] == [("/GIFTCARD", Decimal("-60.00"))]  # fmt: skip
    assert draft.sales_order.DepositAmt == draft.expected.paid == Decimal("417.90")
    assert draft.expected.grand == Decimal("457.90")


@pytest.mark.parametrize(
    ("refund", "words"),
    [
        (("giftcard", "refund", "100", "GC"), "100.00 more was refunded than captured by gift cards (/GIFTCARD)"),
        (("wire", "refund", "20", "W"), "20.00 more was refunded than captured by wire"),
    ],
)
def test_a_negative_net_is_held(refund: Movement, words: str, tmp_path: Path) -> None:
    result = transform(paid(CAPTURE, refund), pair_with(tmp_path, payments=RULES))
    assert [(problem.field, problem.message) for problem in result.problems] == [("data.payments", words)]


def test_two_gateways_on_the_list_need_no_common_payment_type(tmp_path: Path) -> None:
    rules = [
        {"gateway": "stripe", "payment_type": "STRIP", "route": "list"},
        {"gateway": "wire", "payment_type": "CHECK", "route": "list"},
    ]
    result = transform(
        paid(("stripe", "capture", "500", "a"), ("wire", "capture", "17.90", "b")),
        pair_with(tmp_path, payments=rules),
    )
    assert result.problems == []
    assert result.draft is not None
    assert result.draft.sales_order.PaymentType == ""
    assert comments(result.draft)[-1] == "Paid 517.90 net, route list"


@pytest.mark.parametrize(
    ("reference", "columns", "check_no", "other", "said"),
    [
        ("check_no", {}, "PO-7711", "", []),
        ("other", {}, "", "PO-7711", []),
        ("check_no", {"CheckNoForDeposit": 5}, "PO-77", "", ["Payment reference PO-7711"]),
        ("other", {"OtherPaymentTypeRefNo": 4}, "", "PO-7", ["Payment reference PO-7711"]),
    ],
)
def test_a_reference_goes_where_its_payment_type_takes_it(
    reference: str, columns: dict[str, int], check_no: str, other: str, said: list[str], tmp_path: Path
) -> None:
    rules = [{"gateway": "wire", "payment_type": "CHECK", "reference": reference}]
    draft = transform(
        paid(("wire", "capture", "517.90", "PO-7711")), pair_with(tmp_path, payments=rules, columns=columns)
    ).draft
    assert draft is not None
    order = draft.sales_order
    assert (order.CheckNoForDeposit, order.OtherPaymentTypeRefNo) == (check_no, other)
    assert comments(draft) == said


def test_a_check_number_has_ten_characters_unless_the_pair_says_otherwise(tmp_path: Path) -> None:
    rules = [{"gateway": "wire", "payment_type": "CHECK", "reference": "check_no"}]
    draft = transform(paid(("wire", "capture", "517.90", "12345678901")), pair_with(tmp_path, payments=rules)).draft
    assert draft is not None
    assert draft.sales_order.CheckNoForDeposit == "1234567890"
    assert comments(draft) == ["Payment reference 12345678901"]


@pytest.mark.parametrize(
    ("payments", "promised"),
    [
        ([("stripe", "authorize", "517.90", "au_1")], "517.90"),
        ([("stripe", "authorize", "517.90", "au_1"), ("stripe", "capture", "300.00", "ch_1")], "217.90"),
        ([("stripe", "authorize", "517.90", "au_1"), ("stripe", "void", "517.90", "au_1")], "0"),
        ([("stripe", "authorize", "517.90", "au_1"), ("stripe", "void", "517.90", "vd_1")], "0"),
        ([("stripe", "authorize", "517.90", ""), ("stripe", "void", "517.90", "")], "0"),
        ([CAPTURE], "0"),
    ],
)
def test_an_open_authorisation_is_a_promise_beside_the_money(payments: list[Movement], promised: str) -> None:
    expected = draft_of(*payments).expected
    assert expected.authorised == Decimal(promised)
    assert expected.captured == captured(*payments)


def test_an_authorisation_in_another_currency_promises_nothing() -> None:
    payload = paid(("stripe", "authorize", "517.90", "au_1"))
    payload["data"]["payments"][0]["currency"] = "EUR"
    draft = transform(payload, DEMO).draft
    assert draft is not None
    assert draft.expected.authorised == 0
