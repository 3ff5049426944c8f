"""What the chaos suite sends: generated orders, each with what must become of it, worked out here and nowhere else.

In: a seed and a count. Out: `Sent` records, the auditor's own knowledge of what was ordered. Sage's rates and prices
are written down here by hand; nothing of the application is used. The same seed makes the same orders.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

GOODS: dict[str, tuple[str, bool]] = {
    "DESK-OAK-120": ("349.00", True),
    "DESK-OAK-160": ("429.00", True),
    "DESK-STAND-L": ("689.00", True),
    "CHAIR-TASK-BLK": ("189.90", True),
    "CHAIR-TASK-GRY": ("189.90", True),
    "CHAIR-GUEST": ("99.95", True),
    "LAMP-LED-01": ("49.99", True),
    "LAMP-LED-02": ("119.50", True),
    "SHELF-WALL-80": ("39.00", True),
    "SHELF-STAND-5": ("149.00", True),
    "CAB-FILE-2": ("179.00", True),
    "MAT-FLOOR": ("59.90", True),
    "MON-ARM-1": ("89.00", True),
    "HUB-USB-4": ("24.90", True),
    "CABLE-HDMI-2": ("9.95", True),
    "PEN-GEL-BLU": ("1.255", True),
    "PEN-GEL-BLK": ("1.255", True),
    "PAPER-A4": ("5.875", True),
    "NOTEBOOK-A5": ("8.75", True),
    "BINDER-RED": ("4.25", True),
    "STAPLER": ("14.90", True),
    "CLOCK-WALL": ("34.50", True),
    "BOARD-WHITE": ("129.00", True),
    "MARKER-SET": ("11.25", True),
    "COFFEE-BEANS": ("17.90", False),
    "TEA-GREEN": ("7.40", False),
    "BOOK-ERGO": ("29.00", False),
}
"""SKU → Sage's price, and whether Sage taxes it."""


@dataclass(frozen=True)
class Place:
    """Where a buyer lives, and what Sage's tax schedule of the region says."""

    city: str
    region: str
    postal_code: str
    country: str
    schedule: str
    rate: str
    taxes_freight: bool


PLACES = (
    Place("Houston", "TX", "77056", "US", "TX", "8.25", True),
    Place("Dallas", "TX", "75219", "US", "TX", "8.25", True),
    Place("San Francisco", "CA", "94102", "US", "CA", "7.25", False),
    Place("Buffalo", "NY", "14201", "US", "NY", "8.875", True),
    Place("Chicago", "IL", "60614", "US", "IL", "6.25", False),
    Place("Seattle", "WA", "98104", "US", "WA", "6.5", True),
    Place("Portland", "OR", "97201", "US", "NONTAX", "0", False),
    Place("Toronto", "ON", "M5H 1K4", "CA", "ON", "13", True),
)

# fmt: off
FIRST = (
    "Ada", "Bruno", "Clara", "Dmitri", "Elena", "Felix", "Greta", "Hugo", "Ines", "Jonas", "Katya", "Lars",
    "Mona", "Nils", "Olga", "Pavel", "Quinn", "Rosa", "Sven", "Tilda", "Ugo", "Vera", "Walt", "Xenia", "Yann",
    "Zora",
)
LAST = (
    "Abbot", "Bellamy", "Corvin", "Dashwood", "Ellery", "Farrow", "Grimaldi", "Hollis", "Ibsen", "Jankowski",
    "Kessler", "Lindqvist", "Marchetti", "Nordhoff", "Okafor", "Petrov", "Quimby", "Rosenthal", "Sandoval",
    "Thackeray", "Umarov", "Vandermeer", "Whitcomb", "Xanthos", "Yarrow", "Zeller",
)
# fmt: on
STREETS = ["Cedar", "Maple", "Willow", "Juniper", "Aspen", "Birch", "Poplar", "Laurel", "Hawthorn", "Sycamore"]
CARRIERS = (("UPS", "Ground", "UPS GROUND"), ("FedEx", "2Day", "FEDEX 2DAY"), ("USPS", "Priority", "USPS PRIORITY"))
GATEWAYS = (("stripe", "STRIP"), ("paypal", "PAYPL"), ("amazon", "AMZN"))
DEALERS = (
    ("01", "ABF", "John Smith", "American Business Furniture", "buyer@abf.example.com", "01"),
    ("01", "0001100", "Paula Green", "Greenfield Offices Inc.", "purchasing@greenfield.example.com", "01"),
)
DEALER_ADDRESS = {
    "ABF": {"line1": "2131 N 14th Street", "city": "Milwaukee", "region": "WI", "postalCode": "53205", "country": "US"},
    "0001100": {
        "line1": "500 Commerce Street",
        "city": "Dallas",
        "region": "TX",
        "postalCode": "75202",
        "country": "US",
    },
}
UNTAXED = Place("", "WI", "", "US", "NONTAX", "0", False)
TEXAS = PLACES[1]

KINDS = (
    ("new", 40),
    ("shared", 16),
    ("known", 10),
    ("dealer", 16),
    ("unknown_item", 5),
    ("total_mismatch", 5),
    ("out_of_stock", 4),
    ("invalid_data", 4),
)
"""What kinds of orders there are, and how often each comes."""

HELD = ("unknown_item", "total_mismatch", "out_of_stock", "invalid_data")


@dataclass(frozen=True)
class Line:
    """Goods as ordered: the item's id at Clarity, its ItemCode at Sage, quantity and price."""

    item_id: str
    item_code: str
    quantity: Decimal
    price: Decimal


@dataclass
class Sent:
    """One order that was sent, and what must become of it."""

    order_id: str
    event: dict[str, Any]
    lines: list[Line]
    charges: dict[str, Decimal] = field(default_factory=dict)
    """ItemCode of a charge line → its amount."""
    freight: Decimal = Decimal(0)
    tax: Decimal = Decimal(0)
    total: Decimal = Decimal(0)
    deposit: Decimal = Decimal(0)
    payment_type: str = ""
    terms: str = "00"
    schedule: str = ""
    ship_via: str = ""
    customer_po_no: str = ""
    account: str = ""
    """`ARDivisionNo-CustomerNo` that Sage has already; empty for a new buyer."""
    buyer: str = ""
    """Clarity's customer id of a new buyer, which stands on exactly one account."""
    buyer_name: str = ""
    email: str = ""
    hold: str = ""
    """The reason it must be held for; empty when it must be complete."""
    parts: int = 1
    """Shipments the warehouse makes of it, where its quantities allow that."""
    packages: int = 1
    tracking: bool = True


def cents(amount: Decimal) -> Decimal:
    """Two decimals, halves away from zero."""
    return amount.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)


def generate(seed: int, count: int) -> Iterator[Sent]:
    """`count` orders; a prefix of a longer run with the same seed is the same."""
    chance = random.Random(f"orders {seed}")  # noqa: S311 - repeatable, nothing secret
    kinds, weights = zip(*KINDS, strict=True)
    buyers: list[dict[str, Any]] = []
    for number in range(1, count + 1):
        kind = chance.choices(kinds, weights)[0]
        yield one_order(chance, f"C{seed % 10_000:04d}-{number:04d}", number, kind, buyers)


def one_order(chance: random.Random, order_id: str, number: int, kind: str, buyers: list[dict[str, Any]]) -> Sent:
    """One order of a kind; new buyers are kept in `buyers`, so that later orders can share their accounts."""
    carrier, method, ship_via = chance.choice(CARRIERS)
    lines = [
        Line(f"{order_id}-{place}", sku, Decimal(chance.randint(1, 5)), Decimal(GOODS[sku][0]))
        for place, sku in enumerate(chance.sample(sorted(GOODS), chance.randint(1, 4)), start=1)
    ]
    taxable = [GOODS[line.item_code][1] for line in lines]
    sent = Sent(order_id, {}, lines, ship_via=ship_via, customer_po_no=f"W-{order_id}")
    sent.freight = Decimal(chance.randint(0, 6000)) / 100
    purchase_order = ""
    place, customer, address = buyer_of(chance, kind, number, buyers, sent)
    if kind == "dealer" and chance.random() < 0.7:
        purchase_order = f"PO-{order_id}"
        sent.customer_po_no = purchase_order
    percent = chance.choice((5, 10, 15)) if chance.random() < 0.25 else 0
    order_discount = Decimal("1.00") if chance.random() < 0.2 else Decimal(0)
    gift = Decimal("4.95") if chance.random() < 0.2 else Decimal(0)
    line_discounts = [Decimal(0)] * len(lines)
    if any(taxable):
        # Sage taxes discounts as goods: only what is taxed is discounted.
        first = taxable.index(True)
        line_discounts[first] = cents(lines[first].quantity * lines[first].price * percent / 100)
    if not all(taxable):
        order_discount = Decimal(0)
    discount = sum(line_discounts, Decimal(0)) + order_discount
    if discount:
        sent.charges["/WEBDISC"] = -discount
    if gift:
        sent.charges["/GIFT"] = gift
    extensions = [cents(line.quantity * line.price) for line in lines]
    base = sum((amount for amount, taxed in zip(extensions, taxable, strict=True) if taxed), Decimal(0))
    base += gift - discount + (sent.freight if place.taxes_freight else Decimal(0))
    sent.tax = cents(base * Decimal(place.rate) / 100)
    goods = sum(extensions, Decimal(0))
    sent.total = goods - discount + sent.freight + sent.tax + gift
    sent.schedule = place.schedule
    captured = kind != "dealer"
    gateway, payment_type = chance.choice(GATEWAYS)
    if captured:
        sent.deposit, sent.payment_type = sent.total, payment_type
    sent.parts = 2 if chance.random() < 0.3 else 1
    sent.packages = 2 if chance.random() < 0.3 else 1
    sent.tracking = chance.random() >= 0.1
    grand = sent.total
    if kind in HELD:
        sent.hold = kind
        if kind == "invalid_data":
            address["city"] = ""
        elif kind == "total_mismatch":
            grand += Decimal("0.01")
    sent.event = {
        "type": "order.created",
        "data": {
            "id": order_id,
            "number": f"W-{order_id}",
            "status": "Pending",
            "currency": "USD",
            "customer": customer,
            "billingAddress": dict(address),
            "shippingAddress": dict(address),
            "items": [
                {
                    "id": line.item_id,
                    "sku": line.item_code,
                    "name": line.item_code.title(),
                    "quantity": int(line.quantity),
                    "unitPrice": str(line.price),
                    "discount": str(line_discount),
                    "tax": 0,
                    "taxable": taxed,
                    "attributes": {},
                }
                for line, line_discount, taxed in zip(lines, line_discounts, taxable, strict=True)
            ],
            "shipping": {"method": method, "carrier": carrier, "amount": str(sent.freight), "tax": 0},
            "discounts": [{"code": "WELCOME", "amount": str(order_discount)}] if order_discount else [],
            "fees": [{"code": "gift_wrap", "name": "Gift wrap", "amount": str(gift), "taxable": True}] if gift else [],
            "totals": {
                "items": str(goods),
                "discount": str(discount),
                "shipping": str(sent.freight),
                "tax": str(sent.tax),
                "fees": str(gift),
                "grand": str(grand),
            },
            "payments": [
                {
                    "gateway": gateway,
                    "method": "card",
                    "transactionId": f"tx_{order_id}",
                    "type": "capture",
                    "amount": str(grand),
                    "currency": "USD",
                    "date": "2026-11-20T15:04:05Z",
                }
            ]
            if captured
            else [],
            **({"purchaseOrderNumber": purchase_order} if purchase_order else {}),
            "attributes": {},
        },
    }
    if kind == "unknown_item":
        sent.event["data"]["items"][0]["sku"] = "GHOST-ITEM-9"
    elif kind == "out_of_stock":
        make_much_of_it(sent)
    return sent


def make_much_of_it(sent: Sent) -> None:
    """More than Sage will ever have, with totals that still agree."""
    first = sent.event["data"]["items"][0]
    first["quantity"] = 90_000
    more = cents(Decimal(first["quantity"] - int(sent.lines[0].quantity)) * sent.lines[0].price)
    rates = {place.schedule: place for place in PLACES}
    place = rates[sent.schedule]
    totals = sent.event["data"]["totals"]
    taxed = [item for item in sent.event["data"]["items"] if item["taxable"]]
    base = sum((cents(Decimal(item["quantity"]) * Decimal(item["unitPrice"])) for item in taxed), Decimal(0))
    base += Decimal(totals["fees"]) - Decimal(totals["discount"])
    base += sent.freight if place.taxes_freight else Decimal(0)
    tax = cents(base * Decimal(place.rate) / 100)
    grand = Decimal(totals["grand"]) + more + tax - sent.tax
    totals |= {"items": str(Decimal(totals["items"]) + more), "tax": str(tax), "grand": str(grand)}
    for payment in sent.event["data"]["payments"]:
        payment["amount"] = str(grand)


def buyer_of(
    chance: random.Random, kind: str, number: int, buyers: list[dict[str, Any]], sent: Sent
) -> tuple[Place, dict[str, Any], dict[str, Any]]:
    """Place, Clarity's customer and the address; what Sage must make of the buyer goes into `sent`."""
    if kind == "dealer":
        division, customer_no, name, company, email, terms = chance.choice(DEALERS)
        sent.account, sent.terms = f"{division}-{customer_no}", terms
        first, last = name.split()
        customer = {
            "id": f"dealer-{customer_no}",
            "email": email,
            "firstName": first,
            "lastName": last,
            "company": company,
            "accountNumber": sent.account,
        }
        address = {"name": name, "company": company, **DEALER_ADDRESS[customer_no], "residential": False}
        return (UNTAXED if customer_no == "ABF" else TEXAS), customer, address
    if kind == "known":
        sent.account = "02-W000001"
        customer = {"id": "501", "email": "maria.gonzales@example.com", "firstName": "Maria", "lastName": "Gonzales"}
        address = {
            "name": "Maria Gonzales",
            "line1": "4412 Cedar Springs Road",
            "city": "Dallas",
            "region": "TX",
            "postalCode": "75219",
            "country": "US",
        }
        return TEXAS, customer, address
    if kind == "shared" and buyers:
        # Of the last few: orders of one new buyer that travel at the same time.
        known = chance.choice(buyers[-3:])
    else:
        known = new_buyer(chance, number)
        if kind in ("new", "shared"):
            buyers.append(known)
    sent.buyer, sent.email = known["customer"]["id"], known["customer"]["email"]
    sent.buyer_name = known["address"]["name"]
    return known["place"], dict(known["customer"]), dict(known["address"])


def new_buyer(chance: random.Random, number: int) -> dict[str, Any]:
    """A person nobody knows: every pair of first and last name once in 676."""
    first, last = FIRST[number % len(FIRST)], LAST[(number // len(FIRST) + number * 7) % len(LAST)]
    place = chance.choice(PLACES)
    name = f"{first} {last}"
    return {
        "place": place,
        "customer": {
            "id": f"chaos-{number}",
            "email": f"{first}.{last}.{number}@example.com".lower(),
            "firstName": first,
            "lastName": last,
        },
        "address": {
            "name": name,
            "line1": f"{100 + number * 3} {chance.choice(STREETS)} Street",
            "city": place.city,
            "region": place.region,
            "postalCode": place.postal_code,
            "country": place.country,
            "residential": True,
        },
    }
