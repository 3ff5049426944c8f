"""What travels between `AlertWorkflow`, the activity that delivers, and the watch.

Targets are secrets (their addresses hold tokens): in messages they have a name such as `warning 2 (slack)` and a key, a
keyed hash of the address, never the address itself. No personal data.
"""

from datetime import datetime

from contracts.messages import AlertKind, AlertSeverity
from mappings.frozen import Frozen
from mappings.pair import Pace
from mappings.problems import HoldReason


class AlertGroup(Frozen):
    """Alerts of one kind (and hold reason) that came within one grouping time."""

    kind: AlertKind
    reason: HoldReason | None = None
    count: int = 0
    first: list[str] = []
    """The first few: title, text and workflow id, one line each."""


class Message(Frozen):
    """What a target shows: plain text, short."""

    severity: AlertSeverity
    title: str
    body: str


class Channel(Frozen):
    """One target's part in the workflow's state: what it has not got yet, and how it fares."""

    key: str
    name: str
    waiting: list[Message] = []
    dropped: int = 0
    """Messages that were given up while the target was down for long; the log has each alert."""
    failures: int = 0
    """Deliveries that failed one after the other."""
    next_try: datetime | None = None
    reported: bool = False
    """Its outage was told through the other targets."""
    problem: str = ""


class AlertStart(Frozen):
    """Start argument of `AlertWorkflow`; everything after `pace` is what one run hands to the next."""

    pair: str
    pace: Pace
    groups: list[AlertGroup] = []
    channels: list[Channel] = []
    seen: list[str] = []
    """Short hashes of the business keys of the latest alerts."""
    told: list[str] = []
    """Titles of the latest messages, for the details page."""
    alerts: int = 0
    messages: int = 0


class TargetsWanted(Frozen):
    """`alert_targets`: the targets of a pair as its settings name them now."""

    pair: str


class Target(Frozen):
    """One target without its address: the key names it to `deliver_alerts`."""

    key: str
    name: str
    severities: list[AlertSeverity]


class Targets(Frozen):
    """Every target of a pair, each once."""

    targets: list[Target]
    pace: Pace | None = None
    """The pair's pace as its file says now: the workflow outlives changes of it."""


class Deliver(Frozen):
    """`deliver_alerts`: these messages to one target, in this order."""

    pair: str
    key: str
    messages: list[Message]


class Delivered(Frozen):
    """How many of them arrived, and why the next did not; `gone` when no setting names the target any more."""

    count: int
    problem: str = ""
    gone: bool = False


class WatchCursor(Frozen):
    """What one shift of the watch hands to the next. Run ids, shortened: each is told once."""

    closed_since: datetime | None = None
    """Orders that closed before were looked at."""
    ended: list[str] = []
    """Ended runs that the last look listed."""
    failing: list[str] = []
    """Runs whose failing tasks were told, as long as they fail."""
    raised: int = 0
    asked_until: datetime | None = None
    """Waiting orders whose time of day came before were asked to look at Sage."""


class WatchShift(Frozen):
    """`watch`: look until `until`, starting from the cursor."""

    pair: str
    cursor: WatchCursor | None
    until: datetime
    pace: Pace
