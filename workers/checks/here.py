"""This deployment's own things: settings, pair files, API keys, targets of alerts, the reports folder.

In: settings and pairs. Out: results. Nothing is written, no message is sent (`python -m workers alerts test` does).
"""

import json
import os
import stat
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Final

from connectors.alerts import SEVERITIES, TargetsUnreadable
from connectors.clarity.webhooks import decode_secret
from mappings.pair import Pair, PairFileError, read_folder
from mappings.pair_check import warnings
from workers.checks.results import Group
from workers.production import is_this_machine, unsafe
from workers.settings import DeploymentEnvironment, PairSettings, Settings, load_pair_settings

DEPLOYMENT_CHECKS: Final = ("environment", "pair_files", "one_company")
PAIR_CHECKS: Final = ("go_live",)
ORDERS_CHECKS: Final = ("match_key", "alert_targets")
KEYS_EXPIRE_SOON: Final = timedelta(days=14)


async def check_deployment(group: Group, settings: Settings, pairs: Mapping[str, Pair]) -> None:
    """The environment with what it refuses, every pair file, pairs that share a company."""
    own = {name: load_pair_settings(name) for name in pairs}
    _environment(group, settings, own)
    _pair_files(group, settings)
    _one_company(group, pairs, own)


def _environment(group: Group, settings: Settings, own: Mapping[str, PairSettings]) -> None:
    environment = settings.deployment_environment
    refused = list(unsafe(settings, own))
    if environment is DeploymentEnvironment.PRODUCTION:
        for one in refused:
            group.failed("environment", f"production does not start: {one.setting} {one.problem}", one.remedy)
        if not refused:
            group.ok("environment", "production, and nothing is unsafe")
        return
    names = ", ".join(one.setting for one in refused)
    if refused and environment is DeploymentEnvironment.QA:
        group.warning(
            "environment", f"qa; production would refuse {names}", "See What production refuses, docs/settings.md."
        )
    else:
        group.ok("environment", f"{environment}" + (f"; production would refuse {names}" if refused else ""))


def _pair_files(group: Group, settings: Settings) -> None:
    try:
        found = read_folder(settings.pairs_dir)
    except PairFileError as error:
        group.failed("pair_files", f"PAIRS_DIR: {error}", "Set PAIRS_DIR to the folder of the pair files.")
        return
    for wrong in found.errors:
        group.failed("pair_files", str(PairFileError.of([wrong])), "Correct it; python -m mappings check shows all.")
    notices = sum(1 for pair in found.pairs.values() for _ in warnings(pair))
    if not found.errors:
        said = f"; {notices} warnings, which python -m mappings check shows" if notices else ""
        group.ok("pair_files", f"{len(found.pairs)} in {settings.pairs_dir}: {', '.join(sorted(found.pairs))}{said}")


def _one_company(group: Group, pairs: Mapping[str, Pair], own: Mapping[str, PairSettings]) -> None:
    together = [
        (first, second)
        for first, second in combinations(sorted(pairs), 2)
        if pairs[first].company.code == pairs[second].company.code and _same_sage(own[first], own[second])
    ]
    if not together:
        group.ok("one_company", "no two pairs write to one company")
    for first, second in together:
        unnamed = [
            (one, other)
            for one, other in ((first, second), (second, first))
            if other not in pairs[one].inventory.shares_stock_with
        ]
        for one, other in unnamed:
            group.failed(
                "one_company",
                f"{first} and {second} write to company {pairs[first].company.code}, and {one} does not name {other}",
                f"Add {other} to inventory.shares_stock_with in {one}.yaml: otherwise each sells the other's stock.",
            )
        if not unnamed:
            group.warning(
                "one_company",
                f"{first} and {second} share the company {pairs[first].company.code}",
                "Make sure that the two stores never give the same order id: UDF_WEB_ORDER_ID tells orders apart.",
            )


def _same_sage(one: PairSettings, other: PairSettings) -> bool:
    gateway, source = one.sage_gateway_url.rstrip("/"), one.sage_odbc.get_secret_value()
    same_gateway = bool(gateway) and gateway == other.sage_gateway_url.rstrip("/")
    return same_gateway or (bool(source) and source == other.sage_odbc.get_secret_value())


async def check_reports(group: Group, settings: Settings) -> None:
    """Whether the role orders may write its files; none is written."""
    folder = settings.reports_dir.absolute()
    there = next(one for one in (folder, *folder.parents) if one.exists())
    if not there.is_dir():
        group.failed("folder", f"REPORTS_DIR {folder}: {there} is no folder", "Name a folder.")
    elif not os.access(there, os.W_OK | os.X_OK):
        group.failed(
            "folder",
            f"REPORTS_DIR {folder}: {there} cannot be written by this user",
            "Let the user of the workers write there, or name another folder.",
        )
    else:
        group.ok("folder", f"{settings.reports_dir} can be written" + ("" if there == folder else " (it will be made)"))


async def check_api_keys(group: Group, settings: Settings) -> None:
    """Whether the API may listen where it should, and somebody can get in."""
    file = settings.api_keys_file
    production = settings.deployment_environment is DeploymentEnvironment.PRODUCTION
    local = is_this_machine(settings.api_host) and not production
    make = "Make one: python -m api keys add NAME --scope read --scope operate (with API_KEYS_FILE set)."
    if file is None or not file.exists():
        where = "API_KEYS_FILE is not set" if file is None else f"API_KEYS_FILE {file} is not there"
        if not local:
            why = "this is production" if production else f"API_HOST is {settings.api_host}"
            group.failed("file", f"{where}, and {why}: the API will not start", make)
        elif file is not None:
            group.warning("file", f"{where}: the API serves this machine only", make)
        else:
            group.ok("file", "no keys: the API serves this machine only")
        return
    try:
        expiries = _expiries(file)
    except (OSError, ValueError) as error:
        words = error.strerror if isinstance(error, OSError) else "it is no file of keys, or damaged"
        remedy = "Restore it, or remove it and make new keys: until then nobody gets in."
        group.failed("file", f"API_KEYS_FILE {file}: {words}", remedy)
        return
    if os.name == "posix" and file.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        group.failed("file", f"API_KEYS_FILE {file} can be written by others: nobody gets in", f"chmod 600 {file}")
        return
    now = datetime.now(UTC)
    valid = [one for one in expiries if one is None or one > now]
    soon = [one for one in valid if one is not None and one - now < KEYS_EXPIRE_SOON]
    if not valid:
        group.failed("file", f"API_KEYS_FILE {file} holds no key that is valid", make)
    elif soon:
        group.warning("file", f"{len(soon)} of {len(valid)} keys expire before {max(soon):%Y-%m-%d}", make)
    else:
        group.ok("file", f"{len(valid)} keys are valid")


def _expiries(file: Path) -> list[datetime | None]:
    """When each key's time is over (None: never); raises OSError or ValueError. The API looks closer (api/keys.py)."""
    try:
        keys = json.loads(file.read_text("utf-8"))["keys"]
        return [datetime.fromisoformat(key["expires"]) if key.get("expires") else None for key in keys]
    except (KeyError, TypeError, AttributeError):
        raise ValueError("no keys") from None


async def check_webhooks(group: Group, pair: Pair, own: PairSettings) -> None:
    """Whether deliveries of this store can be told from forgeries."""
    variable = f"{pair.name.upper()}_CLARITY_WEBHOOK_SECRETS"
    if not own.clarity_webhook_secrets:
        group.failed("secrets", f"{variable} is not set: the API will not start", "Set what Clarity signs with.")
        return
    try:
        for secret in own.clarity_webhook_secrets:
            decode_secret(secret.get_secret_value(), pair.clarity.webhook)
    except ValueError as error:
        group.failed("secrets", f"{variable}: {error}", "Copy it anew from Clarity's webhook settings.")
        return
    count = len(own.clarity_webhook_secrets)
    if count > 1:
        group.warning("secrets", f"{count} are taken", "Remove the old one when the rotation is over.")
    else:
        group.ok("secrets", "set")


async def check_orders(group: Group, pair: Pair, own: PairSettings) -> None:
    """What the role orders needs for a pair."""
    prefix = pair.name.upper()
    if own.match_key_secret.get_secret_value():
        group.ok("match_key", "set")
    else:
        group.failed(
            "match_key",
            f"{prefix}_MATCH_KEY_SECRET is not set: the workers will not start",
            'Make one: python -c "import secrets; print(secrets.token_urlsafe(32))".',
        )
    try:
        targets = own.alert_targets()
    except TargetsUnreadable as error:
        group.failed("alert_targets", f"{prefix}_ALERT_TARGETS_FILE: {error}", "Correct the file (docs/alerts.md).")
        return
    if not any("high" in target.severities for target in targets):
        group.warning(
            "alert_targets",
            "nobody is told of urgent alerts: they are only logged",
            f"Set {prefix}_ALERT_TARGETS_HIGH (docs/alerts.md), then: python -m workers alerts test --pair {pair.name}",
        )
    else:
        counts = [f"{sum(one in target.severities for target in targets)} for {one}" for one in SEVERITIES]
        group.ok("alert_targets", f"{', '.join(counts)}; alerts test --pair {pair.name} tries them")


async def check_pair(group: Group, pair: Pair) -> None:
    """From when orders are taken."""
    today = datetime.now(pair.company.zone).date()
    if pair.go_live > today:
        group.warning(
            "go_live",
            f"{pair.go_live} is still to come: orders created before are recorded and never started",
            "Leave it, or correct go_live in the pair file before the first order.",
        )
    else:
        group.ok("go_live", f"orders since {pair.go_live}")
