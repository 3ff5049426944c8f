"""Traces, metrics and logs of a real run: the sample orders on the session's house, with all telemetry on."""

import json
import re
from collections import Counter
from typing import Any

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from temporalio.client import Client
from temporalio.worker import Replayer

from api.metrics import LOOK_SECONDS
from tests.e2e.conftest import House, expectations
from tests.support.http import HTTP
from tests.support.otlp import Sent, TraceReceiver
from tests.support.panels import alert_rules, dashboard_queries, metric_names
from tests.support.processes import wait_until
from workers.encryption_keys import parse_keys
from workers.plugin import integration_plugin
from workers.roles import WORKFLOWS

EXPECTED = expectations()
PLAIN = next(entry["order_id"] for entry in EXPECTED.values() if entry["result"] == "complete")
WORKFLOW = f"order-demo-{PLAIN}"


@pytest.fixture(scope="module")
def order_trace(settled: House, traces: TraceReceiver) -> list[Sent]:
    """All spans on the trace of a completed order."""

    def ended() -> str:
        spans = [span for span in traces.of(WORKFLOW) if span.name.startswith("CompleteWorkflow")]
        return spans[0].trace_id if spans else ""

    trace_id = wait_until("the end of the order's trace was sent", ended, 60)
    return traces.on(trace_id)


@pytest.fixture(scope="module")
def metrics(settled: House) -> dict[str, Metric]:
    """What `/metrics` of the API and of the SDK say, by family."""
    texts = [HTTP.get(url).text for url in (f"{settled.api_url}/metrics", settled.temporal_metrics_url)]
    return {family.name: family for text in texts for family in text_string_to_metric_families(text)}


def test_an_order_is_one_trace_from_webhook_to_sage_to_shipment_to_clarity(order_trace: list[Sent]) -> None:
    names = [span.name for span in order_trace]
    for name in (
        "POST /webhooks/clarity/{pair}",
        "StartWorkflow:OrderFulfillmentWorkflow",
        "RunActivity:create_sales_order",
        "POST /SO/SalesOrder",
        "HandleSignal:shipment",
        "RunActivity:post_shipment",
        "POST /api/v1/shipments",
        "PATCH /api/v1/orders/{id}",
    ):
        assert name in names, name
    assert {span.service for span in order_trace} == {"clarity-sage100-api", "clarity-sage100-workers"}
    known = {span.span_id for span in order_trace}
    roots = [span.name for span in order_trace if span.parent_id not in known]
    assert roots == ["POST /webhooks/clarity/{pair}"], "every span hangs below the webhook"


def test_a_poll_serves_many_orders_and_is_linked_from_each(order_trace: list[Sent], traces: TraceReceiver) -> None:
    links = [link for span in order_trace if span.name == "HandleSignal:shipment" for link in span.links]
    assert links
    for link in links:
        assert link != order_trace[0].trace_id
        assert "SignalWorkflow:shipment" in {span.name for span in traces.on(link)}


async def test_replay_sends_no_span_a_second_time(settled: House, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await Client.connect(settled.temporal_address)
    history = await client.get_workflow_handle(WORKFLOW).fetch_history()
    assert "_tracer-data" in history.to_json(), "the order was started with its trace"
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    replayer = Replayer(
        workflows=WORKFLOWS, plugins=[integration_plugin(tracing=True, keys=parse_keys(settled.encryption_keys))]
    )
    await replayer.replay_workflow(history)
    assert exporter.get_finished_spans() == ()


def test_each_step_of_the_order_is_sent_once(order_trace: list[Sent]) -> None:
    counts = Counter(span.name for span in order_trace)
    once = ("RunWorkflow:OrderFulfillmentWorkflow", "StartActivity:create_sales_order", "StartActivity:record_invoices")
    assert {name: counts[name] for name in once} == dict.fromkeys(once, 1)


def test_spans_name_routes_never_what_was_asked_for(traces: TraceReceiver, order_trace: list[Sent]) -> None:
    for span in traces.spans:
        if " /" in span.name:
            assert not re.search(r"\d{3}|@|\?", span.name), span.name
        assert not {"url.path", "url.query"} & set(span.attributes)


def held_orders(house: House) -> Counter[str]:
    """Holds of the sample orders as the orders themselves tell them: other tests of this house release some."""
    views = [
        HTTP.get(f"{house.api_url}/orders/demo/{entry['order_id']}", timeout=10).json()["order"]
        for entry in EXPECTED.values()
        if entry["result"] == "held"
    ]
    return Counter(view["hold"]["reason"] for view in views if view["hold"])


def test_metrics_tell_where_orders_stand(settled: House) -> None:
    held = held_orders(settled)
    assert len(held) > 3

    def told() -> dict[str, Metric]:
        """Once the last look at Temporal is not older than the releases."""
        found = {one.name: one for one in text_string_to_metric_families(HTTP.get(f"{settled.api_url}/metrics").text)}
        by_reason = {one.labels["reason"]: one.value for one in found["clarity_sage_held_orders"].samples}
        return found if all(by_reason[reason] >= number for reason, number in held.items()) else {}

    metrics = wait_until("the metrics count every hold", told, LOOK_SECONDS + 15)
    by_reason = {one.labels["reason"]: one.value for one in metrics["clarity_sage_held_orders"].samples}
    ages = {one.labels["reason"]: one.value for one in metrics["clarity_sage_oldest_hold_seconds"].samples}
    assert all(ages[reason] > 0 for reason in held)
    assert all(ages[reason] == 0 for reason, number in by_reason.items() if number == 0)
    states = {one.labels["state"]: one.value for one in metrics["clarity_sage_orders"].samples}
    assert states["held"] == sum(by_reason.values())


def test_metrics_of_every_process_are_in_the_one_answer(metrics: dict[str, Metric]) -> None:
    complete = sum(entry["result"] == "complete" for entry in EXPECTED.values())

    def total(family: str, suffix: str, **labels: str) -> float:
        samples = metrics[family].samples
        return sum(one.value for one in samples if one.name == family + suffix and labels.items() <= one.labels.items())

    assert total("clarity_sage_webhooks", "_total", result="started") >= len(EXPECTED)
    assert total("clarity_sage_time_to_sage_seconds", "_count") >= complete
    assert total("clarity_sage_shipment_signals", "_total") >= complete
    assert total("clarity_sage_seat_busy_seconds", "_total") > 0
    assert total("clarity_sage_seats", "") == 1
    assert total("clarity_sage_last_poll_timestamp_seconds", "") > 0
    assert total("clarity_sage_temporal_up", "") == 1


def test_labels_are_few_and_name_no_order(metrics: dict[str, Metric]) -> None:
    ours = [one for name, family in metrics.items() if name.startswith("clarity_sage_") for one in family.samples]
    assert {label for one in ours for label in one.labels} <= {
        *("pair", "state", "reason", "result", "system", "type", "company", "severity", "le")
    }
    assert len(ours) < 250, "of one pair"
    values = {value for one in ours for label, value in one.labels.items() if label != "le"}
    assert not [value for value in values if re.search(r"\d", value)]


def test_many_scrapes_cost_one_look(settled: House) -> None:
    def took() -> set[float]:
        families = text_string_to_metric_families(api.get("/metrics").text)
        return {
            one.value for family in families if family.name == "clarity_sage_census_seconds" for one in family.samples
        }

    with httpx.Client(base_url=settled.api_url) as api:
        looks = [took() for _ in range(20)]
    # A look's exact duration never comes twice: at most one look fell between, however slow this machine is.
    assert len({min(look) for look in looks}) <= 2
    assert LOOK_SECONDS < 15


def test_dashboard_and_rules_ask_only_for_what_is_there(metrics: dict[str, Metric]) -> None:
    offered = {one.name for family in metrics.values() for one in family.samples} | set(metrics) | {"up"}
    asked = {name for query in [*dashboard_queries(), *alert_rules().values()] for name in metric_names(query)}
    assert len(asked) > 15
    assert asked - offered == set()
    ours = {name for name in metrics if name.startswith("clarity_sage_")}
    shown = " ".join(dashboard_queries())
    assert [name for name in ours if name not in shown] == [], "every metric is on the dashboard"


def test_log_lines_about_an_order_carry_workflow_and_trace(settled: House, traces: TraceReceiver) -> None:
    lines: list[dict[str, Any]] = []
    for file in ("workers", "workers-sage", "api"):
        text = (settled.sandbox.var / "log" / f"{file}.log").read_text("utf-8")
        lines += [json.loads(line) for line in text.splitlines()]
    held = f"order-demo-{next(entry['order_id'] for entry in EXPECTED.values() if entry['result'] == 'held')}"
    about = [line for line in lines if line.get("workflow_id") == held]
    assert about
    on = {span.trace_id for span in traces.of(held) if span.name.startswith("RunWorkflow")}
    assert {line["trace_id"] for line in about if line["logger"] == "alerts"} == on
