"""Whether a file on disk holds the content that a source names."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hfdmd.digest import Hasher
from hfdmd.record import Source

_CHUNK_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Placed:
    """A file that stands complete under its final name. The time is that of the content (links are followed).

    `found`: its content was there already, and was not written for this.
    """

    path: Path
    size_bytes: int
    mtime_ns: int
    found: bool = field(default=False, compare=False)

    def is_stat(self, found: os.stat_result) -> bool:
        """Whether a file of this stat can be the one that was placed, unchanged."""
        return stat.S_ISREG(found.st_mode) and found.st_size == self.size_bytes and found.st_mtime_ns == self.mtime_ns


def never() -> bool:
    """Default of the `stopped` callbacks."""
    return False


def has_content(fd: int, source: Source, stopped: Callable[[], bool] = never) -> bool:
    """Whether the open file has the source's size and digest. False also when there is no digest, or when stopped."""
    size_bytes = os.fstat(fd).st_size
    if source.digest is None or source.size_bytes not in (None, size_bytes):
        return False
    try:
        hasher = Hasher(source.digest, size_bytes)
    except ValueError:
        return False  # from a tampered tracker file
    offset = 0
    while not stopped():
        chunk = os.pread(fd, _CHUNK_BYTES, offset)
        if not chunk:
            return hasher.digest() == source.digest
        hasher.update(chunk)
        offset += len(chunk)
    return False
