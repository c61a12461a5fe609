"""Writes past the page cache, of what nobody reads back (docs/decisions/0012)."""

from __future__ import annotations

import errno
import os
from pathlib import Path

UNIT_BYTES = 4096
"""Offset, length and memory of a direct write are multiples of this: no file system or disk here asks for more."""
LEAST_BYTES = 1 << 20
"""Smaller pieces go to the page cache, which makes large ones of them."""

_FILE_SYSTEMS = frozenset({"ext4", "xfs"})
"""Those that write directly what they are told to, wherever it is, and keep it coherent with the page cache."""
_MOUNTS = Path("/proc/self/mountinfo")


class DirectWrites:
    """A second way into the plain file behind `fd`, opened when it is first used. Its methods block, for threads."""

    def __init__(self, fd: int) -> None:
        self._of = fd
        self._fd: int | None = None
        self._impossible = False

    def span(self, data: memoryview, offset: int) -> tuple[int, int]:
        """Which part of the file [start, end) of `data`, written at `offset`, could be written directly; maybe none.

        `data` lies in memory as it will in the file: at the same distance from a page's beginning.
        """
        start = offset + -offset % UNIT_BYTES
        end = offset + len(data)
        end -= end % UNIT_BYTES
        return (start, end) if end - start >= LEAST_BYTES else (offset, offset)

    def write(self, data: memoryview, offset: int) -> bool:
        """Write all of a span. False: this file cannot be written directly; write it otherwise. OSError as usual."""
        if self._fd is None and not self._impossible:
            self._open()
        if self._fd is None:
            return False
        try:
            while data:
                count = os.pwrite(self._fd, data, offset)
                data = data[count:]
                offset += count
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            self._impossible = True  # its units are others than ours
            self.close()
            return False
        return True

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _open(self) -> None:
        flag = getattr(os, "O_DIRECT", None)
        if flag is None or file_system_of(os.fstat(self._of).st_dev) not in _FILE_SYSTEMS:
            self._impossible = True
            return
        try:
            self._fd = os.open(f"/proc/self/fd/{self._of}", os.O_WRONLY | os.O_CLOEXEC | flag)
        except OSError:
            self._impossible = True


def file_system_of(device: int) -> str | None:
    """The kind of file system that `st_dev` stands for, as Linux names it; None where that is not known."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = _MOUNTS.read_text(errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:  # proc_pid_mountinfo(5)
        fields, separator, about = line.partition(" - ")
        if separator and fields.split()[2] == wanted:
            return about.split()[0]
    return None
