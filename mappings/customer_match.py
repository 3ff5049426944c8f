"""Which customer an order belongs to (rules 6): certain, uncertain (a person decides), or new.

In: what the order knows of its buyer, and the accounts that share a key with it. Out: `CustomerMatch`. The keys, in
order:

    account number → cross-reference → e-mail and a second key → an account that these first orders have just made
    → what only suggests: the e-mail otherwise, of a contact, of a ship-to; phone; name and address

Only an authenticated account number or a stored cross-reference may name an account outside the consumer divisions; an
e-mail matches only with captured money, a consumer account, and an independent key that agrees. Reasons name keys,
never values.
"""

import re
from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum

from mappings.frozen import Frozen
from mappings.pair import Pair
from mappings.sales_order import (
    CustomerCandidate,
    CustomerDecision,
    CustomerKey,
    CustomerMatch,
    CustomerSearch,
)
from mappings.similarity import (
    Street,
    e164,
    folded,
    formal,
    is_same_name,
    may_be_one_person,
    name_likeness,
    name_of,
    postal_key,
    same_given_name,
    street_of,
)


class Thresholds(Frozen):
    """From where on a likeness is worth a person's time. Chosen so that a new buyer is seldom held."""

    name_at_address: int = 92
    """Name likeness, beside the same street and postal code."""
    name_in_postal_code: int = 95
    """Name likeness, beside the same postal code alone."""
    name_with_phone: int = 92
    """Name likeness, beside the same phone number in another postal code."""
    candidates: int = 10
    """How many a person is shown."""


SUGGEST = Thresholds()


class EmailSource(StrEnum):
    """Where an e-mail address stands in Sage; only the account's own may match."""

    ACCOUNT = "account"
    CONTACT = "contact"
    SHIP_TO = "ship_to"


class CustomerRecord(Frozen):
    """AR_Customer, as far as matching and credit need it."""

    ARDivisionNo: str
    CustomerNo: str
    CustomerName: str = ""
    AddressLine1: str = ""
    AddressLine2: str = ""
    AddressLine3: str = ""
    City: str = ""
    ZipCode: str = ""
    CountryCode: str = ""
    TelephoneNo: str = ""
    EmailAddress: str = ""
    """As stored: may hold several addresses, separated by `;` or `,`."""
    CustomerStatus: str = "A"
    InactiveReasonCode: str = ""
    TermsCode: str = ""
    PriceLevel: str = ""
    TaxExemptNo: str = ""
    CustomerType: str = ""
    CreditHold: bool = False
    CreditLimit: Decimal = Decimal(0)
    CurrentBalance: Decimal = Decimal(0)
    AgingCategory1: Decimal = Decimal(0)
    AgingCategory2: Decimal = Decimal(0)
    AgingCategory3: Decimal = Decimal(0)
    AgingCategory4: Decimal = Decimal(0)
    OpenOrderAmt: Decimal = Decimal(0)
    UDF_WEB_CUSTOMER_ID: str = ""
    other_emails: dict[str, EmailSource] = {}
    """E-mails of contacts and ship-to addresses."""
    just_appeared: bool = False
    """It was not in Sage a few minutes ago."""

    @property
    def key(self) -> CustomerKey:
        """The primary key."""
        return CustomerKey(ARDivisionNo=self.ARDivisionNo, CustomerNo=self.CustomerNo)

    @property
    def is_active(self) -> bool:
        """CustomerStatus I is inactive; blank is active on old companies."""
        return self.CustomerStatus != "I"

    @property
    def emails(self) -> tuple[str, ...]:
        """The account's own addresses, lower case."""
        return split_emails(self.EmailAddress)

    @property
    def exposure(self) -> Decimal:
        """Credit in use, before this order (sage100.md 5)."""
        return (
            self.CurrentBalance
            + self.AgingCategory1
            + self.AgingCategory2
            + self.AgingCategory3
            + self.AgingCategory4
            + self.OpenOrderAmt
        )


def split_emails(text: str) -> tuple[str, ...]:
    """AR_Customer.EmailAddress holds several addresses separated by `;` or `,`."""
    return tuple(part.strip().lower() for part in re.split(r"[;,]", text) if part.strip())


def match_key(name: str, postal_code: str) -> str:
    """What simultaneous first orders of one person share, however each of them spells it: initials and postal code.

    Orders carry an e-mail, or a phone, or both, so neither may be in it; and Bob, Robert and Rbert Smith must meet.
    Strangers who share it are only resolved one after another, each by its own search. Words with digits stay whole.
    """
    tokens = name_of(name).tokens
    ends = {tokens[0], tokens[-1]} if tokens else set()
    return f"{' '.join(sorted(_initial(token) for token in ends))}|{postal_key(postal_code)}"


def _initial(token: str) -> str:
    return token if any(character.isdigit() for character in token) else formal(token)[:1]


def comparable(text: str) -> str:
    """Letters and digits only, case and accents folded: `Müller & Co.` equals `MULLER CO`."""
    return "".join(character for character in folded(text) if character.isalnum())


def match_customer(
    search: CustomerSearch,
    candidates: Sequence[CustomerRecord],
    pair: Pair,
    just_created: Sequence[CustomerKey] = (),
) -> CustomerMatch:
    """The decision, by rules 6. `just_created`: accounts that the same resolution made for orders beside this one."""
    ours = [candidate for candidate in candidates if candidate.ARDivisionNo in pair.customers.divisions]
    if search.decided_new:
        # A person saw the accounts there were, and none was it; what was made since for such an order was not there.
        made = [candidate for candidate in ours if candidate.key in just_created]
        return _of_first_orders(search, made, pair, just_created) or CustomerMatch(decision=CustomerDecision.CREATE)
    for name, reference in (("account number", search.account_no), ("cross-reference", search.customer_reference)):
        if reference:
            return _by_reference(name, reference, ours)
    own = [
        candidate
        for candidate in ours
        if candidate.UDF_WEB_CUSTOMER_ID and search.clarity_id == candidate.UDF_WEB_CUSTOMER_ID
    ]
    if len(own) == 1 and own[0].is_active:
        return CustomerMatch(decision=CustomerDecision.MATCHED, customer=own[0].key, by="the cross-reference in Sage")
    if own:
        why = "carries this web customer's id" + ("" if own[0].is_active else ", but is inactive")
        return _review([CustomerCandidate(customer=one.key, reasons=[why], score=99) for one in own])
    return (
        _by_email(search, ours, pair)
        or _of_first_orders(search, ours, pair, just_created)
        or _suggested(search, ours, pair)
    )


def _by_reference(name: str, reference: str, candidates: Sequence[CustomerRecord]) -> CustomerMatch:
    named = [candidate for candidate in candidates if str(candidate.key) == reference]
    if not named:
        why = f"the order's {name} names an account that is not in Sage (or not in this pair's divisions)"
        return _review([CustomerCandidate(customer=_key_of(reference), reasons=[why])])
    if not named[0].is_active:
        why = f"the order's {name} names this account, which is inactive"
        return _review([CustomerCandidate(customer=named[0].key, reasons=[why], score=99)])
    return CustomerMatch(decision=CustomerDecision.MATCHED, customer=named[0].key, by=f"the {name}")


def _key_of(reference: str) -> CustomerKey:
    division, _, number = reference.partition("-")
    return CustomerKey(ARDivisionNo=division[:2], CustomerNo=number[:20])


def _by_email(search: CustomerSearch, candidates: Sequence[CustomerRecord], pair: Pair) -> CustomerMatch | None:
    """The one account that has this e-mail, when nothing is in doubt."""
    owners = _owners(search, candidates, pair)
    if len(owners) == 1 and not _doubts(search, owners[0], 1, pair):
        by = "the e-mail and a second key that agrees"
        return CustomerMatch(decision=CustomerDecision.MATCHED, customer=owners[0].key, by=by)
    return None


def _owners(search: CustomerSearch, candidates: Sequence[CustomerRecord], pair: Pair) -> list[CustomerRecord]:
    """Accounts whose own e-mail this is; a role mailbox is nobody's."""
    email = _personal_email(search, pair)
    return [candidate for candidate in candidates if email and email in candidate.emails]


def _personal_email(search: CustomerSearch, pair: Pair) -> str:
    return "" if search.email.partition("@")[0] in pair.customers.role_mailboxes else search.email


def _doubts(search: CustomerSearch, candidate: CustomerRecord, owners: int, pair: Pair) -> list[str]:
    """What keeps an e-mail match from being certain."""
    doubts = []
    if owners > 1:
        doubts.append(f"{owners} accounts have this e-mail")
    if not search.fully_captured:
        doubts.append("the order is not paid in full")
    doubts += _not_a_web_customer(candidate, pair)
    name_agrees = is_same_name(search.bill_to_name, candidate.CustomerName)
    address_agrees = _same_address(search, candidate, exactly=True)
    if not name_agrees and not address_agrees:
        doubts.append("neither bill-to name nor address agrees")
    elif not name_agrees and not may_be_one_person(search.bill_to_name, candidate.CustomerName):
        doubts.append("the bill-to name is another person's, who may share the mailbox")
    return doubts


def _not_a_web_customer(candidate: CustomerRecord, pair: Pair) -> list[str]:
    """Why only an account number or a cross-reference may use this account."""
    why = []
    if not candidate.is_active:
        why.append("the account is inactive")
    if candidate.ARDivisionNo not in pair.customers.consumer_divisions:
        why.append("it is no consumer account")
    if candidate.PriceLevel or candidate.TaxExemptNo:
        why.append("it has a price level or a tax exemption")
    if candidate.TermsCode != pair.customers.terms_code:
        why.append("it has other terms than web customers")
    return why


def _of_first_orders(
    search: CustomerSearch, candidates: Sequence[CustomerRecord], pair: Pair, just_created: Sequence[CustomerKey]
) -> CustomerMatch | None:
    """The account that another first order of the same buyer has made a moment ago.

    Of several first orders at once, one may carry the e-mail and another the phone: nothing that both have tells them
    apart, and name, postal code and one more key agree. Certain when the same resolution made the account, or when a
    web account appeared minutes ago and this order is paid in full.
    """
    found = [
        candidate
        for candidate in candidates
        if (candidate.key in just_created or (candidate.just_appeared and search.fully_captured))
        and not _not_a_web_customer(candidate, pair)
        and candidate.CustomerType == pair.customers.customer_type
        and _is_same_new_buyer(search, candidate, pair)
    ]
    if len(found) != 1:
        return None
    by = "its name, postal code and contact: another first order has just made the account"
    return CustomerMatch(decision=CustomerDecision.MATCHED, customer=found[0].key, by=by)


def _is_same_new_buyer(search: CustomerSearch, candidate: CustomerRecord, pair: Pair) -> bool:
    phones = _phone(search), _phone_of(candidate)
    other_email = bool(search.email and candidate.emails) and search.email not in candidate.emails
    other_phone = bool(phones[0] and phones[1]) and phones[0] != phones[1]
    if other_email or other_phone or not is_same_name(search.bill_to_name, candidate.CustomerName):
        return False
    if postal_key(search.bill_to_postal_code) != postal_key(candidate.ZipCode):
        return False
    same_email = bool(_personal_email(search, pair)) and search.email in candidate.emails
    return same_email or bool(phones[0] and phones[0] == phones[1]) or _same_address(search, candidate, exactly=True)


def _suggested(search: CustomerSearch, candidates: Sequence[CustomerRecord], pair: Pair) -> CustomerMatch:
    """Every account that a person should look at; a new customer when there is none."""
    owners = _owners(search, candidates, pair)
    found = [_candidate(search, candidate, candidate in owners, len(owners), pair) for candidate in candidates]
    worth = [candidate for candidate in found if candidate is not None]
    return _review(worth) if worth else CustomerMatch(decision=CustomerDecision.CREATE)


def _candidate(
    search: CustomerSearch, candidate: CustomerRecord, owner: bool, owners: int, pair: Pair
) -> CustomerCandidate | None:
    """The account with what speaks for it and against it; None when that is too weak."""
    email = _personal_email(search, pair)
    likeness = name_likeness(search.bill_to_name, candidate.CustomerName)
    same_phone = bool(_phone(search)) and _phone(search) == _phone_of(candidate)
    same_postal = bool(search.bill_to_postal_code) and postal_key(search.bill_to_postal_code) == postal_key(
        candidate.ZipCode
    )
    same_address = _same_address(search, candidate, exactly=False)
    reasons: list[str] = []
    against = _doubts(search, candidate, owners, pair) if owner else _not_a_web_customer(candidate, pair)
    evidence: list[float] = []
    if owner:
        reasons.append("same e-mail")
        evidence.append(0.7)
    elif email in candidate.other_emails:
        source = candidate.other_emails[email]
        reasons.append(f"same e-mail on its {source.value.replace('_', '-')}")
        evidence.append(0.5 if source is EmailSource.CONTACT else 0.35)
    by_email = bool(reasons)
    by_phone = same_phone and (same_postal or likeness >= SUGGEST.name_with_phone)
    by_name = not _another_web_customer(search, candidate) and (
        (same_address and likeness >= SUGGEST.name_at_address)
        or (same_postal and likeness >= SUGGEST.name_in_postal_code)
        or _given_name_at_address(search, candidate)
    )
    if not by_email and not by_phone and not by_name:
        return None
    if same_phone:
        reasons.append("same phone and postal code" if same_postal else "same phone")
        evidence.append(0.6)
    if likeness >= SUGGEST.name_at_address:
        reasons.append("same name" if likeness == 100 else f"similar name ({likeness} of 100)")
        evidence.append(0.6)
    elif _given_name_at_address(search, candidate):
        reasons.append("same given name at the same address")
        evidence.append(0.5)
    if same_address:
        reasons.append("same street and postal code")
        evidence.append(0.5)
    elif same_postal:
        if not same_phone:
            reasons.append("same postal code")
        evidence.append(0.2)
    rest = 1.0
    for weight in evidence:
        rest *= 1 - weight
    # By e-mail alone, the pair of "same e-mail" and its doubts is all there is to say.
    return CustomerCandidate(customer=candidate.key, reasons=[*reasons, *against], score=round(100 * (1 - rest)))


def _another_web_customer(search: CustomerSearch, candidate: CustomerRecord) -> bool:
    """The store knows both, by another id and another e-mail: to it they are two customers, however alike."""
    return (
        search.clarity_id not in ("", candidate.UDF_WEB_CUSTOMER_ID)
        and candidate.UDF_WEB_CUSTOMER_ID != ""
        and bool(search.email and candidate.emails)
        and search.email not in candidate.emails
    )


def _given_name_at_address(search: CustomerSearch, candidate: CustomerRecord) -> bool:
    """A married name: the given name is the same, and so is the address down to the unit."""
    left, right = name_of(search.bill_to_name), name_of(candidate.CustomerName)
    return (
        len(left.tokens) > 1
        and len(right.tokens) > 1
        and not left.company
        and not right.company
        and same_given_name(left.given, right.given)
        and _same_address(search, candidate, exactly=True)
    )


def _same_address(search: CustomerSearch, candidate: CustomerRecord, *, exactly: bool) -> bool:
    """Same street and postal code; `exactly`: and the same unit, where otherwise one of them may have left it out."""
    mine = street_of(search.bill_to_line1, search.bill_to_line2)
    theirs = _street_of(candidate)
    if not mine.street or mine.street != theirs.street:
        return False
    if postal_key(search.bill_to_postal_code) != postal_key(candidate.ZipCode):
        return False
    return mine.unit == theirs.unit or (not exactly and not (mine.unit and theirs.unit))


def _street_of(candidate: CustomerRecord) -> Street:
    return street_of(candidate.AddressLine1, candidate.AddressLine2, candidate.AddressLine3)


def _phone(search: CustomerSearch) -> str:
    return e164(search.phone, search.bill_to_country)


def _phone_of(candidate: CustomerRecord) -> str:
    return e164(candidate.TelephoneNo, candidate.CountryCode)


def _review(candidates: Sequence[CustomerCandidate]) -> CustomerMatch:
    """For a person, the likeliest first."""
    best = sorted(candidates, key=lambda candidate: -candidate.score)[: SUGGEST.candidates]
    return CustomerMatch(decision=CustomerDecision.REVIEW, candidates=best)
