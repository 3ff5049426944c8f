"""How long the reconciliation of a night thinks: both books of so many orders in memory, compared and summed up.

`python -m tests.bench.books [--orders 10000]`. Reading them is `stock` and `customer_view`'s matter: pages over ODBC.
"""

import argparse
import time

from mappings.pair import PaymentRoute, PaymentRule, load_pair
from mappings.reconciliation import reconcile
from mappings.reconciliation_report import report
from tests.bench.figures import Figures
from tests.support.books import GATEWAYS, TYPES, Books
from tests.support.processes import ROOT


def measure(orders: int, figures: Figures) -> None:
    """Books with errors of every kind in them."""
    pair = load_pair(ROOT / "mappings/pairs/demo.yaml")
    rules = [
        PaymentRule(gateway=gateway, payment_type=TYPES[gateway], route=PaymentRoute(route))
        for gateway, route in GATEWAYS.items()
    ]
    pair = pair.model_copy(update={"payments": rules})
    books = Books(7, orders)
    books.spoil(max(orders // 200, 1))
    ledger = books.ledger()
    began = time.perf_counter()
    results = reconcile(ledger, pair)
    report(ledger, results, pair.name, "USD")
    took = time.perf_counter() - began
    assert len(results) >= orders, "every order has a result"
    figures.add("reconcile_seconds", took, f"reconciliation of {orders:,} orders, seconds")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=10_000)
    measure(parser.parse_args().orders, Figures())
