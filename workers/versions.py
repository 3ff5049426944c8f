"""Worker Versioning: which version this code is, and how its workers hold new patches back until it is promoted.

In: WORKER_DEPLOYMENT and WORKER_BUILD_ID; the files of our packages and the pair files; the version's metadata on the
server. Out: `Versioning`, of which the workers take their options. Without WORKER_DEPLOYMENT there is none of it: with
versions and no current one nothing runs, so the embedded default has none.
"""

import ast
import asyncio
import hashlib
import importlib
import logging
import pkgutil
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from temporalio.api.deployment.v1 import WorkerDeploymentVersion as VersionMessage
from temporalio.api.workflowservice.v1 import DescribeWorkerDeploymentVersionRequest
from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import PatchActivationInput, WorkerDeploymentConfig

import workflows
from contracts.deployments import PATCHES, PatchState, deployment_name
from mappings.pair import Pair
from workers.settings import Settings

log = logging.getLogger(__name__)

ROOT: Final = Path(__file__).parents[1]
PACKAGES: Final = ("activities", "connectors", "contracts", "mappings", "workers", "workflows")
"""What a worker runs; their Python files make the code's half of the build id."""
READ_EVERY_SECONDS: Final = 10.0
READ_LIMIT_SECONDS: Final = 5.0


def build_id(settings: Settings, pairs: Mapping[str, Pair]) -> str:
    """WORKER_BUILD_ID, else `{code}-{mapping}`: eight digits each of the hashes of our packages and the pair files."""
    return settings.worker_build_id or f"{code_version(ROOT)}-{mapping_version(pairs)}"


@cache
def code_version(root: Path) -> str:
    """Eight digits of a hash of our packages' Python files; line ends do not count."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        for file in sorted((root / package).rglob("*.py")):
            content = file.read_bytes().replace(b"\r\n", b"\n")
            digest.update(f"{file.relative_to(root).as_posix()} {len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest()[:8]


def mapping_version(pairs: Mapping[str, Pair]) -> str:
    """Eight digits of a hash of all pair files."""
    versions = " ".join(f"{name}:{pair.version}" for name, pair in sorted(pairs.items()))
    return hashlib.sha256(versions.encode()).hexdigest()[:8]


def patches_in_code() -> list[str]:
    """The names that our workflows give to `workflow.patched`, sorted; raises TypeError for one that is no constant."""
    return sorted({patch for module in _modules() for patch in _patches_of(module)})


def _modules() -> Iterator[Any]:
    for found in pkgutil.iter_modules(workflows.__path__):
        yield importlib.import_module(f"workflows.{found.name}")


def _patches_of(module: Any) -> Iterator[str]:
    for node in ast.walk(ast.parse(Path(module.__file__).read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "patched":
            (name,) = node.args
            value = getattr(module, name.id, None) if isinstance(name, ast.Name) else getattr(name, "value", None)
            if not isinstance(value, str):
                raise TypeError(f"{module.__name__}:{node.lineno}: a patch's name is a constant of its module")
            yield value


class Versioning:
    """One role's version, and which patches its workers may take.

    The workers only ever look at what was read last: a workflow task never waits for the server. Until something was
    read, and for a version of which no promotion said anything, patches are held back: that is always safe, as the
    path without a patch is the one of the version before.
    """

    def __init__(self, client: Client, settings: Settings, role: str, pairs: Mapping[str, Pair]) -> None:
        self.version = WorkerDeploymentVersion(
            deployment_name=deployment_name(settings.worker_deployment, role), build_id=build_id(settings, pairs)
        )
        self.state = PatchState()
        self._client = client

    def options(self) -> dict[str, Any]:
        """Of a worker of activities.

        Whatever runs goes on with the current version when its next task comes: nobody has to keep old workers until
        the last order of theirs, weeks later, has ended.
        """
        config = WorkerDeploymentConfig(
            version=self.version,
            use_worker_versioning=True,
            default_versioning_behavior=VersioningBehavior.AUTO_UPGRADE,
        )
        return {"deployment_config": config}

    def workflow_options(self) -> dict[str, Any]:
        """Of a worker of workflows."""
        return {**self.options(), "patch_activation_callback": self.allows}

    def allows(self, patch: PatchActivationInput) -> bool:
        """Whether a patch becomes active where a workflow comes upon it for the first time."""
        return self.state.allows(patch.patch_id)

    async def run(self) -> None:
        """Read the version's metadata again and again, until cancelled."""
        while True:
            await self.read()
            await asyncio.sleep(READ_EVERY_SECONDS)

    async def read(self) -> None:
        """Once; what cannot be read leaves what is known."""
        try:
            async with asyncio.timeout(READ_LIMIT_SECONDS):
                state = await read_patch_state(self._client, self.version)
        except (RPCError, RuntimeError, TimeoutError) as error:
            log.warning("%s: whether patches are on could not be read: %s", self.name, type(error).__name__)
            return
        if state != self.state:
            log.info("%s: new patches are %s", self.name, "on" if state.on else "held back")
        self.state = state

    @property
    def name(self) -> str:
        """For people: `clarity-sage100-orders build 1a2b3c4d-5e6f7a8b`."""
        return f"{self.version.deployment_name} build {self.version.build_id}"


async def read_patch_state(client: Client, version: WorkerDeploymentVersion) -> PatchState:
    """What a promotion has said about a version's patches; nothing for a version that is not known yet."""
    request = DescribeWorkerDeploymentVersionRequest(
        namespace=client.namespace,
        deployment_version=VersionMessage(deployment_name=version.deployment_name, build_id=version.build_id),
    )
    try:
        answer = await client.workflow_service.describe_worker_deployment_version(request, retry=True)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return PatchState()
        raise
    entry = answer.worker_deployment_version_info.metadata.entries.get(PATCHES)
    try:
        return PatchState.model_validate_json(entry.data) if entry is not None else PatchState()
    except ValidationError:
        log.warning("The metadata %r of version %s cannot be read: patches are held back", PATCHES, version.build_id)
        return PatchState()
