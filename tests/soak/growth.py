"""Does it grow: what a process held soon after warm-up against what it held at the end.

In: samples over time. Out: `Growth` by process and quantity, each with its limit. The medians of the first and of the
last quarter after warm-up are compared (a peak moves neither); the slope is Theil and Sen's, the median of the slopes
of all pairs (Sen, JASA 63, 1968). Threads of the SDK's runtime are compared at rest, before the load and after it:
under load they stay as many as the largest burst so far took (`Sample.runtime_threads`).
"""

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tests.soak.census import Sample

WARM_UP_SHARE = 0.2
"""Of the time under load: what is filled once (caches, pools, imports) is full then."""
MEMORY_SHARE = 0.05
MEMORY_MIB = 10.0
"""Memory grows when it is more by both, share and MiB: allocators keep what they had."""
COUNT = 3.0
"""Threads, handles, connections: pools breathe by so many."""
PAIRS_AT_MOST = 400
"""Samples that the slope looks at; of more, every so many-th."""


class Quantity(StrEnum):
    """What must not grow."""

    MEMORY = "memory"
    THREADS = "threads"
    HANDLES = "handles"
    CONNECTIONS = "connections"
    RUNTIME_THREADS = "runtime_threads"
    """Under load: for information."""
    RUNTIME_THREADS_AT_REST = "runtime_threads_at_rest"
    """Before the load and after it."""


UNDER_LOAD = [quantity for quantity in Quantity if quantity is not Quantity.RUNTIME_THREADS_AT_REST]


@dataclass(frozen=True)
class Growth:
    """One quantity of one process."""

    process: str
    quantity: Quantity
    first: float
    """Median of the first quarter after warm-up; at rest: before the load."""
    last: float
    per_hour: float
    """Slope."""
    judged: bool = True

    @property
    def value(self) -> float:
        """By how much it grew between the quarters."""
        return self.last - self.first

    @property
    def limit(self) -> float:
        """By how much it may grow."""
        return max(MEMORY_MIB, MEMORY_SHARE * self.first) if self.quantity is Quantity.MEMORY else COUNT

    @property
    def met(self) -> str:
        """yes, no, or - for what is not ours."""
        if not self.judged:
            return "-"
        return "yes" if self.value <= self.limit else "no"

    def line(self) -> str:
        """For standard output."""
        limit = f"{self.limit:.4g}" if self.judged else "-"
        return f"SOAK name={self.quantity.value}_{self.process} value={self.value:.4g} limit={limit} met={self.met}"


def after_warm_up(times: Sequence[float]) -> list[int]:
    """Places of the samples that count; the times are seconds under load, rising."""
    if not times:
        return []
    warm = times[0] + WARM_UP_SHARE * (times[-1] - times[0])
    return [place for place, time in enumerate(times) if time >= warm]


def quarters(values: Sequence[float]) -> tuple[float, float]:
    """Medians of the first and of the last quarter."""
    size = max(1, len(values) // 4)
    return statistics.median(values[:size]), statistics.median(values[-size:])


def slope(times: Sequence[float], values: Sequence[float]) -> float:
    """Per second, the median over all pairs; 0 with fewer than two samples."""
    step = -(-len(times) // PAIRS_AT_MOST)
    points = list(zip(times[::step], values[::step], strict=True)) if step else []
    found = [(v2 - v1) / (t2 - t1) for (t1, v1), (t2, v2) in itertools.combinations(points, 2) if t2 > t1]
    return statistics.median(found) if found else 0.0


def growth(
    samples: Sequence[tuple[float, Mapping[str, Sample]]], processes: Sequence[str], *, judged: bool
) -> list[Growth]:
    """Every quantity of these processes over the time under load. One that was never seen is left out."""
    found = []
    for process in processes:
        seen = [(time, sample[process]) for time, sample in samples if process in sample]
        counted = [seen[place] for place in after_warm_up([time for time, _ in seen])]
        if not counted:
            continue
        times = [time for time, _ in counted]
        for quantity in UNDER_LOAD:
            values = [float(getattr(sample, quantity.value)) for _, sample in counted]
            first, last = quarters(values)
            counts = judged and quantity is not Quantity.RUNTIME_THREADS
            found.append(Growth(process, quantity, first, last, slope(times, values) * 3600, counts))
    return found


def at_rest(before: Mapping[str, Sample], after: Mapping[str, Sample], processes: Sequence[str]) -> list[Growth]:
    """The runtime's threads when nothing is under way. A process that is missing on a side is left out."""
    return [
        Growth(
            process,
            Quantity.RUNTIME_THREADS_AT_REST,
            float(before[process].runtime_threads),
            float(after[process].runtime_threads),
            per_hour=0.0,
        )
        for process in processes
        if process in before and process in after
    ]


def table(found: Sequence[Growth]) -> str:
    """Markdown."""
    lines = [
        "| process | quantity | first quarter | last quarter | growth | limit | per hour | met |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in found:
        limit = f"{one.limit:.1f}" if one.judged else ""
        lines.append(
            f"| {one.process} | {one.quantity.value} | {one.first:.1f} | {one.last:.1f} | {one.value:+.1f} | {limit} "
            f"| {one.per_hour:+.1f} | {one.met} |"
        )
    return "\n".join(lines) + "\n"
