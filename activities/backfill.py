"""Backfill: what Clarity's list of changed orders knows and no webhook told, through the one intake function.

In: `BackfillRequest`, a window, a range or order ids. Out: `BackfillResult`. Runs on `clarity-{pair}`; heartbeats page
and counts, and goes on from there on another worker. Everything can be repeated: the intake tells new, known and
changed orders apart.

The list moves while it is read: an order that changes goes to another place, and those behind it move up a page. So the
list is read again until as many orders were seen as it has; no order ever leaves it.
"""

import contextlib
import json
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, Final

from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.service import RPCError, RPCStatusCode

from activities.alerting import try_alert
from activities.intake import Intake, IntakeResult
from activities.shifts import heartbeats, server_clock
from connectors.clarity.client import ClarityClient
from connectors.errors import NotFound
from contracts import ids
from contracts.failures import FailureType
from contracts.messages import (
    Alert,
    AlertKind,
    BackfillRequest,
    BackfillResult,
    BackfillStart,
    BackfillTally,
    EventType,
)
from mappings.intake import created_at, last_change, order_id_of, pair_of_currency, payload_digest
from mappings.pair import Pair
from mappings.plain_json import plain

log = logging.getLogger(__name__)

IDS_KEPT: Final = 20
ROUNDS: Final = 6
"""Readings of a list that moves, before the rest is left to the next window."""
BODY_LIMIT: Final = 1024 * 1024
"""As for a webhook: a larger order is entered by hand."""
SHOW_EVERY_SECONDS: Final = 5.0
"""Between two signals of progress to the workflow; a run of one page sends none."""
SHOW_SHARE: Final = 0.02
"""The longer a run lasts the rarer they are, so that its history stays short: a run of a week sends some hundred."""
SIGNAL_LIMIT: Final = timedelta(seconds=5)
RUNS_KEPT: Final = 10
"""Runs whose orders this worker remembers; those beyond went on elsewhere, or were ended."""


class BackfillActivities:
    """Reads one store. `pairs`: an order in another currency may belong to another of them."""

    def __init__(self, pair: Pair, pairs: Mapping[str, Pair], clarity: ClarityClient, client: Client) -> None:
        self._pair = pair
        self._pairs = pairs
        self._clarity = clarity
        self._client = client
        self._seen: dict[str, dict[str, str]] = {}
        """By run, order id → the version that was taken in: the next attempt on this worker need not ask again."""

    def seen_by(self, run_id: str) -> dict[str, str]:
        """What a run has taken in on this worker."""
        seen = self._seen.setdefault(run_id, {})
        for other in [one for one in self._seen if one != run_id][: max(len(self._seen) - RUNS_KEPT, 0)]:
            del self._seen[other]
        return seen

    @activity.defn
    async def backfill_orders(self, request: BackfillRequest) -> BackfillResult:
        """Take in everything of the window, the range, or the ids."""
        start = request.start
        details = activity.info().heartbeat_details
        if details:
            tally = BackfillTally.model_validate(details[0])
        else:
            tally = BackfillTally(since=start.since or request.since or self._cold_start(request.now))
        run = _Run(self, request, tally)
        async with heartbeats(lambda: run.tally, start.pace.poll_heartbeat_timeout / 3):
            if start.order_ids:
                await run.take_ids(start.order_ids)
                complete = True
            else:
                complete = await run.take_list()
        self._seen.pop(run.run_id, None)
        back = timedelta(seconds=start.pace.backfill_overlap + start.pace.webhook_grace)
        since = run.tally.since or request.now
        return BackfillResult(
            tally=run.tally, complete=complete, next_since=max(since, request.now - back) if complete else since
        )

    def _cold_start(self, now: datetime) -> datetime:
        """Without a memory: some days back, never "from now"."""
        return now - timedelta(days=self._pair.polling.cold_start_days)


class _Run:
    """One attempt of the activity."""

    def __init__(self, home: BackfillActivities, request: BackfillRequest, tally: BackfillTally) -> None:
        self.home = home
        self.request = request
        self.start: BackfillStart = request.start
        self.by_hand = bool(self.start.order_ids) or self.start.since is not None
        self.grace = timedelta(seconds=self.start.pace.webhook_grace)
        self.tally = tally
        self.run_id = activity.info().workflow_run_id or ""
        self.seen = home.seen_by(self.run_id)
        self.began = monotonic()
        self.shown = self.began - SHOW_EVERY_SECONDS
        self.now = server_clock()
        """By a clock of this machine that is slow, every change would be too young for too long."""

    # ---- reading --------------------------------------------------------------------------------------------------

    async def take_list(self) -> bool:
        """Read the list to its end, and again while it moved; False when it never stood still."""
        since = self.tally.since or self.request.now
        while self.tally.rounds < ROUNDS:
            while True:
                page = await self.home._clarity.list_orders(since, self.tally.page)
                self.count(listed=page.totalCount - self.tally.listed)
                for order in page.items:
                    await self.take(order)
                if len(page.items) < self.home._clarity.page_size:
                    break
                self.count(page=1)
                activity.heartbeat(self.tally)
                await self.show()
            self.count(rounds=1, page=-self.tally.page)
            activity.heartbeat(self.tally)
            if len(self.seen) >= self.tally.listed:
                return True
        log.warning("Clarity's list of orders moved through %d readings; the next window begins as early", ROUNDS)
        return False

    async def take_ids(self, order_ids: list[str]) -> None:
        """One order after the other; `page` counts them, so that another attempt goes on behind the last one."""
        self.count(listed=len(order_ids) - self.tally.listed)
        for order_id in order_ids[self.tally.page :]:
            try:
                order = await self.home._clarity.get_order(order_id)
            except NotFound:
                self.count(not_found=1)
            else:
                await self.take(order)
            self.count(page=1)
            activity.heartbeat(self.tally)
            await self.show()

    async def show(self) -> None:
        """Tell the workflow how far it is: for the query `progress` and the details page."""
        if monotonic() - self.shown < max(SHOW_EVERY_SECONDS, (self.shown - self.began) * SHOW_SHARE):
            return
        self.shown = monotonic()
        info = activity.info()
        with contextlib.suppress(RPCError):
            await self.home._client.get_workflow_handle(info.workflow_id or "", run_id=info.workflow_run_id).signal(
                "progressed", self.tally, rpc_timeout=SIGNAL_LIMIT
            )

    # ---- one order ------------------------------------------------------------------------------------------------

    async def take(self, order: dict[str, Any]) -> None:
        """Through the intake, unless this attempt took this very version in already."""
        if activity.is_worker_shutdown():
            raise ApplicationError(
                "This worker is stopping; the backfill goes on from its heartbeat on another one",
                type=FailureType.HANDOVER,
                category=ApplicationErrorCategory.BENIGN,
                next_retry_delay=timedelta(seconds=1),
            )
        # An order that a webhook never brought starts as from a webhook; a known one has to compare versions.
        payload: dict[str, Any] = {"type": EventType.ORDER_UPDATED.value, "data": plain(order)}
        digest = payload_digest(payload)
        name = order_id_of(payload) or digest
        version = f"{digest}:{order.get('status')}"
        before = self.seen.get(name)
        if before == version:
            return
        changed = last_change(payload)
        if self.is_outside(payload):
            self.count(outside=1)
            self.seen[name] = version
            return
        age = None if changed is None else self.now() - changed
        if not self.by_hand and age is not None and age < self.grace:
            self.count(young=1)
            self.seen[name] = version
            return
        if len(json.dumps(payload, default=str)) > BODY_LIMIT:
            await self.refuse(name, "it is larger than 1 MB")
            self.seen[name] = version
            return
        pair = pair_of_currency(payload, self.home._pair, self.home._pairs)
        result: IntakeResult | None
        try:
            result, _ = await Intake(self.home._client, pair).take(
                payload, f"backfill:{name}:{digest[:32]}", backfill=self.run_id, forced=self.start.forced
            )
        except RPCError as error:
            if error.status is not RPCStatusCode.INVALID_ARGUMENT:
                raise
            await self.refuse(name, "Temporal does not take it")
            result = None
        self.seen[name] = version
        if result is not None:
            again = before is not None and result is IntakeResult.STARTED
            self.record(name, IntakeResult.DUPLICATE if again else result, is_gap=age is None or age >= self.grace)

    def is_outside(self, payload: dict[str, Any]) -> bool:
        """Of a range with an end: neither created nor changed in it."""
        until = self.start.until
        if until is None or self.start.since is None:
            return False
        stamps = [stamp for stamp in (created_at(payload), last_change(payload)) if stamp is not None]
        return bool(stamps) and not any(self.start.since <= stamp < until for stamp in stamps)

    def record(self, name: str, result: IntakeResult, *, is_gap: bool) -> None:
        """Count what became of an order. One that was started before a worker was killed is not counted twice."""
        self.count(seen=1)
        match result:
            case IntakeResult.STARTED if name in self.tally.started_ids:
                self.count(known=1)
            case IntakeResult.STARTED:
                self.count(started=1)
                self.keep("started_ids", name)
                if is_gap and not self.start.forced:
                    self.count(gaps=1)
                    self.keep("gap_ids", name)
            case IntakeResult.CHANGED:
                self.count(changed=1)
                self.keep("changed_ids", name)
            case IntakeResult.DUPLICATE:
                self.count(known=1)
            case IntakeResult.IGNORED:
                self.count(ignored=1)
            case IntakeResult.DEAD_LETTER:
                self.count(dead_letters=1)
            case IntakeResult.NEEDS_FORCE:
                self.count(needs_force=1)
                self.keep("needs_force_ids", name)

    async def refuse(self, name: str, why: str) -> None:
        """An order that cannot be started at all: a person enters it by hand. The next windows say so again, and
        people are told once."""
        alert = Alert(
            pair=self.start.pair,
            kind=AlertKind.ORDER_REFUSED,
            workflow_id=ids.backfill_schedule_id(self.start.pair),
            title=f"Order {name[:64]}",
            text=f"{why}; enter it by hand",
            occurrence=name[:64],
        )
        await try_alert(self.home._client, alert, self.start.pace)
        self.count(refused=1)
        self.keep("refused_ids", name)

    def count(self, **more: int) -> None:
        self.tally = self.tally.model_copy(
            update={field: getattr(self.tally, field) + number for field, number in more.items()}
        )

    def keep(self, field: str, name: str) -> None:
        kept: list[str] = getattr(self.tally, field)
        if name not in kept and len(kept) < IDS_KEPT:
            self.tally = self.tally.model_copy(update={field: [*kept, name[:64]]})
