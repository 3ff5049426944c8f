"""Pair files made of pieces: an example of the documentation, laid over a whole file."""

import copy
from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    """Leaves dates and decimal numbers as text, as the pair file's own reader does."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if not tag.endswith((":timestamp", ":float"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read(text: str) -> Any:
    """YAML as values."""
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader


def merged(whole: Any, piece: Any) -> Any:
    """`whole` with the keys of `piece`: sections key by key, everything else replaced."""
    if not isinstance(whole, dict) or not isinstance(piece, dict):
        return piece
    result = copy.deepcopy(whole)
    for key, value in piece.items():
        result[key] = merged(whole[key], value) if key in whole else value
    return result
