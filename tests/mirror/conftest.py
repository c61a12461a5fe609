"""Fixtures: the test Hub, and olah in front of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakehub import HubServer
from tests.mirror.olah import NotInstalled, installed, mirror


@dataclass(frozen=True)
class Mirrored:
    """The Hub, and the endpoint of the mirror in front of it."""

    hub: HubServer
    endpoint: str


@pytest.fixture(scope="session")
def olah_python() -> Path:
    """The Python of olah's virtual environment; skips with the reason if olah can't be installed."""
    try:
        return installed()
    except NotInstalled as problem:
        pytest.skip(f"NOT TESTED against a second Hub: {problem}")


@pytest.fixture
def mirrored(olah_python: Path, tmp_path: Path) -> Iterator[Mirrored]:
    """A running, empty Hub with olah in front."""
    with HubServer() as hub, mirror(olah_python, hub.endpoint, hub.cdn_url, tmp_path / "olah") as endpoint:
        yield Mirrored(hub, endpoint)
