"""Reading a pair file (YAML) so that every error names file, line, key, problem and remedy.

In: a path. Out: plain values, and the line on which each key stands. Raises `PairFileError`.
"""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

Path_ = tuple[str | int, ...]


class PairFileError(Exception):
    """A pair file cannot be used; `str()` is `file:line: key: problem. Remedy`."""

    def __init__(self, file: Path, line: int, key: str, problem: str, remedy: str) -> None:
        self.file = file
        self.line = line
        self.key = key
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{file}:{line}: {key}: {problem}. {remedy}")


class _Loader(yaml.SafeLoader):
    """Safe loader that leaves dates and decimal numbers as text: pydantic decides, and Decimal stays exact."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if not tag.endswith((":timestamp", ":float"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_yaml(file: Path) -> tuple[Any, dict[Path_, int]]:
    """The file's content and the line (from 1) of every key and list entry."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PairFileError(
            file, 1, "file", f"cannot be read: {error}", "Check the path and that it is UTF-8."
        ) from None
    try:
        node = yaml.compose(text, Loader=_Loader)
        content = yaml.load(text, Loader=_Loader)  # noqa: S506 - _Loader is a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise PairFileError(
            file, mark.line + 1 if mark else 1, "YAML", error.problem or "cannot be parsed", "Correct the YAML here."
        ) from None
    lines: dict[Path_, int] = {(): 1}
    if node is not None:
        _collect_lines(node, (), lines, file)
    return content, lines


def _collect_lines(node: yaml.Node, path: Path_, lines: dict[Path_, int], file: Path) -> None:
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            here = (*path, str(key_node.value))
            line = key_node.start_mark.line + 1
            if here in lines:
                raise PairFileError(file, line, dotted(here), "stands twice", "Keep one of the two.")
            lines[here] = line
            _collect_lines(value_node, here, lines, file)
    elif isinstance(node, yaml.SequenceNode):
        for index, value_node in enumerate(node.value):
            here = (*path, index)
            lines[here] = value_node.start_mark.line + 1
            _collect_lines(value_node, here, lines, file)


def dotted(path: Sequence[str | int]) -> str:
    """`("tax", "schedules", 2, "region")` → `tax.schedules[2].region`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "file"


def explain(file: Path, lines: dict[Path_, int], error: ValidationError, model: type[BaseModel]) -> PairFileError:
    """The first validation error as a `PairFileError` at its line."""
    # An unknown key first: a misspelt key is missing under its right name, too.
    first = sorted(error.errors(include_url=False), key=lambda entry: entry["type"] != "extra_forbidden")[0]
    path: Path_ = tuple(first["loc"])
    line = next(lines[path[:length]] for length in range(len(path), -1, -1) if path[:length] in lines)
    problem = first["msg"].removeprefix("Value error, ")
    remedy = "Correct the value; docs and mappings/pairs/demo.yaml show every key."
    if first["type"] == "extra_forbidden":
        known = _known_keys(model, path[:-1])
        close = difflib.get_close_matches(str(path[-1]), known, n=1)
        problem = "is not a key of a pair file"
        remedy = f"Did you mean {close[0]!r}?" if close else f"Keys here: {', '.join(known)}."
    elif first["type"] == "missing":
        problem = "is missing"
        remedy = "Add it; mappings/pairs/demo.yaml shows an example."
    return PairFileError(file, line, dotted(path), problem, remedy)


def _known_keys(model: type[BaseModel], path: Path_) -> list[str]:
    current: Any = model
    for part in path:
        if isinstance(part, int):
            continue
        field = current.model_fields.get(part) if isinstance(current, type) and issubclass(current, BaseModel) else None
        if field is None:
            return []
        current = _model_inside(field.annotation)
    return list(current.model_fields) if isinstance(current, type) and issubclass(current, BaseModel) else []


def _model_inside(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _model_inside(argument)
        if found is not None:
            return found
    return None
