"""Worker deployments: names, build ids, and whether a version may take new patches. Additive only.

A role's workers are one deployment of Temporal's Worker Versioning, and a content of code and pair files one version of
it. What a promotion decides about patches stands in the version's metadata, where its workers read it.
"""

from typing import Final

from mappings.frozen import Frozen

PATCHES: Final = "patches"
"""Key in a version's metadata; the value is a `PatchState`."""

ROLES: Final = ("orders", "sage", "clarity")
"""Roles of `python -m workers`, each a deployment of its own."""


class PatchState(Frozen):
    """Which of a version's patches (`workflow.patched`) may become active where an order has not passed them yet."""

    on: bool = False
    """All of them: the promotion is through, and from here on it goes forward only."""
    active: list[str] = []
    """These, even while the others are held back: the version before has them, too."""
    in_code: list[str] = []
    """All that the version's workflows name."""

    def allows(self, patch: str) -> bool:
        """Whether the patch may become active."""
        return self.on or patch in self.active


def deployment_name(deployment: str, role: str) -> str:
    """Name of a role's worker deployment, such as `clarity-sage100-orders`."""
    return f"{deployment}-{role}"


def role_of(deployment_name: str) -> str:
    """The role in a deployment's name."""
    return deployment_name.rpartition("-")[2]
