"""The Clarity release of a site as data (section `clarity` of a pair file), and the translation that it drives.

In: JSON as the release sends it. Out: the same in the contract's words (docs/openapi/clarity.yaml), and back. Inside,
the application speaks the contract only: the connector and the webhook edge translate, nothing else does. The defaults
are the contract itself. Status names stay the release's own: `statuses` says which is which. Pure; translation never
raises: what has another shape than expected stays as it is, and is told as a problem when the order is read.
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mappings.problems import Problem


class Section(BaseModel):
    """A section of a pair file: immutable, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


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
    LOGIN = "login"
    """User and password as JSON to `routes.token`, answered by a JWT. Uses the settings of client id and secret."""


class ClarityRoutes(Section):
    """Paths of Clarity's API; `{id}` is replaced."""

    token: str = "/oauth/token"
    orders: str = "/api/v1/orders"
    order: str = "/api/v1/orders/{id}"
    shipments: str = "/api/v1/shipments"
    shipment: str = "/api/v1/shipments/{id}"
    customer: str = "/api/v1/customers/{id}"


UpdateMethod = Literal["PATCH", "PUT", "POST"]


class ClarityMethods(Section):
    """How changes are sent; the body holds what changes and nothing else, whatever the method."""

    order: UpdateMethod = "PATCH"
    shipment: UpdateMethod = "PATCH"
    customer: UpdateMethod = "PATCH"


class ClarityHeaders(Section):
    """Names of the headers that carry credentials, and headers that every request carries."""

    api_key: Header = "X-API-Key"
    token: Header = "Authorization"
    token_prefix: str = "Bearer "
    fixed: dict[Header, str] = {}
    """A brand, a tenant, a language; never a secret."""


class Login(Section):
    """Names of a login's request and answer."""

    user: Name = "userName"
    password: Name = "password"
    token: Name = "token"
    lifetime: FieldName = None
    """Seconds in the answer; without, the JWT's own `exp` and `iat` tell."""


class Paging(Section):
    """How lists are paged."""

    first_page: int = 0
    page_size: int = Field(default=50, ge=1, le=1000)
    page_parameter: str = "pageIndex"
    size_parameter: str = "pageSize"
    items_field: Name = "items"
    total_field: Name = "totalCount"


class ClarityFilters(Section):
    """Query parameters that narrow lists. A filter may find too much (`…Contains`): the connector looks again."""

    updatedDateMin: str = "updatedDateMin"
    orderId: str = "orderId"


class ErrorAnswer(Section):
    """Where an error answer says what is wrong."""

    message: Name = "error.message"
    details: Name = "error.details"
    field: Name = "field"
    text: Name = "message"


class SignatureScheme(StrEnum):
    """How webhooks are signed."""

    STANDARD = "standard"
    """Standard Webhooks 1.0: base64 HMAC-SHA256 of `{id}.{timestamp}.{body}`, secrets `whsec_…`."""
    HMAC_SHA256_HEX = "hmac-sha256-hex"
    """Hex HMAC-SHA256 of `{timestamp}.{body}`, or of the body alone; secrets are used as they are written."""


class Webhook(Section):
    """The signature of webhooks."""

    scheme: SignatureScheme = SignatureScheme.STANDARD
    id_header: Header = "webhook-id"
    """Scheme `standard` only: the other one signs no id, so the signed content is its own id."""
    timestamp_header: Header | None = "webhook-timestamp"
    """Seconds since 1970. null, in the hex scheme: the body alone is signed, and its age is not known."""
    signature_header: Header = "webhook-signature"
    signature_prefix: str = Field(default="", pattern=r"^[^,\s]*$")
    """Scheme `hmac-sha256-hex`: what stands before the hex digits, such as `sha256=`."""

    @model_validator(mode="after")
    def _standard_has_a_timestamp(self) -> "Webhook":
        if self.scheme is SignatureScheme.STANDARD and self.timestamp_header is None:
            raise ValueError("scheme 'standard' signs a timestamp: timestamp_header names its header")
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
    pending_payment: tuple[str, ...] = ()
    on_hold: tuple[str, ...] = ()
    shipped: tuple[str, ...] = ()
    completed: tuple[str, ...] = ()
    cancelled: tuple[str, ...] = ()


class ClarityStatuses(Section):
    """Clarity's names for the states that this integration sets or reads."""

    processing: str = "Processing"
    pending_payment: str = "Pending Payment"
    on_hold: str = "On Hold"
    shipped: str = "Shipped"
    completed: str = "Completed"
    cancelled: str = "Cancelled"
    shipment_void: str = "Void"
    also: AlsoCalled = AlsoCalled()

    @property
    def states(self) -> dict[str, ClarityOrderState]:
        """Every known name, in small letters → what it means."""
        return {name: state for state in ClarityOrderState for name in self._names(state)}

    def _names(self, state: ClarityOrderState) -> set[str]:
        return {name.strip().casefold() for name in (getattr(self, state), *getattr(self.also, state))}

    @model_validator(mode="after")
    def _a_name_means_one_state(self) -> "ClarityStatuses":
        meanings: dict[str, ClarityOrderState] = {}
        for state in ClarityOrderState:
            for name in self._names(state):
                if meanings.setdefault(name, state) is not state:
                    raise ValueError(f"{name!r} stands for both {meanings[name].value} and {state.value}")
        return self


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


class ClarityEvents(Words):
    """Types of webhooks."""

    order_created: str = "order.created"
    order_updated: str = "order.updated"
    order_cancelled: str = "order.cancelled"

    @classmethod
    def contract_word(cls, name: str) -> str:
        """`order_created` → `order.created`."""
        return name.replace("_", ".")


class PaymentTypes(Words):
    """Types of payments."""

    authorize: str = "authorize"
    capture: str = "capture"
    refund: str = "refund"
    void: str = "void"


class CapturedBy(StrEnum):
    """Who takes the buyer's money that was authorized."""

    CLARITY = "clarity"
    """The store, when the order reaches the status: setting it from here moves money."""
    GATEWAY = "gateway"
    """The payment gateway, by its own rule."""
    BY_HAND = "by_hand"


class Captures(Section):
    """When authorized payments are captured, and by whom: asked of every site, so neither has a default."""

    status: str = Field(min_length=1)
    by: CapturedBy


# ---- field names ----------------------------------------------------------------------------------------------------


class Names(Section):
    """The release's name for each field of one object of the contract."""

    @model_validator(mode="after")
    def _one_name_each(self) -> "Names":
        seen: dict[str, str] = {}
        for field, name in self.model_dump().items():
            if name in seen:
                raise ValueError(f"{seen[name]} and {field} are both called {name!r}")
            if name not in (None, HERE):
                seen[name] = field
        return self


class EventNames(Names):
    """The envelope of a webhook."""

    type: FieldName = "type"
    timestamp: FieldName = "timestamp"
    data: FieldName = "data"


class OrderNames(Names):
    """An order, as sent and as read."""

    id: FieldName = "id"
    number: FieldName = "number"
    status: FieldName = "status"
    createdDate: FieldName = "createdDate"
    updatedDate: FieldName = "updatedDate"
    currency: FieldName = "currency"
    customer: ObjectName = "customer"
    billingAddress: ObjectName = "billingAddress"
    shippingAddress: ObjectName = "shippingAddress"
    items: FieldName = "items"
    shipping: ObjectName = "shipping"
    discounts: FieldName = "discounts"
    fees: FieldName = "fees"
    totals: ObjectName = "totals"
    payments: FieldName = "payments"
    purchaseOrderNumber: FieldName = "purchaseOrderNumber"
    requestedShipDate: FieldName = "requestedShipDate"
    notes: FieldName = "notes"
    attributes: FieldName = "attributes"
    externalReference: FieldName = "externalReference"
    invoiceReferences: FieldName = "invoiceReferences"
    cancelledItems: FieldName = "cancelledItems"


class CustomerNames(Names):
    """A customer, alone or inside an order."""

    id: FieldName = "id"
    email: FieldName = "email"
    firstName: FieldName = "firstName"
    lastName: FieldName = "lastName"
    company: FieldName = "company"
    phone: FieldName = "phone"
    accountNumber: FieldName = "accountNumber"
    taxExemptNo: FieldName = "taxExemptNo"
    externalReference: FieldName = "externalReference"


class AddressNames(Names):
    """A billing or shipping address."""

    name: FieldName = "name"
    company: FieldName = "company"
    line1: FieldName = "line1"
    line2: FieldName = "line2"
    line3: FieldName = "line3"
    city: FieldName = "city"
    region: FieldName = "region"
    postalCode: FieldName = "postalCode"
    country: FieldName = "country"
    phone: FieldName = "phone"
    residential: FieldName = "residential"


class ItemNames(Names):
    """An item of an order."""

    id: FieldName = "id"
    sku: FieldName = "sku"
    name: FieldName = "name"
    quantity: FieldName = "quantity"
    unitPrice: FieldName = "unitPrice"
    discount: FieldName = "discount"
    tax: FieldName = "tax"
    taxable: FieldName = "taxable"
    attributes: FieldName = "attributes"


class DeliveryNames(Names):
    """`shipping` of an order."""

    method: FieldName = "method"
    carrier: FieldName = "carrier"
    amount: FieldName = "amount"
    tax: FieldName = "tax"


class DiscountNames(Names):
    """A discount of an order."""

    code: FieldName = "code"
    amount: FieldName = "amount"


class FeeNames(Names):
    """A fee of an order."""

    code: FieldName = "code"
    name: FieldName = "name"
    amount: FieldName = "amount"
    taxable: FieldName = "taxable"


class TotalsNames(Names):
    """`totals` of an order."""

    items: FieldName = "items"
    discount: FieldName = "discount"
    shipping: FieldName = "shipping"
    tax: FieldName = "tax"
    fees: FieldName = "fees"
    grand: FieldName = "grand"


class PaymentNames(Names):
    """A payment of an order."""

    gateway: FieldName = "gateway"
    method: FieldName = "method"
    transactionId: FieldName = "transactionId"
    authorizationCode: FieldName = "authorizationCode"
    type: FieldName = "type"
    amount: FieldName = "amount"
    currency: FieldName = "currency"
    last4: FieldName = "last4"
    date: FieldName = "date"


class InvoiceReferenceNames(Names):
    """An invoice that an order is told about."""

    invoiceNo: FieldName = "invoiceNo"
    invoiceDate: FieldName = "invoiceDate"
    amount: FieldName = "amount"


class CancelledItemNames(Names):
    """A quantity that will not come."""

    orderItemId: FieldName = "orderItemId"
    quantity: FieldName = "quantity"
    reason: FieldName = "reason"
    refundRequested: FieldName = "refundRequested"


class ShipmentNames(Names):
    """A shipment, as sent and as read."""

    id: FieldName = "id"
    orderId: FieldName = "orderId"
    externalReference: FieldName = "externalReference"
    status: FieldName = "status"
    carrier: FieldName = "carrier"
    service: FieldName = "service"
    trackingNumber: FieldName = "trackingNumber"
    trackingUrl: FieldName = "trackingUrl"
    shippedDate: FieldName = "shippedDate"
    items: FieldName = "items"


class ShipmentItemNames(Names):
    """A quantity of an order's item inside a shipment."""

    orderItemId: FieldName = "orderItemId"
    quantity: FieldName = "quantity"


class Kind(StrEnum):
    """The objects of the contract; the values are the keys of `fields`."""

    EVENT = "event"
    ORDER = "order"
    CUSTOMER = "customer"
    ADDRESS = "address"
    ITEM = "item"
    SHIPPING = "shipping"
    DISCOUNT = "discount"
    FEE = "fee"
    TOTALS = "totals"
    PAYMENT = "payment"
    INVOICE_REFERENCE = "invoice_reference"
    CANCELLED_ITEM = "cancelled_item"
    SHIPMENT = "shipment"
    SHIPMENT_ITEM = "shipment_item"


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
    },
    Kind.SHIPMENT: {"items": Kind.SHIPMENT_ITEM},
}
"""Which field of an object holds which objects."""


class ClarityFields(Section):
    """Field names by object."""

    event: EventNames = EventNames()
    order: OrderNames = OrderNames()
    customer: CustomerNames = CustomerNames()
    address: AddressNames = AddressNames()
    item: ItemNames = ItemNames()
    shipping: DeliveryNames = DeliveryNames()
    discount: DiscountNames = DiscountNames()
    fee: FeeNames = FeeNames()
    totals: TotalsNames = TotalsNames()
    payment: PaymentNames = PaymentNames()
    invoice_reference: InvoiceReferenceNames = InvoiceReferenceNames()
    cancelled_item: CancelledItemNames = CancelledItemNames()
    shipment: ShipmentNames = ShipmentNames()
    shipment_item: ShipmentItemNames = ShipmentItemNames()

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
                    raise ValueError(f"two fields that stand in one {kind.value} are called {path!r}")
                seen.add(path)
        return self


class ClarityProfile(Section):
    """The Clarity release of this site."""

    auth: AuthScheme = AuthScheme.OAUTH
    scope: str = ""
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
    webhook: Webhook = Webhook()
    webhook_tolerance_seconds: int = Field(default=300, ge=1)

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
        if result.get("type") not in CONTRACT.events.model_dump().values():
            return result
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
