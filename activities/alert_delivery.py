"""Delivery of alerts, on the queue `alerts`: which targets there are, and messages to one of them.

In: `TargetsWanted`, `Deliver`. Out: `Targets` (names and keys, never addresses), `Delivered`. Settings are read at each
call, so that a changed file of targets needs no restart.
"""

import logging
from collections.abc import Callable, Mapping

from temporalio import activity
from temporalio.exceptions import ApplicationError

from connectors.alerts import AlertTarget, TargetsUnreadable, send
from contracts.alerts import Deliver, Delivered, Target, Targets, TargetsWanted
from contracts.failures import FailureType
from contracts.messages import AlertSeverity
from contracts.metrics import ALERT_DELIVERIES, DeliveryResult
from mappings.pair import Pace

alerts = logging.getLogger("alerts")


class AlertDelivery:
    """`targets_of` reads a pair's targets, raises TargetsUnreadable; `paces` by pair."""

    def __init__(self, targets_of: Callable[[str], list[AlertTarget]], paces: Mapping[str, Pace]) -> None:
        self._targets_of = targets_of
        self._paces = paces
        for pair in paces:
            for severity in AlertSeverity:
                for result in DeliveryResult:
                    ALERT_DELIVERIES.labels(pair, severity.value, result.value)

    @activity.defn
    def alert_targets(self, wanted: TargetsWanted) -> Targets:
        """Every target of the pair; while their file cannot be read, the alerts wait (and are in the log)."""
        try:
            found = self._targets_of(wanted.pair)
        except TargetsUnreadable as error:
            alerts.error("[%s] alerts are only logged: %s", wanted.pair, error)
            raise ApplicationError(str(error), type=FailureType.UNAVAILABLE) from None
        return Targets(
            pace=self._paces.get(wanted.pair),
            targets=[
                Target(
                    key=target.key,
                    name=target.name,
                    severities=[AlertSeverity(severity) for severity in target.severities],
                )
                for target in found
            ],
        )

    @activity.defn
    def deliver_alerts(self, request: Deliver) -> Delivered:
        """Send in order until one fails; a failure is a result, because the workflow decides when to try again."""
        try:
            targets = self._targets_of(request.pair)
        except TargetsUnreadable as error:
            return Delivered(count=0, problem=str(error))
        target = next((one for one in targets if one.key == request.key), None)
        if target is None:
            return Delivered(count=0, gone=True)
        for count, message in enumerate(request.messages):
            problem = send(target, message.severity.value, message.title, message.body)
            result = DeliveryResult.FAILED if problem else DeliveryResult.DELIVERED
            ALERT_DELIVERIES.labels(request.pair, message.severity.value, result.value).inc()
            if problem:
                alerts.error("[%s] alert target %s did not take a message: %s", request.pair, target.name, problem)
                return Delivered(count=count, problem=problem)
        return Delivered(count=len(request.messages))
