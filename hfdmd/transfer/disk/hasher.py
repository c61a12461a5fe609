"""Hashing a part file while it grows: the follower runs behind the contiguous front, in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable

from hfdmd.digest import Hasher
from hfdmd.record import Digest
from hfdmd.transfer.disk.buffers import aligned_buffer
from hfdmd.transfer.disk.part_file import IoThreads, PartFile

SPAN_BYTES = 32 << 20
READ_BYTES = 1 << 20

_Offer = tuple[memoryview, Callable[[], None]]


class StreamingHasher:
    """Hashes a part file from its beginning on, from the buffers that are offered in time, else from the file.

    What is read back from the file is in the page cache, mostly.
    """

    def __init__(self, part: PartFile, digest: Digest, size_bytes: int, io_threads: IoThreads) -> None:
        self._part = part
        self._hasher = Hasher(digest, size_bytes)
        self._io_threads = io_threads
        self._frontier = 0
        self._moved = asyncio.Event()
        self._stop = threading.Event()
        self._size_bytes = size_bytes
        self.hashed_bytes = 0
        self._next = 0  # where what is being hashed, and what is offered, ends
        self._offered: deque[_Offer] = deque()
        self._task = asyncio.create_task(self._follow())

    def advance(self, frontier: int) -> None:
        """So much is written without a gap."""
        if frontier > self._frontier:
            self._frontier = frontier
            self._moved.set()

    def feed(self, data: memoryview, offset: int, done: Callable[[], None]) -> bool:
        """Bytes of the file that need not be read back if they are the next to be hashed.

        True: they are, and must stay as they are until `done` is called.
        """
        if offset != self._next or self._task.done() or self._stop.is_set():
            return False
        self._offered.append((data, done))
        self._next += len(data)
        self._moved.set()
        return True

    async def result(self) -> Digest:
        """The digest of all, once everything was offered or written. OSError when the file could not be read."""
        await asyncio.shield(self._task)
        return self._hasher.digest()

    async def stop(self) -> None:
        """Stop, and wait until no thread reads any more."""
        self._stop.set()
        self._moved.set()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _follow(self) -> None:
        try:
            while self.hashed_bytes < self._size_bytes and not self._stop.is_set():
                if self._offered:
                    await self._io_threads.hash(self._hash_offers, asyncio.get_running_loop())
                elif self._frontier > self.hashed_bytes:
                    self._next = min(self._frontier, self.hashed_bytes + SPAN_BYTES)
                    self.hashed_bytes = await self._io_threads.hash(self._hash, self.hashed_bytes, self._next)
                else:
                    self._moved.clear()
                    await self._moved.wait()
        finally:
            self._give_back_offers()

    def _give_back_offers(self) -> None:
        while self._offered:
            _, done = self._offered.popleft()
            done()

    def _hash_offers(self, loop: asyncio.AbstractEventLoop) -> None:
        """In a thread: hash what is offered, and what is meanwhile, by way of the thread's own buffer.

        Another core has just filled these bytes. To copy them into this one's cache and hash them there takes less
        time than to hash them where they are (docs/decisions/0019).
        """
        buffer = _buffer()
        until = self.hashed_bytes + SPAN_BYTES  # then others may have the thread
        while self._offered and self.hashed_bytes < until and not self._stop.is_set():
            data, done = self._offered.popleft()
            for start in range(0, len(data), READ_BYTES):
                piece = data[start : start + READ_BYTES]
                near = buffer[: len(piece)]
                near[:] = piece
                self._hasher.update(near)
            self.hashed_bytes += len(data)
            loop.call_soon_threadsafe(done)

    def _hash(self, start: int, end: int) -> int:
        """In a thread: hash [start, end) of the file; how far it came."""
        buffer = _buffer()
        at = start
        while at < end and not self._stop.is_set():
            count = self._part.read_into(buffer[: min(READ_BYTES, end - at)], at)
            if count == 0:
                raise OSError(f"the part file ends at {at}, before {end}")
            self._hasher.update(buffer[:count])
            at += count
        return at


_of_thread = threading.local()


def _buffer() -> memoryview:
    """One for each hashing thread: many files are in flight, but few are hashed at a time."""
    if not hasattr(_of_thread, "buffer"):
        _of_thread.buffer = aligned_buffer(READ_BYTES)
    buffer: memoryview = _of_thread.buffer
    return buffer
