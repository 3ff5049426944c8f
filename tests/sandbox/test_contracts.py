"""The sandbox keeps the two contracts, and enforces what Sage enforces."""

import threading
import time
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.support.contracts import check
from tests.support.http import HTTP
from tests.support.processes import wait_until
from tests.support.sandbox import Sandbox, running_sandbox


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path_factory.mktemp("sandbox"), "--step-pause", "0.3", "--write-duration", "0.15") as one:
        yield one


def an_order(**changes: object) -> dict[str, Any]:
    return {
        "ARDivisionNo": "02",
        "CustomerNo": "W000001",
        "CustomerPONo": "W-1",
        "TaxSchedule": "TX",
        "FreightAmt": "10.00",
        "UDF_WEB_ORDER_ID": "web-1",
        "Lines": [
            {"ItemCode": "PEN-GEL-BLU", "QuantityOrdered": "10", "UnitPrice": "1.255", "UDF_WEB_LINE_ID": "a"},
            {"ItemCode": "/WEBDISC", "UnitPrice": "-1.00"},
            {"ItemCode": "/C", "CommentText": "Ring twice"},
        ],
        **changes,
    }


def post_order(sandbox: Sandbox, body: dict[str, Any]) -> httpx.Response:
    answer = sandbox.sage("POST", "/SO/SalesOrder", body)
    while answer.status_code == 503:
        time.sleep(0.05)
        answer = sandbox.sage("POST", "/SO/SalesOrder", body)
    return answer


def create(sandbox: Sandbox, **changes: object) -> dict[str, Any]:
    number = sandbox.sage("POST", "/SO/SalesOrder/NextNumber").json()["SalesOrderNo"]
    answer = post_order(sandbox, {"SalesOrderNo": number, **an_order(**changes)})
    assert answer.status_code == 201, answer.text
    check("sage-gateway", answer)
    stored: dict[str, Any] = answer.json()
    return stored


def refusal(answer: httpx.Response, status: int, column: str = "") -> str:
    check("sage-gateway", answer, request_too=False)
    assert answer.status_code == status, answer.text
    assert answer.json().get("Column", "") == column
    return str(answer.json()["ErrorMessage"])


def test_numbers_are_never_handed_out_twice(sandbox: Sandbox) -> None:
    numbers = [sandbox.sage("POST", "/SO/SalesOrder/NextNumber").json()["SalesOrderNo"] for _ in range(20)]
    assert len(set(numbers)) == 20
    assert all(len(number) == 7 and number.isdigit() for number in numbers)


def test_preview_writes_nothing_and_tells_what_the_order_will_be(sandbox: Sandbox) -> None:
    before = sandbox.rows("SELECT COUNT(*) AS n FROM SO_SalesOrderHeader")
    answer = sandbox.sage("POST", "/SO/SalesOrder/Preview", an_order())
    check("sage-gateway", answer)
    preview = answer.json()
    assert (preview["SalesOrderNo"], preview["TaxableAmt"], preview["SalesTaxAmt"]) == ("", "11.55", "1.78")
    assert preview["Total"] == "23.33"
    assert sandbox.rows("SELECT COUNT(*) AS n FROM SO_SalesOrderHeader") == before
    assert create(sandbox)["Total"] == "23.33"


def test_two_tax_codes_are_rounded_each_on_its_own_and_freight_is_taxed_by_one(sandbox: Sandbox) -> None:
    lines = [{"ItemCode": "SHELF-WALL-80", "QuantityOrdered": "3"}, {"ItemCode": "BOOK-ERGO", "QuantityOrdered": "1"}]
    preview = sandbox.sage(
        "POST", "/SO/SalesOrder/Preview", an_order(TaxSchedule="BC", FreightAmt="28.00", Lines=lines)
    ).json()
    gst = (Decimal("117.00") + 28) * Decimal("0.05")
    pst = Decimal("117.00") * Decimal("0.07")
    assert Decimal(preview["SalesTaxAmt"]) == gst + pst == Decimal("15.44")
    assert (preview["TaxableAmt"], preview["NonTaxableAmt"]) == ("117.00", "29.00")


def test_an_existing_number_is_refused_and_nothing_changes_live_and_in_history(sandbox: Sandbox) -> None:
    stored = create(sandbox, UDF_WEB_ORDER_ID="web-first")
    number = stored["SalesOrderNo"]
    other = {"SalesOrderNo": number, **an_order(UDF_WEB_ORDER_ID="web-second", FreightAmt="99.00")}
    refusal(post_order(sandbox, other), 409)
    assert sandbox.sage("GET", f"/SO/SalesOrder/{number}").json() == stored
    HTTP.post(f"{sandbox.sage_url}/_control/ship", json={"SalesOrderNo": number}, timeout=20).raise_for_status()
    HTTP.post(f"{sandbox.sage_url}/_control/post", json={}, timeout=20).raise_for_status()
    refusal(post_order(sandbox, other), 409)
    history = sandbox.sage("GET", f"/SO/SalesOrder/{number}")
    check("sage-gateway", history)
    assert (history.json()["live"], history.json()["OrderStatus"]) == (False, "C")
    assert history.json()["UDF_WEB_ORDER_ID"] == "web-first"


@pytest.mark.parametrize(
    ("changes", "column", "words"),
    [
        ({"CustomerNo": "NOBODY"}, "CustomerNo", "not on file"),
        ({"CustomerNo": "W000008"}, "CustomerNo", "inactive"),
        ({"CustomerPONo": "x" * 31}, "CustomerPONo", "maximum is 30"),
        ({"ShipVia": "PIGEON"}, "ShipVia", "not on file"),
        ({"TaxSchedule": "MARS"}, "TaxSchedule", "not on file"),
        ({"DepositAmt": "5"}, "DepositAmt", "payment type"),
        ({"SalesTaxAmt": "1"}, "SalesTaxAmt", "calculated"),
        ({"NoSuchColumn": "1"}, "NoSuchColumn", "does not exist"),
        ({"OrderDate": "2026-02-30"}, "OrderDate", "not valid"),
        ({"FreightAmt": "1.234"}, "FreightAmt", "2 decimals"),
        ({"FreightAmt": "abc"}, "FreightAmt", "not a number"),
        ({"Lines": []}, "Lines", "at least one"),
        ({"Lines": [{"ItemCode": "GHOST"}]}, "ItemCode", "not on file"),
        ({"Lines": [{"ItemCode": "LAMP-OLD"}]}, "ItemCode", "inactive"),
        ({"Lines": [{"ItemCode": "STAPLER", "UnitPrice": "1.2345"}]}, "UnitPrice", "3 decimals"),
        ({"Lines": [{"ItemCode": "STAPLER", "QuantityOrdered": "1.125"}]}, "QuantityOrdered", "2 decimals"),
        ({"Lines": [{"ItemCode": "STAPLER", "QuantityOrdered": "0"}]}, "QuantityOrdered", "greater than zero"),
        ({"Lines": [{"ItemCode": "STAPLER", "WarehouseCode": "999"}]}, "WarehouseCode", "not on file"),
        ({"Lines": [{"ItemCode": "STAPLER", "UnitOfMeasure": "TON"}]}, "UnitOfMeasure", "not valid"),
        ({"Lines": [7]}, "ItemCode", "not an object"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_sage_refuses_and_names_the_column(sandbox: Sandbox, changes: dict[str, Any], column: str, words: str) -> None:
    message = refusal(sandbox.sage("POST", "/SO/SalesOrder/Preview", an_order(**changes)), 422, column)
    assert words in message
    assert message.startswith("Could not set SO_SalesOrder")
    body = {"SalesOrderNo": sandbox.sage("POST", "/SO/SalesOrder/NextNumber").json()["SalesOrderNo"]}
    refusal(post_order(sandbox, {**body, **an_order(**changes)}), 422, column)
    refusal(sandbox.sage("GET", f"/SO/SalesOrder/{body['SalesOrderNo']}"), 404)


def test_a_second_writer_is_told_to_come_back(sandbox: Sandbox) -> None:
    numbers = [sandbox.sage("POST", "/SO/SalesOrder/NextNumber").json()["SalesOrderNo"] for _ in range(4)]
    answers: list[httpx.Response] = []
    writers = [
        threading.Thread(
            target=lambda number=number: answers.append(
                sandbox.sage("POST", "/SO/SalesOrder", {"SalesOrderNo": number, **an_order()})
            )
        )
        for number in numbers
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert 201 in {answer.status_code for answer in answers}
    busy = [answer for answer in answers if answer.status_code == 503]
    assert busy
    assert busy[0].headers["Retry-After"] == "1"
    refusal(busy[0], 503)


def test_nobody_gets_in_without_credentials_and_tokens_work(sandbox: Sandbox) -> None:
    refusal(sandbox.sage("GET", "/SO/SalesOrder/0000001", **{"X-API-Key": "wrong"}), 401)
    refusal(HTTP.post(f"{sandbox.sage_url}/session", json={"UserLogon": "integration", "Password": "no"}), 401)
    answer = HTTP.post(f"{sandbox.sage_url}/session", json={"UserLogon": "integration", "Password": "sandbox-only"})
    check("sage-gateway", answer)
    headers = {"X-API-Key": "", "Authorization": f"Bearer {answer.json()['Token']}"}
    refusal(sandbox.sage("GET", "/SO/SalesOrder/0000001", **headers), 404)


def test_an_order_reserves_stock_and_open_amount_in_standard_units(sandbox: Sandbox) -> None:
    def reserved() -> Decimal:
        rows = sandbox.rows(
            "SELECT QuantityOnSalesOrder AS n FROM IM_ItemWarehouse "
            "WHERE ItemCode = 'PAPER-A4-CS' AND WarehouseCode = '000'"
        )
        return Decimal(str(rows[0]["n"]))

    before = reserved()
    create(sandbox, Lines=[{"ItemCode": "PAPER-A4-CS", "QuantityOrdered": "3"}])
    assert reserved() - before == 30


def test_shipping_is_keyed_in_stages_and_posting_moves_the_rows(sandbox: Sandbox) -> None:
    stored = create(sandbox, UDF_WEB_ORDER_ID="web-stages")
    number = stored["SalesOrderNo"]
    stages: list[tuple[int, int, int]] = []
    ship = threading.Thread(
        target=lambda: HTTP.post(
            f"{sandbox.sage_url}/_control/ship",
            json={"SalesOrderNo": number, "Packages": [{"TrackingID": "T1"}, {"TrackingID": "T2"}], "ByItem": True},
            timeout=20,
        )
    )
    ship.start()

    def stage() -> tuple[int, int, int]:
        counts = tuple(
            sandbox.rows(
                f"SELECT COUNT(*) AS n FROM {table} WHERE InvoiceNo IN "
                "(SELECT InvoiceNo FROM SO_InvoiceHeader WHERE SalesOrderNo = ?)",
                number,
            )[0]["n"]
            for table in ("SO_InvoiceHeader", "SO_InvoiceDetail", "SO_InvoiceTracking")
        )
        return (counts[0], counts[1], counts[2])

    def all_seen() -> bool:
        now = stage()
        if now[0] and (not stages or stages[-1] != now):
            stages.append(now)
        return now == (1, 3, 2)

    wait_until("tracking is keyed", all_seen, 20)
    ship.join()
    assert stages == [(1, 0, 0), (1, 3, 0), (1, 3, 2)]
    header = sandbox.rows("SELECT * FROM SO_InvoiceHeader WHERE SalesOrderNo = ?", number)[0]
    assert (header["ShipStatus"], header["InvoiceType"], header["OrderType"]) == ("S", "IN", "S")
    HTTP.post(
        f"{sandbox.sage_url}/_control/post", json={"InvoiceNo": header["InvoiceNo"]}, timeout=20
    ).raise_for_status()
    assert stage() == (0, 0, 0)
    posted = sandbox.rows("SELECT * FROM AR_InvoiceHistoryHeader WHERE InvoiceNo = ?", header["InvoiceNo"])[0]
    assert (posted["SalesOrderNo"], posted["HeaderSeqNo"], posted["ModuleCode"]) == (number, "000001", "S/O")
    links = sandbox.rows("SELECT * FROM SO_ARInvoiceHistoryLink WHERE SalesOrderNo = ?", number)
    assert [Decimal(str(link["QuantityShipped"])) for link in links] == [10, 1]
    assert not sandbox.rows("SELECT 1 FROM SO_SalesOrderHeader WHERE SalesOrderNo = ?", number)
    history = sandbox.rows("SELECT * FROM SO_SalesOrderHistoryHeader WHERE SalesOrderNo = ?", number)[0]
    assert (history["OrderStatus"], history["LastInvoiceNo"]) == ("C", header["InvoiceNo"])


def test_stamps_are_decimal_hours_of_the_companys_clock_which_can_be_set(sandbox: Sandbox) -> None:
    set_to = HTTP.post(f"{sandbox.sage_url}/_control/clock", json={"now": "2026-07-04T08:29:32"}).json()["now"]
    assert datetime.fromisoformat(set_to).utcoffset() is not None
    try:
        number = create(sandbox)["SalesOrderNo"]
        row = sandbox.rows("SELECT * FROM SO_SalesOrderHeader WHERE SalesOrderNo = ?", number)[0]
    finally:
        HTTP.post(f"{sandbox.sage_url}/_control/clock", json={"shift_seconds": 0})
    assert (row["DateUpdated"], row["OrderDate"]) == ("2026-07-04", "2026-07-04")
    assert Decimal("8.49") < Decimal(row["TimeUpdated"]) < Decimal("8.52")
    assert isinstance(row["TimeUpdated"], str)


def test_indexes_stand_where_sage_has_keys_and_nowhere_else(sandbox: Sandbox) -> None:
    rows = sandbox.rows("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
    assert len(rows) > 20
    for row in rows:
        for never in ("DateUpdated", "TimeUpdated", "EmailAddress", "UDF_"):
            assert never not in row["sql"], row["name"]


def test_clarity_keeps_its_contract(sandbox: Sandbox) -> None:
    order = {
        "id": 501,
        "number": "W-501",
        "status": "Pending",
        "createdDate": "2026-11-20T10:00:00-06:00",
        "currency": "USD",
        "customer": {"id": "c1", "email": "a@example.com"},
        "shippingAddress": {"line1": "1 Road"},
        "items": [{"id": 1, "sku": "A", "quantity": "2.5", "unitPrice": 3}],
        "totals": {"items": 7.5, "grand": 7.5},
    }
    event = {"type": "order.created", "data": order}
    url = f"{sandbox.clarity_url}/_control/orders"
    assert [HTTP.post(url, json=event).status_code for _ in range(2)] == [201, 200]

    def call(method: str, path: str, body: object = None, status: int = 200, **headers: str) -> dict[str, Any]:
        answer = sandbox.clarity(method, path, body, **headers)
        check("clarity", answer, request_too=status < 400)
        assert answer.status_code == status, answer.text
        result: dict[str, Any] = answer.json()
        return result

    call("GET", "/api/v1/orders/501", status=401, **{"X-API-Key": "wrong"})
    call("GET", "/api/v1/orders/999", status=404)
    call("PATCH", "/api/v1/orders/501", {"status": "Nonsense"}, status=422)
    call("PATCH", "/api/v1/orders/501", {"status": "Processing", "externalReference": "0001042"})
    shipment = {
        "orderId": "501",
        "externalReference": "0001042-0100001-0001",
        "carrier": "UPS",
        "trackingNumber": "1Z",
        "shippedDate": "2026-11-23",
        "items": [{"orderItemId": "1", "quantity": "2.5"}],
    }
    first = call("POST", "/api/v1/shipments", shipment, status=201)
    assert call("POST", "/api/v1/shipments", shipment) == first
    call("POST", "/api/v1/shipments", {**shipment, "trackingNumber": "other"}, status=409)
    more = {**shipment, "externalReference": "0001042-0100002-0001"}
    second = call("POST", "/api/v1/shipments", more, status=201)
    strange = {**more, "externalReference": "0001042-0100003-0001", "items": [{"orderItemId": "9", "quantity": "1"}]}
    call("POST", "/api/v1/shipments", strange, status=422)
    call("PATCH", f"/api/v1/shipments/{first['id']}", {"trackingNumber": "1Z-NEW"})
    found = call("GET", "/api/v1/shipments?orderId=501&externalReference=0001042-0100001-0001")
    assert [entry["trackingNumber"] for entry in found["items"]] == ["1Z-NEW"]
    call("PATCH", "/api/v1/orders/501", {"status": "Shipped"})
    call("PATCH", "/api/v1/orders/501", {"status": "Processing"}, status=409)
    assert call("PATCH", f"/api/v1/shipments/{second['id']}", {"status": "Void"})["status"] == "Void"
    call("PATCH", f"/api/v1/shipments/{second['id']}", {"status": "Shipped"}, status=409)
    call("POST", "/api/v1/shipments", {**more, "trackingNumber": "again"}, status=409)
    call("PATCH", "/api/v1/orders/501", {"status": "Processing"})
    cancelled = {"orderItemId": "1", "quantity": "1", "reason": "closed short", "refundRequested": True}
    assert call("PATCH", "/api/v1/orders/501", {"cancelledItems": [cancelled]})["cancelledItems"] == [cancelled]
    call("PATCH", "/api/v1/orders/501", {"cancelledItems": [{"orderItemId": "9", "quantity": "1"}]}, status=422)
    call("PATCH", "/api/v1/customers/c1", {"externalReference": "02-W000001"})
    assert call("GET", "/api/v1/customers/c1")["externalReference"] == "02-W000001"
    page = call("GET", "/api/v1/orders?updatedDateMin=2026-01-01T00:00:00Z&pageIndex=0&pageSize=1")
    assert (page["pageIndex"], page["totalCount"], len(page["items"])) == (0, 1, 1)
    assert call("GET", "/api/v1/orders?updatedDateMin=2126-01-01T00:00:00Z")["items"] == []


def test_a_careless_gateway_opens_what_is_there_and_writes_over_it(sandbox: Sandbox) -> None:
    """What the contract forbids, and some gateways do: SetKey opens a record that exists."""
    number = create(sandbox)["SalesOrderNo"]
    other = {"SalesOrderNo": number, **an_order(UDF_WEB_ORDER_ID="web-2")}
    assert post_order(sandbox, other).status_code == 409
    sandbox.control("sage", "company", {"careless_gateway": "Y"})
    try:
        answer = post_order(sandbox, other)
        assert answer.status_code == 200
        assert (answer.json()["UDF_WEB_ORDER_ID"], len(answer.json()["Lines"])) == ("web-2", 6)
        customer = {"ARDivisionNo": "02", "CustomerNo": "W000001", "CustomerName": "Somebody Else"}
        answer = sandbox.sage("POST", "/AR/Customer", customer)
        while answer.status_code == 503:
            answer = sandbox.sage("POST", "/AR/Customer", customer)
        assert (answer.status_code, answer.json()["CustomerName"]) == (200, "Somebody Else")
    finally:
        sandbox.control("sage", "company", {"careless_gateway": "N"})


# ---- cash receipts --------------------------------------------------------------------------------------------------


def receipts(number: str, *lines: dict[str, Any], **changes: object) -> dict[str, Any]:
    return {"BankCode": "W", "DepositDate": "2026-11-20", "DepositNo": number, "Lines": list(lines), **changes}


def a_line(**changes: object) -> dict[str, Any]:
    return {
        "ARDivisionNo": "02", "CustomerNo": "W000001", "CheckNo": "ch_0000001", "PaymentType": "STRIP",
        "AccountKey": "000000215", "CashAmountApplied": "10.00", **changes,
    }  # fmt: skip


def post_receipts(sandbox: Sandbox, body: dict[str, Any]) -> httpx.Response:
    answer = sandbox.sage("POST", "/AR/CashReceipt", body)
    while answer.status_code == 503:
        time.sleep(0.05)
        answer = sandbox.sage("POST", "/AR/CashReceipt", body)
    return answer


def test_a_deposit_is_entered_once_and_another_content_is_refused(sandbox: Sandbox) -> None:
    body = receipts(
        "AAA01", a_line(), a_line(CheckNo="ch_0000002", InvoiceNo="0001042", InvoiceType="PP", AccountKey="")
    )
    first = post_receipts(sandbox, body)
    check("sage-gateway", first)
    assert (first.status_code, first.json()["DepositAmt"]) == (201, "20.00")
    again = post_receipts(sandbox, body)
    check("sage-gateway", again)
    assert (again.status_code, again.json()) == (200, first.json())
    refusal(post_receipts(sandbox, receipts("AAA01", a_line(CashAmountApplied="11.00"))), 409)
    sandbox.control("sage", "post_receipts", {"DepositNo": "AAA01"})
    assert post_receipts(sandbox, body).status_code == 200
    refusal(post_receipts(sandbox, receipts("AAA01", a_line())), 409)
    posted = sandbox.rows("SELECT * FROM AR_CashReceiptsHistory WHERE DepositNo = 'AAA01' ORDER BY SequenceNo")
    assert [(row["CheckNo"], row["InvoiceType"]) for row in posted] == [("ch_0000001", ""), ("ch_0000002", "PP")]
    assert sandbox.rows("SELECT * FROM AR_CashReceiptsDetail WHERE DepositNo = 'AAA01'") == []
    (prepaid,) = sandbox.rows("SELECT * FROM AR_OpenInvoice WHERE InvoiceNo = '0001042' AND InvoiceType = 'PP'")
    assert Decimal(str(prepaid["Balance"])) == -10


@pytest.mark.parametrize(
    ("header", "line", "column", "words"),
    [
        ({"BankCode": "Z"}, {}, "BankCode", "not on file"),
        ({"DepositNo": "TOO-LONG"}, {}, "DepositNo", "1 to 5"),
        ({"DepositDate": "2025-12-31"}, {}, "DepositDate", "closed"),
        ({"DepositDate": "2199-01-01"}, {}, "DepositDate", "future"),
        ({"Lines": []}, {}, "Lines", "at least one"),
        ({}, {"CustomerNo": "NOBODY"}, "CustomerNo", "not on file"),
        ({}, {"CheckNo": "x" * 11}, "CheckNo", "maximum is 10"),
        ({}, {"CheckNo": ""}, "CheckNo", "required"),
        ({}, {"PaymentType": "VISA"}, "PaymentType", "charge a card"),
        ({}, {"PaymentType": "NONE"}, "PaymentType", "not on file"),
        ({}, {"CashAmountApplied": "0"}, "CashAmountApplied", "zero"),
        ({}, {"CashAmountApplied": "1.001"}, "CashAmountApplied", "2 decimals"),
        ({}, {"AccountKey": "999"}, "AccountKey", "account on file"),
        ({}, {"InvoiceNo": "0100999", "InvoiceType": "IN"}, "InvoiceNo", "not open"),
        ({}, {"Bank": "1"}, "Bank", "does not exist"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_receipt_is_refused_with_its_column(
    sandbox: Sandbox, header: dict[str, Any], line: dict[str, Any], column: str, words: str
) -> None:
    before = sandbox.rows("SELECT COUNT(*) AS n FROM AR_CashReceiptsDetail")
    answer = post_receipts(sandbox, receipts("REF01", a_line(CheckNo="ch_good"), a_line(**line), **header))
    assert words in refusal(answer, 422, column)
    assert sandbox.rows("SELECT COUNT(*) AS n FROM AR_CashReceiptsDetail") == before


def test_no_invoice_is_paid_beyond_its_balance(sandbox: Sandbox) -> None:
    number = create(sandbox, UDF_WEB_ORDER_ID="web-paid")["SalesOrderNo"]
    invoice = sandbox.control("sage", "ship", {"SalesOrderNo": number})["InvoiceNo"]
    sandbox.control("sage", "post", {"InvoiceNo": invoice})
    pays = {"InvoiceNo": invoice, "InvoiceType": "IN", "AccountKey": ""}
    assert post_receipts(sandbox, receipts("INV01", a_line(**pays, CashAmountApplied="20.00"))).status_code == 201
    over = receipts("INV02", a_line(**pays, CheckNo="ch_other", CashAmountApplied="3.34"))
    assert "more than the balance 3.33" in refusal(post_receipts(sandbox, over), 422, "CashAmountApplied")
    rest = receipts("INV02", a_line(**pays, CheckNo="ch_other", CashAmountApplied="3.33"))
    assert post_receipts(sandbox, rest).status_code == 201
    sandbox.control("sage", "post_receipts", {})
    (row,) = sandbox.rows("SELECT Balance FROM AR_OpenInvoice WHERE InvoiceNo = ?", invoice)
    assert Decimal(str(row["Balance"])) == 0
