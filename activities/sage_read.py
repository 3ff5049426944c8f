"""What the workflows read from Sage, through ODBC: facts about an order, its shipments, a customer.

In: messages of `contracts.messages`. Out: models of `mappings`. Runs on `sage-read-{pair}`; one instance per pair.
"""

from temporalio import activity

from connectors.sage100.match_index import MatchIndex
from connectors.sage100.odbc import SageReader
from contracts.messages import CustomerFound, FactsRequest, FindCustomer, ReadShipments, ShipmentsRead
from mappings.customer_match import CustomerRecord, match_customer
from mappings.facts import facts_from
from mappings.items import wanted_codes
from mappings.pair import Pair
from mappings.readiness import without_waiting
from mappings.sales_order import CustomerSearch, SageFacts, SalesOrderOnSage


class SageReadActivities:
    """Reads of one company."""

    def __init__(self, pair: Pair, reader: SageReader, index: MatchIndex) -> None:
        self._pair = pair
        self._reader = reader
        self._index = index

    @activity.defn
    async def read_sage_facts(self, request: FactsRequest) -> SageFacts:
        """One look at Sage: an existing order with this web order id, items, customer candidates, credit, stock."""
        draft = request.draft
        existing = await self._existing(draft.sales_order.CustomerPONo, draft.sales_order.UDF_WEB_ORDER_ID)
        codes = wanted_codes(draft, self._pair)
        aliases = await self._reader.aliases(codes)
        items = await self._reader.items(list(dict.fromkeys([*codes, *(alias.ItemCode for alias in aliases)])))
        candidates = await self._candidates(draft.customer, force=False)
        return facts_from(draft, existing, items, aliases, candidates, self._pair)

    @activity.defn
    async def find_customer(self, request: FindCustomer) -> CustomerFound:
        """Look for the buyer in Sage as it is now: the match index is refreshed first."""
        candidates = await self._candidates(request.search, force=True)
        return CustomerFound(match=match_customer(request.search, candidates, self._pair))

    @activity.defn
    async def read_shipments(self, request: ReadShipments) -> ShipmentsRead:
        """Every ready shipment invoice of one order, posted and not, and where the order stands."""
        invoices = await self._reader.invoices_of(request.SalesOrderNo)
        standing = await self._reader.standing(request.SalesOrderNo)
        return ShipmentsRead(invoices=[invoice for invoice in invoices if without_waiting(invoice)], standing=standing)

    async def _existing(self, customer_po_no: str, web_order_id: str) -> SalesOrderOnSage | None:
        """The order that carries this web order id, found by its purchase order number (rules 4).

        A purchase order number alone proves nothing: buyers reuse them.
        """
        for order in await self._reader.sales_orders_by_purchase_order(customer_po_no):
            if web_order_id == order.UDF_WEB_ORDER_ID:
                return order
        return None

    async def _candidates(self, search: CustomerSearch, *, force: bool) -> list[CustomerRecord]:
        await self._index.refresh(force=force)
        return await self._index.candidates(search)
