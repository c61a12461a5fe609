"""Fixtures of the service's tests."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.manager import NotifySocket

REPO = Path(__file__).resolve().parents[2]

PYTHONS = {"protocol": sys.executable, "systemd-python": os.environ.get("HFDMD_TEST_SYSTEMD_PYTHON", "")}
"""An interpreter without systemd-python, and one with it; `tests/service/run` makes the second."""


@pytest.fixture(params=PYTHONS)
def python(request: pytest.FixtureRequest) -> str:
    """An interpreter that can import hfdmd, once without and once with systemd-python."""
    found = PYTHONS[request.param]
    if not found:
        pytest.skip(
            "HFDMD_TEST_SYSTEMD_PYTHON is not set: nothing is shown about systemd-python; use tests/service/run"
        )
    return found


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path: the name of a socket has 107 bytes at most."""
    path = Path(tempfile.mkdtemp(prefix="hfdmd-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(params=["path", "abstract"])
def notify(request: pytest.FixtureRequest, folder: Path) -> Iterator[NotifySocket]:
    """A service manager's ear, in both kinds of address."""
    with NotifySocket(folder / "notify" if request.param == "path" else None) as listening:
        yield listening
