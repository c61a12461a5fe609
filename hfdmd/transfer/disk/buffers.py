"""The buffers that bytes are received into and written from: bounded and reused."""

from __future__ import annotations

import ctypes
import mmap
from collections import deque
from collections.abc import Callable
from contextlib import suppress

KiB = 1 << 10
HUGE_PAGE_BYTES = 2048 * KiB  # on x86-64, and on ARM with pages of 4 KiB
LARGEST_BUFFER_BYTES = 2 * HUGE_PAGE_BYTES
"""Each buffer costs switches between threads, and a disk is faster the longer a write is (docs/decisions/0019)."""
SMALLEST_BUFFER_BYTES = 64 * KiB
TOTAL_BYTES = 40 << 20
BUFFERS_IN_FLIGHT = 12
"""This many keep one connection busy while its bytes are written and hashed; several connections need fewer each."""
_BUFFERS_PER_USER = 8  # buffers get smaller until each user can have this many
_SPARE_BYTES = 8 << 20  # unused buffers that are kept while there are users


def aligned_buffer(size_bytes: int) -> memoryview:
    """Private memory that starts at a page. Uses a huge page for sizes of 2 MiB and more, if available.

    `malloc` returns such sizes 16 bytes after the start of a page. Kernel copies from page-aligned sources (the page
    cache, data sent with sendfile) take five times as long there on some processors (docs/decisions/0009). A disk
    reads a huge page in one piece (docs/decisions/0012).
    """
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    if size_bytes < HUGE_PAGE_BYTES or not hasattr(mmap, "MADV_HUGEPAGE"):
        return memoryview(mmap.mmap(-1, size_bytes, flags=flags))
    area = mmap.mmap(-1, size_bytes + HUGE_PAGE_BYTES, flags=flags)
    start = -ctypes.addressof(ctypes.c_char.from_buffer(area)) % HUGE_PAGE_BYTES
    with suppress(OSError):
        area.madvise(mmap.MADV_HUGEPAGE, start, size_bytes)
    return memoryview(area)[start : start + size_bytes]


class BufferPool:
    """Buffers of up to 4 MiB, `TOTAL_BYTES` in all; smaller and fewer per user when many share them.

    A user without a buffer always gets one of the smallest size, so no user waits forever.
    """

    def __init__(self, total_bytes: int = TOTAL_BYTES) -> None:
        self._total_bytes = total_bytes
        self._used_bytes = 0
        self._spare: list[memoryview] = []  # all of size `_spare_size`
        self._spare_size = LARGEST_BUFFER_BYTES
        self._waiting: deque[Callable[[], None]] = deque()
        self.users = 0
        """How many share the buffers; users count themselves in and out."""

    def acquire(self, *, first: bool) -> memoryview | None:
        """A buffer of the current size. None: too much is in use; see `wake_on_release`. `first`: the user has none."""
        size = LARGEST_BUFFER_BYTES
        while size > SMALLEST_BUFFER_BYTES and _BUFFERS_PER_USER * size * self.users > self._total_bytes:
            size //= 2
        if size != self._spare_size:
            self._spare_size = size
            self._spare.clear()
        if self._used_bytes + size > self._total_bytes:
            if not first:
                return None
            size = SMALLEST_BUFFER_BYTES
        self._used_bytes += size
        if self._spare and len(self._spare[-1]) == size:
            return self._spare.pop()
        return aligned_buffer(size)

    @property
    def share(self) -> int:
        """How many buffers each user may have: at least two, to fill one while the other is written."""
        return max(2, BUFFERS_IN_FLIGHT // max(1, self.users))

    def release(self, buffer: memoryview) -> None:
        size = len(buffer)
        self._used_bytes -= size
        room_bytes = self._total_bytes - self._used_bytes
        if self.users and size == self._spare_size and (len(self._spare) + 1) * size <= room_bytes:
            self._spare.append(buffer)
        if self._waiting:
            self._waiting.popleft()()

    @property
    def has_spare(self) -> bool:
        """Whether unused buffers are kept."""
        return bool(self._spare)

    def wake_on_release(self, wake: Callable[[], None]) -> None:
        """Call `wake` once when a buffer is released."""
        self._waiting.append(wake)

    def trim(self) -> None:
        """Free most of the unused buffers. Call it periodically."""
        keep = _SPARE_BYTES if self.users else 0
        del self._spare[keep // self._spare_size :]
