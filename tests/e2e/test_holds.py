"""Every hold with each of its actions, released as support does it: CLI updates and signals, one by one and in bulk."""

import json
import random
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import QUICK, House, pairs_with_pace, running_house
from tests.e2e.temporal import history, temporal
from tests.support.histories import TEMPORAL, keep_history
from tests.support.http import HTTP
from tests.support.orders import PlacedOrder
from tests.support.processes import running, wait_until
from tests.support.sizes import LARGE

DESK = ("DESK-OAK-120", 1, "349.00")
LAMP = ("LAMP-LED-01", 2, "49.99")
FIRST_ORDERS = 40 if LARGE else 12
PIECES = 10 if LARGE else 4
BULK = 25 if LARGE else 8


@pytest.fixture(scope="module")
def support(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house in which holds remind after two seconds."""
    folder = tmp_path_factory.mktemp("support")
    pairs = pairs_with_pace(folder / "pairs", **QUICK, hold_reminder=2, stock_sweep=0.5, stock_second_look=1)
    flags = ("--no-orders", "--ship-after", "0.5", "--post-after", "1")
    with running_house(folder, *flags, environment={"PAIRS_DIR": str(pairs)}) as one:
        yield one


def shown_commands(page: str) -> dict[str, str]:
    """Action → the command that the details page shows for it."""
    commands = re.findall(r"^`([a-z_]+)`: [^\n]+\n\n```\n(temporal workflow update execute.*?)\n```", page, re.M | re.S)
    return dict(commands)


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


def details_of(answer: str) -> str:
    """The details page in the CLI's answer."""
    return str(find(json.loads(answer), "currentDetails"))


def find(value: Any, name: str) -> Any:
    """The first value under this name, however deep."""
    if isinstance(value, dict):
        return value.get(name) or next((one for inner in value.values() if (one := find(inner, name))), None)
    if isinstance(value, list):
        return next((one for inner in value if (one := find(inner, name))), None)
    return None


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


def paid(amount: str) -> dict[str, Any]:
    """Captured in full."""
    capture = {"gateway": "paypal", "transactionId": "PAY", "type": "capture", "amount": amount, "currency": "USD"}
    return {"payments": [capture]}


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
    page = details_of(page)
    commands = shown_commands(page)
    assert list(commands) == ["use_item", "correct", "retry", "cancel"]
    command = commands["retry"]
    assert f'"reason": "unknown_item", "hold": {hold["hold"]}' in command
    # The command, as it stands there.
    item(support, "NO-SUCH-SKU", 10)
    typed = command.replace("temporal workflow", f"{TEMPORAL} workflow --address {support.temporal_address}", 1)
    subprocess.run(["/bin/sh", "-c", typed], check=True, timeout=60, capture_output=True)
    order.until_state("complete")


def test_nonsense_is_refused_and_the_second_operator_too(support: House) -> None:
    order = order_of(support, ("NOT-THERE", 1, "10.00"))
    held(order, "unknown_item")
    assert "no action of this hold (unknown_item)" in refused(support, order, action="backorder")
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
    late = HTTP.post(
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
        totals = {"items": "349.00", "discount": 0, "shipping": 0, "tax": 0, "fees": 0, "grand": total}
        return {"totals": totals, **paid(total)}

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
    assert ("/ROUND", Decimal("-0.02")) in [(row["ItemCode"], Decimal(str(row["OriginalUnitPrice"]))) for row in lines]
    update(support, mended, action="correct", correction={"totals": {"grand": "349.00"}, **paid("349.00")})
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


def test_rejected_by_clarity(support: House) -> None:
    def refused_once(order: PlacedOrder, times: int = 1) -> None:
        fault = {"route": f"PATCH /api/v1/orders/{order.id}", "contains": '"Processing"', "fault": "refused"}
        support.sandbox.control("clarity", "faults", {**fault, "times": times})

    buyer = {"id": "501", "email": "maria.g.new@example.com", "firstName": "Maria", "lastName": "Gonzales"}
    order = PlacedOrder(support.sandbox, support.api_url, DESK, customer=buyer)
    refused_once(order, 2)
    order.check_out()
    held(order, "rejected_by_clarity")
    update(support, order, action="retry")
    wait_until("nothing was mended", lambda: (order.view().get("hold") or {}).get("hold") == 2, 20)
    signal(support, order, action="correct", correction={"customer": {"firstName": "Mary"}})
    order.until_state("complete")


# ---- in bulk --------------------------------------------------------------------------------------------------------


def test_one_command_releases_many_orders_and_touches_no_closed_one(support: House) -> None:
    item(support, "BULK-1", 0, StandardUnitPrice="5.00")
    closed = order_of(support, ("BULK-1", 1, "5.00"))
    held(closed, "out_of_stock")
    update(support, closed, action="cancel")
    cancelled(closed)
    orders = [order_of(support, ("BULK-1", 1, "5.00")) for _ in range(BULK)]
    for order in orders:
        held(order, "out_of_stock")
    query = "HoldReason='out_of_stock' AND HeldItems='BULK-1' AND ExecutionStatus='Running'"
    wait_until(
        "all are listed", lambda: f'"{BULK}"' in temporal(support, "workflow", "count", "--query", query, "-o", "json")
    )
    temporal(
        support,
        *("workflow", "signal", "--query", query, "--yes", "--reason", "a delivery is due", "--name", "release_hold"),
        *("--input", '{"action": "backorder", "by": "support", "reason": "out_of_stock"}'),
    )
    for order in orders:
        assert order.sales_order_no
        order.until_state("open")
    assert closed.view()["state"] == "cancelled"
    item(support, "BULK-1", BULK)
    for order in orders:
        order.until_state("complete", deadline=90)


def test_a_hundred_and_twenty_long_codes_out_of_stock(support: House) -> None:
    codes = [f"{number:03d}-" + "LONG-ITEM-CODE-OF-30-CHARS" for number in range(120)]
    assert {len(code) for code in codes} == {30}
    for code in codes:
        item(support, code, 0, StandardUnitPrice="5.00")
    order = order_of(support, *((code, 1, "5.00") for code in codes))
    hold = held(order, "out_of_stock")
    assert len(hold["items"]) == 120
    query = f"HoldReason='out_of_stock' AND HeldItems='{codes[0]}' AND ExecutionStatus='Running'"
    wait_until("it is listed by an item", lambda: order.id in temporal(support, "workflow", "list", "--query", query))
    for code in codes[:-1]:
        item(support, code, 5)
    assert order.view()["state"] == "held"
    item(support, codes[-1], 5)
    order.until_state("complete")
    assert len(order.told()) == 120


def test_three_times_as_many_orders_as_there_are_pieces(support: House) -> None:
    """Whatever the order of releases, nobody gets what is not there."""
    item(support, "LAST-10", 0, StandardUnitPrice="5.00")
    orders = [order_of(support, ("LAST-10", 1, "5.00")) for _ in range(3 * PIECES)]
    for order in orders:
        held(order, "out_of_stock")
    item(support, "LAST-10", PIECES)
    actions = ("retry", "ship_available", "backorder")
    seed = random.randrange(10**6)  # noqa: S311 - no secret
    print(f"order of releases by seed {seed}")
    random.Random(seed).shuffle(orders)  # noqa: S311 - no secret
    for number, order in enumerate(orders):
        release = {"action": actions[number % 3], "by": "support", "reason": "out_of_stock"}
        try:
            temporal(
                support,
                *("workflow", "signal", "-w", f"order-demo-{order.id}", "--name", "release_hold"),
                *("--input", json.dumps(release)),
            )
        except AssertionError as error:
            # The stock woke it: it took one of the pieces before this release came.
            assert "already completed" in str(error)
            order.until_state("complete")
    query = "SELECT QuantityOnHand FROM IM_ItemWarehouse WHERE ItemCode = 'LAST-10' AND WarehouseCode = '000'"

    def shipped() -> int:
        assert all(Decimal(str(row["QuantityOnHand"])) >= 0 for row in support.sandbox.rows(query))
        return sum(order.view()["state"] == "complete" for order in orders)

    wait_until("all pieces are sold", lambda: shipped() == PIECES, 90)
    packed = support.sandbox.rows(
        "SELECT SUM(QuantityShipped) AS shipped FROM AR_InvoiceHistoryDetail WHERE ItemCode = 'LAST-10'"
    )
    assert Decimal(str(packed[0]["shipped"])) == PIECES
    waiting = [order for order in orders if order.view()["state"] in ("held", "open")]
    assert len(waiting) == 2 * PIECES


# ---- customers ------------------------------------------------------------------------------------------------------


def settings_of_a_worker(house: House) -> dict[str, str]:
    """The environment in which the house runs its workers, for more of them."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            settings = dict(
                entry.split("=", 1) for entry in (process / "environ").read_text("utf-8").split("\0") if "=" in entry
            )
            if settings.get("TEMPORAL_ADDRESS") == house.temporal_address:
                return settings
    raise AssertionError("no process of this house is running")


def test_many_first_orders_of_one_person_make_one_account(support: House, tmp_path: Path) -> None:
    """At the same moment, some with an e-mail, some with a phone, some with both; two more worker processes help."""
    settings = settings_of_a_worker(support)
    with (
        running(["workers", "--role", "orders"], tmp_path / "second.log", settings),
        running(["workers", "--role", "orders"], tmp_path / "third.log", settings),
    ):
        first_orders_of_one_person(support)


def first_orders_of_one_person(support: House) -> None:
    address = {
        "name": "Wilhelmina Quist",
        "line1": "71 Alder Road",
        "city": "Salem",
        "region": "OR",
        "postalCode": "97301",
        "country": "US",
    }
    keys = (
        {"email": "mina.quist@example.com"},
        {"phone": "+1 503 555 0142"},
        {"email": "mina.quist@example.com", "phone": "+1 503 555 0142"},
    )
    orders = [
        PlacedOrder(
            support.sandbox,
            support.api_url,
            LAMP,
            customer={"firstName": "Wilhelmina", "lastName": "Quist", **keys[number % 3]},
            billingAddress=address,
            shippingAddress=address,
        )
        for number in range(FIRST_ORDERS)
    ]
    with ThreadPoolExecutor(max_workers=FIRST_ORDERS) as threads:
        list(threads.map(lambda order: order.check_out(), orders))
    for order in orders:
        order.until_state("complete", deadline=120)
    accounts = support.sandbox.rows("SELECT CustomerNo FROM AR_Customer WHERE CustomerName = 'Wilhelmina Quist'")
    assert len(accounts) == 1
    assert {in_sage(support, order)["CustomerNo"] for order in orders} == {accounts[0]["CustomerNo"]}


# ---- somebody presses "Request Cancellation" ------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["retry", "approve", "cancel"])
def test_a_cancel_request_from_outside_is_asked_about(support: House, action: str) -> None:
    code = f"ASKED-{action.upper()}"
    order = order_of(support, (code, 1, "5.00"))
    held(order, "unknown_item")
    temporal(support, "workflow", "cancel", "-w", f"order-demo-{order.id}")
    wait_until("it is noted", lambda: "requested from outside" in str(order.view()["trail"]), 30)
    item(support, code, 5, StandardUnitPrice="5.00")
    update(support, order, action="retry")
    wait_until("it is asked about", lambda: (order.view().get("hold") or {}).get("reason") == "order_changed", 30)
    update(support, order, action=action)
    order.until_state("cancelled" if action == "cancel" else "complete")
    assert bool(in_sage(support, order)) == (action != "cancel")
    keep_history(support.temporal_address, f"order-demo-{order.id}", f"hold-order_changed-{action}")
