"""`python -m workers check`: what is well is said to be, and each broken set-up is named with its remedy.

Real servers where it matters: a sandbox, the Temporal server that these tests share, and copies of Sage's file in which
something is missing.
"""

import argparse
import asyncio
import json
import os
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import ScheduleIntervalSpec, ScheduleSpec
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment

from api.keys import Scope, add_key, revoke_key
from mappings.pair import load_pair
from tests.support.pair_files import merged
from tests.support.processes import ROOT, free_ports
from tests.support.sandbox import Sandbox, running_sandbox
from workers.check import as_json, check, show
from workers.checks.results import Group, Outcome, Result, Trouble, clock_result, run_group
from workers.checks.temporal import check_schedules, clock_bounds
from workers.namespace import make_namespace
from workers.roles import Role
from workers.schedules import schedules_of
from workers.settings import PairSettings, Settings, SettingsError

pytestmark = pytest.mark.asyncio(loop_scope="session")

DEMO = yaml.safe_load((ROOT / "mappings/pairs/demo.yaml").read_text("utf-8"))
NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
PASSWORD = "hunter2-of-the-gateway"
ALL = tuple(Role)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    folder = tmp_path_factory.mktemp("sandbox")
    with running_sandbox(folder, "--ship-after", "off", "--post-after", "off") as one:
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def namespace(env: WorkflowEnvironment) -> str:
    """A namespace of these tests alone: the server of the session knows workers of others."""
    settings = Settings(temporal_address=env.client.service_client.config.target_host, temporal_namespace="checked")
    options = argparse.Namespace(retention_days=30)
    async with asyncio.timeout(60):
        while True:
            try:
                await make_namespace(options, settings)
            except SettingsError:
                # Parts of the server do not know the new namespace yet.
                await asyncio.sleep(0.2)
            else:
                return "checked"


@pytest.fixture
def site(
    sandbox: Sandbox, env: WorkflowEnvironment, namespace: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Mapping[str, str]:
    """The settings of a healthy site, in the environment, in a folder without `.env`."""
    for model, prefix in ((Settings, ""), (PairSettings, "DEMO_")):
        for name in model.model_fields:
            monkeypatch.delenv(prefix + name.upper(), raising=False)
    settings = {
        "TEMPORAL_ADDRESS": env.client.service_client.config.target_host,
        "TEMPORAL_NAMESPACE": namespace,
        "PAIRS_DIR": str(ROOT / "mappings/pairs"),
        "REPORTS_DIR": str(tmp_path / "reports"),
        "DEMO_SAGE_GATEWAY_URL": sandbox.sage_url,
        "DEMO_SAGE_USER": "integration",
        "DEMO_SAGE_PASSWORD": "sandbox-only",
        "DEMO_SAGE_ODBC": sandbox.odbc,
        "DEMO_CLARITY_URL": sandbox.clarity_url,
        "DEMO_CLARITY_CLIENT_ID": "clarity-integration",
        "DEMO_CLARITY_CLIENT_SECRET": "clarity-sandbox-secret",
        "DEMO_CLARITY_WEBHOOK_SECRETS": "whsec_c2FuZGJveC13ZWJob29rLXNpZ25pbmctc2VjcmV0LTAwMQ==",
        "DEMO_MATCH_KEY_SECRET": "sandbox-match-key",
        "DEMO_ALERT_TARGETS_HIGH": "json://127.0.0.1/alerts",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return settings


def of(results: list[Result], name: str) -> Result:
    """The worst result of this check."""
    order = [Outcome.FAILED, Outcome.WARNING, Outcome.SKIPPED, Outcome.OK]
    return min((one for one in results if one.check == name), key=lambda one: order.index(one.outcome))


def failures(results: list[Result]) -> dict[str, Result]:
    return {one.check: one for one in results if one.outcome is Outcome.FAILED}


async def test_a_healthy_site_has_no_failure_and_nothing_is_written(
    site: Mapping[str, str], sandbox: Sandbox, tmp_path: Path
) -> None:
    before = sandbox.rows("SELECT count(*) AS n, max(SalesOrderNo) AS last FROM SO_SalesOrderHeader")
    results = await check([], ALL)
    assert failures(results) == {}
    assert {one.check for one in results if one.outcome is Outcome.SKIPPED} <= {"temporal.fairness", "temporal.clock"}
    assert "sandbox 1" in of(results, "gateway.version").seen
    assert not (tmp_path / "reports").exists()
    assert sandbox.rows("SELECT count(*) AS n, max(SalesOrderNo) AS last FROM SO_SalesOrderHeader") == before


async def test_a_machine_beside_sage_needs_nothing_of_clarity(
    site: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in site:
        if "CLARITY" in name or "MATCH" in name:
            monkeypatch.delenv(name)
    results = await check([], [Role.SAGE])
    assert failures(results) == {}
    assert {one.check.partition(".")[0] for one in results} == {"settings", "temporal", "pair", "odbc", "gateway"}


CLOSED = "http://127.0.0.1:{closed}"
BROKEN: list[tuple[Role, dict[str, str], str, str, str]] = [
    # who needs it, what is wrong, the check that fails, what it says, the remedy
    (Role.SAGE, {"DEMO_SAGE_GATEWAY_URL": ""}, "gateway.reachable", "is not set", "role sage"),
    (Role.SAGE, {"DEMO_SAGE_GATEWAY_URL": CLOSED}, "gateway.reachable", "DEMO_SAGE_GATEWAY_URL", "address and port"),
    (Role.SAGE, {"DEMO_SAGE_GATEWAY_URL": "{clarity}"}, "gateway.signs_in", "none of a gateway's", "with its path"),
    (Role.SAGE, {"DEMO_SAGE_PASSWORD": PASSWORD}, "gateway.signs_in", "refuses the credentials", "DEMO_SAGE_PASSWORD"),
    (Role.SAGE, {"DEMO_SAGE_ODBC": ""}, "odbc.driver", "DEMO_SAGE_ODBC is not set", "beside Sage"),
    (Role.SAGE, {"DEMO_SAGE_ODBC": "Database=x"}, "odbc.driver", "neither a driver", "Begin it with Driver="),
    (Role.SAGE, {"DEMO_SAGE_ODBC": "DSN=NOSUCH;UID=x"}, "odbc.driver", "no data source 'NOSUCH'", "system data source"),
    (
        Role.SAGE,
        {"DEMO_SAGE_ODBC": f"Driver={{MAS 90 4.0 ODBC Driver}};UID=x;PWD={PASSWORD}"},
        "odbc.driver",
        "'MAS 90 4.0 ODBC Driver' is not installed",
        "32 and of 64 bits",
    ),
    (Role.SAGE, {"DEMO_SAGE_ODBC": "Driver={folder}/gone.so"}, "odbc.driver", "cannot be read", "Correct Driver="),
    (Role.SAGE, {"DEMO_SAGE_ODBC": "Driver={folder}/elf32.so"}, "odbc.driver", "has 32 bits", "Python of 32 bits"),
    (Role.SAGE, {"DEMO_SAGE_ODBC": "Driver={folder}/pe32.dll"}, "odbc.driver", "has 32 bits", "Python of 32 bits"),
    (
        Role.SAGE,
        {"DEMO_SAGE_ODBC": f"Driver={{folder}}/elf64.so;PWD={PASSWORD}"},
        "odbc.connection",
        "no connection",
        "user and password",
    ),
    (
        Role.SAGE,
        {"DEMO_SAGE_ODBC": "Driver=SQLite3;Database={folder}/none.sqlite"},
        "odbc.connection",
        "does not exist",
        "access to Sage's files",
    ),
    (Role.CLARITY, {"DEMO_CLARITY_URL": ""}, "clarity.reachable", "is not set", "role clarity"),
    (Role.CLARITY, {"DEMO_CLARITY_URL": CLOSED}, "clarity.reachable", "DEMO_CLARITY_URL", "address and port"),
    (
        Role.CLARITY,
        {"DEMO_CLARITY_CLIENT_SECRET": PASSWORD},
        "clarity.signs_in",
        "refused",
        "DEMO_CLARITY_CLIENT_SECRET",
    ),
    (Role.CLARITY, {"DEMO_CLARITY_URL": "{sage}"}, "clarity.signs_in", "signing in", "clarity.routes.token"),
    (Role.ORDERS, {"DEMO_CLARITY_WEBHOOK_SECRETS": ""}, "webhooks.secrets", "is not set", "Clarity signs with"),
    (Role.ORDERS, {"DEMO_CLARITY_WEBHOOK_SECRETS": PASSWORD}, "webhooks.secrets", "whsec_", "Copy it anew"),
    (Role.ORDERS, {"DEMO_MATCH_KEY_SECRET": ""}, "orders.match_key", "is not set", "token_urlsafe"),
    (
        Role.ORDERS,
        {"DEMO_ALERT_TARGETS_FILE": "{folder}/none.txt"},
        "orders.alert_targets",
        "cannot be read",
        "docs/alerts.md",
    ),
    (Role.ORDERS, {"REPORTS_DIR": "{folder}/elf32.so/reports"}, "reports.folder", "is no folder", "Name a folder"),
    (Role.ORDERS, {"API_HOST": "0.0.0.0"}, "api_keys.file", "API will not start", "python -m api keys add"),  # noqa: S104
    (Role.ORDERS, {"API_KEYS_FILE": "{folder}/elf32.so"}, "api_keys.file", "file of keys", "nobody gets in"),
    (Role.ORDERS, {"TEMPORAL_ADDRESS": "127.0.0.1:{closed}"}, "temporal.reachable", "refused", "Start the server"),
    (Role.ORDERS, {"TEMPORAL_NAMESPACE": "nosuch"}, "temporal.namespace", "no namespace nosuch", "namespace create"),
    (Role.ORDERS, {"API_PORT": "many"}, "settings.values", "API_PORT", "docs/settings.md"),
    (Role.ORDERS, {"PAIRS_DIR": "{folder}/none"}, "settings.pair_files", "PAIRS_DIR", "folder of the pair files"),
    (
        Role.ORDERS,
        {"DEPLOYMENT_ENVIRONMENT": "production", "API_KEYS_FILE": "{folder}/keys.json"},
        "settings.environment",
        "production does not start",
        "Set",
    ),
]


@pytest.mark.parametrize(
    ("role", "changes", "name", "seen", "remedy"), BROKEN, ids=[f"{one[2]}-{i}" for i, one in enumerate(BROKEN)]
)
async def test_a_broken_set_up_is_named_with_its_remedy(
    role: Role,
    changes: Mapping[str, str],
    name: str,
    seen: str,
    remedy: str,
    site: Mapping[str, str],
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (tmp_path / "elf32.so").write_bytes(b"\x7fELF\x01" + bytes(80))
    (tmp_path / "keys.json").write_text('{"keys": [{}]}', "utf-8")
    (tmp_path / "keys.json").chmod(0o600)
    (tmp_path / "elf64.so").write_bytes(b"\x7fELF\x02" + bytes(80))
    (tmp_path / "pe32.dll").write_bytes(b"MZ" + bytes(58) + (64).to_bytes(4, "little") + b"PE\0\0\x4c\x01")
    places = {"closed": free_ports(1)[0], "clarity": sandbox.clarity_url, "sage": sandbox.sage_url, "folder": tmp_path}
    for variable, template in changes.items():
        value = template
        for place, where in places.items():
            value = value.replace(f"{{{place}}}", str(where))
        monkeypatch.setenv(variable, value)
    results = await check([], [role])
    failed = failures(results)
    assert set(failed) == {name}
    assert seen in failed[name].seen
    assert remedy in failed[name].remedy
    assert PASSWORD not in as_json(results)
    later = [one for one in results if one.seen == f"because {name} failed"]
    assert all(one.outcome is Outcome.SKIPPED for one in later)


async def test_in_production_the_api_needs_keys_wherever_it_listens(
    site: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPLOYMENT_ENVIRONMENT", "production")
    failed = failures(await check([], [Role.ORDERS]))["api_keys.file"]
    assert "this is production: the API will not start" in failed.seen
    assert "python -m api keys add" in failed.remedy


@pytest.mark.parametrize(
    ("spoil", "name", "seen", "remedy"),
    [
        ("DROP TABLE IM_AliasItem", "odbc.tables", "IM_AliasItem", "read permission"),
        ("ALTER TABLE CI_Item RENAME COLUMN TaxClass TO Tax_Class", "odbc.columns", "CI_Item.TaxClass", "lacks them"),
        (
            "ALTER TABLE SO_SalesOrderHistoryHeader RENAME COLUMN UDF_WEB_ORDER_ID TO UDF_OTHER",
            "odbc.links",
            "SO_SalesOrderHistoryHeader.UDF_WEB_ORDER_ID",
            "mapped from the live table",
        ),
        ("{short}", "odbc.lengths", "1 text columns", "CustomerName: 30"),
    ],
)
async def test_what_sages_file_lacks_is_named(
    spoil: str,
    name: str,
    seen: str,
    remedy: str,
    site: Mapping[str, str],
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The tables without rows, as the sandbox declares them, one thing spoilt."""
    file = tmp_path / "spoilt.sqlite"
    with closing(sqlite3.connect(file)) as copy:
        for row in sandbox.rows(
            "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        ):
            sql = row["sql"]
            if spoil == "{short}" and row["name"] == "AR_Customer":
                assert "CustomerName VARCHAR(50)" in sql.replace('"', "")
                sql = sql.replace('"', "").replace("CustomerName VARCHAR(50)", "CustomerName VARCHAR(30)")
            copy.execute(sql)
        if spoil != "{short}":
            copy.execute(spoil)
        copy.commit()
    monkeypatch.setenv("DEMO_SAGE_ODBC", f"Driver=SQLite3;Database={file}")
    failed = failures(await check([], [Role.SAGE]))
    assert set(failed) == {name}
    assert seen in failed[name].seen
    assert remedy in failed[name].remedy


class Store(ThreadingHTTPServer):
    """A store (or gateway) that answers every path as told: status and body by path's end, and a clock of its own."""

    answers: dict[str, tuple[int, Any]] = {}
    clock = timedelta(0)


class Answers(BaseHTTPRequestHandler):
    server: Store

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        page = {"items": [], "totalCount": 0}
        status, body = next((told for end, told in self.server.answers.items() if path.endswith(end)), (200, page))
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string((datetime.now(UTC) + self.server.clock).timestamp())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""


@contextmanager
def store(answers: dict[str, tuple[int, Any]], clock: timedelta = timedelta(0)) -> Iterator[str]:
    token = {"access_token": "t", "expires_in": 600}
    server = Store(("127.0.0.1", 0), Answers)
    server.answers, server.clock = {"/oauth/token": (200, token), **answers}, clock
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


FORBIDDEN = (403, {"error": {"code": "forbidden", "message": "insufficient_scope", "details": []}})


@pytest.mark.parametrize(
    ("answers", "clock", "name", "seen", "remedy"),
    [
        ({"/orders": FORBIDDEN}, 0, "clarity.orders", "may not be read", "the scope for orders"),
        ({"/payments": FORBIDDEN}, 0, "clarity.scopes", "payments (403", "these scopes at Clarity"),
        ({"/products": (404, {"error": {}})}, 0, "clarity.scopes", "products", "clarity.routes"),
        ({"/orders": (200, {"results": []})}, 0, "clarity.orders", "no list", "clarity.paging"),
        (
            {"/oauth/token": (200, {"access_token": "t", "expires_in": 60, "scope": "catalogue"})},
            0,
            "clarity.scopes",
            "has not the scope integration, only catalogue",
            "Grant it",
        ),
        ({}, 900, "clarity.clock", "900 s ahead", "NTP"),
        ({}, -900, "clarity.clock", "behind", "NTP"),
    ],
)
async def test_a_store_that_is_not_as_it_should_be_is_named(
    answers: dict[str, tuple[int, Any]],
    clock: int,
    name: str,
    seen: str,
    remedy: str,
    site: Mapping[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with store(answers, timedelta(seconds=clock)) as url:
        monkeypatch.setenv("DEMO_CLARITY_URL", url)
        failed = failures(await check([], [Role.CLARITY]))
    assert set(failed) == {name}
    assert seen in failed[name].seen
    assert remedy in failed[name].remedy


@pytest.mark.parametrize(
    ("answers", "name", "seen", "remedy"),
    [
        (
            {"/0000000": (422, {"ErrorCode": "SY_Company", "ErrorMessage": "No company.", "Column": "X-Company"})},
            "gateway.company",
            "does not serve the company ABC",
            "company.code",
        ),
        ({"PROBE": (500, {})}, "gateway.routes", "GET /", "sage-gateway.yaml"),
        (
            {"/Preview": (404, {"ErrorCode": "x", "ErrorMessage": "Not Found"})},
            "gateway.preview",
            "no POST /SO/SalesOrder/Preview",
            "sage.preview: false",
        ),
    ],
)
async def test_a_gateway_that_is_not_as_it_should_be_is_named(
    answers: dict[str, tuple[int, Any]],
    name: str,
    seen: str,
    remedy: str,
    site: Mapping[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nothing = (404, {"ErrorCode": "CI_NotFound", "ErrorMessage": "There is none."})
    usual = {
        "/session": (200, {"Token": "t", "ExpiresIn": 600}),
        "/0000000": nothing,
        "PROBE": nothing,
        "/Preview": (422, {"ErrorCode": "CI_InvalidValue", "ErrorMessage": "No lines."}),
    }
    with store({**answers, **{path: told for path, told in usual.items() if path not in answers}}) as url:
        monkeypatch.setenv("DEMO_SAGE_GATEWAY_URL", url)
        failed = failures(await check([], [Role.SAGE]))
    assert set(failed) == {name}
    assert seen in failed[name].seen
    assert remedy in failed[name].remedy


async def test_two_pairs_of_one_company_must_know_each_other(
    site: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "pairs"
    folder.mkdir()

    def write(name: str, **changes: object) -> None:
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(merged(DEMO, changes)), "utf-8")

    monkeypatch.setenv("PAIRS_DIR", str(folder))
    monkeypatch.setenv("OUTLET_SAGE_GATEWAY_URL", site["DEMO_SAGE_GATEWAY_URL"] + "/")
    write("demo", go_live=datetime.now(UTC).date() + timedelta(days=30))
    write("outlet", inventory={"shares_stock_with": ["demo"]})
    results = await check(["demo"], [Role.ORDERS])
    wrong = of(results, "settings.one_company")
    assert (wrong.outcome, "demo does not name outlet" in wrong.seen) == (Outcome.FAILED, True)
    assert "Add outlet to inventory.shares_stock_with in demo.yaml" in wrong.remedy
    assert of(results, "pair.go_live").outcome is Outcome.WARNING
    write("demo", inventory={"shares_stock_with": ["outlet"]})
    shared = of(await check(["demo"], [Role.ORDERS]), "settings.one_company")
    assert shared.outcome is Outcome.WARNING
    assert "never give the same order id" in shared.remedy
    monkeypatch.setenv("OUTLET_SAGE_GATEWAY_URL", "http://127.0.0.1:9")
    assert of(await check(["demo"], [Role.ORDERS]), "settings.one_company").outcome is Outcome.OK
    (folder / "outlet.yaml").write_text("company: {}\n", "utf-8")
    broken = of(await check(["demo"], [Role.ORDERS]), "settings.pair_files")
    assert (broken.outcome, "outlet.yaml" in broken.seen) == (Outcome.FAILED, True)


async def test_a_namespace_without_search_attributes_or_workers_says_what_to_type(
    site: Mapping[str, str], env: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = RegisterNamespaceRequest(
        namespace="bare", workflow_execution_retention_period=Duration(seconds=3 * 86_400)
    )
    await env.client.workflow_service.register_namespace(request)
    text = {"OrderState": IndexedValueType.INDEXED_VALUE_TYPE_TEXT}
    add = AddSearchAttributesRequest(namespace="bare", search_attributes=text)

    async def is_known() -> bool:
        """All parts of the server know a new namespace after a while."""
        try:
            await env.client.operator_service.add_search_attributes(add)
        except RPCError as error:
            return error.status is RPCStatusCode.ALREADY_EXISTS
        return True

    async with asyncio.timeout(60):
        while not await is_known():  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    monkeypatch.setenv("TEMPORAL_NAMESPACE", "bare")
    results = await check([], [Role.ORDERS])
    attributes = of(results, "temporal.search_attributes")
    assert attributes.outcome is Outcome.FAILED
    assert attributes.seen.startswith("OrderState is Text, not Keyword; missing: HoldReason, ")
    assert "Remove those of the wrong type" in attributes.remedy
    assert "search-attribute create -n bare --name HeldItems --type KeywordList" in attributes.remedy
    assert of(results, "temporal.retention").outcome is Outcome.WARNING


async def test_schedules_that_are_missing_or_paused_are_named(env: WorkflowEnvironment, tmp_path: Path) -> None:
    """Those of a pair that no other test knows, whose runs are years away."""
    file = tmp_path / "chk.yaml"
    file.write_text((ROOT / "mappings/pairs/demo.yaml").read_text("utf-8"), "utf-8")
    pair = load_pair(file)

    async def seen() -> Result:
        group = Group("temporal", ())
        await check_schedules(group, env.client, {"chk": pair})
        return group.results[0]

    none = await seen()
    assert (none.outcome, none.remedy) == (Outcome.WARNING, "Create them: python -m workers schedules")
    rarely = ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(days=3650))])
    handles = [
        await env.client.create_schedule(id_, replace(schedule, spec=rarely))
        for id_, schedule in schedules_of(pair).items()
    ]
    try:
        assert (await seen()).outcome is Outcome.OK
        await handles[0].pause(note="stock-taking")
        paused = await seen()
        assert (paused.outcome, paused.seen) == (Outcome.WARNING, f"paused: {handles[0].id} (stock-taking)")
        await handles[1].delete()
        missing = await seen()
        assert (missing.outcome, missing.seen) == (Outcome.FAILED, f"missing: {handles[1].id}")
    finally:
        for handle in (handles[0], *handles[2:]):
            await handle.delete()


async def test_keys_of_the_api_that_are_over_or_open_to_others_are_named(
    site: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "keys.json"
    monkeypatch.setenv("API_KEYS_FILE", str(file))

    async def seen() -> Result:
        return of(await check([], [Role.ORDERS]), "api_keys.file")

    assert (await seen()).outcome is Outcome.WARNING
    add_key(file, "console", frozenset({Scope.READ}), timedelta(days=-1), datetime.now(UTC))
    assert "no key that is valid" in (await seen()).seen
    add_key(file, "soon", frozenset({Scope.READ}), timedelta(days=1), datetime.now(UTC))
    assert (await seen()).seen.startswith("1 of 1 keys expire before")
    add_key(file, "always", frozenset({Scope.READ}), None, datetime.now(UTC))
    revoke_key(file, "soon")
    assert (await seen()).seen == "1 keys are valid"
    file.chmod(0o666)
    open_to_all = await seen()
    assert (open_to_all.outcome, open_to_all.remedy) == (Outcome.FAILED, f"chmod 600 {file}")


# ---- pure -----------------------------------------------------------------------------------------------------------


async def test_a_check_that_raises_or_hangs_is_a_result_and_the_others_are_skipped() -> None:
    async def raises(group: Group) -> None:
        group.ok("first", "well")
        raise ZeroDivisionError("password=hunter2")

    group = Group("place", ("first", "second", "third"))
    first, second, third = await run_group(group, raises)
    assert (first.outcome, second.outcome, third.outcome) == (Outcome.OK, Outcome.FAILED, Outcome.SKIPPED)
    assert "ZeroDivisionError" in second.seen
    assert "hunter2" not in second.seen
    assert third.seen == "because place.second failed"

    async def hangs(_: Group) -> None:
        await asyncio.Event().wait()

    (hung, _) = await run_group(Group("place", ("a", "b")), hangs, limit=0.01)
    assert (hung.outcome, "no answer within" in hung.seen) == (Outcome.FAILED, True)

    async def stops(_: Group) -> None:
        raise Trouble("it is so", "do this")

    (stopped,) = await run_group(Group("place", ("a",)), stops)
    assert (stopped.seen, stopped.remedy) == ("it is so", "do this")

    async def forgets(_: Group) -> None:
        return

    (forgotten,) = await run_group(Group("place", ("a",)), forgets)
    assert forgotten.outcome is Outcome.SKIPPED


@pytest.mark.parametrize(
    ("ahead", "outcome"),
    [(None, "skipped"), (0.4, "ok"), (-4.0, "ok"), (30.0, "warning"), (-301.0, "failed"), (301.0, "failed")],
)
async def test_how_far_clocks_may_differ(ahead: float | None, outcome: str) -> None:
    group = Group("place", ("clock",))
    clock_result(group, ahead, most=300)
    assert group.results[0].outcome == outcome


async def test_stamps_of_the_server_bound_its_clock() -> None:
    later, earlier = NOON + timedelta(minutes=10), NOON - timedelta(minutes=10)
    assert clock_bounds(NOON, None, None) == (0, 0)
    assert clock_bounds(NOON, earlier, later) == (0, 0)
    assert clock_bounds(NOON, later, later) == (600, 0)
    assert clock_bounds(NOON, earlier, earlier) == (0, 600)


async def test_the_command_prints_json_and_ends_with_1_when_something_failed(site: Mapping[str, str]) -> None:
    command = [sys.executable, "-m", "workers", "--role", "sage", "check", "--json", "--pair", "demo"]
    environment = {**os.environ, "DEMO_SAGE_PASSWORD": PASSWORD}
    run = await asyncio.to_thread(
        partial(subprocess.run, command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    )
    assert (run.returncode, run.stderr) == (1, "")
    told = json.loads(run.stdout)
    assert told["ok"] is False
    assert [one["check"] for one in told["results"] if one["outcome"] == "failed"] == ["gateway.signs_in"]
    assert PASSWORD not in run.stdout


async def test_an_unknown_pair_is_refused_with_the_known_ones(site: Mapping[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"no pair 'nosuch' in .*; there are: demo"):
        await check(["nosuch"], ALL)


async def test_the_table_shows_each_result_with_its_remedy_and_counts(capsys: pytest.CaptureFixture[str]) -> None:
    well = Result(check="odbc.tables", pair="demo", outcome=Outcome.OK, seen="[bold]27[/] tables")
    wrong = Result(
        check="gateway.company", pair="outlet", outcome=Outcome.FAILED, seen="no company", remedy="correct it"
    )
    show([well, wrong])
    shown = capsys.readouterr().out
    assert re.search(r"odbc\.tables +demo +ok +\[bold\]27\[/\] tables", shown)
    assert re.search(r"gateway\.company +outlet +failed +no company +\n +→ correct it", shown)
    assert shown.rstrip().endswith("1 ok, 1 failed")
