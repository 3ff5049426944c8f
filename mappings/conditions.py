"""Conditions and value expressions of a pair file: checked when the file is loaded, harmless when they are evaluated.

In: a text (`when: totals.grand > 500 and shipping.region == 'TX'`) and the kind of document that it looks at. Out:
`Condition` (true or false) and `Expression` (a text for a `UDF_*` column). rule-engine reads the text; names, types and
evaluation are here, because rule-engine compares a number with a text without complaint (`==`), fails the whole
condition at the first null, and copies the whole order at each name.

Names are the fields of the canonical models (`mappings/canonical.py`) and their properties; a new field is usable at
once. An order's own fields stand alone or behind `order.`; a line's stand behind `line.`, a payment's behind
`payment.`, and both see `order.` too. An item of Sage stands behind `item.`, alone. Beside its fields an order has
`line_count`.

The examples are tested with one order: two lines (2 × `CHAIR-01` and 1 × `GIFT-9`), 612.50 USD in total, captured in
full, to Austin, TX, created 2026-03-02T17:05Z, with the attribute `gift_message` = `Enjoy` and without a ship date; and
with the item `TOY-1` of product line `TOYS`.

| document | written | gives |
|---|---|---|
| order | `totals.grand > 500 and shipping.region == 'TX'` | true |
| order | `order.totals.grand >= 612.50` | true |
| order | `shipping.region in ['AK', 'HI']` | false |
| order | `shipping.country != 'US' or not shipping.residential` | true |
| order | `captured == totals.grand` | true |
| order | `0.1 + 0.2 == 0.3` | true |
| order | `line_count == 2 and lines&[0].quantity == 2` | true |
| order | `[line for line in lines if line.sku.starts_with('GIFT')].length > 0` | true |
| order | `[line.quantity for line in lines if line.taxable].sum > 2` | true |
| order | `'Enjoy' in notes` | false |
| order | `'gift_message' in attributes` | true |
| order | `created < d'2026-03-03'` | true |
| order | `created.weekday == 'Monday'` | true |
| order | `attributes&['floor'].to_flt > 3` | false |
| order | `requested_ship_date == null` | true |
| order | `requested_ship_date > d'2026-01-01'` | false |
| line | `line.quantity * line.unit_price - line.discount > order.totals.grand / 2` | true |
| payment | `payment.type == 'capture' and payment.amount == order.totals.grand` | true |
| item | `item.product_line == 'TOYS' and not item.drop_shipped` | true |
| item | `item.item_code.starts_with('MTO-')` | false |
| order | `attributes&['gift_message']` | "Enjoy" |
| order | `attributes&['floor']` | "" |
| order | `totals.grand` | "612.50" |
| order | `created` | "2026-03-02T17:05:00+00:00" |
| order | `requested_ship_date` | "" |
| order | `shipping.residential` | "N" |
| order | `attributes&['floor'] == null ? 'ground floor' : attributes&['floor']` | "ground floor" |
| order | `buyer.first_name.as_upper + ' ' + buyer.last_name` | "ADA Byron" |
| line | `line.sku[0:5]` | "CHAIR" |
| line | `'x' + line.quantity.to_str` | "x2" |

Texts have `as_lower`, `as_upper`, `length`, `is_empty`, `starts_with('…')`, `ends_with('…')`, `to_flt` (null when it is
no plain number) and slices; numbers `to_str`; moments, in UTC, `year`, `month`, `day`, `hour`, `weekday`; lists
`length`, `is_empty`, `sum` and `&[0]`. A date is its midnight in UTC.

Null is what is missing: a key that the shop did not send, an empty field, anything taken from null. `== null` finds it
and `!=` treats it as a value of its own; every other comparison, `in`, `starts_with` with it is false, sums with it are
null, `is_empty` is true. As the result it is false, or an empty text.

Refused when loaded: regular expressions (one hung for ten seconds), `$` functions (`$now` would answer differently on
a retry), powers, shifts, exponents (`1e999999999` fills the memory), a comprehension within another or for each line,
more than 500 characters, more than 100 levels. Evaluation costs at most one pass over the lines per comprehension.
"""

import decimal
import difflib
import functools
import operator
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType, NoneType
from typing import Annotated, Any

import rule_engine  # type: ignore[import-untyped]
from pydantic import BaseModel, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema
from rule_engine import ast, errors

from mappings.canonical import Item, Order, OrderLine, Payment

__all__ = [
    "Condition",
    "ConditionError",
    "ConditionFailed",
    "Context",
    "Document",
    "Expression",
    "ItemCondition",
    "LineCondition",
    "LineExpression",
    "OrderCondition",
    "OrderExpression",
    "PaymentCondition",
    "item_context",
    "line_context",
    "order_context",
    "payment_context",
]

MAX_LENGTH = 500
MAX_DEPTH = 100

Context = Mapping[str, BaseModel]
"""What a condition looks at: the models by the names of `Document.roots`."""


class ConditionError(ValueError):
    """A text cannot be used; the message is problem and remedy in one sentence, without a full stop."""


class ConditionFailed(Exception):
    """There is no answer for this document (a division by zero). `why` holds no field values."""

    def __init__(self, text: str, why: str) -> None:
        self.text = text
        self.why = why
        super().__init__(f"{text}: {why}")


class Document(StrEnum):
    """What a condition looks at."""

    ORDER = "order"
    LINE = "line"
    PAYMENT = "payment"
    ITEM = "item"

    @property
    def roots(self) -> Mapping[str, type[BaseModel]]:
        """The models of this kind of document, by the names that stand before the first dot."""
        return _ROOTS[self]


_ROOTS: Mapping[Document, Mapping[str, type[BaseModel]]] = {
    Document.ORDER: {"order": Order},
    Document.LINE: {"line": OrderLine, "order": Order},
    Document.PAYMENT: {"payment": Payment, "order": Order},
    Document.ITEM: {"item": Item},
}


def order_context(order: Order) -> Context:
    """What an order's conditions look at."""
    return {"order": order}


def line_context(order: Order, line: OrderLine) -> Context:
    """What a line's conditions look at."""
    return {"order": order, "line": line}


def payment_context(order: Order, payment: Payment) -> Context:
    """What a payment's conditions look at."""
    return {"order": order, "payment": payment}


def item_context(item: Item) -> Context:
    """What an item's conditions look at."""
    return {"item": item}


# Types


class Kind(StrEnum):
    """Types of values, named as error messages name them."""

    NUMBER = "a number"
    TEXT = "a text"
    TRUTH = "true or false"
    MOMENT = "a moment"
    MAP = "a map"
    NULL = "null"


@dataclass(frozen=True)
class ListOf:
    """A list; `item` is null for an empty one."""

    item: "Type"

    def __str__(self) -> str:
        return "a list"


Type = Kind | ListOf | type[BaseModel]

_SCALARS = (Kind.NUMBER, Kind.TEXT, Kind.TRUTH, Kind.MOMENT)

_AGGREGATES: Mapping[type[BaseModel], Mapping[str, tuple[Type, Callable[[Any], Any]]]] = {
    Order: {
        "line_count": (Kind.NUMBER, lambda order: len(order.lines)),
    }
}


def _type_name(type_: Type) -> str:
    return "a group of fields" if isinstance(type_, type) else str(type_)


def _type_of(annotation: Any) -> Type | None:
    """The type of a field's annotation; None when conditions have no such type."""
    arguments = [argument for argument in typing.get_args(annotation) if argument is not NoneType]
    if NoneType in typing.get_args(annotation) and len(arguments) == 1:
        return _type_of(arguments[0])
    if annotation == dict[str, str]:
        return Kind.MAP
    if typing.get_origin(annotation) in (list, tuple, frozenset):
        item = _type_of(arguments[0])
        return ListOf(item) if item else None
    if isinstance(annotation, type):
        for python_types, kind in (
            ((bool,), Kind.TRUTH),
            ((Decimal, int, float), Kind.NUMBER),
            ((str,), Kind.TEXT),
            ((date,), Kind.MOMENT),
        ):
            if issubclass(annotation, python_types):
                return kind
        return annotation if issubclass(annotation, BaseModel) else None
    return None


@dataclass(frozen=True)
class _Field:
    type: Type
    read: Callable[[Any], Any]


@functools.cache
def _fields(model: type[BaseModel]) -> Mapping[str, _Field]:
    """Fields, properties and aggregates of a model that conditions can use."""
    annotations = {name: info.annotation for name, info in model.model_fields.items()}
    for name, member in vars(model).items():
        if isinstance(member, property) and not name.startswith("_"):
            annotations[name] = typing.get_type_hints(member.fget).get("return")
    typed = {name: _type_of(annotation) for name, annotation in annotations.items()}
    found = {name: _Field(type_, operator.attrgetter(name)) for name, type_ in typed.items() if type_ is not None}
    found |= {name: _Field(*aggregate) for name, aggregate in _AGGREGATES.get(model, {}).items()}
    return MappingProxyType(found)


# Reading: tokens are looked at before rule-engine parses, because it computes constant parts while parsing.

_ALLOWED = (
    {"SYMBOL", "STRING", "FLOAT", "DATETIME", "TRUE", "FALSE", "NULL"}
    | {"AND", "OR", "NOT", "IN", "EQ", "NE", "GT", "GE", "LT", "LE", "ADD", "SUB", "MUL", "TDIV"}
    | {"QMARK", "COLON", "COMMA", "LPAREN", "RPAREN", "LBRACKET", "RBRACKET", "ATTR", "ATTR_SAFE", "FOR", "IF"}
)
_PLAIN_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?|\.[0-9]+")
_REGEX = "regular expressions are refused because one can run for minutes; use 'in', starts_with('…') or ends_with('…')"
_REFUSED = {
    **dict.fromkeys(("EQ_FZM", "EQ_FZS", "NE_FZM", "NE_FZS"), _REGEX),
    "BWAND": "& is no operator; write 'and', and the key of a map without a space: attributes&[\"key\"]",
    "BWOR": "| is no operator; write 'or'",
    "COMMENT": "a comment cannot stand here; write it as a YAML comment",
    "LBRACE": "sets and maps cannot be written; write a list: ['TX', 'CA']",
}


def _at(position: int) -> str:
    return f"at character {position + 1}"


def _tokens(text: str) -> Iterator[Any]:
    # The lexer has no public name; the tests fail when a release of rule-engine moves it.
    lexer = rule_engine.Rule.parser._lexer.clone()
    lexer.input(text)
    yield from lexer


def _check_tokens(text: str) -> None:
    for token in _tokens(text):
        where = _at(token.lexpos)
        if token.type in _REFUSED:
            raise ConditionError(f"{token.value!r} {where}: {_REFUSED[token.type]}")
        if token.type not in _ALLOWED:
            raise ConditionError(f"{token.value!r} {where} is not offered; mappings/conditions.py lists what is")
        if token.type == "SYMBOL" and token.value.startswith("$"):
            raise ConditionError(f"{token.value} {where} is not offered; use names and what they have, such as .length")
        if token.type == "FLOAT" and not _PLAIN_NUMBER.fullmatch(token.value):
            raise ConditionError(f"{token.value} {where} is no plain number; write digits only, such as 1000.50")


class _Reader(rule_engine.Context):  # type: ignore[misc]
    """Leaves types to `_compile`, and computes no attribute of a constant: rule-engine's `to_flt` is not exact."""

    def resolve_attribute_type(self, _object_type: Any, _name: str) -> Any:
        return ast.DataType.UNDEFINED

    def resolve_attribute(self, _thing: Any, _object: Any, name: str) -> Any:
        raise ConditionError(f".{name} follows a constant; write the result instead")


def _read(text: str) -> Any:
    """rule-engine's tree of the text."""
    if not text.strip():
        raise ConditionError("is empty; write a condition, or leave the key out")
    if len(text) > MAX_LENGTH:
        raise ConditionError(f"has {len(text)} characters; at most {MAX_LENGTH} are allowed, so split it")
    try:
        _check_tokens(text)
        with decimal.localcontext(_ARITHMETIC):
            return rule_engine.Rule(text, _Reader(default_timezone="utc")).statement.expression
    except ConditionError:
        raise
    except errors.RuleSyntaxError as error:
        raise ConditionError(_explain_syntax(error)) from None
    except errors.DatetimeSyntaxError as error:
        raise ConditionError(f"{error.value!r} is no date; write d'2026-03-01' or d'2026-03-01T17:00:00Z'") from None
    except errors.EngineError as error:
        raise ConditionError(f"has constants that do not fit together ({error.message}); correct them") from None
    except RecursionError:
        raise ConditionError(_TOO_DEEP) from None
    except Exception as error:
        raise ConditionError(f"cannot be read ({type(error).__name__}); simplify it") from None


_TOO_DEEP = f"is nested more than {MAX_DEPTH} levels deep; split it"


def _explain_syntax(error: Any) -> str:
    token = error.token
    if token is None:
        if "keyword" in error.message:
            return "uses a reserved word (elif, else, while); write a ? b : c"
        return "ends too early; complete it"
    shown = str(token.value)
    if "illegal character" in error.message:
        shown = shown[0]
        if shown == "=":
            return f"'=' {_at(token.lexpos)} is no comparison; write =="
        if shown in "'\"":
            return f"the text that opens {_at(token.lexpos)} is not closed; add the quotation mark"
    return f"{shown!r} {_at(token.lexpos)} cannot stand there; check operators, brackets and quotation marks before it"


# Compiling: one walk over the tree finds the type of each part and what computes it.

_ARITHMETIC = decimal.Context(prec=38)
"""Exact for money; a quotient has 38 digits."""

Names = Mapping[str, Any]
Compute = Callable[[Names], Any]


@dataclass(frozen=True)
class _Part:
    """A compiled part: `shown` names it in messages; `called` is a method that still needs its argument."""

    type: Type
    compute: Compute
    shown: str = "this part"
    called: bool = False


@dataclass(frozen=True)
class _Scope:
    text: str
    document: Document
    variables: Mapping[str, Type] = field(default_factory=dict)
    depth: int = 0


def _position(scope: _Scope, name: str) -> str:
    """Where the name stands first, outside of quotation marks."""
    return next((f" {_at(token.lexpos)}" for token in _tokens(scope.text) if token.value == name), "")


def _unknown(scope: _Scope, name: str, prefix: str, known: list[str]) -> ConditionError:
    meant = [prefix + close for close in difflib.get_close_matches(name, known, n=1)]
    if not prefix:
        meant += [f"{root}.{name}" for root, model in scope.document.roots.items() if name in _fields(model)]
    remedy = f"perhaps {meant[0]} is meant" if meant else f"known are {', '.join(sorted(known))}"
    return ConditionError(f"{prefix}{name}{_position(scope, name)} is unknown; {remedy}")


def _plain(value: Any) -> Any:
    """A field's value as conditions compute with it."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Decimal(str(value))
    return value


def _moment(value: date) -> datetime:
    """The instant, in UTC; a date is its midnight."""
    if not isinstance(value, datetime):
        value = datetime.combine(value, time())
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _comparable(value: Any) -> Any:
    return _moment(value) if isinstance(value, date) else value


def _null_safe(compute: Callable[..., Any], *parts: _Part, otherwise: Any = None) -> Compute:
    """`compute` of the values of `parts`, or `otherwise` when one of them is null."""

    def run(names: Names) -> Any:
        values = [part.compute(names) for part in parts]
        return otherwise if any(value is None for value in values) else compute(*values)

    return run


def _compile(node: Any, scope: _Scope) -> _Part:
    if scope.depth > MAX_DEPTH:
        raise ConditionError(_TOO_DEEP)
    scope = replace(scope, depth=scope.depth + 1)
    match node:
        case ast.LiteralExpressionBase():
            return _literal(node, scope)
        case ast.SymbolExpression():
            return _name(node.name, scope)
        case ast.GetAttributeExpression():
            return _attribute(_compile(node.object, scope), node.name, scope)
        case ast.GetItemExpression():
            return _item(node, scope)
        case ast.GetSliceExpression():
            return _slice(node, scope)
        case ast.FunctionCallExpression():
            return _call(node, scope)
        case ast.ComprehensionExpression():
            return _comprehension(node, scope)
        case ast.TernaryExpression():
            return _choice(node, scope)
        case ast.UnaryExpression():
            return _unary(node, scope)
        case ast.ContainsExpression():
            return _contains(_compile(node.member, scope), _compile(node.container, scope))
        case ast.LeftOperatorRightExpressionBase():
            return _binary(node, scope)
    raise ConditionError("holds something that is not offered; mappings/conditions.py lists what is")


def _constant(type_: Type, value: Any) -> _Part:
    return _Part(type_, lambda _: value, f"{value!r}" if isinstance(value, str) else str(value).lower())


def _literal(node: Any, scope: _Scope) -> _Part:
    match node:
        case ast.NullExpression():
            return _Part(Kind.NULL, lambda _: None, "null")
        case ast.BooleanExpression():
            return _constant(Kind.TRUTH, node.value)
        case ast.FloatExpression() if node.value.is_finite():
            return _constant(Kind.NUMBER, node.value)
        case ast.StringExpression() if not any("\ud800" <= character <= "\udfff" for character in node.value):
            return _constant(Kind.TEXT, node.value)
        case ast.DatetimeExpression():
            return _constant(Kind.MOMENT, node.value)
        case ast.ArrayExpression():
            return _list([_compile(member, scope) for member in node.value])
    raise ConditionError(
        "holds a constant that is no number, text, date, true, false, null or list; write one of these"
    )


def _list(parts: list[_Part]) -> _Part:
    item: Type = Kind.NULL
    for part in parts:
        item = _common(item, part, "a list holds")
    return _Part(ListOf(item), lambda names: [part.compute(names) for part in parts], "the list")


def _common(type_: Type, part: _Part, where: str) -> Type:
    if part.called:
        raise ConditionError(f"{part.shown} needs its argument; write {part.shown}('…')")
    if Kind.NULL in (type_, part.type):
        return part.type if type_ is Kind.NULL else type_
    if type_ != part.type:
        raise ConditionError(f"{where} {_type_name(type_)} and {_type_name(part.type)}; make both the same kind")
    return type_


def _name(name: str, scope: _Scope) -> _Part:
    if name in scope.variables:
        return _Part(scope.variables[name], lambda names: names[name], name)
    roots = scope.document.roots
    if name in roots:
        return _Part(roots[name], lambda names: names[name], name)
    own = _fields(Order) if scope.document is Document.ORDER else {}
    if name in own:
        read = own[name].read
        return _Part(own[name].type, lambda names: _plain(read(names["order"])), name)
    raise _unknown(scope, name, "", [*scope.variables, *roots, *own])


def _plain_text(number: Decimal) -> str:
    return format(number if number else abs(number), "f")


def _to_number(text: str) -> Decimal | None:
    text = text.strip()
    return Decimal(text) if re.fullmatch(r"-?[0-9]{1,30}(\.[0-9]{1,30})?", text) else None


_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_LENGTHS: dict[str, _Field] = {
    "length": _Field(Kind.NUMBER, lambda value: Decimal(len(value))),
    "is_empty": _Field(Kind.TRUTH, lambda value: len(value) == 0),
}
_ATTRIBUTES: Mapping[Kind, Mapping[str, _Field]] = {
    Kind.TEXT: _LENGTHS
    | {
        "as_lower": _Field(Kind.TEXT, str.lower),
        "as_upper": _Field(Kind.TEXT, str.upper),
        "to_flt": _Field(Kind.NUMBER, _to_number),
    },
    Kind.NUMBER: {"to_str": _Field(Kind.TEXT, _plain_text)},
    Kind.MOMENT: {
        "year": _Field(Kind.NUMBER, lambda value: Decimal(_moment(value).year)),
        "month": _Field(Kind.NUMBER, lambda value: Decimal(_moment(value).month)),
        "day": _Field(Kind.NUMBER, lambda value: Decimal(_moment(value).day)),
        "hour": _Field(Kind.NUMBER, lambda value: Decimal(_moment(value).hour)),
        "weekday": _Field(Kind.TEXT, lambda value: _WEEKDAYS[_moment(value).weekday()]),
    },
}
_METHODS: Mapping[str, Callable[[str, str], bool]] = {"starts_with": str.startswith, "ends_with": str.endswith}


def _attribute(owner: _Part, name: str, scope: _Scope) -> _Part:
    shown = f"{owner.shown}.{name}"
    if owner.called:
        raise ConditionError(f"{owner.shown} needs its argument; write {owner.shown}('…')")
    if owner.type is Kind.TEXT and name in _METHODS:
        return _Part(Kind.TEXT, owner.compute, shown, called=True)
    if owner.type is Kind.MAP:
        raise ConditionError(f'{shown}: the key of a map stands in brackets; write {owner.shown}&["{name}"]')
    known: Mapping[str, _Field]
    if isinstance(owner.type, type):
        known = _fields(owner.type)
    elif isinstance(owner.type, ListOf):
        known = dict(_LENGTHS)
        if owner.type.item is Kind.NUMBER:
            known["sum"] = _Field(
                Kind.NUMBER, lambda values: sum((value for value in values if value is not None), Decimal(0))
            )
    else:
        known = _ATTRIBUTES.get(owner.type, {})
    if name not in known:
        names = [*known, *(_METHODS if owner.type is Kind.TEXT else ())]
        if not names:
            raise ConditionError(
                f"{shown}: {owner.shown} is {_type_name(owner.type)} and has no parts; leave .{name} out"
            )
        raise _unknown(scope, name, f"{owner.shown}.", names)
    read = known[name].read
    otherwise = True if name == "is_empty" else None
    return _Part(known[name].type, _null_safe(lambda value: _plain(read(value)), owner, otherwise=otherwise), shown)


def _item(node: Any, scope: _Scope) -> _Part:
    container, key = _compile(node.container, scope), _compile(node.item, scope)
    if container.type is not Kind.MAP and not isinstance(container.type, ListOf):
        remedy = f"write {container.shown}[0:1]" if container.type is Kind.TEXT else "write the name behind a dot"
        raise ConditionError(f"{container.shown} is {_type_name(container.type)}, no map or list; {remedy}")
    if not node.safe:
        raise ConditionError(f"{container.shown}[…] may be missing; write {container.shown}&[{key.shown}]")
    if isinstance(container.type, ListOf):
        index = _whole_number(node.item, f"{container.shown}&[…]")
        shown = f"{container.shown}&[{index}]"

        def at(values: list[Any]) -> Any:
            return values[index] if -len(values) <= index < len(values) else None

        return _Part(container.type.item, _null_safe(at, container), shown)
    if key.type is not Kind.TEXT or key.called:
        raise ConditionError(f'the keys of {container.shown} are texts; write {container.shown}&["key"]')
    shown = f"{container.shown}&[{key.shown}]"
    return _Part(Kind.TEXT, _null_safe(lambda values, name: values.get(name), container, key), shown)


def _whole_number(node: Any, where: str) -> int:
    if not isinstance(node, ast.FloatExpression) or not node.value.is_finite() or node.value % 1:
        raise ConditionError(f"{where} needs a whole number between the brackets; write one, such as 0")
    return int(node.value)


def _slice(node: Any, scope: _Scope) -> _Part:
    container = _compile(node.container, scope)
    if container.type is not Kind.TEXT or container.called:
        raise ConditionError(f"{container.shown} is {_type_name(container.type)} and cannot be cut; cut texts only")
    shown = f"{container.shown}[…:…]"
    start, stop = (
        None if isinstance(bound, ast.NullExpression) else _whole_number(bound, shown)
        for bound in (node.start, node.stop)
    )
    return _Part(Kind.TEXT, _null_safe(lambda value: value[start:stop], container), shown)


def _call(node: Any, scope: _Scope) -> _Part:
    function = node.function
    if not isinstance(function, ast.GetAttributeExpression) or function.name not in _METHODS:
        raise ConditionError("calls something that is no function; offered are starts_with('…') and ends_with('…')")
    owner = _compile(function, scope)
    arguments = [_compile(argument, scope) for argument in node.arguments]
    if not owner.called or len(arguments) != 1 or arguments[0].type is not Kind.TEXT or arguments[0].called:
        raise ConditionError(f"{owner.shown} compares a text with one text; write {owner.shown}('…')")
    return _Part(Kind.TRUTH, _null_safe(_METHODS[function.name], owner, *arguments, otherwise=False), owner.shown)


def _comprehension(node: Any, scope: _Scope) -> _Part:
    if scope.document is Document.LINE:
        raise ConditionError(
            "a comprehension for each line takes lines × lines steps; put it into an order's condition"
        )
    if scope.variables:
        raise ConditionError("a comprehension within another takes lines × lines steps; write them side by side")
    source = _compile(node.iterable, scope)
    if not isinstance(source.type, ListOf):
        raise ConditionError(f"{source.shown} is {_type_name(source.type)}; a comprehension needs a list such as lines")
    variable = node.variable
    inner = replace(scope, variables={variable: source.type.item})
    result = _compile(node.result, inner)
    condition = _truth(_compile(node.condition, inner)) if node.condition is not None else None

    def run(names: Names) -> list[Any] | None:
        values = source.compute(names)
        if values is None:
            return None
        scopes = ({**names, variable: _plain(value)} for value in values)
        return [result.compute(inside) for inside in scopes if condition is None or condition.compute(inside)]

    return _Part(ListOf(_common(Kind.NULL, result, "")), run, "the list")


def _truth(part: _Part) -> _Part:
    """The part, which has to be true or false."""
    _common(Kind.NULL, part, "")
    if part.type not in (Kind.TRUTH, Kind.NULL):
        remedy = f"compare it: {part.shown} == …" if part.type in _SCALARS else "compare one value of it"
        raise ConditionError(f"{part.shown} is {_type_name(part.type)}, not true or false; {remedy}")
    return part


def _choice(node: Any, scope: _Scope) -> _Part:
    condition = _truth(_compile(node.condition, scope))
    yes, no = _compile(node.case_true, scope), _compile(node.case_false, scope)
    type_ = _common(_common(Kind.NULL, yes, ""), no, "a ? b : c chooses between")
    return _Part(type_, lambda names: (yes if condition.compute(names) else no).compute(names), "the choice")


def _unary(node: Any, scope: _Scope) -> _Part:
    right = _compile(node.right, scope)
    if node.type == "not":
        truth = _truth(right)
        return _Part(Kind.TRUTH, lambda names: not truth.compute(names), "not …")
    if right.type is not Kind.NUMBER:
        raise ConditionError(
            f"-{right.shown} needs a number but {right.shown} is {_type_name(right.type)}; drop the minus"
        )
    return _Part(Kind.NUMBER, _null_safe(operator.neg, right), f"-{right.shown}")


def _contains(member: _Part, container: _Part) -> _Part:
    _common(Kind.NULL, member, "")
    _common(Kind.NULL, container, "")
    if isinstance(container.type, ListOf):
        if isinstance(_common(container.type.item, member, f"{member.shown} in {container.shown} compares"), type):
            raise ConditionError(f"{member.shown} is a group of fields and cannot be compared; name one value of it")
    elif container.type not in (Kind.TEXT, Kind.MAP):
        raise ConditionError(
            f"{container.shown} is {_type_name(container.type)}; 'in' needs a text, a list or a map behind it"
        )
    elif member.type not in (Kind.TEXT, Kind.NULL):
        raise ConditionError(
            f"{member.shown} is {_type_name(member.type)}; before 'in {container.shown}' stands a text"
        )

    def run(value: Any, values: Any) -> bool:
        if isinstance(values, list | tuple | frozenset):
            return _comparable(value) in [_comparable(other) for other in values]
        return value in values

    return _Part(Kind.TRUTH, _null_safe(run, member, container, otherwise=False), "… in …")


_OPERATORS: Mapping[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "add": ("+", operator.add),
    "sub": ("-", operator.sub),
    "mul": ("*", operator.mul),
    "tdiv": ("/", operator.truediv),
    "gt": (">", operator.gt),
    "ge": (">=", operator.ge),
    "lt": ("<", operator.lt),
    "le": ("<=", operator.le),
    "eq": ("==", operator.eq),
    "ne": ("!=", operator.ne),
}


def _binary(node: Any, scope: _Scope) -> _Part:
    left, right = _compile(node.left, scope), _compile(node.right, scope)
    if node.type in ("and", "or"):
        first, second = _truth(left).compute, _truth(right).compute
        if node.type == "and":
            return _Part(Kind.TRUTH, lambda names: bool(first(names) and second(names)), "… and …")
        return _Part(Kind.TRUTH, lambda names: bool(first(names) or second(names)), "… or …")
    sign, compute = _OPERATORS[node.type]
    shown = f"{left.shown} {sign} {right.shown}"
    type_ = _common(_common(Kind.NULL, left, ""), right, f"{shown} puts together")
    if isinstance(node, ast.ComparisonExpression):
        return _compare(node.type, left, right, shown)
    if type_ is not Kind.NUMBER and not (type_ is Kind.TEXT and sign == "+"):
        raise ConditionError(f"{shown} needs numbers, not {_type_name(type_)}; texts can be joined by + only")
    return _Part(type_, _null_safe(compute, left, right), shown)


def _compare(name: str, left: _Part, right: _Part, shown: str) -> _Part:
    sign, compute = _OPERATORS[name]
    for part in (left, right):
        if part.type not in (*_SCALARS, Kind.NULL):
            raise ConditionError(
                f"{part.shown} is {_type_name(part.type)} and cannot be compared; name one value of it"
            )
        if part.type in (Kind.NULL, Kind.TRUTH) and sign not in ("==", "!="):
            raise ConditionError(f"{shown} has no order; compare {_type_name(part.type)} by == or !=")
    if sign in ("==", "!="):
        return _Part(
            Kind.TRUTH,
            lambda names: compute(_comparable(left.compute(names)), _comparable(right.compute(names))),
            shown,
        )
    ordered = _null_safe(
        lambda first, second: compute(_comparable(first), _comparable(second)), left, right, otherwise=False
    )
    return _Part(Kind.TRUTH, ordered, shown)


@functools.lru_cache(maxsize=1024)
def _program(text: str, document: Document) -> _Part:
    part = _compile(_read(text), _Scope(text, document))
    _common(Kind.NULL, part, "")
    return part


# What pair files use


@dataclass(frozen=True)
class _Compiled:
    """A checked text about one kind of document; equal when text and document are. Raises ConditionError."""

    text: str
    document: Document
    _part: _Part = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_part", self._checked(_program(self.text, self.document)))

    def _checked(self, part: _Part) -> _Part:
        raise NotImplementedError

    def __str__(self) -> str:
        return self.text

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.text, self.document)

    def _compute(self, context: Context) -> Any:
        try:
            with decimal.localcontext(_ARITHMETIC):
                return self._part.compute(context)
        except ZeroDivisionError:
            raise ConditionFailed(self.text, "divides by zero") from None
        except ArithmeticError:
            raise ConditionFailed(self.text, "computes with a number or date out of bounds") from None
        except Exception as error:
            raise ConditionFailed(self.text, f"cannot be evaluated ({type(error).__name__})") from None


class Condition(_Compiled):
    """A text that is true or false of a document."""

    def _checked(self, part: _Part) -> _Part:
        return _truth(part)

    def evaluate(self, context: Context) -> bool:
        """Whether it is true. Raises ConditionFailed when there is no answer (a division by zero)."""
        return bool(self._compute(context))

    def holds(self, context: Context) -> bool:
        """Whether it is true; false, too, when there is no answer. Never raises."""
        try:
            return self.evaluate(context)
        except ConditionFailed:
            return False


class Expression(_Compiled):
    """A text that takes one value from a document, as a text for Sage."""

    def _checked(self, part: _Part) -> _Part:
        if part.type not in (*_SCALARS, Kind.NULL):
            raise ConditionError(f"{part.shown} is {_type_name(part.type)}; name one value of it")
        return part

    def evaluate(self, context: Context) -> str:
        """Numbers without exponent, moments in ISO 8601 (UTC), true and false as Y and N, null as an empty text.

        Raises ConditionFailed when there is no answer (a division by zero).
        """
        match self._compute(context):
            case None:
                return ""
            case bool() as truth:
                return "Y" if truth else "N"
            case Decimal() as number:
                return _plain_text(number)
            case datetime() as moment:
                return _moment(moment).isoformat()
            case date() as day:
                return day.isoformat()
            case value:
                return str(value)

    def value(self, context: Context) -> str:
        """The same; an empty text, too, when there is no answer. Never raises."""
        try:
            return self.evaluate(context)
        except ConditionFailed:
            return ""


@dataclass(frozen=True)
class _About:
    """Makes a model's field of `Condition` or `Expression` read its text, for one kind of document."""

    document: Document

    def __get_pydantic_core_schema__(self, source: type[_Compiled], handler: GetCoreSchemaHandler) -> CoreSchema:
        def validate(value: Any) -> _Compiled:
            if isinstance(value, source) and value.document is self.document:
                return value
            if not isinstance(value, str):
                raise ValueError("is no text; put it between quotation marks")
            return source(value, self.document)

        return core_schema.no_info_plain_validator_function(
            validate,
            json_schema_input_schema=core_schema.str_schema(max_length=MAX_LENGTH),
            serialization=core_schema.plain_serializer_function_ser_schema(str, return_schema=core_schema.str_schema()),
        )


OrderCondition = Annotated[Condition, _About(Document.ORDER)]
LineCondition = Annotated[Condition, _About(Document.LINE)]
PaymentCondition = Annotated[Condition, _About(Document.PAYMENT)]
ItemCondition = Annotated[Condition, _About(Document.ITEM)]
OrderExpression = Annotated[Expression, _About(Document.ORDER)]
LineExpression = Annotated[Expression, _About(Document.LINE)]
