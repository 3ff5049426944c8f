"""What an account in Sage means for an order: which ship-to of it, and the house account of guests (rules 6).

In: what ODBC read. Out: a ShipToCode, a customer match. Pure.
"""

from collections.abc import Sequence

from mappings.customer_match import CustomerRecord
from mappings.frozen import Frozen
from mappings.pair import Pair, ShipToRule
from mappings.sales_order import (
    CustomerCandidate,
    CustomerDecision,
    CustomerKey,
    CustomerMatch,
    CustomerSearch,
    SalesOrder,
)
from mappings.similarity import folded, postal_key, street_of


class ShipToAddress(Frozen):
    """SO_ShipToAddress, as far as comparing needs it."""

    ShipToCode: str
    ShipToName: str = ""
    ShipToAddress1: str = ""
    ShipToAddress2: str = ""
    ShipToAddress3: str = ""
    ShipToZipCode: str = ""


def known_ship_to(order: SalesOrder, known: Sequence[ShipToAddress], pair: Pair) -> str:
    """ShipToCode of the account's one address with the order's street, unit and postal code; empty when unsure.

    Among several the one with the same name counts, if it is one.
    """
    if pair.customers.ship_to is not ShipToRule.KNOWN:
        return ""
    street = street_of(order.ShipToAddress1, order.ShipToAddress2, order.ShipToAddress3)
    same = [
        one
        for one in known
        if postal_key(one.ShipToZipCode) == postal_key(order.ShipToZipCode)
        and street_of(one.ShipToAddress1, one.ShipToAddress2, one.ShipToAddress3) == street
    ]
    if len(same) > 1:
        same = [one for one in same if folded(one.ShipToName) == folded(order.ShipToName)]
    return same[0].ShipToCode if len(same) == 1 else ""


def house_account(search: CustomerSearch, pair: Pair) -> CustomerKey | None:
    """The pair's account for guests, when this buyer is one: nothing at Clarity or in Sage names an account."""
    if not pair.customers.house_account or search.clarity_id or search.account_no or search.customer_reference:
        return None
    division, number = pair.customers.house_account.split("-", 1)
    return CustomerKey(ARDivisionNo=division, CustomerNo=number)


def match_house_account(
    search: CustomerSearch, candidates: Sequence[CustomerRecord], pair: Pair
) -> CustomerMatch | None:
    """A paid guest's order goes to the house account; None for everybody else.

    An order that is not paid in full, or a house account that is not there or inactive, is for a person.
    """
    key = house_account(search, pair)
    if key is None:
        return None
    record = next((candidate for candidate in candidates if candidate.key == key), None)
    if record is not None and record.is_active and search.fully_captured:
        return CustomerMatch(decision=CustomerDecision.MATCHED, customer=key, by="the house account of guests")
    why = (
        "is not in Sage"
        if record is None
        else "is inactive in Sage"
        if not record.is_active
        else "takes orders paid in full only, and this one is not"
    )
    return CustomerMatch(
        decision=CustomerDecision.REVIEW,
        candidates=[CustomerCandidate(customer=key, reasons=[f"the house account of guests, but it {why}"])],
    )
