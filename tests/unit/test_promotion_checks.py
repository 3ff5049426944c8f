"""What the command of a promotion holds against a candidate before anything moves; Temporal's answers are given."""

import argparse
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from temporalio.api.common.v1 import Payloads
from temporalio.api.deployment.v1 import RoutingConfig, WorkerDeploymentVersion
from temporalio.api.history.v1 import HistoryEvent, WorkflowExecutionStartedEventAttributes
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from contracts.messages import OrderStart
from contracts.promotion import PromotionEnd
from mappings import preview as mappings_preview
from mappings.pair import Pair, load_pairs
from mappings.sales_order import Transformed
from mappings.transform import transform
from tests.support.processes import ROOT
from tests.workflows.conftest import payload_of
from workers import promote, promotion_checks
from workers.promote import Promotion, Status, Stop, add_promote_options
from workers.promotion_checks import Previewed, preview
from workers.settings import Settings
from workers.versions import mapping_version

PAIRS = ROOT / "mappings" / "pairs"
OLD = load_pairs(PAIRS)["demo"]
NEW = OLD.model_copy(update={"version": "another file"})


def command(folder: Path, said: list[str], build: str = "") -> Promotion:
    """Of QA to production, which have the same pair files here."""
    for name in ("qa", "prod"):
        more = {"TEMPORAL_ADDRESS": "127.0.0.1:1", "TEMPORAL_NAMESPACE": name, "PAIRS_DIR": str(PAIRS)}
        lines = {**more, "WORKER_DEPLOYMENT": "shop"}
        (folder / f"{name}.env").write_text("".join(f"{key}={value}\n" for key, value in lines.items()), "utf-8")
    parser = argparse.ArgumentParser()
    add_promote_options(parser)
    options = parser.parse_args(["--from", "qa", "--to", "prod", "--by", "the test", "--yes"])
    return Promotion(options, Settings(environments_dir=folder, worker_build_id=build), said.append)


# ---- a transform that raises ----------------------------------------------------------------------------------------


async def previewed(
    monkeypatch: pytest.MonkeyPatch, raises: set[str], recorded: Transformed | None = None
) -> Previewed:
    """One order, where this code raises for pair files of these versions."""
    payload = payload_of("02-known-web-customer")

    async def arrived(*_: object) -> tuple[OrderStart, Transformed | None]:
        start = OrderStart(
            pair="demo", order_id="1", payload=payload, digest="1", received_at=datetime.now(UTC), pace=OLD.pace
        )
        return start, recorded

    async def orders(*_: object, **__: object) -> AsyncIterator[Any]:
        yield SimpleNamespace(id="order-demo-1", run_id="1")

    def transform_or_raise(order: dict[str, Any], pair: Pair) -> Transformed:
        if pair.version in raises:
            raise ZeroDivisionError(f"a bug with {order['data']['billingAddress']}")
        return transform(order, pair)

    monkeypatch.setattr(promotion_checks, "_arrived", arrived)
    monkeypatch.setattr(mappings_preview, "transform", transform_or_raise)
    client = cast(Client, SimpleNamespace(list_workflows=orders))
    return await preview(client, {"demo": OLD}, {"demo": NEW}, 50)


@pytest.mark.asyncio
async def test_an_exception_of_the_candidate_is_a_difference_without_values(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = await previewed(monkeypatch, {NEW.version})
    said: list[str] = []
    command(tmp_path, said).show_preview(found)
    assert said[0] == "Previewed the last 1 orders: 1 would be another Sage order"
    [difference] = [line for line in said if "exception" in line]
    place = "tests/unit/test_promotion_checks.py:"
    assert difference.startswith(f"    exception: (none) → ZeroDivisionError in {place}"), said
    assert "a bug with" not in "".join(said)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("raises", "differs"),
    [(set(), 0), ({OLD.version}, 1), ({OLD.version, NEW.version}, 0)],
    ids=["none", "old", "both"],
)
async def test_an_exception_on_both_sides_is_no_difference(
    monkeypatch: pytest.MonkeyPatch, raises: set[str], differs: int
) -> None:
    found = await previewed(monkeypatch, raises)
    assert (found.orders, len(found.differing)) == (1, differs)


@pytest.mark.asyncio
async def test_an_exception_where_production_made_an_order_is_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """The candidate's code raises with either pair file: production's did not."""
    recorded = transform(payload_of("02-known-web-customer"), OLD)
    assert len((await previewed(monkeypatch, {OLD.version, NEW.version}, recorded)).differing) == 1


@pytest.mark.asyncio
async def test_a_start_argument_that_this_code_cannot_read_is_a_difference_and_stops_no_other() -> None:
    """Such as one that a person started by hand. Its values are not told."""
    good = OrderStart(
        pair="demo",
        order_id="2",
        payload=payload_of("02-known-web-customer"),
        digest="1",
        received_at=datetime.now(UTC),
        pace=OLD.pace,
    )
    arguments: dict[str, object] = {"order-demo-1": {"pair": "demo", "note": "for Ms Hart"}, "order-demo-2": good}

    async def orders(*_: object, **__: object) -> AsyncIterator[Any]:
        for name in arguments:
            yield SimpleNamespace(id=name, run_id="1")

    class Handle:
        def __init__(self, workflow_id: str) -> None:
            self._argument = arguments[workflow_id]

        async def fetch_history_events(self) -> AsyncIterator[HistoryEvent]:
            payloads = Payloads(payloads=await pydantic_data_converter.encode([self._argument]))
            started = WorkflowExecutionStartedEventAttributes(input=payloads)
            yield HistoryEvent(event_id=1, workflow_execution_started_event_attributes=started)

    client = SimpleNamespace(
        list_workflows=orders,
        data_converter=pydantic_data_converter,
        get_workflow_handle=lambda workflow_id, run_id: Handle(workflow_id),
    )
    found = await preview(cast(Client, client), {"demo": OLD}, {"demo": NEW}, 50)
    assert found.orders == 2
    [only] = found.differing
    assert only.workflow_id == "order-demo-1"
    assert [str(one) for one in only.differences] == ["start: (as it arrived) → cannot be read: ValidationError"]


# ---- what production runs -------------------------------------------------------------------------------------------


def test_a_preview_against_pair_files_that_production_does_not_run_is_stopped(tmp_path: Path) -> None:
    said: list[str] = []
    promotion = command(tmp_path, said)
    here = mapping_version(promotion.before)

    def checked(**current: str) -> None:
        promotion.checked = promotion.checked.model_copy(update={"current": current})
        promotion.compare_with_what_runs()

    checked(orders=f"00000000-{here}", sage="00000000-99999999")
    checked(orders=promotion.build_id, sage=f"00000000-{here}")
    checked(orders="")
    assert said == []
    with pytest.raises(Stop, match=f"prod runs mapping 99999999 .*, are mapping {here}: ") as stopped:
        checked(orders="00000000-99999999")
    assert (stopped.value.status, stopped.value.end) == (Status.STOPPED, PromotionEnd.STOPPED)
    checked(orders="r12")
    assert len(said) == 1
    assert "build r12 names no mapping" in said[0]


def test_build_ids_of_ones_own_name_no_mapping(tmp_path: Path) -> None:
    said: list[str] = []
    promotion = command(tmp_path, said, build="20261126-00000001")
    promotion.checked = promotion.checked.model_copy(update={"current": {"orders": "20261125-00000001"}})
    promotion.compare_with_what_runs()
    assert "names no mapping" in said[0]


@pytest.mark.asyncio
async def test_another_promotion_during_the_question_stops_this_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    promotion = command(tmp_path, [])
    promotion.client = cast(Client, None)
    promotion.checked = promotion.checked.model_copy(update={"current": dict.fromkeys(promotion.roles, "1")})
    current = "1"

    async def routing(*_: object) -> RoutingConfig:
        return RoutingConfig(current_deployment_version=WorkerDeploymentVersion(build_id=current))

    monkeypatch.setattr(promote, "routing", routing)
    await promotion.unless_promoted_meanwhile()
    current = "2"
    with pytest.raises(Stop, match="orders: build 2 became the current version after the checks") as stopped:
        await promotion.unless_promoted_meanwhile()
    assert stopped.value.status is Status.BUSY
