"""`hfdm stop` and `hfdm restart`: the daemon's process."""

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
    """Stop the daemon. Downloads go on from where they are at its next start."""
    info = _running(session)
    if info is None:
        session.say("No daemon is running.")
        return NO_DAEMON
    if code := _stop(session, info):
        return code
    if session.json:
        session.out_json({"stopped": info.pid})
    session.say(f"Stopped (pid {info.pid}). Downloads go on at the next start.")
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
                service.restart(scope, session.say)  # a daemon of our own in its place would be another one
        except ServiceError as error:
            session.say(str(error))
            return FAILED
        if scope is None and (code := _stop(session, old)):
            return code
    new = session.quiet_client().hello()
    if session.json:
        session.out_json(new)
    session.say(f"hfdmd {new.version} runs (pid {new.pid}).")
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
    """Stops it and waits until it is gone; the exit code."""
    if session.url or os.environ.get("HFDMD_URL"):
        session.say("This daemon is known by a URL only, perhaps of another machine; stop it there.")
        return FAILED
    try:
        scope = installed.managed_by(info.pid)
        if scope is not None:
            service.stop(scope, session.say)  # with its socket: else the next client would start it again
            return 0
        os.kill(info.pid, signal.SIGTERM)
    except ServiceError as error:
        session.say(str(error))
        return FAILED
    except ProcessLookupError:
        return 0
    except PermissionError:
        session.say(f"The daemon (pid {info.pid}) belongs to somebody else; the system's: sudo systemctl stop hfdmd.")
        return NO_ACCESS
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while _runs(session, info.pid):
        if time.monotonic() > deadline:
            session.say(f"The daemon (pid {info.pid}) did not stop within {STOP_TIMEOUT_S:.0f} s.")
            return FAILED
        time.sleep(0.02)
    return 0


def _runs(session: Session, pid: int) -> bool:
    """Whether it still answers or exists. One that was started by a program still running may stay as a zombie."""
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
        return True  # no /proc here: it exists, and that is all that can be said
    return state != "Z"
