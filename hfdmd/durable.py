"""Opens, writes and syncs files, on Linux and macOS; what the errors of a disk mean for a download."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hfdmd.wire.types import Reason

if sys.platform == "darwin":
    import fcntl

NO_SUCH_CALL = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)
"""Error numbers of a system call that the kernel or the file system does not support."""

NO_LOCKS = (*NO_SUCH_CALL, errno.ENOLCK)
"""Error numbers of flock(2) where the file system, or the server of a network file system, keeps no locks."""

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_MAX_NAME_BYTES = 255
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


def lacks_inodes(path: str | Path) -> bool:
    """Whether the file system that `path` is, or would be, on can create no file though it may have free bytes."""
    disk = os.statvfs(existing_ancestor(path))
    return disk.f_files > 0 and disk.f_favail == 0


def existing_ancestor(path: str | Path) -> Path:
    """The path, or the nearest folder above it that exists and may be seen."""
    path = Path(path)
    return next(place for place in (path, *path.parents) if os.path.exists(place))


def mount_point(path: str | Path) -> Path:
    """Where the file system that `path` is, or would be, on is mounted."""
    real = Path(os.path.realpath(path))
    return next(place for place in (real, *real.parents) if os.path.ismount(place))


def max_name_bytes(folder: str | Path | int) -> int:
    """The longest name, in bytes, that the disk takes in this folder: 255, or less (pathconf(3); 143 on eCryptfs)."""
    try:
        limit = os.pathconf(folder, "PC_NAME_MAX")
    except OSError:
        return _MAX_NAME_BYTES
    return limit if 0 < limit < _MAX_NAME_BYTES else _MAX_NAME_BYTES


def write_all(fd: int, data: bytes | bytearray) -> None:
    """Write all of `data`, in as many writes as needed. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


@contextlib.contextmanager
def opened(path: str | Path, flags: int = os.O_NOFOLLOW, folder_fd: int | None = None) -> Iterator[int]:
    """Open a file or a folder for reading; closed at the end. A FIFO does not block it. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | flags, dir_fd=folder_fd)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def created(path: str | Path, folder_fd: int | None = None, mode: int = 0o666) -> Iterator[int]:
    """Create an empty file, open for reading and writing; closed at the end. Raises OSError.

    A file left under that name by a crash is replaced. The umask applies to `mode`.
    """
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW
    try:
        fd = os.open(path, flags, mode, dir_fd=folder_fd)
    except FileExistsError:
        os.unlink(path, dir_fd=folder_fd)
        fd = os.open(path, flags, mode, dir_fd=folder_fd)
    try:
        yield fd
    finally:
        os.close(fd)


def write_new(path: str | Path, data: bytes | bytearray, folder_fd: int | None = None, mode: int = 0o666) -> None:
    """Create a file with all of `data`, without syncing it. No file is left on an error. Raises OSError."""
    with created(path, folder_fd, mode) as fd:
        try:
            write_all(fd, data)
        except OSError:
            os.unlink(path, dir_fd=folder_fd)
            raise


def replace_file(path: Path, parts: Iterable[bytes], mode: int = 0o666) -> None:
    """Replace the content of one of the daemon's own files atomically and durably, through a temporary file.

    After a crash the file has either the old or the new content. Raises OSError; then the old content is kept, unless
    only the sync of the folder failed.
    """
    replace_at(None, path, path.with_suffix(".tmp"), parts, mode)
    sync_folders([path.parent])


def replace_at(
    folder_fd: int | None, path: str | Path, temporary: str | Path, parts: Iterable[bytes], mode: int = 0o666
) -> None:
    """`replace_file` for a path in an open folder; the folder is not synced. Raises OSError."""
    try:
        with created(temporary, folder_fd, mode) as fd:
            with open(fd, "wb", buffering=_BUFFER_BYTES, closefd=False) as file:
                file.writelines(parts)
            sync_file(fd)
        os.replace(temporary, path, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=folder_fd)
        raise


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


def sync_folders(folders: Sequence[str | Path]) -> None:
    """`sync_folder` for paths, of one file system. Raises OSError."""
    for folder in folders:
        with opened(folder, os.O_DIRECTORY) as fd:
            if len(folders) > _MAX_SINGLE_SYNCS and sync_file_system(fd):
                return
            sync_folder(fd)


def sync_paths(paths: Sequence[str]) -> None:
    """Sync files of other programs, of one file system. Links are followed, missing files skipped. Raises OSError."""
    for path in paths:
        with contextlib.suppress(FileNotFoundError), opened(path, 0) as fd:
            if len(paths) > _MAX_SINGLE_SYNCS and sync_file_system(fd):
                return
            sync_file(fd)


def sync_files(folder_fd: int, paths: Sequence[str]) -> None:
    """Sync many files in or below an open folder: with one sync of the file system, or several at a time.

    Raises OSError.
    """
    if len(paths) > _MAX_SINGLE_SYNCS and sync_file_system(folder_fd):
        return
    # macOS: the full sync of the last file empties the drive's cache of all that were synced before
    sync = os.fsync if sys.platform == "darwin" else sync_file
    with ThreadPoolExecutor(max_workers=8) as threads:
        for done in [threads.submit(_sync_path, folder_fd, path, sync) for path in paths[:-1]]:
            done.result()
    for path in paths[-1:]:
        _sync_path(folder_fd, path, sync_file)


def _sync_path(folder_fd: int, path: str, sync: Callable[[int], None]) -> None:
    with opened(path, folder_fd=folder_fd) as fd:
        sync(fd)


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
