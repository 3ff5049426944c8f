"""Changing and cancelling a sales order: every attempt reads first, and what crosses it stops it."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.sage_change import CANCELLED_COMMENT, SageChangeActivities
from activities.sage_seats import CompanyWrites
from connectors.errors import Refused
from connectors.sage100.odbc import OrderReading
from contracts.messages import CancelOutcome, CancelSalesOrder, ChangeSalesOrder, SalesOrderCancelled, SalesOrderChanged
from mappings.customer_match import CustomerRecord
from mappings.items import ItemFacts, WarehouseStock
from mappings.order_change import EnteredOrder, LineChange
from mappings.pair import CancelInSage, CancelRules, Pair, load_pair
from mappings.sales_order import CustomerKey, ExpectedTotals, SalesOrder, SalesOrderOnSage
from mappings.shipments import SalesOrderStanding, ShipmentInvoice
from tests.unit.test_order_change import BEFORE, DESK, GIFT, NUMBER, apply, changed, comment, entered, item, sage

DEMO = load_pair(Path("mappings/pairs/demo.yaml"))
DELETED = SalesOrderOnSage(SalesOrderNo=NUMBER, live=False, OrderStatus="X")
COMPLETED = SalesOrderOnSage(SalesOrderNo=NUMBER, live=False, OrderStatus="C")
INVOICE = ShipmentInvoice(InvoiceNo="0100001", SalesOrderNo=NUMBER, posted=True, Lines=[])


@dataclass
class Office:
    """Sage: one order, its invoices, and what was asked."""

    there: EnteredOrder | None = field(default_factory=sage)
    invoices: list[ShipmentInvoice] = field(default_factory=list)
    crossing: str = ""
    """What Sage says to the next change, as something crossed it."""
    forgets: bool = False
    """It answers that it was done, and does nothing."""
    on_hand: int = 1000
    said: list[str] = field(default_factory=list)

    async def preview(self, order: SalesOrder) -> SalesOrderOnSage:
        worth = sum((line.QuantityOrdered * (line.UnitPrice or 0) for line in order.Lines), Decimal(0))
        return SalesOrderOnSage(NonTaxableAmt=worth)

    async def read_sales_order(self, number: str) -> EnteredOrder | None:
        return self.there

    async def edit_sales_order(
        self, number: str, columns: Mapping[str, str], lines: Iterable[LineChange] = ()
    ) -> EnteredOrder:
        self.said.append(f"edit {sorted(columns)} {len(list(lines))}")
        assert self.there is not None
        if self.crossing:
            raise Refused("Sage gateway", "PATCH /SO/SalesOrder/{no}", self.crossing, status=422, field="Lines")
        return self.there

    async def delete_sales_order(self, number: str) -> None:
        self.said.append("delete")
        self.there = None

    async def order_reading(self, sales_order_no: str) -> OrderReading:
        standing = SalesOrderStanding(SalesOrderNo=NUMBER, live=True)
        return OrderReading(standing=standing, invoices=self.invoices, lines=[], reasons={})

    async def items(self, codes: Iterable[str]) -> dict[str, ItemFacts]:
        stock = {"000": WarehouseStock(QuantityOnHand=Decimal(self.on_hand))}
        return {code: ItemFacts(ItemCode=code, warehouses=stock) for code in codes}

    async def customer(self, key: CustomerKey) -> CustomerRecord | None:
        return CustomerRecord(ARDivisionNo=key.ARDivisionNo, CustomerNo=key.CustomerNo, TermsCode="00")


class Working(Office):
    """One that really changes the order."""

    async def edit_sales_order(
        self, number: str, columns: Mapping[str, str], lines: Iterable[LineChange] = ()
    ) -> EnteredOrder:
        given = list(lines)
        stored = await super().edit_sales_order(number, columns, given)
        if not self.forgets:
            plan: Any = type("Plan", (), {"columns": dict(columns), "lines": given})
            whole = sage().model_copy(update=dict(stored))
            self.there = apply(plan, whole)
        assert self.there is not None
        return self.there


def activities(office: Office, pair: Pair = DEMO, company: CompanyWrites | None = None) -> SageChangeActivities:
    return SageChangeActivities(pair, office, office, company or CompanyWrites(1))


async def cancel(office: Office, pair: Pair = DEMO) -> SalesOrderCancelled:
    request = CancelSalesOrder(pair="demo", SalesOrderNo=NUMBER)
    result: SalesOrderCancelled = await ActivityEnvironment().run(activities(office, pair).cancel_sales_order, request)
    return result


async def change(
    office: Office, after: SalesOrder, grand: str, pair: Pair = DEMO, company: CompanyWrites | None = None
) -> SalesOrderChanged:
    request = ChangeSalesOrder(
        pair="demo",
        SalesOrderNo=NUMBER,
        before=BEFORE,
        after=after,
        expected=ExpectedTotals(currency="USD", tax=Decimal(0), freight=Decimal(0), grand=Decimal(grand)),
        lines=entered(BEFORE.Lines)[0],
    )
    work = activities(office, pair, company).change_sales_order
    result: SalesOrderChanged = await ActivityEnvironment().run(work, request)
    return result


async def test_what_is_not_shipped_is_deleted_with_its_reason() -> None:
    office = Office()
    assert (await cancel(office)).outcome is CancelOutcome.CANCELLED
    assert office.said == ["edit ['CancelReasonCode'] 0", "delete"]


@pytest.mark.parametrize(
    ("there", "invoices", "outcome"),
    [
        (None, [], CancelOutcome.CANCELLED),
        (EnteredOrder(order=DELETED), [], CancelOutcome.CANCELLED),
        (EnteredOrder(order=COMPLETED), [], CancelOutcome.INVOICED),
        (None, [INVOICE], CancelOutcome.INVOICED),
        (sage(), [INVOICE], CancelOutcome.INVOICED),
    ],
)
async def test_what_is_gone_or_invoiced_is_left_as_it_is(
    there: EnteredOrder | None, invoices: list[ShipmentInvoice], outcome: CancelOutcome
) -> None:
    office = Office(there=there, invoices=invoices)
    assert (await cancel(office)).outcome is outcome
    assert office.said == []


async def test_an_invoice_that_crosses_the_cancellation_stops_it() -> None:
    result = await cancel(Office(crossing="Invoice 0100001 is not posted yet."))
    assert result.outcome is CancelOutcome.REFUSED
    assert "Invoice 0100001" in result.problems[0].message


async def test_an_order_that_sage_does_not_delete_keeps_no_reason_of_a_cancellation() -> None:
    class Keeping(Office):
        async def delete_sales_order(self, number: str) -> None:
            raise Refused("Sage gateway", "DELETE /SO/SalesOrder/{no}", "It is printed.", status=422)

    office = Keeping()
    assert (await cancel(office)).outcome is CancelOutcome.REFUSED
    assert office.said == ["edit ['CancelReasonCode'] 0"] * 2


async def test_where_a_person_deletes_the_order_is_put_on_hold_with_one_comment() -> None:
    rules = DEMO.order.model_copy(update={"cancel": CancelRules(in_sage=CancelInSage.HOLD)})
    pair = DEMO.model_copy(update={"order": rules})
    office = Office()
    assert (await cancel(office, pair)).outcome is CancelOutcome.ON_HOLD
    commented = sage().model_copy(update={"comments": {"000009": CANCELLED_COMMENT}})
    again = Office(there=commented)
    assert (await cancel(again, pair)).outcome is CancelOutcome.ON_HOLD
    assert (office.said, again.said) == (["edit ['OrderStatus'] 1"], ["edit ['OrderStatus'] 0"])


TWO_LAMPS = changed(item("1", "LAMP", "2"), DESK, GIFT, comment("Ring twice"))
FIVE_LAMPS = changed(item("1", "LAMP", "5"), DESK, GIFT, comment("Ring twice"))


async def test_a_change_is_made_once_and_its_repetition_says_the_same() -> None:
    office = Working()
    first = await change(office, TWO_LAMPS, "225.00")
    again = await change(office, TWO_LAMPS, "225.00")
    assert first.changed
    assert (first.said, first.lines) == (again.said, again.lines)
    assert len(office.said) == 1


@pytest.mark.parametrize(
    ("office", "after", "grand", "words"),
    [
        (Working(), TWO_LAMPS, "225.01", "grand total: Clarity 225.01, Sage 225.00"),
        (Working(on_hand=1), FIVE_LAMPS, "255.00", "LAMP"),
        (Working(crossing="Invoice 0100001 is not posted yet."), TWO_LAMPS, "225.00", "Sage refused"),
        (Working(forgets=True), TWO_LAMPS, "225.00", "answered that it was changed, and has not"),
    ],
)
async def test_what_does_not_add_up_is_not_there_or_crosses_is_asked(
    office: Working, after: SalesOrder, grand: str, words: str
) -> None:
    result = await change(office, after, grand)
    assert not result.changed
    assert any(words in problem.message for problem in result.problems), result.problems


class Unseen(Working):
    """A company without a preview: what the order comes to is known when it is stored."""

    async def read_sales_order(self, number: str) -> EnteredOrder | None:
        assert self.there is not None
        order = self.there.order
        worth = sum((line.QuantityOrdered * line.UnitPrice for line in order.Lines), Decimal(0))
        return self.there.model_copy(update={"order": order.model_copy(update={"NonTaxableAmt": worth})})


@pytest.mark.parametrize(("grand", "words"), [("225.00", ""), ("225.01", "its total is not Clarity's now")])
async def test_without_a_preview_the_stored_order_is_compared(grand: str, words: str) -> None:
    pair = DEMO.model_copy(update={"sage": DEMO.sage.model_copy(update={"preview": False})})
    result = await change(Unseen(), TWO_LAMPS, grand, pair)
    assert result.changed is not bool(words)
    assert words in "".join(problem.message for problem in result.problems)


class Rounding(Working):
    """It stores another quantity than it was given."""

    async def edit_sales_order(
        self, number: str, columns: Mapping[str, str], lines: Iterable[LineChange] = ()
    ) -> EnteredOrder:
        return await super().edit_sales_order(
            number, columns, [line.model_copy(update={"QuantityOrdered": Decimal(12)}) for line in lines]
        )


async def test_what_sage_stored_otherwise_than_given_is_not_called_done() -> None:
    result = await change(Rounding(), TWO_LAMPS, "225.00")
    assert not result.changed
    assert "answered that it was changed, and has not" in result.problems[0].message
    assert "in Sage stand 12" in result.problems[1].message


async def test_a_change_that_waits_for_a_create_leaves_it_the_seat() -> None:
    """A create looks at stock, which nobody else may do meanwhile, and then needs the seat: no two wait for ever."""
    company, previewed = CompanyWrites(1), asyncio.Event()

    class Told(Working):
        async def preview(self, order: SalesOrder) -> SalesOrderOnSage:
            previewed.set()
            return await super().preview(order)

    async with asyncio.timeout(20):
        async with company.alone:
            waiting = asyncio.create_task(change(Told(), TWO_LAMPS, "225.00", company=company))
            await previewed.wait()
            async with company.seats:
                assert not waiting.done()
        assert (await waiting).changed


async def test_what_left_sage_is_too_late() -> None:
    for there in (None, EnteredOrder(order=COMPLETED)):
        assert (await change(Office(there=there), TWO_LAMPS, "225.00")).too_late
