"""What a change of a customer at Clarity does in Sage (rules 6): who may change which account, and which fields."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from mappings.customer_account import AccountRecord
from mappings.customer_match import BY_CROSS_REFERENCE_IN_SAGE, BY_PERSON
from mappings.customer_sync import LINK, MOST_SHIP_TOS, CustomerPlan, LinkedAccount, named_accounts, plan_sync
from mappings.pair import Pair, PairFileError, load_pair
from mappings.sales_order import CustomerKey, ShipToAddress
from mappings.web_customer import WebCustomer, read_customer
from tests.unit.conftest import DEMO_FILE

FIELDS = "CustomerName: clarity, Address: clarity, TelephoneNo: clarity, EmailAddress: clarity"
OWNED = "TermsCode: {owner: sage, attribute: terms}, CreditHold: {owner: sage, attribute: credit_hold}"
KEY = CustomerKey(ARDivisionNo="02", CustomerNo="W000001")
DEALER = CustomerKey(ARDivisionNo="01", CustomerNo="ABF")


def pair_of(sync: str) -> Pair:
    """The demo pair with a section `customers.sync`."""
    content = yaml.safe_load(DEMO_FILE.read_text("utf-8"))
    content["customers"]["sync"] = yaml.safe_load(f"{{{sync}}}")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "site.yaml")
        file.write_text(yaml.safe_dump(content), "utf-8")
        return load_pair(file)


ALL = pair_of(f"fields: {{{FIELDS}, {OWNED}}}, ship_to: web, link: true")


def record(key: CustomerKey = KEY, **columns: Any) -> AccountRecord:
    """Ann's plain web account, carrying her id."""
    usual = {
        "CustomerName": "Ann Smith",
        "AddressLine1": "12 Oak St",
        "City": "Austin",
        "State": "TX",
        "ZipCode": "78701",
        "CountryCode": "USA",
        "TelephoneNo": "512-555-0100",
        "EmailAddress": "ann@example.com",
        "TermsCode": "00",
        "UDF_WEB_CUSTOMER_ID": "c1",
        "own": {"TermsCode": "00", "CreditHold": "N"},
    }
    return AccountRecord(**key.model_dump(), **{**usual, **columns})


def dealer(**columns: Any) -> AccountRecord:
    """A dealer with terms, known by its account number."""
    usual = {"CustomerName": "Alpha Bikes", "TermsCode": "03", "PriceLevel": "2", "UDF_WEB_CUSTOMER_ID": ""}
    return record(DEALER, **{**usual, "own": {"TermsCode": "03", "CreditHold": "Y"}, **columns})


def web(**fields: Any) -> WebCustomer:
    """Ann as the store has her: in step."""
    body = {
        "id": "c1",
        "email": "ann@example.com",
        "firstName": "Ann",
        "lastName": "Smith",
        "phone": "+1 512 555 0100",
        "externalReference": "02-W000001",
        "billingAddress": place("12 Oak Street"),
        "attributes": {"terms": "00", "credit_hold": "N"},
        **fields,
    }
    customer, problems = read_customer(body)
    assert not problems
    return customer


def place(line1: str, **parts: str) -> dict[str, str]:
    usual = {"name": "Ann Smith", "city": "Austin", "region": "TX", "postalCode": "78701", "country": "US"}
    return {**usual, "line1": line1, **parts}


def plan(
    customer: WebCustomer,
    *accounts: AccountRecord,
    pair: Pair = ALL,
    ship_tos: tuple[ShipToAddress, ...] = (),
    decided: CustomerKey | None = None,
) -> CustomerPlan:
    """The plan, with the accounts that are in Sage; who carries the customer's id is linked."""
    linked = [one.key for one in accounts if customer.clarity_id == one.UDF_WEB_CUSTOMER_ID]
    there = {one.key: LinkedAccount(one, ship_tos) for one in accounts}
    return plan_sync(customer, linked, there, pair, decided)


def nothing_written(found: CustomerPlan) -> bool:
    return not (found.writes_to_sage or found.writes_to_clarity)


# ---- which account --------------------------------------------------------------------------------------------------


def test_a_customer_in_step_changes_nothing_on_either_side() -> None:
    found = plan(web(), record())
    assert found == CustomerPlan(customer=KEY, by="the cross-reference")


@pytest.mark.parametrize(
    "customer",
    [
        web(externalReference=None, phone="512-555-0199", email="ann@example.com", id="c9"),
        web(externalReference=None, id="c9", email="ann@example.com", firstName="Ann", lastName="Smith"),
    ],
    ids=["same e-mail", "same e-mail, name and address"],
)
def test_neither_e_mail_nor_name_nor_address_leads_to_an_account(customer: WebCustomer) -> None:
    found = plan(customer, record())
    assert (found.customer, found.problems) == (None, [])
    assert nothing_written(found)
    assert "nothing links it" in found.notes[0]


def test_a_guest_changes_nothing_whatever_the_record_says() -> None:
    for guest in ("0", "guest", "00000000-0000-0000-0000-000000000000"):
        assert nothing_written(plan(web(id=guest, accountNumber="01-ABF"), record(), dealer()))
        assert named_accounts(web(id=guest, accountNumber="01-ABF"), [], ALL) == {}


@pytest.mark.parametrize(
    ("customer", "accounts", "words"),
    [
        (web(accountNumber="01-ABF"), (record(), dealer()), "several accounts"),
        (web(externalReference="01-ABF"), (record(), dealer()), "several accounts"),
        (web(externalReference="02-W000099"), (record(),), "not in Sage"),
        (
            web(externalReference="09-W000001"),
            (record(CustomerKey(ARDivisionNo="09", CustomerNo="W000001")),),
            "not in",
        ),
        (web(), (record(CustomerStatus="I"),), "inactive"),
        (
            web(externalReference=None, email="zoe@example.com", firstName="Zoe", lastName="Bianchi"),
            (record(),),
            "neither name nor e-mail",
        ),
    ],
    ids=[
        "number and reference differ",
        "reference and id differ",
        "unknown",
        "foreign division",
        "inactive",
        "stranger",
    ],
)
def test_a_link_that_is_not_certain_is_for_a_person_and_writes_nothing(
    customer: WebCustomer, accounts: tuple[AccountRecord, ...], words: str
) -> None:
    found = plan(customer, *accounts)
    assert found.customer is None
    assert nothing_written(found)
    assert words in found.problems[0].message
    assert "@" not in found.problems[0].message


def test_the_id_in_sage_alone_is_a_cross_reference_and_is_completed_at_clarity() -> None:
    found = plan(web(externalReference=None, phone="512-555-0177"), record())
    assert (found.customer, found.by, found.reference) == (KEY, BY_CROSS_REFERENCE_IN_SAGE, "02-W000001")
    assert found.columns == {"TelephoneNo": "512-555-0177"}


def test_a_persons_choice_leads_to_the_account_and_is_kept() -> None:
    found = plan(
        web(id="c9", externalReference=None, phone="512-555-0188"), record(UDF_WEB_CUSTOMER_ID=""), decided=KEY
    )
    assert (found.customer, found.by, found.reference) == (KEY, BY_PERSON, "02-W000001")
    assert found.columns == {"TelephoneNo": "512-555-0188", LINK: "c9"}
    assert "not in Sage" in plan(web(id="c9"), decided=DEALER).problems[0].message


def test_an_account_follows_the_one_customer_whose_id_it_carries() -> None:
    """A second buyer of the same account, named by number and reference, changes none of its fields."""
    found = plan(
        web(id="c2", phone="512-555-0111", accountNumber="02-W000001"),
        record(),
    )
    assert found.customer == KEY
    assert found.columns == {}
    assert "another web customer's id" in found.notes[0]


# ---- which fields ---------------------------------------------------------------------------------------------------


def test_only_fields_that_the_pair_gives_to_clarity_are_written() -> None:
    moved = web(phone="512-555-0177", company="Ann's Bikes LLC", billingAddress=place("99 Elm Street"))
    phone_only = pair_of("fields: {TelephoneNo: clarity}")
    assert plan(moved, record(), pair=phone_only).columns == {"TelephoneNo": "512-555-0177"}
    assert nothing_written(plan(moved, record(), pair=pair_of("ship_to: web")))
    assert set(plan(moved, record()).columns) >= {"CustomerName", "AddressLine1", "TelephoneNo"}


def test_an_address_changes_as_a_whole_and_only_when_it_is_another_place() -> None:
    assert plan(web(billingAddress=place("12 OAK ST.")), record()).columns == {}
    columns = plan(web(billingAddress=place("99 Elm Street", postalCode="78702")), record()).columns
    assert columns == {
        "AddressLine1": "99 Elm St",
        "AddressLine2": "",
        "AddressLine3": "",
        "City": "Austin",
        "State": "TX",
        "ZipCode": "78702",
        "CountryCode": "USA",
    }


def test_an_empty_value_erases_nothing() -> None:
    emptied = web(phone="", email="", billingAddress=None, firstName="", lastName="", company="")
    assert plan(emptied, record()).columns == {}


def test_what_sage_cannot_take_is_a_problem_and_the_rest_is_written() -> None:
    found = plan(
        web(phone="5" * 40, company="Ann's Bikes LLC", billingAddress=place("12 Oak St", postalCode="")), record()
    )
    assert found.columns == {"CustomerName": "Ann's Bikes LLC"}
    assert {problem.field for problem in found.problems} == {"data.phone", "data.billingAddress.postalCode"}


def test_of_several_e_mails_in_one_column_none_is_replaced() -> None:
    shared = record(EmailAddress="ann@example.com; ap@example.com")
    assert plan(web(email="AP@example.com"), shared).columns == {}
    found = plan(web(email="new@example.com"), shared)
    assert found.columns == {}
    assert "2 e-mails" in found.problems[0].message


def test_accounts_with_terms_keep_their_fields_and_ship_tos_until_the_pair_opts_in() -> None:
    buyer = web(id="c7", externalReference="01-ABF", phone="512-555-0170", shippingAddresses=[place("7 Dock Road")])
    found = plan(buyer, dealer())
    assert (found.customer, found.columns, found.ship_tos) == (DEALER, {}, [])
    assert len(found.notes) == 2
    # What Sage owns reaches the dealer's buyers all the same.
    assert found.attributes == {"terms": "03", "credit_hold": "Y"}
    fields = pair_of(f"fields: {{{FIELDS}}}, accounts: all, ship_to: web")
    assert plan(buyer, dealer(), pair=fields).columns["TelephoneNo"] == "512-555-0170"
    assert plan(buyer, dealer(), pair=fields).ship_tos == []
    ship_tos = pair_of("ship_to: all")
    assert len(plan(buyer, dealer(), pair=ship_tos).ship_tos) == 1
    assert plan(buyer, dealer(), pair=ship_tos).columns == {}


@pytest.mark.parametrize(
    "columns",
    [{"PriceLevel": "1"}, {"TaxExemptNo": "TX-1"}, {"CustomerDiscountRate": 5}],
    ids=lambda one: next(iter(one)),
)
def test_a_price_level_an_exemption_or_a_discount_protects_an_account_like_terms(columns: dict[str, Any]) -> None:
    assert plan(web(phone="512-555-0177"), record(**columns)).columns == {}


def test_the_link_is_written_only_where_the_pair_asks_for_it() -> None:
    unlinked = record(UDF_WEB_CUSTOMER_ID="")
    assert plan(web(), unlinked).columns == {LINK: "c1"}
    assert plan(web(), unlinked, pair=pair_of(f"fields: {{{FIELDS}}}")).columns == {}


def test_a_udf_takes_an_attribute() -> None:
    pair = pair_of("fields: {UDF_MARKETING_OK: {owner: clarity, attribute: marketing}}")
    stored = record(own={"UDF_MARKETING_OK": ""})
    assert plan(web(attributes={"marketing": "Y"}), stored, pair=pair).columns == {"UDF_MARKETING_OK": "Y"}
    assert plan(web(), stored, pair=pair).columns == {}


# ---- ship-tos -------------------------------------------------------------------------------------------------------


def test_a_new_shipping_address_becomes_a_ship_to_under_a_code_that_follows_from_it() -> None:
    parcel = web(shippingAddresses=[place("12 Oak St"), place("5 Lake Drive", postalCode="78703")])
    [added] = plan(parcel, record()).ship_tos
    assert (added.ShipToAddress1, added.ShipToName) == ("5 Lake Dr", "Ann Smith")
    assert len(added.ShipToCode) == 4
    assert plan(parcel, record()).ship_tos == [added]
    assert plan(parcel, record(), ship_tos=(added,)).ship_tos == []


def test_a_flood_of_addresses_is_cut_and_told() -> None:
    many = web(shippingAddresses=[place(f"{number} Lake Drive") for number in range(100, 140)])
    found = plan(many, record())
    assert len(found.ship_tos) == MOST_SHIP_TOS
    assert "40 new addresses" in found.problems[-1].message


def test_an_address_that_is_none_is_a_problem_and_the_others_are_added() -> None:
    parcel = web(shippingAddresses=[place("5 Lake Drive", city="", postalCode="nonsense"), place("6 Lake Drive")])
    found = plan(parcel, record())
    assert [one.ShipToAddress1 for one in found.ship_tos] == ["6 Lake Dr"]
    assert all(problem.field.startswith("data.shippingAddresses[0]") for problem in found.problems)


# ---- what Sage owns -------------------------------------------------------------------------------------------------


def test_what_sage_owns_is_written_at_clarity_where_it_differs() -> None:
    assert plan(web(attributes={"terms": "00", "credit_hold": "Y"}), record()).attributes == {"credit_hold": "N"}


# ---- the section ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sync", "words"),
    [
        ("fields: {TermsCode: clarity}", "must not decide TermsCode"),
        ("fields: {CreditLimit: {owner: clarity, attribute: limit}}", "must not decide CreditLimit"),
        ("fields: {TaxExemptNo: clarity}", "must not decide TaxExemptNo"),
        ("fields: {UDF_WEB_CUSTOMER_ID: {owner: clarity, attribute: id}}", "must not decide"),
        ("fields: {TermsCode: sage}", "needs the attribute"),
        ("fields: {UDF_CLUB: clarity}", "needs the attribute"),
        ("fields: {TelephoneNo: {owner: clarity, attribute: phone}}", "field of Clarity's customer itself"),
        ("fields: {NoSuchColumn: {owner: sage, attribute: x}}", "no column NoSuchColumn"),
        ("fields: {TermsCode: {owner: sage, attribute: x}, PriceLevel: {owner: sage, attribute: x}}", "both have"),
    ],
)
def test_a_field_that_nobody_may_own_so_is_refused_with_a_remedy(sync: str, words: str) -> None:
    with pytest.raises(PairFileError, match=words):
        pair_of(sync)


def test_without_a_key_nothing_is_synchronised(pair: Pair) -> None:
    assert not pair.customers.sync.is_on
    assert not pair_of("in_doubt: review").customers.sync.is_on
