"""Room on the disks for what is still to come of everything in flight. Blocking: call it in a thread."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hfdmd.failure import Failure
from hfdmd.transfer.disk.part_file import disk_failure
from hfdmd.wire.types import Reason

RECENT_S = 0.1
"""What a disk said is believed for so long: thousands of small files ask it all at once."""


@dataclass(frozen=True, slots=True)
class _Claim:
    device: int
    bytes: int


class DiskReservations:
    """Who still needs how much on which file system. One per daemon; safe to call from several threads.

    `min_free_bytes` is asked how much is to stay free.
    """

    def __init__(self, min_free_bytes: Callable[[], int]) -> None:
        self._min_free_bytes = min_free_bytes
        self._lock = threading.Lock()
        self._claims: dict[str, _Claim] = {}
        self._claimed_bytes: dict[int, int] = {}  # by device
        self._said: tuple[Path, float, tuple[int, int]] | None = None

    @contextmanager
    def held(self, key: str, path: Path, need_bytes: int) -> Iterator[Callable[[int], None]]:
        """`reserve`, and `release` in the end; what it gives is `update`."""
        self.reserve(key, path, need_bytes)
        try:
            yield partial(self.update, key)
        finally:
            self.release(key)

    def reserve(self, key: str, path: Path, need_bytes: int) -> None:
        """Set `need_bytes` aside for `key` on the file system of `path` (it need not exist), replacing what it had.

        Failure(DISK_FULL) with the numbers, and nothing is set aside, when the free room less what others in
        flight still need would leave less than is to stay free. Failure(DISK_ERROR) when the disk cannot be asked.
        """
        min_free_bytes = self._min_free_bytes()
        try:
            device, free_bytes = self._free(path)
        except OSError as error:
            raise disk_failure(error, f"asking for the free room at {path}") from None
        with self._lock:
            self._set(key, None)
            others = self._claimed_bytes.get(device, 0)
            if need_bytes > 0 and need_bytes + others + min_free_bytes > free_bytes:
                raise Failure(
                    Reason.DISK_FULL,
                    f"{need_bytes} bytes are still to come, {others} more for other downloads, and {min_free_bytes} "
                    f"are to stay free, but the disk has only {free_bytes} bytes free",
                )
            self._set(key, _Claim(device, need_bytes))

    def _free(self, path: Path) -> tuple[int, int]:
        now = time.monotonic()
        said = self._said
        if said is None or said[0] != path or now - said[1] > RECENT_S:
            said = self._said = (path, now, _free(path))
        return said[2]

    def update(self, key: str, still_to_come_bytes: int) -> None:
        """So much is still to come for `key`; of no effect when nothing is set aside for it."""
        with self._lock:
            checkpoint = self._claims.get(key)
            if checkpoint is not None:
                self._set(key, _Claim(checkpoint.device, max(0, still_to_come_bytes)))

    def release(self, key: str) -> None:
        """Nothing more will come for `key`."""
        with self._lock:
            self._set(key, None)

    def _set(self, key: str, checkpoint: _Claim | None) -> None:
        old = self._claims.pop(key, None)
        if old is not None:
            self._claimed_bytes[old.device] -= old.bytes
        if checkpoint is not None:
            self._claims[key] = checkpoint
            self._claimed_bytes[checkpoint.device] = self._claimed_bytes.get(checkpoint.device, 0) + checkpoint.bytes


def _free(path: Path) -> tuple[int, int]:
    """Device and free bytes (for an unprivileged user) of the file system that `path` is or would be on."""
    at = path
    while True:
        try:
            device = os.stat(at).st_dev
            room = os.statvfs(at)
            return device, room.f_bavail * room.f_frsize
        except (FileNotFoundError, NotADirectoryError):
            if at.parent == at:
                raise
            at = at.parent
