"""Sizes of the randomised tests, and which tests run in one process.

`make test` tries a hundred examples each, `make test-all` thousands. A failure prints the example and how to repeat it.
"""

import os

import pytest
from hypothesis import settings
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
"""Each process of a house would compile all sources anew: a quarter of its start."""

settings.register_profile("default", max_examples=120, deadline=None, print_blob=True)
settings.register_profile("large", max_examples=3_000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

SHARED = {
    "settled": ("bad_days", "personal_data", "sample_orders", "support", "telemetry", "webhooks"),
    "warehouse": ("dangers_of_creating", "faults", "order_changes", "restarts", "warehouse"),
}
"""Houses of the session (tests/e2e/conftest.py), and the files that use them. A process that has one pays for its start
and for its idle time."""
SCOPES = {f"tests/e2e/test_{name}.py": house for house, names in SHARED.items() for name in names}


class SharedHouses(LoadFileScheduling):  # type: ignore[misc]
    """One process per file, and one for all files that share a house."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        return SCOPES.get(file, file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> SharedHouses:
    """Instead of the one that `--dist` names."""
    return SharedHouses(config, log)
