"""The keys that encrypt payloads: ENCRYPTION_KEYS or ENCRYPTION_KEYS_FILE.

In: `id:key` entries, the first of which encrypts and all of which decrypt; a key is 32 random bytes in base64. Out:
`EncryptionKeys`. Raises ValueError with what is wrong and the remedy, and never shows a key.
"""

import base64
import binascii
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

KEY_BYTES: Final = 32
"""AES-256."""
KEY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MAKE_ONE = "`python -m workers encryption new-key` makes one"


@dataclass(frozen=True)
class EncryptionKeys:
    """Keys by their ids. `active` encrypts; "" when there are none, and nothing is encrypted."""

    active: str = ""
    by_id: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def is_on(self) -> bool:
        """Whether payloads are encrypted."""
        return bool(self.active)


class EncryptionSettings(BaseSettings):
    """The settings of encryption, the same for every process and command that speaks to Temporal."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        env_ignore_empty=True,
        use_attribute_docstrings=True,
    )

    encryption_keys: SecretStr = SecretStr("")
    """Keys of the payloads in Temporal, `id:base64` separated by commas: the first encrypts, all decrypt. Set: on."""
    encryption_keys_file: Path | None = None
    """Or a file with one such entry on each line."""

    @field_validator("encryption_keys")
    @classmethod
    def _keys_are_keys(cls, value: SecretStr) -> SecretStr:
        parse_keys(value.get_secret_value())
        return value

    @field_validator("encryption_keys_file", mode="before")
    @classmethod
    def _no_file_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("encryption_keys_file")
    @classmethod
    def _file_holds_keys(cls, value: Path | None) -> Path | None:
        if value is not None:
            _read(value)
        return value

    @model_validator(mode="after")
    def _one_of_the_two(self) -> "EncryptionSettings":
        if self.encryption_keys.get_secret_value().strip() and self.encryption_keys_file is not None:
            raise ValueError("ENCRYPTION_KEYS and ENCRYPTION_KEYS_FILE are both set; unset one of them")
        return self

    def payload_keys(self) -> EncryptionKeys:
        """The keys; none when neither is set. Raises ValueError when the file can no longer be read."""
        if self.encryption_keys_file is not None:
            return _read(self.encryption_keys_file)
        return parse_keys(self.encryption_keys.get_secret_value())


def parse_keys(text: str) -> EncryptionKeys:
    """Keys from `id:base64` entries, separated by commas or line ends; lines that begin with # are left out."""
    found: dict[str, bytes] = {}
    for entry in _entries(text):
        key_id, colon, encoded = (part.strip() for part in entry.partition(":"))
        if not colon or not KEY_ID.fullmatch(key_id):
            # What stands before the colon may be a key whose id was forgotten.
            raise ValueError(
                f"entry {len(found) + 1} is not `id:key` with an id of letters, digits, dots, dashes or underscores "
                f"(2026-11:…); {MAKE_ONE}"
            )
        if key_id in found:
            raise ValueError(f"the key id {key_id} stands there twice; give each key an id of its own")
        found[key_id] = _key(key_id, encoded)
    return EncryptionKeys(next(iter(found), ""), found)


def new_key(key_id: str) -> str:
    """A fresh entry; raises ValueError for what is no id."""
    if not KEY_ID.fullmatch(key_id):
        raise ValueError(f"{key_id[:70]!r} is no key id: use 1 to 64 letters, digits, dots, dashes or underscores")
    return f"{key_id}:{base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()}"


def _entries(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if not line.lstrip().startswith("#"):
            yield from (entry for entry in line.split(",") if entry.strip())


def _key(key_id: str, encoded: str) -> bytes:
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"key {key_id} is not base64; {MAKE_ONE}") from None
    if len(key) != KEY_BYTES:
        raise ValueError(f"key {key_id} has {len(key)} bytes and needs {KEY_BYTES}; {MAKE_ONE}")
    return key


def _read(file: Path) -> EncryptionKeys:
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{file} cannot be read ({error.strerror}); let this user read it, or unset it") from None
    except UnicodeDecodeError:
        raise ValueError(f"{file} is no text in UTF-8; write one `id:key` on each line") from None
    keys = parse_keys(text)
    if not keys.is_on:
        raise ValueError(f"{file} holds no key; {MAKE_ONE}")
    return keys
