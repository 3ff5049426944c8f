"""Payment translation (rules 5): what the gateways did → PaymentType, DepositAmt, route and references.

In: the canonical order and the pair's payment rules. Out: `Money`. Pure; problems are collected. Only captured amounts
(less refunds) are money; an authorisation is a reference and may stay without a rule.
"""

from collections import defaultdict
from decimal import Decimal

from mappings.amounts import cents
from mappings.canonical import Order, Payment, PaymentType
from mappings.frozen import Frozen
from mappings.pair import Pair, PaymentRoute, PaymentRule
from mappings.problems import Problem

REFERENCE_LENGTH = 24
"""SO_SalesOrderHeader.OtherPaymentTypeRefNo."""
DEPOSIT_ROUTES = frozenset({PaymentRoute.CLEARING, PaymentRoute.DEPOSIT_LIABILITY})
"""Routes that write DepositAmt."""


class GiftCard(Frozen):
    """Money that was a liability before: by the pair's choice a line to that liability's item, `amount` positive."""

    charge_item: str
    amount: Decimal


class Money(Frozen):
    """What an order's payments are to Sage, in the order's currency. Empty without captured money."""

    PaymentType: str = ""
    DepositAmt: Decimal = Decimal(0)
    OtherPaymentTypeRefNo: str = ""
    route: PaymentRoute | None = None
    captured: Decimal = Decimal(0)
    """Captured less refunded, gift cards included."""
    gift_cards: list[GiftCard] = []
    comments: list[str] = []
    """What the header has no room for: references that are too long, and each of several payments."""
    rule: int | None = None
    """Index of the pair's payment rule that counted."""


def payment_rule(payment: Payment, pair: Pair) -> tuple[int, PaymentRule] | None:
    """The first rule of the pair for the payment's gateway and method, compared without case."""
    for index, rule in enumerate(pair.payments):
        if rule.gateway.casefold() == payment.gateway.casefold() and rule.method.casefold() in (
            "",
            payment.method.casefold(),
        ):
            return index, rule
    return None


def translate_payments(order: Order, pair: Pair, problems: list[Problem]) -> Money:
    """One PaymentType and one route for the order; gift cards beside it, as the pair books them."""
    taken: list[tuple[Payment, int, PaymentRule]] = []
    for number, payment in enumerate(order.payments):
        if payment.type not in (PaymentType.CAPTURE, PaymentType.REFUND):
            continue
        field = f"data.payments[{number}]"
        if payment.currency not in ("", order.currency):
            problems.append(
                Problem(
                    field=f"{field}.currency",
                    message=f"is {payment.currency}, the order is in {order.currency}",
                    suggestion="Sage keeps one currency per company: settle in the order's currency.",
                )
            )
        found = payment_rule(payment, pair)
        if found is None:
            problems.append(
                Problem(
                    field=f"{field}.gateway",
                    message=f"{payment.gateway} {payment.method}".strip() + " has no PaymentType",
                    suggestion=f"Add it to payments in {pair.name}.yaml, with the controller's consent.",
                )
            )
            continue
        taken.append((payment, *found))
    if order.captured > order.totals.grand:
        problems.append(
            Problem(
                field="data.payments",
                message=f"{order.captured:,.2f} was captured, the order costs {order.totals.grand:,.2f}",
                suggestion="Refund the rest at the gateway, or correct the order; then retry.",
            )
        )
    return _money(order, taken, pair, problems)


def _money(order: Order, taken: list[tuple[Payment, int, PaymentRule]], pair: Pair, problems: list[Problem]) -> Money:
    cards: dict[str, Decimal] = defaultdict(Decimal)
    net: dict[int, Decimal] = defaultdict(Decimal)
    for payment, index, rule in taken:
        amount = payment.amount if payment.type is PaymentType.CAPTURE else -payment.amount
        if rule.charge_item:
            cards[rule.charge_item] += amount
        else:
            net[index] += amount
    gift_cards = [GiftCard(charge_item=item, amount=cents(amount)) for item, amount in cards.items() if amount > 0]
    paid = {index: amount for index, amount in net.items() if amount > 0}
    total = cents(sum(net.values(), Decimal(0)))
    if not paid or total <= 0:
        return Money(captured=max(order.captured, Decimal(0)), gift_cards=gift_cards)
    routes = {pair.payments[index].route for index in paid}
    if len(routes) > 1:
        problems.append(
            Problem(
                field="data.payments",
                message=f"the money went {len(routes)} routes ({', '.join(sorted(routes))}); an order takes one",
                suggestion=f"Give these gateways one route in {pair.name}.yaml, or record one payment by hand in Sage "
                "and correct the order.",
            )
        )
    types = list(dict.fromkeys(pair.payments[index].payment_type for index in paid))
    if len(types) > 1 and not pair.mixed_payment_type:
        problems.append(
            Problem(
                field="data.payments",
                message=f"money came through {len(types)} payment types ({', '.join(types)}); an order takes one",
                suggestion=f"Name the type for such orders in {pair.name}.yaml (mixed_payment_type), or record one of "
                "them by hand in Sage and correct the order.",
            )
        )
    route = pair.payments[next(iter(paid))].route
    captures = [one for one, index, _ in taken if one.type is PaymentType.CAPTURE and index in paid]
    deposited = route in DEPOSIT_ROUTES
    return Money(
        PaymentType=(types[0] if len(types) == 1 else pair.mixed_payment_type) if deposited else "",
        DepositAmt=total if deposited else Decimal(0),
        OtherPaymentTypeRefNo=captures[0].transaction_id[:REFERENCE_LENGTH] if deposited else "",
        route=route,
        captured=order.captured,
        gift_cards=gift_cards,
        comments=_comments(captures, route, deposited=deposited),
        rule=next(iter(paid)),
    )


def _comments(captures: list[Payment], route: PaymentRoute, *, deposited: bool) -> list[str]:
    """Each of several payments with its amount; one alone only where the header does not say it whole."""
    if len(captures) > 1:
        return [
            f"Payment {payment.amount:.2f} by {payment.gateway}" + _reference(payment, " reference ")
            for payment in captures
        ]
    payment = captures[0]
    if not deposited:
        return [f"Paid {payment.amount:.2f} by {payment.gateway}, route {route}" + _reference(payment, ", reference ")]
    if len(payment.transaction_id) > REFERENCE_LENGTH:
        return [_reference(payment, "Payment reference ")]
    return []


def _reference(payment: Payment, before: str) -> str:
    return f"{before}{payment.transaction_id}" if payment.transaction_id else ""
