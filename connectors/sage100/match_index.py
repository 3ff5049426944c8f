"""Customers in memory, by the keys that Sage has no index for: e-mail and web customer id (rules 8).

In: a reader and the divisions to look at. Out: the accounts that share a key with a buyer. Filled by sweeps in key
order; a refresh reads everything again.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from time import monotonic

from connectors.sage100.odbc import SageReader
from mappings.customer_match import CustomerRecord
from mappings.sales_order import CustomerKey, CustomerSearch

PAGE = 1_000
FRESH_SECONDS = 60.0


class MatchIndex:
    """One company's customers. A buyer's certain keys are always read from Sage itself."""

    def __init__(self, reader: SageReader, divisions: Sequence[str]) -> None:
        self._reader = reader
        self._divisions = tuple(divisions)
        self._by_email: dict[str, set[CustomerKey]] = {}
        self._by_web_id: dict[str, set[CustomerKey]] = {}
        self._suggested: dict[CustomerKey, CustomerRecord] = {}
        self._read_at = float("-inf")
        self._lock = asyncio.Lock()

    async def refresh(self, *, force: bool) -> None:
        """Sweep all customers unless that was done within the last minute; `force` sweeps in any case."""
        asked = monotonic()
        async with self._lock:
            # Whoever waited for a sweep that began after it asked needs no other one.
            if self._read_at >= asked or (not force and monotonic() - self._read_at < FRESH_SECONDS):
                return
            began = monotonic()
            by_email: dict[str, set[CustomerKey]] = defaultdict(set)
            by_web_id: dict[str, set[CustomerKey]] = defaultdict(set)
            suggested: dict[CustomerKey, CustomerRecord] = {}
            for division in self._divisions:
                after = ""
                while page := await self._reader.customers_page(division, after, PAGE):
                    for record in page:
                        for email in (*record.emails, *record.other_emails):
                            by_email[email].add(record.key)
                        if record.UDF_WEB_CUSTOMER_ID:
                            by_web_id[record.UDF_WEB_CUSTOMER_ID].add(record.key)
                        if record.other_emails:
                            suggested[record.key] = record
                    after = page[-1].CustomerNo
            self._by_email, self._by_web_id, self._suggested = by_email, by_web_id, suggested
            self._read_at = began

    async def candidates(self, search: CustomerSearch) -> list[CustomerRecord]:
        """Accounts that share a key with the buyer, read from Sage now."""
        keys: dict[CustomerKey, None] = {}
        for reference in (search.account_no, search.customer_reference):
            division, dash, customer_no = reference.partition("-")
            if dash and customer_no:
                keys[CustomerKey(ARDivisionNo=division, CustomerNo=customer_no)] = None
        for key in sorted(self._by_email.get(search.email, ()), key=str):
            keys[key] = None
        for key in sorted(self._by_web_id.get(search.clarity_id, ()), key=str):
            keys[key] = None
        records = []
        for key in keys:
            record = await self._reader.customer(key)
            if record is not None:
                known = self._suggested.get(key)
                emails = known.other_emails if known is not None else {}
                records.append(record.model_copy(update={"other_emails": emails}))
        return records
