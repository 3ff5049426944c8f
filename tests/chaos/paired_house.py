"""The house for load with each worker process twice on one server: `python -m tests.chaos.paired_house demo …`."""

import sys
from dataclasses import replace
from typing import Any

from tests.soak import house
from workers import demo
from workers.supervise import Child, Supervisor


class PairedSupervisor(Supervisor):
    """Starts workers in pairs."""

    def start(self, child: Child) -> None:
        """A worker gets a second one beside it; any other process is alone."""
        super().start(child)
        if child.name.startswith("workers"):
            super().start(replace(child, name=f"{child.name}-second", process=None))


def main() -> int:
    """Run the demo so."""
    changed: Any = demo
    changed.Supervisor = PairedSupervisor
    return house.main()


if __name__ == "__main__":
    sys.exit(main())
