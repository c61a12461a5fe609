"""Making sure that what was written is on disk. One place, because each system spells it differently."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

if sys.platform == "darwin":
    import fcntl

NO_SUCH_CALL = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)
"""What a file system answers to a call that it does not know."""

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""No fault of the disk, and soon over (docs/decisions/0018)."""

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def write_all(fd: int, data: bytes | bytearray) -> None:
    """All of `data`, however many writes it takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


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
