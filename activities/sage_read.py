"""What the workflows read from Sage, through ODBC: facts about an order, its shipments, a customer.

In: messages of `contracts.messages`. Out: models of `mappings`. Runs on `sage-read-{pair}`; one instance per pair.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from temporalio import activity

from connectors.errors import ConnectorError
from connectors.sage100.item_catalogue import ItemCatalogue
from connectors.sage100.match_index import MatchIndex
from connectors.sage100.odbc import SageReader
from contracts.messages import CustomerFound, FactsRequest, FindCustomer, ReadShipments, ShipmentsRead
from mappings.accounts import house_account, needs_ship_tos
from mappings.checks import basket_minutes
from mappings.customer_match import CustomerRecord, match_customer
from mappings.facts import facts_from, unknown_codes
from mappings.item_candidates import ItemCandidate, nearest_items
from mappings.items import wanted_codes
from mappings.pair import Check, Pair
from mappings.readiness import without_waiting
from mappings.sales_order import CustomerKey, CustomerSearch, SageFacts


def recent_since(pair: Pair, checks: Sequence[Check] | None, customer: CustomerKey) -> datetime | None:
    """From when an order of the same account counts for `same_basket` (company time, naive as Sage's stamps).

    `checks` are the order's own. On the house account of guests strangers may well buy the same.
    """
    minutes = basket_minutes(pair.checks if checks is None else checks)
    if not minutes or str(customer) == pair.customers.house_account:
        return None
    return (datetime.now(UTC) - timedelta(minutes=minutes)).astimezone(pair.company.zone).replace(tzinfo=None)


class SageReadActivities:
    """Reads of one company."""

    def __init__(self, pair: Pair, reader: SageReader, index: MatchIndex, catalogue: ItemCatalogue) -> None:
        self._pair = pair
        self._reader = reader
        self._index = index
        self._catalogue = catalogue

    @activity.defn
    async def read_sage_facts(self, request: FactsRequest) -> SageFacts:
        """One look at Sage: an existing order with this web order id, items, customer candidates, credit, stock."""
        draft = request.draft
        # The purchase order number may have been changed at Clarity since: its reference names the sales order, too.
        found, invoiced = await self._reader.sales_orders_by_purchase_order(
            draft.sales_order.CustomerPONo, request.reference
        )
        # A purchase order number alone proves nothing: buyers reuse them (rules 4).
        wanted = draft.sales_order.UDF_WEB_ORDER_ID
        ours = [
            order for order in found if wanted == order.UDF_WEB_ORDER_ID and order.SalesOrderNo not in request.deleted
        ]
        existing = min(ours, key=lambda order: order.is_deleted, default=None)
        codes = wanted_codes(draft, self._pair, request.decisions)
        aliases = await self._reader.aliases(codes)
        items = await self._reader.items(list(dict.fromkeys([*codes, *(alias.ItemCode for alias in aliases)])))
        candidates = await self._candidates(draft.customer, force=False)
        for key in (request.decisions.customer, request.resolved, house_account(draft.customer, self._pair)):
            if key is not None and (record := await self._reader.customer(key)) is not None:
                candidates = [*(one for one in candidates if one.key != key), record]
        payment_type = draft.sales_order.PaymentType
        look = partial(
            facts_from,
            draft,
            existing,
            items,
            aliases,
            candidates,
            self._pair,
            invoiced=invoiced,
            decisions=request.decisions,
            resolved=request.resolved,
            own_attempt=request.own_attempt,
            adopts=bool(request.adopts),
            payment_method=await self._reader.payment_method(payment_type) if payment_type else "",
        )
        facts = look()
        customer = facts.match.customer
        account = next((one for one in candidates if one.key == customer), None)
        if customer is not None and account is not None and needs_ship_tos(account, self._pair):
            look = partial(look, ship_tos=await self._reader.ship_to_addresses(customer))
            facts = look()
        if unknown := unknown_codes(draft, facts, request.decisions):
            return look(nearest=await self._nearest(unknown))
        if customer is None or facts.existing is not None:
            return facts
        # Also when another check has found something: the pair's list decides which of them holds first.
        since = recent_since(self._pair, draft.checks, customer)
        return facts if since is None else look(recent=await self._reader.recent_baskets(customer, since))

    @activity.defn
    async def find_customer(self, request: FindCustomer) -> CustomerFound:
        """Look for the buyer in Sage as it is now: the match index is refreshed first.

        Accounts that the same resolution has just created are looked at by key.
        """
        await self._index.refresh(force=True)
        candidates = await self._index.candidates(request.search, also=request.just_created)
        return CustomerFound(match=match_customer(request.search, candidates, self._pair, request.just_created))

    @activity.defn
    async def read_shipments(self, request: ReadShipments) -> ShipmentsRead:
        """Every ready shipment invoice of one order, what is outstanding, and where the order stands."""
        reading = await self._reader.order_reading(request.SalesOrderNo)
        return ShipmentsRead(
            invoices=[invoice for invoice in reading.invoices if without_waiting(invoice)],
            standing=reading.standing,
            outstanding=sorted(invoice.InvoiceNo for invoice in reading.invoices if not invoice.posted),
            added_lines=[line for line in reading.lines if line.LineKey not in set(request.known_lines)],
            reasons=reading.reasons,
        )

    async def _nearest(self, unknown: dict[str, str]) -> dict[str, list[ItemCandidate]]:
        """Code → the items that it may mean, as Sage knows them now; empty when Sage does not tell in time."""
        catalogue = await self._catalogue.catalogue()
        if catalogue is None:
            return {}

        def search() -> dict[str, list[ItemCandidate]]:
            return {code: nearest_items(code, name, catalogue) for code, name in unknown.items()}

        found = await asyncio.to_thread(search)
        try:
            items = await self._reader.items({one.ItemCode for candidates in found.values() for one in candidates})
        except ConnectorError as error:
            activity.logger.warning("No suggestions for unknown items: %s", error)
            return {}
        active = {code for code, item in items.items() if not item.InactiveItem}
        return {code: [one for one in candidates if one.ItemCode in active] for code, candidates in found.items()}

    async def _candidates(self, search: CustomerSearch, *, force: bool) -> list[CustomerRecord]:
        await self._index.refresh(force=force)
        return await self._index.candidates(search)
