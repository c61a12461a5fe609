"""`hfdm stop` and `hfdm restart`."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import click

from hfdmd.wire.types import Info
from hfdmd_client import installed, service
from hfdmd_client.cli.session import FAILED, NO_ACCESS, NO_DAEMON, Session, standard
from hfdmd_client.errors import DaemonSilent, DaemonUnreachable
from hfdmd_client.exchange import ConnectionLost
from hfdmd_client.service import ServiceError

STOP_TIMEOUT_S = 15.0


@click.command()
@standard
def stop(session: Session) -> int:
    """Stop the daemon. Downloads resume at its next start."""
    info = _running(session)
    if info is None:
        session.say("No daemon is running.")
        return NO_DAEMON
    if code := _stop(session, info):
        return code
    if session.json:
        session.out_json({"stopped": info.pid})
    session.say(f"Stopped (pid {info.pid}). Downloads resume at the next start.")
    return 0


@click.command()
@standard
def restart(session: Session) -> int:
    """Stop the daemon and start it again, for example after an upgrade."""
    old = _running(session)
    if old is None:
        session.say("No daemon was running; starting one.")
    else:
        try:
            scope = None if session.url or os.environ.get("HFDMD_URL") else installed.managed_by(old.pid)
            if scope is not None:
                service.restart(scope, session.say)  # not a detached daemon in place of the service
        except ServiceError as error:
            session.say(str(error))
            return FAILED
        if scope is None and (code := _stop(session, old)):
            return code
    new = session.quiet_client().hello()
    if session.json:
        session.out_json(new)
    session.say(f"hfdmd {new.version} is running (pid {new.pid}).")
    return 0


def _running(session: Session) -> Info | None:
    """The running daemon, whatever its version; None when there is none. Raises `DaemonSilent`."""
    try:
        return session.quiet_client(spawn=False).hello(any_version=True)
    except DaemonSilent:
        raise
    except DaemonUnreachable:
        return None


def _stop(session: Session, info: Info) -> int:
    """Stops the daemon and waits until its process has ended; the exit code."""
    if session.url or os.environ.get("HFDMD_URL"):
        session.say("This daemon is at a URL, perhaps on another machine; stop it there.")
        return FAILED
    try:
        scope = installed.managed_by(info.pid)
        if scope is not None:
            service.stop(scope, session.say)  # also its socket, which would start it again for the next client
            return 0
        os.kill(info.pid, signal.SIGTERM)
    except ServiceError as error:
        session.say(str(error))
        return FAILED
    except ProcessLookupError:
        return 0
    except PermissionError:
        session.say(
            f"The daemon (pid {info.pid}) belongs to another user. For the system service: sudo systemctl stop hfdmd."
        )
        return NO_ACCESS
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while _is_running(session, info.pid):
        if time.monotonic() > deadline:
            session.say(f"The daemon (pid {info.pid}) did not stop within {STOP_TIMEOUT_S:.0f} s.")
            return FAILED
        time.sleep(0.02)
    return 0


def _is_running(session: Session, pid: int) -> bool:
    """Whether it answers, or its process exists. A zombie (its parent is still running) does not count."""
    try:
        if session.quiet_client(spawn=False).info().pid == pid:
            return True
    except (DaemonUnreachable, ConnectionLost):
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True  # no /proc on this system: the process exists
    return state != "Z"
