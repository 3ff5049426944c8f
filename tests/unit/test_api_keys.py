"""The API's keys: made once, kept as hashes, read again on change; and who gets in with which."""

import json
import os
import socket
import stat
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import httpx
import pytest
from temporalio.client import Client

from api.__main__ import bind, check_keys, main
from api.app import create_app
from api.keys import ApiKey, KeyRing, KeysFileError, Scope, add_key, hash_of, read_keys, revoke_key
from tests.support.processes import free_ports
from workers.settings import DeploymentEnvironment, Settings, SettingsError

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
BOTH = frozenset(Scope)
posix = pytest.mark.skipif(os.name != "posix", reason="permissions of files are POSIX's")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the keys will be."""
    return tmp_path / "keys" / "api-keys.json"


def make(file: Path, name: str, *scopes: Scope, lifetime: timedelta | None = None, at: datetime = NOW) -> str:
    return add_key(file, name, frozenset(scopes or BOTH), lifetime, at)[1]


# ---- the file -------------------------------------------------------------------------------------------------------


def test_a_key_is_random_and_only_its_hash_is_kept(file: Path) -> None:
    keys = {make(file, f"n{number}") for number in range(20)}
    assert len(keys) == 20
    assert all(len(key) >= 43 for key in keys)
    text = file.read_text("utf-8")
    assert not any(key in text for key in keys)
    assert {entry["sha256"] for entry in json.loads(text)["keys"]} == {hash_of(key) for key in keys}


def test_an_entry_shows_no_hash_in_its_text(file: Path) -> None:
    make(file, "console")
    known = read_keys(file)
    assert known is not None
    assert known.keys[0].sha256 not in repr(known)


@posix
def test_the_file_is_for_its_owner_alone(file: Path) -> None:
    make(file, "a")
    make(file, "b")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@posix
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_is_refused(file: Path, mode: int) -> None:
    make(file, "a")
    file.chmod(mode)
    with pytest.raises(KeysFileError, match="chmod 600"):
        read_keys(file)


def test_a_name_is_taken_once_and_has_a_form(file: Path) -> None:
    make(file, "console")
    with pytest.raises(KeysFileError, match="already"):
        make(file, "console")
    for name in ("", "a b", "x" * 65, "-a", "a\n", "é", "../x"):
        with pytest.raises(KeysFileError, match="no name"):
            make(file, name)
    assert [key.name for key in (read_keys(file) or pytest.fail("gone")).keys] == ["console"]


def test_a_refused_change_leaves_file_and_folder_as_they_were(file: Path) -> None:
    make(file, "a")
    before = file.read_bytes()
    for change in (lambda: make(file, "a"), lambda: revoke_key(file, "b")):
        with pytest.raises(KeysFileError):
            change()
    assert file.read_bytes() == before
    assert os.listdir(file.parent) == [file.name]  # noqa: PTH208


def test_two_commands_do_not_overwrite_each_other(file: Path) -> None:
    make(file, "a")
    draft = file.with_name(file.name + ".new")
    draft.write_text("")
    with pytest.raises(KeysFileError, match="another command"):
        make(file, "b")
    assert draft.exists()
    draft.unlink()
    make(file, "b")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"keys": 1}',
        '{"keys": [{"name": "a"}]}',
        '{"keyz": []}',
        '{"keys": [{"name": "a", "sha256": "00", "scopes": ["read"], "created": "2026-01-01T00:00:00Z"}]}',
        json.dumps({"keys": [{"name": "a", "sha256": "0" * 64, "scopes": ["all"], "created": "2026-01-01T00:00:00Z"}]}),
        json.dumps({"keys": [{"name": "a", "sha256": "0" * 64, "scopes": [], "created": "2026-01-01T00:00:00Z"}]}),
        json.dumps({"keys": [{"name": "a", "sha256": "0" * 64, "scopes": ["read"], "created": "2026-01-01T00:00:00"}]}),
        json.dumps(
            {"keys": [{"name": "a", "sha256": "0" * 64, "scopes": ["read"], "created": "2026-01-01T00:00:00Z"}] * 2}
        ),
    ],
)
def test_a_damaged_file_is_told_and_opens_nothing(file: Path, content: str) -> None:
    make(file, "a")
    file.write_text(content)
    with pytest.raises(KeysFileError, match="API_KEYS_FILE"):
        KeyRing(file).has_keys()
    with pytest.raises(KeysFileError):
        make(file, "b")
    assert file.read_text() == content


# ---- the ring -------------------------------------------------------------------------------------------------------


def found(ring: KeyRing, key: str) -> ApiKey | None:
    return ring.find(key) if ring.has_keys() else None


def test_changes_of_the_file_count_from_the_next_request_on(file: Path) -> None:
    ring = KeyRing(file)
    assert not ring.has_keys()
    key = make(file, "a")
    for number in range(20):
        entry = found(ring, key)
        assert entry is not None
        assert entry.name == "a"
        other = make(file, f"b{number}")
        assert found(ring, other) is not None
        revoke_key(file, f"b{number}")
        assert found(ring, other) is None
    revoke_key(file, "a")
    assert found(ring, key) is None
    assert ring.has_keys()


def test_a_file_that_disappears_opens_nothing_and_may_come_back(file: Path) -> None:
    ring = KeyRing(file)
    key = make(file, "a")
    assert found(ring, key)
    kept = file.read_bytes()
    file.unlink()
    for _ in range(2):
        with pytest.raises(KeysFileError, match="disappeared"):
            ring.has_keys()
    file.write_bytes(kept)
    file.chmod(0o600)
    assert found(ring, key)


def test_a_file_damaged_while_running_opens_nothing(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    ring = KeyRing(file)
    key = make(file, "a")
    assert found(ring, key)
    file.write_text("{")
    for _ in range(5):
        with pytest.raises(KeysFileError):
            ring.has_keys()
    assert caplog.text.count("Nobody gets in") == 1


@pytest.mark.parametrize("presented", ["", "csk_", "x" * 10_000, "é\udcff", "\x00"])
def test_other_keys_are_unknown(file: Path, presented: str) -> None:
    ring = KeyRing(file)
    key = make(file, "a")
    for wrong in (presented, key + "x", key[:-1], key.upper(), f" {key}"):
        assert found(ring, wrong) is None


# ---- the door -------------------------------------------------------------------------------------------------------


async def a_client(keys: KeyRing, base_url: str = "http://127.0.0.1:8080") -> httpx.AsyncClient:
    """The API without a Temporal: what is asked here needs none."""
    client = await Client.connect(f"127.0.0.1:{free_ports(1)[0]}", lazy=True)
    return httpx.AsyncClient(transport=httpx.ASGITransport(create_app({}, client, keys)), base_url=base_url)


READING, OPERATING, UNKNOWN = ("GET", "/openapi.json"), ("POST", "/orders/demo/1/restart"), ("GET", "/nothing")


async def test_every_route_but_health_and_webhooks_needs_a_key(file: Path) -> None:
    make(file, "a")
    async with await a_client(KeyRing(file)) as client:
        for method, path in (
            READING,
            OPERATING,
            UNKNOWN,
            ("GET", "/docs"),
            ("GET", "/redoc"),
            ("OPTIONS", "/healthz/"),
        ):
            answer = await client.request(method, path)
            assert answer.status_code == 401, path
            assert answer.json()["remedy"]
            assert answer.headers["www-authenticate"].startswith("Bearer")
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.post("/webhooks/clarity/demo")).status_code == 404
        key = make(file, "b", at=datetime.now(UTC))
        description = (await client.get("/openapi.json", headers={"X-API-Key": key})).json()
        assert set(description["components"]["securitySchemes"]) == {"ApiKey", "Bearer"}
        for path, methods in description["paths"].items():
            for operation in methods.values():
                if path in ("/healthz", "/readyz") or path.startswith("/webhooks/"):
                    assert operation["security"] == []
                else:
                    assert [next(iter(one)) for one in operation["security"]] == ["ApiKey", "Bearer"]
                    assert {"401", "403"} <= set(operation["responses"])


async def test_scopes_are_apart_and_either_header_will_do(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    keys = {scope: make(file, scope.value, scope) for scope in Scope}
    async with await a_client(KeyRing(file)) as client:
        for scope, reading, operating in ((Scope.READ, 200, 403), (Scope.OPERATE, 403, 404)):
            for headers in ({"x-api-key": keys[scope]}, {"authorization": f"bearer {keys[scope]}"}):
                assert (await client.request(*READING, headers=headers)).status_code == reading
                answer = await client.request(*OPERATING, headers=headers)
                assert answer.status_code == operating
                assert answer.json()["remedy"]
    assert not any(key in caplog.text or hash_of(key) in caplog.text for key in keys.values())


async def test_a_search_for_customers_looks_and_needs_no_more_than_a_get(file: Path) -> None:
    reader, operator = (make(file, scope.value, scope) for scope in (Scope.READ, Scope.OPERATE))
    async with await a_client(KeyRing(file)) as client:
        path = "/customers/nobody/search"
        found = await client.post(path, json={"order": "1"}, headers={"x-api-key": reader})
        assert found.status_code == 404
        refused = await client.post(path, json={"order": "1"}, headers={"x-api-key": operator})
        assert refused.status_code == 403
        for near in ("/customers/nobody/search/", "/customers/search", "/orders/nobody/search"):
            assert (await client.post(near, headers={"x-api-key": reader})).status_code == 403


async def test_expired_revoked_wrong_and_doubtful_keys_are_refused(file: Path) -> None:
    at = datetime.now(UTC)
    old = make(file, "old", lifetime=timedelta(days=1), at=at - timedelta(days=2))
    young = make(file, "young", lifetime=timedelta(days=1), at=at)
    gone = make(file, "gone")
    revoke_key(file, "gone")
    async with await a_client(KeyRing(file)) as client:

        async def status(*headers: tuple[str, str | bytes]) -> int:
            pairs = [(name.encode(), value if isinstance(value, bytes) else value.encode()) for name, value in headers]
            answer = await client.request(*READING, headers=pairs)
            assert answer.status_code == 200 or answer.json()["remedy"]
            return answer.status_code

        assert await status(("x-api-key", young)) == 200
        assert await status(("x-api-key", young), ("authorization", f"Bearer {young}")) == 200
        for wrong in (
            [("x-api-key", old)],
            [("x-api-key", gone)],
            [("x-api-key", "")],
            [("x-api-key", b"\xff\x00")],
            [("x-api-key", "k" * 60_000)],
            [("x-api-key", young), ("x-api-key", old)],
            [("x-api-key", young), ("authorization", f"Bearer {gone}")],
            [("authorization", young)],
            [("authorization", f"Basic {young}")],
            [("authorization", "Bearer")],
            [("cookie", f"X-API-Key={young}")],
        ):
            assert await status(*wrong) == 401, wrong


async def test_a_body_is_not_read_before_the_key_and_never_beyond_the_limit(file: Path) -> None:
    key = make(file, "a")
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(100):
            read += 64 * 1024
            yield b" " * 64 * 1024

    path = "/orders/demo/1/release"
    async with await a_client(KeyRing(file)) as client:
        # The transport in this process hands the body over lazily: what was read is what the API asked for.
        answer = await client.post(path, content=body(), headers={"content-type": "application/json"})
        assert (answer.status_code, read) == (401, 0)
        headers = {"content-type": "application/json", "x-api-key": key}
        answer = await client.post(path, content=body(), headers=headers)
        assert answer.status_code == 413
        assert read < 2 * 1024 * 1024
        answer = await client.post(path, content=b" " * (1024 * 1024 + 1), headers=headers)
        assert answer.status_code == 413


async def test_keys_that_cannot_be_read_lock_the_door(file: Path) -> None:
    key, damage = make(file, "a"), partial(file.write_text, "{")
    async with await a_client(KeyRing(file)) as client:
        assert (await client.request(*READING, headers={"x-api-key": key})).status_code == 200
        damage()
        answer = await client.request(*READING, headers={"x-api-key": key})
        assert answer.status_code == 503
        assert str(file) not in answer.text
        assert (await client.get("/healthz")).status_code == 200


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:8080", "http://localhost", "http://[::1]:8080"])
async def test_without_keys_this_machine_is_served_until_a_file_is_there(file: Path, base_url: str) -> None:
    async with await a_client(KeyRing(file), base_url) as client:
        assert (await client.request(*READING)).status_code == 200
        assert (await client.request(*OPERATING)).status_code == 404
        make(file, "a")
        assert (await client.request(*READING)).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "shop.example"},
        {"host": "127.0.0.1.shop.example"},
        {"host": "[::1"},
        {"host": ""},
        {"origin": "https://shop.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"x-forwarded-for": "203.0.113.9"},
        {"forwarded": "for=203.0.113.9"},
    ],
    ids=str,
)
async def test_without_keys_web_pages_and_proxies_are_not_served(headers: dict[str, str]) -> None:
    async with await a_client(KeyRing(None)) as client:
        for request in (READING, OPERATING):
            answer = await client.request(*request, headers=headers)
            assert answer.status_code == 401, headers
            assert "keys add" in answer.json()["remedy"]
        assert (await client.get("/healthz", headers=headers)).status_code == 200


# ---- the command ----------------------------------------------------------------------------------------------------


@pytest.fixture
def settings_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """API_KEYS_FILE is set."""
    monkeypatch.setenv("API_KEYS_FILE", str(file))
    return file


def test_the_command_adds_lists_and_revokes(settings_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "list"]) == 0
    assert "no keys" in capsys.readouterr().out
    assert main(["keys", "add", "console", "--scope", "read", "--scope", "operate", "--expires", "30"]) == 0
    key = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("csk_"))
    assert main(["keys", "add", "monitor", "--scope", "read"]) == 0
    capsys.readouterr()
    assert main(["keys", "list"]) == 0
    listed = capsys.readouterr().out
    assert "console" in listed
    assert "operate, read" in listed
    assert "does not expire" in listed
    assert key not in listed
    assert hash_of(key) not in listed
    ring = KeyRing(settings_file)
    assert found(ring, key)
    assert main(["keys", "revoke", "console"]) == 0
    assert found(ring, key) is None


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["revoke", "nobody"], "no key nobody"), (["add", "a b", "--scope", "read"], "no name of a key")],
)
def test_the_command_says_what_is_wrong(
    settings_file: Path, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", *arguments]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["add", "a"], ["add", "a", "--scope", "all"], ["add", "a", "--scope", "read", "--expires", "0"], []],
    ids=str,
)
def test_the_command_refuses_what_it_does_not_know(settings_file: Path, arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        main(["keys", *arguments])
    assert not settings_file.exists()


def test_the_command_needs_to_know_the_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("API_KEYS_FILE", "")
    assert main(["keys", "list"]) == 2
    assert "API_KEYS_FILE is not set" in capsys.readouterr().err


# ---- where it listens -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])  # noqa: S104
def test_without_a_valid_key_only_this_machine_is_listened_to(file: Path, host: str) -> None:
    elsewhere = Settings(api_host=host, api_keys_file=file)
    with pytest.raises(SettingsError, match="keys add"):
        check_keys(elsewhere, KeyRing(file))
    make(file, "old", lifetime=timedelta(days=1), at=datetime.now(UTC) - timedelta(days=2))
    with pytest.raises(SettingsError, match="keys add"):
        check_keys(elsewhere, KeyRing(file))
    for loopback in ("127.0.0.1", "::1", "localhost", "127.8.8.8"):
        check_keys(Settings(api_host=loopback), KeyRing(file))
    make(file, "young", lifetime=timedelta(days=1), at=datetime.now(UTC))
    check_keys(elsewhere, KeyRing(file))
    file.write_text("{")
    with pytest.raises(SettingsError, match="API_KEYS_FILE"):
        check_keys(Settings(), KeyRing(file))


def test_the_apis_socket_makes_asyncio_send_at_once() -> None:
    """What it accepts has TCP_NODELAY: asyncio sets it only where the listening socket names the protocol."""
    with bind(Settings(api_host="127.0.0.1", api_port=free_ports(1)[0])) as listener:
        assert listener.proto == socket.IPPROTO_TCP


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])  # noqa: S104
def test_production_needs_a_valid_key_even_for_this_machine(file: Path, host: str) -> None:
    settings = Settings(api_host=host, api_keys_file=file, deployment_environment=DeploymentEnvironment.PRODUCTION)
    make(file, "old", lifetime=timedelta(days=1), at=datetime.now(UTC) - timedelta(days=2))
    for keys in (KeyRing(None), KeyRing(file)):
        with pytest.raises(SettingsError, match=r"production.*keys add"):
            check_keys(settings, keys)
    make(file, "young", lifetime=timedelta(days=1), at=datetime.now(UTC))
    check_keys(settings, KeyRing(file))
