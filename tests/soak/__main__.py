"""`make soak MINUTES=60`: orders for so long through a whole house; nothing may grow, nothing may be lost.

Buyers check out at the store, its webhooks go to the API, Sage gets the orders, the sandbox ships and posts them at
once, the store is told, the workflows end. Every `--sample` seconds each process is looked at. Then what is under way
ends, and the auditor of `tests.chaos` judges every order. Prints `SOAK` lines; writes `var/soak/`; exit status 1 when
something of ours grew over its limit, died, or an order was lost, doubled, wrong or silent.
"""

import argparse
import asyncio
import itertools
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from temporalio.client import Client

from tests.bench.figures import machine
from tests.chaos.auditor import Report
from tests.e2e.conftest import House, pairs_with_pace, running_house
from tests.soak import census
from tests.soak.census import OTHERS, OURS, Sample
from tests.soak.growth import Growth, at_rest, growth, table
from tests.soak.load import Load, fill_the_shelves, judge

PACE = {
    "poll_interval": 5,
    "quiet_interval": 5,
    "rotation": 60,
    "agree_time": 5,
    "settle_time": 5,
    "grace_time": 20,
    "daily_read": 3600,
    "poll_heartbeat_timeout": 45,
    "shift_length": 600,
    "customer_deadline": 60,
    "call_limit": 60,
    "retry_initial": 1,
    "retry_maximum": 15,
    "watch_interval": 30,
    "stock_sweep": 60,
    "stock_second_look": 60,
    "inventory_look": 15,
    "inventory_sweep": 600,
    "inventory_compare": 3600,
    "products_interval": 900,
    "hold_reminder": 3600,
    "alert_group": 60,
    "probe_interval": 15,
    "outage_alert": 600,
    "backfill_interval": 600,
    "backfill_overlap": 60,
    "webhook_grace": 60,
}
"""Production's, but for what is a matter of hours there; and a poll every 5 s instead of 15, so that an order is
complete within the minute."""
SHIP_AFTER, POST_AFTER = "1", "1"
DRAIN_SECONDS = 900.0
REST_SECONDS, REST_LOOK_SECONDS = 720.0, 5.0
"""For the threads of the SDK's runtime to end, which they do 10 s after their last work: customers' resolutions stay
for ten minutes after their last order (workflows/customer_resolution.py), and end one by one."""
FINDINGS_SHOWN = 50


def say(what: str) -> None:
    """To standard error: standard output is for figures and findings."""
    print(what, file=sys.stderr, flush=True)


@dataclass
class Soak:
    """What a run has seen."""

    seed: int
    sent: int = 0
    load_seconds: float = 0.0
    drained: bool = False
    samples: list[tuple[float, Mapping[str, Sample]]] = field(default_factory=list)
    """Under load: seconds since it began, and the processes."""
    complete: list[int] = field(default_factory=list)
    """Orders that were complete at each of `samples`."""
    database: list[float] = field(default_factory=list)
    """Temporal's file with its log at each of `samples`, MiB."""
    sizes: dict[str, float] = field(default_factory=dict)
    """Of files at the end, MiB."""
    before: Mapping[str, Sample] = field(default_factory=dict)
    after: Mapping[str, Sample] = field(default_factory=dict)
    """When nothing was under way any more."""
    report: Report = field(default_factory=Report)

    @property
    def restarts(self) -> list[str]:
        """Processes that were not the same from before the load until nothing was under way, or are missing then."""
        looks = [self.before, *(seen for _, seen in self.samples), self.after]
        pids: dict[str, set[int]] = {}
        for seen in looks:
            for name, sample in seen.items():
                pids.setdefault(name, set()).add(sample.pid)
        return sorted(name for name, its in pids.items() if len(its) > 1 or name not in self.after)

    def cpu_per_order(self) -> dict[str, float]:
        """Seconds of processor time by process, from the first order to the last one's end."""
        return {
            name: (sample.cpu - self.before[name].cpu) / max(self.sent, 1)
            for name, sample in self.after.items()
            if name in self.before and self.before[name].pid == sample.pid
        }

    def cpu_by_quarter(self) -> dict[str, list[float]]:
        """Processor seconds an order in each quarter of the time under load, by process."""
        marks = [round(quarter * (len(self.samples) - 1) / 4) for quarter in range(5)]
        found: dict[str, list[float]] = {}
        for name in self.before:
            seen = [(self.samples[mark][1].get(name), self.complete[mark]) for mark in marks]
            found[name] = [
                (then.cpu - first.cpu) / max(after - before, 1)
                for (first, before), (then, after) in itertools.pairwise(seen)
                if first is not None and then is not None and first.pid == then.pid
            ]
        return found

    def growths(self) -> list[Growth]:
        """Ours judged, the others for information."""
        ours = growth(self.samples, list(OURS), judged=True) + at_rest(self.before, self.after, list(OURS))
        return ours + growth(self.samples, [*OTHERS, "harness"], judged=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=0, help="orders a second at most after warm-up (0: no limit)")
    parser.add_argument("--at-once", type=int, default=80, help="orders under way at most")
    parser.add_argument("--sample", type=float, default=15, help="seconds between two looks at the processes")
    parser.add_argument("--seed", type=int, default=None, help="the same seed, the same orders")
    parser.add_argument("--out", type=Path, default=Path("var/soak"))
    options = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    folder = Path(tempfile.mkdtemp(prefix=f"soak-{seed}-"))
    say(f"seed {seed}, {options.minutes:g} minutes, state and logs in {folder}")
    soak = run(folder, seed, options)
    good = conclude(soak, options.out)
    if good:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"state and logs are kept in {folder}")
    print(soak.report.line(seed), flush=True)
    return 0 if good else 1


def run(folder: Path, seed: int, options: argparse.Namespace) -> Soak:
    """One run in a house of its own."""
    pairs = pairs_with_pace(folder / "pairs", "inventory", "products", **PACE)
    flags = ("--no-orders", "--ship-after", SHIP_AFTER, "--post-after", POST_AFTER)
    soak = Soak(seed)
    with running_house(folder, *flags, environment={"PAIRS_DIR": str(pairs)}, module="tests.soak.house") as house:
        fill_the_shelves(house)
        asyncio.run(under_load(house, soak, options))
        soak.sizes = {file.name: mebibytes([file]) for file in sorted(house.sandbox.var.glob("*.sqlite*"))}
        say("the auditor reads")
        soak.report = judge(house, seed, soak.sent)
    return soak


def mebibytes(files: Iterable[Path]) -> float:
    """Size of all of them."""
    return sum(file.stat().st_size for file in files) / 2**20


async def under_load(house: House, soak: Soak, options: argparse.Namespace) -> None:
    """Send, look, drain."""
    client = await Client.connect(house.temporal_address)
    load = Load(house, client, soak.seed, options.rate, options.at_once)
    soak.before = census.take(house.temporal_address)
    began = time.monotonic()
    sending = asyncio.create_task(load.send(options.minutes * 60))
    while not sending.done():
        soak.samples.append((time.monotonic() - began, await asyncio.to_thread(census.take, house.temporal_address)))
        soak.complete.append(load.sent - load.running)
        soak.database.append(mebibytes(house.sandbox.var.glob("temporal.sqlite*")))
        told = ", ".join(
            f"{name} {one.memory:.0f} MiB {one.threads}+{one.runtime_threads} threads"
            for name, one in soak.samples[-1][1].items()
            if name in OURS
        )
        say(f"{time.monotonic() - began:6.0f} s: {load.sent} sent, {load.running} under way; {told}")
        await asyncio.wait([sending], timeout=options.sample)
    await sending
    soak.sent, soak.load_seconds = load.sent, load.seconds
    soak.drained = await load.drain(DRAIN_SECONDS, say)
    soak.after = await rest(house.temporal_address, soak.before)


async def rest(address: str, before: Mapping[str, Sample]) -> Mapping[str, Sample]:
    """The processes as soon as none of ours has more threads of the runtime than before the load, or at the limit."""
    end = time.monotonic() + REST_SECONDS
    while True:
        seen = await asyncio.to_thread(census.take, address)
        threads = at_rest(before, seen, list(OURS))
        if time.monotonic() > end or (len(threads) == len(OURS) and all(one.value <= 0 for one in threads)):
            say(", ".join(f"{one.process} {one.first:.0f} and {one.last:.0f}" for one in threads) + " threads at rest")
            return seen
        await asyncio.sleep(REST_LOOK_SECONDS)


def cost_table(soak: Soak) -> str:
    """Markdown: processor milliseconds an order, by process and quarter of the time under load."""
    lines = ["| process | ms an order | 1st quarter | 2nd | 3rd | 4th |", "|---|---|---|---|---|---|"]
    quarters = soak.cpu_by_quarter()
    for name, seconds in sorted(soak.cpu_per_order().items(), key=lambda one: -one[1]):
        cells = " | ".join(f"{one * 1000:.1f}" for one in quarters.get(name, []))
        lines.append(f"| {name} | {seconds * 1000:.1f} | {cells} |")
    return "\n".join(lines) + "\n"


def conclude(soak: Soak, out: Path) -> bool:
    """Print and write everything; whether it is good."""
    for finding in soak.report.findings[:FINDINGS_SHOWN]:
        print(finding)
    growths = soak.growths()
    rate = soak.sent / max(soak.load_seconds, 1.0)
    lines = [one.line() for one in growths if one.process in OURS]
    lines.append(f"SOAK name=restarts value={len(soak.restarts)} limit=0 met={'no' if soak.restarts else 'yes'}")
    harmed = len(soak.report.findings)
    lines.append(f"SOAK name=findings value={harmed} limit=0 met={'no' if harmed else 'yes'}")
    lines.append(f"SOAK name=orders value={soak.sent} limit=- met=-")
    lines.append(f"SOAK name=orders_per_second value={rate:.4g} limit=- met=-")
    lines += [
        f"SOAK name=cpu_per_order_{name} value={one:.4g} limit=- met=-" for name, one in soak.cpu_per_order().items()
    ]
    costs = cost_table(soak)
    print(table(growths))
    print(costs)
    print("\n".join(lines), flush=True)
    out.mkdir(parents=True, exist_ok=True)
    document: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "seed": soak.seed,
        "orders": soak.sent,
        "seconds": soak.load_seconds,
        "orders_per_second": rate,
        "drained": soak.drained,
        "restarts": soak.restarts,
        "findings": [str(finding) for finding in soak.report.findings],
        "cpu_seconds_per_order": soak.cpu_per_order(),
        "cpu_seconds_per_order_by_quarter": soak.cpu_by_quarter(),
        "files_mib": soak.sizes,
        "growth": [{**asdict(one), "value": one.value, "limit": one.limit, "met": one.met} for one in growths],
        "samples": [
            {"second": at, "complete": done, "temporal_mib": size, **{name: asdict(one) for name, one in seen.items()}}
            for (at, seen), done, size in zip(soak.samples, soak.complete, soak.database, strict=True)
        ],
    }
    (out / "soak.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (out / "soak.md").write_text(f"{table(growths)}\n{costs}", encoding="utf-8")
    return soak.drained and soak.report.clean and not soak.restarts and all(one.met != "no" for one in growths)


if __name__ == "__main__":
    sys.exit(main())
