"""The API answers only what its OpenAPI description says, never 500: requests that Schemathesis makes from it.

Without a key, with one, and on this machine without any keys; larger with HYPOTHESIS_PROFILE=large.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import hypothesis
import pytest
import schemathesis
import schemathesis.checks as server
import schemathesis.specs.openapi.checks as described
from schemathesis.core.result import Ok
from temporalio import activity
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from api.edge import PairEdge
from api.keys import KeyRing, Scope, add_key
from contracts import queues
from contracts.customers import (
    AccountHit,
    AccountRead,
    AccountsFound,
    FindAccounts,
    ReadAccount,
    ReadWebCustomers,
    WebCustomersRead,
)
from mappings.customer_account import Account, AccountRecord
from tests.support.api_server import serving
from tests.support.sizes import LARGE
from tests.workflows.conftest import PAIR

pytestmark = pytest.mark.asyncio(loop_scope="session")
EXAMPLES = 300 if LARGE else 12


def try_everything(address: str, reader: str, headers: dict[str, str]) -> set[int]:
    """The statuses that came; every one is described."""
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json", headers={"X-API-Key": reader} if reader else {})
    checks = [
        server.not_a_server_error,
        described.status_code_conformance,
        described.content_type_conformance,
        described.response_schema_conformance,
    ]
    seen: set[int] = set()
    for result in schema.get_all_operations():
        assert isinstance(result, Ok)
        operation = result.ok()

        @hypothesis.settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
        @hypothesis.given(case=operation.as_strategy())
        def attempt(case):  # type: ignore[no-untyped-def]
            if "pair" in (case.path_parameters or {}) and len(case.path_parameters["pair"]) % 2:
                case.path_parameters["pair"] = "demo"
            answer = case.call(headers=headers)
            # 503 tells of an outage, and there is none.
            assert answer.status_code != 503
            seen.add(answer.status_code)
            case.validate_response(answer, checks=checks)

        attempt()
    return seen


@activity.defn
async def read_account(request: ReadAccount) -> AccountRead:
    """Sage knows every customer of division 01."""
    known = request.customer.ARDivisionNo == "01"
    return AccountRead(account=Account(record=AccountRecord(**request.customer.model_dump())) if known else None)


@activity.defn
async def find_accounts(_: FindAccounts) -> AccountsFound:
    return AccountsFound(hits=[AccountHit(customer="01-ABF", CustomerName="Alpha")], index_age=1.0)


@activity.defn
async def read_web_customers(_: ReadWebCustomers) -> WebCustomersRead:
    return WebCustomersRead()


@asynccontextmanager
async def customers_known(client: Client) -> AsyncIterator[None]:
    """Stand-ins for the workers that the view of a customer asks."""
    sage = Worker(client, task_queue=queues.sage_read("demo"), activities=[read_account, find_accounts])
    clarity = Worker(client, task_queue=queues.clarity("demo"), activities=[read_web_customers])
    async with sage, clarity:
        yield


@pytest.mark.parametrize("scopes", ["nothing", "read", "read operate decode", "no keys"])
async def test_every_answer_is_described_and_none_is_500(env: WorkflowEnvironment, tmp_path: Path, scopes: str) -> None:
    file = tmp_path / "keys.json"
    now, reader, headers = datetime.now(UTC), "", {}
    if scopes != "no keys":
        reader = add_key(file, "reader", frozenset({Scope.READ}), None, now)[1]
    if scopes.startswith("read"):
        key = add_key(file, "caller", frozenset(Scope(scope) for scope in scopes.split()), None, now)[1]
        headers = {"X-API-Key": key}
    edges = {"demo": PairEdge(PAIR, (b"secret-of-the-pair-0001",))}
    async with customers_known(env.client):
        with serving(edges, env.client.service_client.config.target_host, KeyRing(file)) as address:
            seen = await asyncio.to_thread(try_everything, address, reader, headers)
    assert {200, 401 if scopes == "nothing" else 404} <= seen
    assert (403 in seen) == (scopes == "read")
