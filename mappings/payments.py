"""Payment translation (rules 5): what the gateways did → PaymentType, DepositAmt, route, references and comments.

In: the canonical order and the pair's payment rules. Out: `Money`, amounts in the order's currency. Pure; problems are
collected. Only captured amounts (less refunds) are money; an authorisation is a reference: it needs no rule, and one
that nobody captured stands in a comment. A void takes back what it names. A movement that is listed twice counts once.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from mappings.amounts import cents
from mappings.canonical import Movement, Order, Payment, PaymentType, counted_payments, movement, transaction
from mappings.card_numbers import mask_card_numbers
from mappings.clarity_order import to_decimal
from mappings.frozen import Frozen
from mappings.pair import Pair, PaymentReference, PaymentRoute, PaymentRule
from mappings.problems import Problem

REFERENCE_LENGTHS: Final = {"CheckNoForDeposit": 10, "OtherPaymentTypeRefNo": 24}
"""Columns of SO_SalesOrderHeader that take a deposit's reference, with their lengths (C10, C24 in Sage's layouts); the
pair's `columns` may say otherwise."""
DEPOSIT_ROUTES: Final = frozenset({PaymentRoute.CLEARING, PaymentRoute.DEPOSIT_LIABILITY})
"""Routes that write DepositAmt."""

VOIDABLE: Final = frozenset({PaymentType.CAPTURE, PaymentType.AUTHORIZE})
"""What a void takes back, and what has an id of its own; a gateway may list a refund under its capture's."""


class GiftCard(Frozen):
    """Money that was a liability before: by the pair's choice a line to that liability's item, `amount` positive."""

    charge_item: str
    amount: Decimal


class Money(Frozen):
    """What an order's payments are to Sage, in the order's currency. Without captured money: comments at most."""

    PaymentType: str = ""
    DepositAmt: Decimal = Decimal(0)
    CheckNoForDeposit: str = ""
    OtherPaymentTypeRefNo: str = ""
    route: PaymentRoute | None = None
    captured: Decimal = Decimal(0)
    """Captured less refunded, gift cards included."""
    gift_cards: list[GiftCard] = []
    comments: list[str] = []
    """What the header has no room for: references that are too long, each of several payments and refunds, money that
    went another route, authorisations that were not captured."""
    authorised: Decimal = Decimal(0)
    """Authorised and neither captured nor voided: a promise, no money."""
    rule: int | None = None
    """Index of the pair's payment rule that counted."""


class Taken(NamedTuple):
    """A capture or a refund, with the pair's rule for it."""

    payment: Payment
    place: int
    """The rule's place among the pair's `payments`."""
    rule: PaymentRule

    @property
    def amount(self) -> Decimal:
        """Positive what came in, negative what went back."""
        return self.payment.amount if self.payment.type is PaymentType.CAPTURE else -self.payment.amount


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
    problems += [*_double_ids(order.payments), *_voids_in_doubt(order.payments)]
    taken: list[Taken] = []
    for place, payment in counted_payments(order.payments):
        if payment.type is PaymentType.AUTHORIZE:
            continue
        field = f"data.payments[{place}]"
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
        taken.append(Taken(payment, *found))
    if order.captured > order.totals.grand:
        problems.append(
            Problem(
                field="data.payments",
                message=f"{order.captured:,.2f} was captured, the order costs {order.totals.grand:,.2f}",
                suggestion="Refund the rest at the gateway, or correct the order; then retry.",
            )
        )
    return _money(order, taken, pair, problems)


def payment_warnings(payments: Sequence[Payment]) -> Iterator[str]:
    """What is listed but counts for nothing: a movement's further entries, voided money, a void of nothing."""
    seen: set[Movement] = set()
    voided = {transaction(one) for one in payments if one.type is PaymentType.VOID and one.transaction_id}
    named = {transaction(one) for one in payments if one.type in VOIDABLE and one.transaction_id}
    for place, payment in enumerate(payments):
        field, what = f"data.payments[{place}]", f"the {payment.type} of {_said(payment)}"
        if payment.transaction_id and movement(payment) in seen:
            yield f"{field} lists {what} once more; it counts once"
        elif payment.type is PaymentType.CAPTURE and transaction(payment) in voided:
            yield f"{field}: {what} was voided and is no money"
        elif payment.type is PaymentType.VOID and transaction(payment) not in named:
            yield f"{field}: {what} names no capture and no authorisation of this order"
        seen.add(movement(payment))


def _double_ids(payments: Sequence[Payment]) -> Iterator[Problem]:
    """Captures and authorisations that share an id and are not the same movement: nobody can say what is true."""
    first: dict[tuple[str, PaymentType, str], Payment] = {}
    for place, payment in enumerate(payments):
        if payment.type not in VOIDABLE or not payment.transaction_id:
            continue
        before = first.setdefault((payment.gateway.casefold(), payment.type, payment.transaction_id), payment)
        if movement(before) == movement(payment):
            continue
        other = (
            f"amount ({payment.amount:,.2f}, before {before.amount:,.2f})"
            if payment.amount != before.amount
            else "date"
        )
        yield Problem(
            field=f"data.payments[{place}].transactionId",
            message=f"the {payment.type} of {_said(payment)} is listed before with another {other}",
            suggestion="Correct the payments in Clarity: one entry for each movement at the gateway, and an id of its "
            "own for each partial capture; then retry.",
        )


def _voids_in_doubt(payments: Sequence[Payment]) -> Iterator[Problem]:
    """Voids of an order with captures that do not say which money they take back, or take back another amount."""
    captures = {movement(one): one for one in payments if one.type is PaymentType.CAPTURE}
    if not captures:
        return
    named = {transaction(one) for one in payments if one.type in VOIDABLE and one.transaction_id}
    for place, void in enumerate(payments):
        if void.type is not PaymentType.VOID:
            continue
        if transaction(void) not in named:
            yield Problem(
                field=f"data.payments[{place}].transactionId",
                message=f"the void of {_said(void)} names no capture and no authorisation of this order, so what was "
                "captured may not be there",
                suggestion="Say in Clarity what was voided: the void takes gateway and transactionId of that payment; "
                "then retry.",
            )
            continue
        voided = [one.amount for one in captures.values() if transaction(one) == transaction(void)]
        if voided and void.amount not in (0, sum(voided)):
            yield Problem(
                field=f"data.payments[{place}].amount",
                message=f"the void of {_said(void)} names a capture of {sum(voided):,.2f}",
                suggestion="A void takes back a whole capture; list what was returned of it as a refund, then retry.",
            )


def _money(order: Order, taken: list[Taken], pair: Pair, problems: list[Problem]) -> Money:
    cards: dict[str, Decimal] = defaultdict(Decimal)
    net: dict[int, Decimal] = defaultdict(Decimal)
    sides: dict[str, Decimal] = defaultdict(Decimal)
    for one in taken:
        if one.rule.charge_item:
            cards[one.rule.charge_item] += one.amount
        else:
            net[one.place] += one.amount
        card = one.rule.charge_item
        sides[f"gift cards ({card})" if card else one.payment.gateway.casefold()] += one.amount
    problems += [
        Problem(
            field="data.payments",
            message=f"{-amount:,.2f} more was refunded than captured by {side}",
            suggestion="List a refund under the gateway that captured the money. One that the buyer got as store "
            "credit is no refund of this order's payments: remove it, and have accounting issue the credit.",
        )
        for side, amount in sides.items()
        if amount < 0
    ]
    gift_cards = [GiftCard(charge_item=item, amount=cents(amount)) for item, amount in cards.items() if amount > 0]
    own = [one for one in taken if not one.rule.charge_item]
    paid = {index: pair.payments[index] for index, amount in net.items() if amount > 0}
    total = cents(sum(net.values(), Decimal(0)))
    captured = max(order.captured, Decimal(0))
    authorised = [*_not_captured(order.payments), *_voids_of_nothing(order.payments)]
    promised = _promised(order)
    if not paid or total <= 0:
        comments = _comments(own, own[0].rule.route, Decimal(0), limit=None) if own else []
        return Money(captured=captured, gift_cards=gift_cards, comments=comments + authorised, authorised=promised)
    types = _one_way(paid, pair, problems)
    rule = next(iter(paid.values()))
    column, reference = "", ""
    if rule.route in DEPOSIT_ROUTES:
        by_check = len(types) == 1 and rule.reference is PaymentReference.CHECK_NO
        column = "CheckNoForDeposit" if by_check else "OtherPaymentTypeRefNo"
        reference = next(
            (one.payment.transaction_id for one in own if one.place in paid and one.amount > 0),
            "",
        )
    limit = pair.columns.get(column, REFERENCE_LENGTHS[column]) if column else None
    return Money(
        PaymentType=(types[0] if len(types) == 1 else pair.mixed_payment_type) if column else "",
        DepositAmt=total if column else Decimal(0),
        CheckNoForDeposit=reference[:limit] if column == "CheckNoForDeposit" else "",
        OtherPaymentTypeRefNo=reference[:limit] if column == "OtherPaymentTypeRefNo" else "",
        route=rule.route,
        captured=captured,
        gift_cards=gift_cards,
        comments=_comments(own, rule.route, total, limit=limit) + authorised,
        authorised=promised,
        rule=next(iter(paid)),
    )


def _one_way(paid: dict[int, PaymentRule], pair: Pair, problems: list[Problem]) -> list[str]:
    """The payment types of a deposit; several, as several routes, are a problem. Other routes write no payment type."""
    routes = {rule.route for rule in paid.values()}
    if len(routes) > 1:
        problems.append(
            Problem(
                field="data.payments",
                message=f"the money went {len(routes)} routes ({', '.join(sorted(routes))}); an order takes one",
                suggestion=f"Give these gateways one route in {pair.name}.yaml, or record one payment by hand in Sage "
                "and correct the order.",
            )
        )
    types = list(dict.fromkeys(rule.payment_type for rule in paid.values() if rule.route in DEPOSIT_ROUTES))
    if len(types) > 1 and not pair.mixed_payment_type:
        problems.append(
            Problem(
                field="data.payments",
                message=f"money came through {len(types)} payment types ({', '.join(types)}); an order takes one",
                suggestion=f"Name the type for such orders in {pair.name}.yaml (mixed_payment_type), or record one of "
                "them by hand in Sage and correct the order.",
            )
        )
    return types


def _comments(own: list[Taken], route: PaymentRoute, total: Decimal, *, limit: int | None) -> list[str]:
    """Each of several payments and refunds; one alone only where the header does not say it whole.

    `limit` is the length of the header's reference, None when the header says nothing: then the net sum is named, too.
    """
    if len(own) == 1:
        payment = own[0].payment
        if limit is None:
            said = f"Paid {payment.amount:.2f} by {payment.gateway}, route {route}"
            return [said + _reference(payment, ", reference ")]
        return [_reference(payment, "Payment reference ")] if len(payment.transaction_id) > limit else []
    each = [
        f"{'Payment' if one.amount > 0 else 'Refund'} {one.payment.amount:.2f} by {one.payment.gateway}"
        + _reference(one.payment, " reference ")
        for one in own
    ]
    return each if limit is not None else [*each, f"Paid {total:.2f} net, route {route}"]


def _open_authorisations(payments: Sequence[Payment]) -> Iterator[tuple[Payment, Decimal]]:
    """What was authorised and neither voided nor captured whole, with what was captured of it.

    A capture is of the authorisation whose id or authorisation code it has; one that has neither is of any of its
    gateway's, in their order.
    """
    counted = [payment for _, payment in counted_payments(payments)]
    authorisations = [one for one in counted if one.type is PaymentType.AUTHORIZE]
    taken = [Decimal(0)] * len(authorisations)
    loose: dict[str, Decimal] = defaultdict(Decimal)
    for capture in (one for one in counted if one.type is PaymentType.CAPTURE):
        place = next((place for place, one in enumerate(authorisations) if _is_of(capture, one)), None)
        if place is None:
            loose[capture.gateway.casefold()] += capture.amount
        else:
            taken[place] += capture.amount
    for one, of_it in zip(authorisations, taken, strict=True):
        gateway = one.gateway.casefold()
        more = min(max(one.amount - of_it, Decimal(0)), loose[gateway])
        loose[gateway] -= more
        if of_it + more < one.amount:
            yield one, of_it + more


def _not_captured(payments: Sequence[Payment]) -> Iterator[str]:
    """`Authorised 517.90 by stripe, ref au_1; not captured`, for each open authorisation."""
    for one, taken in _open_authorisations(payments):
        yield f"Authorised {_said(one)}; " + (f"{taken:.2f} of it captured" if taken else "not captured")


def _voids_of_nothing(payments: Sequence[Payment]) -> Iterator[str]:
    """Voids that name nothing; with captures they are problems, else they may be of any authorisation."""
    named = {transaction(one) for one in payments if one.type in VOIDABLE and one.transaction_id}
    for one in payments:
        if one.type is PaymentType.VOID and transaction(one) not in named:
            yield f"Voided {_said(one)}; it is not said of which payment"


def _promised(order: Order) -> Decimal:
    """What is authorised in the order's currency and not taken; nothing when a void may be of any of it."""
    if any(_voids_of_nothing(order.payments)):
        return Decimal(0)
    opened = _open_authorisations(order.payments)
    rest = [one.amount - taken for one, taken in opened if one.currency in ("", order.currency)]
    return cents(sum(rest, Decimal(0)))


def _is_of(capture: Payment, authorisation: Payment) -> bool:
    if capture.gateway.casefold() != authorisation.gateway.casefold():
        return False
    return ("" != capture.transaction_id == authorisation.transaction_id) or (
        "" != capture.authorization_code == authorisation.authorization_code
    )


def _said(payment: Payment) -> str:
    """`517.90 by stripe, ref ch_1`, without a card number, whoever put one there."""
    reference = payment.transaction_id or payment.authorization_code
    said = f"{payment.amount:.2f} by {payment.gateway}" + (f", ref {reference}" if reference else "")
    return str(mask_card_numbers(said)[0])


def _reference(payment: Payment, before: str) -> str:
    return f"{before}{mask_card_numbers(payment.transaction_id)[0]}" if payment.transaction_id else ""


def says_what_was_paid(payload: Mapping[str, Any]) -> bool:
    """Whether a version of an order lists its payments at all; some releases send a cancellation without them."""
    body = payload.get("data")
    return isinstance(body, Mapping) and isinstance(body.get("payments"), list)


def captured_in(payload: Mapping[str, Any]) -> Decimal:
    """What an order's payload says was taken, less refunds and voids; entries that make no sense do not count.

    For an order that ends before it could be understood as a whole.
    """
    body = payload.get("data")
    entries = body.get("payments") if isinstance(body, Mapping) else None
    payments = []
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, Mapping):
            continue
        amount, kind = to_decimal(entry.get("amount")), str(entry.get("type"))
        if amount is not None and amount >= 0 and kind in set(PaymentType):
            payments.append(
                Payment(
                    gateway=str(entry.get("gateway") or ""),
                    transaction_id=str(entry.get("transactionId") or ""),
                    type=PaymentType(kind),
                    amount=amount,
                    currency="",
                )
            )
    signs = {PaymentType.CAPTURE: 1, PaymentType.REFUND: -1}
    return sum((signs.get(one.type, 0) * one.amount for _, one in counted_payments(payments)), Decimal(0))


def currency_in(payload: Mapping[str, Any]) -> str:
    """The order's currency as its payload names it; empty when it does not."""
    body = payload.get("data")
    currency = body.get("currency") if isinstance(body, Mapping) else None
    return currency[:3] if isinstance(currency, str) else ""
