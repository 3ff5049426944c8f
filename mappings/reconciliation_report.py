"""What a reconciliation adds up to: control sums, totals by gateway and day, payouts, customer deposits, ageing.

In: `Ledger` and the results of its orders. Out: `Report`. Pure. The control sums are made from the books themselves,
the rows from the compared orders: `adds_up` says that both tell the same.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Final

from mappings.differences import MONEY, NOTHING, Difference, Moved, OrderResult, Place, Reason, Status
from mappings.frozen import Frozen
from mappings.ledger import Ledger, Payout
from mappings.reconciliation import deposit_of


class GatewayDay(Frozen):
    """What a gateway moved on a day, and where it stands: captured − refunded + explained + unexplained =
    deposits + receipts + listed + lines."""

    gateway: str
    day: date | None
    currency: str
    complete: bool
    """The day lies in the range: every payment of it was looked at."""
    orders: int = 0
    captured: Decimal = NOTHING
    refunded: Decimal = NOTHING
    deposits: Decimal = NOTHING
    receipts: Decimal = NOTHING
    listed: Decimal = NOTHING
    lines: Decimal = NOTHING
    explained: Decimal = NOTHING
    unexplained: Decimal = NOTHING

    @property
    def adds_up(self) -> bool:
        """Whether the row does."""
        paid = self.captured - self.refunded + self.explained + self.unexplained
        return paid == self.deposits + self.receipts + self.listed + self.lines


class ControlSums(Frozen):
    """Clarity captured − refunded = Sage's deposits + receipts + the list + gift-card lines − differences."""

    captured: Decimal
    refunded: Decimal
    deposits: Decimal
    receipts: Decimal
    listed: Decimal
    lines: Decimal
    explained: Decimal
    unexplained: Decimal
    difference: Decimal
    """Sage less Clarity."""
    invoiced: Decimal
    invoiced_unposted: Decimal
    adds_up: bool
    """Each order does, each row does, and their sums are those of the books."""


class CustomerDeposits(Frozen):
    """Opening + deposited − applied − refunded = closing, of DepositAmt of web orders."""

    opening: Decimal = NOTHING
    deposited: Decimal = NOTHING
    applied: Decimal = NOTHING
    refunded: Decimal = NOTHING
    closing: Decimal = NOTHING
    after: Decimal = NOTHING
    """What changed between the last day of the range and the reading."""
    open_in_sage: Decimal = NOTHING
    """DepositAmt of live orders when they were read."""
    previous_closing: Decimal | None = None
    """What the last reconciliation closed with, if it closed on the day before."""

    @property
    def adds_up(self) -> bool:
        """Whether Sage's open deposits are what the movements say."""
        return self.closing + self.after == self.open_in_sage


class PayoutLine(Frozen):
    """A payout beside the payments that it holds."""

    payout: Payout
    payments: Decimal
    """Σ captures less refunds that name it."""
    fees: Decimal
    in_sage: Decimal
    """Of these payments: what stands in Sage or on the list."""
    matched: bool


class Clearing(Frozen):
    """A gateway's clearing account over the range, in the company's currency."""

    gateway: str
    booked: Decimal
    """Deposits, receipts and list entries of its payments."""
    paid_out: Decimal
    """Gross."""
    fees: Decimal
    net: Decimal
    in_transit: Decimal
    """Booked and not paid out."""


class Bucket(StrEnum):
    """How old a difference is, in days."""

    WEEK = "0-7"
    MONTH = "8-30"
    TWO_MONTHS = "31-60"
    THREE_MONTHS = "61-90"
    OLDER = "over 90"


LAST_DAY: Final = {7: Bucket.WEEK, 30: Bucket.MONTH, 60: Bucket.TWO_MONTHS, 90: Bucket.THREE_MONTHS}


class Age(Frozen):
    """Differences of one age."""

    bucket: Bucket
    explained: int = 0
    explained_amount: Decimal = NOTHING
    """Without regard to sign."""
    unexplained: int = 0
    unexplained_amount: Decimal = NOTHING


class Report(Frozen):
    """Everything but the orders themselves."""

    pair: str
    currency: str
    since: date
    until: date
    as_of: date
    orders: dict[Status, int]
    reasons: dict[Reason, int]
    controls: ControlSums
    customer_deposits: CustomerDeposits
    totals: list[GatewayDay]
    payouts: list[PayoutLine] | None
    """None: this release of Clarity does not tell payouts."""
    clearing: list[Clearing]
    ageing: list[Age]

    @property
    def payouts_differ(self) -> int:
        """Payouts that are not the sum of their payments."""
        return sum(not one.matched for one in self.payouts or [])


def report(ledger: Ledger, results: Sequence[OrderResult], pair: str, currency: str) -> Report:
    """Add everything up."""
    totals = gateway_days(ledger, results, currency)
    payouts = None if ledger.payouts is None else payout_lines(ledger.payouts, results)
    differences = [one for result in results for one in result.differences]
    return Report(
        pair=pair,
        currency=currency,
        since=ledger.since,
        until=ledger.until,
        as_of=ledger.as_of,
        orders={status: sum(one.status is status for one in results) for status in Status},
        reasons=dict(sorted(Counter(one.reason for one in differences).items())),
        controls=control_sums(ledger, results, totals, currency),
        customer_deposits=customer_deposits(ledger, results),
        totals=totals,
        payouts=payouts,
        clearing=clearing(totals, ledger, currency),
        ageing=ageing(differences, ledger.as_of),
    )


def gateway_days(ledger: Ledger, results: Iterable[OrderResult], currency: str) -> list[GatewayDay]:
    """By gateway, day and currency; a difference belongs to the day of its payment."""
    sums: dict[tuple[str, date | None, str], dict[str, Decimal]] = defaultdict(lambda: defaultdict(lambda: NOTHING))
    orders: dict[tuple[str, date | None, str], set[str]] = defaultdict(set)
    for result in results:
        name = result.order_id or " ".join(result.sales_orders)
        for one in result.movements:
            key = one.gateway, one.day, one.currency
            orders[key].add(name)
            sums[key]["captured" if one.amount > 0 else "refunded"] += abs(one.amount)
            if one.currency != currency:
                sums[key]["unexplained"] -= one.amount
            else:
                sums[key][COLUMNS[one.place]] += one.amount
        for found in result.differences:
            if found.place in MONEY and found.effect:
                key = found.gateway or result.gateway, _day_of(found, result), currency
                orders[key].add(name)
                sums[key][COLUMNS[found.place]] += found.effect
                sums[key]["explained" if found.reason.explained else "unexplained"] += found.effect
    return [
        GatewayDay(
            gateway=gateway,
            day=day,
            currency=of,
            complete=day is not None and ledger.since <= day <= ledger.until,
            orders=len(orders[gateway, day, of]),
            **amounts,
        )
        for (gateway, day, of), amounts in sorted(
            sums.items(), key=lambda one: (str(one[0][1] or ""), one[0][0], one[0][2])
        )
    ]


COLUMNS: Final = {Place.DEPOSIT: "deposits", Place.RECEIPT: "receipts", Place.LIST: "listed", Place.LINE: "lines"}
"""Columns of a row by place."""


def _day_of(one: Difference, result: OrderResult) -> date | None:
    """The day of the payment that it is about, so that it stands in that payment's row."""
    days = [moved.day for moved in result.movements if moved.gateway == one.gateway]
    return one.day if one.day in days or not days else days[0]


def control_sums(
    ledger: Ledger, results: Sequence[OrderResult], totals: Sequence[GatewayDay], currency: str
) -> ControlSums:
    """Sums of the books, held against those of orders and rows."""
    ours = [one for one in totals if one.currency == currency]
    money = [one for result in results for one in result.differences if one.place in MONEY]
    deposits = _sum(deposit_of(one) for one in ledger.sales_orders)
    listed = _sum(one.amount for one in ledger.accounting_list if one.currency == currency)
    receipts = _sum(one.receipts for one in results)
    lines = _sum(one.lines for one in results)
    captured, refunded = _sum(one.captured for one in results), _sum(one.refunded for one in results)
    difference = deposits + receipts + listed + lines - (captured - refunded)
    explained = _sum(one.effect for one in money if one.reason.explained)
    unexplained = _sum(one.effect for one in money if not one.reason.explained)
    return ControlSums(
        captured=captured,
        refunded=refunded,
        deposits=deposits,
        receipts=receipts,
        listed=listed,
        lines=lines,
        explained=explained,
        unexplained=unexplained,
        difference=difference,
        invoiced=_sum(one.invoiced for one in results),
        invoiced_unposted=_sum(one.invoiced_unposted for one in results),
        adds_up=all(
            (
                difference == explained + unexplained,
                all(order_adds_up(one) for one in results),
                all(one.adds_up for one in totals),
                captured == _sum(one.captured for one in ours),
                refunded == _sum(one.refunded for one in ours),
                deposits == _sum(one.deposits for one in ours),
                receipts == _sum(one.receipts for one in ours),
                listed == _sum(one.listed for one in ours),
                lines == _sum(one.lines for one in ours),
            )
        ),
    )


def order_adds_up(result: OrderResult) -> bool:
    """Whether an order's differences are what its sides differ by."""
    return result.difference == _sum(one.effect for one in result.differences if one.place in MONEY)


def customer_deposits(ledger: Ledger, results: Iterable[OrderResult]) -> CustomerDeposits:
    """The roll-forward, from days of orders, refunds and invoices. What has no day was there before."""
    events: list[tuple[str, date | None, Decimal]] = []
    lowered: dict[str, list[Moved]] = {}
    for result in results:
        missing = {one.transaction_id for one in result.differences if one.reason is Reason.REFUND_MISSING}
        lowered[result.order_id] = [
            one
            for one in result.movements
            if one.place is Place.DEPOSIT and one.amount < 0 and one.transaction_id not in missing
        ]
    for sold in ledger.sales_orders:
        refunds = lowered.pop(sold.web_order_id, []) if deposit_of(sold) else []
        changes = [("refunded", one.day, -one.amount) for one in refunds]
        changes += [("applied", one.InvoiceDate, one.DepositAmt) for one in sold.invoices if one.posted]
        entered = deposit_of(sold) - _sum(one.amount for one in refunds)
        first = min((day for _, day, _ in changes if day is not None), default=None)
        events += [*changes, ("deposited", sold.OrderDate or first, entered)]
    sums = {
        period: dict.fromkeys(("deposited", "applied", "refunded"), NOTHING) for period in ("before", "in", "after")
    }
    for what, day, amount in events:
        period = "before" if day is None or day < ledger.since else "in" if day <= ledger.until else "after"
        sums[period][what] += amount

    def change(period: str) -> Decimal:
        return sums[period]["deposited"] - sums[period]["applied"] - sums[period]["refunded"]

    return CustomerDeposits(
        opening=change("before"),
        **sums["in"],
        closing=change("before") + change("in"),
        after=change("after"),
        open_in_sage=_sum(
            deposit_of(one) - _sum(bill.DepositAmt for bill in one.invoices if bill.posted)
            for one in ledger.sales_orders
        ),
        previous_closing=ledger.opening,
    )


def payout_lines(payouts: Iterable[Payout], results: Iterable[OrderResult]) -> list[PayoutLine]:
    """Each payout beside the payments that name it."""
    inside: dict[tuple[str, str], list[tuple[Moved, bool]]] = defaultdict(list)
    for result in results:
        lacking = {one.transaction_id for one in result.differences if not one.reason.explained and one.effect < 0}
        for one in result.movements:
            if one.payout_id:
                inside[one.gateway, one.payout_id].append((one, one.transaction_id not in lacking))
    telling = {gateway for gateway, _ in inside}
    """Gateways whose payments say in which payout they are."""
    lines = []
    for payout in sorted(payouts, key=lambda one: (one.day, one.gateway, one.id)):
        payments = inside[payout.gateway.casefold(), payout.id]
        total = _sum(one.amount for one, _ in payments)
        fees = _sum(one.fee for one, _ in payments)
        lines.append(
            PayoutLine(
                payout=payout,
                payments=total,
                fees=fees,
                in_sage=_sum(one.amount for one, booked in payments if booked),
                matched=total in (payout.gross, *([] if payout.gateway.casefold() in telling else [NOTHING]))
                and payout.gross - payout.fee == payout.net,
            )
        )
    return lines


def clearing(totals: Iterable[GatewayDay], ledger: Ledger, currency: str) -> list[Clearing]:
    """Booked against paid out, by gateway, over the days of the range."""
    booked: dict[str, Decimal] = defaultdict(lambda: NOTHING)
    for row in totals:
        if row.complete and row.currency == currency:
            booked[row.gateway] += row.deposits + row.receipts + row.listed
    paid: dict[str, list[Payout]] = defaultdict(list)
    for payout in ledger.payouts or []:
        if payout.currency == currency and ledger.since <= payout.day <= ledger.until:
            paid[payout.gateway.casefold()].append(payout)
    return [
        Clearing(
            gateway=gateway,
            booked=booked[gateway],
            paid_out=(gross := _sum(one.gross for one in paid[gateway])),
            fees=_sum(one.fee for one in paid[gateway]),
            net=_sum(one.net for one in paid[gateway]),
            in_transit=booked[gateway] - gross,
        )
        for gateway in sorted({*booked, *paid})
    ]


def ageing(differences: Iterable[Difference], as_of: date) -> list[Age]:
    """Differences by the age of their payment. Without a day they are as old as they can be."""
    counts: dict[Bucket, Age] = {bucket: Age(bucket=bucket) for bucket in Bucket}
    for one in differences:
        old = (as_of - one.day).days if one.day is not None else None
        bucket = next((name for last, name in LAST_DAY.items() if old is not None and old <= last), Bucket.OLDER)
        column = "explained" if one.reason.explained else "unexplained"
        age = counts[bucket]
        more = {
            column: getattr(age, column) + 1,
            f"{column}_amount": getattr(age, f"{column}_amount") + abs(one.amount),
        }
        counts[bucket] = age.model_copy(update=more)
    return list(counts.values())


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, NOTHING)
