"""Placed files, and whether a file on disk has the content of a source."""

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
    """A complete file under its final name. Size and time are of the content (symlinks are followed).

    `found`: the content was on disk already and was not written for this download.
    """

    path: Path
    size_bytes: int
    mtime_ns: int
    found: bool = field(default=False, compare=False)

    def matches(self, found: os.stat_result) -> bool:
        """Whether a file with this stat can be the one that was placed, unchanged."""
        return stat.S_ISREG(found.st_mode) and found.st_size == self.size_bytes and found.st_mtime_ns == self.mtime_ns


def never() -> bool:
    """The default of `stopped` callbacks."""
    return False


def has_content(fd: int, source: Source, stopped: Callable[[], bool] = never) -> bool:
    """Whether the open file has the size and digest of the source. Reads it all.

    False also when the source has no digest, and when `stopped` returns True meanwhile. Raises OSError.
    """
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
