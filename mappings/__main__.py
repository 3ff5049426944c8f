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

from mappings.clarity_order import parse_order
from mappings.clarity_profile import Kind, to_contract
from mappings.frozen import Frozen
from mappings.pair import Pair, PairFileError, load_pair, load_pairs
from mappings.provenance import header_sources, line_source
from mappings.sales_order import Transformed
from mappings.transform import transform

PAIRS_DIR = Path("mappings/pairs")


class Sources(Frozen):
    """Rule and field behind each header column, by column, and behind each line, in the lines' order."""

    header: dict[str, str] = {}
    lines: list[str] = []


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


def sources(result: Transformed, payload: dict[str, Any], pair: Pair) -> Sources:
    """Where the draft's columns and lines come from; empty without a draft."""
    order = parse_order(payload, pair.max_lines, pair.clarity)
    if result.draft is None or isinstance(order, list):
        return Sources()
    return Sources(
        header=header_sources(order, pair, result.draft),
        lines=[line_source(line, order, pair) for line in result.draft.sales_order.Lines],
    )


def show(result: Transformed, found: Sources) -> None:
    """The draft with its sources, or the problems, for people."""
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
            print(f"  {name:24} {value!s:32} ← {found.header.get(name, '')}".rstrip(" ←"))
    for name, value in order.extra.items():
        print(f"  {name:24} {value:32} ← {found.header.get(name, '')}".rstrip(" ←"))
    for line, source in zip(order.Lines, found.lines, strict=True):
        code = line.ItemCode or f"{line.sku} (SKU)"
        price = "Sage's price" if line.UnitPrice is None else f"{line.UnitPrice:f}"
        detail = line.CommentText or f"{line.QuantityOrdered:f} × {price}  {line.TaxClass}".rstrip()
        print(f"    {line.origin.value:9} {code:24} {detail:28} ← {source}")
    expected = result.draft.expected
    total = f"{expected.grand:,.2f} {expected.currency}, give or take {expected.tolerance:,.2f}"
    print(f"  Sage's total must be     {total}")
    print(f"  checks                   {', '.join(check.name for check in result.draft.checks or []) or 'none'}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    options = build_parser().parse_args(arguments)
    try:
        if options.command == "check":
            for name, pair in load_pairs(options.pairs_dir).items():
                print(f"{name}: ok (mapping version {pair.version})")
            return 0
        pair = pair_named(options.pairs_dir, options.pair)
        payload = to_contract(read_order(options.order), Kind.EVENT, pair.clarity)
        result = transform(payload, pair)
    except PairFileError as error:
        print(error, file=sys.stderr)
        return 1 if options.command == "check" else 2
    except ValueError as error:
        print(f"mappings: {error}", file=sys.stderr)
        return 2
    try:
        if options.json:
            content = {**result.model_dump(mode="json"), "sources": sources(result, payload, pair).model_dump()}
            print(json.dumps(content, indent=2, ensure_ascii=False))
        else:
            show(result, sources(result, payload, pair))
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
