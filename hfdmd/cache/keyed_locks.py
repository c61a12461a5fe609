"""Locks by name, of which only those in use take memory."""

from __future__ import annotations

import threading
from weakref import WeakValueDictionary


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
