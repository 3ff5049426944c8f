"""Going live: which sales order is which web order's, which line which item's, and what Clarity was told by hand."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import date
from decimal import Decimal
from io import StringIO
from typing import Any, cast

import pytest
from rich.console import Console
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import ActivityEnvironment

from activities.adoption import AdoptionActivities
from activities.golive import GoLiveActivities
from activities.intake import IntakeResult
from activities.sage_read import SageReadActivities
from connectors.clarity.client import ClarityClient
from connectors.errors import NotFound, Refused, ShadowMode
from connectors.sage100.item_catalogue import ItemCatalogue
from connectors.sage100.match_index import MatchIndex
from connectors.sage100.odbc import SageReader
from contracts.golive import Adopted, AdoptedOrders, AdoptOrders, GoLiveResult, LinkSalesOrder, SalesOrderLinked
from contracts.ids import go_live_look_id
from contracts.messages import FactsRequest
from mappings.canonical import Shipment, ShippedLine
from mappings.customer_match import CustomerRecord
from mappings.golive import MatchState, OpenMatch, OpenWebOrder, link_lines, match_open, once_each, read_named
from mappings.items import AliasFacts, ItemFacts
from mappings.order_change import EnteredOrder, LineChange
from mappings.packages import KnownShipment, entered_by_hand
from mappings.pair import Mode, Pair
from mappings.sales_order import (
    CreatedLine,
    CustomerSearch,
    LineOrigin,
    SageFacts,
    SageItemType,
    SalesOrder,
    SalesOrderLine,
    SalesOrderOnSage,
)
from mappings.shadow import TypedOrder
from mappings.transform import transform
from tests.unit.conftest import sample
from workers.golive import in_words, show

WEB = OpenWebOrder(order_id="10001", number="W-10001", created=date(2026, 11, 24), total=Decimal(50), currency="USD")
NUMBER = "0000042"
CENT = Decimal("0.01")
CHOSEN = (MatchState.MATCHED, MatchState.ALREADY_SHIPPED)


def typed(number: str = NUMBER, **changes: Any) -> TypedOrder:
    order = TypedOrder(SalesOrderNo=number, OrderStatus="N", CustomerPONo="W-10001", TaxableAmt=Decimal(50))
    return order.model_copy(update=changes)


@pytest.mark.parametrize(
    ("found", "named", "state", "why"),
    [
        ([typed()], "", MatchState.MATCHED, "CustomerPONo W-10001"),
        ([typed(CustomerPONo="PHONE")], NUMBER, MatchState.MATCHED, "named in the file"),
        # The same number proves nothing: a wholesale customer's own, years ago or of another order.
        ([typed(OrderDate=date(2026, 11, 23))], "", MatchState.MATCHED, "CustomerPONo W-10001"),
        ([typed(OrderDate=date(2026, 2, 10))], "", MatchState.AMBIGUOUS, "entered on 2026-02-10, before the checkout"),
        ([typed(OrderDate=date(2026, 2, 10)), typed("0000043")], "", MatchState.MATCHED, "CustomerPONo"),
        ([typed(TaxableAmt=Decimal(9999))], "", MatchState.AMBIGUOUS, "9,999.00 in Sage, 50.00 USD at Clarity"),
        ([typed(TaxableAmt=Decimal("49.99"))], "", MatchState.MATCHED, "49.99 in Sage, 50.00 USD at Clarity"),
        (
            [typed(TaxableAmt=Decimal(49), OrderDate=date(2026, 2, 10))],
            NUMBER,
            MatchState.MATCHED,
            "named in the file; 49.00 in Sage, 50.00 USD at Clarity",
        ),
        ([typed(TaxableAmt=Decimal(49), UDF_WEB_ORDER_ID="10001")], "", MatchState.MATCHED, "49.00 in Sage"),
        ([typed(UDF_WEB_ORDER_ID="10001")], "", MatchState.MATCHED, "CustomerPONo"),
        ([typed(), typed("0000043")], "", MatchState.AMBIGUOUS, "0000042, 0000043 carry its number"),
        ([typed(UDF_WEB_ORDER_ID="10002")], "", MatchState.AMBIGUOUS, "found only 0000042 (of web order 10002)"),
        ([typed(live=False, OrderStatus="X")], "", MatchState.AMBIGUOUS, "found only 0000042 (deleted)"),
        ([], "", MatchState.UNMATCHED, "no sales order carries its number"),
        ([], "0009999", MatchState.UNMATCHED, "Sage has no sales order 0009999"),
        ([typed(live=False, OrderStatus="C")], "", MatchState.ALREADY_SHIPPED, "CustomerPONo"),
        ([typed(OrderStatus="C")], "", MatchState.ALREADY_SHIPPED, "CustomerPONo"),
    ],
)
def test_an_open_web_order_is_matched_only_when_it_is_sure(
    found: list[TypedOrder], named: str, state: MatchState, why: str
) -> None:
    match = match_open(WEB, found, named, [], CENT)
    assert match.state is state
    assert why in match.why
    assert match.SalesOrderNo == (found[-1].SalesOrderNo if state in CHOSEN else "")


def test_orders_that_have_a_workflow_or_wait_at_clarity_are_left_alone() -> None:
    assert match_open(WEB.model_copy(update={"followed": True}), [typed()], "", [], CENT).state is MatchState.FOLLOWED
    waiting = WEB.model_copy(update={"waiting": True, "status": "On Hold"})
    assert match_open(waiting, [typed()], "", [], CENT).why == "is On Hold at Clarity"


def test_one_sales_order_is_never_two_web_orders() -> None:
    def matched(order_id: str, number: str) -> OpenMatch:
        return OpenMatch(
            order_id=order_id, number=order_id, created=WEB.created, state=MatchState.MATCHED, SalesOrderNo=number
        )

    first, second, third = once_each([matched("1", NUMBER), matched("2", NUMBER), matched("3", "0000043")])
    assert [one.state for one in (first, second, third)] == [
        MatchState.AMBIGUOUS, MatchState.AMBIGUOUS, MatchState.MATCHED
    ]  # fmt: skip
    assert (first.SalesOrderNo, first.why) == ("", "sales order 0000042 would be that of 1 and 2")


def test_the_file_is_read_as_spreadsheets_save_it() -> None:
    content = "\ufeffClarityOrderID;SalesOrderNo;Note\r\n10001;42;x\r\n;;\r\n10002;A000043;\r\n"
    assert read_named(content.encode(), "orders.csv") == {"10001": NUMBER, "10002": "A000043"}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"Order,SalesOrderNo\n1,2\n", r"orders.csv:1: has no column ClarityOrderID"),
        (b"ClarityOrderID,SalesOrderNo\n10001,\n", r"orders.csv:2: '10001', '' is no web order"),
        (b"ClarityOrderID,SalesOrderNo\n10001,12345678\n", r"orders.csv:2: "),
        (b"ClarityOrderID,SalesOrderNo\n1,42\n1,43\n", r"orders.csv:3: web order 1 is named twice"),
        (b"\xff\xfe\x00", r"orders.csv: is no text in UTF-8"),
        (b"", r"orders.csv:1: has no column"),
    ],
)
def test_a_wrong_file_is_refused_by_file_and_line(content: bytes, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        read_named(content, "orders.csv")


def test_a_look_is_joined_only_by_the_same_question() -> None:
    day, named = date(2026, 6, 1), {"10001": NUMBER, "10002": "0000043"}
    look = go_live_look_id("demo", day, named)
    assert look.startswith("golive-demo-look-")
    assert go_live_look_id("demo", day, dict(reversed(named.items()))) == look
    others = [
        go_live_look_id("demo", date(2026, 6, 2), named),
        go_live_look_id("demo", day, {}),
        go_live_look_id("demo", day, named | {"10002": "0000044"}),
    ]
    assert len({look, *others}) == 4


# ---- lines ----------------------------------------------------------------------------------------------------------


def item(id_: str, code: str = "DESK", quantity: int = 2) -> SalesOrderLine:
    return SalesOrderLine(
        origin=LineOrigin.ITEM,
        sku=code.lower(),
        ItemCode=code,
        ItemType=SageItemType.REGULAR,
        QuantityOrdered=Decimal(quantity),
        UDF_WEB_LINE_ID=id_,
    )


def line(key: str, code: str = "DESK", quantity: int = 2, **more: Any) -> CreatedLine:
    return CreatedLine(LineKey=key, ItemCode=code, QuantityOrdered=Decimal(quantity), **more)


def order_of(*lines: SalesOrderLine) -> SalesOrder:
    return SalesOrder(UDF_WEB_ORDER_ID="10001", OrderDate=date(2026, 11, 24), Lines=list(lines))


def test_lines_stand_for_items_by_code_and_quantity() -> None:
    wanted = order_of(item("a"), item("b", quantity=5), item("c", "LAMP"))
    links, remarks = link_lines(wanted, [line("1", quantity=5), line("2"), line("3", "LAMP", 3)])
    assert (links, remarks) == ({"1": "b", "2": "a", "3": "c"}, [])


def test_a_line_that_people_split_stands_for_one_item() -> None:
    links, remarks = link_lines(order_of(item("a", quantity=5)), [line("1", quantity=3), line("2"), line("3")])
    assert links == {"1": "a", "2": "a"}
    assert remarks == ["line 3 (DESK) is none of the web order's items"]


@pytest.mark.parametrize(
    ("typed_lines", "expected"),
    [
        # One line for both: whoever ships of it, nobody knows of which item.
        ([line("1", quantity=5)], {}),
        ([line("1", quantity=4), line("2", quantity=1)], {}),
        ([line("1", quantity=1), line("2", quantity=1), line("3", quantity=3)], {"1": "a", "2": "a", "3": "b"}),
        ([line("1", quantity=1), line("2", quantity=1), line("3", quantity=1), line("4")],
         {"4": "a", "1": "b", "2": "b", "3": "b"}),
        # One of them was forgotten, or its quantity changed.
        ([line("1")], {"1": "a"}),
        ([line("1"), line("2", quantity=4)], {"1": "a", "2": "b"}),
    ],
)  # fmt: skip
def test_a_line_never_stands_for_several_items(typed_lines: list[CreatedLine], expected: dict[str, str]) -> None:
    links, remarks = link_lines(order_of(item("a"), item("b", quantity=3)), typed_lines)
    assert links == expected
    assert len(remarks) == len({"a", "b"} - set(expected.values())) + len(typed_lines) - len(expected)


def test_what_people_typed_otherwise_is_said_and_what_is_linked_stays() -> None:
    wanted = order_of(item("a"), item("b", "LAMP"))
    typed_lines = [
        line("1", UDF_WEB_LINE_ID="a"),
        line("2", "CHAIR"),
        line("3", "LEG", SalesKitLineKey="2"),
        line("4", "/C", ItemType=SageItemType.COMMENT),
    ]
    links, remarks = link_lines(wanted, typed_lines)
    assert links == {"1": "a"}
    assert remarks == [
        "item b (lamp) has no line of its own in Sage", "line 2 (CHAIR) is none of the web order's items"
    ]  # fmt: skip


class Company:
    """Sage, in which an invoice alone knows the purchase order number; no account is like the buyer's."""

    async def sales_orders_by_purchase_order(self, *_: str) -> tuple[list[SalesOrderOnSage], list[str]]:
        return [], ["0000007"]

    async def aliases(self, _: Iterable[str]) -> list[AliasFacts]:
        return []

    async def items(self, codes: Iterable[str]) -> dict[str, ItemFacts]:
        return {code: ItemFacts(ItemCode=code, ItemType="1") for code in codes}

    async def payment_method(self, _: str) -> str:
        return "O"

    async def refresh(self, *, force: bool) -> None: ...

    async def candidates(self, _: CustomerSearch) -> list[CustomerRecord]:
        return []


async def test_the_lines_of_a_typed_order_are_known_under_a_number_that_was_invoiced_before(pair: Pair) -> None:
    draft = transform(sample("02-known-web-customer"), pair).draft
    assert draft is not None
    company = Company()
    activities = SageReadActivities(
        pair, cast(SageReader, company), cast(MatchIndex, company), cast(ItemCatalogue, company)
    )

    async def look(adopts: str) -> SageFacts:
        request = FactsRequest(pair="demo", draft=draft, adopts=adopts)
        facts: SageFacts = await ActivityEnvironment().run(activities.read_sage_facts, request)
        return facts

    assert [one.check for one in (await look("")).findings] == ["invoiced_before"]
    (wanted,) = [one for one in (await look(NUMBER)).sales_order.Lines if one.origin is LineOrigin.ITEM]
    assert wanted.ItemCode == wanted.sku.upper()
    typed_line = line("000001", wanted.ItemCode, int(wanted.QuantityOrdered))
    assert link_lines(order_of(wanted), [typed_line])[0] == {"000001": wanted.UDF_WEB_LINE_ID}


async def test_a_typed_order_is_linked_by_the_items_that_are_known(pair: Pair) -> None:
    """One SKU that Sage does not know leaves the other lines their items."""

    class Lacking(Company):
        async def items(self, codes: Iterable[str]) -> dict[str, ItemFacts]:
            return {code: item for code, item in (await super().items(codes)).items() if code != "LAMP-LED-01"}

        async def catalogue(self) -> None:
            """Sage does not tell in time."""

    draft = transform(sample("01-consumer-new"), pair).draft
    assert draft is not None
    company = Lacking()
    activities = SageReadActivities(
        pair, cast(SageReader, company), cast(MatchIndex, company), cast(ItemCatalogue, company)
    )
    request = FactsRequest(pair="demo", draft=draft, adopts=NUMBER)
    facts: SageFacts = await ActivityEnvironment().run(activities.read_sage_facts, request)
    assert "LAMP-LED-01" in [code for finding in facts.findings for code in finding.items]
    desk, lamp = (one for one in facts.sales_order.Lines if one.origin is LineOrigin.ITEM)
    typed_lines = [line("1", "DESK-OAK-120", int(desk.QuantityOrdered)), line("2", "LAMP-LED-01", 1)]
    links, remarks = link_lines(facts.sales_order, typed_lines)
    assert links == {"1": desk.UDF_WEB_LINE_ID}
    assert any(lamp.sku in remark for remark in remarks)


class Sage:
    """A gateway and a reader over one order."""

    def __init__(self, order: SalesOrderOnSage | None, error: Refused | None = None) -> None:
        self.order, self.error = order, error
        self.edits: list[tuple[dict[str, str], list[LineChange]]] = []

    async def sales_order(self, number_: str) -> SalesOrderOnSage | None:
        return self.order

    async def preview(self, order: SalesOrder) -> SalesOrderOnSage:
        raise NotImplementedError

    async def read_sales_order(self, number: str) -> EnteredOrder | None:
        raise NotImplementedError

    async def delete_sales_order(self, number: str) -> None:
        raise NotImplementedError

    async def edit_sales_order(
        self, number: str, columns: Mapping[str, str], lines: Iterable[LineChange] = ()
    ) -> EnteredOrder:
        self.edits.append((dict(columns), list(lines)))
        if self.error is not None:
            raise self.error
        return EnteredOrder(order=self.order or SalesOrderOnSage())


async def link(pair: Pair, sage: Sage) -> SalesOrderLinked:
    activities = AdoptionActivities(pair, sage, sage, asyncio.Semaphore(1))
    request = LinkSalesOrder(pair="demo", SalesOrderNo=NUMBER, sales_order=order_of(item("a")))
    answer: SalesOrderLinked = await ActivityEnvironment().run(activities.link_sales_order, request)
    return answer


def on_sage(**changes: Any) -> SalesOrderOnSage:
    return SalesOrderOnSage(SalesOrderNo=NUMBER, OrderStatus="N", Lines=[line("000001")]).model_copy(update=changes)


async def test_the_link_writes_the_ids_of_a_created_order_once(pair: Pair) -> None:
    sage = Sage(on_sage())
    answer = await link(pair, sage)
    assert sage.edits == [
        ({"UDF_WEB_ORDER_ID": "10001"}, [LineChange(LineKey="000001", columns={"UDF_WEB_LINE_ID": "a"})])
    ]
    assert answer.order is not None
    assert answer.order.Lines[0].UDF_WEB_LINE_ID == "a"
    again = Sage(answer.order)
    assert (await link(pair, again)).order == answer.order
    assert again.edits == []


async def test_an_order_that_sage_does_not_let_change_is_followed_all_the_same(pair: Pair) -> None:
    refusal = Refused("Sage gateway", "PATCH", "Invoice 0100001 is not posted yet.", status=422)
    answer = await link(pair, Sage(on_sage(), refusal))
    assert answer.order is not None
    assert answer.order.UDF_WEB_ORDER_ID == "10001"
    assert "Invoice 0100001 is not posted yet." in answer.remarks[0]
    with pytest.raises(ShadowMode):
        await link(pair, Sage(on_sage(), ShadowMode("Sage gateway", "PATCH")))


@pytest.mark.parametrize(
    ("order", "why"),
    [
        (None, "Sage has no sales order 0000042"),
        (on_sage(UDF_WEB_ORDER_ID="10002"), "is that of another web order (10002)"),
        (on_sage(live=False, OrderStatus="X"), "was deleted in Sage"),
    ],
)
async def test_an_order_that_cannot_be_the_web_orders_is_not_touched(
    pair: Pair, order: SalesOrderOnSage | None, why: str
) -> None:
    sage = Sage(order)
    answer = await link(pair, sage)
    assert answer.order is None
    assert why in answer.problems[0].message
    assert sage.edits == []


async def test_a_worker_that_is_in_shadow_mode_still_starts_nothing(pair: Pair) -> None:
    shadow = pair.model_copy(update={"mode": Mode.SHADOW})
    activities = GoLiveActivities(shadow, {}, cast(ClarityClient, None), cast(Client, None))
    request = AdoptOrders(pair="demo", orders={"10001": NUMBER})
    (one,) = (await ActivityEnvironment().run(activities.adopt_orders, request)).orders
    assert (one.result, one.order_id) == ("not_started", "10001")
    assert in_words([one]) == [f"10001 with {NUMBER}: not_started, {one.detail}"]


class Store:
    """Gives each order, or refuses it."""

    async def get_order(self, order_id: str) -> dict[str, Any]:
        if order_id == "403":
            raise Refused("Clarity", "GET order", "Maria may not be read", status=403)
        if order_id == "404":
            raise NotFound("Clarity", "GET order", "no", status=404)
        if order_id == "shadow":
            raise ShadowMode("Clarity", "GET order")
        return {"id": order_id, "notes": "x" * 1_100_000 if order_id == "large" else ""}


class Temporal:
    """Nobody follows a sales order."""

    async def list_workflows(self, query: str) -> AsyncIterator[Any]:
        for run in list[Any]():
            yield run


class Starts:
    """Stands in for the intake."""

    answers: Mapping[str, RPCStatusCode] = {
        "strange": RPCStatusCode.INVALID_ARGUMENT,
        "away": RPCStatusCode.UNAVAILABLE,
    }

    def __init__(self, *_: Any) -> None: ...

    async def take(self, payload: dict[str, Any], *_: Any, **__: Any) -> tuple[IntakeResult, str]:
        if (status := self.answers.get(payload["data"]["id"])) is not None:
            raise RPCError("Maria is no argument", status, b"")
        return IntakeResult.STARTED, ""


async def adopted(pair: Pair, *order_ids: str) -> list[Adopted]:
    activities = GoLiveActivities(pair, {}, cast(ClarityClient, Store()), cast(Client, Temporal()))
    orders = {order_id: f"{number:07d}" for number, order_id in enumerate(order_ids)}
    done: AdoptedOrders = await ActivityEnvironment().run(
        activities.adopt_orders, AdoptOrders(pair="demo", orders=orders)
    )
    return done.orders


async def test_an_order_that_cannot_be_started_keeps_none_behind_it(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.golive.Intake", Starts)
    done = await adopted(pair, "403", "404", "strange", "large", "1")
    assert [(one.order_id, one.result) for one in done] == [
        ("403", "not_started"),
        ("404", "not_found"),
        ("strange", "not_started"),
        ("large", "not_started"),
        ("1", "started"),
    ]
    assert done[0].detail == "Clarity refuses to give it (status 403)"
    assert "Maria" not in "".join(one.detail for one in done)
    # What stops all of them stops the run, which is tried again.
    with pytest.raises(RPCError):
        await adopted(pair, "away", "1")
    with pytest.raises(ShadowMode):
        await adopted(pair, "shadow", "1")


def test_orders_that_were_not_seen_are_said() -> None:
    written = StringIO()
    show(GoLiveResult(unseen=3), Console(file=written, width=200))
    assert "3 of them were not seen. Run golive once more." in written.getvalue()


# ---- what people entered at Clarity ---------------------------------------------------------------------------------


def shipment(tracking: str = "", quantity: int = 2) -> Shipment:
    lines = [ShippedLine(item_id="a", quantity=Decimal(quantity))]
    return Shipment(order_id="1", reference=f"0000042-01-{tracking}", tracking_number=tracking, lines=lines)


def entered(id_: str, tracking: str = "", quantity: int = 2) -> KnownShipment:
    lines = [ShippedLine(item_id="a", quantity=Decimal(quantity))]
    return KnownShipment(id=id_, reference="", tracking_number=tracking, lines=lines)


@pytest.mark.parametrize(
    ("wanted", "known", "found", "left"),
    [
        ([shipment("1Z 999")], [entered("x", "1z999", 9)], ["x"], 0),
        ([shipment("1Z1")], [entered("x", "1Z2")], [], 1),
        ([shipment("1Z1")], [entered("x")], ["x"], 0),
        ([shipment()], [entered("x", "1Z1")], ["x"], 0),
        ([shipment("1Z1")], [entered("x", quantity=1)], [], 1),
        ([shipment("1Z1"), shipment("1Z2")], [entered("x")], ["x"], 1),
        ([shipment("1Z1"), shipment("1Z2")], [entered("x", "1Z2"), entered("y", "1Z1")], ["y", "x"], 0),
    ],
)
def test_what_people_entered_at_clarity_is_not_told_again(
    wanted: list[Shipment], known: list[KnownShipment], found: list[str], left: int
) -> None:
    by_hand, rest = entered_by_hand(wanted, known)
    assert ([one.id for one in by_hand], len(rest)) == (found, left)
