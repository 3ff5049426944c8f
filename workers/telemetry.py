"""Logs, traces and metrics of a process; docs/telemetry.md says how each is switched on.

Logs: one line each on standard error, time in UTC, text or JSON; a line about an order carries its workflow and trace.
Traces: OTLP over HTTP when an endpoint is set. Metrics: those of `contracts.metrics` at METRICS_ADDRESS, the SDK's own
at TEMPORAL_METRICS_ADDRESS. No personal data in any of them.
"""

import atexit
import json
import logging
import os
import sys
import time
from typing import NoReturn

from opentelemetry import propagate, trace
from opentelemetry.context import Context as TraceContext
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagators import textmap
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from prometheus_client import start_http_server
from temporalio import activity, workflow
from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    PrometheusConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)

from workers.redaction import WithoutValues, WithoutValuesExporter
from workers.settings import LogFormat, Settings, SettingsError, host_and_port

# ---- logs -----------------------------------------------------------------------------------------------------------


class Context(logging.Filter):
    """Says of each line which workflow it is about, and on which trace: from where it was written, or from `extra`."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Never drops a line."""
        known = getattr(record, "workflow_id", "")
        if not known and workflow.in_workflow():
            known = workflow.info().workflow_id
        elif not known and activity.in_activity():
            known = activity.info().workflow_id or ""
        record.workflow_id = known
        span = trace.get_current_span().get_span_context()
        record.trace_id = f"{span.trace_id:032x}" if span.is_valid else ""
        return True


class TextLines(logging.Formatter):
    """`2026-11-26T09:00:00Z INFO activities.intake: … [order-demo-10002 trace=…]`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%SZ")
        self.converter = time.gmtime

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """See base class."""
        line = super().formatMessage(record)
        workflow_id, trace_id = getattr(record, "workflow_id", ""), getattr(record, "trace_id", "")
        parts = ["" if workflow_id in record.message else workflow_id, f"trace={trace_id}" if trace_id else ""]
        about = " ".join(part for part in parts if part)
        return f"{line} [{about}]" if about else line


class JsonLines(logging.Formatter):
    """One object a line, with these fields and no others: nothing that a library attaches gets out unseen."""

    def __init__(self) -> None:
        super().__init__()
        self.converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        """See base class."""
        line = {
            "time": f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "workflow_id": getattr(record, "workflow_id", ""),
            "trace_id": getattr(record, "trace_id", ""),
            "exception": record.exc_text or "",
        }
        return json.dumps({name: value for name, value in line.items() if value}, ensure_ascii=False)


def set_up_logging(settings: Settings) -> None:
    """Format and level of this process's logs; chatty libraries are kept to warnings."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if settings.log_format is LogFormat.JSON else TextLines())
    handler.addFilter(Context())
    handler.addFilter(WithoutValues())
    logging.basicConfig(level=settings.log_level, handlers=[handler], force=True)
    logging.captureWarnings(True)
    for chatty in ("httpx", "httpcore", "uvicorn.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


# ---- traces ---------------------------------------------------------------------------------------------------------


class NoStrangers(textmap.TextMapPropagator):
    """A trace begins at this API: what a request's headers say decides neither its id nor whether it is sent.

    Temporal's headers have a propagator of their own (TracingInterceptor). An empty CompositePropagator would extract
    None, on which every request fails.
    """

    def extract(
        self,
        carrier: textmap.CarrierT,
        context: TraceContext | None = None,
        getter: textmap.Getter[textmap.CarrierT] = textmap.default_getter,
    ) -> TraceContext:
        """Nothing."""
        return TraceContext() if context is None else context

    def inject(
        self,
        carrier: textmap.CarrierT,
        context: TraceContext | None = None,
        setter: textmap.Setter[textmap.CarrierT] = textmap.default_setter,
    ) -> None:
        """Outside systems are told nothing."""

    @property
    def fields(self) -> set[str]:
        """None."""
        return set()


def set_up_tracing(settings: Settings, service: str) -> bool:
    """Send traces to OTEL_EXPORTER_OTLP_ENDPOINT when it is set; returns whether it is."""
    if not settings.otel_exporter_otlp_endpoint:
        return False
    # The address may stand in `.env` only, which the exporter does not read.
    os.environ.setdefault("OTEL_EXPORTER_OTLP_ENDPOINT", settings.otel_exporter_otlp_endpoint)
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: service}))
    provider.add_span_processor(BatchSpanProcessor(WithoutValuesExporter(OTLPSpanExporter())))
    trace.set_tracer_provider(provider)
    propagate.set_global_textmap(NoStrangers())
    return True


# ---- metrics --------------------------------------------------------------------------------------------------------


def show_metrics(settings: Settings) -> None:
    """Serve this process's metrics at METRICS_ADDRESS, when it is set; raises SettingsError when it cannot be used."""
    if not settings.metrics_address:
        return
    host, port = host_and_port(settings.metrics_address)
    try:
        start_http_server(port, host)
    except OSError as error:
        raise SettingsError(
            f"METRICS_ADDRESS {settings.metrics_address} cannot be used: {error.strerror or error}. Choose another: "
            "each worker process needs its own."
        ) from None


def temporal_runtime(settings: Settings) -> Runtime | None:
    """The SDK's runtime: its metrics at TEMPORAL_METRICS_ADDRESS, its log as JSON, too; None for the ordinary one.

    Raises SettingsError when the address cannot be used.
    """
    address, as_json = settings.temporal_metrics_address, settings.log_format is LogFormat.JSON
    if not address and not as_json:
        return None
    metrics, forwarding = None, None
    if address:
        metrics = PrometheusConfig(bind_address=address, durations_as_seconds=True, counters_total_suffix=True)
    if as_json:
        forwarding = LogForwardingConfig(logger=logging.getLogger("temporalio.core"))
    log_config = LoggingConfig(TelemetryFilter(core_level="WARN", other_level="ERROR"), forwarding=forwarding)
    try:
        return Runtime(telemetry=TelemetryConfig(logging=log_config, metrics=metrics))
    except (RuntimeError, ValueError) as error:
        raise SettingsError(
            f"TEMPORAL_METRICS_ADDRESS {address} cannot be used ({str(error)[:120]}). Choose another address "
            "(numbers, such as 127.0.0.1:9465): each process needs its own."
        ) from None


def leave(status: int) -> NoReturn:
    """End the process: send what is left of logs and traces, then go without the interpreter's own finalisation.

    Temporal's SDK has threads that may call into Python at that moment: measured, a command that ends right after its
    last call was aborted (SIGABRT) about once in 25 runs, although its work was done.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)
