"""Every hold reason with each of its actions, by update and by signal, as support does it with Temporal's CLI.

Each case is an order with a cause of its own (item, account, master row), so that all of them play at the same time.
Of each it is seen that the hold appears (`OrderState`, `HoldReason`, the details page with the command for the action),
alerts once, reminds, is released by that command, and that the order comes to its end in Sage and at Clarity.
`make test` releases by update and by signal in turn, `make test-all` both ways each.
"""

import json
import os
import re
import subprocess
from base64 import b64decode
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.conftest import QUICK, House, pairs_with_pace, running_house
from tests.e2e.temporal import history, temporal
from tests.e2e.test_holds import shown_commands
from tests.support.histories import TEMPORAL, keep_history
from tests.support.orders import PlacedOrder
from tests.support.processes import wait_until
from tests.support.sizes import LARGE

ACTIONS = {
    "invalid_data": ("retry", "cancel", "correct"),
    "unknown_item": ("retry", "cancel", "use_item", "correct"),
    "customer_review": ("retry", "cancel", "use_customer", "create_customer"),
    "credit": ("retry", "cancel", "approve"),
    "anomaly": ("retry", "cancel", "approve"),
    "out_of_stock": ("retry", "cancel", "backorder", "ship_available"),
    "total_mismatch": ("retry", "cancel", "correct", "approve"),
    "rejected_by_sage": ("retry", "cancel", "correct"),
    "rejected_by_clarity": ("retry", "cancel", "correct"),
    "deleted_in_sage": ("retry", "cancel", "approve"),
    "internal_error": ("retry", "cancel"),
}
"""design.md, holds; `order_changed` belongs to the flow of changes."""
WAYS = ("update", "signal")
EVERY_CASE = [(reason, action, way) for reason, actions in ACTIONS.items() for action in actions for way in WAYS]
BY_TURNS = [case for turn, case in enumerate(EVERY_CASE) if turn % 4 in (0, 3)]
"""Each reason with each of its actions, now by an update, now by a signal."""
CASES = EVERY_CASE if LARGE or "SAVE_HISTORIES" in os.environ else BY_TURNS
AT_THE_SAME_TIME = 12


@dataclass
class Prepared:
    """An order that is held, or will be; what its release needs; how its cause is removed."""

    order: PlacedOrder
    input: dict[str, Any] = field(default_factory=dict)
    mend: Callable[[], object] = lambda: None
    afterwards: Callable[[], object] = lambda: None
    """After the release: what must happen for the order to complete."""
    ends: str = "complete"


@dataclass
class Office:
    """The people around the order: its items, accounts and master rows, each of one case only."""

    house: House
    case: str
    """Two digits, unique."""

    def item(self, on_hand: int | None = 50, **columns: Any) -> tuple[str, int, str]:
        """An item of this case, as an order line."""
        stock = {} if on_hand is None else {"000": on_hand}
        columns = {"StandardUnitPrice": "5.00", **columns}
        body = {"ItemCode": f"MATRIX-{self.case}", "Columns": columns, "OnHand": stock}
        self.house.sandbox.control("sage", "item", body)
        return (f"MATRIX-{self.case}", 2, "5.00")

    def account(self, **columns: Any) -> dict[str, Any]:
        """A dealer's account of this case, and the buyer who has it."""
        number = columns.pop("CustomerNo", f"M{self.case}")
        address = {"AddressLine1": "12 Rose Street", "City": "Portland", "State": "OR", "ZipCode": "97201"}
        columns = {**address, "CountryCode": "USA", **columns}
        columns = {"TermsCode": "01", "CustomerName": f"Dealer {self.case}", "TaxSchedule": "NONTAX", **columns}
        terms, columns["TermsCode"] = columns["TermsCode"], "01"
        body = {"ARDivisionNo": "01", "CustomerNo": number, **columns}

        def created() -> bool:
            # One writer at a time: the house writes, too.
            answer = self.house.sandbox.sage("POST", "/AR/Customer", body)
            assert answer.status_code in (201, 503), answer.text
            return bool(answer.status_code == 201)

        wait_until("Sage has the dealer's account", created, 20)
        if terms != "01":
            self.change_account(TermsCode=terms)
        return {
            "customer": {"id": f"m{self.case}", "accountNumber": f"01-M{self.case}", "lastName": "Dealer"},
            "payments": [],
        }

    def change_account(self, **columns: Any) -> None:
        key = {"ARDivisionNo": "01", "CustomerNo": f"M{self.case}"}
        self.house.sandbox.control("sage", "customer", {**key, "Columns": columns})

    def master(self, table: str, **columns: Any) -> None:
        self.house.sandbox.control("sage", "master", {"Table": table, "Columns": columns})

    def order(self, *items: tuple[str, int, str], **fields: Any) -> PlacedOrder:
        return PlacedOrder(self.house.sandbox, self.house.api_url, *items, **fields).check_out()


def paid(amount: str) -> list[dict[str, Any]]:
    """One capture."""
    return [{"gateway": "paypal", "transactionId": "PAY", "type": "capture", "amount": amount, "currency": "USD"}]


# ---- the causes -----------------------------------------------------------------------------------------------------


def invalid_data(office: Office, action: str) -> Prepared:
    if action == "retry":
        # Paid by a gateway whose payment type nobody has made in Sage yet.
        name = f"M{office.case}"
        paid = {"gateway": f"wallet{office.case}", "transactionId": "T", "type": "capture", "amount": "10.00"}
        order = office.order(office.item(), payments=[{**paid, "currency": "USD"}])
        return Prepared(
            order, mend=lambda: office.master("AR_PaymentType", PaymentType=name, PaymentDesc="", PaymentMethod="O")
        )
    address = {"name": "Ann", "line1": "1 Main Street", "region": "OR", "postalCode": "97201", "country": "US"}
    order = office.order(office.item(), shippingAddress=address)
    return Prepared(order, {"correction": {"shippingAddress": {"city": "Portland"}}} if action == "correct" else {})


def unknown_item(office: Office, action: str) -> Prepared:
    code, quantity, price = office.item() if action in ("use_item", "correct") else (f"MATRIX-{office.case}", 2, "5.00")
    order = office.order((code if action == "retry" else f"WEB-{office.case}", quantity, price))
    extra: dict[str, dict[str, Any]] = {
        "use_item": {"items": {order.items[0]: code}},
        "correct": {"correction": {"items": {order.items[0]: {"sku": code}}}},
    }
    return Prepared(order, extra.get(action, {}), mend=office.item)


def customer_review(office: Office, action: str) -> Prepared:
    email = f"desk{office.case}@dealer{office.case}.example.com"
    office.account(EmailAddress=email)
    address = {
        "name": f"Gwen Uest{office.case}",
        "line1": f"{office.case}7 Guest Way",
        "city": "Bend",
        "region": "OR",
        "postalCode": f"977{office.case}",
        "country": "US",
    }
    guest = {"id": "", "email": email, "firstName": "Gwen", "lastName": f"Uest{office.case}"}
    order = office.order(office.item(), customer=guest, billingAddress=address, shippingAddress=address)
    return Prepared(
        order,
        {"customer_no": f"01-M{office.case}"} if action == "use_customer" else {},
        mend=lambda: office.change_account(EmailAddress=""),
    )


def credit(office: Office, action: str) -> Prepared:
    dealer = office.account()
    office.change_account(CreditHold="Y")
    return Prepared(
        office.order(office.item(), **dealer),
        mend=(lambda: office.change_account(CreditHold="N")) if action == "retry" else lambda: None,
    )


def anomaly(office: Office, action: str) -> Prepared:
    """The same basket again: the first order waits for stock in Sage."""
    dealer = office.account()
    first = office.order(office.item(0), **dealer)
    first.until_state("held")
    release(office.house, first, "update", {"action": "backorder"})
    first.until_state("open")
    second = office.order(office.item(None), **dealer)

    def the_first_leaves() -> None:
        office.item(50)
        first.until_state("complete")

    return Prepared(second, mend=the_first_leaves if action == "retry" else lambda: office.item(50))


def out_of_stock(office: Office, action: str) -> Prepared:
    order = office.order(office.item(1))
    if action == "retry":
        return Prepared(order, mend=lambda: office.item(50))
    return Prepared(order, afterwards=lambda: office.item(50))


def total_mismatch(office: Office, action: str) -> Prepared:
    if action == "retry":
        # Sage's tax rate is not the one that the store charged.
        code = {"TaxCode": f"M{office.case}", "TaxCodeDesc": "Nevada", "TaxOnFreight": "N"}
        schedule = f"MATRIX{office.case}"
        office.master("SY_SalesTaxCode", **code, TaxRate="5")
        office.master("SY_SalesTaxSchedule", TaxSchedule=schedule, TaxScheduleDesc="Nevada")
        office.master("SY_SalesTaxScheduleDetail", TaxSchedule=schedule, SequenceNo="0001", TaxCode=f"M{office.case}")
        address: dict[str, Any] = {"name": "Maria Gonzales", "line1": "12 Rose Street", "city": "Reno", "region": "NV"}
        address |= {"postalCode": f"895{office.case}", "country": "US"}
        totals = {"items": "10.00", "discount": 0, "shipping": 0, "tax": "0.80", "fees": 0, "grand": "10.80"}
        order = office.order(office.item(), shippingAddress=address, totals=totals, payments=paid("10.80"))
        return Prepared(order, mend=lambda: office.master("SY_SalesTaxCode", **code, TaxRate="8"))
    totals = {"items": "10.00", "discount": 0, "shipping": 0, "tax": 0, "fees": 0, "grand": "10.01"}
    order = office.order(office.item(), totals=totals, payments=paid("10.01"))
    extra: dict[str, Any] = {
        "correct": {"correction": {"totals": {"grand": "10.00"}, "payments": paid("10.00")}},
        "approve": {"winner": "clarity" if int(office.case) % 2 else "sage"},
    }
    return Prepared(order, extra.get(action, {}))


def rejected_by_sage(office: Office, action: str) -> Prepared:
    """The account's terms code is not on file: Sage names the column."""
    terms = f"{int(office.case) % 26 + 65:c}{int(office.case) // 26}"
    order = office.order(office.item(), **office.account(TermsCode=terms))
    if action == "correct":
        office.account(CustomerNo=f"S{office.case}")
        return Prepared(order, {"correction": {"customer": {"accountNumber": f"01-S{office.case}"}}})
    return Prepared(
        order,
        mend=(lambda: office.master("AR_TermsCode", TermsCode=terms, TermsCodeDesc="New"))
        if action == "retry"
        else lambda: None,
    )


def rejected_by_clarity(office: Office, action: str) -> Prepared:
    """Clarity refuses a status: Processing, or Cancelled for an order that Sage has not."""
    sandbox, cancels = office.house.sandbox, action == "cancel"
    goods = (f"WEB-{office.case}", 2, "5.00") if cancels else office.item()
    order = PlacedOrder(sandbox, office.house.api_url, goods)
    fault = {"route": f"PATCH /api/v1/orders/{order.id}", "fault": "refused", "times": 1}
    sandbox.control("clarity", "faults", {**fault, "contains": '"Cancelled"' if cancels else '"Processing"'})
    order.check_out()
    if cancels:
        wait_until("the unknown item is found", lambda: reason_of(order) == "unknown_item", 60)
        release(office.house, order, "update", {"action": "cancel"})
    return Prepared(order, {"correction": {"customer": {"firstName": "Mary"}}} if action == "correct" else {})


def deleted_in_sage(office: Office, action: str) -> Prepared:
    """Deleted without a reason, in a company that keeps no history of deleted orders; nothing was shipped."""
    order = office.order(office.item(0))
    order.until_state("held")
    release(office.house, order, "update", {"action": "backorder"})
    order.until_state("open")
    stored = office.house.sandbox.sage("GET", f"/SO/SalesOrder/{order.sales_order_no}").json()
    order.change("delete")

    def enter_again() -> None:
        header = ("SalesOrderNo", "ARDivisionNo", "CustomerNo", "CustomerPONo", "UDF_WEB_ORDER_ID", "TaxSchedule")
        line = ("ItemCode", "QuantityOrdered", "UnitPrice", "UDF_WEB_LINE_ID")
        lines = [{name: one[name] for name in line} for one in stored["Lines"]]
        again = {**{name: stored[name] for name in (*header, "OrderDate", "TermsCode")}, "Lines": lines}
        office.item(50)
        answer = office.house.sandbox.sage("POST", "/SO/SalesOrder", again)
        assert answer.status_code == 201, answer.text

    if action == "retry":
        return Prepared(order, mend=enter_again)
    return Prepared(order, ends="cancelled")


def internal_error(office: Office, action: str) -> Prepared:
    order = office.order(office.item(SalesUMConvFctr="many"))
    return Prepared(order, mend=lambda: office.item(SalesUMConvFctr="1"))


PREPARE: dict[str, Callable[[Office, str], Prepared]] = {
    "invalid_data": invalid_data,
    "unknown_item": unknown_item,
    "customer_review": customer_review,
    "credit": credit,
    "anomaly": anomaly,
    "out_of_stock": out_of_stock,
    "total_mismatch": total_mismatch,
    "rejected_by_sage": rejected_by_sage,
    "rejected_by_clarity": rejected_by_clarity,
    "deleted_in_sage": deleted_in_sage,
    "internal_error": internal_error,
}


# ---- what support sees and types ------------------------------------------------------------------------------------


def reason_of(order: PlacedOrder) -> str:
    return str((order.view().get("hold") or {}).get("reason") or "")


def details_page(house: House, order: PlacedOrder) -> str:
    """What the Web UI shows under User Metadata."""
    answer = temporal(house, "workflow", "metadata", "-w", f"order-demo-{order.id}", "-o", "json")
    return "\n".join(found(json.loads(answer), "currentDetails"))


def found(value: Any, name: str) -> Iterator[str]:
    """Every text under this name, however deep."""
    if isinstance(value, dict):
        if isinstance(value.get(name), str):
            yield value[name]
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from found(inner, name)


def release(house: House, order: PlacedOrder, way: str, wanted: dict[str, Any]) -> None:
    """Type the command that the page shows for the action, with what it needs; as a signal, its input."""
    command = shown_commands(details_page(house, order))[wanted["action"]]
    head, text, _ = re.split(r"'(\{.*\})'", command, maxsplit=1, flags=re.DOTALL)
    shown = json.loads(text)
    if way == "signal":
        head = head.replace("update execute", "signal")
    wanted = {**shown, "by": "support", **wanted}
    command = f"{head.replace('temporal', f'{TEMPORAL} --address {house.temporal_address}', 1)} '{json.dumps(wanted)}'"
    result = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, (command, result.stderr)


def alerts(house: House, order: PlacedOrder) -> list[str]:
    """Summaries of the alerts that the order raised."""
    return [
        json.loads(b64decode(event["userMetadata"]["summary"]["data"]))
        for event in history(house, f"order-demo-{order.id}")
        if event.get("activityTaskScheduledEventAttributes", {}).get("activityType", {}).get("name") == "raise_alert"
    ]


def play(house: House, number: int, reason: str, action: str, way: str) -> None:
    """One case, from checkout to its end."""
    prepared = PREPARE[reason](Office(house, f"{number:02d}"), action)
    order = prepared.order
    wait_until(f"{order.id} is held for {reason}, not {reason_of(order)}", lambda: reason_of(order) == reason, 90)
    hold = order.view()["hold"]
    assert hold["actions"] == list(ACTIONS[reason])
    assert hold["problems"], "a hold says why"
    assert set(shown_commands(details_page(house, order))) == set(ACTIONS[reason])
    wait_until("it reminds", lambda: order.view()["hold"]["reminders"] >= 1, 30)
    query = f"HoldReason='{reason}' AND OrderState='held' AND Pair='demo' AND ExecutionStatus='Running'"
    assert f"order-demo-{order.id} " in temporal(house, "workflow", "list", "--query", query, "--limit", "500")
    if action != "cancel":
        prepared.mend()
    release(house, order, way, {"action": action, **prepared.input})
    wait_until("the hold is over", lambda: (order.view().get("hold") or {}).get("hold") != hold["hold"], 30)
    prepared.afterwards()
    order.until_state("cancelled" if action == "cancel" else prepared.ends, deadline=90)
    told = [text for text in alerts(house, order) if text == f"Alert: held: {reason}"]
    assert len(told) == 1, "once for each hold"
    trail = [entry["what"] for entry in order.view()["trail"]]
    assert any(f"({reason}) released with {action} by support (unverified)" in what for what in trail), trail
    if way == "update":
        keep_history(house.temporal_address, f"order-demo-{order.id}", f"hold-{reason}-{action}")
    if action == "cancel" or prepared.ends == "cancelled":
        wait_until("Clarity says so", lambda: order.at_clarity()["status"] == "Cancelled", 10)
        return
    assert order.at_clarity()["status"] in ("Shipped", "Completed")
    order.audit()
    stored = house.sandbox.rows(
        "SELECT SalesOrderNo FROM SO_SalesOrderHistoryHeader WHERE UDF_WEB_ORDER_ID = ?", order.id
    )
    assert len(stored) == 1


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, str, str], Future[None]]]:
    """Every case, a dozen at the same time, in one house."""
    folder = tmp_path_factory.mktemp("matrix")
    pairs = pairs_with_pace(folder / "pairs", **QUICK, hold_reminder=4, stock_sweep=3600, stock_second_look=3600)
    add_site_rules(pairs / "demo.yaml")
    flags = ("--no-orders", "--ship-after", "0.5", "--post-after", "1")
    with running_house(folder, *flags, environment={"PAIRS_DIR": str(pairs)}) as house:
        house.sandbox.control("sage", "company", {"keep_deleted_history": "N"})
        with ThreadPoolExecutor(AT_THE_SAME_TIME) as threads:
            plays = {case: threads.submit(play, house, number, *case) for number, case in enumerate(CASES, start=10)}
            for one in plays.values():
                one.exception()
        yield plays


def add_site_rules(pair_file: Path) -> None:
    """What some cases need: their own payment types and tax schedules, and accounts' same baskets looked at first."""
    content = yaml.safe_load(pair_file.read_text("utf-8"))
    numbers = [str(number) for number in range(10, 10 + len(CASES))]
    content["payments"] += [{"gateway": f"wallet{n}", "payment_type": f"M{n}", "route": "clearing"} for n in numbers]
    content["tax"]["schedules"] += [
        {"country": "US", "region": "NV", "when": f"shipping.postal_code == '895{n}'", "schedule": f"MATRIX{n}"}
        for n in numbers
    ]
    basket = {"name": "same_basket", "on_fail": "anomaly", "minutes": 10, "when": "buyer.account_no != ''"}
    content["checks"] = [basket, *content["checks"]]
    pair_file.write_text(yaml.safe_dump(content, allow_unicode=True), "utf-8")


@pytest.mark.parametrize(("reason", "action", "way"), CASES)
def test_hold(played: dict[tuple[str, str, str], Future[None]], reason: str, action: str, way: str) -> None:
    played[reason, action, way].result()
