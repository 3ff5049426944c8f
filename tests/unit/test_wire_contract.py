"""Order workers and Sage workers are deployed apart: their activities and messages are a contract, additive only."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.wire import FILE, broken, registered

KEPT: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
HOW = "Give back what is gone, and add beside it (docs/changing-workflows.md)"


def test_nothing_of_the_wire_contract_is_gone_or_changed() -> None:
    lines = list(broken(KEPT, registered()))
    assert lines == [], HOW


def test_the_kept_contract_is_current() -> None:
    assert registered() == KEPT, "It was added to: .venv/bin/python -m tests.support.wire"


def remove_activity(now: dict[str, Any]) -> None:
    del now["activities"]["post_shipment"]


def remove_field(now: dict[str, Any]) -> None:
    del now["models"]["Acknowledge"]["properties"]["SalesOrderNo"]


def change_type(now: dict[str, Any]) -> None:
    now["models"]["Acknowledge"]["properties"]["SalesOrderNo"] = {"type": "integer"}


def demand_field(now: dict[str, Any]) -> None:
    now["models"]["Acknowledge"]["properties"]["priority"] = {"type": "integer"}
    now["models"]["Acknowledge"]["required"].append("priority")


def remove_signal(now: dict[str, Any]) -> None:
    del now["workflows"]["OrderFulfillmentWorkflow"]["signals"]["shipment"]


def remove_value(now: dict[str, Any]) -> None:
    now["models"]["HoldReason"]["enum"].remove("credit")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (remove_activity, "activities.post_shipment is gone"),
        (remove_field, "models.Acknowledge.properties.SalesOrderNo is gone"),
        (change_type, 'models.Acknowledge.properties.SalesOrderNo.type was "string" and is "integer"'),
        (demand_field, "models.Acknowledge: priority is required, and a process of before does not send it"),
        (remove_signal, "workflows.OrderFulfillmentWorkflow.signals.shipment is gone"),
        (remove_value, 'models.HoldReason.enum no longer allows "credit"'),
    ],
)
def test_what_is_gone_or_changed_is_named(change: Callable[[dict[str, Any]], None], said: str) -> None:
    now = copy.deepcopy(KEPT)
    change(now)
    assert list(broken(KEPT, now)) == [said]


def test_what_is_added_with_a_default_is_allowed() -> None:
    now = copy.deepcopy(KEPT)
    now["activities"]["tell_priority"] = {"arguments": {}, "result": {}}
    now["models"]["Acknowledge"]["properties"]["priority"] = {"type": "integer"}
    now["models"]["HoldReason"]["enum"].append("weather")
    assert list(broken(KEPT, now)) == []
