"""Saved histories replay: an edit that would break running workflows fails here (docs/changing-workflows.md).

The histories are of real runs of the sandbox, saved by the tests that play them (`tests/support/histories.py`). When a
change of a workflow is meant to be incompatible, guard it with `workflow.patched`; never delete a history to make this
test pass.
"""

import dataclasses
import json
import re
from base64 import b64decode
from collections.abc import Iterator
from functools import cache, wraps
from pathlib import Path
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from contracts.messages import actions_for
from contracts.search_attributes import OrderState
from mappings.problems import HoldReason
from tests.support.histories import clean
from tests.support.processes import ROOT
from workers.plugin import integration_plugin
from workers.roles import WORKFLOWS
from workflows.promotion import PromotionWorkflow

FOLDER = ROOT / "tests" / "histories"
HISTORIES = sorted(FOLDER.glob("*.json"))
EVERY_WORKFLOW = [*WORKFLOWS, PromotionWorkflow]
"""Also the one that runs in the process of `promote`: an interrupted promotion goes on with newer code."""
EACH = pytest.mark.parametrize("file", HISTORIES, ids=lambda file: file.stem)
LARGEST = 200_000
"""Bytes of a history: they are read at each run of the tests."""
PATHS = (
    *(
        "plain",
        "plain_without_a_timer",
        "asked_by_the_watch",
        "new_buyer",
        "partial_shipments",
        "closed_short",
        "voided",
        "outage_waited_out",
        "held_out_of_stock",
    ),
    *("cancelled_at_clarity_before_creation", "cancelled_in_sage", "deleted_in_sage", "number_taken"),
    *("lost_answer_part", "lost_answer_full", "unread_part", "unread_full", "reset_after_the_look"),
    *("started_again_after_termination", "forced_after_retention"),
    *("customer_created", "customer_number_taken", "outage_watch", "poll_shift", "watch_shift", "alerts"),
    *("backfill_by_hand", "backfill_window"),
    *("product_written", "product_created", "product_catch_up"),
    *("dead_letter_replayed", "dead_letter_discarded", "dead_letter_order_ended"),
    *("shadow_order", "shadow_comparison", "going_live", "adopted"),
    *("cash_receipts", "invoices_when_posted", "change_left_aside"),
    *("promoted", "promotion_rolled_back"),
)
"""Ways through the workflows, holds aside."""


def text_of(file: Path) -> str:
    """The saved JSON."""
    return file.read_text("utf-8")


@cache
def events_of(file: Path) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = json.loads(text_of(file))["events"]
    return events


def type_of(file: Path) -> str:
    """The workflow type that the history is of."""
    return str(events_of(file)[0]["workflowExecutionStartedEventAttributes"]["workflowType"]["name"])


def values(file: Path, attribute: str) -> Iterator[str]:
    """What the run has set a search attribute to."""
    for event in events_of(file):
        upsert = event.get("upsertWorkflowSearchAttributesEventAttributes", {}).get("searchAttributes", {})
        data = upsert.get("indexedFields", {}).get(attribute, {}).get("data")
        if data:
            yield str(json.loads(b64decode(data)))


def actions(file: Path) -> Iterator[str]:
    """What people decided, by update or signal."""
    for event in events_of(file):
        taken = event.get("workflowExecutionUpdateAcceptedEventAttributes", {}).get("acceptedRequest", {})
        messages = [taken.get("input", {}), event.get("workflowExecutionSignaledEventAttributes", {})]
        for message in messages:
            if message.get("name", message.get("signalName")) == "release_hold":
                payloads = message.get("args", message.get("input", {})).get("payloads", [])
                yield from (str(json.loads(b64decode(one["data"])).get("action")) for one in payloads)


@pytest.mark.asyncio(loop_scope="session")
@EACH
async def test_saved_history_replays(file: Path) -> None:
    history = WorkflowHistory.from_json(file.stem, text_of(file))
    result = await Replayer(workflows=EVERY_WORKFLOW, plugins=[integration_plugin()]).replay_workflow(history)
    assert result.replay_failure is None


# ---- an edit that would break running workflows is noticed ----------------------------------------------------------


@pytest.mark.asyncio(loop_scope="session")
async def test_a_history_that_another_workflow_made_is_noticed() -> None:
    other = text_of(FOLDER / "plain.json").replace("acknowledge_to_clarity", "tell_clarity_first")
    replayer = Replayer(workflows=WORKFLOWS, plugins=[integration_plugin()])
    result = await replayer.replay_workflow(WorkflowHistory.from_json("plain", other), raise_on_replay_failure=False)
    assert "TMPRL1100" in str(result.replay_failure)


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("name", ["plain", "dead_letter_replayed", "backfill_window", "alerts", "outage_watch"])
async def test_a_step_more_at_the_beginning_breaks_every_kind_of_workflow(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edit as somebody might make it, without `workflow.patched`."""
    file = FOLDER / f"{name}.json"
    edited = next(one for one in WORKFLOWS if defined_name(one) == type_of(file))
    definition = workflow._Definition.must_from_class(edited)

    @wraps(definition.run_fn)
    async def one_step_more(self: Any, start: Any) -> Any:
        workflow.upsert_memo({"edited": True})
        return await definition.run_fn(self, start)

    changed = dataclasses.replace(definition, run_fn=one_step_more)
    monkeypatch.setattr(edited, "__temporal_workflow_definition", changed)
    replayer = Replayer(workflows=WORKFLOWS, plugins=[integration_plugin()])
    history = WorkflowHistory.from_json(name, text_of(file))
    result = await replayer.replay_workflow(history, raise_on_replay_failure=False)
    assert "TMPRL1100" in str(result.replay_failure)


# ---- the histories are of every path --------------------------------------------------------------------------------


def defined_name(class_: type) -> str:
    """The name under which a workflow is registered."""
    name = workflow._Definition.must_from_class(class_).name
    assert name is not None
    return name


def test_every_workflow_that_workers_register_has_a_history() -> None:
    assert {type_of(file) for file in HISTORIES} == {defined_name(one) for one in EVERY_WORKFLOW}


def test_every_hold_and_each_of_its_actions_has_a_history() -> None:
    wanted = {(reason.value, action.value) for reason in HoldReason for action in actions_for(reason)}
    held = {
        (reason, action)
        for file in HISTORIES
        for reason in set(values(file, "HoldReason"))
        for action in set(actions(file))
    }
    assert wanted - held == set()


def test_every_state_of_an_order_has_a_history() -> None:
    reached = {state for file in HISTORIES for state in values(file, "OrderState")}
    assert reached == {state.value for state in OrderState}


def test_every_path_has_a_history() -> None:
    assert set(PATHS) - {file.stem for file in HISTORIES} == set()


@EACH
def test_a_history_is_small_and_says_nothing_of_the_machine_it_was_made_on(file: Path) -> None:
    text = text_of(file)
    assert len(text) <= LARGEST
    assert clean(text) == text
    decoded = [b64decode(data).decode(errors="replace") for data in re.findall(r'"data": ?"([^"]+)"', text)]
    assert [one for one in (text, *decoded) if re.search(r"/(home|root|tmp|work|Users)/", one)] == []
