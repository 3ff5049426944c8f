"""One new buyer, one account: `CustomerResolutionWorkflow`.

In: `CustomerStart` with what is known of the buyer, and a signal `attach` per waiting order. Out: a signal
`customer_resolved` to each of them. Orders of the same buyer share this workflow by its id, a keyed hash of the match
key (initials and postal code), so that simultaneous first orders make one account. Strangers may share it too: each
order is still matched by its own data. A run that made an account stays a while, because an order that comes a moment
later without an e-mail is matched only to what this run itself has made (rules 6).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from activities.sage_read import SageReadActivities
from activities.sage_write import SageWriteActivities
from contracts import queues, retry
from contracts.failures import hold_for
from contracts.messages import (
    CreateCustomer,
    CustomerResolved,
    CustomerStart,
    FindCustomer,
    ReserveRequest,
)
from mappings.customer_match import buyer_of
from mappings.facts import review_problems
from mappings.problems import HoldReason
from mappings.sales_order import CustomerDecision, CustomerKey, CustomerSearch

STAYS = "stays-for-late-first-orders"
"""Patch: the run does not end with its last answer once it has made an account."""
STAY = timedelta(minutes=10)
"""After the last account it made: as long as the match index calls an account new (`APPEARED_SECONDS`)."""


@workflow.defn(name="CustomerResolutionWorkflow")
class CustomerResolutionWorkflow:
    """Look again, create once, answer everybody who waits."""

    @workflow.init
    def __init__(self, start: CustomerStart) -> None:
        """Waiters may attach before `run`."""
        self.waiting: dict[str, CustomerSearch] = {}
        """Order workflow id → what that order knows of its buyer."""
        self.usual = start.search
        self.answered = 0
        self.made: dict[CustomerKey, bool] = {}
        """Accounts that this run created → whether for an order that a person decided to be a new buyer's."""
        self.stays_until: datetime | None = None
        self.given: dict[str, tuple[CustomerSearch, CustomerResolved]] = {}
        """Order workflow id → what it asked and got: asking again after a lost answer makes no second account."""

    @workflow.run
    async def run(self, start: CustomerStart) -> int:
        """Returns how many orders were answered."""
        workflow.set_current_details("Waits for an order to ask for this buyer's account.")
        try:
            # Started by signal-with-start, so a waiter is there at once; started by hand, there may never be one.
            await workflow.wait_condition(
                lambda: bool(self.waiting),
                timeout=timedelta(seconds=start.pace.customer_deadline),
                timeout_summary="Waits for the first order to attach",
            )
        except TimeoutError:
            return 0
        while True:
            workflow.set_current_details("Looks for the buyer in Sage again, and creates the account if there is none.")
            await self.answer_waiting(start)
            # No await between the last look at `waiting` and the return: nobody attaches unseen.
            if self.stays_until is None or not workflow.patched(STAYS):
                return self.answered
            workflow.set_current_details("Has made an account, and waits for other first orders of the same buyer.")
            try:
                await workflow.wait_condition(
                    lambda: bool(self.waiting),
                    timeout=max(self.stays_until - workflow.now(), timedelta(0)),
                    timeout_summary="Waits for late first orders of the same buyer",
                )
            except TimeoutError:
                if not self.waiting:
                    return self.answered

    async def answer_waiting(self, start: CustomerStart) -> None:
        """One after the other: the second order of one person finds the account that the first one got."""
        answers: list[tuple[CustomerSearch, CustomerResolved]] = []
        while self.waiting:
            order, search = next(iter(self.waiting.items()))
            known = self.known_answer(order, search, answers)
            answer = known or await self.resolve(start, search)
            if known is None:
                answers.append((search, answer))
            if self.waiting[order] == search:
                # Else it asked again meanwhile, about another buyer: that is answered next.
                del self.waiting[order]
            self.given[order] = (search, answer)
            await self.answer(order, answer.model_copy(update={"asked": buyer_of(search)}))

    def known_answer(
        self, order: str, search: CustomerSearch, answers: Sequence[tuple[CustomerSearch, CustomerResolved]]
    ) -> CustomerResolved | None:
        """The account made for this order before, or the answer to an order beside it that knows the very same.

        Of unpaid orders each is looked for: an account is shared only by what is paid in full (rules 6). A hold is
        never repeated later: somebody may have released it with what Sage knows now.
        """
        asked, got = self.given.get(order, (None, None))
        if got is not None and asked == search and got.created:
            return got
        return next(
            (one for asked, one in answers if asked == search and (search.fully_captured or one.customer is None)), None
        )

    async def resolve(self, start: CustomerStart, search: CustomerSearch) -> CustomerResolved:
        """The account, found or created; or the hold that every waiting order takes."""
        try:
            found = await workflow.execute_activity_method(
                SageReadActivities.find_customer,
                FindCustomer(pair=start.pair, search=search, just_created=self.made_for(search)),
                task_queue=queues.sage_read(start.pair),
                start_to_close_timeout=retry.several_calls(start.pace),
                retry_policy=retry.outside_system(start.pace),
                summary="Look again by every key, in Sage as it is now",
            )
            if found.match.decision is CustomerDecision.MATCHED:
                return CustomerResolved(customer=found.match.customer)
            if found.match.decision is CustomerDecision.REVIEW:
                return CustomerResolved(hold=HoldReason.CUSTOMER_REVIEW, problems=review_problems(found.match))
            return await self.create(start, search)
        except ActivityError as error:
            reason, problems = hold_for(error)
            return CustomerResolved(hold=reason, problems=problems)

    async def create(self, start: CustomerStart, search: CustomerSearch) -> CustomerResolved:
        """Reserve a number, create under it; a number that is somebody else's is left alone."""
        while True:
            number = await workflow.execute_activity_method(
                SageWriteActivities.reserve_customer_number,
                ReserveRequest(pair=start.pair),
                task_queue=queues.sage_write(start.pair),
                start_to_close_timeout=retry.one_call(start.pace),
                retry_policy=retry.outside_system(start.pace),
                summary="Reserve a CustomerNo, so that the create can be repeated safely",
            )
            created = await workflow.execute_activity_method(
                SageWriteActivities.create_customer,
                CreateCustomer(pair=start.pair, CustomerNo=number, search=search),
                task_queue=queues.sage_write(start.pair),
                start_to_close_timeout=retry.one_call(start.pace),
                retry_policy=retry.outside_system(start.pace),
                summary=f"Create customer {search.new_customer.ARDivisionNo}-{number}",
            )
            if created.customer is not None:
                self.made[created.customer] = search.decided_new
                self.stays_until = workflow.now() + STAY
                return CustomerResolved(customer=created.customer, created=True)

    def made_for(self, search: CustomerSearch) -> list[CustomerKey]:
        """Accounts that this run made and the buyer may be given.

        Whoever decided that a buyer is new saw the accounts there were: only those of other such orders came later.
        """
        return [key for key, decided in self.made.items() if decided or not search.decided_new]

    async def answer(self, order_workflow_id: str, answer: CustomerResolved) -> None:
        """Signal one waiting order; an order that is gone needs no answer."""
        handle = workflow.get_external_workflow_handle(order_workflow_id)
        try:
            await handle.signal("customer_resolved", answer)
            self.answered += 1
        except ApplicationError:
            workflow.logger.info(
                "An order that waited for its customer is gone", extra={"workflow_id": order_workflow_id}
            )

    @workflow.signal(description="From an order: answer me by signal customer_resolved")
    def attach(self, order_workflow_id: str, search: CustomerSearch | None = None) -> None:
        """An order waits for its buyer's account, with what it knows of that buyer; asking twice is harmless."""
        self.waiting[order_workflow_id] = search or self.usual
