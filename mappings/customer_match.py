"""Which customer an order belongs to (rules 6): certain, uncertain (a person decides), or new.

In: what the order knows of its buyer, and the accounts that share a key with it. Out: `CustomerMatch`. The keys, in
order:

    account number → cross-reference → e-mail and a second key → an account that these first orders have just made
    → what only suggests: the e-mail otherwise, of a contact, of a ship-to; phone; name and address

Only the account number or the stored cross-reference of a signed-in buyer may name an account outside the consumer
divisions; where they name different accounts, a person decides. An e-mail matches only with captured money, a plain
consumer account, and an independent key that agrees. Reasons name keys, never values.
"""

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal
from enum import StrEnum
from typing import Final, NamedTuple

from mappings.frozen import Frozen
from mappings.pair import Pair, TaxPolicy
from mappings.places import country_code
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
    is_identical_name,
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

BY_CROSS_REFERENCE_IN_SAGE: Final = "the cross-reference in Sage"
BY_EMAIL: Final = "the e-mail and a second key that agrees"
BY_FIRST_ORDERS: Final = "its name and address: another first order has just made the account"
BY_PERSON: Final = "a person's choice"
BY_HOUSE_ACCOUNT: Final = "the house account of guests"

GUEST_IDS: Final = frozenset(("-1", "anonymous", "guest", "none", "null"))
"""Customer ids that name nobody, beside all zeros (0, the zero GUID): what a shop gives its guests."""
ROLE_MAILBOXES: Final = """
abuse accounting accounts accountspayable accountsreceivable achats admin administration administrator ap ar billing
bookkeeping buchhaltung compras contact customercare customerservice einkauf enquiries facturacion facturation finance
frontdesk fulfillment hello help helpdesk hostmaster hr info information inquiries invoice invoices it kontakt legal
mail mailbox maintenance marketing noc noreply office operations ops order ordering orders payable payables payments
postmaster procurement purchase purchasing receivables receiving reception rechnung returns root sales security service
shipping shop store support team usenet uucp ventas warehouse web webmaster website
"""
ROLES: Final = frozenset(ROLE_MAILBOXES.split())
"""Mailboxes that belong to nobody in particular (rules 6): those of RFC 2142 and of offices, compared without dots."""


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
    """As stored: may hold several addresses, and names beside them."""
    CustomerStatus: str = "A"
    InactiveReasonCode: str = ""
    TermsCode: str = ""
    PriceLevel: str = ""
    TaxSchedule: str = ""
    TaxExemptNo: str = ""
    CustomerDiscountRate: Decimal = Decimal(0)
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
    bill_to: CustomerKey | None = None
    """The account that Sage bills for this one's orders, where it is another one."""
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


_EMAIL: Final = re.compile(r"[^\s<>()\[\];:,\"'|/\\@]+@[^\s<>()\[\];:,\"'|/\\@]+")


def split_emails(text: str) -> tuple[str, ...]:
    """Every address in a column like AR_Customer.EmailAddress, comparable.

    It holds several, separated by `;`, `,`, blanks or lines, some as `Ann Smith <ann@example.com>` (sage100.md 5).
    """
    return tuple(dict.fromkeys(comparable_email(found.rstrip(".")) for found in _EMAIL.findall(text)))


def comparable_email(text: str) -> str:
    """Lower case, and an international domain in letters: `ANN@xn--mller-kva.example` is `ann@müller.example`."""
    local, at, domain = unicodedata.normalize("NFC", text.strip().casefold()).rpartition("@")
    if "xn--" in domain:
        with suppress(UnicodeError):
            domain = domain.encode("ascii").decode("idna")
    return f"{local}{at}{domain}"


def is_role_mailbox(email: str, pair: Pair) -> bool:
    """Whether an address is nobody's in particular: `sales+web@`, `Accounts.Payable@`, `info-2@`, `orders_tx@`."""
    local = email.partition("@")[0].partition("+")[0]
    words = [re.sub(r"[^a-z]", "", word) for word in re.split(r"[._-]", folded(local))]
    roles = ROLES | {re.sub(r"[^a-z]", "", folded(role.partition("@")[0])) for role in pair.customers.role_mailboxes}
    return "".join(words) in roles or (len(words[0]) > 3 and words[0] in roles)


def web_customer_id(clarity_id: str, pair: Pair) -> str:
    """The id of a signed-in buyer; empty for what a shop gives to every guest (rules 6: a guest is nobody known)."""
    plain = clarity_id.strip().strip("{}").casefold()
    guests = {guest.strip().casefold() for guest in pair.customers.guest_ids}
    return "" if plain in GUEST_IDS or plain in guests or not plain.strip("0-") else clarity_id.strip()


def account_keys(reference: str, divisions: Sequence[str]) -> tuple[CustomerKey, ...]:
    """The accounts that a number may name: `01-abf` → 01-ABF; without a division, one in each of the pair's."""
    text = "".join(reference.upper().split())
    division, dash, number = text.partition("-")
    if dash and number and 0 < len(division) <= 2:
        return (CustomerKey(ARDivisionNo=division, CustomerNo=number[:20]),)
    number = text.strip("-")
    return tuple(CustomerKey(ARDivisionNo=one, CustomerNo=number[:20]) for one in divisions) if number else ()


def may_be_remembered(by: str, *, said: bool = False) -> bool:
    """Whether Clarity's customer may carry the account as its cross-reference from now on (rules 6).

    `by` is `CustomerMatch.by`. What a person chose for one order is remembered only when the person `said` so: a
    cross-reference opens an account with terms to every later order of that web customer. The house account is never.
    """
    return said if by == BY_PERSON else by not in ("", BY_HOUSE_ACCOUNT)


def buyer_of(search: CustomerSearch) -> str:
    """A short hash of everything that says who the buyer is: the same for two versions of an order of one buyer."""
    who = (
        search.account_no,
        search.customer_reference,
        search.clarity_id,
        search.email,
        search.phone,
        search.bill_to_name,
        search.bill_to_line1,
        search.bill_to_line2,
        search.bill_to_postal_code,
        search.bill_to_country,
    )
    return hashlib.sha256("\n".join(who).encode("utf-8", "surrogatepass")).hexdigest()[:16]


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
    just_created: Sequence[CustomerKey] | None = None,
) -> CustomerMatch:
    """The decision, by rules 6. `just_created`: accounts that the same resolution made for orders beside this one.

    None at an order's first look: an account that appeared a moment ago and may have been made for another first order
    of this buyer is then left to the resolution (decision `create` asks for it), which knows what it made.
    """
    ours = [candidate for candidate in candidates if candidate.ARDivisionNo in pair.customers.divisions]
    if search.decided_new:
        # A person saw the accounts there were, and none was it; what was made since for such an order was not there.
        made = [candidate for candidate in ours if candidate.key in (just_created or ())]
        return _of_first_orders(search, made, pair) or CustomerMatch(decision=CustomerDecision.CREATE)
    if claims := _claims(search, ours, pair):
        return _by_claims(search, ours, pair, claims)
    if (by_email := _by_email(search, ours, pair)) is not None:
        return by_email
    worth = _suggested(search, ours, pair)
    if just_created is None:
        made = [one for one in ours if one.just_appeared and _is_same_new_buyer(search, one, pair)]
    else:
        made = [one for one in ours if one.key in just_created and _is_same_new_buyer(search, one, pair)]
    if not {one.customer for one in worth} <= {one.key for one in made}:
        return _review(worth)
    if just_created is None:
        return CustomerMatch(decision=CustomerDecision.CREATE)
    return _of_first_orders(search, made, pair) or (
        _review(worth) if worth else CustomerMatch(decision=CustomerDecision.CREATE)
    )


class _Claim(NamedTuple):
    """What an order, or Sage, says about the buyer's account by a key of ours."""

    name: str
    keys: tuple[CustomerKey, ...]
    """Where it may be; the first stands for all when none is there."""
    found: list[CustomerRecord]

    def why(self, record: CustomerRecord) -> str:
        """In words, for the account that it names."""
        if self.name == BY_CROSS_REFERENCE_IN_SAGE:
            return "carries this web customer's id" + ("" if record.is_active else ", but is inactive")
        return f"the order's {self.name.removeprefix('the ')} names this account" + (
            "" if record.is_active else ", which is inactive"
        )


def _claims(search: CustomerSearch, candidates: Sequence[CustomerRecord], pair: Pair) -> list[_Claim]:
    """Account number, cross-reference at Clarity, cross-reference in Sage (UDF_WEB_CUSTOMER_ID)."""
    claims = []
    for name, reference in (
        ("the account number", search.account_no),
        ("the cross-reference", search.customer_reference),
    ):
        if keys := account_keys(reference, pair.customers.divisions):
            claims.append(_Claim(name, keys, [one for one in candidates if one.key in keys]))
    web_id = web_customer_id(search.clarity_id, pair)
    own = [one for one in candidates if web_id and web_id == one.UDF_WEB_CUSTOMER_ID]
    if own:
        claims.append(_Claim(BY_CROSS_REFERENCE_IN_SAGE, tuple(one.key for one in own), own))
    return claims


def _by_claims(
    search: CustomerSearch, candidates: Sequence[CustomerRecord], pair: Pair, claims: Sequence[_Claim]
) -> CustomerMatch:
    """The account, when the buyer is signed in and every claim names the same active one; else a person decides."""
    named = {record.key: record for claim in claims for record in claim.found}
    signed_in = bool(web_customer_id(search.clarity_id, pair))
    doubts = []
    if not signed_in:
        doubts.append("but its buyer is not signed in")
    if len(named) > 1:
        doubts.append("another one is named as well: correct the one that is wrong")
    [*_, last] = claims
    if len(claims) == 1 and last.name == BY_CROSS_REFERENCE_IN_SAGE and _is_stranger(search, last.found[0]):
        doubts.append("but neither name nor e-mail agrees")
    if not doubts and all(claim.found for claim in claims):
        [record] = named.values()
        if record.is_active:
            return CustomerMatch(decision=CustomerDecision.MATCHED, customer=record.key, by=claims[0].name)
    found = [
        CustomerCandidate(
            customer=key, reasons=[*(claim.why(record) for claim in claims if record in claim.found), *doubts], score=99
        )
        for key, record in named.items()
    ]
    found += [
        CustomerCandidate(
            customer=claim.keys[0],
            reasons=[
                f"the order's {claim.name.removeprefix('the ')} names an account that is not in Sage (or not in this "
                "pair's divisions)"
            ],
        )
        for claim in claims
        if not claim.found
    ]
    known = {one.customer for one in found}
    others = _suggested(search, [one for one in candidates if one.key not in known], pair)
    return _review([*found, *others])


def _is_stranger(search: CustomerSearch, record: CustomerRecord) -> bool:
    """Neither e-mail nor name is the account's: an id that several people have got from the shop."""
    return comparable_email(search.email) not in record.emails and not (
        may_be_one_person(search.bill_to_name, record.CustomerName)
        or name_likeness(search.bill_to_name, record.CustomerName) >= SUGGEST.name_at_address
    )


def _by_email(search: CustomerSearch, candidates: Sequence[CustomerRecord], pair: Pair) -> CustomerMatch | None:
    """The one account that has this e-mail, when nothing is in doubt."""
    owners = _owners(search, candidates, pair)
    if len(owners) == 1 and not _doubts(search, owners[0], candidates, pair):
        return CustomerMatch(decision=CustomerDecision.MATCHED, customer=owners[0].key, by=BY_EMAIL)
    return None


def _owners(search: CustomerSearch, candidates: Sequence[CustomerRecord], pair: Pair) -> list[CustomerRecord]:
    """Accounts whose own e-mail this is; a role mailbox is nobody's."""
    email = _personal_email(search, pair)
    return [candidate for candidate in candidates if email and email in candidate.emails]


def _personal_email(search: CustomerSearch, pair: Pair) -> str:
    return "" if is_role_mailbox(search.email, pair) else comparable_email(search.email)


def _doubts(
    search: CustomerSearch, candidate: CustomerRecord, candidates: Sequence[CustomerRecord], pair: Pair
) -> list[str]:
    """What keeps an e-mail match from being certain."""
    doubts = []
    owners = len(_owners(search, candidates, pair))
    if owners > 1:
        doubts.append(f"{owners} accounts have this e-mail")
    email = _personal_email(search, pair)
    if any(
        one.other_emails.get(email) is EmailSource.CONTACT and not_a_web_customer(one, pair)
        for one in candidates
        if one.key != candidate.key
    ):
        # The buyer may order for the firm, on its terms.
        doubts.append("the e-mail is also a contact's of an account that is no web customer's")
    if not search.fully_captured:
        doubts.append("the order is not paid in full")
    doubts += not_a_web_customer(candidate, pair)
    theirs = web_customer_id(candidate.UDF_WEB_CUSTOMER_ID, pair)
    if theirs and web_customer_id(search.clarity_id, pair) not in ("", theirs):
        doubts.append("it carries another web customer's id")
    if is_same_name(search.bill_to_name, candidate.CustomerName):
        return doubts
    if not _same_address(search, candidate, exactly=True):
        doubts.append("neither bill-to name nor address agrees")
    elif not may_be_one_person(search.bill_to_name, candidate.CustomerName):
        doubts.append("the bill-to name is another person's or firm's, who may share the mailbox")
    return doubts


def not_a_web_customer(candidate: CustomerRecord, pair: Pair) -> list[str]:
    """Why only an account number or a cross-reference may use this account; nothing for a plain consumer account."""
    why = []
    if not candidate.is_active:
        why.append("the account is inactive")
    if candidate.ARDivisionNo not in pair.customers.consumer_divisions:
        why.append("it is no consumer account")
    if candidate.PriceLevel or candidate.TaxExemptNo:
        why.append("it has a price level or a tax exemption")
    if candidate.TaxSchedule and candidate.TaxSchedule == _exempt_schedule(pair):
        why.append("its tax schedule is the exempt one")
    if candidate.CustomerDiscountRate:
        why.append("it has a discount rate")
    if candidate.TermsCode != pair.customers.terms_code:
        why.append("it has other terms than web customers")
    if candidate.bill_to is not None:
        why.append("its orders are billed to another account")
    return why


def _exempt_schedule(pair: Pair) -> str:
    """The schedule that only exempt accounts have; empty where consumers get the same one, which then says nothing."""
    ordinary = {pair.tax.default, pair.customers.tax_schedule, *(rule.schedule for rule in pair.tax.schedules)}
    return "" if pair.tax.policy is TaxPolicy.LINE or pair.tax.exempt in ordinary else pair.tax.exempt


def _of_first_orders(search: CustomerSearch, made: Sequence[CustomerRecord], pair: Pair) -> CustomerMatch | None:
    """The account that the same resolution has just made for another first order of the same buyer.

    Of several first orders at once, one may carry the e-mail and another the phone: nothing that both have tells them
    apart, and all the rest is identical.
    """
    found = [candidate for candidate in made if _is_same_new_buyer(search, candidate, pair)]
    if len(found) != 1:
        return None
    return CustomerMatch(decision=CustomerDecision.MATCHED, customer=found[0].key, by=BY_FIRST_ORDERS)


def _is_same_new_buyer(search: CustomerSearch, candidate: CustomerRecord, pair: Pair) -> bool:
    """Paid in full; name, generation and the whole address are identical; e-mail, phone and web id do not differ."""
    mine = _phone(search), comparable_email(search.email), web_customer_id(search.clarity_id, pair)
    theirs = _phone_of(candidate), candidate.emails, web_customer_id(candidate.UDF_WEB_CUSTOMER_ID, pair)
    return (
        search.fully_captured
        and not not_a_web_customer(candidate, pair)
        and candidate.CustomerType == pair.customers.customer_type
        and not (mine[0] and theirs[0] and mine[0] != theirs[0])
        and not (mine[1] and theirs[1] and mine[1] not in theirs[1])
        and not (mine[2] and theirs[2] and mine[2] != theirs[2])
        and is_identical_name(search.bill_to_name, candidate.CustomerName)
        and bool(postal_key(search.bill_to_postal_code))
        and _same_address(search, candidate, exactly=True)
    )


def _suggested(search: CustomerSearch, candidates: Sequence[CustomerRecord], pair: Pair) -> list[CustomerCandidate]:
    """Every account that a person should look at."""
    found = [_candidate(search, candidate, candidates, pair) for candidate in candidates]
    return [candidate for candidate in found if candidate is not None]


def _candidate(
    search: CustomerSearch, candidate: CustomerRecord, candidates: Sequence[CustomerRecord], pair: Pair
) -> CustomerCandidate | None:
    """The account with what speaks for it and against it; None when that is too weak."""
    email = _personal_email(search, pair)
    owner = bool(email) and email in candidate.emails
    likeness = name_likeness(search.bill_to_name, candidate.CustomerName)
    same_phone = bool(_phone(search)) and _phone(search) == _phone_of(candidate)
    same_postal = bool(postal_key(search.bill_to_postal_code)) and is_same_place(_place(search), _place_of(candidate))
    same_address = _same_address(search, candidate, exactly=False)
    reasons: list[str] = []
    against = _doubts(search, candidate, candidates, pair) if owner else not_a_web_customer(candidate, pair)
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
    by_name = not _another_web_customer(search, candidate, pair) and (
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


def _another_web_customer(search: CustomerSearch, candidate: CustomerRecord, pair: Pair) -> bool:
    """The store knows both, by another id and another e-mail: to it they are two customers, however alike."""
    theirs = web_customer_id(candidate.UDF_WEB_CUSTOMER_ID, pair)
    return (
        theirs != ""
        and web_customer_id(search.clarity_id, pair) not in ("", theirs)
        and bool(search.email and candidate.emails)
        and comparable_email(search.email) not in candidate.emails
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
    """Same street, postal code and country; where there is no postal code, the same city.

    `exactly`: and the same door, where otherwise one of them may have left it out.
    """
    mine = street_of(search.bill_to_line1, search.bill_to_line2, search.bill_to_line3)
    theirs = _street_of(candidate)
    if not mine.street or mine.street != theirs.street:
        return False
    if not is_same_place(_place(search), _place_of(candidate)):
        return False
    return mine.unit == theirs.unit or (not exactly and not (mine.unit and theirs.unit))


def _place(search: CustomerSearch) -> tuple[str, str, str]:
    return search.bill_to_postal_code, search.bill_to_city, search.bill_to_country


def _place_of(candidate: CustomerRecord) -> tuple[str, str, str]:
    return candidate.ZipCode, candidate.City, candidate.CountryCode


def is_same_place(one: tuple[str, str, str], other: tuple[str, str, str]) -> bool:
    """Whether two places are the same, each given by postal code, city and country (ISO-2 or as Sage has it).

    A country that is left out is the company's own. Without postal codes (Hong Kong, much of Africa) the city decides:
    1 High Street is in every town.
    """
    countries = {country_code(country) or country for _, _, country in (one, other) if country}
    if len(countries) > 1 or postal_key(one[0]) != postal_key(other[0]):
        return False
    return bool(postal_key(one[0])) or (comparable(one[1]) != "" and comparable(one[1]) == comparable(other[1]))


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
