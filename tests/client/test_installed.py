"""Spawning beside an installed service: the unit is preferred, a failed one is not hidden by a second daemon."""

from __future__ import annotations

from pathlib import Path

import pytest

from hfdmd_client import installed
from hfdmd_client.errors import DaemonNotStarted
from tests.client.conftest import Hfdm

SYSTEMCTL = """#!/bin/sh
echo "$@" >> "$SYSTEMCTL_LOG"
case "$*" in
  *show*) echo "LoadState=loaded"; echo "ActiveState=$UNIT_STATE"; echo "MainPID=0"; echo "Result=exit-code" ;;
esac
"""


@pytest.fixture
def with_unit(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with systemd, on which the user's own service is installed; `systemctl` records its arguments."""
    programs = home / "bin"
    programs.mkdir()
    (programs / "systemctl").write_text(SYSTEMCTL)
    (programs / "systemctl").chmod(0o755)
    units = home / ".config" / "systemd" / "user"
    units.mkdir(parents=True)
    (units / "hfdmd.socket").touch()
    log = home / "systemctl.log"
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("SYSTEMCTL_LOG", str(log))
    for name in ("HFDMD_SOCKET", "HFDMD_STATE_DIR", "XDG_CONFIG_HOME", "SUDO_USER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(installed, "_runs_systemd", lambda: True)
    monkeypatch.setattr("hfdmd_client.service.systemd.Systemd.check", lambda self: None)
    monkeypatch.setattr(installed, "_SYSTEM_UNITS", ())
    return log


def test_the_unit_is_started_instead_of_a_daemon(with_unit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNIT_STATE", "inactive")
    assert installed.start()
    assert "--user start hfdmd.socket hfdmd.service" in with_unit.read_text()


def test_a_failed_unit_says_what_to_do(with_unit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNIT_STATE", "failed")
    with pytest.raises(DaemonNotStarted) as caught:
        installed.start()
    assert "systemctl --user reset-failed hfdmd.service hfdmd.socket" in caught.value.detail
    assert "start " not in with_unit.read_text()


def test_an_environment_of_its_own_means_a_daemon_of_its_own(with_unit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HFDMD_STATE_DIR", "/elsewhere")
    assert not installed.start()
    assert not with_unit.exists()


def test_no_unit_no_service(lone_hfdm: Hfdm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(lone_hfdm.home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setattr(installed, "_runs_systemd", lambda: True)
    monkeypatch.setattr(installed, "_SYSTEM_UNITS", ())
    assert not installed.start()
