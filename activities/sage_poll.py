"""The Sage poller: one activity per shift that reads Sage, signals orders, and heartbeats its cursor.

In: `PollShift`. Out: `PollCursor`. Per poll (rules 8): all unposted invoices, and of ours their lines and tracking; by
key, each of ours that left them; by the InvoiceDate key, what was posted today and on one of the last days in turn; and
a share of our open orders in rotation. Cost grows with unposted invoices and our open orders, not with history.

What was already sent is remembered in memory only: after a restart signals repeat, and orders ignore repeats. One
unreadable row or one order that cannot be signalled is counted, alerted, and never stops the poll. A poll that fails
changes neither the cursor nor what counts as looked into: the next one looks at the same again.
"""

import asyncio
import contextlib
import hashlib
import logging
import math
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from time import monotonic
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError
from temporalio import activity
from temporalio.client import Client
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities.alerting import OwedAlerts
from activities.recent_memory import RecentMemory
from activities.shifts import heartbeats, server_clock
from activities.stock_wake import StockWake
from connectors.sage100.odbc import InvoiceHead, SageReader
from contracts import ids, queues
from contracts import search_attributes as attributes
from contracts.failures import FailureType
from contracts.messages import Alert, AlertKind, CreditMemoStart, PollCursor, PollShift
from contracts.metrics import LAST_POLL, SHIPMENT_SIGNALS
from mappings.pair import Pace, Pair
from mappings.readiness import ready
from mappings.shipments import CreditMemo, SalesOrderStanding, ShipmentInvoice, ShipmentSeen

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

SIGNALS_AT_ONCE = 25
"""Twice as many are told a tenth faster. Each answer that waits for Python takes a thread of the SDK's runtime, which
stays while polls go on: fifty at once left fifty-four of them.
"""
NEW_PER_POLL = 200
"""Posted invoices that are looked into for the first time in one poll; the rest of a long day waits for the next."""
NUMBERS_AT_ONCE = 4_000
"""InvoiceNos of one reading of history; a day that holds more is read page by page. With SQLite's driver a day of
20,000 takes 1.5 times as long as in pages of 10,000; in pages of 1,000 3.5 times as long.
"""
OWNERS_KEPT = 50_000

OUTAGES = (RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED)

UNREADABLE = (ValidationError, ValueError, ArithmeticError)
"""What a reading raises when a row holds what its column should not."""

NOT_OURS: Final = ""

T = TypeVar("T")


@dataclass
class Memory:
    """What this process knows of a pair between polls; losing it repeats signals, never loses one.

    Orders that ended are asked for no more: in two rotations they are forgotten, so that it grows with what is open.
    """

    sent: RecentMemory[tuple[str, str], str] = field(default_factory=RecentMemory)
    """(InvoiceNo, SalesOrderNo) → digest of the invoice as the order was told."""
    standings: RecentMemory[str, str] = field(default_factory=RecentMemory)
    """SalesOrderNo → digest of the standing as the order was told, or as it was created."""
    seen: dict[tuple[str, str], tuple[str, float, float]] = field(default_factory=dict)
    """(InvoiceNo, SalesOrderNo) → digest, first seen, unchanged since (monotonic seconds)."""
    tracked: list[str] = field(default_factory=list)
    """Our unposted invoices at the last poll, all of them, as entries of the cursor."""
    missing: dict[str, tuple[int, float]] = field(default_factory=dict)
    """Entry of the cursor → polls in which it was in neither place, and since when (monotonic seconds)."""
    owners: RecentMemory[str, str] = field(default_factory=RecentMemory)
    """SalesOrderNo → Clarity's order id, empty for orders that are not ours."""
    done: set[str] = field(default_factory=set)
    """Posted InvoiceNos that were looked into; changes after that come by rotation."""
    days: deque[date] = field(default_factory=deque)
    """Invoice dates still to be read in this round."""
    day_reached: str = ""
    """Up to this InvoiceNo the first of these days was looked into."""
    round_began: date | None = None
    rounds: int = 0
    """Complete rounds; the first one reads a day with each poll, the later ones share the time of a rotation."""
    next_day: float = -math.inf
    rotation: deque[str] = field(default_factory=deque)
    """SalesOrderNos of ours still to be read in this turn."""
    rotation_size: int = 0
    rotation_began: float = -math.inf
    unresolved_tried: float = -math.inf
    last_poll: float = -math.inf
    """When the last poll that succeeded began (monotonic seconds)."""


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
    unresolved: dict[str, str] = field(default_factory=dict)
    """Posted invoices that map to no order yet: the entry of the cursor, without and with its time."""
    looked_into: set[str] = field(default_factory=set)
    """Posted InvoiceNos that need no second look, once their orders were told."""
    unread: set[str] = field(default_factory=set)
    """InvoiceNos that are there and cannot be read: not gone."""
    untold: set[tuple[str, str]] = field(default_factory=set)
    """(InvoiceNo, SalesOrderNo) of which the order could not be told."""
    day_reached: str | None = ""
    """How far the earlier day was read; None to its end."""
    day_read: bool = False
    rotated: int = 0
    """So many orders of the rotation were read."""

    def add(self, invoices: Iterable[ShipmentInvoice]) -> None:
        """These are to be told."""
        for invoice in invoices:
            self.news.setdefault(invoice.SalesOrderNo, []).append(invoice)

    def wait_for_owner(self, invoice_no: str, sales_order_no: str) -> None:
        """This posted invoice maps to no order yet."""
        place = f"{invoice_no}/{sales_order_no}"
        self.unresolved.setdefault(place, f"{place}@{int(datetime.now(UTC).timestamp())}")


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
        self._turn = asyncio.Lock()
        """One poll after the other: an attempt that the server has given up may still be at work beside the next."""
        if not pair.is_shadow:
            # Else no rule could see that the first poll of this process never comes: paused Schedule, broken ODBC.
            LAST_POLL.labels(pair.name).set_to_current_time()

    # ---- the shift ------------------------------------------------------------------------------------------------

    @activity.defn
    async def poll(self, shift: PollShift) -> PollCursor:
        """Poll until the shift ends; on the way out of this worker, hand over to the next one by heartbeat."""
        details = activity.info().heartbeat_details
        cursor = PollCursor.model_validate(details[0]) if details else (shift.cursor or PollCursor())
        now = server_clock()
        while True:
            try:
                # A poll may take longer than the heartbeat's time-out: many shipments at once, a slow Sage.
                async with heartbeats(cursor, shift.pace.poll_heartbeat_timeout / 3):
                    cursor = await self.poll_once(cursor, shift.pace)
            except RPCError as error:
                if error.status not in OUTAGES:
                    raise
                log.warning("Temporal did not answer a poll of %s (%s): polls the same again", shift.pair, error.status)
            activity.heartbeat(cursor)
            if now() >= shift.until:
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
        async with self._turn:
            began, poll = monotonic(), Poll(pace)
            await self._look_at_unposted(cursor, poll)
            await self._look_for_those_that_left(cursor, poll)
            await self._look_at_posted(cursor, poll)
            await self._try_unresolved(cursor, poll)
            await self._rotate(poll)
            await self._tell(poll)
            polled_on = self._remember(cursor, poll)
            self._memory.last_poll = began
            LAST_POLL.labels(self._pair.name).set_to_current_time()
            await self._alerts.hand_over(pace)
            await self._wake_held(pace)
        counts = poll.counts
        unresolved = list(poll.unresolved.values())
        # Those that give way are tried no more.
        counts["not_ours"] += max(len(unresolved) - UNRESOLVED_KEPT, 0)
        return PollCursor(
            polled_on=polled_on,
            unposted=self._memory.tracked[:UNPOSTED_KEPT],
            unresolved=unresolved[-UNRESOLVED_KEPT:],
            polls=cursor.polls + 1,
            signals=cursor.signals + counts["signals"],
            not_ours=cursor.not_ours + counts["not_ours"],
            not_found=cursor.not_found + counts["not_found"],
            unreadable=cursor.unreadable + counts["unreadable"],
        )

    async def _wake_held(self, pace: Pace) -> None:
        """Orders held for stock; a hint that could not be given is no reason to stop polling."""
        try:
            await self._stock.sweep(pace.stock_sweep)
        except UNREADABLE:
            log.exception("The stock of held orders cannot be read; the next sweep looks again")

    async def _look_at_unposted(self, cursor: PollCursor, poll: Poll) -> None:
        """All unposted invoices; lines and tracking only of those that are, or may be, ours."""
        for head in await self._reader.unposted_invoices():
            if not head.several_orders and await self._owner(head.SalesOrderNo, poll) in (NOT_OURS, None):
                continue
            if head.deleted:
                # The row stays with InvoiceType XD: no need to wait for it.
                for entry in self._tracked_before(cursor):
                    if entry.startswith(f"{head.InvoiceNo}/"):
                        self._memory.missing[entry] = (MISSING_POLLS, monotonic())
                continue
            for invoice in await self._read(self._reader.unposted_invoice(head.InvoiceNo), head.InvoiceNo, poll):
                if await self._owner(invoice.SalesOrderNo, poll) in (NOT_OURS, None):
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
            if invoice_no not in poll.unread:
                read = await self._read(self._reader.posted_invoice(invoice_no), invoice_no, poll)
            if invoice_no in poll.unread:
                # It is there, unposted or posted, and somebody has to mend it: no shipment is void for that.
                poll.tracked.append(entry)
                continue
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

    async def _look_at_posted(self, cursor: PollCursor, poll: Poll) -> None:
        """What was posted between two polls: today's invoice dates each time, one earlier day in turn."""
        memory, today = self._memory, self._now().date()
        if memory.round_began is None:
            memory.round_began = today
            memory.days.extend(days_between(self._posted_from(cursor, today), today))
        while memory.days and memory.days[0] > today:
            # The clock was ahead when the round began.
            memory.days.popleft()
            memory.day_reached = ""
        room, _ = await self._look_into_day(today, "", poll, NEW_PER_POLL)
        for invoice_no in await self._reader.posted_after(today, NUMBERS_AT_ONCE):
            if room > 0 and self._is_new(invoice_no, poll):
                room -= 1
                await self._look_into(invoice_no, poll)
        if memory.days and room > 0 and monotonic() >= memory.next_day:
            poll.day_read = True
            _, poll.day_reached = await self._look_into_day(memory.days[0], memory.day_reached, poll, room)

    async def _look_into_day(self, day: date, after: str, poll: Poll, room: int) -> tuple[int, str | None]:
        """The invoices of one date, behind `after`, that this process has not looked into yet: at most `room`.

        Returns the room that is left, and the InvoiceNo up to which the day was read; None to its end.
        """
        while numbers := await self._reader.posted_on(day, after, NUMBERS_AT_ONCE):
            for invoice_no in numbers:
                if self._is_new(invoice_no, poll):
                    if room <= 0:
                        return 0, after
                    room -= 1
                    await self._look_into(invoice_no, poll)
                after = invoice_no
        return room, None

    def _is_new(self, invoice_no: str, poll: Poll) -> bool:
        return invoice_no not in self._memory.done and invoice_no not in poll.looked_into

    def _remember(self, cursor: PollCursor, poll: Poll) -> str:
        """Everybody was told: what was looked into is done.

        Returns the day when the last complete round began: after an interruption the next one starts there.
        """
        memory, today = self._memory, self._now().date()
        told = {invoice.InvoiceNo for invoices in poll.news.values() for invoice in invoices if invoice.posted}
        memory.done |= (poll.looked_into | told) - {invoice_no for invoice_no, _ in poll.untold}
        memory.tracked = sorted(set(poll.tracked))
        for _ in range(poll.rotated):
            memory.rotation.popleft()
        self._forget(poll)
        if poll.day_read:
            memory.day_reached = poll.day_reached or ""
            if poll.day_reached is None:
                if memory.rounds:
                    share = max(self._pair.polling.history_days, len(memory.days))
                    memory.next_day = monotonic() + poll.pace.rotation / share
                memory.days.popleft()
        if memory.days or memory.round_began is None:
            return cursor.polled_on
        memory.rounds += 1
        # The clock may have been ahead when the round began.
        began, memory.round_began = min(memory.round_began, today), today
        first = min(began, today - timedelta(days=self._pair.polling.history_days))
        memory.days.extend(days_between(first, today))
        return began.isoformat()

    def _posted_from(self, cursor: PollCursor, today: date) -> date:
        """The invoice date from which history is read: some days back, further when the poller was down for longer.

        Without a cursor (first start, recreated Schedule) `cold_start_days` back: never "from now", never everything.
        So, too, with one from the future: when the last round really began is not known.
        """
        if not cursor.polled_on or date.fromisoformat(cursor.polled_on) > today + timedelta(days=1):
            return today - timedelta(days=self._pair.polling.cold_start_days)
        earliest = date.fromisoformat(cursor.polled_on) - timedelta(days=1)
        return min(earliest, today - timedelta(days=self._pair.polling.history_days))

    async def _look_into(self, invoice_no: str, poll: Poll) -> None:
        """A posted invoice for the first time: read when one of its orders may be ours, kept while it maps to none."""
        poll.looked_into.add(invoice_no)
        may_be_ours = False
        for head in await self._read(self._reader.posted_heads(invoice_no), invoice_no, poll):
            if head.credit is not None:
                await self._credited(head, head.credit, poll)
                continue
            owner = None if head.several_orders else await self._owner(head.SalesOrderNo, poll)
            may_be_ours |= bool(owner) or head.several_orders
            if owner is None and not head.several_orders:
                poll.wait_for_owner(invoice_no, head.SalesOrderNo)
            poll.counts["not_ours"] += owner == NOT_OURS
        if may_be_ours:
            poll.add(await self._read(self._reader.posted_invoice(invoice_no), invoice_no, poll))

    async def _credited(self, head: InvoiceHead, memo: CreditMemo, poll: Poll) -> None:
        """A credit memo of an order of ours starts its own workflow; the server knows whether that was done before."""
        owner = await self._owner(head.SalesOrderNo, poll)
        if not owner:
            poll.counts["not_ours"] += 1
            return
        pair = self._pair.name
        start = CreditMemoStart(
            pair=pair, order_id=owner, SalesOrderNo=head.SalesOrderNo, memo=memo, pace=self._pair.pace
        )
        with contextlib.suppress(WorkflowAlreadyStartedError):
            await self._client.start_workflow(
                "CreditMemoWorkflow",
                start,
                id=ids.credit_memo_workflow_id(pair, memo.InvoiceNo),
                task_queue=queues.ORDERS,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
                search_attributes=TypedSearchAttributes([SearchAttributePair(attributes.PAIR, pair)]),
                static_summary=f"Credit memo {memo.InvoiceNo} of order {owner}",
                rpc_timeout=timedelta(seconds=10),
            )

    async def _try_unresolved(self, cursor: PollCursor, poll: Poll) -> None:
        """Invoices that map to no order are tried again for a day: listings lag, orders may come later."""
        kept = {entry.partition("@")[0]: entry for entry in cursor.unresolved}
        # Found anew after a restart: it has waited since the first time.
        poll.unresolved = {**kept, **{place: kept.get(place, entry) for place, entry in poll.unresolved.items()}}
        if monotonic() - self._memory.unresolved_tried < UNRESOLVED_RETRY_SECONDS:
            return
        self._memory.unresolved_tried = monotonic()
        for place, entry in kept.items():
            invoice_no, _, sales_order_no = place.partition("/")
            if await self._owner(sales_order_no, poll):
                del poll.unresolved[place]
                poll.add(await self._read(self._reader.posted_invoice(invoice_no), invoice_no, poll))
            elif datetime.now(UTC).timestamp() - float(entry.partition("@")[2]) >= UNRESOLVED_LIMIT.total_seconds():
                del poll.unresolved[place]
                poll.counts["not_ours"] += 1

    async def _rotate(self, poll: Poll) -> None:
        """A share of our open orders, so that each is read once per `rotation`: what no invoice date would show."""
        memory, pace = self._memory, poll.pace
        if not memory.rotation and monotonic() - memory.rotation_began >= pace.rotation:
            memory.rotation_began = monotonic()
            for known in (memory.sent, memory.standings, memory.owners):
                known.turn()
            memory.rotation.extend(await self._our_open_orders())
            memory.rotation_size = len(memory.rotation)
        share = math.ceil(memory.rotation_size * max(pace.poll_interval, pace.quiet_interval) / pace.rotation)
        poll.rotated = min(max(share, 1), len(memory.rotation))
        for sales_order_no in list(islice(memory.rotation, poll.rotated)):
            try:
                await self._read_in_turn(sales_order_no, poll)
            except UNREADABLE:
                self._unreadable(f"sales order {sales_order_no}", poll)

    async def _read_in_turn(self, sales_order_no: str, poll: Poll) -> None:
        memory = self._memory
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

    async def _owner(self, sales_order_no: str, poll: Poll) -> str | None:
        """Clarity's order id of a sales order; `NOT_OURS`; None when nothing tells (yet).

        By the header's UDF, live then history, then by visibility.
        """
        memory = self._memory
        known = memory.owners.get(sales_order_no)
        if known is not None:
            return known
        owner: str | None = NOT_OURS
        if sales_order_no:
            try:
                owner = await self._reader.web_order_id(sales_order_no)
            except UNREADABLE:
                self._unreadable(f"sales order {sales_order_no}", poll)
                owner = None
        if owner is None:
            owner = await self._owner_by_visibility(sales_order_no)
            if owner is None:
                return None
        if owner and not ids.is_order_id(owner):
            owner = NOT_OURS
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

    async def _read(self, reading: Awaitable[list[T]], invoice_no: str, poll: Poll) -> list[T]:
        """One invoice's reading; a row that cannot be understood is counted and alerted, an outage ends the poll."""
        try:
            return await reading
        except UNREADABLE:
            poll.unread.add(invoice_no)
            self._unreadable(f"invoice {invoice_no}", poll)
            return []

    def _unreadable(self, what: str, poll: Poll) -> None:
        """Within an except block: something in Sage cannot be read; people are told once, and the poll goes on."""
        poll.counts["unreadable"] += 1
        words = "it cannot be read and its orders are not told of it; look at its rows in Sage"
        if self._alert(what.capitalize(), words):
            log.exception("%s in Sage cannot be read; the poll goes on without it", what.capitalize())

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
        """Seconds since the invoice was created, by Sage's stamp: the grace time outlasts a restart of the worker.

        What was not there at the last poll is no older than that, whatever Sage's clock says.
        """
        if head.created is None:
            return 0.0
        # In UTC: local times across a clock change are not that far apart. Of an hour that comes twice the second one
        # counts, so that nothing seems older than it is.
        created = head.created.replace(tzinfo=self._pair.company.zone, fold=1).astimezone(UTC)
        age = (self._now().astimezone(UTC) - created).total_seconds()
        return max(min(age, monotonic() - self._memory.last_poll), 0.0)

    async def _tell(self, poll: Poll) -> None:
        """Signal the orders for which something is new, a few at once."""
        semaphore = asyncio.Semaphore(SIGNALS_AT_ONCE)

        async def one(sales_order_no: str) -> None:
            async with semaphore:
                await self._tell_order(sales_order_no, poll)

        telling = [asyncio.create_task(one(number)) for number in sorted(poll.looked_at | set(poll.news))]
        try:
            await asyncio.gather(*telling)
        finally:
            # After an outage the others do not go on by themselves, beside the next poll.
            for task in telling:
                task.cancel()
            await asyncio.gather(*telling, return_exceptions=True)

    async def _tell_order(self, sales_order_no: str, poll: Poll) -> None:
        """Each invoice that the order was not told so before; without one, where the order stands if that changed."""
        news = poll.news.get(sales_order_no, [])
        owner = await self._owner(sales_order_no, poll)
        if not owner:
            poll.counts["not_ours"] += len(news) if owner == NOT_OURS else 0
            for invoice in news if owner is None else ():
                if invoice.posted:
                    poll.wait_for_owner(invoice.InvoiceNo, sales_order_no)
            return
        untold = {(invoice.InvoiceNo, sales_order_no) for invoice in news}
        poll.untold |= untold
        try:
            standing = await self._reader.standing(sales_order_no)
        except UNREADABLE:
            self._unreadable(f"sales order {sales_order_no}", poll)
            return
        if sales_order_no in poll.gone:
            standing = standing.model_copy(update={"missing_invoices": sorted(poll.gone[sales_order_no])})
        told = False
        for invoice in news:
            key, digest = (invoice.InvoiceNo, sales_order_no), digest_of(invoice)
            if self._memory.sent.get(key) != digest:
                seen = ShipmentSeen(invoice=invoice, standing=standing)
                if not await self._signal(owner, "shipment", seen, poll):
                    return
                self._memory.sent[key], told = digest, True
        digest = digest_of(standing)
        known = told or self._memory.standings.get(sales_order_no) == digest
        if not known and not await self._signal(owner, "sales_order_changed", standing, poll):
            return
        self._memory.standings[sales_order_no] = digest
        poll.untold -= untold

    async def _signal(self, order_id: str, name: str, argument: ShipmentSeen | SalesOrderStanding, poll: Poll) -> bool:
        """Send one signal. False when it is to be tried again; an order that does not run takes none and is done."""
        handle = self._client.get_workflow_handle(ids.order_workflow_id(self._pair.name, order_id))
        try:
            await handle.signal(name, argument, rpc_timeout=timedelta(seconds=10))
            poll.counts["signals"] += 1
            SHIPMENT_SIGNALS.labels(self._pair.name).inc()
        except RPCError as error:
            if error.status in OUTAGES:
                raise
            if error.status is not RPCStatusCode.NOT_FOUND:
                poll.counts["not_found"] += 1
                log.warning(
                    "Order %s takes no signal (%s)",
                    order_id,
                    error.status.name,
                    extra={"workflow_id": handle.id},
                )
                text = (
                    f"it cannot be told of its shipments ({error.status.name}). Terminate its workflow and start it "
                    f"again: POST /orders/{self._pair.name}/{order_id}/restart; it takes its sales order up"
                )
                self._alert(f"Order {order_id}", text, handle.id)
                return False
            # The order is complete, or was never ours to follow: recorded, and not asked again by this process.
            poll.counts["not_found"] += 1
            log.info("No running order takes %s of order %s", name, order_id, extra={"workflow_id": handle.id})
        return True

    def _forget(self, poll: Poll) -> None:
        """What is long past is forgotten."""
        current = {tuple(entry.split("/", 1)) for entry in poll.tracked}
        self._memory.seen = {key: value for key, value in self._memory.seen.items() if key in current}
        for known in (self._memory.sent, self._memory.standings, self._memory.owners, self._memory.done):
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
