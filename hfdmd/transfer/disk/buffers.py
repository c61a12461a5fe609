"""The buffers that bytes are received into and written from: a bounded number, used again and again."""

from __future__ import annotations

import ctypes
import mmap
from collections import deque
from collections.abc import Callable
from contextlib import suppress

KiB = 1 << 10
HUGE_PAGE_BYTES = 2048 * KiB  # on x86-64, and on ARM with pages of 4 KiB
LARGEST_BLOCK_BYTES = 2 * HUGE_PAGE_BYTES
"""Each costs hand-overs between threads, and a disk writes more per second the longer a write is (0019)."""
SMALLEST_BLOCK_BYTES = 64 * KiB
TOTAL_BYTES = 40 << 20
BLOCKS_IN_FLIGHT = 12
"""So many keep one connection busy while what it brought is written and hashed; several together need fewer each."""
_BLOCKS_PER_USER = 8  # blocks are so small that each user can have as many
_SPARE_BYTES = 8 << 20  # kept for the next use when nobody uses them


def aligned_buffer(size_bytes: int) -> memoryview:
    """Private memory that begins at a page; where it has the size of a huge one, it is one if the system has any left.

    What `malloc` gives for such sizes begins 16 bytes after one. There the kernel's copies from sources that begin at
    a page (the page cache, what a server sent with sendfile) take five times as long on some processors
    (docs/decisions/0009). A disk takes a huge page in one piece (0012).
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
    """Buffers of up to 4 MiB, `TOTAL_BYTES` in all; smaller and fewer ones when many share them.

    Whoever holds none can always get one of the smallest, so nobody waits for ever.
    """

    def __init__(self, total_bytes: int = TOTAL_BYTES) -> None:
        self._total_bytes = total_bytes
        self._used_bytes = 0
        self._spare: list[memoryview] = []  # all of the size that was due last
        self._due_bytes = LARGEST_BLOCK_BYTES
        self._waiting: deque[Callable[[], None]] = deque()
        self.users = 0
        """How many share the buffers; whoever starts and stops using them counts it."""

    def take(self, *, first: bool) -> memoryview | None:
        """A buffer of the size that is due now. None: too much is in use; see `wait`. `first`: the caller has none."""
        size = self._size()
        if size != self._due_bytes:
            self._due_bytes = size
            self._spare.clear()
        if self._used_bytes + size > self._total_bytes:
            if not first:
                return None
            size = SMALLEST_BLOCK_BYTES
        self._used_bytes += size
        if self._spare and len(self._spare[-1]) == size:
            return self._spare.pop()
        return aligned_buffer(size)

    @property
    def share(self) -> int:
        """How many each user may hold: two at least, to fill one while the other is written."""
        return max(2, BLOCKS_IN_FLIGHT // max(1, self.users))

    def give_back(self, block: memoryview) -> None:
        size = len(block)
        self._used_bytes -= size
        room_bytes = self._total_bytes - self._used_bytes
        if self.users and size == self._due_bytes and (len(self._spare) + 1) * size <= room_bytes:
            self._spare.append(block)
        if self._waiting:
            self._waiting.popleft()()

    @property
    def has_spare(self) -> bool:
        """Whether unused ones are kept."""
        return bool(self._spare)

    def wait(self, wake: Callable[[], None]) -> None:
        """`wake` is called once when a buffer has come back."""
        self._waiting.append(wake)

    def trim(self) -> None:
        """Let most of the unused ones go. To be called now and then."""
        keep = _SPARE_BYTES if self.users else 0
        del self._spare[keep // self._due_bytes :]

    def _size(self) -> int:
        size = LARGEST_BLOCK_BYTES
        while size > SMALLEST_BLOCK_BYTES and _BLOCKS_PER_USER * size * self.users > self._total_bytes:
            size //= 2
        return size
