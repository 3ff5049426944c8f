"""Orders that no shop should send, and card numbers where they do not belong, through the front door."""

import asyncio
import copy
import json
import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from tests.e2e.conftest import QUICK, House, pairs_with_pace, running_house
from tests.e2e.temporal import history
from tests.e2e.test_holds import held, order_of
from tests.e2e.test_webhooks import an_order, deliver, encode
from tests.support.http import HTTP
from tests.support.orders import PlacedOrder
from tests.support.processes import wait_until

CARDS = ("4111111111111111", "378282246310005", "5555555555554444", "6011111111111117", "4222222222222")
WRITTEN = ("4111 1111 1111 1111", "3782-822463-10005", "5555555555554444", "6011-1111-1111-1117", "4222222222222")


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house with nothing in it."""
    folder = tmp_path_factory.mktemp("door")
    pairs = pairs_with_pace(folder / "pairs", **QUICK)
    flags = ("--no-orders", "--ship-after", "off", "--post-after", "off")
    with running_house(folder, *flags, environment={"PAIRS_DIR": str(pairs)}) as one:
        yield one


def view(house: House, order_id: str) -> dict[str, Any]:
    answer = HTTP.get(f"{house.api_url}/orders/demo/{order_id}", timeout=10).json()
    return dict(answer.get("order") or {})


def is_held(house: House, order_id: str) -> dict[str, Any]:
    found = view(house, order_id)
    return found if found.get("state") == "held" else {}


HOSTILE: dict[str, dict[str, Any]] = {
    "fields missing": {"currency": None, "totals": None, "shippingAddress": None},
    "wrong types": {"items": "none", "customer": 7, "payments": {}, "notes": ["a"]},
    "huge numbers": {"totals": {"items": 10**30, "grand": "1e400"}},
    "negative quantity": {"items": [{"id": "1", "sku": "A", "quantity": -3, "unitPrice": "1.00"}]},
    "empty strings": {"currency": "", "createdDate": "", "items": [{"id": "", "sku": "", "quantity": ""}]},
    "control characters": {"createdDate": "\u202e\u0001", "currency": "U\u0000S"},
    "html": {"currency": "<b>", "shippingAddress": {"name": "<script>alert(1)</script>", "country": "<i>US</i>"}},
    "emoji": {"currency": "🦄", "shippingAddress": {"name": "🦄", "line1": "🏠", "city": "🏙", "country": "🇺🇸"}},
    "deep": {"items": [{"id": "1", "sku": json.loads("[" * 20 + "]" * 20), "quantity": 1, "unitPrice": 1}]},
    "no lines": {"items": []},
    "unknown status": {"status": "Beamed up"},
}  # fmt: skip


def test_hostile_orders_are_held_with_field_paths_and_one_is_corrected(door: House) -> None:
    orders, events = {}, {}
    for number, (name, changes) in enumerate(HOSTILE.items(), start=80_101):
        event = an_order(str(number), f"W-{number}")
        event["data"] |= changes
        answer = deliver(door, json.dumps(event).encode())
        assert (answer.status_code, answer.json().get("result")) == (202, "started"), (name, answer.text)
        orders[name], events[str(number)] = str(number), event
    for name, order_id in orders.items():
        hold = wait_until(f"{name} is held", partial(is_held, door, order_id))["hold"]
        assert hold["reason"] == "invalid_data", name
        assert all(problem["field"].startswith("data.") and problem["message"] for problem in hold["problems"]), hold
        kinds = {event["eventType"] for event in history(door, f"order-demo-{order_id}")}
        assert "EVENT_TYPE_WORKFLOW_TASK_FAILED" not in kinds, name
    mended = orders["unknown status"]
    HTTP.post(f"{door.sandbox.clarity_url}/_control/orders", json=events[mended], timeout=20)
    hold = view(door, mended)["hold"]
    release = {"action": "correct", "by": "support", "reason": "invalid_data", "hold": hold["hold"],
               "correction": {"status": "Processing"}}  # fmt: skip
    answer = HTTP.post(f"{door.api_url}/orders/demo/{mended}/release", json=release, timeout=20)
    assert answer.status_code == 200, answer.text
    wait_until("the corrected order stands in Sage", lambda: view(door, mended).get("state") == "open")


def test_five_thousand_lines_are_held_and_the_history_stays_small(door: House) -> None:
    event = an_order("80200", "W-80200")
    line = {"sku": "LAMP-LED-01", "quantity": 1, "unitPrice": "1.00"}
    event["data"]["items"] = [{**line, "id": str(number)} for number in range(5_000)]
    assert deliver(door, encode(event)).json()["result"] == "started"
    hold = wait_until("the order is held", lambda: is_held(door, "80200"))["hold"]
    assert [problem["field"] for problem in hold["problems"]] == ["data.items"]
    assert "5,000" in hold["problems"][0]["message"]
    size = asyncio.run(history_size(door, "order-demo-80200"))
    assert size < 500_000


async def history_size(house: House, workflow_id: str) -> int:
    client = await Client.connect(house.temporal_address)
    found = await client.get_workflow_handle(workflow_id).fetch_history()
    return sum(event.ByteSize() for event in found.events)


# ---- card numbers ---------------------------------------------------------------------------------------------------


def planted(node: Any, cards: Iterator[str], keep: tuple[str, ...] = ("id", "type", "updatedDate")) -> Any:
    """The payload with a card number in every string, and in a key and fields named after cards."""
    if isinstance(node, dict):
        changed = {
            key: value if key in keep else planted(value, cards, keep) for key, value in node.items()
        }  # fmt: skip
        return {**changed, "cvv": "123", "cardNumber": next(cards), "track2": f";{next(cards)}=2512"}
    if isinstance(node, list):
        return [planted(entry, cards, keep) for entry in node]
    return f"{node} {next(cards)} x" if isinstance(node, str) else node


def endless() -> Iterator[str]:
    while True:
        yield from WRITTEN


def test_card_numbers_in_every_field_are_nowhere(door: House, tmp_path: Path) -> None:
    cards = endless()
    everywhere = planted(an_order("80301", "W-80301"), cards)
    everywhere["data"]["attributes"] = {f"card {next(cards)}": next(cards), "pan": int(CARDS[0])}
    assert deliver(door, encode(everywhere)).json()["result"] == "started"
    hold = wait_until("the order is held", lambda: is_held(door, "80301"))["hold"]
    order = order_of(
        door, ("DESK-OAK-120", 1, "349.00"), notes=f"Charge {WRITTEN[0]} please",
        attributes={"card": WRITTEN[1], WRITTEN[2]: "key"},
    )  # fmt: skip
    order.until_state("open")
    correction = {"notes": f"card {WRITTEN[1]}", "customer": {"company": WRITTEN[4], "cvv": "1"}}
    said = {"by": f"Ann {WRITTEN[3]}", "note": f"paid with {WRITTEN[0]}", "correction": correction}
    release = {"action": "correct", "reason": "invalid_data", "hold": hold["hold"], **said}
    answer = HTTP.post(f"{door.api_url}/orders/demo/80301/release", json=release, timeout=20)
    dead = planted(an_order("", ""), cards, keep=("type",))
    assert deliver(door, encode(dead)).json()["result"] == "dead_letter"
    unknown = copy.deepcopy(everywhere)
    unknown["type"] = f"order.{WRITTEN[0]}"
    assert deliver(door, encode(unknown)).json()["result"] == "dead_letter"
    wait_until("the release was answered", lambda: answer.status_code in (200, 409, 422))
    texts = asyncio.run(everything(door))
    texts["answer to the release"] = answer.text
    texts["the held order"] = json.dumps(view(door, "80301"))
    texts |= {str(file): file.read_text("utf-8", "replace") for file in door.log.parent.rglob("*.log")}
    for table in ("SO_SalesOrderHeader", "SO_SalesOrderDetail", "AR_Customer"):
        texts[table] = json.dumps(door.sandbox.rows(f"SELECT * FROM {table}"), default=str)
    assert any("masked" in text for text in texts.values())
    for where, text in texts.items():
        bare = re.sub(r"[ \-]", "", text)
        for card in CARDS:
            assert card not in bare, f"{card} in {where}"


async def everything(house: House) -> dict[str, str]:
    """Every history of the house as text, payloads inflated."""
    client = await Client.connect(house.temporal_address)
    found = {}
    async for run in client.list_workflows():
        events = (await client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()).events
        found[run.id] = "\n".join(text_of(event) for event in events)
    assert len(found) > 2
    return found


def text_of(event: HistoryEvent) -> str:
    """The event with what its payloads hold."""
    texts = [str(event)]

    def collect(message: Any) -> None:
        for field, value in message.ListFields():
            if field.message_type is None:
                continue
            if field.is_repeated:
                many = value.values() if hasattr(value, "values") else value
                for one in many:
                    if hasattr(one, "ListFields"):
                        collect(one)
            elif isinstance(value, Payload):
                texts.append(inflated(value.data))
            else:
                collect(value)
        if isinstance(message, Payload):
            texts.append(inflated(message.data))

    collect(event)
    return "\n".join(texts)


def inflated(content: bytes) -> str:
    """A payload's text, whether or not it was deflated."""
    for bits in (15, -15, 31):
        with suppress(zlib.error):
            return zlib.decompress(content, bits).decode("utf-8", "replace")
    return content.decode("utf-8", "replace")


def test_the_scan_sees_what_it_looks_for(door: House) -> None:
    order = PlacedOrder(door.sandbox, door.api_url, ("NO-SUCH", 1, "1.00"), notes="find 4999 me " * 100).check_out()
    held(order, "unknown_item")
    texts = asyncio.run(everything(door))
    assert "find 4999 me" in texts[f"order-demo-{order.id}"]
