"""Progress, packages and readiness (rules 2 and 3)."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.canonical import Shipment
from mappings.packages import Create, KnownShipment, Update, Void, plan_shipments, share_packages, steps_towards
from mappings.pair import BusinessHours, Pace, Pair, load_pair
from mappings.progress import (
    adopt_lines,
    allocate,
    cancel_reason,
    components_waiting,
    line_progress,
    order_progress,
    unknown_lines,
    vanished,
)
from mappings.readiness import ready, without_waiting
from mappings.sales_order import CreatedLine, SageItemType
from mappings.shipments import (
    InvoicedLine,
    OrderProgress,
    Package,
    PackageItem,
    SalesOrderStanding,
    ShipmentInvoice,
    ShipsOn,
)

DEMO = load_pair(Path(__file__).parents[2] / "mappings/pairs/demo.yaml")


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
        shipment.reference: {line.item_id: line.quantity for line in shipment.lines}
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
    assert (told.carrier, told.service, told.shipped_on) == ("UPS", "Ground", date(2026, 11, 23))
    assert told.tracking_url == "https://www.ups.com/track?tracknum=1Z9"
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


# ---- what is believed (rules 3) -------------------------------------------------------------------------------------


def test_what_vanished_keeps_the_order_open_until_it_is_believed() -> None:
    invoices = [invoice("1", {"1": 5}, posted=True)]
    gone = standing(None, history="C")
    assert vanished(line_progress(TWO, invoices, gone)) == {"b": Decimal(3)}
    assert order_progress(TWO, invoices, gone) is OrderProgress.PARTIALLY_SHIPPED
    assert order_progress(TWO, invoices, gone, {"b": Decimal(2)}) is OrderProgress.PARTIALLY_SHIPPED
    assert order_progress(TWO, invoices, gone, {"b": Decimal(3)}) is OrderProgress.COMPLETE
    assert order_progress(TWO, [], standing(None), {"a": Decimal(5), "b": Decimal(3)}) is OrderProgress.CANCELLED


@pytest.mark.parametrize(("history", "confirmed", "expected"), [
    ("", False, OrderProgress.SHIPPED),
    ("", True, OrderProgress.COMPLETE),
    ("X", False, OrderProgress.SHIPPED),
    ("A", True, OrderProgress.COMPLETE),
    ("C", False, OrderProgress.COMPLETE),
])  # fmt: skip
def test_a_gone_order_is_complete_by_history_or_confirmation(
    history: str, confirmed: bool, expected: OrderProgress
) -> None:
    posted = [invoice("1", ALL, posted=True)]
    assert order_progress(TWO, posted, standing(None, history=history), gone_confirmed=confirmed) is expected


def test_where_posting_leaves_quantities_all_that_shipped_is_taken_off() -> None:
    live = standing(ALL).model_copy(update={"quantities_stay": True})
    posted = [invoice("1", {"1": 2}, posted=True), invoice("2", {"1": 3})]
    assert [line.remaining for line in line_progress(TWO, posted, live)] == [Decimal(0), Decimal(3)]
    reduced = standing({"1": 3, "2": 3})
    assert [line.remaining for line in line_progress(TWO, posted, reduced)] == [Decimal(0), Decimal(3)]


def test_lines_of_one_item_add_up_and_units_are_converted() -> None:
    split = [line("1", 5, web="a"), line("3", 0, web="a")]
    only = line_progress(split, [invoice("1", {"1": 3, "3": 2})], standing({"1": 3, "3": 2}))[0]
    assert (only.created, only.shipped, only.remaining) == (Decimal(5), Decimal(5), Decimal(0))
    dozen = line("1", 2, web="a").model_copy(update={"UnitOfMeasureConvFactor": Decimal(12)})
    pieces = InvoicedLine(LineKey="1", ItemCode="A", QuantityShipped=Decimal(6), UnitOfMeasureConvFactor=Decimal(1))
    shipped = invoice("1", {}, Lines=[pieces])
    assert line_progress([dozen], [shipped], standing({"1": 2}))[0].shipped == Decimal("0.5")


def test_a_kit_waits_for_components_that_may_be_back_ordered() -> None:
    kit = [line("1", 1, web="a")]
    done = [invoice("1", {"1": 1})]
    live = standing({"1": 1}).model_copy(update={"live_components": {"2": Decimal(2)}})
    assert components_waiting(done, live)
    assert order_progress(kit, done, live) is OrderProgress.PARTIALLY_SHIPPED
    component = InvoicedLine(LineKey="2", ItemCode="C", QuantityShipped=Decimal(2), component=True)
    both = [invoice("1", {}, Lines=[*done[0].Lines, component])]
    assert order_progress(kit, both, live) is OrderProgress.SHIPPED


def test_added_lines_belong_to_the_item_they_name_or_share_and_count_in_any_case() -> None:
    known = [line("1", 5, web="a"), line("2", 3, "B", web="b")]
    found = [line("3", 2, "Z", web="b"), line("4", 2, "A"), line("5", 1, "X"), line("1", 9, web="a")]
    lines = adopt_lines(known, found)
    assert [(one.LineKey, one.UDF_WEB_LINE_ID, one.QuantityOrdered) for one in lines[2:]] == [
        ("3", "b", Decimal(0)),
        ("4", "a", Decimal(0)),
        ("5", "", Decimal(0)),
    ]
    assert unknown_lines(lines, [invoice("1", {"9": 1})], standing({"8": 1})) == {"8", "9"}
    live = standing({"1": 5, "2": 3, "5": 1})
    assert order_progress(lines, [invoice("1", {"1": 5, "2": 3})], live) is OrderProgress.PARTIALLY_SHIPPED


def test_posted_lines_without_a_link_are_allocated_in_line_order() -> None:
    lines = [line("1", 2, web="a"), line("2", 5, web="b")]
    posted = invoice("9", {}, posted=True, Lines=[
        InvoicedLine(LineKey="", ItemCode="A", QuantityShipped=Decimal(2)),
        InvoicedLine(LineKey="", ItemCode="A", QuantityShipped=Decimal(5)),
        InvoicedLine(LineKey="", ItemCode="Q", QuantityShipped=Decimal(1)),
    ])  # fmt: skip
    assert [(one.LineKey, one.allocated) for one in allocate(lines, posted, []).Lines] == [
        ("1", True),
        ("2", True),
        ("", False),
    ]
    before = [invoice("8", {"1": 2})]
    assert [one.LineKey for one in allocate(lines, posted, before).Lines] == ["2", "2", ""]


def test_reasons_of_what_will_not_come() -> None:
    invoices = [invoice("0100001", {"1": 4}, posted=True)]
    one, two = line_progress(TWO, invoices, standing(None, history="C"))
    assert cancel_reason(one, {}, standing(None, history="C"), invoices) == "closed short on invoice 0100001"
    assert cancel_reason(two, {"2": "STOCK"}, standing(None), invoices) == "STOCK"
    assert cancel_reason(two, {}, standing(None), invoices) == "deleted"
    assert cancel_reason(two, {}, standing({"1": 1}), invoices) == "cancelled in Sage"


# ---- what Clarity is told -------------------------------------------------------------------------------------------


def drop_line(quantity: int, key: str = "2") -> InvoicedLine:
    return InvoicedLine(LineKey=key, ItemCode="D", QuantityShipped=Decimal(quantity), ships_on=ShipsOn.TRACKING)


def test_a_drop_ship_line_ships_on_tracking_or_posting_apart_from_the_others(pair: Pair) -> None:
    stock = invoice("1", {"1": 5}).Lines
    billed = invoice("1", {}, Lines=[*stock, drop_line(3)], ShipStatus="S")
    assert contents(pair, billed) == {"0001042-1-0000": {"a": Decimal(5)}}
    posted = billed.model_copy(update={"posted": True})
    assert contents(pair, posted) == {"0001042-1-0000": {"a": Decimal(5)}, "0001042-1-DROP": {"b": Decimal(3)}}
    alone = invoice("1", {}, Lines=[drop_line(3)], ShipStatus="S")
    assert not without_waiting(alone)
    assert without_waiting(alone.model_copy(update={"Packages": [Package(PackageNo="0001", TrackingID="T")]}))
    late = [drop_line(3).model_copy(update={"ships_on": ShipsOn.POSTING})]
    assert not without_waiting(invoice("1", {}, Lines=late, Packages=[Package(PackageNo="0001", TrackingID="T")]))


def test_goods_without_an_item_of_the_buyers_are_told_by_their_tracking(pair: Pair) -> None:
    lines = [line("1", 5, web="a"), line("9", 1)]
    tracked = invoice("1", {"9": 1}, Packages=[Package(PackageNo="0001", TrackingID="T")])
    assert contents(pair, tracked, lines) == {"0001042-1-0001": {}}
    component = InvoicedLine(LineKey="7", ItemCode="C", QuantityShipped=Decimal(1), component=True)
    late = tracked.model_copy(update={"Lines": [component]})
    assert contents(pair, late, lines) == {"0001042-1-0001": {}}


def test_packages_of_an_invoice_for_two_orders_are_shared_by_contents() -> None:
    lines = {
        "1": [InvoicedLine(LineKey="1", ItemCode="A", QuantityShipped=Decimal(2))],
        "2": [
            InvoicedLine(LineKey="1", ItemCode="A", QuantityShipped=Decimal(3)),
            InvoicedLine(LineKey="2", ItemCode="B", QuantityShipped=Decimal(1)),
        ],
    }
    packages = [
        Package(PackageNo="0001", Items=[PackageItem(ItemCode="A", Quantity=Decimal(5))]),
        Package(PackageNo="0002", Items=[PackageItem(ItemCode="B", Quantity=Decimal(1))]),
        Package(PackageNo="0003"),
    ]
    shared = share_packages(packages, lines)
    assert [(one.PackageNo, [item.Quantity for item in one.Items]) for one in shared["1"]] == [
        ("0001", [Decimal(2)]),
        ("0003", []),
    ]
    assert [(one.PackageNo, [item.Quantity for item in one.Items]) for one in shared["2"]] == [
        ("0001", [Decimal(3)]),
        ("0002", [Decimal(1)]),
        ("0003", []),
    ]


def known(shipment: Shipment, id_: str = "x", *, void: bool = False) -> KnownShipment:
    names = ("reference", "carrier", "service", "tracking_number", "tracking_url", "lines")
    return KnownShipment(id=id_, void=void, **{name: getattr(shipment, name) for name in names})


def test_steps_towards_what_clarity_should_know(pair: Pair) -> None:
    untracked = plan_shipments("10001", TWO, invoice("7", ALL), pair)
    tracked = plan_shipments("10001", TWO, invoice("7", ALL, Packages=[
        Package(PackageNo="0001", TrackingID="T1"), Package(PackageNo="0002", TrackingID="T2")]), pair)  # fmt: skip
    fewer = plan_shipments("10001", TWO, invoice("7", {"1": 4}), pair)
    assert steps_towards(untracked, []) == [Create(untracked[0])]
    assert steps_towards(untracked, [known(untracked[0])]) == []
    # Late tracking: the shipment told without a package becomes the first package's; the second is new.
    assert steps_towards(tracked, [known(untracked[0])]) == [Update("x", tracked[0]), Create(tracked[1])]
    # Other contents: void, and again under a revision.
    void, again = steps_towards(fewer, [known(untracked[0])])
    assert void == Void("x")
    assert isinstance(again, Create)
    assert again.shipment.reference == "0001042-7-0000-R2"
    revised = known(again.shipment, "y")
    assert steps_towards(fewer, [known(untracked[0], void=True), revised]) == []
    assert steps_towards([], [known(untracked[0], void=True), revised]) == [Void("y")]


@given(
    before=st.lists(st.integers(0, 4), min_size=2, max_size=2),
    after=st.lists(st.integers(0, 4), min_size=2, max_size=2),
    packages=st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_after_the_steps_clarity_knows_exactly_what_shipped(
    before: list[int], after: list[int], packages: tuple[int, int]
) -> None:
    """Whatever was told first: the steps lead to the wanted shipments, a second round has none left to do."""
    store: dict[str, KnownShipment] = {}
    for quantities, count in ((before, packages[0]), (after, packages[1]), (after, packages[1])):
        boxes = [Package(PackageNo=f"{number:04d}", TrackingID=f"T{count}{number}") for number in range(1, count + 1)]
        shipped = {key: quantity for key, quantity in zip(("1", "2"), quantities, strict=True) if quantity}
        wanted = plan_shipments("10001", TWO, invoice("7", shipped, Packages=boxes), DEMO)
        steps = steps_towards(wanted, list(store.values()))
        for step in steps:
            if isinstance(step, Create):
                reference = step.shipment.reference
                assert reference not in {one.reference for one in store.values()}
                store[f"id{len(store)}"] = known(step.shipment, f"id{len(store)}")
            elif isinstance(step, Update):
                names = ("carrier", "service", "tracking_number", "tracking_url")
                values = {name: getattr(step.shipment, name) for name in names}
                store[step.id] = store[step.id].model_copy(update=values)
            else:
                store[step.id] = store[step.id].model_copy(update={"void": True})
        live = [one for one in store.values() if not one.void]
        told: dict[str, Decimal] = {}
        for one in live:
            for packed in one.lines:
                told[packed.item_id] = told.get(packed.item_id, Decimal(0)) + packed.quantity
        assert told == {item: Decimal(n) for item, n in zip("ab", quantities, strict=True) if n}
        assert sorted(one.tracking_number for one in live) == sorted(one.tracking_number for one in wanted)
    assert steps == []


def test_business_hours_cover_days_and_times() -> None:
    hours = BusinessHours(start="08:00", end="18:00")
    monday = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
    assert hours.cover(monday)
    assert not hours.cover(monday.replace(hour=18))
    assert not hours.cover(monday.replace(day=22))
