"""One order in a running house: checked out, shipped by hand, and audited on Sage's and on Clarity's side."""

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from tests.support.http import HTTP
from tests.support.processes import wait_until
from tests.support.sandbox import Sandbox

NUMBERS = itertools.count(70001)


class PlacedOrder:
    """An order of goods for Oregon (no tax), paid in full, by a buyer whose account Sage knows."""

    def __init__(
        self, sandbox: Sandbox, api_url: str, *items: tuple[str, int, str], order_id: str = "", **fields: Any
    ) -> None:
        """`items` are (sku, quantity, unit price); item ids are the order's id and a number."""
        self.sandbox = sandbox
        self.api_url = api_url
        self.id = order_id or str(next(NUMBERS))
        self.items = [f"{self.id}-{number}" for number in range(1, len(items) + 1)]
        total = sum((Decimal(price) * quantity for _, quantity, price in items), Decimal(0))
        address = {
            "name": "Maria Gonzales",
            "line1": "12 Rose Street",
            "city": "Portland",
            "region": "OR",
            "postalCode": "97201",
            "country": "US",
        }
        order = {
            "id": self.id,
            "number": f"W-{self.id}",
            "status": "Pending",
            "createdDate": "2026-11-22T12:15:00-06:00",
            "updatedDate": "2026-11-22T12:15:05-06:00",
            "currency": "USD",
            "customer": {"id": "501", "email": "maria.g.new@example.com", "firstName": "Maria", "lastName": "Gonzales"},
            "billingAddress": address,
            "shippingAddress": address,
            "items": [
                {"id": id_, "sku": sku, "name": sku, "quantity": quantity, "unitPrice": price, "taxable": True}
                for id_, (sku, quantity, price) in zip(self.items, items, strict=True)
            ],
            "shipping": {"method": "Ground", "carrier": "UPS", "amount": 0, "tax": 0},
            "totals": {"items": str(total), "discount": 0, "shipping": 0, "tax": 0, "fees": 0, "grand": str(total)},
            "payments": [
                {
                    "gateway": "paypal",
                    "transactionId": f"PAY-{self.id}",
                    "type": "capture",
                    "amount": str(total),
                    "currency": "USD",
                    "date": "2026-11-20T15:04:05Z",
                }
            ],
            **fields,
        }
        self.event: dict[str, Any] = {"type": "order.created", "timestamp": "2026-11-22T12:15:05-06:00", "data": order}

    def check_out(self) -> "PlacedOrder":
        """The buyer checks out."""
        self.sandbox.control("clarity", "orders", self.event)
        return self

    # ---- what the two sides say -----------------------------------------------------------------------------------

    @property
    def sales_order_no(self) -> str:
        """Sage's number, once the store knows it."""

        def number() -> str:
            return str(self.at_clarity().get("externalReference") or "")

        return wait_until(f"order {self.id} has its sales order number ({self.view()})", number, 60)

    def at_clarity(self) -> dict[str, Any]:
        """The order as the store has it."""
        order: dict[str, Any] = self.sandbox.clarity("GET", f"/api/v1/orders/{self.id}").json()
        return order

    def shipments(self) -> list[dict[str, Any]]:
        """The store's shipments of the order, voided ones left out."""
        answer = self.sandbox.clarity("GET", f"/api/v1/shipments?orderId={self.id}&pageSize=200").json()
        return [shipment for shipment in answer["items"] if shipment["status"] != "Void"]

    def voided(self) -> list[str]:
        """External references of voided shipments."""
        answer = self.sandbox.clarity("GET", f"/api/v1/shipments?orderId={self.id}&pageSize=200").json()
        return [shipment["externalReference"] for shipment in answer["items"] if shipment["status"] == "Void"]

    def view(self) -> dict[str, Any]:
        """The order as support sees it; empty when there is none. A busy worker may miss a query."""
        answer: dict[str, Any] = {}
        for _ in range(5):
            answer = HTTP.get(f"{self.api_url}/orders/demo/{self.id}", timeout=10).json()
            if "workflow_id" not in answer or answer["order"]:
                break
        return dict(answer.get("order") or {})

    def packages(self) -> dict[str, str]:
        """PackageNo (with InvoiceNo) → tracking number."""
        return {
            shipment["externalReference"].partition("-")[2]: shipment.get("trackingNumber", "")
            for shipment in self.shipments()
        }

    def told(self) -> dict[str, Decimal]:
        """Number of the item → quantity that the store was told as shipped."""
        quantities: dict[str, Decimal] = defaultdict(Decimal)
        for shipment in self.shipments():
            for item in shipment["items"]:
                quantities[item["orderItemId"].rpartition("-")[2]] += Decimal(str(item["quantity"]))
        return dict(quantities)

    def cancelled(self) -> dict[str, tuple[Decimal, str]]:
        """Number of the item → cancelled quantity and reason, as the store was told."""
        return {
            entry["orderItemId"].rpartition("-")[2]: (Decimal(str(entry["quantity"])), entry["reason"])
            for entry in self.at_clarity().get("cancelledItems", [])
        }

    # ---- the warehouse and the office -----------------------------------------------------------------------------

    def ship(
        self,
        quantities: Mapping[str, int] | None = None,
        packages: Sequence[Mapping[str, Any]] | None = None,
        **more: Any,
    ) -> str:
        """Ship by line number ("1"); returns the InvoiceNo."""
        body: dict[str, Any] = {"SalesOrderNo": self.sales_order_no, "Packages": packages, **more}
        if quantities is not None:
            body["Quantities"] = {f"{int(line):06d}": quantity for line, quantity in quantities.items()}
        return str(self.sandbox.control("sage", "ship", body)["InvoiceNo"])

    def post(self, invoice_no: str, **more: Any) -> None:
        """The Sales Journal update of an invoice."""
        self.sandbox.control("sage", "post", {"InvoiceNo": invoice_no, **more})

    def change(self, action: str, line: int = 0, **more: Any) -> dict[str, Any]:
        """The order desk changes something."""
        body = {"SalesOrderNo": self.sales_order_no, "Action": action, "LineKey": f"{line:06d}" if line else "", **more}
        return self.sandbox.control("sage", "order", body)

    # ---- waiting --------------------------------------------------------------------------------------------------

    def until_state(self, *states: str, deadline: float = 60) -> dict[str, Any]:
        """The view once the order is in one of these states."""

        def reached() -> dict[str, Any]:
            view = self.view()
            return view if view.get("state") in states else {}

        try:
            return wait_until(f"order {self.id} is {' or '.join(states)}", reached, deadline)
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {self.view()}") from None

    def until_told(self, **quantities: int) -> None:
        """Until the store was told these quantities, by item number (`_1=2`)."""
        wanted = {name.lstrip("_"): Decimal(quantity) for name, quantity in quantities.items() if quantity}
        wait_until(f"order {self.id}: Clarity was told {wanted}, not {self.told()}", lambda: self.told() == wanted, 60)

    def audit(self) -> None:
        """Each package once, and quantities that sum to what Sage's invoices shipped of each item."""
        references = [shipment["externalReference"] for shipment in self.shipments()]
        bases = [reference.partition("-R")[0] for reference in references]
        assert len(bases) == len(set(bases)), references
        assert self.told() == self.shipped_in_sage(), (self.told(), self.shipped_in_sage())

    def shipped_in_sage(self) -> dict[str, Decimal]:
        """Number of the item → what Sage's invoices of type IN shipped, by Sage's own tables (history kept)."""
        number = str(self.at_clarity()["externalReference"])
        item_of = {
            row["SequenceNo"]: row["UDF_WEB_LINE_ID"].rpartition("-")[2]
            for row in self.sandbox.rows("SELECT * FROM SO_SalesOrderHistoryDetail WHERE SalesOrderNo = ?", number)
        }
        posted = self.sandbox.rows(
            "SELECT SequenceNo, QuantityShipped FROM SO_ARInvoiceHistoryLink WHERE SalesOrderNo = ?", number
        )
        unposted = self.sandbox.rows(
            "SELECT d.SOHistoryDetlSeqNo AS SequenceNo, d.QuantityShipped FROM SO_InvoiceDetail d "
            "JOIN SO_InvoiceHeader h ON h.InvoiceNo = d.InvoiceNo "
            "WHERE d.AppliedSalesOrderNo = ? AND h.InvoiceType = 'IN'",
            number,
        )
        shipped: dict[str, Decimal] = defaultdict(Decimal)
        for row in [*posted, *unposted]:
            item = item_of.get(row["SequenceNo"], "")
            if item and Decimal(str(row["QuantityShipped"])):
                shipped[item] += Decimal(str(row["QuantityShipped"]))
        return dict(shipped)
