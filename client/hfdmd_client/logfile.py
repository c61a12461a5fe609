"""Rotates the log of a daemon that a client started."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

NAME = "hfdmd.log"
MAX_BYTES = 5 * 1024 * 1024
KEPT = 3


def rotate(log: Path) -> None:
    """Renames a large log to `.1`, the previous one to `.2`, and so on; deletes the oldest. Not for a log in use."""
    if _size(log) >= MAX_BYTES:
        _make_room(log)
        log.replace(_numbered(log, 1))


def rotate_in_use(log: Path) -> None:
    """The same for a log that a daemon has open: copies the content and truncates the file.

    The daemon appends (O_APPEND), so it continues at the new end. Lines written between copying and truncating are
    lost; to make that rare, the limit is four times as high.
    """
    if _size(log) < 4 * MAX_BYTES:
        return
    _make_room(log)
    try:
        shutil.copyfile(log, _numbered(log, 1))
        os.truncate(log, 0)
    except OSError:
        return  # another user's daemon or a full disk: leave the log as it is


def _size(log: Path) -> int:
    try:
        return log.stat().st_size
    except OSError:
        return 0


def _make_room(log: Path) -> None:
    for number in range(KEPT, 1, -1):
        newer = _numbered(log, number - 1)
        if newer.exists():
            newer.replace(_numbered(log, number))


def _numbered(log: Path, number: int) -> Path:
    return log.with_name(f"{log.name}.{number}")
