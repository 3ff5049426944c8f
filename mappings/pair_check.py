"""`python -m mappings check`: every pair file of a folder, every error in each, and warnings.

In: the folder. Out: a line for each usable pair and each warning on standard output, a line for each error on standard
error, and the exit status: 0 when every file can be used, warnings or not; 1 when one cannot, or none is there.
"""

import io
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Final, NamedTuple

from mappings.codes import unknown_region
from mappings.pair import Pair, PairFileError, PaymentRoute, read_folder
from mappings.pair_file import Path_, dotted
from mappings.sage_columns import LENGTHS

BOOKED_BY_HAND: Final = (PaymentRoute.DEPOSIT_LIABILITY, PaymentRoute.PREPAYMENT, PaymentRoute.ON_INVOICE)
"""Routes that need a cash receipt in Sage."""

NO_BANK: Final = "; without reconciliation.bank_code a reconciliation reads none, and its orders never match"

READS_LIKE_A_CARD: Final = frozenset(
    {"VISA", "MC", "MCARD", "MASTR", "AMEX", "DISC", "DISCV", "DINRS", "CC", "CARD", "ACH", "ECHCK"}
)
"""Usual codes of AR_PaymentTypes of PaymentMethod R and A. What they are in this company is in Sage alone: there the
type is looked at with each order and before receipts are entered."""

USUAL_TAX_TOLERANCE: Final = Decimal(1)
"""Of an order, in the company's currency; rounding seldom differs by more."""

USUAL_ROUNDING: Final = Decimal(1)
"""Of a line, in the company's currency."""

LEADS_TO_PICKING: Final = ("PrintPickingSheets", "PrintSalesOrders", "CycleCode")
"""Header columns by which a warehouse finds new orders (rules 4)."""


class Notice(NamedTuple):
    """What a pair file may say, and somebody should know."""

    key: Path_
    text: str


def warnings(pair: Pair) -> Iterator[Notice]:
    """What is allowed and may surprise."""
    for index, rule in enumerate(pair.payments):
        if rule.route in BOOKED_BY_HAND and not pair.cash_receipts.write:
            yield Notice(
                ("payments", index, "route"),
                f"route {rule.route} needs a cash receipt in Sage: accounting enters it by hand, from the accounting "
                f"list, as cash_receipts.write is off{'' if pair.reconciliation.bank_code else NO_BANK}",
            )
        if rule.payment_type in READS_LIKE_A_CARD:
            yield Notice(
                ("payments", index, "payment_type"),
                f"{rule.payment_type!r} reads like a card's or a bank account's type: when it is of PaymentMethod R or "
                "A in Sage, Sage would charge the buyer again, so orders with it are held and no receipt is entered; "
                "take one of PaymentMethod O for the gateway",
            )
    if pair.tax.tolerance > USUAL_TAX_TOLERANCE:
        yield Notice(
            ("tax", "tolerance"),
            f"{pair.tax.tolerance} per order is more than rounding: a wrong tax schedule may pass unseen",
        )
    if pair.charges.rounding_limit > USUAL_ROUNDING:
        yield Notice(
            ("charges", "rounding_limit"),
            f"{pair.charges.rounding_limit} on one line is more than rounding: prices that the company cannot keep "
            "may pass unseen",
        )
    for index, place in enumerate(pair.tax.exempt_regions):
        country, _, region = place.rpartition("-")
        if all(unknown_region(one, region) is not None for one in ([country] if country else ["US", "CA"])):
            yield Notice(
                ("tax", "exempt_regions", index),
                f"{place!r} is no region of {country or 'the United States or Canada'}, and exempts nobody",
            )
    for column, length in pair.columns.items():
        if length > LENGTHS.get(column, length):
            yield Notice(
                ("columns", column),
                f"{length} is more than the {LENGTHS[column]} of Sage's layout: what is longer is refused by Sage "
                "instead of held here, unless this release has a longer column",
            )
    order = pair.order
    named = {*order.header, *order.header_values, *(name for rule in order.header_rules for name in rule.header)}
    if order.order_status == "N" and not named.intersection(LEADS_TO_PICKING):
        yield Notice(
            ("order", "order_status"),
            f"nothing tells the warehouse of new orders: neither order_status O nor {', '.join(LEADS_TO_PICKING[:2])} "
            f"or {LEADS_TO_PICKING[2]} in order.header; make sure that it looks for orders of status N",
        )


def check(directory: Path) -> int:
    """Print what there is to say about every pair file; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        found = read_folder(directory)
    except PairFileError as error:
        print(error, file=sys.stderr)
        return 1
    for name, pair in found.pairs.items():
        print(f"{name}: ok (mapping version {pair.version})")
        for one in warnings(pair):
            where = f"{directory / name}.yaml:{found.lines[name].nearest(one.key)}"
            print(f"{where}: {dotted(one.key)}: warning: {one.text}.")
    for name in found.unread:
        print(f"{directory / name}: warning: is not read; pair files end with .yaml.")
    sys.stdout.flush()
    if found.errors:
        print(PairFileError.of(found.errors), file=sys.stderr)
    return 1 if found.errors else 0
