"""The demo's house for load: `python -m tests.soak.house demo …`. A sandbox without pauses, and no table of orders.

The demo's screen lists every order twice a second, which is more work for Temporal than a thousand orders.
"""

import sys
from typing import Any

from temporalio.client import Client

from workers import __main__ as workers_main
from workers.demo import Demo, Shop

PAUSES = ("--step-pause", "0")


class LoadedHouse:
    """What differs from the demo."""

    sandbox_command = Demo.sandbox_command

    def without_pauses(self, shop: Shop) -> list[str]:
        """The last of a flag given twice wins."""
        demo: Any = self
        return [*LoadedHouse.sandbox_command(demo, shop), *PAUSES]

    async def nothing_to_show(self, client: Client) -> None:
        """No orders are the demo's own."""


def main() -> int:
    """Run the demo so."""
    demo: Any = Demo
    demo.sandbox_command = LoadedHouse.without_pauses
    demo.refresh = LoadedHouse.nothing_to_show
    return workers_main.main()


if __name__ == "__main__":
    sys.exit(main())
