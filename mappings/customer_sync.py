"""What a change of a customer at Clarity does in Sage, by rules 6: the plan, and nothing but the plan.

In: the customer as Clarity has it, the accounts that are linked to it, the pair. Out: `CustomerPlan`. Pure.

Only an authenticated account number or our stored cross-reference leads to an account; an e-mail, a name or a phone
never does. An account follows the one customer whose id it carries. Only fields that the pair gives to Clarity are
written; an empty value erases nothing. Reasons name fields and keys, never values.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from mappings.accounts import has_terms, is_known_address, with_free_code
from mappings.addresses import fit_address, normalise_address
from mappings.canonical import Address
from mappings.customer_account import AccountRecord
from mappings.customer_match import (
    BY_CROSS_REFERENCE_IN_SAGE,
    BY_PERSON,
    account_keys,
    comparable,
    comparable_email,
    is_same_place,
    not_a_web_customer,
    web_customer_id,
)
from mappings.customer_rules import ADDRESS, ShipToSync, SyncedAccounts
from mappings.frozen import Frozen
from mappings.pair import Pair
from mappings.pair_rules import fits
from mappings.problems import Problem
from mappings.sales_order import CustomerKey, ShipToAddress
from mappings.similarity import is_same_name, may_be_one_person, phone_tail, street_of
from mappings.transform import normalised_email
from mappings.web_customer import WebCustomer

MOST_SHIP_TOS: Final = 20
"""New ship-to addresses of one change; more are a mistake, or an attack."""
LINK: Final = "UDF_WEB_CUSTOMER_ID"


class CustomerPlan(Frozen):
    """What to write where; nothing of it when nothing is to be done."""

    customer: CustomerKey | None = None
    """The account; None: nothing leads to one."""
    by: str = ""
    """What led to it."""
    columns: dict[str, str] = {}
    """AR_Customer: column → new value."""
    ship_tos: list[ShipToAddress] = []
    """To add to the account."""
    reference: str = ""
    """To write as Clarity's cross-reference."""
    attributes: dict[str, str] = {}
    """To write at Clarity: what Sage owns."""
    problems: list[Problem] = []
    """What a person has to decide or mend; without a person it is left alone."""
    notes: list[str] = []
    """What is left alone by the pair's rules."""

    @property
    def writes_to_sage(self) -> bool:
        """Whether Sage has to be called."""
        return bool(self.columns or self.ship_tos)

    @property
    def writes_to_clarity(self) -> bool:
        """Whether Clarity has to be called."""
        return bool(self.reference or self.attributes)


class LinkedAccount(NamedTuple):
    """An account that something names, as Sage has it now."""

    record: AccountRecord
    ship_tos: Sequence[ShipToAddress]


def named_accounts(customer: WebCustomer, linked: Sequence[CustomerKey], pair: Pair) -> dict[CustomerKey, str]:
    """Every account that the customer's own record or Sage names → by what. `linked` carry the customer's id."""
    if not web_customer_id(customer.clarity_id, pair):
        return {}
    named: dict[CustomerKey, str] = {}
    for by, reference in (
        ("the account number", customer.account_no),
        ("the cross-reference", customer.customer_reference),
    ):
        for key in account_keys(reference, pair.customers.divisions):
            named.setdefault(key, by)
    for key in linked:
        named.setdefault(key, BY_CROSS_REFERENCE_IN_SAGE)
    return named


def plan_sync(
    customer: WebCustomer,
    linked: Sequence[CustomerKey],
    accounts: Mapping[CustomerKey, LinkedAccount],
    pair: Pair,
    decided: CustomerKey | None = None,
) -> CustomerPlan:
    """The plan. `accounts` are those of `named_accounts` (and `decided`) that are in Sage; `decided` a person chose."""
    if not web_customer_id(customer.clarity_id, pair):
        return CustomerPlan(notes=["a guest's id is nobody's account"])
    if decided is not None:
        found, by = accounts.get(decided), BY_PERSON
        if found is None:
            return CustomerPlan(problems=[_unclear(f"account {decided} is not in Sage")])
    else:
        claims = _claims(customer, linked, accounts, pair)
        if isinstance(claims, Problem):
            return CustomerPlan(problems=[claims])
        if claims is None:
            return CustomerPlan(notes=["nothing links it to an account: neither number nor cross-reference"])
        found, by = claims
    return _plan_for(customer, found, by, pair)


def _claims(
    customer: WebCustomer,
    linked: Sequence[CustomerKey],
    accounts: Mapping[CustomerKey, LinkedAccount],
    pair: Pair,
) -> tuple[LinkedAccount, str] | Problem | None:
    """The one account that all claims name; why not; or None where there is no claim at all."""
    claims = [
        (by, keys)
        for by, keys in (
            ("the account number", account_keys(customer.account_no, pair.customers.divisions)),
            ("the cross-reference", account_keys(customer.customer_reference, pair.customers.divisions)),
            (BY_CROSS_REFERENCE_IN_SAGE, tuple(linked)),
        )
        if keys
    ]
    if not claims:
        return None
    found: dict[CustomerKey, LinkedAccount] = {}
    for by, keys in claims:
        there = {key: accounts[key] for key in keys if key in accounts and _is_ours(key, pair)}
        if not there:
            return _unclear(f"{by} names an account that is not in Sage, or not in this pair's divisions")
        found |= there
    if len(found) > 1:
        named = " and ".join(sorted(map(str, found)))
        return _unclear(f"{' and '.join(by for by, _ in claims)} name several accounts: {named}")
    [account] = found.values()
    if not account.record.is_active:
        return _unclear(f"account {account.record.key} is inactive")
    if [by for by, _ in claims] == [BY_CROSS_REFERENCE_IN_SAGE] and is_stranger(customer, account.record):
        return _unclear(f"account {account.record.key} carries its id, but neither name nor e-mail agrees")
    return account, claims[0][0]


def _is_ours(key: CustomerKey, pair: Pair) -> bool:
    return key.ARDivisionNo in pair.customers.divisions and str(key) != pair.customers.house_account


def is_stranger(customer: WebCustomer, record: AccountRecord) -> bool:
    """Neither e-mail nor name is the account's: an id that the shop has given to somebody else since."""
    person = f"{customer.first_name} {customer.last_name}".strip()
    return comparable_email(customer.email) not in record.emails and not any(
        name and (is_same_name(name, record.CustomerName) or may_be_one_person(name, record.CustomerName))
        for name in (customer.company, person)
    )


def _unclear(why: str) -> Problem:
    return Problem(
        field="data.customer",
        message=f"Nothing is written: {why}.",
        suggestion="Correct account number or cross-reference at Clarity, or choose the account with use_account.",
    )


def _plan_for(customer: WebCustomer, found: LinkedAccount, by: str, pair: Pair) -> CustomerPlan:
    record, rules = found.record, pair.customers.sync
    problems: list[Problem] = []
    notes: list[str] = []
    columns: dict[str, str] = {}
    ship_tos: list[ShipToAddress] = []
    own = record.UDF_WEB_CUSTOMER_ID
    plain = not (why := not_a_web_customer(record, pair))
    if own and own != customer.clarity_id:
        notes.append(f"account {record.key} carries another web customer's id and follows that one")
    else:
        if rules.of_clarity and not plain and rules.accounts is SyncedAccounts.WEB:
            notes.append(f"the fields of account {record.key} stay: {', '.join(why)} (customers.sync.accounts: web)")
        elif rules.of_clarity:
            columns = dict(_columns(customer, record, pair, problems))
        if rules.link and not own and (plain or rules.accounts is SyncedAccounts.ALL):
            columns[LINK] = customer.clarity_id
    if rules.ship_to is not ShipToSync.OFF and customer.shipping:
        if rules.ship_to is ShipToSync.WEB and (not plain or has_terms(record, pair)):
            notes.append(f"ship-tos of account {record.key} stay: it has terms (customers.sync.ship_to: web)")
        else:
            ship_tos = _ship_tos(customer, found, pair, problems)
    if len(ship_tos) > MOST_SHIP_TOS:
        problems.append(
            Problem(
                field="data.shippingAddresses",
                message=f"{len(ship_tos)} new addresses at once; {MOST_SHIP_TOS} are added at most.",
                suggestion="Look whether they are the customer's, and add the others in Sage.",
            )
        )
        ship_tos = ship_tos[:MOST_SHIP_TOS]
    owned = {attribute: record.own.get(column, "") for column, attribute in rules.of_sage.items()}
    return CustomerPlan(
        customer=record.key,
        by=by,
        columns=columns,
        ship_tos=ship_tos,
        reference="" if customer.customer_reference.upper() == str(record.key).upper() else str(record.key),
        attributes={name: value for name, value in owned.items() if customer.attributes.get(name, "") != value},
        problems=problems,
        notes=notes,
    )


# ---- fields ---------------------------------------------------------------------------------------------------------


def _columns(
    customer: WebCustomer, record: AccountRecord, pair: Pair, problems: list[Problem]
) -> Iterator[tuple[str, str]]:
    """AR_Customer's columns that change, of the fields that Clarity owns."""
    for field, owner in pair.customers.sync.of_clarity.items():
        if field == ADDRESS:
            yield from _address(customer, record, pair, problems)
            continue
        value = _value(field, customer, record, owner.attribute, problems)
        if not value:
            continue
        seen = len(problems)
        value = fits(field, value, f"data.{_NAMES.get(field, f'attributes.{owner.attribute}')}", pair, problems)
        if len(problems) == seen:
            yield field, value


_NAMES: Final = {"CustomerName": "company", "TelephoneNo": "phone", "EmailAddress": "email"}


def _value(field: str, customer: WebCustomer, record: AccountRecord, attribute: str, problems: list[Problem]) -> str:
    """The new value of one column; empty when nothing changes."""
    if field == "CustomerName":
        return "" if comparable(customer.name) == comparable(record.CustomerName) else customer.name
    if field == "TelephoneNo":
        tail = phone_tail(customer.phone)
        return "" if tail and tail == phone_tail(record.TelephoneNo) else customer.phone
    if field == "EmailAddress":
        return _email(customer, record, problems)
    value = customer.attributes.get(attribute, "").strip()
    return "" if value == record.own.get(field, "") else value


def _email(customer: WebCustomer, record: AccountRecord, problems: list[Problem]) -> str:
    email = normalised_email(customer.email)
    if customer.email and not email:
        problems.append(
            Problem(field="data.email", message="is not an e-mail address", suggestion="Correct it in Clarity.")
        )
    if not email or comparable_email(email) in record.emails:
        return ""
    if len(record.emails) > 1:
        problems.append(
            Problem(
                field="AR_Customer.EmailAddress",
                message=f"Account {record.key} has {len(record.emails)} e-mails, and nobody knows which one changed.",
                suggestion="Change it in Sage.",
            )
        )
        return ""
    return email


def _address(
    customer: WebCustomer, record: AccountRecord, pair: Pair, problems: list[Problem]
) -> Iterator[tuple[str, str]]:
    """All columns of the billing address, when it is another place."""
    billing = customer.billing
    if not billing.line1:
        return
    named = billing if billing.name or billing.company else billing.model_copy(update={"name": customer.name})
    normalised = normalise_address(named, "data.billingAddress")
    fitted = fit_address(normalised, pair.columns, "BillTo", "data.billingAddress")
    if found := [*normalised.problems, *fitted.problems]:
        problems += found
        return
    street = street_of(fitted.Address1, fitted.Address2, fitted.Address3)
    if street == street_of(record.AddressLine1, record.AddressLine2, record.AddressLine3) and is_same_place(
        (fitted.ZipCode, fitted.City, fitted.CountryCode), (record.ZipCode, record.City, record.CountryCode)
    ):
        return
    yield from {
        "AddressLine1": fitted.Address1,
        "AddressLine2": fitted.Address2,
        "AddressLine3": fitted.Address3,
        "City": fitted.City,
        "State": fitted.State,
        "ZipCode": fitted.ZipCode,
        "CountryCode": fitted.CountryCode,
    }.items()


def _ship_tos(customer: WebCustomer, found: LinkedAccount, pair: Pair, problems: list[Problem]) -> list[ShipToAddress]:
    """Shipping addresses that the account does not have, each under a code that follows from it."""
    known = list(found.ship_tos)
    added: list[ShipToAddress] = []
    for index, address in enumerate(customer.shipping):
        wanted = _ship_to(address, customer, f"data.shippingAddresses[{index}]", pair, problems)
        if wanted is None or is_known_address(wanted, found.record, known):
            continue
        coded = with_free_code(wanted, known)
        if coded is not None:
            added.append(coded)
            known.append(coded)
    return added


def _ship_to(
    address: Address, customer: WebCustomer, path: str, pair: Pair, problems: list[Problem]
) -> ShipToAddress | None:
    if not address.line1:
        return None
    named = address if address.name or address.company else address.model_copy(update={"name": customer.name})
    normalised = normalise_address(named, path)
    fitted = fit_address(normalised, pair.columns, "ShipTo", path)
    if found := [*normalised.problems, *fitted.problems]:
        problems += found
        return None
    return ShipToAddress(ShipToCode="", **{f"ShipTo{part}": value for part, value in fitted.columns.items()})
