"""What Sage would be sent for an order, column by column, and where each value comes from.

In: the canonical order, the pair, the draft. Out: `Column`s: the value as it would be sent, and its source in plain
words: the pair's rule, then the field of the order, such as `order.ship_via[0]: data.shipping.carrier, method`. A
column that several rules set stands there once, with the rule that won. Pure; for `preview`, never on the way of an
order.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from itertools import repeat

from mappings.accounts import house_account
from mappings.canonical import Address, Order
from mappings.conditions import line_context, order_context
from mappings.frozen import Frozen
from mappings.pair import DiscountAs, Pair, PriceSource, ShipToRule, TaxPolicy
from mappings.pair_rules import holds, values
from mappings.payments import translate_payments
from mappings.sales_order import Draft, LineOrigin, SalesOrderLine
from mappings.transform import is_exempt, order_for_rules, ship_via_of, tax_rule


class Column(Frozen):
    """One column of Sage. Without a value it is decided when Sage is asked: `source` says by what."""

    value: str | None
    source: str


Columns = dict[str, Column]

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
MONEY_COLUMNS = ("PaymentType", "PaymentTypeCategory", "DepositAmt", "CheckNoForDeposit", "OtherPaymentTypeRefNo")


def header_columns(order: Order, pair: Pair, draft: Draft) -> Columns:
    """The columns of SO_SalesOrderHeader."""
    sources = {**_addresses(order), **_fixed(order, pair), **_by_rule(order, pair)}
    header = draft.sales_order.model_dump(exclude={"Lines", "extra"})
    open_columns = {**_account(pair, draft), **_terms(pair, draft)}
    found: Columns = {}
    for name, value in {**header, **draft.sales_order.extra}.items():
        if name in open_columns and name not in draft.sales_order.extra:
            found[name] = open_columns[name]
        elif _is_set(value):
            found[name] = Column(value=_text(value), source=sources.get(name, ""))
    return found


def _is_set(value: object) -> bool:
    return value not in ("", None, Decimal(0))


def _text(value: object) -> str:
    match value:
        case Decimal():
            return f"{value:f}"
        case date():
            return value.isoformat()
        case _:
            return str(value)


def _addresses(order: Order) -> dict[str, str]:
    return {
        f"{prefix}{part}": f"data.{_path(side, order)}: {field}"
        for prefix, side in (("BillTo", "billingAddress"), ("ShipTo", "shippingAddress"))
        for part, field in ADDRESS_PARTS.items()
    }


def _path(side: str, order: Order) -> str:
    """Without a billing address the order is billed to where it is shipped."""
    return side if side == "shippingAddress" or _given(order.billing) else "shippingAddress"


def _given(address: Address) -> bool:
    return bool(address.line1)


def _fixed(order: Order, pair: Pair) -> dict[str, str]:
    buyer = order.buyer
    return {
        "UDF_WEB_ORDER_ID": "data.id",
        "OrderDate": f"data.createdDate in company.time_zone ({pair.company.time_zone})",
        "OrderStatus": "order.order_status",
        "ShipExpireDate": "data.requestedShipDate",
        "CustomerPONo": _purchase_order(order, pair),
        "WarehouseCode": "order.warehouse",
        "ConfirmTo": "data.customer.firstName, lastName"
        if buyer.first_name or buyer.last_name
        else "data.shippingAddress.name",
        "EmailAddress": "data.customer.email",
        "ResidentialAddress": "data.shippingAddress.residential",
        "TaxExemptNo": "data.customer.taxExemptNo",
        "FreightAmt": "charges.freight: data.totals.shipping",
    }


def _purchase_order(order: Order, pair: Pair) -> str:
    if not order.purchase_order_number:
        return "data.number"
    if len(order.purchase_order_number) <= pair.columns.get("CustomerPONo", 15):
        return "data.purchaseOrderNumber"
    return "data.number, as data.purchaseOrderNumber is longer than the column: a comment line has it"


def _account(pair: Pair, draft: Draft) -> Columns:
    house = house_account(draft.customer, pair)
    if house is not None and draft.customer.fully_captured:
        source = "customers.house_account: a guest who paid in full"
        account = {name: Column(value=value, source=source) for name, value in house.model_dump().items()}
    elif house is not None:
        source = "a person decides: customers.house_account takes guests who paid in full"
        account = {"CustomerNo": Column(value=None, source=source)}
    else:
        account = {"CustomerNo": Column(value=None, source="the account that matches, else a new customer")}
    if pair.customers.ship_to is ShipToRule.KNOWN:
        source = "customers.ship_to: the account's ship-to with this address, if it has one"
        account["ShipToCode"] = Column(value=None, source=source)
    return account


def _terms(pair: Pair, draft: Draft) -> Columns:
    code = pair.customers.terms_code
    if draft.expected.grand <= draft.expected.paid:
        return {"TermsCode": Column(value=code, source="customers.terms_code: paid at checkout")}
    source = f"the account's own terms; a new customer has customers.terms_code ({code})"
    return {"TermsCode": Column(value=None, source=source)}


def _by_rule(order: Order, pair: Pair) -> dict[str, str]:
    found: dict[str, str] = {}
    via = ship_via_of(order.delivery.carrier, order.delivery.method, pair)
    if via is not None:
        found["ShipVia"] = f"order.ship_via[{_place(via, pair.order.ship_via)}]: data.shipping.carrier, method"
    found["TaxSchedule"] = _tax_source(order, pair)
    money = translate_payments(order, pair, [])
    if money.rule is not None:
        source = f"payments[{money.rule}] ({money.route}): data.payments"
        found |= dict.fromkeys(MONEY_COLUMNS, source)
        if money.PaymentType != pair.payments[money.rule].payment_type:
            found["PaymentType"] = "mixed_payment_type: data.payments"
    found |= dict.fromkeys(pair.order.header, "order.header")
    context = order_context(order_for_rules(order, pair))
    for index, rule in enumerate(pair.order.header_rules):
        if holds(rule.when, context, "", []):
            found |= dict.fromkeys(rule.header, f"order.header_rules[{index}]: {rule.when}")
    sent = values(pair.order.header_values, context, "", pair, [])
    found |= {column: f"order.header_values: {pair.order.header_values[column]}" for column in sent}
    return found


def _tax_source(order: Order, pair: Pair) -> str:
    if pair.tax.policy is TaxPolicy.LINE:
        return "tax.exempt (policy line)"
    if is_exempt(order, pair):
        return "tax.exempt: data.customer.taxExemptNo"
    rule = tax_rule(order, pair, [])
    if rule is None:
        return "tax.default"
    return f"tax.schedules[{_place(rule, pair.tax.schedules)}]: data.shippingAddress" + (
        f", {rule.when}" if rule.when is not None else ""
    )


def _place(rule: object, rules: Sequence[object]) -> int:
    return next(index for index, one in enumerate(rules) if one is rule)


_UNTAXED = "charges.non_taxable_class"


# ---- lines ----------------------------------------------------------------------------------------------------------


def line_columns(order: Order, pair: Pair, draft: Draft) -> list[Columns]:
    """The columns of SO_SalesOrderDetail, for each line of the draft in its order."""
    charges = _charge_sources(order, pair)
    places = {line.item_id: index for index, line in enumerate(order.lines)}
    found = []
    for line in draft.sales_order.Lines:
        if line.origin is LineOrigin.ITEM:
            found.append(_item(line, places[line.UDF_WEB_LINE_ID], order, pair))
        elif line.origin is LineOrigin.COMMENT:
            found.append(_comment(line, order))
        elif line.origin is LineOrigin.DISCOUNT:
            found.append(_charge(line, _discount(line, places, order, pair), pair))
        else:
            found.append(_charge(line, next(charges[line.origin], line.origin.value), pair))
    return found


def _item(line: SalesOrderLine, index: int, order: Order, pair: Pair) -> Columns:
    path = f"data.items[{index}]"
    alias = f", items.{line.sku} ({pair.items[line.sku]})" if line.sku in pair.items else ""
    price = f"{path}.unitPrice"
    if pair.charges.line_discount_as is DiscountAs.NET_PRICE and order.lines[index].discount:
        price = f"charges.line_discount_as (net_price): {path}.unitPrice, discount"
    if pair.order.prices.source is PriceSource.SAGE:
        price = "order.prices.source: Sage's own price"
    columns = {
        "ItemCode": Column(value=None, source=f"{path}.sku: Sage's item or alias{alias}"),
        "QuantityOrdered": Column(value=_text(line.QuantityOrdered), source=f"{path}.quantity"),
        "UnitPrice": Column(value=None if line.UnitPrice is None else _text(line.UnitPrice), source=price),
        "UnitOfMeasure": Column(
            value=None,
            source=f"order.units: {path}.attributes&['{pair.order.unit_attribute}'] ({line.UnitOfMeasure})"
            if line.UnitOfMeasure
            else "CI_Item.SalesUnitOfMeasure",
        ),
        "TaxClass": Column(value=line.TaxClass, source=f"{_UNTAXED}: {path}.taxable")
        if line.TaxClass
        else Column(value=None, source=f"CI_Item.TaxClass: {path}.taxable"),
        "UDF_WEB_LINE_ID": Column(value=line.UDF_WEB_LINE_ID, source=f"{path}.id"),
    }
    if line.WarehouseCode:
        columns["WarehouseCode"] = Column(value=line.WarehouseCode, source=_warehouse(index, order, pair))
    for name, value in line.extra.items():
        columns[name] = Column(value=value, source=f"order.line_values: {pair.order.line_values[name]}")
    return columns


def _warehouse(index: int, order: Order, pair: Pair) -> str:
    context = line_context(order_for_rules(order, pair), order.lines[index])
    for number, rule in enumerate(pair.order.warehouses):
        if holds(rule.when, context, "", []):
            return f"order.warehouses[{number}]: {rule.when}" + _or_else(rule.else_from)
    return "order.warehouse" + _or_else(pair.order.else_from)


def _or_else(warehouses: list[str]) -> str:
    return f"; where it is short, {', '.join(warehouses)} (by stock in Sage)" if warehouses else ""


def _comment(line: SalesOrderLine, order: Order) -> Columns:
    if line.CommentText == order.notes:
        source = "order.notes: data.notes"
    elif order.purchase_order_number and line.CommentText.endswith(order.purchase_order_number):
        source = "data.purchaseOrderNumber, longer than CustomerPONo"
    elif line.CommentText.startswith(f"Tax exemption number {order.buyer.tax_exempt_no} "):
        source = "data.customer.taxExemptNo, which came without an account"
    else:
        source = "data.payments"
    return {
        "ItemCode": Column(value=line.ItemCode, source="order.comment_item"),
        "CommentText": Column(value=line.CommentText, source=source),
    }


def _charge(line: SalesOrderLine, source: str, pair: Pair) -> Columns:
    rule, _, field = source.partition(": ")
    tax_class = {pair.charges.tax_class: "charges.tax_class", pair.charges.non_taxable_class: _UNTAXED}
    columns = {
        "ItemCode": Column(value=line.ItemCode, source=rule),
        "QuantityOrdered": Column(value=_text(line.QuantityOrdered), source="always 1: a charge is one amount"),
        "UnitPrice": Column(value=_text(line.UnitPrice), source=field or rule),
        "TaxClass": Column(value=line.TaxClass, source=tax_class.get(line.TaxClass, rule)),
    }
    return columns | {name: Column(value=value, source=rule) for name, value in line.extra.items()}


def _charge_sources(order: Order, pair: Pair) -> Mapping[LineOrigin, Iterator[str]]:
    """For each kind of charge the sources of its lines in their order, as `key of the pair: field of the order`."""
    return {
        LineOrigin.FEE: iter(
            f"charges.fees.{fee.code}: data.fees[{index}].amount"
            for index, fee in enumerate(order.fees)
            if fee.amount and fee.code in pair.charges.fees
        ),
        LineOrigin.FREIGHT: repeat("charges.freight.item: data.totals.shipping"),
        LineOrigin.TAX: repeat("tax.item: data.totals.tax"),
        LineOrigin.GIFT_CARD: _gift_cards(order, pair),
        LineOrigin.ROUNDING: repeat(
            f"charges.rounding: what prices of {pair.company.price_decimals} decimals (company.price_decimals) "
            "cannot say"
        ),
    }


def _discount(line: SalesOrderLine, places: Mapping[str, int], order: Order, pair: Pair) -> str:
    if line.discount_of:
        return f"charges.line_discount: data.items[{places[line.discount_of]}].discount"
    rules = {code.casefold(): (code, rule) for code, rule in pair.charges.discounts.items()}
    for discount in order.discounts:
        code, rule = rules.get(discount.code.casefold(), ("", None))
        if rule is not None and rule.item == line.ItemCode:
            return f"charges.discounts.{code}: data.discounts"
    return "charges.order_discount: data.discounts"


def _gift_cards(order: Order, pair: Pair) -> Iterator[str]:
    for card in translate_payments(order, pair, []).gift_cards:
        index = next(index for index, rule in enumerate(pair.payments) if rule.charge_item == card.charge_item)
        yield f"payments[{index}].charge_item: data.payments"


# ---- the customer ---------------------------------------------------------------------------------------------------


def new_customer_columns(order: Order, pair: Pair, draft: Draft) -> Columns:
    """The columns of AR_Customer if no account matches; none for a guest of the house account."""
    if house_account(draft.customer, pair) is not None:
        return {}
    side = f"data.{_path('billingAddress', order)}"
    unproven = order.model_copy(update={"buyer": order.buyer.model_copy(update={"tax_exempt_no": ""})})
    sources = {
        "ARDivisionNo": "customers.new_division",
        "CustomerName": f"{side}: {ADDRESS_PARTS['Name']}",
        **{f"AddressLine{number}": f"{side}: lines, normalised" for number in (1, 2, 3)},
        **{name: f"{side}: {ADDRESS_PARTS[name]}" for name in ("City", "State", "ZipCode", "CountryCode")},
        "TelephoneNo": "data.customer.phone" if order.buyer.phone else "data.billingAddress.phone",
        "EmailAddress": "data.customer.email",
        "TermsCode": "customers.terms_code",
        "TaxSchedule": "customers.tax_schedule" if pair.customers.tax_schedule else _tax_source(unproven, pair),
        "CustomerType": "customers.customer_type",
        "UDF_WEB_CUSTOMER_ID": "data.customer.id",
        **dict.fromkeys(pair.customers.header, "customers.header"),
    }
    customer = draft.customer.new_customer
    sent = {**customer.model_dump(exclude={"extra"}), **customer.extra}
    number = Column(value=None, source="a number reserved in Sage when the customer is made")
    return {"CustomerNo": number} | {
        name: Column(value=_text(value), source=sources.get(name, "")) for name, value in sent.items() if _is_set(value)
    }
