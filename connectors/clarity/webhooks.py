"""Signatures of Clarity's webhooks: Standard Webhooks 1.0, or hex HMAC-SHA256, as the profile says.

In: headers, the raw body, the secrets (several while one is rotated), the time. Out: the webhook's id. Raises
`BadSignature` with a reason that tells a developer what is wrong and an attacker nothing new. Pure.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from mappings.clarity_profile import SignatureScheme, Webhook

STANDARD = Webhook()
SECRET_PREFIX = "whsec_"
SIGNATURE_VERSION = "v1"
HEADER_LIMIT = 2_048
ID_LIMIT = 256
CANDIDATES = 20


class BadSignature(Exception):
    """The delivery is not proven to come from Clarity."""


def decode_secret(secret: str, webhook: Webhook = STANDARD) -> bytes:
    """The key: of `whsec_` + base64, or, in the hex scheme, the text itself. Raises ValueError for anything else."""
    if webhook.scheme is SignatureScheme.HMAC_SHA256_HEX:
        return _long_enough(secret.encode())
    if not secret.startswith(SECRET_PREFIX):
        raise ValueError(f"a webhook secret starts with {SECRET_PREFIX}")
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("a webhook secret is base64 after its prefix") from None
    return _long_enough(key)


def _long_enough(key: bytes) -> bytes:
    if len(key) < 16:
        raise ValueError("a webhook secret has at least 16 bytes")
    return key


def sign(key: bytes, webhook_id: str, timestamp: str, body: bytes) -> str:
    """The signature of `{id}.{timestamp}.{body}`: `v1,` and base64 of HMAC-SHA256."""
    digest = hmac.new(key, f"{webhook_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"{SIGNATURE_VERSION},{base64.b64encode(digest).decode()}"


def sign_hex(key: bytes, timestamp: str, body: bytes) -> str:
    """The hex signature of `{timestamp}.{body}`, or of the body alone where no timestamp is sent."""
    content = f"{timestamp}.".encode() + body if timestamp else body
    return hmac.new(key, content, hashlib.sha256).hexdigest()


def signed_headers(headers: Iterable[tuple[str, str]], webhook: Webhook = STANDARD) -> dict[str, str]:
    """The headers that `verify` looks at, of all that came, by the name that the profile gives them.

    Several signature headers are one list, as HTTP has it. A second id or timestamp is refused: what stands between
    the sender and us may have looked at the other one.
    """
    several = {webhook.signature_header.lower(): webhook.signature_header}
    once = {name.lower(): name for name in (webhook.id_header, webhook.timestamp_header) if name}
    found: dict[str, str] = {}
    for name, value in headers:
        if name.lower() in several:
            known = several[name.lower()]
            found[known] = f"{found[known]} {value}" if known in found else value
        elif name.lower() in once:
            known = once[name.lower()]
            if known in found:
                raise BadSignature(f"header {known} comes twice")
            found[known] = value
    return found


def verify(
    headers: Mapping[str, str],
    body: bytes,
    keys: Sequence[bytes],
    now: datetime,
    tolerance: timedelta,
    webhook: Webhook = STANDARD,
) -> str:
    """The webhook's id, once one of the signatures fits one of the keys and the timestamp is within ±tolerance.

    `headers` are looked up without case, as Starlette's are.
    """
    standard = webhook.scheme is SignatureScheme.STANDARD
    webhook_id = _header(headers, webhook.id_header) if standard else ""
    if len(webhook_id) > ID_LIMIT:
        raise BadSignature(f"{webhook.id_header} has more than {ID_LIMIT} characters")
    timestamp = (
        "" if webhook.timestamp_header is None else _timestamp(headers, webhook.timestamp_header, now, tolerance)
    )
    signatures = _header(headers, webhook.signature_header)
    if standard:
        candidates = signatures.split(" ")
        expected = [sign(key, webhook_id, timestamp, body) for key in keys]
    else:
        # Hex digits have no case, and several signatures are separated by commas or blanks.
        candidates = [
            candidate.removeprefix(webhook.signature_prefix).lower()
            for candidate in signatures.replace(",", " ").split()
            if candidate.startswith(webhook.signature_prefix)
        ]
        expected = [sign_hex(key, timestamp, body) for key in keys]
    fits = False
    for candidate in candidates[:CANDIDATES]:
        for signature in expected:
            # Every pair is compared, in constant time each.
            fits |= hmac.compare_digest(candidate.encode(), signature.encode())
    if not fits:
        raise BadSignature("no signature fits: check the secret, and that the raw body is signed")
    # An id that is not signed could be anybody's: the same content is the same delivery.
    return webhook_id if standard else f"sha256-{hashlib.sha256(body).hexdigest()}"


def _timestamp(headers: Mapping[str, str], name: str, now: datetime, tolerance: timedelta) -> str:
    timestamp = _header(headers, name)
    if not (timestamp.isdigit() and len(timestamp) <= 12):
        raise BadSignature(f"{name} is not a number of seconds")
    age = now.timestamp() - int(timestamp)
    if abs(age) > tolerance.total_seconds():
        direction = "old" if age > 0 else "far in the future"
        raise BadSignature(f"{name} is too {direction}: check both clocks")
    return timestamp


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name, "")
    if not value:
        raise BadSignature(f"header {name} is missing")
    if len(value) > HEADER_LIMIT:
        raise BadSignature(f"header {name} has more than {HEADER_LIMIT} characters")
    if not (value.isascii() and value.isprintable()):
        raise BadSignature(f"header {name} holds characters that no sender uses")
    return value
