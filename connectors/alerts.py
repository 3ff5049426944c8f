"""Targets of alerts (chat, e-mail, pager, web hook) through apprise; the only module that knows apprise.

In: addresses as apprise writes them, whitespace-separated per severity, or a file with one `severity: address` a line.
Out: `AlertTarget`s, and messages sent. Addresses hold tokens and passwords: they are never logged, never shown, and
what a service answers is masked before anybody sees it. apprise is imported when the first message is sent, so that
everything else works without it.
"""

import hashlib
import hmac
import importlib
import logging
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

SEVERITIES: Final = ("high", "warning", "info")
"""Most urgent first."""
NOTIFY_TYPES: Final = {"high": "failure", "warning": "warning", "info": "info"}
"""How apprise calls them."""
WEB_HOOKS: Final = frozenset({"json", "jsons", "xml", "xmls", "form", "forms"})
"""Here the host is an address and no token: it may be shown."""
SHORTEST_SECRET: Final = 4
MASK: Final = "****"
LONGEST_PROBLEM: Final = 300


class TargetsUnreadable(Exception):
    """The file of targets cannot be read or a line of it is no target; names the line, never its address."""


@dataclass(frozen=True)
class AlertTarget:
    """One target. `name` and `key` may be shown; the address may not."""

    name: str
    """`warning 2 (slack)`: severity, place among its targets, service."""
    key: str
    severities: tuple[str, ...]
    address: str = field(repr=False)


def read_targets(addresses: Mapping[str, str], file: str, secret: bytes) -> list[AlertTarget]:
    """Every target once, with the severities that it takes; `secret` keys the hashes that name targets.

    A severity without targets of its own goes to those of the next lower one: an urgent message is never silent
    because only the targets of warnings are set. Raises TargetsUnreadable.
    """
    listed: dict[str, list[str]] = {severity: addresses.get(severity, "").split() for severity in SEVERITIES}
    if file:
        for severity, address in read_file(Path(file)):
            listed[severity].append(address)
    names: dict[str, str] = {}
    takes: dict[str, list[str]] = {}
    for place, severity in enumerate(SEVERITIES):
        for number, address in enumerate(listed[severity], start=1):
            names.setdefault(address, f"{severity} {number} ({shown(address)})")
        own = next((listed[lower] for lower in SEVERITIES[place:] if listed[lower]), [])
        for address in dict.fromkeys(own):
            takes.setdefault(address, []).append(severity)
    return [
        AlertTarget(names[address], key_of(address, secret), tuple(severities), address)
        for address, severities in takes.items()
    ]


def read_file(file: Path) -> Iterable[tuple[str, str]]:
    """`severity: address`, one a line; empty lines and those that begin with # are left out."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TargetsUnreadable(f"the file of alert targets cannot be read ({type(error).__name__}): {file}") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        severity, _, address = line.strip().partition(":")
        if severity.strip().lower() not in SEVERITIES or not address.strip():
            raise TargetsUnreadable(
                f"{file}, line {number}: write the severity (high, warning or info), a colon, and one address"
            )
        for one in address.split():
            yield severity.strip().lower(), one


def key_of(address: str, secret: bytes) -> str:
    """What names a target in histories: HMAC-SHA256, 16 hex digits."""
    return hmac.new(secret, b"alert target\0" + address.encode(), hashlib.sha256).hexdigest()[:16]


def shown(address: str) -> str:
    """The service of an address, and the host of a web hook; nothing that could be a secret."""
    scheme, separator, rest = address.partition("://")
    if not separator or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]{0,20}", scheme):
        return "unknown service"
    if scheme.lower() not in WEB_HOOKS:
        return scheme.lower()
    host = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2]
    return f"{scheme.lower()}://{host[:60]}"


def masked(text: str, address: str) -> str:
    """`text` without any part of the address that could be a secret."""
    kept = shown(address)
    parts = {unquote(part) for part in re.split(r"[/?&=@#;,+]|:(?!\d)|://", address)}
    parts |= set(re.split(r"[/?&=@#;,:]|://", address))
    for part in sorted(parts, key=len, reverse=True):
        if len(part) >= SHORTEST_SECRET and part not in kept:
            text = text.replace(part, MASK)
    return " ".join(text.split())[:LONGEST_PROBLEM]


def send(target: AlertTarget, severity: str, title: str, body: str) -> str:
    """Send one message; blocks for the service's time-outs (4 s to connect, 4 s to read). Empty, or why not."""
    try:
        apprise = library()
    except ImportError:
        return "apprise is not installed: install what requirements.lock lists (make setup)"
    try:
        with Complaints() as complaints:
            channel = apprise.Apprise.instantiate(target.address, asset=apprise.AppriseAsset(app_id="Clarity-Sage 100"))
            if channel is None:
                return "apprise does not understand this address: see its list of services for how it is written"
            if "overflow=" not in target.address:
                # A pager takes 1,024 characters: the end of a list is cut, the message is not refused.
                channel.overflow_mode = "truncate"
            if channel.notify(body=body, title=title, notify_type=NOTIFY_TYPES[severity], body_format="text"):
                return ""
            said = "; ".join(dict.fromkeys(complaints.lines))
    except Exception as error:
        # A hundred services' plugins: whatever they raise, the target does not work.
        said = f"{type(error).__name__}: {error}"
    return masked(said, target.address) or "the service did not take it, and apprise does not say why"


def library() -> Any:
    """apprise, kept from logging addresses: below WARNING it and urllib3 write whole URLs."""
    apprise = importlib.import_module("apprise")
    for name in ("apprise", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Its warnings may name parts of an address: they are taken by `Complaints` and masked.
    logging.getLogger("apprise").propagate = False
    return apprise


class Complaints(logging.Handler):
    """What apprise says of a delivery in this thread while the block runs."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        """See base class."""
        if record.thread == self._thread:
            self.lines.append(record.getMessage())

    def __enter__(self) -> "Complaints":
        logging.getLogger("apprise").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("apprise").removeHandler(self)
