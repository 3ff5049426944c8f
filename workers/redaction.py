"""What leaves a process in logs and traces holds no values: exceptions are told by type and place.

The message of an exception may quote what it choked on: a street, an e-mail address, a whole order. In a hold and in a
failure it is encrypted with everything else; logs and traces go to other systems and live longer. So there a traceback
keeps its files, lines, functions and types, and loses the messages, except those of `TELLING` exceptions.
"""

import logging
import re
import traceback
from collections.abc import Iterator, Sequence
from typing import Final

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Status, StatusCode
from temporalio.service import RPCError

from connectors.clarity.webhooks import BadSignature
from connectors.errors import ConnectorError
from connectors.sage100.driver import OdbcDriverMissing
from mappings.pair import PairFileError
from workers.codec import UndecodablePayload
from workers.settings import SettingsError

TELLING: Final = (UndecodablePayload, SettingsError, PairFileError, OdbcDriverMissing, BadSignature, RPCError)
"""Their messages are made of names of settings, keys, files, headers and workflow ids."""
LEFT_OUT: Final = frozenset(
    {
        "exception.message",
        "exception.stacktrace",
        "client.address",
        "client.port",
        "network.peer.address",
        "network.peer.port",
        "user_agent.original",
        "url.full",
        "url.path",
        "url.query",
        "http.url",
        "http.target",
        "http.user_agent",
        "net.peer.ip",
    }
)
"""Attributes of spans that may quote values, or tell who asked and for what."""
FIRST_VALUE: Final = re.compile(r"[(<{\[:=%'\"\n]")
EVENT_LOOPS: Final = ("asyncio", "temporalio.worker._workflow_instance")
"""Loggers of Python's event loop, and of the one of Temporal's in which workflows run (a copy of Python's)."""
WARNING_PLACE: Final = re.compile(r"[^\n]+?:\d+: \w+")


def traceback_without_values(error: BaseException) -> str:
    """A traceback with causes; of messages only those of `TELLING` exceptions."""
    return "\n".join(_lines(error, set()))


def _lines(error: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if earlier is not None and id(earlier) not in seen:
        yield from _lines(earlier, seen)
        yield "It led to:" if error.__cause__ is not None else "While that was handled:"
    yield "Traceback (most recent call last):"
    for frame in traceback.extract_tb(error.__traceback__):
        yield f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}'
        if frame.line:
            yield f"    {frame.line}"
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from (f"  | {line}" for line in _lines(part, seen))
    yield without_values(error)


def without_values(error: BaseException) -> str:
    """An exception in one line: its type; of an outside system the call, too; its message where that is harmless."""
    kind = type(error)
    if isinstance(error, TELLING) or kind.__module__.partition(".")[0] == "api":
        return f"{kind.__qualname__}: {error}"
    if isinstance(error, ConnectorError):
        return f"{kind.__qualname__}: {error.system}: {error.call}"
    return kind.__qualname__


class WithoutValues(logging.Filter):
    """Filter of a log handler: tracebacks and exceptions among the arguments lose their messages.

    What Python itself logs is text with values in it by then: of an event loop stays what happened (to which function),
    of a warning its place and category.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """True, with the record changed: Python 3.11 takes no other one from a filter."""
        if record.name in EVENT_LOOPS:
            record.msg, record.args = _of_an_event_loop(str(record.msg)), ()
        elif record.name == "py.warnings":
            record.msg, record.args = _of_a_warning(record.getMessage()), ()
        if record.exc_info and record.exc_info[1] is not None:
            # Formatters write `exc_text` when it is there.
            record.exc_text, record.exc_info = traceback_without_values(record.exc_info[1]), None
        if isinstance(record.args, tuple):
            record.args = tuple(without_values(one) if isinstance(one, BaseException) else one for one in record.args)
        return True


def _of_an_event_loop(text: str) -> str:
    """The beginning of its message, up to the first thing whose text is given: arguments, a task, a result."""
    return FIRST_VALUE.split(text, maxsplit=1)[0].strip() or "(left out)"


def _of_a_warning(text: str) -> str:
    """`file:line: Category` of what `warnings.formatwarning` wrote."""
    found = WARNING_PLACE.match(text)
    return found[0] if found else "a warning (left out)"


class WithoutValuesExporter(SpanExporter):
    """Exports what another exporter sends, without messages of exceptions and without who asked."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """See base class."""
        return self._exporter.export([span_without_values(span) for span in spans])

    def shutdown(self) -> None:
        """See base class."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """See base class."""
        return self._exporter.force_flush(timeout_millis)


def span_without_values(span: ReadableSpan) -> ReadableSpan:
    """The same span; `exception.type` stays, and the status says that it failed with which type."""
    events = [
        Event(event.name, {k: v for k, v in (event.attributes or {}).items() if k not in LEFT_OUT}, event.timestamp)
        for event in span.events
    ]
    status = span.status
    if status.status_code is StatusCode.ERROR and status.description:
        # The tracer writes `Type: message`.
        kind = status.description.partition(":")[0]
        status = Status(StatusCode.ERROR, kind if kind.isidentifier() else None)
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes={k: v for k, v in (span.attributes or {}).items() if k not in LEFT_OUT},
        events=events,
        links=span.links,
        kind=span.kind,
        status=status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
