"""Every hold with each of its actions, released as support does it: CLI updates and signals, one by one and in bulk."""

import json
import re
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import QUICK, House, pairs_with_pace, running_house
from tests.e2e.temporal import TEMPORAL, history, temporal
from tests.support.orders import PlacedOrder
from tests.support.processes import wait_until

DESK = ("DESK-OAK-120", 1, "349.00")
LAMP = ("LAMP-LED-01", 2, "49.99")


@pytest.fixture(scope="module")
def support(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house in which holds remind after two seconds."""
    folder = tmp_path_factory.mktemp("support")
    pairs = pairs_with_pace(folder / "pairs", **QUICK, hold_reminder=2, stock_sweep=0.5, stock_second_look=1)
    flags = ("--no-orders", "--ship-after", "0.5", "--post-after", "1")
    with running_house(folder, *flags, environment={"PAIRS_DIR": str(pairs)}) as one:
        yield one


def order_of(house: House, *items: tuple[str, int, str], **fields: Any) -> PlacedOrder:
    return PlacedOrder(house.sandbox, house.api_url, *items, **fields).check_out()


def held(order: PlacedOrder, reason: str) -> dict[str, Any]:
    """The hold, once there is one; it must have this reason."""
    view = order.until_state("held")
    assert view["hold"]["reason"] == reason, view["hold"]
    hold: dict[str, Any] = view["hold"]
    return hold


def update(house: House, order: PlacedOrder, **release: Any) -> str:
    """`release_hold` as an update from the CLI; returns what it printed."""
    hold = order.view()["hold"]
    argument = {"by": "support", "reason": hold["reason"], "hold": hold["hold"], **release}
    return temporal(
        house,
        *("workflow", "update", "execute", "-w", f"order-demo-{order.id}", "--name", "release_hold"),
        *("--input", json.dumps(argument)),
    )


def refused(house: House, order: PlacedOrder, **release: Any) -> str:
    """Why the update is refused; the hold stays as it is."""
    before = order.view()["hold"]
    argument = {"by": "support", "reason": before["reason"], "hold": before["hold"], **release}
    result = subprocess.run(
        [
            *(str(TEMPORAL), "workflow", "update", "execute", "--address", house.temporal_address),
            *("-w", f"order-demo-{order.id}", "--name", "release_hold", "--input", json.dumps(argument)),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode != 0
    after = order.view()["hold"]
    assert (after["hold"], after["reason"]) == (before["hold"], before["reason"])
    return result.stderr


def signal(house: House, order: PlacedOrder, **release: Any) -> None:
    """`release_hold` as a signal from the CLI."""
    argument = {"by": "support", "reason": order.view()["hold"]["reason"], **release}
    temporal(
        house,
        *("workflow", "signal", "-w", f"order-demo-{order.id}", "--name", "release_hold"),
        *("--input", json.dumps(argument)),
    )


def alerts(house: House, order: PlacedOrder) -> list[str]:
    """Summaries of the alerts that the order raised."""
    return [
        json.loads(__import__("base64").b64decode(event["userMetadata"]["summary"]["data"]))
        for event in history(house, f"order-demo-{order.id}")
        if event.get("activityTaskScheduledEventAttributes", {}).get("activityType", {}).get("name") == "raise_alert"
    ]


def item(house: House, code: str, on_hand: int | None = None, **columns: Any) -> None:
    """The office changes an item."""
    stock = {} if on_hand is None else {"000": on_hand}
    house.sandbox.control("sage", "item", {"ItemCode": code, "Columns": columns, "OnHand": stock})


def account(house: House, division: str, number: str, **columns: Any) -> None:
    """The office changes an account."""
    house.sandbox.control("sage", "customer", {"ARDivisionNo": division, "CustomerNo": number, "Columns": columns})


def in_sage(house: House, order: PlacedOrder) -> dict[str, Any]:
    """The sales order's header, live or in history."""
    for table in ("SO_SalesOrderHistoryHeader", "SO_SalesOrderHeader"):
        rows = house.sandbox.rows(f"SELECT * FROM {table} WHERE UDF_WEB_ORDER_ID = ?", order.id)
        if rows:
            return rows[0]
    return {}


def cancelled(order: PlacedOrder) -> None:
    order.until_state("cancelled")
    assert order.at_clarity()["status"] == "Cancelled"


# ---- how every hold shows -------------------------------------------------------------------------------------------


def test_a_hold_appears_alerts_once_reminds_and_shows_the_exact_command(support: House) -> None:
    order = order_of(support, ("NO-SUCH-SKU", 1, "10.00"))
    hold = held(order, "unknown_item")
    wait_until("it reminds twice", lambda: order.view()["hold"]["reminders"] >= 2, 20)
    told = alerts(support, order)
    assert [text for text in told if "reminder" not in text] == ["Alert: held: unknown_item"]
    listed = temporal(
        support, "workflow", "list", "--query", "HoldReason='unknown_item' AND OrderState='held' AND "
        "ExecutionStatus='Running'"
    )  # fmt: skip
    assert f"order-demo-{order.id}" in listed
    page = temporal(support, "workflow", "metadata", "-w", f"order-demo-{order.id}", "-o", "json")
    page = json.loads(page)["currentDetails"]
    command = re.search(r"```\n(temporal workflow update execute.*?)\n```", page, re.DOTALL)
    assert command is not None
    assert f'"reason": "unknown_item", "hold": {hold["hold"]}' in command[1]
    assert "use_item" in page
    # The command, as it stands there.
    item(support, "NO-SUCH-SKU", 10)
    typed = command[1].replace("temporal workflow", f"{TEMPORAL} workflow --address {support.temporal_address}", 1)
    subprocess.run(["/bin/sh", "-c", typed], check=True, timeout=60, capture_output=True)
    order.until_state("complete")


def test_nonsense_is_refused_and_the_second_operator_too(support: House) -> None:
    order = order_of(support, ("NOT-THERE", 1, "10.00"))
    held(order, "unknown_item")
    assert "no action of a unknown_item hold" in refused(support, order, action="backorder")
    assert "items: says which item" in refused(support, order, action="use_item")
    assert "has no item '99'" in refused(support, order, action="use_item", items={"99": "LAMP-LED-01"})
    assert "1 to 30 characters" in refused(support, order, action="use_item", items={order.items[0]: "X" * 31})
    assert "correction: needs" in refused(support, order, action="correct")
    assert "has no item 'nope'" in refused(support, order, action="correct", correction={"items": {"nope": {}}})
    assert "cannot be changed" in refused(support, order, action="correct", correction={"id": "1"})
    assert "changes nothing" in refused(support, order, action="correct", correction={"currency": "USD"})
    assert "held for unknown_item, not for credit" in refused(support, order, action="retry", reason="credit")
    assert "hold 7 is over" in refused(support, order, action="retry", hold=7)
    hold = order.view()["hold"]["hold"]
    update(support, order, action="use_item", items={order.items[0]: "LAMP-LED-01"})
    late = httpx.post(
        f"{support.api_url}/orders/demo/{order.id}/release",
        json={"action": "cancel", "by": "late", "hold": hold},
        timeout=20,
    )
    assert late.status_code == 409
    held(order, "total_mismatch") if order.view()["state"] == "held" else order.until_state("complete")


# ---- each reason, each action ---------------------------------------------------------------------------------------


def test_invalid_data(support: House) -> None:
    no_city = {"name": "Ann", "line1": "1 Main Street", "region": "OR", "postalCode": "97201", "country": "US"}
    mended = order_of(support, DESK, shippingAddress=no_city)
    assert "data.shippingAddress.city" in {problem["field"] for problem in held(mended, "invalid_data")["problems"]}
    answer = update(support, mended, action="correct", correction={"shippingAddress": {"city": "Portland"}})
    assert "data.shippingAddress.city: nothing → Portland" in answer
    mended.until_state("complete")
    assert in_sage(support, mended)["ShipToCity"] == "Portland"
    assert any("Corrected data.shippingAddress.city" in entry["what"] for entry in mended.view()["trail"])

    wrong = order_of(support, DESK, LAMP, shippingAddress=no_city)
    held(wrong, "invalid_data")
    signal(support, wrong, action="correct", correction={"data": {"shippingAddress": {"region": "Oregonia"}}})
    wait_until("it is held again", lambda: (wrong.view().get("hold") or {}).get("hold") == 2, 20)
    assert len(wrong.view()["hold"]["problems"]) == 2
    update(support, wrong, action="retry")
    wait_until("nothing was mended", lambda: (wrong.view().get("hold") or {}).get("hold") == 3, 20)
    update(support, wrong, action="cancel")
    cancelled(wrong)


def test_unknown_item(support: House) -> None:
    chosen = order_of(support, ("SHOP-4711", 2, "49.99"))
    held(chosen, "unknown_item")
    update(support, chosen, action="use_item", items={chosen.items[0]: "LAMP-LED-01"}, remember=True)
    chosen.until_state("complete")
    assert support.sandbox.rows("SELECT ItemCode FROM IM_AliasItem WHERE AliasItemNo = 'SHOP-4711'") == [
        {"ItemCode": "LAMP-LED-01"}
    ]
    # The next order needs nobody.
    order_of(support, ("SHOP-4711", 1, "49.99")).until_state("complete")

    wrong = order_of(support, ("SHOP-4712", 1, "49.99"))
    held(wrong, "unknown_item")
    signal(support, wrong, action="use_item", items={wrong.items[0]: "LAMP-NOT"})
    wait_until("the chosen item is unknown too", lambda: (wrong.view().get("hold") or {}).get("hold") == 2, 20)
    update(support, wrong, action="correct", correction={"items": {wrong.items[0]: {"sku": "LAMP-LED-01"}}})
    wrong.until_state("complete")

    order = order_of(support, ("SHOP-4713", 1, "1.00"))
    held(order, "unknown_item")
    signal(support, order, action="cancel")
    cancelled(order)


def test_credit(support: House) -> None:
    dealer = {
        "customer": {"id": "9001", "accountNumber": "01-0001500", "email": "dora@prairie.example.com"},
        "payments": [],
    }
    account(support, "01", "0001500", CreditHold="Y")
    approved, retried, ended = (order_of(support, DESK, **dealer) for _ in range(3))
    for order in (approved, retried, ended):
        held(order, "credit")
    update(support, approved, action="approve", note="the director said so")
    approved.until_state("complete")
    signal(support, ended, action="cancel")
    cancelled(ended)
    account(support, "01", "0001500", CreditHold="N")
    update(support, retried, action="retry")
    retried.until_state("complete")


def test_customer_review(support: House) -> None:
    guest = {"customer": {"id": "", "email": "buyer@abf.example.com", "firstName": "G", "lastName": "Uest"}}
    chosen, new, ended = (order_of(support, DESK, **guest) for _ in range(3))
    for order in (chosen, new, ended):
        held(order, "customer_review")
    assert "division-number" in refused(support, chosen, action="use_customer", customer_no="ABF")
    update(support, chosen, action="use_customer", customer_no="01-NOBODY")
    wait_until("there is no such account", lambda: (chosen.view().get("hold") or {}).get("hold") == 2, 20)
    update(support, chosen, action="use_customer", customer_no="01-ABF")
    chosen.until_state("complete")
    assert in_sage(support, chosen)["CustomerNo"] == "ABF"
    update(support, new, action="create_customer")
    new.until_state("complete")
    assert in_sage(support, new)["ARDivisionNo"] == "02"
    signal(support, ended, action="cancel")
    cancelled(ended)


def test_total_mismatch(support: House) -> None:
    def off(by: str) -> dict[str, Any]:
        total = str(Decimal("349.00") + Decimal(by))
        return {"totals": {"items": "349.00", "discount": 0, "shipping": 0, "tax": 0, "fees": 0, "grand": total}}

    sage, clarity, mended, ended = (order_of(support, DESK, **off(by)) for by in ("0.01", "-0.02", "1", "2"))
    for order in (sage, clarity, mended, ended):
        hold = held(order, "total_mismatch")
        assert any("DESK-OAK-120: 1 × 349" in problem["message"] for problem in hold["problems"])
    assert "whose total is right" in refused(support, sage, action="approve")
    update(support, sage, action="approve", winner="sage")
    sage.until_state("complete")
    update(support, clarity, action="approve", winner="clarity")
    clarity.until_state("complete")
    number = in_sage(support, clarity)["SalesOrderNo"]
    lines = support.sandbox.rows(
        "SELECT ItemCode, OriginalUnitPrice FROM SO_SalesOrderHistoryDetail WHERE SalesOrderNo = ?", number
    )
    assert ("/ROUND", Decimal("-0.02")) in [(row["ItemCode"], Decimal(row["OriginalUnitPrice"])) for row in lines]
    update(support, mended, action="correct", correction={"totals": {"grand": "349.00"}})
    mended.until_state("complete")
    signal(support, ended, action="cancel")
    cancelled(ended)


def test_out_of_stock(support: House) -> None:
    item(support, "STOOL-1", 3, StandardUnitPrice="20.00")
    whole, part, woken, ended = (order_of(support, ("STOOL-1", 5, "20.00")) for _ in range(4))
    for order in (whole, part, woken, ended):
        assert held(order, "out_of_stock")["items"] == ["STOOL-1"]
    update(support, part, action="ship_available")
    wait_until("three are shipped", lambda: part.told() == {"1": Decimal(3)}, 30)
    update(support, whole, action="backorder")
    assert whole.sales_order_no
    signal(support, ended, action="cancel")
    cancelled(ended)
    assert whole.told() == {}
    assert woken.view()["state"] == "held"
    told = alerts(support, woken)
    assert told.count("Alert: held: out_of_stock") == 1
    item(support, "STOOL-1", 50)
    for order in (whole, part, woken):
        order.until_state("complete")
        assert order.told() == {"1": Decimal(5)}
    assert any("released with retry by" in entry["what"] for entry in woken.view()["trail"])


def test_no_back_orders_for_an_item_that_has_none(support: House) -> None:
    item(support, "ONCE-1", 2, AllowBackOrders="N", StandardUnitPrice="20.00")
    order = order_of(support, ("ONCE-1", 5, "20.00"))
    held(order, "out_of_stock")
    assert "no back orders" in refused(support, order, action="backorder")
    update(support, order, action="ship_available")
    view = order.until_state("complete")
    assert view["ending"] == "closed_short"
    assert order.told() == {"1": Decimal(2)}
    assert order.cancelled()["1"][0] == 3
