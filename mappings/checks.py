"""The checks between understanding an order and creating it, and the comparisons around the create.

In: what is to be created and what Sage said. Out: findings (each asks for a hold) and differences in words.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import ROUND_FLOOR, Decimal

from mappings.baskets import RecentBasket, same_basket
from mappings.customer_match import CustomerRecord
from mappings.decisions import UNDECIDED, Decisions, Side, StockDecision
from mappings.items import ItemFacts
from mappings.pair import Check, CheckName, HoldKept, Pair, PaymentAccepted
from mappings.problems import Finding, HoldReason, Problem, Shortage
from mappings.sales_order import (
    ExpectedTotals,
    LineOrigin,
    SageItemType,
    SalesOrder,
    SalesOrderLine,
    SalesOrderOnSage,
)

MOST_LINES = 40
"""Lines that a hold names."""


def run_checks(
    order: SalesOrder,
    expected: ExpectedTotals,
    customer: CustomerRecord | None,
    items: Mapping[str, ItemFacts],
    pair: Pair,
    decisions: Decisions = UNDECIDED,
    recent: Sequence[RecentBasket] = (),
    checks: Sequence[Check] | None = None,
) -> list[Finding]:
    """The order's checks (without, all of the pair's) in their order.

    `items` by ItemCode; `customer` None for one yet to be created.
    What a person approved is not found again; a decision about stock passes the stock check.
    """
    found: list[Finding] = []
    for check in pair.checks if checks is None else checks:
        match check.name:
            case CheckName.PAYMENT:
                finding = _found(check, _payment(order, expected, customer, pair, check))
            case CheckName.CREDIT:
                finding = _found(check, _credit(order, expected, customer, pair))
            case CheckName.PRICE:
                finding = _found(check, _below_cost(order, items, check))
            case CheckName.STOCK:
                finding = _stock(order, items, check, decisions, pair)
            case CheckName.SAME_BASKET:
                finding = _found(check, _twins(same_basket(order, recent), check))
        if finding is not None and (left := not_approved(finding, decisions)) is not None:
            found.append(left)
    return found


def _found(check: Check, problems: list[Problem]) -> Finding | None:
    if not problems:
        return None
    in_sage = check.keep is HoldKept.IN_SAGE
    return Finding(reason=check.on_fail, problems=problems, check=check.name.value, in_sage=in_sage)


def not_approved(finding: Finding, decisions: Decisions) -> Finding | None:
    """The finding without what a person has approved; None when nothing is left of it."""
    left = [
        problem
        for problem, name in zip(finding.problems, finding.approvals, strict=True)
        if name not in decisions.approved
    ]
    return finding.model_copy(update={"problems": left}) if left else None


def basket_minutes(checks: Sequence[Check]) -> float:
    """How far back the checks look for the same basket; 0 when none does."""
    return max((check.minutes for check in checks if check.name is CheckName.SAME_BASKET), default=0.0)


def _below_cost(order: SalesOrder, items: Mapping[str, ItemFacts], check: Check) -> list[Problem]:
    """Rules 5: what is sold for less than it costs is looked at."""
    problems = []
    for line, price in zip(order.Lines, net_prices(order), strict=True):
        item = items.get(line.ItemCode)
        if item is None or price is None:
            continue
        cost = item.StandardUnitCost * item.conversion(line)
        if price < _lowest(cost, check):
            problems.append(_too_cheap(line, price, "the item's cost", cost))
    return problems[:MOST_LINES]


def below_sages_price(
    order: SalesOrder, by_sage: SalesOrderOnSage, checks: Sequence[Check], decisions: Decisions
) -> Finding | None:
    """Web prices below Sage's own for the account (rules 5); `by_sage` is a preview of the order without prices."""
    check = price_check(checks)
    if check is None:
        return None
    own = [line for line in by_sage.Lines if not line.is_component]
    problems = [
        _too_cheap(line, price, "Sage's price for the account", stored.UnitPrice)
        for line, stored, price in zip(order.Lines, own, net_prices(order), strict=False)
        if line.origin is LineOrigin.ITEM
        and price is not None
        and line.ItemCode == stored.ItemCode
        and price < _lowest(stored.UnitPrice, check)
    ]
    finding = _found(check, problems[:MOST_LINES])
    return not_approved(finding, decisions) if finding is not None else None


def price_check(checks: Sequence[Check]) -> Check | None:
    """The check of prices among `checks`."""
    return next((check for check in checks if check.name is CheckName.PRICE), None)


def net_prices(order: SalesOrder) -> list[Decimal | None]:
    """What each line really sells for, per unit: its price less its share of every discount on the order.

    A discount of 348 on a desk of 349 hides in a line of its own; the item is sold for 1 all the same. Discounts are
    shared over the items by amount. None for lines that are no items, and for Sage's own prices.
    """
    amounts = [
        (line.QuantityOrdered * line.UnitPrice)
        if line.origin is LineOrigin.ITEM and line.UnitPrice is not None
        else Decimal(0)
        for line in order.Lines
    ]
    shared, by_line = Decimal(0), defaultdict[str, Decimal](Decimal)
    for line in order.Lines:
        if line.origin is LineOrigin.DISCOUNT and line.UnitPrice is not None:
            amount = line.UnitPrice * line.QuantityOrdered
            if line.discount_of:
                by_line[line.discount_of] += amount
            else:
                shared += amount
    goods = sum(amounts, Decimal(0)) + sum(by_line.values(), Decimal(0))
    prices: list[Decimal | None] = []
    for line, amount in zip(order.Lines, amounts, strict=True):
        if line.origin is not LineOrigin.ITEM or line.UnitPrice is None or not line.QuantityOrdered:
            prices.append(None)
            continue
        own = amount + by_line.get(line.UDF_WEB_LINE_ID, Decimal(0))
        share = shared * own / goods if goods else Decimal(0)
        prices.append((own + share) / line.QuantityOrdered)
    return prices


def _lowest(price: Decimal, check: Check) -> Decimal:
    return price * (100 - check.tolerance_percent) / 100


def _too_cheap(line: SalesOrderLine, price: Decimal, what: str, limit: Decimal) -> Problem:
    return Problem(
        field=f"SO_SalesOrder.{line.ItemCode}.UnitPrice",
        message=f"{line.ItemCode} was sold for {shown(price)} after discounts, {what} is {limit.normalize():f}.",
        suggestion="Is it a promotion? Then release with approve. A mistake: correct the price, or cancel.",
    )


def shown(price: Decimal) -> str:
    """A unit price for people: at most six decimals, as Sage stores it."""
    return f"{price.quantize(Decimal('0.000001')).normalize():f}"


def _twins(twins: Sequence[RecentBasket], check: Check) -> list[Problem]:
    return [
        Problem(
            field=f"SO_SalesOrder.{one.SalesOrderNo}",
            message=f"Sales order {one.SalesOrderNo} of the same account holds the same items"
            + (f" (web order {one.UDF_WEB_ORDER_ID})" if one.UDF_WEB_ORDER_ID else "")
            + f", not {check.minutes:g} minutes before.",
            suggestion="Ask the buyer. Two orders: release with approve. One too many: cancel.",
        )
        for one in twins[:5]
    ]


def _payment(
    order: SalesOrder, expected: ExpectedTotals, customer: CustomerRecord | None, pair: Pair, check: Check
) -> list[Problem]:
    """Rules 5 and 6: goods leave on prepaid terms only when the money is here, or surely comes.

    An account that has terms of its own is the credit check's business. `accept: authorised` takes a live authorisation
    for money, where the site captures at shipment.
    """
    prepaid = customer is None or customer.TermsCode in ("", pair.customers.terms_code)
    covered = expected.paid
    if check.accept is PaymentAccepted.AUTHORISED:
        covered += expected.authorised
    if not prepaid or covered >= expected.grand - expected.tolerance:
        return []
    authorised = f", {expected.authorised:,.2f} is authorised" if expected.authorised else ""
    return [
        Problem(
            field=f"data.payments.{order.UDF_WEB_ORDER_ID}",
            message=f"{expected.paid:,.2f} of {expected.grand:,.2f} {expected.currency} is captured{authorised}, and "
            f"the account has no terms but prepaid ({pair.customers.terms_code}).",
            suggestion="Capture the payment: it goes on by itself when Clarity sends the order again. Or approve; or "
            "cancel.",
        )
    ]


def _credit(order: SalesOrder, expected: ExpectedTotals, customer: CustomerRecord | None, pair: Pair) -> list[Problem]:
    """Rules 7: CreditHold stops everybody; the limit only what is not prepaid."""
    if customer is None:
        return []
    field = f"AR_Customer.{customer.key}"
    if customer.CreditHold:
        return [
            Problem(
                field=f"{field}.CreditHold",
                message="The account is on credit hold in Sage.",
                suggestion="Clear the hold in Sage, then release with retry; or approve; or cancel.",
            )
        ]
    open_amount = expected.grand - expected.paid
    if open_amount <= 0 or (customer.CreditLimit == 0 and pair.credit.limit_zero == "unlimited"):
        return []
    exposure = customer.exposure + open_amount
    if exposure <= customer.CreditLimit:
        return []
    return [
        Problem(
            field=f"{field}.CreditLimit",
            message=f"With this order the account owes {exposure:,.2f}; its limit is {customer.CreditLimit:,.2f}.",
            suggestion="Raise the limit in Sage or book a payment, then release with retry; or approve; or cancel.",
        )
    ]


def shortages(order: SalesOrder, items: Mapping[str, ItemFacts], pair: Pair) -> list[Shortage]:
    """Rules 7: available per item and warehouse against the whole order."""
    wanted: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for line in order.Lines:
        if _takes_stock(line, items, pair):
            item = items[line.ItemCode]
            wanted[line.ItemCode, _warehouse(line, item)] += line.QuantityOrdered * item.conversion(line)
    return [
        Shortage(ItemCode=item_code, WarehouseCode=warehouse, wanted=quantity, available=available)
        for (item_code, warehouse), quantity in wanted.items()
        if (available := _available(items[item_code], warehouse)) < quantity
    ]


def routed(order: SalesOrder, items: Mapping[str, ItemFacts], pair: Pair) -> SalesOrder:
    """Each line from the first of its warehouses that can ship all of it (`else_from`), beside the lines before it."""
    left: dict[tuple[str, str], Decimal] = {}
    lines = []
    for line in order.Lines:
        if _takes_stock(line, items, pair):
            item = items[line.ItemCode]
            needed = line.QuantityOrdered * item.conversion(line)
            places = [_warehouse(line, item), *line.else_from]
            for place in places:
                left.setdefault((line.ItemCode, place), _available(item, place))
            chosen = next((place for place in places if left[line.ItemCode, place] >= needed), places[0])
            left[line.ItemCode, chosen] -= needed
            if chosen != places[0]:
                line = line.model_copy(update={"WarehouseCode": chosen})  # noqa: PLW2901
        lines.append(line)
    return order.model_copy(update={"Lines": lines})


def _takes_stock(line: SalesOrderLine, items: Mapping[str, ItemFacts], pair: Pair) -> bool:
    return (
        line.origin is LineOrigin.ITEM
        and line.ItemCode in items
        and items[line.ItemCode].is_stocked
        and line.ItemCode not in pair.stock.not_checked
    )


def _warehouse(line: SalesOrderLine, item: ItemFacts) -> str:
    return line.WarehouseCode or item.DefaultWarehouseCode


def _available(item: ItemFacts, warehouse: str) -> Decimal:
    stock = item.warehouses.get(warehouse)
    return max(stock.available, Decimal(0)) if stock is not None else Decimal(0)


def _stock(
    order: SalesOrder, items: Mapping[str, ItemFacts], check: Check, decisions: Decisions, pair: Pair
) -> Finding | None:
    short = shortages(order, items, pair)
    dropped = [one.ItemCode for one in short if not items[one.ItemCode].AllowBackOrders]
    if decisions.stock is StockDecision.SHIP_AVAILABLE:
        short = []
    elif decisions.stock is StockDecision.BACKORDER or pair.stock.policy == "backorder":
        # Of these items Sage would drop the rest at the first invoice (rules 3): only a person may decide that.
        short = [one for one in short if one.ItemCode in dropped]
    if not short:
        return None
    return Finding(
        reason=check.on_fail,
        check=check.name.value,
        items=[one.ItemCode for one in short],
        shortages=short,
        no_back_orders=dropped,
        problems=[
            Problem(
                field=f"IM_ItemWarehouse.{one.ItemCode}.{one.WarehouseCode}",
                message=f"{one.available.normalize():f} available, "
                f"{one.wanted.normalize():f} ordered ({one.ItemCode}, warehouse {one.WarehouseCode}).",
                suggestion="No back orders for this item: ship_available drops the rest and tells Clarity; or cancel."
                if one.ItemCode in dropped
                else "It goes on by itself when stock comes. Or release with backorder (wait for all of it), "
                "ship_available (the rest later), or cancel.",
            )
            for one in short
        ],
    )


def back_ordered(order: SalesOrder, items: Mapping[str, ItemFacts], pair: Pair, decisions: Decisions) -> SalesOrder:
    """The order with QuantityBackordered on its short lines, so that it takes no more stock than there is.

    `backorder` lets short lines wait whole; `ship_available` (and the pair's policy `backorder`) only what is missing.
    """
    left: dict[tuple[str, str], Decimal] = {}
    short = {(one.ItemCode, one.WarehouseCode) for one in shortages(order, items, pair)}
    lines = []
    for line in order.Lines:
        key = (line.ItemCode, _warehouse(line, items[line.ItemCode])) if _takes_stock(line, items, pair) else ("", "")
        if key not in short:
            lines.append(line)
            continue
        factor = items[line.ItemCode].conversion(line)
        stock = left.setdefault(key, _available(items[line.ItemCode], key[1]))
        step = Decimal(1).scaleb(-pair.company.quantity_decimals)
        can_ship = min((stock / factor).quantize(step, rounding=ROUND_FLOOR), line.QuantityOrdered)
        if decisions.stock is StockDecision.BACKORDER and can_ship < line.QuantityOrdered:
            can_ship = Decimal(0)
        left[key] = stock - can_ship * factor
        lines.append(line.model_copy(update={"QuantityBackordered": line.QuantityOrdered - can_ship}))
    return order.model_copy(update={"Lines": lines})


def compare_totals(
    expected: ExpectedTotals, preview: SalesOrderOnSage, decisions: Decisions = UNDECIDED
) -> Finding | None:
    """Sage's order total must be Clarity's grand total, and its tax Clarity's tax (rules 5); both sides are shown.

    Two wrongs that cancel out are two wrongs: freight as charged and tax are compared by themselves as well. A person
    who said which side is right said so of one difference: another one is asked about again.
    """
    difference = preview.total - expected.grand
    tax = preview.SalesTaxAmt - expected.tax
    freight = preview.FreightAmt - expected.freight
    if max(abs(difference), abs(tax), abs(freight)) <= expected.tolerance:
        return None
    if abs(difference) <= expected.tolerance and decisions.winner is not None:
        return None
    if decisions.winner is Side.SAGE and difference == decisions.difference:
        return None
    sides = [
        ("grand total", expected.grand, preview.total),
        ("tax", expected.tax, preview.SalesTaxAmt),
        ("freight", expected.freight, preview.FreightAmt),
    ]
    problems = [
        Problem(
            field="SO_SalesOrder.Total" if name == "grand total" else f"SO_SalesOrder.{name}",
            message=f"{name}: Clarity {clarity:,.2f}, Sage {sage:,.2f}, difference {sage - clarity:+,.2f}",
            suggestion="Correct prices, tax schedule or classes in Sage and retry, correct the order, or approve with "
            'the side that wins ("winner": "sage" or "clarity").'
            if name == "grand total"
            else "",
        )
        for name, clarity, sage in sides
        if name == "grand total" or clarity != sage
    ]
    own = [line for line in preview.Lines if line.ItemType is not SageItemType.COMMENT and not line.is_component]
    problems += [
        Problem(
            field=f"SO_SalesOrder.Lines[{number}]",
            message=f"{line.ItemCode}: {line.QuantityOrdered.normalize():f} × {line.UnitPrice:f} = "
            f"{line.ExtensionAmt:,.2f} in Sage",
        )
        for number, line in enumerate(own[:MOST_LINES])
    ]
    return Finding(reason=HoldReason.TOTAL_MISMATCH, problems=problems)


def balanced(order: SalesOrder, pair: Pair, decisions: Decisions) -> SalesOrder:
    """With the decision that Clarity's total wins: a rounding line that takes Sage's difference away, untaxed."""
    if decisions.winner is not Side.CLARITY or not decisions.difference:
        return order
    line = SalesOrderLine(
        origin=LineOrigin.ROUNDING,
        ItemCode=pair.charges.rounding,
        ItemType=SageItemType.MISCELLANEOUS,
        QuantityOrdered=Decimal(1),
        UnitPrice=-decisions.difference,
        TaxClass=pair.charges.non_taxable_class,
    )
    return order.model_copy(update={"Lines": [*order.Lines, line]})


def same_order(
    wanted: SalesOrder, stored: SalesOrderOnSage, expected: ExpectedTotals, decisions: Decisions = UNDECIDED
) -> list[str]:
    """What differs between the order sent and the order stored (rules 4: lines, quantities, total; and the account).

    The gateway may leave DepositAmt out of its answer; then it is not compared.
    """
    differences = []
    # Sage explodes kits when an order is entered: the components are its own.
    lines = [line for line in stored.Lines if not line.is_component]
    if len(lines) != len(wanted.Lines):
        differences.append(f"{len(lines)} lines, sent {len(wanted.Lines)}")
    for number, (line, sent) in enumerate(zip(lines, wanted.Lines, strict=False), start=1):
        if line.ItemCode != sent.ItemCode:
            differences.append(f"line {number} is {line.ItemCode}, sent {sent.ItemCode}")
        elif sent.UnitOfMeasure and line.UnitOfMeasure not in ("", sent.UnitOfMeasure):
            differences.append(f"line {number} ({line.ItemCode}) is in {line.UnitOfMeasure}, sent {sent.UnitOfMeasure}")
        elif sent.origin is not LineOrigin.COMMENT and line.QuantityOrdered != sent.QuantityOrdered:
            differences.append(
                f"line {number} ({line.ItemCode}) has quantity {line.QuantityOrdered}, sent {sent.QuantityOrdered}"
            )
        elif sent.origin is not LineOrigin.COMMENT and sent.UnitPrice not in (None, line.UnitPrice):
            differences.append(f"line {number} ({line.ItemCode}) costs {line.UnitPrice}, sent {sent.UnitPrice}")
    if (stored.ARDivisionNo, stored.CustomerNo) != (wanted.ARDivisionNo, wanted.CustomerNo):
        differences.append(
            f"account {stored.ARDivisionNo}-{stored.CustomerNo}, sent {wanted.ARDivisionNo}-{wanted.CustomerNo}"
        )
    if stored.FreightAmt != wanted.FreightAmt:
        differences.append(f"freight {stored.FreightAmt}, sent {wanted.FreightAmt}")
    if stored.DepositAmt not in (None, wanted.DepositAmt):
        differences.append(f"deposit {stored.DepositAmt}, sent {wanted.DepositAmt}")
    by_sage = decisions.difference if decisions.winner is Side.SAGE else Decimal(0)
    total = expected.grand + by_sage
    if abs(stored.total - total) > expected.tolerance:
        differences.append(f"total {stored.total}, sent {total}")
    return differences


def fell_short(
    order: SalesOrderOnSage, before: Mapping[str, ItemFacts], after: Mapping[str, ItemFacts]
) -> list[Problem]:
    """Stock that is negative after the order was created (rules 7), and by more than the order itself explains.

    Somebody in Sage took it at the same moment. What was back-ordered on purpose is short from the start.
    """
    taken: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for line in order.Lines:
        if line.counts and line.WarehouseCode:
            factor = line.UnitOfMeasureConvFactor or Decimal(1)
            taken[line.ItemCode, line.WarehouseCode] += line.QuantityOrdered * factor
    problems = []
    for (code, warehouse), quantity in taken.items():
        item = after.get(code)
        then, now = _stock_at(before.get(code), warehouse), _stock_at(item, warehouse)
        if (
            item is None
            or not item.is_stocked
            or then is None
            or now is None
            or now >= min(Decimal(0), then - quantity)
        ):
            continue
        problems.append(
            Problem(
                field=f"IM_ItemWarehouse.{code}.{warehouse}",
                message=f"{now.normalize():f} available after the order was created ({code}, warehouse {warehouse}): "
                "another order took it at the same moment.",
                suggestion="Decide in Sage which order waits: back-order its line, or the other one's.",
            )
        )
    return problems


def _stock_at(item: ItemFacts | None, warehouse: str) -> Decimal | None:
    """Available there, negative when more is promised than there is; None without such a place."""
    stock = item.warehouses.get(warehouse) if item is not None else None
    return stock.available if stock is not None else None
