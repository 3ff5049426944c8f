"""Every cash route × what can happen to money: what is entered in Sage, what a person books, and that the nightly
reconciliation finds nothing unexplained afterwards."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from activities.cash_receipts import not_standing, waiting_orders
from activities.reconciliation import left_to_accounting
from mappings.canonical import PaymentType
from mappings.cash_receipt_files import files, left_file
from mappings.cash_receipts import (
    Decision,
    DueReceipt,
    Outcome,
    Settled,
    Why,
    batches,
    check_no,
    decide,
    deposit_prefix,
    next_deposit_no,
)
from mappings.differences import OrderResult, Reason, Status
from mappings.ledger import (
    DepositedOrder,
    GatewayPayment,
    Ledger,
    ListEntry,
    OrderInvoice,
    Receipt,
    ReceiptOf,
    WebOrder,
)
from mappings.pair import (
    CashReceiptRules,
    Pair,
    PairFileError,
    PaymentRoute,
    PaymentRule,
    ReconciliationRules,
    load_pair,
)
from mappings.pair_check import warnings
from mappings.reconciliation import list_due, reconcile
from mappings.reconciliation_files import LEFT, whole_list
from tests.support.books import GATEWAYS, TYPES, Books
from tests.unit.conftest import DEMO_FILE

ORDER, SALES_ORDER, ACCOUNT = "4711", "0001042", "000000215"
PAID, INVOICED, AFTER = 4, 8, 10
"""Days of November."""
CLEARING, LIABILITY, PREPAYMENT, ON_INVOICE, LIST = (
    PaymentRoute.CLEARING, PaymentRoute.DEPOSIT_LIABILITY, PaymentRoute.PREPAYMENT, PaymentRoute.ON_INVOICE,
    PaymentRoute.LIST,
)  # fmt: skip
DEPOSITS = (CLEARING, LIABILITY)


def pair_for(pair: Pair, route: PaymentRoute, **rules: Any) -> Pair:
    """A pair whose gateway `shop` goes this route, `bank` the route of clearing."""
    payments = [
        PaymentRule(gateway="shop", payment_type="SHOP", route=route),
        PaymentRule(gateway="bank", payment_type="BANK", route=route),
        PaymentRule(gateway="giftcard", charge_item="/GIFTCARD"),
    ]
    receipts = CashReceiptRules(**{"write": True, "customer_deposits": ACCOUNT, **rules})
    return pair.model_copy(
        update={
            "payments": payments,
            "reconciliation": ReconciliationRules(bank_code="W"),
            "cash_receipts": receipts,
        }
    )


def paid(kind: str, amount: int, day: int = PAID, name: str = "", gateway: str = "shop", **more: Any) -> GatewayPayment:
    known = kind in set(PaymentType)
    return GatewayPayment(
        gateway=gateway,
        transaction_id=name or f"tr_{kind}_{amount:010d}",
        type=PaymentType(kind) if known else PaymentType.REFUND,
        kind="" if known else kind,
        amount=Decimal(amount),
        currency=more.pop("currency", "USD"),
        date=datetime(2026, 11, day, 18, tzinfo=UTC),
        **more,
    )


def invoice(number: int, amount: int, deposit: int = 0, *, day: int = INVOICED, posted: bool = True) -> OrderInvoice:
    return OrderInvoice(
        InvoiceNo=f"{100_000 + number:07d}", posted=posted, InvoiceDate=date(2026, 11, day), total=Decimal(amount),
        DepositAmt=Decimal(deposit), Balance=Decimal(amount - deposit) if posted else None,
    )  # fmt: skip


def books(
    payments: Sequence[GatewayPayment], invoices: Sequence[OrderInvoice] = (), *, deposit: int = 0,
    in_sage: bool = True, rest: bool = False, **order: Any,
) -> Ledger:  # fmt: skip
    """Both books of one order; `deposit` is what its live header has, `rest` that something is still to come."""
    live = rest or not any(bill.posted for bill in invoices)
    sold = DepositedOrder(
        SalesOrderNo=SALES_ORDER, web_order_id=ORDER, ARDivisionNo="02", CustomerNo="W000001",
        OrderDate=date(2026, 11, PAID), live=live, open=live, DepositAmt=Decimal(deposit), PaymentType="SHOP",
        invoices=list(invoices),
    )  # fmt: skip
    return Ledger(
        since=date(2026, 11, 1), until=date(2026, 11, 15), as_of=date(2026, 11, 16),
        orders=[WebOrder(order_id=ORDER, payments=list(payments), **order)], sales_orders=[sold] if in_sage else [],
    )  # fmt: skip


def as_in_sage(due: DueReceipt, *, posted: bool = True) -> Receipt:
    """The row that Sage makes of it."""
    line = due.line
    of = {"IN": ReceiptOf.INVOICE, "PP": ReceiptOf.PREPAYMENT, "": ReceiptOf.ACCOUNT}[line.InvoiceType.value]
    return Receipt(
        posted=posted, of=of, BankCode="W", DepositDate=due.day, DepositNo="SHO01", ARDivisionNo=line.ARDivisionNo,
        CustomerNo=line.CustomerNo, CheckNo=line.CheckNo, InvoiceNo=line.InvoiceNo if of is ReceiptOf.INVOICE else "",
        PaymentType=line.PaymentType, amount=line.CashAmountApplied,
    )  # fmt: skip


def due_of(decisions: Sequence[Decision]) -> list[DueReceipt]:
    return [one for decision in decisions for one in decision.due]


def after(ledger: Ledger, decisions: Sequence[Decision]) -> Ledger:
    """The books once everything that was due is entered and posted, and the invoices' balances are lower by it."""
    entered = due_of(decisions)
    owed = {one.line.InvoiceNo: one.line.CashAmountApplied for one in entered}
    sold = [
        order.model_copy(
            update={
                "invoices": [
                    bill.model_copy(
                        update={"Balance": (bill.Balance or Decimal(0)) - owed.get(bill.InvoiceNo, Decimal(0))}
                    )
                    for bill in order.invoices
                ]
            }
        )
        for order in ledger.sales_orders
    ]
    receipts = [*ledger.receipts, *(as_in_sage(one) for one in entered)]
    return ledger.model_copy(update={"receipts": receipts, "sales_orders": sold})


def reconciled(ledger: Ledger, pair: Pair, decisions: Sequence[Decision], *booked: ListEntry) -> OrderResult:
    """What the nightly comparison says afterwards; it knows what the run left to a person."""
    left = [one.entry() for one in decisions if one.outcome in (Outcome.LIST, Outcome.BOOKED)]
    known = ledger.model_copy(update={"left": [one for one in left if one.currency == "USD"]})
    whole = known.model_copy(update={"accounting_list": whole_list(list_due(known, pair), booked)})
    (result,) = reconcile(whole, pair)
    return result


def lines_of(decisions: Sequence[Decision]) -> list[tuple[str, str, int]]:
    """What is entered: type, invoice or account, amount."""
    found = [one.line for one in due_of(decisions)]
    return [(line.InvoiceType.value, line.InvoiceNo or line.AccountKey, int(line.CashAmountApplied)) for line in found]


def list_of(decisions: Sequence[Decision]) -> list[tuple[int, str]]:
    return [(int(one.amount), one.why.value if one.why else "") for one in decisions if one.outcome is Outcome.LIST]


class Case(NamedTuple):
    """What happened; what is money of it when nobody may say otherwise."""

    payments: list[GatewayPayment]
    invoices: dict[int, int] = {}
    """Number → amount."""
    deposit: int = 0
    """What a deposit route has in Sage, on the invoice or, without one, on the order."""
    account: tuple[int, ...] = ()
    """Receipts to Customer Deposits, and prepayments."""
    by_invoice: tuple[tuple[int, int], ...] = ()
    """Invoice and amount of receipts against invoices."""
    late: int = 0
    """A refund after invoicing."""
    listed: tuple[int, ...] = ()
    """Entries of the route `list`."""


CASES = {
    "authorised": Case([paid("authorize", 100)]),
    "authorised and invoiced": Case([paid("authorize", 100)], {1: 100}),
    "captured": Case([paid("capture", 100)], {1: 100}, 100, (100,), ((1, 100),), listed=(100,)),
    "captured and not invoiced": Case([paid("capture", 100)], {}, 100, (100,), (), listed=(100,)),
    "captured after an authorisation": Case(
        [paid("authorize", 100), paid("capture", 100)], {1: 100}, 100, (100,), ((1, 100),), listed=(100,)
    ),
    "partly captured": Case(
        [paid("authorize", 100), paid("capture", 60)], {1: 100}, 60, (60,), ((1, 60),), listed=(60,)
    ),
    "captured in two parts": Case(
        [paid("capture", 60), paid("capture", 40)], {1: 60, 2: 40}, 100, (40, 60), ((1, 40), (1, 20), (2, 40)),
        listed=(40, 60),
    ),
    "refunded before invoicing": Case(
        [paid("capture", 100), paid("refund", 30, 5)], {1: 70}, 70, (100, -30), ((1, 70),), listed=(100, -30)
    ),
    "refunded after invoicing": Case(
        [paid("capture", 100), paid("refund", 30, AFTER)], {1: 100}, 100, (100,), ((1, 100),), -30, (100, -30)
    ),
    "beside a gift card": Case(
        [paid("capture", 80), paid("capture", 20, gateway="giftcard")], {1: 80}, 80, (80,), ((1, 80),), listed=(80,)
    ),
    "two gateways": Case(
        [paid("capture", 60), paid("capture", 40, gateway="bank")], {1: 100}, 100, (40, 60), ((1, 40), (1, 60)),
        listed=(40, 60),
    ),
    "voided": Case([paid("capture", 100, name="tr_voided_0000000001"), paid("void", 100, name="tr_voided_0000000001")]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("route", PaymentRoute)
def test_each_route_puts_money_where_it_belongs(pair: Pair, route: PaymentRoute, name: str) -> None:
    case, own = CASES[name], pair_for(pair, route)
    deposit = case.deposit if route in DEPOSITS else 0
    bills = [
        invoice(number, amount, min(deposit, amount) if len(case.invoices) == 1 else amount if deposit else 0)
        for number, amount in case.invoices.items()
    ]
    ledger = books(case.payments, bills, deposit=0 if bills else deposit)
    decisions = decide(ledger, own, Settled())
    entered: list[tuple[str, str, int]] = []
    if route is LIABILITY:
        entered = [("", ACCOUNT, amount) for amount in case.account]
    elif route is PREPAYMENT:
        entered = [("PP", SALES_ORDER, amount) for amount in case.account]
    elif route is ON_INVOICE:
        entered = [("IN", f"{100_000 + number:07d}", amount) for number, amount in case.by_invoice]
    assert sorted(lines_of(decisions)) == sorted(entered)
    listed = [(amount, "route_list") for amount in case.listed] if route is LIST else []
    if case.late and route is not LIST:
        listed = [(case.late, "refund_after_invoicing")]
    assert sorted(list_of(decisions)) == sorted(listed)
    later = after(ledger, decisions)
    again = decide(later, own, Settled())
    assert lines_of(again) == []
    assert list_of(again) == list_of(decisions)
    result = reconciled(later, own, again)
    assert result.status is not Status.UNEXPLAINED, result.differences
    on_list = sum(amount for amount, _ in listed)
    by_receipt = sum(amount for _, _, amount in entered) if route in (PREPAYMENT, ON_INVOICE) else 0
    assert [result.deposits, result.receipts, result.listed] == [deposit, by_receipt, on_list]


# ---- exactly once ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("posted", [True, False])
@pytest.mark.parametrize("route", [LIABILITY, PREPAYMENT, ON_INVOICE])
def test_what_stands_in_sage_is_not_entered_again_whoever_entered_it(
    pair: Pair, route: PaymentRoute, posted: bool
) -> None:
    own = pair_for(pair, route)
    ledger = books([paid("capture", 100)], [invoice(1, 100)])
    (due,) = due_of(decide(ledger, own, Settled()))
    by_hand = as_in_sage(due, posted=posted).model_copy(
        update={"PaymentType": "CHECK", "DepositDate": date(2026, 11, 2)}
    )
    (decision,) = decide(ledger.model_copy(update={"receipts": [by_hand]}), own, Settled())
    assert decision.outcome is Outcome.RECEIPT


def test_a_capture_ahead_of_the_posting_waits_for_it_and_follows_each_invoice(pair: Pair) -> None:
    own = pair_for(pair, ON_INVOICE)
    payments = [paid("capture", 100)]
    (waits,) = decide(books(payments), own, Settled())
    assert (waits.outcome, waits.why) == (Outcome.WAITS, Why.NOT_INVOICED_YET)
    (waits,) = decide(books(payments, [invoice(1, 60, posted=False)]), own, Settled())
    assert waits.outcome is Outcome.WAITS
    first = books(payments, [invoice(1, 60)], rest=True)
    decisions = decide(first, own, Settled())
    assert lines_of(decisions) == [("IN", "0100001", 60)]
    assert due_of(decisions)[0].day == date(2026, 11, INVOICED)
    later = after(first, decisions)
    (waits,) = decide(later, own, Settled())
    assert waits.outcome is Outcome.WAITS
    second = invoice(2, 40, day=AFTER)
    bills = [*later.sales_orders[0].invoices, second]
    whole = later.model_copy(
        update={
            "sales_orders": [later.sales_orders[0].model_copy(update={"invoices": bills, "live": False, "open": False})]
        }
    )
    decisions = decide(whole, own, Settled())
    assert lines_of(decisions) == [("IN", "0100002", 40)]
    assert reconciled(after(whole, decisions), own, decisions).status is Status.MATCHED


def test_what_is_entered_and_not_posted_is_not_paid_again_on_the_same_invoice(pair: Pair) -> None:
    own = pair_for(pair, ON_INVOICE)
    ledger = books([paid("capture", 60), paid("capture", 70)], [invoice(1, 100)])
    first = due_of(decide(ledger, own, Settled()))
    assert sum(one.line.CashAmountApplied for one in first) == 100
    again = decide(
        ledger.model_copy(update={"receipts": [as_in_sage(one, posted=False) for one in first]}), own, Settled()
    )
    assert lines_of(again) == []
    assert list_of(again) == [(30, "more_than_invoiced")]


def test_two_captures_of_one_transaction_are_two_receipts_also_while_the_first_is_not_posted(pair: Pair) -> None:
    own = pair_for(pair, LIABILITY)
    name = "pi_000000000001"
    ledger = books([paid("capture", 60, 4, name=name), paid("capture", 40, 5, name=name)], deposit=100)
    first, second = due_of(decide(ledger, own, Settled()))
    assert first.key != second.key
    stands = as_in_sage(first, posted=False)
    (due,) = due_of(decide(ledger.model_copy(update={"receipts": [stands]}), own, Settled()))
    assert due.line.CashAmountApplied == 40
    assert not_standing([due], [stands]) == [due]
    posted_meanwhile = stands.model_copy(update={"posted": True})
    assert not_standing([due], [stands, posted_meanwhile]) == [due]
    by_now = as_in_sage(due, posted=False).model_copy(update={"DepositNo": "SHO02"})
    assert not_standing([due], [stands, by_now]) == []


def test_what_stands_is_the_capture_of_that_amount_not_the_first_of_its_transaction(pair: Pair) -> None:
    """Sage refused the first (a closed period) and took the second: the first is still missing."""
    own = pair_for(pair, LIABILITY)
    name = "pi_000000000001"
    ledger = books([paid("capture", 40, 4, name=name), paid("capture", 60, 5, name=name)], deposit=100)
    _, second = due_of(decide(ledger, own, Settled()))
    found = decide(ledger.model_copy(update={"receipts": [as_in_sage(second)]}), own, Settled())
    assert [(int(one.amount), one.outcome) for one in found] == [(40, Outcome.WRITE), (60, Outcome.RECEIPT)]


def test_two_parcels_of_one_price_captured_under_one_transaction_are_two_receipts(pair: Pair) -> None:
    own = pair_for(pair, ON_INVOICE)
    name = "pi_000000000001"
    payments = [paid("capture", 50, 4, name=name), paid("capture", 50, 9, name=name)]
    first = books(payments[:1], [invoice(1, 50)], rest=True)
    (due,) = due_of(decide(first, own, Settled()))
    paid_off = invoice(1, 50).model_copy(update={"Balance": Decimal(0)})
    both = books(payments, [paid_off, invoice(2, 50, day=9)]).model_copy(update={"receipts": [as_in_sage(due)]})
    decisions = decide(both, own, Settled())
    assert lines_of(decisions) == [("IN", "0100002", 50)]
    assert list_of(decisions) == []


def test_a_payment_whose_invoice_is_posted_after_both_left_the_range_is_looked_at_until_then(pair: Pair) -> None:
    own = pair_for(pair, ON_INVOICE)
    ledger = books([paid("capture", 100)], [invoice(1, 100, posted=False)])
    decisions = decide(ledger, own, Settled())
    assert [one.why for one in decisions] == [Why.NOT_INVOICED_YET]
    assert waiting_orders(decisions, date(2026, 11, PAID)) == [ORDER]
    assert waiting_orders(decisions, date(2026, 12, 24)) == [ORDER]
    assert waiting_orders(decisions, date(2026, 10, 1)) == []
    billed = books([paid("capture", 100)], [invoice(1, 100)])
    (due,) = due_of(decide(billed, own, Settled()))
    refused = decide(billed, own, Settled(refused={due.payment: "The period is closed."}))
    assert waiting_orders(refused, date(2026, 12, 24)) == [ORDER]


@pytest.mark.parametrize("route", [LIABILITY, PREPAYMENT, ON_INVOICE])
def test_a_capture_of_nothing_is_no_receipt(pair: Pair, route: PaymentRoute) -> None:
    assert due_of(decide(books([paid("capture", 0)], [invoice(1, 100)]), pair_for(pair, route), Settled())) == []


@pytest.mark.parametrize("day", [INVOICED, AFTER])
def test_what_was_closed_short_and_given_back_after_the_invoice_is_nobodys_to_book(pair: Pair, day: int) -> None:
    """Captured at the first invoice, a line taken off, the rest refunded: Sage never had it."""
    own = pair_for(pair, ON_INVOICE)
    ledger = books([paid("capture", 100, INVOICED), paid("refund", 30, day)], [invoice(1, 70)])
    decisions = decide(ledger, own, Settled())
    assert lines_of(decisions) == [("IN", "0100001", 70)]
    later = after(ledger, decisions)
    again = decide(later, own, Settled())
    assert (list_of(again), due_of(again)) == ([], [])
    assert reconciled(later, own, again).status is Status.MATCHED


def test_what_is_given_back_while_the_rest_is_still_to_be_invoiced_is_a_persons(pair: Pair) -> None:
    own = pair_for(pair, ON_INVOICE)
    ledger = books([paid("capture", 100), paid("refund", 30, AFTER)], [invoice(1, 70)], rest=True)
    assert (-30, "refund_after_invoicing") in list_of(decide(ledger, own, Settled()))


def test_a_credit_memo_after_the_invoice_leaves_its_refund_to_a_person(pair: Pair) -> None:
    own = pair_for(pair, ON_INVOICE)
    credit = invoice(9, -30, day=12).model_copy(update={"InvoiceType": "CM"})
    ledger = books([paid("capture", 100), paid("refund", 30, 12)], [invoice(1, 100), credit])
    decisions = decide(ledger, own, Settled())
    assert lines_of(decisions) == [("IN", "0100001", 100)]
    assert list_of(decisions) == [(-30, "refund_after_invoicing")]


def one_invoice_of_two_orders(*payments: GatewayPayment) -> Ledger:
    """Each payment is of an order; the orders are billed with what the first two were to pay, 100 and 50."""

    def order(number: str, amount: int) -> DepositedOrder:
        shared = {"shared": Decimal(0), "Balance": Decimal(150)}
        return DepositedOrder(
            SalesOrderNo=f"000000{number}", web_order_id=number, ARDivisionNo="02", CustomerNo="W000001",
            OrderDate=date(2026, 11, PAID), live=False, open=False, PaymentType="SHOP",
            invoices=[invoice(1, amount).model_copy(update=shared)],
        )  # fmt: skip

    orders = [WebOrder(order_id=str(number), payments=[one]) for number, one in enumerate(payments, 1)]
    return Ledger(
        since=date(2026, 11, 1), until=date(2026, 11, 15), as_of=date(2026, 11, 16), orders=orders,
        sales_orders=[order("1", 100), order("2", 50)],
    )  # fmt: skip


def test_one_invoice_for_two_orders_takes_the_money_of_both_and_no_error_is_invented(pair: Pair) -> None:
    own = pair_for(pair, ON_INVOICE)
    first, second = paid("capture", 100, name="tr_first_0000000001"), paid("capture", 50, name="tr_other_0000000002")
    ledger = one_invoice_of_two_orders(first, second)
    due = due_of(decide(ledger, own, Settled()))
    assert [one.line.CashAmountApplied for one in due] == [100, 50]
    later = ledger.model_copy(update={"receipts": [as_in_sage(one) for one in due]})
    assert [one.status for one in reconcile(later, own)] == [Status.MATCHED, Status.MATCHED]


@pytest.mark.parametrize("entered", [False, True])
def test_two_orders_never_pay_more_than_the_balance_of_their_invoice(pair: Pair, entered: bool) -> None:
    own = pair_for(pair, ON_INVOICE)
    first, second = paid("capture", 130, name="tr_first_0000000001"), paid("capture", 50, name="tr_other_0000000002")
    ledger = one_invoice_of_two_orders(first, second)
    if entered:
        one, _ = due_of(decide(ledger, own, Settled()))
        ledger = ledger.model_copy(update={"receipts": [as_in_sage(one, posted=False)]})
    due = due_of(decide(ledger, own, Settled()))
    assert [one.line.CashAmountApplied for one in due] == ([20] if entered else [130, 20])


def test_what_accounting_has_booked_leaves_the_rest_of_the_invoice_to_the_others(pair: Pair) -> None:
    own = pair_for(pair, ON_INVOICE)
    ledger = books([paid("capture", 60, 4), paid("capture", 40, 5)], [invoice(1, 100, 60)])
    booked = ListEntry(
        order_id=ORDER, gateway="shop", transaction_id="tr_capture_0000000060", amount=Decimal(60), currency="USD",
        booked=True,
    )  # fmt: skip
    decisions = decide(ledger, own, Settled(booked=[booked]))
    assert lines_of(decisions) == [("IN", "0100001", 40)]
    assert list_of(decisions) == []


@pytest.mark.parametrize("route", [LIABILITY, PREPAYMENT])
def test_a_refund_of_an_order_that_left_no_history_is_a_persons(pair: Pair, route: PaymentRoute) -> None:
    own = pair_for(pair, route)
    payments = [paid("capture", 100), paid("refund", 100, 6)]
    (due,) = due_of(decide(books(payments[:1], deposit=100 if route is LIABILITY else 0), own, Settled()))
    deleted = books(payments, in_sage=False, cancelled=True).model_copy(update={"receipts": [as_in_sage(due)]})
    decisions = decide(deleted, own, Settled())
    assert list_of(decisions) == [(-100, "refund_after_receipt")]
    assert reconciled(deleted, own, decisions).status is Status.EXPLAINED


def test_an_order_that_sage_has_not_waits(pair: Pair) -> None:
    for route in (LIABILITY, PREPAYMENT, ON_INVOICE):
        ledger = books([paid("capture", 100)], in_sage=False, waits="held: credit")
        (decision,) = decide(ledger, pair_for(pair, route), Settled())
        assert (decision.outcome, decision.why) == (Outcome.WAITS, Why.NOT_IN_SAGE_YET)


def test_two_references_that_end_alike_are_a_persons(pair: Pair) -> None:
    own = pair_for(pair, PREPAYMENT)
    payments = [paid("capture", 60, name="ch_A1234567890"), paid("capture", 40, name="ch_B1234567890", gateway="bank")]
    assert list_of(decide(books(payments), own, Settled())) == [(60, "same_check_no"), (40, "same_check_no")]


def test_a_reference_at_another_customer_is_looked_at_by_a_person(pair: Pair) -> None:
    own = pair_for(pair, PREPAYMENT)
    ledger = books([paid("capture", 60, name="1001")])
    (due,) = due_of(decide(ledger, own, Settled()))
    there = as_in_sage(due).model_copy(update={"CustomerNo": "SOMEBODY"})
    other = ledger.model_copy(
        update={
            "receipts": [there],
            "orders": [*ledger.orders, WebOrder(order_id="2", payments=[paid("capture", 60, name="1001")])],
        }
    )
    assert (60, "found_elsewhere") in list_of(decide(other, own, Settled()))
    elsewhere = there.model_copy(update={"amount": Decimal(61)})
    assert lines_of(decide(other.model_copy(update={"receipts": [elsewhere]}), own, Settled()))


# ---- what a person books --------------------------------------------------------------------------------------------

UNDECIDED = {
    "a chargeback": ([paid("capture", 100), paid("chargeback", 100, AFTER)], [(-100, "chargeback")]),
    "a type that nobody knows": ([paid("capture", 100), paid("adjustment", 3, AFTER)], [(-3, "unknown_type")]),
    "no transaction id": (
        [paid("capture", 100).model_copy(update={"transaction_id": ""})],
        [(100, "no_transaction_id")],
    ),
    "no date": ([paid("capture", 100).model_copy(update={"date": None})], [(100, "no_date")]),
    "another currency": ([paid("capture", 100, currency="EUR")], [(100, "wrong_currency")]),
    "no rule": ([paid("capture", 100, gateway="unheard")], [(100, "no_rule")]),
}


@pytest.mark.parametrize("name", UNDECIDED)
def test_what_the_integration_does_not_decide_is_on_the_list(pair: Pair, name: str) -> None:
    payments, wanted = UNDECIDED[name]
    own = pair_for(pair, PREPAYMENT)
    ledger = books(payments, [invoice(1, 100)])
    decisions = decide(ledger, own, Settled())
    assert list_of(decisions) == wanted
    result = reconciled(after(ledger, decisions), own, decisions)
    unexplained = {one.reason for one in result.differences if not one.reason.explained}
    assert unexplained == ({Reason.WRONG_CURRENCY} if name == "another currency" else set())


@pytest.mark.parametrize("route", [LIABILITY, PREPAYMENT, ON_INVOICE])
@pytest.mark.parametrize(
    ("rules", "settled", "why"),
    [
        ({"write": False}, Settled(), Why.BY_HAND),
        ({}, Settled(card_types=["SHOP"]), Why.CARD_PAYMENT_TYPE),
        ({}, Settled(refused={f"{ORDER} tr_capture_0000000100 in": "The period is closed."}), Why.REFUSED_BY_SAGE),
    ],
)
def test_what_is_not_entered_is_on_the_list_and_explained(
    pair: Pair, route: PaymentRoute, rules: dict[str, Any], settled: Settled, why: Why
) -> None:
    own = pair_for(pair, route, **rules)
    deposit = 100 if route is LIABILITY else 0
    ledger = books([paid("capture", 100)], [invoice(1, 100, deposit)])
    decisions = decide(ledger, own, settled)
    assert list_of(decisions) == [(100, why.value)]
    result = reconciled(ledger, own, decisions)
    assert {one.reason for one in result.differences} == {Reason.ON_LIST}
    booked = decisions[0].entry().model_copy(update={"booked": True})
    known = settled.model_copy(update={"booked": [booked]})
    (decision,) = decide(ledger, own, known)
    assert decision.outcome is Outcome.BOOKED
    result = reconciled(ledger, own, [decision], booked)
    assert result.status is not Status.UNEXPLAINED, result.differences
    assert result.difference == 0
    # Entered as a receipt after all: then it is one.
    by_hand = as_in_sage(due_of(decide(ledger, pair_for(pair, route), Settled()))[0])
    entered = ledger.model_copy(update={"receipts": [by_hand]})
    assert [one.outcome for one in decide(entered, own, settled)] == [Outcome.RECEIPT]
    assert reconciled(entered, own, decisions).status is Status.MATCHED


def test_a_deposit_that_came_after_the_invoice_is_a_persons(pair: Pair) -> None:
    for route in DEPOSITS:
        own = pair_for(pair, route)
        ledger = books([paid("authorize", 100), paid("capture", 100, AFTER)], [invoice(1, 100)])
        decisions = decide(ledger, own, Settled())
        assert list_of(decisions) == [(100, "captured_after_invoicing")]
        result = reconciled(ledger, own, decisions)
        assert {one.reason for one in result.differences} == {Reason.ON_LIST}


@pytest.mark.parametrize("route", DEPOSITS)
def test_a_deposit_that_came_between_two_invoices_is_a_persons(pair: Pair, route: PaymentRoute) -> None:
    """Once something is invoiced a change of the order leaves DepositAmt as it is."""
    own = pair_for(pair, route)
    ledger = books([paid("capture", 100), paid("capture", 20, AFTER)], [invoice(1, 60, 60)], deposit=40, rest=True)
    decisions = decide(ledger, own, Settled())
    assert list_of(decisions) == [(20, "captured_after_invoicing")]
    result = reconciled(after(ledger, decisions), own, decisions)
    assert {one.reason for one in result.differences} == {Reason.ON_LIST, Reason.PARTIAL_SHIPMENT}


@pytest.mark.parametrize("route", [LIABILITY, PREPAYMENT, ON_INVOICE])
def test_a_void_after_the_receipt_is_a_persons(pair: Pair, route: PaymentRoute) -> None:
    own = pair_for(pair, route)
    capture = paid("capture", 100)
    bills = [invoice(1, 100)] if route is ON_INVOICE else []
    ledger = books([capture], bills, deposit=100 if route is LIABILITY else 0)
    entered = after(ledger, decide(ledger, own, Settled()))
    voided = [capture, paid("void", 100, name=capture.transaction_id)]
    later = entered.model_copy(update={"orders": [WebOrder(order_id=ORDER, payments=voided)]})
    decisions = decide(later, own, Settled())
    assert list_of(decisions) == [(-100, "voided_after_receipt")]
    result = reconciled(later, own, decisions)
    assert result.status is Status.EXPLAINED, result.differences


def test_an_early_refund_that_the_invoices_receipt_did_not_know_is_a_persons(pair: Pair) -> None:
    own = pair_for(pair, ON_INVOICE)
    ledger = books([paid("capture", 100)], [invoice(1, 100)])
    entered = after(ledger, decide(ledger, own, Settled()))
    payments = [paid("capture", 100), paid("refund", 30, 7)]
    later = entered.model_copy(update={"orders": [WebOrder(order_id=ORDER, payments=payments)]})
    decisions = decide(later, own, Settled())
    assert list_of(decisions) == [(-30, "refund_after_receipt")]
    result = reconciled(later, own, decisions)
    assert result.status is Status.EXPLAINED, result.differences


def test_a_cancelled_order_whose_money_went_back_needs_neither(pair: Pair) -> None:
    for route in (LIABILITY, PREPAYMENT, ON_INVOICE):
        own = pair_for(pair, route)
        payments = [paid("capture", 100), paid("refund", 100, 5)]
        decisions = decide(books(payments, cancelled=True), own, Settled())
        assert (lines_of(decisions), list_of(decisions)) == ([], [])
        (waits,) = decide(books([paid("capture", 100)], cancelled=True), own, Settled())
        assert (waits.outcome, waits.why) == (Outcome.WAITS, Why.CANCELLED)


def test_an_order_that_was_cancelled_before_sage_had_it_is_not_waited_for(pair: Pair) -> None:
    for route in (LIABILITY, PREPAYMENT, ON_INVOICE):
        own = pair_for(pair, route)
        (waits,) = decide(books([paid("capture", 100)], in_sage=False, cancelled=True), own, Settled())
        assert (waits.outcome, waits.why) == (Outcome.WAITS, Why.CANCELLED)
        back = [paid("capture", 100), paid("refund", 100, 5)]
        decisions = decide(books(back, in_sage=False, cancelled=True), own, Settled())
        assert {one.outcome for one in decisions} == {Outcome.NOTHING}


def test_a_refund_goes_where_its_capture_went(pair: Pair) -> None:
    refused = Settled(refused={f"{ORDER} tr_capture_0000000100 in": "The period is closed."})
    for route in (LIABILITY, PREPAYMENT):
        own = pair_for(pair, route)
        ledger = books([paid("capture", 100), paid("refund", 30, 5)], deposit=70 if route is LIABILITY else 0)
        decisions = decide(ledger, own, refused)
        assert list_of(decisions) == [(100, "refused_by_sage"), (-30, "capture_on_list")]
        result = reconciled(ledger, own, decisions)
        assert result.status is Status.EXPLAINED, result.differences


def test_a_payment_booked_less_its_fee_is_left_alone(pair: Pair) -> None:
    own = pair_for(pair, ON_INVOICE)
    capture = paid("capture", 100).model_copy(update={"fee": Decimal(3)})
    ledger = books([capture], [invoice(1, 100)])
    (due,) = due_of(decide(ledger, own, Settled()))
    net = as_in_sage(due).model_copy(update={"amount": Decimal(97)})
    (decision,) = decide(ledger.model_copy(update={"receipts": [net]}), own, Settled())
    assert decision.outcome is Outcome.RECEIPT


# ---- batches and files ----------------------------------------------------------------------------------------------


def test_batches_are_of_one_gateway_and_day(pair: Pair) -> None:
    own = pair_for(pair, PREPAYMENT)
    payments = [paid("capture", 60), paid("capture", 40, gateway="bank"), paid("capture", 30, 5), paid("capture", 20)]
    made = batches(decide(books(payments), own, Settled()))
    found = [(one.DepositDate.day, one.gateway, one.prefix, len(one.due)) for one in made]
    assert found == [(4, "bank", "BAN", 1), (4, "shop", "SHO", 2), (5, "shop", "SHO", 1)]


def test_deposit_numbers_go_on_where_the_day_ends() -> None:
    assert deposit_prefix("A-1") == "A1W"
    assert next_deposit_no("SHO", ["SHO01", "BAN07", "SHO03", "SHOPX"]) == "SHO04"
    with pytest.raises(ValueError, match="SHO01 to SHO99"):
        next_deposit_no("SHO", ["SHO99"])


def test_a_reference_keeps_the_end_of_the_transaction() -> None:
    assert check_no("ch_3NxK2eZvKYlo2C0aBcDeFg") == "2C0aBcDeFg"
    assert check_no("1001") == "1001"


def test_files_name_every_payment_and_what_is_left(pair: Pair) -> None:
    own = pair_for(pair, PREPAYMENT)
    decisions = decide(books([paid("capture", 100), paid("dispute", 5)]), own, Settled())
    made = {name: content.decode("utf-8-sig") for name, content in files(decisions).items()}
    assert list(made) == ["payments.csv", "accounting_list.csv", "accounting_list.json"]
    row = "4711,0001042,shop,tr_capture_0000000100,capture,2026-11-04,100.00,USD,prepayment,write,,"
    assert f"{row}2026-11-04 PP 0001042 100," in made["payments.csv"]
    row = "4711,shop,tr_dispute_0000000005,2026-11-04,-5.00,USD,no,unknown_type,0001042,"
    assert row in made["accounting_list.csv"]
    assert '"why": "unknown_type"' in made["accounting_list.json"]
    kept = [
        ListEntry(order_id=name, gateway="shop", transaction_id="x", amount=Decimal(1), currency="USD")
        for name in (ORDER, "9")
    ]
    content = left_file(kept, decisions, [ORDER]).decode()
    assert content.count('"order_id"') == 2
    assert '"order_id": "9"' in content


def test_entering_receipts_needs_the_account_that_they_go_to(tmp_path: Path, pair: Pair) -> None:
    whole = DEMO_FILE.read_text("utf-8").replace("route: clearing", "route: deposit_liability", 1)
    rules = "reconciliation: {bank_code: W}\ncash_receipts: {write: true"
    (tmp_path / "demo.yaml").write_text(f"{whole}\n{rules}}}\n", "utf-8")
    with pytest.raises(PairFileError, match=r"cash_receipts\.write: needs customer_deposits"):
        load_pair(tmp_path / "demo.yaml")
    (tmp_path / "demo.yaml").write_text(f'{whole}\n{rules}, customer_deposits: "{ACCOUNT}"}}\n', "utf-8")
    own = load_pair(tmp_path / "demo.yaml")
    assert own.cash_receipts.customer_deposits == ACCOUNT
    assert [one for one in warnings(own) if one.key[0] == "payments"] == []


def test_reconciliation_reads_what_earlier_runs_left(tmp_path: Path, pair: Pair) -> None:
    payments = [paid("chargeback", 5), paid("capture", 7, currency="EUR")]
    decisions = decide(books(payments), pair_for(pair, PREPAYMENT), Settled())
    assert left_to_accounting(tmp_path, "USD") == []
    (tmp_path / LEFT).parent.mkdir()
    (tmp_path / LEFT).write_bytes(left_file([], decisions, [ORDER]))
    assert [(one.amount, one.reason) for one in left_to_accounting(tmp_path, "USD")] == [(Decimal(-5), "chargeback")]


def test_a_reference_that_reads_like_a_card_number_stands_in_no_file_and_is_found_again(pair: Pair) -> None:
    own = pair_for(pair, PREPAYMENT, write=False)
    card = "4111111111111111"
    ledger = books([paid("capture", 100, name=card)])
    decisions = decide(ledger, own, Settled())
    assert list_of(decisions) == [(100, "by_hand")]
    for content in (*files(decisions).values(), left_file([], decisions, [ORDER])):
        assert card.encode() not in content
    assert {one.reason for one in reconciled(ledger, own, decisions).differences} >= {Reason.ON_LIST}
    booked = decisions[0].entry()
    assert [one.outcome for one in decide(ledger, own, Settled(booked=[booked]))] == [Outcome.BOOKED]


# ---- books of a whole month -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_books_in_which_everything_stands_need_no_receipt(pair: Pair, seed: int) -> None:
    """Laid out by somebody who knows nothing of this code: bookkeepers with other days, deposits and fees."""
    rules = [
        PaymentRule(gateway=gateway, payment_type=TYPES[gateway], route=PaymentRoute(route))
        for gateway, route in GATEWAYS.items()
    ]
    own = pair_for(pair, CLEARING).model_copy(update={"payments": rules})
    month = Books(seed, 400)
    decisions = decide(month.ledger(), own, Settled())
    assert due_of(decisions) == []
    found = sorted((one.order_id, one.transaction_id) for one in decisions if one.outcome is Outcome.LIST)
    wanted = [(one.id, entry["transaction_id"]) for one in month.entries for entry in one.entries]
    assert found == sorted(wanted)
