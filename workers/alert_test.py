"""`python -m workers alerts test --pair demo`: a test message to every target of a pair's alerts.

In: the pair's settings. Out: a line per target, delivered or why not, without addresses; exit status 1 when one failed
or there is none.
"""

import argparse
import sys

from connectors.alerts import SEVERITIES, TargetsUnreadable, send
from contracts.ids import is_pair_name
from workers.settings import Settings, SettingsError, load_pair_files, load_pair_settings


def add_alert_commands(parser: argparse.ArgumentParser) -> None:
    """Flags of `python -m workers alerts`."""
    commands = parser.add_subparsers(dest="alerts_command", required=True)
    test = commands.add_parser("test", help="send a test message to every target")
    test.add_argument("--pair", required=True, help="the pair's name, as its file is called")
    test.add_argument("--severity", choices=SEVERITIES, help="only the targets of this severity; default: all")


def test_alerts(options: argparse.Namespace, settings: Settings) -> int:
    """Send and print; returns the exit status. Raises SettingsError."""
    pair: str = options.pair
    if not is_pair_name(pair) or pair not in load_pair_files(settings):
        raise SettingsError(f"--pair {pair}: there is no such file in {settings.pairs_dir}. Name one of its pairs.")
    try:
        targets = load_pair_settings(pair).alert_targets()
    except TargetsUnreadable as error:
        raise SettingsError(f"{pair.upper()}_ALERT_TARGETS_FILE: {error}") from None
    wanted = [options.severity] if options.severity else list(SEVERITIES)
    failed = sent = 0
    for severity in wanted:
        for target in (one for one in targets if severity in one.severities):
            sent += 1
            problem = send(
                target,
                severity,
                f"[{pair}] test message, severity {severity}",
                "This target takes alerts of the integration. Nothing is wrong; nothing is to be done.",
            )
            failed += bool(problem)
            print(f"{severity:8} {target.name}: {problem or 'delivered'}")
    if not sent:
        print(
            f"No target takes these alerts: they are only logged (logger alerts). "
            f"Set {pair.upper()}_ALERT_TARGETS_HIGH, _WARNING, _INFO or _FILE (docs/alerts.md).",
            file=sys.stderr,
        )
    return 1 if failed or not sent else 0
