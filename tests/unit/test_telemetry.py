"""Telemetry without any process: log lines, redaction, counting, settings."""

import asyncio
import contextlib
import gc
import io
import json
import logging
import re
import socket
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from prometheus_client import REGISTRY
from pydantic import BaseModel
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, _workflow_instance

from activities.errors import translate
from activities.metering import Metering, Seats, place_of
from connectors.errors import RetryLater, TooManyRequests
from contracts import queues
from workers.redaction import WithoutValues, WithoutValuesExporter
from workers.settings import Settings, SettingsError, load_settings
from workers.telemetry import (
    Context,
    JsonLines,
    NoStrangers,
    TextLines,
    show_metrics,
    temporal_runtime,
)

STREET = "-".join(("1515", "Bellevue", "Avenue"))
"""In no line of source: tracebacks show those."""


@pytest.fixture
def written() -> Iterator[tuple[logging.Logger, logging.StreamHandler[io.StringIO]]]:
    """A logger of its own, and its handler with our filter."""
    handler = logging.StreamHandler(io.StringIO())
    handler.addFilter(Context())
    log = logging.getLogger("tests.telemetry")
    log.addHandler(handler)
    log.propagate = False
    yield log, handler
    log.removeHandler(handler)


def test_a_line_as_json_has_known_fields_only(
    written: tuple[logging.Logger, logging.StreamHandler[io.StringIO]],
) -> None:
    log, handler = written
    handler.setFormatter(JsonLines())
    log.warning("Order %s\nwaits", "10001", extra={"workflow_id": "order-demo-10001", "customer": "Emma Clark"})
    (line,) = handler.stream.getvalue().splitlines()
    fields = json.loads(line)
    assert fields.pop("time").endswith("Z")
    assert fields == {
        "level": "WARNING",
        "logger": "tests.telemetry",
        "message": "Order 10001\nwaits",
        "workflow_id": "order-demo-10001",
    }


def test_a_line_carries_workflow_and_trace_of_the_activity_that_wrote_it(
    written: tuple[logging.Logger, logging.StreamHandler[io.StringIO]],
) -> None:
    log, handler = written
    handler.setFormatter(TextLines())
    environment = ActivityEnvironment()

    def step() -> None:
        with TracerProvider().get_tracer("t").start_as_current_span("step") as span:
            log.warning("held")
            log.warning("%032x", span.get_span_context().trace_id)

    environment.run(step)
    first, second = handler.stream.getvalue().splitlines()
    trace_id = second.split(": ")[1].split(" ")[0]
    assert first.endswith(f"WARNING tests.telemetry: held [{environment.info.workflow_id} trace={trace_id}]")


@contextlib.contextmanager
def what_python_logs() -> Iterator[io.StringIO]:
    """What asyncio and warnings log, with our filter. No fixture: pytest has warnings of its own in each phase."""
    handler = logging.StreamHandler(io.StringIO())
    handler.addFilter(WithoutValues())
    loggers = [logging.getLogger(name) for name in ("asyncio", "py.warnings")]
    for one in loggers:
        one.addHandler(handler)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        # Off first: it may be on, and what shows warnings another one since.
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        yield handler.stream
        logging.captureWarnings(False)
    for one in loggers:
        one.removeHandler(handler)


def fails(street: str) -> None:
    raise ValueError(street)


async def fails_later() -> None:
    fails(STREET)


class Model(BaseModel):
    number: int


async def test_what_python_itself_logs_holds_no_values() -> None:
    with what_python_logs() as stream:
        asyncio.get_running_loop().call_soon(fails, STREET)
        task = asyncio.create_task(fails_later())
        await asyncio.wait([task])
        # Nobody looks at how it ended.
        del task
        gc.collect()
        logging.getLogger("asyncio").warning("Executing %s took %.3f seconds", f"<Task result={STREET!r}>", 1.5)
        no_number: Any = STREET
        Model.model_construct(number=no_number).model_dump_json()
    written = stream.getvalue()
    assert "Bellevue" not in written
    for told in ("Exception in callback fails\nTraceback", "never retrieved\nTraceback", "Executing\n"):
        assert told in written
    assert re.search(r"^\S+\.py:\d+: UserWarning$", written, re.MULTILINE)


def test_what_a_workflows_event_loop_logs_holds_no_values() -> None:
    """As `_WorkflowInstanceImpl.default_exception_handler` of the SDK writes it."""
    handler = logging.StreamHandler(io.StringIO())
    handler.addFilter(WithoutValues())
    loop = logging.getLogger(_workflow_instance.__name__)
    loop.addHandler(handler)
    workflow: Any = _workflow_instance._WorkflowInstanceImpl
    context = {"message": "Task exception was never retrieved", "exception": ValueError(STREET), "future": [STREET]}
    try:
        workflow.default_exception_handler(None, context)
        loop.warning("Failed activation on workflow Order with ID order-demo-1 and run ID 7")
    finally:
        loop.removeHandler(handler)
    written = handler.stream.getvalue()
    assert "Bellevue" not in written
    assert written.startswith("Task exception was never retrieved\nTraceback")
    assert written.endswith("ValueError\nFailed activation on workflow Order with ID order-demo-1 and run ID 7\n")


def test_what_an_error_says_and_what_was_asked_for_is_not_sent() -> None:
    memory, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(WithoutValuesExporter(memory)))
    with pytest.raises(RuntimeError), provider.get_tracer("t").start_as_current_span("GET /customers") as span:
        span.set_attributes({"url.path": "/customers/emma@example.com", "url.query": "q=Emma", "kept": "yes"})
        raise RuntimeError("no customer Emma Clark")
    (sent,) = memory.get_finished_spans()
    assert "mma" not in sent.to_json()
    assert dict(sent.attributes or {}) == {"kept": "yes"}
    assert sent.status.status_code is StatusCode.ERROR
    assert dict(sent.events[0].attributes or {})["exception.type"] == "RuntimeError"


def test_a_request_that_names_a_trace_of_its_own_does_not_join_it() -> None:
    stranger = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"}
    assert dict(NoStrangers().extract(stranger)) == {}


def test_every_queue_of_a_system_is_counted_for_its_pair() -> None:
    assert place_of(queues.sage_write("demo")) == ("demo", "sage")
    assert place_of(queues.sage_read("demo")) == ("demo", "odbc")
    assert place_of(queues.clarity("demo")) == ("demo", "clarity")
    assert place_of(queues.ORDERS) is None
    assert place_of(queues.ALERTS) is None


class Failing(ActivityInboundInterceptor):
    """The activity behind the interceptors."""

    def __init__(self, error: Exception | None) -> None:
        self._error = error

    async def execute_activity(self, input: ExecuteActivityInput) -> None:  # noqa: A002
        if self._error is not None:
            raise translate(self._error, 1) from self._error


def count(name: str, pair: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, {"pair": pair, "system": "clarity", **labels}) or 0.0


@pytest.mark.parametrize(
    ("error", "attempt", "failures", "throttled", "retries"),
    [
        (None, 1, 0, 0, 0),
        (None, 3, 0, 0, 1),
        (RetryLater("Clarity", "GET order", "503"), 1, 1, 0, 0),
        (TooManyRequests("Clarity", "GET order", "429"), 2, 1, 1, 1),
    ],
)
async def test_failures_retries_and_429s_are_counted(
    error: Exception | None, attempt: int, failures: int, throttled: int, retries: int
) -> None:
    pair = f"p{attempt}{failures}{throttled}"
    environment = ActivityEnvironment()
    environment.info = environment.info.__class__(
        **{**environment.info.__dict__, "task_queue": queues.clarity(pair), "attempt": attempt}
    )
    chain = Metering().intercept_activity(Failing(error))

    async def step() -> None:
        await chain.execute_activity(ExecuteActivityInput(fn=step, args=[], executor=None, headers={}))

    try:
        await environment.run(step)
    except ApplicationError:
        assert error is not None
    assert count("clarity_sage_step_failures_total", pair, type="Unavailable") == failures
    assert count("clarity_sage_step_throttled_total", pair) == throttled
    assert count("clarity_sage_step_retries_total", pair) == retries


async def test_seats_count_the_seconds_in_which_they_are_taken() -> None:
    now = [0.0]
    seats = Seats(2, "TST", clock=lambda: now[0])

    def busy() -> float:
        return REGISTRY.get_sample_value("clarity_sage_seat_busy_seconds_total", {"company": "TST"}) or 0.0

    async with seats:
        now[0] += 3
        async with seats:
            now[0] += 2
            third = asyncio.create_task(seats.acquire())
            await asyncio.sleep(0)
            assert not third.done(), "there are two"
            third.cancel()
            await asyncio.gather(third, return_exceptions=True)
        now[0] += 1
    now[0] += 100
    async with seats:
        pass
    assert busy() == 3 + 2 * 2 + 1


@pytest.mark.parametrize("address", ["9464", "localhost:", "localhost:http", "localhost:0", "localhost:70000"])
def test_an_address_that_is_none_is_named_with_its_setting(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METRICS_ADDRESS", address)
    with pytest.raises(SettingsError, match=r"METRICS_ADDRESS.*host:port"):
        load_settings()


def test_an_address_that_is_taken_is_named_with_its_setting() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(SettingsError, match=r"^METRICS_ADDRESS .* cannot be used"):
            show_metrics(Settings(metrics_address=address))
        with pytest.raises(SettingsError, match=r"^TEMPORAL_METRICS_ADDRESS .* cannot be used"):
            temporal_runtime(Settings(temporal_metrics_address=address))


def test_without_settings_there_is_no_runtime_of_our_own() -> None:
    assert temporal_runtime(Settings()) is None
