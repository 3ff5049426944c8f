"""Where each column of a Sage draft comes from: the pair's rule, and the field of the order that it read.

In: the canonical order, the pair, the draft. Out: `{column: source}` in plain words such as `order.ship_via[0]:
data.shipping.carrier, data.shipping.method`. Pure; for `preview`, never on the way of an order.
"""

from collections.abc import Iterator, Sequence

from mappings.canonical import Address, Order
from mappings.conditions import order_context
from mappings.pair import DiscountAs, Pair, PriceSource, TaxPolicy
from mappings.pair_rules import holds
from mappings.payments import payment_rule
from mappings.sales_order import Draft, LineOrigin, SalesOrderLine
from mappings.transform import ship_via_of, tax_rule

ADDRESS_PARTS = {
    "Name": "company or name",
    "Address1": "lines, normalised",
    "Address2": "lines, normalised",
    "Address3": "lines, normalised",
    "City": "city",
    "State": "region",
    "ZipCode": "postalCode",
    "CountryCode": "country",
}


def header_sources(order: Order, pair: Pair, draft: Draft) -> dict[str, str]:
    """Column → source, for every column of the header that `draft` sets."""
    found = dict(_fixed(order, pair))
    for prefix, side, address in (
        ("BillTo", "billingAddress", order.billing),
        ("ShipTo", "shippingAddress", order.shipping),
    ):
        path = side if _given(address) else "shippingAddress"
        found |= {f"{prefix}{part}": f"data.{path}: {field}" for part, field in ADDRESS_PARTS.items()}
    found |= _by_rule(order, pair)
    header = draft.sales_order.model_dump(exclude={"Lines", "extra"})
    columns = [name for name, value in header.items() if value] + list(draft.sales_order.extra)
    return {name: found[name] for name in columns if name in found}


def _given(address: Address) -> bool:
    return bool(address.line1)


def _fixed(order: Order, pair: Pair) -> Iterator[tuple[str, str]]:
    yield "UDF_WEB_ORDER_ID", "data.id"
    yield "OrderDate", f"data.createdDate in company.time_zone ({pair.company.time_zone})"
    yield "OrderStatus", "order.order_status"
    yield "ShipExpireDate", "data.requestedShipDate"
    yield "CustomerPONo", "data.purchaseOrderNumber" if _short_purchase_order(order, pair) else "data.number"
    yield "WarehouseCode", "order.warehouse"
    yield "ConfirmTo", "data.customer.firstName, lastName"
    yield "EmailAddress", "data.customer.email"
    yield "ResidentialAddress", "data.shippingAddress.residential"
    yield "TaxExemptNo", "data.customer.taxExemptNo"
    yield "FreightAmt", "charges.freight: data.totals.shipping"


def _short_purchase_order(order: Order, pair: Pair) -> bool:
    number = order.purchase_order_number
    return bool(number) and len(number) <= pair.columns.get("CustomerPONo", 15)


def _by_rule(order: Order, pair: Pair) -> dict[str, str]:
    found: dict[str, str] = {}
    via = ship_via_of(order.delivery.carrier, order.delivery.method, pair)
    if via is not None:
        found["ShipVia"] = f"order.ship_via[{_place(via, pair.order.ship_via)}]: data.shipping.carrier, method"
    found["TaxSchedule"] = _tax_source(order, pair)
    paid = next((one for payment in order.payments if (one := payment_rule(payment, pair)) is not None), None)
    if paid is not None:
        source = f"payments[{paid[0]}] ({paid[1].route}): data.payments"
        found |= dict.fromkeys(("PaymentType", "PaymentTypeCategory", "DepositAmt", "OtherPaymentTypeRefNo"), source)
    found |= dict.fromkeys(pair.order.header, "order.header")
    for index, rule in enumerate(pair.order.header_rules):
        if holds(rule.when, order_context(order), "", []):
            found |= dict.fromkeys(rule.header, f"order.header_rules[{index}]: {rule.when}")
    found |= {column: f"order.header_values: {text}" for column, text in pair.order.header_values.items()}
    return found


def _tax_source(order: Order, pair: Pair) -> str:
    if pair.tax.policy is TaxPolicy.LINE:
        return "tax.exempt (policy line)"
    if order.buyer.tax_exempt_no:
        return "tax.exempt: data.customer.taxExemptNo"
    rule = tax_rule(order, pair, [])
    if rule is None:
        return "tax.default"
    return f"tax.schedules[{_place(rule, pair.tax.schedules)}]: data.shippingAddress" + (
        f", {rule.when}" if rule.when is not None else ""
    )


def _place(rule: object, rules: Sequence[object]) -> int:
    return next(index for index, one in enumerate(rules) if one is rule)


def line_source(line: SalesOrderLine, order: Order, pair: Pair) -> str:
    """What made a line, and by which key of the pair."""
    match line.origin:
        case LineOrigin.ITEM:
            number = next(index for index, one in enumerate(order.lines) if one.item_id == line.UDF_WEB_LINE_ID)
            price = "Sage's price" if pair.order.prices.source is PriceSource.SAGE else "unitPrice"
            net = ", less its discount" if pair.charges.line_discount_as is DiscountAs.NET_PRICE else ""
            alias = f"; items.{line.sku}" if line.sku in pair.items else ""
            return f"data.items[{number}]: sku, quantity, {price}{net}{alias}"
        case LineOrigin.DISCOUNT:
            return "charges.line_discount or order_discount: data.items[].discount, data.discounts"
        case LineOrigin.FEE:
            code = next((code for code, item in pair.charges.fees.items() if item == line.ItemCode), "")
            return f"charges.fees.{code}: data.fees"
        case LineOrigin.FREIGHT:
            return "charges.freight: data.totals.shipping"
        case LineOrigin.TAX:
            return "tax.item (policy line): data.totals.tax"
        case LineOrigin.GIFT_CARD:
            return "payments[].charge_item: data.payments"
        case LineOrigin.ROUNDING:
            return f"charges.rounding: what prices of {pair.company.price_decimals} decimals cannot say"
        case LineOrigin.COMMENT:
            return "order.comment_item: data.notes, data.payments, data.purchaseOrderNumber"
