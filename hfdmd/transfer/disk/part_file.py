"""The part file, and the threads that access it, so that a slow disk never blocks the event loop."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar, TypeVarTuple, Unpack

from hfdmd.durable import disk_reason, sync_file
from hfdmd.failure import Failure
from hfdmd.transfer.disk.direct_io import DirectWrites
from hfdmd.wire.types import Reason

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

WRITERS = 4
SYNCERS = 4
HASHERS = 2


class PartFile:
    """The file that collects the bytes of one download. Methods block (call them in threads) and raise OSError."""

    def __init__(self, path: Path) -> None:
        """Open `path`, create it if missing. OSError for a symlink or anything else that is not a plain file."""
        self.path = path
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o600)
        if not stat.S_ISREG(os.fstat(self._fd).st_mode):
            os.close(self._fd)
            raise OSError(errno.EINVAL, "not a plain file", str(path))
        self._direct = DirectWrites(self._fd)
        self.direct_bytes = 0
        """How many bytes were written past the page cache."""

    def size_bytes(self) -> int:
        return os.fstat(self._fd).st_size

    def resize(self, size_bytes: int) -> None:
        """Truncate the file, or extend it by a hole."""
        os.ftruncate(self._fd, size_bytes)

    def write(self, data: memoryview, offset: int, *, is_read_back: bool = True) -> None:
        """Write all of `data` at `offset`; past the page cache if possible, unless it `is_read_back`."""
        if not is_read_back:
            at, end = self._direct.span(data, offset)
            if at < end and self._direct.write(data[at - offset : end - offset], at):
                self.direct_bytes += end - at
                self._write(data[: at - offset], offset)
                self._write(data[end - offset :], end)
                return
        self._write(data, offset)

    def _write(self, data: memoryview, offset: int) -> None:
        while data:
            count = os.pwrite(self._fd, data, offset)
            data = data[count:]
            offset += count

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """Read at `offset`; returns the number of bytes, 0 at the end of the file."""
        return os.preadv(self._fd, [buffer], offset)

    def sync(self) -> None:
        """Return when everything written before is on stable storage."""
        sync_file(self._fd)

    def close(self) -> None:
        self._direct.close()
        os.close(self._fd)

    def delete(self) -> None:
        """Remove the file's name."""
        self.path.unlink(missing_ok=True)


class IoThreads:
    """The engine's thread pools, one for each kind of wait: writes, syncs, hashing."""

    def __init__(self) -> None:
        self.writers = ThreadPoolExecutor(WRITERS, thread_name_prefix="hfdmd-write")
        self.syncers = ThreadPoolExecutor(SYNCERS, thread_name_prefix="hfdmd-sync")
        self.hashers = ThreadPoolExecutor(HASHERS, thread_name_prefix="hfdmd-hash")

    def write(self, function: Callable[[Unpack[Ts]], T], *args: *Ts) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self.writers, function, *args)

    def sync(self, function: Callable[[Unpack[Ts]], T], *args: *Ts) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self.syncers, function, *args)

    def hash(self, function: Callable[[Unpack[Ts]], T], *args: *Ts) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self.hashers, function, *args)

    def shutdown(self) -> None:
        """Accept no more work and wait for running work."""
        for pool in (self.writers, self.syncers, self.hashers):
            pool.shutdown(wait=True, cancel_futures=True)


def disk_failure(error: OSError, doing: str) -> Failure:
    """The Failure for an error of the file system; `doing` completes "… while"."""
    text = error.strerror or str(error)
    reason = disk_reason(error)
    if reason is Reason.DISK_FULL:
        return Failure(reason, f"no space left while {doing}: {text}")
    if reason is Reason.LOCKED:
        return Failure(reason, f"too many open files or too little memory while {doing}; retrying: {text}")
    return Failure(reason, f"disk error while {doing}: {text}")
