"""Counts how often files in a folder are replaced, by Linux's inotify."""

from __future__ import annotations

import ctypes
import os
import struct
import threading
import time
from pathlib import Path
from typing import Self

IN_MOVED_TO = 0x80
_HEAD = struct.Struct("iIII")


class Replaced:
    """`with Replaced(folder) as seen:`; `seen.times_s` are the moments at which a file was renamed into it."""

    def __init__(self, folder: Path) -> None:
        self.times_s: list[float] = []
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self._fd < 0 or libc.inotify_add_watch(self._fd, os.fsencode(folder), IN_MOVED_TO) < 0:
            raise OSError(ctypes.get_errno(), "inotify", str(folder))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()
        os.close(self._fd)

    def most_per_s(self) -> int:
        """The most within any second."""
        most, first = 0, 0
        for last, at in enumerate(self.times_s):
            while at - self.times_s[first] >= 1.0:
                first += 1
            most = max(most, last - first + 1)
        return most

    def _read(self) -> None:
        while not self._stop.wait(0.01):
            try:
                data = os.read(self._fd, 65536)
            except BlockingIOError:
                continue
            at = 0
            while at < len(data):
                *_, length = _HEAD.unpack_from(data, at)
                at += _HEAD.size + length
                self.times_s.append(time.monotonic())
