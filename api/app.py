"""The HTTP edge: Clarity's webhooks in, order state out, releases through.

In: signed webhooks; support's requests with an API key (`api.access`). Out: 202 once Temporal has accepted. Routes
verify, parse and hand over; there is no state and no business rule here. Temporal down: 503 with Retry-After, quickly.
"""

import asyncio
import hashlib
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from temporalio.client import (
    Client,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from activities.intake import Intake, IntakeResult
from api.access import AccessMiddleware, describe_access
from api.codec import CodecCors, add_codec
from api.customers import add_customers
from api.edge import RPC_LIMIT, EdgeError, OrderId, PairEdge, PairName, edge_of, errors
from api.keys import KeyRing
from api.metrics import add_metrics
from api.payload import DEPTH_LIMIT, NotJson, is_deeper_than, parse_payload
from api.problem import BODY_LIMIT, RETRY_AFTER_SECONDS, TOO_LARGE, Problem
from api.refusals import Refusal, Refusals
from connectors.clarity.webhooks import BadSignature, signed_headers, verify
from contracts import ids, queues
from contracts import search_attributes as attributes
from contracts.messages import BackfillStart, OrderView, Release, ReleaseAccepted
from contracts.metrics import WEBHOOKS, WebhookResult
from mappings.card_numbers import mask_card_numbers
from mappings.clarity_profile import Kind, to_contract
from mappings.intake import is_older, pair_of_currency
from mappings.pair import Pair
from mappings.plain_json import storable

log = logging.getLogger(__name__)

ANSWER_SECONDS = 5.0
"""For all calls to Temporal that one request needs; a sender waits no longer for its 503."""
UNTRACED = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked every few seconds by machines."""
BODY_SECONDS = 20.0
"""For a webhook's body to arrive."""


class WebhookAnswer(BaseModel):
    """202: accepted, and what became of the event."""

    result: IntakeResult
    detail: str = Field(description="Workflow id, or why nothing was started")


class OrderAnswer(BaseModel):
    """An order as support sees it."""

    workflow_id: str
    status: str
    order: OrderView | None = Field(description="None when no worker answered in time")


class RestartRequest(BaseModel):
    """Body of `restart`; none is needed to start again what was terminated."""

    force: bool = Field(default=False, description="Start an order that may have been here before (needs_force)")
    reason: str = Field(default="", max_length=1000, description="With force: who wants it and why; kept in the trail")


class RestartAnswer(BaseModel):
    """The order was started again."""

    workflow_id: str = Field(description="The order, or with force the backfill that fetches and starts it")


def create_app(
    edges: Mapping[str, PairEdge], client: Client, keys: KeyRing | None = None, ui_origins: Sequence[str] = ()
) -> FastAPI:
    """The API over a (lazily connected) Temporal client.

    `keys` guards every route but health and webhooks; None is for callers in the same process, which need no key.
    `ui_origins` are those of Temporal's Web UI, whose pages may ask /codec.
    """

    app = FastAPI(
        title="Clarity ↔ Sage 100",
        description="Webhooks in, order state out, releases through.",
        version="1",
        # Spans of requests; the processes' own exporter sends them (workers.telemetry), and no words of errors.
        telemetry={
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
            "exclude": lambda scope: scope.get("path") in UNTRACED,
        },
    )
    add_error_answers(app)
    add_health(app, client)
    add_webhooks(app, edges, client, Refusals(client))
    add_orders(app, edges, client)
    add_customers(app, edges, client)
    add_codec(app, client, keys)
    add_metrics(app, client, edges)
    describe_access(app)
    if keys is not None:
        app.add_middleware(AccessMiddleware, keys=keys, ui_origins=ui_origins)
    app.add_middleware(CodecCors, origins=ui_origins)
    return app


def add_error_answers(app: FastAPI) -> None:
    """Every error has the same shape, and nothing is a traceback."""

    @app.exception_handler(EdgeError)
    async def edge_error(_: Request, error: EdgeError) -> JSONResponse:
        return JSONResponse(error.body.model_dump(), error.status, error.headers)

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse(Problem(error=str(error.detail)).model_dump(), error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return JSONResponse(Problem(error=f"{where}: {first['msg']}").model_dump(), 422)

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> JSONResponse:
        # It is logged with its traceback by the server; what was sent is in neither.
        log.error("%s ended with %s", request.method, type(error).__name__)
        body = Problem(
            error="Something went wrong here that nobody foresaw.",
            remedy="The log of the API says where. Sending the same again is safe.",
        )
        return JSONResponse(body.model_dump(), 500)

    @app.exception_handler(RPCError)
    @app.exception_handler(RuntimeError)
    @app.exception_handler(TimeoutError)
    async def temporal_down(_: Request, error: Exception) -> JSONResponse:
        log.error("Temporal does not answer: %s", type(error).__name__)
        body = Problem(error="Temporal does not answer", remedy="Send the same again later: a repeat is safe.")
        return JSONResponse(body.model_dump(), 503, {"Retry-After": str(RETRY_AFTER_SECONDS)})


def add_health(app: FastAPI, client: Client) -> None:
    """Liveness and readiness."""

    @app.get("/healthz", summary="The process lives")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", summary="Temporal answers", responses=errors(503))
    async def readyz() -> dict[str, str]:
        if not await client.service_client.check_health(timeout=RPC_LIMIT):
            raise EdgeError(503, "Temporal is not ready", retry_after=RETRY_AFTER_SECONDS)
        return {"status": "ready"}


def add_webhooks(app: FastAPI, edges: Mapping[str, PairEdge], client: Client, refusals: Refusals) -> None:
    """Clarity's deliveries."""
    for name in edges:
        for known in (*IntakeResult, *WebhookResult):
            WEBHOOKS.labels(name, known.value)

    @app.post(
        "/webhooks/clarity/{pair}",
        status_code=202,
        summary="A signed event from Clarity (Standard Webhooks 1.0, or the pair's own scheme)",
        responses=errors(400, 401, 404, 408, 413, 422, 503),
        openapi_extra={
            "requestBody": {
                "required": True,
                "description": "The event, uncompressed; the signature is over these bytes",
                "content": {"application/json": {"schema": {"type": "object"}}},
            }
        },
    )
    async def clarity_webhook(pair: PairName, request: Request) -> WebhookAnswer:
        edge = edge_of(edges, pair)
        result: str = WebhookResult.UNAVAILABLE.value
        try:
            answer = await taken_in(edge, request)
            result = answer.result.value
        except EdgeError:
            result = WebhookResult.REFUSED.value
            raise
        finally:
            WEBHOOKS.labels(edge.pair.name, result).inc()
        return answer

    async def taken_in(edge: PairEdge, request: Request) -> WebhookAnswer:
        pair = edge.pair.name
        try:
            body = await read_body(request)
        except EdgeError as error:
            if error.status == 413:
                refusals.count(edge.pair, Refusal.TOO_LARGE)
            raise
        tolerance = timedelta(seconds=edge.pair.clarity.webhook_tolerance_seconds)
        webhook = edge.pair.clarity.webhook
        try:
            headers = signed_headers(request.headers.items(), webhook)
            webhook_id = verify(headers, body, edge.webhook_keys, datetime.now(UTC), tolerance, webhook)
        except BadSignature as error:
            log.warning("A webhook for pair %s was refused: %s", pair, error)
            raise EdgeError(401, str(error), "Sign the raw body with the pair's webhook secret.") from None
        try:
            payload = to_contract(parse_payload(body), Kind.EVENT, edge.pair.clarity)
        except NotJson as error:
            log.error("A signed webhook for pair %s is not JSON (%d bytes)", pair, len(body))
            refusals.count(edge.pair, Refusal.NOT_JSON)
            packed = request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity")
            remedy = "Send the body uncompressed, without Content-Encoding." if packed else "Send one JSON object."
            raise EdgeError(400, str(error), remedy) from None
        taker = pair_of_currency(payload, edge.pair, {name: one.pair for name, one in edges.items()})
        async with asyncio.timeout(ANSWER_SECONDS):
            result, detail = await Intake(client, taker).take(payload, webhook_id)
        return WebhookAnswer(result=result, detail=detail)


async def read_body(request: Request) -> bytes:
    """The raw body: at most 1 MB, within a time; what is announced as larger is not read at all."""
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced[:12]) > BODY_LIMIT:
        raise EdgeError(413, *TOO_LARGE)
    chunks, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                size += len(chunk)
                if size > BODY_LIMIT:
                    raise EdgeError(413, *TOO_LARGE)
                chunks.append(chunk)
    except TimeoutError:
        raise EdgeError(408, f"The body did not arrive within {BODY_SECONDS:g} s.", "Send it again.") from None
    except ClientDisconnect:
        # Nobody hears this answer; without it the log would hold a traceback.
        raise EdgeError(400, "The body is shorter than announced.", "Send it again.") from None
    return b"".join(chunks)


def add_orders(app: FastAPI, edges: Mapping[str, PairEdge], client: Client) -> None:
    """What support sees and does."""

    @app.get("/orders/{pair}/{order_id}", summary="An order's state", responses=errors(404, 422, 503))
    async def get_order(pair: PairName, order_id: OrderId) -> OrderAnswer:
        edge_of(edges, pair)
        workflow_id = ids.order_workflow_id(pair, order_id)
        handle = client.get_workflow_handle(workflow_id)
        try:
            description = await handle.describe(rpc_timeout=RPC_LIMIT)
        except RPCError as error:
            raise missing(error, workflow_id) from None
        view = None
        try:
            view = await handle.query("state", result_type=OrderView, rpc_timeout=RPC_LIMIT)
        except (RPCError, WorkflowQueryFailedError):
            log.warning("No worker answered the query of %s", workflow_id, extra={"workflow_id": workflow_id})
        status = description.status.name.lower() if description.status else "unknown"
        return OrderAnswer(workflow_id=workflow_id, status=status, order=view)

    @app.post(
        "/orders/{pair}/{order_id}/release",
        summary="Decide on a held order",
        responses=errors(400, 404, 409, 422, 503),
    )
    async def release(pair: PairName, order_id: OrderId, decision: Release) -> ReleaseAccepted:
        edge_of(edges, pair)
        if is_deeper_than(DEPTH_LIMIT, decision.correction):
            raise EdgeError(422, f"correction: is nested deeper than {DEPTH_LIMIT} levels.", "Change fewer levels.")
        # What people write is kept in the order's history: card numbers never are (rules 5).
        clean, _ = mask_card_numbers(decision.model_dump(include={"by", "note", "correction"}))
        decision = decision.model_copy(update=clean)
        if not is_encodable(decision):
            raise EdgeError(422, "The decision holds text that is no Unicode (a lone surrogate).", "Type it anew.")
        if decision.hold is None:
            raise EdgeError(
                422, "hold: is missing", "Send the number of the hold that GET shows, so that you decide it."
            )
        workflow_id = ids.order_workflow_id(pair, order_id)
        handle = client.get_workflow_handle(workflow_id)
        try:
            # The same decision sent again, after an answer was lost, is the same update.
            accepted: ReleaseAccepted = await handle.execute_update(
                "release_hold",
                decision,
                id=update_id(decision),
                result_type=ReleaseAccepted,
                rpc_timeout=RPC_LIMIT,
            )
        except WorkflowUpdateRPCTimeoutOrCancelledError:
            raise EdgeError(
                503,
                "No worker has answered yet; the decision may still be recorded.",
                "Look at the order with GET; sending the very same decision again is safe.",
                RETRY_AFTER_SECONDS,
            ) from None
        except WorkflowUpdateFailedError as error:
            cause = error.cause
            raise EdgeError(409, cause.message if isinstance(cause, ApplicationError) else str(cause)) from None
        except RPCError as error:
            raise missing(error, workflow_id) from None
        return accepted

    @app.post(
        "/orders/{pair}/{order_id}/restart",
        summary="Start an order again whose workflow was terminated, cancelled or failed",
        responses=errors(404, 409, 422, 503),
    )
    async def restart(pair: PairName, order_id: OrderId, wish: RestartRequest | None = None) -> RestartAnswer:
        edge = edge_of(edges, pair)
        if wish is not None and wish.force:
            return RestartAnswer(workflow_id=await force_start(client, edge.pair, order_id, wish.reason))
        workflow_id = ids.order_workflow_id(pair, order_id)
        handle = client.get_workflow_handle(workflow_id)
        try:
            description = await handle.describe(rpc_timeout=RPC_LIMIT)
            payload = await latest_payload(client, handle)
        except RPCError as error:
            raise missing(error, workflow_id) from None
        result, detail = await Intake(client, edge.pair).take(payload, f"restart:{description.run_id}", restart=True)
        if result is not IntakeResult.STARTED:
            raise EdgeError(409, f"The order was not started again ({result.value}).", detail)
        return RestartAnswer(workflow_id=workflow_id)


async def force_start(client: Client, pair: Pair, order_id: str, reason: str) -> str:
    """Let a backfill fetch the order from Clarity and start it, whatever was here before (rules 4); returns its id."""
    clean, _ = mask_card_numbers(storable(reason).strip())
    if not clean:
        raise EdgeError(422, "reason: is missing", "Say who starts the order again and why; the order keeps it.")
    start = BackfillStart(pair=pair.name, pace=pair.pace, order_ids=[order_id], forced=clean)
    handle = await client.start_workflow(
        "OrderBackfillWorkflow",
        start,
        id=ids.backfill_of_orders_id(pair.name, [order_id]),
        task_queue=queues.ORDERS,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        search_attributes=TypedSearchAttributes([SearchAttributePair(attributes.PAIR, pair.name)]),
        static_summary=f"Order {order_id} by force",
        rpc_timeout=RPC_LIMIT,
    )
    return handle.id


async def latest_payload(client: Client, handle: WorkflowHandle[Any, Any]) -> dict[str, Any]:
    """The newest version of Clarity's order that the history knows: from its start, or a signal since."""
    latest: dict[str, Any] = {}
    async for event in handle.fetch_history_events(rpc_timeout=RPC_LIMIT):
        if event.HasField("workflow_execution_started_event_attributes"):
            payloads = event.workflow_execution_started_event_attributes.input.payloads
        elif event.workflow_execution_signaled_event_attributes.signal_name == "clarity_order_changed":
            payloads = event.workflow_execution_signaled_event_attributes.input.payloads
        else:
            continue
        values = await client.data_converter.decode(list(payloads))
        payload = values[0].get("payload") if values and isinstance(values[0], dict) else None
        if isinstance(payload, dict) and not (latest and is_older(payload, latest)):
            latest = payload
    return latest


def is_encodable(decision: Release) -> bool:
    """Whether it can travel: JSON may hold halves of characters, UTF-8 cannot."""
    try:
        decision.model_dump_json()
    except (ValueError, UnicodeError):
        return False
    return True


def update_id(decision: Release) -> str:
    """The same for the same decision."""
    return "release-" + hashlib.sha256(decision.model_dump_json().encode()).hexdigest()[:32]


def missing(error: RPCError, workflow_id: str) -> EdgeError | RPCError:
    """404 for an order that is unknown or closed; anything else stays an outage."""
    if error.status is RPCStatusCode.NOT_FOUND:
        return EdgeError(404, f"{workflow_id} is not there or is closed.", "Check the order id.")
    return error
