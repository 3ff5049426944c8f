"""A credit memo or a return in Sage, told at Clarity and to accounting: `CreditMemoWorkflow`.

In: `CreditMemoStart`, from the Sage poller, once per posted credit memo of an order of ours, open or complete. Out:
nothing; the entry `refundsDue` on Clarity's order, for information, and one alert `refund_due`. Nothing is paid here:
refunds are made at the gateway, and the reconciliation holds them against Sage's books.
"""

from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.clarity import ClarityActivities
from contracts import queues, retry
from contracts.failures import hold_for, in_short
from contracts.messages import Alert, AlertKind, CreditMemoStart
from mappings.problems import HoldReason
from workflows.telling import raise_alert


@workflow.defn(name="CreditMemoWorkflow")
class CreditMemoWorkflow:
    """Tells one credit memo, and ends."""

    @workflow.run
    async def run(self, start: CreditMemoStart) -> None:
        """Clarity first; what Clarity refuses (the order is gone there) is part of the alert."""
        memo = start.memo
        workflow.set_current_details(f"Credit memo {memo.InvoiceNo} of order {start.order_id}: {memo.amount:,.2f}")
        told = "Clarity's order says so"
        try:
            await workflow.execute_activity_method(
                ClarityActivities.tell_refund_due,
                start,
                task_queue=queues.clarity(start.pair),
                start_to_close_timeout=retry.several_calls(start.pace),
                heartbeat_timeout=retry.one_call(start.pace),
                retry_policy=retry.outside_system(start.pace),
                summary=f"Clarity: refund due by credit memo {memo.InvoiceNo}",
            )
        except ActivityError as error:
            reason, problems = hold_for(error)
            why = in_short(error) if reason is HoldReason.INTERNAL_ERROR else problems[0].message
            told = f"Clarity did not take it: {why}"[:300]
        what = f"credit memo {memo.InvoiceNo}" + (f" (return {memo.RMANo})" if memo.RMANo else "")
        alert = Alert(
            pair=start.pair,
            kind=AlertKind.REFUND_DUE,
            workflow_id=workflow.info().workflow_id,
            title=f"Order {start.order_id}",
            text=f"refund due by {what} of sales order {start.SalesOrderNo}: {memo.amount:,.2f}; {told}",
            occurrence=memo.InvoiceNo,
        )
        await raise_alert(alert, f"Alert: refund due by {what}")
