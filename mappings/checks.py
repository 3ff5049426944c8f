"""The checks between understanding an order and creating it, and the comparisons around the create.

In: what is to be created and what Sage said. Out: findings (each asks for a hold) and differences in words.
"""

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal

from mappings.customer_match import CustomerRecord
from mappings.items import ItemFacts
from mappings.pair import Check, CheckName, Pair
from mappings.problems import Finding, HoldReason, Problem
from mappings.sales_order import ExpectedTotals, LineOrigin, SalesOrder, SalesOrderOnSage


def run_checks(
    order: SalesOrder,
    expected: ExpectedTotals,
    customer: CustomerRecord | None,
    items: Mapping[str, ItemFacts],
    pair: Pair,
) -> list[Finding]:
    """The pair's checks in the pair's order; `items` by ItemCode, `customer` None for one yet to be created."""
    findings = []
    for check in pair.checks:
        match check.name:
            case CheckName.CREDIT:
                problems = _credit(order, expected, customer, pair)
                concerned: list[str] = []
            case CheckName.STOCK:
                problems, concerned = _stock(order, items, pair)
        if problems:
            findings.append(_finding(check, problems, concerned))
    return findings


def _finding(check: Check, problems: list[Problem], items: list[str]) -> Finding:
    return Finding(reason=check.on_fail, problems=problems, items=items)


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
                suggestion="Clear the hold in Sage, then release with retry; or cancel.",
            )
        ]
    open_amount = expected.grand - order.DepositAmt
    if open_amount <= 0 or (customer.CreditLimit == 0 and pair.credit.limit_zero == "unlimited"):
        return []
    exposure = customer.exposure + open_amount
    if exposure <= customer.CreditLimit:
        return []
    return [
        Problem(
            field=f"{field}.CreditLimit",
            message=f"With this order the account owes {exposure:,.2f}; its limit is {customer.CreditLimit:,.2f}.",
            suggestion="Raise the limit in Sage or book a payment, then release with retry; or cancel.",
        )
    ]


def _stock(order: SalesOrder, items: Mapping[str, ItemFacts], pair: Pair) -> tuple[list[Problem], list[str]]:
    """Rules 7: available per item and warehouse against the whole order, in the item's standard unit."""
    if pair.stock.policy != "hold":
        return [], []
    wanted: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for line in order.Lines:
        if line.origin is LineOrigin.ITEM:
            item = items[line.ItemCode]
            if item.is_stocked and line.ItemCode not in pair.stock.not_checked:
                warehouse = line.WarehouseCode or item.DefaultWarehouseCode
                wanted[line.ItemCode, warehouse] += line.QuantityOrdered * item.SalesUMConvFctr
    problems, short = [], []
    for (item_code, warehouse), quantity in wanted.items():
        stock = items[item_code].warehouses.get(warehouse)
        available = stock.available if stock is not None else Decimal(0)
        if available < quantity:
            short.append(item_code)
            problems.append(
                Problem(
                    field=f"IM_ItemWarehouse.{item_code}.{warehouse}",
                    message=f"{max(available, Decimal(0)).normalize():f} available, "
                    f"{quantity.normalize():f} ordered ({item_code}, warehouse {warehouse}).",
                    suggestion="Release with retry when stock is there; or cancel.",
                )
            )
    return problems, short


def compare_totals(expected: ExpectedTotals, preview: SalesOrderOnSage) -> Finding | None:
    """Sage's order total must be Clarity's grand total (rules 5); both sides are shown."""
    difference = preview.total - expected.grand
    if abs(difference) <= expected.tolerance:
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
            suggestion="Correct the order in Clarity, or prices, tax schedule or classes in Sage; then retry.",
        )
        for name, clarity, sage in sides
        if name == "grand total" or clarity != sage
    ]
    lines = ", ".join(f"{line.ItemCode} {line.ExtensionAmt:,.2f}" for line in preview.Lines[:20])
    problems.append(Problem(field="SO_SalesOrder.Lines", message=f"Sage's lines: {lines}"))
    return Finding(reason=HoldReason.TOTAL_MISMATCH, problems=problems)


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
        elif sent.origin is not LineOrigin.COMMENT and line.UnitPrice != sent.UnitPrice:
            differences.append(f"line {number} ({line.ItemCode}) costs {line.UnitPrice}, sent {sent.UnitPrice}")
    if stored.FreightAmt != wanted.FreightAmt:
        differences.append(f"freight {stored.FreightAmt}, sent {wanted.FreightAmt}")
    return differences
