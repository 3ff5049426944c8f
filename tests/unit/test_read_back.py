"""What is followed of an order that a person has said is ours, as sent."""

from datetime import date
from decimal import Decimal

from mappings.read_back import as_sent
from mappings.sales_order import CreatedLine, LineOrigin, SageItemType, SalesOrder, SalesOrderLine, SalesOrderOnSage


def sent(item: str, quantity: int, web_line: str) -> SalesOrderLine:
    return SalesOrderLine(
        origin=LineOrigin.ITEM,
        ItemCode=item,
        ItemType=SageItemType.REGULAR,
        QuantityOrdered=Decimal(quantity),
        UDF_WEB_LINE_ID=web_line,
    )


ORDER = SalesOrder(
    UDF_WEB_ORDER_ID="1",
    OrderDate=date(2026, 11, 25),
    ARDivisionNo="01",
    CustomerNo="ABF",
    CustomerPONo="W-1",
    Lines=[sent("DESK", 5, "a"), sent("KIT", 1, "b"), sent("DESK", 2, "c")],
)


def test_what_is_left_keeps_its_key_and_what_left_gets_a_free_one() -> None:
    left = SalesOrderOnSage(
        SalesOrderNo="0001042",
        UDF_WEB_ORDER_ID="1",
        Lines=[
            CreatedLine(LineKey="000002", ItemCode="KIT", QuantityOrdered=Decimal(1), SalesKitLineKey="000002"),
            CreatedLine(LineKey="000003", ItemCode="DESK", QuantityOrdered=Decimal(8), SalesKitLineKey="000002"),
            CreatedLine(LineKey="000004", ItemCode="DESK", QuantityOrdered=Decimal(1), UDF_WEB_LINE_ID="c"),
        ],
    )
    order = as_sent("0001042", ORDER, left)
    assert [(line.LineKey, line.UDF_WEB_LINE_ID, line.QuantityOrdered) for line in order.Lines] == [
        ("000001", "a", Decimal(5)),
        ("000002", "b", Decimal(1)),
        ("000004", "c", Decimal(2)),
        ("000003", "", Decimal(8)),
    ]
    assert order.live


def test_of_an_order_that_is_gone_every_line_is_as_sent() -> None:
    order = as_sent("0001042", ORDER, None)
    assert (order.SalesOrderNo, order.live, order.CustomerNo, order.UDF_WEB_ORDER_ID) == ("0001042", False, "ABF", "1")
    assert [line.LineKey for line in order.Lines] == ["000001", "000002", "000003"]
    assert all(line.counts for line in order.Lines)
