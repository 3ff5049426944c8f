"""One pair's alerts: `AlertWorkflow`, id `alerts-{pair}`, started by the first alert and never finished.

In: signal `alert`, one per alert. Out: messages to the pair's targets: alerts of one kind and reason that come within
`pace.alert_group` are one message. Each target has its own list of what it has not got yet, and is tried again on its
own; one that does not work is told through the others, once. Continues as new, and hands everything over.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from pydantic import ValidationError
from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.alert_delivery import AlertDelivery
from contracts import queues, retry
from contracts.alerts import AlertStart, Channel, Deliver, Delivered, Message, Target, TargetsWanted
from contracts.messages import Alert, AlertSeverity
from workflows.alert_texts import add_to, down_message, message_of, most_urgent, page, short_key

HIGH_SHARE = 6
"""An alert of severity high waits a sixth of the grouping time for others."""
REPORTED_AFTER = 3
"""Deliveries that fail one after the other before a target counts as down."""
SEEN_KEPT = 5_000
TOLD_KEPT = 20
WAITING_KEPT = 50
"""Messages kept for a target that is down; older ones are given up and counted (the log has every alert)."""
AT_ONCE = 5
"""Messages of one delivery: it ends within its time limit even when each needs the service's time-outs."""
ROUNDS_PER_RUN = 40
SIGNALS_PER_RUN = 4_000
"""The server takes 10,000 signals in a run."""


@workflow.defn(name="AlertWorkflow")
class AlertWorkflow:
    """Group, deliver, continue as new; see the module."""

    @workflow.init
    def __init__(self, start: AlertStart) -> None:
        """Alerts may come before `run`."""
        self.pair = start.pair
        self.pace = start.pace
        self.groups = list(start.groups)
        self.channels = {channel.key: channel for channel in start.channels}
        self.seen = dict.fromkeys(start.seen)
        self.told = list(start.told)
        self.alerts = start.alerts
        self.messages = start.messages
        self.signals = 0

    @workflow.run
    async def run(self, start: AlertStart) -> None:
        """Rounds without end: wait, group, deliver."""
        rounds = 0
        while True:
            self.show()
            await self.wait_for_alerts_or_a_retry()
            if self.groups:
                await self.group()
                await self.hand_to_targets()
            await self.deliver()
            self.report_what_is_down()
            rounds += 1
            if rounds >= ROUNDS_PER_RUN or self.signals >= SIGNALS_PER_RUN or self.suggested():
                # No await from here: what came until now is handed over, what comes later meets the new run.
                workflow.continue_as_new(self.handed_over())

    async def wait_for_alerts_or_a_retry(self) -> None:
        """Until an alert is there, or it is time to try a target again."""
        tries = [channel.next_try for channel in self.channels.values() if channel.waiting]
        due = min((one or workflow.now() for one in tries), default=None)
        if due is not None and due <= workflow.now():
            return
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: bool(self.groups),
                timeout=None if due is None else due - workflow.now(),
                timeout_summary="Tries a target of alerts again",
            )

    async def group(self) -> None:
        """Let alerts of one cause come together; what is urgent waits less, also when it comes in between."""
        began = workflow.now()
        while True:
            urgent = most_urgent(self.groups) is AlertSeverity.HIGH
            share = 1 / HIGH_SHARE if urgent else 1.0
            left = began + timedelta(seconds=self.pace.alert_group * share) - workflow.now()
            if left <= timedelta(0) or self.signals >= SIGNALS_PER_RUN:
                return
            try:
                await workflow.wait_condition(
                    lambda urgent=urgent: (
                        self.signals >= SIGNALS_PER_RUN  # type: ignore[misc]
                        or (not urgent and most_urgent(self.groups) is AlertSeverity.HIGH)
                    ),
                    timeout=left,
                    timeout_summary="Groups alerts: those of one reason are one message",
                )
            except TimeoutError:
                return

    async def hand_to_targets(self) -> None:
        """The groups become messages, each on the list of every target of its severity.

        The targets are asked first: an alert that comes during that call is in the message, too.
        """
        targets = await self.targets()
        if targets is None:
            with contextlib.suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: self.signals >= SIGNALS_PER_RUN,
                    timeout=timedelta(seconds=self.pace.retry_maximum),
                    timeout_summary="The targets of alerts cannot be read: tries again",
                )
            return
        groups, self.groups = self.groups, []
        for message in (message_of(self.pair, group) for group in groups):
            self.hand(targets, message)

    async def targets(self) -> Sequence[Target] | None:
        """As the settings name them now; a target that is no longer named loses what waits for it.

        None when they cannot be read: the alerts stay where they are.
        """
        try:
            found = await workflow.execute_activity_method(
                AlertDelivery.alert_targets,
                TargetsWanted(pair=self.pair),
                task_queue=queues.ALERTS,
                start_to_close_timeout=retry.TEMPORAL_CALL,
                # Not waited for without end: signals go on, and a run takes only so many.
                schedule_to_close_timeout=retry.ALERT_DELIVERY_WITH_WAIT,
                retry_policy=retry.outside_system(self.pace),
                summary="Read the targets of alerts",
            )
        except ActivityError:
            return None
        self.channels = {
            target.key: self.channels.get(target.key, Channel(key=target.key, name=target.name)).model_copy(
                update={"name": target.name}
            )
            for target in found.targets
        }
        self.pace = found.pace or self.pace
        return found.targets

    def hand(self, targets: Sequence[Target], message: Message) -> None:
        self.messages += 1
        self.told = [*self.told, f"{workflow.now():%m-%d %H:%M} UTC {message.title}"][-TOLD_KEPT:]
        for target in targets:
            if message.severity in target.severities:
                self.wait_for_delivery(target.key, message)

    def wait_for_delivery(self, key: str, message: Message) -> None:
        channel = self.channels[key]
        waiting = [*channel.waiting, message]
        dropped = channel.dropped + max(0, len(waiting) - WAITING_KEPT)
        self.channels[key] = channel.model_copy(update={"waiting": waiting[-WAITING_KEPT:], "dropped": dropped})

    async def deliver(self) -> None:
        """To every target that is due, side by side."""
        due = [
            channel
            for channel in self.channels.values()
            if channel.waiting and (channel.next_try is None or channel.next_try <= workflow.now())
        ]
        await asyncio.gather(*(self.deliver_to(channel) for channel in due))

    async def deliver_to(self, channel: Channel) -> None:
        """One attempt; what did not arrive stays on the target's list until its next."""
        batch = channel.waiting[:AT_ONCE]
        try:
            delivered = await workflow.execute_activity_method(
                AlertDelivery.deliver_alerts,
                Deliver(pair=self.pair, key=channel.key, messages=batch),
                task_queue=queues.ALERTS,
                start_to_close_timeout=retry.ALERT_DELIVERY,
                schedule_to_close_timeout=retry.ALERT_DELIVERY_WITH_WAIT,
                retry_policy=retry.ONE_ATTEMPT,
                summary=f"Alert to {channel.name}: {batch[0].title}"[:190],
            )
        except ActivityError as error:
            cause = error.cause or error
            delivered = Delivered(count=0, problem=f"the delivery did not end: {type(cause).__name__}")
        if delivered.gone:
            # Named by no setting any more; the next round reads the targets anew.
            del self.channels[channel.key]
            return
        left = channel.waiting[delivered.count :]
        if not delivered.problem:
            fares: dict[str, Any] = {"failures": 0, "next_try": None, "reported": False, "problem": "", "dropped": 0}
        else:
            failures = channel.failures + 1
            pause = min(self.pace.retry_initial * 2 ** min(failures - 1, 10), self.pace.retry_maximum)
            fares = {
                "failures": failures,
                "next_try": workflow.now() + timedelta(seconds=pause),
                "problem": delivered.problem,
            }
        self.channels[channel.key] = channel.model_copy(update={"waiting": left, **fares})

    def report_what_is_down(self) -> None:
        """Once per outage of a target, through every target that works."""
        for channel in list(self.channels.values()):
            if channel.failures < REPORTED_AFTER or channel.reported:
                continue
            workflow.logger.error("Alert target %s of pair %s is down: %s", channel.name, self.pair, channel.problem)
            self.channels[channel.key] = channel.model_copy(update={"reported": True})
            message = down_message(self.pair, channel)
            self.messages += 1
            self.told = [*self.told, f"{workflow.now():%m-%d %H:%M} UTC {message.title}: {channel.name}"][-TOLD_KEPT:]
            for other in list(self.channels.values()):
                if other.key != channel.key and other.failures < REPORTED_AFTER:
                    self.wait_for_delivery(other.key, message)

    def suggested(self) -> bool:
        """Whether the server wants a new run."""
        return workflow.info().is_continue_as_new_suggested()

    def handed_over(self) -> AlertStart:
        """Everything that is not delivered, and what is known of alerts and targets."""
        return AlertStart(
            pair=self.pair,
            pace=self.pace,
            groups=self.groups,
            channels=list(self.channels.values()),
            seen=list(self.seen)[-SEEN_KEPT:],
            told=self.told,
            alerts=self.alerts,
            messages=self.messages,
        )

    def show(self) -> None:
        workflow.set_current_details(page(self.pair, self.channels.values(), self.told, self.alerts, self.messages))

    @workflow.signal(description="One alert; raised by activities")
    def alert(self, alert: Any = None) -> None:
        """Tolerant: what is no alert is ignored; the same alert again changes nothing."""
        self.signals += 1
        try:
            taken = Alert.model_validate(alert)
        except ValidationError:
            workflow.logger.warning("A signal that is no alert was ignored")
            return
        key = short_key(taken)
        if key in self.seen:
            return
        self.seen[key] = None
        self.alerts += 1
        self.groups = add_to(self.groups, taken)

    @workflow.query(description="What waits and what was told")
    def state(self) -> AlertStart:
        """For tests and the console."""
        return self.handed_over()
