"""Products of the store: what it sells when it is new, and who may change what of them. Raises `Rejection`."""

from datetime import datetime
from importlib.resources import files
from typing import Any

import yaml
from pydantic import BaseModel, Field

from sandbox.clarity.store import Document, Rejection, Store, decimal_of, invalid, now_text

TEXTS = {"name": 200, "description": 4000, "taxCode": 50}
NUMBERS = ("price", "listPrice", "weight")
CHANGEABLE = frozenset({*TEXTS, *NUMBERS, "active", "attributes"})
EVENT = "product.updated"


class AddProduct(BaseModel):
    """`POST /_control/products`: the store gets a new product; its webhook follows."""

    product: dict[str, Any]


class ChangeProduct(BaseModel):
    """`POST /_control/products/change`: somebody changes a product in the store; its webhook follows."""

    sku: str
    change: dict[str, Any] = {}


class SendProduct(BaseModel):
    """`POST /_control/products/webhooks`: deliver a product's event, as it is or as `data` says it once was."""

    sku: str
    times: int = Field(default=1, ge=1, le=100)
    sameId: bool = False
    data: dict[str, Any] | None = None


class Catalogue:
    """The products of a store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        if store.get("seeded", "products") is None:
            text = files("sandbox.clarity").joinpath("products.yaml").read_text(encoding="utf-8")
            stamp = "2026-01-01T00:00:00+00:00"
            store.put_all("product", {one["id"]: {**one, "updatedDate": stamp} for one in yaml.safe_load(text)})
            store.put("seeded", "products", {})

    def product(self, id_: str) -> Document:
        """A product, or 404."""
        product = self.store.get("product", id_)
        if product is None:
            raise Rejection(404, "not_found", f"There is no product {id_[:80]}.")
        return product

    def by_sku(self, sku: str) -> Document:
        """The product with this SKU, or 404."""
        for product in self.store.all("product"):
            if product["sku"] == sku:
                return product
        raise Rejection(404, "not_found", f"There is no product with the SKU {sku[:80]}.")

    def updated_since(self, earliest: datetime | None) -> list[Document]:
        """Products by their last change, oldest first."""

        def changed(product: Document) -> datetime:
            return datetime.fromisoformat(product["updatedDate"]).astimezone()

        products = [one for one in self.store.all("product") if earliest is None or changed(one) >= earliest]
        return sorted(products, key=lambda product: (changed(product), str(product["id"])))

    def add(self, product: Document) -> Document:
        """A new product."""
        sku = product.get("sku")
        if not isinstance(sku, str) or not 0 < len(sku) <= 64:
            raise invalid("sku", "is not text of 1 to 64 characters")
        with self.store.lock:
            known = self.store.all("product")
            if any(one["sku"] == sku for one in known):
                raise Rejection(409, "exists", f"There is a product with the SKU {sku} already.")
            id_ = str(product.get("id") or 2001 + len(known))
            check({name: value for name, value in product.items() if name not in ("id", "sku", "updatedDate")})
            new = {"active": True, **product, "id": id_, "updatedDate": now_text()}
            self.store.put("product", id_, new)
            return new

    def patch(self, id_: str, change: Document) -> tuple[Document, bool]:
        """Fields of a product; custom ones are merged. And whether anything is otherwise now."""
        check(change)
        with self.store.lock:
            product = self.product(id_)
            attributes = {**product.get("attributes", {}), **change.get("attributes", {})}
            new = {**product, **change, **({"attributes": attributes} if attributes else {})}
            if all(same(new.get(name), product.get(name)) for name in CHANGEABLE):
                return product, False
            new["updatedDate"] = now_text()
            self.store.put("product", id_, new)
            return new, True


def same(one: object, other: object) -> bool:
    """Whether two values of a field are the same: 12.5 is 12.50."""
    if one == other:
        return True
    try:
        return not isinstance(one, bool) and decimal_of(one) == decimal_of(other)
    except Rejection:
        return False


def check(change: Document) -> None:
    """Refuse what no product has."""
    for name, value in change.items():
        if name not in CHANGEABLE:
            raise invalid(name, "cannot be changed")
        if name in TEXTS and not (isinstance(value, str) and len(value) <= TEXTS[name]):
            raise invalid(name, f"is not text of at most {TEXTS[name]} characters")
        if name == "name" and not value:
            raise invalid(name, "is empty")
        if name == "active" and not isinstance(value, bool):
            raise invalid(name, "is not true or false")
        if name in NUMBERS:
            try:
                good = not isinstance(value, bool) and decimal_of(value) >= 0
            except Rejection:
                good = False
            if not good:
                raise invalid(name, "is not a number from 0 up")
        if name == "attributes" and not (
            isinstance(value, dict) and all(isinstance(one, str) and len(one) <= 500 for one in value.values())
        ):
            raise invalid(name, "is not an object of texts of at most 500 characters")
