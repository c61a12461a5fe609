"""The blocking client is up to date with the asyncio one, and both have a method for every route of the API."""

from __future__ import annotations

import inspect
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from hfdmd.wire.routes import ROUTES, Route
from hfdmd_client import AsyncClient, Client, SettingsPatch
from hfdmd_client.calls import Call

SCRIPT = Path(__file__).parents[2] / "client/make_sync.py"
ARGUMENTS: dict[str, dict[str, Any]] = {
    "download": {"model_repo": "owner/name"},
    "plan": {"model_repo": "owner/name"},
    "reorder": {"all": True, "priority": 1},
    "delete": {"all": True},
    "progress": {"id": "1"},
    "pause": {"all": True},
    "resume": {"all": True},
    "cancel": {"all": True},
    "retry": {"all": True},
    "files": {"model_repo": "owner/name"},
    "change_settings": {"patch": SettingsPatch(bandwidth_limit=1)},
}


class Sent(Exception):
    """Raised in place of a request."""


def test_the_blocking_client_is_generated() -> None:
    pytest.importorskip("ruff")
    done = subprocess.run([sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
async def test_every_route_has_a_method(
    route: Route, kind: type[Client] | type[AsyncClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Call[Any]] = []

    def record(addresses: object, call: Call[Any], timeout_s: float) -> None:
        sent.append(call)
        raise Sent

    monkeypatch.setattr("hfdmd_client.transport.send", record)
    monkeypatch.setattr("hfdmd_client.async_transport.send", record)
    client = kind(socket="x")
    client._said_hello = True
    with suppress(Sent):
        answer = getattr(client, route.name)(**ARGUMENTS.get(route.name, {}))
        if inspect.isawaitable(answer):
            await answer
    assert [(call.method, call.target.partition("?")[0]) for call in sent] == [(route.method, route.path)]
