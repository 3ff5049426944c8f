"""Candidates of a promotion: our order workflow as somebody may have changed it."""

from temporalio import workflow

from contracts.messages import OrderOutcome, OrderStart
from workflows.order_fulfillment import OrderFulfillmentWorkflow

NEW_PATCH = "memo-after-acknowledgement"
NEW_TRACKING = "JD-0001"


@workflow.defn(name="OrderFulfillmentWorkflow")
class CompatibleOrder(OrderFulfillmentWorkflow):
    """A step more, guarded by a patch."""

    @workflow.init
    def __init__(self, start: OrderStart) -> None:
        super().__init__(start)

    @workflow.run
    async def run(self, start: OrderStart) -> OrderOutcome:
        return await super().run(start)

    async def acknowledge(self) -> None:
        await super().acknowledge()
        if workflow.patched(NEW_PATCH):
            workflow.upsert_memo({"acknowledged": True})


@workflow.defn(name="OrderFulfillmentWorkflow")
class IncompatibleOrder(OrderFulfillmentWorkflow):
    """The same step without the patch."""

    @workflow.init
    def __init__(self, start: OrderStart) -> None:
        super().__init__(start)

    @workflow.run
    async def run(self, start: OrderStart) -> OrderOutcome:
        return await super().run(start)

    async def acknowledge(self) -> None:
        await super().acknowledge()
        workflow.upsert_memo({"acknowledged": True})


@workflow.defn(name="OrderFulfillmentWorkflow")
class FailingOrder(CompatibleOrder):
    """Compatible with every history, and wrong where none has been: with tracking numbers of a new form."""

    @workflow.init
    def __init__(self, start: OrderStart) -> None:
        super().__init__(start)

    @workflow.run
    async def run(self, start: OrderStart) -> OrderOutcome:
        return await super().run(start)

    async def record_invoices(self) -> None:
        if any(package.TrackingID == NEW_TRACKING for invoice in self.own_invoices() for package in invoice.Packages):
            raise ZeroDivisionError("a bug of the candidate")
        await super().record_invoices()
