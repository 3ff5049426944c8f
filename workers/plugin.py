"""The one Temporal plugin: converter, codec, interceptors and workflow runner for client, workers, tests and replay.

Because there is one, production, tests and replay cannot drift apart.
"""

import dataclasses

from temporalio.client import Interceptor as ClientInterceptor
from temporalio.contrib.opentelemetry import TracingInterceptor
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter, DefaultFailureConverterWithEncodedAttributes, StorageDriverStoreContext
from temporalio.plugin import SimplePlugin
from temporalio.worker import Interceptor as WorkerInterceptor
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.errors import ErrorTranslation
from activities.metering import Metering
from workers.codec import payload_codec
from workers.encryption_keys import EncryptionKeys
from workers.settings import SettingsError, load_settings
from workflows.signal_shapes import SignalShapes
from workflows.time_to_sage import TimeToSage

OUR_PACKAGES = ("workflows", "activities", "connectors", "contracts", "mappings")
"""Passed through the workflow sandbox: imported once per process, not once per workflow (measured: a third of the
worker's CPU). Workflows use of them only what is pure; a test and the layers contract watch it."""

LIBRARIES = ("pydantic", "pydantic_core", "annotated_types", "yaml", "httpx", "opentelemetry", "prometheus_client")
"""Imported below our packages; they must not be imported again inside the sandbox either."""

NOT_STORED = StorageDriverStoreContext(target=None)
"""The context of payloads that stay in the history."""


def integration_plugin(*, tracing: bool = False, keys: EncryptionKeys | None = None) -> SimplePlugin:
    """The plugin. `tracing` adds OpenTelemetry spans; `workers.telemetry` sets the exporter.

    `keys` encrypt payloads; None takes those of the environment, so that no process and no command forgets them.
    Raises SettingsError when those cannot be used.
    """
    interceptors: list[ClientInterceptor | WorkerInterceptor] = [
        Metering(),
        ErrorTranslation(),
        SignalShapes(),
        TimeToSage(),
    ]
    if tracing:
        interceptors.insert(0, TracingInterceptor())
    return SimplePlugin(
        "clarity-sage100",
        data_converter=data_converter(_from_environment() if keys is None else keys),
        interceptors=interceptors,
        workflow_runner=_runner,
    )


def data_converter(keys: EncryptionKeys) -> DataConverter:
    """pydantic's, with the one chain of codecs; with a key, messages and stack traces of failures are encrypted, too.

    Without one they stay readable: the server shows a failure with encoded attributes only as "Encoded failure".
    """
    converter = dataclasses.replace(pydantic_data_converter, payload_codec=payload_codec(keys))
    if not keys.is_on:
        return converter
    return dataclasses.replace(converter, failure_converter_class=DefaultFailureConverterWithEncodedAttributes)


def _from_environment() -> EncryptionKeys:
    try:
        return load_settings().payload_keys()
    except ValueError as error:
        raise SettingsError(f"{error}. Correct it in the environment, in .env or in SECRETS_DIR.") from None


def _runner(_: WorkflowRunner | None) -> WorkflowRunner:
    return ContextFreeRunner(
        restrictions=SandboxRestrictions.default.with_passthrough_modules(*OUR_PACKAGES, *LIBRARIES)
    )


class ContextFreeRunner(SandboxedWorkflowRunner):
    """The sandbox, which is not asked for contexts of serialization and of storage: no converter, codec or driver of
    ours uses one.

    The SDK asks several times for each payload, each time by entering the sandbox (measured: a third of the Python
    time of a worker of workflows).
    """

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """As the sandbox's, with the answers at hand."""
        instance = super().create_instance(det)
        instance.get_serialization_context = lambda command_info: None  # type: ignore[method-assign]
        instance.get_external_store_context = lambda command_info: NOT_STORED  # type: ignore[method-assign]
        return instance
