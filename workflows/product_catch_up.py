"""All products against all items: `ProductCatchUpWorkflow`, on the Schedule `products-{pair}` or by hand.

In: `ProductCatchUpStart`. Out: `ProductCatchUpResult`, of which the next scheduled run takes up the memory. It finds
what no webhook told and what changed in Sage, which has no webhooks, and starts the run of each product that is not in
step. By hand it looks at all of them and lists what differs, and with `dry_run` does nothing else.
"""

from datetime import timedelta

from temporalio import workflow

from activities.product_runs import ProductRunActivities
from activities.products import SageProductActivities, StoreProductActivities
from contracts import queues, retry
from contracts.messages import Alert, AlertKind
from contracts.products import (
    MOST_ROWS,
    MOST_STARTS,
    CatchUpMemory,
    CatchUpTally,
    ComparedProduct,
    CompareProducts,
    DifferenceRow,
    ListProducts,
    ProductCatchUpResult,
    ProductCatchUpStart,
    ProductsCompared,
    ProductsListed,
    ProductsStarted,
    ScanItems,
    StartProducts,
)
from mappings.products import SideDigests, bucket_of, shown
from workflows.telling import raise_alert

LONGEST_STEP = timedelta(hours=12)
"""Start-to-close of a reading; whether it lives is known from its heartbeats."""


@workflow.defn(name="ProductCatchUpWorkflow")
class ProductCatchUpWorkflow:
    """One comparison; see the module."""

    @workflow.init
    def __init__(self, start: ProductCatchUpStart) -> None:
        """Queries may come before `run`."""
        self.start = start
        self.tally = CatchUpTally(began=workflow.now())

    @workflow.run
    async def run(self, start: ProductCatchUpStart) -> ProductCatchUpResult:
        """Sage's side as digests, then the store's products that differ from the memory, page by page."""
        memory = self.known()
        self.show()
        scanned = await workflow.execute_activity_method(
            SageProductActivities.scan_items,
            ScanItems(pair=start.pair, pace=start.pace),
            task_queue=queues.sage_read(start.pair),
            start_to_close_timeout=LONGEST_STEP,
            heartbeat_timeout=timedelta(seconds=start.pace.poll_heartbeat_timeout),
            retry_policy=retry.outside_system(start.pace),
            summary="Every item in Sage, as digests",
        )
        self.note(items=scanned.items, unreadable=len(scanned.unreadable))
        await self.tell_unreadable(scanned.unreadable, memory.unreadable)
        sage, clarity, rules = SideDigests(scanned.digests), SideDigests(), ""
        after: list[str] | None = []
        while after is not None:
            listed = await self.page_of(memory, scanned.digests, after)
            if not after:
                # What changes while the pages are read is a change to the next catch-up.
                clarity, rules = SideDigests(listed.clarity), listed.rules
                self.note(listed=listed.listed, unreadable=self.tally.unreadable + listed.unreadable)
            after = listed.after
            if listed.products:
                for one in await self.treat(listed):
                    for column in columns_of(one):
                        for side in (sage, clarity):
                            side.forget(bucket_of(one.plan.product.sku, column))
        self.note(done=True)
        self.show()
        kept = CatchUpMemory(sage=sage.text, clarity=clarity.text, rules=rules, unreadable=scanned.unreadable)
        return ProductCatchUpResult(tally=self.tally, memory=CatchUpMemory() if start.by_hand else kept)

    async def tell_unreadable(self, codes: list[str], told: list[str]) -> None:
        """Rows of CI_Item that make no sense: one alert for those of which people do not know."""
        new = [code for code in codes if code not in told]
        if not new or self.start.by_hand:
            return
        alert = Alert(
            pair=self.start.pair,
            kind=AlertKind.UNREADABLE,
            workflow_id=workflow.info().workflow_id,
            title=f"Products of pair {self.start.pair}",
            text=f"Items in Sage that cannot be read, and are not kept in step: {', '.join(new)}",
            occurrence=workflow.info().run_id,
        )
        await raise_alert(alert, f"Alert: {len(new)} items cannot be read")

    def known(self) -> CatchUpMemory:
        """What the last scheduled run remembered; by hand what was given."""
        if self.start.by_hand:
            return self.start.memory
        last = workflow.get_last_completion_result(ProductCatchUpResult)
        return last.memory if last is not None else CatchUpMemory()

    async def page_of(self, memory: CatchUpMemory, sage: str, after: list[str]) -> ProductsListed:
        """Products of the store of which something is not as remembered, on either side."""
        return await workflow.execute_activity_method(
            StoreProductActivities.list_products,
            ListProducts(
                pair=self.start.pair,
                pace=self.start.pace,
                reading=workflow.info().run_id,
                after=after,
                memory=memory,
                sage=sage,
                everything=self.start.by_hand,
                skus=self.start.skus,
            ),
            task_queue=queues.clarity(self.start.pair),
            start_to_close_timeout=LONGEST_STEP,
            heartbeat_timeout=max(
                timedelta(seconds=self.start.pace.poll_heartbeat_timeout), retry.one_call(self.start.pace)
            ),
            retry_policy=retry.outside_system(self.start.pace),
            summary="Products of the store in which anything changed",
        )

    async def treat(self, listed: ProductsListed) -> list[ComparedProduct]:
        """Compare a page, and start what is to be started; returns the products that are not in step."""
        compared = await workflow.execute_activity_method(
            SageProductActivities.compare_products,
            CompareProducts(
                pair=self.start.pair,
                pace=self.start.pace,
                products=listed.products,
                sage_change=listed.sage_change,
                clarity_change=listed.clarity_change,
            ),
            task_queue=queues.sage_read(self.start.pair),
            start_to_close_timeout=LONGEST_STEP,
            heartbeat_timeout=timedelta(seconds=self.start.pace.poll_heartbeat_timeout),
            retry_policy=retry.outside_system(self.start.pace),
            summary=f"{len(listed.products)} products against their items",
        )
        self.count(listed, compared)
        if not compared.found or self.start.dry_run:
            return compared.found
        room = MOST_STARTS - self.tally.started
        started = await self.begin(compared.found[:room], compared.rules) if room > 0 else ProductsStarted()
        self.note(
            started=self.tally.started + len(started.started),
            at_work=self.tally.at_work + len(started.at_work),
            settled=self.tally.settled + len(started.settled),
            put_off=self.tally.put_off + len(compared.found[room:] if room > 0 else compared.found),
        )
        if self.start.by_hand:
            self.note(workflows=[*self.tally.workflows, *started.started.values()][:MOST_ROWS])
        self.show()
        settled = set(started.settled)
        return [one for one in compared.found if one.plan.product.id not in settled]

    async def begin(self, found: list[ComparedProduct], rules: str) -> ProductsStarted:
        """A run for each."""
        return await workflow.execute_activity_method(
            ProductRunActivities.start_products,
            StartProducts(pair=self.start.pair, pace=self.start.pace, found=found, rules=rules),
            task_queue=queues.ORDERS,
            start_to_close_timeout=retry.SEVERAL_CALLS,
            heartbeat_timeout=retry.TEMPORAL_CALL,
            retry_policy=retry.outside_system(self.start.pace),
            summary=f"Runs of {len(found)} products",
        )

    # ---- counting and showing ---------------------------------------------------------------------------------------

    def count(self, listed: ProductsListed, compared: ProductsCompared) -> None:
        """What a page told."""
        left = dict(self.tally.left_alone)
        for reason, number in compared.left_alone.items():
            left[reason] = left.get(reason, 0) + number
        plans = [one.plan for one in compared.found]
        self.note(
            looked_at=self.tally.looked_at + len(listed.products),
            in_step=self.tally.in_step + compared.in_step,
            left_alone=dict(sorted(left.items())),
            differences=self.tally.differences + sum(len(plan.differences) for plan in plans),
            new=self.tally.new + sum(plan.new_item is not None for plan in plans),
            problems=self.tally.problems + sum(len(plan.problems) for plan in plans),
        )
        if self.start.by_hand:
            rows = [row for one in compared.found for row in rows_of(one)]
            self.note(rows=[*self.tally.rows, *rows][:MOST_ROWS])

    @workflow.query(description="What was compared and started so far")
    def progress(self) -> CatchUpTally:
        """For people, the command line and the console."""
        return self.tally

    def note(self, **changes: object) -> None:
        """Keep what was done."""
        self.tally = self.tally.model_copy(update=changes)

    def show(self) -> None:
        """The details page (that costs no event)."""
        workflow.set_current_details(page(self.start, self.tally))


def columns_of(one: ComparedProduct) -> list[str]:
    """Fields of which nobody knows, once a run has been started, how they will be; of a new product all."""
    plan = one.plan
    columns = {difference.column for difference in plan.differences}
    columns |= {problem.field.removeprefix("CI_Item.") for problem in plan.problems}
    return sorted(columns | (set(plan.product.values) if plan.new_item is not None or plan.problems else set()))


def rows_of(one: ComparedProduct) -> list[DifferenceRow]:
    """A product's lines of the table."""
    plan = one.plan
    names = {"sku": plan.product.sku, "ItemCode": plan.ItemCode}
    rows = [
        DifferenceRow(
            **names,
            field=f"{difference.column}/{difference.field}",
            sage=shown(difference.sage),
            clarity=shown(difference.clarity),
            becomes="conflict" if difference.conflict else difference.action.value,
            why=difference.why,
        )
        for difference in plan.differences
    ]
    refused = {difference.why for difference in plan.differences}
    rows += [
        DifferenceRow(**names, field=problem.field, sage="", clarity="", becomes="refused", why=problem.message)
        for problem in plan.problems
        if problem.message not in refused
    ]
    if plan.new_item is not None:
        made = ", ".join(f"{name} {value}" for name, value in plan.new_item.columns.items())
        rows.append(
            DifferenceRow(**names, field="CI_Item", sage="nothing", clarity="new", becomes="new item", why=made[:200])
        )
    return rows


def page(start: ProductCatchUpStart, tally: CatchUpTally) -> str:
    """What the Web UI shows."""
    left = ", ".join(f"{number} {reason.replace('_', ' ')}" for reason, number in tally.left_alone.items())
    rows = [
        ("Items in Sage", tally.items),
        ("Products in the store", tally.listed),
        ("Looked at: something changed, or nobody knows", tally.looked_at),
        ("In step", tally.in_step),
        ("Left alone", left),
        ("Fields that differ", tally.differences),
        ("New products", tally.new),
        ("Problems", tally.problems),
        ("Runs started", tally.started),
        ("At work already", tally.at_work),
        ("Left as a person decided", tally.settled),
        ("Put off to the next one", tally.put_off),
        ("Unreadable", tally.unreadable),
    ]
    lines = "\n".join(f"| {name} | {value} |" for name, value in rows if value)
    how = "dry run: nothing is written" if start.dry_run else "by hand" if start.by_hand else "scheduled"
    head = f"## Products of pair {start.pair} ({how}): {'done' if tally.done else 'running'}"
    return f"{head}\n\n| | |\n|---|---|\n{lines}"
