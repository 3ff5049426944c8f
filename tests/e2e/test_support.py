"""What developers and support see and do: the history, the listing, the release, by Temporal's own CLI."""

import itertools
import json
import subprocess
from typing import Any

from tests.e2e.conftest import House, expectations
from tests.e2e.temporal import cli_environment, history, temporal
from tests.support.histories import TEMPORAL
from tests.support.http import HTTP
from tests.support.processes import wait_until


def order_view(house: House, order_id: str) -> dict[str, Any]:
    answer = HTTP.get(f"{house.api_url}/orders/demo/{order_id}", timeout=10).json()
    return dict(answer.get("order") or {})


SHIPPED_WITH = 5
"""Activities of a plain order until its one shipment is told."""
ONE_TASK = 3
"""Events of a workflow task: scheduled, started, completed."""


def carried_on(names: list[str]) -> int:
    """Workflow tasks that nothing but a slow local activity asked for: the SDK's heartbeats of the one before.

    What else asks for a task (a start, a message, an activity's end, a timer) is the event before it.
    """
    before = ("EVENT_TYPE_WORKFLOW_TASK_COMPLETED", "EVENT_TYPE_MARKER_RECORDED")
    return sum(
        name == "EVENT_TYPE_WORKFLOW_TASK_SCHEDULED" and last in before for last, name in itertools.pairwise(names)
    )


def test_a_plain_order_takes_at_most_42_events_when_shipped_and_52_when_complete(settled: House) -> None:
    """Orders of buyers that Sage knows: two upserts, no timer in the wait (design, budget).

    A message that arrives while an activity's answer is on its way makes one workflow task more (three events); what
    the process itself takes is seen in the quietest order. Where four houses share two cores, reading the order may
    take longer than a workflow task lasts: the tasks that carry it on are not counted.
    """
    shipped, complete = [], []
    for order_id in ("10002", "10009", "10010"):
        events = history(settled, f"order-demo-{order_id}")
        names = [event["eventType"] for event in events]
        assert names.count("EVENT_TYPE_TIMER_STARTED") == 0
        assert names.count("EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES") == 2, "open, complete"
        done = [place for place, name in enumerate(names) if name == "EVENT_TYPE_ACTIVITY_TASK_COMPLETED"]
        told = names.index("EVENT_TYPE_WORKFLOW_TASK_COMPLETED", done[SHIPPED_WITH - 1]) + 1
        shipped.append(told - ONE_TASK * carried_on(names[:told]))
        complete.append(len(events) - ONE_TASK * carried_on(names))
    assert min(shipped) <= 42, shipped
    assert min(complete) <= 52, complete
    assert max(shipped) <= 42 + ONE_TASK, shipped
    assert max(complete) <= 52 + 2 * ONE_TASK, complete


def test_every_activity_and_timer_of_an_order_has_a_summary(settled: House) -> None:
    for order_id in ("10002", "10001"):
        for event in history(settled, f"order-demo-{order_id}"):
            if event["eventType"] in (
                "EVENT_TYPE_ACTIVITY_TASK_SCHEDULED",
                "EVENT_TYPE_TIMER_STARTED",
                "EVENT_TYPE_MARKER_RECORDED",
            ):
                assert event.get("userMetadata", {}).get("summary"), event


def test_orders_are_listed_and_described_by_state(settled: House) -> None:
    held = temporal(settled, "workflow", "list", "--query", "OrderState='held' AND ExecutionStatus='Running'")
    for name, entry in expectations().items():
        assert (f"order-demo-{entry['order_id']} " in held) == (entry["result"] == "held"), name
    described = temporal(settled, "workflow", "describe", "-w", "order-demo-10021")
    assert "#W-10021" in described
    assert "total_mismatch" in described


def test_update_release_hold_looks_again_and_holds_again_when_nothing_was_mended(settled: House) -> None:
    refused = subprocess.run(
        [
            *(str(TEMPORAL), "workflow", "update", "execute", "--address", settled.temporal_address),
            *("-w", "order-demo-10020", "--name", "release_hold", "--input", '{"action": "explode", "by": "support"}'),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=cli_environment(settled),
    )
    assert refused.returncode != 0
    assert "Input should be 'retry', 'cancel'" in refused.stderr
    hold = order_view(settled, "10020")["hold"]
    release = {"action": "retry", "by": "support", "reason": "credit", "hold": hold["hold"]}
    answer = temporal(
        settled,
        *("workflow", "update", "execute", "-w", "order-demo-10020", "--name", "release_hold"),
        *("--input", json.dumps(release)),
    )
    assert "retry" in answer
    wait_until("it is held again: nothing was mended", lambda: order_view(settled, "10020").get("hold", {}) != hold)
    again = order_view(settled, "10020")
    assert any("released with retry by support" in entry["what"] for entry in again["trail"])


def test_a_release_for_another_hold_changes_nothing(settled: House) -> None:
    view = order_view(settled, "10021")
    answer = HTTP.post(
        f"{settled.api_url}/orders/demo/10021/release",
        json={"action": "retry", "by": "support", "hold": view["hold"]["hold"] + 7},
        timeout=20,
    )
    assert answer.status_code == 409
    signal = {"action": "retry", "by": "support", "reason": "credit"}
    temporal(
        settled,
        *("workflow", "signal", "-w", "order-demo-10021", "--name", "release_hold", "--input", json.dumps(signal)),
    )
    wait_until(
        "the signal is kept in the trail as ignored",
        lambda: any("was ignored" in entry["what"] for entry in order_view(settled, "10021")["trail"]),
    )
    assert order_view(settled, "10021")["hold"] == view["hold"]


def test_signal_release_hold_cancels_an_order_and_clarity_hears_it(settled: House) -> None:
    signal = {"action": "cancel", "by": "support", "reason": "customer_review", "note": "the buyer called"}
    temporal(
        settled,
        *("workflow", "signal", "-w", "order-demo-10019", "--name", "release_hold", "--input", json.dumps(signal)),
    )
    wait_until(
        "Clarity says Cancelled",
        lambda: settled.sandbox.clarity("GET", "/api/v1/orders/10019").json()["status"] == "Cancelled",
    )
    wait_until("the order is cancelled", lambda: order_view(settled, "10019")["state"] == "cancelled")
    listed = temporal(settled, "workflow", "list", "--query", "HoldReason='customer_review'")
    assert "order-demo-10019" not in listed


def test_the_details_page_of_a_held_order_shows_the_exact_command(settled: House) -> None:
    answer = temporal(settled, "workflow", "metadata", "-w", "order-demo-10023", "-o", "json")
    assert "out_of_stock" in answer
    assert "--name release_hold" in answer
    assert "SOFA-LOUNGE" in answer
