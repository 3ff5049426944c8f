"""Signals of the wrong shape change nothing: `SignalShapes`, a worker interceptor that the plugin installs.

In: a signal as it came, from the Web UI's button, the CLI, or by query to a hundred orders at once. Out: the handler's
call, or nothing. The SDK drops an argument that it cannot decode, but calls the handler with none or with two when that
is what was sent; the TypeError would fail the workflow task again and again, and the order would stand still.
"""

import inspect

from temporalio import workflow
from temporalio.worker import (
    HandleSignalInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)


class SignalShapes(Interceptor):
    """Drops signals whose number of arguments is not their handler's."""

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor]:  # noqa: A002
        """See base class; the parameter's name is Temporal's."""
        return _Shapes


class _Shapes(WorkflowInboundInterceptor):
    async def handle_signal(self, input: HandleSignalInput) -> None:  # noqa: A002
        handler = workflow.get_signal_handler(input.signal)
        if handler is not None:
            try:
                inspect.signature(handler).bind(*input.args)
            except TypeError:
                workflow.logger.warning("A signal with %d arguments was ignored: %s", len(input.args), input.signal)
                return
        await super().handle_signal(input)
