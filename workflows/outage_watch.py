"""One outage of one system of a pair: `OutageWatchWorkflow`, id `outage-{pair}-{system}`.

In: `OutageStart`, from the gate that closed. Out: the outage's length in seconds. Longer than the pair's threshold: one
alert with what is affected and how many orders wait, reminders while it lasts, one all-clear with its length. Sage's
gateway and its ODBC are one outage, whichever of them are out: gates say so with the signals `out` and `recovered`, and
it ends when none is, or with `window_began`: an outage is not counted into a maintenance window.
"""

from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.outages import OutageActivities
from contracts import retry
from contracts.messages import Alert, AlertKind
from contracts.outages import AFFECTED, OutageStart, OutsideSystem, WaitingOrders
from workflows.telling import raise_alert

COUNT_LIMIT = timedelta(minutes=1)
"""For counting the orders that wait, its repeats included."""


@workflow.defn(name="OutageWatchWorkflow")
class OutageWatchWorkflow:
    """The watch; see the module."""

    @workflow.init
    def __init__(self, start: OutageStart) -> None:
        """The signal may come before `run`."""
        self.start = start
        self.out = {start.system}
        self.were_out = [start.system]
        self.window = False
        """A maintenance window began; what is out after it is an outage of its own."""

    @workflow.run
    async def run(self, start: OutageStart) -> float:
        """Wait out the threshold; then tell, remind, and tell that it is over."""
        self.show("It is told when it lasts longer than the pair's threshold.")
        threshold = start.since + timedelta(seconds=start.pace.outage_alert) - workflow.now()
        if await self.recovers_within(threshold, "Threshold of the alert"):
            return self.length().total_seconds()
        text = await self.standing()
        await self.tell(AlertKind.OUTAGE, f"HIGH: {self.name()} {self.does_not()}", text)
        while not await self.recovers_within(timedelta(seconds=start.pace.outage_reminder), "Next reminder"):
            text = await self.standing()
            await self.tell(AlertKind.OUTAGE_REMINDER, f"{self.name()} still {self.does_not()}", text)
        name, many, length = self.name(), len(self.were_out) > 1, in_words(self.length())
        text = f"{'They were' if many else 'It was'} out for {length}"
        if self.window:
            title = f"{name} {'are' if many else 'is'} in {'their' if many else 'its'} maintenance window"
            text += " until then; what is out after the window is told anew."
        else:
            title, text = f"{name} {'answer' if many else 'answers'} again", f"{text}."
        await self.tell(AlertKind.ALL_CLEAR, title, text)
        return self.length().total_seconds()

    @workflow.signal(name="out", description="This way into the system is out, too: sage or odbc")
    def join(self, system: Any = None) -> None:
        """Sent by a gate; repeats change nothing."""
        if system in tuple(OutsideSystem):
            self.out.add(OutsideSystem(system))
            self.were_out = list(dict.fromkeys([*self.were_out, OutsideSystem(system)]))

    @workflow.signal(description="The system answers again; without an argument, all of it")
    def recovered(self, system: Any = None) -> None:
        """Sent by a gate; repeats change nothing."""
        self.out -= {OutsideSystem(system)} if system in tuple(OutsideSystem) else self.out

    @workflow.signal(description="A maintenance window of the system began")
    def window_began(self) -> None:
        """Sent by a gate; nobody is alarmed within the window."""
        if self.out:
            self.window = True
            self.out.clear()

    async def recovers_within(self, wait: timedelta, what: str) -> bool:
        """Whether everything answers again within a time."""
        if wait > timedelta(0):
            try:
                await workflow.wait_condition(lambda: not self.out, timeout=wait, timeout_summary=what)
            except TimeoutError:
                return False
        return not self.out

    async def standing(self) -> str:
        """Since when, what is affected, how many orders wait; shown in the Web UI, too."""
        text = (
            f"Out since {self.start.since:%Y-%m-%d %H:%M:%S} UTC ({in_words(self.length())}): "
            f"{'; '.join(AFFECTED[system] for system in self.were_out)}. {await self.waiting()}; nothing is lost, and "
            "they go on by themselves. "
            f"Last error: {self.start.why}"
        )
        self.show(text)
        return text

    async def waiting(self) -> str:
        """How many orders wait. The number is nice to have; the alert does not depend on it."""
        try:
            number = await workflow.execute_activity_method(
                OutageActivities.count_waiting_orders,
                WaitingOrders(pair=self.start.pair),
                start_to_close_timeout=retry.TEMPORAL_CALL,
                schedule_to_close_timeout=COUNT_LIMIT,
                retry_policy=retry.ALERT,
                summary="How many orders wait",
            )
        except ActivityError:
            return "An unknown number of orders wait"
        return f"{number} order(s) wait"

    async def tell(self, kind: AlertKind, title: str, text: str) -> None:
        """One alert."""
        alert = Alert(
            pair=self.start.pair,
            kind=kind,
            workflow_id=workflow.info().workflow_id,
            title=title,
            text=text,
            # Another outage may last equally long: its all-clear is no repeat of this one's.
            occurrence=workflow.info().run_id,
        )
        await raise_alert(alert, title)

    def length(self) -> timedelta:
        """Of the outage, until now."""
        return workflow.now() - self.start.since

    def name(self) -> str:
        """The system, for people."""
        return f"{' and '.join(system.value for system in self.were_out)} of pair {self.start.pair}"

    def does_not(self) -> str:
        return "do not answer" if len(self.were_out) > 1 else "does not answer"

    def show(self, text: str) -> None:
        """In the Web UI's details."""
        workflow.set_current_details(f"## {self.name()} {self.does_not()}\n\n{text}\n\nEnds by itself.")


def in_words(length: timedelta) -> str:
    """`2 h 5 min`, `40 s`."""
    seconds = round(length.total_seconds())
    hours, minutes = seconds // 3600, seconds % 3600 // 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds % 60} s" if minutes else f"{seconds} s"
