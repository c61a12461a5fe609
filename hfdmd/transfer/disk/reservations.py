"""Free disk space reserved for all downloads in flight. Blocking: call it in a thread."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from hfdmd.durable import existing_ancestor, mount_point
from hfdmd.failure import Failure
from hfdmd.transfer.disk.part_file import disk_failure
from hfdmd.wire.types import Reason
from hfdmd.wire.units import format_size

AHEAD_BYTES = 16 << 20
"""What a file of unknown size reserves at any time: about what arrives between two checkpoints."""

CACHED_S = 0.1
"""How long a disk's free space is cached: thousands of small files query it at the same time."""


class DiskReservations:
    """How much each download still needs on which file system. One per daemon; thread-safe.

    `min_free_bytes` returns how much must stay free.
    """

    def __init__(self, min_free_bytes: Callable[[], int]) -> None:
        self._min_free_bytes = min_free_bytes
        self._lock = threading.Lock()
        self._reservations: dict[str, tuple[int, int]] = {}  # device and bytes
        self._reserved_bytes: Counter[int] = Counter()  # by device
        self._cached: tuple[Path, float, tuple[int, int]] | None = None

    @contextmanager
    def reserved(self, key: str, path: Path, need_bytes: int) -> Iterator[Callable[[int], None]]:
        """`reserve` on entry, `release` on exit; yields `update` for this key."""
        self.reserve(key, path, need_bytes)
        try:
            yield partial(self.update, key)
        finally:
            self.release(key)

    def reserve(self, key: str, path: Path, need_bytes: int) -> None:
        """Reserve `need_bytes` for `key` on the file system of `path` (which may not exist yet), replacing its old one.

        Failure(DISK_FULL) with the numbers, and no reservation, when too little would stay free after all downloads
        in flight. Failure(DISK_ERROR) when the free space cannot be read.
        """
        device, free_bytes = self._checked_free(path)
        with self._lock:
            self._set(key, None)
            self._check(path, need_bytes, self._reserved_bytes[device], free_bytes)
            self._set(key, (device, need_bytes))

    def check(self, path: Path, need_bytes: int) -> None:
        """Whether `need_bytes` would fit: raises what `reserve` raises, and reserves nothing."""
        device, free_bytes = self._checked_free(path)
        self._check(path, need_bytes, self._reserved_bytes[device], free_bytes)

    def _checked_free(self, path: Path) -> tuple[int, int]:
        try:
            return self._free(path)
        except OSError as error:
            raise disk_failure(error, f"reading the free space at {path}") from None

    def _check(self, path: Path, need_bytes: int, others_bytes: int, free_bytes: int) -> None:
        min_free_bytes = self._min_free_bytes()
        if need_bytes <= 0 or need_bytes + others_bytes + min_free_bytes <= free_bytes:
            return
        detail = f"needs {format_size(need_bytes)}, {format_size(free_bytes)} free on {mount_point(path)}"
        if others_bytes:
            detail += f", {format_size(others_bytes)} of it for other downloads"
        if min_free_bytes:
            detail += f"; {format_size(min_free_bytes)} must stay free (min_free_bytes)"
        raise Failure(Reason.DISK_FULL, detail)

    def free_bytes(self, path: Path) -> tuple[int, int]:
        """Free bytes at `path` (which may not exist yet), and how many of them another download may use.

        Raises OSError.
        """
        device, free_bytes = _free(path)
        with self._lock:
            return free_bytes, max(0, free_bytes - self._reserved_bytes[device] - self._min_free_bytes())

    def _free(self, path: Path) -> tuple[int, int]:
        now = time.monotonic()
        cached = self._cached
        if cached is None or cached[0] != path or now - cached[1] > CACHED_S:
            cached = self._cached = (path, now, _free(path))
        return cached[2]

    def update(self, key: str, need_bytes: int) -> None:
        """Change how much `key` still needs; no effect without a reservation."""
        with self._lock:
            if key in self._reservations:
                self._set(key, (self._reservations[key][0], max(0, need_bytes)))

    def release(self, key: str) -> None:
        """Remove the reservation of `key`, if there is one."""
        with self._lock:
            self._set(key, None)

    def _set(self, key: str, reservation: tuple[int, int] | None) -> None:
        if key in self._reservations:
            device, old_bytes = self._reservations.pop(key)
            self._reserved_bytes[device] -= old_bytes
            if not self._reserved_bytes[device]:
                del self._reserved_bytes[device]
        if reservation is not None:
            device, new_bytes = self._reservations[key] = reservation
            self._reserved_bytes[device] += new_bytes


def _free(path: Path) -> tuple[int, int]:
    """Device and free bytes (for an unprivileged user) of the file system that `path` is or would be on."""
    at = existing_ancestor(path)
    stats = os.statvfs(at)
    return os.stat(at).st_dev, stats.f_bavail * stats.f_frsize
