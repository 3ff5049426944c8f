"""Wrong accounts that look right (rules 6): each danger by name, each one order and the accounts beside it.

In: a search, accounts, the demo pair or one with a key of its own. Out: never a match; a person, with the reasons.
"""

from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest

from activities.clarity import ClarityActivities
from connectors.clarity.client import ClarityClient
from contracts.messages import Acknowledge
from mappings.accounts import house_account
from mappings.customer_match import (
    BY_EMAIL,
    BY_FIRST_ORDERS,
    BY_HOUSE_ACCOUNT,
    BY_PERSON,
    CustomerRecord,
    EmailSource,
    account_keys,
    is_role_mailbox,
    match_customer,
    may_be_remembered,
    split_emails,
    web_customer_id,
)
from mappings.pair import Pair
from mappings.sales_order import CustomerDecision, CustomerKey, CustomerMatch, CustomerSearch
from mappings.similarity import is_same_name, may_be_one_person, street_of
from mappings.transform import transform
from tests.unit.conftest import sample
from tests.unit.test_deduplication import consumer, dealer, decide, order, reasons
from tests.unit.test_rules import pair_with

OWN = {"email": "ann@example.com"}
FAR = {"bill_to_line1": "99 Elsewhere Road", "bill_to_postal_code": "10001"}


def firm(name: str, **columns: object) -> CustomerRecord:
    """A firm's plain web account at Ann Smith's address and with her mailbox."""
    return consumer(CustomerName=name, **columns)


async def asked(pair: Pair, search: CustomerSearch, *accounts: CustomerRecord) -> CustomerMatch:
    """The decision, which must be a person's, with a reason for each account and no personal data."""
    match = await decide(search, pair, *accounts)
    assert (match.decision, match.customer) == (CustomerDecision.REVIEW, None)
    assert match.candidates
    assert all(one.reasons and one.customer.ARDivisionNo and one.customer.CustomerNo for one in match.candidates)
    assert "@" not in reasons(match)
    return match


# ---- sister companies, couples, father and son ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ordering", "known"),
    [
        ("Prairie Logistics LLC", "Prairie Interiors Inc."),
        ("Prairie Logistics", "Prairie Interiors"),
        ("Prairie Logistics LLC", "Prairie Interiors"),
        ("Tower Law Group LLP", "Baker Dental"),
        ("Grace Dental", "Grace Interiors"),
        ("Ann Jones", "Prairie Interiors Inc."),
        ("Ann Smith", "Ann Smith Interiors"),
        ("Ann Smith", "Prairie Interiors"),
        ("Prairie Interiors Inc.", "Ann Smith"),
        ("Acme LLC", "Acme Inc."),
        ("J & K Auto Repair", "B & D Auto Repair"),
        ("Sunrise Holdings II LLC", "Sunrise Holdings LLC"),
        ("John and Jane Smith", "John Smith"),
        ("John Smith", "Mr. & Mrs. John Smith"),
        ("Mrs. John Smith", "John Smith"),
        ("Mrs. John Smith", "Mr. John Smith"),
        ("Mrs. J Smith", "Mr. J Smith"),
        ("Mrs. Smith", "Mr. Smith"),
        ("John Smith Jr.", "John Smith"),
        ("John Smith", "John Smith III"),
        ("John A. Smith", "John B. Smith"),
        ("J. Smith", "John Smith"),
        ("Marie Garcia", "Mario Garcia"),
        ("Jana Novak", "Jan Novak"),
        ("Aleksandra Novak", "Aleksandr Novak"),
        ("Daniela Martinez", "Daniel Martinez"),
        ("Christina Smith", "Chris Smith"),
        ("Teresa Jones", "Terry Jones"),
        ("Thomas Ann", "Ann Smith"),
        ("Ann Smith", ""),
    ],
)
async def test_one_address_and_one_mailbox_do_not_make_one_party(pair: Pair, ordering: str, known: str) -> None:
    assert not may_be_one_person(ordering, known)
    assert not may_be_one_person(known, ordering)
    match = await asked(pair, order(**OWN, bill_to_name=ordering), firm(known))
    assert "another person's or firm's, who may share the mailbox" in reasons(match)


@pytest.mark.parametrize(
    ("ordering", "known"),
    [
        ("Sunrise Holdings II LLC", "Sunrise Holdings LLC"),
        ("Tower Rentals II", "Tower Rentals"),
        ("J & K Auto Repair", "B & D Auto Repair"),
        ("A & B Heating Supply", "C & D Heating Supply"),
        ("Lab 1", "Lab 2"),
        ("Acme Ltd", "Acme LLC"),
        ("John Smith Jr", "John Smith"),
        ("John Smith Sr", "John Smith Jr"),
        ("Chris Smith", "Christina Smith"),
        ("Sam Smith", "Samuel Smith"),
        ("Mr John Smith", "Mrs John Smith"),
        ("Mr. J Smith", "Mrs. J Smith"),
        ("John Smith", "Mrs John Smith"),
        ("John A Smith", "John B Smith"),
        ("Alexander Smith", "Alexandra Smith"),
        ("Prairie Interiors Iowa", "Prairie Interiors"),
    ],
)
async def test_two_parties_names_are_no_second_key(pair: Pair, ordering: str, known: str) -> None:
    assert not is_same_name(ordering, known)
    assert not is_same_name(known, ordering)
    match = await asked(pair, order(**OWN, **FAR, bill_to_name=ordering), firm(known))
    assert "neither bill-to name nor address agrees" in reasons(match)


@pytest.mark.parametrize(
    ("ordering", "known"),
    [
        ("Bob Smith", "Robert Smith"),
        ("SMITH, ANN", "Ann Smith"),
        ("Ann Smith", "Ann B. Smith"),
        ("Dr. Ann Smith", "Ms Ann Smith"),
        ("John Smith Jr.", "John Smith II"),
        ("Zoë Brückner", "ZOE BRUECKNER"),
        ("Hartwell & Sons", "Hartwell and Sons Ltd."),
        ("Acme Inc", "Acme"),
        ("J & K Auto Repair", "J and K Auto Repair"),
        ("Sunrise Holdings II, L.L.C.", "Sunrise Holdings II LLC"),
    ],
)
async def test_the_same_name_elsewhere_is_a_second_key(pair: Pair, ordering: str, known: str) -> None:
    match = await decide(order(**OWN, **FAR, bill_to_name=ordering), pair, firm(known))
    assert (str(match.customer), match.by) == ("02-W1", BY_EMAIL)


@pytest.mark.parametrize(
    ("ordering", "known"),
    [("Ann Miller", "Ann Smith"), ("Ann Smiht", "Ann Smith"), ("Jonahtan Hernandez", "Jonathan Hernandez")],
)
async def test_a_new_family_name_or_a_slip_at_the_same_door_is_one_person(
    pair: Pair, ordering: str, known: str
) -> None:
    assert (await decide(order(**OWN, bill_to_name=ordering), pair, firm(known))).by == BY_EMAIL


# ---- guests and who is signed in ------------------------------------------------------------------------------------

GUESTS = ["0", "00", "-1", "00000000-0000-0000-0000-000000000000", "{00000000-0000-0000-0000-000000000000}", "Guest"]


@pytest.mark.parametrize("guest_id", [*GUESTS, "ANONYMOUS", "null", " 0 ", ""])
async def test_an_id_that_every_guest_has_is_nobodys(pair: Pair, guest_id: str) -> None:
    assert web_customer_id(guest_id, pair) == ""
    stranger = {"email": "zed@example.com", "bill_to_name": "Zed Stranger", **FAR}
    record = consumer(CustomerName="Somebody Else", UDF_WEB_CUSTOMER_ID=guest_id)
    for paid in (True, False):
        search = order(clarity_id=guest_id, fully_captured=paid, **stranger)
        assert match_customer(search, [record], pair).decision is CustomerDecision.CREATE


@pytest.mark.parametrize("guest_id", GUESTS)
def test_a_guests_id_is_not_written_to_a_new_customer(pair: Pair, guest_id: str) -> None:
    payload = sample("01-consumer-new")
    payload["data"]["customer"]["id"] = guest_id
    draft = transform(payload, pair).draft
    assert draft is not None
    assert (draft.customer.clarity_id, draft.customer.new_customer.UDF_WEB_CUSTOMER_ID) == ("", "")


def test_a_site_names_its_own_id_of_guests(tmp_path: Path) -> None:
    pair = pair_with(tmp_path, customers={"guest_ids": ["4711"], "house_account": "02-W1"})
    assert web_customer_id("4711", pair) == ""
    assert web_customer_id("4712", pair) == "4712"
    assert house_account(order(clarity_id="4711"), pair) is not None
    assert house_account(order(clarity_id="4712"), pair) is None


async def test_a_web_id_whose_account_has_another_name_and_mailbox_is_looked_at(pair: Pair) -> None:
    record = consumer(UDF_WEB_CUSTOMER_ID="7")
    stranger = order(clarity_id="7", email="zed@example.com", bill_to_name="Zed Stranger", **FAR)
    assert "neither name nor e-mail agrees" in reasons(await asked(pair, stranger, record))
    for agrees in ({"email": "ann@example.com"}, {"bill_to_name": "Ann Smith"}, {"bill_to_name": "Ann Miller"}):
        found = await decide(stranger.model_copy(update=agrees), pair, record)
        assert str(found.customer) == "02-W1", agrees


@pytest.mark.parametrize("key", ["account_no", "customer_reference"])
@pytest.mark.parametrize("guest_id", ["", "0"])
async def test_a_guest_who_types_a_dealers_number_is_no_dealer(pair: Pair, key: str, guest_id: str) -> None:
    for paid in (True, False):
        search = order(clarity_id=guest_id, fully_captured=paid, **{key: "01-0001"})
        match = await asked(pair, search, dealer())
        assert [str(one.customer) for one in match.candidates] == ["01-0001"]
        assert "its buyer is not signed in" in reasons(match)
    signed_in = await decide(order(clarity_id="7", fully_captured=False, **{key: "01-0001"}), pair, dealer())
    assert str(signed_in.customer) == "01-0001"


@pytest.mark.parametrize(
    ("named", "web_id_of", "asked_about"),
    [
        ({"account_no": "01-0001", "customer_reference": "02-W1"}, "", {"01-0001", "02-W1"}),
        ({"account_no": "01-0001"}, "W1", {"01-0001", "02-W1"}),
        ({"customer_reference": "01-0001"}, "W1", {"01-0001", "02-W1"}),
        ({"account_no": "01-0001", "customer_reference": "02-GONE"}, "", {"01-0001", "02-GONE"}),
        ({}, "W1 0001", {"01-0001", "02-W1"}),
    ],
)
async def test_keys_that_name_different_accounts_are_a_persons_to_settle(
    pair: Pair, named: dict[str, Any], web_id_of: str, asked_about: set[str]
) -> None:
    records = [
        one.model_copy(update={"UDF_WEB_CUSTOMER_ID": "7"}) if one.CustomerNo in web_id_of.split() else one
        for one in (dealer(), consumer())
    ]
    match = await asked(pair, order(clarity_id="7", **named), *records)
    assert {str(one.customer) for one in match.candidates} >= asked_about


@pytest.mark.parametrize(
    ("typed", "numbers", "found"),
    [
        ("01-ABF", [("01", "ABF")], "01-ABF"),
        ("01-abf", [("01", "ABF")], "01-ABF"),
        (" 01 - ABF ", [("01", "ABF")], "01-ABF"),
        ("ABF", [("01", "ABF")], "01-ABF"),
        ("abf", [("02", "ABF")], "02-ABF"),
        ("ABF", [("01", "ABF"), ("02", "ABF")], ""),
        ("ABF", [("03", "ABF")], ""),
        ("ABF", [], ""),
        ("01-", [], ""),
        ("-ABF", [("01", "ABF")], "01-ABF"),
    ],
)
async def test_an_account_number_with_or_without_its_division(
    pair: Pair, typed: str, numbers: list[tuple[str, str]], found: str
) -> None:
    records = [dealer(ARDivisionNo=division, CustomerNo=number) for division, number in numbers]
    search = order(account_no=typed, clarity_id="7", fully_captured=False)
    if found:
        assert str((await decide(search, pair, *records)).customer) == found
    else:
        match = await asked(pair, search, *records)
        assert len(match.candidates) == max(1, sum(division != "03" for division, _ in numbers))
    assert account_keys(" - ", ["01"]) == ()


# ---- mailboxes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "column",
    [
        "Ann Smith <ann@example.com>",
        "bob@example.com ann@example.com",
        "bob@example.com\nANN@EXAMPLE.COM",
        "mailto:ann@example.com",
        "bob@example.com / ann@example.com",
        '"Smith, Ann" <ann@example.com>; bob@example.com',
        "bob@example.com,ann@example.com.",
    ],
)
async def test_an_email_on_two_accounts_is_seen_however_it_is_written(pair: Pair, column: str) -> None:
    assert "ann@example.com" in split_emails(column)
    match = await asked(pair, order(**OWN), consumer(), consumer(CustomerNo="W2", EmailAddress=column))
    assert "2 accounts have this e-mail" in reasons(match)
    alone = await decide(order(**OWN), pair, consumer(EmailAddress=column))
    assert str(alone.customer) == "02-W1"


async def test_an_international_domain_is_one_domain(pair: Pair) -> None:
    match = await decide(order(email="ann@müller.example"), pair, consumer(EmailAddress="ann@XN--MLLER-KVA.example"))
    assert str(match.customer) == "02-W1"


@pytest.mark.parametrize(
    "mailbox",
    [
        *(
            "info",
            "Info",
            "sales+web",
            "accounts.payable",
            "Accounts-Payable",
            "shop",
            "orders2",
            "no-reply",
            "einkauf",
        ),
        *("procurement", "a.p", "Team", "orders_tx", "sales.us", "reception", "contact"),
    ],
)
async def test_a_role_mailbox_is_nobodys(pair: Pair, tmp_path: Path, mailbox: str) -> None:
    without = pair_with(tmp_path, customers={"role_mailboxes": []})
    email = f"{mailbox}@firm.example.com".lower()
    for one in (pair, without):
        assert is_role_mailbox(email, one)
        match = await decide(order(email=email), one, consumer(EmailAddress=email))
        assert match.decision is CustomerDecision.REVIEW
        assert "same e-mail" not in reasons(match)


@pytest.mark.parametrize("mailbox", ["ann", "ann.smith", "ann+shop", "a.smith", "apolonia", "shopkeeper.jim", "bill"])
def test_a_persons_mailbox_is_his(pair: Pair, mailbox: str) -> None:
    assert not is_role_mailbox(f"{mailbox}@example.com", pair)


def test_a_site_adds_its_own_role_mailboxes(tmp_path: Path) -> None:
    pair = pair_with(tmp_path, customers={"role_mailboxes": ["Front.Office", "AP2"]})
    for mailbox in ("frontoffice", "front-office+1", "ap2", "info"):
        assert is_role_mailbox(f"{mailbox}@example.com", pair), mailbox


async def test_a_contact_of_a_dealer_may_order_for_the_firm(pair: Pair) -> None:
    contact = dealer(other_emails={"ann@example.com": EmailSource.CONTACT})
    assert "also a contact's" in reasons(await asked(pair, order(**OWN), consumer(), contact))
    consignee = dealer(other_emails={"ann@example.com": EmailSource.SHIP_TO})
    assert str((await decide(order(**OWN), pair, consumer(), consignee)).customer) == "02-W1"


async def test_an_account_of_another_web_customer_is_not_matched_by_email(pair: Pair) -> None:
    record = consumer(UDF_WEB_CUSTOMER_ID="7")
    assert "another web customer's id" in reasons(await asked(pair, order(**OWN, clarity_id="8"), record))
    assert str((await decide(order(**OWN), pair, record)).customer) == "02-W1"
    guest = consumer(UDF_WEB_CUSTOMER_ID="0")
    assert str((await decide(order(**OWN, clarity_id="8"), pair, guest)).customer) == "02-W1"


# ---- what an account has that web customers have not ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"CustomerDiscountRate": Decimal("5")}, "discount rate"),
        ({"TaxSchedule": "EXEMPT"}, "tax schedule is the exempt one"),
        ({"bill_to": CustomerKey(ARDivisionNo="01", CustomerNo="HQ")}, "billed to another account"),
        ({"PriceLevel": "2"}, "price level"),
        ({"TaxExemptNo": "E-1"}, "tax exemption"),
        ({"TermsCode": "30"}, "other terms"),
    ],
)
async def test_an_email_opens_no_account_with_conditions_of_its_own(
    tmp_path: Path, columns: dict[str, object], why: str
) -> None:
    pair = pair_with(tmp_path, tax={"exempt": "EXEMPT"})
    assert why in reasons(await asked(pair, order(**OWN), consumer(**columns)))
    assert why not in reasons(await decide(order(**OWN), pair, consumer()))


async def test_an_exempt_schedule_that_consumers_have_too_says_nothing(pair: Pair) -> None:
    # The demo pair's tax.default is its tax.exempt: states where nothing is collected.
    assert str((await decide(order(**OWN), pair, consumer(TaxSchedule="NONTAX"))).customer) == "02-W1"


@pytest.mark.parametrize(
    ("by", "said", "remembered"),
    [
        ("the account number", False, True),
        ("the cross-reference", False, True),
        ("the cross-reference in Sage", False, True),
        (BY_EMAIL, False, True),
        (BY_FIRST_ORDERS, False, True),
        (BY_PERSON, False, False),
        (BY_PERSON, True, True),
        (BY_HOUSE_ACCOUNT, True, False),
        ("", True, False),
    ],
)
def test_what_one_order_got_is_not_always_the_buyers_for_ever(by: str, said: bool, remembered: bool) -> None:
    assert may_be_remembered(by, said=said) is remembered


class Clarity:
    """What was told to Clarity."""

    def __init__(self) -> None:
        self.references: dict[str, str] = {}

    async def patch_order(self, order_id: str, **_: object) -> None:
        pass

    async def patch_customer(self, customer_id: str, *, external_reference: str) -> None:
        self.references[customer_id] = external_reference


@pytest.mark.parametrize(("web_id", "told"), [("7", {"7": "01-0001"}), ("", {}), *((one, {}) for one in GUESTS)])
async def test_no_guests_record_carries_a_cross_reference(pair: Pair, web_id: str, told: dict[str, str]) -> None:
    clarity = Clarity()
    request = Acknowledge(
        pair="demo", order_id="1", SalesOrderNo="0001042", customer=dealer().key, clarity_customer_id=web_id
    )
    await ClarityActivities(pair, cast(ClarityClient, clarity)).acknowledge_to_clarity(request)
    assert clarity.references == told


# ---- an exemption that somebody typed -------------------------------------------------------------------------------


@pytest.mark.parametrize(("schedule", "expected"), [("", "TX"), ("WEBTX", "WEBTX")])
def test_a_typed_exemption_is_not_written_to_a_new_customer(tmp_path: Path, schedule: str, expected: str) -> None:
    pair = pair_with(tmp_path, customers={"tax_schedule": schedule} if schedule else {})
    payload = sample("01-consumer-new")
    payload["data"]["customer"]["taxExemptNo"] = "E-123"
    draft = transform(payload, pair).draft
    assert draft is not None
    new = draft.customer.new_customer
    assert (new.TaxExemptNo, new.TaxSchedule) == ("", expected)


# ---- first orders at the same time ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "columns"),
    [
        ({"bill_to_name": "John Smith Jr"}, {"CustomerName": "John Smith", "EmailAddress": "father@example.com"}),
        ({"bill_to_name": "Terry Jones"}, {"CustomerName": "Teresa Jones"}),
        ({"bill_to_name": "Mrs. Ann Smith"}, {}),
        ({"bill_to_name": "Annie Smith"}, {}),
        ({"bill_to_postal_code": "", "bill_to_country": "HK"}, {"ZipCode": "", "CountryCode": "HKG"}),
        ({"bill_to_line1": "1 Main St Bldg 2 Apt 4"}, {"AddressLine2": "Bldg 1 Apt 4"}),
        ({"bill_to_line1": "1 Main St Apt 5"}, {}),
        ({"bill_to_line1": "77 Other Road", "phone": "214-555-0134"}, {}),
        ({"email": "new@example.com", "bill_to_line1": "77 Other Road", "phone": "214-555-0134"}, {"EmailAddress": ""}),
        ({"fully_captured": False}, {}),
        ({"phone": "214-555-9999"}, {}),
        ({"clarity_id": "8"}, {"UDF_WEB_CUSTOMER_ID": "7"}),
    ],
    ids=str,
)
def test_only_an_identical_buyer_shares_an_account_without_an_email(
    pair: Pair, changes: dict[str, object], columns: dict[str, object]
) -> None:
    record = consumer(**columns, just_appeared=True)
    search = order(**{"email": "", **changes})
    for just_created in ([record.key], [], None):
        match = match_customer(search, [record], pair, just_created)
        assert match.customer is None, just_created
    identical = order(email="")
    plain = consumer(just_appeared=True)
    assert match_customer(identical, [plain], pair, [plain.key]).by == BY_FIRST_ORDERS


def test_an_account_just_made_is_not_taken_while_another_one_is_as_likely(pair: Pair) -> None:
    made, father = consumer(CustomerNo="N1"), consumer(CustomerNo="W2", EmailAddress="father@example.com")
    assert match_customer(order(email=""), [made], pair, [made.key]).customer == made.key
    match = match_customer(order(email=""), [made, father], pair, [made.key])
    assert {str(one.customer) for one in match.candidates} == {"02-N1", "02-W2"}


# ---- addresses ------------------------------------------------------------------------------------------------------

DIFFERENT_DOORS: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
    (("5 Main St Bldg 1 Apt 4",), ("5 Main St Bldg 2 Apt 4",)),
    (("5 Main St", "Bldg A, Apt 4"), ("5 Main St", "Bldg B, Apt 4")),
    (("5 Main St", "North Tower Ste 400"), ("5 Main St", "South Tower Ste 400")),
    (("5 Main St", "Tower A Apt 4"), ("5 Main St", "Tower B Apt 4")),
    (("5 Main St", "Floor 2 Suite 10"), ("5 Main St", "Floor 3 Suite 10")),
    (("5 Main St", "Ste 4 # 12"), ("5 Main St", "Ste 5 # 12")),
    (("5 Main St", "Ste 4 # 12"), ("5 Main St", "Ste 12 # 4")),
    (("5 Main St", "Apt 4 Rear"), ("5 Main St", "Apt 5 Rear")),
    (("5 Main St", "Apt 4 1/2"), ("5 Main St", "Apt 3 1/2")),
    (("5 Main St Floor 2",), ("5 Main St Apt 2",)),
    (("5 Main St Bldg A",), ("5 Main St Apt A",)),
    (("5 Main St", "2nd Floor"), ("5 Main St", "3rd Floor")),
    (("5 Main St Lot 4 Apt 1",), ("5 Main St Lot 5 Apt 1",)),
    (("5 Main St Ste 4 PMB 12",), ("5 Main St Ste 4 PMB 13",)),
    (("5 Main St", "PO Box 12"), ("5 Main St", "PO Box 13")),
    (("1 Main St # 1-11",), ("1 Main St # 11-1",)),
    (("1 Main St # 1-11",), ("1 Main St # 111",)),
    (("Building 5", "100 Main St"), ("Building 6", "100 Main St")),
    (("5 Main Street", "Rear"), ("5 Main Street", "Front")),
    (("10 High Street", "Top Floor Flat"), ("10 High Street", "Basement Flat")),
    (("12 rue de la Paix", "Bât A"), ("12 rue de la Paix", "Bât B")),
    (("Hauptstr. 5, Whg 1-11",), ("Hauptstr. 5, Whg 111",)),
    (("c/o Bob, 5 Main St",), ("c/o Al, 9 Oak St",)),
    (("5 Main St",), ("5 Main St", "Apt 1")),
]
SAME_DOOR: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
    (("5 Main St Apt 4",), ("5 Main Street", "# 4")),
    (("5 Main St Apt 4",), ("5 Main St Suite 4",)),
    (("5 Main St", "Unit # 4"), ("5 Main St Unit 4",)),
    (("12 West Oak Boulevard", "Apt. 4-B"), ("12 W OAK BLVD #4B",)),
    (("701 Fifth Avenue", "21st Floor"), ("701 5th Ave Fl 21",)),
    (("5 Main St", "Bldg 2, Apt 4"), ("5 Main St Apt 4 Bldg 2",)),
    (("5 Main St", "North Tower, Ste 400"), ("5 Main St North Tower Suite 400",)),
    (("5 Main St", "Suite Five"), ("5 Main St", "Ste 5")),
    (("5 Main St Penthouse 2",), ("5 Main St", "PH 2")),
    (("Apt 5", "100 Main St"), ("100 Main St", "Apt 5")),
    (("Attn: Bob", "Apt 5", "100 Main St"), ("100 Main St", "Apt 5")),
    (("c/o Bob, 5 Main St",), ("5 Main St",)),
    (("C/O Müller, Hauptstr. 5",), ("Hauptstr. 5",)),
    (("Attn: Smith, John", "100 Main St"), ("100 Main St",)),
    (("Attn: Dept 5", "100 Main St"), ("100 Main St",)),
    (("Attn Bob 12 Main Street",), ("12 Main St",)),
    (("1 Main St Apt 1-A",), ("1 Main St Apt 1A",)),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT_DOORS, ids=str)
async def test_other_doors_are_other_addresses(pair: Pair, one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert street_of(*one) != street_of(*other)
    lines = {f"bill_to_line{number}": line for number, line in enumerate(one, start=1)}
    known = dict.fromkeys(("AddressLine1", "AddressLine2", "AddressLine3"), "") | {
        f"AddressLine{number}": line for number, line in enumerate(other, start=1)
    }
    match = await decide(order(**OWN, **lines, bill_to_name="Ann Jones"), pair, consumer(**known))
    assert match.decision is CustomerDecision.REVIEW
    assert "neither bill-to name nor address agrees" in reasons(match)


@pytest.mark.parametrize(("one", "other"), SAME_DOOR, ids=str)
def test_spellings_of_one_door_are_one_address(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert street_of(*one) == street_of(*other)
    assert street_of(*one) != ("", "")


@pytest.mark.parametrize(
    ("mine", "theirs", "same"),
    [
        (("75001", "", "US"), ("75001-2201", "", "USA"), True),
        (("75001", "", "US"), ("75001", "", ""), True),
        (("75001", "Paris", "FR"), ("75001", "Addison", "USA"), False),
        (("", "Kowloon", "HK"), ("", "KOWLOON", "HKG"), True),
        (("", "Kowloon", "HK"), ("", "Wan Chai", "HKG"), False),
        (("", "", "IE"), ("", "", "IRL"), False),
        (("", "Cork", "IE"), ("", "Cork", "HKG"), False),
    ],
)
async def test_a_street_is_in_one_place(
    pair: Pair, mine: tuple[str, str, str], theirs: tuple[str, str, str], same: bool
) -> None:
    place = dict(zip(("bill_to_postal_code", "bill_to_city", "bill_to_country"), mine, strict=True))
    known = dict(zip(("ZipCode", "City", "CountryCode"), theirs, strict=True))
    match = await decide(order(**OWN, **place, bill_to_name="Ann Jones"), pair, consumer(**known))
    assert (match.decision is CustomerDecision.MATCHED) is same


def test_a_unit_on_the_third_line_is_compared(pair: Pair) -> None:
    payload = sample("01-consumer-new")
    payload["data"]["billingAddress"] = payload["data"]["shippingAddress"] | {
        "line1": "Prairie Studios", "line2": "1900 Yorktown Street", "line3": "Apt 4B",
    }  # fmt: skip
    draft = transform(payload, pair).draft
    assert draft is not None
    assert (draft.customer.bill_to_line3, draft.customer.bill_to_city) == ("Apt 4B", "Houston")
