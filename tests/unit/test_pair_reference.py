"""docs/pair-file.md: every key of the models, each with a meaning, a type and an example that loads."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from mappings.pair import Pair, load_pair
from mappings.pair_examples import EXAMPLES, SMALLEST
from mappings.reference import all_keys
from mappings.schemas import schemas
from tests.support.pair_files import merged, read
from tests.support.processes import ROOT

PAGE = (ROOT / "docs/pair-file.md").read_text("utf-8")


class Row(NamedTuple):
    path: str
    type: str
    default: str
    meaning: str
    example: str


def rows() -> Iterator[Row]:
    for line in PAGE.splitlines():
        if line.startswith("| `"):
            cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip("|"))]
            path, kind, default, meaning, example = cells
            yield Row(path.strip("`"), kind, default, meaning, example.removeprefix("`").removesuffix("`"))


ROWS = {row.path: row for row in rows()}
DEFINITIONS: dict[str, Any] = schemas()["pair.schema.json"]["$defs"]


def keys_in_the_schema(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Every key that the pair file's JSON Schema knows, by its own walk: the reference must not miss what it misses."""

    def resolve(one: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in one:
            one = DEFINITIONS[one["$ref"].rpartition("/")[2]]
        return one

    def inside(one: dict[str, Any], path: str) -> Iterator[str]:
        one = resolve(one)
        for variant in one.get("anyOf", []):
            yield from inside(variant, path)
        yield from keys_in_the_schema(one, path)
        if isinstance(one.get("items"), dict):
            yield from inside(one["items"], f"{path}[]")
        if isinstance(one.get("additionalProperties"), dict):
            yield from inside(one["additionalProperties"], f"{path}.*")

    for name, key in schema.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        yield here
        yield from inside(key, here)


def test_every_key_of_the_models_is_there() -> None:
    assert len(ROWS) > 250
    assert set(keys_in_the_schema(schemas()["pair.schema.json"])) == set(ROWS)
    assert [key.path for key in all_keys()] == list(ROWS), "once each, in the models' order"
    assert set(EXAMPLES) == set(ROWS), "an example for each key, and no example of a key that is gone"


@pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
def test_every_key_has_a_type_and_a_meaning(row: Row) -> None:
    assert row.meaning, "a docstring below the field says what it means"
    assert row.type
    assert "typing" not in row.type


def stands_in(content: Any, path: list[str]) -> bool:
    """Whether a key is written in an example, in whichever entry of a list."""
    if not path:
        return True
    step, *further = path
    if isinstance(content, list):
        return any(stands_in(entry, path) for entry in content)
    if not isinstance(content, dict):
        return False
    inner = content.values() if step == "*" else [content[step]] if step in content else []
    return any(stands_in(one, further) for one in inner)


@pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
def test_every_example_shows_its_key_and_loads(row: Row, tmp_path: Path) -> None:
    example = read(row.example)
    assert stands_in(example, row.path.replace("[]", "").split(".")), row.example
    load(merged(read(SMALLEST), example), tmp_path)


def load(content: Any, directory: Path) -> Pair:
    file = directory / "example.yaml"
    file.write_text(yaml.safe_dump(content), "utf-8")
    return load_pair(file)


def test_the_smallest_pair_file_loads_and_is_the_smallest(tmp_path: Path) -> None:
    assert SMALLEST in PAGE
    (tmp_path / "example.yaml").write_text(SMALLEST, "utf-8")
    load_pair(tmp_path / "example.yaml")
    needed = {row.path for row in ROWS.values() if row.default == "**required**" and "[]" not in row.path}
    written = {path for path in ROWS if stands_in(read(SMALLEST), path.split("."))}
    outer = {path for path in needed if path.rpartition(".")[0] in ("", *needed)}
    assert outer == {path for path in written if "[]" not in path}


def test_the_schema_names_what_the_page_says() -> None:
    for path in ("company.price_decimals", "payments[].route", "tax.policy", "clarity.statuses.also.processing"):
        assert ROWS[path].type
    assert ROWS["payments[].route"].type == ("`clearing`, `deposit_liability`, `prepayment`, `on_invoice` or `list`")
    assert ROWS["company.price_decimals"].type == "whole number, 2 to 6"
    assert ROWS["order.warehouses[].when"].type == "condition on a line"
    assert ROWS["checks[].when"].type == "condition on the order, or `null`"
    assert ROWS["order.header_values"].type == "map: text → expression on the order"
    assert ROWS["clarity.statuses.also.processing"].default == "`[Pending]`"
    assert ROWS["order.notes"].default == "`true`"
    assert "`prepayment`: A cash receipt" in ROWS["payments[].route"].meaning
