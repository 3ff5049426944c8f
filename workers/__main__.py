"""`python -m workers`: run the workers, create the schedules, or run the demo."""

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Sequence

from workers.alert_test import add_alert_commands, test_alerts
from workers.backfill import add_backfill_options, run_backfill
from workers.check import add_check_options, run_check
from workers.codec import UndecodablePayload
from workers.connect import connect
from workers.customers import add_customers_options, run_customers
from workers.demo import add_demo_options, run_demo
from workers.encryption import add_encryption_commands, run_encryption
from workers.golive import add_golive_options, go_live_too_early, run_golive
from workers.heap import give_back_large_buffers
from workers.inventory import add_inventory_options, run_inventory
from workers.namespace import add_namespace_options, make_namespace
from workers.plugin import integration_plugin
from workers.production import refuse_unsafe
from workers.products import add_products_options, run_products
from workers.promote import add_promote_options, run_promote
from workers.receipts import add_receipts_options, run_receipts
from workers.reconcile import add_reconcile_options, run_reconcile
from workers.roles import Fleet, Role, check_settings
from workers.schedules import ensure_schedules, left_over
from workers.settings import DeploymentEnvironment, Settings, SettingsError, load_pair_files, load_settings
from workers.shadow import add_shadow_options, run_shadow
from workers.signals import stop_on_signals, unless_stopped
from workers.telemetry import leave, set_up_logging, set_up_tracing, show_metrics, temporal_runtime


def build_parser() -> argparse.ArgumentParser:
    """All commands with their flags."""
    parser = argparse.ArgumentParser(prog="python -m workers", description=__doc__)
    parser.add_argument(
        "--role",
        action="append",
        choices=[role.value for role in Role],
        help="run only this role (may be repeated); default: all",
    )
    commands = parser.add_subparsers(dest="command", title="commands (default: run the workers)")
    add_check_options(commands.add_parser("check", help="try every outside system; what is missing, and what to do"))
    commands.add_parser("schedules", help="create or update the schedules of all pairs")
    add_namespace_options(commands.add_parser("namespace", help="make Temporal's namespace and search attributes"))
    add_backfill_options(commands.add_parser("backfill", help="take in what Clarity has and no webhook told"))
    add_inventory_options(commands.add_parser("inventory", help="stock to the store by hand: sweep, --full, --compare"))
    add_products_options(commands.add_parser("products", help="products and items: what differs (--dry-run), in step"))
    add_customers_options(commands.add_parser("customers", help="what Sage owns of customers, to Clarity; --dry-run"))
    add_reconcile_options(commands.add_parser("reconcile", help="hold Clarity's payments against Sage's books"))
    add_receipts_options(commands.add_parser("receipts", help="money into Sage by its cash routes; --dry-run"))
    add_shadow_options(commands.add_parser("shadow", help="shadow mode: what would be created against what was typed"))
    add_golive_options(commands.add_parser("golive", help="take over open orders that people typed; --dry-run"))
    add_alert_commands(commands.add_parser("alerts", help="targets of alerts: test sends each of them a message"))
    add_encryption_commands(commands.add_parser("encryption", help="keys of the payloads: new-key, usage"))
    add_promote_options(commands.add_parser("promote", help="this code into an environment, step by step"))
    add_demo_options(commands.add_parser("demo", help="everything on this machine: make run"))
    return parser


async def run_workers(settings: Settings, roles: Sequence[Role]) -> None:
    """Run the roles until Ctrl-C or SIGTERM."""
    give_back_large_buffers()
    pairs = load_pair_files(settings)
    refuse_unsafe(settings, pairs)
    for role in roles:
        for pair in pairs.values():
            check_settings(role, pair)
    stop = asyncio.Event()
    stop_on_signals(stop)
    show_metrics(settings)
    runtime = temporal_runtime(settings)
    tracing = set_up_tracing(settings, "clarity-sage100-workers")
    client = await unless_stopped(connect(settings, integration_plugin(tracing=tracing), runtime), stop)
    if client is None:
        return
    fleet = Fleet(client, settings, pairs)
    for role in roles:
        fleet.add(role)
    await fleet.run(stop)


async def make_schedules(settings: Settings) -> None:
    """Create or update all schedules; name those whose pair has no file, and pairs whose go_live is too early."""
    pairs = load_pair_files(settings)
    refuse_unsafe(settings, pairs)
    client = await connect(settings, integration_plugin())
    await ensure_schedules(client, pairs.values())
    for id_ in await left_over(client, pairs.values()):
        print(
            f"Schedule {id_} belongs to no pair in PAIRS_DIR, and goes on. If its pair is gone for good: "
            f"temporal schedule delete --schedule-id {id_}"
        )
    for pair in pairs.values():
        if early := await go_live_too_early(client, pair):
            print(early)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    options = build_parser().parse_args(arguments)
    try:
        if options.command == "check":
            return run_check(options)
        settings = load_settings()
        set_up_logging(settings)
        if options.command == "demo":
            if settings.deployment_environment is DeploymentEnvironment.PRODUCTION:
                raise SettingsError(
                    "demo: DEPLOYMENT_ENVIRONMENT is production. Unset it: the demo plays with sandboxes."
                )
            return asyncio.run(run_demo(options, settings))
        if options.command == "backfill":
            return asyncio.run(run_backfill(options, settings))
        if options.command == "inventory":
            return asyncio.run(run_inventory(options, settings))
        if options.command == "products":
            return asyncio.run(run_products(options, settings))
        if options.command == "customers":
            return asyncio.run(run_customers(options, settings))
        if options.command == "reconcile":
            return asyncio.run(run_reconcile(options, settings))
        if options.command == "receipts":
            return asyncio.run(run_receipts(options, settings))
        if options.command == "shadow":
            return asyncio.run(run_shadow(options, settings))
        if options.command == "golive":
            return asyncio.run(run_golive(options, settings))
        if options.command == "promote":
            return asyncio.run(run_promote(options, settings))
        if options.command == "alerts":
            return test_alerts(options, settings)
        if options.command == "encryption":
            return run_encryption(options, settings)
        if options.command == "namespace":
            asyncio.run(make_namespace(options, settings))
            return 0
        if options.command == "schedules":
            asyncio.run(make_schedules(settings))
            return 0
        roles = [Role(name) for name in options.role] if options.role else list(Role)
        asyncio.run(run_workers(settings, roles))
    except (SettingsError, UndecodablePayload) as error:
        print(f"workers: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        with contextlib.suppress(KeyboardInterrupt):
            return 130
    return 0


if __name__ == "__main__":
    leave(main())
