"""`python -m mappings preview ORDER.json --pair demo [--json] | check`: try the mapping without any server.

Pair files are those of PAIRS_DIR (environment or `.env`, as for the workers), unless `--pairs-dir` says otherwise. Exit
status of `preview`: 0 whenever a result could be shown, problems included; 2 for an unreadable file or an unknown pair.
Of `check`: 0 when every pair file can be used, warnings or not; 1 when one cannot, or when there is none.
"""

import argparse
import codecs
import io
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from mappings.order_file import read_order
from mappings.pair import Pair, PairFileError, load_pair
from mappings.pair_check import check
from mappings.pairs_folder import PairsFolder
from mappings.preview import as_json as preview_json
from mappings.preview import as_text as preview_text
from mappings.preview import preview_of

NARROWEST, WIDEST = 60, 120
"""Columns of text that are still, and no longer, easy to read."""


def build_parser() -> argparse.ArgumentParser:
    """Both commands with their flags."""
    parser = argparse.ArgumentParser(prog="python -m mappings", description=__doc__)
    parser.add_argument("--pairs-dir", type=Path, default=PairsFolder().pairs_dir, help="instead of PAIRS_DIR")
    commands = parser.add_subparsers(dest="command", required=True)
    preview = commands.add_parser("preview", help="what Sage would be asked to create for an order")
    preview.add_argument(
        "order",
        type=Path,
        help="JSON: a webhook's body, an order of Clarity's API, or an order workflow's input or history",
    )
    preview.add_argument("--pair", required=True)
    preview.add_argument("--json", action="store_true", help="for machines")
    commands.add_parser("check", help="check all pair files")
    return parser


def print_preview(order: Path, pairs_dir: Path, name: str, *, as_json: bool) -> None:
    """Print it on standard output, whatever characters that has. Raises ValueError and PairFileError."""
    pair = pair_named(pairs_dir, name)
    try:
        preview = preview_of(read_order(order, pair.clarity), pair)
    except RecursionError:
        raise ValueError(f"{order}: is nested too deeply for the body of a webhook") from None
    encoding = sys.stdout.encoding or "utf-8"
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    if as_json:
        content = preview_json(preview)
        # Escapes say the same as characters, and every output has them.
        text = json.dumps(content, indent=2, ensure_ascii=codecs.lookup(encoding).name != "utf-8")
    else:
        columns = shutil.get_terminal_size((80, 24)).columns
        text = preview_text(preview, min(max(columns, NARROWEST), WIDEST), encoding)
    print(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    options = build_parser().parse_args(arguments)
    try:
        if options.command == "check":
            return check(options.pairs_dir)
        print_preview(options.order, options.pairs_dir, options.pair, as_json=options.json)
        sys.stdout.flush()
    except PairFileError as error:
        print(error, file=sys.stderr)
        return 2
    except ValueError as error:
        print(f"mappings: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader (`| head`) has seen enough; Python must not complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def pair_named(directory: Path, name: str) -> Pair:
    """The pair; raises ValueError when there is none of that name."""
    file = directory / f"{name}.yaml"
    try:
        there = file.is_file()
    except OSError as error:
        raise ValueError(f"{directory}: cannot be read: {error.strerror}") from None
    if not there:
        known = ", ".join(sorted(entry.stem for entry in directory.glob("*.yaml"))) or "none"
        raise ValueError(f"there is no pair {name!r} in {directory}; known: {known}")
    return load_pair(file)


if __name__ == "__main__":
    raise SystemExit(main())
