"""`python -m workers namespace` where the server is slow to know what it made."""

import argparse
from types import SimpleNamespace
from typing import Any

import pytest
from temporalio.service import RPCError, RPCStatusCode

from workers.namespace import make_namespace
from workers.settings import Settings, SettingsError


async def test_a_namespace_that_does_not_appear_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    async def register_namespace(request: Any) -> None:
        return

    async def list_search_attributes(request: Any) -> None:
        raise RPCError("not here yet", RPCStatusCode.NOT_FOUND, b"")

    async def connect(*_: Any) -> SimpleNamespace:
        return SimpleNamespace(
            namespace="acme",
            workflow_service=SimpleNamespace(register_namespace=register_namespace),
            operator_service=SimpleNamespace(list_search_attributes=list_search_attributes),
        )

    monkeypatch.setattr("workers.namespace.connect", connect)
    monkeypatch.setattr("workers.namespace.APPEARS_SECONDS", 0.05)
    with pytest.raises(SettingsError, match=r"Namespace acme .*Run this again"):
        await make_namespace(argparse.Namespace(retention_days=30), Settings(temporal_namespace="acme"))
