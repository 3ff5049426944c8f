"""The warehouse and the office during a run: ship every open order by its plan, post every shipped invoice.

In: the generated orders (parts, packages, tracking) and Sage's file. Out: calls of the sandbox's controls. Keeps
nothing in memory that matters: what to do next is read from Sage each time, as its process may be killed at any moment.
"""

import sqlite3
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import httpx

from tests.chaos.orders import Sent
from tests.e2e.conftest import House
from tests.support.http import HTTP

HANDS = 4
POST_AFTER = 1.0
"""Seconds that the office sees an invoice before it posts it."""
HALF_WAY_EVERY = 5
"""Of so many invoices one is for a while in neither place, as during a real Sales Journal update."""


class Warehouse(threading.Thread):
    """People who ship and post until they are told to stop."""

    def __init__(self, house: House, sent: Sequence[Sent]) -> None:
        super().__init__(daemon=True, name="warehouse")
        self.house = house
        self.plans: Mapping[str, Sent] = {order.order_id: order for order in sent}
        self.ended = threading.Event()
        self.at_work: dict[str, Future[None]] = {}
        self.seen: dict[str, float] = {}

    def run(self) -> None:
        """Look at Sage's open orders, again and again."""
        with ThreadPoolExecutor(HANDS) as hands:
            while not self.ended.wait(0.3):
                for header in self._rows("SELECT * FROM SO_SalesOrderHeader WHERE UDF_WEB_ORDER_ID <> ''"):
                    number, plan = header["SalesOrderNo"], self.plans.get(header["UDF_WEB_ORDER_ID"])
                    busy = self.at_work.get(number)
                    if plan is not None and (busy is None or busy.done()):
                        self.at_work[number] = hands.submit(self._work, dict(header), plan)

    def _rows(self, sql: str, *parameters: object) -> list[dict[str, Any]]:
        """Rows of Sage's file; none while it is locked or away."""
        try:
            connection = sqlite3.connect(f"file:{self.house.sandbox.database}?mode=ro", uri=True, timeout=2)
        except sqlite3.Error:
            return []
        try:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(sql, parameters)]
        except sqlite3.Error:
            return []
        finally:
            connection.close()

    def _control(self, name: str, body: object) -> None:
        """One of the sandbox's controls; a lost call is seen in Sage at the next look."""
        try:
            answer = HTTP.post(f"{self.house.sandbox.sage_url}/_control/{name}", json=body, timeout=30)
        except httpx.HTTPError:
            return
        if answer.status_code == 422:
            print(f"warehouse: {name} {body} was refused: {answer.text[:200]}", file=sys.stderr, flush=True)

    def _work(self, header: dict[str, Any], plan: Sent) -> None:
        invoice_no = header["CurrentInvoiceNo"]
        if not invoice_no:
            self._ship(header, plan)
            return
        invoices = self._rows("SELECT * FROM SO_InvoiceHeader WHERE InvoiceNo = ?", invoice_no)
        if not invoices:
            # Half-way through its posting; or posted since the order was read.
            self._control("post", {"InvoiceNo": invoice_no})
        elif invoices[0]["ShipStatus"] != "S":
            self._take_up(invoice_no, plan)
        elif time.monotonic() - self.seen.setdefault(invoice_no, time.monotonic()) >= POST_AFTER:
            half_way = int(invoice_no) % HALF_WAY_EVERY == 0
            self._control("post", {"InvoiceNo": invoice_no, "HalfWay": half_way})

    def _ship(self, header: dict[str, Any], plan: Sent) -> None:
        number = header["SalesOrderNo"]
        body: dict[str, Any] = {"SalesOrderNo": number}
        lines = self._rows(
            "SELECT LineKey, QuantityOrdered FROM SO_SalesOrderDetail WHERE SalesOrderNo = ? AND ItemType = '1'", number
        )
        if not lines:
            return
        first = not header["LastInvoiceOrderNo"]
        if first and plan.parts > 1:
            half = {line["LineKey"]: Decimal(str(line["QuantityOrdered"])) // 2 for line in lines}
            if any(half.values()):
                body["Quantities"] = {key: str(quantity) for key, quantity in half.items()}
        if not plan.tracking:
            body["Packages"] = []
        elif plan.packages > 1 and len(lines) > 1 and "Quantities" not in body:
            body |= {"Packages": [{} for _ in range(plan.packages)], "ByItem": True}
        self._control("ship", body)

    def _take_up(self, invoice_no: str, plan: Sent) -> None:
        """Half keyed when the process was killed: nobody knows what was meant, so it starts again or is finished."""
        if self._rows("SELECT 1 FROM SO_InvoiceDetail WHERE InvoiceNo = ?", invoice_no):
            packages: list[dict[str, Any]] = [{}] if plan.tracking else []
            self._control("track", {"InvoiceNo": invoice_no, "ShipStatus": "S", "Packages": packages})
        else:
            self._control("void", {"InvoiceNo": invoice_no})

    def stop(self) -> None:
        """Go home."""
        self.ended.set()
        self.join(60)
