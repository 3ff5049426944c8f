"""Ten thousand orders with errors put in: each is found, none is invented, and everything adds up."""

import random
import time
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappings.differences import OrderResult, Status
from mappings.ledger import Ledger
from mappings.pair import Pair, PaymentRoute, PaymentRule
from mappings.reconciliation import reconcile
from mappings.reconciliation_report import report
from tests.support.books import GATEWAYS, TYPES, Books

ERRORS_OF_A_KIND = 60


@pytest.fixture(scope="session")
def routes(pair: Pair) -> Pair:
    """The demo pair with a gateway for each cash route."""
    rules = [
        PaymentRule(gateway=gateway, payment_type=TYPES[gateway], route=PaymentRoute(route))
        for gateway, route in GATEWAYS.items()
    ]
    return pair.model_copy(update={"payments": rules})


def unexplained(results: Iterable[OrderResult]) -> set[tuple[str, str]]:
    return {
        (result.order_id or result.sales_orders[0], one.reason.value)
        for result in results
        for one in result.differences
        if not one.reason.explained
    }


def test_every_error_among_ten_thousand_orders_is_found_and_none_is_invented(routes: Pair) -> None:
    seed = random.SystemRandom().randrange(10**9)
    print(f"seed {seed}")
    books = Books(seed, 10_000)
    books.spoil(ERRORS_OF_A_KIND)
    assert set(books.injected.values()) == {ERRORS_OF_A_KIND}, (seed, books.injected)
    ledger = books.ledger()
    begun = time.process_time()
    results = reconcile(ledger, routes)
    whole = report(ledger, results, "demo", "USD")
    print(
        f"{len(books.expected)} findings of {sum(books.injected.values())} errors: {time.process_time() - begun:.1f} s"
    )
    found = unexplained(results)
    assert found - books.expected == set(), (seed, "invented")
    assert books.expected - found == set(), (seed, "not found")
    assert whole.controls.adds_up, seed
    assert whole.customer_deposits.adds_up, seed
    assert whole.payouts_differ == 0, seed
    by_id = {result.order_id: result for result in results}
    for entry in books.entries:
        if not entry.spoilt:
            reasons = {one.reason.value for one in by_id[entry.id].differences}
            assert reasons == entry.reasons, (seed, entry)
            assert by_id[entry.id].status is (Status.EXPLAINED if reasons else Status.MATCHED)


@settings(max_examples=25)
@given(st.integers(min_value=0, max_value=2**32), st.integers(min_value=1, max_value=60), st.integers(0, 3))
def test_sums_add_up_and_the_order_of_the_input_does_not_matter(
    routes: Pair, seed: int, number: int, errors: int
) -> None:
    books = Books(seed, max(number, 20))
    books.spoil(errors)
    ledger = books.ledger()
    results = reconcile(ledger, routes)
    whole = report(ledger, results, "demo", "USD")
    assert whole.controls.adds_up
    assert whole.customer_deposits.adds_up
    again = shuffled(ledger, seed)
    assert reconcile(again, routes) == results
    assert report(again, results, "demo", "USD") == whole


def shuffled(ledger: Ledger, seed: int) -> Ledger:
    """The same books in another order."""
    rng = random.Random(seed + 1)  # noqa: S311
    names = ("orders", "sales_orders", "receipts", "accounting_list", "payouts")
    return ledger.model_copy(
        update={name: rng.sample(getattr(ledger, name), len(getattr(ledger, name))) for name in names}
    )
