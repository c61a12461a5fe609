"""The files and folders of a service, by service manager, scope and root folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from hfdmd.wire import environment

GROUP = "hfdmd"
"""The group whose members may use the system service."""
LABEL = "hfdmd"
"""launchd's name for the job."""


class Scope(StrEnum):
    """A user's own service, or the system's."""

    USER = "user"
    SYSTEM = "system"


class Manager(StrEnum):
    """The supported service managers."""

    SYSTEMD = "systemd"
    LAUNCHD = "launchd"


def manager_of(platform: str = sys.platform) -> Manager:
    """The service manager of this platform."""
    return Manager.LAUNCHD if platform == "darwin" else Manager.SYSTEMD


@dataclass(frozen=True, slots=True)
class Folders:
    """The folders and files that the running service uses."""

    state: Path
    cache: Path | None
    """The service's own cache; None when it uses the user's, which is never deleted."""
    socket: Path
    log: Path | None = None
    """The file that launchd appends stderr to; None under systemd, which has the journal."""

    @property
    def all(self) -> tuple[Path, ...]:
        return tuple(folder for folder in (self.state, self.cache) if folder is not None)


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one kind of service. `files` maps the name of a template to the file written from it."""

    manager: Manager
    scope: Scope
    files: Mapping[str, Path]
    folders: Folders
    drop_in: Path | None = None
    """Written without a template: the variables that the service gets from the installing shell."""

    @property
    def main_file(self) -> Path:
        """The file whose presence means that the service is installed."""
        return next(iter(self.files.values()))


def layout_of(
    scope: Scope,
    *,
    manager: Manager | None = None,
    root: Path | None = None,
    env: Mapping[str, str] = os.environ,
) -> Layout:
    """The paths of a service.

    With `root` the files are below it, in the folders of packages (`/usr/lib/systemd/…`), otherwise in those of the
    administrator or the user.
    """
    manager = manager or manager_of()
    if manager is Manager.LAUNCHD:
        return _launchd(scope, root or Path("/"), env)
    if scope is Scope.SYSTEM:
        return _systemd_system(root)
    return _systemd_user(root, env)


def _systemd_system(root: Path | None) -> Layout:
    base = root / "usr/lib" if root else Path("/etc")
    units = base / "systemd/system"
    return Layout(
        Manager.SYSTEMD,
        Scope.SYSTEM,
        {
            "systemd/system/hfdmd.service": units / "hfdmd.service",
            "systemd/system/hfdmd.socket": units / "hfdmd.socket",
            "systemd/sysusers.d/hfdmd.conf": base / "sysusers.d/hfdmd.conf",
            "systemd/tmpfiles.d/hfdmd.conf": base / "tmpfiles.d/hfdmd.conf",
        },
        Folders(Path("/var/lib/hfdmd"), Path("/var/cache/hfdmd"), Path("/run/hfdmd.sock")),
    )


def _systemd_user(root: Path | None, env: Mapping[str, str]) -> Layout:
    units = root / "usr/lib/systemd/user" if root else _config_home(env) / "systemd/user"
    runtime = env.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    return Layout(
        Manager.SYSTEMD,
        Scope.USER,
        {
            "systemd/user/hfdmd.service": units / "hfdmd.service",
            "systemd/user/hfdmd.socket": units / "hfdmd.socket",
        },
        Folders(environment.state_dir(env), None, Path(runtime) / "hfdmd.sock"),
        drop_in=None if root else units / "hfdmd.service.d/10-hfdm-service-install.conf",
    )


def _launchd(scope: Scope, root: Path, env: Mapping[str, str]) -> Layout:
    if scope is Scope.SYSTEM:
        own = Path("/usr/local/var/hfdmd")
        return Layout(
            Manager.LAUNCHD,
            scope,
            {"launchd/daemon.plist": root / f"Library/LaunchDaemons/{LABEL}.plist"},
            Folders(own / "state", own / "cache", Path("/var/run/hfdmd.sock"), log=own / "hfdmd.log"),
        )
    home = environment.home(env, "HFDMD_STATE_DIR")
    agents = (root / home.relative_to("/")) / "Library/LaunchAgents"
    state = environment.state_dir(env)
    # macOS has no $XDG_RUNTIME_DIR, so the default of daemon and clients is in the state folder.
    return Layout(
        Manager.LAUNCHD,
        scope,
        {"launchd/agent.plist": agents / f"{LABEL}.plist"},
        Folders(state, None, state / "hfdmd.sock", log=state / "launchd.log"),
    )


def _config_home(env: Mapping[str, str]) -> Path:
    return environment.path(env, env.get("XDG_CONFIG_HOME") or "~/.config", "XDG_CONFIG_HOME")
