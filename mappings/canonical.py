"""The canonical order: what a web order is to this project, whichever release of Clarity sent it.

In: nothing (models only). Out: `Order` and its parts, with amounts as `Decimal` in the order's currency, quantities
in the web shop's unit, instants timezone-aware. The names are plain English; Clarity's field names end at the parser.
"""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from mappings.frozen import Frozen


class Address(Frozen):
    """A postal address as the buyer typed it; `country` is ISO 3166-1 alpha-2, `region` as delivered."""

    name: str = ""
    company: str = ""
    line1: str = ""
    line2: str = ""
    line3: str = ""
    city: str = ""
    region: str = ""
    postal_code: str = ""
    country: str = ""
    phone: str = ""
    residential: bool | None = None


class Buyer(Frozen):
    """Who ordered. `account_no` and `customer_reference` are the only keys that may name an account with terms."""

    clarity_id: str = ""
    email: str = ""
    first_name: str = ""
    last_name: str = ""
    company: str = ""
    phone: str = ""
    account_no: str = ""
    """Sage account (`01-ABF`) of a signed-in buyer; Clarity's `accountNumber`."""
    customer_reference: str = ""
    """The cross-reference this integration stored at Clarity earlier; Clarity's `externalReference`."""
    tax_exempt_no: str = ""


class OrderLine(Frozen):
    """One ordered item: `quantity` × `unit_price` − `discount` is what the buyer saw for the line, before tax."""

    item_id: str
    sku: str
    name: str = ""
    quantity: Decimal
    unit_price: Decimal
    discount: Decimal = Decimal(0)
    tax: Decimal = Decimal(0)
    taxable: bool = True
    attributes: dict[str, str] = {}


class Discount(Frozen):
    """A discount on the whole order; `amount` is positive and reduces the total."""

    code: str = ""
    amount: Decimal


class Fee(Frozen):
    """A charge beside the items, such as gift wrap."""

    code: str
    name: str = ""
    amount: Decimal
    taxable: bool = True


class Delivery(Frozen):
    """How the buyer wants it sent, and what was charged for it."""

    method: str = ""
    carrier: str = ""
    amount: Decimal = Decimal(0)
    tax: Decimal = Decimal(0)


class Totals(Frozen):
    """The sums the buyer saw; `grand` is what Sage's order total must equal, to the penny."""

    items: Decimal
    discount: Decimal = Decimal(0)
    shipping: Decimal = Decimal(0)
    tax: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)
    grand: Decimal


class PaymentType(StrEnum):
    """What happened to the money. Only `capture` (less `refund`) is money; an authorisation is a reference."""

    AUTHORIZE = "authorize"
    CAPTURE = "capture"
    REFUND = "refund"
    VOID = "void"


class Payment(Frozen):
    """One movement at a payment gateway; never card data."""

    gateway: str
    method: str = ""
    transaction_id: str = ""
    authorization_code: str = ""
    type: PaymentType
    amount: Decimal
    currency: str
    date: datetime | None = None


class Order(Frozen):
    """A web order. `created` is the instant of checkout; amounts are in `currency` (ISO 4217)."""

    order_id: str
    number: str
    status: str = ""
    created: datetime
    updated: datetime | None = None
    currency: str
    buyer: Buyer
    billing: Address
    shipping: Address
    lines: list[OrderLine]
    delivery: Delivery
    discounts: list[Discount] = []
    fees: list[Fee] = []
    totals: Totals
    payments: list[Payment] = []
    purchase_order_number: str = ""
    requested_ship_date: date | None = None
    notes: str = ""
    attributes: dict[str, str] = {}

    @property
    def captured(self) -> Decimal:
        """Money taken: captures less refunds, in the order's currency (rules 5: only captured amounts are money)."""
        return sum(
            (
                payment.amount if payment.type is PaymentType.CAPTURE else -payment.amount
                for payment in self.payments
                if payment.type in (PaymentType.CAPTURE, PaymentType.REFUND)
            ),
            Decimal(0),
        )
