"""The errors of the outside systems: one small tree.

    ConnectorError
    ├── RetryLater     the system cannot answer now, and nothing was written (423, 503, 5xx on reads, no connection)
    │   ├── TooManyRequests   429: it works, and wants fewer calls; nobody calls it before the moment it named
    │   └── RecordInUse       423: it works, and somebody has this record open
    ├── Ambiguous      the answer to a write was lost: it may have been done; read back before repeating
    ├── SignedOut      credentials are refused, after one refresh of the token
    └── Refused        a final answer (other 4xx); names the column or field
        ├── NotFound       404
        ├── AlreadyExists  409: the key or reference is taken, nothing changed
        └── ShadowMode     a write of a pair that may only read; it was never sent

`str()` says system, call, what happened. Texts from outside are cut to 200 characters; what looks like a secret in them
is masked, and so is every secret that the caller knows (a server may echo a request).
"""

import re
from collections.abc import Iterable
from datetime import timedelta

QUOTED_CHARACTERS = 200
MASK = "***"
_SECRETS = (
    # "Password": "…", access_token=…, api-key: …; up to the end of the value, also where the text ends before it.
    re.compile(
        r"""(?ix) (["']? [\w-]* (?:passw(?:or)?d | pwd | secret | token | api[_-]?key) ["']? \s* [:=] \s*)
        (?: "[^"]*"? | '[^']*'? | [^\s,;&<>{}"']+ )"""
    ),
    re.compile(r"(?i)\b((?:bearer|basic)\s+)[\w.~+/=-]{8,}"),
)


class ConnectorError(Exception):
    """Base: `system` is "Sage gateway", "Sage ODBC" or "Clarity"; `call` names the request."""

    def __init__(self, system: str, call: str, message: str) -> None:
        self.system = system
        self.call = call
        self.message = message
        super().__init__(f"{system}: {call}: {message}")


class RetryLater(ConnectorError):
    """Not now. `retry_after` when the system said when."""

    def __init__(self, system: str, call: str, message: str, retry_after: timedelta | None = None) -> None:
        super().__init__(system, call, message)
        self.retry_after = retry_after


class TooManyRequests(RetryLater):
    """The system answers, and asks for fewer calls."""


class RecordInUse(RetryLater):
    """The system answers; somebody has this record open."""


class Ambiguous(ConnectorError):
    """The write may or may not have been done."""


class SignedOut(ConnectorError):
    """The credentials are refused: a person must look at the settings."""


class Refused(ConnectorError):
    """A final answer. `field` is Sage's column or Clarity's field, empty when the system names none."""

    def __init__(self, system: str, call: str, message: str, *, status: int, field: str = "") -> None:
        super().__init__(system, call, message)
        self.status = status
        self.field = field


class NotFound(Refused):
    """There is no such thing."""


class AlreadyExists(Refused):
    """The key is taken; nothing was changed."""


class ShadowMode(Refused):
    """The pair is in shadow mode, and the call writes: nothing was sent."""

    def __init__(self, system: str, call: str) -> None:
        message = (
            "the pair is in shadow mode (mode: shadow in its pair file), and writes nothing; this was not sent. "
            "Write mode: live when it goes live (docs/going-live.md)"
        )
        super().__init__(system, call, message, status=0, field="mode")


def is_outage(error: BaseException) -> bool:
    """Whether this says that the system does not answer, whatever it is asked."""
    return isinstance(error, RetryLater | Ambiguous) and not isinstance(error, TooManyRequests | RecordInUse)


def quoted(text: str, secrets: Iterable[str] = ()) -> str:
    """The beginning of a text from outside, as one line, without secrets; `secrets` are those the caller knows."""
    # Masked before it is cut: half a secret is one, too. Nothing beyond a few thousand characters is looked at.
    line = " ".join(text[: QUOTED_CHARACTERS * 20].split())
    for secret in secrets:
        if secret:
            line = line.replace(secret, MASK)
    for pattern in _SECRETS:
        line = pattern.sub(rf"\1{MASK}", line)
    return line if len(line) <= QUOTED_CHARACTERS else line[:QUOTED_CHARACTERS] + "…"
