"""One daemon per state folder and per cache, by kernel locks that a crash releases."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class AlreadyRunning(Exception):
    """Another daemon holds the lock. `pid` is its process, if it could be read."""

    def __init__(self, what: Path, pid: int | None) -> None:
        known = f"pid {pid}" if pid is not None else "pid unknown"
        directly = f", or 'kill {pid}'" if pid is not None else ""
        super().__init__(f"another hfdmd ({known}) already serves {what}; stop it with 'hfdm stop'{directly}")
        self.pid = pid


class InstanceLock:
    """A lock file that is held for the life of the daemon and never deleted (else two daemons could hold it)."""

    def __init__(self, file: Path, what: Path) -> None:
        self._file = file
        self._what = what
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock. Raises `AlreadyRunning`, and OSError if the file cannot be created.

        In a shared cache the file may belong to another user: it is locked all the same, without writing our pid.
        """
        flags = os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | flags, 0o664)
            writable = True
        except PermissionError as refused:
            try:
                descriptor = os.open(self._file, os.O_RDONLY | flags)
            except OSError:
                raise refused from None
            writable = False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.read(descriptor, 32).strip()
            os.close(descriptor)
            raise AlreadyRunning(self._what, int(text) if text.isdigit() else None) from None
        except OSError:
            os.close(descriptor)
            raise
        if writable:
            os.ftruncate(descriptor, 0)
            os.write(descriptor, b"%d\n" % os.getpid())
        self._descriptor = descriptor

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
