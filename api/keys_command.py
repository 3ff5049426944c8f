"""`python -m api keys add NAME --scope read|operate|decode … [--expires DAYS] | list | revoke NAME`.

In: the command's arguments and API_KEYS_FILE. Out: lines on standard output; the key of `add` once and never again.
"""

import argparse
from datetime import timedelta
from pathlib import Path

from api.keys import KeysFileError, Scope, add_key, now, read_keys, revoke_key
from workers.settings import Settings, SettingsError


def add_keys_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command `keys` with its own commands."""
    keys = commands.add_parser("keys", help="make, list and revoke the API's keys (file API_KEYS_FILE)")
    actions = keys.add_subparsers(dest="action", required=True)
    add = actions.add_parser("add", help="make a key and print it once")
    add.add_argument("name", help="who or what uses it, such as console")
    add.add_argument(
        "--scope",
        action="append",
        required=True,
        choices=[scope.value for scope in Scope],
        help="read: every GET; operate: every other method; decode: payloads for Temporal's Web UI and CLI (/codec). "
        "May be repeated",
    )
    add.add_argument("--expires", type=_days, metavar="DAYS", help="without, it is good until it is revoked")
    actions.add_parser("list", help="names, scopes and times; no key can be shown again")
    revoke = actions.add_parser("revoke", help="refuse a key from now on, in running processes too")
    revoke.add_argument("name")


def run_keys(options: argparse.Namespace, settings: Settings) -> None:
    """Do what the command says; raises SettingsError."""
    file = settings.api_keys_file
    if file is None:
        raise SettingsError(
            "API_KEYS_FILE is not set. Set it in the environment or in .env: the file that keeps the keys' hashes."
        )
    try:
        if options.action == "add":
            _add(file, options)
        elif options.action == "revoke":
            revoke_key(file, options.name)
            print(f"Key {options.name} is revoked.")
        else:
            _list(file)
    except KeysFileError as error:
        raise SettingsError(str(error)) from None


def _add(file: Path, options: argparse.Namespace) -> None:
    first = read_keys(file) is None
    entry, secret = add_key(
        file, options.name, frozenset(Scope(scope) for scope in options.scope), options.expires, now()
    )
    until = f"until {entry.expires:%Y-%m-%d %H:%M} UTC" if entry.expires else "until it is revoked"
    print(f"Key {entry.name} ({', '.join(sorted(entry.scopes))}), good {until}. It is shown this once:")
    print(secret)
    if first:
        print(f"{file} is new: from now on every route but health and webhooks needs a key.")


def _list(file: Path) -> None:
    known = read_keys(file)
    if known is None:
        print(f"{file} is not there yet: the API has no keys and serves this machine only.")
        return
    if not known.keys:
        print("There are no keys: nobody gets in. Make one: python -m api keys add NAME --scope read")
    for key in known.keys:
        until = f"expires {key.expires:%Y-%m-%d %H:%M}" if key.expires else "does not expire"
        state = "  EXPIRED" if key.is_expired(now()) else ""
        scopes = ", ".join(sorted(key.scopes))
        print(f"{key.name:<24} {scopes:<22} created {key.created:%Y-%m-%d %H:%M}  {until}{state}")


def _days(text: str) -> timedelta:
    try:
        days = float(text)
        if days <= 0:
            raise ValueError
        return timedelta(days=days)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days above 0") from None
