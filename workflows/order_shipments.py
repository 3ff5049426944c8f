"""From the sales order to the last invoice, and what Clarity is told of it: `OrderShipments`.

In: signals of the Sage poller and the order's own reads. Out: shipments, cancelled quantities and invoices at Clarity.
"""

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal

from temporalio import workflow

from activities.clarity import ClarityActivities
from activities.sage_read import SageReadActivities
from contracts import queues, retry
from contracts.messages import (
    PROGRESS_STATE,
    AlertKind,
    PostShipment,
    ReadShipments,
    RecordCancelled,
    RecordInvoices,
    ReleaseAction,
    ShipmentsRead,
    VoidShipment,
)
from contracts.search_attributes import OrderState
from mappings.problems import HoldReason, Problem
from mappings.progress import (
    CLOSED,
    adopt_lines,
    cancel_reason,
    unknown_lines,
    vanished,
)
from mappings.shipments import (
    CancelledItem,
    LineProgress,
    OrderProgress,
    SalesOrderStanding,
    ShipmentInvoice,
    ShipmentSeen,
)
from workflows import details
from workflows.order_changes import OrderChanges
from workflows.order_record import OrderEnds

ON_HOLD_IN_SAGE = "H"
"""SO_SalesOrderHeader.OrderStatus of an order on hold."""
INVOICES_WHEN_POSTED = "invoices-when-posted"
"""Patch: orders from before it told their invoices at the end alone."""
READS_UNTIL_AGREED = 5
"""Pairs of reads before a doubt waits for the next signal or the daily read."""


def amounts_of(invoices: Iterable[ShipmentInvoice]) -> tuple[tuple[str, Decimal], ...]:
    """What tells invoices that Clarity was told from others."""
    return tuple((invoice.InvoiceNo, invoice.Total) for invoice in invoices)


class OrderShipments(OrderChanges):
    """Follows a sales order until everything is shipped and posted (rules 1 to 3)."""

    invoices_told: tuple[tuple[str, Decimal], ...] = ()
    """The posted invoices that Clarity's order has: InvoiceNo and amount."""
    is_reading = False
    """A read of Sage is under way: whatever is told meanwhile may be newer than it, also what was known before."""

    async def follow_shipments(self, *, read_first: bool) -> None:
        """Wait for shipments and tell Clarity each package, until everything is shipped and posted.

        The wait has no deadline of its own and no timer: once a day the pair's watch asks the order to look at Sage.
        """
        if not self.is_asked_daily:
            self.keep(self.read_daily())
        self.read_due = read_first
        while True:
            seen = self.news
            if self.read_due:
                await self.read_daily_shipments()
            self.notice_hold_in_sage()
            await self.understand()
            await self.tell_clarity()
            await self.end_if_cancelled()
            if self.is_complete() and self.news == seen:
                return
            await self.record_new_invoices()
            if self.has_change and self.news == seen:
                await self.heed_change()
                continue
            self.show_waiting()
            await workflow.wait_condition(
                lambda seen=seen: (  # type: ignore[misc]
                    self.news > seen or self.read_due or self.cancel_requested or self.has_change
                )
            )
            self.examined = ""
            await self.stop_if_asked()

    def notice_hold_in_sage(self) -> None:
        """People put the order on hold in Sage, or release it there: support should know why nothing ships."""
        standing = self.standing
        if standing is None or self.on_hold_in_sage is (standing.live and standing.OrderStatus == ON_HOLD_IN_SAGE):
            return
        self.on_hold_in_sage = not self.on_hold_in_sage
        if self.on_hold_in_sage:
            self.note(f"Sales order {self.sales_order_no} was put on hold in Sage (OrderStatus H)")
            self.alert(AlertKind.HELD_IN_SAGE, f"sales order {self.sales_order_no} was put on hold in Sage")
        else:
            self.note(f"Sales order {self.sales_order_no} is not on hold in Sage any more")

    def is_complete(self) -> bool:
        """Complete by Sage's word (rules 3), or shipped and waited for the posting as long as the pair allows."""
        if self.progress() is OrderProgress.COMPLETE:
            return True
        if self.shipped_at is None:
            return False
        if workflow.now() - self.shipped_at < timedelta(days=self.pace.settle_days):
            return False
        self.note(f"Shipped {self.pace.settle_days:g} days ago and not posted in Sage: ended without the invoices")
        return True

    async def understand(self) -> None:
        """Learn of lines that people added; examine what is gone: quantities, the order, an unposted invoice.

        During a Sales Journal update rows are briefly in neither place. So what is gone is believed only when two
        reads agree, with no unposted invoice outstanding that may still explain it (rules 3).
        """
        if unknown_lines(self.lines, self.own_invoices(), self.standing):
            await self.read_shipments()
        wait = timedelta(seconds=self.pace.agree_time)
        for _ in range(READS_UNTIL_AGREED):
            doubt = self.doubt()
            if not doubt or doubt == self.examined:
                return
            first = await self.read_shipments()
            if not self.doubt():
                return
            await workflow.sleep(wait, summary=f"Gone from Sage: {doubt[:120]}; look again before believing it")
            second = await self.read_shipments()
            agreed = first.model_copy(update={"added_lines": []}) == second.model_copy(update={"added_lines": []})
            if agreed and not second.outstanding:
                await self.believe()
            elif agreed:
                # An invoice is still to be posted: whatever becomes of it, the poller tells.
                self.examined = self.doubt()
            wait *= 2
        self.examined = self.doubt()

    def doubt(self) -> str:
        """What is gone and not yet believed, in words; empty when nothing is."""
        gone = [
            f"{quantity.normalize():f} of {key}"
            for key, quantity in vanished(self.item_progress()).items()
            if quantity > self.believed.get(key, 0)
        ]
        gone += [f"invoice {number}" for number in self.missing_invoices()]
        standing = self.standing
        if standing is not None and not standing.live and standing.history_status != CLOSED and not self.gone_confirmed:
            gone.append(f"sales order {standing.SalesOrderNo}")
        return ", ".join(gone)

    def missing_invoices(self) -> list[str]:
        """Unposted invoices that Sage does not show any more, by the poller's word or by the order's own read."""
        missing = set(self.standing.missing_invoices) if self.standing is not None else set()
        unposted = [invoice.InvoiceNo for invoice in self.own_invoices() if not invoice.posted]
        if self.reading is not None and self.read_at == self.news:
            found = {invoice.InvoiceNo for invoice in self.reading.invoices}
            missing |= set(unposted) - found - set(self.reading.outstanding)
        return [number for number in unposted if number in missing]

    async def believe(self) -> None:
        """Two reads agree: invoices that are gone are void, quantities that are gone are cancelled."""
        for number in self.missing_invoices():
            await self.void(number)
        self.gone_confirmed = self.standing is not None and not self.standing.live
        self.believed = vanished(self.item_progress())
        for line in self.item_progress():
            if line.key in self.believed:
                self.note(f"{line.cancelled.normalize():f} of {line.ItemCode} will not come: {self.reason_of(line)}")

    def reason_of(self, line: LineProgress) -> str:
        """Why a quantity will not come."""
        reasons = self.reading.reasons if self.reading is not None else {}
        return cancel_reason(line, reasons, self.standing, self.own_invoices())

    async def void(self, invoice_no: str) -> None:
        """An invoice was deleted before it was posted: it shipped nothing; Clarity takes its packages back."""
        del self.invoices[invoice_no]
        self.note(f"Invoice {invoice_no} was deleted in Sage before it was posted: its shipment is void")
        if self.told.pop(invoice_no, None) is None:
            return
        reopen = self.shipped_told and self.progress() in (OrderProgress.OPEN, OrderProgress.PARTIALLY_SHIPPED)
        self.step(f"Clarity to void the shipment of invoice {invoice_no}")
        await self.insist(
            ClarityActivities.void_shipment,
            VoidShipment(
                pair=self.pair,
                order_id=self.order_id,
                SalesOrderNo=self.sales_order_no,
                InvoiceNo=invoice_no,
                reopen=reopen,
            ),
            queues.clarity(self.pair),
            f"Clarity: void the shipment of invoice {invoice_no}" + (", status Processing" if reopen else ""),
            limit=retry.several_calls(self.pace),
        )
        self.references.pop(invoice_no, None)
        if reopen:
            self.shipped_told, self.shipped_at = False, None

    async def end_if_cancelled(self) -> None:
        """Nothing shipped and nothing will: with a reason from Sage the order ends; an order that simply disappeared
        is held, because somebody may have deleted it by mistake."""
        if self.progress() is not OrderProgress.CANCELLED:
            return
        lines = self.item_progress()
        reasons = self.reading.reasons if self.reading is not None else {}
        gone = self.standing is not None and not self.standing.live
        explained = all(any(reasons.get(key) for key in line.LineKeys) for line in lines)
        if gone and not explained and not self.stop_asked:
            problem = Problem(
                field=f"SO_SalesOrder.{self.sales_order_no}",
                message="The sales order was deleted in Sage without a cancel reason, and nothing of it was shipped.",
                suggestion="On purpose: release with approve, and Clarity is told Cancelled. By mistake: enter it "
                "again in Sage under this number, then release with retry.",
            )
            if await self.hold(HoldReason.DELETED_IN_SAGE, [problem]) is ReleaseAction.RETRY:
                self.believed, self.gone_confirmed, self.read_due = {}, False, True
                return
        await self.tell_cancelled()
        raise OrderEnds("cancelled in Sage: " + "; ".join(dict.fromkeys(self.reason_of(line) for line in lines))[:300])

    async def read_daily(self) -> None:
        """Of orders that nobody asks (`OrderStart.is_asked_daily`): a timer of their own, once a day."""
        while True:
            await workflow.sleep(
                timedelta(seconds=self.pace.daily_read), summary="Daily: the order reads its own shipments in Sage"
            )
            self.read_due = True

    @workflow.signal(description="Look at Sage now; the pair's watch asks each waiting order once a day")
    def look_at_sage(self) -> None:
        """A lost signal costs a day, never a shipment: the order reads its own shipments."""
        self.read_due = True

    async def read_daily_shipments(self) -> None:
        """The daily look of the order's own; says so when the invoices are not posted for too long."""
        self.read_due = False
        if self.listed_state is not self.state:
            self.become(self.state)
        await self.read_shipments()
        if self.shipped_at is not None and self.progress() is not OrderProgress.COMPLETE:
            overdue = workflow.now() - self.shipped_at
            if overdue >= timedelta(days=self.pace.not_posted_alert_days):
                self.alert(AlertKind.NOT_POSTED, f"shipped {overdue.days} days ago and not posted in Sage")

    async def read_shipments(self) -> ShipmentsRead:
        """Read this order's invoices, lines and standing from Sage; they join what the signals brought."""
        self.step("Sage's shipments of this order (ODBC)")
        before, self.is_reading = self.news, True
        try:
            read = await self.insist(
                SageReadActivities.read_shipments,
                ReadShipments(
                    pair=self.pair,
                    SalesOrderNo=self.sales_order_no,
                    known_lines=[line.LineKey for line in self.lines],
                ),
                queues.sage_read(self.pair),
                f"Read the shipments of {self.sales_order_no} in Sage",
            )
        finally:
            self.is_reading = False
        self.reading, self.standing, self.read_at = read, read.standing, before
        self.gone_confirmed = self.gone_confirmed and not read.standing.live
        self.lines = adopt_lines(self.lines, read.added_lines)
        for line in [line for line in read.added_lines if line.counts]:
            self.note(f"Line {line.LineKey} ({line.ItemCode}) was added to the order in Sage")
        for invoice in read.invoices:
            self.take(invoice)
        if self.news != before:
            # What a signal told meanwhile may be newer than what was read, or older: Sage is asked once more.
            self.read_due = True
        return read

    def take(self, invoice: ShipmentInvoice) -> bool:
        """Keep the latest reading of an invoice; False when it brings nothing new. What is posted stays posted."""
        known = self.invoices.get(invoice.InvoiceNo)
        if known is not None and ((known.posted and not invoice.posted) or known == invoice):
            return False
        if known is not None and not all(line.LineKey for line in invoice.Lines):
            # Posted lines lose their order line where no history is kept; it was known before.
            keys = [(line.ItemCode, line.QuantityShipped) for line in known.Lines]
            if keys == [(line.ItemCode, line.QuantityShipped) for line in invoice.Lines]:
                invoice = invoice.model_copy(update={"Lines": known.Lines})
        self.invoices[invoice.InvoiceNo] = invoice
        return True

    async def tell_clarity(self) -> None:
        """What will not come; each package that Clarity does not know yet; with the very last one, the status."""
        shipped = self.progress() in (OrderProgress.SHIPPED, OrderProgress.COMPLETE)
        if shipped or self.cancelled:
            await self.tell_cancelled()
        news = [invoice for invoice in self.own_invoices() if self.is_news(invoice)]
        if shipped and not news and not self.shipped_told:
            # Sage's order moved on without a new package: the last one carries the status.
            news = self.own_invoices()[-1:]
        for invoice in news:
            is_last = shipped and invoice is news[-1]
            await self.post_shipment(
                PostShipment(
                    pair=self.pair,
                    order_id=self.order_id,
                    lines=self.lines,
                    invoice=invoice,
                    order_shipped=is_last,
                    by_hand=bool(self.adopts),
                    taken=[id_ for number, ids in self.by_hand.items() if number != invoice.InvoiceNo for id_ in ids],
                )
            )
            self.shipped_told = self.shipped_told or is_last
        if any(self.is_news(invoice) for invoice in self.own_invoices()):
            # A signal brought more meanwhile: the order is shipped once Clarity knows that, too.
            return
        progress = self.progress()
        state = PROGRESS_STATE[progress]
        if state is OrderState.SHIPPED and self.shipped_at is None:
            self.shipped_at = workflow.now()
        if state is self.state or progress is OrderProgress.CANCELLED:
            return
        if self.is_asked_daily and (self.state, state) == (OrderState.OPEN, OrderState.SHIPPED):
            # A plain order is posted soon, and complete: lists show `shipped` when a daily look finds it waiting.
            self.state = state
            self.show_waiting()
        else:
            self.become(state)

    def is_news(self, invoice: ShipmentInvoice) -> bool:
        """Whether Clarity does not know one of its packages, or knows it otherwise."""
        content = details.content_of(invoice)
        return bool(content) and self.told.get(invoice.InvoiceNo) != content

    async def post_shipment(self, request: PostShipment) -> None:
        """Tell Clarity the packages of one invoice."""
        number = request.invoice.InvoiceNo
        self.step(f"Clarity to take the shipment of invoice {number}")
        posted = await self.insist(
            ClarityActivities.post_shipment,
            request,
            queues.clarity(self.pair),
            details.shipment_summary(request),
            limit=retry.several_calls(self.pace),
        )
        self.told[number] = details.content_of(request.invoice)
        self.references[number] = posted.references
        if posted.by_hand:
            self.by_hand[number] = posted.by_hand
            self.note(f"Clarity had {len(posted.by_hand)} shipment(s) of invoice {number} already, entered by people")
        if posted.references:
            self.note(f"Clarity was told the shipment of invoice {number} ({len(posted.references)} package(s))")

    async def tell_cancelled(self) -> None:
        """The quantities that will not come, per item, before the order is shipped; accounting owes the refund."""
        paid = self.captured() > 0
        items = [
            CancelledItem(
                orderItemId=line.item_id,
                quantity=min(line.cancelled, self.believed[line.key]),
                reason=self.reason_of(line),
                refundRequested=paid,
            )
            for line in self.item_progress()
            if line.item_id and line.cancelled > 0 and line.key in self.believed
        ]
        quantities = [(item.orderItemId, item.quantity) for item in items]
        if quantities == [(item.orderItemId, item.quantity) for item in self.cancelled]:
            return
        summary = ", ".join(f"{item.quantity.normalize():f} of item {item.orderItemId}" for item in items)
        self.step("Clarity to take the cancelled quantities")
        await self.insist(
            ClarityActivities.record_cancelled_items,
            RecordCancelled(pair=self.pair, order_id=self.order_id, items=items),
            queues.clarity(self.pair),
            f"Clarity: will not come: {summary or 'nothing any more'}"[:190],
        )
        self.cancelled = items
        self.note(f"Clarity was told that this will not come: {summary or 'nothing any more'}")
        if paid and items:
            self.alert(AlertKind.REFUND_DUE, f"refund due, already paid: {summary}")

    async def record_new_invoices(self) -> None:
        """Of an order that goes on: each invoice when it is posted. Those of a plain order are told at its end."""
        posted = [invoice for invoice in self.own_invoices() if invoice.posted]
        if amounts_of(posted) != self.invoices_told and workflow.patched(INVOICES_WHEN_POSTED):
            await self.record_invoices()

    async def record_invoices(self) -> None:
        """The posted invoices on Clarity's order: all of them, with their amounts, unless it has just these."""
        self.step("Clarity to take the invoice references")
        posted = [invoice for invoice in self.own_invoices() if invoice.posted]
        if not posted or amounts_of(posted) == self.invoices_told:
            return
        await self.insist(
            ClarityActivities.record_invoices,
            RecordInvoices(pair=self.pair, order_id=self.order_id, invoices=posted),
            queues.clarity(self.pair),
            "Clarity: invoice " + ", ".join(invoice.InvoiceNo for invoice in posted)[:150],
        )
        self.invoices_told = amounts_of(posted)

    @workflow.signal(description="From the Sage poller: one shipment invoice and where the order stands")
    def shipment(self, seen: ShipmentSeen | None = None) -> None:
        """Repeats change nothing; may come before the order knows its own number."""
        if seen is None or self.sales_order_no not in ("", seen.invoice.SalesOrderNo):
            return
        news = self.take(seen.invoice)
        if news or self.is_reading or self.standing != seen.standing:
            self.standing = seen.standing
            self.news += 1
            self.look_at_change()

    @workflow.signal(description="From the Sage poller: where the sales order stands, without a shipment")
    def sales_order_changed(self, standing: SalesOrderStanding | None = None) -> None:
        """The order changed or left Sage's live orders; or an unposted invoice of it is gone."""
        if standing is None or self.sales_order_no not in ("", standing.SalesOrderNo):
            return
        if self.is_reading or self.standing != standing:
            self.standing = standing
            self.news += 1
            self.look_at_change()
