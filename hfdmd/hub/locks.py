"""The Hub client's own locks: the same files of the same kind, so that apps and the daemon wait for each other.

Source: `huggingface_hub.utils.WeakFileLock`: filelock's `FileLock` with mode 0664, its soft lock where the file system
has no `flock`; lock files are never deleted.
"""

from __future__ import annotations

import os
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout


class Lock:
    """A lock that is held until `release()`, from whatever thread."""

    def __init__(self, held: BaseFileLock | None) -> None:
        self._held = held

    def release(self) -> None:
        """Let go; twice is harmless."""
        held, self._held = self._held, None
        if held is not None:
            held.release()


def take(path: Path) -> Lock | None:
    """The lock at `path` without waiting; None when somebody else holds it. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return Lock(_acquired(FileLock(path, mode=0o664, thread_local=False)))
    except Timeout:
        return None
    except NotImplementedError:
        pass
    try:
        return Lock(_acquired(SoftFileLock(path, thread_local=False)))
    except Timeout:
        return None


def name_fits(path: Path) -> bool:
    """Whether the file system takes the lock's name; the client cannot lock such a file either."""
    return len(os.fsencode(path.name)) <= 255


def _acquired(lock: BaseFileLock) -> BaseFileLock:
    lock.acquire(timeout=0)
    return lock
