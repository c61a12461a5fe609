"""The Hub client's own locks: the same files of the same kind, so that apps and the daemon wait for each other.

Source: `huggingface_hub.utils.WeakFileLock`: filelock's `FileLock`, that is flock(2) on a file of mode 0664, and its
soft lock where the file system has no `flock`; lock files are never deleted. The flock is taken here directly: it is
the same lock, at a twentieth of the cost, which counts for thousands of small files.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from pathlib import Path

from filelock import SoftFileLock, Timeout

_FLAGS = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
_MODE = 0o664  # less the umask: a cache that only the daemon may write has no lock files that others may
_HELD_BY_OTHERS = (errno.EAGAIN, errno.EACCES)
_NO_FLOCK = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL)


class Lock:
    """A lock that is held until `release()`, from whatever thread."""

    def __init__(self, held: int | SoftFileLock | None) -> None:
        self._held = held

    def release(self) -> None:
        """Let go; twice is harmless."""
        held, self._held = self._held, None
        if isinstance(held, int):
            os.close(held)  # the kernel lets go with the last descriptor
        elif held is not None:
            held.release()


def take(path: str) -> Lock | None:
    """The lock at `path` without waiting; None when somebody else holds it. Raises OSError."""
    descriptor, is_new = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno in _HELD_BY_OTHERS:
            return None
        if error.errno not in _NO_FLOCK:
            raise
        if is_new:
            os.unlink(path)  # a soft lock is held by whoever made its file
        return _soft(path)
    return Lock(descriptor)


def name_fits(path: str) -> bool:
    """Whether the file system takes the lock's name; the client cannot lock such a file either."""
    return len(os.fsencode(os.path.basename(path))) <= 255


def _open(path: str) -> tuple[int, bool]:
    """The lock file's descriptor, and whether the file was made for it. Raises OSError."""
    while True:
        try:
            return os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, _MODE), True
        except FileExistsError:
            with contextlib.suppress(FileNotFoundError):  # soft locks go when they are let go
                return os.open(path, _FLAGS), False
        except FileNotFoundError:
            Path(path).parent.mkdir(parents=True, exist_ok=True)


def _soft(path: str) -> Lock | None:
    lock = SoftFileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    return Lock(lock)
