"""What Clarity is told: the order's status and references, its shipments and invoices.

In: messages of `contracts.messages`. Out: likewise. Runs on `clarity-{pair}`; one instance per pair. Every call can be
repeated: a PATCH sets the same values, a shipment is known by its externalReference.
"""

from temporalio import activity

from connectors.clarity.client import ClarityClient
from connectors.errors import AlreadyExists, NotFound
from contracts.messages import Acknowledge, CancelAtClarity, PostShipment, RecordInvoices, ShipmentPosted
from mappings.packages import plan_shipments
from mappings.pair import Pair
from mappings.shipments import ClarityShipment, InvoiceReference


class ClarityActivities:
    """Calls to one store."""

    def __init__(self, pair: Pair, clarity: ClarityClient) -> None:
        self._pair = pair
        self._clarity = clarity

    @activity.defn
    async def acknowledge_to_clarity(self, request: Acknowledge) -> None:
        """Status Processing, external reference = SalesOrderNo, and the buyer's cross-reference."""
        await self._clarity.patch_order(
            request.order_id,
            status=self._pair.clarity.statuses.processing,
            external_reference=request.SalesOrderNo,
        )
        if request.clarity_customer_id:
            try:
                await self._clarity.patch_customer(
                    request.clarity_customer_id, external_reference=str(request.customer)
                )
            except NotFound:
                # A guest, or a customer deleted since: the cross-reference in Sage is enough.
                activity.logger.info("Clarity has no customer record to carry the cross-reference")

    @activity.defn
    async def post_shipment(self, request: PostShipment) -> ShipmentPosted:
        """Each package of one invoice as one Clarity shipment and, with the last, status Shipped."""
        references = []
        for shipment in plan_shipments(request.order_id, request.lines, request.invoice, self._pair):
            await self._post(shipment)
            references.append(shipment.externalReference)
        if request.order_shipped:
            await self._clarity.patch_order(request.order_id, status=self._pair.clarity.statuses.shipped)
        return ShipmentPosted(references=references)

    async def _post(self, shipment: ClarityShipment) -> None:
        """201 new, 200 the same again; 409 means that Clarity has an older version: bring its tracking up to date."""
        try:
            await self._clarity.post_shipment(shipment)
        except AlreadyExists:
            known = await self._clarity.find_shipments(shipment.orderId, shipment.externalReference)
            if not known:
                raise
            await self._clarity.patch_shipment(known[0].id, shipment)

    @activity.defn
    async def record_invoices(self, request: RecordInvoices) -> None:
        """The posted invoices (number, date, amount) on Clarity's order."""
        await self._clarity.patch_order(
            request.order_id,
            invoice_references=[
                InvoiceReference(
                    invoiceNo=invoice.InvoiceNo,
                    invoiceDate=invoice.InvoiceDate.isoformat() if invoice.InvoiceDate else "",
                    amount=invoice.Total,
                )
                for invoice in request.invoices
            ],
        )

    @activity.defn
    async def cancel_at_clarity(self, request: CancelAtClarity) -> None:
        """Status Cancelled: the order ends before Sage knew it."""
        await self._clarity.patch_order(request.order_id, status=self._pair.clarity.statuses.cancelled)
