"""The log of a daemon that a client started: kept from growing without end."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

NAME = "hfdmd.log"
MAX_BYTES = 5 * 1024 * 1024
KEPT = 3


def rotate(log: Path) -> None:
    """Puts a large log aside as `.1`, the one before as `.2`, and so on; the oldest goes. For a log nobody writes."""
    if _size(log) >= MAX_BYTES:
        _make_room(log)
        log.replace(_numbered(log, 1))


def rotate_in_use(log: Path) -> None:
    """The same for a log that a daemon is writing: its content is copied and the file emptied.

    The daemon appends (O_APPEND), so it goes on at the new end. A line written between copy and emptying is lost,
    which is why a file gets four times as large before this is done.
    """
    if _size(log) < 4 * MAX_BYTES:
        return
    _make_room(log)
    try:
        shutil.copyfile(log, _numbered(log, 1))
        os.truncate(log, 0)
    except OSError:
        return  # another user's daemon, or a full disk: then it stays as it is


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
