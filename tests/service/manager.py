"""The service manager's side of sd_notify."""

from __future__ import annotations

import os
import socket
import struct
import time
from pathlib import Path
from typing import Self


class NotifySocket:
    """What `$NOTIFY_SOCKET` names: a datagram socket that learns the sender's pid from the kernel."""

    def __init__(self, path: Path | None) -> None:
        """At `path`, or under an abstract name."""
        self._path = path
        self.address = str(path) if path else f"@hfdmd-test-{os.getpid()}-{time.monotonic_ns()}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def __enter__(self) -> Self:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind("\0" + self.address[1:] if self._path is None else self.address)
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def read(self, timeout_s: float = 10.0) -> tuple[int, dict[str, str]]:
        """The next message: who sent it, and what it assigns. Raises TimeoutError."""
        self._socket.settimeout(timeout_s)
        data, ancillary, _, _ = self._socket.recvmsg(65536, socket.CMSG_SPACE(12))
        pid = next(struct.unpack("3i", value)[0] for level, kind, value in ancillary if kind == socket.SCM_CREDENTIALS)
        return pid, dict(line.split("=", 1) for line in data.decode().split("\n"))

    def read_until(self, name: str, timeout_s: float = 10.0) -> tuple[int, dict[str, str]]:
        """The next message that assigns `name`, past others."""
        deadline = time.monotonic() + timeout_s
        while True:
            pid, assigned = self.read(max(0.01, deadline - time.monotonic()))
            if name in assigned:
                return pid, assigned

    def is_silent(self, name: str, for_s: float) -> bool:
        """Whether nothing that assigns `name` comes for that long."""
        try:
            self.read_until(name, for_s)
        except TimeoutError:
            return True
        return False
