"""Starts a daemon when none answers: the installed service if there is one, else `hfdmd`, detached.

The daemon survives the process that started it: it has its own session, no terminal, and writes stderr to
`<state dir>/hfdmd.log`.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hfdmd.wire.endpoint import DaemonAddress, read_endpoint
from hfdmd.wire.environment import state_dir
from hfdmd.wire.errors import ApiError, Loading
from hfdmd.wire.types import Info
from hfdmd_client import calls, installed, logfile, transport
from hfdmd_client.environment import absolute_paths
from hfdmd_client.errors import DaemonNotStarted, DaemonSilent, DaemonUnreachable
from hfdmd_client.exchange import ConnectionLost

START_TIMEOUT_S = 20.0
ALREADY_RUNNING_TIMEOUT_S = 5.0
"""How long to wait for a daemon that holds the lock: it may be starting."""
ALREADY_RUNNING = 75
_LOG_TAIL_BYTES = 4096
_LOG_TAIL_LINES = 5

Addresses = Callable[[], list[DaemonAddress]]


def forbidden() -> bool:
    """Whether `HFDMD_NO_SPAWN=1` or `HFDMD_URL` is set. A daemon at a URL is never started by a client."""
    return os.environ.get("HFDMD_NO_SPAWN", "") not in ("", "0") or bool(os.environ.get("HFDMD_URL"))


def start(error: DaemonUnreachable, addresses: Addresses, timeout_s: float) -> Info:
    """Starts a daemon and waits until it answers. Raises `error` where none may be started, else `DaemonNotStarted`.

    No second daemon is started beside one that is silent: it would end at once at the lock of the first.
    """
    if forbidden() or isinstance(error, DaemonSilent):
        raise error

    def ask() -> Info:
        return transport.send(addresses(), calls.INFO, timeout_s)

    with _one_at_a_time():
        try:
            return ask()  # another process has started one meanwhile
        except DaemonSilent:
            raise
        except (DaemonUnreachable, ConnectionLost, Loading):
            pass
        return _wait_until_ready(ask, None if installed.start() else _launch())


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """A lock: of several clients at the same time, one starts the daemon and the others wait."""
    folder = _prepared_state_dir()
    with open(folder / "spawn.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _prepared_state_dir() -> Path:
    folder = state_dir()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(13, "Permission denied", str(folder))
    except OSError as problem:
        raise DaemonNotStarted(
            f"The state folder {folder} is not writable ({problem.strerror}). Set HFDMD_STATE_DIR to a folder that is."
        ) from problem
    return folder


def program() -> list[str]:
    """The `hfdmd` script of this installation; if there is none, a call with this interpreter."""
    from hfdmd_client.service.command import ServiceError
    from hfdmd_client.service.program import find

    try:
        return [str(find())]
    except ServiceError:
        return [sys.executable, "-c", "import sys; from hfdmd.service import main; sys.exit(main())"]


def _launch() -> subprocess.Popen[bytes]:
    log = state_dir() / logfile.NAME
    logfile.rotate(log)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        process = subprocess.Popen(  # noqa: S603 - our own program, no external argument
            program(),
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            cwd="/",
            env=absolute_paths(os.environ),
            start_new_session=True,
        )
    except OSError as problem:
        raise DaemonNotStarted(f"{program()[0]} cannot be started: {problem.strerror}") from problem
    finally:
        os.close(descriptor)
    # Collects the exit code, so that the daemon does not remain as a zombie of a long-lived parent.
    threading.Thread(target=process.wait, name="hfdmd-reaper", daemon=True).start()
    return process


def _wait_until_ready(ask: Callable[[], Info], process: subprocess.Popen[bytes] | None) -> Info:
    """Waits until the daemon answers. Raises `DaemonNotStarted`, with the end of its log, when it does not."""
    began = time.monotonic()
    deadline = began + START_TIMEOUT_S
    while True:
        try:
            return ask()
        except (DaemonUnreachable, ConnectionLost, Loading) as error:
            last: ApiError | ConnectionLost = error
        code = None if process is None else process.returncode
        if code is not None and code != ALREADY_RUNNING:
            raise DaemonNotStarted(
                f"hfdmd ended at once with exit code {code}. {_log_tail()}", exit_code=code
            ) from last
        if code == ALREADY_RUNNING:
            deadline = min(deadline, began + ALREADY_RUNNING_TIMEOUT_S)
        if time.monotonic() > deadline:
            what = "hfdmd was started but does not answer." if code is None else _already_running()
            raise DaemonNotStarted(f"{what} {_log_tail()}", exit_code=code) from last
        time.sleep(0.02)


def _already_running() -> str:
    """Why a running daemon is not found. `hfdm stop` does not find it either, so the text says how to reach it."""
    known = read_endpoint(state_dir())
    where = f" at {known.socket}" if known is not None else " at another socket"
    names = [name for name in ("HFDMD_SOCKET", "HFDMD_STATE_DIR") if os.environ.get(name)]
    advice = f" To use or stop it, unset {' and '.join(names)}, or set them as in its environment." if names else ""
    return f"hfdmd is already running{where}.{advice}"


def _log_tail() -> str:
    log = state_dir() / logfile.NAME
    try:
        with open(log, "rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - _LOG_TAIL_BYTES))
            lines = stream.read().decode("utf-8", "replace").splitlines()[-_LOG_TAIL_LINES:]
    except OSError as error:
        return f"Its log {log} cannot be read: {error.strerror}."
    return f"Its log {log} ends with:\n" + "\n".join(f"  {line}" for line in lines)
