"""The words of alerts: how they are grouped, and the short plain text that a target shows.

In: alerts and groups. Out: groups, `Message`s, Markdown for the details page. Pure; no personal data, as alerts hold
none.
"""

import hashlib
from collections.abc import Iterable

from contracts.alerts import AlertGroup, Channel, Message
from contracts.messages import Alert, AlertKind, AlertSeverity
from contracts.search_attributes import FAILED_FLOWS

FIRST_FEW = 5
LONGEST_LINE = 300

HEADINGS = {
    AlertKind.HOLD: ("order is held", "orders are held"),
    AlertKind.REMINDER: ("order is still held", "orders are still held"),
    AlertKind.HELD_IN_SAGE: ("sales order is on hold in Sage", "sales orders are on hold in Sage"),
    AlertKind.ORDER_CHANGED: ("order was changed", "orders were changed"),
    AlertKind.SHORT: ("order took more stock than there is", "orders took more stock than there is"),
    AlertKind.NOT_POSTED: ("order is shipped and not posted", "orders are shipped and not posted"),
    AlertKind.REFUND_DUE: ("refund is due", "refunds are due"),
    AlertKind.UNREADABLE: ("thing in Sage cannot be read", "things in Sage cannot be read"),
    AlertKind.ORDER_ENDED: ("order ended without being completed", "orders ended without being completed"),
    AlertKind.TASKS_FAILING: ("workflow stands still: its code fails", "workflows stand still: their code fails"),
    AlertKind.DEAD_LETTER: ("event of Clarity that became nothing", "events of Clarity that became nothing"),
    AlertKind.SIGNED_OUT: ("system refuses the credentials", "systems refuse the credentials"),
    AlertKind.WEBHOOK_REFUSED: ("kind of webhook is refused", "kinds of webhooks are refused"),
    AlertKind.ORDER_REFUSED: (
        "order cannot be taken in: enter it by hand",
        "orders cannot be taken in: enter them by hand",
    ),
    AlertKind.FLOW_FAILED: ("flow failed", "flows failed"),
    AlertKind.DRIFT: ("drift of the store's stock numbers", "drifts of the store's stock numbers"),
    AlertKind.STOCK_STUCK: ("report: stock does not reach the store", "reports: stock does not reach the store"),
    AlertKind.NEW_PRODUCT: ("new product waits for approval", "new products wait for approval"),
    AlertKind.PRODUCT_CONFLICT: ("conflict of a product", "conflicts of products"),
    AlertKind.PRODUCT_REFUSED: ("product cannot be brought in step", "products cannot be brought in step"),
    AlertKind.GAP: ("gap: orders whose webhook never came", "gaps: orders whose webhook never came"),
    AlertKind.OUTAGE: ("outage", "outages"),
    AlertKind.OUTAGE_REMINDER: ("outage that lasts", "outages that last"),
    AlertKind.ALL_CLEAR: ("all-clear after an outage", "all-clears after outages"),
    AlertKind.SHADOW: ("shadow comparison has differences", "shadow comparisons have differences"),
    AlertKind.RECONCILIATION: ("reconciliation needs a look", "reconciliations need a look"),
    AlertKind.CUSTOMER_REVIEW: ("customer waits for a decision", "customers wait for a decision"),
    AlertKind.ACCOUNTING_LIST: (
        "report: the accounting list has new entries",
        "reports: the accounting list has new entries",
    ),
    AlertKind.CHANNEL_DOWN: ("target of alerts does not work", "targets of alerts do not work"),
}
"""One, and several."""


def short_key(alert: Alert) -> str:
    """The business key as it is remembered."""
    return hashlib.sha256(alert.key.encode()).hexdigest()[:10]


def add_to(groups: list[AlertGroup], alert: Alert) -> list[AlertGroup]:
    """The groups with one more alert, in the order in which their first came."""
    line = " | ".join(part for part in (alert.title, alert.text, alert.workflow_id) if part)[:LONGEST_LINE]
    for place, group in enumerate(groups):
        if (group.kind, group.reason) == (alert.kind, alert.reason):
            first = [*group.first, line] if len(group.first) < FIRST_FEW else group.first
            grown = group.model_copy(update={"count": group.count + 1, "first": first})
            return [*groups[:place], grown, *groups[place + 1 :]]
    return [*groups, AlertGroup(kind=alert.kind, reason=alert.reason, count=1, first=[line])]


def most_urgent(groups: Iterable[AlertGroup]) -> AlertSeverity:
    """The highest severity among them."""
    found = {group.kind.severity for group in groups}
    return next((one for one in (AlertSeverity.HIGH, AlertSeverity.WARNING) if one in found), AlertSeverity.INFO)


def message_of(pair: str, group: AlertGroup) -> Message:
    """How many, how to list them all, and the first few."""
    one, several = HEADINGS.get(group.kind, (group.kind.value.replace("_", " "),) * 2)
    heading = f"1 {one}" if group.count == 1 else f"{group.count} {several}"
    reason = f": {group.reason.value}" if group.reason else ""
    lines = []
    query = query_of(pair, group)
    if query:
        lines.append(f'List: temporal workflow list --query "{query}"')
    lines += [f"- {line}" for line in group.first]
    if group.count > len(group.first):
        lines.append(f"… and {group.count - len(group.first)} more")
    return Message(severity=group.kind.severity, title=f"[{pair}] {heading}{reason}", body="\n".join(lines))


def query_of(pair: str, group: AlertGroup) -> str:
    """The listing of everything that such alerts are about, where there is one."""
    if group.kind in {AlertKind.HOLD, AlertKind.REMINDER}:
        held = f"HoldReason='{group.reason.value}'" if group.reason else "OrderState='held'"
        return f"{held} AND ExecutionStatus='Running' AND Pair='{pair}'"
    if group.kind is AlertKind.DEAD_LETTER:
        return f"WorkflowType='DeadLetterWorkflow' AND ExecutionStatus='Running' AND Pair='{pair}'"
    if group.kind is AlertKind.NEW_PRODUCT:
        return f"HoldReason='new_product' AND ExecutionStatus='Running' AND Pair='{pair}'"
    if group.kind is AlertKind.ORDER_ENDED:
        ended = "ExecutionStatus IN ('Terminated', 'Failed', 'TimedOut', 'Canceled')"
        return f"WorkflowType='OrderFulfillmentWorkflow' AND {ended} AND Pair='{pair}'"
    if group.kind is AlertKind.FLOW_FAILED:
        return f"{FAILED_FLOWS} AND Pair='{pair}'"
    if group.kind is AlertKind.TASKS_FAILING:
        return f"TemporalReportedProblems IS NOT NULL AND ExecutionStatus='Running' AND Pair='{pair}'"
    return ""


def down_message(pair: str, channel: Channel) -> Message:
    """A target does not work: told through the others."""
    body = (
        f"- {channel.name}: {channel.problem}\nIts messages wait and are tried again. "
        f"Check it: python -m workers alerts test --pair {pair}"
    )
    return Message(
        severity=AlertKind.CHANNEL_DOWN.severity, title=f"[{pair}] 1 {HEADINGS[AlertKind.CHANNEL_DOWN][0]}", body=body
    )


def page(pair: str, channels: Iterable[Channel], told: list[str], alerts: int, messages: int) -> str:
    """The details page of `AlertWorkflow`."""
    lines = [f"## Alerts of pair {pair}", "", f"{alerts} alerts in {messages} messages so far.", ""]
    down = [channel for channel in channels if channel.failures]
    if down:
        lines += ["**Targets that do not work:**", ""]
        lines += [f"* {one.name}: {one.problem} ({len(one.waiting)} messages wait)" for one in down] + [""]
    if told:
        lines += ["Latest messages, the newest last:", "", *(f"* {title}" for title in told)]
    return "\n".join(lines)[:15_000]
