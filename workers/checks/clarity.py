"""Clarity, as the workers of the role `clarity` will meet it: signing in, and every list that this pair reads.

In: a pair and its settings. Out: results. Reads only.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

from connectors.clarity.client import ClarityClient, ClaritySettings
from connectors.errors import ConnectorError, Refused, SignedOut
from connectors.http import Listener
from mappings.pair import AuthScheme, Pair
from workers.checks.results import Group, Trouble, clock_result
from workers.settings import PairSettings

CHECKS: Final = ("reachable", "signs_in", "orders", "scopes", "clock")
FORBIDDEN: Final = (401, 403)

Call = Callable[[], Awaitable[Any]]


async def check_clarity(group: Group, pair: Pair, own: PairSettings) -> None:
    """Reachable, signs in, may read what this pair reads, and its clock."""
    prefix = pair.name.upper()
    if not own.clarity_url:
        raise Trouble(f"{prefix}_CLARITY_URL is not set", "Set it where the role clarity runs (docs/settings.md).")
    listener = Listener()
    settings = ClaritySettings(
        url=own.clarity_url,
        client_id=own.clarity_client_id,
        client_secret=own.clarity_client_secret,
        api_key=own.clarity_api_key,
    )
    client = ClarityClient(pair.clarity, settings, listener=listener)
    try:
        await _orders(group, pair, client, listener)
        await _scopes(group, pair, client, listener)
    finally:
        await client.close()
    clock_result(
        group,
        listener.ahead.total_seconds() if listener.ahead else None,
        most=pair.clarity.webhook_tolerance_seconds,
    )


async def _orders(group: Group, pair: Pair, client: ClarityClient, listener: Listener) -> None:
    prefix = pair.name.upper()
    by_key = pair.clarity.auth is AuthScheme.API_KEY
    names = (
        f"{prefix}_CLARITY_API_KEY"
        if by_key
        else f"{prefix}_CLARITY_CLIENT_ID, {prefix}_CLARITY_CLIENT_SECRET and clarity.scope"
    )
    try:
        page = await client.list_orders(datetime.now(UTC))
    except SignedOut as error:
        group.ok("reachable", "it answers")
        raise Trouble(error.message, f"Check {names}, and clarity.auth in the pair file.") from None
    except Refused as error:
        group.ok("reachable", "it answers")
        group.ok("signs_in", "the credentials are taken")
        if error.status in FORBIDDEN:
            raise Trouble(
                f"orders may not be read: {error.message} ({error.status})",
                "Give the client the scope for orders at Clarity, and name it under clarity.scope.",
            ) from None
        raise Trouble(
            f"GET {pair.clarity.routes.orders}: {error.message} ({error.status})",
            "Check clarity.routes.orders, clarity.filters and clarity.paging in the pair file against this release.",
        ) from None
    except ConnectorError as error:
        if listener.last_status is None:
            raise Trouble(
                f"{prefix}_CLARITY_URL: {error.message}",
                "Check address and port, that the store is up, and that its certificate is trusted here.",
            ) from None
        group.ok("reachable", "it answers")
        if "sign in" in error.call:
            raise Trouble(
                f"signing in: {error.message}",
                f"Check clarity.routes.token ({pair.clarity.routes.token}) and clarity.auth.",
            ) from None
        group.ok("signs_in", "the credentials are taken")
        raise Trouble(
            f"GET {pair.clarity.routes.orders}: {error.message}",
            "Check clarity.routes.orders and clarity.paging in the pair file against this release.",
        ) from None
    group.ok("reachable", "it answers")
    group.ok("signs_in", "the credentials are taken")
    group.ok("orders", f"can be listed by last change ({page.totalCount} since now)")


async def _scopes(group: Group, pair: Pair, client: ClarityClient, listener: Listener) -> None:
    now = datetime.now(UTC)
    lists: dict[str, Call] = {"payments": lambda: client.list_payments(now)}
    if pair.clarity.routes.payouts is not None:
        lists["payouts"] = lambda: client.list_payouts(now)
    if pair.inventory.warehouses:
        lists["inventory"] = client.list_inventory
    if pair.products.is_on:
        lists["products"] = lambda: client.list_products(now)
    if pair.customers.sync.is_on and pair.clarity.routes.customers is not None:
        lists["customers"] = lambda: client.list_customers(now)
    forbidden: list[str] = []
    wrong: list[str] = []
    for name, call in lists.items():
        try:
            await call()
        except Refused as error:
            (forbidden if error.status in FORBIDDEN else wrong).append(f"{name} ({error.status} {error.message})")
        except SignedOut:
            forbidden.append(f"{name} (401)")
        except ConnectorError as error:
            wrong.append(f"{name} ({error.message})")
    missing = set(pair.clarity.scope.split()) - set(listener.granted_scope.split()) if listener.granted_scope else set()
    if missing:
        group.failed(
            "scopes",
            f"the token has not the scope {' '.join(sorted(missing))}, only {listener.granted_scope}",
            "Grant it to the client at Clarity, or correct clarity.scope.",
        )
    elif forbidden:
        group.failed("scopes", f"may not be read: {'; '.join(forbidden)}", "Give the client these scopes at Clarity.")
    elif wrong:
        group.failed("scopes", f"cannot be read: {'; '.join(wrong)}", "Check their clarity.routes in the pair file.")
    else:
        group.ok("scopes", f"may read orders, {', '.join(lists)}; what it may write is not tried")
