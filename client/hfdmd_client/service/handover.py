"""A daemon that `hfdm` started by itself makes room for the service: only one may run over a state folder."""

from __future__ import annotations

import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

from hfdmd.wire import endpoint
from hfdmd_client.service.errors import ServiceError

_CONNECT_TIMEOUT_S = 5.0
_STOP_TIMEOUT_S = 20.0
_POLL_S = 0.05
_SOL_LOCAL, _LOCAL_PEERPID = 0, 2  # macOS, <sys/un.h>


def stop_running(state: Path, say: Callable[[str], None]) -> None:
    """Ends the daemon of this state folder, if one runs; what it was at goes on in the next one.

    Raises ServiceError when it does not end.
    """
    known = endpoint.read_endpoint(state)
    if known is None or known.socket is None:
        return
    pid = _listener(Path(known.socket))
    if pid is None or pid != known.pid:
        return
    say(f"stopping the daemon that runs outside the service (pid {pid}); its downloads go on in the service")
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_TIMEOUT_S
    while _is_alive(pid):
        if time.monotonic() > deadline:
            raise ServiceError(f"the running daemon (pid {pid}) did not stop within {_STOP_TIMEOUT_S:.0f} s")
        time.sleep(_POLL_S)


def _listener(path: Path) -> int | None:
    """The process that listens at `path`; None if nobody does. The kernel's word, not a file's."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_CONNECT_TIMEOUT_S)
        try:
            connection.connect(str(path))
        except OSError:  # nobody there, which is what is asked
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
