"""The pair file's conditions and expressions on one order: a rule without an answer is a problem, no crash."""

from collections.abc import Mapping

from mappings.canonical import Order
from mappings.conditions import Condition, ConditionFailed, Context, Expression, order_context
from mappings.pair import Pair
from mappings.problems import Problem
from mappings.sage_columns import length_of


def holds(condition: Condition, context: Context, path: str, problems: list[Problem]) -> bool:
    """Whether the condition of key `path` holds."""
    try:
        return condition.evaluate(context)
    except ConditionFailed as error:
        problems.append(_failed(path, error))
        return False


def is_expedited(order: Order, pair: Pair) -> bool:
    """Whether an order, as the pair's rules see it, goes before the others; a rule without an answer says no.

    It decides when an order goes on, never whether: so it is no problem of the order's.
    """
    return pair.order.expedite is not None and pair.order.expedite.holds(order_context(order))


def values(
    expressions: Mapping[str, Expression], context: Context, path: str, pair: Pair, problems: list[Problem]
) -> dict[str, str]:
    """What the expressions give, by Sage column; empty values are left out, too long ones are problems."""
    found = {}
    for column, expression in expressions.items():
        try:
            value = expression.evaluate(context)
        except ConditionFailed as error:
            problems.append(_failed(f"{path}.{column}", error))
            continue
        if value:
            found[column] = fits(column, value, f"{path}.{column}", pair, problems)
    return found


def fits(column: str, value: str, field: str, pair: Pair, problems: list[Problem]) -> str:
    """`value`, after a problem when it is longer than the column (`columns`, else Sage's layout): nothing is cut."""
    limit = length_of(column, pair.columns)
    if limit is not None and len(value) > limit:
        problems.append(
            Problem(
                field=field,
                message=f"{column} has {len(value)} characters, Sage takes {limit}",
                suggestion="Shorten it in Clarity.",
            )
        )
    return value


def _failed(path: str, error: ConditionFailed) -> Problem:
    return Problem(
        field=path,
        message=f"{error.text!r} has no answer for this order: {error.why}",
        suggestion="Correct the rule in the pair file, or the field of the order that it reads.",
    )
