"""Fixtures of the service's tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.box import HUB_URL, INSTALL, PIP, REQUIREMENT, Box
from tests.service.manager import NotifySocket

REPO = Path(__file__).resolve().parents[2]

BOX_PREFIX = "hfdmd-test-"

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
    """The service manager's notification socket, in both kinds of address."""
    with NotifySocket(folder / "notify" if request.param == "path" else None) as listening:
        yield listening


@pytest.fixture(scope="session")
def box() -> Iterator[Box]:
    """A booted system with hfdmd installed by the one documented command; the same for all tests of a run."""
    build = os.environ.get("HFDMD_TEST_BUILD")
    why = _why_no_box(build)
    if why:
        pytest.skip(f"NO BOOTED SYSTEM HERE, so nothing is shown about the real service: {why}")
    _clear_killed_runs()
    made = Box(f"{BOX_PREFIX}{os.getpid()}")
    made.up(Path(__file__).with_name("setup_box"), {"HFDMD_TEST_BUILD": str(build)})
    try:
        made.before = made.listing()
        made.path("/etc/hfdmd").mkdir(exist_ok=True)
        settings = made.path("/etc/hfdmd/environment")
        settings.write_text(f"HF_ENDPOINT={HUB_URL}\nSSL_CERT_FILE=/srv/hub/ca.pem\n")
        made.ok(*PIP, INSTALL, REQUIREMENT, timeout_s=180)
        yield made
    finally:
        made.down()


def _clear_killed_runs() -> None:
    """Ends the boxes of runs that could not do it themselves."""
    for left in Path("/run/svcbox").glob(f"{BOX_PREFIX}*"):
        if not Path("/proc", left.name.removeprefix(BOX_PREFIX)).exists():
            Box(left.name).down()


def _why_no_box(build: str | None) -> str:
    if not sys.platform.startswith("linux"):
        return "it needs Linux"
    if os.geteuid() != 0:
        return "it needs root"
    if build is None:
        return "tests/service/run makes the wheels for it"
    if shutil.which("systemctl") is None:
        return "it needs systemd: apt-get install systemd dbus libnss-systemd libpam-systemd"
    probe = subprocess.run(["unshare", "--mount", "--pid", "--net", "--fork", "true"], capture_output=True, text=True)
    return f"namespaces are closed to this process: {probe.stderr.strip()}" if probe.returncode else ""
