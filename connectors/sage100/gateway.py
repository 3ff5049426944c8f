"""Writing to Sage 100 through its HTTP gateway (docs/openapi/sage-gateway.yaml).

In: `SalesOrder`, `NewCustomer`. Out: what Sage stored. Raises the tree of `connectors.errors`. The protocols are what
activities see, so that Sage's eBusiness Web Services can stand beside this gateway.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Protocol
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from connectors.errors import Ambiguous, NotFound, Refused, RetryLater
from connectors.http import ApiKey, BearerToken, Json, JsonApi, Listener, SignIn
from mappings.cash_receipts import ReceiptLine
from mappings.order_change import EnteredOrder, LineChange
from mappings.sales_order import (
    CustomerKey,
    LineOrigin,
    NewCustomer,
    SageItemType,
    SalesOrder,
    SalesOrderLine,
    SalesOrderOnSage,
    ShipToAddress,
)

SYSTEM = "Sage gateway"
VERSION_HEADER = "x-gateway-version"
"""In which a gateway may tell its version."""
WRITE_NOTHING = frozenset({"POST /SO/SalesOrder/Preview"})
"""Calls that are no reads by their method, and write nothing."""
NO_SUCH_ROUTE = frozenset({404, 405, 501})
SALES_ORDER, CUSTOMER, ITEM = "/SO/SalesOrder/{no}", "/AR/Customer/{key}", "/CI/Item/{code}"
"""Routes as traces name them."""


class SageGatewaySettings(BaseModel):
    """Where the gateway is and how to get in: `api_key`, or `user` and `password`."""

    model_config = ConfigDict(frozen=True)

    url: str
    company: str
    user: str = ""
    password: SecretStr = SecretStr("")
    api_key: SecretStr = SecretStr("")


class StoredCustomer(BaseModel):
    """AR_Customer as the gateway answers, as far as a read-back needs it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    ARDivisionNo: str
    CustomerNo: str
    CustomerName: str = ""
    EmailAddress: str = ""
    UDF_WEB_CUSTOMER_ID: str = ""


class SalesOrderWriter(Protocol):
    """What creating a sales order needs."""

    async def next_sales_order_no(self) -> str:
        """Reserve the next SalesOrderNo."""
        ...

    async def preview(self, order: SalesOrder) -> SalesOrderOnSage:
        """What Sage would make of the order: totals and tax; nothing is written."""
        ...

    async def create_sales_order(self, number: str, order: SalesOrder) -> SalesOrderOnSage:
        """Create under `number`; AlreadyExists when it is taken, and nothing changed then."""
        ...

    async def get_sales_order(self, number: str) -> SalesOrderOnSage | None:
        """The order, live or in history."""
        ...

    async def change_sales_order(self, number: str, columns: Mapping[str, str]) -> SalesOrderOnSage:
        """Change header columns of a live order; the same again changes nothing."""
        ...

    async def delete_sales_order(self, number: str) -> None:
        """Delete a live order of which nothing was shipped; one that is gone is no error."""
        ...


class SalesOrderEditor(Protocol):
    """What changing and cancelling an entered sales order needs."""

    async def preview(self, order: SalesOrder) -> SalesOrderOnSage:
        """What Sage would make of the order: totals and tax; nothing is written."""
        ...

    async def read_sales_order(self, number: str) -> EnteredOrder | None:
        """The order whole, live or in history."""
        ...

    async def edit_sales_order(
        self, number: str, columns: Mapping[str, str], lines: Iterable[LineChange] = ()
    ) -> EnteredOrder:
        """Change a live order, everything or nothing; the same again changes nothing but what it adds."""
        ...

    async def delete_sales_order(self, number: str) -> None:
        """Delete a live order of which nothing was shipped; one that is gone is no error."""
        ...


class CustomerWriter(Protocol):
    """What creating a customer needs."""

    async def next_customer_no(self) -> str:
        """Reserve the next CustomerNo."""
        ...

    async def create_customer(self, number: str, customer: NewCustomer) -> CustomerKey:
        """Create under `number`; AlreadyExists when it is taken, and nothing changed then."""
        ...

    async def get_customer(self, key: CustomerKey) -> StoredCustomer | None:
        """The customer."""
        ...

    async def change_customer(self, key: CustomerKey, columns: Mapping[str, str]) -> None:
        """Change columns of an account; the same again changes nothing."""
        ...

    async def create_ship_to(self, key: CustomerKey, address: ShipToAddress) -> None:
        """Add an address to the account; AlreadyExists when its code is taken, and nothing changed then."""
        ...


class AliasWriter(Protocol):
    """What remembering an alias needs."""

    async def create_alias(self, alias: str, item_code: str, customer: CustomerKey | None = None) -> None:
        """Create an alias for everybody, or for one customer only.

        AlreadyExists when it stands for another item there; the same again is no error.
        """
        ...


class ItemWriter(Protocol):
    """What keeping items in step with the store needs."""

    async def get_item(self, code: str) -> dict[str, str] | None:
        """Columns of CI_Item as text; None when Sage has no such item."""
        ...

    async def create_item(self, code: str, columns: Mapping[str, str]) -> None:
        """Create under `code`; AlreadyExists when it is taken, and nothing changed then."""
        ...

    async def change_item(self, code: str, columns: Mapping[str, str]) -> None:
        """Change columns; the same again changes nothing."""
        ...


class CashReceiptWriter(Protocol):
    """What entering a deposit with its cash receipts needs."""

    async def create_cash_receipts(
        self, bank_code: str, deposit_date: date, deposit_no: str, lines: Sequence[ReceiptLine]
    ) -> None:
        """Enter them as one deposit, not posted. The same again changes nothing; AlreadyExists when the key stands for
        another content, and nothing changed then. Refused as a whole when Sage refuses one of them."""
        ...


class SageGateway:
    """Every writer, over HTTP."""

    def __init__(
        self,
        settings: SageGatewaySettings,
        *,
        shadow: bool = False,
        transport: httpx.AsyncBaseTransport | None = None,
        listener: Listener | None = None,
    ) -> None:
        """With `shadow` every call that writes is refused (`ShadowMode`); a preview writes nothing."""
        self._api = JsonApi(
            SYSTEM,
            settings.url,
            sign_in_of(settings),
            explain_error,
            headers={"X-Company": settings.company},
            transport=transport,
            listener=listener,
            only_reads=WRITE_NOTHING if shadow else None,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()

    async def next_sales_order_no(self) -> str:
        """`POST /SO/SalesOrder/NextNumber`."""
        _, body = await self._api.call("POST", "/SO/SalesOrder/NextNumber")
        return _text(body, "SalesOrderNo", "POST /SO/SalesOrder/NextNumber")

    async def preview(self, order: SalesOrder) -> SalesOrderOnSage:
        """`POST /SO/SalesOrder/Preview`; writes nothing, so a lost answer is only retried."""
        _, body = await self._api.call("POST", "/SO/SalesOrder/Preview", body=order_body(order))
        return _order(body, "POST /SO/SalesOrder/Preview")

    async def can_preview(self) -> bool:
        """Whether previews have a route: an order without lines is refused by it, and nothing is written."""
        try:
            await self._api.call("POST", "/SO/SalesOrder/Preview", body={})
        except NotFound:
            return False
        except Refused as error:
            return error.status not in NO_SUCH_ROUTE
        return True

    async def create_sales_order(self, number: str, order: SalesOrder) -> SalesOrderOnSage:
        """`POST /SO/SalesOrder` under a reserved number."""
        body = {"SalesOrderNo": number, **order_body(order)}
        _, stored = await self._api.call("POST", "/SO/SalesOrder", body=body)
        return _order(stored, "POST /SO/SalesOrder", written=True)

    async def get_sales_order(self, number: str) -> SalesOrderOnSage | None:
        """`GET /SO/SalesOrder/{no}`; None when Sage has none under this number."""
        try:
            _, body = await self._api.call("GET", f"/SO/SalesOrder/{number}", route=SALES_ORDER)
        except NotFound:
            return None
        return _order(body, "GET /SO/SalesOrder/{no}")

    async def change_sales_order(self, number: str, columns: Mapping[str, str]) -> SalesOrderOnSage:
        """`PATCH /SO/SalesOrder/{no}`: header columns of a live order."""
        _, body = await self._api.call("PATCH", f"/SO/SalesOrder/{number}", body=dict(columns), route=SALES_ORDER)
        return _order(body, "PATCH /SO/SalesOrder/{no}", written=True)

    async def read_sales_order(self, number: str) -> EnteredOrder | None:
        """`GET /SO/SalesOrder/{no}`, with its header columns and comments."""
        try:
            _, body = await self._api.call("GET", f"/SO/SalesOrder/{number}", route=SALES_ORDER)
        except NotFound:
            return None
        return _entered(body, "GET /SO/SalesOrder/{no}")

    async def edit_sales_order(
        self, number: str, columns: Mapping[str, str], lines: Iterable[LineChange] = ()
    ) -> EnteredOrder:
        """`PATCH /SO/SalesOrder/{no}`: header columns, and lines by LineKey or new."""
        changes = [_line_change(line) for line in lines]
        body = {**columns, **({"Lines": changes} if changes else {})}
        _, stored = await self._api.call("PATCH", f"/SO/SalesOrder/{number}", body=body, route=SALES_ORDER)
        return _entered(stored, "PATCH /SO/SalesOrder/{no}", written=True)

    async def delete_sales_order(self, number: str) -> None:
        """`DELETE /SO/SalesOrder/{no}`; a lost answer is safe to repeat."""
        try:
            await self._api.call("DELETE", f"/SO/SalesOrder/{number}", route=SALES_ORDER)
        except NotFound:
            return

    async def next_customer_no(self) -> str:
        """`POST /AR/Customer/NextNumber`."""
        _, body = await self._api.call("POST", "/AR/Customer/NextNumber")
        return _text(body, "CustomerNo", "POST /AR/Customer/NextNumber")

    async def create_customer(self, number: str, customer: NewCustomer) -> CustomerKey:
        """`POST /AR/Customer` under a reserved number."""
        columns = {**customer.model_dump(exclude={"extra"}), **customer.extra, "CustomerNo": number}
        await self._api.call("POST", "/AR/Customer", body={name: value for name, value in columns.items() if value})
        return CustomerKey(ARDivisionNo=customer.ARDivisionNo, CustomerNo=number)

    async def get_customer(self, key: CustomerKey) -> StoredCustomer | None:
        """`GET /AR/Customer/{div}-{no}`; None when there is none."""
        try:
            _, body = await self._api.call("GET", f"/AR/Customer/{key}", route=CUSTOMER)
        except NotFound:
            return None
        try:
            return StoredCustomer.model_validate(body)
        except ValidationError as error:
            raise RetryLater(SYSTEM, "GET /AR/Customer", _unexpected(error)) from None

    async def change_customer(self, key: CustomerKey, columns: Mapping[str, str]) -> None:
        """`PATCH /AR/Customer/{div}-{no}`; a lost answer is safe to repeat."""
        await self._api.call("PATCH", f"/AR/Customer/{key}", body=dict(columns), route=CUSTOMER)

    async def create_ship_to(self, key: CustomerKey, address: ShipToAddress) -> None:
        """`POST /SO/ShipToAddress`."""
        columns = {**key.model_dump(), **address.model_dump()}
        body = {name: value for name, value in columns.items() if value}
        await self._api.call("POST", "/SO/ShipToAddress", body=body)

    async def create_alias(self, alias: str, item_code: str, customer: CustomerKey | None = None) -> None:
        """`POST /IM/AliasItem`: a general alias (IM_AliasItem.Type G), or a customer's own (C)."""
        whose = {"Type": "G"} if customer is None else {"Type": "C", **customer.model_dump()}
        await self._api.call("POST", "/IM/AliasItem", body={"AliasItemNo": alias, "ItemCode": item_code, **whose})

    async def get_item(self, code: str) -> dict[str, str] | None:
        """`GET /CI/Item/{code}`; None when there is none."""
        try:
            _, body = await self._api.call("GET", _item_path(code), route=ITEM)
        except NotFound:
            return None
        if not isinstance(body, dict) or not isinstance(body.get("ItemCode"), str):
            raise RetryLater(SYSTEM, "GET /CI/Item/{code}", "an answer without ItemCode")
        return {name: "" if value is None else str(value) for name, value in body.items()}

    async def create_item(self, code: str, columns: Mapping[str, str]) -> None:
        """`POST /CI/Item`."""
        await self._api.call("POST", "/CI/Item", body={"ItemCode": code, **columns})

    async def change_item(self, code: str, columns: Mapping[str, str]) -> None:
        """`PATCH /CI/Item/{code}`."""
        await self._api.call("PATCH", _item_path(code), body=dict(columns), route=ITEM)

    async def create_cash_receipts(
        self, bank_code: str, deposit_date: date, deposit_no: str, lines: Sequence[ReceiptLine]
    ) -> None:
        """`POST /AR/CashReceipt`."""
        columns = [{name: _wire(value) for name, value in line.model_dump().items() if value != ""} for line in lines]
        key = {"BankCode": bank_code, "DepositDate": deposit_date.isoformat(), "DepositNo": deposit_no}
        await self._api.call("POST", "/AR/CashReceipt", body={**key, "Lines": columns})


def _item_path(code: str) -> str:
    """Codes may hold slashes and blanks."""
    return f"/CI/Item/{quote(code, safe='')}"


def sign_in_of(settings: SageGatewaySettings) -> SignIn:
    """By key when there is one, else by user: `POST /session` → a token that expires."""
    if settings.api_key.get_secret_value():
        return ApiKey("X-API-Key", settings.api_key)

    def request() -> httpx.Request:
        return httpx.Request(
            "POST",
            f"{settings.url.rstrip('/')}/session",
            json={"UserLogon": settings.user, "Password": settings.password.get_secret_value()},
            headers={"X-Company": settings.company, "Accept": "application/json"},
        )

    return BearerToken(SYSTEM, request, lambda body: (str(body["Token"]), float(body["ExpiresIn"])), settings.password)


def explain_error(body: Json) -> tuple[str, str]:
    """`{ErrorCode, ErrorMessage, Column?}` → message and column."""
    return f"{body['ErrorMessage']} ({body['ErrorCode']})", str(body.get("Column") or "")


def order_body(order: SalesOrder) -> dict[str, Any]:
    """Sage's columns as JSON; empty columns are left to Sage's defaults."""
    header = {
        name: _wire(value) for name, value in order.model_dump(exclude={"Lines", "extra"}).items() if _is_set(value)
    }
    return {**header, **order.extra, "Lines": [_line_body(line) for line in order.Lines]}


def _line_body(line: SalesOrderLine) -> dict[str, Any]:
    columns = {**line.model_dump(exclude={"origin", "sku", "name", "discount_of", "else_from", "extra"}), **line.extra}
    if line.origin is LineOrigin.COMMENT:
        return {name: _wire(columns[name]) for name in ("ItemCode", "ItemType", "CommentText")}
    # A price of zero is a price: without one Sage takes its own.
    by_sage = line.UnitPrice is None
    return {
        name: _wire(value) for name, value in columns.items() if _is_set(value) or (name == "UnitPrice" and not by_sage)
    }


def _line_change(change: LineChange) -> dict[str, Any]:
    if change.new is not None:
        return _line_body(change.new)
    if change.Delete:
        return {"LineKey": change.LineKey, "Delete": True}
    amounts = {"QuantityOrdered": change.QuantityOrdered, "UnitPrice": change.UnitPrice}
    given = {name: _wire(value) for name, value in amounts.items() if value is not None}
    return {"LineKey": change.LineKey, **given, **change.columns}


def _is_set(value: object) -> bool:
    return value not in ("", None, Decimal(0))


def _wire(value: object) -> object:
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.isoformat() if isinstance(value, date) else value


def _order(body: Json, call: str, *, written: bool = False) -> SalesOrderOnSage:
    try:
        return SalesOrderOnSage.model_validate(body)
    except ValidationError as error:
        # A write answered with success and no order: what Sage has now must be read back.
        kind = Ambiguous if written else RetryLater
        raise kind(SYSTEM, call, _unexpected(error)) from None


def _entered(body: Json, call: str, *, written: bool = False) -> EnteredOrder:
    order = _order(body, call, written=written)
    columns = {name: str(value) for name, value in body.items() if isinstance(value, str | int | float)}
    comments = {
        str(line["LineKey"]): str(line.get("CommentText") or "")
        for line in body.get("Lines", ())
        if line.get("ItemType") == SageItemType.COMMENT
    }
    lines = {
        str(line["LineKey"]): {name: str(value) for name, value in line.items() if isinstance(value, str | int | float)}
        for line in body.get("Lines", ())
    }
    return EnteredOrder(order=order, columns=columns, comments=comments, line_columns=lines)


def _text(body: Json, name: str, call: str) -> str:
    value = body.get(name) if isinstance(body, dict) else None
    if not isinstance(value, str) or not value:
        raise RetryLater(SYSTEM, call, f"an answer without {name}")
    return value


def _unexpected(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    return f"an answer that is not what the contract says: {'.'.join(map(str, first['loc']))}: {first['msg']}"
