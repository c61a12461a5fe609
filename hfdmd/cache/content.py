"""Placed files, and whether a file on disk has the content of a source: verified once, then remembered.

The Hub's client does not verify content, so caches may contain damaged blobs. A file is therefore read and hashed once
before it is used (0.6 s per GiB), and not again while its recorded size and time stay the same. A file with wrong
content is not used: the content is fetched and replaces it by rename (docs/decisions/0007).
"""

from __future__ import annotations

import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hfdmd.digest import Hasher
from hfdmd.durable import sync_paths
from hfdmd.record import Source

_CHUNK_BYTES = 4 * 1024 * 1024
_MAX_REMEMBERED = 10_000  # files, at some 150 bytes each

Read = tuple[str, int]
"""Path and key of a file that was read and verified."""


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


class VerifiedFiles:
    """Verifies files, and remembers the last 10,000 verified ones. Thread-safe."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._verified: OrderedDict[int, None] = OrderedDict()

    def is_verified(
        self, path: str, source: Source, previous: Placed | None, stopped: Callable[[], bool], read: list[Read]
    ) -> bool:
        """Whether the file at `path` is unchanged since hfdmd placed it, or has the content. Symlinks are followed.

        A file that had to be read is appended to `read`, for `sync_and_remember`.
        """
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return False  # missing or unreadable: it is fetched and replaced
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode) or source.size_bytes not in (None, found.st_size):
                return False
            if previous is not None and previous.matches(found):
                return True
            key = _key(found, source)
            if key in self._verified:
                return True
            if not has_content(fd, source, stopped):
                return False
            read.append((path, key))
            return True
        finally:
            os.close(fd)

    def remember(self, path: Path, source: Source) -> None:
        """Remember a file that was verified while it was fetched. Raises OSError."""
        self._note(_key(path.stat(), source))

    def sync_and_remember(self, read: Sequence[Read]) -> None:
        """Sync the files, since apps do not sync what they place, and remember them. Raises OSError."""
        sync_paths([path for path, _ in read])
        for _, key in read:
            self._note(key)

    def _note(self, key: int) -> None:
        with self._guard:
            self._verified[key] = None
            while len(self._verified) > _MAX_REMEMBERED:
                self._verified.popitem(last=False)


def _key(found: os.stat_result, source: Source) -> int:
    """A hash of the file's identity, its state and its content: 32 bytes where the values take 400."""
    return hash((found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, source.digest))
