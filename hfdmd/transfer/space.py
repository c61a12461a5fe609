"""Room on disk: what is still to come of everything in flight must fit, with some to spare."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from hfdmd.failure import Failure
from hfdmd.wire.types import Reason


@dataclass(slots=True)
class _Reservation:
    device: int
    still_to_come_bytes: int


class Space:
    """Sums up, per file system, the bytes that downloads at work still have to write."""

    def __init__(self) -> None:
        self._reservations: dict[str, _Reservation] = {}

    def reserve(self, key: str, path: Path, need_bytes: int, min_free_bytes: int) -> None:
        """Set `need_bytes` aside for the download `key` on the file system that will hold `path`.

        Raises Failure(DISK_FULL) with the numbers when they, what others still have to write there and
        `min_free_bytes` do not fit; Failure(DISK_ERROR) when the file system cannot be asked.
        """
        folder = path if path.is_dir() else path.parent
        try:
            device = os.stat(folder).st_dev
            free_bytes = shutil.disk_usage(folder).free
        except OSError as error:
            raise Failure(Reason.DISK_ERROR, f"cannot tell the free space of {folder}: {error.strerror}") from error
        others_bytes = sum(
            other.still_to_come_bytes
            for name, other in self._reservations.items()
            if name != key and other.device == device
        )
        if need_bytes and need_bytes + others_bytes + min_free_bytes > free_bytes:
            raise Failure(
                Reason.DISK_FULL,
                f"{need_bytes:,} bytes are still to come, {others_bytes:,} more of other downloads, and"
                f" {min_free_bytes:,} are to stay free (min_free_bytes); {folder} has {free_bytes:,} free",
            )
        self._reservations[key] = _Reservation(device, need_bytes)

    def update(self, key: str, still_to_come_bytes: int) -> None:
        """The download has written some: so many bytes are still to come."""
        reservation = self._reservations.get(key)
        if reservation is not None:
            reservation.still_to_come_bytes = max(0, still_to_come_bytes)

    def release(self, key: str) -> None:
        """The download is through, or stopped."""
        self._reservations.pop(key, None)
