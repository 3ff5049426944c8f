"""A signed event that became no order, kept until a person has looked at it: `DeadLetterWorkflow`.

In: `DeadLetter`, the event as it came. Out: what became of it in the end. It stays open (and so listable) until the
event was taken in again (`replay`) or given up (`discard`).
"""

import asyncio
from typing import Any

from pydantic import ValidationError
from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from activities.replay import ReplayActivities
from contracts import queues, retry
from contracts.messages import Alert, AlertKind, DeadLetter, DeadLetterReason, Discard, Replay, Replayed, ReplayEvent
from mappings.card_numbers import mask_card_numbers
from mappings.correction import merge_patch
from workflows.telling import raise_alert

DISCARD = '{"by": "your name", "why": "…"}'
REPLAY = '{"by": "your name"}'
CORRECTED = '{"by": "your name", "correction": {"data": {"id": "10032"}}}'
FORCED = '{"by": "your name", "force": true, "note": "not in Sage: looked by purchase order number"}'


@workflow.defn(name="DeadLetterWorkflow")
class DeadLetterWorkflow:
    """Waits, without a deadline, for somebody to replay or discard it."""

    @workflow.init
    def __init__(self, letter: DeadLetter) -> None:
        """Messages may come before `run`."""
        self.letter = letter
        self.outcome = ""
        """Set once: how the letter was dealt with."""
        self.refusals: list[str] = []
        """Why replays were not taken in, the latest last."""
        self.replaying = asyncio.Lock()

    @workflow.run
    async def run(self, letter: DeadLetter) -> str:
        """Returns who dealt with it and how."""
        self.show()
        await self.tell()
        await workflow.wait_condition(lambda: bool(self.outcome))
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self.outcome

    async def tell(self) -> None:
        """One alert; whoever is quicker may deal with the letter meanwhile."""
        info = workflow.info()
        alert = Alert(
            pair=self.letter.pair,
            kind=AlertKind.DEAD_LETTER,
            workflow_id=info.workflow_id,
            title=f"Dead letter: {self.letter.reason.value}",
            text=f"{self.letter.explanation} Its details page has the commands to replay or discard it.",
            occurrence=info.run_id,
        )
        await raise_alert(alert, "Tell people")

    # ---- discard --------------------------------------------------------------------------------------------------

    @workflow.signal(description=f"Close this dead letter: {DISCARD}")
    def discard(self, discard: Any = None) -> None:
        """Tolerant: what does not fit is ignored and the letter stays."""
        try:
            self.give_up(Discard.model_validate(discard))
        except ValidationError:
            workflow.logger.warning("A discard that named no `by` and `why` was ignored")

    @workflow.update(name="discard", description=f"Close this dead letter: {DISCARD}")
    def discard_update(self, discard: Any = None) -> str:
        """As the signal, with an answer."""
        try:
            self.give_up(Discard.model_validate(discard))
        except ValidationError:
            raise ApplicationError(
                'discard: send {"by": "your name", "why": "the reason"}', type="DiscardRefused", non_retryable=True
            ) from None
        return "discarded"

    def give_up(self, discard: Discard) -> None:
        """The first decision counts."""
        self.outcome = self.outcome or f"discarded by {discard.by} (unverified): {discard.why}"

    # ---- replay ---------------------------------------------------------------------------------------------------

    @workflow.signal(description=f"Take the event in again, corrected if need be: {CORRECTED}")
    async def replay(self, replay: Any = None) -> None:
        """Tolerant: what does not fit, or is refused again, is shown in the details, and the letter stays."""
        try:
            await self.take_in(self.parse(replay))
        except ApplicationError as error:
            self.refused(error.message)

    @workflow.update(name="replay", description=f"Take the event in again, corrected if need be: {CORRECTED}")
    async def replay_update(self, replay: Any = None) -> str:
        """As the signal, with an answer: what became of the event, or why it stays a dead letter."""
        return await self.take_in(self.parse(replay))

    @replay_update.validator
    def validate_replay(self, replay: Any = None) -> None:
        """Refuse what makes no sense; nothing is written to history then."""
        self.parse(replay)

    def parse(self, replay: Any) -> Replay:
        """The replay; raises ApplicationError that says what to send instead."""
        try:
            parsed = Replay.model_validate(replay)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "replay"
            raise refusal(f"{where}: {first['msg']}. Send {REPLAY} or {CORRECTED}") from None
        if parsed.force and not parsed.note.strip():
            raise refusal(f"note: force needs a reason. Send {FORCED}")
        return parsed

    async def take_in(self, replay: Replay) -> str:
        """Through the intake, one replay after the other; what was taken in closes the letter."""
        async with self.replaying:
            if self.outcome:
                return self.outcome
            replayed = await self.ask_intake(replay)
            if not replayed.accepted:
                why = f"Not taken in ({replayed.result}): {replayed.detail}"
                self.refused(why)
                raise refusal(why)
            self.outcome = f"replayed by {replay.by} (unverified): {replayed.result}, {replayed.detail}"
            return self.outcome

    async def ask_intake(self, replay: Replay) -> Replayed:
        """The activity; a failure leaves the letter open."""
        body = self.letter.body
        if replay.correction is not None:
            body = merge_patch(body if isinstance(body, dict) else {}, replay.correction)
        # What people type may hold a card number, too (rules 5): it goes no further than this history.
        body, _ = mask_card_numbers(body)
        event = ReplayEvent(
            pair=self.letter.pair,
            webhook_id=self.letter.webhook_id,
            body=body,
            forced=f"{replay.by} (unverified): {replay.note}" if replay.force else "",
        )
        try:
            return await workflow.execute_activity_method(
                ReplayActivities.replay_event,
                event,
                task_queue=queues.ORDERS,
                start_to_close_timeout=retry.TEMPORAL_CALL,
                retry_policy=retry.ALERT,
                summary="Take the event in again",
            )
        except ActivityError as error:
            return Replayed(accepted=False, result="failed", detail=str(error.cause or error)[:300])

    def refused(self, why: str) -> None:
        """The letter stays, and says why."""
        self.refusals = [*self.refusals, f"{workflow.now():%Y-%m-%d %H:%M:%S} UTC: {why[:400]}"][-10:]
        self.show()

    @workflow.query(description="The event as it came")
    def event(self) -> DeadLetter:
        """For the API and the console."""
        return self.letter

    def show(self) -> None:
        """The details page: what it is, what was tried, and the commands."""
        id_ = workflow.info().workflow_id
        again = FORCED if self.letter.reason is DeadLetterReason.NEEDS_FORCE else REPLAY
        tried = "".join(f"\n* {line}" for line in self.refusals)
        workflow.set_current_details(
            f"## Dead letter: {self.letter.reason.value}\n\n{self.letter.explanation}\n\n"
            f"Received {self.letter.received_at:%Y-%m-%d %H:%M:%S} UTC. **Waits for** a person."
            + (f"\n\nReplays that were not taken in:\n{tried}" if tried else "")
            + "\n\nTake it in again, as it came or corrected (a JSON merge patch on the event):\n\n"
            f"```\n{command(id_, 'replay', again)}\n\n{command(id_, 'replay', CORRECTED)}\n```\n\n"
            f"Or give it up:\n\n```\n{command(id_, 'discard', DISCARD)}\n```"
        )


def command(workflow_id: str, name: str, argument: str) -> str:
    """An update as one types it."""
    return f"temporal workflow update execute \\\n  -w {workflow_id} \\\n  --name {name} --input '{argument}'"


def refusal(why: str) -> ApplicationError:
    """An answer that is no success."""
    return ApplicationError(why, type="ReplayRefused", non_retryable=True)
