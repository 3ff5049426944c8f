"""What Sage owns of customers, at Clarity: `CustomerAttributesWorkflow`, on the Schedule `customers-{pair}`.

In: the pair, its pace. Out: `AttributesMemory`, which the next run takes up as the last completion result. A run:

    read the accounts in Sage → those whose values are not those that Clarity was told → tell their web customers

A bucket's digest is forgotten before its accounts are told and set when they are, so that whatever ends a run, the
memory never says that Clarity was told what it was not.
"""

from datetime import timedelta

from temporalio import workflow

from activities.customer_sync import CustomerSyncReads, WebCustomerWrites
from contracts import queues, retry
from contracts.customers import (
    FIRST_CUSTOMERS,
    AttributesMemory,
    AttributesStart,
    AttributesTally,
    FindAccountChanges,
    TellAttributes,
)
from contracts.messages import Alert, AlertKind
from mappings.inventory import UNKNOWN, Digests
from workflows.telling import raise_alert

LONGEST_STEP = timedelta(hours=6)
"""Start-to-close of a page; whether it lives, heartbeats tell."""


@workflow.defn(name="CustomerAttributesWorkflow")
class CustomerAttributesWorkflow:
    """One run; see the module."""

    @workflow.init
    def __init__(self, start: AttributesStart) -> None:
        """Queries may come before `run`."""
        memory = None if start.dry_run else workflow.get_last_completion_result(AttributesMemory)
        self.start = start
        self.digests = Digests(memory.digests if memory is not None else "")
        self.tally = AttributesTally()

    @workflow.run
    async def run(self, start: AttributesStart) -> AttributesMemory:
        """Page by page, until every account's web customers have what Sage says, or the history is long enough."""
        heartbeat = timedelta(seconds=max(start.pace.poll_heartbeat_timeout, start.pace.call_limit))
        bucket: int | None = 0
        fresh = True
        while bucket is not None and not workflow.info().is_continue_as_new_suggested():
            found = await workflow.execute_activity_method(
                CustomerSyncReads.find_account_changes,
                FindAccountChanges(pair=start.pair, digests=self.digests.text, from_bucket=bucket, fresh=fresh),
                task_queue=queues.sage_read(start.pair),
                start_to_close_timeout=LONGEST_STEP,
                heartbeat_timeout=heartbeat,
                retry_policy=retry.outside_system(start.pace),
                summary="The accounts in Sage" if fresh else "The next accounts that changed",
            )
            bucket, fresh = found.next_bucket, False
            self.tally = self.tally.model_copy(update={"accounts": found.accounts})
            for one in found.buckets:
                self.digests[one.bucket] = UNKNOWN
            if found.rows:
                told = await workflow.execute_activity_method(
                    WebCustomerWrites.tell_attributes,
                    TellAttributes(pair=start.pair, rows=found.rows, dry_run=start.dry_run),
                    task_queue=queues.clarity(start.pair),
                    start_to_close_timeout=LONGEST_STEP,
                    heartbeat_timeout=heartbeat,
                    retry_policy=retry.outside_system(start.pace),
                    summary=f"{len(found.rows)} accounts → their web customers at Clarity",
                )
                self.tally = added(self.tally, told)
            for one in found.buckets:
                self.digests[one.bucket] = bytes.fromhex(one.digest)
            workflow.set_current_details(page(start, self.tally))
        if self.tally.refused:
            await self.tell()
        workflow.set_current_details(page(start, self.tally))
        return AttributesMemory(digests="" if start.dry_run else self.digests.text, tally=self.tally)

    async def tell(self) -> None:
        """Refusals are told once a run: those customers are tried again when their accounts change."""
        info = workflow.info()
        alert = Alert(
            pair=self.start.pair,
            kind=AlertKind.CUSTOMER_REVIEW,
            workflow_id=info.workflow_id,
            title=f"Customers of pair {self.start.pair}",
            text=f"Clarity refused the attributes of {self.tally.refused} customers: {self.tally.why_refused}",
            occurrence=info.run_id,
        )
        await raise_alert(alert, f"Alert: {self.tally.refused} customers refused")

    @workflow.query(description="What this run has done so far")
    def progress(self) -> AttributesTally:
        """For people and the command line."""
        return self.tally


def added(one: AttributesTally, other: AttributesTally) -> AttributesTally:
    """Both pages together."""
    return AttributesTally(
        accounts=one.accounts,
        looked_at=one.looked_at + other.looked_at,
        customers=one.customers + other.customers,
        told=one.told + other.told,
        told_ids=[*one.told_ids, *other.told_ids][:FIRST_CUSTOMERS],
        missing=one.missing + other.missing,
        refused=one.refused + other.refused,
        why_refused=one.why_refused or other.why_refused,
    )


def page(start: AttributesStart, tally: AttributesTally) -> str:
    """What the Web UI shows."""
    rows = [
        ("Accounts in Sage", f"{tally.accounts:,}"),
        ("… looked at, because they changed or nobody knew", f"{tally.looked_at:,}"),
        ("Their web customers", f"{tally.customers:,}"),
        ("Told (dry run: would be told)" if start.dry_run else "Told", f"{tally.told:,}"),
        ("Ids in UDF_WEB_CUSTOMER_ID that Clarity does not know", f"{tally.missing or ''}"),
        ("Refused by Clarity", f"{tally.refused or ''} {tally.why_refused}".strip()),
        ("The first of them", ", ".join(tally.told_ids)),
    ]
    lines = "\n".join(f"| {name} | {value} |" for name, value in rows if value)
    return f"## What Sage owns of customers of pair {start.pair} → Clarity\n\n| | |\n|---|---|\n{lines}"
