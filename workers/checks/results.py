"""Results of checks, and how a group of checks that depend on one another is run within a time limit.

In: a coroutine that fills a `Group`. Out: a `Result` for every name of the group, whatever happens: what raises is a
result, what was not reached is skipped with the reason.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict

from connectors.errors import ConnectorError, quoted

LIMIT_SECONDS: Final = 15.0
"""Of one group."""


class Outcome(StrEnum):
    """What a check found."""

    OK = "ok"
    WARNING = "warning"
    """It works, and somebody should know."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """It could not be looked at, and says why."""


class Result(BaseModel):
    """One check."""

    model_config = ConfigDict(frozen=True)

    check: str
    """Place and name: `odbc.tables`."""
    pair: str = ""
    """Empty: it is about the whole deployment."""
    outcome: Outcome
    seen: str
    remedy: str = ""


class Trouble(Exception):
    """The check that is on fails, and what comes after it cannot be looked at."""

    def __init__(self, seen: str, remedy: str) -> None:
        super().__init__(seen)
        self.seen = seen
        self.remedy = remedy


class Group:
    """Checks of one place, in the order in which they depend on one another."""

    def __init__(self, place: str, names: Sequence[str], pair: str = "") -> None:
        self.place = place
        self.names = tuple(names)
        self.pair = pair
        self.results: list[Result] = []

    def ok(self, name: str, seen: str) -> None:
        """As it should be."""
        self._add(name, Outcome.OK, seen)

    def warning(self, name: str, seen: str, remedy: str) -> None:
        """Works, and somebody should know."""
        self._add(name, Outcome.WARNING, seen, remedy)

    def failed(self, name: str, seen: str, remedy: str) -> None:
        """Does not work; the next check goes on."""
        self._add(name, Outcome.FAILED, seen, remedy)

    def skipped(self, name: str, why: str, remedy: str = "") -> None:
        """Could not be looked at."""
        self._add(name, Outcome.SKIPPED, why, remedy)

    def stop(self, seen: str, remedy: str) -> None:
        """The first check without a result fails, the others are skipped."""
        missing = [name for name in self.names if not self.has(name)]
        for index, name in enumerate(missing):
            if index == 0:
                self.failed(name, seen, remedy)
            else:
                self.skipped(name, f"because {self.place}.{missing[0]} failed")

    def has(self, name: str) -> bool:
        """Whether this check has a result."""
        return any(result.check == f"{self.place}.{name}" for result in self.results)

    def _add(self, name: str, outcome: Outcome, seen: str, remedy: str = "") -> None:
        check = f"{self.place}.{name}"
        self.results.append(Result(check=check, pair=self.pair, outcome=outcome, seen=seen, remedy=remedy))


Look = Callable[[Group], Awaitable[None]]


async def run_group(group: Group, look: Look, *, limit: float = LIMIT_SECONDS) -> list[Result]:
    """Run one group; never raises."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(limit):
            await look(group)
    except Trouble as trouble:
        group.stop(trouble.seen, trouble.remedy)
    except TimeoutError:
        group.stop(
            f"no answer within {time.monotonic() - began:.0f} s",
            "Look whether host and port are right, and whether a firewall swallows the connection.",
        )
    except ConnectorError as error:
        group.stop(error.message, "Try again; if it stays, look into the system's own log.")
    except Exception as error:
        group.stop(f"{type(error).__name__}: {quoted(str(error))}", "This is not expected: report it with this line.")
    for name in group.names:
        if not group.has(name):
            group.skipped(name, "was not reached")
    return group.results


def clock_result(group: Group, ahead: float | None, *, most: float) -> None:
    """Says how far another clock (seconds ahead of this machine's) is off; more than `most` fails."""
    if ahead is None:
        group.skipped("clock", "because no answer tells the time there (header Date)")
        return
    words = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this machine's"
    if abs(ahead) <= CLOCKS_AGREE_SECONDS:
        group.ok("clock", f"within {max(1, round(abs(ahead)))} s of this machine's")
    elif abs(ahead) > most:
        group.failed("clock", words, "Set both clocks by NTP: signatures and time windows depend on them.")
    else:
        group.warning("clock", words, "Set both clocks by NTP.")


CLOCKS_AGREE_SECONDS: Final = 5.0
