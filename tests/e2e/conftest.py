"""One house for all end-to-end tests: every process real, as `make run` starts them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.http import HTTP
from tests.support.otlp import TraceReceiver, trace_receiver
from tests.support.processes import ROOT, answers, free_ports, running, wait_until
from tests.support.sandbox import Sandbox
from workers.encryption_keys import new_key


@dataclass(frozen=True)
class House:
    """Where the running house is."""

    sandbox: Sandbox
    api_url: str
    temporal_address: str
    ui_url: str
    log: Path
    pairs_dir: Path
    encryption_keys: str = ""
    temporal_metrics_url: str = ""
    """Metrics of the SDK in the process of the workflows, where they are switched on."""


def expectations() -> dict[str, dict[str, Any]]:
    """sandbox/expected.yaml by sample name."""
    text = (ROOT / "sandbox" / "expected.yaml").read_text(encoding="utf-8")
    orders: dict[str, dict[str, Any]] = yaml.safe_load(text)["orders"]
    return orders


@contextmanager
def running_house(
    folder: Path,
    *flags: str,
    orders: int = 0,
    environment: Mapping[str, str] | None = None,
    module: str = "workers",
    api_port: int = 0,
) -> Iterator[House]:
    """The supervisor (`module`) with all its children on free ports, once `orders` are checked out."""
    temporal, ui, api, sage, clarity = free_ports(5)
    api = api_port or api
    ports = {"temporal": temporal, "ui": ui, "api": api, "sage": sage, "clarity": clarity}
    places = [part for name, port in ports.items() for part in (f"--{name}-port", str(port))]
    log = folder / "supervisor.log"
    command = [module, "demo", "--var", str(folder / "var"), *places, *flags]
    with running(command, log, environment) as process:
        house = House(
            Sandbox(f"http://127.0.0.1:{sage}", f"http://127.0.0.1:{clarity}", folder / "var"),
            f"http://127.0.0.1:{api}",
            f"127.0.0.1:{temporal}",
            f"http://127.0.0.1:{ui}",
            log,
            Path((environment or {}).get("PAIRS_DIR", ROOT / "mappings" / "pairs")),
            encryption_keys=(environment or {}).get("ENCRYPTION_KEYS", ""),
            temporal_metrics_url=f"http://{(environment or {}).get('TEMPORAL_METRICS_ADDRESS', '')}/metrics",
        )

        def checked_out() -> bool:
            assert process.poll() is None, log.read_text()
            if not answers(f"{house.api_url}/readyz") or not answers(f"{house.sandbox.clarity_url}/_control/state"):
                return False
            if "Services are up" not in log.read_text():
                return False
            state = HTTP.get(f"{house.sandbox.clarity_url}/_control/state").json()
            return bool(state["orders"] >= orders)

        wait_until("the house is up and the sample orders are checked out", checked_out, 90)
        yield house


def pairs_with_pace(folder: Path, *flows: str, **pace: float) -> Path:
    """A folder with the demo's pair file at another pace; `same_basket=1` keeps that check, `flows` keeps these.

    Without the check, because most tests order the same basket again and again; without the flows (`inventory`,
    `products`), because what they ask in every house every other second is half of what a test costs. They run where
    they are tested, in the demo as it is, and under chaos.
    """
    same_basket = bool(pace.pop("same_basket", 0))
    content = yaml.safe_load((ROOT / "mappings/pairs/demo.yaml").read_text("utf-8"))
    content["pace"] |= pace
    for flow in {"inventory", "products"} - set(flows):
        del content[flow]
    content["checks"] = [check for check in content["checks"] if check["name"] != "same_basket" or same_basket]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "demo.yaml").write_text(yaml.safe_dump(content, allow_unicode=True), "utf-8")
    return folder


def change_pair(folder: Path, section: str, **values: object) -> None:
    """Set keys of a section of the demo's pair file in this folder; None removes one. Processes read it at start."""
    file = folder / "demo.yaml"
    content = yaml.safe_load(file.read_text("utf-8"))
    merged = {**content.get(section, {}), **values}
    content[section] = {key: value for key, value in merged.items() if value is not None}
    file.write_text(yaml.safe_dump(content, allow_unicode=True), "utf-8")


def environment_of(pid: int) -> dict[str, str]:
    """What a process of the house was started with: another one of its kind needs the same."""
    entries = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


@pytest.fixture(scope="session")
def traces() -> Iterator[TraceReceiver]:
    """What the processes of `house` send as traces."""
    with trace_receiver() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory, traces: TraceReceiver) -> Iterator[House]:
    """The demo as `make run` starts it, with a key that encrypts what Temporal keeps, and with all telemetry on."""
    (port,) = free_ports(1)
    environment = {
        "ENCRYPTION_KEYS": new_key("house"),
        "OTEL_EXPORTER_OTLP_ENDPOINT": traces.url,
        "OTEL_BSP_SCHEDULE_DELAY": "500",
        "TEMPORAL_METRICS_ADDRESS": f"127.0.0.1:{port}",
        "LOG_FORMAT": "json",
    }
    folder = tmp_path_factory.mktemp("house")
    with running_house(folder, orders=len(expectations()), environment=environment) as one:
        yield one


QUICK = {
    "poll_interval": 0.4,
    "quiet_interval": 0.4,
    "rotation": 3,
    "agree_time": 4,
    "settle_time": 1,
    "grace_time": 3,
    "daily_read": 600,
    "retry_initial": 0.3,
    "retry_maximum": 2,
    "backfill_interval": 600,
    "probe_interval": 0.5,
}
"""A pace at which a warehouse's day takes seconds."""


@pytest.fixture(scope="session")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house in which nothing ships or posts by itself, at a quick pace."""
    folder = tmp_path_factory.mktemp("warehouse")
    pairs = pairs_with_pace(folder / "pairs", **QUICK)
    flags = ("--no-orders", "--ship-after", "off", "--post-after", "off")
    with running_house(folder, *flags, environment={"PAIRS_DIR": str(pairs)}) as one:
        yield one


@pytest.fixture(scope="session")
def settled(house: House) -> House:
    """The house once every sample order is where it should be, as Clarity, Sage and Temporal show it."""
    expected = expectations()
    complete = {entry["order_id"] for entry in expected.values() if entry["result"] == "complete"}
    held = {entry["order_id"] for entry in expected.values() if entry["result"] == "held"}

    def shipped() -> bool:
        orders = {str(order["id"]): order for order in all_orders(house)}
        return all(orders[order_id].get("invoiceReferences") for order_id in complete)

    def all_held() -> bool:
        views = [HTTP.get(f"{house.api_url}/orders/demo/{order_id}", timeout=10).json() for order_id in held]
        return all((view.get("order") or {}).get("state") == "held" for view in views)

    wait_until("every order that completes has its invoices at Clarity", shipped, 90)
    wait_until("every other order is held", all_held, 60)
    return house


def all_orders(house: House) -> list[dict[str, Any]]:
    """Every order at Clarity."""
    page = house.sandbox.clarity("GET", "/api/v1/orders?pageSize=200").json()
    items: list[dict[str, Any]] = page["items"]
    return items
