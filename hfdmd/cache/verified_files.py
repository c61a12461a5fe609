"""Which files of the cache are trusted to hold what their names say.

The Hub's client verifies nothing, so a damaged blob under a right name exists in the wild. A file is therefore read and
hashed once before it is taken (0.6 s a GiB), and not again while it keeps the size and time that were recorded of it.
One that fails is not taken: the content is fetched, and replaces it by rename.
"""

from __future__ import annotations

import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

from hfdmd.cache.content import Placed, has_content
from hfdmd.durable import sync_paths
from hfdmd.record import Source

_MAX_REMEMBERED = 10_000  # files, at some 150 bytes each

Read = tuple[str, int]
"""A file that was read and found good."""


class VerifiedFiles:
    """Verifies files, and remembers for as long as the daemon runs which it has verified. Thread-safe."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._verified: OrderedDict[int, None] = OrderedDict()

    def is_good(
        self, path: str, source: Source, previous: Placed | None, stopped: Callable[[], bool], read: list[Read]
    ) -> bool:
        """Whether the file at `path` (links are followed) is what hfdmd placed there, or reads as the content.

        One that was read for it is appended to `read`, and wants `settle`.
        """
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return False  # not there, or of no use to us: fetched, and replaced by rename
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode) or source.size_bytes not in (None, found.st_size):
                return False
            if previous is not None and previous.is_stat(found):
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
        """Take down a file that was verified while it was fetched. Raises OSError."""
        self._note(_key(path.stat(), source))

    def settle(self, read: Sequence[Read]) -> None:
        """Sync what was read: apps placed it, and apps do not sync. From then on it counts as verified."""
        sync_paths([path for path, _ in read])
        for _, key in read:
            self._note(key)

    def _note(self, key: int) -> None:
        with self._guard:
            self._verified[key] = None
            while len(self._verified) > _MAX_REMEMBERED:
                self._verified.popitem(last=False)


def _key(found: os.stat_result, source: Source) -> int:
    """Stands for the file, its state and its content in few bytes."""
    return hash((found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, source.digest))
