"""Progress, packages and readiness (rules 2 and 3)."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from mappings.packages import plan_shipments
from mappings.pair import Pace, Pair
from mappings.progress import line_progress, order_progress
from mappings.readiness import ready, without_waiting
from mappings.sales_order import CreatedLine, SageItemType
from mappings.shipments import (
    InvoicedLine,
    OrderProgress,
    Package,
    PackageItem,
    SalesOrderStanding,
    ShipmentInvoice,
)


def line(
    key: str, quantity: int, item: str = "A", kind: SageItemType = SageItemType.REGULAR, web: str = ""
) -> CreatedLine:
    return CreatedLine(
        LineKey=key, ItemCode=item, ItemType=kind, QuantityOrdered=Decimal(quantity), UDF_WEB_LINE_ID=web
    )


def invoice(number: str, shipped: dict[str, int], *, posted: bool = False, **more: object) -> ShipmentInvoice:
    lines = [InvoicedLine(LineKey=key, ItemCode="A", QuantityShipped=Decimal(n)) for key, n in shipped.items()]
    base = ShipmentInvoice(InvoiceNo=number, SalesOrderNo="0001042", posted=posted, Lines=lines)
    return base.model_copy(update=more)


def standing(live: dict[str, int] | None, status: str = "N", history: str = "A") -> SalesOrderStanding:
    lines = {key: Decimal(n) for key, n in (live or {}).items()}
    return SalesOrderStanding(
        SalesOrderNo="0001042",
        live=live is not None,
        OrderStatus=status if live is not None else "",
        history_status=history,
        live_lines=lines,
    )


TWO = [line("1", 5, web="a"), line("2", 3, web="b")]
ALL = {"1": 5, "2": 3}


@pytest.mark.parametrize(
    ("invoices", "where", "expected"),
    [
        ([], None, OrderProgress.OPEN),
        ([], standing(ALL), OrderProgress.OPEN),
        ([invoice("1", {"1": 5})], standing(ALL), OrderProgress.PARTIALLY_SHIPPED),
        ([invoice("1", ALL)], standing(ALL), OrderProgress.SHIPPED),
        ([invoice("1", ALL)], None, OrderProgress.SHIPPED),
        ([invoice("1", ALL, posted=True)], standing(None, history="C"), OrderProgress.COMPLETE),
        ([invoice("1", ALL, posted=True)], standing(None, history=""), OrderProgress.SHIPPED),
        ([invoice("1", ALL, posted=True)], standing({"1": 0, "2": 0}, "C"), OrderProgress.COMPLETE),
        ([invoice("1", ALL, posted=True)], standing({}), OrderProgress.COMPLETE),
        ([invoice("1", {"1": 5}, posted=True), invoice("2", {"2": 3})], standing({"2": 3}), OrderProgress.SHIPPED),
        (
            [invoice("1", {"1": 5}, posted=True), invoice("2", {"2": 3}, posted=True)],
            standing(None, history="C"),
            OrderProgress.COMPLETE,
        ),
        # A quantity that vanished without a shipment is not shipped.
        ([invoice("1", {"1": 5}, posted=True)], standing(None, history="C"), OrderProgress.PARTIALLY_SHIPPED),
        # Over-shipped is shipped.
        ([invoice("1", {"1": 6, "2": 3}, posted=True)], standing(None, history="C"), OrderProgress.COMPLETE),
    ],
)
def test_progress_of_an_order(
    invoices: list[ShipmentInvoice], where: SalesOrderStanding | None, expected: OrderProgress
) -> None:
    assert order_progress(TWO, invoices, where) is expected


def test_charges_and_comments_never_count_and_mapped_services_do() -> None:
    lines = [
        line("1", 2, web="a"),
        line("2", 1, "/GIFT", SageItemType.MISCELLANEOUS),
        line("3", 0, "/C", SageItemType.COMMENT),
        line("4", 1, "SERVICE", SageItemType.MISCELLANEOUS, web="b"),
    ]
    assert [one.LineKeys for one in line_progress(lines, [], None)] == [["1"], ["4"]]


def test_order_without_counting_lines_is_shipped_when_its_invoice_is_posted() -> None:
    gift = [line("1", 1, "/GIFT", SageItemType.MISCELLANEOUS)]
    assert order_progress(gift, [], standing({})) is OrderProgress.OPEN
    assert order_progress(gift, [invoice("1", {"1": 1})], standing({})) is OrderProgress.OPEN
    posted = [invoice("1", {"1": 1}, posted=True)]
    assert order_progress(gift, posted, standing(None, history="C")) is OrderProgress.COMPLETE


def test_lines_add_up() -> None:
    one = line_progress(TWO, [invoice("1", {"1": 2})], standing(ALL))[0]
    assert (one.created, one.shipped, one.remaining, one.cancelled) == tuple(map(Decimal, (5, 2, 3, 0)))
    cut = line_progress(TWO, [invoice("1", {"1": 2})], standing({"1": 4, "2": 3}))[0]
    assert (cut.remaining, cut.cancelled) == (Decimal(2), Decimal(1))


def contents(
    pair: Pair, shipped: ShipmentInvoice, lines: list[CreatedLine] | None = None
) -> dict[str, dict[str, Decimal]]:
    return {
        shipment.externalReference: {item.orderItemId: item.quantity for item in shipment.items}
        for shipment in plan_shipments("10001", lines or TWO, shipped, pair)
    }


def test_package_without_contents_carries_all_and_the_others_nothing(pair: Pair) -> None:
    packages = [Package(PackageNo="0001", TrackingID="T1"), Package(PackageNo="0002", TrackingID="T2")]
    told = contents(pair, invoice("0100001", ALL, Packages=packages))
    assert told == {"0001042-0100001-0001": {"a": Decimal(5), "b": Decimal(3)}, "0001042-0100001-0002": {}}
    assert contents(pair, invoice("0100001", ALL)) == {"0001042-0100001-0000": {"a": Decimal(5), "b": Decimal(3)}}


def test_contents_per_package_are_kept_and_sum_to_what_shipped(pair: Pair) -> None:
    packages = [
        Package(PackageNo="0001", Items=[PackageItem(ItemCode="A", Quantity=Decimal(6))]),
        Package(PackageNo="0002", Items=[PackageItem(ItemCode="A", Quantity=Decimal(1))]),
    ]
    told = contents(pair, invoice("1", ALL, Packages=packages))
    assert told["0001042-1-0002"] == {"b": Decimal(1)}
    assert sum(quantity for package in told.values() for quantity in package.values()) == 8


def test_lines_that_are_not_the_buyers_and_zero_quantities_are_never_sent(pair: Pair) -> None:
    lines = [line("1", 5, web="a"), line("9", 1)]
    assert contents(pair, invoice("1", {"1": 0, "9": 1}), lines) == {}
    assert contents(pair, invoice("1", {"1": 2, "9": 1}), lines) == {"0001042-1-0000": {"a": Decimal(2)}}
    split = [line("1", 5, web="a"), line("2", 3, web="a")]
    assert contents(pair, invoice("1", ALL), split) == {"0001042-1-0000": {"a": Decimal(8)}}


def test_carrier_service_and_tracking_address_come_from_the_pair(pair: Pair) -> None:
    package = Package(PackageNo="0001", TrackingID="1Z9", ShipVia="UPS GROUND")
    shipped = invoice("1", ALL, Packages=[package], ShipDate=date(2026, 11, 23))
    told = plan_shipments("10001", TWO, shipped, pair)[0]
    assert (told.carrier, told.service, told.shippedDate) == ("UPS", "Ground", "2026-11-23")
    assert told.trackingUrl == "https://www.ups.com/track?tracknum=1Z9"
    unknown = invoice("1", ALL, Packages=[package.model_copy(update={"ShipVia": "BIKE"})])
    assert plan_shipments("10001", TWO, unknown, pair)[0].carrier == "BIKE"


def test_an_invoice_is_ready_when_it_says_so_or_has_settled() -> None:
    tracked = Package(PackageNo="0001", TrackingID="T")
    blank = Package(PackageNo="0001")
    pace = Pace(settle_time=600, grace_time=14_400)
    long, short = timedelta(hours=5), timedelta(minutes=1)
    assert not without_waiting(invoice("1", {}))
    assert not without_waiting(invoice("1", {}, Packages=[tracked]))
    assert not without_waiting(invoice("1", ALL))
    assert not without_waiting(invoice("1", ALL, Packages=[blank]))
    assert without_waiting(invoice("1", ALL, Packages=[tracked]))
    assert without_waiting(invoice("1", ALL, ShipStatus="S"))
    assert without_waiting(invoice("1", ALL, posted=True))
    assert not ready(invoice("1", ALL), long, short, pace)
    assert not ready(invoice("1", ALL), short, long, pace)
    assert ready(invoice("1", ALL), long, long, pace)
    assert not ready(invoice("1", {"1": 0}), long, long, pace)
