"""A signed event that became no order, kept until a person has looked at it: `DeadLetterWorkflow`.

In: `DeadLetter`, the event as it came. Out: what a person decided. It stays open (and so listable) until discarded.
"""

from typing import Any

from pydantic import ValidationError
from temporalio import workflow
from temporalio.exceptions import ApplicationError

from contracts.messages import DeadLetter, Discard


@workflow.defn(name="DeadLetterWorkflow")
class DeadLetterWorkflow:
    """Waits, without a deadline, for somebody to discard it."""

    @workflow.init
    def __init__(self, letter: DeadLetter) -> None:
        """Messages may come before `run`."""
        self.letter = letter
        self.discarded: Discard | None = None

    @workflow.run
    async def run(self, letter: DeadLetter) -> str:
        """Returns who discarded it and why."""
        workflow.set_current_details(
            f"## Dead letter: {letter.reason.value}\n\n{letter.explanation}\n\n"
            f"Received {letter.received_at:%Y-%m-%d %H:%M:%S} UTC. **Waits for** a person. When it is dealt with:\n\n"
            f"```\ntemporal workflow signal --workflow-id {workflow.info().workflow_id} --name discard \\\n"
            '  --input \'{"by": "your name", "why": "…"}\'\n```'
        )
        await workflow.wait_condition(lambda: self.discarded is not None)
        await workflow.wait_condition(workflow.all_handlers_finished)
        discarded = self.discarded
        return f"discarded by {discarded.by} (unverified): {discarded.why}" if discarded else ""

    @workflow.signal(description='Close this dead letter: {"by": "your name", "why": "…"}')
    def discard(self, discard: Any = None) -> None:
        """Tolerant: what does not fit is ignored and the letter stays."""
        try:
            self.discarded = Discard.model_validate(discard)
        except ValidationError:
            workflow.logger.warning("A discard that named no `by` and `why` was ignored")

    @workflow.update(name="discard", description='Close this dead letter: {"by": "your name", "why": "…"}')
    def discard_update(self, discard: Any = None) -> str:
        """As the signal, with an answer."""
        try:
            self.discarded = Discard.model_validate(discard)
        except ValidationError:
            raise ApplicationError(
                'discard: send {"by": "your name", "why": "the reason"}', type="DiscardRefused", non_retryable=True
            ) from None
        return "discarded"

    @workflow.query(description="The event as it came")
    def event(self) -> DeadLetter:
        """For the API and the console."""
        return self.letter
