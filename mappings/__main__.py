"""`python -m mappings preview ORDER.json --pair demo [--json] | check`: try the mapping without any server.

Exit status: 0 whenever a result could be shown, problems included; 1 when `check` found an error; 2 for an unreadable
file or an unknown pair.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from mappings.clarity_profile import Kind, to_contract
from mappings.pair import Pair, PairFileError, load_pair, load_pairs
from mappings.sales_order import Transformed
from mappings.transform import transform

PAIRS_DIR = Path("mappings/pairs")


def build_parser() -> argparse.ArgumentParser:
    """Both commands with their flags."""
    parser = argparse.ArgumentParser(prog="python -m mappings", description=__doc__)
    parser.add_argument("--pairs-dir", type=Path, default=PAIRS_DIR)
    commands = parser.add_subparsers(dest="command", required=True)
    preview = commands.add_parser("preview", help="what Sage would be asked to create for an order")
    preview.add_argument("order", type=Path, help="a webhook body as JSON")
    preview.add_argument("--pair", required=True)
    preview.add_argument("--json", action="store_true", help="for machines")
    commands.add_parser("check", help="check all pair files")
    return parser


def read_order(file: Path) -> dict[str, Any]:
    """The webhook body; raises ValueError that says what is wrong."""
    try:
        payload = json.loads(file.read_text(encoding="utf-8"), parse_float=Decimal)
    except (OSError, ValueError) as error:
        raise ValueError(f"{file} cannot be read as JSON: {error}") from None
    if not isinstance(payload, dict):
        raise ValueError(f"{file} holds no JSON object")
    return payload


def show(result: Transformed) -> None:
    """The draft, or the problems, for people."""
    print(result.title or "The order cannot be read.")
    for problem in result.problems:
        print(
            f"  problem  {problem.field}: {problem.message}"
            + (f"  → {problem.suggestion}" if problem.suggestion else "")
        )
    for warning in result.warnings:
        print(f"  warning  {warning}")
    if result.draft is None:
        return
    order = result.draft.sales_order
    for name, value in order.model_dump(exclude={"Lines", "extra"}).items():
        if value not in ("", None, Decimal(0)):
            print(f"  {name:24} {value}")
    for line in order.Lines:
        code = line.ItemCode or f"{line.sku} (SKU)"
        detail = line.CommentText or f"{line.QuantityOrdered:f} × {line.UnitPrice:f}  {line.TaxClass}".rstrip()
        print(f"    {line.origin.value:9} {code:24} {detail}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    options = build_parser().parse_args(arguments)
    try:
        if options.command == "check":
            for name, pair in load_pairs(options.pairs_dir).items():
                print(f"{name}: ok (mapping version {pair.version})")
            return 0
        pair = pair_named(options.pairs_dir, options.pair)
        result = transform(to_contract(read_order(options.order), Kind.EVENT, pair.clarity), pair)
    except PairFileError as error:
        print(error, file=sys.stderr)
        return 1 if options.command == "check" else 2
    except ValueError as error:
        print(f"mappings: {error}", file=sys.stderr)
        return 2
    try:
        if options.json:
            print(result.model_dump_json(indent=2))
        else:
            show(result)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (`| head`) has seen enough; Python must not complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def pair_named(directory: Path, name: str) -> Pair:
    """The pair; raises ValueError when there is none of that name."""
    file = directory / f"{name}.yaml"
    if not file.is_file():
        known = ", ".join(sorted(entry.stem for entry in directory.glob("*.yaml"))) or "none"
        raise ValueError(f"there is no pair {name!r} in {directory}; known: {known}")
    return load_pair(file)


if __name__ == "__main__":
    raise SystemExit(main())
