from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub import HubServer
from tests.running import Daemon


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@pytest.fixture
def daemon(hub: HubServer, tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path / "h", hub.endpoint) as running:
        yield running
