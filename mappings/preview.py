"""What `python -m mappings preview` shows: the Sage order that would be made, and where each of its columns comes from.

In: a webhook body in the contract's words, and the pair. Out: a `Preview`; as text for people (`as_text`), as JSON for
machines (`as_json`). Pure. Nothing is left out silently: what is shortened says so, and what cannot be known before
Sage is asked says what will decide it.
"""

import textwrap
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from mappings.canonical import Order
from mappings.card_numbers import mask_card_numbers
from mappings.clarity_order import parse_order
from mappings.frozen import Frozen
from mappings.intake import reason_to_ignore
from mappings.pair import Pair
from mappings.provenance import Column, Columns, header_columns, line_columns, new_customer_columns
from mappings.sales_order import Draft, SalesOrderLine, Transformed
from mappings.transform import order_for_rules, transform

MOST_VALUES: Final = 200
"""Values of an order that cannot be read, as the text shows it."""
LONGEST_NUMBER: Final = 60
"""Digits of a number that is written out; a longer one is shown in powers of ten."""
LONGEST_VALUE: Final = 240
"""Characters of a value that the text shows; the JSON has it whole."""
NAME_WIDTH: Final = 22
VALUE_WIDTH: Final = 18
PLAIN: Final = {"←": "<-", "→": "->", "·": "-", "×": "x", "…": "..."}
"""For output that has no such characters (cp1252 and ASCII, as of redirected output on Windows)."""


class Preview(Frozen):
    """One order, as far as it could be understood: the draft, else the canonical order, else what arrived.

    `order` is as the pair's conditions see it, `payload` as the webhook's edge hands it on: without card numbers.
    `notes` say what happens to it before the transform.
    """

    result: Transformed
    order_number: str
    payload: dict[str, Any]
    notes: list[str] = []
    order: Order | None = None
    header: Columns = {}
    lines: list[Columns] = []
    new_customer: Columns = {}


def preview_of(payload: Mapping[str, Any], pair: Pair) -> Preview:
    """Take the order in as its webhook's edge does, transform it, and find the source of every column."""
    masked, masked_values = mask_card_numbers(dict(payload))
    notes = [f"card data was masked in {_counted(masked_values, 'value')}"] if masked_values else []
    if ignored := reason_to_ignore(masked, pair):
        notes.append(f"nothing would be started for this order now: {ignored}")
    result = transform(masked, pair)
    parsed = parse_order(masked, pair.max_lines, pair.clarity)
    if isinstance(parsed, list):
        return Preview(result=result, order_number=_number(masked), payload=masked, notes=notes)
    seen = order_for_rules(parsed, pair)
    if result.draft is None:
        return Preview(result=result, order_number=parsed.number, payload=masked, notes=notes, order=seen)
    return Preview(
        result=result,
        order_number=parsed.number,
        payload=masked,
        notes=notes,
        order=seen,
        header=header_columns(parsed, pair, result.draft),
        lines=line_columns(parsed, pair, result.draft),
        new_customer=new_customer_columns(parsed, pair, result.draft),
    )


def _number(payload: Mapping[str, Any]) -> str:
    """What an order that cannot be read is called."""
    data = payload.get("data")
    found = [data.get(name) for name in ("number", "id")] if isinstance(data, Mapping) else []
    texts = [str(value) for value in found if isinstance(value, str | int) and not isinstance(value, bool)]
    return next((text for text in texts if 0 < len(text) <= 64), "")


# ---- for machines ---------------------------------------------------------------------------------------------------


def as_json(preview: Preview) -> dict[str, Any]:
    """The transform's result; the canonical order; and by the same keys each column's value and its source.

    A column whose value is null is decided when Sage is asked.
    """
    tables: dict[str, Columns | list[Columns]] = {
        "header": preview.header,
        "lines": preview.lines,
        "new_customer": preview.new_customer,
    }
    understood = "draft" if preview.result.draft else "order" if preview.order else "nothing"
    return {
        **preview.result.model_dump(mode="json"),
        "order_number": preview.order_number,
        "understood": understood,
        "notes": preview.notes,
        "order": preview.order.model_dump(mode="json") if preview.order else None,
        "columns": {name: _each(table, "value") for name, table in tables.items()},
        "sources": {name: _each(table, "source") for name, table in tables.items()},
    }


def _each(table: Columns | list[Columns], part: str) -> Any:
    if isinstance(table, list):
        return [_each(one, part) for one in table]
    return {name: getattr(column, part) for name, column in table.items()}


# ---- for people -----------------------------------------------------------------------------------------------------


def as_text(preview: Preview, width: int, encoding: str) -> str:
    """No line is longer than `width` unless a single word is; `encoding` is the output's."""
    page = _Page(width, encoding)
    result = preview.result
    name = f"#{preview.order_number}" if preview.order_number else "An order without a number"
    page.paragraph(result.title or f"{name} · cannot be read as an order")
    for note in preview.notes:
        page.paragraph(f"note  {note}", indent=2)
    _problems(page, preview)
    if result.draft is not None:
        _draft(page, preview, result.draft)
    elif preview.order is not None:
        page.heading("The order as it was understood; conditions in the pair file use these names")
        for path, value in _leaves(preview.order.model_dump(), ""):
            page.row(path, value, "")
    else:
        page.heading("The order as it arrived, by the paths that problems and corrections name")
        values = list(_leaves(preview.payload, ""))
        for path, value in values[:MOST_VALUES]:
            page.row(path, value, "")
        if len(values) > MOST_VALUES:
            page.paragraph(f"… and {_counted(len(values) - MOST_VALUES, 'more value')}", indent=2)
    return page.text


def _problems(page: "_Page", preview: Preview) -> None:
    problems, warnings = preview.result.problems, preview.result.warnings
    if problems:
        page.heading(f"{_counted(len(problems), 'problem')}: the order would be held (invalid_data)")
        for problem in problems:
            page.paragraph(f"problem  {problem.field}: {problem.message}", indent=2)
            if problem.suggestion:
                page.paragraph(f"→ {problem.suggestion}", indent=6)
        if preview.order is None:
            page.paragraph(
                "Only what keeps the order from being read is listed, at most 100 problems: more may show once these "
                "are corrected.",
                indent=2,
            )
    if warnings:
        page.heading(_counted(len(warnings), "warning"))
        for warning in warnings:
            page.paragraph(f"warning  {warning}", indent=2)


def _draft(page: "_Page", preview: Preview, draft: Draft) -> None:
    page.heading("Sales order")
    page.table(preview.header)
    for number, (line, columns) in enumerate(zip(draft.sales_order.Lines, preview.lines, strict=True), start=1):
        page.heading(f"Line {number}: {_about(line)}")
        page.table(columns)
    if preview.new_customer:
        page.heading("New customer, if no account matches")
        page.table(preview.new_customer)
    expected = draft.expected
    page.heading("Before it is created")
    total = f"{expected.grand:,.2f} {expected.currency}, give or take {expected.tolerance:,.2f}"
    page.row("Sage's total must be", total, "")
    page.row("checks", ", ".join(check.name for check in draft.checks or []) or "none", "")
    page.row("mapping version", preview.result.mapping_version, "")


def _about(line: SalesOrderLine) -> str:
    kind = line.origin.value.replace("_", " ")
    if line.CommentText:
        return kind
    price = "Sage's price" if line.UnitPrice is None else f"{line.UnitPrice:f}"
    return f"{kind} {line.sku or line.ItemCode}, {line.QuantityOrdered:f} × {price}"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _leaves(value: object, path: str) -> Iterator[tuple[str, str]]:
    """Every value that is not empty, by its path."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{index}]")
    elif value not in ("", None):
        # 1e999999999 written out would be a gigabyte.
        plain = isinstance(value, Decimal) and value.is_finite() and abs(value.adjusted()) < LONGEST_NUMBER
        yield path, f"{value:f}" if plain else str(value)


class _Page:
    """Lines of text that fit the width."""

    def __init__(self, width: int, encoding: str) -> None:
        self.width = width
        self._lines: list[str] = []
        self._plain = {ord(sign): plain for sign, plain in PLAIN.items() if not _can_be_written(sign, encoding)}

    @property
    def text(self) -> str:
        """The whole page."""
        return "\n".join(self._lines)

    def heading(self, text: str) -> None:
        """A line over a table."""
        self._lines.append("")
        self.paragraph(text)

    def paragraph(self, text: str, indent: int = 0) -> None:
        """Text in lines, the second and later ones a little further in."""
        self._wrapped(" " * indent, " " * (indent + 2), self._shown(text))

    def table(self, columns: Columns) -> None:
        """A row for each column."""
        for name, column in columns.items():
            self.row(name, _value(column), column.source)

    def row(self, name: str, value: str, source: str) -> None:
        """Name, value and source, in one line where they fit."""
        head = f"  {self._shown(name):{NAME_WIDTH}} "
        value, source = self._shown(_shortened(value)), self._shown(f"← {source}" if source else "")
        room = self.width - len(head) - 1 - len(source)
        if len(value) <= room:
            self._lines.append(f"{head}{value:{min(VALUE_WIDTH, room)}} {source}".rstrip())
            return
        if len(head) > self.width // 2:
            self.paragraph(name, indent=2)
            head = " " * (NAME_WIDTH + 3)
        self._wrapped(head, " " * (NAME_WIDTH + 3), value)
        if source:
            self._wrapped(" " * 6, " " * 8, source)

    def _wrapped(self, first: str, later: str, text: str) -> None:
        self._lines += textwrap.wrap(
            text, self.width, initial_indent=first, subsequent_indent=later, break_on_hyphens=False
        ) or [first.rstrip()]

    def _shown(self, text: str) -> str:
        """On one line, without signs that the output does not have."""
        text = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
        return text.translate(self._plain)


def _shortened(value: str) -> str:
    return value if len(value) <= LONGEST_VALUE else f"{value[:LONGEST_VALUE]}… ({len(value):,} characters in all)"


def _value(column: Column) -> str:
    return "(from Sage)" if column.value is None else column.value


def _can_be_written(sign: str, encoding: str) -> bool:
    try:
        sign.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
