"""The lines of a Sage order and what its total must be (rules 5, precision, tax, freight).

In: the canonical order and the pair. Out: `SalesOrderLine`s and `ExpectedTotals`. Pure; problems are collected. The
lines stand in this order: items as ordered, one discount per discounted item, order discounts, fees, freight, tax, gift
cards, rounding. Every charge is its own line of quantity 1, so that no amount hides in a percentage or a price. Amounts
are in the order's currency, quantities in the shop's unit.
"""

from collections import defaultdict
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal

from mappings.amounts import cents
from mappings.canonical import Order, OrderLine
from mappings.conditions import line_context
from mappings.pair import DiscountAs, FreightAmount, FreightTo, Pair, PriceSource, TaxPolicy
from mappings.pair_rules import holds, values
from mappings.payments import Money
from mappings.problems import Problem
from mappings.sales_order import ExpectedTotals, LineOrigin, SageItemType, SalesOrderLine

NAME_LENGTH = 60


def freight_amt(order: Order, pair: Pair) -> Decimal:
    """FreightAmt: what the buyer was charged, unless it stands on a line or Sage's shipping decides."""
    freight = pair.charges.freight
    if freight.to is FreightTo.CHARGE_LINE or freight.amount is FreightAmount.ACTUAL:
        return Decimal(0)
    return cents(order.totals.shipping)


def expected_totals(order: Order, money: Money, pair: Pair) -> ExpectedTotals:
    """What Sage's preview must say: Clarity's grand total, less what by the pair's choice is not on Sage's order.

    That is freight that Sage's shipping works out (`actual`), with its tax, and gift cards that stand as a line.
    """
    absent = sum((card.amount for card in money.gift_cards), Decimal(0))
    tax = Decimal(0) if pair.tax.policy is TaxPolicy.LINE else order.totals.tax
    if pair.charges.freight.amount is FreightAmount.ACTUAL:
        absent += cents(order.totals.shipping) + cents(order.delivery.tax)
        tax -= cents(order.delivery.tax)
    by_sage = pair.order.prices.source is PriceSource.SAGE
    return ExpectedTotals(
        currency=order.currency,
        tax=tax,
        freight=freight_amt(order, pair),
        grand=order.totals.grand - absent,
        paid=money.captured - sum((card.amount for card in money.gift_cards), Decimal(0)),
        authorised=money.authorised,
        captured=money.captured,
        tolerance=pair.tax.tolerance + (pair.order.prices.tolerance if by_sage else Decimal(0)),
    )


def sales_order_lines(order: Order, money: Money, pair: Pair, problems: list[Problem]) -> list[SalesOrderLine]:
    """Every line but the comments."""
    rounding: dict[bool, Decimal] = defaultdict(Decimal)
    items = [_item(order, index, line, pair, problems, rounding) for index, line in enumerate(order.lines)]
    charges = [
        *_line_discounts(order, pair),
        *_order_discounts(order, pair),
        *_fees(order, pair, problems),
        *_freight(order, pair),
        *_tax(order, pair),
    ]
    charges += [
        _charge(LineOrigin.GIFT_CARD, card.charge_item, -card.amount, taxable=False, pair=pair)
        for card in money.gift_cards
    ]
    charges += [
        _charge(LineOrigin.ROUNDING, pair.charges.rounding, amount, taxable=taxable, pair=pair)
        for taxable, amount in sorted(rounding.items(), reverse=True)
        if amount
    ]
    return [*items, *charges]


def _item(
    order: Order, index: int, line: OrderLine, pair: Pair, problems: list[Problem], rounding: dict[bool, Decimal]
) -> SalesOrderLine:
    """One item. What its rounded price cannot say goes to `rounding`, by taxability."""
    exponent = line.quantity.normalize().as_tuple().exponent
    if isinstance(exponent, int) and -exponent > pair.company.quantity_decimals:
        problems.append(
            Problem(
                field=f"data.items[{index}].quantity",
                message=f"has more decimals than the company's {pair.company.quantity_decimals}",
                suggestion="Order a quantity that Sage can store.",
            )
        )
    total = cents(line.quantity * line.unit_price)
    if line.discount > total:
        problems.append(
            Problem(
                field=f"data.items[{index}].discount",
                message=f"is {line.discount}, the line costs {total}",
                suggestion="A discount takes no more than the line costs: correct the order in Clarity.",
            )
        )
    price = line.unit_price
    if pair.charges.line_discount_as is DiscountAs.NET_PRICE and line.discount and line.quantity:
        total -= cents(line.discount)
        price = max(total, Decimal(0)) / line.quantity
    exact = price
    price = price.quantize(Decimal(1).scaleb(-pair.company.price_decimals), rounding=ROUND_HALF_UP)
    by_sage = pair.order.prices.source is PriceSource.SAGE
    if not by_sage:
        problems += _lost_by_rounding(index, line, exact, price, total, pair)
        rounding[line.taxable] += total - cents(line.quantity * price)
    context = line_context(order, line)
    warehouse, else_from = _warehouse(order, line, pair, problems)
    return SalesOrderLine(
        origin=LineOrigin.ITEM,
        sku=line.sku,
        name=line.name[:NAME_LENGTH],
        ItemType=SageItemType.REGULAR,
        QuantityOrdered=line.quantity,
        UnitPrice=None if by_sage else price,
        UnitOfMeasure=line.attributes.get(pair.order.unit_attribute, "") if pair.order.unit_attribute else "",
        WarehouseCode=warehouse,
        else_from=else_from,
        TaxClass="" if line.taxable else pair.charges.non_taxable_class,
        UDF_WEB_LINE_ID=line.item_id,
        extra=values(pair.order.line_values, context, "pair.order.line_values", pair, problems),
    )


def _lost_by_rounding(
    index: int, line: OrderLine, exact: Decimal, price: Decimal, total: Decimal, pair: Pair
) -> Iterator[Problem]:
    """A price that the company's decimals make nothing of, or whose rounding is no rounding any more."""
    decimals, stored = pair.company.price_decimals, cents(line.quantity * price)
    shown = f"{exact.quantize(Decimal('0.000001'), rounding=ROUND_HALF_UP).normalize():f}"
    remedy = (
        "Sell it in a larger unit (100, 1000), raise company.price_decimals if the company stores more, or raise "
        f"charges.rounding_limit in {pair.name}.yaml."
    )
    if exact and not price:
        message = f"{shown} is {price} at the company's {decimals} decimals: the item would be free"
    elif abs(total - stored) > pair.charges.rounding_limit:
        message = (
            f"{line.quantity:f} × {shown} is {total:,.2f}; at the company's {decimals} decimals {line.quantity:f} × "
            f"{price} is {stored:,.2f}, and {total - stored:+,.2f} would stand on the line {pair.charges.rounding} "
            f"(limit {pair.charges.rounding_limit})"
        )
    else:
        return
    yield Problem(field=f"data.items[{index}].unitPrice", message=message, suggestion=remedy)


def _warehouse(order: Order, line: OrderLine, pair: Pair, problems: list[Problem]) -> tuple[str, list[str]]:
    """The first rule that holds for the line, else the pair's warehouse; and where else, when stock is short there."""
    if pair.order.warehouses:
        context = line_context(order, line)
        for index, rule in enumerate(pair.order.warehouses):
            if holds(rule.when, context, f"pair.order.warehouses[{index}].when", problems):
                return rule.warehouse, rule.else_from
    return pair.order.warehouse, pair.order.else_from


def _line_discounts(order: Order, pair: Pair) -> Iterator[SalesOrderLine]:
    if pair.charges.line_discount_as is DiscountAs.NET_PRICE and pair.order.prices.source is PriceSource.WEB:
        return
    for line in order.lines:
        if line.discount:
            charge = _charge(
                LineOrigin.DISCOUNT, pair.charges.line_discount, -line.discount, taxable=line.taxable, pair=pair
            )
            yield charge.model_copy(update={"discount_of": line.item_id})


def _order_discounts(order: Order, pair: Pair) -> Iterator[SalesOrderLine]:
    """Discounts on the order: to the tax class that the pair gives their code, else shared as tax is.

    What is shared is the sum of all, by the amounts of taxable and exempt goods and fees (after their own discounts):
    each discount gets what the rounded share of the running sum grows by, so that the shares add up to the cent.
    """
    by_code = {code.casefold(): rule for code, rule in pair.charges.discounts.items()}
    share = _TaxableShare(order)
    for discount in order.discounts:
        amount, rule = cents(discount.amount), by_code.get(discount.code.casefold())
        if rule is not None and rule.tax_class:
            if amount:
                charge = _charge(LineOrigin.DISCOUNT, rule.item, -amount, taxable=True, pair=pair)
                yield charge.model_copy(update={"TaxClass": rule.tax_class})
            continue
        taxable = share.of(amount)
        item = rule.item if rule is not None else pair.charges.order_discount
        for part, is_taxable in ((taxable, True), (amount - taxable, False)):
            if part:
                yield _charge(LineOrigin.DISCOUNT, item, -part, taxable=is_taxable, pair=pair)


class _TaxableShare:
    """The taxable parts of one order's discounts, one after the other; without taxable goods and fees they are zero."""

    def __init__(self, order: Order) -> None:
        amounts: dict[bool, Decimal] = defaultdict(Decimal)
        for line in order.lines:
            amounts[line.taxable] += cents(line.quantity * line.unit_price) - cents(line.discount)
        for fee in order.fees:
            amounts[fee.taxable] += cents(fee.amount)
        self._taxable = amounts[True]
        self._total = amounts[True] + amounts[False]
        if self._total <= 0:
            # Nothing is left to share by: a discount of what costs nothing goes where the goods are.
            self._taxable, self._total = Decimal(any(line.taxable for line in order.lines)), Decimal(1)
        self._shared = Decimal(0)

    def of(self, amount: Decimal) -> Decimal:
        before = cents(self._shared * self._taxable / self._total)
        self._shared += amount
        return cents(self._shared * self._taxable / self._total) - before


def _fees(order: Order, pair: Pair, problems: list[Problem]) -> Iterator[SalesOrderLine]:
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
            yield _charge(LineOrigin.FEE, item_code, fee.amount, taxable=fee.taxable, pair=pair)


def _freight(order: Order, pair: Pair) -> Iterator[SalesOrderLine]:
    if pair.charges.freight.to is FreightTo.CHARGE_LINE and order.totals.shipping:
        item, taxed = pair.charges.freight.item, order.delivery.tax > 0
        yield _charge(LineOrigin.FREIGHT, item, order.totals.shipping, taxable=taxed, pair=pair)


def _tax(order: Order, pair: Pair) -> Iterator[SalesOrderLine]:
    if pair.tax.policy is TaxPolicy.LINE and order.totals.tax:
        yield _charge(LineOrigin.TAX, pair.tax.item, order.totals.tax, taxable=False, pair=pair)


def _charge(origin: LineOrigin, item_code: str, amount: Decimal, *, taxable: bool, pair: Pair) -> SalesOrderLine:
    return SalesOrderLine(
        origin=origin,
        ItemCode=item_code,
        ItemType=SageItemType.MISCELLANEOUS,
        QuantityOrdered=Decimal(1),
        UnitPrice=cents(amount),
        TaxClass=pair.charges.tax_class if taxable else pair.charges.non_taxable_class,
    )
