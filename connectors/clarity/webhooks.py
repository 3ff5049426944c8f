"""Signatures of Clarity's webhooks: Standard Webhooks 1.0.

In: headers, the raw body, the secrets (several while one is rotated), the time. Out: the webhook's id. Raises
`BadSignature` with a reason that tells a developer what is wrong and an attacker nothing new. Pure.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

SECRET_PREFIX = "whsec_"
SIGNATURE_VERSION = "v1"
HEADER_LIMIT = 2_048
ID_LIMIT = 256


class BadSignature(Exception):
    """The delivery is not proven to come from Clarity."""


def decode_secret(secret: str) -> bytes:
    """`whsec_` + base64 → key; raises ValueError for anything else."""
    if not secret.startswith(SECRET_PREFIX):
        raise ValueError(f"a webhook secret starts with {SECRET_PREFIX}")
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("a webhook secret is base64 after its prefix") from None
    if len(key) < 16:
        raise ValueError("a webhook secret has at least 16 bytes")
    return key


def sign(key: bytes, webhook_id: str, timestamp: str, body: bytes) -> str:
    """The signature of `{id}.{timestamp}.{body}`: `v1,` and base64 of HMAC-SHA256."""
    digest = hmac.new(key, f"{webhook_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"{SIGNATURE_VERSION},{base64.b64encode(digest).decode()}"


def verify(headers: Mapping[str, str], body: bytes, keys: Sequence[bytes], now: datetime, tolerance: timedelta) -> str:
    """The webhook's id, once one of the signatures fits one of the keys and the timestamp is within ±tolerance."""
    webhook_id = _header(headers, "webhook-id")
    timestamp = _header(headers, "webhook-timestamp")
    signatures = _header(headers, "webhook-signature")
    if len(webhook_id) > ID_LIMIT:
        raise BadSignature(f"webhook-id has more than {ID_LIMIT} characters")
    if not (timestamp.isdigit() and len(timestamp) <= 12):
        raise BadSignature("webhook-timestamp is not a number of seconds")
    age = now.timestamp() - int(timestamp)
    if abs(age) > tolerance.total_seconds():
        direction = "old" if age > 0 else "far in the future"
        raise BadSignature(f"webhook-timestamp is too {direction}: check both clocks")
    expected = [sign(key, webhook_id, timestamp, body).encode() for key in keys]
    fits = False
    for candidate in signatures.split(" ")[:20]:
        for signature in expected:
            # Every pair is compared, in constant time each.
            fits |= hmac.compare_digest(candidate.encode(), signature)
    if not fits:
        raise BadSignature("no signature fits: check the secret, and that the raw body is signed")
    return webhook_id


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name, "")
    if not value:
        raise BadSignature(f"header {name} is missing")
    if len(value) > HEADER_LIMIT:
        raise BadSignature(f"header {name} has more than {HEADER_LIMIT} characters")
    if not (value.isascii() and value.isprintable()):
        raise BadSignature(f"header {name} holds characters that no sender uses")
    return value
