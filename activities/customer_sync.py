"""Keeping customers in step: what a change at Clarity means, and writing it in Sage and at Clarity.

In: messages of `contracts.customers`. Out: likewise. `plan_customer_sync` and `find_account_changes` run on
`sage-read-{pair}`, `write_customer` on `sage-write-{pair}`, the rest on `clarity-{pair}`; one instance per pair. Every
step can be repeated: it sets the same values, and a ship-to's code follows from its address.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Iterable
from time import monotonic
from typing import Final

from temporalio import activity

from connectors.clarity.client import ClarityClient
from connectors.errors import AlreadyExists, NotFound, Refused
from connectors.sage100.customer_accounts import SageAccounts
from connectors.sage100.gateway import CustomerWriter
from connectors.sage100.match_index import MatchIndex
from contracts.customers import (
    FIRST_CUSTOMERS,
    MOST_BUYERS,
    PAGE_ACCOUNTS,
    AccountChanges,
    AccountRow,
    CustomerSweepTally,
    FindAccountChanges,
    PlanCustomerSync,
    TellAttributes,
    TellWebCustomer,
    WriteCustomer,
)
from contracts.inventory import BucketDigest
from mappings.customer_match import web_customer_id
from mappings.customer_sync import CustomerPlan, LinkedAccount, named_accounts, plan_sync
from mappings.inventory import BUCKETS, DIGEST_BYTES, UNKNOWN, Digests, bucket_of
from mappings.pair import Pair
from mappings.problems import Problem
from mappings.sales_order import CustomerKey
from mappings.web_customer import read_customer

PAGE: Final = 1_000
"""Accounts of one statement."""
FRESH_SECONDS: Final = 600.0
"""The pages of a run come from one reading for so long; then Sage is read again."""
MOST_REFUSALS: Final = 40
"""Refusals of one page; more are not about single customers."""


class CustomerSyncReads:
    """Reads of one company."""

    def __init__(self, pair: Pair, accounts: SageAccounts, index: MatchIndex) -> None:
        self._pair = pair
        self._accounts = accounts
        self._index = index
        self._rows: dict[int, list[AccountRow]] = {}
        """All accounts by bucket, as they were read last."""
        self._told: dict[int, list[AccountRow]] = {}
        """Buckets as they were handed out; whether that arrived, the digests say."""
        self._read_at = 0.0
        self._shown_as = " ".join(f"{column}={name}" for column, name in pair.customers.sync.of_sage.items())
        """Part of every digest: another attribute is told of every account."""

    @activity.defn
    async def plan_customer_sync(self, request: PlanCustomerSync) -> CustomerPlan:
        """The accounts that the customer's record or Sage names, each read now; then rules 6."""
        customer, problems = read_customer(request.customer)
        await self._index.refresh(force=False)
        linked = self._index.linked_to(web_customer_id(customer.clarity_id, self._pair))
        wanted = [*named_accounts(customer, linked, self._pair), *([request.decided] if request.decided else [])]
        own = [*self._pair.customers.sync.of_sage, *self._own_columns]
        accounts: dict[CustomerKey, LinkedAccount] = {}
        for key in dict.fromkeys(wanted):
            record = await self._accounts.record(key, own)
            if record is not None:
                accounts[key] = LinkedAccount(record, await self._accounts.all_ship_tos(key))
        # The index is a moment old: an id that has been taken from an account since counts no more.
        linked = [
            key for key in linked if key in accounts and customer.clarity_id == accounts[key].record.UDF_WEB_CUSTOMER_ID
        ]
        plan = plan_sync(customer, linked, accounts, self._pair, request.decided)
        return plan.model_copy(update={"problems": [*problems, *plan.problems]}) if problems else plan

    @property
    def _own_columns(self) -> list[str]:
        return [name for name in self._pair.customers.sync.of_clarity if name.startswith("UDF_")]

    @activity.defn
    async def find_account_changes(self, request: FindAccountChanges) -> AccountChanges:
        """The next page of accounts whose values differ from what Clarity was told."""
        if request.fresh or monotonic() - self._read_at >= FRESH_SECONDS:
            await self._read_all()
        digests = Digests(request.digests)
        rows: list[AccountRow] = []
        buckets: list[BucketDigest] = []
        accounts = sum(map(len, self._rows.values()))
        for bucket in range(request.from_bucket, BUCKETS):
            content = self._rows.get(bucket, [])
            digest = digest_of(content, self._shown_as)
            if digests[bucket] == digest or (not content and digests[bucket] == UNKNOWN):
                continue
            if len(rows) >= PAGE_ACCOUNTS:
                return AccountChanges(rows=rows, buckets=buckets, next_bucket=bucket, accounts=accounts)
            told = self._told.get(bucket, [])
            # What this process handed out last counts only where the digest says that it arrived.
            known = (
                {tuple(map(str, row)) for row in told} if digest_of(told, self._shown_as) == digests[bucket] else set()
            )
            rows += [row for row in content if tuple(map(str, row)) not in known]
            buckets.append(BucketDigest(bucket=bucket, digest=digest.hex()))
            self._told[bucket] = content
        return AccountChanges(rows=rows, buckets=buckets, next_bucket=None, accounts=accounts)

    async def _read_all(self) -> None:
        """Every account of the pair's divisions, in key order."""
        found: dict[int, list[AccountRow]] = {}
        columns = list(self._pair.customers.sync.of_sage)
        for division in self._pair.customers.divisions:
            after = ""
            while page := await self._accounts.owned_columns(division, after, PAGE, columns):
                activity.heartbeat()
                for one in page:
                    row = AccountRow(f"{division}-{one.CustomerNo}", one.UDF_WEB_CUSTOMER_ID, list(one.values))
                    found.setdefault(bucket_of(row.customer), []).append(row)
                after = page[-1].CustomerNo
        self._rows, self._read_at = found, monotonic()


def digest_of(rows: Iterable[AccountRow], shown_as: str) -> bytes:
    """Of one bucket's rows, in key order, and of the attributes that show them; never `UNKNOWN`."""
    text = "\n".join((shown_as, *("\t".join((row.customer, row.web_id, *row.values)) for row in rows)))
    digest = hashlib.sha256(text.encode()).digest()[:DIGEST_BYTES]
    return digest if digest != UNKNOWN else bytes([1] * DIGEST_BYTES)


class CustomerSyncWrites:
    """Writes to one company; `seats` is the lock of its writers."""

    def __init__(self, pair: Pair, customers: CustomerWriter, seats: asyncio.Semaphore) -> None:
        self._pair = pair
        self._customers = customers
        self._seats = seats

    @activity.defn
    async def write_customer(self, request: WriteCustomer) -> list[Problem]:
        """Columns, then new ship-tos; problems when the account has become another web customer's meanwhile."""
        async with self._seats:
            stored = await self._customers.get_customer(request.customer)
            if stored is None:
                return [_meanwhile(f"account {request.customer} is gone from Sage")]
            if request.columns and stored.UDF_WEB_CUSTOMER_ID not in ("", request.clarity_id):
                return [_meanwhile(f"account {request.customer} carries another web customer's id now")]
            if request.columns:
                await self._customers.change_customer(request.customer, request.columns)
            for address in request.ship_tos:
                activity.heartbeat()
                with contextlib.suppress(AlreadyExists):
                    await self._customers.create_ship_to(request.customer, address)
        return []


def _meanwhile(why: str) -> Problem:
    return Problem(field="AR_Customer", message=f"Nothing was written: {why}.", suggestion="Look at it in Sage.")


class WebCustomerWrites:
    """Writes to one store."""

    def __init__(self, pair: Pair, clarity: ClarityClient) -> None:
        self._pair = pair
        self._clarity = clarity
        steps = pair.clarity.steps_per_second
        self._pause = 1 / steps if steps else 0.0
        """Between two accounts: one step makes many calls."""

    @activity.defn
    async def tell_web_customer(self, request: TellWebCustomer) -> bool:
        """False when the customer is gone."""
        try:
            await self._clarity.patch_customer(
                request.clarity_id,
                external_reference=request.reference or None,
                attributes=request.attributes or None,
            )
        except NotFound:
            return False
        return True

    @activity.defn
    async def tell_attributes(self, request: TellAttributes) -> CustomerSweepTally:
        """Every web customer of each account, those that differ; goes on from the heartbeat after a failed attempt."""
        details = activity.info().heartbeat_details
        done = int(details[0]) if details else 0
        tally = CustomerSweepTally.model_validate(details[1]) if len(details) > 1 else CustomerSweepTally()
        attributes = list(self._pair.customers.sync.of_sage.values())
        for place, row in enumerate(request.rows[done:], start=done + 1):
            tally = await self._tell(row, dict(zip(attributes, row.values, strict=True)), tally, request)
            activity.heartbeat(place, tally)
            await asyncio.sleep(self._pause)
        return tally.model_copy(update={"looked_at": len(request.rows)})

    async def _tell(
        self, row: AccountRow, wanted: dict[str, str], tally: CustomerSweepTally, request: TellAttributes
    ) -> CustomerSweepTally:
        bodies = await self._clarity.customers_of(row.customer, MOST_BUYERS)
        customers = [read_customer(body)[0] for body in bodies]
        missing = 0
        web_id = web_customer_id(row.web_id, self._pair)
        if web_id and web_id not in {one.clarity_id for one in customers}:
            try:
                own = read_customer(await self._clarity.get_customer(web_id))[0]
            except NotFound:
                missing = 1
            else:
                # Linked to another account there: a person has to say which one is right; nothing is shown of this.
                customers += [own] if not own.customer_reference else []
        told, refused, why = list[str](), 0, ""
        for customer in customers:
            change = {name: value for name, value in wanted.items() if customer.attributes.get(name, "") != value}
            reference = "" if customer.customer_reference else row.customer
            if not change and not reference:
                continue
            try:
                if not request.dry_run:
                    await self._clarity.patch_customer(
                        customer.clarity_id, external_reference=reference or None, attributes=change or None
                    )
            except Refused as error:
                if tally.refused + refused >= MOST_REFUSALS:
                    raise
                refused, why = refused + 1, error.message[:200]
            else:
                told.append(customer.clarity_id)
        return tally.model_copy(
            update={
                "customers": tally.customers + len(customers),
                "told": tally.told + len(told),
                "told_ids": [*tally.told_ids, *told][:FIRST_CUSTOMERS],
                "missing": tally.missing + missing,
                "refused": tally.refused + refused,
                "why_refused": tally.why_refused or why,
            }
        )
