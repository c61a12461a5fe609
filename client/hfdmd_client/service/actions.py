"""The installed service: start, stop, restart, status, logs.

Every function raises `ServiceError` with the reason, and reports through `say`.
"""

from __future__ import annotations

import getpass
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

from hfdmd.wire import endpoint
from hfdmd_client.service import systemd
from hfdmd_client.service.command import ServiceError
from hfdmd_client.service.launchd import Launchd
from hfdmd_client.service.layout import Layout, Manager, Scope, layout_of
from hfdmd_client.service.systemd import Systemd

Say = Callable[[str], None]

_CONNECT_TIMEOUT_S = 5.0
_STOP_TIMEOUT_S = 20.0
_POLL_S = 0.05
_SOL_LOCAL, _LOCAL_PEERPID = 0, 2  # macOS, <sys/un.h>


def start(scope: Scope, say: Say) -> None:
    """Starts it, also when systemd gave up restarting it."""
    layout = _installed(scope)
    manager = manager_for(layout)
    manager.check()
    if not manager.is_active():
        stop_running(layout.folders.state, say)
    manager.start()
    say("started")


def stop(scope: Scope, say: Say) -> None:
    """Stops daemon and socket until the next login, boot or `start`, which resumes the downloads."""
    manager = manager_for(_installed(scope))
    manager.check()
    manager.stop()
    say("stopped; it starts again at the next login or boot, or with 'hfdm service start'")


def restart(scope: Scope, say: Say) -> None:
    """Replaces the running daemon with a new one. Under systemd clients wait at the socket meanwhile."""
    manager = manager_for(_installed(scope))
    manager.check()
    manager.restart()
    say("restarted")


def status(scope: Scope, say: Say) -> bool:
    """Reports the state of the service; True when it runs, or starts at the first request."""
    layout = layout_of(scope)
    if not is_installed(layout):
        say("not installed")
        return False
    manager = manager_for(layout)
    for line in manager.describe():
        say(line)
    if scope is Scope.USER and layout.manager is Manager.SYSTEMD:
        lingers = systemd.lingers(getpass.getuser())
        say("linger: on, it runs without a login" if lingers else "linger: off, it runs while you are logged in")
    return manager.is_reachable()


def logs_command(scope: Scope, *, lines: int = 100, follow: bool = False) -> list[str]:
    """The command that shows the log; it replaces the caller's process."""
    return manager_for(layout_of(scope)).logs_command(lines, follow)


def installed_scope() -> Scope | None:
    """The scope of the installed service, by this command or by a package; the user's before the system's."""
    return next((scope for scope in Scope if is_installed(layout_of(scope))), None)


def is_installed(layout: Layout) -> bool:
    """Whether its files exist, written by the installer or by a package."""
    packaged = Path("/usr/lib/systemd", layout.scope, systemd.SERVICE)
    by_package = layout.manager is Manager.SYSTEMD and packaged.exists()
    return layout.main_file.exists() or by_package


def manager_for(layout: Layout) -> Systemd | Launchd:
    """The service manager that runs it."""
    if layout.manager is Manager.LAUNCHD:
        return Launchd(layout.scope, layout.main_file, layout.folders.log)
    return Systemd(layout.scope)


def _installed(scope: Scope) -> Layout:
    layout = layout_of(scope)
    if not is_installed(layout):
        raise ServiceError(f"no {scope} service is installed; install it with 'hfdm service install --{scope}'")
    return layout


def stop_running(state: Path, say: Say) -> None:
    """Stops a daemon that `hfdm` started over this state folder: only one may run. The next one resumes its downloads.

    Raises `ServiceError` when it does not stop.
    """
    known = endpoint.read_endpoint(state)
    if known is None or known.socket is None:
        return
    pid = _listener(Path(known.socket))
    if pid is None or pid != known.pid:
        return
    say(f"stopping the daemon that runs outside the service (pid {pid}); the service resumes its downloads")
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_TIMEOUT_S
    while _is_alive(pid):
        if time.monotonic() > deadline:
            raise ServiceError(f"the running daemon (pid {pid}) did not stop within {_STOP_TIMEOUT_S:.0f} s")
        time.sleep(_POLL_S)


def _listener(path: Path) -> int | None:
    """The process that listens at `path`, as the kernel reports it; None when there is none."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_CONNECT_TIMEOUT_S)
        try:
            connection.connect(str(path))
        except OSError:
            return None
        if sys.platform == "darwin":
            return int(connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERPID))
        pid, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return int(pid)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
