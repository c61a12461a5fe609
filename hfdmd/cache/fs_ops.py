"""File operations that the standard library lacks, and what their errors mean for a download."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from hfdmd.cache.layout import describe
from hfdmd.durable import NO_SUCH_CALL, created, disk_reason
from hfdmd.failure import Failure
from hfdmd.record import FileSpec
from hfdmd.wire.types import Reason

T = TypeVar("T")

GONE = errno.ENOENT, errno.ENOTDIR, errno.ELOOP
"""Error numbers for a file that is missing, or behind something else than a folder."""

_IN_THE_WAY = errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EEXIST, errno.ENOTEMPTY
_RENAME_NEW = ("renameatx_np", 4) if sys.platform == "darwin" else ("renameat2", 1)  # sys/stdio.h, linux/fs.h
_FICLONE = 0x40049409  # Linux: linux/fs.h
_COPY_BYTES = 64 * 1024 * 1024

Reservation = AbstractContextManager[Callable[[int], None]]
"""Disk space reserved while a copy is made. Entering it gives a function to call with the bytes not copied yet."""

Reserve = Callable[[str, Path, int], Reservation]
"""Reserves disk space for a copy: by name, on the file system of the path, in bytes. Raises `Failure` (disk_full)."""


@contextlib.contextmanager
def as_failures(what: str) -> Iterator[None]:
    """Raise an OSError as the `Failure` that it means; its detail names `what`."""
    try:
        yield
    except OSError as error:
        raise failure_of(error, what) from error


def attempt(step: Callable[[], T], spec: FileSpec) -> T | Failure:
    """The result of `step`, or why it failed; the detail names the file of `spec`."""
    try:
        return step()
    except Failure as failure:
        return failure
    except OSError as error:
        return failure_of(error, describe(spec))


def failure_of(error: OSError, what: str) -> Failure:
    """The error as disk_full, locked (too few descriptors or too little memory), path_taken or disk_error."""
    why = error.strerror or type(error).__name__
    reason = disk_reason(error)
    if reason is Reason.DISK_FULL:
        return Failure(reason, f"No room for {what}: {why}.")
    if reason is Reason.LOCKED:
        return Failure(reason, f"Too many open files or too little memory for {what} at the moment; retrying ({why}).")
    if error.errno == errno.ELOOP and error.filename is not None:
        return Failure(Reason.PATH_TAKEN, f"The path is blocked: {why}.")  # it names the link
    if error.errno in _IN_THE_WAY:
        return Failure(Reason.PATH_TAKEN, f"The path is blocked: {what}: {why}.")
    return Failure(reason, f"Cannot use {what}: {why}.")


def rename_new(source_fd: int, source: str, target_fd: int, target: str) -> None:
    """Rename without replacing an existing file. Raises FileExistsError when `target` exists, and other OSErrors.

    Not atomic on file systems without such a call: there `target` is checked first.
    """
    call, flag = _RENAME_NEW
    function = _function(call)
    number = errno.ENOSYS
    if function is not None:
        if function(source_fd, os.fsencode(source), target_fd, os.fsencode(target), flag) == 0:
            return
        number = ctypes.get_errno()
    if number not in NO_SUCH_CALL:
        raise OSError(number, os.strerror(number), target)
    if lstat(target, target_fd) is not None:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)
    os.rename(source, target, src_dir_fd=source_fd, dst_dir_fd=target_fd)


def copy_file(
    source_fd: int, target_fd: int, stopped: Callable[[], bool], reserve: Callable[[int], Reservation]
) -> bool:
    """Copy an open file into another, empty one; as a clone where possible. False when stopped.

    `reserve` reserves the disk space of a copy that is not a clone. Raises OSError, and `Failure` (disk_full).
    """
    if clone_file(source_fd, target_fd):
        return True
    size_bytes = os.fstat(source_fd).st_size
    offset = 0
    by_kernel = hasattr(os, "copy_file_range")
    with reserve(size_bytes) as set_missing:
        while not stopped():
            if by_kernel:
                try:
                    copied = os.copy_file_range(source_fd, target_fd, _COPY_BYTES, offset, offset)
                except OSError as error:
                    if error.errno not in (*NO_SUCH_CALL, errno.EXDEV, errno.EPERM):
                        raise
                    by_kernel = False
                    continue
            else:
                copied = os.pwrite(target_fd, os.pread(source_fd, 1024 * 1024, offset), offset)
            if copied == 0:
                return True
            offset += copied
            set_missing(size_bytes - offset)
    return False


def clone_file(source_fd: int, target_fd: int) -> bool:
    """Make an open, empty file a clone of another. False where the file system cannot. Raises OSError."""
    if sys.platform != "linux":
        return False
    try:
        fcntl.ioctl(target_fd, _FICLONE, source_fd)
        return True
    except OSError as error:
        if error.errno not in (*NO_SUCH_CALL, errno.EXDEV, errno.ENOTTY, errno.EPERM, errno.EBADF):
            raise
        return False


def default_mode(folder_fd: int, name: str) -> int:
    """The mode that a new file gets in this folder, by umask and default ACL. Raises OSError.

    Creates a file `name` to find out and deletes it: reading the umask is not thread-safe.
    """
    with created(name, folder_fd) as fd:
        os.unlink(name, dir_fd=folder_fd)
        return os.fstat(fd).st_mode & 0o777


def lstat(name: str, folder_fd: int) -> os.stat_result | None:
    """The state of a file or a symlink, None when it does not exist. Raises OSError."""
    try:
        return os.lstat(name, dir_fd=folder_fd)
    except FileNotFoundError:
        return None


def unlink_if_exists(path: Path | str, folder_fd: int | None = None) -> None:
    """Delete a file if it exists. Raises OSError."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        os.unlink(path, dir_fd=folder_fd)


@contextlib.contextmanager
def no_reservation(_name: str, _path: Path, _bytes: int) -> Iterator[Callable[[int], None]]:
    """A `Reserve` that reserves nothing."""
    yield lambda _: None


@lru_cache
def _function(name: str) -> Any:
    """A function of the C library, None when it does not exist."""
    return getattr(ctypes.CDLL(None, use_errno=True), name, None)
