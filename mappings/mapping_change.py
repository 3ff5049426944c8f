"""What differs between two states of a mapping: in the pair file, key by key, and in an order, column by column.

In: two pairs, or an order's payload with two pairs. Out: `Difference`s by path, for people. Pure.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from mappings.frozen import Frozen
from mappings.pair import Pair
from mappings.preview import preview_of
from mappings.sales_order import Transformed

ABSENT = "(none)"
LONGEST = 120
HIDDEN: Final = "(hidden)"
IMPERSONAL: Final = """
    exception
    pair expedited checks currency tax freight grand paid authorised captured tolerance fully_captured decided_new
    OrderDate OrderStatus ShipExpireDate ARDivisionNo CustomerNo ShipToCode ShipVia WarehouseCode ResidentialAddress
    BillToState BillToCountryCode ShipToState ShipToCountryCode State CountryCode TermsCode TaxSchedule CustomerType
    FreightAmt PaymentType PaymentTypeCategory DepositAmt UDF_WEB_ORDER_ID UDF_WEB_LINE_ID
    origin sku ItemCode ItemType QuantityOrdered QuantityBackordered UnitPrice UnitOfMeasure UnitOfMeasureConvFactor
    else_from TaxClass discount_of CycleCode SalespersonDivisionNo SalespersonNo FreightCalculationMethod PriceLevel
"""
"""Columns whose values lead to no person; those of all others may, a site's own columns (`UDF_…`) among them."""


class Difference(Frozen):
    """One key or column, its value before and now."""

    path: str
    before: str
    now: str

    def __str__(self) -> str:
        """For people."""
        return f"{self.path}: {self.before} → {self.now}"

    def without_personal_values(self) -> "Difference":
        """The same for a log: only columns that lead to no person keep their values, and of a problem its field."""
        if re.sub(r"\[\d+\]$", "", self.path).rpartition(".")[2] in IMPERSONAL.split():
            return self
        return self.model_copy(update={"before": self._hidden(self.before), "now": self._hidden(self.now)})

    def _hidden(self, value: str) -> str:
        if value == ABSENT:
            return value
        field, found, _ = value.partition(": ")
        return f"{field}: {HIDDEN}" if found and self.path.startswith("held[") else HIDDEN


def of_pairs(before: Pair | None, now: Pair | None) -> list[Difference]:
    """Keys of the pair files whose values differ, defaults included; a pair that one side lacks is one difference."""
    if before is None or now is None:
        here = "a pair"
        return [Difference(path="file", before=here if before else ABSENT, now=here if now else ABSENT)]
    without = {"name", "version"}
    return _between(before.model_dump(mode="json", exclude=without), now.model_dump(mode="json", exclude=without))


def of_order(
    payload: Mapping[str, Any], before: Pair, now: Pair, recorded: Transformed | None = None
) -> list[Difference]:
    """Columns of the Sage order and of a new customer, what would be checked, and problems that would hold it.

    `recorded` is what the running code once made of this payload with the pair file `before`: with it, what the code
    does otherwise shows, too.
    """
    old, new = preview_of(payload, before), preview_of(payload, now)
    return _between(
        {**_of_result(recorded or old.result), **_columns(old.new_customer)},
        {**_of_result(new.result), **_columns(new.new_customer)},
    )


def _of_result(result: Transformed) -> dict[str, Any]:
    found: dict[str, Any] = {
        "held": [f"{problem.field}: {problem.message}" for problem in result.problems],
        "expedited": result.expedited,
    }
    if result.draft is not None:
        draft = result.draft.model_dump(exclude={"sales_order"})
        order = result.draft.sales_order.model_dump(exclude={"extra"})
        checks = [check["name"] for check in draft.pop("checks") or []]
        found |= {**order, **result.draft.sales_order.extra, **draft, "checks": checks}
    return found


def _columns(columns: Mapping[str, Any]) -> dict[str, Any]:
    return {"new customer": {name: column.value for name, column in columns.items()}}


def _between(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    old, new = dict(_leaves(before, "")), dict(_leaves(now, ""))
    return [
        Difference(path=path, before=old.get(path, ABSENT)[:LONGEST], now=new.get(path, ABSENT)[:LONGEST])
        for path in dict.fromkeys([*old, *new])
        if old.get(path, ABSENT) != new.get(path, ABSENT)
    ]


def _leaves(value: object, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{index}]")
    elif value is not None and value != "":
        # 10 and 10.00 are one amount.
        yield path, f"{value.normalize():f}" if isinstance(value, Decimal) and value.is_finite() else str(value)
