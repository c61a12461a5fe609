"""Writes past the page cache, of data that is not read back (docs/decisions/0012)."""

from __future__ import annotations

import errno
import os
from pathlib import Path

UNIT_BYTES = 4096
"""Offset, length and address of a direct write are multiples of this: the supported file systems ask for no more."""
MIN_BYTES = 1 << 20
"""Smaller pieces go to the page cache, which merges them."""

_FILE_SYSTEMS = frozenset({"ext4", "xfs"})
"""File systems that write any range directly and keep it coherent with the page cache."""
_MOUNTS = Path("/proc/self/mountinfo")


class DirectWrites:
    """A second descriptor of the plain file behind `fd`, opened on first use. Methods block: call them in threads."""

    def __init__(self, fd: int) -> None:
        self._buffered_fd = fd
        self._fd: int | None = None
        self._impossible = False

    def span(self, data: memoryview, offset: int) -> tuple[int, int]:
        """The range [start, end) of the file that can be written directly when `data` is written at `offset`.

        May be empty. Address and offset of `data` must be equal modulo `UNIT_BYTES`.
        """
        start = offset + -offset % UNIT_BYTES
        end = offset + len(data)
        end -= end % UNIT_BYTES
        return (start, end) if end - start >= MIN_BYTES else (offset, offset)

    def write(self, data: memoryview, offset: int) -> bool:
        """Write all of a span. False: this file cannot be written directly; use a buffered write. Raises OSError."""
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
            self._impossible = True  # the device needs a larger unit
            self.close()
            return False
        return True

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _open(self) -> None:
        flag = getattr(os, "O_DIRECT", None)
        if flag is None or file_system_of(os.fstat(self._buffered_fd).st_dev) not in _FILE_SYSTEMS:
            self._impossible = True
            return
        try:
            self._fd = os.open(f"/proc/self/fd/{self._buffered_fd}", os.O_WRONLY | os.O_CLOEXEC | flag)
        except OSError:
            self._impossible = True


def file_system_of(device: int) -> str | None:
    """The file system type of a device (`st_dev`), as Linux names it; None when it is unknown."""
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
