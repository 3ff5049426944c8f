"""One web order of a pair in shadow mode: what would have become of it, without a write: `ShadowOrderWorkflow`.

In: `ShadowStart`. Out: `ShadowOrder`, which `ShadowComparisonWorkflow` holds against the order that people typed.

    transform → look up in Sage → customer (found, never created) → checks → Sage's preview

The steps are those of `OrderFulfillmentWorkflow`, as far as they only read. Nothing waits for a person: what would have
held the order stands in the result, all of it.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import FailureError

from activities.orders import OrderActivities
from activities.sage_read import SageReadActivities
from activities.sage_write import SageWriteActivities
from contracts import queues, retry
from contracts.failures import hold_for
from contracts.messages import CreateSalesOrder, FactsRequest, FindCustomer, TransformRequest
from contracts.shadow import ShadowStart
from mappings.customer_match import BY_CROSS_REFERENCE_IN_SAGE
from mappings.decisions import UNDECIDED, Decisions
from mappings.facts import review_problems
from mappings.intake import created_at
from mappings.problems import Finding, HoldReason
from mappings.sales_order import CustomerDecision, CustomerKey, CustomerMatch, Draft, SageFacts, Transformed
from mappings.shadow import ShadowOrder, purchase_order_of, undisturbed, would_be

Request = TypeVar("Request")
Result = TypeVar("Result")


@workflow.defn(name="ShadowOrderWorkflow")
class ShadowOrderWorkflow:
    """One version of one order; a later version is a run of its own."""

    @workflow.init
    def __init__(self, start: ShadowStart) -> None:
        """What is known before the first step."""
        self.start, self.order = start, start.order
        self.so_far = ShadowOrder(
            order_id=start.order.order_id,
            purchase_order=purchase_order_of(start.order.payload),
            created=created_at(start.order.payload) or start.order.received_at,
            cancelled=start.cancelled,
        )

    @workflow.run
    async def run(self, start: ShadowStart) -> ShadowOrder:
        """As far as it goes; what the outside systems refuse is a hold like any other."""
        try:
            await self.think()
        except FailureError as error:
            reason, problems = hold_for(error)
            self.found([Finding(reason=reason, problems=problems)])
        workflow.set_current_details(self.page())
        return self.so_far

    async def think(self) -> None:
        """The happy path."""
        transformed = await self.transform()
        self.note(
            order_number=transformed.order_number,
            mapping_version=transformed.mapping_version,
            remarks=transformed.warnings[:20],
        )
        draft = transformed.draft
        if draft is None:
            self.found([Finding(reason=HoldReason.INVALID_DATA, problems=transformed.problems[:50])])
            return
        self.note(sales_order=draft.sales_order, expected=draft.expected)
        if self.so_far.cancelled:
            return
        facts = await self.look_up(draft)
        match = facts.match
        if (
            match.decision is CustomerDecision.CREATE
            and (match := await self.find_customer(draft)).customer is not None
        ):
            # An account that was created a moment ago: its terms and aliases are looked at, too.
            facts = await self.look_up(draft, match.customer)
        self.note(sales_order=would_be(draft, facts), remarks=[*transformed.warnings, *facts.remarks][:20])
        self.found(facts.findings)
        await self.settle(draft, facts, match)

    async def settle(self, draft: Draft, facts: SageFacts, match: CustomerMatch) -> None:
        """The account and, on it, Sage's preview."""
        if match.decision is CustomerDecision.REVIEW:
            if all(one.reason is not HoldReason.CUSTOMER_REVIEW for one in facts.findings):
                self.found([Finding(reason=HoldReason.CUSTOMER_REVIEW, problems=review_problems(match))])
            return
        if match.customer is None:
            self.note(new_customer=draft.customer.new_customer)
            return
        self.note(customer=match.customer, customer_by=match.by)
        if any(one.reason is HoldReason.UNKNOWN_ITEM for one in facts.findings):
            return
        previewed = await self.step(
            SageWriteActivities.preview_sales_order,
            CreateSalesOrder(
                pair=self.order.pair,
                SalesOrderNo="",
                sales_order=facts.sales_order.for_customer(match.customer),
                expected=draft.expected,
                decisions=self.decisions(facts),
                checks=draft.checks,
                ship_to_to_add=facts.ship_to_to_add,
                authenticated=draft.customer.is_authenticated or match.by == BY_CROSS_REFERENCE_IN_SAGE,
            ),
            queues.sage_write(self.order.pair),
            "Sage's preview; nothing is written",
        )
        self.note(sales_order=previewed.sales_order, on_sage=previewed.on_sage)
        known = [(one.reason, one.check) for one in self.so_far.holds]
        self.found([one for one in previewed.findings if (one.reason, one.check) not in known])

    async def transform(self) -> Transformed:
        """Clarity's payload → draft or problems."""
        return await workflow.execute_local_activity_method(
            OrderActivities.transform_order,
            TransformRequest(pair=self.order.pair, payload=self.order.payload),
            start_to_close_timeout=retry.TRANSFORM_LIMIT,
            schedule_to_close_timeout=retry.TRANSFORM_LIMIT * 6,
            retry_policy=retry.TRANSFORM,
            summary="Clarity's order → Sage's draft",
        )

    async def look_up(self, draft: Draft, resolved: CustomerKey | None = None) -> SageFacts:
        """Sage's facts; what only the typed order makes suspicious (the same basket, an invoice) is looked past."""
        request = FactsRequest(pair=self.order.pair, draft=draft, resolved=resolved)
        queue, summary = queues.sage_read(self.order.pair), "Items, customer, credit, stock (ODBC)"
        facts = await self.step(SageReadActivities.read_sage_facts, request, queue, summary)
        decisions = self.decisions(facts)
        if decisions == UNDECIDED:
            return facts
        again = request.model_copy(update={"decisions": decisions})
        return await self.step(
            SageReadActivities.read_sage_facts, again, queue, f"{summary}, as if nobody had typed it"
        )

    def decisions(self, facts: SageFacts) -> Decisions:
        """Nobody decides on a shadow order."""
        return undisturbed(facts)

    async def find_customer(self, draft: Draft) -> CustomerMatch:
        """What the buyer's resolution would find before it creates."""
        found = await self.step(
            SageReadActivities.find_customer,
            FindCustomer(pair=self.order.pair, search=draft.customer),
            queues.sage_read(self.order.pair),
            "The buyer's account, once more",
        )
        return found.match

    async def step(
        self, step: Callable[[Any, Request], Awaitable[Result]], request: Request, queue: str, summary: str
    ) -> Result:
        """One call of an outside system; outages are waited out."""
        return await workflow.execute_activity_method(
            step,
            request,
            task_queue=queue,
            start_to_close_timeout=retry.one_call(self.order.pace),
            retry_policy=retry.outside_system(self.order.pace),
            summary=summary,
        )

    def note(self, **known: Any) -> None:
        """More is known."""
        self.so_far = self.so_far.model_copy(update=known)

    def found(self, findings: list[Finding]) -> None:
        """These would have held it; what waits in Sage would not."""
        holds = [one.model_copy(update={"problems": one.problems[:20]}) for one in findings if not one.in_sage]
        self.note(holds=[*self.so_far.holds, *holds])

    def page(self) -> str:
        """The details page."""
        one = self.so_far
        lines = ["## Shadow mode: nothing was written", ""]
        if one.cancelled:
            lines.append("Cancelled at Clarity.")
        lines += [
            f"Would be held: **{hold.reason.value}**, {hold.problems[0].message}" for hold in one.holds if hold.problems
        ]
        if not one.holds and one.customer is not None:
            lines.append(f"Would be created for customer {one.customer} ({one.customer_by}).")
        if one.new_customer is not None:
            lines.append("A customer would be created first.")
        if one.on_sage is not None:
            lines.append(f"Sage's preview comes to {one.on_sage.total:,.2f}.")
        return "\n".join(lines)[:15_000]
