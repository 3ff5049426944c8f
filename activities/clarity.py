"""What Clarity is told: the order's status and references, its shipments, cancelled quantities and invoices.

In: messages of `contracts.messages`. Out: likewise. Runs on `clarity-{pair}`; one instance per pair. Every call can be
repeated: a PATCH sets the same values, and shipments are brought in line with what Clarity already knows.
"""

from temporalio import activity

from connectors.clarity.client import ClarityClient
from connectors.errors import AlreadyExists, NotFound
from contracts.messages import (
    Acknowledge,
    CancelAtClarity,
    CreditMemoStart,
    PostShipment,
    RecordCancelled,
    RecordInvoices,
    ShipmentPosted,
    VoidShipment,
)
from mappings.canonical import Shipment
from mappings.clarity_profile import ClarityOrderState
from mappings.customer_match import web_customer_id
from mappings.packages import Create, Update, entered_by_hand, plan_shipments, reference_prefix, steps_towards
from mappings.pair import Pair
from mappings.shipments import InvoiceReference, RefundDue
from mappings.statuses import clarity_state

WAY = (ClarityOrderState.PROCESSING, ClarityOrderState.SHIPPED, ClarityOrderState.COMPLETED)
"""How an order goes forward at Clarity."""


class ClarityActivities:
    """Calls to one store."""

    def __init__(self, pair: Pair, clarity: ClarityClient) -> None:
        self._pair = pair
        self._clarity = clarity

    @activity.defn
    async def acknowledge_to_clarity(self, request: Acknowledge) -> None:
        """Status Processing, external reference = SalesOrderNo, and the buyer's cross-reference.

        The cross-reference opens the account to every later order of that web customer: `clarity_customer_id` is empty
        where the account must not be remembered (`mappings.customer_match.may_be_remembered`), and a guest's id is
        nobody's record.
        """
        await self._advance(request.order_id, self._pair.clarity.statuses.processing, request.SalesOrderNo)
        if web_id := web_customer_id(request.clarity_customer_id, self._pair):
            try:
                await self._clarity.patch_customer(web_id, external_reference=str(request.customer))
            except NotFound:
                # The customer was deleted since: the cross-reference in Sage is enough.
                activity.logger.info("Clarity has no customer record to carry the cross-reference")

    async def _advance(self, order_id: str, status: str, external_reference: str | None = None) -> None:
        """Set a status, unless Clarity is further already (an order that is followed anew, a repeated call)."""
        try:
            await self._clarity.patch_order(order_id, status=status, external_reference=external_reference)
        except AlreadyExists:
            statuses = self._pair.clarity.statuses
            stands = clarity_state(str((await self._clarity.get_order(order_id)).get("status")), statuses)
            wanted = clarity_state(status, statuses)
            if stands not in WAY or wanted not in WAY or WAY.index(stands) < WAY.index(wanted):
                raise
            if external_reference is not None:
                await self._clarity.patch_order(order_id, external_reference=external_reference)

    @activity.defn
    async def post_shipment(self, request: PostShipment) -> ShipmentPosted:
        """Each package of one invoice as one Clarity shipment and, with the last, status Shipped.

        Reads first what Clarity knows, so that nothing is told twice: not after a lost answer, not by an order that
        is followed anew.
        """
        wanted = plan_shipments(request.order_id, request.lines, request.invoice, self._pair)
        prefix = reference_prefix(request.invoice.SalesOrderNo, request.invoice.InvoiceNo)
        by_hand: dict[str, str] = {}
        if request.by_hand:
            by_hand, wanted = await self._entered_by_hand(request, wanted)
        references = await self._bring_in_line(request.order_id, prefix, wanted)
        activity.heartbeat()
        if request.order_shipped:
            await self._advance(request.order_id, self._pair.clarity.statuses.shipped)
        return ShipmentPosted(references=[*references, *by_hand.values()], by_hand=list(by_hand))

    async def _entered_by_hand(
        self, request: PostShipment, wanted: list[Shipment]
    ) -> tuple[dict[str, str], list[Shipment]]:
        """Clarity's shipments that people entered for this invoice (id → reference), and what is left to tell."""
        prefix = f"{request.invoice.SalesOrderNo}-"
        known = [
            shipment
            for shipment in await self._clarity.shipments_of(request.order_id)
            if not shipment.void and shipment.id not in request.taken and not shipment.reference.startswith(prefix)
        ]
        found, left = entered_by_hand(wanted, known)
        return {shipment.id: shipment.reference or f"by hand: {shipment.id}" for shipment in found}, left

    async def _bring_in_line(self, order_id: str, prefix: str, wanted: list[Shipment]) -> list[str]:
        """Make Clarity's shipments with this prefix the wanted ones, a heartbeat each; returns their references."""
        activity.heartbeat()
        shipments = await self._clarity.shipments_of(order_id)
        known = [shipment for shipment in shipments if shipment.reference.startswith(prefix)]
        references = {shipment.id: shipment.reference for shipment in known if not shipment.void}
        for step in steps_towards(wanted, known):
            activity.heartbeat()
            if isinstance(step, Create):
                receipt = await self._clarity.post_shipment(step.shipment)
                references[receipt.id] = step.shipment.reference
            elif isinstance(step, Update):
                await self._clarity.patch_shipment(step.id, step.shipment)
            else:
                await self._clarity.void_shipment(step.id)
                del references[step.id]
        return list(references.values())

    @activity.defn
    async def void_shipment(self, request: VoidShipment) -> None:
        """An invoice was deleted before it was posted: its shipments are void; the order may be open again."""
        await self._bring_in_line(request.order_id, reference_prefix(request.SalesOrderNo, request.InvoiceNo), [])
        if request.reopen:
            await self._clarity.patch_order(request.order_id, status=self._pair.clarity.statuses.processing)

    @activity.defn
    async def record_cancelled_items(self, request: RecordCancelled) -> None:
        """The quantities that will not come, per item with reason; the whole list, so that repeats change nothing."""
        await self._clarity.patch_order(request.order_id, cancelled_items=request.items)

    @activity.defn
    async def record_invoices(self, request: RecordInvoices) -> None:
        """The posted invoices on Clarity's order: number, date, amount, and of it tax and shipping."""
        await self._clarity.patch_order(
            request.order_id,
            invoice_references=[
                InvoiceReference(
                    invoiceNo=invoice.InvoiceNo,
                    invoiceDate=invoice.InvoiceDate.isoformat() if invoice.InvoiceDate else "",
                    amount=invoice.Total,
                    tax=invoice.SalesTaxAmt,
                    shipping=invoice.FreightAmt,
                )
                for invoice in request.invoices
            ],
        )

    @activity.defn
    async def tell_refund_due(self, request: CreditMemoStart) -> None:
        """A credit memo on Clarity's order, beside those that it knows: read, add, read again.

        Two credit memos of one order may be told at the same moment; whoever's entry was overwritten adds it again.
        """
        memo = request.memo
        refund = RefundDue(
            creditMemoNo=memo.InvoiceNo,
            date=memo.InvoiceDate.isoformat() if memo.InvoiceDate else "",
            amount=memo.amount,
            rmaNo=memo.RMANo,
        )
        while True:
            order = await self._clarity.get_order(request.order_id)
            known = [RefundDue.model_validate(entry) for entry in order.get("refundsDue") or ()]
            if refund in known:
                return
            activity.heartbeat()
            kept = [entry for entry in known if entry.creditMemoNo != refund.creditMemoNo]
            await self._clarity.patch_order(request.order_id, refunds_due=[*kept, refund])

    @activity.defn
    async def cancel_at_clarity(self, request: CancelAtClarity) -> None:
        """Status Cancelled: the order ends without a shipment."""
        await self._clarity.patch_order(request.order_id, status=self._pair.clarity.statuses.cancelled)
