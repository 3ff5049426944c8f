"""The transform: Clarity's payload → canonical order → Sage draft, or problems.

In: the webhook body and the pair. Out: `Transformed`. Pure; never raises for what a payload holds.
"""

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final

from email_validator import EmailNotValidError, validate_email

from mappings.addresses import FittedAddress, fit_address, normalise_address
from mappings.amounts import cents
from mappings.canonical import Address, Order
from mappings.clarity_order import order_title, parse_order
from mappings.clarity_profile import with_release_names
from mappings.conditions import order_context
from mappings.customer_match import match_key, web_customer_id
from mappings.order_lines import expected_totals, freight_amt, sales_order_lines
from mappings.pair import Check, Pair, ShipVia, TaxPolicy, TaxRule
from mappings.pair_rules import fits, holds, is_expedited, values
from mappings.payments import payment_warnings, translate_payments
from mappings.places import country_code
from mappings.problems import Problem
from mappings.sales_order import (
    CustomerSearch,
    Draft,
    LineOrigin,
    NewCustomer,
    SageItemType,
    SalesOrder,
    SalesOrderLine,
    Transformed,
)
from mappings.statuses import status_problem

EXPEDITED_MARK: Final = " · expedited"
"""Ends the title of an order that goes before the others."""


def transform(payload: Mapping[str, Any], pair: Pair) -> Transformed:
    """Problems or a draft, never both."""
    order = parse_order(payload, pair.max_lines, pair.clarity)
    if isinstance(order, list):
        return Transformed(mapping_version=pair.version, problems=order)
    # What the shop gives to every guest is nobody's id (rules 6).
    known = {"clarity_id": web_customer_id(order.buyer.clarity_id, pair)}
    order = order.model_copy(update={"buyer": order.buyer.model_copy(update=known)})
    problems: list[Problem] = []
    draft = _draft(order, pair, problems)
    expedited = is_expedited(order_for_rules(order, pair), pair)
    return Transformed(
        order_number=order.number,
        title=order_title(order) + (EXPEDITED_MARK if expedited else ""),
        expedited=expedited,
        mapping_version=pair.version,
        draft=None if problems else draft,
        problems=with_release_names(problems, pair.clarity),
        warnings=[
            *arithmetic_warnings(order),
            *payment_warnings(order.payments),
            *exemption_warnings(order),
            *address_warnings(order),
        ],
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


def _draft(order: Order, pair: Pair, problems: list[Problem]) -> Draft:
    if (unknown := status_problem(order.status, pair.clarity)) is not None:
        problems.append(unknown)
    if order.currency != pair.company.currency:
        problems.append(
            Problem(
                field="data.currency",
                message=f"is {order.currency}, company {pair.company.code} keeps {pair.company.currency}",
                suggestion="Sell in the company's currency, or name the pair whose company keeps this one "
                f"(company.other_currencies in {pair.name}.yaml).",
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
    seen = order_for_rules(order, pair)
    exempt = seen.buyer.tax_exempt_no
    schedule = tax_schedule(seen, pair, problems)
    money = translate_payments(order, pair, problems)
    customer_po_no, po_comment = _purchase_order(order, pair)
    comments = [po_comment] if po_comment else []
    if order.buyer.tax_exempt_no and not exempt:
        comments.append(f"Tax exemption number {order.buyer.tax_exempt_no} came without an account; it was not applied")
    comments += money.comments
    if order.notes and pair.order.notes:
        comments.append(order.notes)
    warehouse = pair.order.warehouse
    sales_order = SalesOrder(
        UDF_WEB_ORDER_ID=order.order_id,
        OrderDate=company_date(order, pair),
        OrderStatus=pair.order.order_status,
        ShipExpireDate=order.requested_ship_date,
        **{f"BillTo{part}": value for part, value in bill_to.columns.items()},
        **{f"ShipTo{part}": value for part, value in ship_to.columns.items()},
        ShipVia=via.ship_via if via else "",
        CustomerPONo=customer_po_no,
        WarehouseCode=warehouse,
        ConfirmTo=fits("ConfirmTo", _person(order), "data.customer", pair, problems),
        EmailAddress=order.buyer.email,
        ResidentialAddress="" if order.shipping.residential is None else "Y" if order.shipping.residential else "N",
        TaxSchedule=schedule,
        TaxExemptNo=fits("TaxExemptNo", exempt, "data.customer.taxExemptNo", pair, problems),
        FreightAmt=freight_amt(order, pair),
        PaymentType=money.PaymentType,
        PaymentTypeCategory="D" if money.DepositAmt else "",
        DepositAmt=money.DepositAmt,
        CheckNoForDeposit=money.CheckNoForDeposit,
        OtherPaymentTypeRefNo=money.OtherPaymentTypeRefNo,
        extra=_header(seen, pair, problems),
        Lines=[
            *sales_order_lines(seen, money, pair, problems),
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
        expected=expected_totals(order, money, pair),
        checks=_checks(seen, pair, problems),
    )


def expedites(payload: Mapping[str, Any], pair: Pair) -> bool:
    """Whether an order goes before the others, from what Clarity sent; one that cannot be read does not."""
    if pair.order.expedite is None:
        return False
    order = parse_order(payload, pair.max_lines, pair.clarity)
    return not isinstance(order, list) and is_expedited(order_for_rules(order, pair), pair)


def order_for_rules(order: Order, pair: Pair) -> Order:
    """The order as the pair's conditions and expressions see it; the order itself keeps what was typed.

    Countries are ISO 3166-1 alpha-2, and regions codes where the country's people write codes (`Texas`, `tx` → `TX`),
    as in Sage's columns; `ordered_on` is the company's date. An exemption number stands there only when the buyer came
    with an account number or our cross-reference (rules 6): a guest may type anything. Applying it twice changes
    nothing.
    """
    buyer = order.buyer
    if not buyer.is_authenticated:
        buyer = buyer.model_copy(update={"tax_exempt_no": ""})
    return order.model_copy(
        update={
            "billing": _in_codes(order.billing, "data.billingAddress"),
            "shipping": _in_codes(order.shipping, "data.shippingAddress"),
            "buyer": buyer,
            "ordered_on": company_date(order, pair),
        }
    )


def _in_codes(address: Address, path: str) -> Address:
    place = normalise_address(address, path)
    return address.model_copy(update={"country": place.country, "region": place.region}) if place.country else address


def company_date(order: Order, pair: Pair) -> date:
    """The day of the checkout in the company's time zone (rules 4)."""
    return order.created.astimezone(pair.company.zone).date()


def address_warnings(order: Order) -> Iterator[str]:
    """What is unusual about an address, and no problem."""
    addresses = {"data.shippingAddress": order.shipping}
    if order.billing.line1 and order.billing != order.shipping:
        addresses["data.billingAddress"] = order.billing
    for path, address in addresses.items():
        yield from (f"{path}: {remark}" for remark in normalise_address(address, path).remarks)


def exemption_warnings(order: Order) -> Iterator[str]:
    """An exemption that anybody may have typed: only an account number or our cross-reference gives one (rules 6)."""
    if order.buyer.tax_exempt_no and not order.buyer.is_authenticated:
        yield (
            "data.customer.taxExemptNo came without an account number or our cross-reference: it exempts nothing, and "
            "stands in a comment line"
        )


def _checks(order: Order, pair: Pair, problems: list[Problem]) -> list[Check]:
    """The checks that concern this order, in the pair's order."""
    context = order_context(order)
    return [
        check
        for index, check in enumerate(pair.checks)
        if check.when is None or holds(check.when, context, f"pair.checks[{index}].when", problems)
    ]


def _header(order: Order, pair: Pair, problems: list[Problem]) -> dict[str, str]:
    """Fixed columns, then those of the rules that hold, then values from the order; empty ones are left to Sage."""
    context, rules = order_context(order), pair.order
    header = dict(rules.header)
    for index, rule in enumerate(rules.header_rules):
        if holds(rule.when, context, f"pair.order.header_rules[{index}].when", problems):
            header |= rule.header
    header |= values(rules.header_values, context, "pair.order.header_values", pair, problems)
    return header


def ship_via_of(carrier: str, method: str, pair: Pair) -> ShipVia | None:
    """The first rule of the pair that fits, compared without case."""
    for rule in pair.order.ship_via:
        if rule.carrier and rule.carrier.casefold() != carrier.casefold():
            continue
        if rule.method and rule.method.casefold() != method.casefold():
            continue
        return rule
    return None


def tax_schedule(order: Order, pair: Pair, problems: list[Problem]) -> str:
    """TaxSchedule by exemption, then the pair's first rule that fits the ship-to and the order, else the default."""
    if pair.tax.policy is TaxPolicy.LINE or is_exempt(order, pair):
        return pair.tax.exempt
    rule = tax_rule(order, pair, problems)
    return pair.tax.default if rule is None else rule.schedule


def is_exempt(order: Order, pair: Pair) -> bool:
    """Whether the buyer's exemption number takes `tax.exempt`: an authenticated one, in one of `tax.exempt_regions`."""
    seen = order_for_rules(order, pair)
    if not seen.buyer.tax_exempt_no:
        return False
    region = seen.shipping.region
    regions = pair.tax.exempt_regions
    return not regions or region in regions or f"{seen.shipping.country}-{region}" in regions


def tax_rule(order: Order, pair: Pair, problems: list[Problem]) -> TaxRule | None:
    """The pair's first rule that fits the ship-to's country and region, and the order."""
    seen = order_for_rules(order, pair)
    country, region = seen.shipping.country, seen.shipping.region
    for index, rule in enumerate(pair.tax.schedules):
        if rule.country not in ("", country) or rule.region not in ("", region):
            continue
        path = f"pair.tax.schedules[{index}].when"
        if rule.when is None or holds(rule.when, order_context(seen), path, problems):
            return rule
    return None


def _address(address: Address, path: str, pair: Pair, problems: list[Problem]) -> FittedAddress:
    """The address in Sage's parts; missing parts and what does not fit are problems."""
    normalised = normalise_address(address, path)
    prefix = "ShipTo" if path.endswith("shippingAddress") else "BillTo"
    fitted = fit_address(normalised, pair.columns, prefix, path)
    problems += [*normalised.problems, *fitted.problems]
    return fitted


def _person(order: Order) -> str:
    return f"{order.buyer.first_name} {order.buyer.last_name}".strip() or order.shipping.name


def _purchase_order(order: Order, pair: Pair) -> tuple[str, str]:
    """CustomerPONo, and the comment that keeps what did not fit (design, create)."""
    limit = pair.columns.get("CustomerPONo", 15)
    number = order.purchase_order_number
    if not number:
        return order.number[:limit], ""
    if len(number) <= limit:
        return number, ""
    return order.number[:limit], f"Purchase order {number}"


def _customer(
    order: Order, pair: Pair, bill_to: FittedAddress, schedule: str, problems: list[Problem]
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
    billed = order.billing if order.billing.line1 else order.shipping
    web_id = web_customer_id(order.buyer.clarity_id, pair)
    if order.buyer.tax_exempt_no:
        # Whoever orders may type an exemption; that it is one stands in Sage, on an account that has it (rules 6).
        unproven = order.model_copy(update={"buyer": order.buyer.model_copy(update={"tax_exempt_no": ""})})
        schedule = tax_schedule(order_for_rules(unproven, pair), pair, [])
    new_customer = NewCustomer(
        ARDivisionNo=pair.customers.new_division,
        CustomerName=bill_to.Name,
        AddressLine1=bill_to.Address1,
        AddressLine2=bill_to.Address2,
        AddressLine3=bill_to.Address3,
        City=bill_to.City,
        State=bill_to.State,
        ZipCode=bill_to.ZipCode,
        CountryCode=bill_to.CountryCode,
        TelephoneNo=fits("TelephoneNo", phone, "data.customer.phone", pair, problems),
        EmailAddress=fits("EmailAddress", email, "data.customer.email", pair, problems),
        TermsCode=pair.customers.terms_code,
        TaxSchedule=pair.customers.tax_schedule or schedule,
        CustomerType=pair.customers.customer_type,
        UDF_WEB_CUSTOMER_ID=web_id,
        extra=pair.customers.header,
    )
    return CustomerSearch(
        account_no=order.buyer.account_no,
        customer_reference=order.buyer.customer_reference,
        clarity_id=web_id,
        email=email,
        bill_to_name=bill_to.Name,
        bill_to_line1=billed.line1,
        bill_to_line2=billed.line2,
        bill_to_line3=billed.line3,
        bill_to_city=bill_to.City,
        bill_to_postal_code=bill_to.ZipCode,
        bill_to_country=country_code(billed.country) or "",
        phone=phone,
        fully_captured=order.captured >= order.totals.grand,
        match_key=match_key(bill_to.Name, bill_to.ZipCode),
        new_customer=new_customer,
    )


def normalised_email(text: str) -> str:
    """Lower case and trimmed; empty when it is no address (syntax only, nothing is looked up)."""
    try:
        return validate_email(text.strip(), check_deliverability=False).normalized.lower()
    except EmailNotValidError:
        return ""
