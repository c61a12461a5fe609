"""Writes files durably and syncs them, on Linux and macOS; what the errors of a disk mean for a download."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hfdmd.wire.types import Reason

if sys.platform == "darwin":
    import fcntl

NO_SUCH_CALL = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)
"""Error numbers of a system call that the kernel or the file system does not support."""

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_MAX_SINGLE_SYNCS = 4
_BUFFER_BYTES = 1 << 20

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def disk_reason(error: OSError) -> Reason:
    """Why a download fails or waits after this error: disk_full, locked or disk_error.

    Too few descriptors or too little memory is `locked`: other programs release them again (docs/decisions/0018).
    """
    if error.errno in _NO_SPACE:
        return Reason.DISK_FULL
    return Reason.LOCKED if error.errno in _SCARCE else Reason.DISK_ERROR


def write_all(fd: int, data: bytes | bytearray) -> None:
    """Write all of `data`, in as many writes as needed. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def open_new(name: str | Path, folder_fd: int | None = None, mode: int = 0o666) -> int:
    """Create an empty file and return its descriptor. A file left under that name by a crash is replaced.

    The umask applies to `mode`. Raises OSError.
    """
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(name, flags, mode, dir_fd=folder_fd)
    except FileExistsError:
        os.unlink(name, dir_fd=folder_fd)
        return os.open(name, flags, mode, dir_fd=folder_fd)


def replace_file(path: Path, parts: Iterable[bytes], mode: int = 0o666) -> None:
    """Replace the content of one of the daemon's own files atomically and durably, through a temporary file.

    After a crash the file has either the old or the new content. Raises OSError; then the old content is kept, unless
    only the sync of the folder failed.
    """
    temporary = path.with_suffix(".tmp")
    try:
        with open(open_new(temporary, mode=mode), "wb", buffering=_BUFFER_BYTES) as file:
            file.writelines(parts)
            file.flush()
            sync_file(file.fileno())
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync_folder_at(path.parent)


def sync_file(fd: int) -> None:
    """Sync the data of an open file and what is needed to read it back. Raises OSError.

    On macOS `fsync` leaves the data in the drive's cache; F_FULLFSYNC does not (fcntl(2) of macOS).
    """
    if sys.platform == "darwin":
        try:
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
        except OSError as error:
            if error.errno not in NO_SUCH_CALL:
                raise
            os.fsync(fd)
    else:
        os.fdatasync(fd)


def sync_folder(fd: int) -> None:
    """Sync an open folder, so that names created, renamed or removed in it survive a crash. Raises OSError.

    File systems that cannot sync folders (some network file systems) are accepted: the server keeps the names.
    """
    try:
        if sys.platform == "darwin":
            sync_file(fd)
        else:
            os.fsync(fd)
    except OSError as error:
        if error.errno not in (*NO_SUCH_CALL, errno.EBADF):
            raise


def sync_folder_at(folder: Path) -> None:
    """`sync_folder` for a path. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync_folder(fd)
    finally:
        os.close(fd)


def sync_files(folder_fd: int, names: Sequence[str]) -> None:
    """Sync many files of one folder: with one sync of the file system, or several at a time. Raises OSError."""
    if len(names) > _MAX_SINGLE_SYNCS and sync_file_system(folder_fd):
        return
    # macOS: the full sync of the last file empties the drive's cache of all that were synced before
    sync = os.fsync if sys.platform == "darwin" else sync_file
    with ThreadPoolExecutor(max_workers=8) as threads:
        for done in [threads.submit(_sync_name, folder_fd, name, sync) for name in names[:-1]]:
            done.result()
    for name in names[-1:]:
        _sync_name(folder_fd, name, sync_file)


def _sync_name(folder_fd: int, name: str, sync: Callable[[int], None]) -> None:
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder_fd)
    try:
        sync(fd)
    finally:
        os.close(fd)


def sync_paths(paths: Sequence[str]) -> None:
    """Sync files anywhere on one file system. Links are followed, missing files skipped. Raises OSError."""
    for path in paths:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            continue
        try:
            if len(paths) > _MAX_SINGLE_SYNCS and sync_file_system(fd):
                return
            sync_file(fd)
        finally:
            os.close(fd)


def sync_file_system(fd: int) -> bool:
    """Sync the whole file system that `fd` is on: far cheaper than one sync per file of a batch.

    False where syncfs(2), which is Linux only, is not supported. Raises OSError.
    """
    if _libc is None:
        return False
    if _libc.syncfs(fd) != 0:
        number = ctypes.get_errno()
        if number in NO_SUCH_CALL:
            return False
        raise OSError(number, os.strerror(number))
    return True
