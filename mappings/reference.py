"""docs/pair-file.md: every key of a pair file with its type, default, meaning and an example, made from the models.

In: the models of `mappings/pair.py` and `mappings/clarity_profile.py`, whose docstrings are the meanings, and the
examples of `mappings/pair_examples.py`. Out: Markdown. Pure. `python -m mappings.schemas` writes it.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, NamedTuple, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mappings.conditions import Condition, Document, Expression
from mappings.pair import Pair
from mappings.pair_examples import EXAMPLES, SMALLEST

TAKEN_FROM_THE_FILE: Final = ("name", "version")
"""Fields of `Pair` that no pair file holds."""


LOOKS_AT: Final = {Document.LINE: "a line", Document.ITEM: "an item"}
"""What a condition looks at, in words, where it is not the order."""


class Key(NamedTuple):
    """One key that a person may write. `path` has `[]` for an entry of a list, `*` for any name."""

    path: str
    field: FieldInfo
    section: type[BaseModel] | None
    """The keys inside, if it has some."""
    inside: str
    """The path of those."""


def keys_of(model: type[BaseModel], path: str = "") -> list[Key]:
    """The keys of one section, in the order of the model."""
    found = []
    for name, field in model.model_fields.items():
        if not path and name in TAKEN_FROM_THE_FILE:
            continue
        here = f"{path}.{name}" if path else name
        section, step = _section(field.annotation)
        found.append(Key(here, field, section, here + step))
    return found


def all_keys() -> list[Key]:
    """Every key of a pair file, the outer ones before those inside them."""
    return [key for _, _, keys in _sections(Pair, "") for key in keys]


def _sections(model: type[BaseModel], path: str) -> Iterator[tuple[str, type[BaseModel], list[Key]]]:
    keys = keys_of(model, path)
    yield path, model, keys
    for key in keys:
        if key.section is not None:
            yield from _sections(key.section, key.inside)


def _section(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    """The model inside an annotation, and the step from the key to an entry of it."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, ""
    for step, inner in _inner(annotation):
        section, further = _section(inner)
        if section is not None:
            return section, step + further
    return None, ""


def _inner(annotation: Any) -> Iterator[tuple[str, Any]]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (list, tuple):
        yield "[]", arguments[0]
    elif origin is dict:
        yield ".*", arguments[1]
    elif origin is Annotated:
        yield "", arguments[0]
    elif origin in (Union, UnionType):
        yield from (("", argument) for argument in arguments)


# ---- words ----------------------------------------------------------------------------------------------------------


def type_of(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """What may be written, in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner, *more = arguments
        extra = [one for entry in more for one in (entry.metadata if isinstance(entry, FieldInfo) else [entry])]
        return type_of(inner, [*metadata, *extra])
    if origin in (Union, UnionType):
        given = [argument for argument in arguments if argument is not NoneType]
        words = " or ".join(type_of(argument, metadata) for argument in given)
        return f"{words}, or `null`" if len(given) < len(arguments) else words
    if origin is Literal:
        return _one_of([str(argument) for argument in arguments])
    if origin in (list, tuple):
        return f"list: {type_of(arguments[0])}{_bounds(metadata)}"
    if origin is dict:
        return f"map: {type_of(arguments[0])} → {type_of(arguments[1])}{_bounds(metadata)}"
    if annotation in (Condition, Expression):
        document = next((one.document for one in metadata if hasattr(one, "document")), Document.ORDER)
        return f"{annotation.__name__.lower()} on {LOOKS_AT.get(document, 'the order')}"
    if not isinstance(annotation, type):
        return str(annotation)
    if issubclass(annotation, StrEnum):
        return _one_of([member.value for member in annotation])
    if issubclass(annotation, BaseModel):
        return "section"
    return _plain_type(annotation) + _bounds(metadata, unit=" characters" if annotation is str else "")


def _plain_type(annotation: type) -> str:
    names: dict[type, str] = {
        bool: "`true` or `false`",
        int: "whole number",
        float: "number",
        Decimal: "number",
        date: "date",
        str: "text",
    }
    return names.get(annotation, annotation.__name__)


def _one_of(values: Sequence[str]) -> str:
    *most, last = [f"`{value}`" for value in values]
    return f"{', '.join(most)} or {last}" if most else last


def _bounds(metadata: Sequence[Any], unit: str = "") -> str:
    """`, 0 to 6`; `, at most 15 characters`; `, such as `^[A-Z]{3}$``."""
    low = high = pattern = None
    words = []
    for one in metadata:
        match one:
            case Ge(ge=bound) | MinLen(min_length=bound):
                low = str(bound)
            case Le(le=bound) | MaxLen(max_length=bound):
                high = str(bound)
            case Gt(gt=bound):
                words.append(f"above {bound}")
            case Lt(lt=bound):
                words.append(f"below {bound}")
        pattern = getattr(one, "pattern", None) or pattern
    if low and high:
        words.append(f"{low}{unit}" if low == high else f"{low} to {high}{unit}")
    elif low:
        words.append(f"at least {low}{unit.removesuffix('s') if low == '1' else unit}")
    elif high:
        words.append(f"at most {high}{unit}")
    if pattern:
        words.append(f"of the form `{pattern}`")
    return "".join(f", {word}" for word in words)


def default_of(field: FieldInfo) -> str:
    """What counts when the key is left out."""
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return ""
    if value is None or value in ("", [], {}, ()):
        return "none"
    return f"`{_written(value)}`"


def _written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(_written(one) for one in value)}]"
    if isinstance(value, float | Decimal):
        return f"{value:g}" if isinstance(value, float) and value < 1_000 else f"{value:f}".removesuffix(".000000")
    return str(value).replace("Bearer ", '"Bearer "')


def meaning_of(key: Key) -> str:
    """The field's docstring, and those of its values."""
    text = _joined(key.field.description or "")
    if not text and key.section is not None:
        text = _joined(key.section.__doc__ or "")
    values = _values_explained(key.field.annotation)
    return " ".join([text, *(f"`{name}`: {words}" for name, words in values.items())]).strip()


def _values_explained(annotation: Any) -> dict[str, str]:
    """The docstrings that stand below the members of an enumeration."""
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(annotation))).body
        body = tree.body if isinstance(tree, ast.ClassDef) else []
        return {
            annotation[before.targets[0].id].value: _joined(str(after.value.value))
            for before, after in pairwise(body)
            if isinstance(before, ast.Assign)
            and isinstance(before.targets[0], ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
        }
    return next((found for _, inner in _inner(annotation) if (found := _values_explained(inner))), {})


def _joined(text: str) -> str:
    return " ".join(text.split())


# ---- the page -------------------------------------------------------------------------------------------------------

HEAD: Final = """\
# Every key of a pair file

Made from the models by `.venv/bin/python -m mappings.schemas`; do not edit it by hand. What the sections are for, and
how to try a change, is in [mapping.md](mapping.md).

A pair file is YAML: `mappings/pairs/<pair>.yaml`, where `<pair>` (`^[a-z][a-z0-9]{1,15}$`) is the pair's name. The
smallest one, with the keys that have no default:

```yaml
%(smallest)s```

Each example below may be added to that file; where it names a section that the file has already, put its keys there.
Codes are text: write `"00"` and `"ON"` with quotation marks, as YAML reads `00` as a number and `ON` as true. A section
is a map of the keys in the table of its name; `[]` stands for each entry of a list, `*` for a name of your own.
Durations are seconds unless the name says days.
"""


def page() -> str:
    """The whole file."""
    parts = [HEAD % {"smallest": SMALLEST}]
    for path, model, keys in _sections(Pair, ""):
        title = f"`{path}`" if path else "The file"
        level = "##" if path.count(".") + path.count("[]") < 2 else "###"
        lead = "" if not path else f"\n{_joined(model.__doc__ or '')}\n"
        parts.append(f"\n{level} {title}\n{lead}\n" + "\n".join(_table(keys)) + "\n")
    return "".join(parts)


def _table(keys: Sequence[Key]) -> Iterator[str]:
    yield "| Key | Type | Default | Meaning | Example |"
    yield "|---|---|---|---|---|"
    for key in keys:
        cells = (
            f"`{key.path}`",
            type_of(key.field.annotation, key.field.metadata),
            default_of(key.field),
            meaning_of(key),
            f"`{EXAMPLES.get(key.path, '')}`",
        )
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
