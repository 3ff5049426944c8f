"""The demo's house with workers that die on demand: `python -m tests.chaos.crash_house demo …`.

The supervisor starts `tests.chaos.crash_worker` where it would start `workers`, and starts it again at once.
"""

import sys
from typing import Any

from workers import __main__ as workers_main
from workers import demo, supervise


def python(module: str, *arguments: str) -> list[str]:
    """The command of a module; the workers are those that die on demand."""
    return supervise.python("tests.chaos.crash_worker" if module == "workers" else module, *arguments)


def main() -> int:
    """Run the demo so."""
    changed: Any = demo
    changed.python = python
    pauses: Any = supervise
    pauses.RESTART_PAUSES = (0.1,)
    return workers_main.main()


if __name__ == "__main__":
    sys.exit(main())
