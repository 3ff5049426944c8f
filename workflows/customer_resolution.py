"""One new buyer, one account: `CustomerResolutionWorkflow`.

In: `CustomerStart` with what is known of the buyer, and a signal `attach` per waiting order. Out: a signal
`customer_resolved` to each of them. Orders of the same buyer share this workflow by its id, a keyed hash of the match
key (initials and postal code), so that simultaneous first orders make one account. Strangers may share it too: each
order is still matched by its own data.
"""

from datetime import timedelta

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
from mappings.facts import review_problems
from mappings.problems import HoldReason
from mappings.sales_order import CustomerDecision, CustomerKey, CustomerSearch


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
        self.made: list[CustomerKey] = []
        """Accounts that this run created: the next order of the same person finds them."""

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
        workflow.set_current_details("Looks for the buyer in Sage again, and creates the account if there is none.")
        answers: list[tuple[CustomerSearch, CustomerResolved]] = []
        while self.waiting:
            # One after the other: the second order of one person finds the account that the first one got.
            order, search = next(iter(self.waiting.items()))
            known = next((answer for asked, answer in answers if asked == search), None)
            answer = known or await self.resolve(start, search)
            if known is None:
                answers.append((search, answer))
            del self.waiting[order]
            await self.answer(order, answer)
        # No await between the last look at `waiting` and the return: nobody attaches unseen.
        return self.answered

    async def resolve(self, start: CustomerStart, search: CustomerSearch) -> CustomerResolved:
        """The account, found or created; or the hold that every waiting order takes."""
        try:
            found = await workflow.execute_activity_method(
                SageReadActivities.find_customer,
                FindCustomer(pair=start.pair, search=search, just_created=self.made),
                task_queue=queues.sage_read(start.pair),
                start_to_close_timeout=retry.SEVERAL_CALLS,
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
                self.made.append(created.customer)
                return CustomerResolved(customer=created.customer, created=True)

    async def answer(self, order_workflow_id: str, answer: CustomerResolved) -> None:
        """Signal one waiting order; an order that is gone needs no answer."""
        handle = workflow.get_external_workflow_handle(order_workflow_id)
        try:
            await handle.signal("customer_resolved", answer)
            self.answered += 1
        except ApplicationError:
            workflow.logger.info("An order that waited for its customer is gone", extra={"order": order_workflow_id})

    @workflow.signal(description="From an order: answer me by signal customer_resolved")
    def attach(self, order_workflow_id: str, search: CustomerSearch | None = None) -> None:
        """An order waits for its buyer's account, with what it knows of that buyer; asking twice is harmless."""
        self.waiting[order_workflow_id] = search or self.usual
