"""Payload codecs: what is large is deflated, and with a key everything is encrypted.

An order of a thousand lines is a megabyte of JSON, and the server refuses payloads over 2 MB; repeated keys deflate to
a twentieth. Deflating comes first, because what is encrypted does not deflate. Payloads of the CLI and Web UI, and
those from before there was a key, arrive plain and pass.
"""

import os
import zlib
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf.message import DecodeError
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec

from workers.encryption_keys import EncryptionKeys

THRESHOLD_BYTES: Final = 64 * 1024
ENCODING: Final = b"binary/zlib"
LIMIT_BYTES: Final = 64 * 1024 * 1024
"""What one payload may inflate to in a worker."""

ENCRYPTED: Final = b"binary/encrypted"
CIPHER: Final = b"AES-256-GCM"
KEY_ID, CIPHER_NAME = "encryption-key-id", "encryption-cipher"
"""Metadata of an encrypted payload, as Temporal's samples name it."""
NONCE_BYTES: Final = 12
"""Random for each payload: NIST SP 800-38D (8.3) allows 2^32 of them under one key, more than 70 million orders."""


class UndecodablePayload(Exception):
    """A payload cannot be read with the keys that are here; the message says which key, why, and what to do.

    It holds no personal data. The payload stays as it is in Temporal: with the key it can be read.
    """


class DeflateCodec(PayloadCodec):
    """zlib over payloads larger than 64 KiB; payloads of the CLI and Web UI arrive plain and pass.

    `limit_bytes` is what one payload may inflate to; more is refused instead of filling the memory.
    """

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Deflate the large ones."""
        return [self._deflate(payload) if payload.ByteSize() > THRESHOLD_BYTES else payload for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Inflate what this codec deflated; raises ValueError over the limit and for what was not deflated."""
        return [
            self._inflate(payload) if payload.metadata.get("encoding") == ENCODING else payload for payload in payloads
        ]

    @staticmethod
    def _deflate(payload: Payload) -> Payload:
        return Payload(metadata={"encoding": ENCODING}, data=zlib.compress(payload.SerializeToString(), level=6))

    def _inflate(self, payload: Payload) -> Payload:
        inflater = zlib.decompressobj()
        try:
            plain = inflater.decompress(payload.data, self._limit_bytes)
            if inflater.unconsumed_tail:
                raise ValueError(f"a payload inflates to more than {self._limit_bytes} bytes and is refused")
            return Payload.FromString(plain)
        except (zlib.error, DecodeError):
            raise ValueError("a payload says that it is deflated, and is not") from None


class EncryptionCodec(PayloadCodec):
    """AES-256-GCM over whole payloads, their metadata included. Without keys nothing is encrypted.

    An encrypted payload names its key and cipher in its metadata; both are authenticated with the content, so neither
    can be exchanged. Its data is the nonce, then the ciphertext with its tag.
    """

    def __init__(self, keys: EncryptionKeys) -> None:
        self._active = keys.active
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.by_id.items()}

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Encrypt each with the active key."""
        return [self._encrypt(payload) for payload in payloads] if self._active else list(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decrypt what is encrypted, whichever of the keys it needs; raises UndecodablePayload."""
        return [
            self._decrypt(payload) if payload.metadata.get("encoding") == ENCRYPTED else payload for payload in payloads
        ]

    def _encrypt(self, payload: Payload) -> Payload:
        nonce, key_id = os.urandom(NONCE_BYTES), self._active.encode()
        sealed = self._ciphers[self._active].encrypt(nonce, payload.SerializeToString(), _bound(CIPHER, key_id))
        return Payload(
            metadata={"encoding": ENCRYPTED, CIPHER_NAME: CIPHER, KEY_ID: key_id},
            data=nonce + sealed,
        )

    def _decrypt(self, payload: Payload) -> Payload:
        named, cipher = payload.metadata.get(KEY_ID, b""), payload.metadata.get(CIPHER_NAME, b"")
        key_id = named.decode("utf-8", "replace")[:64]
        if cipher != CIPHER:
            raise UndecodablePayload(
                "a payload was encrypted by another program: its metadata names no cipher AES-256-GCM. "
                "Read it with that program's codec."
            )
        if key_id not in self._ciphers:
            known = ", ".join(sorted(self._ciphers)) or "none"
            raise UndecodablePayload(
                f"a payload was encrypted with the key {key_id!r}, which is not here (here: {known}). Add it to "
                "ENCRYPTION_KEYS (or ENCRYPTION_KEYS_FILE) of this process, after the active one, and restart it; "
                "nothing is lost meanwhile."
            )
        nonce, sealed = payload.data[:NONCE_BYTES], payload.data[NONCE_BYTES:]
        try:
            return Payload.FromString(self._ciphers[key_id].decrypt(nonce, sealed, _bound(cipher, named)))
        except (InvalidTag, ValueError):
            raise UndecodablePayload(
                f"a payload of the key {key_id!r} does not open: that key is another one here than where it was "
                "encrypted, or the payload was changed. Compare ENCRYPTION_KEYS of all processes."
            ) from None


class CodecChain(PayloadCodec):
    """Codecs one after the other; decoding goes back the same way."""

    def __init__(self, *codecs: PayloadCodec) -> None:
        self._codecs = codecs

    def bounded(self, limit_bytes: int) -> "CodecChain":
        """The same chain, in which no payload inflates to more."""
        return CodecChain(
            *(DeflateCodec(limit_bytes) if isinstance(one, DeflateCodec) else one for one in self._codecs)
        )

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """First to last."""
        for codec in self._codecs:
            payloads = await codec.encode(payloads)
        return list(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Last to first."""
        for codec in reversed(self._codecs):
            payloads = await codec.decode(payloads)
        return list(payloads)


def payload_codec(keys: EncryptionKeys) -> CodecChain:
    """The one chain of client, workers, replay and codec endpoint: deflate, then encrypt."""
    return CodecChain(DeflateCodec(), EncryptionCodec(keys))


def _bound(cipher: bytes, key_id: bytes) -> bytes:
    """Additional authenticated data. No id holds a line feed, so no two pairs have the same."""
    return b"\n".join((ENCRYPTED, cipher, key_id))
