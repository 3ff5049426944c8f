"""Types of the failures that activities raise and workflows understand.

An `ApplicationError` of one of these types carries, as its details, a list of `Problem` in JSON form.
"""

from enum import StrEnum

from pydantic import TypeAdapter, ValidationError
from temporalio.exceptions import ActivityError, ApplicationError, FailureError

from mappings.problems import HoldReason, Problem


class FailureType(StrEnum):
    """`ApplicationError.type` values; anything else is an exception that is not ours."""

    UNAVAILABLE = "Unavailable"
    """The system cannot answer now: retried without end."""
    REFUSED_BY_SAGE = "RefusedBySage"
    REFUSED_BY_CLARITY = "RefusedByClarity"
    SIGNED_OUT = "SignedOut"
    """Credentials refused: retried slowly, without end."""
    INTERNAL_ERROR = "InternalError"
    """An exception that is not ours, after its attempts were used up."""
    HANDOVER = "Handover"
    """The worker is going away; another one goes on from the heartbeat."""


_PROBLEMS = TypeAdapter(list[Problem])

HOLD_FOR_FAILURE = {
    FailureType.REFUSED_BY_SAGE: HoldReason.REJECTED_BY_SAGE,
    FailureType.REFUSED_BY_CLARITY: HoldReason.REJECTED_BY_CLARITY,
}


def hold_for(error: FailureError) -> tuple[HoldReason, list[Problem]]:
    """The hold that a failed activity asks for, with its problems; what is not ours is `internal_error`."""
    cause = _cause_of(error)
    if isinstance(cause, ApplicationError):
        reason = HoldReason.INTERNAL_ERROR
        for failure, hold in HOLD_FOR_FAILURE.items():
            if cause.type == failure:
                reason = hold
        return reason, _problems_of(cause) or [Problem(field=cause.type or "error", message=cause.message[:500])]
    message = str(cause) or type(cause).__name__
    return HoldReason.INTERNAL_ERROR, [Problem(field=type(cause).__name__, message=message[:500])]


def in_short(error: FailureError) -> str:
    """What failed by type and place, for an alert: the message may quote what it choked on, a name or an address."""
    cause = _cause_of(error)
    if not isinstance(cause, ApplicationError):
        return type(cause).__name__
    kind, problems = cause.type or "error", _problems_of(cause)
    if not problems:
        return kind
    if cause.type == FailureType.INTERNAL_ERROR:
        name, _, _ = problems[0].message.partition(":")
        kind = name if name.isidentifier() else kind
    return f"{kind} in {problems[0].field}"[:200]


def _cause_of(error: FailureError) -> BaseException:
    """A remote activity's failure comes wrapped, a local one's as it is."""
    return error.cause if isinstance(error, ActivityError) and error.cause is not None else error


def _problems_of(cause: ApplicationError) -> list[Problem]:
    try:
        return _PROBLEMS.validate_python(cause.details[0] if cause.details else [])
    except ValidationError:
        return []
