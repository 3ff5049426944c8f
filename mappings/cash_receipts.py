"""Which payment becomes a cash receipt in Sage, which waits, and which a person books: the cash routes (rules 5).

In: both books (`mappings.ledger`) and the pair. Out: a `Decision` for each payment, and the receipts that are due as
`ReceiptBatch`es, one a gateway and day. Pure. What stands in Sage and what a late refund is are reconciliation's words
(`mappings.reconciliation`), so that both flows agree.

A payment is known in Sage by CheckNo, the last ten characters of the gateway's transaction id, and by its customer:
what stands under it, posted or not, whoever entered it, is never entered again.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Final

from pydantic import Field

from mappings.canonical import PaymentType
from mappings.differences import NOTHING, Place
from mappings.frozen import Frozen
from mappings.ledger import DepositedOrder, Ledger, ListEntry, OrderInvoice, Receipt
from mappings.pair import Pair, PaymentRoute
from mappings.payments import DEPOSIT_ROUTES, payment_rule
from mappings.reconciliation import Books, Comparison, LeftKey, Movement, left_key, masked, names, subsets

CHECK_NO: Final = 10
"""AR_CashReceiptsDetail.CheckNo is C10. Ids of gateways begin alike and end differently: their end is kept."""
BATCH_LINES: Final = 200
"""Receipts in one deposit."""
PREFIX: Final = 3
"""Characters of a DepositNo (C5) that come from the payment type; two digits follow."""
MOST_DEPOSITS: Final = 99
CHARGEBACK: Final = "chargeback"


class InvoiceType(StrEnum):
    """AR_CashReceiptsDetail.InvoiceType: what a line pays."""

    INVOICE = "IN"
    PREPAYMENT = "PP"
    """An open invoice of this type, under the number of the sales order."""
    ACCOUNT = ""
    """AccountKey instead."""


class ReceiptLine(Frozen):
    """A line of a deposit, in Sage's columns (AR_CashReceiptsDetail)."""

    ARDivisionNo: str
    CustomerNo: str
    CheckNo: str = Field(min_length=1, max_length=CHECK_NO)
    PaymentType: str
    InvoiceNo: str = ""
    InvoiceType: InvoiceType
    AccountKey: str = ""
    CashAmountApplied: Decimal
    """Negative for what was given back before invoicing."""

    def stands_as(self, receipt: Receipt) -> bool:
        """Whether a receipt in Sage is this one."""
        whose = (receipt.ARDivisionNo, receipt.CustomerNo) == (self.ARDivisionNo, self.CustomerNo)
        invoice = self.InvoiceNo if self.InvoiceType is InvoiceType.INVOICE else ""
        same = receipt.CheckNo == self.CheckNo and (receipt.amount > 0) == (self.CashAmountApplied > 0)
        return whose and same and receipt.InvoiceNo == invoice


class DueReceipt(Frozen):
    """A receipt that is to be entered, and the payment that it is of."""

    order_id: str
    gateway: str
    transaction_id: str
    day: date
    """DepositDate."""
    line: ReceiptLine
    beside: list[Receipt] = []
    """Receipts that look like it and are of another capture of the same transaction."""

    @property
    def payment(self) -> str:
        """What a run calls its payment."""
        return payment_key(self.order_id, self.transaction_id, self.line.CashAmountApplied)

    @property
    def key(self) -> str:
        """What a run calls the receipt: a payment of two invoices has two, a transaction captured in parts several."""
        return f"{self.payment} {self.line.InvoiceNo} {self.line.CashAmountApplied.normalize():f}"


class ReceiptBatch(Frozen):
    """One deposit in Sage: receipts of one gateway and day."""

    gateway: str
    DepositDate: date
    prefix: str
    """What its DepositNo begins with: three characters of the payment type; two digits follow."""
    due: list[DueReceipt] = Field(min_length=1, max_length=BATCH_LINES)


class Outcome(StrEnum):
    """What became of a payment, or becomes of it now."""

    DEPOSIT = "deposit"
    """It is DepositAmt of its order and of its invoices: no receipt."""
    LINE = "line"
    """A gift card's line of the order: no receipt."""
    RECEIPT = "receipt"
    """Its receipt stands in Sage, posted or not."""
    WRITE = "write"
    """Its receipt is due."""
    WAITS = "waits"
    """For its order, or for the posted invoice."""
    LIST = "list"
    """A person books it."""
    BOOKED = "booked"
    """A person has booked it, says `booked.csv`."""
    NOTHING = "nothing"
    """No money: an authorisation, a void and what it took back, a refund of what Sage never had."""


class Why(StrEnum):
    """The reason of an outcome, where it needs one."""

    # waits
    NOT_IN_SAGE_YET = "not_in_sage_yet"
    """The order is held, or on its way."""
    NOT_INVOICED_YET = "not_invoiced_yet"
    """Captured ahead of the posted invoice."""
    CANCELLED = "cancelled"
    """The order is gone and nothing was invoiced: the buyer waits for a refund, no receipt is due."""

    # the accounting list
    ROUTE_LIST = "route_list"
    """The pair's route says so."""
    REFUND_AFTER_INVOICING = "refund_after_invoicing"
    CAPTURED_AFTER_INVOICING = "captured_after_invoicing"
    """A deposit is not changed any more once something is invoiced."""
    REFUND_AFTER_RECEIPT = "refund_after_receipt"
    """Given back before invoicing, and the invoice's receipt has it still."""
    CAPTURE_ON_LIST = "capture_on_list"
    """A refund whose capture is on the list."""
    VOIDED_AFTER_RECEIPT = "voided_after_receipt"
    CHARGEBACK = "chargeback"
    UNKNOWN_TYPE = "unknown_type"
    """Clarity calls the payment something that nobody knows."""
    NO_RULE = "no_rule"
    """Its gateway has no rule in the pair file."""
    WRONG_CURRENCY = "wrong_currency"
    NO_TRANSACTION_ID = "no_transaction_id"
    """Nobody could tell whether it stands in Sage already."""
    NO_DATE = "no_date"
    SAME_CHECK_NO = "same_check_no"
    """Two payments of one customer end alike."""
    FOUND_ELSEWHERE = "found_elsewhere"
    """The same reference and amount stand at another customer."""
    MORE_THAN_INVOICED = "more_than_invoiced"
    """Everything is invoiced, and some of the money paid no invoice."""
    CARD_PAYMENT_TYPE = "card_payment_type"
    """Its payment type would charge a card or a bank account again."""
    REFUSED_BY_SAGE = "refused_by_sage"
    """Such as a closed period; Sage's words stand beside it."""
    BY_HAND = "by_hand"
    """The pair has accounting enter receipts (`cash_receipts.write` is off)."""


class Decision(Frozen):
    """A payment, and what becomes of it."""

    order_id: str
    SalesOrderNo: str = ""
    gateway: str
    transaction_id: str
    type: str
    """A `PaymentType`, or the store's own word."""
    day: date | None
    amount: Decimal
    """Negative what went back; of `LIST` only what is left to a person."""
    currency: str
    route: PaymentRoute | None = None
    outcome: Outcome
    why: Why | None = None
    remark: str = ""
    """Sage's own words."""
    beside_deposit: bool = False
    due: list[DueReceipt] = []

    def entry(self) -> ListEntry:
        """As it stands on the accounting list."""
        return ListEntry(
            order_id=self.order_id,
            gateway=self.gateway,
            transaction_id=masked(self.transaction_id),
            amount=self.amount,
            currency=self.currency,
            day=self.day,
            booked=self.outcome is Outcome.BOOKED,
            reason=self.why.value if self.why is not None else "",
            beside_deposit=self.beside_deposit,
        )


class Settled(Frozen):
    """What a run knows beyond the two books."""

    booked: list[ListEntry] = []
    """What accounting says it has booked."""
    refused: dict[str, str] = {}
    """`payment_key` → Sage's words, of receipts that Sage refused in this run."""
    card_types: list[str] = []
    """Payment types of the pair that are not of AR_PaymentType.PaymentMethod O or C."""


def payment_key(order_id: str, transaction_id: str, amount: Decimal) -> str:
    """What a run calls a payment."""
    return f"{order_id} {transaction_id} {'in' if amount > 0 else 'out'}"


def check_no(transaction_id: str) -> str:
    """What stands in CheckNo for a gateway's transaction."""
    return transaction_id[-CHECK_NO:]


def decide(ledger: Ledger, pair: Pair, settled: Settled) -> list[Decision]:
    """Every payment of the orders that are looked at, by order id; the order of the input does not matter."""
    # What earlier runs left to a person is decided anew: it may have been entered, or mended.
    books = Books(ledger.model_copy(update={"left": [], "accounting_list": []}), pair)
    standing = Standing(ledger.receipts)
    paid: dict[str, Decimal] = defaultdict(Decimal)
    decisions = []
    for comparison in books.comparisons.values():
        if comparison.known:
            decisions += OrderMoney(comparison, standing, pair, settled, paid).decide()
    return without_look_alikes(decisions)


class Standing:
    """The receipts in Sage, by the transaction that they name."""

    def __init__(self, receipts: Iterable[Receipt]) -> None:
        self._by_check_no: dict[str, list[Receipt]] = defaultdict(list)
        self.unposted: dict[str, Decimal] = defaultdict(Decimal)
        """InvoiceNo → what is entered against it and not posted."""
        for one in receipts:
            self._by_check_no[one.CheckNo].append(one)
            if not one.posted and one.InvoiceNo:
                self.unposted[one.InvoiceNo] += one.amount
        self._lengths = sorted({len(name) for name in self._by_check_no})

    def named(self, transaction_id: str) -> list[Receipt]:
        """Receipts whose CheckNo is this transaction, whole or cut at either end."""
        forms = {
            transaction_id,
            *(transaction_id[:n] for n in self._lengths),
            *(transaction_id[-n:] for n in self._lengths if n),
        }
        found = [one for form in sorted(forms) for one in self._by_check_no.get(form, [])]
        return [one for one in found if names(one.CheckNo, transaction_id)]


class OrderMoney:
    """One order's payments."""

    def __init__(
        self,
        comparison: Comparison,
        standing: Standing,
        pair: Pair,
        settled: Settled,
        paid: dict[str, Decimal],
    ) -> None:
        self.comparison, self.standing, self.pair, self.settled = comparison, standing, pair, settled
        self.sold = next((one for one in comparison.case.sales_orders if one.live), None) or next(
            iter(comparison.case.sales_orders), None
        )
        self.booked: set[LeftKey] = {left_key(one) for one in settled.booked}
        self.pools: dict[tuple[str, bool], Decimal] = {}
        """What stands in Sage of a transaction and was not found to be a payment of it yet."""
        self.exact: dict[tuple[str, bool], list[Decimal]] = {}
        """Receipts of a transaction that are one of its payments to the penny: no other payment takes of them."""
        self.entered = NOTHING
        """What stands, or will when this run is over, less what was given back."""
        self.left_over = False
        """A capture of this order is on the list."""
        self.paid = paid
        """InvoiceNo → what this run enters against it, for whichever order: one invoice may bill several."""

    def decide(self) -> list[Decision]:
        """What came in before what went back."""
        one = self.comparison
        found = [self._list(each, Why.WRONG_CURRENCY) for each in one.foreign]
        found += [self._voided(each) for each in one.voided]
        found += self._authorised()
        first = sorted(one.movements, key=lambda each: (each.amount < 0, str(each.day), each.payment.transaction_id))
        by_invoice = [each for each in first if each.route is PaymentRoute.ON_INVOICE and each not in one.late]
        late_captures = self._captured_too_late()
        for each in first:
            if each not in by_invoice:
                found.append(self._decide(each, late_captures))
        return found + self._by_invoice(by_invoice)

    def _authorised(self) -> Iterator[Decision]:
        order = self.comparison.case.order
        for one in order.payments if order is not None else []:
            if one.type in (PaymentType.AUTHORIZE, PaymentType.VOID):
                yield Decision(
                    order_id=self.comparison.case.order_id, gateway=one.gateway.casefold(),
                    transaction_id=one.transaction_id, type=one.type.value, day=None, amount=one.amount,
                    currency=one.currency or self.pair.company.currency, outcome=Outcome.NOTHING,
                )  # fmt: skip

    def _decide(self, one: Movement, late_captures: Sequence[Movement]) -> Decision:
        payment = one.payment
        if payment.kind:
            return self._list(one, Why.CHARGEBACK if payment.kind.casefold() == CHARGEBACK else Why.UNKNOWN_TYPE)
        if not one.amount:
            # A card that was only verified: Sage would get an empty receipt each night.
            return self._told(one, Outcome.NOTHING)
        if payment_rule(payment, self.pair) is None:
            return self._list(one, Why.NO_RULE)
        if one.place is Place.LINE:
            return self._told(one, Outcome.LINE)
        if one.route is PaymentRoute.LIST:
            return self._list(one, Why.ROUTE_LIST)
        if one in self.comparison.late:
            return self._list(one, Why.REFUND_AFTER_INVOICING)
        if one in late_captures:
            return self._list(one, Why.CAPTURED_AFTER_INVOICING)
        if one.route is PaymentRoute.CLEARING:
            return self._told(one, Outcome.DEPOSIT)
        return self._receipt(one)

    def _captured_too_late(self) -> list[Movement]:
        """Captures of deposit routes that no deposit has: after the first invoice nothing changes it any more."""
        one = self.comparison
        days = [bill.InvoiceDate for bill in one.invoices if bill.InvoiceType == "IN" and bill.InvoiceDate is not None]
        rest = one.stands(Place.DEPOSIT) - one.expected(Place.DEPOSIT)
        if not days or rest >= 0:
            return []
        captures = [
            each
            for each in one.movements
            if each.amount > 0 and each.route in DEPOSIT_ROUTES and each.day is not None and each.day >= min(days)
        ]
        return next((some for some in subsets(captures) if sum((each.amount for each in some), NOTHING) == -rest), [])

    # ---- receipts to Customer Deposits, prepayments -----------------------------------------------------------------

    def _receipt(self, one: Movement) -> Decision:
        """One receipt for each capture, and for each refund before invoicing one below zero."""
        stands = self._take(one)
        if stands:
            self.entered += one.amount
            return self._told(one, Outcome.RECEIPT)
        if one.amount > 0 and self._comes_to_nothing(one):
            return self._told(one, Outcome.NOTHING)
        if one.amount > 0 and self.comparison.gone:
            return self._told(one, Outcome.WAITS, Why.CANCELLED)
        if self.sold is None and not self.comparison.gone:
            return self._told(one, Outcome.WAITS, Why.NOT_IN_SAGE_YET)
        if one.amount < 0 and self.left_over:
            return self._list(one, Why.CAPTURE_ON_LIST)
        if one.amount < 0 and self.sold is None and self.entered > 0:
            # The sales order was deleted and left no history: nobody knows the customer, the receipt is there still.
            back = min(self.entered, -one.amount)
            self.entered -= back
            return self._list(one, Why.REFUND_AFTER_RECEIPT).model_copy(update={"amount": -back})
        if self.sold is None or (one.amount < 0 and self.entered < -one.amount):
            return self._told(one, Outcome.NOTHING)
        day = one.day
        if not one.payment.transaction_id or day is None:
            self.left_over |= one.amount > 0
            return self._list(one, Why.NO_TRANSACTION_ID if day is not None else Why.NO_DATE)
        prepaid = one.route is PaymentRoute.PREPAYMENT
        line = self._line(one, self.sold, one.amount).model_copy(
            update={
                "InvoiceType": InvoiceType.PREPAYMENT if prepaid else InvoiceType.ACCOUNT,
                "InvoiceNo": self.sold.SalesOrderNo if prepaid else "",
                "AccountKey": "" if prepaid else self.pair.cash_receipts.customer_deposits,
            }
        )
        decision = self._due(one, [self._with(one, day, line)])
        if decision.outcome is Outcome.WRITE:
            self.entered += one.amount
        else:
            self.left_over |= one.amount > 0
        return decision

    def _comes_to_nothing(self, one: Movement) -> bool:
        """The order is gone, and everything was given back before Sage had it: neither way is entered."""
        own = [each for each in self.comparison.movements if each.route is one.route]
        return self.comparison.gone and sum((each.amount for each in own), NOTHING) <= 0 and self.entered <= 0

    # ---- receipts against posted invoices ---------------------------------------------------------------------------

    def _by_invoice(self, movements: Sequence[Movement]) -> list[Decision]:
        """Each capture, less what was given back before invoicing, against the posted invoices, oldest first."""
        captures = [one for one in movements if one.amount > 0]
        refunds = [one for one in movements if one.amount < 0]
        stands = [self._take(one) for one in captures]
        net = [one.amount for one in captures]
        decisions = []
        for refund in refunds:
            if self._take(refund):
                decisions.append(self._told(refund, Outcome.RECEIPT))
                continue
            rest = -refund.amount
            for place in reversed(range(len(net))):
                taken = min(rest, max(net[place] - stands[place], NOTHING))
                net[place], rest = net[place] - taken, rest - taken
            if rest and sum(stands, NOTHING) > 0:
                left = self._list(refund, Why.REFUND_AFTER_RECEIPT)
                decisions.append(left.model_copy(update={"amount": -rest}))
            else:
                decisions.append(self._told(refund, Outcome.NOTHING))
        for capture, wanted, there in zip(captures, net, stands, strict=True):
            decisions.append(self._against_invoices(capture, wanted, there))
        return decisions

    def _against_invoices(self, one: Movement, wanted: Decimal, there: Decimal) -> Decision:
        rest = wanted - there
        if rest <= 0 or (there and rest == one.payment.fee):
            return self._told(one, Outcome.RECEIPT if there else Outcome.NOTHING)
        if self.comparison.gone:
            return self._told(one, Outcome.WAITS, Why.CANCELLED)
        if self.sold is None:
            return self._told(one, Outcome.WAITS, Why.NOT_IN_SAGE_YET)
        if not one.payment.transaction_id or one.day is None:
            return self._list(one, Why.NO_TRANSACTION_ID if one.day is not None else Why.NO_DATE)
        due = []
        for sold, invoice in self._open_invoices():
            amount = min(rest, self._balance(invoice))
            if amount > 0:
                line = self._line(one, sold, amount).model_copy(
                    update={"InvoiceType": InvoiceType.INVOICE, "InvoiceNo": invoice.InvoiceNo}
                )
                due.append(self._with(one, max(one.day, invoice.InvoiceDate or one.day), line))
                self.paid[invoice.InvoiceNo] += amount
                rest -= amount
        if due:
            decision = self._due(one, due)
            if decision.outcome is Outcome.BOOKED:
                # Accounting's entry is in the balance already, or not against this invoice at all.
                for each in due:
                    self.paid[each.line.InvoiceNo] -= each.line.CashAmountApplied
            if decision.outcome is Outcome.LIST:
                return decision.model_copy(
                    update={"amount": sum((each.line.CashAmountApplied for each in due), NOTHING)}
                )
            return decision
        if self.comparison.open or any(not bill.posted for bill in self.comparison.invoices):
            return self._told(one, Outcome.WAITS, Why.NOT_INVOICED_YET)
        if not self.comparison.invoices:
            return self._told(one, Outcome.WAITS, Why.NOT_INVOICED_YET)
        return self._list(one, Why.MORE_THAN_INVOICED).model_copy(update={"amount": rest})

    def _open_invoices(self) -> list[tuple[DepositedOrder, OrderInvoice]]:
        found = [
            (sold, bill)
            for sold in self.comparison.case.sales_orders
            for bill in sold.invoices
            if bill.posted and bill.InvoiceType == "IN"
        ]
        return sorted(found, key=lambda each: (str(each[1].InvoiceDate), each[1].InvoiceNo))

    def _balance(self, invoice: OrderInvoice) -> Decimal:
        """What is still owed, receipts counted that are entered and not posted, and those of this run."""
        entered = self.standing.unposted.get(invoice.InvoiceNo, NOTHING)
        return (invoice.Balance or NOTHING) - entered - self.paid[invoice.InvoiceNo]

    # ---- what stands, and what is told ------------------------------------------------------------------------------

    def _take(self, one: Movement) -> Decimal:
        """What of this payment stands in Sage, positive, whoever entered it; each receipt counts once."""
        name, came = one.payment.transaction_id, one.amount > 0
        if not name:
            return NOTHING
        if (name, came) not in self.pools:
            own = [each for each in self.standing.named(name) if self._is_ours(each) and (each.amount > 0) == came]
            amounts = [abs(each.amount) for each in own]
            self.exact[name, came] = exact = []
            for each in (*self.comparison.movements, *self.comparison.voided):
                amount = abs(each.amount)
                if each.payment.transaction_id == name and (each.amount > 0) == came and amount in amounts:
                    amounts.remove(amount)
                    exact.append(amount)
            self.pools[name, came] = sum(amounts, NOTHING)
        if abs(one.amount) in self.exact[name, came]:
            self.exact[name, came].remove(abs(one.amount))
            return abs(one.amount)
        stands = self.pools[name, came]
        if one.route is PaymentRoute.ON_INVOICE:
            stands = min(stands, abs(one.amount))
        self.pools[name, came] -= min(stands, abs(one.amount))
        return stands

    def _is_ours(self, receipt: Receipt) -> bool:
        sold = [(one.ARDivisionNo, one.CustomerNo) for one in self.comparison.case.sales_orders]
        return (receipt.ARDivisionNo, receipt.CustomerNo) in sold or receipt in self.comparison.case.receipts

    def _voided(self, one: Movement) -> Decision:
        stands = (
            self._take(one) if one.place is Place.RECEIPT or one.route is PaymentRoute.DEPOSIT_LIABILITY else NOTHING
        )
        if not stands:
            return self._told(one, Outcome.NOTHING)
        return self._list(one, Why.VOIDED_AFTER_RECEIPT).model_copy(update={"amount": -min(stands, one.amount)})

    def _line(self, one: Movement, sold: DepositedOrder, amount: Decimal) -> ReceiptLine:
        rule = payment_rule(one.payment, self.pair)
        return ReceiptLine(
            ARDivisionNo=sold.ARDivisionNo,
            CustomerNo=sold.CustomerNo,
            CheckNo=check_no(one.payment.transaction_id),
            PaymentType=rule[1].payment_type if rule is not None else "",
            InvoiceType=InvoiceType.ACCOUNT,
            CashAmountApplied=amount,
        )

    def _with(self, one: Movement, day: date, line: ReceiptLine) -> DueReceipt:
        return DueReceipt(
            order_id=self.comparison.case.order_id,
            gateway=one.payment.gateway.casefold(),
            transaction_id=one.payment.transaction_id,
            day=day,
            line=line,
            beside=[each for each in self.standing.named(one.payment.transaction_id) if line.stands_as(each)],
        )

    def _due(self, one: Movement, due: list[DueReceipt]) -> Decision:
        """To be entered, unless something speaks against it."""
        refused = self.settled.refused.get(due[0].payment)
        if refused is not None:
            return self._list(one, Why.REFUSED_BY_SAGE, refused)
        if due[0].line.PaymentType in self.settled.card_types:
            return self._list(one, Why.CARD_PAYMENT_TYPE)
        if self._stands_elsewhere(one):
            return self._list(one, Why.FOUND_ELSEWHERE)
        if not self.pair.cash_receipts.write:
            return self._list(one, Why.BY_HAND)
        left = self._list(one, Why.BY_HAND)
        if left.outcome is Outcome.BOOKED:
            return left
        return self._told(one, Outcome.WRITE).model_copy(update={"due": due})

    def _stands_elsewhere(self, one: Movement) -> bool:
        name = check_no(one.payment.transaction_id)
        rule = payment_rule(one.payment, self.pair)
        types = ("", rule[1].payment_type if rule is not None else "")
        return any(
            each.CheckNo == name and each.amount == one.amount and each.PaymentType in types and not self._is_ours(each)
            for each in self.standing.named(one.payment.transaction_id)
        )

    def _list(self, one: Movement, why: Why, remark: str = "") -> Decision:
        left = self._told(one, Outcome.LIST, why).model_copy(update={"remark": remark})
        beside = one.route is PaymentRoute.DEPOSIT_LIABILITY and one not in self.comparison.late
        if beside and why not in (Why.CAPTURED_AFTER_INVOICING, Why.VOIDED_AFTER_RECEIPT):
            left = left.model_copy(update={"beside_deposit": True})
        key = left_key(left.entry())
        return left.model_copy(update={"outcome": Outcome.BOOKED}) if key in self.booked else left

    def _told(self, one: Movement, outcome: Outcome, why: Why | None = None) -> Decision:
        payment = one.payment
        return Decision(
            order_id=self.comparison.case.order_id,
            SalesOrderNo=self.sold.SalesOrderNo if self.sold is not None else "",
            gateway=payment.gateway.casefold(),
            transaction_id=payment.transaction_id,
            type=payment.kind or payment.type.value,
            day=one.day,
            amount=one.amount,
            currency=payment.currency or self.pair.company.currency,
            route=one.route,
            outcome=outcome,
            why=why,
        )


def without_look_alikes(decisions: Sequence[Decision]) -> list[Decision]:
    """Payments of one customer whose references end alike: nobody could tell their receipts apart later."""
    seen: dict[tuple[str, str, str, bool], set[tuple[str, str]]] = defaultdict(set)
    for decision in decisions:
        for one in decision.due:
            seen[_reference(one)].add((one.gateway, one.transaction_id))
    return [
        decision.model_copy(update={"outcome": Outcome.LIST, "why": Why.SAME_CHECK_NO, "due": []})
        if any(len(seen[_reference(one)]) > 1 for one in decision.due)
        else decision
        for decision in decisions
    ]


def _reference(one: DueReceipt) -> tuple[str, str, str, bool]:
    line = one.line
    return line.ARDivisionNo, line.CustomerNo, line.CheckNo, line.CashAmountApplied > 0


def batches(decisions: Iterable[Decision]) -> list[ReceiptBatch]:
    """The receipts that are due, one batch a gateway, payment type and day, the oldest day first."""
    days: dict[tuple[date, str, str], list[DueReceipt]] = defaultdict(list)
    for decision in decisions:
        for one in decision.due:
            days[one.day, one.gateway, one.line.PaymentType].append(one)
    return [
        ReceiptBatch(
            gateway=gateway,
            DepositDate=day,
            prefix=deposit_prefix(payment_type),
            due=due[start : start + BATCH_LINES],
        )
        for (day, gateway, payment_type), due in sorted(days.items(), key=lambda item: item[0])
        for start in range(0, len(due), BATCH_LINES)
    ]


def deposit_prefix(payment_type: str) -> str:
    """Three letters or digits of a payment type."""
    plain = "".join(sign for sign in payment_type.upper() if sign.isascii() and sign.isalnum())
    return (plain + "WEB")[:PREFIX]


def next_deposit_no(prefix: str, taken: Iterable[str]) -> str:
    """The number after the highest of a day that begins so. Raises ValueError when there is none left."""
    used = [int(name[PREFIX:]) for name in taken if name.startswith(prefix) and name[PREFIX:].isdigit()]
    number = max(used, default=0) + 1
    if number > MOST_DEPOSITS:
        raise ValueError(f"all deposit numbers {prefix}01 to {prefix}{MOST_DEPOSITS} of the day are used")
    return f"{prefix}{number:02d}"
