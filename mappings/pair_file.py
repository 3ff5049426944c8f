"""Reading a pair file (YAML) so that every error names file, line, key, problem and remedy.

In: a path, and what pydantic found. Out: plain values and the line of each key, or a `PairFileError` that holds every
error. A pair file is plain YAML in UTF-8: keys are text as they are written (`1001:`, `yes:`), and dates and decimal
numbers stay text, so that pydantic decides and Decimal stays exact. Tags, anchors, aliases and merge keys are refused:
they hide what a key holds, and a few lines of them can fill the memory.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

Path_ = tuple[str | int, ...]

MAX_DEPTH: Final = 20
"""Levels of lists and keys within each other; a pair file needs six."""

EXPLAINED: Final = "docs/pair-file.md explains it"


class PairFileError(Exception):
    """A pair file cannot be used: `str()` has a line `file:line: key: problem. Remedy` for each error.

    The attributes are the first error's; `errors` holds all of them. Line 0: the error is about the whole folder.
    """

    def __init__(self, file: Path, line: int, key: str, problem: str, remedy: str) -> None:
        self.file = file
        self.line = line
        self.key = key
        self.problem = problem
        self.remedy = remedy
        self.errors: tuple[PairFileError, ...] = (self,)
        where = f"{file}:{line}" if line else str(file)
        super().__init__(f"{where}: {key}: {problem}. {remedy}")

    @classmethod
    def of(cls, errors: Iterable["PairFileError"]) -> "PairFileError":
        """One error that holds all of these (at least one), in the order of files and lines."""
        all_of = {str(one): one for error in errors for one in error.errors}
        every = sorted(all_of.values(), key=lambda one: (str(one.file), one.line))
        if len(every) == 1:
            return every[0]
        first = every[0]
        whole = cls(first.file, first.line, first.key, first.problem, first.remedy)
        whole.errors = tuple(every)
        whole.args = ("\n".join(str(one) for one in every),)
        return whole


class Contradiction(NamedTuple):
    """What a model's validator found wrong; `key` is the path from that model, `at` the key whose line is shown."""

    key: Path_
    problem: str
    remedy: str
    at: Path_ | None = None


def refuse(found: Iterable[Contradiction]) -> None:
    """Raise everything found for pydantic, which adds the path of the model; nothing when nothing was found."""
    every = list(found)
    if every:
        text = "; ".join(f"{one.problem}. {one.remedy}" for one in every)
        raise PydanticCustomError("contradiction", "{text}", {"text": text, "found": every})


def wrong(problem: str, remedy: str) -> NoReturn:
    """The same for the value (or the key of a map) that a validator looks at."""
    refuse([Contradiction((), problem, remedy)])
    raise AssertionError


class Lines(dict[Path_, int]):
    """The line (from 1) of every key and list entry, by path; `written` has the values that are one text, as typed."""

    def __init__(self) -> None:
        super().__init__({(): 1})
        self.written: dict[Path_, str] = {}

    def nearest(self, path: Path_) -> int:
        """The line of the longest part of the path that stands in the file."""
        return next(self[path[:length]] for length in range(len(path), -1, -1) if path[:length] in self)


def read_yaml(file: Path) -> tuple[Any, Lines]:
    """The file's content and the line of every key and list entry. Raises PairFileError with all that it found."""
    content, lines, errors = read_all(file)
    if errors:
        raise PairFileError.of(errors)
    return content, lines


def read_all(file: Path) -> tuple[Any, Lines, list[PairFileError]]:
    """Likewise, where keys that stand twice do not stop the reading; raises PairFileError for what does."""
    text = _text_of(file)
    lines, errors = Lines(), list[PairFileError]()
    try:
        _check_plain(text, file)
        node = yaml.compose(text, Loader=_Loader)
    except yaml.reader.ReaderError as error:
        raise PairFileError(
            file,
            text.count("\n", 0, error.position) + 1,
            "YAML",
            f"holds the control character U+{error.character:04X}"
            if isinstance(error.character, int)
            else f"holds the control character {error.character!r}",
            "Remove it.",
        ) from None
    except yaml.MarkedYAMLError as error:
        raise _yaml_error(file, error) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise PairFileError(file, 1, "YAML", f"cannot be read: {error}", "Correct the YAML.") from None
    content = None if node is None else _value(node, (), lines, file, errors)
    return content, lines, errors


def _text_of(file: Path) -> str:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise PairFileError(
            file, 1, "file", f"cannot be read: {error.strerror or error}", "Check the path and its permissions."
        ) from None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        if content.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise PairFileError(
                file, 1, "file", "cannot be read: it is UTF-16, not UTF-8", "Save it as UTF-8."
            ) from None
        line = content.count(b"\n", 0, error.start) + 1
        raise PairFileError(
            file, line, "file", f"cannot be read: byte 0x{content[error.start]:02x} is not UTF-8", "Save it as UTF-8."
        ) from None


class _Loader(yaml.SafeLoader):
    """Safe loader that leaves dates and decimal numbers as text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag.rpartition(":")[2] in ("bool", "int", "null")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _check_plain(text: str, file: Path) -> None:
    """Event by event, before anything is built: no tags, anchors or aliases, one document, few levels."""
    errors: list[PairFileError] = []
    depth = documents = 0
    for event in yaml.parse(text, Loader=_Loader):
        line = event.start_mark.line + 1 if event.start_mark is not None else 1
        anchor, tag = getattr(event, "anchor", None), getattr(event, "tag", None)
        if isinstance(event, yaml.AliasEvent):
            remedy = "Write the value out, without * and &."
            errors.append(PairFileError(file, line, "YAML", f"*{anchor} is an alias", remedy))
        elif anchor:
            remedy = "Remove it, and write the value out where it is used."
            errors.append(PairFileError(file, line, "YAML", f"&{anchor} is an anchor", remedy))
        if tag:
            name = str(tag).replace("tag:yaml.org,2002:", "!!")
            errors.append(PairFileError(file, line, "YAML", f"{name} is a tag", "Remove it; write the value alone."))
        if isinstance(event, yaml.ScalarEvent) and event.value == "<<" and event.implicit[0]:
            remedy = "Write the keys out instead."
            errors.append(PairFileError(file, line, "YAML", "<< is a merge of other keys", remedy))
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                remedy = "Remove it, and the line ---."
                errors.append(PairFileError(file, line, "YAML", "a second document begins here", remedy))
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            problem = f"is nested deeper than {MAX_DEPTH} levels"
            errors.append(PairFileError(file, line, "YAML", problem, "Close the brackets before it."))
            break
    if errors:
        raise PairFileError.of(errors)


def _yaml_error(file: Path, error: yaml.MarkedYAMLError) -> PairFileError:
    problem = error.problem or "cannot be parsed"
    mark, begun = error.problem_mark or error.context_mark, error.context_mark
    line = mark.line + 1 if mark is not None else 1
    if begun is not None and begun.line + 1 != line:
        problem += f" ({error.context}, begun on line {begun.line + 1})"
    remedy = "Correct the YAML here: brackets, quotation marks, colons and indentation must fit."
    if "'\\t'" in problem:
        remedy = "Replace the tab by blanks: YAML takes no tabs for indentation."
    elif "':'" in problem:
        remedy = 'Correct the YAML here: write "key: value", with a colon and a blank.'
    return PairFileError(file, line, "YAML", problem, remedy)


def _value(node: yaml.Node, path: Path_, lines: Lines, file: Path, errors: list[PairFileError]) -> Any:
    """The node's value; fills `lines`. Recursion is safe: `_check_plain` has counted the levels."""
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, lines, file, errors)
    if isinstance(node, yaml.SequenceNode):
        entries = []
        for index, inner in enumerate(node.value):
            lines[*path, index] = inner.start_mark.line + 1
            entries.append(_value(inner, (*path, index), lines, file, errors))
        return entries
    lines.written[path] = node.value
    match node.tag.rpartition(":")[2]:
        case "null":
            return None
        case "bool":
            return yaml.SafeLoader.bool_values[node.value.lower()]
        case "int" if isinstance(node, yaml.ScalarNode):
            try:
                return yaml.SafeLoader("").construct_yaml_int(node)
            except ValueError:
                return node.value
    return node.value


def _mapping(
    node: yaml.MappingNode, path: Path_, lines: Lines, file: Path, errors: list[PairFileError]
) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, inner in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            errors.append(
                PairFileError(file, line, dotted(path), "has a list or a map as a key", 'Write "key: value".')
            )
            continue
        here = (*path, str(key.value))
        if here in lines:
            first = lines[here]
            errors.append(
                PairFileError(file, line, dotted(here), f"stands twice, first on line {first}", "Keep one of the two.")
            )
            continue
        lines[here] = line
        content[str(key.value)] = _value(inner, here, lines, file, errors)
    return content


def dotted(path: Sequence[str | int]) -> str:
    """`("tax", "schedules", 2, "region")` → `tax.schedules[2].region`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "file"


def nearest(text: str, known: Iterable[str]) -> str:
    """The known word that `text` was probably meant to be, whatever its case; empty when none is near."""
    by_small = {one.casefold(): one for one in known}
    close = difflib.get_close_matches(text.casefold(), by_small, n=1)
    return by_small[close[0]] if close else ""


def explain(file: Path, lines: Lines, error: ValidationError, model: type[BaseModel]) -> PairFileError:
    """Every validation error at its line, in one `PairFileError`."""
    entries = error.errors(include_url=False)
    unknown = [tuple(entry["loc"]) for entry in entries if entry["type"] == "extra_forbidden"]
    found = []
    for entry in entries:
        path = tuple(part for part in entry["loc"] if part != "[key]")
        if entry["type"] == "missing" and any(
            loc[:-1] == path[:-1] and nearest(str(loc[-1]), [str(path[-1])]) for loc in unknown
        ):
            # A misspelt key is missing under its right name, too: one error is enough.
            continue
        for one in _found(entry, path, lines, model):
            whole = (*path, *one.key)
            while entry["type"] != "missing" and len(whole) > len(path[:1]) and whole not in lines:
                # A short form (`SKU: ITEM`) has no such key in the file.
                whole = whole[:-1]
            line = lines.nearest(whole if one.at is None else (*path, *one.at))
            found.append(PairFileError(file, line, dotted(whole), one.problem, one.remedy))
    return PairFileError.of(found)


def _found(entry: ErrorDetails, path: Path_, lines: Lines, model: type[BaseModel]) -> list[Contradiction]:
    context = entry.get("ctx", {})
    if entry["type"] == "contradiction":
        return list(context["found"])
    value = entry["input"]
    written = str(value) if "[key]" in entry["loc"] else lines.written.get(path, str(value))
    problem, remedy = _translated(entry, context, value, written)
    if entry["type"] == "extra_forbidden":
        known = _known_keys(model, path[:-1])
        close = nearest(str(path[-1]), known)
        problem = "is not a key of a pair file"
        remedy = f"Did you mean {close!r}?" if close else f"Keys here: {', '.join(known)}."
        if not known:
            remedy = f"Remove it; {EXPLAINED}."
    elif entry["type"] == "missing":
        problem = "is missing"
        meaning = _description(model, path)
        remedy = f"Add it{f' ({meaning})' if meaning else ''}; {EXPLAINED}."
    elif entry["type"] in ("model_type", "model_attributes_type") and (known := _known_keys(model, path)):
        remedy += f" Keys here: {', '.join(known)}."
    return [Contradiction((), problem, remedy)]


_FORMS: Final = {
    r"^[A-Z]{3}$": "three capital letters, such as USD",
    r"^[A-Z0-9]{3}$": "Sage's company code, three capital letters or digits, such as ABC",
    r"^([A-Z]{2})?$": "the country's two capital letters, such as US",
    r"^([01]\d|2[0-3]):[0-5]\d$": 'hours and minutes between quotation marks, such as "06:00"',
    r"^([A-Z0-9]{2}-[A-Z0-9]{1,20})?$": "division and customer number, such as 02-WEBGUEST",
    r"^[A-Za-z0-9-]+$": "the name of a header, letters, digits and hyphens only",
}
"""What the patterns of the models ask for, in words."""


def _translated(entry: ErrorDetails, context: dict[str, Any], value: Any, written: str) -> tuple[str, str]:
    """Problem and remedy in the words of a person who edits YAML."""
    kind = entry["type"]
    if value is None and kind != "missing":
        return "is empty", f"Write what belongs here, or remove the line; {EXPLAINED}."
    match kind:
        case "string_type" if isinstance(value, int):
            what = "true or false" if isinstance(value, bool) else "a number"
            return f"YAML reads {written} as {what}", f'Text that looks so is put between quotation marks: "{written}".'
        case "string_type":
            return f"is {_shape(value)}, where one text belongs", "Write one value."
        case "string_pattern_mismatch":
            form = _FORMS.get(context["pattern"], "")
            return (
                f"{written!r} does not match pattern {context['pattern']}",
                f"Write {form}." if form else f"Correct it; {EXPLAINED}.",
            )
        case "string_too_long":
            return (
                f"has {len(written)} characters, it takes at most {context['max_length']} characters",
                f"Shorten it to {context['max_length']}; codes stand here as Sage has them.",
            )
        case "string_too_short":
            remedy = "Write the code as Sage has it, or remove the key where it is not needed."
            return (
                f"has {len(written)} characters, it takes {context['min_length']}" if written else "is empty"
            ), remedy
        case "too_short":
            return "is empty", f"Write at least {context['min_length']} of it, or remove the key."
        case "literal_error" | "enum":
            choices = re.findall(r"'([^']*)'", str(context["expected"]))
            close = nearest(written, choices)
            listed = f"It can be {context['expected']}."
            return f"cannot be {written!r}", f"Did you mean {close!r}? {listed}" if close else listed
        case "bool_type" | "bool_parsing":
            return f"{written!r} is not true or false", "Write true or false."
        case "int_type" | "int_parsing" | "int_from_float" | "int_parsing_size":
            return f"{written!r} is no whole number", "Write a whole number in digits, such as 30."
        case "decimal_type" | "decimal_parsing" | "float_type" | "float_parsing" | "finite_number":
            return f"{written!r} is no number", "Write digits with a point before decimals, such as 0.05."
        case "greater_than" | "greater_than_equal" | "less_than" | "less_than_equal":
            bound = entry["msg"].partition("should be ")[2]
            return f"is {written}, it must be {bound}", f"Write a number that is {bound}."
        case _ if kind.startswith("date"):
            return f"{written!r} is no valid date", "Write year, month and day: 2026-01-31."
        case "dict_type" | "model_type" | "model_attributes_type":
            return f"is {_shape(value)}, where keys with values belong", 'Write lines "key: value" below it, indented.'
        case "list_type" | "tuple_type":
            if isinstance(value, dict):
                return "is a group of keys, where a list belongs", 'Begin each entry with "- ".'
            return "is one value, where a list belongs", f'Write it as a list: ["{written}"].'
    problem = entry["msg"].removeprefix("Value error, ")
    return problem[:1].lower() + problem[1:] if problem.startswith("Input") else problem, f"Correct it; {EXPLAINED}."


def _shape(value: Any) -> str:
    return "a list" if isinstance(value, list) else "a group of keys" if isinstance(value, dict) else "one value"


def _known_keys(model: type[BaseModel], path: Path_) -> list[str]:
    """The keys that may stand at a path of the file; none where the model leaves them open."""
    inside = _model_at(model, path)
    if inside is None:
        return []
    return [name for name in inside.model_fields if name not in getattr(inside, "not_in_file", ())]


def _description(model: type[BaseModel], path: Path_) -> str:
    """The first sentence of what the models say about a key, without its full stop."""
    inside = _model_at(model, path[:-1])
    field = inside.model_fields.get(str(path[-1])) if inside is not None else None
    text = " ".join((field.description or "").split()) if field is not None else ""
    return re.split(r"[.;:] ", text)[0].rstrip(".")


def _model_at(model: type[BaseModel], path: Path_) -> type[BaseModel] | None:
    current: type[BaseModel] | None = model
    for part in path:
        if isinstance(part, int):
            continue
        field = current.model_fields.get(part) if current is not None else None
        current = next(_models_inside(field.annotation), None) if field is not None else None
    return current


def _models_inside(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models_inside(argument)
