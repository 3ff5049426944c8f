"""What is changed on sales orders that Sage has: as the buyer changed or cancelled the order at Clarity.

In: messages of `contracts.messages`. Out: likewise. Runs on `sage-write-{pair}`; one instance per pair. Every attempt
reads Sage first and decides from what stands there, so that a lost answer, a killed worker or a second delivery change
nothing twice.
"""

import contextlib
from collections.abc import Iterable
from decimal import Decimal
from typing import Protocol

from temporalio import activity

from activities.sage_seats import CompanyWrites, SeatedEditor
from activities.sage_write import ON_HOLD
from connectors.errors import Refused
from connectors.sage100.gateway import SalesOrderEditor
from connectors.sage100.odbc import OrderReading
from contracts.messages import (
    CancelOutcome,
    CancelSalesOrder,
    ChangeSalesOrder,
    SalesOrderCancelled,
    SalesOrderChanged,
)
from mappings.checks import balanced, compare_totals, run_checks
from mappings.customer_match import CustomerRecord
from mappings.items import ItemFacts
from mappings.order_change import ChangePlan, LineChange, OnSage, follow, plan_change, wishes
from mappings.pair import CancelInSage, CheckName, Pair
from mappings.problems import Problem
from mappings.progress import allocate
from mappings.sales_order import (
    CreatedLine,
    CustomerKey,
    ExpectedTotals,
    LineOrigin,
    SageItemType,
    SalesOrder,
    SalesOrderLine,
)

CANCELLED_COMMENT = "Cancelled in the web shop: please delete"
"""On an order that only a person may delete; a comment line has 30 characters and more."""


class OrderReader(Protocol):
    """What ODBC tells of an order."""

    async def order_reading(self, sales_order_no: str) -> OrderReading:
        """Its invoices, its lines, where it stands."""
        ...

    async def items(self, codes: Iterable[str]) -> dict[str, ItemFacts]:
        """Items with their stock, by ItemCode."""
        ...

    async def customer(self, key: CustomerKey) -> CustomerRecord | None:
        """The account."""
        ...


class SageChangeActivities:
    """Changes of one pair's sales orders, under the same locks as the creates."""

    def __init__(self, pair: Pair, orders: SalesOrderEditor, reader: OrderReader, company: CompanyWrites) -> None:
        self._pair = pair
        self._orders = SeatedEditor(orders, company.seats)
        self._reader = reader
        self._alone = company.alone

    @activity.defn
    async def change_sales_order(self, request: ChangeSalesOrder) -> SalesOrderChanged:
        """Bring the sales order from the version that was sent to the one that the buyer wants now.

        Whatever Sage, the warehouse or people's own changes do not allow comes back as problems, and nothing is
        changed then: half a change would be neither version.
        """
        before = None if request.before is None else balanced(request.before, self._pair, request.decisions)
        after = balanced(request.after, self._pair, request.decisions)
        sage = await self._read(request.SalesOrderNo, request.lines)
        if sage is None or not sage.order.live:
            return SalesOrderChanged(too_late=True)
        plan = plan_change(before, after, sage)
        if plan.problems:
            return SalesOrderChanged(problems=plan.problems, said=plan.said)
        if plan.is_empty:
            lines = follow(request.lines, before, after, sage)
            said = wishes(before, after)
            return SalesOrderChanged(
                changed=bool(said), lines=lines, said=said, remarks=plan.remarks, standing=sage.standing
            )
        if problems := await self._does_not_add_up(request, after):
            return SalesOrderChanged(problems=problems, said=plan.said)
        async with self._alone:
            if problems := await self._not_available(request, before, after):
                return SalesOrderChanged(problems=problems, said=plan.said)
            try:
                await self._orders.edit_sales_order(request.SalesOrderNo, plan.columns, plan.lines)
            except Refused as error:
                return SalesOrderChanged(problems=[_refused(request.SalesOrderNo, error)], said=plan.said)
        stored = await self._read(request.SalesOrderNo, request.lines)
        if stored is None or not stored.order.live:
            return SalesOrderChanged(too_late=True)
        left = plan_change(before, after, stored)
        if not left.is_empty or left.problems:
            # A plan with problems is empty, too: Sage may have stored something else than it was given.
            problems = [_not_as_wanted(request.SalesOrderNo, left), *left.problems]
            return SalesOrderChanged(problems=problems, said=plan.said)
        if not self._pair.sage.preview and before is not None and not stored.invoices:
            # Nothing could be compared before.
            finding = compare_totals(request.expected, stored.order, request.decisions)
            if finding is not None:
                problems = [_changed_and_differs(request.SalesOrderNo, plan), *finding.problems]
                return SalesOrderChanged(problems=problems, said=plan.said)
        return SalesOrderChanged(
            lines=follow(request.lines, before, after, stored),
            said=plan.said,
            remarks=plan.remarks,
            changed=True,
            standing=stored.standing,
        )

    async def _read(self, number: str, lines: list[CreatedLine]) -> OnSage | None:
        """The gateway's order first, then its invoices: an invoice that begins in between stops the change."""
        entered = await self._orders.read_sales_order(number)
        if entered is None:
            return None
        reading = await self._reader.order_reading(number)
        invoices = [allocate(lines, invoice, reading.invoices) for invoice in reading.invoices]
        return OnSage(
            order=entered.order,
            columns=entered.columns,
            comments=entered.comments,
            line_columns=entered.line_columns,
            standing=reading.standing,
            invoices=invoices,
        )

    async def _does_not_add_up(self, request: ChangeSalesOrder, after: SalesOrder) -> list[Problem]:
        """Both sides to the penny, as before a create (rules 4)."""
        if not self._pair.sage.preview:
            return []
        finding = compare_totals(request.expected, await self._orders.preview(after), request.decisions)
        return [] if finding is None else finding.problems

    async def _not_available(
        self, request: ChangeSalesOrder, before: SalesOrder | None, after: SalesOrder
    ) -> list[Problem]:
        """Stock and credit of what is more than before; the rest has its stock and its place in the credit already."""
        more = _more(before, after)
        account = CustomerKey(ARDivisionNo=after.ARDivisionNo, CustomerNo=after.CustomerNo)
        wanted = (CheckName.STOCK, CheckName.CREDIT)
        checks = [check for check in request.checks or self._pair.checks if check.name in wanted]
        if not more.Lines or not checks:
            return []
        items = await self._reader.items(list(dict.fromkeys(line.ItemCode for line in more.Lines)))
        customer = await self._reader.customer(account)
        owed = _more_owed(request.expected_before, request.expected)
        findings = run_checks(more, owed, customer, items, self._pair, request.decisions, (), checks)
        return [problem for finding in findings for problem in finding.problems]

    @activity.defn
    async def cancel_sales_order(self, request: CancelSalesOrder) -> SalesOrderCancelled:
        """Cancel in Sage what is not shipped (rules 7): deleted with a reason code where the pair says that Sage keeps
        such history, else set on hold with a comment, for a person to delete."""
        number, rules = request.SalesOrderNo, self._pair.order.cancel
        stored = await self._orders.read_sales_order(number)
        # After the order itself: without order history only its invoices may be left of it.
        reading = await self._reader.order_reading(number)
        invoices = sorted(invoice.InvoiceNo for invoice in reading.invoices)
        if invoices or (stored is not None and not stored.order.live and not stored.order.is_deleted):
            return SalesOrderCancelled(outcome=CancelOutcome.INVOICED, invoices=invoices)
        if stored is None or stored.order.is_deleted:
            return SalesOrderCancelled(outcome=CancelOutcome.CANCELLED)
        try:
            if rules.in_sage is CancelInSage.DELETE:
                await self._orders.edit_sales_order(number, {"CancelReasonCode": rules.reason_code})
                try:
                    await self._orders.delete_sales_order(number)
                except Refused:
                    # The order lives on, and has no reason to be cancelled.
                    with contextlib.suppress(Refused):
                        await self._orders.edit_sales_order(
                            number, {"CancelReasonCode": stored.columns.get("CancelReasonCode", "")}
                        )
                    raise
                return SalesOrderCancelled(outcome=CancelOutcome.CANCELLED)
            note = [] if CANCELLED_COMMENT in stored.comments.values() else [LineChange(new=self._comment())]
            await self._orders.edit_sales_order(number, {"OrderStatus": ON_HOLD}, note)
        except Refused as error:
            # An invoice that was begun in between, or a rule of the site.
            return SalesOrderCancelled(outcome=CancelOutcome.REFUSED, problems=[_refused(number, error)])
        return SalesOrderCancelled(outcome=CancelOutcome.ON_HOLD)

    def _comment(self) -> SalesOrderLine:
        return SalesOrderLine(
            origin=LineOrigin.COMMENT,
            ItemCode=self._pair.order.comment_item,
            ItemType=SageItemType.COMMENT,
            CommentText=CANCELLED_COMMENT,
        )


def _refused(number: str, error: Refused) -> Problem:
    return Problem(
        field=error.field or f"SO_SalesOrder.{number}",
        message=f"Sage refused to change sales order {number}: {error.message}",
        suggestion="Change it in Sage by hand and release with retry; or release with approve: it stays as it is.",
    )


def _not_as_wanted(number: str, left: ChangePlan) -> Problem:
    return Problem(
        field=f"SO_SalesOrder.{number}",
        message=f"Sage answered that it was changed, and has not: {'; '.join(left.said)}"[:400],
        suggestion="Look at the order in Sage. Release with retry to change it once more, or with approve: it stays.",
    )


def _changed_and_differs(number: str, plan: ChangePlan) -> Problem:
    return Problem(
        field=f"SO_SalesOrder.{number}",
        message=f"It was changed ({'; '.join(plan.said)}), and its total is not Clarity's now; this company has no "
        "preview that could tell before"[:400],
        suggestion="Mend the amounts in Sage and release with retry; or with approve: it stays as it is now.",
    )


def _more(before: SalesOrder | None, after: SalesOrder) -> SalesOrder:
    """The same order with only what is more of each item than before."""
    had: dict[tuple[str, str], Decimal] = {}
    for line in before.Lines if before is not None else ():
        key = (line.UDF_WEB_LINE_ID, line.ItemCode)
        had[key] = had.get(key, Decimal(0)) + line.QuantityOrdered
    lines = []
    for line in after.Lines:
        quantity = line.QuantityOrdered - had.get((line.UDF_WEB_LINE_ID, line.ItemCode), Decimal(0))
        if line.origin is LineOrigin.ITEM and quantity > 0:
            lines.append(line.model_copy(update={"QuantityOrdered": quantity}))
    return after.model_copy(update={"Lines": lines})


def _more_owed(before: ExpectedTotals | None, after: ExpectedTotals) -> ExpectedTotals:
    """What the change adds to what the account owes: Sage counts the order itself in OpenOrderAmt already."""
    if before is None:
        return after
    grand = max(after.grand - before.grand, Decimal(0))
    return after.model_copy(update={"grand": grand, "paid": min(max(after.paid - before.paid, Decimal(0)), grand)})
