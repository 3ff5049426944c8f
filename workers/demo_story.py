"""What happens in the demo beside the sample orders: buyers change their minds, somebody counts stock in Sage, …

In: the addresses of the simulated systems. Out: chapters, each with what was done and what the other system says. Like
`workers.demo` it speaks HTTP with the sandbox, as buyers, warehouse and office would act.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx

Json = dict[str, Any]

ORDERS = Path("sandbox/orders")
TEMPLATE = (ORDERS / "02-known-web-customer.json").read_text(encoding="utf-8")
"""The sample order of a buyer whom Sage knows; the story's orders are like it, for other goods and without tax."""
DEALER = (ORDERS / "03-dealer-on-terms.json").read_text(encoding="utf-8")
LAMP, PRICE = "LAMP-LED-02", Decimal("119.50")
COUNTED, COUNT = "CHAIR-EXEC", 7
NAMED, NAME = "SHELF-WALL-80", "Wall shelf 80 cm, oak"
PAUSE = 0.3
PATIENCE = 60.0
"""Seconds that the other system has for each chapter."""


@dataclass
class Chapter:
    """One thing that happens."""

    title: str
    play: Callable[[], Awaitable[str]]
    """Does it, waits for the other side, and says what stands there."""
    result: str = ""
    done: bool = False


class Unfinished(Exception):
    """The other side did not say within its time what it should."""


class Story:
    """The chapters of one store and its company. Running again plays none twice: orders keep their ids."""

    def __init__(self, sage_url: str, sage_password: str, company: str, clarity_url: str, api_url: str) -> None:
        self._sage_url = sage_url
        self._sign_in = {"UserLogon": "integration", "Password": sage_password}
        self._company = company
        self._clarity_url = clarity_url
        self._api_url = api_url
        self._http = httpx.AsyncClient(timeout=10)
        self._token = ""
        self.chapters = [
            Chapter("Somebody counts stock in Sage", self._stock),
            Chapter("The store gives a product another name", self._product),
            Chapter("A buyer cancels an order that is held", self._cancelled_before),
            Chapter("A buyer cancels an order that Sage has", self._cancelled_after),
            Chapter("A buyer takes one lamp less, and gets money back", self._changed),
            Chapter("A store captures half of what was authorised", self._partly_captured),
        ]

    @property
    def is_done(self) -> bool:
        """Whether every chapter came out as it should."""
        return all(chapter.done for chapter in self.chapters)

    async def play(self) -> None:
        """All chapters at once; each says by itself what became of it."""

        async def one(chapter: Chapter) -> None:
            try:
                chapter.result = await chapter.play()
                chapter.done = True
            except (Unfinished, httpx.HTTPError, KeyError) as error:
                chapter.result = str(error) or type(error).__name__

        try:
            ids = ["20002", "20003", "20004"]
            await self._control(self._sage_url, "leave_alone", {"UDF_WEB_ORDER_IDs": ids})
            await asyncio.gather(*(one(chapter) for chapter in self.chapters))
        finally:
            await self._http.aclose()

    # ---- the chapters ---------------------------------------------------------------------------------------------

    async def _stock(self) -> str:
        await self._control(self._sage_url, "item", {"ItemCode": COUNTED, "OnHand": {"000": str(COUNT)}})

        async def shown() -> str:
            page = await self._get(f"{self._clarity_url}/api/v1/inventory?pageSize=1000", await self._store())
            there = {(row["sku"], row["warehouse"]): row["quantityAvailable"] for row in page["items"]}
            return f"{COUNTED}: the store shows {COUNT}" if there.get((COUNTED, "MAIN")) == COUNT else ""

        return await self._until(shown)

    async def _product(self) -> str:
        await self._control(self._clarity_url, "products/change", {"sku": NAMED, "change": {"name": NAME}})

        async def known() -> str:
            item = await self._from_sage(f"CI/Item/{NAMED}")
            return f"{NAMED}: Sage calls it {NAME}" if item.get("ItemCodeDesc") == NAME else ""

        return await self._until(known)

    async def _cancelled_before(self) -> str:
        await self._check_out("20001", sku="NO-SUCH-LAMP")
        await self._until(lambda: self._state("20001", "held", "cancelled"))
        await self._change("20001", {"status": "Cancelled"}, "order.cancelled")
        await self._until(lambda: self._state("20001", "cancelled"))
        return "W-20001 has ended; Sage never knew it"

    async def _cancelled_after(self) -> str:
        await self._check_out("20002", sku="PEN-GEL-BLU")
        await self._until(lambda: self._state("20002", "open", "cancelled"))
        number = await self._number("20002")
        await self._change("20002", {"status": "Cancelled"}, "order.cancelled")
        await self._until(lambda: self._state("20002", "cancelled"))
        order = await self._sales_order(number)
        return f"W-20002: {number} is deleted in Sage, reason {order.get('CancelReasonCode', '(none)')}"

    async def _changed(self) -> str:
        event = await self._check_out("20003")
        await self._until(lambda: self._state("20003", "open", "complete"))
        number = await self._number("20003")
        if await self._state("20003", "open"):
            order = event["data"]
            paid = order["payments"][0]
            back = {**paid, "type": "refund", "transactionId": "PAYID-20003-BACK", "amount": str(PRICE)}
            less = {
                "items": [{**order["items"][0], "quantity": 2}],
                "totals": {**order["totals"], "items": str(2 * PRICE), "grand": str(2 * PRICE)},
                "payments": [paid, back],
            }
            await self._change("20003", less)

            async def done() -> str:
                stored = await self._sales_order(number)
                return "yes" if Decimal(stored.get("DepositAmt", "0")) == 2 * PRICE else ""

            await self._until(done)
            await self._control(self._sage_url, "ship", {"SalesOrderNo": number})
            await self._until(lambda: self._state("20003", "complete"))
        return f"W-20003: {number} was changed to 2 lamps, its deposit to {2 * PRICE}; 2 have shipped"

    async def _partly_captured(self) -> str:
        def half(order: Json) -> None:
            dealer = json.loads(DEALER)["data"]
            order |= {name: dealer[name] for name in ("customer", "billingAddress", "shippingAddress")}
            paid = order["payments"][0]
            order["payments"] = [
                {**paid, "type": "authorize", "amount": str(3 * PRICE), "transactionId": "AUTH-20004"},
                {**paid, "amount": str(PRICE)},
            ]

        await self._check_out("20004", change=half)
        await self._until(lambda: self._state("20004", "open"))
        number = await self._number("20004")
        deposit = (await self._sales_order(number)).get("DepositAmt", "0")
        if Decimal(deposit) != PRICE:
            raise Unfinished(f"{number} has a deposit of {deposit}, {PRICE} was captured")
        return f"W-20004: {number} has the captured {PRICE} as its deposit, the rest on the dealer's terms"

    # ---- buyers, and what the systems say -------------------------------------------------------------------------

    async def _check_out(self, order_id: str, sku: str = LAMP, change: Callable[[Json], None] | None = None) -> Json:
        event: Json = json.loads(TEMPLATE)
        order = event["data"]
        total = str(3 * PRICE)
        for address in (order["billingAddress"], order["shippingAddress"]):
            # Oregon has no sales tax.
            address |= {"line1": "12 Rose Street", "city": "Portland", "region": "OR", "postalCode": "97201"}
        order |= {
            "id": order_id,
            "number": f"W-{order_id}",
            "items": [{**order["items"][0], "id": f"{order_id}-1", "sku": sku, "quantity": 3, "unitPrice": str(PRICE)}],
            "shipping": {"method": "Ground", "carrier": "UPS", "amount": 0, "tax": 0},
            "totals": {"items": total, "discount": 0, "shipping": 0, "tax": 0, "fees": 0, "grand": total},
            "payments": [{**order["payments"][0], "transactionId": f"PAYID-{order_id}", "amount": total}],
        }
        if change is not None:
            change(order)
        await self._control(self._clarity_url, "orders", event)
        return event

    async def _change(self, order_id: str, change: Json, type_: str = "order.updated") -> None:
        await self._control(self._clarity_url, "orders/change", {"orderId": order_id, "change": change, "type": type_})

    async def _control(self, url: str, what: str, body: Json) -> Json:
        answer = await self._http.post(f"{url}/_control/{what}", json=body)
        answer.raise_for_status()
        return dict(answer.json())

    async def _view(self, order_id: str) -> Json:
        answer = (await self._http.get(f"{self._api_url}/orders/demo/{order_id}")).json()
        return dict(answer.get("order") or {})

    async def _state(self, order_id: str, *wanted: str) -> str:
        """The order's state, if it is one of the wanted ones."""
        state = str((await self._view(order_id)).get("state") or "")
        return state if state in wanted else ""

    async def _number(self, order_id: str) -> str:
        async def known() -> str:
            return str((await self._view(order_id)).get("sales_order_no") or "")

        return await self._until(known)

    async def _sales_order(self, number: str) -> Json:
        """The sales order as Sage's gateway tells it, live or in history."""
        return await self._from_sage(f"SO/SalesOrder/{number}")

    async def _from_sage(self, what: str) -> Json:
        """A record, from Sage's gateway."""
        headers = {"X-Company": self._company}
        if not self._token:
            answer = await self._http.post(f"{self._sage_url}/session", json=self._sign_in, headers=headers)
            self._token = answer.json()["Token"]
        return await self._get(f"{self._sage_url}/{what}", {**headers, "Authorization": f"Bearer {self._token}"})

    async def _store(self) -> dict[str, str]:
        return {"X-API-Key": "clarity-sandbox-key"}

    async def _get(self, url: str, headers: dict[str, str]) -> Json:
        answer = await self._http.get(url, headers=headers)
        answer.raise_for_status()
        return dict(answer.json())

    async def _until(self, ask: Callable[[], Awaitable[str]]) -> str:
        """The first answer that is not empty."""
        end = asyncio.get_running_loop().time() + PATIENCE
        while asyncio.get_running_loop().time() < end:
            if answer := await ask():
                return answer
            await asyncio.sleep(PAUSE)
        raise Unfinished(f"not within {PATIENCE:g} s")
