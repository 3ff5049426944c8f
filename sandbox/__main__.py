"""`python -m sandbox`: serve both sides, or act in a running one (check out orders, ship, post, set the clock)."""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx
import uvicorn
import yaml

from sandbox.clarity import WEBHOOK_SECRET, ClaritySettings, Dialect
from sandbox.clarity import create_app as create_clarity
from sandbox.sage100 import Sage100Settings
from sandbox.sage100 import create_app as create_sage100

HERE = Path(__file__).parent
GATEWAY_VERSION = "sandbox 1"


def environment(name: str, default: str) -> str:
    """`SANDBOX_{NAME}` or the default."""
    return os.environ.get(f"SANDBOX_{name}", default)


def optional_seconds(text: str) -> float | None:
    """Seconds, or None for `off`."""
    return None if text == "off" else float(text)


def build_parser() -> argparse.ArgumentParser:
    """All commands with their flags."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument("--host", default=environment("HOST", "127.0.0.1"))
    parser.add_argument("--sage-port", type=int, default=int(environment("SAGE_PORT", "8090")))
    parser.add_argument("--clarity-port", type=int, default=int(environment("CLARITY_PORT", "8091")))
    commands = parser.add_subparsers(dest="command", title="commands (default: serve)")
    serve = commands.add_parser("serve", help="serve both sides until Ctrl-C")
    add_serving_flags(parser)
    add_serving_flags(serve, only_when_given=True)
    orders = commands.add_parser("orders", help="buyers check out: `orders send --all`, `orders send FILE…`")
    orders.add_argument("action", choices=["send"])
    orders.add_argument("files", nargs="*", type=Path)
    orders.add_argument("--all", action="store_true", help="all sample orders")
    webhook = commands.add_parser("webhook", help="deliver an order's webhook again")
    webhook.add_argument("order_id")
    webhook.add_argument("--times", type=int, default=1)
    webhook.add_argument("--type", default="order.created")
    webhook.add_argument("--same-id", action="store_true")
    ship = commands.add_parser("ship", help="the warehouse ships a sales order in full")
    ship.add_argument("sales_order_no")
    ship.add_argument("--packages", type=int, default=1)
    ship.add_argument("--by-item", action="store_true", help="with contents per package")
    post = commands.add_parser("post", help="the office posts shipped invoices (Sales Journal update)")
    post.add_argument("invoice_no", nargs="?")
    clock = commands.add_parser("clock", help="show or set Sage's clock")
    clock.add_argument("--now", help="ISO 8601, in the company's time zone when without offset")
    clock.add_argument("--shift", type=float, help="seconds from the real time")
    anything = commands.add_parser(
        "act", help="any control: `act sage track '{…}'`; sage: ship, track, invoice, void, post, order, …"
    )
    anything.add_argument("side", choices=["sage", "clarity"])
    anything.add_argument("control", help="as in docs/sandbox.md")
    anything.add_argument("body", nargs="?", default="{}", help="JSON")
    commands.add_parser("expected", help="what should become of the sample orders")
    return parser


def add_serving_flags(target: argparse.ArgumentParser, *, only_when_given: bool = False) -> None:
    """Flags of `serve`; they may stand before or after the word, and the ones after it win."""
    seconds: list[tuple[str, str, str]] = [
        (
            "--ship-after",
            "off",
            "the warehouse ships an order so many seconds after its creation (off: only when told)",
        ),
        ("--post-after", "off", "the office posts an invoice so many seconds after it shipped (off: only when told)"),
        ("--step-pause", "0", "seconds between header, lines and tracking of an invoice"),
        ("--write-duration", "0", "seconds that each write to Sage takes"),
        ("--token-lifetime", "600", "seconds until tokens of both sides expire"),
    ]
    texts = [
        ("--var", "var", "where state is kept"),
        ("--company", "ABC", "code of the company: X-Company, and the name of its file"),
        ("--sage-password", Sage100Settings.model_fields["password"].default, "of the user `integration`"),
        ("--clarity-secret", ClaritySettings.model_fields["client_secret"].default, "of the client"),
        ("--webhook-secret", WEBHOOK_SECRET, "webhooks are signed with it"),
        ("--webhook-url", "http://127.0.0.1:8080/webhooks/clarity/demo", "where Clarity sends its webhooks"),
        (
            "--clarity-dialect",
            "contract",
            f"the release that Clarity plays: {', '.join(Dialect)} (other routes, names, sign-in and signature)",
        ),
        ("--webhook-schedule", "", "seconds between delivery attempts, comma-separated (default: as real senders do)"),
    ]
    for kind, flags in ((optional_seconds, seconds), (str, texts)):
        for flag, default, text in flags:
            from_environment = kind(environment(flag[2:].upper().replace("-", "_"), default))
            target.add_argument(
                flag,
                type=kind,
                default=argparse.SUPPRESS if only_when_given else from_environment,
                choices=[one.value for one in Dialect] if flag == "--clarity-dialect" else None,
                help=text,
            )


async def serve(options: argparse.Namespace) -> int:
    """Both sides in one process until told to stop."""
    sockets = []
    for name, port in (("Sage gateway", options.sage_port), ("Clarity", options.clarity_port)):
        # With the protocol named, asyncio sets TCP_NODELAY on what it accepts: else answers wait 40 ms for the client.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((options.host, port))
        except OSError as error:
            print(f"sandbox: port {port} ({name}) cannot be used: {error.strerror}. Choose another.", file=sys.stderr)
            return 1
        sockets.append(listener)
    schedule = [float(part) for part in options.webhook_schedule.split(",") if part]
    sage = create_sage100(
        Sage100Settings(
            database=Path(options.var) / f"sage100_{options.company}.sqlite",
            company=options.company,
            password=options.sage_password,
            ship_after_seconds=options.ship_after,
            post_after_seconds=options.post_after,
            step_pause_seconds=options.step_pause,
            write_duration_seconds=options.write_duration,
            token_lifetime_seconds=options.token_lifetime,
        )
    )
    clarity_settings = ClaritySettings(
        database=Path(options.var) / "clarity.sqlite",
        dialect=Dialect(options.clarity_dialect),
        client_secret=options.clarity_secret,
        webhook_url=options.webhook_url,
        webhook_secrets=[options.webhook_secret],
        token_lifetime_seconds=options.token_lifetime,
    )
    if schedule:
        clarity_settings = clarity_settings.model_copy(update={"webhook_schedule": schedule})
    servers = [
        Server(uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=2, headers=headers))
        for app, headers in ((sage, [("X-Gateway-Version", GATEWAY_VERSION)]), (create_clarity(clarity_settings), []))
    ]
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for server in servers:
            server.should_exit = True

    for name in ("SIGINT", "SIGTERM"):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(getattr(signal, name), stop)
    print(
        f"Sage gateway http://{options.host}:{options.sage_port}, Clarity http://{options.host}:{options.clarity_port}"
    )
    await asyncio.gather(*(server.serve(sockets=[listener]) for server, listener in zip(servers, sockets, strict=True)))
    return 0


class Server(uvicorn.Server):
    """Leaves the signals to `serve`, which stops both servers."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        """See base class."""
        yield


def act(options: argparse.Namespace) -> int:
    """Do something in a running sandbox, over HTTP."""
    sage = f"http://{options.host}:{options.sage_port}/_control"
    clarity = f"http://{options.host}:{options.clarity_port}/_control"
    calls: list[tuple[str, str, object]] = []
    match options.command:
        case "orders":
            files = sorted((HERE / "orders").glob("*.json")) if options.all else options.files
            if not files:
                print("sandbox: name order files, or --all.", file=sys.stderr)
                return 2
            calls = [("POST", f"{clarity}/orders", json.loads(file.read_text(encoding="utf-8"))) for file in files]
        case "webhook":
            body = {
                "orderId": options.order_id,
                "times": options.times,
                "type": options.type,
                "sameId": options.same_id,
            }
            calls = [("POST", f"{clarity}/webhooks", body)]
        case "ship":
            body = {
                "SalesOrderNo": options.sales_order_no,
                "Packages": [{} for _ in range(options.packages)],
                "ByItem": options.by_item,
            }
            calls = [("POST", f"{sage}/ship", body)]
        case "act":
            side = sage if options.side == "sage" else clarity
            calls = [("POST", f"{side}/{options.control}", json.loads(options.body))]
        case "post":
            calls = [("POST", f"{sage}/post", {"InvoiceNo": options.invoice_no})]
        case "clock":
            change = {name: value for name, value in (("now", options.now), ("shift_seconds", options.shift)) if value}
            calls = [("POST" if change else "GET", f"{sage}/clock", change or None)]
    status = 0
    for method, url, payload in calls:
        try:
            response = httpx.request(method, url, json=payload, timeout=30)
        except httpx.HTTPError as error:
            print(f"sandbox: {url} does not answer ({type(error).__name__}). Is it running?", file=sys.stderr)
            return 1
        print(response.text)
        status = status or int(response.status_code >= 400)
    return status


def show_expected() -> int:
    """The table of sample orders."""
    expected = yaml.safe_load((HERE / "expected.yaml").read_text(encoding="utf-8"))
    for name, entry in expected["orders"].items():
        print(f"{name:32} {entry['order_id']:>8}  {entry['result']:9} {entry.get('hold_reason', ''):16} {entry['why']}")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    options = build_parser().parse_args(arguments)
    if options.command in (None, "serve"):
        return asyncio.run(serve(options))
    if options.command == "expected":
        return show_expected()
    try:
        return act(options)
    except (OSError, ValueError) as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
