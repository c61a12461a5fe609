"""The installed service: start, stop, restart, status, logs.

Every function raises ServiceError with the reason, and reports through `say`.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable
from pathlib import Path

from hfdmd_client.service import systemd
from hfdmd_client.service.errors import ServiceError
from hfdmd_client.service.handover import stop_running
from hfdmd_client.service.launchd import Launchd
from hfdmd_client.service.layout import Layout, Manager, Scope, layout_of
from hfdmd_client.service.systemd import Systemd

Say = Callable[[str], None]


def start(scope: Scope, say: Say) -> None:
    """Starts it, also after it failed too often."""
    layout = _installed(scope)
    manager = manager_for(layout)
    manager.check()
    if not manager.is_active():
        stop_running(layout.folders.state, say)
    manager.start()
    say("started")


def stop(scope: Scope, say: Say) -> None:
    """Stops daemon and socket until the next login, boot or `start`. Downloads go on from there."""
    manager = manager_for(_installed(scope))
    manager.check()
    manager.stop()
    say("stopped; it starts again at the next login or boot, or with 'hfdm service start'")


def restart(scope: Scope, say: Say) -> None:
    """A new daemon in place of the running one. Under systemd clients wait at the socket meanwhile."""
    manager = manager_for(_installed(scope))
    manager.check()
    manager.restart()
    say("restarted")


def status(scope: Scope, say: Say) -> bool:
    """Says how the service is; True when it runs, or waits at its socket for the first request."""
    layout = layout_of(scope)
    if not is_installed(layout):
        say("not installed")
        return False
    manager = manager_for(layout)
    for line in manager.in_words():
        say(line)
    if scope is Scope.USER and layout.manager is Manager.SYSTEMD:
        lingers = systemd.lingers(getpass.getuser())
        say("linger: on, it runs without a login" if lingers else "linger: off, it runs while you are logged in")
    return manager.is_reachable()


def logs_command(scope: Scope, *, lines: int = 100, follow: bool = False) -> list[str]:
    """The command that shows the log, to be run in the caller's place."""
    return manager_for(layout_of(scope)).logs_command(lines, follow)


def installed_scope() -> Scope | None:
    """Whose service is installed here, by this command or by a package: the user's own before the system's."""
    return next((scope for scope in Scope if is_installed(layout_of(scope))), None)


def is_installed(layout: Layout) -> bool:
    """Whether its files are there, the installer's or a package's."""
    packaged = Path("/usr/lib/systemd", layout.scope, systemd.SERVICE)
    by_package = layout.manager is Manager.SYSTEMD and packaged.exists()
    return layout.main_file.exists() or by_package


def manager_for(layout: Layout) -> Systemd | Launchd:
    """Who runs the service."""
    if layout.manager is Manager.LAUNCHD:
        return Launchd(layout.scope, layout.main_file, layout.folders.log)
    return Systemd(layout.scope)


def _installed(scope: Scope) -> Layout:
    layout = layout_of(scope)
    if not is_installed(layout):
        raise ServiceError(f"no {scope} service is installed; 'hfdm service install --{scope}' does that")
    return layout
