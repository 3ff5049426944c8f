"""What a promotion is asked, shows and records: messages of `PromotionWorkflow` and its activities. Additive only.

No personal data: orders by workflow id, columns by name, never their values.
"""

from datetime import datetime
from enum import StrEnum

from contracts.deployments import PatchState
from mappings.frozen import Frozen


class Checked(Frozen):
    """What the command found before anything was ramped."""

    code: str = ""
    """Candidate's code version, and the mapping's."""
    mapping: str = ""
    current: dict[str, str] = {}
    """Build id that serves the target, by role; empty for workers without a version."""
    in_source: dict[str, str] = {}
    """The same of the source environment."""
    changed_keys: list[str] = []
    """`pair: key` of the pair files that differ from the target's."""
    replayed_open: int = 0
    replayed_closed: int = 0
    diverging: list[str] = []
    """`workflow id: event and reason`, of histories that the candidate cannot go on with."""
    previewed: int = 0
    differing: list[str] = []
    """`workflow id: columns`, of orders that would be another Sage order."""


class PromotionEnd(StrEnum):
    """How a promotion ended."""

    PROMOTED = "promoted"
    STOPPED = "stopped"
    """By a check: nothing was ramped."""
    DECLINED = "declined"
    """By the person who was asked: nothing was ramped."""
    ROLLED_BACK = "rolled_back"


class PromotionStart(Frozen):
    """Start argument of `PromotionWorkflow`."""

    by: str
    source: str
    """Names of the environments."""
    target: str
    deployment: str
    """Beginning of the deployments' names."""
    build_id: str
    """The candidate."""
    groups: list[list[str]]
    """Roles that are ramped together, one group after the other."""
    already: list[str] = []
    """Roles that the candidate serves already: neither ramped nor rolled back."""
    queues: dict[str, list[str]]
    """By role, those that the candidate's workers must poll."""
    queues_before: dict[str, list[str]] = {}
    """By role, those that the workers of the version before must poll after a rollback."""
    at_once: list[str] = []
    """Roles that go to 100 % in one step."""
    steps: list[int]
    """Percentages; the last is 100."""
    watch_seconds: float
    """At each step."""
    soak_seconds: float
    """At 100 %, before the patches."""
    settle_seconds: float
    """Until every worker has read that patches are held back."""
    look_every_seconds: float
    patches: PatchState
    """While ramping."""
    checked: Checked
    ended: PromotionEnd | None = None
    """It ended before anything was ramped: only recorded."""
    why: str = ""


class Phase(StrEnum):
    """Where a promotion is."""

    CHECKED = "checked"
    RAMPING = "ramping"
    SOAKING = "soaking"
    FORWARD_ONLY = "forward_only"
    """The candidate is current, and patches are being switched on: no way back."""
    ROLLING_BACK = "rolling_back"
    ENDED = "ended"


class Failing(Frozen):
    """Something that fails while the candidate serves orders."""

    what: str
    """For people; without personal data."""
    workflow_id: str = ""

    def __str__(self) -> str:
        """For people."""
        return f"{self.workflow_id}: {self.what}" if self.workflow_id else self.what


class PromotionState(Frozen):
    """Query `state`."""

    by: str
    source: str
    target: str
    build_id: str
    phase: Phase = Phase.CHECKED
    percentages: dict[str, int] = {}
    """Of each role's orders that the candidate serves."""
    began: datetime
    failures: list[Failing] = []
    log: list[str] = []
    """What was done and when, in words."""


class PromotionOutcome(Frozen):
    """Result of `PromotionWorkflow`."""

    end: PromotionEnd
    why: str = ""
    failures: list[Failing] = []
    log: list[str] = []


class RollBack(Frozen):
    """Signal `roll_back`."""

    by: str
    why: str = ""


class SetPatches(Frozen):
    """`set_patches`: what a version's workers do about patches that an order comes upon for the first time."""

    deployment: str
    build_id: str
    state: PatchState
    current: str | None = None
    """The version that serves the deployment, as it was checked: with another nothing is set. None: whichever."""


class SetRamp(Frozen):
    """`set_ramp`: how much of a deployment the candidate serves; 0 takes it out."""

    deployment: str
    build_id: str
    percentage: int
    current: str | None = None
    """The version that serves the rest, as it was checked: with another no ramp is begun. None: whichever."""


class SetCurrent(Frozen):
    """`set_current`: which version serves everything that is not ramped; empty: workers without a version."""

    deployment: str
    build_id: str
    instead_of: str | None = None
    """The only version that it may replace. None: any."""


class FindUnpolled(Frozen):
    """`find_unpolled`: by role, the build that serves it, and the queues that its workers must poll."""

    builds: dict[str, str]
    """Empty for workers without a version."""
    queues: dict[str, list[str]]


class WatchRamp(Frozen):
    """`find_failures`, `watch_ramp`."""

    deployment: str
    build_id: str
    percentages: dict[str, int] = {}
    """By role, as they were set: a change from elsewhere is a failure."""
    current: dict[str, str] = {}
    """By role, the version that serves the rest, as it was checked: another is such a change, too."""
    queues: dict[str, list[str]] = {}
    since: datetime
    known: list[str] = []
    """Ids of what failed before the candidate served anything."""
    seconds: float = 0
    look_every_seconds: float = 5
