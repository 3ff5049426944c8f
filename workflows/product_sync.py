"""One product and its item, brought in step: `ProductSyncWorkflow`.

In: `ProductStart`, the product's id in the store. Out: `ProductView`, what was done. A run reads the store, then Sage,
writes to each side what the other one owns, and looks again whenever a value was not what it had seen or the product
changed meanwhile. What needs a person waits here: a new item, and, where the pair asks, a field that both sides
changed. What cannot be done is told, and left to the next catch-up; no other product waits for it.
"""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from pydantic import ValidationError
from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from activities.products import SageProductActivities, StoreProductActivities
from contracts import queues, retry
from contracts import search_attributes as attributes
from contracts.failures import hold_for
from contracts.messages import Alert, AlertKind
from contracts.products import (
    MEMO,
    BroughtBy,
    CreateItem,
    PlanProduct,
    ProductAction,
    ProductHold,
    ProductMemory,
    ProductPlanned,
    ProductRelease,
    ProductStart,
    ProductState,
    ProductView,
    ReadProduct,
    WriteItem,
    WriteProduct,
    Written,
)
from mappings.pair import FieldOwner
from mappings.problems import Problem
from mappings.products import Action, Difference, NewItem, ProductPlan, WebProduct, agreed_now, shown
from workflows.telling import raise_alert

ROUNDS = 20
"""Looks of one run that changes follow each other in; the next catch-up takes up the rest."""
APPROVE = '{"action": "approve", "by": "your name", "reason": "%s"}'
DISCARD = '{"action": "discard", "by": "your name", "reason": "%s", "note": "…"}'


@workflow.defn(name="ProductSyncWorkflow")
class ProductSyncWorkflow:
    """See the module."""

    @workflow.init
    def __init__(self, start: ProductStart) -> None:
        """Messages may come before `run`."""
        self.start = start
        self.changes = 0
        """Told so often that the product changed."""
        self.memory = start.memory
        self.product: WebProduct | None = None
        self.plan: ProductPlan | None = None
        self.state = ProductState.AT_WORK
        self.hold: ProductHold | None = None
        self.asked: list[str] = []
        self.reminders = 0
        self.decision: ProductRelease | None = None
        self.decisions: list[str] = []
        self.done: list[str] = []
        self.overwritten: list[str] = []
        """Of `done`: what somebody may have meant."""
        self.rounds = 0
        self.refused = ""
        """Why Sage did not take the new item, the last time."""
        self.problems: dict[str, Problem] = {}
        """By column, of the last look; what no column has is under its own field."""

    @workflow.run
    async def run(self, start: ProductStart) -> ProductView:
        """Look and write until both sides agree, or nothing more can be done; tell people; remember."""
        try:
            self.state = await self.bring_in_step()
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            # A step failed for good (outages are waited out): this product waits for the next catch-up.
            self.problems |= {one.field: one for one in hold_for(error)[1]}
            self.state = ProductState.REFUSED
        self.close_hold()
        await self.tell()
        await workflow.wait_condition(workflow.all_handlers_finished)
        self.remember()
        self.show()
        return self.view()

    # ---- the process ------------------------------------------------------------------------------------------------

    async def bring_in_step(self) -> ProductState:
        """Look, write, ask; again while anything moved."""
        while self.rounds < ROUNDS:
            self.rounds += 1
            seen = self.changes
            planned = await self.look()
            if planned is None:
                return ProductState.GONE
            plan = planned.plan
            if plan.left_alone is not None:
                return ProductState.IGNORED
            if plan.new_item is not None:
                ended = await self.make_item(plan.new_item, at_once=planned.create_at_once, seen=seen)
                if ended is not None:
                    return ended
                continue
            if await self.write(plan.to(Action.TO_SAGE), plan.to(Action.TO_CLARITY)):
                await workflow.sleep(
                    timedelta(seconds=self.start.pace.retry_initial), summary="A value was not as seen: look again"
                )
                continue
            if asked := plan.to(Action.ASK):
                if not await self.decide(asked, seen):
                    continue
            else:
                self.close_hold()
            if self.changes == seen:
                return self.outcome(plan)
        why = f"is never as it was seen a moment before, {ROUNDS} times in a row"
        remedy = "Somebody changes it all the time, or the gateway tells other values than ODBC."
        self.problems["product"] = Problem(field="product", message=why, suggestion=remedy)
        return ProductState.REFUSED

    async def look(self) -> ProductPlanned | None:
        """Both sides as they are now; None when the store has the product no more."""
        self.show("looks at both sides")
        read = await workflow.execute_activity_method(
            StoreProductActivities.read_product,
            ReadProduct(pair=self.start.pair, product_id=self.start.product_id),
            task_queue=queues.clarity(self.start.pair),
            start_to_close_timeout=retry.one_call(self.start.pace),
            retry_policy=retry.outside_system(self.start.pace),
            summary="The product in the store",
        )
        self.problems = {}
        if read.product is None:
            return None
        self.product = read.product
        planned = await workflow.execute_activity_method(
            SageProductActivities.plan_product,
            PlanProduct(
                pair=self.start.pair,
                product=read.product,
                base=self.memory.base,
                changed=self.start.changed,
                before=read.before,
                patient=self.start.brought_by is BroughtBy.WEBHOOK,
                rules=self.memory.rules,
            ),
            task_queue=queues.sage_read(self.start.pair),
            start_to_close_timeout=retry.one_call(self.start.pace),
            retry_policy=retry.outside_system(self.start.pace),
            summary=f"{read.product.sku} against its item in Sage"[:190],
        )
        self.plan = planned.plan
        if planned.rules != self.memory.rules:
            self.memory = ProductMemory(rules=planned.rules)
        self.problems = {one.field: one for one in planned.plan.problems}
        self.agree(planned.plan)
        return planned

    def outcome(self, plan: ProductPlan) -> ProductState:
        """Where the product is when nothing moves any more."""
        if self.problems:
            return ProductState.REFUSED
        if any(one.startswith("created") for one in self.done):
            return ProductState.CREATED
        if plan.to(Action.LATER):
            return ProductState.LATER
        return ProductState.WRITTEN if self.done else ProductState.IN_STEP

    # ---- writing ----------------------------------------------------------------------------------------------------

    async def write(self, to_sage: Sequence[Difference], to_clarity: Sequence[Difference]) -> bool:
        """Each side what the other one owns; True when something was not as it had been seen."""
        plan = self.plan
        if plan is None:
            return False
        moved = False
        if to_sage:
            self.show("writes to Sage")
            written = await workflow.execute_activity_method(
                SageProductActivities.write_item,
                WriteItem(
                    pair=self.start.pair, ItemCode=plan.ItemCode, sku=plan.product.sku, differences=list(to_sage)
                ),
                task_queue=queues.sage_write(self.start.pair),
                start_to_close_timeout=retry.one_call(self.start.pace),
                retry_policy=retry.outside_system(self.start.pace),
                summary=f"{', '.join(one.column for one in to_sage)} → CI_Item {plan.ItemCode}"[:190],
            )
            moved = self.note(to_sage, written) or moved
        if to_clarity:
            self.show("writes to the store")
            written = await workflow.execute_activity_method(
                StoreProductActivities.write_product,
                WriteProduct(pair=self.start.pair, product_id=self.start.product_id, differences=list(to_clarity)),
                task_queue=queues.clarity(self.start.pair),
                start_to_close_timeout=retry.one_call(self.start.pace),
                retry_policy=retry.outside_system(self.start.pace),
                summary=f"{', '.join(one.field for one in to_clarity)} → product {plan.product.sku}"[:190],
            )
            moved = self.note(to_clarity, written) or moved
            self.product = written.product or self.product
        return moved

    def note(self, differences: Iterable[Difference], written: Written) -> bool:
        """Keep what was written, with what it replaced."""
        self.problems |= written.refused
        if written.moved:
            return True
        base = dict(self.memory.base)
        for one in differences:
            if one.column in written.refused:
                continue
            value = one.clarity if one.owner is FieldOwner.CLARITY else one.sage
            before, where = (one.sage, "Sage") if one.owner is FieldOwner.CLARITY else (one.clarity, "the store")
            line = f"{one.column}/{one.field}: {shown(before)} → {shown(value)} in {where}"
            self.done.append(line + (f" ({one.why})" if one.why else ""))
            if one.told:
                self.overwritten.append(f"{line} ({one.why})")
            base[one.column] = agreed_now(value, value)
        self.memory = self.memory.model_copy(update={"base": base})
        return False

    async def make_item(self, new: NewItem, *, at_once: bool, seen: int) -> ProductState | None:
        """The item of a new product, when a person or the pair file says so; None: look again."""
        if not at_once:
            lines = [f"{name}: {shown(value)}" for name, value in new.columns.items()]
            asked = [f"create item {new.ItemCode}", *lines, *([self.refused] if self.refused else [])]
            decision = await self.wait(ProductHold.NEW_PRODUCT, asked, seen)
            if decision is None:
                return None
            if decision.action is ProductAction.DISCARD:
                return ProductState.DISCARDED
            new = new.model_copy(update={"columns": {**new.columns, **decision.columns}})
        self.show("creates the item")
        try:
            made = await workflow.execute_activity_method(
                SageProductActivities.create_item,
                CreateItem(pair=self.start.pair, new_item=new),
                task_queue=queues.sage_write(self.start.pair),
                start_to_close_timeout=retry.one_call(self.start.pace),
                retry_policy=retry.outside_system(self.start.pace),
                summary=f"Create CI_Item {new.ItemCode}"[:190],
            )
        except ActivityError as error:
            if at_once or is_cancelled_exception(error):
                raise
            # Sage's words, and the question again: other columns may do.
            problem = hold_for(error)[1][0]
            self.refused = f"Sage refused the last attempt: {problem.field}: {problem.message}"[:300]
            return None
        if made.created:
            self.done.append(f"created CI_Item {new.ItemCode}")
        return None

    # ---- people -----------------------------------------------------------------------------------------------------

    async def decide(self, asked: Sequence[Difference], seen: int) -> bool:
        """Fields that the other side changed, where the pair asks; False: look again."""
        decision = await self.wait(ProductHold.PRODUCT_CONFLICT, [f"{one.in_words} ({one.why})" for one in asked], seen)
        if decision is None:
            return False
        if decision.action is ProductAction.DISCARD:
            base = {**self.memory.base, **{one.column: agreed_now(one.sage, one.clarity) for one in asked}}
            self.memory = self.memory.model_copy(update={"base": base})
            return True
        # A person has seen what is overwritten: nobody needs to be told again.
        agreed = [one.model_copy(update={"conflict": False}) for one in asked]
        to_sage = [one for one in agreed if one.owner is FieldOwner.CLARITY]
        return not await self.write(to_sage, [one for one in agreed if one.owner is FieldOwner.SAGE])

    async def wait(self, hold: ProductHold, asked: list[str], seen: int) -> ProductRelease | None:
        """Until a person decides; None when the product changed, or its reminder is due: look again."""
        again = self.hold is hold and self.asked == asked
        self.rounds = 0
        self.state = ProductState.WAITS
        self.asked = asked
        if self.hold is not hold:
            self.hold, self.decision, self.reminders = hold, None, 0
            sku = self.product.sku if self.product is not None else ""
            workflow.upsert_search_attributes(
                [
                    attributes.HOLD_REASON.value_set(hold.value),
                    attributes.HELD_ITEMS.value_set(attributes.held_items([sku])),
                ]
            )
        self.show()
        if not again:
            await self.alert(AlertKind(hold.value), f"waits for a person: {'; '.join(asked)}", str(self.reminders))
        try:
            await workflow.wait_condition(
                lambda: self.decision is not None or self.changes != seen,
                timeout=timedelta(seconds=self.start.pace.hold_reminder),
                timeout_summary="Remind people, and look again",
            )
        except TimeoutError:
            self.reminders += 1
            text = f"still waits for a person: {'; '.join(asked)}"
            await self.alert(AlertKind(hold.value), text, str(self.reminders))
        decision, self.decision = self.decision, None
        if decision is not None:
            self.decisions.append(
                f"{workflow.now():%Y-%m-%d %H:%M:%S} UTC: {decision.action.value} by {decision.by} (unverified)"
                + (f": {decision.note}" if decision.note else "")
            )
            self.close_hold()
        return decision

    def close_hold(self) -> None:
        """Nothing is asked any more."""
        if self.hold is None:
            return
        self.hold, self.asked, self.decision = None, [], None
        self.state = ProductState.AT_WORK
        workflow.upsert_search_attributes([attributes.HOLD_REASON.value_unset(), attributes.HELD_ITEMS.value_unset()])

    async def tell(self) -> None:
        """What was overwritten that somebody may have meant; what cannot be done, once."""
        if self.overwritten:
            await self.alert(AlertKind.PRODUCT_CONFLICT, f"overwritten: {'; '.join(self.overwritten)}", "end")
        problems = "; ".join(f"{one.field}: {one.message}. {one.suggestion}".strip() for one in self.problems.values())
        told = hashlib.sha256(problems.encode()).hexdigest()[:12] if problems else ""
        if problems and told != self.memory.told:
            await self.alert(AlertKind.PRODUCT_REFUSED, problems, "end")
        self.memory = self.memory.model_copy(update={"told": told})

    async def alert(self, kind: AlertKind, text: str, occurrence: str) -> None:
        """One alert."""
        sku = self.product.sku if self.product is not None else self.start.product_id
        item = self.plan.ItemCode if self.plan is not None else ""
        alert = Alert(
            pair=self.start.pair,
            kind=kind,
            workflow_id=workflow.info().workflow_id,
            title=f"Product {sku}" + (f" ({item})" if item and item != sku else ""),
            text=text[:1_500],
            occurrence=f"{workflow.info().run_id}-{occurrence}",
        )
        await raise_alert(alert, f"Alert: {kind.value.replace('_', ' ')}")

    @workflow.signal(description="The product changed in the store: look again")
    def product_changed(self) -> None:
        """From webhooks."""
        self.changes += 1

    @workflow.signal(description=f"Decide what is asked: {APPROVE % 'new_product'}")
    def release_product(self, release: Any = None) -> None:
        """Tolerant: what does not fit is kept in the trail, and the product waits on."""
        try:
            self.accept(release)
        except ApplicationError as error:
            self.decisions.append(f"{workflow.now():%Y-%m-%d %H:%M:%S} UTC: ignored: {error.message}"[:300])
            self.show()

    @workflow.update(name="release_product", description=f"Decide what is asked: {APPROVE % 'new_product'}")
    def release_product_update(self, release: Any = None) -> str:
        """As the signal, with an answer: the decision is recorded."""
        self.accept(release)
        return "recorded"

    @release_product_update.validator
    def validate_release(self, release: Any = None) -> None:
        """Refuse what makes no sense; nothing is written to history then."""
        self.parse(release)

    def accept(self, release: Any) -> None:
        """The first of two decisions counts."""
        self.decision = self.parse(release)

    def parse(self, release: Any) -> ProductRelease:
        """The decision; raises ApplicationError that says what to send instead."""
        reason = self.hold.value if self.hold is not None else ProductHold.NEW_PRODUCT.value
        try:
            parsed = ProductRelease.model_validate(release)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "release_product"
            raise refusal(f"{where}: {first['msg']}. Send {APPROVE % reason}") from None
        if self.hold is None or self.decision is not None:
            raise refusal("Nothing is asked of this product (any more).")
        if parsed.reason is not self.hold:
            raise refusal(f"reason: the product waits for {reason}, not for {parsed.reason.value}.")
        if parsed.columns and self.hold is not ProductHold.NEW_PRODUCT:
            raise refusal("columns: they belong to a new product.")
        return parsed

    # ---- remembering and showing ------------------------------------------------------------------------------------

    def agree(self, plan: ProductPlan) -> None:
        """Fields that are equal, or were left so by a person, are known from here."""
        self.memory = self.memory.model_copy(update={"base": {**self.memory.base, **plan.base}})

    def remember(self) -> None:
        """For the next run, in the memo."""
        undone = (ProductState.REFUSED, ProductState.LATER)
        self.memory = self.memory.model_copy(
            update={
                "digest": self.product.digest if self.product is not None else "",
                "settled": self.state not in undone,
            }
        )
        workflow.upsert_memo({MEMO: self.memory.model_dump(mode="json")})

    @workflow.query(name="state", description="Where the product is, what is asked, and what was done")
    def view(self) -> ProductView:
        """For people, the command line and the console."""
        return ProductView(
            pair=self.start.pair,
            product_id=self.start.product_id,
            sku=self.product.sku if self.product is not None else "",
            ItemCode=self.plan.ItemCode if self.plan is not None else "",
            state=self.state,
            hold=self.hold,
            asked=self.asked,
            done=self.done,
            problems=list(self.problems.values()),
            decisions=self.decisions[-20:],
            reminders=self.reminders,
        )

    def show(self, doing: str = "") -> None:
        """The details page (that costs no event)."""
        workflow.set_current_details(page(self.view(), self.plan, workflow.info().workflow_id, doing))


def refusal(why: str) -> ApplicationError:
    """An answer that is no success."""
    return ApplicationError(why, type="ReleaseRefused", non_retryable=True)


def page(view: ProductView, plan: ProductPlan | None, workflow_id: str, doing: str) -> str:
    """What the Web UI shows."""
    state = f"waits: {view.hold.value}" if view.hold is not None else doing or view.state.value.replace("_", " ")
    item = f" ↔ CI_Item {view.ItemCode}" if view.ItemCode else ""
    text = f"## Product {view.sku or view.product_id}{item}: {state}\n"
    if plan is not None and plan.differences:
        text += "\n| column | field | owner | Sage | store | becomes | why |\n|---|---|---|---|---|---|---|\n"
        text += "".join(
            f"| {one.column} | {one.field} | {one.owner.value} | {shown(one.sage)} | {shown(one.clarity)} "
            f"| {one.action.value} | {one.why} |\n"
            for one in plan.differences
        )
    for title, lines in (
        ("Asked", view.asked),
        ("Done", view.done),
        ("Cannot be done", [f"{one.field}: {one.message}. {one.suggestion}" for one in view.problems]),
        ("Decisions", view.decisions),
    ):
        if lines:
            text += f"\n**{title}**\n\n" + "".join(f"* {line}\n" for line in lines)
    if view.hold is not None:
        commands = "\n\n".join(
            f"temporal workflow update execute \\\n  -w {workflow_id} \\\n  --name release_product "
            f"--input '{argument % view.hold.value}'"
            for argument in (APPROVE, DISCARD)
        )
        text += f"\n`approve` {MEANINGS[view.hold][0]}; `discard` {MEANINGS[view.hold][1]}:\n\n```\n{commands}\n```\n"
    return text[:15_000]


MEANINGS = {
    ProductHold.NEW_PRODUCT: (
        'creates the item (`"columns": {"ProductLine": "…"}` for others than the template\'s)',
        "leaves Sage without it until the product changes",
    ),
    ProductHold.PRODUCT_CONFLICT: (
        "puts the owner's value back",
        "leaves both sides as they are until one changes again",
    ),
}
"""Hold → what its two decisions do."""
