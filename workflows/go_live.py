"""Going live with orders under way: `GoLiveWorkflow`, by `python -m workers golive`.

In: `GoLiveStart`. Out: `GoLiveResult`. Without `adopt` it only looks: which open web orders there are, and which sales
orders people typed for them. With `adopt` it starts the workflow of each, which follows the sales order there is.
"""

from datetime import UTC, datetime, time, timedelta
from typing import Final

from temporalio import workflow

from activities.golive import GoLiveActivities, OpenOrderActivities
from contracts import queues, retry
from contracts.golive import (
    Adopted,
    AdoptOrders,
    GoLiveResult,
    GoLiveStart,
    MatchOpenOrders,
    OpenOrdersPage,
)
from mappings.golive import OpenMatch, OpenWebOrder, once_each

ORDERS_AT_ONCE: Final = 100
ROUNDS: Final = 6
"""Readings of a list that moves."""
LONGEST_CALL: Final = timedelta(minutes=30)


@workflow.defn(name="GoLiveWorkflow")
class GoLiveWorkflow:
    """One look, or one round of adoptions."""

    @workflow.run
    async def run(self, start: GoLiveStart) -> GoLiveResult:
        """See the module."""
        if start.adopt:
            return GoLiveResult(adopted=await self.adopt(start))
        orders, unseen = await self.open_orders(start)
        matches = once_each(await self.match(start, orders))
        known = {one.order_id for one in orders} | {one.number for one in orders}
        not_open = [name for name in start.named if name not in known]
        return GoLiveResult(matches=matches, not_open=not_open, unseen=unseen)

    async def open_orders(self, start: GoLiveStart) -> tuple[list[OpenWebOrder], int]:
        """The open ones, and how many of the list were not seen.

        Clarity's list moves while it is read: an order that changes goes to another place, and those behind it move up
        a page. So it is read again until as many orders were seen as it has; no order ever leaves it.
        """
        found: dict[str, OpenWebOrder] = {}
        seen: set[str] = set()
        listed = 0
        for _ in range(ROUNDS):
            listed = await self.read_list(start, found, seen)
            if len(seen) >= listed:
                break
        orders = sorted(found.values(), key=lambda one: (one.created, one.order_id))
        return orders, max(listed - len(seen), 0)

    async def read_list(self, start: GoLiveStart, found: dict[str, OpenWebOrder], seen: set[str]) -> int:
        """One reading of Clarity's list into `found` and `seen`: what it says last of an order counts. Returns its
        length."""
        page: int | None = 0
        listed = 0
        while page is not None:
            read = await workflow.execute_activity_method(
                GoLiveActivities.list_open_orders,
                OpenOrdersPage(pair=start.pair, since=datetime.combine(start.since, time(), UTC), page=page),
                task_queue=queues.clarity(start.pair),
                start_to_close_timeout=LONGEST_CALL,
                heartbeat_timeout=timedelta(seconds=start.pace.poll_heartbeat_timeout),
                retry_policy=retry.outside_system(start.pace),
                summary=f"Open web orders, from page {page}",
            )
            for name in read.seen:
                found.pop(name, None)
            found |= {one.order_id: one for one in read.orders}
            seen.update(read.seen)
            page, listed = read.next_page, read.listed
        return listed

    async def match(self, start: GoLiveStart, orders: list[OpenWebOrder]) -> list[OpenMatch]:
        """Some orders at a time."""
        matches: list[OpenMatch] = []
        for first in range(0, len(orders), ORDERS_AT_ONCE):
            some = orders[first : first + ORDERS_AT_ONCE]
            names = {name for one in some for name in (one.order_id, one.number)}
            found = await workflow.execute_activity_method(
                OpenOrderActivities.match_open_orders,
                MatchOpenOrders(
                    pair=start.pair,
                    orders=some,
                    named={name: number for name, number in start.named.items() if name in names},
                ),
                task_queue=queues.sage_read(start.pair),
                start_to_close_timeout=LONGEST_CALL,
                heartbeat_timeout=timedelta(seconds=start.pace.poll_heartbeat_timeout),
                retry_policy=retry.outside_system(start.pace),
                summary=f"Sales orders of {len(some)} web orders",
            )
            matches += found.matches
        return matches

    async def adopt(self, start: GoLiveStart) -> list[Adopted]:
        """Likewise."""
        adopted: list[Adopted] = []
        wanted = list(start.adopt.items())
        for first in range(0, len(wanted), ORDERS_AT_ONCE):
            some = dict(wanted[first : first + ORDERS_AT_ONCE])
            done = await workflow.execute_activity_method(
                GoLiveActivities.adopt_orders,
                AdoptOrders(pair=start.pair, orders=some),
                task_queue=queues.clarity(start.pair),
                start_to_close_timeout=LONGEST_CALL,
                heartbeat_timeout=timedelta(seconds=start.pace.poll_heartbeat_timeout),
                retry_policy=retry.outside_system(start.pace),
                summary=f"Start {len(some)} orders that Sage has",
            )
            adopted += done.orders
        return adopted
