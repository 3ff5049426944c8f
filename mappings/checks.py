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
from mappings.pair import Check, CheckName, HoldKept, Pair
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
    findings = []
    for check in pair.checks if checks is None else checks:
        if check.on_fail in decisions.approved:
            continue
        match check.name:
            case CheckName.CREDIT:
                problems = _credit(order, expected, customer, pair)
                if problems:
                    findings.append(Finding(reason=check.on_fail, problems=problems, in_sage=_in_sage(check)))
            case CheckName.PRICE:
                problems = _below_cost(order, items, check)
                if problems:
                    findings.append(Finding(reason=check.on_fail, problems=problems))
            case CheckName.STOCK:
                finding = _stock(order, items, check, decisions, pair)
                if finding is not None:
                    findings.append(finding)
            case CheckName.SAME_BASKET:
                if twins := same_basket(order, recent):
                    findings.append(_twins(twins, check))
    return findings


def basket_minutes(pair: Pair) -> float:
    """How far back the pair looks for the same basket; 0 when it does not."""
    return next((check.minutes for check in pair.checks if check.name is CheckName.SAME_BASKET), 0.0)


def _in_sage(check: Check) -> bool:
    return check.keep is HoldKept.IN_SAGE


def _below_cost(order: SalesOrder, items: Mapping[str, ItemFacts], check: Check) -> list[Problem]:
    """Rules 5: what is sold for less than it costs is looked at."""
    problems = []
    for line in order.Lines:
        item = items.get(line.ItemCode)
        if line.origin is not LineOrigin.ITEM or item is None or line.UnitPrice is None:
            continue
        cost = item.StandardUnitCost * item.conversion(line)
        if line.UnitPrice < _lowest(cost, check):
            problems.append(_too_cheap(line, "the item's cost", cost))
    return problems[:MOST_LINES]


def below_sages_price(
    order: SalesOrder, by_sage: SalesOrderOnSage, checks: Sequence[Check], decisions: Decisions
) -> Finding | None:
    """Web prices below Sage's own for the account (rules 5); `by_sage` is a preview of the order without prices."""
    check = price_check(checks, decisions)
    if check is None:
        return None
    own = [line for line in by_sage.Lines if not line.is_component]
    problems = [
        _too_cheap(line, "Sage's price for the account", stored.UnitPrice)
        for line, stored in zip(order.Lines, own, strict=False)
        if line.origin is LineOrigin.ITEM
        and line.UnitPrice is not None
        and line.ItemCode == stored.ItemCode
        and line.UnitPrice < _lowest(stored.UnitPrice, check)
    ]
    return Finding(reason=check.on_fail, problems=problems[:MOST_LINES]) if problems else None


def price_check(checks: Sequence[Check], decisions: Decisions) -> Check | None:
    """The check of prices among `checks`, unless a person has approved what it found."""
    return next(
        (check for check in checks if check.name is CheckName.PRICE and check.on_fail not in decisions.approved), None
    )


def _lowest(price: Decimal, check: Check) -> Decimal:
    return price * (100 - check.tolerance_percent) / 100


def _too_cheap(line: SalesOrderLine, what: str, price: Decimal) -> Problem:
    return Problem(
        field=f"SO_SalesOrder.{line.ItemCode}.UnitPrice",
        message=f"{line.ItemCode} was sold for {line.UnitPrice:f}, {what} is {price.normalize():f}.",
        suggestion="Is it a promotion? Then release with approve. A mistake: correct the price, or cancel.",
    )


def _twins(twins: Sequence[RecentBasket], check: Check) -> Finding:
    return Finding(
        reason=check.on_fail,
        in_sage=_in_sage(check),
        problems=[
            Problem(
                field=f"SO_SalesOrder.{one.SalesOrderNo}",
                message=f"Sales order {one.SalesOrderNo} of the same account holds the same items"
                + (f" (web order {one.UDF_WEB_ORDER_ID})" if one.UDF_WEB_ORDER_ID else "")
                + f", not {check.minutes:g} minutes before.",
                suggestion="Ask the buyer. Two orders: release with approve. One too many: cancel.",
            )
            for one in twins[:5]
        ],
    )


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
    decided = decisions.stock or (StockDecision.SHIP_AVAILABLE if pair.stock.policy == "backorder" else None)
    if decided is StockDecision.BACKORDER:
        # Sage would drop the whole line at the first invoice: nobody asked for that.
        short = [one for one in short if one.ItemCode in dropped]
    elif decided is not None:
        short = []
    if not short:
        return None
    return Finding(
        reason=check.on_fail,
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
    """Sage's order total must be Clarity's grand total (rules 5); both sides are shown.

    A person who said that Sage is right said so of one difference: another one is asked about again.
    """
    difference = preview.total - expected.grand
    if abs(difference) <= expected.tolerance:
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


def same_order(wanted: SalesOrder, stored: SalesOrderOnSage) -> list[str]:
    """What differs between the order sent and the order stored (rules 4: lines, quantities, amounts)."""
    differences = []
    # Sage explodes kits when an order is entered: the components are its own.
    lines = [line for line in stored.Lines if not line.is_component]
    if len(lines) != len(wanted.Lines):
        differences.append(f"{len(lines)} lines, sent {len(wanted.Lines)}")
    for number, (line, sent) in enumerate(zip(lines, wanted.Lines, strict=False), start=1):
        if line.ItemCode != sent.ItemCode:
            differences.append(f"line {number} is {line.ItemCode}, sent {sent.ItemCode}")
        elif sent.origin is not LineOrigin.COMMENT and line.QuantityOrdered != sent.QuantityOrdered:
            differences.append(
                f"line {number} ({line.ItemCode}) has quantity {line.QuantityOrdered}, sent {sent.QuantityOrdered}"
            )
        elif sent.origin is not LineOrigin.COMMENT and sent.UnitPrice not in (None, line.UnitPrice):
            differences.append(f"line {number} ({line.ItemCode}) costs {line.UnitPrice}, sent {sent.UnitPrice}")
    if stored.FreightAmt != wanted.FreightAmt:
        differences.append(f"freight {stored.FreightAmt}, sent {wanted.FreightAmt}")
    return differences
