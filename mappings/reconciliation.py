"""Reconciliation, order by order: Clarity's payments against Sage's deposits, receipts and invoices, and the list.

In: `Ledger` and the pair. Out: `OrderResult` per order: matched, explained or unexplained, with each difference by
itself. Pure; the order of the input does not matter. Three comparisons, each of which adds up to the cent:

* *money*: Sage's deposits, posted receipts and list entries less Clarity's captured money = Σ `effect` of its
  differences (places deposit, receipt, list);
* *customer deposits* (route `deposit_liability`): the cash receipts beside the deposits;
* *invoices*: Σ posted invoices less Σ captured, likewise.

What money is, by cash route (rules 5): `clearing` and `deposit_liability` deposits, `prepayment` and `on_invoice` cash
receipts, `list` entries of the accounting list, a gift card a line of the order. Amounts of differences are signed as
Sage less Clarity: negative what Sage lacks.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from itertools import combinations
from typing import Final, NamedTuple

from mappings.canonical import PaymentType, counted_payments, transaction
from mappings.card_numbers import mask_card_numbers
from mappings.differences import NOTHING, UNEXPLAINED, Difference, Moved, OrderResult, Place, Reason, Status
from mappings.ledger import DepositedOrder, GatewayPayment, Ledger, ListEntry, Receipt, ReceiptOf, WebOrder
from mappings.pair import FreightAmount, Pair, PaymentRoute
from mappings.payments import payment_rule

SHORTEST_REFERENCE: Final = 8
"""A shorter beginning or end of a transaction id names nothing."""
TAX_ROUNDING: Final = Decimal("0.01")
"""Per invoice and tax code: what partial invoices may differ by (rules 5)."""


# ---- what is known beyond one order ---------------------------------------------------------------------------------


class References:
    """Finds the order whose payment a reference in Sage names: whole, or cut at either end by the column's length."""

    def __init__(self, orders: Iterable[WebOrder], asked: Iterable[str]) -> None:
        lengths = {len(reference) for reference in asked if len(reference) >= SHORTEST_REFERENCE}
        self._owners: dict[str, set[str]] = defaultdict(set)
        for order in orders:
            for name in {one.transaction_id for one in order.payments if one.transaction_id}:
                for form in {name, *(name[:n] for n in lengths), *(name[-n:] for n in lengths)}:
                    self._owners[form].add(order.order_id)

    def owners(self, reference: str) -> set[str]:
        """Every order that it may name; empty when it is too short, or nobody's."""
        return self._owners.get(reference, set()) if reference else set()

    def owner(self, reference: str) -> str:
        """The one order that it names; empty when there is none, or more than one."""
        owners = self.owners(reference)
        return next(iter(owners)) if len(owners) == 1 else ""


class Pot(NamedTuple):
    """An amount in Sage or on the list, with the transaction that it names."""

    place: Place
    reference: str
    amount: Decimal
    owner: str
    """Key of the case whose transaction it names, if that is another one; else empty."""


class Stray(NamedTuple):
    """Money that stands at one order and is another's."""

    place: Place
    reason: Reason
    amount: Decimal
    """Positive where it stands, negative where it is missing."""
    other: str
    transaction_id: str


class Case:
    """Everything of one order, or of a sales order, receipt or list entry without one."""

    def __init__(self, order: WebOrder | None, key: str) -> None:
        self.order = order
        self.key = key
        self.sales_orders: list[DepositedOrder] = []
        self.receipts: list[Receipt] = []
        self.entries: list[ListEntry] = []

    @property
    def order_id(self) -> str:
        """Clarity's id, as Sage or the list has it when Clarity has not; empty for what is no web order's."""
        if self.order is not None:
            return self.order.order_id
        named = [one.web_order_id for one in self.sales_orders] + [one.order_id for one in self.entries]
        return next((name for name in named if name), "")

    @property
    def known(self) -> bool:
        """Whether Clarity has the order."""
        return self.order is not None and self.order.known

    @property
    def name(self) -> str:
        """What another order's difference calls it."""
        return self.order_id or next((one.SalesOrderNo for one in self.sales_orders), self.key)


def deposit_of(order: DepositedOrder) -> Decimal:
    """What was deposited: what posted invoices took, and what is open.

    An unposted invoice shows the deposit of its order again; a person may have changed it there.
    """
    taken = _sum(one.DepositAmt for one in order.invoices if one.posted)
    unposted = _sum(one.DepositAmt for one in order.invoices if not one.posted)
    return taken + max(order.DepositAmt, unposted)


class Books:
    """The cases, and the money that stands at the wrong one."""

    def __init__(self, ledger: Ledger, pair: Pair) -> None:
        self.pair = pair
        self.currency = pair.company.currency
        self.gateways = {rule.payment_type: rule.gateway for rule in reversed(pair.payments) if rule.payment_type}
        references = [one.reference for one in ledger.sales_orders] + [one.CheckNo for one in ledger.receipts]
        self.references = References(ledger.orders, references)
        self.cases = {order.order_id: Case(order, order.order_id) for order in ledger.orders}
        by_invoice: dict[str, list[str]] = defaultdict(list)
        for sold in sorted(ledger.sales_orders, key=lambda one: one.SalesOrderNo):
            case = self._case(sold.web_order_id, f"sales order {sold.SalesOrderNo}")
            case.sales_orders.append(sold)
            for invoice in sold.invoices:
                by_invoice[invoice.InvoiceNo].append(case.key)
        elsewhere = References(
            [WebOrder(order_id=name, payments=[_named(name)]) for name in ledger.elsewhere],
            [one.CheckNo for one in ledger.receipts],
        )
        for receipt in sorted(ledger.receipts, key=_receipt_key):
            billed, owner = by_invoice.get(receipt.InvoiceNo, []), self.references.owner(receipt.CheckNo)
            # One invoice for several orders: each has its own payments of it.
            key = billed[-1] if billed and owner not in billed else owner
            stranger = (
                receipt.PaymentType in self.gateways
                and receipt.of is not ReceiptOf.INVOICE
                and receipt.DepositDate is not None
                and ledger.since <= receipt.DepositDate <= ledger.until
                and not elsewhere.owners(receipt.CheckNo)
            )
            # Any other one pays what this range does not look at.
            if key or stranger:
                self._case(key, f"receipt {receipt.CheckNo}").receipts.append(receipt)
        self.left = {left_key(one) for one in ledger.left if not one.beside_deposit}
        self.beside = {left_key(one): one.amount for one in ledger.left if one.beside_deposit}
        for entry in sorted(ledger.accounting_list, key=_entry_key):
            if left_key(entry) in self.beside:
                # The receipt beside a deposit that accounting booked: the money itself is the deposit.
                continue
            self._case(entry.order_id, f"list {entry.transaction_id}").entries.append(entry)
        self.comparisons = {key: Comparison(self, case) for key, case in sorted(self.cases.items())}
        for comparison in self.comparisons.values():
            self._find_strays(comparison)

    def _case(self, order_id: str, otherwise: str) -> Case:
        key = order_id or otherwise
        return self.cases.setdefault(key, Case(None, key))

    def _find_strays(self, here: "Comparison") -> None:
        """Money here that names another order's transaction: that order's when it lacks it, else booked twice."""
        for pot in here.pots:
            if not pot.owner:
                continue
            owner = self.comparisons[pot.owner]
            owned = [one for one in owner.movements if names(pot.reference, one.payment.transaction_id)]
            named = owned[0].payment.transaction_id if owned else pot.reference
            place = pot.place
            if place in (Place.RECEIPT, Place.CUSTOMER_DEPOSITS) and owner.liability:
                place = Place.CUSTOMER_DEPOSITS
            elif owned and place is not Place.LIST:
                place = owned[0].place
            lacks = owner.expected(place) - owner.has(place)
            if lacks * pot.amount > 0:
                owner.strays.append(Stray(place, Reason.WRONG_ORDER, -pot.amount, here.case.name, named))
                here.strays.append(Stray(pot.place, Reason.WRONG_ORDER, pot.amount, owner.case.name, named))
            else:
                here.strays.append(Stray(pot.place, Reason.DOUBLE, pot.amount, owner.case.name, named))


LeftKey = tuple[str, str, bool]
"""Order id, transaction id, whether it is money that came in."""


def left_key(entry: ListEntry) -> LeftKey:
    """What an entry of the list is of."""
    return entry.order_id, masked(entry.transaction_id), entry.amount > 0


def masked(transaction_id: str) -> str:
    """A transaction id as files and people have it: without a card number, whoever put one there."""
    return str(mask_card_numbers(transaction_id)[0])


def _named(transaction_id: str) -> GatewayPayment:
    """A payment of which only the transaction is known."""
    return GatewayPayment(gateway="", transaction_id=transaction_id, type=IN, amount=NOTHING, currency="")


def names(reference: str, transaction_id: str) -> bool:
    """Whether a reference in Sage is this transaction, whole or cut at either end."""
    if not reference or len(reference) < SHORTEST_REFERENCE:
        return bool(reference) and reference == transaction_id
    return transaction_id.startswith(reference) or transaction_id.endswith(reference)


# ---- one order ------------------------------------------------------------------------------------------------------

IN, OUT = PaymentType.CAPTURE, PaymentType.REFUND


class Movement(NamedTuple):
    """A capture or a refund, and where it should stand."""

    payment: GatewayPayment
    day: date | None
    place: Place
    route: PaymentRoute | None

    @property
    def amount(self) -> Decimal:
        """Positive what came in."""
        return self.payment.amount if self.payment.type is IN else -self.payment.amount


PLACES: Final = {
    PaymentRoute.CLEARING: Place.DEPOSIT,
    PaymentRoute.DEPOSIT_LIABILITY: Place.DEPOSIT,
    PaymentRoute.PREPAYMENT: Place.RECEIPT,
    PaymentRoute.ON_INVOICE: Place.RECEIPT,
    PaymentRoute.LIST: Place.LIST,
}
"""Where money of a route stands."""


class Comparison:
    """One order's two sides, and their differences."""

    def __init__(self, books: Books, case: Case) -> None:
        self.books, self.case = books, case
        self.strays: list[Stray] = []
        self.differences: list[Difference] = []
        payments = sorted(case.order.payments if case.order else [], key=_payment_key)
        counted = {place for place, _ in counted_payments(payments)}
        own = [(place, one) for place, one in enumerate(payments) if one.currency in ("", books.currency)]
        self.movements = [self._movement(one) for place, one in own if place in counted and one.type in (IN, OUT)]
        self.authorised = _sum(one.amount for place, one in own if place in counted and one.type is _PROMISE)
        voids = {transaction(one) for one in payments if one.type is PaymentType.VOID and one.transaction_id}
        undone = [one for one in payments if one.type is IN and transaction(one) in voids and self._is_left(one, OUT)]
        # Voided after its receipt was entered: the money came in, and its way back is accounting's.
        self.movements += [self._movement(one) for one in undone]
        self.movements += [self._movement(one.model_copy(update={"type": OUT})) for one in undone]
        own = [(place, one) for place, one in own if one not in undone]
        self.voided = [self._movement(one) for _, one in own if one.type is IN and transaction(one) in voids]
        self.foreign = [
            self._movement(one)
            for place, one in enumerate(payments)
            if place in counted and one.type in (IN, OUT) and one.currency not in ("", books.currency)
        ]
        self.liability = any(
            one.route is PaymentRoute.DEPOSIT_LIABILITY for one in (*self.movements, *self.voided, *self.foreign)
        )
        self.invoices = [invoice for sold in case.sales_orders for invoice in sold.invoices]
        self.open = any(sold.open for sold in case.sales_orders)
        self.deposits = _sum(deposit_of(one) for one in case.sales_orders)
        self.late = self._refunds_after_invoicing()
        self.pots = self._pots()

    def _movement(self, payment: GatewayPayment) -> Movement:
        day = payment.date.astimezone(self.books.pair.company.zone).date() if payment.date is not None else None
        rule = payment_rule(payment, self.books.pair)
        if payment.kind or self._is_left(payment, payment.type):
            return Movement(payment, day, Place.LIST, None)
        if rule is not None and rule[1].charge_item:
            return Movement(payment, day, Place.LINE, None)
        route = rule[1].route if rule is not None else PaymentRoute.CLEARING
        return Movement(payment, day, PLACES[route], route)

    def _is_left(self, payment: GatewayPayment, kind: PaymentType) -> bool:
        """Whether a person books it, and has not entered the receipt under its transaction all the same."""
        name = payment.transaction_id
        if (self.case.order_id, masked(name), kind is IN) not in self.books.left:
            return False
        return not any((one.amount > 0) == (kind is IN) and names(one.CheckNo, name) for one in self.case.receipts)

    def _is_entered(self, one: Movement) -> bool:
        name = one.payment.transaction_id
        return any((each.amount > 0) == (one.amount > 0) and names(each.CheckNo, name) for each in self.case.receipts)

    def _refunds_after_invoicing(self) -> list[Movement]:
        """They go to the accounting list (rules 5). One between invoice and posting may have lowered the deposit still:
        then Sage's amounts say so. What a person books anyway never lowered anything."""
        left = [one for one in self.movements if one.amount < 0 and one.place is Place.LIST and one.route is None]
        days = [one.InvoiceDate for one in self.invoices if one.InvoiceType == "IN" and one.InvoiceDate is not None]
        if not days:
            return left
        refunds = [one for one in self.movements if one.amount < 0 and one.place is not Place.LINE]
        late = [one for one in refunds if one in left or (one.day is not None and one.day >= min(days))]
        expected = _sum(one.amount for one in self.movements if one.place is Place.DEPOSIT and one not in late)
        late = [one for one in late if one not in self._never_billed(late)]
        doubtful = [one for one in late if one.place is Place.DEPOSIT]
        for some in subsets(doubtful):
            if self.deposits == expected + _sum(one.amount for one in some):
                return [one for one in late if one not in some]
        return late

    def _never_billed(self, late: Sequence[Movement]) -> list[Movement]:
        """Refunds of the route `on_invoice` for what was taken off or closed short after the first invoice: no invoice
        bills it and none will, so no receipt takes it either, and nobody has to book its way back."""
        if self.open:
            return []
        booked = {left_key(one) for one in self.case.entries if one.booked}
        own = [one for one in self.movements if one.route is PaymentRoute.ON_INVOICE]
        doubtful = [
            one
            for one in own
            if one in late and (self.case.order_id, masked(one.payment.transaction_id), False) not in booked
        ]
        billed = _sum(one.total - one.DepositAmt for one in self.invoices if one.InvoiceType == "IN")
        paid = _sum(one.amount for one in own if one not in late)
        return next((some for some in subsets(doubtful) if billed == paid + _sum(one.amount for one in some)), [])

    def _pots(self) -> list[Pot]:
        found = [(Place.DEPOSIT, one.reference, deposit_of(one)) for one in self.case.sales_orders]
        found += [(self.cash_place, one.CheckNo, one.amount) for one in self.case.receipts if one.posted]
        found += [
            (Place.LIST, one.transaction_id, one.amount)
            for one in self.case.entries
            if one.currency == self.books.currency
        ]
        return [Pot(place, name, amount, self._other(name)) for place, name, amount in found if amount]

    def _other(self, reference: str) -> str:
        owners = self.books.references.owners(reference)
        return next(iter(owners)) if len(owners) == 1 and self.case.key not in owners else ""

    @property
    def cash_place(self) -> Place:
        """What this order's cash receipts are."""
        return Place.CUSTOMER_DEPOSITS if self.liability else Place.RECEIPT

    # ---- the two sides --------------------------------------------------------------------------------------------

    def expected(self, place: Place) -> Decimal:
        """What should stand there, by Clarity's payments."""
        if place is Place.LIST:
            return _sum(one.amount for one in self.for_the_list)
        if place is Place.CUSTOMER_DEPOSITS:
            return _sum(one.amount for one in self._early() if one.route is PaymentRoute.DEPOSIT_LIABILITY)
        return _sum(one.amount for one in self._early() if one.place is place)

    def _early(self) -> list[Movement]:
        return [one for one in self.movements if one not in self.late]

    @property
    def for_the_list(self) -> list[Movement]:
        """What accounting books by hand."""
        return [one for one in self.movements if one.place is Place.LIST or one in self.late]

    def stands(self, place: Place) -> Decimal:
        """What stands there, another order's money included."""
        if place is Place.LINE:
            return self.expected(place) if self.case.sales_orders else NOTHING
        return _sum(pot.amount for pot in self.pots if pot.place is place)

    def has(self, place: Place) -> Decimal:
        """What stands there or is found elsewhere, without other orders' money."""
        return _sum(pot.amount for pot in self.pots if pot.place is place and not pot.owner) - _sum(
            one.amount for one in self.strays if one.place is place and one.amount < 0
        )

    @property
    def captured(self) -> Decimal:
        """Captures, gift cards too."""
        return _sum(one.amount for one in self.movements if one.amount > 0)

    @property
    def refunded(self) -> Decimal:
        """Refunds, positive."""
        return -_sum(one.amount for one in self.movements if one.amount < 0)

    @property
    def gone(self) -> bool:
        """Cancelled, here or there, and nothing was invoiced."""
        cancelled = self.case.order is not None and self.case.order.cancelled
        left = bool(self.case.sales_orders) and not any(one.live for one in self.case.sales_orders)
        return (cancelled or left) and not self.invoices

    @property
    def known(self) -> bool:
        """Whether Clarity has the order."""
        return self.case.known

    # ---- comparing ------------------------------------------------------------------------------------------------

    def compare(self) -> OrderResult:
        """All three comparisons."""
        places = [Place.DEPOSIT, Place.RECEIPT, Place.LINE, *([Place.CUSTOMER_DEPOSITS] if self.liability else [])]
        for place in places:
            self._compare_place(place)
        self._compare_list()
        self._compare_invoices()
        if self.gone and not any(one.reason is Reason.REFUND_MISSING for one in self.differences):
            kept = self.captured - self.refunded
            if kept > self.tolerance and self.case.known:
                self._tell(Place.DEPOSIT, Reason.REFUND_MISSING, kept, effect=NOTHING, of=self._first())
        first = self._first()
        posted = [one for one in self.invoices if one.posted]
        types = [self.books.gateways.get(one.PaymentType, "") for one in self.case.sales_orders]
        types += [self.books.gateways.get(one.PaymentType, "") for one in self.case.receipts]
        reasons = [one.reason for one in self.differences]
        status = Status.EXPLAINED if reasons else Status.MATCHED
        return OrderResult(
            order_id=self.case.order_id,
            sales_orders=[one.SalesOrderNo for one in self.case.sales_orders],
            status=Status.UNEXPLAINED if UNEXPLAINED.intersection(reasons) else status,
            gateway=first.payment.gateway.casefold() if first else next((one for one in types if one), ""),
            day=self._day(first),
            authorised=self.authorised,
            captured=self.captured,
            refunded=self.refunded,
            voided=_sum(one.amount for one in self.voided),
            deposits=self.stands(Place.DEPOSIT),
            receipts=self.stands(Place.RECEIPT),
            listed=self.stands(Place.LIST),
            lines=self.stands(Place.LINE),
            customer_deposits=self.stands(Place.CUSTOMER_DEPOSITS),
            invoiced=_sum(one.total for one in posted),
            invoiced_unposted=_sum(one.total for one in self.invoices if not one.posted),
            balance=_sum(one.Balance for one in posted if one.Balance is not None),
            applied=_sum(one.DepositAmt for one in posted),
            refunded_deposits=-_sum(
                one.amount for one in self._early() if one.place is Place.DEPOSIT and one.amount < 0
            ),
            movements=[self._moved(one) for one in (*self.movements, *self.foreign)],
            differences=self.differences,
        )

    def _moved(self, one: Movement) -> Moved:
        return Moved(
            gateway=one.payment.gateway.casefold(),
            transaction_id=masked(one.payment.transaction_id),
            day=one.day,
            place=Place.LIST if one in self.late else one.place,
            amount=one.amount,
            currency=one.payment.currency or self.books.currency,
            fee=one.payment.fee,
            payout_id=one.payment.payout_id,
        )

    @property
    def tolerance(self) -> Decimal:
        """What two amounts of money may differ by."""
        return self.books.pair.reconciliation.tolerance

    def _first(self) -> Movement | None:
        """The payment by which an order is told from others: its first capture."""
        either = [one for one in (*self.movements, *self.foreign, *self.voided) if one.amount > 0]
        return next(iter(either), None)

    def _day(self, of: Movement | None) -> date | None:
        if of is not None and of.day is not None:
            return of.day
        days = [one.OrderDate for one in self.case.sales_orders if one.OrderDate is not None]
        days += [one.DepositDate for one in self.case.receipts if one.DepositDate is not None]
        days += [one.day for one in self.case.entries if one.day is not None]
        return min(days, default=None)

    def _tell(
        self,
        place: Place,
        reason: Reason,
        amount: Decimal,
        *,
        effect: Decimal | None = None,
        of: Movement | None = None,
        transaction_id: str = "",
        currency: str = "",
        invoice_no: str = "",
        other: str = "",
        day: date | None = None,
    ) -> None:
        told = of or self._first()
        name = transaction_id or (of.payment.transaction_id if of else "")
        self.differences.append(
            Difference(
                order_id=self.case.order_id,
                SalesOrderNo=next((one.SalesOrderNo for one in self.case.sales_orders), ""),
                place=place,
                reason=reason,
                amount=amount,
                effect=amount if effect is None else effect,
                currency=currency or self.books.currency,
                gateway=told.payment.gateway.casefold() if told else "",
                transaction_id=masked(name),
                InvoiceNo=invoice_no,
                day=day or self._day(told),
                other=other,
            )
        )

    # ---- deposits and receipts ------------------------------------------------------------------------------------

    def _compare_place(self, place: Place) -> None:
        rest = self.stands(place) - self.expected(place)
        for stray in self.strays:
            if stray.place is place:
                self._tell(place, stray.reason, stray.amount, transaction_id=stray.transaction_id, other=stray.other)
                rest -= stray.amount
        if place is self.cash_place:
            for batch in (one for one in self.case.receipts if not one.posted):
                self._tell(
                    place, Reason.UNPOSTED_RECEIPT_BATCH, -batch.amount, transaction_id=batch.CheckNo,
                    invoice_no=batch.InvoiceNo, day=batch.DepositDate,
                )  # fmt: skip
                rest += batch.amount
        if place is Place.CUSTOMER_DEPOSITS:
            for one in self._early():
                name = one.payment.transaction_id
                amount = self.books.beside.get((self.case.order_id, masked(name), one.amount > 0))
                if amount is not None and rest * amount < 0 and not self._is_entered(one):
                    self._tell(place, Reason.ON_LIST, -amount, of=one)
                    rest += amount
        for one in self.foreign:
            if one.place is place or (place is Place.CUSTOMER_DEPOSITS and one.route is PaymentRoute.DEPOSIT_LIABILITY):
                taken = max(min(rest, one.amount), NOTHING)
                self._tell(
                    place, Reason.WRONG_CURRENCY, one.amount, effect=taken, of=one, currency=one.payment.currency
                )
                rest -= taken
        if abs(rest) <= self.tolerance:
            if rest:
                self._tell(place, Reason.TOLERANCE, rest)
        elif not self.case.known:
            self._tell(place, Reason.NO_ORDER_IN_CLARITY, rest)
        elif rest < 0:
            self._explain_less(place, rest)
        else:
            self._explain_more(place, rest)

    def _explain_less(self, place: Place, rest: Decimal) -> None:
        """Sage has less than was captured."""
        order = self.case.order
        captures = [one for one in self.movements if one.amount > 0 and self._is_at(one, place)]
        if order is not None and order.waits and not self.case.sales_orders:
            self._tell(place, Reason.NOT_IN_SAGE_YET, rest)
            return
        if self.gone:
            self._tell(place, Reason.REFUND_MISSING, rest)
            return
        if place is Place.RECEIPT and self.case.sales_orders:
            rest = self._not_due_yet(rest)
            if not rest:
                return
        fees = _sum(one.payment.fee for one in captures)
        if fees and rest == -fees:
            self._tell(place, Reason.FEE, rest)
            return
        if missing := self._missing(place, captures, rest):
            for one in missing:
                self._tell(place, Reason.MISSING_IN_SAGE, -one.amount, of=one)
        elif rest == -self.expected(place):
            self._tell(place, Reason.MISSING_IN_SAGE, rest, of=next(iter(captures), None))
        else:
            self._tell(place, Reason.OFF_BY, rest)

    def _not_due_yet(self, rest: Decimal) -> Decimal:
        """Of the route `on_invoice`: the receipt comes with the posted invoice. What is left to explain."""
        due_later = _sum(one.amount for one in self._early() if one.route is PaymentRoute.ON_INVOICE)
        posted = _sum(one.total for one in self.invoices if one.posted)
        waits = min(max(due_later - posted, NOTHING), -rest)
        if not waits or (posted and not self.open and not self._unposted()):
            return rest
        reason = Reason.PARTIAL_SHIPMENT if posted else Reason.NOT_YET_INVOICED
        self._tell(Place.RECEIPT, Reason.UNPOSTED_INVOICE if self._unposted() else reason, -waits)
        return rest + waits

    def _unposted(self) -> Decimal:
        return _sum(one.total for one in self.invoices if not one.posted)

    def _missing(self, place: Place, captures: Sequence[Movement], rest: Decimal) -> list[Movement]:
        """The captures that are not there, where the amount says which; those first that nothing in Sage names."""
        named = [pot.reference for pot in self.pots if pot.place is place]
        captures = sorted(captures, key=lambda one: any(names(name, one.payment.transaction_id) for name in named))
        return next((some for some in subsets(captures) if _sum(one.amount for one in some) == -rest), [])

    def _is_at(self, one: Movement, place: Place) -> bool:
        if place is Place.CUSTOMER_DEPOSITS:
            return one.route is PaymentRoute.DEPOSIT_LIABILITY
        return one.place is place

    def _explain_more(self, place: Place, rest: Decimal) -> None:
        """Sage has more than was captured less refunded."""
        taken = [one for one in self._early() if one.amount > 0 and self._is_at(one, place)]
        voided = [one for one in self.voided if self._is_at(one, place)]
        back = [one for one in self._early() if one.amount < 0 and self._is_at(one, place)] + voided
        gross = _sum(one.amount for one in (*taken, *voided))
        fees = _sum(one.payment.fee for one in taken)
        if self.expected(place) + rest <= gross:
            if given := next((some for some in subsets(back) if _sum(abs(one.amount) for one in some) == rest), []):
                for one in given:
                    self._tell(place, Reason.REFUND_MISSING, abs(one.amount), of=one)
                return
        elif rest in {gross, gross - 2 * fees, self.expected(place), *(one.amount for one in taken)}:
            same = next((one for one in taken if one.amount == rest), None)
            self._tell(place, Reason.DOUBLE, rest, of=same)
            return
        self._tell(place, Reason.OFF_BY, rest)

    # ---- the accounting list --------------------------------------------------------------------------------------

    def _compare_list(self) -> None:
        told = {one.transaction_id for one in self.strays if one.place is Place.LIST}
        for stray in self.strays:
            if stray.place is Place.LIST:
                self._tell(
                    Place.LIST, stray.reason, stray.amount, transaction_id=stray.transaction_id, other=stray.other
                )
        for one in self.foreign:
            if one.place is Place.LIST:
                name = one.payment.transaction_id
                taken = _sum(pot.amount for pot in self.pots if pot.place is Place.LIST and pot.reference == name)
                self._tell(
                    Place.LIST, Reason.WRONG_CURRENCY, one.amount, effect=taken, of=one, currency=one.payment.currency
                )
                told.add(name)
        expected: dict[tuple[str, bool], list[Movement]] = defaultdict(list)
        entries: dict[tuple[str, bool], list[ListEntry]] = defaultdict(list)
        for one in self.for_the_list:
            expected[_list_name(one.payment.transaction_id, one.payment.gateway, one.amount), one.amount > 0].append(
                one
            )
        for entry in self.case.entries:
            if entry.transaction_id not in told:
                key = _list_name(entry.transaction_id, entry.gateway, entry.amount), entry.amount > 0
                entries[key].append(entry)
        for key in sorted({*expected, *entries}):
            if key[0] not in told:
                self._compare_entries(expected[key], entries[key])

    def _compare_entries(self, expected: list[Movement], entries: list[ListEntry]) -> None:
        wanted = _sum(one.amount for one in expected)
        ours = [one for one in entries if one.currency == self.books.currency]
        rest = _sum(one.amount for one in ours) - wanted
        for entry in entries:
            if entry not in ours:
                effect = rest if rest * wanted < 0 else NOTHING
                self._tell(
                    Place.LIST, Reason.WRONG_CURRENCY, entry.amount, effect=effect, currency=entry.currency,
                    transaction_id=entry.transaction_id, day=entry.day,
                )  # fmt: skip
                rest -= effect
        if abs(rest) > self.tolerance:
            self._explain_entries(expected, ours, rest)
        elif rest:
            self._tell(Place.LIST, Reason.TOLERANCE, rest)
        if expected and entries:
            for entry in ours[: len(expected)]:
                if not entry.booked:
                    reason = Reason.REFUND_AFTER_INVOICING if expected[0] in self.late else Reason.ON_LIST
                    self._tell(
                        Place.LIST, reason, entry.amount, effect=NOTHING, transaction_id=entry.transaction_id,
                        day=entry.day,
                    )  # fmt: skip

    def _explain_entries(self, expected: list[Movement], ours: list[ListEntry], rest: Decimal) -> None:
        wanted = _sum(one.amount for one in expected)
        name = ours[0].transaction_id if ours else ""
        if not self.case.known:
            self._tell(Place.LIST, Reason.NO_ORDER_IN_CLARITY, rest, transaction_id=name)
        elif not ours:
            for one in expected:
                reason = Reason.MISSING_IN_SAGE if one.amount > 0 else Reason.REFUND_MISSING
                self._tell(Place.LIST, reason, -one.amount, of=one)
        elif (wanted and rest % wanted == 0 and rest * wanted > 0) or (not wanted and self._is_elsewhere(name)):
            self._tell(Place.LIST, Reason.DOUBLE, rest, transaction_id=name)
        else:
            self._tell(Place.LIST, Reason.OFF_BY, rest, transaction_id=name)

    def _is_elsewhere(self, transaction_id: str) -> bool:
        return bool(transaction_id) and any(one.payment.transaction_id == transaction_id for one in self.movements)

    # ---- invoices -------------------------------------------------------------------------------------------------

    def _compare_invoices(self) -> None:
        """Σ invoices against Σ captured: what will be shipped and given back is explained."""
        paid = _sum(one.amount for one in self._early() if one.place is not Place.LINE)
        if not self.case.known or not self.case.sales_orders or self.foreign or self.gone:
            return
        if not (self.movements or self.voided or self.authorised):
            return
        posted, unposted = _sum(one.total for one in self.invoices if one.posted), self._unposted()
        rest = posted - paid
        if unposted:
            self._tell(Place.INVOICE, Reason.UNPOSTED_INVOICE, -unposted)
            rest += unposted
        bills = [one for one in self.invoices if one.InvoiceType == "IN"]
        pair = self.books.pair
        tax_bound = TAX_ROUNDING * len(bills) * max((one.tax_codes for one in bills), default=0)
        if abs(rest) <= self.tolerance + pair.tax.tolerance + pair.order.prices.tolerance:
            if rest:
                self._tell(Place.INVOICE, Reason.TOLERANCE, rest)
        elif abs(rest) <= abs(_sum(one.shared for one in bills if one.shared is not None)):
            self._tell(Place.INVOICE, Reason.SHARED_INVOICE, rest)
        elif len(bills) > 1 and abs(rest) <= tax_bound:
            self._tell(Place.INVOICE, Reason.PARTIAL_INVOICE_TAX, rest)
        elif rest < 0:
            self._explain_uninvoiced(rest, bills=bool(bills))
        else:
            self._explain_invoiced(rest)

    def _explain_uninvoiced(self, rest: Decimal, *, bills: bool) -> None:
        if not bills:
            self._tell(Place.INVOICE, Reason.NOT_YET_INVOICED, rest)
            return
        given_back = min(-_sum(one.amount for one in self.late), -rest)
        if given_back > 0:
            self._tell(Place.INVOICE, Reason.REFUND_AFTER_INVOICING, -given_back)
            rest += given_back
        credited = min(-_sum(one.total for one in self.invoices if one.InvoiceType == "CM"), -rest)
        if credited > 0:
            self._tell(Place.INVOICE, Reason.REFUND_MISSING, -credited)
            rest += credited
        if not rest:
            return
        if self._may_be_freight(rest):
            self._tell(Place.INVOICE, Reason.ACTUAL_FREIGHT, rest)
        elif self.open:
            self._tell(Place.INVOICE, Reason.PARTIAL_SHIPMENT, rest)
        else:
            # Closed short, or sold for less than was taken: the buyer waits for the rest.
            self._tell(Place.INVOICE, Reason.REFUND_MISSING, rest)

    def _explain_invoiced(self, rest: Decimal) -> None:
        promised = min(max(self.authorised - self.captured, NOTHING), rest)
        if promised:
            self._tell(Place.INVOICE, Reason.NOT_YET_CAPTURED, promised)
            rest -= promised
        total = self.case.order.total if self.case.order is not None else None
        owed = min(max((total or NOTHING) - max(self.authorised, self.captured), NOTHING), rest)
        if owed:
            self._tell(Place.INVOICE, Reason.ON_ACCOUNT, owed)
            rest -= owed
        if not rest:
            return
        if self._may_be_freight(rest):
            self._tell(Place.INVOICE, Reason.ACTUAL_FREIGHT, rest)
        elif len(self.case.sales_orders) > 1:
            self._tell(Place.INVOICE, Reason.DOUBLE, rest)
        else:
            self._tell(Place.INVOICE, Reason.OFF_BY, rest)

    def _may_be_freight(self, rest: Decimal) -> bool:
        if self.books.pair.charges.freight.amount is not FreightAmount.ACTUAL:
            return False
        charged = self.case.order.shipping if self.case.order is not None else NOTHING
        return abs(rest) <= max(_sum(one.FreightAmt for one in self.invoices), charged)


def reconcile(ledger: Ledger, pair: Pair) -> list[OrderResult]:
    """Every order of the ledger with money on either side, by order id, then those that Sage alone has."""
    compared = [one.compare() for one in Books(ledger, pair).comparisons.values()]
    results = [one for one in compared if one.has_money]
    return sorted(results, key=lambda one: (not one.order_id, one.order_id, one.sales_orders))


def list_due(ledger: Ledger, pair: Pair) -> list[ListEntry]:
    """What accounting books by hand, by Clarity's payments: money of the route `list`, refunds after invoicing."""
    due = []
    for comparison in Books(ledger, pair).comparisons.values():
        for one in comparison.for_the_list:
            due.append(
                ListEntry(
                    order_id=comparison.case.order_id,
                    gateway=one.payment.gateway.casefold(),
                    transaction_id=one.payment.transaction_id,
                    amount=one.amount,
                    currency=pair.company.currency,
                    day=one.day,
                )
            )
    return due


# ---- small things ---------------------------------------------------------------------------------------------------

_PROMISE: Final = PaymentType.AUTHORIZE
MOST_TOGETHER: Final = 3
"""Payments that together may make one difference."""


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, NOTHING)


def subsets(movements: Sequence[Movement]) -> Iterator[list[Movement]]:
    """One, two, three of them, and all; an order has few payments."""
    for number in range(1, min(len(movements), MOST_TOGETHER) + 1):
        for some in combinations(movements[:12], number):
            yield list(some)
    if len(movements) > MOST_TOGETHER:
        yield list(movements)


def _list_name(transaction_id: str, gateway: str, amount: Decimal) -> str:
    return transaction_id or f"{gateway.casefold()} {amount}"


def _payment_key(one: GatewayPayment) -> tuple[object, ...]:
    return str(one.date or ""), one.type.value, one.gateway.casefold(), one.transaction_id, one.amount, one.currency


def _receipt_key(one: Receipt) -> tuple[object, ...]:
    return one.CheckNo, one.InvoiceNo, str(one.DepositDate), one.DepositNo, one.posted, one.amount


def _entry_key(one: ListEntry) -> tuple[object, ...]:
    return one.order_id, one.transaction_id, str(one.day), one.amount, one.currency, one.booked
