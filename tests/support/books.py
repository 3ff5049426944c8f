"""Generated books of a web shop and of Sage that agree, and errors put into them.

In: a seed. Out: `Books`: orders in every state that reconciliation explains, the reasons that each of them has, and,
after `spoil`, which unexplained reasons must be found. Nothing here is shared with the code that compares: amounts are
laid out forwards, from what a buyer paid to where a bookkeeper puts it.
"""

import random
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from string import ascii_letters, digits
from typing import Any

from mappings.canonical import PaymentType
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

FIRST, LAST, READ = date(2026, 10, 1), date(2026, 10, 31), date(2026, 11, 2)
GATEWAYS = {
    "stripe": "clearing",
    "paypal": "deposit_liability",
    "wire": "prepayment",
    "klarna": "on_invoice",
    "check": "list",
}
TYPES = {"stripe": "STRIP", "paypal": "PAYPL", "wire": "WIRE", "klarna": "KLARN", "check": "CHECK"}
PENNY = Decimal("0.01")


@dataclass
class Entry:
    """One order as it is laid out: mutable, so that an error can be put in."""

    id: str
    gateway: str
    day: date
    payments: list[dict[str, Any]] = field(default_factory=list)
    waits: str = ""
    sales_order: dict[str, Any] | None = None
    invoices: list[dict[str, Any]] = field(default_factory=list)
    receipts: list[dict[str, Any]] = field(default_factory=list)
    entries: list[dict[str, Any]] = field(default_factory=list)
    reasons: set[str] = field(default_factory=set)
    """What explains it as it is, without errors."""
    spoilt: bool = False
    traits: set[str] = field(default_factory=set)

    @property
    def route(self) -> str:
        return GATEWAYS[self.gateway]

    @property
    def reference(self) -> str:
        return str(self.payments[0]["transaction_id"])

    def deposit(self) -> Decimal:
        """As it stands in Sage, wherever it went."""
        assert self.sales_order is not None
        taken = sum((Decimal(one["DepositAmt"]) for one in self.invoices if one["posted"]), Decimal(0))
        return taken + Decimal(self.sales_order["DepositAmt"])

    def put_deposit(self, amount: Decimal, reference: str) -> None:
        """Where a bookkeeper would have it: on the first posted invoice, else on the order and its open invoice."""
        assert self.sales_order is not None
        posted = [one for one in self.invoices if one["posted"]]
        self.sales_order["reference"] = reference[:24]
        if posted:
            posted[0]["DepositAmt"] = amount
            return
        self.sales_order["DepositAmt"] = amount
        for one in self.invoices:
            one["DepositAmt"] = amount


class Books:
    """Both sides, `number` orders."""

    def __init__(self, seed: int, number: int) -> None:
        self.random = random.Random(seed)  # noqa: S311
        self.entries = [self._order(place) for place in range(number)]
        self.strangers: list[dict[str, Any]] = []
        """Sales orders without a web order."""
        self.expected: set[tuple[str, str]] = set()
        """Order (or SalesOrderNo) and reason of each error that was put in."""
        self.injected: dict[str, int] = {}

    # ---- what agrees ----------------------------------------------------------------------------------------------

    def _name(self, prefix: str, place: int) -> str:
        tail = "".join(self.random.choices(ascii_letters + digits, k=14))
        return f"{prefix}_{place:08d}{tail}{self.random.randrange(100):02d}"

    def _amount(self) -> Decimal:
        return Decimal(self.random.randint(500, 250_000)) / 100

    def _order(self, place: int) -> Entry:
        rng = self.random
        gateway = rng.choice(list(GATEWAYS))
        day = FIRST + timedelta(days=rng.randrange((LAST - FIRST).days - 10))
        entry = Entry(f"{50_000 + place}", gateway, day)
        captures = [self._amount() for _ in range(rng.choice([1, 1, 1, 2]))]
        if rng.random() < 0.4:
            self._pay(entry, place, "authorize", sum(captures, Decimal(0)), day)
            entry.payments[-1]["transaction_id"] = ""
        entry.payments.reverse()
        for amount in captures:
            self._pay(entry, place, "capture", amount, day)
        entry.payments.sort(key=lambda one: one["type"] != "capture")
        total = sum(captures, Decimal(0))
        state = rng.choice(["posted", "posted", "posted", "unposted", "partial", "two", "none", "held"])
        refund = Decimal(0)
        if state == "none" and entry.route != "on_invoice" and rng.random() < 0.5:
            refund = (captures[0] / 3).quantize(PENNY)
            self._pay(entry, place, "refund", refund, day + timedelta(days=1))
            entry.traits.add("early refund")
        fee = Decimal(0)
        if (
            state == "posted"
            and len(captures) == 1
            and entry.route in ("clearing", "prepayment")
            and rng.random() < 0.1
        ):
            fee = (total * Decimal("0.029") + Decimal("0.30")).quantize(PENNY)
            entry.payments[0]["fee"] = fee
            entry.traits.add("fee")
            entry.reasons.add("fee")
        if state == "held":
            entry.waits = "held: credit"
            if entry.route != "list":
                entry.reasons.add("not_in_sage_yet")
            self._book_list(entry)
            return entry
        self._sell(entry, place, state, total, refund)
        self._book(entry, state, total - refund - fee, captures, refund)
        if state == "posted" and not fee and rng.random() < 0.15:
            late = (captures[0] / 4).quantize(PENNY)
            self._pay(entry, place, "refund", late, day + timedelta(days=6))
            entry.traits.add("late refund")
            entry.entries.append(self._list_entry(entry, entry.payments[-1], booked=rng.random() < 0.5))
            if not entry.entries[-1]["booked"]:
                entry.reasons.add("refund_after_invoicing")
        return entry

    def _pay(self, entry: Entry, place: int, kind: str, amount: Decimal, day: date) -> None:
        entry.payments.append(
            {
                "gateway": entry.gateway,
                "transaction_id": self._name(kind[:2], place),
                "type": PaymentType(kind),
                "amount": amount,
                "currency": "USD",
                "date": datetime(day.year, day.month, day.day, 18, self.random.randrange(60), tzinfo=UTC),
            }
        )

    def _sell(self, entry: Entry, place: int, state: str, total: Decimal, refund: Decimal) -> None:
        due = total - refund
        entry.sales_order = {
            "SalesOrderNo": f"{100_000 + place:07d}",
            "web_order_id": entry.id,
            "ARDivisionNo": "02",
            "CustomerNo": f"W{place:06d}",
            "OrderDate": entry.day,
            "live": state in ("unposted", "partial", "none"),
            "open": state in ("unposted", "partial", "none"),
            "DepositAmt": Decimal(0),
            "PaymentType": TYPES[entry.gateway],
            "reference": "",
        }
        bill_day = entry.day + timedelta(days=3)
        first = (due * 2 / 5).quantize(PENNY)

        def bill(number: int, amount: Decimal, *, posted: bool = True) -> None:
            entry.invoices.append(
                {
                    "InvoiceNo": f"{(place * 2 + number):07d}",
                    "posted": posted,
                    "InvoiceDate": bill_day + timedelta(days=number),
                    "total": amount,
                    "DepositAmt": Decimal(0),
                    "tax_codes": 2,
                }
            )

        if state == "posted":
            bill(0, due)
        elif state == "unposted":
            bill(0, due, posted=False)
            entry.reasons.add("unposted_invoice")
        elif state == "partial":
            bill(0, first)
            entry.reasons.add("partial_shipment")
        elif state == "two":
            bill(0, first)
            off = Decimal(self.random.randint(-4, 4)) / 100
            bill(1, due - first + off)
            if off:
                entry.reasons.add("partial_invoice_tax")
        elif due:
            entry.reasons.add("not_yet_invoiced")

    def _book(self, entry: Entry, state: str, money: Decimal, captures: list[Decimal], refund: Decimal) -> None:
        """The way of the route."""
        if entry.route in ("clearing", "deposit_liability"):
            entry.put_deposit(money, entry.reference)
        if entry.route in ("deposit_liability", "prepayment"):
            kind = ReceiptOf.ACCOUNT if entry.route == "deposit_liability" else ReceiptOf.PREPAYMENT
            posted = self.random.random() > 0.1
            each = [(entry.payments[n]["transaction_id"], amount) for n, amount in enumerate(captures)]
            if "fee" in entry.traits:
                each = [(entry.reference, money)]
            if refund:
                each.append((entry.payments[-1]["transaction_id"], -refund))
            for name, amount in each:
                self._receive(entry, kind, name, amount, "", posted=posted)
            if not posted:
                entry.reasons.add("unposted_receipt_batch")
        elif entry.route == "on_invoice":
            posted_bills = [one for one in entry.invoices if one["posted"]]
            if state == "partial":
                self._receive(
                    entry, ReceiptOf.INVOICE, entry.reference, posted_bills[0]["total"], posted_bills[0]["InvoiceNo"]
                )
            elif posted_bills:
                for number, amount in enumerate(captures):
                    name = entry.payments[number]["transaction_id"]
                    self._receive(entry, ReceiptOf.INVOICE, name, amount, posted_bills[0]["InvoiceNo"])
        self._book_list(entry)

    def _book_list(self, entry: Entry) -> None:
        if entry.route != "list":
            return
        booked = self.random.random() < 0.5
        for one in entry.payments:
            if one["type"] in (PaymentType.CAPTURE, PaymentType.REFUND):
                entry.entries.append(self._list_entry(entry, one, booked=booked))
        if not booked:
            entry.reasons.add("on_list")

    def _list_entry(self, entry: Entry, payment: dict[str, Any], *, booked: bool) -> dict[str, Any]:
        sign = 1 if payment["type"] is PaymentType.CAPTURE else -1
        return {
            "order_id": entry.id,
            "gateway": entry.gateway,
            "transaction_id": payment["transaction_id"],
            "amount": sign * payment["amount"],
            "currency": "USD",
            "day": payment["date"].date(),
            "booked": booked,
        }

    def _receive(
        self, entry: Entry, of: ReceiptOf, name: str, amount: Decimal, invoice: str, *, posted: bool = True
    ) -> None:
        entry.receipts.append(
            {
                "posted": posted,
                "of": of,
                "BankCode": "W",
                "DepositDate": entry.day + timedelta(days=4),
                "DepositNo": f"{self.random.randrange(100_000):05d}",
                "CheckNo": name[-10:],
                "InvoiceNo": invoice,
                "PaymentType": TYPES[entry.gateway],
                "amount": amount,
            }
        )

    # ---- what is wrong --------------------------------------------------------------------------------------------

    def spoil(self, each: int) -> None:
        """Put in so many errors of each kind, one an order."""
        for kind, put in (
            ("missing", self._lose),
            ("double", self._double),
            ("penny", self._penny),
            ("currency", self._currency),
            ("wrong order", self._wrong_order),
            ("refund", self._forget_refund),
            ("stranger", self._stranger),
        ):
            done = 0
            for entry in self.random.sample(self.entries, len(self.entries)):
                if done == each:
                    break
                if not entry.spoilt and put(entry):
                    entry.spoilt = True
                    done += 1
            self.injected[kind] = done

    def _free(self, entry: Entry) -> bool:
        """Has money somewhere that an error can hit."""
        if entry.route == "list":
            return bool(entry.entries) and not entry.traits
        if entry.sales_order is None:
            return False
        return bool(entry.receipts) and not entry.traits if entry.route in ("prepayment", "on_invoice") else True

    def _is_posted(self, entry: Entry) -> bool:
        return all(one["posted"] for one in entry.receipts)

    def _lose(self, entry: Entry) -> bool:
        if not self._free(entry) or "early refund" in entry.traits:
            return False
        if entry.route in ("clearing", "deposit_liability"):
            entry.put_deposit(Decimal(0), "")
            entry.reasons.discard("fee")
        elif entry.route == "list":
            entry.entries.pop()
        elif entry.route == "on_invoice" and "partial_shipment" in entry.reasons:
            return False
        else:
            if not self._is_posted(entry):
                return False
            entry.receipts.pop()
        return self._expect(entry, "missing_in_sage")

    def _double(self, entry: Entry) -> bool:
        if not self._free(entry):
            return False
        if entry.route in ("clearing", "deposit_liability"):
            entry.put_deposit(entry.deposit() * 2, entry.reference)
        elif entry.route == "list":
            entry.entries.append(dict(entry.entries[0]))
        elif "partial_shipment" in entry.reasons:
            return False
        else:
            entry.receipts.append({**entry.receipts[0], "DepositNo": "DBL"})
        return self._expect(entry, "double")

    def _penny(self, entry: Entry) -> bool:
        if not self._free(entry):
            return False
        off = self.random.choice([PENNY, -PENNY])
        if entry.route in ("clearing", "deposit_liability"):
            entry.put_deposit(entry.deposit() + off, entry.reference)
        elif entry.route == "list":
            entry.entries[0]["amount"] += off
        else:
            if "partial_shipment" in entry.reasons:
                return False
            entry.receipts[0]["amount"] += off
        if "unposted_receipt_batch" not in entry.reasons:
            entry.reasons.discard("fee")
        return self._expect(entry, "off_by")

    def _currency(self, entry: Entry) -> bool:
        one_capture = sum(one["type"] is PaymentType.CAPTURE for one in entry.payments) == 1
        if not self._free(entry) or entry.traits or not one_capture:
            return False
        if entry.route == "list" and self.random.random() < 0.5:
            entry.entries[0]["currency"] = "EUR"
        else:
            for one in entry.payments:
                one["currency"] = "EUR"
        return self._expect(entry, "wrong_currency")

    def _wrong_order(self, entry: Entry) -> bool:
        if not self._free(entry) or entry.traits:
            return False
        if entry.route in ("clearing", "deposit_liability"):
            if self.random.random() < 0.5:
                number = f"{900_000 + len(self.strangers):07d}"
                self.strangers.append(
                    {
                        "SalesOrderNo": number,
                        "OrderDate": entry.day,
                        "DepositAmt": entry.deposit(),
                        "PaymentType": TYPES[entry.gateway],
                        "reference": entry.reference[:24],
                    }
                )
                entry.put_deposit(Decimal(0), "")
                self.expected.add((number, "wrong_order"))
            else:
                other = self._other(entry)
                if other is None:
                    return False
                mine, theirs = entry.deposit(), other.deposit()
                entry.put_deposit(theirs, other.reference)
                other.put_deposit(mine, entry.reference)
                self._expect(other, "wrong_order")
        elif entry.route == "list":
            other = self._other(entry)
            if other is None:
                return False
            entry.entries[0]["order_id"] = other.id
            self._expect(other, "wrong_order")
        else:
            other = self._other(entry)
            if other is None or not self._is_posted(entry) or not other.invoices or not self._is_posted(other):
                return False
            if "partial_shipment" in entry.reasons or "partial_shipment" in other.reasons:
                return False
            entry.receipts[0]["InvoiceNo"] = other.invoices[0]["InvoiceNo"]
            self._expect(other, "wrong_order")
        return self._expect(entry, "wrong_order")

    def _other(self, entry: Entry) -> Entry | None:
        for other in self.random.sample(self.entries, min(60, len(self.entries))):
            like = other is not entry and not other.spoilt and other.gateway == entry.gateway
            if like and self._free(other) and not other.traits and other.sales_order is not None:
                other.spoilt = True
                return other
        return None

    def _forget_refund(self, entry: Entry) -> bool:
        if not entry.traits & {"early refund", "late refund"}:
            return False
        if "late refund" in entry.traits or entry.route == "list":
            entry.entries.pop()
            if "late refund" in entry.traits:
                entry.reasons.discard("refund_after_invoicing")
        elif entry.route in ("clearing", "deposit_liability"):
            entry.put_deposit(entry.deposit() + entry.payments[-1]["amount"], entry.reference)
        else:
            entry.receipts.pop()
        return self._expect(entry, "refund_missing")

    def _stranger(self, entry: Entry) -> bool:
        """Money in Sage of an order that Clarity has not."""
        number = f"{950_000 + len(self.strangers):07d}"
        self.strangers.append(
            {
                "SalesOrderNo": number,
                "web_order_id": f"9{number}",
                "OrderDate": entry.day,
                "DepositAmt": self._amount(),
                "PaymentType": "STRIP",
                "reference": self._name("xx", len(self.strangers))[:24],
            }
        )
        self.expected.add((f"9{number}", "no_order_in_clarity"))
        return True

    def _expect(self, entry: Entry, reason: str) -> bool:
        entry.spoilt = True
        self.expected.add((entry.id, reason))
        return True

    # ---- as a ledger ----------------------------------------------------------------------------------------------

    def ledger(self) -> Ledger:
        """Both books, shuffled."""
        payouts = self._payouts()
        orders = [
            WebOrder(
                order_id=one.id,
                waits=one.waits,
                payments=[GatewayPayment.model_validate(each) for each in one.payments],
            )
            for one in self.entries
        ]
        sold = [
            DepositedOrder(**one.sales_order, invoices=[OrderInvoice.model_validate(bill) for bill in one.invoices])
            for one in self.entries
            if one.sales_order is not None
        ]
        sold += [DepositedOrder.model_validate(one) for one in self.strangers]
        receipts = [Receipt.model_validate(each) for one in self.entries for each in one.receipts]
        listed = [ListEntry.model_validate(each) for one in self.entries for each in one.entries]
        for side in (orders, sold, receipts, listed):
            self.random.shuffle(side)
        return Ledger(
            since=FIRST, until=LAST, as_of=READ, orders=orders, sales_orders=sold, receipts=receipts,
            accounting_list=listed, payouts=payouts,
        )  # fmt: skip

    def _payouts(self) -> list[Payout]:
        """One a gateway and day of payment, two days later."""
        sums: dict[tuple[str, date, str], list[Decimal]] = {}
        for entry in self.entries:
            for one in entry.payments:
                if one["type"] not in (PaymentType.CAPTURE, PaymentType.REFUND):
                    continue
                day = one["date"].date() + timedelta(days=2)
                one["payout_id"] = f"po-{entry.gateway}-{day}-{one['currency']}"
                sign = 1 if one["type"] is PaymentType.CAPTURE else -1
                both = sums.setdefault((entry.gateway, day, one["currency"]), [Decimal(0), Decimal(0)])
                both[0] += sign * one["amount"]
                both[1] += one.get("fee", Decimal(0))
        return [
            Payout(
                id=f"po-{gateway}-{day}-{currency}", gateway=gateway, day=day, currency=currency,
                gross=gross, fee=fee, net=gross - fee,
            )
            for (gateway, day, currency), (gross, fee) in sums.items()
        ]  # fmt: skip
