"""A create whose answer was lost so long that the order was invoiced, in a company that keeps no order history.

In: the order as sent, what is left of it in Sage, the invoices that took from it. Out: what a person is asked
(rules 4), and the order to follow once the person has said that it is ours, as sent. Pure.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum

from mappings.problems import Finding, HoldReason, Problem
from mappings.sales_order import CreatedLine, SalesOrder, SalesOrderLine, SalesOrderOnSage

NO_HISTORY = "and no order history tells what it was"


class ReadBackDoubt(StrEnum):
    """What stands under our reserved number and cannot be compared any more (`Finding.check`)."""

    PARTLY_INVOICED = "partly_invoiced"
    """Our live order, from which posted invoices took."""
    INVOICED = "invoiced_before_read_back"
    """No order of ours, but invoices of that number with our purchase order number."""


def ask_about(number: str, left: SalesOrderOnSage | None, invoices: Sequence[str]) -> Finding:
    """What a person must say: is this the web order, as it was sent?"""
    billed = f"invoice {', '.join(invoices[:5])}" if invoices else "an invoice"
    if left is not None and left.live:
        doubt = ReadBackDoubt.PARTLY_INVOICED
        message = f"Sales order {number} is this order, and {billed} had taken from it before it could be read back"
    else:
        doubt = ReadBackDoubt.INVOICED
        message = (
            f"Sales order {number} was created for this order and its answer was lost; {billed} has billed that number "
            "since, under this order's purchase order number"
        )
    return Finding(
        reason=HoldReason.ANOMALY,
        check=doubt.value,
        problems=[
            Problem(
                field=f"SO_SalesOrder.{number}",
                message=f"{message}, {NO_HISTORY}.",
                suggestion="Compare the invoice, and what is left of the order in Sage, with Clarity's order; what is "
                "not as ordered is mended in Sage first. Then release with approve: nothing is created, and the order "
                "is followed as sent. It cannot be cancelled here: it was invoiced.",
            )
        ],
    )


def as_sent(number: str, order: SalesOrder, left: SalesOrderOnSage | None) -> SalesOrderOnSage:
    """The order that a person has said is ours: every line as sent, under its LineKey where it is still there.

    Lines that left with an invoice get the key that Sage gives in this order; their invoice lines carry none, and are
    allocated by ItemCode (rules 1).
    """
    found = left if left is not None else SalesOrderOnSage(SalesOrderNo=number, live=False)
    there = list(found.Lines)
    keys = _free_keys({line.LineKey for line in there})
    lines = []
    for sent in order.Lines:
        line = next((one for one in there if _is_same(one, sent)), None)
        if line is not None:
            there.remove(line)
            kept = {"QuantityOrdered": sent.QuantityOrdered, "UDF_WEB_LINE_ID": sent.UDF_WEB_LINE_ID}
            lines.append(line.model_copy(update=kept))
        else:
            lines.append(_line(next(keys), sent))
    header = {
        "SalesOrderNo": number,
        "UDF_WEB_ORDER_ID": order.UDF_WEB_ORDER_ID,
        "ARDivisionNo": order.ARDivisionNo,
        "CustomerNo": order.CustomerNo,
        "CustomerPONo": order.CustomerPONo,
    }
    return found.model_copy(update={**header, "DepositAmt": None, "Lines": [*lines, *there]})


def _free_keys(taken: set[str]) -> Iterator[str]:
    return (key for key in (f"{number:06d}" for number in range(1, 1_000_000)) if key not in taken)


def _is_same(line: CreatedLine, sent: SalesOrderLine) -> bool:
    if line.is_component or line.ItemCode != sent.ItemCode:
        return False
    return line.UDF_WEB_LINE_ID == sent.UDF_WEB_LINE_ID or not line.UDF_WEB_LINE_ID


def _line(key: str, sent: SalesOrderLine) -> CreatedLine:
    return CreatedLine(
        LineKey=key,
        ItemCode=sent.ItemCode,
        ItemType=sent.ItemType,
        UnitOfMeasure=sent.UnitOfMeasure,
        UnitOfMeasureConvFactor=sent.UnitOfMeasureConvFactor or 1,
        WarehouseCode=sent.WarehouseCode,
        QuantityOrdered=sent.QuantityOrdered,
        UnitPrice=sent.UnitPrice or 0,
        TaxClass=sent.TaxClass,
        UDF_WEB_LINE_ID=sent.UDF_WEB_LINE_ID,
    )
