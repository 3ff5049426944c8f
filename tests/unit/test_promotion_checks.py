"""What the command of a promotion holds against a candidate before anything moves; Temporal's answers are given."""

import argparse
from pathlib import Path
from typing import cast

import pytest
from temporalio.api.deployment.v1 import RoutingConfig, WorkerDeploymentVersion
from temporalio.client import Client

from contracts.promotion import PromotionEnd
from tests.support.processes import ROOT
from workers import promote
from workers.promote import Promotion, Status, Stop, add_promote_options
from workers.settings import Settings
from workers.versions import mapping_version

PAIRS = ROOT / "mappings" / "pairs"


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
