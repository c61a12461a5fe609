"""The part file, and the threads that access it, so that a slow disk never blocks the event loop."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar, TypeVarTuple, Unpack

from hfdmd.durable import NO_SUCH_CALL, disk_reason, lacks_inodes, sync_file
from hfdmd.failure import Failure
from hfdmd.wire.types import Reason

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

WRITERS = 4
SYNCERS = 4
HASHERS = 2
UNPACKERS = 2

UNIT_BYTES = 4096
"""Offset, length and address of a direct write are multiples of this: the supported file systems ask for no more."""
MIN_DIRECT_BYTES = 1 << 20
"""Smaller pieces go to the page cache, which merges them."""
_DIRECT_FILE_SYSTEMS = frozenset({"ext4", "xfs"})
"""File systems that write any range directly and keep it coherent with the page cache."""
_MOUNTS = Path("/proc/self/mountinfo")


class PartFile:
    """The file that collects the bytes of one download. Methods block (call them in threads) and raise OSError.

    Data that is not read back is written past the page cache (docs/decisions/0012), over a second descriptor.
    """

    def __init__(self, path: Path) -> None:
        """Open `path`, create it if missing. OSError for a symlink or anything else that is not a plain file."""
        self.path = path
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o600)
        if not stat.S_ISREG(os.fstat(self._fd).st_mode):
            os.close(self._fd)
            raise OSError(errno.EINVAL, "not a plain file", str(path))
        self._direct_fd: int | None = None
        self._tried_direct = False
        self.direct_bytes = 0
        """How many bytes were written past the page cache."""

    def size_bytes(self) -> int:
        return os.fstat(self._fd).st_size

    def resize(self, size_bytes: int) -> None:
        """Truncate the file, or extend it by a hole."""
        os.ftruncate(self._fd, size_bytes)

    def write(self, data: memoryview, offset: int, *, is_read_back: bool = True) -> None:
        """Write all of `data` at `offset`; past the page cache if possible, unless it `is_read_back`.

        For that, address and offset of `data` must be equal modulo `UNIT_BYTES`.
        """
        start = offset + -offset % UNIT_BYTES
        end = offset + len(data)
        end -= end % UNIT_BYTES
        is_direct = not is_read_back and end - start >= MIN_DIRECT_BYTES
        if is_direct and self._write_directly(data[start - offset : end - offset], start):
            self.direct_bytes += end - start
            _write(self._fd, data[: start - offset], offset)
            data, offset = data[end - offset :], end
        _write(self._fd, data, offset)

    def _write_directly(self, data: memoryview, offset: int) -> bool:
        """False: this file cannot be written directly."""
        if not self._tried_direct:
            self._tried_direct = True
            self._open_directly()
        if self._direct_fd is None:
            return False
        try:
            _write(self._direct_fd, data, offset)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            self._close_direct()  # the device needs a larger unit
            return False
        return True

    def _open_directly(self) -> None:
        flag = getattr(os, "O_DIRECT", None)
        if flag is not None and file_system_of(os.fstat(self._fd).st_dev) in _DIRECT_FILE_SYSTEMS:
            with suppress(OSError):
                self._direct_fd = os.open(f"/proc/self/fd/{self._fd}", os.O_WRONLY | os.O_CLOEXEC | flag)

    def _close_direct(self) -> None:
        if self._direct_fd is not None:
            os.close(self._direct_fd)
            self._direct_fd = None

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """Read at `offset`; returns the number of bytes, 0 at the end of the file."""
        return os.preadv(self._fd, [buffer], offset)

    def copy_from(self, fd: int, source_start: int, start: int, count: int) -> int:
        """Copy up to `count` bytes of another file; returns how many, 0 at its end.

        The kernel copies, or shares the blocks where the file system can.
        """
        if hasattr(os, "copy_file_range"):
            try:
                return os.copy_file_range(fd, self._fd, count, source_start, start)
            except OSError as error:
                if error.errno not in (*NO_SUCH_CALL, errno.EXDEV):
                    raise
        data = os.pread(fd, count, source_start)
        _write(self._fd, memoryview(data), start)
        return len(data)

    def sync(self) -> None:
        """Return when everything written before is on stable storage."""
        sync_file(self._fd)

    def close(self) -> None:
        self._close_direct()
        os.close(self._fd)

    def delete(self) -> None:
        """Remove the file's name."""
        self.path.unlink(missing_ok=True)


def _write(fd: int, data: memoryview, offset: int) -> None:
    while data:
        count = os.pwrite(fd, data, offset)
        data = data[count:]
        offset += count


def file_system_of(device: int) -> str | None:
    """The file system type of a device (`st_dev`), as Linux names it; None when it is unknown."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = _MOUNTS.read_text(errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:  # proc_pid_mountinfo(5)
        fields, separator, about = line.partition(" - ")
        if separator and fields.split()[2] == wanted:
            return about.split()[0]
    return None


class IoThreads:
    """The engine's thread pools, one for each kind of wait: writes, syncs, hashing, unpacking."""

    def __init__(self) -> None:
        self.writers = ThreadPoolExecutor(WRITERS, thread_name_prefix="hfdmd-write")
        self.syncers = ThreadPoolExecutor(SYNCERS, thread_name_prefix="hfdmd-sync")
        self.hashers = ThreadPoolExecutor(HASHERS, thread_name_prefix="hfdmd-hash")
        self.unpackers = ThreadPoolExecutor(UNPACKERS, thread_name_prefix="hfdmd-unpack")

    def write(self, function: Callable[[Unpack[Ts]], T], *args: *Ts) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self.writers, function, *args)

    async def sync(self, function: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.syncers, function, *args)

    def hash(self, function: Callable[[Unpack[Ts]], T], *args: *Ts) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self.hashers, function, *args)

    def unpack(self, function: Callable[[Unpack[Ts]], T], *args: *Ts) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self.unpackers, function, *args)

    def shutdown(self) -> None:
        """Accept no more work and wait for running work."""
        for pool in (self.writers, self.syncers, self.hashers, self.unpackers):
            pool.shutdown(wait=True, cancel_futures=True)


def disk_failure(error: OSError, doing: str) -> Failure:
    """The Failure for an error of the file system; `doing` completes "… while"."""
    text = error.strerror or str(error)
    reason = disk_reason(error)
    if reason is Reason.DISK_FULL:
        if isinstance(error.filename, str) and os.path.isabs(error.filename) and lacks_inodes(error.filename):
            folder = os.path.dirname(error.filename)
            return Failure(reason, f"no inodes are left on the disk of {folder}: no file can be created there")
        return Failure(reason, f"no space left while {doing}: {text}")
    if reason is Reason.LOCKED:
        return Failure(reason, f"too many open files or too little memory while {doing}; retrying: {text}")
    return Failure(reason, f"disk error while {doing}: {text}")
