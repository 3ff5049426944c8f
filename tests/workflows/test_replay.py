"""Saved histories replay: an edit that would break running orders fails here.

The histories were saved from `make run`. When a change of a workflow is meant to be incompatible, guard it with
`workflow.patched`; never delete a history to make this test pass.
"""

from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from tests.support.processes import ROOT
from workers.plugin import integration_plugin
from workers.roles import WORKFLOWS

HISTORIES = sorted((ROOT / "tests" / "histories").glob("*.json"))

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("file", HISTORIES, ids=lambda file: file.stem)
async def test_saved_history_replays(file: Path) -> None:
    history = WorkflowHistory.from_json(file.stem, text_of(file))
    result = await Replayer(workflows=WORKFLOWS, plugins=[integration_plugin()]).replay_workflow(history)
    assert result.replay_failure is None


async def test_a_history_that_another_workflow_made_is_noticed() -> None:
    assert len(HISTORIES) >= 2
    other = text_of(ROOT / "tests/histories/plain.json").replace("acknowledge_to_clarity", "tell_clarity_first")
    replayer = Replayer(workflows=WORKFLOWS, plugins=[integration_plugin()])
    result = await replayer.replay_workflow(WorkflowHistory.from_json("plain", other), raise_on_replay_failure=False)
    assert "TMPRL1100" in str(result.replay_failure)


def text_of(file: Path) -> str:
    """The saved JSON."""
    return file.read_text("utf-8")
