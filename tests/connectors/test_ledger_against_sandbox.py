"""Money in Sage through ODBC, and at Clarity over HTTP, as the sandbox has it."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr

from connectors.clarity.client import ClarityClient, ClaritySettings
from connectors.sage100.ledger import SageLedger
from mappings.canonical import PaymentType
from mappings.ledger import ReceiptOf
from mappings.pair import Pair, load_pair
from mappings.web_money import listed_payment, payout, web_order
from tests.connectors.test_clarity_profiles import ReleaseTransport, pair_file
from tests.support.http import HTTP
from tests.support.processes import ROOT
from tests.support.sandbox import Sandbox, running_sandbox

PROFILE = ROOT / "tests/connectors/profiles/module_entity.yaml"
DEMO = ROOT / "mappings/pairs/demo.yaml"
TYPES = {"STRIP", "PAYPL"}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path_factory.mktemp("ledger"), "--ship-after", "off", "--post-after", "off") as one:
        yield one


@pytest_asyncio.fixture(loop_scope="module")
async def ledger(sandbox: Sandbox) -> AsyncIterator[SageLedger]:
    one = SageLedger(SecretStr(sandbox.odbc))
    yield one
    await one.close()


def created(sandbox: Sandbox, web: str, deposit: str = "150.00", **changes: object) -> dict[str, Any]:
    number = sandbox.sage("POST", "/SO/SalesOrder/NextNumber").json()["SalesOrderNo"]
    body = {
        "SalesOrderNo": number, "ARDivisionNo": "02", "CustomerNo": "W000001", "CustomerPONo": f"PO-{web}",
        "TaxSchedule": "NONTAX", "UDF_WEB_ORDER_ID": web, "PaymentType": "STRIP", "PaymentTypeCategory": "D",
        "DepositAmt": deposit, "OtherPaymentTypeRefNo": f"ch_{web}_abcdefghij",
        "Lines": [{"ItemCode": "LAMP-LED-01", "QuantityOrdered": "3", "UnitPrice": "50.00"}], **changes,
    }  # fmt: skip
    answer = sandbox.sage("POST", "/SO/SalesOrder", body)
    assert answer.status_code == 201, answer.text
    stored: dict[str, Any] = answer.json()
    return stored


def ship(sandbox: Sandbox, *numbers: str, **more: object) -> str:
    body = {"SalesOrderNo": numbers[0], **more} if len(numbers) == 1 else {"SalesOrderNos": list(numbers), **more}
    answer = HTTP.post(f"{sandbox.sage_url}/_control/ship", json=body, timeout=20)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["InvoiceNo"])


async def unposted(ledger: SageLedger, number: str) -> list[str]:
    found = await ledger.unposted_by_order()
    return found.get(number, []) + found.get("", [])


@pytest.mark.asyncio(loop_scope="module")
async def test_a_deposit_is_followed_from_order_to_posted_invoice(sandbox: Sandbox, ledger: SageLedger) -> None:
    number = created(sandbox, "801")["SalesOrderNo"]
    assert await ledger.orders_of("801", [], ["PO-801"]) == [number]
    assert await ledger.orders_of("801", [number], []) == [number]
    assert await ledger.orders_of("999", [number], ["PO-801"]) == []
    page = await ledger.orders_with_deposit("", 500, TYPES)
    assert ("801", number) in [(one.web_order_id, one.SalesOrderNo) for one in page.orders]
    order = await ledger.deposited_order(number, [])
    assert order is not None
    assert (order.web_order_id, order.DepositAmt, order.live, order.open) == ("801", Decimal(150), True, True)
    assert order.reference == "ch_801_abcdefghij"
    invoice = ship(sandbox, number)
    order = await ledger.deposited_order(number, await unposted(ledger, number))
    assert order is not None
    (bill,) = order.invoices
    assert not bill.posted
    assert [bill.total, bill.DepositAmt, order.DepositAmt] == [Decimal(150)] * 3
    sandbox.control("sage", "post", {"InvoiceNo": invoice})
    order = await ledger.deposited_order(number, await unposted(ledger, number))
    assert order is not None
    (bill,) = order.invoices
    assert (bill.posted, order.live) == (True, False)
    assert [bill.total, bill.DepositAmt, order.DepositAmt] == [Decimal(150), Decimal(150), Decimal(0)]
    assert bill.Balance == 0
    assert bill.InvoiceDate is not None
    billed = await ledger.orders_billed_on(bill.InvoiceDate, TYPES)
    assert ("801", number) in [(one.web_order_id, one.SalesOrderNo) for one in billed]


@pytest.mark.asyncio(loop_scope="module")
async def test_pages_of_open_deposits_come_to_an_end(sandbox: Sandbox, ledger: SageLedger) -> None:
    numbers = {created(sandbox, f"81{n}")["SalesOrderNo"] for n in range(3)}
    seen, after = set(), ""
    for _ in range(50):
        page = await ledger.orders_with_deposit(after, 1, TYPES)
        seen |= {one.SalesOrderNo for one in page.orders}
        after = page.last
        if not after:
            break
    assert numbers <= seen
    assert not after


@pytest.mark.asyncio(loop_scope="module")
async def test_one_invoice_for_two_orders_takes_each_ones_deposit(sandbox: Sandbox, ledger: SageLedger) -> None:
    one, two = (
        created(sandbox, web, deposit)["SalesOrderNo"] for web, deposit in (("821", "150.00"), ("822", "40.00"))
    )
    invoice = ship(sandbox, one, two)
    sandbox.control("sage", "post", {"InvoiceNo": invoice})
    orders = [await ledger.deposited_order(number, []) for number in (one, two)]
    assert [[bill.DepositAmt for bill in order.invoices] for order in orders if order] == [[150], [40]]
    assert [[bill.shared for bill in order.invoices] for order in orders if order] == [[0], [0]]
    assert [[bill.total for bill in order.invoices] for order in orders if order] == [[150], [150]]


@pytest.mark.asyncio(loop_scope="module")
async def test_receipts_are_read_by_bank_and_day_and_pay_their_invoice(sandbox: Sandbox, ledger: SageLedger) -> None:
    number = created(sandbox, "831", "0")["SalesOrderNo"]
    invoice = ship(sandbox, number)
    sandbox.control("sage", "post", {"InvoiceNo": invoice})
    line = {"ARDivisionNo": "02", "CustomerNo": "W000001", "CheckNo": "klarna0831", "PaymentType": "PAYPL"}
    pays = {**line, "InvoiceNo": invoice, "CashAmountApplied": "150.00"}
    prepays = {
        **line,
        "CheckNo": "wire000831",
        "InvoiceType": "PP",
        "InvoiceNo": "PP00001",
        "CashAmountApplied": "9.00",
    }
    sandbox.control("sage", "cash_receipts", {"DepositDate": "2026-11-24", "Lines": [pays]})
    batch = {"DepositDate": "2026-11-25", "DepositNo": "00002", "Lines": [prepays], "Post": False}
    sandbox.control("sage", "cash_receipts", batch)
    (paid,) = await ledger.receipts_on("W", date(2026, 11, 24))
    assert (paid.posted, paid.of, paid.InvoiceNo, paid.amount) == (True, ReceiptOf.INVOICE, invoice, Decimal(150))
    assert await ledger.receipts_on("W", date(2026, 11, 25)) == []
    (entered,) = await ledger.unposted_receipts("W")
    assert (entered.posted, entered.of, entered.CheckNo) == (False, ReceiptOf.PREPAYMENT, "wire000831")
    order = await ledger.deposited_order(number, [])
    assert order is not None
    assert [bill.Balance for bill in order.invoices] == [0]


# ---- Clarity --------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("dialect", ["contract", "module_entity"])
async def test_payments_and_payouts_are_listed_by_both_releases(tmp_path: Any, dialect: str) -> None:
    file = DEMO if dialect == "contract" else pair_file(tmp_path / "pairs", PROFILE.read_text("utf-8"))
    pair: Pair = load_pair(file)
    with running_sandbox(tmp_path / "var", "--clarity-dialect", dialect) as sandbox:
        for number in range(3):
            order = {
                "id": f"7{number}", "number": f"W-7{number}", "status": "Pending", "currency": "USD",
                "createdDate": "2026-11-20T10:00:00Z", "customer": {"id": "c"}, "items": [], "shippingAddress": {},
                "purchaseOrderNumber": "PO-1", "totals": {"items": "1", "grand": "1"},
                "payments": [
                    {"gateway": "stripe", "transactionId": f"ch_{number}", "type": "capture", "amount": "100.00",
                     "currency": "USD", "date": f"2026-11-2{number}T10:00:00Z"},
                ],
            }  # fmt: skip
            sandbox.control("clarity", "orders?deliver=false", {"type": "order.created", "data": order})
        paid_out = sandbox.control("clarity", "payouts", {"gateway": "stripe", "date": "2026-11-24"})
        settings = ClaritySettings(
            url=sandbox.clarity_url, client_id="clarity-integration", client_secret=SecretStr("clarity-sandbox-secret")
        )
        name = {"contract": "clarity", "module_entity": "clarity-module-entity"}[dialect]
        profile = pair.clarity.model_copy(update={"paging": pair.clarity.paging.model_copy(update={"page_size": 2})})
        client = ClarityClient(profile, settings, transport=ReleaseTransport(name))
        try:
            since = datetime(2026, 11, 1, tzinfo=UTC)
            pages = [await client.list_payments(since, page) for page in range(2)]
            assert [len(page.items) for page in pages] == [2, 1]
            assert {page.totalCount for page in pages} == {3}
            payments = [listed_payment(one) for page in pages for one in page.items]
            assert [(one.order_id, one.payment.type, one.payment.fee) for one in payments if one] == [
                (f"7{number}", PaymentType.CAPTURE, Decimal("3.20")) for number in range(3)
            ]
            assert {one.payment.payout_id for one in payments if one} == {paid_out["id"]}
            listed = await client.list_payouts(since)
            assert listed is not None
            (transfer,) = (payout(one) for one in listed.items)
            assert transfer is not None
            assert (transfer.gross, transfer.fee, transfer.net) == (Decimal(300), Decimal("9.60"), Decimal("290.40"))
            seen = web_order(await client.get_order("70"), profile.statuses)
            assert seen is not None
            assert (seen.order.order_id, seen.purchase_orders) == ("70", ["PO-1", "W-70"])
            assert seen.order.payments[0].amount == 100
            routes = profile.routes.model_copy(update={"payouts": None})
            without = ClarityClient(profile.model_copy(update={"routes": routes}), settings)
            assert await without.list_payouts(since) is None
            await without.close()
        finally:
            await client.close()
