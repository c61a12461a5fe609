"""The lock files of the Hub's client, so that apps and the daemon wait for each other; locks by name for our threads.

Source: `huggingface_hub.utils.WeakFileLock`: filelock's `FileLock`, which is flock(2) on a file of mode 0664, and its
soft lock where the file system has no `flock`. Lock files are never deleted. flock(2) is called directly here: the
same lock at a twentieth of filelock's cost, which matters for thousands of small files.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
from pathlib import Path
from weakref import WeakValueDictionary

from filelock import SoftFileLock, Timeout

from hfdmd.durable import NO_LOCKS, max_name_bytes

_FLAGS = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
_MODE = 0o664  # the umask applies: lock files are as writable for others as the cache itself
_HELD_BY_OTHERS = (errno.EAGAIN, errno.EACCES)


class Lock:
    """A lock that is held until `release()`, which any thread may call."""

    def __init__(self, held: int | SoftFileLock | None) -> None:
        self._held = held

    def release(self) -> None:
        """Release the lock. A second call does nothing."""
        held, self._held = self._held, None
        if isinstance(held, int):
            os.close(held)  # closing the last descriptor releases a flock
        elif held is not None:
            held.release()


def try_lock(path: str) -> Lock | None:
    """Lock the file at `path` without waiting. None when another process holds the lock. Raises OSError."""
    descriptor, is_new = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno in _HELD_BY_OTHERS:
            return None
        if error.errno not in NO_LOCKS:
            raise
        if is_new:
            os.unlink(path)  # a soft lock is held by the process that created its file
        return _soft(path)
    return Lock(descriptor)


def name_fits(path: str) -> bool:
    """Whether the lock's name is short enough for the disk. The client cannot lock a file with a longer one."""
    folder, name = os.path.split(path)
    return len(os.fsencode(name)) <= max_name_bytes(folder)


def _open(path: str) -> tuple[int, bool]:
    """The lock file's descriptor, and whether this call created the file. Raises OSError."""
    while True:
        try:
            return os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, _MODE), True
        except FileExistsError:
            with contextlib.suppress(FileNotFoundError):  # soft lock files are deleted on release
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


class KeyedLocks:
    """One re-entrant lock for each key. Thread-safe. A lock is forgotten when no thread refers to it any more."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: WeakValueDictionary[str, threading.RLock] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._locks)

    def get(self, key: str) -> threading.RLock:
        """The lock of `key`, the same one for all threads that refer to it at the same time."""
        with self._guard:
            lock = self._locks.get(key)
            if lock is None:
                lock = self._locks[key] = threading.RLock()
            return lock
