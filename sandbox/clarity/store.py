"""What the store remembers: orders, customers, shipments, quantities, webhook deliveries. One SQLite file.

Raises `Rejection` for what a real store would refuse.
"""

import json
import random
import sqlite3
import threading
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

Document = dict[str, Any]

STATUSES = ("Pending", "Processing", "Shipped", "Completed", "Cancelled")
FINAL = ("Shipped", "Completed", "Cancelled")
VOID = "Void"
SHIPMENT_STATUSES = ("Shipped", VOID)
PATCHABLE = frozenset({"status", "externalReference", "invoiceReferences", "cancelledItems", "refundsDue"})
LAST_PLACE = 2**62
"""SQLite counts no further."""
INDEXES = (
    ("shipment_of", "shipment", "$.orderId"),
    ("delivery_of", "delivery", "$.orderId"),
)
"""Name, kind of document, path: what is looked for with `where`."""
SHIPMENT_FIELDS = frozenset(
    {
        "orderId",
        "externalReference",
        "carrier",
        "service",
        "trackingNumber",
        "trackingUrl",
        "shippedDate",
        "items",
    }
)


class Rejection(Exception):
    """The store says no."""

    def __init__(self, status: int, code: str, message: str, details: list[Document] | None = None) -> None:
        self.status = status
        self.code = code
        self.message = message
        self.details = details or []
        super().__init__(message)


def invalid(field: str, message: str) -> Rejection:
    """422 that names the field."""
    return Rejection(422, "validation_failed", "The request is not valid.", [{"field": field, "message": message}])


def now_text() -> str:
    """This instant, ISO 8601 with offset."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def decimal_of(value: object) -> Decimal:
    """A JSON number or numeric text, exactly."""
    try:
        number = Decimal(str(value))
    except ArithmeticError:
        raise invalid("quantity", "is not a number") from None
    if not number.is_finite():
        raise invalid("quantity", "is not a number")
    return number


class Store:
    """The store's documents by kind and id."""

    def __init__(self, database: Path) -> None:
        database.parent.mkdir(parents=True, exist_ok=True)
        self.lock = threading.RLock()
        """Held while a document is read and written back."""
        self._connection = sqlite3.connect(database, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS document (kind TEXT, id TEXT, updated TEXT, body TEXT, PRIMARY KEY (kind, id))"
        )
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS inventory (sku TEXT, warehouse TEXT, quantity INTEGER, updated TEXT, "
            "PRIMARY KEY (sku, warehouse))"
        )
        for name, kind, path in INDEXES:
            self._connection.execute(
                f"CREATE INDEX IF NOT EXISTS {name} ON document (json_extract(body, '{path}')) WHERE kind = '{kind}'"
            )
        self.unknown_skus: set[str] = set()
        """SKUs that this store does not sell."""
        self.order_stamps: dict[str, str] = dict(
            self._connection.execute(
                "SELECT id, coalesce(nullif(json_extract(body, '$.updatedDate'), ''), "
                "json_extract(body, '$.createdDate')) FROM document WHERE kind = 'order'"
            )
        )
        """When each order changed last, as it says."""

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def get(self, kind: str, id_: str) -> Document | None:
        """A document."""
        with self.lock:
            row = self._connection.execute(
                "SELECT body FROM document WHERE kind = ? AND id = ?", (kind, id_)
            ).fetchone()
        return json.loads(row[0]) if row else None

    def put(self, kind: str, id_: str, document: Document) -> None:
        """Keep a document."""
        text = json.dumps(document, ensure_ascii=False)
        with self.lock:
            self._connection.execute("REPLACE INTO document VALUES (?, ?, ?, ?)", (kind, id_, now_text(), text))
            if kind == "order":
                self.order_stamps[id_] = str(document.get("updatedDate") or document.get("createdDate"))

    def put_all(self, kind: str, documents: dict[str, Document]) -> None:
        """Keep many documents of a kind at once."""
        rows = [(kind, id_, now_text(), json.dumps(one, ensure_ascii=False)) for id_, one in documents.items()]
        with self.lock:
            self._connection.execute("BEGIN")
            self._connection.executemany("REPLACE INTO document VALUES (?, ?, ?, ?)", rows)
            self._connection.execute("COMMIT")

    def all(self, kind: str) -> list[Document]:
        """Every document of a kind, oldest change first."""
        with self.lock:
            rows = self._connection.execute(
                "SELECT body FROM document WHERE kind = ? ORDER BY updated, id", (kind,)
            ).fetchall()
        return [json.loads(row[0]) for row in rows]

    def where(self, kind: str, path: str, value: str) -> list[Document]:
        """Documents of a kind with this text at a path of `INDEXES`, oldest change first."""
        sql = (
            f"SELECT body FROM document WHERE kind = '{kind}' AND json_extract(body, '{path}') = ? "  # noqa: S608
            "ORDER BY updated, id"
        )
        with self.lock:
            rows = self._connection.execute(sql, (value,)).fetchall()
        return [json.loads(row[0]) for row in rows]

    def page(self, kind: str, start: int, size: int) -> tuple[list[Document], int]:
        """So many documents of a kind, oldest change first, and how many there are."""
        sql = (
            "SELECT body FROM document WHERE rowid IN "
            "(SELECT rowid FROM document WHERE kind = ? ORDER BY updated, id LIMIT ? OFFSET ?) ORDER BY updated, id"
        )
        with self.lock:
            rows = self._connection.execute(sql, (kind, size, min(start, LAST_PLACE))).fetchall()
        return [json.loads(row[0]) for row in rows], self.count(kind)

    def count(self, kind: str) -> int:
        """How many documents of a kind there are."""
        with self.lock:
            row = self._connection.execute("SELECT COUNT(*) FROM document WHERE kind = ?", (kind,)).fetchone()
        return int(row[0])

    # ---- orders ---------------------------------------------------------------------------------------------------

    def check_out(self, order: Document) -> bool:
        """A buyer's order; False when it is known already. The customer is kept with it."""
        with self.lock:
            id_ = str(order["id"])
            if self.get("order", id_) is not None:
                return False
            self.put("order", id_, order)
            customer = order.get("customer")
            if isinstance(customer, dict) and customer.get("id") is not None:
                known = self.get("customer", str(customer["id"])) or {}
                record = {**known, **customer, "id": str(customer["id"]), "updatedDate": now_text()}
                self.put("customer", str(customer["id"]), record)
            return True

    def order(self, id_: str) -> Document:
        """An order, or 404."""
        order = self.get("order", id_)
        if order is None:
            raise Rejection(404, "not_found", f"There is no order {id_[:80]}.")
        return order

    def change_order(self, id_: str, change: Document) -> Document:
        """What buyer or store change in an order: any field but its id; stamped."""
        with self.lock:
            order = {**self.order(id_), **{name: value for name, value in change.items() if name != "id"}}
            order["updatedDate"] = change.get("updatedDate", now_text())
            self.put("order", id_, order)
            return order

    def patch_order(self, id_: str, change: Document) -> Document:
        """Status, references, cancelled quantities; nothing goes back from a final status."""
        with self.lock:
            order = self.order(id_)
            for name, value in change.items():
                if name not in PATCHABLE:
                    raise invalid(name, "cannot be changed")
                if name in ("invoiceReferences", "cancelledItems", "refundsDue") and not isinstance(value, list):
                    raise invalid(name, "is not a list")
                if name == "cancelledItems":
                    self._check_items(order, {"items": value}, name)
                if name == "externalReference" and not (isinstance(value, str) and 0 < len(value) <= 64):
                    raise invalid(name, "is not text of 1 to 64 characters")
            status = change.get("status", order.get("status"))
            if status not in STATUSES:
                raise invalid("status", f"is not one of {', '.join(STATUSES)}")
            before = order.get("status")
            undone = before == "Shipped" and status == "Processing" and self._has_voided(id_)
            closed = before == "Shipped" and status == "Completed"
            if before in FINAL and status != before and not closed and not undone:
                raise Rejection(409, "status_conflict", f"The order is {before} and cannot become {status}.")
            order = {**order, **change, "updatedDate": now_text()}
            self.put("order", id_, order)
            return order

    # ---- shipments ------------------------------------------------------------------------------------------------

    def add_shipment(self, shipment: Document) -> tuple[int, Document]:
        """201 new, 200 the same reference and content, 409 the same reference with other content."""
        for name in shipment:
            if name not in SHIPMENT_FIELDS:
                raise invalid(name, "is not a field of a shipment")
        for name in ("orderId", "externalReference"):
            if not isinstance(shipment.get(name), str) or not shipment[name]:
                raise invalid(name, "is missing")
        if not isinstance(shipment.get("items"), list):
            raise invalid("items", "is not a list")
        with self.lock:
            order = self.order(shipment["orderId"])
            for known in self.shipments(shipment["orderId"], shipment["externalReference"]):
                if all(known.get(name) == shipment.get(name) for name in SHIPMENT_FIELDS):
                    return 200, known
                raise Rejection(409, "exists", "A shipment with this externalReference has other content.")
            if order.get("status") in ("Completed", "Cancelled"):
                raise Rejection(422, "order_closed", f"The order is {order['status']}.")
            self._check_items(order, shipment)
            new = {"id": uuid.uuid4().hex[:12], **shipment, "status": "Shipped", "createdDate": now_text()}
            self.put("shipment", new["id"], new)
            return 201, new

    @staticmethod
    def _check_items(order: Document, holder: Document, field: str = "items") -> None:
        """Only items of the order, with quantities; more than ordered is the warehouse's business, not the store's."""
        ordered = {str(item["id"]) for item in order.get("items", [])}
        for index, item in enumerate(holder["items"]):
            id_ = str(item.get("orderItemId")) if isinstance(item, dict) else ""
            if id_ not in ordered:
                raise invalid(f"{field}[{index}].orderItemId", "is no item of this order")
            if decimal_of(item.get("quantity")) <= 0:
                raise invalid(f"{field}[{index}].quantity", "is not greater than zero")

    def shipments(self, order_id: str = "", external_reference: str = "") -> list[Document]:
        """Shipments by order and reference."""
        found = self.where("shipment", "$.orderId", order_id) if order_id else self.all("shipment")
        return [one for one in found if not external_reference or one["externalReference"] == external_reference]

    def patch_shipment(self, id_: str, change: Document) -> Document:
        """Tracking and status (void) of a shipment."""
        with self.lock:
            shipment = self.get("shipment", id_)
            if shipment is None:
                raise Rejection(404, "not_found", f"There is no shipment {id_[:80]}.")
            for name in change:
                if name not in ("carrier", "service", "trackingNumber", "trackingUrl", "status"):
                    raise invalid(name, "cannot be changed")
            if change.get("status", VOID) not in SHIPMENT_STATUSES:
                raise invalid("status", f"is not one of {', '.join(SHIPMENT_STATUSES)}")
            if shipment["status"] == VOID and change.get("status", VOID) != VOID:
                raise Rejection(409, "status_conflict", "A voided shipment stays voided.")
            shipment = {**shipment, **change}
            self.put("shipment", id_, shipment)
            return shipment

    def _has_voided(self, order_id: str) -> bool:
        return any(shipment["status"] == VOID for shipment in self.shipments(order_id))

    # ---- customers ------------------------------------------------------------------------------------------------

    def customer(self, id_: str) -> Document:
        """A customer, or 404."""
        customer = self.get("customer", id_)
        if customer is None:
            raise Rejection(404, "not_found", "There is no such customer.")
        return customer

    def customers(self, external_reference: str = "", contains: bool = False) -> list[Document]:
        """Customers by cross-reference."""
        return [
            customer
            for customer in self.all("customer")
            if not external_reference
            or (reference := str(customer.get("externalReference", ""))) == external_reference
            or (contains and external_reference in reference)
        ]

    def patch_customer(self, id_: str, change: Document) -> Document:
        """The external reference of a customer, and custom attributes by name: the others stay."""
        with self.lock:
            customer = self.customer(id_)
            for name, value in change.items():
                if name == "attributes" and isinstance(value, dict):
                    for attribute, content in value.items():
                        if not isinstance(content, str | int | float | bool):
                            raise invalid(f"attributes.{attribute}", "is no text, number or flag")
                elif name != "externalReference" or not isinstance(value, str):
                    raise invalid(name, "cannot be changed")
            attributes = {**customer.get("attributes", {}), **change.get("attributes", {})}
            customer = {**customer, **change, "updatedDate": now_text()}
            if attributes:
                customer["attributes"] = attributes
            self.put("customer", id_, customer)
            return customer

    def change_customer(self, id_: str, change: Document) -> Document:
        """What a customer changes in the account, or a new customer: any field but the id; stamped."""
        with self.lock:
            known = self.get("customer", id_) or {}
            customer = {**known, **change, "id": id_, "updatedDate": change.get("updatedDate", now_text())}
            self.put("customer", id_, customer)
            return customer

    # ---- inventory ------------------------------------------------------------------------------------------------

    def set_inventory(self, body: Document, limit: int, called: str = "items") -> Document:
        """A batch of absolute quantities (`called` so in refusals); a SKU that is not sold is rejected alone."""
        for name in body:
            if name != "items":
                raise invalid(name, "is not a field of a batch")
        items = body.get("items")
        if not isinstance(items, list):
            raise invalid(called, "is not a list")
        if len(items) > limit:
            raise invalid(called, f"has {len(items)} entries; the limit is {limit}")
        rows, rejected = [], []
        for index, item in enumerate(items):
            sku, warehouse, quantity = level_of(item, f"{called}[{index}]")
            if sku in self.unknown_skus:
                rejected.append({"sku": sku, "warehouse": warehouse, "message": "This store has no such product."})
            else:
                rows.append((sku, warehouse, quantity, now_text()))
        with self.lock:
            self._connection.execute("BEGIN")
            self._connection.executemany("REPLACE INTO inventory VALUES (?, ?, ?, ?)", rows)
            self._connection.execute("COMMIT")
        return {"updated": len(rows), "rejected": rejected}

    def inventory(self, page: int, size: int) -> tuple[list[Document], int]:
        """A page of the quantities in key order, and how many there are."""
        with self.lock:
            total = self._connection.execute("SELECT COUNT(*) FROM inventory").fetchone()[0]
            rows = self._connection.execute(
                "SELECT sku, warehouse, quantity, updated FROM inventory ORDER BY sku, warehouse LIMIT ? OFFSET ?",
                (size, page * size),
            ).fetchall()
        return [
            {"sku": sku, "warehouse": warehouse, "quantityAvailable": quantity, "updatedDate": updated}
            for sku, warehouse, quantity, updated in rows
        ], int(total)

    def drift(self, rows: int, seed: int) -> list[Document]:
        """Change quantities at random, as a hand in the back office or a bug of the store would; returns them."""
        chance = random.Random(seed)  # noqa: S311 - repeatable, nothing secret
        with self.lock:
            known = self._connection.execute(
                "SELECT sku, warehouse, quantity FROM inventory ORDER BY sku, warehouse"
            ).fetchall()
            changed = []
            for sku, warehouse, quantity in chance.sample(known, min(rows, len(known))):
                wrong = quantity + chance.choice((-1, 1)) * chance.randint(1, 9)
                self._connection.execute(
                    "UPDATE inventory SET quantity = ? WHERE sku = ? AND warehouse = ?", (wrong, sku, warehouse)
                )
                changed.append({"sku": sku, "warehouse": warehouse, "before": quantity, "now": wrong})
        return changed

    def forget_inventory(self, skus: list[str]) -> int:
        """Remove quantities; returns how many."""
        with self.lock:
            return sum(self._connection.execute("DELETE FROM inventory WHERE sku = ?", (sku,)).rowcount for sku in skus)

    def reserve(self, order: Document) -> None:
        """A buyer takes what the store shows: from the first warehouse that has a whole line. 409 when none has."""
        with self.lock:
            self._connection.execute("BEGIN")
            try:
                for item in order.get("items", []):
                    wanted = decimal_of(item.get("quantity"))
                    place = self._connection.execute(
                        "SELECT warehouse FROM inventory WHERE sku = ? AND quantity >= ? ORDER BY warehouse LIMIT 1",
                        (str(item.get("sku")), float(wanted)),
                    ).fetchone()
                    if place is None:
                        raise Rejection(409, "sold_out", f"{item.get('sku')} is sold out.")
                    self._connection.execute(
                        "UPDATE inventory SET quantity = quantity - ? WHERE sku = ? AND warehouse = ?",
                        (int(wanted), str(item.get("sku")), place[0]),
                    )
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")


def level_of(item: object, path: str) -> tuple[str, str, int]:
    """One quantity of a batch; refused when it is none."""
    if not isinstance(item, dict):
        raise invalid(path, "is not an object")
    for name in item:
        if name not in ("sku", "warehouse", "quantityAvailable"):
            raise invalid(f"{path}.{name}", "is not a field of a quantity")
    sku, warehouse, quantity = item.get("sku"), item.get("warehouse"), item.get("quantityAvailable")
    if not isinstance(sku, str) or not 0 < len(sku) <= 64:
        raise invalid(f"{path}.sku", "is not text of 1 to 64 characters")
    if not isinstance(warehouse, str) or not 0 < len(warehouse) <= 64:
        raise invalid(f"{path}.warehouse", "is not text of 1 to 64 characters")
    if isinstance(quantity, bool) or not isinstance(quantity, int) or not 0 <= quantity < 2**31:
        raise invalid(f"{path}.quantityAvailable", "is not a whole number from 0 up")
    return sku, warehouse, quantity
