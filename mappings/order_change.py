"""What a later version from Clarity changes on a sales order that Sage has already (rules 3 and 4).

In: the order as it was sent, the order as it should be now, and the order as Sage has it. Out: a plan: columns and
lines to change, each in words, or the problems that a person must look at, with all three versions. Pure.

Three versions, because two cannot tell who changed what: what the buyer did not change stays as people in Sage made it;
what both changed is nobody's to overwrite.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final, TypeVar

from pydantic import Field

from mappings.frozen import Frozen
from mappings.problems import Problem
from mappings.progress import in_order_unit
from mappings.read_back import as_sent
from mappings.sales_order import CreatedLine, LineOrigin, SageItemType, SalesOrder, SalesOrderLine, SalesOrderOnSage
from mappings.shipments import SalesOrderStanding, ShipmentInvoice

MONEY_COLUMNS: Final = ("DepositAmt", "PaymentType", "CheckNoForDeposit", "OtherPaymentTypeRefNo")
"""The deposit: Sage applies it to the first invoice, so that afterwards it is the accountants' business (rules 5)."""
ACCOUNT_COLUMNS: Final = ("ARDivisionNo", "CustomerNo", "TermsCode")
"""Whose order it is, and on what terms: never changed by a program."""
LEFT_ALONE: Final = frozenset({"UDF_WEB_ORDER_ID", "OrderDate", "OrderStatus", "PaymentTypeCategory", "extra", "Lines"})
SIDE_BY_SIDE: Final = (
    "Change it in Sage by hand and release with retry; or release with approve: the sales order stays as Sage has it."
)
MOST_PROBLEMS: Final = 20
AnyLine = TypeVar("AnyLine", SalesOrderLine, CreatedLine)


class LineChange(Frozen):
    """One line to change (`LineKey`), to take off (`Delete`), or to add (`new`)."""

    LineKey: str = ""
    QuantityOrdered: Decimal | None = None
    UnitPrice: Decimal | None = None
    columns: dict[str, str] = {}
    """Further columns of the pair's `line_values`."""
    Delete: bool = False
    new: SalesOrderLine | None = None


class EnteredOrder(Frozen):
    """A sales order whole, as the gateway tells it."""

    order: SalesOrderOnSage
    columns: dict[str, str] = {}
    """Header columns by name, as text; what is empty may be missing."""
    comments: dict[str, str] = {}
    """LineKey → CommentText of the comment lines."""
    line_columns: dict[str, dict[str, str]] = {}
    """LineKey → columns of the line by name, as text; what is empty may be missing."""


class OnSage(EnteredOrder):
    """The same, and what ODBC tells of its standing and its invoices."""

    standing: SalesOrderStanding
    invoices: list[ShipmentInvoice] = []
    """Of this order, each line with its order line (`mappings.progress.allocate`)."""

    def shipped(self, key: str, *, posted: bool | None = None) -> Decimal:
        """What invoices have shipped of a line, in its unit; of the posted or of the unposted ones only, if that is
        asked."""
        live = next((line for line in self.order.Lines if line.LineKey == key), None)
        return sum(
            (
                line.QuantityShipped if live is None else in_order_unit(line, live)
                for invoice in self.invoices
                if posted is None or invoice.posted is posted
                for line in invoice.Lines
                if line.LineKey == key
            ),
            Decimal(0),
        )

    @property
    def unposted(self) -> list[str]:
        """Invoices that are being entered: Sage lets nobody change the order meanwhile."""
        return sorted(invoice.InvoiceNo for invoice in self.invoices if not invoice.posted)


class ChangePlan(Frozen):
    """What to change, in Sage's terms and in words; or why a person must."""

    columns: dict[str, str] = {}
    lines: list[LineChange] = []
    said: list[str] = Field(default_factory=list)
    """Each change in words, without personal data: "quantity of LAMP-LED-01: 3 → 2"."""
    problems: list[Problem] = []
    remarks: list[str] = []
    """What is not changed and stops nothing."""

    @property
    def is_empty(self) -> bool:
        """Whether Sage has everything already."""
        return not self.columns and not self.lines


def plan_change(before: SalesOrder | None, after: SalesOrder, sage: OnSage) -> ChangePlan:
    """What brings Sage's order from `before` to `after`. Without `before` every difference is for a person."""
    found = _Plan(before or after, after, sage, known=before is not None)
    found.header()
    if before is None:
        found.against_sage()
    else:
        found.items()
        found.charges()
        found.comments()
    changes = bool(found.columns or found.lines)
    if changes and sage.unposted:
        found.problems.insert(
            0,
            Problem(
                field=f"SO_SalesOrder.{sage.order.SalesOrderNo}",
                message=f"Invoice {', '.join(sage.unposted)} of this order is being shipped and is not posted yet; "
                f"the buyer wants: {'; '.join(found.said)}"[:600],
                suggestion="Stop the parcel or let it go. Release with retry once the invoice is posted or deleted; or "
                "with approve: the sales order stays as Sage has it.",
            ),
        )
    if found.problems:
        return ChangePlan(problems=found.problems[:MOST_PROBLEMS], said=found.said, remarks=found.remarks)
    return ChangePlan(columns=found.columns, lines=found.lines, said=found.said, remarks=found.remarks)


def wishes(before: SalesOrder | None, after: SalesOrder) -> list[str]:
    """What the buyer changed, in words, whatever Sage has: a change that was made by an earlier attempt was made."""
    if before is None:
        return []
    sent = as_sent("", before, None)
    comments = [line.CommentText for line in before.Lines if line.origin is LineOrigin.COMMENT]
    keys = [line.LineKey for line in sent.Lines if line.ItemType is SageItemType.COMMENT]
    sage = OnSage(
        order=sent,
        columns=_columns(before),
        comments=dict(zip(keys, comments, strict=True)),
        standing=SalesOrderStanding(SalesOrderNo="", live=True),
    )
    return plan_change(before, after, sage).said


def follow(
    lines: Sequence[CreatedLine], before: SalesOrder | None, after: SalesOrder, sage: OnSage
) -> list[CreatedLine]:
    """The order's own lines after the change, for its progress (rules 3): `created` is what the buyer now wants.

    `sage` is as read after the change. Lines of items that the buyer took off are gone, unless some of it was shipped.
    """
    now = {line.LineKey: line for line in sage.order.Lines if line.ItemType is not SageItemType.COMMENT}
    was, wanted = _items(before or after), _items(after)
    kept: list[CreatedLine] = []
    adjusted: set[str] = set()
    for line in lines:
        there = now.pop(line.LineKey, None)
        shipped = sage.shipped(line.LineKey)
        old, new = was.get(line.UDF_WEB_LINE_ID), wanted.get(line.UDF_WEB_LINE_ID)
        if line.is_component or old is None or line.ItemCode != old.ItemCode:
            # Sage's own, or a charge.
            if there is not None or shipped:
                kept.append(line)
            continue
        same = new is not None and new.ItemCode == old.ItemCode
        # Another unit takes the line off and puts one on.
        stays = same and new is not None and (new.UnitOfMeasure == old.UnitOfMeasure or there is not None)
        more = Decimal(0)
        if line.UDF_WEB_LINE_ID not in adjusted:
            adjusted.add(line.UDF_WEB_LINE_ID)
            if new is not None and stays and new.QuantityOrdered != old.QuantityOrdered:
                # Not by how much it differs from `before`: a person may have left that version aside.
                own = [one for one in lines if one.UDF_WEB_LINE_ID == line.UDF_WEB_LINE_ID and not one.is_component]
                more = new.QuantityOrdered - sum((one.QuantityOrdered for one in own), Decimal(0))
        created = line.QuantityOrdered + more if stays else Decimal(0)
        if created > 0 or shipped:
            kept.append(line.model_copy(update={"QuantityOrdered": created}))
    return [*kept, *now.values()]


class _Plan:
    """The plan while it is made."""

    def __init__(self, before: SalesOrder, after: SalesOrder, sage: OnSage, *, known: bool) -> None:
        self.before = before
        self.after = after
        self.sage = sage
        self.known = known
        self.invoiced = bool(sage.invoices)
        self.columns: dict[str, str] = {}
        self.lines: list[LineChange] = []
        self.said: list[str] = []
        self.problems: list[Problem] = []
        self.remarks: list[str] = []

    # ---- header ---------------------------------------------------------------------------------------------------

    def header(self) -> None:
        """Columns that the buyer changed: address, way of shipping, references, freight, deposit."""
        was, now = _columns(self.before), _columns(self.after)
        for name in dict.fromkeys([*was, *now]):
            old, new = was.get(name, ""), now.get(name, "")
            there = self._there(name)
            if there == new or (old == new and self.known):
                continue
            if name in MONEY_COLUMNS and self.invoiced:
                if name == "DepositAmt":
                    self.remarks.append(
                        f"Clarity's payments changed the deposit from {old or 0} to {new or 0} after the first "
                        "invoice: Sage's stays, and the nightly reconciliation tells what is to be booked"
                    )
                continue
            words = f"{name}: {_shown(name, old)} → {_shown(name, new)}"
            if name in ACCOUNT_COLUMNS:
                self._refuse(name, f"the order would move to {name} {new or '(none)'}, and stands on {there}", words)
            elif name in ("FreightAmt",) and self.invoiced:
                self._refuse(
                    name, f"freight {old or 0} was billed with the first invoice; the buyer now pays {new or 0}", words
                )
            elif there != old or not self.known:
                self._refuse(
                    name,
                    f"Clarity has {new or '(none)'}, the order was sent with {old or '(none)'}, and in Sage stands "
                    f"{there or '(none)'}",
                    words,
                )
            else:
                self.columns[name] = new
                self.said.append(words)
        moved = any(name.startswith("ShipTo") for name in self.columns)
        if moved and self._there("ShipToCode") != self.after.ShipToCode:
            # The address that the account got with this order is not where it goes any more.
            self.columns["ShipToCode"] = self.after.ShipToCode

    def _there(self, name: str) -> str:
        value = self.sage.columns.get(name, "")
        if name.endswith("Amt"):
            return _number(Decimal(value or 0))
        return value

    # ---- items ----------------------------------------------------------------------------------------------------

    def items(self) -> None:
        """Lines of Clarity's items, by `UDF_WEB_LINE_ID`."""
        was, now = _items(self.before), _items(self.after)
        for item in dict.fromkeys([*was, *now]):
            old, new = was.get(item), now.get(item)
            there = [line for line in self.sage.order.Lines if item == line.UDF_WEB_LINE_ID and not line.is_component]
            if old is None and new is not None:
                self._added(new, there)
            elif old is not None and new is None:
                self._removed(old, there)
            elif old is not None and new is not None:
                self._changed(old, new, there)

    def _base(self, line: SalesOrderLine, there: CreatedLine) -> Decimal:
        """The quantity that stands in Sage when nobody changed it: posting reduces it to the rest, or leaves it."""
        if self.sage.standing.quantities_stay:
            return line.QuantityOrdered
        return line.QuantityOrdered - self.sage.shipped(there.LineKey, posted=True)

    def _added(self, new: SalesOrderLine, there: list[CreatedLine]) -> None:
        words = f"{_amount(new.QuantityOrdered)} of {new.ItemCode} added"
        if not there:
            self.lines.append(LineChange(new=new))
            self.said.append(words)
        elif sum((line.QuantityOrdered for line in there), Decimal(0)) != new.QuantityOrdered:
            self._refuse(new.ItemCode, f"{words}, and Sage has a line of it with another quantity", words)

    def _removed(self, old: SalesOrderLine, there: list[CreatedLine]) -> None:
        words = f"{_amount(old.QuantityOrdered)} of {old.ItemCode} taken off"
        shipped = sum((self.sage.shipped(key) for key in self._keys_of(old, there)), Decimal(0))
        if shipped:
            self._refuse(
                old.ItemCode, f"the buyer takes it off the order, and {_amount(shipped)} of it are shipped", words
            )
            return
        if not there:
            return
        if sum((line.QuantityOrdered for line in there), Decimal(0)) != old.QuantityOrdered:
            self._refuse(
                old.ItemCode,
                f"the buyer takes it off the order; it was sent with {_amount(old.QuantityOrdered)}, and Sage has "
                f"{', '.join(_amount(line.QuantityOrdered) for line in there)}",
                words,
            )
            return
        self.lines += [LineChange(LineKey=line.LineKey, Delete=True) for line in there]
        self.said.append(words)

    def _changed(self, old: SalesOrderLine, new: SalesOrderLine, there: list[CreatedLine]) -> None:
        if (old.ItemCode, old.UnitOfMeasure) != (new.ItemCode, new.UnitOfMeasure):
            self._replaced(old, new, there)
            return
        quantity, price = new.QuantityOrdered != old.QuantityOrdered, new.UnitPrice not in (None, old.UnitPrice)
        extra = _extra(old, new)
        if not (quantity or price or extra):
            return
        words = [
            f"quantity of {new.ItemCode}: {_amount(old.QuantityOrdered)} → {_amount(new.QuantityOrdered)}"
        ] * quantity
        words += [f"price of {new.ItemCode}: {_amount(old.UnitPrice)} → {_amount(new.UnitPrice)}"] * price
        words += [f"{name} of {new.ItemCode}" for name in extra]
        if len(there) != 1:
            have = ", ".join(_amount(line.QuantityOrdered) for line in there) or "no such line (any more)"
            self._refuse(new.ItemCode, f"Clarity: {'; '.join(words)}; Sage has {have}", "; ".join(words))
            return
        line = there[0]
        stored = {name: self._column(line, name, old.extra.get(name, "")) for name in extra}
        both = [name for name, value in extra.items() if stored[name] not in (old.extra.get(name, ""), value)]
        if both:
            said = "; ".join(words)
            self._refuse(new.ItemCode, f"Clarity: {said}; in Sage {', '.join(both)} was changed, too", said)
            return
        extra = {name: value for name, value in extra.items() if stored[name] != value}
        shipped = self.sage.shipped(line.LineKey)
        base = self._base(old, line)
        target = base + new.QuantityOrdered - old.QuantityOrdered
        wanted = new.UnitPrice if new.UnitPrice is not None else line.UnitPrice
        done = (not quantity or line.QuantityOrdered == target) and (not price or line.UnitPrice == wanted)
        if done and not extra:
            return
        said = "; ".join(words)
        if line.QuantityOrdered not in (base, target) or (price and line.UnitPrice not in (old.UnitPrice, wanted)):
            self._refuse(
                new.ItemCode,
                f"Clarity: {said}; in Sage stand {_amount(line.QuantityOrdered)} at {_amount(line.UnitPrice)}",
                said,
            )
        elif price and shipped:
            self._refuse(new.ItemCode, f"Clarity: {said}; {_amount(shipped)} of it were billed at the old price", said)
        elif quantity and new.QuantityOrdered < shipped:
            self._refuse(new.ItemCode, f"Clarity: {said}; {_amount(shipped)} of it are shipped already", said)
        elif quantity and target <= 0:
            self._refuse(
                new.ItemCode,
                f"Clarity: {said}; all that is left of it is shipped: close the line in Sage",
                said,
            )
        else:
            self.lines.append(
                LineChange(
                    LineKey=line.LineKey,
                    QuantityOrdered=target if quantity else None,
                    UnitPrice=wanted if price else None,
                    columns=extra,
                )
            )
            self.said += words

    def _column(self, line: CreatedLine, name: str, otherwise: str) -> str:
        """A further column of a line as Sage has it; `otherwise` where nobody read it."""
        columns = self.sage.line_columns.get(line.LineKey)
        return otherwise if columns is None else columns.get(name, "")

    def _replaced(self, old: SalesOrderLine, new: SalesOrderLine, there: list[CreatedLine]) -> None:
        """Another item (or unit) under the same id: one line off, one line on, unless that was done already."""
        mine = [line for line in there if _stands_for(line, old, new)]
        others = [line for line in there if line not in mine and not _is_of(line, old)]
        if mine or others:
            priced = new.UnitPrice is None or all(line.UnitPrice == new.UnitPrice for line in mine)
            if len(there) == len(mine) == 1 and mine[0].QuantityOrdered == new.QuantityOrdered and priced:
                return
            have = ", ".join(
                f"{_amount(line.QuantityOrdered)} of {line.ItemCode} at {_amount(line.UnitPrice)}" for line in there
            )
            words = f"{_amount(new.QuantityOrdered)} of {new.ItemCode} instead of {old.ItemCode}"
            self._refuse(new.ItemCode, f"Clarity: {words}; in Sage stand {have}", words)
            return
        problems = len(self.problems)
        self._removed(old, there)
        if len(self.problems) == problems:
            self.lines.append(LineChange(new=new))
            self.said.append(f"{_amount(new.QuantityOrdered)} of {new.ItemCode} instead")

    def _keys_of(self, line: SalesOrderLine, there: Sequence[CreatedLine]) -> Iterator[str]:
        """Its LineKeys, of lines that left the live order, too."""
        live = {one.LineKey for one in there}
        yield from live
        for invoice in self.sage.invoices:
            for billed in invoice.Lines:
                if billed.LineKey not in live and billed.ItemCode == line.ItemCode:
                    live.add(billed.LineKey)
                    yield billed.LineKey

    def against_sage(self) -> None:
        """Nobody knows what was sent: by ItemCode, what Clarity has against what stands in Sage or was shipped there.

        Lines that people typed carry no `UDF_WEB_LINE_ID`, so that items are told apart by ItemCode alone.
        """
        wanted, there = _by_code(self.after.Lines), _by_code(self.sage.order.Lines)
        gone = self._gone()
        for code in dict.fromkeys([*wanted, *there, *gone]):
            clarity, live = wanted.get(code, []), there.get(code, [])
            if self.invoiced and not any(one.origin is LineOrigin.ITEM for one in clarity) and clarity:
                # Charges leave the order with its first invoice.
                continue
            asked = sum((one.QuantityOrdered for one in clarity), Decimal(0))
            stands = gone.get(code, Decimal(0)) + sum((one.QuantityOrdered for one in live), Decimal(0))
            if not self.sage.standing.quantities_stay:
                stands += sum((self.sage.shipped(one.LineKey, posted=True) for one in live), Decimal(0))
            words = f"{code}: Clarity has {_amount(asked)}, Sage {_amount(stands)}"
            if asked != stands:
                self._refuse(code, words, words)
                continue
            priced = all(one.UnitPrice is not None for one in clarity)
            prices = sorted({one.UnitPrice or Decimal(0) for one in clarity})
            stored = sorted({one.UnitPrice for one in live})
            if priced and live and prices != stored:
                words = (
                    f"{code}: Clarity's price is {', '.join(map(_amount, prices))}, Sage's "
                    f"{', '.join(map(_amount, stored))}"
                )
                self._refuse(code, words, words)

    def _gone(self) -> dict[str, Decimal]:
        """ItemCode → what was shipped of lines that are not live any more."""
        live = {line.LineKey for line in self.sage.order.Lines}
        found: dict[str, Decimal] = {}
        for invoice in self.sage.invoices:
            for line in invoice.shipped_lines:
                if line.LineKey not in live and not line.component:
                    found[line.ItemCode] = found.get(line.ItemCode, Decimal(0)) + line.QuantityShipped
        return found

    # ---- what is no item ------------------------------------------------------------------------------------------

    def charges(self) -> None:
        """Discounts, fees, freight and tax as lines: by ItemCode, and by what they come to."""
        was, now = _charges(self.before), _charges(self.after)
        for code in dict.fromkeys([*was, *now]):
            self._charges_of(code, was.get(code, []), now.get(code, []))

    def _charges_of(self, code: str, old: Sequence[SalesOrderLine], new: Sequence[SalesOrderLine]) -> None:
        """The charges of one ItemCode. Every change is whole, so that either all the new ones stand in Sage or none."""
        same = Counter(map(_worth, old)) & Counter(map(_worth, new))
        gone = _less(old, same)
        come = _less(new, same)
        if not gone and not come:
            return
        there = [
            line
            for line in self.sage.order.Lines
            if line.ItemCode == code and not line.UDF_WEB_LINE_ID and not line.is_component
        ]
        there = _less(there, same)
        missing = _less(come, Counter(map(_worth, there)))
        there = _less(there, Counter(map(_worth, come)))
        drop = [line for line in there if _worth(line) in set(map(_worth, gone))]
        words = f"{code}: {_sum(gone)} → {_sum(come)}"
        if not missing and not drop:
            if gone and not come and there:
                # The buyer took it off, and people had made another amount of it.
                self._refuse(code, f"Clarity has {words}, and in Sage stands another amount", words)
            return
        if self.invoiced:
            self._refuse(code, f"charges bill on the first invoice, which exists; the buyer's order has {words}", words)
            return
        if Counter(map(_worth, drop)) != Counter(map(_worth, gone)):
            self._refuse(code, f"Clarity has {words}, and in Sage stands another amount, or none", words)
            return
        self.said.append(words)
        for line in missing:
            stood = next((one for one in drop if one.TaxClass == line.TaxClass), None)
            if stood is None:
                self.lines.append(LineChange(new=line))
            else:
                drop.remove(stood)
                self.lines.append(
                    LineChange(LineKey=stood.LineKey, QuantityOrdered=line.QuantityOrdered, UnitPrice=line.UnitPrice)
                )
        self.lines += [LineChange(LineKey=line.LineKey, Delete=True) for line in drop]

    def comments(self) -> None:
        """Comment lines by their words; those that people wrote in Sage stay."""
        was = [line.CommentText for line in self.before.Lines if line.origin is LineOrigin.COMMENT]
        for line in [line for line in self.after.Lines if line.origin is LineOrigin.COMMENT]:
            if line.CommentText in was:
                was.remove(line.CommentText)
            elif line.CommentText not in self.sage.comments.values():
                self.lines.append(LineChange(new=line))
                self.said.append("a comment added")
        for key, comment in self.sage.comments.items():
            if comment in was:
                was.remove(comment)
                self.lines.append(LineChange(LineKey=key, Delete=True))
                self.said.append("a comment taken off")

    def _refuse(self, what: str, message: str, words: str) -> None:
        self.said.append(words)
        self.problems.append(
            Problem(
                field=f"SO_SalesOrder.{self.sage.order.SalesOrderNo}.{what}", message=message, suggestion=SIDE_BY_SIDE
            )
        )


def _columns(order: SalesOrder) -> dict[str, str]:
    """Header columns as text, the pair's own among them; empty ones left out."""
    own = {name: value for name, value in order.model_dump().items() if name not in LEFT_ALONE}
    return {
        name: _number(value) if isinstance(value, Decimal) else str(value)
        for name, value in {**own, **order.extra}.items()
        if value not in ("", None) and not (isinstance(value, Decimal) and not value and not name.endswith("Amt"))
    }


def _items(order: SalesOrder) -> dict[str, SalesOrderLine]:
    return {
        line.UDF_WEB_LINE_ID: line for line in order.Lines if line.origin is LineOrigin.ITEM and line.UDF_WEB_LINE_ID
    }


def _by_code(lines: Sequence[AnyLine]) -> dict[str, list[AnyLine]]:
    """Lines by ItemCode, without comments and without components of kits."""
    found: dict[str, list[AnyLine]] = {}
    for line in lines:
        component = isinstance(line, CreatedLine) and line.is_component
        if line.ItemType is not SageItemType.COMMENT and not component:
            found.setdefault(line.ItemCode, []).append(line)
    return found


def _is_of(there: CreatedLine, line: SalesOrderLine) -> bool:
    """Whether it is that item in that unit; a line that named none got the item's own."""
    return there.ItemCode == line.ItemCode and line.UnitOfMeasure in ("", there.UnitOfMeasure)


def _stands_for(there: CreatedLine, old: SalesOrderLine, new: SalesOrderLine) -> bool:
    """Whether a line of Sage's is the new one already, and not the old one still."""
    return _is_of(there, new) and (bool(new.UnitOfMeasure) or not _is_of(there, old))


def _extra(old: SalesOrderLine, new: SalesOrderLine) -> dict[str, str]:
    """Further columns that the buyer changed, also those that were emptied."""
    names = dict.fromkeys([*old.extra, *new.extra])
    return {name: new.extra.get(name, "") for name in names if old.extra.get(name, "") != new.extra.get(name, "")}


def _charges(order: SalesOrder) -> Mapping[str, list[SalesOrderLine]]:
    found: dict[str, list[SalesOrderLine]] = {}
    for line in order.Lines:
        if line.origin not in (LineOrigin.ITEM, LineOrigin.COMMENT):
            found.setdefault(line.ItemCode, []).append(line)
    return found


def _worth(line: SalesOrderLine | CreatedLine) -> tuple[Decimal, Decimal, str]:
    return line.QuantityOrdered, line.UnitPrice or Decimal(0), line.TaxClass


def _less(lines: Sequence[AnyLine], taken: Counter[tuple[Decimal, Decimal, str]]) -> list[AnyLine]:
    """The lines without those that are taken, each once."""
    left, rest = Counter(taken), []
    for line in lines:
        if left[_worth(line)] > 0:
            left[_worth(line)] -= 1
        else:
            rest.append(line)
    return rest


def _sum(lines: Sequence[SalesOrderLine]) -> str:
    if not lines:
        return "none"
    return _amount(sum(((line.UnitPrice or Decimal(0)) * line.QuantityOrdered for line in lines), Decimal(0)))


def _amount(value: Decimal | None) -> str:
    return "Sage's own" if value is None else f"{value.normalize():f}"


def _number(value: Decimal) -> str:
    return f"{value:.2f}"


def _shown(name: str, value: str) -> str:
    """A value for the trail: names, addresses and e-mails stay out of it."""
    if not value:
        return "(none)"
    personal = name.startswith(("BillTo", "ShipTo")) and name not in ("ShipToState", "ShipToCountryCode", "ShipToCode")
    return "(as in Clarity)" if personal or name in ("EmailAddress", "ConfirmTo", "Comment") else value
