"""`make image`: build the container image with podman and take an order through the processes of docker-compose.yml.

In: podman, a base image (BASE_IMAGE, default: the Dockerfile's), the embedded Temporal server. Out: the image
`clarity-sage100:local`; the services of the compose file with their commands, settings, secrets, mounts and
restrictions, on this machine's network with free ports; one order from webhook to complete; exit status 0.
`python -m tests.image --no-build` uses the image as it is. Flags for podman: PODMAN_FLAGS, PODMAN_BUILD_FLAGS.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.support.processes import ROOT, answers, free_ports, wait_until
from workers.__main__ import build_parser
from workers.demo import Demo
from workers.settings import Settings

IMAGE = "localhost/clarity-sage100:local"
ORDER = ROOT / "sandbox" / "orders" / "01-consumer-new.json"
NAMESPACE = "image"
SERVICES = 10
"""So many are started, jobs among them; each shows metrics at two addresses of its own."""
HOSTS = ("0.0.0.0", "127.0.0.1")  # noqa: S104
LIMITS = ("--ulimit", "nofile=16384:16384", "--ulimit", "nproc=4096:4096")
"""Else podman asks for more than a container without privileges may have."""


def podman(*arguments: str, deadline: float = 180) -> str:
    """Run podman; what it printed. Raises CalledProcessError with its own words on standard error."""
    command = ["podman", *shlex.split(os.environ.get("PODMAN_FLAGS", "--runtime runc")), *arguments]
    return subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=deadline
    ).stdout.strip()


def build() -> None:
    """The image, without any step that needs more rights than this shell has."""
    flags = shlex.split(os.environ.get("PODMAN_BUILD_FLAGS", "--isolation chroot --layers=false"))
    base = os.environ.get("BASE_IMAGE")
    given = ["--build-arg", f"BASE_IMAGE={base}"] if base else []
    podman("build", *flags, *given, "--network", "host", "--tag", IMAGE, ".", deadline=1_800)


class Services:
    """Services of docker-compose.yml as containers on this machine's own network."""

    def __init__(self, folder: Path) -> None:
        self.temporal, self.ui, self.api, self.sage, self.clarity, *self.metrics = free_ports(5 + 2 * SERVICES)
        self.name = f"image-test-{os.getpid()}"
        self.secrets = folder / "secrets"
        subprocess.run(["sh", "deploy/secrets.sh", "sandbox", str(self.secrets)], cwd=ROOT, check=True)
        self.started: list[str] = []
        self.metrics_of: dict[str, tuple[int, int]] = {}
        self.volumes: set[str] = set()

    def here(self, text: str, metrics: Sequence[int] = ()) -> str:
        """A text of the compose file with this machine's places instead of the names of containers."""
        places = {
            "temporal:7233": f"127.0.0.1:{self.temporal}",
            "sandbox:8090": f"127.0.0.1:{self.sage}",
            "sandbox:8091": f"127.0.0.1:{self.clarity}",
            "//api:8080": f"//127.0.0.1:{self.api}",
            "127.0.0.1:8080": f"127.0.0.1:{self.api}",
            "(8090, 8091)": f"({self.sage}, {self.clarity})",
            **{f"{host}:{9464 + place}": f"127.0.0.1:{port}" for host in HOSTS for place, port in enumerate(metrics)},
            "${TEMPORAL_NAMESPACE:-default}": NAMESPACE,
            "${SECRETS_FOLDER:-./secrets}": str(self.secrets),
            "http://otel-collector:4318": "",
        }
        for there, ours in places.items():
            text = text.replace(there, ours)
        text = re.sub(r"\$\{[A-Z0-9_]+:-([^}]*)\}", r"\1", text)
        return "127.0.0.1" if text == "0.0.0.0" else text  # noqa: S104

    def arguments(self, service: str, metrics: Sequence[int]) -> list[str]:
        """Flags, image and command of a service, as the compose file says."""
        one: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"][service]
        environment = dict(
            line.split("=", 1)
            for line in (ROOT / "deploy/sandbox.env").read_text("utf-8").splitlines()
            if not line.startswith(("#", "COMPOSE_"))
        )
        environment |= one.get("environment", {})
        environment |= {"SANDBOX_SAGE_PORT": str(self.sage), "SANDBOX_CLARITY_PORT": str(self.clarity)}
        if "API_PORT" in environment:
            environment["API_PORT"] = str(self.api)
        flags = ["--network", "host", *LIMITS, "--memory", one["deploy"]["resources"]["limits"]["memory"]]
        flags += [
            part for name, value in environment.items() for part in ("--env", f"{name}={self.here(value, metrics)}")
        ]
        flags += ["--read-only"] if one["read_only"] else []
        flags += [part for name in one["cap_drop"] for part in ("--cap-drop", name)]
        flags += [part for name in one["security_opt"] for part in ("--security-opt", name.replace(":true", ""))]
        flags += [part for name in one["tmpfs"] for part in ("--tmpfs", name)]
        for volume in one.get("volumes", []):
            if isinstance(volume, dict):
                source = Path(ROOT, self.here(volume["source"]))
                flags += ["--volume", f"{source}:{volume['target']}:ro"]
            else:
                name, target = volume.split(":")
                self.volumes.add(f"{self.name}-{name}")
                flags += ["--volume", f"{self.name}-{name}:{target}"]
        return [*flags, IMAGE, *(self.here(part) for part in one["command"])]

    def job(self, service: str) -> str:
        """Run a service to its end; what it printed. Raises AssertionError when it failed."""
        name = self.start(service)
        status = int(podman("wait", name))
        said = podman("logs", name)
        assert status == 0, f"{service} ended with {status}"
        podman("rm", name)
        self.started.remove(name)
        return said

    def start(self, service: str) -> str:
        """Start a service that stays; its container's name."""
        name = f"{self.name}-{service}"
        metrics = self.metrics_of[service] = self.metrics.pop(), self.metrics.pop()
        podman("run", "--detach", "--name", name, *self.arguments(service, metrics))
        self.started.append(name)
        return name

    def is_healthy(self, service: str) -> bool:
        """Whether the health check of the compose file, run in the container, succeeds."""
        one = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"][service]
        command = [self.here(part, self.metrics_of[service]) for part in one["healthcheck"]["test"][1:]]
        try:
            podman("exec", f"{self.name}-{service}", *command)
        except subprocess.CalledProcessError:
            return False
        return True

    def stop(self) -> dict[str, int]:
        """Stop everything in turn; the exit status of each."""
        statuses = {}
        for name in reversed(self.started):
            podman("stop", "--time", "45", name)
            statuses[name.removeprefix(f"{self.name}-")] = int(
                podman("inspect", "--format", "{{.State.ExitCode}}", name)
            )
        return statuses

    def remove(self) -> None:
        """Leave nothing behind."""
        for name in self.started:
            podman("rm", "--force", "--time", "5", name)
        for name in self.volumes:
            podman("volume", "rm", "--force", name)


def temporal_command(services: Services, folder: Path) -> list[str]:
    """The embedded server, as `make run` starts it."""
    ports = ["--temporal-port", str(services.temporal), "--ui-port", str(services.ui), "--var", str(folder)]
    return Demo(build_parser().parse_args(["demo", *ports]), Settings()).temporal_command()


def take_an_order(services: Services) -> None:
    """From the first container to the order's last state; raises AssertionError or CalledProcessError."""
    wait_until("Temporal is up", lambda: answers(f"http://127.0.0.1:{services.ui}"), 60)
    print(services.job("namespace"))
    key = services.job("sandbox-key")
    found = re.search(r"csk_\S+", key)
    assert found, f"no key was made: {key}"
    headers = {"X-API-Key": found[0]}
    services.job("schedules")
    for service in ("sandbox", "api", "orders", "sage", "clarity"):
        services.start(service)
    wait_until("the API's health check succeeds", lambda: services.is_healthy("api"), 60)
    wait_until("the sandbox's health check succeeds", lambda: services.is_healthy("sandbox"), 60)
    api = f"http://127.0.0.1:{services.api}"
    wait_until("the API is ready", lambda: answers(f"{api}/readyz"), 60)
    body = json.loads(ORDER.read_text("utf-8"))
    order_id = yaml.safe_load((ROOT / "sandbox/expected.yaml").read_text("utf-8"))["orders"][ORDER.stem]["order_id"]
    httpx.post(f"http://127.0.0.1:{services.clarity}/_control/orders", json=body, timeout=10).raise_for_status()

    def state() -> str:
        view = httpx.get(f"{api}/orders/demo/{order_id}", headers=headers, timeout=10)
        return str((view.json().get("order") or {}).get("state", ""))

    wait_until(f"order {order_id} is complete", lambda: state() == "complete", 180)
    print(f"order {order_id} is complete")
    for service in ("orders", "sage", "clarity"):
        assert services.is_healthy(service), f"the health check of {service} fails"


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.image", description=__doc__)
    parser.add_argument("--no-build", action="store_true", help="use the image as it is")
    options = parser.parse_args(arguments)
    if shutil.which("podman") is None:
        print("podman is not installed. On Debian and Ubuntu: sudo apt-get install podman runc", file=sys.stderr)
        return 1
    if not options.no_build:
        build()
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        services = Services(folder)
        with (folder / "temporal.log").open("wb") as log:
            server = subprocess.Popen(temporal_command(services, folder), stdout=log, stderr=subprocess.STDOUT)
        try:
            take_an_order(services)
            statuses = services.stop()
            print("exit statuses:", ", ".join(f"{name} {status}" for name, status in statuses.items()))
            return int(any(statuses.values()))
        except (AssertionError, subprocess.SubprocessError) as error:
            print(f"image: {error}", file=sys.stderr)
            for name in services.started:
                print(f"---- {name}", file=sys.stderr)
                subprocess.run(
                    ["podman", *shlex.split(os.environ.get("PODMAN_FLAGS", "")), "logs", "--tail", "20", name],
                    stdout=sys.stderr,
                    check=False,
                )
            return 1
        finally:
            services.remove()
            server.terminate()
            server.wait(20)


if __name__ == "__main__":
    sys.exit(main())
