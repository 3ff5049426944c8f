"""What every route of the API shares: the pair behind an address, and answers that are no success."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from fastapi import Path

from api.problem import Problem
from mappings.pair import Pair

RPC_LIMIT = timedelta(seconds=3)
"""Of one call to Temporal."""


@dataclass(frozen=True)
class PairEdge:
    """What the API needs of one pair."""

    pair: Pair
    webhook_keys: tuple[bytes, ...]


class EdgeError(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, error: str, remedy: str = "", retry_after: int | None = None) -> None:
        self.status = status
        self.body = Problem(error=error, remedy=remedy)
        self.headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        super().__init__(error)


PairName = Annotated[str, Path(pattern=r"^[a-z][a-z0-9]{1,15}$")]
OrderId = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": text}
    for status, text in {
        400: "Not JSON, or compressed",
        401: "Signature missing, malformed, old or wrong",
        404: "No such pair or order",
        408: "The body did not arrive in time",
        409: "The order's state does not allow it",
        413: "Larger than 1 MB",
        422: "The request is not valid",
        503: "Temporal does not answer; try again after Retry-After",
    }.items()
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The documented errors of a route."""
    return {status: ERRORS[status] for status in statuses}


def edge_of(edges: Mapping[str, PairEdge], pair: str) -> PairEdge:
    """The pair, or 404."""
    edge = edges.get(pair)
    if edge is None:
        raise EdgeError(404, f"There is no pair {pair}.", "Check the address against PAIRS_DIR.")
    return edge
