"""The Sage poller: one activity per shift that reads Sage, signals orders, and heartbeats its cursor.

In: `PollShift`. Out: `PollCursor`. Per poll (rules 8): all unposted invoices, and of ours their lines and tracking; by
key, each of ours that left them; by the InvoiceDate key, what was posted today and on one of the last days in turn; and
a share of our open orders in rotation. Cost grows with unposted invoices and our open orders, not with history.

What was already sent is remembered in memory only: after a restart signals repeat, and orders ignore repeats. One
unreadable row or one order that cannot be signalled is counted, alerted, and never stops the poll.
"""

import asyncio
import hashlib
import logging
import math
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from time import monotonic
from typing import Final

from pydantic import BaseModel, ValidationError
from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.service import RPCError, RPCStatusCode

from activities.alerting import OwedAlerts
from activities.stock_wake import StockWake
from connectors.sage100.odbc import InvoiceHead, SageReader
from contracts import ids
from contracts import search_attributes as attributes
from contracts.failures import FailureType
from contracts.messages import Alert, AlertKind, PollCursor, PollShift
from mappings.pair import Pace, Pair
from mappings.readiness import ready
from mappings.shipments import SalesOrderStanding, ShipmentInvoice, ShipmentSeen

log = logging.getLogger(__name__)

UNPOSTED_KEPT = 150
"""Our unposted invoices in the cursor, 16 bytes each (4 KB at most); those beyond are in memory, and after a
restart found by date, by rotation, or by the orders' daily reads."""
UNRESOLVED_KEPT = 40
"""Invoices of no known order in the cursor, 27 bytes each; the oldest give way."""

UNRESOLVED_LIMIT = timedelta(hours=24)
"""An invoice that maps to no order is tried again so long before it counts as not ours."""
UNRESOLVED_RETRY_SECONDS = 60.0
NEITHER_PLACE_LIMIT = timedelta(hours=24)
"""An invoice in neither place is looked for this long: a Sales Journal update may be interrupted for hours."""
MISSING_POLLS = 2
"""Polls in which an invoice must be in neither place before its order is told."""

SIGNALS_AT_ONCE = 50
"""Measured: more at once gains nothing (temporal.md, schedules and pollers)."""
NEW_PER_POLL = 200
"""Posted invoices that are looked into for the first time in one poll; the rest of a long day waits for the next."""
OWNERS_KEPT = 50_000

OUTAGES = (RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED)

NOT_OURS: Final = ""


@dataclass
class Memory:
    """What this process knows of a pair between polls; losing it repeats signals, never loses one."""

    sent: dict[tuple[str, str], str] = field(default_factory=dict)
    """(InvoiceNo, SalesOrderNo) → digest of the invoice as the order was told."""
    standings: dict[str, str] = field(default_factory=dict)
    """SalesOrderNo → digest of the standing as the order was told, or as it was created."""
    seen: dict[tuple[str, str], tuple[str, float, float]] = field(default_factory=dict)
    """(InvoiceNo, SalesOrderNo) → digest, first seen, unchanged since (monotonic seconds)."""
    tracked: list[str] = field(default_factory=list)
    """Our unposted invoices at the last poll, all of them, as entries of the cursor."""
    missing: dict[str, tuple[int, float]] = field(default_factory=dict)
    """Entry of the cursor → polls in which it was in neither place, and since when (monotonic seconds)."""
    owners: dict[str, str] = field(default_factory=dict)
    """SalesOrderNo → Clarity's order id, empty for orders that are not ours."""
    done: set[str] = field(default_factory=set)
    """Posted InvoiceNos that were looked into; changes after that come by rotation."""
    days: deque[date] = field(default_factory=deque)
    """Invoice dates still to be read in this round."""
    round_began: date | None = None
    rounds: int = 0
    """Complete rounds; the first one reads a day with each poll, the later ones share the time of a rotation."""
    next_day: float = -math.inf
    rotation: deque[str] = field(default_factory=deque)
    """SalesOrderNos of ours still to be read in this turn."""
    rotation_size: int = 0
    rotation_began: float = -math.inf
    unresolved_tried: float = -math.inf


@dataclass
class Poll:
    """What one poll has found so far."""

    pace: Pace
    counts: Counter[str] = field(default_factory=Counter)
    news: dict[str, list[ShipmentInvoice]] = field(default_factory=dict)
    """SalesOrderNo → invoices to tell."""
    looked_at: set[str] = field(default_factory=set)
    """SalesOrderNos whose standing is to be compared."""
    gone: dict[str, list[str]] = field(default_factory=dict)
    """SalesOrderNo → unposted invoices that are in neither place any more."""
    tracked: list[str] = field(default_factory=list)
    """Our unposted invoices, as entries of the cursor."""
    unresolved: list[str] = field(default_factory=list)

    def add(self, invoices: Iterable[ShipmentInvoice]) -> None:
        """These are to be told."""
        for invoice in invoices:
            self.news.setdefault(invoice.SalesOrderNo, []).append(invoice)


class SagePollActivities:
    """Polls one company. `now` tells the company's time (aware, in its zone), for dates, hours and ages."""

    def __init__(self, pair: Pair, reader: SageReader, client: Client, now: Callable[[], datetime]) -> None:
        self._pair = pair
        self._reader = reader
        self._client = client
        self._now = now
        self._memory = Memory()
        self._stock = StockWake(pair, reader, client)
        self._alerts = OwedAlerts(client)

    # ---- the shift ------------------------------------------------------------------------------------------------

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
            await self._rest(cursor, shift.pace)

    async def _rest(self, cursor: PollCursor, pace: Pace) -> None:
        """Wait for the next poll, heartbeating; a stopping worker ends the wait, and the shift goes on elsewhere."""
        end = monotonic() + self.interval(cursor, pace)
        shutdown = asyncio.create_task(activity.wait_for_worker_shutdown())
        try:
            while (left := end - monotonic()) > 0:
                done, _ = await asyncio.wait({shutdown}, timeout=min(left, pace.poll_heartbeat_timeout / 3))
                if done:
                    break
                activity.heartbeat(cursor)
        finally:
            shutdown.cancel()
        if shutdown.done() and not shutdown.cancelled():
            raise ApplicationError(
                "This worker is stopping; the shift goes on from its heartbeat on another one",
                type=FailureType.HANDOVER,
                category=ApplicationErrorCategory.BENIGN,
                next_retry_delay=timedelta(seconds=1),
            )

    def interval(self, cursor: PollCursor, pace: Pace) -> float:
        """Seconds to the next poll: quick while something is unposted in business hours (rules 8)."""
        hours = self._pair.polling.business_hours
        busy = bool(cursor.unposted) and (hours is None or hours.cover(self._now()))
        return pace.poll_interval if busy else max(pace.poll_interval, pace.quiet_interval)

    # ---- one poll -------------------------------------------------------------------------------------------------

    async def poll_once(self, cursor: PollCursor, pace: Pace) -> PollCursor:
        """One poll: what is new in Sage becomes signals; returns the cursor after it."""
        poll = Poll(pace)
        await self._look_at_unposted(cursor, poll)
        await self._look_for_those_that_left(cursor, poll)
        polled_on = await self._look_at_posted(cursor, poll)
        await self._try_unresolved(cursor, poll)
        await self._rotate(poll)
        await self._tell(poll)
        await self._alerts.hand_over(pace)
        self._forget(poll)
        await self._stock.sweep(pace.stock_sweep)
        self._memory.tracked = sorted(set(poll.tracked))
        counts = poll.counts
        return PollCursor(
            polled_on=polled_on,
            unposted=self._memory.tracked[:UNPOSTED_KEPT],
            unresolved=poll.unresolved[-UNRESOLVED_KEPT:],
            polls=cursor.polls + 1,
            signals=cursor.signals + counts["signals"],
            not_ours=cursor.not_ours + counts["not_ours"],
            not_found=cursor.not_found + counts["not_found"],
            unreadable=cursor.unreadable + counts["unreadable"],
        )

    async def _look_at_unposted(self, cursor: PollCursor, poll: Poll) -> None:
        """All unposted invoices; lines and tracking only of those that are, or may be, ours."""
        for head in await self._reader.unposted_invoices():
            if not head.several_orders and await self._owner(head.SalesOrderNo) in (NOT_OURS, None):
                continue
            if head.deleted:
                # The row stays with InvoiceType XD: no need to wait for it.
                for entry in self._tracked_before(cursor):
                    if entry.startswith(f"{head.InvoiceNo}/"):
                        self._memory.missing[entry] = (MISSING_POLLS, monotonic())
                continue
            for invoice in await self._read(self._reader.unposted_invoice(head.InvoiceNo), head.InvoiceNo, poll):
                if await self._owner(invoice.SalesOrderNo) in (NOT_OURS, None):
                    continue
                poll.tracked.append(entry_of(invoice))
                self._memory.missing.pop(entry_of(invoice), None)
                if self._is_ready(invoice, head, poll.pace):
                    poll.add([invoice])

    def _tracked_before(self, cursor: PollCursor) -> list[str]:
        """What was unposted at the last poll: all of it in memory, the first of it in the cursor."""
        return list(dict.fromkeys([*self._memory.tracked, *cursor.unposted]))

    async def _look_for_those_that_left(self, cursor: PollCursor, poll: Poll) -> None:
        """By key in history, each of ours that left the unposted ones; what is in neither place is kept in mind."""
        tracked = set(poll.tracked)
        for entry in self._tracked_before(cursor):
            if entry in tracked:
                continue
            invoice_no, _, sales_order_no = entry.partition("/")
            read = await self._read(self._reader.posted_invoice(invoice_no), invoice_no, poll)
            posted = [invoice for invoice in read if invoice.SalesOrderNo == sales_order_no]
            if posted:
                poll.add(posted)
                self._memory.missing.pop(entry, None)
                continue
            polls, since = self._memory.missing.get(entry, (0, monotonic()))
            self._memory.missing[entry] = (polls + 1, since)
            if polls + 1 >= MISSING_POLLS:
                poll.gone.setdefault(sales_order_no, []).append(invoice_no)
                poll.looked_at.add(sales_order_no)
            if monotonic() - since < NEITHER_PLACE_LIMIT.total_seconds():
                poll.tracked.append(entry)
            else:
                del self._memory.missing[entry]

    async def _look_at_posted(self, cursor: PollCursor, poll: Poll) -> str:
        """What was posted between two polls: today's invoice dates each time, one earlier day in turn.

        Returns the day when the last complete round began: after an interruption the next one starts there.
        """
        memory, today = self._memory, self._now().date()
        if memory.round_began is None:
            memory.round_began = today
            memory.days.extend(days_between(self._posted_from(cursor, today), today))
        room = await self._look_into(await self._reader.posted_on(today, and_later=True), poll, NEW_PER_POLL)
        if memory.days and room > 0 and monotonic() >= memory.next_day:
            room = await self._look_into(await self._reader.posted_on(memory.days[0]), poll, room)
            if room > 0:
                memory.days.popleft()
                if memory.rounds:
                    memory.next_day = monotonic() + poll.pace.rotation / self._pair.polling.history_days
        if memory.days:
            return cursor.polled_on
        memory.rounds += 1
        began, memory.round_began = memory.round_began, today
        first = min(began, today - timedelta(days=self._pair.polling.history_days))
        memory.days.extend(days_between(first, today))
        return began.isoformat()

    def _posted_from(self, cursor: PollCursor, today: date) -> date:
        """The invoice date from which history is read: some days back, further when the poller was down for longer.

        Without a cursor (first start, recreated Schedule) `cold_start_days` back: never "from now", never everything.
        """
        if not cursor.polled_on:
            return today - timedelta(days=self._pair.polling.cold_start_days)
        earliest = date.fromisoformat(cursor.polled_on) - timedelta(days=1)
        return min(earliest, today - timedelta(days=self._pair.polling.history_days))

    async def _look_into(self, numbers: list[str], poll: Poll, room: int) -> int:
        """Posted invoices that this process has not looked into yet; returns the room that is left."""
        for invoice_no in numbers:
            if invoice_no in self._memory.done:
                continue
            if room <= 0:
                break
            room -= 1
            if await self._may_be_ours(invoice_no, poll):
                poll.add(await self._read(self._reader.posted_invoice(invoice_no), invoice_no, poll))
            else:
                self._memory.done.add(invoice_no)
        return room

    async def _may_be_ours(self, invoice_no: str, poll: Poll) -> bool:
        """By its header; one that maps to no order yet is kept to be tried again."""
        for head in await self._reader.posted_heads(invoice_no):
            owner = NOT_OURS if head.several_orders else await self._owner(head.SalesOrderNo)
            if owner or head.several_orders:
                return True
            if owner is None:
                since = int(datetime.now(UTC).timestamp())
                poll.unresolved.append(f"{invoice_no}/{head.SalesOrderNo}@{since}")
            poll.counts["not_ours"] += owner == NOT_OURS
        return False

    async def _try_unresolved(self, cursor: PollCursor, poll: Poll) -> None:
        """Invoices that map to no order are tried again for a day: listings lag, orders may come later."""
        known = {entry.partition("@")[0] for entry in poll.unresolved}
        kept = [entry for entry in cursor.unresolved if entry.partition("@")[0] not in known]
        if monotonic() - self._memory.unresolved_tried < UNRESOLVED_RETRY_SECONDS:
            poll.unresolved = [*kept, *poll.unresolved]
            return
        self._memory.unresolved_tried = monotonic()
        waiting = []
        for entry in kept:
            place, _, since = entry.partition("@")
            invoice_no, _, sales_order_no = place.partition("/")
            if await self._owner(sales_order_no):
                poll.add(await self._read(self._reader.posted_invoice(invoice_no), invoice_no, poll))
            elif datetime.now(UTC).timestamp() - float(since) < UNRESOLVED_LIMIT.total_seconds():
                waiting.append(entry)
            else:
                poll.counts["not_ours"] += 1
        poll.unresolved = [*waiting, *poll.unresolved]

    async def _rotate(self, poll: Poll) -> None:
        """A share of our open orders, so that each is read once per `rotation`: what no invoice date would show."""
        memory, pace = self._memory, poll.pace
        if not memory.rotation and monotonic() - memory.rotation_began >= pace.rotation:
            memory.rotation_began = monotonic()
            memory.rotation.extend(await self._our_open_orders())
            memory.rotation_size = len(memory.rotation)
        share = math.ceil(memory.rotation_size * max(pace.poll_interval, pace.quiet_interval) / pace.rotation)
        for _ in range(min(max(share, 1), len(memory.rotation))):
            sales_order_no = memory.rotation.popleft()
            for invoice_no in await self._reader.posted_of(sales_order_no):
                read = await self._read(self._reader.posted_invoice(invoice_no), invoice_no, poll)
                poll.add(invoice for invoice in read if invoice.SalesOrderNo == sales_order_no)
            if sales_order_no not in memory.standings and await self._reader.is_as_created(sales_order_no):
                memory.standings[sales_order_no] = digest_of(await self._reader.standing(sales_order_no))
            poll.looked_at.add(sales_order_no)

    async def _our_open_orders(self) -> list[str]:
        """SalesOrderNos of our running orders, by listing: a listing may lag, it only decides who is looked at."""
        numbers = []
        query = (
            f"Pair = '{self._pair.name}' AND WorkflowType = 'OrderFulfillmentWorkflow' "
            "AND ExecutionStatus = 'Running' AND SalesOrderNo IS NOT NULL"
        )
        async for execution in self._client.list_workflows(query):
            number = execution.typed_search_attributes.get(attributes.SALES_ORDER_NO)
            order_id = ids.order_id_of(self._pair.name, execution.id)
            if number and order_id:
                self._memory.owners[number] = order_id
                numbers.append(number)
        return sorted(numbers)

    # ---- whose is it ----------------------------------------------------------------------------------------------

    async def _owner(self, sales_order_no: str) -> str | None:
        """Clarity's order id of a sales order; `NOT_OURS`; None when nothing tells (yet).

        By the header's UDF, live then history, then by visibility.
        """
        memory = self._memory
        known = memory.owners.get(sales_order_no)
        if known is not None:
            return known
        owner = await self._reader.web_order_id(sales_order_no) if sales_order_no else NOT_OURS
        if owner is None:
            owner = await self._owner_by_visibility(sales_order_no)
            if owner is None:
                return None
        if owner and not ids.is_order_id(owner):
            owner = NOT_OURS
        if len(memory.owners) >= OWNERS_KEPT:
            memory.owners.clear()
        memory.owners[sales_order_no] = owner
        return owner

    async def _owner_by_visibility(self, sales_order_no: str) -> str | None:
        if not sales_order_no.isalnum():
            return NOT_OURS
        query = f"Pair = '{self._pair.name}' AND SalesOrderNo = '{sales_order_no}' AND ExecutionStatus = 'Running'"
        async for execution in self._client.list_workflows(query, page_size=1):
            return ids.order_id_of(self._pair.name, execution.id)
        return None

    # ---- reading and telling --------------------------------------------------------------------------------------

    async def _read(
        self, reading: Awaitable[list[ShipmentInvoice]], invoice_no: str, poll: Poll
    ) -> list[ShipmentInvoice]:
        """One invoice's reading; a row that cannot be understood is counted and alerted, an outage ends the poll."""
        try:
            return await reading
        except (ValidationError, ValueError, ArithmeticError):
            poll.counts["unreadable"] += 1
            self._memory.done.add(invoice_no)
            what = "it cannot be read and is not told to its order; look at its rows in Sage"
            if self._alert(f"Invoice {invoice_no}", what):
                log.exception("Invoice %s in Sage cannot be read; the poll goes on without it", invoice_no)
            return []

    def _alert(self, title: str, text: str, workflow_id: str = "") -> bool:
        """Something that only a person can mend: once by each process, handed over after the poll's own work."""
        return self._alerts.add(
            Alert(
                pair=self._pair.name,
                kind=AlertKind.UNREADABLE,
                workflow_id=workflow_id or ids.poll_schedule_id(self._pair.name),
                title=title,
                text=text,
                occurrence=title,
            )
        )

    def _is_ready(self, invoice: ShipmentInvoice, head: InvoiceHead, pace: Pace) -> bool:
        """Rules 2: settle time since this process saw it so; grace time since it was created, or first seen."""
        key, digest, now = (invoice.InvoiceNo, invoice.SalesOrderNo), digest_of(invoice), monotonic()
        known, first_seen, unchanged_since = self._memory.seen.get(key, (digest, now - self._age(head), now))
        if known != digest:
            unchanged_since = now
        self._memory.seen[key] = (digest, first_seen, unchanged_since)
        if key in self._memory.sent:
            return True
        return ready(invoice, timedelta(seconds=now - unchanged_since), timedelta(seconds=now - first_seen), pace)

    def _age(self, head: InvoiceHead) -> float:
        """Seconds since the invoice was created, by Sage's stamp: the grace time outlasts a restart of the worker."""
        if head.created is None:
            return 0.0
        return max((self._now().replace(tzinfo=None) - head.created).total_seconds(), 0.0)

    async def _tell(self, poll: Poll) -> None:
        """Signal the orders for which something is new, a few at once."""
        semaphore = asyncio.Semaphore(SIGNALS_AT_ONCE)

        async def one(sales_order_no: str) -> None:
            async with semaphore:
                await self._tell_order(sales_order_no, poll)

        await asyncio.gather(*(one(number) for number in sorted(poll.looked_at | set(poll.news))))

    async def _tell_order(self, sales_order_no: str, poll: Poll) -> None:
        """Each invoice that the order was not told so before; without one, where the order stands if that changed."""
        owner = await self._owner(sales_order_no)
        if not owner:
            poll.counts["not_ours"] += 1
            return
        standing = await self._reader.standing(sales_order_no)
        if sales_order_no in poll.gone:
            standing = standing.model_copy(update={"missing_invoices": sorted(poll.gone[sales_order_no])})
        told = False
        for invoice in poll.news.get(sales_order_no, []):
            key, digest = (invoice.InvoiceNo, sales_order_no), digest_of(invoice)
            if self._memory.sent.get(key) != digest:
                seen = ShipmentSeen(invoice=invoice, standing=standing)
                if not await self._signal(owner, "shipment", seen, poll):
                    return
                self._memory.sent[key], told = digest, True
            if invoice.posted:
                self._memory.done.add(invoice.InvoiceNo)
        digest = digest_of(standing)
        known = told or self._memory.standings.get(sales_order_no) == digest
        if not known and not await self._signal(owner, "sales_order_changed", standing, poll):
            return
        self._memory.standings[sales_order_no] = digest

    async def _signal(self, order_id: str, name: str, argument: ShipmentSeen | SalesOrderStanding, poll: Poll) -> bool:
        """Send one signal. False when it is to be tried again; an order that does not run takes none and is done."""
        handle = self._client.get_workflow_handle(ids.order_workflow_id(self._pair.name, order_id))
        try:
            await handle.signal(name, argument, rpc_timeout=timedelta(seconds=10))
            poll.counts["signals"] += 1
        except RPCError as error:
            if error.status in OUTAGES:
                raise
            if error.status is not RPCStatusCode.NOT_FOUND:
                poll.counts["not_found"] += 1
                log.warning("Order %s cannot be signalled (%s): it reads Sage once a day", order_id, error.status)
                text = f"it cannot be told of its shipments ({error.status.name}); it reads Sage once a day"
                self._alert(f"Order {order_id}", text, handle.id)
                return False
            # The order is complete, or was never ours to follow: recorded, and not asked again by this process.
            poll.counts["not_found"] += 1
            log.info("No running order takes %s of order %s", name, order_id)
        return True

    def _forget(self, poll: Poll) -> None:
        """What is long past is forgotten."""
        current = {tuple(entry.split("/", 1)) for entry in poll.tracked}
        self._memory.seen = {key: value for key, value in self._memory.seen.items() if key in current}
        for known in (self._memory.sent, self._memory.standings, self._memory.done):
            if len(known) > OWNERS_KEPT:
                known.clear()


def entry_of(invoice: ShipmentInvoice) -> str:
    """How the cursor names an unposted invoice of one order."""
    return f"{invoice.InvoiceNo}/{invoice.SalesOrderNo}"


def days_between(first: date, end: date) -> list[date]:
    """The days from `first` up to, but not including, `end`."""
    return [first + timedelta(days=number) for number in range((end - first).days)]


def digest_of(reading: BaseModel) -> str:
    """Equal readings have equal digests."""
    return hashlib.sha256(reading.model_dump_json().encode()).hexdigest()
