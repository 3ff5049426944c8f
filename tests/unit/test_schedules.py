"""Schedules of pairs: which there are, and which are left over when a pair's file is gone."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

from temporalio.client import Client, ScheduleOverlapPolicy

from mappings.pair import Pair
from workers.schedules import left_over, schedules_of


class Temporal:
    """Lists these Schedules."""

    def __init__(self, *ids: str) -> None:
        self.ids = ids

    async def list_schedules(self) -> AsyncIterator[Any]:
        async def answer() -> AsyncIterator[Any]:
            for id_ in self.ids:
                yield SimpleNamespace(id=id_)

        return answer()


async def test_schedules_of_a_removed_pair_are_named_and_no_others(pair: Pair) -> None:
    others = ("nightly-report", "sage-poll-Not-Ours", "watchdog-x1")
    client = Temporal(*schedules_of(pair), "sage-poll-acme", "backfill-acme", "watch-acme", *others)
    assert await left_over(cast(Client, client), [pair]) == ["backfill-acme", "sage-poll-acme", "watch-acme"]
    assert await left_over(cast(Client, Temporal(*schedules_of(pair))), [pair]) == []


def test_runs_of_one_schedule_never_overlap(pair: Pair) -> None:
    for schedule in schedules_of(pair).values():
        assert schedule.policy.overlap in (ScheduleOverlapPolicy.SKIP, ScheduleOverlapPolicy.BUFFER_ONE)
