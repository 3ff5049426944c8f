"""What the API's routes and its door share: the shape of every error, and the limits of a request."""

from pydantic import BaseModel

BODY_LIMIT = 1024 * 1024
"""Bytes of a body."""
RETRY_AFTER_SECONDS = 5
TOO_LARGE = ("The body is larger than 1 MB.", "Enter the order by hand, or split it.")


class Problem(BaseModel):
    """Every error."""

    error: str
    remedy: str = ""
