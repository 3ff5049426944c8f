"""The auditor: what was sent against what became of it, as Sage's tables, Clarity's side and Temporal show it.

In: the generator's own record of the orders, Sage's SQLite file, Clarity's orders and shipments over its HTTP, and how
Temporal shows every order. Out: findings, each of one of four kinds. Shares no code with the application: it reads
with sqlite3, httpx and Temporal's client.
"""

import asyncio
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from tests.chaos.orders import Sent
from tests.support.http import HTTP

CLARITY_KEY = {"X-API-Key": "clarity-sandbox-key"}
STANDINGS_AT_ONCE = 16
TOTALS = ("TaxableAmt", "NonTaxableAmt", "FreightAmt", "SalesTaxAmt")


class Harm(StrEnum):
    """What can have gone wrong."""

    LOST = "lost"
    """Ordered, shipped or bought, and not there."""
    DOUBLED = "doubled"
    WRONG = "wrong"
    """There, but not as it was ordered; or where it must not be."""
    SILENT = "silent"
    """Not finished, and no person was told: no hold, no reason, or no alert."""


@dataclass(frozen=True)
class Finding:
    """One harm, to one order or customer."""

    harm: Harm
    subject: str
    what: str

    def __str__(self) -> str:
        return f"{self.harm.value:8} {self.subject}: {self.what}"


@dataclass(frozen=True)
class Standing:
    """How Temporal shows an order."""

    status: str = "none"
    """none, running, completed, or another word of Temporal's."""
    state: str = ""
    hold: str = ""
    alerts: frozenset[str] = frozenset()
    """The texts of alerts that were delivered."""


@dataclass(frozen=True)
class ClaritySide:
    """Orders by id, and all shipments."""

    orders: Mapping[str, Mapping[str, Any]]
    shipments: Sequence[Mapping[str, Any]]

    @cached_property
    def by_order(self) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """Shipments by the order's id."""
        found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for shipment in self.shipments:
            found[str(shipment["orderId"])].append(shipment)
        return found


@dataclass
class Report:
    """All findings, and the line that sums them up."""

    findings: list[Finding] = field(default_factory=list)
    orders: int = 0

    def add(self, harm: Harm, subject: str, what: str) -> None:
        """One more."""
        self.findings.append(Finding(harm, subject, what))

    @property
    def clean(self) -> bool:
        """Whether there is nothing to complain about."""
        return not self.findings

    def count(self, harm: Harm) -> int:
        """How many orders and customers suffered it."""
        return len({finding.subject for finding in self.findings if finding.harm is harm})

    def line(self, seed: int) -> str:
        """`AUDIT lost=0 doubled=0 wrong=0 silent=0 orders=500 seed=…`."""
        counts = " ".join(f"{harm.value}={self.count(harm)}" for harm in Harm)
        return f"AUDIT {counts} orders={self.orders} seed={seed}"


def number(value: object) -> Decimal:
    """An amount or a quantity, exactly."""
    return Decimal(str(value if value not in (None, "") else 0)).normalize()


# ---- reading --------------------------------------------------------------------------------------------------------


def open_sage(database: Path) -> sqlite3.Connection:
    """Sage's file, read-only."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)
    connection.row_factory = sqlite3.Row
    return connection


def read_clarity(url: str) -> ClaritySide:
    """Every order and shipment that the store has."""
    orders = {str(order["id"]): order for order in _pages(f"{url}/api/v1/orders")}
    return ClaritySide(orders, list(_pages(f"{url}/api/v1/shipments")))


def _pages(url: str) -> Iterable[dict[str, Any]]:
    index, total = 0, 1
    while index * 200 < total:
        answer = HTTP.get(f"{url}?pageIndex={index}&pageSize=200", headers=CLARITY_KEY, timeout=60)
        answer.raise_for_status()
        page = answer.json()
        yield from page["items"]
        index, total = index + 1, page["totalCount"]


async def read_standings(address: str, order_ids: Iterable[str], pair: str = "demo") -> dict[str, Standing]:
    """How Temporal shows each order: by its id, never from a listing."""
    client = await Client.connect(address)
    slots = asyncio.Semaphore(STANDINGS_AT_ONCE)

    async def of(id_: str) -> tuple[str, Standing]:
        async with slots:
            return id_, await _standing(client.get_workflow_handle(f"order-{pair}-{id_}"))

    return dict(await asyncio.gather(*map(of, order_ids)))


async def _standing(handle: WorkflowHandle[Any, Any]) -> Standing:
    try:
        description = await handle.describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return Standing()
        raise
    words = {
        pair.key.name: str(pair.value)
        for pair in description.typed_search_attributes.search_attributes
        if pair.key.name in ("OrderState", "HoldReason")
    }
    status = (description.status or WorkflowExecutionStatus.RUNNING).name.lower()
    alerts = frozenset[str]() if status == "completed" else frozenset(await _alerts(handle))
    return Standing(status, words.get("OrderState", ""), words.get("HoldReason", ""), alerts)


async def _alerts(handle: WorkflowHandle[Any, Any]) -> list[str]:
    """The arguments of every alert activity that was completed."""
    asked: dict[int, str] = {}
    delivered: list[str] = []
    async for event in handle.fetch_history_events():
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            scheduled = event.activity_task_scheduled_event_attributes
            if "alert" in scheduled.activity_type.name:
                asked[event.event_id] = " ".join(
                    payload.data.decode("utf-8", "replace") for payload in scheduled.input.payloads
                )
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
            done = event.activity_task_completed_event_attributes.scheduled_event_id
            if done in asked:
                delivered.append(asked[done])
    return delivered


# ---- judging --------------------------------------------------------------------------------------------------------


def audit(
    sent: Sequence[Sent], sage: sqlite3.Connection, clarity: ClaritySide, standings: Mapping[str, Standing]
) -> Report:
    """Every order exactly one sales order, every package exactly one shipment, every customer once, nothing silent."""
    report = Report(orders=len(sent))
    books = Books(sage)
    for order in sent:
        standing = standings.get(order.order_id, Standing())
        numbers = books.sales_orders(order.order_id)
        if len(numbers) > 1:
            report.add(Harm.DOUBLED, order.order_id, f"sales orders {', '.join(sorted(numbers))}")
        if order.hold:
            _judge_held(report, order, numbers, standing)
        elif not numbers:
            _judge_missing(report, order, standing)
        else:
            for sales_order_no in sorted(numbers):
                _judge_content(report, order, books, sales_order_no)
            _judge_shipments(report, order, books, sorted(numbers), clarity)
            _judge_end(report, order, standing)
    _judge_customers(report, sent, books)
    known = {order.order_id for order in sent}
    for order_id, numbers in books.by_web_order.items():
        if order_id not in known:
            report.add(Harm.WRONG, order_id or "?", f"sales orders {sorted(numbers)} that nobody sent")
    for shipment in clarity.shipments:
        if str(shipment["orderId"]) not in known:
            report.add(Harm.WRONG, str(shipment["orderId"]), "a shipment of an order that nobody sent")
    return report


class Books:
    """Sage's tables, read once: orders, lines, invoices, packages, customers."""

    def __init__(self, sage: sqlite3.Connection) -> None:
        self.sage = sage
        self.by_web_order: dict[str, set[str]] = defaultdict(set)
        for table in ("SO_SalesOrderHeader", "SO_SalesOrderHistoryHeader"):
            for row in self.rows(f"SELECT SalesOrderNo, UDF_WEB_ORDER_ID FROM {table}"):
                self.by_web_order[row["UDF_WEB_ORDER_ID"]].add(row["SalesOrderNo"])

    def rows(self, sql: str, *parameters: object) -> list[dict[str, Any]]:
        """Rows as dictionaries."""
        return [dict(row) for row in self.sage.execute(sql, parameters)]

    def sales_orders(self, order_id: str) -> set[str]:
        """SalesOrderNos of a web order, live and in history."""
        return self.by_web_order.get(order_id, set())

    def invoices(self, sales_order_no: str) -> list[dict[str, Any]]:
        """Invoices of an order, unposted and posted, with the quantities that each ships by ItemCode."""
        found = []
        for header, detail, tracking, contents in (
            ("SO_InvoiceHeader", "SO_InvoiceDetail", "SO_InvoiceTracking", "SO_PackageTrackingByItem"),
            (
                "AR_InvoiceHistoryHeader",
                "AR_InvoiceHistoryDetail",
                "AR_InvoiceHistoryTracking",
                "AR_TrackingByItemHistory",
            ),
        ):
            sql = f"SELECT InvoiceNo FROM {header} WHERE SalesOrderNo = ? AND InvoiceType = 'IN'"
            for row in self.rows(sql, sales_order_no):
                key = row["InvoiceNo"]
                shipped: dict[str, Decimal] = defaultdict(Decimal)
                lines = self.rows(
                    f"SELECT ItemCode, QuantityShipped FROM {detail} WHERE InvoiceNo = ? AND ItemType = '1'", key
                )
                for line in lines:
                    shipped[line["ItemCode"]] += number(line["QuantityShipped"])
                packages = self.rows(f"SELECT PackageNo, TrackingID FROM {tracking} WHERE InvoiceNo = ?", key)
                inside: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
                for item in self.rows(f"SELECT PackageNo, ItemCode, Quantity FROM {contents} WHERE InvoiceNo = ?", key):
                    inside[item["PackageNo"]][item["ItemCode"]] += number(item["Quantity"])
                found.append(
                    {
                        "InvoiceNo": key,
                        "posted": header.startswith("AR"),
                        "shipped": {code: quantity for code, quantity in shipped.items() if quantity},
                        "packages": {package["PackageNo"]: package["TrackingID"] for package in packages},
                        "contents": inside,
                    }
                )
        return found


def _judge_held(report: Report, order: Sent, numbers: set[str], standing: Standing) -> None:
    if numbers:
        report.add(Harm.WRONG, order.order_id, f"must be held ({order.hold}) but is {sorted(numbers)} in Sage")
    if standing.status == "none":
        report.add(Harm.LOST, order.order_id, "no workflow knows it")
    elif not _told(report, order, standing):
        return
    elif standing.hold != order.hold:
        report.add(Harm.WRONG, order.order_id, f"held as {standing.hold}, should be {order.hold}")


def _judge_missing(report: Report, order: Sent, standing: Standing) -> None:
    if standing.status in ("none", "completed"):
        report.add(Harm.LOST, order.order_id, f"no sales order in Sage; workflow: {standing.status}")
    elif _told(report, order, standing):
        report.add(Harm.WRONG, order.order_id, f"held as {standing.hold}, should be complete")


def _judge_end(report: Report, order: Sent, standing: Standing) -> None:
    if (standing.status, standing.state) == ("completed", "complete"):
        return
    if standing.status == "none":
        report.add(Harm.LOST, order.order_id, "in Sage, but no workflow knows it")
    elif _told(report, order, standing):
        report.add(Harm.WRONG, order.order_id, f"held as {standing.hold} after it was created")


def _told(report: Report, order: Sent, standing: Standing) -> bool:
    """Whether an unfinished order is held, with a reason, and somebody was told it."""
    if standing.status != "running" or standing.state != "held" or not standing.hold:
        report.add(
            Harm.SILENT,
            order.order_id,
            f"neither finished nor held: workflow {standing.status}, state {standing.state or '?'}, "
            f"reason {standing.hold or '?'}",
        )
        return False
    if not any(standing.hold in alert for alert in standing.alerts):
        report.add(Harm.SILENT, order.order_id, f"held as {standing.hold}, and no alert says so")
        return False
    return True


def _judge_content(report: Report, order: Sent, books: Books, sales_order_no: str) -> None:
    """The sales order as it was created, from history; the order must have left the live tables as completed."""
    wrong = [f"{sales_order_no}: {what}" for what in _differences(order, books, sales_order_no)]
    for what in wrong:
        report.add(Harm.WRONG, order.order_id, what)


def _differences(order: Sent, books: Books, sales_order_no: str) -> Iterable[str]:
    headers = books.rows("SELECT * FROM SO_SalesOrderHistoryHeader WHERE SalesOrderNo = ?", sales_order_no)
    if not headers:
        yield "not in history"
        return
    header = headers[0]
    account = f"{header['ARDivisionNo']}-{header['CustomerNo']}"
    if order.account and account != order.account:
        yield f"customer {account}, should be {order.account}"
    if order.buyer:
        ours = books.rows(
            "SELECT 1 FROM AR_Customer WHERE ARDivisionNo = ? AND CustomerNo = ? AND UDF_WEB_CUSTOMER_ID = ?",
            header["ARDivisionNo"],
            header["CustomerNo"],
            order.buyer,
        )
        if not ours:
            yield f"customer {account} is not the account of buyer {order.buyer}"
    for column, wanted in (
        ("CustomerPONo", order.customer_po_no),
        ("ShipVia", order.ship_via),
        ("TermsCode", order.terms),
        ("TaxSchedule", order.schedule),
        ("PaymentType", order.payment_type),
    ):
        if header[column] != wanted:
            yield f"{column} {header[column]!r}, should be {wanted!r}"
    total = sum((number(header[name]) for name in TOTALS), Decimal(0)) - number(header["DiscountAmt"])
    for name, found, due in (
        ("FreightAmt", number(header["FreightAmt"]), order.freight),
        ("SalesTaxAmt", number(header["SalesTaxAmt"]), order.tax),
        ("DepositAmt", number(header["DepositAmt"]), order.deposit),
        ("total", total, order.total),
    ):
        if found != due:
            yield f"{name} {found}, should be {due}"
    yield from _line_differences(order, books, sales_order_no)
    if header["OrderStatus"] != "C":
        yield f"OrderStatus {header['OrderStatus']}, should be C (completed)"


def _line_differences(order: Sent, books: Books, sales_order_no: str) -> Iterable[str]:
    lines = books.rows(
        "SELECT ItemCode, ItemType, QuantityOrderedOriginal AS quantity, OriginalUnitPrice AS price, "
        "UDF_WEB_LINE_ID AS item_id FROM SO_SalesOrderHistoryDetail WHERE SalesOrderNo = ? AND ItemType <> '4'",
        sales_order_no,
    )
    goods = Counter(
        (row["ItemCode"], row["item_id"], number(row["price"]), number(row["quantity"]))
        for row in lines
        if row["ItemType"] == "1"
    )
    wanted = Counter((line.item_code, line.item_id, number(line.price), number(line.quantity)) for line in order.lines)
    for line in goods - wanted:
        yield f"line {_words(line)} was not ordered so"
    for line in wanted - goods:
        yield f"line {_words(line)} is missing"
    charges: dict[str, Decimal] = defaultdict(Decimal)
    for row in lines:
        if row["ItemType"] != "1":
            charges[row["ItemCode"]] += number(row["quantity"]) * number(row["price"])
    if {code: amount for code, amount in charges.items() if amount} != order.charges:
        yield f"charges {_amounts(charges)}, should be {_amounts(order.charges)}"


def _words(line: tuple[str, str, Decimal, Decimal]) -> str:
    code, item_id, price, quantity = line
    return f"{quantity:f} × {code} at {price:f} ({item_id})"


def _amounts(amounts: Mapping[str, Decimal]) -> str:
    return ", ".join(f"{code} {amount:f}" for code, amount in sorted(amounts.items())) or "none"


def _judge_shipments(
    report: Report, order: Sent, books: Books, sales_order_nos: Sequence[str], clarity: ClaritySide
) -> None:
    """Every package one shipment with its quantities; all that was ordered shipped; Clarity knows number and status."""
    id_ = order.order_id
    item_ids = {line.item_code: line.item_id for line in order.lines}
    due: dict[str, dict[str, Decimal]] = {}
    invoices: list[str] = []
    shipped_in_sage: dict[str, Decimal] = defaultdict(Decimal)
    for sales_order_no in sales_order_nos:
        for invoice in books.invoices(sales_order_no):
            if not invoice["shipped"]:
                continue
            invoices.append(invoice["InvoiceNo"])
            for code, quantity in invoice["shipped"].items():
                shipped_in_sage[item_ids.get(code, code)] += quantity
            packages = sorted(invoice["packages"]) or ["0000"]
            for place, package in enumerate(packages):
                inside: dict[str, Decimal] = dict(invoice["contents"].get(package, {}))
                if not invoice["contents"] and place == 0:
                    inside = invoice["shipped"]
                if inside:
                    reference = f"{sales_order_no}-{invoice['InvoiceNo']}-{package}"
                    due[reference] = {item_ids.get(code, code): number(quantity) for code, quantity in inside.items()}
    ordered = {line.item_id: number(line.quantity) for line in order.lines}
    if {item: number(quantity) for item, quantity in shipped_in_sage.items()} != ordered:
        report.add(Harm.WRONG, id_, f"Sage shipped {_amounts(shipped_in_sage)} of {_amounts(ordered)}")
    live: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for shipment in clarity.by_order.get(id_, ()):
        if shipment["status"] != "Void":
            # What was voided and told again carries a suffix: it is the same package.
            live[str(shipment["externalReference"]).partition("-R")[0]].append(shipment)
    for reference, told in live.items():
        if len(told) > 1:
            report.add(Harm.DOUBLED, id_, f"package {reference} was told {len(told)} times")
        if reference not in due:
            report.add(Harm.DOUBLED, id_, f"a shipment {reference} of no package in Sage")
            continue
        quantities: dict[str, Decimal] = defaultdict(Decimal)
        for item in told[0]["items"]:
            quantities[str(item["orderItemId"])] += number(item["quantity"])
        if {item: number(quantity) for item, quantity in quantities.items()} != due[reference]:
            report.add(Harm.WRONG, id_, f"{reference} tells {_amounts(quantities)}, holds {_amounts(due[reference])}")
    for reference in due.keys() - live.keys():
        report.add(Harm.LOST, id_, f"package {reference} was never told")
    _judge_clarity_order(report, order, sales_order_nos, invoices, clarity)


def _judge_clarity_order(
    report: Report, order: Sent, sales_order_nos: Sequence[str], invoices: Sequence[str], clarity: ClaritySide
) -> None:
    id_, at_clarity = order.order_id, clarity.orders.get(order.order_id)
    if at_clarity is None:
        report.add(Harm.LOST, id_, "Clarity does not have it")
        return
    if at_clarity.get("status") != "Shipped":
        report.add(Harm.WRONG, id_, f"status {at_clarity.get('status')} at Clarity, should be Shipped")
    if at_clarity.get("externalReference") not in sales_order_nos:
        report.add(Harm.WRONG, id_, f"Clarity was told sales order {at_clarity.get('externalReference')}")
    told = Counter(str(reference["invoiceNo"]) for reference in at_clarity.get("invoiceReferences") or [])
    if told != Counter(invoices):
        harm = Harm.DOUBLED if any(count > 1 for count in told.values()) else Harm.LOST
        report.add(harm, id_, f"Clarity was told invoices {sorted(told.elements())}, Sage has {sorted(invoices)}")


def _judge_customers(report: Report, sent: Sequence[Sent], books: Books) -> None:
    """Every new buyer with an order in Sage is one account, with the buyer's own name and e-mail."""
    buyers: dict[str, list[Sent]] = defaultdict(list)
    for order in sent:
        if order.buyer:
            buyers[order.buyer].append(order)
    for buyer, orders in buyers.items():
        name, email = orders[0].buyer_name, orders[0].email
        accounts = books.rows(
            "SELECT * FROM AR_Customer WHERE UDF_WEB_CUSTOMER_ID = ? OR EmailAddress = ?", buyer, email
        )
        subject = f"buyer {buyer}"
        if len(accounts) > 1:
            numbers = ", ".join(f"{row['ARDivisionNo']}-{row['CustomerNo']}" for row in accounts)
            report.add(Harm.DOUBLED, subject, f"accounts {numbers}")
        if not accounts and any(books.sales_orders(order.order_id) for order in orders if not order.hold):
            report.add(Harm.LOST, subject, "no account")
        for row in accounts:
            if (row["CustomerName"], row["EmailAddress"]) != (name, email):
                report.add(Harm.WRONG, subject, "the account has another name or e-mail")
