"""The installed service, for a client that finds no daemon: starts it, or explains why it does not run."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hfdmd.wire import environment
from hfdmd_client.errors import DaemonNotStarted

if TYPE_CHECKING:
    from hfdmd_client.service import Scope
    from hfdmd_client.service.systemd import Systemd

_SYSTEM_UNITS = (Path("/etc/systemd/system"), Path("/usr/lib/systemd/system"), Path("/lib/systemd/system"))
_USER_UNITS = (Path("/etc/systemd/user"), Path("/usr/lib/systemd/user"), Path("/usr/local/lib/systemd/user"))


def start() -> bool:
    """Starts the service of this environment; False when none is installed. Raises `DaemonNotStarted`.

    A failed unit is not started again, and no other daemon in its place, which would hide the failure.
    """
    if os.environ.get("HFDMD_SOCKET") or os.environ.get("HFDMD_STATE_DIR"):
        return False  # this environment has a daemon of its own
    return _launchd() if sys.platform == "darwin" else _systemd()


def _systemd() -> bool:
    from hfdmd_client.service import Scope, ServiceError
    from hfdmd_client.service.systemd import Systemd

    if not _runs_systemd():
        return False
    try:
        system = Systemd(Scope.SYSTEM)
        if _has_unit(_SYSTEM_UNITS):
            _refuse_failed(system)
        user = Systemd(Scope.USER)
        if not _has_unit([*_own_units(), *_USER_UNITS]):
            return False
        user.check()
        _refuse_failed(user)
        user.start()
    except ServiceError as error:
        raise DaemonNotStarted(f"The installed service cannot be started: {error}") from error
    return True


def _runs_systemd() -> bool:
    """Whether systemd runs this machine. Source: sd_booted(3)."""
    return Path("/run/systemd/system").is_dir()


def _refuse_failed(manager: Systemd) -> None:
    if failed := _failed(manager):
        raise DaemonNotStarted(
            f"The installed service has failed ({' and '.join(failed)}), so no other daemon is started in its place."
            f" `hfdm service logs` says why. After fixing the cause:\n  {restart_command(manager.scope)}"
        )


def _failed(manager: Systemd) -> list[str]:
    return [unit for unit in ("hfdmd.socket", "hfdmd.service") if manager.show(unit).get("ActiveState") == "failed"]


def failed_units(scope: Scope) -> list[str]:
    """The failed units of the installed service; none where systemd does not run. Raises `ServiceError`."""
    from hfdmd_client.service.systemd import Systemd

    return _failed(Systemd(scope)) if _runs_systemd() else []


def restart_command(scope: Scope) -> str:
    """The command that restarts a failed service, once the cause is fixed."""
    from hfdmd_client.service import Scope
    from hfdmd_client.service.systemd import Systemd

    sudo = "sudo " if scope is Scope.SYSTEM else ""
    return " && ".join(sudo + part for part in Systemd(scope).restart_command.split(" && "))


def _has_unit(folders: list[Path] | tuple[Path, ...]) -> bool:
    return any((folder / "hfdmd.socket").exists() for folder in folders)


def _own_units() -> list[Path]:
    """The user's own folder of units; none for a user without a home folder."""
    try:
        config = environment.path(os.environ, os.environ.get("XDG_CONFIG_HOME") or "~/.config", "XDG_CONFIG_HOME")
    except environment.EnvironmentProblem:
        return []
    return [config / "systemd/user"]


def _launchd() -> bool:
    from hfdmd_client.service import Scope, ServiceError
    from hfdmd_client.service.launchd import Launchd
    from hfdmd_client.service.layout import Manager, layout_of

    plist = next(iter(layout_of(Scope.USER, manager=Manager.LAUNCHD).files.values()))
    if not plist.exists():
        return False
    try:
        Launchd(Scope.USER, plist).start()
    except ServiceError as error:
        raise DaemonNotStarted(f"The installed LaunchAgent cannot be started: {error}") from error
    return True


def managed_by(pid: int) -> Scope | None:
    """The scope of the service whose main process is `pid`; None when it is not a service. Raises `ServiceError`."""
    from hfdmd_client.service import Scope

    for scope in Scope:
        if pid == _main_pid(scope):
            return scope
    return None


def _main_pid(scope: Scope) -> int | None:
    from hfdmd_client.service.launchd import Launchd
    from hfdmd_client.service.layout import Manager, layout_of
    from hfdmd_client.service.systemd import Systemd

    layout = layout_of(scope)
    if layout.manager is Manager.LAUNCHD:
        lines = Launchd(scope, next(iter(layout.files.values()))).describe()
        found = next((line.rpartition("=")[2].strip() for line in lines if line.startswith("pid =")), "")
    elif _runs_systemd():
        found = Systemd(scope).show().get("MainPID", "")
    else:
        found = ""
    return int(found) if found.isdecimal() and found != "0" else None
