"""`create_sales_order`: exactly once, as sent, at the buyer's total, never more stock or credit than there is."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from temporalio.testing import ActivityEnvironment

from activities.sage_seats import CompanyWrites
from activities.sage_write import SageWriteActivities
from connectors.errors import AlreadyExists, Refused
from contracts.messages import CreateSalesOrder, SalesOrderCreated
from mappings.baskets import RecentBasket
from mappings.customer_match import CustomerRecord
from mappings.decisions import Decisions, StockDecision
from mappings.items import ItemFacts, WarehouseStock
from mappings.pair import Check, CheckName, HoldKept, Pair
from mappings.problems import HoldReason
from mappings.sales_order import (
    CreatedLine,
    CustomerKey,
    ExpectedTotals,
    LineOrigin,
    SageItemType,
    SalesOrder,
    SalesOrderLine,
    SalesOrderOnSage,
)

NUMBER = "0001042"
DEALER = CustomerKey(ARDivisionNo="01", CustomerNo="ABF")
HEAD_OFFICE = CustomerKey(ARDivisionNo="01", CustomerNo="HEAD")
WANTED = SalesOrder(
    UDF_WEB_ORDER_ID="10001",
    OrderDate=date(2026, 11, 25),
    ARDivisionNo="01",
    CustomerNo="ABF",
    Lines=[
        SalesOrderLine(
            origin=LineOrigin.ITEM,
            sku="DESK",
            ItemCode="DESK",
            ItemType=SageItemType.REGULAR,
            QuantityOrdered=Decimal(10),
            UnitPrice=Decimal(5),
            WarehouseCode="000",
            UDF_WEB_LINE_ID="a",
        )
    ],
)


def stored(**changes: object) -> SalesOrderOnSage:
    """The order as Sage keeps it."""
    line = CreatedLine(
        LineKey="000001",
        ItemCode="DESK",
        QuantityOrdered=Decimal(10),
        UnitPrice=Decimal(5),
        WarehouseCode="000",
        UDF_WEB_LINE_ID="a",
    )
    order = SalesOrderOnSage(
        SalesOrderNo=NUMBER,
        OrderStatus="N",
        UDF_WEB_ORDER_ID="10001",
        ARDivisionNo="01",
        CustomerNo="ABF",
        TaxableAmt=Decimal(50),
        Lines=[line],
    )
    return order.model_copy(update=changes)


@dataclass
class Gateway:
    """A gateway that keeps one order, and says what was asked of it."""

    would_be: SalesOrderOnSage = field(default_factory=stored)
    """What a preview, or a create, comes to."""
    there: SalesOrderOnSage | None = None
    said: list[str] = field(default_factory=list)

    async def next_sales_order_no(self) -> str:
        return NUMBER

    async def preview(self, order: SalesOrder) -> SalesOrderOnSage:
        self.said.append("preview")
        return self.would_be

    async def create_sales_order(self, number: str, order: SalesOrder) -> SalesOrderOnSage:
        self.said.append(f"create {order.OrderStatus}")
        if self.there is not None:
            raise AlreadyExists("Sage gateway", "POST /SO/SalesOrder", "exists", status=409)
        self.there = self.would_be.model_copy(update={"OrderStatus": order.OrderStatus})
        return self.there

    async def get_sales_order(self, number: str) -> SalesOrderOnSage | None:
        self.said.append("get")
        return self.there

    async def change_sales_order(self, number: str, columns: Mapping[str, str]) -> SalesOrderOnSage:
        self.said.append(f"change {dict(columns)}")
        assert self.there is not None
        self.there = self.there.model_copy(update=dict(columns))
        return self.there

    async def delete_sales_order(self, number: str) -> None:
        self.said.append("delete")
        self.there = None


@dataclass
class Reader:
    """Sage's tables; stock by look, the last one stays."""

    on_hand: list[int] = field(default_factory=lambda: [10])
    accounts: dict[CustomerKey, dict[str, Any]] = field(default_factory=dict)
    before: SalesOrderOnSage | None = None
    """The order before invoices took from it."""
    posted: list[str] = field(default_factory=list)
    """Invoices of the number."""
    found: list[SalesOrderOnSage] = field(default_factory=list)
    """Orders with the same purchase order number."""
    nameless: list[str] = field(default_factory=list)
    """Numbers of which Sage cannot tell whose they are."""

    async def items(self, codes: Iterable[str]) -> dict[str, ItemFacts]:
        quantity = self.on_hand.pop(0) if len(self.on_hand) > 1 else self.on_hand[0]
        stock = {"000": WarehouseStock(QuantityOnHand=Decimal(quantity))}
        return {code: ItemFacts(ItemCode=code, warehouses=stock) for code in codes}

    async def customer(self, key: CustomerKey) -> CustomerRecord | None:
        record = CustomerRecord(ARDivisionNo=key.ARDivisionNo, CustomerNo=key.CustomerNo, TermsCode="01")
        return record.model_copy(update=self.accounts.get(key, {}))

    async def recent_baskets(self, key: CustomerKey, since: datetime) -> list[RecentBasket]:
        return []

    async def before_invoices(self, live: SalesOrderOnSage) -> SalesOrderOnSage | None:
        return self.before

    async def posted_of(self, sales_order_no: str) -> list[str]:
        return self.posted

    async def sales_orders_by_purchase_order(self, customer_po_no: str) -> tuple[list[SalesOrderOnSage], list[str]]:
        return self.found, self.nameless


async def create(
    pair: Pair, gateway: Gateway, reader: Reader | None = None, company: CompanyWrites | None = None, **more: Any
) -> SalesOrderCreated:
    writer: Any = gateway
    activities = SageWriteActivities(pair, writer, writer, writer, reader or Reader(), company)
    expected = ExpectedTotals(currency="USD", tax=Decimal(0), freight=Decimal(0), grand=Decimal(50))
    request = CreateSalesOrder(pair="demo", SalesOrderNo=NUMBER, sales_order=WANTED, expected=expected, **more)
    result: SalesOrderCreated = await ActivityEnvironment().run(activities.create_sales_order, request)
    return result


def without_preview(pair: Pair) -> Pair:
    return pair.model_copy(update={"sage": pair.sage.model_copy(update={"preview": False})})


async def test_preview_then_create(pair: Pair) -> None:
    gateway = Gateway()
    result = await create(pair, gateway)
    assert result.created is not None
    assert gateway.said == ["preview", "get", "create N"]


async def test_two_pairs_of_one_company_do_not_both_take_the_last_pieces(pair: Pair) -> None:
    """Each pair looks at stock only when no other pair stands between its own look and its create."""
    company, left = CompanyWrites(writers=4), [10]

    class Shelf(Reader):
        async def items(self, codes: Iterable[str]) -> dict[str, ItemFacts]:
            self.on_hand = [left[0]]
            return await super().items(codes)

    class Slow(Gateway):
        async def create_sales_order(self, number: str, order: SalesOrder) -> SalesOrderOnSage:
            await asyncio.sleep(0)
            left[0] -= 10
            return await super().create_sales_order(number, order)

    results = await asyncio.gather(*(create(pair, Slow(), Shelf(), company) for _ in range(2)))
    assert sorted(result.hold is None for result in results) == [False, True]
    assert left == [0]


async def test_while_one_order_looks_at_stock_the_only_seat_previews_the_next_one(pair: Pair) -> None:
    """A seat is taken for each call to the gateway, never for what is read through ODBC."""
    company, looking, go_on = CompanyWrites(writers=1), asyncio.Event(), asyncio.Event()

    class Slow(Reader):
        async def items(self, codes: Iterable[str]) -> dict[str, ItemFacts]:
            looking.set()
            await go_on.wait()
            return await super().items(codes)

    class Previewed(Gateway):
        async def preview(self, order: SalesOrder) -> SalesOrderOnSage:
            if looking.is_set():
                go_on.set()
            return await super().preview(order)

    async with asyncio.timeout(20):
        first = asyncio.create_task(create(pair, Previewed(), Slow(), company))
        await looking.wait()
        second = await create(pair, Previewed(), Slow(), company)
        assert (await first).created is not None
    assert second.created is not None


async def test_one_writer_is_one_call_at_a_time(pair: Pair) -> None:
    company, calls, most = CompanyWrites(writers=1), [0], [0]

    class Counting(Gateway):
        async def counted(self) -> None:
            calls[0] += 1
            most[0] = max(most[0], calls[0])
            await asyncio.sleep(0)
            calls[0] -= 1

        async def preview(self, order: SalesOrder) -> SalesOrderOnSage:
            await self.counted()
            return await super().preview(order)

        async def get_sales_order(self, number: str) -> SalesOrderOnSage | None:
            await self.counted()
            return await super().get_sales_order(number)

        async def create_sales_order(self, number: str, order: SalesOrder) -> SalesOrderOnSage:
            await self.counted()
            return await super().create_sales_order(number, order)

    results = await asyncio.gather(*(create(pair, Counting(), Reader(), company) for _ in range(5)))
    assert [result.created is not None for result in results] == [True] * 5
    assert most == [1]


async def test_what_was_stored_otherwise_than_sent_is_held(pair: Pair) -> None:
    for change, word in (
        ({"TaxableAmt": Decimal(550)}, "total 550"),
        ({"DepositAmt": Decimal(7)}, "deposit 7"),
        ({"CustomerNo": "OTHER"}, "account 01-OTHER"),
        ({"Lines": []}, "0 lines, sent 1"),
    ):
        gateway = Gateway(there=stored(**change))
        result = await create(pair, gateway)
        assert result.created is None
        assert result.hold is HoldReason.REJECTED_BY_SAGE
        assert any(word in problem.message for problem in result.problems), result.problems


async def test_an_order_of_ours_is_read_before_it_is_created_again(pair: Pair) -> None:
    """Its own lines take the stock: a look at stock would find it short."""
    gateway = Gateway(there=stored())
    result = await create(pair, gateway, Reader(on_hand=[0]), look_first=True)
    assert result.created == stored()
    assert gateway.said == ["get"]


async def test_a_lost_answer_followed_by_a_partial_invoice_is_still_our_order(pair: Pair) -> None:
    """Rules 4: posting took quantities from the live order; what it was decides, and what it was is followed."""
    rest = stored(Lines=[stored().Lines[0].model_copy(update={"QuantityOrdered": Decimal(4)})], TaxableAmt=Decimal(20))
    result = await create(pair, Gateway(there=rest), Reader(before=stored()), look_first=True)
    assert result.created == stored()
    other = stored(TaxableAmt=Decimal(60))
    for reader in (Reader(), Reader(before=other)):
        result = await create(pair, Gateway(there=rest), reader, look_first=True)
        assert result.hold is HoldReason.REJECTED_BY_SAGE


async def test_the_history_of_a_deleted_order_keeps_its_number(pair: Pair) -> None:
    result = await create(pair, Gateway(there=stored(live=False, OrderStatus="X")))
    assert (result.number_taken, result.number_used) == (True, True)
    result = await create(pair, Gateway(there=stored(UDF_WEB_ORDER_ID="other")))
    assert result.number_taken


async def test_an_order_written_over_in_the_last_moment_is_held(pair: Pair) -> None:
    """Somebody takes the number between the look and the create, and a careless gateway opens that order."""

    class Careless(Gateway):
        async def create_sales_order(self, number: str, order: SalesOrder) -> SalesOrderOnSage:
            [line] = self.would_be.Lines
            both = [line.model_copy(update={"LineKey": key}) for key in ("000001", "000002")]
            self.there = self.would_be.model_copy(update={"Lines": both, "TaxableAmt": Decimal(100)})
            return self.there

    result = await create(pair, Careless())
    assert (result.created, result.hold) == (None, HoldReason.REJECTED_BY_SAGE)
    assert "2 lines, sent 1" in result.problems[0].message


async def test_a_number_under_which_somebody_else_was_invoiced_is_taken(pair: Pair) -> None:
    """Without order history nothing but the invoice is left, and Sage would take the number again."""
    gateway = Gateway()
    result = await create(pair, gateway, Reader(posted=["0100001"]))
    assert (result.number_taken, gateway.there) == (True, None)


async def test_an_order_of_which_only_an_invoice_is_left_is_never_created_again(pair: Pair) -> None:
    gateway, reader = Gateway(), Reader(posted=["0100001"], nameless=[NUMBER])
    for look_first in (True, False):
        result = await create(pair, gateway, reader, look_first=look_first)
        assert (result.hold, result.check, result.unread) == (HoldReason.ANOMALY, "invoiced_before_read_back", True)
        assert "0100001" in result.problems[0].message
    decisions = Decisions().approve(result.finding.approvals)
    result = await create(pair, gateway, reader, look_first=True, decisions=decisions)
    assert (gateway.there, result.unread) == (None, True)
    assert result.created is not None
    assert result.created.live is False
    assert [(line.LineKey, line.QuantityOrdered) for line in result.created.Lines] == [("000001", Decimal(10))]


async def test_without_history_an_order_that_was_partly_invoiced_is_shown_to_a_person(pair: Pair) -> None:
    rest = stored(Lines=[stored().Lines[0].model_copy(update={"QuantityOrdered": Decimal(4)})])
    result = await create(pair, Gateway(there=rest), Reader(posted=["0100001"]), look_first=True)
    assert (result.hold, result.check) == (HoldReason.ANOMALY, "partly_invoiced")
    decisions = Decisions().approve(result.finding.approvals)
    result = await create(pair, Gateway(there=rest), Reader(posted=["0100001"]), look_first=True, decisions=decisions)
    assert result.created is not None
    assert [line.QuantityOrdered for line in result.created.Lines] == [Decimal(10)]


async def test_a_history_that_does_not_say_whose_an_order_was_is_asked_about(pair: Pair) -> None:
    """A site that does not map UDF_WEB_ORDER_ID into history: our order, invoiced in full, is no stranger's."""
    site = pair.model_copy(update={"sage": pair.sage.model_copy(update={"history_has_udf": False})})
    gone = stored(live=False, OrderStatus="C", UDF_WEB_ORDER_ID="")
    result = await create(site, Gateway(there=gone), look_first=True)
    assert (result.hold, result.check) == (HoldReason.ANOMALY, "invoiced_before_read_back")
    for other in (stored(UDF_WEB_ORDER_ID=""), stored(live=False, UDF_WEB_ORDER_ID="", CustomerPONo="another")):
        assert (await create(site, Gateway(there=other), look_first=True)).number_taken
    assert (await create(pair, Gateway(there=gone), look_first=True)).number_taken


async def test_an_order_of_ours_under_another_number_is_taken_up(pair: Pair) -> None:
    """The workflow was ended or set back while an earlier create was under way."""
    other = stored(SalesOrderNo="0001041")
    gateway = Gateway()
    assert (await create(pair, gateway, Reader(found=[other]))).elsewhere == "0001041"
    assert gateway.there is None
    for none in (
        stored(SalesOrderNo="0001041", UDF_WEB_ORDER_ID="other"),
        stored(SalesOrderNo="0001041", live=False, OrderStatus="X"),
    ):
        assert (await create(pair, Gateway(), Reader(found=[none]))).created is not None
    assert (await create(pair, Gateway(), Reader(found=[other]), deleted=["0001041"])).created is not None


async def test_stock_that_was_gone_after_the_create_is_told(pair: Pair) -> None:
    result = await create(pair, Gateway(), Reader(on_hand=[10, -4]))
    assert result.created is not None
    assert [problem.field for problem in result.short_after] == ["IM_ItemWarehouse.DESK.000"]
    assert (await create(pair, Gateway(), Reader(on_hand=[10, 0]))).short_after == []
    # Back-ordered on purpose: 4 are there, 10 ordered, 6 wait from the start.
    decisions = Decisions(stock=StockDecision.SHIP_AVAILABLE)
    assert (await create(pair, Gateway(), Reader(on_hand=[4, -6]), decisions=decisions)).short_after == []
    assert (await create(pair, Gateway(), Reader(on_hand=[4, -7]), decisions=decisions)).short_after


async def test_credit_is_that_of_the_account_that_sage_bills(pair: Pair) -> None:
    billed = stored(BillToDivisionNo="01", BillToCustomerNo="HEAD")
    limit = {"CreditLimit": Decimal(10)}
    result = await create(pair, Gateway(billed), Reader(accounts={HEAD_OFFICE: limit}))
    assert result.hold is HoldReason.CREDIT
    assert result.problems[0].field == "AR_Customer.01-HEAD.CreditLimit"
    assert (await create(pair, Gateway(billed), Reader(accounts={DEALER: limit}))).created is not None
    own = stored(BillToDivisionNo="01", BillToCustomerNo="ABF")
    assert (await create(pair, Gateway(own), Reader(accounts={DEALER: limit}))).hold is HoldReason.CREDIT


async def test_an_account_with_a_bill_to_is_for_signed_in_buyers(pair: Pair) -> None:
    billed = stored(BillToDivisionNo="01", BillToCustomerNo="HEAD")
    gateway = Gateway(billed)
    result = await create(pair, gateway, authenticated=False)
    assert result.hold is HoldReason.CUSTOMER_REVIEW
    assert gateway.there is None
    gateway = Gateway(billed)
    result = await create(without_preview(pair), gateway, authenticated=False)
    assert (result.hold, result.number_used, gateway.there) == (HoldReason.CUSTOMER_REVIEW, True, None)


async def test_without_preview_credit_is_looked_at_when_it_is_known_whom_sage_bills(pair: Pair) -> None:
    gateway = Gateway(stored(BillToDivisionNo="01", BillToCustomerNo="HEAD"))
    reader = Reader(accounts={HEAD_OFFICE: {"CreditHold": True}})
    result = await create(without_preview(pair), gateway, reader)
    assert (result.hold, result.number_used, gateway.there) == (HoldReason.CREDIT, True, None)


# ---- a site whose gateway has no preview (rules 4) ------------------------------------------------------------------


async def test_without_preview_an_order_is_created_on_hold_and_released_when_totals_agree(pair: Pair) -> None:
    gateway = Gateway()
    result = await create(without_preview(pair), gateway)
    assert result.created is not None
    assert result.created.OrderStatus == "N"
    assert gateway.said == ["get", "create H", "change {'OrderStatus': 'N'}"]


async def test_without_preview_an_order_at_another_total_is_deleted_again(pair: Pair) -> None:
    gateway = Gateway(stored(TaxableAmt=Decimal("50.01")))
    result = await create(without_preview(pair), gateway)
    assert (result.hold, result.number_used) == (HoldReason.TOTAL_MISMATCH, True)
    assert result.difference == Decimal("0.01")
    assert gateway.said == ["get", "create H", "delete"]
    assert gateway.there is None


async def test_without_preview_a_lost_answer_goes_on_where_it_was(pair: Pair) -> None:
    gateway = Gateway(there=stored(OrderStatus="H"))
    result = await create(without_preview(pair), gateway, look_first=True)
    assert result.created is not None
    assert gateway.said == ["get", "change {'OrderStatus': 'N'}"]
    gateway = Gateway(there=stored(OrderStatus="H", TaxableAmt=Decimal(49)))
    result = await create(without_preview(pair), gateway, look_first=True)
    assert (result.hold, result.number_used) == (HoldReason.TOTAL_MISMATCH, True)
    # Released before the answer was lost: nothing is left to do.
    gateway = Gateway(there=stored())
    assert (await create(without_preview(pair), gateway, look_first=True)).created is not None
    assert gateway.said == ["get"]


async def test_without_preview_what_sage_refuses_leaves_the_order_there_and_says_so(pair: Pair) -> None:
    class Stubborn(Gateway):
        async def change_sales_order(self, number: str, columns: Mapping[str, str]) -> SalesOrderOnSage:
            raise Refused("Sage gateway", "PATCH", "no permission", status=422, field="OrderStatus")

        async def delete_sales_order(self, number: str) -> None:
            raise Refused("Sage gateway", "DELETE", "no permission", status=422)

    for would_be in (stored(), stored(TaxableAmt=Decimal(49))):
        gateway = Stubborn(would_be)
        result = await create(without_preview(pair), gateway)
        assert (result.hold, result.number_used) == (HoldReason.REJECTED_BY_SAGE, False)
        assert "stands in Sage on hold" in result.problems[0].message
        assert gateway.there is not None


async def test_without_preview_a_lost_answer_releases_nothing_that_a_check_keeps_in_sage(pair: Pair) -> None:
    kept = Check(name=CheckName.CREDIT, on_fail=HoldReason.CREDIT, keep=HoldKept.IN_SAGE)
    gateway = Gateway(there=stored(OrderStatus="H"))
    reader = Reader(accounts={DEALER: {"CreditHold": True}})
    result = await create(without_preview(pair), gateway, reader, look_first=True, checks=[kept])
    assert result.created is not None
    assert result.created.OrderStatus == "H"
    assert result.held_in_sage
    assert gateway.said == ["get"]


async def test_without_preview_an_order_stored_otherwise_than_sent_stays_on_hold(pair: Pair) -> None:
    gateway = Gateway(there=stored(OrderStatus="H", DepositAmt=Decimal(7)))
    result = await create(without_preview(pair), gateway, look_first=True)
    assert result.hold is HoldReason.REJECTED_BY_SAGE
    assert gateway.said == ["get"]


async def test_payment_is_the_business_of_the_account_that_orders(pair: Pair) -> None:
    """Its bill-to may have prepaid terms, or none that can be read."""
    billed = stored(BillToDivisionNo="01", BillToCustomerNo="HEAD")
    payment = Check(name=CheckName.PAYMENT, on_fail=HoldReason.CREDIT)
    reader = Reader(accounts={HEAD_OFFICE: {"TermsCode": "00"}})
    assert (await create(pair, Gateway(billed), reader, checks=[payment])).created is not None


async def test_without_preview_the_order_itself_counts_once_against_the_limit(pair: Pair) -> None:
    """Sage counts it in OpenOrderAmt as soon as it is created."""
    credit = Check(name=CheckName.CREDIT, on_fail=HoldReason.CREDIT)
    gateway = Gateway(there=stored(OrderStatus="H"))
    owes = {"CreditLimit": Decimal(80), "OpenOrderAmt": Decimal(50)}
    result = await create(
        without_preview(pair), gateway, Reader(accounts={DEALER: owes}), look_first=True, checks=[credit]
    )
    assert result.created is not None
    owes = {"CreditLimit": Decimal(80), "OpenOrderAmt": Decimal(81)}
    gateway = Gateway(there=stored(OrderStatus="H"))
    result = await create(
        without_preview(pair), gateway, Reader(accounts={DEALER: owes}), look_first=True, checks=[credit]
    )
    assert (result.hold, gateway.there) == (HoldReason.CREDIT, None)
