"""Figures of a bench run: one line each on standard output, and together as JSON and as a table.

`BENCH name=throughput_ratio value=0.93 goal=0.85 met=yes`; `met=-` where a figure has no goal.
"""

import json
import os
import platform
import sys
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """One measured value and the goal that it is held against."""

    name: str
    value: float
    what: str
    """For the table, with the unit."""
    goal: float | None = None
    at_most: bool = False
    """The goal is the largest value that is good, else the smallest."""

    @property
    def met(self) -> str:
        """yes, no, or - without a goal."""
        if self.goal is None:
            return "-"
        good = self.value <= self.goal if self.at_most else self.value >= self.goal
        return "yes" if good else "no"

    def line(self) -> str:
        """For standard output."""
        goal = "-" if self.goal is None else f"{self.goal:g}"
        return f"BENCH name={self.name} value={self.value:.4g} goal={goal} met={self.met}"


@dataclass
class Figures:
    """What a run has measured."""

    found: list[Figure] = field(default_factory=list)

    def add(self, name: str, value: float, what: str, goal: float | None = None, *, at_most: bool = False) -> Figure:
        """Remember a figure and print it at once, so that a run that is stopped has said what it knew."""
        figure = Figure(name, value, what, goal, at_most)
        self.found.append(figure)
        print(figure.line(), flush=True)
        return figure

    def write(self, folder: Path) -> None:
        """`bench.json` and `bench.md`."""
        folder.mkdir(parents=True, exist_ok=True)
        rows = [{**asdict(one), "met": one.met} for one in self.found]
        document = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine(), "figures": rows}
        (folder / "bench.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        (folder / "bench.md").write_text(self.table(), encoding="utf-8")

    def table(self) -> str:
        """Markdown, the machine beneath."""
        lines = ["| figure | value | goal | met |", "|---|---|---|---|"]
        for one in self.found:
            goal = "" if one.goal is None else f"{'≤' if one.at_most else '≥'} {one.goal:g}"
            lines.append(f"| {one.what} (`{one.name}`) | {one.value:.4g} | {goal} | {one.met} |")
        said = machine()
        lines += ["", f"{said['cores']} cores, {said['memory_gib']} GiB, {said['system']}, Python {said['python']}."]
        return "\n".join(lines) + "\n"


def machine() -> dict[str, str | int]:
    """What the figures were measured on; no name of it."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(pages / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
        "python": ".".join(map(str, sys.version_info[:3])),
    }
