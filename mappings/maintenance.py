"""Times in which a system is known not to answer: nobody calls it then, and nobody is alarmed.

In: `maintenance` of the sections `sage` and `clarity` of a pair file. Out: whether a moment lies within.
"""

from collections.abc import Iterable
from datetime import datetime, time
from typing import Literal

from pydantic import Field, model_validator

from mappings.pair_file import Contradiction, refuse
from mappings.section import Section

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEK: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOUR = r"^([01]\d|2[0-3]):[0-5]\d$"


class MaintenanceWindow(Section):
    """Hours in the company's time zone, on each of these days."""

    days: list[Day] = Field(default=[*WEEK], min_length=1)
    """Days on which it begins; without, every day."""
    start: str = Field(pattern=_HOUR)
    """As text, `"02:00"`: YAML reads the bare form as a number."""
    end: str = Field(pattern=_HOUR)
    """As text, `"03:30"`. An end before the start is on the next day."""

    @model_validator(mode="after")
    def _lasts_some_time(self) -> "MaintenanceWindow":
        if self.start == self.end:
            problem = f"begins and ends at {self.start}"
            refuse([Contradiction(("end",), problem, "Write another hour, or remove the window.")])
        return self

    def cover(self, moment: datetime) -> bool:
        """Whether a moment, in the company's time zone, lies within; hours past midnight belong to the day before."""
        start, end, now = time.fromisoformat(self.start), time.fromisoformat(self.end), moment.time()
        today, yesterday = WEEK[moment.weekday()], WEEK[moment.weekday() - 1]
        if start < end:
            return today in self.days and start <= now < end
        return (today in self.days and now >= start) or (yesterday in self.days and now < end)


def in_maintenance(windows: Iterable[MaintenanceWindow], moment: datetime) -> bool:
    """Whether a moment, in the company's time zone, lies within any window."""
    return any(window.cover(moment) for window in windows)
