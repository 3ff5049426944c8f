"""A Temporal server that asks for TLS and a client certificate, and the command that prepares a namespace on it."""

import argparse
import asyncio
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
import trustme
from temporalio.client import Client

from contracts import search_attributes as attributes
from tests.support.processes import free_ports, wait_until
from workers.connect import connect, connection
from workers.namespace import make_namespace
from workers.plugin import integration_plugin
from workers.settings import Settings, SettingsError

CLI = Path(sys.executable).parent / "temporal"


@dataclass(frozen=True)
class Gatekeeper:
    """Where TLS is spoken in front of a server, and the files that get in."""

    port: int
    settings: Settings


@pytest.fixture(scope="module")
def plain_port() -> Iterator[int]:
    """An embedded server of the tests' own, without namespaces but `default`; it speaks no TLS."""
    (port,) = free_ports(1)
    command = [str(CLI), "server", "start-dev", "--headless", "--port", str(port), "--log-level", "error"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until("the server answers", lambda: cli(port, "operator", "cluster", "health") is not None, 30)
        yield port
    finally:
        server.terminate()
        server.wait(20)


def cli(port: int, *arguments: str) -> str | None:
    """What Temporal's own CLI says; None when it fails."""
    command = [str(CLI), *arguments, "--address", f"127.0.0.1:{port}"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout if result.returncode == 0 else None


@pytest_asyncio.fixture
async def gatekeeper(plain_port: int, tmp_path: Path) -> AsyncIterator[Gatekeeper]:
    """Passes on what comes over TLS with a certificate of our authority, and nothing else."""
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.verify_mode = ssl.CERT_REQUIRED
    server.set_alpn_protocols(["h2"])
    authority.issue_cert("temporal.test", key_type=trustme.KeyType.ECDSA).configure_cert(server)
    authority.configure_trust(server)
    ours = authority.issue_cert("workers.test", key_type=trustme.KeyType.ECDSA)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    ours.cert_chain_pems[0].write_to_path(tmp_path / "client.pem")
    ours.private_key_pem.write_to_path(tmp_path / "client.key")

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inside, outside = await asyncio.open_connection("127.0.0.1", plain_port)
        await asyncio.gather(copy(reader, outside), copy(inside, writer))

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while piece := await source.read(65_536):
                target.write(piece)
                await target.drain()
        except (ConnectionError, ssl.SSLError):
            pass
        finally:
            target.close()

    (port,) = free_ports(1)
    listener = await asyncio.start_server(pass_on, "127.0.0.1", port, ssl=server)
    settings = Settings(
        temporal_address=f"127.0.0.1:{port}",
        temporal_tls_server_name="temporal.test",
        temporal_tls_server_ca_cert_path=tmp_path / "ca.pem",
        temporal_tls_client_cert_path=tmp_path / "client.pem",
        temporal_tls_client_key_path=tmp_path / "client.key",
    )
    yield Gatekeeper(port, settings)
    listener.close()


async def test_a_client_certificate_gets_in_and_nothing_else_does(gatekeeper: Gatekeeper) -> None:
    client = await asyncio.wait_for(connect(gatekeeper.settings, integration_plugin()), 20)
    assert [one async for one in client.list_workflows()] == []
    without = gatekeeper.settings.model_copy(
        update={"temporal_tls_client_cert_path": None, "temporal_tls_client_key_path": None}
    )
    in_the_clear = Settings(temporal_address=gatekeeper.settings.temporal_address)
    for settings in (without, in_the_clear):
        with pytest.raises(RuntimeError, match="onnect"):
            await Client.connect(**connection(settings))


async def make(port: int, namespace: str, days: int = 90) -> None:
    """What `python -m workers namespace` does."""
    settings = Settings(temporal_address=f"127.0.0.1:{port}", temporal_namespace=namespace)
    await make_namespace(argparse.Namespace(retention_days=days), settings)


async def test_a_namespace_is_made_with_its_attributes_and_a_second_run_changes_nothing(
    plain_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    await make(plain_port, "qa", 30)
    assert "720h0m0s" in (cli(plain_port, "operator", "namespace", "describe", "-n", "qa") or "")
    listed = (cli(plain_port, "operator", "search-attribute", "list", "-n", "qa") or "").splitlines()
    types = dict(line.split() for line in listed[1:])
    for key in attributes.ALL:
        assert types[key.name] == key.indexed_value_type.name.title().replace("_", "")
    capsys.readouterr()
    await make(plain_port, "qa", 3)
    assert capsys.readouterr().out.splitlines() == [
        "Namespace qa: there already.",
        "Search attributes: all there already.",
    ]
    assert "720h0m0s" in (cli(plain_port, "operator", "namespace", "describe", "-n", "qa") or "")


async def test_an_attribute_of_another_type_is_told_with_the_remedy(plain_port: int) -> None:
    wrong = ("operator", "search-attribute", "create", "-n", "default", "--name", "Pair", "--type", "Text")
    assert cli(plain_port, *wrong) is not None
    told = (
        "^Search attribute Pair of namespace default is Text; it must be Keyword.*search-attribute remove --name Pair$"
    )
    with pytest.raises(SettingsError, match=told):
        await make(plain_port, "default")
