"""Which account, which item, and whether the order may go on (rules 5 to 7)."""

from datetime import date, datetime
from decimal import Decimal

import pytest

from mappings.baskets import RecentBasket
from mappings.checks import compare_totals, net_prices, routed, run_checks, same_order
from mappings.customer_match import CustomerRecord, EmailSource, comparable, match_customer, match_key
from mappings.decisions import Decisions, Side, StockDecision
from mappings.facts import facts_from
from mappings.items import AliasFacts, ItemFacts, ItemLookup, Unresolved, WarehouseStock
from mappings.pair import Check, CheckName, Pair, PaymentAccepted
from mappings.problems import HoldReason
from mappings.sales_order import (
    CreatedLine,
    CustomerDecision,
    CustomerKey,
    CustomerSearch,
    Draft,
    ExpectedTotals,
    LineOrigin,
    NewCustomer,
    SageItemType,
    SalesOrder,
    SalesOrderLine,
    SalesOrderOnSage,
)
from mappings.transform import transform
from tests.unit.conftest import sample


def buyer(**changes: object) -> CustomerSearch:
    search = CustomerSearch(
        email="ann@example.com",
        bill_to_name="Ann Smith",
        bill_to_line1="1 Main Street",
        bill_to_postal_code="75001",
        fully_captured=True,
        match_key="k",
        new_customer=NewCustomer(ARDivisionNo="02", CustomerName="Ann Smith"),
    )
    return search.model_copy(update=changes)


def account(**changes: object) -> CustomerRecord:
    record = CustomerRecord(
        ARDivisionNo="02",
        CustomerNo="W1",
        CustomerName="Ann Smith",
        AddressLine1="1 Main Street",
        ZipCode="75001",
        EmailAddress="other@example.com; Ann@Example.com",
        TermsCode="00",
    )
    return record.model_copy(update=changes)


DEALER = account(
    ARDivisionNo="01", CustomerNo="ABF", CustomerName="ABF", AddressLine1="9 Dock", TermsCode="01", PriceLevel="2"
)


def test_nobody_known_means_a_new_customer(pair: Pair) -> None:
    assert match_customer(buyer(), [], pair).decision is CustomerDecision.CREATE
    stranger = account(CustomerName="Ben Hill", AddressLine1="7 Other Road", ZipCode="10001")
    assert match_customer(buyer(email=""), [stranger], pair).decision is CustomerDecision.CREATE


def test_email_and_name_or_address_on_a_consumer_account_match(pair: Pair) -> None:
    for search in (
        buyer(),
        buyer(bill_to_name="Ann Other"),
        buyer(bill_to_line1="elsewhere"),
        buyer(bill_to_name="ANN  SMITH."),
    ):
        match = match_customer(search, [account()], pair)
        assert (match.decision, match.customer) == (
            CustomerDecision.MATCHED,
            CustomerKey(ARDivisionNo="02", CustomerNo="W1"),
        )


@pytest.mark.parametrize(
    ("search", "records", "reason"),
    [
        (buyer(), [DEALER.model_copy(update={"EmailAddress": "ann@example.com"})], "no consumer account"),
        (buyer(), [account(TermsCode="01")], "other terms"),
        (buyer(), [account(PriceLevel="3")], "price level"),
        (buyer(), [account(TaxExemptNo="E1")], "tax exemption"),
        (buyer(fully_captured=False), [account()], "not paid in full"),
        (buyer(bill_to_name="B", bill_to_line1="elsewhere"), [account()], "neither bill-to name nor address"),
        (buyer(), [account(), account(CustomerNo="W2")], "2 accounts"),
        (buyer(), [account(CustomerStatus="I")], "inactive"),
        (
            buyer(),
            [DEALER.model_copy(update={"EmailAddress": "", "other_emails": {"ann@example.com": EmailSource.SHIP_TO}})],
            "on its ship-to",
        ),
        (
            buyer(),
            [DEALER.model_copy(update={"EmailAddress": "", "other_emails": {"ann@example.com": EmailSource.CONTACT}})],
            "on its contact",
        ),
        (buyer(account_no="01-NONE", clarity_id="7"), [], "not in Sage"),
        (buyer(account_no="01-ABF", clarity_id="7"), [DEALER.model_copy(update={"CustomerStatus": "I"})], "inactive"),
        (buyer(customer_reference="02-W1", clarity_id="7"), [account(CustomerStatus="I")], "inactive"),
        (buyer(account_no="09-X", clarity_id="7"), [account(ARDivisionNo="09", CustomerNo="X")], "not in Sage"),
        (buyer(clarity_id="7"), [account(UDF_WEB_CUSTOMER_ID="7", CustomerStatus="I")], "inactive"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_certain_goes_to_a_person(
    pair: Pair, search: CustomerSearch, records: list[CustomerRecord], reason: str
) -> None:
    match = match_customer(search, records, pair)
    assert match.decision is CustomerDecision.REVIEW
    reasons = "; ".join(text for candidate in match.candidates for text in candidate.reasons)
    assert reason in reasons
    assert "@" not in reasons


def test_account_number_comes_first_then_the_cross_reference(pair: Pair) -> None:
    records = [account(), DEALER]
    by_number = match_customer(buyer(account_no="01-ABF", clarity_id="7"), records, pair)
    assert (str(by_number.customer), by_number.by) == ("01-ABF", "the account number")
    by_reference = match_customer(buyer(customer_reference="02-W1", clarity_id="7", email=""), records, pair)
    assert (str(by_reference.customer), by_reference.by) == ("02-W1", "the cross-reference")
    assert str(match_customer(buyer(clarity_id="7"), [account(UDF_WEB_CUSTOMER_ID="7")], pair).customer) == "02-W1"
    agreed = buyer(account_no="01-ABF", customer_reference="01-ABF", clarity_id="7")
    assert str(match_customer(agreed, [DEALER.model_copy(update={"UDF_WEB_CUSTOMER_ID": "7"})], pair).customer) == (
        "01-ABF"
    )


def test_role_mailboxes_never_match(pair: Pair) -> None:
    record = account(EmailAddress="info@example.com", CustomerName="Ben Hill", AddressLine1="7 Other Road")
    assert match_customer(buyer(email="info@example.com"), [record], pair).decision is CustomerDecision.CREATE


def test_match_key_and_comparison_ignore_what_people_type_differently() -> None:
    assert match_key("Zoë Brückner", "12 345") == match_key("BRUECKNER, ZOE", "12345-6789")
    assert match_key("Bob Smith", "75001") == match_key("Robert Smiht", "75001") != match_key("Bob Smith", "75002")
    assert comparable("Müller & Co.") == comparable("MULLER CO")


ITEMS = {code: ItemFacts(ItemCode=code) for code in ("A", "B", "C")} | {
    "OLD": ItemFacts(ItemCode="OLD", InactiveItem=True)
}
OWN = CustomerKey(ARDivisionNo="01", CustomerNo="ABF")
ALIASES = [
    AliasFacts(AliasItemNo="X", ItemCode="A"),
    AliasFacts(AliasItemNo="X", ItemCode="B", Type="C", ARDivisionNo="01", CustomerNo="ABF"),
    AliasFacts(AliasItemNo="A", ItemCode="C"),
    AliasFacts(AliasItemNo="TWO", ItemCode="A"),
    AliasFacts(AliasItemNo="TWO", ItemCode="B"),
    AliasFacts(AliasItemNo="GONE", ItemCode="MISSING"),
]


@pytest.mark.parametrize(
    ("sku", "customer", "found"),
    [
        ("A", None, "A"),
        ("X", None, "A"),
        ("X", OWN, "B"),
        ("X", CustomerKey(ARDivisionNo="02", CustomerNo="ABF"), "A"),
        ("LEGACY-1001", None, "stands for DESK-OAK-120, which is no item"),
        ("OLD", None, "inactive"),
        ("TWO", None, "several items: A, B"),
        ("GONE", None, "no item in Sage"),
        ("NOPE", None, "no item and no alias"),
        ("a", None, "A"),
    ],
)
def test_sku_is_found_as_item_own_alias_general_alias_or_pairs_alias(
    pair: Pair, sku: str, customer: CustomerKey | None, found: str
) -> None:
    item = ItemLookup(customer, ITEMS, ALIASES, pair).item(sku)
    if isinstance(item, Unresolved):
        assert found in item.why
    else:
        assert item.ItemCode == found


def draft_of(name: str, pair: Pair) -> Draft:
    draft = transform(sample(name), pair).draft
    assert draft is not None
    return draft


def stocked(code: str, on_hand: int, factor: int = 1) -> ItemFacts:
    stock = WarehouseStock(
        QuantityOnHand=Decimal(on_hand), QuantityOnSalesOrder=Decimal(1), QuantityOnBackOrder=Decimal(1)
    )
    return ItemFacts(ItemCode=code, SalesUMConvFctr=Decimal(factor), TaxClass="TX", warehouses={"000": stock})


def test_stock_counts_the_whole_order_in_standard_units(pair: Pair) -> None:
    draft = draft_of("16-pickup-cases", pair)
    enough = {"PAPER-A4-CS": stocked("PAPER-A4-CS", 22, 10), "PAPER-A4": stocked("PAPER-A4", 5)}
    facts = facts_from(draft, None, enough, [], [], pair)
    assert facts.findings == []
    short = {**enough, "PAPER-A4-CS": stocked("PAPER-A4-CS", 21, 10)}
    finding = facts_from(draft, None, short, [], [], pair).findings[0]
    assert (finding.reason, finding.items) == (HoldReason.OUT_OF_STOCK, ["PAPER-A4-CS"])
    assert "19 available, 20 ordered" in finding.problems[0].message


def test_facts_put_unknown_items_first_and_an_existing_order_has_no_findings(pair: Pair) -> None:
    draft = draft_of("19-guest-with-dealers-email", pair)
    dealer = DEALER.model_copy(update={"EmailAddress": draft.customer.email})
    facts = facts_from(draft, None, {}, [], [dealer], pair)
    assert [finding.reason for finding in facts.findings] == [HoldReason.UNKNOWN_ITEM, HoldReason.CUSTOMER_REVIEW]
    assert facts.findings[0].problems[0].field == "data.items[0].sku"
    there = SalesOrderOnSage(SalesOrderNo="0001042")
    assert facts_from(draft, there, {}, [], [dealer], pair).findings == []


@pytest.mark.parametrize(
    ("changes", "held"),
    [
        ({}, False),
        ({"CreditHold": True}, True),
        ({"CreditLimit": Decimal(100)}, True),
        ({"CreditLimit": Decimal(100_000)}, False),
        ({"CreditLimit": Decimal(5_000), "OpenOrderAmt": Decimal(4_000)}, True),
        ({"CreditLimit": Decimal(5_000), "AgingCategory4": Decimal(4_000)}, True),
        ({"CreditLimit": Decimal(0)}, False),
    ],
)
def test_credit_of_an_order_on_terms(pair: Pair, changes: dict[str, object], held: bool) -> None:
    draft = draft_of("03-dealer-on-terms", pair)
    items = {line.ItemCode: ItemFacts(ItemCode=line.ItemCode, ItemType="5") for line in draft.sales_order.Lines}
    order = draft.sales_order.model_copy(update={"Lines": []})
    findings = run_checks(order, draft.expected, DEALER.model_copy(update=changes), items, pair)
    assert [finding.reason for finding in findings] == ([HoldReason.CREDIT] if held else [])


def test_prepaid_order_skips_the_limit_but_not_the_hold(pair: Pair) -> None:
    draft = draft_of("01-consumer-new", pair)
    order = draft.sales_order.model_copy(update={"Lines": []})
    assert run_checks(order, draft.expected, account(CreditLimit=Decimal(1)), {}, pair) == []
    assert run_checks(order, draft.expected, account(CreditHold=True), {}, pair)


def test_totals_are_compared_to_the_penny_and_both_sides_shown() -> None:
    expected = ExpectedTotals(currency="USD", tax=Decimal("8.25"), freight=Decimal(10), grand=Decimal("118.25"))
    preview = SalesOrderOnSage(TaxableAmt=Decimal(100), FreightAmt=Decimal(10), SalesTaxAmt=Decimal("8.25"))
    assert compare_totals(expected, preview) is None
    off = preview.model_copy(update={"SalesTaxAmt": Decimal("8.26")})
    finding = compare_totals(expected, off)
    assert finding is not None
    assert "grand total: Clarity 118.25, Sage 118.26, difference +0.01" in finding.problems[0].message
    assert any("tax: Clarity 8.25, Sage 8.26" in problem.message for problem in finding.problems)
    assert compare_totals(expected.model_copy(update={"tolerance": Decimal("0.01")}), off) is None


def test_same_order_sees_every_difference(pair: Pair) -> None:
    wanted = draft_of("09-umlauts-known-by-email", pair).sales_order
    wanted = wanted.model_copy(
        update={"Lines": [line.model_copy(update={"ItemCode": line.sku}) for line in wanted.Lines]}
    )
    lines = [
        CreatedLine(
            LineKey=f"{number:06d}",
            ItemCode=line.ItemCode,
            QuantityOrdered=line.QuantityOrdered,
            UnitPrice=line.UnitPrice,
        )
        for number, line in enumerate(wanted.Lines, start=1)
    ]
    expected = ExpectedTotals(currency="USD", tax=Decimal(0), freight=Decimal(0), grand=wanted.FreightAmt)
    stored = SalesOrderOnSage(FreightAmt=wanted.FreightAmt, Lines=lines)
    assert same_order(wanted, stored, expected) == []
    other_quantity = [lines[0].model_copy(update={"QuantityOrdered": Decimal(9)}), *lines[1:]]
    for changed in (
        {"Lines": lines[1:]},
        {"Lines": [*lines, lines[0]]},
        {"Lines": other_quantity},
        {"FreightAmt": Decimal(99)},
        {"SalesTaxAmt": Decimal("0.01")},
        {"DepositAmt": Decimal(1)},
        {"CustomerNo": "OTHER"},
    ):
        assert same_order(wanted, stored.model_copy(update=changed), expected), changed


# ---- payment, price, approvals --------------------------------------------------------------------------------------


def totals(**changes: object) -> ExpectedTotals:
    expected = ExpectedTotals(currency="USD", tax=Decimal(0), freight=Decimal(0), grand=Decimal(100))
    return expected.model_copy(update=changes)


CONSUMER = account(TermsCode="00")
PAYMENT = Check(name=CheckName.PAYMENT, on_fail=HoldReason.CREDIT)
AUTHORISED = PAYMENT.model_copy(update={"accept": PaymentAccepted.AUTHORISED})


@pytest.mark.parametrize(
    ("customer", "expected", "check", "held"),
    [
        (None, totals(), PAYMENT, True),
        (None, totals(paid=Decimal(99)), PAYMENT, True),
        (None, totals(paid=Decimal(100)), PAYMENT, False),
        (CONSUMER, totals(), PAYMENT, True),
        (CONSUMER, totals(paid=Decimal(100)), PAYMENT, False),
        (DEALER, totals(), PAYMENT, False),
        (CONSUMER, totals(authorised=Decimal(100)), PAYMENT, True),
        (CONSUMER, totals(authorised=Decimal(100)), AUTHORISED, False),
        (CONSUMER, totals(authorised=Decimal(99)), AUTHORISED, True),
        (None, totals(grand=Decimal(0)), PAYMENT, False),
    ],
)
def test_goods_leave_on_prepaid_terms_only_for_money(
    pair: Pair, customer: CustomerRecord | None, expected: ExpectedTotals, check: Check, held: bool
) -> None:
    order = draft_of("01-consumer-new", pair).sales_order
    found = run_checks(order, expected, customer, {}, pair, checks=[check])
    assert [finding.reason for finding in found] == ([HoldReason.CREDIT] if held else [])


def goods(*prices: str, discounts: tuple[tuple[str, str], ...] = ()) -> SalesOrder:
    """Items A, B, … at these prices, and discounts (item or empty, amount)."""
    order = SalesOrder(UDF_WEB_ORDER_ID="1", OrderDate=date(2026, 11, 25), Lines=[])
    lines = [
        SalesOrderLine(
            origin=LineOrigin.ITEM,
            ItemType=SageItemType.REGULAR,
            ItemCode=chr(65 + number),
            QuantityOrdered=Decimal(1),
            UnitPrice=Decimal(price),
            UDF_WEB_LINE_ID=str(number),
        )
        for number, price in enumerate(prices)
    ]
    lines += [
        SalesOrderLine(
            origin=LineOrigin.DISCOUNT,
            ItemType=SageItemType.MISCELLANEOUS,
            ItemCode="/WEBDISC",
            QuantityOrdered=Decimal(1),
            UnitPrice=-Decimal(amount),
            discount_of=of,
        )
        for of, amount in discounts
    ]
    return order.model_copy(update={"Lines": lines})


def test_an_item_is_sold_for_its_price_less_every_discount() -> None:
    assert net_prices(goods("349", discounts=(("0", "348"),)))[0] == 1
    assert net_prices(goods("300", "100", discounts=(("", "40"),)))[:2] == [270, 90]
    assert net_prices(goods("300", "100", discounts=(("1", "50"), ("", "35"))))[:2] == [270, 45]
    assert net_prices(goods("300", discounts=()))[-1] == 300


def test_a_discounted_price_below_cost_is_found_and_approved_by_itself(pair: Pair) -> None:
    order = goods("349", discounts=(("0", "348"),))
    items = {"A": ItemFacts(ItemCode="A", StandardUnitCost=Decimal(200))}
    checks = [
        Check(name=CheckName.PRICE, on_fail=HoldReason.ANOMALY),
        Check(name=CheckName.SAME_BASKET, on_fail=HoldReason.ANOMALY),
    ]
    twin = RecentBasket(SalesOrderNo="0000007", created=datetime(2026, 11, 25), basket={"A": Decimal(1)})  # noqa: DTZ001
    found = run_checks(order, totals(), None, items, pair, recent=[twin], checks=checks)
    assert [finding.check for finding in found] == ["price", "same_basket"]
    assert "sold for 1 after discounts" in found[0].problems[0].message
    # Who approves the basket has said nothing about the price.
    decisions = Decisions().approve(found[1].approvals)
    left = run_checks(order, totals(), None, items, pair, decisions, [twin], checks)
    assert [finding.check for finding in left] == ["price"]
    decisions = decisions.approve(left[0].approvals)
    assert run_checks(order, totals(), None, items, pair, decisions, [twin], checks) == []
    another = twin.model_copy(update={"SalesOrderNo": "0000008"})
    assert run_checks(order, totals(), None, items, pair, decisions, [twin, another], checks)


def test_a_credit_hold_set_after_the_limit_was_approved_is_found(pair: Pair) -> None:
    order = draft_of("03-dealer-on-terms", pair).sales_order.model_copy(update={"Lines": []})
    over = DEALER.model_copy(update={"CreditLimit": Decimal(1)})
    checks = [Check(name=CheckName.CREDIT, on_fail=HoldReason.CREDIT)]
    decisions = Decisions().approve(run_checks(order, totals(), over, {}, pair, checks=checks)[0].approvals)
    assert run_checks(order, totals(), over, {}, pair, decisions, checks=checks) == []
    held = over.model_copy(update={"CreditHold": True})
    assert run_checks(order, totals(), held, {}, pair, decisions, checks=checks)


def test_policy_backorder_never_drops_what_sage_does_not_back_order(pair: Pair) -> None:
    policy = pair.model_copy(update={"stock": pair.stock.model_copy(update={"policy": "backorder"})})
    stock = {"000": WarehouseStock(QuantityOnHand=Decimal(0))}
    order = goods("5")
    order = order.model_copy(update={"Lines": [order.Lines[0].model_copy(update={"WarehouseCode": "000"})]})
    checks = [Check(name=CheckName.STOCK, on_fail=HoldReason.OUT_OF_STOCK)]
    item = ItemFacts(ItemCode="A", warehouses=stock)
    assert run_checks(order, totals(), None, {"A": item}, policy, checks=checks) == []
    item = item.model_copy(update={"AllowBackOrders": False})
    found = run_checks(order, totals(), None, {"A": item}, policy, checks=checks)
    assert found[0].no_back_orders == ["A"]
    decisions = Decisions(stock=StockDecision.SHIP_AVAILABLE)
    assert run_checks(order, totals(), None, {"A": item}, policy, decisions, checks=checks) == []


def test_two_wrongs_that_cancel_out_are_held() -> None:
    expected = totals(tax=Decimal(0), grand=Decimal(108))
    preview = SalesOrderOnSage(TaxableAmt=Decimal(100), SalesTaxAmt=Decimal(8))
    finding = compare_totals(expected, preview)
    assert finding is not None
    assert any("tax: Clarity 0.00, Sage 8.00" in problem.message for problem in finding.problems)
    assert compare_totals(expected, preview, Decisions(winner=Side.SAGE, difference=Decimal(0))) is None


def test_lines_ship_from_the_first_warehouse_that_has_all_of_them(pair: Pair) -> None:
    line = goods("5").Lines[0].model_copy(update={"WarehouseCode": "000", "else_from": ["001", "002"]})

    def places(*quantities: int, **on_hand: int) -> list[str]:
        stock = {f"00{name[1]}": WarehouseStock(QuantityOnHand=Decimal(there)) for name, there in on_hand.items()}
        lines = [line.model_copy(update={"QuantityOrdered": Decimal(quantity)}) for quantity in quantities]
        order = goods("5").model_copy(update={"Lines": lines})
        found = routed(order, {"A": ItemFacts(ItemCode="A", warehouses=stock)}, pair)
        return [one.WarehouseCode for one in found.Lines]

    assert places(3, w0=5, w1=5) == ["000"]
    assert places(3, w0=2, w1=2, w2=3) == ["002"]
    assert places(3, w0=2, w1=2) == ["000"]
    # The second line of the same item sees what the first one left.
    assert places(3, 3, w0=5, w1=5) == ["000", "001"]
    assert places(3, 3, 3, w0=5, w1=5) == ["000", "001", "000"]


def test_an_attempt_of_our_own_is_worked_out_as_it_would_be_sent(pair: Pair) -> None:
    """So that the create can compare it; stock and credit, which it takes itself, do not count against it."""
    draft = draft_of("02-known-web-customer", pair)
    codes = {line.sku or line.ItemCode for line in draft.sales_order.Lines}
    items = {code: ItemFacts(ItemCode=code, ItemType="5" if code.startswith("/") else "1") for code in codes}
    there = SalesOrderOnSage(SalesOrderNo="0001042", UDF_WEB_ORDER_ID=draft.sales_order.UDF_WEB_ORDER_ID)
    facts = facts_from(draft, there, items, [], [account(UDF_WEB_CUSTOMER_ID="501")], pair, own_attempt="0001042")
    assert facts.existing == there
    assert facts.findings == []
    assert all(line.ItemCode for line in facts.sales_order.Lines)
    assert facts.sales_order.TermsCode == "00"
    adopted = facts_from(draft, there, items, [], [], pair, own_attempt="0001043")
    assert adopted.existing == there
