"""Reconciliation, case by case: what a controller would say of an order."""

import csv
import io
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from mappings.canonical import PaymentType
from mappings.differences import OrderResult, Place, Reason, Status
from mappings.ledger import (
    DepositedOrder,
    GatewayPayment,
    Ledger,
    ListEntry,
    OrderInvoice,
    Payout,
    Receipt,
    ReceiptOf,
    WebOrder,
)
from mappings.pair import Pair, PaymentRoute, PaymentRule
from mappings.reconciliation import list_due, reconcile
from mappings.reconciliation_files import BOOKED, files, read_booked, whole_list
from mappings.reconciliation_report import Bucket, report

AUTHORISED, CAPTURED, REFUNDED, VOIDED = (
    PaymentType.AUTHORIZE, PaymentType.CAPTURE, PaymentType.REFUND, PaymentType.VOID
)  # fmt: skip
GATEWAYS = {
    "stripe": PaymentRoute.CLEARING, "paypal": PaymentRoute.DEPOSIT_LIABILITY, "wire": PaymentRoute.PREPAYMENT,
    "klarna": PaymentRoute.ON_INVOICE, "check": PaymentRoute.LIST,
}  # fmt: skip


@pytest.fixture(scope="session")
def routes(pair: Pair) -> Pair:
    rules = [PaymentRule(gateway=name, payment_type=name[:5].upper(), route=route) for name, route in GATEWAYS.items()]
    rules.append(PaymentRule(gateway="giftcard", charge_item="/GIFTCARD"))
    return pair.model_copy(update={"payments": rules})


def paid(
    amount: str, kind: PaymentType = CAPTURED, gateway: str = "stripe", day: int = 5, name: str = "", **more: Any
) -> GatewayPayment:
    return GatewayPayment(
        gateway=gateway, transaction_id=name or f"{kind.value}_{gateway}_{amount}", type=kind, amount=Decimal(amount),
        currency=more.pop("currency", "USD"), date=datetime(2026, 11, day, 18, tzinfo=UTC), **more,
    )  # fmt: skip


def bill(
    total: str, *, posted: bool = True, deposit: str = "0", day: int = 8, number: str = "0100001", **more: Any
) -> OrderInvoice:
    return OrderInvoice(
        InvoiceNo=number, posted=posted, InvoiceDate=date(2026, 11, day), total=Decimal(total),
        DepositAmt=Decimal(deposit), tax_codes=2, **more,
    )  # fmt: skip


def sold(*bills: OrderInvoice, deposit: str = "0", live: bool = True, order: str = "1", **more: Any) -> DepositedOrder:
    return DepositedOrder(
        SalesOrderNo=more.pop("number", f"{int(order):07d}"), web_order_id=order, OrderDate=date(2026, 11, 5),
        live=live, open=more.pop("open", live), DepositAmt=Decimal(deposit), invoices=list(bills), **more,
    )  # fmt: skip


def cash(
    amount: str, name: str, *, posted: bool = True, of: ReceiptOf = ReceiptOf.PREPAYMENT, invoice: str = ""
) -> Receipt:
    return Receipt(
        posted=posted, of=of, DepositDate=date(2026, 11, 9), CheckNo=name, InvoiceNo=invoice, PaymentType="WIRE",
        amount=Decimal(amount),
    )  # fmt: skip


def books(payments: Sequence[GatewayPayment] = (), sales: Sequence[DepositedOrder] = (), **more: Any) -> Ledger:
    order = {name: more.pop(name) for name in ("cancelled", "waits") if name in more}
    orders = more.pop("orders", [WebOrder(order_id="1", payments=list(payments), **order)])
    return Ledger(
        since=date(2026, 11, 1), until=date(2026, 11, 10), as_of=date(2026, 11, 20), orders=orders,
        sales_orders=list(sales), **more,
    )  # fmt: skip


def told(results: Sequence[OrderResult]) -> list[tuple[Place, Reason, str]]:
    return [(one.place, one.reason, f"{one.amount:.2f}") for result in results for one in result.differences]


B, D, R, L, C = Place.INVOICE, Place.DEPOSIT, Place.RECEIPT, Place.LIST, Place.CUSTOMER_DEPOSITS

CASES: dict[str, tuple[Ledger, list[tuple[Place, Reason, str]]]] = {
    "deposited and invoiced": (books([paid("100")], [sold(bill("100", deposit="100"), live=False)]), []),
    "deposited, waits for the warehouse": (
        books([paid("100")], [sold(deposit="100")]), [(B, Reason.NOT_YET_INVOICED, "-100.00")],
    ),
    "an authorisation alone is no money": (books([paid("100", AUTHORISED)], [sold()]), []),
    "authorised, invoiced, not captured": (
        books([paid("100", AUTHORISED)], [sold(bill("100"), live=False)]), [(B, Reason.NOT_YET_CAPTURED, "100.00")],
    ),
    "invoiced, not posted": (
        books([paid("100")], [sold(bill("100", posted=False, deposit="100"), deposit="100")]),
        [(B, Reason.UNPOSTED_INVOICE, "-100.00")],
    ),
    "somebody changed the deposit on the open invoice": (
        books([paid("100")], [sold(bill("100", posted=False, deposit="120"), deposit="100")]),
        [(D, Reason.OFF_BY, "20.00"), (B, Reason.UNPOSTED_INVOICE, "-100.00")],
    ),
    "half is shipped": (
        books([paid("100")], [sold(bill("40", deposit="100"))]), [(B, Reason.PARTIAL_SHIPMENT, "-60.00")],
    ),
    "closed short, and the buyer waits for the rest": (
        books([paid("100")], [sold(bill("80", deposit="100"), live=False)]), [(B, Reason.REFUND_MISSING, "-20.00")],
    ),
    "closed short and refunded": (
        books(
            [paid("100"), paid("20", REFUNDED, day=9)], [sold(bill("80", deposit="100"), live=False)],
            accounting_list=[ListEntry(order_id="1", gateway="stripe", transaction_id="refund_stripe_20",
                                       amount=Decimal(-20), currency="USD", booked=True)],
        ),
        [(B, Reason.REFUND_AFTER_INVOICING, "-20.00")],
    ),
    "two invoices, a penny of tax each": (
        books([paid("100")], [sold(bill("40.01", deposit="100"), bill("60.01", number="0100002"), live=False)]),
        [(B, Reason.PARTIAL_INVOICE_TAX, "0.02")],
    ),
    "more than two invoices can round": (
        books([paid("100")], [sold(bill("40.01", deposit="100"), bill("60.04", number="0100002"), live=False)]),
        [(B, Reason.OFF_BY, "0.05")],
    ),
    "refunded before invoicing, the deposit is lower": (
        books([paid("100"), paid("30", REFUNDED, day=6)], [sold(bill("70", deposit="70"), live=False)]), [],
    ),
    "refunded between invoice and posting, the deposit is lower": (
        books([paid("100"), paid("30", REFUNDED, day=8)], [sold(bill("70", deposit="70"), live=False)]), [],
    ),
    "refunded before invoicing, the deposit is not lower": (
        books([paid("100"), paid("30", REFUNDED, day=6)], [sold(deposit="100")]),
        [(D, Reason.REFUND_MISSING, "30.00"), (B, Reason.NOT_YET_INVOICED, "-70.00")],
    ),
    "a void that Sage does not know": (
        books([paid("100", name="ch_1"), paid("0", VOIDED, name="ch_1", day=6)], [sold(deposit="100")]),
        [(D, Reason.REFUND_MISSING, "100.00")],
    ),
    "refunded after invoicing, not on the list": (
        books([paid("100"), paid("30", REFUNDED, day=9)], [sold(bill("100", deposit="100"), live=False)]),
        [(L, Reason.REFUND_MISSING, "30.00")],
    ),
    "a credit memo that the gateway does not know": (
        books([paid("100")], [sold(bill("100", deposit="100"),
                                   bill("-25", number="0100002", InvoiceType="CM"), live=False)]),
        [(B, Reason.REFUND_MISSING, "-25.00")],
    ),
    "held": (books([paid("100")], waits="held: credit"), [(D, Reason.NOT_IN_SAGE_YET, "-100.00")]),
    "lost": (books([paid("100")]), [(D, Reason.MISSING_IN_SAGE, "-100.00")]),
    "one of two payments lost": (
        books([paid("60"), paid("40")], [sold(deposit="60")]),
        [(D, Reason.MISSING_IN_SAGE, "-40.00"), (B, Reason.NOT_YET_INVOICED, "-100.00")],
    ),
    "cancelled before Sage had it, and nobody gave the money back": (
        books([paid("100")], cancelled=True), [(D, Reason.REFUND_MISSING, "-100.00")],
    ),
    "cancelled there and still deposited here": (
        books([paid("100")], [sold(deposit="100")], cancelled=True), [(D, Reason.REFUND_MISSING, "100.00")],
    ),
    "cancelled and refunded": (books([paid("100"), paid("100", REFUNDED, day=6)], cancelled=True), []),
    "two sales orders of one web order": (
        books([paid("100")], [sold(deposit="100", number="0000001"), sold(deposit="100", number="0000002")]),
        [(D, Reason.DOUBLE, "100.00"), (B, Reason.NOT_YET_INVOICED, "-100.00")],
    ),
    "net of the fee": (
        books([paid("100", fee=Decimal("3.20"))], [sold(bill("100", deposit="96.80"), live=False)]),
        [(D, Reason.FEE, "-3.20")],
    ),
    "a gift card beside a card": (
        books([paid("60"), paid("40", gateway="giftcard")], [sold(bill("60", deposit="60"), live=False)]), [],
    ),
    "Customer Deposits lacks its receipt": (
        books([paid("100", gateway="paypal")], [sold(bill("100", deposit="100"), live=False)]),
        [(C, Reason.MISSING_IN_SAGE, "-100.00")],
    ),
    "a prepayment in a batch that is not posted": (
        books([paid("100", gateway="wire", name="wire_00001234")], [sold(bill("100"), live=False)],
              receipts=[cash("100", "wire_00001234", posted=False)]),
        [(R, Reason.UNPOSTED_RECEIPT_BATCH, "-100.00")],
    ),
    "captured at shipment, before the invoice is posted": (
        books([paid("100", gateway="klarna")], [sold(bill("100", posted=False))]),
        [(R, Reason.UNPOSTED_INVOICE, "-100.00"), (B, Reason.UNPOSTED_INVOICE, "-100.00")],
    ),
    "captured, invoiced, and no receipt": (
        books([paid("100", gateway="klarna")], [sold(bill("100"), live=False)]),
        [(R, Reason.MISSING_IN_SAGE, "-100.00")],
    ),
    "part of it is owed on the account": (
        books(orders=[WebOrder(order_id="1", total=Decimal(100), payments=[paid("40")])],
              sales=[sold(bill("100", deposit="40"), live=False)]),
        [(B, Reason.ON_ACCOUNT, "60.00")],
    ),
    "an order on account": (books(sales=[sold(bill("100"), live=False)]), []),
    "money of another currency": (
        books([paid("100", currency="EUR")], [sold(deposit="100")]), [(D, Reason.WRONG_CURRENCY, "100.00")],
    ),
    "payments of an order that Clarity has not": (
        books(orders=[WebOrder(order_id="1", known=False, payments=[paid("100")])]),
        [(D, Reason.NO_ORDER_IN_CLARITY, "-100.00")],
    ),
    "a deposit of an order that Clarity has not": (
        books(orders=[], sales=[sold(deposit="100", order="7")]), [(D, Reason.NO_ORDER_IN_CLARITY, "100.00")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_an_order_is_told_as_a_controller_would(routes: Pair, name: str) -> None:
    ledger, expected = CASES[name]
    results = reconcile(ledger, routes)
    assert told(results) == expected
    reasons = [reason for _, reason, _ in expected]
    worst = Status.MATCHED if not reasons else Status.EXPLAINED if all(one.explained for one in reasons) else None
    assert {one.status for one in results} <= {worst or Status.UNEXPLAINED}
    assert results or not reasons
    assert report(ledger, results, "demo", "USD").controls.adds_up


def test_money_of_one_order_at_another_is_told_at_both(routes: Pair) -> None:
    orders = [
        WebOrder(order_id="1", payments=[paid("100", name="ch_3QabcdefghijklmnopqrstuvWX")]),
        WebOrder(order_id="2", payments=[paid("50", name="ch_3Qzbcdefghijklmnopqrstuvwx")]),
    ]
    here = sold(deposit="0", order="1")
    there = sold(deposit="100", order="2", reference="ch_3QabcdefghijklmnopqrstuvWX"[:24])
    results = reconcile(books(orders=orders, sales=[here, there]), routes)
    wrong = [(one.order_id, one.other, one.effect) for result in results for one in result.differences
             if one.reason is Reason.WRONG_ORDER]  # fmt: skip
    assert wrong == [("1", "2", Decimal(-100)), ("2", "1", Decimal(100))]
    assert [one.reason for one in results[1].differences if one.place is D] == [
        Reason.WRONG_ORDER, Reason.MISSING_IN_SAGE
    ]  # fmt: skip


def test_a_reference_that_may_be_of_two_orders_names_neither(routes: Pair) -> None:
    orders = [
        WebOrder(order_id=str(n), payments=[paid("100", name=f"ch_3Qabcdefghijklmnopqrstuvw{n}")]) for n in (1, 2)
    ]
    sales = [sold(deposit="100", order=str(n), reference="ch_3Qabcdefghijklmnopqrs") for n in (1, 2)]
    assert {reason for _, reason, _ in told(reconcile(books(orders=orders, sales=sales), routes))} == {
        Reason.NOT_YET_INVOICED
    }


def test_a_transaction_booked_at_a_second_order_too_is_double(routes: Pair) -> None:
    orders = [WebOrder(order_id="1", payments=[paid("100", name="ch_000000000001")]), WebOrder(order_id="2")]
    sales = [sold(deposit="100", order=n, reference="ch_000000000001") for n in ("1", "2")]
    results = reconcile(books(orders=orders, sales=sales), routes)
    assert [(one.order_id, one.other) for result in results for one in result.differences
            if one.reason is Reason.DOUBLE] == [("2", "1")]  # fmt: skip


@pytest.mark.parametrize(
    ("of", "day", "elsewhere", "stranger"),
    [
        (ReceiptOf.PREPAYMENT, 9, [], True),
        (ReceiptOf.INVOICE, 9, [], False),
        (ReceiptOf.PREPAYMENT, 25, [], False),
        (ReceiptOf.PREPAYMENT, 9, ["transaction_abcdefgh12"], False),
    ],
)
def test_a_receipt_that_names_nobody_is_a_strangers_only_when_the_range_would_know(
    routes: Pair, of: ReceiptOf, day: int, elsewhere: list[str], stranger: bool
) -> None:
    receipt = cash("10", "abcdefgh12", of=of).model_copy(update={"DepositDate": date(2026, 11, day)})
    results = reconcile(books(orders=[], receipts=[receipt], elsewhere=elsewhere), routes)
    assert told(results) == ([(R, Reason.NO_ORDER_IN_CLARITY, "10.00")] if stranger else [])


def test_the_tolerance_is_the_pairs(routes: Pair) -> None:
    rules = routes.reconciliation.model_copy(update={"tolerance": Decimal("0.01")})
    lenient = routes.model_copy(update={"reconciliation": rules})
    ledger = books([paid("100")], [sold(bill("100.01", deposit="100.01"), live=False)])
    assert {reason for _, reason, _ in told(reconcile(ledger, lenient))} == {Reason.TOLERANCE}
    assert {reason for _, reason, _ in told(reconcile(ledger, routes))} == {Reason.OFF_BY}


def test_what_is_due_stands_on_the_list_until_accounting_books_it(routes: Pair) -> None:
    ledger = books(
        [paid("100", gateway="check", name="4711"), paid("30", REFUNDED, gateway="check", name="4711", day=9)],
        [sold(bill("100"), live=False)],
    )
    due = list_due(ledger, routes)
    assert [(one.transaction_id, one.amount) for one in due] == [("4711", Decimal(100)), ("4711", Decimal(-30))]
    text = files(report(ledger, [], "demo", "USD"), [], due)["accounting_list.csv"]
    booked = [one for one in read_booked(text) if one.amount > 0]
    whole = whole_list(due, booked)
    assert [(one.amount, one.booked) for one in whole] == [(Decimal(100), True), (Decimal(-30), False)]
    results = reconcile(ledger.model_copy(update={"accounting_list": whole}), routes)
    assert told(results) == [(L, Reason.REFUND_AFTER_INVOICING, "-30.00")]


def test_a_list_that_cannot_be_read_says_where() -> None:
    assert BOOKED == "booked.csv"
    with pytest.raises(ValueError, match="line 2"):
        read_booked(b"order_id,gateway,transaction_id,day,amount,currency\r\n1,stripe,ch,2026-11-01,one,USD\r\n")


def test_customer_deposits_roll_forward(routes: Pair) -> None:
    orders = [
        WebOrder(order_id="1", payments=[paid("100", day=5), paid("30", REFUNDED, day=6)]),
        WebOrder(order_id="2", payments=[paid("50", day=5, name="other")]),
    ]
    sales = [
        sold(deposit="70", order="1"),
        sold(bill("50", deposit="50", day=8), live=False, order="2").model_copy(
            update={"OrderDate": date(2026, 10, 30)}
        ),
    ]
    ledger = books(orders=orders, sales=sales, opening=Decimal(50))
    moved = report(ledger, reconcile(ledger, routes), "demo", "USD").customer_deposits
    assert [moved.opening, moved.deposited, moved.applied, moved.refunded, moved.closing, moved.open_in_sage] == [
        Decimal(amount) for amount in (50, 100, 50, 30, 70, 70)
    ]
    assert moved.adds_up
    assert moved.previous_closing == 50


def test_payouts_are_held_against_their_payments_and_the_clearing_account(routes: Pair) -> None:
    payments = [paid("100", payout_id="po_1", fee=Decimal(3)), paid("20", name="later")]
    right = Payout(id="po_1", gateway="Stripe", day=date(2026, 11, 7), currency="USD", gross=Decimal(100),
                   fee=Decimal(3), net=Decimal(97))  # fmt: skip
    ledger = books(payments, [sold(deposit="120")], payouts=[right])
    whole = report(ledger, reconcile(ledger, routes), "demo", "USD")
    (line,) = whole.payouts or []
    assert [line.payments, line.fees, line.in_sage, line.matched] == [Decimal(100), Decimal(3), Decimal(100), True]
    (account,) = whole.clearing
    assert [account.booked, account.paid_out, account.net, account.in_transit] == [
        Decimal(amount) for amount in (120, 100, 97, 20)
    ]
    wrong = ledger.model_copy(update={"payouts": [right.model_copy(update={"net": Decimal(96)})]})
    assert report(wrong, reconcile(wrong, routes), "demo", "USD").payouts_differ == 1


def test_differences_age(routes: Pair) -> None:
    ledger = books([paid("100", day=5)]).model_copy(update={"as_of": date(2027, 1, 15)})
    ages = {one.bucket: one for one in report(ledger, reconcile(ledger, routes), "demo", "USD").ageing}
    assert ages[Bucket.THREE_MONTHS].unexplained == 1
    assert ages[Bucket.THREE_MONTHS].unexplained_amount == Decimal(100)
    assert sum(one.unexplained for one in ages.values()) == 1


def test_the_files_hold_every_order_and_no_formula(routes: Pair) -> None:
    payments = [paid("100.5", name="=HYPERLINK(1)"), paid("1", name="4111111111111111", gateway="check")]
    ledger = books(payments, [sold(deposit="100")])
    results = reconcile(ledger, routes)
    found = files(report(ledger, results, "demo", "USD"), results, list_due(ledger, routes))
    assert list(found) == ["orders.csv", "differences.csv", "totals.csv", "accounting_list.csv", "summary.json"]
    rows = {
        name: list(csv.DictReader(io.StringIO(text.decode("utf-8-sig"))))
        for name, text in found.items()
        if name.endswith(".csv")
    }
    assert [(row["order_id"], row["status"], row["captured"], row["difference"]) for row in rows["orders.csv"]] == [
        ("1", "unexplained", "101.50", "-1.50")
    ]  # fmt: skip
    assert "4111111111111111" not in b"".join(found.values()).decode("utf-8-sig")
    assert not any(
        str(cell).startswith(("=", "@", "+")) for each in rows.values() for row in each for cell in row.values()
    )
    summary = json.loads(found["summary.json"])
    assert summary["orders"] == {"matched": 0, "explained": 0, "unexplained": 1}
    assert summary["controls"]["adds_up"] is True
