"""One view of a customer, composed: what differs, credit, consent, orders of both systems, and what is missing."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from mappings.customer_account import Account, AccountInvoice, AccountOrder, AccountPackage, AccountRecord, OpenInvoice
from mappings.customer_export import Audience, export_of, safe_cell, to_csv
from mappings.customer_view import CustomerView, Source, Sources, SourceState, Standing, Told, WebOrder, view_of
from mappings.pair import Pair
from mappings.sales_order import CustomerKey
from mappings.web_customer import WebCustomer

KEY = CustomerKey(ARDivisionNo="01", CustomerNo="ABF")
NOW = datetime(2026, 11, 26, 4, tzinfo=UTC)
"""Still the 25th in Chicago."""
TOLD = Source(state=SourceState.TOLD)
AWAY = Source(state=SourceState.UNAVAILABLE, detail="nobody answered")


@pytest.fixture(scope="module")
def consenting(pair: Pair) -> Pair:
    rules = {"clarity_attribute": "newsletter", "sage_column": "UDF_MARKETING_OK"}
    consent = pair.customers.consent.model_copy(update=rules)
    return pair.model_copy(update={"customers": pair.customers.model_copy(update={"consent": consent})})


def account(**parts: Any) -> Account:
    columns = parts.pop("columns", {})
    usual = {
        "CustomerName": "American Business Furniture",
        "AddressLine1": "2131 N 14th Street",
        "City": "Milwaukee",
        "ZipCode": "53205",
        "TelephoneNo": "414-555-4787",
        "EmailAddress": "buyer@abf.example.com; ap@abf.example.com",
        "TermsCode": "01",
        "CreditLimit": Decimal(5000),
        "CurrentBalance": Decimal(1200),
    }
    return Account(record=AccountRecord(**KEY.model_dump(), **{**usual, **columns}), **parts)


def buyer(id_: str = "b1", **fields: Any) -> WebCustomer:
    usual = {"email": "buyer@abf.example.com", "company": "American Business Furniture", "customer_reference": "01-ABF"}
    return WebCustomer(clarity_id=id_, **{**usual, **fields})


def web_order(order_id: str, number: str = "", **fields: Any) -> WebOrder:
    usual = {"workflow_id": f"order-demo-{order_id}", "status": "running", "state": "open"}
    return WebOrder(order_id=order_id, SalesOrderNo=number, **{**usual, **fields})


def sage_order(number: str, web_id: str = "", *, live: bool = True, **fields: Any) -> AccountOrder:
    return AccountOrder(SalesOrderNo=number, live=live, UDF_WEB_ORDER_ID=web_id, Total=Decimal("100.00"), **fields)


def view(pair: Pair, told: Told, sage: Source = TOLD, clarity: Source = TOLD) -> CustomerView:
    return view_of(KEY, told, Sources(sage=sage, clarity=clarity, temporal=TOLD), pair, NOW)


# ---- profile --------------------------------------------------------------------------------------------------------


def test_what_both_systems_say_alike_in_other_spellings_is_no_difference(pair: Pair) -> None:
    same = buyer(email="BUYER@abf.example.com", phone="+1 (414) 555 4787")
    assert view(pair, Told(account=account(), web_customers=[same])).profile.differs == []


def test_each_difference_names_the_field_both_values_and_the_buyer(pair: Pair) -> None:
    other = buyer("b2", email="new@abf.example.com", phone="414-555-0000", customer_reference="01-0001100")
    found = view(pair, Told(account=account(), web_customers=[buyer(), other])).profile.differs
    assert [(one.field, one.clarity, one.clarity_id) for one in found] == [
        ("EmailAddress", "new@abf.example.com", "b2"),
        ("TelephoneNo", "414-555-0000", "b2"),
        ("externalReference", "01-0001100", "b2"),
    ]


# ---- credit ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "owed", "standing", "available"),
    [
        ({}, [], Standing.GOOD, 3800),
        ({"CreditHold": True}, [], Standing.ON_HOLD, 3800),
        ({"AgingCategory3": Decimal(4000)}, [], Standing.OVER_LIMIT, -200),
        ({"CreditLimit": Decimal(0)}, [], Standing.GOOD, None),
        ({"TermsCode": "00"}, [], Standing.PREPAID, 3800),
        ({}, [(date(2026, 11, 24), 50)], Standing.OVERDUE, 3800),
        ({}, [(date(2026, 11, 25), 50)], Standing.GOOD, 3800),
    ],
    ids=["good", "on hold", "over limit", "unlimited", "prepaid", "overdue", "due today in the company's zone"],
)
def test_credit_standing(
    pair: Pair, columns: dict[str, Any], owed: list[tuple[date, int]], standing: Standing, available: int | None
) -> None:
    invoices = [OpenInvoice(InvoiceNo="0100001", InvoiceDueDate=due, Balance=Decimal(amount)) for due, amount in owed]
    credit = view(pair, Told(account=account(columns=columns, open_invoices=invoices))).credit
    assert credit is not None
    assert (credit.standing, credit.available) == (standing, None if available is None else Decimal(available))


# ---- orders ---------------------------------------------------------------------------------------------------------


def test_orders_of_both_systems_meet_by_number_or_web_id_and_once(pair: Pair) -> None:
    told = Told(
        account=account(
            open_orders=[sage_order("0001002", "w2"), sage_order("0001001")],
            past_orders=[sage_order("0000900", "w9", live=False, OrderStatus="C")],
        ),
        web_orders=[
            web_order("w2", "0001002", state="partially_shipped"),
            web_order("w9", "", status="completed", state="complete"),
            web_order("w3", state="held", hold_reason="credit", hold=1, actions=["approve"]),
        ],
    )
    found = view(pair, told)
    assert [(one.SalesOrderNo, one.web_order_id, one.where) for one in found.open_orders] == [
        ("0001002", "w2", "live"),
        ("0001001", "", "live"),
        ("", "w3", "not_in_sage"),
    ]
    assert found.open_orders[0].web is not None
    assert found.open_orders[0].web.state == "partially_shipped"
    assert [(one.SalesOrderNo, one.web_order_id) for one in found.past_orders] == [("0000900", "w9")]
    assert [(hold.order_id, hold.reason, hold.actions) for hold in found.holds] == [("w3", "credit", ["approve"])]


def test_an_ended_web_order_of_a_later_page_waits_for_its_page(pair: Pair) -> None:
    past = [sage_order("0000900", live=False), sage_order("0000800", live=False)]
    told = Told(
        account=account(past_orders=past, past_orders_before="0000800"),
        web_orders=[web_order("w7", "0000700", status="completed", state="complete")],
    )
    assert [one.SalesOrderNo for one in view(pair, told).past_orders] == ["0000900", "0000800"]


def test_without_sage_the_view_has_temporals_part_and_says_so(pair: Pair) -> None:
    told = Told(web_customers=[buyer()], web_orders=[web_order("w2", "0001002")])
    found = view(pair, told, sage=AWAY)
    assert found.sources.missing == ["sage"]
    assert (found.profile.sage, found.credit, found.invoices) == (None, None, [])
    assert [(one.SalesOrderNo, one.where) for one in found.open_orders] == [("0001002", "unknown")]
    assert found.is_known
    assert not view(pair, Told()).is_known


# ---- consent and files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sage", "clarity", "granted"),
    [("Y", "", True), ("", "true", True), ("Y", "TRUE", True), ("N", "true", False), ("Y", "no", False),
     ("", "", False), ("?", "", False), ("", "maybe", False)],
)  # fmt: skip
def test_consent_is_a_yes_that_nothing_contradicts(consenting: Pair, sage: str, clarity: str, granted: bool) -> None:
    told = Told(
        account=account(columns={"own": {"UDF_MARKETING_OK": sage}}),
        web_customers=[buyer(attributes={"newsletter": clarity})],
    )
    assert view(consenting, told).profile.web_consent["b1"].granted is granted


def marketing(pair: Pair, told: Told) -> list[str]:
    return [row["email"] for row in export_of(view(pair, told), Audience.MARKETING).rows]


def test_marketing_gets_only_people_who_consented_and_only_what_a_letter_needs(consenting: Pair) -> None:
    yes = buyer("b1", email="ann@abf.example.com", attributes={"newsletter": "true"}, first_name="Ann")
    silent = buyer("b2", email="bob@abf.example.com")
    no = buyer("b3", email="zoe@abf.example.com", attributes={"newsletter": "false"})
    told = Told(account=account(), web_customers=[yes, silent, no])
    export = export_of(view(consenting, told), Audience.MARKETING)
    assert [row["email"] for row in export.rows] == ["ann@abf.example.com"]
    assert export.columns == ["email", "first_name", "last_name", "company", "country", "consent_told_by"]
    assert "phone" not in export.columns


def test_without_rules_for_consent_marketing_gets_nobody(pair: Pair) -> None:
    told = Told(account=account(), web_customers=[buyer(attributes={"newsletter": "true"})])
    assert marketing(pair, told) == []


def test_an_accounts_consent_reaches_one_address_and_never_a_column_of_several(consenting: Pair) -> None:
    own = {"own": {"UDF_MARKETING_OK": "Y"}}
    assert marketing(consenting, Told(account=account(columns=own))) == []
    single = {**own, "EmailAddress": "buyer@abf.example.com"}
    assert marketing(consenting, Told(account=account(columns=single))) == ["buyer@abf.example.com"]


def test_a_no_for_an_address_outweighs_a_yes_from_elsewhere(consenting: Pair) -> None:
    """The shop says yes for one login, and no for another one with the same mailbox."""
    told = Told(
        web_customers=[
            buyer("b1", attributes={"newsletter": "true"}),
            buyer("b2", attributes={"newsletter": "false"}),
        ]
    )
    assert marketing(consenting, told) == []


def test_service_sees_each_package_with_its_order_and_sales_its_total(consenting: Pair) -> None:
    packages = [AccountPackage(PackageNo="0001", TrackingID="1Z1"), AccountPackage(PackageNo="0002", TrackingID="1Z2")]
    told = Told(
        account=account(
            open_orders=[sage_order("0001002", "w2")],
            invoices=[
                AccountInvoice(InvoiceNo="0100009", SalesOrderNo="0001002", packages=packages),
                AccountInvoice(InvoiceNo="0100001", SalesOrderNo="0000001", Balance=Decimal("12.5")),
            ],
        ),
        web_orders=[web_order("w2", "0001002", order_number="W-2", waits_for="the warehouse")],
    )
    service = export_of(view(consenting, told), Audience.SERVICE).rows
    assert [(row["sales_order"], row["web_order"], row["tracking"], row["balance"]) for row in service] == [
        ("0001002", "W-2", "1Z1", ""),
        ("0001002", "W-2", "1Z2", ""),
        ("0000001", "", "", "12.50"),
    ]
    assert {row["marketing_consent"] for row in service} == {"no"}
    [sold] = export_of(view(consenting, told), Audience.SALES).rows
    assert (sold["sales_order"], sold["total"], sold["standing"], sold["marketing_consent"]) == (
        "0001002",
        "100.00",
        "good",
        "no",
    )


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+44 20 7946",
        "-cmd|' /C calc'!A0",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "  =1",
        "＝1",
        '=HYPERLINK("http://x")',
        "-1-1",
    ],
)
def test_what_a_spreadsheet_would_run_becomes_text(text: str) -> None:
    assert safe_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "Ann", "-12.50", "12", "a=b", "O'Neill", "1Z999"])
def test_everything_else_stays_as_it_is(text: str) -> None:
    assert safe_cell(text) == text


def test_csv_has_names_first_and_quotes_every_cell(pair: Pair) -> None:
    told = Told(account=account(columns={"CustomerName": '=cmd("x"), Inc.'}, open_orders=[sage_order("0001002")]))
    lines = to_csv(export_of(view(pair, told), Audience.SALES)).split("\r\n")
    assert lines[0].startswith('"customer","name","city"')
    assert '"\'=cmd(""x""), Inc."' in lines[1]
    assert lines[2] == ""
