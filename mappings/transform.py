"""The transform: Clarity's payload → canonical order → Sage draft, or problems.

In: the webhook body and the pair. Out: `Transformed`. Pure; never raises for what a payload holds. The lines stand in
this order: items as ordered, one discount line per discounted item, order discounts, fees, rounding, comments.
"""

from collections.abc import Iterator, Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from email_validator import EmailNotValidError, validate_email

from mappings.canonical import Address, Order, OrderLine, PaymentType
from mappings.clarity_order import order_title, parse_order
from mappings.clarity_profile import with_release_names
from mappings.conditions import Condition, ConditionFailed, Context, Expression, line_context, order_context
from mappings.customer_match import match_key
from mappings.pair import Check, Pair, ShipVia
from mappings.places import POSTAL_COUNTRIES, REGION_COUNTRIES, country_code, region_code, sage_country
from mappings.problems import Problem
from mappings.sales_order import (
    CustomerSearch,
    Draft,
    ExpectedTotals,
    LineOrigin,
    NewCustomer,
    SageItemType,
    SalesOrder,
    SalesOrderLine,
    Transformed,
)

CENT = Decimal("0.01")
PAYMENT_REFERENCE_LENGTH = 24
"""SO_SalesOrderHeader.OtherPaymentTypeRefNo."""


def transform(payload: Mapping[str, Any], pair: Pair) -> Transformed:
    """Problems or a draft, never both."""
    order = parse_order(payload, pair.max_lines, pair.clarity)
    if isinstance(order, list):
        return Transformed(mapping_version=pair.version, problems=order)
    problems: list[Problem] = []
    draft = _draft(order, pair, problems)
    return Transformed(
        order_number=order.number,
        title=order_title(order),
        mapping_version=pair.version,
        draft=None if problems else draft,
        problems=with_release_names(problems, pair.clarity),
        warnings=list(arithmetic_warnings(order)),
    )


def arithmetic_warnings(order: Order) -> Iterator[str]:
    """Where Clarity's own sums disagree. Only a warning: Sage's preview decides (hold `total_mismatch`)."""
    totals = order.totals
    items = sum((line.quantity * line.unit_price for line in order.lines), Decimal(0))
    if cents(items) != totals.items:
        yield f"totals.items is {totals.items}, the items add up to {cents(items)}"
    grand = totals.items - totals.discount + totals.shipping + totals.fees + totals.tax
    if grand != totals.grand:
        yield f"totals.grand is {totals.grand}, its parts add up to {grand}"


def cents(amount: Decimal) -> Decimal:
    """Amounts have two decimals in Sage (N 12.2); halves round away from zero."""
    return amount.quantize(CENT, rounding=ROUND_HALF_UP)


def _draft(order: Order, pair: Pair, problems: list[Problem]) -> Draft:
    if order.currency != pair.company.currency:
        problems.append(
            Problem(
                field="data.currency",
                message=f"is {order.currency}, company {pair.company.code} keeps {pair.company.currency}",
                suggestion="Sell in the company's currency, or map this store to another company.",
            )
        )
    ship_to = _address(order.shipping, "data.shippingAddress", pair, problems)
    bill_to = _address(order.billing, "data.billingAddress", pair, problems) if order.billing.line1 else ship_to
    via = ship_via_of(order.delivery.carrier, order.delivery.method, pair)
    if via is None and (order.delivery.carrier or order.delivery.method):
        problems.append(
            Problem(
                field="data.shipping.method",
                message=f"{order.delivery.carrier} {order.delivery.method} has no ShipVia",
                suggestion=f"Add it to order.ship_via in {pair.name}.yaml.",
            )
        )
    exempt = order.buyer.tax_exempt_no
    schedule = tax_schedule(ship_to["Country2"], ship_to["State"], exempt, pair)
    lines = _lines(order, pair, problems)
    deposit = _deposit(order, pair, problems)
    customer_po_no, po_comment = _purchase_order(order, pair)
    comments = [*([po_comment] if po_comment else []), *_payment_comments(order)]
    if order.notes and pair.order.notes:
        comments.append(order.notes)
    warehouse = pair.order.warehouse
    sales_order = SalesOrder(
        UDF_WEB_ORDER_ID=order.order_id,
        OrderDate=order.created.astimezone(pair.company.zone).date(),
        OrderStatus=pair.order.order_status,
        ShipExpireDate=order.requested_ship_date,
        **{f"BillTo{name}": value for name, value in bill_to.items() if name != "Country2"},
        **{f"ShipTo{name}": value for name, value in ship_to.items() if name != "Country2"},
        ShipVia=via.ship_via if via else "",
        CustomerPONo=customer_po_no,
        WarehouseCode=warehouse,
        ConfirmTo=_fits("ConfirmTo", _person(order), "data.customer", pair, problems),
        EmailAddress=order.buyer.email,
        ResidentialAddress="" if order.shipping.residential is None else "Y" if order.shipping.residential else "N",
        TaxSchedule=schedule,
        TaxExemptNo=_fits("TaxExemptNo", exempt, "data.customer.taxExemptNo", pair, problems),
        FreightAmt=cents(order.totals.shipping),
        PaymentType=deposit[0],
        PaymentTypeCategory="D" if deposit[1] else "",
        DepositAmt=deposit[1],
        OtherPaymentTypeRefNo=deposit[2],
        extra=_header(order, pair, problems),
        Lines=[
            *lines,
            *(
                SalesOrderLine(
                    origin=LineOrigin.COMMENT,
                    ItemCode=pair.order.comment_item,
                    ItemType=SageItemType.COMMENT,
                    CommentText=comment,
                )
                for comment in comments
            ),
        ],
    )
    return Draft(
        sales_order=sales_order,
        customer=_customer(order, pair, bill_to, schedule, problems),
        expected=ExpectedTotals(
            currency=order.currency,
            tax=order.totals.tax,
            freight=cents(order.totals.shipping),
            grand=order.totals.grand,
            tolerance=pair.tax.tolerance,
        ),
        checks=_checks(order, pair, problems),
    )


def _checks(order: Order, pair: Pair, problems: list[Problem]) -> list[Check]:
    """The checks that concern this order, in the pair's order."""
    context = order_context(order)
    return [
        check
        for index, check in enumerate(pair.checks)
        if check.when is None or _holds(check.when, context, f"pair.checks[{index}].when", problems)
    ]


def _header(order: Order, pair: Pair, problems: list[Problem]) -> dict[str, str]:
    """Fixed columns, then those of the rules that hold, then values from the order; empty ones are left to Sage."""
    context, rules = order_context(order), pair.order
    header = dict(rules.header)
    for index, rule in enumerate(rules.header_rules):
        if _holds(rule.when, context, f"pair.order.header_rules[{index}].when", problems):
            header |= rule.header
    header |= _values(rules.header_values, context, "pair.order.header_values", pair, problems)
    return header


def _values(
    expressions: Mapping[str, Expression], context: Context, path: str, pair: Pair, problems: list[Problem]
) -> dict[str, str]:
    found = {}
    for column, expression in expressions.items():
        try:
            value = expression.evaluate(context)
        except ConditionFailed as error:
            problems.append(_failed(f"{path}.{column}", error))
            continue
        if value:
            found[column] = _fits(column, value, f"{path}.{column}", pair, problems)
    return found


def _holds(condition: Condition, context: Context, path: str, problems: list[Problem]) -> bool:
    try:
        return condition.evaluate(context)
    except ConditionFailed as error:
        problems.append(_failed(path, error))
        return False


def _failed(path: str, error: ConditionFailed) -> Problem:
    return Problem(
        field=path,
        message=f"{error.text!r} has no answer for this order: {error.why}",
        suggestion="Correct the rule in the pair file, or the field of the order that it reads.",
    )


def _warehouse(order: Order, line: OrderLine, pair: Pair, problems: list[Problem]) -> str:
    """The first rule that holds for the line, else the pair's warehouse."""
    if not pair.order.warehouses:
        return pair.order.warehouse
    context = line_context(order, line)
    for index, rule in enumerate(pair.order.warehouses):
        if _holds(rule.when, context, f"pair.order.warehouses[{index}].when", problems):
            return rule.warehouse
    return pair.order.warehouse


def ship_via_of(carrier: str, method: str, pair: Pair) -> ShipVia | None:
    """The first rule of the pair that fits, compared without case."""
    for rule in pair.order.ship_via:
        if rule.carrier and rule.carrier.casefold() != carrier.casefold():
            continue
        if rule.method and rule.method.casefold() != method.casefold():
            continue
        return rule
    return None


def tax_schedule(country: str, state: str, exempt_no: str, pair: Pair) -> str:
    """TaxSchedule by exemption, then by ship-to country and region (the pair's list), else the default."""
    if exempt_no:
        return pair.tax.exempt
    for rule in pair.tax.schedules:
        if rule.country == country and rule.region in ("", state):
            return rule.schedule
    return pair.tax.default


def _address(address: Address, path: str, pair: Pair, problems: list[Problem]) -> dict[str, str]:
    """The address in Sage's parts (plus the ISO-2 country); missing parts and what does not fit are problems."""

    def need(field: str, message: str) -> None:
        problems.append(Problem(field=f"{path}.{field}", message=message, suggestion="Correct the address in Clarity."))

    name = address.company or address.name
    if not name:
        need("name", "is missing")
    for field, value in (("line1", address.line1), ("city", address.city)):
        if not value:
            need(field, "is missing")
    country = country_code(address.country)
    if country is None:
        need("country", "is missing" if not address.country else "is no country this project knows")
        country = ""
    state = ""
    if country in REGION_COUNTRIES:
        state = region_code(country, address.region) or ""
        if not state:
            need("region", "is missing" if not address.region else "is no state or province of that country")
    if country in POSTAL_COUNTRIES and not address.postal_code:
        need("postalCode", "is missing")
    lines = [line for line in (address.line1, address.line2, address.line3) if line]
    if address.company and address.name and len(lines) < 3:
        lines = [f"Attn: {address.name}", *lines]
    prefix = "ShipTo" if path.endswith("shippingAddress") else "BillTo"
    parts = {
        "Name": name,
        **{f"Address{number}": lines[number - 1] if number <= len(lines) else "" for number in (1, 2, 3)},
        "City": address.city,
        "ZipCode": address.postal_code.upper(),
    }
    for part, value in parts.items():
        _fits(f"{prefix}{part}", value, path, pair, problems)
    return {**parts, "State": state, "CountryCode": sage_country(country), "Country2": country}


def _fits(column: str, value: str, field: str, pair: Pair, problems: list[Problem]) -> str:
    """`value`, after a problem when it is longer than the column: nothing is cut silently."""
    limit = pair.columns.get(column)
    if limit is not None and len(value) > limit:
        problems.append(
            Problem(
                field=field,
                message=f"{column} has {len(value)} characters, Sage takes {limit}",
                suggestion="Shorten it in Clarity.",
            )
        )
    return value


def _person(order: Order) -> str:
    return f"{order.buyer.first_name} {order.buyer.last_name}".strip() or order.shipping.name


def _lines(order: Order, pair: Pair, problems: list[Problem]) -> list[SalesOrderLine]:
    step = Decimal(1).scaleb(-pair.company.price_decimals)
    items: list[SalesOrderLine] = []
    charges: list[SalesOrderLine] = []
    rules = pair.order
    rounding = Decimal(0)
    for index, line in enumerate(order.lines):
        field = f"data.items[{index}]"
        exponent = line.quantity.normalize().as_tuple().exponent
        if isinstance(exponent, int) and -exponent > pair.company.quantity_decimals:
            problems.append(
                Problem(
                    field=f"{field}.quantity",
                    message=f"has more decimals than the company's {pair.company.quantity_decimals}",
                    suggestion="Order a quantity that Sage can store.",
                )
            )
        price = line.unit_price.quantize(step, rounding=ROUND_HALF_UP)
        rounding += cents(line.quantity * line.unit_price) - cents(line.quantity * price)
        tax_class = "" if line.taxable else pair.charges.non_taxable_class
        items.append(
            SalesOrderLine(
                origin=LineOrigin.ITEM,
                sku=line.sku,
                ItemType=SageItemType.REGULAR,
                QuantityOrdered=line.quantity,
                UnitPrice=price,
                WarehouseCode=_warehouse(order, line, pair, problems),
                TaxClass=tax_class,
                UDF_WEB_LINE_ID=line.item_id,
                extra=_values(rules.line_values, line_context(order, line), "pair.order.line_values", pair, problems)
                if rules.line_values
                else {},
            )
        )
        if line.discount:
            charges.append(_charge(LineOrigin.DISCOUNT, pair.charges.line_discount, -line.discount, line.taxable, pair))
    charges += [
        _charge(LineOrigin.DISCOUNT, pair.charges.order_discount, -discount.amount, True, pair)
        for discount in order.discounts
        if discount.amount
    ]
    for index, fee in enumerate(order.fees):
        item_code = pair.charges.fees.get(fee.code)
        if item_code is None:
            problems.append(
                Problem(
                    field=f"data.fees[{index}].code",
                    message=f"{fee.code!r} has no item code",
                    suggestion=f"Add it to charges.fees in {pair.name}.yaml.",
                )
            )
        elif fee.amount:
            charges.append(_charge(LineOrigin.FEE, item_code, fee.amount, fee.taxable, pair))
    if rounding:
        charges.append(_charge(LineOrigin.ROUNDING, pair.charges.rounding, rounding, True, pair))
    return [*items, *charges]


def _charge(origin: LineOrigin, item_code: str, amount: Decimal, taxable: bool, pair: Pair) -> SalesOrderLine:
    return SalesOrderLine(
        origin=origin,
        ItemCode=item_code,
        ItemType=SageItemType.MISCELLANEOUS,
        QuantityOrdered=Decimal(1),
        UnitPrice=cents(amount),
        TaxClass=pair.charges.tax_class if taxable else pair.charges.non_taxable_class,
    )


def _purchase_order(order: Order, pair: Pair) -> tuple[str, str]:
    """CustomerPONo, and the comment that keeps what did not fit (design, create)."""
    limit = pair.columns.get("CustomerPONo", 15)
    number = order.purchase_order_number
    if not number:
        return order.number[:limit], ""
    if len(number) <= limit:
        return number, ""
    return order.number[:limit], f"Purchase order {number}"


def _deposit(order: Order, pair: Pair, problems: list[Problem]) -> tuple[str, Decimal, str]:
    """PaymentType, DepositAmt and OtherPaymentTypeRefNo of the captured money (rules 5)."""
    captures = [
        (index, payment)
        for index, payment in enumerate(order.payments)
        if payment.type in (PaymentType.CAPTURE, PaymentType.REFUND)
    ]
    if not captures or order.captured <= 0:
        return "", Decimal(0), ""
    types: set[str] = set()
    for index, payment in captures:
        if payment.currency not in ("", order.currency):
            problems.append(
                Problem(field=f"data.payments[{index}].currency", message=f"differs from the order's {order.currency}")
            )
        payment_type = next(
            (
                rule.payment_type
                for rule in pair.payments
                if rule.gateway.casefold() == payment.gateway.casefold()
                and rule.method.casefold() in ("", payment.method.casefold())
            ),
            None,
        )
        if payment_type is None:
            problems.append(
                Problem(
                    field=f"data.payments[{index}].gateway",
                    message=f"{payment.gateway} {payment.method} has no PaymentType".replace("  ", " "),
                    suggestion=f"Add it to payments in {pair.name}.yaml, with the controller's consent.",
                )
            )
        else:
            types.add(payment_type)
    if len(types) > 1:
        problems.append(
            Problem(
                field="data.payments",
                message=f"money came through {len(types)} payment types; an order takes one",
                suggestion="Record one of them by hand in Sage, then correct the order.",
            )
        )
    reference = captures[0][1].transaction_id
    return (
        next(iter(types), ""),
        cents(order.captured),
        reference if len(reference) <= PAYMENT_REFERENCE_LENGTH else reference[:PAYMENT_REFERENCE_LENGTH],
    )


def _payment_comments(order: Order) -> list[str]:
    """References that do not fit OtherPaymentTypeRefNo are kept whole in a comment."""
    return [
        f"Payment reference {payment.transaction_id}"
        for payment in order.payments
        if payment.type is PaymentType.CAPTURE and len(payment.transaction_id) > PAYMENT_REFERENCE_LENGTH
    ]


def _customer(
    order: Order, pair: Pair, bill_to: dict[str, str], schedule: str, problems: list[Problem]
) -> CustomerSearch:
    email = normalised_email(order.buyer.email)
    if order.buyer.email and not email:
        problems.append(
            Problem(
                field="data.customer.email",
                message="is not an e-mail address",
                suggestion="Correct it in Clarity: the buyer gets the shipping notice there.",
            )
        )
    phone = order.buyer.phone or order.billing.phone
    new_customer = NewCustomer(
        ARDivisionNo=pair.customers.new_division,
        CustomerName=bill_to["Name"],
        AddressLine1=bill_to["Address1"],
        AddressLine2=bill_to["Address2"],
        AddressLine3=bill_to["Address3"],
        City=bill_to["City"],
        State=bill_to["State"],
        ZipCode=bill_to["ZipCode"],
        CountryCode=bill_to["CountryCode"],
        TelephoneNo=_fits("TelephoneNo", phone, "data.customer.phone", pair, problems),
        EmailAddress=_fits("EmailAddress", email, "data.customer.email", pair, problems),
        TermsCode=pair.customers.terms_code,
        TaxSchedule=schedule,
        TaxExemptNo=order.buyer.tax_exempt_no,
        CustomerType=pair.customers.customer_type,
        UDF_WEB_CUSTOMER_ID=order.buyer.clarity_id,
        extra=pair.customers.header,
    )
    return CustomerSearch(
        account_no=order.buyer.account_no,
        customer_reference=order.buyer.customer_reference,
        clarity_id=order.buyer.clarity_id,
        email=email,
        bill_to_name=bill_to["Name"],
        bill_to_line1=(order.billing if order.billing.line1 else order.shipping).line1,
        bill_to_line2=(order.billing if order.billing.line1 else order.shipping).line2,
        bill_to_postal_code=bill_to["ZipCode"],
        bill_to_country=bill_to["Country2"],
        phone=phone,
        fully_captured=order.captured >= order.totals.grand,
        match_key=match_key(bill_to["Name"], bill_to["ZipCode"]),
        new_customer=new_customer,
    )


def normalised_email(text: str) -> str:
    """Lower case and trimmed; empty when it is no address (syntax only, nothing is looked up)."""
    try:
        return validate_email(text.strip(), check_deliverability=False).normalized.lower()
    except EmailNotValidError:
        return ""
