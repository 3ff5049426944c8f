"""The Sage poller: one activity per shift that reads Sage, signals orders, and heartbeats its cursor.

In: `PollShift`. Out: `PollCursor`. Per poll (rules 8): all unposted invoices; by key, each that left them; by the
InvoiceDate key, what was posted lately. Cost grows with unposted invoices, not with history.

What was already sent is remembered in memory only: after a restart signals repeat, and orders ignore repeats. One
unreadable row or one order that cannot be signalled is counted, logged, and never stops the poll.
"""

import asyncio
import hashlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from time import monotonic

from pydantic import ValidationError
from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.service import RPCError, RPCStatusCode

from connectors.sage100.odbc import SageReader
from contracts import ids
from contracts.failures import FailureType
from contracts.messages import PollCursor, PollShift
from mappings.pair import Pace, Pair
from mappings.readiness import ready
from mappings.shipments import ShipmentInvoice, ShipmentSeen

log = logging.getLogger(__name__)

UNPOSTED_KEPT = 350
"""Invoice numbers in the cursor (4 KB at most); the ones beyond are found by the InvoiceDate key."""

NEITHER_PLACE_LIMIT = timedelta(hours=24)
"""An invoice in neither place is looked for this long before it counts as deleted."""

SIGNALS_AT_ONCE = 50
"""Measured: more at once gains nothing (temporal.md, schedules and pollers)."""


@dataclass
class Memory:
    """What this process knows of a pair between polls; losing it repeats signals, never loses one."""

    sent: dict[tuple[str, str], str] = field(default_factory=dict)
    """(InvoiceNo, SalesOrderNo) → digest of the signal that was sent."""
    seen: dict[tuple[str, str], tuple[str, float, float]] = field(default_factory=dict)
    """(InvoiceNo, SalesOrderNo) → digest, first seen, unchanged since (monotonic seconds)."""
    missing_since: dict[str, float] = field(default_factory=dict)
    """InvoiceNo → when it was first found neither unposted nor posted."""
    settled: set[str] = field(default_factory=set)
    """Posted invoices whose orders have left Sage's live orders: nothing more will come of them."""


class SagePollActivities:
    """Polls one company. `clock` tells the company's date (its time zone), for the InvoiceDate key."""

    def __init__(self, pair: Pair, reader: SageReader, client: Client, today: Callable[[], date]) -> None:
        self._pair = pair
        self._reader = reader
        self._client = client
        self._today = today
        self._memory = Memory()

    @activity.defn
    async def poll(self, shift: PollShift) -> PollCursor:
        """Poll until the shift ends; on the way out of this worker, hand over to the next one by heartbeat."""
        details = activity.info().heartbeat_details
        cursor = PollCursor.model_validate(details[0]) if details else (shift.cursor or PollCursor())
        while True:
            activity.heartbeat(cursor)
            cursor = await self.poll_once(cursor, shift.pace)
            activity.heartbeat(cursor)
            if datetime.now(UTC) >= shift.until:
                return cursor
            await self._rest(shift.pace)

    async def _rest(self, pace: Pace) -> None:
        """Wait for the next poll; a stopping worker ends the wait, and the shift goes on elsewhere."""
        shutdown = asyncio.create_task(activity.wait_for_worker_shutdown())
        try:
            done, _ = await asyncio.wait({shutdown}, timeout=pace.poll_interval)
        finally:
            shutdown.cancel()
        if done:
            raise ApplicationError(
                "This worker is stopping; the shift goes on from its heartbeat on another one",
                type=FailureType.HANDOVER,
                category=ApplicationErrorCategory.BENIGN,
                next_retry_delay=timedelta(seconds=1),
            )

    async def poll_once(self, cursor: PollCursor, pace: Pace) -> PollCursor:
        """One poll: what is new in Sage becomes signals; returns the cursor after it."""
        counts: Counter[str] = Counter()
        heads = await self._reader.unposted_invoices()
        unposted = {head.InvoiceNo for head in heads}
        news: list[ShipmentInvoice] = []
        for number in unposted:
            read = await self._read(self._reader.unposted_invoice(number), number, counts)
            news += [invoice for invoice in read if self._is_ready(invoice, pace)]
        missing: list[str] = []
        for number in cursor.unposted:
            if number in unposted:
                continue
            posted = await self._read(self._reader.posted_invoice(number), number, counts)
            news += posted
            if not posted and self._still_hoped_for(number):
                missing.append(number)
        posted_lately = await self._reader.posted_since(self._posted_from(cursor))
        for number in posted_lately:
            if number not in self._memory.settled and number not in cursor.unposted:
                news += await self._read(self._reader.posted_invoice(number), number, counts)
        semaphore = asyncio.Semaphore(SIGNALS_AT_ONCE)
        ended = await asyncio.gather(*(self._tell(invoice, counts, semaphore) for invoice in news))
        self._remember(news, ended, unposted.union(posted_lately))
        return PollCursor(
            polled_on=self._today().isoformat(),
            unposted=[*sorted(unposted), *missing][:UNPOSTED_KEPT],
            polls=cursor.polls + 1,
            signals=cursor.signals + counts["signals"],
            not_ours=cursor.not_ours + counts["not_ours"],
            not_found=cursor.not_found + counts["not_found"],
            unreadable=cursor.unreadable + counts["unreadable"],
        )

    def _posted_from(self, cursor: PollCursor) -> date:
        """The invoice date from which history is read: some days back, further when the poller was down for longer.

        Without a cursor (first start, recreated Schedule) `cold_start_days` back: never "from now", never everything.
        """
        today = self._today()
        if not cursor.polled_on:
            return today - timedelta(days=self._pair.polling.cold_start_days)
        return min(
            date.fromisoformat(cursor.polled_on) - timedelta(days=1),
            today - timedelta(days=self._pair.polling.history_days),
        )

    def _still_hoped_for(self, invoice_no: str) -> bool:
        """Whether an invoice that is in neither place may come back: during a Sales Journal update rows are briefly
        in neither; one that was deleted stays away."""
        since = self._memory.missing_since.setdefault(invoice_no, monotonic())
        return monotonic() - since < NEITHER_PLACE_LIMIT.total_seconds()

    async def _read(
        self, reading: Awaitable[list[ShipmentInvoice]], invoice_no: str, counts: Counter[str]
    ) -> list[ShipmentInvoice]:
        """One invoice's reading; a row that cannot be understood is counted and logged, an outage ends the poll."""
        try:
            return await reading
        except (ValidationError, ValueError, ArithmeticError):
            counts["unreadable"] += 1
            log.exception("Invoice %s in Sage cannot be read; the poll goes on without it", invoice_no)
            return []

    def _is_ready(self, invoice: ShipmentInvoice, pace: Pace) -> bool:
        """Rules 2: settle and grace times run from when this process first saw the invoice, and saw it so."""
        key, digest, now = (invoice.InvoiceNo, invoice.SalesOrderNo), digest_of(invoice), monotonic()
        known, first_seen, unchanged_since = self._memory.seen.get(key, (digest, now, now))
        if known != digest:
            unchanged_since = now
        self._memory.seen[key] = (digest, first_seen, unchanged_since)
        return ready(invoice, timedelta(seconds=now - unchanged_since), timedelta(seconds=now - first_seen), pace)

    def _remember(self, news: Sequence[ShipmentInvoice], ended: Sequence[bool], current: Set[str]) -> None:
        """Posted invoices of which nothing more will come are not read again; what is long past is forgotten."""
        waiting = {invoice.InvoiceNo for invoice, is_ended in zip(news, ended, strict=True) if not is_ended}
        self._memory.settled |= {invoice.InvoiceNo for invoice in news if invoice.posted} - waiting
        self._memory.settled &= current
        for known in (self._memory.sent, self._memory.seen):
            for key in [key for key in known if key[0] not in current]:
                del known[key]

    async def _tell(self, invoice: ShipmentInvoice, counts: Counter[str], semaphore: asyncio.Semaphore) -> bool:
        """Signal the order whose invoice this is, unless it was told exactly this before.

        Returns whether nothing more will come of this invoice for this order.
        """
        async with semaphore:
            order_id = await self._reader.web_order_id(invoice.SalesOrderNo)
            if order_id is None or not ids.is_order_id(order_id):
                counts["not_ours"] += 1
                return invoice.posted
            seen = ShipmentSeen(invoice=invoice, standing=await self._reader.standing(invoice.SalesOrderNo))
            key, digest = (invoice.InvoiceNo, invoice.SalesOrderNo), digest_of(seen)
            ended = invoice.posted and not seen.standing.live
            if self._memory.sent.get(key) == digest:
                return ended
            handle = self._client.get_workflow_handle(ids.order_workflow_id(self._pair.name, order_id))
            try:
                await handle.signal("shipment", seen, rpc_timeout=timedelta(seconds=10))
                counts["signals"] += 1
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
                # The order is complete, or was never ours to follow: recorded, and not asked again by this process.
                counts["not_found"] += 1
                log.info("No running order takes invoice %s of %s", invoice.InvoiceNo, invoice.SalesOrderNo)
            self._memory.sent[key] = digest
            return ended


def digest_of(reading: ShipmentInvoice | ShipmentSeen) -> str:
    """Equal readings have equal digests."""
    return hashlib.sha256(reading.model_dump_json().encode()).hexdigest()
