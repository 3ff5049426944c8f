"""What an account in Sage means for an order: its ship-tos, its bill-to, and the house account of guests (rules 6).

In: what ODBC read. Out: a ShipToCode, a finding, the order as the account wants it, a customer match. Pure.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

from mappings.customer_match import (
    BY_HOUSE_ACCOUNT,
    CustomerRecord,
    comparable,
    is_same_place,
    web_customer_id,
)
from mappings.pair import NewShipTo, Pair, ShipToRule
from mappings.problems import Finding, HoldReason, Problem
from mappings.sales_order import (
    CustomerCandidate,
    CustomerDecision,
    CustomerKey,
    CustomerMatch,
    CustomerSearch,
    SalesOrder,
    ShipToAddress,
)
from mappings.similarity import Street, is_same_name, street_of

BILL_TO: Final = ("Name", "Address1", "Address2", "Address3", "City", "State", "ZipCode", "CountryCode")
"""The columns `BillTo…` and `ShipTo…` of an order."""


def known_ship_to(order: SalesOrder, known: Sequence[ShipToAddress], pair: Pair) -> str:
    """ShipToCode of the account's one address with the order's recipient, door, postal code and country.

    Empty when unsure: a neighbour's code would bring his tax schedule, warehouse and ShipVia.
    """
    if pair.customers.ship_to is not ShipToRule.KNOWN:
        return ""
    same = [one for one in known if _is_there(order, one) and is_same_name(order.ShipToName, one.ShipToName)]
    return same[0].ShipToCode if len(same) == 1 else ""


def _is_there(order: SalesOrder | ShipToAddress, one: ShipToAddress) -> bool:
    """Whether the order goes to this door, whoever opens it."""
    return _street(order) == _street(one) != Street("", "") and is_same_place(_place(order), _place(one))


def _street(address: SalesOrder | ShipToAddress) -> Street:
    return street_of(address.ShipToAddress1, address.ShipToAddress2, address.ShipToAddress3)


def _place(address: SalesOrder | ShipToAddress) -> tuple[str, str, str]:
    return address.ShipToZipCode, address.ShipToCity, address.ShipToCountryCode


def has_terms(account: CustomerRecord, pair: Pair) -> bool:
    """Whether the account pays otherwise than web customers, who pay before (rules 6)."""
    return account.TermsCode != pair.customers.terms_code and str(account.key) != pair.customers.house_account


def needs_ship_tos(account: CustomerRecord, pair: Pair) -> bool:
    """Whether the account's SO_ShipToAddress rows have to be read for `known_ship_to` or `new_ship_to`."""
    return pair.customers.ship_to is ShipToRule.KNOWN or (
        pair.customers.new_ship_to is not NewShipTo.ORDER_ONLY and has_terms(account, pair)
    )


def is_known_address(
    order: SalesOrder | ShipToAddress, account: CustomerRecord, known: Sequence[ShipToAddress]
) -> bool:
    """Whether the order goes to the account's own address, or to one of its ship-tos."""
    own = ShipToAddress(
        ShipToCode="",
        ShipToAddress1=account.AddressLine1,
        ShipToAddress2=account.AddressLine2,
        ShipToAddress3=account.AddressLine3,
        ShipToCity=account.City,
        ShipToZipCode=account.ZipCode,
        ShipToCountryCode=account.CountryCode,
    )
    return any(_is_there(order, one) for one in (own, *known))


def new_ship_to(
    order: SalesOrder, account: CustomerRecord, known: Sequence[ShipToAddress], pair: Pair, *, paid: bool
) -> Finding | None:
    """Rules 6: goods for an account with terms go to an address that Sage does not know of it; a person looks.

    A taken-over web account ships on open terms to a strange door. `paid`: paid in full. What the pair does instead is
    `customers.new_ship_to`.
    """
    rule = pair.customers.new_ship_to
    looks = rule is NewShipTo.HOLD or (rule is NewShipTo.HOLD_UNPAID and not paid)
    if not looks or not has_terms(account, pair) or is_known_address(order, account, known):
        return None
    place = " ".join(filter(None, (order.ShipToZipCode, order.ShipToCity, order.ShipToCountryCode)))
    return Finding(
        reason=HoldReason.ANOMALY,
        check="new_ship_to",
        problems=[
            Problem(
                field=f"SO_ShipToAddress.{account.key}",
                message=f"The order ships to an address in {place} that is none of the account's, "
                + ("" if paid else "and is not paid: ")
                + f"account {account.key} has terms {account.TermsCode}.",
                suggestion="Ask the account's buyer by a number that Sage has. Right: add the address to the account's "
                "ship-tos and retry, or approve for this order only. Otherwise: cancel.",
            )
        ],
    )


def ship_to_to_add(
    order: SalesOrder, account: CustomerRecord, known: Sequence[ShipToAddress], pair: Pair
) -> ShipToAddress | None:
    """With `new_ship_to: add`, the SO_ShipToAddress to create for an account with terms; None when nothing is new.

    Its ShipToCode (C4) follows from the address, so that a repeated create meets its own; a code that stands for
    another address gives way to the next one.
    """
    if pair.customers.new_ship_to is not NewShipTo.ADD or not has_terms(account, pair):
        return None
    if is_known_address(order, account, known):
        return None
    return with_free_code(order, known)


def with_free_code(order: SalesOrder | ShipToAddress, known: Sequence[ShipToAddress]) -> ShipToAddress | None:
    """The address under a code of its own; None when a hundred codes stand for other addresses."""
    address = {f"ShipTo{part}": getattr(order, f"ShipTo{part}") for part in BILL_TO}
    taken = {one.ShipToCode for one in known}
    text = "|".join((*_street(order), *(comparable(part) for part in _place(order)), comparable(order.ShipToName)))
    for attempt in range(100):
        code = "W" + hashlib.sha256(f"{text}|{attempt}".encode()).hexdigest()[:3].upper()
        if code not in taken:
            return ShipToAddress(ShipToCode=code, **address)
    return None


def with_own_bill_to(order: SalesOrder, account: CustomerRecord, pair: Pair) -> SalesOrder:
    """On an account with terms the order's BillTo columns are left out, so that Sage's own stand (rules 6).

    A buyer may say where goods go, never whom Sage bills.
    """
    if not has_terms(account, pair):
        return order
    return order.model_copy(update=dict.fromkeys((f"BillTo{part}" for part in BILL_TO), ""))


def other_bill_to(order: SalesOrder, account: CustomerRecord, pair: Pair) -> str:
    """On an account with terms, what the order's own bill-to differs in from Sage's, in words; empty when it agrees."""
    if not has_terms(account, pair) or not (order.BillToName or order.BillToAddress1):
        return ""
    street = street_of(order.BillToAddress1, order.BillToAddress2, order.BillToAddress3)
    own = street_of(account.AddressLine1, account.AddressLine2, account.AddressLine3)
    at_home = is_same_place(
        (order.BillToZipCode, order.BillToCity, order.BillToCountryCode),
        (account.ZipCode, account.City, account.CountryCode),
    )
    differs = [
        *(["name"] if not is_same_name(order.BillToName, account.CustomerName) else []),
        *(["address"] if street != own or not at_home else []),
    ]
    return (
        f"the web order's bill-to {' and '.join(differs)} differ from account {account.key}: Sage's own stand"
        if differs
        else ""
    )


def house_account(search: CustomerSearch, pair: Pair) -> CustomerKey | None:
    """The pair's account for guests, when this buyer is one: nothing at Clarity or in Sage names an account."""
    known = web_customer_id(search.clarity_id, pair) or search.account_no or search.customer_reference
    if not pair.customers.house_account or known:
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
        return CustomerMatch(decision=CustomerDecision.MATCHED, customer=key, by=BY_HOUSE_ACCOUNT)
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
