"""Making sure that what was written is on disk. One place, because each system spells it differently."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path

if sys.platform == "darwin":
    import fcntl

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def sync_file(descriptor: int) -> None:
    """Sync the data of an open file and what is needed to read it back. Raises OSError.

    On macOS `fsync` leaves the data in the drive's cache; F_FULLFSYNC does not (fcntl(2) of macOS).
    """
    if sys.platform == "darwin":
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    else:
        os.fdatasync(descriptor)


def sync_folder(folder: Path | str) -> None:
    """Sync a folder, so that names made, renamed or removed in it stay so. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_filesystem(folder: Path | str, descriptors: Iterable[int] = ()) -> None:
    """Sync the whole file system that holds `folder`: for a batch, far cheaper than a sync a file. Raises OSError.

    Where there is no syncfs(2) (it is Linux's), the open files of the batch and the folder are synced one by one.
    """
    if _libc is None:
        for descriptor in descriptors:
            sync_file(descriptor)
        sync_folder(folder)
        return
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _libc.syncfs(opened) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(opened)
