"""`python -m workers namespace`: the Temporal namespace and the search attributes that orders need.

In: settings. Out: a namespace that exists, with its retention when it is made here, and every attribute of
`contracts/search_attributes.py`. What is there already is left as it is, so that the command may run at every start.
Temporal Cloud makes namespaces in its own console; there the command registers what the key may, or says what to do.
"""

import argparse
import asyncio
from datetime import timedelta

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeIndexedValueType
from temporalio.service import RPCError, RPCStatusCode

from contracts import search_attributes as attributes
from workers.connect import connect
from workers.plugin import integration_plugin
from workers.settings import Settings, SettingsError

RETENTION_DAYS = 90
"""As long as a closed order's id is remembered as a duplicate, and its history can be read."""
APPEARS_SECONDS = 60.0
"""A new namespace is known to all of the server after its cache was refreshed."""
LOOK_AGAIN_SECONDS = 0.5


def add_namespace_options(parser: argparse.ArgumentParser) -> None:
    """Flags of `python -m workers namespace`."""
    parser.add_argument(
        "--retention-days",
        type=int,
        default=RETENTION_DAYS,
        help="how long closed orders are kept, where the namespace is made anew (default: %(default)s)",
    )


async def make_namespace(options: argparse.Namespace, settings: Settings) -> None:
    """Make what is missing and say so; raises SettingsError when Temporal refuses, or the namespace does not appear."""
    if options.retention_days < 1:
        raise SettingsError(f"--retention-days {options.retention_days}: a namespace keeps at least 1 day.")
    client = await connect(settings, integration_plugin())
    try:
        made = await _register(client, timedelta(days=options.retention_days))
        print(f"Namespace {client.namespace}: {'made' if made else 'there already'}.")
        added = await _add_attributes(client)
        print(f"Search attributes: {', '.join(added) + ' added' if added else 'all there already'}.")
    except RPCError as error:
        raise SettingsError(
            f"Temporal at {settings.temporal_address} refuses to prepare namespace {settings.temporal_namespace} "
            f"({error.status.name}). Use credentials of an administrator, or make it by hand: docs/deploy.md."
        ) from None
    except TimeoutError:
        raise SettingsError(
            f"Namespace {settings.temporal_namespace} was made {APPEARS_SECONDS:.0f} s ago, and Temporal at "
            f"{settings.temporal_address} does not know it yet. Run this again: what is there stays as it is."
        ) from None


async def _register(client: Client, retention: timedelta) -> bool:
    period = Duration()
    period.FromTimedelta(retention)
    request = RegisterNamespaceRequest(namespace=client.namespace, workflow_execution_retention_period=period)
    try:
        await client.workflow_service.register_namespace(request)
    except RPCError as error:
        if error.status is RPCStatusCode.ALREADY_EXISTS:
            return False
        raise
    return True


async def _known_attributes(client: Client) -> dict[str, int]:
    """Names and types as the server has them; waits for a namespace that was made a moment ago."""
    async with asyncio.timeout(APPEARS_SECONDS):
        while True:
            try:
                listed = await client.operator_service.list_search_attributes(
                    ListSearchAttributesRequest(namespace=client.namespace)
                )
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
                await asyncio.sleep(LOOK_AGAIN_SECONDS)
            else:
                return dict(listed.custom_attributes)


async def _add_attributes(client: Client) -> list[str]:
    wanted = {key.name: int(_type_of(key.indexed_value_type)) for key in attributes.ALL}
    known = await _known_attributes(client)
    for name in wanted.keys() & known.keys():
        if wanted[name] != known[name]:
            raise SettingsError(
                f"Search attribute {name} of namespace {client.namespace} is {_name_of(known[name])}; it must be "
                f"{_name_of(wanted[name])}. Use a namespace of its own, or remove it there and run this again: "
                f"temporal operator search-attribute remove --name {name}"
            )
    missing = {name: wanted[name] for name in wanted if name not in known}
    if missing:
        request = AddSearchAttributesRequest(namespace=client.namespace)
        request.search_attributes.update({name: _value(number) for name, number in missing.items()})
        await client.operator_service.add_search_attributes(request)
    return list(missing)


def _type_of(kind: SearchAttributeIndexedValueType) -> IndexedValueType.ValueType:
    return IndexedValueType.Value(f"INDEXED_VALUE_TYPE_{kind.name}")


def _value(number: int) -> IndexedValueType.ValueType:
    return IndexedValueType.Value(IndexedValueType.Name(number))  # type: ignore[arg-type]


def _name_of(number: int) -> str:
    words = IndexedValueType.Name(number).removeprefix("INDEXED_VALUE_TYPE_").split("_")  # type: ignore[arg-type]
    return "".join(word.capitalize() for word in words)
