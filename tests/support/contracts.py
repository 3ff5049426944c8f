"""Requests and answers held to the OpenAPI contracts in docs/openapi."""

from functools import cache

import httpx
from openapi_core import OpenAPI
from openapi_core.contrib.requests import RequestsOpenAPIRequest, RequestsOpenAPIResponse
from requests import PreparedRequest, Response

from tests.support.processes import ROOT


@cache
def contract(name: str) -> OpenAPI:
    """`sage-gateway` or `clarity`."""
    return OpenAPI.from_file_path(str(ROOT / "docs" / "openapi" / f"{name}.yaml"))


def check(name: str, response: httpx.Response, *, request_too: bool = True) -> None:
    """Raise when the exchange is not what the contract says; bad requests skip their own check."""
    base = {"sage-gateway": "http://127.0.0.1:8090", "clarity": "http://127.0.0.1:8091"}[name]
    request = PreparedRequest()
    request.prepare(
        method=response.request.method,
        url=base + response.request.url.raw_path.decode(),
        headers=dict(response.request.headers),
        data=response.request.content,
    )
    answer = Response()
    answer.status_code = response.status_code
    answer.headers.update(response.headers)
    answer._content = response.content
    wrapped = RequestsOpenAPIRequest(request)
    if request_too:
        contract(name).validate_request(wrapped)
    contract(name).validate_response(wrapped, RequestsOpenAPIResponse(answer))


class Recorder(httpx.AsyncBaseTransport):
    """A real transport that holds every exchange to a contract."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.inner = httpx.AsyncHTTPTransport()
        self.exchanges: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass on, read, check, answer."""
        answer = await self.inner.handle_async_request(request)
        body = await answer.aread()
        response = httpx.Response(answer.status_code, headers=answer.headers, content=body, request=request)
        check(self.name, response)
        self.exchanges.append(f"{request.method} {request.url.path} {response.status_code}")
        return response

    async def aclose(self) -> None:
        """Close the real one."""
        await self.inner.aclose()
