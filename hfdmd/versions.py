"""The `version` of downloads: only ever rises (docs/decisions/0003-version-numbers.md)."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from hfdmd.durable import replace_file

_RESERVE = 600_000_000  # microseconds that the bound on disk is ahead of the last version
_TRY_AGAIN_S = 1.0
_CLEAN = "clean"

log = logging.getLogger("hfdmd.versions")


class Versions:
    """Issues versions: microseconds since the epoch, or the last one plus one if the clock has not advanced.

    The file holds an upper bound of all issued versions and is synced before any of them is used. So neither a crash
    nor a clock set back can repeat one, and a download that is requested again after its deletion is newer than before.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._last = 0
        self.bound = 0
        """The upper bound of all versions that is on disk."""
        self._try_again_at = 0.0
        self.floor = 0
        """Minimum version of records read from disk: before a crash newer ones may have been published than stored."""

    def open(self) -> None:
        """Read the bound. Raises OSError; an invalid number counts as 0."""
        try:
            text = self._file.read_text(errors="replace")
        except FileNotFoundError:
            text = ""
        words = text.split()
        numbers = [int(word) for word in words if word.isdecimal()]
        self.bound = numbers[0] if numbers else 0
        self._last = self.bound
        self.floor = numbers[1] if len(numbers) == 2 and words[2:] == [_CLEAN] else self.bound

    def close(self) -> None:
        """Mark the shutdown as clean: all trackers are on disk. Without the mark the next versions are higher."""
        try:
            self._store(self._last + 1, f" {_CLEAN}")
        except OSError as error:
            log.error("cannot write %s: %s", self._file, error.strerror)

    def seen(self, version: int) -> None:
        """A record on disk has this version; the next one is above it."""
        self._last = max(self._last, version)

    def next(self) -> int:
        """A version above all earlier ones."""
        version = max(self._last + 1, time.time_ns() // 1000)
        if version >= self.bound - _RESERVE // 2 and time.monotonic() >= self._try_again_at:
            try:
                self._store(version + _RESERVE)
            except OSError as error:  # a full disk must not stop the daemon
                self._try_again_at = time.monotonic() + _TRY_AGAIN_S
                log.error("cannot write %s: %s", self._file, error.strerror)
        if version >= self.bound - _RESERVE // 2:
            version = self._last + 1  # in steps of one the reserve lasts for hundreds of millions of changes
        self._last = version
        return version

    def _store(self, bound: int, mark: str = "") -> None:
        replace_file(self._file, [f"{bound} {self.floor}{mark}\n".encode()], mode=0o600)
        self.bound = bound
