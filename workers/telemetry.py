"""Logs and traces of a process.

Logs: one line each on standard error, time in UTC, no personal data. Traces: OTLP over HTTP when an endpoint is set.
"""

import atexit
import logging
import os
import sys
import time
from typing import NoReturn

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from workers.redaction import WithoutValues, WithoutValuesExporter
from workers.settings import Settings


def set_up_logging(settings: Settings) -> None:
    """Format and level of this process's logs; chatty libraries are kept to warnings."""
    formatter = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    handler.addFilter(WithoutValues())
    logging.basicConfig(level=settings.log_level, handlers=[handler], force=True)
    for chatty in ("httpx", "httpcore", "uvicorn.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def set_up_tracing(settings: Settings, service: str) -> bool:
    """Send traces to OTEL_EXPORTER_OTLP_ENDPOINT when it is set; returns whether it is."""
    if not settings.otel_exporter_otlp_endpoint:
        return False
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: service}))
    provider.add_span_processor(BatchSpanProcessor(WithoutValuesExporter(OTLPSpanExporter())))
    trace.set_tracer_provider(provider)
    return True


def leave(status: int) -> NoReturn:
    """End the process: send what is left of logs and traces, then go without the interpreter's own finalisation.

    Temporal's SDK has threads that may call into Python at that moment: measured, a command that ends right after its
    last call was aborted (SIGABRT) about once in 25 runs, although its work was done.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)
