"""What the API's routes and its door share: the shape of every error, and the limits of a request."""

from pydantic import BaseModel

BODY_LIMIT = 1024 * 1024
"""Bytes of a body."""
CODEC_BODY_LIMIT = 8 * 1024 * 1024
"""Bytes of payloads to decode or encode at once: a page of a history has at most 4 MB, in base64 5.4."""
RETRY_AFTER_SECONDS = 5
TOO_LARGE = ("The body is larger than 1 MB.", "Enter the order by hand, or split it.")

CODEC_TOO_LARGE = ("The body is larger than 8 MB.", "Send fewer payloads at once.")


class Problem(BaseModel):
    """Every error."""

    error: str
    remedy: str = ""
