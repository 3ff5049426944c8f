"""The wire contract between order workers and Sage and Clarity workers: activities, workflows and their messages.

`python -m tests.support.wire` writes it to tests/contracts/wire.json anew, which only ever adds to it: additions are
what the contract allows, and what is gone or changed is refused.
"""

import importlib
import inspect
import json
import pkgutil
import sys
from collections.abc import Iterator, Mapping
from typing import Any, get_type_hints

from pydantic import TypeAdapter
from temporalio import workflow

import activities
from tests.support.processes import ROOT
from workers.roles import WORKFLOWS

FILE = ROOT / "tests" / "contracts" / "wire.json"


def registered() -> dict[str, Any]:
    """What the code says now: activities and workflows by name, and the models that travel as JSON schemas."""
    models: dict[str, Any] = {}
    return {
        "activities": {name: _call(method, models) for name, method in sorted(_activities())},
        "workflows": {name: _workflow(kind, models) for name, kind in sorted(_workflows())},
        "models": models,
    }


def _activities() -> Iterator[tuple[str, Any]]:
    for found in pkgutil.iter_modules(activities.__path__):
        module = importlib.import_module(f"activities.{found.name}")
        for kind in vars(module).values():
            if inspect.isclass(kind) and kind.__module__ == module.__name__:
                for method in vars(kind).values():
                    definition = getattr(method, "__temporal_activity_definition", None)
                    if definition is not None:
                        yield definition.name, method


def _workflows() -> Iterator[tuple[str, type]]:
    for kind in WORKFLOWS:
        name = workflow._Definition.must_from_class(kind).name
        assert name is not None
        yield name, kind


def _workflow(kind: type, models: dict[str, Any]) -> dict[str, Any]:
    definition = workflow._Definition.must_from_class(kind)
    handlers: dict[str, Mapping[str | None, Any]] = {
        "signals": definition.signals,
        "queries": definition.queries,
        "updates": definition.updates,
    }
    return {
        "run": _call(definition.run_fn, models),
        **{
            what: {
                name: _call(one.fn, models) for name, one in sorted(of.items(), key=lambda item: str(item[0])) if name
            }
            for what, of in handlers.items()
        },
    }


def _call(function: Any, models: dict[str, Any]) -> dict[str, Any]:
    """Arguments by name, and the result."""
    hints = get_type_hints(function)
    result = hints.pop("return", None)
    return {
        "arguments": {name: _schema(hint, models) for name, hint in hints.items()},
        "result": _schema(result, models) if result is not None else {},
    }


def _schema(hint: Any, models: dict[str, Any]) -> dict[str, Any]:
    """Types only: a description is no contract. Models stand once, by their name; a second one by whose part it is."""
    schema: dict[str, Any] = _bare(TypeAdapter(hint).json_schema(ref_template="{model}"))
    outer = getattr(hint, "__name__", "")
    if "properties" in schema:
        of_models = schema.pop("$defs", {})
        schema = {"$defs": {**of_models, outer: schema}, "$ref": outer}
    for name, model in schema.get("$defs", {}).items():
        if models.get(name, model) != model:
            text = json.dumps(schema).replace(f'"{name}"', f'"{name} of {outer}"')
            schema = json.loads(text)
    models.update(schema.pop("$defs", {}))
    return schema


def _bare(value: Any, of_fields: bool = False) -> Any:
    if isinstance(value, dict):
        dropped = () if of_fields else ("title", "description", "default", "examples")
        return {
            key: _bare(inner, key in ("properties", "$defs") and not of_fields)
            for key, inner in value.items()
            if key not in dropped
        }
    return [_bare(inner) for inner in value] if isinstance(value, list) else value


def broken(kept: Any, now: Any, path: str = "") -> Iterator[str]:
    """What a process of the other version would miss: everything that is gone, says something else, or is demanded.

    More names, more fields with a default, more alternatives and more values of an enumeration are additions.
    """
    if isinstance(kept, dict) and isinstance(now, dict):
        for name in sorted({*now.get("required", [])} - {*kept.get("required", [])}) if "properties" in kept else []:
            yield f"{path}: {name} is required, and a process of before does not send it"
        for key, inner in kept.items():
            if key == "required" and "properties" in kept:
                continue
            where = f"{path}.{key}" if path else key
            if key in now:
                yield from broken(inner, now[key], where)
            else:
                yield f"{where} is gone"
    elif isinstance(kept, list) and isinstance(now, list):
        yield from (f"{path} no longer allows {json.dumps(one)}" for one in kept if one not in now)
    elif kept != now:
        yield f"{path} was {json.dumps(kept)} and is {json.dumps(now)}"


def main() -> int:
    """Write the contract anew, unless something is gone."""
    now = registered()
    kept = json.loads(FILE.read_text("utf-8")) if FILE.exists() else {}
    if lines := list(broken(kept, now)):
        print("\n".join(lines), file=sys.stderr)
        return 1
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps(now, indent=1, sort_keys=True, ensure_ascii=False) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
