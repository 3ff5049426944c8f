"""What the tests of the pure code share: the demo pair and the sample orders."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from mappings.pair import Pair, load_pair
from tests.support.processes import ROOT


@pytest.fixture(scope="session")
def pair() -> Pair:
    """The demo pair."""
    return load_pair(ROOT / "mappings/pairs/demo.yaml")


SAMPLES: dict[str, dict[str, Any]] = {
    file.stem: json.loads(file.read_text("utf-8")) for file in sorted((ROOT / "sandbox/orders").glob("*.json"))
}


def sample(name: str) -> dict[str, Any]:
    """A sample order's webhook body, free to change."""
    return copy.deepcopy(SAMPLES[name])


DEMO_FILE: Path = ROOT / "mappings/pairs/demo.yaml"
