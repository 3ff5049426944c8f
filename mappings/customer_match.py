"""Which customer an order belongs to (rules 6): certain, uncertain (a person decides), or new.

In: what the order knows of its buyer, and the accounts that share a key with it. Out: `CustomerMatch`. Only an
authenticated account number or a stored cross-reference may name an account outside the consumer divisions; an
e-mail matches only with captured money, a consumer account, and an independent key that agrees. Reasons name keys,
never values.
"""

import re
import unicodedata
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
    City: str = ""
    ZipCode: str = ""
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


def match_key(email: str, clarity_id: str, name: str, postal_code: str) -> str:
    """What simultaneous first orders of one person share: the e-mail, else Clarity's id, else name and postal code."""
    if email:
        return f"email:{email}"
    if clarity_id:
        return f"clarity:{clarity_id}"
    return f"name:{comparable(name)}:{comparable(postal_code)}"


def comparable(text: str) -> str:
    """Letters and digits only, case and accents folded: `Müller & Co.` equals `MULLER CO`."""
    folded = unicodedata.normalize("NFKD", text).casefold()
    return "".join(character for character in folded if character.isalnum() and not unicodedata.combining(character))


def match_customer(search: CustomerSearch, candidates: Sequence[CustomerRecord], pair: Pair) -> CustomerMatch:
    """The decision, by rules 6."""
    ours = [candidate for candidate in candidates if candidate.ARDivisionNo in pair.customers.divisions]
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
        return _review([(candidate, [why]) for candidate in own])
    return _by_email(search, ours, pair)


def _by_reference(name: str, reference: str, candidates: Sequence[CustomerRecord]) -> CustomerMatch:
    named = [candidate for candidate in candidates if str(candidate.key) == reference]
    if not named:
        return CustomerMatch(
            decision=CustomerDecision.REVIEW,
            candidates=[
                CustomerCandidate(
                    customer=_key_of(reference),
                    reasons=[
                        f"the order's {name} names an account that is not in Sage (or not in this pair's divisions)"
                    ],
                )
            ],
        )
    if not named[0].is_active:
        return _review([(named[0], [f"the order's {name} names this account, which is inactive"])])
    return CustomerMatch(decision=CustomerDecision.MATCHED, customer=named[0].key, by=f"the {name}")


def _key_of(reference: str) -> CustomerKey:
    division, _, number = reference.partition("-")
    return CustomerKey(ARDivisionNo=division[:2], CustomerNo=number[:20])


def _by_email(search: CustomerSearch, candidates: Sequence[CustomerRecord], pair: Pair) -> CustomerMatch:
    email = search.email
    if not email or email.partition("@")[0] in pair.customers.role_mailboxes:
        return CustomerMatch(decision=CustomerDecision.CREATE)
    owners = [candidate for candidate in candidates if email in candidate.emails]
    suggested = [candidate for candidate in candidates if email in candidate.other_emails]
    if not owners and not suggested:
        return CustomerMatch(decision=CustomerDecision.CREATE)
    doubts = {candidate.key: _doubts(search, candidate, len(owners), pair) for candidate in owners}
    if len(owners) == 1 and not doubts[owners[0].key]:
        return CustomerMatch(
            decision=CustomerDecision.MATCHED, customer=owners[0].key, by="the e-mail and a second key that agrees"
        )
    return _review(
        [
            *((candidate, ["same e-mail", *doubts[candidate.key]]) for candidate in owners),
            *(
                (candidate, [f"same e-mail on its {candidate.other_emails[email].value.replace('_', '-')}"])
                for candidate in suggested
                if candidate not in owners
            ),
        ]
    )


def _doubts(search: CustomerSearch, candidate: CustomerRecord, owners: int, pair: Pair) -> list[str]:
    """What keeps an e-mail match from being certain."""
    doubts = []
    if owners > 1:
        doubts.append(f"{owners} accounts have this e-mail")
    if not candidate.is_active:
        doubts.append("the account is inactive")
    if not search.fully_captured:
        doubts.append("the order is not paid in full")
    if candidate.ARDivisionNo not in pair.customers.consumer_divisions:
        doubts.append("it is no consumer account")
    if candidate.PriceLevel or candidate.TaxExemptNo:
        doubts.append("it has a price level or a tax exemption")
    if candidate.TermsCode != pair.customers.terms_code:
        doubts.append("it has other terms than web customers")
    name_agrees = bool(search.bill_to_name) and comparable(search.bill_to_name) == comparable(candidate.CustomerName)
    address_agrees = (
        bool(search.bill_to_line1)
        and comparable(search.bill_to_line1) == comparable(candidate.AddressLine1)
        and comparable(search.bill_to_postal_code) == comparable(candidate.ZipCode)
    )
    if not name_agrees and not address_agrees:
        doubts.append("neither bill-to name nor address agrees")
    return doubts


def _review(candidates: Sequence[tuple[CustomerRecord, list[str]]]) -> CustomerMatch:
    return CustomerMatch(
        decision=CustomerDecision.REVIEW,
        candidates=[CustomerCandidate(customer=record.key, reasons=reasons) for record, reasons in candidates[:10]],
    )
