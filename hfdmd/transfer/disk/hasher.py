"""Hashes a part file while it grows: in a thread, in file order."""

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


class StreamingHasher:
    """Hashes a part file from its start: from buffers that are fed in order, else by reading the file back.

    Data that is read back is mostly still in the page cache.
    """

    def __init__(self, part: PartFile, digest: Digest, size_bytes: int, io_threads: IoThreads) -> None:
        self._part = part
        self._hasher = Hasher(digest, size_bytes)
        self._io_threads = io_threads
        self._frontier = 0
        self._changed = asyncio.Event()
        self._stop = threading.Event()
        self._size_bytes = size_bytes
        self.hashed_bytes = 0
        self._next_offset = 0  # the end of what is being hashed and of what is fed
        self._fed: deque[tuple[memoryview, Callable[[], None]]] = deque()
        self._task = asyncio.create_task(self._run())

    def advance(self, frontier: int) -> None:
        """The file is written up to `frontier` without a gap."""
        if frontier > self._frontier:
            self._frontier = frontier
            self._changed.set()

    def feed(self, data: memoryview, offset: int, done: Callable[[], None]) -> bool:
        """Hash `data` from memory if it is next in order; returns whether it is.

        If True, `data` must not change until `done` is called.
        """
        if offset != self._next_offset or self._task.done() or self._stop.is_set():
            return False
        self._fed.append((data, done))
        self._next_offset += len(data)
        self._changed.set()
        return True

    async def result(self) -> Digest:
        """The digest, once everything is fed or written. OSError when the file cannot be read."""
        await asyncio.shield(self._task)
        return self._hasher.digest()

    async def stop(self) -> None:
        """Stop, and wait until no thread reads any more."""
        self._stop.set()
        self._changed.set()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        try:
            while self.hashed_bytes < self._size_bytes and not self._stop.is_set():
                if self._fed:
                    await self._io_threads.hash(self._hash_fed, asyncio.get_running_loop())
                elif self._frontier > self.hashed_bytes:
                    self._next_offset = min(self._frontier, self.hashed_bytes + SPAN_BYTES)
                    await self._io_threads.hash(self._hash_file, self._next_offset)
                else:
                    self._changed.clear()
                    await self._changed.wait()
        finally:
            while self._fed:
                _, done = self._fed.popleft()
                done()

    def _hash_fed(self, loop: asyncio.AbstractEventLoop) -> None:
        """In a thread: hash the fed buffers, including those fed meanwhile, by way of the thread's own buffer.

        Another core has just filled them. Copying them into this core's cache and hashing them there takes less time
        than hashing them in place (docs/decisions/0019).
        """
        buffer = _buffer()
        until = self.hashed_bytes + SPAN_BYTES  # then other files may use the thread
        while self._fed and self.hashed_bytes < until and not self._stop.is_set():
            data, done = self._fed.popleft()
            for start in range(0, len(data), READ_BYTES):
                piece = data[start : start + READ_BYTES]
                near = buffer[: len(piece)]
                near[:] = piece
                self._hasher.update(near)
            self.hashed_bytes += len(data)
            loop.call_soon_threadsafe(done)

    def _hash_file(self, end: int) -> None:
        """In a thread: hash the file up to `end`."""
        buffer = _buffer()
        while self.hashed_bytes < end and not self._stop.is_set():
            count = self._part.read_into(buffer[: min(READ_BYTES, end - self.hashed_bytes)], self.hashed_bytes)
            if count == 0:
                raise OSError(f"the part file ends at {self.hashed_bytes}, before {end}")
            self._hasher.update(buffer[:count])
            self.hashed_bytes += count


_of_thread = threading.local()


def _buffer() -> memoryview:
    """One buffer per hashing thread: many files are in flight, but few are hashed at a time."""
    if not hasattr(_of_thread, "buffer"):
        _of_thread.buffer = aligned_buffer(READ_BYTES)
    buffer: memoryview = _of_thread.buffer
    return buffer
