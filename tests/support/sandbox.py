"""A sandbox process for tests: both sides on free ports, state in a folder of the test's own."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.support.http import HTTP
from tests.support.processes import answers, free_ports, running, wait_until

API_KEYS = {"sage": "sage-sandbox-key", "clarity": "clarity-sandbox-key"}


@dataclass(frozen=True)
class Sandbox:
    """Where a running sandbox is."""

    sage_url: str
    clarity_url: str
    var: Path

    @property
    def database(self) -> Path:
        """Sage's SQLite file."""
        return self.var / "sage100_ABC.sqlite"

    @property
    def odbc(self) -> str:
        """The connection string of its ODBC readers."""
        return f"Driver=SQLite3;Database={self.database}"

    def rows(self, sql: str, *parameters: object) -> list[dict[str, Any]]:
        """Rows of Sage's file, read here and now, past all of the application's code."""
        return read_rows(self.database, sql, *parameters)

    def sage(self, method: str, path: str, body: object = None, **headers: str) -> httpx.Response:
        """A call to the gateway, signed in by key."""
        key = {"X-API-Key": API_KEYS["sage"], "X-Company": "ABC", **headers}
        return HTTP.request(method, self.sage_url + path, json=body, headers=key, timeout=20)

    def clarity(self, method: str, path: str, body: object = None, **headers: str) -> httpx.Response:
        """A call to the store, signed in by key."""
        key = {"X-API-Key": API_KEYS["clarity"], **headers}
        return HTTP.request(method, self.clarity_url + path, json=body, headers=key, timeout=20)

    def control(self, side: str, name: str, body: object) -> dict[str, Any]:
        """One of the sandbox's own controls."""
        url = self.sage_url if side == "sage" else self.clarity_url
        answer = HTTP.post(f"{url}/_control/{name}", json=body, timeout=20)
        answer.raise_for_status()
        result: dict[str, Any] = answer.json()
        return result

    def pending_faults(self, side: str) -> int:
        """Faults that have not hit anything yet."""
        url = self.sage_url if side == "sage" else self.clarity_url
        return int(HTTP.get(f"{url}/_control/faults", timeout=20).json()["pending"])

    def fault(self, side: str, route: str, fault: str, **more: object) -> None:
        """Spoil the next call of a route."""
        self.control(side, "faults", {"route": route, "fault": fault, **more})

    def end_faults(self, side: str) -> None:
        """Everything answers again."""
        url = self.sage_url if side == "sage" else self.clarity_url
        HTTP.delete(f"{url}/_control/faults", timeout=20).raise_for_status()


def read_rows(database: Path, sql: str, *parameters: object) -> list[dict[str, Any]]:
    """Rows of a SQLite file, read-only."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql, parameters)]
    finally:
        connection.close()


@contextmanager
def running_sandbox(var: Path, *flags: str) -> Iterator[Sandbox]:
    """A sandbox process, ready."""
    sage_port, clarity_port = free_ports(2)
    arguments = ["sandbox", "--sage-port", str(sage_port), "--clarity-port", str(clarity_port), "--var", str(var)]
    var.mkdir(parents=True, exist_ok=True)
    log = var / "sandbox.log"
    with running([*arguments, *flags], log) as process:
        sandbox = Sandbox(f"http://127.0.0.1:{sage_port}", f"http://127.0.0.1:{clarity_port}", var)

        def ready() -> bool:
            assert process.poll() is None, log.read_text()
            return answers(f"{sandbox.sage_url}/_control/state") and answers(f"{sandbox.clarity_url}/_control/state")

        wait_until("the sandbox answers", ready, 30)
        yield sandbox
