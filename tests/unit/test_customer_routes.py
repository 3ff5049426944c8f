"""The routes of customers: what they refuse before anybody is asked, and what they say when nobody can be asked."""

import time
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from temporalio.client import Client

from api.app import create_app
from api.edge import PairEdge
from mappings.pair import Pair
from tests.support.processes import free_ports
from workers.plugin import integration_plugin


@pytest_asyncio.fixture
async def api(pair: Pair) -> AsyncIterator[httpx.AsyncClient]:
    """The API, and a Temporal that is not there."""
    client = await Client.connect(f"127.0.0.1:{free_ports(1)[0]}", lazy=True, plugins=[integration_plugin()])
    transport = httpx.ASGITransport(create_app({"demo": PairEdge(pair, (b"secret",))}, client))
    async with httpx.AsyncClient(transport=transport, base_url="http://api/customers") as one:
        yield one


@pytest.mark.asyncio
async def test_without_temporal_nobody_can_be_asked_and_the_answer_says_so_soon(api: httpx.AsyncClient) -> None:
    for path in ("/demo/01-ABF", "/demo/01-ABF/export?audience=marketing", "/demo?order=10001"):
        began = time.monotonic()
        answer = await api.get(path)
        assert time.monotonic() - began < 15
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5"), path
        assert "temporal" in answer.json()["error"].lower() or "sage" in answer.json()["error"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/demo/ABF", None),
        ("GET", "/demo/01-", None),
        ("GET", "/demo/01-A'B", None),
        ("GET", "/demo/01-ABF?page=101", None),
        ("GET", "/demo/01-ABF?orders_before='--", None),
        ("GET", "/demo/01-ABF/export", None),
        ("GET", "/demo/01-ABF/export?audience=everybody", None),
        ("GET", "/demo", None),
        ("GET", "/demo?order=1&sales_order=2", None),
        ("GET", "/demo?order=' OR '1'='1", None),
        ("GET", "/demo?email=ann@example.com", None),
        ("POST", "/demo/search", {}),
        ("POST", "/demo/search", {"email": "a@b.example", "name": "Ann"}),
        ("POST", "/demo/search", {"name": "  "}),
        ("POST", "/demo/search", {"e-mail": "ann@example.com"}),
        ("POST", "/demo/search", {"order": "x' OR 'a'='a"}),
    ],
)
async def test_what_makes_no_sense_is_refused_before_anybody_is_asked(
    api: httpx.AsyncClient, method: str, path: str, body: object
) -> None:
    answer = await api.request(method, path, json=body)
    assert answer.status_code == 422, answer.text
    assert "example.com" not in answer.text


@pytest.mark.asyncio
async def test_an_unknown_pair_is_404(api: httpx.AsyncClient) -> None:
    assert (await api.get("/other/01-ABF")).status_code == 404
    assert (await api.post("/other/search", json={"name": "Ann"})).status_code == 404
