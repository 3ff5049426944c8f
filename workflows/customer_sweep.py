"""Customers on both sides, at intervals: `CustomerSweepWorkflow`, on the Schedule `customers-{pair}`.

In: the pair, its pace. Out: `CustomerSweepMemory`, which the next run takes up as the last completion result. A run:

    what changed at Clarity and no webhook told → CustomerSyncWorkflow, as if the webhook had come
    the accounts in Sage whose values are not those that Clarity was told → their web customers are told

A bucket's digest is forgotten before its accounts are told and set when they are, so that whatever ends a run, the
memory never says that Clarity was told what it was not.
"""

from datetime import timedelta

from temporalio import workflow

from activities.customer_catch_up import CustomerCatchUp
from activities.customer_sync import CustomerSyncReads, WebCustomerWrites
from contracts import queues, retry
from contracts.customers import (
    FIRST_CUSTOMERS,
    CatchUpCustomers,
    CustomerSweepMemory,
    CustomerSweepStart,
    CustomerSweepTally,
    FindAccountChanges,
    TellAttributes,
)
from contracts.messages import Alert, AlertKind
from mappings.inventory import UNKNOWN, Digests
from workflows.telling import raise_alert

LONGEST_STEP = timedelta(hours=6)
"""Start-to-close of a page; whether it lives, heartbeats tell."""


@workflow.defn(name="CustomerSweepWorkflow")
class CustomerSweepWorkflow:
    """One run; see the module."""

    @workflow.init
    def __init__(self, start: CustomerSweepStart) -> None:
        """Queries may come before `run`."""
        memory = None if start.dry_run else workflow.get_last_completion_result(CustomerSweepMemory)
        self.start = start
        self.digests = Digests(memory.digests if memory is not None else "")
        overlap = timedelta(seconds=start.pace.backfill_overlap)
        self.since = (memory.listed_since if memory is not None else None) or workflow.now() - overlap
        """The first run looks back a moment, never over everything."""
        self.tally = CustomerSweepTally()

    @workflow.run
    async def run(self, start: CustomerSweepStart) -> CustomerSweepMemory:
        """What webhooks missed, then what Sage owns."""
        if not start.dry_run:
            await self.catch_up()
        if start.owned:
            await self.tell_what_sage_owns()
        if self.tally.refused:
            await self.tell()
        workflow.set_current_details(page(start, self.tally))
        return CustomerSweepMemory(
            digests="" if start.dry_run else self.digests.text, listed_since=self.since, tally=self.tally
        )

    def heartbeat(self) -> timedelta:
        """Silence after which a step is given up; it heartbeats after each call or page."""
        return timedelta(seconds=max(self.start.pace.poll_heartbeat_timeout, self.start.pace.call_limit))

    async def catch_up(self) -> None:
        """Customers that changed at Clarity, and of whom no run knows."""
        found = await workflow.execute_activity_method(
            CustomerCatchUp.catch_up_customers,
            CatchUpCustomers(pair=self.start.pair, since=self.since, now=workflow.now()),
            task_queue=queues.clarity(self.start.pair),
            start_to_close_timeout=LONGEST_STEP,
            heartbeat_timeout=self.heartbeat(),
            retry_policy=retry.outside_system(self.start.pace),
            summary="Customers that changed at Clarity, and no webhook told",
        )
        self.since = found.next_since
        self.tally = self.tally.model_copy(
            update={"listed": found.listed, "missed": found.started, "missed_ids": found.started_ids}
        )

    async def tell_what_sage_owns(self) -> None:
        """Page by page, until every account's web customers have what Sage says, or the history is long enough."""
        start = self.start
        bucket: int | None = 0
        fresh = True
        while bucket is not None and not workflow.info().is_continue_as_new_suggested():
            found = await workflow.execute_activity_method(
                CustomerSyncReads.find_account_changes,
                FindAccountChanges(pair=start.pair, digests=self.digests.text, from_bucket=bucket, fresh=fresh),
                task_queue=queues.sage_read(start.pair),
                start_to_close_timeout=LONGEST_STEP,
                heartbeat_timeout=self.heartbeat(),
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
                    heartbeat_timeout=self.heartbeat(),
                    retry_policy=retry.outside_system(start.pace),
                    summary=f"{len(found.rows)} accounts → their web customers at Clarity",
                )
                self.tally = added(self.tally, told)
            for one in found.buckets:
                self.digests[one.bucket] = bytes.fromhex(one.digest)
            workflow.set_current_details(page(start, self.tally))

    async def tell(self) -> None:
        """Refusals are told once a run: those customers are tried again when their accounts change."""
        info = workflow.info()
        alert = Alert(
            pair=self.start.pair,
            kind=AlertKind.CUSTOMER_REVIEW,
            workflow_id=info.workflow_id,
            title=f"Customers of pair {self.start.pair}",
            text=f"Clarity refused the attributes of {self.tally.refused} customers; the run's details page says why",
            occurrence=info.run_id,
        )
        await raise_alert(alert, f"Alert: {self.tally.refused} customers refused")

    @workflow.query(description="What this run has done so far")
    def progress(self) -> CustomerSweepTally:
        """For people and the command line."""
        return self.tally


def added(one: CustomerSweepTally, other: CustomerSweepTally) -> CustomerSweepTally:
    """Both pages together."""
    return CustomerSweepTally(
        listed=one.listed,
        missed=one.missed,
        missed_ids=one.missed_ids,
        accounts=one.accounts,
        looked_at=one.looked_at + other.looked_at,
        customers=one.customers + other.customers,
        told=one.told + other.told,
        told_ids=[*one.told_ids, *other.told_ids][:FIRST_CUSTOMERS],
        missing=one.missing + other.missing,
        refused=one.refused + other.refused,
        why_refused=one.why_refused or other.why_refused,
    )


def page(start: CustomerSweepStart, tally: CustomerSweepTally) -> str:
    """What the Web UI shows."""
    rows = [
        ("Customers that changed at Clarity", f"{tally.listed:,}"),
        ("… whose webhook never came", f"{tally.missed or ''}"),
        ("The first of them", ", ".join(tally.missed_ids)),
        ("Accounts in Sage", f"{tally.accounts:,}"),
        ("… looked at, because they changed or nobody knew", f"{tally.looked_at:,}"),
        ("Their web customers", f"{tally.customers:,}"),
        ("Told (dry run: would be told)" if start.dry_run else "Told", f"{tally.told:,}"),
        ("Ids in UDF_WEB_CUSTOMER_ID that Clarity does not know", f"{tally.missing or ''}"),
        ("Refused by Clarity", f"{tally.refused or ''} {tally.why_refused}".strip()),
        ("The first that were told", ", ".join(tally.told_ids)),
    ]
    lines = "\n".join(f"| {name} | {value} |" for name, value in rows if value)
    return f"## Customers of pair {start.pair}\n\n| | |\n|---|---|\n{lines}"
