"""Customers as the sandbox has them: one account through ODBC by its keys, changes through the gateway."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr
from temporalio.testing import ActivityEnvironment

from activities.customer_sync import CustomerSyncReads, CustomerSyncWrites, WebCustomerWrites, digest_of
from activities.customer_view import CustomerReadActivities
from connectors.clarity.client import ClarityClient, ClaritySettings
from connectors.errors import NotFound, Refused
from connectors.sage100.customer_accounts import SageAccounts
from connectors.sage100.gateway import SageGateway, SageGatewaySettings
from connectors.sage100.match_index import MatchIndex
from contracts.customers import (
    AccountRow,
    FindAccountChanges,
    FindAccounts,
    PlanCustomerSync,
    ReadAccount,
    TellAttributes,
    WriteCustomer,
)
from mappings.customer_rules import CustomerSync, FieldOwner, ShipToSync, SyncedField
from mappings.inventory import Digests
from mappings.pair import Pair, load_pair
from mappings.sales_order import CustomerKey, ShipToAddress
from tests.support.contracts import Recorder
from tests.support.processes import ROOT
from tests.support.sandbox import Sandbox, running_sandbox

MARIA = CustomerKey(ARDivisionNo="02", CustomerNo="W000001")
DEALER = CustomerKey(ARDivisionNo="01", CustomerNo="ABF")
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    flags = ("--ship-after", "off", "--post-after", "off", "--webhook-url", "http://127.0.0.1:9/")
    with running_sandbox(tmp_path_factory.mktemp("customers"), *flags) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="module")
async def accounts(sandbox: Sandbox) -> AsyncIterator[SageAccounts]:
    one = SageAccounts(SecretStr(sandbox.odbc))
    yield one
    await one.close()


@pytest_asyncio.fixture(loop_scope="module")
async def gateway(sandbox: Sandbox) -> AsyncIterator[SageGateway]:
    settings = SageGatewaySettings(url=sandbox.sage_url, company="ABC", api_key=SecretStr("sage-sandbox-key"))
    one = SageGateway(settings, transport=Recorder("sage-gateway"))
    yield one
    await one.close()


@pytest_asyncio.fixture(loop_scope="module")
async def clarity(sandbox: Sandbox, pair: Pair) -> AsyncIterator[ClarityClient]:
    settings = ClaritySettings(
        url=sandbox.clarity_url, client_id="clarity-integration", client_secret=SecretStr("clarity-sandbox-secret")
    )
    one = ClarityClient(pair.clarity, settings, transport=Recorder("clarity"))
    yield one
    await one.close()


@pytest.fixture(scope="module")
def pair() -> Pair:
    """The demo pair with customers in step."""
    demo = load_pair(ROOT / "mappings/pairs/demo.yaml")
    fields = {
        "TelephoneNo": SyncedField(owner=FieldOwner.CLARITY),
        "TermsCode": SyncedField(owner=FieldOwner.SAGE, attribute="terms"),
        "CreditLimit": SyncedField(owner=FieldOwner.SAGE, attribute="limit"),
    }
    sync = CustomerSync(fields=fields, ship_to=ShipToSync.WEB)
    return demo.model_copy(update={"customers": demo.customers.model_copy(update={"sync": sync})})


def an_order(sandbox: Sandbox, web: str) -> str:
    number = str(sandbox.sage("POST", "/SO/SalesOrder/NextNumber").json()["SalesOrderNo"])
    body: dict[str, Any] = {
        "SalesOrderNo": number, "ARDivisionNo": "02", "CustomerNo": "W000001", "CustomerPONo": f"PO-{web}",
        "TaxSchedule": "NONTAX", "UDF_WEB_ORDER_ID": web, "PaymentType": "STRIP", "PaymentTypeCategory": "D",
        "DepositAmt": "50.00", "OtherPaymentTypeRefNo": f"ch_{web}",
        "Lines": [{"ItemCode": "LAMP-LED-01", "QuantityOrdered": "1", "UnitPrice": "50.00"}],
    }  # fmt: skip
    assert sandbox.sage("POST", "/SO/SalesOrder", body).status_code == 201
    return number


def ship(sandbox: Sandbox, number: str, tracking: str) -> str:
    body = {"SalesOrderNo": number, "Packages": [{"TrackingID": tracking}]}
    return str(sandbox.control("sage", "ship", body)["InvoiceNo"])


# ---- one account ----------------------------------------------------------------------------------------------------


async def test_open_past_unposted_posted_paid_all_of_one_account_newest_first(
    sandbox: Sandbox, accounts: SageAccounts
) -> None:
    past = [an_order(sandbox, f"p{number}") for number in range(5)]
    posted = [ship(sandbox, number, f"1ZP{place}") for place, number in enumerate(past)]
    sandbox.control("sage", "post", {})
    waiting = an_order(sandbox, "w1")
    unposted = ship(sandbox, waiting, "1ZW")
    open_ = an_order(sandbox, "w2")
    account = await accounts.account(MARIA, page=2)
    assert account is not None
    assert [one.SalesOrderNo for one in account.open_orders] == [open_, waiting]
    assert [(one.SalesOrderNo, one.OrderStatus, one.Total) for one in account.past_orders] == [
        (number, "C", Decimal(50)) for number in reversed(past[3:])
    ]
    assert [(one.InvoiceNo, one.posted, one.packages[0].TrackingID) for one in account.invoices] == [
        (unposted, False, "1ZW"),
        (posted[4], True, "1ZP4"),
        (posted[3], True, "1ZP3"),
    ]
    assert [(one.InvoiceNo, one.amount, one.reference) for one in account.payments] == [
        (posted[4], Decimal(50), "ch_p4"),
        (posted[3], Decimal(50), "ch_p3"),
    ]
    seen = []
    while account is not None and (account.past_orders_before or account.invoices_before):
        account = await accounts.account(
            MARIA, page=2, orders_before=account.past_orders_before, invoices_before=account.invoices_before
        )
        assert account is not None
        seen += [one.SalesOrderNo for one in account.past_orders]
    assert seen == [past[2], past[1], past[0]]
    assert await accounts.account_of_order(past[0]) == await accounts.account_of_order(open_) == MARIA
    assert await accounts.account_of_order("9999999") is None


async def test_profile_terms_contacts_ship_tos_and_the_sites_own_columns(
    sandbox: Sandbox, accounts: SageAccounts
) -> None:
    sandbox.control(
        "sage",
        "customer",
        {
            "ARDivisionNo": "01",
            "CustomerNo": "ABF",
            "Columns": {"UDF_MARKETING_OK": "Y", "DateLastPayment": "2026-11-02"},
        },
    )
    account = await accounts.account(DEALER, own=["UDF_MARKETING_OK", "CreditLimit", "DateLastPayment", "TermsCode"])
    assert account is not None
    record = account.record
    assert (record.CustomerName, record.State, record.TermsCode, bool(record.TermsCodeDesc)) == (
        "American Business Furniture", "WI", "01", True,
    )  # fmt: skip
    assert record.own == {
        "UDF_MARKETING_OK": "Y", "CreditLimit": "50000", "DateLastPayment": "2026-11-02", "TermsCode": "01",
    }  # fmt: skip
    assert [one.ContactName for one in account.contacts] == ["John Smith"]
    assert [one.ShipToAddress1 for one in account.ship_tos] == ["400 Dock Road"]
    assert await accounts.account(CustomerKey(ARDivisionNo="02", CustomerNo="NOBODY")) is None


async def test_a_search_never_waits_for_the_index_and_says_how_old_it_is(pair: Pair, accounts: SageAccounts) -> None:
    reads = CustomerReadActivities(pair, accounts, MatchIndex(accounts, pair.customers.divisions))
    first = await reads.find_accounts(FindAccounts(pair="demo", email="MARIA.gonzales@example.com"))
    assert (first.index_age, first.hits) == (None, [])
    assert reads._filling is not None
    await reads._filling
    found = await reads.find_accounts(FindAccounts(pair="demo", email="MARIA.gonzales@example.com"))
    assert [hit.customer for hit in found.hits] == ["02-W000001"]
    by_name = await reads.find_accounts(FindAccounts(pair="demo", name="prairie interiors"))
    assert {hit.customer for hit in by_name.hits} == {"01-0001500", "01-0001600"}
    read = await reads.read_account(ReadAccount(pair="demo", customer=DEALER))
    assert read.account is not None
    assert "CreditLimit" in read.account.record.own


# ---- changing an account --------------------------------------------------------------------------------------------


async def test_an_account_is_changed_column_by_column_and_the_same_again_changes_nothing(
    sandbox: Sandbox, gateway: SageGateway
) -> None:
    def stamp() -> tuple[str, str, str]:
        [row] = sandbox.rows("SELECT * FROM AR_Customer WHERE CustomerNo = 'W000003'")
        return row["TelephoneNo"], row["TimeUpdated"], row["CustomerName"]

    key = CustomerKey(ARDivisionNo="02", CustomerNo="W000003")
    await gateway.change_customer(key, {"TelephoneNo": "415-555-0100", "AddressLine2": ""})
    changed = stamp()
    sandbox.control("sage", "clock", {"shift_seconds": 3600})
    await gateway.change_customer(key, {"TelephoneNo": "415-555-0100"})
    assert stamp() == changed
    assert (changed[0], changed[2]) == ("415-555-0100", "Aiko Tanaka")
    with pytest.raises(Refused) as refusal:
        await gateway.change_customer(key, {"TelephoneNo": "4" * 21})
    assert refusal.value.field == "TelephoneNo"
    with pytest.raises(NotFound):
        await gateway.change_customer(CustomerKey(ARDivisionNo="02", CustomerNo="NOBODY"), {"TelephoneNo": "1"})


@pytest.mark.parametrize("column", ["CustomerNo", "CurrentBalance", "DateUpdated", "NoSuchColumn"])
async def test_keys_balances_and_stamps_are_not_anybodys_to_change(sandbox: Sandbox, column: str) -> None:
    answer = sandbox.sage("PATCH", "/AR/Customer/02-W000003", {column: "1"})
    assert (answer.status_code, answer.json()["Column"]) == (422, column)


async def test_an_account_that_carries_another_id_meanwhile_is_not_touched(
    sandbox: Sandbox, pair: Pair, gateway: SageGateway
) -> None:
    writes = CustomerSyncWrites(pair, gateway, asyncio.Semaphore(1))
    address = ShipToAddress(ShipToCode="W1A2", ShipToName="Maria", ShipToAddress1="5 Lake Dr")
    request = WriteCustomer(
        pair="demo", customer=MARIA, clarity_id="999", columns={"TelephoneNo": "1"}, ship_tos=[address]
    )
    environment = ActivityEnvironment()
    assert "another web customer" in (await environment.run(writes.write_customer, request))[0].message
    ours = request.model_copy(update={"clarity_id": "501"})
    assert await environment.run(writes.write_customer, ours) == []
    assert await environment.run(writes.write_customer, ours) == []
    rows = sandbox.rows("SELECT ShipToAddress1 FROM SO_ShipToAddress WHERE CustomerNo = 'W000001'")
    assert [row["ShipToAddress1"] for row in rows] == ["5 Lake Dr"]


# ---- in step --------------------------------------------------------------------------------------------------------


async def test_a_plan_finds_the_account_by_the_id_that_it_carries(pair: Pair, accounts: SageAccounts) -> None:
    reads = CustomerSyncReads(pair, accounts, MatchIndex(accounts, pair.customers.divisions))
    body = {
        "id": "512",
        "email": "zoe.b@example.com",
        "firstName": "Zoë",
        "lastName": "Brückner",
        "phone": "619-555-0100",
    }
    plan = await reads.plan_customer_sync(PlanCustomerSync(pair="demo", customer=body))
    assert (str(plan.customer), plan.columns, plan.reference) == (
        "02-W000012", {"TelephoneNo": "619-555-0100"}, "02-W000012",
    )  # fmt: skip
    assert plan.attributes == {"terms": "00", "limit": "0"}
    stranger = await reads.plan_customer_sync(PlanCustomerSync(pair="demo", customer={**body, "id": "513"}))
    assert stranger.customer is None


async def test_only_accounts_that_changed_are_handed_out_again(
    sandbox: Sandbox, pair: Pair, accounts: SageAccounts
) -> None:
    reads = CustomerSyncReads(pair, accounts, MatchIndex(accounts, pair.customers.divisions))
    environment = ActivityEnvironment()

    async def find(digests: str) -> tuple[list[AccountRow], str]:
        request = FindAccountChanges(pair="demo", digests=digests, fresh=True)
        found = await environment.run(reads.find_account_changes, request)
        told = Digests(digests)
        for one in found.buckets:
            told[one.bucket] = bytes.fromhex(one.digest)
        return found.rows, told.text

    rows, told = await find("")
    assert len(rows) == sandbox.rows("SELECT COUNT(*) AS n FROM AR_Customer")[0]["n"]
    assert await find(told) == ([], told)
    sandbox.control(
        "sage", "customer", {"ARDivisionNo": "01", "CustomerNo": "ABF", "Columns": {"CreditLimit": "70000"}}
    )
    changed, _ = await find(told)
    assert changed == [AccountRow("01-ABF", "", ["01", "70000"])]
    again, _ = await find("")
    assert len(again) == len(rows)
    assert digest_of([], "a") != digest_of([], "b")


async def test_every_buyer_of_an_account_is_told_what_differs_and_is_linked(
    sandbox: Sandbox, pair: Pair, clarity: ClarityClient
) -> None:
    def sign_up(id_: str, **fields: object) -> None:
        sandbox.control("clarity", "customers/change", {"customerId": id_, "change": fields, "deliver": False})

    sign_up("b1", externalReference="01-ABF", attributes={"terms": "01", "limit": "70000", "colour": "red"})
    sign_up("b2", externalReference="01-ABF", attributes={"terms": "99"})
    sign_up("b3", externalReference="01-ABFX")
    sign_up("501", email="maria@example.com")
    writes = WebCustomerWrites(pair, clarity)
    rows = [
        AccountRow("01-ABF", "", ["01", "70000"]),
        AccountRow("02-W000001", "501", ["00", "0"]),
        AccountRow("02-W000012", "512", ["00", "0"]),
    ]
    environment = ActivityEnvironment()
    dry = await environment.run(writes.tell_attributes, TellAttributes(pair="demo", rows=rows, dry_run=True))
    told = await environment.run(writes.tell_attributes, TellAttributes(pair="demo", rows=rows))
    assert dry == told
    assert (told.looked_at, told.customers, told.told_ids, told.missing) == (3, 3, ["b2", "501"], 1)
    stored = {one: sandbox.clarity("GET", f"/api/v1/customers/{one}").json() for one in ("b1", "b2", "b3", "501")}
    assert stored["b1"]["attributes"] == {"terms": "01", "limit": "70000", "colour": "red"}
    assert stored["b2"]["attributes"] == {"terms": "01", "limit": "70000"}
    assert "attributes" not in stored["b3"]
    assert (stored["501"]["externalReference"], stored["501"]["attributes"]) == (
        "02-W000001", {"terms": "00", "limit": "0"},
    )  # fmt: skip
    repeated = await environment.run(writes.tell_attributes, TellAttributes(pair="demo", rows=rows))
    assert repeated.told == 0
