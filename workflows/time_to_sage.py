"""How long an order takes from the accepted webhook to Sage: `TimeToSage`, a worker interceptor of the plugin.

In: the result of `create_sales_order`. Out: `contracts.metrics.TIME_TO_SAGE`. Beside the workflow, not in it: it issues
no command, and replays count nothing.
"""

from typing import Any

from temporalio import workflow
from temporalio.worker import (
    Interceptor,
    StartActivityInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)
from temporalio.workflow import ActivityHandle

from activities.sage_write import SageWriteActivities
from contracts.messages import SalesOrderCreated
from contracts.metrics import TIME_TO_SAGE

_CREATE = SageWriteActivities.create_sales_order.__name__


class TimeToSage(Interceptor):
    """Observes the creation of sales orders."""

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor]:  # noqa: A002
        """See base class; the parameter's name is Temporal's."""
        return _Inbound


class _Inbound(WorkflowInboundInterceptor):
    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        super().init(_Outbound(outbound))


class _Outbound(WorkflowOutboundInterceptor):
    def start_activity(self, input: StartActivityInput) -> ActivityHandle[Any]:  # noqa: A002
        handle = super().start_activity(input)
        if input.activity == _CREATE:
            pair = input.args[0].pair
            handle.add_done_callback(lambda done: _created(pair, done))
        return handle


def _created(pair: str, done: Any) -> None:
    if workflow.unsafe.is_replaying() or done.cancelled() or done.exception() is not None:
        return
    result = done.result()
    if isinstance(result, SalesOrderCreated) and result.created is not None:
        waited = workflow.now() - workflow.info().start_time
        # The first count of a label may open a file.
        with workflow.unsafe.sandbox_unrestricted():
            TIME_TO_SAGE.labels(pair).observe(max(waited.total_seconds(), 0.0))
