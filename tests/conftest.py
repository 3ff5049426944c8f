"""Sizes of the randomised tests, and which tests run in one process.

`make test` tries a hundred examples each, `make test-all` thousands. A failure prints the example and how to repeat it.
"""

import os

import pytest
from hypothesis import settings

settings.register_profile("default", max_examples=120, deadline=None, print_blob=True)
settings.register_profile("large", max_examples=3_000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

SHARED = ("warehouse", "settled")
"""Houses of the session (tests/e2e/conftest.py): each process that has one pays for its start and for its idle time."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One process per file, and one for all tests that share a house (`--dist loadgroup` reads the mark)."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group(next((name for name in SHARED if name in fixtures), str(item.path))))
