"""Three versions of one order: as sent, as the buyer wants it now, as Sage has it."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.order_change import ChangePlan, LineChange, OnSage, follow, plan_change, wishes
from mappings.sales_order import (
    CreatedLine,
    LineOrigin,
    SageItemType,
    SalesOrder,
    SalesOrderLine,
    SalesOrderOnSage,
)
from mappings.shipments import InvoicedLine, SalesOrderStanding, ShipmentInvoice

NUMBER = "0001042"


def item(id_: str, code: str, quantity: str, price: str = "10.00", **more: Any) -> SalesOrderLine:
    return SalesOrderLine(
        origin=LineOrigin.ITEM,
        sku=code,
        ItemCode=code,
        ItemType=SageItemType.REGULAR,
        QuantityOrdered=Decimal(quantity),
        UnitPrice=Decimal(price),
        UnitOfMeasure="EACH",
        UDF_WEB_LINE_ID=id_,
        **more,
    )


def charge(code: str, amount: str, origin: LineOrigin = LineOrigin.FEE) -> SalesOrderLine:
    return SalesOrderLine(
        origin=origin,
        ItemCode=code,
        ItemType=SageItemType.CHARGE,
        QuantityOrdered=Decimal(1),
        UnitPrice=Decimal(amount),
        TaxClass="TX",
    )


def comment(words: str) -> SalesOrderLine:
    return SalesOrderLine(
        origin=LineOrigin.COMMENT, ItemCode="/C", ItemType=SageItemType.COMMENT, CommentText=words, UnitPrice=None
    )


LAMP, DESK, GIFT = item("1", "LAMP", "3"), item("2", "DESK", "1", "200.00"), charge("/GIFT", "5.00")
HEADER: dict[str, Any] = {
    "UDF_WEB_ORDER_ID": "c-1",
    "OrderDate": date(2026, 11, 22),
    "ARDivisionNo": "02",
    "CustomerNo": "W000001",
    "ShipToName": "Ann Bee",
    "ShipToAddress1": "1 Main St",
    "ShipToCity": "Austin",
    "ShipVia": "UPS GROUND",
    "TermsCode": "00",
    "DepositAmt": Decimal("235.00"),
    "PaymentType": "STRIP",
}
BEFORE = SalesOrder(**HEADER, Lines=[LAMP, DESK, GIFT, comment("Ring twice")])


def changed(*lines: SalesOrderLine, order: SalesOrder = BEFORE, **columns: Any) -> SalesOrder:
    update = {**columns, **({"Lines": list(lines)} if lines else {})}
    return order.model_copy(update=update)


def entered(lines: Sequence[SalesOrderLine]) -> tuple[list[CreatedLine], dict[str, str]]:
    """The lines as Sage enters them, and the words of its comments."""
    stored, comments = [], {}
    for number, line in enumerate(lines, start=1):
        key = f"{number:06d}"
        if line.origin is LineOrigin.COMMENT:
            comments[key] = line.CommentText
        stored.append(
            CreatedLine(
                LineKey=key,
                ItemCode=line.ItemCode,
                ItemType=line.ItemType,
                UnitOfMeasure=line.UnitOfMeasure,
                QuantityOrdered=line.QuantityOrdered,
                UnitPrice=line.UnitPrice or Decimal(0),
                TaxClass=line.TaxClass,
                UDF_WEB_LINE_ID=line.UDF_WEB_LINE_ID,
            )
        )
    return stored, comments


def columns_of(order: SalesOrder) -> dict[str, str]:
    dumped = order.model_dump(exclude={"Lines", "extra"})
    return {
        name: f"{value:.2f}" if isinstance(value, Decimal) else str(value)
        for name, value in {**dumped, **order.extra}.items()
        if value not in ("", None)
    }


def sage(
    order: SalesOrder = BEFORE,
    *,
    invoices: Sequence[tuple[str, str, str, bool]] = (),
    stays: bool = False,
    lines: dict[str, dict[str, Any]] | None = None,
    columns: dict[str, str] | None = None,
) -> OnSage:
    """Sage's order; `invoices` as (number, LineKey, quantity, posted); `lines` what people changed by LineKey."""
    stored, comments = entered(order.Lines)
    shipped: dict[str, Decimal] = {}
    bills = []
    for number, key, quantity, posted in invoices:
        code = next(line.ItemCode for line in stored if line.LineKey == key)
        line = InvoicedLine(LineKey=key, ItemCode=code, QuantityShipped=Decimal(quantity))
        bills.append(ShipmentInvoice(InvoiceNo=number, SalesOrderNo=NUMBER, posted=posted, Lines=[line]))
        if posted and not stays:
            shipped[key] = shipped.get(key, Decimal(0)) + Decimal(quantity)
    rest = [
        line.model_copy(update={"QuantityOrdered": line.QuantityOrdered - shipped.get(line.LineKey, Decimal(0))})
        for line in stored
    ]
    live = [
        line.model_copy(update=(lines or {}).get(line.LineKey, {}))
        for line in rest
        if line.QuantityOrdered > 0 or line.ItemType is SageItemType.COMMENT
    ]
    live = [line for line in live if line.LineKey not in {key for key, one in (lines or {}).items() if not one}]
    return OnSage(
        order=SalesOrderOnSage(SalesOrderNo=NUMBER, Lines=live),
        columns={**columns_of(order), **(columns or {})},
        comments=comments,
        standing=SalesOrderStanding(
            SalesOrderNo=NUMBER,
            live=True,
            live_lines={line.LineKey: line.QuantityOrdered for line in live if line.counts},
            quantities_stay=stays,
        ),
        invoices=bills,
    )


def apply(plan: ChangePlan, on_sage: OnSage) -> OnSage:
    """What Sage does with a plan: this test's own arithmetic."""
    lines = {line.LineKey: line for line in on_sage.order.Lines}
    comments = dict(on_sage.comments)
    free = count(101)
    for change in plan.lines:
        if change.new is not None:
            (stored,), words = entered([change.new])
            # A LineKey is never given twice: history keeps those of lines that are gone.
            key = f"{next(free):06d}"
            lines[key] = stored.model_copy(update={"LineKey": key})
            comments.update((key, text) for text in words.values())
        elif change.Delete:
            del lines[change.LineKey]
            comments.pop(change.LineKey, None)
        else:
            update = {"QuantityOrdered": change.QuantityOrdered, "UnitPrice": change.UnitPrice}
            given_ = {name: value for name, value in update.items() if value is not None}
            lines[change.LineKey] = lines[change.LineKey].model_copy(update=given_)
    return on_sage.model_copy(
        update={
            "order": on_sage.order.model_copy(update={"Lines": list(lines.values())}),
            "columns": {**on_sage.columns, **plan.columns},
            "comments": comments,
        }
    )


# ---- what is changed ------------------------------------------------------------------------------------------------

DONE = [
    ("a quantity cut", changed(item("1", "LAMP", "2"), DESK, GIFT, comment("Ring twice")), ["LAMP: 3 → 2"]),
    ("a quantity raised", changed(item("1", "LAMP", "5"), DESK, GIFT, comment("Ring twice")), ["LAMP: 3 → 5"]),
    (
        "a price",
        changed(item("1", "LAMP", "3", "9.50"), DESK, GIFT, comment("Ring twice")),
        ["price of LAMP: 10 → 9.5"],
    ),
    ("a line off", changed(LAMP, GIFT, comment("Ring twice")), ["1 of DESK taken off"]),
    (
        "a line on",
        changed(LAMP, DESK, item("3", "CHAIR", "2"), GIFT, comment("Ring twice")),
        ["2 of CHAIR added"],
    ),
    (
        "another item under the same id",
        changed(item("1", "LAMP-XL", "3"), DESK, GIFT, comment("Ring twice")),
        ["3 of LAMP taken off", "3 of LAMP-XL instead"],
    ),
    ("a fee", changed(LAMP, DESK, charge("/GIFT", "7.00"), comment("Ring twice")), ["/GIFT: 5 → 7"]),
    ("a fee off", changed(LAMP, DESK, comment("Ring twice")), ["/GIFT: 5 → none"]),
    (
        "a discount on",
        changed(LAMP, DESK, GIFT, charge("/WEBDISC", "-3.00", LineOrigin.DISCOUNT), comment("Ring twice")),
        ["/WEBDISC: none → -3"],
    ),
    ("a comment", changed(LAMP, DESK, GIFT, comment("Ring once")), ["a comment added", "a comment taken off"]),
    (
        "an address, without its words in the trail",
        changed(ShipToAddress1="2 Elm St", ShipToCity="Dallas"),
        ["ShipToAddress1: (as in Clarity) → (as in Clarity)", "ShipToCity: (as in Clarity) → (as in Clarity)"],
    ),
    ("a way of shipping", changed(ShipVia="UPS RED"), ["ShipVia: UPS GROUND → UPS RED"]),
    ("a refund before invoicing", changed(DepositAmt=Decimal("200.00")), ["DepositAmt: 235.00 → 200.00"]),
    ("a column emptied", changed(ShipVia=""), ["ShipVia: UPS GROUND → (none)"]),
]


@pytest.mark.parametrize(("after", "said"), [case[1:] for case in DONE], ids=[case[0] for case in DONE])
def test_what_the_buyer_changes_is_changed_once(after: SalesOrder, said: list[str]) -> None:
    before = sage()
    plan = plan_change(BEFORE, after, before)
    assert plan.problems == []
    assert not plan.is_empty
    for words in said:
        assert any(words in line for line in plan.said), plan.said
    assert sorted(plan.said) == sorted(wishes(BEFORE, after))
    stored = apply(plan, before)
    again = plan_change(BEFORE, after, stored)
    assert again.is_empty, again
    assert again.problems == []
    # And from here on the next version is held against this one.
    assert plan_change(after, after, stored).is_empty


def test_the_same_version_changes_nothing() -> None:
    assert plan_change(BEFORE, BEFORE, sage()) == ChangePlan()


def test_what_people_changed_in_sage_and_the_buyer_did_not_stays() -> None:
    people = sage(lines={"000001": {"QuantityOrdered": Decimal(2)}}, columns={"ShipVia": "DHL EXPRESS"})
    plan = plan_change(BEFORE, changed(ShipToCity="Dallas"), people)
    assert plan.columns == {"ShipToCity": "Dallas"}
    assert plan.lines == []


def test_what_is_half_shipped_is_changed_as_far_as_it_is_open() -> None:
    """Three ordered, one posted: Sage has two left; the buyer now wants four."""
    after = changed(item("1", "LAMP", "4"), DESK, GIFT, comment("Ring twice"))
    plan = plan_change(BEFORE, after, sage(invoices=[("0100001", "000001", "1", True)]))
    assert plan.lines == [LineChange(LineKey="000001", QuantityOrdered=Decimal(3))]
    plan = plan_change(BEFORE, after, sage(invoices=[("0100001", "000001", "1", True)], stays=True))
    assert plan.lines == [LineChange(LineKey="000001", QuantityOrdered=Decimal(4))]


def test_what_was_invoiced_in_another_unit_counts_in_the_orders_own() -> None:
    """Three pieces ordered; a pack of two was shipped, of which Sage says one."""
    there = sage(invoices=[("0100001", "000001", "1", True)], stays=True)
    pack = there.invoices[0].Lines[0].model_copy(update={"UnitOfMeasureConvFactor": Decimal(2)})
    there = there.model_copy(update={"invoices": [there.invoices[0].model_copy(update={"Lines": [pack]})]})
    after = changed(item("1", "LAMP", "1"), DESK, GIFT, comment("Ring twice"))
    plan = plan_change(BEFORE, after, there)
    assert plan.is_empty
    assert "2 of it are shipped already" in plan.problems[0].message


def test_the_deposit_after_the_first_invoice_is_for_the_accountants() -> None:
    after = changed(DepositAmt=Decimal("200.00"))
    plan = plan_change(BEFORE, after, sage(invoices=[("0100001", "000002", "1", True)]))
    assert plan.is_empty
    assert plan.problems == []
    assert "deposit from 235.00 to 200.00 after the first invoice" in plan.remarks[0]


def test_the_accounts_own_ship_to_code_goes_with_the_old_address() -> None:
    plan = plan_change(BEFORE, changed(ShipToCity="Dallas"), sage(columns={"ShipToCode": "W1"}))
    assert plan.columns == {"ShipToCity": "Dallas", "ShipToCode": ""}


# ---- what is asked --------------------------------------------------------------------------------------------------

SHIPPED = {"invoices": [("0100001", "000001", "2", True)]}
UNPOSTED = {"invoices": [("0100001", "000001", "1", False)]}
ASKED = [
    ("less than shipped", changed(item("1", "LAMP", "1"), DESK, GIFT), SHIPPED, "2 of it are shipped already"),
    ("as much as shipped", changed(item("1", "LAMP", "2"), DESK, GIFT), SHIPPED, "close the line in Sage"),
    ("a line off that is shipped", changed(DESK, GIFT), SHIPPED, "and 2 of it are shipped"),
    ("a price of what is billed", changed(item("1", "LAMP", "3", "9"), DESK, GIFT), SHIPPED, "billed at the old price"),
    ("a fee that is billed", changed(LAMP, DESK, charge("/GIFT", "7")), SHIPPED, "charges bill on the first invoice"),
    ("freight that is billed", changed(FreightAmt=Decimal(9)), SHIPPED, "freight 0.00 was billed"),
    ("anything while it is being shipped", changed(ShipToCity="Dallas"), UNPOSTED, "Invoice 0100001 of this order is"),
    (
        "a quantity that people changed, too",
        changed(item("1", "LAMP", "5"), DESK, GIFT),
        {"lines": {"000001": {"QuantityOrdered": Decimal(2)}}},
        "in Sage stand 2 at 10",
    ),
    (
        "a line that people took off",
        changed(item("1", "LAMP", "5"), DESK, GIFT),
        {"lines": {"000001": {}}},
        "no such line",
    ),
    (
        "an address that people changed, too",
        changed(ShipToCity="Dallas"),
        {"columns": {"ShipToCity": "Waco"}},
        "Clarity has Dallas, the order was sent with Austin, and in Sage stands Waco",
    ),
    ("another account", changed(CustomerNo="W000002"), {}, "the order would move to CustomerNo W000002"),
    ("other terms", changed(TermsCode="30"), {}, "the order would move to TermsCode 30"),
    (
        "a fee that people changed, too",
        changed(LAMP, DESK, charge("/GIFT", "7")),
        {"lines": {"000003": {"UnitPrice": Decimal(6)}}},
        "in Sage stands another amount",
    ),
]


@pytest.mark.parametrize(("after", "there", "words"), [case[1:] for case in ASKED], ids=[case[0] for case in ASKED])
def test_what_cannot_be_done_is_asked_and_nothing_is_changed(
    after: SalesOrder, there: dict[str, Any], words: str
) -> None:
    plan = plan_change(BEFORE, after, sage(**there))
    assert plan.is_empty
    assert any(words in problem.message for problem in plan.problems), plan.problems
    assert all(problem.suggestion for problem in plan.problems)


def test_without_the_version_that_was_sent_every_difference_is_asked() -> None:
    plan = plan_change(None, changed(ShipToCity="Dallas"), sage())
    assert plan.is_empty
    assert plan.problems
    assert plan_change(None, BEFORE, sage()) == ChangePlan()


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (changed(item("1", "LAMP", "2"), DESK, GIFT), "LAMP: Clarity has 2, Sage 3"),
        (changed(item("1", "LAMP", "3", "9.50"), DESK, GIFT), "LAMP: Clarity's price is 9.5, Sage's 10"),
        (changed(LAMP, GIFT), "DESK: Clarity has 0, Sage 1"),
        (changed(LAMP, DESK, GIFT, item("3", "CHAIR", "1")), "CHAIR: Clarity has 1, Sage 0"),
        (changed(LAMP, DESK, charge("/GIFT", "7.00")), "/GIFT: Clarity's price is 7, Sage's 5"),
    ],
)
def test_without_the_version_that_was_sent_no_line_that_differs_is_passed_over(after: SalesOrder, words: str) -> None:
    plan = plan_change(None, after, sage())
    assert plan.is_empty
    assert [problem.message for problem in plan.problems] == [words]


def test_without_the_version_that_was_sent_what_is_shipped_counts_and_people_type_no_ids() -> None:
    typed = {f"{number:06d}": {"UDF_WEB_LINE_ID": ""} for number in (1, 2)}
    for stays in (False, True):
        bills = [("0100001", "000001", "1", True), ("0100001", "000002", "1", True)]
        assert plan_change(None, BEFORE, sage(invoices=bills, stays=stays, lines=typed)) == ChangePlan()


# ---- the order's own lines ------------------------------------------------------------------------------------------


def followed(after: SalesOrder, there: OnSage) -> dict[str, Decimal]:
    lines = [line for line in entered(BEFORE.Lines)[0] if line.ItemType is not SageItemType.COMMENT]
    stored = apply(plan_change(BEFORE, after, there), there)
    return {f"{line.ItemCode} {line.LineKey}": line.QuantityOrdered for line in follow(lines, BEFORE, after, stored)}


def test_what_was_created_follows_the_buyer() -> None:
    assert followed(changed(item("1", "LAMP", "2"), DESK, GIFT), sage()) == {
        "LAMP 000001": Decimal(2),
        "DESK 000002": Decimal(1),
        "/GIFT 000003": Decimal(1),
    }
    shipped = sage(invoices=[("0100001", "000001", "1", True)])
    assert followed(changed(item("1", "LAMP", "5"), DESK, GIFT), shipped)["LAMP 000001"] == 5
    assert followed(changed(LAMP, GIFT), sage()) == {"LAMP 000001": Decimal(3), "/GIFT 000003": Decimal(1)}
    instead = followed(changed(item("1", "LAMP-XL", "4"), DESK, GIFT), sage())
    assert {key: value for key, value in instead.items() if "LAMP" in key} == {"LAMP-XL 000101": Decimal(4)}


# ---- whatever comes -------------------------------------------------------------------------------------------------

CODES = st.sampled_from(["LAMP", "DESK", "CHAIR"])
ITEMS = st.lists(
    st.tuples(st.sampled_from("1234"), CODES, st.integers(1, 5), st.integers(1, 3)),
    max_size=4,
    unique_by=lambda x: x[0],
)
FEES = st.lists(st.tuples(st.sampled_from(["/GIFT", "/WEBDISC"]), st.integers(1, 4)), max_size=3)
WORDS = st.lists(st.sampled_from(["a", "b", "c"]), max_size=2, unique=True)


@st.composite
def orders(draw: st.DrawFn) -> SalesOrder:
    lines = [item(id_, code, str(quantity), str(price)) for id_, code, quantity, price in draw(ITEMS)]
    lines += [charge(code, str(amount)) for code, amount in draw(FEES)]
    lines += [comment(words) for words in draw(WORDS)]
    return changed(
        *(lines or [LAMP]),
        ShipToCity=draw(st.sampled_from(["Austin", "Waco", ""])),
        DepositAmt=Decimal(draw(st.integers(0, 3))),
    )


@given(orders(), orders())
def test_any_version_becomes_any_other_and_repeats_change_nothing(before: SalesOrder, after: SalesOrder) -> None:
    there = sage(before)
    plan = plan_change(before, after, there)
    assert plan.problems == []
    stored = apply(plan, there)
    assert plan_change(before, after, stored).is_empty

    def shown(lines: Sequence[SalesOrderLine | CreatedLine]) -> list[tuple[str, str, Decimal, Decimal]]:
        return sorted(
            (line.UDF_WEB_LINE_ID, line.ItemCode, line.QuantityOrdered, line.UnitPrice or Decimal(0))
            for line in lines
            if line.ItemType is not SageItemType.COMMENT
        )

    assert shown(stored.order.Lines) == shown(after.Lines)
    assert sorted(stored.comments.values()) == sorted(line.CommentText for line in after.Lines if line.CommentText)
    assert stored.columns.get("ShipToCity", "") == after.ShipToCity
    created = {line.UDF_WEB_LINE_ID: line.QuantityOrdered for line in after.Lines if line.UDF_WEB_LINE_ID}
    lines = [line for line in entered(before.Lines)[0] if line.ItemType is not SageItemType.COMMENT]
    assert {
        line.UDF_WEB_LINE_ID: line.QuantityOrdered
        for line in follow(lines, before, after, stored)
        if line.UDF_WEB_LINE_ID
    } == created


# ---- what people did to the same line -------------------------------------------------------------------------------

RING = comment("Ring twice")


def own_lines() -> list[CreatedLine]:
    return [line for line in entered(BEFORE.Lines)[0] if line.ItemType is not SageItemType.COMMENT]


def test_the_same_item_in_another_unit_is_another_line() -> None:
    """Three pieces are not three cases: nothing was changed, and it was called done."""
    after = changed(LAMP.model_copy(update={"UnitOfMeasure": "CASE"}), DESK, GIFT, RING)
    plan = plan_change(BEFORE, after, sage())
    assert plan.lines[0] == LineChange(LineKey="000001", Delete=True)
    assert plan.lines[1].new is not None
    stored = apply(plan, sage())
    assert plan_change(BEFORE, after, stored) == ChangePlan()
    followed_ = [line for line in follow(own_lines(), BEFORE, after, stored) if line.UDF_WEB_LINE_ID == "1"]
    assert [(line.UnitOfMeasure, line.QuantityOrdered) for line in followed_] == [("CASE", Decimal(3))]


@pytest.mark.parametrize("mended", [{"QuantityOrdered": Decimal(1)}, {"UnitPrice": Decimal(70)}, {"ItemCode": "SOFA"}])
def test_an_item_that_people_replaced_otherwise_is_asked_and_never_added_twice(mended: dict[str, Any]) -> None:
    after = changed(item("1", "CHAIR", "2"), DESK, GIFT, RING)
    there = sage(lines={"000001": {"ItemCode": "CHAIR", "QuantityOrdered": Decimal(2), **mended}})
    plan = plan_change(BEFORE, after, there)
    assert plan.is_empty
    assert "2 of CHAIR instead of LAMP; in Sage stand" in plan.problems[0].message


def test_a_column_of_a_line_is_changed_once_and_what_people_put_there_is_asked() -> None:
    after = changed(LAMP.model_copy(update={"extra": {"UDF_ENGRAVING": "Ann"}}), DESK, GIFT, RING)
    plan = plan_change(BEFORE, after, sage())
    assert plan.lines == [LineChange(LineKey="000001", columns={"UDF_ENGRAVING": "Ann"})]
    stored = sage().model_copy(update={"line_columns": {"000001": {"UDF_ENGRAVING": "Ann"}}})
    assert plan_change(BEFORE, after, stored) == ChangePlan()
    stored = sage().model_copy(update={"line_columns": {"000001": {"UDF_ENGRAVING": "Bob"}}})
    assert "UDF_ENGRAVING was changed, too" in plan_change(BEFORE, after, stored).problems[0].message
    emptied = plan_change(
        after, BEFORE, stored.model_copy(update={"line_columns": {"000001": {"UDF_ENGRAVING": "Ann"}}})
    )
    assert emptied.lines == [LineChange(LineKey="000001", columns={"UDF_ENGRAVING": ""})]


def test_a_fee_off_of_which_people_made_another_amount_is_asked() -> None:
    plan = plan_change(BEFORE, changed(LAMP, DESK, RING), sage(lines={"000003": {"UnitPrice": Decimal(7)}}))
    assert "in Sage stands another amount" in plan.problems[0].message


def test_what_was_created_is_what_the_buyer_wants_after_a_version_was_left_aside() -> None:
    """Two instead of three were left aside; four were then put into Sage by hand: one would have "not come"."""
    aside = changed(item("1", "LAMP", "2"), DESK, GIFT, RING)
    after = changed(item("1", "LAMP", "4"), DESK, GIFT, RING)
    there = sage(lines={"000001": {"QuantityOrdered": Decimal(4)}})
    assert plan_change(aside, after, there).is_empty
    assert follow(own_lines(), aside, after, there)[0].QuantityOrdered == 4


def test_a_split_line_that_was_taken_off_is_gone_whole() -> None:
    first, *rest = own_lines()
    halves = [
        first.model_copy(update={"QuantityOrdered": Decimal(2)}),
        first.model_copy(update={"LineKey": "000009", "QuantityOrdered": Decimal(1)}),
    ]
    there = sage()
    there = there.model_copy(update={"order": there.order.model_copy(update={"Lines": rest})})
    after = changed(DESK, GIFT, RING)
    assert [line.LineKey for line in follow([*halves, *rest], BEFORE, after, there)] == ["000002", "000003"]
