"""What the one view of a customer asks Sage and Clarity: read-only, started by the API as standalone activities.

In: messages of `contracts.customers`. Out: likewise. `CustomerReadActivities` runs on `sage-read-{pair}`,
`WebCustomerReadActivities` on `clarity-{pair}`; one instance per pair. Nothing is kept, but the index of customers.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Final

from temporalio import activity

from connectors.clarity.client import ClarityClient
from connectors.errors import ConnectorError, NotFound
from connectors.sage100.customer_accounts import SageAccounts
from connectors.sage100.match_index import MatchIndex
from contracts.customers import (
    MOST_BUYERS,
    MOST_HITS,
    AccountHit,
    AccountRead,
    AccountsFound,
    FindAccounts,
    ReadAccount,
    ReadWebCustomers,
    WebCustomersRead,
)
from mappings.customer_match import account_keys
from mappings.pair import Pair
from mappings.sales_order import CustomerKey

log = logging.getLogger(__name__)

INDEX_SECONDS: Final = 300.0
"""Older, the index of e-mails and names is filled again; new orders of unknown buyers fill it more often."""


class CustomerReadActivities:
    """Reads of one company's customers."""

    def __init__(self, pair: Pair, accounts: SageAccounts, index: MatchIndex) -> None:
        self._pair = pair
        self._accounts = accounts
        self._index = index
        self._filling: asyncio.Task[None] | None = None

    @property
    def _own(self) -> list[str]:
        """Columns beside the usual ones that the pair file names."""
        consent, shown = self._pair.customers.consent.sage_column, self._pair.customers.sync.of_sage
        return [column for column in dict.fromkeys([consent, *shown]) if column]

    @activity.defn
    async def read_account(self, request: ReadAccount) -> AccountRead:
        """The account, with a page of past orders and invoices, by keys alone."""
        account = await self._accounts.account(
            request.customer,
            page=request.page,
            orders_before=request.orders_before,
            invoices_before=request.invoices_before,
            own=self._own,
        )
        return AccountRead(account=account)

    @activity.defn
    async def find_accounts(self, request: FindAccounts) -> AccountsFound:
        """By sales order from its header; by number in each of the pair's divisions; by e-mail or name from the index.

        Each hit is read from Sage again.
        """
        if request.sales_order:
            key = await self._accounts.account_of_order(request.sales_order)
            return AccountsFound(hits=await self._hits([key] if key else []), index_age=0.0)
        if request.customer_no:
            numbered = account_keys(request.customer_no, self._pair.customers.divisions)
            return AccountsFound(hits=await self._hits(numbered), index_age=0.0)
        self._keep_fresh()
        age = self._index.age
        if request.email:
            keys = self._index.with_email(request.email, MOST_HITS)
        else:
            keys = self._index.with_name(request.name, MOST_HITS)
        return AccountsFound(hits=await self._hits(keys), index_age=None if age is None else round(age, 1))

    def _keep_fresh(self) -> None:
        """Read all customers again beside the answer, now and then: a search never waits for that."""
        age = self._index.age
        if (age is None or age > INDEX_SECONDS) and (self._filling is None or self._filling.done()):
            self._filling = asyncio.create_task(self._fill())

    async def _fill(self) -> None:
        try:
            await self._index.refresh(force=False)
        except ConnectorError as error:
            # The next search tries again; an outage is told by whatever else needs Sage.
            log.info("The index of customers is not filled: %s", error)
        except Exception:
            log.exception("The index of customers cannot be filled")

    async def _hits(self, keys: Sequence[CustomerKey]) -> list[AccountHit]:
        hits = []
        for key in keys:
            record = await self._accounts.record(key)
            if record is not None:
                hits.append(
                    AccountHit(
                        customer=str(key),
                        CustomerName=record.CustomerName,
                        City=record.City,
                        State=record.State,
                        ZipCode=record.ZipCode,
                        CustomerStatus=record.CustomerStatus,
                        UDF_WEB_CUSTOMER_ID=record.UDF_WEB_CUSTOMER_ID,
                    )
                )
        return hits


class WebCustomerReadActivities:
    """Reads of one store's customers."""

    def __init__(self, pair: Pair, clarity: ClarityClient) -> None:
        self._pair = pair
        self._clarity = clarity

    @activity.defn
    async def read_web_customers(self, request: ReadWebCustomers) -> WebCustomersRead:
        """Those with the cross-reference, and those named; one that is not there is left out."""
        found = await self._clarity.customers_of(request.reference, MOST_BUYERS) if request.reference else []
        for id_ in request.ids:
            with contextlib.suppress(NotFound):
                found.append(await self._clarity.get_customer(id_))
        return WebCustomersRead(customers=found)
