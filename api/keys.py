"""The API's keys: made by a command, kept as hashes in the file API_KEYS_FILE, read again whenever that file changes.

In: the file, and the key that a request brings. Out: whose key it is. Raises `KeysFileError`, which names the file and
the remedy. A key is 256 random bits, so one round of SHA-256 keeps it: slow and salted hashes protect what people
choose and others can guess, and would here only cost time on every request. The key itself is shown once, when it is
made, and stands nowhere after that.
"""

import contextlib
import hashlib
import hmac
import json
import logging
import os
import secrets
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

log = logging.getLogger(__name__)

KEY_PREFIX = "csk_"
"""Makes a key that leaked findable by scanners of secrets."""
KEY_BYTES = 32
KEY_LIMIT = 200
"""Characters of a presented key that are looked at; ours have 47."""
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class KeysFileError(Exception):
    """The file of keys cannot be used; the message names it, what is wrong and the remedy."""


class Scope(StrEnum):
    """What a key may do. None holds another: a key that does several things has several."""

    READ = "read"
    """Look: every GET."""
    OPERATE = "operate"
    """Decide: every other method."""
    DECODE = "decode"
    """Read every payload in Temporal, whatever the order: /codec, for the Web UI and the CLI."""


class ApiKey(BaseModel):
    """A key as it is kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    """Who or what uses it; stands in log lines, so a program or a role rather than a person."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", repr=False)]
    scopes: Annotated[frozenset[Scope], Field(min_length=1)]
    created: AwareDatetime
    expires: AwareDatetime | None = None

    def is_expired(self, now: datetime) -> bool:
        """Whether its time is over."""
        return self.expires is not None and now >= self.expires


class KeysFile(BaseModel):
    """What stands in the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[ApiKey, ...] = ()

    @model_validator(mode="after")
    def _names_are_unique(self) -> "KeysFile":
        if len({key.name for key in self.keys}) != len(self.keys):
            raise ValueError("two keys have the same name")
        return self


def hash_of(key: str) -> str:
    """SHA-256 in hex, as the file keeps it."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def read_keys(file: Path) -> KeysFile | None:
    """What stands in `file`; None when it is not there. Raises KeysFileError."""
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            content = opened.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise KeysFileError(f"API_KEYS_FILE {file} cannot be read: {error.strerror}. Let this user read it.") from None
    if os.name == "posix" and mode & OTHERS_WRITE:
        # Who writes this file gets in. (Elsewhere the bits of the mode say nothing.)
        raise KeysFileError(f"API_KEYS_FILE {file} can be written by others. Take that away: chmod 600 {file}")
    try:
        return KeysFile.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise KeysFileError(
            f"API_KEYS_FILE {file}: {where}: {first['msg']}. Restore it, or remove it and make new keys."
        ) from None


def add_key(
    file: Path, name: str, scopes: frozenset[Scope], lifetime: timedelta | None, now: datetime
) -> tuple[ApiKey, str]:
    """Make a key and keep its hash; returns the entry and the key, which nobody can show again.

    Raises KeysFileError when the name is taken or malformed, or the file cannot be written.
    """
    secret = KEY_PREFIX + secrets.token_urlsafe(KEY_BYTES)
    try:
        entry = ApiKey(
            name=name,
            sha256=hash_of(secret),
            scopes=scopes,
            created=now,
            expires=None if lifetime is None else now + lifetime,
        )
    except ValidationError:
        raise KeysFileError(
            f"{name!r} is no name of a key. Use 1 to 64 letters, digits, dots, dashes or underscores."
        ) from None
    except OverflowError:
        raise KeysFileError("The key would outlive the calendar. Choose fewer days, or leave --expires out.") from None
    with _changing(file) as keys:
        if any(key.name == name for key in keys):
            raise KeysFileError(f"There is a key {name} already. Revoke it first, or choose another name.")
        keys.append(entry)
    return entry, secret


def revoke_key(file: Path, name: str) -> None:
    """Remove a key; processes that read the file refuse it from their next request on. Raises KeysFileError."""
    with _changing(file) as keys:
        left = [key for key in keys if key.name != name]
        if len(left) == len(keys):
            raise KeysFileError(f"There is no key {name}. `python -m api keys list` shows them.")
        keys[:] = left


@contextlib.contextmanager
def _changing(file: Path) -> Iterator[list[ApiKey]]:
    """The keys to change; written whole or not at all, for the owner alone, by one command at a time."""
    draft = file.with_name(file.name + ".new")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # The draft is the lock: whoever made it writes.
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IRUSR | stat.S_IWUSR)
    except FileExistsError:
        raise KeysFileError(
            f"{draft} exists: another command is at work, or one was interrupted. Try again; remove it if it stays."
        ) from None
    except OSError as error:
        raise KeysFileError(
            f"{draft} cannot be written: {error.strerror}. Check API_KEYS_FILE and its folder."
        ) from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            known = read_keys(file)
            keys = list(known.keys) if known else []
            yield keys
            kept = KeysFile(keys=tuple(keys)).model_dump(mode="json", exclude_none=True)
            for entry in kept["keys"]:
                entry["scopes"] = sorted(entry["scopes"])
            opened.write(json.dumps(kept, indent=2) + "\n")
            opened.flush()
            os.fsync(opened.fileno())
        draft.replace(file)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise KeysFileError(f"{file} cannot be written: {error.strerror}. Nothing was changed.") from None
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


class KeyRing:
    """The keys as they are now. `file` None: there are none, and there will be none."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._stamp: tuple[int, int, int] | None = None
        self._keys: tuple[ApiKey, ...] = ()
        self._problem: KeysFileError | None = None
        self._was_there = False

    def has_keys(self) -> bool:
        """Whether requests need a key: from the moment the file is there. Raises KeysFileError when it cannot be used.

        Once it was there it is needed: a file that disappears locks everybody out and opens nothing.
        """
        self._refresh()
        if self._problem is not None:
            raise self._problem
        return self._was_there

    def find(self, presented: str) -> ApiKey | None:
        """The key that is presented, expired or not. Every entry is compared, in constant time each."""
        if len(presented) > KEY_LIMIT:
            return None
        wanted, found = hash_of(presented), None
        for key in self._keys:
            if hmac.compare_digest(key.sha256, wanted):
                found = key
        return found

    def is_usable(self, now: datetime) -> bool:
        """Whether anybody could get in with a key. Raises KeysFileError."""
        return self.has_keys() and any(not key.is_expired(now) for key in self._keys)

    def _refresh(self) -> None:
        if self._file is None:
            return
        try:
            status = self._file.stat()
            # The inode too: commands replace the file, and two changes may fall within one tick of its clock.
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        except OSError:
            stamp = None
        if stamp is not None and stamp == self._stamp:
            return
        before, self._keys, self._problem = self._problem, (), None
        try:
            known = read_keys(self._file)
            if known is not None:
                self._keys, self._was_there = known.keys, True
                log.info("API keys read: %d", len(self._keys))
            elif self._was_there:
                raise KeysFileError(f"API_KEYS_FILE {self._file} has disappeared. Restore it, or make new keys.")
        except KeysFileError as error:
            self._problem, self._was_there = error, True
            if str(before) != str(error):
                log.error("Nobody gets in: %s", error)
        self._stamp = stamp


def now() -> datetime:
    """The time that keys expire by."""
    return datetime.now(UTC)
