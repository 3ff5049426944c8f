"""Every cash route × what can happen to money: what stands where when all did right, what is told when not."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import NamedTuple

import pytest

from mappings.canonical import PaymentType
from mappings.differences import Place, Reason
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
from mappings.pair import Pair, PaymentRoute, PaymentRule
from mappings.reconciliation import list_due, reconcile
from mappings.reconciliation_report import report

AUTHORISED, CAPTURED, REFUNDED = PaymentType.AUTHORIZE, PaymentType.CAPTURE, PaymentType.REFUND
BEFORE, INVOICED, AFTER = 5, 8, 10
"""Days of November."""


class Event(NamedTuple):
    """Something that happened to the money of an order."""

    kind: PaymentType
    amount: int
    day: int = BEFORE - 1
    gateway: str = ""
    """Empty: the route's own."""


class Happened(NamedTuple):
    """The payments of an order, what was invoiced, and what is money by it."""

    events: list[Event]
    invoiced: int
    money: int
    """Captured less what was given back before invoicing, without gift cards."""
    on_list: int = 0
    """What goes to the list on every route."""
    explained: frozenset[Reason] = frozenset()
    """On every route, when everybody did right."""


CASES = {
    "authorised": Happened([Event(AUTHORISED, 100)], 0, 0),
    "authorised and invoiced": Happened(
        [Event(AUTHORISED, 100)], 100, 0, explained=frozenset({Reason.NOT_YET_CAPTURED})
    ),
    "captured": Happened([Event(CAPTURED, 100)], 100, 100),
    "captured after an authorisation": Happened([Event(AUTHORISED, 100), Event(CAPTURED, 100)], 100, 100),
    "partly captured": Happened(
        [Event(AUTHORISED, 100), Event(CAPTURED, 60)], 100, 60, explained=frozenset({Reason.NOT_YET_CAPTURED})
    ),
    "refunded before invoicing": Happened([Event(CAPTURED, 100), Event(REFUNDED, 30, BEFORE)], 70, 70),
    "refunded after invoicing": Happened(
        [Event(CAPTURED, 100), Event(REFUNDED, 30, AFTER)], 100, 100, -30,
        frozenset({Reason.REFUND_AFTER_INVOICING}),
    ),
    "beside a gift card": Happened([Event(CAPTURED, 80), Event(CAPTURED, 20, gateway="giftcard")], 80, 80),
    "two payments": Happened([Event(CAPTURED, 60), Event(CAPTURED, 40)], 100, 100),
}  # fmt: skip
DEPOSITS = {PaymentRoute.CLEARING, PaymentRoute.DEPOSIT_LIABILITY}
RECEIPTS = {
    PaymentRoute.DEPOSIT_LIABILITY: ReceiptOf.ACCOUNT,
    PaymentRoute.PREPAYMENT: ReceiptOf.PREPAYMENT,
    PaymentRoute.ON_INVOICE: ReceiptOf.INVOICE,
}


def pair_for(pair: Pair, route: PaymentRoute) -> Pair:
    rules = [
        PaymentRule(gateway="shop", payment_type="SHOP", route=route),
        PaymentRule(gateway="giftcard", charge_item="/GIFTCARD"),
    ]
    return pair.model_copy(update={"payments": rules})


def web_order(happened: Happened) -> WebOrder:
    return WebOrder(
        order_id="1",
        payments=[
            GatewayPayment(
                gateway=event.gateway or "shop",
                transaction_id=f"transaction_{number:04d}_{event.kind.value}",
                type=event.kind,
                amount=Decimal(event.amount),
                currency="USD",
                date=datetime(2026, 11, event.day, 18, tzinfo=UTC),
            )
            for number, event in enumerate(happened.events)
        ],
    )


def ledger_of(happened: Happened, route: PaymentRoute, pair: Pair, *, right: bool) -> Ledger:
    """Laid out by the route's own rule; without `right` nobody entered the money."""
    deposit = Decimal(happened.money if right and route in DEPOSITS else 0)
    invoiced = bool(happened.invoiced)
    bill = OrderInvoice(
        InvoiceNo="0100001", posted=True, InvoiceDate=date(2026, 11, INVOICED), total=Decimal(happened.invoiced),
        DepositAmt=deposit,
    )  # fmt: skip
    sold = DepositedOrder(
        SalesOrderNo="0001001", web_order_id="1", OrderDate=date(2026, 11, BEFORE - 1), live=not invoiced,
        open=not invoiced, DepositAmt=Decimal(0) if invoiced else deposit, invoices=[bill] if invoiced else [],
    )  # fmt: skip
    receipts = []
    if right and happened.money and (of := RECEIPTS.get(route)):
        receipts = [
            Receipt(
                posted=True, of=of, DepositDate=date(2026, 11, AFTER), CheckNo="00_capture", PaymentType="SHOP",
                InvoiceNo="0100001", amount=Decimal(happened.money),
            )
        ]  # fmt: skip
    ledger = Ledger(
        since=date(2026, 11, 1), until=date(2026, 11, 15), as_of=date(2026, 11, 16), orders=[web_order(happened)],
        sales_orders=[sold], receipts=receipts,
    )  # fmt: skip
    due = list_due(ledger, pair) if right else []
    return ledger.model_copy(update={"accounting_list": due})


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("route", PaymentRoute)
def test_money_stands_where_its_route_says(pair: Pair, route: PaymentRoute, name: str) -> None:
    happened, own = CASES[name], pair_for(pair, route)
    ledger = ledger_of(happened, route, own, right=True)
    (result,) = reconcile(ledger, own)
    listed = sum((one.amount for one in ledger.accounting_list), Decimal(0))
    wanted_list = happened.on_list + (happened.money if route is PaymentRoute.LIST else 0)
    assert listed == result.listed == wanted_list
    assert result.deposits == (happened.money if route in DEPOSITS else 0)
    by_receipt = route in (PaymentRoute.PREPAYMENT, PaymentRoute.ON_INVOICE)
    assert result.receipts == (happened.money if by_receipt else 0)
    assert result.customer_deposits == (happened.money if route is PaymentRoute.DEPOSIT_LIABILITY else 0)
    expected = set(happened.explained)
    if route is PaymentRoute.LIST and ledger.accounting_list:
        expected.add(Reason.ON_LIST)
    assert {one.reason for one in result.differences} == expected
    assert result.difference == 0
    assert report(ledger, [result], "demo", "USD").controls.adds_up


@pytest.mark.parametrize("name", [name for name, happened in CASES.items() if happened.money])
@pytest.mark.parametrize("route", PaymentRoute)
def test_money_that_nobody_entered_is_missing(pair: Pair, route: PaymentRoute, name: str) -> None:
    happened, own = CASES[name], pair_for(pair, route)
    ledger = ledger_of(happened, route, own, right=False)
    (result,) = reconcile(ledger, own)
    missing = [one for one in result.differences if one.reason is Reason.MISSING_IN_SAGE]
    money = [one for one in missing if one.place is not Place.CUSTOMER_DEPOSITS]
    captured = sum(one.amount for one in happened.events if one.kind is CAPTURED and not one.gateway)
    early = sum(one.amount for one in happened.events if one.kind is REFUNDED and one.day < INVOICED)
    lacking = captured if route is PaymentRoute.LIST else captured - early
    assert sum((one.amount for one in money), Decimal(0)) == -lacking
    liability = any(one.place is Place.CUSTOMER_DEPOSITS for one in missing)
    assert liability == (route is PaymentRoute.DEPOSIT_LIABILITY)
    late = [one.reason for one in result.differences if one.place is Place.LIST and one.amount > 0]
    refunds = any(event.kind is REFUNDED for event in happened.events)
    to_list = happened.on_list < 0 or (refunds and route is PaymentRoute.LIST)
    assert late == ([Reason.REFUND_MISSING] if to_list else [])


def test_a_gift_card_alone_stands_on_its_line(pair: Pair) -> None:
    happened = Happened([Event(CAPTURED, 20, gateway="giftcard")], 0, 0)
    own = pair_for(pair, PaymentRoute.CLEARING)
    (result,) = reconcile(ledger_of(happened, PaymentRoute.CLEARING, own, right=True), own)
    assert (result.lines, result.difference) == (Decimal(20), Decimal(0))
    entry = ListEntry(order_id="1", gateway="giftcard", transaction_id="", amount=Decimal(20), currency="USD")
    wrong = ledger_of(happened, PaymentRoute.CLEARING, own, right=True).model_copy(update={"accounting_list": [entry]})
    (told,) = reconcile(wrong, own)
    assert [one.reason for one in told.differences if not one.reason.explained] == [Reason.OFF_BY]
