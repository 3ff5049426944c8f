"""Customers in memory, by the keys that Sage has no index for (rules 8): e-mail, web customer id, phone, name.

In: a reader and the divisions to look at. Out: the accounts that may be a buyer's, each read from Sage again. Filled by
sweeps in key order; a refresh reads everything again.
"""

import asyncio
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from heapq import nlargest
from itertools import islice
from time import monotonic
from typing import Final

from connectors.sage100.odbc import SageReader
from mappings.customer_match import CustomerRecord, EmailSource, account_keys, comparable_email
from mappings.sales_order import CustomerKey, CustomerSearch
from mappings.similarity import name_of, nicknames, phone_tail, postal_key

PAGE = 250
"""Customers read at once: whole records while their keys are taken, every minute anew."""
FRESH_SECONDS = 60.0
APPEARED_SECONDS = 600.0
"""How long an account counts as new after a sweep that did not find it yet."""
CERTAIN_READS = 20
"""Accounts read because of an e-mail or a web customer id; more of them decide nothing."""
LIKELY_READS = 12
"""Accounts read because of a phone or a name."""
COMMON_WORD: Final = 20_000
"""Accounts that a word may lead to; one that is in more names (Inc, Company) tells little."""
PLACE_BITS: Final = 24
"""Of an entry's 64 bits; the other 40 are the key's hash. 16 million customers."""
BUCKET_BITS: Final = 8
"""Of the hash: entries are sorted in so many parts (256), so that no sort holds the process up or all of them twice."""


class KeyTable:
    """Key → places of accounts, eight bytes for each entry: 100,000 accounts with eight keys take 6.4 MB.

    Keys are hashed to 40 bits: a wrong hit in ten million lookups costs one reading, as every account is read again.
    """

    def __init__(self) -> None:
        self._buckets = [array("Q") for _ in range(1 << BUCKET_BITS)]

    def add(self, kind: str, key: str, place: int) -> None:
        """`kind` keeps the keys of one kind apart from the others'."""
        entry = self._hash(kind, key) << PLACE_BITS | place
        self._buckets[entry >> (64 - BUCKET_BITS)].append(entry)

    def sort(self) -> None:
        """Once, after the last `add` and before the first `places`."""
        for number, bucket in enumerate(self._buckets):
            self._buckets[number] = array("Q", sorted(bucket))

    def places(self, kind: str, key: str) -> Iterator[int]:
        """The accounts with this key, in key order."""
        first = self._hash(kind, key) << PLACE_BITS
        entries = self._buckets[first >> (64 - BUCKET_BITS)]
        at = bisect_left(entries, first)
        while at < len(entries) and entries[at] >> PLACE_BITS == first >> PLACE_BITS:
            yield entries[at] & ((1 << PLACE_BITS) - 1)
            at += 1

    @staticmethod
    def _hash(kind: str, key: str) -> int:
        return hash((kind, key)) & 0xFF_FFFF_FFFF


def _words_of(name: str) -> set[str]:
    """What a name is found by; the letters of J & K Auto Repair are everybody's."""
    return {token for token in name_of.__wrapped__(name).tokens if len(token) > 1}


class Sweep:
    """All customers as one sweep found them."""

    def __init__(self) -> None:
        self.began = monotonic()
        self.keys: list[str] = []
        """`02W000001`: division and number, by place."""
        self.table = KeyTable()

    def add(self, record: CustomerRecord) -> None:
        """Take the keys of one account."""
        place = len(self.keys)
        self.keys.append(record.ARDivisionNo + record.CustomerNo)
        for email in record.emails:
            self.table.add("email", email, place)
        for email, source in record.other_emails.items():
            self.table.add(source, email, place)
        if record.UDF_WEB_CUSTOMER_ID:
            self.table.add("web id", record.UDF_WEB_CUSTOMER_ID, place)
        if tail := phone_tail(record.TelephoneNo):
            self.table.add("phone", tail, place)
        postal = postal_key(record.ZipCode)
        for token in _words_of(record.CustomerName):
            self.table.add("name", f"{token} {postal}", place)
            self.table.add("word", token, place)

    def add_all(self, records: Sequence[CustomerRecord]) -> None:
        """Take the keys of a page of accounts."""
        for record in records:
            self.add(record)

    def key(self, place: int) -> CustomerKey:
        """The account at a place."""
        return CustomerKey(ARDivisionNo=self.keys[place][:2], CustomerNo=self.keys[place][2:])


class MatchIndex:
    """One company's customers. What an index says is read again from Sage itself before it counts."""

    def __init__(self, reader: SageReader, divisions: Sequence[str]) -> None:
        self._reader = reader
        self._divisions = tuple(divisions)
        self._sweep: Sweep | None = None
        self._appeared: dict[str, float] = {}
        """Account → when it was not there yet."""
        self._lock = asyncio.Lock()

    async def refresh(self, *, force: bool) -> None:
        """Sweep all customers unless that was done within the last minute; `force` sweeps in any case."""
        asked = monotonic()
        async with self._lock:
            last = self._sweep
            # Whoever waited for a sweep that began after it asked needs no other one.
            if last is not None and (last.began >= asked or (not force and monotonic() - last.began < FRESH_SECONDS)):
                return
            sweep = Sweep()
            for division in self._divisions:
                after = ""
                while page := await self._reader.customers_page(division, after, PAGE):
                    # Names take a while to take apart: whatever else this process does goes on.
                    await asyncio.to_thread(sweep.add_all, page)
                    after = page[-1].CustomerNo
            await asyncio.to_thread(sweep.table.sort)
            if last is not None:
                self._note_new(last, sweep)
            self._sweep = sweep

    def _note_new(self, last: Sweep, sweep: Sweep) -> None:
        recent = monotonic() - APPEARED_SECONDS
        self._appeared = {key: since for key, since in self._appeared.items() if since >= recent}
        if last.began >= recent:
            self._appeared.update(dict.fromkeys(set(sweep.keys).difference(last.keys), last.began))

    @property
    def age(self) -> float | None:
        """Seconds since the last sweep began; None before the first one has ended."""
        return None if self._sweep is None else monotonic() - self._sweep.began

    def linked_to(self, web_customer_id: str) -> list[CustomerKey]:
        """Accounts whose UDF_WEB_CUSTOMER_ID this is, as of the last sweep."""
        sweep = self._sweep
        if sweep is None or not web_customer_id:
            return []
        return [sweep.key(place) for place in islice(sweep.table.places("web id", web_customer_id), CERTAIN_READS)]

    def with_email(self, email: str, limit: int) -> list[CustomerKey]:
        """Accounts that have this e-mail, on the account itself first, then on a contact or a ship-to."""
        sweep, comparable = self._sweep, comparable_email(email)
        if sweep is None or not comparable:
            return []
        kinds = ("email", EmailSource.CONTACT, EmailSource.SHIP_TO)
        found = dict.fromkeys(place for kind in kinds for place in sweep.table.places(kind, comparable))
        return [sweep.key(place) for place in list(found)[:limit]]

    def with_name(self, name: str, limit: int) -> list[CustomerKey]:
        """Accounts whose names share words with this one, those that share most first; nicknames count."""
        sweep = self._sweep
        if sweep is None:
            return []
        shared: Counter[int] = Counter()
        for token in _words_of(name):
            words = {token, *nicknames(token)}
            shared.update({place for word in words for place in islice(sweep.table.places("word", word), COMMON_WORD)})
        best = nlargest(limit, shared.items(), key=lambda entry: (entry[1], -entry[0]))
        return [sweep.key(place) for place, _ in best]

    async def candidates(self, search: CustomerSearch, also: Sequence[CustomerKey] = ()) -> list[CustomerRecord]:
        """Accounts that may be the buyer's, read from Sage now; `also` are read in any case."""
        keys = dict.fromkeys([*also, *self._named(search), *self._found(search)])
        email, others = comparable_email(search.email), self._other_emails(search)
        recent = monotonic() - APPEARED_SECONDS
        records = []
        for key in keys:
            record = await self._reader.customer(key)
            if record is not None:
                new = self._appeared.get(key.ARDivisionNo + key.CustomerNo, recent - 1) >= recent
                found: dict[str, object] = {"other_emails": others.get(key, {}), "just_appeared": new}
                if email and email in record.emails:
                    # It may be matched by itself: then nobody looks whom Sage bills for it.
                    found["bill_to"] = await self._reader.bill_to(key)
                records.append(record.model_copy(update=found))
        return records

    def _named(self, search: CustomerSearch) -> Iterator[CustomerKey]:
        for reference in (search.account_no, search.customer_reference):
            yield from account_keys(reference, self._divisions)

    def _found(self, search: CustomerSearch) -> list[CustomerKey]:
        """By e-mail and web customer id first; then by phone and name, those with most keys in common first."""
        sweep = self._sweep
        if sweep is None:
            return []
        places = sweep.table.places
        certain: dict[int, None] = {}
        email = comparable_email(search.email)
        for kind, key in (
            ("web id", search.clarity_id),
            ("email", email),
            (EmailSource.CONTACT, email),
            (EmailSource.SHIP_TO, email),
        ):
            if key:
                certain |= dict.fromkeys(places(kind, key))
        likely: Counter[int] = Counter()
        postal = postal_key(search.bill_to_postal_code)
        for token in _words_of(search.bill_to_name):
            likely.update({place for word in nicknames(token) for place in places("name", f"{word} {postal}")})
        if tail := phone_tail(search.phone):
            likely.update(dict.fromkeys(places("phone", tail), 2))
        best = sorted(likely.items(), key=lambda entry: (-entry[1], entry[0]))[:LIKELY_READS]
        return [sweep.key(place) for place in [*list(certain)[:CERTAIN_READS], *(place for place, _ in best)]]

    def _other_emails(self, search: CustomerSearch) -> dict[CustomerKey, dict[str, EmailSource]]:
        """Accounts that have the buyer's e-mail on a ship-to or a contact; the contact says more."""
        email = comparable_email(search.email)
        if self._sweep is None or not email:
            return {}
        return {
            self._sweep.key(place): {email: source}
            for source in (EmailSource.SHIP_TO, EmailSource.CONTACT)
            for place in self._sweep.table.places(source, email)
        }
