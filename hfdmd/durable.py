"""Making sure that what was written is on disk. One place, because each system spells it differently."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import sys
from collections.abc import Iterable
from pathlib import Path

if sys.platform == "darwin":
    import fcntl

NO_SUCH_CALL = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)
"""What a file system answers to a call that it does not know."""

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""No fault of the disk, and soon over (docs/decisions/0018)."""

_BUFFER_BYTES = 1 << 20

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def write_all(fd: int, data: bytes | bytearray) -> None:
    """All of `data`, however many writes it takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def open_new(name: str | Path, folder_fd: int | None = None, mode: int = 0o666) -> int:
    """A descriptor to a new, empty file of ours; what a crash left under that name goes. The umask lessens `mode`."""
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(name, flags, mode, dir_fd=folder_fd)
    except FileExistsError:
        os.unlink(name, dir_fd=folder_fd)
        return os.open(name, flags, mode, dir_fd=folder_fd)


def replace_file(path: Path, parts: Iterable[bytes], mode: int = 0o666) -> None:
    """Give a file of the daemon's own this content in one step, by a temporary name: ever after it has all of it.

    A crash before leaves what was there. Raises OSError; then that is so as well, unless the folder would not sync.
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
    """Sync an open folder, so that names made, renamed or removed in it stay so. Raises OSError.

    Some network file systems refuse to sync folders: there the server keeps them.
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


def sync_file_system(fd: int) -> bool:
    """Sync everything on the file system that `fd` is on: for a batch, far cheaper than a sync a file.

    False where there is no syncfs(2), which is Linux's. Raises OSError.
    """
    if _libc is None:
        return False
    if _libc.syncfs(fd) != 0:
        number = ctypes.get_errno()
        if number in NO_SUCH_CALL:
            return False
        raise OSError(number, os.strerror(number))
    return True
