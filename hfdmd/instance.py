"""One daemon per state folder and per cache, by kernel locks that a crash releases."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class AlreadyRunning(Exception):
    """Another daemon holds the lock. `pid` is its process, if it could be read."""

    def __init__(self, what: Path, pid: int | None) -> None:
        known = f"pid {pid}" if pid is not None else "pid unknown"
        directly = f", or 'kill {pid}'" if pid is not None else ""
        super().__init__(f"another hfdmd ({known}) already serves {what}; stop it with 'hfdm stop'{directly}")
        self.pid = pid


@contextmanager
def instance_lock(file: Path, what: Path) -> Iterator[None]:
    """Hold a lock file, which is never deleted (else two daemons could hold it).

    In a shared cache the file may belong to another user: it is locked all the same, without writing our pid.
    Raises `AlreadyRunning`, and OSError if the file cannot be created.
    """
    flags = os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | flags, 0o664)
        writable = True
    except PermissionError as refused:
        try:
            descriptor = os.open(file, os.O_RDONLY | flags)
        except OSError:
            raise refused from None
        writable = False
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.read(descriptor, 32).strip()
            raise AlreadyRunning(what, int(text) if text.isdigit() else None) from None
        if writable:
            os.ftruncate(descriptor, 0)
            os.write(descriptor, b"%d\n" % os.getpid())
        yield
    finally:
        os.close(descriptor)
