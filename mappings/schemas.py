"""What docs/ says about the models, made from them: JSON Schema (draft 2020-12) of the canonical models, of the pair
file and of the Sage draft (docs/schema/), and the reference of a pair file's keys (docs/pair-file.md).

In: the models; descriptions come from their docstrings. Out: files, the same to the byte for the same models.
`python -m mappings.schemas [DIRECTORY]` writes them into `docs` or another directory.

A canonical model's schema says what its JSON looks like: decimals are strings, so that no reader makes floats of them.
The pair file's says what a person may write, numbers too.
"""

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from mappings.canonical import Address, Buyer, InventoryLevel, Invoice, Item, Order, OrderLine, Party, Payment, Shipment
from mappings.pair import Pair
from mappings.reference import TAKEN_FROM_THE_FILE, page
from mappings.sales_order import SalesOrder

DOCS: Final = Path("docs")
REFERENCE: Final = "pair-file.md"

DECIMAL: Final = r"^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$"
"""What `str` makes of a finite Decimal."""

CANONICAL: Final[dict[str, type[BaseModel]]] = {
    "order": Order,
    "order_line": OrderLine,
    "party": Party,
    "buyer": Buyer,
    "address": Address,
    "payment": Payment,
    "shipment": Shipment,
    "item": Item,
    "inventory_level": InventoryLevel,
    "invoice": Invoice,
    "sales_order": SalesOrder,
}
"""Name of the file → model. `sales_order` speaks Sage's columns: what an order becomes."""

PAIR: Final = "pair"

_LINE_BREAK: Final = re.compile(r"(?<!\n)\n(?!\n)")


class _Written(GenerateJsonSchema):
    """What a person writes. Only models have titles, as a field's would repeat its name."""

    def field_title_should_be_set(self, _schema: Any) -> bool:
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Without the default of a section that is left out: its keys tell theirs."""
        described = super().default_schema(schema)
        if isinstance(schema.get("default"), BaseModel):
            described.pop("default", None)
        return described

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """Keys of another form than the pattern's are errors."""
        described = super().dict_schema(schema)
        return {**described, "additionalProperties": False} if "patternProperties" in described else described

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        """A number within the bounds, or a text with one."""
        number = next(one for one in super().decimal_schema(schema)["anyOf"] if one["type"] == "number")
        return {"anyOf": [number, {"type": "string", "pattern": DECIMAL}]}


class _Sent(_Written):
    """What the models' own JSON looks like."""

    def decimal_schema(self, _schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        return {"type": "string", "pattern": DECIMAL}


def schemas() -> dict[str, dict[str, Any]]:
    """Every schema by the name of its file (`order.schema.json`)."""
    all_of = {name: _schema(name, model, _Sent) for name, model in CANONICAL.items()}
    pair = _schema(PAIR, Pair, _Written)
    for name in TAKEN_FROM_THE_FILE:
        del pair["properties"][name]
        pair["required"].remove(name)
    for described in (pair, *pair["$defs"].values()):
        _describe_sections(described.get("properties", {}), pair["$defs"])
    pair |= {"title": "Pair file", "description": "One integration pair: everything in which one site differs."}
    return {_file_name(name): schema for name, schema in {**all_of, PAIR: pair}.items()}


def _describe_sections(properties: dict[str, Any], definitions: dict[str, Any]) -> None:
    """A key without words of its own says what its section is for: editors show what stands beside the key."""
    for key in properties.values():
        entry = key.get("items", key)
        described = definitions.get(entry.get("$ref", "").rpartition("/")[2], {})
        if "description" not in key and "description" in described:
            key["description"] = described["description"]


def _file_name(name: str) -> str:
    return f"{name}.schema.json"


def _schema(name: str, model: type[BaseModel], generator: type[GenerateJsonSchema]) -> dict[str, Any]:
    body = _unwrapped(model.model_json_schema(schema_generator=generator))
    head: dict[str, Any] = {"$schema": GenerateJsonSchema.schema_dialect, "$id": _file_name(name)}
    order = ("title", "description", *(key for key in body if key not in {"title", "description", "$defs"}), "$defs")
    return head | {key: body[key] for key in order if key in body}


def _unwrapped(schema: Any) -> Any:
    """The schema with each description's lines joined to paragraphs: a docstring is wrapped for the source."""
    if isinstance(schema, list):
        return [_unwrapped(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _LINE_BREAK.sub(" ", value) if key == "description" and isinstance(value, str) else _unwrapped(value)
        for key, value in schema.items()
    }


def files() -> dict[str, str]:
    """The content of every file, by its path below docs/."""
    texts = {f"schema/{name}": schema_text(schema) for name, schema in schemas().items()}
    return {**texts, REFERENCE: page()}


def write_files(directory: Path) -> list[Path]:
    """Write every file below `directory`, which is made when missing; returns them."""
    written = []
    for name, text in files().items():
        file = directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8", newline="\n")
        written.append(file)
    return written


def schema_text(schema: dict[str, Any]) -> str:
    """The file's content."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Entry point; returns the exit status."""
    if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        print("usage: python -m mappings.schemas [DIRECTORY]", file=sys.stderr)
        return 2
    for file in write_files(Path(arguments[0]) if arguments else DOCS):
        print(file)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
