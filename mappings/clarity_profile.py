"""The Clarity release of a site as data (section `clarity` of a pair file), and the translation that it drives.

In: JSON as the release sends it. Out: the same in the contract's words (docs/openapi/clarity.yaml), and back. Inside,
the application speaks the contract only: the connector and the webhook edge translate, nothing else does. The defaults
are the contract itself. Status names stay the release's own: `statuses` says which is which. Pure; translation never
raises: what has another shape than expected stays as it is, and is told as a problem when the order is read.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mappings.maintenance import MaintenanceWindow
from mappings.pair_file import Contradiction, refuse
from mappings.problems import Problem
from mappings.section import Section


def placeholders(template: str) -> list[str]:
    """The names between braces; a brace without its other half is one, too."""
    return re.findall(r"\{([^{}]*)\}", template) + re.findall(r"[{}]", re.sub(r"\{[^{}]*\}", "", template))


HERE = "."
"""Path of an object that the release does not nest: its fields stand beside the others."""

Name = Annotated[str, Field(pattern=r"^[^.]+(\.[^.]+)*$")]
"""A field's name; a dotted path where the release nests what the contract does not."""
FieldName = Name | None
"""None (YAML: null): the release has no such field. It is neither read nor sent."""
ObjectName = Annotated[str, Field(pattern=r"^(\.|[^.]+(\.[^.]+)*)$")] | None
Header = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")]


# ---- calls ----------------------------------------------------------------------------------------------------------


class AuthScheme(StrEnum):
    """How to sign in to Clarity."""

    OAUTH = "oauth"
    """OAuth 2.0 client credentials at `routes.token`."""
    API_KEY = "api_key"
    """A key in the header `headers.api_key`."""
    LOGIN = "login"
    """User and password as JSON to `routes.token`, answered by a JWT. Uses the settings of client id and secret."""


class ClarityRoutes(Section):
    """Paths of Clarity's API; `{id}` is replaced."""

    token: str = "/oauth/token"
    """Where tokens come from, with `auth: oauth` or `auth: login`."""
    orders: str = "/api/v1/orders"
    """The list of orders."""
    order: str = "/api/v1/orders/{id}"
    """One order, read and changed."""
    shipments: str = "/api/v1/shipments"
    """The list of shipments; a new one is posted here."""
    shipment: str = "/api/v1/shipments/{id}"
    """One shipment, changed when tracking comes later or its invoice is gone."""
    customer: str = "/api/v1/customers/{id}"
    """One customer: the cross-reference to the account in Sage is written here."""
    products: str = "/api/v1/products"
    """The list of products."""
    product: str = "/api/v1/products/{id}"
    """One product, read and changed."""
    customers: str | None = "/api/v1/customers"
    """The list of customers, by cross-reference or last change; null where the release has none."""
    inventory: str = "/api/v1/inventory"
    """Quantities by SKU and warehouse: the list, and where a batch of them is written."""
    payments: str = "/api/v1/payments"
    """The list of payments of all orders."""
    payouts: str | None = "/api/v1/payouts"
    """The list of what the gateways transferred to the bank; null where the release has none."""

    @model_validator(mode="after")
    def _say_where_the_id_goes(self) -> "ClarityRoutes":
        refuse(self._contradictions())
        return self

    def _contradictions(self) -> Iterator[Contradiction]:
        for name, route in self.model_dump(exclude_none=True).items():
            wanted = ["id"] if name in ("order", "shipment", "customer", "product") else []
            names, key = placeholders(route), (name,)
            if not re.fullmatch(r"/\S*", route):
                remedy = "Begin it with /: the address of the store is a setting (CLARITY_URL)."
                yield Contradiction(key, f"{route!r} is no path", remedy)
            for other in names:
                if other not in wanted:
                    remedy = "Write {id} for the id." if wanted else "Remove it: lists and the token have no id."
                    yield Contradiction(
                        key,
                        f"{{{other}}} is no placeholder here"
                        if len(other) != 1 or other not in "{}"
                        else f"{other} stands alone",
                        remedy,
                    )
            if wanted and names.count("id") != 1:
                yield Contradiction(key, f"{route!r} has {{id}} {names.count('id')} times", "Write {id} once.")


UpdateMethod = Literal["PATCH", "PUT", "POST"]


class ClarityMethods(Section):
    """How changes are sent; the body holds what changes and nothing else, whatever the method."""

    order: UpdateMethod = "PATCH"
    """HTTP method that changes an order."""
    shipment: UpdateMethod = "PATCH"
    """HTTP method that changes a shipment."""
    customer: UpdateMethod = "PATCH"
    """HTTP method that changes a customer."""
    product: UpdateMethod = "PATCH"
    """HTTP method that changes a product."""
    inventory: UpdateMethod = "PUT"
    """HTTP method that writes a batch of quantities."""


class ClarityHeaders(Section):
    """Names of the headers that carry credentials, and headers that every request carries."""

    api_key: Header = "X-API-Key"
    """Header of the key, with `auth: api_key`."""
    token: Header = "Authorization"
    """Header of the token, with `auth: oauth` or `auth: login`."""
    token_prefix: str = "Bearer "
    """What stands before the token in its header; the blank belongs to it."""
    fixed: dict[Header, str] = {}
    """A brand, a tenant, a language; never a secret."""

    @model_validator(mode="after")
    def _no_secrets(self) -> "ClarityHeaders":
        secret = {"authorization", "cookie", "proxy-authorization", self.api_key.casefold(), self.token.casefold()}
        refuse(
            Contradiction(
                ("fixed", name),
                f"{name} carries a secret, and pair files hold none",
                "Remove it: secrets are settings (CLARITY_API_KEY, CLARITY_CLIENT_SECRET).",
            )
            for name in self.fixed
            if name.casefold() in secret
        )
        return self


class Login(Section):
    """Names of a login's request and answer."""

    user: Name = "userName"
    """Field of the request that holds the user."""
    password: Name = "password"
    """Field of the request that holds the password."""
    token: Name = "token"
    """Field of the answer that holds the token."""
    lifetime: FieldName = None
    """Seconds in the answer; without, the JWT's own `exp` and `iat` tell."""


class Paging(Section):
    """How lists are paged."""

    first_page: int = Field(default=0, ge=0)
    """Number of the first page."""
    page_size: int = Field(default=50, ge=1, le=1000)
    """Entries of a page that are asked for."""
    page_parameter: str = "pageIndex"
    """Query parameter with the page's number."""
    size_parameter: str = "pageSize"
    """Query parameter with the page's size."""
    items_field: Name = "items"
    """Field of the answer that holds the page's entries; a dot goes one object deeper."""
    total_field: Name = "totalCount"
    """Field of the answer that holds the number of all entries."""


class ClarityFilters(Section):
    """Query parameters that narrow lists. A filter may find too much (`…Contains`): the connector looks again."""

    updatedDateMin: str = "updatedDateMin"
    """Parameter for orders, customers, payments, payouts and products changed at this instant or later."""
    orderId: str = "orderId"
    """Parameter for the shipments of an order."""
    externalReference: str = "externalReference"
    """Parameter for the customers with a cross-reference to an account in Sage."""


class ErrorAnswer(Section):
    """Where an error answer says what is wrong."""

    message: Name = "error.message"
    """Field that says what is wrong."""
    details: Name = "error.details"
    """Field with a list of what is wrong, field by field."""
    field: Name = "field"
    """Of an entry of `details`: the field that is wrong."""
    text: Name = "message"
    """Of an entry of `details`: what is wrong with it."""


class SignatureScheme(StrEnum):
    """How webhooks are signed."""

    STANDARD = "standard"
    """Standard Webhooks 1.0: base64 HMAC-SHA256 of `{id}.{timestamp}.{body}`, secrets `whsec_…`."""
    HMAC_SHA256_HEX = "hmac-sha256-hex"
    """Hex HMAC-SHA256 of `{timestamp}.{body}`, or of the body alone; secrets are used as they are written."""


class Webhook(Section):
    """The signature of webhooks."""

    scheme: SignatureScheme = SignatureScheme.STANDARD
    """What is signed, and how."""
    id_header: Header = "webhook-id"
    """Scheme `standard` only: the other one signs no id, so the signed content is its own id."""
    timestamp_header: Header | None = "webhook-timestamp"
    """Seconds since 1970. null, in the hex scheme: the body alone is signed, and its age is not known."""
    signature_header: Header = "webhook-signature"
    """Header of the signature."""
    signature_prefix: str = Field(default="", pattern=r"^[^,\s]*$")
    """Scheme `hmac-sha256-hex`: what stands before the hex digits, such as `sha256=`."""

    @model_validator(mode="after")
    def _standard_has_a_timestamp(self) -> "Webhook":
        if self.scheme is SignatureScheme.STANDARD and self.timestamp_header is None:
            problem = "scheme 'standard' signs a timestamp: timestamp_header names its header"
            remedy = "Name the header, or write scheme: hmac-sha256-hex."
            refuse([Contradiction((), problem, remedy, at=("timestamp_header",))])
        return self


# ---- words ----------------------------------------------------------------------------------------------------------


class ClarityOrderState(StrEnum):
    """What an order's status at Clarity means."""

    PROCESSING = "processing"
    """To be fulfilled: the order goes to Sage."""
    PENDING_PAYMENT = "pending_payment"
    ON_HOLD = "on_hold"
    SHIPPED = "shipped"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class AlsoCalled(Section):
    """Further names that a store uses for a state, besides the one that this integration writes."""

    processing: tuple[str, ...] = ("Pending",)
    """Further names of orders that are to be fulfilled."""
    pending_payment: tuple[str, ...] = ()
    """Further names of orders that wait for their payment."""
    on_hold: tuple[str, ...] = ()
    """Further names of orders that the store keeps back."""
    shipped: tuple[str, ...] = ()
    """Further names of orders that are shipped."""
    completed: tuple[str, ...] = ()
    """Further names of orders that are finished."""
    cancelled: tuple[str, ...] = ()
    """Further names of orders that are cancelled."""


class ClarityStatuses(Section):
    """Clarity's names for the states that this integration sets or reads."""

    processing: str = "Processing"
    """An order that Sage has, written when it was created there; one that arrives with it is to be fulfilled."""
    pending_payment: str = "Pending Payment"
    """An order that waits for its payment: recorded, and started by the event that ends the wait."""
    on_hold: str = "On Hold"
    """An order that the store keeps back: recorded, and started by the event that ends the hold."""
    shipped: str = "Shipped"
    """An order whose every quantity is shipped; written with the last shipment."""
    completed: str = "Completed"
    """An order that is finished."""
    cancelled: str = "Cancelled"
    """An order that is cancelled; written when it was cancelled here."""
    shipment_void: str = "Void"
    """A shipment whose invoice was deleted in Sage before it was posted."""
    also: AlsoCalled = AlsoCalled()
    """Further names of the same states, none of which is ever written."""

    @property
    def states(self) -> dict[str, ClarityOrderState]:
        """Every known name, in small letters → what it means."""
        return {name: state for state in ClarityOrderState for name in self._names(state)}

    def _names(self, state: ClarityOrderState) -> set[str]:
        return {name.strip().casefold() for name in (getattr(self, state), *getattr(self.also, state))}

    @model_validator(mode="after")
    def _a_name_means_one_state(self) -> "ClarityStatuses":
        refuse(self._contradictions())
        return self

    def _contradictions(self) -> Iterator[Contradiction]:
        meanings: dict[str, tuple[ClarityOrderState, tuple[str, ...]]] = {}
        for state in ClarityOrderState:
            names: list[tuple[str, tuple[str, ...]]] = [(getattr(self, state), (state.value,))]
            names += [(name, ("also", state.value)) for name in getattr(self.also, state)]
            for written, key in names:
                name = written.strip().casefold()
                first, first_key = meanings.setdefault(name, (state, key))
                if not name:
                    yield Contradiction(key, "is empty", "Write the status as Clarity calls it, or remove the key.")
                elif first is not state:
                    problem = f"{name!r} stands for both {first.value} and {state.value}"
                    # What is written is wrong, not what was left out.
                    where = key if key[0] in self.model_fields_set else first_key
                    yield Contradiction(where, problem, "A status means one state: remove it from one of the two.")


class Words(Section):
    """A closed set of the contract's values with the release's word for each."""

    @property
    def contract_words(self) -> dict[str, str]:
        """The release's word, in small letters → the contract's."""
        return {theirs.casefold(): self.contract_word(name) for name, theirs in self.model_dump().items()}

    @classmethod
    def contract_word(cls, name: str) -> str:
        """The contract's value behind a key."""
        return name

    @model_validator(mode="after")
    def _a_word_means_one_thing(self) -> "Words":
        seen: dict[str, str] = {}
        refuse(
            Contradiction(
                (name if name in self.model_fields_set else seen[theirs.casefold()],),
                f"{theirs!r} stands for both {seen[theirs.casefold()]} and {name}",
                "Write another word for one of the two.",
            )
            for name, theirs in self.model_dump().items()
            if seen.setdefault(theirs.casefold(), name) != name
        )
        return self


class ClarityEvents(Words):
    """Types of webhooks."""

    order_created: str = "order.created"
    """The release's type of a webhook about a new order."""
    order_updated: str = "order.updated"
    """The release's type of a webhook about a changed order."""
    order_cancelled: str = "order.cancelled"
    """The release's type of a webhook about a cancelled order."""
    customer_updated: str = "customer.updated"
    """The release's type of a webhook about a changed customer."""

    product_updated: str = "product.updated"
    """The release's type of a webhook about a new or changed product."""

    @classmethod
    def contract_word(cls, name: str) -> str:
        """`order_created` → `order.created`."""
        return name.replace("_", ".")


class PaymentTypes(Words):
    """Types of payments."""

    authorize: str = "authorize"
    """The release's word for money that is reserved and not taken."""
    capture: str = "capture"
    """The release's word for money that is taken."""
    refund: str = "refund"
    """The release's word for money that is given back."""
    void: str = "void"
    """The release's word for what takes back a capture or an authorisation."""
    chargeback: str = "chargeback"
    """The release's word for money that the buyer's bank took back: it goes to the accounting list."""


class CapturedBy(StrEnum):
    """Who takes the buyer's money that was authorized."""

    CLARITY = "clarity"
    """The store, when the order reaches the status: setting it from here moves money."""
    GATEWAY = "gateway"
    """The payment gateway, by its own rule."""
    BY_HAND = "by_hand"
    """A person."""


class Captures(Section):
    """When authorized payments are captured, and by whom: asked of every site, so neither has a default."""

    status: str = Field(min_length=1)
    """The order's status at which the money is taken."""
    by: CapturedBy
    """Who takes it."""


# ---- field names ----------------------------------------------------------------------------------------------------


class Names(Section):
    """The release's name for each field of one object of the contract."""

    @model_validator(mode="after")
    def _one_name_each(self) -> "Names":
        seen: dict[str, str] = {}
        refuse(
            Contradiction(
                (),
                f"{seen[name]} and {field} are both called {name!r}",
                "Name the release's own field for each; null for what it has not.",
                at=(field,),
            )
            for field, name in self.model_dump().items()
            if name not in (None, HERE) and seen.setdefault(name, field) != field
        )
        return self


class EventNames(Names):
    """The envelope of a webhook."""

    type: FieldName = "type"
    """What happened; its words are `events`."""
    timestamp: FieldName = "timestamp"
    """When it happened."""
    data: FieldName = "data"
    """The order, or the product."""


class OrderNames(Names):
    """An order, as sent and as read."""

    id: FieldName = "id"
    """The store's id of the order; Sage's UDF_WEB_ORDER_ID."""
    number: FieldName = "number"
    """What the buyer knows the order by."""
    status: FieldName = "status"
    """The order's status; its words are `statuses`."""
    createdDate: FieldName = "createdDate"
    """The instant of checkout."""
    updatedDate: FieldName = "updatedDate"
    """The instant of the last change."""
    currency: FieldName = "currency"
    """ISO 4217 code of all amounts."""
    customer: ObjectName = "customer"
    """The buyer."""
    billingAddress: ObjectName = "billingAddress"
    """Where the invoice goes; without, the shipping address counts."""
    shippingAddress: ObjectName = "shippingAddress"
    """Where the goods go."""
    items: FieldName = "items"
    """What was ordered."""
    shipping: ObjectName = "shipping"
    """How it is sent, and what that costs."""
    discounts: FieldName = "discounts"
    """Discounts on the whole order."""
    fees: FieldName = "fees"
    """Charges beside the items, such as gift wrap."""
    totals: ObjectName = "totals"
    """The sums that the buyer saw."""
    payments: FieldName = "payments"
    """What happened to the money."""
    purchaseOrderNumber: FieldName = "purchaseOrderNumber"
    """The buyer's purchase order number; Sage's CustomerPONo where it fits."""
    requestedShipDate: FieldName = "requestedShipDate"
    """The day on which the buyer wants it sent; Sage's ShipExpireDate."""
    notes: FieldName = "notes"
    """The buyer's notes."""
    attributes: FieldName = "attributes"
    """Custom fields of the order: `attributes&['gift_message']` in expressions."""
    externalReference: FieldName = "externalReference"
    """Written: the SalesOrderNo."""
    invoiceReferences: FieldName = "invoiceReferences"
    """Written: the invoices of the order."""
    cancelledItems: FieldName = "cancelledItems"
    """Written: quantities that will not come."""
    refundsDue: FieldName = "refundsDue"
    """Written: credit memos of the order in Sage, for information."""


class CustomerNames(Names):
    """A customer, alone or inside an order."""

    id: FieldName = "id"
    """The store's id of the customer; Sage's UDF_WEB_CUSTOMER_ID."""
    email: FieldName = "email"
    """The customer's e-mail address."""
    firstName: FieldName = "firstName"
    """First name."""
    lastName: FieldName = "lastName"
    """Last name."""
    company: FieldName = "company"
    """The customer's company."""
    phone: FieldName = "phone"
    """Telephone number."""
    accountNumber: FieldName = "accountNumber"
    """Sage account (`01-ABF`) of a signed-in buyer."""
    taxExemptNo: FieldName = "taxExemptNo"
    """Exemption number; Sage's TaxExemptNo."""
    externalReference: FieldName = "externalReference"
    """The account in Sage: written here once, and read with later orders."""


class CustomerRecordNames(Names):
    """What a customer's own record has beside the fields of `customer`; orders do not hold it."""

    billingAddress: FieldName = "billingAddress"
    """Where invoices go."""
    shippingAddresses: FieldName = "shippingAddresses"
    """The list of addresses that goods may go to."""
    attributes: FieldName = "attributes"
    """Custom fields of the customer; those that Sage owns are written here."""
    updatedDate: FieldName = "updatedDate"
    """The instant of the last change."""


class AddressNames(Names):
    """A billing or shipping address."""

    name: FieldName = "name"
    """The person's name."""
    company: FieldName = "company"
    """The company's name; in Sage it stands for the person's."""
    line1: FieldName = "line1"
    """Street and number."""
    line2: FieldName = "line2"
    """Apartment, suite, building."""
    line3: FieldName = "line3"
    """A third line."""
    city: FieldName = "city"
    """City."""
    region: FieldName = "region"
    """State or province, as a code or written out."""
    postalCode: FieldName = "postalCode"
    """ZIP or postal code."""
    country: FieldName = "country"
    """Country, as a code or written out."""
    phone: FieldName = "phone"
    """Telephone number at this address."""
    residential: FieldName = "residential"
    """Whether it is a private house; Sage's ResidentialAddress."""


class ItemNames(Names):
    """An item of an order."""

    id: FieldName = "id"
    """The store's id of the line; Sage's UDF_WEB_LINE_ID."""
    sku: FieldName = "sku"
    """The product's code in the store."""
    name: FieldName = "name"
    """The product's name in the store."""
    quantity: FieldName = "quantity"
    """How many."""
    unitPrice: FieldName = "unitPrice"
    """Price of one, before discount and tax."""
    discount: FieldName = "discount"
    """Discount on the whole line, positive."""
    tax: FieldName = "tax"
    """Tax of the whole line."""
    taxable: FieldName = "taxable"
    """Whether the line is taxed."""
    attributes: FieldName = "attributes"
    """Custom fields of the line: `line.attributes&['engraving']` in expressions."""


class DeliveryNames(Names):
    """`shipping` of an order."""

    method: FieldName = "method"
    """Shipping method; `order.ship_via[].method`."""
    carrier: FieldName = "carrier"
    """Carrier; `order.ship_via[].carrier`."""
    amount: FieldName = "amount"
    """What shipping costs, before tax."""
    tax: FieldName = "tax"
    """Tax on shipping."""


class DiscountNames(Names):
    """A discount of an order."""

    code: FieldName = "code"
    """Code of the coupon or promotion."""
    amount: FieldName = "amount"
    """Positive; reduces the total."""


class FeeNames(Names):
    """A fee of an order."""

    code: FieldName = "code"
    """Code of the fee, as `charges.fees` names it."""
    name: FieldName = "name"
    """The fee's name."""
    amount: FieldName = "amount"
    """What it costs."""
    taxable: FieldName = "taxable"
    """Whether it is taxed."""


class TotalsNames(Names):
    """`totals` of an order."""

    items: FieldName = "items"
    """Quantities times prices, before discounts."""
    discount: FieldName = "discount"
    """All discounts, positive."""
    shipping: FieldName = "shipping"
    """Shipping, before tax."""
    tax: FieldName = "tax"
    """All tax."""
    fees: FieldName = "fees"
    """All fees."""
    grand: FieldName = "grand"
    """What the buyer pays: Sage's order total must equal it."""


class PaymentNames(Names):
    """A payment of an order."""

    gateway: FieldName = "gateway"
    """The gateway's name, as `payments[].gateway` has it."""
    method: FieldName = "method"
    """The gateway's method, as `payments[].method` has it."""
    transactionId: FieldName = "transactionId"
    """The gateway's id of the movement."""
    authorizationCode: FieldName = "authorizationCode"
    """Code of the authorisation."""
    type: FieldName = "type"
    """What happened; its words are `payment_types`."""
    amount: FieldName = "amount"
    """Positive, whatever the type."""
    currency: FieldName = "currency"
    """ISO 4217 code of the amount."""
    last4: FieldName = "last4"
    """Last four digits of the card; not read."""
    date: FieldName = "date"
    """The instant of the movement."""
    orderId: FieldName = "orderId"
    """In the list of payments: the store's id of its order."""
    fee: FieldName = "fee"
    """What the gateway kept, where the release says so."""
    payoutId: FieldName = "payoutId"
    """The payout that it was part of, where the release says so."""


class PayoutNames(Names):
    """What a gateway transferred to the bank."""

    id: FieldName = "id"
    """The gateway's id of the payout."""
    gateway: FieldName = "gateway"
    """The gateway's name, as in payments."""
    date: FieldName = "date"
    """The day of the transfer."""
    currency: FieldName = "currency"
    """ISO 4217 code of the amounts."""
    gross: FieldName = "gross"
    """Captures less refunds."""
    fee: FieldName = "fee"
    """What the gateway kept of them."""
    net: FieldName = "net"
    """What came to the bank."""


class InvoiceReferenceNames(Names):
    """An invoice that an order is told about."""

    invoiceNo: FieldName = "invoiceNo"
    """InvoiceNo in Sage."""
    invoiceDate: FieldName = "invoiceDate"
    """Its date."""
    amount: FieldName = "amount"
    """Its total."""
    tax: FieldName = "tax"
    """Tax in it; null for a release without."""
    shipping: FieldName = "shipping"
    """Freight in it; null for a release without."""


class RefundDueNames(Names):
    """A credit memo that an order is told about."""

    creditMemoNo: FieldName = "creditMemoNo"
    """InvoiceNo of the credit memo in Sage."""
    date: FieldName = "date"
    """Its date."""
    amount: FieldName = "amount"
    """What it gives back."""
    rmaNo: FieldName = "rmaNo"
    """RMANo in Sage, when goods came back."""


class CancelledItemNames(Names):
    """A quantity that will not come."""

    orderItemId: FieldName = "orderItemId"
    """The store's id of the line."""
    quantity: FieldName = "quantity"
    """How many will not come."""
    reason: FieldName = "reason"
    """Why."""
    refundRequested: FieldName = "refundRequested"
    """Whether the store is asked to give the money back."""


class ShipmentNames(Names):
    """A shipment, as sent and as read."""

    id: FieldName = "id"
    """The store's id of the shipment."""
    orderId: FieldName = "orderId"
    """The store's id of its order."""
    externalReference: FieldName = "externalReference"
    """`{SalesOrderNo}-{InvoiceNo}-{PackageNo}`: what tells one shipment from another."""
    status: FieldName = "status"
    """The shipment's status; `statuses.shipment_void` when it is void."""
    carrier: FieldName = "carrier"
    """Carrier."""
    service: FieldName = "service"
    """The carrier's service."""
    trackingNumber: FieldName = "trackingNumber"
    """Tracking number."""
    trackingUrl: FieldName = "trackingUrl"
    """Where the buyer can follow it, from `order.ship_via[].tracking_url`."""
    shippedDate: FieldName = "shippedDate"
    """The day on which it left."""
    items: FieldName = "items"
    """What is in it."""


class ShipmentItemNames(Names):
    """A quantity of an order's item inside a shipment."""

    orderItemId: FieldName = "orderItemId"
    """The store's id of the line."""
    quantity: FieldName = "quantity"
    """How many of it are in this shipment."""


class ProductNames(Names):
    """A product, as sent and as read."""

    id: FieldName = "id"
    """The store's id of the product."""
    sku: FieldName = "sku"
    """The product's code; Sage's ItemCode, an alias, or an entry of `items`."""
    name: FieldName = "name"
    """What the product is called."""
    description: FieldName = "description"
    """What is written about it."""
    price: FieldName = "price"
    """What one costs."""
    listPrice: FieldName = "listPrice"
    """What one costs elsewhere, struck out."""
    active: FieldName = "active"
    """Whether it is for sale."""
    weight: FieldName = "weight"
    """What one weighs."""
    taxCode: FieldName = "taxCode"
    """How it is taxed."""
    updatedDate: FieldName = "updatedDate"
    """The instant of the last change."""
    attributes: FieldName = "attributes"
    """Custom fields of the product: `attributes.colour` in `products.fields`."""


class InventoryBatchNames(Names):
    """A batch of quantities, and the answer to it."""

    items: FieldName = "items"
    """The quantities."""
    rejected: FieldName = "rejected"
    """Of the answer: those that were not taken."""


class InventoryLevelNames(Names):
    """The quantity of one product in one warehouse."""

    sku: FieldName = "sku"
    """The product's code in the store."""
    warehouse: FieldName = "warehouse"
    """The store's name of the warehouse; null where the store has one stock."""
    quantityAvailable: FieldName = "quantityAvailable"
    """How many may be sold."""


class InventoryRejectionNames(Names):
    """A quantity that was not taken."""

    sku: FieldName = "sku"
    """The product's code, as it was sent."""
    warehouse: FieldName = "warehouse"
    """The warehouse, as it was sent."""
    message: FieldName = "message"
    """Why."""


class Kind(StrEnum):
    """The objects of the contract; the values are the keys of `fields`."""

    EVENT = "event"
    ORDER = "order"
    CUSTOMER = "customer"
    CUSTOMER_RECORD = "customer_record"
    ADDRESS = "address"
    ITEM = "item"
    SHIPPING = "shipping"
    DISCOUNT = "discount"
    FEE = "fee"
    TOTALS = "totals"
    PAYMENT = "payment"
    PAYOUT = "payout"
    INVOICE_REFERENCE = "invoice_reference"
    CANCELLED_ITEM = "cancelled_item"
    REFUND_DUE = "refund_due"
    SHIPMENT = "shipment"
    SHIPMENT_ITEM = "shipment_item"
    PRODUCT = "product"
    INVENTORY_BATCH = "inventory_batch"
    INVENTORY_LEVEL = "inventory_level"
    INVENTORY_REJECTION = "inventory_rejection"


INSIDE: dict[Kind, dict[str, Kind]] = {
    Kind.EVENT: {"data": Kind.ORDER},
    Kind.ORDER: {
        "customer": Kind.CUSTOMER,
        "billingAddress": Kind.ADDRESS,
        "shippingAddress": Kind.ADDRESS,
        "items": Kind.ITEM,
        "shipping": Kind.SHIPPING,
        "discounts": Kind.DISCOUNT,
        "fees": Kind.FEE,
        "totals": Kind.TOTALS,
        "payments": Kind.PAYMENT,
        "invoiceReferences": Kind.INVOICE_REFERENCE,
        "cancelledItems": Kind.CANCELLED_ITEM,
        "refundsDue": Kind.REFUND_DUE,
    },
    Kind.CUSTOMER_RECORD: {"billingAddress": Kind.ADDRESS, "shippingAddresses": Kind.ADDRESS},
    Kind.SHIPMENT: {"items": Kind.SHIPMENT_ITEM},
    Kind.INVENTORY_BATCH: {"items": Kind.INVENTORY_LEVEL, "rejected": Kind.INVENTORY_REJECTION},
}
"""Which field of an object holds which objects."""

OF_PRODUCTS = ("product.updated",)
"""Events whose `data` is a product; that of all others is an order."""


class ClarityFields(Section):
    """Field names by object."""

    event: EventNames = EventNames()
    order: OrderNames = OrderNames()
    customer: CustomerNames = CustomerNames()
    customer_record: CustomerRecordNames = CustomerRecordNames()
    address: AddressNames = AddressNames()
    item: ItemNames = ItemNames()
    shipping: DeliveryNames = DeliveryNames()
    discount: DiscountNames = DiscountNames()
    fee: FeeNames = FeeNames()
    totals: TotalsNames = TotalsNames()
    payment: PaymentNames = PaymentNames()
    payout: PayoutNames = PayoutNames()
    invoice_reference: InvoiceReferenceNames = InvoiceReferenceNames()
    cancelled_item: CancelledItemNames = CancelledItemNames()
    refund_due: RefundDueNames = RefundDueNames()
    shipment: ShipmentNames = ShipmentNames()
    shipment_item: ShipmentItemNames = ShipmentItemNames()
    product: ProductNames = ProductNames()
    inventory_batch: InventoryBatchNames = InventoryBatchNames()
    inventory_level: InventoryLevelNames = InventoryLevelNames()
    inventory_rejection: InventoryRejectionNames = InventoryRejectionNames()

    def of(self, kind: Kind) -> dict[str, str | None]:
        """The contract's field → the release's path."""
        table: Names = getattr(self, kind.value)
        return dict(table)

    def paths(self, kind: Kind) -> Iterator[str]:
        """Every path that is read from an object of this kind, those of its unnested objects too."""
        for field, path in self.of(kind).items():
            if path == HERE:
                yield from self.paths(INSIDE[kind][field])
            elif path is not None:
                yield path

    @model_validator(mode="after")
    def _one_meaning_each(self) -> "ClarityFields":
        for kind in INSIDE:
            seen: set[str] = set()
            for path in self.paths(kind):
                if path in seen:
                    problem = f"two fields that stand in one {kind.value} are called {path!r}"
                    remedy = "Name the release's own field for each; null for what it has not."
                    refuse([Contradiction((), problem, remedy, at=(kind.value,))])
                seen.add(path)
        return self


class ClarityProfile(Section):
    """The Clarity release of this site."""

    auth: AuthScheme = AuthScheme.OAUTH
    """How to sign in; the credentials are settings, never in this file."""
    scope: str = ""
    """OAuth scope that is asked for, with `auth: oauth`."""
    login: Login = Login()
    headers: ClarityHeaders = ClarityHeaders()
    routes: ClarityRoutes = ClarityRoutes()
    methods: ClarityMethods = ClarityMethods()
    paging: Paging = Paging()
    filters: ClarityFilters = ClarityFilters()
    errors: ErrorAnswer = ErrorAnswer()
    fields: ClarityFields = ClarityFields()
    statuses: ClarityStatuses = ClarityStatuses()
    events: ClarityEvents = ClarityEvents()
    payment_types: PaymentTypes = PaymentTypes()
    captures: Captures | None = None
    """When authorised payments are captured, and by whom; without, nothing is said about it."""
    webhook: Webhook = Webhook()
    webhook_tolerance_seconds: int = Field(default=300, ge=1)
    """Webhooks whose timestamp is further from now are refused."""
    inventory_batch: int = Field(default=500, ge=1, le=10_000)
    """Stock quantities that one request may hold, and one page of their list."""
    maintenance: list[MaintenanceWindow] = []
    """When the store is not called, in the company's time zone (docs/outages.md)."""
    steps_per_second: float | None = Field(default=None, gt=0)
    """At most so many steps towards Clarity begin in a second; most make one to three calls. Without, no limit."""

    @property
    def speaks_the_contract(self) -> bool:
        """Whether nothing needs to be translated."""
        return (self.fields, self.events, self.payment_types) == (
            CONTRACT.fields,
            CONTRACT.events,
            CONTRACT.payment_types,
        )


CONTRACT = ClarityProfile()
"""The profile of docs/openapi/clarity.yaml itself."""


# ---- translation ----------------------------------------------------------------------------------------------------

_ABSENT = object()


def to_contract(body: Any, kind: Kind, profile: ClarityProfile) -> Any:
    """What the release sent, in the contract's words. Fields that the profile does not name stay under their names."""
    return body if profile.speaks_the_contract else _read(body, kind, profile)


def customer_to_contract(body: Any, profile: ClarityProfile) -> Any:
    """A customer's own record: the fields that it has inside an order, too, and those of the record alone."""
    return to_contract(to_contract(body, Kind.CUSTOMER, profile), Kind.CUSTOMER_RECORD, profile)


def from_contract(body: Mapping[str, Any], kind: Kind, profile: ClarityProfile) -> dict[str, Any]:
    """A request's body in the release's words; what the release has no field for is left out."""
    result: dict[str, Any] = {}
    names = profile.fields.of(kind)
    for field, value in body.items():
        path = names.get(field, field)
        inside = INSIDE.get(kind, {}).get(field)
        if inside is not None:
            value = _each(value, lambda one, inside=inside: from_contract(one, inside, profile))  # noqa: PLW2901
        if path == HERE:
            result |= value
        elif path is not None:
            _put(result, path, value)
    return result


def value_at(body: Any, path: str) -> Any:
    """What stands at a dotted path; raises KeyError."""
    value = _at(body, path)
    if value is _ABSENT:
        raise KeyError(path)
    return value


def put_at(path_values: Mapping[str, Any]) -> dict[str, Any]:
    """An object with values at dotted paths."""
    result: dict[str, Any] = {}
    for path, value in path_values.items():
        _put(result, path, value)
    return result


def with_release_names(problems: Iterable[Problem], profile: ClarityProfile) -> list[Problem]:
    """Problems that also say what the store calls the field; `field` stays the contract's, which corrections use."""
    told = []
    for problem in problems:
        name = release_path(problem.field, profile)
        if name not in ("", problem.field):
            problem = problem.model_copy(update={"message": f"{problem.message} (in the store: {name})"})  # noqa: PLW2901
        told.append(problem)
    return told


def release_path(field: str, profile: ClarityProfile) -> str:
    """`data.items[2].sku` as the release calls it; empty for what is no field of an order's event."""
    parts: list[str] = []
    kind: Kind | None = Kind.EVENT
    for part in field.split("."):
        name, bracket, index = part.partition("[")
        names = {} if kind is None else profile.fields.of(kind)
        if name not in names and not parts:
            return ""
        path = names.get(name, name)
        if path is None:
            return ""
        if path != HERE:
            parts.append(path + bracket + index)
        kind = None if kind is None else INSIDE.get(kind, {}).get(name)
    return ".".join(parts)


def _read(body: Any, kind: Kind, profile: ClarityProfile, *, beside: bool = False) -> Any:
    """`beside`: the fields stand among those of the outer object, which keeps what is left."""
    if not isinstance(body, Mapping):
        return body
    names = profile.fields.of(kind)
    result: dict[str, Any] = {}
    if not beside:
        read = {path.partition(".")[0] for path in profile.fields.paths(kind)}
        result = {name: value for name, value in body.items() if name not in read and name not in names}
    for field, path in names.items():
        inside = INSIDE.get(kind, {}).get(field)
        if path is None:
            continue
        if path == HERE and inside is not None:
            inner = _read(body, inside, profile, beside=True)
            if inner:
                result[field] = inner
            continue
        value = _at(body, path)
        if value is not _ABSENT:
            result[field] = value
    if kind is Kind.PAYMENT:
        _reword(result, profile.payment_types)
    if kind is Kind.EVENT:
        _reword(result, profile.events)
        if result.get("type") == CONTRACT.events.customer_updated and "data" in result:
            return result | {"data": customer_to_contract(result["data"], profile)}
        if result.get("type") not in CONTRACT.events.model_dump().values():
            return result
        if result["type"] in OF_PRODUCTS:
            data = result.get("data")
            return {**result, "data": _read(data, Kind.PRODUCT, profile)} if isinstance(data, Mapping) else result
    for field, inside in INSIDE.get(kind, {}).items():
        if field in result and names[field] != HERE:
            result[field] = _each(result[field], lambda one, inside=inside: _read(one, inside, profile))
    return result


def _reword(result: dict[str, Any], words: Words) -> None:
    value = result.get("type")
    if isinstance(value, str):
        result["type"] = words.contract_words.get(value.strip().casefold(), value)


def _each(value: Any, change: Any) -> Any:
    if isinstance(value, list):
        return [change(one) if isinstance(one, Mapping) else one for one in value]
    return change(value) if isinstance(value, Mapping) else value


def _at(body: Any, path: str) -> Any:
    for name in path.split("."):
        if not isinstance(body, Mapping) or name not in body:
            return _ABSENT
        body = body[name]
    return body


def _put(result: dict[str, Any], path: str, value: Any) -> None:
    *outer, last = path.split(".")
    for name in outer:
        inner = result.get(name)
        if not isinstance(inner, dict):
            inner = result[name] = {}
        result = inner
    result[last] = value
