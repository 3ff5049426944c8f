"""Payload codec: deflates what is large, passes everything else through.

An order of a thousand lines is a megabyte of JSON, and the server refuses payloads over 2 MB; repeated keys deflate to
a twentieth. Small payloads stay readable in the Web UI and the CLI.
"""

import zlib
from collections.abc import Sequence
from typing import Final

from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec

THRESHOLD_BYTES: Final = 64 * 1024
ENCODING: Final = b"binary/zlib"
LIMIT_BYTES: Final = 64 * 1024 * 1024
"""What one payload may inflate to; more is refused instead of filling the memory."""


class DeflateCodec(PayloadCodec):
    """zlib over payloads larger than 64 KiB; payloads of the CLI and Web UI arrive plain and pass."""

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Deflate the large ones."""
        return [self._deflate(payload) if payload.ByteSize() > THRESHOLD_BYTES else payload for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Inflate what this codec deflated; raises ValueError over 64 MiB."""
        return [
            self._inflate(payload) if payload.metadata.get("encoding") == ENCODING else payload for payload in payloads
        ]

    @staticmethod
    def _deflate(payload: Payload) -> Payload:
        return Payload(metadata={"encoding": ENCODING}, data=zlib.compress(payload.SerializeToString(), level=6))

    @staticmethod
    def _inflate(payload: Payload) -> Payload:
        inflater = zlib.decompressobj()
        plain = inflater.decompress(payload.data, LIMIT_BYTES)
        if inflater.unconsumed_tail:
            raise ValueError(f"a payload inflates to more than {LIMIT_BYTES} bytes and is refused")
        return Payload.FromString(plain)
