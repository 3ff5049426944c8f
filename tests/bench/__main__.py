"""`make bench`: every figure, in one run. Exit status 0 whatever the figures are.

`python -m tests.bench [--short] [--full] [--out var/bench]`. Ends with one line per figure on standard output and
writes `bench.json` and `bench.md`. `--short` only shows that all of it still runs; `--full` (SIZE=full) takes the
large sizes, hours in all.
"""

import argparse
import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.bench import books, customer_view, inventory_cost, orders, poll_cost
from tests.bench.figures import Figures


@dataclass(frozen=True)
class Size:
    """How large each part is."""

    orders: orders.Sizes
    poll: poll_cost.Sizes
    items: int
    customers: int
    history: int
    views: int
    books: int


SHORT = Size(orders.Sizes(6, 1, 3, 8, 1), poll_cost.Sizes(100, 500, changes=100, rounds=1), 100, 300, 1_000, 20, 200)
USUAL = Size(
    orders.Sizes(250, 40, 200, 1_000), poll_cost.Sizes(50_000, 100_000), 50_000, 100_000, 1_000_000, 100, 10_000
)
FULL = Size(
    orders.Sizes(1_000, 200, 200, 50_000), poll_cost.Sizes(100_000, 1_000_000), 50_000, 100_000, 1_000_000, 200, 10_000
)


def main() -> int:
    """Measure, one part after the other, so that none disturbs another."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--short", action="store_const", const=SHORT, dest="size")
    sizes.add_argument("--full", action="store_const", const=FULL, dest="size")
    parser.add_argument("--out", type=Path, default=Path("var/bench"))
    options = parser.parse_args()
    size: Size = options.size or USUAL
    figures = Figures()
    orders.run(size.orders, figures)
    asyncio.run(poll_cost.measure_companies(size.poll, figures))
    asyncio.run(inventory_cost.measure_store(size.items, figures))
    asyncio.run(customer_view.measure_company(size.customers, size.history, size.views, figures))
    books.measure(size.books, figures)
    figures.write(options.out)
    print(f"\n{figures.table()}\nWritten to {options.out}/bench.json and bench.md\n")
    for figure in figures.found:
        print(figure.line())
    return 0


if __name__ == "__main__":
    sys.exit(main())
