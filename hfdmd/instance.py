"""One daemon per state folder and per cache, by kernel locks that a crash releases."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import SoftFileLock, Timeout

from hfdmd.durable import NO_LOCKS
from hfdmd.failure import Failure
from hfdmd.wire.types import Reason

log = logging.getLogger("hfdmd")


class AlreadyRunning(Failure):
    """Another daemon holds the lock. `pid` is its process, if it could be read."""

    def __init__(self, what: Path, pid: int | None, hint: str = "") -> None:
        known = f"pid {pid}" if pid is not None else "pid unknown"
        directly = f", or 'kill {pid}'" if pid is not None else ""
        detail = f"another hfdmd ({known}) already serves {what}; stop it with 'hfdm stop'{directly}{hint}"
        super().__init__(Reason.LOCKED, detail)
        self.pid = pid


@contextmanager
def instance_lock(file: Path, what: Path) -> Iterator[None]:
    """Hold a lock file, which is never deleted (else two daemons could hold it).

    In a shared cache the file may belong to another user: it is locked all the same, without writing our pid. Where the
    disk has no kernel locks, a soft lock beside it is held instead.
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
    with ExitStack() as held:
        held.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(what, _first_number(os.read(descriptor, 32))) from None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            log.warning("the disk of %s has no kernel locks (%s); a soft lock is used", what, error.strerror)
            held.enter_context(_soft_lock(file.with_name(f"{file.name}.soft"), what))
        if writable:
            os.ftruncate(descriptor, 0)
            os.write(descriptor, b"%d\n" % os.getpid())
        yield


@contextmanager
def _soft_lock(file: Path, what: Path) -> Iterator[None]:
    """Hold a file that only its holder creates and deletes. One whose process is gone from this machine is taken over.

    Raises `AlreadyRunning`, and OSError.
    """
    lock = SoftFileLock(file, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        hint = f"; if no hfdmd runs on any machine that shares this folder, delete {file}"
        raise AlreadyRunning(what, _first_number(file.read_bytes()), hint) from None
    try:
        yield
    finally:
        lock.release()


def _first_number(text: bytes) -> int | None:
    words = text.split()
    return int(words[0]) if words and words[0].isdigit() else None
