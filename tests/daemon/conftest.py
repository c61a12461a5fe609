from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon_process import Daemon
from tests.fakehub import HubServer
from tests.loop_disk import disk as disk


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@pytest.fixture
def daemon(hub: HubServer, tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path / "h", hub.endpoint) as running:
        yield running


@pytest.fixture
def narrow(hub: HubServer, tmp_path: Path) -> Iterator[Daemon]:
    """A daemon with one connection: it downloads one file at a time, a repo's others wait without tracker files."""
    with Daemon(tmp_path / "n", hub.endpoint, HFDMD_MAX_CONNECTIONS="1") as running:
        yield running
