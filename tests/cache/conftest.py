"""Fixtures of the cache's tests: the test Hub, and a cache to place files in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hfdmd.cache.storage import Storage
from tests.fakehub import HubServer
from tests.loop_disk import disk as disk


@pytest.fixture
def server() -> Iterator[HubServer]:
    with HubServer() as hub:
        yield hub


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    storage = Storage(tmp_path / "hub")
    storage.prepare()
    return storage


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "hub"
