"""Ship-tos of an account, the house account of guests, pairs by currency, holds kept in Sage."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from connectors.sage100.gateway import order_body
from mappings.accounts import (
    house_account,
    known_ship_to,
    match_house_account,
    needs_ship_tos,
    new_ship_to,
    other_bill_to,
    ship_to_to_add,
    with_own_bill_to,
)
from mappings.checks import below_sages_price, run_checks
from mappings.customer_match import CustomerRecord
from mappings.decisions import UNDECIDED, Decisions
from mappings.facts import facts_from
from mappings.intake import pair_of_currency
from mappings.items import ItemFacts
from mappings.pair import Check, CheckName, HoldKept, Pair, PairFileError, load_pairs
from mappings.problems import HoldReason
from mappings.sales_order import CreatedLine, CustomerDecision, Draft, ExpectedTotals, SalesOrderOnSage, ShipToAddress
from mappings.transform import transform
from tests.unit.conftest import DEMO_FILE, sample
from tests.unit.test_matching_and_checks import account, buyer
from tests.unit.test_rules import pair_with

DOCK = ShipToAddress(ShipToCode="1", ShipToName="Dock", ShipToAddress1="400 Dock Road", ShipToZipCode="53403")


def draft_of(name: str, pair: Pair) -> Draft:
    draft = transform(sample(name), pair).draft
    assert draft is not None
    return draft


@pytest.mark.parametrize(
    ("street", "line2", "zip_code", "known", "code"),
    [
        ("400 Dock Road", "", "53403", [DOCK], "1"),
        ("400 dock rd", "", "53403-1234", [DOCK], "1"),
        ("400 Dock Road", "Suite 2", "53403", [DOCK], ""),
        ("402 Dock Road", "", "53403", [DOCK], ""),
        ("400 Dock Road", "", "53404", [DOCK], ""),
        ("400 Dock Road", "", "53403", [], ""),
        ("400 Dock Road", "", "53403", [DOCK, DOCK.model_copy(update={"ShipToCode": "2", "ShipToName": "Other"})], "1"),
        ("400 Dock Road", "", "53403", [DOCK, DOCK.model_copy(update={"ShipToCode": "2"})], ""),
        ("400 Dock Road", "", "53403", [DOCK.model_copy(update={"ShipToName": "Old tenant"})], ""),
        ("400 Dock Road", "Bldg 2 Apt 4", "53403", [DOCK.model_copy(update={"ShipToAddress2": "Bldg 1 Apt 4"})], ""),
        ("400 Dock Road", "Apt 2", "53403", [DOCK.model_copy(update={"ShipToAddress2": "Floor 2"})], ""),
        ("400 Dock Road", "", "", [DOCK.model_copy(update={"ShipToZipCode": "", "ShipToCity": "Cork"})], ""),
        ("400 Dock Road", "", "", [DOCK.model_copy(update={"ShipToZipCode": "", "ShipToCity": "MILWAUKEE"})], "1"),
        ("400 Dock Road", "", "53403", [DOCK.model_copy(update={"ShipToCountryCode": "FRA"})], ""),
    ],
)
def test_a_ship_to_is_known_by_street_unit_and_postal_code(
    street: str, line2: str, zip_code: str, known: list[ShipToAddress], code: str, tmp_path: Path
) -> None:
    pair = pair_with(tmp_path, customers={"ship_to": "known"})
    order = draft_of("03-dealer-on-terms", pair).sales_order.model_copy(
        update={"ShipToName": "DOCK", "ShipToAddress1": street, "ShipToAddress2": line2, "ShipToZipCode": zip_code}
    )
    assert known_ship_to(order, known, pair) == code


def test_without_the_rule_the_address_stands_on_the_order_only(pair: Pair) -> None:
    order = draft_of("03-dealer-on-terms", pair).sales_order.model_copy(
        update={"ShipToAddress1": "400 Dock Road", "ShipToZipCode": "53403"}
    )
    assert known_ship_to(order, [DOCK], pair) == ""


def dealer_of(**columns: object) -> CustomerRecord:
    """The account of sample 03, which has terms."""
    own = {
        "ARDivisionNo": "01",
        "CustomerNo": "ABF",
        "CustomerName": "American Business Furniture",
        "AddressLine1": "2131 N 14th St",
        "City": "Milwaukee",
        "ZipCode": "53205",
        "TermsCode": "01",
    }
    return account(**{**own, **columns})


ABROAD = {
    "ShipToAddress1": "666 Mule Drop Road",
    "ShipToAddress2": "",
    "ShipToCity": "Houston",
    "ShipToZipCode": "77001",
}
AT_THE_DOCK = {
    "ShipToName": "Dock",
    "ShipToAddress1": "400 Dock Road",
    "ShipToAddress2": "",
    "ShipToCity": "Racine",
    "ShipToZipCode": "53403",
}


@pytest.mark.parametrize(
    ("rule", "paid", "ship_to", "terms", "held"),
    [
        (None, False, ABROAD, "01", True),
        (None, True, ABROAD, "01", False),
        (None, False, ABROAD, "00", False),
        (None, False, {}, "01", False),
        (None, False, AT_THE_DOCK, "01", False),
        (None, False, {**AT_THE_DOCK, "ShipToName": "Somebody Else"}, "01", False),
        (None, False, {**AT_THE_DOCK, "ShipToAddress2": "Bldg 2"}, "01", True),
        ("order_only", False, ABROAD, "01", False),
        ("hold", True, ABROAD, "01", True),
        ("hold", True, ABROAD, "00", False),
        ("add", False, ABROAD, "01", False),
    ],
)
def test_goods_on_terms_to_a_strange_door_are_looked_at(
    rule: str | None, paid: bool, ship_to: dict[str, str], terms: str, held: bool, tmp_path: Path
) -> None:
    pair = pair_with(tmp_path, customers={} if rule is None else {"new_ship_to": rule})
    order = draft_of("03-dealer-on-terms", pair).sales_order.model_copy(update=ship_to)
    finding = new_ship_to(order, dealer_of(TermsCode=terms), [DOCK], pair, paid=paid)
    assert (finding is not None) is held
    if finding is not None:
        assert finding.reason is HoldReason.ANOMALY
        assert "01-ABF" in finding.problems[0].message
        assert order.ShipToZipCode in finding.problems[0].message
        assert "Mule Drop" not in finding.problems[0].message
    assert needs_ship_tos(dealer_of(TermsCode=terms), pair) is (rule != "order_only" and terms == "01")


def test_with_the_opt_in_the_address_gets_one_code_however_often_it_is_asked_for(tmp_path: Path) -> None:
    pair = pair_with(tmp_path, customers={"new_ship_to": "add"})
    order = draft_of("03-dealer-on-terms", pair).sales_order.model_copy(update=ABROAD)
    first = ship_to_to_add(order, dealer_of(), [DOCK], pair)
    assert first is not None
    assert (len(first.ShipToCode), first.ShipToAddress1, first.ShipToState) == (4, "666 Mule Drop Road", "WI")
    assert ship_to_to_add(order, dealer_of(), [DOCK], pair) == first
    assert ship_to_to_add(order, dealer_of(), [DOCK, first], pair) is None
    other = DOCK.model_copy(update={"ShipToCode": first.ShipToCode})
    second = ship_to_to_add(order, dealer_of(), [other], pair)
    assert second is not None
    assert second.ShipToCode != first.ShipToCode
    assert ship_to_to_add(order, dealer_of(TermsCode="00"), [], pair) is None
    assert ship_to_to_add(order, dealer_of(), [], pair_with(tmp_path, customers={})) is None


def test_a_buyer_never_says_whom_sage_bills_on_terms(pair: Pair) -> None:
    order = draft_of("03-dealer-on-terms", pair).sales_order
    mallory = order.model_copy(update={"BillToName": "Mallory", "BillToAddress1": "666 Mule Drop Road"})
    own = with_own_bill_to(mallory, dealer_of(), pair)
    assert not any(name.startswith("BillTo") for name in order_body(own))
    assert with_own_bill_to(mallory, dealer_of(TermsCode="00"), pair) == mallory
    assert other_bill_to(order, dealer_of(), pair) == ""
    assert "name and address differ" in other_bill_to(mallory, dealer_of(), pair)
    assert other_bill_to(mallory, dealer_of(TermsCode="00"), pair) == other_bill_to(own, dealer_of(), pair) == ""


@pytest.mark.parametrize("name", ["03-dealer-on-terms", "07-long-purchase-order", "11-tax-exempt-school"])
def test_the_sample_dealers_ship_to_their_own_address(name: str, pair: Pair) -> None:
    order = draft_of(name, pair).sales_order
    masters = yaml.safe_load((DEMO_FILE.parents[2] / "sandbox/sage100/company_abc.yaml").read_text("utf-8"))
    number = sample(name)["data"]["customer"]["accountNumber"].partition("-")[2]
    [row] = [row for row in masters["AR_Customer"] if row["CustomerNo"] == number]
    columns = {column: value for column, value in row.items() if column in CustomerRecord.model_fields}
    assert new_ship_to(order, CustomerRecord.model_validate(columns), [], pair, paid=False) is None


GUESTS = {"house_account": "02-W1"}


@pytest.mark.parametrize("known", [{"clarity_id": "5"}, {"account_no": "01-ABF"}, {"customer_reference": "02-W9"}])
def test_a_buyer_with_an_account_is_no_guest(known: dict[str, str], tmp_path: Path) -> None:
    assert house_account(buyer(**known), pair_with(tmp_path, customers=GUESTS)) is None


def test_guests_go_to_the_house_account_whatever_their_email_says(pair: Pair, tmp_path: Path) -> None:
    assert match_house_account(buyer(), [account()], pair) is None
    guests = pair_with(tmp_path, customers=GUESTS)
    match = match_house_account(buyer(email="other@example.com"), [account()], guests)
    assert match is not None
    assert (match.decision, str(match.customer)) == (CustomerDecision.MATCHED, "02-W1")


@pytest.mark.parametrize(
    ("paid", "status", "there", "why"),
    [(False, "A", True, "paid in full"), (True, "I", True, "inactive"), (True, "A", False, "not in Sage")],
)
def test_a_house_account_that_cannot_be_used_is_for_a_person(
    paid: bool, status: str, there: bool, why: str, tmp_path: Path
) -> None:
    guests = pair_with(tmp_path, customers=GUESTS)
    records = [account(CustomerStatus=status)] if there else []
    match = match_house_account(buyer(fully_captured=paid), records, guests)
    assert match is not None
    assert match.decision is CustomerDecision.REVIEW
    assert why in match.candidates[0].reasons[0]


@pytest.mark.parametrize(("method", "why"), [("R", "PaymentMethod R"), ("A", "PaymentMethod A"), (None, "not on file")])
def test_only_check_and_other_take_web_payments(method: str | None, why: str, pair: Pair) -> None:
    draft = draft_of("01-consumer-new", pair)
    finding = facts_from(draft, None, {}, [], [], pair, payment_method=method).findings[0]
    assert finding.reason is HoldReason.INVALID_DATA
    assert why in finding.problems[0].message
    for fine in ("O", "C"):
        findings = facts_from(draft, None, {}, [], [], pair, payment_method=fine).findings
        assert all(one.reason is not HoldReason.INVALID_DATA for one in findings)


def test_what_is_kept_in_sage_stops_nothing_before_the_create(pair: Pair) -> None:
    draft = draft_of("03-dealer-on-terms", pair)
    order, dealer = draft.sales_order, account(ARDivisionNo="01", CustomerNo="ABF", CreditHold=True)
    for keep in HoldKept:
        check = Check(name=CheckName.CREDIT, on_fail=HoldReason.CREDIT, keep=keep)
        [finding] = run_checks(order, draft.expected, dealer, {}, pair, checks=[check])
        assert finding.in_sage is (keep is HoldKept.IN_SAGE)
        resolved = {line.sku or line.ItemCode: ItemFacts(ItemCode=line.sku or line.ItemCode) for line in order.Lines}
        facts = facts_from(draft.model_copy(update={"checks": [check]}), None, resolved, [], [dealer], pair)
        assert [one.reason for one in facts.findings] == ([] if finding.in_sage else [HoldReason.CREDIT])


@pytest.mark.parametrize(("price", "held"), [("100", False), ("90.00", False), ("89.99", True), ("0", True)])
def test_web_prices_below_sages_beyond_tolerance(price: str, held: bool, pair: Pair) -> None:
    order = draft_of("03-dealer-on-terms", pair).sales_order
    line = order.Lines[0].model_copy(update={"ItemCode": "A", "UnitPrice": Decimal(price)})
    order = order.model_copy(update={"Lines": [line]})
    stored = CreatedLine(LineKey="000001", ItemCode="A", QuantityOrdered=Decimal(1), UnitPrice=Decimal(100))
    check = Check(name=CheckName.PRICE, on_fail=HoldReason.ANOMALY, tolerance_percent=Decimal(10))
    by_sage = SalesOrderOnSage(Lines=[stored])
    found = below_sages_price(order, by_sage, [check], UNDECIDED)
    assert (found is not None) is held
    if found is not None:
        assert below_sages_price(order, by_sage, [check], Decisions(approved=found.approvals)) is None
    cost = {"A": ItemFacts(ItemCode="A", StandardUnitCost=Decimal(50), SalesUMConvFctr=Decimal(2))}
    expected = ExpectedTotals(currency="USD", tax=Decimal(0), freight=Decimal(0), grand=Decimal(price))
    assert bool(run_checks(order, expected, None, cost, pair, checks=[check])) is held


def two_pairs(folder: Path, target: str = "canada", currency: str = "CAD") -> dict[str, Pair]:
    content: dict[str, Any] = yaml.safe_load(DEMO_FILE.read_text("utf-8"))
    content["company"]["other_currencies"] = {"CAD": target}
    (folder / "demo.yaml").write_text(yaml.safe_dump(content), "utf-8")
    content["company"] = {**content["company"], "currency": currency, "code": "CAN", "other_currencies": {}}
    (folder / "canada.yaml").write_text(yaml.safe_dump(content), "utf-8")
    return load_pairs(folder)


def test_an_order_in_another_currency_goes_to_the_pair_that_keeps_it(tmp_path: Path) -> None:
    pairs = two_pairs(tmp_path)
    demo = pairs["demo"]
    for currency, name in (("USD", "demo"), ("cad ", "canada"), ("EUR", "demo"), (None, "demo"), (7, "demo")):
        assert pair_of_currency({"data": {"currency": currency}}, demo, pairs).name == name
    assert pair_of_currency({"data": []}, demo, pairs) is demo
    in_euros = {"data": {**sample("01-consumer-new")["data"], "currency": "EUR"}}
    assert transform(in_euros, demo).problems[0].field == "data.currency"


@pytest.mark.parametrize(("target", "currency"), [("nowhere", "CAD"), ("canada", "EUR")])
def test_a_pair_for_a_currency_must_be_there_and_keep_it(target: str, currency: str, tmp_path: Path) -> None:
    with pytest.raises(PairFileError, match=r"demo\.yaml:\d+: company\.other_currencies\.CAD: .*Name the pair"):
        two_pairs(tmp_path, target, currency)
