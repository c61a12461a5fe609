"""The buffers that bytes are received into and written from: a bounded number, used again and again."""

from __future__ import annotations

import mmap
from collections import deque
from collections.abc import Callable

KiB = 1 << 10
LARGEST_BLOCK_BYTES = 1024 * KiB
SMALLEST_BLOCK_BYTES = 64 * KiB
TOTAL_BYTES = 48 << 20
BLOCKS_IN_FLIGHT = 8
"""So many keep one connection busy while what it brought is written and hashed; several together need fewer each."""
_SPARE_BYTES = 8 << 20  # kept for the next use when nobody uses them


def aligned_buffer(size_bytes: int) -> memoryview:
    """Private memory that begins at a page.

    What `malloc` gives for such sizes begins 16 bytes after one. There the kernel's copies from sources that begin at
    a page (the page cache, what a server sent with sendfile) take five times as long on some processors
    (docs/decisions/0009).
    """
    return memoryview(mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))


class Blocks:
    """Buffers of up to 1 MiB, `TOTAL_BYTES` in all; smaller and fewer ones when many share them.

    Whoever holds none can always get one of the smallest, so nobody waits for ever.
    """

    def __init__(self, total_bytes: int = TOTAL_BYTES) -> None:
        self._total_bytes = total_bytes
        self._used_bytes = 0
        self._spare: dict[int, list[memoryview]] = {}
        self._spare_bytes = 0
        self._waiting: deque[Callable[[], None]] = deque()
        self.users = 0
        """How many share the buffers; whoever starts and stops using them counts it."""

    def take(self, *, first: bool) -> memoryview | None:
        """A buffer of the size that is due now. None: too much is in use; see `wait`. `first`: the caller has none."""
        size = self._size()
        if self._used_bytes + size > self._total_bytes:
            if not first:
                return None
            size = SMALLEST_BLOCK_BYTES
        self._used_bytes += size
        spare = self._spare.get(size)
        if spare:
            self._spare_bytes -= size
            return spare.pop()
        return aligned_buffer(size)

    @property
    def share(self) -> int:
        """How many each user may hold: two at least, to fill one while the other is written."""
        return max(2, BLOCKS_IN_FLIGHT // max(1, self.users))

    def give_back(self, block: memoryview) -> None:
        size = len(block)
        self._used_bytes -= size
        if self.users and self._used_bytes + self._spare_bytes + size <= self._total_bytes:
            self._spare.setdefault(size, []).append(block)
            self._spare_bytes += size
        if self._waiting:
            self._waiting.popleft()()

    @property
    def has_spare(self) -> bool:
        """Whether unused ones are kept."""
        return self._spare_bytes > 0

    def wait(self, wake: Callable[[], None]) -> None:
        """`wake` is called once when a buffer has come back."""
        self._waiting.append(wake)

    def trim(self) -> None:
        """Let most of the unused ones go. To be called now and then."""
        keep = _SPARE_BYTES if self.users else 0
        for size, spare in self._spare.items():
            while spare and self._spare_bytes > keep:
                spare.pop()
                self._spare_bytes -= size

    def _size(self) -> int:
        size = LARGEST_BLOCK_BYTES
        while size > SMALLEST_BLOCK_BYTES and BLOCKS_IN_FLIGHT * size * self.users > self._total_bytes:
            size //= 2
        return size
